"""What the firm and the authority send: announcement, notice with its receipt, stop notice, order; drill reports."""

from __future__ import annotations

import datetime
from typing import Any

from recalls.actions.announcements import people_of
from recalls.asked import still_asked
from recalls.effect import per_mille, percent
from recalls.law import Form
from recalls.models import Campaign, Drill, Notice, RegulatorAct
from recalls.notice_states import NoticeStatus
from recalls.papers.draft import NOTHING, Draft, amounts_table, day, effect_fields, moment
from recalls.papers.source import Source, passed_words
from recalls.scope import passed_in_force, version_in_force
from trace.models import Lot
from trace.paper import Block
from trace.units import format_amount

LINK = "\ue000link\ue001"
"""Where the signed address of a notice is written when it is printed: it is a key, and no key is frozen."""


def announcement(source: Source, subject: str) -> Draft:
    """召回公告: the four groups of article 16 (2015 Measures), of the last version drafted or published."""
    title = "责令召回公告" if source.campaign.form == Form.ORDERED.value else "召回公告"
    draft = Draft(title, source.number)
    found = source.campaign.public_notices.select_related("people", "scope").order_by("-number").first()
    if source.campaign.is_drill:
        draft.missing.append("演练不起草、不发布公告")
        return draft
    if found is None:
        draft.missing.append("起草的召回公告")
        return draft
    people = people_of(found)
    listed = bool(source.law.announcement_items)
    draft.fields(
        f"一、{source.campaign.as_whom}",
        [
            ("名称", found.producer, True),
            ("住所", found.address, True),
            (
                "法定代表人",
                draft.person("legal_representative", "法定代表人", people["legal_representative"]),
                False,
            ),
            ("具体负责人", draft.person("person_in_charge", "具体负责人", people["person_in_charge"]), False),
            ("联系电话", found.phone, True),
            ("电子邮箱", found.email, listed),
        ],
    )
    another = source.campaign.initiator != Campaign.Initiator.PRODUCER
    draft.table(
        "二、召回的产品",
        ["名称", "商标", "规格", "生产日期", "批次", *(["生产者"] if another else [])],
        [
            [
                *(goods["name"], goods.get("brand", ""), goods.get("spec", ""), lot["produced_on"], _lot_words(lot)),
                *([goods.get("maker", "")] if another else []),
            ]
            for goods in found.goods
            for lot in goods["lots"]
        ],
    )
    if not found.goods:
        draft.missing.append("召回的产品")
    through = sorted({lot["through"] for goods in found.goods for lot in goods["lots"] if "through" in lot})
    for name in through:
        draft.words("范围怎样划定", passed_words(name))
    draft.words("怎样辨认", found.identify)
    draft.fields(
        "三、原因、级别、日期和区域",
        [
            ("召回原因", found.reason, True),
            ("可能的危害", found.risk, True),
            ("级别", source.campaign.level_label, True),
            ("方式", str(source.campaign.get_form_display()), True),
            ("开始日期", day(found.begins_on), True),
            *([("截止日期", day(found.ends_on), listed)] if listed or found.ends_on else []),
            ("区域范围", found.area, True),
        ],
    )
    draft.fields(
        "四、义务和流程",
        [
            ("经营者的义务", found.duties, True),
            ("消费者怎么办", found.what_to_do, True),
            ("退货和赔偿", found.compensation, True),
        ],
    )
    published = source.published if source.published and source.published.notice_id == found.pk else None
    draft.fields(
        "发布",
        [
            ("版本", f"第 {found.number} 版（{found.get_kind_display()}）", True),
            ("状态", f"已发布 {moment(published.at)}" if published else "草稿，尚未发布", True),
            ("渠道", published.channel if published else "", False),
        ],
    )
    draft.sign(found.producer, day(published.at) if published else "（草稿）")
    draft.refers["announcement"] = found.number
    return draft


