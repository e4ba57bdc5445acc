"""The templates are complete and consistent, and what is typed into them is checked."""

import copy
import json
import os
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trace import event_templates as et
from trace.errors import FieldErrors, Invalid, NotFound
from trace.event_templates import loader
from trace.event_templates.computing import ELSEWHERE, is_local
from trace.event_templates.loader import EventTemplate, TemplateField

ROOT = Path(__file__).parents[2]
STUDY = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data")).parent / "domain"
ALL = list(et.templates().values())
EXAMPLES: dict[str, object] = {
    "decimal": "12.50",
    "int": "12",
    "text": "示例",
    "date": "2025-09-17",
    "datetime": "2025-09-17 08:30",
    "bool": "是",
    "list": ["甲", "乙"],
    "files": ["a1b2"],
    "list[ref:Location]": [str(uuid.UUID(int=1))],
    "list[TestItem]": [{"parameter": "甲醇", "measured": "未检出(<0.025)", "unit": "g/L", "verdict": "合格"}],
    "list[{grade,litres,abv}]": [{"grade": "特级", "litres": "100", "abv": "65"}],
    "list[{lot,litres,abv}]": [{"lot": str(uuid.UUID(int=2)), "litres": "100", "abv": "65"}],
}


def example(field: TemplateField) -> object:
    if field.type == "enum":
        return field.choices[0].value
    return EXAMPLES[field.type] if field.type in EXAMPLES else str(uuid.UUID(int=3))


def filled(template: EventTemplate) -> dict[str, object]:
    return {field.key: example(field) for field in template.fields if not field.computed and not field.personal}


def errors_of(template: EventTemplate, data: Any, **how: Any) -> dict[str, str]:
    with pytest.raises(FieldErrors) as caught:
        et.validate_data(template, data, **how)
    assert caught.value.status == 422
    assert all(error.message for error in caught.value.fields.values())
    json.dumps(caught.value.details).encode()
    return {key: error.code for key, error in caught.value.fields.items()}


def one(code: str, key: str, value: object) -> object:
    """The value of one field after the check, the rest being an example."""
    template = et.template(code)
    cleaned, _warnings = et.validate_data(template, filled(template) | {key: value})
    return cleaned[key]


def code_of(code: str, key: str, value: object) -> str:
    template = et.template(code)
    found = errors_of(template, filled(template) | {key: value})
    assert list(found) == [key]
    return found[key]


# ------------------------------------------------------------------ the data file


def study_templates() -> Iterator[dict[str, Any]]:
    raw = yaml.safe_load((STUDY / "event_templates.yaml").read_text("utf-8"))
    yield from raw["shared"]
    for family in raw["families"].values():
        yield from family["templates"]


def test_there_are_seventy_seven_templates_and_a_few_of_our_own() -> None:
    assert len([template for template in ALL if not template.own]) == 77
    assert {template.code for template in ALL if template.own} == {
        "common.produce",
        "common.process",
        "common.opening",
        "common.split",
        "common.merge",
        "common.repack",
        "common.rework",
        "common.join",
        "common.old_codes",
        "common.recode",
        "common.count",
        "common.reported",
    }


