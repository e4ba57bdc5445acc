"""Packs changing hands: what is shipped, received or returned follows from what lies in the packs that are scanned."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from trace.actions.capture import Captured
from trace.actions.events import Portion, When
from trace.actions.packs import MOST, named_units, refuse_unusable
from trace.actions.transfers import receive_shipment, ship_lots, take_back
from trace.actor import Actor
from trace.errors import BrokenGuard, DomainError, GuardBroken, Invalid
from trace.ledger import lock_log_head
from trace.models import Lot, Organisation, Place, Shipment, Stock, Transfer, Unit
from trace.packs import (
    WITH,
    Share,
    amount_of,
    arriving,
    contents,
    micros_of,
    totals,
    unit_code,
    units_visible_to,
)
from trace.sentences import gettext as _
from trace.units import EnteredAmount, decimal_text, parse_amount

LOT = ("product__current", "product_version", "organisation", "released_by")


@dataclass
class Load:
    """What some packs come to: the outermost of those named, the leaves of each, and each lot with its leaves by level.

    ``parted`` are those that leave a pack they lie in, which stays behind.
    """

    units: list[Unit]
    shares: dict[int, list[Share]]
    lots: dict[int, Lot] = field(default_factory=dict)

    @property
    def levels(self) -> dict[int, dict[str, int]]:
        """Leaves by lot and level."""
        return totals(share for unit in self.units for share in self.shares.get(unit.pk, []))

    @property
    def parted(self) -> list[Unit]:
        """Units that are taken out of a pack by going."""
        return [unit for unit in self.units if unit.parent_id is not None]

    def amounts(self) -> list[tuple[Lot, EnteredAmount]]:
        """How much of each lot. Raises Invalid ``content_unknown`` where a product does not say what a leaf holds."""
        return [(self.lots[pk], amount_of(self.lots[pk], levels)) for pk, levels in self.levels.items()]


def load_of(units: Sequence[Unit]) -> Load:
    """What these come to, each counted once: a carton named beside its pallet goes with the pallet. Five queries.

    Refuses packs with nothing in them (``pack_empty``).
    """
    named = {unit.pk for unit in units}
    outer = [unit for unit in units if not named & set(_around(unit))]
    shares = contents([unit.pk for unit in outer])
    empty = [unit for unit in outer if not shares.get(unit.pk)]
    if empty:
        raise Invalid(_("包装 %(pack)s 里没有登记过单件。") % {"pack": empty[0].code}, code="pack_empty")
    load = Load(outer, shares)
    load.lots = Lot.objects.select_related(*LOT).in_bulk(load.levels)
    return load


def _around(unit: Unit) -> list[int]:
    """The packs around a unit, innermost first."""
    found: list[int] = []
    while unit.parent is not None:
        unit = unit.parent
        found.append(unit.pk)
    return found


# --- Sending --------------------------------------------------------------------------------------------------------


def foreseen(run: Callable[[], object]) -> GuardBroken | None:
    """The guards that would refuse this, asked by doing it and taking it back: who looks first is told what comes.

    Nothing stays written. Other refusals are the page's to show when it is done in earnest.
    """
    try:
        with transaction.atomic():
            run()
            transaction.set_rollback(True)
    except GuardBroken as error:
        return error
    except DomainError:
        return None
    return None


def load_to_ship(*, by: Actor, packs: Sequence[str]) -> Load:
    """What shipping these would come to, before anything is written.

    Refuses as ``ship_packs`` does for codes.
    """
    units = named_units(by, packs)
    if not units:
        raise Invalid(_("请扫描要发的托盘、箱或单件。"), code="packs_required")
    return load_of(units)


@transaction.atomic
def ship_packs(
    *,
    by: Actor,
    receiver: Organisation,
    packs: Sequence[str],
    when: When,
    portions: Sequence[Portion] = (),
    place: Place | None = None,
    data: Mapping[str, Any] | None = None,
    remark: str = "",
    insist: bool = False,
    at: datetime.datetime | None = None,
) -> Shipment:
    """Send packs and loose units: the slip's lines follow from what lies in them, and all inside goes along.

    What lies in a pack that stays behind leaves it by this event: a partial shipment splits a pallet. ``portions`` are
    uncoded goods sent on the same slip. Refuses as ``ship_lots`` does, and: nothing named (``packs_required``), empty
    packs (``pack_empty``), codes not the sender's (``unit_unknown``), void or replaced ones, a product that does not
    say what a leaf holds (``content_unknown``). By guards: packs on their way or in others' hands.
    """
    by.require("operator", "quality")
    lock_log_head()
    load = load_to_ship(by=by, packs=packs)
    return ship_lots(
        by=by,
        receiver=receiver,
        portions=[*_by_place(load, by, place), *portions],
        when=when,
        place=place,
        data=data,
        remark=remark,
        insist=insist,
        units=load.units,
        at=at,
    )


def _by_place(load: Load, by: Actor, place: Place | None) -> list[Portion]:
    """The load's portions, from the place where a lot lies; from several where no one has enough of it."""
    stocks: dict[int, list[Stock]] = {}
    rows = Stock.objects.filter(lot__in=load.lots, organisation=by.owner, micros__gt=0).select_related("place")
    for row in rows.order_by("-micros", "id"):
        stocks.setdefault(row.lot_id, []).append(row)
    found: list[Portion] = []
    for lot, amount in load.amounts():
        there = sorted(stocks.get(lot.pk, []), key=lambda row: place is None or row.place_id != place.pk)
        whole = next((row for row in there if row.micros >= amount.micros), None)
        if whole is not None or sum(row.micros for row in there) < amount.micros:
            found.append(Portion(lot, amount, place=whole.place if whole is not None else None))
            continue
        left = amount.micros
        for row in there:
            part = min(left, row.micros)
            if part:
                found.append(Portion(lot, _exact(lot, part), place=row.place))
            left -= part
    return found


