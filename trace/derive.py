"""What follows from events: stock, links, releases, receipts. One definition, used when writing and when rebuilding.

Pure: it knows events and items as plain facts and says what they change. An error declaration undoes the effects of the
event it names; nothing else is undone ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

StockKey = tuple[int, int, int | None]


@dataclass(frozen=True)
class ItemFacts:
    """One item of an event: row numbers of lot, holder, place; signed millionths; the transfer it answers."""

    role: str
    lot: int | None
    holder: int
    place: int | None
    micros: int
    transfer: int | None = None
    begins: bool = False
    unit: int | None = None


@dataclass(frozen=True)
class EventFacts:
    """One event: its row number, kind of movement (``EventTemplate.moves``), type, items and the event it declares
    wrong.
    """

    id: int
    organisation: int
    event_type: str
    moves: str
    items: Sequence[ItemFacts]
    corrects: int | None = None


@dataclass(frozen=True)
class Link:
    """One edge of the genealogy with the amount of the parent that went in."""

    parent: int
    child: int
    micros: int


@dataclass
class Effects:
    """What one event changes among the derived rows."""

    stock: dict[StockKey, int] = field(default_factory=lambda: defaultdict(int))
    links: list[Link] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)
    made: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    released: list[int] = field(default_factory=list)
    received: dict[int, int] = field(default_factory=lambda: defaultdict(int))


def effects(event: EventFacts) -> Effects:
    """What this event changes, taken alone (an error declaration changes nothing by itself)."""
    found = Effects()
    if event.corrects is not None:
        return found
    inputs: dict[int, int] = defaultdict(int)
    outputs: list[int] = []
    for item in event.items:
        if item.transfer is not None and item.micros >= 0:
            found.received[item.transfer] += item.micros
        if item.lot is None:
            continue
        if item.micros:
            found.stock[(item.lot, item.holder, item.place)] += item.micros
        if item.begins:
            found.begun.append(item.lot)
        if item.role == "output":
            found.made[item.lot] += item.micros
            outputs.append(item.lot)
        elif item.role == "input":
            inputs[item.lot] += -item.micros
        if event.moves == "release" and item.role == "subject":
            found.released.append(item.lot)
    if inputs and outputs:
        children = dict.fromkeys(outputs)
        found.links = [Link(parent, child, micros) for parent, micros in inputs.items() for child in children]
    return found


@dataclass
class World:
    """The fold of all events: what every derived row must say."""

    stock: dict[StockKey, int] = field(default_factory=lambda: defaultdict(int))
    links: dict[tuple[int, int, int], tuple[int, int | None]] = field(default_factory=dict)
    begun: dict[int, int] = field(default_factory=dict)
    made: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    voided: dict[int, int] = field(default_factory=dict)
    released: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    received: dict[int, tuple[int, int]] = field(default_factory=dict)
    undone: dict[int, int] = field(default_factory=dict)
    units: dict[int, UnitState] = field(default_factory=dict)


def fold(events: Iterable[EventFacts]) -> World:
    """The world after these events, given in log order. Memory grows with lots and links, not with event size.

    ``undone`` maps an event to the declaration that undid it; ``voided`` the lots begun by such an event. Where units
    are follows from the events that stand, in order: unlike amounts it cannot be taken back by itself.
    """
    world = World()
    kept: dict[int, EventFacts] = {}
    for event in events:
        if event.corrects is not None:
            wrong = kept.get(event.corrects)
            world.undone[event.corrects] = event.id
            if wrong is not None:
                _undo(world, wrong, event.id)
            continue
        kept[event.id] = event
        _apply(world, event)
    world.units = fold_units(event for event in kept.values() if event.id not in world.undone)
    return world


def _apply(world: World, event: EventFacts) -> None:
    """Add one event's effects to the world."""
    change = effects(event)
    for key, micros in change.stock.items():
        world.stock[key] += micros
    for link in change.links:
        world.links[(event.id, link.parent, link.child)] = (link.micros, None)
    for lot in change.begun:
        world.begun[lot] = event.id
        world.voided.pop(lot, None)
    for lot, micros in change.made.items():
        world.made[lot] += micros
    for lot in change.released:
        world.released[lot].append(event.id)
    for transfer, micros in change.received.items():
        world.received[transfer] = (micros, event.id)