@pytest.mark.skipif(not STUDY.exists(), reason="the domain study is not beside the checkout")
def test_every_template_and_field_of_the_study_is_here_unchanged_in_name_type_and_unit() -> None:
    count = 0
    for original in study_templates():
        ours = et.template(original["code"])
        count += 1
        assert (ours.zh, ours.biz_step) == (original["zh"], original["epcis"]["biz_step"])
        assert ours.event_type == original["epcis"]["event_type"]
        assert (ours.local_step, ours.gate, ours.cardinality) == (
            original.get("local_step", ""),
            original.get("gate", ""),
            original["cardinality"],
        )
        for row in original["fields"]:
            field = ours.field(row["key"])
            assert field is not None, (ours.code, row["key"])
            assert field.zh == row["zh"]
            assert field.limit_ref == row.get("limit_ref", "")
            assert [choice.value for choice in field.choices] == row.get("choices", [])
            assert field.unit == row.get("unit", "") or field.unit == "per product"
            if (ours.code, field.key) != ("baijiu.jar_load_2", "jars"):
                assert field.type == row["type"]
        assert {field.key for field in ours.fields if not field.added} == {row["key"] for row in original["fields"]}
    assert count == 77


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.code)
def test_every_template_is_named_in_both_languages_down_to_its_choices(template: EventTemplate) -> None:
    named = [template, *template.fields, *template.inputs, *template.outputs]
    named += [choice for field in template.fields for choice in field.choices]
    for thing in named:
        assert thing.label("zh-hans") == thing.zh != ""
        assert thing.label("en") == thing.en != ""
        assert not any("\u4e00" <= char <= "\u9fff" for char in thing.en) or "一把抓" in thing.en
    for field in template.fields:
        for names in ({choice.zh for choice in field.choices}, {choice.en for choice in field.choices}):
            assert len(names) == len(field.choices)


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.code)
def test_the_machine_facts_of_every_template_hold_together(template: EventTemplate) -> None:
    assert template.moves in loader.MOVES
    assert template.makes_lots == (
        template.event_type in ("TransformationEvent", "AssociationEvent") or template.moves == "create"
    )
    assert (template.action == "") == (template.event_type == "TransformationEvent")
    assert all(
        field.unit != "" for field in template.fields if field.key == template.amount_field and field.type == "decimal"
    )
    assert all((is_local(field) or field.computed_rule in ELSEWHERE) == field.computed for field in template.fields)
    assert ("计算" in "".join(f.zh for f in template.fields if f.computed)) or not any(
        f.computed_rule not in ("", "organisation_contact") for f in template.fields
    )
    for key, type_ in (
        (template.produced_on_field, "date"),
        (template.expires_on_field, "date"),
        (template.lot_code_field, "text"),
    ):
        field = template.field(key)
        assert (field.type if field else "") in ("", type_)


def test_every_computed_field_of_the_study_is_marked_as_such() -> None:
    for template in ALL:
        for field in template.fields:
            assert field.computed == ("计算" in field.zh or field.key == "contact"), (
                template.code,
                field.key,
            )


def test_every_limit_named_by_a_template_is_in_the_standards() -> None:
    raw = yaml.safe_load((ROOT / "trace" / "data" / "standards.yaml").read_text("utf-8"))
    known = {row["id"] for row in raw["standards"]}
    known |= {f"{row['id']}.{item['id']}" for row in raw["standards"] for item in row.get("parameters", [])}
    named = {field.limit_ref for template in ALL for field in template.fields if field.limit_ref}
    assert named <= known
    assert len(named) > 30


def test_families_come_in_order_with_their_steps() -> None:
    assert list(et.families()) == [
        "common",
        "baijiu_light_aroma",
        "walnut_fenzhou",
        "millet_fenzhou",
        "walnut_furniture",
        "date_stuffed_walnut",
    ]
    for family in et.families().values():
        assert family.label("en") != family.label("zh") != ""
        steps = et.templates_for(family.code)
        assert {step.code for step in steps} == set(family.templates)
        own_flow = [code for code in family.flow if et.template(code).family == family.code]
        assert [step.code for step in steps][: len(own_flow)] == sorted(
            own_flow, key=lambda code: et.template(code).order
        )
    assert et.family("walnut_furniture").track == "consumer_product"


def test_each_step_of_a_flow_leads_to_the_next() -> None:
    for family in et.families().values():
        for here, there in zip(family.flow, family.flow[1:], strict=False):
            assert there in [step.code for step in et.usual_next(here, family.code)]
    assert et.usual_next("common.release", "walnut_furniture")[0].code == "furniture.plate"
    assert et.usual_next("common.release")[0].code == "common.code"


def test_the_demonstrations_paths_are_polished() -> None:
    for family in et.families().values():
        for code in family.flow:
            if code not in ("common.store", "common.pack"):
                assert et.template(code).polished, code


