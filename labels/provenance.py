"""Everything a scanned page says, gathered in a fixed number of queries whatever the lot's history holds."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from django.utils import timezone
from django.utils.translation import gettext as _

from labels import evidence, facts, journey
from labels.facts import Change
from labels.journey import Ancestry, Journey, Regions
from labels.models import CodeException, CodeRun, ScanTally
from labels.packing import inside_words
from labels.recall_state import Standing, recalls_of_product, standing_of
from labels.resolve import Target
from labels.verdict import Facts, Verdict, verdict
from recalls.queries import PublicRecall
from trace.errors import NotFound
from trace.lineage import Claim, claim_of
from trace.models import Conflict, Licence, Lot, Organisation, Product, ProductVersion, Unit
from trace.parts import Row
from trace.spirits import Age, age_of


@dataclass(frozen=True)
class Issue:
    """Who issued the code, for which lot, when; ``at`` None where no label of it was ever issued here. ``checks`` says
    that its label has a check code under a layer.
    """

    by: str
    at: datetime.datetime | None
    checks: bool = False


@dataclass(frozen=True)
class Scans:
    """How often the code was looked up before this view, and when and where first ("" is 地点未知)."""

    count: int = 0
    first_at: datetime.datetime | None = None
    first_place: str = ""


@dataclass(frozen=True)
class Section:
    """Facts under one heading. ``source`` says who said all of them that do not say otherwise themselves."""

    key: str
    title: str
    rows: Sequence[Row]
    source: str = ""


@dataclass(frozen=True)
class Page:
    """A scanned page of a lot or unit, in the reader's language. ``today`` is the day it was asked for."""

    target: Target
    lot: Lot
    unit: Unit | None
    version: ProductVersion
    verdict: Verdict
    standing: Standing
    today: datetime.date
    voided_at: datetime.datetime | None
    copied_at: datetime.datetime | None
    issue: Issue
    scans: Scans
    sections: Sequence[Section]
    age: Age
    claim: Claim | None
    reports: Sequence[evidence.ReportCard]
    more_reports: int
    journey: Journey
    certificates: Sequence[Row]
    changes: Sequence[Change]
    conflicts: Sequence[str]
    recall_phone: str
    consumables: bool = field(default=True)
    lots: frozenset[int] = frozenset()
    """Row numbers of the lots the page tells of: this one and its ancestors."""
    inside: str = ""
    """What is in a pack, in words; "" for what is none."""

    @property
    def code_name(self) -> str:
        """What the code on the unit is called."""
        return facts.code_name(self.unit) if self.unit is not None else ""

    @property
    def days_over(self) -> int:
        """Days since the last good one; 0 where it has not passed."""
        return max((self.today - self.lot.expires_on).days, 0) if self.lot.expires_on else 0


@dataclass(frozen=True)
class ProductPage:
    """The page of a bare GTIN: what is known of every lot of the product, and recalls that are running."""

    target: Target
    product: Product
    version: ProductVersion
    sections: Sequence[Section]
    certificates: Sequence[Row]
    recalls: Sequence[PublicRecall]


@dataclass(frozen=True)
class State:
    """How one code stands at one moment: the verdict and what it follows from."""

    verdict: Verdict
    standing: Standing
    today: datetime.date
    exceptions: Sequence[CodeException]


def state_of(target: Target, *, now: datetime.datetime | None = None) -> State:
    """The verdict of a lot or unit. Two queries, and recalls' own where a recall stands behind a hold."""
    lot, unit = _lot_of(target), target.unit
    today = timezone.localdate(now)
    standing = standing_of(lot, unit)
    exceptions = _exceptions(lot, unit)
    found = Facts(
        issued=True,
        today=today,
        recalled=standing.recalled,
        maybe_recalled=standing.maybe,
        void=_is_void(lot, unit),
        copied=_copied(exceptions) is not None,
        held=standing.held,
        expires_on=lot.expires_on,
    )
    return State(verdict(found), standing, today, exceptions)


