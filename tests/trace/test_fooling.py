"""A clever producer tries to get round the guards: by order of entry, by corrections, by units, by every way in."""

from __future__ import annotations

import datetime
import json
import sys
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labels.actions.runs import issue_codes
from tests.goods import amount, day, make_lot, passed, receive, released, ship, turn_into
from tests.trace.api_client import api_of, body
from tests.trace.door_client import document, door_of, lot_class
from tests.trace.door_client import event as door_event
from tests.trace.sheets import steps_file, upload
from tests.trace.test_field import entry, phone, send
from tests.trace.test_guards import blend, bottled, refused, spirit, step, vatted
from tests.world import GTIN, World, make_actor, make_organisation, make_place, make_product, sign_in
from trace.actions.capture import NewLot
from trace.actions.conflicts import answer_conflict
from trace.actions.corrections import declare_error
from trace.actions.events import Portion, When, record_event
from trace.actions.evidence import ResultEntry, answer_report, record_report, release_lot
from trace.actions.joins import answer_claim, claim_lot
from trace.actions.rebuild import rebuild
from trace.actions.registry import VersionInput, edit_product
from trace.actions.transfers import take_in
from trace.composition import indication_for
from trace.conflict_kinds import OTHER, kind_of
from trace.door.shaping import lot_uri
from trace.errors import GuardBroken, Invalid
from trace.genealogy import walk
from trace.identifiers import uuid7
from trace.lineage import claim_of
from trace.models import Conflict, Event, Lot, Product, ProductVersion, Shipment, TestReport

KINDS = {
    "not_enough_then": "amount",
    "produced_after_event": "time",
    "produced_before_parent": "time",
    "expires_before_made": "time",
    "expires_too_late": "time",
    "expires_after_source": "time",
    "made_of_itself": "time",
    "alcohol_unknown": "alcohol",
    "release_lost_report": "release",
    "failed_after_release": "release",
    "shipped_unreleased": "release",
    "ancestor_failed": "release",
    "walk_cut": "unseen",
    "more_after_release": "release",
    "own_limits_only": "release",
    "source_dropped": "origin",
}


def test_every_new_code_is_in_a_group_of_the_list_of_contradictions() -> None:
    assert {code: kind_of(code).key for code in KINDS} == KINDS
    assert OTHER.key not in KINDS.values()


# --- Amounts that were not there yet --------------------------------------------------------------------------------


@pytest.fixture
def two_deliveries(world: World) -> Lot:
    """Walnuts of a grower: the plant got 10 kg on the sixth day of the season and 40 kg more on the tenth."""
    make_product(world.walnuts.organisation, "RAW", "示例干核桃", kind="raw")
    lot = make_lot(world.grower, world.fresh_walnuts, "100", place=world.plot)
    for number, text in ((4, "10"), (8, "40")):
        slip = ship(world.grower, world.walnuts.organisation, lot, text, when=day(number))
        receive(world.walnuts, slip, when=day(number + 2), place=world.plant)
    return lot


def dried(world: World, lot: Lot, text: str, when: When) -> list[Lot]:
    product = Product.objects.get(code="RAW")
    return step(world, "common.process", [(lot, text)], [(product, "1")], when=when, by=world.walnuts, process="烘干")


def test_more_than_had_arrived_by_then_is_refused_and_names_the_later_arrival(
    world: World, two_deliveries: Lot
) -> None:
    lot = two_deliveries
    later = Event.objects.filter(organisation=world.walnuts.organisation, template="common.receive").latest("id")
    with pytest.raises(GuardBroken) as error:
        dried(world, lot, "11", day(7))
    (guard,) = error.value.broken
    assert (guard.code, str(guard.details["other_event"])) == ("not_enough_then", str(later.uid))
    assert "10 千克" in guard.message
    dried(world, lot, "11", day(11))
    # Ten were there on the seventh, and 39 are left today; of what left on the eleventh nothing may be missing.
    dried(world, lot, "10", day(7))
    assert "not_enough_then" in refused(lambda: dried(world, lot, "0.000001", day(7)))
    assert refused(lambda: dried(world, lot, "1", day(5))) == ["before_arrival"]
    declare_error(by=world.walnuts, event=later, reason="did_not_occur", when=day(12))
    assert Conflict.objects.get(code="below_zero").lot == lot


def test_each_way_in_meets_the_same_guard(world: World, two_deliveries: Lot) -> None:
    lot, product = two_deliveries, Product.objects.get(code="RAW")
    before = Event.objects.count()
    sent = {
        "template": "common.process",
        "occurred_at": day(7).at.isoformat(),
        "inputs": [{"lot": str(lot.uid), "amount": {"value": "11", "unit": "KGM"}}],
        "outputs": [{"product": str(product.uid), "amount": {"value": "1", "unit": "KGM"}}],
        "data": {"process": "烘干"},
    }
    problem = api_of(world.walnuts).post("/events", sent)
    assert (problem.status_code, body(problem)["code"]) == (409, "not_enough_then"), problem.content
    day_of, place = day(7).at.date().isoformat(), world.plant
    fields = {
        "when_on": day_of, "when_at": "09:30", "place": place.uid, "d_process": "烘干",
        "inputs-count": "1", "inputs-0-lot": f"{lot.uid}@{place.uid}", "inputs-0-amount": "11", "inputs-0-unit": "KGM",
        "outputs-count": "1", "outputs-0-product": product.uid, "outputs-0-amount": "1", "outputs-0-unit": "KGM",
    }  # fmt: skip
    page = sign_in(Client(), world.walnuts).post(
        reverse("trace:step_form", args=["common.process"]), {key: str(value) for key, value in fields.items()}
    )
    assert (page.status_code, page.context["seen"]) == (409, "not_enough_then")
    (answer,) = send(*phone(world.walnuts), entry("common.process", fields))
    assert (answer["state"], "才又入了" in json.dumps(answer, ensure_ascii=False)) == ("needs", True), answer
    rows = [
        {"when_on": on, "inputs-*-lot": lot.lot_code, "inputs-*-amount": text, "outputs-*-product": "RAW",
         "outputs-*-amount": "0.1", "place": place.name}
        for on, text in (("2026-10-02", "35"), (day_of, "10"), (day_of, "0.5"))
    ]  # fmt: skip
    row = upload(world.walnuts, "steps", steps_file("common.process", rows), step="common.process")
    assert [(issue["row"], issue["code"]) for issue in row.issues] == [(4, "not_enough_then")], row.issues
    assert Event.objects.count() == before


# --- Order in time --------------------------------------------------------------------------------------------------


def test_a_lot_is_not_made_of_what_was_made_of_it(world: World) -> None:
    base = spirit(world)
    first = make_lot(world.distillery, base, "100")
    (second,) = turn_into(world.distillery, [(first, "100")], [(base, "100")], when=day(1))
    (third,) = turn_into(world.distillery, [(second, "100")], [(base, "100")], when=day(1))
    declare_error(by=world.distillery, event=second.origin_event, reason="incorrect_data", when=day(2))

    def again(insist: bool) -> Event:
        return record_event(
            by=world.distillery,
            code="common.rework",
            when=day(1),
            data={"reason": "示例", "method": "示例"},
            inputs=[Portion(third, amount("100", base))],
            outputs=[NewLot(product=base, amount=amount("100", base), restates=second)],
            replaces=second.origin_event,
            insist=insist,
        ).event

    assert refused(lambda: again(insist=False)) == ["made_of_itself"]
    conflict = again(insist=True).conflicts.get()
    assert (conflict.lot, conflict.details["other_lot"]) == (second, str(third.uid))


def test_spirit_is_not_older_than_what_went_into_the_vat(world: World) -> None:
    base = spirit(world)
    vat = make_place(world.distillery.organisation, kind="vessel")
    (raw,) = step(
        world, "baijiu.vat", [(make_lot(world.distillery, base, "100"), "100")], [(base, "100")], when=day(1),
        vessel=str(vat.uid), entry_date="2026-09-21", abv="65",
    )  # fmt: skip

    def enter(entry_date: str) -> list[Lot]:
        data: dict[str, Any] = {"vessel": str(vat.uid), "entry_date": entry_date, "abv": "65"}
        return step(world, "baijiu.vat", [(raw, "10")], [(base, "10")], when=day(5), **data)

    assert refused(lambda: enter("2015-01-01")) == ["produced_before_parent"]
    assert refused(lambda: enter("2026-09-26")) == ["produced_after_event"]
    assert not enter("2026-09-21")[0].origin_event.flags


