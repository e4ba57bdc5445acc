"""Test results in words, one way for every page: what was measured, the limit, whose it is, why there is no verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace import judging
from trace.models import TestReport, TestResult
from trace.templatetags.ui import unit_name

BADGES = {"pass": "passed", "fail": "failed", "not_judged": "not_judged"}
"""The badge of a verdict."""
SIGNS = {"<=": "≤", ">=": "≥"}
_WHY: Mapping[str, str | Promise] = {
    judging.NO_LIMIT: gettext_lazy("没有限值"),
    judging.LIMIT_UNKNOWN: gettext_lazy("标准有此项，限值待监管部门补录"),
    judging.NO_EDITION: gettext_lazy("目录里没有生产日期当天有效的标准版本"),
    judging.GRADE_UNKNOWN: gettext_lazy("限值按质量等级分，产品没有写等级"),
    judging.OTHER_AGE: gettext_lazy("目录里的限值只适用于另一批龄"),
    judging.UNIT_DIFFERS: gettext_lazy("结果和限值的单位对不上"),
    judging.LOQ_UNKNOWN: gettext_lazy("未检出，但没有写定量限"),
    judging.LOQ_TOO_HIGH: gettext_lazy("定量限比限值还高，不能断定"),
    judging.STRENGTH_UNKNOWN: gettext_lazy("没有酒精度，不能换算到 100%vol"),
    judging.CONVERTED: gettext_lazy("按换算到 100%vol 的值判定"),
    judging.NOT_A_NUMBER: gettext_lazy("结果不是数字"),
}
_CONDITIONS: Mapping[str, str | Promise] = {
    "<=1y": gettext_lazy("出厂一年以内"),
    ">1y": gettext_lazy("出厂超过一年"),
}
_LABORATORY: Mapping[str, tuple[str, str | Promise]] = {
    "issued": ("good", gettext_lazy("检验机构自己登记")),
    "confirmed": ("good", gettext_lazy("检验机构已确认")),
    "denied": ("danger", gettext_lazy("检验机构否认")),
    "unconfirmed": ("attention", gettext_lazy("检验机构未确认")),
    "outside": ("mute", gettext_lazy("检验机构不在系统内，无法请其确认")),
}


@dataclass(frozen=True)
class ResultLine:
    """One tested item in words. ``unverified`` is set where the catalogue's limit was not checked against its text."""

    name: str
    measured: str
    limit: str
    source: str
    unverified: bool
    condition: str
    method: str
    badge: str
    why: str


@dataclass(frozen=True)
class LaboratoryWord:
    """What the laboratory says of a report: a badge's tone and its words."""

    state: str
    tone: str
    words: str


def result_line(row: TestResult) -> ResultLine:
    """A result as a page shows it: 未检出 with its limit of quantification, the limit with its sign and its owner."""
    unit = unit_name(row.unit) if row.unit else ""
    return ResultLine(
        name=row.label,
        measured=measured_words(row, unit),
        limit=limit_words(row.limit_operator, row.limit_value, unit),
        source=_source(row),
        unverified=bool(row.limit_value) and not row.limit_verified and row.limit_kind != TestResult.LimitKind.DECLARED,
        condition=condition_words(row.limit_applies),
        method=row.method,
        badge=BADGES[row.verdict],
        why=reason_words(row.reason) if row.verdict == TestReport.Verdict.NOT_JUDGED else "",
    )


def measured_words(row: TestResult, unit: str) -> str:
    """What was measured."""
    if row.operator == TestResult.Operator.NOT_DETECTED:
        if row.loq:
            return _("未检出（定量限 %(loq)s）") % {"loq": f"{row.loq} {unit}".strip()}
        return _("未检出")
    value = f"{row.value} {unit}".strip()
    return f"< {value}" if row.operator == TestResult.Operator.LESS else value


def limit_words(operator: str, value: str, unit: str) -> str:
    """A limit with its sign; empty where none is known."""
    if not value:
        return ""
    if operator == judging.ABSENT:
        return _("不得检出")
    if operator == "between":
        return f"{value.replace('~', '–')} {unit}".strip()
    return f"{SIGNS.get(operator, operator)} {value} {unit}".strip()


def condition_words(applies: str) -> str:
    """For which age of the lot a limit is, in words."""
    return str(_CONDITIONS.get(applies, applies))


_BASES = (
    ("100%vol", gettext_lazy("换算到 100%vol")),
    ("grain raw material", gettext_lazy("以粮谷为原料")),
)


def basis_words(basis: str) -> str:
    """On what basis a limit is stated: the catalogue's English notes in the reader's language, others as written."""
    if not basis.isascii():
        return basis
    return _("，").join(str(words) for part, words in _BASES if part in basis) or basis


def reason_words(reason: str) -> str:
    """Why an item was not judged."""
    return str(_WHY.get(reason, ""))


def laboratory_word(report: TestReport) -> LaboratoryWord:
    """Whether the laboratory named stands by the report; reads ``answers`` and ``event``."""
    state = report.laboratory_says
    tone, words = _LABORATORY[state]
    return LaboratoryWord(state, tone, str(words))


def _source(row: TestResult) -> str:
    """Whose limit it is."""
    if not row.limit_value:
        return ""
    if row.limit_kind == TestResult.LimitKind.DECLARED:
        return _("企业承诺限值")
    if row.limit_kind == TestResult.LimitKind.REPORT and not row.limit_source:
        return _("报告所载")
    return row.limit_source


_GRADES: Mapping[str, str | Promise] = {
    "special": gettext_lazy("特级"),
    "superior": gettext_lazy("优级"),
    "first": gettext_lazy("一级"),
    "g1": gettext_lazy("一级"),
    "g2": gettext_lazy("二级"),
    "g3": gettext_lazy("三级"),
    "in_shell": gettext_lazy("带壳"),
    "shelled": gettext_lazy("去壳"),
}


def grade_words(grade: str) -> str:
    """A grade of the catalogue in words."""
    return str(_GRADES.get(grade, grade))


def value_words(operator: str, value: str, grades: Mapping[str, str], unit: str) -> str:
    """A limit of the catalogue with its grades: ``≥ 特级 0.50、优级 0.40 g/L``; empty where unknown."""
    if operator == "between" and grades:
        return limit_words(operator, f"{grades.get('from', '')}~{grades.get('to', '')}", unit)
    if grades:
        each = _("、").join(f"{grade_words(grade)} {number}" for grade, number in grades.items())
        return f"{SIGNS.get(operator, operator)} {each} {unit}".strip()
    return limit_words(operator, value, unit)
