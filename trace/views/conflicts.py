"""Recorded facts that do not fit other records: read by producer and regulator, answered by who recorded them."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from trace.access import actor_of, audience, conflict_for, conflicts_visible_to, entered_for
from trace.actions.conflicts import answer_conflict
from trace.actor import Actor
from trace.event_templates import templates
from trace.exports import asked_format, export
from trace.forms.evidence import AnswerForm
from trace.forms.fields import attempt
from trace.lists import CONFLICTS
from trace.models import Conflict
from trace.views.pages import page_of

STATES = ("open", "answered", "voided")


@audience("signed_in")
@require_safe
def conflict_list(request: HttpRequest) -> HttpResponseBase:
    """Conflicts of the actor's facts (for regulators: of their territory), open ones unless asked otherwise."""
    actor = actor_of(request)
    state = request.GET.get("state", "open")
    rows = conflicts_visible_to(actor).select_related("event", "organisation", "lot__product_version", "answered_by")
    if state == "answered":
        rows = rows.filter(answered_at__isnull=False)
    elif state == "voided":
        rows = rows.filter(voided_by__isnull=False)
    else:
        state = "open"
        rows = rows.filter(answered_at=None, voided_by=None)
    if asked_format(request):
        return export(request, CONFLICTS, rows.order_by("-id"))
    page = page_of(request, rows.order_by("-id"))
    for row in page:
        found = templates().get(row.event.template)
        row.step = found.label() if found is not None else row.event.template
    context = {"page": page, "state": state, "is_regulator": actor.is_regulator, "may_answer": _may(actor)}
    return render(request, "trace/conflicts/list.html", context)


def _may(actor: Actor) -> bool:
    return not actor.is_regulator and actor.can("operator", "quality")


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def conflict_detail(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One conflict; who recorded the fact answers with a sentence."""
    actor = actor_of(request)
    conflict = conflict_for(actor, uid)
    open_here = conflict.answered_at is None and conflict.voided_by_id is None
    form = AnswerForm(request.POST or None)
    if request.method == "POST":
        answered = attempt(
            form, lambda: answer_conflict(by=actor, conflict=conflict, answer=form.cleaned_data["answer"])
        )
        if answered is not None:
            messages.success(request, _("已记下说明，监管部门可以看到。"))
            return redirect("trace:conflict_detail", uid=conflict.uid)
    context = {
        "conflict": conflict,
        "step": _step(conflict),
        "form": form if open_here and _may(actor) and conflict.organisation_id in entered_for(actor) else None,
        "state": "voided" if conflict.voided_by_id else "done" if conflict.answered_at else "conflict",
    }
    return render(request, "trace/conflicts/detail.html", context, status=422 if form.errors else 200)


def _step(conflict: Conflict) -> str:
    found = templates().get(conflict.event.template)
    return found.label() if found is not None else conflict.event.template
