"""The judge: one measured result against the limits that hold for it. Pure; it knows no lots and no catalogue.

What it says is true of every value the result may stand for: 未检出 and "less than" stand for anything below their
limit of quantification, never for zero. Where that does not settle the matter, where no limit is known or the units
do not fit, the answer is "not judged" with the reason. Numbers are exact: 0.30 g/L at 42 %vol is 0.714… at 100 %vol.
"""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

PASS, FAIL, NOT_JUDGED = "pass", "fail", "not_judged"

NO_LIMIT = "no_limit"
LIMIT_UNKNOWN = "limit_unknown"
NO_EDITION = "no_edition"
GRADE_UNKNOWN = "grade_unknown"
OTHER_AGE = "other_age"
UNIT_DIFFERS = "unit_differs"
LOQ_UNKNOWN = "loq_unknown"
LOQ_TOO_HIGH = "loq_too_high"
STRENGTH_UNKNOWN = "strength_unknown"
CONVERTED = "converted"
NOT_A_NUMBER = "not_a_number"

ABSENT = "absent"
CATALOGUE, DECLARED, REPORT = "catalogue", "declared", "report"
_ORDER = {CATALOGUE: 0, DECLARED: 1, REPORT: 2}
"""Of equal limits the law's is named first."""


@dataclass(frozen=True)
class Rule:
    """One limit as it is written: ``operator`` is ``<=``, ``>=``, ``between`` (then ``value`` is ``a~b``) or ``absent``
    (不得检出: nothing of it may be found).

    ``at_100_vol``: stated for pure alcohol, so that the result is converted first. ``kind`` is whose limit it is, the
    rest says which one.
    """

    operator: str
    value: str
    unit: str = ""
    at_100_vol: bool = False
    kind: str = CATALOGUE
    source: str = ""
    verified: bool = False
    basis: str = ""
    applies: str = ""
    method: str = ""
    limit: int | None = None
    version: int = 0


@dataclass(frozen=True)
class Result:
    """One result as a laboratory gives it: ``=`` and ``<`` with ``value``, ``nd`` (未检出) with ``loq`` or without."""

    operator: str
    value: str = ""
    loq: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Judgement:
    """The verdict, why there is none, and the rule that decided (or would have)."""

    verdict: str
    reason: str = ""
    rule: Rule | None = None


def number(text: str) -> Fraction | None:
    """The exact number a decimal text stands for, or None where it is none, beyond 10⁹ or finer than 10⁻⁴⁰ (written
    out, 1e-99999999 would take a hundred million digits).
    """
    try:
        found = Decimal(text.strip()) if len(text) <= LONGEST else None
    except InvalidOperation:
        return None
    if found is None or not found.is_finite() or abs(found) > 10**9:
        return None
    exponent = found.as_tuple().exponent
    return Fraction(found) if isinstance(exponent, int) and exponent >= -FINEST else None


LONGEST, FINEST = 100, 40
"""Characters of a number, and digits behind its point."""

_UNITS: dict[str, tuple[str, Fraction]] = {
    "g/kg": ("mass", Fraction(1, 1000)),
    "mg/g": ("mass", Fraction(1, 1000)),
    "mg/kg": ("mass", Fraction(1, 10**6)),
    "ug/g": ("mass", Fraction(1, 10**6)),
    "ug/kg": ("mass", Fraction(1, 10**9)),
    "ng/g": ("mass", Fraction(1, 10**9)),
    "%": ("mass", Fraction(1, 100)),
    "g/100g": ("mass", Fraction(1, 100)),
    "g/l": ("volume", Fraction(1)),
    "mg/ml": ("volume", Fraction(1)),
    "mg/l": ("volume", Fraction(1, 1000)),
    "ug/ml": ("volume", Fraction(1, 1000)),
    "ug/l": ("volume", Fraction(1, 10**6)),
    "g/100ml": ("volume", Fraction(10)),
    "mg/100ml": ("volume", Fraction(1, 100)),
    "mg/100g": ("mass", Fraction(1, 10**5)),
    "mm": ("length", Fraction(1)),
    "mmt": ("length", Fraction(1)),
    "g": ("weight", Fraction(1)),
    "grm": ("weight", Fraction(1)),
}


def _unit(text: str) -> tuple[str, Fraction]:
    """What a unit measures and its factor; an unknown one only fits itself."""
    plain = text.strip().lower().replace("μ", "u").replace("µ", "u").replace("％", "%").replace("³", "3")
    return _UNITS.get(plain, (plain, Fraction(1)))


def unit_factor(measured: str, limit: str) -> Fraction | None:
    """By what a result is multiplied to stand in the limit's unit; None where the two measure different things."""
    here, there = _unit(measured), _unit(limit)
    return here[1] / there[1] if here[0] == there[0] else None


def is_amount(unit: str) -> bool:
    """Whether a unit counts how much of something there is, of which there is never less than nothing."""
    return _unit(unit)[0] in {kind for kind, _factor in _UNITS.values()} or _unit(unit)[0].startswith("%vol")


_APPLIES = re.compile(r"(<=|>=|<|>)\s*(\d{1,3})y")


