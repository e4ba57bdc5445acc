"""The form of any step, made from its plan: date and place, lots, the template's fields, remark and files.

Rows of lots are plain fields named ``inputs-0-lot``; how many there are stands in ``inputs-count``, and the button
加一行 asks for one more, so that it works without a script.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.utils.translation import gettext as _

from trace.actions.organisations import APPLICANT_KINDS
from trace.actions.steps import StepEntry
from trace.errors import DomainError, Invalid
from trace.event_templates import TemplateField, template
from trace.forms.fields import division_choices
from trace.forms.step_choices import (
    Offer,
    Pairs,
    all_units,
    lot_words,
    place_words,
    report_words,
    unit_pairs,
)
from trace.forms.step_parts import (
    Asked,
    ManyFiles,
    MoreSelect,
    choice_field,
    code_field,
    column_field,
    day_field,
    decimal_field,
    now_here,
    template_field,
    text_field,
    units_fact,
)
from trace.forms.step_reading import read_entry
from trace.inventory import OnHand
from trace.models import Event, HoldSet, Place, Product
from trace.steps import Plan
from trace.templatetags.ui import moment_text
from trace.text import clean_int
from trace.units import decimal_text

MOST_ROWS = 50
DATA = "d_"
"""Before the names of the template's own fields."""
PURPOSES = ["出厂检验", "型式检验", "委托检验", "监督抽查", "风险监测", "复检"]