def test_unknown_names_are_not_found() -> None:
    for ask in (et.template, et.family):
        for name in ("walnut.fly", "", None, "x" * 1_000_000, "\ud800", ["a"]):
            with pytest.raises(NotFound) as caught:
                ask(name)
            assert caught.value.code in ("template_not_found", "family_not_found")
            caught.value.message.encode()


def test_units_and_choices_are_shown_in_both_languages() -> None:
    assert et.unit_label("KGM", "zh-hans") == "千克"
    assert et.unit_label("DAY", "en") == "days"
    assert et.unit_label("XYZ") == "XYZ"
    field = et.template("common.correct").field("reason")
    assert field is not None
    assert field.choice_label("did_not_occur", "zh-hans") == "事情没有发生"
    assert field.choice_label("gone", "en") == "gone"


def test_a_file_that_contradicts_itself_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    raw = yaml.safe_load(loader.PATH.read_text("utf-8"))
    first = raw["shared"]["templates"][0]
    for change, complaint in (
        ({"moves": "fly"}, "unknown moves"),
        ({"next": ["common.nowhere"]}, "no template"),
        ({"amount_field": "nothing"}, "no field"),
        ({"code": "common.store"}, "twice"),
    ):
        broken = copy.deepcopy(raw)
        broken["shared"]["templates"][0] = first | change
        path = tmp_path / "templates.yaml"
        path.write_text(yaml.safe_dump(broken, allow_unicode=True), "utf-8")
        monkeypatch.setattr(loader, "PATH", path)
        with pytest.raises(ValueError, match=complaint):
            loader._book.__wrapped__()


# ------------------------------------------------------------------ checking data


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.code)
def test_a_filled_example_of_every_template_passes_and_is_json(template: EventTemplate) -> None:
    data = filled(template)
    cleaned, _warnings = et.validate_data(template, data)
    assert set(cleaned) >= set(data)
    assert json.loads(json.dumps(cleaned)) == cleaned
    again = {key: value for key, value in cleaned.items() if key in data}
    assert et.validate_data(template, again)[0] == cleaned


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.code)
def test_each_missing_required_field_is_named(template: EventTemplate) -> None:
    required = {field.key for field in template.fields if field.required}
    for blank in ({}, dict.fromkeys(required, " "), dict.fromkeys(required)):
        if required:
            assert errors_of(template, blank) == dict.fromkeys(required, "required")
        else:
            assert et.validate_data(template, blank) == ({}, [])
    assert et.validate_data(template, {}, provided=required)[0] == {}


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.code)
def test_unknown_fields_are_refused(template: EventTemplate) -> None:
    assert errors_of(template, filled(template) | {"colour_of_hat": "red"}) == {"colour_of_hat": "unknown_field"}


NASTY: tuple[object, ...] = (
    "a\x00b",
    "\ud800",
    "x" * 1_000_000,
    10**400,
    float("nan"),
    {"a": 1},
    [["x"] * 3],
    object(),
)


@pytest.mark.parametrize("template", [one for one in ALL if one.fields], ids=lambda template: template.code)
def test_nothing_nasty_gets_through_any_field(template: EventTemplate) -> None:
    keys = {field.key for field in template.fields if not field.computed and not field.personal}
    for nasty in NASTY:
        assert set(errors_of(template, dict.fromkeys(keys, nasty))) == keys


def test_what_is_no_mapping_is_refused() -> None:
    nothings: tuple[Any, ...] = (None, [], "a", 7)
    for wrong in nothings:
        with pytest.raises(Invalid) as caught:
            et.validate_data(et.template("common.store"), wrong)
        assert caught.value.code == "not_an_object"


def test_nasty_keys_are_answered_without_repeating_them() -> None:
    found = errors_of(et.template("common.split"), {"\ud800\x00": 1, "x" * 100_000: 1, 7: 1})
    assert set(found.values()) == {"unknown_field"}
    assert len(errors_of(et.template("common.split"), {str(n): 1 for n in range(10_000)})) == 20


def test_computed_fields_are_never_typed() -> None:
    assert code_of("millet.mill", "yield_pct", "99") == "computed_field"
    assert code_of("millet.commit_cert", "contact", "13800000000") == "computed_field"