def applies_at(condition: str, produced_on: datetime.date, tested_on: datetime.date) -> bool:
    """Whether a condition on the lot's age (``<=1y``, ``>1y``; empty is always) holds on the day of the test.

    A year ends on the matching day of a later year, or the month's last where it has none. A condition that is not
    understood does not hold: better no verdict than a wrong one.
    """
    if not condition.strip():
        return True
    found = _APPLIES.fullmatch(condition.strip())
    if found is None:
        return False
    end = _years_later(produced_on, int(found[2]))
    return {"<=": tested_on <= end, "<": tested_on < end, ">": tested_on > end, ">=": tested_on >= end}[found[1]]


def _years_later(day: datetime.date, years: int) -> datetime.date:
    year = min(day.year + years, datetime.MAXYEAR)
    return day.replace(year=year, day=min(day.day, calendar.monthrange(year, day.month)[1]))


@dataclass(frozen=True)
class _Bound:
    """One side of a rule, in its own unit."""

    upper: bool
    at: Fraction
    rule: Rule


def _bounds(rule: Rule) -> list[_Bound]:
    """The sides of a rule; none where its numbers are unknown."""
    if rule.operator == "between":
        low, _tilde, high = rule.value.partition("~")
        ends = [(False, number(low)), (True, number(high))]
        if None in (ends[0][1], ends[1][1]):
            return []
    elif rule.operator in ("<=", ">="):
        ends = [(rule.operator == "<=", number(rule.value))]
    else:
        return []
    return [_Bound(upper, at, rule) for upper, at in ends if at is not None]


def judge(result: Result, rules: Sequence[Rule], *, strength: Fraction | None = None, why_none: str = "") -> Judgement:
    """Whether the result keeps every one of these limits; the stricter one decides and is named.

    ``strength`` is the alcohol by volume of the tested goods in percent, for limits stated at 100 %vol. ``why_none`` is
    the reason given where there is no limit at all.
    """
    bounds = [bound for rule in rules for bound in _bounds(rule)]
    found = [_found(result, rule) for rule in rules if rule.operator == ABSENT]
    if not bounds and not found:
        named = next(iter(rules), None)
        return Judgement(NOT_JUDGED, why_none or (LIMIT_UNKNOWN if named else NO_LIMIT), named)
    judged = found + [_against(result, bound, strength) for bound in _strictest(bounds)]
    return min(judged, key=lambda each: (FAIL, NOT_JUDGED, PASS).index(each.verdict))


def _found(result: Result, rule: Rule) -> Judgement:
    """Something that must not be found at all: what lies below its limit of quantification was not."""
    if result.operator in ("<", "nd"):
        return Judgement(PASS, "", rule)
    value = number(result.value)
    if value is None:
        return Judgement(NOT_JUDGED, NOT_A_NUMBER, rule)
    return Judgement(FAIL if value else PASS, "", rule)


def _strictest(bounds: Sequence[_Bound]) -> list[_Bound]:
    """The lowest upper and the highest lower bound; bounds in units that do not fit each other stay side by side."""
    kept: dict[tuple[bool, str, bool], tuple[tuple[Fraction, int], _Bound]] = {}
    for bound in bounds:
        kind, factor = _unit(bound.rule.unit)
        key = (bound.upper, kind, bound.rule.at_100_vol)
        rank = ((1 if bound.upper else -1) * bound.at * factor, _ORDER.get(bound.rule.kind, 9))
        if key not in kept or rank < kept[key][0]:
            kept[key] = (rank, bound)
    return [bound for _rank, bound in kept.values()]


def _against(result: Result, bound: _Bound, strength: Fraction | None) -> Judgement:
    """One side of one rule."""
    rule = bound.rule

    def not_judged(reason: str) -> Judgement:
        return Judgement(NOT_JUDGED, reason, rule)

    factor = unit_factor(result.unit, rule.unit)
    if factor is None:
        return not_judged(UNIT_DIFFERS)
    if rule.at_100_vol:
        if strength is None or not 0 < strength <= 100:
            return not_judged(STRENGTH_UNKNOWN)
        factor = factor * 100 / strength
    below = result.operator in ("<", "nd")
    text = (result.loq or result.value) if result.operator == "nd" else result.value
    if below and not text:
        return not_judged(LOQ_UNKNOWN)
    value = number(text)
    if value is None:
        return not_judged(NOT_A_NUMBER)
    value *= factor
    if not below:
        kept = value <= bound.at if bound.upper else value >= bound.at
        return Judgement(PASS if kept else FAIL, "", rule)
    # Anything from zero up to (not including) the limit of quantification may be true.
    if bound.upper:
        return Judgement(PASS, "", rule) if value <= bound.at else not_judged(LOQ_TOO_HIGH)
    if bound.at <= 0:
        return Judgement(PASS, "", rule)
    return Judgement(FAIL, "", rule) if value <= bound.at else not_judged(LOQ_TOO_HIGH)


def overall(verdicts: Sequence[str]) -> str:
    """A report fails if any item fails, passes if some item passes and none fails, else it is not judged."""
    if FAIL in verdicts:
        return FAIL
    return PASS if PASS in verdicts else NOT_JUDGED
