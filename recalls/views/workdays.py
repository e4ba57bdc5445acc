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
from recalls.queries import calendar_loads, calendar_sources
from recalls.views.doors import acting, page
from trace.access import audience
from trace.errors import Invalid
from trace.forms.fields import Text, attempt


class WholeText(Text):
    """Text the page shows again whole: what is loaded comes from the page that showed it, and none may be lost."""

    def bound_data(self, data: Any, initial: Any) -> Any:
        """All of it where it is short enough to be accepted, else as much as any field shows."""
        if isinstance(data, str) and len(data) <= self.max_length:
            return "".join(char for char in data if char != "\x00" and not "\ud800" <= char <= "\udfff")
        return super().bound_data(data, initial)


MOST = 20_000
"""Characters of a table: two years and a little."""


class NoticeForm(forms.Form):
    """The days of a notice and its number: pasted, or as a file, which is then shown in the same place."""

    source = Text(label=gettext_lazy("通知文号"), max_length=120)
    text = WholeText(
        label=gettext_lazy("日期表（CSV）"),
        max_length=MOST,
        multiline=True,
        required=False,
        help_text=gettext_lazy("一行一天，日期连续：2027-01-01,0。1 是上班，0 是休息，调休上班的周末写 1。"),
    )


def _posted(request: HttpRequest) -> dict[str, Any]:
    """What was sent, a chosen file in the place of pasted text. Refuses (``bad_calendar``) a file that is no text."""
    data: dict[str, Any] = {name: request.POST.get(name, "") for name in ("source", "text")}
    upload = request.FILES.get("file")
    if upload is not None:
        content = upload.read(4 * MOST + 1)
        for encoding in ("utf-8-sig", "gb18030"):
            try:
                data["text"] = content.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
        else:
            raise Invalid(_("这个文件不是文本，请导出为 CSV 再选择。"), code="bad_calendar")
    return data


@audience("regulator")
@require_http_methods(["GET", "HEAD", "POST"])
def workdays(request: HttpRequest) -> HttpResponse:
    """What is known so far; a notice is previewed first and loaded by a second press. A table that is not the one
    previewed is previewed again.
    """
    actor = acting(request)
    preview, seen, problem = None, "", None
    if request.method == "POST":
        actor.require("approver")
    try:
        form = NoticeForm(_posted(request) if request.method == "POST" else None)
    except Invalid as refusal:
        form, problem = NoticeForm({name: request.POST.get(name, "") for name in ("source", "text")}), refusal
    if form.is_bound and (problem is not None or not (form.is_valid() and form.cleaned_data["text"])):
        form.is_valid()
        if "text" not in form.errors:
            form.add_error("text", problem.message if problem else _("请粘贴日期表，或选择文件。"))
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
        {
            "form": form,
            "preview": preview,
            "seen": seen,
            "sources": calendar_sources(),
            "loads": calendar_loads(),
            "may": actor.can("approver"),
        },
        bad=form.is_bound and bool(form.errors),
    )
