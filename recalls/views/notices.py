"""Notices: the issuer's list, the letter, the holder's inbox and answer, the page without account."""

from __future__ import annotations

import datetime
from operator import attrgetter
from typing import Any

from django.contrib import messages
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from recalls.access import (
    campaign_for,
    campaign_notice_for,
    campaign_notices,
    letter_for,
    notice_by_link,
    notices_received_by,
    received_notice_for,
)
from recalls.actions.answers import (
    acknowledge,
    acknowledge_by_link,
    answer_stock,
    answer_stock_by_link,
    last_name,
    latest_answers,
    names_given,
)
from recalls.actions.calls import mark_seen
from recalls.actions.notices import mark_posted, note_trouble, sides_of
from recalls.asked import asked_elsewhere, over, still_asked, with_standing
from recalls.forms import NameForm, ReasonForm, StockForm
from recalls.letters import letter_lots, link_url, qr_svg
from recalls.lists import NOTICES, sent_notices
from recalls.models import Campaign, Notice, NoticeLot, NoticeStep, OutboxMessage, Publication
from recalls.notice_states import NOTICE_MOVES, NoticeStatus, Side, notice_move
from recalls.queries import Coverage, coverage, publication_in_force
from recalls.scope import parts_in_force, passed_in_force, version_in_force
from recalls.sight import Sight, known_notice
from recalls.views.doors import acting, page
from trace.access import audience
from trace.actor import Actor
from trace.errors import NotAllowed, NotFound
from trace.exports import asked_format, export
from trace.forms.fields import attempt
from trace.models import Lot
from trace.paging import WidePaginator
from trace.parts import Entry
from trace.units import decimal_text

TONES = {
    NoticeStatus.CREATED: "mute",
    NoticeStatus.SENT: "info",
    NoticeStatus.DELIVERED: "info",
    NoticeStatus.SEEN: "info",
    NoticeStatus.ACKNOWLEDGED: "info",
    NoticeStatus.STOCK_ANSWERED: "good",
    NoticeStatus.ISOLATED: "good",
    NoticeStatus.RETURNED: "good",
    NoticeStatus.DISPOSED_ON_SITE: "good",
    NoticeStatus.SETTLED: "good",
    NoticeStatus.REFUSED: "attention",
    NoticeStatus.UNREACHABLE: "attention",
    NoticeStatus.ESCALATED: "attention",
    NoticeStatus.WITHDRAWN: "mute",
}


def tone(notice: Notice) -> str:
    """The badge's tone of a notice's status."""
    return TONES[NoticeStatus(notice.status)]


# --- The issuer's side ----------------------------------------------------------------------------------------------


