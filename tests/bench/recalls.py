"""A recall at full size: 100,000 lots blocked, 10,000 holders told, the board over them, the page without account."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from recalls.access import notice_link
from recalls.actions.answers import LotAnswer, answer_stock
from recalls.actions.assessment import assess
from recalls.actions.campaigns import decide, start_campaign
from recalls.actions.notices import run_next_notices
from recalls.actions.scopes import freeze_scope
from recalls.actions.signals import raise_signal
from recalls.models import Acknowledgement, Campaign, Notice, StockAnswer
from recalls.scope import Question
from tests.bench.cases import LARGE, SMALL, Number, _actor, case
from tests.bench.load import at_pace, per_second
from tests.bench.measuring import seconds
from tests.bench.scans import serving
from tests.bench.worlds import Facts, undone
from tests.goods import amount
from tests.recalls.story import FINDING
from tests.world import sign_in
from trace.actions.capture import NewLot
from trace.actions.events import When, record_event
from trace.actor import Actor
from trace.models import HoldSet, Lot, Membership, Organisation, Product, Stock

HOLDERS = 10_000
ASKED = 1_500


def _people(facts: Facts) -> tuple[Actor, Actor]:
    """The owner and the quality officer of the firm whose lots are recalled."""
    owner = _actor(facts.probe_membership)
    quality = Membership.objects.filter(organisation=owner.organisation, role=Membership.Role.QUALITY)
    return owner, _actor(str(quality.values_list("uid", flat=True)[0]))


def _decided(facts: Facts, lot: Lot) -> Campaign:
    """A recall of this lot and all that was made of it, one step before its start."""
    owner, quality = _people(facts)
    knew = timezone.now()
    signal = raise_signal(by=quality, source="self_check", text=f"示例：{knew.isoformat()}", lot=lot)
    campaign = assess(
        by=quality,
        organisation=owner.organisation,
        track="food",
        title="示例大召回",
        knew_at=knew,
        finding=FINDING,
        signals=[signal],
    )
    freeze_scope(by=quality, campaign=campaign, question=Question.of([lot], same_run=False))
    return decide(by=owner, campaign=campaign)


@case("recall-start", LARGE)
def start_of_a_large_recall(facts: Facts) -> Iterator[Number]:
    """The start of a recall of 100,000 lots: one row of the hold changes, and every lot is blocked."""
    _owner, quality = _people(facts)
    lot = Lot.objects.get(pk=facts.big)
    with undone():
        campaign = _decided(facts, lot)
        with CaptureQueriesContext(connection) as asked:
            began = time.perf_counter()
            start_campaign(by=quality, campaign=campaign, stop_order=True)
            took = time.perf_counter() - began
        version = campaign.scopes.get()
        flips = sum("trace_holdset" in one["sql"] and one["sql"].startswith("UPDATE") for one in asked.captured_queries)
        blocked = HoldSet.objects.get(source=campaign.hold_source).members.count()
        yield Number("recall start: lots blocked", blocked, "lots")
        yield Number("recall start: rows of holds changed", flips, "rows", 1)
        yield Number("recall start, 100,000 lots", took, "s", 1.0)
        assert blocked == version.lot_count


def _many_holders(owner: Organisation, lot: Lot) -> None:
    """Outside buyers, each with a kilogram."""
    buyers = Organisation.objects.bulk_create(
        [
            Organisation(
                name=f"示例小店 {number}",
                kind=Organisation.Kind.RETAILER,
                division=owner.division,
                status=Organisation.Status.EXTERNAL,
                kept_by=owner,
                recall_contact_email=f"shop{number}@example.org",
            )
            for number in range(HOLDERS)
        ],
        batch_size=1000,
    )
    Stock.objects.bulk_create(
        [Stock(lot=lot, organisation=buyer, micros=1_000_000) for buyer in buyers], batch_size=1000
    )


def _half_answer(campaign: Campaign, lot: Lot) -> None:
    """Every second holder has acknowledged and said what it has."""
    now = timezone.now()
    notices = list(campaign.notices.order_by("id")[::2])
    Notice.objects.filter(pk__in=[one.pk for one in notices]).update(
        status="stock_answered", acknowledged_at=now, answered_at=now
    )
    said = Acknowledgement.objects.bulk_create(
        [Acknowledgement(notice=one, channel="account", with_stock=True, at=now) for one in notices], batch_size=1000
    )
    StockAnswer.objects.bulk_create(
        [
            StockAnswer(notice=one.notice, acknowledgement=one, lot=lot, on_hand_micros=600_000, sold_micros=400_000)
            for one in said
        ],
        batch_size=1000,
    )


@case("recall-board", SMALL)
def board_of_ten_thousand(facts: Facts) -> Iterator[Number]:
    """Ten thousand holders are told by the worker; then half have answered and the board is looked at."""
    owner, quality = _people(facts)
    lot = Lot.objects.get(pk=facts.shipped)
    with undone():
        _many_holders(owner.organisation, lot)
        campaign = start_campaign(by=quality, campaign=_decided(facts, lot), stop_order=True)
        began = time.perf_counter()
        while run_next_notices():
            pass
        told = time.perf_counter() - began
        yield Number("recall: holders told", campaign.notices.count(), "notices")
        yield Number("recall: notices of 10,000 holders made by the worker", told, "s", 30)
        _half_answer(campaign, lot)
        client = sign_in(Client(), owner)
        address = reverse("recalls:campaign_board", args=[campaign.uid])

        def look() -> None:
            response = client.get(address)
            assert response.status_code == 200
            assert "示例门店" in response.content.decode()

        board = seconds(look, 5)
        with CaptureQueriesContext(connection) as asked:
            look()
        yield Number("recall board: statements", len(asked), "queries", 60)
        yield Number("recall board, 10,000 holders", board.best * 1000, "ms", 300)


@case("recall-letter", SMALL)
def letters_at_half_load(facts: Facts) -> Iterator[Number]:
    """The page a holder without account opens from its letter, by the server as it runs, at half of what it can do. The
    recall stays in the world.
    """
    owner, quality = _people(facts)
    product = Product.objects.filter(organisation=owner.organisation).order_by("id")[0]
    made = record_event(
        by=owner,
        code="common.produce",
        when=When(timezone.now()),
        outputs=[NewLot(product, amount("1000", product))],
    ).lots[0]
    buyers = Organisation.objects.filter(kind=Organisation.Kind.RETAILER).order_by("id")[:200]
    Stock.objects.bulk_create([Stock(lot=made, organisation=buyer, micros=1_000_000) for buyer in buyers])
    campaign = start_campaign(by=quality, campaign=_decided(facts, made), stop_order=True)
    notices = list(campaign.notices.select_related("campaign", "organisation"))
    for notice in notices[:50]:
        answer_stock(by=owner, notice=notice, lots=[LotAnswer(made, 1_000_000, 0, 0, 0)])
    paths = [reverse("recalls:letter", args=[notice_link(one)]) for one in notices]
    with serving() as port:
        per_second(port, paths)
        most = per_second(port, (paths * (ASKED // len(paths) + 1))[:ASKED])
        waits = at_pace(port, (paths * (ASKED // len(paths) + 1))[:ASKED], most / 2)
    yield Number("letter page: answers a second at most", most, "1/s")
    yield Number("letter page at half load, 99 of 100 within", waits.percentile(0.99), "ms", 50)