def notice(source: Source, subject: str) -> Draft:
    """召回通知书 with 回执: to one holder, which lots, why, what to do now (2015 Measures, article 19; 21 CFR 7.49 as
    the anchor for a means to answer), and the receipt to be filled in, or what was answered.
    """
    draft = Draft("召回通知书", source.number)
    rows = Notice.objects.filter(campaign=source.campaign).select_related("organisation")
    found = rows.filter(uid=subject).first() if subject else None
    if found is None:
        draft.missing.append("收件单位（请在“通知与反馈”中选择）")
        return draft
    draft.to = found.organisation.name
    firm = source.firm
    back = found.status == NoticeStatus.WITHDRAWN
    if back:
        draft.words(
            "",
            f"{source.campaign.title}：这份通知已撤回。所列批次不再在这次召回之内，不需要再为它们停售、填写库存；"
            "另有召回或封存的，以那一份为准。",
        )
    else:
        draft.words(
            "",
            f"{firm.name}正在召回下列产品（{source.campaign.level_label}）：{source.campaign.title}。"
            "记录显示贵单位有或曾有这些批次。",
        )
    draft.fields(
        "召回",
        [
            ("召回编号", source.campaign.number or "", True),
            ("召回原因", source.reason(), True),
            ("可能的危害", source.risk(), True),
            ("召回单位联系电话", firm.recall_contact_phone, True),
            ("主管部门", source.campaign.authority.name if source.campaign.authority else "", False),
        ],
    )
    asked = list(still_asked(found.lots.select_related("lot__product", "lot__product_version")).order_by("id"))
    if not asked:
        draft.missing.append("召回的批次")
    draft.table(
        "不再召回的批次" if back else "召回的批次",
        ["产品名称", "规格", "批次", "生产日期"],
        [
            [
                row.lot.product_version.name,
                row.lot.product_version.spec,
                row.lot.code,
                row.lot.produced_on.isoformat() if row.lot.produced_on else "",
            ]
            for row in asked
        ],
    )
    trader, passed = passed_in_force(version_in_force(found.campaign))
    if back:
        draft.sign(firm.name, day(found.created_at))
        draft.refers["notice"] = str(found.uid)
        return draft
    if trader is not None and any(row.lot_id in passed for row in asked):
        draft.words("范围怎样划定", passed_words(trader.name))
    draft.words(
        "请立即办理",
        "一、停止购进、销售和使用，把货物单独封存。",
        "二、这是追回：货物应当还没有售给消费者。已经售出的，在回执中如实填写，并告知您的下游客户。"
        if source.campaign.quiet
        else "二、在经营场所醒目处张贴召回公告，告知您的下游客户。",
        "三、确认收到，并逐批答复库存：扫描下面的二维码（不需要账号），或填写回执后送交召回单位。",
    )
    if source.campaign.is_drill:
        draft.words("", "这是演练，不是召回：不寄送，不开通答复链接，货物照常销售。")
    else:
        draft.blocks.append(Block("code", "扫码确认收到并答复库存", rows=((LINK,),)))
    draft.sign(firm.name, day(found.created_at))
    _receipt(draft, found, [row.lot for row in asked])
    draft.refers["notice"] = str(found.uid)
    return draft


def _lot_words(lot: dict[str, Any]) -> str:
    """A lot's code, with the trader through whose hands the recalled part went."""
    return f"{lot['code']}（只召回经{lot['through']}销售的）" if "through" in lot else str(lot["code"])


def _receipt(draft: Draft, found: Notice, lots: list[Lot]) -> None:
    """回执: blank to be filled in by hand, or as answered."""
    answers = {
        row.lot_id: row
        for row in found.stock.filter(acknowledgement__set_aside__isnull=True).select_related("lot").order_by("id")
    }
    rows = []
    for lot in lots:
        said = answers.get(lot.pk)
        unit = lot.product.base_unit
        amounts = (
            [
                format_amount(micros, unit, "zh-hans")
                for micros in (said.on_hand_micros, said.sealed_micros, said.sold_micros, said.unknown_micros)
            ]
            if said
            else [" "] * 4
        )
        rows.append([lot.code, *amounts])
    draft.blocks.append(Block("page"))
    draft.words(
        "回执",
        f"召回编号：{found.campaign.number or NOTHING}",
        f"收件单位：{found.organisation.name}",
        f"状态：{found.get_status_display()}" if found.acknowledged_at else "",
        f"确认收到：{moment(found.acknowledged_at) or '____________________'}",
    )
    draft.table("", ["批次", "现有", "其中已封存", "已售出", "说不清去向"], rows)
    draft.sign("填写人：____________（盖章）", "日期：____年__月__日")


