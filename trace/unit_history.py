"""Where the units of a lot have been: an event names only the outermost packs it moves, so what lay in them then is
folded from the events in the order of the log. Nothing here writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from trace.among import among
from trace.derive import EventFacts, ItemFacts, UnitState, unit_effects
from trace.event_templates import template
from trace.models import Event, EventItem, Unit

MOST_ROWS = 200_000
"""So many mentions of units in events are folded; beyond, nothing is told apart."""
_DEEP = 4


class Sighting(NamedTuple):
    """One event that had a unit in hand: its row number, what it did (``moves``), and in whose hands it was then."""

    event: int
    moves: str
    holder: int


@dataclass
class UnitHistory:
    """The sightings of each unit (row number) in the order of the log, the single units (no packs) that each event had
    in hand, and every unit's number and level.
    """

    sightings: dict[int, list[Sighting]] = field(default_factory=lambda: defaultdict(list))
    in_hand: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    numbers: dict[int, int] = field(default_factory=dict)
    levels: dict[int, str] = field(default_factory=dict)

    def levels_in(self, event: int) -> dict[str, int]:
        """How many units of each level an event had in hand."""
        found: dict[str, int] = defaultdict(int)
        for unit in self.in_hand.get(event, ()):
            found[self.levels[unit]] += 1
        return dict(found)


def coded_lots(lots: Iterable[int]) -> set[int]:
    """Those of these lots of which an event named units. One query."""
    rows = EventItem.objects.filter(among("unit__lot", lots), event__corrections__isnull=True, event__corrects=None)
    return set(rows.order_by().values_list("unit__lot", flat=True).distinct())


def history_of_lot(lot: int) -> UnitHistory | None:
    """The history of every unit of a lot that an event named; None where there is too much of it to tell."""
    named = EventItem.objects.filter(unit__lot=lot)
    if named[: MOST_ROWS + 1].count() > MOST_ROWS:
        return None
    return _history(set(named.values_list("unit", flat=True).distinct()), lot)


def history_of_unit(unit: Unit) -> list[Sighting]:
    """The sightings of one unit, those of the codes it took the place of and of the packs it lay in included."""
    ids = {unit.pk}
    while more := set(Unit.objects.filter(among("replaced_by", ids)).values_list("pk", flat=True)) - ids:
        ids |= more
    found = _history(ids, unit.lot_id)
    return found.sightings.get(unit.pk, [])


def _history(units: set[int], lot: int) -> UnitHistory:
    """Fold what the standing events say of these units and of the packs they lay in."""
    known, events = set(units), _standing(units)
    for _step in range(_DEEP):
        packs = {event.items[0].unit for event in events if event.moves == "pack" and event.items}
        packs |= {item.unit for event in events if event.moves == "recode" for item in event.items[:2]}
        fresh = {pack for pack in packs if pack is not None} - known
        if not fresh:
            break
        known |= fresh
        events = _standing(known)
    found = UnitHistory()
    rows = Unit.objects.filter(among("pk", {item.unit for event in events for item in event.items if item.unit}))
    for pk, of, number, level in rows.values_list("pk", "lot", "number", "level"):
        if of == lot:
            found.numbers[pk], found.levels[pk] = number, level
    _fold(events, found)
    return found


def _standing(units: Iterable[int]) -> list[EventFacts]:
    """The events that stand and name any of these units, in the order of the log, with all units they name."""
    naming = EventItem.objects.filter(among("unit", units)).order_by().values("event")
    events = Event.objects.filter(pk__in=naming, corrections__isnull=True, corrects=None, log__isnull=False)
    items: dict[int, list[ItemFacts]] = defaultdict(list)
    rows = EventItem.objects.filter(event__in=events, unit__isnull=False).order_by("event", "number")
    for event, unit, holder in rows.values_list("event", "unit", "holder"):
        items[event].append(ItemFacts("subject", None, holder, None, 0, unit=unit))
    told = events.order_by("log__number").values_list("pk", "organisation", "template", "event_type")
    return [EventFacts(pk, whose, kind, template(code).moves, items[pk]) for pk, whose, code, kind in told]


def _fold(events: Sequence[EventFacts], found: UnitHistory) -> None:
    """Go through the events and note which units each had in hand: those named, and what lay in them."""
    states: dict[int, UnitState] = {}
    inside: dict[int, set[int]] = defaultdict(set)
    packed = {event.items[0].unit for event in events if event.moves == "pack" and event.items}

    def write(unit: int, state: UnitState) -> None:
        was = states.get(unit)
        if was is not None and was.parent is not None:
            inside[was.parent].discard(unit)
        states[unit] = state
        if state.parent is not None:
            inside[state.parent].add(unit)

    def all_in(unit: int) -> set[int]:
        seen, wanted = {unit}, [unit]
        while wanted:
            more = inside.get(wanted.pop(), set()) - seen
            seen |= more
            wanted += more
        return seen

    for event in events:
        before = {item.unit: all_in(item.unit) for item in event.items if item.unit is not None}
        for unit, state in unit_effects(event, states).items():
            write(unit, state)
            if state.replaced_by is not None:
                for child in list(inside.get(unit, ())):
                    write(child, replace(states[child], parent=state.replaced_by))
                found.sightings[state.replaced_by] = list(found.sightings.get(unit, []))
        had: dict[int, int] = {}
        for item in event.items:
            if item.unit is not None:
                after = all_in(item.unit) if event.moves == "pack" else set()
                had |= dict.fromkeys(before[item.unit] | after, item.holder)
        for unit, holder in had.items():
            if unit in found.numbers:
                found.sightings[unit].append(Sighting(event.id, event.moves, holder))
                if unit not in packed:
                    found.in_hand[event.id].add(unit)
