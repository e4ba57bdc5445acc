"""The columns of the recalls' lists as files; the lists themselves are their pages' (same rows, same filters)."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext_lazy

from recalls.models import Notice, Signal
from recalls.plausible import flag_words
from recalls.queries import campaign_rows, case_words
from recalls.sight import Sight
from trace.exports import Column, Table


def _goods(row: Signal) -> str:
    """What a signal is about: the lot's product, the product, or the code that was scanned."""
    if row.lot is not None:
        return row.lot.product_version.label
    return str(row.product) if row.product is not None else row.code


CAMPAIGNS = Table(
    "recalls",
    [
        Column(gettext_lazy("召回"), lambda row: row.campaign.label),
        Column(gettext_lazy("编号"), lambda row: row.campaign.number or ""),
        Column(gettext_lazy("召回单位"), lambda row: row.campaign.organisation.label),
        Column(gettext_lazy("阶段"), lambda row: row.campaign.get_status_display()),
        Column(gettext_lazy("级别"), lambda row: row.campaign.level_label),
        Column(gettext_lazy("最近的时限"), lambda row: row.next_clock.label if row.next_clock else ""),
        Column(gettext_lazy("期限"), lambda row: row.next_clock.due_at if row.next_clock else None),
        Column(gettext_lazy("通知份数"), lambda row: row.coverage.holders),
        Column(gettext_lazy("已确认"), lambda row: row.coverage.acknowledged),
        Column(gettext_lazy("已反馈"), lambda row: row.coverage.answered),
    ],
    campaign_rows,
)
SIGNALS = Table(
    "signals",
    [
        Column(gettext_lazy("回执号"), lambda row: row.receipt),
        Column(gettext_lazy("来源"), lambda row: row.get_source_display()),
        Column(gettext_lazy("产品"), _goods),
        Column(gettext_lazy("批号"), lambda row: row.lot.code if row.lot else ""),
        Column(gettext_lazy("涉及单位"), lambda row: row.organisation.label if row.organisation else ""),
        Column(gettext_lazy("收到时间"), lambda row: row.received_at),
        Column(gettext_lazy("状态"), lambda row: row.get_status_display()),
    ],
)
CASES = Table(
    "cases",
    [
        Column(gettext_lazy("回执号"), lambda row: row.number),
        Column(gettext_lazy("类型"), lambda row: row.get_kind_display()),
        Column(gettext_lazy("问题"), case_words),
        Column(gettext_lazy("产品"), lambda row: row.lot.product_version.label if row.lot else ""),
        Column(gettext_lazy("批号"), lambda row: row.lot.code if row.lot else row.code),
        Column(gettext_lazy("承办单位"), lambda row: row.owner.label if row.owner else ""),
        Column(gettext_lazy("收到时间"), lambda row: row.received_at),
        Column(gettext_lazy("期限"), lambda row: row.due_at),
        Column(gettext_lazy("状态"), lambda row: row.get_status_display()),
        Column(gettext_lazy("要求"), lambda row: row.get_remedy_display()),
        Column(gettext_lazy("件数"), lambda row: row.pieces),
        Column(gettext_lazy("赔付方"), lambda row: row.get_payer_display()),
        Column(gettext_lazy("已付（元）"), lambda row: "" if row.paid_cents is None else f"{row.paid_cents / 100:.2f}"),
        Column(gettext_lazy("需核实"), lambda row: "；".join(flag_words(code) for code in row.flags)),
    ],
)
_ANSWERS = [
    Column(gettext_lazy("发出"), lambda row: row.sent_at),
    Column(gettext_lazy("确认"), lambda row: row.acknowledged_at),
    Column(gettext_lazy("反馈库存"), lambda row: row.answered_at),
]
NOTICES = Table(
    "notices",
    [
        Column(gettext_lazy("召回"), lambda row: row.campaign.title),
        Column(gettext_lazy("编号"), lambda row: row.campaign.number or ""),
        Column(gettext_lazy("召回单位"), lambda row: row.campaign.organisation.label),
        Column(gettext_lazy("收件单位"), lambda row: row.organisation.label),
        Column(gettext_lazy("状态"), lambda row: row.get_status_display()),
        *_ANSWERS,
    ],
)


def sent_notices(sight: Sight) -> Table:
    """The notices of one campaign, with holders named as far as the reader may know them."""

    def seen(rows: Sequence[Notice]) -> list[Notice]:
        for row in rows:
            row.holder = sight.holder(row.organisation)  # type: ignore[attr-defined]
        return list(rows)

    return Table(
        "recall-notices",
        [
            Column(gettext_lazy("单位名称"), lambda row: row.holder.label),
            Column(gettext_lazy("地区"), lambda row: row.holder.region),
            Column(gettext_lazy("状态"), lambda row: row.get_status_display()),
            *_ANSWERS,
            Column(gettext_lazy("催办"), lambda row: row.get_escalation_display() if row.escalation else ""),
            Column(gettext_lazy("催办时间"), lambda row: row.escalated_at),
        ],
        seen,
    )


WARNINGS = Table(
    "risk-warnings",
    [
        Column(gettext_lazy("标题"), lambda row: row.title),
        Column(gettext_lazy("涉及的产品"), lambda row: row.goods),
        Column(gettext_lazy("影响区域"), lambda row: row.area),
        Column(gettext_lazy("状态"), lambda row: row.get_status_display()),
        Column(gettext_lazy("起草单位"), lambda row: row.organisation.label),
        Column(gettext_lazy("起草时间"), lambda row: row.drafted_at),
    ],
)
READINESS = Table(
    "recall-readiness",
    [
        Column(gettext_lazy("单位名称"), lambda one: one.organisation.label),
        Column(gettext_lazy("状态"), lambda one: one.label),
        Column(gettext_lazy("原因"), lambda one: "；".join(one.reasons)),
        Column(gettext_lazy("上次演练"), lambda one: one.last_drill.started_at if one.last_drill else None),
    ],
)
DRILLS = Table(
    "drills",
    [
        Column(gettext_lazy("产品"), lambda row: row.lot.product_version.label),
        Column(gettext_lazy("批号"), lambda row: row.lot.code),
        Column(gettext_lazy("开始"), lambda row: row.started_at),
        Column(gettext_lazy("结束"), lambda row: row.finished_at),
        Column(gettext_lazy("用时（分钟）"), lambda row: row.minutes),
        Column(gettext_lazy("时限（分钟）"), lambda row: row.limit_minutes),
        Column(gettext_lazy("小结"), lambda row: row.summary),
    ],
)
