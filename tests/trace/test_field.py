"""Phones in the field: what they kept is recorded once, in order, for the right organisation, or kept for review."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image

from tests.conftest import Served
from tests.goods import day, make_lot, ship, stock_of
from tests.trace.test_guards import spirit, vatted
from tests.world import World, behalf, make_actor, make_organisation, make_place, make_product, make_world, sign_in
from trace.actions.field import register_device, revoke_device
from trace.actions.people import end_membership
from trace.actions.transfers import slip_token
from trace.actor import Actor
from trace.models import Conflict, Device, Event, FieldEntry, Lot, PersonalRecord, Stock, StoredFile, TestReport
from trace.personal import reveal

ENTERED = "2026-11-20T17:05:00+08:00"


def phone(who: Actor) -> tuple[Client, str]:
    """A signed-in phone and the name of its device."""
    client = sign_in(Client(), who)
    answer = client.post(reverse("trace:field_device"), {"name": "示例手机"})
    assert answer.status_code == 201, answer.content
    return client, answer.json()["device"]


def entry(step: str, fields: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """One entry as the page sends it."""
    return {
        "nonce": str(uuid.uuid4()),
        "step": step,
        "fields": [[key, str(value)] for key, value in fields.items()],
        "entered_at": ENTERED,
        **more,
    }


def send(client: Client, device: str, *entries: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Upload a batch; its results."""
    answer = client.post(
        reverse("trace:field_entries"), json.dumps({"device": device, "entries": entries}), "application/json"
    )
    assert answer.status_code == 200, answer.content.decode()
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def harvest(world: World, amount: str = "800", **more: Any) -> dict[str, Any]:
    """A harvest by the grower."""
    fields = {
        "when_on": "2026-11-20",
        "when_at": "09:30",
        "place": world.plot.uid,
        "outputs-count": "1",
        "outputs-0-product": world.fresh_walnuts.uid,
        "outputs-0-amount": amount,
        "outputs-0-unit": "KGM",
    }
    return entry("walnut.harvest", fields, **more)


def hull(product: Any, place: Any, local: str = "", **more: Any) -> dict[str, Any]:
    """Hulling what an entry of the same phone harvested."""
    fields = {
        "when_on": "2026-11-20",
        "when_at": "15:00",
        "place": place.uid,
        "inputs-count": "1",
        "inputs-0-local": local,
        "inputs-0-amount": "800",
        "outputs-count": "1",
        "outputs-0-product": product.uid,
        "outputs-0-amount": "350",
        "d_method": "机械",
    }
    return entry("walnut.hull", fields, **more)


def count(lot: Lot, amount: str, **more: Any) -> dict[str, Any]:
    """A stock-take of one lot."""
    fields = {
        "when_on": "2026-11-20",
        "when_at": "16:00",
        "subjects-count": "1",
        "subjects-0-code": lot.lot_code,
        "subjects-0-amount": amount,
        "subjects-0-unit": "KGM",
    }
    return entry("common.count", fields, **more)


def events(step: str) -> int:
    """How many events of a step there are."""
    return Event.objects.filter(template=step).count()


# --- Once -----------------------------------------------------------------------------------------------------------


def test_an_entry_uploaded_twice_counts_once_and_gets_the_same_answer(world: World) -> None:
    client, device = phone(world.grower)
    made = harvest(world)
    first, again = send(client, device, made)[0], send(client, device, made)[0]
    both = send(client, device, made, made)
    assert first["state"] == "sent"
    assert [again, *both] == [first] * 3
    assert events("walnut.harvest") == 1
    event = Event.objects.get(template="walnut.harvest")
    assert event.mode == Event.Mode.REPORT
    assert (event.organisation, event.entered_by) == (world.grower.organisation, world.grower.user)
    kept = FieldEntry.objects.get()
    assert (kept.tz_offset, kept.event, kept.entered_at.isoformat()) == (480, event, "2026-11-20T09:05:00+00:00")


def test_another_content_under_a_used_nonce_is_refused_and_led_to_the_record(world: World) -> None:
    client, device = phone(world.grower)
    made = harvest(world)
    url = send(client, device, made)[0]["url"]
    answer = send(client, device, harvest(world, "900") | {"nonce": made["nonce"]})[0]
    assert (answer["state"], answer["code"], answer["url"]) == ("refused", "nonce_reused", url)
    assert Lot.objects.get(product=world.fresh_walnuts).made_micros == 800_000_000


