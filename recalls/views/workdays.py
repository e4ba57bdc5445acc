"""The page on which an authority loads a year's holiday notice: checked, shown, then loaded."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from recalls.actions.clocks import load_notice, preview_notice
from recalls.queries import calendar_sources
from recalls.views.doors import acting, page
from trace.access import audience
from trace.forms.fields import Text, attempt


class NoticeForm(forms.Form):
    """The days of a notice and its number."""

    source = Text(label=gettext_lazy("通知文号"), max_length=120)
    text = Text(
        label=gettext_lazy("日期表（CSV）"),
        max_length=20_000,
        multiline=True,
        help_text=gettext_lazy("一行一天，日期连续：2027-01-01,0。1 是上班，0 是休息，调休上班的周末写 1。"),
    )


@audience("regulator")
@require_http_methods(["GET", "HEAD", "POST"])
def workdays(request: HttpRequest) -> HttpResponse:
    """What is known so far; a notice is previewed first and loaded by a second press."""
    actor = acting(request)
    form = NoticeForm(request.POST or None)
    preview = None
    if request.method == "POST":
        actor.require("approver")
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        if request.POST.get("do") == "load":
            moved = attempt(form, lambda: load_notice(by=actor, **data), {"bad_calendar": "text", "past_days": "text"})
            if moved is not None:
                messages.success(request, _("已录入，%(count)s 个时限重新计算。") % {"count": moved})
                return redirect("recalls:workdays")
        else:
            preview = attempt(
                form,
                lambda: preview_notice(by=actor, text=data["text"]),
                {"bad_calendar": "text", "past_days": "text"},
            )
    return page(
        request,
        "recalls/workdays.html",
        {"form": form, "preview": preview, "sources": calendar_sources(), "may": actor.can("approver")},
        bad=form.is_bound and bool(form.errors),
    )
