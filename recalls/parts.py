"""Part of a lot: the units in some packs, of some numbers or codes, or packed in some hours. Nothing here writes.

A part is kept as ranges of unit numbers within the lot, which holds and scanned pages understand. Who has the part
follows from where its units are by events; a unit no event has named is wherever its lot is, so everybody whose stock
is not made up by located units may have it.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace import moments
from trace.among import among
from trace.errors import DomainError, Invalid
from trace.event_templates import template
from trace.models import EventItem, Lot, Organisation, Stock, Transfer, Unit
from trace.packs import TOP_HOLDER, amount_of, leaves, micros_of, numbers_of, spans, unit_code
from trace.units import format_amount

Ranges = tuple[tuple[int, int], ...]
MOST_RANGES = 1_000
WORDS_MAX = 2_000
_HIGHEST = 100_000_000


class PartKind(StrEnum):
    """What a part is named by."""

    PACKS = "packs"
    UNITS = "units"
    HOURS = "hours"

    @property
    def label(self) -> str:
        """In words."""
        return str(_LABELS[self])

    @classmethod
    def choices(cls) -> list[tuple[str, Any]]:
        """For a form."""
        return [(one.value, _LABELS[one]) for one in cls]


_LABELS = {
    PartKind.PACKS: gettext_lazy("按箱码、托盘码"),
    PartKind.UNITS: gettext_lazy("按单件编号或单件码"),
    PartKind.HOURS: gettext_lazy("按装箱时间"),
}


@dataclass(frozen=True)
class Part:
    """What of one lot (row number) a scope covers: named by ``words``, as unit numbers, and why the rest is not
    affected. ``ranges`` are those known when it was asked last: asking again never makes them fewer.
    """

    lot: int
    kind: PartKind
    words: str
    reason: str
    ranges: Ranges = ()

    def as_json(self, uid: str) -> dict[str, Any]:
        """As kept with a frozen question."""
        return {
            "lot": uid,
            "kind": self.kind.value,
            "words": self.words,
            "reason": self.reason,
            "ranges": [list(pair) for pair in self.ranges],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], lot: int) -> Part:
        """From a frozen question."""
        ranges = tuple((int(first), int(last)) for first, last in data["ranges"])
        return cls(lot, PartKind(data["kind"]), data["words"], data["reason"], ranges)


def resolved(part: Part) -> Part:
    """The part with its unit numbers as they are now, and those it had before.

    Refuses no reason (``part_reason_required``), words that name no unit of the lot (``part_empty``), unreadable ones
    (``part_unreadable``), all of the lot (``part_is_whole``), more than 1,000 ranges (``part_too_scattered``).
    """
    if not part.reason.strip():
        raise Invalid(_("请写明为什么这个批次的其余部分不受影响。"), code="part_reason_required")
    named = {
        PartKind.PACKS: _of_packs,
        PartKind.UNITS: _of_units,
        PartKind.HOURS: _of_hours,
    }[part.kind](part.lot, part.words)
    for first, last in part.ranges:
        named |= set(range(first, last + 1))
    every = set(_numbered(part.lot).values_list("number", flat=True))
    inside = named & every
    if not inside:
        raise Invalid(_("没有找到这个批次里的单件，请核对码、编号或时间。"), code="part_empty")
    if inside >= set(leaves(_numbered(part.lot)).values_list("number", flat=True)):
        raise Invalid(_("这已经是整个批次，不需要按部分划定。"), code="part_is_whole")
    ranges = spans(inside)
    if len(ranges) > MOST_RANGES:
        raise Invalid(_("这一部分太零散（超过 1000 段），请召回整个批次或按箱划定。"), code="part_too_scattered")
    return replace(part, ranges=ranges)


def divisible(lots: Sequence[int]) -> set[int]:
    """Those lots (row numbers) that have a part: at least two numbered pieces that hold no others. One query."""
    rows = leaves(Unit.objects.filter(among("lot", lots), number__gt=0))
    return {lot for lot, count in rows.values_list("lot").annotate(n=Count("pk")).order_by() if count > 1}


def _numbered(lot: int) -> QuerySet[Unit]:
    """The lot's units that have a number in it."""
    return Unit.objects.filter(lot=lot, number__gt=0)


