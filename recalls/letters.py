"""What a holder is written: the e-mail's words, the letter's link and its QR. One place, so that both say the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter

import qrcode
from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse
from django.utils import translation
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from qrcode.constants import ERROR_CORRECT_M

from recalls.access import notice_link
from recalls.asked import asked_elsewhere, over, still_asked
from recalls.errors import DrillStaysInside
from recalls.models import Notice, OutboxMessage
from recalls.scope import parts_in_force, passed_in_force, version_in_force
from trace.models import Lot, Organisation

Kind = OutboxMessage.Kind
_LISTED = 60


def link_url(notice: Notice) -> str:
    """The full address of the page on which the holder answers without an account."""
    return settings.PUBLIC_BASE_URL + reverse("recalls:letter", args=[notice_link(notice)])


def message_id(message: OutboxMessage) -> str:
    """The same for every attempt, so that a second delivery is recognised as the first."""
    return f"<{message.uid}@{settings.PUBLIC_BASE_URL.partition('://')[2].partition(':')[0]}>"


def qr_svg(text: str, *, module: int = 4) -> SafeString:
    """A QR code (level M, quiet zone of four) as inline SVG in one path; its words stand beside it on the page."""
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_M, border=4)
    code.add_data(text)
    code.make(fit=True)
    matrix = code.get_matrix()
    path = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark)
    size = len(matrix)
    return format_html(
        '<svg class="qr" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" width="{}" height="{}" role="img" '
        'aria-label="{}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{}v{}H0z"/>'
        '<path fill="#000" d="{}"/></svg>',
        size,
        size,
        size * module,
        size * module,
        _("二维码：打开答复网页"),
        size,
        size,
        path,
    )


@dataclass(frozen=True)
class LetterLot:
    """One lot as a letter names it."""

    product: str
    code: str
    produced_on: str


def letter_lots(notice: Notice) -> list[LetterLot]:
    """The lots a notice asks about and that are still recalled, product by product."""
    lots = Lot.objects.filter(pk__in=still_asked(notice.lots.all(), of=notice).values("lot")).select_related(
        "product_version"
    )
    version = version_in_force(notice.campaign)
    parts, passed = parts_in_force(version), passed_in_force(version)
    return [
        LetterLot(
            lot.product_version.label, _code(lot, parts, passed), lot.produced_on.isoformat() if lot.produced_on else ""
        )
        for lot in lots.order_by("product_version", "lot_code")
    ]


def _code(lot: Lot, parts: Mapping[int, str], passed: tuple[Organisation | None, frozenset[int]]) -> str:
    """A lot's code, with the units meant where only part of it is, or through whose hands that part went."""
    trader, lots = passed
    if trader is not None and lot.pk in lots:
        facts = {"code": lot.code, "name": trader.name, "units": parts.get(lot.pk, "")}
        if facts["units"]:
            return _("%(code)s（只涉及经过%(name)s的，编号 %(units)s）") % facts
        return _("%(code)s（只涉及经过%(name)s的；与别处购进的分不开的，一并停售）") % facts
    if lot.pk not in parts:
        return lot.code
    return _("%(code)s（只涉及编号 %(units)s）") % {"code": lot.code, "units": parts[lot.pk]}


def compose(message: OutboxMessage) -> EmailMessage:
    """The e-mail of one outbox message, in Chinese with the essentials in English. Refuses drills, whatever queued
    them.
    """
    notice = message.notice
    if notice.campaign.is_drill:
        raise DrillStaysInside()
    with translation.override("zh-hans"):
        chinese = _body(message)
        subject = _subject(message)
    with translation.override("en"):
        english = _body(message)
    identity = message_id(message)
    return EmailMessage(
        subject=subject,
        body=f"{chinese}\n\n{'-' * 40}\n\n{english}\n",
        to=[message.address],
        headers={"Message-ID": identity, "X-Recall-Notice": str(notice.uid), "Auto-Submitted": "auto-generated"},
    )


def compose_sms(message: OutboxMessage) -> str:
    """The text message, in Chinese: who, what, what to do, where to answer. Refuses drills, whatever queued them."""
    notice = message.notice
    if notice.campaign.is_drill:
        raise DrillStaysInside()
    words = {
        Kind.NOTICE: "【召回】%(from)s正在召回“%(title)s”。请立即停售封存，并打开链接答复：%(link)s",
        Kind.REMINDER: "【召回催办】“%(title)s”还没有收到您的答复，请立即停售并答复：%(link)s",
        Kind.CHANGE: "【召回范围变更】“%(title)s”的范围有变更，哪些批次仍在范围内见：%(link)s",
        Kind.TURNED: "【转为召回】“%(title)s”已有货物售出，现为召回，请继续停售，核对库存：%(link)s",
        Kind.END: "【召回结束】“%(title)s”已结束，封存的货物仍不得再售。%(from)s",
    }[Kind(message.kind)]
    campaign = notice.campaign
    return words % {"from": campaign.organisation.name, "title": campaign.title, "link": link_url(notice)}


