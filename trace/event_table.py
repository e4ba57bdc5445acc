"""The sortable table of everything that happened to some lots: one row per event with all its key data elements.

Who, what, when, where and why (EPCIS 2.0), lots and products with amounts in base units, partner, document numbers,
when and by whom it was recorded: the sortable spreadsheet that rules like 21 CFR 1 Subpart S ask for within a day. Cost
grows with the events found; they are read two thousand at a time, as plain values: objects of each event and item took
most of the time of a hundred thousand rows.
"""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import models
from django.db.models import Max, Min, TextField
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.access import entered_for, events_visible_to
from trace.actor import Actor
from trace.among import among
from trace.exports import Cell, Column, Table, micros
from trace.lists import step_name
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

CHUNK = 2_000
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
        rows = EventItem.objects.filter(among("lot", ids[begin : begin + LOTS_AT_ONCE]))
        named.update(rows.values_list("event", flat=True))
    found: list[tuple[int, int]] = []
    wanted = sorted(named)
    for begin in range(0, len(wanted), LOTS_AT_ONCE):
        seen = events_visible_to(actor).filter(among("pk", wanted[begin : begin + LOTS_AT_ONCE]), log__isnull=False)
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
            found.update(Event.objects.filter(among("pk", part)).values_list("pk", _COLUMNS[key]))
        else:
            what = Min("lot__lot_code") if key == "lot" else Max("micros")
            rows = EventItem.objects.filter(among("event", part)).order_by().values("event").annotate(key=what)
            found.update(rows.values_list("event", "key"))
    return {pk: step_name(value) for pk, value in found.items()} if key == "step" else found


_HEADINGS = (
    ("number", gettext_lazy("日志编号")),
    ("time", gettext_lazy("发生时间")),
    ("step", gettext_lazy("环节")),
    ("organisation", gettext_lazy("单位")),
    ("place", gettext_lazy("地点")),
    ("", gettext_lazy("地点区划")),
    ("partner", gettext_lazy("对方单位")),
    ("lot", gettext_lazy("投入批次")),
    ("", gettext_lazy("产出批次")),
    ("", gettext_lazy("涉及批次")),
    ("", gettext_lazy("产品")),
    ("", gettext_lazy("投入数量")),
    ("amount", gettext_lazy("产出数量")),
    ("", gettext_lazy("涉及数量")),
    ("", gettext_lazy("计量单位")),
    ("", gettext_lazy("单据号")),
    ("", gettext_lazy("业务步骤")),
    ("", gettext_lazy("处置状态")),
    ("", gettext_lazy("事件类型")),
    ("", gettext_lazy("登记人")),
    ("recorded", gettext_lazy("登记时间")),
    ("", gettext_lazy("状态")),
    ("", gettext_lazy("事件编号")),
)
COLUMNS: Sequence[tuple[str, Column]] = [
    (sort, Column(words, itemgetter(place))) for place, (sort, words) in enumerate(_HEADINGS)
]
"""The columns with the sort each stands for (empty: none)."""
_ROLES = ("input", "output", "subject")


def table(name: str) -> Table:
    """The table as a file; its rows are those of ``rows``."""
    return Table(name, [column for _sort, column in COLUMNS])


class _Item(NamedTuple):
    """One lot in an event: its role, signed millionths, code, base unit and what it is."""

    role: str
    micros: int
    code: str
    unit: str
    product: str


class _Facts(NamedTuple):
    """What is read of an event; organisations, places and people by row number."""

    pk: int
    number: int
    uid: uuid.UUID
    at: datetime.datetime
    precision: str
    template: str
    organisation: int
    place: int | None
    partner: int | None
    local_step: str
    biz_step: str
    disposition: str
    kind: str
    entered_by: int | None
    entered_for: int
    recorded_at: datetime.datetime
    corrects: int | None
    flags: list[Any]
    data: str


_FIELDS = (
    "pk", "log__number", "uid", "occurred_at", "precision", "template", "organisation", "place", "counterparty",
    "local_step", "biz_step", "disposition", "event_type", "entered_by", "entered_by_organisation", "recorded_at",
    "corrects", "flags",
)  # fmt: skip
_NUMBERED = re.compile("|".join(f'"{key}"' for key in DOCUMENT_KEYS))


class _Words:
    """Names said once, in the reader's language: organisations, places, people and products are few beside events."""

    def __init__(self) -> None:
        self.parties: dict[int | None, str] = {None: ""}
        self.divisions: dict[int, str] = {}
        self.places: dict[int | None, tuple[str, str]] = {}
        self.people: dict[int | None, str] = {None: ""}
        self.units: dict[int, str] = {}
        self.products: dict[int, str] = {}
        self.steps: dict[str, str] = {}
        self.also, self.beside = _("；"), _("、")
        self.wrong, self.correction, self.flagged = _("已声明有误"), _("更正声明"), _("有矛盾")

    def learn(self, events: Iterable[_Facts]) -> None:
        """Read the names these events need and that are not known yet; three queries at most."""
        wanted = {pk for one in events for pk in (one.organisation, one.partner, one.entered_for)}
        for party in _unknown(Organisation, wanted, self.parties).select_related("division"):
            self.parties[party.pk], self.divisions[party.pk] = party.label, party.division.label
        for place in _unknown(Place, {one.place for one in events}, self.places).select_related("division"):
            self.places[place.pk] = (place.label, place.division.label)
        for person in _unknown(User, {one.entered_by for one in events}, self.people):
            self.people[person.pk] = person.display_name
        for code in {one.template for one in events} - self.steps.keys():
            self.steps[code] = step_name(code)

    def learn_goods(self, products: set[int], versions: set[int]) -> None:
        """The same for products and what is printed on them; two queries at most."""
        for product in _unknown(Product, products, self.units):
            self.units[product.pk] = product.base_unit
        for version in _unknown(ProductVersion, versions, self.products):
            self.products[version.pk] = version.label


