"""Whether what was typed fits a template: the same answer for forms, the API and imports, on both databases.

What comes out is JSON-ready and exact: numbers stay the decimal text that was typed (8.50 keeps its zero),
dates are ISO, choices are their stored values. Amounts of lots are not checked here but in ``trace.units``:
data say what was done, items how much moved.
"""

import datetime
import re
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from django.utils import translation
from django.utils.translation import gettext as _

from trace.errors import FieldErrors, Invalid
from trace.event_templates.computing import compute_data
from trace.event_templates.loader import Choice, Column, EventTemplate, TemplateField
from trace.text import clean_int, clean_text, fold_width, printable
from trace.units import is_english

JsonValue = str | int | bool | list["JsonValue"] | dict[str, "JsonValue"]
Part = Literal["all", "event", "output"]

SHANGHAI = datetime.timezone(datetime.timedelta(hours=8))
TEXT_MAX = 500
REF_MAX = 200
ITEM_MAX = 200
LIST_MAX = 500
ROWS_MAX = 200
FILES_MAX = 20
INT_MAX = 10**9
UNKNOWN_SHOWN = 20

_DECIMAL = re.compile(r"([+-]?)([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.([0-9]*))?")
_DATE = re.compile(r"([0-9]{4})(?:-|/|\.|年)([0-9]{1,2})(?:-|/|\.|月)([0-9]{1,2})日?")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?:\.[0-9]{1,6})?")
_OFFSET = re.compile(r"Z|[+-][0-9]{2}:?[0-9]{2}")
_SEPARATORS = re.compile(r"[\n,，、;；]+")
_NOT_DETECTED = re.compile(
    r"(?:未检出|nd|n\.d\.|not detected)\s*(?:\(?\s*(?:LOQ|定量限|检出限|<)?\s*:?\s*([0-9.]+)[^0-9()]*\)?)?",
    re.IGNORECASE,
)
_BELOW = re.compile(r"(?:<|≤|小于)\s*([0-9.]+)")
_YES = frozenset(("true", "1", "on", "yes", "y", "是", "有"))
_NO = frozenset(("false", "0", "off", "no", "n", "否", "无"))


@dataclass(frozen=True)
class DataWarning:
    """A value that is possible but unusual.

    It is stored, and the person is told. ``code`` is ``outside_usual_range``.
    """

    key: str
    code: str
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Measured:
    """A laboratory's result: ``operator`` is ``=``, ``<`` or ``nd`` (未检出); 未检出 is never zero but below
    ``loq``.

    ``value`` is decimal text and empty for ``nd``; ``loq`` may be empty when it was not given.
    """

    operator: Literal["=", "<", "nd"]
    value: str = ""
    loq: str = ""

    @property
    def text(self) -> str:
        """The canonical form that is stored: ``0.41``, ``<0.05``, ``未检出``, ``未检出(<0.025)``."""
        if self.operator == "nd":
            return f"未检出(<{self.loq})" if self.loq else "未检出"
        return self.value if self.operator == "=" else f"<{self.value}"


