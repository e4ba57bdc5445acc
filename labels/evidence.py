"""Test reports as a scanned page shows them: each result with the limit beside it, who said it, and which lot was
tested.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils.translation import gettext as _

from trace.models import Certificate, Licence, Lot, Organisation, Product, TestReport, TestResult
from trace.templatetags.ui import unit_name

MOST_REPORTS = 8
_SIGNS = {"<=": "≤", ">=": "≥", "<": "<", ">": ">", "=": "="}
STATES = {"pass": "passed", "fail": "failed", "not_judged": "not_judged"}


@dataclass(frozen=True)
class ResultLine:
    """One tested item in words: what was measured, the limit beside it and where it is from, the verdict's badge
    state.
    """

    name: str
    measured: str
    limit: str
    limit_source: str
    limit_verified: bool
    state: str


@dataclass(frozen=True)
class ReportCard:
    """One report. ``source`` says who put it here: the laboratory itself, a regulator, or the producer copying it.

    ``lot`` is empty where the scanned lot itself was tested, else what the tested ancestor is.
    """

    laboratory: str
    cma_number: str
    number: str
    issued_on: datetime.date
    purpose: str
    state: str
    source: str
    lot: str
    lines: Sequence[ResultLine]
    declared_wrong: bool


def reports_on(lots: Collection[int]) -> list[TestReport]:
    """Reports on these lots with their results, newest first. Two queries."""
    rows = (
        TestReport.objects.filter(lot__in=lots)
        .select_related("laboratory", "event", "organisation")
        .prefetch_related("results", "event__corrections")
        .order_by("-issued_on", "-id")
    )
    return list(rows)


def standing(reports: Sequence[TestReport]) -> list[TestReport]:
    """Those whose event was not declared wrong."""
    return [report for report in reports if not report.event.corrections.all()]


def report_cards(
    reports: Sequence[TestReport], lot: Lot, names: dict[int, str], own: Collection[int]
) -> tuple[list[ReportCard], int]:
    """Cards of the reports on the issuer's own lots, those on this lot first, and how many more there are."""
    mine = [report for report in reports if report.lot_id in own]
    ordered = sorted(mine, key=lambda report: report.lot_id != lot.pk)
    cards = [_card(report, lot, names) for report in ordered[:MOST_REPORTS]]
    return cards, len(ordered) - len(cards)


def _card(report: TestReport, lot: Lot, names: dict[int, str]) -> ReportCard:
    """One report in words."""
    return ReportCard(
        laboratory=report.laboratory.label if report.laboratory is not None else report.laboratory_name,
        cma_number=report.cma_number,
        number=report.report_number,
        issued_on=report.issued_on,
        purpose=report.purpose_label,
        state=STATES[report.verdict],
        source=_source(report),
        lot="" if report.lot_id == lot.pk else names.get(report.lot_id, ""),
        lines=[_line(result) for result in report.results.all()],
        declared_wrong=bool(report.event.corrections.all()),
    )


def _source(report: TestReport) -> str:
    """Who entered it: only what the laboratory or a regulator wrote itself counts as said by them."""
    by = report.event.entered_by_organisation_id
    if report.organisation.kind == Organisation.Kind.REGULATOR:
        return "regulator"
    return "laboratory" if report.laboratory_id is not None and by == report.laboratory_id else "self_declared"


def _line(result: TestResult) -> ResultLine:
    """One result in words, 未检出 with its limit of quantification."""
    unit = unit_name(result.unit) if result.unit else ""
    return ResultLine(
        name=result.label,
        measured=_measured(result, unit),
        limit=f"{_SIGNS.get(result.limit_operator, result.limit_operator)} {result.limit_value} {unit}".strip()
        if result.limit_value
        else "",
        limit_source=result.limit_source,
        limit_verified=result.limit_verified,
        state=STATES[result.verdict],
    )


def _measured(result: TestResult, unit: str) -> str:
    """What was measured."""
    if result.operator == TestResult.Operator.NOT_DETECTED:
        if result.loq:
            return _("未检出（定量限 %(loq)s）") % {"loq": f"{result.loq} {unit}".strip()}
        return _("未检出")
    value = f"{result.value} {unit}".strip()
    return f"< {value}" if result.operator == TestResult.Operator.LESS else value


def valid_certificates(organisation: Organisation, product: Product, today: datetime.date) -> list[Certificate]:
    """Certificates of the producer or for the product that stand today. One query."""
    rows = Certificate.objects.filter(
        Q(product=product) | Q(product=None),
        organisation=organisation,
        revoked_at=None,
        valid_from__lte=today,
        valid_until__gte=today,
    )
    return list(rows.select_related("granted_by").order_by("kind", "id"))


def open_licences(organisation: Organisation) -> list[Licence]:
    """The producer's licences that have not ended. One query."""
    return list(Licence.objects.filter(organisation=organisation, ended_at=None).order_by("id"))
