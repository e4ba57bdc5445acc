"""Deriving everything again from the events, to prove that the derived rows say what the events say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Prefetch, Q

from trace import derive, ledger
from trace.actions.capture import facts_of
from trace.actions.unit_codes import make_units
from trace.actions.unit_states import write_states
from trace.event_templates import template
from trace.models import Conflict, Event, EventItem, IssuedCodes, LogHead, Lot, LotLink, Stock, Transfer, Unit
from trace.units import EnteredAmount, recompute_micros


@dataclass
class Report:
    """What ``rebuild`` found: how many rows it compared, and each difference in words."""

    events: int = 0
    rows: int = 0
    differences: list[str] = field(default_factory=list)

    def differ(self, what: str) -> None:
        """Note one difference."""
        self.differences.append(what)


def _events(report: Report) -> Iterator[derive.EventFacts]:
    """All events in log order as plain facts; also checks each item's arithmetic again from what was entered."""
    rows = (
        Event.objects.filter(log__isnull=False)
        .order_by("log__number")
        .prefetch_related(Prefetch("items", EventItem.objects.order_by("number")))
    )
    for event in rows.iterator(chunk_size=1000):
        report.events += 1
        items = list(event.items.all())
        for item in items:
            if item.factor:
                entered = EnteredAmount(item.entered, item.entered_unit, item.factor, 0)
                if item.micros and abs(item.micros) != recompute_micros(entered):
                    report.differ(f"item {item.number} of event {event.uid}: amount is not entry × factor")
        yield facts_of(event, items, template(event.template).moves)


@transaction.atomic
def rebuild(*, write: bool) -> Report:
    """Fold all events and compare with the derived rows; with ``write`` put right what differs (never the events).

    Compares lots (begin, amount made, release, void), stock, links, receipts, units and flagged conflicts, and
    verifies the log's hashes. Holds the log head, so nothing is captured meanwhile. Memory grows with lots and links.
    """
    report = Report()
    if write:
        LogHead.objects.select_for_update().filter(id=1).first()
    world = derive.fold(_events(report))
    _stock(world, report, write)
    _links(world, report, write)
    _lots(world, report, write)
    _receipts(world, report, write)
    _units(world, report, write)
    _codes(report, write)
    _conflicts(report)
    for fault in ledger.verify():
        report.differ(f"log entry {fault.number}: {fault.what}")
    return report


def _stock(world: derive.World, report: Report, write: bool) -> None:
    """Each holder's amount of each lot at each place."""
    wanted = {key: micros for key, micros in world.stock.items() if micros}
    for row in Stock.objects.iterator():
        report.rows += 1
        key = (row.lot_id, row.organisation_id, row.place_id)
        micros = wanted.pop(key, 0)
        if micros != row.micros:
            report.differ(f"stock {key}: {row.micros}, events say {micros}")
            if write:
                Stock.objects.filter(pk=row.pk).update(micros=micros)
    for (lot, holder, place), micros in wanted.items():
        report.differ(f"stock {(lot, holder, place)} is missing: events say {micros}")
        if write:
            Stock.objects.create(lot_id=lot, organisation_id=holder, place_id=place, micros=micros)


def _links(world: derive.World, report: Report, write: bool) -> None:
    """Each edge of the genealogy."""
    wanted = dict(world.links)
    for row in LotLink.objects.iterator():
        report.rows += 1
        key = (row.event_id, row.parent_id, row.child_id)
        if key not in wanted:
            report.differ(f"link {key} follows from no event")
            if write:
                row.delete()
            continue
        micros, voided_by = wanted.pop(key)
        if (row.input_micros, row.voided_by_id) != (micros, voided_by):
            report.differ(f"link {key}: {(row.input_micros, row.voided_by_id)}, events say {(micros, voided_by)}")
            if write:
                LotLink.objects.filter(pk=row.pk).update(input_micros=micros, voided_by=voided_by)
    if not wanted:
        return
    owners = dict(Event.objects.filter(pk__in={key[0] for key in wanted}).values_list("pk", "organisation"))
    for (event, parent, child), (micros, voided_by) in wanted.items():
        report.differ(f"link {(event, parent, child)} is missing")
        if write:
            LotLink.objects.create(
                event_id=event,
                parent_id=parent,
                child_id=child,
                input_micros=micros,
                voided_by_id=voided_by,
                organisation_id=owners[event],
            )


