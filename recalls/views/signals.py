"""Signals: the inbox, raising one, deciding what becomes of it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from recalls.access import cases_visible_to, signal_for, signals_visible_to
from recalls.actions.assessment import assess
from recalls.actions.signals import dismiss_signal, raise_signal
from recalls.forms import AssessmentForm, ReasonForm, SignalForm
from recalls.lists import SIGNALS
from recalls.models import Campaign, Signal
from recalls.queries import lots_by_words, one_of_words
from recalls.views.doors import acting, page
from trace.access import audience, lot_for, parse_uid
from trace.actor import Actor
from trace.exports import asked_format, export
from trace.forms.fields import attempt
from trace.models import Lot, Product, TestReport
from trace.parts import Entry, Row
from trace.personal import reveal


@audience("signed_in")
@require_safe
def signal_list(request: HttpRequest) -> HttpResponseBase:
    """Signals about one's own goods, or of the territory; by status."""
    actor = acting(request)
    status = request.GET.get("status", "new")
    rows = signals_visible_to(actor)
    if status in Signal.Status.values:
        rows = rows.filter(status=status)
    if asked_format(request):
        return export(request, SIGNALS, rows)
    rows = rows.annotate(said=Count("cases")).order_by("-id")
    listed = Paginator(rows, 30).get_page(request.GET.get("page"))
    tabs = [("all", _("全部")), *Signal.Status.choices]
    return page(
        request,
        "recalls/signal_list.html",
        {"page": listed, "status": status, "tabs": tabs, "may_raise": _may_raise(actor)},
    )


def _may_raise(actor: Actor) -> bool:
    return actor.can("operator", "quality", "officer", "approver")


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def signal_new(request: HttpRequest) -> HttpResponse:
    """Raise a signal: an own finding, a failed test, a complaint, a drill."""
    actor = acting(request)
    actor.require("operator", "quality", "officer", "approver")
    report = _report(actor, request.GET.get("report", ""))
    initial: dict[str, Any] = {}
    if request.GET.get("lot"):
        initial["lot"] = lot_for(actor, request.GET["lot"]).public_code
    if report is not None:
        initial |= {
            "lot": report.lot.public_code,
            "source": Signal.Source.SAMPLING if actor.is_regulator else Signal.Source.SELF_CHECK,
            "text": _failed_words(report),
        }
    form = SignalForm(request.POST or None, initial=initial, regulator=actor.is_regulator)
    if request.method == "POST" and form.is_valid():
        lot = _named_lot(actor, form)
        if form.is_valid():
            data = form.cleaned_data
            drill = bool(data.get("is_drill"))
            signal = attempt(
                form,
                lambda: raise_signal(
                    by=actor,
                    source=Signal.Source.DRILL if drill else data["source"],
                    text=data["text"],
                    lot=lot,
                    report=report,
                    contact=data["contact"],
                    received_at=data["received_at"],
                    is_drill=drill,
                ),
            )
            if signal is not None:
                messages.success(request, _("线索已登记，回执号 %(receipt)s。") % {"receipt": signal.receipt})
                return redirect("recalls:signal", signal.uid)
    return page(request, "recalls/signal_new.html", {"form": form, "report": report}, bad=form.is_bound)


def _report(actor: Actor, uid: str) -> TestReport | None:
    """The test report a signal rests on, if the actor may open its lot."""
    if not uid:
        return None
    report = TestReport.objects.select_related("lot__product_version").filter(uid=parse_uid(uid)).first()
    if report is not None:
        lot_for(actor, report.lot.uid)
    return report


def _contact(actor: Actor, found: Signal) -> str:
    """Where whoever raised it can be reached: for the authority alone, and nothing where nothing was left."""
    if found.contact is None:
        return ""
    return reveal(found.contact) if actor.is_regulator else _("仅监管部门可见")


def _failed_words(report: TestReport) -> str:
    """What a failed report says, to begin the words with."""
    failed = [
        f"{row.name} {row.value} {row.unit}（{_('限值')} {row.limit_value} {row.unit}）"
        for row in report.results.filter(verdict=TestReport.Verdict.FAIL)
    ]
    return _("检验报告 %(number)s（%(lab)s）不合格：%(items)s") % {
        "number": report.report_number,
        "lab": report.laboratory_name,
        "items": _("、").join(failed),
    }


