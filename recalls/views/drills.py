"""Rehearsals: the firm's exercises and its readiness; for regulators the readiness of their territory."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from recalls.access import drill_for
from recalls.actions.drills import (
    add_gap,
    ask_contacts,
    confirm_contact,
    contact_test_by_link,
    finish_drill,
    finish_gap,
    start_drill,
    trace_drill,
)
from recalls.lists import DRILLS, READINESS
from recalls.models import ContactTest, Drill
from recalls.queries import lots_by_words, one_of_words
from recalls.readiness import readiness
from recalls.views.doors import acting, page
from trace.access import audience, entered_for, organisations_supervised_by, parse_uid
from trace.errors import NotFound
from trace.exports import asked_format, export
from trace.forms.fields import Day, Text, attempt
from trace.models import Organisation

_KINDS = (Organisation.Kind.PRODUCER, Organisation.Kind.COOPERATIVE)


class StartForm(forms.Form):
    """Which lot; nothing is a random pick."""

    lot = Text(
        label=gettext_lazy("批号或追溯码"),
        max_length=100,
        required=False,
        help_text=gettext_lazy("留空就从发出过的批次里随机抽一批。"),
    )
    seed = Text(
        label=gettext_lazy("随机种子"),
        max_length=60,
        required=False,
        help_text=gettext_lazy("例如当天的福彩号码；留空由系统产生。种子和候选批次的哈希会存档，谁都能重算。"),
    )


class GapForm(forms.Form):
    """A gap and its measure."""

    gap = Text(label=gettext_lazy("差距"), max_length=300)
    action = Text(label=gettext_lazy("纠正措施"), max_length=300)
    responsible = Text(label=gettext_lazy("负责岗位"), max_length=60)
    due_on = Day(label=gettext_lazy("完成期限"))


class EndForm(forms.Form):
    """The end."""

    summary = Text(label=gettext_lazy("小结"), max_length=2000, multiline=True)


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def drill_list(request: HttpRequest) -> HttpResponseBase:
    """For a firm: its state, its exercises, begin one. For a regulator: the state of every producer, worst first."""
    actor = acting(request)
    if actor.is_regulator:
        firms = organisations_supervised_by(actor).filter(kind__in=_KINDS, status=Organisation.Status.ACTIVE)
        order = {"danger": 0, "attention": 1, "good": 2}
        states = sorted(readiness(firms), key=lambda one: (order[one.tone], one.organisation.name))
        if asked_format(request):
            return export(request, READINESS, states)
        listed = Paginator(states, 50).get_page(request.GET.get("page"))
        return page(request, "recalls/readiness.html", {"page": listed})
    form = StartForm(request.POST or None)
    if request.method == "POST" and request.POST.get("do") == "contacts":
        made = ask_contacts(by=actor)
        messages.success(request, _("已向 %(count)s 个客户发出演练测试。") % {"count": len(made)})
        return redirect("recalls:drill_list")
    if request.method == "POST" and form.is_valid():
        words = form.cleaned_data["lot"]
        lots = [lot for lot in lots_by_words(actor, words) if lot.organisation_id == actor.owner.pk] if words else []
        if words and not lots:
            form.add_error("lot", _("没有找到“%(words)s”，请核对批号或追溯码。") % {"words": words})
        elif len(lots) > 1:
            form.add_error("lot", one_of_words(lots))
        else:
            lot = lots[0] if lots else None
            made_drill = attempt(form, lambda: start_drill(by=actor, lot=lot, seed=form.cleaned_data["seed"]))
            if made_drill is not None:
                return redirect("recalls:drill", made_drill.uid)
    rows = Drill.objects.filter(organisation=actor.owner).select_related("lot__product_version")
    if asked_format(request):
        return export(request, DRILLS, rows)
    tests = ContactTest.objects.filter(organisation=actor.owner).select_related("contact").order_by("-id")
    return page(
        request,
        "recalls/drill_list.html",
        {
            "state": readiness([actor.owner])[0],
            "rows": rows[:50],
            "tests": tests[:50],
            "form": form if actor.can("quality", "owner") else None,
        },
        bad=form.is_bound and bool(form.errors),
    )


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def drill(request: HttpRequest, uid: str) -> HttpResponse:
    """One exercise and its report: trace both ways, test contacts, gaps and measures, end. Always watermarked."""
    actor = acting(request)
    found = drill_for(actor, uid)
    what = request.POST.get("do", "")
    gap_form = GapForm(request.POST if what == "gap" else None)
    end_form = EndForm(request.POST if what == "end" else None)
    if request.method == "POST":
        done: Any = None
        if what == "trace":
            done = trace_drill(by=actor, drill=found)
        elif what == "contacts":
            done = ask_contacts(by=actor, drill=found) is not None
        elif what == "done":
            row = found.gaps.filter(uid=parse_uid(request.POST.get("gap_uid", ""))).first()
            if row is None:
                raise NotFound(_("没有找到，或者您无权查看。"))
            done = finish_gap(by=actor, gap=row, words=request.POST.get("words", "") or _("已完成"))
        elif what == "gap" and gap_form.is_valid():
            done = attempt(gap_form, lambda: add_gap(by=actor, drill=found, **gap_form.cleaned_data))
        elif what == "end" and end_form.is_valid():
            done = attempt(end_form, lambda: finish_drill(by=actor, drill=found, **end_form.cleaned_data))
        if done is not None:
            messages.success(request, _("已登记。"))
            return redirect("recalls:drill", found.uid)
    traces = {row.direction: row for row in found.traces.order_by("id")}
    tests = found.tests.select_related("contact").order_by("id")
    return page(
        request,
        "recalls/drill.html",
        {
            "drill": found,
            "campaign": {"is_drill": True},
            "back": traces.get("back"),
            "forward": traces.get("forward"),
            "tests": tests[:200],
            "confirmed": tests.filter(confirmed_at__isnull=False).count(),
            "gaps": found.gaps.all(),
            "papers": found.papers.order_by("-edition")[:20],
            "gap_form": gap_form,
            "end_form": end_form,
            "may": found.organisation_id in entered_for(actor) and actor.can("quality", "owner"),
        },
        bad=gap_form.is_bound or end_form.is_bound,
    )


@audience("public")
@require_http_methods(["GET", "HEAD", "POST"])
def contact_test(request: HttpRequest, token: str) -> HttpResponse:
    """A contact says that it was reached. GET shows; POST confirms."""
    found = contact_test_by_link(token)
    if request.method == "POST":
        confirm_contact(token=token)
        return redirect("recalls:contact_test", token)
    return page(request, "recalls/contact_test.html", {"test": found, "campaign": {"is_drill": True}})
