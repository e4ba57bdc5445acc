"""Tags and filters that every page uses: dates, amounts, icons, badges, verdicts, form fields, links.

Dates are 2026年11月22日 / 22 Nov 2026, times carry their zone, amounts their unit. Nothing is told by colour
alone: a badge and a verdict always have an icon and words.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django import forms, template
from django.core.exceptions import NON_FIELD_ERRORS
from django.forms.boundfield import BoundField
from django.http import QueryDict
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone as clock
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import get_language, gettext, gettext_lazy, pgettext

from trace import moments, units
from trace.parts import Share

register = template.Library()

_SPRITE = Path(__file__).resolve().parent.parent / "static" / "trace" / "icons.svg"
_SYMBOL = re.compile(r'<symbol id="([a-z0-9-]+)"[^>]*>(.*?)</symbol>', re.DOTALL)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BEIJING = timedelta(hours=8)
_serial = count(1)


# --- Dates and times ---------------------------------------------------------------------------------------


def _english() -> bool:
    return units.is_english(get_language())


def _day_words(value: date) -> str:
    if _english():
        return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"
    return f"{value.year}年{value.month}月{value.day}日"


def _zone_words(offset: timedelta) -> str:
    """北京时间 for +08:00; other offsets as UTC+05:30."""
    if offset == _BEIJING:
        return gettext("北京时间")
    return moments.zone_words(int(offset.total_seconds()) // 60)


def _local(value: datetime, offset_minutes: int | None = None) -> datetime:
    """The instant in the entered offset, or in the current zone (Asia/Shanghai)."""
    aware = value if clock.is_aware(value) else value.replace(tzinfo=UTC)
    if offset_minutes is not None:
        return aware.astimezone(timezone(timedelta(minutes=offset_minutes)))
    return clock.localtime(aware)


@register.filter
def day(value: Any) -> str | SafeString:
    """A date in words, in a ``<time>``; of an instant, the day it was here. Nothing for nothing."""
    if not isinstance(value, date):
        return ""
    on = _local(value).date() if isinstance(value, datetime) else value
    return format_html('<time datetime="{}">{}</time>', on.isoformat(), _day_words(on))


@register.filter
def day_text(value: Any) -> str:
    """A date in words without markup, for titles, attributes and sentences in blocktrans."""
    if not isinstance(value, date):
        return ""
    return _day_words(_local(value).date() if isinstance(value, datetime) else value)


def _moment(value: Any, offset_minutes: int | None) -> tuple[str, str]:
    local = _local(value, offset_minutes)
    zone = _zone_words(local.utcoffset() or timedelta())
    comma = ", " if _english() else " "
    words = f"{_day_words(local.date())}{comma}{local:%H:%M}"
    return local.isoformat(timespec="seconds"), (f"{words} ({zone})" if _english() else f"{words}（{zone}）")


@register.filter
def moment(value: Any) -> str | SafeString:
    """An instant in the site's zone with the zone's name; a plain date is shown as a day."""
    if not isinstance(value, datetime):
        return day(value)
    return format_html('<time datetime="{}">{}</time>', *_moment(value, None))


@register.filter
def moment_text(value: Any) -> str:
    """An instant in words without markup."""
    return _moment(value, None)[1] if isinstance(value, datetime) else day_text(value)


@register.filter
def limit_text(value: Any) -> str:
    """The end of a limit in words: midnight is 24:00 of the day that ends (民法典 article 203), as documents say it."""
    if not isinstance(value, datetime) or (_local(value).hour, _local(value).minute) != (0, 0):
        return moment_text(value)
    return _moment(value - timedelta(minutes=1), None)[1].replace("23:59", "24:00")


@register.filter
def limit(value: Any) -> str | SafeString:
    """The same in a ``<time>`` with the instant itself."""
    if not isinstance(value, datetime):
        return ""
    return format_html('<time datetime="{}">{}</time>', _moment(value, None)[0], limit_text(value))


@register.filter
def moment_at(value: Any, offset_minutes: int | None) -> str | SafeString:
    """An instant in the offset it was entered with (minutes east of UTC)."""
    if not isinstance(value, datetime):
        return day(value)
    return format_html('<time datetime="{}">{}</time>', *_moment(value, offset_minutes))


@register.filter
def ago(value: Any, now: datetime | None = None) -> str | SafeString:
    """How long ago (3 小时前), the full instant in the title; below a minute 刚刚."""
    if not isinstance(value, datetime):
        return ""
    then = now or clock.now()
    words = gettext("刚刚")
    if then - value >= timedelta(minutes=1):
        words = gettext("%(span)s前") % {"span": timesince(value, then, depth=1)}
    iso, full = _moment(value, None)
    return format_html('<time datetime="{}" title="{}">{}</time>', iso, full, words)


def _span_words() -> dict[str, str]:
    """Short forms of days, hours, minutes; no plural, because a browser fills the numbers in."""
    return {
        # Translators: short form without plural: "%(n)s d"
        "d": pgettext("clock", "%(n)s 天"),
        # Translators: short form without plural: "%(n)s h"
        "h": pgettext("clock", "%(n)s 小时"),
        # Translators: short form without plural: "%(n)s min"
        "m": pgettext("clock", "%(n)s 分"),
    }


@register.simple_tag
def clock_data(due: datetime) -> SafeString:
    """What site.js needs to let a clock run on: the instant and the words, as data attributes."""
    words = {**_span_words(), "left": gettext("还剩 %(span)s"), "late": gettext("已逾期 %(span)s")}
    return format_html('data-due="{}"{}', due.isoformat(), format_html_join("", ' data-{}="{}"', words.items()))


@dataclass(frozen=True)
class Remaining:
    """What a clock shows: tone, icon and words; ``running``: a browser may let it tick on."""

    tone: str
    icon: str
    words: str
    running: bool


def _span(delta: timedelta) -> str:
    """Two largest parts of a length of time: 1 天 5 小时, 5 小时 20 分."""
    minutes = int(abs(delta).total_seconds()) // 60
    days, hours, minutes = minutes // 1440, minutes % 1440 // 60, minutes % 60
    words = _span_words()
    parts = [(days, words["d"]), (hours, words["h"]), (minutes, words["m"])]
    kept = [pattern % {"n": n} for n, pattern in parts if n] or [words["m"] % {"n": 0}]
    return " ".join(kept[:2])


@register.simple_tag
def remaining(due: datetime | None, now: datetime | None = None, done: datetime | None = None) -> Remaining:
    """A legal clock in words: done in time, done late, time left (under six hours: attention), overdue.

    A part's parameter that was not given arrives as an empty text, hence truth and not ``None`` is asked.
    """
    if not due:
        return Remaining("mute", "clock", gettext("未定期限"), False)
    if done:
        if done <= due:
            return Remaining("good", "check", gettext("按时完成"), False)
        return Remaining("attention", "warning", gettext("完成，迟了 %(span)s") % {"span": _span(done - due)}, False)
    left = due - (now or clock.now())
    if left <= timedelta():
        return Remaining("danger", "warning", gettext("已逾期 %(span)s") % {"span": _span(left)}, True)
    tone = "attention" if left < timedelta(hours=6) else "good"
    return Remaining(tone, "clock", gettext("还剩 %(span)s") % {"span": _span(left)}, True)


# --- Numbers -----------------------------------------------------------------------------------------------

READING_UNITS: Mapping[str, tuple[str, str]] = {
    "CEL": ("℃", "°C"),
    "DAY": ("天", "days"),
    "HUR": ("小时", "h"),
    "MIN": ("分钟", "min"),
    "MON": ("个月", "months"),
    "ANN": ("年", "years"),
    "MTR": ("米", "m"),
    "亩": ("亩", "mu"),
    "ug/kg": ("微克/千克", "µg/kg"),
    "mg/kg": ("毫克/千克", "mg/kg"),
    "mg/L": ("毫克/升", "mg/L"),
    "g/L": ("克/升", "g/L"),
    "mg/m3": ("毫克/立方米", "mg/m³"),
    "%vol": ("%vol", "%vol"),
}
"""Names of units in which things are measured but never counted as stock (those are in ``trace.units``)."""


@register.filter
def amount(micros: int | None, unit: str) -> str:
    """Millionths of a base unit with the unit's name: ``1,250.5 千克``. Nothing for ``None``."""
    return "" if micros is None else units.format_amount(micros, unit)


