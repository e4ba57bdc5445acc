"""Events entered by form made known to the door: what they are found by, who may see them. Derived, safe to repeat."""

from __future__ import annotations

from collections import defaultdict

from django.db import transaction

from trace.door.names import Names
from trace.door.shaping import WITH, Shaper
from trace.epcis.facts import Facts, facts_of
from trace.models import EpcisEvent, EpcisHead, EpcisSeen, EpcisTerm, Event, LogEntry, Organisation
from trace.rows import insert_values

PART = 200
AT_ONCE = 2_000
"""Events a reader waits for; the worker does what is left (an installation that begins to use the door)."""


def index_log(most: int = AT_ONCE) -> bool:
    """Make events of the log known that the door does not know yet, at most so many; whether any were left.

    Captured events are known already. Each part is one transaction that begins by locking the door's head, so that two
    readers do not do the same.
    """
    done = 0
    while done < most:
        head = EpcisHead.objects.filter(id=1).values_list("last", flat=True).first() or 0
        if not LogEntry.objects.filter(number__gt=head).exists():
            return False
        with transaction.atomic():
            done += _part()
    return True


def work_index() -> bool:
    """The worker's share of a second or two, so that readers find it done; whether there was any."""
    head = EpcisHead.objects.filter(id=1).values_list("last", flat=True).first() or 0
    if not LogEntry.objects.filter(number__gt=head).exists():
        return False
    index_log()
    return True


def _part() -> int:
    if not EpcisHead.objects.filter(id=1).exists():
        EpcisHead.objects.bulk_create([EpcisHead(id=1)], ignore_conflicts=True)
    head = EpcisHead.objects.select_for_update().get(id=1)
    numbers = list(
        LogEntry.objects.filter(number__gt=head.last).order_by("number").values_list("number", "event")[:PART]
    )
    if not numbers:
        return 0
    known = set(
        EpcisEvent.objects.filter(number__in=[number for number, _ in numbers]).values_list("number", flat=True)
    )
    wanted = {event: number for number, event in numbers if number not in known}
    events = list(Event.objects.filter(pk__in=wanted).select_related(*WITH, "entered_by_organisation"))
    _write(events, wanted)
    EpcisHead.objects.filter(id=1).update(last=numbers[-1][0])
    return len(numbers)


def _write(events: list[Event], numbers: dict[int, int]) -> None:
    """Rows for events entered by form; those that name no goods have none."""
    shaped = Shaper().shape(events)
    rows: list[EpcisEvent] = []
    seen: list[EpcisSeen] = []
    by_owner: dict[int, list[tuple[int, Facts]]] = defaultdict(list)
    owners: dict[int, Organisation] = {}
    for event in sorted(events, key=lambda each: numbers[each.pk]):
        document = shaped.get(event.pk)
        wrong = event.corrects
        if document is None or is_beside(event) or (wrong is not None and is_beside(wrong)):
            continue
        number = numbers[event.pk]
        facts = facts_of(document, document["eventID"])
        rows.append(
            EpcisEvent(
                number=number,
                event=event,
                owner=event.organisation,
                eid=facts.eid,
                declared_at=facts.declared_at,
                kind=facts.kind,
                action=facts.action,
                event_time=facts.event_time,
                record_time=event.recorded_at,
            )
        )
        sides = {event.organisation, event.entered_by_organisation, event.counterparty}
        for side in {each for each in sides if each is not None}:
            owners[side.pk] = side
            by_owner[side.pk].append((number, facts))
            seen.append(EpcisSeen(owner=side, number=number, event_time=facts.event_time))
    EpcisEvent.objects.bulk_create(rows, batch_size=400)
    EpcisSeen.objects.bulk_create(seen, batch_size=400)
    for owner, found in by_owner.items():
        names = Names(owners[owner])
        names.load(key for _number, facts in found for key in _keys(facts))
        insert_values(
            EpcisTerm,
            ("name_id", "number"),
            [(names.known[key].pk, number) for number, facts in found for key in dict.fromkeys(facts.terms())],
        )


def is_beside(event: Event) -> bool:
    """Whether this only writes down what a captured event says besides: that goods it names were there before, that
    serials went over into the lots it names. The door tells what was captured.
    """
    return event.data.get("basis") == "EPCIS" and "epcis_sha256" in event.data


def _keys(facts: Facts) -> list[tuple[str, str]]:
    """The terms, and the goods among them under what they are."""
    goods = [
        ("class" if thing.is_class else "epc", thing.uri) for thing in (*facts.things, *facts.inputs, *facts.outputs)
    ]
    parent = [("epc", facts.parent)] if facts.parent else []
    return [*facts.terms(), *goods, *parent]
