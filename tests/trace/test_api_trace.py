"""The API of trace, area by area: works, another's is 404, bad input has a code, twice is once, lists ask a fixed
number.
"""

import base64
import csv
import io
from typing import Any

import pytest
from PIL import Image

from tests.goods import day, make_lot, passed, receive, released, ship, stock_of, turn_into
from tests.trace.api_client import Api, api_of, assert_problem, body, person, queries
from tests.world import World, behalf, make_actor, make_organisation, make_place, make_product
from trace.actions.holds import place_hold
from trace.models import Event, HoldSet, Lot, Organisation, Place, Product, Shipment, StoredFile, TestReport
from trace.tables import csv_table

NOBODY = "0199b0c0-dead-7000-8000-000000000000"
PRODUCED = {"occurred_at": "2026-09-20T08:00:00+08:00", "template": "common.produce"}


# --- organisations --------------------------------------------------------------------------------------------------


def test_the_caller_learns_who_it_is(world: World) -> None:
    found = body(api_of(world.walnuts, scopes=["lots:read", "organisations:read"]).get("/me"))
    assert found["organisation"]["uid"] == str(world.walnuts.organisation.uid)
    assert found["scopes"] == ["lots:read", "organisations:read"]
    assert found["person"] is None
    assert body(person(world.clerk).get("/me"))["person"] == "示例文书"


def test_outsiders_are_seen_by_who_keeps_them_only(world: World) -> None:
    api = api_of(world.walnuts)
    sent = {"name": "示例干果行", "kind": "retailer", "division": "140100", "address": "太原市示例路"}
    answer = api.post("/organisations", sent)
    assert answer.status_code == 201
    made = body(answer)
    assert made["status"] == "external"
    assert [row["uid"] for row in body(api.get("/organisations", q="干果"))["items"]] == [made["uid"]]
    other = api_of(world.distillery)
    assert body(other.get("/organisations", q="干果"))["items"] == []
    assert_problem(other.get(f"/organisations/{made['uid']}"), 404, "not_found")


def test_contacts_are_not_for_strangers(world: World) -> None:
    uid = world.walnuts.organisation.uid
    assert body(api_of(world.walnuts).get(f"/organisations/{uid}"))["recall_contact"]["phone"]
    assert body(api_of(world.county).get(f"/organisations/{uid}"))["recall_contact"]["phone"]
    assert body(api_of(world.distillery).get(f"/organisations/{uid}"))["recall_contact"] is None
    assert body(api_of(world.other_county).get(f"/organisations/{uid}"))["recall_contact"] is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"division": "999999"}, "unknown_division"),
        ({"kind": "regulator"}, "unknown_choice"),
        ({"address": ""}, "invalid_fields"),
        ({"uscc": "91149999DEMD00017X"}, "invalid_fields"),
        ({"name": "a\x00b"}, "text_nul"),
    ],
)
def test_a_bad_outsider_is_refused(world: World, change: dict[str, str], code: str) -> None:
    sent = {"name": "示例干果行", "kind": "retailer", "division": "140100", "address": "太原市示例路", **change}
    assert_problem(api_of(world.walnuts).post("/organisations", sent), 422, code)
    assert not Organisation.objects.filter(status="external").exists()


def test_a_regulator_admits_applicants_of_its_territory(world: World) -> None:
    applicant = make_organisation("示例新厂", "producer", status="applied")
    path = f"/organisations/{applicant.uid}/admission"
    assert_problem(api_of(world.walnuts).post(path, {"admit": True}), 404, "not_found")
    assert_problem(api_of(world.other_county_approver).post(path, {"admit": True}), 404, "not_found")
    assert_problem(api_of(world.county_approver).post(path, {"admit": False}), 422, "invalid_fields")
    answer = person(world.county_approver).post(path, {"admit": True})
    assert (answer.status_code, body(answer)["status"]) == (200, "active")


# --- registry -------------------------------------------------------------------------------------------------------


def test_places_are_added_and_listed(world: World) -> None:
    api = api_of(world.distillery)
    answer = api.post("/places", {"name": "二号酒库", "kind": "store", "division": "141182101"})
    assert answer.status_code == 201
    uid = body(answer)["uid"]
    assert body(api.get(f"/places/{uid}"))["name"] == "二号酒库"
    assert {row["name"] for row in body(api.get("/places"))["items"]} == {"一号酒库", "二号酒库"}
    assert_problem(api_of(world.walnuts).get(f"/places/{uid}"), 404, "not_found")
    found = assert_problem(
        api.post("/places", {"name": "二号酒库", "kind": "store", "division": "141182101"}), 422, "invalid_fields"
    )
    assert found["errors"][0]["field"] == "name"
    assert found["errors"][0]["code"] == "place_name_taken"