@register.filter
def quantity(micros: int | None) -> str:
    """Millionths of a base unit as a number only, for columns whose head names the unit."""
    if micros is None:
        return ""
    whole, dot, rest = units.decimal_text(micros).partition(".")
    return f"{'-' if whole.startswith('-') else ''}{abs(int(whole)):,}{dot}{rest}"


@register.filter
def unit_name(code: str) -> str:
    """The name of a unit code, of stock or of a reading, for people."""
    if code in READING_UNITS:
        return READING_UNITS[code][1 if _english() else 0]
    return units.unit_name(code)


@register.filter
def number(value: int | float | None) -> str:
    """A whole number grouped in thousands. Nothing for ``None``."""
    return "" if value is None else f"{value:,}"


@register.filter
def number_or_text(value: Any) -> Any:
    """A number grouped in thousands; a text as it is."""
    return number(value) if isinstance(value, int | float) else value


@register.filter
def percent(ratio: float | None, digits: int = 1) -> str:
    """A ratio as a percentage: ``0.875`` is ``87.5%``; whole ones lose the point. Nothing for ``None``."""
    if ratio is None:
        return ""
    text = f"{ratio * 100:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"


@register.filter
def given(value: Any) -> Any:
    """The value, or 未提供: that something is missing is information. Zero is a value."""
    if value is None or value == "":
        return format_html('<span class="mute">{}</span>', gettext("未提供"))
    return value