def _words(text: str) -> list[str]:
    """Codes, numbers and ranges, however they are separated."""
    for mark in "，、；;,\t\n\r　":
        text = text.replace(mark, " ")
    return text.split()[:2_000]


def _of_packs(lot: int, text: str) -> set[int]:
    """The numbers in these packs (and of the packs themselves)."""
    codes = []
    for word in _words(text):
        try:
            codes.append(unit_code(word))
        except DomainError:
            raise _unreadable(word) from None
    found = list(Unit.objects.filter(code__in=codes))
    missing = set(codes) - {unit.code for unit in found}
    if missing:
        raise Invalid(_("没有这个箱码：%(code)s") % {"code": sorted(missing)[0]}, code="part_empty")
    return numbers_of(found, lot)


def _of_units(lot: int, text: str) -> set[int]:
    """Numbers (12), ranges of them (1-120), and codes."""
    found: set[int] = set()
    codes: list[str] = []
    for word in _words(text):
        first, dash, last = word.replace("–", "-").replace("—", "-").replace("~", "-").partition("-")
        if (
            first.isascii()
            and first.isdigit()
            and len(first) <= 9
            and (not dash or (last.isascii() and last.isdigit()))
        ):
            begin, end = int(first), int(last) if dash else int(first)
            if not 1 <= begin <= end <= _HIGHEST:
                raise _unreadable(word)
            rows = _numbered(lot).filter(number__gte=begin, number__lte=end)
            found |= set(rows.values_list("number", flat=True))
        else:
            try:
                codes.append(unit_code(word))
            except DomainError:
                raise _unreadable(word) from None
    units = list(Unit.objects.filter(code__in=codes))
    missing = set(codes) - {unit.code for unit in units}
    if missing:
        raise Invalid(_("没有这个单件码：%(code)s") % {"code": sorted(missing)[0]}, code="part_empty")
    return found | (numbers_of(units, lot) if units else set())


def hours_words(first: datetime.datetime, last: datetime.datetime) -> str:
    """A span of time as the words of a part."""
    return f"{first.isoformat(timespec='minutes')}/{last.isoformat(timespec='minutes')}"


def _of_hours(lot: int, text: str) -> set[int]:
    """Units first packed within the span; those no packing event names are counted in, for nobody knows when."""
    begin, end = _span(text)
    packed: dict[int, bool] = {}
    rows = EventItem.objects.filter(unit__lot=lot, event__corrections__isnull=True, event__corrects=None)
    told = rows.order_by("event__occurred_at", "id").values_list(
        "unit", "event__template", "event__occurred_at", "event__precision", "event__tz_offset"
    )
    for unit, code, at, precision, offset in told:
        if unit is not None and unit not in packed and template(code).moves == "pack":
            when = moments.span(at, precision, offset)
            packed[unit] = when.first <= end and when.last >= begin
    inside = leaves(_numbered(lot)).values_list("pk", "number")
    return {number for pk, number in inside if packed.get(pk, True)}


def _span(text: str) -> tuple[datetime.datetime, datetime.datetime]:
    """The two ends of a span of time."""
    first, slash, last = text.partition("/")
    try:
        begin, end = datetime.datetime.fromisoformat(first.strip()), datetime.datetime.fromisoformat(last.strip())
    except ValueError:
        raise _unreadable(text[:60]) from None
    if not slash or begin.tzinfo is None or end.tzinfo is None or begin > end:
        raise _unreadable(text[:60])
    return begin, end


def _unreadable(word: str) -> Invalid:
    return Invalid(_("看不懂“%(word)s”，请核对。") % {"word": word[:60]}, code="part_unreadable")


# --- Covering -------------------------------------------------------------------------------------------------------

THROUGH = "through"
"""The kind of a part that is what passed through one organisation."""


@dataclass(frozen=True)
class Through:
    """What of one lot (row number) passed through one organisation: its outside name, and how its units are told apart.

    ``apart`` says that ``ranges`` are all of them; else no code tells, and uncoded goods may have come to it from
    ``loose`` (outside names).
    """

    lot: int
    organisation: str
    ranges: Ranges = ()
    apart: bool = False
    loose: tuple[str, ...] = ()

    kind: ClassVar[str] = THROUGH
    words: ClassVar[str] = ""
    reason: ClassVar[str] = ""

    def as_json(self, uid: str) -> dict[str, Any]:
        """As kept with a frozen lot."""
        return {
            "lot": uid,
            "kind": THROUGH,
            "through": self.organisation,
            "apart": self.apart,
            "loose": list(self.loose),
            "ranges": [list(pair) for pair in self.ranges],
        }