def test_nonces_of_two_people_do_not_meet(world: World) -> None:
    made = harvest(world)
    clerk = behalf(world.clerk, world.grower.organisation)
    send(*phone(world.grower), made)
    assert send(*phone(clerk), made | {"on_behalf_of": str(world.grower.organisation.uid)})[0]["state"] == "sent"
    assert events("walnut.harvest") == 2


def test_of_several_lots_of_one_entry_the_named_one_is_used(world: World) -> None:
    client, device = phone(world.grower)
    wet = make_product(world.grower.organisation, "SHT", "示例湿核桃", family="walnut_fenzhou", kind="raw")
    lot = make_lot(world.grower, wet, "300", when=day(0))
    rows = {f"outputs-{n}-amount": f"{100 + n}" for n in (0, 1)} | {f"outputs-{n}-product": wet.uid for n in (0, 1)}
    fields = {"place": world.plot.uid, "when_on": "2026-11-20", "inputs-0-code": lot.lot_code, "inputs-0-amount": "300"}
    split = entry("common.split", {**fields, **rows, "inputs-count": "1", "outputs-count": "2"})

    def counted(number: str) -> dict[str, Any]:
        made = count(lot, "101" if number == ".1" else "100")
        pairs = [pair for pair in made["fields"] if pair[0] != "subjects-0-code"]
        return {**made, "fields": [*pairs, ["subjects-0-local", split["nonce"] + number]]}

    sent = send(client, device, split, counted(""), counted(".1"), counted(".2"), counted(".x"))
    assert [each["state"] for each in sent] == ["sent", "sent", "sent", "refused", "refused"]
    seen = [event.items.get().lot for event in Event.objects.filter(template="common.count").order_by("id")]
    assert seen == list(Lot.objects.filter(origin_event__template="common.split").order_by("id"))


def test_a_batch_keeps_its_order_and_one_refusal_stops_no_other(world: World) -> None:
    client, device = phone(world.grower)
    wet = make_product(world.grower.organisation, "SHT", "示例湿核桃", family="walnut_fenzhou", kind="raw")
    first = harvest(world)
    blank = harvest(world, "")
    second = hull(wet, world.plot, first["nonce"])
    results = send(client, device, first, blank, second)
    assert [each["state"] for each in results] == ["sent", "needs", "sent"]
    assert [each["nonce"] for each in results] == [first["nonce"], blank["nonce"], second["nonce"]]
    assert results[1]["code"] == "invalid_fields"
    assert 'value="' in results[1]["html"]
    harvested = Lot.objects.get(product=world.fresh_walnuts)
    assert Lot.objects.get(product=wet).links_up.get().parent == harvested
    assert not FieldEntry.objects.filter(nonce=blank["nonce"]).exists(), "what can be mended leaves no row"


def test_what_arrives_out_of_order_waits_for_what_it_is_made_of(world: World) -> None:
    client, device = phone(world.grower)
    wet = make_product(world.grower.organisation, "SHT", "示例湿核桃", family="walnut_fenzhou", kind="raw")
    first = harvest(world)
    second = hull(wet, world.plot, first["nonce"])
    early = send(client, device, second)[0]
    assert (early["state"], early["code"]) == ("waiting", "waits_for_entry")
    assert [each["state"] for each in send(client, device, first, second)] == ["sent", "sent"]
    assert (events("walnut.harvest"), events("walnut.hull")) == (1, 1)


def test_a_mended_entry_keeps_its_nonce(world: World) -> None:
    client, device = phone(world.grower)
    wrong = harvest(world, "八百")
    assert send(client, device, wrong)[0]["state"] == "needs"
    assert send(client, device, harvest(world) | {"nonce": wrong["nonce"]})[0]["state"] == "sent"
    assert events("walnut.harvest") == 1


# --- Contradictions -------------------------------------------------------------------------------------------------