def _lots(world: derive.World, report: Report, write: bool) -> None:
    """Beginning, amount made, release and void of each lot, and its own data as the beginning event carries it."""
    begun = {
        (item.lot_id, item.event_id): item.ilmd
        for item in EventItem.objects.filter(role="output").only("lot_id", "event_id", "ilmd").iterator()
    }
    for lot in Lot.objects.select_related("origin_event").iterator():
        report.rows += 1
        releases = world.released.get(lot.pk, [])
        says = {
            "origin_event_id": world.begun.get(lot.pk),
            "made_micros": world.made.get(lot.pk, 0),
            "voided_by_id": world.voided.get(lot.pk),
            "released_by_id": releases[0] if releases else None,
            "begun_at": lot.origin_event.occurred_at,
        }
        ilmd = begun.get((lot.pk, lot.origin_event_id), {})
        for key, value in (
            ("producedOn", lot.produced_on.isoformat() if lot.produced_on else None),
            ("expiresOn", lot.expires_on.isoformat() if lot.expires_on else None),
        ):
            if ilmd.get(key) != value:
                report.differ(f"lot {lot.uid}: {key} is {value}, its event says {ilmd.get(key)}")
        wrong = {name: value for name, value in says.items() if getattr(lot, name) != value}
        for name, said in wrong.items():
            report.differ(f"lot {lot.uid}: {name} is {getattr(lot, name)}, events say {said}")
        if wrong and write:
            Lot.objects.filter(pk=lot.pk).update(**wrong)


def _receipts(world: derive.World, report: Report, write: bool) -> None:
    """What each receiver said arrived, and which shipments were declared wrong."""
    for row in Transfer.objects.select_related("shipment").iterator():
        report.rows += 1
        micros, event = world.received.get(row.pk, (None, None))
        undone = world.undone.get(row.shipment.event_id)
        if (row.received_micros, row.received_by_id, row.voided_by_id) != (micros, event, undone):
            report.differ(f"transfer {row.uid}: receipt is not what the events say")
            if write:
                rows = Event.objects.filter(pk=event) if event is not None else Event.objects.none()
                occurred = rows.values_list("occurred_at", flat=True).first()
                Transfer.objects.filter(pk=row.pk).update(
                    received_micros=micros, received_by=event, received_at=occurred, voided_by=undone
                )


def _units(world: derive.World, report: Report, write: bool) -> None:
    """Where each unit is: its pack, who has it, what it is on its way by, which code replaced it."""
    report.rows += len(world.units)
    wrong: dict[int, derive.UnitState] = {}
    seen: set[int] = set()
    told = Q(parent__isnull=False) | Q(holder__isnull=False) | Q(transit__isnull=False) | Q(container=True)
    told |= Q(replaced_by__isnull=False)
    rows = Unit.objects.filter(told).values_list("pk", "parent", "holder", "transit", "container", "replaced_by")
    for unit, parent, holder, transit, container, replaced_by in rows.iterator():
        seen.add(unit)
        state = derive.UnitState(parent, holder, transit, container, replaced_by)
        says = world.units.get(unit, derive.NOWHERE)
        if state != says:
            report.differ(f"unit {unit}: {state}, events say {says}")
            wrong[unit] = says
    for unit, says in world.units.items():
        if unit not in seen and says != derive.NOWHERE:
            report.differ(f"unit {unit}: nowhere, events say {says}")
            wrong[unit] = says
    if write:
        write_states(wrong)


def _codes(report: Report, write: bool) -> None:
    """The units each commissioning event issued: their codes are kept beside it and proved by the digest in it."""
    for kept in IssuedCodes.objects.select_related("event", "lot").iterator(chunk_size=20):
        codes = kept.listed()
        report.rows += len(codes)
        if kept.event.data.get("issued", {}).get("codes_sha256") != hashlib.sha256(bytes(kept.codes)).hexdigest():
            report.differ(f"event {kept.event.uid}: the issued codes are not those of its digest")
            continue
        wanted = {code: number for number, code in enumerate(codes, kept.first_number)}
        missing = _missing(kept, wanted, report)
        if missing:
            report.differ(f"event {kept.event.uid}: {len(missing)} units are missing or not as issued")
        if missing and write:
            make_units(kept, missing)


def _missing(kept: IssuedCodes, wanted: Mapping[str, int], report: Report) -> dict[str, int]:
    """Codes of an event without a unit row that says the same lot, level, run and number."""
    found: set[str] = set()
    codes = list(wanted)
    for begin in range(0, len(codes), 1000):
        rows = Unit.objects.filter(
            code__in=codes[begin : begin + 1000], lot=kept.lot_id, level=kept.level, run=kept.run
        )
        found.update(code for code, number in rows.values_list("code", "number") if wanted[code] == number)
    return {code: number for code, number in wanted.items() if code not in found}


def _conflicts(report: Report) -> None:
    """Every guard a report was flagged with has its conflict row."""
    rows = set(Conflict.objects.values_list("event", "code"))
    for event in Event.objects.exclude(flags=[]).only("pk", "uid", "flags").iterator():
        for flag in event.flags:
            report.rows += 1
            if (event.pk, flag["code"]) not in rows:
                report.differ(f"event {event.uid}: the conflict {flag['code']} is missing")
