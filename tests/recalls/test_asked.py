"""A lot leaves the scope and comes back, or a part of it is left: one notice asks each holder about each lot, once."""

from __future__ import annotations

import json
from operator import attrgetter

import pytest
from django.core import mail
from django.test import Client

from recalls.access import notice_link
from recalls.actions import packs
from recalls.actions.answers import answer_stock, answer_stock_by_link
from recalls.actions.campaigns import propose
from recalls.actions.distribution import Buyer, tell_buyers
from recalls.actions.goods import GoodsLine, destroy, receive_return
from recalls.actions.outbox import send_due
from recalls.actions.scopes import expand_scope, narrow_scope
from recalls.actions.tree import Customer, pass_on
from recalls.asked import asked_pairs, still_asked, with_standing
from recalls.figures import figures
from recalls.gs1 import closeout_notification, recall_notification, removal_confirmation
from recalls.letters import letter_lots
from recalls.models import Campaign, Notice, NoticeLot, NoticeRun, OutboxMessage
from recalls.notice_states import NoticeStatus
from recalls.scope import Question
from tests.goods import amount, day, receive, ship
from tests.recalls.story import Chain, answer, notice_to, started
from tests.recalls.test_parts import PROOF, Sold, hall, sold  # noqa: F401  (fixtures)
from tests.recalls.test_through import MILLION
from tests.world import sign_in
from trace.errors import DomainError
from trace.models import Lot, Organisation


def _both(chain: Chain) -> Campaign:
    """Two lots recalled; the distributor has some of each."""
    world = chain.world
    trader = world.distributor.organisation
    receive(world.distributor, ship(world.walnuts, trader, chain.pouch_b, "3", when=day(6)), when=day(6))
    return started(chain, same_run=True)


def _without_b(chain: Chain, campaign: Campaign) -> None:
    question = Question.of([chain.pouch_a], same_run=False)
    by = chain.world.walnuts_quality
    propose(by=by, campaign=campaign, action="narrow_scope", reason="B 合格", question=question)
    narrow_scope(by=chain.world.walnuts, campaign=campaign, question=question, reason="B 合格", evidence="示例报告 2")


def _with_b(chain: Chain, campaign: Campaign) -> None:
    question = Question.of([chain.pouch_a])
    expand_scope(by=chain.world.walnuts_quality, campaign=campaign, question=question, reason="B 复检不合格")


def _asking(campaign: Campaign, holder: Organisation, lot: Lot) -> list[Notice]:
    """The notices that ask a holder about a lot now."""
    rows = still_asked(NoticeLot.objects.filter(notice__campaign=campaign, notice__organisation=holder, lot=lot))
    return [row.notice for row in rows.exclude(notice__status=NoticeStatus.WITHDRAWN)]


def _b_amounts(campaign: Campaign, chain: Chain) -> tuple[int, int]:
    """What of the second lot holders said they have, and what nobody knows."""
    found = next(one.amounts for one in figures(campaign).lots if one.lot == chain.pouch_b)
    return found.held, found.unknown


