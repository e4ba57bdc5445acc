"""Pages of packs: the packing console, one pack, sending and receiving by scanning, damaged codes, SSCC numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from trace.access import actor_of, audience, entered_for, organisation_for, shipment_for
from trace.actions.pack_shipments import (
    Load,
    arrival_of,
    foreseen,
    load_to_ship,
    load_to_take_back,
    receive_packs,
    ship_packs,
    take_back_packs,
)
from trace.actions.packs import (
    MOST,
    pack_units,
    replace_code,
    reserve_pack_codes,
    set_gs1_prefix,
    unpack_units,
)
from trace.actor import Actor
from trace.errors import DomainError, GuardBroken, Invalid, NotFound
from trace.exports import asked_format, export
from trace.forms.packs import (
    PackForm,
    PrefixForm,
    ReplaceForm,
    ReserveForm,
    ScanInForm,
    ShipPacksForm,
    UnpackForm,
    level_of,
    level_words,
)
from trace.identifiers import normalise_sscc
from trace.lists import PACKS
from trace.models import Shipment, Unit
from trace.pack_page import (
    children_of,
    goods_of,
    history_of,
    packs_with_counts,
    unit_page,
    with_counts,
)
from trace.packs import arriving, packs_of, plan_of, unit_code, unit_for
from trace.qr import qr_svg
from trace.shipping import waiting_for
from trace.views.once import KEY, form_key, once
from trace.views.pages import page_of

T = TypeVar("T")
FORM = ["GET", "HEAD", "POST"]
CHILDREN = 100
"""Units of one pack shown at a time."""
MOST_LABELS = 100
_FIELD_OF = {
    "pack_level": "parent",
    "sscc_of_another": "parent",
    "pack_empty": "codes",
    "unit_unknown": "codes",
    "unit_void": "codes",
    "unit_replaced": "codes",
    "children_required": "codes",
    "pack_packed": "codes",
    "run_still_issuing": "parent",
    "packs_required": "codes",
    "not_on_slip": "codes",
    "too_many_items": "codes",
    "serial_length": "codes",
    "serial_characters": "codes",
    "content_unknown": "codes",
    "code_in_use": "new",
    "code_of_other_goods": "new",
    "reason_required": "reason",
    "gs1_prefix_taken": "number",
    "gs1_prefix_shape": "number",
    "bad_count": "count",
}


def _tried(form: forms.Form, run: Callable[[], T]) -> tuple[T | None, GuardBroken | None]:
    """What the action gave; or the guard that refused, to be shown once; other refusals stand in the form."""
    if not form.is_valid():
        return None, None
    try:
        return run(), None
    except GuardBroken as error:
        form.add_error(None, ValidationError(_("与已有记录不符，请看下面的说明。"), code=error.code))
        return None, error
    except DomainError as error:
        if error.status not in (409, 422):
            raise
        name = _FIELD_OF.get(error.code, "")
        form.add_error(name if name in form.fields else None, ValidationError(error.message, code=error.code))
    return None, None


def _status(form: forms.Form, guard: GuardBroken | None) -> int:
    """200 for a fresh form, 409 where a guard refused, 422 for wrong entries."""
    if guard is not None:
        return guard.status
    return 422 if form.is_bound and form.errors else 200


def _insists(request: HttpRequest) -> bool:
    return request.POST.get("insist") == "1"


def _of_form(request: HttpRequest, form: forms.Form, guard: GuardBroken | None = None) -> dict[str, object]:
    """What every form here shows: itself, the guard that refused it, and its key, by which it counts once."""
    return {
        "form": form,
        "guard": guard,
        "insisted": _insists(request),
        "key_name": KEY,
        "key": form_key(request),
    }


# --- The list and one pack ------------------------------------------------------------------------------------------


@audience("party")
@require_safe
def pack_list(request: HttpRequest) -> HttpResponseBase:
    """Packs in our hands, newest first; the field above finds any code."""
    actor = actor_of(request)
    question = request.GET.get("q", "").replace("\x00", "").strip()[:400]
    missed = False
    if question:
        try:
            return redirect("trace:pack", code=unit_for(actor, question).code)
        except NotFound:
            missed = True
    if asked_format(request):
        return export(request, PACKS, packs_of(actor))
    page = page_of(request, packs_of(actor))
    context = {
        "page": page,
        "rows": packs_with_counts(list(page)),
        "question": question,
        "missed": missed,
        "levels": level_words(),
        "waiting": waiting_for(actor).count(),
        "may_act": actor.can("operator", "quality"),
        "prefix": actor.owner.gs1_prefix,
    }
    return render(request, "trace/packs/list.html", context, status=404 if missed else 200)


@audience("signed_in")
@require_safe
def pack(request: HttpRequest, code: str) -> HttpResponse:
    """One unit or pack: what is in it down to the leaves, who has it, where it went, what happened to it."""
    actor = actor_of(request)
    unit = unit_for(actor, code)
    page = unit_page(actor, unit)
    inside = Paginator(children_of(unit) if page.inside_told else Unit.objects.none(), CHILDREN)
    here = inside.get_page(request.GET.get("page", "1")[:9])
    works = not actor.is_regulator and actor.can("operator", "quality")
    whole = unit.replaced_by_id is None and page.shipment is None
    plan = plan_of(unit)
    context = {
        "unit": unit,
        "page": page,
        "inside": here,
        "children": with_counts(list(here)),
        "history": history_of(actor, page) if page.inside_told else [],
        "planned": plan.numbers(unit.number) if plan is not None and not unit.container and page.inside_told else None,
        "may_pack": works and whole and unit.level != Unit.Level.ITEM and (page.mine or not unit.container),
        "may_unpack": works and page.mine and inside.count > 0,
        "may_replace": works and whole and unit.organisation_id in entered_for(actor),
        "may_label": works and unit.replaced_by_id is None and unit.organisation_id in entered_for(actor),
        "may_receive": works
        and page.shipment is not None
        and not page.answered
        and page.shipment.receiver_id in entered_for(actor),
    }
    return render(request, "trace/packs/pack.html", context)


@audience("party")
@require_safe
def pack_check(request: HttpRequest) -> HttpResponse:
    """What a code just scanned is, as JSON, so that the console says it at once; writes nothing.

    ``for`` says what it was scanned for: ``out`` may leave a pack, ``in`` may be on its way.
    """
    actor = actor_of(request)
    try:
        unit = unit_for(actor, request.GET.get("code", "")[:400])
    except NotFound as error:
        return JsonResponse({"known": False, "words": str(error.message)})
    goods = [with_counts([unit])[0].counts] if unit.container else [unit.lot.product_version.label, unit.lot.code]
    words = [str(unit.get_level_display()), *goods]
    plan = plan_of(unit)
    if plan is not None and not unit.container:
        first, last = plan.numbers(unit.number)
        words.append(_("配好 %(n)d 件") % {"n": last - first + 1})
    purpose = request.GET.get("for", "")
    problem = ""
    if unit.replaced_by is not None:
        problem = _("已换成 %(new)s") % {"new": unit.replaced_by.code}
    elif unit.state in (Unit.State.SPOILED, Unit.State.VOID):
        problem = str(unit.get_state_display())
    elif unit.top.transit_id is not None and purpose != "in":
        problem = _("在途，还没有确认收货")
    elif unit.parent is not None and not purpose:
        problem = _("已装在 %(pack)s") % {"pack": unit.parent.code}
    return JsonResponse({"known": True, "code": unit.code, "words": " · ".join(words), "problem": problem})


# --- Packing --------------------------------------------------------------------------------------------------------


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def pack_new(request: HttpRequest) -> HttpResponse:
    """The packing console: scan what goes in, press once; the page comes back ready for the next pack."""
    actor = actor_of(request)
    level = level_of(request.GET.get("level", ""))
    initial = {
        "level": level,
        "parent": request.GET.get("parent", "")[:40],
        "codes": request.GET.get("codes", "")[:400],
        "place": request.GET.get("place", "")[:40],
    }
    form = PackForm(request.POST if request.method == "POST" else None, actor=actor, initial=initial)
    address, guard = _tried(form, lambda: once(request, actor, lambda: _pack(request, actor, form)))
    if address is not None:
        return address
    context = {
        **_of_form(request, form, guard),
        "level": level,
        "levels": level_words(),
        "done": _done(request, actor),
        "prefix": actor.owner.gs1_prefix,
        "most": MOST,
    }
    return render(request, "trace/packs/console.html", context, status=_status(form, guard))


def _pack(request: HttpRequest, actor: Actor, form: PackForm) -> str:
    """Pack; gives the address of the console with what was just packed."""
    data = form.cleaned_data
    captured = pack_units(
        by=actor,
        parent=data["parent"],
        children=data["codes"],
        when=form.happened(),
        code="common.palletise" if data["level"] == Unit.Level.PALLET else "common.pack",
        level=data["level"],
        place=form.where(),
        remark=data["remark"],
        insist=_insists(request),
    )
    asked = {"level": data["level"], "done": captured.event.data["parent"], "place": data["place"]}
    return f"{reverse('trace:pack_new')}?{urlencode(asked)}"


def _done(request: HttpRequest, actor: Actor) -> tuple[Unit, str] | None:
    """The pack just packed, with what is in it in words."""
    code = request.GET.get("done", "")[:40]
    if not code or request.method == "POST":
        return None
    try:
        unit = unit_for(actor, code)
    except NotFound:
        return None
    (child,) = with_counts([unit])
    return unit, child.counts


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def pack_open(request: HttpRequest, code: str) -> HttpResponse:
    """Take units out of a pack."""
    actor = actor_of(request)
    unit = unit_for(actor, code)
    form = UnpackForm(request.POST if request.method == "POST" else None, actor=actor)

    def work() -> str:
        unpack_units(
            by=actor,
            parent=unit.code,
            children=form.cleaned_data["codes"],
            when=form.happened(),
            place=form.where(),
            remark=form.cleaned_data["remark"],
            insist=_insists(request),
        )
        messages.success(request, _("已登记拆箱。"))
        return reverse("trace:pack", args=[unit.code])

    done, guard = _tried(form, lambda: once(request, actor, work))
    if done is not None:
        return done
    context = {
        "unit": unit,
        **_of_form(request, form, guard),
        "count": unit.children.count(),
    }
    return render(request, "trace/packs/open.html", context, status=_status(form, guard))


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def pack_replace(request: HttpRequest, code: str) -> HttpResponse:
    """Put a new code in a damaged one's place."""
    actor = actor_of(request)
    unit = unit_for(actor, code)
    form = ReplaceForm(request.POST if request.method == "POST" else None)

    def work() -> str:
        captured = replace_code(
            by=actor,
            old=unit.code,
            new=form.cleaned_data["new"],
            reason=form.cleaned_data["reason"],
            when=form.happened(),
            insist=_insists(request),
        )
        messages.success(request, _("已换码。旧码仍可查到，并指向新码。"))
        return reverse("trace:pack", args=[captured.event.data["new_code"]])

    done, guard = _tried(form, lambda: once(request, actor, work))
    if done is not None:
        return done
    context = {
        "unit": unit,
        **_of_form(request, form, guard),
    }
    return render(request, "trace/packs/replace.html", context, status=_status(form, guard))