def test_a_contradiction_is_shown_first_and_recorded_when_the_person_insists(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant, when=day(1))
    client, device = phone(world.walnuts)
    made = count(lot, "90")
    shown = send(client, device, made)[0]
    assert (shown["state"], shown["code"], shown["insistable"]) == ("needs", "count_differs", True)
    assert lot.lot_code in shown["guards"][0]["message"]
    assert events("common.count") == 0
    told = send(client, device, made | {"seen": ["count_differs"]})[0]
    assert (told["state"], told["conflicts"]) == ("sent", 1)
    assert Conflict.objects.get().code == "count_differs"
    assert Stock.objects.get(lot=lot).micros == 100_000_000, "counting moves nothing"


def test_a_count_that_agrees_is_recorded_at_once(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant, when=day(1))
    client, device = phone(world.walnuts)
    assert send(client, device, count(lot, "100"))[0] | {"url": ""} == {
        "nonce": FieldEntry.objects.get().nonce.__str__(),
        "state": "sent",
        "url": "",
        "lots": [],
        "conflicts": 0,
    }


def test_insisting_on_another_contradiction_than_was_shown_shows_the_new_one(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant, when=day(1))
    client, device = phone(world.walnuts)
    answer = send(client, device, count(lot, "90", seen=["before_parent"]))[0]
    assert (answer["state"], answer["code"]) == ("needs", "count_differs")
    assert events("common.count") == 0


# --- Receiving by slip ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["number", "address"])
def test_goods_are_received_by_the_slip_that_was_scanned(world: World, by: str) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant, when=day(1))
    sent = ship(world.walnuts, world.distributor.organisation, lot, "40", insist=True)
    slip = sent.number if by == "number" else f"https://trace.example/s/{slip_token(sent)}"
    client, device = phone(world.distributor)
    made = entry("receipt", {"slip": slip, "all": "1", "arrived_on": "2026-11-20", "remark": ""})
    assert [each["state"] for each in send(client, device, made, made)] == ["sent", "sent"]
    transfer = sent.transfers.get()
    assert transfer.received_micros == 40_000_000
    assert transfer.received_at is not None
    assert transfer.received_at.isoformat() == "2026-11-20T09:05:00+00:00", "the minute at the phone"


def test_a_slip_sent_to_somebody_else_is_not_found(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant, when=day(1))
    sent = ship(world.walnuts, world.distributor.organisation, lot, "40", insist=True)
    client, device = phone(world.shop)
    for slip in (sent.number, slip_token(sent), "S20260101-NOTHING", f"{sent.number}:forged"):
        made = entry("receipt", {"slip": slip, "all": "1", "arrived_on": "2026-11-20"})
        answer = send(client, device, made)[0]
        assert (answer["state"], answer["code"]) == ("refused", "not_found"), slip
    assert sent.transfers.get().received_by is None


# --- Revoked --------------------------------------------------------------------------------------------------------


def test_a_revoked_device_is_signed_out_and_what_it_sends_later_is_kept_for_review(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant, when=day(1))
    worker = make_actor(world.walnuts.organisation, "operator")
    client, device = phone(worker)
    owner = sign_in(Client(), world.walnuts)
    owner.post(reverse("trace:device_revoke", args=[device]))
    assert client.get(reverse("trace:field_session")).status_code == 302, "the lost phone is signed out"

    sign_in(client, worker)
    assert client.get(reverse("trace:field_session"), {"device": device}).json()["device"] == "revoked"
    made = count(lot, "100")
    answer = send(client, device, made)[0]
    assert (answer["state"], answer["code"]) == ("review", "device_revoked")
    assert send(client, device, made)[0] == answer, "twice is once here too"
    kept = FieldEntry.objects.get()
    assert events("common.count") == 0
    assert lot.lot_code in reveal(kept.kept)
    assert lot.lot_code.encode() not in bytes(PersonalRecord.objects.get(purpose="field_entry").secret)

    page = owner.get(reverse("trace:entry_review", args=[kept.uid]))
    assert lot.lot_code in page.content.decode()
    done = owner.post(reverse("trace:entry_review", args=[kept.uid]), {"decision": "record"})
    assert done.status_code == 302
    event = Event.objects.get(template="common.count")
    assert event.entered_by == world.walnuts.user, "the head answers for it"
    assert send(client, device, made)[0]["state"] == "sent"
    assert owner.post(reverse("trace:entry_review", args=[kept.uid]), {"decision": "record"}).status_code == 404
    assert events("common.count") == 1


