"""Lots that may not move: the list of holds, one hold with its lots and steps, and how it ends."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from trace.access import actor_of, audience, entered_for, hold_for, holds_visible_to, supervises
from trace.actions.holds import end_hold
from trace.actor import Actor
from trace.exports import asked_format, export
from trace.forms.evidence import EndHoldForm
from trace.forms.fields import attempt
from trace.lists import HELD_LOTS, HOLDS
from trace.models import HoldSet
from trace.views.once import KEY, form_key
from trace.views.pages import page_of

MEMBERS_SHOWN = 100


@audience("signed_in")
@require_safe
def hold_list(request: HttpRequest) -> HttpResponseBase:
    """Holds set by the actor or on lots it may open; active ones unless asked otherwise."""
    actor = actor_of(request)
    state = request.GET.get("state", "active")
    rows = HoldSet.objects.filter(pk__in=holds_visible_to(actor).values("pk"), active_from__isnull=False)
    if state == "ended":
        rows = rows.filter(ended_at__isnull=False)
    else:
        state = "active"
        rows = rows.filter(ended_at=None)
    rows = rows.select_related("organisation").annotate(lots=Count("members__lot", distinct=True))
    if asked_format(request):
        return export(request, HOLDS, rows.order_by("-id"))
    context = {"page": page_of(request, rows.order_by("-id")), "state": state, "may_hold": _may(actor)}
    return render(request, "trace/holds/list.html", context)


def _may(actor: Actor) -> bool:
    """Whether the actor may hold lots: quality officers and owners, regulators' people."""
    return actor.can("quality", "owner", "officer", "approver")


@audience("signed_in")
@require_safe
def hold_detail(request: HttpRequest, uid: uuid.UUID) -> HttpResponseBase:
    """One hold: why, by whom, which lots, its steps."""
    actor = actor_of(request)
    hold = hold_for(actor, uid)
    members = hold.members.select_related("lot__product_version", "lot__organisation", "holder").order_by("id")
    if not actor.is_regulator and hold.organisation_id != actor.organisation.pk:
        from trace.access import lots_visible_to

        members = members.filter(lot__in=lots_visible_to(actor))
    # In whose hands goods are held is a customer list: the campaign tells who runs it and who supervises.
    hidden = 0
    if not actor.is_regulator:
        seen = members.filter(Q(holder=None) | Q(holder__in=entered_for(actor)))
        hidden = members.exclude(lot__in=seen.values("lot")).order_by().values("lot").distinct().count()
        members = seen
    if asked_format(request):
        return export(request, HELD_LOTS, members)
    context = {
        "hold": hold,
        "members": list(members[:MEMBERS_SHOWN]),
        "more": max(0, members.count() - MEMBERS_SHOWN),
        "hidden": hidden,
        "steps": list(hold.steps.select_related("by", "by_organisation")),
        "may_end": hold.is_active and not hold.source and _may(actor) and _over(actor, hold),
        "of_campaign": bool(hold.source),
    }
    return render(request, "trace/holds/detail.html", context)


def _over(actor: Actor, hold: HoldSet) -> bool:
    return hold.organisation_id == actor.organisation.pk or supervises(actor, hold.organisation)


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def hold_end(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Lift one hold with a reason."""
    actor = actor_of(request)
    hold = hold_for(actor, uid)
    form = EndHoldForm(request.POST or None)
    if request.method == "POST":
        ended = attempt(
            form,
            lambda: end_hold(by=actor, hold=hold, reason=form.cleaned_data["reason"]),
            {"reason_required": "reason"},
        )
        if ended is not None:
            messages.success(request, _("已解除这项封存。同一批次的其他封存不变。"))
            return redirect("trace:hold_detail", uid=hold.uid)
    context = {"hold": hold, "form": form, "form_key": form_key(request), "form_key_name": KEY}
    return render(request, "trace/holds/end.html", context, status=422 if form.errors else 200)
