"""Pages of goods changing hands: the list and inbox, sending, the slip, receiving, taking in from outside, returns."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from urllib.parse import urlencode

from django import forms
from django.conf import settings
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
    entered_for,
    organisation_for,
    parse_uid,
    place_for,
    shipment_for,
)
from trace.actions.organisations import keep_external
from trace.actions.transfers import receive_shipment, ship_lots, slip_token, take_back, take_in
from trace.actor import Actor
from trace.crossing import supplier_in_system, supplier_lots
from trace.errors import DomainError, GuardBroken, Invalid
from trace.exports import asked_format, export
from trace.forms.fields import attempt
from trace.forms.shipments import (
    PARTY_FIELDS,
    IntakeForm,
    LotsForm,
    PartyForm,
    ReceiptForm,
    ShipForm,
    TakeBackForm,
)
from trace.lists import SHIPMENTS
from trace.models import Conflict, Lot, Organisation, Shipment, Transfer
from trace.pack_page import packs_with_counts
from trace.packs import sent_by
from trace.qr import qr_svg
from trace.shipping import (
    OVERDUE_DAYS,
    STATES,
    Holding,
    Wanted,
    find_shipments,
    holdings_of,
    in_hand,
    last_place,
    lines_of,
    lots_named,
    partners,
    party_candidates,
    state_of,
    unanswered,
    waiting_for,
)
from trace.views.once import KEY, form_key, once
from trace.views.pages import page_of

GET = ["GET", "HEAD"]
FORM = ["GET", "HEAD", "POST"]
PAGE_SIZE = 30
MOST_LOTS = 40
MOST_PACKS = 50
PURPOSES = {
    "ship": ("shipment_new", "shipment_goods", "out"),
    "take_in": ("intake_new", "intake", "in"),
    "take_back": ("return_new", "return_goods", "out"),
}
"""What a party is chosen for: the page of choosing, the page that follows, where partners come from."""


# --- The list -------------------------------------------------------------------------------------------------------


@audience("signed_in")
@require_safe
def transfer_list(request: HttpRequest) -> HttpResponseBase:
    """Shipments sent and received, newest first, narrowed by the address."""
    actor = actor_of(request)
    wanted = _wanted(request)
    rows = find_shipments(actor, wanted)
    if asked_format(request):
        return export(request, SHIPMENTS, rows)
    after = request.GET.get("after", "")
    if after:
        before = Shipment.objects.filter(uid=parse_uid(after[:40])).values_list("pk", flat=True).first()
        rows = rows.filter(pk__lt=before or 0)
    found = list(rows[: PAGE_SIZE + 1])
    here = found[:PAGE_SIZE]
    lines = lines_of(here)
    context = {
        "wanted": wanted,
        "rows": [(row, state_of(row), lines.get(row.pk, [])) for row in here],
        "next_cursor": here[-1].uid if len(found) > PAGE_SIZE else "",
        "states": STATES,
        "waiting": 0 if actor.is_regulator else waiting_for(actor).count(),
        "may_act": not actor.is_regulator,
        "mine": set(entered_for(actor)),
    }
    return render(request, "trace/shipments/list.html", context)


def _wanted(request: HttpRequest) -> Wanted:
    """The filters of the address; what is nonsense is left out."""
    way, state = request.GET.get("way", ""), request.GET.get("state", "")
    return Wanted(
        way=way if way in ("out", "in") else "",
        state=state if state in STATES else "",
        text=request.GET.get("q", "").replace("\x00", "").strip()[:60],
        since=_day(request.GET.get("since", "")),
        until=_day(request.GET.get("until", "")),
    )


def _day(text: str) -> datetime.date | None:
    """A day of the address, between 2000 and 2100."""
    try:
        day = datetime.date.fromisoformat(text[:10])
    except ValueError:
        return None
    return day if 2000 <= day.year < 2100 else None


@audience("party")
@require_safe
def inbox(request: HttpRequest) -> HttpResponseBase:
    """What waits for our receipt, the oldest first."""
    waiting = waiting_for(actor_of(request))
    if asked_format(request):
        return export(request, SHIPMENTS, waiting)
    page = page_of(request, waiting)
    here = list(page)
    lines = lines_of(here)
    late = timezone.now() - datetime.timedelta(days=OVERDUE_DAYS)
    rows = [(row, lines.get(row.pk, []), row.sent_at < late) for row in here]
    return render(request, "trace/shipments/inbox.html", {"page": page, "rows": rows})


# --- One shipment ---------------------------------------------------------------------------------------------------


@audience("signed_in")
@require_safe
def shipment(request: HttpRequest, uid: str) -> HttpResponse:
    """One shipment: what was sent, what arrived, what to do next."""
    actor = actor_of(request)
    row = _annotated(actor, shipment_for(actor, uid))
    mine = entered_for(actor)
    context = {
        "row": row,
        "state": state_of(row),
        "lines": lines_of([row]).get(row.pk, []),
        "conflicts": _conflicts(row, told_of_sending=actor.is_regulator or row.organisation_id in mine),
        "is_sender": row.organisation_id in mine,
        "is_receiver": row.receiver_id in mine,
        "slip_url": _slip_url(row) if row.organisation_id in mine else "",
        "received": _receipt_of(row),
        "reminders": row.reminders.order_by("-id")[:5],
        **_packs(row),
    }
    return render(request, "trace/shipments/shipment.html", context)


def _packs(row: Shipment) -> dict[str, object]:
    """The packs and units that went with a slip, with what is in each now."""
    units = list(sent_by(row.event)[: MOST_PACKS + 1])
    more = sent_by(row.event).count() - MOST_PACKS if len(units) > MOST_PACKS else 0
    return {"packs": packs_with_counts(units[:MOST_PACKS]) if units else [], "more_packs": more}


def _annotated(actor: Actor, row: Shipment) -> Shipment:
    """The shipment as lists have it, with its state."""
    return (
        find_shipments(actor, Wanted())
        .select_related("organisation__division", "receiver__division", "event")
        .get(pk=row.pk)
    )


def _receipt_of(row: Shipment) -> Transfer | None:
    """A line with the receiving event, if the receiver has answered."""
    answered = row.transfers.filter(received_by__isnull=False)
    return answered.select_related("received_by__entered_by", "received_by__place").order_by("id").first()


def _conflicts(row: Shipment, *, told_of_sending: bool) -> list[Conflict]:
    """What contradicts the records: of the receipt for both sides; of the sending only for the sender and regulators,
    since it may tell what else the sender has.
    """
    events = [transfer.received_by_id for transfer in row.transfers.all() if transfer.received_by_id is not None]
    if told_of_sending:
        events.append(row.event_id)
    return list(Conflict.objects.filter(event__in=events, voided_by=None).order_by("id"))


def _slip_url(row: Shipment) -> str:
    """The address in the slip's QR."""
    return settings.PUBLIC_BASE_URL + reverse("trace:slip", args=[slip_token(row)])


