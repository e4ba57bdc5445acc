"""The log of events: canonical bytes, their hash, numbers in commit order, and the check that nothing was touched."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models import F

from trace.batch import current
from trace.models import Event, EventItem, LogEntry, LogHead
from trace.rows import new


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


def last_number() -> int:
    """The number of the last entry; 0 before the first."""
    return LogHead.objects.filter(id=1).values_list("last", flat=True).first() or 0


def lock_log_head() -> None:
    """Let no event be written until the transaction ends, without writing one: a recall that starts sees every event
    before it, and guards refuse every one after.
    """
    if not LogHead.objects.filter(id=1).update(last=F("last")):
        LogHead.objects.bulk_create([LogHead(id=1, last=0)], ignore_conflicts=True)
        LogHead.objects.filter(id=1).update(last=F("last"))


_uid = lru_cache(maxsize=4_096)(str)
"""The names of what many events name."""
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def canonical(event: Event, items: Sequence[EventItem]) -> bytes:
    """The bytes that are hashed: UTF-8 JSON with sorted keys and no spaces of the event with the server's fields.

    Names are the outside ones (UUIDs), never row numbers, so that an export can be verified elsewhere.
    """
    document: dict[str, Any] = {
        "eventID": f"urn:uuid:{event.uid}",
        "type": event.event_type,
        "template": event.template,
        "action": event.action,
        "bizStep": event.biz_step,
        "disposition": event.disposition,
        "localStep": event.local_step,
        "mode": event.mode,
        "organisation": _uid(event.organisation.uid),
        "enteredBy": _uid(event.entered_by_organisation.uid),
        "enteredByPerson": _uid(event.entered_by.uid) if event.entered_by else None,
        "eventTime": event.occurred_at.astimezone(datetime.UTC).isoformat(),
        "eventTimeZoneOffset": event.tz_offset,
        "precision": event.precision,
        "recordTime": event.recorded_at.astimezone(datetime.UTC).isoformat(),
        "place": _uid(event.place.uid) if event.place else None,
        "counterparty": _uid(event.counterparty.uid) if event.counterparty else None,
        "data": event.data,
        "flags": event.flags,
        "corrects": str(event.corrects.uid) if event.corrects else None,
        "errorReason": event.error_reason,
        "replaces": str(event.replaces.uid) if event.replaces else None,
        "remark": str(event.remark.uid) if event.remark else None,
        "items": [
            {
                "n": item.number,
                "role": item.role,
                "lot": str(item.lot.uid) if item.lot else None,
                "unit": item.unit.code if item.unit else None,
                "holder": _uid(item.holder.uid),
                "place": _uid(item.place.uid) if item.place else None,
                "micros": item.micros,
                "entered": item.entered,
                "enteredUnit": item.entered_unit,
                "factor": item.factor,
                "transfer": str(item.transfer.uid) if item.transfer else None,
                "ilmd": item.ilmd,
            }
            for item in items
        ],
    }
    return _ENCODER.encode(document).encode()


def entry(number: int, event: Event, items: Sequence[EventItem]) -> LogEntry:
    """The log entry of an event just inserted, under the number taken by ``take_log_head``; not yet written."""
    data = canonical(event, items)
    return new(LogEntry, number=number, event=event, canonical=data, sha256=hashlib.sha256(data).hexdigest())


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
            elif canonical(entry.event, items.get(entry.event_id, [])) != data:
                yield Fault(entry.number, f"event {entry.event.uid} differs from its canonical bytes")
    head = LogHead.objects.filter(id=1).values_list("last", flat=True).first() or 0
    if head != expected:
        yield Fault(expected + 1, f"the head says {head}, the log ends at {expected}")
    unlogged = Event.objects.filter(log__isnull=True).count()
    if unlogged:
        yield Fault(0, f"{unlogged} events are not in the log")
