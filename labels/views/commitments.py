"""The 承诺达标合格证 of a lot: issue it, read and print it, as a page and as PDF."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from labels.actions.commitments import contact_of, issue_commitment, mixed_of, origin_of, passing_report
from labels.commitment import words
from labels.commitment_pdf import BASIS_LINE, CODE_LINE, PLEDGE_LINE, TITLE, paper_fields, render_commitment
from labels.digital_link import build_lot_uri
from labels.forms import CommitmentForm
from labels.models import Commitment
from trace.access import actor_of, audience, entered_for, lot_for
from trace.errors import NotFound
from trace.forms.fields import attempt
from trace.models import Lot, Product
from trace.qr import qr_svg
from trace.units import decimal_text, parse_amount


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def commitments(request: HttpRequest, lot_uid: uuid.UUID) -> HttpResponse:
    """The certificates of a lot, and the form to issue one for who made it."""
    actor = actor_of(request)
    lot = lot_for(actor, lot_uid)
    if lot.product.track != Product.Track.FARM:
        raise NotFound(_("没有找到，或者您无权查看。"))
    mine = not actor.is_regulator and lot.organisation_id in entered_for(actor) and actor.can("operator", "quality")
    form = CommitmentForm(request.POST or None, initial={"amount": decimal_text(lot.made_micros)}) if mine else None
    if request.method == "POST":
        if form is None:
            raise NotFound(_("没有找到，或者您无权查看。"))
        made = attempt(form, lambda: _issue(actor, lot, form), _FIELDS)
        if made is not None:
            messages.success(request, _("已开具合格证 %(number)s，可以打印。") % {"number": made.number})
            return redirect("labels:commitment", lot_uid=lot.uid, uid=made.uid)
    context = {
        "lot": lot,
        "rows": _of(lot),
        "form": form,
        "words": words(),
        "report": passing_report(lot) if form is not None else None,
        "mixed": mixed_of(lot),
        "contact": contact_of(lot.organisation) if form is not None else "",
        "origin": origin_of(lot),
    }
    return render(request, "labels/commitments.html", context, status=422 if form is not None and form.errors else 200)


_FIELDS = {
    "amount": "amount",
    "more_than_made": "amount",
    "basis_required": "bases",
    "report_required": "bases",
    "pledge_required": "pledged",
}


def _issue(actor: Any, lot: Lot, form: CommitmentForm) -> Commitment:
    """Issue what the form says."""
    data = form.cleaned_data
    unit = lot.product.base_unit
    amount = parse_amount(data["amount"], unit, unit)
    return issue_commitment(by=actor, lot=lot, amount=amount, bases=data["bases"], pledged=data["pledged"])


def _of(lot: Lot) -> QuerySet[Commitment]:
    return Commitment.objects.filter(lot=lot).select_related("organisation__cooperative", "report", "lot")


def _one(request: HttpRequest, lot_uid: uuid.UUID, uid: uuid.UUID) -> tuple[Commitment, Lot, str]:
    """A certificate of a lot the reader may open, and the address its code carries."""
    lot = lot_for(actor_of(request), lot_uid)
    row = _of(lot).filter(uid=uid).first()
    if row is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    confirmed = lot.product.gtin_claim == Product.GtinClaim.CONFIRMED
    gtin = lot.product.gtin if confirmed else None
    uri = build_lot_uri(settings.PUBLIC_BASE_URL, gtin=gtin, lot_code=lot.lot_code, public_code=lot.public_code)
    return row, lot, uri


@audience("signed_in")
@require_safe
def commitment(request: HttpRequest, lot_uid: uuid.UUID, uid: uuid.UUID) -> HttpResponse:
    """One certificate, ready to print: for who issued it, who has the goods, and regulators."""
    row, lot, uri = _one(request, lot_uid, uid)
    context = {
        "row": row,
        "lot": lot,
        "words": words(),
        "paper": {
            "title": TITLE,
            "pledge": PLEDGE_LINE,
            "basis": BASIS_LINE,
            "code": CODE_LINE,
            "fields": paper_fields(row, contact_of(row.organisation)),
        },
        "qr": qr_svg(uri, _("追溯二维码")),
    }
    return render(request, "labels/commitment.html", context)


@audience("signed_in")
@require_safe
def commitment_pdf(request: HttpRequest, lot_uid: uuid.UUID, uid: uuid.UUID) -> HttpResponse:
    """The same as PDF."""
    row, _lot, uri = _one(request, lot_uid, uid)
    content = render_commitment(row, contact=contact_of(row.organisation), uri=uri)
    response = HttpResponse(content, content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="{row.number}.pdf"'
    response["Cache-Control"] = "private, no-store"
    return response
