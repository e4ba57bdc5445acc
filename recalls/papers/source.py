"""What documents of one campaign have in common, asked once: the firm, the law, the goods, the holders, the limits."""

from __future__ import annotations

from functools import cached_property

from django.db.models import Count

from recalls.effect import Effect, effect
from recalls.figures import CampaignFigures, figures
from recalls.law import Regime, regime
from recalls.models import Assessment, Campaign, Notice, Publication, ScopeLot, ScopeVersion
from recalls.notice_states import NoticeStatus
from recalls.papers.draft import Draft, limit, moment
from recalls.queries import Coverage, clocks_of, coverage, publication_in_force
from recalls.scope import latest_scope
from recalls.sight import Sight
from recalls.through import through_of
from trace.actor import Actor
from trace.models import Division, Lot, Organisation
from trace.units import format_amount

LISTED = 300
"""Lots a document names one by one; the scope version's hash stands for all."""


def passed_words(name: str) -> str:
    """How the scope was drawn, where only what passed through one trader is recalled."""
    return (
        f"只召回经过{name}的货和用它制成的货。没有经过它的同批号产品（包括生产者的库存和它的其他客户）不在召回之内。"
        "单件码能分清的以扫码结果为准；只按数量发的货分不清，与别处购进的混在一起的，一并停售、封存。"
    )


def _covered(lot: Lot, row: ScopeLot) -> int:
    """How much of a lot is meant: what passed through the trader, where only that is."""
    return row.made_micros if row.through else lot.made_micros