def validate_data(
    template: EventTemplate,
    data: Mapping[str, object],
    lang: str | None = None,
    *,
    part: Part = "all",
    provided: Collection[str] = (),
) -> tuple[dict[str, JsonValue], list[DataWarning]]:
    """The data cleaned, with computed fields added where they can be computed from the data, and warnings.

    ``part``: ``event`` or ``output`` checks only the fields of the whole event, or only those that describe
    one output lot;
    ``all`` takes both in one mapping (an event with one output). ``provided`` names fields the caller fills
    from elsewhere (amounts from the items, the consignee from the transfer): they may be missing although
    required. Blank optional values are left out. ``lang`` is the language of messages and labels; the current
    one by default.

    Raises ``FieldErrors`` (422, ``invalid_fields``; ``.fields`` maps keys to errors) with these codes for
    fields: ``required``,
    ``unknown_field``, ``computed_field``, ``personal_field`` (see ``split_personal``), ``not_a_number``,
    ``not_an_integer``,
    ``out_of_range``, ``too_precise``, ``not_a_date``, ``not_a_datetime``, ``not_a_bool``, ``unknown_choice``,
    ``not_a_list``,
    ``not_a_row``, ``too_many_items``, ``before_start`` (a date before the one it follows) and those of
    ``clean_text``; ``Invalid`` ``not_an_object`` when ``data`` is no mapping.
    """
    language = None if lang is None else "en" if is_english(lang) else "zh-hans"
    with translation.override(language) if language else nullcontext():
        if not isinstance(data, Mapping):
            raise Invalid(_("环节数据应当是“名称：值”的形式。"), code="not_an_object")
        wanted = _wanted(template, part)
        cleaned: dict[str, JsonValue] = {}
        errors = _unknown(data, wanted)
        for field in wanted.values():
            try:
                value = _clean_field(field, data.get(field.key), required=field.key not in provided)
            except Invalid as error:
                errors[field.key] = error
            else:
                if value is not None:
                    cleaned[field.key] = value
        errors |= _reversed_dates(template, cleaned)
        if errors:
            raise FieldErrors(_summary(errors, wanted), errors)
        if part != "output":
            cleaned |= compute_data(template, cleaned)
        return cleaned, _warnings(wanted.values(), cleaned)


def split_personal(template: EventTemplate, data: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """The data without the fields that may hold personal data, and those fields.

    An event is append-only, so personal data never stand in it (architecture rule 10): the caller writes what
    is in the second mapping into the sealed remark.
    """
    personal = {field.key for field in template.fields if field.personal}
    kept = {key: value for key, value in data.items() if key not in personal}
    return kept, {key: value for key, value in data.items() if key in personal}


def parse_measured(value: object) -> Measured:
    """A result as a laboratory writes it: ``0.41``, ``<0.05``, ``未检出``, ``ND``, ``未检出(定量限 0.025)``.

    Raises Invalid ``required``, ``not_a_number``, ``out_of_range``, ``too_precise``.
    """
    if isinstance(value, str) and len(value) <= ITEM_MAX:
        text = fold_width(value).strip()
        if found := _NOT_DETECTED.fullmatch(text):
            return Measured("nd", loq=_decimal(found[1]) if found[1] else "")
        if found := _BELOW.fullmatch(text):
            return Measured("<", value=_decimal(found[1]), loq=_decimal(found[1]))
    return Measured("=", value=_decimal(value))


# ---------------------------------------------------------------- fields


def _wanted(template: EventTemplate, part: Part) -> dict[str, TemplateField]:
    fields = {"all": template.fields, "event": template.event_fields, "output": template.output_fields}[part]
    return {field.key: field for field in fields}


def _unknown(data: Mapping[str, object], wanted: Mapping[str, TemplateField]) -> dict[str, Invalid]:
    """An error for each key that is no field here; keys are made printable, as they come from strangers."""
    strange = [key for key in data if not isinstance(key, str) or key not in wanted]
    return {
        printable(key): Invalid(
            _("这个环节没有“%(key)s”这一项，请删去。") % {"key": printable(key)}, code="unknown_field"
        )
        for key in strange[:UNKNOWN_SHOWN]
    }


def _summary(errors: Mapping[str, Invalid], wanted: Mapping[str, TemplateField]) -> str:
    """One sentence naming the fields to put right."""
    names = [wanted[key].label() if key in wanted else key for key in errors]
    return _("请改正以下各项：%(names)s。") % {"names": _("、").join(names)}


def _clean_field(field: TemplateField, value: object, *, required: bool) -> JsonValue | None:
    """The cleaned value, or None when it is blank and may be."""
    if _blank(value):
        if field.required and required:
            raise Invalid(_("请填写“%(name)s”。") % {"name": field.label()}, code="required")
        return None
    if field.computed:
        raise Invalid(_("“%(name)s”由系统计算，不要填写。") % {"name": field.label()}, code="computed_field")
    if field.personal:
        raise Invalid(
            _("“%(name)s”可能是个人信息，不写入环节记录，请填在备注里。") % {"name": field.label()},
            code="personal_field",
        )
    return _clean(field, value)


def _blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and len(value) < 200 and not value.strip()) or value in ([], ())