def test_production_dates_of_tomorrow_are_refused_and_zones_that_do_not_exist(world: World) -> None:
    assert refused(lambda: make_lot(world.walnuts, world.kernels, produced_on=datetime.date(2026, 9, 21))) == [
        "produced_after_event"
    ]
    shifted = datetime.timezone(datetime.timedelta(hours=-23, minutes=-59))
    at = day(0).at.astimezone(shifted)
    with pytest.raises(Invalid) as error:
        make_lot(world.walnuts, world.kernels, when=When(at, -1439, "day"))
    assert error.value.code == "no_such_zone"
    sent = {
        "template": "common.opening", "occurred_at": at.isoformat(), "precision": "day", "data": {"basis": "示例"},
        "outputs": [{"product": str(world.kernels.uid), "amount": {"value": "1", "unit": "KGM"}}],
    }  # fmt: skip
    answer = api_of(world.walnuts).post("/events", sent)
    assert (answer.status_code, body(answer)["code"]) == (422, "no_such_zone"), answer.content


def test_no_lot_keeps_longer_than_its_product(world: World) -> None:
    made, nuts = datetime.date(2026, 9, 20), world.kernels  # keeps for 240 days

    def opened(days: int, produced_on: datetime.date | None = made, *, insist: bool = False) -> Event:
        new = NewLot(
            product=nuts, amount=amount("1", nuts), produced_on=produced_on,
            expires_on=made + datetime.timedelta(days=days),
        )  # fmt: skip
        return record_event(
            by=world.walnuts, code="common.opening", when=day(0), data={"basis": "示例"}, outputs=[new], insist=insist
        ).event

    # Eight months counted as 30 days each may be eight days longer by the calendar, and no more.
    assert not opened(240).flags
    assert not opened(248).flags
    assert refused(lambda: opened(365)) == ["expires_too_late"]
    assert refused(lambda: opened(400, None)) == ["expires_too_late"], "counted from the step without a day"
    old = NewLot(product=nuts, amount=amount("1", nuts), expires_on=made - datetime.timedelta(days=1))
    rework = lambda: record_event(  # noqa: E731
        by=world.walnuts, code="common.rework", when=day(1), data={"reason": "示例", "method": "示例"},
        inputs=[Portion(Lot.objects.latest("id"), amount("1", nuts))], outputs=[old],
    )  # fmt: skip
    assert refused(rework) == ["expires_before_made"]
    assert [row.code for row in opened(365, insist=True).conflicts.all()] == ["expires_too_late"]
    sent = {
        "template": "common.opening", "occurred_at": day(0).at.isoformat(), "data": {"basis": "示例"},
        "outputs": [{"product": str(nuts.uid), "amount": {"value": "1", "unit": "KGM"},
                     "produced_on": "2026-09-20", "expires_on": "2028-09-20"}],
    }  # fmt: skip
    answer = api_of(world.walnuts).post("/events", sent)
    assert (answer.status_code, body(answer)["code"]) == (409, "expires_too_late"), answer.content
    rows = [
        {"when_on": "2026-09-21", "place": world.plant.name, "outputs-*-product": code,
         "outputs-*-amount": text, "d_basis": "示例", "d_production_date": "2026-09-20", "d_best_before": ends}
        for code, text, ends in ((nuts.code, "1", "2027-05-18"), (nuts.code, "1", "2027-12-31"), ("没有", "-5", ""))
    ]  # fmt: skip
    row = upload(world.walnuts, "steps", steps_file("common.opening", rows), step="common.opening")
    codes = {(issue["row"], issue["code"]) for issue in row.issues}
    assert {(3, "expires_too_late"), (4, "amount_negative")} <= codes, row.issues


def test_a_longer_shelf_life_said_later_does_not_reach_a_lot_stated_again(world: World) -> None:
    made, nuts, ends = datetime.date(2026, 9, 20), world.kernels, datetime.date(2027, 5, 18)

    def opened(text: str, expires_on: datetime.date | None = None, **again: Any) -> Lot:
        lot = again.pop("restates", None)
        new = NewLot(product=nuts, amount=amount(text, nuts), produced_on=made, expires_on=expires_on, restates=lot)
        data = {"basis": "示例"}
        return record_event(
            by=world.walnuts, code="common.opening", when=day(0), data=data, outputs=[new], **again
        ).lots[0]

    lot = opened("10")
    assert lot.expires_on == ends
    old = nuts.current
    assert old is not None
    nuts.current = ProductVersion.objects.create(product=nuts, number=2, name=old.name, shelf_life_days=365)
    nuts.save(update_fields=["current"])
    declare_error(by=world.walnuts, event=lot.origin_event, reason="incorrect_data", when=day(1))
    lot.refresh_from_db()
    late = made + datetime.timedelta(days=365)
    assert refused(lambda: opened("12", late, restates=lot, replaces=lot.origin_event)) == ["expires_too_late"]
    assert opened("12", restates=lot, replaces=lot.origin_event).expires_on == ends


def test_goods_get_no_younger_by_dividing_joining_and_packing_anew(world: World) -> None:
    nuts, days = world.kernels, [datetime.date(2026, 9, number) for number in (1, 11)]
    old, new = (
        make_lot(world.walnuts, nuts, "50", lot_code=f"A-{made.day}", produced_on=made) for made in days
    )  # fmt: skip
    assert old.expires_on == days[0] + datetime.timedelta(days=240)
    (part,) = step(world, "common.split", [(old, "5")], [(nuts, "5")], by=world.walnuts, reason="示例")
    (both,) = step(world, "common.merge", [(new, "5"), (old, "5")], [(nuts, "10")], by=world.walnuts, reason="示例")
    (bags,) = step(
        world, "common.repack", [(new, "5")], [(nuts, "5")], by=world.walnuts, packaging="示例", reason="示例"
    )
    for lot, first in ((part, old), (both, old), (bags, new)):
        lot.refresh_from_db()
        assert (lot.produced_on, lot.expires_on) == (first.produced_on, first.expires_on)
        assert not lot.origin_event.flags

    def again(ends: str) -> list[Lot]:
        return step(
            world, "common.repack", [(old, "5")], [(nuts, "5")], by=world.walnuts, packaging="示例", best_before=ends
        )

    assert refused(lambda: again("2027-05-10")) == ["expires_after_source"]
    assert not again("2027-04-29")[0].origin_event.flags
    (reworked,) = turn_into(world.walnuts, [(new, "5")], [(nuts, "5")])
    assert reworked.expires_on == new.expires_on


# --- Mass -----------------------------------------------------------------------------------------------------------


def test_pieces_do_not_multiply_beside_another_product(world: World) -> None:
    bottle = make_product(world.distillery.organisation, "P1", "示例礼盒", base_unit="C62")
    gift = make_product(world.distillery.organisation, "P2", "示例赠品", base_unit="C62")
    lot = make_lot(world.distillery, bottle, "10")
    work = lambda: turn_into(world.distillery, [(lot, "10")], [(bottle, "100"), (gift, "1")])  # noqa: E731
    assert refused(work) == ["more_out_than_in"]


def test_goods_gain_no_weight_by_being_counted_in_pieces_between(world: World) -> None:
    owner = world.walnuts.organisation
    piece, box = (make_product(owner, code, f"示例{code}", base_unit="C62") for code in ("P1", "P2"))
    raw = make_lot(world.walnuts, world.kernels, "20")
    with CaptureQueriesContext(connection) as first:
        (pieces,) = turn_into(world.walnuts, [(raw, "10")], [(piece, "1000")])

    def work(lot: Lot, much: str, made: str) -> list[Lot]:
        return turn_into(world.walnuts, [(lot, much)], [(world.kernels, made)])

    with pytest.raises(GuardBroken) as error:
        work(pieces, "1000", "900")
    (guard,) = error.value.broken
    assert guard.code == "more_out_than_in"
    assert raw.code in guard.message, "the sentence names the lot that was weighed last"
    assert guard.details["other_lot"] == raw.uid
    # Half of them hold half and half as much again at most, through parts, other pieces and packs, too; what is
    # possible says nothing.
    assert refused(lambda: work(pieces, "200", "3.1")) == ["more_out_than_in"]
    (half,) = step(world, "common.split", [(pieces, "400")], [(piece, "400")], by=world.walnuts, reason="示例")
    (boxes,) = turn_into(world.walnuts, [(half, "400")], [(box, "8")])
    assert refused(lambda: work(boxes, "8", "6.1")) == ["more_out_than_in"]
    with CaptureQueriesContext(connection) as deep:
        (back,) = work(boxes, "8", "4")
    assert not back.origin_event.flags
    (heavy,) = work(pieces, "100", "1.1")
    uneven = heavy.origin_event.conflicts.get()
    assert (uneven.code, uneven.details["warns"]) == ("more_out_than_in", True)
    assert "均摊" in uneven.sentence
    assert len(deep) - len(first) <= 12, "three queries a step back"
    # Reported all the same, it is recorded and flagged, and the flag names the lot.
    (odd,) = turn_into(world.walnuts, [(pieces, "500")], [(world.kernels, "540")], insist=True)
    conflict = odd.origin_event.conflicts.get()
    assert (conflict.code, "warns" in conflict.details) == ("more_out_than_in", False)
    assert conflict.details["other_lot"] == str(raw.uid)


