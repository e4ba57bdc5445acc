"""The judge, without a database: what it says must be true of every value a result may stand for."""

import datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace.judging import DECLARED, Result, Rule, applies_at, judge, number, overall, unit_factor

NUMBERS = st.integers(0, 2000).map(lambda n: f"{n // 1000}.{n % 1000:03d}")
OPERATORS = st.sampled_from(["<=", ">="])


def ruled(result: Result, *rules: Rule, strength: str = "") -> tuple[str, str]:
    found = judge(result, rules, strength=Fraction(strength) if strength else None)
    return found.verdict, found.reason


def keeps(value: Fraction, operator: str, limit: str) -> bool:
    return value <= Fraction(limit) if operator == "<=" else value >= Fraction(limit)


@given(NUMBERS, OPERATORS, NUMBERS)
def test_a_measured_value_is_compared_exactly(value: str, operator: str, limit: str) -> None:
    expected = "pass" if keeps(Fraction(value), operator, limit) else "fail"
    assert ruled(Result("=", value), Rule(operator, limit)) == (expected, "")


@given(NUMBERS, OPERATORS, NUMBERS, st.sampled_from(["<", "nd"]), st.integers(0, 999))
def test_what_was_not_found_is_judged_only_where_every_possible_value_agrees(
    loq: str, operator: str, limit: str, how: str, share: int
) -> None:
    verdict, _reason = ruled(Result(how, loq if how == "<" else "", loq), Rule(operator, limit))
    possible = Fraction(loq) * share / 1000
    if Fraction(loq) and verdict != "not_judged":
        assert keeps(possible, operator, limit) is (verdict == "pass")


@given(NUMBERS, NUMBERS, NUMBERS)
def test_the_stricter_limit_decides_in_either_order(value: str, law: str, own: str) -> None:
    rules = [Rule("<=", law), Rule("<=", own, kind=DECLARED)]
    found = judge(Result("=", value), rules)
    assert found == judge(Result("=", value), rules[::-1])
    assert found.verdict == ("pass" if Fraction(value) <= min(Fraction(law), Fraction(own)) else "fail")
    assert found.rule is not None
    assert Fraction(found.rule.value) == min(Fraction(law), Fraction(own))
    assert found.rule.kind == ("declared" if Fraction(own) < Fraction(law) else "catalogue")


def test_the_stricter_limit_is_found_across_units() -> None:
    law, own = Rule("<=", "0.02", "mg/kg"), Rule("<=", "5", "µg/kg", kind=DECLARED)
    for rules in ([law, own], [own, law]):
        assert judge(Result("=", "10", unit="µg/kg"), rules).rule == own
        assert ruled(Result("=", "0.010", unit="mg/kg"), *rules) == ("fail", "")
        assert ruled(Result("=", "5", unit="µg/kg"), *rules) == ("pass", "")


@given(NUMBERS, st.integers(1, 100), NUMBERS)
def test_conversion_to_pure_alcohol_never_rounds(value: str, strength: int, limit: str) -> None:
    rule = Rule("<=", limit, "g/L", at_100_vol=True)
    exact = Fraction(value) * 100 / strength
    expected = "pass" if exact <= Fraction(limit) else "fail"
    assert ruled(Result("=", value, unit="g/L"), rule, strength=str(strength)) == (expected, "")


def test_forty_two_percent_with_point_three_fails_where_fifty_three_passes() -> None:
    rule = Rule("<=", "0.6", "g/L", at_100_vol=True)
    assert ruled(Result("=", "0.30", unit="g/L"), rule, strength="42") == ("fail", "")
    assert ruled(Result("=", "0.30", unit="g/L"), rule, strength="53") == ("pass", "")
    assert ruled(Result("=", "0.252", unit="g/L"), rule, strength="42") == ("pass", "")
    assert ruled(Result("=", "0.252001", unit="g/L"), rule, strength="42") == ("fail", "")
    assert ruled(Result("=", "0.30", unit="g/L"), rule) == ("not_judged", "strength_unknown")


