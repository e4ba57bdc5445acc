"""The columns of the sheets: what they are called in both languages, what may stand in them, an example."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from trace.actions.organisations import APPLICANT_KINDS
from trace.actions.registry import PLACE_FACTS
from trace.composition import materials
from trace.errors import NotFound
from trace.event_templates import Column as ListColumn
from trace.event_templates import EventTemplate, TemplateField, families, templates
from trace.models import Place, Product, SheetImport
from trace.steps import Plan, plan_for
from trace.text import fold_width
from trace.units import UNITS, BaseUnit, is_english

OPENING, PRODUCE, RECEIVE, SHIP = "common.opening", "common.produce", "common.receive", "common.ship"
LOT_STEPS = (OPENING, PRODUCE, RECEIVE)
"""The three ways by which a lot of one's own books begins without inputs."""
MOVES = frozenset({"create", "transform", "observe", "store", "retail", "destroy", "receive", "ship"})
"""Steps with rows beside the event (reports, holds, packs, corrections) are entered one by one."""
EXAMPLE_MARKS = ("示例：", "示例:", "Example: ", "Example:")
"""What begins the first cell of a template's example row; such a row is never imported."""
GROUP, INSIST = "group", "insist"
Word = tuple[str, str, str]
"""A value and its words in Chinese and English."""


@dataclass(frozen=True)
class Column:
    """One column. ``key`` is the name of the form's field it fills; a ``*`` in it stands for the number of the row
    inside its event. ``offers`` names a list of the organisation's own to choose from; ``words`` are fixed choices.
    """

    key: str
    zh: str
    en: str
    required: bool = False
    hint: str | Promise = ""
    words: tuple[Word, ...] = ()
    offers: str = ""
    example: str = ""
    strict: bool = False

    def label(self) -> str:
        """The heading in the current language."""
        return self.en if is_english(None) else self.zh

    def offered(self) -> list[str]:
        """The fixed choices in the current language."""
        return [word[2] if is_english(None) else word[1] for word in self.words]

    def value(self, text: str) -> str:
        """What a chosen word stands for; a text that is none of them as it is."""
        asked = fold_width(text).strip().lower()
        return next((word[0] for word in self.words if asked in {each.lower() for each in word}), text)


@dataclass(frozen=True)
class Sheet:
    """What one kind of sheet asks; ``plan`` for steps."""

    kind: str
    step: str
    zh: str
    en: str
    columns: tuple[Column, ...]
    plan: Plan | None = None
    repeats: bool = field(default=False)

    def label(self) -> str:
        """Its name in the current language."""
        return self.en if is_english(None) else self.zh

    def column(self, key: str) -> Column | None:
        """The column with this key."""
        return next((column for column in self.columns if column.key == key), None)


def _both(words: str | Promise) -> tuple[str, str]:
    """A message in Chinese and in English."""
    with translation.override("zh-hans"):
        zh = str(words)
    with translation.override("en"):
        return zh, str(words)


def column(key: str, named: str | Promise, **more: Any) -> Column:
    """A column named by a message."""
    zh, en = _both(named)
    return Column(key, zh, en, **more)


def choices(pairs: Iterable[tuple[Any, Any]]) -> tuple[Word, ...]:
    """Fixed choices from values and messages."""
    return tuple((str(value), *_both(words)) for value, words in pairs)


def yes_words() -> tuple[Word, ...]:
    """Yes, or nothing."""
    return (("1", *_both(_("是"))),)


# --- Products and places --------------------------------------------------------------------------------------------


def product_sheet() -> Sheet:
    """Products with their first version: the fields of the form."""
    unit_words = tuple((unit.value, UNITS[unit.value].zh, UNITS[unit.value].en) for unit in BaseUnit)
    family_words = tuple((row.code, row.zh, row.en) for row in families().values() if row.code != "common")
    pack_hint = _("名称=每件合多少计量单位，多个用分号隔开，例如 瓶=0.5；箱=3")
    columns = (
        column("code", _("内部编号"), required=True, example="HTR-200"),
        column("name", _("品名"), required=True, example="示例核桃仁"),
        column(
            "track",
            _("适用类别"),
            required=True,
            words=choices(Product.Track.choices),
            example=Product.Track.FOOD,
            hint=_("决定召回适用哪部法规，以后不能改。"),
        ),
        column("kind", _("类型"), required=True, words=choices(Product.Kind.choices), example=Product.Kind.FINISHED),
        column(
            "base_unit",
            _("计量单位"),
            required=True,
            words=unit_words,
            example="KGM",
            hint=_("数量一律按它计算，以后不能改。瓶、箱等填在“包装”里。"),
        ),
        column("family", _("品类"), words=family_words, example="walnut_fenzhou"),
        column("material", _("是什么"), words=tuple((each.key, each.zh, each.en) for each in materials().values())),
        column("packs", _("包装"), example="袋=0.2；箱=2", hint=pack_hint),
        column("shelf_life_days", _("保质期（天）"), example="240"),
        column("net_content", _("净含量"), example="200 g"),
        column("spec", _("规格"), example="200 g × 10"),
        column("brand", _("商标")),
        column("grade", _("质量等级")),
        column("ingredients", _("配料")),
        column("storage", _("贮存条件")),
        column("warning", _("警示语")),
        column("gtin", _("商品条码（GTIN）"), hint=_("没有就留空，不要编造。")),
        column("standard", _("执行标准"), offers="standards", hint=_("从列表选；执行企业标准的，填编号和名称。")),
        column("licence_number", _("生产许可证编号"), offers="licences"),
        column("gi_claim", _("地理标志声明")),
        column("pledge", _("质量承诺")),
        column("name_en", _("英文品名"), example="Walnut kernels (example)"),
    )
    return Sheet(SheetImport.Kind.PRODUCTS, "", *_both(_("产品")), columns)


