"""Reports judged by the catalogue: edition, grade, age, pledge, conversion; whatever the report itself claims."""

import datetime
from collections.abc import Sequence

import pytest

from tests.goods import amount, day, make_lot
from tests.world import World
from trace.actions.events import Portion, When
from trace.actions.evidence import ResultEntry, record_report
from trace.errors import FieldErrors, Invalid
from trace.event_templates import template, validate_data
from trace.limits import entries_from_data
from trace.models import Limit, Lot, ProductVersion, Standard, TestReport, TestResult
from trace.result_words import result_line

pytestmark = pytest.mark.django_db


def report_of(
    world: World, lot: Lot, entries: Sequence[ResultEntry], *, when: When | None = None
) -> dict[str, TestResult]:
    report = record_report(
        by=world.distillery,
        lot=lot,
        report_number=f"示例-{TestReport.objects.count()}",
        issued_on=(when or day(2)).at.date(),
        results=entries,
        when=when or day(2),
        laboratory_name="示例检测技术服务有限公司",
    )
    return {row.parameter: row for row in report.results.all()}


def from_form(lot: Lot, world: World, code: str, **data: object) -> dict[str, TestResult]:
    found = template(code)
    required = {field.key for field in found.fields if field.required}
    cleaned, _warnings = validate_data(found, data, provided=required)
    report = record_report(
        by=world.distillery,
        lot=lot,
        report_number=f"示例-{TestReport.objects.count()}",
        issued_on=day(2).at.date(),
        results=entries_from_data(found, cleaned),
        when=day(2),
        laboratory_name="示例检测技术服务有限公司",
        code=code,
        data=data,
    )
    return {row.parameter: row for row in report.results.all()}


def bottled(world: World, *, produced_on: datetime.date = datetime.date(2026, 9, 20), **version: object) -> Lot:
    product = world.baijiu
    if version:
        old = product.current
        assert old is not None
        product.current = ProductVersion.objects.create(
            product=product, number=2, name=old.name, standard_id=old.standard_id, **version
        )
        product.save(update_fields=["current"])
    return make_lot(world.distillery, product, produced_on=produced_on)


def test_methanol_of_a_free_report_is_converted_whatever_limit_it_claims(world: World) -> None:
    rows = report_of(
        world,
        bottled(world),
        [
            ResultEntry("1", "酒精度", "42", unit="%vol"),
            ResultEntry("2", "甲醇", "0.30", unit="g/L", limit_operator="<=", limit_value="0.6"),
        ],
    )
    assert (rows["2"].verdict, rows["2"].reason) == ("not_judged", "converted")
    converted = rows["methanol_100"]
    assert (converted.value, converted.verdict, converted.limit_value) == ("0.7143", "fail", "0.6")
    assert converted.limit_source == "GB 2757-2012"
    assert converted.report.verdict == "fail"


def test_methanol_without_the_strength_is_not_judged(world: World) -> None:
    rows = report_of(world, bottled(world), [ResultEntry("methanol", "甲醇", "0.30", unit="g/L")])
    assert {key: (row.verdict, row.reason) for key, row in rows.items()} == {
        "methanol": ("not_judged", "strength_unknown")
    }


def test_a_converted_value_cannot_be_typed_over(world: World) -> None:
    rows = report_of(
        world,
        bottled(world),
        [
            ResultEntry("abv", "酒精度", "42", unit="%vol"),
            ResultEntry("methanol", "甲醇", "0.30", unit="g/L"),
            ResultEntry("methanol_100", "甲醇（折100%vol）", "0.30", unit="g/L"),
        ],
    )
    assert rows["methanol_100"].value == "0.7143"
    assert rows["methanol_100"].verdict == "fail"


def test_an_item_that_says_it_is_converted_is_not_converted_again(world: World) -> None:
    said = [
        ResultEntry("1", "酒精度", "42", unit="%vol"),
        ResultEntry("2", "甲醇（以 100％ 酒精度计）", "0.35", unit="g/L"),
    ]
    lot = bottled(world)
    rows = report_of(world, lot, said)
    assert (rows["2"].verdict, rows["2"].limit_value, len(rows)) == ("pass", "0.6", 2)
    rows = report_of(world, lot, [*said, ResultEntry("3", "甲醇", "0.30", unit="g/L")])
    assert (set(rows), rows["methanol_100"].verdict) == ({"1", "3", "methanol_100"}, "fail")


