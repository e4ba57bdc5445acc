"""Lots that no link joins but that shared equipment or a container, and those that did not."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.goods import amount, day, make_lot
from tests.world import World
from trace.actions.capture import NewLot
from trace.actions.corrections import declare_error
from trace.actions.events import Portion, When, record_event
from trace.models import Lot, Place
from trace.shells import beside


@pytest.fixture
def dryer(world: World) -> Place:
    """A dryer of the walnut firm."""
    return Place.objects.create(
        organisation=world.walnuts.organisation, name="示例1号烘干机", kind="line", division=world.plant.division
    )


def dry(world: World, dryer: Place | None, when: When, **data: Any) -> Lot:
    """Nuts dried on their own."""
    wet = make_lot(world.walnuts, world.kernels, "10", when=day(0))
    if dryer is not None:
        data["dryer"] = str(dryer.uid)
    facts = {"method": "热风烘干", "moisture_out": "7", "weight_out": "5", **data}
    captured = record_event(
        by=world.walnuts,
        code="walnut.dry",
        when=when,
        place=world.plant,
        data=facts,
        inputs=[Portion(wet, amount("10", world.kernels))],
        outputs=[NewLot(product=world.kernels, amount=amount("5", world.kernels))],
    )
    return captured.lots[0]


def mates(lot: Lot) -> set[int]:
    """The lots beside this one."""
    return {pair.mate for pair in beside([lot.pk])}


def test_the_same_run_number_on_the_same_dryer_is_one_run(world: World, dryer: Place) -> None:
    first = dry(world, dryer, day(1), run_no="7")
    second = dry(world, dryer, day(2), run_no="7")
    other = dry(world, dryer, day(1), run_no="8")
    elsewhere = dry(world, None, day(1), run_no="7")
    long_after = dry(world, dryer, day(62), run_no="7")
    assert mates(first) == {second.pk}
    assert mates(second) == {first.pk, long_after.pk}
    assert mates(other) == mates(elsewhere) == set()
    (pair,) = beside([first.pk])
    assert pair.words == "同一设备、同一炉次：示例1号烘干机，7"


def test_without_a_number_overlapping_times_are_one_run(world: World, dryer: Place) -> None:
    night = dry(world, dryer, day(6, 6), hours="20")
    overlapping = dry(world, dryer, day(5, 20), hours="4")
    before = dry(world, dryer, day(5, 9), hours="2")
    same_day = dry(world, dryer, day(6, 23))
    assert mates(night) == {overlapping.pk, same_day.pk}
    assert mates(before) == set()


def test_a_drying_declared_wrong_is_no_run(world: World, dryer: Place) -> None:
    first = dry(world, dryer, day(5), run_no="7")
    second = dry(world, dryer, day(5), run_no="7")
    declare_error(by=world.walnuts, event=second.origin_event, reason="incorrect_data", when=day(7))
    assert mates(first) == set()


def store(world: World, silo: Place, lot: Lot, when: When) -> None:
    """Put a lot into a silo."""
    record_event(
        by=world.walnuts,
        code="millet.store_paddy",
        when=when,
        place=silo,
        data={"silo": str(silo.uid)},
        subjects=[Portion(lot)],
    )


def test_what_lay_in_one_silo_at_one_time_is_beside_each_other(world: World) -> None:
    silo = Place.objects.create(
        organisation=world.walnuts.organisation, name="示例1号仓", kind="vessel", division=world.plant.division
    )
    early, first, second = (make_lot(world.walnuts, world.kernels, "10", when=day(0)) for _n in range(3))
    store(world, silo, early, day(1))
    record_event(
        by=world.walnuts,
        code="common.rework",
        when=day(2),
        data={"reason": "示例", "method": "示例"},
        inputs=[Portion(early, amount("10", world.kernels))],
        outputs=[NewLot(product=world.kernels, amount=amount("9", world.kernels))],
    )
    store(world, silo, first, day(3))
    store(world, silo, second, day(9))
    assert mates(first) == {second.pk}
    assert mates(early) == set()
    assert beside([first.pk])[0].words == "同一容器：示例1号仓，存放时间重叠"


def test_the_number_of_queries_does_not_grow_with_the_lots(world: World, dryer: Place) -> None:
    lots = [dry(world, dryer, day(5), run_no="7").pk for _n in range(4)]
    with CaptureQueriesContext(connection) as one:
        beside(lots[:1])
    with CaptureQueriesContext(connection) as many:
        pairs = beside(lots)
    assert len(pairs) == 12
    assert len(many) <= len(one) <= 5
