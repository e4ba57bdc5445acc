"""Amounts are exact."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trace import units
from trace.errors import Invalid
from trace.units import MICROS, BaseUnit, parse_amount

PACKS: dict[str, units.Factor] = {"瓶": 1, "箱": 6, "托盘": 300}


def code_of(text: object, unit: str = "KGM", base: str = "KGM", packs: units.Packs | None = None) -> str:
    with pytest.raises(Invalid) as caught:
        parse_amount(text, unit, base, packs)  # type: ignore[arg-type]
    assert caught.value.message
    return caught.value.code


@pytest.mark.parametrize(
    ("text", "unit", "base", "micros", "factor"),
    [
        ("1,234.5", "KGM", "KGM", 1_234_500_000, "1/1"),
        ("１，２３４．５", "千克", "KGM", 1_234_500_000, "1/1"),
        ("0.1", "KGM", "KGM", 100_000, "1/1"),
        ("3。5", "斤", "KGM", 1_750_000, "1/2"),
        ("1", "两", "KGM", 50_000, "1/20"),
        ("500", "g", "KGM", 500_000, "1/1000"),
        ("2.5", "TNE", "KGM", 2_500_000_000, "1000/1"),
        ("475", "MLT", "LTR", 475_000, "1/1000"),
        ("12", "箱", "C62", 72_000_000, "6/1"),
        ("0.5", "箱", "C62", 3_000_000, "6/1"),
        (3, "件", "C62", 3_000_000, "1/1"),
        (Decimal("1.25"), "MTQ", "MTQ", 1_250_000, "1/1"),
        ("1000000000", "KGM", "KGM", 10**15, "1/1"),
        (".5", "KGM", "KGM", 500_000, "1/1"),
        ("007.50", "KGM", "KGM", 7_500_000, "1/1"),
    ],
)
def test_typed_amounts_become_exact_millionths(
    text: str | int | Decimal, unit: str, base: str, micros: int, factor: str
) -> None:
    entered = parse_amount(text, unit, base, PACKS)
    assert entered.micros == micros
    assert entered.factor == factor
    assert units.recompute_micros(entered) == micros


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "amount_required"),
        (" \u3000", "amount_required"),
        ("abc", "amount_not_a_number"),
        ("NaN", "amount_not_a_number"),
        ("inf", "amount_not_a_number"),
        (Decimal("NaN"), "amount_not_a_number"),
        (Decimal("-Infinity"), "amount_not_a_number"),
        ("1e3", "amount_not_a_number"),
        ("1,5", "amount_not_a_number"),
        ("12,34,567", "amount_not_a_number"),
        ("1.2.3", "amount_not_a_number"),
        ("٣", "amount_not_a_number"),
        ("1\x00", "amount_not_a_number"),
        ("1\ud800", "amount_not_a_number"),
        (True, "amount_not_a_number"),
        (0.1, "amount_not_a_number"),
        (None, "amount_not_a_number"),
        ("-1", "amount_negative"),
        (-1, "amount_negative"),
        ("－1", "amount_negative"),
        ("0", "amount_zero"),
        ("0.000", "amount_zero"),
        ("0.0000001", "amount_too_precise"),
        ("0." + "0" * 60 + "1", "amount_too_precise"),
        ("1000000000.000001", "amount_too_large"),
        ("9" * 30, "amount_too_large"),
        pytest.param("9" * 1_000_000, "amount_too_large", id="megabyte"),
        pytest.param(10**5000, "amount_too_large", id="huge-int"),
        (Decimal("1e999999"), "amount_too_large"),
    ],
)
def test_what_is_no_amount_has_a_code_of_its_own(text: object, code: str) -> None:
    assert code_of(text) == code


def test_zero_is_accepted_only_where_permitted() -> None:
    assert parse_amount("0", "KGM", "KGM", allow_zero=True).micros == 0


def test_a_finer_unit_needs_fewer_decimals() -> None:
    assert parse_amount("0.001", "GRM", "KGM").micros == 1
    assert code_of("0.0001", "GRM") == "amount_too_precise"


def test_part_of_a_piece_is_refused() -> None:
    assert code_of("0.5", "C62", "C62") == "amount_not_whole"
    assert code_of("0.25", "箱", "C62", PACKS) == "amount_not_whole"


def test_an_unknown_unit_is_answered_with_the_permitted_ones() -> None:
    with pytest.raises(Invalid) as caught:
        parse_amount("1", "LTR", "KGM", PACKS)
    assert caught.value.code == "unit_unknown"
    assert caught.value.details["allowed"][0] == "KGM"
    assert "千克" in caught.value.message
    assert "箱" in caught.value.message
    assert code_of("1", "", "KGM") == "unit_unknown"
    assert code_of("1", "x" * 1_000_000, "KGM") == "unit_unknown"


def test_a_pack_of_the_product_wins_over_the_general_name() -> None:
    assert parse_amount("2", "件", "C62", {"件": 6}).micros == 12 * MICROS


def test_a_pack_may_hold_a_part_of_a_base_unit() -> None:
    entered = parse_amount("3", "袋", "KGM", {"袋": Fraction(5, 2)})
    assert (entered.micros, entered.factor) == (7_500_000, "5/2")


def test_three_times_a_tenth_is_three_tenths() -> None:
    tenth = parse_amount("0.1", "KGM", "KGM").micros
    assert 3 * tenth == parse_amount("0.3", "KGM", "KGM").micros == 300_000


@given(st.integers(1, 10**15), st.sampled_from([b for b in BaseUnit if b is not BaseUnit.C62]))
def test_every_amount_survives_being_shown_and_typed_again(micros: int, base: BaseUnit) -> None:
    for lang in "zh-hans", "en":
        number, _space, unit = units.format_amount(micros, base, lang).partition(" ")
        assert parse_amount(number, unit, base).micros == micros
    assert units.to_micros(units.decimal_text(micros)) == micros


@given(st.lists(st.decimals("0.000001", "1000", places=6), min_size=1, max_size=20))
def test_sums_of_amounts_are_the_amount_of_the_sum(parts: list[Decimal]) -> None:
    total = sum(parse_amount(part, "KGM", "KGM").micros for part in parts)
    assert total == parse_amount(sum(parts, Decimal()), "KGM", "KGM").micros


@given(
    st.decimals("0.001", "9999", places=3),
    st.sampled_from(sorted(units.UNITS)),
)
def test_the_stored_entry_reproduces_its_millionths(number: Decimal, code: str) -> None:
    unit = units.UNITS[code]
    exact = Fraction(number) * unit.factor
    assume((exact * MICROS).denominator == 1)
    assume(unit.base is not BaseUnit.C62 or exact.denominator == 1)
    entered = parse_amount(str(number), code, unit.base)
    assert entered.micros == exact * MICROS == units.recompute_micros(entered)


@given(st.text(max_size=50))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        assert parse_amount(text, "KGM", "KGM").micros > 0
    except Invalid as error:
        error.message.encode()


@pytest.mark.parametrize(
    ("micros", "base", "lang", "noun", "shown"),
    [
        (1_234_500_000, "KGM", "zh-hans", "", "1,234.5 千克"),
        (1_234_500_000, "KGM", "en", "", "1,234.5 kg"),
        (1, "LTR", "zh-hans", "", "0.000001 升"),
        (6_000_000, "C62", "zh-hans", "", "6 个"),
        (6_000_000, "C62", "zh-hans", "瓶", "6 瓶"),
        (6_000_000, "C62", "en", "瓶", "6 bottle"),
        (0, "MTQ", "en", "", "0 m³"),
        (-500_000, "KGM", "en", "", "-0.5 kg"),
        (-1_234_000_000, "KGM", "en", "", "-1,234 kg"),
    ],
)
def test_amounts_are_shown_with_separators_and_without_needless_zeros(
    micros: int, base: str, lang: str, noun: str, shown: str
) -> None:
    assert units.format_amount(micros, base, lang, noun=noun) == shown


def test_inexact_numbers_from_code_are_a_programming_error() -> None:
    assert units.to_micros("0.5") == 500_000
    with pytest.raises(ValueError, match="millionth"):
        units.to_micros(Fraction(1, 3))


def test_units_for_a_product_begin_with_its_base_unit() -> None:
    for base in BaseUnit:
        assert units.units_for(base)[0] == (base.value, 1)
    assert ("箱", 6) in units.units_for("C62", PACKS)
