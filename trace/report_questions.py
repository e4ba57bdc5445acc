"""Questions about test reports: which wait for their laboratory, which contradict something, which serve a lot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, When
from django.utils.translation import gettext as _

from trace.actor import Actor
from trace.genealogy import lots_by_pk, walk
from trace.models import Licence, Lot, Organisation, ReportAnswer, TestReport

MOST_SERVING = 40


def reports_naming(laboratory: Organisation) -> QuerySet[TestReport]:
    """Standing reports in the name of a laboratory with ``last_answer``, newest first."""
    rows = TestReport.objects.standing().with_answer().filter(laboratory=laboratory)
    return rows.select_related("lot__product_version", "organisation", "event").order_by("-id")


def waiting_for_answer(laboratory: Organisation) -> QuerySet[TestReport]:
    """Those of them that somebody else entered and the laboratory has not answered."""
    return reports_naming(laboratory).filter(Q(last_answer=None)).exclude(event__entered_by_organisation=laboratory)


def contradictory_reports(actor: Actor) -> QuerySet[TestReport]:
    """Standing reports of a regulator's territory that contradict something: denied by their laboratory, with a name
    or CMA number that is not the laboratory's, signed after that CMA number had lapsed, or with a number that another
    lot's report of that laboratory has.

    Each row says which by ``last_answer``, ``other_cma``, ``lapsed_cma``, ``other_name`` and ``number_again``. A number
    the laboratory gave up counts for what it signed before.
    """
    code = actor.organisation.territory
    near = Q(organisation__division__code__startswith=code) | Q(lot__organisation__division__code__startswith=code)
    own_cma = Licence.objects.filter(
        Q(ended_at=None) | Q(ended_at__date__gte=OuterRef("issued_on")),
        organisation=OuterRef("laboratory"),
        kind=Licence.Kind.CMA,
        number=OuterRef("cma_number"),
    )
    again = (
        TestReport.objects.standing()
        .filter(laboratory_name=OuterRef("laboratory_name"), report_number=OuterRef("report_number"))
        .exclude(lot=OuterRef("lot"))
    )
    rows = (
        TestReport.objects.standing()
        .filter(near)
        .with_answer()
        .annotate(
            lapsed_cma=Exists(own_cma.filter(valid_until__lt=OuterRef("issued_on"))),
            other_cma=~Exists(own_cma) & Q(laboratory__isnull=False) & ~Q(cma_number=""),
            other_name=Q(laboratory__isnull=False) & ~Q(laboratory_name=F("laboratory__name")),
            number_again=Exists(again),
        )
    )
    wrong = Q(other_cma=True) | Q(lapsed_cma=True) | Q(other_name=True) | Q(number_again=True)
    found = rows.filter(Q(last_answer="denied") | wrong)
    return found.select_related("lot__product_version", "organisation", "laboratory", "event").order_by("-id")


@dataclass(frozen=True)
class Served:
    """A report that serves a lot: made on the lot itself (``ancestor`` None) or on what went into it."""

    report: TestReport
    ancestor: Lot | None
    level: int


def reports_serving(lot: Lot, *, most: int = MOST_SERVING) -> list[Served]:
    """Standing reports on the lot and on every lot it was made of (一次检验、结果互认), nearest first; six queries."""
    back = walk([lot], "back")
    rows = TestReport.objects.standing().filter(lot__in=list(back.level))
    rows = rows.select_related("laboratory", "event", "organisation").prefetch_related("results", "answers")
    own_first = Case(When(lot=lot, then=0), default=1)
    newest = rows.order_by(own_first, "-issued_on", "-id")[: most * 5]
    reports = sorted(newest, key=lambda row: back.level[row.lot_id])[:most]
    ancestors = lots_by_pk({row.lot_id for row in reports} - {lot.pk})
    return [Served(row, ancestors.get(row.lot_id), back.level[row.lot_id]) for row in reports]


def serves(report: TestReport, lots: Sequence[Lot]) -> bool:
    """Whether a report is on one of these lots or on something they were made of."""
    return report.lot_id in walk(lots, "back").level


def contradictions_of(row: Any) -> list[str]:
    """What does not fit about a report of ``contradictory_reports``, in words."""
    answers = sorted(row.answers.all(), key=lambda each: each.pk)
    found = []
    if answers and answers[-1].answer == ReportAnswer.Answer.DENIED:
        found.append(_("检验机构否认：%(reason)s") % {"reason": answers[-1].reason})
    if row.other_cma:
        found.append(_("CMA 编号 %(number)s 不是这家检验机构登记的编号") % {"number": row.cma_number})
    if row.lapsed_cma:
        found.append(_("签发时 CMA 编号 %(number)s 已过有效期") % {"number": row.cma_number})
    if row.other_name:
        found.append(_("报告写的机构名称与这个 CMA 编号的持有机构不同"))
    if row.number_again:
        found.append(_("同一个报告编号还用在别的批次上"))
    return found