def test_products_get_versions_and_their_gtin_is_confirmed_by_the_regulator(world: World) -> None:
    api = api_of(world.distillery)
    sent = {
        "code": "BJ-125",
        "track": "food",
        "base_unit": "LTR",
        "gtin": "09520000010027",
        "version": {"name": "示例小酒", "packs": {"瓶": "0.125"}},
    }
    made = body(api.post("/products", sent))
    assert (made["gtin_claim"], made["current"]["number"]) == ("claimed", 1)
    path = f"/products/{made['uid']}"
    changed = {**sent["version"], "spec": "42%vol"}  # type: ignore[dict-item]
    assert body(api.post(f"{path}/versions", {**changed, "seen": 1}))["number"] == 2
    assert_problem(api.post(f"{path}/versions", {**changed, "name": "另一个", "seen": 1}), 409, "stale_state")
    assert_problem(api_of(world.walnuts).post(f"{path}/versions", changed), 404, "not_found")
    assert_problem(api_of(world.other_county).post(f"{path}/gtin-decision", {"confirm": True}), 404, "not_found")
    decided = api_of(world.county_approver).post(f"{path}/gtin-decision", {"confirm": True})
    assert body(decided)["gtin_claim"] == "confirmed"
    assert_problem(api.post(f"{path}/gtin", {"gtin": ""}), 409, "gtin_confirmed")
    assert body(api.get(path))["current"]["spec"] == "42%vol"
    assert [row["code"] for row in body(api.get("/products", q="BJ-125"))["items"]] == ["BJ-125"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"gtin": "09520000010028"}, "invalid_fields"),
        ({"base_unit": "亩"}, "unknown_choice"),
        ({"version": {"name": "x", "standard": "no_such"}}, "unknown_standard"),
        ({"version": {"name": "x", "shelf_life_days": 10**30}}, "out_of_range"),
        ({"version": {"name": "x" * 121}}, "text_too_long"),
        ({"version": {}}, "required"),
    ],
)
def test_a_bad_product_is_refused(world: World, change: dict[str, Any], code: str) -> None:
    sent = {"code": "BJ-125", "track": "food", "base_unit": "LTR", "version": {"name": "示例小酒"}, **change}
    answer = api_of(world.distillery).post("/products", sent)
    found = body(answer)
    assert answer.status_code in (400, 422)
    assert found["code"] in (code, "invalid_json")
    assert not Product.objects.filter(code="BJ-125").exists()


def test_the_catalogue_and_the_templates_are_public(db: None) -> None:
    standards = body(Api().get("/standards"))
    assert standards
    assert body(Api().get(f"/standards/{standards[0]['key']}")) == standards[0]
    assert_problem(Api().get("/standards/none"), 404, "not_found")
    templates = body(Api().get("/event-templates"))
    assert len(templates) >= 77
    assert body(Api().get("/event-templates/common.produce"))["moves"] == "create"
    assert body(Api().get("/event-templates/common.ship"))["own_action"] == "ship_lots"
    assert_problem(Api().get("/event-templates/none"), 404, "template_not_found")
    english = body(Api(language="en").get("/event-templates/common.receive"))
    assert english["name"].isascii()


# --- events and lots ------------------------------------------------------------------------------------------------


def produce(api: Api, product: Product, amount: Any = "100", **more: Any) -> Any:
    """Ask for a lot by the plain production step."""
    sent = {**PRODUCED, "outputs": [{"product": str(product.uid), "amount": {"value": amount}, **more}]}
    return api.post("/events", sent)


def test_an_event_begins_a_lot_that_can_be_opened_and_found(world: World) -> None:
    api = api_of(world.walnuts)
    answer = produce(api, world.kernels, "1,250.5", lot_code="HT-1", produced_on="2026-09-20")
    assert answer.status_code == 201, answer.content
    found = body(answer)
    lot = found["lots"][0]
    assert (lot["lot_code"], lot["made"], lot["produced_on"]) == (
        "HT-1",
        {"value": "1250.5", "unit": "KGM"},
        "2026-09-20",
    )
    assert found["conflicts"] == []
    event = found["event"]
    assert event["number"] == 1
    assert event["occurred_at"] == "2026-09-20T08:00:00+08:00"
    assert event["items"][0]["amount"] == {"value": "1250.5", "unit": "KGM"}
    assert body(api.get(f"/lots/{lot['uid']}")) == lot
    assert body(api.get(f"/events/{event['uid']}")) == event
    for asked in ("HT", "ht-1", lot["public_code"].lower()):
        assert [row["uid"] for row in body(api.get("/lots", q=asked))["items"]] == [lot["uid"]]
    assert body(api.get("/lots", q="HT-2"))["items"] == []
    assert body(api.get("/lots", product=str(world.kernels.uid), mine="true", released="false"))["items"] == [lot]
    assert body(api.get("/lots", released="true"))["items"] == []
    assert [row["uid"] for row in body(api.get(f"/lots/{lot['uid']}/events"))["items"]] == [event["uid"]]