def _undo(world: World, event: EventFacts, by: int) -> None:
    """Take one event's effects back: amounts return, links and lots stay and are marked by whom they were voided."""
    change = effects(event)
    for key, micros in change.stock.items():
        world.stock[key] -= micros
    for link in change.links:
        world.links[(event.id, link.parent, link.child)] = (link.micros, by)
    for lot in change.begun:
        if world.begun[lot] == event.id:
            world.voided[lot] = by
    for lot, micros in change.made.items():
        world.made[lot] -= micros
    for lot in change.released:
        world.released[lot].remove(event.id)
    for transfer in change.received:
        if world.received.get(transfer, (0, 0))[1] == event.id:
            del world.received[transfer]


# --- Units ----------------------------------------------------------------------------------------------------------

GONE = frozenset({"retail", "destroy", "sample", "transform"})
"""What a unit named by such an event does not come back from: it was sold, destroyed, tested, used up."""


@dataclass(frozen=True)
class UnitState:
    """Where one unit is: the pack it lies in; who has it and by which shipping event it is on its way (both only where
    it lies in no pack); whether it was packed, so that its goods are what lies in it; the code that replaced it.
    """

    parent: int | None = None
    holder: int | None = None
    transit: int | None = None
    container: bool = False
    replaced_by: int | None = None


NOWHERE = UnitState()


def unit_effects(event: EventFacts, now: Mapping[int, UnitState]) -> dict[int, UnitState]:
    """The new state of each unit that this event names, from what it was. Units inside follow their pack unnamed.

    Packing and unpacking name the pack first. A unit that is shipped, received or returned by name leaves the pack it
    lay in, unless that pack is named too: so a partial shipment splits a pallet.
    """
    named = [(item.unit, item.holder) for item in event.items if item.unit is not None]
    if not named or event.corrects is not None:
        return {}
    if event.moves in ("pack", "unpack"):
        return _packing(event.moves, named, now)
    if event.moves == "recode":
        (old, _holder), (new, _other) = named[:2]
        was = now.get(old, NOWHERE)
        return {old: UnitState(container=was.container, replaced_by=new), new: replace(was, replaced_by=None)}
    units = {unit for unit, _holder in named}
    found: dict[int, UnitState] = {}
    for unit, holder in named:
        was = now.get(unit, NOWHERE)
        inside = was.parent if was.parent in units else None
        if event.moves == "ship":
            found[unit] = replace(was, parent=inside, holder=None, transit=None if inside else event.id)
        elif event.moves in ("receive", "return"):
            found[unit] = replace(was, parent=inside, holder=None if inside else holder, transit=None)
        elif event.moves in GONE:
            found[unit] = replace(was, parent=None, holder=None, transit=None)
    return found


def _packing(moves: str, named: Sequence[tuple[int, int]], now: Mapping[int, UnitState]) -> dict[int, UnitState]:
    """Units going into or out of the first one."""
    (pack, holder), *inside = named
    was = now.get(pack, NOWHERE)
    found: dict[int, UnitState] = {}
    if moves == "pack":
        own = None if was.parent is not None else holder
        found[pack] = replace(was, container=True, holder=own, transit=None)
    for unit, its_holder in inside:
        state = now.get(unit, NOWHERE)
        if moves == "pack":
            found[unit] = replace(state, parent=pack, holder=None, transit=None)
        else:
            found[unit] = replace(state, parent=None, holder=its_holder, transit=None)
    return found


def fold_units(events: Iterable[EventFacts]) -> dict[int, UnitState]:
    """The state of each unit named by these standing events, given in log order. A pack whose code was replaced passes
    what lies in it on to its new code.
    """
    states: dict[int, UnitState] = {}
    for event in events:
        states.update(unit_effects(event, states))
    for unit, state in states.items():
        parent = state.parent
        while parent is not None and parent in states and states[parent].replaced_by is not None:
            parent = states[parent].replaced_by
        if parent != state.parent:
            states[unit] = replace(state, parent=parent)
    return states