def _subject(message: OutboxMessage) -> str:
    notice = message.notice
    words = {
        Kind.NOTICE: _("【紧急】召回通知 %(number)s：请立即停止销售并答复"),
        Kind.REMINDER: _("【催办】召回通知 %(number)s：还没有收到您的答复"),
        Kind.CHANGE: _("召回范围变更 %(number)s"),
        Kind.TURNED: _("【紧急】追回已转为召回 %(number)s：请继续停售，核对库存"),
        Kind.END: _("召回结束 %(number)s"),
    }[Kind(message.kind)]
    return words % {"number": notice.campaign.number or notice.campaign.title}


def _body(message: OutboxMessage) -> str:
    """The words of a message in the language in force."""
    notice, kind = message.notice, message.kind
    campaign = notice.campaign
    facts = {
        "to": notice.organisation.label,
        "from": campaign.organisation.label,
        "title": campaign.title,
        "number": campaign.number or "",
        "level": campaign.level_label,
        "link": link_url(notice),
    }
    if kind == Kind.END:
        if campaign.status == "cancelled":
            return _("%(to)s：\n\n召回 %(number)s“%(title)s”已撤销，此前的通知作废。谢谢配合。\n\n%(from)s") % facts
        return (
            _(
                "%(to)s：\n\n召回 %(number)s“%(title)s”已结案。已封存的货物请按原通知处理，不得再售。"
                "谢谢配合。\n\n%(from)s"
            )
            % facts
        )
    if kind in (Kind.CHANGE, Kind.TURNED):
        opening = _(
            "%(to)s：\n\n召回 %(number)s“%(title)s”的范围有变更。打开下面的链接，可以看到哪些批次仍在召回范围内。"
        )
        if kind == Kind.TURNED:
            opening = _(
                "%(to)s：\n\n%(number)s“%(title)s”原是追回，因已有货物售出，现已转为召回。"
                "请继续停售封存，召回公告发布后在门店张贴，并核对您填写的库存。"
            )
        parts = [opening % facts, *_changed_lots(notice), link_url(notice), campaign.organisation.label]
        return "\n\n".join(parts)
    opening = _(
        "%(to)s：\n\n%(from)s 正在召回下列产品（%(number)s，%(level)s）：%(title)s。记录显示您单位有或曾有这些批次。"
    )
    quiet_steps = _(
        "请立即：\n1. 停止销售和使用，把货物单独封存；\n2. 这是追回：货物应当还没有售给消费者，已经售出的请如实填写；"
        "告知您的下游客户；\n3. 打开下面的链接确认收到，并填写每个批次的库存（不需要账号）。"
    )
    steps = _(
        "请立即：\n1. 停止销售和使用，把货物单独封存；\n2. 在门店张贴召回公告，告知您的下游客户；\n"
        "3. 打开下面的链接确认收到，并填写每个批次的库存（不需要账号）。"
    )
    return "\n\n".join(
        [
            opening % facts,
            _lot_list(notice),
            quiet_steps if campaign.quiet else steps,
            link_url(notice),
            campaign.organisation.label,
        ]
    )


def _changed_lots(notice: Notice) -> list[str]:
    """After a change: which lots of this notice are out, which it still asks about, which another one asks about."""
    rows = notice.lots.annotate(over=over()).select_related("lot__product_version").order_by("lot__lot_code")
    version = version_in_force(notice.campaign)
    covered, passed = parts_in_force(version), passed_in_force(version)
    asked = list(rows)
    gone = {row.lot_id for row in asked if attrgetter("over")(row)}
    elsewhere = asked_elsewhere(notice, gone)

    def lines(lots: set[int], *, part: bool = True) -> list[str]:
        found = [row.lot for row in asked if row.lot_id in lots]
        return [f"- {lot.product_version.label} {_code(lot, covered, passed) if part else lot.code}" for lot in found][
            :_LISTED
        ]

    out, kept = lines(gone - elsewhere, part=False), lines({row.lot_id for row in asked} - gone)
    parts = []
    if out:
        parts.append("\n".join([_("下列批次不再受这次召回影响："), *out]))
    if kept:
        parts.append("\n".join([_("下列批次仍在召回范围内，请继续停售封存："), *kept]))
    if elsewhere:
        parts.append("\n".join([_("下列批次另有通知，请按那份通知停售封存并填写："), *lines(elsewhere)]))
    if out and not kept and not elsewhere:
        parts.append(_("您单位已没有受影响的批次，这份召回通知撤回。其他召回或封存对同一批次仍然有效的，以其为准。"))
    return parts


def _lot_list(notice: Notice) -> str:
    """Product and lot per line, as many as a message can bear."""
    lots = letter_lots(notice)
    lines = [f"- {lot.product} {lot.code} {lot.produced_on}".rstrip() for lot in lots[:_LISTED]]
    if len(lots) > _LISTED:
        lines.append(_("……共 %(count)s 个批次，其余见链接。") % {"count": len(lots)})
    return "\n".join(lines)
