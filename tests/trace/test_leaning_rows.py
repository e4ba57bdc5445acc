"""Rows of a file that use what a row before them makes, and parties that a file writes down."""

from __future__ import annotations

from typing import Any

import pytest

from tests.goods import make_lot
from tests.trace.sheets import codes, imported, steps_file, upload
from tests.world import World, make_product
from trace.actions.rebuild import rebuild
from trace.imports import running
from trace.models import Event, Lot, Organisation


def row(world: World, taken: str, made: str, amounts: tuple[str, str], **more: Any) -> dict[str, Any]:
    """One processing step: so much of a lot into so much of another."""
    return {
        "when_on": "2026-10-02",
        "place": world.plant.name,
        "inputs-*-lot": taken,
        "inputs-*-amount": amounts[0],
        "outputs-*-product": world.kernels.code,
        "outputs-*-amount": amounts[1],
        "outputs-*-lot_code": made,
        **more,
    }


def test_a_row_uses_what_a_row_before_it_makes(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10", place=world.plant)
    rows = [
        row(world, lot.public_code, "A1", ("8", "8")),
        row(world, "a1", "A2", ("6", "5")),
        row(world, f"A2 · {world.kernels.code}", "A3", ("5", "4")),
    ]
    imported(world.walnuts, "steps", steps_file("common.process", rows), step="common.process")
    last = Lot.objects.get(lot_code="A3")
    middle = last.links_up.get().parent
    assert (middle.lot_code, middle.links_up.get().parent.lot_code) == ("A2", "A1")
    assert [sum(each.stocks.values_list("micros", flat=True)) for each in (middle, last)] == [0, 4_000_000]
    assert not rebuild(write=False).differences


def test_more_than_the_row_before_made_is_refused_at_its_cell_and_nothing_is_written(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10", place=world.plant)
    rows = [row(world, lot.public_code, "A1", ("8", "8")), row(world, "A1", "A2", ("9", "8"))]
    before = Event.objects.count()
    done = upload(world.walnuts, "steps", steps_file("common.process", rows), step="common.process")
    assert [(issue["row"], issue["code"]) for issue in done.issues] == [(3, "not_enough")]
    assert (Event.objects.count(), Lot.objects.filter(lot_code="A1").exists()) == (before, False)


def test_a_row_before_that_is_wrong_is_named_and_one_behind_is_not_found(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10", place=world.plant)
    rows = [row(world, lot.public_code, "A1", ("80", "8")), row(world, "A1", "A2", ("1", "1"))]
    done = upload(world.walnuts, "steps", steps_file("common.process", rows), step="common.process")
    assert codes(done) == ["not_enough", "row_before_refused"]
    assert "第 2 行" in done.issues[1]["message"]
    turned = [row(world, "A1", "A2", ("1", "1")), row(world, lot.public_code, "A1", ("8", "8"))]
    done = upload(world.walnuts, "steps", steps_file("common.process", turned), step="common.process")
    assert codes(done) == ["lot_not_found"]


def test_what_no_standard_allows_is_found_through_the_rows_of_one_file(world: World) -> None:
    mine = world.distillery.organisation
    make_product(mine, "JJ2", "示例基酒", base_unit="LTR", kind="intermediate")
    make_product(mine, "QX", "示例清香基酒", base_unit="LTR", kind="intermediate", standard="gbt10781_2_2022")
    alcohol = make_product(mine, "JJ", "示例外购酒", base_unit="LTR", kind="raw", material="edible_alcohol")
    lot = make_lot(world.distillery, alcohol, "10", place=world.cellar)
    named = {"place": world.cellar.name}
    rows = [
        row(world, lot.public_code, "B1", ("8", "8"), **{**named, "outputs-*-product": "JJ2"}),
        row(world, "B1", "B2", ("6", "6"), **{**named, "outputs-*-product": "QX"}),
    ]
    done = upload(world.distillery, "steps", steps_file("common.process", rows), step="common.process")
    assert [(issue["row"], issue["code"]) for issue in done.issues] == [(3, "forbidden_ancestor")]


def test_too_many_rows_that_lean_on_one_another_are_refused_with_a_way_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MOST_LEANING", 1)
    lot = make_lot(world.walnuts, world.kernels, "10", place=world.plant)
    rows = [row(world, lot.public_code, "A1", ("8", "8")), row(world, "A1", "A2", ("1", "1"))]
    done = upload(world.walnuts, "steps", steps_file("common.process", rows), step="common.process")
    assert codes(done) == ["too_many_leaning"]


def bought(world: World, code: str, **more: Any) -> dict[str, Any]:
    """Goods from somebody nobody has written down."""
    return {
        "when_on": "2026-10-02",
        "place": world.plant.name,
        "party": "示例外省核桃合作社",
        "outputs-*-product": world.kernels.code,
        "outputs-*-amount": "5",
        "outputs-*-lot_code": code,
        "d_inspection_result": "合格",
        "d_origin": "云南省大姚县",
        **more,
    }


def test_a_supplier_nobody_knows_is_written_down_by_the_file_once(world: World) -> None:
    who = {"party_kind": "合作社", "party_division": "汾阳市", "party_phone": "0358-5550101"}
    rows = [bought(world, "X1", **who), bought(world, "批次乙", **who)]
    imported(world.walnuts, "steps", steps_file("common.receive", rows), step="common.receive")
    kept = Organisation.objects.get(name="示例外省核桃合作社")
    assert (kept.status, kept.kept_by) == ("external", world.walnuts.organisation)
    lots = Lot.objects.filter(organisation=kept, is_external=True).order_by("id")
    assert lots[0].lot_code == "X1"
    assert lots[1].old_codes.get().text == "批次乙"
    again = upload(world.walnuts, "steps", steps_file("common.receive", rows), step="common.receive")
    assert codes(again) == ["lot_code_taken", "lot_code_taken"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, "party_unknown"),
        ({"party_kind": "合作社"}, "party_unknown"),
        ({"party_kind": "合作社", "party_division": "汾阳市"}, "contact_required"),
        ({"party_kind": "不是类型", "party_division": "汾阳市", "party_phone": "0358-5550101"}, "kind_not_here"),
        ({"party_kind": "合作社", "party_division": "没有这里", "party_phone": "0358-5550101"}, "division_unknown"),
        ({"party_kind": "合作社", "party_division": "汾阳市", "party_phone": "call me"}, "phone_shape"),
    ],
)
def test_a_supplier_nobody_could_reach_is_not_written_down(world: World, more: dict[str, str], code: str) -> None:
    done = upload(
        world.walnuts, "steps", steps_file("common.receive", [bought(world, "X1", **more)]), step="common.receive"
    )
    assert codes(done) == [code]
    assert not Organisation.objects.filter(name="示例外省核桃合作社").exists()


def test_the_same_lot_code_in_chinese_twice_in_one_file_is_refused(world: World) -> None:
    who = {"party_kind": "合作社", "party_division": "汾阳市", "party_phone": "0358-5550101"}
    rows = [bought(world, "批次乙", **who), bought(world, "批次乙", **who)]
    done = upload(world.walnuts, "steps", steps_file("common.receive", rows), step="common.receive")
    assert codes(done) == ["lot_code_twice"]
