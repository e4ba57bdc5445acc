"""The ladder beside the notices themselves: the tree, passing on, calls, disputes, waiting times, receipts."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from recalls.access import (
    campaign_for,
    campaign_notice_for,
    campaign_notices,
    notice_by_link,
    received_notice_for,
    require_side,
)
from recalls.actions.answers import last_name, names_given
from recalls.actions.calls import (
    disown_by_link,
    dispute,
    dispute_by_link,
    log_call,
    may_judge,
    set_aside,
    set_waiting_times,
    uphold,
)
from recalls.actions.notices import waiting_times
from recalls.actions.outbox import note_bounce, note_delivered
from recalls.actions.tree import pass_on, pass_on_by_link
from recalls.affected import affected_by, lots_called, stopped
from recalls.forms import ReasonForm
from recalls.ladder_forms import AffectedForm, CallForm, DisputeForm, PassOnForm, WaitingForm
from recalls.law import Level
from recalls.models import EscalationRule, Notice, OutboxMessage
from recalls.notice_states import EscalationStep, NoticeStatus
from recalls.sight import Sight, known_notice
from recalls.tree import branches, flat, tiers
from recalls.views.doors import acting, page
from recalls.views.notices import tone
from trace.access import audience, parse_uid
from trace.errors import NotFound
from trace.forms.fields import attempt
from trace.paging import WidePaginator
from trace.personal import reveal

# --- The tree -------------------------------------------------------------------------------------------------------


@audience("signed_in")
@require_safe
def campaign_tree(request: HttpRequest, uid: str) -> HttpResponse:
    """Who was told by whom, tier after tier, for the issuer and the regulator."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    sight = Sight(actor, campaign)
    listed = Paginator(flat(branches(campaign)), 100).get_page(request.GET.get("page"))
    lines = [
        {
            "notice": one.notice,
            "holder": sight.holder(one.notice.organisation),
            "tone": tone(one.notice),
            "indent": range(one.depth - 1),
        }
        for one in listed.object_list
    ]
    return page(
        request,
        "recalls/campaign_tree.html",
        {"campaign": campaign, "lines": lines, "page": listed, "tiers": tiers(campaign)},
    )


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def notice_pass_on(request: HttpRequest, uid: str) -> HttpResponse:
    """Pass a notice on to one's own customers, signed in."""
    actor = acting(request)
    found = received_notice_for(actor, uid)
    form = PassOnForm(request.POST or None, with_name=False)
    if request.method == "POST" and form.is_valid():
        made = attempt(form, lambda: pass_on(by=actor, notice=found, customers=form.named()))
        if made is not None:
            _told(request, len(made))
            return redirect("recalls:notice_pass_on", found.uid)
    return page(request, "recalls/pass_on.html", _passing(found, form, None), bad=form.is_bound)


@audience("public")
@require_http_methods(["GET", "HEAD", "POST"])
def letter_pass_on(request: HttpRequest, token: str) -> HttpResponse:
    """The same from the letter, without an account."""
    found = notice_by_link(token)
    form = PassOnForm(request.POST or None, with_name=True, initial=last_name(found))
    if request.method == "POST" and form.is_valid():
        made = attempt(
            form,
            lambda: pass_on_by_link(token=token, name=form.cleaned_data["name"], customers=form.named()),
        )
        if made is not None:
            _told(request, len(made))
            return redirect("recalls:letter_pass_on", token)
    return page(request, "recalls/pass_on.html", _passing(found, form, token), bad=form.is_bound)


def _told(request: HttpRequest, count: int) -> None:
    """What came of it."""
    if count:
        messages.success(request, _("已转告 %(count)s 家客户，系统会跟进它们的答复。") % {"count": count})
    else:
        messages.success(request, _("这些客户都已经通知过，没有重复发送。"))


def _passing(found: Notice, form: PassOnForm, token: str | None) -> dict[str, Any]:
    """The page of passing on: who was told by this recipient and how far each has come."""
    told = found.children.select_related("organisation").order_by("id")[:500]
    return {
        "notice": found,
        "campaign": found.campaign,
        "form": form,
        "token": token,
        "told": [{"notice": one, "tone": tone(one)} for one in told],
    }


# --- Not ours -------------------------------------------------------------------------------------------------------