def place_sheet() -> Sheet:
    """Places: the fields of the form; facts that only one kind of place has stay empty for the others."""
    facts = {key: (kind, words) for kind, each in PLACE_FACTS.items() for key, words in each.items()}
    columns = (
        column("name", _("名称"), required=True, example="一号原料库"),
        column("kind", _("地点类型"), required=True, words=choices(Place.Kind.choices), example=Place.Kind.STORE),
        column(
            "division", _("所在地"), required=True, offers="divisions", hint=_("乡镇、县或市的名称或行政区划代码。")
        ),
        column("address", _("地址")),
        column("gln", _("全球位置码（GLN）"), hint=_("13 位数字。没有就留空。")),
        *(
            column(f"facts.{key}", words, hint=_("只用于：%(kind)s") % {"kind": Place.Kind(kind).label})
            for key, (kind, words) in facts.items()
        ),
        column("name_en", _("英文名称"), example="Raw material store 1"),
    )
    return Sheet(SheetImport.Kind.PLACES, "", *_both(_("地点")), columns)


# --- Steps ----------------------------------------------------------------------------------------------------------


def importable(found: EventTemplate) -> bool:
    """Whether a step can be entered by sheet: no rows of its own beside the event, no list inside one field."""
    if found.moves not in MOVES:
        return False
    plan = plan_for(found.code)
    return not plan.registers_plot and not any(each.required for each in plan.row_fields)


def step_sheet(code: str) -> Sheet:
    """The sheet of a step, made from its plan as the form is. NotFound for steps that are entered one by one."""
    found = templates().get(code)
    if found is None or not importable(found):
        raise NotFound(_("这个环节不能批量导入，请逐条登记。"))
    plan = plan_for(code)
    columns = [*_begin(plan), *_lots_in(plan), *_lots_out(plan), *_own_fields(plan), *_end(plan)]
    repeats = len([each for each in columns if "*" in each.key]) > 0 and plan.moves != "receive"
    if repeats:
        columns.append(
            column(
                GROUP,
                _("同一次（序号）"),
                hint=_("几行属于同一次（例如一张发货单、几个投入批次）时，填相同的序号；日期等只填第一行即可。"),
            )
        )
    columns.append(
        column(
            INSIST,
            _("确有其事"),
            words=yes_words(),
            hint=_("与已有记录矛盾、但确实发生了的，填“是”：照实记录，并列为矛盾，监管部门可见。"),
        )
    )
    return Sheet(SheetImport.Kind.STEPS, code, found.zh, found.en, tuple(_told_apart(columns)), plan, repeats)


def _told_apart(columns: Sequence[Column]) -> Iterable[Column]:
    """Columns that have one name (the strength of what goes in and of what comes out) say of what they are."""
    names = [word for each in columns for word in {each.zh, each.en}]
    sides = {"inputs": _both(_("投入")), "subjects": _both(_("批次")), "outputs": _both(_("产出"))}
    for each in columns:
        side = sides.get(each.key.partition("-")[0])
        if side is not None and (names.count(each.zh) > 1 or names.count(each.en) > 1):
            yield replace(each, zh=f"{side[0]}：{each.zh}", en=f"{side[1]}: {each.en}")
        else:
            yield each


def _begin(plan: Plan) -> Sequence[Column]:
    own = plan.when
    zh, en = (own.zh, own.en) if own is not None else _both(_("日期"))
    found = [
        Column("when_on", zh, en, required=True, example="today"),
        column("when_at", _("时间（可不填）"), hint=_("例如 08:30。不填则只记到日。")),
    ]
    if plan.party:
        words = {"supplier": _("供货者"), "receiver": _("收货单位"), "source": _("退回方")}[plan.party]
        hint = _("填全称或统一社会信用代码。系统外的新单位，在后面几列写明是谁、在哪里，导入时一并登记。")
        found.append(column("party", words, required=True, offers="parties", example="first", hint=hint))
        kinds = choices((kind, kind.label) for kind in APPLICANT_KINDS)
        only = _("只有新单位要填。")
        found.append(column("party_kind", _("对方类型"), words=kinds, hint=only))
        found.append(column("party_division", _("对方所在地"), offers="divisions", hint=only))
        found.append(column("party_address", _("对方地址"), hint=only))
        found.append(column("party_phone", _("对方电话"), hint=only))
    place = plan.place
    zh, en = (place.zh, place.en) if place is not None else _both(_("地点"))
    required = plan.outputs > 0 or (place is not None and place.required)
    found.append(Column("place", zh, en, required=required, offers="places", example="first"))
    return found


