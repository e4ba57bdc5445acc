"""Scopes of stories: a jar in forty blends, a lot of bottles, an ingredient at another firm; hints of scans."""

from __future__ import annotations

import datetime

import pytest
from django.test import Client
from django.utils import timezone

from labels.actions.runs import issue_codes
from labels.actions.suspicions import examine
from labels.models import Scan
from recalls.actions.signals import dismiss_signal, raise_signal
from recalls.models import Signal
from recalls.scope import Question, Why, preview_scope
from tests.goods import amount, day, make_lot, receive, released, ship
from tests.labels.goods import bottled
from tests.world import World, make_product, sign_in
from trace.actions.capture import NewLot
from trace.actions.events import Portion, record_event
from trace.actor import Actor
from trace.models import Lot, Product, Unit


def rework(by: Actor, parents: list[tuple[Lot, str]], product: Product, much: str, number: int) -> Lot:
    """A lot made of so much of these on one day."""
    return record_event(
        by=by,
        code="common.rework",
        when=day(number),
        data={"reason": "示例", "method": "示例"},
        inputs=[Portion(lot, amount(text, lot.product)) for lot, text in parents],
        outputs=[NewLot(product=product, amount=amount(much, product))],
    ).lots[0]


def test_a_jar_of_base_spirit_in_forty_blends_over_years(world: World) -> None:
    by = world.distillery
    jar = make_lot(by, world.baijiu, "5000", when=day(0))
    other = make_lot(by, world.baijiu, "5000", when=day(0))
    blends = [rework(by, [(jar, "10"), (other, "10")], world.baijiu, "20", n + 1) for n in range(40)]
    finished = [rework(by, [(blend, "20")], world.baijiu, "20", n + 2) for n, blend in enumerate(blends)]
    clean = rework(by, [(other, "10")], world.baijiu, "10", 2)
    answer = preview_scope(Question.of([jar], same_run=False))
    assert answer.lot_ids == {jar.pk, *(lot.pk for lot in [*blends, *finished])}
    assert {line.why for line in answer.lines if line.lot_id != jar.pk} == {Why.DESCENDS}
    paths = {line.lot_id: line.path for line in answer.lines}
    assert paths[finished[39].pk] == (jar.pk, blends[39].pk, finished[39].pk)
    assert clean.pk not in answer.lot_ids
    assert other.pk not in answer.lot_ids, "the other jar is beside it, not made of it"


def test_a_lot_of_bottles_recalls_only_what_was_filled_on_its_day(world: World) -> None:
    by = world.distillery
    glass = make_product(by.organisation, name="示例玻璃瓶", base_unit="C62", kind="packaging")
    spirit = make_lot(by, world.baijiu, "300", when=day(0))
    first, second = make_lot(by, glass, "200", when=day(0)), make_lot(by, glass, "200", when=day(0))
    fillings = [
        rework(by, [(spirit, "50"), (bottles, "100")], world.baijiu, "50", number)
        for number, bottles in ((5, first), (6, second), (7, first))
    ]
    answer = preview_scope(Question.of([second], same_run=False))
    assert answer.lot_ids == {second.pk, fillings[1].pk}, "the same spirit on other days had other bottles"
    assert preview_scope(Question.of([first], same_run=False)).lot_ids == {first.pk, fillings[0].pk, fillings[2].pk}


def test_a_recalled_lot_is_followed_into_another_firms_goods(world: World) -> None:
    kernels = make_lot(world.walnuts, world.kernels, "100", when=day(0))
    released(world.walnuts, world.walnuts_quality, kernels, when=day(1))
    receive(
        world.distributor, ship(world.walnuts, world.distributor.organisation, kernels, "40", when=day(2)), when=day(3)
    )
    cake = make_product(world.distributor.organisation, name="示例核桃糕")
    made = rework(world.distributor, [(kernels, "10")], cake, "10", 4)
    ship(world.distributor, world.shop.organisation, made, "10", when=day(6), insist=True)
    answer = preview_scope(Question.of([kernels], same_run=False))
    assert answer.lot_ids == {kernels.pk, made.pk}
    held = {(one.lot_id, one.organisation_id): one.unconfirmed for one in answer.holdings}
    assert held[(made.pk, world.shop.organisation.pk)] == 10_000_000, "who got the cake holds recalled goods"


def test_suspicious_scans_of_many_codes_are_one_signal_until_somebody_handles_it(world: World, client: Client) -> None:
    lot = bottled(world)
    issue_codes(by=world.distillery, lot=lot, count=3, key="u")
    now = timezone.now() - datetime.timedelta(hours=2)

    def scanned(unit: Unit, at: datetime.datetime) -> None:
        Scan.objects.bulk_create(
            [
                Scan(
                    lot=lot,
                    unit=unit,
                    nonce=f"{unit.number}-{n}-{at:%H%M%S}",
                    at=at,
                    place=place,
                    region=place,
                    who=f"{n}",
                )
                for n, place in enumerate(("140000", "440000", "650000", "310000", "510000", "230000", "460000"))
            ]
        )
        examine(lot_id=lot.pk, unit_id=unit.pk)

    for unit in Unit.objects.filter(lot=lot):
        scanned(unit, now)
    found = list(Signal.objects.filter(lot=lot))
    kinds = {one.code for one in found}
    assert kinds
    assert len(found) == len(kinds), "one for each kind, whatever the number of codes"
    assert {one.organisation for one in found} == {world.distillery.organisation}
    examine(lot_id=lot.pk, unit_id=Unit.objects.filter(lot=lot)[0].pk)
    assert Signal.objects.filter(lot=lot).count() == len(kinds)
    sign_in(client, world.distillery_quality)
    assert "扫码反映" in client.get("/recall/signals/").content.decode()
    for one in found:
        dismiss_signal(by=world.distillery_quality, signal=one, reason="示例：促销活动")
    Unit.objects.filter(lot=lot)
    issue_codes(by=world.distillery, lot=lot, count=1, key="v")
    scanned(Unit.objects.get(lot=lot, number=4), timezone.now())
    assert Signal.objects.filter(lot=lot, status="new").count() == len(kinds), "handled once does not mean for ever"


@pytest.mark.parametrize("source", ["abroad", "supplier"])
def test_a_recall_abroad_and_a_suppliers_notice_are_signals_said_once(world: World, source: str) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    words = "示例：供货商通知 R-2026-7，同一批原料"
    first, again = (raise_signal(by=world.walnuts_quality, source=source, text=words, lot=lot) for _time in range(2))
    assert first == again
    assert first.organisation == world.walnuts.organisation
