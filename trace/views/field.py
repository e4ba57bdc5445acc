"""The field app: an installable page for phones that works without a network, and what it asks of the server.

The page itself says nothing about anybody and may be kept by the phone's service worker. What is private (forms with
lots, places and partners) comes as JSON for one person and is kept apart by the page, which drops it on signing out.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, wraps
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from trace.access import actor_of, audience, device_of, growers_entered_for, parse_uid, place_for
from trace.actions.field import (
    EntryNote,
    keep_for_review,
    note_device_seen,
    open_membership,
    record_field_entry,
    register_device,
)
from trace.actions.files import store_file
from trace.actions.steps import Recorded, record_step
from trace.actions.transfers import receive_shipment
from trace.actor import Actor
from trace.errors import DomainError, GuardBroken, Invalid, NotAllowed, NotFound
from trace.forms.field import (
    RECEIPT,
    Sent,
    WaitsForEntry,
    blank_form,
    field_steps,
    filled_form,
    nonce_of,
    read_batch,
    read_sent,
    receipt_form,
    receipt_moment,
    slip_for,
)
from trace.forms.shipments import ReceiptForm
from trace.forms.steps import StepForm
from trace.models import Device, FieldEntry, Lot, Organisation, Shipment, User
from trace.shipping import waiting_for
from trace.views.pages import signed_in_user
from trace.views.steps import datalists_of, put_refusal

BODY_MAX = 2 * 1024 * 1024
MOST_SLIPS = 20
# What the page needs to begin without a network; the decoder is large but a camera is of no use without it.
FILES = (
    "trace/site.css",
    "trace/steps.css",
    "trace/shipments.css",
    "trace/field.css",
    "trace/favicon.svg",
    "trace/steps.js",
    "trace/scan.js",
    "trace/field/store.js",
    "trace/field/sync.js",
    "trace/field/app.js",
    "trace/vendor/jsqr-1.4.0.js",
    "trace/field/icon-192.png",
)
WORKER = "trace/field/worker.js"

Json = dict[str, Any]


# --- The page and what installs it ----------------------------------------------------------------------------------


@audience("public")
@never_cache
@require_safe
def shell(request: HttpRequest) -> HttpResponse:
    """The page of the field app, the same for everybody: who is signed in it asks when there is a network."""
    context = {
        "words": _words(),
        "addresses": {
            "session": reverse("trace:field_session"),
            "data": reverse("trace:field_data"),
            "devices": reverse("trace:field_device"),
            "files": reverse("trace:field_file"),
            "entries": reverse("trace:field_entries"),
            "worker": reverse("trace:field_worker"),
            "signIn": f"{reverse('trace:sign_in')}?next={reverse('trace:field')}",
        },
    }
    return render(request, "trace/field/shell.html", context)


@cache
def _version(addresses: tuple[str, ...]) -> str:
    """A name for just these files: their content, so that a changed file is a new cache."""
    digest = hashlib.sha256()
    for name, address in zip((*FILES, WORKER), (*addresses, WORKER), strict=True):
        digest.update(address.encode())
        path = finders.find(name)
        if isinstance(path, str):
            digest.update(Path(path).read_bytes())
    return digest.hexdigest()[:16]


@audience("public")
@require_safe
def worker(request: HttpRequest) -> HttpResponse:
    """The service worker: the list of files to keep, and its code. Its scope is /field/ only."""
    addresses = tuple(static(name) for name in FILES)
    path = finders.find(WORKER)
    if not isinstance(path, str):
        raise NotFound(_("没有这个页面。"))
    facts = {
        "version": _version(addresses),
        "page": reverse("trace:field"),
        "files": addresses,
        "sync": [static("trace/field/store.js"), static("trace/field/sync.js")],
        "addresses": {
            "session": reverse("trace:field_session"),
            "devices": reverse("trace:field_device"),
            "files": reverse("trace:field_file"),
            "entries": reverse("trace:field_entries"),
        },
    }
    code = f"self.FACTS = {json.dumps(facts)};\n{Path(path).read_text('utf-8')}"
    response = HttpResponse(code, content_type="text/javascript; charset=utf-8")
    response["Cache-Control"] = "no-cache"
    return response


@audience("public")
@require_safe
def manifest(request: HttpRequest) -> HttpResponse:
    """What a phone needs to put the page on its home screen (W3C Web Application Manifest)."""
    icons = [
        {"src": static(f"trace/field/{name}.png"), "sizes": f"{size}x{size}", "type": "image/png", "purpose": purpose}
        for name, size, purpose in (
            ("icon-192", 192, "any"),
            ("icon-512", 512, "any"),
            ("icon-maskable-512", 512, "maskable"),
        )
    ]
    facts = {
        "id": reverse("trace:field"),
        "name": _("汾阳追溯 现场记录"),
        "short_name": _("现场记录"),
        "lang": get_language() or "zh-hans",
        "start_url": reverse("trace:field"),
        "scope": "/",
        "display": "standalone",
        "background_color": "#f7f5ef",
        "theme_color": "#1f4d3a",
        "icons": icons,
    }
    response = JsonResponse(facts, json_dumps_params={"ensure_ascii": False})
    response["Content-Type"] = "application/manifest+json"
    return response


def _words() -> dict[str, str]:
    """What the page's script says."""
    return {
        "online": _("已联网"),
        "noNet": _("没有网络"),
        "offline": _("没有网络，照常登记，联网后上传"),
        "signedOut": _("还没有登录。联网登录后才能取表单；已登记的记录留在本机。"),
        "signIn": _("登录"),
        "noForms": _("本机还没有表单。请联网打开一次。"),
        "loading": _("正在取表单…"),
        "barred": _("这个账号不登记环节，没有表单可取。"),
        "forms": _("登记"),
        "slips": _("等您收货"),
        "queue": _("本机记录"),
        "sendNow": _("现在上传"),
        "sending": _("正在上传…"),
        "empty": _("还没有记录。"),
        "waiting": _("待上传"),
        "sent": _("已上传"),
        "needs": _("需要您处理"),
        "refused": _("未被接受"),
        "review": _("已转交负责人审核"),
        "save": _("保存到本机"),
        "cancel": _("返回"),
        "saved": _("已保存在本机。"),
        "savedOffline": _("已保存在本机，联网后自动上传。"),
        "required": _("这一项必须填写。"),
        "number": _("请填写数字。"),
        "open": _("查看"),
        "mend": _("改一改"),
        "insist": _("事情确实发生了，照实记录"),
        "insistHint": _("会记为矛盾，生产者和监管部门都能看到，并计入召回范围。"),
        "discard": _("不要这一条"),
        "discardSure": _("确定不要这一条？再按一次就删除，不能恢复。"),
        "clear": _("清除已上传的"),
        "event": _("看记录"),
        "local": _("本机刚登记、还没上传的批次"),
        "choose": _("请选择"),
        "photos": _("照片"),
        "others": _("本机还有 %(n)s 条没上传的记录，用登记时的账号登录后才会上传。"),
        "kept": _("表单取自 %(when)s"),
        "changed": _(
            "这台手机上登录的已经是另一位用户，这张表单不能再保存。请用原来的账号登录后再按“保存”，或返回后重新登记。"
        ),
        "revoked": _("这台设备已被本单位负责人停用。还没上传的记录会转交负责人审核，不会直接入账。"),
        "clock": _("手机时间与服务器相差 %(n)s 分钟，请校准，否则时间会记错。"),
        "behalf": _("代 %(name)s 录入"),
        "failed": _("没有传成功，稍后会再试：%(why)s"),
        "slipUnknown": _("这张单不在本机的待收清单里。可以先按单全部收下，联网后核对；数量不符的请联网后登记。"),
        "receipt": _("收货（扫发货单）"),
        "scanSlip": _("扫发货单上的二维码，或输入单号"),
        "next": _("下一步"),
        "tooLarge": _("文件太大，请换一个小一些的。"),
        "full": _("手机存储空间不够，没有保存。请先上传或清理空间。"),
        "unsupported": _("这个浏览器不能在没有网络时登记，请用普通表单，或换用手机自带的浏览器。"),
        "conflicts": _("已记录，并记为矛盾"),
        "enteredAt": _("登记于"),
    }


