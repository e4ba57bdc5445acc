"""The log of events: canonical bytes, their hash, numbers in commit order, and the check that nothing was touched."""

from __future__ import annotations

import datetime
import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring as json_text
from typing import Any

from django.db.models import F

from trace.batch import EntryValues, current
from trace.json_text import sorted_json_of
from trace.models import Event, EventItem, LogEntry, LogHead
from trace.prepared import piped, planned_cursor
from trace.rows import Told, new


def take_log_head() -> int:
    """Lock the head of the log until the transaction ends and return the number of the next entry.

    Every capture takes it first. So events are written one after another on both databases, guards need no further
    locks, and a recall that starts sees every event before it and blocks every one after (DECISIONS, "One writer of
    events").
    """
    batch = current()
    if batch is not None:
        return batch.next_number()
    updated = LogHead.objects.filter(id=1).update(last=F("last") + 1)
    if not updated:
        LogHead.objects.create(id=1, last=1)
    return LogHead.objects.values_list("last", flat=True).get(id=1)


_HOLD = "UPDATE trace_loghead SET last = last WHERE id = 1 RETURNING last"


def last_number() -> int:
    """The number of the last entry; 0 before the first."""
    with planned_cursor() as cursor:
        cursor.execute("SELECT last FROM trace_loghead WHERE id = 1")
        found = cursor.fetchone()
    return found[0] if found else 0


def lock_log_head() -> int:
    """Let no event be written until the transaction ends, without writing one: a recall that starts sees every event
    before it, and guards refuse every one after. Answers with the number of the last entry.
    """
    found = _hold()
    while found is None:
        LogHead.objects.bulk_create([LogHead(id=1, last=0)], ignore_conflicts=True)
        found = _hold()
    return found


def _hold() -> int | None:
    with piped(), planned_cursor() as cursor:
        cursor.execute(_HOLD)
        found = cursor.fetchone()
    return None if found is None else int(found[0])


@lru_cache(maxsize=4_096)
def _name(number: int) -> str:
    """The name of what many events name, as JSON. By its number: to look up a UUID takes longer than to tell it."""
    return f'"{uuid.UUID(int=number)}"'


def _instant(when: datetime.datetime) -> str:
    """An instant as JSON."""
    return _told(when if when.tzinfo is datetime.UTC else when.astimezone(datetime.UTC))


@lru_cache(maxsize=4_096)
def _told(when: datetime.datetime) -> str:
    """In UTC: of two instants that differ by ``fold`` alone a cache takes one for the other."""
    return f'"{when.isoformat()}"'


def _other(row: Event | EventItem, link: str) -> str:
    """The name of what a row refers to, as JSON."""
    if row.__dict__[link + "_id"] is None:
        return "null"
    # What is known already, past the descriptor of the ORM: this is asked eight times for each event.
    found = row._state.fields_cache.get(link) or getattr(row, link)
    return _name(found.uid.int)


def _unit(item: EventItem) -> str:
    """The code of the unit an item names, as JSON."""
    return "null" if item.unit_id is None or item.unit is None else json_text(item.unit.code)


def text_of(value: Any) -> str:
    """Any value as JSON; most are empty."""
    if type(value) is Told:
        return value.text
    return "{}" if value == {} else "[]" if value == [] else sorted_json_of(value)


Frame = tuple[str, str, str, str, str, str, str]
"""The text of an event around what is its own: its data, id, times, flags and items."""


def frame_of(event: Event) -> Frame:
    """What ``canonical`` says of an event besides its data, id, times, flags and items: the same for events alike."""
    return (
        f'{{"action":{json_text(event.action)},"bizStep":{json_text(event.biz_step)},'
        f'"corrects":{_other(event, "corrects")},'
        f'"counterparty":{_other(event, "counterparty")},"data":',
        f',"disposition":{json_text(event.disposition)},"enteredBy":{_other(event, "entered_by_organisation")},'
        f'"enteredByPerson":{_other(event, "entered_by")},"errorReason":{json_text(event.error_reason)},'
        '"eventID":"urn:uuid:',
        '","eventTime":',
        f',"eventTimeZoneOffset":{event.tz_offset},"flags":',
        ',"items":[',
        f'],"localStep":{json_text(event.local_step)},'
        f'"mode":{json_text(event.mode)},"organisation":{_other(event, "organisation")},'
        f'"place":{_other(event, "place")},'
        f'"precision":{json_text(event.precision)},"recordTime":',
        f',"remark":{_other(event, "remark")},"replaces":{_other(event, "replaces")},'
        f'"template":{json_text(event.template)},"type":{json_text(event.event_type)}}}',
    )


