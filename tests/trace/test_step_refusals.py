"""What is wrong with a step comes back once, beside its field, with a code, and nothing typed is lost."""

import datetime
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from tests.goods import day, make_lot, stock_of
from tests.trace.step_pages import WHEN, errors_of, filled, open_form, post, recorded, signed, url_of
from tests.world import World, behalf, make_actor, make_product, sign_in
from trace.actions.holds import place_hold
from trace.models import Conflict, Event, Lot, Organisation, Place, StoredFile

MILLION = 1_000_000
HARVEST = "walnut.harvest"
REWORK = "common.rework"


@pytest.fixture
def lot(world: World) -> Lot:
    """Kernels on hand."""
    return make_lot(world.walnuts, world.kernels, "100", place=world.plant)


def rework(world: World, lot: Lot, **more: Any) -> dict[str, Any]:
    """A reworking of some of the lot, as a browser sends it."""
    return {
        "when_on": WHEN,
        "when_at": "10:00",
        "place": str(world.plant.uid),
        "inputs-count": "1",
        "inputs-0-lot": f"{lot.uid}@{world.plant.uid}",
        "inputs-0-amount": "10",
        "inputs-0-unit": "KGM",
        "outputs-count": "1",
        "outputs-0-product": str(world.kernels.uid),
        "outputs-0-amount": "9",
        "d_reason": "示例返工",
        **more,
    }


@pytest.fixture
def unchanged() -> Iterator[None]:
    """Nothing is recorded by what happens in this test."""
    before = (Event.objects.count(), Lot.objects.count(), Organisation.objects.count(), Place.objects.count())
    yield
    after = (Event.objects.count(), Lot.objects.count(), Organisation.objects.count(), Place.objects.count())
    assert after == before


BAD: list[tuple[str, dict[str, str], str, str]] = [
    ("a unit of other goods", {"inputs-0-unit": "LTR"}, "inputs-0-unit", "unit_unknown"),
    ("no amount", {"inputs-0-amount": ""}, "inputs-0-amount", "amount_required"),
    ("a word for an amount", {"inputs-0-amount": "很多"}, "inputs-0-amount", "amount_not_a_number"),
    ("a negative amount", {"inputs-0-amount": "-1"}, "inputs-0-amount", "amount_negative"),
    ("a huge amount", {"inputs-0-amount": "9" * 4000}, "inputs-0-amount", "amount_too_large"),
    ("NUL in an amount", {"inputs-0-amount": "1\x000"}, "inputs-0-amount", "amount_not_a_number"),
    ("a day that does not exist", {"when_on": "2026-02-30"}, "when_on", "not_a_date"),
    ("a word for a day", {"when_on": "昨天"}, "when_on", "not_a_date"),
    ("no day", {"when_on": ""}, "when_on", "required"),
    ("a day in the future", {"when_on": "2199-01-01"}, "when_on", "in_future"),
    ("an hour that does not exist", {"when_at": "25:10"}, "when_at", "not_a_datetime"),
    ("no lot", {"inputs-0-lot": ""}, "inputs-0-lot", "required"),
    ("no uid for a lot", {"inputs-0-lot": "x" * 1_000_000}, "inputs-0-lot", "not_found"),
    ("NUL for a lot", {"inputs-0-lot": "\x00"}, "inputs-0-lot", "not_found"),
    ("a code nobody knows", {"inputs-0-code": "NIEMALS-1"}, "inputs-0-code", "lot_not_found"),
    ("NUL in a code", {"inputs-0-code": "A\x00B"}, "inputs-0-code", "text_nul"),
    ("a megabyte of code", {"inputs-0-code": "7" * 1_000_000}, "inputs-0-code", "text_too_long"),
    ("no product", {"outputs-0-product": ""}, "outputs-0-product", "required"),
    ("Chinese in a lot code", {"outputs-0-lot_code": "批一"}, "outputs-0-lot_code", "lot_code_characters"),
    ("a long lot code", {"outputs-0-lot_code": "A" * 21}, "outputs-0-lot_code", "lot_code_length"),
    ("a megabyte of lot code", {"outputs-0-lot_code": "A" * 1_000_000}, "outputs-0-lot_code", "code_too_long"),
    ("NUL in a text", {"d_reason": "示\x00例"}, "d_reason", "text_nul"),
    ("a control character", {"d_reason": "示\x07例"}, "d_reason", "text_control"),
    ("a megabyte of text", {"d_reason": "示" * 1_000_000}, "d_reason", "text_too_long"),
    ("a megabyte of remark", {"remark": "示" * 1_000_000}, "remark", "text_too_long"),
    ("a place of nobody", {"place": "00000000-0000-7000-8000-000000000000"}, "place", "not_found"),
]