def test_a_correction_leaves_no_more_goods_than_it_states(world: World) -> None:
    piece = make_product(world.walnuts.organisation, "P1", "示例件", base_unit="C62")
    raw = make_lot(world.walnuts, world.kernels, "900")
    (pieces,) = turn_into(world.walnuts, [(raw, "900")], [(piece, "1000")])
    (half,) = step(world, "common.split", [(pieces, "500")], [(piece, "500")], by=world.walnuts, reason="示例")
    (back,) = turn_into(world.walnuts, [(half, "500")], [(world.kernels, "440")], when=day(2))
    declare_error(by=world.walnuts, event=pieces.origin_event, reason="incorrect_data", when=day(4))

    def again(text: str, insist: bool = False) -> Event:
        return record_event(
            by=world.walnuts,
            code="common.rework",
            when=day(1),
            data={"reason": "示例", "method": "示例"},
            inputs=[Portion(raw, amount(text, world.kernels))],
            outputs=[NewLot(product=piece, amount=amount("1000", piece), restates=pieces)],
            replaces=pieces.origin_event,
            insist=insist,
        ).event

    with pytest.raises(GuardBroken) as error:
        again("10")
    assert (error.value.code, error.value.broken[0].details) == ("more_out_than_in", {"other_lot": back.uid})
    assert back.code in error.value.message
    assert [row.code for row in again("10", insist=True).conflicts.all()] == ["more_out_than_in"]
    event = Lot.objects.get(pk=pieces.pk).origin_event
    declare_error(by=world.walnuts, event=event, reason="incorrect_data", when=day(4))
    pieces.refresh_from_db()
    assert not again("890").conflicts.exists()


def test_a_correction_is_not_blamed_for_what_others_weighed_wrongly(world: World) -> None:
    """Neither for goods that are counted as they are, nor for what had been too much before."""
    fruit = make_product(world.walnuts.organisation, "P1", "示例果")
    piece = make_product(world.walnuts.organisation, "P2", "示例件", base_unit="C62")
    raw = make_lot(world.walnuts, world.kernels, "900")
    for product, text in ((fruit, "5"), (piece, "50")):
        (made,) = turn_into(world.walnuts, [(raw, "5")], [(product, text)])
        turn_into(world.walnuts, [(made, text)], [(world.kernels, "60")], insist=True, when=day(2))
        declare_error(by=world.walnuts, event=made.origin_event, reason="incorrect_data", when=day(4))
        event = record_event(
            by=world.walnuts,
            code="common.rework",
            when=day(1, 9),
            data={"reason": "示例", "method": "示例"},
            inputs=[Portion(raw, amount("6", world.kernels))],
            outputs=[NewLot(product=product, amount=amount(text, product), restates=made)],
            replaces=made.origin_event,
        ).event
        assert not event.conflicts.exists(), product


def test_pieces_that_share_a_step_with_other_pieces_warn_within_what_went_in(world: World) -> None:
    owner = world.walnuts.organisation
    big, small = (make_product(owner, code, f"示例{code}", base_unit="C62") for code in ("P1", "P2"))
    raw = make_lot(world.walnuts, world.kernels, "20")
    some, _rest = turn_into(world.walnuts, [(raw, "10")], [(big, "10"), (small, "1000")])
    assert refused(lambda: turn_into(world.walnuts, [(some, "10")], [(world.kernels, "10.1")])) == ["more_out_than_in"]
    (made,) = turn_into(world.walnuts, [(some, "10")], [(world.kernels, "9")])
    assert made.origin_event.conflicts.get().details["warns"] is True


def test_a_net_content_changed_between_makes_no_goods(world: World) -> None:
    owner = world.walnuts.organisation
    bag = make_product(owner, "P1", "示例袋装", base_unit="C62", net_content="10 g")
    raw = make_lot(world.walnuts, world.kernels, "20")
    (bags,) = turn_into(world.walnuts, [(raw, "10")], [(bag, "1000")])
    edit_product(row=bag, version=VersionInput(name="示例袋装", net_content="900 g"), by=world.walnuts)
    bag = Product.objects.get(pk=bag.pk)
    work = lambda: step(world, "common.split", [(bags, "1000")], [(bag, "1000")], by=world.walnuts, reason="示例")  # noqa: E731
    assert refused(work) == ["more_out_than_in"]


def test_packaging_alone_becomes_no_goods(world: World) -> None:
    bags = make_product(world.walnuts.organisation, "DAI", "示例包装袋", base_unit="C62", kind="packaging")
    lot = make_lot(world.walnuts, bags, "100")
    assert refused(lambda: turn_into(world.walnuts, [(lot, "100")], [(world.kernels, "20")])) == ["more_out_than_in"]


def test_litres_do_not_become_more_kilograms_than_any_liquid_weighs(world: World) -> None:
    base, paste = spirit(world), make_product(world.distillery.organisation, "GAO", "示例膏")
    lot = make_lot(world.distillery, base, "100")
    assert refused(lambda: turn_into(world.distillery, [(lot, "10")], [(paste, "16")])) == ["more_out_than_in"]
    (made,) = turn_into(world.distillery, [(lot, "10")], [(paste, "12")])
    bought = make_lot(world.distillery, paste, "10")
    assert refused(lambda: turn_into(world.distillery, [(bought, "10")], [(base, "13")])) == ["more_out_than_in"]
    turn_into(world.distillery, [(bought, "10")], [(base, "12")])
    # Nor do they gain by going to and fro: twelve kilograms of ten litres are ten litres again.
    assert refused(lambda: turn_into(world.distillery, [(made, "12")], [(base, "11")])) == ["more_out_than_in"]
    turn_into(world.distillery, [(made, "12")], [(base, "10")])


def test_a_carton_is_what_it_was_when_the_lot_was_made(world: World) -> None:
    lot = released(world.distillery, world.distillery_quality, make_lot(world.distillery, world.baijiu, "60"))
    now = ProductVersion.objects.get(product=world.baijiu)
    now.pk, now.uid, now.number, now.packs = None, uuid7(), now.number + 1, {"瓶": "1/2", "箱": "6"}
    now.save()
    Product.objects.filter(pk=world.baijiu.pk).update(current=now)
    answer = api_of(world.distillery).post(
        "/shipments",
        {
            "receiver": str(world.shop.organisation.uid),
            "occurred_at": day(3).at.isoformat(),
            "lots": [{"lot": str(lot.uid), "amount": {"value": "2", "unit": "箱"}}],
        },
    )
    assert answer.status_code == 201, answer.content
    assert Shipment.objects.get().transfers.get().sent_micros == 6_000_000, "two cartons of six half-litre bottles"


# --- Alcohol --------------------------------------------------------------------------------------------------------


def test_a_stock_take_does_not_make_spirit_stronger(world: World) -> None:
    jar = vatted(world, spirit(world), "1000", "65")

    def look(abv: str) -> Event:
        return record_event(
            by=world.distillery,
            code="baijiu.age",
            when=day(2),
            subjects=[Portion(jar, amount("1000", jar.product))],
            data={"abv": abv},
        ).event

    assert refused(lambda: look("72")) == ["abv_contradicts"]
    assert not look("64.2").flags
    stronger = [ResultEntry("abv", "酒精度", "70", unit="%vol")]
    report = record_report(
        by=world.distillery, lot=jar, report_number="示例-9", issued_on=day(3).at.date(), results=stronger,
        when=day(3), laboratory_name="示例检测技术服务有限公司",
    )  # fmt: skip
    assert [row.code for row in report.event.conflicts.all()] == ["abv_contradicts"]


def test_bottles_poured_back_bring_what_they_hold(world: World) -> None:
    base = spirit(world)
    glass = make_product(
        world.distillery.organisation, "KP", "示例空瓶", base_unit="C62", kind="raw", net_content="500 mL"
    )
    bottles = make_lot(world.distillery, bottled(world), "10")
    empty = make_lot(world.distillery, glass, "3000")

    def pour(litres: str, abv: str, *more: tuple[Lot, str]) -> list[Lot]:
        inputs = [(bottles, "2"), *more]
        return blend(world, inputs, (base, litres, abv), typed={bottles: ("1", "53")})

    assert refused(lambda: pour("1000", "60")) == ["undeclared_alcohol"]
    assert refused(lambda: pour("1000", "60", (empty, "2000"))) == ["undeclared_alcohol"]
    assert not pour("1", "53")[0].origin_event.flags


