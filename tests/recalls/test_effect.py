"""Effectiveness checks by independent people, the figures computed in one place, and the live board."""

from __future__ import annotations

import datetime
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from recalls.actions.acts import issue_act
from recalls.actions.answers import acknowledge, answer_stock
from recalls.actions.campaigns import report_progress
from recalls.actions.checks import draw_check, record_check
from recalls.actions.goods import GoodsLine, receive_return
from recalls.actions.notices import note_trouble
from recalls.actions.scopes import expand_scope
from recalls.balance import balances
from recalls.effect import effect
from recalls.figures import figures
from recalls.law.checking import LEVELS, check_level, draw, sample_size
from recalls.models import Campaign, CheckResult, ConsumerCase, Notice
from recalls.papers.draft import Draft, effect_fields
from recalls.scope import Question
from tests.goods import amount, day, sampled, ship
from tests.recalls.story import Chain, announced, answer, decided, notice_to, started
from tests.world import World, make_actor, make_organisation, sign_in
from trace.actor import Actor
from trace.errors import DomainError
from trace.models import Membership, Organisation
from trace.units import MICROS


@pytest.fixture
def auditor(world: World) -> Actor:
    """Somebody at the maker who had nothing to do with the recall."""
    return make_actor(world.walnuts.organisation, Membership.Role.QUALITY)


def refused(code: str, **what: object) -> None:
    """Fail unless drawing is refused with this code."""
    with pytest.raises(DomainError) as error:
        draw_check(**what)  # type: ignore[arg-type]
    assert error.value.code == code


@pytest.mark.once
def test_sizes_are_data_with_their_source_and_the_seed_draws_the_same_again() -> None:
    assert [(one.key, one.percent, one.source, one.verified) for one in LEVELS] == [
        (key, size, "21 CFR 7.42(b)(3)", True) for key, size in zip("ABCDE", (100, None, 10, 2, 0), strict=True)
    ]
    assert check_level("F") is None
    assert [sample_size(n, 10) for n in (0, 1, 10, 11, 101)] == [0, 1, 1, 2, 11]
    names = [f"holder {n}" for n in range(200)]
    drawn = draw(names, 20, "示例种子")
    assert draw(list(reversed(names)), 20, "示例种子") == drawn
    assert draw(names, 20, "另一种子") != drawn
    assert draw(names, 30, "示例种子")[:20] == drawn, "a larger sample keeps the smaller one"


def test_only_who_neither_ran_nor_told_the_recall_checks_it(chain: Chain, auditor: Actor) -> None:
    world = chain.world
    campaign = started(chain)
    for by in (world.walnuts, world.walnuts_quality):
        refused("independent_checker_required", by=by, campaign=campaign, level="A")
    teller = make_actor(world.walnuts.organisation, Membership.Role.QUALITY)
    note_trouble(by=teller, notice=notice_to(campaign, chain.outsider), action="give_up", reason="示例：电话无人接听")
    refused("independent_checker_required", by=teller, campaign=campaign, level="A")
    refused("level_unknown", by=auditor, campaign=campaign, level="Z")
    refused("percent_required", by=auditor, campaign=campaign, level="B")
    refused("percent_required", by=auditor, campaign=campaign, level="B", percent=100)
    with pytest.raises(DomainError):
        draw_check(by=world.shop, campaign=campaign, level="A")
    with pytest.raises(DomainError):
        draw_check(by=world.other_county, campaign=campaign, level="A")
    first = draw_check(by=auditor, campaign=campaign, level="B", percent=40, seed="示例 2026-11-28")
    assert (first.population, first.size, first.rule["source"]) == (4, 2, "21 CFR 7.42(b)(3)")
    names = sorted(str(one.uid) for one in campaign.notices.all())
    assert [str(one.notice.uid) for one in first.samples.all()] == draw(names, 2, "示例 2026-11-28")
    second = draw_check(by=world.county, campaign=campaign, level="A")
    one, other, *_rest = second.samples.all()
    record_check(by=world.county, sample=one, method="visit", outcome="on_sale", words="示例：货架上还有")
    record_check(by=world.county, sample=one, method="visit", outcome="effective")
    record_check(by=world.county, sample=other, method="phone", outcome="not_informed")
    with pytest.raises(DomainError) as error:
        record_check(
            by=world.county,
            sample=other,
            method="phone",
            outcome="effective",
            checked_at=datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC),
        )
    assert error.value.code == "in_future"
    found = effect(campaign).checks
    assert (found.rounds, found.sampled, found.checked, found.passed) == (2, 4, 2, 500)
    assert found.outcomes == {"effective": 1, "not_informed": 1}
    assert CheckResult.objects.count() == 3, "what was found first stays on record"


