"""What follows from events: stock, links, releases, receipts. One definition, used when writing and when rebuilding.

Pure: it knows events and items as plain facts and says what they change. An error declaration undoes the effects of the
event it names; nothing else is undone ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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


def fold(events: Iterable[EventFacts]) -> World:
    """The world after these events, given in log order. Memory grows with lots and links, not with event size.

    ``undone`` maps an event to the declaration that undid it; ``voided`` the lots begun by such an event.
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