def test_jars_bought_without_a_recorded_strength_may_be_bottled(world: World) -> None:
    jars = make_product(
        world.distillery.organisation, "TJ", "示例坛装原酒", base_unit="C62", kind="raw", net_content="20 L"
    )
    line = make_place(world.distillery.organisation, kind="line")

    def bottle(*inputs: tuple[Lot, str], count: str = "400") -> list[Lot]:
        return step(
            world, "baijiu.bottle", list(inputs), [(bottled(world, code=f"P{count}"), count)], when=day(2),
            line=str(line.uid), production_date=day(2).at.date().isoformat(), batch_no=f"TJ-{count}",
            net_content="500", label_abv="52", standard="gbt10781_2_2022",
        )  # fmt: skip

    bought = make_lot(world.distillery, jars, "20", when=day(0))
    assert [flag["code"] for flag in bottle((bought, "10"))[0].origin_event.flags] == []
    known = vatted(world, spirit(world), "100", "52")
    assert refused(lambda: bottle((bought, "5"), (known, "100"), count="399")) == ["undeclared_alcohol"]


def test_jars_that_were_not_quite_full_are_listed_with_what_was_poured(world: World) -> None:
    base = spirit(world)
    jars = make_product(
        world.distillery.organisation, "TJ", "示例坛装原酒", base_unit="C62", kind="intermediate", net_content="20 L"
    )
    full = make_lot(world.distillery, jars, "50")

    def pour(litres: str, out: str) -> list[Lot]:
        return blend(world, [(full, "6")], (base, out, "60"), typed={full: (litres, "60")})

    assert not pour("118.5", "118.5")[0].origin_event.flags
    assert refused(lambda: pour("110", "118.5")) == ["undeclared_alcohol"]
    with pytest.raises(GuardBroken) as error:
        pour("121", "120")
    assert [guard.code for guard in error.value.broken] == ["parts_differ"]
    assert "121 升，投入的却是 120 升" in error.value.message


def test_a_first_strength_says_nothing_against_jars_of_unknown_size(world: World) -> None:
    base = spirit(world)
    jar = make_product(world.distillery.organisation, "TJ", "示例坛", base_unit="C62", kind="intermediate")
    vat = vatted(world, base, "200", "52")
    (jars,) = step(world, "common.process", [(vat, "200")], [(jar, "10")], when=day(1), process="示例分坛")
    (whole,) = step(world, "common.process", [(jars, "10")], [(base, "200")], when=day(2), process="示例合坛")
    other = vatted(world, base, "100", "60")
    (part,) = step(world, "common.process", [(other, "40")], [(base, "40")], when=day(1), process="示例分装")

    def age(lot: Lot, litres: str, abv: str, number: int) -> Event:
        data = {"volume": litres, "loss_pct": "0", "abv": abv}
        subject = [Portion(lot, amount(litres, base))]
        return record_event(by=world.distillery, code="baijiu.age", when=day(number), data=data, subjects=subject).event

    assert not age(whole, "200", "52", 3).flags
    # Weaker in the vat later on, and so no less when it was poured.
    assert not age(other, "60", "55", 3).flags
    assert refused(lambda: age(part, "40", "65", 4)) == ["abv_contradicts"]
    assert not age(part, "40", "60", 4).flags


def test_a_first_strength_is_no_higher_than_what_went_in(world: World) -> None:
    base = spirit(world)
    weak = vatted(world, base, "1000", "20")
    (merged,) = step(world, "common.merge", [(weak, "100")], [(base, "100")], when=day(2), reason="示例")
    (boiled,) = step(world, "common.process", [(weak, "100")], [(base, "40")], when=day(2), process="示例蒸馏")

    def age(lot: Lot, abv: str) -> Event:
        data = {"volume": "100", "loss_pct": "0", "abv": abv}
        subject = [Portion(lot, amount("100", base))]
        return record_event(by=world.distillery, code="baijiu.age", when=day(3), data=data, subjects=subject).event

    with pytest.raises(GuardBroken) as error:
        age(merged, "60")
    assert (error.value.code, error.value.broken[0].details) == ("abv_contradicts", {"other_lot": weak.uid})
    assert weak.code in error.value.message
    assert refused(lambda: age(boiled, "60")) == ["abv_contradicts"]
    assert not age(merged, "20").flags
    assert not age(boiled, "49").flags


def test_spirit_counted_in_kilograms_is_said_to_be_unbalanced(world: World) -> None:
    heavy = make_product(
        world.distillery.organisation, "JJK", "示例基酒（千克）", kind="intermediate", family="baijiu_light_aroma"
    )
    jar = vatted(world, spirit(world), "1000", "65")
    (made,) = step(
        world, "baijiu.blend", [(jar, "100")], [(heavy, "90")], when=day(3),
        parts=[{"lot": str(jar.uid), "litres": "100", "abv": "65"}], output_abv="65",
    )  # fmt: skip
    assert [row.code for row in made.origin_event.conflicts.all()] == ["alcohol_unknown"]


def test_a_still_gives_no_more_alcohol_than_the_mash_had_starch(world: World) -> None:
    mash = make_product(world.distillery.organisation, "PEI", "示例酒醅", kind="intermediate")
    lot, base = make_lot(world.distillery, mash, "1000"), spirit(world)

    def distil(litres: str) -> list[Lot]:
        return step(
            world, "baijiu.distil_2", [(lot, "100")], [(base, litres)], facts={"abv": "65", "grade": "优级"},
            ferment_days=28,
        )  # fmt: skip

    assert refused(lambda: distil("120")) == ["undeclared_alcohol"]
    assert not distil("60")[0].origin_event.flags


# --- What may not be inside, and where it grew ----------------------------------------------------------------------


def test_forbidden_material_is_found_through_every_door_and_after_a_join(world: World) -> None:
    owner = world.distillery.organisation
    bad = make_product(owner, "SJ", "示例食用 酒精", base_unit="LTR", kind="raw")
    fine = make_product(owner, "QX", "示例清香酒", base_unit="LTR", standard="gbt10781_2_2022")
    alcohol = make_lot(world.distillery, bad, "100", lot_code="SJ-1")
    (hidden,) = step(world, "common.process", [(alcohol, "50")], [(spirit(world), "50")], process="示例")
    place = make_place(owner, kind="plant")
    fields = {
        "when_on": "2026-09-22", "when_at": "09:30", "place": place.uid, "d_process": "示例",
        "inputs-count": "1", "inputs-0-code": hidden.lot_code, "inputs-0-amount": "1", "inputs-0-unit": "LTR",
        "outputs-count": "1", "outputs-0-product": fine.uid, "outputs-0-amount": "1", "outputs-0-unit": "LTR",
    }  # fmt: skip
    sent = {
        "template": "common.process", "occurred_at": day(2).at.isoformat(), "data": {"process": "示例"},
        "inputs": [{"lot": str(hidden.uid), "amount": {"value": "1", "unit": "LTR"}}],
        "outputs": [{"product": str(fine.uid), "amount": {"value": "1", "unit": "LTR"}}],
    }  # fmt: skip
    problem = api_of(world.distillery).post("/events", sent)
    assert (problem.status_code, body(problem)["code"]) == (409, "forbidden_ancestor"), problem.content
    page = sign_in(Client(), world.distillery).post(
        reverse("trace:step_form", args=["common.process"]), {key: str(value) for key, value in fields.items()}
    )
    assert (page.status_code, page.context["seen"]) == (409, "forbidden_ancestor")
    (answer,) = send(*phone(world.distillery), entry("common.process", fields))
    assert (answer["state"], "食用酒精" in json.dumps(answer, ensure_ascii=False)) == ("needs", True), answer
    row = {"when_on": "2026-09-22", "inputs-*-lot": hidden.lot_code, "inputs-*-amount": "1", "place": place.name,
           "outputs-*-product": "QX", "outputs-*-amount": "1", "d_process": "示例"}  # fmt: skip
    sheet = upload(world.distillery, "steps", steps_file("common.process", [row]), step="common.process")
    assert [issue["code"] for issue in sheet.issues] == ["forbidden_ancestor"], sheet.issues
    told = door_event(
        "TransformationEvent",
        inputQuantityList=[{"epcClass": lot_uri(hidden), "quantity": 1, "uom": "LTR"}],
        outputQuantityList=[{"epcClass": lot_class(GTIN, "EPC-1"), "quantity": 1, "uom": "LTR"}],
    )
    door_of(owner).captured(document(told))
    conflict = Conflict.objects.get(code="forbidden_ancestor")
    assert conflict.event == Lot.objects.get(lot_code="EPC-1").origin_event

    # Bought as a supplier's innocent spirit, bottled, and only then joined to the lot it really is.
    buyer = make_actor(make_organisation("示例勾调厂", "producer"), "owner")
    base, labelled = (
        make_product(buyer.organisation, code, name, base_unit="LTR", **more)
        for code, name, more in (("JJ", "示例外购原酒", {"kind": "raw"}),
                                 ("PJ", "示例瓶装酒", {"standard": "gbt10781_2_2022"}))
    )  # fmt: skip
    bought = take_in(
        by=buyer, supplier=owner, product=base, supplier_lot=hidden.lot_code, amount=amount("9", base), when=day(3),
        data={"inspection_result": "合格"},
    ).lots[0]  # fmt: skip

    def fill(litres: str) -> list[Lot]:
        lots = [(bought, litres)]
        return step(world, "common.process", lots, [(labelled, litres)], by=buyer, when=day(4), process="灌装")

    (bottles,) = fill("5")
    assert not bottles.origin_event.flags
    claim = claim_lot(by=buyer, external=bought, code=hidden.lot_code)
    answer_claim(by=world.distillery, claim=claim, confirm=True)
    assert Conflict.objects.filter(code="forbidden_ancestor", lot=bottles).exists()
    assert refused(lambda: fill("1")) == ["forbidden_ancestor"]