def test_of_two_strengths_the_lower_one_converts(world: World) -> None:
    strengths = [ResultEntry(str(n), "酒精度", text, unit="%vol") for n, text in enumerate(("42", "60"))]
    rows = report_of(world, bottled(world), [*strengths, ResultEntry("methanol", "甲醇", "0.30", unit="g/L")])
    assert (rows["methanol_100"].value, rows["methanol_100"].unit) == ("0.7143", "g/L")


def test_a_sweetener_found_fails_the_liquor(world: World) -> None:
    typed = {"abv": "53", "methanol": "0.1", "cyanide": "未检出(<0.02)", "solids": "0.4"}
    lot = bottled(world)
    rows = from_form(lot, world, "baijiu.factory_test", **typed, sweeteners=["糖精钠：0.5 g/kg"])
    found = rows["sweeteners"]
    assert (found.name, found.value, found.unit, found.limit_operator) == ("糖精钠", "0.5", "g/kg", "absent")
    assert (found.limit_source, found.limit_verified) == ("GB 2760-2024", False)
    assert found.verdict == found.report.verdict == "fail"
    assert result_line(found).limit == "不得检出"
    rows = from_form(lot, world, "baijiu.factory_test", **typed, sweeteners=["安赛蜜(E950) <0.01 mg/kg"])
    assert rows["sweeteners"].report.verdict == "pass"
    assert report_of(world, lot, [ResultEntry("1", "甜蜜素", "0.2", unit="g/kg")])["1"].verdict == "fail"
    test = template("baijiu.factory_test")
    for said in (["糖精钠"], "安赛蜜 未检出\n糖精钠"):
        with pytest.raises(FieldErrors) as caught:
            entries_from_data(test, {"sweeteners": said})
        assert {key: error.code for key, error in caught.value.fields.items()} == {"sweeteners": "not_a_number"}
    lines = entries_from_data(test, {"sweeteners": "安赛蜜 未检出；糖精钠 0.02 g/kg"})
    assert [(each.name, each.operator, each.value) for each in lines] == [("安赛蜜", "nd", ""), ("糖精钠", "=", "0.02")]


@pytest.mark.parametrize(
    "line",
    [
        "甜蜜素 1 000 mg/kg",
        "甜蜜素 1,000 mg/kg",
        "甜蜜素：2e3 mg/kg",
        "糖精钠 .5 g/kg",
        "糖精钠 -0.5",
        "E954",
        "方法 GB 5009.28",
        "糖精钠 0.5 g/kg 其余未检出",
    ],
)
def test_what_is_no_result_is_refused(line: str) -> None:
    with pytest.raises(FieldErrors) as caught:
        entries_from_data(template("baijiu.factory_test"), {"sweeteners": [line]})
    assert {key: error.code for key, error in caught.value.fields.items()} == {"sweeteners": "not_a_number"}


def test_no_honest_line_is_a_finding() -> None:
    said = "糖精钠 未检出，检出限 0.01 g/kg；E950 未检出，定量限：0.005g/kg；安赛蜜（E950）：未检出；"
    said += "甜蜜素 GB 5009.97 未检出"
    lines = entries_from_data(template("baijiu.factory_test"), {"sweeteners": said})
    assert [(each.name, each.operator, each.loq) for each in lines] == [
        ("糖精钠", "nd", "0.01"),
        ("E950", "nd", "0.005"),
        ("安赛蜜(E950)", "nd", ""),
        ("甜蜜素 GB 5009.97", "nd", ""),
    ]


def test_no_finding_hides_behind_something_that_was_not_found() -> None:
    lines = entries_from_data(template("baijiu.factory_test"), {"sweeteners": ["糖精钠 未检出, E955:0.5g/kg"]})
    assert [(each.name, each.operator, each.value) for each in lines] == [("糖精钠", "nd", ""), ("E955", "=", "0.5")]


