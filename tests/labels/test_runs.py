"""Issuing and printing codes: who may, for what, once, and what is refused."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from labels.actions import runs as actions
from labels.actions.runs import except_units, issue_codes, judge_copy, record_print, require_range, void_run
from labels.models import CodeException, CodeRun, CodeStep
from tests.labels.goods import bottled, held
from tests.world import GTIN, World, make_product, sign_in
from trace.actor import Actor
from trace.errors import DomainError
from trace.ledger import verify
from trace.models import Event, Lot, Unit

pytestmark = pytest.mark.django_db


def refused(code: str, action: Any, **arguments: Any) -> DomainError:
    """Run an action that must be refused with this code."""
    with pytest.raises(DomainError) as caught:
        action(**arguments)
    assert caught.value.code == code
    return caught.value


def test_a_run_issues_units_numbered_from_one_with_one_commissioning_event(world: World) -> None:
    lot = bottled(world)
    run = issue_codes(by=world.distillery, lot=lot, count=30, key="a")
    units = list(Unit.objects.filter(lot=lot).order_by("number"))
    assert [unit.number for unit in units] == list(range(1, 31))
    assert {unit.run for unit in units} == {run.uid}
    assert all(unit.organisation_id == lot.organisation_id and unit.state == Unit.State.ISSUED for unit in units)
    assert run.event is not None
    assert (run.event.template, run.event.biz_step) == ("common.code", "commissioning")
    assert run.event.data["count"] == 30
    assert [item.lot_id for item in run.event.items.all()] == [lot.pk]
    assert list(verify()) == []


def test_no_codes_are_issued_for_labels_that_cannot_carry_the_words(world: World) -> None:
    lot = bottled(world)
    lot.organisation.name = "示例" + "很长的单位名称" * 8
    with pytest.raises(DomainError) as refused:
        issue_codes(by=world.distillery, lot=lot, count=30, key="long", layout="roll-40x30")
    assert refused.value.code in ("label_too_many_lines", "label_text_too_long")
    assert not Unit.objects.exists()
    assert issue_codes(by=world.distillery, lot=lot, count=30, key="long", layout="roll-100x70").issued == 30


def test_the_next_run_goes_on_counting(world: World) -> None:
    lot = bottled(world)
    issue_codes(by=world.distillery, lot=lot, count=30, key="a")
    second = issue_codes(by=world.distillery, lot=lot, count=5, key="b")
    assert (second.first_number, second.last_number) == (31, 35)


def test_the_same_key_issues_once(world: World) -> None:
    lot = bottled(world)
    first = issue_codes(by=world.distillery, lot=lot, count=3, key="a")
    again = issue_codes(by=world.distillery, lot=lot, count=3, key="a")
    assert again == first
    assert Unit.objects.count() == 3
    assert Event.objects.filter(template="common.code").count() == 1


def test_the_same_key_for_something_else_is_refused(world: World) -> None:
    lot = bottled(world)
    issue_codes(by=world.distillery, lot=lot, count=3, key="a")
    refused("run_key_reused", issue_codes, by=world.distillery, lot=lot, count=4, key="a")


def test_a_key_taken_between_look_and_write_gives_the_run_that_was_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lot = bottled(world)
    gtin_for = actions.gtin_for
    faster: list[CodeRun] = []

    def meanwhile(*wish: Any) -> str:
        if not faster:
            faster.append(None)  # type: ignore[arg-type]
            faster[0] = issue_codes(by=world.distillery, lot=lot, count=3, key="a")
        return gtin_for(*wish)

    monkeypatch.setattr(actions, "gtin_for", meanwhile)
    assert issue_codes(by=world.distillery, lot=lot, count=3, key="a") == faster[0]
    assert Unit.objects.count() == 3
    assert Event.objects.filter(template="common.code").count() == 1
    assert list(verify()) == []


def test_a_code_that_exists_is_drawn_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lot = bottled(world)
    issue_codes(by=world.distillery, lot=lot, count=1, key="a")
    old = Unit.objects.get().code
    draws = iter([[old, "AAAAAAAAAAAA"], [lot.public_code, "AAAAAAAAAAAA"], ["BBBBBBBBBBBB", "CCCCCCCCCCCC"]])
    monkeypatch.setattr(actions, "new_serials", lambda count: next(draws))
    issue_codes(by=world.distillery, lot=lot, count=2, key="b")
    assert set(Unit.objects.values_list("code", flat=True)) == {old, "BBBBBBBBBBBB", "CCCCCCCCCCCC"}


def test_the_public_host_and_the_gtin_are_frozen(world: World, settings: Any) -> None:
    lot = bottled(world)
    settings.PUBLIC_BASE_URL = "https://old.example.cn"
    run = issue_codes(by=world.distillery, lot=lot, count=1, key="a")
    settings.PUBLIC_BASE_URL = "https://new.example.cn"
    run.refresh_from_db()
    assert run.public_host == "https://old.example.cn"
    assert run.gtin == GTIN


def test_a_product_without_gtin_gets_codes_under_our_own_path(world: World) -> None:
    lot = bottled(world, product=make_product(world.distillery.organisation))
    assert issue_codes(by=world.distillery, lot=lot, count=1, key="a").gtin == ""
    refused("gtin_not_confirmed", issue_codes, by=world.distillery, lot=lot, count=1, key="b", with_gtin=True)


def test_a_gtin_that_is_only_claimed_is_not_printed(world: World) -> None:
    claimed = make_product(world.distillery.organisation, gtin="09520000010034", claim="claimed")
    lot = bottled(world, product=claimed)
    assert issue_codes(by=world.distillery, lot=lot, count=1, key="a").gtin == ""
    refused("gtin_not_confirmed", issue_codes, by=world.distillery, lot=lot, count=1, key="b", with_gtin=True)


def test_lot_labels_make_no_units_and_no_event(world: World) -> None:
    lot = bottled(world)
    run = issue_codes(by=world.distillery, lot=lot, count=40, key="a", kind="lot")
    assert (run.kind, run.first_number, run.event) == ("lot", 0, None)
    assert not Unit.objects.exists()
    assert not Event.objects.filter(template="common.code").exists()


@pytest.mark.parametrize("kind", ["unit", "lot"])
@pytest.mark.parametrize("hold", ["hold", "stop_sale", "recall"])
def test_a_blocked_lot_gets_no_codes_and_nobody_may_insist(world: World, kind: str, hold: str) -> None:
    lot = bottled(world)
    held(world, lot, hold, "示例原因")
    error = refused("lot_blocked", issue_codes, by=world.distillery, lot=lot, count=1, key="a", kind=kind)
    assert "示例原因" in error.message
    assert error.details["insistable"] is False
    assert not CodeRun.objects.exists()
    assert not Unit.objects.exists()


def test_a_lot_declared_wrong_gets_no_codes(world: World) -> None:
    lot = bottled(world)
    Lot.objects.filter(pk=lot.pk).update(voided_by=lot.origin_event)
    lot.refresh_from_db()
    refused("lot_void", issue_codes, by=world.distillery, lot=lot, count=1, key="a", kind="lot")


@pytest.mark.parametrize("who", ["walnuts", "shop", "county"])
def test_strangers_cannot_issue(world: World, who: str) -> None:
    actor: Actor = getattr(world, who)
    code = "role_required" if who == "county" else "not_own"
    refused(code, issue_codes, by=actor, lot=bottled(world), count=1, key="a")


@pytest.mark.parametrize("count", [0, -1, 1_000_001, 10**12])
def test_counts_have_bounds(world: World, count: int) -> None:
    refused("bad_count", issue_codes, by=world.distillery, lot=bottled(world), count=count, key="a")


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"kind": "pallet"}, "unknown_choice"),
        ({"level": "planet"}, "unknown_choice"),
        ({"material": "ice"}, "unknown_choice"),
        ({"layout": "wall"}, "layout_unknown"),
        ({"key": ""}, "run_key_required"),
        ({"key": "a\x00"}, "text_nul"),
        ({"key": "k" * 101}, "text_too_long"),
    ],
)
def test_wishes_nobody_can_mean_are_refused(world: World, wish: dict[str, Any], code: str) -> None:
    refused(code, issue_codes, **{"by": world.distillery, "lot": bottled(world), "count": 1, "key": "a", **wish})


def test_a_lot_code_already_on_labels_with_this_gtin_is_refused(world: World) -> None:
    lot = bottled(world)
    issue_codes(by=world.distillery, lot=lot, count=1, key="a", kind="lot")
    twin = bottled(world, code="L2")
    Lot.objects.filter(pk=lot.pk).update(product=make_product(world.distillery.organisation))
    Lot.objects.filter(pk=twin.pk).update(lot_code=lot.lot_code)
    twin.refresh_from_db()
    refused("gtin_lot_taken", issue_codes, by=world.distillery, lot=twin, count=1, key="b", kind="lot")


# --- Printing -------------------------------------------------------------------------------------------------------


def test_printing_is_written_down_and_printing_again_needs_a_reason(world: World) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=10, key="a")
    record_print(by=world.distillery, run=run, first=1, last=1, test=True)
    record_print(by=world.distillery, run=run, first=1, last=6)
    refused("reprint_reason_required", record_print, by=world.distillery, run=run, first=6, last=7)
    step = record_print(by=world.distillery, run=run, first=6, last=7, reason="卡纸")
    assert (step.step, step.reason) == ("reprinted", "卡纸")
    assert record_print(by=world.distillery, run=run, first=8, last=10).step == "printed"
    assert [s.step for s in run.steps.all()] == ["issued", "test_printed", "printed", "reprinted", "printed"]
    run.refresh_from_db()
    assert run.status == CodeRun.Status.PRINTED


@pytest.mark.parametrize(("first", "last"), [(0, 1), (1, 11), (5, 4)])
def test_a_range_outside_the_run_is_refused(world: World, first: int, last: int) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=10, key="a")
    refused("bad_range", record_print, by=world.distillery, run=run, first=first, last=last)


def test_a_print_has_a_bound_and_the_next_piece_is_offered(world: World, client: Client) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=2500, key="a", kind="lot")
    refused("too_many_labels", require_range, run=run, first=1, last=2401)
    sign_in(client, world.distillery)
    answer = client.post(f"/labels/{run.uid}/print/", {"first": "1", "last": "2500", "start": "1"})
    assert (answer.status_code, "last" in answer.context["print_form"].errors) == (422, True)
    record_print(by=world.distillery, run=run, first=1, last=2400)
    form = client.get(f"/labels/{run.uid}/").context["print_form"]
    assert (form["first"].value(), form["last"].value()) == (2401, 2500)


def test_labels_of_a_lot_blocked_since_are_not_printed(world: World) -> None:
    lot = bottled(world)
    run = issue_codes(by=world.distillery, lot=lot, count=10, key="a")
    held(world, lot, "recall")
    refused("lot_blocked", record_print, by=world.distillery, run=run, first=1, last=1)


# --- Exceptions -----------------------------------------------------------------------------------------------------


def test_spoiled_and_void_codes_stay_so(world: World) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=3, key="a")
    one, two, three = Unit.objects.order_by("number")
    except_units(by=world.distillery, units=[one], kind="spoiled", reason="撕坏")
    except_units(by=world.distillery, units=[two], kind="void", reason="遗失")
    refused("code_already_void", except_units, by=world.distillery, units=[two, three], kind="void", reason="遗失")
    states = dict(Unit.objects.values_list("number", "state"))
    assert states == {1: "spoiled", 2: "void", 3: "issued"}
    assert set(run.exceptions.values_list("kind", "unit__number")) == {("spoiled", 1), ("void", 2)}


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"reason": "  "}, "reason_required"),
        ({"kind": "copied"}, "unknown_choice"),
        ({"units": []}, "units_required"),
        ({"reason": "x\x00"}, "text_nul"),
    ],
)
def test_exceptions_need_units_a_kind_and_a_reason(world: World, wish: dict[str, Any], code: str) -> None:
    issue_codes(by=world.distillery, lot=bottled(world), count=1, key="a")
    given = {"by": world.distillery, "units": list(Unit.objects.all()), "kind": "void", "reason": "遗失", **wish}
    refused(code, except_units, **given)


def test_nobody_else_voids_our_codes(world: World) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=1, key="a")
    refused("not_own", except_units, by=world.shop, units=list(Unit.objects.all()), kind="void", reason="x")
    refused("not_own", void_run, by=world.shop, run=run, reason="x")
    refused("not_own", judge_copy, by=world.shop, lot=run.lot, copied=True, reason="x")
    refused("not_own", judge_copy, by=world.other_county, lot=run.lot, copied=True, reason="x")


def test_voiding_a_run_voids_what_is_left_of_it_once(world: World) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=3, key="a")
    except_units(by=world.distillery, units=list(Unit.objects.filter(number=1)), kind="spoiled", reason="撕坏")
    run = void_run(by=world.distillery, run=run, reason="整卷遗失")
    assert run.status == CodeRun.Status.VOID
    assert sorted(Unit.objects.values_list("state", flat=True)) == ["spoiled", "void", "void"]
    assert CodeException.objects.filter(kind="void").count() == 2
    refused("run_void", void_run, by=world.distillery, run=run, reason="again")
    refused("run_void", record_print, by=world.distillery, run=run, first=1, last=1)


def test_lot_labels_cannot_be_voided(world: World) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=3, key="a", kind="lot")
    refused("run_of_lot", void_run, by=world.distillery, run=run, reason="x")


def test_a_copy_is_confirmed_and_cleared_by_people_only(world: World) -> None:
    issue_codes(by=world.distillery, lot=bottled(world), count=1, key="a")
    unit = Unit.objects.get()
    wish: dict[str, Any] = {"lot": unit.lot, "unit": unit}
    refused("role_required", judge_copy, by=world.distillery_worker, copied=True, reason="x", **wish)
    refused("no_change", judge_copy, by=world.county, copied=False, reason="x", **wish)
    judge_copy(by=world.county, copied=True, reason="两地同时出现", **wish)
    refused("no_change", judge_copy, by=world.county, copied=True, reason="x", **wish)
    judge_copy(by=world.distillery_quality, copied=False, reason="核实为同一人", **wish)
    assert list(CodeException.objects.values_list("kind", flat=True)) == ["copied", "cleared"]


@pytest.mark.parametrize("table", ["labels_codestep", "labels_codeexception", "labels_scan"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET at = at", "DELETE FROM {}"])
def test_history_cannot_be_changed_by_raw_sql(world: World, table: str, statement: str) -> None:
    from labels import nonces
    from labels.actions.scans import count_scan

    run = issue_codes(by=world.distillery, lot=bottled(world), count=1, key="a")
    except_units(by=world.distillery, units=list(Unit.objects.all()), kind="void", reason="遗失")
    count_scan(word=nonces.sign(run.lot.public_code))
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))


# --- Pages ----------------------------------------------------------------------------------------------------------


def order_page(lot: Lot) -> str:
    """The address of the third step."""
    return f"/labels/new/lot/{lot.uid}/"


WISH = {"kind": "unit", "count": "30", "layout": "a4-24", "material": "smooth"}


def test_the_steps_lead_from_product_to_print(world: World, client: Client) -> None:
    lot = bottled(world)
    sign_in(client, world.distillery)
    assert str(lot.product.uid) in client.get("/labels/new/").content.decode()
    assert str(lot.uid) in client.get(f"/labels/new/product/{lot.product.uid}/").content.decode()
    shown = client.get(order_page(lot), WISH)
    page = shown.content.decode()
    assert "63.5mm" in page
    assert "样张" in page
    assert not Unit.objects.exists()
    answer = client.post(order_page(lot), {**WISH, "key": shown.context["key"]})
    run = CodeRun.objects.get()
    assert answer.headers["Location"] == f"/labels/{run.uid}/"
    assert client.post(order_page(lot), {**WISH, "key": run.key}).headers["Location"] == f"/labels/{run.uid}/"
    assert Unit.objects.count() == 30
    detail = client.get(f"/labels/{run.uid}/").content.decode()
    assert "样张" not in detail
    assert client.get("/labels/").content.decode().count(f"/labels/{run.uid}/") == 1


def test_printing_hands_out_a_pdf_and_reprinting_asks_why(world: World, client: Client) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=30, key="a")
    sign_in(client, world.distillery)
    address = f"/labels/{run.uid}/print/"
    assert client.post(address, {"test": "1"}).content.startswith(b"%PDF")
    printed = client.post(address, {"first": "1", "last": "30", "start": "5", "crop_marks": "on"})
    assert printed.headers["Content-Type"] == "application/pdf"
    assert printed.content.startswith(b"%PDF")
    again = client.post(address, {"first": "3", "last": "3", "start": "1"})
    assert again.status_code == 422
    assert "reason" in again.context["print_form"].errors
    assert client.post(address, {"first": "3", "last": "3", "start": "1", "reason": "污损"}).status_code == 200
    assert CodeStep.objects.filter(step="reprinted", reason="污损", first=3, last=3).count() == 1


def test_a_blocked_lot_is_refused_with_the_reason_on_every_way_to_paper(world: World, client: Client) -> None:
    lot = bottled(world)
    run = issue_codes(by=world.distillery, lot=lot, count=3, key="a")
    held(world, lot, "recall", "黄曲霉毒素超标")
    sign_in(client, world.distillery)
    for address in ("label.svg", "code.svg", "code.png", "codes.csv"):
        ask = client.get if address == "label.svg" else client.post
        answer = ask(f"/labels/{run.uid}/{address}")
        assert answer.status_code == 409, address
        assert "黄曲霉毒素超标" in answer.content.decode()
    answer = client.post(f"/labels/{run.uid}/print/", {"first": "1", "last": "3"})
    assert answer.status_code == 409
    assert "黄曲霉毒素超标" in answer.content.decode()
    assert not run.steps.filter(step="printed").exists()
    page = client.get(order_page(lot))
    assert "黄曲霉毒素超标" in page.content.decode()
    assert '<form method="get" class="form"' not in page.content.decode()


def test_single_codes_come_as_svg_and_png(world: World, client: Client) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=3, key="a")
    sign_in(client, world.distillery)
    assert client.post(f"/labels/{run.uid}/code.svg", {"number": "2"}).content.startswith(b"<svg")
    assert client.post(f"/labels/{run.uid}/code.png", {"number": "3"}).content.startswith(b"\x89PNG")
    said = run.steps.filter(step="downloaded").values_list("reason", "first", "last")
    assert list(said) == [("code.svg", 2, 2), ("code.png", 3, 3)]
    for number in ("0", "4", "x", "9" * 30):
        assert client.post(f"/labels/{run.uid}/code.png", {"number": number}).status_code == 404


def test_the_code_table_lists_usable_codes_with_their_addresses(world: World, client: Client) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=3, key="a")
    except_units(by=world.distillery, units=list(Unit.objects.filter(number=2)), kind="spoiled", reason="撕坏")
    sign_in(client, world.distillery)
    answer = client.post(f"/labels/{run.uid}/codes.csv")
    assert run.steps.filter(step="downloaded", first=1, last=3, by=world.distillery.user).count() == 1
    rows = b"".join(answer.streaming_content).decode("utf-8-sig").strip().splitlines()  # type: ignore[attr-defined]
    assert [row.split(",")[0] for row in rows] == ["序号", "1", "3"]
    assert rows[1].endswith(f"/01/{GTIN}/21/{Unit.objects.get(number=1).code}")


def test_runs_of_strangers_are_not_there(world: World, client: Client) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=3, key="a")
    for who in (world.shop, world.walnuts, world.other_county):
        sign_in(client, who)
        assert str(run.uid) not in client.get("/labels/").content.decode()
        for part in ("", "label.svg", "codes/"):
            assert client.get(f"/labels/{run.uid}/{part}").status_code == 404, (who, part)
        assert client.get(order_page(run.lot)).status_code == 404
    sign_in(client, world.county)
    assert client.get(f"/labels/{run.uid}/").status_code == 200
    assert client.post(f"/labels/{run.uid}/print/", {"test": "1"}).status_code == 404


def test_wrong_forms_come_back_with_what_was_wrong(world: World, client: Client) -> None:
    lot = bottled(world)
    run = issue_codes(by=world.distillery, lot=lot, count=3, key="a")
    sign_in(client, world.distillery)
    assert client.get(order_page(lot), {**WISH, "count": "1000001"}).status_code == 422
    assert client.get(order_page(lot), {**WISH, "count": "1" * 40}).status_code == 422
    assert client.post(f"/labels/{run.uid}/print/", {"first": "1", "last": "4"}).status_code == 422
    assert client.post(f"/labels/{run.uid}/print/", {"first": "1", "last": "3", "start": "25"}).status_code == 422
    bad = {"first": "2", "last": "1", "kind": "void", "reason": "x"}
    assert client.post(f"/labels/{run.uid}/exceptions/", bad).status_code == 422
    good = {"first": "2", "last": "", "kind": "void", "reason": "遗失"}
    assert client.post(f"/labels/{run.uid}/exceptions/", good).status_code == 302
    assert Unit.objects.get(number=2).state == "void"
    assert client.post(f"/labels/{run.uid}/void/", {"reason": ""}).status_code == 422
    assert client.post(f"/labels/{run.uid}/void/", {"reason": "整卷遗失"}).status_code == 302


def test_the_list_of_runs_costs_the_same_with_one_and_with_fifty(
    world: World, client: Client, django_assert_num_queries: Any
) -> None:
    from django.test.utils import CaptureQueriesContext

    lot = bottled(world)
    sign_in(client, world.distillery)
    issue_codes(by=world.distillery, lot=lot, count=1, key="0", kind="lot")
    client.get("/labels/")
    with CaptureQueriesContext(connection) as one:
        client.get("/labels/")
    for number in range(1, 50):
        issue_codes(by=world.distillery, lot=lot, count=1, key=str(number), kind="lot")
    with django_assert_num_queries(len(one)):
        client.get("/labels/")


def test_dates_on_labels_are_of_the_lot(world: World) -> None:
    from labels.contents import contents

    lot = bottled(world, produced_on=datetime.date(2025, 9, 1))
    run = issue_codes(by=world.distillery, lot=lot, count=1, key="a")
    label = contents(run, list(Unit.objects.all()))[0]
    assert ("生产日期", "2025年9月1日") in label.lines
    assert label.uri == f"http://testserver/01/{GTIN}/21/{Unit.objects.get().code}"
