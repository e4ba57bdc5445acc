"""The mass balance of each recalled lot: made = in hand + used + sold + samples + loss + destroyed + released
+ unknown.

Nothing here writes. ``recalls.figures`` says where the goods are and what took those that are gone; this module says
what does not add up.
"""

from __future__ import annotations

from dataclasses import dataclass

from recalls.figures import Amounts, CampaignFigures
from trace.models import Lot


@dataclass(frozen=True)
class Balance:
    """The balance of one lot in millionths of its base unit. ``shipped`` and ``recovered`` are passages, not places:
    what left the maker is with holders, sold or unknown, what came back is in hand or destroyed.
    """

    lot: Lot
    unit: str
    amounts: Amounts
    explained: str = ""

    @property
    def accounted(self) -> int:
        """The right side of the balance."""
        one = self.amounts
        kept = one.on_hand + one.released + one.destroyed + one.unknown
        return one.used + one.sold + one.samples + one.loss + kept

    @property
    def difference(self) -> int:
        """Made less accounted: what no line explains (negative: more was found than made)."""
        return self.amounts.made - self.accounted

    @property
    def balanced(self) -> bool:
        """Whether both sides are the same and nothing was answered beyond what records allow."""
        return self.difference == 0 and self.amounts.excess == 0


def balances(numbers: CampaignFigures, notes: dict[int, str] | None = None) -> list[Balance]:
    """One balance a lot; no query."""
    words = notes or {}
    return [Balance(one.lot, one.unit, one.amounts, words.get(one.lot.pk, "")) for one in numbers.lots]