def test_a_kept_entry_that_contradicts_the_records_asks_the_head_too(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant, when=day(1))
    worker = make_actor(world.walnuts.organisation, "operator")
    client, device = phone(worker)
    revoke_device(device=Device.objects.get(uid=device), by=world.walnuts)
    send(sign_in(client, worker), device, count(lot, "90"))
    owner = sign_in(Client(), world.walnuts)
    url = reverse("trace:entry_review", args=[FieldEntry.objects.get().uid])
    page = owner.post(url, {"decision": "record"})
    assert page.status_code == 409
    assert 'name="seen" value="count_differs"' in page.content.decode()
    assert owner.post(url, {"decision": "record", "insist": "1", "seen": "count_differs"}).status_code == 302
    assert Conflict.objects.get().code == "count_differs"


def test_what_somebody_sends_who_is_no_member_any_more_is_kept_and_may_be_dismissed(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant, when=day(1))
    worker = make_actor(world.walnuts.organisation, "operator")
    client, device = phone(worker)
    assert worker.membership is not None
    end_membership(membership=worker.membership, by=world.walnuts)
    answer = send(client, device, count(lot, "100"))[0]
    assert (answer["state"], answer["code"]) == ("review", "membership_ended")
    owner = sign_in(Client(), world.walnuts)
    assert "已不是成员" in owner.get(reverse("trace:device_list")).content.decode()
    url = reverse("trace:entry_review", args=[FieldEntry.objects.get().uid])
    assert owner.post(url, {"decision": "dismiss"}).status_code == 302
    assert FieldEntry.objects.get().status == FieldEntry.Status.DISMISSED
    assert events("common.count") == 0


def test_a_viewer_s_entry_is_kept_for_review(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant, when=day(1))
    worker = make_actor(world.walnuts.organisation, "operator")
    client, device = phone(worker)
    assert worker.membership is not None
    worker.membership.role = "viewer"
    worker.membership.save()
    assert send(client, device, count(lot, "100"))[0]["code"] == "role_required"


# --- Strangers ------------------------------------------------------------------------------------------------------


def test_another_s_device_lot_place_and_entry_are_not_found(world: World) -> None:
    client, device = phone(world.distillery)
    _other, others = phone(world.walnuts)
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant, when=day(1))
    body = json.dumps({"device": others, "entries": [count(lot, "100")]})
    assert client.post(reverse("trace:field_entries"), body, "application/json").status_code == 404
    answer = send(client, device, count(lot, "100"))[0]
    assert (answer["state"], answer["code"]) == ("needs", "invalid_fields")
    assert events("common.count") == 0
    named = {"subjects-0-lot": f"{lot.uid}@{world.plant.uid}", "subjects-0-code": ""}
    made = count(lot, "100")
    made["fields"] = [pair for pair in made["fields"] if pair[0] not in named] + [list(pair) for pair in named.items()]
    assert send(client, device, made)[0]["state"] == "needs"
    assert client.post(reverse("trace:device_revoke", args=[others])).status_code == 404
    revoke_device(device=Device.objects.get(uid=others), by=world.walnuts)
    send(sign_in(_other, world.walnuts), others, count(lot, "100"))
    kept = FieldEntry.objects.get(status="review")
    assert client.get(reverse("trace:entry_review", args=[kept.uid])).status_code == 404


def test_a_nonce_of_another_person_s_lot_is_no_way_in(world: World) -> None:
    made = harvest(world)
    send(*phone(world.grower), made)
    wet = make_product(world.walnuts.organisation, "SHT", "示例湿核桃", family="walnut_fenzhou", kind="raw")
    answer = send(*phone(world.walnuts), hull(wet, world.plant, made["nonce"]))[0]
    assert (answer["state"], answer["code"]) == ("waiting", "waits_for_entry")


def test_an_entry_for_a_grower_of_another_cooperative_is_not_found(world: World) -> None:
    stranger = make_organisation("示例种植户丙", "grower")
    client, device = phone(world.clerk)
    answer = send(client, device, harvest(world, on_behalf_of=str(stranger.uid)))[0]
    assert (answer["state"], answer["code"]) == ("refused", "not_found")


