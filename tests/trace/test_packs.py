"""Bottles in cartons on pallets: what lies where, who has it, how much it is; damaged codes; pallets sold in parts."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.goods import day, make_lot, receive, released, stock_of
from tests.world import World, make_place, make_product
from trace.actions.corrections import declare_error
from trace.actions.pack_shipments import receive_packs, ship_packs, take_back_packs
from trace.actions.packs import pack_units, replace_code, reserve_pack_codes, set_gs1_prefix, unpack_units
from trace.actions.rebuild import rebuild
from trace.actions.unit_codes import commission_units
from trace.actor import Actor
from trace.errors import DomainError, GuardBroken
from trace.identifiers import new_serials, normalise_sscc, sscc_of
from trace.models import Event, EventItem, IssuedCodes, Lot, Shipment, Unit
from trace.pack_page import unit_page
from trace.packs import contents, totals

MILLION = 1_000_000
PREFIX = "9520000"


@dataclass
class Hall:
    """A bottling hall: released lots of half-litre bottles with a code each, and what to pack them with."""

    world: World
    actor: Actor
    days: Any = field(default_factory=lambda: itertools.count(5))

    def lot(self, bottles: int, litres: str = "", codes: int | None = None) -> Lot:
        """A released lot of so many bottles; ``codes`` of them carry a code (all, if not said)."""
        world = self.world
        made = make_lot(world.distillery, world.baijiu, litres or str(bottles / 2), place=world.cellar)
        released(world.distillery, world.distillery_quality, made)
        self.codes(made, bottles if codes is None else codes)
        return made

    def codes(self, lot: Lot, count: int, level: str = "item") -> list[Unit]:
        """Codes for units of a lot."""
        first = Unit.objects.filter(lot=lot).count() + 1
        event = commission_units(
            by=self.actor,
            lot=lot,
            codes=new_serials(count),
            level=level,
            first_number=first,
            label_template="a4",
            when=day(3),
        )
        return list(Unit.objects.filter(code__in=event.issued_codes.listed()).order_by("number"))

    def pack(self, children: list[Unit], *, parent: str = "", by: Actor | None = None, **more: Any) -> Unit:
        """Put units into a new carton (or the pack named)."""
        captured = pack_units(
            by=by or self.actor,
            parent=parent,
            children=[unit.code for unit in children],
            when=day(next(self.days)),
            **more,
        )
        return Unit.objects.get(code=captured.event.data["parent"])

    def cartons(self, lot: Lot, each: int = 6) -> list[Unit]:
        """All coded bottles of a lot in cartons."""
        bottles = list(Unit.objects.filter(lot=lot, level="item", parent=None).order_by("number"))
        return [self.pack(bottles[start : start + each]) for start in range(0, len(bottles), each)]

    def pallet(self, cartons: list[Unit]) -> Unit:
        """A pallet of these cartons."""
        return self.pack(cartons, code="common.palletise")

    def ship(self, *packs: Unit, to: Actor | None = None, by: Actor | None = None, **more: Any) -> Shipment:
        """Send packs."""
        return ship_packs(
            by=by or self.actor,
            receiver=(to or self.world.distributor).organisation,
            packs=[pack.code for pack in packs],
            when=day(next(self.days)),
            **more,
        )

    def receive(self, shipment: Shipment, *packs: Unit, by: Actor | None = None, **more: Any) -> Any:
        """Confirm by scanning."""
        return receive_packs(
            by=by or self.world.distributor,
            shipment=shipment,
            packs=[pack.code for pack in packs],
            when=day(next(self.days)),
            **more,
        )


@pytest.fixture
def hall(world: World) -> Hall:
    """The distillery's bottling hall."""
    return Hall(world, world.distillery)


def fresh(unit: Unit) -> Unit:
    """The row as it is now."""
    return Unit.objects.select_related("parent__parent__parent").get(pk=unit.pk)