@audience("party")
@require_safe
def slip_print(request: HttpRequest, uid: str) -> HttpResponse:
    """The slip that travels with the goods: for the sender only, since who holds it may answer for the receiver."""
    actor = actor_of(request)
    row = _annotated(actor, shipment_for(actor, uid))
    if row.organisation_id not in entered_for(actor):
        return redirect("trace:shipment", uid=row.uid)
    url = _slip_url(row)
    context = {
        "row": row,
        "lines": lines_of([row]).get(row.pk, []),
        "url": url,
        "qr": qr_svg(url, _("收货确认二维码")),
        "data": row.event.data,
    }
    return render(request, "trace/shipments/slip_print.html", context)


# --- To whom, from whom ---------------------------------------------------------------------------------------------


def _party_page(request: HttpRequest, purpose: str) -> HttpResponse:
    """Choose the other party: a recent one, one found by name, or one written down now."""
    actor = actor_of(request)
    _here, following, way = PURPOSES[purpose]
    question = request.GET.get("q", "").replace("\x00", "").strip()[:60]
    carried = urlencode([("lot", uid[:40]) for uid in request.GET.getlist("lot")[:MOST_LOTS]])
    form = PartyForm(request.POST if request.method == "POST" else None, initial={"division": actor.owner.division_id})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        kept = attempt(
            form,
            lambda: keep_external(
                by=actor,
                name=data["name"],
                kind=data["kind"],
                division=data["division"],
                address=data["address"],
                contact=form.contact(),
                uscc=data["uscc"],
            ),
            PARTY_FIELDS,
        )
        if kept is not None:
            return redirect(_with(reverse(f"trace:{following}", args=[kept.uid]), carried))
    context = {
        "purpose": purpose,
        "question": question,
        "found": list(party_candidates(actor, question)[:20]) if question else [],
        "recent": [] if question else partners(actor, way),
        "following": f"trace:{following}",
        "carried": f"?{carried}" if carried else "",
        "lots": lots_named(actor, _chosen_lots(request)),
        "form": form,
        "open": form.is_bound or request.GET.get("new") == "1",
    }
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "trace/shipments/party.html", context, status=status)