def test_a_standard_cited_after_the_goods_were_made_flags_what_it_forbids(world: World) -> None:
    """Made without a standard, so nothing was refused; then the product is edited to cite GB/T 10781.2."""
    by = world.distillery
    bad = make_product(by.organisation, "SJ", "示例食用酒精", base_unit="LTR", kind="raw")
    late = make_product(by.organisation, "QX", "示例清香酒", base_unit="LTR")
    clean = spirit(world)
    alcohol = make_lot(by, bad, "100", lot_code="SJ-1")
    (hidden,) = step(world, "common.process", [(alcohol, "50")], [(clean, "50")], process="示例")
    (mixed,) = step(world, "common.process", [(hidden, "20")], [(late, "20")], when=day(2), process="示例")
    fine = make_lot(by, late, "20", lot_code="QX-2")
    assert not Conflict.objects.filter(code="forbidden_ancestor").exists()
    made = late.versions.get()
    client = sign_in(Client(), by)
    url = reverse("trace:product_edit", args=[late.uid])
    sent = {key: value or "" for key, value in client.get(url).context["form"].initial.items()}
    sent |= {"standard": "gbt10781_2_2022", "seen": 1}
    answer = client.post(url, sent)
    assert answer.status_code == 302, answer.context["form"].errors
    assert "1 个已登记的批次与声明的标准或产地不符" in client.get(answer.headers["Location"]).content.decode()
    assert client.post(url, sent).status_code in (409, 422), "sent twice"
    late.refresh_from_db()
    assert late.current is not None
    assert late.current.standard_id == "gbt10781_2_2022"
    (found,) = Conflict.objects.filter(code="forbidden_ancestor")
    assert (found.lot, found.event) == (mixed, mixed.origin_event)
    assert found.lot != fine
    assert "食用酒精" in str(found.details)
    assert "GB/T 10781.2" in str(found.details)
    # The lot keeps the version it was made under, so its label does not name the standard.
    mixed.refresh_from_db()
    assert mixed.product_version == made
    assert made.standard_id is None
    # What is made now is refused as before.
    assert refused(
        lambda: step(world, "common.process", [(hidden, "1")], [(late, "1")], when=day(3), process="示例")
    ) == ["forbidden_ancestor"]


@pytest.mark.parametrize(
    "more",
    [
        {"gi_claim": "汾 州核桃"},
        {"name": "示例汾州·核桃仁"},
        {"name_en": "Fenzhou Walnut kernels"},
        {"brand": "汾州核桃"},
    ],
)
def test_who_names_goods_after_an_origin_claims_it(world: World, more: dict[str, str]) -> None:
    raw = make_product(world.walnuts.organisation, "QP", "示例核桃", family="walnut_fenzhou", kind="raw")
    far = make_place(world.walnuts.organisation, kind="plot", division="650000")
    lot = make_lot(world.walnuts, raw, "10", place=far)
    (part,) = step(world, "common.split", [(lot, "5")], [(raw, "5")], by=world.walnuts, reason="示例")
    named = make_product(world.walnuts.organisation, "HT", **{"name": "示例核桃", "family": "walnut_fenzhou", **more})
    assert refused(lambda: turn_into(world.walnuts, [(part, "5")], [(named, "4")])) == ["gi_foreign"]


def test_a_name_like_a_protected_one_warns_and_stops_no_label(world: World) -> None:
    raw = make_product(world.walnuts.organisation, "QP", "示例核桃", family="walnut_fenzhou", kind="raw")
    far = make_place(world.walnuts.organisation, kind="plot", division="650000")
    lot = make_lot(world.walnuts, raw, "10", place=far)
    names: tuple[dict[str, str], ...] = (
        {"name": "汾阳核桃（示例）"},
        {"gi_claim": "汾洲核桃"},
        {"brand": "汾州绵核桃"},
        {"name_en": "Fenyang paper-shell walnuts"},
    )
    for number, more in enumerate(names):
        fields = {"name": "示例核桃", "family": "walnut_fenzhou", **more}
        named = make_product(world.walnuts.organisation, f"HT{number}", **fields)
        (made,) = turn_into(world.walnuts, [(lot, "1")], [(named, "1")])
        (flag,) = made.origin_event.flags
        assert flag["code"] == "gi_unproven"
        assert "未经核对" in flag["detail"]
        assert "新疆" in flag["detail"]
        assert issue_codes(by=world.walnuts, lot=made, count=1, key=f"like-{number}").count == 1


def test_edible_alcohol_is_found_under_another_name(world: World) -> None:
    by, good = world.distillery, spirit(world, "QX")
    strict = make_product(by.organisation, "GB", "示例清香酒", base_unit="LTR", standard="gbt10781_2_2022")

    def made_of(product: Product) -> list[str]:
        lot = make_lot(by, product, "10")
        return refused(lambda: step(world, "common.process", [(lot, "1")], [(strict, "1")], process="示例"))

    names = (
        "示例酒精",
        "示例优级 酒精",
        "示例无水乙醇",
        "EDIBLE  Alcohol",
        "Grain ethanol",
        "Sucralose",
        "示例食用酒精",
    )
    for name in names:
        bought = make_product(by.organisation, f"N{Product.objects.count()}", name, base_unit="LTR", kind="raw")
        assert made_of(bought) == ["forbidden_ancestor"], name
    # Renamed to something harmless, bought again under the new name.
    edit_product(row=bought, version=VersionInput(name="示例基酒料"), by=by)
    bought.refresh_from_db()
    assert made_of(bought) == ["forbidden_ancestor"]
    # A strength and a thing said not to be there are no alcohol.
    honest = make_product(
        by.organisation, "OK", "示例低酒精度原酒", base_unit="LTR", kind="raw",
        name_en="Base spirit, no added sweetener, sucralose-free", ingredients="水、高粱（不含酒精、未添加甜味剂）",
    )  # fmt: skip
    lot = make_lot(by, honest, "10")
    assert step(world, "common.process", [(lot, "1")], [(strict, "1")], process="示例")
    assert step(world, "common.process", [(make_lot(by, good, "5"), "1")], [(strict, "1")], process="示例")


def test_an_origin_claimed_after_the_goods_were_made_flags_what_does_not_bear_it(world: World) -> None:
    """Three times the same lie in another order: the product is renamed later, the plot is moved and moved back."""
    by = world.walnuts
    raw = make_product(by.organisation, "QP", "示例核桃", family="walnut_fenzhou", kind="raw")
    plain = make_product(by.organisation, "HT", "示例核桃仁", family="walnut_fenzhou")
    far, near = (
        make_place(by.organisation, name=f"示例地块{code}", kind="plot", division=code)
        for code in ("650000", "141182100")
    )
    grown = [make_lot(by, raw, "10", place=place) for place in (far, near)]
    lots = [turn_into(by, [(lot, "5")], [(plain, "4")])[0] for lot in grown]
    mixed = turn_into(by, [(lots[0], "1"), (lots[1], "1")], [(plain, "2")])[0]
    client = sign_in(Client(), by)

    def edit(kind: str, uid: object, **changes: str) -> str:
        url = reverse(f"trace:{kind}_edit", args=[uid])
        page = client.get(url).context
        sent = {key: value or "" for key, value in page["form"].initial.items()} | {"seen": page.get("seen", "")}
        answer = client.post(url, sent | changes)
        assert answer.status_code == 302, answer.context["form"].errors
        return client.get(answer.headers["Location"]).content.decode()

    assert "2 个已登记的批次与声明的标准或产地不符" in edit("product", plain.uid, brand="汾州核桃")
    flagged = Conflict.objects.filter(code="gi_foreign")
    assert {row.lot for row in flagged.all()} == {lots[0], mixed}
    assert "新疆" in str(flagged[0].details)
    edit("product", plain.uid, brand="汾州核桃", name="示例核桃仁（改名）")
    assert flagged.all().count() == 2, "what is flagged is not flagged twice"
    # The label of a lot made before does not say it, so it may be printed; what is made now is refused.
    assert issue_codes(by=by, lot=lots[0], count=1, key="before").count == 1
    plain.refresh_from_db()
    assert refused(lambda: turn_into(by, [(grown[0], "1")], [(plain, "1")])) == ["gi_foreign"]
    # The plot is said to lie inside while the goods are entered, and is moved back afterwards.
    edit("place", far.uid, division="141182100")
    through = turn_into(by, [(grown[0], "1")], [(plain, "1")])[0]
    assert flagged.all().count() == 2
    assert issue_codes(by=by, lot=through, count=1, key="meanwhile").count == 1
    edit("place", near.uid, division="141182100", address="示例路")
    assert flagged.all().count() == 2
    edit("place", far.uid, division="650000")
    assert {row.lot for row in flagged.all()} == {lots[0], mixed, through}
    with pytest.raises(GuardBroken) as nothing:
        issue_codes(by=by, lot=through, count=1, key="after")
    assert (nothing.value.code, nothing.value.insistable) == ("gi_foreign", False)
    regulator = sign_in(Client(), world.county).get(reverse("trace:conflict_list")).content.decode()
    assert through.lot_code in regulator