def refused(code: str, run: Callable[..., Any], *args: Any, **values: Any) -> DomainError:
    """Fail unless the call is refused with this code."""
    with pytest.raises(DomainError) as error:
        run(*args, **values)
    found = {guard.code for guard in error.value.broken} if isinstance(error.value, GuardBroken) else set()
    assert code in {error.value.code, *found}, (error.value.code, found)
    return error.value


def consistent() -> None:
    """Fail unless every derived row says what the events say."""
    assert rebuild(write=False).differences == []


# --- Packing --------------------------------------------------------------------------------------------------------


def test_a_pallet_is_counted_down_to_its_bottles(hall: Hall) -> None:
    lot = hall.lot(24)
    pallet = hall.pallet(hall.cartons(lot))
    assert (pallet.level, len(pallet.code), pallet.holder) == ("pallet", 12, hall.actor.organisation)
    assert totals(contents([pallet.pk])[pallet.pk]) == {lot.pk: {"item": 24}}
    bottle = Unit.objects.filter(lot=lot, level="item").select_related("parent__parent__parent").first()
    assert bottle is not None
    assert (bottle.top, bottle.holder) == (pallet, None), "who has it is said by the outermost pack alone"
    consistent()


def test_a_pallet_of_several_lots_follows_from_its_leaves(hall: Hall) -> None:
    one, other = hall.lot(6), hall.lot(6)
    pallet = hall.pallet([*hall.cartons(one), *hall.cartons(other)])
    assert totals(contents([pallet.pk])[pallet.pk]) == {one.pk: {"item": 6}, other.pk: {"item": 6}}
    event = Event.objects.get(template="common.palletise")
    assert set(event.items.filter(lot__isnull=False).values_list("lot", flat=True)) == {one.pk, other.pk}
    shipment = hall.ship(pallet)
    assert {row.lot_id: row.sent_micros for row in shipment.transfers.all()} == {
        one.pk: 3 * MILLION,
        other.pk: 3 * MILLION,
    }
    consistent()


def test_a_bottle_is_packed_once(hall: Hall) -> None:
    lot = hall.lot(12)
    first, second = list(Unit.objects.filter(lot=lot).order_by("number"))[:2]
    carton = hall.pack([first])
    error = refused("already_packed", hall.pack, [first, second])
    assert carton.code in error.message
    assert not Unit.objects.filter(level="carton").exclude(pk=carton.pk).exists(), "no empty carton is left behind"
    hall.pack([first, second], insist=True)
    assert fresh(first).parent != carton
    consistent()


def test_a_pack_goes_only_into_a_larger_one(hall: Hall) -> None:
    lot = hall.lot(2)
    bottle, other = Unit.objects.filter(lot=lot).order_by("number")
    carton = hall.pack([bottle])
    box = hall.pack([other], level="box")
    refused("pack_level", hall.pack, [carton], parent=box.code)
    refused("pack_level", hall.pack, [carton], parent=carton.code)
    assert hall.pack([box], parent=carton.code) == carton
    refused("unknown_choice", hall.pack, [carton], level="item")


def test_more_in_packs_than_there_is_of_the_lot_is_found(hall: Hall) -> None:
    lot = hall.lot(6, codes=8)
    bottles = list(Unit.objects.filter(lot=lot).order_by("number"))
    carton = hall.pack(bottles[:4])
    error = refused("packed_more_than_stock", hall.pack, bottles[4:])
    assert "3 " in error.message
    assert "4 " in error.message
    hall.pack(bottles[4:6])
    hall.pallet([carton])
    refused("packed_more_than_stock", hall.pack, bottles[6:])
    assert fresh(bottles[7]).parent is None


def test_only_lots_in_stock_are_packed(hall: Hall) -> None:
    lot = hall.lot(6)
    bottles = list(Unit.objects.filter(lot=lot).order_by("number"))
    hall.ship(*bottles)
    refused("not_in_stock", hall.pack, bottles[:1])
    refused("unit_in_transit", hall.pack, bottles[:1])


