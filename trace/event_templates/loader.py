"""The event templates as frozen objects, read once from ``trace/data/event_templates.yaml``.

Names are in the data in both languages, not in the translation files: a template is data like a standard is.
What the words of the file mean (moves, per output, below_loq …) is written at its top. A file that
contradicts itself fails at the first use.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from django.utils.translation import gettext as _

from trace.errors import NotFound
from trace.text import printable
from trace.units import is_english

PATH = Path(__file__).parent.parent / "data" / "event_templates.yaml"
COMMON = "common"
"""The family code of the steps all families share."""
MOVES = frozenset(
    [
        "transform",
        "create",
        "observe",
        "store",
        "sample",
        "ship",
        "receive",
        "retail",
        "return",
        "destroy",
        "pack",
        "unpack",
        "hold",
        "release",
        "correct",
        "place",
        "code",
        "place_on_sale",
        "join",
        "alias",
        "recode",
        "report",
    ]
)
TYPES = frozenset(
    [
        "decimal",
        "int",
        "text",
        "date",
        "datetime",
        "bool",
        "enum",
        "list",
        "files",
        "ref",
        "ref:Location",
        "ref:Organisation",
        "ref:TestReport",
        "ref:Lot",
        "ref:Event",
        "ref:ProductStandard",
        "ref:RecallCase",
        "list[ref:Location]",
        "list[TestItem]",
        "list[{grade,litres,abv}]",
        "list[{lot,litres,abv}]",
    ]
)


@dataclass(frozen=True)
class Named:
    """Anything with a Chinese and an English name."""

    zh: str
    en: str

    def label(self, lang: str | None = None) -> str:
        """The name in a language; ``None`` asks for the current one."""
        return self.en if is_english(lang) else self.zh


@dataclass(frozen=True)
class Goods(Named):
    """What a step usually takes or makes, as a hint for the form."""


@dataclass(frozen=True)
class Choice(Named):
    """One permitted value of an enum: ``value`` is stored, the names are shown."""

    value: str


@dataclass(frozen=True)
class Column(Named):
    """One column of a field that is a list of rows. ``type`` is decimal, measured, text, enum or ref:Lot."""

    key: str
    type: str
    required: bool = False
    unit: str = ""
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class TemplateField(Named):
    """One field of a template. The attributes are explained at the top of the data file."""

    key: str
    type: str
    unit: str = ""
    required: bool = False
    public: bool = False
    choices: tuple[Choice, ...] = ()
    advisory_range: tuple[Decimal, Decimal] | None = None
    limit_ref: str = ""
    note: str = ""
    computed: bool = False
    computed_rule: str = ""
    computed_from: tuple[str, ...] = ()
    per_output: bool = False
    below_loq: bool = False
    personal: bool = False
    added: bool = False
    absent: str = ""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a list of rows; empty for every other type."""
        return columns(self.type)

    def choice_label(self, value: object, lang: str | None = None) -> str:
        """The name of a stored choice, or the value itself when it is none (an old record)."""
        return next((choice.label(lang) for choice in self.choices if choice.value == value), str(value))

    def unit_label(self, lang: str | None = None) -> str:
        """The unit as shown beside the field, empty when it has none."""
        return unit_label(self.unit, lang) if self.unit else ""


@dataclass(frozen=True)
class Run:
    """What ties lots of a step together that no link joins.

    ``kind`` is ``run`` (goods that went through one piece of equipment together) or ``vessel`` (goods that lay in one
    container at the same time); ``at`` are the fields naming it, ``number`` that of the run's number, ``last`` that of
    how long it took, in hours of ``hours`` each.
    """

    kind: str
    at: tuple[str, ...]
    number: str = ""
    last: str = ""
    hours: Decimal = Decimal(0)


_HOURS = {"minutes": Decimal(1) / 60, "hours": Decimal(1), "days": Decimal(24)}


@dataclass(frozen=True)
class Yield:
    """The most of the main product (by-products aside) that can come of what goes in, in percent; advisory."""

    most: Decimal
    source: str
    evidence: str
    verified: bool


@dataclass(frozen=True)
class AlcoholBalance:
    """Pure alcohol of a step: it may come out up to ``gain`` percent more than went in, and ``loss`` percent less.

    ``abv_field`` says the strength of what comes out, ``off_label`` by how many %vol the label may differ from it.
    """

    abv_field: str
    gain: Decimal
    loss: Decimal
    off_label: Decimal
    source: str
    evidence: str
    verified: bool


