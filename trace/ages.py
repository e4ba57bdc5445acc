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


@dataclass(frozen=True)
class _Mix:
    """The spirit of one lot: of its aged part the youngest day and the average, and how much of the alcohol that is.

    ``aged`` is a share of 1, None where it cannot be weighed. ``fresh`` is a lot of which some was never vatted,
    ``unweighed`` one whose strength is missing.
    """

    youngest: datetime.date | None = None
    average: Decimal | None = None
    aged: Decimal | None = Decimal(0)
    fresh: int | None = None
    unweighed: int | None = None


def ageing(spirits: Mapping[int, Spirit], lot: int) -> Ageing:
    """From when the spirit of a lot has aged. One pass over the lots, parents first; lots in a cycle are a problem."""
    known = strengths(spirits)
    found: dict[int, _Mix | None] = {}
    with localcontext() as context:
        context.prec = 40
        for each in _parents_first(spirits):
            found[each] = _one(each, spirits[each], known, found)
    if lot not in found:
        return Ageing(problem="cycle", at_fault=lot)
    mix = found[lot]
    if mix is None:
        return NO_SPIRIT
    if mix.fresh is not None:
        return Ageing(problem="no_entry", at_fault=mix.fresh)
    if mix.average is None:
        return Ageing(youngest=mix.youngest, problem="no_abv", at_fault=mix.unweighed)
    return Ageing(youngest=mix.youngest, average=mix.average)


def _one(
    lot: int, spirit: Spirit, known: Mapping[int, Decimal | None], found: Mapping[int, _Mix | None]
) -> _Mix | None:
    """One lot of which all parts are known; None where there is no alcohol in it."""
    if spirit.water:
        return None
    parts = [
        (part, mix)
        for part in spirit.parts
        if part.litres and known.get(part.lot) != 0 and (mix := found.get(part.lot)) is not None
    ]
    if not parts:
        if spirit.entered_on is not None:
            return _from(spirit.entered_on)
        return None if spirit.parts and known.get(lot) == 0 else _Mix(fresh=lot)
    mixes = [_vatted(mix, spirit.entered_on) for _part, mix in parts]
    days = [mix.youngest for mix in mixes if mix.youngest is not None]
    youngest = max(days) if days else None
    fresh = next((mix.fresh for mix in mixes if mix.fresh is not None), None)
    if fresh is None and len({mix.average for mix in mixes}) == 1 and mixes[0].average is not None:
        return _Mix(youngest, mixes[0].average, Decimal(1))
    faults = [mix.unweighed for mix in mixes if mix.unweighed is not None]
    faults += [part.lot for part, _mix in parts if known.get(part.lot) is None]
    if faults:
        return _Mix(youngest, None, None, fresh, faults[0])
    return _weighed(
        [(part.litres * (known[part.lot] or Decimal()), mix) for (part, _old), mix in zip(parts, mixes, strict=True)],
        youngest,
        fresh,
    )


def _vatted(mix: _Mix, entered_on: datetime.date | None) -> _Mix:
    """What a part is once it lies in the vat: its fresh share starts that day, the rest keeps its own."""
    if entered_on is None or mix.fresh is None:
        return mix
    if mix.youngest is None:
        return _from(entered_on)
    average = None
    if mix.average is not None and mix.aged is not None:
        average = mix.aged * mix.average + (1 - mix.aged) * Decimal(entered_on.toordinal())
    return _Mix(max(mix.youngest, entered_on), average, Decimal(1), None, mix.unweighed)


def _weighed(mixes: Sequence[tuple[Decimal, _Mix]], youngest: datetime.date | None, fresh: int | None) -> _Mix:
    """Parts with their pure alcohol put together."""
    total = sum((weight for weight, _mix in mixes), Decimal())
    aged = sum((weight * (mix.aged or Decimal()) for weight, mix in mixes), Decimal())
    days = sum((weight * (mix.aged or Decimal()) * (mix.average or Decimal()) for weight, mix in mixes), Decimal())
    return _Mix(youngest, days / aged if aged else None, aged / total, fresh)


def _from(day: datetime.date) -> _Mix:
    return _Mix(day, Decimal(day.toordinal()), Decimal(1))


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
    return Decimal(max(int(tenths), 0)).scaleb(-1)
