"""Rules a fact may break. They refuse commands and flag reports (architecture.md, rule 1); they never write.

Each guard looks at a whole draft at once and returns what it found, naming the other record, so that one event costs a
fixed number of queries however many lots it touches.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Sum
from django.utils.translation import gettext as _

from trace.batch import current, once_per_batch
from trace.errors import BrokenGuard
from trace.models import HoldMember, HoldSet, Lot, Organisation, Stock
from trace.pack_guards import unit_guards
from trace.units import format_amount

if TYPE_CHECKING:
    from trace.actions.capture import Draft

# What holds and recalls call for is never blocked by them (architecture.md, rule 1).
BLOCKED_MOVES = frozenset({"transform", "ship", "retail", "pack", "place_on_sale", "code", "recode"})
SHANGHAI = datetime.timezone(datetime.timedelta(hours=8))


@dataclass(frozen=True)
class Blocking:
    """Why a lot may not move: the active hold and, in a partial hold, to whom or which numbers it applies."""

    lot_id: int
    hold: HoldSet
    holder_id: int | None
    unit_from: int | None
    unit_to: int | None


def blocking(lots: Iterable[Lot | int], *, holder: Organisation | None = None) -> dict[int, list[Blocking]]:
    """Active holds per lot id, one query; partial ones by holder are left out for other holders when one is named."""
    ids = [lot if isinstance(lot, int) else lot.pk for lot in lots]
    found: dict[int, list[Blocking]] = defaultdict(list)
    for member in _members(ids):
        if holder is not None and member.holder_id not in (None, holder.pk):
            continue
        found[member.lot_id].append(
            Blocking(member.lot_id, member.hold, member.holder_id, member.unit_from, member.unit_to)
        )
    return dict(found)


def _members(lots: list[int]) -> list[HoldMember]:
    """Members of active holds, the oldest hold first; in a batch each lot is asked about once."""

    def find() -> list[HoldMember]:
        members = HoldMember.objects.filter(
            lot__in=lots, hold__active_from__isnull=False, hold__ended_at__isnull=True
        ).select_related("hold", "hold__organisation")
        return list(members.order_by("hold_id"))

    return once_per_batch("holds", tuple(lots), find)


def stock_there(lots: Iterable[int], holders: Iterable[int]) -> dict[tuple[int, int, int | None], int]:
    """Millionths by lot, holder and place, with what an open batch has moved already. One query."""
    batch = current()
    if batch is not None:
        batch.load_stock(lots, holders)
        return batch.stock
    rows = Stock.objects.filter(lot__in=lots, organisation__in=holders).values_list("lot", "organisation", "place")
    return {(lot, holder, place): n for lot, holder, place, n in rows.annotate(n=Sum("micros"))}


def broken_guards(draft: Draft) -> list[BrokenGuard]:
    """Every guard this draft breaks, in a fixed order."""
    found: list[BrokenGuard] = []
    for guard in (
        _void_lots,
        _blocked_lots,
        _chronology,
        _unreleased,
        _expired,
        _closed_lots,
        _not_enough,
        _gain,
        _receipt,
        unit_guards,
    ):
        found.extend(guard(draft))
    return found


def _receipt(draft: Draft) -> Iterator[BrokenGuard]:
    """A receipt that differs from what was sent, or was earlier than the sending."""
    latest = _latest(draft)
    for use in draft.uses:
        if use.transfer is None or use.lot is None:
            continue
        unit = use.lot.product.base_unit
        if use.micros != use.transfer.sent_micros:
            yield BrokenGuard(
                "received_differs",
                _("批次 %(lot)s 发出 %(sent)s，收到 %(got)s，数量不一致。")
                % {
                    "lot": use.lot.code,
                    "sent": format_amount(use.transfer.sent_micros, unit),
                    "got": format_amount(use.micros, unit),
                },
                lot=use.lot,
                shipment=use.transfer.shipment.number,
            )
        if latest < use.transfer.shipment.sent_at:
            yield BrokenGuard(
                "before_shipping",
                _("收货时间早于发货单 %(number)s 的发货时间，请核对。") % {"number": use.transfer.shipment.number},
                lot=use.lot,
            )


def _void_lots(draft: Draft) -> Iterator[BrokenGuard]:
    for lot in draft.known_lots():
        if lot.voided_by_id is not None:
            yield BrokenGuard(
                "lot_void", _("批次 %(lot)s 的登记已被声明有误，不能再使用。") % {"lot": lot.code}, lot=lot
            )


def _blocked_lots(draft: Draft) -> Iterator[BrokenGuard]:
    if draft.template.moves not in BLOCKED_MOVES:
        return
    outgoing = {use.lot.pk: use.lot for use in draft.uses if use.lot is not None}
    if not outgoing:
        return
    for lot_id, holds in blocking(outgoing.values(), holder=draft.organisation).items():
        lot = outgoing[lot_id]
        hold = holds[0].hold
        yield BrokenGuard(
            "lot_blocked",
            _("批次 %(lot)s 处于“%(kind)s”，不能使用、发货或赋码。原因：%(reason)s")
            % {"lot": lot.code, "kind": hold.get_kind_display(), "reason": hold.reason},
            lot=lot,
            hold=hold.uid,
        )


def _latest(draft: Draft) -> datetime.datetime:
    """The last instant the event may have happened at: a day-precise event may be any minute of its day."""
    if draft.precision == "day":
        day = draft.occurred_at.astimezone(SHANGHAI).date()
        return datetime.datetime.combine(day, datetime.time.max, SHANGHAI)
    return draft.occurred_at


def _chronology(draft: Draft) -> Iterator[BrokenGuard]:
    latest = _latest(draft)
    for lot in draft.known_lots():
        if latest < lot.begun_at:
            yield BrokenGuard(
                "before_parent",
                _("时间不对：批次 %(lot)s 到 %(begun)s 才产生，这一环节写的是 %(when)s。请核对时间。")
                % {
                    "lot": lot.code,
                    "begun": lot.begun_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M"),
                    "when": draft.occurred_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M"),
                },
                lot=lot,
            )


def _unreleased(draft: Draft) -> Iterator[BrokenGuard]:
    if draft.template.moves not in ("ship", "retail"):
        return
    latest = _latest(draft)
    for lot in draft.known_lots():
        if not lot.needs_release:
            continue
        if lot.released_by is None:
            yield BrokenGuard(
                "not_released",
                _("批次 %(lot)s 还没有放行，不能出厂。请先由质量负责人放行。") % {"lot": lot.code},
                lot=lot,
            )
        elif latest < lot.released_by.occurred_at and lot.organisation_id == draft.organisation.pk:
            yield BrokenGuard(
                "before_release",
                _("批次 %(lot)s 到 %(released)s 才放行，发货时间却更早。请核对时间。")
                % {
                    "lot": lot.code,
                    "released": lot.released_by.occurred_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M"),
                },
                lot=lot,
            )


def _expired(draft: Draft) -> Iterator[BrokenGuard]:
    if draft.template.moves not in ("ship", "retail", "transform"):
        return
    day = draft.occurred_at.astimezone(SHANGHAI).date()
    for use in draft.uses:
        if use.lot is not None and use.lot.expires_on is not None and day > use.lot.expires_on:
            yield BrokenGuard(
                "lot_expired",
                _("批次 %(lot)s 的保质期到 %(day)s 为止，已经过期。")
                % {"lot": use.lot.code, "day": use.lot.expires_on.isoformat()},
                lot=use.lot,
            )


def _closed_lots(draft: Draft) -> Iterator[BrokenGuard]:
    """Vessels: a lot takes no input after its first output (architecture.md, rule 5)."""
    for lot in draft.added_to:
        if lot.links_down.filter(voided_by__isnull=True).exists() or lot.transfers.filter(voided_by=None).exists():
            yield BrokenGuard(
                "lot_closed",
                _("批次 %(lot)s 已经用过或发出过，不能再往里加。续加请登记为一个新批次。") % {"lot": lot.code},
                lot=lot,
            )


def _not_enough(draft: Draft) -> Iterator[BrokenGuard]:
    wanted: dict[tuple[int, int, int | None], int] = defaultdict(int)
    lots: dict[int, Lot] = {}
    for use in draft.uses:
        if use.lot is not None and use.micros < 0:
            wanted[(use.lot.pk, use.holder.pk, use.place.pk if use.place else None)] += -use.micros
            lots[use.lot.pk] = use.lot
    if not wanted:
        return
    have = stock_there(lots, {holder for _lot, holder, _place in wanted})
    for (lot_id, holder_id, place_id), micros in wanted.items():
        there = have.get((lot_id, holder_id, place_id), 0)
        if micros > there:
            lot = lots[lot_id]
            unit = lot.product.base_unit
            yield BrokenGuard(
                "not_enough",
                _("批次 %(lot)s 在该处只有 %(have)s，不够 %(want)s。")
                % {"lot": lot.code, "have": format_amount(there, unit), "want": format_amount(micros, unit)},
                lot=lot,
                have=there,
                want=micros,
            )


def _gain(draft: Draft) -> Iterator[BrokenGuard]:
    """More out than in: weight (or volume) does not grow by itself, except where the step adds water."""
    if draft.template.moves != "transform" or draft.template.gains_water:
        return
    units = {use.lot.product.base_unit for use in draft.uses if use.lot is not None and use.role == "input"}
    units |= {new.product.base_unit for new in draft.outputs}
    if len(units) != 1 or units <= {"C62"}:
        return
    unit = units.pop()
    taken = sum(-use.micros for use in draft.uses if use.role == "input")
    made = sum(new.micros for new in draft.outputs) + sum(use.micros for use in draft.uses if use.role == "output")
    if made > taken:
        yield BrokenGuard(
            "more_out_than_in",
            _("产出 %(made)s 多于投入 %(taken)s。请核对数量，或补上漏记的投入批次。")
            % {"made": format_amount(made, unit), "taken": format_amount(taken, unit)},
        )
