"""Age and strength of spirits from the genealogy. Pure: plain facts in, numbers or the reason why there are none out.

Age. A spirit ages from the day it was first put into a vat; what is moved to another vat keeps its day, fresh spirit
poured in with it starts there. A mixture has the *youngest* of its parts' ages and the *average* of them, weighted by
litres
of pure alcohol (litres × %vol). Water counts for nothing. No rule binds the trade to one of the two, so both are
shown with
the method (domain study 2.1).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

DAYS_PER_YEAR = Decimal("365.25")


@dataclass(frozen=True)
class Part:
    """An amount of one lot that went into another: row number and litres."""

    lot: int
    litres: Decimal


@dataclass(frozen=True)
class Spirit:
    """What is known of one lot for its age.

    ``entered_on`` is the day it was put into a vat (None where it was not); ``abv`` %vol, None unknown; ``water`` has
    no
    alcohol; ``parts`` are the lots it was made of, goods that are no liquid left out.
    """

    entered_on: datetime.date | None = None
    abv: Decimal | None = None
    water: bool = False
    parts: Sequence[Part] = ()


@dataclass(frozen=True)
class Ageing:
    """From when a lot's spirit has aged: the latest day, the weighted average (as an ordinal), or which lot is missing
    what.

    ``problem`` is ``no_entry`` (a spirit of which no vat entry is known), ``no_abv`` (an average needs its strength),
    ``cycle`` or ``no_spirit``; ``at_fault`` the row number of that lot.
    """

    youngest: datetime.date | None = None
    average: Decimal | None = None
    problem: str = ""
    at_fault: int | None = None


NO_SPIRIT = Ageing(problem="no_spirit")


def strength(parts: Iterable[tuple[Decimal, Decimal | None]]) -> Decimal | None:
    """The strength of a mixture of (litres, %vol) before any loss; None where one is unknown or nothing is there."""
    total, pure = Decimal(), Decimal()
    with localcontext() as context:
        context.prec = 40
        for litres, abv in parts:
            if abv is None:
                return None
            total, pure = total + litres, pure + litres * abv
        return pure / total if total else None


def strengths(spirits: Mapping[int, Spirit]) -> dict[int, Decimal | None]:
    """The strength of every lot: recorded, or that of its parts mixed. Water is 0."""
    found: dict[int, Decimal | None] = {}
    for lot in _parents_first(spirits):
        spirit = spirits[lot]
        if spirit.water:
            found[lot] = Decimal()
        elif spirit.abv is not None:
            found[lot] = spirit.abv
        else:
            found[lot] = strength([(part.litres, found.get(part.lot)) for part in spirit.parts])
    return found


def ageing(spirits: Mapping[int, Spirit], lot: int) -> Ageing:
    """From when the spirit of a lot has aged. One pass over the lots, parents first; lots in a cycle are a problem."""
    known = strengths(spirits)
    found: dict[int, Ageing] = {}
    with localcontext() as context:
        context.prec = 40
        for each in _parents_first(spirits):
            found[each] = _one(each, spirits[each], known, found)
    return found.get(lot, Ageing(problem="cycle", at_fault=lot))


def _one(lot: int, spirit: Spirit, known: Mapping[int, Decimal | None], found: Mapping[int, Ageing]) -> Ageing:
    """One lot of which all parts are known."""
    if spirit.water:
        return NO_SPIRIT
    weights, weighted, days = Decimal(), Decimal(), []
    unweighed: int | None = None
    for part in spirit.parts:
        age = found.get(part.lot, Ageing(problem="cycle", at_fault=part.lot))
        abv = known.get(part.lot)
        if age.problem == "no_spirit" or abv == 0 or not part.litres:
            continue
        if age.youngest is None:
            if spirit.entered_on is None or age.problem == "cycle":
                return age
            age = _from(spirit.entered_on)
        assert age.youngest is not None  # noqa: S101 (tells the type checker)
        days.append(age.youngest)
        if age.average is None or abv is None:
            unweighed = unweighed or (age.at_fault if age.average is None else part.lot)
            continue
        weights, weighted = weights + part.litres * abv, weighted + part.litres * abv * age.average
    if not days:
        if spirit.entered_on is not None:
            return _from(spirit.entered_on)
        return Ageing(problem="no_entry", at_fault=lot) if not spirit.parts or known.get(lot) != 0 else NO_SPIRIT
    if unweighed is not None:
        return Ageing(youngest=max(days), problem="no_abv", at_fault=unweighed)
    return Ageing(youngest=max(days), average=weighted / weights)


def _from(day: datetime.date) -> Ageing:
    return Ageing(youngest=day, average=Decimal(day.toordinal()))


def _parents_first(spirits: Mapping[int, Spirit]) -> list[int]:
    """The lots in an order in which parts come before what is made of them; lots in cycles are left out."""
    waiting = {lot: len({part.lot for part in spirit.parts if part.lot in spirits}) for lot, spirit in spirits.items()}
    children: dict[int, set[int]] = {}
    for lot, spirit in spirits.items():
        for part in spirit.parts:
            children.setdefault(part.lot, set()).add(lot)
    ready = [lot for lot, count in waiting.items() if not count]
    order: list[int] = []
    while ready:
        lot = ready.pop()
        order.append(lot)
        for child in children.get(lot, ()):
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    return order


def years(since: datetime.date | Decimal, on: datetime.date) -> Decimal:
    """Whole tenths of a year from a day (or an average ordinal) to a day, rounded down so that no age is overstated."""
    start = Decimal(since.toordinal()) if isinstance(since, datetime.date) else since
    tenths = (Decimal(on.toordinal()) - start) / DAYS_PER_YEAR * 10
    return max(Decimal(int(tenths)), Decimal()) / 10