def test_the_same_event_twice_is_one_lot(world: World) -> None:
    api = api_of(world.walnuts)
    sent = {**PRODUCED, "outputs": [{"product": str(world.kernels.uid), "amount": {"value": "5"}}]}
    first = api.post("/events", sent, key="k1")
    second = api.post("/events", sent, key="k1")
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    assert Lot.objects.count() == 1
    assert Event.objects.count() == 1


def test_packs_and_units_count_in_the_base_unit(world: World) -> None:
    found = body(
        api_of(world.distillery).post(
            "/events",
            {**PRODUCED, "outputs": [{"product": str(world.baijiu.uid), "amount": {"value": 4, "unit": "箱"}}]},
        )
    )
    assert found["lots"][0]["made"] == {"value": "12", "unit": "LTR"}
    assert found["event"]["items"][0]["entered_unit"] == "箱"


BAD_EVENTS: list[tuple[dict[str, Any], int, str]] = [
    ({"template": "no.such"}, 404, "template_not_found"),
    ({"template": "common.ship"}, 422, "use_own_action"),
    ({"occurred_at": "2126-09-20T08:00:00+08:00"}, 422, "in_future"),
    ({"occurred_at": "2026-02-30T08:00:00+08:00"}, 422, "datetime_invalid"),
    ({"occurred_at": "2026-09-20"}, 422, "datetime_invalid"),
    ({"occurred_at": 1700000000}, 422, "date_invalid"),
    ({"outputs": []}, 422, "outputs_required"),
    ({"place": NOBODY}, 404, "not_found"),
    ({"counterparty": NOBODY}, 404, "not_found"),
    ({"replaces": NOBODY}, 404, "not_found"),
    ({"inputs": [{"lot": NOBODY}]}, 404, "not_found"),
    ({"inputs": [{"lot": "x"}]}, 422, "uid_invalid"),
    ({"inputs": [{"lot": NOBODY}] * 501}, 422, "too_many_items"),
    ({"data": {"no_such_field": 1}}, 422, "invalid_fields"),
    ({"remark": "x" * 501}, 422, "text_too_long"),
    ({"precision": "hour"}, 422, "unknown_choice"),
    ({"insist": "perhaps"}, 422, "not_a_boolean"),
]


@pytest.mark.parametrize(("change", "status", "code"), BAD_EVENTS, ids=lambda value: str(value)[:50])
def test_a_bad_event_is_refused_and_nothing_is_stored(
    world: World, change: dict[str, Any], status: int, code: str
) -> None:
    sent = {**PRODUCED, "outputs": [{"product": str(world.kernels.uid), "amount": {"value": "5"}}], **change}
    assert_problem(api_of(world.walnuts).post("/events", sent), status, code)
    assert not Event.objects.exists()
    assert not Lot.objects.exists()


BAD_OUTPUTS: list[tuple[dict[str, Any], int, str]] = [
    ({"amount": {"value": "0"}}, 422, "amount_zero"),
    ({"amount": {"value": "-1"}}, 422, "amount_negative"),
    ({"amount": {"value": "1e3"}}, 422, "amount_not_a_number"),
    ({"amount": {"value": 1e300}}, 422, "amount_not_a_number"),
    ({"amount": {"value": "9" * 50}}, 422, "amount_too_large"),
    ({"amount": {"value": 10**12}}, 422, "amount_too_large"),
    ({"amount": {"value": "0.0000001"}}, 422, "amount_too_precise"),
    ({"amount": {"value": "1", "unit": "亩"}}, 422, "unit_unknown"),
    ({"lot_code": "批号一"}, 422, "lot_code_characters"),
    ({"expires_on": "2026-02-30"}, 422, "date_invalid"),
    ({"product": NOBODY}, 404, "not_found"),
]


@pytest.mark.parametrize(("change", "status", "code"), BAD_OUTPUTS, ids=lambda value: str(value)[:50])
def test_a_bad_lot_is_refused(world: World, change: dict[str, Any], status: int, code: str) -> None:
    line = {"product": str(world.kernels.uid), "amount": {"value": "5"}, **change}
    answer = api_of(world.walnuts).post("/events", {**PRODUCED, "outputs": [line]})
    assert answer.status_code == status, answer.content
    assert body(answer)["code"] == code
    assert not Lot.objects.exists()