# --- Sending, receiving, returning ----------------------------------------------------------------------------------


def _loaded(actor: Actor, form: forms.Form, run: Callable[[Sequence[str]], Load]) -> dict[str, object]:
    """What was scanned comes to, for the page before it is recorded; empty where a code is refused."""
    load, _guard = _tried(form, lambda: run(form.cleaned_data["codes"]))
    if load is None:
        return {}
    try:
        load.amounts()
    except Invalid as error:
        form.add_error("codes", ValidationError(error.message, code=error.code))
        return {}
    shares = [share for each in load.shares.values() for share in each]
    return {"load": load, "goods": goods_of(actor, shares), "count": len(load.units)}


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def pack_ship(request: HttpRequest, uid: str) -> HttpResponse:
    """Send packs to a receiver: scan, look at what it comes to, record."""
    actor = actor_of(request)
    receiver = organisation_for(actor, uid)
    initial = {"codes": request.GET.get("codes", "")[:400]}
    form = ShipPacksForm(request.POST if request.method == "POST" else None, actor=actor, initial=initial)

    def work(*, insist: bool = False) -> str:
        row = ship_packs(
            by=actor,
            receiver=receiver,
            packs=form.cleaned_data["codes"],
            when=form.happened(),
            data=form.data_fields(),
            remark=form.cleaned_data["remark"],
            insist=insist,
        )
        return reverse("trace:shipment", args=[row.uid])

    guard = None
    if request.method == "POST" and request.POST.get("step") == "record":
        done, guard = _tried(form, lambda: once(request, actor, lambda: work(insist=_insists(request))))
        if done is not None:
            messages.success(request, _("已登记发货。请打印发货单，随货交给收货方扫码确认。"))
            return done
    context = {
        "receiver": receiver,
        **_of_form(request, form, guard),
    }
    if request.method == "POST" and not form.errors:
        context |= _loaded(actor, form, lambda codes: load_to_ship(by=actor, packs=codes))
        if not form.errors:
            context["guard"] = foreseen(work)
    elif guard is not None:
        context["count"] = 1
    return render(request, "trace/packs/ship.html", context, status=_status(form, guard))


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def pack_receive(request: HttpRequest, uid: str) -> HttpResponse:
    """Confirm a slip by scanning its packs."""
    actor = actor_of(request)
    shipment = shipment_for(actor, uid)
    if shipment.receiver_id not in entered_for(actor):
        raise NotFound(_("没有找到，或者您无权查看。"))
    if request.method == "GET" and not shipment.transfers.filter(received_by=None, voided_by=None).exists():
        return redirect("trace:shipment", uid=shipment.uid)
    form = ScanInForm(request.POST if request.method == "POST" else None, actor=actor)

    def work() -> str:
        receive_packs(
            by=actor,
            shipment=shipment,
            packs=form.cleaned_data["codes"],
            when=form.happened(),
            place=form.where(),
            remark=form.cleaned_data["remark"],
            insist=_insists(request),
        )
        messages.success(request, _("已确认收货。"))
        return reverse("trace:shipment", args=[shipment.uid])

    guard = None
    if request.method == "POST" and request.POST.get("step") == "record":
        done, guard = _tried(form, lambda: once(request, actor, work))
        if done is not None:
            return done
    context = {
        "row": shipment,
        "packs": packs_with_counts(list(arriving(shipment)[:MOST_LABELS])),
        **_of_form(request, form, guard),
    }
    if request.method == "POST" and not form.errors:
        context |= _arrived(actor, shipment, form)
    return render(request, "trace/packs/receive.html", context, status=_status(form, guard))


