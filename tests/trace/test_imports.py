"""Importing sheets: what is read, what is refused and in which cell, and that it happens whole, once, or not at all."""

from __future__ import annotations

import datetime
import io
from typing import Any

import openpyxl
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from tests.goods import amount, day, make_lot, stock_of
from tests.trace.sheets import codes, comma, excel, imported, steps_file, table, upload
from tests.world import World, behalf, make_actor, make_product, sign_in
from trace.actions.imports import confirm_import, drop_import, forget_sheets, run_next_import, upload_sheet
from trace.actions.rebuild import rebuild
from trace.actions.transfers import take_in
from trace.errors import DomainError, Invalid
from trace.event_templates import templates
from trace.identifiers import uuid7
from trace.imports.book import error_book, template_book
from trace.imports.checking import PROBLEM
from trace.imports.child import number_text
from trace.imports.columns import importable, sheet_for
from trace.imports.known import Known
from trace.ledger import verify
from trace.models import Conflict, Event, Lot, Place, Product, SheetImport, Shipment

pytestmark = pytest.mark.django_db


@pytest.fixture
def raw(world: World) -> Product:
    """Something that needs no release."""
    return make_product(world.walnuts.organisation, "RAW", "示例原料核桃", kind="raw")


def opening(**more: Any) -> dict[str, Any]:
    """A row of opening stock."""
    return {
        "when_on": "2026-09-20",
        "place": "加工车间",
        "outputs-*-product": "RAW",
        "outputs-*-amount": "500斤",
        "outputs-*-lot_code": "OLD-1",
        "d_basis": "示例盘点表",
        **more,
    }


def product_row(**more: Any) -> dict[str, Any]:
    """A row of the product sheet."""
    return {
        "code": "N-1",
        "name": "示例新品",
        "track": "食品",
        "kind": "成品",
        "base_unit": "千克",
        "packs": "袋=0.2；箱=2",
        "shelf_life_days": "240天",
        **more,
    }


def product_file(*rows: dict[str, Any]) -> bytes:
    """A product sheet in Chinese words."""
    sheet = sheet_for("products")
    words = {key: sheet.column(key) for key in ("track", "kind")}
    given = [{**row, **{key: column.offered()[0] for key, column in words.items() if column}} for row in rows]
    return excel(table(sheet, given))


# --- What is read ---------------------------------------------------------------------------------------------------


def test_opening_stock_is_imported_as_lots(world: World, raw: Product) -> None:
    file = steps_file("common.opening", [opening(), opening(**{"outputs-*-lot_code": "", "outputs-*-amount": 12.5})])
    row = imported(world.walnuts, "steps", file, step="common.opening")
    lots = list(Lot.objects.order_by("id"))
    assert [lot.lot_code for lot in lots] == ["OLD-1", "20260920-001"]
    assert [lot.made_micros for lot in lots] == [250_000_000, 12_500_000]
    assert [made[0] for made in row.made] == ["lot", "lot"]
    assert rebuild(write=False).differences == []
    assert list(verify()) == []


def test_products_with_packs_and_places_with_facts_are_imported(world: World) -> None:
    row = imported(world.walnuts, "products", product_file(product_row(), product_row(code="N-2", packs="")))
    made = Product.objects.get(code="N-1")
    assert made.current is not None
    assert (made.current.packs, made.current.shelf_life_days) == ({"袋": "1/5", "箱": "2"}, 240)
    assert [each[0] for each in row.made] == ["product", "product"]
    sheet = sheet_for("places")
    kind = next(word[1] for word in sheet.column("kind").words if word[0] == "plot")  # type: ignore[union-attr]
    places = table(sheet, [{"name": "示例新地块", "kind": kind, "division": "杏花村镇", "facts.area_mu": "12.5"}])
    imported(world.walnuts, "places", excel(places))
    place = Place.objects.get(name="示例新地块")
    assert (place.kind, place.division_id, place.facts) == ("plot", "141182101", {"area_mu": "12.5"})


@pytest.mark.once
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_in_every_encoding_and_with_every_separator_is_understood(
    world: World, raw: Product, encoding: str, separator: str
) -> None:
    rows = table(sheet_for("steps", "common.opening"), [opening(d_basis="示例盘点表，第一页")])
    row = upload(world.walnuts, "steps", comma(rows, encoding=encoding, separator=separator), step="common.opening")
    assert (row.status, row.problem, row.issues) == ("ready", "", [])


