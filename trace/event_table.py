"""The sortable table of everything that happened to some lots: one row per event with all its key data elements.

Who, what, when, where and why (EPCIS 2.0), lots and products with amounts in base units, partner, document numbers,
when and by whom it was recorded: the sortable spreadsheet that rules like 21 CFR 1 Subpart S ask for within a day. Cost
grows with the events found; they are read a thousand at a time.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import models
from django.db.models import F, Max, Min
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.access import entered_for, events_visible_to
from trace.actor import Actor
from trace.among import among
from trace.exports import Cell, Column, Table, micros
from trace.lists import event_time, step_name
from trace.models import (
    Event,
    EventItem,
    Lot,
    Organisation,
    Place,
    Product,
    ProductVersion,
    Shipment,
    Transfer,
    User,
)
from trace.units import format_amount, unit_name

CHUNK = 1_000
LOTS_AT_ONCE = 5_000
SORTS = ("number", "time", "recorded", "step", "organisation", "place", "partner", "lot", "amount")
"""What the table is sorted by; a minus in front turns it round."""
DOCUMENT_KEYS = (
    "waybill",
    "doc_no",
    "report_no",
    "certificate_no",
    "permit_no",
    "quarantine_no",
    "invoice_no",
    "contract_no",
    "recall_case",
)
"""Fields of templates that number a document."""


def events_of_lots(actor: Actor, lots: Iterable[int]) -> list[int]:
    """Row numbers of the events the actor may read that name one of these lots, in log order. Two queries per 5,000
    lots.
    """
    ids = sorted(set(lots))
    named: set[int] = set()
    for begin in range(0, len(ids), LOTS_AT_ONCE):
        rows = EventItem.objects.filter(lot__in=ids[begin : begin + LOTS_AT_ONCE])
        named.update(rows.values_list("event", flat=True))
    found: list[tuple[int, int]] = []
    wanted = sorted(named)
    for begin in range(0, len(wanted), LOTS_AT_ONCE):
        seen = events_visible_to(actor).filter(pk__in=wanted[begin : begin + LOTS_AT_ONCE], log__isnull=False)
        found += seen.values_list("log__number", "pk")
    return [pk for _number, pk in sorted(found)]


def in_order(events: Sequence[int], sort: str) -> list[int]:
    """These events (in log order) sorted; equal ones stay in log order, blanks come last. What is no sort changes
    nothing.
    """
    key, turned = sort.removeprefix("-"), sort.startswith("-")
    if key not in SORTS or key == "number":
        return list(reversed(events)) if turned else list(events)
    keys = _keys(events, key)
    filled = [pk for pk in events if keys.get(pk) not in (None, "")]
    blank = [pk for pk in events if keys.get(pk) in (None, "")]
    return [*sorted(filled, key=lambda pk: keys[pk], reverse=turned), *blank]


_COLUMNS = {
    "time": "occurred_at",
    "recorded": "recorded_at",
    "step": "template",
    "organisation": "organisation__name",
    "place": "place__name",
    "partner": "counterparty__name",
}


def _keys(events: Sequence[int], key: str) -> dict[int, Any]:
    """What to sort each event by."""
    found: dict[int, Any] = {}
    for begin in range(0, len(events), LOTS_AT_ONCE):
        part = events[begin : begin + LOTS_AT_ONCE]
        if key in _COLUMNS:
            found.update(Event.objects.filter(pk__in=part).values_list("pk", _COLUMNS[key]))
        else:
            what = Min("lot__lot_code") if key == "lot" else Max("micros")
            rows = EventItem.objects.filter(event__in=part).order_by().values("event").annotate(key=what)
            found.update(rows.values_list("event", "key"))
    return {pk: step_name(value) for pk, value in found.items()} if key == "step" else found


def load(events: Sequence[int]) -> Iterator[Event]:
    """These events in this order with all that a row shows (``found_items``, ``papers``, ``is_wrong``); a dozen queries
    per thousand.

    Organisations, people, places and products are few: each is read and made once, however many events name it. Joined
    to each row, or prefetched, they took most of the time of a hundred thousand events.
    """
    known: dict[type[models.Model], dict[Any, Any]] = {}
    for begin in range(0, len(events), CHUNK):
        part = events[begin : begin + CHUNK]
        rows = {row.pk: row for row in Event.objects.filter(pk__in=part).annotate(number=F("log__number"))}
        items = list(EventItem.objects.filter(event__in=part).order_by("event", "number"))
        lots = Lot.objects.filter(among("pk", {item.lot_id for item in items if item.lot_id})).only(
            "lot_code", "display_code", "product", "product_version"
        )
        found = {lot.pk: lot for lot in lots}
        _attach(known, Organisation, rows.values(), "organisation", "entered_by_organisation", "counterparty")
        _attach(known, Place, rows.values(), "place")
        _attach(known, User, rows.values(), "entered_by")
        _attach(known, Product, found.values(), "product")
        _attach(known, ProductVersion, found.values(), "product_version")
        _attach_papers(rows)
        for item in items:
            item._state.fields_cache["lot"] = found[item.lot_id] if item.lot_id else None
            rows[item.event_id].found_items.append(item)  # type: ignore[attr-defined]
        yield from (rows[pk] for pk in part)


def _attach(
    known: dict[type[models.Model], dict[Any, Any]], model: type[models.Model], rows: Iterable[Any], *fields: str
) -> None:
    """Set these foreign keys of the rows to objects made once; those not known yet are read with their division."""
    have = known.setdefault(model, {})
    wanted = {getattr(row, f"{field}_id") for row in rows for field in fields} - {None} - set(have)
    if wanted:
        fresh = model._default_manager.filter(among("pk", wanted))
        have.update((fresh.select_related("division") if model in (Organisation, Place) else fresh).in_bulk())
    for row in rows:
        for field in fields:
            key = getattr(row, f"{field}_id")
            row._state.fields_cache[field] = have[key] if key is not None else None


def _attach_papers(rows: Mapping[int, Event]) -> None:
    """The numbers of slips that belong to each event, and whether it was declared wrong."""
    for row in rows.values():
        row.found_items, row.papers, row.is_wrong = [], [], False  # type: ignore[attr-defined]
    sent = Shipment.objects.filter(event__in=rows).values_list("event", "number")
    received = Transfer.objects.filter(received_by__in=rows).values_list("received_by", "shipment__number")
    for event, number in [*sent, *received.order_by("id")]:
        if event is not None:
            rows[event].papers.append(number)  # type: ignore[attr-defined]
    for wrong in Event.objects.filter(corrects__in=rows).values_list("corrects", flat=True):
        if wrong is not None:
            rows[wrong].is_wrong = True  # type: ignore[attr-defined]


def columns(actor: Actor) -> list[tuple[str, Column]]:
    """The columns with the sort each stands for (empty: none). Where others keep their goods is theirs to tell."""
    mine = set(entered_for(actor))

    def placed(value: Callable[[Event], Cell]) -> Callable[[Event], Cell]:
        return lambda event: value(event) if actor.is_regulator or event.organisation_id in mine else ""

    return [
        ("number", Column(gettext_lazy("日志编号"), lambda event: event.number)),
        ("time", Column(gettext_lazy("发生时间"), event_time)),
        ("step", Column(gettext_lazy("环节"), lambda event: step_name(event.template))),
        ("organisation", Column(gettext_lazy("单位"), lambda event: event.organisation.label)),
        ("place", Column(gettext_lazy("地点"), placed(lambda event: event.place.label if event.place else ""))),
        ("", Column(gettext_lazy("地点区划"), placed(_division))),
        ("partner", Column(gettext_lazy("对方单位"), lambda event: _label(event.counterparty))),
        ("lot", Column(gettext_lazy("投入批次"), lambda event: _lots(event, "input"))),
        ("", Column(gettext_lazy("产出批次"), lambda event: _lots(event, "output"))),
        ("", Column(gettext_lazy("涉及批次"), lambda event: _lots(event, "subject"))),
        ("", Column(gettext_lazy("产品"), _products)),
        ("", Column(gettext_lazy("投入数量"), lambda event: _total(event, "input"))),
        ("amount", Column(gettext_lazy("产出数量"), lambda event: _total(event, "output"))),
        ("", Column(gettext_lazy("涉及数量"), lambda event: _total(event, "subject"))),
        ("", Column(gettext_lazy("计量单位"), _unit)),
        ("", Column(gettext_lazy("单据号"), _documents)),
        ("", Column(gettext_lazy("业务步骤"), lambda event: event.local_step or event.biz_step)),
        ("", Column(gettext_lazy("处置状态"), lambda event: event.disposition)),
        ("", Column(gettext_lazy("事件类型"), lambda event: event.event_type)),
        ("", Column(gettext_lazy("登记人"), _who)),
        ("recorded", Column(gettext_lazy("登记时间"), lambda event: event.recorded_at)),
        ("", Column(gettext_lazy("状态"), _state)),
        ("", Column(gettext_lazy("事件编号"), lambda event: str(event.uid))),
    ]


def table(actor: Actor, name: str) -> Table:
    """The table as a file."""
    return Table(name, [column for _sort, column in columns(actor)])


def _found(event: Event) -> list[EventItem]:
    """The items that ``load`` hung on the event."""
    items: list[EventItem] = event.found_items  # type: ignore[attr-defined]
    return items


def _label(row: Any) -> str:
    return str(row.label) if row is not None else ""


def _who(event: Event) -> str:
    """Who wrote it down; the organisation too where it was entered for another (代录)."""
    person = event.entered_by.display_name if event.entered_by is not None else ""
    if event.entered_by_organisation_id == event.organisation_id:
        return person
    return " ".join(part for part in (event.entered_by_organisation.label, person) if part)


def _division(event: Event) -> str:
    return event.place.division.label if event.place is not None else event.organisation.division.label


def _items(event: Event, role: str) -> list[EventItem]:
    return [item for item in _found(event) if item.role == role and item.lot is not None]


def _lots(event: Event, role: str) -> str:
    """Each lot of a role with its amount in the base unit."""
    words: list[str] = []
    for item in _items(event, role):
        lot = item.lot
        if lot is None:
            continue
        amount = f" {format_amount(abs(item.micros), lot.product.base_unit)}" if item.micros else ""
        words.append(f"{lot.code}{amount}")
    return _("；").join(dict.fromkeys(words))


def _products(event: Event) -> str:
    names = [item.lot.product_version.label for item in _found(event) if item.lot is not None]
    return _("、").join(dict.fromkeys(names))


def _units(event: Event) -> set[str]:
    return {item.lot.product.base_unit for item in _found(event) if item.lot is not None and item.micros}


def _total(event: Event, role: str) -> Cell:
    """The sum of one role where all is in one unit; goods moved between holders count once."""
    items = [item for item in _items(event, role) if item.micros]
    if not items or len(_units(event)) != 1:
        return None
    gone = -sum(item.micros for item in items if item.micros < 0)
    return micros(max(gone, sum(item.micros for item in items if item.micros > 0)))


def _unit(event: Event) -> str:
    units = _units(event)
    return unit_name(units.pop()) if len(units) == 1 else ""


def _documents(event: Event) -> str:
    """The numbers of slips and papers that belong to the event."""
    found = [str(event.data[key]) for key in DOCUMENT_KEYS if event.data.get(key)]
    found += event.papers  # type: ignore[attr-defined]
    return _("；").join(dict.fromkeys(found))


def _state(event: Event) -> str:
    """Whether it stands, and whether records contradict it."""
    if event.is_wrong:  # type: ignore[attr-defined]
        return _("已声明有误")
    if event.corrects_id is not None:
        return _("更正声明")
    return _("有矛盾") if event.flags else ""


def cells(actor: Actor, events: Sequence[Event]) -> list[list[Cell]]:
    """The rows of one page of the screen."""
    return Table("", [column for _sort, column in columns(actor)]).cells(events)


def moment_words(cell: Cell) -> Cell:
    """A cell as the screen shows it."""
    if isinstance(cell, datetime.datetime):
        return timezone.localtime(cell).strftime("%Y-%m-%d %H:%M")
    return cell.isoformat() if isinstance(cell, datetime.date) else cell