def page_of(target: Target, *, now: datetime.datetime | None = None) -> Page:
    """The page of a lot or unit. Reads only; the number of queries does not depend on the lot's history."""
    lot, unit = _lot_of(target), target.unit
    state = state_of(target, now=now)
    exceptions, today = state.exceptions, state.today
    ancestry = journey.ancestry_of(lot)
    items = journey.own_items(ancestry)
    corrections = journey.corrections_of(items)
    reports = evidence.reports_on(list(ancestry.lots))
    sent = journey.destinations(lot)
    regions = Regions.of(_codes(ancestry, [code for code, _day in sent]))
    amended = journey.amended_dates(lot, items, corrections)
    entries, hidden = journey.timeline(ancestry, items, corrections)
    cards, more = evidence.report_cards(reports, lot, _names(ancestry), ancestry.own)
    copied = _copied(exceptions)
    inside = inside_words(unit) if unit is not None else ""
    return Page(
        target=target,
        lot=lot,
        unit=unit,
        version=lot.product_version,
        verdict=state.verdict,
        standing=state.standing,
        today=today,
        voided_at=_void_at(lot, exceptions),
        copied_at=copied.at if copied is not None else None,
        issue=_issue(lot, unit),
        scans=_scans(lot, unit),
        sections=_sections(target, evidence.open_licences(lot.organisation), regions, amended, inside),
        age=age_of(lot),
        claim=claim_of(lot),
        reports=cards,
        more_reports=more,
        journey=Journey(
            entries=entries,
            upstream=journey.upstream(ancestry, evidence.standing(reports), regions),
            destinations=journey.to_cities(sent, regions),
            origin=regions.county(ancestry.region_code(lot)),
            hidden=hidden,
            cut=ancestry.walk.cut,
        ),
        certificates=facts.certificate_rows(evidence.valid_certificates(lot.organisation, lot.product, today)),
        changes=[*facts.version_changes(lot.product_version, _later_versions(lot)), *facts.public_edits(lot)],
        conflicts=_open_conflicts(ancestry),
        recall_phone=lot.organisation.recall_contact_phone,
        consumables=lot.product.track != Product.Track.CONSUMER,
        lots=frozenset(ancestry.lots) | {lot.pk},
        inside=inside,
    )


def _lot_of(target: Target) -> Lot:
    """The lot of a target that names one; a bare product has its own page."""
    if target.lot is None:
        raise ValueError("this target names no lot")
    return target.lot


def product_page_of(target: Target, *, now: datetime.datetime | None = None) -> ProductPage:
    """The page of a product by its GTIN alone."""
    product = target.product
    version = product.current
    if version is None:
        raise NotFound(_("这个产品还没有资料。"))
    organisation = product.organisation
    regions = Regions.of([organisation.division_id])
    today = timezone.localdate(now)
    return ProductPage(
        target=target,
        product=product,
        version=version,
        sections=[
            _section("product", _("产品信息"), [*facts.product_rows(version, product), *facts.standard_rows(version)]),
            _section(
                "producer",
                _("生产者"),
                _producer(organisation, version, product, evidence.open_licences(organisation), regions),
            ),
        ],
        certificates=facts.certificate_rows(evidence.valid_certificates(organisation, product, today)),
        recalls=recalls_of_product(product),
    )


def _sections(
    target: Target, licences: Sequence[Licence], regions: Regions, amended: dict[str, str], inside: str
) -> list[Section]:
    """The facts in the order people ask for them: what, which lot and when, by which standard, by whom."""
    lot = _lot_of(target)
    version = lot.product_version
    pledged = facts.commitment_rows(lot)
    return [
        _section("product", _("产品信息"), facts.product_rows(version, target.product)),
        *([_section("commitment", "承诺达标合格证", pledged)] if pledged else []),
        _section(
            "lot",
            _("批次与日期"),
            facts.lot_rows(lot, target.unit, amended, inside),
        ),
        _section(
            "producer",
            _("标准与生产者"),
            [*facts.standard_rows(version), *_producer(lot.organisation, version, target.product, licences, regions)],
        ),
    ]


def _section(key: str, title: str, rows: Sequence[Row]) -> Section:
    """A section whose commonest source is said once, in its heading."""
    said = facts.SAID
    return Section(key, title, [replace(row, source="") if row.source == said else row for row in rows], said)


def _producer(
    organisation: Organisation,
    version: ProductVersion,
    product: Product,
    licences: Sequence[Licence],
    regions: Regions,
) -> list[Row]:
    """Rows about the producer."""
    return facts.producer_rows(organisation, version, product, licences, regions.county(organisation.division_id))


def _codes(ancestry: Ancestry, cities: Sequence[str]) -> list[str]:
    """Every division code the page will name."""
    lots = ancestry.lots.values()
    return [*cities, ancestry.lot.organisation.division_id, *(ancestry.region_code(lot) for lot in lots)]