def test_a_quotation_mark_left_open_swallows_no_rows(world: World, raw: Product) -> None:
    sheet = sheet_for("steps", "common.opening")
    rows = table(sheet, [opening(**{"outputs-*-lot_code": f"OLD-{n}"}) for n in range(4)])
    lines = comma(rows).decode().splitlines()
    lines[2] = lines[2][:-1].rpartition(",")[0] + ',"没写完,'
    for text in ("\n".join(lines), "\n".join([*lines[:4], lines[4].replace("示例", '"示例')])):
        row = upload(world.walnuts, "steps", text.encode(), step="common.opening")
        assert (row.status, "第 3 行" in row.problem) == ("unreadable", True)
    titled = "开账；示例；二〇二六\n\n" + comma([*rows, [*rows[1][:-3], "第一行\n第二行，还有", "", ""]]).decode()
    row = upload(world.walnuts, "steps", titled.encode(), step="common.opening")
    assert (row.total, codes(row)) == (5, ["lot_code_twice"])


def test_remarks_with_commas_and_lines_of_their_own_are_remarks(world: World, raw: Product) -> None:
    sheet = sheet_for("steps", "common.opening")
    for remark in (f"天气好，{'分几车，' * 20}下午收", "Weighed twice\n" + "first 200 kg, then 180 kg, " * 2):
        text = comma(table(sheet, [opening(remark=remark, **{"outputs-*-lot_code": ""})]))
        row = upload(world.walnuts, "steps", text, step="common.opening")
        assert (row.status, row.problem, row.issues) == ("ready", "", [])


@pytest.mark.parametrize(
    "when",
    [
        datetime.date(2026, 9, 20),
        datetime.datetime(2026, 9, 20, 8, 30),  # noqa: DTZ001  (Excel knows no zone)
        "2026-09-20",
        "2026/9/20",
        "2026年9月20日",
        "２０２６-０９-２０",
        "2026-09-20 08:30",
    ],
)
def test_dates_as_people_write_them_are_understood(world: World, raw: Product, when: Any) -> None:
    imported(world.walnuts, "steps", steps_file("common.opening", [opening(when_on=when)]), step="common.opening")
    event = Event.objects.get()
    china = event.occurred_at.astimezone(datetime.timezone(datetime.timedelta(hours=8)))
    assert china.date() == datetime.date(2026, 9, 20)
    assert event.precision == ("minute" if "30" in str(when) else "day")


@pytest.mark.parametrize(
    ("amount", "unit", "micros"),
    [
        ("500斤", "", 250_000_000),
        ("５００ 斤", "", 250_000_000),
        ("1,234.5", "", 1_234_500_000),
        (0.1, "", 100_000),
        ("0.3", "吨", 300_000_000),
        ("2kg", "kg", 2_000_000),
    ],
)
def test_amounts_with_their_unit_in_the_cell_or_beside_it(
    world: World, raw: Product, amount: Any, unit: str, micros: int
) -> None:
    facts = opening(**{"outputs-*-amount": amount, "outputs-*-unit": unit})
    imported(world.walnuts, "steps", steps_file("common.opening", [facts]), step="common.opening")
    assert Lot.objects.get().made_micros == micros


@pytest.mark.once
def test_a_number_is_what_a_spreadsheet_shows() -> None:
    assert [number_text(value) for value in (0.1 + 0.2, 3 * 1.1, 1e-7, 250000.0, 9520000010010)] == [
        "0.3", "3.3", "0.0000001", "250000", "9520000010010",
    ]  # fmt: skip


def test_a_sheet_in_english_means_the_same(world: World, raw: Product) -> None:
    with translation.override("en"):
        file = steps_file("common.opening", [opening()])
        row = imported(world.walnuts, "steps", file, step="common.opening")
    assert len(row.made) == 1


