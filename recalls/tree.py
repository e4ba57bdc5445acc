"""The tree of a campaign's notices: who was told by whom, tier after tier. Nothing here writes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from django.db.models import Count

from recalls.models import Campaign, Notice
from recalls.notice_states import REACHED, NoticeStatus

LISTED = 2_000


@dataclass
class Branch:
    """One notice with those its recipient passed it on to."""

    notice: Notice
    children: list[Branch] = field(default_factory=list)

    @property
    def depth(self) -> int:
        """The tier."""
        return self.notice.tier


@dataclass(frozen=True)
class Tier:
    """The counts of one tier."""

    number: int
    notices: int
    reached: int
    answered: int


def tiers(campaign: Campaign) -> list[Tier]:
    """Per tier, how many notices there are and how many were acknowledged and answered. One query."""
    rows = campaign.notices.exclude(status=NoticeStatus.WITHDRAWN).values("tier", "status").annotate(n=Count("pk"))
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    answered = campaign.notices.exclude(status=NoticeStatus.WITHDRAWN).exclude(answered_at=None)
    for tier, status, n in rows.values_list("tier", "status", "n"):
        sums[tier][0] += n
        sums[tier][1] += n if status in REACHED else 0
    for tier, n in answered.values("tier").annotate(n=Count("pk")).values_list("tier", "n"):
        sums[tier][2] += n
    return [Tier(tier, *counts) for tier, counts in sorted(sums.items())]


def branches(campaign: Campaign, *, roots: int = LISTED) -> list[Branch]:
    """The notices as trees, in the order of making, the branches with most twigs first. Two queries; at most 2,000
    notices, those passed on before the others.
    """
    rows = Notice.objects.filter(campaign=campaign).select_related("organisation__division")
    inner = list(rows.filter(parent__isnull=False).order_by("tier", "id")[:roots])
    parents = {one.parent_id for one in inner if one.parent_id is not None}
    outer = list(rows.filter(parent=None, pk__in=parents).order_by("id"))
    rest = rows.filter(parent=None).exclude(pk__in=parents).order_by("id")[: max(roots - len(inner) - len(outer), 0)]
    found = {one.pk: Branch(one) for one in [*outer, *rest, *inner]}
    tops: list[Branch] = []
    for branch in found.values():
        above = found.get(branch.notice.parent_id) if branch.notice.parent_id else None
        (above.children if above is not None else tops).append(branch)
    return tops


def flat(tops: list[Branch]) -> list[Branch]:
    """The trees in the order in which they are read."""
    found: list[Branch] = []
    stack = list(reversed(tops))
    while stack:
        branch = stack.pop()
        found.append(branch)
        stack.extend(reversed(branch.children))
    return found