def _clean(field: TemplateField, value: object) -> JsonValue:
    """The value cleaned by the field's type."""
    if field.type == "enum":
        return _choice(value, field.choices)
    if field.type == "decimal":
        return parse_measured(value).text if field.below_loq else _decimal(value)
    if field.columns:
        return _rows(value, field.columns)
    if field.type == "list" or field.type.startswith("list["):
        return list(_items(value, LIST_MAX, ITEM_MAX))
    if field.type == "files":
        return list(_items(value, FILES_MAX, REF_MAX))
    if field.type.startswith("ref"):
        return _ref(value)
    return _SIMPLE[field.type](value)


def _int(value: object) -> int:
    """Whole numbers in templates are counts, days and minutes: never negative."""
    if isinstance(value, Decimal):
        value = str(value)
    return clean_int(value, 0, INT_MAX)


def _text(value: object) -> str:
    return clean_text(value, TEXT_MAX, multiline=True)


def _ref(value: object) -> str:
    """The outside name of another record; whether it exists and may be seen is the caller's to find out."""
    return str(value) if isinstance(value, uuid.UUID) else clean_text(value, REF_MAX, required=True)


def _decimal(value: object) -> str:
    """A number as exact decimal text, up to 12 digits before and 9 after the point.

    Trailing zeros are kept.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise _not_a_number(value)
    if isinstance(value, int) and abs(value) >= 10**12:
        raise _number_too_large()
    if isinstance(value, float | Decimal):
        # repr of a float is the shortest text that means it: what the client wrote.
        exact = Decimal(repr(value)) if isinstance(value, float) else value
        if not exact.is_finite():
            raise _not_a_number(value)
        if exact.adjusted() >= 12:
            raise _number_too_large()
        if exact.adjusted() < -40:
            raise _too_precise()
        value = format(exact, "f")
    text = str(value) if not isinstance(value, str) else value
    if len(text) > ITEM_MAX:
        raise _number_too_large() if text[:ITEM_MAX].isdecimal() else _not_a_number(value)
    text = fold_width(text).strip().replace("。", ".").replace("−", "-")
    if text.startswith("."):
        text = "0" + text
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise _not_a_number(value)
    sign, whole, fraction = found[1], found[2].replace(",", "").lstrip("0") or "0", found[3] or ""
    if len(whole) > 12:
        raise _number_too_large()
    if len(fraction) > 9:
        raise _too_precise()
    number = f"{whole}.{fraction}" if fraction else whole
    return f"-{number}" if sign == "-" and Decimal(number) else number


def _not_a_number(value: object) -> Invalid:
    return Invalid(
        _("“%(value)s”不是数字，请填数字，例如 12.5。") % {"value": printable(value, 20)}, code="not_a_number"
    )


def _number_too_large() -> Invalid:
    return Invalid(_("数字太大，最多 12 位整数，请核对。"), code="out_of_range")


def _too_precise() -> Invalid:
    return Invalid(_("小数位太多，最多 9 位。"), code="too_precise")


def _date(value: object) -> str:
    """A calendar day as ISO text; also ``2026/2/3`` and ``2026年2月3日``."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    text = fold_width(value[:40]).strip() if isinstance(value, str) else ""
    found = _DATE.fullmatch(text)
    if found is None:
        raise Invalid(
            _("“%(value)s”不是日期，请按 2026-02-03 的格式填写。") % {"value": printable(value, 20)},
            code="not_a_date",
        )
    return _day(found, value, "not_a_date").isoformat()


def parse_day(value: object) -> datetime.date:
    """A calendar day as people write it (see ``_date``). Raises Invalid ``not_a_date``, ``out_of_range``."""
    return datetime.date.fromisoformat(_date(value))


def parse_moment(value: object) -> datetime.datetime:
    """An instant as people write it; without an offset it is Shanghai time. Raises Invalid ``not_a_datetime``."""
    return datetime.datetime.fromisoformat(_datetime(value))


