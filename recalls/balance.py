"""The mass balance of each recalled lot: made = in hand + used + sold + samples + loss + destroyed + released
+ unknown.

Nothing here writes. ``recalls.figures`` says where the goods are; this module splits what is gone by the events that
took it (samples; losses, which are destructions outside the recall; sales to consumers) and says what does not add up.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from django.db.models import Sum

from recalls.figures import Amounts, CampaignFigures
from recalls.models import Disposal
from trace.event_templates import template
from trace.models import EventItem, Lot


@dataclass(frozen=True)
class Balance:
    """The balance of one lot in millionths of its base unit. ``shipped`` and ``recovered`` are passages, not places:
    what left the maker is with holders, sold or unknown, what came back is in hand or destroyed.
    """

    lot: Lot
    unit: str
    amounts: Amounts
    samples: int
    loss: int
    explained: str = ""

    @property
    def sold(self) -> int:
        """To consumers or onwards, neither sampled nor lost."""
        return max(self.amounts.sold - self.samples - self.loss, 0)

    @property
    def accounted(self) -> int:
        """The right side of the balance."""
        one = self.amounts
        kept = one.on_hand + one.released + one.destroyed + one.unknown
        return one.used + self.sold + self.samples + self.loss + kept

    @property
    def difference(self) -> int:
        """Made less accounted: what no line explains (negative: more was found than made)."""
        return self.amounts.made - self.accounted

    @property
    def balanced(self) -> bool:
        """Whether both sides are the same and nothing was answered beyond what records allow."""
        return self.difference == 0 and self.amounts.excess == 0


def balances(numbers: CampaignFigures, notes: dict[int, str] | None = None) -> list[Balance]:
    """One balance a lot; two queries more than the figures."""
    ids = [one.lot.pk for one in numbers.lots]
    gone: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    rows = EventItem.objects.filter(lot__in=ids, micros__lt=0, event__corrections__isnull=True).exclude(role="input")
    grouped = rows.values("lot", "event__template", "holder").annotate(n=Sum("micros"))
    for lot, code, holder, micros in grouped.values_list("lot", "event__template", "holder", "n"):
        if lot is not None and (lot not in numbers.parties or holder in numbers.parties[lot]):
            gone[lot][template(code).moves] -= micros
    disposed = Disposal.objects.filter(lot__in=ids, event__corrections__isnull=True)
    for lot, micros in disposed.values("lot").annotate(n=Sum("micros")).values_list("lot", "n"):
        gone[lot]["destroy"] -= micros
    words = notes or {}
    return [
        Balance(
            one.lot,
            one.unit,
            one.amounts,
            samples := min(gone[one.lot.pk]["sample"], one.amounts.sold),
            max(min(gone[one.lot.pk]["destroy"], one.amounts.sold - samples), 0),
            words.get(one.lot.pk, ""),
        )
        for one in numbers.lots
    ]