@pytest.mark.parametrize(("change", "field", "code"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_is_wrong_is_refused_beside_its_field(
    world: World, lot: Lot, unchanged: None, change: dict[str, str], field: str, code: str
) -> None:
    page = post(signed(world.walnuts), url_of(REWORK), rework(world, lot, **change))
    assert page.status_code == 422
    assert errors_of(page) == {field: [code]}
    assert b"aria-invalid" in page.content


@pytest.mark.parametrize("field", ["d_reason", "inputs-0-code", "outputs-0-lot_code", "remark", "when_on"])
def test_half_a_character_is_refused_beside_its_field(world: World, lot: Lot, unchanged: None, field: str) -> None:
    values = rework(world, lot)
    values.pop(field, None)
    body = urlencode(values) + f"&{field}=a%ED%A0%80b"
    client = signed(world.walnuts)
    page = client.generic("POST", url_of(REWORK), body, content_type="application/x-www-form-urlencoded")
    assert page.status_code == 422
    assert errors_of(page) == {field: ["text_surrogate"]}


def test_strangers_lot_place_and_product_are_not_found(
    world: World, lot: Lot, strangers_lot: Lot, unchanged: None
) -> None:
    client = signed(world.walnuts)
    for change, field, code in (
        ({"inputs-0-lot": str(strangers_lot.uid)}, "inputs-0-lot", "not_found"),
        ({"inputs-0-code": strangers_lot.public_code}, "inputs-0-code", "lot_not_found"),
        ({"place": str(world.cellar.uid)}, "place", "not_found"),
        ({"inputs-0-lot": f"{lot.uid}@{world.cellar.uid}"}, "inputs-0-lot", "not_found"),
        ({"outputs-0-product": str(world.baijiu.uid)}, "outputs-0-product", "not_found"),
    ):
        page = post(client, url_of(REWORK), rework(world, lot, **change))
        assert (page.status_code, errors_of(page)) == (422, {field: [code]})


@pytest.fixture
def strangers_lot(world: World) -> Lot:
    """A lot of the distillery."""
    return make_lot(world.distillery, world.baijiu, "50", place=world.cellar)


def test_every_mistake_is_told_at_once_and_nothing_typed_is_lost(world: World, lot: Lot, unchanged: None) -> None:
    values = rework(
        world, lot, when_on="2026-02-30", **{"inputs-0-amount": "x", "d_reason": "a" * 600, "remark": "记住我"}
    )
    page = post(signed(world.walnuts), url_of(REWORK), values)
    assert set(errors_of(page)) == {"when_on", "inputs-0-amount", "d_reason"}
    form = page.context["form"]
    assert form["remark"].value() == "记住我"
    assert form["d_reason"].value() == "a" * 600
    assert form["inputs-0-lot"].value() == values["inputs-0-lot"]
    assert "记住我" in page.content.decode()


def test_fact_that_breaks_a_guard_is_sent_back_once_and_recorded_when_insisted(world: World, lot: Lot) -> None:
    client, values = signed(world.walnuts), rework(world, lot, **{"inputs-0-amount": "150", "remark": "确有其事"})
    page = post(client, url_of(REWORK), values)
    assert page.status_code == 409
    assert page.context["broken"].code == "not_enough"
    assert 'name="insist"' in page.content.decode()
    assert page.context["form"]["remark"].value() == "确有其事"
    assert stock_of(lot, world.walnuts.organisation) == 100 * MILLION
    page = post(client, url_of(REWORK), values | {"seen": page.context["seen"], "insist": "1"})
    event = recorded(page, REWORK)
    assert event.mode == "report"
    assert Conflict.objects.get().code == "not_enough"


def test_insisting_on_one_reason_does_not_let_another_pass(world: World, lot: Lot) -> None:
    client = signed(world.walnuts)
    values = rework(
        world, lot, **{"inputs-0-amount": "150", "outputs-0-amount": "200", "seen": "not_enough", "insist": "1"}
    )
    before = Event.objects.count()
    page = post(client, url_of(REWORK), values)
    assert page.status_code == 409
    assert set(page.context["seen"].split()) == {"not_enough", "more_out_than_in"}
    assert Event.objects.count() == before


def test_doubled_sending_records_one_event(world: World, lot: Lot) -> None:
    client = signed(world.walnuts)
    key = client.get(url_of(REWORK)).context["form_key"]
    values = rework(world, lot, form_key=key)
    first, second = post(client, url_of(REWORK), values), post(client, url_of(REWORK), values)
    assert first.status_code == second.status_code == 302
    assert first.url == second.url
    assert Event.objects.filter(template=REWORK).count() == 1
    changed = post(client, url_of(REWORK), values | {"outputs-0-amount": "8"})
    assert changed.status_code == 409
    assert errors_of(changed) == {"__all__": ["form_already_sent"]}


def test_taken_lot_code_is_told_at_its_row(world: World, lot: Lot, unchanged: None) -> None:
    values = rework(world, lot, **{"outputs-0-lot_code": lot.lot_code})
    page = post(signed(world.walnuts), url_of(REWORK), values)
    assert (page.status_code, errors_of(page)) == (409, {"outputs-0-lot_code": ["lot_code_taken"]})


def test_the_same_lot_in_two_rows_is_refused(world: World, lot: Lot, unchanged: None) -> None:
    again = {"inputs-count": "2", "inputs-1-lot": f"{lot.uid}@{world.plant.uid}", "inputs-1-amount": "5"}
    page = post(signed(world.walnuts), url_of(REWORK), rework(world, lot, **again))
    assert (page.status_code, errors_of(page)) == (422, {"__all__": ["input_twice"]})


def test_each_cut_is_refused_once_and_beside_its_own_row(world: World) -> None:
    spirit = make_product(world.distillery.organisation, "JJ", "示例原酒", base_unit="LTR", kind="intermediate")
    first = {"outputs-0-amount": "10", "outputs-0-x_abv": "很高"}
    second = {"outputs-1-product": str(spirit.uid), "outputs-1-amount": "10", "outputs-1-unit": "LTR"}
    wanted = {"when_on": WHEN, "outputs-count": "2", **first, **second}
    errors = errors_of(post(signed(world.distillery), url_of("baijiu.brew_round_1"), wanted))
    told = {name: codes for name, codes in errors.items() if name.endswith("x_abv")}
    assert told == {"outputs-0-x_abv": ["not_a_number"], "outputs-1-x_abv": ["required"]}


# --- Short and easy -------------------------------------------------------------------------------------------------


def test_growers_harvest_asks_five_things(world: World) -> None:
    world.fresh_walnuts.family = "walnut_fenzhou"
    world.fresh_walnuts.save()
    client = signed(world.grower)
    form = open_form(client, url_of(HARVEST))
    asked = ["when_on", "place", "outputs-0-product", "outputs-0-amount", "outputs-0-unit", "d_method"]
    folded = {"when_at", "outputs-0-lot_code", "outputs-0-restates", "remark", "files"}
    assert set(form.fields) == set(asked) | folded
    assert form["place"].value() == str(world.plot.uid)
    values = {
        "when_on": WHEN,
        "place": str(world.plot.uid),
        "outputs-count": "1",
        "outputs-0-product": str(world.fresh_walnuts.uid),
        "outputs-0-amount": "1200",
        "outputs-0-unit": "jin",
        "d_method": "人工",
    }
    event = recorded(post(client, url_of(HARVEST), values), HARVEST)
    assert (event.precision, timezone.localtime(event.occurred_at).date()) == ("day", datetime.date(2026, 9, 29))
    lot = Lot.objects.get(origin_event=event)
    assert (lot.made_micros, lot.produced_on) == (600 * MILLION, datetime.date(2026, 9, 29))
    assert event.data == {"harvest_date": WHEN, "method": "人工", "weight": "600"}
    item = event.items.get()
    assert (item.entered, item.entered_unit, item.place) == ("1200", "jin", world.plot)


def test_last_entry_is_the_next_forms_default(world: World, lot: Lot) -> None:
    client = signed(world.walnuts)
    values = rework(world, lot, d_method="示例筛选", **{"outputs-0-unit": "袋", "outputs-0-amount": "20"})
    recorded(post(client, url_of(REWORK), values), REWORK)
    form = open_form(client, url_of(REWORK))
    assert form["d_method"].value() == "示例筛选"
    assert form["place"].value() == str(world.plant.uid)
    assert (form["outputs-0-product"].value(), form["outputs-0-unit"].value()) == (str(world.kernels.uid), "袋")
    assert form["d_reason"].value() in ("", None), "a reason belongs to one case"


def test_row_is_added_without_a_script_and_nothing_is_recorded(world: World, lot: Lot, unchanged: None) -> None:
    page = post(signed(world.walnuts), url_of(REWORK), rework(world, lot, add="inputs", d_reason="先放着"))
    assert page.status_code == 200
    form = page.context["form"]
    assert form.rows_of("inputs") == 2
    assert form["d_reason"].value() == "先放着"
    assert 'name="inputs-count" value="2"' in page.content.decode()
    assert not form.errors or "inputs-1-lot" not in form.errors


@pytest.mark.parametrize("count", ["0", "-5", "99999999999999999999", "x", "", "\x00"])
def test_made_up_row_counts_do_no_harm(world: World, lot: Lot, count: str) -> None:
    page = post(signed(world.walnuts), url_of(REWORK), rework(world, lot, **{"inputs-count": count}))
    assert page.status_code in (302, 422)


def test_lot_is_found_by_the_address_on_its_label(world: World, lot: Lot) -> None:
    code = {"inputs-0-lot": "", "inputs-0-code": f"https://example.test/c/{lot.public_code}"}
    event = recorded(post(signed(world.walnuts), url_of(REWORK), rework(world, lot, **code)), REWORK)
    assert event.items.get(role="input").lot == lot


def test_clerk_enters_for_a_grower_and_both_names_are_shown(world: World) -> None:
    client = signed(behalf(world.clerk, world.grower.organisation))
    page = client.get(url_of(HARVEST))
    assert world.grower.organisation.name in page.content.decode()
    values = filled(page.context["form"])
    event = recorded(post(client, url_of(HARVEST), values), HARVEST)
    assert event.organisation == world.grower.organisation
    shown = client.get(f"/events/{event.uid}/").content.decode()
    assert "示例文书" in shown
    assert world.cooperative.organisation.name in shown
    assert world.grower.organisation.name in shown


# --- With the step --------------------------------------------------------------------------------------------------


def receipt(world: World, **more: str) -> dict[str, str]:
    """Goods taken in from a new supplier."""
    return {
        "when_on": WHEN,
        "place": str(world.plant.uid),
        "party_name": "示例果园",
        "party_kind": "grower",
        "party_division": "141182",
        "party_phone": "0358-7220000",
        "outputs-count": "1",
        "outputs-0-product": str(world.kernels.uid),
        "outputs-0-amount": "300",
        "outputs-0-lot_code": "GY-17",
        "outputs-0-produced_on": "2026-09-20",
        "d_inspection_result": "合格",
        **more,
    }


def test_new_supplier_is_written_down_with_the_goods(world: World) -> None:
    event = recorded(post(signed(world.walnuts), url_of("common.receive"), receipt(world)), "common.receive")
    supplier = Organisation.objects.get(name="示例果园")
    assert (supplier.status, supplier.kept_by) == ("external", world.walnuts.organisation)
    lot = Lot.objects.get(origin_event=event)
    assert (lot.organisation, lot.lot_code, lot.is_external) == (supplier, "GY-17", True)
    assert lot.produced_on == datetime.date(2026, 9, 20)
    assert event.data["arrival_date"] == WHEN


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"party_phone": "", "party_address": ""}, "party_address", "contact_required"),
        ({"party_phone": "电话"}, "party_phone", "phone_shape"),
        ({"party_kind": "regulator"}, "party_kind", "kind_not_here"),
        ({"party_division": "999999"}, "party_division", "division_unknown"),
        ({"party_name": "", "party": ""}, "party", "party_required"),
        ({"party_name": "", "party": "x"}, "party", "not_found"),
        ({"outputs-0-lot_code": ""}, "outputs-0-lot_code", "lot_code_required"),
        ({"outputs-0-produced_on": "2026-13-01"}, "outputs-0-produced_on", "not_a_date"),
        ({"d_inspection_result": "随便"}, "d_inspection_result", "unknown_choice"),
    ],
)
def test_wrong_supplier_or_goods_leave_nothing_behind(
    world: World, unchanged: None, change: dict[str, str], field: str, code: str
) -> None:
    page = post(signed(world.walnuts), url_of("common.receive"), receipt(world, **change))
    assert errors_of(page) == {field: [code]}


