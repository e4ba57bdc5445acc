"""Every template has a form, made from its data, that records its event."""

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests import stages
from tests.trace.step_pages import Stage, errors_of, filled, open_form, post, recorded, signed, url_of
from tests.world import World
from trace.actions.events import OWN_PAGES
from trace.event_templates import templates
from trace.units import MICROS

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def producer_stage(
    world_stage: stages.Stage[World], django_db_blocker: DjangoDbBlocker
) -> Iterator[stages.Stage[Stage]]:
    """The database with the producer and its lots, built once."""
    with stages.Stage.built(Stage, django_db_blocker, on=world_stage) as stage:
        yield stage


@pytest.fixture
def stage(producer_stage: stages.Stage[Stage], world: World) -> Iterator[Stage]:
    """The producer with its lots."""
    with producer_stage.played(world) as stage:
        yield stage


def prepared(stage: Stage, code: str) -> dict[str, str]:
    """What must be there before this step, and what the form cannot guess."""
    moves = templates()[code].moves
    more: dict[str, str] = {}
    if moves == "return":
        stage.sent()
    if moves == "retail":
        stage.sent()
        more = {"subjects-0-lot": f"{stage.lots[0].uid}@{stage.world.plant.uid}"}
    if moves == "ship":
        stage.sent()
        more = {"subjects-0-lot": str(stage.lots[0].uid), "subjects-1-amount": "", "subjects-1-lot": ""}
    if moves in ("pack", "unpack"):
        carton, *bottles = stage.units()
        if code == "common.palletise":
            more = {"pack": "095200000000000011", "units": carton.code}
        else:
            more = {"pack": carton.code, "units": "\n".join(bottle.code for bottle in bottles)}
        if moves == "unpack":
            type(carton).objects.filter(pk__in=[bottle.pk for bottle in bottles]).update(parent=carton)
            more["units"] = ""
    if moves == "recode":
        _carton, bottle, spare, *_bottles = stage.units()
        more = {"d_old_code": bottle.code, "d_new_code": spare.code}
    if moves == "hold":
        more = {"subjects-1-lot": ""}
    if code == "common.count":
        there = stage.lots[0].stocks.get(place=stage.world.plant).micros
        more = {"subjects-0-lot": str(stage.lots[0].uid), "subjects-1-lot": "", "subjects-1-amount": ""}
        more |= {"subjects-0-amount": str(there // MICROS), "place": str(stage.world.plant.uid)}
    if moves == "release":
        more = {"subjects-0-lot": str(stage.tested.uid), "release_report": ""}
    if moves == "sample":
        more = {"report_no": "示例-2026-1", "issued_on": "2026-10-01", "lab_cma": ""}
    if moves == "receive":
        more = {"outputs-0-lot_code": "SUP-77", "outputs-0-produced_on": "2026-09-01"}
    if moves == "place" and "plot" in [field.key for field in templates()[code].fields]:
        more = {"place": "", "plot_name": "示例新地块"}
    if code in ("baijiu.bottle", "furniture.joinery"):
        more = {"outputs-0-lot_code": "B2026-1"}
    if templates()[code].amount_field and templates()[code].field(templates()[code].amount_field).type == "int":  # type: ignore[union-attr]
        more |= {"outputs-0-unit": "袋"}
    return more


def of_the_general_form() -> list[str]:
    """Every template but those with pages of their own."""
    return sorted(code for code, found in templates().items() if found.moves not in OWN_PAGES)


@pytest.mark.parametrize("code", of_the_general_form())
def test_every_template_has_a_form_that_records_its_event(stage: Stage, code: str) -> None:
    more = prepared(stage, code)
    who = stage.world.walnuts_quality if templates()[code].moves in ("hold", "release") else stage.actor
    client = signed(who)
    form = open_form(client, url_of(code))
    values = filled(form)
    values = {key: value for key, value in (values | more).items() if value != ""}
    event = recorded(post(client, url_of(code), values), code)
    assert event.organisation == stage.actor.organisation
    assert event.occurred_at.isoformat() == "2026-09-29T01:30:00+00:00"
    assert (event.precision, event.tz_offset) == ("minute", 480)
    page = client.get(f"/events/{event.uid}/")
    assert page.status_code == 200


@pytest.mark.parametrize(("amount", "unit", "micros"), [("100斤", "", 50 * MICROS), ("1.5kg", "KGM", 1_500_000)])
def test_a_unit_written_behind_the_number_is_understood(stage: Stage, amount: str, unit: str, micros: int) -> None:
    client, url = signed(stage.actor), url_of("common.opening")
    values = filled(open_form(client, url)) | {"outputs-0-amount": amount, "outputs-0-unit": unit}
    event = recorded(post(client, url, {key: value for key, value in values.items() if value}), "common.opening")
    assert list(event.items.values_list("micros", flat=True)) == [micros]


def test_two_different_units_for_one_amount_are_refused(stage: Stage) -> None:
    client, url = signed(stage.actor), url_of("common.opening")
    values = filled(open_form(client, url)) | {"outputs-0-amount": "100公斤", "outputs-0-unit": "GRM"}
    page = post(client, url, {key: value for key, value in values.items() if value})
    assert errors_of(page)["outputs-0-amount"] == ["unit_twice"]