def test_a_lot_that_comes_back_is_asked_about_once_and_the_old_answer_counts_no_more(
    chain: Chain, client: Client
) -> None:
    campaign, by = _both(chain), chain.world.distributor
    first = notice_to(campaign, by.organisation)
    (child,) = pass_on(by=by, notice=first, customers=[Customer("示例下家", email="child@example.org")])
    (listed,) = tell_buyers(
        by=chain.world.walnuts,
        campaign=campaign,
        buyers=[
            Buyer("示例名单店", lot, MILLION, "", "list@example.org", "示例路")
            for lot in (chain.pouch_a, chain.pouch_b)
        ],
    )
    lots = [answer(chain.pouch_a, 16, 16), answer(chain.pouch_b, 3, 3)]
    answer_stock(by=by, notice=first, lots=lots)
    answer_stock_by_link(token=notice_link(child), name="示例", lots=[answer(one.lot, 0, 0) for one in lots])
    assert _b_amounts(campaign, chain)[0] == 3 * MILLION
    send_due()
    _without_b(chain, campaign)
    _with_b(chain, campaign)
    for told in (first, child, listed):
        (again,) = _asking(campaign, told.organisation, chain.pouch_b)
        assert again.scope.number == 3
        assert again.parent_id == told.parent_id
        assert [one.pk for one in _asking(campaign, told.organisation, chain.pouch_a)] == [told.pk]
        assert [one.code for one in letter_lots(told)] == [chain.pouch_a.code]
        changes = OutboxMessage.objects.filter(notice__organisation=told.organisation, kind="change")
        assert set(changes.values_list("round", flat=True)) == {2}, "it is told of the return by the new notice alone"
    # What was said before the goods were free says nothing of what is there now.
    assert _b_amounts(campaign, chain) == (0, 3 * MILLION)
    sign_in(client, by)
    body = client.get(f"/recall/notices/{first.uid}/").content.decode()
    asked, elsewhere = body.split("另有通知的批次")
    assert chain.pouch_b.code not in asked
    assert chain.pouch_b.code in elsewhere
    assert "不再召回的批次" not in body
    (again,) = _asking(campaign, by.organisation, chain.pouch_b)
    answer_stock(by=by, notice=again, lots=[answer(chain.pouch_b, 1, 1, 2)])
    assert _b_amounts(campaign, chain) == (MILLION, 0)
    lines = [json.loads(line) for line in packs._holders(campaign)]
    said = {one["notice"]: set(one["answers"]) for one in lines}
    assert said[str(first.uid)] == {str(chain.pouch_a.uid)}
    assert said[str(again.uid)] == {str(chain.pouch_b.uid)}
    mail.outbox.clear()
    send_due()
    (told_of_change,) = [one for one in mail.outbox if one.to == ["list@example.org"] and "范围变更" in one.subject]
    assert "另有通知" in told_of_change.body, "it was written before the lot came back and goes out after"
    # Of what another lot does a holder hears nothing more on the old notice.
    wide = Question.of([chain.pouch_a, chain.mother])
    expand_scope(by=chain.world.walnuts_quality, campaign=campaign, question=wide, reason="示例：原料")
    assert not OutboxMessage.objects.filter(kind="change", round=4, notice__organisation=by.organisation).exists()


def test_one_notice_is_asked_the_short_way_only_while_nothing_changed(chain: Chain) -> None:
    campaign = _both(chain)
    for change in (None, _without_b, _with_b):
        if change is not None:
            change(chain, campaign)
        for one in campaign.notices.all():
            short, long = set(still_asked(one.lots.all(), of=one)), set(still_asked(one.lots.all()))
            marked = {row.pk for row in with_standing(one.lots.all(), of=one) if attrgetter("still")(row)}
            assert short == long
            assert marked == {row.pk for row in long}
    first = campaign.notices.get(organisation=chain.world.distributor.organisation, scope__number=1)
    assert [row.lot for row in still_asked(first.lots.all(), of=first)] == [chain.pouch_a]


def test_what_was_settled_is_asked_again_only_where_more_goods_came(chain: Chain) -> None:
    world = chain.world
    campaign = _both(chain)
    first = notice_to(campaign, world.distributor.organisation)
    answer_stock(by=world.distributor, notice=first, lots=[answer(chain.pouch_a, 16, 16), answer(chain.pouch_b, 0, 0)])
    Notice.objects.filter(pk=first.pk).update(status=NoticeStatus.SETTLED)
    _without_b(chain, campaign)
    _with_b(chain, campaign)
    assert [one.pk for one in _asking(campaign, first.organisation, chain.pouch_b)] == [first.pk]
    assert campaign.notices.filter(organisation=first.organisation).count() == 1
    _without_b(chain, campaign)
    ship(world.walnuts, first.organisation, chain.pouch_b, "2", when=day(50))
    _with_b(chain, campaign)
    (again,) = _asking(campaign, first.organisation, chain.pouch_b)
    assert again.scope.number == 5
    assert again.is_open