def test_another_ones_product_place_and_lot_are_404(world: World) -> None:
    api = api_of(world.distillery)
    assert_problem(produce(api, world.kernels), 404, "not_found")
    assert_problem(produce(api, world.baijiu, place=str(world.plant.uid)), 404, "not_found")
    lot = make_lot(world.walnuts, world.kernels)
    for path in (f"/lots/{lot.uid}", f"/lots/{lot.uid}/events", f"/lots/{lot.uid}/trace", f"/lots/{lot.uid}/trace.csv"):
        assert_problem(api.get(path), 404, "not_found")
    assert_problem(api.get(f"/events/{lot.origin_event.uid}"), 404, "not_found")
    assert_problem(api.post(f"/lots/{lot.uid}/release", {}), 403, "role_required")
    assert_problem(person(world.distillery_quality).post(f"/lots/{lot.uid}/release", {}), 404, "not_found")
    assert_problem(api.post("/holds", {"lots": [str(lot.uid)], "reason": "x"}), 404, "not_found")
    assert body(api.get("/lots"))["items"] == []
    assert body(api.get("/events"))["items"] == []


def test_a_broken_guard_says_which_and_insisting_records_the_conflict(world: World) -> None:
    api = api_of(world.walnuts)
    lot = make_lot(world.walnuts, world.kernels, "10")
    pouches = make_product(world.walnuts.organisation, "DAI", "示例袋装")
    sent = {
        "template": "common.rework",
        "occurred_at": "2026-09-21T08:00:00+08:00",
        "inputs": [{"lot": str(lot.uid), "amount": {"value": "20"}}],
        "outputs": [{"product": str(pouches.uid), "amount": {"value": "19"}}],
    }
    found = assert_problem(api.post("/events", sent), 409, "not_enough")
    assert found["details"]["insistable"] is True
    assert found["details"]["guards"][0]["lot"] == str(lot.uid)
    assert Lot.objects.count() == 1
    answer = api.post("/events", {**sent, "insist": True})
    assert answer.status_code == 201, answer.content
    assert [row["code"] for row in body(answer)["conflicts"]] == ["not_enough"]
    listed = body(api.get("/conflicts", lot=str(lot.uid), open="true"))["items"]
    assert [row["code"] for row in listed] == ["not_enough"]
    assert body(api_of(world.county).get("/conflicts"))["items"] == listed
    assert body(api_of(world.distillery).get("/conflicts"))["items"] == []


def test_an_event_is_declared_wrong_once_and_both_stay_readable(world: World) -> None:
    api = api_of(world.walnuts)
    made = body(produce(api, world.kernels))
    path = f"/events/{made['event']['uid']}"
    assert_problem(api.post(f"{path}/correction", {"reason": "why not"}), 422, "unknown_choice")
    assert_problem(api_of(world.distillery).post(f"{path}/correction", {"reason": "did_not_occur"}), 404, "not_found")
    answer = api.post(f"{path}/correction", {"reason": "incorrect_data", "remark": "写错"})
    assert answer.status_code == 201, answer.content
    declared = body(answer)["event"]
    assert declared["corrects"] == made["event"]["uid"]
    assert body(api.get(path))["declared_wrong_by"] == declared["uid"]
    assert body(api.get(f"/lots/{made['lots'][0]['uid']}"))["void"] is True
    assert_problem(api.post(f"{path}/correction", {"reason": "incorrect_data"}), 409, "already_declared")


def test_the_log_is_followed_by_number_without_gaps_or_doubles(world: World) -> None:
    api = api_of(world.walnuts)
    for _ in range(5):
        produce(api, world.kernels)
    numbers: list[int] = []
    page = body(api.get("/events", order="oldest", limit=2))
    while True:
        numbers += [row["number"] for row in page["items"]]
        if page["next"] is None:
            break
        page = body(api.get("/events", order="oldest", limit=2, cursor=page["next"]))
    assert numbers == [1, 2, 3, 4, 5]
    later = {"order": "oldest", "cursor": page["position"]}
    nothing_yet = body(api.get("/events", **later))
    assert (nothing_yet["items"], nothing_yet["position"]) == ([], page["position"])
    produce(api, world.kernels)
    assert [row["number"] for row in body(api.get("/events", **later))["items"]] == [6]
    assert len(body(api.get("/events", template="common.produce"))["items"]) == 6
    assert body(api.get("/events", until="2026-09-20T07:59:00+08:00"))["items"] == []
    assert len(body(api.get("/events", since="2026-09-20T08:00:00+08:00"))["items"]) == 6


