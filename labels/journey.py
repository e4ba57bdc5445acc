"""Where a lot came from and where it went, as far as strangers may know (architecture.md, rule 8).

The issuer's own steps are told with the fields its templates mark public, never with amounts, suppliers or customers.
Lots of other parties further up are told only by region, product family, verdict and date, summed up so that no party
can be made out. Goods sent on are told only to the city.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Min, Q
from django.utils.translation import gettext as _

from trace.among import among
from trace.event_templates import EventTemplate, TemplateField, families, template, templates
from trace.genealogy import Walk, lots_by_pk, walk
from trace.models import Division, Event, EventItem, Lot, Place, Product, TestReport, Transfer
from trace.origins import regions_of
from trace.parts import Entry
from trace.templatetags.ui import moment_text
from trace.units import is_english

MOST_ANCESTORS = 500
MOST_ENTRIES = 40
# Steps that tell of customers, of blocks (the verdict tells those) or of corrections (shown at what they correct).
_NOT_TOLD = frozenset(
    {"ship", "retail", "place_on_sale", "hold", "correct", "pack", "unpack", "return", "destroy", "code"}
)
_PLAIN_TYPES = frozenset({"decimal", "int", "text", "date", "enum", "bool"})
# Public in the templates, but amounts, parties or reports: the page rules allow none of these in the time line.
_NEVER = frozenset(
    {
        "quantity",
        "supplier",
        "contact",
        "issuer",
        "batch_no",
        "production_date",
        "best_before",
        "product_name",
        "lab_cma",
        "report_no",
    }
)
_ICONS = {
    "create": "leaf",
    "transform": "factory",
    "sample": "flask",
    "release": "check",
    "receive": "receive",
    "place": "map",
}
_RESULT = {"pass": "passed", "fail": "failed", "not_judged": "not_judged"}


@dataclass(frozen=True)
class Upstream:
    """Lots of other parties that went in, summed up by region and family: how many, when, and what their tests said."""

    region: str
    family: str
    lots: int
    first: datetime.date
    last: datetime.date
    passed: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Destination:
    """A city goods of this lot were sent to, and when first."""

    city: str
    first: datetime.date


@dataclass(frozen=True)
class Journey:
    """The way of a lot: time line, what others gave, where it went; ``hidden`` counts steps left out."""

    entries: Sequence[Entry] = ()
    upstream: Sequence[Upstream] = ()
    destinations: Sequence[Destination] = ()
    origin: str = ""
    hidden: int = 0
    cut: bool = False


@dataclass(frozen=True)
class Ancestry:
    """The lot, its ancestors by row number (itself included), and which of them are the issuer's own.

    ``grown`` is the division a record names as where goods grew, by the lot's row number.
    """

    lot: Lot
    lots: Mapping[int, Lot]
    walk: Walk
    grown: Mapping[int, str] = field(default_factory=dict)

    def region_code(self, lot: Lot) -> str:
        """The division a lot is from: where its record says it grew, else where it was made; of goods from outside
        the system, received somewhere else, their supplier's seat.
        """
        if lot.pk in self.grown:
            return self.grown[lot.pk]
        place = None if lot.is_external else lot.origin_place
        return place.division_id if place is not None else lot.organisation.division_id

    @property
    def own(self) -> list[int]:
        """Row numbers of the issuer's own lots, the lot itself included."""
        return [
            pk
            for pk, lot in self.lots.items()
            if lot.organisation_id == self.lot.organisation_id and not lot.is_external
        ]

    @property
    def others(self) -> list[int]:
        """Row numbers of the lots of other parties (also those the issuer wrote down for a supplier outside the
        system).
        """
        own = set(self.own)
        return [pk for pk in self.lots if pk not in own]


def ancestry_of(lot: Lot) -> Ancestry:
    """The lot's ancestors, at most 500. A fixed number of queries."""
    walked = walk([lot], "back", limit=MOST_ANCESTORS)
    lots = lots_by_pk(walked.level)
    return Ancestry(lot, lots, walked, _grown(lots))


def _grown(lots: Mapping[int, Lot]) -> dict[int, str]:
    """The division each of these lots is said to come from, where the record of its beginning names one we know."""
    steps = [code for code, each in templates().items() if each.field("origin") is not None]
    events = {lot.origin_event_id for lot in lots.values()}
    rows = Event.objects.filter(among("pk", events), template__in=steps).values_list("pk", "data")
    said = {pk: str(data.get("origin") or "").strip() for pk, data in rows}
    named = regions_of(said.values())
    return {pk: named[text].code for pk, lot in lots.items() if (text := said.get(lot.origin_event_id, "")) in named}