def test_not_detected_is_not_zero() -> None:
    rule = Rule("<=", "0.5")
    assert ruled(Result("nd", loq="0.025"), rule) == ("pass", "")
    assert ruled(Result("nd", loq="0.6"), rule) == ("not_judged", "loq_too_high")
    assert ruled(Result("nd"), rule) == ("not_judged", "loq_unknown")
    assert ruled(Result("nd", loq="0.025"), Rule(">=", "0.5")) == ("fail", "")
    assert ruled(Result("nd", loq="0.025"), Rule(">=", "0")) == ("pass", "")


def test_without_a_limit_nothing_is_judged() -> None:
    assert ruled(Result("=", "1")) == ("not_judged", "no_limit")
    assert ruled(Result("=", "1"), Rule("<=", "")) == ("not_judged", "limit_unknown")
    assert ruled(Result("=", "9"), Rule("between", "8.0~年平均含水率")) == ("not_judged", "limit_unknown")
    assert judge(Result("=", "1"), [], why_none="no_edition").reason == "no_edition"


def test_a_range_has_two_sides() -> None:
    rule = Rule("between", "52~54", "%vol")
    assert [ruled(Result("=", value, unit="%vol"), rule)[0] for value in ("51.9", "52", "54", "54.1")] == [
        "fail",
        "pass",
        "pass",
        "fail",
    ]


def test_units_are_converted_where_they_fit_and_refused_where_not() -> None:
    assert ruled(Result("=", "0.0072", unit="mg/kg"), Rule("<=", "5.0", "ug/kg")) == ("fail", "")
    assert ruled(Result("=", "4.9", unit="μg/kg"), Rule("<=", "5.0", "ug/kg")) == ("pass", "")
    assert ruled(Result("=", "4.9", unit="mg/L"), Rule("<=", "5.0", "ug/kg")) == ("not_judged", "unit_differs")
    assert ruled(Result("=", "4.9"), Rule("<=", "5.0", "ug/kg")) == ("not_judged", "unit_differs")
    assert unit_factor("mg/L", "g/L") == Fraction(1, 1000)
    assert unit_factor("mg/100mL", "g/L") == Fraction(1, 100)


@pytest.mark.parametrize(
    ("condition", "day", "holds"),
    [
        ("", "2030-01-01", True),
        ("<=1y", "2025-06-01", True),
        ("<=1y", "2025-06-02", False),
        (">1y", "2025-06-02", True),
        (">1y", "2025-06-01", False),
        ("sometimes", "2025-01-01", False),
    ],
)
def test_a_year_ends_on_its_matching_day(condition: str, day: str, holds: bool) -> None:
    assert applies_at(condition, datetime.date(2024, 6, 1), datetime.date.fromisoformat(day)) is holds


@given(st.dates(datetime.date(2000, 1, 1), datetime.date(2040, 1, 1)), st.integers(0, 3000))
def test_exactly_one_of_the_two_limits_of_a_lot_age_holds(produced: datetime.date, days: int) -> None:
    tested = produced + datetime.timedelta(days=days)
    assert applies_at("<=1y", produced, tested) is not applies_at(">1y", produced, tested)


def test_a_number_that_cannot_be_written_out_is_none() -> None:
    assert [number(text) for text in ("1e-99999999", "0e-99999999", "1e10", "1" * 101, "NaN")] == [None] * 5
    assert number("1e-9") == Fraction(1, 10**9)


def test_what_must_be_absent_fails_as_soon_as_any_is_found() -> None:
    rule = Rule("absent", "0")
    assert ruled(Result("=", "0.001", unit="g/kg"), rule) == ("fail", "")
    assert (
        ruled(Result("nd"), rule) == ruled(Result("<", "0.01"), rule) == ruled(Result("=", "0"), rule) == ("pass", "")
    )
    assert ruled(Result("=", "some"), rule) == ("not_judged", "not_a_number")


def test_one_failure_fails_the_report() -> None:
    assert overall(["pass", "not_judged", "fail"]) == "fail"
    assert overall(["pass", "not_judged"]) == "pass"
    assert overall(["not_judged"]) == overall([]) == "not_judged"
