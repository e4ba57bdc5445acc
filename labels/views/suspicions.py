"""Scans as producer and regulator look at them: suspicious codes with why, where goods are scanned, thresholds."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from labels import places
from labels.access import suspicion_for, suspicions_visible_to
from labels.actions.suspicions import decide, set_threshold, thresholds
from labels.journey import Regions
from labels.lists import SUSPICIONS
from labels.models import Scan, ScanRule, ScanSuspicion, ScanThreshold
from labels.suspicion import near, why
from trace.access import actor_of, audience, entered_for, lots_visible_to
from trace.actor import Actor
from trace.exports import asked_format, export
from trace.forms.fields import REQUIRED, Pick, Text, attempt
from trace.models import Organisation, Transfer

PER_PAGE = 30


class DecideForm(forms.Form):
    """What a person found, and why."""

    reason = Text(label=gettext_lazy("核实情况和理由"), max_length=300, multiline=True)


class ThresholdForm(forms.Form):
    """From when on a rule speaks."""

    rule = Pick(label=gettext_lazy("规则"), choices=ScanRule.choices)
    value = forms.IntegerField(
        label=gettext_lazy("数值"),
        min_value=0,
        max_value=1_000_000,
        help_text=gettext_lazy("达到这个数就提示；0 为关闭。“查询次数远多于生产件数”按百分比。"),
        error_messages=REQUIRED,
    )
    hours = forms.IntegerField(
        label=gettext_lazy("小时"), min_value=1, max_value=8760, initial=24, error_messages=REQUIRED
    )
    reason = Text(label=gettext_lazy("理由"), max_length=300, multiline=True)


@audience("signed_in")
@require_safe
def suspicion_list(request: HttpRequest) -> HttpResponseBase:
    """Suspicious codes, newest first, each with the reason in words."""
    actor = actor_of(request)
    state = request.GET.get("state", "open")
    rows = suspicions_visible_to(actor).order_by("-last_at", "-id")
    if state in ScanSuspicion.Status.values:
        rows = rows.filter(status=state)
    if asked_format(request):
        return export(request, SUSPICIONS, rows)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    rows_shown = [(row, why(row.rule, row.facts)) for row in page.object_list]
    return render(
        request,
        "labels/suspicions.html",
        {
            "page": page,
            "rows": rows_shown,
            "state": state,
            "states": [("open", _("待核实")), ("confirmed", _("已确认")), ("dismissed", _("无碍")), ("all", _("全部"))],
            "places": places.installed(),
        },
    )


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def suspicion(request: HttpRequest, uid: str) -> HttpResponseBase:
    """One suspicious code: why, its scans by day and place, and the decision of a person."""
    actor = actor_of(request)
    found = suspicion_for(actor, uid)
    form = DecideForm(request.POST or None)
    if request.method == "POST":
        copied = request.POST.get("do") == "confirm"
        done = attempt(
            form, lambda: decide(by=actor, suspicion=found, copied=copied, reason=form.cleaned_data["reason"])
        )
        if done is not None:
            messages.success(request, _("已确认，扫码页面会显示“疑似复制”。") if copied else _("已记录：查明无碍。"))
            return redirect("labels:suspicion", found.uid)
    seen = Scan.objects.filter(lot=found.lot, unit=found.unit).order_by("-id")[:100] if found.lot else []
    others = suspicions_visible_to(actor).filter(lot=found.lot, unit=found.unit) if found.lot else []
    return render(
        request,
        "labels/suspicion.html",
        {
            "row": found,
            "whys": [(one, why(one.rule, one.facts)) for one in (others or [found])],
            "scans": list(seen),
            "form": form,
            "may_decide": found.status == ScanSuspicion.Status.OPEN
            and actor.can("quality", "owner", "officer", "approver")
            and (actor.is_regulator or found.organisation_id in entered_for(actor)),
            "code": found.unit.code if found.unit else found.lot.public_code if found.lot else "",
        },
        status=422 if form.is_bound else 200,
    )


@audience("signed_in")
@require_safe
def elsewhere(request: HttpRequest) -> HttpResponse:
    """窜货: per lot, where it was sent and where it is scanned; what lies outside is marked."""
    actor = actor_of(request)
    lots = lots_visible_to(actor).filter(scans__isnull=False).distinct().order_by("-id")
    page = Paginator(lots.select_related("product_version", "organisation"), 20).get_page(request.GET.get("page"))
    shown = list(page.object_list)
    sent: dict[int, set[str]] = {}
    for lot, code in (
        Transfer.objects.filter(lot__in=shown, voided_by=None).values_list("lot", "receiver__division_id").distinct()
    ):
        sent.setdefault(lot, set()).add(code)
    counted = Scan.objects.filter(lot__in=shown).values("lot", "region", "place")
    scans = list(counted.annotate(n=Count("pk"), first=Min("at")).order_by("lot", "-n"))
    regions = Regions.of([code for codes in sent.values() for code in codes])
    rows = []
    for one in shown:
        home = frozenset({*sent.get(one.pk, set()), one.organisation.division_id})
        mine = [
            (scan, bool(scan["region"] and sent.get(one.pk) and not near(scan["region"], home)))
            for scan in scans
            if scan["lot"] == one.pk
        ]
        rows.append((one, sorted({regions.city(code) for code in sent.get(one.pk, set())}), mine))
    return render(request, "labels/elsewhere_scans.html", {"page": page, "rows": rows, "places": places.installed()})


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def threshold_list(request: HttpRequest) -> HttpResponseBase:
    """The thresholds in force, their history, and a form for who may change them."""
    actor = actor_of(request)
    form = ThresholdForm(request.POST or None)
    if request.method == "POST":
        done = attempt(form, lambda: set_threshold(by=actor, **form.cleaned_data))
        if done is not None:
            messages.success(request, _("已设定，已有的查询会按新规则重新检查。"))
            return redirect("labels:threshold_list")
    mine = _own(actor)
    history = ScanThreshold.objects.filter(organisation=None)
    if mine is not None:
        history = history | ScanThreshold.objects.filter(organisation=mine)
    labels = dict(ScanRule.choices)
    return render(
        request,
        "labels/thresholds.html",
        {
            "limits": [(labels[rule], limit, rule) for rule, limit in thresholds(mine).items()],
            "history": list(history.select_related("by", "by_organisation", "organisation").order_by("-id")[:50]),
            "form": form,
            "may_set": actor.can("quality", "owner", "approver"),
            "places": places.installed(),
        },
        status=422 if form.is_bound else 200,
    )


def _own(actor: Actor) -> Organisation | None:
    """Whose thresholds are shown: a firm's own, a regulator's are the installation's."""
    return None if actor.is_regulator else actor.owner