def _names(ancestry: Ancestry) -> dict[int, str]:
    """What each of the issuer's own ancestors is, for "tested was …"."""
    return {
        pk: _("%(product)s 批次 %(lot)s")
        % {"product": ancestry.lots[pk].product_version.label, "lot": ancestry.lots[pk].code}
        for pk in ancestry.own
    }


def _exceptions(lot: Lot, unit: Unit | None) -> list[CodeException]:
    """What was said of exactly this code, oldest first."""
    return list(CodeException.objects.filter(lot=lot, unit=unit).order_by("id"))


def _is_void(lot: Lot, unit: Unit | None) -> bool:
    """Whether the code is void, spoiled or replaced, or the lot's registration was declared wrong."""
    if lot.voided_by_id is not None:
        return True
    void = (Unit.State.VOID, Unit.State.SPOILED)
    return unit is not None and (unit.state in void or unit.replaced_by_id is not None)


def _void_at(lot: Lot, exceptions: Sequence[CodeException]) -> datetime.datetime | None:
    """Since when, where that is written down."""
    kinds = (CodeException.Kind.VOID, CodeException.Kind.SPOILED)
    found = [each.at for each in exceptions if each.kind in kinds]
    if lot.voided_by is not None:
        found.append(lot.voided_by.recorded_at)
    return min(found, default=None)


def _copied(exceptions: Sequence[CodeException]) -> CodeException | None:
    """The confirmation that stands, if the last word on copies is one."""
    kinds = (CodeException.Kind.COPIED, CodeException.Kind.CLEARED)
    last = next((each for each in reversed(exceptions) if each.kind in kinds), None)
    return last if last is not None and last.kind == CodeException.Kind.COPIED else None


def _issue(lot: Lot, unit: Unit | None) -> Issue:
    """The run that issued the code (for a lot's own code, the first run of its labels)."""
    runs = CodeRun.objects.filter(lot=lot)
    runs = runs.filter(kind=CodeRun.Kind.LOT) if unit is None else runs.filter(uid__in=[unit.run] if unit.run else [])
    first = runs.order_by("id").first()
    checks = unit is not None and first is not None and first.checks
    return Issue(lot.organisation.label, first.at if first is not None else None, checks)


def _scans(lot: Lot, unit: Unit | None) -> Scans:
    """The code's tally."""
    tally = ScanTally.objects.filter(lot=lot, unit=unit).first()
    return Scans(tally.count, tally.first_at, tally.first_place) if tally is not None else Scans()


def _later_versions(lot: Lot) -> list[ProductVersion]:
    """Versions of the product after the one the lot was made under."""
    rows = ProductVersion.objects.filter(product=lot.product, number__gt=lot.product_version.number)
    return list(rows.select_related("standard", "product__organisation").order_by("number"))


_CONFLICT_WORDS = {
    "time": (
        "before_parent",
        "before_release",
        "before_shipping",
        "before_arrival",
        "begins_after_use",
        "report_before_sample",
        "release_before_report",
    ),
    "amount": (
        "not_enough",
        "more_out_than_in",
        "received_differs",
        "below_zero",
        "yield_too_high",
        "undeclared_alcohol",
        "abv_contradicts",
        "parts_differ",
        "alcohol_lost",
    ),
    "origin": ("forbidden_ancestor", "gi_foreign", "gi_unproven", "early_harvest", "source_dropped"),
    "hold": ("lot_blocked", "not_released", "lot_expired", "no_passing_report"),
    "unseen": ("walk_cut",),
}


def _open_conflicts(ancestry: Ancestry) -> list[str]:
    """Registered facts that contradict each other and that nobody has answered yet, by kind; no amounts, no parties."""
    codes = Conflict.objects.filter(lot__in=ancestry.own, voided_by=None, answered_at=None).values_list(
        "code", flat=True
    )
    kinds = {code: kind for kind, group in _CONFLICT_WORDS.items() for code in group}
    counted: dict[str, int] = {}
    for code in codes:
        kind = kinds.get(code, "other")
        counted[kind] = counted.get(kind, 0) + 1
    words = {
        "time": _("时间先后对不上：%(n)d 处"),
        "amount": _("数量对不上：%(n)d 处"),
        "origin": _("来源与声明或标准对不上：%(n)d 处"),
        "hold": _("未放行、封存或过期后仍有使用或发货：%(n)d 处"),
        "unseen": _("来源太多，没有核对完：%(n)d 处"),
        "other": _("其他登记矛盾：%(n)d 处"),
    }
    return [words[kind] % {"n": counted[kind]} for kind in words if kind in counted]