def _day(found: re.Match[str], value: object, code: str) -> datetime.date:
    """The day a match names.

    ``code`` when there is no such day (2026-02-30), ``out_of_range`` outside 1900–2199.
    """
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    try:
        date = datetime.date(year, month, day)
    except ValueError:
        raise Invalid(
            _("没有“%(value)s”这一天，请核对月份和日期。") % {"value": printable(value, 20)}, code=code
        ) from None
    if not 1900 <= year <= 2199:
        raise Invalid(_("年份应在 1900 到 2199 之间，请核对。"), code="out_of_range")
    return date


def _datetime(value: object) -> str:
    """An instant as ISO text with its offset; without an offset it is Shanghai time."""
    if isinstance(value, datetime.datetime):
        return (value if value.tzinfo else value.replace(tzinfo=SHANGHAI)).isoformat()
    text = fold_width(value[:60]).strip().replace("T", " ") if isinstance(value, str) else ""
    day_text, _space, time_text = text.partition(" ")
    offset = _OFFSET.search(time_text)
    clock = _TIME.fullmatch(time_text[: offset.start()].strip() if offset else time_text.strip())
    found = _DATE.fullmatch(day_text)
    if found is None or clock is None or (offset and offset.end() != len(time_text)):
        raise _not_a_datetime(value)
    day = _day(found, value, "not_a_datetime")
    try:
        time = datetime.time(int(clock[1]), int(clock[2]), int(clock[3] or 0), tzinfo=_zone(offset))
    except ValueError:
        raise _not_a_datetime(value) from None
    return datetime.datetime.combine(day, time).isoformat()


def _zone(offset: re.Match[str] | None) -> datetime.tzinfo:
    """The zone an offset names. Raises ValueError for more than a day."""
    if offset is None:
        return SHANGHAI
    if offset[0] == "Z":
        return datetime.UTC
    minutes = int(offset[0][1:3]) * 60 + int(offset[0][-2:])
    return datetime.timezone(datetime.timedelta(minutes=-minutes if offset[0][0] == "-" else minutes))


def _not_a_datetime(value: object) -> Invalid:
    return Invalid(
        _("“%(value)s”不是时间，请按 2026-02-03 14:30 的格式填写。") % {"value": printable(value, 30)},
        code="not_a_datetime",
    )


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = fold_width(value[:20]).strip().lower() if isinstance(value, str) else value if value in (0, 1) else ""
    if str(text) in _YES:
        return True
    if str(text) in _NO:
        return False
    raise Invalid(_("请选择“是”或“否”。"), code="not_a_bool")


def _choice(value: object, choices: Sequence[Choice]) -> str:
    """The stored value of a choice given by value or by either name."""
    text = fold_width(value).strip() if isinstance(value, str) and len(value) <= ITEM_MAX else None
    for choice in choices:
        if text is not None and text.lower() in (choice.value.lower(), choice.zh.lower(), choice.en.lower()):
            return choice.value
    raise Invalid(
        _("没有“%(value)s”这个选项，可选：%(allowed)s。")
        % {"value": printable(value, 20), "allowed": _("、").join(choice.label() for choice in choices)},
        code="unknown_choice",
        allowed=[choice.value for choice in choices],
    )


def list_items(value: object) -> list[str]:
    """What stands in a field that is a list of short texts. Raises Invalid ``not_a_list``, ``too_many_items``."""
    return [] if _blank(value) else _items(value, LIST_MAX, ITEM_MAX)


def _items(value: object, most: int, max_length: int) -> list[str]:
    """A list of short texts: from a JSON list, or one text separated by line breaks, commas or semicolons."""
    if isinstance(value, str):
        text = clean_text(value, most * (max_length + 1), multiline=True)
        value = [part for part in (each.strip() for each in _SEPARATORS.split(text)) if part]
    if not isinstance(value, (list, tuple)):
        raise Invalid(_("这里应当是一个列表，每行一项。"), code="not_a_list")
    if len(value) > most:
        raise _too_many(most)
    return [str(item) if isinstance(item, uuid.UUID) else clean_text(item, max_length, required=True) for item in value]


def _too_many(most: int) -> Invalid:
    return Invalid(_("最多 %(most)d 项，请分几次登记。") % {"most": most}, code="too_many_items")