def _with(address: str, query: str) -> str:
    """An address with a query, if there is one."""
    return f"{address}?{query}" if query else address


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def shipment_new(request: HttpRequest) -> HttpResponse:
    """First step of sending: to whom."""
    return _party_page(request, "ship")


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def intake_new(request: HttpRequest) -> HttpResponse:
    """First step of taking in: from whom."""
    return _party_page(request, "take_in")


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def return_new(request: HttpRequest) -> HttpResponse:
    """First step of a return: who sends back."""
    return _party_page(request, "take_back")


# --- Sending --------------------------------------------------------------------------------------------------------


def _guarded(form: forms.Form, work: Callable[[], HttpResponse]) -> tuple[HttpResponse | None, GuardBroken | None]:
    """Do the work; a broken guard comes back to be shown once, other refusals go to the form."""
    try:
        return attempt(form, lambda: _keep_guard(work)), None
    except _Guarded as kept:
        form.add_error(None, forms.ValidationError(_("与已有记录不符，请看下面的说明。"), code=kept.error.code))
        return None, kept.error


class _Guarded(Exception):
    """Carries a broken guard past ``attempt``, which would flatten it to a sentence."""

    def __init__(self, error: GuardBroken) -> None:
        super().__init__(error.message)
        self.error = error


def _keep_guard(work: Callable[[], HttpResponse]) -> HttpResponse:
    try:
        return work()
    except GuardBroken as error:
        raise _Guarded(error) from error


def _chosen_lots(request: HttpRequest) -> list[str]:
    """The lots the address names."""
    return [uid[:40] for uid in request.GET.getlist("lot")[:MOST_LOTS] if _is_uid(uid)]


def _is_uid(text: str) -> bool:
    """Whether a text is a name of a row."""
    try:
        parse_uid(text[:40])
    except DomainError:
        return False
    return True


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def shipment_goods(request: HttpRequest, uid: str) -> HttpResponse:
    """Second and third step of sending: which lots, then how much of each and when."""
    actor = actor_of(request)
    receiver = organisation_for(actor, uid)
    chosen = _chosen_lots(request)
    if not chosen or "choose" in request.GET:
        return _choose_lots(request, actor, receiver, chosen)
    holdings = [held for held in holdings_of(actor, lots_named(actor, chosen)) if held.micros > 0]
    if not holdings:
        messages.info(request, _("这些批次现在没有库存，请另选。"))
        return redirect("trace:shipment_goods", uid=receiver.uid)
    form = ShipForm(request.POST if request.method == "POST" else None, holdings=holdings)
    guard = None
    if request.method == "POST" and form.is_valid():
        done, guard = _guarded(form, lambda: once(request, actor, lambda: _ship(request, actor, receiver, form)))
        if done is not None:
            return done
    context = {
        "receiver": receiver,
        "form": form,
        "rows": form.rows(),
        "guard": guard,
        "insisted": bool(request.POST.get("insist")),
        "key_name": KEY,
        "key": form_key(request),
        "again": f"?{urlencode([('lot', lot) for lot in chosen])}&choose=1",
    }
    return render(request, "trace/shipments/goods.html", context, status=_status(form, guard))


