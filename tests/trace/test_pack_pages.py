"""The pages of packs as a bottling hall and a warehouse use them: scan, press once, go on."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.goods import day
from tests.trace.step_pages import signed
from tests.trace.test_packs import PREFIX, Hall, consistent, fresh
from tests.world import World
from trace.actions.packs import replace_code
from trace.models import Event, Shipment, Unit

NOW = "2026-10-20T09:00"


@pytest.fixture
def hall(world: World) -> Hall:
    """The distillery's bottling hall."""
    return Hall(world, world.distillery)


def send(client: Client, url: str, **values: Any) -> Any:
    """Fill in a form as its page gives it and send it."""
    form = client.get(url).context
    data = {"when": NOW, "form_key": form["key"], **values}
    return client.post(url, data)


def lines(*units: Unit) -> str:
    """What a scanner leaves in the field."""
    return "".join(f"{unit.code}\r\n" for unit in units)


def test_a_carton_is_packed_by_scanning_and_the_console_is_ready_for_the_next(hall: Hall, world: World) -> None:
    lot = hall.lot(12)
    bottles = list(Unit.objects.filter(lot=lot).order_by("number"))
    client = signed(world.distillery)
    page = send(client, "/packs/new/?level=carton", level="carton", codes=lines(*bottles[:6], bottles[0]))
    assert page.status_code == 302, page.context["form"].errors
    again = client.get(page.url)
    carton, counts = again.context["done"]
    assert (carton.level, carton.children.count(), counts) == ("carton", 6, "6 件")
    assert again.context["form"]["level"].value() == "carton"
    pallet = send(client, "/packs/new/?level=pallet", level="pallet", codes=carton.code)
    assert Unit.objects.get(code=client.get(pallet.url).context["done"][0].code).level == "pallet"
    consistent()


def test_the_same_form_sent_twice_packs_once(hall: Hall, world: World) -> None:
    lot = hall.lot(6)
    client = signed(world.distillery)
    data = {
        "when": NOW,
        "form_key": client.get("/packs/new/").context["key"],
        "level": "carton",
        "codes": lines(*Unit.objects.filter(lot=lot)),
    }
    assert client.post("/packs/new/", data)["Location"] == client.post("/packs/new/", data)["Location"]
    assert Unit.objects.filter(level="carton").count() == 1


def test_what_was_scanned_stays_when_a_code_is_refused(hall: Hall, world: World) -> None:
    lot = hall.lot(300)
    client = signed(world.distillery)
    codes = lines(*Unit.objects.filter(lot=lot).order_by("number")) + "222222222222"
    page = send(client, "/packs/new/", level="carton", codes=codes)
    assert page.status_code == 422
    assert page.context["form"].errors.as_data()["codes"][0].code == "unit_unknown"
    assert codes.strip() in page.content.decode().replace("\r\n", "\n").replace("\n", "\r\n")


def test_a_bottle_packed_elsewhere_is_told_with_the_other_carton(hall: Hall, world: World) -> None:
    lot = hall.lot(6)
    (carton,) = hall.cartons(lot)
    bottle = carton.children.first()
    assert bottle is not None
    client = signed(world.distillery)
    page = send(client, "/packs/new/", level="carton", codes=bottle.code)
    assert page.status_code == 409
    assert carton.code in page.content.decode()
    answer = client.get("/packs/check/", {"code": bottle.code}).json()
    assert (answer["known"], carton.code in answer["problem"]) == (True, True)
    assert client.get("/packs/check/", {"code": "nonsense"}).json()["known"] is False


def test_the_page_of_a_pallet_tells_its_goods_and_its_way(hall: Hall, world: World) -> None:
    lot, other = hall.lot(12), hall.lot(6)
    pallet = hall.pallet([*hall.cartons(lot), *hall.cartons(other)])
    client = signed(world.distillery)
    page = client.get(f"/packs/{pallet.code}/")
    assert {(each.lot, each.counts) for each in page.context["page"].goods} == {(lot, "12 件"), (other, "6 件")}
    assert page.context["page"].leaves == 18
    assert len(page.context["children"]) == 3
    bottle = Unit.objects.filter(lot=lot, level="item").first()
    assert bottle is not None
    shipment = hall.ship(pallet)
    page = client.get(f"/packs/{bottle.code}/")
    assert page.context["page"].shipment == shipment
    assert [entry.title for entry in page.context["history"]] == ["发货", "码垛", "装箱"]
    assert client.get(f"/packs/{pallet.code}/").context["may_unpack"] is False