@audience("signed_in")
@require_safe
def campaign_notice_list(request: HttpRequest, uid: str) -> HttpResponseBase:
    """Every notice of a campaign with its status; who is silent first where asked."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    which = request.GET.get("which", "all")
    rows = campaign_notices(actor, campaign).select_related("organisation__division", "carrier")
    if which == "silent":
        rows = rows.filter(acknowledged_at=None).exclude(status=NoticeStatus.WITHDRAWN)
    elif which == "uncounted":
        rows = rows.filter(answered_at=None).exclude(status=NoticeStatus.WITHDRAWN)
    elif which == "escalated":
        rows = rows.exclude(escalation="")
    if asked_format(request):
        return export(request, sent_notices(Sight(actor, campaign)), rows.order_by("id"))
    listed = WidePaginator(rows.order_by("id"), 50).get_page(request.GET.get("page"))
    sight = Sight(actor, campaign)
    letters = set(
        OutboxMessage.objects.filter(
            notice__in=[row.pk for row in listed.object_list],
            channel=OutboxMessage.Channel.LETTER,
            sent_at=None,
            failed_at=None,
        ).values_list("notice", flat=True)
    )
    lines = [
        {
            "notice": row,
            "holder": sight.holder(row.organisation),
            "tone": tone(row),
            "letter": row.pk in letters,
        }
        for row in listed.object_list
    ]
    tabs = [
        ("all", _("全部")),
        ("silent", _("未确认")),
        ("uncounted", _("未反馈库存")),
        ("escalated", _("已催办或升级")),
    ]
    return page(
        request,
        "recalls/campaign_notices.html",
        {
            "campaign": campaign,
            "lines": lines,
            "page": listed,
            "which": which,
            "tabs": tabs,
            "runs": campaign.runs.filter(finished_at=None),
            "reached": coverage(Campaign.objects.filter(pk=campaign.pk)).get(campaign.pk, Coverage()),
        },
    )


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_notice_page(request: HttpRequest, uid: str, notice: str) -> HttpResponse:
    """One notice for the issuer or the regulator: its steps, answers, messages; write down a telephone answer or
    trouble.
    """
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    found = campaign_notice_for(actor, campaign, notice)
    sides = sides_of(actor, found)
    form = ReasonForm(request.POST or None)
    action = request.POST.get("action", "")
    if request.method == "POST" and form.is_valid() and action in _TROUBLES:
        done = attempt(
            form, lambda: note_trouble(by=actor, notice=found, action=action, reason=form.cleaned_data["reason"])
        )
        if done is not None:
            messages.success(request, _("已登记。"))
            return redirect("recalls:campaign_notice_page", campaign.uid, found.uid)
    troubles = [
        (row.action, row.label)
        for row in NOTICE_MOVES
        if row.source == found.status and row.action in _TROUBLES and not row.sides.isdisjoint(sides)
    ]
    sight = Sight(actor, campaign)
    seen = sight.holder(found.organisation)
    lots, out, elsewhere = _lot_lines(found) if seen.organisation is not None else ([], [], [])
    return page(
        request,
        "recalls/campaign_notice.html",
        {
            "campaign": campaign,
            "notice": found,
            "tone": tone(found),
            "holder": seen,
            "named": seen.organisation is not None,
            "lots": lots,
            "out": out,
            "elsewhere": elsewhere,
            "answers": _answer_lines(found, lots) if seen.organisation is not None else [],
            "entries": _entries(found),
            "messages_sent": found.messages.all(),
            "form": form if troubles else None,
            "troubles": troubles,
            "may_answer": Side.ISSUER in sides and seen.organisation is not None and found.is_open,
            "may_return": campaign.organisation_id == actor.owner.pk and campaign.has_started and campaign.is_open,
        },
        bad=form.is_bound,
    )


_TROUBLES = frozenset({"refuse", "give_up", "escalate", "settle"})


def _lot_lines(notice: Notice) -> tuple[list[dict[str, Any]], list[Lot], list[Lot]]:
    """Lots still asked about, with what is on record; those that are recalled no longer; and those that another notice
    asks the same holder about.
    """
    version = version_in_force(notice.campaign)
    asked = with_standing(notice.lots.select_related("lot__product_version", "lot__product"), of=notice, now=version)
    rows = sorted(asked.order_by(), key=attrgetter("pk"))
    still = attrgetter("still")
    parts = parts_in_force(version)
    trader, passed = passed_in_force(version)
    lines = [
        {
            "lot": row.lot,
            "unit": row.lot.product.base_unit,
            "known": row.on_hand_micros + row.unconfirmed_micros,
            "part": parts.get(row.lot_id, ""),
            "through": trader.label if trader is not None and row.lot_id in passed else "",
        }
        for row in rows
        if still(row)
    ]
    left = {row.lot_id: row.lot for row in rows if not still(row)}
    elsewhere = asked_elsewhere(notice, left)
    return (
        lines,
        [lot for pk, lot in left.items() if pk not in elsewhere],
        [lot for pk, lot in left.items() if pk in elsewhere],
    )


def _answer_lines(notice: Notice, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last answer per lot that stands and is still asked about; ``asked`` are the lot lines of the notice. What was
    said of a lot before it was out of the recall says nothing of what is there now.
    """
    standing = notice.stock.filter(acknowledgement__set_aside=None).order_by()
    latest = {row.lot_id: row for row in sorted(standing, key=attrgetter("at", "pk"))}
    lots = {line["lot"].pk: line["lot"] for line in asked}
    return [
        {"answer": row, "lot": lots[pk], "unit": lots[pk].product.base_unit} for pk, row in latest.items() if pk in lots
    ]