def test_supplier_is_not_kept_when_the_receipt_is_refused(world: World) -> None:
    client = signed(world.walnuts)
    recorded(post(client, url_of("common.receive"), receipt(world)), "common.receive")
    page = post(client, url_of("common.receive"), receipt(world, party_name="示例果园二", **{"outputs-0-amount": "0"}))
    assert page.status_code == 422
    assert not Organisation.objects.filter(name="示例果园二").exists()


def test_plot_is_registered_with_its_step(world: World) -> None:
    client = signed(world.grower)
    values = {
        "when_on": WHEN,
        "when_at": "",
        "plot_name": "示例坡头南地块",
        "plot_division": "141182101",
        "d_area_mu": "3.5",
        "d_variety": "晋龙1号",
        "d_altitude": "950",
    }
    event = recorded(post(client, url_of("walnut.register_plot"), values), "walnut.register_plot")
    plot = Place.objects.get(name="示例坡头南地块")
    assert (plot.organisation, plot.kind, plot.division_id) == (world.grower.organisation, "plot", "141182101")
    assert plot.facts == {"area_mu": "3.5", "crop": "晋龙1号", "altitude_m": "950"}
    assert (event.place, event.data["plot"]) == (plot, str(plot.uid))
    again = post(client, url_of("walnut.register_plot"), values)
    assert errors_of(again) == {"plot_name": ["place_name_taken"]}


