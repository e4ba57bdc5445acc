"""The most that goods without a net content can weigh or hold, traced back to the last amounts that can be compared.

Ten kilograms counted into a thousand pieces are no more than ten kilograms when the pieces are weighed again. A part of
a lot is taken to hold that part of what went into it; boxes and planks differ, so it may hold half as much again
(``UNEVEN``), though never more than all of it. Nothing is traced through steps that add water or begin goods, and no
farther than ``DEEPEST`` steps and ``MOST_LOTS`` lots: three queries a step, whatever the world.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from trace.among import among
from trace.contents import Amount, content_typed
from trace.event_templates import EventTemplate, templates
from trace.models import EventItem, Lot, Product
from trace.units import BaseUnit

DEEPEST, MOST_LOTS = 12, 300
UNEVEN = Fraction(3, 2)
"""How many times its even share a part of a lot counted in pieces may hold: our reading, no standard says."""

HEAVIEST, LIGHTEST = Fraction(3, 2), Fraction(39, 50)
"""Kilograms in a litre at most and at least: honey weighs 1.4, pure alcohol 0.789 at 20 °C (OIML R 22)."""
_IN_A_CUBE = 1000
_MOST: Mapping[tuple[str, str], Fraction] = {
    (BaseUnit.KGM, BaseUnit.LTR): 1 / LIGHTEST,
    (BaseUnit.LTR, BaseUnit.KGM): HEAVIEST,
    (BaseUnit.MTQ, BaseUnit.LTR): Fraction(_IN_A_CUBE),
    (BaseUnit.MTQ, BaseUnit.KGM): HEAVIEST * _IN_A_CUBE,
    (BaseUnit.LTR, BaseUnit.MTQ): Fraction(1, _IN_A_CUBE),
}
"""How much of the second unit one of the first is at most. How light a cubic metre may be nobody can say."""


@dataclass(frozen=True)
class Bound:
    """The most an amount can be, evenly shared (``most``) and at all (``ceiling``). ``sure`` is false where other goods
    were made beside it, of which nobody knows how much they took; ``roots`` are the lots whose amounts were counted.
    """

    most: Fraction
    ceiling: Fraction
    sure: bool
    roots: tuple[Lot, ...]


@dataclass
class Making:
    """One step that made a lot: row numbers and millionths of what went in and came out."""

    step: EventTemplate | None
    data: Mapping[str, Any]
    inputs: list[tuple[int, int]] = field(default_factory=list)
    outputs: list[tuple[int, int]] = field(default_factory=list)


def most_of(amounts: Sequence[Amount], unit: str, instead: Mapping[int, Making] | None = None) -> list[Bound | None]:
    """For each amount of a known lot the most of ``unit`` it can be; None where that cannot be told.

    ``instead`` are steps that are about to be stated again, by the lots they make.
    """
    origins = _Origins(unit, [each.lot for each in amounts if each.lot is not None], instead or {})
    return [origins.amount(each.lot, each.micros) if each.lot is not None else None for each in amounts]


class _Origins:
    """The steps above some lots, as far back as their goods cannot be compared with a unit."""

    def __init__(self, unit: str, lots: Iterable[Lot], instead: Mapping[int, Making]) -> None:
        self.unit = unit
        self.instead = instead
        self.lots = {lot.pk: lot for lot in lots}
        self.makings: dict[int, Making] = {}
        self.made_by: dict[int, list[int]] = defaultdict(list)
        self._whole: dict[int, Bound | None] = {}
        asked = set(self.lots)
        for _level in range(DEEPEST):
            if not asked or len(self.lots) > MOST_LOTS:
                break
            asked = self._read(asked)

    def _read(self, lots: set[int]) -> set[int]:
        """The steps that made these lots; returns what went into them that cannot be compared either."""
        for lot in lots & self.instead.keys():
            # No event has a row number below one: the steps stated again go by their lots, as negative numbers.
            self.made_by[lot].append(-lot)
            self.makings[-lot] = self.instead[lot]
        standing = EventItem.objects.filter(
            role="output", micros__gt=0, event__corrections__isnull=True, event__corrects__isnull=True
        ).order_by()
        for lot, event in standing.filter(among("lot", lots)).values_list("lot", "event").distinct():
            self.made_by[lot].append(event)
        events = {event for lot in lots for event in self.made_by[lot]}
        self.makings |= _read_steps(events - self.makings.keys())
        named = {lot for event in events for lot, _micros in self._sides(event)}
        unknown = Lot.objects.filter(among("pk", named - self.lots.keys()))
        shown = ("product", "product_version", "origin_event", "organisation__division__parent")
        self.lots |= {lot.pk: lot for lot in unknown.select_related(*shown)}
        inputs = {lot for event in events for lot, _micros in self.makings[event].inputs}
        return {lot for lot in inputs - self.made_by.keys() if not self._told(lot)}

    def _sides(self, event: int) -> list[tuple[int, int]]:
        making = self.makings[event]
        return making.inputs + making.outputs

    def _told(self, lot: int) -> bool:
        """Whether the lot's own unit or label compares with the unit."""
        found = self._measured(lot, 1)
        return found is not None and found[0] == self.unit

    def _measured(self, pk: int, micros: int, making: Making | None = None) -> tuple[str, Fraction] | None:
        """An amount by its unit, its label, or the net content typed with the step that made it."""
        lot = self.lots[pk]
        makings = [making] if making is not None else [self.makings[each] for each in self.made_by.get(pk, ())]
        typed = {content_typed(each.step, each.data) for each in makings if each.step is not None}
        return Amount(lot.product, lot.product_version, micros).bulk(typed.pop() if len(typed) == 1 else None)

    def amount(self, lot: Lot, micros: int, above: frozenset[int] = frozenset()) -> Bound | None:
        """The most an amount of a lot can be: as it is counted, by density, or by what went into it."""
        own, found = self._measured(lot.pk, micros), []
        if own is not None and own[0] == self.unit:
            return Bound(own[1], own[1], True, (lot,))
        if own is not None and own[0] != self.unit and (own[0], self.unit) in _MOST:
            dense = own[1] * _MOST[(own[0], self.unit)]
            found.append(Bound(dense, dense, True, (lot,)))
        whole = self.whole(lot.pk, above)
        again = self.instead.get(lot.pk)
        made = sum(much for pk, much in again.outputs if pk == lot.pk) if again is not None else lot.made_micros
        if whole is not None and made > 0:
            found.append(_part(whole, min(Fraction(1), Fraction(micros, made))))
        if not found:
            return None
        least = min(found, key=lambda each: each.most)
        ceiling = min(each.ceiling for each in found)
        return replace(least, ceiling=ceiling, sure=any(each.sure for each in found))

    def whole(self, pk: int, above: frozenset[int]) -> Bound | None:
        """The most all of a lot can be by what went into it; None where a step adds water or begins goods, or where the
        lot is its own ancestor.
        """
        if pk in above or not self.made_by.get(pk):
            return None
        if pk not in self._whole:
            bounds = [self._made(pk, self.makings[event], above | {pk}) for event in self.made_by[pk]]
            known = [each for each in bounds if each is not None]
            self._whole[pk] = (
                None
                if len(known) < len(bounds)
                else Bound(
                    sum((each.most for each in known), Fraction()),
                    sum((each.ceiling for each in known), Fraction()),
                    all(each.sure for each in known),
                    tuple(dict.fromkeys(root for each in known for root in each.roots)),
                )
            )
        return self._whole[pk]

    def _made(self, pk: int, making: Making, above: frozenset[int]) -> Bound | None:
        """The most one step can have put into a lot."""
        if making.step is None or making.step.moves != "transform" or making.step.gains_water:
            return None
        packaging = Product.Kind.PACKAGING
        goods = [each for each in making.inputs if self.lots[each[0]].product.kind != packaging] or making.inputs
        bounds = [self.amount(self.lots[lot], micros, above) for lot, micros in goods]
        known = [each for each in bounds if each is not None]
        if not goods or len(known) < len(bounds):
            return None
        beside, alike, others, own = Fraction(), 0, False, 0
        for lot, micros in making.outputs:
            told = self._measured(lot, micros, making)
            if lot == pk:
                own += micros
            if self.lots[lot].product_id == self.lots[pk].product_id:
                alike += micros
            elif told is not None and told[0] == self.unit:
                beside += told[1]
            else:
                others = True
        whole = Bound(
            max(sum((each.most for each in known), Fraction()) - beside, Fraction()),
            max(sum((each.ceiling for each in known), Fraction()) - beside, Fraction()),
            not others and all(each.sure for each in known),
            tuple(dict.fromkeys(root for each in known for root in each.roots)),
        )
        return _part(whole, Fraction(own, alike))


