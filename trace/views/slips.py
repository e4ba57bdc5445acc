"""The public page of a slip: who holds the paper sees what was sent and answers for the receiver."""

from __future__ import annotations

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from trace.access import audience
from trace.actions.events import When
from trace.actions.transfers import receive_by_slip, shipment_by_slip
from trace.forms.fields import attempt
from trace.forms.shipments import SlipForm
from trace.models import Shipment, Transfer
from trace.shipping import Line, lines_of, unanswered
from trace.units import EnteredAmount, decimal_text, parse_amount


@audience("public")
@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def slip(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows what was sent and, once answered, the receipt; POST answers, once. No account is needed.

    What stands in for the CSRF cookie is the signed token in the address: who has it may answer, nobody else can forge
    it, and the page sets no cookie. A preview or crawler that only looks answers nothing. ``answer=all`` confirms every
    line as sent; otherwise the amounts of the form count. Lines that a captured event answered before are only told.
    """
    row = shipment_by_slip(token)
    lines = lines_of([row]).get(row.pk, [])
    waiting = unanswered(lines)
    answered = bool(lines) and not waiting
    posted = request.method == "POST"
    everything = request.POST.get("answer") == "all"
    form = SlipForm(request.POST if posted and not everything else None, lines=waiting)
    status = 200
    if posted and (answered or row.voided_by_id is not None):
        status = 409
    elif posted and everything:
        _answer(token, _all_of(waiting), When(timezone.now()), "")
        return redirect("trace:slip", token=token)
    elif posted:
        status = 422
        if form.is_valid():
            done = attempt(form, lambda: _answer(token, form.received, form.moment(), form.cleaned_data["remark"]))
            if done:
                return redirect("trace:slip", token=token)
    context = {
        "row": row,
        "lines": lines,
        "answered": answered,
        "in_part": bool(waiting) and len(waiting) < len(lines),
        "receipt": _receipt(row) if answered else None,
        "differs": any(line.differs for line in lines),
        "recalled": any(block.hold.kind == "recall" for line in lines for block in line.blocks),
        "blocked": any(line.blocks for line in lines),
        "form": form,
        "rows": form.rows(),
        "late": status == 409,
    }
    return render(request, "trace/slips/slip.html", context, status=status)


def _answer(token: str, received: dict[Transfer, EnteredAmount], when: When, remark: str) -> bool:
    """Write the receipt."""
    receive_by_slip(token=token, received=received, when=when, remark=remark)
    return True


def _all_of(lines: list[Line]) -> dict[Transfer, EnteredAmount]:
    """Every line as it was sent."""
    return {
        line.transfer: parse_amount(decimal_text(line.transfer.sent_micros), line.unit, line.unit) for line in lines
    }


def _receipt(row: Shipment) -> Transfer | None:
    """A line that names the receiving event."""
    answered = row.transfers.filter(received_by__isnull=False).prefetch_related(Prefetch("received_by__conflicts"))
    return answered.select_related("received_by").order_by("id").first()