def _arrived(actor: Actor, shipment: Shipment, form: forms.Form) -> dict[str, object]:
    """What was scanned says arrived, and what nobody scanned."""
    arrival, _guard = _tried(form, lambda: arrival_of(by=actor, shipment=shipment, packs=form.cleaned_data["codes"]))
    if arrival is None:
        return {}
    shares = [share for each in arrival.seen.shares.values() for share in each]
    return {"goods": goods_of(actor, shares), "count": len(arrival.seen.units), "missing": arrival.missing}


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def pack_return(request: HttpRequest, uid: str) -> HttpResponse:
    """Take packs back from who had them."""
    actor = actor_of(request)
    source = organisation_for(actor, uid)
    form = ScanInForm(request.POST if request.method == "POST" else None, actor=actor)

    def work() -> str:
        captured = take_back_packs(
            by=actor,
            source=source,
            packs=form.cleaned_data["codes"],
            when=form.happened(),
            place=form.where(),
            remark=form.cleaned_data["remark"],
        )
        messages.success(request, _("已登记退货。"))
        return reverse("trace:event_detail", args=[captured.event.uid])

    if request.method == "POST" and request.POST.get("step") == "record":
        done, _guard = _tried(form, lambda: once(request, actor, work))
        if done is not None:
            return done
    context = {"source": source, **_of_form(request, form)}
    if request.method == "POST" and not form.errors:
        context |= _loaded(actor, form, lambda codes: load_to_take_back(by=actor, packs=codes))
    return render(request, "trace/packs/return.html", context, status=_status(form, None))