def test_personal_fields_never_enter_the_event() -> None:
    template = et.template("common.ship")
    assert code_of("common.ship", "vehicle", "晋J00000") == "personal_field"
    kept, personal = et.split_personal(template, filled(template) | {"vehicle": "晋J00000"})
    assert personal == {"vehicle": "晋J00000"}
    assert "vehicle" not in et.validate_data(template, kept)[0]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("8.50", "8.50"),
        ("８．５", "8.5"),
        ("1,234.5", "1234.5"),
        ("-5", "-5"),
        ("-0.0", "0.0"),
        ("+007", "7"),
        ("3。5", "3.5"),
        (".5", "0.5"),
        (7, "7"),
        (7.2, "7.2"),
        (1e-7, "0.0000001"),
        (Decimal("1.10"), "1.10"),
    ],
)
def test_decimals_stay_as_exact_as_they_were_typed(typed: object, kept: str) -> None:
    assert one("walnut.cold_store", "temp", typed) == kept


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("abc", "not_a_number"),
        ("NaN", "not_a_number"),
        ("inf", "not_a_number"),
        ("1e5", "not_a_number"),
        ("1,5", "not_a_number"),
        ("٣", "not_a_number"),
        (True, "not_a_number"),
        (float("inf"), "not_a_number"),
        (Decimal("NaN"), "not_a_number"),
        ("1" * 13, "out_of_range"),
        (1e300, "out_of_range"),
        ("0.0000000001", "too_precise"),
        (1e-300, "too_precise"),
    ],
)
def test_what_is_no_decimal_is_refused(typed: object, code: str) -> None:
    assert code_of("walnut.cold_store", "temp", typed) == code


@pytest.mark.parametrize("typed", ["2025-9-7", "2025/09/07", "２０２５年９月７日", "2025.9.7"])
def test_dates_are_read_in_the_ways_people_write_them(typed: str) -> None:
    assert one("walnut.harvest", "harvest_date", typed) == "2025-09-07"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("2026-02-30", "not_a_date"),
        ("2025-13-01", "not_a_date"),
        ("20250917", "not_a_date"),
        ("2026-W01-1", "not_a_date"),
        ("昨天", "not_a_date"),
        (20250917, "not_a_date"),
        ("0025-09-17", "out_of_range"),
        ("9999-12-31", "out_of_range"),
    ],
)
def test_days_that_do_not_exist_are_refused(typed: object, code: str) -> None:
    assert code_of("walnut.harvest", "harvest_date", typed) == code


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("2025-09-17 08:30", "2025-09-17T08:30:00+08:00"),
        ("2025-09-17T08:30:15Z", "2025-09-17T08:30:15+00:00"),
        ("2025-09-17T08:30-0330", "2025-09-17T08:30:00-03:30"),
        ("2025年9月17日 8:30", "2025-09-17T08:30:00+08:00"),
    ],
)
def test_instants_are_kept_with_their_offset(typed: str, kept: str) -> None:
    assert one("common.sell", "sold_at", typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "2025-02-30 08:30",
        "2025-09-17 24:30",
        "2025-09-17",
        "08:30",
        "2025-09-17 08:30+99:00",
        "2025-09-17 08:30Zx",
        5,
    ],
)
def test_instants_that_do_not_exist_are_refused(typed: object) -> None:
    assert code_of("common.sell", "sold_at", typed) == "not_a_datetime"


@pytest.mark.parametrize("typed", [True, "true", "ON", "1", "是", 1])
def test_yes_is_read_in_many_ways(typed: object) -> None:
    assert one("walnut.wash", "bleach", typed) is True


@pytest.mark.parametrize("typed", [False, "false", "0", "否", 0])
def test_no_is_an_answer_and_not_a_blank(typed: object) -> None:
    assert one("walnut.wash", "bleach", typed) is False


def test_what_is_neither_yes_nor_no_is_refused() -> None:
    for wrong in ("maybe", 2, ["true"]):
        assert code_of("walnut.wash", "bleach", wrong) == "not_a_bool"