def test_lines_of_one_slip_become_one_shipment(world: World, raw: Product) -> None:
    lots = [make_lot(world.walnuts, raw, "100", place=world.plant, lot_code=f"R-{number}") for number in range(2)]
    line = {"when_on": "2026-09-25", "party": "示例便民商店", "subjects-*-amount": "10"}
    facts = [
        {**line, "subjects-*-lot": "R-0", "group": "1"},
        {"subjects-*-lot": "R-1", "subjects-*-amount": "20", "group": "1"},
        {**line, "subjects-*-lot": "R-1"},
    ]
    row = imported(world.walnuts, "steps", steps_file("common.ship", facts), step="common.ship")
    assert sorted(shipment.transfers.count() for shipment in Shipment.objects.all()) == [1, 2]
    assert [made[0] for made in row.made] == ["shipment", "shipment"]
    assert [stock_of(lot, world.walnuts.organisation) for lot in lots] == [90_000_000, 70_000_000]


def test_the_template_lists_what_the_organisation_has_and_its_example_is_not_imported(
    world: World, raw: Product
) -> None:
    make_lot(world.walnuts, raw, "100", place=world.plant, lot_code="R-1")
    for language, title in (("zh-hans", "填写"), ("en", "Fill in")):
        with translation.override(language):
            file = template_book(sheet_for("steps", "common.process"), Known(world.walnuts))
        book = openpyxl.load_workbook(io.BytesIO(file))
        assert book.sheetnames[0] == title
        lists = [[cell for cell in column if cell] for column in book.worksheets[2].iter_cols(values_only=True)]
        words = {word for each in lists for word in each}
        assert {"RAW · 示例原料核桃", "加工车间", "R-1"} <= words
        assert len(book.worksheets[0].data_validations.dataValidation) >= 4
        row = upload(world.walnuts, "steps", file, step="common.process", name=f"{language}.xlsx")
        assert codes(row) == ["no_rows"]


def test_lots_with_one_code_are_told_apart_in_the_list_and_in_the_refusal(world: World, raw: Product) -> None:
    lots = [make_lot(world.walnuts, product, "9", lot_code="TWIN-1") for product in (raw, world.kernels)]
    lone = make_lot(world.walnuts, raw, "9", lot_code="LONE-1")
    assert Known(world.walnuts).offers("lots") == ["LONE-1", "TWIN-1 · HTR-200", "TWIN-1 · RAW"]
    known = Known(world.walnuts)
    known.read_lots(["TWIN-1", "LONE-1"])
    assert [known.lot(text) for text in ("TWIN-1 · RAW", "TWIN-1 · HTR-200", "LONE-1")] == [*lots, lone]
    with pytest.raises(Invalid) as error:
        known.lot("TWIN-1")
    assert (error.value.code, "TWIN-1 · RAW" in error.value.message) == ("lot_ambiguous", True)
    for supplier in (world.cooperative, world.grower):
        take_in(
            by=world.walnuts, supplier=supplier.organisation, product=raw, supplier_lot="SAME-1",
            amount=amount("5", raw), when=day(1), data={"inspection_result": "合格"},
        )  # fmt: skip
    offered = Known(world.walnuts).offers("lots")[:2]
    known = Known(world.walnuts)
    known.read_lots(offered)
    assert len({known.lot(word).pk for word in offered}) == 2, offered


def test_no_sheet_of_a_step_has_two_columns_of_one_name(world: World) -> None:
    found = [step for step in templates().values() if importable(step)]
    assert len(found) > 40
    for step in found:
        sheet = sheet_for("steps", step.code)
        for language in ("zh-hans", "en"):
            with translation.override(language):
                labels = [column.label() for column in sheet.columns]
            assert len(set(labels)) == len(labels), f"{step.code}: two columns with one name: {labels}"