def test_a_carton_labelled_for_one_lot_does_not_take_another(hall: Hall, world: World) -> None:
    one, other = hall.lot(6), hall.lot(6)
    (carton,) = hall.codes(one, 1, level="carton")
    Unit.objects.filter(pk=carton.pk).update(run="0199b0c0-0000-7000-8000-000000000009")
    refused("pack_of_another_lot", hall.pack, list(Unit.objects.filter(lot=other)), parent=carton.code)


def test_sscc_numbers_run_on_under_the_prefix(hall: Hall, world: World) -> None:
    refused("gs1_prefix_shape", set_gs1_prefix, by=hall.actor, prefix="95-2A")
    set_gs1_prefix(by=hall.actor, prefix=PREFIX)
    hall.actor.organisation.refresh_from_db()
    refused("gs1_prefix_taken", set_gs1_prefix, by=world.walnuts, prefix=PREFIX)
    lot = hall.lot(4)
    bottles = list(Unit.objects.filter(lot=lot).order_by("number"))
    printed = reserve_pack_codes(by=hall.actor, count=2)
    first, second = hall.pack(bottles[:1]), hall.pack(bottles[1:2], parent=printed[1])
    assert printed == [sscc_of(PREFIX, 1), sscc_of(PREFIX, 2)]
    assert (first.code, second.code) == (sscc_of(PREFIX, 3), printed[1])
    assert normalise_sscc(f"(00){first.code}") == first.code
    walnuts = make_lot(world.walnuts, world.kernels, "10", place=world.plant)
    (bag,) = Hall(world, world.walnuts).codes(walnuts, 1)
    refused("sscc_of_another", Hall(world, world.walnuts).pack, [bag], parent=sscc_of(PREFIX, 99))


@pytest.mark.parametrize(
    ("prefix", "number", "body"), [("9520", 7, "0952000000000000"), ("952000012345", 10000, "1952")]
)
def test_sscc_has_eighteen_digits_and_a_check_digit(prefix: str, number: int, body: str) -> None:
    code = sscc_of(prefix, number)
    assert (len(code), code.startswith(body), normalise_sscc(code)) == (18, True, code)


def test_sscc_beyond_the_last_serial_reference_is_an_error() -> None:
    with pytest.raises(ValueError, match="no serial reference"):
        sscc_of("952000012345", 100_000)


# --- Damaged codes --------------------------------------------------------------------------------------------------


def test_a_replaced_code_keeps_its_place_and_its_number(hall: Hall) -> None:
    lot = hall.lot(6)
    (carton,) = hall.cartons(lot)
    pallet = hall.pallet([carton])
    bottle = Unit.objects.filter(lot=lot, number=3).get()
    captured = replace_code(by=hall.actor, old=bottle.code, reason="标签刮破", when=day(40))
    new = Unit.objects.get(code=captured.event.data["new_code"])
    assert (new.parent, new.number, new.level, fresh(bottle).replaced_by) == (carton, 3, "item", new)
    replaced = replace_code(by=hall.actor, old=carton.code, reason="箱码撕掉", when=day(41)).event
    newer = Unit.objects.get(code=replaced.data["new_code"])
    assert (newer.parent, newer.children.count(), fresh(carton).children.count()) == (pallet, 6, 0)
    assert totals(contents([pallet.pk])[pallet.pk]) == {lot.pk: {"item": 6}}
    error = refused("unit_replaced", hall.ship, carton)
    assert newer.code in error.message
    refused("unit_replaced", replace_code, by=hall.actor, old=carton.code, reason="再换", when=day(42))
    consistent()
    declare_error(by=hall.actor, event=replaced, reason="did_not_occur", when=day(43))
    assert (fresh(carton).children.count(), fresh(carton).parent, fresh(newer).parent) == (6, pallet, None)
    consistent()