def test_a_finding_in_the_fields_of_the_step_counts_beside_what_is_said_of_another(world: World) -> None:
    lot = bottled(world)
    report = record_report(
        by=world.distillery,
        lot=lot,
        report_number="示例-1",
        issued_on=day(2).at.date(),
        results=[ResultEntry("sweeteners", "安赛蜜", operator="nd"), ResultEntry("abv", "酒精度", "42", unit="%vol")],
        when=day(2),
        laboratory_name="示例检测技术服务有限公司",
        code="baijiu.factory_test",
        data={
            "abv": "42",
            "solids": "0.4",
            "methanol": "0.1",
            "cyanide": "未检出",
            "sweeteners": ["安赛蜜 未检出", "糖精钠 0.5 g/kg"],
        },
    )
    rows = report.results.filter(parameter="sweeteners").order_by("number")
    assert [(row.name, row.verdict) for row in rows] == [("安赛蜜", "pass"), ("糖精钠", "fail")]
    assert report.verdict == "fail"


def test_what_is_no_number_is_refused_at_its_field() -> None:
    with pytest.raises(FieldErrors) as caught:
        entries_from_data(template("baijiu.factory_test"), {"abv": {"value": 1}})
    assert {key: error.code for key, error in caught.value.fields.items()} == {"abv": "not_a_number"}


def test_results_in_the_fields_of_a_step_are_judged_though_a_program_tells_others(world: World) -> None:
    report = record_report(
        by=world.distillery,
        lot=bottled(world),
        report_number="示例-1",
        issued_on=day(2).at.date(),
        results=[ResultEntry("solids", "固形物", "0.1", unit="g/L")],
        when=day(2),
        laboratory_name="示例检测技术服务有限公司",
        code="baijiu.factory_test",
        data={"abv": "42", "methanol": "0.5", "cyanide": "0.1", "solids": "0.1", "sample_qty": "0"},
    )
    assert report.verdict == "fail"
    assert [row.verdict for row in report.results.filter(parameter="methanol_100")] == ["fail"]


def test_the_test_form_judges_what_it_converts(world: World) -> None:
    lot = bottled(world)
    rows = from_form(
        lot, world, "baijiu.factory_test", abv="53", methanol="0.50", cyanide="未检出(<0.02)", solids="0.4"
    )
    assert {key: row.verdict for key, row in rows.items()} == {
        "abv": "not_judged",
        "solids": "pass",
        "methanol": "not_judged",
        "methanol_100": "fail",
        "cyanide": "not_judged",
        "cyanide_100": "pass",
    }
    assert rows["cyanide_100"].loq == "0.03774"


@pytest.mark.parametrize("grade", ["优级", "优级品"])
def test_the_limits_depend_on_the_grade_and_the_age_of_the_lot(world: World, grade: str) -> None:
    acid = [ResultEntry("total_acid", "总酸", "0.45", unit="g/L")]
    assert report_of(world, bottled(world), acid)["total_acid"].reason == "grade_unknown"
    superior = bottled(world, grade=grade)
    assert (report_of(world, superior, acid)["total_acid"].verdict) == "pass"
    old = make_lot(world.distillery, world.baijiu, produced_on=datetime.date(2025, 9, 1))
    row = report_of(world, old, acid)["total_acid"]
    assert (row.verdict, row.reason) == ("not_judged", "other_age")


def test_goods_older_than_the_edition_are_not_judged_by_it(world: World) -> None:
    solids = [ResultEntry("solids", "固形物", "0.9", unit="g/L")]
    assert report_of(world, bottled(world), solids)["solids"].verdict == "fail"
    before = make_lot(world.distillery, world.baijiu, produced_on=datetime.date(2023, 1, 31))
    row = report_of(world, before, solids)["solids"]
    assert (row.verdict, row.reason) == ("not_judged", "no_edition")


def test_a_new_edition_judges_what_is_made_from_its_day_on(world: World) -> None:
    old = Standard.objects.get(pk="gb2757_2012")
    new = Standard.objects.create(key="gb2757_2026", number="GB 2757-2026", effective_on=datetime.date(2026, 9, 21))
    Limit.objects.create(standard=new, parameter="methanol", name="甲醇", operator="<=", value="0.3", unit="g/L")
    old.replaced_by, old.ended_on = new, new.effective_on
    old.save(update_fields=["replaced_by", "ended_on"])
    report = [ResultEntry("abv", "酒精度", "50", unit="%vol"), ResultEntry("methanol", "甲醇", "0.2", unit="g/L")]
    by_old = report_of(world, bottled(world), report)["methanol_100"]
    assert (by_old.verdict, by_old.limit_source) == ("pass", "GB 2757-2012")
    later = make_lot(world.distillery, world.baijiu, when=day(1), produced_on=datetime.date(2026, 9, 21))
    by_new = report_of(world, later, report, when=day(3))["methanol_100"]
    assert (by_new.verdict, by_new.limit_source) == ("fail", "GB 2757-2026")


