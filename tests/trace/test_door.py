"""The EPCIS door: what partners' systems send is captured whole or refused with a pointer, and told again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone, translation

from recalls.scope import Question, preview_scope
from tests.goods import make_lot, stock_of
from tests.trace.door_client import CONTEXT, Door, document, door_of, event, lot_class, problem, told
from tests.trace.epcis.examples import events_of, folder, json_documents
from tests.world import GTIN, World, sign_in
from trace.actions.corrections import declare_error
from trace.actions.epcis_jobs import run_next_capture
from trace.actions.events import When
from trace.actions.rebuild import rebuild
from trace.door.querying import token_of
from trace.door.shaping import party_uri
from trace.epcis.documents import check_event
from trace.epcis.vocabulary import OURS, PREFIXES
from trace.genealogy import walk
from trace.ledger import verify
from trace.models import Conflict, Event, LogHead, Lot, Organisation, Place, Transfer, Unit

EXTERNAL = "09521141012345"


@pytest.fixture
def door(world: World) -> Door:
    return door_of(world.distillery.organisation)


def test_two_documents_in_a_row_go_into_an_empty_database(door: Door) -> None:
    assert not LogHead.objects.exists()
    for number in (1, 2):
        job = door.captured(document(event(epcList=[f"https://id.gs1.org/01/{EXTERNAL}/21/{number}"])))
        assert (job["eventsCaptured"], job["eventsRepeated"], job["conflicts"]) == (1, 0, 0)
    assert len(door.events()) == 2
    assert LogHead.objects.get().last == Event.objects.count()


def test_documents_of_all_kinds_of_events_are_captured(door: Door, shared_data: Path) -> None:
    file = folder(shared_data) / "2.0/EPCIS/JSON/Capture/Documents/Combination_of_different_event.json"
    job = door.captured(file.read_bytes())
    assert job["eventsCaptured"] == job["eventsTotal"] > 3
    again = door.captured(file.read_bytes())
    assert (again["eventsCaptured"], again["eventsRepeated"]) == (0, job["eventsTotal"])


def unit_of(lot: Lot) -> Unit:
    """A code of one bottle of the lot."""
    return Unit.objects.create(organisation=lot.organisation, lot=lot, code="1234567ABCDE", level=Unit.Level.ITEM)


def token_after(number: int) -> str:
    """The token of a page that begins behind this number of the log."""
    return token_of([number, 0])


def bare(found: dict[str, Any]) -> dict[str, Any]:
    """An event without what the door adds: our record time, its id where it had none, the prefixes it uses."""
    return {name: value for name, value in found.items() if name not in ("recordTime", "@context", "eventID")}


def test_every_valid_example_is_captured_and_returned_equal_in_meaning(door: Door, shared_data: Path) -> None:
    as_sent = {"GS1-EPC-Format": "Never_Translates"}
    count = 0
    for name, sent in json_documents(shared_data):
        before = LogHead.objects.values_list("last", flat=True).first() or 0
        job = door.captured(sent)
        seen = told(door.send("GET", f"events?perPage=1000&nextPageToken={token_after(before)}", **as_sent))
        returned = seen["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
        wanted = events_of(sent)
        assert job["eventsCaptured"] + job["eventsRepeated"] == len(wanted), name
        for each in returned:
            match = [one for one in wanted if bare(one) == bare(each)]
            assert match, (name, each)
            assert match[0].get("eventID", each["eventID"]) == each["eventID"]
        assert len(returned) == job["eventsCaptured"], name
        count += len(returned)
    assert count > 60
    assert rebuild(write=False).differences == []
    assert list(verify()) == []


def test_every_invalid_example_is_refused_with_a_pointer(door: Door, shared_data: Path) -> None:
    names = []
    for name, sent in json_documents(shared_data, invalid=True):
        for proceed in (False, True):
            job = door.capture(sent, proceed=proceed)
            assert not job["success"], name
            assert not job["running"]
            assert job["errors"]
            assert all(each["instance"].startswith("/") for each in job["errors"]), (name, job["errors"])
        names.append(name)
    assert len(names) >= 17


# --- Into the ledger ------------------------------------------------------------------------------------------------


def made(code: str, amount: int = 100, **fields: Any) -> dict[str, Any]:
    """Litres of our baijiu come to be under this lot code."""
    thing = {"epcClass": lot_class(GTIN, code), "quantity": amount, "uom": "LTR"}
    return event(action="ADD", bizStep="commissioning", quantityList=[thing], **fields)


def sent_to(party: str, code: str, amount: int, **fields: Any) -> dict[str, Any]:
    """Some of it leaves for a party."""
    thing = {"epcClass": lot_class(GTIN, code), "quantity": amount, "uom": "LTR"}
    return event(
        bizStep="shipping",
        quantityList=[thing],
        destinationList=[{"type": "possessing_party", "destination": party}],
        **fields,
    )


def test_what_is_captured_is_seen_on_the_lots_page_in_the_trace_and_in_a_recalls_scope(
    world: World, door: Door, client: Any
) -> None:
    raw = f"https://id.gs1.org/01/{EXTERNAL}/10/SORGHUM1"
    blend = event(
        "TransformationEvent",
        inputQuantityList=[{"epcClass": raw, "quantity": 300, "uom": "KGM"}],
        outputQuantityList=[{"epcClass": lot_class(GTIN, "DOOR-1"), "quantity": 100, "uom": "LTR"}],
        bizStep="creating_class_instance",
        ilmd={"cbvmda:itemExpirationDate": "2036-10-01"},
    )
    header = {
        "epcisMasterData": {
            "vocabularyList": [
                {
                    "type": "urn:epcglobal:epcis:vtype:EPCClass",
                    "vocabularyElementList": [
                        {"id": raw, "attributes": [{"id": "cbvmda:descriptionShort", "attribute": "示例高粱"}]}
                    ],
                }
            ]
        }
    }
    shop = party_uri(world.shop.organisation)
    door.captured(document(blend, sent_to(shop, "DOOR-1", 30), epcisHeader=header))
    lot = Lot.objects.get(lot_code="DOOR-1")
    assert (lot.organisation, lot.product, lot.made_micros) == (
        world.distillery.organisation,
        world.baijiu,
        100 * 10**6,
    )
    assert str(lot.expires_on) == "2036-10-01"
    grain = Lot.objects.get(lot_code="SORGHUM1")
    assert grain.is_external
    assert grain.organisation.status == "external"
    assert grain.product_version.name == "示例高粱"
    assert grain.pk in walk([lot], "back").reached
    assert stock_of(lot, world.distillery.organisation) == 70 * 10**6

    page = sign_in(client, world.distillery).get(f"/lots/{lot.uid}/").content.decode()
    assert "DOOR-1" in page
    assert "示例高粱" in page
    assert "SORGHUM1" in sign_in(client, world.distillery).get(f"/lots/{grain.uid}/").content.decode()
    scope = preview_scope(Question.of([grain]))
    assert {lot.pk, grain.pk} <= scope.lot_ids
    assert world.shop.organisation.pk in scope.holder_ids

    transfer = Transfer.objects.get(lot=lot)
    assert (transfer.receiver, transfer.sent_micros) == (world.shop.organisation, 30 * 10**6)
    theirs = door_of(world.shop.organisation)
    assert [each["bizStep"] for each in theirs.events()] == ["shipping"], "what is sent to a party it may see"
    thing = {"epcClass": lot_class(GTIN, "DOOR-1"), "quantity": 30, "uom": "LTR"}
    theirs.captured(document(event(bizStep="receiving", quantityList=[thing])))
    transfer.refresh_from_db()
    assert transfer.received_micros == 30 * 10**6, "the slip that waits is answered"
    assert stock_of(lot, world.shop.organisation) == 30 * 10**6
    assert rebuild(write=False).differences == []
    assert Lot.objects.filter(lot_code="DOOR-1").count() == 1


def test_a_fact_against_a_guard_is_kept_and_flagged(world: World, door: Door) -> None:
    shop = party_uri(world.shop.organisation)
    job = door.captured(document(made("DOOR-2", 10), sent_to(shop, "DOOR-2", 40)))
    assert job["conflicts"] >= 1
    lot = Lot.objects.get(lot_code="DOOR-2")
    kinds = set(Conflict.objects.filter(lot=lot).values_list("code", flat=True))
    assert {"not_enough", "not_released"} <= kinds, kinds
    assert stock_of(lot, world.distillery.organisation) == -30 * 10**6


def test_a_stranger_who_reports_a_makers_lot_does_not_escape_its_recall(world: World, door: Door) -> None:
    door.captured(document(made("DOOR-3")))
    lot = Lot.objects.get(lot_code="DOOR-3")
    stranger = door_of(world.walnuts.organisation)
    thing = {"epcClass": lot_class(GTIN, "DOOR-3"), "quantity": 5, "uom": "LTR"}
    stranger.captured(document(event(bizStep="receiving", quantityList=[thing])))
    copy = Lot.objects.exclude(pk=lot.pk).get(lot_code="DOOR-3")
    assert copy.is_external
    assert copy.organisation.kept_by == world.walnuts.organisation
    assert copy.product.gtin_claim == "claimed"
    assert stock_of(lot, world.walnuts.organisation) == 0
    assert world.baijiu.current is not None
    assert copy.product_version.name != world.baijiu.current.name, "nothing of the maker's is told"
    assert len(stranger.events()) == 1
    line = next(each for each in preview_scope(Question.of([lot])).lines if each.lot_id == copy.pk)
    assert line.why == "claimed"
    assert world.walnuts.organisation.pk in preview_scope(Question.of([lot])).holder_ids
    unit = unit_of(lot)
    stranger.captured(document(event(epcList=[f"https://id.gs1.org/01/{GTIN}/21/{unit.code}"])))
    (alone,) = Lot.objects.filter(is_external=True, lot_code__startswith="SN-")
    assert alone.pk in preview_scope(Question.of([lot])).lot_ids, "by one unit's serial as well"


def test_what_is_entered_by_form_is_queried_as_epcis(world: World, door: Door) -> None:
    lot = make_lot(world.distillery, world.baijiu, "20", place=world.cellar)
    (found,) = door.events(MATCH_anyEPCClass=lot_class(GTIN, lot.lot_code))
    assert found["eventID"] == f"urn:uuid:{lot.origin_event.uid}"
    assert found["quantityList"] == [{"epcClass": lot_class(GTIN, lot.lot_code), "quantity": 20, "uom": "LTR"}]
    assert found["bizLocation"]["id"].endswith(str(world.cellar.uid))
    assert found["fy:step"] == lot.origin_event.template
    plain = {key: value for key, value in found.items() if key != "@context"}
    assert check_event(plain, "", {**PREFIXES, "fy": OURS}, timezone.now()) == []
    assert told(door.get(f"events/{found['eventID']}"))["eventID"] == found["eventID"]
    problem(door_of(world.shop.organisation).get(f"events/{found['eventID']}"), 404, "NoSuchResourceException")
    assert door_of(world.county.organisation, role="officer").events() != [], "its regulator sees it"
    assert door_of(world.other_county.organisation, role="officer").events() == []


def test_an_error_declaration_takes_back_what_was_captured_and_both_stay(world: World, door: Door) -> None:
    first = {**made("DOOR-4", 50), "eventID": "urn:uuid:0199b0c0-0000-7000-8000-000000000001"}
    door.captured(document(first))
    lot = Lot.objects.get(lot_code="DOOR-4")
    declared = {**first, "errorDeclaration": {"declarationTime": "2026-11-01T00:00:00Z", "reason": "did_not_occur"}}
    door.captured(document(declared))
    assert door.captured(document(declared))["eventsRepeated"] == 1
    assert stock_of(lot, world.distillery.organisation) == 0
    both = door.events(EQ_eventID=first["eventID"])
    assert ["errorDeclaration" in each for each in both] == [False, True]
    assert len(door.events(EXISTS_errorDeclaration="true", EQ_errorReason="did_not_occur")) == 1


def wrongly(said: dict[str, Any]) -> dict[str, Any]:
    """The declaration that this was wrong."""
    return document({**said, "errorDeclaration": {"declarationTime": "2026-11-01T00:00:00Z"}})


def test_what_was_declared_wrong_is_stated_again_with_the_same_names(world: World, door: Door) -> None:
    us = world.distillery.organisation
    first = made("DOOR-4", 50, eventID="urn:uuid:" + "4" * 8)
    door.captured(document(first))
    door.captured(wrongly(first))
    door.captured(document(made("DOOR-4", 40), sent_to(party_uri(world.shop.organisation), "DOOR-4", 15)))
    void, lot = Lot.objects.order_by("pk")
    assert (void.voided_by is None, lot.voided_by is None, lot.lot_code) == (False, True, "DOOR-4")
    assert (stock_of(void, us), stock_of(lot, us), Transfer.objects.get().lot) == (0, 25 * 10**6, lot)
    door.captured(document(event(epcList=serials(1, 2, 3), bizStep="inspecting")))
    unnamed = Lot.objects.latest("pk")
    said = event(action="ADD", epcList=serials(2, 9), ilmd={"cbvmda:lotNumber": "L80"}, eventID="urn:uuid:" + "5" * 8)
    door.captured(document(said))
    door.captured(wrongly(said))
    door.captured(document(event(action="ADD", epcList=serials(2, 9), ilmd={"cbvmda:lotNumber": "L81"})))
    named = Lot.objects.get(lot_code="L81")
    assert (stock_of(unnamed, us), stock_of(named, us)) == (2 * 10**6, 2 * 10**6), "one came over, one is new"
    assert set(walk([named], "back").reached) == {unnamed.pk}
    # Where goods of it went away, the lot stays what the name means: its recall must find them.
    again = made("DOOR-5", 50, eventID="urn:uuid:" + "6" * 8)
    door.captured(document(again, sent_to(party_uri(world.shop.organisation), "DOOR-5", 15)))
    assert set(Conflict.objects.values_list("code", flat=True)) == {"not_released"}
    door.captured(wrongly(again))
    door.captured(document(made("DOOR-5", 40)))
    assert Lot.objects.filter(lot_code="DOOR-5").count() == 1
    assert rebuild(write=False).differences == []


def test_names_of_what_was_declared_wrong_by_form_are_free(world: World, door: Door) -> None:
    us = world.distillery.organisation
    door.captured(document(made("DOOR-4", 50)))
    void = Lot.objects.get()
    declare_error(by=world.distillery, event=void.origin_event, reason="incorrect_data", when=When(timezone.now(), 480))
    door.captured(document(made("DOOR-4", 40)))
    lot = Lot.objects.get(voided_by=None)
    assert (lot.lot_code, stock_of(lot, us), stock_of(void, us)) == ("DOOR-4", 40 * 10**6, 0)
    assert rebuild(write=False).differences == []


def test_outsiders_goods_lie_with_the_outsider_and_its_slips_are_answered_in_the_same_document(
    world: World, door: Door
) -> None:
    maker, taker = "https://example.org/party/maker", "https://example.org/party/taker"
    between: dict[str, Any] = {
        "sourceList": [{"type": "possessing_party", "source": maker}],
        "destinationList": [{"type": "possessing_party", "destination": taker}],
    }
    goods = [{"epcClass": lot_class(EXTERNAL, "FAR-1"), "quantity": 7}]
    sent = [event(bizStep="shipping", quantityList=goods, **between) for _again in range(2)]
    arrived = [event(bizStep="receiving", quantityList=goods, **between) for _again in range(2)]
    job = door.captured(document(*sent, *arrived))
    lot = Lot.objects.get()
    taken = Organisation.objects.get(name=taker)
    assert (stock_of(lot, world.distillery.organisation), stock_of(lot, taken)) == (0, 14 * 10**6)
    assert Transfer.objects.filter(lot=lot, received_by=None).count() == 0
    assert (lot.made_micros, job["conflicts"]) == (14 * 10**6, 0), "there was more than was met first"
    assert rebuild(write=False).differences == []


def test_a_step_of_ours_says_whose_it_is_and_that_it_adds_water(world: World, door: Door) -> None:
    grain, mash = [{"epcClass": lot_class(EXTERNAL, code), "quantity": 10, "uom": "KGM"} for code in ("GRAIN", "MASH")]
    said = {"fy:party": "https://example.org/party/far", "bizLocation": {"id": "https://example.org/place/room"}}
    steamed = event(
        "TransformationEvent",
        **{**said, "fy:step": "baijiu.steam"},
        inputQuantityList=[grain],
        outputQuantityList=[{**mash, "quantity": 14}],
    )
    for prefix, flagged in (("urn:x-fenyang:", 0), ("https://example.org/else/", 1)):
        steamed["eventID"] = f"urn:bench:{prefix}"
        job = door.captured(document(steamed, **{"@context": [CONTEXT, {"fy": prefix}]}))
        assert job["conflicts"] == flagged, prefix
        assert Organisation.objects.filter(name="https://example.org/party/far").exists()
    assert Place.objects.get(name="room").organisation.name == "https://example.org/party/far"


@pytest.mark.parametrize(
    ("step", "made", "flags"),
    [
        ("baijiu.steam", 26, ["yield_too_high"]),
        ("baijiu.steam", 24, []),
        ("walnut.crack", 26, ["more_out_than_in", "yield_too_high"]),
        ("common.receive", 26, ["more_out_than_in"]),
    ],
)
def test_a_captured_step_of_ours_yields_no_more_than_it_can(
    world: World, door: Door, step: str, made: int, flags: list[str]
) -> None:
    grain, mash = [{"epcClass": lot_class(EXTERNAL, code), "quantity": 10, "uom": "KGM"} for code in ("GRAIN", "MASH")]
    room = {"bizLocation": {"id": "https://example.org/place/room"}, "fy:party": "https://example.org/party/far"}
    steamed = event(
        "TransformationEvent",
        **{**room, "fy:step": step},
        inputQuantityList=[grain],
        outputQuantityList=[{**mash, "quantity": made}],
    )
    door.captured(document(steamed, **{"@context": [CONTEXT, {"fy": OURS}]}))
    conflicts = Conflict.objects.all()
    assert [row.code for row in conflicts] == flags
    if step == "baijiu.steam" and flags:
        assert "“清蒸(蒸糁)”出了 260.0 %" in conflicts[0].sentence
    assert rebuild(write=False).differences == []


@pytest.mark.parametrize(
    ("step", "begun", "picked", "flags"),
    [
        ("walnut.harvest", "2026-08-20", None, ["early_harvest"]),
        ("walnut.harvest", "2026-09-20", None, []),
        ("walnut.harvest", "2026-09-20", "2026-08-30", ["early_harvest"]),
        ("walnut.dry", "2026-08-20", None, []),
        ("", "2026-08-20", None, []),
    ],
)
def test_a_captured_harvest_of_ours_is_held_against_its_solar_term(
    world: World, door: Door, step: str, begun: str, picked: str | None, flags: list[str]
) -> None:
    """As the same harvest entered by form: a picking day said with the goods counts, too."""
    nuts = [{"epcClass": lot_class(EXTERNAL, "NUTS"), "quantity": 10, "uom": "KGM"}]
    more: dict[str, Any] = {"fy:step": step} if step else {}
    if picked:
        more["ilmd"] = {"cbvmda:productionDate": picked}
    harvest = event(
        action="ADD", bizStep="commissioning", quantityList=nuts, eventTime=f"{begun}T00:00:00.000Z", **more
    )
    job = door.captured(document(harvest, **{"@context": [CONTEXT, {"fy": OURS}]}))
    assert [row.code for row in Conflict.objects.all()] == flags
    assert job["conflicts"] == len(flags)


@pytest.mark.parametrize(("made", "flags", "apart"), [(9, 0, False), (12, 1, False), (9, 0, True), (12, 1, True)])
def test_a_transformation_told_in_two_events_is_weighed_as_one(
    world: World, door: Door, made: int, flags: int, *, apart: bool
) -> None:
    """The second event names only what came out: what the first one took counts, in one document or in two."""
    grain, mash = [{"epcClass": lot_class(EXTERNAL, code), "quantity": 10, "uom": "KGM"} for code in ("GRAIN", "MASH")]
    told = {
        "transformationID": "urn:epc:id:gdti:9521141.00001.77",
        "bizLocation": {"id": "https://example.org/place/1"},
    }
    parts = [
        event("TransformationEvent", inputQuantityList=[grain], **told),
        event("TransformationEvent", outputQuantityList=[{**mash, "quantity": made}], **told),
    ]
    for sent in [[part] for part in parts] if apart else [parts]:
        door.captured(document(*sent))
    assert [row.code for row in Conflict.objects.all()] == ["more_out_than_in"] * flags
    (link,) = Lot.objects.get(lot_code="MASH").links_up.all()
    assert link.parent.lot_code == "GRAIN"
    assert rebuild(write=False).differences == []


def test_an_input_without_an_amount_is_called_that(world: World, door: Door) -> None:
    mixed = event(
        "TransformationEvent",
        inputQuantityList=[{"epcClass": lot_class(EXTERNAL, "GRAIN")}],
        outputQuantityList=[{"epcClass": lot_class("09521141012352", "MASH"), "quantity": 9, "uom": "KGM"}],
        bizLocation={"id": "https://example.org/place/room"},
    )
    door.captured(document(mixed))
    conflict = Conflict.objects.get()
    assert conflict.code == "more_out_than_in"
    assert conflict.details["warns"]
    assert "没有写数量" in conflict.sentence


def test_an_error_declaration_that_finds_nothing_to_take_back_moves_nothing(world: World, door: Door) -> None:
    first = {**made("DOOR-8", 50), "eventID": "urn:uuid:0199b0c0-0000-7000-8000-000000000008"}
    door.captured(document(first))
    lot = Lot.objects.get()
    never = made("DOOR-9", 50, eventID="urn:uuid:0199b0c0-0000-7000-8000-000000000009")
    shipped = sent_to(party_uri(world.shop.organisation), "DOOR-8", 5, eventID="urn:uuid:" + "8" * 8)
    for hour, wrong in enumerate([first, first, never, shipped]):
        declared = {**wrong, "errorDeclaration": {"declarationTime": f"2026-11-01T0{hour}:00:00Z"}}
        assert door.captured(document(declared))["conflicts"] == 0
    assert stock_of(lot, world.distillery.organisation) == 0
    assert (Lot.objects.get(), Transfer.objects.count()) == (lot, 0)
    assert len(door.events(EXISTS_errorDeclaration="true")) == 4, "each is kept"
    door.captured(document(never))
    assert stock_of(Lot.objects.get(lot_code="DOOR-9"), world.distillery.organisation) == 50 * 10**6
    assert rebuild(write=False).differences == []


def test_rollback_takes_nothing_and_proceed_what_is_right(world: World, door: Door) -> None:
    wrong = event(action="ADD", quantityList=[{"epcClass": lot_class(GTIN, "DOOR-6"), "quantity": 0.00000015}])
    both = document(made("DOOR-5"), wrong, made("DOOR-7"))
    job = door.capture(both)
    assert (job["success"], job["eventsCaptured"]) == (False, 0)
    assert [each["instance"] for each in job["errors"]] == ["/epcisBody/eventList/1"]
    assert not Lot.objects.exists()
    job = door.capture(both, proceed=True)
    assert (job["success"], job["eventsCaptured"], job["eventsRefused"]) == (False, 2, 1)
    assert set(Lot.objects.values_list("lot_code", flat=True)) == {"DOOR-5", "DOOR-7"}
    assert door.capture(both, proceed=True)["eventsRepeated"] == 2


def test_a_large_document_waits_for_the_worker(world: World, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trace.views.epcis.AT_ONCE", 10)
    job = door.capture(document(made("DOOR-8")))
    assert job["running"]
    assert not Lot.objects.exists()
    assert run_next_capture()
    assert told(door.get(f"capture/{job['captureID']}"))["success"]
    assert not run_next_capture()
    problem(door_of(world.shop.organisation).get(f"capture/{job['captureID']}"), 404, "NoSuchResourceException")
    assert told(door_of(world.shop.organisation).get("capture")) == []
    assert [each["captureID"] for each in told(door.get("capture"))] == [job["captureID"]]


def test_a_job_we_stumble_over_ends_as_failed(world: World, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trace.actions.epcis_jobs.Writer.write", lambda *_: 1 / 0)
    job = door.capture(document(made("DOOR-9")))
    assert (job["running"], job["success"]) == (False, False)
    assert job["errors"][0]["title"] == "fault_of_ours"


def test_one_event_is_201_and_again_409(world: World, door: Door) -> None:
    alone = {"@context": [CONTEXT], **made("DOOR-10")}
    answer = door.send("POST", "events", alone)
    assert answer.status_code == 201, answer.content
    assert "Content-Type" not in answer, "there is no content"
    assert "Content-Type" not in door.send("OPTIONS", "events")
    found = told(door.get(answer["Location"]))
    assert found["eventID"].startswith("ni:///sha-256;")
    assert bare(found) == bare(alone)
    problem(door.send("POST", "events", alone), 409, "ResourceAlreadyExistsException")
    refused = problem(door.send("POST", "events", {**alone, "bizStep": "nonsense"}), 400, "ValidationException")
    assert refused["errors"][0]["pointer"] == "/bizStep"
    assert door.capture({**alone, "eventTime": "2026-10-02T00:00:00Z"})["success"], (
        "a bare event where a document should be"
    )


# --- Serials without a lot number -----------------------------------------------------------------------------------


def serials(*numbers: int | str, gtin: str = EXTERNAL) -> list[str]:
    """Single things of a product."""
    return [f"https://id.gs1.org/01/{gtin}/21/{number}" for number in numbers]


def test_serials_met_together_are_one_lot_and_part_by_pieces(world: World, door: Door) -> None:
    us, shop = world.distillery.organisation, world.shop.organisation
    seen = event(epcList=serials(1, 2, 3, 4), bizStep="inspecting")
    job = door.captured(document(seen, event(epcList=serials(9), bizStep="inspecting")))
    assert job["conflicts"] == 0
    lot, alone = Lot.objects.order_by("id")
    assert (lot.lot_code[:3], lot.display_code, lot.made_micros) == ("EV-", "1 +3", 4 * 10**6)
    assert (alone.lot_code[:3], alone.display_code, alone.made_micros) == ("SN-", "9", 10**6)
    assert stock_of(lot, us) == 4 * 10**6
    away = [{"type": "possessing_party", "destination": party_uri(shop)}]
    door.captured(document(event(epcList=serials(2, 3), bizStep="shipping", destinationList=away)))
    transfer = Transfer.objects.get()
    assert (transfer.lot, transfer.sent_micros, stock_of(lot, us)) == (lot, 2 * 10**6, 2 * 10**6)
    door.captured(document(event(epcList=serials(1), bizStep="retail_selling")))
    assert stock_of(lot, us) == 10**6
    assert [len(door.events(MATCH_epc=serials(each)[0])) for each in (1, 2, 4, 9)] == [2, 2, 1, 1], "each by itself"
    scope = preview_scope(Question.of([lot]))
    assert scope.lot_ids == {lot.pk}, "a recall of one of them is a recall of what was seen with it"
    assert {us.pk, shop.pk} <= scope.holder_ids
    assert not Conflict.objects.exists()
    assert rebuild(write=False).differences == []


def test_serials_first_met_when_they_leave_begin_together_before(world: World, door: Door) -> None:
    away = [{"type": "possessing_party", "destination": party_uri(world.shop.organisation)}]
    door.captured(document(event(epcList=serials(1, 2, 3), bizStep="shipping", destinationList=away)))
    lot = Lot.objects.get()
    assert lot.lot_code.startswith("EV-")
    assert Event.objects.filter(template="common.opening").count() == 1
    assert Transfer.objects.get().sent_micros == 3 * 10**6
    assert len(door.events()) == 1, "the opening is ours, the door tells what was captured"
    assert rebuild(write=False).differences == []


def test_a_serial_that_says_its_lot_later_goes_over_into_it(world: World, door: Door) -> None:
    us = world.distillery.organisation
    door.captured(document(event(epcList=serials(1, 2, 3), bizStep="inspecting")))
    unnamed = Lot.objects.get()
    door.captured(document(event(action="ADD", epcList=serials(2), ilmd={"cbvmda:lotNumber": "L77"})))
    named = Lot.objects.get(lot_code="L77")
    assert (stock_of(unnamed, us), stock_of(named, us)) == (2 * 10**6, 10**6)
    assert preview_scope(Question.of([named])).lot_ids == {named.pk}
    assert preview_scope(Question.of([unnamed])).lot_ids == {named.pk, unnamed.pk}
    door.captured(document(event(epcList=serials(2), bizStep="retail_selling")))
    assert (stock_of(unnamed, us), stock_of(named, us)) == (2 * 10**6, 0), "from now on it is of that lot"
    assert rebuild(write=False).differences == []
    # What left before it said so is found where it was written down.
    away = [{"type": "possessing_party", "destination": party_uri(world.shop.organisation)}]
    door.captured(document(event(epcList=serials(3), bizStep="shipping", destinationList=away)))
    scope = preview_scope(Question.of([named]))
    assert scope.lot_ids == {named.pk, unnamed.pk}
    assert world.shop.organisation.pk in scope.holder_ids


def test_serials_of_two_products_that_say_their_lots_later_are_no_ancestors_of_each_other(
    world: World, door: Door
) -> None:
    us, other = world.distillery.organisation, "09521141054321"
    grain = serials("G1", gtin=EXTERNAL)
    door.captured(document(event(epcList=serials(1, 2), bizStep="inspecting")))
    door.captured(document(event(epcList=serials(3, 4, gtin=other), bizStep="inspecting")))
    door.captured(document(event(epcList=grain, bizStep="inspecting")))
    first, second, third = Lot.objects.order_by("pk")
    both = [*serials(1), *serials(3, 5, gtin=other)]
    said = event(action="ADD", epcList=both, ilmd={"cbvmda:lotNumber": "L80"}, eventID="urn:uuid:" + "7" * 8)
    door.captured(document(said))
    one, two = Lot.objects.filter(lot_code="L80").order_by("pk")
    assert [set(walk([each], "back").reached) for each in (one, two)] == [{first.pk}, {second.pk}]
    assert [stock_of(lot, us) for lot in (first, second, one, two)] == [10**6, 10**6, 10**6, 2 * 10**6]
    assert [each["eventID"] for each in door.events(MATCH_epc=both[0])][1:] == [said["eventID"]], "told once"
    turned = {"inputEPCList": grain, "outputEPCList": [*serials(2), *serials(4, gtin=other)]}
    door.captured(document(event("TransformationEvent", **turned, ilmd={"cbvmda:lotNumber": "L81"})))
    made_of_grain = Lot.objects.filter(lot_code="L81").order_by("pk")
    assert [set(walk([each], "back").reached) for each in made_of_grain] == [
        {first.pk, third.pk},
        {second.pk, third.pk},
    ]
    assert [stock_of(lot, us) for lot in made_of_grain] == [10**6, 10**6], "counted once"
    beside = Event.objects.filter(template="common.produce", data__basis="EPCIS", items__lot=one).get()
    declare_error(by=world.distillery, event=beside, reason="did_not_occur", when=When(timezone.now()))
    door.captured(document({**said, "errorDeclaration": {"declarationTime": "2026-11-01T00:00:00Z"}}))
    assert [stock_of(lot, us) for lot in (one, two)] == [0, 0], "taken back with what went before it"
    assert len(door.events(EXISTS_errorDeclaration="true")) == 1, "of what was captured only"
    turning = Event.objects.get(items__lot=third, items__role="input")
    declare_error(by=world.distillery, event=turning, reason="did_not_occur", when=When(timezone.now()))
    assert [stock_of(lot, us) for lot in made_of_grain] == [0, 0], "by form as well"
    assert [stock_of(lot, us) for lot in (first, second, third)] == [2 * 10**6, 2 * 10**6, 10**6]
    assert rebuild(write=False).differences == []


def test_a_recall_of_one_issued_code_does_not_take_along_what_was_seen_beside_it(world: World, door: Door) -> None:
    door.captured(document(made("DOOR-20"), made("DOOR-21")))
    one, other = (Lot.objects.get(lot_code=code) for code in ("DOOR-20", "DOOR-21"))
    codes = {lot.pk: Unit.objects.create(organisation=lot.organisation, lot=lot, code=f"9876543ABC{n}E", level="item")
             for n, lot in enumerate((one, other))}  # fmt: skip
    stranger = door_of(world.walnuts.organisation)
    names = serials(*(unit.code for unit in codes.values()), "UNKNOWN1", "UNKNOWN2", gtin=GTIN)
    stranger.captured(document(event(epcList=names, bizStep="inspecting")))
    assert Lot.objects.filter(is_external=True).count() == 3, "one for each lot the codes were issued for, one for both"
    first = preview_scope(Question.of([one]))
    assert len(first.lot_ids) == 2, "by serials alone, no lot code was ever reported"
    assert not first.lot_ids & preview_scope(Question.of([other])).lot_ids


def test_an_amount_in_a_unit_that_cannot_be_counted_is_said(world: World, door: Door) -> None:
    """A product met first by the piece counts pieces: kilograms that come later went nowhere, without a word."""
    door.captured(document(event(epcList=[f"https://id.gs1.org/01/{EXTERNAL}/21/1"])))
    thing = {"epcClass": lot_class(EXTERNAL, "KG-1"), "quantity": 12.5, "uom": "KGM"}
    job = door.captured(document(event(action="ADD", bizStep="commissioning", quantityList=[thing])))
    assert job["conflicts"] == 1
    conflict = Conflict.objects.get()
    lot = Lot.objects.get(lot_code="KG-1")
    assert (conflict.code, conflict.lot, lot.made_micros) == ("unit_not_counted", lot, 0)
    assert "KGM" in conflict.sentence
    door.captured(document(event(bizStep="inspecting", quantityList=[thing])))
    assert Conflict.objects.count() == 1, "what moves nothing loses nothing"
    assert rebuild(write=False).differences == []


def test_an_error_declared_in_the_future_is_refused(world: World, door: Door) -> None:
    first = {**made("DOOR-7", 50), "eventID": "urn:uuid:0199b0c0-0000-7000-8000-000000000007"}
    door.captured(document(first))
    later = {"declarationTime": "2126-10-01T00:00:00Z", "reason": "did_not_occur"}
    job = door.capture(document({**first, "errorDeclaration": later}))
    (error,) = job["errors"]
    assert (error["title"], error["instance"]) == (
        "in_future",
        "/epcisBody/eventList/0/errorDeclaration/declarationTime",
    )
    assert stock_of(Lot.objects.get(), world.distillery.organisation) == 50 * 10**6


def test_goods_whose_maker_nobody_names_are_of_unknown_origin_in_both_languages(world: World, door: Door) -> None:
    with translation.override("en"):
        door.captured(document(event(bizStep="receiving", epcList=[f"https://id.gs1.org/01/{EXTERNAL}/21/7"])))
    maker = Lot.objects.get().organisation
    assert maker.name == "来源未知（EPCIS 文件未注明）"
    with translation.override("en"):
        assert maker.label.isascii()
