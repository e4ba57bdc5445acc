"""Age of blends: the pure rules against an oracle that walks every path, and what pages say."""

from __future__ import annotations

import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.goods import amount, day, make_lot, turn_into
from tests.world import World, make_place, make_product, sign_in
from trace.actions.capture import NewLot
from trace.actions.events import Portion, When, record_event
from trace.ages import Part, Spirit, ageing, strength, years
from trace.models import Lot, Product
from trace.spirits import age_of

DAY = datetime.date(2020, 1, 1)


@st.composite
def cellars(draw: st.DrawFn) -> dict[int, Spirit]:
    """Lots of which each is made of earlier ones: fresh spirit, water, vats and blends."""
    found: dict[int, Spirit] = {}
    for lot in range(draw(st.integers(2, 9))):
        earlier = draw(st.lists(st.integers(0, lot - 1), unique=True, max_size=3)) if lot else []
        parts = [Part(pk, Decimal(draw(st.integers(1, 500)))) for pk in earlier]
        vatted = draw(st.booleans())
        found[lot] = Spirit(
            entered_on=DAY + datetime.timedelta(days=draw(st.integers(0, 4000))) if vatted else None,
            abv=Decimal(draw(st.integers(300, 700))) / 10 if draw(st.booleans()) or not parts else None,
            water=not parts and draw(st.integers(0, 3)) == 0,
            parts=parts,
        )
    return found


def _abv(spirits: dict[int, Spirit], lot: int) -> Fraction:
    """The strength by recursion, exactly."""
    spirit = spirits[lot]
    if spirit.water:
        return Fraction()
    if spirit.abv is not None:
        return Fraction(spirit.abv)
    litres = sum(Fraction(part.litres) for part in spirit.parts)
    return sum((Fraction(part.litres) * _abv(spirits, part.lot) for part in spirit.parts), Fraction()) / litres


class Unknown(Exception):
    """A drop whose age nobody knows."""


def _drops(spirits: dict[int, Spirit], lot: int) -> list[tuple[Fraction, int | None]]:
    """Every path up from a lot: its share of the alcohol and the day its spirit was first vatted (None: never)."""
    spirit = spirits[lot]
    if spirit.water:
        return []
    weights = [(Fraction(part.litres) * _abv(spirits, part.lot), part.lot) for part in spirit.parts]
    total = sum((weight for weight, _lot in weights), Fraction())
    found: list[tuple[Fraction, int | None]] = []
    for weight, up in weights:
        for share, entered in _drops(spirits, up) if weight else []:
            found.append((weight / total * share, entered))
    if not found:
        found = [(Fraction(1), None)]
    own = spirit.entered_on.toordinal() if spirit.entered_on is not None else None
    return [(share, own if entered is None else entered) for share, entered in found]


@settings(max_examples=100, deadline=None)
@given(cellars())
def test_ages_equal_those_of_an_oracle_that_walks_every_path(spirits: dict[int, Spirit]) -> None:
    lot = max(spirits)
    found = ageing(spirits, lot)
    drops = _drops(spirits, lot)
    if spirits[lot].water:
        assert found.problem == "no_spirit"
    elif any(entered is None for _share, entered in drops):
        assert found.problem in ("no_entry", "no_spirit")
        assert found.average is None
    else:
        assert found.youngest is not None
        assert found.youngest.toordinal() == max(entered or 0 for _share, entered in drops)
        assert found.average is not None
        exact = sum((share * (entered or 0) for share, entered in drops), Fraction())
        assert abs(Fraction(found.average) - exact) < Fraction(1, 10**12)
        assert found.average <= found.youngest.toordinal() + Decimal("1e-20")


def test_average_is_weighted_by_pure_alcohol_and_not_by_litres() -> None:
    old, new = DAY, DAY + datetime.timedelta(days=1000)
    spirits = {
        1: Spirit(entered_on=old, abv=Decimal(60)),
        2: Spirit(entered_on=new, abv=Decimal(20)),
        3: Spirit(water=True),
        4: Spirit(parts=[Part(1, Decimal(100)), Part(2, Decimal(100)), Part(3, Decimal(500))]),
    }
    found = ageing(spirits, 4)
    assert found.youngest == new
    assert found.average == Decimal(old.toordinal()) + 250


def test_spirit_moved_to_another_vat_keeps_its_day_and_fresh_spirit_starts_there() -> None:
    spirits = {
        1: Spirit(abv=Decimal(65)),
        2: Spirit(entered_on=DAY, abv=Decimal(65), parts=[Part(1, Decimal(50))]),
        3: Spirit(
            entered_on=DAY + datetime.timedelta(days=400),
            abv=Decimal(65),
            parts=[Part(2, Decimal(50)), Part(1, Decimal(50))],
        ),
    }
    found = ageing(spirits, 3)
    assert found.youngest == DAY + datetime.timedelta(days=400)
    assert found.average == Decimal(DAY.toordinal()) + 200


def test_missing_strength_leaves_the_youngest_and_names_the_lot() -> None:
    spirits = {
        1: Spirit(entered_on=DAY),
        2: Spirit(entered_on=DAY - datetime.timedelta(days=9), abv=Decimal(60)),
        3: Spirit(parts=[Part(1, Decimal(1)), Part(2, Decimal(1))]),
    }
    found = ageing(spirits, 3)
    assert (found.youngest, found.average, found.problem, found.at_fault) == (DAY, None, "no_abv", 1)


