"""Announced recalls as data, list and poster; a drill gets into none of them."""

from __future__ import annotations

import csv
import datetime
import io
import json
from typing import Any

import jsonschema_rs
import pytest
from django.test import Client, RequestFactory

from labels.poster import poster_lines
from recalls.actions.announcements import draft_notice
from recalls.actions.campaigns import announce, decide, start_campaign
from recalls.actions.scopes import freeze_scope
from recalls.models import Campaign, Publication
from recalls.scope import Question
from recalls.views.public import narrowed_by
from tests.goods import day, make_lot
from tests.recalls.story import ANNOUNCEMENT, announced, make_chain, scoped, started
from tests.world import World, make_product
from trace.models import Division, Lot


def got(client: Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer


def test_a_recall_is_data_with_lots_amounts_and_places_as_fields(client: Client, world: World) -> None:
    chain = make_chain(world)
    campaign = announced(chain)
    data = got(client, "/recalls/data.json").json()
    (one,) = data["recalls"]
    schema = got(client, "/recalls/schema-1.json").json()
    validator = jsonschema_rs.validator_for(schema)
    validator.validate(one)
    assert not validator.is_valid({**one, "version": "2.0.0"})
    lots = {lot["code"]: lot for goods in one["goods"] for lot in goods["lots"]}
    assert lots[chain.pouch_a.code]["made"] == "40"
    assert lots[chain.pouch_a.code]["unit"] == chain.pouch_a.product.base_unit
    assert all(len(place["code"]) == 6 for place in one["places"])
    names = dict(Division.objects.values_list("code", "name"))
    assert one["places"] == [{"code": code, "name": names[code]} for code in sorted({p["code"] for p in one["places"]})]
    assert (one["kind"], one["initiator"]) == ("recall", "producer")
    assert chain.outsider.name not in json.dumps(data, ensure_ascii=False), "holders are nobody's business"
    assert got(client, f"/recalls/{campaign.uid}/data.json").json() == one
    linked = got(client, f"/recalls/{campaign.uid}/data.jsonld").json()
    assert linked["@context"] == "https://schema.org"
    feed = got(client, "/recalls/feed.json").json()
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert feed["items"][0]["_recall"] == one
    rows = list(csv.DictReader(io.StringIO(got(client, "/recalls/data.csv").content.decode("utf-8-sig"))))
    assert {row["lot"] for row in rows} == set(lots)
    pdf = got(client, f"/recalls/{campaign.uid}/poster.pdf")
    assert pdf.content.startswith(b"%PDF")
    assert b"FontFile2" in pdf.content, "the typeface is embedded"
    notice = campaign.public_notices.get()
    notice.campaign.announced_at = datetime.datetime(2026, 11, 28, 17, tzinfo=datetime.UTC)
    assert poster_lines(notice)[-1][0].endswith("2026-11-29"), "the day by the calendar of Shanxi"
    page = got(client, f"/recalls/{campaign.uid}").content.decode()
    for words in ("码和批号在哪里", "申请退货、换货或退款", "poster.pdf"):
        assert words in page


def test_two_sizes_of_one_name_and_code_keep_their_own_amounts(client: Client, world: World) -> None:
    chain = make_chain(world)
    by, quality = world.walnuts, world.walnuts_quality
    name = chain.pouch_a.product_version.name
    bag = make_product(by.organisation, "HTR-500", name, family="walnut_fenzhou", spec="500 g")
    twin = make_lot(by, bag, "7", when=day(2))
    Lot.objects.filter(pk=twin.pk).update(lot_code=chain.pouch_a.lot_code, produced_on=chain.pouch_a.produced_on)
    campaign = scoped(chain)
    freeze_scope(by=quality, campaign=campaign, question=Question.of([chain.pouch_a, twin], same_run=False))
    campaign = start_campaign(by=quality, campaign=decide(by=by, campaign=campaign), stop_order=True)
    draft_notice(by=quality, campaign=campaign, announcement=ANNOUNCEMENT)
    announce(by=by, campaign=campaign, channel="示例")
    (one,) = got(client, "/recalls/data.json").json()["recalls"]
    made = {goods["spec"]: [lot["made"] for lot in goods["lots"]] for goods in one["goods"]}
    assert made == {chain.pouch_a.product_version.spec or None: ["40"], "500 g": ["7"]}


def test_the_year_of_an_announcement_is_that_of_the_calendar_here(client: Client, world: World) -> None:
    campaign = announced(make_chain(world))
    late = datetime.datetime(2026, 12, 31, 17, tzinfo=datetime.UTC)
    rows = [Publication(notice=campaign.public_notices.get(), at=late)]
    for year, count in (("2026", 0), ("2027", 1)):
        request = RequestFactory().get("/recalls/", {"year": year})
        assert len(narrowed_by(request, rows)) == count


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 1),
        ("q=核桃", 1),
        ("q=没有", 0),
        ("state=open", 1),
        ("state=closed", 0),
        ("track=food", 1),
        ("track=consumer_product", 0),
        ("year=1999", 0),
        ("year=%EF%BC%99%00&track=x&state=y", 1),
    ],
)
def test_the_list_and_its_data_narrow_alike(client: Client, world: World, query: str, count: int) -> None:
    announced(make_chain(world))
    assert got(client, f"/recalls/data.json?{query}").json()["count"] == count
    assert got(client, f"/recalls?{query}").content.decode().count('class="card"') == count


def test_a_drill_is_in_nothing_public(client: Client, world: World) -> None:
    drill = started(make_chain(world), is_drill=True)
    Campaign.objects.filter(pk=drill.pk).update(status="announced")
    for path in ("/recalls/data.json", "/recalls/feed.json", "/recalls/data.csv", "/recalls"):
        assert str(drill.uid) not in got(client, path).content.decode()
    for tail in ("", "/data.json", "/data.jsonld", "/poster.pdf", "/claim"):
        assert client.get(f"/recalls/{drill.uid}{tail}").status_code == 404
