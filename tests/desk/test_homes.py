"""The front door: the portal for strangers, a home for each kind of member with what waits for them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.goods import day, make_lot, passed, receive, released, ship
from tests.world import World, behalf, make_actor, make_organisation, make_product, sign_in
from trace.actor import Actor
from trace.identifiers import uuid7
from trace.models import Organisation


def text(response: Any) -> str:
    return str(response.content.decode())


def home(client: Client) -> str:
    answer = client.get("/")
    assert answer.status_code == 200
    return text(answer)


def test_strangers_see_the_portal_with_the_box_for_a_code(client: Client, world: World) -> None:
    page = home(client)
    assert f'action="{reverse("labels:search")}"' in page
    assert reverse("trace:application_new") in page
    assert "正品" not in page
    assert 'content="index"' in page
    assert reverse("desk:home") == reverse("desk:portal") == "/"


def test_the_portal_asks_the_same_few_questions_however_much_there_is(client: Client, world: World) -> None:
    with CaptureQueriesContext(connection) as few:
        home(client)
    for _each in range(20):
        make_lot(world.walnuts, world.kernels, "1")
    with CaptureQueriesContext(connection) as more:
        home(client)
    assert len(few) == len(more) <= 6


def test_a_producer_is_told_what_waits(client: Client, world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    sign_in(client, world.walnuts)
    page = home(client)
    assert "批次待放行" in page
    assert lot.code in page
    passed(world.walnuts, lot)
    released_lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "5"))
    shipment = ship(world.walnuts, world.shop.organisation, released_lot, "2", when=day(3))
    receive(world.shop, shipment, "1", when=day(4))
    assert "超过 7 天" not in home(client)
    ship(world.walnuts, world.shop.organisation, released_lot, "1", when=day(3))
    assert "发货超过 7 天对方没有确认" in home(client)


def test_a_shop_sees_receipts_first_then_its_shelf(client: Client, world: World) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10"))
    shipment = ship(world.walnuts, world.shop.organisation, lot, "4")
    sign_in(client, world.shop)
    page = home(client)
    assert reverse("trace:receive", args=[shipment.uid]) in page
    assert "发货单等您确认收货" in page
    assert "还没有进货记录" in page
    receive(world.shop, shipment)
    page = home(client)
    assert reverse("trace:receive", args=[shipment.uid]) not in page
    assert "4 千克" in page


def test_a_grower_has_one_large_button(client: Client, world: World) -> None:
    make_lot(world.grower, world.fresh_walnuts, "50")
    sign_in(client, world.grower)
    page = home(client)
    assert "采收登记" in page
    assert "50 千克" in page
    assert "批次待放行" not in page


def test_the_large_button_leads_to_the_harvest_of_what_is_grown(client: Client, world: World) -> None:
    sign_in(client, world.grower)
    assert f'class="button big" href="{reverse("trace:step_form", args=["walnut.harvest"])}"' in home(client)
    make_product(world.grower.organisation, "GZ", "示例谷子", family="millet_fenzhou", kind="raw")
    assert f'class="button big" href="{reverse("trace:lot_new")}"' in home(client)


def test_a_clerk_entering_for_a_grower_has_the_growers_home(client: Client, world: World) -> None:
    make_lot(world.grower, world.fresh_walnuts, "50")
    sign_in(client, behalf(world.clerk, world.grower.organisation))
    page = home(client)
    assert "采收登记" in page
    assert "50 千克" in page
    assert "示例坡头核桃专业合作社" in page


def test_a_laboratory_sees_its_reports(client: Client, world: World) -> None:
    sign_in(client, world.lab)
    assert "还没有检验报告" in home(client)


def test_a_regulator_sees_what_its_territory_needs(client: Client, world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    passed(world.walnuts, lot, value="9.9")
    make_organisation("示例新厂", "producer", status="applied")
    sign_in(client, world.county)
    page = home(client)
    assert "入驻申请待审核" in page
    assert "近 30 天不合格报告" in page
    assert "辖区内没有进行中的召回" in page
    sign_in(client, world.other_county)
    page = home(client)
    assert "入驻申请待审核" not in page
    assert "近 30 天不合格报告" not in page


def test_the_operator_sees_the_installation_and_no_goods(client: Client, world: World) -> None:
    make_lot(world.walnuts, world.kernels, "10")
    sign_in(client, world.operator)
    page = home(client)
    assert "系统运维" in page
    assert "示例核桃仁" not in page


def test_who_has_no_organisation_is_told_what_to_do(client: Client, world: World) -> None:
    sign_in(client, world.consumer)
    assert "还没有加入任何单位" in home(client)


@pytest.mark.parametrize(("status", "words"), [("applied", "正在审核"), ("suspended", "已暂停"), ("refused", "未通过")])
def test_who_is_not_admitted_is_told_so(client: Client, world: World, status: str, words: str) -> None:
    firm = make_organisation(f"示例申请厂{uuid7()}", "producer", status=status)
    sign_in(client, make_actor(firm, "owner"))
    page = home(client)
    assert words in page
    assert reverse("trace:organisation") in page


@pytest.mark.parametrize("who", ["walnuts", "shop", "grower", "lab", "county"])
def test_a_home_costs_the_same_with_1_and_with_50_lots(client: Client, world: World, who: str) -> None:
    actor: Actor = getattr(world, who)

    def grow(count: int) -> None:
        for _each in range(count):
            lot = make_lot(world.walnuts, world.kernels, "10")
            released(world.walnuts, world.walnuts_quality, lot)
            ship(world.walnuts, world.shop.organisation, lot, "1")

    sign_in(client, actor)
    grow(1)
    make_lot(world.grower, world.fresh_walnuts, "1")
    with CaptureQueriesContext(connection) as few:
        home(client)
    grow(12)
    for _each in range(5):
        make_lot(world.grower, world.fresh_walnuts, "1")
    with CaptureQueriesContext(connection) as more:
        home(client)
    assert len(more) == len(few)


def test_every_kind_of_organisation_has_a_home(client: Client, world: World) -> None:
    for kind in Organisation.Kind:
        if kind == Organisation.Kind.REGULATOR:
            continue
        sign_in(client, make_actor(make_organisation(f"示例{kind}单位", kind), "owner"))
        assert f"示例{kind}单位" in home(client)


def test_help_is_for_everybody_and_in_both_languages(client: Client, db: None) -> None:
    page = client.get(reverse("desk:help"))
    assert page.status_code == 200
    for anchor in ("consumer", "grower", "producer", "shop", "regulator"):
        assert f'id="{anchor}"' in text(page)
    assert client.get(reverse("desk:help"), {"lang": "en"}).status_code == 200
