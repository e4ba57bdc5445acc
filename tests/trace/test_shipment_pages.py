"""Pages of goods changing hands: sending, the slip and its public page, receiving, taking in, returns, lists."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.goods import amount, day, make_lot, receive, released, ship, stock_of
from tests.world import World, behalf, sign_in
from trace.actions.holds import place_hold
from trace.actions.transfers import slip_token
from trace.identifiers import uuid7
from trace.models import Conflict, Event, Lot, LotAlias, Organisation, Shipment
from trace.personal import reveal

PHONE = "0358-7220000"


@pytest.fixture
def lot(world: World) -> Lot:
    """Ten kilograms of released kernels in the walnut firm's hands."""
    return released(
        world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10", place=world.plant)
    )


@pytest.fixture
def shipment(world: World, lot: Lot) -> Shipment:
    return ship(world.walnuts, world.shop.organisation, lot, "4")


def text(response: Any) -> str:
    return str(response.content.decode())


def goods_url(receiver: Organisation, *lots: Lot) -> str:
    address = reverse("trace:shipment_goods", args=[receiver.uid])
    return address + ("?" + "&".join(f"lot={lot.uid}" for lot in lots) if lots else "")


def goods_form(lot: Lot, entered: str = "4", unit: str = "KGM", **more: str) -> dict[str, str]:
    return {f"amount_{lot.pk}": entered, f"unit_{lot.pk}": unit, "when": "2026-09-25T09:30", **more}


def receipt_form(shipment: Shipment, entered: str = "4", unit: str = "KGM", **more: str) -> dict[str, str]:
    rows = shipment.transfers.all()
    fields = {f"amount_{row.pk}": entered for row in rows} | {f"unit_{row.pk}": unit for row in rows}
    return {**fields, "arrived_on": "2026-09-26", "inspection_result": "合格", **more}


def slip(shipment: Shipment) -> str:
    return reverse("trace:slip", args=[slip_token(shipment)])


# --- Sending --------------------------------------------------------------------------------------------------------


def test_a_lot_is_sent_to_a_vetted_buyer_in_packs_and_the_slip_carries_its_code(
    client: Client, world: World, lot: Lot
) -> None:
    sign_in(client, world.walnuts)
    found = text(client.get(reverse("trace:shipment_new"), {"q": "便民"}))
    assert goods_url(world.shop.organisation) in found
    assert "10 千克" in text(client.get(goods_url(world.shop.organisation)))
    answer = client.post(
        goods_url(world.shop.organisation, lot), goods_form(lot, "20", "袋", vehicle="示例A00000", waybill="YD-1")
    )
    row = Shipment.objects.get()
    assert answer["Location"] == reverse("trace:shipment", args=[row.uid])
    assert stock_of(lot, world.walnuts.organisation) == 6_000_000
    assert row.event.data["waybill"] == "YD-1"
    assert "示例A00000" not in str(row.event.data)
    assert "示例A00000" in reveal(row.event.remark)
    page = text(client.get(reverse("trace:slip_print", args=[row.uid])))
    assert row.number in page
    assert "<svg" in page
    assert slip_token(row) in page
    assert "20 袋" in page


def test_names_of_lots_that_are_none_are_left_out(client: Client, world: World, lot: Lot) -> None:
    page = sign_in(client, world.walnuts).get(reverse("trace:shipment_new"), {"lot": ["[]", str(lot.uid), "x" * 999]})
    assert [each.pk for each in page.context["lots"]] == [lot.pk]


def test_several_lots_go_on_one_slip(client: Client, world: World, lot: Lot) -> None:
    other = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "7"), when=day(2))
    sign_in(client, world.walnuts)
    client.post(goods_url(world.shop.organisation, lot, other), goods_form(lot) | goods_form(other, "7"))
    assert sorted(Shipment.objects.get().transfers.values_list("sent_micros", flat=True)) == [4_000_000, 7_000_000]


def test_a_buyer_outside_the_system_is_kept_with_contact_and_gets_a_slip(
    client: Client, world: World, lot: Lot
) -> None:
    sign_in(client, world.walnuts)
    form = {"name": "示例张家小卖部", "kind": "retailer", "division": "141182", "contact_phone": PHONE}
    answer = client.post(f"{reverse('trace:shipment_new')}?lot={lot.uid}", form)
    buyer = Organisation.objects.get(name="示例张家小卖部")
    assert answer["Location"] == goods_url(buyer, lot)
    assert buyer.is_external
    assert buyer.recall_contact_phone == PHONE
    client.post(goods_url(buyer, lot), goods_form(lot))
    assert PHONE in text(client.get(reverse("trace:slip_print", args=[Shipment.objects.get().uid])))


