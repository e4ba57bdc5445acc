"""Declaring an event wrong: what it would undo is shown first, since it cannot be taken back."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from trace.access import actor_of, audience, event_for
from trace.actions.corrections import declare_error
from trace.actions.events import When
from trace.event_templates import template
from trace.forms.evidence import CorrectionForm
from trace.forms.fields import attempt
from trace.models import Event, Lot, LotLink


@dataclass(frozen=True)
class Consequence:
    """A lot that loses its beginning, and how many lots were made of it."""

    lot: Lot
    used_in: int


@audience("party", "operator", "quality")
@require_http_methods(["GET", "HEAD", "POST"])
def event_correct(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Say that an event is wrong. It stays readable; its effects are taken back; it can then be stated again."""
    actor = actor_of(request)
    event = event_for(actor, uid, write=True)
    form = CorrectionForm(request.POST or None, initial={"reason": Event.ErrorReason.INCORRECT_DATA})
    if request.method == "POST":
        captured = attempt(
            form,
            lambda: declare_error(
                by=actor,
                event=event,
                reason=form.cleaned_data["reason"],
                when=When(timezone.now()),
                remark=form.cleaned_data["remark"],
            ),
            {"unknown_choice": "reason"},
        )
        if captured is not None:
            return _done(request, event, captured.event)
    context = {
        "form": form,
        "event": event,
        "step": template(event.template),
        "consequences": _consequences(event),
        "done_already": event.corrections.exists() or event.corrects_id is not None,
        "is_hold": template(event.template).moves == "hold",
    }
    return render(request, "trace/corrections/correct.html", context, status=422 if form.errors else 200)


def _consequences(event: Event) -> list[Consequence]:
    """The lots begun by this event, each with how many lots were made of it. Two queries."""
    lots = list(Lot.objects.filter(origin_event=event).select_related("product_version").order_by("id"))
    links = LotLink.objects.filter(parent__in=lots, voided_by=None).values_list("parent", "child")
    children: dict[int, set[int]] = {}
    for parent, child in links:
        children.setdefault(parent, set()).add(child)
    return [Consequence(lot, len(children.get(lot.pk, ()))) for lot in lots]


def _done(request: HttpRequest, event: Event, declared: Event) -> HttpResponse:
    """On to the corrected statement where the data were wrong, else back to the event."""
    conflicts = declared.conflicts.count()
    if conflicts:
        messages.warning(request, _("已声明有误。另有 %(n)d 处记录因此对不上，已记为矛盾。") % {"n": conflicts})
    else:
        messages.success(request, _("已声明有误，原记录仍可查看。"))
    again = declared.error_reason == Event.ErrorReason.INCORRECT_DATA
    if again and template(event.template).moves not in ("hold", "code"):
        return redirect(f"{reverse('trace:step_form', args=[event.template])}?replaces={event.uid}")
    return redirect("trace:event_detail", uid=event.uid)
