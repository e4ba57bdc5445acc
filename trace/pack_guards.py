"""Guards about units and packs: where a unit is by the events, against where this event says it is.

Judged under the head of the log from fresh rows, so that of two people packing the same bottle one is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from django.db.models import Sum

from trace.errors import BrokenGuard
from trace.models import Lot, Stock, Unit
from trace.packs import WITH, contents, micros_of, packed_of, totals
from trace.sentences import gettext as _
from trace.units import amount_said

if TYPE_CHECKING:
    from trace.actions.capture import Draft

MOST_NAMED = 5
"""Units named in one sentence of a guard; the rest are counted."""


def unit_guards(draft: Draft) -> Iterator[BrokenGuard]:
    """Every guard about units that this draft breaks. Asks nothing for events that name no unit."""
    judge = _JUDGES.get(draft.template.moves)
    named = [use.unit.pk for use in draft.uses if use.unit is not None]
    if judge is None or not named:
        return
    rows = Unit.objects.filter(pk__in=named).select_related(*WITH).in_bulk()
    yield from judge(draft, [rows[pk] for pk in dict.fromkeys(named)])


def _packing(draft: Draft, units: Sequence[Unit]) -> Iterator[BrokenGuard]:
    """Into a pack: lies nowhere else, is in our hands, of lots in stock, no more than there is of them."""
    pack, *inside = units
    elsewhere = [unit for unit in inside if unit.parent_id not in (None, pack.pk)]
    yield from _each(
        elsewhere,
        lambda unit: BrokenGuard(
            "already_packed",
            _("单件 %(unit)s 已经装在 %(pack)s 里，请先拆箱。") % {"unit": unit.code, "pack": _parent_code(unit)},
            lot=unit.lot,
        ),
    )
    yield from _in_our_hands(draft, units)
    inside_of = contents([unit.pk for unit in inside])
    going_in = totals(share for shares in inside_of.values() for share in shares)
    lots = {lot.pk: lot for lot in Lot.objects.filter(pk__in=going_in).select_related(*_LOT)}
    yield from _label_of_another_lot(pack, lots)
    new = [unit.pk for unit in inside if unit.top.pk != pack.top.pk and not _packed_by_us(draft, unit)]
    yield from _more_than_there_is(draft, lots, totals(share for pk in new for share in inside_of.get(pk, [])))


_LOT = ("product__current", "product_version")


def _packed_by_us(draft: Draft, unit: Unit) -> bool:
    """Whether what is in this unit counts as packed by the holder already (a carton that goes onto a pallet)."""
    return unit.top.holder_id == draft.organisation.pk and (unit.container or unit.parent_id is not None)


def _label_of_another_lot(pack: Unit, lots: Mapping[int, Lot]) -> Iterator[BrokenGuard]:
    """A carton whose printed code was issued for one lot says that lot to whoever scans it."""
    others = [lot for lot in lots.values() if lot.pk != pack.lot_id]
    if pack.run is not None and others:
        yield BrokenGuard(
            "pack_of_another_lot",
            _("包装码 %(pack)s 是为批次 %(own)s 签发的，装进批次 %(other)s 会使扫码的人看到错的批次。请换一个包装码。")
            % {"pack": pack.code, "own": pack.lot.code, "other": others[0].code},
            lot=others[0],
        )


def _more_than_there_is(
    draft: Draft, lots: Mapping[int, Lot], going_in: Mapping[int, Mapping[str, int]]
) -> Iterator[BrokenGuard]:
    """Lots the holder has nothing of; and more leaves in its packs than it has of the lot."""
    rows = (
        Stock.objects.filter(lot__in=lots, organisation=draft.organisation).values_list("lot").annotate(Sum("micros"))
    )
    have: dict[int, int] = dict(rows.order_by())
    packed = packed_of(list(going_in), draft.organisation) if going_in else {}
    for pk, lot in lots.items():
        there = have.get(pk, 0)
        if there <= 0:
            yield BrokenGuard("not_in_stock", _("批次 %(lot)s 现在没有库存，不能装箱。") % {"lot": lot.code}, lot=lot)
            continue
        levels = dict(packed.get(pk, {}))
        for level, count in going_in.get(pk, {}).items():
            levels[level] = levels.get(level, 0) + count
        want = micros_of(lot, levels)
        if pk in going_in and want is not None and want > there:
            yield BrokenGuard(
                "packed_more_than_stock",
                _("批次 %(lot)s 现有 %(have)s，装箱的合计却有 %(want)s。请核对单件码，或补登记入库。")
                % {
                    "lot": lot.code,
                    "have": amount_said(there, lot.product.base_unit),
                    "want": amount_said(want, lot.product.base_unit),
                },
                lot=lot,
                have=there,
                want=want,
            )


def _unpacking(draft: Draft, units: Sequence[Unit]) -> Iterator[BrokenGuard]:
    """Out of a pack: lies in this one, and the pack is in our hands."""
    pack, *inside = units
    yield from _each(
        [unit for unit in inside if unit.parent_id != pack.pk],
        lambda unit: BrokenGuard(
            "not_in_pack",
            _("单件 %(unit)s 登记的不在包装 %(pack)s 里。") % {"unit": unit.code, "pack": pack.code},
            lot=unit.lot,
        ),
    )
    yield from _in_our_hands(draft, [pack])


def _in_our_hands(draft: Draft, units: Sequence[Unit]) -> Iterator[BrokenGuard]:
    """Units that are on their way, or that somebody else has by the events. Whose they are is not told."""
    yield from _each([unit for unit in units if unit.top.transit_id is not None], _on_its_way)
    yield from _each(
        [unit for unit in units if unit.top.holder_id not in (None, draft.organisation.pk)],
        lambda unit: BrokenGuard(
            "not_in_custody",
            _("单件 %(unit)s 登记的不在本单位手里。请先登记收货或退货。") % {"unit": unit.code},
            lot=unit.lot,
        ),
    )


def _on_its_way(unit: Unit) -> BrokenGuard:
    return BrokenGuard(
        "unit_in_transit",
        _("单件 %(unit)s 已登记发货，还没有确认收货。请先确认收货。") % {"unit": unit.code},
        lot=unit.lot,
    )


def _arriving(draft: Draft, units: Sequence[Unit]) -> Iterator[BrokenGuard]:
    """Received though it is not on the way by the slip that is answered."""
    slips = {use.transfer.shipment.event_id for use in draft.uses if use.transfer is not None}
    yield from _each(
        [unit for unit in units if unit.top.transit_id not in slips],
        lambda unit: BrokenGuard(
            "not_on_slip", _("单件 %(unit)s 不在这张发货单上。") % {"unit": unit.code}, lot=unit.lot
        ),
    )


def _returning(draft: Draft, units: Sequence[Unit]) -> Iterator[BrokenGuard]:
    """Came back from somebody who does not have it by the events."""
    source = draft.counterparty
    yield from _each(
        [unit for unit in units if unit.top.holder_id not in (None, source.pk if source else None)],
        lambda unit: BrokenGuard(
            "not_in_custody",
            _("单件 %(unit)s 登记的不在退货单位手里。") % {"unit": unit.code},
            lot=unit.lot,
        ),
    )


def _each(units: Sequence[Unit], guard: Callable[[Unit], BrokenGuard]) -> Iterator[BrokenGuard]:
    """One guard for each of the first few units; more would bury the answer."""
    yield from (guard(unit) for unit in units[:MOST_NAMED])


def _parent_code(unit: Unit) -> str:
    return unit.parent.code if unit.parent is not None else ""


_JUDGES: Mapping[str, Callable[[Draft, Sequence[Unit]], Iterator[BrokenGuard]]] = {
    "pack": _packing,
    "unpack": _unpacking,
    "ship": _in_our_hands,
    "receive": _arriving,
    "return": _returning,
    "recode": _in_our_hands,
}