# --- What is refused, and where -------------------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.parametrize(
    ("key", "text", "code"),
    [
        ("when_on", "2026-02-30", "not_a_date"),
        ("when_on", "去年", "not_a_date"),
        ("when_on", "2999-01-01", "out_of_range"),
        ("when_on", "2190-01-01", "in_future"),
        ("when_on", "", "required"),
        ("place", "没有的地点", "place_unknown"),
        ("outputs-*-product", "没有的产品", "product_unknown"),
        ("outputs-*-amount", "", "amount_required"),
        ("outputs-*-amount", "-5", "amount_negative"),
        ("outputs-*-amount", "5坛", "unit_unknown"),
        ("outputs-*-unit", "坛", "unit_unknown"),
        ("outputs-*-amount", "很多", "amount_not_a_number"),
        ("outputs-*-lot_code", "批号一", "lot_code_characters"),
        ("outputs-*-lot_code", "A" * 21, "lot_code_length"),
        ("d_basis", "", "required"),
    ],
)
def test_each_error_is_told_at_its_cell_and_nothing_is_written(
    world: World, raw: Product, key: str, text: str, code: str
) -> None:
    amount = "5" if key == "outputs-*-unit" else "500斤"
    facts = [opening(), opening(**{"outputs-*-lot_code": "OLD-2", "outputs-*-amount": amount, key: text})]
    row = upload(world.walnuts, "steps", steps_file("common.opening", facts), step="common.opening")
    assert row.status == "faulty"
    assert len(row.issues) == 1, row.issues
    sheet = sheet_for("steps", "common.opening")
    column = sheet.columns[row.issues[0]["column"]].key
    assert (row.issues[0]["row"], column, row.issues[0]["code"]) == (3, key, code)
    with pytest.raises(DomainError) as refused:
        confirm_import(row=row, by=world.walnuts)
    assert refused.value.code == "stale_state"
    assert not Event.objects.exists()


def test_all_errors_are_told_at_once(world: World, raw: Product) -> None:
    facts = [opening(**{"outputs-*-lot_code": "", "place": f"无{n}", "outputs-*-amount": "x"}) for n in range(30)]
    row = upload(world.walnuts, "steps", steps_file("common.opening", facts), step="common.opening")
    assert len(row.issues) == 60
    assert {issue["row"] for issue in row.issues} == set(range(2, 32))


def test_a_lot_code_twice_in_the_sheet_or_given_before_is_refused(world: World, raw: Product) -> None:
    make_lot(world.walnuts, raw, "1", lot_code="OLD-1")
    facts = [opening(), opening(**{"outputs-*-lot_code": "B-1"}), opening(**{"outputs-*-lot_code": "b-1"})]
    row = upload(world.walnuts, "steps", steps_file("common.opening", facts), step="common.opening")
    assert [(issue["row"], issue["code"]) for issue in row.issues] == [(2, "lot_code_taken"), (4, "lot_code_twice")]


def test_products_already_there_or_twice_in_the_sheet_are_refused(world: World) -> None:
    rows = [product_row(code="HTR-200"), product_row(), product_row(name="另一个"), product_row(code="N-3", packs="箱")]
    row = upload(world.walnuts, "products", product_file(*rows))
    assert [(issue["row"], issue["code"]) for issue in row.issues] == [
        (2, "product_code_taken"),
        (4, "row_twice"),
        (5, "packs_form"),
    ]
    assert not Product.objects.filter(code="N-1").exists()


def test_everything_wrong_in_a_row_is_told_at_once(world: World) -> None:
    wrong = product_row(
        code="HTR-200", name="", base_unit="公斤?", family="核桃", shelf_life_days="两百", gtin="9521234567891"
    )
    row = upload(world.walnuts, "products", product_file(product_row(), wrong, product_row(name="")))
    assert [(issue["row"], issue["code"]) for issue in row.issues] == [
        (3, "product_code_taken"),
        (3, "required"),
        (3, "base_unit_unknown"),
        (3, "family_unknown"),
        (3, "not_an_integer"),
        (3, "gtin_check"),
        (4, "row_twice"),
        (4, "required"),
    ]
    assert not Product.objects.filter(code="N-1").exists()


def test_what_stands_beside_an_unknown_lot_is_checked_all_the_same(world: World) -> None:
    base = make_product(world.distillery.organisation, "JJ", "示例基酒", base_unit="LTR", kind="intermediate")
    jar = make_lot(world.distillery, base, "100")
    shared = {"when_on": "2026-09-20", "outputs-*-product": "JJ", "outputs-*-amount": "90", "d_output_abv": "60"}
    strengths = (("无此批次", "六十五"), ("无此批次", "165"), (jar.lot_code, "x"), ("无此批次", "65"))
    facts = [{**shared, "inputs-*-lot": lot, "inputs-*-amount": "10", "inputs-*-x_abv": abv} for lot, abv in strengths]
    row = upload(world.distillery, "steps", steps_file("baijiu.blend", facts), step="baijiu.blend")
    found = [(issue["row"], issue["code"]) for issue in row.issues if issue["code"] != "place_required"]
    assert found == [
        (2, "lot_not_found"),
        (2, "not_a_number"),
        (3, "lot_not_found"),
        (3, "out_of_range"),
        (4, "not_a_number"),
        (5, "lot_not_found"),
    ]