def test_a_cooperative_enters_for_its_grower_and_both_are_named(world: World) -> None:
    api = api_of(world.clerk)
    grower = world.grower.organisation
    sent = {**PRODUCED, "outputs": [{"product": str(world.fresh_walnuts.uid), "amount": {"value": "800"}}]}
    answer = api.post("/events", sent, **{"On-Behalf-Of": str(grower.uid)})
    assert answer.status_code == 201, answer.content
    event = body(answer)["event"]
    assert event["organisation"]["uid"] == str(grower.uid)
    assert event["entered_by"]["uid"] == str(world.cooperative.organisation.uid)
    stranger = str(world.distillery.organisation.uid)
    assert_problem(api.post("/events", sent, **{"On-Behalf-Of": stranger}), 404, "not_found")
    assert_problem(
        api_of(world.distillery).post("/events", sent, **{"On-Behalf-Of": str(grower.uid)}), 404, "not_found"
    )
    assert behalf(world.clerk, grower).owner == grower


def test_a_quality_officer_releases_in_person(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    passed(world.walnuts, lot)
    assert_problem(api_of(world.walnuts, role="operator").post(f"/lots/{lot.uid}/release", {}), 403, "role_required")
    answer = person(world.walnuts_quality).post(
        f"/lots/{lot.uid}/release", {"occurred_at": "2026-09-23T08:00:00+08:00"}
    )
    assert answer.status_code == 201, answer.content
    assert body(answer)["event"]["template"] == "common.release"
    assert body(api_of(world.walnuts).get(f"/lots/{lot.uid}"))["released"] is True
    assert_problem(person(world.walnuts_quality).post(f"/lots/{lot.uid}/release", {}), 409, "already_released")


# --- shipments ------------------------------------------------------------------------------------------------------


def test_goods_are_shipped_received_with_a_difference_and_returned(world: World) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "100"))
    sender, receiver = api_of(world.walnuts), api_of(world.distributor)
    sent = {
        "receiver": str(world.distributor.organisation.uid),
        "occurred_at": "2026-09-24T09:00:00+08:00",
        "lots": [{"lot": str(lot.uid), "amount": {"value": "50", "unit": "袋"}}],
    }
    answer = sender.post("/shipments", sent)
    assert answer.status_code == 201, answer.content
    slip = body(answer)
    assert (slip["confirmed"], slip["transfers"][0]["sent"]) == (False, {"value": "10", "unit": "KGM"})
    assert [row["uid"] for row in body(receiver.get("/shipments", direction="in", open="true"))["items"]] == [
        slip["uid"]
    ]
    assert body(receiver.get("/shipments", direction="out"))["items"] == []
    assert_problem(api_of(world.shop).get(f"/shipments/{slip['uid']}"), 404, "not_found")

    path = f"/shipments/{slip['uid']}/receipt"
    line = {"transfer": slip["transfers"][0]["uid"], "amount": {"value": "9.8"}, "own_code": "TY-77"}
    told = {"occurred_at": "2026-09-25T09:00:00+08:00", "lines": [line], "place": str(world.depot.uid)}
    assert_problem(api_of(world.shop).post(path, told), 404, "not_found")
    assert_problem(sender.post(path, {**told, "place": None}), 403, "not_receiver")
    strange = {**told, "lines": [{**line, "transfer": NOBODY}]}
    assert_problem(receiver.post(path, strange), 404, "not_found")
    answer = receiver.post(path, told, key="k1")
    assert answer.status_code == 201, answer.content
    assert [row["code"] for row in body(answer)["conflicts"]] == ["received_differs"]
    assert receiver.post(path, told, key="k1").content == answer.content
    assert_problem(receiver.post(path, told), 409, "already_received")
    assert stock_of(lot, world.distributor.organisation) == 9_800_000
    assert body(sender.get(f"/shipments/{slip['uid']}"))["confirmed"] is True
    assert [row["uid"] for row in body(receiver.get("/lots", q="TY-77"))["items"]] == [str(lot.uid)]
    seen = body(receiver.get(f"/lots/{lot.uid}"))
    assert seen["made"] is None
    assert [stock["holder"]["uid"] for stock in seen["stock"]] == [str(world.distributor.organisation.uid)]

    back = {
        "source": str(world.distributor.organisation.uid),
        "lots": [{"lot": str(lot.uid), "amount": {"value": "1"}}],
        "occurred_at": "2026-09-26T09:00:00+08:00",
    }
    answer = sender.post("/returns", back)
    assert answer.status_code in (201, 422), answer.content
    if answer.status_code == 422:
        wanted = {error["field"].removeprefix("data."): "召回" for error in body(answer)["errors"]}
        answer = sender.post("/returns", {**back, "data": wanted})
    assert answer.status_code == 201, answer.content
    assert stock_of(lot, world.distributor.organisation) == 8_800_000


