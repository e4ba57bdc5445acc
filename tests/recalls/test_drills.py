"""Drills: both ways against the clock, drawn by a seed, readiness that fades, and a wall that keeps drills in."""

import datetime
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from recalls.access import notice_link
from recalls.actions.drills import (
    add_gap,
    ask_contacts,
    confirm_contact,
    contact_link,
    finish_drill,
    finish_gap,
    pick,
    pool_of,
    send_contact_tests,
    start_drill,
    trace_drill,
)
from recalls.actions.notices import Kind, enqueue
from recalls.actions.outbox import send_due
from recalls.actions.papers import make_paper
from recalls.affected import affected_by
from recalls.models import Campaign, ContactTest, Drill, OutboxMessage, Publication, PublicNotice
from recalls.queries import public_recall_for, published
from recalls.readiness import readiness
from tests.goods import amount, day
from tests.recalls.story import Chain, decided, started
from tests.world import sign_in
from trace.actions.events import Portion
from trace.actions.transfers import take_back
from trace.errors import DomainError
from trace.personal import seal
from trace.units import MICROS


def refusal(run: Any, *args: Any, **kwargs: Any) -> str:
    """The code with which an action refuses."""
    with pytest.raises(DomainError) as refused:
        run(*args, **kwargs)
    return refused.value.code


def _done(chain: Chain) -> Drill:
    """A finished drill with all contacts answering."""
    by = chain.world.walnuts
    drill = start_drill(by=by, seed="1 2 3")
    trace_drill(by=by, drill=drill)
    for test in ask_contacts(by=by, drill=drill):
        confirm_contact(token=contact_link(test).rpartition("/")[2])
    return finish_drill(by=by, drill=drill, summary="示例小结")


def test_a_drill_traces_a_drawn_lot_both_ways_and_anybody_can_repeat_the_draw(chain: Chain) -> None:
    by = chain.world.walnuts
    assert refusal(start_drill, by=chain.world.lab) == "no_lot_to_draw"
    assert refusal(start_drill, by=chain.world.county) == "role_required"
    assert refusal(start_drill, by=by, lot=None, seed="\x00") == "text_nul"
    assert refusal(start_drill, by=chain.world.distributor, lot=chain.pouch_a) == "not_found"
    drill = start_drill(by=by, seed="1 2 3")
    assert refusal(start_drill, by=by) == "drill_running"
    assert pick(pool_of(by.organisation), drill.seed) == (drill.lot, drill.pool_sha256)
    assert refusal(finish_drill, by=by, drill=drill, summary="x") == "not_traced"
    back, forward = trace_drill(by=by, drill=drill)
    assert back.data["lots"] == 1
    assert forward.data["holders"] == 5
    assert forward.data["made"] == chain.pouch_a.made_micros
    assert forward.data["unreachable"] == 0
    assert refusal(trace_drill, by=chain.world.distillery, drill=drill) == "not_found"
    late = drill.started_at + datetime.timedelta(hours=4, seconds=1)
    finish_drill(by=by, drill=drill, summary="示例", at=late)
    assert (drill.minutes, drill.in_time) == (241, False)
    assert refusal(finish_drill, by=by, drill=drill, summary="x") == "drill_over"


def test_goods_given_back_without_a_confirmed_slip_make_nobodys_stock_less_than_nothing(chain: Chain) -> None:
    world, lot = chain.world, chain.pouch_a
    portions = [Portion(lot, amount("3", lot.product))]
    take_back(by=world.distributor, source=world.shop.organisation, portions=portions, when=day(8))
    drill = start_drill(by=world.walnuts, lot=lot)
    _back, forward = trace_drill(by=world.walnuts, drill=drill)
    assert (forward.data["on_hand"], forward.data["unconfirmed"]) == (24 * MICROS, 16 * MICROS)


def test_readiness_turns_yellow_and_red_by_itself(chain: Chain) -> None:
    firm = chain.world.walnuts.organisation

    def tone(days: int = 0) -> str:
        return readiness([firm], now=timezone.now() + datetime.timedelta(days=days))[0].tone

    assert tone() == "danger"
    drill = _done(chain)
    assert tone() == "good"
    assert (tone(269), tone(271), tone(366)) == ("good", "attention", "danger")
    due = timezone.localdate() + datetime.timedelta(days=3)
    gap = add_gap(
        by=chain.world.walnuts, drill=drill, gap="两家没有电话", action="补登记", responsible="销售", due_on=due
    )
    assert (tone(2), tone(5)) == ("good", "attention")
    finish_gap(by=chain.world.walnuts, gap=gap, words="已补")
    assert tone(5) == "good"
    assert refusal(finish_gap, by=chain.world.walnuts, gap=gap, words="x") == "stale_state"
    ContactTest.objects.update(confirmed_at=None)
    assert tone() == "attention"