def test_a_missing_an_unknown_and_a_doubled_column_are_named(world: World, raw: Product) -> None:
    rows = [["日期", "批号", "数量", "数量", "颜色"], ["2026-09-20", "A-1", "5", "5", "红"]]
    row = upload(world.walnuts, "steps", excel(rows), step="common.opening")
    assert sorted(codes(row)) == ["column_missing", "column_twice", "column_unknown"]


def test_a_formula_is_not_taken_for_a_value(world: World, raw: Product) -> None:
    facts = [opening(**{"outputs-*-amount": "=2+3"})]
    row = upload(world.walnuts, "steps", steps_file("common.opening", facts), step="common.opening")
    assert codes(row) == ["cell_formula"]


def test_lots_of_others_are_as_unknown_as_ones_that_never_were(world: World, raw: Product) -> None:
    make_lot(world.distillery, world.baijiu, "100", lot_code="SECRET-1")
    for code in ("SECRET-1", "NEVER-1"):
        facts = [{"when_on": "2026-09-25", "party": "示例便民商店", "subjects-*-lot": code, "subjects-*-amount": "1"}]
        row = upload(world.walnuts, "steps", steps_file("common.ship", facts), step="common.ship")
        assert codes(row) == ["lot_not_found"]


def test_lines_of_one_slip_may_not_contradict_each_other(world: World, raw: Product) -> None:
    make_lot(world.walnuts, raw, "100", place=world.plant, lot_code="R-0")
    line = {
        "when_on": "2026-09-25",
        "party": "示例便民商店",
        "subjects-*-lot": "R-0",
        "subjects-*-amount": "1",
        "group": "1",
    }
    row = upload(
        world.walnuts,
        "steps",
        steps_file("common.ship", [line, {**line, "party": "示例商贸有限公司"}]),
        step="common.ship",
    )
    assert [(issue["row"], issue["code"]) for issue in row.issues] == [(3, "group_differs")]


def test_the_error_workbook_marks_the_cells_and_can_be_mended_and_uploaded(world: World, raw: Product) -> None:
    facts = [opening(place="没有的地点", d_basis="=1+1"), opening(**{"outputs-*-lot_code": "OLD-2"})]
    row = upload(
        world.walnuts, "steps", comma(table(sheet_for("steps", "common.opening"), facts)), step="common.opening"
    )
    assert codes(row) == ["place_unknown"]
    file = error_book([(number, cells) for number, cells in row.rows], row.issues)
    book = openpyxl.load_workbook(io.BytesIO(file))
    page = book.worksheets[0]
    at = [column.key for column in sheet_for("steps", "common.opening").columns].index("place") + 1
    cell = page.cell(2, at)
    assert cell.comment is not None
    assert "没有的地点" in cell.comment.text
    assert cell.fill.fgColor.rgb.endswith("F9D9D6")
    assert page.cell(1, page.max_column).value == PROBLEM[0]
    assert all(each.data_type != "f" for line in page.iter_rows() for each in line), "a formula came back alive"
    cell.value = "加工车间"
    mended = io.BytesIO()
    book.save(mended)
    again = upload(world.walnuts, "steps", mended.getvalue(), step="common.opening")
    assert (again.status, again.issues) == ("ready", [])


# --- Guards ---------------------------------------------------------------------------------------------------------


def overdrawn(raw: Product, world: World, **more: Any) -> bytes:
    """Two shipments of which the second takes more than is left."""
    make_lot(world.walnuts, raw, "100", place=world.plant, lot_code="R-0")
    line = {"when_on": "2026-09-25", "party": "示例便民商店", "subjects-*-lot": "R-0", "subjects-*-amount": "60"}
    return steps_file("common.ship", [line, {**line, **more}])