def test_what_may_not_leave_is_refused(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100")
    sent = {
        "receiver": str(world.shop.organisation.uid),
        "occurred_at": "2026-09-24T09:00:00+08:00",
        "lots": [{"lot": str(lot.uid), "amount": {"value": "1"}}],
    }
    api = api_of(world.walnuts)
    assert_problem(api.post("/shipments", sent), 409, "not_released")
    place_hold(by=world.walnuts_quality, lots=[lot], reason="复检")
    found = assert_problem(api.post("/shipments", sent), 409, "guard_broken")
    assert {guard["code"] for guard in found["details"]["guards"]} == {"lot_blocked", "not_released"}
    assert_problem(api.post("/shipments", {**sent, "lots": []}), 422, "too_few_items")
    own = {**sent, "receiver": str(world.walnuts.organisation.uid)}
    assert_problem(api.post("/shipments", own), 422, "ship_to_self")
    assert not Shipment.objects.exists()


def test_goods_of_an_outsider_are_taken_in_once(world: World) -> None:
    api = api_of(world.distillery)
    outsider = body(
        api.post("/organisations", {"name": "示例粮站", "kind": "grower", "division": "140100", "address": "示例村"})
    )
    grain = make_product(world.distillery.organisation, "GL", "示例高粱", kind="raw")
    sent = {
        "supplier": outsider["uid"],
        "product": str(grain.uid),
        "supplier_lot": "GL-2026-08",
        "amount": {"value": "5", "unit": "TNE"},
        "occurred_at": "2026-09-02T14:00:00+08:00",
        "data": {"inspection_result": "合格"},
    }
    answer = api.post("/intakes", sent)
    assert answer.status_code == 201, answer.content
    lot = body(answer)["lots"][0]
    assert (lot["external"], lot["issuer"]["uid"]) == (True, outsider["uid"])
    assert_problem(api.post("/intakes", sent), 409, "lot_code_taken")
    assert_problem(api.post("/intakes", {**sent, "supplier_lot": " "}), 422, "required")


# --- genealogy ------------------------------------------------------------------------------------------------------


def story(world: World) -> tuple[Lot, Lot, Lot]:
    """Fresh walnuts of the grower to kernels to a shop's mix; the kernels' maker knows both its neighbours."""
    raw = make_lot(world.grower, world.fresh_walnuts, "100")
    receive(world.walnuts, ship(world.grower, world.walnuts.organisation, raw, "100", when=day(1)), when=day(2))
    (kernels,) = turn_into(world.walnuts, [(raw, "100")], [(world.kernels, "40")], when=day(3))
    released(world.walnuts, world.walnuts_quality, kernels, when=day(4))
    sent = ship(world.walnuts, world.distributor.organisation, kernels, "40", when=day(5))
    receive(world.distributor, sent, when=day(6))
    mix = make_product(world.distributor.organisation, "MIX", "示例混合坚果", family="walnut_fenzhou", kind="raw")
    (mixed,) = turn_into(world.distributor, [(kernels, "40")], [(mix, "40")], when=day(7))
    return raw, kernels, mixed


def test_the_walk_goes_all_the_way_and_tells_only_what_may_be_known(world: World) -> None:
    raw, kernels, mixed = story(world)
    maker = api_of(world.walnuts)
    back = body(maker.get(f"/lots/{kernels.uid}/trace", direction="back"))
    assert [(step["level"], step["lot"]["uid"]) for step in back["lots"]] == [(0, str(kernels.uid)), (1, str(raw.uid))]
    assert back["edges"] == [{"parent": 2, "child": 1, "amount": {"value": "100", "unit": "KGM"}}]
    forward = body(maker.get(f"/lots/{raw.uid}/trace", direction="forward"))
    assert [step["lot"] and step["lot"]["uid"] for step in forward["lots"]] == [str(raw.uid), str(kernels.uid), None]
    stranger = forward["lots"][2]
    assert stranger["issuer"] is None
    assert stranger["family"] == "walnut_fenzhou"
    assert stranger["region"]
    assert forward["edges"][1] == {"parent": 2, "child": 3, "amount": None}
    assert str(mixed.uid) not in str(forward)
    assert "MIX" not in str(forward)
    far = body(api_of(world.distributor).get(f"/lots/{mixed.uid}/trace"))
    assert [step["lot"] is None for step in far["lots"]] == [False, False, True]
    assert far["lots"][1]["verdict"] == "pass"
    assert far["cut"] is False
    seen = body(api_of(world.county).get(f"/lots/{raw.uid}/trace", direction="forward"))
    assert all(step["lot"] for step in seen["lots"][:2])


def test_the_table_has_a_row_for_every_step_and_runs_no_formula(world: World) -> None:
    raw, kernels, _mixed = story(world)
    answer = api_of(world.walnuts).get(f"/lots/{raw.uid}/trace.csv", direction="forward")
    assert answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 4
    assert rows[2][2] == kernels.lot_code
    assert rows[3][2] == ""
    hostile = csv_table(["a"], [["=1+1"], ["@x"], ["-5.25"], ["+cmd"], ["-1+1"]]).decode("utf-8-sig")
    assert hostile.split("\r\n")[1:-1] == ["'=1+1", "'@x", "-5.25", "'+cmd", "'-1+1"]


def test_a_walk_asks_a_fixed_number_of_queries(world: World) -> None:
    first = make_lot(world.walnuts, world.kernels, "100")
    path = f"/lots/{first.uid}/trace"
    api = api_of(world.walnuts)
    turn_into(world.walnuts, [(first, "1")], [(world.kernels, "1")])
    few = queries(api, path, direction="forward")
    for _ in range(12):
        turn_into(world.walnuts, [(first, "1")], [(world.kernels, "1")])
    assert queries(api, path, direction="forward") == few
    assert_problem(api.get(path, direction="sideways"), 422, "unknown_choice")


# --- evidence, holds ------------------------------------------------------------------------------------------------


REPORT = {
    "occurred_at": "2026-09-21T08:00:00+08:00",
    "report_number": "示例-77",
    "issued_on": "2026-09-22",
    "laboratory_name": "示例检测技术服务有限公司",
    "results": [
        {"parameter": "afb1", "name": "黄曲霉毒素B1", "value": "7.5", "limit_operator": "<=", "limit_value": "5.0"},
        {
            "parameter": "lead",
            "name": "铅",
            "operator": "nd",
            "loq": "0.02",
            "limit_operator": "<=",
            "limit_value": "0.2",
        },
    ],
}


def test_a_report_is_judged_item_by_item_and_read_by_who_sees_the_lot(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    api = api_of(world.walnuts)
    answer = api.post(f"/lots/{lot.uid}/reports", REPORT, key="k1")
    assert answer.status_code == 201, answer.content
    report = body(answer)
    assert report["verdict"] == "fail"
    assert [result["verdict"] for result in report["results"]] == ["fail", "pass"]
    assert api.post(f"/lots/{lot.uid}/reports", REPORT, key="k1").content == answer.content
    assert_problem(api.post(f"/lots/{lot.uid}/reports", REPORT), 409, "report_exists")
    assert TestReport.objects.count() == 1
    assert body(api.get(f"/reports/{report['uid']}")) == report
    assert body(api_of(world.county).get("/reports", lot=str(lot.uid), verdict="fail"))["items"] == [report]
    assert_problem(api_of(world.distillery).get(f"/reports/{report['uid']}"), 404, "not_found")
    assert body(api_of(world.distillery).get("/reports"))["items"] == []
    assert_problem(api_of(world.distillery).post(f"/lots/{lot.uid}/reports", REPORT), 404, "not_found")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"results": []}, "too_few_items"),
        ({"issued_on": "2126-01-01"}, "in_future"),
        ({"laboratory_name": ""}, "laboratory_required"),
        (
            {"results": [{"parameter": "a", "name": "a", "value": "NaN", "limit_operator": "<=", "limit_value": "1"}]},
            "not_a_number",
        ),
        ({"results": [{"parameter": "a", "name": "a", "value": "1", "limit_operator": "<="}] * 501}, "too_many_items"),
    ],
)
def test_a_bad_report_is_refused(world: World, change: dict[str, Any], code: str) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    assert_problem(api_of(world.walnuts).post(f"/lots/{lot.uid}/reports", {**REPORT, **change}), 422, code)
    assert not TestReport.objects.exists()


