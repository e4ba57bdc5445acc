"""What a step's form begins with: a lot just looked at, or an event declared wrong that is stated again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from trace.event_templates import TemplateField
from trace.forms.step_choices import Offer
from trace.forms.steps import DATA, Start
from trace.inventory import OnHand
from trace.models import Event, EventItem, Lot, Organisation, Place, TestReport
from trace.origins import origin_shown
from trace.personal import reveal
from trace.steps import Plan

_ROLES = {"inputs": EventItem.Role.INPUT, "subjects": EventItem.Role.SUBJECT}


def from_lot(offer: Offer, lot: Lot) -> Start:
    """The form with this lot already chosen."""
    key = "inputs" if offer.plan.inputs else "subjects" if offer.plan.subjects else ""
    if not key:
        return Start()
    here = next((each for each in offer.lots if each.lot.pk == lot.pk), None)
    values: dict[str, Any] = {f"{key}-0-lot": here.value if here is not None else str(lot.uid)}
    if "product_name" in {each.key for each in offer.plan.fields}:
        values[f"{DATA}product_name"] = lot.product_version.name
    return Start(values, lots=() if here is not None else (OnHand(lot),))


def from_event(offer: Offer, event: Event) -> Start:
    """The form filled with what was entered wrongly; its lots keep their identity. A few queries."""
    plan = offer.plan
    items = list(
        event.items.select_related("lot__product__current", "lot__product_version", "place", "unit").order_by("number")
    )
    local = timezone.localtime(event.occurred_at)
    values: dict[str, Any] = {
        "when_on": local.date(),
        "when_at": local.time() if event.precision == Event.Precision.MINUTE else "",
        "place": str(event.place.uid) if event.place is not None else "",
        "remark": reveal(event.remark),
        "party": str(event.counterparty.uid) if event.counterparty is not None else "",
    }
    values |= _facts(plan, event)
    lots: list[OnHand] = []
    rows: dict[str, int] = {}
    for key, role in _ROLES.items():
        named = [item for item in items if item.role == role and item.lot is not None and item.micros <= 0]
        if getattr(plan, key):
            rows[key] = len(named)
            lots += _rows_of(key, named, values, offer, plan, event)
    begun = [item for item in items if item.role == EventItem.Role.OUTPUT and item.lot is not None]
    if plan.outputs:
        rows["outputs"] = len(begun)
        _outputs(begun, values, plan, event)
    if plan.moves == "sample":
        _report(event, values)
    if plan.moves in ("pack", "unpack"):
        units = [item.unit.code for item in items if item.unit is not None]
        values |= {"pack": units[0] if units else "", "units": "\n".join(units[1:])}
    rows |= {f"{DATA}{each.key}": len(event.data.get(each.key, [])) for each in plan.row_fields}
    return Start(values, rows, tuple(lots), replaces=event)


def _facts(plan: Plan, event: Event) -> dict[str, Any]:
    """The template's own fields as they were; what was blank stays blank."""
    values: dict[str, Any] = {}
    names = _names(event, plan.fields)
    for each in plan.fields:
        stored = event.data.get(each.key, "")
        if each.columns:
            for number, row in enumerate(stored or []):
                values |= {f"{DATA}{each.key}-{number}-{key}": cell for key, cell in row.items()}
        elif isinstance(stored, list):
            values[f"{DATA}{each.key}"] = "\n".join(names.get(str(part), str(part)) for part in stored)
        elif isinstance(stored, bool):
            values[f"{DATA}{each.key}"] = "true" if stored else "false"
        else:
            shown = origin_shown(stored) if each.key == "origin" and stored else names.get(str(stored), stored)
            values[f"{DATA}{each.key}"] = shown
    return values


def _names(event: Event, fields: Sequence[TemplateField]) -> dict[str, str]:
    """Names for the uids in fields that are typed by name."""
    parties = [event.data.get(each.key) for each in fields if each.type == "ref:Organisation"]
    lots = [event.data.get(each.key) for each in fields if each.type == "ref:Lot"]
    places = [part for each in fields if each.type == "list[ref:Location]" for part in event.data.get(each.key, [])]
    return {
        **_labels(Organisation, parties, "name"),
        **_labels(Lot, lots, "lot_code"),
        **_labels(Place, places, "name"),
    }


def _labels(model: Any, uids: Sequence[Any], name: str) -> dict[str, str]:
    """Names by uid of those that are rows of this model."""
    wanted = [uid for uid in uids if isinstance(uid, str) and len(uid) == 36]
    if not wanted:
        return {}
    return {str(uid): label for uid, label in model.objects.filter(uid__in=wanted).values_list("uid", name)}


def _rows_of(
    key: str, items: Sequence[EventItem], values: dict[str, Any], offer: Offer, plan: Plan, event: Event
) -> list[OnHand]:
    """The rows of lots that went in or that it was about; returns lots that the form would not offer."""
    known = {each.value for each in offer.lots}
    more: list[OnHand] = []
    listed = event.data.get(plan.template.input_list_field, []) if plan.template.input_list_field else []
    for number, item in enumerate(items):
        if item.lot is None:
            continue
        entry = OnHand(item.lot, item.place if item.micros else None)
        if entry.value not in known:
            more.append(entry)
            known.add(entry.value)
        name = f"{key}-{number}"
        values |= {f"{name}-lot": entry.value, f"{name}-amount": item.entered, f"{name}-unit": item.entered_unit}
        if number < len(listed):
            values |= {f"{name}-x_{column.key}": listed[number].get(column.key, "") for column in plan.input_columns}
    return more


def _outputs(items: Sequence[EventItem], values: dict[str, Any], plan: Plan, event: Event) -> None:
    """The rows of lots that began, each remembering which lot it is."""
    listed = event.data.get(plan.template.output_list_field, []) if plan.template.output_list_field else []
    for number, item in enumerate(items):
        lot = item.lot
        if lot is None:
            continue
        name, facts = f"outputs-{number}", item.ilmd.get("facts", {})
        values |= {
            f"{name}-product": str(lot.product.uid),
            f"{name}-amount": item.entered,
            f"{name}-unit": item.entered_unit,
            f"{name}-lot_code": lot.lot_code,
            f"{name}-restates": str(lot.uid),
            f"{name}-produced_on": lot.produced_on,
            f"{name}-expires_on": lot.expires_on,
        }
        values |= {f"{name}-f_{each.key}": facts.get(each.key, "") for each in plan.output_fields}
        if number < len(listed):
            values |= {f"{name}-x_{column.key}": listed[number].get(column.key, "") for column in plan.output_columns}


def _report(event: Event, values: dict[str, Any]) -> None:
    """The report that was recorded with a sample."""
    report = TestReport.objects.filter(event=event).select_related("laboratory").first()
    values["purpose"] = event.data.get("purpose") or (report.purpose if report is not None else "")
    if report is None:
        return
    values |= {
        "lab": str(report.laboratory.uid) if report.laboratory is not None else "",
        "lab_name": "" if report.laboratory is not None else report.laboratory_name,
        "lab_cma": report.cma_number,
        "report_no": report.report_number,
        "issued_on": report.issued_on,
    }