@dataclass(frozen=True)
class EventTemplate(Named):
    """One kind of step: its EPCIS terms, what it does to amounts, and the fields people fill in."""

    code: str
    family: str
    order: int
    event_type: str
    biz_step: str
    moves: str
    cardinality: str
    fields: tuple[TemplateField, ...]
    action: str = ""
    disposition: str = ""
    local_step: str = ""
    mode: str = ""
    gate: str = ""
    qbt5711_table: int | None = None
    own: bool = False
    polished: bool = False
    gains_water: bool = False
    vessel: bool = False
    run: Run | None = None
    amount_field: str = ""
    input_amount_fields: tuple[str, ...] = ()
    input_list_field: str = ""
    output_list_field: str = ""
    produced_on_field: str = ""
    expires_on_field: str = ""
    lot_code_field: str = ""
    inputs: tuple[Goods, ...] = ()
    outputs: tuple[Goods, ...] = ()
    next: tuple[str, ...] = ()
    note: str = ""
    yields: Yield | None = None
    alcohol: AlcoholBalance | None = None
    solar_term: str = ""
    ageing_from: str = ""

    @property
    def makes_lots(self) -> bool:
        """Whether new lots begin with this step."""
        return self.moves in ("transform", "create")

    @property
    def event_fields(self) -> tuple[TemplateField, ...]:
        """The fields that describe the whole event."""
        return tuple(field for field in self.fields if not field.per_output)

    @property
    def output_fields(self) -> tuple[TemplateField, ...]:
        """The fields that describe one output lot, asked once for each."""
        return tuple(field for field in self.fields if field.per_output)

    @property
    def public_fields(self) -> tuple[TemplateField, ...]:
        """The fields that may appear on the provenance page."""
        return tuple(field for field in self.fields if field.public)

    def field(self, key: str) -> TemplateField | None:
        """The field with this key, or None."""
        return next((field for field in self.fields if field.key == key), None)


@dataclass(frozen=True)
class Family(Named):
    """A product family.

    ``flow`` is the usual order of its main steps, ``templates`` the codes of all, in order.
    """

    code: str
    flow: tuple[str, ...]
    templates: tuple[str, ...]
    track: str = ""
    base_unit: str = ""
    sc_category: str = ""
    shelf_life: str = ""
    gi: str = ""
    lot_graph: str = ""
    packaging: tuple[str, ...] = ()
    mandatory_label: tuple[str, ...] = ()


_GRADE = Column("等级", "Grade", "grade", "text", required=True)
_LITRES = Column("体积", "Volume", "litres", "decimal", required=True, unit="LTR")
_ABV = Column("酒精度", "Alcohol", "abv", "decimal", required=True, unit="%vol")
_LOT = Column("批次", "Lot", "lot", "ref:Lot", required=True)
_TEST_ITEM = (
    Column("项目", "Item", "parameter", "text", required=True),
    Column("实测值", "Measured", "measured", "measured", required=True),
    Column("单位", "Unit", "unit", "text"),
    Column("限值", "Limit", "limit", "text"),
    Column("检验方法", "Method", "method", "text"),
    Column(
        "单项结论",
        "Verdict",
        "verdict",
        "enum",
        choices=(
            Choice("合格", "Pass", "pass"),
            Choice("不合格", "Fail", "fail"),
            Choice("未判定", "Not judged", "not_judged"),
        ),
    ),
)
_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "list[TestItem]": _TEST_ITEM,
    "list[{grade,litres,abv}]": (_GRADE, _LITRES, _ABV),
    "list[{lot,litres,abv}]": (_LOT, _LITRES, _ABV),
}


def columns(type_: str) -> tuple[Column, ...]:
    """The columns of a field type that is a list of rows, else empty."""
    return _COLUMNS.get(type_, ())


@dataclass(frozen=True)
class _Book:
    """Everything in the file."""

    templates: Mapping[str, EventTemplate]
    families: Mapping[str, Family]
    common_fields: tuple[TemplateField, ...]
    units: Mapping[str, Named]


def templates() -> Mapping[str, EventTemplate]:
    """All templates by code: the shared ones first, then family by family, each in the order of the file."""
    return _book().templates


def template(code: object) -> EventTemplate:
    """The template with this code. Raises NotFound ``template_not_found``."""
    found = templates().get(code) if isinstance(code, str) else None
    if found is None:
        raise NotFound(
            _("没有名为“%(code)s”的环节，请从环节列表中选择。") % {"code": printable(code)},
            code="template_not_found",
        )
    return found