def test_a_row_that_breaks_a_rule_says_so_and_is_written_only_when_insisted_on(world: World, raw: Product) -> None:
    row = upload(world.walnuts, "steps", overdrawn(raw, world), step="common.ship")
    assert (row.status, codes(row)) == ("ready", ["not_enough"])
    assert row.issues[0]["insistable"]
    with pytest.raises(DomainError) as refused:
        confirm_import(row=row, by=world.walnuts)
    assert refused.value.code == "guard_broken"
    confirm_import(row=row, by=world.walnuts, insist=["not_enough"])
    run_next_import()
    row.refresh_from_db()
    assert (row.status, row.conflicts) == ("done", 1)
    assert [conflict.code for conflict in Conflict.objects.all()] == ["not_enough"]


def test_the_column_for_it_did_happen_insists_on_one_row(world: World, raw: Product) -> None:
    row = imported(world.walnuts, "steps", overdrawn(raw, world, insist="是"), step="common.ship")
    assert row.conflicts == 1


def test_what_changed_between_check_and_confirmation_writes_nothing_and_is_shown(world: World, raw: Product) -> None:
    lot = make_lot(world.walnuts, raw, "100", place=world.plant, lot_code="R-0")
    line = {"when_on": "2026-09-25", "party": "示例便民商店", "subjects-*-lot": "R-0", "subjects-*-amount": "60"}
    row = upload(world.walnuts, "steps", steps_file("common.ship", [line]), step="common.ship")
    assert row.issues == []
    imported(world.walnuts, "steps", steps_file("common.ship", [{**line, "remark": "先"}]), step="common.ship")
    before = Event.objects.count()
    confirm_import(row=row, by=world.walnuts)
    run_next_import()
    row.refresh_from_db()
    assert (row.status, codes(row), Event.objects.count()) == ("ready", ["not_enough"], before)
    assert row.problem
    assert stock_of(lot, world.walnuts.organisation) == 40_000_000


# --- Whole, once, found again ---------------------------------------------------------------------------------------


def test_rows_that_say_the_very_same_are_named_before_they_are_written(
    world: World, raw: Product, client: Client
) -> None:
    rows = [opening(**{"outputs-*-lot_code": ""})] * 3
    row = upload(world.walnuts, "steps", steps_file("common.opening", rows), step="common.opening")
    page = sign_in(client, world.walnuts).get(reverse("trace:import_detail", args=[row.uid])).content.decode()
    assert "第 3 行同第 2 行" in page
    assert "第 4 行同第 2 行" in page
    assert "这样的还有" not in page
    row = upload(world.walnuts, "steps", steps_file("common.opening", rows * 5), step="common.opening")
    page = client.get(reverse("trace:import_detail", args=[row.uid])).content.decode()
    assert "这样的还有 4 行。" in page
    row = upload(world.walnuts, "steps", steps_file("common.opening", rows[:1]), step="common.opening")
    page = client.get(reverse("trace:import_detail", args=[row.uid])).content.decode()
    assert "一模一样" not in page


def test_the_same_file_again_is_noticed_and_confirming_twice_imports_once(world: World, raw: Product) -> None:
    file = steps_file("common.opening", [opening(**{"outputs-*-lot_code": ""})])
    row = upload(world.walnuts, "steps", file, step="common.opening")
    assert upload_sheet(by=world.walnuts, kind="steps", step="common.opening", name="b.xlsx", data=file).pk == row.pk
    for _time in range(2):
        confirm_import(row=SheetImport.objects.get(pk=row.pk), by=world.walnuts)
    while run_next_import():
        pass
    confirm_import(row=SheetImport.objects.get(pk=row.pk), by=world.walnuts)
    assert not run_next_import()
    assert Event.objects.count() == 1
    second = upload(world.walnuts, "steps", file, step="common.opening")
    assert second.pk != row.pk
    with pytest.raises(DomainError) as refused:
        confirm_import(row=second, by=world.walnuts)
    assert refused.value.code == "already_imported"
    confirm_import(row=second, by=world.walnuts, again=True)
    run_next_import()
    assert Event.objects.count() == 2


