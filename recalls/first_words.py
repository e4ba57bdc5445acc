"""What a form begins with: what the records already know of a plan or an announcement, to be read and changed by hand.

Documents are Chinese whoever writes them (architecture.md), so these words are as well.
"""

from __future__ import annotations

import datetime
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from recalls.channels import channel_for
from recalls.law import Form, LegalEvent, due, regime, rules_started_by
from recalls.models import Campaign
from recalls.papers.source import Source
from recalls.queries import work_calendar
from trace.models import Lot, Organisation, Product
from trace.units import format_amount

_CHINA = datetime.timezone(datetime.timedelta(hours=8))
_LOTS = 30
_STOP_USING = "应急处置：立即停止使用，移到儿童接触不到的地方，等候处理。"


def first_plan(campaign: Campaign) -> dict[str, str]:
    """The items of a plan that follow from the records: the last plan's words, else firm, goods, reason, level, notice
    and duties. What nobody but the firm knows (disposal and its costs, the expected effect) stays empty.
    """
    last = campaign.plans.order_by("-number").first()
    if last is not None:
        return {f"plan_{key}": value for key, value in last.items.items()}
    source = Source(campaign)
    firm = source.firm
    with translation.override("zh-hans"):
        channel = channel_for(campaign)
        area = _("、").join(label for _code, label in channel.provinces) if channel is not None else ""
        comma = "，"
        words = {
            "producer": comma.join(
                part
                for part in (
                    firm.name,
                    source.address(),
                    firm.recall_contact_name and f"召回负责人{firm.recall_contact_name}",
                    firm.recall_contact_phone and f"电话{firm.recall_contact_phone}",
                    firm.recall_contact_email,
                )
                if part
            )
            + _as_another(source),
            "food": "\n".join([*_goods(source), *([f"区域范围：{area}"] if area else [])]),
            "reason": comma.join(part for part in (source.reason(), source.risk()) if part),
            "level": comma.join([campaign.level_label, *_limits(campaign)]),
            "notice": channel.words if channel is not None else "",
            "duties": "立即停止购进和销售，封存库存，张贴公告，转告下游客户，反馈库存，配合退货。",
        }
        if campaign.track == Product.Track.CONSUMER:
            words = {
                "scope": "\n".join([words["food"], f"缺陷：{words['reason']}", _STOP_USING]),
                "measures": "停止生产、销售范围内的产品，通知经营者停售；免费修理、更换或退货退款。",
                "responsible": words["producer"],
            }
    return {f"plan_{key}": value[:2000] for key, value in words.items()}


def _as_another(source: Source) -> str:
    """As what a firm recalls that did not make the goods, why, and who made them."""
    campaign = source.campaign
    if campaign.initiator == Campaign.Initiator.PRODUCER or source.scope is None:
        return ""
    makers = Organisation.objects.filter(lots__scope_lots__scope=source.scope, lots__scope_lots__why="named")
    names = "、".join(makers.distinct().order_by("name").values_list("name", flat=True)[:10])
    return f"\n召回身份：{'；'.join(part for part in source.standing() if part)}\n生产者：{names}"


def _goods(source: Source) -> list[str]:
    """The goods of the scope the firm may read, a line each."""
    if source.scope is None:
        return []
    lots = list(
        Lot.objects.filter(pk__in=source.scope.lots.values("lot"))
        .select_related("product", "product_version", "organisation")
        .order_by("lot_code", "id")[:_LOTS]
    )
    opened = source.sight.open_lots([lot.pk for lot in lots])
    lines = [
        "，".join(
            part
            for part in (
                lot.product_version.label,
                f"批次 {lot.code}",
                lot.produced_on and f"生产日期 {lot.produced_on.isoformat()}",
                format_amount(lot.made_micros, lot.product.base_unit, "zh-hans"),
            )
            if part
        )
        for lot in lots
        if lot.pk in opened
    ]
    more = source.scope.lot_count - len(lines)
    return [*lines, *([f"另有 {more} 个批次，见召回范围第 {source.scope.number} 版"] if more else [])]


def _limits(campaign: Campaign) -> list[str]:
    """The regime's limits from the announcement on, in words."""
    last = completion_day(campaign, datetime.datetime.now(_CHINA))
    return [f"现在公告的，{last.isoformat()} 前完成召回"] if last is not None else []


def completion_day(campaign: Campaign, announced_at: datetime.datetime) -> datetime.date | None:
    """The last day of completing the recall, if it were announced then; None where the regime sets no such day."""
    form = Form(campaign.form)
    rules = rules_started_by(regime(campaign.regime), LegalEvent.ANNOUNCED, campaign.legal_level, form)
    rule = next((one for one in rules if one.key == "complete"), None)
    if rule is None:
        return None
    found = due(rule, announced_at, work_calendar())
    return found.last_day or (found.at - datetime.timedelta(seconds=1)).astimezone(_CHINA).date()


def first_announcement(campaign: Campaign) -> dict[str, Any]:
    """What an announcement begins with where there is no version yet: the firm, the reason, the places the goods went
    to, and the limit of completing as its end.
    """
    source = Source(campaign)
    firm = source.firm
    began = (campaign.started_at or campaign.created_at).astimezone(_CHINA)
    channel = channel_for(campaign)
    return {
        "producer": firm.name,
        "address": source.address(),
        "phone": firm.recall_contact_phone,
        "email": firm.recall_contact_email,
        "person_in_charge": firm.recall_contact_name,
        "reason": source.assessment.basis[:500] if source.assessment else "",
        "begins_on": began.date(),
        "ends_on": completion_day(campaign, datetime.datetime.now(_CHINA)),
        "area": _("、").join(label for _code, label in channel.provinces)[:200] if channel is not None else "",
        "duties": _("立即停止购进和销售，封存库存，在店内醒目处张贴本公告，配合召回。"),
        "risk": source.risk() if campaign.track == Product.Track.CONSUMER else "",
        "what_to_do": _("只有标签有误，不影响食用（使用）安全。要更换标签或退货的，请拨打下面的电话或到购买处办理。")
        if campaign.kind == Campaign.Kind.LABEL
        else _("立即停止使用，不要让儿童靠近；拨打下面的电话，免费修理、更换或退货。")
        if campaign.track == Product.Track.CONSUMER
        else _("立即停止食用（使用），凭实物到购买处退货，或拨打下面的电话。"),
        "compensation": _("凭实物退还货款，不需要购物小票；由此产生的必要费用由召回单位承担。"),
    }
