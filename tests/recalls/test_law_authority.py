"""Who supervises: by regime, licence and place."""

import pytest

from recalls.law import Tier, competent_authority, regime, regimes
from trace.errors import Invalid
from trace.models import Organisation

FENYANG_TOWN = "141182103"


@pytest.mark.parametrize(
    ("code", "licence", "tier", "division", "copies"),
    [
        ("CN-FOOD-2015", "province", "county", "141182", []),
        ("CN-FOOD-2015", "", "county", "141182", []),
        ("CN-FOOD-2026", "province", "province", "140000", ["141182", "1411"]),
        ("CN-FOOD-2026", "prefecture", "province", "140000", ["141182", "1411"]),
        ("CN-FOOD-2026", "county", "prefecture", "141100", ["141182"]),
        ("CN-FOOD-2026", "", "county", "141182", []),
        ("CN-CONSUMER-2020", "", "province", "140000", ["1411", "141182"]),
    ],
)
def test_competence_follows_regime_and_licence(
    code: str, licence: str, tier: str, division: str, copies: list[str]
) -> None:
    authority = competent_authority(regime(code), licence, FENYANG_TOWN)
    assert (authority.tier, authority.division) == (tier, division)
    assert [copy.territory for copy in authority.copies] == copies


def test_the_county_is_told_under_the_new_food_rule_on_verified_ground() -> None:
    authority = competent_authority(regime("CN-FOOD-2026"), Tier.PROVINCE, FENYANG_TOWN)
    county = next(copy for copy in authority.copies if copy.tier is Tier.COUNTY)
    assert county.basis.verified
    assert not authority.verified


def test_every_regime_answers_for_every_licence() -> None:
    for law in regimes():
        for tier in Tier:
            authority = competent_authority(law, tier, "141182")
            told = {authority.tier} | {copy.tier for copy in authority.copies}
            assert Tier.COUNTY in told, (law.code, tier)


@pytest.mark.parametrize("code", ["14", "1411", "141100", "", "14118x", "１４１１８２", "140000"])
def test_a_place_that_does_not_reach_the_county_is_refused(code: str) -> None:
    with pytest.raises(Invalid) as caught:
        competent_authority(regime("CN-FOOD-2015"), Tier.COUNTY, code)
    assert caught.value.code == "division_too_coarse"


def test_an_unknown_tier_of_licence_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        competent_authority(regime("CN-FOOD-2015"), "village", "141182")
    assert caught.value.code == "unknown_tier"


def test_tiers_are_the_levels_of_the_regulators_on_record() -> None:
    assert {tier.value for tier in Tier} == set(Organisation.Level.values)