def stop(source: Source, subject: str) -> Draft:
    """停止生产经营通知: what stops, since when, why (2015 Measures, article 8; 食品安全法 article 63)."""
    draft = Draft("停止生产经营通知", source.number, "本单位各部门、各持有单位")
    one = source.campaign
    source.recall_fields(draft)
    step = one.steps.filter(action__in=["start", "stop_sale"]).order_by("id").first()
    if step is None:
        draft.missing.append("停止生产经营的决定（启动召回或先行停止销售时登记）")
    food = one.track != "consumer_product"
    draft.fields(
        "停止的决定",
        [
            ("停止时间", moment(step.at) if step else "", False),
            ("决定单位", step.by_organisation.name if step else "", False),
            ("停止内容", "范围内批次的生产、购进、销售、使用、出库和赋码，自停止时间起全部停止。", True),
            ("封存", "范围内批次单独存放、加贴标识，未经放行不得移动。", True),
            (
                "依据",
                "《食品安全法》第六十三条；《食品召回管理办法（2015）》第八条"
                if food and source.law.code == "CN-FOOD-2015"
                else "《食品安全法》第六十三条；" + source.law_words
                if food
                else source.law_words + "（条款号待核实）",
                True,
            ),
        ],
    )
    if one.is_drill:
        draft.words("", "这是演练：没有停止生产经营，货物没有封存，照常生产和销售。")
    source.goods_table(draft)
    source.sign(draft)
    return draft


def order(source: Source, subject: str) -> Draft:
    """责令召回通知书: the authority's order as served, with number, law, what is required and until when (2015
    Measures, article 12; 食品安全法 article 63).
    """
    draft = Draft("责令召回通知书", source.number, source.firm.name)
    kinds = [RegulatorAct.Kind.ORDER_RECALL, RegulatorAct.Kind.STRENGTHEN, RegulatorAct.Kind.RECALL_AGAIN]
    rows = source.campaign.acts.filter(kind__in=kinds).select_related("organisation")
    act = rows.filter(uid=subject).first() if subject else rows.order_by("-id").first()
    if act is None:
        draft.missing.append("已登记的责令召回决定")
        return draft
    draft.title = "责令召回通知书" if act.kind == RegulatorAct.Kind.ORDER_RECALL else f"{act.get_kind_display()}通知书"
    draft.fields(
        "",
        [
            ("文书编号", act.number, True),
            ("行为", str(act.get_kind_display()), True),
            ("当事人", source.firm.name, True),
            ("当事人住所", source.address(), True),
            ("统一社会信用代码", source.firm.uscc or "", False),
        ],
    )
    draft.fields(
        "事实、依据和要求",
        [
            ("召回名称", source.campaign.title, True),
            ("原因", source.reason(), True),
            ("级别", source.campaign.level_label, True),
            ("要求", act.content, True),
            ("期限", day(act.due_on), False),
            ("法律依据", act.legal_basis, True),
            ("送达时间", moment(act.served_at), True),
            ("附件（SHA-256）", act.sha256, False),
        ],
    )
    source.goods_table(draft)
    draft.words(
        "",
        "当事人应当立即停止生产经营，召回上列产品，通知相关生产经营者和消费者，并记录召回和通知情况。"
        "如不服本决定，可以依法申请行政复议或者提起行政诉讼。",
    )
    draft.sign(act.organisation.name, "（盖章）", day(act.served_at), "", "收件人签字：____________")
    draft.refers["act"] = str(act.uid)
    return draft


# --- Drills ---------------------------------------------------------------------------------------------------------


def drill_campaign(source: Source, subject: str) -> Draft:
    """演练报告 of a rehearsed campaign: how long each step took, scope, answers, figures."""
    draft = Draft("召回演练报告", source.number)
    one = source.campaign
    if not one.is_drill:
        draft.missing.append("这不是演练")
        return draft
    source.recall_fields(draft)
    source.goods_table(draft)
    version = source.scope
    draft.fields(
        "用时",
        [
            ("知悉到启动", minutes(one.knew_at, one.started_at), True),
            ("追溯（范围计算）", f"{version.trace_ms} 毫秒" if version else "", True),
            ("知悉到首份通知生成", minutes(one.knew_at, first_notice(one)), False),
            ("知悉到结束", minutes(one.knew_at, one.ended_at), False),
        ],
    )
    source.holders_table(draft)
    amounts_table(draft, "数量", source.numbers.totals, source.working)
    effect_fields(draft, source.working, "演练效果")
    draft.words("总结", one.summary)
    draft.words("差异说明", one.explanation)
    source.clocks_table(draft)
    source.sign(draft)
    return draft