@dataclass
class Regions:
    """Names of divisions down to the county, in the reader's language; asked once for all codes of a page."""

    names: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, codes: Iterable[str]) -> Regions:
        """Fetch what the codes and the levels above them are called. One query."""
        wanted = {part for code in codes for part in _levels(code)}
        return cls({row.code: row.label for row in Division.objects.filter(pk__in=wanted)})

    def county(self, code: str) -> str:
        """Province, city and county as far as known."""
        return self._join(_levels(code))

    def city(self, code: str) -> str:
        """Province and city only."""
        return self._join(_levels(code)[:2])

    def _join(self, codes: Sequence[str]) -> str:
        """Names from the largest down; in English from the smallest up, as addresses are written there."""
        found = list(dict.fromkeys(self.names[code] for code in codes if code in self.names))
        return ", ".join(reversed(found)) if is_english(None) else " ".join(found)


def _levels(code: str) -> list[str]:
    """Codes of province, city and county that a division code lies in (GB/T 2260)."""
    return list(dict.fromkeys([f"{code[:2]}0000", f"{code[:4]}00", code[:6]])) if len(code) >= 6 else []


# ---------------------------------------------------------------- the issuer's own steps


def own_items(ancestry: Ancestry) -> list[EventItem]:
    """Items of the issuer's own steps that made these lots or were done to them, oldest first. One query.

    Inputs are left out: what made the next lot is told by its output, and other things made of the same input are
    other people's goods.
    """
    rows = (
        EventItem.objects.filter(lot__in=ancestry.own, event__corrects=None)
        .exclude(role=EventItem.Role.INPUT)
        .filter(
            Q(event__organisation=ancestry.lot.organisation_id)
            | Q(event__entered_by_organisation=ancestry.lot.organisation_id)
        )
        .select_related("event__place__division", "event__organisation")
        .order_by("event__occurred_at", "event_id", "number")
    )
    return list(rows)


def corrections_of(items: Sequence[EventItem]) -> dict[int, Event]:
    """Error declarations about these items' events, by the row number of the event declared wrong. One query."""
    declared = Event.objects.filter(corrects__in={item.event_id for item in items})
    return {event.corrects_id: event for event in declared if event.corrects_id is not None}


def amended_dates(lot: Lot, items: Sequence[EventItem], corrections: Mapping[int, Event]) -> dict[str, str]:
    """The lot's dates as they were before a correction, where they differ from what stands now."""
    found: dict[str, str] = {}
    for item in items:
        if item.lot_id != lot.pk or not item.ilmd.get("begins") or item.event_id not in corrections:
            continue
        for name, key in (("produced_on", "producedOn"), ("expires_on", "expiresOn")):
            old = item.ilmd.get(key)
            now = getattr(lot, name)
            if old and old != (now.isoformat() if now else None):
                found[name] = moment_text(datetime.date.fromisoformat(old))
    return found