def _entries(notice: Notice) -> list[Entry]:
    """What happened to a notice, the newest first."""
    words = {row.action: str(row.label) for row in NOTICE_MOVES}
    words |= {
        "resend": _("再次发送"),
        "telephone": _("列入电话催办"),
        "post": _("信函已寄出"),
        "mail_refused": _("地址被拒收"),
        "bounce": _("退信"),
        "call": _("电话"),
        "pass_on": _("转告下游"),
        "dispute": _("收件方否认答复"),
        "uphold": _("核实答复有效"),
        "sms_notice": _("短信已发出"),
        "sms_reminder": _("催办短信已发出"),
        "sms_change": _("范围变更短信已发出"),
        "sms_turned": _("转为召回短信已发出"),
        "sms_end": _("结束短信已发出"),
        "mail_notice": _("邮件已发出"),
        "mail_reminder": _("催办邮件已发出"),
        "mail_change": _("范围变更邮件已发出"),
        "mail_turned": _("转为召回邮件已发出"),
        "mail_end": _("结束通知邮件已发出"),
    }
    return [
        Entry(
            at=step.at,
            title=words.get(step.action, step.action),
            text=step.reason,
            who=" · ".join(
                part
                for part in (
                    step.by.display_name if step.by else "",
                    _("系统")
                    if step.side == Side.SYSTEM
                    else step.by_organisation.label
                    if step.by_organisation
                    else "",
                )
                if part
            ),
        )
        for step in notice.steps.select_related("by", "by_organisation").order_by("-id")
    ]


def notice_to_hand_on(actor: Actor, uid: str) -> Notice:
    """A notice whose letter this actor may print: as issuer, as supervisor, or because it knows the outsider."""
    found = letter_for(actor, uid)
    if Side.ISSUER not in sides_of(actor, found):
        raise NotFound(_("没有找到，或者您无权查看。"))
    if not Sight(actor, found.campaign).knows(found.organisation_id):
        raise NotAllowed(_("这家单位不是您的直接客户，信函由其供货单位或监管部门转交。"), code="not_your_customer")
    return found


@audience("signed_in")
@require_safe
def letter_print(request: HttpRequest, uid: str) -> HttpResponse:
    """The letter to print: what, why, what to do, and a QR by which its holder answers without an account. Who hears of
    a change by letter alone reads what changed: that the notice was taken back, which lots are out, that a withdrawal
    became a recall.
    """
    actor = acting(request)
    found = notice_to_hand_on(actor, uid)
    return page(
        request,
        "recalls/letter_print.html",
        {
            **_notice_context(actor, found),
            "lots": letter_lots(found),
            "url": link_url(found),
            "qr": qr_svg(link_url(found)),
        },
    )


@audience("signed_in")
@require_POST
def letter_posted(request: HttpRequest, uid: str) -> HttpResponse:
    """The letter was posted or handed over."""
    actor = acting(request)
    found = notice_to_hand_on(actor, uid)
    mark_posted(by=actor, notice=found)
    messages.success(request, _("已登记信函寄出。"))
    if found.carrier_id == actor.owner.pk:
        return redirect("recalls:notice", found.uid)
    return redirect("recalls:campaign_notice_page", found.campaign.uid, found.uid)


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_notice_answer(request: HttpRequest, uid: str, notice: str) -> HttpResponse:
    """Write down what a holder said over the telephone."""
    actor = acting(request)
    campaign, found = known_notice(actor, uid, notice)
    return _answer_page(
        request, actor, found, "recalls:campaign_notice_page", (campaign.uid, found.uid), telephone=True
    )


# --- The holder's side ----------------------------------------------------------------------------------------------


