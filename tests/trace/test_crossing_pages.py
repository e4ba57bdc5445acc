"""Pages where two sets of books meet: supplier's codes, opening stock, old codes, chasing, outsiders."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.goods import amount, day, make_lot, receive, released, ship, turn_into
from tests.world import USCCS, World, make_organisation, make_place, make_product, sign_in
from trace.actions.chasing import answer_differences, remind, send_reminders
from trace.actions.corrections import declare_error
from trace.actions.old_codes import Opening, bring_in_codes, open_stock
from trace.actions.organisations import RecallContact, keep_external
from trace.actions.rebuild import rebuild
from trace.actions.transfers import receive_shipment, take_in
from trace.chasing import chased
from trace.errors import DomainError
from trace.finding import find_lots
from trace.models import Division, Event, Lot, LotClaim, OldCode, Organisation, Product, Reminder, Shipment

LATER = datetime.timedelta(days=1)


@pytest.fixture(autouse=True)
def no_tries_before() -> None:
    """Codes tried in other tests are forgotten."""
    cache.clear()


@pytest.fixture
def lot(world: World) -> Lot:
    """Ten kilograms of released kernels in the walnut firm's hands."""
    return released(
        world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10", place=world.plant)
    )


@pytest.fixture
def material(world: World) -> Product:
    """What the distillery calls the kernels it buys."""
    return make_product(world.distillery.organisation, "HTR", "示例外购核桃仁", kind="raw")


def text(response: Any) -> str:
    return str(response.content.decode())


def intake_form(product: Product, code: str) -> dict[str, str]:
    return {
        "product": str(product.uid),
        "supplier_lot": code,
        "amount": "5",
        "unit": "KGM",
        "arrived_on": "2026-09-26",
        "inspection_result": "合格",
    }


# --- Joining --------------------------------------------------------------------------------------------------------


def test_a_code_typed_at_receiving_leads_to_the_suppliers_lot_and_both_sides_answer(
    client: Client, world: World, lot: Lot, material: Product
) -> None:
    sign_in(client, world.distillery)
    intake = reverse("trace:intake", args=[world.walnuts.organisation.uid])
    answer = client.post(intake, intake_form(material, lot.lot_code))
    external = Lot.objects.get(is_external=True)
    assert answer["Location"] == reverse("trace:lot_join", args=[external.uid])
    page = text(client.get(answer["Location"]))
    assert lot.product_version.name in page
    done = client.post(answer["Location"], {"code": lot.lot_code, "lot": lot.public_code})
    claim = LotClaim.objects.get()
    assert done["Location"] == reverse("trace:claim_detail", args=[claim.uid])
    assert "确认是本单位的这一批" not in text(client.get(done["Location"]))
    sign_in(client, world.walnuts)
    assert "请确认" in text(client.get(reverse("desk:home")))
    assert "确认是本单位的这一批" in text(client.get(done["Location"]))
    assert client.post(done["Location"], {"do": "confirm"}).status_code == 302
    claim.refresh_from_db()
    assert claim.status == "confirmed"
    assert "说收到了这一批" in text(client.get(reverse("desk:lot_detail", args=[lot.uid])))
    sign_in(client, world.county)
    assert client.get(done["Location"]).status_code == 200
    sign_in(client, world.shop)
    assert client.get(done["Location"]).status_code == 404
    assert client.get(reverse("trace:lot_join", args=[external.uid])).status_code == 404


def test_a_suppliers_code_in_chinese_is_kept_as_it_is_and_found_again(
    client: Client, world: World, material: Product
) -> None:
    sign_in(client, world.distillery)
    url = reverse("trace:intake", args=[world.shop.organisation.uid])
    assert client.post(url, {**intake_form(material, "批次甲 2026/１"), "origin": "530000"}).status_code == 302
    external = Lot.objects.get(is_external=True)
    (old,) = external.old_codes.all()
    assert (old.text, old.kind, old.issued_by) == ("批次甲 2026/１", "lot", world.shop.organisation.name)
    assert external.origin_event.data["supplier_lot"] == "批次甲 2026/１"
    assert [one.pk for one in find_lots(world.distillery, "批次甲 2026/1").lots] == [external.pk]
    assert "批次甲 2026/１" in text(client.get(reverse("trace:lot_join", args=[external.uid])))
    event = text(client.get(reverse("trace:event_detail", args=[external.origin_event.uid])))
    assert "批次甲 2026/１" in event
    assert "云南省" in event
    again = client.post(url, intake_form(material, "批次甲 2026/1"))
    assert again.status_code in (409, 422)
    assert "已经用在这个产品上" in text(again)
    for bad in ("", " ", "\x00批", "批" * 61):
        assert client.post(url, intake_form(material, bad)).status_code == 422
    assert Lot.objects.filter(is_external=True).count() == 1
    assert not rebuild(write=False).differences