def _named_lot(actor: Actor, form: SignalForm) -> Lot | None:
    """The one lot called so; several or none is the form's error."""
    words = form.cleaned_data["lot"]
    if not words:
        return None
    found = lots_by_words(actor, words)
    if not found:
        form.add_error("lot", _("没有找到这个批次。请核对批号，或留空并在下面写明。"))
        return None
    if len(found) > 1:
        form.add_error("lot", one_of_words(found))
        return None
    return found[0]


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def signal(request: HttpRequest, uid: str) -> HttpResponse:
    """One signal with its words; assess it or dismiss it with a reason."""
    actor = acting(request)
    found = signal_for(actor, uid)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        done = attempt(form, lambda: dismiss_signal(by=actor, signal=found, reason=form.cleaned_data["reason"]))
        if done is not None:
            messages.info(request, _("线索已标为不予处理。"))
            return redirect("recalls:signal", found.uid)
    rows = [
        Row(_("回执号"), found.receipt),
        Row(_("来源"), found.get_source_display()),
        Row(_("涉及单位"), found.organisation.label if found.organisation else _("未发过的码，或不明")),
        Row(_("批次"), f"{found.lot.product_version.label} {found.lot.code}" if found.lot else ""),
        Row(_("所扫的码"), found.code),
        Row(_("内容"), reveal(found.words)),
        Row(_("反映人联系方式"), _contact(actor, found)),
    ]
    steps = [
        Entry(
            at=step.at,
            title=dict(Signal.Status.choices).get(step.new, step.new),
            text=step.reason,
            who=_who(step.by, step.by_organisation),
        )
        for step in found.steps.select_related("by", "by_organisation")
    ]
    handles = actor.can("quality", "officer", "approver") or actor.role == "owner"
    own = actor.is_regulator or found.organisation_id == actor.owner.pk
    as_trader = not own and found.raised_by_organisation_id == actor.owner.pk and found.lot is not None
    return page(
        request,
        "recalls/signal.html",
        {
            "signal": found,
            "rows": rows,
            "steps": steps,
            "form": form,
            "may_recall": handles and as_trader and found.status == Signal.Status.NEW,
            "may_handle": handles and own and found.status == Signal.Status.NEW,
            "cases": list(cases_visible_to(actor).filter(signal=found).order_by("-id")[:50]),
        },
        bad=form.is_bound,
    )


def _who(user: Any, organisation: Any) -> str:
    """Who did it, in words; the public has neither."""
    parts = [user.display_name if user else "", organisation.label if organisation else ""]
    return " · ".join(part for part in parts if part) or _("公众")


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def signal_assess(request: HttpRequest, uid: str) -> HttpResponse:
    """Assess the risk a signal tells of: opens a campaign."""
    actor = acting(request)
    found = signal_for(actor, uid)
    if found.campaign is not None:
        return redirect("recalls:campaign", found.campaign.uid)
    organisation = found.organisation or actor.owner
    trader = not actor.is_regulator and organisation.pk != actor.owner.pk
    if trader:
        organisation = actor.owner
    track = found.product.track if found.product else Product.Track.FOOD
    initial: dict[str, Any] = {"knew_at": found.received_at, "title": _title(found)}
    if trader:
        initial["initiator"] = Campaign.Initiator.TRADER
    form = AssessmentForm(request.POST or None, initial=initial, track=track, first=True)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        campaign = attempt(
            form,
            lambda: assess(
                by=actor,
                organisation=organisation,
                track=track,
                title=data["title"],
                knew_at=data["knew_at"],
                finding=form.finding(),
                signals=[found],
                is_drill=found.is_drill,
                standing=form.standing(),
            ),
            {
                "level_required": "level",
                "in_future": "knew_at",
                "ground_required": "ground",
                "ground_words_required": "ground_words",
            },
        )
        if campaign is not None:
            messages.success(request, _("评估已登记。下一步：划定召回范围。"))
            return redirect("recalls:campaign", campaign.uid)
    return page(
        request,
        "recalls/assessment.html",
        {
            "form": form,
            "signal": found,
            "words": reveal(found.words),
            "back": reverse("recalls:signal", args=[found.uid]),
        },
        bad=form.is_bound,
    )


def _title(signal: Signal) -> str:
    """A first title: product and lot."""
    if signal.lot is None:
        return ""
    return f"{signal.lot.product_version.name} {signal.lot.code}"[:120]