def test_most_of_the_nuts_are_not_left_out_as_something_else(world: World) -> None:
    owner = world.walnuts.organisation
    claimed = make_product(owner, "HT", "示例核桃", family="walnut_fenzhou", gi_claim="汾州核桃")
    own = make_product(owner, "QP", "示例青皮", family="walnut_fenzhou", kind="raw")
    inside = make_lot(world.walnuts, own, "100", place=make_place(owner, kind="plot", division="141182100"))
    far = make_place(owner, kind="plot", division="650000")
    other, clean, water = (
        make_product(owner, code, f"示例{code}", material=material, kind="raw")
        for code, material in (("YUAN", "other"), ("JING", "other"), ("SHUI", "water"))
    )
    (rest,) = turn_into(world.walnuts, [(make_lot(world.walnuts, other, "100", place=far), "100")], [(clean, "99")])
    poured = make_lot(world.walnuts, water, "10", place=far)

    def flags(*more: tuple[Lot, str]) -> list[str]:
        (made,) = turn_into(world.walnuts, [(inside, "1"), *more], [(claimed, "1")], when=day(2))
        return [flag["code"] for flag in made.origin_event.flags]

    assert flags((rest, "9")) == ["gi_unproven"]
    assert flags((rest, "0.1"), (poured, "2")) == [], "salt and water are something else"
    # Nor after a step between: the part is in the lot that was made of both.
    (mixed,) = turn_into(world.walnuts, [(inside, "1"), (rest, "9")], [(own, "10")], when=day(2))
    (made,) = turn_into(world.walnuts, [(mixed, "5")], [(claimed, "5")], when=day(3))
    assert [flag["code"] for flag in made.origin_event.flags] == ["gi_unproven"]
    assert "一成以上" in made.origin_event.flags[0]["detail"]
    conflict = made.origin_event.conflicts.get()
    assert (conflict.lot, conflict.details["other_lot"]) == (made, str(rest.links_up.get().parent.uid))


def test_a_name_like_the_protected_one_is_called_unverified() -> None:
    for name, words in (
        ("汾州 核桃", "汾州核桃"),
        ("汾阳核桃", "汾州核桃（近似名称，未经核对）"),
        ("汾阳市香小米", "汾州小米（近似名称，未经核对）"),
        ("汾州香小米", "汾州小米"),
    ):
        rule = indication_for(name)
        assert rule is not None
        assert rule.label("zh") == words
    others = ("汾阳核桃木家具", "汾阳示例核桃加工有限公司", "孝义核桃", "汾阳市场的核桃", "汾阳小米椒", "汾阳小米辣酱",
              "汾州小米椒", "临汾阳山核桃", "汾阳山核桃", "汾阳小核桃", "汾阳核桃产业有限公司", "汾阳产核桃专用包装袋",
              "汾阳 小米手机壳")  # fmt: skip
    for name in others:
        assert indication_for(name) is None, name


def test_walnut_wood_claims_no_nuts() -> None:
    assert indication_for("示例汾州核桃木餐桌") is None
    assert indication_for("", "Fenzhou walnut wood table") is None


# --- Release --------------------------------------------------------------------------------------------------------


def test_what_a_release_rests_on_is_not_taken_away_unnoticed(world: World) -> None:
    maker, quality = world.walnuts, world.walnuts_quality
    lot = make_lot(maker, world.kernels, "100")
    report = passed(maker, lot)
    release_lot(by=quality, lot=lot, when=day(2), report=report)
    ship(maker, world.shop.organisation, lot, "10")
    failing = passed(maker, lot, when=day(4), value="9", number="示例-2")
    assert {(row.code, row.details["report"]) for row in failing.event.conflicts.all()} == {
        ("failed_after_release", str(failing.uid))
    }
    wrong = declare_error(by=maker, event=report.event, reason="incorrect_data", when=day(5)).event
    assert [(row.code, row.details["report"]) for row in wrong.conflicts.all()] == [
        ("release_lost_report", str(report.uid))
    ]
    lot.refresh_from_db()
    assert lot.released_by is not None
    back = declare_error(by=maker, event=lot.released_by, reason="did_not_occur", when=day(6)).event
    conflict = back.conflicts.get()
    assert (conflict.code, conflict.details["shipment"]) == ("shipped_unreleased", Shipment.objects.get().number)
    page = sign_in(Client(), world.county).get(reverse("trace:conflict_list") + "?kind=release").content.decode()
    assert page.count(lot.lot_code) >= 3, "the regulator reads all three"
    assert refused(lambda: ship(maker, world.shop.organisation, lot, "1", when=day(7))) == ["not_released"]
    assert rebuild(write=False).differences == []


def test_what_is_packed_for_sale_waits_for_its_release_whatever_its_product_is_called(world: World) -> None:
    pouch = make_product(world.walnuts.organisation, "DAI", "示例袋装", base_unit="C62", kind="intermediate")
    lot = make_lot(world.walnuts, world.kernels, "10")
    facts: dict[str, Any] = {
        "production_date": "2026-09-21",
        "best_before": "2027-04-01",
        "allergen": "true",
        "net_content": "0.2",
    }
    (bags,) = step(world, "walnut.pack", [(lot, "2")], [(pouch, "10")], by=world.walnuts, bags="10", **facts)
    assert bags.needs_release
    assert refused(lambda: ship(world.walnuts, world.shop.organisation, bags, "1")) == ["not_released"]


def test_a_report_on_the_nuts_releases_no_bag_and_a_failed_one_is_not_forgotten(world: World) -> None:
    maker, quality = world.walnuts, world.walnuts_quality
    nuts = make_lot(maker, make_product(maker.organisation, "SC", "示例散仁", kind="intermediate"), "50")
    above = passed(maker, nuts)
    (bags,) = turn_into(maker, [(nuts, "20")], [(world.kernels, "20")])
    (more,) = turn_into(maker, [(nuts, "20")], [(world.kernels, "20")])
    assert refused(lambda: release_lot(by=quality, lot=bags, when=day(3), report=above)) == ["no_passing_report"]
    page = sign_in(Client(), quality).get(reverse("trace:step_form", args=["common.release"]) + f"?lot={bags.uid}")
    assert above.report_number not in page.content.decode(), "what does not count is not offered"
    passed(maker, bags, number="示例-2")
    assert not release_lot(by=quality, lot=bags, when=day(3)).event.flags
    failing = passed(maker, nuts, when=day(3), value="9", number="示例-3")
    passed(maker, more, when=day(4), number="示例-4")
    event = release_lot(by=quality, lot=more, when=day(5)).event
    conflict = event.conflicts.get()
    assert (conflict.code, conflict.details["report"]) == ("ancestor_failed", str(failing.uid))


def test_a_release_learns_later_that_what_went_in_had_failed(world: World) -> None:
    source = make_lot(world.grower, world.fresh_walnuts, "100", place=world.plot)
    receive(world.walnuts, ship(world.grower, world.walnuts.organisation, source, "50"), when=day(4), place=world.plant)
    (made,) = step(world, "common.process", [(source, "10")], [(world.kernels, "5")], by=world.walnuts, when=day(5))
    passed(world.walnuts, made, when=day(6))
    released_by = release_lot(by=world.walnuts_quality, lot=made, when=day(7)).event
    failing = passed(world.grower, source, when=day(8), value="9", number="示例-2")
    conflict = released_by.conflicts.get()
    assert (conflict.code, conflict.lot, conflict.details["report"]) == ("ancestor_failed", made, str(failing.uid))
    assert source.lot_code not in str(conflict.details)