def test_a_spare_label_of_the_lot_replaces_a_damaged_one(hall: Hall, world: World) -> None:
    lot, other = hall.lot(6, codes=3), hall.lot(6)
    damaged, spare, used = Unit.objects.filter(lot=lot).order_by("number")
    carton = hall.pack([damaged, used])
    stranger = Unit.objects.filter(lot=other).first()
    assert stranger is not None
    swap = {"by": hall.actor, "old": damaged.code, "reason": "损坏", "when": day(40)}
    refused("code_in_use", replace_code, **swap, new=used.code)
    refused("code_in_use", replace_code, **swap, new=damaged.code)
    refused("code_of_other_goods", replace_code, **swap, new=stranger.code)
    refused("reason_required", replace_code, **{**swap, "reason": " "})
    replace_code(**swap, new=spare.code)  # type: ignore[arg-type]
    assert (fresh(spare).parent, fresh(damaged).parent) == (carton, None)
    consistent()


def test_only_the_issuer_replaces_a_bottles_code(hall: Hall, world: World) -> None:
    lot = hall.lot(6)
    (carton,) = hall.cartons(lot)
    hall.receive(hall.ship(carton), carton)
    bottle = Unit.objects.filter(lot=lot, level="item").first()
    assert bottle is not None
    refused("not_own", replace_code, by=world.distributor, old=bottle.code, reason="损坏", when=day(40))


# --- Sending, receiving, returning ----------------------------------------------------------------------------------


def test_a_pallet_moves_with_all_that_is_on_it_and_is_received_by_one_scan(hall: Hall, world: World) -> None:
    lot = hall.lot(12)
    pallet = hall.pallet(hall.cartons(lot))
    shipment = hall.ship(pallet)
    (line,) = shipment.transfers.all()
    assert (line.lot, line.sent_micros) == (lot, 6 * MILLION)
    assert EventItem.objects.get(event=shipment.event, micros__lt=0).entered == "12", "as bottles, not as litres"
    assert (fresh(pallet).holder, fresh(pallet).transit) == (None, shipment.event)
    hall.receive(shipment, pallet, place=world.depot)
    assert (fresh(pallet).holder, fresh(pallet).transit) == (world.distributor.organisation, None)
    bottle = Unit.objects.filter(lot=lot, level="item").select_related("parent__parent__parent").first()
    assert bottle is not None
    assert bottle.top.holder == world.distributor.organisation
    assert stock_of(lot, world.distributor.organisation) == 6 * MILLION
    refused("not_in_custody", hall.pack, [bottle])
    consistent()


def test_a_partial_shipment_splits_the_pallet(hall: Hall, world: World) -> None:
    lot = hall.lot(18)
    cartons = hall.cartons(lot)
    pallet = hall.pallet(cartons)
    loose = Unit.objects.filter(parent=cartons[1]).order_by("number").first()
    assert loose is not None
    shipment = hall.ship(cartons[0], loose)
    assert shipment.transfers.get().sent_micros == 3_500_000
    assert (fresh(cartons[0]).parent, fresh(loose).parent, fresh(cartons[1]).parent) == (None, None, pallet)
    assert totals(contents([pallet.pk])[pallet.pk]) == {lot.pk: {"item": 11}}
    assert fresh(pallet).holder == hall.actor.organisation
    consistent()
    declare_error(by=hall.actor, event=shipment.event, reason="did_not_occur", when=day(50))
    assert (fresh(cartons[0]).parent, fresh(loose).parent) == (pallet, cartons[1]), "it never left"
    assert totals(contents([pallet.pk])[pallet.pk]) == {lot.pk: {"item": 18}}
    consistent()


def test_a_carton_named_beside_its_pallet_is_counted_once(hall: Hall) -> None:
    lot = hall.lot(12)
    cartons = hall.cartons(lot)
    pallet = hall.pallet(cartons)
    shipment = hall.ship(cartons[0], pallet)
    assert shipment.transfers.get().sent_micros == 6 * MILLION
    assert fresh(cartons[0]).parent == pallet


def test_a_pack_is_not_sent_twice_nor_by_others(hall: Hall, world: World) -> None:
    lot = hall.lot(6)
    (carton,) = hall.cartons(lot)
    refused("unit_unknown", hall.ship, carton, by=world.walnuts)
    hall.ship(carton)
    refused("unit_in_transit", hall.ship, carton)


