"""Test reports as a scanned page shows them: each result with the limit beside it, who said it, and which lot was
tested.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db.models import Q

from trace.models import Certificate, Licence, Lot, Organisation, Product, TestReport
from trace.result_words import BADGES, LaboratoryWord, ResultLine, laboratory_word, result_line

MOST_REPORTS = 8


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
    word: LaboratoryWord


def reports_on(lots: Collection[int]) -> list[TestReport]:
    """Reports on these lots with their results and what the laboratory says, newest first. Four queries."""
    rows = (
        TestReport.objects.filter(lot__in=lots)
        .select_related("laboratory", "event", "organisation")
        .prefetch_related("results", "answers", "event__corrections")
        .order_by("-issued_on", "-id")
    )
    return list(rows)


def standing(reports: Sequence[TestReport]) -> list[TestReport]:
    """Those whose event was not declared wrong and that the laboratory does not deny."""
    return [report for report in reports if not report.event.corrections.all() and report.laboratory_says != "denied"]


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
        state=BADGES[report.verdict],
        source=_source(report),
        lot="" if report.lot_id == lot.pk else names.get(report.lot_id, ""),
        lines=[result_line(result) for result in report.results.all()],
        declared_wrong=bool(report.event.corrections.all()),
        word=laboratory_word(report),
    )


def _source(report: TestReport) -> str:
    """Who entered it: only what the laboratory or a regulator wrote itself counts as said by them."""
    by = report.event.entered_by_organisation_id
    if report.organisation.kind == Organisation.Kind.REGULATOR:
        return "regulator"
    return "laboratory" if report.laboratory_id is not None and by == report.laboratory_id else "self_declared"


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