@register.filter
def groups(code: str, size: int = 4) -> str:
    """A code in groups for people to read and type; what is copied comes from ``data-copy``."""
    return " ".join(code[i : i + size] for i in range(0, len(code), size))


# --- Icons, badges, verdicts -------------------------------------------------------------------------------


@cache
def icon_names() -> Mapping[str, str]:
    """The drawings in icons.svg by name."""
    return dict(_SYMBOL.findall(_SPRITE.read_text(encoding="utf-8")))


@register.simple_tag
def icon(name: str, label: str = "", size: str = "") -> SafeString:
    """A drawing from icons.svg set into the page (no second request, prints, takes the text's colour).

    Without ``label`` it is decoration, hidden from screen readers. An unknown name is a KeyError: our mistake.
    """
    # The sprite is a file of ours; nothing in it comes from outside.
    drawing = SafeString(icon_names()[name])
    extra = f" icon-{size}" if size else ""
    if label:
        return format_html(
            '<svg class="icon{}" viewBox="0 0 24 24" role="img" aria-label="{}">{}</svg>',
            extra,
            label,
            drawing,
        )
    return format_html(
        '<svg class="icon{}" viewBox="0 0 24 24" aria-hidden="true" focusable="false">{}</svg>',
        extra,
        drawing,
    )


@dataclass(frozen=True)
class Look:
    """How a state is shown: tone (colour), icon, words."""

    tone: str
    icon: str
    words: Any


TONES: Mapping[str, str] = {
    "good": "check",
    "info": "info",
    "attention": "warning",
    "danger": "stop",
    "hold": "pause",
    "mute": "dot",
}
"""Each tone's own icon, used when a message has no state."""