def _lots_in(plan: Plan) -> Iterable[Column]:
    key = "inputs" if plan.inputs else "subjects" if plan.subjects else ""
    if not key:
        return
    into = key == "inputs"
    yield column(f"{key}-*-lot", _("投入批号") if into else _("批号"), required=True, offers="lots", example="first")
    if into or plan.amount != "none":
        needed = into or plan.amount == "required"
        label = _("投入数量") if into else _("数量")
        yield column(f"{key}-*-amount", label, required=needed, example="50", hint=_("可以连单位一起写，例如 500斤。"))
        yield column(f"{key}-*-unit", _("投入单位") if into else _("单位"), offers="units", hint=_unit_hint())
    for each in plan.input_columns if into else ():
        yield _list_column(f"{key}-*-x_{each.key}", each)


def _lots_out(plan: Plan) -> Iterable[Column]:
    if not plan.outputs:
        return
    receiving, made = plan.moves == "receive", plan.inputs > 0
    yield column("outputs-*-product", _("产品"), required=True, offers="products", example="first")
    label = _("产出数量") if made else _("数量")
    yield column("outputs-*-amount", label, required=True, example="40", hint=_("可以连单位一起写，例如 500斤。"))
    yield column("outputs-*-unit", _("产出单位") if made else _("单位"), offers="units", hint=_unit_hint())
    needed = plan.lot_code_required
    yield column(
        "outputs-*-lot_code",
        _("供货者批号") if receiving else _("产出批号") if made else _("批号"),
        required=needed,
        hint="" if needed else _("不填则自动编号。"),
        example="A-01" if needed else "",
    )
    if receiving:
        yield column("outputs-*-produced_on", _("生产日期"))
        yield column("outputs-*-expires_on", _("保质期至"))
    for column_ in plan.output_columns:
        yield _list_column(f"outputs-*-x_{column_.key}", column_)
    for each in plan.output_fields:
        yield _field_column(f"outputs-*-f_{each.key}", each)


def _unit_hint() -> Promise:
    return _("不填为产品的计量单位。")


def _own_fields(plan: Plan) -> Iterable[Column]:
    for each in plan.fields:
        if not each.columns and each.type not in ("ref:TestReport", "files", "ref:Event"):
            yield _field_column(f"d_{each.key}", each, follows=each.key == plan.template.expires_on_field)


def _field_column(key: str, each: TemplateField, *, follows: bool = False) -> Column:
    """A template's field; its unit stands in the heading."""
    units = ("", "") if not each.unit or each.unit == "per product" else (each.unit_label("zh"), each.unit_label("en"))
    zh = f"{each.zh}（{units[0]}）" if units[0] else each.zh
    en = f"{each.en} ({units[1]})" if units[1] else each.en
    words = tuple((choice.value, choice.zh, choice.en) for choice in each.choices)
    if each.type == "bool":
        words = choices([("true", _("是")), ("false", _("否"))])
    offers = "places" if each.type == "ref:Location" and each.key != "origin" else ""
    return Column(
        key,
        zh,
        en,
        required=each.required and not follows,
        words=words,
        offers=offers,
        hint=str(_("可能是个人信息，加密保存在备注里，不公开。")) if each.personal else "",
        example=_example(each, words),
    )


def _example(each: TemplateField, words: tuple[Word, ...]) -> str:
    """What stands in the example row of a required field."""
    if not each.required:
        return ""
    if words:
        return words[0][0]
    if each.type.startswith("ref:Location"):
        return "first"
    return {"decimal": "12.5", "int": "12", "date": "today", "datetime": "today"}.get(each.type, "示例")


def _list_column(key: str, each: ListColumn) -> Column:
    words = tuple((choice.value, choice.zh, choice.en) for choice in each.choices)
    unit = f"（{each.unit}）" if each.unit else ""
    unit_en = f" ({each.unit})" if each.unit else ""
    example = words[0][0] if words else "12.5"
    return Column(key, each.zh + unit, each.en + unit_en, required=each.required, words=words, example=example)


def _end(plan: Plan) -> Iterable[Column]:
    yield column("remark", _("备注"), hint=_("加密保存，只有本单位和监管部门能看，可以要求删除。"))


SHEETS: dict[str, Callable[[], Sheet]] = {"products": product_sheet, "places": place_sheet}


def sheet_for(kind: str, step: str = "") -> Sheet:
    """The sheet of a kind (and, for steps, of the step). NotFound for what cannot be imported."""
    if kind == SheetImport.Kind.STEPS:
        return step_sheet(step)
    if kind in SHEETS:
        return SHEETS[kind]()
    raise NotFound(_("没有这个页面。"))