# --- SSCC numbers and labels ----------------------------------------------------------------------------------------


@audience("party", "owner", "quality")
@require_http_methods(FORM)
def pack_prefix(request: HttpRequest) -> HttpResponse:
    """The organisation's GS1 company prefix."""
    actor = actor_of(request)
    form = PrefixForm(request.POST if request.method == "POST" else None, initial={"number": actor.owner.gs1_prefix})
    saved, _guard = _tried(form, lambda: set_gs1_prefix(by=actor, prefix=form.cleaned_data["number"]))
    if saved is not None:
        messages.success(request, _("已保存。"))
        return redirect("trace:pack_list")
    return render(request, "trace/packs/prefix.html", {"form": form}, status=_status(form, None))


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def pack_numbers(request: HttpRequest) -> HttpResponse:
    """Give out SSCC numbers and lead to their labels, to be stuck on before packing."""
    actor = actor_of(request)
    form = ReserveForm(request.POST if request.method == "POST" else None)

    def work() -> str:
        codes = reserve_pack_codes(by=actor, count=form.cleaned_data["count"])
        return f"{reverse('trace:pack_labels')}?{urlencode([('code', code) for code in codes])}"

    done, _guard = _tried(form, lambda: once(request, actor, work))
    if done is not None:
        return done
    context = {**_of_form(request, form), "prefix": actor.owner.gs1_prefix}
    return render(request, "trace/packs/numbers.html", context, status=_status(form, None))