STATES: Mapping[str, Look] = {
    # The eight verdicts of a scanned code, in their order of precedence.
    "unknown_code": Look("attention", "question", gettext_lazy("查无此码")),
    "recalled": Look("danger", "recall", gettext_lazy("已召回")),
    "maybe_recalled": Look("attention", "recall", gettext_lazy("可能已召回，请核对在哪里买的")),
    "void": Look("mute", "void", gettext_lazy("已作废")),
    "suspicious": Look("attention", "copy", gettext_lazy("疑似复制")),
    "held": Look("hold", "pause", gettext_lazy("封存调查中")),
    "expired": Look("attention", "calendar", gettext_lazy("已过保质期")),
    "ok": Look("good", "check", gettext_lazy("信息正常")),
    # Lots.
    "released": Look("good", "check", gettext_lazy("已放行")),
    "waiting": Look("attention", "clock", gettext_lazy("待放行")),
    "blocked": Look("hold", "lock", gettext_lazy("已封存")),
    "draft": Look("mute", "edit", gettext_lazy("草稿")),
    # Steps, notices, transfers.
    "todo": Look("mute", "dot", gettext_lazy("未开始")),
    "open": Look("info", "half", gettext_lazy("进行中")),
    "done": Look("good", "check", gettext_lazy("已完成")),
    "late": Look("attention", "clock", gettext_lazy("已逾期")),
    "queued": Look("mute", "clock", gettext_lazy("待发出")),
    "sent": Look("info", "mail", gettext_lazy("已发出")),
    "failed_to_send": Look("attention", "warning", gettext_lazy("发送失败")),
    "acknowledged": Look("good", "check", gettext_lazy("已确认收到")),
    "confirmed": Look("good", "check", gettext_lazy("双方已确认")),
    "unconfirmed": Look("attention", "clock", gettext_lazy("待对方确认")),
    "disputed": Look("attention", "warning", gettext_lazy("有差异")),
    "closed": Look("mute", "lock", gettext_lazy("已结案")),
    "cancelled": Look("mute", "void", gettext_lazy("已撤销")),
    # Tests, organisations, everything else.
    "passed": Look("good", "check", gettext_lazy("合格")),
    "failed": Look("danger", "cross", gettext_lazy("不合格")),
    "not_judged": Look("mute", "question", gettext_lazy("未判定")),
    "pending": Look("attention", "clock", gettext_lazy("待审核")),
    "vetted": Look("good", "shield", gettext_lazy("已核验")),
    "refused": Look("mute", "cross", gettext_lazy("未通过")),
    "conflict": Look("attention", "warning", gettext_lazy("有矛盾")),
    "provisional": Look("attention", "question", gettext_lazy("暂定")),
    "voided": Look("mute", "void", gettext_lazy("已更正")),
    "drill": Look("hold", "flag", gettext_lazy("演练")),
}
"""States with a look of their own. For any other state of a model: a tone and the model's words."""

SOURCES: Mapping[str, Look] = {
    "self_declared": Look("mute", "edit", gettext_lazy("企业自报")),
    "laboratory": Look("info", "flask", gettext_lazy("检验机构")),
    "regulator": Look("info", "shield", gettext_lazy("监管部门")),
    "sensor": Look("info", "sensor", gettext_lazy("设备记录")),
    "computed": Look("mute", "compute", gettext_lazy("系统计算")),
}
"""Who said a fact; shown beside the fact on every page that shows facts to strangers."""


def look_of(state: str, words: Any = "") -> Look:
    """The look of a known state, or of a tone with words of its own. Anything else is a KeyError."""
    if state in STATES:
        known = STATES[state]
        return Look(known.tone, known.icon, words or known.words)
    return Look(state, TONES[state], words)


@register.simple_tag
def badge(state: str, words: Any = "") -> SafeString:
    """A small mark: icon and words, by a known state or a tone with words."""
    look = look_of(state, words)
    return format_html('<span class="badge tone-{}">{} {}</span>', look.tone, icon(look.icon), look.words)


