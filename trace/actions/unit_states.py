"""Where units are, written from events: when one is captured, when one is declared wrong, when all are folded again.

Nothing else writes ``parent``, ``holder``, ``transit``, ``container`` and ``replaced_by`` of a unit. An event names
only the outermost packs it moves, so shipping a pallet writes one row however much lies on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from trace import derive
from trace.derive import UnitState
from trace.event_templates import template
from trace.models import Event, EventItem, Unit

_CHUNK = 1000
_FIELDS = ("parent", "holder", "transit", "container", "replaced_by")


def states_of(units: Iterable[int]) -> dict[int, UnitState]:
    """What the rows say now."""
    wanted = list(units)
    found: dict[int, UnitState] = {}
    for begin in range(0, len(wanted), _CHUNK):
        rows = Unit.objects.filter(pk__in=wanted[begin : begin + _CHUNK]).values_list("pk", *_FIELDS)
        found |= {pk: UnitState(*state) for pk, *state in rows}
    return found


def apply_units(event: derive.EventFacts) -> None:
    """Write what a fresh event says about the units it names. Needs the log head held."""
    named = [item.unit for item in event.items if item.unit is not None]
    if not named:
        return
    now = states_of(named)
    then = derive.unit_effects(event, now)
    write_states({unit: state for unit, state in then.items() if state != now[unit]})
    for unit, state in then.items():
        if state.replaced_by is not None and now[unit].replaced_by is None:
            Unit.objects.filter(parent=unit).update(parent=state.replaced_by)


def write_states(states: Mapping[int, UnitState]) -> None:
    """Write these states, one query for each thousand units of the same state."""
    alike: dict[UnitState, list[int]] = defaultdict(list)
    for unit, state in states.items():
        alike[state].append(unit)
    for state, units in alike.items():
        values = {
            "parent": state.parent,
            "holder": state.holder,
            "transit": state.transit,
            "container": state.container,
            "replaced_by": state.replaced_by,
        }
        for begin in range(0, len(units), _CHUNK):
            Unit.objects.filter(pk__in=units[begin : begin + _CHUNK]).update(**values)


def standing_events(units: Sequence[int]) -> Iterator[derive.EventFacts]:
    """The events that stand (not declared wrong) and name any of these units, in log order."""
    naming = EventItem.objects.filter(unit__in=units).values("event")
    events = Event.objects.filter(pk__in=naming, corrections__isnull=True, corrects=None, log__isnull=False)
    items: dict[int, list[derive.ItemFacts]] = defaultdict(list)
    rows = EventItem.objects.filter(event__in=events, unit__isnull=False).order_by("number")
    for event, unit, holder in rows.values_list("event", "unit", "holder"):
        items[event].append(derive.ItemFacts("subject", None, holder, None, 0, unit=unit))
    for event, organisation, code, kind in events.order_by("log__number").values_list(
        "pk", "organisation", "template", "event_type"
    ):
        yield derive.EventFacts(event, organisation, kind, template(code).moves, items[event])


def restate_units(units: Sequence[int]) -> None:
    """Put units back where the standing events say they are, after an event that named them was declared wrong.

    Units whose pack is one of them are looked at too: a replaced code had passed them on.
    """
    if not units:
        return
    affected = list({*units, *Unit.objects.filter(parent__in=units).values_list("pk", flat=True)})
    folded = derive.fold_units(standing_events(affected))
    now = states_of(affected)
    then = {unit: folded.get(unit, UnitState()) for unit in affected}
    write_states({unit: state for unit, state in then.items() if state != now[unit]})