def test_a_hold_stops_the_lot_at_once_and_is_lifted_by_who_set_it(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    api = api_of(world.walnuts_quality)
    answer = api.post("/holds", {"lots": [str(lot.uid)], "reason": "复检中"})
    assert answer.status_code == 201, answer.content
    hold = body(answer)
    assert (hold["active"], hold["lots"]) == (True, 1)
    blocked = body(api.get(f"/lots/{lot.uid}"))["blocked"]
    assert [(block["hold"], block["reason"]) for block in blocked] == [(hold["uid"], "复检中")]
    assert body(api.get("/holds", active="true"))["items"] == [hold]
    assert body(api.get("/holds", active="false"))["items"] == []
    assert_problem(api_of(world.distillery_quality).get(f"/holds/{hold['uid']}"), 404, "not_found")
    assert_problem(api.post(f"/holds/{hold['uid']}/end", {"reason": "  "}), 422, "required")
    ended = body(api.post(f"/holds/{hold['uid']}/end", {"reason": "复检合格"}))
    assert ended["active"] is False
    assert_problem(api.post(f"/holds/{hold['uid']}/end", {"reason": "复检合格"}), 409, "stale_state")
    assert body(api.get(f"/lots/{lot.uid}"))["blocked"] == []


def test_an_operator_may_not_hold(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    worker = make_actor(world.walnuts.organisation, "operator")
    assert_problem(api_of(worker).post("/holds", {"lots": [str(lot.uid)], "reason": "x"}), 403, "role_required")
    assert not HoldSet.objects.exists()


def png() -> str:
    """A small picture in base64."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def test_a_photograph_is_kept_and_tied_to_its_event(world: World) -> None:
    api = api_of(world.walnuts)
    answer = api.post("/files", {"name": "过磅单.png", "content": png()})
    assert answer.status_code == 201, answer.content
    kept = body(answer)
    assert kept["media_type"] == "image/jpeg"
    assert body(api.get(f"/files/{kept['uid']}")) == kept
    assert_problem(api_of(world.distillery).get(f"/files/{kept['uid']}"), 404, "not_found")
    sent = {**PRODUCED, "outputs": [{"product": str(world.kernels.uid), "amount": {"value": "5"}}]}
    assert_problem(api.post("/events", {**sent, "files": [NOBODY]}), 404, "not_found")
    assert not Event.objects.exists()
    event = body(api.post("/events", {**sent, "files": [kept["uid"]]}))["event"]
    assert [str(file.event.uid) for file in StoredFile.objects.select_related("event") if file.event] == [event["uid"]]
    assert_problem(api.post("/events", {**sent, "files": [kept["uid"]]}), 404, "not_found")


@pytest.mark.parametrize(
    ("content", "code"),
    [("不是", "not_base64"), ("", "file_empty"), ("aGFsbG8=", "file_type"), ("A" * 9_800_004, "text_too_long")],
)
def test_a_bad_file_is_refused(world: World, content: str, code: str) -> None:
    answer = api_of(world.walnuts).post("/files", {"name": "a.png", "content": content})
    assert_problem(answer, 422, code)
    assert not StoredFile.objects.exists()


def test_a_conflict_is_explained_once_by_who_recorded_the_fact(world: World) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "100"))
    ship(world.walnuts, world.distributor.organisation, lot, "200", insist=True)
    api = api_of(world.walnuts)
    conflict = body(api.get("/conflicts", open="true"))["items"][0]
    path = f"/conflicts/{conflict['uid']}/answer"
    assert_problem(api_of(world.distillery).post(path, {"answer": "x"}), 404, "not_found")
    assert_problem(api.post(path, {"answer": " "}), 422, "required")
    assert body(api.post(path, {"answer": "少记一次入库"}))["answer"] == "少记一次入库"
    assert_problem(api.post(path, {"answer": "又一次"}), 409, "stale_state")
    assert body(api.get("/conflicts", open="true"))["items"] == []


# --- lists ----------------------------------------------------------------------------------------------------------


def _fill(world: World, rows: int) -> None:
    """So many rows for every list."""
    for number in range(rows):
        lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant)
        released(world.walnuts, world.walnuts_quality, lot)
        ship(world.walnuts, world.distributor.organisation, lot, "200", insist=True)
        place_hold(by=world.walnuts_quality, lots=[lot], reason="复检")
        make_place(world.walnuts.organisation)
        make_product(world.walnuts.organisation)
        make_organisation(f"示例单位{number}", "retailer")


@pytest.mark.once
def test_lists_ask_as_many_queries_for_fifty_rows_as_for_one(world: World) -> None:
    api = api_of(world.walnuts)
    lists = [
        "/lots",
        "/events",
        "/shipments",
        "/reports",
        "/holds",
        "/conflicts",
        "/places",
        "/products",
        "/organisations",
    ]
    _fill(world, 1)
    one = {path: queries(api, path, limit=200) for path in lists}
    _fill(world, 49)
    many = {path: queries(api, path, limit=200) for path in lists}
    assert many == one
    for path in lists:
        assert len(body(api.get(path, limit=200))["items"]) >= 50, path
    assert max(many.values()) <= 16
    assert Place.objects.filter(organisation=world.walnuts.organisation).count() == 51