@dataclass(frozen=True)
class Extent:
    """What of a lot is covered: all of it, the units of some numbers, or what passed through one organisation (its
    outside name), by the numbers of its units where ``ranges`` are known; uncoded goods of it may have come from
    ``loose``. False where it is all.
    """

    ranges: Ranges = ()
    through: str = ""
    loose: frozenset[str] = field(default=frozenset(), compare=False)

    def __bool__(self) -> bool:
        return bool(self.ranges or self.through)

    @classmethod
    def of(cls, part: Part | Through | None) -> Extent:
        """Of a part, or of a whole lot."""
        if part is None:
            return WHOLE
        if isinstance(part, Through):
            return cls(part.ranges, part.organisation, frozenset(part.loose))
        return cls(part.ranges)

    @classmethod
    def from_json(cls, part: Mapping[str, Any]) -> Extent:
        """Of what is kept with a frozen lot."""
        if not part:
            return WHOLE
        ranges = tuple((first, last) for first, last in part.get("ranges", []))
        return cls(ranges, part.get("through", ""), frozenset(part.get("loose", [])))


WHOLE = Extent()
"""All of a lot."""
Coverage = Mapping[int, Extent]
"""By lot (row number) what of it a scope covers."""


def within(inner: Extent, outer: Extent) -> bool:
    """Whether what the first covers of a lot the second covers too."""
    if not outer:
        return True
    if not inner:
        return False
    if outer.through and not outer.ranges:
        return inner.through == outer.through
    if not inner.ranges:
        return False
    return all(any(first >= begin and last <= end for begin, end in outer.ranges) for first, last in inner.ranges)


def no_wider(smaller: Coverage, larger: Coverage) -> bool:
    """Whether the first covers nothing that the second does not."""
    return all(lot in larger and within(extent, larger[lot]) for lot, extent in smaller.items())


def covers(ranges: Sequence[Sequence[int]], numbers: Iterable[int]) -> bool:
    """Whether any of these numbers lies in the ranges; without ranges everything does."""
    return not ranges or any(first <= number <= last for number in numbers for first, last in ranges)


def words_of(ranges: Sequence[Sequence[int]], *, most: int = 12) -> str:
    """The ranges for people: 编号 1–120、130."""
    said = [f"{first}–{last}" if first != last else str(first) for first, last in ranges[:most]]
    more = _(" 等 %(n)d 段") % {"n": len(ranges)} if len(ranges) > most else ""
    return "、".join(said) + more


# --- Who has it, and how much it is ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class PartHeld:
    """How much the part is, and by organisation what is located there and what may be there besides (millionths)."""

    micros: int
    located: Mapping[int, int]
    possible: Mapping[int, int]
    had: frozenset[int]


def _in_ranges(ranges: Ranges) -> Q:
    """Units whose number lies in the ranges."""
    found = Q()
    for first, last in ranges:
        found |= Q(number__gte=first, number__lte=last)
    return found


_CHUNK = 200
"""Ranges in one statement."""
_TOP_TRANSIT = Coalesce("parent__parent__parent__transit", "parent__parent__transit", "parent__transit", "transit")


