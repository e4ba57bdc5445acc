"""What came to be after a scope was frozen: goods that reached the trader, claims, slips that waited."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labels.recall_state import standing_of
from recalls.actions import campaigns, scopes
from recalls.actions.assessment import Standing, assess
from recalls.actions.campaigns import decide, propose, start_campaign
from recalls.actions.distribution import Buyer, tell_buyers
from recalls.actions.outbox import send_due
from recalls.actions.scopes import expand_scope, freeze_scope, narrow_scope
from recalls.actions.tree import Customer, pass_on
from recalls.figures import figures
from recalls.models import Campaign, Notice, NoticeLot, OutboxMessage
from recalls.notice_states import NoticeStatus
from recalls.scope import Question, drift, lot_ids_of
from tests.goods import amount, day, receive, ship
from tests.recalls.story import FINDING, KNEW, Chain, started
from tests.recalls.test_crossing import Two
from tests.recalls.test_through import MILLION, Coded, by_the_trader, version_of
from tests.trace.test_packs import Hall
from tests.world import World, make_actor, sign_in
from trace import ledger
from trace.actions.events import Portion
from trace.actions.joins import claim_lot
from trace.actions.transfers import take_back
from trace.errors import DomainError, GuardBroken
from trace.guards import blocking
from trace.models import HoldSet, Organisation

HOUR = datetime.timedelta(hours=1)


def test_coded_goods_that_reach_the_trader_after_the_freezing_are_stopped_there(world: World) -> None:
    sold = Coded(Hall(world, world.distillery))
    hall, lot, trader = sold.hall, sold.lot, world.distributor
    quality = make_actor(trader.organisation, "quality")
    campaign = by_the_trader(trader, quality, lot)
    assert version_of(campaign).lots.get().ranges == [[1, 6]]
    fourth = sold.cartons[3]
    hall.receive(hall.ship(fourth), fourth)
    with pytest.raises(GuardBroken):
        hall.ship(fourth, to=world.cooperative, by=trader)
    assert blocking([lot], holder=world.cooperative.organisation) == {}, "its own goods came from the maker"
    shop = blocking([lot], holder=world.shop.organisation)[lot.pk]
    assert {(one.unit_from, one.unit_to) for one in shop} == {(1, 6)}, "other bottles of the shop may still be sold"
    bottle = lot.units.get(level="item", number=10)
    assert standing_of(lot, bottle).recalled
    assert drift(version_of(campaign)).wider
    expand_scope(by=quality, campaign=campaign, question=None, reason="示例：又收到一箱")
    assert version_of(campaign).lots.get().ranges == [[1, 6], [10, 12]]


def test_more_goods_and_another_supplier_make_the_traders_part_wider(chain: Chain) -> None:
    world, lot, trader = chain.world, chain.pouch_a, chain.world.distributor
    quality = make_actor(trader.organisation, "quality")
    receive(world.cooperative, ship(world.walnuts, world.cooperative.organisation, lot, "2", when=day(6)), when=day(6))
    campaign = by_the_trader(trader, quality, lot)
    assert not drift(version_of(campaign))
    with pytest.raises(DomainError) as refused:
        expand_scope(by=quality, campaign=campaign, question=None, reason="示例：没有变化")
    assert refused.value.code == "scope_unchanged"
    # More of it from who supplied it before: the same places, a larger part.
    receive(trader, ship(world.walnuts, trader.organisation, lot, "3", when=day(40)), when=day(40))
    assert drift(version_of(campaign)).wider
    expand_scope(by=quality, campaign=campaign, question=None, reason="示例：又收到 3 公斤")
    assert figures(campaign).totals["KGM"].made == 33 * MILLION
    # Some of it from somebody new: what that one takes back must be kept apart.
    other = world.cooperative.organisation
    receive(trader, ship(world.cooperative, trader.organisation, lot, "1", when=day(41)), when=day(41))
    change = drift(version_of(campaign))
    assert change.wider
    assert not change.new_pairs
    expand_scope(by=quality, campaign=campaign, question=None, reason="示例：另一家供货")
    assert str(other.uid) in version_of(campaign).lots.get().part["loose"]
    assert figures(campaign).totals["KGM"].made == 34 * MILLION
    assert blocking([lot], holder=other) == {}
    back = [Portion(lot=lot, amount=amount("1", lot.product))]
    take_back(by=world.cooperative, source=trader.organisation, portions=back, when=day(42))
    with pytest.raises(GuardBroken):
        ship(world.cooperative, world.shop.organisation, lot, "2", when=day(43))


def test_a_claim_between_freezing_and_start_is_in_although_no_event_was_recorded(chain: Chain, world: World) -> None:
    two, now = Two(world), timezone.now()
    quality = world.walnuts_quality
    campaign = assess(
        by=quality, organisation=world.walnuts.organisation, track="food", title="示例", knew_at=KNEW, finding=FINDING
    )
    freeze_scope(by=quality, campaign=campaign, question=Question.of([two.lot]), at=now + HOUR)
    campaign = decide(by=world.walnuts, campaign=campaign)
    assert two.external.pk not in lot_ids_of(version_of(campaign))
    claim_lot(by=world.distillery, external=two.external, code=two.lot.lot_code, at=now + 2 * HOUR)
    start_campaign(by=quality, campaign=campaign, stop_order=True, at=now + 3 * HOUR)
    assert two.external.pk in lot_ids_of(version_of(campaign))
    assert blocking([two.external])


def test_a_holder_is_told_again_of_a_lot_that_was_out_of_the_scope_for_a_while(chain: Chain, client: Client) -> None:
    world = chain.world
    trader, shop = world.distributor.organisation, world.shop.organisation
    receive(world.distributor, ship(world.walnuts, trader, chain.pouch_b, "3", when=day(6)), when=day(6))
    ship(world.walnuts, shop, chain.pouch_b, "2", when=day(6))
    campaign = started(chain, same_run=True)
    assert set(_told(campaign, trader)) == {(chain.pouch_a.pk, 1), (chain.pouch_b.pk, 1)}
    # In no record: who is on an uploaded list, one of them settled before, and whom one of these told in its turn.
    names = ("示例名单一店", "示例名单二店")
    listed = [Buyer(name, chain.pouch_b, MILLION, "", f"{at}@example.com", "示例路") for at, name in enumerate(names)]
    one, two = tell_buyers(by=world.walnuts, campaign=campaign, buyers=listed)
    (child,) = pass_on(by=world.walnuts, notice=one, customers=[Customer("示例三店", "", "3@example.com")])
    Notice.objects.filter(pk=two.pk).update(status=NoticeStatus.SETTLED)
    narrower = Question.of([chain.pouch_a], same_run=False)
    propose(by=world.walnuts_quality, campaign=campaign, action="narrow_scope", reason="B 检验合格", question=narrower)
    narrow_scope(by=world.walnuts, campaign=campaign, question=narrower, reason="B 检验合格", evidence="报告 2")
    expand_scope(by=world.walnuts, campaign=campaign, question=Question.of([chain.pouch_a]), reason="B 复检不合格")
    assert blocking([chain.pouch_b])
    outside = [one, two, child]
    assert [Notice.objects.get(pk=each.pk).status for each in outside] == ["withdrawn", "settled", "withdrawn"]
    again = [campaign.notices.get(organisation=each.organisation, scope__number=3) for each in outside]
    assert [(each.parent_id, each.tier, each.carrier_id) for each in again] == [
        (each.parent_id, each.tier, each.carrier_id) for each in outside
    ]
    assert all(each.is_open and list(each.lots.values_list("lot", flat=True)) == [chain.pouch_b.pk] for each in again)
    sign_in(client, world.walnuts)
    body = client.get(f"/recall/notices/{one.uid}/").content.decode()
    assert "已另发通知" in body
    assert "您不需要再为它们做什么" not in body
    assert "不再在这次召回之内" not in client.get("/recall/notices/").content.decode()
    for holder in (trader, shop):
        assert (chain.pouch_b.pk, 3) in _told(campaign, holder), "it was told that this lot is out"
        assert _told(campaign, holder).count((chain.pouch_a.pk, 1)) == len(_told(campaign, holder)) - 2
    assert OutboxMessage.objects.filter(notice__scope__number=3, kind="notice", channel="in_app").count() == 2
    assert OutboxMessage.objects.filter(notice__in=again, kind="notice", channel="email").count() == 3
    assert figures(campaign).inconsistent == []
    expand_scope(
        by=world.walnuts, campaign=campaign, question=Question.of([chain.pouch_a, chain.mother]), reason="示例：还有"
    )
    for holder in (trader, one.organisation):
        assert (chain.pouch_b.pk, 4) not in _told(campaign, holder), "once is enough"


def _told(campaign: Campaign, holder: Organisation) -> list[tuple[int, int]]:
    """The lots a holder was told of, each with the version."""
    rows = NoticeLot.objects.filter(notice__campaign=campaign, notice__organisation=holder)
    return list(rows.values_list("lot", "notice__scope__number"))


def test_times_of_events_and_holds_are_taken_under_the_log(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    world, taken = chain.world, list[datetime.datetime]()
    quality = world.walnuts_quality

    def noting(head: Any) -> Any:
        def take() -> Any:
            found = head()
            taken.append(timezone.now())
            return found

        return take

    monkeypatch.setattr(ledger, "take_log_head", noting(ledger.take_log_head))
    slip = ship(world.walnuts, world.cooperative.organisation, chain.pouch_a, "1", when=day(6))
    assert slip.event.recorded_at >= taken[-1]
    for module in (campaigns, scopes):
        monkeypatch.setattr(module, "lock_log_head", noting(module.lock_log_head))
    campaign = assess(
        by=quality, organisation=world.walnuts.organisation, track="food", title="示例", knew_at=KNEW, finding=FINDING
    )
    freeze_scope(by=quality, campaign=campaign, question=Question.of([chain.pouch_a]))
    assert version_of(campaign).calculated_at >= taken[-1]
    campaign = decide(by=world.walnuts, campaign=campaign)
    start_campaign(by=quality, campaign=campaign, stop_order=True)
    active = HoldSet.objects.get(source=campaign.hold_source, ended_at=None).active_from
    assert active is not None
    assert active >= taken[-1]


def test_a_rehearsal_of_a_traders_recall_stops_and_tells_nobody(chain: Chain, client: Client) -> None:
    world, lot, trader = chain.world, chain.pouch_a, chain.world.distributor
    quality = make_actor(trader.organisation, "quality")
    campaign: Campaign = assess(
        by=quality,
        organisation=trader.organisation,
        track="food",
        title="示例演练：仓库进水",
        knew_at=KNEW,
        finding=FINDING,
        standing=Standing("trader", "own_fault"),
        is_drill=True,
    )
    freeze_scope(by=quality, campaign=campaign, question=Question.of([lot], through=trader.organisation))
    campaign = start_campaign(by=quality, campaign=decide(by=trader, campaign=campaign), stop_order=True)
    assert campaign.notices.count() == 2
    assert not OutboxMessage.objects.exists()
    send_due()
    assert mail.outbox == []
    assert all(blocking([lot], holder=one.organisation) == {} for one in (trader, world.shop, world.walnuts))
    assert blocking([lot]) == {}
    assert not standing_of(lot, None).maybe
    receive(trader, ship(world.walnuts, trader.organisation, lot, "3", when=day(40)), when=day(40))
    expand_scope(by=quality, campaign=campaign, question=None, reason="示例：又收到 3 公斤")
    assert blocking([lot]) == {}
    assert figures(campaign).totals["KGM"].made == 33 * MILLION
    sign_in(client, quality)
    page = client.get(reverse("recalls:campaign_figures", args=[campaign.uid])).content.decode()
    assert "经手" in page
    assert ">生产<" not in page
    client.logout()
    sign_in(client, world.walnuts)
    assert "正在召回经过它" not in client.get(reverse("desk:lot_detail", args=[lot.uid])).content.decode()
