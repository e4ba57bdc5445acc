"""Packing lines and warehouses by the API: pack, unpack, replace, ship, receive, return; each request counts once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trace.api_client import Api, api_of, assert_problem, body
from tests.trace.test_packs import Hall, consistent, fresh
from tests.world import World
from trace.models import Shipment, Unit

AT = {"occurred_at": "2026-10-20T09:00:00+08:00"}


@pytest.fixture
def hall(world: World) -> Hall:
    """The distillery's bottling hall."""
    return Hall(world, world.distillery)


@pytest.fixture
def line(world: World) -> Api:
    """The packing line's key."""
    return api_of(world.distillery)


def codes(units: Any) -> list[str]:
    """The codes of these units."""
    return [unit.code for unit in units]


def test_a_line_packs_and_a_repeated_request_packs_once(hall: Hall, line: Api) -> None:
    lot = hall.lot(6)
    bottles = codes(Unit.objects.filter(lot=lot).order_by("number"))
    sent = {**AT, "level": "carton", "units": bottles}
    first = line.post("/packs", sent, key="line-1")
    assert first.status_code == 201, first.content
    answer = body(first)
    assert (answer["level"], answer["in_hand"], sorted(answer["children"])) == ("carton", True, sorted(bottles))
    assert [(goods["count"], goods["amount"]["value"]) for goods in answer["goods"]] == [(6, "3")]
    assert body(line.post("/packs", sent, key="line-1"))["code"] == answer["code"]
    assert Unit.objects.filter(level="carton").count() == 1
    problem = assert_problem(line.post("/packs", sent), 409, "guard_broken")
    assert {guard["code"] for guard in problem["details"]["guards"]} == {"already_packed"}
    assert line.get(f"/packs/{answer['code']}").status_code == 200
    consistent()


def test_a_pallet_is_shipped_split_received_and_returned(hall: Hall, line: Api, world: World) -> None:
    lot = hall.lot(18)
    cartons = hall.cartons(lot)
    pallet = body(line.post("/packs", {**AT, "level": "pallet", "units": codes(cartons)}))["code"]
    receiver = {"receiver": str(world.distributor.organisation.uid)}
    answer = body(line.post("/pack-shipments", {**AT, **receiver, "packs": codes(cartons[:2])}))
    assert [row["sent"]["value"] for row in answer["transfers"]] == ["6"]
    assert codes(Unit.objects.get(code=pallet).children.all()) == codes(cartons[2:])
    depot = api_of(world.distributor)
    url = f"/shipments/{answer['uid']}/pack-receipt"
    assert_problem(depot.post(url, {**AT, "packs": codes(cartons[:1])}), 409, "packs_missing")
    assert_problem(depot.post(url, {**AT, "packs": codes(cartons[2:])}), 422, "not_on_slip")
    assert_problem(api_of(world.shop).post(url, {**AT, "packs": codes(cartons[:1])}), 404, "not_found")
    assert depot.post(url, {**AT, "packs": codes(cartons[:2])}).status_code == 201
    assert fresh(cartons[0]).holder == world.distributor.organisation
    source = {"source": str(world.distributor.organisation.uid)}
    assert line.post("/pack-returns", {**AT, **source, "packs": codes(cartons[1:2])}).status_code == 201
    assert fresh(cartons[1]).holder == world.distillery.organisation
    consistent()


def test_unpacking_and_replacing(hall: Hall, line: Api, world: World) -> None:
    lot = hall.lot(6)
    (carton,) = hall.cartons(lot)
    bottle = carton.children.order_by("id").first()
    assert bottle is not None
    new = body(line.post(f"/packs/{bottle.code}/replacement", {**AT, "reason": "标签刮破"}))
    assert new["parent"] == carton.code
    assert body(line.get(f"/packs/{bottle.code}"))["replaced_by"] == new["code"]
    assert_problem(line.post(f"/packs/{bottle.code}/replacement", {**AT, "reason": "再换"}), 422, "unit_replaced")
    answer = body(line.post(f"/packs/{carton.code}/unpack", AT))
    assert (answer["children"], answer["goods"]) == ([], [])
    consistent()


def test_strangers_and_nonsense_are_refused(hall: Hall, line: Api, world: World) -> None:
    lot = hall.lot(6)
    (carton,) = hall.cartons(lot)
    stranger = api_of(world.walnuts)
    assert_problem(stranger.get(f"/packs/{carton.code}"), 404, "not_found")
    assert_problem(stranger.post(f"/packs/{carton.code}/unpack", AT), 404, "not_found")
    assert_problem(stranger.post("/packs", {**AT, "units": [carton.code]}), 422, "unit_unknown")
    assert_problem(line.get("/packs/nonsense"), 404, "not_found")
    assert_problem(Api().get(f"/packs/{carton.code}"), 401, "not_signed_in")
    bad: list[dict[str, Any]] = [{"units": []}, {"units": ["x" * 500]}, {"units": 5}, {"level": "item"}]
    for wrong in [*bad, {"units": ["A"] * 2001}]:
        assert line.post("/packs", {**AT, "units": [carton.code], **wrong}).status_code == 422
    assert_problem(line.post("/events", {**AT, "template": "common.pack"}), 422, "use_own_action")
    assert not Shipment.objects.exists()
