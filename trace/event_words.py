"""An event in words: its fields with their labels, the names behind references, what happened to which lot."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from trace.event_templates import EventTemplate, TemplateField, template
from trace.models import Event, EventItem, Lot, Organisation, Place, TestReport
from trace.origins import regions_of
from trace.parts import Row
from trace.templatetags.ui import moment, url_or_none
from trace.units import format_amount, unit_name

_REFERENCES: Mapping[str, Any] = {
    "ref:Location": Place,
    "list[ref:Location]": Place,
    "ref:Organisation": Organisation,
    "ref:TestReport": TestReport,
    "ref:Lot": Lot,
}
ADVISORY = "advisory"


@dataclass(frozen=True)
class ItemLine:
    """One lot in an event: the amount as it was entered and in the base unit, plus or minus, and where."""

    item: EventItem
    lot: Lot
    direction: str
    entered: str
    amount: str
    url: str

    @property
    def place(self) -> str:
        """Where the amount lay or lies."""
        return self.item.place.label if self.item.place is not None else ""


def field_rows(event: Event, *, public_only: bool = False) -> list[Row]:
    """The template's fields as entered, in its order; names stand for references. One query per kind of reference."""
    found = template(event.template)
    fields = [each for each in found.fields if each.key in event.data and (each.public or not public_only)]
    names = _names(fields, event.data)
    return [
        Row(each.label(), _value(each, event.data[each.key], names), "computed" if each.computed else "")
        for each in fields
    ]


def output_rows(found: EventTemplate, item: EventItem) -> list[Row]:
    """The fields of one lot that began."""
    facts = item.ilmd.get("facts", {})
    return [
        Row(each.label(), _value(each, facts[each.key], {}))
        for each in found.output_fields
        if each.key in facts and each.key != found.amount_field
    ]


def advice(event: Event, items: Iterable[EventItem]) -> list[str]:
    """What was noticed as unusual when it was entered."""
    facts = [item.ilmd.get("facts", {}) for item in items]
    return [text for data in (event.data, *facts) for text in data.get(ADVISORY, [])]


def item_lines(items: Sequence[EventItem]) -> list[ItemLine]:
    """The lots of an event, what went in first. Items come with lot, product and place fetched."""
    words = {"input": _("投入"), "output": _("产出"), "subject": _("对象")}
    return [_line(item, item.lot, words[item.role]) for item in items if item.lot is not None]


def _line(item: EventItem, lot: Lot, word: str) -> ItemLine:
    """One item in words."""
    unit = lot.product.base_unit
    entered = f"{item.entered} {unit_name(item.entered_unit)}" if item.entered else ""
    plain = format_amount(abs(item.micros), unit) if item.micros else ""
    if item.role == EventItem.Role.SUBJECT and item.micros:
        word = _("增加") if item.micros > 0 else _("减少")
    return ItemLine(item, lot, word, entered, plain, url_or_none("desk:lot_detail", lot.uid))


def _names(fields: Sequence[TemplateField], data: Mapping[str, Any]) -> dict[str, Any]:
    """Names (or links) for the uids in these fields, one query per kind of reference."""
    wanted: dict[Any, set[str]] = {}
    for each in fields:
        model = _REFERENCES.get(each.type)
        values = data[each.key] if isinstance(data[each.key], list) else [data[each.key]]
        if each.columns:
            model, values = Lot, [row.get("lot") for row in values if isinstance(row, dict)]
        if model is not None:
            wanted.setdefault(model, set()).update(str(value) for value in values if _is_uid(value))
    found: dict[str, Any] = {}
    for model, uids in wanted.items():
        for row in model.objects.filter(uid__in=uids):
            found[str(row.uid)] = row
    regions = [data[each.key] for each in fields if each.key == "origin" and not _is_uid(data[each.key])]
    found |= {text: region.words for text, region in regions_of(regions).items() if text.isdigit()}
    return found


def _is_uid(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) == 36 and bool(uuid.UUID(value))
    except ValueError:
        return False


def _value(each: TemplateField, value: Any, names: Mapping[str, Any]) -> Any:
    """A stored value as people read it."""
    if each.columns:
        return _table(each, value, names)
    if isinstance(value, list):
        return _("、").join(_name(part, names) for part in value)
    if isinstance(value, bool):
        return _("是") if value else _("否")
    if each.type == "enum":
        return each.choice_label(value)
    if each.type == "datetime":
        return _moment(value)
    text = _name(value, names)
    unit = "" if each.unit == "per product" else each.unit_label()
    return f"{text} {unit}".strip()


def _moment(value: Any) -> Any:
    """An instant in words."""
    try:
        return moment(datetime.fromisoformat(str(value)))
    except ValueError:
        return value


def _name(value: Any, names: Mapping[str, Any]) -> str:
    """The name behind a reference, or the value itself."""
    row = names.get(str(value))
    return str(value) if row is None else str(row)


def _table(each: TemplateField, rows: Any, names: Mapping[str, Any]) -> str:
    """The rows of a list, one sentence each."""
    lines = []
    for row in rows if isinstance(rows, list) else []:
        cells = []
        for column in each.columns:
            if column.key not in row:
                continue
            text = _name(row[column.key], names)
            if column.choices:
                text = next((choice.label() for choice in column.choices if choice.value == text), text)
            unit = unit_name(column.unit) if column.unit else ""
            cells.append(f"{column.label()} {text} {unit}".strip())
        lines.append(_("，").join(cells))
    return _("；").join(lines)


def event_url(event: Event) -> str:
    """The page of an event."""
    return reverse("trace:event_detail", args=[event.uid])