def test_a_buyer_nobody_could_reach_is_refused(client: Client, world: World) -> None:
    sign_in(client, world.walnuts)
    answer = client.post(reverse("trace:shipment_new"), {"name": "示例某人", "kind": "retailer", "division": "141182"})
    assert answer.status_code == 422
    assert "至少填一项" in text(answer) or "中的一项" in text(answer)
    assert not Organisation.objects.filter(name="示例某人").exists()


def test_a_broken_guard_comes_back_once_and_insisting_records_a_conflict(
    client: Client, world: World, lot: Lot
) -> None:
    place_hold(by=world.walnuts_quality, kind="hold", reason="示例留样待查", lots=[lot])
    sign_in(client, world.walnuts)
    url = goods_url(world.shop.organisation, lot)
    refused = client.post(url, goods_form(lot, form_key=str(uuid7())))
    assert refused.status_code == 409
    assert "示例留样待查" in text(refused)
    assert 'name="insist"' in text(refused)
    assert not Shipment.objects.exists()
    key = re.search(r'name="form_key" value="([^"]+)"', text(refused))
    assert key is not None
    assert client.post(url, goods_form(lot, insist="1", form_key=key[1])).status_code == 302
    assert Shipment.objects.get().event.mode == Event.Mode.REPORT
    assert Conflict.objects.get().code == "lot_blocked"


@pytest.mark.parametrize(
    ("entered", "unit", "when", "words"),
    [
        ("", "KGM", "2026-09-25T09:30", "必须填写"),
        ("abc", "KGM", "2026-09-25T09:30", "不是数量"),
        ("-1", "KGM", "2026-09-25T09:30", "不能是负数"),
        ("1", "furlong", "2026-09-25T09:30", "请从列表中选择"),
        ("1\x00", "KGM", "2026-09-25T09:30", "看不见的空字符"),
        ("1", "KGM", "2026-02-30T09:30", "没有这个时间"),
        ("1", "KGM", "0001-01-01T00:00", "没有这个时间"),
        ("9" * 1_000_000, "KGM", "2026-09-25T09:30", "文字太长"),
    ],
)
def test_bad_entries_are_explained_and_nothing_is_sent(
    client: Client, world: World, lot: Lot, entered: str, unit: str, when: str, words: str
) -> None:
    sign_in(client, world.walnuts)
    form = goods_form(lot, entered, unit) | {"when": when}
    answer = client.post(goods_url(world.shop.organisation, lot), form)
    assert answer.status_code == 422
    assert words in text(answer)
    assert not Shipment.objects.exists()


def test_the_same_form_sent_twice_makes_one_shipment(client: Client, world: World, lot: Lot) -> None:
    sign_in(client, world.walnuts)
    url, form = goods_url(world.shop.organisation, lot), goods_form(lot, form_key=str(uuid7()))
    first, second = client.post(url, form), client.post(url, form)
    assert first["Location"] == second["Location"]
    assert Shipment.objects.count() == 1
    changed = client.post(url, {**form, f"amount_{lot.pk}": "1"})
    assert changed.status_code == 422
    assert "已经提交成功" in text(changed)
    assert Shipment.objects.count() == 1


def test_lots_of_others_and_lots_used_up_cannot_be_chosen(client: Client, world: World, lot: Lot) -> None:
    sign_in(client, world.distillery)
    answer = client.get(goods_url(world.shop.organisation, lot))
    assert answer.status_code == 302
    assert lot.code not in text(client.get(goods_url(world.shop.organisation)))


def test_an_outsider_of_another_firm_is_nobody(client: Client, world: World) -> None:
    sign_in(client, world.walnuts)
    form = {"name": "示例李家小卖部", "kind": "retailer", "division": "141182", "contact_phone": PHONE}
    client.post(reverse("trace:shipment_new"), form)
    buyer = Organisation.objects.get(name="示例李家小卖部")
    sign_in(client, world.distillery)
    assert client.get(goods_url(buyer)).status_code == 404
    assert "李家小卖部" not in text(client.get(reverse("trace:shipment_new"), {"q": "李家小"}))