def test_a_clerk_s_entries_go_to_the_growers_they_were_made_for(world: World) -> None:
    client, device = phone(world.clerk)
    answer = send(client, device, harvest(world, on_behalf_of=str(world.grower.organisation.uid)))[0]
    assert answer["state"] == "sent"
    event = Event.objects.get(template="walnut.harvest")
    assert (event.organisation, event.entered_by) == (world.grower.organisation, world.clerk.user)
    assert event.entered_by_organisation == world.cooperative.organisation


def test_forms_of_regulators_and_strangers_are_not_served(world: World) -> None:
    assert sign_in(Client(), world.county).get(reverse("trace:field_data")).status_code == 404
    assert Client().get(reverse("trace:field_data")).status_code == 302


# --- Hostile --------------------------------------------------------------------------------------------------------

BAD_BODIES = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"[" * 100_000,
    b'{"device": 1, "entries": [{}]}',
    b'{"device": "x", "entries": [{}]}',
    b'{"entries": {}}',
    b"\xff\xfe\x00",
    b'{"device": ' + b"9" * 5000 + b', "entries": []}',
    json.dumps({"device": str(uuid.uuid4()), "entries": []}).encode(),
    json.dumps({"device": str(uuid.uuid4()), "entries": [{}] * 51}).encode(),
]


def test_a_body_that_is_no_batch_is_refused_with_a_sentence(world: World) -> None:
    client, _device = phone(world.grower)
    for body in BAD_BODIES:
        answer = client.post(reverse("trace:field_entries"), body, "application/json")
        assert answer.status_code == 422, body[:80]
        assert answer.json()["code"] in ("batch_malformed", "entry_malformed", "too_many_entries"), body[:80]


BAD_ENTRIES: Sequence[Any] = [
    None,
    1,
    "x",
    [],
    {},
    {"nonce": 5},
    {"nonce": "\x00"},
    {"step": "walnut.nothing"},
    {"step": {"a": 1}},
    {"step": "\ud800"},
    {"fields": None},
    {"fields": [["a"]]},
    {"fields": [["a", 1]]},
    {"fields": [["a", "b", "c"]]},
    {"fields": [["a", "x" * 20_001]]},
    {"fields": [["a", "b"]] * 601},
    {"fields": [["when_on", "\ud800\x00"], ["outputs-count", "9" * 400], ["outputs-0-product", "\x00"]]},
    {"fields": [["when_on", "9999-99-99"], ["when_at", "٣٣:٩٩"], ["place", "'; drop"], ["outputs-0-amount", "1e999"]]},
    {"fields": [["inputs-0-local", "x"]]},
    {"files": [1]},
    {"files": ["x"] * 10},
    {"seen": {"a": 1}},
    {"seen": ["x" * 61]},
    {"entered_at": None},
    {"entered_at": "yesterday"},
    {"entered_at": "2026-11-20T09:05:00"},
    {"entered_at": "0001-01-01T00:00:00+08:00"},
    {"entered_at": "2999-01-01T00:00:00+08:00"},
    {"entered_at": "2010-01-01T00:00:00+08:00"},
    {"on_behalf_of": 7},
    {"on_behalf_of": str(uuid.uuid4())},
]


def test_hostile_entries_are_refused_one_by_one(world: World) -> None:
    client, device = phone(world.grower)
    bad = [{**harvest(world), **wrong} if isinstance(wrong, dict) and wrong else wrong for wrong in BAD_ENTRIES]
    *refused, good = send(client, device, *bad, harvest(world))
    for wrong, answer in zip(BAD_ENTRIES, refused, strict=True):
        assert answer["state"] in ("refused", "needs", "waiting"), str(wrong)[:80]
        assert answer["code"], str(wrong)[:80]
    assert good["state"] == "sent"
    assert events("walnut.harvest") == 1


def test_a_body_too_large_is_refused(world: World) -> None:
    client, device = phone(world.grower)
    body = json.dumps({"device": device, "entries": [harvest(world)], "x": "y" * 2_100_000})
    answer = client.post(reverse("trace:field_entries"), body, "application/json")
    assert answer.json()["code"] == "batch_too_large"


def test_entries_need_the_csrf_token(world: World) -> None:
    client = sign_in(Client(enforce_csrf_checks=True), world.grower)
    assert client.post(reverse("trace:field_entries"), "{}", "application/json").status_code == 403
    token = client.get(reverse("trace:field_session")).json()["csrf"]
    answer = client.post(reverse("trace:field_entries"), "{}", "application/json", headers={"X-CSRFToken": token})
    assert answer.status_code == 422