def test_the_same_file_checked_in_two_tabs_is_written_once(world: World, raw: Product, client: Client) -> None:
    file = steps_file("common.opening", [opening(**{"outputs-*-lot_code": ""})])
    rows = [upload(world.walnuts, "steps", file, step="common.opening")]
    # As two uploads that overlap leave it: each of them checked and waiting for a word.
    rows.append(SheetImport.objects.get(pk=rows[0].pk))
    rows[1].pk, rows[1].uid = None, uuid7()
    rows[1].save()
    confirm_import(row=rows[1], by=world.walnuts)
    with pytest.raises(DomainError) as refused:
        confirm_import(row=rows[0], by=world.walnuts)
    assert refused.value.code == "already_imported"
    page = sign_in(client, world.walnuts).get(reverse("trace:import_detail", args=[rows[0].uid])).content.decode()
    assert "确实要再导入一次" in page
    while run_next_import():
        pass
    assert Event.objects.count() == 1


def test_two_rows_with_one_lot_code_are_told_of_each_other(world: World, raw: Product) -> None:
    codes_typed = (("A-1", "500斤"), ("A-2", "500斤"), ("A-1", "400斤"))
    lines = [opening(**{"outputs-*-lot_code": code, "outputs-*-amount": much}) for code, much in codes_typed]
    sheet = steps_file("common.opening", lines)
    row = upload(world.walnuts, "steps", sheet, step="common.opening")
    (issue,) = row.issues
    assert (issue["row"], issue["code"]) == (4, "lot_code_twice")
    assert "第 2 行" in issue["message"]
    # Two products may use one code each.
    other = make_product(world.walnuts.organisation, "RAW2", "示例另一种", kind="raw")
    mixed = [opening(**{"outputs-*-lot_code": "X-1"}), opening(**{"outputs-*-lot_code": "X-1"})]
    mixed[1]["outputs-*-product"] = other.code
    row = upload(world.walnuts, "steps", steps_file("common.opening", mixed), step="common.opening")
    assert row.issues == []


def test_a_dropped_import_is_never_written_and_forgets_its_rows(world: World, raw: Product) -> None:
    row = upload(world.walnuts, "steps", steps_file("common.opening", [opening()]), step="common.opening")
    drop_import(row=row, by=world.walnuts)
    row.refresh_from_db()
    assert (row.status, row.rows, row.file) == ("dropped", [], None)
    with pytest.raises(DomainError):
        confirm_import(row=row, by=world.walnuts)
    assert not run_next_import()


def test_a_silent_workers_sheet_is_taken_over_and_given_up_after_the_third_time(world: World, raw: Product) -> None:
    file = steps_file("common.opening", [opening()])
    row = upload(world.walnuts, "steps", file, step="common.opening")
    confirm_import(row=row, by=world.walnuts)
    long_ago = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    died = {"status": "writing", "lease": row.uid, "leased_until": long_ago}
    SheetImport.objects.filter(pk=row.pk).update(**died, attempts=3)
    assert run_next_import()
    row.refresh_from_db()
    assert (row.status, Event.objects.count()) == ("failed", 0)
    SheetImport.objects.filter(pk=row.pk).update(**died, attempts=1)
    assert run_next_import()
    row.refresh_from_db()
    assert (row.status, Event.objects.count()) == ("done", 1)


def test_who_has_left_imports_nothing(world: World, raw: Product) -> None:
    left = make_actor(world.walnuts.organisation, "operator")
    row = upload(left, "steps", steps_file("common.opening", [opening()]), step="common.opening")
    confirm_import(row=row, by=left)
    assert left.membership is not None
    type(left.membership).objects.filter(pk=left.membership.pk).update(ended_at=datetime.datetime.now(datetime.UTC))
    run_next_import()
    row.refresh_from_db()
    assert (row.status, Event.objects.count()) == ("failed", 0)


def test_a_clerk_imports_for_a_grower(world: World) -> None:
    clerk = behalf(world.clerk, world.grower.organisation)
    facts = [opening(**{"place": "坡头地块一", "outputs-*-product": "QPH"})]
    imported(clerk, "steps", steps_file("common.opening", facts), step="common.opening")
    event = Event.objects.get()
    assert (event.organisation, event.entered_by_organisation) == (world.grower.organisation, world.clerk.organisation)


