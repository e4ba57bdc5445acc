"""Reports beforehand, goods on their way back, oddities, corrected goods, and the balance of each lot."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from recalls.access import (
    campaign_for,
    campaign_notice_for,
    notice_by_link,
    received_notice_for,
    require_side,
)
from recalls.actions.acts import is_competent
from recalls.actions.disposal import (
    approve_release,
    explain_difference,
    note_oddity,
    propose_release,
    report_disposal,
    send_back,
    send_back_by_link,
)
from recalls.actions.scopes import lots_of
from recalls.asked import still_asked
from recalls.balance import balances
from recalls.figures import figures
from recalls.forms import lot_choices, offer
from recalls.goods_forms import DifferenceForm, OddityForm, PlanForm, ReleaseForm, SendBackForm
from recalls.guards import releasable, unexplained
from recalls.models import Campaign, Notice
from recalls.scope import latest_scope, passed_in_force, version_in_force
from recalls.sight import Sight, answered_holders
from recalls.transitions import Status
from recalls.views.doors import acting, page
from recalls.views.goods import known_stock
from trace.access import audience, parse_uid
from trace.actor import Actor
from trace.errors import Invalid, NotFound
from trace.forms.fields import attempt
from trace.models import Lot, Organisation, Product


def _own(campaign: Campaign, holder: Organisation) -> list[tuple[Lot, int]]:
    """What a holder has of the scope's lots."""
    scope = latest_scope(campaign)
    return [pair for pair in known_stock(lots_of(scope) if scope else [], holder) if pair[1] > 0][:200]


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def disposal_plans(request: HttpRequest, uid: str) -> HttpResponse:
    """Reports beforehand: the initiator files one, the authority reads when and where it may attend."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    mine = campaign.organisation_id == actor.owner.pk
    return _plans(request, actor, campaign, None, _own(campaign, campaign.organisation) if mine else [])


@audience("party", "operator", "quality")
@require_http_methods(["GET", "HEAD", "POST"])
def notice_disposal_plan(request: HttpRequest, uid: str) -> HttpResponse:
    """A holder reports that it will destroy on the spot."""
    actor = acting(request)
    found = received_notice_for(actor, uid)
    return _plans(request, actor, found.campaign, found, _own(found.campaign, found.organisation))


def _plans(
    request: HttpRequest, actor: Actor, campaign: Campaign, notice: Notice | None, lots: list[tuple[Lot, int]]
) -> HttpResponse:
    form = PlanForm(request.POST or None, lots=lots)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        done = attempt(
            form,
            lambda: report_disposal(
                by=actor,
                campaign=campaign,
                lines=[(line.lot, line.amount.micros) for line in form.lines],
                planned_at=data["planned_at"],
                place=data["where"],
                method=data["method"],
                organisation=notice.organisation if notice else None,
            ),
            {"planned_too_late": "planned_at"},
        )
        if done is not None:
            messages.success(request, _("预报告已送主管部门。到时间再登记销毁。"))
            if notice is not None:
                return redirect("recalls:notice_disposal_plan", notice.uid)
            return redirect("recalls:disposal_plans", campaign.uid)
    rows = campaign.disposal_plans.select_related("organisation", "by").prefetch_related(
        "lots__lot__product_version", "lots__lot__product", "disposals"
    )
    if notice is not None:
        rows = rows.filter(organisation=notice.organisation)
    sight = Sight(actor, campaign)
    return page(
        request,
        "recalls/disposal_plans.html",
        {
            "campaign": campaign,
            "notice": notice,
            "form": form if lots else None,
            "plans": [{"row": row, "holder": sight.holder(row.organisation)} for row in rows.order_by("-id")[:100]],
        },
        bad=form.is_bound,
    )


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def notice_send_back(request: HttpRequest, uid: str) -> HttpResponse:
    """Say what goes back, signed in."""
    actor = acting(request)
    found = received_notice_for(actor, uid)
    return _sending(request, found, None, actor)


@audience("public")
@require_http_methods(["GET", "HEAD", "POST"])
def letter_send_back(request: HttpRequest, token: str) -> HttpResponse:
    """The same from the letter."""
    return _sending(request, notice_by_link(token), token, None)


def _sending(request: HttpRequest, found: Notice, token: str | None, actor: Actor | None) -> HttpResponse:
    lots = [
        (row.lot, row.on_hand_micros + row.unconfirmed_micros)
        for row in still_asked(found.lots.select_related("lot__product", "lot__product_version")).order_by("id")[:200]
    ]
    form = SendBackForm(request.POST or None, lots=lots)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        how: dict[str, Any] = {
            "lines": [(line.lot, line.amount.micros) for line in form.lines],
            "sent_at": data["sent_at"],
            "carrier": data["carrier"],
            "parcel": data["parcel"],
        }
        if actor is None:
            done = attempt(form, lambda: send_back_by_link(token=token or "", **how), {"in_future": "sent_at"})
        else:
            done = attempt(form, lambda: send_back(by=actor, notice=found, **how), {"in_future": "sent_at"})
        if done is not None:
            messages.success(request, _("已登记寄回，召回单位收到后会核对数量。"))
            return (
                redirect("recalls:letter_send_back", token)
                if token
                else redirect("recalls:notice_send_back", found.uid)
            )
    sent = found.dispatches.select_related("lot__product", "lot__product_version").order_by("-id")[:100]
    got = found.returns.select_related("lot__product", "lot__product_version").order_by("-id")[:100]
    return page(
        request,
        "recalls/send_back.html",
        {"notice": found, "campaign": found.campaign, "form": form, "token": token, "sent": sent, "got": got},
        bad=form.is_bound,
    )


@audience("party", "operator", "quality")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_oddity(request: HttpRequest, uid: str, notice: str) -> HttpResponse:
    """Write down what came back and is no recalled goods."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    found = campaign_notice_for(actor, campaign, notice)
    form = OddityForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        if attempt(form, lambda: note_oddity(by=actor, notice=found, **data)) is not None:
            messages.success(request, _("已登记，不计入收回数量。"))
            return redirect("recalls:campaign_oddity", campaign.uid, found.uid)
    rows = found.oddities.select_related("by").order_by("-id")[:100]
    return page(
        request,
        "recalls/campaign_oddity.html",
        {"campaign": campaign, "notice": found, "form": form, "rows": rows},
        bad=form.is_bound,
    )


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_releases(request: HttpRequest, uid: str) -> HttpResponse:
    """Goods whose label was put right: propose, and let another person approve."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    mine = campaign.organisation_id == actor.owner.pk
    allowed = releasable(campaign)
    holders = answered_holders(actor, campaign) if mine and allowed else []
    wanted = request.GET.get("holder", "")
    holder = next((one for one in holders if str(one.uid) == wanted), campaign.organisation)
    if wanted and holder == campaign.organisation:
        raise NotFound(_("没有找到，或者您无权查看。"))
    lots = _own(campaign, holder) if mine else []
    if holder != campaign.organisation:
        # What the holder made itself of the recalled goods stays veiled, as in the balance.
        opened = Sight(actor, campaign).open_lots([lot.pk for lot, _micros in lots])
        lots = [pair for pair in lots if pair[0].pk in opened]
    approving = request.POST.get("approve", "")
    form = ReleaseForm(request.POST if request.method == "POST" and not approving else None, lots=lots)
    if campaign.track == Product.Track.CONSUMER:
        form.fields["correction"].label = _("怎样消除了缺陷")
        form.fields["correction"].help_text = _("买的人会看到，例如：已加装防倾装置并复测合格。")
    if approving:
        row = campaign.releases.filter(uid=parse_uid(approving)).select_related("campaign__organisation").first()
        if row is None:
            raise NotFound(_("没有找到，或者您无权查看。"))
        approve_release(by=actor, release=row)
        messages.success(request, _("已放行。只有这些数量可以再销售，其余仍然封存。"))
        return redirect("recalls:campaign_releases", campaign.uid)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        units = (data["unit_from"], data["unit_to"] or data["unit_from"]) if data["unit_from"] else None

        def propose() -> list[Any]:
            if units is not None and len(form.lines) > 1:
                raise Invalid(_("件号范围只用于一个批次。"), code="range_wrong")
            with transaction.atomic():
                return [
                    propose_release(
                        by=actor,
                        campaign=campaign,
                        lot=line.lot,
                        micros=line.amount.micros,
                        correction=data["correction"],
                        holder=holder,
                        units=units,
                    )
                    for line in form.lines
                ]

        if attempt(form, propose, {"range_wrong": "unit_to"}) is not None:
            messages.success(request, _("已提出，须另一人批准后才能销售。"))
            return redirect("recalls:campaign_releases", campaign.uid)
    held = campaign.is_open or campaign.status == Status.CLOSED
    rows = campaign.releases.select_related(
        "lot__product", "lot__product_version", "holder", "by", "approval__by"
    ).order_by("-id")
    return page(
        request,
        "recalls/campaign_releases.html",
        {
            "campaign": campaign,
            "form": form if lots and allowed and held else None,
            "holders": holders if held else [],
            "holder": holder,
            "allowed": allowed,
            "rows": rows[:200],
            "may_approve": (mine and actor.can("owner")) or is_competent(actor, campaign),
            "me": actor.user.pk if actor.user else None,
        },
        bad=form.is_bound,
    )


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_balance(request: HttpRequest, uid: str) -> HttpResponse:
    """The mass balance lot by lot, what does not add up, and why."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    numbers = figures(campaign)
    sight = Sight(actor, campaign)
    opened = sight.open_lots([one.lot.pk for one in numbers.lots])
    odd = [one.lot for one in numbers.inconsistent if one.lot.pk in opened]
    form = DifferenceForm(request.POST or None)
    offer(form, "lot", lot_choices(odd))
    if request.method == "POST" and form.is_valid():
        lot = next(one for one in odd if str(one.uid) == form.cleaned_data["lot"])
        words = form.cleaned_data["explanation"]
        if attempt(form, lambda: explain_difference(by=actor, campaign=campaign, lot=lot, explanation=words)):
            messages.success(request, _("说明已登记。"))
            return redirect("recalls:campaign_balance", campaign.uid)
    notes = {note.lot_id: note.explanation for note in campaign.balance_notes.order_by("id")}
    rows = [one for one in balances(numbers, notes) if one.lot.pk in opened]
    return page(
        request,
        "recalls/campaign_balance.html",
        {
            "campaign": campaign,
            "rows": rows[:500],
            "released": any(one.amounts.released for one in numbers.lots),
            "hidden": len(numbers.lots) - len(rows),
            "through": passed_in_force(version_in_force(campaign))[0],
            "open": [one.lot.code for one in unexplained(campaign) if one.lot.pk in opened],
            "form": form if odd and campaign.organisation_id == actor.owner.pk and campaign.is_open else None,
        },
        bad=form.is_bound,
    )