def held_of(lot: Lot, part: Part) -> PartHeld:
    """Where a part is. Raises Invalid ``content_unknown`` where the product does not say what a unit holds."""
    everywhere = _levels(leaves(_numbered(lot.pk)))
    inside: dict[int | None, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    ids: set[int] = set()
    for begin in range(0, len(part.ranges), _CHUNK):
        rows = leaves(_numbered(lot.pk).filter(_in_ranges(part.ranges[begin : begin + _CHUNK])))
        for who, levels in _levels(rows).items():
            for level, count in levels.items():
                inside[who][level] += count
        ids |= set(rows.values_list("pk", flat=True))
    total: dict[str, int] = defaultdict(int)
    for levels in inside.values():
        for level, count in levels.items():
            total[level] += count
    micros = amount_of(lot, total).micros
    stock = dict(Stock.objects.filter(lot=lot).values_list("organisation").annotate(n=Sum("micros")).order_by())
    unconfirmed: dict[int, int] = defaultdict(int)
    for receiver, sent in Transfer.objects.filter(lot=lot, voided_by=None, received_micros=None).values_list(
        "receiver", "sent_micros"
    ):
        unconfirmed[receiver] += sent
    located: dict[int, int] = {}
    loose = 0
    for who, levels in inside.items():
        amount = amount_of(lot, levels).micros
        there = 0 if who is None else min(amount, max(stock.get(who, 0), 0) + unconfirmed.get(who, 0))
        if who is not None and there:
            located[who] = there
        loose += amount - there
    possible: dict[int, int] = {}
    if loose:
        for who in sorted({*stock, *unconfirmed}):
            known = amount_of(lot, everywhere[who]).micros if everywhere.get(who) else 0
            open_ = max(stock.get(who, 0), 0) + unconfirmed.get(who, 0) - known
            if open_ > 0:
                possible[who] = min(loose, open_)
    return PartHeld(micros, located, possible, _had(ids))


def _levels(rows: QuerySet[Unit]) -> dict[int | None, dict[str, int]]:
    """Leaves by who has them or gets them (None: no event has named them) and level. One query."""
    found: dict[int | None, dict[str, int]] = defaultdict(dict)
    counted = rows.annotate(who=TOP_HOLDER, on_the_way=_TOP_TRANSIT).order_by()
    receivers: dict[int, int] = {}
    grouped = list(counted.values_list("who", "on_the_way", "level").annotate(n=Count("pk")))
    events = {event for _who, event, _level, _n in grouped if event is not None}
    if events:
        receivers = dict(Transfer.objects.filter(shipment__event__in=events).values_list("shipment__event", "receiver"))
    for who, event, level, n in grouped:
        there = receivers.get(event, who) if event is not None else who
        found[there][level] = found[there].get(level, 0) + n
    return found


def require_range(lot: Lot, holder: Organisation, first: int, last: int, micros: int) -> None:
    """Refuse (``range_wrong``) a range of unit numbers that does not stand for so much of a lot (millionths) with this
    holder: numbers no label was issued for, units that an event left in other hands, another amount. Where the product
    does not say what a unit holds, the amount cannot be compared.
    """
    found = _levels(leaves(_numbered(lot.pk).filter(number__gte=first, number__lte=last)))
    total: dict[str, int] = defaultdict(int)
    for levels in found.values():
        for level, count in levels.items():
            total[level] += count
    words = {"first": first, "last": last, "lot": lot.code}
    if not total:
        raise Invalid(_("批次 %(lot)s 没有件号 %(first)s—%(last)s 的单件。") % words, code="range_wrong")
    if found.keys() - {None, holder.pk}:
        raise Invalid(
            _("件号 %(first)s—%(last)s 里有按记录不在“%(holder)s”手里的单件。") % {**words, "holder": holder.label},
            code="range_wrong",
        )
    there = micros_of(lot, total)
    if there is not None and there != micros:
        amount = format_amount(there, lot.product.base_unit)
        raise Invalid(
            _("件号 %(first)s—%(last)s 的单件一共是 %(amount)s，与填写的数量不符。") % {**words, "amount": amount},
            code="range_wrong",
        )


_UP = ("pk", "parent", "parent__parent", "parent__parent__parent")


def _had(units: set[int]) -> frozenset[int]:
    """Everybody an event about these units, or the packs they lie in now, names."""
    if not units:
        return frozenset()
    found: set[int] = set()
    ids = sorted(units)
    for begin in range(0, len(ids), 5_000):
        chunk = ids[begin : begin + 5_000]
        packs = Unit.objects.filter(pk__in=chunk).values_list(
            "pk", "parent", "parent__parent", "parent__parent__parent"
        )
        around = {pk for row in packs for pk in row if pk is not None}
        rows = EventItem.objects.filter(among("unit", around), event__corrections__isnull=True, event__corrects=None)
        found |= set(rows.values_list("holder", flat=True).distinct())
    return frozenset(found)