@audience("party")
@require_safe
def pack_labels(request: HttpRequest) -> HttpResponse:
    """Labels of packs for the printer: the code as QR and in figures. Packs of ours, and SSCC under our own prefix."""
    actor = actor_of(request)
    labels = [_label(actor, text) for text in request.GET.getlist("code")[:MOST_LABELS]]
    if not labels:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return render(request, "trace/packs/labels.html", {"labels": labels})


def _label(actor: Actor, text: str) -> dict[str, object]:
    """One label: its address in the QR ends with the code, so that a scanner of ours and a phone both read it."""
    try:
        code = unit_code(text[:400])
    except Invalid as error:
        raise NotFound(_("没有找到，或者您无权查看。")) from error
    unit = Unit.objects.filter(code=code).first()
    prefix = actor.owner.gs1_prefix
    if unit is None and not (prefix and len(code) == 18 and code[1:].startswith(prefix)):
        raise NotFound(_("没有找到，或者您无权查看。"))
    if unit is not None:
        unit = unit_for(actor, code)
        if unit.organisation_id not in entered_for(actor):
            raise NotFound(_("没有找到，或者您无权查看。"))
    url = settings.PUBLIC_BASE_URL + _address(code, unit)
    counts = with_counts([unit])[0].counts if unit is not None else ""
    return {
        "code": code,
        "sscc": len(code) == 18,
        "unit": unit,
        "counts": counts,
        "qr": qr_svg(url, code),
        "organisation": actor.owner,
    }


def _address(code: str, unit: Unit | None) -> str:
    """GS1 Digital Link for an SSCC (AI 00), the public page for an item, our own page for another pack."""
    if len(code) == 18:
        return reverse("trace:sscc", args=[normalise_sscc(code)])
    if unit is not None and unit.level == Unit.Level.ITEM:
        return f"/c/{code}"
    return reverse("trace:pack", args=[code])