def test_spirit_that_was_never_vatted_makes_the_whole_blend_ageless() -> None:
    spirits = {
        1: Spirit(abv=Decimal(95)),
        2: Spirit(entered_on=DAY, abv=Decimal(60)),
        3: Spirit(parts=[Part(2, Decimal(1000)), Part(1, Decimal(1))]),
        4: Spirit(parts=[Part(3, Decimal(5))]),
    }
    found = ageing(spirits, 4)
    assert (found.youngest, found.average, found.problem, found.at_fault) == (None, None, "no_entry", 1)


def test_cycle_ends_and_is_a_problem() -> None:
    spirits = {1: Spirit(parts=[Part(2, Decimal(1))]), 2: Spirit(parts=[Part(1, Decimal(1))])}
    assert ageing(spirits, 1).problem == "cycle"


def test_no_age_is_rounded_up() -> None:
    assert years(DAY, DAY + datetime.timedelta(days=365)) == Decimal("0.9")
    assert years(DAY, DAY + datetime.timedelta(days=366)) == Decimal("1.0")
    assert years(DAY, DAY - datetime.timedelta(days=9)) == 0


def test_strength_of_a_mixture_is_by_litres() -> None:
    assert strength([(Decimal(1), Decimal(60)), (Decimal(3), Decimal(20))]) == 30
    assert strength([(Decimal(1), Decimal(60)), (Decimal(3), None)]) is None


# --- With events ----------------------------------------------------------------------------------------------------


def _product(world: World, code: str, unit: str = "LTR", **more: Any) -> Product:
    more.setdefault("family", "baijiu_light_aroma")
    return make_product(world.distillery.organisation, code, f"示例{code}", base_unit=unit, **more)


def _vat(world: World, product: Product, litres: str, when: When, abv: str) -> Lot:
    raw = make_lot(world.distillery, product, litres, when=day(-2000))
    place = make_place(world.distillery.organisation, kind="vessel")
    return record_event(
        by=world.distillery,
        code="baijiu.vat",
        when=when,
        data={"vessel": str(place.uid), "entry_date": when.at.date().isoformat(), "abv": abv},
        inputs=[Portion(raw, amount(litres, product))],
        outputs=[NewLot(product=product, amount=amount(litres, product))],
    ).lots[0]


@pytest.fixture
def bottles(world: World) -> Lot:
    """Bottles of two vats of 730 and 365 days, and water."""
    base = _product(world, "JJ", kind="intermediate")
    water = _product(world, "SHUI", kind="raw", material="water")
    glass = _product(world, "PZ", "C62", kind="packaging")
    finished = _product(world, "QX", "C62", net_content="500 mL")
    old, new = _vat(world, base, "300", day(-730), "60"), _vat(world, base, "100", day(-365), "60")
    wet, empty = make_lot(world.distillery, water, "100", when=day(-10)), make_lot(world.distillery, glass, "900")
    parts = [{"lot": str(lot.uid), "litres": litres, "abv": "60"} for lot, litres in ((old, "300"), (new, "100"))]
    blend = record_event(
        by=world.distillery,
        code="baijiu.blend",
        when=day(-1),
        data={"parts": parts, "output_abv": "53"},
        inputs=[Portion(lot, amount(text, base)) for lot, text in ((old, "300"), (new, "100"), (wet, "50"))],
        outputs=[NewLot(product=base, amount=amount("450", base))],
    ).lots[0]
    return turn_into(world.distillery, [(blend, "400"), (empty, "800")], [(finished, "800")], when=day(1))[0]


def test_bottle_has_both_ages_of_its_vats(world: World, bottles: Lot) -> None:
    age = age_of(bottles)
    assert (age.applies, age.youngest, age.average, age.problem) == (True, Decimal("1.0"), Decimal("1.7"), "")


def test_ages_are_on_the_lots_page_and_on_the_scanned_page_with_their_method(
    world: World, bottles: Lot, client: Client
) -> None:
    sign_in(client, world.distillery)
    page = client.get(f"/lots/{bottles.uid}/").content.decode()
    assert "最短酒龄" in page
    assert "1.0 年" in page
    assert "1.7 年" in page
    scanned = Client().get(f"/c/{bottles.public_code}").content.decode()
    assert "最短 1.0 年；按纯酒精量加权平均 1.7 年" in scanned
    assert "从各组分首次入坛" in scanned


def test_age_costs_the_same_number_of_queries_whatever_was_blended(world: World, bottles: Lot) -> None:
    def queries(lot: Lot) -> int:
        fresh = Lot.objects.select_related("product", "product_version", "origin_event").get(pk=lot.pk)
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert age_of(fresh).applies
        return len(seen)

    base = Product.objects.get(code="JJ")
    vats = [_vat(world, base, "10", day(-100 - number), "60") for number in range(12)]
    (many,) = turn_into(world.distillery, [(vat, "10") for vat in vats], [(base, "120")], when=day(2))
    assert queries(many) == queries(bottles)


def test_walnuts_have_no_age(world: World) -> None:
    assert not age_of(make_lot(world.walnuts, world.kernels, "1")).applies


def test_spirit_without_a_vat_says_what_is_missing(world: World) -> None:
    base = _product(world, "JJ", kind="intermediate")
    vat, fresh = _vat(world, base, "100", day(-50), "60"), make_lot(world.distillery, base, "5", when=day(-9))
    (mixed,) = turn_into(world.distillery, [(vat, "100"), (fresh, "5")], [(base, "105")])
    age = age_of(mixed)
    assert (age.youngest, age.average) == (None, None)
    assert fresh.code in age.problem
    assert fresh.code not in age.reason
