"""What the initiator files with the authority: plan, progress, summary, five-day report, application, destruction."""

from __future__ import annotations

import datetime

from recalls.actions.moves import proposal_of
from recalls.law import LegalEvent
from recalls.models import Disposal, DisposalPlan, Figures
from recalls.papers.draft import Draft, amounts_table, day, effect_fields, effect_of, limit, moment, totals_of
from recalls.papers.source import Source
from recalls.queries import clocks_of
from trace.personal import reveal
from trace.units import format_amount

_STOPPED = "范围内批次的出库、使用和赋码自启动时起由系统拒绝；已书面通知各持有单位停售封存。"
_DRILL = "这是演练：没有停止生产经营，货物没有封存，没有通知任何单位。"


def plan(source: Source, subject: str) -> Draft:
    """召回计划: the items the regime asks for, as filed last (2015 Measures, article 15: eight; consumer products:
    four), with the goods and the limits.
    """
    draft = Draft("召回计划", source.number, source.to)
    filed = source.campaign.plans.order_by("-number").first()
    source.recall_fields(draft)
    source.firm_fields(draft)
    if filed is None:
        draft.missing.append("已报送的召回计划")
    else:
        items = source.law.plan_items
        labels = {item.key: item.label.zh for item in items}
        required = set(labels)
        rows = [(labels.get(key, "召回计划" if key == "plan" else key), value) for key, value in filed.items.items()]
        for item in items:
            draft.need(item.label.zh, filed.items.get(item.key, ""))
        draft.fields(f"计划内容（第 {filed.number} 版）", [(label, value, False) for label, value in rows])
        if not required:
            draft.words("", "适用规则对计划内容的规定尚未取得正式文本，以上为召回单位所报内容。")
        draft.refers["plan"] = filed.number
    source.goods_table(draft)
    source.clocks_table(draft)
    source.sign(draft)
    return draft


def progress(source: Source, subject: str) -> Draft:
    """召回阶段性总结: the last progress report with its frozen figures and what came since the one before (磐石 forms,
    table 3; consumer products: every three months).
    """
    draft = Draft("召回阶段性总结", source.number, source.to)
    reports = list(source.campaign.figures.filter(action="report_progress").order_by("-id")[:2])
    step = source.campaign.steps.filter(action="report_progress").order_by("-id").first()
    source.recall_fields(draft)
    if not reports or step is None:
        draft.missing.append("进展报告（在“逐批数字”页报送）")
        return draft
    begun = reports[1].at if len(reports) > 1 else source.campaign.started_at
    draft.fields(
        "报告期",
        [("从", moment(begun), True), ("到", moment(reports[0].at), True), ("本期进展", step.reason, True)],
    )
    source.holders_table(draft)
    amounts_table(draft, "累计数量", totals_of(reports[0].data), effect_of(reports[0].data))
    before = totals_of(reports[1].data) if len(reports) > 1 else {}
    rows = []
    for unit, sums in totals_of(reports[0].data).items():
        earlier = before.get(unit)
        rows.append(
            [
                format_amount(sums.recovered - (earlier.recovered if earlier else 0), unit, "zh-hans"),
                format_amount(sums.destroyed - (earlier.destroyed if earlier else 0), unit, "zh-hans"),
            ]
        )
    draft.table("本期", ["收回", "销毁处理"], rows)
    effect_fields(draft, effect_of(reports[0].data))
    source.clocks_table(draft)
    source.sign(draft)
    draft.refers["figures"] = str(reports[0].uid)
    return draft


def summary(source: Source, subject: str) -> Draft:
    """召回总结: what was filed, with the figures frozen then (磐石 forms, table 4; consumer products: within fifteen
    working days).
    """
    draft = Draft("召回总结", source.number, source.to)
    source.recall_fields(draft)
    source.firm_fields(draft)
    draft.need("召回总结", source.campaign.summary)
    draft.words("总结", source.campaign.summary)
    kept = _frozen(source)
    if kept is None:
        draft.missing.append("总结时存档的数字")
    else:
        amounts_table(draft, "数量", totals_of(kept.data), effect_of(kept.data))
        effect_fields(draft, effect_of(kept.data))
        odd = any(sums.excess for sums in totals_of(kept.data).values())
        if odd:
            draft.need("差异说明", _explanations(source))
        draft.refers["figures"] = str(kept.uid)
    draft.words("差异说明", _explanations(source))
    source.goods_table(draft)
    source.holders_table(draft)
    _disposal_table(source, draft)
    source.clocks_table(draft)
    source.sign(draft)
    return draft