def _status(form: forms.Form, guard: DomainError | None) -> int:
    """200 for a fresh form, 409 where a guard refused, 422 for wrong entries."""
    if guard is not None:
        return guard.status
    return 422 if form.is_bound and form.errors else 200


def _ship(request: HttpRequest, actor: Actor, receiver: Organisation, form: ShipForm) -> str:
    """Send; gives the address of the slip."""
    data = form.data_fields()
    row = ship_lots(
        by=actor,
        receiver=receiver,
        portions=form.portions,
        when=form.moment(),
        data=data,
        remark=form.cleaned_data["remark"],
        insist=request.POST.get("insist") == "1",
    )
    messages.success(request, _("已登记发货。请打印发货单，随货交给收货方扫码确认。"))
    return reverse("trace:shipment", args=[row.uid])


def _choose_lots(request: HttpRequest, actor: Actor, receiver: Organisation, chosen: list[str]) -> HttpResponse:
    """Which lots: those in hand, newest first; chosen ones stay chosen while one searches."""
    question = request.GET.get("q", "").replace("\x00", "").strip()[:60]
    page = page_of(request, in_hand(actor, question))
    kept = [held for held in holdings_of(actor, lots_named(actor, chosen)) if held.micros > 0]
    names = {held.lot.pk for held in kept}
    context = {
        "receiver": receiver,
        "question": question,
        "page": page,
        "kept": kept,
        "holdings": [held for held in holdings_of(actor, list(page)) if held.lot.pk not in names],
    }
    return render(request, "trace/shipments/choose.html", context)


# --- Receiving ------------------------------------------------------------------------------------------------------


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def receive(request: HttpRequest, uid: str) -> HttpResponse:
    """Say how much of each line arrived. A receipt is a report: it is always recorded, differences become conflicts."""
    actor = actor_of(request)
    row = _annotated(actor, shipment_for(actor, uid))
    if row.receiver_id not in entered_for(actor) or state_of(row) != "unconfirmed":
        return redirect("trace:shipment", uid=row.uid)
    every = lines_of([row]).get(row.pk, [])
    lines = unanswered(every)
    form = ReceiptForm(
        request.POST if request.method == "POST" else None, actor=actor, lines=lines, place=last_place(actor)
    )
    if request.method == "POST" and form.is_valid():
        done = attempt(form, lambda: _receive(request, actor, row, form))
        if done is not None:
            return done
    context = {"row": row, "form": form, "rows": form.rows(), "in_part": len(lines) < len(every)}
    return render(request, "trace/shipments/receive.html", context, status=_status(form, None))


def _receive(request: HttpRequest, actor: Actor, row: Shipment, form: ReceiptForm) -> HttpResponse:
    """Write the receipt and say what came of it."""
    place = form.cleaned_data["place"]
    captured = receive_shipment(
        by=actor,
        shipment=row,
        received=form.received,
        when=form.moment(),
        place=place_for(actor, place) if place else None,
        data=form.data_fields(),
        aliases=form.aliases(),
        remark=form.cleaned_data["remark"],
    )
    if captured.conflicts:
        messages.warning(request, _("已登记收货。数量或时间与发货单不一致，双方和监管部门都能看到这处差异。"))
    else:
        messages.success(request, _("已登记收货，数量与发货单一致。"))
    return redirect("trace:shipment", uid=row.uid)


# --- Taking in from outside, and returns ----------------------------------------------------------------------------


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def intake(request: HttpRequest, uid: str) -> HttpResponse:
    """Second step of taking in: what came, under which lot code of the supplier."""
    actor = actor_of(request)
    supplier = organisation_for(actor, uid)
    form = IntakeForm(request.POST if request.method == "POST" else None, actor=actor)
    guard = None
    if request.method == "POST" and form.is_valid():
        done, guard = _guarded(form, lambda: once(request, actor, lambda: _take_in(request, actor, supplier, form)))
        if done is not None:
            return done
    context = {
        "supplier": supplier,
        "form": form,
        "guard": guard,
        "insisted": bool(request.POST.get("insist")),
        "key_name": KEY,
        "key": form_key(request),
        "has_products": bool(form.products),
    }
    return render(request, "trace/shipments/intake.html", context, status=_status(form, guard))