def test_strangers_do_not_find_a_pack_and_a_later_owner_is_not_named(hall: Hall, world: World) -> None:
    lot = hall.lot(12)
    kept, sent = hall.cartons(lot)
    assert signed(world.walnuts).get(f"/packs/{kept.code}/").status_code == 404
    assert signed(world.walnuts).get("/packs/", {"q": kept.code}).status_code == 404
    hall.receive(hall.ship(sent), sent)
    page = signed(world.distributor).get(f"/packs/{kept.code}/")
    assert (page.status_code, page.context["page"].inside_told, page.context["page"].goods) == (200, False, [])
    assert kept.children.first().code not in page.content.decode()  # type: ignore[union-attr]
    assert "在本单位" in signed(world.distributor).get(f"/packs/{sent.code}/").content.decode()
    assert world.distributor.organisation.name in signed(world.distillery).get(f"/packs/{sent.code}/").content.decode()


def test_a_look_before_sending_says_what_would_be_refused_and_writes_nothing(hall: Hall, world: World) -> None:
    carton = hall.cartons(hall.lot(6))[0]
    hall.ship(carton)
    before = Event.objects.count(), Shipment.objects.count()
    url = f"/packs/ship/{world.shop.organisation.uid}/"
    look = send(signed(world.distillery), url, codes=lines(carton), step="check")
    assert look.status_code == 200
    assert "unit_in_transit" in [guard.code for guard in look.context["guard"].broken]
    text = look.content.decode()
    assert "已登记发货，还没有确认收货" in text
    assert 'name="insist"' in text
    assert "已登记发货。请打印发货单" not in text
    assert (Event.objects.count(), Shipment.objects.count()) == before


def test_packs_are_sent_after_a_look_at_what_they_come_to(hall: Hall, world: World) -> None:
    lot = hall.lot(18)
    cartons = hall.cartons(lot)
    pallet = hall.pallet(cartons)
    client = signed(world.distillery)
    url = f"/packs/ship/{world.distributor.organisation.uid}/"
    look = send(client, url, codes=lines(cartons[0]), step="check")
    assert look.status_code == 200
    assert [each.amount for each in look.context["goods"]] == ["3 升"]
    assert [unit.code for unit in look.context["load"].parted] == [cartons[0].code]
    assert look.context["guard"] is None
    assert not Shipment.objects.exists()
    page = send(client, url, codes=lines(cartons[0]), step="record")
    shipment = Shipment.objects.get()
    assert page.url == f"/shipments/{shipment.uid}/"
    assert client.get(page.url).context["packs"][0][0] == cartons[0]
    assert fresh(cartons[1]).parent == pallet
    entries = client.get(f"/packs/{pallet.code}/").context["history"]
    assert next(entry.url for entry in entries) == f"/events/{shipment.event.uid}/", "the pallet says what left it"
    assert f"从中取走 {cartons[0].code}" in entries[0].text
    still = client.get(f"/packs/{cartons[1].code}/").context["history"]
    assert f"/events/{shipment.event.uid}/" not in [entry.url for entry in still]


def test_the_receiver_scans_the_pallet_once(hall: Hall, world: World) -> None:
    lot = hall.lot(12)
    pallet = hall.pallet(hall.cartons(lot))
    shipment = hall.ship(pallet)
    client = signed(world.distributor)
    assert "扫托盘或箱码收货" in client.get(f"/shipments/{shipment.uid}/receive/").content.decode()
    url = f"/packs/receive/{shipment.uid}/"
    look = send(client, url, codes=pallet.code, step="check")
    assert (look.context["missing"], [each.amount for each in look.context["goods"]]) == ([], ["6 升"])
    page = send(client, url, codes=pallet.code, step="record")
    assert page.url == f"/shipments/{shipment.uid}/"
    assert fresh(pallet).holder == world.distributor.organisation
    assert signed(world.shop).get(url).status_code == 404
    assert signed(world.distillery).get(url).status_code == 404


def test_what_is_missing_is_asked_for_before_it_is_recorded(hall: Hall, world: World) -> None:
    lot = hall.lot(12)
    one, other = hall.cartons(lot)
    shipment = hall.ship(one, other)
    client = signed(world.distributor)
    url = f"/packs/receive/{shipment.uid}/"
    page = send(client, url, codes=one.code, step="record")
    assert (page.status_code, page.context["guard"].code) == (409, "packs_missing")
    page = send(client, url, codes=one.code, step="record", insist="1")
    assert page.status_code == 302
    assert (fresh(one).holder, fresh(other).holder) == (world.distributor.organisation, None)