def _part(whole: Bound, part: Fraction) -> Bound:
    """What a part of an amount can be."""
    return replace(whole, most=whole.most * part, ceiling=whole.ceiling * min(Fraction(1), part * UNEVEN))


def steps_of(lots: Iterable[int]) -> dict[int, Making]:
    """The standing steps that used these lots up, the earliest ``MOST_LOTS`` of them, with all that went in and came
    out. Two queries.
    """
    standing = EventItem.objects.filter(role="input", event__corrections__isnull=True, event__corrects__isnull=True)
    rows = standing.filter(among("lot", lots)).order_by("event").values_list("event", flat=True).distinct()
    return _read_steps(set(rows[:MOST_LOTS]))


def step_of(event: int) -> Making:
    """One step, standing or not, with all that went in and came out. One query."""
    return _read_steps([event]).get(event, Making(None, {}))


def _read_steps(events: Iterable[int]) -> dict[int, Making]:
    rows = EventItem.objects.filter(among("event", events), role__in=("input", "output")).exclude(lot=None)
    columns = ("event", "lot", "role", "micros", "event__template", "event__data")
    found: dict[int, Making] = {}
    for event, lot, role, micros, code, data in rows.order_by("event", "number").values_list(*columns):
        making = found.setdefault(event, Making(templates().get(code), data))
        (making.inputs if role == "input" else making.outputs).append((lot, abs(micros)))
    return found