def test_what_was_not_scanned_did_not_arrive(hall: Hall, world: World) -> None:
    lot = hall.lot(18)
    cartons = hall.cartons(lot)
    pallet = hall.pallet(cartons)
    shipment = hall.ship(pallet)
    refused("packs_missing", hall.receive, shipment, cartons[0], cartons[1])
    captured = hall.receive(shipment, cartons[0], cartons[1], insist=True)
    assert [conflict.code for conflict in captured.conflicts] == ["received_differs"]
    assert shipment.transfers.get().received_micros == 6 * MILLION
    assert (fresh(cartons[0]).holder, fresh(cartons[0]).parent) == (world.distributor.organisation, None)
    assert (fresh(cartons[2]).parent, fresh(pallet).transit) == (pallet, shipment.event), "still on its way"
    for who in (world.distillery, world.distributor):
        page = unit_page(who, fresh(cartons[2]))
        assert page.answered
        assert page.custody.startswith("没有收到")
    consistent()


def test_cartons_scanned_one_by_one_are_their_pallet_again(hall: Hall, world: World) -> None:
    lot = hall.lot(12)
    cartons = hall.cartons(lot)
    pallet = hall.pallet(cartons)
    hall.receive(hall.ship(pallet), *cartons)
    assert (fresh(pallet).holder, fresh(cartons[0]).parent) == (world.distributor.organisation, pallet)


def test_a_code_of_another_slip_is_not_received(hall: Hall, world: World) -> None:
    lot = hall.lot(12)
    one, other = hall.cartons(lot)
    shipment = hall.ship(one)
    refused("not_on_slip", hall.receive, shipment, one, other)
    refused("not_receiver", hall.receive, shipment, one, by=world.distillery)


def test_a_receipt_by_amounts_takes_the_packs_along(hall: Hall, world: World) -> None:
    lot = hall.lot(6)
    (carton,) = hall.cartons(lot)
    shipment = hall.ship(carton)
    captured = receive(world.distributor, shipment, when=day(40))
    assert fresh(carton).holder == world.distributor.organisation
    declare_error(by=world.distributor, event=captured.event, reason="incorrect_data", when=day(41))
    assert (fresh(carton).holder, fresh(carton).transit) == (None, shipment.event)
    consistent()


def test_packs_come_back_and_a_part_of_a_pack_too(hall: Hall, world: World) -> None:
    lot = hall.lot(12)
    cartons = hall.cartons(lot)
    pallet = hall.pallet(cartons)
    hall.receive(hall.ship(pallet), pallet)
    back = {"by": hall.actor, "source": world.distributor.organisation, "when": day(50), "data": {}}
    captured = take_back_packs(**back, packs=[cartons[0].code])  # type: ignore[arg-type]
    assert captured.conflicts == []
    assert (fresh(cartons[0]).holder, fresh(cartons[0]).parent) == (hall.actor.organisation, None)
    assert (stock_of(lot, hall.actor.organisation), stock_of(lot, world.distributor.organisation)) == (
        3 * MILLION,
        3 * MILLION,
    )
    assert fresh(pallet).holder == world.distributor.organisation
    consistent()


def test_the_distributor_packs_anew_and_sells_on(hall: Hall, world: World) -> None:
    lot = hall.lot(12)
    cartons = hall.cartons(lot)
    pallet = hall.pallet(cartons)
    hall.receive(hall.ship(pallet), pallet)
    unpack_units(by=world.distributor, parent=pallet.code, children=[cartons[1].code], when=day(40))
    assert fresh(cartons[1]).holder == world.distributor.organisation
    mixed = hall.pack([cartons[1]], by=world.distributor, code="common.palletise")
    shipment = hall.ship(mixed, by=world.distributor, to=world.shop)
    assert shipment.transfers.get().sent_micros == 3 * MILLION
    hall.receive(shipment, mixed, by=world.shop)
    assert fresh(mixed).holder == world.shop.organisation
    consistent()