def test_a_holder_with_two_notices_is_asked_once(chain: Chain, auditor: Actor) -> None:
    world = chain.world
    ship(world.walnuts, world.shop.organisation, chain.pouch_b, "2", when=day(6))
    campaign = started(chain)
    wide = Question.of([chain.pouch_a, chain.pouch_b], same_run=False)
    expand_scope(by=world.walnuts_quality, campaign=campaign, question=wide, reason="示例：同一次加工")
    assert campaign.notices.count() == 5
    drawn = draw_check(by=auditor, campaign=campaign, level="A")
    assert (drawn.population, drawn.size) == (4, 4)
    asked = drawn.samples.get(notice__organisation=world.shop.organisation).notice
    assert asked.scope.number == 2


def test_what_was_sampled_or_lost_was_not_sold(chain: Chain, client: Client) -> None:
    by, lot = chain.world.walnuts, chain.pouch_a
    sampled(by, lot, "2", when=day(6))
    campaign = started(chain)
    found = figures(campaign).totals["KGM"]
    assert (found.sold, found.samples, found.loss) == (0, 2 * MICROS, 0)
    assert [row.balanced for row in balances(figures(campaign))] == [True]
    sign_in(client, by)
    board = client.get(f"/recall/campaigns/{campaign.uid}/board/").content.decode()
    tiles = re.sub(r"<[^>]*>|\s", "", board)
    assert "已售出未收回0千克抽样2千克" in tiles


def test_that_nobody_is_asked_is_written_down_as_level_e(chain: Chain, auditor: Actor, client: Client) -> None:
    refused("no_such_step", by=auditor, campaign=decided(chain), level="E")
    campaign = started(chain)
    sign_in(client, auditor)
    page = f"/recall/campaigns/{campaign.uid}/checks/"
    assert client.post(page, {"level": "E"}).status_code == 302
    none = campaign.check_rounds.get()
    assert (none.level, none.percent, none.population, none.size, none.seed) == ("E", 0, 4, 0, "")
    body = client.get(page).content.decode()
    assert "不核查（共 4 个单位）" in body
    found = effect(campaign)
    draft = Draft("示例", "", "")
    effect_fields(draft, found)
    assert "E 级：不核查" in str(draft.as_data())
    draw_check(by=auditor, campaign=campaign, level="A")
    draft = Draft("示例", "", "")
    effect_fields(draft, effect(campaign))
    assert "抽取 4 家" in str(draft.as_data())


def test_who_served_a_document_of_the_authority_may_check(chain: Chain) -> None:
    campaign = started(chain)
    issue_act(
        by=chain.world.county,
        campaign=campaign,
        kind="inspection",
        number="示例检〔2026〕1号",
        served_at=timezone.now(),
        content="示例：现场查看封存",
    )
    assert draw_check(by=chain.world.county, campaign=campaign, level="A").size == 4


def test_what_a_seller_paid_for_and_sent_back_counts_once(chain: Chain) -> None:
    world = chain.world
    campaign = announced(chain)
    told = notice_to(campaign, world.distributor.organisation)
    # Of its 16 kg the distributor has 15 back from buyers it paid; one went to a consumer, whose goods were replaced.
    answer_stock(by=world.distributor, notice=told, lots=[answer(chain.pouch_a, 15, 15, sold=1)])
    for holder, kilograms in ((world.shop.organisation, 10), (chain.outsider, 5), (chain.far_outsider, 4)):
        kept = [answer(chain.pouch_a, kilograms, kilograms)]
        answer_stock(by=world.walnuts, notice=notice_to(campaign, holder), lots=kept)
    line = [GoodsLine(chain.pouch_a, amount("15", world.kernels))]
    receive_return(
        by=world.walnuts, campaign=campaign, organisation=world.distributor.organisation, lines=line, when=day(40)
    )
    for number, pieces in enumerate((75, 5)):
        ConsumerCase.objects.create(
            number=f"T20261129-{number}",
            nonce=str(number),
            kind="claim",
            what="recall",
            campaign=campaign,
            lot=chain.pouch_a,
            status="settled",
            pieces=pieces,
            received_at=timezone.now(),
            due_at=timezone.now(),
        )
    assert effect(campaign).goods["KGM"].returned == (15 + 1) * 1000 // 40, "16 kg were paid for, one is still out"