def made_of_what_fails(world: World, *numbers: str) -> tuple[Lot, list[TestReport]]:
    """A released lot of two of the grower's, and a failed report of each number on one of these in turn, later."""
    sources = [make_lot(world.grower, world.fresh_walnuts, "100", place=world.plot) for _each in range(2)]
    for source in sources:
        slip = ship(world.grower, world.walnuts.organisation, source, "50")
        receive(world.walnuts, slip, when=day(4), place=world.plant)
    (made,) = step(
        world, "common.process", [(each, "10") for each in sources], [(world.kernels, "9")], by=world.walnuts,
        when=day(5),
    )  # fmt: skip
    released(world.walnuts, world.walnuts_quality, made, when=day(6))
    reports = [
        passed(world.grower, sources[at % 2], when=day(8 + at), value="9", number=number)
        for at, number in enumerate(numbers)
    ]
    return made, reports


def states_of(lot: Lot) -> list[tuple[str, str]]:
    """The contradictions about failed ancestors on a lot, each with whether it is open, answered or undone."""
    return [
        (row.details["report"], "undone" if row.voided_by else "answered" if row.answered_at else "open")
        for row in Conflict.objects.filter(lot=lot, code="ancestor_failed").order_by("id")
    ]


def test_a_failed_ancestor_is_settled_when_no_failed_report_is_left(world: World) -> None:
    made, (first, second, third) = made_of_what_fails(world, "示例-2", "示例-3", "示例-4")
    named = [str(each.uid) for each in (first, second, third)]
    assert states_of(made) == [(each, "open") for each in named]
    for report in (first, second):
        declare_error(by=world.grower, event=report.event, reason="incorrect_data", when=day(12))
        assert states_of(made) == [(each, "open") for each in named], "another one still stands"
    wrong = declare_error(by=world.grower, event=third.event, reason="incorrect_data", when=day(12)).event
    assert states_of(made) == [(each, "undone") for each in named]
    assert {row.voided_by for row in Conflict.objects.filter(lot=made)} == {wrong}
    page = sign_in(Client(), world.walnuts).get(reverse("trace:conflict_list") + "?state=voided").content.decode()
    assert page.count(made.lot_code) >= 3, "what was once flagged can still be read"
    assert rebuild(write=False).differences == []


def test_a_denied_failure_is_settled_in_the_laboratorys_name_and_comes_back_with_its_confirmation(
    world: World,
) -> None:
    made, (report,) = made_of_what_fails(world, "示例-2")
    uid = str(report.uid)
    assert states_of(made) == [(uid, "open")]
    answer_report(by=world.lab, report=report, answer="denied", reason="没有这个编号")
    assert states_of(made) == [(uid, "answered")]
    row = Conflict.objects.get(lot=made, code="ancestor_failed")
    assert row.answered_by == world.lab.user
    assert "否认了报告 示例-2" in row.answer
    answer_report(by=world.lab, report=report, answer="confirmed")
    assert states_of(made) == [(uid, "answered"), (uid, "open")]
    # What the producer has explained by itself is left as it was said.
    answer_conflict(by=world.walnuts, conflict=Conflict.objects.latest("id"), answer="另行挑选过")
    answer_report(by=world.lab, report=report, answer="denied", reason="还是没有")
    assert Conflict.objects.filter(lot=made, code="ancestor_failed").latest("id").answer == "另行挑选过"


def test_goods_let_go_before_a_report_that_is_denied_are_settled_with_it(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "50", place=world.plant)
    released(world.walnuts, world.walnuts_quality, lot)
    failing = passed(world.walnuts, lot, when=day(4), value="9", number="示例-2")
    flagged = Conflict.objects.filter(lot=lot, code="failed_after_release", answered_at=None)
    assert flagged.count() == 1
    answer_report(by=world.lab, report=failing, answer="denied", reason="没有这个编号")
    assert flagged.count() == 0
    for answer, reason in (("confirmed", ""), ("denied", "看错了"), ("confirmed", "")):
        answer_report(by=world.lab, report=failing, answer=answer, reason=reason)
    assert flagged.count() == 1


# --- Walks that were cut ---------------------------------------------------------------------------------------------


