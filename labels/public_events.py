"""The public part of a lot's events as an EPCIS 2.0 document (ISO/IEC 19987, JSON-LD binding).

It tells no more than the scanned page does: the issuer's own steps with time, kind and division of the place; no
amounts, no parties, no inputs, no remarks. The whole of an event is for those who may open the lot.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from labels import journey
from labels.journey import Ancestry
from trace.models import Event, EventItem, Lot

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


def epcis_document(lot: Lot, anchor: str, now: datetime.datetime) -> dict[str, Any]:
    """The document: the steps of the lot itself, oldest first, at most 40; ``anchor`` is the lot's address."""
    ancestry = journey.ancestry_of(lot)
    items = [item for item in journey.own_items(ancestry) if item.lot_id == lot.pk]
    corrections = journey.corrections_of(items)
    return {
        "@context": [CONTEXT],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": _instant(now),
        "epcisBody": {"eventList": _events(ancestry, items, corrections, anchor)},
    }


def _events(
    ancestry: Ancestry, items: Sequence[EventItem], corrections: dict[int, Event], anchor: str
) -> list[dict[str, Any]]:
    """Each step once, with how it names the lot."""
    events: dict[int, Event] = {}
    begun: set[int] = set()
    for item in items:
        events[item.event_id] = item.event
        if item.ilmd.get("begins"):
            begun.add(item.event_id)
    told = [event for event in events.values() if journey.is_told(event)][: journey.MOST_ENTRIES]
    return [_event(event, anchor, event.pk in begun, corrections.get(event.pk)) for event in told]


def _event(event: Event, anchor: str, begins: bool, correction: Event | None) -> dict[str, Any]:
    """One event: when, which step, in which division, and whether it was declared wrong."""
    found: dict[str, Any] = {
        "type": event.event_type,
        "eventID": f"urn:uuid:{event.uid}",
        "eventTime": _instant(event.occurred_at),
        "eventTimeZoneOffset": _offset(event.tz_offset),
        "recordTime": _instant(event.recorded_at),
        "bizStep": event.biz_step,
    }
    lots = [{"epcClass": anchor}]
    if event.event_type == "TransformationEvent":
        found["outputQuantityList" if begins else "inputQuantityList"] = lots
    else:
        found["action"] = event.action or "OBSERVE"
        found["childQuantityList" if event.event_type == "AggregationEvent" else "quantityList"] = lots
    if event.disposition:
        found["disposition"] = event.disposition
    if event.place is not None:
        found["readPoint"] = {"id": f"urn:x-fenyang:division:{event.place.division_id}"}
    if correction is not None:
        found["errorDeclaration"] = {
            "declarationTime": _instant(correction.occurred_at),
            "reason": correction.error_reason,
        }
    return found


def _instant(at: datetime.datetime) -> str:
    """UTC with milliseconds."""
    return at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _offset(minutes: int) -> str:
    """``+08:00``."""
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
