"""What comes in from the world of recalls as it is: lots named by ranges, files that are not what they say, texts with
line breaks; and what an attacker tries to get out of an exercise.
"""

from __future__ import annotations

import csv
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from recalls.actions.announcements import draft_notice
from recalls.actions.assessment import reassess
from recalls.actions.campaigns import announce
from recalls.actions.hooks import add_webhook, announce_to_systems
from recalls.errors import DrillStaysInside
from recalls.models import Campaign, PublicNotice, ScopeVersion, WebhookDelivery
from tests.goods import day, make_lot
from tests.recalls.story import ANNOUNCEMENT, FINDING, Chain, announced, assessed, started
from tests.world import make_product, sign_in
from trace.models import Membership


def test_lots_named_by_a_range_by_all_or_by_a_date_are_never_taken_for_one(chain: Chain, client: Client) -> None:
    world = chain.world
    campaign = assessed(chain)
    twin = make_product(world.walnuts.organisation, "TWIN", "示例另一种核桃", family="walnut_fenzhou")
    make_lot(world.walnuts, twin, "10", when=day(2), place=world.plant, lot_code=chain.pouch_a.lot_code)
    sign_in(client, world.walnuts_quality)
    at = reverse("recalls:campaign_scope", args=[campaign.uid])
    for words in ("00112 through 10412", "All lots", "全部批次", "≤ 2015-05-15", f"{chain.pouch_a.code}~", "*", "%"):
        page = client.get(at, {"add": words}).content.decode()
        assert "示例另一种核桃" not in page, f"{words} was taken for a lot"
    # The same lot code on two products: both are found, and a person says which.
    page = client.get(at, {"add": chain.pouch_a.lot_code}).content.decode()
    assert "示例另一种核桃" in page
    assert "示例核桃仁" in page
    assert not ScopeVersion.objects.exists()


def test_a_list_of_buyers_that_is_not_what_its_name_says(chain: Chain, client: Client) -> None:
    campaign = started(chain)
    sign_in(client, chain.world.walnuts)
    at = reverse("recalls:campaign_distribution", args=[campaign.uid])
    before = campaign.notices.count()
    code = chain.pouch_a.code
    for name, data in (
        ("名单.csv", b"PK\x03\x04 not a table"),
        ("名单.csv", b"<html><table><tr><td>1</td></tr></table></html>"),
        ("名单.xlsx", "名称,批号\n示例甲,1\n".encode()),
        ("名单.csv", '名称,批号,数量,电话\n"示例甲,没有收尾的引号'.encode()),
        ("名单.csv", b"\xff\xfe\x00\x00"),
    ):
        answer = client.post(at, {"file": SimpleUploadedFile(name, data)})
        assert answer.status_code == 422, name
    assert campaign.notices.count() == before, "nobody is told by a file nobody understood"
    quoted = f'名称,批号,数量,电话\n"示例\n甲店",{code},1,13900000001\n'.encode("utf-8-sig")
    client.post(at, {"file": SimpleUploadedFile("名单.csv", quoted)})
    assert campaign.notices.count() <= before + 1, "a line break inside quotes is no new row"
    assert not campaign.notices.filter(organisation__name__contains='甲店"').exists()


def test_open_data_is_read_back_whole_whatever_stands_in_it(chain: Chain, client: Client) -> None:
    campaign = started(chain)
    hostile = '第一行\n"引号", 逗号;\t=HYPERLINK("http://example.com")'
    words = {**ANNOUNCEMENT.__dict__, "reason": hostile, "area": '=1+1,"\n'}
    draft_notice(by=chain.world.walnuts_quality, campaign=campaign, announcement=type(ANNOUNCEMENT)(**words))
    announce(by=chain.world.walnuts, campaign=campaign, channel="本系统公告页")
    answer = client.get("/recalls/data.csv")
    text = answer.getvalue().decode("utf-8-sig") if answer.streaming else answer.content.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert len({len(row) for row in rows}) == 1, "every row has as many cells as the head"
    assert len(rows) == 1 + PublicNotice.objects.get().scope.lot_count
    assert not any(cell.startswith(("=", "+", "@", "\t")) for row in rows for cell in row), "no cell is a formula"
    assert client.get("/recalls/data.json").json()


def test_an_exercise_reaches_no_system_no_feed_and_no_status(chain: Chain, client: Client) -> None:
    world = chain.world
    add_webhook(by=world.distributor, url="https://example.com/hook")
    drill = started(chain, is_drill=True)
    rows = list(drill.notices.select_related("organisation", "campaign"))
    with pytest.raises(DrillStaysInside):
        announce_to_systems(rows, event="notice", at=timezone.now())
    assert not WebhookDelivery.objects.exists(), "also where it is called past the actions"
    Campaign.objects.filter(pk=drill.pk).update(status="announced")
    gtin = chain.pouch_a.product.gtin
    lot = chain.pouch_a.lot_code
    for path in (
        "/recalls/data.json",
        "/recalls/data.csv",
        "/recalls/feed.json",
        "/warnings",
        "/tell-me",
        f"/c/{chain.pouch_a.public_code}",
        f"/api/v1/public/codes?q={chain.pouch_a.public_code}",
        *([f"/01/{gtin}/10/{lot}", f"/01/{gtin}/10/{lot}?linkType=all"] if gtin else []),
    ):
        for _again in range(2):
            answer = client.get(path, follow=True)
            body = answer.getvalue().decode() if answer.streaming else answer.content.decode()
            assert drill.title not in body, path
            assert str(drill.uid) not in body, path
    sign_in(client, world.distributor)
    for name in ("campaign", "campaign_papers", "campaign_board", "campaign_acts"):
        assert client.get(reverse(f"recalls:{name}", args=[drill.uid])).status_code == 404
    assert drill.title not in client.get("/recall/notices/").content.decode()
    real = announced(chain)
    assert real.number is not None
    assert drill.number != real.number


def test_a_firm_of_one_person_is_told_who_decides_instead(chain: Chain, client: Client) -> None:
    world = chain.world
    campaign = assessed(chain)
    page = reverse("recalls:campaign", args=[campaign.uid])
    words = "由主管部门的审批人办理"
    sign_in(client, world.walnuts_quality)
    assert words not in client.get(page).content.decode()
    Membership.objects.filter(organisation=world.walnuts.organisation).exclude(user=world.walnuts.user).update(
        ended_at=timezone.now()
    )
    reassess(by=world.walnuts, campaign=campaign, finding=FINDING)
    sign_in(client, world.walnuts)
    assert words in client.get(page).content.decode()