def test_the_figures_are_the_same_on_the_page_in_the_report_and_in_the_api(chain: Chain, client: Client) -> None:
    world = chain.world
    campaign = announced(chain)
    nobody = effect(campaign)
    goods = nobody.goods["KGM"]
    assert (nobody.holders, nobody.acknowledged_rate, nobody.median_acknowledge_seconds) == (4, 0, None)
    assert (goods.planned_micros, goods.sold_micros, goods.recall_of_planned, goods.unknown) == (
        40_000_000,
        35_000_000,
        0,
        875,
    )
    notice = notice_to(campaign, world.distributor.organisation)
    acknowledge(by=world.distributor, notice=notice)
    answer_stock(by=world.distributor, notice=notice, lots=[answer(chain.pouch_a, 16, 16)])
    line = [GoodsLine(chain.pouch_a, amount("8", world.kernels))]
    campaign.refresh_from_db()
    receive_return(
        by=world.walnuts, campaign=campaign, organisation=world.distributor.organisation, lines=line, when=day(40)
    )
    campaign.refresh_from_db()
    found = effect(campaign)
    goods = found.goods["KGM"]
    assert (goods.recall_of_planned, goods.recall_of_sold, goods.returned) == (200, 228, 200)
    # 5 at home, 8 back, 8 still sealed at the distributor; the shop's 10, the outsiders' 5 and 4: nobody has said.
    assert (goods.accounted, goods.unknown) == (525, 475)
    assert (found.acknowledged_rate, found.answered_rate) == (250, 250)
    assert found.trace_seconds is not None
    assert found.block_seconds == found.start_seconds
    kept = report_progress(by=world.walnuts_quality, campaign=campaign, text="示例进展")
    assert kept.data["effect"]["goods"]["KGM"]["recall_of_sold"] == 228
    sign_in(client, world.walnuts)
    page = client.get(f"/recall/campaigns/{campaign.uid}/figures/").content.decode()
    board = client.get(f"/recall/campaigns/{campaign.uid}/board/").content.decode()
    for words in ("22.8%", "20.0%", "52.5%", "47.5%", "25.0%"):
        assert words in page, words
        assert words in board, words
    body = client.get(f"/api/v1/campaigns/{campaign.uid}/figures").json()["effect"]
    assert (body["goods"]["KGM"]["recall_of_sold"], body["acknowledged_rate"]) == (228, 250)


def _many_holders(campaign: Campaign, count: int) -> None:
    """More holders with a notice of their own."""
    version = campaign.scopes.get()
    lot = version.lots.get().lot
    for number in range(count):
        holder = make_organisation(f"示例小店 {number}.", Organisation.Kind.RETAILER, kept_by=campaign.organisation)
        notice = Notice.objects.create(campaign=campaign, scope=version, organisation=holder)
        notice.lots.create(lot=lot)


def test_the_board_asks_no_more_for_many_holders_pages_and_stands_still_when_asked(
    chain: Chain, client: Client, auditor: Actor
) -> None:
    campaign = announced(chain)
    address = f"/recall/campaigns/{campaign.uid}/board/"
    sign_in(client, chain.world.walnuts)
    client.get(address)
    with CaptureQueriesContext(
        connection,
    ) as few:
        first = client.get(address).content.decode()
    _many_holders(campaign, 60)
    with CaptureQueriesContext(connection) as many:
        second = client.get(address).content.decode()
    assert len(many) <= len(few) + 2, "a second page is counted, nothing more"
    assert 'http-equiv="refresh"' in first
    assert "示例小店 1." in second
    assert "示例小店 59." not in second
    assert "示例小店 59." in client.get(address + "?page=2").content.decode()
    assert 'http-equiv="refresh"' not in client.get(address + "?still=1").content.decode()
    assert "示例小店 1." not in client.get(address + "?which=late").content.decode()
    for hostile in (
        "?which=%00&region=%00",
        "?page=99999999999999999999",
        "?region=１４１１８２",
        "?which=" + "x" * 4000,
    ):
        assert client.get(address + hostile).status_code == 200
    checks = f"/recall/campaigns/{campaign.uid}/checks/"
    assert client.post(checks, {"level": "A"}).status_code == 403
    client.logout()
    sign_in(client, auditor)
    assert client.post(checks, {"level": "B"}).status_code == 422
    assert client.post(checks, {"level": "C", "seed": "示例"}).status_code == 302
    drawn = campaign.check_rounds.get()
    assert (drawn.population, drawn.size) == (64, 7)
    one = checks + "1-1/"
    assert client.post(one, {"method": "phone"}).status_code == 422
    done = {"method": "phone", "outcome": "effective", "checked_at": "2026-11-20T10:00", "words": "示例"}
    assert client.post(one, done).status_code == 302
    assert "收到通知并已照办" in client.get(checks).content.decode()
    for missing in ("1-99/", "x-1/", "9" * 30 + "-1/", "1/"):
        assert client.get(checks + missing).status_code == 404
    client.logout()
    sign_in(client, chain.world.shop)
    assert [client.get(path).status_code for path in (address, checks, one)] == [404] * 3
    client.logout()
    assert client.get(address).status_code == 302