def _exact(lot: Lot, micros: int) -> EnteredAmount:
    """An amount in the base unit."""
    base = lot.product.base_unit
    return parse_amount(decimal_text(micros), base, base, {}, allow_zero=True)


# --- Receiving ------------------------------------------------------------------------------------------------------


@dataclass
class Arrival:
    """A slip's packs against what was scanned: those seen, those of the slip nobody saw, and the amounts that follow.

    ``loose`` are goods of the slip that lie in no pack: they count as arrived unless the receiver says otherwise. Lines
    that a captured event answered before are left out.
    """

    seen: Load
    missing: list[Unit]
    received: dict[Transfer, EnteredAmount]


def arrival_of(*, by: Actor, shipment: Shipment, packs: Sequence[str]) -> Arrival:
    """What scanning these of a slip's packs says arrived, before anything is written.

    A carton scanned alone stands for itself, not for its pallet. Refuses codes that are not on the slip
    (``not_on_slip``) and void ones.
    """
    if len(packs) > MOST:
        raise Invalid(_("最多 %(most)d 项，请分几次登记。") % {"most": MOST}, code="too_many_items")
    wanted = list(dict.fromkeys(unit_code(code) for code in packs))
    found: dict[str, Unit] = {}
    for begin in range(0, len(wanted), 500):
        rows = units_visible_to(by).filter(code__in=wanted[begin : begin + 500])
        found |= {unit.code: unit for unit in rows.select_related(*WITH, "replaced_by")}
    strange = [code for code in wanted if code not in found or found[code].top.transit_id != shipment.event_id]
    if strange:
        raise Invalid(
            _("单件 %(unit)s 不在这张发货单上。") % {"unit": strange[0]}, code="not_on_slip", codes=strange[:20]
        )
    seen = load_of(refuse_unusable(wanted, found))
    on_slip = list(arriving(shipment))
    all_of_it = contents([unit.pk for unit in on_slip])
    seen = _whole_again(seen, on_slip, all_of_it)
    arrived = {unit.pk for unit in seen.units}
    sent = totals(share for shares in all_of_it.values() for share in shares)
    received = {
        transfer: _arrived_amount(transfer, sent, seen.levels)
        for transfer in shipment.transfers.filter(received_by=None).select_related(
            "lot__product__current", "lot__product_version"
        )
    }
    return Arrival(seen, [unit for unit in on_slip if unit.pk not in arrived], received)