@register.simple_tag
def source(code: str) -> SafeString:
    """Who said a fact: 企业自报, 检验机构, 监管部门, 设备记录, 系统计算."""
    look = SOURCES[code]
    return format_html('<span class="source">{} {}</span>', icon(look.icon), look.words)


def _inner(content: str) -> SafeString:
    """What stands inside a block tag: the page's own template has escaped it already."""
    return SafeString(content.strip())


@register.simple_block_tag
def verdict(content: str, state: str, title: Any = "", level: int = 1) -> SafeString:
    """The verdict box: icon, the verdict in words as a heading (``level`` 1-3), then the page's own content."""
    context = {"look": look_of(state, title), "state": state, "level": level, "body": _inner(content)}
    return render_to_string("trace/parts/verdict.html", context)


@register.simple_block_tag
def notice(content: str, tone: str, title: Any = "") -> SafeString:
    """A message set into the page, by tone (or by a known state, whose words are its title)."""
    context = {"look": look_of(tone, title), "body": _inner(content)}
    return render_to_string("trace/parts/notice.html", context)


def _fill(tone: str) -> SafeString:
    return format_html('class="fill-{}"', tone)


@register.simple_tag
def share_bar(shares: Iterable[Share]) -> SafeString:
    """Shares of a whole as one SVG bar; the words stand in the legend, so screen readers skip the bar."""
    kept = [share for share in shares if share.amount > 0]
    whole = sum(share.amount for share in kept)
    pieces, x = [], 0.0
    hatch = f"hatch{next(_serial)}"
    for share in kept:
        width = 600 * share.amount / whole
        look = format_html('fill="url(#{})"', hatch) if share.tone == "mute" else _fill(share.tone)
        pieces.append((look, f"{x:.2f}", f"{max(width - 2, 1):.2f}"))
        x += width
    return format_html(
        '<svg class="share-bar" viewBox="0 0 600 24" preserveAspectRatio="none" aria-hidden="true">'
        '<defs><pattern id="{}" width="6" height="6" patternUnits="userSpaceOnUse"'
        ' patternTransform="rotate(45)"><rect width="6" height="6" class="hatch-ground"/>'
        '<rect width="2" height="6" class="hatch-line"/></pattern></defs>{}</svg>',
        hatch,
        format_html_join("", '<rect {} x="{}" y="0" width="{}" height="24"/>', pieces),
    )


# --- Forms -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """One line of the error summary: the message, and the control it leads to (empty: the whole form)."""

    message: str
    target: str


def _first_id(bound: BoundField) -> str:
    """The id of the control that the error summary leads to; of a group, its first choice."""
    if _is_group(bound.field.widget):
        return f"{bound.auto_id}_0"
    return bound.id_for_label or bound.auto_id


def _is_group(widget: forms.Widget) -> bool:
    return isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple)


def _named(bound: BoundField, text: str) -> str:
    """The message with the field's name before it, unless it has it: away from its field 必填 says nothing."""
    label = str(bound.label)
    return text if label in text else gettext("%(field)s：%(problem)s") % {"field": label, "problem": text}


def _problems(form: Any) -> list[Problem]:
    if hasattr(form, "management_form"):
        whole = [Problem(str(text), "") for text in form.non_form_errors()]
        return whole + [problem for one in form.forms for problem in _problems(one)]
    found: list[Problem] = []
    for name, errors in form.errors.items():
        if name == NON_FIELD_ERRORS:
            found += [Problem(str(text), "") for text in errors]
        else:
            found += [Problem(_named(form[name], str(text)), _first_id(form[name])) for text in errors]
    return found


@register.inclusion_tag("trace/parts/error_summary.html")
def error_summary(*bound: Any) -> dict[str, Any]:
    """What is wrong in these forms and formsets, each line leading to its field; nothing when all is well."""
    return {"problems": [problem for form in bound if form is not None for problem in _problems(form)]}


