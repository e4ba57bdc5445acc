"""Test reports: the list, one report with its results and the laboratory's word, the way to register one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.contrib import messages
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from trace.access import (
    actor_of,
    admit,
    audience,
    lot_for,
    lots_visible_to,
    report_for,
    report_through,
    reports_visible_to,
)
from trace.actions.evidence import answer_report
from trace.actor import Actor
from trace.errors import DomainError, Invalid, NotFound
from trace.event_templates import EventTemplate, template, templates
from trace.exports import asked_format, export
from trace.forms.evidence import ReportAnswerForm
from trace.forms.fields import attempt
from trace.limits import untested
from trace.lists import CONTRADICTORY_REPORTS, NAMED_REPORTS, REPORTS
from trace.models import Event, Lot, Organisation, ReportAnswer, TestReport
from trace.report_questions import contradictions_of, contradictory_reports, reports_naming, waiting_for_answer
from trace.result_words import BADGES, laboratory_word, result_line
from trace.scanned import scanned_lot
from trace.steps import family_of
from trace.text import clean_text
from trace.views.pages import page_of


@audience("signed_in")
@require_safe
def report_list(request: HttpRequest) -> HttpResponseBase:
    """Reports of lots the actor may open, newest first; by verdict and text."""
    actor = actor_of(request)
    wrong = Exists(Event.objects.filter(corrects=OuterRef("event")))
    rows = (
        reports_visible_to(actor)
        .select_related("lot__product_version", "laboratory", "organisation", "event")
        .prefetch_related("answers")
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
    if asked_format(request):
        return export(request, REPORTS, rows.distinct().order_by("-id"))
    page = page_of(request, rows.distinct().order_by("-id"))
    for row in page:
        row.badge, row.word = BADGES[row.verdict], laboratory_word(row)
    context = {
        "page": page,
        "verdict": verdict,
        "verdicts": TestReport.Verdict.choices,
        "q": text,
        "problem": problem,
        "may_enter": actor.can("operator", "quality", "officer", "approver"),
        "filtered": bool(verdict or text),
        "is_laboratory": actor.owner.kind == Organisation.Kind.LABORATORY,
    }
    return render(request, "trace/reports/list.html", context)


@audience("signed_in")
@require_safe
def report_detail(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One report: verdict first, then each result with the limit beside it, and whether its laboratory stands by it.

    ``?lot=`` opens it through a lot downstream that it serves.
    """
    actor = actor_of(request)
    asked = request.GET.get("lot", "")
    through = lot_for(actor, asked) if asked else None
    report = report_for(actor, uid) if through is None else report_through(actor, uid, through)
    return _report_page(request, actor, report, through=through)


def _report_page(
    request: HttpRequest,
    actor: Actor,
    report: TestReport,
    *,
    through: Lot | None = None,
    form: ReportAnswerForm | None = None,
) -> HttpResponse:
    """The page of a report, with the laboratory's answer form where it may answer."""
    opened = through is None or through.pk == report.lot_id
    if not opened:
        opened = lots_visible_to(actor).filter(pk=report.lot_id).exists()
    answers = list(report.answers.select_related("laboratory").order_by("-id"))
    may_answer = report.laboratory_id == actor.owner.pk and actor.can("operator", "quality")
    context = {
        "report": report,
        "badge": BADGES[report.verdict],
        "results": [result_line(row) for row in report.results.all()],
        "untested": [field.label() for field in untested(report.lot, [report])] if report.verdict == "pass" else [],
        "declared": report.event.corrections.first(),
        "said": "laboratory" if report.laboratory_says == "issued" else "self_declared",
        "word": laboratory_word(report),
        "answers": answers,
        "form": form or (ReportAnswerForm() if may_answer else None),
        "opened": opened,
        "through": through,
        "may_signal": opened and report.verdict == TestReport.Verdict.FAIL and actor.can(*_SIGNALLING),
        "may_read_event": actor.is_regulator or report.organisation_id == actor.owner.pk,
    }
    status = 422 if form is not None and form.errors else 200
    return render(request, "trace/reports/detail.html", context, status=status)


_SIGNALLING = ("operator", "quality", "officer", "approver")


@audience("party", "operator", "quality")
@require_POST
def report_answer(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """The laboratory confirms or denies a report issued in its name."""
    actor = actor_of(request)
    report = report_for(actor, uid)
    if report.laboratory_id != actor.owner.pk:
        raise NotFound(_("没有找到，或者您无权查看。"))
    form = ReportAnswerForm(request.POST)
    if form.is_valid():
        data = form.cleaned_data
        done = attempt(
            form,
            lambda: answer_report(by=actor, report=report, answer=data["answer"], reason=data["reason"]),
            {"required": "reason"},
        )
        if done is not None:
            confirmed = data["answer"] == ReportAnswer.Answer.CONFIRMED
            denied = _("已否认这份报告，登记单位和监管部门会看到。")
            messages.success(request, _("已确认这份报告。") if confirmed else denied)
            return redirect("trace:report_detail", uid=report.uid)
    return _report_page(request, actor, report, form=form)


@audience("party")
@require_safe
def named_list(request: HttpRequest) -> HttpResponseBase:
    """Reports that name the laboratory as their issuer: those to answer first, or all."""
    actor = actor_of(request)
    if actor.owner.kind != Organisation.Kind.LABORATORY:
        raise NotFound(_("没有这个页面。"))
    state = request.GET.get("state", "waiting")
    rows = reports_naming(actor.owner)
    if state in ReportAnswer.Answer.values:
        rows = rows.filter(Q(last_answer=state))
    elif state != "all":
        state, rows = "waiting", waiting_for_answer(actor.owner)
    rows = rows.prefetch_related("answers")
    if asked_format(request):
        return export(request, NAMED_REPORTS, rows)
    page = page_of(request, rows)
    for row in page:
        row.badge, row.word = BADGES[row.verdict], laboratory_word(row)
    return render(request, "trace/reports/named.html", {"page": page, "state": state})


@audience("regulator")
@require_safe
def contradiction_list(request: HttpRequest) -> HttpResponseBase:
    """Reports of the territory that contradict their laboratory or each other."""
    rows = contradictory_reports(actor_of(request)).prefetch_related("answers")
    if asked_format(request):
        return export(request, CONTRADICTORY_REPORTS, rows)
    page = page_of(request, rows)
    for row in page:
        row.badge, row.why = BADGES[row.verdict], contradictions_of(row)
    return render(request, "trace/reports/contradictions.html", {"page": page})


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