def test_a_clerk_sends_for_a_grower_and_the_goods_are_the_growers(client: Client, world: World) -> None:
    grown = make_lot(world.grower, world.fresh_walnuts, "50")
    sign_in(client, behalf(world.clerk, world.grower.organisation))
    form = {"name": "示例收购商", "kind": "distributor", "division": "141182", "contact_phone": PHONE}
    answer = client.post(f"{reverse('trace:shipment_new')}?lot={grown.uid}", form)
    client.post(answer["Location"], goods_form(grown, "50"))
    row = Shipment.objects.get()
    assert row.organisation == world.grower.organisation
    assert row.event.entered_by_organisation == world.cooperative.organisation


def test_a_viewer_may_look_and_not_send(client: Client, world: World, lot: Lot) -> None:
    from tests.world import make_actor

    sign_in(client, make_actor(world.walnuts.organisation, "viewer"))
    assert client.get(reverse("trace:transfer_list")).status_code == 200
    assert client.get(reverse("trace:shipment_new")).status_code == 403


# --- The slip without account ---------------------------------------------------------------------------------------


def test_looking_at_a_slip_answers_nothing(client: Client, shipment: Shipment) -> None:
    for _each in range(2):
        page = client.get(slip(shipment))
        assert page.status_code == 200
    assert "示例核桃仁" in text(page)
    assert "4 千克" in text(page)
    assert not shipment.transfers.filter(received_by__isnull=False).exists()


def test_the_buyer_confirms_by_the_slip_once(client: Client, shipment: Shipment, lot: Lot, world: World) -> None:
    assert client.post(slip(shipment), {"answer": "all"}).status_code == 302
    assert "已登记收货" in text(client.get(slip(shipment)))
    assert stock_of(lot, world.shop.organisation) == 4_000_000
    again = client.post(slip(shipment), {"answer": "all"})
    assert again.status_code == 409
    assert stock_of(lot, world.shop.organisation) == 4_000_000
    assert Event.objects.filter(template="common.receive").count() == 1


def test_the_slip_needs_no_cookie(shipment: Shipment) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert not strict.get(slip(shipment)).cookies
    assert strict.post(slip(shipment), {"answer": "all"}).status_code == 302
    assert shipment.transfers.get().received_micros == 4_000_000


def test_what_contradicts_the_sending_is_not_told_to_the_receiver(client: Client, world: World, lot: Lot) -> None:
    row = ship(world.walnuts, world.shop.organisation, lot, "99", insist=True)
    url = reverse("trace:shipment", args=[row.uid])
    sign_in(client, world.walnuts)
    assert "只有 10 千克" in text(client.get(url))
    sign_in(client, world.shop)
    assert "只有 10 千克" not in text(client.get(url))


def test_a_difference_reported_by_the_slip_is_a_conflict_both_sides_see(
    client: Client, shipment: Shipment, world: World
) -> None:
    assert client.post(slip(shipment), receipt_form(shipment, "15", "袋", remark="少一袋多一袋")).status_code == 302
    assert "有差异" in text(client.get(slip(shipment)))
    assert Conflict.objects.get().code == "received_differs"
    sign_in(client, world.walnuts)
    assert "数量不一致" in text(client.get(reverse("trace:shipment", args=[shipment.uid])))


def test_nothing_arrived_is_an_answer(client: Client, shipment: Shipment, lot: Lot, world: World) -> None:
    assert client.post(slip(shipment), receipt_form(shipment, "0")).status_code == 302
    assert stock_of(lot, world.shop.organisation) == 0
    assert shipment.transfers.get().received_micros == 0


def test_a_bad_answer_on_the_slip_stores_nothing(client: Client, shipment: Shipment) -> None:
    answer = client.post(slip(shipment), receipt_form(shipment, "viele"))
    assert answer.status_code == 422
    assert shipment.transfers.get().received_by is None
    assert client.post(slip(shipment), {}).status_code == 422


@pytest.mark.parametrize("token", ["S20260925-AAAAAAAA", "S20260925-AAAAAAAA:forged", "%00", "x" * 3000])
def test_a_forged_slip_is_not_found(client: Client, db: None, token: str) -> None:
    assert client.get(f"/s/{token}").status_code == 404


def test_a_recalled_lot_warns_on_the_slip(client: Client, shipment: Shipment, lot: Lot, world: World) -> None:
    place_hold(by=world.walnuts_quality, kind="stop_sale", reason="示例停售", lots=[lot])
    assert "封存" in text(client.get(slip(shipment)))
    assert client.post(slip(shipment), {"answer": "all"}).status_code == 302


def test_the_slip_is_printed_only_by_the_sender(client: Client, shipment: Shipment, world: World) -> None:
    sign_in(client, world.shop)
    answer = client.get(reverse("trace:slip_print", args=[shipment.uid]))
    assert answer.status_code == 302
    sign_in(client, world.distillery)
    assert client.get(reverse("trace:slip_print", args=[shipment.uid])).status_code == 404