@audience("signed_in")
@require_safe
def notice_list(request: HttpRequest) -> HttpResponseBase:
    """The inbox: notices to answer, and what is done (answered, taken back, or the recall is over). Who was told that
    goods are recalled also reads here that they no longer are: what was withdrawn stands above the notices to answer
    for two weeks, and stays with what is done.
    """
    actor = acting(request)
    rows = notices_received_by(actor)
    which = request.GET.get("which", "open")
    if which == "done":
        rows = rows.filter(
            Q(answered_at__isnull=False) | Q(status=NoticeStatus.WITHDRAWN) | Q(campaign__ended_at__isnull=False)
        )
    else:
        which = "open"
        rows = rows.filter(answered_at=None, campaign__ended_at=None).exclude(status=NoticeStatus.WITHDRAWN)
    if asked_format(request):
        return export(request, NOTICES, rows.order_by("-id"))
    listed = WidePaginator(rows.order_by("-id"), 30).get_page(request.GET.get("page"))
    lines = [
        {"notice": row, "tone": tone(row), "hand_on": row.carrier_id == actor.owner.pk} for row in listed.object_list
    ]
    return page(
        request,
        "recalls/notice_list.html",
        {
            "lines": lines,
            "page": listed,
            "which": which,
            "withdrawn": _just_withdrawn(actor) if which == "open" else [],
            "tabs": [("open", _("待答复")), ("done", _("已答复或已结束"))],
        },
    )


def _just_withdrawn(actor: Actor) -> list[Notice]:
    """Notices to this actor that were sent and taken back in the last two weeks, the last five; not where another
    notice of the recall tells the same holder of all its lots.
    """
    lately = NoticeStep.objects.filter(
        notice=OuterRef("pk"), action="withdraw", at__gte=timezone.now() - datetime.timedelta(days=14)
    )
    rows = notices_received_by(actor).filter(Exists(lately), status=NoticeStatus.WITHDRAWN, sent_at__isnull=False)
    out = NoticeLot.objects.filter(~_told_again("notice__campaign", "notice__organisation"), notice=OuterRef("pk"))
    return list(rows.filter(Exists(out)).order_by("-id")[:5])


def _told_again(campaign: str, organisation: str) -> Exists:
    """Whether another notice to the same holder asks about the lot of a row."""
    standing = NoticeLot.objects.exclude(notice__status=NoticeStatus.WITHDRAWN).filter(~over())
    same = {"notice__campaign": OuterRef(campaign), "notice__organisation": OuterRef(organisation)}
    return Exists(standing.filter(lot=OuterRef("lot"), **same))


@audience("signed_in")
@require_safe
def notice(request: HttpRequest, uid: str) -> HttpResponse:
    """One notice as its holder reads it: what it is, which lots, what to do now, how to answer."""
    actor = acting(request)
    found = received_notice_for(actor, uid)
    if found.organisation_id == actor.owner.pk:
        mark_seen(notice=found, by=actor)
    return page(request, "recalls/notice.html", _notice_context(actor, found))


def _why(campaign: Campaign, publication: Publication | None) -> list[tuple[str, str]]:
    """Why and what may happen: as announced; before that, when holders must stop already, as assessed."""
    reason = risk = ""
    if publication is not None:
        reason, risk = publication.notice.reason, publication.notice.risk
    elif (last := campaign.assessments.order_by("-id").first()) is not None:
        reason, risk = last.basis, f"{last.get_hazard_display()} · {last.get_severity_display()}"
    return [(label, words) for label, words in ((_("召回原因"), reason), (_("可能的危害"), risk)) if words]


def _notice_context(actor: Actor | None, found: Notice) -> dict[str, Any]:
    publication = publication_in_force(found.campaign)
    lots, out, elsewhere = _lot_lines(found)
    return {
        "notice": found,
        "campaign": found.campaign,
        "tone": tone(found),
        "lots": lots,
        "out": out,
        "elsewhere": elsewhere,
        "answers": _answer_lines(found, lots),
        "public": publication.notice if publication else None,
        "why": _why(found.campaign, publication),
        "turned": found.campaign.steps.filter(action="turn_recall").exists(),
        "told": found.children.count(),
        "told_again": found.status == NoticeStatus.WITHDRAWN
        and found.lots.filter(_told_again("notice__campaign", "notice__organisation")).exists(),
        "hand_on": actor is not None and found.carrier_id == actor.owner.pk,
        "may_acknowledge": notice_move(found.status, "acknowledge", Side.RECIPIENT) is not None,
    }