def test_packs_come_back_by_scanning(hall: Hall, world: World) -> None:
    lot = hall.lot(6)
    (carton,) = hall.cartons(lot)
    hall.receive(hall.ship(carton), carton)
    client = signed(world.distillery)
    url = f"/packs/return/{world.distributor.organisation.uid}/"
    assert [each.amount for each in send(client, url, codes=carton.code, step="check").context["goods"]] == ["3 升"]
    assert send(client, url, codes=carton.code, step="record").status_code == 302
    assert fresh(carton).holder == world.distillery.organisation


def test_unpacking_and_a_new_code_by_their_pages(hall: Hall, world: World) -> None:
    lot = hall.lot(6)
    (carton,) = hall.cartons(lot)
    bottle = carton.children.order_by("number").first()
    assert bottle is not None
    client = signed(world.distillery)
    assert send(client, f"/packs/{carton.code}/unpack/", codes=bottle.code).status_code == 302
    assert carton.children.count() == 5
    page = send(client, f"/packs/{carton.code}/replace/", reason="箱码撕掉")
    new = fresh(carton).replaced_by
    assert new is not None
    assert page.url == f"/packs/{new.code}/"
    old = client.get(f"/packs/{carton.code}/").content.decode()
    assert new.code in old
    assert "这个码已经换掉" in old
    assert client.get(f"/packs/{carton.code}/").context["page"].leaves == 0, "the goods are under the new code"
    file = client.get("/packs/", {"format": "csv"}).getvalue().decode("utf-8-sig")
    assert f"{new.code},箱,5 件,{lot.code}" in file
    found = client.get("/go/", {"q": carton.code})
    assert found["Location"] == f"/packs/{carton.code}/"


def test_sscc_labels_are_numbered_printed_and_found(hall: Hall, world: World) -> None:
    client = signed(world.distillery)
    assert client.post("/packs/prefix/", {"number": "12"}).status_code == 422
    assert client.post("/packs/prefix/", {"number": PREFIX}).status_code == 302
    page = send(client, "/packs/numbers/", count="3")
    labels = client.get(page.url)
    assert [len(label["code"]) for label in labels.context["labels"]] == [18, 18, 18]
    lot = hall.lot(6)
    code = labels.context["labels"][1]["code"]
    send(client, "/packs/new/", level="carton", parent=code, codes=lines(*Unit.objects.filter(lot=lot)))
    assert client.get("/packs/", {"q": f"(00){code}"})["Location"] == f"/packs/{code}/"
    assert client.get(f"/00/{code}").status_code == 200
    assert client.get("/go/", {"q": code})["Location"] == f"/packs/{code}/"
    assert signed(world.walnuts).get("/packs/labels/", {"code": code}).status_code == 404
    assert signed(world.walnuts).get("/packs/labels/", {"code": labels.context["labels"][0]["code"]}).status_code == 404


def test_pages_ask_the_same_number_of_queries_however_much_is_there(hall: Hall, world: World) -> None:
    client = signed(world.distillery)
    counts = []
    for bottles in (6, 60):
        lot = hall.lot(bottles)
        cartons = hall.cartons(lot)
        pallet = hall.pallet(cartons)
        for url in ("/packs/", f"/packs/{pallet.code}/"):
            client.get(url)
            with CaptureQueriesContext(connection) as asked:
                assert client.get(url).status_code == 200
            counts.append(len(asked))
    assert counts[:2] == counts[2:]


def test_a_regulator_reads_a_pack_and_changes_nothing(hall: Hall, world: World) -> None:
    lot = hall.lot(6)
    (carton,) = hall.cartons(lot)
    client = signed(world.county)
    page = client.get(f"/packs/{carton.code}/")
    assert (page.status_code, page.context["may_unpack"], page.context["may_replace"]) == (200, False, False)
    assert page.context["page"].leaves == 6
    assert client.get(f"/packs/{carton.code}/unpack/").status_code == 404


def test_a_replaced_bottle_says_so_to_whoever_scans_it(hall: Hall, world: World) -> None:
    lot = hall.lot(2)
    bottle = Unit.objects.filter(lot=lot).order_by("number").first()
    assert bottle is not None
    event = replace_code(by=world.distillery, old=bottle.code, reason="标签刮破", when=day(30)).event
    page = Client().get(f"/c/{bottle.code}").content.decode()
    assert "已给商品换上新码" in page
    assert event.data["new_code"] not in page, "the new code is on the goods, not on the old label"
    assert "信息正常" in Client().get(f"/c/{event.data['new_code']}").content.decode()
