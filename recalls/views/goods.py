"""Goods coming back and goods destroyed."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from recalls.access import campaign_for, campaign_notice_for, received_notice_for, require_side
from recalls.actions.goods import destroy, receive_return
from recalls.actions.scopes import lots_of
from recalls.asked import still_asked
from recalls.forms import ReturnForm
from recalls.goods_forms import DeedForm
from recalls.models import Campaign, Notice
from recalls.scope import latest_scope
from recalls.views.doors import acting, page
from trace.access import audience, own_places
from trace.actions.events import When
from trace.actions.files import FILES_PER_EVENT, store_file
from trace.actor import Actor
from trace.forms.fields import attempt
from trace.models import Lot, Organisation, Stock


def known_stock(lots: list[Lot], organisation: Organisation) -> list[tuple[Lot, int]]:
    """Lots with what this organisation has of each by record, those it has first."""
    have: dict[int, int] = {}
    for lot, micros in Stock.objects.filter(lot__in=lots, organisation=organisation).values_list("lot", "micros"):
        have[lot] = have.get(lot, 0) + micros
    return sorted(((lot, have.get(lot.pk, 0)) for lot in lots), key=lambda item: (-item[1], item[0].pk))


@audience("party", "operator", "quality")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_return(request: HttpRequest, uid: str, notice: str) -> HttpResponse:
    """Write down what came back from one holder."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    found = campaign_notice_for(actor, campaign, notice)
    lots = list(
        Lot.objects.filter(pk__in=still_asked(found.lots.all()).values("lot"))
        .select_related("product", "product_version")
        .order_by("pk")
    )
    places = list(own_places(actor))
    form = ReturnForm(request.POST or None, lots=known_stock(lots, found.organisation), places=places)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        place = next((row for row in places if str(row.uid) == data["place"]), None)
        done = attempt(
            form,
            lambda: receive_return(
                by=actor,
                campaign=campaign,
                organisation=found.organisation,
                lines=form.lines,
                when=When(data["when"]),
                condition=data["condition"],
                place=place,
                remark=data["remark"],
            ),
        )
        if done is not None:
            messages.success(request, _("收回已入库，货物仍处于封存状态。"))
            return redirect("recalls:campaign_notice_page", campaign.uid, found.uid)
    return page(
        request,
        "recalls/campaign_return.html",
        {
            "campaign": campaign,
            "notice": found,
            "form": form,
            "sent": found.dispatches.select_related("lot__product", "lot__product_version").order_by("-id")[:20],
        },
        bad=form.is_bound,
    )


def _witnesses(campaign: Campaign) -> list[Organisation]:
    """Regulators over the initiator: who may be named as witness."""
    rows = Organisation.objects.filter(kind=Organisation.Kind.REGULATOR, status=Organisation.Status.ACTIVE)
    return [row for row in rows if row.territory and campaign.organisation.division_id.startswith(row.territory)]


@audience("party", "operator", "quality")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_disposal(request: HttpRequest, uid: str) -> HttpResponse:
    """The initiator destroys what it has of the scope's lots; what was destroyed so far stands beside."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    scope = latest_scope(campaign)
    lots = [pair for pair in known_stock(lots_of(scope) if scope else [], campaign.organisation) if pair[1] > 0]
    return _disposal_page(request, actor, campaign, None, lots)


@audience("party", "operator", "quality")
@require_http_methods(["GET", "HEAD", "POST"])
def notice_disposal(request: HttpRequest, uid: str) -> HttpResponse:
    """A holder destroys on the spot what it has."""
    actor = acting(request)
    found = received_notice_for(actor, uid)
    lots = list(
        Lot.objects.filter(pk__in=still_asked(found.lots.all()).values("lot"))
        .select_related("product", "product_version")
        .order_by("pk")
    )
    known = [pair for pair in known_stock(lots, found.organisation) if pair[1] > 0]
    return _disposal_page(request, actor, found.campaign, found, known)


def _disposal_page(
    request: HttpRequest, actor: Actor, campaign: Campaign, notice: Notice | None, lots: list[tuple[Lot, int]]
) -> HttpResponse:
    """The form of a disposal, for the initiator or a holder."""
    witnesses = _witnesses(campaign)
    doing = notice.organisation if notice is not None else campaign.organisation
    plans = list(campaign.disposal_plans.filter(organisation=doing).order_by("-id")[:50])
    form = DeedForm(request.POST or None, lots=lots[:200], witnesses=witnesses, plans=plans)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        witness = next((row for row in witnesses if str(row.uid) == data["witness"]), None)
        plan = next((row for row in plans if str(row.uid) == data["plan"]), None)
        done = attempt(
            form,
            lambda: destroy(
                plan=plan,
                executor=data["executor"],
                files=[
                    store_file(by=actor, name=upload.name or "", content=upload)
                    for upload in request.FILES.getlist("files")[:FILES_PER_EVENT]
                ],
                by=actor,
                campaign=campaign,
                lines=form.lines,
                when=When(data["when"]),
                method=data["method"],
                place=data["where"],
                witness=witness,
                witness_name=data["witness_name"],
                announced_at=data["announced_at"],
                holder=notice.organisation if notice is not None else None,
                remark=data["remark"],
            ),
            {"witness_required": "witness", "announced_late": "announced_at"},
        )
        if done is not None:
            messages.success(request, _("处理已登记。"))
            if notice is not None:
                return redirect("recalls:notice", notice.uid)
            return redirect("recalls:campaign_disposal", campaign.uid)
    own = actor.owner.pk if notice is not None else None
    done_before = (
        campaign.disposals.select_related(
            "lot__product", "lot__product_version", "organisation", "witness", "fact__plan"
        )
        .prefetch_related("files__file")
        .order_by("-id")
    )
    if own is not None:
        done_before = done_before.filter(organisation=own)
    return page(
        request,
        "recalls/disposal.html",
        {"campaign": campaign, "notice": notice, "form": form, "lots": lots, "done": done_before[:100]},
        bad=form.is_bound,
    )
