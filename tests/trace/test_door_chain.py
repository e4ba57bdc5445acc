"""The chain of a lot as one EPCIS document, captured again in an empty second installation."""

from __future__ import annotations

import json

from django.utils import timezone
from pytest_django import DjangoDbBlocker

from tests.conftest import copied_database
from tests.goods import make_lot, receive, released, ship, turn_into
from tests.trace.api_client import api_of, assert_problem
from tests.trace.door_client import document, door_of, event, lot_class
from tests.world import GTIN, World, make_product, make_world
from trace.actions.rebuild import rebuild
from trace.epcis.documents import check_document
from trace.genealogy import walk
from trace.models import Conflict, Lot, LotLink


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
