"""Pages where two sets of books meet: joining a lot with the supplier's, opening stock, codes issued elsewhere."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from trace.access import (
    actor_of,
    audience,
    claim_for,
    claims_visible_to,
    entered_for,
    lot_for,
    place_for,
    taken_in_lot_for,
)
from trace.actions.events import When
from trace.actions.joins import answer_claim, claim_lot, look_up, may_answer, may_withdraw, withdraw_claim
from trace.actions.old_codes import Opening, bring_in_codes, open_stock
from trace.actor import Actor
from trace.crossing import BADGES, standing_claim, supplier_in_system, supplier_lots
from trace.errors import Invalid, NotFound
from trace.exports import asked_format, export
from trace.forms.crossing import ClaimAnswerForm, CodesForm, JoinForm, OpeningForm
from trace.forms.fields import attempt
from trace.lists import CLAIMS
from trace.models import Lot, LotClaim
from trace.templatetags.ui import url_or_none
from trace.views.once import KEY, form_key, once
from trace.views.pages import form_page, page_of

FORM = ["GET", "HEAD", "POST"]


# --- Joining with the supplier's lot --------------------------------------------------------------------------------


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def lot_join(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Join a lot we took in with the supplier's own: by the code we wrote down, or another that stands on the goods."""
    actor = actor_of(request)
    external = taken_in_lot_for(actor, uid)
    standing = standing_claim(external)
    if standing is not None:
        return redirect("trace:claim_detail", uid=standing.uid)
    supplier = supplier_in_system(external)
    # The code as it stands on the goods: ours may be one that was made because theirs has other characters.
    asked = str(external.origin_event.data.get("supplier_lot") or external.lot_code)
    form = JoinForm(request.POST or None, initial={"code": asked})
    found: list[Lot] = supplier_lots(supplier, asked) if supplier is not None else []
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data["code"]
        found = []
        if request.POST.get("lot"):
            done = attempt(
                form,
                lambda: claim_lot(
                    by=actor, external=external, code=asked, product_code=request.POST.get("lot", "")[:20]
                ),
            )
            if done is not None:
                messages.success(request, _("已请供货单位确认。确认之后，追溯会跨到它的记录。"))
                return redirect("trace:claim_detail", uid=done.uid)
        try:
            found = look_up(by=actor, external=external, text=asked)
        except NotFound as error:
            form.add_error("code", forms.ValidationError(error.message, code=error.code))
        except Invalid as error:
            form.add_error(None, forms.ValidationError(error.message, code=error.code))
    context = {
        "external": external,
        "supplier": supplier,
        "form": form,
        "found": found,
        "asked": asked,
        "past": external.claims.select_related("lot__product_version").order_by("-id")[:10],
        "lot_url": url_or_none("desk:lot_detail", external.uid),
    }
    return render(request, "trace/crossing/join.html", context, status=422 if form.is_bound and form.errors else 200)


@audience("signed_in")
@require_safe
def claim_list(request: HttpRequest) -> HttpResponseBase:
    """Claims that our lots are others' or others' are ours; open ones first to be seen."""
    actor = actor_of(request)
    state = request.GET.get("state", "")
    rows = claims_visible_to(actor)
    if state in LotClaim.Status.values:
        rows = rows.filter(status=state)
    if asked_format(request):
        return export(request, CLAIMS, rows.order_by("-id"))
    page = page_of(request, rows.order_by("-id"))
    for row in page:
        row.badge = BADGES[row.status]
    mine = set(entered_for(actor))
    context = {"page": page, "state": state, "states": LotClaim.Status.choices, "mine": mine}
    return render(request, "trace/crossing/claims.html", context)


