"""Which authority supervises a recall, and who receives copies: by regime, by who licensed the firm, by where
it sits.
"""

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from recalls.law.regimes import Basis, Regime
from recalls.law.terms import Tier
from trace.errors import Invalid

DIGITS = {Tier.PROVINCE: 2, Tier.PREFECTURE: 4, Tier.COUNTY: 6}
"""How many leading digits of a division code (GB/T 2260) name the division of a tier."""


@dataclass(frozen=True, slots=True)
class CopyTo:
    """One authority that receives a copy. ``territory`` is the prefix of the division codes under it."""

    tier: Tier
    territory: str
    basis: Basis


@dataclass(frozen=True, slots=True)
class Authority:
    """The competent authority: the regulator of this ``tier`` whose territory is ``territory``, and who
    receives copies.

    ``division`` is the same territory as a full six-digit code (141100). The firm's own tier of licence is
    kept for the page.
    """

    tier: Tier
    territory: str
    basis: Basis
    licence_tier: Tier
    copies: tuple[CopyTo, ...]

    @property
    def division(self) -> str:
        """The territory as a six-digit division code."""
        return self.territory.ljust(6, "0")

    @property
    def verified(self) -> bool:
        """Whether the rule of competence was checked against the official text."""
        return self.basis.verified


def competent_authority(regime: Regime, licence_tier: Tier | str, division: str) -> Authority:
    """The authority for a firm licensed by ``licence_tier`` (``""``: no licence) in ``division`` (code of 6
    to 12 digits).

    Refuses a code that does not reach down to the county (Invalid ``division_too_coarse``), since the county
    must be told in every case, and a tier that does not exist (Invalid ``unknown_tier``).
    """
    try:
        licensed_by = Tier(licence_tier)
    except ValueError:
        raise Invalid(_("发证级别不明，请选择省级、市级、县级或无许可证。"), code="unknown_tier") from None
    # str.isdigit also accepts full-width and other scripts' digits, which no division code has.
    if not (division.isascii() and division.isdigit()) or len(division) < 6 or division[4:6] == "00":
        raise Invalid(_("行政区划代码须到县级（六位），请在单位资料中补全所在地。"), code="division_too_coarse")
    rule = next(rule for rule in regime.authorities if licensed_by in rule.licence_tiers)
    return Authority(
        tier=rule.competent,
        territory=division[: DIGITS[rule.competent]],
        basis=rule.basis,
        licence_tier=licensed_by,
        copies=tuple(CopyTo(copy.tier, division[: DIGITS[copy.tier]], copy.basis) for copy in rule.copies),
    )