def _unknown(model: type[models.Model], wanted: Iterable[int | None], known: Any) -> Any:
    """The rows of these whose words are not known yet."""
    fresh = {pk for pk in wanted if pk is not None and pk not in known}
    rows = model._default_manager.all()
    return rows.filter(among("pk", fresh)) if fresh else rows.none()


def rows(actor: Actor, events: Sequence[int]) -> Iterator[list[Cell]]:
    """These events in this order as rows of cells, in the language of who reads them; a dozen queries per two thousand.

    Where others keep their goods is theirs to tell.
    """
    words = _Words()
    mine = None if actor.is_regulator else set(entered_for(actor))
    for begin in range(0, len(events), CHUNK):
        part = events[begin : begin + CHUNK]
        found = {
            row[0]: _Facts(*row)
            for row in Event.objects.filter(among("pk", part))
            .annotate(text=Cast("data", TextField()))
            .values_list(*_FIELDS, "text")
        }
        words.learn(found.values())
        items, papers, wrong = _items(part, words), _papers(part), _wrong(part)
        for pk in part:
            one = found[pk]
            placed = mine is None or one.organisation in mine
            yield _row(one, items.get(pk, []), papers.get(pk, []), pk in wrong, placed, words)


def _items(events: Sequence[int], words: _Words) -> dict[int, list[_Item]]:
    """The lots of these events, as they were named; two queries and those for new names."""
    named = list(
        EventItem.objects.filter(among("event", events), lot__isnull=False)
        .order_by("event", "number")
        .values_list("event", "role", "micros", "lot")
    )
    read = Lot.objects.filter(among("pk", {lot for _event, _role, _micros, lot in named if lot is not None}))
    lots = {
        pk: (display or code, product, version)
        for pk, display, code, product, version in read.values_list(
            "pk", "display_code", "lot_code", "product", "product_version"
        )
    }
    words.learn_goods({row[1] for row in lots.values()}, {row[2] for row in lots.values()})
    found: dict[int, list[_Item]] = {}
    for event, role, moved, lot in named:
        if lot is not None:
            code, product, version = lots[lot]
            item = _Item(role, moved, code, words.units[product], words.products[version])
            found.setdefault(event, []).append(item)
    return found


def _papers(events: Sequence[int]) -> dict[int, list[str]]:
    """The numbers of the slips that belong to each event: sent with it, received by it."""
    found: dict[int, list[str]] = {}
    sent = Shipment.objects.filter(among("event", events)).order_by("id").values_list("event", "number")
    received = Transfer.objects.filter(among("received_by", events)).order_by("id")
    for event, number in [*sent, *received.values_list("received_by", "shipment__number")]:
        if event is not None:
            found.setdefault(event, []).append(number)
    return found


def _wrong(events: Sequence[int]) -> set[int]:
    """Those of these events that were declared wrong."""
    rows = Event.objects.filter(among("corrects", events)).values_list("corrects", flat=True)
    return {pk for pk in rows if pk is not None}


def _row(
    event: _Facts, items: Sequence[_Item], papers: Sequence[str], is_wrong: bool, placed: bool, words: _Words
) -> list[Cell]:
    """One event as cells, in the order of the headings. Sums are of what is in one unit; goods moved between holders
    count once.
    """
    units = {item.unit for item in items if item.micros}
    one_unit = len(units) == 1
    lots: list[Cell] = []
    sums: list[Cell] = []
    for role in _ROLES:
        some = [item for item in items if item.role == role]
        lots.append(words.also.join(dict.fromkeys(_named(item) for item in some)))
        moved = [item.micros for item in some if item.micros]
        if not moved or not one_unit:
            sums.append(None)
        else:
            sums.append(micros(max(-sum(n for n in moved if n < 0), sum(n for n in moved if n > 0))))
    place, division = "", ""
    if placed:
        place, division = words.places[event.place] if event.place else ("", words.divisions[event.organisation])
    person = words.people[event.entered_by]
    if event.entered_for != event.organisation:
        person = " ".join(part for part in (words.parties[event.entered_for], person) if part)
    documents = list(papers)
    if _NUMBERED.search(event.data):
        data = json.loads(event.data)
        documents = [*(str(data[key]) for key in DOCUMENT_KEYS if data.get(key)), *papers]
    state = words.flagged if event.flags else ""
    if is_wrong:
        state = words.wrong
    elif event.corrects is not None:
        state = words.correction
    return [
        event.number,
        timezone.localtime(event.at).date() if event.precision == "day" else event.at,
        words.steps[event.template],
        words.parties[event.organisation],
        place,
        division,
        words.parties[event.partner],
        *lots,
        words.beside.join(dict.fromkeys(item.product for item in items)),
        *sums,
        unit_name(units.pop()) if one_unit else "",
        words.also.join(dict.fromkeys(documents)),
        event.local_step or event.biz_step,
        event.disposition,
        event.kind,
        person,
        event.recorded_at,
        state,
        str(event.uid),
    ]


def _named(item: _Item) -> str:
    """A lot with its amount in the base unit."""
    return f"{item.code} {format_amount(abs(item.micros), item.unit)}" if item.micros else item.code


def moment_words(cell: Cell) -> Cell:
    """A cell as the screen shows it."""
    if isinstance(cell, datetime.datetime):
        return timezone.localtime(cell).strftime("%Y-%m-%d %H:%M")
    return cell.isoformat() if isinstance(cell, datetime.date) else cell