@audience("signed_in")
@require_http_methods(FORM)
def claim_detail(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One claim: the supplier confirms or denies it, either side takes it back."""
    actor = actor_of(request)
    claim = claim_for(actor, uid)
    form = ClaimAnswerForm(request.POST or None)
    if request.method == "POST":
        done = attempt(form, lambda: _act(actor, claim, request.POST.get("do", ""), form.cleaned_data["reason"]))
        if done is not None:
            messages.success(request, _("已记下：%(state)s。") % {"state": LotClaim.Status(done.status).label})
            return redirect("trace:claim_detail", uid=claim.uid)
        claim.refresh_from_db()
    mine = set(entered_for(actor))
    knows_receipt = actor.is_regulator or claim.claimant_id in mine or claim.supplier_id in mine
    conflicts = claim.event.conflicts.filter(voided_by=None) if claim.event is not None else []
    context = {
        "claim": claim,
        "badge": BADGES[claim.status],
        "form": form,
        "steps": claim.steps.select_related("by", "by_organisation"),
        "may_answer": may_answer(actor, claim),
        "may_withdraw": may_withdraw(actor, claim),
        "shows_amount": knows_receipt,
        "is_claimant": claim.claimant_id in mine,
        "is_supplier": claim.supplier_id in mine,
        "external_url": url_or_none("desk:lot_detail", claim.external.uid) if claim.claimant_id in mine else "",
        "lot_url": url_or_none("desk:lot_detail", claim.lot.uid)
        if claim.supplier_id in mine or actor.is_regulator
        else "",
        "conflicts": conflicts,
    }
    return render(request, "trace/crossing/claim.html", context, status=422 if form.is_bound and form.errors else 200)


def _act(actor: Actor, claim: LotClaim, do: str, reason: str) -> LotClaim:
    """Do what the button says."""
    if do in ("confirm", "deny"):
        return answer_claim(by=actor, claim=claim, confirm=do == "confirm", reason=reason)
    if do == "withdraw":
        return withdraw_claim(by=actor, claim=claim, reason=reason)
    raise Invalid(_("请选择要做什么。"), code="unknown_choice")


# --- Stock and codes from before ------------------------------------------------------------------------------------


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def opening_new(request: HttpRequest) -> HttpResponse:
    """Enter stock that was there before the records began, with its old lot code and the codes on its labels."""
    actor = actor_of(request)
    form = OpeningForm(request.POST or None, actor=actor)
    if request.method == "POST" and form.is_valid():
        done = attempt(form, lambda: once(request, actor, lambda: _open(request, actor, form)))
        if done is not None:
            return done
    context = {"form": form, "has_products": bool(form.products), "key_name": KEY, "key": form_key(request)}
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "trace/crossing/opening.html", context, status=status)


def _open(request: HttpRequest, actor: Actor, form: OpeningForm) -> str:
    """Write it; gives the address of the lot."""
    data = form.cleaned_data
    if form.entered is None:
        raise Invalid(_("请填写数量。"), code="amount_required")
    captured = open_stock(
        by=actor,
        opening=Opening(
            product=form.chosen(),
            amount=form.entered,
            basis=data["basis"],
            old_lot_code=data["old_lot_code"],
            produced_on=data["produced_on"],
            expires_on=data["expires_on"],
            place=place_for(actor, data["place"]) if data["place"] else None,
            issued_by=data["issued_by"],
            old_codes=data["codes"],
        ),
        when=form.moment(),
    )
    lot = captured.lots[0]
    messages.success(
        request, _("已登记期初库存：批号 %(lot)s，带入旧码 %(n)d 个。") % {"lot": lot.code, "n": len(data["codes"])}
    )
    return url_or_none("desk:lot_detail", lot.uid) or reverse("trace:lot_list")


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def lot_codes(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Bring in codes that were issued elsewhere for one of our lots."""
    actor = actor_of(request)
    lot = lot_for(actor, uid, write=True)
    form = CodesForm(request.POST or None)
    back = url_or_none("desk:lot_detail", lot.uid) or reverse("trace:lot_list")
    if request.method == "POST" and form.is_valid():
        made = attempt(form, lambda: _bring(actor, lot, form))
        if made is not None:
            messages.success(request, _("已带入 %(n)d 个旧码。") % {"n": len(made)})
            return redirect(back)
    return form_page(
        request,
        form,
        title=_("带入旧码：批次 %(lot)s") % {"lot": lot.code},
        intro=_("别处签发的码照原样保存。有人查到时，会如实看到：不是本系统签发，由本单位在今天带入。"),
        back=back,
        submit=_("带入"),
    )


def _bring(actor: Actor, lot: Lot, form: CodesForm) -> list[Any]:
    """Write them."""
    data = form.cleaned_data
    made: list[Any] = bring_in_codes(
        by=actor, lot=lot, codes=data["codes"], issued_by=data["issued_by"], when=When(timezone.now())
    )
    return made
