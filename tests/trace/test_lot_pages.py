"""The lists of lots, events, reports, holds and conflicts: what they show to whom, and at what cost."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.goods import day, make_lot, passed, released, ship, turn_into
from tests.trace.step_pages import signed
from tests.trace.test_guards import step
from tests.world import World, make_product, sign_in
from trace.actions.corrections import declare_error
from trace.actions.events import When
from trace.actions.holds import place_hold
from trace.models import HoldSet, Lot

NOON = When(day(6, hour=12).at)
LISTS = [
    "/lots/",
    "/events/",
    "/reports/",
    "/holds/",
    "/conflicts/",
    "/holds/?state=ended",
    "/conflicts/?state=answered",
]


def one_more(world: World, number: int) -> None:
    """One more row for each of the lists."""
    lot = make_lot(world.walnuts, world.kernels, "10", place=world.plant)
    passed(world.walnuts, lot, number=f"示例-{number}")
    place_hold(by=world.walnuts_quality, lots=[lot], reason=f"示例 {number}", when=day(3))
    turn_into(world.walnuts, [(lot, "1")], [(world.kernels, "1")], when=day(4), insist=True)


@pytest.mark.once
def test_long_lists_cost_as_many_queries_as_short_ones(world: World) -> None:
    clients = {who: signed(getattr(world, who)) for who in ("walnuts", "county")}
    one_more(world, 0)
    counts: dict[tuple[str, str], list[int]] = {(who, url): [] for who in clients for url in LISTS}
    for more in (0, 12):
        for number in range(more):
            one_more(world, number + 1)
        for (who, url), asked in counts.items():
            clients[who].get(url)
            with CaptureQueriesContext(connection) as queries:
                assert clients[who].get(url).status_code == 200
            asked.append(len(queries))
    assert {at: few for at, (few, many) in counts.items() if not few == many <= 25} == {}


@pytest.mark.parametrize("url", [*LISTS, "/steps/", "/lots/new/", "/reports/new/"])
def test_lists_ask_strangers_to_sign_in(world: World, url: str) -> None:
    page = Client().get(url)
    assert page.status_code == 302
    assert page["Location"].startswith("/sign-in/")
    assert sign_in(Client(), world.consumer).get(url).status_code == 403


def codes(page: Any) -> list[str]:
    """The lot codes of a list."""
    return [lot.lot_code for lot in page.context["page"]]


def test_lots_are_narrowed_by_product_state_text_and_whose_they_are(world: World) -> None:
    other = make_product(world.walnuts.organisation, "HTQ", "示例核桃")
    for code, product in (("AA-1", world.kernels), ("AA-2", other), ("BB-1", world.kernels)):
        make_lot(world.walnuts, product, "10", lot_code=code)
    rows = {lot.lot_code: lot for lot in world.kernels.lots.all()}
    released(world.walnuts, world.walnuts_quality, rows["AA-1"])
    place_hold(by=world.walnuts_quality, lots=[rows["BB-1"]], reason="示例", when=day(3))
    client = signed(world.walnuts)
    assert codes(client.get("/lots/")) == ["BB-1", "AA-2", "AA-1"]
    assert codes(client.get("/lots/?sort=code")) == ["AA-1", "AA-2", "BB-1"]
    assert codes(client.get(f"/lots/?product={other.uid}")) == ["AA-2"]
    assert codes(client.get("/lots/?q=aa-")) == ["AA-2", "AA-1"]
    assert codes(client.get(f"/lots/?q={rows['BB-1'].public_code}")) == ["BB-1"]
    assert codes(client.get("/lots/?state=released")) == ["AA-1"]
    assert codes(client.get("/lots/?state=blocked")) == ["BB-1"]
    assert codes(client.get("/lots/?state=recalled")) == []
    assert codes(client.get("/lots/?state=waiting")) == ["BB-1", "AA-2"]
    ship(world.walnuts, world.shop.organisation, rows["AA-1"], "10")
    assert "AA-1" not in codes(client.get("/lots/?scope=held"))
    assert codes(client.get("/lots/?scope=made")) == ["BB-1", "AA-2", "AA-1"]


@pytest.mark.parametrize(
    "query",
    [
        "q=%00",
        "q=a%ED%A0%80",
        "product=x",
        "product=%00",
        "sort=x",
        "page=x",
        "page=99999999999999999999",
        "q=" + "x" * 5000,
        "state=%00",
    ],
)
def test_nonsense_in_the_address_is_no_error(world: World, query: str) -> None:
    make_lot(world.walnuts, world.kernels, "10")
    client = signed(world.walnuts)
    for url in ("/lots/", "/events/", "/reports/", "/conflicts/", "/holds/"):
        assert client.get(f"{url}?{query}").status_code == 200
    for more in ("since=2026-02-30", "until=x", "after=x", "before=%00", "after=99999999999999999999999"):
        assert client.get(f"/events/?{more}").status_code == 200


def test_lots_declared_wrong_are_listed_only_when_asked_for(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10", lot_code="AA-1")
    declare_error(by=world.walnuts, event=lot.origin_event, reason="did_not_occur", when=NOON)
    client = signed(world.walnuts)
    assert codes(client.get("/lots/")) == []
    assert codes(client.get("/lots/?state=voided")) == ["AA-1"]


@pytest.mark.parametrize("url", ["/lots/?format=csv", "/events/?format=csv"])
def test_tables_open_with_their_chinese_and_run_no_formula(world: World, url: str) -> None:
    world.plant.name = "=1+1"
    world.plant.save()
    make_lot(world.walnuts, world.kernels, "12.5", place=world.plant, lot_code="AA-1", display_code="+甲一")
    answer = signed(world.walnuts).get(url)
    assert answer["Content-Type"].startswith("text/csv")
    content = answer.getvalue()
    assert content.startswith(b"\xef\xbb\xbf")
    text = content.decode("utf-8-sig")
    assert "'+甲一" in text
    assert "12.5" in text
    assert "=1+1" not in text.replace("'=1+1", "")


def test_strangers_see_nothing_of_each_other(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10", lot_code="AA-1")
    report = passed(world.walnuts, lot)
    hold = place_hold(by=world.walnuts_quality, lots=[lot], reason="示例", when=day(3))
    client = signed(world.distillery)
    assert codes(client.get("/lots/")) == []
    assert list(client.get("/events/").context["lines"]) == []
    for url in (
        f"/events/{lot.origin_event.uid}/",
        f"/reports/{report.uid}/",
        f"/holds/{hold.uid}/",
        f"/holds/{hold.uid}/end/",
    ):
        assert client.get(url).status_code == 404
        assert signed(world.county).get(url).status_code == 200
        assert signed(world.other_county).get(url).status_code == 404


def test_events_are_paged_by_log_number_in_both_directions(world: World) -> None:
    for _ in range(55):
        make_lot(world.walnuts, world.kernels, "1")
    client = signed(world.walnuts)
    page = client.get("/events/")
    assert [line.number for line in page.context["lines"]] == list(range(55, 5, -1))
    older = client.get(f"/events/?after={page.context['next_cursor']}")
    assert [line.number for line in older.context["lines"]] == [5, 4, 3, 2, 1]
    assert older.context["next_cursor"] == ""
    newer = client.get(f"/events/?before={older.context['previous_cursor']}")
    assert [line.number for line in newer.context["lines"]] == list(range(55, 5, -1))


def test_events_are_narrowed_by_step_day_text_and_state(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10", lot_code="AA-1", place=world.plant)
    (child,) = turn_into(world.walnuts, [(lot, "5")], [(world.kernels, "5")])
    declare_error(by=world.walnuts, event=child.origin_event, reason="did_not_occur", when=NOON)
    client = signed(world.walnuts)

    def steps(query: str) -> list[str]:
        return [line.event.template for line in client.get(f"/events/?{query}").context["lines"]]

    assert steps("") == ["common.correct", "common.rework", "common.opening"]
    assert steps("step=common.opening") == ["common.opening"]
    assert steps("step=no.such") == []
    assert steps("until=2026-09-20") == ["common.opening"]
    assert steps("since=2026-09-26") == ["common.correct"]
    assert steps("state=voided") == ["common.rework"]
    assert "common.rework" not in steps("state=standing")
    assert set(steps("q=AA-1")) == {"common.rework", "common.opening", "common.correct"}
    assert steps(f"q={world.plant.name}") == ["common.opening"]


def test_buyer_reads_of_a_shipment_only_what_is_public(world: World) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10"))
    shipment = ship(world.walnuts, world.shop.organisation, lot, "4")
    page = signed(world.shop).get(f"/events/{shipment.event.uid}/")
    assert page.status_code == 200
    assert page.context["items"] == []
    assert [row.label for row in page.context["fields"]] == []
    assert page.context["may_correct"] is False


def test_hold_is_ended_with_a_reason_by_who_set_it(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    hold = place_hold(by=world.walnuts_quality, lots=[lot], reason="示例:待查", when=day(3))
    worker_url = f"/holds/{hold.uid}/end/"
    client = signed(world.walnuts_quality)
    assert client.get(f"/holds/{hold.uid}/").context["may_end"] is True
    page = client.post(worker_url, {"reason": " "})
    assert page.status_code == 422
    assert page.context["form"].errors.as_data()["reason"][0].code == "required"
    assert signed(world.walnuts).get(f"/holds/{hold.uid}/").status_code == 200
    assert client.post(worker_url, {"reason": "示例:查清"}).status_code == 302
    hold.refresh_from_db()
    assert not hold.is_active
    again = client.post(worker_url, {"reason": "示例:查清"})
    assert again.context["form"].errors.as_data()["__all__"][0].code == "stale_state"
    shown = client.get(f"/holds/{hold.uid}/").content.decode()
    assert "示例:查清" in shown


def test_hold_of_a_campaign_ends_with_it(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    hold = place_hold(by=world.walnuts_quality, lots=[lot], reason="示例", when=day(3), source="urn:example:campaign")
    page = signed(world.walnuts_quality).post(f"/holds/{hold.uid}/end/", {"reason": "示例"})
    assert page.context["form"].errors.as_data()["__all__"][0].code == "hold_of_campaign"
    assert HoldSet.objects.get().is_active


def test_report_begins_with_the_lot(world: World) -> None:
    world.kernels.family = "walnut_fenzhou"
    world.kernels.save()
    lot = make_lot(world.walnuts, world.kernels, "10", lot_code="AA-1")
    client = signed(world.walnuts)
    page = client.get("/reports/new/", {"q": "AA-1"})
    assert page.context["lot"] == lot
    assert [choice.step.code for choice in page.context["choices"]] == ["walnut.test", "common.sample"]
    assert client.get(page.context["choices"][0].url).context["form"]["subjects-0-lot"].value() == str(lot.uid)
    assert client.get("/reports/new/", {"q": "\x00"}).status_code == 422
    assert signed(world.distillery).get("/reports/new/", {"q": "AA-1"}).status_code == 404


def test_usual_next_steps_follow_what_was_recorded(world: World) -> None:
    world.kernels.family = "walnut_fenzhou"
    world.kernels.save()
    lot = make_lot(world.walnuts, world.kernels, "10")
    client = signed(world.walnuts)
    page = client.get("/steps/")
    assert page.context["go_on"][0].lot == lot
    assert page.context["family"].code == "walnut_fenzhou"
    assert [choice.template.code for choice in page.context["usual"]][:3] == [
        "walnut.register_plot",
        "walnut.input_use",
        "walnut.harvest",
    ]
    assert "walnut.cold_store" in [choice.template.code for choice in page.context["more"]]
    event = client.get(f"/events/{lot.origin_event.uid}/")
    assert [choice.url.partition("?")[2] for choice in event.context["next"]] == [f"lot={lot.uid}"] * 2


def test_what_may_not_be_used_is_not_proposed_and_after_a_release_comes_what_follows(world: World) -> None:
    world.kernels.family = "walnut_fenzhou"
    world.kernels.save()
    held, free = (make_lot(world.walnuts, world.kernels, "10") for _each in range(2))
    make_lot(world.walnuts, world.kernels, "10", expires_on=datetime.date(2026, 10, 1))
    place_hold(by=world.walnuts_quality, lots=[held], reason="示例")
    client = signed(world.walnuts)

    def proposed() -> list[tuple[Lot, list[str]]]:
        return [(row.lot, [each.template.code for each in row.steps]) for row in client.get("/steps/").context["go_on"]]

    assert [lot for lot, _steps in proposed()] == [free]
    pouch = make_product(world.walnuts.organisation, "DAI", "示例袋装", base_unit="C62", family="walnut_fenzhou")
    (bags,) = step(
        world, "walnut.pack", [(free, "2")], [(pouch, "10")], by=world.walnuts, bags="10",
        production_date="2026-09-21", best_before="2027-04-01", allergen="true", net_content="0.2",
    )  # fmt: skip
    assert dict(proposed())[bags][-1] == "common.release"
    released(world.walnuts, world.walnuts_quality, bags)
    assert "common.release" not in dict(proposed())[bags]