def _frozen(source: Source) -> Figures | None:
    """The figures of the last summary."""
    return source.campaign.figures.filter(action="summarised").order_by("-id").first()


def _explanations(source: Source) -> str:
    notes = source.campaign.balance_notes.select_related("lot").order_by("id")
    return "\n".join(
        part for part in (source.campaign.explanation, *(f"{one.lot.code}：{one.explanation}" for one in notes)) if part
    )


def five_day(source: Source, subject: str) -> Draft:
    """五日报告: stop, recall and disposal in writing within five working days of their end (2015 Measures, article 32;
    the draft of the 2026 rule has a like one).
    """
    draft = Draft("停止生产经营、召回和处置情况报告", source.number, source.to)
    rule = next((one for one in source.law.clocks if one.key == "report"), None)
    if rule is None:
        draft.missing.append("适用规则没有五日报告这一项")
        return draft
    source.recall_fields(draft)
    source.firm_fields(draft)
    ended = source.campaign.facts.filter(event=LegalEvent.DISPOSED.value).order_by("-id").first()
    if ended is None:
        draft.missing.append("处理完成（尚未登记）")
    started = source.campaign.started_at
    draft.fields(
        "一、停止生产经营",
        [
            ("停止时间", moment(started), True),
            ("措施", _DRILL if source.campaign.is_drill else _STOPPED, True),
            ("通知持有单位", f"{source.reached.holders} 份，已确认 {source.reached.acknowledged} 份", False),
        ],
    )
    amounts_table(draft, "二、召回", source.numbers.totals, source.working)
    effect_fields(draft, source.working)
    _disposal_table(source, draft, "三、处置")
    draft.fields(
        "四、时限",
        [
            ("处理完成时间", moment(ended.happened_at) if ended else "", False),
            ("报告依据", rule.basis.legal_basis, True),
            ("条文核实", "已与正式文本核对" if rule.verified else "未经核实，暂定", True),
        ],
    )
    draft.words("五、差异说明", _explanations(source))
    source.sign(draft)
    return draft


def extension(source: Source, subject: str) -> Draft:
    """延期申请: which limit, until when, why, how far the recall has come (2015 Measures, article 18: with the
    authority's consent, and published).
    """
    draft = Draft("延长召回完成时限申请", source.number, source.to)
    source.recall_fields(draft)
    proposal = proposal_of(source.campaign, "grant_extension")
    extendable = {rule.id for rule in source.law.clocks if rule.extendable}
    rows = clocks_of(type(source.campaign).objects.filter(pk=source.campaign.pk)).get(source.campaign.pk, [])
    due = [one for one in rows if one.clock.rule in extendable and one.clock.met_at is None]
    asked = str((proposal.data if proposal else {}).get("until", ""))
    if proposal is None:
        draft.missing.append("已提出的延期申请")
    if not due:
        draft.missing.append("可以延长的时限")
    draft.fields(
        "申请",
        [
            ("时限", "；".join(one.clock.snapshot["zh"] for one in due), False),
            ("现在的期限", "；".join(limit(one.due_at) for one in due), False),
            ("申请延长到", day(datetime.date.fromisoformat(asked)) if asked else "", True),
            ("理由", proposal.reason if proposal else "", True),
            ("法律依据", "；".join(one.law for one in due), False),
        ],
    )
    amounts_table(draft, "进展", source.numbers.totals, source.working)
    effect_fields(draft, source.working)
    source.holders_table(draft)
    source.sign(draft)
    if proposal is not None:
        draft.refers["proposal"] = str(proposal.uid)
    return draft