def test_a_choice_is_given_by_value_or_by_either_name() -> None:
    for typed in ("晾晒", "Sun-drying", " sun-drying "):
        assert one("walnut.dry", "method", typed) == "晾晒"
    assert code_of("walnut.dry", "method", "炒") == "unknown_choice"
    with pytest.raises(FieldErrors) as caught:
        et.validate_data(et.template("walnut.dry"), {"method": "炒"}, "en")
    assert caught.value.fields["method"].details["allowed"] == ["晾晒", "热风烘干"]


def test_whole_numbers_are_bounded() -> None:
    assert one("walnut.pack", "bags", "１２０") == 120
    assert code_of("walnut.pack", "bags", "1.5") == "not_an_integer"
    assert code_of("walnut.pack", "bags", "-1") == "out_of_range"
    assert code_of("walnut.pack", "bags", 10**30) == "out_of_range"


def test_lists_come_as_json_or_as_lines() -> None:
    assert one("common.pack", "children", " A1\nA2,A3、A4;; ") == ["A1", "A2", "A3", "A4"]
    assert code_of("common.pack", "children", ["A"] * 501) == "too_many_items"
    assert code_of("common.pack", "children", ["A", ""]) == "required"
    assert code_of("common.pack", "children", ["x" * 201]) == "text_too_long"
    assert code_of("common.pack", "children", {"a": 1}) == "not_a_list"


def test_rows_are_checked_cell_by_cell_and_empty_lines_dropped() -> None:
    row = {"lot": str(uuid.UUID(int=2)), "litres": "100.0", "abv": "65"}
    assert one("baijiu.blend", "parts", [row, {"lot": "", "litres": None, "abv": " "}]) == [row]
    for wrong, code in (
        ([row | {"abv": "101"}], "out_of_range"),
        ([row | {"litres": "-1"}], "out_of_range"),
        ([row | {"litres": "x"}], "not_a_number"),
        ([row | {"lot": ""}], "required"),
        ([row | {"hat": "red"}], "unknown_field"),
        (["x"], "not_a_row"),
        ([{"lot": ""}], "required"),
        ([row] * 201, "too_many_items"),
        ("x", "not_a_list"),
    ):
        assert code_of("baijiu.blend", "parts", wrong) == code
    with pytest.raises(FieldErrors) as caught:
        et.validate_data(et.template("baijiu.blend"), {"parts": [row, row | {"abv": "x"}]})
    assert caught.value.fields["parts"].details["row"] == 2


@pytest.mark.parametrize(
    ("typed", "operator", "value", "loq", "text"),
    [
        ("0.41", "=", "0.41", "", "0.41"),
        ("0", "=", "0", "", "0"),
        ("<0.05", "<", "0.05", "0.05", "<0.05"),
        ("＜ 0.05", "<", "0.05", "0.05", "<0.05"),
        ("未检出", "nd", "", "", "未检出"),
        ("ND", "nd", "", "", "未检出"),
        ("未检出（LOQ 0.025 g/L）", "nd", "", "0.025", "未检出(<0.025)"),
        ("未检出(定量限:0.025)", "nd", "", "0.025", "未检出(<0.025)"),
        ("未检出(<0.025)", "nd", "", "0.025", "未检出(<0.025)"),
    ],
)
def test_not_detected_is_kept_with_its_limit_and_is_never_zero(
    typed: str, operator: str, value: str, loq: str, text: str
) -> None:
    measured = et.parse_measured(typed)
    assert (measured.operator, measured.value, measured.loq, measured.text) == (operator, value, loq, text)
    assert et.parse_measured(measured.text) == measured
    assert one("walnut.test", "afb1", typed) == text


def test_only_laboratory_results_may_be_not_detected() -> None:
    assert code_of("walnut.dry", "moisture_out", "未检出") == "not_a_number"


@given(st.text(max_size=30))
def test_no_result_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        measured = et.parse_measured(text)
    except Invalid as error:
        error.message.encode()
    else:
        assert et.parse_measured(measured.text) == measured