# --- Answers in JSON ------------------------------------------------------------------------------------------------


def in_json(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Refusals of a view as JSON with code and sentence; who is not signed in is led to the sign-in page as always."""

    @wraps(view)
    def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except DomainError as error:
            response = JsonResponse({"code": error.code, "message": error.message}, status=error.status)
        response["Cache-Control"] = "no-store"
        return response

    return answering


def _who(actor: Actor) -> Json:
    """Whose forms and entries these are. ``key`` tells one from another on a shared phone."""
    behalf = actor.on_behalf_of
    user = str(actor.user.uid) if actor.user is not None else ""
    return {
        "key": f"{user}:{actor.organisation.uid}:{behalf.uid if behalf else ''}",
        "user": user,
        "name": actor.name,
        "organisation": str(actor.organisation.uid),
        "organisationName": actor.organisation.label,
        "onBehalfOf": str(behalf.uid) if behalf else None,
        "onBehalfOfName": behalf.label if behalf else None,
    }


@audience("signed_in")
@require_safe
@in_json
def session(request: HttpRequest) -> HttpResponse:
    """Who is signed in, the CSRF token, the server's clock, and whether the device is still trusted."""
    actor: Actor | None = getattr(request, "actor", None)
    asked = request.GET.get("device", "")
    state = ""
    if asked:
        try:
            state = "revoked" if device_of(signed_in_user(request), asked[:40]).revoked_at else "known"
        except NotFound:
            state = "unknown"
    facts = {
        "user": str(signed_in_user(request).uid),
        "who": _who(actor) if actor is not None else None,
        "csrf": get_token(request),
        "at": timezone.now().isoformat(),
        "device": state,
    }
    return JsonResponse(facts)


@audience("party", "operator", "quality")
@require_safe
@in_json
def data(request: HttpRequest) -> HttpResponse:
    """The forms an actor takes along, rendered as the pages render them, and the slips that wait for a receipt."""
    actor = actor_of(request)
    forms = [_blank(actor, code) for code in field_steps(actor)]
    slips = [_slip(actor, row) for row in waiting_for(actor)[:MOST_SLIPS]]
    unknown = render_to_string("trace/field/slip_unknown.html", {"today": timezone.localdate().isoformat()})
    facts = {
        "who": _who(actor),
        "at": timezone.now().isoformat(),
        "language": get_language(),
        "forms": forms,
        "slips": slips,
        "slipUnknown": unknown,
        "receives": actor.owner.kind != Organisation.Kind.GROWER,
    }
    return JsonResponse(facts)


def _blank(actor: Actor, code: str) -> Json:
    form = blank_form(actor, code)
    # Beside the receipt by slip, the other way of receiving needs its own name.
    title = _("登记外购进货") if form.plan.template.code == "common.receive" else form.plan.template.label()
    return {
        "step": code,
        "title": title,
        "begins": bool(form.plan.outputs),
        "html": step_html(form),
    }


def step_html(form: StepForm, *, broken: GuardBroken | None = None) -> str:
    """What a step's form asks, as the page shows it, without its frame."""
    context = {"form": form, "plan": form.plan, "datalists": datalists_of(form), "broken": broken}
    return render_to_string("trace/field/step.html", context)


def _slip(actor: Actor, row: Shipment) -> Json:
    return {
        "number": row.number,
        "from": row.organisation.label,
        "sentAt": timezone.localtime(row.sent_at).isoformat(timespec="minutes"),
        "html": receipt_html(receipt_form(actor, row), row),
    }


def receipt_html(form: ReceiptForm, row: Shipment, *, broken: GuardBroken | None = None) -> str:
    """The answer to a slip as the page asks it, without its frame."""
    return render_to_string(
        "trace/field/receipt.html", {"form": form, "row": row, "rows": form.rows(), "broken": broken}
    )


# --- Devices and files ----------------------------------------------------------------------------------------------


@audience("party", "operator", "quality")
@require_POST
@in_json
def device_new(request: HttpRequest) -> HttpResponse:
    """Register this phone for who is signed in; the answer is the name it sends entries under."""
    device = register_device(
        by=actor_of(request), name=request.POST.get("name", "")[:60], session_key=request.session.session_key or ""
    )
    return JsonResponse({"device": str(device.uid), "organisation": str(device.organisation.uid)}, status=201)


@audience("signed_in")
@require_POST
@in_json
def file_new(request: HttpRequest) -> HttpResponse:
    """Keep one photograph of an entry, before the entry itself is sent."""
    user = signed_in_user(request)
    device = device_of(user, request.POST.get("device", "")[:40])
    if device.revoked_at is not None:
        raise NotAllowed(_("这台设备已停用。"), code="device_revoked")
    behalf = request.POST.get("on_behalf_of", "")[:40]
    actor = acting_from(device, parse_uid(behalf) if behalf else None)
    upload = request.FILES.get("file")
    if upload is None:
        raise Invalid(_("没有收到文件。"), code="file_empty")
    stored = store_file(by=actor, name=upload.name or "", content=upload)
    return JsonResponse({"file": str(stored.uid), "name": stored.name}, status=201)


def acting_from(device: Device, behalf: uuid.UUID | None) -> Actor:
    """The actor an entry of this device stands for, whatever the session acts for now.

    Raises NotAllowed ``membership_ended`` (kept for review) and ``organisation_not_active``; NotFound for a grower who
    is none of the cooperative's.
    """
    membership = open_membership(device.user, device)
    if membership is None:
        raise NotAllowed(_("您已不是这个单位的成员，这条记录转交负责人审核。"), code="membership_ended")
    if membership.organisation.status != Organisation.Status.ACTIVE:
        raise NotAllowed(_("本单位还没有通过审核，通过后才能办理。"), code="organisation_not_active")
    actor = Actor(
        organisation=membership.organisation, user=membership.user, role=membership.role, membership=membership
    )
    if behalf is None:
        return actor
    grower = growers_entered_for(actor).filter(uid=behalf).first()
    if grower is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return replace(actor, on_behalf_of=grower)


# --- Entries --------------------------------------------------------------------------------------------------------

REVIEWED = frozenset({"device_revoked", "membership_ended", "role_required"})
"""Refusals of the person or the device, not of the entry: it may be true and is kept for the head to judge."""


@audience("signed_in")
@require_POST
@in_json
def entries(request: HttpRequest) -> HttpResponse:
    """Take a batch of entries in the order made, each on its own: one that is refused stops no other."""
    if len(request.body) > BODY_MAX:
        raise Invalid(_("上传的内容太大，请分几次上传。"), code="batch_too_large")
    uid, raws = read_batch(request.body)
    device = device_of(signed_in_user(request), uid)
    note_device_seen(device=device, session_key=request.session.session_key or "")
    results = [_take(device, raw) for raw in raws]
    return JsonResponse({"results": results, "at": timezone.now().isoformat()})


def _take(device: Device, raw: Any) -> Json:
    """One entry: recorded, or why not. An entry answered before gets the same answer."""
    nonce: uuid.UUID | None = None
    try:
        nonce = nonce_of(raw)
        sent = read_sent(raw, now=timezone.now())
        return {"nonce": str(nonce), **(_before(device.user, sent) or _answer(device, sent))}
    except DomainError as error:
        return {"nonce": str(nonce or ""), "state": "refused", "code": error.code, "message": error.message}


def _before(user: User, sent: Sent) -> Json | None:
    """The answer given before, if this nonce has one. Other content under a used nonce is refused."""
    entry = FieldEntry.objects.filter(user=user, nonce=sent.nonce).select_related("event").first()
    if entry is None:
        return None
    if entry.fingerprint != sent.fingerprint:
        message = _("这一条先前已经上传过，内容却不一样。要改请到记录里更正。")
        return {**told(entry), "state": "refused", "code": "nonce_reused", "message": message}
    return told(entry)


def told(entry: FieldEntry) -> Json:
    """What the device is told of an entry the server has answered."""
    if entry.event is None:
        words = {
            "device_revoked": _("这台设备已停用，这条记录转交负责人审核。"),
            "membership_ended": _("您已不是这个单位的成员，这条记录转交负责人审核。"),
            "role_required": _("您的岗位不能登记，这条记录转交负责人审核。"),
        }
        return {"state": "review", "code": entry.code, "message": words.get(entry.code, entry.get_status_display())}
    codes = list(Lot.objects.filter(origin_event=entry.event).order_by("id").values_list("lot_code", flat=True)[:20])
    return {
        "state": "sent",
        "url": reverse("trace:event_detail", args=[entry.event.uid]),
        "lots": codes,
        "conflicts": len(entry.event.flags),
    }


def _answer(device: Device, sent: Sent) -> Json:
    """Record an entry seen for the first time, or say what stands against it."""
    note = EntryNote(sent.nonce, sent.step, sent.fingerprint, sent.entered_at, sent.tz_offset)
    by: Actor | None = None
    try:
        by = acting_from(device, sent.on_behalf_of)
        if device.revoked_at is not None:
            raise NotAllowed(_("这台设备已停用。"), code="device_revoked")
        by.require("operator", "quality")
        reading = _receipt_reading(by, sent) if sent.step == RECEIPT else _step_reading(by, sent, device.user)
    except WaitsForEntry as error:
        return {"state": "waiting", "code": error.code, "message": error.message}
    except NotAllowed as error:
        if error.code not in REVIEWED:
            raise
        code = "device_revoked" if device.revoked_at is not None else error.code
        return _once(
            device, sent, lambda: keep_for_review(note=note, device=device, code=code, content=sent.content, by=by)
        )
    if reading.work is None:
        return reading.needs(Invalid(_("有内容需要更正，请逐项查看。"), code="invalid_fields"))
    work, actor = reading.work, by
    # Who writes down that less arrived than was sent means just that; the page does not ask again either.
    seen = sent.seen | {"received_differs"} if sent.step == RECEIPT else sent.seen

    def record() -> FieldEntry:
        return record_field_entry(note=note, device=device, by=actor, work=work, seen=seen)

    try:
        return _once(device, sent, record)
    except DomainError as error:
        # A repeat of the same entry may have been recorded meanwhile: then the refusal is only its shadow.
        return _before(device.user, sent) or reading.needs(error)


def _once(device: Device, sent: Sent, run: Callable[[], FieldEntry]) -> Json:
    """Write the entry; where a repeat of the request was faster, tell what that one was told."""
    try:
        return told(run())
    except IntegrityError:
        before = _before(device.user, sent)
        if before is None:
            raise
        return before


@dataclass(frozen=True)
class Reading:
    """An entry read as a form. ``work`` records it and is None where the form refused something."""

    work: Callable[[], Recorded] | None
    html: Callable[[GuardBroken | None], str]
    refuse: Callable[[DomainError], None]

    def needs(self, error: DomainError) -> Json:
        """What the person is asked: the form again with what was refused, and whether insisting would help."""
        answer: Json = {"state": "needs", "code": error.code, "message": error.message, "guards": []}
        if isinstance(error, GuardBroken):
            answer["guards"] = [{"code": each.code, "message": each.message} for each in error.broken]
            answer["insistable"] = error.insistable
            return {**answer, "html": self.html(error)}
        if error.code != "invalid_fields" or self.work is not None:
            self.refuse(error)
        return {**answer, "html": self.html(None)}


def _step_reading(by: Actor, sent: Sent, user: User) -> Reading:
    form = filled_form(by, sent, user)
    entry = form.entry if form.is_valid() else None

    def refuse(error: DomainError) -> None:
        put_refusal(form, error)

    return Reading(
        # What arrives late already happened: a report, flagged where it contradicts the records.
        (lambda: record_step(entry=entry, by=by, insist=True)) if entry is not None else None,
        lambda broken: step_html(form, broken=broken),
        refuse,
    )


def _receipt_reading(by: Actor, sent: Sent) -> Reading:
    row = slip_for(by, sent.fields.get("slip", ""))
    form = receipt_form(by, row, sent.fields)
    fine = form.is_valid()

    def work() -> Recorded:
        place = form.cleaned_data["place"]
        captured = receive_shipment(
            by=by,
            shipment=row,
            received=form.received,
            when=receipt_moment(form, sent),
            place=place_for(by, place) if place else None,
            data=form.data_fields(),
            aliases=form.aliases(),
            remark=form.cleaned_data["remark"],
        )
        return Recorded(captured.event, captured.lots, len(captured.conflicts))

    def refuse(error: DomainError) -> None:
        form.add_error(None, error.message)

    return Reading(work if fine else None, lambda broken: receipt_html(form, row, broken=broken), refuse)


def reading_of(by: Actor, content: Mapping[str, Any], entry: FieldEntry) -> Reading:
    """An entry kept for review, read again for who decides about it."""
    raw = {
        **content,
        "nonce": str(entry.nonce),
        "entered_at": entry.entered_at.astimezone(
            datetime.timezone(datetime.timedelta(minutes=entry.tz_offset))
        ).isoformat(),
    }
    sent = read_sent(raw, now=entry.received_at)
    return _receipt_reading(by, sent) if sent.step == RECEIPT else _step_reading(by, sent, entry.user)