@audience("public")
@require_http_methods(["GET", "HEAD", "POST"])
def letter_dispute(request: HttpRequest, token: str) -> HttpResponse:
    """Say that the answer, or the letter, is not ours."""
    found = notice_by_link(token)
    form = DisputeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        say = disown_by_link if form.cleaned_data["what"] == "addressee" else dispute_by_link
        if attempt(form, lambda: say(token=token, reason=reason)) is not None:
            messages.success(request, _("已转告召回单位，由人工核实。"))
            return redirect("recalls:letter", token)
    return page(
        request,
        "recalls/letter_dispute.html",
        {"notice": found, "campaign": found.campaign, "form": form, "token": token, "names": names_given(found)},
        bad=form.is_bound,
    )


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def notice_dispute(request: HttpRequest, uid: str) -> HttpResponse:
    """Say by account that an answer on one's notice was not one's own."""
    actor = acting(request)
    found = received_notice_for(actor, uid)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        if attempt(form, lambda: dispute(by=actor, notice=found, reason=reason)) is not None:
            messages.success(request, _("已转告召回单位，由人工核实。"))
            return redirect("recalls:notice", found.uid)
    return page(
        request,
        "recalls/notice_dispute.html",
        {"notice": found, "campaign": found.campaign, "form": form, "names": names_given(found)},
        bad=form.is_bound,
    )


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_answers(request: HttpRequest, uid: str, notice: str) -> HttpResponse:
    """Every answer on a notice, with who gave it; judge a disputed one: it stands, or it is set aside."""
    actor = acting(request)
    campaign, found = known_notice(actor, uid, notice)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        reason, which = form.cleaned_data["reason"], request.POST.get("answer", "")
        if which == "uphold":
            done = attempt(form, lambda: uphold(by=actor, notice=found, reason=reason))
        else:
            row = found.acknowledgements.filter(uid=parse_uid(which)).first()
            if row is None:
                raise NotFound(_("没有找到，或者您无权查看。"))
            done = attempt(form, lambda: set_aside(by=actor, notice=found, acknowledgement=row, reason=reason))
        if done is not None:
            dead = _("答复已作废，之前的链接随之失效。请重新发信，或打印新的信函。")
            messages.success(request, _("已登记。") if which == "uphold" else dead)
            return redirect("recalls:campaign_answers", campaign.uid, found.uid)
    rows = found.acknowledgements.select_related("name", "remark", "by", "set_aside").order_by("-id")
    answers = [
        {
            "row": row,
            "who": reveal(row.name) or (row.by.display_name if row.by else ""),
            "remark": reveal(row.remark),
            "stock": row.stock.select_related("lot__product", "lot__product_version"),
            "aside": getattr(row, "set_aside", None),
        }
        for row in rows[:100]
    ]
    return page(
        request,
        "recalls/campaign_answers.html",
        {"campaign": campaign, "notice": found, "answers": answers, "form": form, "may": may_judge(actor, found)},
        bad=form.is_bound,
    )


# --- The telephone --------------------------------------------------------------------------------------------------


@audience("signed_in")
@require_safe
def campaign_calls(request: HttpRequest, uid: str) -> HttpResponse:
    """Whom to call: notices listed for the telephone, unreachable, refused or with nothing but a telephone number."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    sight = Sight(actor, campaign)
    troubled = (NoticeStatus.UNREACHABLE, NoticeStatus.REFUSED, NoticeStatus.ESCALATED)
    rows = campaign_notices(actor, campaign).filter(acknowledged_at=None).exclude(status=NoticeStatus.WITHDRAWN)
    late = rows.filter(escalation__in=[EscalationStep.TELEPHONE, EscalationStep.REGULATOR])
    rows = late | rows.filter(status__in=troubled) | rows.filter(status=NoticeStatus.CREATED)
    listed = WidePaginator(rows.order_by("created_at", "id"), 50).get_page(request.GET.get("page"))
    lines = [
        {
            "notice": one,
            "holder": sight.holder(one.organisation),
            "tone": tone(one),
            "last": one.calls.order_by("-id").first(),
        }
        for one in listed.object_list
    ]
    return page(request, "recalls/campaign_calls.html", {"campaign": campaign, "lines": lines, "page": listed})


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_call(request: HttpRequest, uid: str, notice: str) -> HttpResponse:
    """Write down one call; the calls so far stand beside."""
    actor = acting(request)
    campaign, found = known_notice(actor, uid, notice)
    form = CallForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        done = attempt(form, lambda: log_call(by=actor, notice=found, **data), {"in_future": "called_at"})
        if done is not None:
            messages.success(request, _("电话已记录。"))
            return redirect("recalls:campaign_notice_page", campaign.uid, found.uid)
    calls = found.calls.select_related("by", "spoke_with", "words").order_by("-id")[:50]
    return page(
        request,
        "recalls/campaign_call.html",
        {
            "campaign": campaign,
            "notice": found,
            "form": form,
            "calls": [{"row": row, "who": reveal(row.spoke_with), "words": reveal(row.words)} for row in calls],
        },
        bad=form.is_bound,
    )


@audience("signed_in")
@require_POST
def message_bounced(request: HttpRequest, uid: str, notice: str, message: str) -> HttpResponse:
    """A mail of this notice came back into the issuer's mailbox."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    found = campaign_notice_for(actor, campaign, notice)
    row = found.messages.filter(uid=parse_uid(message)).first()
    if row is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    note_bounce(message=row, reason=_("收到退信"), by=actor)
    messages.success(request, _("已登记退信，请改寄信函或打电话。"))
    return redirect("recalls:campaign_notice_page", campaign.uid, found.uid)