def _control(bound: BoundField) -> forms.Widget:
    """The field's widget as a page should show it: native date pickers, numbers as text with number keyboard.

    ``<input type=number>`` changes on a turn of the wheel and drops what it does not understand (full-width
    digits, 1,234) before we can say what is wrong with it.
    """
    widget: forms.Widget = copy.copy(bound.field.widget)
    widget.attrs = dict(bound.field.widget.attrs)
    if isinstance(widget, forms.DateTimeInput) and widget.input_type == "text":
        widget.input_type, widget.format = "datetime-local", "%Y-%m-%dT%H:%M"
    elif isinstance(widget, forms.DateInput) and widget.input_type == "text":
        widget.input_type, widget.format = "date", "%Y-%m-%d"
    elif isinstance(widget, forms.NumberInput):
        whole = isinstance(bound.field, forms.IntegerField) and not isinstance(
            bound.field, forms.DecimalField | forms.FloatField
        )
        widget.input_type = "text"
        widget.attrs.setdefault("inputmode", "numeric" if whole else "decimal")
        for name in ("min", "max", "step"):
            widget.attrs.pop(name, None)
    elif isinstance(widget, forms.Textarea):
        widget.attrs["rows"] = 4 if widget.attrs.get("rows") == "10" else widget.attrs.get("rows", 4)
    return widget


def _css(widget: forms.Widget, width: str, bad: bool) -> str:
    kind = "input"
    if isinstance(widget, forms.Textarea):
        kind = "textarea"
    elif isinstance(widget, forms.FileInput):
        kind = "file"
    elif isinstance(widget, forms.Select):
        kind = "select"
    parts = [widget.attrs.get("class", ""), kind, f"w-{width}" if width else "", "bad" if bad else ""]
    return " ".join(part for part in parts if part)


@register.inclusion_tag("trace/parts/field.html")
def field(
    bound: BoundField,
    *,
    unit: Any = "",
    width: str = "",
    hint: Any = "",
    label: Any = "",
    optional: bool | None = None,
    heading: bool = False,
    inline: bool = False,
) -> dict[str, Any]:
    """One form field: label, hint, error, control and unit, tied together for screen readers.

    ``unit`` is a unit code or words shown after the control (default: ``unit`` of the form field, if it has
    one); ``width`` xs, s, m or l says how long the answer is; ``optional`` adds (选填), by default to what is
    not required; ``heading`` makes the label the page's heading; ``inline`` sets choices beside each other.
    """
    widget = _control(bound)
    errors = [str(text) for text in bound.errors]
    if not errors and isinstance(widget, forms.FileInput) and bound.form.errors and bound.html_name in bound.form.files:
        # A browser gives no file back to a form that is shown again.
        errors = [gettext("请重新选择这个文件：表单退回时浏览器不保留它。")]
    hint = hint or bound.help_text
    described = " ".join(
        part
        for part in (
            widget.attrs.pop("aria-describedby", ""),
            f"{bound.auto_id}_hint" if hint else "",
            f"{bound.auto_id}_error" if errors else "",
        )
        if part
    )
    group, single = _is_group(widget), isinstance(widget, forms.CheckboxInput)
    attrs: dict[str, Any] = {}
    if not group:
        attrs = {"aria-describedby": described} if described else {}
        if not single:
            attrs["class"] = _css(widget, width, bool(errors))
        if errors:
            attrs["aria-invalid"] = "true"
    unit = unit or getattr(bound.field, "unit", "")
    return {
        "bound": bound,
        "id": bound.auto_id,
        "target": bound.id_for_label or bound.auto_id,
        "label": label or bound.label,
        "hint": hint,
        "errors": errors,
        "described": described,
        "group": group,
        "single": single,
        "choices": list(bound.subwidgets) if group else [],
        "control": "" if group else bound.as_widget(widget=widget, attrs=attrs),
        "unit": unit_name(str(unit)) if unit else "",
        "optional": (not bound.field.required and not single) if optional is None else optional,
        "heading": heading,
        "inline": inline,
        "hidden": bound.is_hidden,
    }