# --- Who may --------------------------------------------------------------------------------------------------------


def test_steps_are_for_workers(world: World, lot: Lot) -> None:
    assert Client().get(url_of(REWORK)).status_code == 302
    viewer = make_actor(world.walnuts.organisation, "viewer")
    assert signed(viewer).get(url_of(REWORK)).status_code == 403
    assert post(signed(viewer), url_of(REWORK), rework(world, lot)).status_code == 403
    assert signed(world.county).get(url_of(REWORK)).status_code == 404
    assert signed(world.county).get("/steps/").status_code == 404
    assert sign_in(Client(), world.consumer).get(url_of(REWORK)).status_code == 403
    assert signed(world.walnuts).get(url_of("no.such_step")).status_code == 404


def test_regulator_takes_samples_and_holds_lots_of_its_territory(world: World, lot: Lot) -> None:
    client = signed(world.county)
    hold = {
        "when_on": WHEN,
        "when_at": "09:00",
        "subjects-count": "1",
        "subjects-0-code": lot.public_code,
        "d_reason": "示例:监督抽查待结果",
        "hold_kind": "hold",
    }
    event = recorded(post(client, url_of("common.hold"), hold), "common.hold")
    assert event.organisation == world.county.organisation
    refused = post(signed(world.other_county), url_of("common.hold"), hold)
    assert errors_of(refused) == {"subjects-0-code": ["lot_not_found"]}