def test_a_code_nobody_has_is_taken_in_as_an_external_lot_and_a_wrong_one_says_so(
    client: Client, world: World, lot: Lot, material: Product
) -> None:
    sign_in(client, world.distillery)
    answer = client.post(reverse("trace:intake", args=[world.walnuts.organisation.uid]), intake_form(material, "XX-1"))
    external = Lot.objects.get(is_external=True)
    assert "done=" in answer["Location"]
    join = reverse("trace:lot_join", args=[external.uid])
    assert lot.product_version.name not in text(client.get(join))
    wrong = client.post(join, {"code": lot.lot_code[:-2]})
    assert wrong.status_code == 422
    assert "没有批号" in text(wrong)
    assert "就是它" in text(client.post(join, {"code": f"https://old.example/c/{lot.public_code}"}))
    assert not LotClaim.objects.exists()


# --- Opening stock and old codes ------------------------------------------------------------------------------------


def test_opening_stock_comes_in_with_its_old_codes_and_they_resolve_honestly(client: Client, world: World) -> None:
    sign_in(client, world.walnuts)
    url = "https://old.example/t?id=77&s=A"
    form = {
        "product": str(world.kernels.uid),
        "amount": "12.5",
        "unit": "KGM",
        "place": str(world.plant.uid),
        "old_lot_code": "老批/2025 第3号",
        "basis": "示例盘点表",
        "counted_on": "2026-09-20",
        "issued_by": "示例旧平台",
        "codes": f"{url}\n  OLD-0001 \nOLD-0001\n\n",
    }
    assert client.post(reverse("trace:opening_new"), form).status_code == 302
    lot = Lot.objects.get()
    assert sorted(OldCode.objects.values_list("text", "kind")) == [
        ("OLD-0001", "label"),
        (url, "label"),
        ("老批/2025 第3号", "lot"),
    ]
    for code in (url, "OLD-0001", "ＯＬＤ-0001", "老批/2025 第3号"):
        assert [found.pk for found in find_lots(world.walnuts, code).lots] == [lot.pk]
        assert not find_lots(world.shop, code).lots
    page = text(client.get(reverse("desk:lot_detail", args=[lot.uid])))
    assert "OLD-0001" in page
    stranger = Client()
    for code in (url, "OLD-0001"):
        seen = text(stranger.get(reverse("labels:search"), {"q": code}))
        assert "不是本系统签发" in seen
        assert world.walnuts.organisation.name in seen
        assert "示例旧平台" in seen
    assert stranger.get(reverse("labels:search"), {"q": "OLD-0002"}).status_code == 404


def test_old_codes_of_ours_and_broken_text_are_refused_with_the_line(world: World, lot: Lot) -> None:
    for codes, code in (([lot.public_code], "code_is_ours"), (["好", "坏\x00"], "codes_wrong"), ([""], "codes_wrong")):
        with pytest.raises(DomainError) as refused:
            bring_in_codes(by=world.walnuts, lot=lot, codes=codes, issued_by="示例", when=day(3))
        assert refused.value.fields["codes"].code == code  # type: ignore[attr-defined]
    for by in (world.shop, world.distillery):
        with pytest.raises(DomainError) as refused:
            bring_in_codes(by=by, lot=lot, codes=["A-1"], issued_by="示例", when=day(3))
        assert refused.value.code == "not_own"
    bring_in_codes(by=world.walnuts, lot=lot, codes=["A-1"], issued_by="示例", when=day(3))
    with pytest.raises(DomainError) as refused:
        bring_in_codes(by=world.walnuts, lot=lot, codes=["A-1"], issued_by="示例", when=day(3))
    assert refused.value.code == "nothing_new"


def test_codes_declared_wrong_no_longer_resolve(world: World, lot: Lot) -> None:
    (row,) = bring_in_codes(by=world.walnuts, lot=lot, codes=["A-1"], issued_by="示例", when=day(3))
    assert find_lots(world.walnuts, "A-1").lots
    declare_error(by=world.walnuts, event=row.event, reason="incorrect_data", when=day(4))
    assert not find_lots(world.walnuts, "A-1").lots


def test_opening_stock_keeps_a_printable_old_lot_code_as_its_own_and_is_all_or_nothing(world: World) -> None:
    made = open_stock(
        by=world.walnuts,
        opening=Opening(world.kernels, amount("5", world.kernels), "示例", old_lot_code="B2025-3"),
        when=day(0),
    )
    assert made.lots[0].lot_code == "B2025-3"
    with pytest.raises(DomainError):
        open_stock(
            by=world.walnuts,
            opening=Opening(
                world.kernels, amount("5", world.kernels), "示例", issued_by="x", old_codes=[made.lots[0].public_code]
            ),
            when=day(0),
        )
    assert Lot.objects.count() == 1


