"""Forms of the catalogue of standards: a limit, an edition, an edition's dates; and a product's own limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.actions.limits import EditionInput, LimitInput
from trace.event_templates import TemplateField
from trace.forms.fields import Day, Pick, Text
from trace.models import Limit, Standard
from trace.result_words import grade_words

GRADE = "grade_"
_SIGNS = [
    ("<=", gettext_lazy("不超过（≤）")),
    (">=", gettext_lazy("不低于（≥）")),
    ("between", gettext_lazy("在两个数之间（最低~最高）")),
]
_AGES = [
    ("", gettext_lazy("任何批龄")),
    ("<=1y", gettext_lazy("出厂一年以内")),
    (">1y", gettext_lazy("出厂超过一年")),
]


class LimitForm(forms.Form):
    """What a regulator says a limit is, from which text."""

    operator = Pick(label=gettext_lazy("要求"), choices=_SIGNS, widget=forms.RadioSelect)
    value = Text(
        label=gettext_lazy("限值"),
        max_length=40,
        required=False,
        help_text=gettext_lazy("只填数字。不知道就留空：没有限值的项目不判定。"),
    )
    unit = Text(label=gettext_lazy("单位"), max_length=20, required=False)
    applies = Pick(label=gettext_lazy("适用批龄"), choices=_AGES, required=False)
    basis = Text(
        label=gettext_lazy("计算基准"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("写有 100%vol 的按换算到纯酒精的值判定。"),
    )
    method = Text(label=gettext_lazy("检验方法"), max_length=80, required=False)
    source = Text(
        label=gettext_lazy("依据"),
        max_length=300,
        multiline=True,
        help_text=gettext_lazy("出自哪个文本、哪一条、哪张表，会公开留在记录里。"),
    )
    verified = forms.BooleanField(label=gettext_lazy("已对照标准原文核对"), required=False)

    def __init__(self, *args: Any, limit: Limit | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit = limit
        places = list(self.fields)
        for grade in limit.grades if limit is not None and limit.operator != "between" else ():
            self.fields[f"{GRADE}{grade}"] = Text(
                label=_("限值（%(grade)s）") % {"grade": grade_words(grade)}, max_length=40, required=False
            )
            places.insert(places.index("unit"), f"{GRADE}{grade}")
        self.order_fields(places)

    @staticmethod
    def initial_of(limit: Limit) -> dict[str, Any]:
        """The form filled with what the limit says now."""
        ranged = limit.operator == "between" and limit.grades
        return {
            "operator": limit.operator,
            "value": f"{limit.grades.get('from')}~{limit.grades.get('to')}" if ranged else limit.value,
            "unit": limit.unit,
            "applies": limit.applies,
            "basis": limit.basis,
            "method": limit.method,
            **{f"{GRADE}{grade}": value for grade, value in limit.grades.items()},
        }

    def said(self) -> LimitInput:
        """What the action takes."""
        data = self.cleaned_data
        grades = {name.removeprefix(GRADE): value for name, value in data.items() if name.startswith(GRADE)}
        names = ("operator", "value", "unit", "applies", "basis", "method", "source", "verified")
        return LimitInput(grades=grades, **{name: data[name] for name in names})

    def field_names(self) -> dict[str, str]:
        """The action's names of fields where they differ."""
        return {f"grades.{name.removeprefix(GRADE)}": name for name in self.fields if name.startswith(GRADE)} | {
            "limit_exists": "applies"
        }


class NewLimitForm(LimitForm):
    """A further limit of an item for another age of the lot."""

    parameter = Pick(label=gettext_lazy("项目"), choices=())

    def __init__(self, *args: Any, standard: Standard, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = dict(standard.limits.order_by("id").values_list("parameter", "name"))
        self.fields["parameter"] = Pick(label=_("项目"), choices=list(rows.items()))
        self.order_fields(["parameter", *(name for name in self.fields if name != "parameter")])


class EditionForm(forms.Form):
    """The next edition of a standard."""

    number = Text(label=gettext_lazy("编号"), max_length=80, help_text=gettext_lazy("带年份，例如 GB 2757-2026。"))
    title = Text(label=gettext_lazy("名称"), max_length=200)
    effective_on = Day(label=gettext_lazy("实施日期"))
    source = Text(label=gettext_lazy("依据"), max_length=300, multiline=True)

    def edition(self) -> EditionInput:
        """What the action takes."""
        return EditionInput(**self.cleaned_data)


class DatesForm(forms.Form):
    """From when to when an edition is in force."""

    effective_on = Day(label=gettext_lazy("实施日期"), required=False)
    ended_on = Day(
        label=gettext_lazy("废止日期"), required=False, help_text=gettext_lazy("从这一天起不再有效；仍有效就留空。")
    )
    source = Text(label=gettext_lazy("依据"), max_length=300, multiline=True)


class DeclaredForm(forms.Form):
    """A producer's own limits, one row per item of the product's tests."""

    def __init__(
        self,
        *args: Any,
        tests: Sequence[TemplateField],
        declared: dict[str, dict[str, str]],
        usual: dict[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.tests = tests
        for test in tests:
            said = declared.get(test.key, {})
            self.fields[f"op_{test.key}"] = Pick(
                label=_("要求"), choices=_SIGNS, initial=said.get("operator", usual.get(test.key, "<=")), required=False
            )
            self.fields[f"value_{test.key}"] = Text(
                label=test.label(), max_length=40, required=False, initial=said.get("value", "")
            )

    def limits(self) -> dict[str, tuple[str, str]]:
        """What the action takes."""
        data = self.cleaned_data
        return {test.key: (data[f"op_{test.key}"] or "<=", data[f"value_{test.key}"]) for test in self.tests}
