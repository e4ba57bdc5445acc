"""Two versions of a scope beside each other, and what evidence would make a scope smaller. Nothing here writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.utils.translation import gettext_lazy as _

from recalls.models import ScopeHolding, ScopeLot, ScopeVersion
from recalls.scope import Question, ScopeLine, question_of

Why = ScopeLot.Why

EVIDENCE: Mapping[ScopeLot.Why, object] = {
    Why.SOURCE: _("这个来源批次的检验报告合格，或查明问题不出在它。"),
    Why.SHARES_SOURCE: _("共同来源批次的检验报告合格，或查明问题不出在它。"),
    Why.SAME_RUN: _("查明问题只出在指定批次（例如换料、换班或清场之后），或同次加工的批次检验合格。"),
    Why.SAME_LOT: _("供货方证明问题只出在这次交货，或其余部分检验合格。"),
    Why.CLAIMED: _("供货方核对发货记录，确认或否认这批货。"),
    Why.SAME_GEAR: _("两次使用之间的清洗记录，或后一批次检验合格。"),
}
"""Per reason of a possible lot, what would take it out. A proven lot goes out by nothing but another question."""


@dataclass(frozen=True)
class Lever:
    """Possible lots that rest on one suspicion alone: the reason, the lot it starts from (row number), how many."""

    why: ScopeLot.Why
    start: int
    lots: int

    @property
    def evidence(self) -> str:
        """What would take these lots out, in words."""
        return str(EVIDENCE[self.why])


def levers(lines: Iterable[ScopeLine]) -> list[Lever]:
    """The suspicions a scope's possible lots rest on, those with most lots first."""
    found = Counter((line.why, line.path[0]) for line in lines if line.why in EVIDENCE and line.path)
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0][0].value, item[0][1]))
    return [Lever(why, start, lots) for (why, start), lots in ordered]


@dataclass(frozen=True)
class Changes:
    """What differs between two frozen versions, by row numbers: lots and holders that came in and went out, lots whose
    reason became another (before, after), and what was asked.
    """

    lots_in: list[int]
    lots_out: list[int]
    reasons: list[tuple[int, str, str]]
    holders_in: list[int]
    holders_out: list[int]
    before: Question
    after: Question
    only_amounts: bool = field(default=False)

    @property
    def named_in(self) -> list[int]:
        """Lots named now that were not."""
        return sorted(self.after.named - self.before.named)

    @property
    def named_out(self) -> list[int]:
        """Lots no longer named."""
        return sorted(self.before.named - self.after.named)


def changes(before: ScopeVersion, after: ScopeVersion) -> Changes:
    """Compare two versions of a campaign. Six queries however many lots."""
    old, new = _lots(before), _lots(after)
    held_before, held_after = _holders(before), _holders(after)
    labels = {why.value: str(why.label) for why in Why}
    reasons = [(pk, labels[old[pk]], labels[new[pk]]) for pk in sorted(old.keys() & new.keys()) if old[pk] != new[pk]]
    found = Changes(
        sorted(new.keys() - old.keys()),
        sorted(old.keys() - new.keys()),
        reasons,
        sorted(held_after - held_before),
        sorted(held_before - held_after),
        question_of(before),
        question_of(after),
    )
    same = not (found.lots_in or found.lots_out or reasons or found.holders_in or found.holders_out)
    return Changes(
        found.lots_in,
        found.lots_out,
        reasons,
        found.holders_in,
        found.holders_out,
        found.before,
        found.after,
        same and before.sha256 != after.sha256 and found.before == found.after,
    )


def _lots(version: ScopeVersion) -> dict[int, str]:
    """Row numbers of the lots with the reason each is in."""
    return dict(ScopeLot.objects.filter(scope=version).values_list("lot", "why"))


def _holders(version: ScopeVersion) -> set[int]:
    """Row numbers of everybody who has or had some."""
    return set(ScopeHolding.objects.filter(scope=version).values_list("organisation", flat=True).distinct())
