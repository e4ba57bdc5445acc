"""How well a recall works, in figures: computed here alone, for the page, the reports and the API. Nothing writes.

*Recall rate* in both forms of the county forms (磐石 forms 3 and 4): recovered against planned, and against sold.
Planned is what the recall is after (made and not turned into other lots), sold is what left the maker. *退回率*
(GB/T 40993-2021, seen in excerpt): remedied with consumers and recovered from distribution, against affected.
What a seller paid for and sent back came back, so no more counts as remedied than is with consumers or unknown.
*Accounted*: destroyed or blocked and known where, against planned; what nobody knows stands apart.
"""

from __future__ import annotations

import datetime
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Count, FloatField, Func, Max, Min, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.figures import CampaignFigures, figures
from recalls.law import Duty, regime
from recalls.models import Assessment, Campaign, CheckResult, ConsumerCase, Notice, ReturnReceipt
from recalls.notice_states import NoticeStatus
from trace.models import HoldSet
from trace.packs import pack_of_level
from trace.units import MICROS


@dataclass(frozen=True)
class GoodsRates:
    """Shares of goods of one base unit, in per mille; None where there is nothing to divide by."""

    recall_of_planned: int | None
    recall_of_sold: int | None
    returned: int | None
    accounted: int | None
    unknown: int | None
    remedied_micros: int
    recovered_micros: int
    planned_micros: int
    sold_micros: int
    unknown_micros: int


@dataclass(frozen=True)
class Checks:
    """The sampled checks over all rounds: the last result per holder counts."""

    rounds: int
    sampled: int
    checked: int
    outcomes: Mapping[str, int]

    @property
    def passed(self) -> int | None:
        """Those found told and acting, per mille of those checked."""
        return per_mille(self.outcomes.get(CheckResult.Outcome.EFFECTIVE, 0), self.checked)


@dataclass(frozen=True)
class Effect:
    """The figures of one campaign. Rates are per mille, times whole seconds; None is not known (yet)."""

    holders: int
    sent: int
    acknowledged: int
    answered: int
    acknowledged_rate: int | None
    answered_rate: int | None
    trace_seconds: float | None
    start_seconds: int | None
    block_seconds: int | None
    first_notice_seconds: int | None
    median_acknowledge_seconds: int | None
    clocks: int
    breaches: int
    goods: Mapping[str, GoodsRates]
    checks: Checks

    def as_json(self) -> dict[str, Any]:
        """The form in which they are frozen with a report."""
        found = asdict(self)
        found["checks"]["passed"] = self.checks.passed
        return found

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Effect:
        """As it was frozen with a report."""
        checks = {key: value for key, value in kept["checks"].items() if key != "passed"}
        goods = {unit: GoodsRates(**one) for unit, one in kept["goods"].items()}
        return cls(**{**kept, "goods": goods, "checks": Checks(**checks)})


def percent(share: int | None) -> str | None:
    """A share in per mille as a percentage; None stays not known."""
    return None if share is None else f"{share / 10:.1f}%"