class Source:
    """One campaign as its documents tell of it: with the eyes of the initiator, whoever makes them, for the initiator
    reads them (architecture.md, rule 8).
    """

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.firm = campaign.organisation

    @cached_property
    def law(self) -> Regime:
        """The rule the campaign falls under."""
        return regime(self.campaign.regime)

    @property
    def law_words(self) -> str:
        """Its name, and whether its text was checked."""
        return self.law.label.zh if self.law.verified else f"{self.law.label.zh}（条文未经核实）"

    @property
    def to(self) -> str:
        """The authority a report goes to."""
        authority = self.campaign.authority
        return authority.name if authority is not None else "主管部门（本系统内没有登记）"

    @property
    def number(self) -> str:
        """The campaign's number, or that it has none yet."""
        return self.campaign.number or "未编号"

    @cached_property
    def scope(self) -> ScopeVersion | None:
        """The scope in force."""
        return latest_scope(self.campaign)

    @cached_property
    def assessment(self) -> Assessment | None:
        """The last assessment."""
        return self.campaign.assessments.order_by("-id").first()

    @cached_property
    def published(self) -> Publication | None:
        """The announcement in force."""
        return publication_in_force(self.campaign)

    @cached_property
    def numbers(self) -> CampaignFigures:
        """The figures as they stand."""
        return figures(self.campaign, self.scope)

    @cached_property
    def working(self) -> Effect:
        """How well the recall works, as the board says it."""
        return effect(self.campaign, self.numbers)

    @cached_property
    def reached(self) -> Coverage:
        """How far the notices have come."""
        return coverage(Campaign.objects.filter(pk=self.campaign.pk)).get(self.campaign.pk, Coverage())

    @cached_property
    def sight(self) -> Sight:
        """What the initiator may see."""
        return Sight(Actor(organisation=self.firm, user=None, role="quality"), self.campaign)

    def reason(self) -> str:
        """Why: as announced, else as assessed."""
        if self.published is not None:
            return self.published.notice.reason
        return self.assessment.basis if self.assessment else ""

    def risk(self) -> str:
        """What may happen: as announced, else as assessed."""
        if self.published is not None:
            return self.published.notice.risk
        if self.assessment is None:
            return ""
        parts = [self.assessment.get_hazard_display(), self.assessment.get_severity_display()]
        return "；".join(str(part) for part in parts)

    def firm_fields(self, draft: Draft) -> None:
        """Who recalls."""
        firm = self.firm
        draft.fields(
            "召回单位",
            [
                ("名称", firm.name, True),
                ("统一社会信用代码", firm.uscc or "", False),
                ("住所", self.address(), True),
                ("召回负责人", draft.person("contact", "召回负责人", firm.recall_contact_name), False),
                ("联系电话", firm.recall_contact_phone, True),
                ("电子邮箱", firm.recall_contact_email, False),
            ],
        )

    def address(self) -> str:
        """Where the firm sits: province, prefecture, county, town, street."""
        code = self.firm.division_id
        above = [f"{code[:2]}0000", f"{code[:4]}00", code[:6], code]
        names = division_labels(set(above))
        return "".join(names.get(one, "") for one in dict.fromkeys(above)) + self.firm.address

    def recall_fields(self, draft: Draft) -> None:
        """Which recall it is."""
        one = self.campaign
        draft.fields(
            "召回概况",
            [
                ("召回编号", one.number or "", True),
                ("召回名称", one.title, True),
                ("类型", str(one.get_kind_display()), True),
                ("召回身份", "；".join(part for part in self.standing() if part), True),
                ("方式", str(one.get_form_display()), True),
                ("级别", one.level_label, True),
                ("适用规则", self.law_words, True),
                ("知悉时间", moment(one.knew_at), True),
                ("启动时间", moment(one.started_at), False),
                ("公告时间", moment(one.announced_at), False),
                ("召回原因", self.reason(), True),
                ("可能的危害", self.risk(), True),
            ],
        )

    def standing(self) -> tuple[str, str, str]:
        """As what the firm recalls, and why."""
        one = self.campaign
        return str(one.get_initiator_display()), str(one.get_ground_display() or ""), one.ground_words

    @cached_property
    def trader(self) -> Organisation | None:
        """Through whose hands the scope was followed, where it was."""
        return through_of(self.scope) if self.scope is not None else None

    def goods_table(self, draft: Draft) -> None:
        """The goods: product, specification, lot, date, amount; those of others by number only."""
        if self.scope is None or not self.scope.lot_count:
            draft.missing.append("召回范围")
            return
        rows = {row.lot_id: row for row in self.scope.lots.all()}
        lots = list(
            Lot.objects.filter(pk__in=self.scope.lots.values("lot"))
            .select_related("product", "product_version", "organisation")
            .order_by("product_version", "lot_code", "id")
        )
        opened = self.sight.open_lots([lot.pk for lot in lots])
        mine = [lot for lot in lots if lot.pk in opened]
        draft.table(
            f"召回范围（第 {self.scope.number} 版，共 {self.scope.lot_count} 个批次）",
            ["产品名称", "商标", "规格", "批次", "生产日期", "数量", "把握"],
            [
                [
                    lot.product_version.name,
                    lot.product_version.brand,
                    lot.product_version.spec,
                    lot.code,
                    lot.produced_on.isoformat() if lot.produced_on else "",
                    format_amount(_covered(lot, rows[lot.pk]), lot.product.base_unit, "zh-hans"),
                    "确定" if rows[lot.pk].shell == "proven" else "可能",
                ]
                for lot in mine[:LISTED]
            ],
        )
        if self.trader is not None and any(row.through for row in rows.values()):
            draft.words("范围怎样划定", passed_words(self.trader.name))
        others = len(lots) - len(mine[:LISTED])
        draft.words(
            "",
            f"另有 {others} 个批次未在此逐一列出，以范围版本为准。" if others else "",
            f"范围版本哈希（SHA-256）：{self.scope.sha256}",
        )
        draft.refers["scope"] = {"number": self.scope.number, "sha256": self.scope.sha256}

    def holders_table(self, draft: Draft) -> None:
        """Who was told, by kind and region (notices, means and answers; 磐石 forms, table 3)."""
        rows = (
            Notice.objects.filter(campaign=self.campaign)
            .exclude(status=NoticeStatus.WITHDRAWN)
            .values("organisation__division", "tier")
            .annotate(n=Count("pk"), sent=Count("sent_at"), ack=Count("acknowledged_at"), said=Count("answered_at"))
            .order_by("tier", "organisation__division")
        )
        regions: dict[tuple[int, str], list[int]] = {}
        for row in rows:
            key = (row["tier"], row["organisation__division"][:4].ljust(6, "0"))
            sums = regions.setdefault(key, [0, 0, 0, 0])
            for place, count in enumerate((row["n"], row["sent"], row["ack"], row["said"])):
                sums[place] += count
        labels = division_labels({region for _tier, region in regions})
        draft.table(
            "通知情况",
            ["层级", "地区", "通知份数", "已送出", "已确认", "已反馈库存"],
            [
                [f"第 {tier} 级", labels.get(region, region), *(str(n) for n in sums)]
                for (tier, region), sums in regions.items()
            ],
        )

    def clocks_table(self, draft: Draft) -> None:
        """The limits of the law."""
        rows = clocks_of(Campaign.objects.filter(pk=self.campaign.pk)).get(self.campaign.pk, [])
        draft.table(
            "法定时限",
            ["事项", "起算", "期限", "完成", "依据"],
            [
                [
                    one.clock.snapshot["zh"],
                    moment(one.clock.started_at),
                    limit(one.due_at) + ("（暂定）" if one.clock.provisional else ""),
                    moment(one.clock.met_at),
                    one.law,
                ]
                for one in rows
            ],
        )

    def sign(self, draft: Draft, *lines: str) -> None:
        """The firm's end of a document."""
        draft.sign(*(lines or (self.firm.name, "（盖章）", "日期：____年__月__日")))


def division_labels(codes: set[str]) -> dict[str, str]:
    """The names of divisions by code."""
    return {one.pk: one.label for one in Division.objects.filter(pk__in=codes)}