ItemFrame = tuple[str, str, str, str]
"""The text of an item around its master data, lot, amount and number, as far as no unit and no transfer is named."""


def item_frame_of(item: EventItem) -> ItemFrame:
    """What ``canonical`` says of an item besides these: the same for items alike."""
    return (
        f'{{"entered":{json_text(item.entered)},"enteredUnit":{json_text(item.entered_unit)},"factor":{json_text(item.factor)},'
        f'"holder":{_other(item, "holder")},"ilmd":',
        ',"lot":',
        ',"micros":',
        f',"place":{_other(item, "place")},"role":{json_text(item.role)},"transfer":',
    )


def item_text(item: EventItem, frame: ItemFrame | None = None) -> str:
    """An item as the log says it."""
    first, lot, micros, end = frame or item_frame_of(item)
    return (
        f'{first}{text_of(item.ilmd)}{lot}{_other(item, "lot")}{micros}{item.micros},"n":{item.number}{end}'
        f'{_other(item, "transfer")},"unit":{_unit(item)}}}'
    )


def canonical(event: Event, items: Sequence[str], frame: Frame | None = None) -> bytes:
    """The bytes that are hashed: UTF-8 JSON with sorted keys and no spaces of the event with the server's fields, its
    items as ``item_text`` says them.

    Names are the outside ones (UUIDs), never row numbers, so that an export can be verified elsewhere. The members are
    written out in the order of their keys, which takes a third of the time of encoding a dictionary; a test compares.
    """
    first, named, at, zone, listed, kept, end = frame or frame_of(event)
    return (
        f"{first}{text_of(event.data)}{named}{event.uid}{at}{_instant(event.occurred_at)}"
        f"{zone}{text_of(event.flags)}{listed}{','.join(items)}{kept}"
        f"{_instant(event.recorded_at)}{end}"
    ).encode()


def entry(number: int, event: Event, items: Sequence[str], frame: Frame | None = None) -> LogEntry:
    """The log entry of an event just inserted, under the number taken by ``take_log_head``; not yet written."""
    data = canonical(event, items, frame)
    return new(LogEntry, number=number, event=event, canonical=data, sha256=hashlib.sha256(data).hexdigest())


def entry_values(number: int, event: Event, items: Sequence[str], frame: Frame) -> EntryValues:
    """The values of such an entry, for a batch."""
    data = canonical(event, items, frame)
    return number, event.id, data, hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Fault:
    """One place where the log and the rows disagree; ``number`` is the first bad log number."""

    number: int
    what: str


def verify(*, chunk: int = 500) -> Iterator[Fault]:
    """Compare each log entry with its hash, its event's rows and its neighbour; yields faults in order of number.

    Cost: one pass over the log, four queries per ``chunk`` entries.
    """
    expected = 0
    last = 0
    while True:
        entries = list(
            LogEntry.objects.filter(number__gt=last)
            .order_by("number")
            .select_related(
                "event__organisation",
                "event__entered_by_organisation",
                "event__entered_by",
                "event__place",
                "event__counterparty",
                "event__corrects",
                "event__replaces",
                "event__remark",
            )[:chunk]
        )
        if not entries:
            break
        items: dict[int, list[EventItem]] = {}
        rows = EventItem.objects.filter(event__in=[entry.event_id for entry in entries])
        for item in rows.select_related("lot", "unit", "holder", "place", "transfer").order_by("event_id", "number"):
            items.setdefault(item.event_id, []).append(item)
        for entry in entries:
            expected += 1
            last = entry.number
            data = bytes(entry.canonical)
            if entry.number != expected:
                yield Fault(entry.number, f"number {expected} is missing")
                expected = entry.number
            if hashlib.sha256(data).hexdigest() != entry.sha256:
                yield Fault(entry.number, "the hash does not match the canonical bytes")
            elif canonical(entry.event, [item_text(item) for item in items.get(entry.event_id, ())]) != data:
                yield Fault(entry.number, f"event {entry.event.uid} differs from its canonical bytes")
    head = LogHead.objects.filter(id=1).values_list("last", flat=True).first() or 0
    if head != expected:
        yield Fault(expected + 1, f"the head says {head}, the log ends at {expected}")
    unlogged = Event.objects.filter(log__isnull=True).count()
    if unlogged:
        yield Fault(0, f"{unlogged} events are not in the log")