@audience("signed_in")
@require_POST
def notice_acknowledge(request: HttpRequest, uid: str) -> HttpResponse:
    """Confirm by account that one knows and will act. Twice is harmless."""
    actor = acting(request)
    found = received_notice_for(actor, uid)
    acknowledge(by=actor, notice=found)
    messages.success(request, _("已确认收到。请接着填写库存。"))
    return redirect("recalls:notice_answer", found.uid)


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def notice_answer(request: HttpRequest, uid: str) -> HttpResponse:
    """Say what one has, lot by lot."""
    actor = acting(request)
    found = received_notice_for(actor, uid)
    return _answer_page(
        request, actor, found, "recalls:notice", (found.uid,), telephone=found.carrier_id == actor.owner.pk
    )


def _answer_page(
    request: HttpRequest, actor: Actor, found: Notice, back: str, args: tuple[Any, ...], *, telephone: bool
) -> HttpResponse:
    """The stock form for who signed in."""
    lots = _asked(found)
    form = StockForm(request.POST or None, lots=lots, initial=_given_before(found, lots))
    if request.method == "POST" and form.is_valid():
        row = attempt(
            form,
            lambda: answer_stock(by=actor, notice=found, lots=form.answers, remark=form.cleaned_data["remark"]),
        )
        if row is not None:
            messages.success(request, _("库存已反馈。谢谢配合。"))
            return redirect(back, *args)
    return page(
        request,
        "recalls/notice_answer.html",
        {"notice": found, "campaign": found.campaign, "form": form, "telephone": telephone, "back": back, "args": args},
        bad=form.is_bound,
    )


def _asked(found: Notice) -> list[tuple[Lot, int]]:
    """Lots with what the recipient should have by record."""
    rows = still_asked(found.lots.select_related("lot__product", "lot__product_version"), of=found).order_by("id")
    return [(row.lot, row.on_hand_micros + row.unconfirmed_micros) for row in rows]


def _given_before(found: Notice, lots: list[tuple[Lot, int]]) -> dict[str, str]:
    """The last answer, in base units, to be corrected."""
    latest = latest_answers(found)
    initial: dict[str, str] = {}
    for number, (lot, _known) in enumerate(lots):
        row = latest.get(lot.pk)
        if row is None:
            continue
        initial |= {
            f"unit_{number}": lot.product.base_unit,
            f"on_hand_{number}": decimal_text(row.on_hand_micros),
            f"sealed_{number}": decimal_text(row.sealed_micros),
            f"sold_{number}": decimal_text(row.sold_micros),
            f"unknown_{number}": decimal_text(row.unknown_micros),
        }
    return initial


@audience("public")
@require_http_methods(["GET", "HEAD", "POST"])
def letter(request: HttpRequest, token: str) -> HttpResponse:
    """The page of the letter's QR: no account, no cookie but the form's. GET shows; POST acknowledges.

    The names given so far are shown: a forwarded letter is seen to be one. The first look is noted as seen.
    """
    found = notice_by_link(token)
    if request.method == "GET":
        mark_seen(notice=found, by=None)
    names = names_given(found)
    form = NameForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        row = attempt(form, lambda: acknowledge_by_link(token=token, name=form.cleaned_data["name"]))
        if row is not None:
            messages.success(request, _("已确认收到。请接着填写库存。"))
            return redirect("recalls:letter_answer", token)
    context = _notice_context(None, found)
    context |= {"form": form, "token": token, "names": names}
    return page(request, "recalls/letter.html", context, bad=form.is_bound)


@audience("public")
@require_http_methods(["GET", "HEAD", "POST"])
def letter_answer(request: HttpRequest, token: str) -> HttpResponse:
    """The stock answer from the letter, without an account."""
    found = notice_by_link(token)
    lots = _asked(found)
    initial = _given_before(found, lots) | last_name(found)
    form = StockForm(request.POST or None, lots=lots, initial=initial, with_name=True)
    if request.method == "POST" and form.is_valid():
        row = attempt(
            form,
            lambda: answer_stock_by_link(
                token=token,
                name=form.cleaned_data["name"],
                lots=form.answers,
                remark=form.cleaned_data["remark"],
            ),
        )
        if row is not None:
            messages.success(request, _("库存已反馈。谢谢配合。"))
            return redirect("recalls:letter", token)
    return page(
        request,
        "recalls/letter_answer.html",
        {"notice": found, "campaign": found.campaign, "form": form, "token": token},
        bad=form.is_bound,
    )
