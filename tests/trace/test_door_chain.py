"""The chain of a lot as one EPCIS document, captured again in an empty second installation."""

from __future__ import annotations

import json

from django.utils import timezone
from pytest_django import DjangoDbBlocker

from tests.conftest import copied_database
from tests.goods import amount, day, make_lot, receive, released, sampled, ship, turn_into
from tests.trace.api_client import api_of, assert_problem
from tests.trace.door_client import Door, document, door_of, event, lot_class
from tests.trace.test_packs import Hall
from tests.world import GTIN, World, make_organisation, make_product, make_world
from trace.actions.capture import NewLot
from trace.actions.events import Portion, When, record_event
from trace.actions.rebuild import rebuild
from trace.actions.transfers import take_in
from trace.epcis.documents import check_document
from trace.genealogy import walk
from trace.models import Conflict, EpcisName, Event, Lot, LotLink, Product, Unit


def genealogy() -> set[tuple[str, ...]]:
    """Every standing link, by the names and codes of both lots."""
    both = [f"{side}__{what}" for side in ("parent", "child") for what in ("product_version__name", "lot_code")]
    return set(LotLink.objects.filter(voided_by=None).values_list(*both))


def flags() -> list[str]:
    """What is flagged."""
    return sorted(Conflict.objects.values_list("code", flat=True))


def grown(world: World) -> Lot:
    """A chain of four generations, entered by form and by the door, with goods sent to a distributor."""
    grain = make_product(world.distillery.organisation, "GL", "示例高粱", kind="raw")
    sorghum = make_lot(world.distillery, grain, "500", place=world.cellar)
    other = make_lot(world.distillery, grain, "300", place=world.cellar)
    base = make_product(world.distillery.organisation, "JJ", "示例基酒", kind="intermediate", base_unit="LTR")
    mash, tails = turn_into(world.distillery, [(sorghum, "400"), (other, "300")], [(base, "200"), (base, "40")])
    (bottled,) = turn_into(world.distillery, [(mash, "150"), (tails, "10")], [(world.baijiu, "150")])
    door = door_of(world.distillery.organisation)
    blend = event(
        "TransformationEvent",
        inputQuantityList=[{"epcClass": lot_class(GTIN, bottled.lot_code), "quantity": 50, "uom": "LTR"}],
        outputQuantityList=[{"epcClass": lot_class(GTIN, "BLEND-1"), "quantity": 50, "uom": "LTR"}],
    )
    door.captured(document(blend))
    ready = released(world.distillery, world.distillery_quality, bottled)
    shipment = ship(world.distillery, world.distributor.organisation, ready, "60")
    receive(world.distributor, shipment)
    return bottled


def test_the_chain_of_a_lot_is_rebuilt_in_an_empty_second_installation(
    committed_template: str, django_db_blocker: DjangoDbBlocker
) -> None:
    with django_db_blocker.unblock():
        with copied_database(committed_template):
            world = make_world()
            bottled = grown(world)
            lone = make_lot(world.walnuts, world.kernels, "5")
            answer = api_of(world.distillery).get(f"/lots/{bottled.uid}/trace", format="epcis")
            assert answer.status_code == 200, answer.content
            assert answer["Content-Type"] == "application/ld+json"
            chain = answer.content
            assert_problem(api_of(world.walnuts).get(f"/lots/{bottled.uid}/trace", format="epcis"), 404, "not_found")
            theirs = api_of(world.distributor).get(f"/lots/{bottled.uid}/trace", format="epcis").content.decode()
            assert bottled.lot_code in theirs
            assert "示例高粱" not in theirs, "what the maker used is not told to who bought"
            assert lone.public_code not in chain.decode()
            assert list(check_document(json.loads(chain), timezone.now())) == []
            wanted = genealogy()
            assert len(wanted) == 7
            # By which report it was released is not told in an event.
            flagged = [code for code in flags() if code != "own_limits_only"]
        with copied_database(committed_template):
            elsewhere = make_world()
            assert not Lot.objects.exists()
            job = door_of(elsewhere.distillery.organisation).captured(chain)
            assert job["eventsRefused"] == 0
            assert genealogy() == wanted
            # What was right there is right here; but a release is a person's, and the flag says so.
            assert flags() == [*flagged, "not_released"]
            assert "文件里说的放行不算数" in Conflict.objects.get().details["detail"]
            assert rebuild(write=False).differences == []
            again = Lot.objects.get(lot_code=bottled.lot_code, product=elsewhere.baijiu)
            back = Lot.objects.filter(pk__in=walk([again], "back").reached)
            assert "示例高粱" in set(back.values_list("product_version__name", flat=True))
            assert door_of(elsewhere.distillery.organisation).captured(chain)["eventsCaptured"] == 0, "twice is once"
            assert genealogy() == wanted


