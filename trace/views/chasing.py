"""Pages of what is open between two parties: the list with its age, the reminder, the answer to a difference."""

from __future__ import annotations

import uuid

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from trace.access import actor_of, audience, entered_for, shipment_for
from trace.actions.chasing import answer_differences, remind
from trace.chasing import KINDS, chased, chases, differences_of
from trace.errors import DomainError
from trace.exports import asked_format, export
from trace.forms.crossing import DifferenceForm
from trace.forms.fields import attempt
from trace.lists import CHASES
from trace.models import Reminder, Shipment
from trace.shipping import OVERDUE_DAYS
from trace.views.pages import page_of

FORM = ["GET", "HEAD", "POST"]


@audience("signed_in")
@require_safe
def chase_list(request: HttpRequest) -> HttpResponseBase:
    """What is open, the oldest first: receipts the other side owes, receipts we owe, differences nobody settled."""
    actor = actor_of(request)
    kind = request.GET.get("kind", "out")
    kind = kind if kind in KINDS else "out"
    overdue = request.GET.get("overdue") == "1"
    text = request.GET.get("q", "").replace("\x00", "").strip()[:60]
    if asked_format(request):
        return export(request, CHASES, chased(actor, kind, overdue=overdue, text=text))
    page = page_of(request, chased(actor, kind, overdue=overdue, text=text))
    context = {
        "page": page,
        "rows": chases(list(page)),
        "kind": kind,
        "overdue": overdue,
        "text": text,
        "days": OVERDUE_DAYS,
        "mine": set(entered_for(actor)),
        "is_regulator": actor.is_regulator,
        "may_act": not actor.is_regulator and actor.can("operator", "quality"),
    }
    return render(request, "trace/chasing/list.html", context)


@audience("party", "operator", "quality")
@require_POST
def shipment_remind(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Remind the other side once; back to where one came from."""
    actor = actor_of(request)
    row = shipment_for(actor, uid)
    try:
        done = remind(by=actor, shipment=row)
    except DomainError as error:
        if error.status not in (409, 422, 429):
            raise
        messages.error(request, error.message)
    else:
        words = _("已催办：对方在首页会看到。")
        if done.email:
            words = _("已催办：对方在首页会看到，邮件也会发出。")
        elif done.reminded.is_external:
            words = _("已记下催办。对方没有账号，也没有邮箱，请打电话或把发货单链接发给对方。")
        messages.success(request, words)
    back = request.POST.get("back", "")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return redirect(back if safe and back.startswith("/") else reverse("trace:shipment", args=[row.uid]))


@audience("signed_in")
@require_http_methods(FORM)
def difference(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Sent is not received: the sender accepts or disputes, the receiver corrects its receipt or answers."""
    actor = actor_of(request)
    row = shipment_for(actor, uid)
    mine = set(entered_for(actor))
    is_sender, is_receiver = row.organisation_id in mine, row.receiver_id in mine
    lines = differences_of(row)
    may_act = (is_sender or is_receiver) and actor.can("operator", "quality")
    form = DifferenceForm(request.POST or None, lines=lines, is_sender=is_sender)
    if request.method == "POST" and may_act and form.is_valid():
        done = attempt(form, lambda: _answer(request, row, form))
        if done is not None:
            return done
    elif request.method == "POST" and not may_act:
        form.add_error(None, forms.ValidationError(_("只有收发双方能回答。"), code="not_own"))
    receipt = next((one.line.transfer.received_by for one in lines), None)
    context = {
        "row": row,
        "lines": lines,
        "form": form,
        "fields": {one.line.transfer.pk: form[f"answer_{one.line.transfer.pk}"] for one in form.lines}
        if is_sender
        else {},
        "open": bool(form.lines),
        "is_sender": is_sender,
        "is_receiver": is_receiver,
        "may_act": may_act,
        "receipt": receipt,
        "reminders": Reminder.objects.filter(shipment=row).select_related("organisation").order_by("-id")[:10],
    }
    return render(
        request, "trace/chasing/difference.html", context, status=422 if form.is_bound and form.errors else 200
    )


def _answer(request: HttpRequest, row: Shipment, form: DifferenceForm) -> HttpResponse:
    """Write the answers."""
    made = answer_differences(
        by=actor_of(request), shipment=row, answers=form.answers(), words=form.cleaned_data["words"]
    )
    if all(answer.answer == "accepted" for answer in made):
        messages.success(request, _("已认可实收数量，这处差异了结。"))
    else:
        messages.success(request, _("已记下说明，对方和监管部门可以看到。"))
    return redirect("trace:difference", uid=row.uid)