# --- Chasing --------------------------------------------------------------------------------------------------------


def test_an_unconfirmed_receipt_is_chased_on_the_page_and_by_mail(client: Client, world: World, lot: Lot) -> None:
    Organisation.objects.filter(pk=world.shop.organisation.pk).update(recall_contact_email="shop@example.com")
    shipment = ship(world.walnuts, world.shop.organisation, lot, "4")
    sign_in(client, world.walnuts)
    page = text(client.get(reverse("trace:chase_list")))
    assert shipment.number in page
    assert client.post(reverse("trace:shipment_remind", args=[shipment.uid])).status_code == 302
    assert Reminder.objects.get().email == "shop@example.com"
    client.post(reverse("trace:shipment_remind", args=[shipment.uid]))
    assert Reminder.objects.count() == 1
    assert (send_reminders(), send_reminders()) == (1, 0)
    assert shipment.number in mail.outbox[0].subject
    assert reverse("trace:receive", args=[shipment.uid]) in mail.outbox[0].body
    sign_in(client, world.shop)
    assert "对方催您处理的发货单" in text(client.get(reverse("desk:home")))
    receive(world.shop, shipment)
    assert "对方催您处理的发货单" not in text(client.get(reverse("desk:home")))
    with pytest.raises(DomainError) as refused:
        remind(by=world.walnuts, shipment=shipment, at=timezone.now() + LATER)
    assert refused.value.code == "nothing_open"
    sign_in(client, world.distillery)
    assert client.post(reverse("trace:shipment_remind", args=[shipment.uid])).status_code == 404


def test_a_receiver_without_account_gets_the_slips_link(world: World, lot: Lot) -> None:
    buyer = keep_external(
        by=world.walnuts,
        name="示例小卖部",
        kind="retailer",
        division=Division.objects.get(pk="141182"),
        contact=RecallContact("示例", "", "buyer@example.com"),
    )
    remind(by=world.walnuts, shipment=ship(world.walnuts, buyer, lot, "1"))
    send_reminders()
    assert "/s/" in mail.outbox[0].body


def differing(world: World, lot: Lot) -> Shipment:
    """Four kilograms sent, three received."""
    shipment = ship(world.walnuts, world.shop.organisation, lot, "4")
    receive(world.shop, shipment, "3")
    return shipment


def test_a_difference_is_disputed_then_accepted_and_the_regulator_sees_it_while_open(
    client: Client, world: World, lot: Lot
) -> None:
    shipment = differing(world, lot)
    transfer = shipment.transfers.get()
    where, field = reverse("trace:difference", args=[shipment.uid]), f"answer_{transfer.pk}"
    for who in (world.walnuts, world.shop, world.county):
        assert list(chased(who, "differences")) == [shipment]
    assert not chased(world.distillery, "differences")
    assert not chased(world.other_county, "differences")
    sign_in(client, world.walnuts)
    assert client.post(where, {field: "disputed"}).status_code == 422
    assert client.post(where, {field: "disputed", "words": "出库称过"}).status_code == 302
    assert list(chased(world.county, "differences")) == [shipment]
    sign_in(client, world.county)
    assert "出库称过" in text(client.get(where))
    assert client.post(where, {field: "accepted"}).status_code == 422
    sign_in(client, world.shop)
    assert client.post(where, {"words": "门店只收到三公斤"}).status_code == 302
    sign_in(client, world.walnuts)
    assert client.post(where, {field: "accepted"}).status_code == 302
    assert not chased(world.county, "differences")
    with pytest.raises(DomainError) as refused:
        answer_differences(by=world.walnuts, shipment=shipment, answers={transfer: "accepted"})
    assert refused.value.code == "nothing_open"


def test_a_corrected_receipt_settles_the_difference_by_itself(world: World, lot: Lot) -> None:
    shipment = differing(world, lot)
    with pytest.raises(DomainError) as refused:
        answer_differences(by=world.shop, shipment=shipment, answers={shipment.transfers.get(): "accepted"})
    assert refused.value.code == "not_sender"
    receipt = shipment.transfers.get().received_by
    assert receipt is not None
    declare_error(by=world.shop, event=receipt, reason="incorrect_data", when=day(5))
    assert not chased(world.county, "differences")
    transfer = shipment.transfers.get()
    receive_shipment(by=world.shop, shipment=shipment, received={transfer: amount("4", lot.product)}, when=day(5))
    assert not chased(world.walnuts, "differences")


# --- Outsiders ------------------------------------------------------------------------------------------------------


