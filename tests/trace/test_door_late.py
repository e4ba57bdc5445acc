"""Events in any order: what tells late how goods began puts their beginning right and leaves no flag behind."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from django.db.models import Sum
from pytest_django import DjangoDbBlocker

from tests.conftest import copied_database
from tests.goods import make_lot, receive, released, ship, stock_of, turn_into
from tests.trace.api_client import api_of
from tests.trace.door_client import CONTEXT, Door, document, door_of, event, lot_class
from tests.trace.test_door_chain import genealogy
from tests.world import GTIN, World, make_product, make_world
from trace.actions.rebuild import rebuild
from trace.door.shaping import place_uri
from trace.epcis.vocabulary import OURS
from trace.identifiers import new_serials, uuid7
from trace.models import Conflict, Lot, LotLink, Organisation, Stock, Transfer

FAR = "09521141012345"
MILLION = 1_000_000


@pytest.fixture
def door(world: World) -> Door:
    return door_of(world.distillery.organisation)


def goods(code: str, quantity: float, gtin: str = FAR, uom: str = "KGM") -> dict[str, Any]:
    return {"epcClass": lot_class(gtin, code), "quantity": quantity, "uom": uom}


def at(day: int, kind: str = "ObjectEvent", **fields: Any) -> dict[str, Any]:
    """An event of this day of May."""
    return event(kind, eventTime=f"2026-05-{day:02d}T02:00:00.000Z", **fields)


def between(giver: str, taker: str) -> dict[str, Any]:
    return {
        "sourceList": [{"type": "possessing_party", "source": giver}],
        "destinationList": [{"type": "possessing_party", "destination": taker}],
    }


def flags() -> list[str]:
    """What is flagged and stands."""
    return sorted(Conflict.objects.filter(voided_by=None).values_list("code", flat=True))


MAKER, TAKER = "https://example.org/party/maker", "https://example.org/party/taker"
MADE = at(
    1,
    action="ADD",
    bizStep="commissioning",
    quantityList=[goods("G-1", 500)],
    bizLocation={"id": "https://example.org/place/mill"},
    **{"fy:party": MAKER},
)
MORE = at(2, action="ADD", bizStep="commissioning", quantityList=[goods("G-1", 20)], **{"fy:party": MAKER})
LOOKED = at(3, bizStep="inspecting", quantityList=[goods("G-1", 100)], **{"fy:party": MAKER})
GONE = at(5, bizStep="shipping", quantityList=[goods("G-1", 300)], **between(MAKER, TAKER))
CAME = at(6, bizStep="receiving", quantityList=[goods("G-1", 300)], **between(MAKER, TAKER))
USED = at(
    7,
    "TransformationEvent",
    inputQuantityList=[goods("G-1", 250)],
    outputQuantityList=[goods("M-1", 200, "09521141012352")],
    **{"fy:party": TAKER},
)
STORY = [MADE, MORE, LOOKED, GONE, CAME, USED]
SAID: dict[str, Any] = {"@context": [CONTEXT, {"fy": OURS}]}


def outcome() -> tuple[Any, ...]:
    lot = Lot.objects.get(lot_code="G-1")
    maker, taker = (Organisation.objects.get(name=name) for name in (MAKER, TAKER))
    links = list(
        LotLink.objects.filter(voided_by=None).values_list("parent__lot_code", "child__lot_code", "input_micros")
    )
    slips = list(Transfer.objects.values_list("sent_micros", "received_micros"))
    begun = (lot.begun_at.day, lot.origin_event.template)
    return lot.made_micros, stock_of(lot, maker), stock_of(lot, taker), links, slips, begun, flags()


WANTED: tuple[Any, ...] = (
    520 * MILLION, 220 * MILLION, 50 * MILLION, [("G-1", "M-1", 250 * MILLION)], [(300 * MILLION, 300 * MILLION)],
    (1, "common.produce"), [],
)  # fmt: skip


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5), (3, 4, 5, 0, 1, 2), (2, 3, 4, 5, 0, 1), (3, 2, 1, 0, 4, 5)])
@pytest.mark.parametrize("apart", [False, True])
def test_a_story_told_in_another_order_ends_the_same(world: World, door: Door, order: Any, *, apart: bool) -> None:
    told = [STORY[number] for number in order]
    for part in [[each] for each in told] if apart else [told]:
        door.captured(document(*part, **SAID))
    assert outcome() == WANTED
    assert rebuild(write=False).differences == []


@pytest.mark.slow
def test_any_order_of_the_story_leaves_what_was_made_and_no_flag_of_order(world: World, door: Door) -> None:
    """A receipt told before its sending finds no slip; all else is the same in each of the orders."""
    orders = [order for order in itertools.permutations(range(6)) if order.index(3) < order.index(4) < order.index(5)]
    for number, order in enumerate(orders[::3]):
        text = json.dumps([STORY[each] for each in order]).replace("G-1", f"G-{number}").replace("M-1", f"M-{number}")
        door.captured(document(*json.loads(text), **SAID))
        lot = Lot.objects.get(lot_code=f"G-{number}")
        maker = Organisation.objects.get(name=MAKER)
        assert (lot.made_micros, stock_of(lot, maker), flags()) == (520 * MILLION, 220 * MILLION, []), order
        held = Stock.objects.order_by().values("lot", "organisation").annotate(n=Sum("micros"))
        assert not held.filter(n__lt=0).exists()
    assert rebuild(write=False).differences == []


def test_what_was_used_before_its_own_beginning_was_told_is_settled(world: World, door: Door) -> None:
    """Of our own goods that nobody entered the use is flagged as before; the beginning settles it."""
    sold = at(9, bizStep="retail_selling", quantityList=[goods("OWN-1", 30, GTIN, "LTR")])
    door.captured(document(sold))
    assert "not_enough" in flags()
    door.captured(
        document(at(8, action="ADD", bizStep="commissioning", quantityList=[goods("OWN-1", 100, GTIN, "LTR")]))
    )
    lot = Lot.objects.get()
    assert (lot.made_micros, stock_of(lot, world.distillery.organisation)) == (100 * MILLION, 70 * MILLION)
    assert "not_enough" not in flags()
    assert "before_parent" not in flags()
    assert Conflict.objects.filter(code="not_enough", voided_by__isnull=False).exists(), "it stays readable"
    assert rebuild(write=False).differences == []


def test_what_went_before_its_place_was_told_is_missing_at_no_place(world: World, door: Door) -> None:
    for each in (GONE, MADE):
        door.captured(document(each, **SAID))
    stocks = Stock.objects.filter(organisation__name=MAKER).exclude(micros=0)
    assert [(row.place.name if row.place else "", row.micros) for row in stocks] == [("mill", 200 * MILLION)]


def test_a_beginning_told_late_with_too_little_is_flagged(world: World, door: Door) -> None:
    door.captured(document(GONE, **SAID))
    door.captured(document({**MADE, "quantityList": [goods("G-1", 200)]}, **SAID))
    assert "below_zero" in flags()


def test_goods_that_came_to_be_later_than_they_were_used_are_no_beginning_told_late(world: World, door: Door) -> None:
    """What is made after it was met is more of it; what was made before is its beginning."""
    door.captured(document(GONE, **SAID))
    door.captured(document({**MADE, "eventTime": "2026-05-20T02:00:00.000Z"}, **SAID))
    lot = Lot.objects.get()
    assert (lot.made_micros, lot.begun_at.day, flags()) == (800 * MILLION, 5, ["lot_closed"])
    assert rebuild(write=False).differences == []


def test_serials_sent_before_their_commissioning_is_told_are_made_once(world: World, door: Door) -> None:
    serials = [f"https://id.gs1.org/01/{FAR}/21/{number}" for number in range(5)]
    door.captured(document(at(5, bizStep="shipping", epcList=serials, **between(MAKER, TAKER)), **SAID))
    door.captured(
        document(at(1, action="ADD", bizStep="commissioning", epcList=serials[:3], **{"fy:party": MAKER}), **SAID)
    )
    door.captured(
        document(at(2, action="ADD", bizStep="commissioning", epcList=serials[3:], **{"fy:party": MAKER}), **SAID)
    )
    lot = Lot.objects.get()
    assert (lot.made_micros, lot.begun_at.day) == (5 * MILLION, 1)
    assert stock_of(lot, Organisation.objects.get(name=MAKER)) == 0
    assert not {"lot_closed", "below_zero"} & set(flags())
    assert rebuild(write=False).differences == []


def blends(world: World) -> list[Lot]:
    """Two blends of three grains, of which one grain is in both; with goods sent on."""
    grain = [make_product(world.distillery.organisation, f"GL{n}", f"示例高粱{n}", kind="raw") for n in range(3)]
    one, both, other = [make_lot(world.distillery, product, "500", place=world.cellar) for product in grain]
    base = make_product(world.distillery.organisation, "JJ", "示例基酒", kind="intermediate", base_unit="LTR")
    first, tails = turn_into(world.distillery, [(one, "300"), (both, "100")], [(base, "150"), (base, "30")])
    (second,) = turn_into(world.distillery, [(both, "200"), (other, "300")], [(base, "180")])
    bottled = [turn_into(world.distillery, [(lot, "100")], [(world.baijiu, "100")])[0] for lot in (first, second)]
    for lot in bottled:
        ready = released(world.distillery, world.distillery_quality, lot)
        receive(world.distributor, ship(world.distillery, world.distributor.organisation, ready, "60"))
    return [one, both, other, first, tails, second, *bottled]


def state() -> dict[str, Any]:
    """Amounts of every lot, over all holders."""
    return {
        lot.lot_code + lot.product_version.name: (
            lot.made_micros,
            lot.produced_on,
            sum(s.micros for s in lot.stocks.all()),
        )
        for lot in Lot.objects.select_related("product_version")
    }


@pytest.mark.slow
def test_chains_that_overlap_are_rebuilt_in_any_order_without_a_flag(
    committed_template: str, django_db_blocker: DjangoDbBlocker
) -> None:
    with django_db_blocker.unblock():
        with copied_database(committed_template):
            world = make_world()
            lots = blends(world)
            api = api_of(world.distillery)
            chains = [api.get(f"/lots/{lot.uid}/trace", format="epcis").content for lot in lots]
            wanted, amounts = genealogy(), state()
        for order in (range(8), reversed(range(8)), (5, 0, 7, 2, 1, 6, 3, 4)):
            with copied_database(committed_template):
                elsewhere = make_world()
                door = door_of(elsewhere.distillery.organisation)
                for number in order:
                    assert door.captured(chains[number])["eventsRefused"] == 0
                assert genealogy() == wanted
                assert state() == amounts
                # A release is a person's, and the flag says so.
                assert set(flags()) <= {"not_released"}
                assert rebuild(write=False).differences == []


def test_what_a_buyer_tells_settles_no_flag_of_the_seller(world: World, door: Door) -> None:
    cellar: dict[str, Any] = {"bizLocation": {"id": place_uri(world.cellar)}}
    made = [goods("G-1", 60, GTIN, "LTR")]
    some: dict[str, Any] = {"action": "ADD", "bizStep": "commissioning", "quantityList": made}
    gone = at(2, bizStep="destroying", quantityList=[goods("G-1", 100, GTIN, "LTR")], **cellar)
    door.captured(document(at(1, **some), at(1, **some, **cellar), gone))
    assert flags() == ["not_enough"]
    lot = Lot.objects.get(lot_code="G-1")
    released(world.distillery, world.distillery_quality, lot)
    shop = world.shop.organisation
    receive(world.shop, ship(world.distillery, shop, lot, "10"))
    door_of(shop).captured(document(at(9, bizStep="receiving", quantityList=[goods("G-1", 5, GTIN, "LTR")])))
    assert stock_of(lot, shop) == 15 * MILLION, "it is the same lot"
    assert "not_enough" in flags(), "what is missing at the distillery is missing there still"
    door.captured(document(at(3, **some, **cellar)))
    assert "not_enough" not in flags()


@pytest.mark.parametrize("kind", ["received", "made", "looked", "used"])
@pytest.mark.parametrize("assumed", [False, True])
def test_a_buyer_tells_no_beginning_of_the_sellers_lot(world: World, door: Door, kind: str, *, assumed: bool) -> None:
    """It began where its seller says; who says that it had the goods before is flagged."""
    some = [goods("G-1", 60, GTIN, "LTR")]
    met: dict[str, Any] = {"bizStep": "inspecting"} if assumed else {"action": "ADD", "bizStep": "commissioning"}
    door.captured(document(at(5, quantityList=some, **met)))
    lot = Lot.objects.get(lot_code="G-1")
    released(world.distillery, world.distillery_quality, lot)
    shop = world.shop.organisation
    receive(world.shop, ship(world.distillery, shop, lot, "10"))
    told = {
        "received": at(2, bizStep="receiving", quantityList=some),
        "made": at(2, action="ADD", bizStep="commissioning", quantityList=some),
        "looked": at(2, bizStep="inspecting", quantityList=some),
        "used": at(2, bizStep="destroying", quantityList=some),
    }[kind]
    before = (lot.origin_event_id, lot.begun_at)
    door_of(shop).captured(document(told))
    lot.refresh_from_db()
    assert (lot.origin_event_id, lot.begun_at) == before
    assert "before_parent" in flags()


def test_more_than_was_met_of_the_sellers_lot_was_not_there_before(world: World, door: Door) -> None:
    """Its seller met it without knowing its past; of what a buyer gives away beyond what it got nobody told."""
    ours: dict[str, Any] = {"fy:step": "common.destroy"}
    some = [goods("G-1", 60, GTIN, "LTR")]
    door.captured(document(at(5, bizStep="destroying", quantityList=some, **ours), **SAID))
    lot = Lot.objects.get(lot_code="G-1")
    released(world.distillery, world.distillery_quality, lot)
    shop = world.shop.organisation
    receive(world.shop, ship(world.distillery, shop, lot, "10", insist=True))
    before = flags().count("not_enough")
    gone = event(eventTime="2026-09-25T02:00:00.000Z", bizStep="destroying", quantityList=some, **ours)
    door_of(shop).captured(document(gone, **SAID))
    assert stock_of(lot, shop) == -50 * MILLION
    assert flags().count("not_enough") == before + 1


@pytest.mark.parametrize("order", [(0, 3, 4, 5), (3, 4, 5, 0), (3, 0, 4, 5)])
@pytest.mark.parametrize("taken", [False, True])
def test_a_beginning_declared_wrong_is_told_again(world: World, door: Door, order: Any, *, taken: bool) -> None:
    name = "urn:uuid:00000000-0000-4000-8000-000000000001"
    made = {**MADE, "eventID": name}
    for number in order:
        door.captured(document({**STORY[number], **(made if not number else {})}, **SAID))
    wrong = {"declarationTime": "2026-05-20T00:00:00Z", "reason": "incorrect_data"}
    door.captured(document({**made, "errorDeclaration": wrong}, **SAID))
    lot = Lot.objects.get(lot_code="G-1")
    assert lot.voided_by is not None
    if taken:
        other = Lot.objects.get(pk=lot.pk)
        other.pk, other.uid, other.public_code, other.voided_by = None, uuid7(), new_serials(1)[0], None
        other.save(force_insert=True)
    door.captured(document({**MADE, "quantityList": [goods("G-1", 400)]}, **SAID))
    lot.refresh_from_db()
    assert (lot.voided_by is None, "lot_void" in flags()) == (not taken, taken)
    assert sum(Stock.objects.filter(lot=lot).values_list("micros", flat=True)) == 150 * MILLION
    assert lot.made_micros == 400 * MILLION
    assert taken or rebuild(write=False).differences == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("also", [False, True])
def test_what_arrived_is_there_once_in_whatever_order_the_rest_is_told(
    world: World, door: Door, order: Any, *, also: bool
) -> None:
    """``also``: some of it is seen at the instant of the arrival, which says nothing of more."""
    some: dict[str, Any] = {"bizStep": "commissioning", "action": "ADD", "quantityList": [goods("G-1", 500)]}
    told = [at(2, **some), at(3, **some), at(6, bizStep="receiving", quantityList=[goods("G-1", 300)])]
    for number in order:
        door.captured(document(told[number]))
        if also and number == 2:
            door.captured(document(at(6, bizStep="inspecting", quantityList=[goods("G-1", 100)])))
        assert rebuild(write=False).differences == []
    lot = Lot.objects.get(lot_code="G-1")
    assert (lot.made_micros, lot.begun_at.day) == (1_000 * MILLION, 2)
    assert sum(Stock.objects.filter(lot=lot).values_list("micros", flat=True)) == 1_300 * MILLION
    assert flags() == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_what_arrived_at_somebody_else_was_not_made_there(world: World, door: Door, order: Any) -> None:
    some: dict[str, Any] = {"bizStep": "commissioning", "action": "ADD", "quantityList": [goods("G-1", 500)]}
    came = at(6, bizStep="receiving", quantityList=[goods("G-1", 300)], **between(MAKER, TAKER))
    told = [at(2, **some), at(3, **some), {**came, "sourceList": []}]
    for number in order:
        door.captured(document(told[number]))
    lot = Lot.objects.get(lot_code="G-1")
    assert lot.made_micros == 1_000 * MILLION
    assert stock_of(lot, Organisation.objects.get(name=TAKER)) == 300 * MILLION
    assert sum(Stock.objects.filter(lot=lot).values_list("micros", flat=True)) == 1_300 * MILLION
    assert rebuild(write=False).differences == []


def test_what_is_taken_off_again_is_entered_as_an_amount(world: World, door: Door) -> None:
    came = at(6, bizStep="receiving", quantityList=[goods("G-1", 300)])
    for day, told in ((6, came), (3, {"action": "ADD"}), (2, {"action": "ADD"})):
        some: dict[str, Any] = {"quantityList": [goods("G-1", 500)], "bizStep": "commissioning"}
        door.captured(document(told if day == 6 else at(day, **told, **some)))
        assert rebuild(write=False).differences == []
    assert not Lot.objects.get(lot_code="G-1").items.filter(entered__startswith="-").exists()
