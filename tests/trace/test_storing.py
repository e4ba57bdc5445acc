"""Putting goods elsewhere among one's own places: what was there is there no longer, and nothing comes of nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.goods import amount, day, make_lot, receive, released, ship
from tests.trace.sheets import imported, steps_file
from tests.trace.step_pages import open_form, shown, url_of
from tests.world import World, make_place, sign_in
from trace.actions.corrections import declare_error
from trace.actions.events import Portion, record_event
from trace.actions.rebuild import rebuild
from trace.errors import GuardBroken, Invalid, NotAllowed
from trace.models import Lot, Place, Stock
from trace.tracing import answer
from trace.whereabouts import balances


@pytest.fixture
def store(world: World) -> Place:
    return make_place(world.walnuts.organisation, "示例冷库", kind="store")


@pytest.fixture
def lot(world: World) -> Lot:
    return make_lot(world.walnuts, world.kernels, "10", place=world.plant)


def put(world: World, lot: Lot, where: Place | None, text: str = "", *, at: int = 1, **more: Any) -> Any:
    return record_event(
        by=more.pop("by", world.walnuts),
        code="common.store",
        when=day(at),
        place=where,
        data={"warehouse": str(where.uid) if where else "", **more.pop("data", {})},
        subjects=[Portion(lot, amount(text, lot.product) if text else None)],
        **more,
    )


def lies(lot: Lot, world: World) -> dict[str, int]:
    """Whole units by the name of the place."""
    rows = Stock.objects.filter(lot=lot, organisation=world.walnuts.organisation).exclude(micros=0)
    return {row.place.name if row.place else "": row.micros // 10**6 for row in rows.select_related("place")}


def test_what_is_stored_elsewhere_lies_there_and_is_put_back_by_a_correction(
    world: World, lot: Lot, store: Place
) -> None:
    put(world, lot, store, "4")
    assert lies(lot, world) == {world.plant.name: 6, store.name: 4}
    all_of_it = put(world, lot, store, at=2).event
    assert lies(lot, world) == {store.name: 10}
    seen = put(world, lot, store, at=3, data={"temp": "4"}).event
    assert not seen.items.exclude(micros=0).exists()
    assert seen.data["temp"] == "4"
    declare_error(by=world.walnuts, event=all_of_it, reason="incorrect_data", when=day(4))
    assert lies(lot, world) == {world.plant.name: 6, store.name: 4}
    one = balances(world.walnuts, [lot])[lot.pk]
    assert (one.made, one.received, one.shipped, one.in_hand, one.holds) == (10_000_000, 0, 0, 10_000_000, True)
    assert not rebuild(write=False).differences


def test_more_than_there_is_goes_nowhere(world: World, lot: Lot, store: Place) -> None:
    put(world, lot, store, "4")
    with pytest.raises(GuardBroken) as refused:
        put(world, lot, store, "7", at=2)
    assert refused.value.code == "not_enough"
    assert lies(lot, world) == {world.plant.name: 6, store.name: 4}
    with pytest.raises(NotAllowed):
        put(world, lot, world.counter, "1", at=2)
    with pytest.raises(Invalid):
        put(world, lot, None, "1", at=2)
    with pytest.raises(GuardBroken):
        put(world, make_lot(world.distillery, world.baijiu, "5"), store, "1", at=2)


def test_goods_of_others_moved_within_are_not_received_twice(world: World, lot: Lot, store: Place) -> None:
    slip = ship(world.walnuts, world.shop.organisation, released(world.walnuts, world.walnuts_quality, lot), "5")
    receive(world.shop, slip, "5", place=world.counter)
    back = make_place(world.shop.organisation, "示例后仓", kind="store")
    put(world, lot, back, "3", at=20, by=world.shop)
    one = balances(world.shop, [lot])[lot.pk]
    assert (one.received, one.shipped, one.in_hand, one.holds) == (5_000_000, 0, 5_000_000, True)
    assert answer(world.shop, lot, "back").lot == lot


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), max_size=8))
def test_wherever_goods_are_put_there_are_as_many_of_them(world: World, moves: list[tuple[int, int]]) -> None:
    mine = world.walnuts.organisation
    places = [world.plant, *(Place.objects.get_or_create(
        organisation=mine, name=name, kind="store", division_id=world.plant.division_id
    )[0] for name in ("甲库", "乙库"))]  # fmt: skip
    lot = make_lot(world.walnuts, world.kernels, "10", place=world.plant)
    for number, (where, many) in enumerate(moves):
        before = lies(lot, world)
        try:
            put(world, lot, places[where], str(many) if many else "", at=1 + number)
        except GuardBroken:
            assert many > 10 - before.get(places[where].name, 0)
        found = lies(lot, world)
        assert sum(found.values()) == 10
        assert min(found.values()) > 0


def test_the_step_is_entered_by_form_and_by_file(world: World, lot: Lot, store: Place, client: Client) -> None:
    sign_in(client, world.walnuts)
    url = url_of("common.store", lot=lot.uid)
    form = open_form(client, url)
    sent = {**shown(form), "place": str(store.uid), "subjects-0-lot": str(lot.uid), "subjects-0-amount": "2"}
    sent |= {"subjects-0-unit": "千克", "when_on": "2026-09-29"}
    done = client.post(url, sent)
    assert done.status_code == 302, done.content.decode()
    assert lies(lot, world) == {world.plant.name: 8, store.name: 2}
    rows = [
        {"when_on": "2026-09-30", "place": store.name, "subjects-*-lot": lot.public_code,
         "subjects-*-amount": number, "subjects-*-unit": "千克"} for number in (3, 4)
    ]  # fmt: skip
    imported(world.walnuts, "steps", steps_file("common.store", rows), step="common.store")
    assert lies(lot, world) == {world.plant.name: 1, store.name: 9}