def test_an_outsider_is_edited_linked_when_it_joins_and_its_lots_can_then_be_joined(
    client: Client, world: World, lot: Lot, material: Product
) -> None:
    sign_in(client, world.distillery)
    form = {"name": "示例核桃外人", "kind": "producer", "division": "141182", "contact_phone": "0358-7220000"}
    client.post(reverse("trace:intake_new"), form)
    outsider = Organisation.objects.get(name="示例核桃外人")
    external = take_in(
        by=world.distillery,
        supplier=outsider,
        product=material,
        supplier_lot=lot.lot_code,
        amount=amount("5", material),
        when=day(3),
        data={"inspection_result": "合格"},
    ).lots[0]
    join = reverse("trace:lot_join", args=[external.uid])
    assert "还没有入驻" in text(client.get(join))
    edit = reverse("trace:outsider_edit", args=[outsider.uid])
    assert client.post(edit, {**form, "name": "示例核桃厂", "contact_phone": "0358-7220001"}).status_code == 302
    page = text(client.get(reverse("trace:outsider", args=[outsider.uid])))
    assert "示例核桃厂" in page
    assert "0358-7220001" in page
    link = reverse("trace:outsider_link", args=[outsider.uid])
    assert client.post(link, {"uscc": "91149999DEMD001606"}).status_code == 422
    assert client.post(link, {"uscc": USCCS["walnuts"]}).status_code == 302
    assert "就是它" in text(client.get(join))
    found = text(client.get(reverse("trace:shipment_new"), {"q": "核桃"}))
    assert "示例核桃厂" not in found
    sign_in(client, world.shop)
    for name in ("outsider", "outsider_edit", "outsider_link"):
        assert client.get(reverse(f"trace:{name}", args=[outsider.uid])).status_code == 404


def test_an_origin_is_shown_and_typed_by_its_name(world: World, client: Client) -> None:
    """It is kept as the place's name on the outside or a division's code; a person reads neither."""
    place = make_place(world.walnuts.organisation, "示例枣园", kind="plot")
    outsider = make_organisation(
        "示例外地枣业", "producer", status="external", kept_by=world.walnuts.organisation, division="140100"
    )
    dates = make_product(world.walnuts.organisation, "HZ", "示例红枣", kind="raw")

    def take(code: str, origin: str) -> Lot:
        return take_in(
            by=world.walnuts, supplier=outsider, product=dates, supplier_lot=code, amount=amount("10", dates),
            when=day(1), place=world.plant, code="datewalnut.receive_dates",
            data={"origin": origin, "moisture": "20"},
        ).lots[0]  # fmt: skip

    lot = take("HZ-1", str(place.uid))
    sign_in(client, world.walnuts)
    form = "/steps/datewalnut.receive_dates/"
    page = client.get(form).context["form"]
    assert page["d_origin"].value() == "示例枣园"
    assert '<option value="示例枣园">' in client.get(form).content.decode()
    take("HZ-2", "140100")
    assert "太原" in client.get(form).context["form"]["d_origin"].value()
    sent = {
        "when_on": day(2).at.date().isoformat(), "place": str(world.plant.uid), "party": str(outsider.uid),
        "outputs-count": "1", "outputs-0-product": str(dates.uid), "outputs-0-amount": "5", "outputs-0-unit": "KGM",
        "outputs-0-lot_code": "HZ-3", "d_origin": "示例枣园", "d_moisture": "20",
    }  # fmt: skip
    assert client.post(form, sent).status_code == 302
    assert Event.objects.latest("id").data["origin"] == str(place.uid)
    # Stated again after a correction it is named the same way.
    declare_error(by=world.walnuts, event=lot.origin_event, reason="incorrect_data", when=day(3))
    again = client.get(f"{form}?replaces={lot.origin_event.uid}").context["form"]
    assert again["d_origin"].value() == "示例枣园"


def test_goods_from_outside_are_not_from_where_they_were_received(world: World, client: Client) -> None:
    outsider = make_organisation(
        "示例外地枣业", "producer", status="external", kept_by=world.walnuts.organisation, division="140100"
    )
    lot = take_in(
        by=world.walnuts, supplier=outsider, product=world.kernels, supplier_lot="HZ-1", when=day(1),
        amount=amount("10", world.kernels), place=world.plant, data={"inspection_result": "合格"},
    ).lots[0]  # fmt: skip
    made = turn_into(world.walnuts, [(lot, "5")], [(world.kernels, "5")], when=day(2))[0]
    page = sign_in(client, world.walnuts).get(f"/trace/?lot={made.uid}&way=back").content.decode()
    assert f"示例外地枣业 · {outsider.division.label}" in page
    assert f"示例外地枣业 · {world.plant.division.label}" not in page