# --- Receiving with an account --------------------------------------------------------------------------------------


def test_the_inbox_shows_what_waits_and_the_form_receives_with_own_code(
    client: Client, world: World, shipment: Shipment, lot: Lot
) -> None:
    sign_in(client, world.shop)
    assert shipment.number in text(client.get(reverse("trace:inbox")))
    url = reverse("trace:receive", args=[shipment.uid])
    assert 'value="4"' in text(client.get(url))
    transfer = shipment.transfers.get()
    form = receipt_form(shipment, place=str(world.counter.uid), **{f"alias_{transfer.pk}": "OWN-7"})
    assert client.post(url, form)["Location"] == reverse("trace:shipment", args=[shipment.uid])
    assert LotAlias.objects.get().code == "OWN-7"
    assert lot.stocks.get(organisation=world.shop.organisation).place == world.counter
    assert shipment.number not in text(client.get(reverse("trace:inbox")))
    assert client.post(url, form).status_code == 302
    assert stock_of(lot, world.shop.organisation) == 4_000_000


def test_a_receipt_begins_with_the_unit_of_the_sender(client: Client, world: World, lot: Lot) -> None:
    from trace.actions.events import Portion
    from trace.actions.transfers import ship_lots

    row = ship_lots(
        by=world.walnuts,
        receiver=world.shop.organisation,
        portions=[Portion(lot, amount("20", world.kernels, "袋"))],
        when=day(3),
    )
    sign_in(client, world.shop)
    page = text(client.get(reverse("trace:receive", args=[row.uid])))
    assert 'value="20"' in page
    assert re.search(r'<option value="袋" selected', page)


def test_others_cannot_receive_or_see_it(client: Client, world: World, shipment: Shipment) -> None:
    url = reverse("trace:receive", args=[shipment.uid])
    assert client.get(url)["Location"].startswith("/sign-in/")
    sign_in(client, world.distillery)
    assert client.get(url).status_code == 404
    assert client.get(reverse("trace:shipment", args=[shipment.uid])).status_code == 404
    sign_in(client, world.walnuts)
    assert client.post(url, receipt_form(shipment)).status_code == 302
    assert shipment.transfers.get().received_by is None


def test_regulators_see_shipments_of_their_territory_only(client: Client, world: World, shipment: Shipment) -> None:
    sign_in(client, world.county)
    assert shipment.number in text(client.get(reverse("trace:transfer_list")))
    assert client.get(reverse("trace:shipment", args=[shipment.uid])).status_code == 200
    sign_in(client, world.other_county)
    assert shipment.number not in text(client.get(reverse("trace:transfer_list")))
    assert client.get(reverse("trace:shipment", args=[shipment.uid])).status_code == 404
    assert client.get(reverse("trace:shipment_new")).status_code == 404


# --- Lists ----------------------------------------------------------------------------------------------------------


def test_the_list_filters_by_state_way_text_and_day(client: Client, world: World, lot: Lot, shipment: Shipment) -> None:
    done = ship(world.walnuts, world.distributor.organisation, lot, "1", when=day(4))
    receive(world.distributor, done, when=day(5))
    short = ship(world.walnuts, world.distributor.organisation, lot, "2", when=day(5))
    receive(world.distributor, short, "1", when=day(6))
    sign_in(client, world.walnuts)
    url = reverse("trace:transfer_list")

    def found(**query: str) -> set[str]:
        page = text(client.get(url, query))
        return {row.number for row in (shipment, done, short) if row.number in page}

    assert found() == {shipment.number, done.number, short.number}
    assert found(state="unconfirmed") == {shipment.number}
    assert found(state="confirmed") == {done.number}
    assert found(state="disputed") == {short.number}
    assert found(way="in") == set()
    assert found(q="便民") == {shipment.number}
    assert found(q=lot.lot_code) == {shipment.number, done.number, short.number}
    assert found(since="2026-09-24", until="2026-09-24") == {done.number}
    assert found(state="no\x00nsense", since="2026-13-40", q="\x00") == {shipment.number, done.number, short.number}