def test_cartons_without_coded_bottles_count_as_cartons(hall: Hall, world: World) -> None:
    lot = make_lot(world.distillery, world.baijiu, "6", place=world.cellar)
    released(world.distillery, world.distillery_quality, lot)
    cartons = hall.codes(lot, 2, level="carton")
    shipment = hall.ship(*cartons)
    assert shipment.transfers.get().sent_micros == 6 * MILLION, "one 箱 is three litres"


def test_a_product_that_says_nothing_of_its_packs_is_asked_for_them(hall: Hall, world: World) -> None:
    product = make_product(world.distillery.organisation, base_unit="LTR", kind="raw")
    lot = make_lot(world.distillery, product, "6", place=world.cellar)
    units = hall.codes(lot, 2)
    refused("content_unknown", hall.ship, *units)


def test_one_pack_more_on_the_slip_may_come_from_another_place(hall: Hall, world: World) -> None:
    lot = hall.lot(12)
    other = make_place(world.distillery.organisation, "二号库")
    lot.stocks.update(micros=2 * MILLION)
    lot.stocks.create(organisation=world.distillery.organisation, place=other, micros=4 * MILLION)
    shipment = hall.ship(hall.pallet(hall.cartons(lot)))
    assert shipment.transfers.get().sent_micros == 6 * MILLION
    assert sorted(shipment.event.items.filter(micros__lt=0).values_list("micros", flat=True)) == [
        -4 * MILLION,
        -2 * MILLION,
    ]


# --- Derived again --------------------------------------------------------------------------------------------------


def test_rebuild_finds_and_mends_units_and_issued_codes(hall: Hall) -> None:
    lot = hall.lot(6)
    (carton,) = hall.cartons(lot)
    consistent()
    Unit.objects.filter(pk=carton.pk).update(holder=None)
    assert len(rebuild(write=True).differences) == 1
    assert fresh(carton).holder == hall.actor.organisation
    loose = hall.codes(lot, 1)[0]
    code, number = loose.code, loose.number
    loose.delete()
    assert len(rebuild(write=True).differences) == 1
    assert Unit.objects.get(code=code).number == number
    consistent()


def test_codes_beside_the_event_cannot_be_changed(hall: Hall) -> None:
    lot = hall.lot(2)
    kept = IssuedCodes.objects.get(lot=lot)
    assert kept.listed() == list(Unit.objects.filter(lot=lot).order_by("number").values_list("code", flat=True))
    with pytest.raises(Exception, match="append"):
        IssuedCodes.objects.filter(pk=kept.pk).update(codes=b"x" * 24)


def test_ten_thousand_bottles_move_with_the_queries_of_ten(hall: Hall, world: World) -> None:
    counts = []
    for bottles in (10, 10_000):
        lot = hall.lot(bottles)
        units = list(Unit.objects.filter(lot=lot).order_by("number").values_list("pk", flat=True))
        pallet = hall.pallet(hall.cartons(lot, each=5)[:2]) if bottles == 10 else hall.pallet(bulk(hall, lot, units))
        with CaptureQueriesContext(connection) as sending:
            shipment = hall.ship(pallet)
        with CaptureQueriesContext(connection) as receiving:
            hall.receive(shipment, pallet)
        assert stock_of(lot, world.distributor.organisation) == bottles * MILLION // 2
        counts.append((len(sending), len(receiving)))
    assert counts[0] == counts[1]


def bulk(hall: Hall, lot: Lot, bottles: list[int]) -> list[Unit]:
    """Ten thousand bottles in a hundred cartons, laid there without events: only reading them is measured."""
    cartons = Unit.objects.bulk_create(
        [
            Unit(code=code, organisation=hall.actor.organisation, lot=lot, level="carton", container=True)
            for code in new_serials(100)
        ]
    )
    Unit.objects.filter(pk__in=[carton.pk for carton in cartons]).update(holder=hall.actor.organisation)
    for number, carton in enumerate(cartons):
        Unit.objects.filter(pk__in=bottles[number * 100 : number * 100 + 100]).update(parent=carton)
    # In use autovacuum does it; without, PostgreSQL takes the table for empty and reads it once for each bottle.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE trace_unit")
    return [fresh(carton) for carton in cartons]