def timeline(
    ancestry: Ancestry, items: Sequence[EventItem], corrections: Mapping[int, Event]
) -> tuple[list[Entry], int]:
    """The issuer's own steps in order, each event once, and how many were left out because they are too many."""
    events: dict[int, Event] = {}
    lots: dict[int, list[int]] = defaultdict(list)
    for item in items:
        events[item.event_id] = item.event
        if item.lot_id is not None:
            lots[item.event_id].append(item.lot_id)
    told = [event for event in events.values() if is_told(event)]
    kept = told if len(told) <= MOST_ENTRIES else [*told[: MOST_ENTRIES // 2], *told[-MOST_ENTRIES // 2 :]]
    entries = [_entry(event, ancestry, lots[event.pk], corrections.get(event.pk)) for event in kept]
    return entries, len(told) - len(kept)


def is_told(event: Event) -> bool:
    """Whether strangers hear of this step."""
    found = template(event.template)
    if found.biz_step == "sensor_reporting":
        return bool(_words(found, event.data))
    return found.moves not in _NOT_TOLD


def _entry(event: Event, ancestry: Ancestry, lots: Collection[int], correction: Event | None) -> Entry:
    """One step as the time line shows it; a step declared wrong is struck through and says so."""
    found = template(event.template)
    what = found.label()
    about = [ancestry.lots[pk] for pk in dict.fromkeys(lots) if pk in ancestry.lots and pk != ancestry.lot.pk]
    if about and ancestry.lot.pk not in lots:
        what = _("%(step)s（%(product)s）") % {"step": what, "product": _product_name(about[-1])}
    words = _words(found, event.data)
    old, text = "", words
    if correction is not None:
        old = f"{what} {words}".strip()
        what = _("已更正")
        text = _("%(when)s 声明：%(reason)s") % {
            "when": moment_text(correction.occurred_at),
            "reason": Event.ErrorReason(correction.error_reason).label,
        }
    return Entry(
        at=event.occurred_at,
        title=what,
        place=_place(event.place),
        text=text,
        who="",
        source="sensor" if found.biz_step == "sensor_reporting" else "",
        icon="edit" if correction is not None else _ICONS.get(found.moves, "dot"),
        old=old,
        tone="mute" if correction is not None else "",
        precision=event.precision,
        offset=event.tz_offset,
    )


def _product_name(lot: Lot) -> str:
    """The name without pack size: an intermediate's pack says nothing to a consumer."""
    return lot.product_version.label if not lot.product_version.spec else str(lot.product_version.name)


def _place(place: Place | None) -> str:
    """A place as strangers hear of it: its kind and division, but not its name, which may be a person's or a vessel's
    number.
    """
    if place is None:
        return ""
    return f"{place.division.label} · {place.get_kind_display()}"


def _words(found: EventTemplate, data: Mapping[str, Any]) -> str:
    """The template's public fields that were filled in, as words."""
    parts = []
    for each in found.public_fields:
        value = data.get(each.key)
        if value in (None, "") or not _may_tell(found, each):
            continue
        parts.append(_fact(each, value))
    return " · ".join(parts)


def _may_tell(found: EventTemplate, each: TemplateField) -> bool:
    """Public, of a plain type, and neither an amount nor a party."""
    amounts = {found.amount_field, *found.input_amount_fields}
    plain = each.type in _PLAIN_TYPES
    return plain and not each.personal and each.key not in _NEVER and each.key not in amounts and not each.limit_ref


def _fact(each: TemplateField, value: Any) -> str:
    """One field with its value; a yes is the field's own words."""
    if each.type == "bool" and value:
        return each.label()
    return _("%(name)s：%(value)s") % {"name": each.label(), "value": _value(each, value)}


def _value(each: TemplateField, value: Any) -> str:
    """One value with its unit, in the reader's language."""
    if each.choices:
        return each.choice_label(value)
    if each.type == "bool":
        return _("否")
    if each.type == "date":
        try:
            return moment_text(datetime.date.fromisoformat(str(value)))
        except ValueError:
            return str(value)
    return f"{value} {each.unit_label()}".strip()


# ---------------------------------------------------------------- other parties


def upstream(ancestry: Ancestry, reports: Iterable[TestReport], regions: Regions) -> list[Upstream]:
    """Lots of other parties, summed up by region and family."""
    results: dict[int, list[str]] = defaultdict(list)
    for report in reports:
        results[report.lot_id].append(report.verdict)
    groups: dict[tuple[str, str], list[Lot]] = defaultdict(list)
    for pk in ancestry.others:
        lot = ancestry.lots[pk]
        groups[(regions.county(ancestry.region_code(lot)), family_name(lot.product))].append(lot)
    found = []
    for (region, family_label), lots in groups.items():
        days = sorted(moment_day(lot.begun_at) for lot in lots)
        verdicts = [verdict for lot in lots for verdict in results[lot.pk]]
        found.append(
            Upstream(
                region=region,
                family=family_label,
                lots=len(lots),
                first=days[0],
                last=days[-1],
                passed=verdicts.count(TestReport.Verdict.PASS),
                failed=verdicts.count(TestReport.Verdict.FAIL),
            )
        )
    return sorted(found, key=lambda group: (group.first, group.region, group.family))


def moment_day(at: datetime.datetime) -> datetime.date:
    """The day of an instant in Asia/Shanghai."""
    return at.astimezone(datetime.timezone(datetime.timedelta(hours=8))).date()


def family_name(product: Product) -> str:
    """The product family's name and what kind of goods it is (原料, 半成品 …)."""
    known = families().get(product.family)
    kind = str(Product.Kind(product.kind).label)
    return f"{known.label()} · {kind}" if known is not None and product.family != "common" else kind


def destinations(lot: Lot) -> list[tuple[str, datetime.date]]:
    """Division codes the issuer sent goods of this lot to, with the first day. One query."""
    rows = (
        Transfer.objects.filter(lot=lot, sender=lot.organisation_id, voided_by=None)
        .values("receiver__division_id")
        .annotate(first=Min("shipment__sent_at"), n=Count("id"))
        .order_by("first")
    )
    return [(row["receiver__division_id"], moment_day(row["first"])) for row in rows]


def to_cities(rows: Iterable[tuple[str, datetime.date]], regions: Regions) -> list[Destination]:
    """The same by city, each once, earliest first."""
    found: dict[str, datetime.date] = {}
    for code, first in rows:
        city = regions.city(code)
        if city:
            found[city] = min(first, found.get(city, first))
    return [Destination(city, first) for city, first in sorted(found.items(), key=lambda pair: (pair[1], pair[0]))]