def families() -> Mapping[str, Family]:
    """All families by code, ``common`` (the shared steps) first."""
    return _book().families


def family(code: object) -> Family:
    """The family with this code. Raises NotFound ``family_not_found``."""
    found = families().get(code) if isinstance(code, str) else None
    if found is None:
        raise NotFound(
            _("没有名为“%(code)s”的品类，请从品类列表中选择。") % {"code": printable(code)},
            code="family_not_found",
        )
    return found


def templates_for(family_code: str) -> list[EventTemplate]:
    """The templates of one family, those of its usual flow first and the others after, each in order."""
    found = family(family_code)
    own = [templates()[code] for code in found.templates]
    return sorted(own, key=lambda each: (each.code not in found.flow, each.order))


def common_fields() -> tuple[TemplateField, ...]:
    """The fields every event has besides its template's: time, zone, place, role, evidence, remark."""
    return _book().common_fields


def unit_label(unit: str, lang: str | None = None) -> str:
    """The unit of a field as people read it (``KGM`` is 千克); an unknown unit is shown as it is."""
    known = _book().units.get(unit)
    return known.label(lang) if known else unit


def usual_next(code: str, family_code: str | None = None) -> list[EventTemplate]:
    """The steps that usually follow, best first: after a step in the family's flow the next of the flow, then
    the template's own.

    A shared step (放行) is followed by what comes next in the family it was recorded for.
    """
    step = template(code)
    flow = family(family_code or step.family).flow
    after = flow[flow.index(code) + 1 :][:1] if code in flow else ()
    followers = dict.fromkeys([*step.next, *after] if step.family != COMMON else [*after, *step.next])
    return [templates()[each] for each in followers]


# ---------------------------------------------------------------- reading the file


