"""The page on which an authority loads a year's holiday notice: checked, shown, then loaded."""

from __future__ import annotations

import hashlib
from typing import Any

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


class WholeText(Text):
    """Text the page shows again whole: what is loaded comes from the page that showed it, and none may be lost."""

    def bound_data(self, data: Any, initial: Any) -> Any:
        """All of it where it is short enough to be accepted, else as much as any field shows."""
        if isinstance(data, str) and len(data) <= self.max_length:
            return "".join(char for char in data if char != "\x00" and not "\ud800" <= char <= "\udfff")
        return super().bound_data(data, initial)


class NoticeForm(forms.Form):
    """The days of a notice and its number."""

    source = Text(label=gettext_lazy("通知文号"), max_length=120)
    text = WholeText(
        label=gettext_lazy("日期表（CSV）"),
        max_length=20_000,
        multiline=True,
        help_text=gettext_lazy("一行一天，日期连续：2027-01-01,0。1 是上班，0 是休息，调休上班的周末写 1。"),
    )


@audience("regulator")
@require_http_methods(["GET", "HEAD", "POST"])
def workdays(request: HttpRequest) -> HttpResponse:
    """What is known so far; a notice is previewed first and loaded by a second press. A table that is not the one
    previewed is previewed again.
    """
    actor = acting(request)
    form = NoticeForm(request.POST or None)
    preview, seen = None, ""
    if request.method == "POST":
        actor.require("approver")
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        seen = hashlib.sha256("\n".join(data["text"].splitlines()).encode()).hexdigest()
        if request.POST.get("do") == "load" and request.POST.get("seen") == seen:
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
        {"form": form, "preview": preview, "seen": seen, "sources": calendar_sources(), "may": actor.can("approver")},
        bad=form.is_bound and bool(form.errors),
    )
