"""Form fields made from the templates' fields, and the controls that steps need: units, measured values, files.

Every field here keeps what was typed. The rules look at it afterwards (``step_reading``), the same ones as for the API.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from trace.errors import Invalid
from trace.event_templates import Column, TemplateField, parse_measured
from trace.units import decimal_text

SHOWN_MAX = 20_000
"""Characters of a refused text that are shown again; the longest list that can be right has as many."""
MANY_CHOICES = 5
Choices = Sequence[tuple[str, Any]]
LONG_TEXTS = frozenset({"reason", "pledge", "basis", "fault", "fumigation"})
NAMES_OF = {"ref:Organisation": "known-parties", "ref:ProductStandard": "known-standards", "ref:Lot": "known-lots"}


class Asked(forms.Field):
    """A field that keeps what was typed for the rules to judge; ``required`` and ``unit`` are for the page."""

    widget = forms.TextInput

    def __init__(self, *, unit: str = "", **kwargs: Any) -> None:
        self.unit = unit
        super().__init__(**kwargs)

    def clean(self, value: Any) -> Any:
        """The value as it came."""
        return value

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What a page shows again: nothing that cannot stand in a page, nothing that never ends."""
        if isinstance(data, str):
            return data[:SHOWN_MAX].replace("\x00", "")
        return data


class MoreSelect(forms.Select):
    """A select whose options carry data for the script: the units of a lot or product, how much is there."""

    def __init__(self, *args: Any, facts: Mapping[str, Mapping[str, str]] | None = None, **kwargs: Any) -> None:
        self.facts = facts or {}
        super().__init__(*args, **kwargs)

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """One option with its facts as data attributes."""
        option: dict[str, Any] = super().create_option(name, value, *args, **kwargs)
        for key, fact in self.facts.get(str(value), {}).items():
            option["attrs"][f"data-{key}"] = fact
        return option


class MeasuredInput(forms.MultiWidget):
    """A laboratory's result: a number, and whether it is the value, an upper bound, or the limit below 未检出."""

    def __init__(self, attrs: Any = None) -> None:
        # Made on each form, so that the words are in the reader's language.
        words = [("=", _("实测值")), ("<", _("小于")), ("nd", _("未检出（填定量限）"))]
        number = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        word = forms.Select(choices=words, attrs={"aria-label": _("结果的含义")})
        super().__init__([number, word], attrs)

    def decompress(self, value: Any) -> list[Any]:
        """A stored or typed result as number and word."""
        if not value:
            return ["", "="]
        try:
            found = parse_measured(str(value))
        except Invalid:
            return [value, "="]
        return [found.loq if found.operator == "nd" else found.value, found.operator]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """The result in one text as the rules read it; what was typed in one box passes as it is."""
        if name in data:
            return data.get(name)
        number, word = (str(part or "") for part in super().value_from_datadict(data, files, name))
        if word == "nd" and not number.strip().startswith(("未", "n", "N")):
            return f"未检出(<{number.strip()})" if number.strip() else "未检出"
        if word == "<" and number.strip() and not number.strip().startswith("<"):
            return f"<{number.strip()}"
        return number

    def id_for_label(self, id_: str, index: str = "0") -> str:
        """The label belongs to the number."""
        return f"{id_}_{index}"


class ManyFiles(forms.FileInput):
    """Several files at once."""

    allow_multiple_selected = True

    def __init__(self, attrs: Any = None) -> None:
        super().__init__({"accept": "image/*,application/pdf", "data-preview": "", **(attrs or {})})

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[Any]:
        """All files of the field."""
        return files.getlist(name) if isinstance(files, MultiValueDict) else []


def units_fact(units: Iterable[tuple[str, str]], **more: str) -> dict[str, str]:
    """The facts of a lot or product for the script."""
    return {"units": json.dumps(list(units), ensure_ascii=False), **more}


def day_field(label: Any, *, initial: datetime.date | None = None, required: bool = False, hint: Any = "") -> Asked:
    """A day by the native picker."""
    return Asked(label=label, initial=initial, required=required, help_text=hint, widget=forms.DateInput())


def decimal_field(label: Any, *, unit: str = "", required: bool = False, hint: Any = "", initial: Any = "") -> Asked:
    """A number."""
    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
    return Asked(label=label, unit=unit, required=required, help_text=hint, widget=widget, initial=initial)