def _whole_again(seen: Load, on_slip: Sequence[Unit], all_of_it: Mapping[int, list[Share]]) -> Load:
    """The same load, where a pallet all of whose cartons were scanned one by one arrived as the pallet."""
    parts: dict[int, list[Unit]] = {}
    for unit in seen.units:
        parts.setdefault(unit.top.pk, []).append(unit)
    units: list[Unit] = []
    shares = dict(seen.shares)
    tops = {unit.pk: unit for unit in on_slip}
    for pk, inside in parts.items():
        whole = totals(all_of_it.get(pk, []))
        if pk in tops and whole == totals(share for unit in inside for share in shares.get(unit.pk, [])):
            units.append(tops[pk])
            shares[pk] = all_of_it[pk]
        else:
            units.extend(inside)
    return Load(units, shares, seen.lots)


def _arrived_amount(
    transfer: Transfer, sent: Mapping[int, Mapping[str, int]], seen: Mapping[int, Mapping[str, int]]
) -> EnteredAmount:
    """What arrived of one line: what was scanned, and what travelled outside packs."""
    lot = transfer.lot
    in_packs = micros_of(lot, sent.get(lot.pk, {})) or 0
    scanned = micros_of(lot, seen.get(lot.pk, {})) or 0
    loose = max(transfer.sent_micros - in_packs, 0)
    if not loose and scanned:
        return amount_of(lot, seen[lot.pk])
    return _exact(lot, scanned + loose)


@transaction.atomic
def receive_packs(
    *,
    by: Actor,
    shipment: Shipment,
    packs: Sequence[str],
    when: When,
    place: Place | None = None,
    data: Mapping[str, Any] | None = None,
    remark: str = "",
    insist: bool = False,
    at: datetime.datetime | None = None,
) -> Captured:
    """Confirm a slip by scanning its packs, a pallet once for all that is on it.

    What was not scanned did not arrive: it stays on its way, the amounts say so and both sides see the difference; the
    receiver has to ``insist`` on that (``packs_missing``). Otherwise as ``receive_shipment`` and ``arrival_of``.
    """
    by.require("operator", "quality")
    lock_log_head()
    arrival = arrival_of(by=by, shipment=shipment, packs=packs)
    if arrival.missing and not insist:
        guard = packs_missing(arrival)
        raise GuardBroken(guard.message, [guard])
    return receive_shipment(
        by=by,
        shipment=shipment,
        received=arrival.received,
        when=when,
        place=place,
        data=data,
        remark=remark,
        units=arrival.seen.units,
        at=at,
    )


def packs_missing(arrival: Arrival) -> BrokenGuard:
    """Says which packs of the slip nobody scanned."""
    codes = _("、").join(unit.code for unit in arrival.missing[:5])
    return BrokenGuard(
        "packs_missing",
        _("发货单上还有 %(n)d 个包装没有扫到：%(codes)s。没有收到的，请确认按未收到登记。")
        % {"n": len(arrival.missing), "codes": codes},
    )


# --- Returns --------------------------------------------------------------------------------------------------------


@transaction.atomic
def take_back_packs(
    *,
    by: Actor,
    source: Organisation,
    packs: Sequence[str],
    when: When,
    place: Place | None = None,
    data: Mapping[str, Any] | None = None,
    remark: str = "",
    at: datetime.datetime | None = None,
) -> Captured:
    """Packs and units came back from a holder: amounts follow from what lies in them. A report, as ``take_back`` is.

    What comes back out of a pack that stays there leaves it. Refuses codes of lots the actor may not open
    (``unit_unknown``), void and replaced ones.
    """
    by.require("operator", "quality")
    lock_log_head()
    load = load_to_take_back(by=by, packs=packs)
    portions = [Portion(lot, amount) for lot, amount in load.amounts()]
    return take_back(
        by=by,
        source=source,
        portions=portions,
        when=when,
        place=place,
        data=data,
        remark=remark,
        units=load.units,
        at=at,
    )


def load_to_take_back(*, by: Actor, packs: Sequence[str]) -> Load:
    """What taking these back would come to, before anything is written."""
    if len(packs) > MOST:
        raise Invalid(_("最多 %(most)d 项，请分几次登记。") % {"most": MOST}, code="too_many_items")
    wanted = list(dict.fromkeys(unit_code(code) for code in packs))
    if not wanted:
        raise Invalid(_("请扫描退回的托盘、箱或单件。"), code="packs_required")
    found: dict[str, Unit] = {}
    for begin in range(0, len(wanted), 500):
        rows = units_visible_to(by).filter(code__in=wanted[begin : begin + 500])
        found |= {unit.code: unit for unit in rows.select_related(*WITH, "replaced_by")}
    return load_of(refuse_unusable(wanted, found))