def test_the_stricter_pledge_of_the_product_judges_and_a_laxer_one_does_not(world: World) -> None:
    report = [ResultEntry("abv", "酒精度", "50", unit="%vol"), ResultEntry("methanol", "甲醇", "0.25", unit="g/L")]
    strict = bottled(world, declared_limits={"methanol_100": {"operator": "<=", "value": "0.4"}})
    row = report_of(world, strict, report)["methanol_100"]
    assert (row.verdict, row.limit_value, row.limit_kind) == ("fail", "0.4", "declared")
    assert world.baijiu.current is not None
    world.baijiu.current = ProductVersion.objects.create(
        product=world.baijiu, number=3, name="示例", declared_limits={"methanol_100": {"operator": "<=", "value": "2"}}
    )
    lax = make_lot(world.distillery, world.baijiu, produced_on=datetime.date(2026, 9, 20))
    row = report_of(world, lax, report)["methanol_100"]
    assert (row.verdict, row.limit_value, row.limit_kind) == ("pass", "0.6", "catalogue")


def test_a_judged_fact_keeps_the_limit_it_was_judged_by(world: World) -> None:
    row = report_of(world, bottled(world), [ResultEntry("solids", "固形物", "0.4", unit="g/L")])["solids"]
    Limit.objects.filter(standard="gbt10781_2_2022", parameter="solids").update(value="0.1", version=1)
    row.refresh_from_db()
    assert (row.limit_value, row.limit_version, row.verdict) == ("0.5", 0, "pass")
    assert row.limit is not None
    assert row.limit.value == "0.1"
    assert row.limit_verified is False


def test_an_item_the_catalogue_does_not_know_is_judged_by_the_report_alone(world: World) -> None:
    rows = report_of(
        world,
        bottled(world),
        [
            ResultEntry(
                "x", "示例项目", "3", unit="mg/kg", limit_operator="<=", limit_value="2", limit_source="报告所载"
            ),
            ResultEntry("y", "另一项目", "3", unit="mg/kg"),
        ],
    )
    assert (rows["x"].verdict, rows["x"].limit_kind) == ("fail", "report")
    assert (rows["y"].verdict, rows["y"].reason) == ("not_judged", "no_limit")


def test_what_is_no_number_is_refused(world: World) -> None:
    lot = bottled(world)
    for entry, code in (
        (ResultEntry("x", "示例项目", "三"), "not_a_number"),
        (ResultEntry("x", "示例项目", "1e-99999999"), "not_a_number"),
        (ResultEntry("solids", "固形物", "-5"), "below_zero"),
        (ResultEntry("x", "示例项目", operator="nd", loq="-1", unit="mg/kg"), "below_zero"),
    ):
        with pytest.raises(Invalid) as refused:
            report_of(world, lot, [entry])
        assert refused.value.code == code


def test_the_amount_sampled_is_told_in_the_unit_of_the_product(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    report = record_report(
        by=world.walnuts,
        lot=lot,
        report_number="示例-斤",
        issued_on=day(2).at.date(),
        results=[ResultEntry("afb1", "黄曲霉毒素B1", "1", unit="ug/kg")],
        when=day(2),
        laboratory_name="示例检测技术服务有限公司",
        sample=Portion(lot, amount("3", lot.product, "斤")),
    )
    assert report.event.data["sample_qty"] == "1.5"
    assert report.results.get().verdict == "pass"


def test_editions_follow_each_other_by_the_words_of_the_catalogue() -> None:
    label = Standard.objects.get(pk="gb7718_2011")
    assert (label.replaced_by_id, label.ended_on) == ("gb7718_2025", datetime.date(2027, 3, 16))
    assert label.in_force_on(datetime.date(2027, 3, 15))
    assert not label.in_force_on(datetime.date(2027, 3, 16))
    furniture = Standard.objects.get(pk="gb18584_2001")
    assert (furniture.replaced_by_id, furniture.ended_on) == ("gb18584_2024", datetime.date(2025, 7, 1))