def test_a_supplier_passes_on_a_further_lot_to_a_customer_told_before(chain: Chain) -> None:
    world = chain.world
    campaign, by = started(chain), world.distributor
    first = notice_to(campaign, by.organisation)
    customer = Customer("示例下家", email="child@example.org")
    (child,) = pass_on(by=by, notice=first, customers=[customer])
    receive(by, ship(world.walnuts, by.organisation, chain.pouch_b, "3", when=day(40)), when=day(40))
    _with_b(chain, campaign)
    second = campaign.notices.get(organisation=by.organisation, scope__number=2)
    assert pass_on(by=by, notice=first, customers=[customer]) == []
    (more,) = pass_on(by=by, notice=second, customers=[customer])
    assert asked_pairs(campaign, [child.organisation_id]) == {
        (child.organisation_id, lot.pk) for lot in (chain.pouch_a, chain.pouch_b)
    }
    assert (more.parent, more.scope.number) == (second, 2)
    assert pass_on(by=by, notice=second, customers=[customer]) == []
    # In the same version another lot goes onto the notice there is, and is told as well.
    Notice.objects.filter(pk=child.pk).update(status=NoticeStatus.WITHDRAWN)
    assert pass_on(by=by, notice=first, customers=[customer]) == [more]
    assert set(more.lots.values_list("lot", flat=True)) == {chain.pouch_a.pk, chain.pouch_b.pk}
    assert OutboxMessage.objects.filter(notice=more, kind="notice").count() == 2


def test_who_has_none_of_the_part_is_not_asked_about_its_lot(sold: Sold, client: Client) -> None:  # noqa: F811
    world = sold.world
    other = sold.hall.lot(6)
    trader = world.distributor
    cartons = sold.hall.cartons(other, each=3)
    sold.hall.receive(sold.hall.ship(*cartons), *cartons)
    part = sold.cartons_part(*sold.cartons[2:])
    whole = Question.of([sold.lot, other])
    campaign = sold.started()
    campaign = expand_scope(by=world.distillery_quality, campaign=campaign, question=whole, reason="示例：另一批")
    told = campaign.notices.get(organisation=trader.organisation, scope__number=1)
    second = campaign.notices.get(organisation=trader.organisation, scope__number=2)
    NoticeLot.objects.create(notice=second, lot=sold.lot)
    Notice.objects.filter(pk=told.pk).update(status=NoticeStatus.WITHDRAWN)
    assert {one.lot_id for one in still_asked(second.lots.all())} == {sold.lot.pk, other.pk}
    narrow = Question.of([sold.lot, other], parts=(part,))
    propose(by=world.distillery_quality, campaign=campaign, action="narrow_scope", reason="示例", question=narrow)
    narrow_scope(by=world.distillery, campaign=campaign, question=narrow, reason="示例", evidence=PROOF)
    assert [row.lot for row in still_asked(second.lots.all())] == [other]
    assert [one.code for one in letter_lots(second)] == [other.code]
    sign_in(client, trader)
    body = client.get(f"/recall/notices/{second.uid}/").content.decode()
    assert sold.lot.code in body.split("不再召回的批次")[1]
    second.refresh_from_db()
    answer_stock(by=trader, notice=second, lots=[answer(other, 3, 3)])
    second.refresh_from_db()
    assert second.answered_at is not None
    # All of the lot again: asked anew, beside what was answered.
    expand_scope(by=world.distillery_quality, campaign=campaign, question=whole, reason="示例：又一瓶")
    (again,) = _asking(campaign, trader.organisation, sold.lot)
    assert (again.scope.number, again.is_open) == (4, True)
    assert _asking(campaign, trader.organisation, other) == [second]


