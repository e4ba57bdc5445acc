"""A lot's page: verdict, numbers, neighbours, tests, labels, holds, history; and the way to it from any code."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from desk.lot_page import lot_page, numbers
from tests.goods import amount, day, make_lot, passed, receive, released, ship, turn_into
from tests.world import World, behalf, make_actor, make_product, sign_in
from trace.actions.corrections import declare_error
from trace.actions.events import Portion
from trace.actions.holds import end_hold, place_hold
from trace.actions.transfers import take_back
from trace.actor import Actor
from trace.models import Lot


def text(response: Any) -> str:
    return str(response.content.decode())


def see(client: Client, lot: Lot) -> str:
    answer = client.get(reverse("desk:lot_detail", args=[lot.uid]))
    assert answer.status_code == 200
    return text(answer)


def told(actor: Actor, lot: Lot) -> list[str]:
    return [str(number.value) for number in numbers(lot_page(actor, lot))]


@pytest.fixture
def lot(world: World) -> Lot:
    # Of goods without a shelf life: they are not to expire while years go by.
    kernels = make_product(world.walnuts.organisation, "KERN", "示例散装核桃仁", kind="finished")
    return make_lot(world.walnuts, kernels, "100", place=world.plant, produced_on=day(0).at.date())


def test_the_verdict_follows_the_lot(client: Client, world: World, lot: Lot) -> None:
    sign_in(client, world.walnuts_quality)
    page = see(client, lot)
    assert 'data-verdict="waiting"' in page
    assert reverse("trace:step_form", args=["common.release"]) in page
    released(world.walnuts, world.walnuts_quality, lot)
    page = see(client, lot)
    assert 'data-verdict="released"' in page
    assert reverse("trace:step_form", args=["common.release"]) not in page
    hold = place_hold(by=world.walnuts_quality, kind="stop_sale", reason="示例虫蛀待查", lots=[lot])
    page = see(client, lot)
    assert 'data-verdict="blocked"' in page
    assert "示例虫蛀待查" in page
    assert f"{reverse('trace:shipment_new')}?" not in page
    end_hold(by=world.walnuts_quality, hold=hold, reason="示例查明无事")
    page = see(client, lot)
    assert 'data-verdict="released"' in page
    assert "已解除" in page
    assert f"{reverse('trace:shipment_new')}?" in page


def test_an_expired_lot_says_since_when(client: Client, world: World) -> None:
    old = make_lot(world.walnuts, world.kernels, "1", expires_on=datetime.date(2026, 9, 21))
    sign_in(client, world.walnuts)
    page = see(client, old)
    assert 'data-verdict="expired"' in page
    assert "2026年9月21日" in page


def test_a_lot_declared_wrong_keeps_its_history_and_has_no_amounts(client: Client, world: World, lot: Lot) -> None:
    declare_error(by=world.walnuts, event=lot.origin_event, reason="did_not_occur", when=day(1))
    sign_in(client, world.walnuts)
    page = see(client, lot)
    assert 'data-verdict="voided"' in page
    assert "<del>" in page
    assert "（已声明有误）" in page
    assert told(world.walnuts, lot)[:4] == ["0", "0", "0", "0"]


def test_the_numbers_add_up_on_each_side(world: World, lot: Lot) -> None:
    turn_into(world.walnuts, [(lot, "30")], [(world.kernels, "28")])
    released(world.walnuts, world.walnuts_quality, lot)
    first = ship(world.walnuts, world.shop.organisation, lot, "25")
    ship(world.walnuts, world.distributor.organisation, lot, "15", when=day(4))
    receive(world.shop, first, when=day(5))
    assert told(world.walnuts, lot) == ["100", "30", "40", "30", "15"]
    assert told(world.shop, lot) == ["25", "0", "0", "25", "0"]
    assert told(world.county, lot) == ["100", "30", "40", "30", "15"]
    assert told(world.distributor, lot) == ["0", "0", "0", "0", "0"]


def test_what_came_back_is_said(client: Client, world: World, lot: Lot) -> None:
    released(world.walnuts, world.walnuts_quality, lot)
    receive(world.shop, ship(world.walnuts, world.shop.organisation, lot, "25"))
    take_back(
        by=world.walnuts,
        source=world.shop.organisation,
        portions=[Portion(lot, amount("20", lot.product))],
        when=day(6),
    )
    assert told(world.walnuts, lot) == ["100", "0", "25", "95", "0"]
    sign_in(client, world.walnuts)
    assert "含退回 20 千克" in see(client, lot)


def test_a_holder_sees_its_own_side_and_nothing_of_the_makers_stock(client: Client, world: World, lot: Lot) -> None:
    released(world.walnuts, world.walnuts_quality, lot)
    other = ship(world.walnuts, world.distributor.organisation, lot, "33")
    receive(world.distributor, other)
    receive(world.shop, ship(world.walnuts, world.shop.organisation, lot, "25"))
    sign_in(client, world.shop)
    page = see(client, lot)
    assert "收自 汾阳示例核桃加工有限公司" in page
    for secret in ("加工车间", "100 千克", "33 千克", "示例商贸有限公司", "42 千克"):
        assert secret not in page, secret


def test_neighbours_of_others_have_no_names(client: Client, world: World, lot: Lot) -> None:
    released(world.walnuts, world.walnuts_quality, lot)
    receive(world.shop, ship(world.walnuts, world.shop.organisation, lot, "25"))
    sweets = make_product(world.shop.organisation, "ZJ", "示例枣夹核桃", family="date_stuffed_walnut")
    (mixed,) = turn_into(world.shop, [(lot, "20")], [(sweets, "15")], when=day(6))
    sign_in(client, world.walnuts)
    page = see(client, lot)
    assert "其他单位的批次" in page
    assert "枣夹核桃 ·" in page
    assert "示例枣夹核桃" not in page
    assert "20 千克" not in page
    assert client.get(reverse("desk:lot_detail", args=[mixed.uid])).status_code == 404
    sign_in(client, world.shop)
    assert "20 千克" in see(client, lot)


def test_both_names_stand_beside_what_a_clerk_entered(client: Client, world: World) -> None:
    grown = make_lot(behalf(world.clerk, world.grower.organisation), world.fresh_walnuts, "50")
    sign_in(client, world.grower)
    page = see(client, grown)
    assert "示例种植户甲（由 示例坡头核桃专业合作社 示例文书 代录）" in page


def test_tests_show_the_limit_beside_the_value(client: Client, world: World, lot: Lot) -> None:
    passed(world.walnuts, lot, value="7.2", number="示例-7")
    sign_in(client, world.walnuts)
    page = see(client, lot)
    assert "7.2" in page
    assert "≤ 5.0" in page
    assert "不合格" in page


def test_strangers_and_visitors_do_not_see_it(client: Client, world: World, lot: Lot) -> None:
    url = reverse("desk:lot_detail", args=[lot.uid])
    assert client.get(url)["Location"].startswith("/sign-in/")
    for who in (world.distillery, world.shop, world.other_county):
        sign_in(client, who)
        assert client.get(url).status_code == 404
    sign_in(client, world.county)
    assert client.get(url).status_code == 200
    assert client.get("/lots/not-a-name/").status_code == 404


def test_a_viewer_gets_no_buttons(client: Client, world: World, lot: Lot) -> None:
    sign_in(client, make_actor(world.walnuts.organisation, "viewer"))
    page = see(client, lot)
    assert "trace:shipment_new" not in page
    assert f"?lot={lot.uid}" not in page.replace(f"?lot={lot.uid}&amp;way", "")


def test_the_page_costs_the_same_with_1_and_with_50_neighbours(client: Client, world: World, lot: Lot) -> None:
    sign_in(client, world.walnuts)
    released(world.walnuts, world.walnuts_quality, lot)
    receive(world.shop, ship(world.walnuts, world.shop.organisation, lot, "1"))
    turn_into(world.walnuts, [(lot, "1")], [(world.kernels, "1")])
    with CaptureQueriesContext(connection) as few:
        see(client, lot)
    turn_into(world.walnuts, [(lot, "25")], [(world.kernels, "0.5")] * 50)
    for number in range(15):
        ship(world.walnuts, world.shop.organisation, lot, "1")
        passed(world.walnuts, lot, number=f"示例-{number}x")
    with CaptureQueriesContext(connection) as more:
        see(client, lot)
    assert len(more) == len(few)


# --- From any code --------------------------------------------------------------------------------------------------


def test_a_code_leads_to_the_lot_for_who_may_open_it(client: Client, world: World, lot: Lot) -> None:
    url = reverse("desk:find")
    sign_in(client, world.walnuts)
    for code in (lot.lot_code, lot.public_code, f"https://x.example/c/{lot.public_code}"):
        assert client.get(url, {"q": code})["Location"] == reverse("desk:lot_detail", args=[lot.uid])
    assert "没有找到这个编码" in text(client.get(url, {"q": "nothing-here"}))
    assert client.get(url).status_code == 200


def test_a_strangers_code_leads_to_its_public_page(client: Client, world: World, lot: Lot) -> None:
    sign_in(client, world.distillery)
    page = text(client.get(reverse("desk:find"), {"q": lot.public_code}))
    assert "其他单位的码" in page
    assert reverse("labels:search") in page
    assert lot.code not in page


def test_who_is_not_signed_in_goes_to_the_public_search(client: Client, db: None) -> None:
    answer = client.get(reverse("desk:find"), {"q": "A&B 示例"})
    assert answer["Location"].startswith(reverse("labels:search"))
    assert "A%26B" in answer["Location"]


@pytest.mark.parametrize("typed", ["\x00", "a" * 100_000, "\ud800", "%00", "' OR 1=1"])
def test_nonsense_is_not_found(client: Client, world: World, typed: str) -> None:
    sign_in(client, world.walnuts)
    assert client.get(reverse("desk:find"), {"q": typed.encode("utf-8", "replace").decode()}).status_code == 200