def test_a_contact_test_says_drill_everywhere_and_is_sent_once(chain: Chain, client: Client) -> None:
    tests = ask_contacts(by=chain.world.walnuts)
    assert len(tests) == 2
    assert ask_contacts(by=chain.world.walnuts) == []
    assert send_contact_tests() == 1
    assert send_contact_tests() == 0
    (message,) = mail.outbox
    assert "【演练】" in message.subject
    assert message.body.startswith("【演练】")
    assert "不是召回" in message.body
    assert OutboxMessage.objects.count() == 0
    test = ContactTest.objects.get(sent_at__isnull=False)
    url = contact_link(test).removeprefix("http://127.0.0.1:8000")
    url = url[url.index("/recalls/") :]
    assert "演练" in client.get(url).content.decode()
    test.refresh_from_db()
    assert test.confirmed_at is None
    assert client.post(url).status_code == 302
    assert client.post(url).status_code == 302
    test = ContactTest.objects.get(pk=test.pk)
    assert test.confirmed_at is not None
    assert client.get(url[:-1] + "x").status_code == 404


def test_no_attacker_gets_a_drill_into_the_world(chain: Chain, client: Client) -> None:
    campaign = started(chain, is_drill=True)
    notice = campaign.notices.get(organisation=chain.outsider)
    by = chain.world.walnuts
    # Rows forced past every action.
    person = seal("{}", organisation=campaign.organisation, purpose="announcement")
    draft = PublicNotice.objects.create(
        campaign=campaign,
        number=1,
        scope=campaign.scopes.get(),
        producer="示例",
        address="示例",
        people=person,
        phone="1",
        reason="示例",
        risk="示例",
        begins_on=timezone.localdate(),
        area="示例",
        duties="示例",
        what_to_do="示例",
        compensation="示例",
        by_organisation=by.organisation,
    )
    assert by.user is not None
    Publication.objects.create(notice=draft, channel="x", by=by.user, by_organisation=by.organisation)
    Campaign.objects.filter(pk=campaign.pk).update(status="in_progress")
    assert refusal(enqueue, [notice], kind=Kind.NOTICE, by=by, at=timezone.now()) == "drill_stays_inside"
    assert not published().exists()
    assert public_recall_for([campaign.hold_source]) == []
    assert affected_by(chain.pouch_a.code, chain.outsider.name) == []
    title = campaign.title
    for url in (
        "/recalls",
        f"/recalls?q={title}",
        "/recalls/feed.atom",
        f"/recalls/{campaign.uid}",
        f"/recalls/{campaign.number}",
        "/sitemap.xml",
        "/api/v1/public/recalls",
        f"/recalls/affected?lot={chain.pouch_a.code}",
        f"/recalls/notice/{notice_link(notice)}",
        f"/recalls/notice/{notice_link(notice)}/customers",
        f"/recalls/notice/{notice_link(notice)}/back",
        f"/c/{chain.pouch_a.public_code}",
    ):
        for _again in range(2):  # the second answer could come from a cache
            answer = client.get(url, follow=True)
            body = answer.getvalue().decode() if answer.streaming else answer.content.decode()
            assert title not in body.replace(f'value="{title}"', ""), url
    message = OutboxMessage.objects.create(notice=notice, channel="email", address="outsider@example.org")
    with pytest.raises(DomainError):
        send_due()
    message.refresh_from_db()
    assert message.sent_at is None
    assert mail.outbox == []


def test_a_started_drill_says_that_nothing_was_held_or_sent(chain: Chain, client: Client) -> None:
    campaign = decided(chain, is_drill=True)
    sign_in(client, chain.world.walnuts)
    at = f"/recall/campaigns/{campaign.uid}"
    assert "不封存批次" in client.get(f"{at}/do/start/").content.decode()
    done = client.post(f"{at}/do/start/", {"revision": campaign.revision, "stop_order": "on"}, follow=True)
    body = done.content.decode()
    assert "没有封存任何货物" in body
    assert "显示已召回" not in body
    paper = make_paper(by=chain.world.walnuts, campaign=campaign, kind="stop")
    assert "没有停止生产经营" in str(paper.data)


def test_pages_of_drills(chain: Chain, client: Client) -> None:
    sign_in(client, chain.world.walnuts)
    assert "召回准备不足" in client.get("/recall/drills/").content.decode()
    assert client.post("/recall/drills/", {"lot": "不存在", "seed": ""}).status_code == 422
    begun = client.post("/recall/drills/", {"lot": chain.pouch_a.code, "seed": ""})
    assert begun.status_code == 302
    url = begun["Location"]
    assert client.post(url, {"do": "end", "summary": "早"}).status_code == 422
    for form in ({"do": "trace"}, {"do": "contacts"}):
        assert client.post(url, form).status_code == 302
    gap = {"do": "gap", "gap": "甲", "action": "乙", "responsible": "丙", "due_on": "2026-12-31"}
    assert client.post(url, gap).status_code == 302
    assert client.post(url, gap | {"due_on": "x"}).status_code == 422
    assert client.post(url, {"do": "end", "summary": "好"}).status_code == 302
    body = client.get(url).content.decode()
    assert "演练" in body
    assert "时限内" in body
    sign_in(client, chain.world.county)
    assert chain.world.walnuts.organisation.name in client.get("/recall/drills/").content.decode()
    assert client.get(url).status_code == 200
    assert client.post(url, {"do": "trace"}).status_code == 403
    sign_in(client, chain.world.other_county)
    assert client.get(url).status_code == 404