@dataclass(frozen=True)
class Start:
    """What the form begins with: values by field name, rows per group, lots and products not otherwise offered.

    ``replaces`` is the event declared wrong that is stated again.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    lots: tuple[OnHand, ...] = ()
    replaces: Event | None = None


@dataclass(frozen=True)
class Cell:
    """One control of a row; ``kind`` is the last part of its name, for the layout."""

    bound: BoundField
    kind: str
    optional: bool | None


@dataclass(frozen=True)
class Row:
    """One lot (or line of a list) to fill in; ``folded`` controls are seldom needed, ``hidden``: which lot is stated
    again.
    """

    legend: str
    cells: list[Cell]
    folded: list[Cell]
    hidden: list[BoundField]


@dataclass(frozen=True)
class Group:
    """Rows of one kind."""

    key: str
    legend: str
    hint: str
    rows: list[Row]
    may_grow: bool
    fold_words: str = ""


@dataclass
class _Spec:
    """Names of the fields of a group while the form is built."""

    legend: str
    hint: str = ""
    fold_words: str = ""
    may_grow: bool = True
    rows: list[tuple[str, list[str], list[str]]] = field(default_factory=list)


class StepForm(forms.Form):
    """The form of one step for one actor. ``entry`` is what was read, once it is valid."""

    def __init__(
        self, offer: Offer, data: Any = None, files: Any = None, *, start: Start | None = None, kept: Sequence[str] = ()
    ) -> None:
        self.offer = offer
        self.plan: Plan = offer.plan
        self.start = start or Start()
        self.kept = list(kept)
        self.entry: StepEntry | None = None
        self._specs: dict[str, _Spec] = {}
        self._rows: dict[str, int] = {}
        super().__init__(data, files, initial=dict(self.start.values))
        for build in (
            self._when,
            self._place,
            self._party,
            self._lots,
            self._goods,
            self._facts,
            self._others,
            self._more,
        ):
            build()

    # --- Building ---------------------------------------------------------------------------------------------------

    def _when(self) -> None:
        """The day (under the template's own name of it) and the minute; without the minute only the day is known."""
        now = now_here()
        own = self.plan.when
        timed = own is None or own.type == "datetime"
        label = own.label() if own is not None else _("日期")
        self.fields["when_on"] = day_field(label, initial=now.date(), required=True)
        widget = forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
        self.fields["when_at"] = Asked(
            label=_("时间（可不填）"),
            required=False,
            initial=now.time() if timed else None,
            widget=widget,
        )

    def _place(self) -> None:
        """Where it happened; steps that register a plot ask for its name and township instead."""
        if self.plan.registers_plot:
            plots = [(str(each.uid), each.label) for each in self.offer.places if each.kind == Place.Kind.PLOT]
            if plots:
                self.fields["place"] = choice_field(
                    _("已有的地块"), plots, radios=False, hint=_("新地块不选，在下面填名称。")
                )
            self.fields["plot_name"] = text_field(_("新地块名称"), required=not plots, hint=_("例如 坡头村 东沟地块"))
            self.fields["plot_division"] = self._division(_("所在乡镇"), self.offer.actor.owner.division_id)
            return
        if self.plan.moves in ("correct", "hold", "release"):
            return
        own = self.plan.place
        choices = self._places()
        begins = bool(choices) and (self.plan.outputs > 0 or self.plan.moves == "place")
        required = begins or (own is not None and own.required)
        last = self.offer.last.place
        only = self.offer.places[0] if len(self.offer.places) == 1 else None
        chosen = last or only
        only_plots = all(each.kind == Place.Kind.PLOT for each in self.offer.places)
        label = own.label() if own is not None else _("地块") if only_plots and choices else _("地点")
        self.fields["place"] = choice_field(
            label, choices, radios=False, required=required, initial=str(chosen.uid) if chosen else ""
        )

    def _division(self, label: str, initial: str) -> Asked:
        return Asked(label=label, initial=initial, widget=forms.Select(choices=division_choices()))

    def _places(self) -> Pairs:
        """Own places; plots only where the step is about a plot."""
        rows = self.offer.places
        plots = [each for each in rows if each.kind == Place.Kind.PLOT]
        if self.plan.moves == "place":
            rows = plots or rows
        elif self.plan.moves == "create":
            rows = plots + [each for each in rows if each not in plots]
        return [(str(each.uid), place_words(each)) for each in rows]

    def _party(self) -> None:
        """The other side: one of those known, a name typed, or somebody new."""
        if not self.plan.party:
            return
        lately = {each.pk for each in self.offer.lately}
        rest = [(str(each.uid), each.label) for each in self.offer.parties if each.pk not in lately]
        known = [(str(each.uid), each.label) for each in self.offer.lately]
        choices: Any = [(_("最近往来"), known), (_("其他单位"), rest)] if known and rest else known or rest
        label = {"supplier": _("供货者"), "receiver": _("收货单位"), "source": _("退回方")}[self.plan.party]
        last = self.offer.last.party
        self.fields["party"] = Asked(
            label=label,
            required=True,
            initial=str(last.uid) if last is not None else "",
            widget=forms.Select(choices=[("", _("请选择")), *choices]),
        )
        kinds = [(str(kind), kind.label) for kind in APPLICANT_KINDS]
        self.fields["party_name"] = text_field(_("名称"), hint=_("已入驻的单位填全称或统一社会信用代码即可。"))
        self.fields["party_kind"] = choice_field(_("单位类型"), kinds, radios=False, initial=self._usual_kind())
        self.fields["party_division"] = self._division(_("所在地"), self.offer.actor.owner.division_id)
        self.fields["party_address"] = text_field(_("地址"))
        self.fields["party_phone"] = text_field(_("联系电话"), hint=_("地址和电话至少填一项，召回时才能通知到对方。"))

    def _usual_kind(self) -> str:
        return "producer" if self.plan.party == "supplier" else "retailer"

    def _lots(self) -> None:
        """Rows of lots that go in or that the step is about."""
        key = "inputs" if self.plan.inputs else "subjects" if self.plan.subjects else ""
        if not key:
            return
        about = {"return": _("退回的批次"), "ship": _("发出的批次"), "destroy": _("销毁的批次")}
        legend = _("投入") if key == "inputs" else about.get(self.plan.moves, _("批次"))
        single = key == "subjects" and self.plan.moves in ("sample", "release", "code")
        goods = _("、").join(each.label() for each in self.plan.template.inputs) if key == "inputs" else ""
        spec = self._specs[key] = _Spec(legend, goods, _("没有列出？输入或扫描批号"), may_grow=not single)
        labels = self.plan.input_labels if key == "inputs" else ()
        self._count(key, max(self.plan.inputs or self.plan.subjects, self.start.rows.get(key, 0)))
        options = [*self.offer.lots, *self.start.lots]
        choices = self._lot_choices(options)
        facts = {
            each.value: units_fact(unit_pairs(each.lot.product), have=decimal_text(each.micros) if each.micros else "")
            for each in options
        }
        products = [each.lot.product for each in options]
        for number in range(self.rows_of(key)):
            required = number < max(1, len([each for each in labels if each.required]))
            name = f"{key}-{number}"
            folded = [f"{name}-code"]
            self.fields[f"{name}-lot"] = Asked(
                label=_("批次"), required=required, widget=MoreSelect(choices=choices, facts=facts)
            )
            self.fields[f"{name}-code"] = code_field(_("批号或追溯码"), hint=_("可用扫码枪扫描标签。"))
            cells = [f"{name}-lot"]
            if not options:
                cells, folded = [f"{name}-code"], []
            if key == "inputs" or self.plan.amount != "none":
                self._amount(name, products, required=required and self._amount_required(key))
                cells += [f"{name}-amount", f"{name}-unit"]
            for column in self.plan.input_columns if key == "inputs" else ():
                self.fields[f"{name}-x_{column.key}"] = column_field(column, required=required)
                cells.append(f"{name}-x_{column.key}")
            own = labels[number].label() if number < len(labels) else ""
            spec.rows.append((own, cells, folded))

    def _amount_required(self, key: str) -> bool:
        return key == "inputs" or self.plan.amount == "required"

    def _lot_choices(self, options: list[OnHand]) -> Any:
        """The lots of the steps before first, the rest after."""
        usual = [(each.value, lot_words(each)) for each in options if each.usual]
        rest = [(each.value, lot_words(each)) for each in options if not each.usual]
        grouped: Any = [(_("上一环节的批次"), usual), (_("其他批次"), rest)] if usual and rest else usual + rest
        return [("", _("请选择")), *grouped]

    def _amount(self, name: str, products: Sequence[Product], *, required: bool, preferred: str = "") -> None:
        """An amount and its unit; where goods of several kinds are offered, none means the goods' own unit."""
        self.fields[f"{name}-amount"] = decimal_field(_("数量"), required=required)
        units = all_units(products)
        choices = units if len({each.pk for each in products}) == 1 else [("", _("默认")), *units]
        self.fields[f"{name}-unit"] = Asked(
            label=_("计量单位"), required=False, initial=preferred, widget=forms.Select(choices=choices)
        )

    def _goods(self) -> None:
        """Rows of lots that begin."""
        if not self.plan.outputs:
            return
        receiving = self.plan.moves == "receive"
        legend = _("收到的货物") if receiving else _("产出")
        spec = self._specs["outputs"] = _Spec(
            legend, fold_words=_("生产日期和保质期") if receiving else _("自己编批号"), may_grow=not receiving
        )
        self._count("outputs", max(self.plan.outputs, self.start.rows.get("outputs", 0)))
        products = self.offer.products
        choices = [(str(each.uid), str(each)) for each in products]
        less = {str(each.uid): {"byproduct": "1"} for each in products if each.kind == Product.Kind.BYPRODUCT}
        facts = {str(each.uid): units_fact(unit_pairs(each), **less.get(str(each.uid), {})) for each in products}
        for number in range(self.rows_of("outputs")):
            self._output(spec, number, choices, facts)

    def _output(self, spec: _Spec, number: int, choices: Pairs, facts: Mapping[str, Mapping[str, str]]) -> None:
        """One lot that begins."""
        name, required = f"outputs-{number}", number == 0
        receiving, last = self.plan.moves == "receive", self.offer.last
        first = choices if len(choices) == 1 else [("", _("请选择")), *choices]
        self.fields[f"{name}-product"] = Asked(
            label=_("产品"),
            required=required,
            initial=str(last.product.uid) if last.product is not None else "",
            widget=MoreSelect(choices=first, facts=facts),
        )
        self._amount(name, self.offer.products, required=required, preferred=last.unit)
        code_required = self.plan.lot_code_required
        self.fields[f"{name}-lot_code"] = code_field(
            _("供货者批号") if receiving else _("批号"),
            required=required and code_required,
            hint=_("照包装或单据上的批号填写。") if receiving else "" if code_required else _("不填则自动编号。"),
        )
        cells = [f"{name}-product", f"{name}-amount", f"{name}-unit"]
        folded: list[str] = []
        (cells if code_required else folded).append(f"{name}-lot_code")
        for column in self.plan.output_columns:
            self.fields[f"{name}-x_{column.key}"] = column_field(column, required=required)
            cells.append(f"{name}-x_{column.key}")
        for each in self.plan.output_fields:
            self.fields[f"{name}-f_{each.key}"] = self._made(each, required=required and each.required, radios=False)
            cells.append(f"{name}-f_{each.key}")
        if receiving:
            for key, label in (("produced_on", _("生产日期")), ("expires_on", _("保质期至"))):
                self.fields[f"{name}-{key}"] = day_field(label)
                folded.append(f"{name}-{key}")
        self.fields[f"{name}-restates"] = Asked(required=False, widget=forms.HiddenInput())
        spec.rows.append(("", cells, folded))

    def _facts(self) -> None:
        """The template's own fields."""
        for each in self.plan.fields:
            if each.columns:
                self._table(each)
                continue
            made = self._made(each, required=each.required and not self._follows(each))
            again = self.offer.last.data.get(each.key)
            if isinstance(again, bool):
                again = "true" if again else "false"
            made.initial = again or self._usual(each) or made.initial
            self.fields[f"{DATA}{each.key}"] = made

    def _made(self, each: TemplateField, *, required: bool, radios: bool = True) -> Asked:
        made = template_field(
            each,
            places=self._places(),
            reports=[(str(row.uid), report_words(row)) for row in self.offer.reports],
            radios=radios,
        )
        made.required = required
        return made

    def _follows(self, each: TemplateField) -> bool:
        """Whether the field is worked out where it is left blank: the expiry date from the product's shelf life."""
        return each.key == self.plan.template.expires_on_field and any(map(_shelf_life, self.offer.products))

    def _usual(self, each: TemplateField) -> Any:
        """What a field begins with where nothing was entered before."""
        found = self.plan.template
        if each.key == found.produced_on_field and found.code == "common.produce":
            return now_here().date()
        if each.key == "issuer":
            return self.offer.actor.owner.name
        if each.type == "ref:ProductStandard":
            return next((_standard(product) for product in self.offer.products if _standard(product)), "")
        if each.key == "pledge":
            return _("不使用禁用农药兽药、停用兽药和非法添加物；常规农药兽药残留不超标；对承诺的真实性负责。")
        return None

    def _table(self, each: TemplateField) -> None:
        """A list with columns as rows."""
        key = f"{DATA}{each.key}"
        spec = self._specs[key] = _Spec(each.label(), _("没有的行留空。"))
        self._count(key, max(1, self.start.rows.get(key, 0)))
        for number in range(self.rows_of(key)):
            names = []
            for column in each.columns:
                if column.key == "verdict":
                    continue  # judged by the limit beside it, never typed
                name = f"{key}-{number}-{column.key}"
                self.fields[name] = column_field(column)
                names.append(name)
            spec.rows.append(("", names, []))

    def _others(self) -> None:
        """What belongs to one kind of step only."""
        moves = self.plan.moves
        if moves == "sample":
            self._report()
        elif moves == "hold":
            kinds = [
                (HoldSet.Kind.HOLD, HoldSet.Kind.HOLD.label),
                (HoldSet.Kind.STOP_SALE, HoldSet.Kind.STOP_SALE.label),
            ]
            self.fields["hold_kind"] = choice_field(
                _("怎样处理"), [(str(k), v) for k, v in kinds], required=True, initial="hold"
            )
        elif moves == "release":
            reports = [(str(row.uid), report_words(row)) for row in self.offer.reports]
            self.fields["release_report"] = choice_field(
                _("出厂检验报告"), reports, radios=False, hint=_("不选则用这个批次最近的一份。")
            )
            self.fields["release_reason"] = text_field(
                _("没有合格报告仍要放行的理由"), long=True, hint=_("只在确有必要时填写，监管部门可见。")
            )
        elif moves in ("pack", "unpack"):
            pack = self.plan.template.field("parent")
            units = self.plan.template.field("children")
            self.fields["pack"] = code_field(pack.label() if pack else "", required=True)
            self.fields["units"] = text_field(
                units.label() if units else "",
                long=True,
                required=moves == "pack",
                hint=_("每行一个，可连续扫描。") if moves == "pack" else _("不填则全部拆出。"),
            )
            self.fields["units"].widget.attrs["data-scan"] = "many"
        elif moves == "correct":
            chosen = [(str(row.uid), f"{moment_text(row.occurred_at)} {_title(row)}") for row in self.offer.events]
            self.fields["wrong"] = choice_field(_("哪个环节有误"), chosen, radios=False, required=True)
            reasons = [(str(value), label) for value, label in Event.ErrorReason.choices]
            self.fields["wrong_reason"] = choice_field(_("原因"), reasons, required=True)

    def _report(self) -> None:
        """The laboratory's report; a sample alone has none yet."""
        needed = self.plan.is_test
        labs = [(str(each.uid), each.label) for each in self.offer.laboratories]
        own = next((each for each in self.offer.laboratories if each.pk == self.offer.actor.owner.pk), None)
        self.fields["lab"] = choice_field(
            _("检验机构"), labs, radios=False, initial=str(own.uid) if own is not None else ""
        )
        self.fields["lab_name"] = text_field(_("检验机构名称"), hint=_("机构没有列出时填写；本单位自检填本单位名称。"))
        self.fields["report_no"] = text_field(
            _("报告编号"), required=needed, hint="" if needed else _("报告还没有出来可以不填，以后再登记。")
        )
        self.fields["issued_on"] = day_field(_("签发日期"), required=needed)
        self.fields["lab_cma"] = text_field(_("CMA 编号"), hint=_("12 位数字，没有可以不填。"))
        regulator = self.offer.actor.is_regulator
        self.fields["purpose"] = choice_field(
            _("检验类别"),
            [(value, self._purpose(value)) for value in PURPOSES],
            radios=False,
            required=True,
            initial="监督抽查" if regulator else "出厂检验",
        )

    def _purpose(self, value: str) -> str:
        known = template("common.sample").field("purpose")
        return known.choice_label(value) if known is not None else value

    def _more(self) -> None:
        """Remark and files; who was entered for is said by the page."""
        if self.plan.moves != "hold":
            self.fields["remark"] = text_field(
                _("备注"), long=True, hint=_("加密保存，只有本单位和监管部门能看，可以要求删除。")
            )
        self.fields["files"] = Asked(
            label=_("照片或 PDF"),
            required=False,
            widget=ManyFiles(),
            help_text=_("最多 9 个，每个不超过 10 MB。照片里的位置等信息会自动去掉。"),
        )

    # --- Rows -------------------------------------------------------------------------------------------------------

    def _count(self, key: str, rows: int) -> None:
        """How many rows a group has: asked for by the form sent, one more by 加一行."""
        name = f"{key}-count"
        if self.is_bound:
            with contextlib.suppress(Invalid):  # a count somebody made up: the form's own stands
                rows = clean_int(self.data.get(name), 1, MOST_ROWS)
            if self.data.get("add") == key:
                rows += 1
        rows = max(1, min(rows, MOST_ROWS))
        self._rows[key] = rows

    def rows_of(self, key: str) -> int:
        """How many rows a group has; 0 for a group there is not."""
        return self._rows.get(key, 0)

    @property
    def groups(self) -> Iterator[Group]:
        """The groups of rows as a page shows them."""
        for key, spec in self._specs.items():
            rows = [
                Row(
                    legend or self._row_name(spec, number),
                    self._cells(cells, number),
                    self._cells(folded, number),
                    [self[name] for name in (f"{key}-{number}-restates",) if name in self.fields],
                )
                for number, (legend, cells, folded) in enumerate(spec.rows)
            ]
            may_grow = spec.may_grow and len(rows) < MOST_ROWS
            yield Group(key, spec.legend, spec.hint, rows, may_grow, spec.fold_words)

    def _cells(self, names: list[str], number: int) -> list[Cell]:
        return [
            Cell(self[name], kind, None if number == 0 and kind != "unit" else False)
            for name in names
            if (kind := name.rpartition("-")[2])
        ]

    def _row_name(self, spec: _Spec, number: int) -> str:
        """The number of a row, and that it may stay empty."""
        if len(spec.rows) == 1:
            return ""
        return str(number + 1) if number == 0 else _("%(n)d（没有就留空）") % {"n": number + 1}

    @property
    def facts(self) -> list[BoundField]:
        """The template's own fields that are single."""
        keys = [f"{DATA}{each.key}" for each in self.plan.fields if not each.columns]
        return [self[key] for key in keys]

    @property
    def wants_row(self) -> bool:
        """Whether the form was sent only to get one more row."""
        return self.is_bound and self.data.get("add") in self._specs

    # --- Reading ----------------------------------------------------------------------------------------------------

    def clean(self) -> dict[str, Any]:
        """Read the answers by the rules; what they refuse stands beside its field."""
        self.entry = read_entry(self)
        return self.cleaned_data

    def refuse(self, name: str, error: DomainError) -> None:
        """Put a refusal beside its field, or above the form where the field is not there."""
        known = name if name in self.fields else None
        self.add_error(known, ValidationError(error.message, code=error.code))


def _shelf_life(product: Product) -> bool:
    return bool(product.current and product.current.shelf_life_days)


def _standard(product: Product) -> str:
    """The standard a product is made to, as a text."""
    if product.current is None:
        return ""
    return product.current.standard.number if product.current.standard else product.current.standard_text


def _title(event: Event) -> str:
    return template(event.template).label()