@register.inclusion_tag("trace/parts/fields.html")
def fields(form: forms.BaseForm) -> dict[str, Any]:
    """All fields of a form in order, hidden ones included; errors of the whole form stand in the summary."""
    return {"form": form}


@register.simple_tag
def hidden(form: forms.BaseForm) -> SafeString:
    """Only the hidden fields of a form."""
    return format_html_join("", "{}", ((bound.as_widget(),) for bound in form.hidden_fields()))


# --- Links -------------------------------------------------------------------------------------------------


def _query(context: template.Context) -> QueryDict:
    request = context.get("request")
    return request.GET.copy() if request is not None else QueryDict(mutable=True)


@register.simple_tag(takes_context=True)
def lang_url(context: template.Context, code: str) -> str:
    """This page in another language: the same address and parameters with ``lang`` set."""
    query = _query(context)
    query["lang"] = code
    request = context.get("request")
    return f"{request.path if request is not None else ''}?{query.urlencode()}"


@register.simple_tag(takes_context=True)
def same_lang(context: template.Context, before: str = "?") -> SafeString:
    """Behind a file's address: the language this page was asked in, where its address says one."""
    asked = _query(context).get("lang", "")
    return format_html("{}{}", before, urlencode({"lang": asked[:10]})) if asked else SafeString("")


@register.simple_tag(takes_context=True)
def page_url(context: template.Context, **changes: Any) -> str:
    """This page's parameters with some changed; ``None`` takes one away. For paging, sorting and filters."""
    query = _query(context)
    for key, value in changes.items():
        if value is None or value == "":
            query.pop(key, None)
        else:
            query[key] = str(value)
    return f"?{query.urlencode()}"


@register.simple_tag(takes_context=True)
def sort_head(context: template.Context, name: str, words: Any) -> SafeString:
    """A table's column head that orders the table by ``sort=name``, and the other way round the second time. Says to a
    screen reader how the table is ordered now.
    """
    now = _query(context).get("sort", "")
    descending = now == name
    state = {name: "ascending", f"-{name}": "descending"}.get(now, "none")
    mark = {"ascending": " ▲", "descending": " ▼"}.get(state, "")
    url = page_url(context, sort=f"-{name}" if descending else name, page=None)
    return format_html(
        '<th scope="col" aria-sort="{}"><a data-sort href="{}#rows">{}<span aria-hidden="true">{}</span></a></th>',
        state, url, words, mark,
    )  # fmt: skip


@register.simple_tag
def html_lang() -> str:
    """The value of the page's lang attribute: zh-CN or en."""
    return "en" if _english() else "zh-CN"


@register.simple_tag(takes_context=True)
def nav_link(
    context: template.Context, name: str, words: Any, icon_name: str = "", exact: bool = False, count: int = 0
) -> str:
    """One item of the navigation, marked when the page lies under it; nothing where no such address exists."""
    url = url_or_none(name)
    if not url:
        return ""
    request = context.get("request")
    path = request.path if request is not None else ""
    here = path == url or (not exact and url != "/" and path.startswith(url))
    return format_html(
        '<li><a href="{}"{}>{} <span>{}</span>{}</a></li>',
        url,
        SafeString(' aria-current="page"') if here else "",
        icon(icon_name) if icon_name else "",
        words,
        format_html(' <b class="count">{}</b>', count) if count else "",
    )


@register.simple_tag
def url_or_none(name: str, *args: Any) -> str:
    """The address of a named page, or nothing where it does not exist.

    ``app:page`` also finds a plain ``page``: the frame names the app a page belongs to, whether or not that app
    has put its names into a namespace.
    """
    for candidate in (name, name.partition(":")[2]):
        try:
            return reverse(candidate, args=args)
        except NoReverseMatch:
            continue
    return ""