def test_who_has_answered_about_a_part_is_asked_about_more_and_hears_of_it_once(
    sold: Sold,  # noqa: F811
    client: Client,
) -> None:
    world = sold.world
    campaign = sold.started(sold.cartons_part(sold.cartons[0]))
    (notice,) = campaign.notices.all()
    answer_stock(by=world.distributor, notice=notice, lots=[answer(sold.lot, 1, 1)])
    expand_scope(by=world.distillery_quality, campaign=campaign, question=sold.question(), reason="示例：又一瓶")
    (again,) = _asking(campaign, world.distributor.organisation, sold.lot)
    assert again.scope.number == 2
    assert again.answered_at is None
    assert not OutboxMessage.objects.filter(notice=notice, kind="change").exists()
    # The old notice asks nothing any more: an empty answer to it says nothing.
    with pytest.raises(DomainError) as refused:
        answer_stock(by=world.distributor, notice=notice, lots=[])
    assert refused.value.code == "nothing_asked"
    sign_in(client, world.distributor)
    post = {"messageType": "productRemovalConfirmation", "noticeIdentification": str(notice.uid)}
    key = {"Idempotency-Key": "nothing-asked"}
    sent = client.post("/api/v1/gs1/messages", post, content_type="application/json", headers=key)
    assert (sent.status_code, sent.json()["code"]) == (409, "nothing_asked")


def test_a_late_run_of_notices_leaves_to_later_ones_what_was_out_meanwhile(chain: Chain) -> None:
    from recalls.actions import notices

    campaign = _both(chain)
    holder = chain.world.distributor.organisation
    first = notice_to(campaign, holder)
    _without_b(chain, campaign)
    _with_b(chain, campaign)
    NoticeRun.objects.create(
        campaign=campaign,
        scope=first.scope,
        by=chain.world.walnuts.user,
        by_organisation=campaign.organisation,
        total=1,
        created_at=first.created_at,
    )
    before = campaign.notices.count()
    while notices.run_next_notices():
        pass
    assert campaign.notices.count() == before
    assert len(_asking(campaign, holder, chain.pouch_b)) == 1


def test_the_messages_of_a_notice_name_the_version_it_is_about_now(chain: Chain) -> None:
    campaign, by = _both(chain), chain.world.distributor
    told = notice_to(campaign, by.organisation)
    answer_stock(by=by, notice=told, lots=[answer(chain.pouch_a, 16, 16), answer(chain.pouch_b, 3, 3)])
    _without_b(chain, campaign)
    told.refresh_from_db()
    confirmation = removal_confirmation(told)
    assert [item["batchNumber"] for item in confirmation["removedTradeItem"]] == [chain.pouch_a.code]
    names = [one["pRNIdentification"] for one in (recall_notification(told), confirmation, closeout_notification(told))]
    assert {one["entityIdentification"] for one in names} == {f"{campaign.uid}/2"}


def test_what_comes_back_or_is_destroyed_moves_the_notice_that_asked_about_it(chain: Chain) -> None:
    world, by = chain.world, chain.world.distributor
    campaign = _both(chain)
    first = notice_to(campaign, by.organisation)
    answer_stock(by=by, notice=first, lots=[answer(chain.pouch_a, 16, 16), answer(chain.pouch_b, 3, 3)])
    _without_b(chain, campaign)
    _with_b(chain, campaign)
    (second,) = _asking(campaign, by.organisation, chain.pouch_b)
    answer_stock(by=by, notice=second, lots=[answer(chain.pouch_b, 3, 3)])
    line = GoodsLine(chain.pouch_a, amount("16", world.kernels))
    (row,) = receive_return(
        by=world.walnuts, campaign=campaign, organisation=by.organisation, lines=[line], when=day(45)
    )
    for one in (first, second):
        one.refresh_from_db()
    assert row.notice == first
    assert (first.status, second.status) == (NoticeStatus.RETURNED, NoticeStatus.ISOLATED)
    line = GoodsLine(chain.pouch_b, amount("3", world.kernels))
    how = {"method": "destroy", "place": "示例", "witness": world.county.organisation}
    (gone,) = destroy(by=by, campaign=campaign, lines=[line], when=day(46), **how)  # type: ignore[arg-type]
    second.refresh_from_db()
    assert gone.notice == second
    assert second.status == NoticeStatus.DISPOSED_ON_SITE