def told_besides(world: World) -> Lot:
    """Grain of a supplier made into a base, on one day that is all we know of it, and into bottles: sampled, coded,
    packed, sent in packs.
    """
    grain = make_product(world.distillery.organisation, "GL", "示例高粱", kind="raw")
    mine = world.distillery.organisation
    trader = make_organisation("示例粮商", "distributor", status="external", kept_by=mine, division="140100")
    bought = take_in(
        by=world.distillery,
        supplier=trader,
        product=grain,
        supplier_lot="GL-7",
        amount=amount("500", grain),
        when=day(0),
        data={"inspection_result": "合格"},
    ).lots[0]
    base = make_product(world.distillery.organisation, "JJ", "示例基酒", kind="intermediate", base_unit="LTR")
    mash, tails = record_event(
        by=world.distillery,
        code="common.rework",
        when=When(day(1, 12).at, precision="day"),
        data={"reason": "示例", "method": "示例"},
        inputs=[Portion(bought, amount("400", grain))],
        outputs=[NewLot(base, amount("200", base), produced_on=day(1).at.date()), NewLot(base, amount("40", base))],
    ).lots
    sampled(world.distillery, mash, "2", when=day(1, 9))
    (bottled,) = turn_into(world.distillery, [(mash, "150"), (tails, "10")], [(world.baijiu, "150")])
    released(world.distillery, world.distillery_quality, bottled)
    hall = Hall(world, world.distillery)
    hall.codes(bottled, 6)
    hall.ship(*hall.cartons(bottled))
    return bottled


def told() -> dict[str, object]:
    """Of every lot its amounts, dates, the kind and unit of its product, whose it is."""
    return {
        f"{lot.lot_code} {lot.product_version.name}": (
            lot.made_micros,
            sum(stock.micros for stock in lot.stocks.all()),
            lot.produced_on,
            lot.product.kind,
            lot.product.base_unit,
            lot.organisation.name,
        )
        for lot in Lot.objects.select_related("product", "product_version", "organisation")
    }


def test_a_chain_tells_dates_kinds_issuers_samples_and_packs(
    committed_template: str, django_db_blocker: DjangoDbBlocker
) -> None:
    with django_db_blocker.unblock():
        with copied_database(committed_template):
            world = make_world()
            bottled = told_besides(world)
            door: Door = door_of(world.distillery.organisation)
            chain = api_of(world.distillery).get(f"/lots/{bottled.uid}/trace", format="epcis").content
            xml = door.client.get("/epcis/events?perPage=1000", headers=door.headers(accept="application/xml")).content
            wanted, codes = told(), set(Unit.objects.filter(level="item").values_list("code", flat=True))
        for sent, media in ((chain, "application/json"), (xml, "application/xml")):
            with copied_database(committed_template):
                elsewhere = make_world()
                job = door_of(elsewhere.distillery.organisation).captured(sent, media=media)
                assert job["eventsRefused"] == 0
                assert Lot.objects.count() == len(wanted), "packs and codes are no lots"
                if media == "application/json":
                    assert told() == wanted
                assert "before_parent" not in flags(), "only the day is known"
                assert Event.objects.filter(template="common.process", precision="day").count() == 1
                again = Lot.objects.get(product__gtin=GTIN)
                rows = EpcisName.objects.filter(kind="epc", lot=again)
                assert {row.value.rpartition("/")[2] for row in rows} == codes
                assert rebuild(write=False).differences == []


def test_who_is_named_by_a_header_is_not_trusted(world: World) -> None:
    """A header that calls goods our own or a registered one's enters nothing among their products."""
    other = world.walnuts.organisation
    uris = ["https://example.org/goods/1", "https://example.org/goods/2"]
    parties = [f"http://testserver/id/party/{each.uid}" for each in (other, world.distillery.organisation)]
    elements = [
        {"id": uri, "attributes": [{"id": "urn:x-fenyang:issuer", "attribute": party}]}
        for uri, party in zip(uris, parties, strict=True)
    ]
    header = {
        "epcisMasterData": {
            "vocabularyList": [{"type": "urn:epcglobal:epcis:vtype:EPCClass", "vocabularyElementList": elements}]
        }
    }
    before = set(Product.objects.filter(organisation=other).values_list("pk", flat=True))
    goods = [{"epcClass": uri, "quantity": 1} for uri in uris]
    door_of(world.distillery.organisation).captured(document(event(quantityList=goods), epcisHeader=header))
    assert set(Product.objects.filter(organisation=other).values_list("pk", flat=True)) == before
    assert not Lot.objects.filter(organisation=other).exists()