def known(made: int, unconfirmed: int) -> str:
    """What of the goods the records place with somebody who confirmed them, or used and disposed of: all but what is
    under way or unconfirmed.
    """
    return percent(per_mille(made - unconfirmed, made)) or NOTHING


def first_notice(campaign: Campaign) -> datetime.datetime | None:
    """When the first notice was made."""
    return campaign.notices.order_by("created_at").values_list("created_at", flat=True).first()


def minutes(begun: datetime.datetime | None, ended: datetime.datetime | None) -> str:
    """Hours and minutes between two instants; empty where one is missing."""
    if begun is None or ended is None or ended < begun:
        return ""
    whole = int((ended - begun).total_seconds() // 60)
    return f"{whole // 60} 小时 {whole % 60} 分"


def drill_report(row: Drill) -> Draft:
    """演练报告 of an exercise: both directions, quantities, time against the limit, contacts, gaps and measures (what
    auditors ask for: start and end, lots, amounts, contacts tested, corrective actions).
    """
    draft = Draft("追溯与召回演练报告", f"演练-{row.uid.hex[-8:].upper()}")
    traces = {one.direction: one for one in row.traces.order_by("id")}
    back, forward = traces.get("back"), traces.get("forward")
    unit = row.lot.product.base_unit
    draft.fields(
        "演练概况",
        [
            ("单位", row.organisation.name, True),
            ("批次", f"{row.lot.product_version.name} {row.lot.code}", True),
            ("选取方式", f"随机抽取，种子“{row.seed}”，候选 {row.pool} 批" if row.seed else "指定批次", True),
            ("候选批次哈希", row.pool_sha256, False),
            ("开始", moment(row.started_at), True),
            ("结束", moment(row.finished_at), True),
            ("用时", minutes(row.started_at, row.finished_at), False),
            ("时限", f"{row.limit_minutes} 分钟", True),
            ("结论", ("在时限内完成" if row.in_time else "超过时限") if row.finished_at else "", False),
        ],
    )
    if back is None:
        draft.missing.append("向上追溯")
    else:
        draft.fields(
            "向上：来源",
            [
                ("来源批次", str(back.data["lots"]), True),
                ("供货单位", "、".join(back.data["suppliers"]) or NOTHING, True),
                ("最深层级", str(back.data["deepest"]), True),
                ("查询用时", f"{back.took_ms} 毫秒", True),
            ],
        )
    if forward is None:
        draft.missing.append("向下追溯")
    else:
        there = forward.data
        draft.fields(
            "向下：去向",
            [
                ("涉及批次", str(there["lots"]), True),
                ("持有单位", f"{there['holders']} 家，其中未确认收货 {there['unconfirmed_holders']} 家", True),
                ("联系不上的单位", f"{there['unreachable']} 家", True),
                ("生产", format_amount(there["made"], unit, "zh-hans"), True),
                ("发出", format_amount(there["shipped"], unit, "zh-hans"), True),
                ("在库", format_amount(there["on_hand"], unit, "zh-hans"), True),
                ("在途或未确认", format_amount(there["unconfirmed"], unit, "zh-hans"), True),
                ("已查明率", known(there["made"], there["unconfirmed"]), False),
                ("去向不明占比", percent(per_mille(there["unconfirmed"], there["made"])) or NOTHING, False),
                ("查询用时", f"{forward.took_ms} 毫秒", True),
                ("范围哈希（SHA-256）", there["sha256"], True),
            ],
        )
    tests = list(row.tests.select_related("contact").order_by("id")[:200])
    if tests:
        heard = sum(one.confirmed_at is not None for one in tests)
        share = percent(per_mille(heard, len(tests))) or NOTHING
        draft.fields("联系方式", [("回应率", f"{share}（{heard}/{len(tests)}）", False)])
    draft.table(
        "联系方式测试",
        ["单位", "发出", "确认收到"],
        [[one.contact.name, moment(one.sent_at), moment(one.confirmed_at)] for one in tests],
    )
    draft.table(
        "差距和纠正措施",
        ["差距", "措施", "负责岗位", "完成期限", "完成情况"],
        [
            [one.gap, one.action, one.responsible, day(one.due_on), one.done_words or ("" if one.done_at else "未完成")]
            for one in row.gaps.order_by("id")
        ],
    )
    draft.words("小结", draft.need("小结", row.summary))
    draft.sign(row.organisation.name, "（盖章）", day(row.finished_at))
    return draft