def _take_in(request: HttpRequest, actor: Actor, supplier: Organisation, form: IntakeForm) -> str:
    """Begin the supplier's lot in our books; gives the address of what follows."""
    data = form.cleaned_data
    if form.entered is None:
        raise Invalid(_("请填写数量。"), code="amount_required")
    captured = take_in(
        by=actor,
        supplier=supplier,
        product=form.chosen(),
        supplier_lot=data["supplier_lot"],
        amount=form.entered,
        when=form.moment(),
        place=place_for(actor, data["place"]) if data["place"] else None,
        data=form.data_fields(),
        produced_on=data["produced_on"],
        expires_on=data["expires_on"],
        remark=data["remark"],
        insist=request.POST.get("insist") == "1",
    )
    lot = captured.lots[0]
    messages.success(
        request,
        _("已登记进货：%(product)s，批号 %(lot)s。") % {"product": lot.product_version.label, "lot": lot.code},
    )
    if lot.lot_code != data["supplier_lot"]:
        kept = _("供货方的批号“%(code)s”照原样保留，按它也能查到这一批。")
        messages.info(request, kept % {"code": data["supplier_lot"]})
    registered = supplier_in_system(lot)
    if registered is not None and supplier_lots(registered, data["supplier_lot"]):
        return reverse("trace:lot_join", args=[lot.uid])
    return f"{reverse('trace:intake_new')}?done={lot.uid}"


def sent_to(actor: Actor, holder: Organisation) -> list[Lot]:
    """Lots the actor sent to this party, the latest first: what may come back."""
    rows = Transfer.objects.filter(sender__in=entered_for(actor), receiver=holder, voided_by=None).order_by("-id")
    ids = list(dict.fromkeys(rows.values_list("lot", flat=True)[:200]))[:MOST_LOTS]
    found = Lot.objects.filter(pk__in=ids).select_related(
        "product__current", "product_version", "organisation", "released_by"
    )
    order = {pk: number for number, pk in enumerate(ids)}
    return sorted(found, key=lambda lot: order[lot.pk])


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def return_goods(request: HttpRequest, uid: str) -> HttpResponse:
    """Second step of a return: which lots came back, and how much."""
    actor = actor_of(request)
    source = organisation_for(actor, uid)
    known = {str(lot.uid): lot for lot in sent_to(actor, source)}
    chosen = [known[name] for name in _chosen_lots(request) if name in known]
    if not chosen:
        return render(request, "trace/shipments/return_choose.html", {"source": source, "lots": list(known.values())})
    form = TakeBackForm(
        request.POST if request.method == "POST" else None, actor=actor, holdings=[Holding(lot) for lot in chosen]
    )
    if request.method == "POST" and form.is_valid():
        done, _guard = _guarded(form, lambda: once(request, actor, lambda: _take_back(request, actor, source, form)))
        if done is not None:
            return done
    context = {
        "source": source,
        "form": form,
        "rows": form.rows(),
        "key_name": KEY,
        "key": form_key(request),
    }
    return render(request, "trace/shipments/return_goods.html", context, status=_status(form, None))


def _take_back(request: HttpRequest, actor: Actor, source: Organisation, form: LotsForm) -> str:
    """Write down the return; gives the address of the list."""
    place = form.cleaned_data["place"]
    captured = take_back(
        by=actor,
        source=source,
        portions=form.portions,
        when=form.moment(),
        place=place_for(actor, place) if place else None,
        remark=form.cleaned_data["remark"],
    )
    if captured.conflicts:
        messages.warning(request, _("已登记退货。数量比对方应有的多，已记为矛盾。"))
    else:
        messages.success(request, _("已登记退货，货物回到本单位库存。"))
    return f"{reverse('trace:transfer_list')}?way=in"
