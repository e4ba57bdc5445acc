"""Test reports: the list, one report with its results beside the limits, and the way to register one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from trace.access import actor_of, admit, audience, lot_for, report_for, reports_visible_to
from trace.actor import Actor
from trace.errors import DomainError, Invalid
from trace.event_templates import EventTemplate, template, templates
from trace.models import Event, Lot, TestReport, TestResult
from trace.scanned import scanned_lot
from trace.steps import family_of
from trace.templatetags.ui import unit_name
from trace.text import clean_text
from trace.views.pages import page_of

BADGES = {"pass": "passed", "fail": "failed", "not_judged": "not_judged"}
_SIGNS = {"<=": "≤", ">=": "≥"}


@audience("signed_in")
@require_safe
def report_list(request: HttpRequest) -> HttpResponse:
    """Reports of lots the actor may open, newest first; by verdict and text."""
    actor = actor_of(request)
    wrong = Exists(Event.objects.filter(corrects=OuterRef("event")))
    rows = (
        reports_visible_to(actor)
        .select_related("lot__product_version", "laboratory", "organisation")
        .annotate(wrong=wrong)
    )
    verdict = request.GET.get("verdict", "")
    if verdict in TestReport.Verdict.values:
        rows = rows.filter(verdict=verdict)
    problem = ""
    try:
        text = clean_text(request.GET.get("q", ""), 60)
    except Invalid as error:
        text, problem = "", error.message
    if text:
        rows = rows.filter(
            Q(report_number__icontains=text)
            | Q(laboratory_name__icontains=text)
            | Q(lot__lot_code__icontains=text)
            | Q(lot__product_version__name__icontains=text)
        )
    page = page_of(request, rows.distinct().order_by("-id"))
    for row in page:
        row.badge = BADGES[row.verdict]
    context = {
        "page": page,
        "verdict": verdict,
        "verdicts": TestReport.Verdict.choices,
        "q": text,
        "problem": problem,
        "may_enter": actor.can("operator", "quality", "officer", "approver"),
        "filtered": bool(verdict or text),
    }
    return render(request, "trace/reports/list.html", context)


@dataclass(frozen=True)
class ResultLine:
    """One tested item in words."""

    name: str
    measured: str
    limit: str
    source: str
    verified: bool
    method: str
    badge: str


def result_line(row: TestResult) -> ResultLine:
    """A result as a page shows it: 未检出 with its limit of quantification, the limit with its sign."""
    unit = unit_name(row.unit) if row.unit else ""
    if row.operator == TestResult.Operator.NOT_DETECTED:
        measured = _("未检出（定量限 %(loq)s %(unit)s）") % {"loq": row.loq, "unit": unit} if row.loq else _("未检出")
    else:
        measured = f"{'<' if row.operator == '<' else ''}{row.value} {unit}".strip()
    limit = (
        f"{_SIGNS.get(row.limit_operator, row.limit_operator)}{row.limit_value} {unit}".strip()
        if row.limit_value
        else ""
    )
    return ResultLine(row.label, measured, limit, row.limit_source, row.limit_verified, row.method, BADGES[row.verdict])


@audience("signed_in")
@require_safe
def report_detail(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One report: verdict first, then each result with the limit beside it."""
    actor = actor_of(request)
    report = report_for(actor, uid)
    context = {
        "report": report,
        "badge": BADGES[report.verdict],
        "results": [result_line(row) for row in report.results.all()],
        "declared": report.event.corrections.first(),
        "said": "laboratory" if report.laboratory_id == report.organisation_id else "self_declared",
        "may_read_event": actor.is_regulator or report.organisation_id == actor.owner.pk,
    }
    return render(request, "trace/reports/detail.html", context)


@dataclass(frozen=True)
class TestChoice:
    """One kind of test to register for a lot."""

    __test__ = False

    step: EventTemplate
    url: str


@audience("signed_in")
@require_safe
def report_new(request: HttpRequest) -> HttpResponse:
    """Register a report: first the lot, then the test of its family or a report with items of one's own."""
    actor = actor_of(request)
    admit(request, "regulator" if actor.is_regulator else "party")
    actor.require("operator", "quality", "officer", "approver")
    lot, problem, status = _asked_lot(request, actor)
    choices = [] if lot is None else _tests(lot)
    if lot is not None and request.GET.get("test") == "1" and len(choices) == 1:
        return redirect(choices[0].url)
    context = {"lot": lot, "choices": choices, "problem": problem, "q": request.GET.get("q", "")[:100]}
    return render(request, "trace/reports/new.html", context, status=status)


def _asked_lot(request: HttpRequest, actor: Actor) -> tuple[Lot | None, str, int]:
    """The lot by link or by typed code; the reason where it was not found."""
    if request.GET.get("lot"):
        return lot_for(actor, request.GET["lot"]), "", 200
    if not request.GET.get("q", "").strip():
        return None, "", 200
    try:
        return scanned_lot(actor, request.GET["q"]).lot, "", 200
    except DomainError as error:
        return None, error.message, error.status


def _tests(lot: Lot) -> list[TestChoice]:
    """The tests of the lot's family, then the report with any items."""
    family = family_of(lot.product)
    own = (
        []
        if family is None
        else [templates()[code] for code in family.templates if templates()[code].moves == "sample"]
    )
    return [
        TestChoice(step, f"{reverse('trace:step_form', args=[step.code])}?lot={lot.uid}")
        for step in [*own, template("common.sample")]
    ]