# --- Waiting times --------------------------------------------------------------------------------------------------


@audience("regulator")
@require_http_methods(["GET", "HEAD", "POST"])
def waiting(request: HttpRequest) -> HttpResponse:
    """How long the ladder waits, level by level, with every earlier rule."""
    actor = acting(request)
    form = WaitingForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data | {"level": int(form.cleaned_data["level"])}
        if attempt(form, lambda: set_waiting_times(by=actor, **data)) is not None:
            messages.success(request, _("已生效，之后的催办按新的时限。"))
            return redirect("recalls:waiting")
    in_force = [
        {"level": level.label, "steps": [(int(after.total_seconds() // 60), step.label) for after, step in steps]}
        for level in Level
        for steps in [waiting_times(level)]
    ]
    history = EscalationRule.objects.select_related("by", "by_organisation").order_by("-id")[:50]
    return page(
        request,
        "recalls/waiting.html",
        {"in_force": in_force, "history": history, "form": form, "may": actor.can("approver")},
        bad=form.is_bound,
    )


# --- For those who ask ----------------------------------------------------------------------------------------------


@audience("public")
@require_safe
def affected(request: HttpRequest) -> HttpResponse:
    """Am I affected? By lot code, and, where a name is given, whether it was told."""
    form = AffectedForm(request.GET if "lot" in request.GET else None)
    found, known, held = [], False, []
    if form.is_valid():
        found = affected_by(form.cleaned_data["lot"], form.cleaned_data["name"])
        known = bool(lots_called(form.cleaned_data["lot"]))
        told = {lot.pk for one in found for lot in one.lots}
        held = [lot for lot in stopped(form.cleaned_data["lot"]) if lot.pk not in told]
    asked = form.is_bound and form.is_valid()
    return page(
        request,
        "recalls/affected.html",
        {"form": form, "asked": asked, "found": found, "known": known, "held": held},
        bad=form.is_bound and not asked,
    )


# --- Receipts of mail servers and gateways --------------------------------------------------------------------------


@csrf_exempt
@audience("public")
@require_POST
def receipts(request: HttpRequest) -> HttpResponse:
    """What a mail server or SMS gateway reports: ``{"message", "state": "delivered" | "bounced", "reason"}``.

    Signed with ``RECEIPTS_SECRET`` (HMAC-SHA-256 of the body, hex, in ``X-Signature``); without the secret there is no
    such page. A message that does not exist is answered like one that does.
    """
    secret = settings.RECEIPTS_SECRET
    given = request.headers.get("X-Signature", "")
    body = request.body[:10_000]
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not secret or not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")):
        raise NotFound(_("没有这个页面。"))
    try:
        said = json.loads(body)
        uid = uuid.UUID(str(said["message"]))
        state, reason = said["state"], str(said.get("reason", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return JsonResponse({"code": "unreadable"}, status=400)
    message = OutboxMessage.objects.filter(uid=uid).first()
    if message is not None and state == "delivered":
        note_delivered(message=message)
    elif message is not None and state == "bounced":
        note_bounce(message=message, reason="".join(one for one in reason if one.isprintable()))
    return JsonResponse({"taken": True})