def choice_field(
    label: Any, choices: Choices, *, required: bool = False, hint: Any = "", initial: Any = "", radios: bool = True
) -> Asked:
    """One of a few as radios, one of many as a select."""
    if radios and len(choices) <= MANY_CHOICES:
        widget: forms.Widget = forms.RadioSelect(choices=choices)
    else:
        widget = forms.Select(choices=[("", _("请选择")), *choices])
    return Asked(label=label, required=required, help_text=hint, widget=widget, initial=initial)


def text_field(
    label: Any, *, required: bool = False, hint: Any = "", initial: Any = "", names: str = "", long: bool = False
) -> Asked:
    """A text; ``names`` is the id of a list of known names to choose from while typing."""
    attrs = {"list": names, "autocomplete": "off"} if names else {"autocomplete": "off"}
    widget: forms.Widget = forms.Textarea(attrs={"rows": 3}) if long else forms.TextInput(attrs=attrs)
    return Asked(label=label, required=required, help_text=hint, widget=widget, initial=initial)


def code_field(label: Any, *, required: bool = False, hint: Any = "", initial: Any = "") -> Asked:
    """A code as typed or scanned."""
    attrs = {"autocapitalize": "characters", "autocomplete": "off", "spellcheck": "false", "data-scan": ""}
    return Asked(label=label, required=required, help_text=hint, widget=forms.TextInput(attrs=attrs), initial=initial)


def template_field(
    field: TemplateField, *, places: Choices, reports: Choices, initial: Any = "", radios: bool = True
) -> Asked:
    """The form field of a template's field, by its type. Lists with columns are no single field (``column_field``)."""
    common: dict[str, Any] = {"required": field.required, "hint": hint_of(field), "initial": initial}
    label, kind = field.label(), field.type
    if kind == "enum":
        choices = [(choice.value, choice.label()) for choice in field.choices]
        return choice_field(label, choices, radios=radios, **common)
    if kind == "bool":
        return choice_field(label, [("true", _("是")), ("false", _("否"))], radios=radios, **common)
    if kind == "decimal" and field.below_loq:
        return Asked(
            label=label,
            unit=field.unit_label(),
            required=field.required,
            help_text=common["hint"],
            widget=MeasuredInput(),
        )
    if kind in ("decimal", "int"):
        made = decimal_field(label, unit=field.unit_label() if field.unit != "per product" else "", **common)
        if kind == "int":
            made.widget.attrs["inputmode"] = "numeric"
        return made
    if kind == "date":
        return Asked(label=label, required=field.required, initial=initial or None, widget=forms.DateInput())
    if kind == "datetime":
        return Asked(label=label, required=field.required, initial=initial or None, widget=forms.DateTimeInput())
    if kind in ("list", "files") or kind.startswith("list["):
        hint = _("每行一项，写明结果，例如：糖精钠 未检出。") if field.absent else _("每行一项。")
        return text_field(label, long=True, **{**common, "hint": common["hint"] or hint})
    if kind == "ref:Location" and field.key not in ("origin",):
        return choice_field(label, places, radios=False, **common)
    if kind == "ref:TestReport":
        return choice_field(label, reports, radios=False, **common)
    names = "known-regions" if kind == "ref:Location" else NAMES_OF.get(kind, "")
    return text_field(label, names=names, long=field.key in LONG_TEXTS, **common)


def column_field(column: Column, *, initial: Any = "", required: bool = False) -> Asked:
    """One cell of a row of a list."""
    label = column.label()
    if column.type == "enum":
        choices = [(choice.value, choice.label()) for choice in column.choices]
        return choice_field(label, choices, radios=False, initial=initial, required=required)
    if column.type == "measured":
        return Asked(label=label, initial=initial, required=required, widget=MeasuredInput())
    if column.type == "decimal":
        return decimal_field(label, unit=column.unit, initial=initial, required=required)
    return text_field(label, initial=initial, required=required)


def hint_of(field: TemplateField) -> str:
    """What is usual, where that is known; a remark on fields that may name a person."""
    if field.personal:
        return _("可能是个人信息，加密保存在备注里，不公开。")
    if field.advisory_range is None:
        return ""
    low, high = (decimal_text(int(bound * 1_000_000)) for bound in field.advisory_range)
    unit = field.unit_label()
    return _("通常 %(low)s–%(high)s %(unit)s") % {"low": low, "high": high, "unit": unit}


def now_here() -> datetime.datetime:
    """The present minute in the installation's zone."""
    return timezone.localtime().replace(second=0, microsecond=0)
