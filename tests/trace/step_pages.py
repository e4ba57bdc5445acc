"""What tests of the steps' pages share: filling in a form as a person would, from what the page shows."""

from __future__ import annotations

from typing import Any

from django import forms
from django.test import Client
from django.urls import reverse

from tests.goods import day, make_lot, passed, receive, released, ship
from tests.world import World, sign_in
from trace.actor import Actor
from trace.event_templates import TemplateField
from trace.forms.steps import DATA, StepForm
from trace.models import Event, Lot, Unit

WHEN = "2026-09-29"
EXAMPLES = {
    "decimal": "12.5",
    "int": "12",
    "text": "示例",
    "date": "2026-09-25",
    "datetime": "2026-09-29 08:30",
    "bool": "true",
    "list": "甲\n乙",
}


def url_of(code: str, **query: Any) -> str:
    """The address of a step's form."""
    words = "&".join(f"{key}={value}" for key, value in query.items())
    return reverse("trace:step_form", args=[code]) + (f"?{words}" if words else "")


def example(field: TemplateField) -> str:
    """What a person would type into a template's field."""
    if field.type == "enum":
        return field.choices[0].value
    if field.key == "best_before":
        return "2027-05-01"
    if field.absent:
        return "安赛蜜 未检出"
    return EXAMPLES.get(field.type, "示例")


def open_form(client: Client, url: str) -> StepForm:
    """The form as the page shows it."""
    page = client.get(url)
    assert page.status_code == 200, page.content.decode()[:2000]
    form: StepForm = page.context["form"]
    return form


def shown(form: StepForm) -> dict[str, Any]:
    """What a browser would send of an untouched form."""
    values: dict[str, Any] = {}
    for name in form.fields:
        value = form[name].value()
        if isinstance(form.fields[name].widget, forms.MultiWidget):
            values[f"{name}_0"], values[f"{name}_1"] = form.fields[name].widget.decompress(value)
        elif value not in (None, "", []):
            values[name] = value
    for group in form.groups:
        values[f"{group.key}-count"] = len(group.rows)
    return {key: str(value) for key, value in values.items()}


def choices_of(form: StepForm, name: str) -> list[str]:
    """The real choices of a select."""
    found: list[str] = []
    for value, label in form.fields[name].widget.choices:
        options = label if isinstance(label, (list, tuple)) else [(value, label)]
        found += [str(option) for option, _words in options if option]
    return found


def first_choice(form: StepForm, name: str, number: int = 0) -> str:
    """The first real choice of a select, or the one for the row with this number."""
    found = choices_of(form, name)
    return found[number % len(found)] if found else ""


def row_of(name: str) -> int:
    """The number of the row a control stands in."""
    parts = name.split("-")
    return int(parts[1]) if len(parts) == 3 else 0


def filled(form: StepForm) -> dict[str, Any]:
    """The form filled in: every field that can be, each row of lots once, amounts that fit."""
    values = shown(form) | {"when_on": WHEN, "when_at": "09:30"}
    for name, field in form.fields.items():
        part = name.rpartition("-")[2]
        if isinstance(field.widget, forms.MultiWidget):
            values |= {f"{name}_0": "0.01", f"{name}_1": "nd"}
        elif part in ("lot", "product") or name in ("place", "party", "wrong", "wrong_reason", "purpose", "lab"):
            number = row_of(name) if part == "lot" else 0
            values[name] = values.get(name) or first_choice(form, name, number)
        elif part == "amount":
            values[name] = "10" if name.startswith("inputs") else "2"
        elif part in ("x_abv", "f_abv"):
            values[name] = "60.5"
        elif part == "x_grade":
            values[name] = "特级"
    for each in form.plan.fields:
        if not each.columns and f"{DATA}{each.key}" in form.fields and not each.below_loq:
            name = f"{DATA}{each.key}"
            choices = getattr(form.fields[name].widget, "choices", None)
            values[name] = first_choice(form, name) if choices and each.type.startswith("ref") else example(each)
        for column in each.columns:
            if column.type != "measured" and column.key != "verdict":
                values[f"{DATA}{each.key}-0-{column.key}"] = "≤5.0" if column.key == "limit" else "示例"
    for each in form.plan.output_fields:
        for number in range(form.rows_of("outputs")):
            if each.key != "abv":
                values[f"outputs-{number}-f_{each.key}"] = example(each)
    return values


def errors_of(page: Any) -> dict[str, list[str]]:
    """The codes of the refusals by field."""
    form = page.context["form"]
    return {name: [error.code for error in errors] for name, errors in form.errors.as_data().items()}


def post(client: Client, url: str, values: dict[str, Any]) -> Any:
    """Send the form."""
    return client.post(url, values)


def recorded(page: Any, template: str) -> Event:
    """The event a form led to; says what was refused where it did not."""
    if page.status_code != 302:
        broken = page.context.get("broken") if page.context else None
        raise AssertionError((page.status_code, errors_of(page), broken.code if broken else None))
    event = Event.objects.latest("id")
    assert event.template == template
    return event


class Stage:
    """A producer with what any step needs: lots, places, a carton, a shipped and a tested lot."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.actor: Actor = world.walnuts
        self.lots: list[Lot] = [
            make_lot(world.walnuts, world.kernels, "1000", place=world.plant, when=day(number)) for number in range(3)
        ]
        self.tested = make_lot(world.walnuts, world.kernels, "500", place=world.plant, when=day(1))
        passed(world.walnuts, self.tested, when=day(2), number="示例-7")

    def sent(self) -> Lot:
        """A lot of which a shop has some."""
        lot = released(self.world.walnuts, self.world.walnuts_quality, self.lots[0], when=day(2))
        receive(self.world.shop, ship(self.world.walnuts, self.world.shop.organisation, lot, "40"))
        return lot

    def units(self, count: int = 3) -> list[Unit]:
        """A carton and bottles with codes, of the last lot."""
        rows = [
            Unit(
                code=f"7K3M0QX9ZB{number:02d}",
                organisation=self.actor.organisation,
                lot=self.lots[-1],
                level=Unit.Level.CARTON if number == 0 else Unit.Level.ITEM,
                number=number,
            )
            for number in range(count + 1)
        ]
        return Unit.objects.bulk_create(rows)


def signed(who: Actor) -> Client:
    """A browser signed in as this person."""
    return sign_in(Client(), who)