def test_the_list_turns_pages_and_stays_within_its_queries(client: Client, world: World, lot: Lot) -> None:
    sign_in(client, world.walnuts)
    url = reverse("trace:transfer_list")
    ship(world.walnuts, world.shop.organisation, lot, "0.1")
    with CaptureQueriesContext(connection) as one:
        client.get(url)
    for _each in range(49):
        ship(world.walnuts, world.shop.organisation, lot, "0.1")
    with CaptureQueriesContext(connection) as fifty:
        first = text(client.get(url))
    assert len(fifty) == len(one)
    following = re.search(r'href="(\?after=[^"]+)"', first)
    assert following is not None
    second = text(client.get(url + following[1].replace("&amp;", "&")))
    numbers = set(Shipment.objects.values_list("number", flat=True))
    seen = [number for number in numbers for page in (first, second) if number in page]
    assert sorted(seen) == sorted(numbers)
    assert client.get(url, {"after": "x"}).status_code == 404


def test_the_inbox_stays_within_its_queries(client: Client, world: World, lot: Lot) -> None:
    sign_in(client, world.shop)
    ship(world.walnuts, world.shop.organisation, lot, "0.1")
    with CaptureQueriesContext(connection) as one:
        client.get(reverse("trace:inbox"))
    for _each in range(49):
        ship(world.walnuts, world.shop.organisation, lot, "0.1")
    with CaptureQueriesContext(connection) as fifty:
        client.get(reverse("trace:inbox"))
    assert len(fifty) == len(one)


def test_the_table_runs_no_formula(client: Client, world: World, lot: Lot, shipment: Shipment) -> None:
    Organisation.objects.filter(pk=world.shop.organisation.pk).update(name="=cmd|' /C calc'!A0")
    sign_in(client, world.walnuts)
    answer = client.get(reverse("trace:transfer_list"), {"format": "csv"})
    table = answer.getvalue().decode("utf-8-sig")
    assert "'=cmd|" in table
    assert ",=cmd" not in table
    assert shipment.number in table


# --- From outside, and back -----------------------------------------------------------------------------------------


def test_goods_of_an_outside_supplier_begin_a_lot_under_its_code(client: Client, world: World) -> None:
    sign_in(client, world.walnuts)
    form = {"name": "示例坡头散户", "kind": "grower", "division": "141182101", "address": "示例村 1 号"}
    following = client.post(reverse("trace:intake_new"), form)["Location"]
    supplier = Organisation.objects.get(name="示例坡头散户")
    entry = {
        "product": str(world.kernels.uid),
        "supplier_lot": "GL/2026-08",
        "amount": "1,200",
        "unit": "jin",
        "arrived_on": "2026-09-22",
        "inspection_result": "合格",
        "produced_on": "2026-09-01",
    }
    assert client.post(following, entry).status_code == 302
    lot = Lot.objects.get(lot_code="GL/2026-08")
    assert lot.organisation == supplier
    assert lot.is_external
    assert stock_of(lot, world.walnuts.organisation) == 600_000_000
    taken = client.post(following, entry)
    assert taken.status_code == 422
    assert "已经用在这个产品上" in text(taken)


def test_a_supplier_lot_is_required_and_dates_are_in_order(client: Client, world: World) -> None:
    sign_in(client, world.walnuts)
    url = reverse("trace:intake", args=[world.shop.organisation.uid])
    entry = {"product": str(world.kernels.uid), "amount": "1", "unit": "KGM", "arrived_on": "2026-09-22"}
    answer = client.post(url, {**entry, "supplier_lot": "", "produced_on": "2026-09-02", "expires_on": "2026-09-01"})
    assert answer.status_code == 422
    assert "不能早于生产日期" in text(answer)
    assert not Lot.objects.exists()


def test_what_was_sent_can_come_back(client: Client, world: World, lot: Lot, shipment: Shipment) -> None:
    receive(world.shop, shipment)
    sign_in(client, world.walnuts)
    url = reverse("trace:return_goods", args=[world.shop.organisation.uid])
    assert lot.code in text(client.get(url))
    form = {f"amount_{lot.pk}": "3", f"unit_{lot.pk}": "KGM", "when": "2026-09-28T10:00", "form_key": str(uuid7())}
    for _each in range(2):
        assert client.post(f"{url}?lot={lot.uid}", form).status_code == 302
    assert stock_of(lot, world.walnuts.organisation) == 9_000_000
    assert stock_of(lot, world.shop.organisation) == 1_000_000


@pytest.mark.parametrize("name", ["transfer_list", "chase_list", "inbox", "shipment_new", "intake_new", "return_new"])
def test_who_is_not_signed_in_is_asked_to(client: Client, db: None, name: str) -> None:
    assert client.get(reverse(f"trace:{name}"))["Location"].startswith("/sign-in/")