def disposal_plan(source: Source, subject: str) -> Draft:
    """销毁预报告: time, place, how and how much, before it happens (食品安全法 article 63)."""
    draft = Draft("销毁预报告", source.number, source.to)
    rows = DisposalPlan.objects.filter(campaign=source.campaign).select_related("organisation__division")
    found = rows.filter(uid=subject).first() if subject else rows.order_by("-id").first()
    source.recall_fields(draft)
    if found is None:
        draft.missing.append("登记的销毁预报告")
        return draft
    draft.fields(
        "销毁安排",
        [
            ("处理单位", found.organisation.name, True),
            ("计划时间", moment(found.planned_at), True),
            ("地点", found.place, True),
            ("方式", str(found.get_method_display()), True),
            ("报告时间", moment(found.reported_at), True),
        ],
    )
    lots = found.lots.select_related("lot__product", "lot__product_version").order_by("id")
    draft.table(
        "数量",
        ["产品名称", "批次", "数量"],
        [
            [
                row.lot.product_version.name,
                row.lot.code,
                format_amount(row.micros, row.lot.product.base_unit, "zh-hans"),
            ]
            for row in lots
        ],
    )
    law = "" if source.campaign.track == "consumer_product" else "依据《食品安全法》第六十三条，"
    draft.words("", f"{law}事先报告时间、地点，请派员现场监督。")
    source.sign(draft, found.organisation.name, "（盖章）", "日期：____年__月__日")
    draft.refers["disposal_plan"] = str(found.uid)
    return draft


def _disposals(source: Source) -> list[Disposal]:
    rows = Disposal.objects.filter(campaign=source.campaign, event__corrections__isnull=True)
    return list(
        rows.select_related(
            "lot__product", "lot__product_version", "organisation", "witness", "witness_name", "event", "fact__executor"
        )
        .prefetch_related("files")
        .order_by("id")
    )


def _disposal_table(source: Source, draft: Draft, title: str = "处理") -> None:
    """What was destroyed, each with place, witness and the report beforehand."""
    opened = source.sight.open_lots({row.lot_id for row in _disposals(source)})
    draft.table(
        title,
        ["时间", "批次", "数量", "方式", "地点", "见证单位", "事先报告"],
        [
            [
                moment(row.event.occurred_at),
                row.lot.code,
                format_amount(row.micros, row.lot.product.base_unit, "zh-hans"),
                str(row.get_method_display()),
                row.place,
                row.witness.name if row.witness else "见证人在场",
                moment(row.announced_at),
            ]
            for row in _disposals(source)
            if row.lot_id in opened
        ],
    )


def disposal(source: Source, subject: str) -> Draft:
    """销毁记录: per destruction the goods, the report beforehand, who did it, who witnessed, the files by hash
    (食品安全法 article 63). A destruction without a report beforehand or a witness is named and holds the document up.
    """
    draft = Draft("销毁（处理）记录", source.number, source.to)
    source.recall_fields(draft)
    rows = _disposals(source)
    if not rows:
        draft.missing.append("已登记的销毁")
    for number, row in enumerate(rows, 1):
        fact = getattr(row, "fact", None)
        what = f"第 {number} 次：{row.lot.code}"
        witness = reveal(row.witness_name)
        executor = reveal(fact.executor) if fact is not None else ""
        if row.announced_at is None:
            draft.missing.append(f"{what} 的事先报告")
        if row.witness is None and not witness:
            draft.missing.append(f"{what} 的见证")
        draft.fields(
            what,
            [
                ("产品名称", row.lot.product_version.name, True),
                ("数量", format_amount(row.micros, row.lot.product.base_unit, "zh-hans"), True),
                ("方式", str(row.get_method_display()), True),
                ("地点", row.place, True),
                ("处理时间", moment(row.event.occurred_at), True),
                ("事先报告时间", moment(row.announced_at), False),
                ("处理单位", row.organisation.name, True),
                ("处理人", draft.person(f"executor{number}", "处理人", executor, required=False), False),
                ("见证单位", row.witness.name if row.witness else "", False),
                ("见证人", draft.person(f"witness{number}", "见证人", witness, required=False), False),
                ("附件（SHA-256）", "\n".join(one.sha256 for one in row.files.all()), False),
                ("登记时间", moment(row.at), True),
            ],
        )
    draft.sign("处理单位（盖章）：____________", "见证单位（盖章）：____________")
    return draft
