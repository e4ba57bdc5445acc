"""Guards on order in time that need more than the lot's own beginning: when goods arrived, which days were typed, and
whether a lot would be made of itself.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q

from trace import moments
from trace.batch import current
from trace.divided import DIVIDING
from trace.errors import BrokenGuard
from trace.event_templates import templates
from trace.genealogy import is_descendant, walk
from trace.models import Event, EventItem, Lot, Organisation, Product, Stock
from trace.sentences import gettext as _
from trace.sentences import in_each_language
from trace.units import amount_said
from trace.unseen import not_all_below

if TYPE_CHECKING:
    from trace.actions.capture import Draft

SAME_GOODS = frozenset({*DIVIDING, "common.merge"})
"""Steps after which the goods are what they were: they get no younger by them."""
SHANGHAI = datetime.timezone(datetime.timedelta(hours=8))
Pair = tuple[int, int]
"""Row numbers of a lot and of who has it."""


@dataclass(frozen=True)
class _Movement:
    """An amount that came to or left a holder, when that may have been, and by which event."""

    span: moments.Span
    words: str
    micros: int
    event: str


# --- Goods that were not there yet ----------------------------------------------------------------------------------


def arrival_guards(draft: Draft) -> Iterator[BrokenGuard]:
    """Goods are used, sent or sold by a holder only after they arrived there, and no more than had arrived by then.

    One query, and one more where anything arrived after the draft's moment.
    """
    goods: dict[Pair, tuple[Lot, Organisation, int]] = {}
    for use in draft.uses:
        if use.lot is not None and use.micros < 0:
            key = (use.lot.pk, use.holder.pk)
            before = goods[key][2] if key in goods else 0
            goods[key] = (use.lot, use.holder, before - use.micros)
    if not goods:
        return
    latest = moments.span(draft.occurred_at, draft.precision, draft.tz_offset).last
    arrived = _arrivals(goods)
    late = {}
    for key, rows in arrived.items():
        lot, holder, _wanted = goods[key]
        first = min(rows, key=lambda row: row.span.first)
        if latest < first.span.first:
            # A holder's own lot before its beginning is told by the guard on beginnings.
            if lot.origin_event.organisation_id != holder.pk:
                yield _not_arrived(draft, lot, first)
        elif any(latest < row.span.first for row in rows):
            late[key] = goods[key]
    if late:
        yield from _short_then(draft, late, arrived, latest)


def _not_arrived(draft: Draft, lot: Lot, first: _Movement) -> BrokenGuard:
    return BrokenGuard(
        "before_arrival",
        _("时间不对：批次 %(lot)s 到 %(arrived)s 才收到，这一环节写的是 %(when)s。请核对时间。")
        % {"lot": lot.code, "arrived": first.words, "when": _when(draft)},
        lot=lot,
        other_event=first.event,
    )


def _short_then(
    draft: Draft,
    goods: Mapping[Pair, tuple[Lot, Organisation, int]],
    arrived: Mapping[Pair, Sequence[_Movement]],
    latest: datetime.datetime,
) -> Iterator[BrokenGuard]:
    """Less of a lot had arrived by the draft's moment than it takes, though there is enough of it today.

    What is uncertain by its day speaks for the person: it came before and left after.
    """
    moved = _movements(goods)
    total = _totals(goods)
    for key, (lot, _holder, wanted) in goods.items():
        for arrival in sorted(arrived[key], key=lambda row: row.span.first):
            if arrival.span.first <= latest:
                continue
            there = total.get(key, 0) - sum(
                row.micros
                for row in moved.get(key, ())
                if (row.span.first if row.micros > 0 else row.span.last) >= arrival.span.first
            )
            if there >= wanted:
                continue
            unit = lot.product.base_unit
            yield BrokenGuard(
                "not_enough_then",
                _(
                    "批次 %(lot)s 到 %(arrived)s 才又入了 %(more)s；在那以前只有 %(have)s，不够 %(when)s 的 %(want)s。"
                    "请核对时间和数量。"
                )
                % {
                    "lot": lot.code,
                    "arrived": arrival.words,
                    "more": amount_said(arrival.micros, unit),
                    "have": amount_said(max(there, 0), unit),
                    "when": _when(draft),
                    "want": amount_said(wanted, unit),
                },
                lot=lot,
                other_event=arrival.event,
            )
            break


def _arrivals(goods: Iterable[Pair]) -> dict[Pair, list[_Movement]]:
    """What came to these holders, once per pair in a batch."""
    pairs = list(goods)
    batch = current()
    if batch is None:
        return _read(pairs, Q(micros__gt=0))
    missing = [pair for pair in pairs if ("arrived", pair) not in batch.memo]
    if missing:
        read = _read([pair for pair in missing if pair[0] not in batch.unwritten], Q(micros__gt=0))
        batch.memo.update({("arrived", pair): read.get(pair, []) for pair in missing})
    found = {}
    for pair in pairs:
        own = [_of(event, micros) for event, micros in batch.arrived[pair]]
        if rows := [*batch.memo[("arrived", pair)], *own]:
            found[pair] = rows
    return found


def _movements(goods: Iterable[Pair]) -> dict[Pair, list[_Movement]]:
    """Everything that came and left, what an open batch has moved included."""
    pairs = list(goods)
    batch = current()
    found = defaultdict(list, _read([pair for pair in pairs if batch is None or pair[0] not in batch.unwritten], Q()))
    if batch is not None:
        for pair in pairs:
            found[pair] += [_of(event, micros) for event, micros in batch.movements[pair]]
    return found


def _read(pairs: Sequence[Pair], which: Q) -> dict[Pair, list[_Movement]]:
    """Amounts of standing events. One query."""
    found: dict[Pair, list[_Movement]] = defaultdict(list)
    if not pairs:
        return found
    rows = EventItem.objects.filter(which, lot__in={lot for lot, _h in pairs}, holder__in={each for _l, each in pairs})
    rows = rows.exclude(micros=0).filter(event__corrections__isnull=True).order_by("event_id", "number")
    columns = ("event__occurred_at", "event__precision", "event__tz_offset", "event__uid")
    for lot, holder, micros, at, precision, offset, uid in rows.values_list("lot", "holder", "micros", *columns):
        if lot is not None:
            span = moments.span(at, precision, offset)
            found[(lot, holder)].append(_Movement(span, moments.words(at, precision, offset), micros, str(uid)))
    return found


def _of(event: Event, micros: int) -> _Movement:
    """A movement whose event is not written yet."""
    span = moments.span(event.occurred_at, event.precision, event.tz_offset)
    words = moments.words(event.occurred_at, event.precision, event.tz_offset)
    return _Movement(span, words, micros, str(event.uid))


def _totals(goods: Iterable[Pair]) -> dict[Pair, int]:
    """What each holder has of each lot today, over all places."""
    pairs = set(goods)
    batch = current()
    found: dict[Pair, int] = defaultdict(int)
    if batch is not None:
        for lot, holder in pairs:
            batch.load_stock([lot], [holder])
            found[(lot, holder)] = sum(micros for _place, micros in batch.places_of(lot, holder))
        return found
    rows = Stock.objects.filter(lot__in={lot for lot, _h in pairs}, organisation__in={each for _l, each in pairs})
    for lot, holder, micros in rows.values_list("lot", "organisation", "micros"):
        found[(lot, holder)] += micros
    return found


# --- Days that were typed -------------------------------------------------------------------------------------------


def day_guards(draft: Draft) -> Iterator[BrokenGuard]:
    """A production date typed with a step is no later than the step, and no earlier than what went in.

    Of spirit put into a vat the earlier day refuses, since its age is counted from it; elsewhere it warns.
    """
    if all(new.produced_on is None for new in draft.outputs):
        return
    latest = moments.span(draft.occurred_at, draft.precision, draft.tz_offset).last.astimezone(SHANGHAI).date()
    inputs = [use.lot for use in draft.uses if use.lot is not None and use.role == "input"]
    days = dict.fromkeys((new.produced_on, new.restates, new.product) for new in draft.outputs)
    for day, lot, product in days:
        if day is None:
            continue
        if day > latest:
            yield BrokenGuard(
                "produced_after_event",
                _("生产日期 %(day)s 晚于这一环节的时间 %(when)s。请核对日期。")
                % {"day": day.isoformat(), "when": _when(draft)},
                lot=lot,
            )
        kept = same_goods(draft.template.code, product, inputs)
        younger = [(begun, each) for each in inputs if each not in kept and (begun := _day_of(each)) > day]
        if younger:
            begun, each = max(younger, key=lambda pair: pair[0])
            yield BrokenGuard(
                "produced_before_parent",
                _("日期 %(day)s 早于投入批次 %(lot)s 的产生日期 %(begun)s。请核对日期。")
                % {"day": day.isoformat(), "lot": each.code, "begun": begun.isoformat()},
                lot=each,
                warns=not draft.template.ageing_from,
                other_event=each.origin_event.uid,
            )


def same_goods(step: str, product: Product, inputs: Iterable[Lot]) -> list[Lot]:
    """The lots of a step's input that a new lot of this product is still the same goods as: all but packaging of a
    split, merger or repacking; of a rework those of the same product.
    """
    return [
        lot
        for lot in inputs
        if lot.product.kind != Product.Kind.PACKAGING
        and (step in SAME_GOODS or (step == "common.rework" and lot.product_id == product.pk))
    ]


def expiry_guards(draft: Draft) -> Iterator[BrokenGuard]:
    """A lot expires after it was made, no later than its product's shelf life allows, and not after the lot whose goods
    it still is.

    Counted from the production date, or from the step where none was typed. A shelf life in days stands for one in
    months counted as 30 days, so each month may be a day longer; what goes beyond that is refused.
    """
    if all(new.expires_on is None for new in draft.outputs):
        return
    span = moments.span(draft.occurred_at, draft.precision, draft.tz_offset)
    first, last = span.first.astimezone(SHANGHAI).date(), span.last.astimezone(SHANGHAI).date()
    inputs = [use.lot for use in draft.uses if use.lot is not None and use.role == "input"]
    for new in draft.outputs:
        ends, version = new.expires_on, new.product.current if new.restates is None else new.restates.product_version
        if ends is None or version is None:
            continue
        name = in_each_language(lambda version=version: version.label)  # type: ignore[misc]
        made = new.produced_on or (first if draft.template.moves == "transform" else None)
        if made is not None and ends < made:
            yield BrokenGuard(
                "expires_before_made",
                _("%(product)s 的保质期至 %(ends)s，早于生产日期 %(made)s。请核对日期。")
                % {"product": name, "ends": ends.isoformat(), "made": made.isoformat()},
                lot=new.restates,
            )
        older = [lot for lot in same_goods(draft.template.code, new.product, inputs) if lot.expires_on is not None]
        first_out = min(older, key=lambda lot: lot.expires_on or datetime.date.max, default=None)
        if first_out is not None and first_out.expires_on is not None and ends > first_out.expires_on:
            yield BrokenGuard(
                "expires_after_source",
                _(
                    "%(product)s 的保质期写到 %(ends)s，但它就是批次 %(lot)s 的货，那批到 %(right)s 为止。"
                    "保质期不能因分装而变长。"
                )
                % {
                    "product": name,
                    "ends": ends.isoformat(),
                    "lot": first_out.code,
                    "right": first_out.expires_on.isoformat(),
                },
                lot=new.restates,
                other_lot=first_out.uid,
            )
            continue
        days = version.shelf_life_days
        if not days:
            continue
        made = new.produced_on or last
        if (ends - made).days > days + days // 30 + 1:
            yield BrokenGuard(
                "expires_too_late",
                _(
                    "%(product)s 的保质期是 %(days)s 天，%(made)s 生产的应到 %(right)s 为止，这里写的是 %(ends)s。"
                    "请核对日期，或先改产品的保质期。"
                )
                % {
                    "product": name,
                    "days": days,
                    "made": made.isoformat(),
                    "right": (made + datetime.timedelta(days=days)).isoformat(),
                    "ends": ends.isoformat(),
                },
                lot=new.restates,
            )


def _day_of(lot: Lot) -> datetime.date:
    """The first day a lot can have been there: of what was there before the system or came from outside, the day
    written down for it.
    """
    event = lot.origin_event
    step = templates().get(event.template)
    if lot.produced_on is not None and step is not None and step.moves in ("create", "receive"):
        return lot.produced_on
    return moments.span(event.occurred_at, event.precision, event.tz_offset).first.astimezone(SHANGHAI).date()


# --- Circles --------------------------------------------------------------------------------------------------------


def circle_guards(draft: Draft) -> Iterator[BrokenGuard]:
    """No lot is made of what was made of it: only where goods go into a lot that was there before. Where that cannot be
    walked to its end from either side, it is said.
    """
    into = [new.restates for new in draft.outputs if new.restates is not None] + draft.added_to
    inputs = [use.lot for use in draft.uses if use.lot is not None and use.role == "input"]
    if not into or not inputs:
        return
    below = walk(into, "forward")
    for lot in inputs:
        made = is_descendant(lot.pk, below.start) if below.cut else lot.pk in below.level
        if made is None:
            yield not_all_below(below, into[0])
        if made:
            yield BrokenGuard(
                "made_of_itself",
                _("批次 %(lot)s 是用批次 %(made)s 做成的，不能又投入它。请核对投入批次。")
                % {"lot": lot.code, "made": into[0].code},
                lot=into[0],
                other_lot=lot.uid,
            )


def _when(draft: Draft) -> str:
    return moments.words(draft.occurred_at, draft.precision, draft.tz_offset)