def _rows(value: object, columns: Sequence[Column]) -> list[JsonValue]:
    """A list of rows, each cleaned by column.

    Rows without any value are dropped (an empty line of a form).
    """
    if not isinstance(value, (list, tuple)):
        raise Invalid(_("这里应当是一个列表，每行一项。"), code="not_a_list")
    if len(value) > ROWS_MAX:
        raise _too_many(ROWS_MAX)
    rows: list[JsonValue] = []
    for number, row in enumerate(value, start=1):
        if not isinstance(row, Mapping):
            raise Invalid(_("第 %(row)d 行应当是“名称：值”的形式。") % {"row": number}, code="not_a_row", row=number)
        if all(_blank(cell) for cell in row.values()):
            continue
        try:
            rows.append(_row(row, columns))
        except Invalid as error:
            raise Invalid(
                _("第 %(row)d 行：%(problem)s") % {"row": number, "problem": error.message},
                code=error.code,
                row=number,
            ) from error
    if not rows:
        raise Invalid(_("请至少填写一行。"), code="required")
    return rows


def _row(row: Mapping[str, object], columns: Sequence[Column]) -> JsonValue:
    strange = next((key for key in row if key not in {column.key for column in columns}), None)
    if strange is not None:
        raise Invalid(_("没有“%(key)s”这一列，请删去。") % {"key": printable(strange)}, code="unknown_field")
    cleaned: dict[str, JsonValue] = {}
    for column in columns:
        cell = row.get(column.key)
        if _blank(cell):
            if column.required:
                raise Invalid(_("请填写“%(name)s”。") % {"name": column.label()}, code="required")
            continue
        cleaned[column.key] = clean_cell(column, cell)
    return cleaned


def clean_cell(column: Column, value: object) -> str:
    """One cell of a list, as its column takes it. Raises Invalid: no number, ``out_of_range``, ``unknown_choice`` …"""
    if column.type == "enum":
        return _choice(value, column.choices)
    if column.type == "measured":
        return parse_measured(value).text
    if column.type == "decimal":
        number = _decimal(value)
        most = Decimal(100) if column.unit == "%vol" else Decimal(10**9)
        if not 0 <= Decimal(number) <= most:
            raise Invalid(
                _("“%(name)s”应在 0 到 %(most)s 之间。") % {"name": column.label(), "most": most},
                code="out_of_range",
            )
        return number
    return _ref(value)


_SIMPLE: Mapping[str, Callable[[object], JsonValue]] = {
    "int": _int,
    "text": _text,
    "date": _date,
    "datetime": _datetime,
    "bool": _bool,
}


def _reversed_dates(template: EventTemplate, cleaned: Mapping[str, JsonValue]) -> dict[str, Invalid]:
    """An error for an end before its beginning: out of the jar before into it, expired before produced."""
    pairs = [field.computed_from for field in template.fields if field.computed_rule == "days_between"]
    pairs.append((template.produced_on_field, template.expires_on_field))
    found: dict[str, Invalid] = {}
    for start, end in pairs:
        first, last = cleaned.get(start), cleaned.get(end)
        if isinstance(first, str) and isinstance(last, str) and last < first:
            found[end] = Invalid(
                _("%(last)s 早于 %(first)s，请核对日期。") % {"last": last, "first": first},
                code="before_start",
            )
    return found


def _warnings(fields: Collection[TemplateField], cleaned: Mapping[str, JsonValue]) -> list[DataWarning]:
    """One warning for each number outside its usual range."""
    found = []
    for field in fields:
        value = cleaned.get(field.key)
        if field.advisory_range is None or isinstance(value, (bool, list, dict)) or value is None:
            continue
        low, high = field.advisory_range
        number = Decimal(value) if _DECIMAL.fullmatch(str(value)) else None
        if number is not None and not low <= number <= high:
            message = _(
                "“%(name)s”通常在 %(low)s 到 %(high)s %(unit)s 之间，现在是 %(value)s，请核对；确实如此可以照填。"
            )
            names = {
                "name": field.label(),
                "low": low,
                "high": high,
                "unit": field.unit_label(),
                "value": value,
            }
            found.append(DataWarning(field.key, "outside_usual_range", message % names))
    return found
