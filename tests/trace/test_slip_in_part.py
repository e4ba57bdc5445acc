"""A slip that a captured receiving event answers in part: the rest is asked for, what came is not called missing."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from tests.goods import day, stock_of
from tests.trace.api_client import assert_problem, machine
from tests.trace.door_client import document, door_of, event, lot_class
from tests.trace.step_pages import signed
from tests.trace.test_packs import MILLION, Hall, consistent
from tests.world import World
from trace.actions.transfers import slip_token
from trace.models import Conflict, Lot, Shipment, Unit


@pytest.fixture
def hall(world: World) -> Hall:
    """The distillery's bottling hall."""
    return Hall(world, world.distillery)


@pytest.fixture
def sent(hall: Hall) -> tuple[Shipment, Unit, Unit]:
    """A slip with a carton of each of two lots, the first of which the buyer's system says it has."""
    cartons = [hall.cartons(hall.lot(6))[0], hall.cartons(hall.lot(6))[0]]
    shipment = hall.ship(*cartons)
    first = cartons[0].lot
    job = door_of(hall.world.distributor.organisation).captured(document(arrived(first, 3)))
    assert (job["eventsCaptured"], job["conflicts"]) == (1, 0)
    return shipment, cartons[0], cartons[1]


def arrived(lot: Lot, quantity: float, **more: Any) -> dict[str, Any]:
    """A receiving event of a buyer's system."""
    goods = [{"epcClass": lot_class(lot.product.gtin or "", lot.lot_code), "quantity": quantity, "uom": "LTR"}]
    return event(bizStep="receiving", quantityList=goods, **more)


def answers(shipment: Shipment) -> list[int | None]:
    """What is said to have arrived, line by line."""
    return list(shipment.transfers.order_by("id").values_list("received_micros", flat=True))


def codes() -> set[str]:
    """What is flagged."""
    return set(Conflict.objects.values_list("code", flat=True))


def test_the_form_asks_for_the_lines_that_still_wait(world: World, sent: tuple[Shipment, Unit, Unit]) -> None:
    shipment, _first, second = sent
    client = signed(world.distributor)
    page = client.get(f"/shipments/{shipment.uid}/receive/")
    assert [row.lot for row in page.context["rows"]] == [second.lot]
    assert "一部分已由收货单位的系统登记" in page.content.decode()
    form = page.context["form"]
    given = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    assert client.post(f"/shipments/{shipment.uid}/receive/", given).status_code == 302
    assert answers(shipment) == [3 * MILLION, 3 * MILLION]
    assert stock_of(second.lot, world.distributor.organisation) == 3 * MILLION
    assert codes() <= {"own_limits_only"}
    consistent()


def test_the_paper_slip_asks_for_the_lines_that_still_wait(sent: tuple[Shipment, Unit, Unit]) -> None:
    shipment, _first, _second = sent
    address = f"/s/{slip_token(shipment)}"
    page = Client().get(address)
    assert "收到这批货了吗" in page.content.decode()
    assert page.content.decode().count("未确认") == 1
    assert Client().post(address, {"answer": "all"}).status_code == 302
    assert answers(shipment) == [3 * MILLION, 3 * MILLION]
    assert Client().post(address, {"answer": "all"}).status_code == 409
    consistent()


def test_scanning_answers_for_the_lines_that_still_wait(
    hall: Hall, world: World, sent: tuple[Shipment, Unit, Unit]
) -> None:
    shipment, first, second = sent
    assert signed(world.distributor).get(f"/packs/receive/{shipment.uid}/").status_code == 200
    hall.receive(shipment, first, second)
    assert answers(shipment) == [3 * MILLION, 3 * MILLION]
    assert stock_of(first.lot, world.distributor.organisation) == 3 * MILLION
    assert set(Unit.objects.filter(pk__in=[first.pk, second.pk]).values_list("holder", flat=True)) == {
        world.distributor.organisation.pk
    }
    consistent()


def test_the_api_answers_for_the_lines_that_still_wait(world: World, sent: tuple[Shipment, Unit, Unit]) -> None:
    shipment, _first, _second = sent
    lines = [
        {"transfer": str(row.uid), "amount": {"value": "3", "unit": "LTR"}} for row in shipment.transfers.order_by("id")
    ]
    path, when = f"/shipments/{shipment.uid}/receipt", day(40).at.isoformat()
    api = machine(world.distributor.organisation)
    assert_problem(api.post(path, {"occurred_at": when, "lines": lines}), 409, "already_received")
    assert api.post(path, {"occurred_at": when, "lines": lines[1:]}).status_code == 201
    assert answers(shipment) == [3 * MILLION, 3 * MILLION]


def test_a_pack_of_a_line_that_waits_is_on_its_way(world: World, sent: tuple[Shipment, Unit, Unit]) -> None:
    _shipment, first, second = sent
    client = signed(world.distillery)
    waiting = client.get(f"/packs/{second.code}/").content.decode()
    assert "等对方确认收货" in waiting
    assert "没有收到" not in waiting
    there = client.get(f"/packs/{first.code}/").content.decode()
    assert "按批次数量登记收货" in there
    assert "没有收到" not in there


def test_what_a_seller_reports_of_a_registered_buyer_answers_nothing(hall: Hall, world: World) -> None:
    carton = hall.cartons(hall.lot(6))[0]
    shipment = hall.ship(carton)
    buyer = f"{settings.PUBLIC_BASE_URL}/id/party/{world.distributor.organisation.uid}"
    there = [{"type": "possessing_party", "destination": buyer}]
    door_of(world.distillery.organisation).captured(document(arrived(carton.lot, 3, destinationList=there)))
    assert answers(shipment) == [None]
    assert codes() <= {"own_limits_only"}
    assert stock_of(carton.lot, world.distributor.organisation) == 0
    door_of(world.distributor.organisation).captured(document(arrived(carton.lot, 3)))
    assert answers(shipment) == [3 * MILLION]
    consistent()


def test_of_several_slips_that_wait_the_one_of_the_amount_received_is_answered(hall: Hall, world: World) -> None:
    lot = hall.lot(18)
    first, second, third = hall.cartons(lot)
    small, large = hall.ship(first), hall.ship(second, third)
    door = door_of(world.distributor.organisation)
    door.captured(document(arrived(lot, 6)))
    assert (answers(small), answers(large)) == ([None], [6 * MILLION])
    door.captured(document(arrived(lot, 2)))
    assert answers(small) == [2 * MILLION], "what fits none answers the oldest and differs"
    assert codes() - {"own_limits_only"} == {"received_differs"}
    consistent()