def test_rows_are_forgotten_after_a_month(world: World, raw: Product) -> None:
    row = imported(world.walnuts, "steps", steps_file("common.opening", [opening()]), step="common.opening")
    assert forget_sheets() == 0
    assert forget_sheets(now=row.created_at + datetime.timedelta(days=31)) == 1
    row.refresh_from_db()
    assert (row.rows, len(row.made)) == ([], 1)


# --- Pages ----------------------------------------------------------------------------------------------------------


def send(client: Client, kind: str, data: bytes, step: str = "") -> Any:
    """Upload by the page."""
    file = io.BytesIO(data)
    file.name = "示例表.xlsx"
    address = reverse("trace:import_new", args=[kind]) + (f"?step={step}" if step else "")
    return client.post(address, {"file": file}, follow=True)


def test_the_pages_lead_from_template_to_what_was_made(world: World, raw: Product, client: Client) -> None:
    sign_in(client, world.walnuts)
    assert client.get(reverse("trace:import_list")).status_code == 200
    assert client.get(reverse("trace:import_steps")).status_code == 200
    address = reverse("trace:import_new", args=["steps"]) + "?step=common.opening"
    assert client.get(address).status_code == 200
    template = client.get(reverse("trace:import_template", args=["steps"]) + "?step=common.opening")
    assert template.content.startswith(b"PK")
    page = send(client, "steps", steps_file("common.opening", [opening()]), "common.opening")
    assert 'http-equiv="refresh"' in page.content.decode()
    run_next_import()
    row = SheetImport.objects.get()
    detail = reverse("trace:import_detail", args=[row.uid])
    ready = client.get(detail).content.decode()
    assert "OLD-1" in ready
    assert 'http-equiv="refresh"' not in ready
    client.post(reverse("trace:import_confirm", args=[row.uid]))
    run_next_import()
    assert "OLD-1" in client.get(detail).content.decode()
    assert "示例表.xlsx" in client.get(reverse("trace:import_list")).content.decode()


def test_the_page_of_a_faulty_sheet_shows_each_cell_and_gives_the_workbook(
    world: World, raw: Product, client: Client
) -> None:
    sign_in(client, world.walnuts)
    send(client, "steps", steps_file("common.opening", [opening(place="<b>无</b>")]), "common.opening")
    run_next_import()
    row = SheetImport.objects.get()
    page = client.get(reverse("trace:import_detail", args=[row.uid])).content.decode()
    assert row.issues[0]["message"].replace("<b>", "&lt;b&gt;").replace("</b>", "&lt;/b&gt;") in page
    assert "<b>无" not in page
    assert client.get(reverse("trace:import_errors", args=[row.uid])).content.startswith(b"PK")
    assert client.post(reverse("trace:import_confirm", args=[row.uid])).status_code == 409
    assert client.post(reverse("trace:import_drop", args=[row.uid])).status_code == 302


def test_a_strangers_import_is_not_found(world: World, raw: Product, client: Client) -> None:
    row = upload(world.walnuts, "steps", steps_file("common.opening", [opening()]), step="common.opening")
    for stranger in (world.distillery, world.county):
        sign_in(client, stranger)
        for name in ("import_detail", "import_errors"):
            assert client.get(reverse(f"trace:{name}", args=[row.uid])).status_code == 404
        for name in ("import_confirm", "import_drop"):
            assert client.post(reverse(f"trace:{name}", args=[row.uid])).status_code == 404
    sign_in(client, make_actor(world.walnuts.organisation, "viewer"))
    assert client.get(reverse("trace:import_list")).status_code == 403


@pytest.mark.parametrize(
    "address", ["/imports/new/nonsense/", "/imports/new/steps/", "/imports/new/steps/?step=common.hold"]
)
def test_what_cannot_be_imported_has_no_page(world: World, client: Client, address: str) -> None:
    sign_in(client, world.walnuts)
    assert client.get(address).status_code == 404


def test_no_file_an_empty_one_and_one_too_large_are_told_at_the_field(
    world: World, client: Client, settings: Any
) -> None:
    sign_in(client, world.walnuts)
    settings.UPLOAD_MAX_BYTES = 1000
    address = reverse("trace:import_new", args=["products"])
    assert client.post(address).status_code == 422
    for data in (b"", b"x" * 1001):
        assert send(client, "products", data).status_code == 422
    assert not SheetImport.objects.exists()