# --- Photographs ----------------------------------------------------------------------------------------------------


def test_a_photograph_goes_ahead_and_is_tied_to_the_event(world: World) -> None:
    client, device = phone(world.grower)
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), "green").save(picture, "PNG")
    picture.seek(0)
    picture.name = "果园.png"
    answer = client.post(reverse("trace:field_file"), {"device": device, "file": picture})
    assert answer.status_code == 201, answer.content
    sent = send(client, device, harvest(world, files=[answer.json()["file"]]))[0]
    assert sent["state"] == "sent"
    stored = StoredFile.objects.get()
    assert (stored.event, stored.media_type) == (Event.objects.get(template="walnut.harvest"), "image/jpeg")


def test_a_file_that_is_no_picture_is_refused(world: World) -> None:
    client, device = phone(world.grower)
    broken = io.BytesIO(b"<html>")
    broken.name = "果园.jpg"
    answer = client.post(reverse("trace:field_file"), {"device": device, "file": broken})
    assert (answer.status_code, answer.json()["code"]) == (422, "file_type")


# --- The page and its forms -----------------------------------------------------------------------------------------


def test_the_page_that_the_phone_keeps_says_nothing_of_anybody(world: World) -> None:
    signed = sign_in(Client(), world.walnuts).get(reverse("trace:field")).content
    assert signed == Client().get(reverse("trace:field")).content
    assert world.walnuts.organisation.name not in signed.decode()


def test_the_worker_keeps_only_the_page_and_its_files(world: World) -> None:
    answer = Client().get(reverse("trace:field_worker"))
    assert answer["Content-Type"].startswith("text/javascript")
    first = answer.content.decode().splitlines()[0]
    facts = json.loads(first.removeprefix("self.FACTS = ").removesuffix(";"))
    assert facts["page"] == "/field/"
    assert all(each.startswith("/static/") for each in facts["files"])


def test_the_manifest_makes_the_page_installable() -> None:
    facts = Client().get(reverse("trace:field_manifest")).json()
    assert (facts["start_url"], facts["display"]) == ("/field/", "standalone")
    assert {each["sizes"] for each in facts["icons"]} >= {"192x192", "512x512"}


def test_a_grower_takes_the_farm_s_forms_and_a_store_the_store_s(world: World) -> None:
    grower = sign_in(Client(), world.grower).get(reverse("trace:field_data")).json()
    assert [form["step"] for form in grower["forms"]][:2] == ["walnut.harvest", "walnut.input_use"]
    assert grower["forms"][-1]["step"] == "common.ship"
    assert str(world.plot.uid) in grower["forms"][0]["html"]
    store = sign_in(Client(), world.distributor).get(reverse("trace:field_data")).json()
    assert [form["step"] for form in store["forms"]] == [
        "common.receive",
        "common.store",
        "common.ship",
        "common.count",
        "common.inspect",
    ]
    assert world.walnuts.organisation.name not in json.dumps(grower["slips"])