def test_a_value_outside_its_usual_range_is_kept_with_a_warning() -> None:
    template = et.template("walnut.dry")
    cleaned, warnings = et.validate_data(template, filled(template) | {"max_temp": "75"}, "zh-hans")
    assert cleaned["max_temp"] == "75"
    assert [(warning.key, warning.code) for warning in warnings] == [("max_temp", "outside_usual_range")]
    assert "最高温度" in warnings[0].message
    assert et.validate_data(template, filled(template) | {"max_temp": "60"})[1] == []


def test_fields_of_one_output_are_asked_apart_from_those_of_the_event() -> None:
    template = et.template("walnut.crack")
    assert [field.key for field in template.output_fields] == [
        "kernel_class",
        "colour",
        "weight",
        "moisture_kernel",
    ]
    assert et.validate_data(template, {}, part="event")[0] == {}
    assert errors_of(template, {"kernel_class": "头路"}, part="event") == {"kernel_class": "unknown_field"}
    assert errors_of(template, {}, part="output") == {"kernel_class": "required", "weight": "required"}
    assert et.validate_data(template, {"kernel_class": "头路", "weight": "5"}, part="output")[0] == {
        "kernel_class": "头路",
        "weight": "5",
    }


def test_an_end_before_its_beginning_is_refused() -> None:
    assert code_of("walnut.pack", "best_before", "2025-09-16") == "before_start"
    assert one("walnut.pack", "best_before", "2025-09-17") == "2025-09-17"
    assert code_of("baijiu.brew_round_2", "discharged_on", "2025-08-01") == "before_start"


# ------------------------------------------------------------------ computed fields


def computed(code: str, **data: object) -> dict[str, object]:
    template = et.template(code)
    cleaned, _warnings = et.validate_data(template, filled(template) | data)
    return {field.key: cleaned[field.key] for field in template.fields if field.computed and field.key in cleaned}


def test_methanol_and_cyanide_are_converted_to_pure_alcohol() -> None:
    found = computed("baijiu.factory_test", abv="53", methanol="0.12", cyanide="<0.5")
    assert found == {"methanol_100": "0.2264", "cyanide_100": "<0.9434"}
    found = computed("baijiu.factory_test", abv="50", methanol="未检出(<0.025)", cyanide="未检出")
    assert found == {"methanol_100": "未检出(<0.05000)", "cyanide_100": "未检出"}
    assert computed("baijiu.factory_test", abv="0") == {}


def test_days_of_fermentation_are_counted_between_the_dates() -> None:
    found = computed("baijiu.brew_round_2", loaded_on="2025-09-01", discharged_on="2025-09-29")
    assert found == {"ferment_days": 28}


def test_yields_are_computed_and_an_unusual_one_warns() -> None:
    assert computed("millet.mill", input_kg="1000", output_kg="770")["yield_pct"] == "77.0"
    template = et.template("millet.mill")
    _cleaned, warnings = et.validate_data(template, {"input_kg": "1000", "output_kg": "900"})
    assert [warning.key for warning in warnings] == ["yield_pct"]
    assert computed("millet.mill", input_kg="0", output_kg="0") == {}


def test_spirit_yield_counts_all_cuts_as_sixty_five_percent() -> None:
    cuts = [
        {"grade": "特级", "litres": "400", "abv": "65"},
        {"grade": "普级", "litres": "100", "abv": "32.5"},
    ]
    assert computed("baijiu.brew_round_1", cuts=cuts, sorghum_kg="1000")["yield_pct"] == "40.4"


def test_the_balance_of_alcohol_compares_what_came_out_with_what_went_in() -> None:
    parts = [{"lot": "a", "litres": "100", "abv": "65"}, {"lot": "b", "litres": "50", "abv": "60"}]
    assert computed("baijiu.blend", parts=parts, output_l="190", output_abv="50")["laa_balance"] == "0.00"
    assert computed("baijiu.blend", parts=parts, output_l="190", output_abv="51")["laa_balance"] == "2.00"