def test_operator_cannot_hold_or_release(world: World, lot: Lot, unchanged: None) -> None:
    worker = make_actor(world.walnuts.organisation, "operator")
    values = {"when_on": WHEN, "when_at": "09:00", "subjects-count": "1", "subjects-0-lot": str(lot.uid)}
    page = post(signed(worker), url_of("common.hold"), values | {"d_reason": "示例", "hold_kind": "hold"})
    assert (page.status_code, errors_of(page)) == (403, {"__all__": ["role_required"]})
    page = post(signed(worker), url_of("common.release"), values)
    assert (page.status_code, errors_of(page)) == (403, {"__all__": ["role_required"]})


def test_release_without_a_passing_report_needs_a_reason(world: World, lot: Lot) -> None:
    client = signed(world.walnuts_quality)
    values = {"when_on": WHEN, "when_at": "09:00", "subjects-count": "1", "subjects-0-lot": str(lot.uid)}
    page = post(client, url_of("common.release"), values)
    assert (page.status_code, errors_of(page)) == (409, {"release_reason": ["no_passing_report"]})
    recorded(
        post(client, url_of("common.release"), values | {"release_reason": "示例:按协议让步放行"}), "common.release"
    )
    lot.refresh_from_db()
    assert lot.released_by is not None
    assert Conflict.objects.get().details["reason"] == "示例:按协议让步放行"


def test_held_lot_is_refused_with_the_reason_of_the_hold(world: World, lot: Lot) -> None:
    place_hold(by=world.walnuts_quality, lots=[lot], reason="示例:黄曲霉待查", when=day(2))
    page = post(signed(world.walnuts), url_of(REWORK), rework(world, lot))
    assert (page.status_code, page.context["broken"].code) == (409, "lot_blocked")
    assert "示例:黄曲霉待查" in page.content.decode()


def test_uploads_of_others_are_not_taken_along(world: World, lot: Lot) -> None:
    stranger = StoredFile.objects.create(
        organisation=world.distillery.organisation, sha256="0" * 64, size=1, media_type="image/jpeg", name="示例.jpg"
    )
    page = post(signed(world.walnuts), url_of(REWORK), rework(world, lot, kept=[str(stranger.uid), "\x00"]))
    recorded(page, REWORK)
    stranger.refresh_from_db()
    assert stranger.event is None