def test_a_bottling_hall_s_day_is_recorded_without_a_network(world: World) -> None:
    """Filtered, bottled and tested on one phone that uploads in the evening, each step made of the one before."""
    base = spirit(world, family="baijiu_light_aroma")
    vat = vatted(world, base, "100", "53")
    client, device = phone(world.distillery)
    offered = [form["step"] for form in client.get(reverse("trace:field_data")).json()["forms"]]
    assert [step for step in offered if step in ("baijiu.filter", "baijiu.bottle", "baijiu.factory_test")] == [
        "baijiu.filter",
        "baijiu.bottle",
        "baijiu.factory_test",
    ]
    hall = make_place(world.distillery.organisation, kind="plant")
    at = {"when_on": "2026-11-20", "place": hall.uid}
    rows = {"inputs-count": "1", "outputs-count": "1"}
    filtered = entry(
        "baijiu.filter",
        {**at, **rows, "when_at": "08:00", "inputs-0-code": vat.lot_code, "inputs-0-amount": "50",
         "outputs-0-product": base.uid, "outputs-0-amount": "50"},
    )  # fmt: skip
    bottles = entry(
        "baijiu.bottle",
        {**at, **rows, "when_at": "10:00", "inputs-0-local": filtered["nonce"], "inputs-0-amount": "50",
         "outputs-0-product": world.baijiu.uid, "outputs-0-amount": "100", "outputs-0-unit": "瓶",
         "outputs-0-lot_code": "20261120-1", "d_net_content": "500", "d_label_abv": "53",
         "d_standard": "gbt10781_2_2022"},
    )  # fmt: skip
    tested = entry(
        "baijiu.factory_test",
        {**at, "when_at": "14:00", "subjects-count": "1", "subjects-0-local": bottles["nonce"], "subjects-0-unit": "瓶",
         "subjects-0-amount": "2", "d_abv": "53", "d_solids_0": "0.2", "d_solids_1": "=", "d_methanol_0": "0.1",
         "d_methanol_1": "=", "d_cyanide_0": "0.5", "d_cyanide_1": "=", "report_no": "示例-1",
         "issued_on": "2026-11-20", "lab_name": "示例检测技术服务有限公司", "purpose": "出厂检验"},
    )  # fmt: skip
    answers = send(client, device, filtered, bottles, tested)
    assert [answer["state"] for answer in answers] == ["sent"] * 3, answers
    assert [answer["state"] for answer in send(client, device, filtered, bottles, tested)] == ["sent"] * 3
    lot = Lot.objects.get(lot_code="20261120-1")
    assert (lot.made_micros, stock_of(lot, world.distillery.organisation)) == (50_000_000, 49_000_000)
    report = TestReport.objects.get(lot=lot)
    assert (report.report_number, report.verdict) == ("示例-1", "pass")


def test_forms_cost_the_same_with_one_lot_and_with_fifty(world: World, django_assert_max_num_queries: Any) -> None:
    client = sign_in(Client(), world.distributor)
    depot = make_place(world.distributor.organisation, kind="store")
    goods = make_product(world.distributor.organisation)
    make_lot(world.distributor, goods, "1", place=depot, when=day(1))
    url = reverse("trace:field_data")
    with django_assert_max_num_queries(80) as few:
        client.get(url)
    for _number in range(30):
        make_lot(world.distributor, goods, "1", place=depot, when=day(1))
    with django_assert_max_num_queries(len(few)):
        client.get(url)


def test_one_person_has_a_limited_number_of_devices(world: World) -> None:
    for number in range(20):
        register_device(by=world.grower, name=f"示例{number}")
    client = sign_in(Client(), world.grower)
    answer = client.post(reverse("trace:field_device"), {"name": "示例"})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_devices")


def test_members_see_their_own_devices_and_the_head_all(world: World) -> None:
    worker = make_actor(world.walnuts.organisation, "operator")
    phone(worker)
    phone(world.walnuts)
    page = sign_in(Client(), worker).get(reverse("trace:device_list"))
    assert [each.user for each in page.context["devices"]] == [worker.user]
    page = sign_in(Client(), world.walnuts).get(reverse("trace:device_list"))
    assert len(page.context["devices"]) == 2
    mine = Device.objects.get(user=worker.user)
    other = sign_in(Client(), make_actor(world.walnuts.organisation, "operator"))
    assert other.post(reverse("trace:device_revoke", args=[mine.uid])).status_code == 403


def test_the_same_entry_sent_eight_times_at_once_is_one_event(served: Served) -> None:
    world = make_world()
    client, device = phone(world.grower)
    token = client.get(reverse("trace:field_session")).json()["csrf"]
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    body = json.dumps({"device": device, "entries": [harvest(world)]}).encode()

    headers = {
        "Content-Type": "application/json",
        "X-CSRFToken": token,
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
    }

    def upload(_number: int) -> Any:
        with closing(HTTPConnection(served.url.partition("://")[2], timeout=60)) as connection:
            connection.request("POST", reverse("trace:field_entries"), body, headers)
            return json.loads(connection.getresponse().read())["results"][0]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(upload, range(8)))
    assert {json.dumps(each, sort_keys=True) for each in answers} == {json.dumps(answers[0], sort_keys=True)}
    assert answers[0]["state"] == "sent"
    assert (events("walnut.harvest"), FieldEntry.objects.count()) == (1, 1)
