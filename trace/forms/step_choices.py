"""What a step's form offers: lots on hand, products, places, parties, reports, and what was entered last time.

A fixed number of queries however much there is; long lists are cut and the rest is typed or scanned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.access import reports_visible_to
from trace.actor import Actor
from trace.divided import goods_of
from trace.inventory import OnHand, on_hand, own_lots, sent_lots, tested_lots
from trace.models import Division, Event, EventItem, Organisation, Place, Product, Standard, TestReport
from trace.origins import origin_shown
from trace.shipping import partners, party_candidates
from trace.steps import Plan, family_of, steps_before, without_stock
from trace.templatetags.ui import STATES
from trace.units import format_amount, unit_name, units_for

MOST = 100
Pairs = list[tuple[str, str]]
# Never filled in from last time: what was measured, counted or dated belongs to one lot alone.
_FROM_LAST_TIME = frozenset({"enum", "bool", "text", "ref:Location", "ref:ProductStandard", "ref"})
_NEVER_AGAIN = frozenset({"serial", "batch_no", "doc_no", "coliform", "mould", "fault", "reason", "verdict", "url"})
_SET_POINTS = frozenset({"net_content", "label_abv"})


@dataclass(frozen=True)
class LastTime:
    """What was entered the last time this step was recorded: fields to offer again, place, product and unit."""

    data: dict[str, Any] = field(default_factory=dict)
    place: Place | None = None
    product: Product | None = None
    unit: str = ""
    party: Organisation | None = None


@dataclass
class Offer:
    """Everything a form of one plan offers one actor."""

    plan: Plan
    actor: Actor
    lots: list[OnHand] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    parties: list[Organisation] = field(default_factory=list)
    lately: list[Organisation] = field(default_factory=list)
    laboratories: list[Organisation] = field(default_factory=list)
    reports: list[TestReport] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    divisions: list[Division] = field(default_factory=list)
    standards: list[str] = field(default_factory=list)
    last: LastTime = field(default_factory=LastTime)


def offer_for(actor: Actor, plan: Plan) -> Offer:
    """What the form of this plan offers this actor."""
    if plan.moves == "sample" and (actor.is_regulator or actor.organisation.kind == Organisation.Kind.LABORATORY):
        plan = without_stock(plan)
    found = Offer(plan, actor, last=_last_time(actor, plan))
    found.places = list(
        Place.objects.filter(organisation=actor.owner, ended_at=None).order_by("kind", "name", "id")[:300]
    )
    if plan.inputs or plan.subjects:
        found.lots = _lots(actor, plan)
    if plan.outputs:
        found.products = _products(actor, plan, found.last.product)
    if plan.party:
        found.parties = list(party_candidates(actor, "")[:MOST])
        found.lately = _lately(actor, plan)
    if plan.moves == "sample":
        found.laboratories = _laboratories(actor)
    if plan.moves == "release" or any(each.type == "ref:TestReport" for each in plan.fields):
        reports = reports_visible_to(actor).filter(event__corrections__isnull=True)
        if plan.moves == "release":
            # A release rests on a report on the very goods; the others would be offered to be refused.
            lines = goods_of([each.lot for each in found.lots]).values()
            reports = reports.counted().filter(lot__in={lot.pk for line in lines for lot in line})
            reports = reports.prefetch_related("results")
        found.reports = list(reports.select_related("lot__product", "laboratory").order_by("-id")[:MOST])
    if plan.moves == "correct":
        own = Event.objects.filter(organisation=actor.owner, corrects=None, corrections__isnull=True)
        found.events = list(own.select_related("place").order_by("-id")[:50])
    if plan.registers_plot or plan.party or any(each.key == "origin" for each in plan.fields):
        found.divisions = list(Division.objects.order_by("code"))
    if any(each.type == "ref:ProductStandard" for each in plan.fields):
        found.standards = list(
            Standard.objects.filter(Q(ended_on=None) | Q(ended_on__gt=timezone.localdate()))
            .order_by("number")
            .values_list("number", flat=True)
        )
    return found


def _lots(actor: Actor, plan: Plan) -> list[OnHand]:
    """The lots this step can be about."""
    if actor.is_regulator:
        return []
    owner = actor.owner
    if plan.moves == "return":
        return sent_lots(owner)
    if plan.moves == "release":
        return own_lots(owner, Q(organisation=owner, needs_release=True, released_by=None))
    if plan.moves == "sample" and actor.organisation.kind == Organisation.Kind.LABORATORY:
        return tested_lots(owner)
    if plan.moves in ("hold", "sample", "code"):
        return own_lots(owner)
    return on_hand(owner, before=steps_before(plan.template.code))


def _products(actor: Actor, plan: Plan, last: Product | None) -> list[Product]:
    """The owner's products, those of the step's family first, what goods of this kind usually are before the rest."""
    rows = Product.objects.filter(organisation=actor.owner, ended_at=None).select_related("current__standard")
    found = list(rows.order_by("code")[:300])
    kinds = {"receive": (Product.Kind.RAW, Product.Kind.PACKAGING, Product.Kind.INTERMEDIATE)}.get(plan.moves)

    def rank(product: Product) -> tuple[bool, bool, bool]:
        family = family_of(product)
        same = family is not None and family.code == plan.template.family
        again = last is not None and product.pk == last.pk
        return (not again, not same, kinds is not None and product.kind not in kinds)

    return sorted(found, key=rank)


def _lately(actor: Actor, plan: Plan) -> list[Organisation]:
    """The parties of last time, latest first."""
    if plan.party == "supplier":
        return partners(actor, "in")
    return partners(actor, "out")


def _laboratories(actor: Actor) -> list[Organisation]:
    """Vetted laboratories; a laboratory itself first of all."""
    rows = Organisation.objects.vetted().filter(kind=Organisation.Kind.LABORATORY).order_by("name")[:MOST]
    return sorted(rows, key=lambda row: row.pk != actor.owner.pk)


def _last_time(actor: Actor, plan: Plan) -> LastTime:
    """The last standing event of this step by this organisation, as far as it is worth offering again."""
    event = (
        Event.objects.filter(organisation=actor.owner, template=plan.template.code, corrections__isnull=True)
        .select_related("place", "counterparty")
        .order_by("-id")
        .first()
    )
    if event is None:
        return LastTime()
    again = {
        each.key: event.data[each.key]
        for each in plan.template.event_fields
        if each.key in event.data and _worth_repeating(each.type, each.key) and plan.moves != "sample"
    }
    if "origin" in again:
        again["origin"] = origin_shown(again["origin"])
    item = event.items.filter(role=EventItem.Role.OUTPUT).select_related("lot__product").order_by("number").first()
    product = item.lot.product if item is not None and item.lot is not None else None
    unit = item.entered_unit if item is not None else ""
    place = event.place if event.place is not None and event.place.ended_at is None else None
    return LastTime(again, place, product, unit, event.counterparty)


def _worth_repeating(kind: str, key: str) -> bool:
    return (kind in _FROM_LAST_TIME or key in _SET_POINTS) and key not in _NEVER_AGAIN


# --- Words ----------------------------------------------------------------------------------------------------------


def unit_pairs(product: Product) -> Pairs:
    """The units amounts of a product may be entered in: stored code and name, the base unit first."""
    packs = product.current.packs if product.current else {}
    return [(code, unit_name(code)) for code, _factor in units_for(product.base_unit, packs)]


def all_units(products: Sequence[Product]) -> Pairs:
    """The units of any of these products, each once."""
    return list(dict.fromkeys(pair for product in products for pair in unit_pairs(product)))


def lot_words(entry: OnHand) -> str:
    """A lot in a select box: code, goods, how much where, and what stands against it."""
    lot = entry.lot
    words = [lot.code, lot.product_version.label]
    if entry.micros:
        words.append(format_amount(entry.micros, lot.product.base_unit))
    if entry.place is not None:
        words.append(entry.place.label)
    if entry.state in ("recalled", "blocked", "expired", "waiting"):
        words.append(str(STATES[entry.state].words))
    return " · ".join(words)


def place_words(place: Place) -> str:
    """A place in a select box."""
    return f"{place.label} · {place.get_kind_display()}"


def report_words(report: TestReport) -> str:
    """A report in a select box: lot, number, verdict."""
    return _("%(lot)s · %(number)s · %(verdict)s") % {
        "lot": report.lot.code,
        "number": report.report_number,
        "verdict": report.get_verdict_display(),
    }