@cache
def _book() -> _Book:
    """The file, read and checked once per process."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    raw = yaml.load(PATH.read_bytes(), loader)  # noqa: S506 (a safe loader, in C where there is one)
    groups = {COMMON: raw["shared"], **raw["families"]}
    found: dict[str, EventTemplate] = {}
    for family_code, group in groups.items():
        for row in group["templates"]:
            if row["code"] in found:
                raise ValueError(f"{row['code']} is there twice")
            found[row["code"]] = _template(row, family_code, len(found))
    book = _Book(
        templates=MappingProxyType(found),
        families=MappingProxyType({code: _family(code, group) for code, group in groups.items()}),
        common_fields=tuple(_field(row) for row in raw["common_fields"]),
        units=MappingProxyType({code: Named(**names) for code, names in raw["units"].items()}),
    )
    problems = list(_contradictions(book))
    if problems:
        raise ValueError("; ".join(problems))
    return book


def _template(row: Mapping[str, Any], family_code: str, order: int) -> EventTemplate:
    epcis = row["epcis"]
    texts = [
        "local_step",
        "mode",
        "gate",
        "amount_field",
        "input_list_field",
        "output_list_field",
        "produced_on_field",
        "expires_on_field",
        "lot_code_field",
        "note",
        "solar_term",
        "ageing_from",
    ]
    flags = ("own", "polished", "gains_water", "vessel")
    return EventTemplate(
        zh=row["zh"],
        en=row["en"],
        code=row["code"],
        family=family_code,
        order=order,
        event_type=epcis["event_type"],
        biz_step=epcis["biz_step"],
        action=epcis.get("action", ""),
        disposition=epcis.get("disposition", ""),
        moves=row["moves"],
        cardinality=row["cardinality"],
        qbt5711_table=row.get("qbt5711_table"),
        input_amount_fields=tuple(row.get("input_amount_fields", ())),
        inputs=tuple(Goods(**goods) for goods in row["inputs"]),
        outputs=tuple(Goods(**goods) for goods in row["outputs"]),
        next=tuple(row["next"]),
        fields=tuple(_field(field) for field in row["fields"]),
        run=_run(row["run"]) if "run" in row else None,
        yields=_yield(row["yields"]) if "yields" in row else None,
        alcohol=_alcohol(row["alcohol"]) if "alcohol" in row else None,
        **{key: row.get(key, "") for key in texts},
        **{key: row.get(key, False) for key in flags},
    )


def _run(row: Mapping[str, Any]) -> Run:
    hours = _HOURS.get(row.get("unit", ""), Decimal(0))
    return Run(row["kind"], tuple(row["at"]), row.get("number", ""), row.get("last", ""), hours)


def _yield(row: Mapping[str, Any]) -> Yield:
    return Yield(Decimal(str(row["most"])), row["source"], row["evidence"], bool(row["verified"]))


def _alcohol(row: Mapping[str, Any]) -> AlcoholBalance:
    return AlcoholBalance(
        abv_field=row["abv_field"],
        gain=Decimal(str(row["gain"])),
        loss=Decimal(str(row["loss"])),
        off_label=Decimal(str(row.get("off_label", 0))),
        source=row["source"],
        evidence=row["evidence"],
        verified=bool(row["verified"]),
    )


def _field(row: Mapping[str, Any]) -> TemplateField:
    bounds = row.get("advisory_range")
    computed_by = row.get("computed_by", {})
    return TemplateField(
        zh=row["zh"],
        en=row["en"],
        key=row["key"],
        type=row["type"],
        unit=row.get("unit", ""),
        required=row["required"],
        public=row["public"],
        choices=tuple(Choice(**choice) for choice in row.get("choices", ())),
        advisory_range=(Decimal(str(bounds[0])), Decimal(str(bounds[1]))) if bounds else None,
        limit_ref=row.get("limit_ref", ""),
        note=row.get("note", ""),
        computed=row.get("computed", False),
        computed_rule=computed_by.get("rule", ""),
        computed_from=tuple(computed_by.get("from", ())),
        per_output=row.get("per") == "output",
        below_loq=row.get("below_loq", False),
        personal=row.get("personal", False),
        added=row.get("added", False),
        absent=row.get("absent", ""),
    )


def _family(code: str, group: Mapping[str, Any]) -> Family:
    return Family(
        zh=group["zh"],
        en=group["en"],
        code=code,
        flow=tuple(group["flow"]),
        templates=tuple(row["code"] for row in group["templates"]),
        packaging=tuple(group.get("packaging", ())),
        mandatory_label=tuple(group.get("mandatory_label", ())),
        **{key: group.get(key, "") for key in ("track", "base_unit", "sc_category", "shelf_life", "gi", "lot_graph")},
    )


def _contradictions(book: _Book) -> Iterator[str]:
    """What in the file cannot be: unknown words, fields and steps that are named and not there."""
    for step in book.templates.values():
        keys = [field.key for field in step.fields]
        if len(set(keys)) != len(keys):
            yield f"{step.code}: a field key is there twice"
        if step.moves not in MOVES:
            yield f"{step.code}: unknown moves {step.moves}"
        named = [getattr(step, name) for name in _FIELD_NAMES] + list(step.input_amount_fields)
        if step.run is not None:
            named += [*step.run.at, step.run.number, step.run.last]
            if step.run.kind not in ("run", "vessel") or bool(step.run.last) != bool(step.run.hours):
                yield f"{step.code}: run is not understood"
        named += [step.alcohol.abv_field] if step.alcohol is not None else []
        yield from (f"{step.code}: no field {key}" for key in named if key and key not in keys)
        yield from (f"{step.code}: no template {code}" for code in step.next if code not in book.templates)
        for field in step.fields:
            yield from (f"{step.code}.{field.key}: {problem}" for problem in _field_contradictions(field, keys, book))
    for group in book.families.values():
        yield from (f"{group.code}: no template {code}" for code in group.flow if code not in book.templates)


_FIELD_NAMES = (
    "amount_field",
    "input_list_field",
    "output_list_field",
    "produced_on_field",
    "expires_on_field",
    "lot_code_field",
    "ageing_from",
)
_FIELD_RULES: tuple[tuple[str, Callable[[TemplateField], bool]], ...] = (
    ("unknown type", lambda field: field.type not in TYPES),
    (
        "an enum needs choices and nothing else has them",
        lambda field: (field.type == "enum") != bool(field.choices),
    ),
    ("computed fields are never required", lambda field: field.computed and field.required),
    ("computed without a rule", lambda field: field.computed != bool(field.computed_rule)),
    ("personal data are never public", lambda field: field.personal and field.public),
    (
        "only numbers have a range",
        lambda field: bool(field.advisory_range) and field.type not in ("decimal", "int"),
    ),
)


def _field_contradictions(field: TemplateField, keys: list[str], book: _Book) -> Iterator[str]:
    yield from (problem for problem, holds in _FIELD_RULES if holds(field))
    yield from (f"no field {key} to compute from" for key in field.computed_from if key not in keys)
    if field.unit and field.unit not in book.units:
        yield f"unknown unit {field.unit}"
