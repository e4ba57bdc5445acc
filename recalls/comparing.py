"""Two versions of a scope beside each other, and what evidence would make a scope smaller. Nothing here writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from recalls.models import ScopeLot, ScopeVersion
from recalls.parts import Extent, words_of
from recalls.scope import ScopeLine, coverage_of, pairs_of
from trace.genealogy import lots_by_pk
from trace.models import Lot, Organisation

Why = ScopeLot.Why


@dataclass(frozen=True)
class PartChange:
    """A lot both versions have, of which they cover different parts; None where a version covers all of it."""

    lot: Lot
    before: str | None
    after: str | None
    reason: str


@dataclass(frozen=True)
class Difference:
    """What the later of two versions has more and less."""

    earlier: ScopeVersion
    later: ScopeVersion
    lots_in: Sequence[Lot]
    lots_out: Sequence[Lot]
    holders_in: Sequence[Organisation]
    holders_out: Sequence[Organisation]
    kept: int
    changed: Sequence[PartChange] = ()


def compare(earlier: ScopeVersion, later: ScopeVersion) -> Difference:
    """The difference of two frozen versions; six queries."""
    covered_before, covered_after = coverage_of(earlier), coverage_of(later)
    before, after = frozenset(covered_before), frozenset(covered_after)
    other = {pk for pk in before & after if covered_before[pk] != covered_after[pk]}
    held_before = {pk for _lot, pk in pairs_of(earlier)}
    held_after = {pk for _lot, pk in pairs_of(later)}
    lots = lots_by_pk((before ^ after) | other)
    reasons = dict(later.lots.filter(lot__in=other).values_list("lot", "part")) if other else {}
    parties = {
        row.pk: row
        for row in Organisation.objects.filter(pk__in=held_before ^ held_after).select_related("division", "kept_by")
    }
    return Difference(
        earlier,
        later,
        [lots[pk] for pk in sorted(after - before)],
        [lots[pk] for pk in sorted(before - after)],
        [parties[pk] for pk in sorted(held_after - held_before)],
        [parties[pk] for pk in sorted(held_before - held_after)],
        len(before & after),
        [
            PartChange(
                lots[pk],
                _said(covered_before[pk]),
                _said(covered_after[pk]),
                reasons.get(pk, {}).get("reason", "") or _why_part(covered_after[pk]),
            )
            for pk in sorted(other)
        ],
    )


def _said(extent: Extent) -> str | None:
    """A part in words; None for all of the lot."""
    if extent.through:
        units = _("：%(units)s") % {"units": words_of(extent.ranges)} if extent.ranges else ""
        return _("经手单位手中经过的%(units)s") % {"units": units}
    return words_of(extent.ranges) if extent.ranges else None


def _why_part(extent: Extent) -> str:
    """Why the rest is free, where the part itself says it."""
    return _("原因在经手单位，没有经过它的货不受影响") if extent.through else ""


@dataclass(frozen=True)
class Shrinking:
    """One reason for which lots are only possible, how many, and which evidence would take them out."""

    why: str
    lots: int
    evidence: str


def what_would_shrink(reasons: Sequence[str]) -> list[Shrinking]:
    """For the reasons of a scope's possible lots, the evidence that would let a person leave them out, most lots first.
    Proven lots are never in it.
    """
    evidence = _evidence()
    counts = Counter(why for why in reasons if why in {one.value for one in evidence})
    return [Shrinking(str(Why(why).label), n, evidence[Why(why)]) for why, n in counts.most_common()]


def _evidence() -> dict[ScopeLot.Why, str]:
    """Per reason of a possible lot, what would take it out; a proven lot goes out by nothing but another question."""
    return {
        Why.SOURCE: _("这个来源批次的检验报告合格，或证明问题在更下游产生"),
        Why.SHARES_SOURCE: _("共同来源批次检验合格，或这些批次各自检验合格"),
        Why.SAME_RUN: _("同一次加工的留样检验合格，或能按时间、箱号分开的加工记录"),
        Why.SAME_LOT: _("供货方的装车、分仓记录，证明其余部分与问题无关"),
        Why.CLAIMED: _("供货方确认或否认这批货是它的，附发货单"),
        Why.SAME_GEAR: _("两批之间的清洗消毒记录，或清洗后的涂抹检验合格"),
    }


@dataclass(frozen=True)
class Lever:
    """Possible lots that rest on one suspicion: the reason, the lot it starts from (row number), how many, what would
    take them out.
    """

    why: ScopeLot.Why
    start: int
    lots: int
    evidence: str


def levers(lines: Iterable[ScopeLine]) -> list[Lever]:
    """The suspicions that a scope's possible lots rest on, those with most lots first."""
    evidence = _evidence()
    found = Counter((line.why, line.path[0]) for line in lines if line.why in evidence and line.path)
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0][0].value, item[0][1]))
    return [Lever(why, start, lots, evidence[why]) for (why, start), lots in ordered]