@pytest.fixture
def short_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Walks reach four lots: the start and three more."""
    for module in (
        "trace.genealogy",
        "trace.lineage",
        "trace.day_guards",
        "trace.actions.failures",
        "trace.actions.conflicts",
    ):
        if hasattr(sys.modules[module], "walk"):
            monkeypatch.setattr(f"{module}.walk", lambda lots, way, **_more: walk(lots, way, limit=4))


def chain_of(world: World, product: Product, first: Lot, steps: int) -> Lot:
    """A lot so many steps after the first."""
    lot = first
    for number in range(steps):
        (lot,) = turn_into(world.distillery, [(lot, "10")], [(product, "10")], when=day(1, hour=number))
    return lot


@pytest.mark.usefixtures("short_walks")
def test_who_did_not_look_at_all_ancestors_does_not_say_that_none_is_forbidden(world: World) -> None:
    base, product = spirit(world), bottled(world)
    bad = make_product(
        world.distillery.organisation, "JJ2", "示例酒精", base_unit="LTR", kind="raw", material="edible_alcohol"
    )
    near = chain_of(world, base, make_lot(world.distillery, bad, "10"), 2)
    far = chain_of(world, base, make_lot(world.distillery, base, "10"), 5)
    assert refused(lambda: turn_into(world.distillery, [(near, "5")], [(product, "10")])) == ["forbidden_ancestor"]
    (made,) = turn_into(world.distillery, [(far, "5")], [(product, "10")], when=day(2))
    (conflict,) = made.origin_event.conflicts.all()
    assert (conflict.code, conflict.lot, conflict.details["warns"]) == ("walk_cut", made, True)
    assert "只查了最近的 3 个" in conflict.sentence
    assert "食用酒精" in conflict.sentence
    # Nothing is said where nothing was asked, nor where all was seen.
    (plain,) = turn_into(world.distillery, [(far, "2")], [(base, "2")], when=day(2))
    (whole,) = turn_into(world.distillery, [(chain_of(world, base, make_lot(world.distillery, base, "10"), 2), "5")],
                         [(product, "10")], when=day(2))  # fmt: skip
    assert not plain.origin_event.flags
    assert not whole.origin_event.flags


@pytest.mark.usefixtures("short_walks")
def test_a_claim_of_origin_is_not_shown_by_lots_a_walk_was_cut_at(world: World) -> None:
    """The lot the walk ends at lies on a plot inside the area and was made of something from elsewhere."""
    owner = world.walnuts.organisation
    raw = make_product(owner, "HT0", "示例核桃", family="walnut_fenzhou", kind="raw")
    claimed = make_product(owner, "HT", "示例核桃", family="walnut_fenzhou", gi_claim="汾州核桃")
    inside = make_place(owner, kind="plot", division=world.plot.division_id)

    def through(steps: int) -> Lot:
        lot = make_lot(world.walnuts, raw, "100", place=inside)
        for number in range(steps):
            (lot,) = record_event(
                by=world.walnuts, code="common.process", when=day(1, hour=number), place=inside,
                data={"process": "示例"}, inputs=[Portion(lot, amount("10", raw))],
                outputs=[NewLot(product=raw, amount=amount("10", raw))],
            ).lots  # fmt: skip
        return lot

    (good,) = turn_into(world.walnuts, [(through(2), "5")], [(claimed, "5")], when=day(2))
    assert not good.origin_event.flags
    (open_end,) = turn_into(world.walnuts, [(through(5), "5")], [(claimed, "5")], when=day(2))
    (conflict,) = open_end.origin_event.conflicts.all()
    assert conflict.code == "gi_unproven"
    assert "没有查完" in conflict.sentence
    claim = claim_of(open_end)
    assert claim is not None
    assert (claim.state, "没有查完" in claim.words) == ("unknown", True)


@pytest.mark.usefixtures("short_walks")
def test_a_release_says_that_it_did_not_see_every_report_above(world: World) -> None:
    raw = make_product(world.walnuts.organisation, "SC", "示例散仁", kind="intermediate")
    first = make_lot(world.walnuts, raw, "50", place=world.plant)
    lot = first
    for number in range(5):
        (lot,) = turn_into(world.walnuts, [(lot, "10")], [(raw, "10")], when=day(1, hour=number))
    (made,) = turn_into(world.walnuts, [(lot, "5")], [(world.kernels, "5")], when=day(2))
    passed(world.walnuts, made, when=day(2))
    event = release_lot(by=world.walnuts_quality, lot=made, when=day(3)).event
    assert [row.code for row in event.conflicts.all()] == ["walk_cut"]
    failing = passed(world.walnuts, first, when=day(3), value="9", number="示例-9")
    assert [row.code for row in failing.event.conflicts.all()] == ["walk_cut"], "nor what was made of it"


@pytest.mark.usefixtures("short_walks")
def test_a_circle_is_found_from_the_other_side_where_one_way_is_too_long(world: World) -> None:
    raw = make_product(world.walnuts.organisation, "SC", "示例散仁", kind="intermediate")
    jar = make_lot(world.walnuts, raw, "50", place=world.plant)
    children = [turn_into(world.walnuts, [(jar, "1")], [(raw, "1")], when=day(1, hour=n))[0] for n in range(8)]

    def back_into(lot: Lot) -> list[str]:
        def put() -> object:
            declare = Event.objects.filter(corrects=jar.origin_event).exists()
            if not declare:
                declare_error(by=world.walnuts, event=jar.origin_event, reason="incorrect_data", when=day(3))
            return record_event(
                by=world.walnuts, code="common.process", when=day(0), data={"process": "示例"},
                inputs=[Portion(lot, amount("1", raw))],
                outputs=[NewLot(product=raw, amount=amount("50", raw), restates=jar)],
                replaces=jar.origin_event,
            )  # fmt: skip

        return refused(put)

    assert "made_of_itself" in back_into(children[-1])


def test_an_origin_is_not_washed_off_by_a_correction_unnoticed(world: World) -> None:
    maker = world.walnuts
    bought = make_lot(maker, world.kernels, "10")
    (made,) = turn_into(maker, [(bought, "5")], [(world.kernels, "5")], when=day(2))
    first = made.origin_event
    declare_error(by=maker, event=first, reason="incorrect_data", when=day(3))
    new = NewLot(product=world.kernels, amount=amount("5", world.kernels), restates=made)
    event = record_event(
        by=maker, code="common.opening", when=day(1), data={"basis": "示例"}, outputs=[new], replaces=first
    ).event
    conflict = event.conflicts.get()
    assert (conflict.code, conflict.lot, conflict.details["other_lot"]) == ("source_dropped", made, str(bought.uid))
    # Stated again with another source it is a correction like any other.
    declare_error(by=maker, event=event, reason="incorrect_data", when=day(4))
    other = make_lot(maker, world.kernels, "10")
    again = record_event(
        by=maker, code="common.rework", when=day(2), data={"reason": "示例", "method": "示例"},
        inputs=[Portion(other, amount("5", world.kernels))], outputs=[new], replaces=event,
    ).event  # fmt: skip
    assert not again.flags


def test_a_release_covers_no_more_than_there_was_of_the_lot(world: World) -> None:
    maker, quality = world.walnuts, world.walnuts_quality
    lot = released(maker, quality, make_lot(maker, world.kernels, "10"))
    first = lot.origin_event
    declare_error(by=maker, event=first, reason="incorrect_data", when=day(3))

    def restate(text: str, insist: bool = False) -> Event:
        new = NewLot(product=world.kernels, amount=amount(text, world.kernels), restates=lot)
        return record_event(
            by=maker, code="common.opening", when=day(0), data={"basis": "示例"}, outputs=[new], replaces=first,
            insist=insist,
        ).event  # fmt: skip

    with pytest.raises(GuardBroken) as error:
        restate("1000")
    (guard,) = error.value.broken
    assert lot.released_by is not None
    assert (guard.code, guard.details["other_event"]) == ("more_after_release", lot.released_by.uid)
    assert "10 千克" in guard.message
    event = restate("1000", insist=True)
    assert [row.code for row in event.conflicts.all()] == ["more_after_release"]
    declare_error(by=maker, event=event, reason="incorrect_data", when=day(4))
    lot, first = Lot.objects.get(pk=lot.pk), event
    assert not restate("9").flags, "less is what was tested, too"
    assert rebuild(write=False).differences == []


def test_what_is_captured_into_a_released_lot_is_flagged(world: World) -> None:
    lot = released(world.distillery, world.distillery_quality, make_lot(world.distillery, world.baijiu, "10"))
    more = [{"epcClass": lot_uri(lot), "quantity": 500}]
    door_of(world.distillery.organisation).captured(
        document(door_event(action="ADD", bizStep="commissioning", quantityList=more))
    )
    (conflict,) = Event.objects.latest("id").conflicts.all()
    assert (conflict.code, conflict.lot) == ("more_after_release", lot)


def test_a_report_goes_along_with_no_goods_that_are_called_something_else(world: World) -> None:
    maker, quality = world.walnuts, world.walnuts_quality
    raw = make_product(maker.organisation, "SC", "示例带壳核桃", kind="raw", family="walnut_fenzhou")
    bag = make_product(maker.organisation, "DAI", "示例核桃 5 kg/袋", family="walnut_fenzhou")
    sweets = make_product(maker.organisation, "ZJ", "示例枣夹核桃", family="date_walnut")
    nuts = make_lot(maker, raw, "60")
    report = passed(maker, nuts)
    for code, product, fine in (
        ("common.split", sweets, False),
        ("common.split", bag, False),
        ("common.repack", sweets, False),
        ("common.repack", bag, True),
    ):
        facts: dict[str, Any] = {"reason": "示例"} if code == "common.split" else {"packaging": "示例 5 kg/袋"}
        (part,) = step(world, code, [(nuts, "10")], [(product, "10")], by=maker, **facts)
        if fine:
            flags = release_lot(by=quality, lot=part, when=day(3), report=report).event.flags
            assert "no_passing_report" not in [flag["code"] for flag in flags]
        else:
            codes = refused(lambda part=part: release_lot(by=quality, lot=part, when=day(3), report=report))
            assert codes == ["no_passing_report"], (code, product)


def test_passing_by_limits_that_only_the_report_knows_is_flagged(world: World) -> None:
    nuts = make_product(world.walnuts.organisation, "HT", "示例核桃", family="walnut_fenzhou")
    lots = [make_lot(world.walnuts, nuts, "10") for _each in range(2)]
    invented = ResultEntry("taste", "好吃", "1", unit="分", limit_operator=">=", limit_value="0")
    due = ResultEntry("moisture", "水分", "3", unit="%", limit_operator="<=", limit_value="8")
    flags = []
    for lot, results in zip(lots, ([invented], [invented, due]), strict=True):
        record_report(
            by=world.walnuts, lot=lot, report_number="示例-1", issued_on=day(2).at.date(), results=results,
            when=day(2), laboratory_name="示例自家检验室",
        )  # fmt: skip
        flags.append([flag["code"] for flag in release_lot(by=world.walnuts_quality, lot=lot, when=day(3)).event.flags])
    assert flags == [["own_limits_only"], []]


def test_one_report_serves_the_parts_a_lot_was_divided_into(world: World) -> None:
    """一次检验、结果互认: not for what was made of the lot, but for what it still is."""
    maker, quality = world.walnuts, world.walnuts_quality
    nuts = make_lot(maker, world.kernels, "50", place=world.plant)
    report = passed(maker, nuts)
    (half,) = step(world, "common.split", [(nuts, "20")], [(world.kernels, "20")], by=maker, reason="示例")
    (part,) = step(world, "common.split", [(half, "10")], [(world.kernels, "10")], by=maker, reason="示例")
    other = make_lot(maker, world.kernels, "5", place=world.plant)
    (mixed,) = step(world, "common.merge", [(half, "5"), (other, "5")], [(world.kernels, "10")], by=maker)
    page = sign_in(Client(), quality).get(reverse("trace:step_form", args=["common.release"]) + f"?lot={part.uid}")
    assert report.report_number in page.content.decode()
    event = release_lot(by=quality, lot=part, when=day(5), report=report).event
    assert (event.data["test_report"], event.flags) == (str(report.uid), [])
    assert refused(lambda: release_lot(by=quality, lot=mixed, when=day(5), report=report)) == ["no_passing_report"]
    passed(maker, nuts, when=day(6), value="9", number="示例-2")
    assert {(each.lot_id, each.code) for each in Conflict.objects.all()} == {(part.pk, "failed_after_release")}
    assert refused(lambda: release_lot(by=quality, lot=half, when=day(7), report=report)) == ["no_passing_report"]
    declare_error(by=maker, event=report.event, reason="incorrect_data", when=day(8))
    assert Conflict.objects.filter(lot=part, code="release_lost_report").exists()
    assert rebuild(write=False).differences == []


@pytest.mark.parametrize("text", ["0", "-1", "1e-30", "1e30", "0.0000001", "NaN", "１０斤斤", "9" * 40, "1\x00"])
def test_amounts_that_are_none_are_refused_at_each_door(world: World, text: str) -> None:
    sent = {
        "template": "common.opening", "occurred_at": day(0).at.isoformat(), "data": {"basis": "示例"},
        "outputs": [{"product": str(world.kernels.uid), "amount": {"value": text, "unit": "KGM"}}],
    }  # fmt: skip
    assert api_of(world.walnuts).post("/events", sent).status_code in (400, 422)
    fields = {
        "when_on": "2026-09-25", "place": world.plant.uid, "d_basis": "示例", "outputs-count": "1",
        "outputs-0-product": world.kernels.uid, "outputs-0-amount": text, "outputs-0-unit": "KGM",
    }  # fmt: skip
    page = sign_in(Client(), world.walnuts).post(reverse("trace:step_form", args=["common.opening"]), fields)
    assert page.status_code == 422
    assert not Lot.objects.exists()