def duration(seconds: float | None) -> str | None:
    """A time in the largest units that say it; None stays not known."""
    if seconds is None:
        return None
    if seconds < 1:
        return _("不到 1 秒")
    if seconds < 120:
        return _("%(n)d 秒") % {"n": seconds}
    minutes = int(seconds) // 60
    if minutes < 120:
        return _("%(n)d 分钟") % {"n": minutes}
    hours, rest = divmod(minutes, 60)
    if hours < 72:
        return _("%(h)d 小时 %(m)d 分") % {"h": hours, "m": rest}
    return _("%(d)d 天 %(h)d 小时") % {"d": hours // 24, "h": hours % 24}


def effect(
    campaign: Campaign, numbers: CampaignFigures | None = None, *, now: datetime.datetime | None = None
) -> Effect:
    """The figures as records say now; nine queries beside those of ``figures``, whatever the number of holders."""
    moment = now or timezone.now()
    goods = _goods(campaign, numbers if numbers is not None else figures(campaign))
    standing = campaign.notices.exclude(status=NoticeStatus.WITHDRAWN)
    counts = standing.aggregate(
        holders=Count("pk"),
        sent=Count("pk", filter=Q(sent_at__isnull=False)),
        acknowledged=Count("pk", filter=Q(acknowledged_at__isnull=False)),
        answered=Count("pk", filter=Q(answered_at__isnull=False)),
        timed=Count("pk", filter=Q(sent_at__isnull=False, acknowledged_at__isnull=False)),
        first=Min("sent_at"),
    )
    first = campaign.scopes.order_by("number").values_list("trace_ms", flat=True).first()
    blocked = HoldSet.objects.filter(source=campaign.hold_source).aggregate(at=Min("active_from"))["at"]
    clocks = _duties(campaign)
    return Effect(
        holders=counts["holders"],
        sent=counts["sent"],
        acknowledged=counts["acknowledged"],
        answered=counts["answered"],
        acknowledged_rate=per_mille(counts["acknowledged"], counts["holders"]),
        answered_rate=per_mille(counts["answered"], counts["holders"]),
        trace_seconds=None if first is None else first / 1000,
        start_seconds=_since(campaign.knew_at, campaign.started_at),
        block_seconds=_since(campaign.knew_at, blocked),
        first_notice_seconds=_since(campaign.started_at, counts["first"]),
        median_acknowledge_seconds=_median(standing, counts["timed"]),
        clocks=len(clocks),
        breaches=sum((met or moment) > due for due, met in clocks),
        goods=goods,
        checks=_checks(campaign),
    )


def _duties(campaign: Campaign) -> list[tuple[datetime.datetime, datetime.datetime | None]]:
    """Until when what was due, and when it was done. The time in which a right may be used (an objection) is no duty;
    a duty under a condition (a defect that may kill or maim is reported) counts where it was done or the last
    assessment found the harm serious.
    """
    rules = {rule.id: rule for rule in regime(campaign.regime).clocks}
    last = campaign.assessments.order_by("-id").values_list("severity", flat=True).first()
    found = []
    for rule_id, due_at, met_at in campaign.clocks.filter(superseded_at=None).values_list("rule", "due_at", "met_at"):
        rule = rules.get(rule_id)
        if rule is not None and rule.kind is Duty.RIGHT:
            continue
        if rule is not None and rule.condition and met_at is None and last != Assessment.Severity.SERIOUS:
            continue
        found.append((due_at, met_at))
    return found


def _median(standing: QuerySet[Notice], count: int) -> int | None:
    """The time from sending to acknowledging in the middle of all (``count`` have both), in seconds: ordered by the
    database, of which two rows are read at most. Turning ten thousand texts into times took longer than all else on
    the board.
    """
    if not count:
        return None
    rows = standing.filter(sent_at__isnull=False, acknowledged_at__isnull=False)
    begun, ended = _Seconds("sent_at"), _Seconds("acknowledged_at")
    took = rows.order_by(ended - begun, "pk").values_list("sent_at", "acknowledged_at")
    middle = list(took[(count - 1) // 2 : count // 2 + 1])
    return int(statistics.median((got - sent).total_seconds() for sent, got in middle if sent and got))


class _Seconds(Func):
    """A moment as a number, to be subtracted and ordered by."""

    function = "julianday"
    output_field = FloatField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """As PostgreSQL says it."""
        return self.as_sql(compiler, connection, template="EXTRACT(EPOCH FROM %(expressions)s)", **context)


def kept_figures(campaign: Campaign, at: datetime.datetime) -> dict[str, Any]:
    """What is frozen with a report: the amounts and the figures of their effect."""
    numbers = figures(campaign)
    return {**numbers.as_json(), "effect": effect(campaign, numbers, now=at).as_json()}


def per_mille(part: int, whole: int) -> int | None:
    """A part in per mille, rounded down so that nearly all is never all."""
    return part * 1000 // whole if whole > 0 else None


def _since(begin: datetime.datetime | None, end: datetime.datetime | None) -> int | None:
    return None if begin is None or end is None else max(int((end - begin).total_seconds()), 0)


def _goods(campaign: Campaign, numbers: CampaignFigures) -> dict[str, GoodsRates]:
    """Per base unit."""
    lots = {one.lot.pk: one for one in numbers.lots}
    settled = ConsumerCase.objects.filter(
        campaign=campaign, kind=ConsumerCase.Kind.CLAIM, status=ConsumerCase.Status.SETTLED, lot__in=lots
    )
    remedied: Counter[str] = Counter()
    for lot, pieces in settled.values_list("lot").annotate(n=Sum("pieces")).order_by():
        size = pack_of_level(lots[lot].lot, "item") if lot is not None else None
        if lot is not None and size is not None:
            out = lots[lot].amounts.sold + lots[lot].amounts.unknown
            remedied[lots[lot].unit] += min(int(size[1] * pieces * MICROS), out)
    traded: Counter[str] = Counter()
    returns = ReturnReceipt.objects.filter(lot__in=lots, event__corrections__isnull=True)
    for lot, micros in returns.values_list("lot").annotate(n=Sum("micros")).order_by():
        traded[lots[lot].unit] += micros
    return {
        unit: GoodsRates(
            recall_of_planned=per_mille(sums.recovered, sums.due),
            recall_of_sold=per_mille(sums.recovered, sums.shipped),
            returned=per_mille(remedied[unit] + traded[unit], sums.due),
            accounted=per_mille(sums.accounted, sums.due),
            unknown=per_mille(sums.unknown, sums.due),
            remedied_micros=remedied[unit],
            recovered_micros=sums.recovered,
            planned_micros=sums.due,
            sold_micros=sums.shipped,
            unknown_micros=sums.unknown,
        )
        for unit, sums in numbers.totals.items()
    }


def _checks(campaign: Campaign) -> Checks:
    """All rounds together; a holder drawn twice is counted once, by its last result."""
    rounds = campaign.check_rounds.aggregate(
        n=Count("pk", distinct=True), sampled=Count("samples__notice", distinct=True)
    )
    last = (
        CheckResult.objects.filter(sample__round__campaign=campaign)
        .values("sample__notice")
        .annotate(last=Max("pk"))
        .values("last")
    )
    outcomes = Counter(CheckResult.objects.filter(pk__in=last).values_list("outcome", flat=True))
    return Checks(rounds["n"], rounds["sampled"], sum(outcomes.values()), dict(outcomes))
