"""A recall for a trader's own fault: only what passed through its hands, told by slips, times and unit codes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from django.test import Client
from django.urls import reverse

from labels.recall_state import standing_of
from recalls.actions.announcements import draft_notice
from recalls.actions.assessment import Standing, assess
from recalls.actions.campaigns import announce, decide, start_campaign
from recalls.actions.goods import GoodsLine, destroy, receive_return
from recalls.actions.papers import make_paper
from recalls.actions.scopes import expand_scope, freeze_scope
from recalls.actions.signals import raise_signal
from recalls.affected import affected_by, stopped
from recalls.balance import balances
from recalls.figures import figures
from recalls.gs1 import recall_notification
from recalls.letters import letter_lots
from recalls.models import Campaign, ScopeVersion
from recalls.parts import Extent, within
from recalls.scope import Answer, Question, Why, coverage_of, drift, latest_scope, preview_scope
from recalls.through import Passed, passed
from tests.goods import amount, day, make_lot, receive, ship, turn_into
from tests.recalls.story import ANNOUNCEMENT, FINDING, KNEW, Chain
from tests.trace.test_packs import Hall
from tests.world import World, make_actor, make_organisation, make_product, sign_in
from trace.actions.corrections import declare_error
from trace.actions.events import Portion
from trace.actions.pack_shipments import take_back_packs
from trace.actions.transfers import take_back
from trace.actor import Actor
from trace.batch import Batch, open_batch
from trace.errors import DomainError, GuardBroken
from trace.guards import blocking
from trace.inventory import states_of
from trace.models import Lot, Organisation, Product, Stock

MILLION = 1_000_000


def refused(code: str, question: Question) -> None:
    """Fail unless the question is refused with this code."""
    with pytest.raises(DomainError) as error:
        preview_scope(question)
    assert error.value.code == code


def holders(answer: Answer, lot: Lot) -> dict[Organisation, tuple[int, int, int, int]]:
    """By holder of a lot: received, shipped, on hand, unconfirmed."""
    return {
        answer.organisations[one.organisation_id]: (one.received, one.shipped, one.on_hand, one.unconfirmed)
        for one in answer.holdings
        if one.lot_id == lot.pk
    }


def by_the_trader(trader: Actor, quality: Actor, *lots: Lot) -> Campaign:
    """A campaign for the trader's own fault, decided and started."""
    campaign = assess(
        by=quality,
        organisation=trader.organisation,
        track="food",
        title="示例：仓库进水受潮",
        knew_at=KNEW,
        finding=FINDING,
        standing=Standing("trader", "own_fault"),
    )
    freeze_scope(by=quality, campaign=campaign, question=Question.of(lots, through=trader.organisation))
    campaign = decide(by=trader, campaign=campaign)
    return start_campaign(by=quality, campaign=campaign, stop_order=True)


def version_of(campaign: Campaign) -> ScopeVersion:
    """The version in force."""
    found = latest_scope(campaign)
    assert found is not None
    return found


# --- By slips alone -------------------------------------------------------------------------------------------------


def test_only_what_the_trader_had_is_covered_and_who_got_it_from_the_trader(chain: Chain) -> None:
    world = chain.world
    trader = world.distributor.organisation
    (product,) = [make_product(trader, name="示例分装核桃仁")]
    (bag,) = turn_into(world.distributor, [(chain.pouch_a, "5")], [(product, "5")], when=day(6))
    ship(world.distributor, world.cooperative.organisation, bag, "2", when=day(7), insist=True)
    turn_into(world.walnuts, [(chain.pouch_a, "1")], [(world.kernels, "1")], when=day(6))
    answer = preview_scope(Question.of([chain.pouch_a], through=trader))
    assert [(line.lot, line.why, line.shell) for line in answer.lines] == [
        (chain.pouch_a, Why.NAMED, "proven"),
        (bag, Why.DESCENDS, "proven"),
    ], "what the maker made of its own rest is out, and so is what was made in one run with the pouch"
    first, second = answer.lines
    assert (first.made, first.rest, first.used, first.shipped) == (
        30 * MILLION,
        10 * MILLION,
        5 * MILLION,
        14 * MILLION,
    )
    assert (second.made, second.part, [lot.pk for lot in answer.path(second)]) == (
        5 * MILLION,
        None,
        [chain.pouch_a.pk, bag.pk],
    )
    assert holders(answer, chain.pouch_a) == {
        trader: (30 * MILLION, 14 * MILLION, 11 * MILLION, 0),
        world.shop.organisation: (0, 0, 0, 10 * MILLION),
        chain.far_outsider: (0, 0, 0, 4 * MILLION),
    }
    assert set(holders(answer, bag)) == {trader, world.cooperative.organisation}
    whole = preview_scope(Question.of([chain.pouch_a]))
    assert answer.lot_ids < whole.lot_ids
    assert answer.pairs < whole.pairs
    for code, question in {
        "through_not_held": Question.of([chain.pouch_b], through=trader),
        "not_a_source": Question.of([chain.pouch_a], [chain.mother], through=trader),
    }.items():
        refused(code, question)


def test_the_question_is_kept_only_where_it_asks_so_and_is_asked_again(chain: Chain) -> None:
    trader = chain.world.distributor.organisation
    plain, through = Question.of([chain.pouch_a]), Question.of([chain.pouch_a], through=trader)
    assert "through" not in preview_scope(plain).canonical().decode(), "old hashes stay"
    answer = preview_scope(through)
    assert through.as_json(answer.lots)["through"] == str(trader.uid)
    assert Question.from_json(through.as_json(answer.lots)) == through
    assert preview_scope(through).sha256() == answer.sha256() != preview_scope(plain).sha256()


def test_the_makers_stock_stays_saleable_and_everybody_downstream_is_stopped_and_told(chain: Chain) -> None:
    world, lot = chain.world, chain.pouch_a
    quality = _quality(world.distributor)
    campaign = by_the_trader(world.distributor, quality, lot)
    assert set(campaign.notices.values_list("organisation__name", flat=True)) == {
        world.shop.organisation.name,
        chain.far_outsider.name,
    }, "neither the maker nor its other buyer is alarmed"
    maker = world.walnuts.organisation
    assert blocking([lot], holder=maker) == {}
    assert (states_of([lot], [maker.pk])[lot.pk], states_of([lot])[lot.pk]) == ("released", "recalled")
    ship(world.walnuts, world.cooperative.organisation, lot, "1", when=day(40))
    with pytest.raises(GuardBroken):
        ship(world.distributor, world.shop.organisation, lot, "1", when=day(40))
    slip = ship(world.walnuts, world.shop.organisation, lot, "1", when=day(41))
    receive(world.shop, slip, when=day(41))
    with pytest.raises(GuardBroken):
        ship(world.shop, world.cooperative.organisation, lot, "1", when=day(42))
    assert not drift(version_of(campaign)), "what the maker sold since is none of it"
    # Recorded against the rules: the buyer is stopped at once, and asking again finds it.
    late = ship(world.distributor, world.cooperative.organisation, lot, "2", when=day(43), insist=True)
    receive(world.cooperative, late, when=day(43))
    assert blocking([lot], holder=world.cooperative.organisation)
    with open_batch(Batch(writes=False)):
        assert blocking([lot], holder=world.cooperative.organisation), "by a table as by a form"
        assert not blocking([lot], holder=maker)
    change = drift(version_of(campaign))
    assert change.new_pairs == {(lot.pk, world.cooperative.organisation.pk)}
    expand_scope(by=quality, campaign=campaign, question=None, reason="示例：又发现一家")
    assert campaign.notices.count() == 3
    numbers = figures(campaign).totals["KGM"]
    assert (numbers.made, numbers.in_house, numbers.excess) == (30 * MILLION, 14 * MILLION, 0)
    assert numbers.made == numbers.used + numbers.accounted + numbers.unknown + numbers.sold


def test_a_whole_lot_may_become_the_traders_part_only_as_a_narrower_scope(chain: Chain) -> None:
    trader = str(chain.world.distributor.organisation.uid)
    whole, by_amount, by_codes = Extent(), Extent((), trader), Extent(((1, 6),), trader)
    assert [within(one, whole) for one in (whole, by_amount, by_codes)] == [True] * 3
    assert [within(one, by_amount) for one in (whole, by_amount, by_codes)] == [False, True, True]
    assert [within(one, by_codes) for one in (whole, by_amount, by_codes)] == [False, False, True]
    assert not within(Extent(((1, 6),)), by_amount), "nobody knows whether those units passed through it"
    assert within(Extent(((1, 3),)), by_codes)
    assert not within(Extent((), "another"), by_amount)


def test_goods_that_went_back_to_the_maker_are_covered_there_and_the_rest_stays_saleable(
    chain: Chain, client: Client
) -> None:
    world, lot = chain.world, chain.pouch_a
    maker, trader = world.walnuts, world.distributor
    before = ship(maker, world.cooperative.organisation, lot, "1", when=day(6))
    back = [Portion(lot, amount("3", world.kernels))]
    take_back(by=maker, source=trader.organisation, portions=back, when=day(8))
    answer = preview_scope(Question.of([lot], through=trader.organisation))
    assert holders(answer, lot)[maker.organisation] == (3 * MILLION, 0, 3 * MILLION, 0)
    assert before.receiver not in holders(answer, lot), "sent before the goods came back"
    assert (answer.lines[0].made, answer.lines[0].shipped) == (30 * MILLION, 17 * MILLION)
    campaign = by_the_trader(trader, _quality(trader), lot)
    (held,) = blocking([lot], holder=maker.organisation)[lot.pk]
    assert held.keep_micros == 3 * MILLION
    assert campaign.notices.filter(organisation=maker.organisation).exists()
    ship(maker, world.cooperative.organisation, lot, "4", when=day(40))
    with pytest.raises(GuardBroken) as error:
        ship(maker, world.cooperative.organisation, lot, "0.5", when=day(41))
    assert "3 千克" in str(error.value.broken[0].message)
    # Who runs no recall and supervises none does not read in whose hands else the goods are.
    page = sign_in(client, maker).get(reverse("trace:hold_detail", args=[held.hold.uid])).content.decode()
    assert maker.organisation.label in page
    assert world.shop.organisation.label not in page
    # What the maker shipped since may be what came back, as far as records say.
    assert world.cooperative.organisation.pk in drift(version_of(campaign)).answer.holder_ids
    # Once nothing of it is left with the maker, the maker is free, and the others' goods are as recalled as before.
    rest = [GoodsLine(lot, amount("3", world.kernels))]
    destroy(
        by=maker,
        campaign=campaign,
        lines=rest,
        when=day(42),
        method="destroy",
        place="示例处理点",
        witness_name="示例赵六",
        executor="示例钱七",
    )
    assert blocking([lot], holder=maker.organisation) == {}
    assert blocking([lot]), "a scan and the authority still see it"
    assert (states_of([lot])[lot.pk], bool(stopped(lot.code))) == ("recalled", True)


def test_the_maker_or_the_county_recalls_what_went_through_a_trader_that_is_gone(chain: Chain, client: Client) -> None:
    world, lot = chain.world, chain.pouch_a
    gone = world.distributor.organisation
    Organisation.objects.filter(pk=gone.pk).update(status=Organisation.Status.SUSPENDED)
    campaign = assess(
        by=world.walnuts_quality,
        organisation=world.walnuts.organisation,
        track="food",
        title="示例：经销商仓库进水",
        knew_at=KNEW,
        finding=FINDING,
    )
    freeze_scope(by=world.walnuts_quality, campaign=campaign, question=Question.of([lot], through=gone))
    campaign = decide(by=world.walnuts, campaign=campaign)
    campaign = start_campaign(by=world.walnuts_quality, campaign=campaign, stop_order=True)
    told = {notice.organisation for notice in campaign.notices.all()}
    assert told == {gone, world.shop.organisation, chain.far_outsider}
    numbers = figures(campaign).totals["KGM"]
    assert (numbers.made, numbers.in_house, numbers.unknown) == (30 * MILLION, 0, 30 * MILLION)
    ship(world.walnuts, world.cooperative.organisation, lot, "1", when=day(40))
    receive_return(
        by=world.walnuts,
        campaign=campaign,
        organisation=gone,
        lines=[GoodsLine(lot, amount("16", world.kernels))],
        when=day(41),
    )
    (row,) = balances(figures(campaign))
    assert (row.amounts.recovered, row.amounts.in_house, row.amounts.unknown) == (
        16 * MILLION,
        16 * MILLION,
        14 * MILLION,
    )
    assert row.balanced
    sign_in(client, world.walnuts)
    page = client.get(reverse("recalls:campaign_balance", args=[campaign.uid])).content.decode()
    assert "只涉及经过" in page


def test_a_buyer_of_both_is_in_with_no_more_than_came_from_the_trader(chain: Chain) -> None:
    world, lot = chain.world, chain.pouch_a
    buyer = make_actor(make_organisation("示例两头进货商行", "retailer"), "owner")
    third = make_actor(make_organisation("示例第三家", "retailer"), "owner")
    receive(buyer, ship(world.walnuts, buyer.organisation, lot, "4", when=day(6)), when=day(6))
    ship(buyer, third.organisation, lot, "1", when=day(7))
    trader = world.distributor
    answer = preview_scope(Question.of([lot], through=trader.organisation))
    assert buyer.organisation not in holders(answer, lot)
    receive(buyer, ship(trader, buyer.organisation, lot, "2", when=day(8)), when=day(8))
    answer = preview_scope(Question.of([lot], through=trader.organisation))
    assert holders(answer, lot)[buyer.organisation] == (2 * MILLION, 0, 2 * MILLION, 0)
    assert third.organisation not in holders(answer, lot), "it got its goods before"
    ship(buyer, third.organisation, lot, "1", when=day(8))
    answer = preview_scope(Question.of([lot], through=trader.organisation))
    assert third.organisation in holders(answer, lot), "on the same day: nobody can tell"


def test_a_slip_before_the_goods_came_is_in_where_there_were_no_others_to_send(chain: Chain) -> None:
    world, lot = chain.world, chain.pouch_a
    third = make_actor(make_organisation("示例第三家", "retailer"), "owner")
    ship(world.shop, third.organisation, lot, "1", when=day(4), insist=True)
    answer = preview_scope(Question.of([lot], through=world.distributor.organisation))
    assert third.organisation in holders(answer, lot)


def test_goods_of_two_makers_in_one_cold_store_are_asked_about_together(chain: Chain) -> None:
    world = chain.world
    other = make_product(world.distillery.organisation, name="示例另一家的货")
    second = make_lot(world.distillery, other, "20")
    receive(world.distributor, ship(world.distillery, world.distributor.organisation, second, "8", insist=True))
    answer = preview_scope(Question.of([chain.pouch_a, second], through=world.distributor.organisation))
    assert {line.lot: line.made for line in answer.lines} == {chain.pouch_a: 30 * MILLION, second: 8 * MILLION}
    assert world.distillery.organisation.pk not in answer.holder_ids


# --- By unit codes --------------------------------------------------------------------------------------------------


@dataclass
class Coded:
    """Twelve bottles in four cartons: the first two went to the distributor by their codes, the second of them on to
    the shop; the third went to the cooperative, the fourth is at the maker's.
    """

    hall: Hall
    lot: Lot = field(init=False)

    def __post_init__(self) -> None:
        self.lot = self.hall.lot(12)
        self.cartons = self.hall.cartons(self.lot, each=3)
        first, second, third, _fourth = self.cartons
        self.hall.receive(self.hall.ship(first, second), first, second)
        self.hall.ship(second, to=self.hall.world.shop, by=self.hall.world.distributor)
        self.hall.ship(third, to=self.hall.world.cooperative)


def test_units_shipped_by_their_codes_are_told_apart(world: World) -> None:
    sold = Coded(Hall(world, world.distillery))
    hall, lot = sold.hall, sold.lot
    trader = world.distributor
    (line,) = preview_scope(Question.of([lot], through=trader.organisation)).lines
    assert line.part is not None
    assert (line.part.ranges, line.made, line.rest) == (((1, 6),), 3 * MILLION, 3 * MILLION)
    # The trader breaks a carton, sends one bottle back by its code; the maker ships others on by theirs.
    bottle = lot.units.get(level="item", number=2)
    take_back_packs(by=world.distillery, source=trader.organisation, packs=[bottle.code], when=day(25))
    hall.ship(sold.cartons[3], to=world.cooperative)
    answer = preview_scope(Question.of([lot], through=trader.organisation))
    assert set(holders(answer, lot)) == {
        trader.organisation,
        world.shop.organisation,
        world.distillery.organisation,
    }, "the maker has one of the bottles back, and sent none of them on"
    campaign = by_the_trader(trader, _quality(trader), lot)
    (row,) = version_of(campaign).lots.all()
    assert (row.ranges, row.through, row.part["apart"]) == ([[1, 6]], str(trader.organisation.uid), True)
    assert blocking([lot], holder=world.cooperative.organisation) == {}
    with pytest.raises(GuardBroken):
        hall.ship(bottle, to=world.cooperative)
    # Uncoded goods to the trader: now nothing tells which bottles it has.
    ship(world.distillery, trader.organisation, lot, "0.5", when=day(3), insist=True)
    change = drift(version_of(campaign))
    assert change.wider
    (line,) = change.answer.lines
    assert line.part is not None
    assert (line.part.ranges, getattr(line.part, "loose", ())) == ((), (str(world.distillery.organisation.uid),))


def test_units_that_come_back_to_the_maker_stay_there_though_nobody_else_had_any(world: World) -> None:
    hall = Hall(world, world.distillery)
    lot, trader = hall.lot(12), world.distributor
    first, second, third, _fourth = hall.cartons(lot, each=3)
    hall.receive(hall.ship(first, second), first, second)
    by_the_trader(trader, _quality(trader), lot)
    for carton in (first, second):
        take_back_packs(by=world.distillery, source=trader.organisation, packs=[carton.code], when=day(40))
    with pytest.raises(GuardBroken):
        hall.ship(first, to=world.cooperative)
    hall.ship(third, to=world.cooperative)


def test_a_supplier_that_drops_out_bars_no_wider_scope(chain: Chain) -> None:
    world, lot, trader = chain.world, chain.pouch_a, chain.world.distributor
    quality, third = _quality(trader), make_organisation("示例第三家", "retailer")
    receive(world.cooperative, ship(world.walnuts, world.cooperative.organisation, lot, "2", when=day(6)), when=day(6))
    wrong = ship(world.cooperative, trader.organisation, lot, "1", when=day(7))
    campaign = by_the_trader(trader, quality, lot)
    told = set(coverage_of(version_of(campaign))[lot.pk].loose)
    assert told == {str(world.walnuts.organisation.uid), str(world.cooperative.organisation.uid)}
    declare_error(by=world.cooperative, event=wrong.event, reason="did_not_occur", when=day(41))
    assert not drift(version_of(campaign)), "a supplier fewer is nothing new"
    ship(trader, third, lot, "1", when=day(42), insist=True)
    expand_scope(by=quality, campaign=campaign, question=None, reason="示例：又发现一家")
    assert coverage_of(version_of(campaign))[lot.pk].loose == {str(world.walnuts.organisation.uid)}
    ship(world.cooperative, trader.organisation, lot, "1", when=day(8), insist=True)
    assert drift(version_of(campaign)).wider, "and one more is"


def test_a_unit_passed_or_did_not_or_nobody_knows() -> None:
    maker, trader, shop, other = 1, 2, 3, 4

    def told(*steps: tuple[int, int], loose: Sequence[int] = (), onward: Sequence[int] = (trader, shop)) -> Passed:
        return passed(steps, maker, trader, loose, onward)

    assert told((maker, trader), (trader, shop)) is Passed.YES
    assert told() is Passed.NO, "nothing reached the trader without codes"
    assert told(loose=[maker]) is Passed.UNKNOWN, "it never was seen"
    assert told((maker, maker), loose=[maker]) is Passed.UNKNOWN, "seen at the maker's only"
    assert told((maker, other), loose=[maker]) is Passed.NO, "it went to somebody who sends the trader nothing"
    assert told((shop, shop), loose=[maker]) is Passed.UNKNOWN, "it came to the shop without being seen"
    assert told((other, other), loose=[maker]) is Passed.NO, "where nothing of the trader's arrives"
    assert told((maker, other), (other, other), loose=[maker, other]) is Passed.UNKNOWN


# --- A world of its own ---------------------------------------------------------------------------------------------


@dataclass
class Model:
    """Goods as liquids: who may have any that passed through the trader, by the order of moves alone."""

    root: int
    trader: int
    stock: dict[tuple[int, int], int] = field(default_factory=dict)
    tainted: dict[int, set[int]] = field(default_factory=dict)

    def move(self, lot: int, source: int, to: int, amount: int) -> None:
        """Hand over."""
        self.stock[lot, source] -= amount
        self.stock[lot, to] = self.stock.get((lot, to), 0) + amount
        if source in self.tainted.get(lot, set()) or (lot == self.root and to == self.trader):
            self.tainted.setdefault(lot, set()).add(to)


@pytest.mark.parametrize("seed", [3, 8, 21])
def test_a_random_trade_is_followed_exactly_and_nobody_downstream_is_missing(world: World, seed: int) -> None:
    dice = random.Random(seed)
    parties = [world.walnuts, world.distributor, world.shop, world.cooperative, world.distillery]
    products: dict[Actor, Product] = {
        party: make_product(party.organisation, name=f"示例货{n}") for n, party in enumerate(parties)
    }
    by_pk = {party.organisation.pk: party for party in parties}
    root = make_lot(world.walnuts, products[world.walnuts], "100")
    model = Model(root.pk, world.distributor.organisation.pk)
    lots = {root.pk: root}
    model.stock[root.pk, world.walnuts.organisation.pk] = 100
    for number in range(1, 15):
        (lot_pk, holder), there = dice.choice([one for one in model.stock.items() if one[1] > 3])
        lot, actor = lots[lot_pk], by_pk[holder]
        portion = dice.randint(1, max(there // 2, 1))
        if dice.random() < 0.2:
            (child,) = turn_into(actor, [(lot, str(portion))], [(products[actor], str(portion))], when=day(number))
            lots[child.pk] = child
            model.stock[lot_pk, holder] -= portion
            model.stock[child.pk, holder] = portion
            if holder in model.tainted.get(lot_pk, set()):
                model.tainted[child.pk] = {holder}
            continue
        to = dice.choice([party for party in parties if party is not actor])
        slip = ship(actor, to.organisation, lot, str(portion), when=day(number, 8), insist=True)
        receive(to, slip, when=day(number, 9))
        model.move(lot_pk, holder, to.organisation.pk, portion)
    mine = model.tainted.get(root.pk, set())
    question = Question.of([root], through=world.distributor.organisation)
    if not mine:
        refused("through_not_held", question)
        return
    answer, whole = preview_scope(question), preview_scope(Question.of([root]))
    assert answer.pairs == {(lot, holder) for lot, of in model.tainted.items() for holder in of}
    assert answer.lot_ids <= whole.lot_ids
    assert answer.pairs <= whole.pairs
    for line in answer.lines:
        assert 0 < line.made <= line.lot.made_micros
        there = sum(one.on_hand for one in answer.holdings if one.lot_id == line.lot_id)
        assert there <= Stock.objects.filter(lot=line.lot_id).count() * line.lot.made_micros
    again = preview_scope(question_of_json(answer))
    assert again.canonical() == answer.canonical()


def question_of_json(answer: Answer) -> Question:
    """The answer's question as it would be kept and read again."""
    return Question.from_json(answer.question.as_json(answer.lots))


def _quality(actor: Actor) -> Actor:

    return make_actor(actor.organisation, "quality")


# --- Who scans ------------------------------------------------------------------------------------------------------


def test_a_scan_says_yes_no_or_ask_where_it_was_bought(world: World, client: Client) -> None:
    hall = Hall(world, world.distillery)
    lot = hall.lot(12)
    trader, quality = world.distributor, _quality(world.distributor)
    bottles = list(lot.units.filter(level="item").order_by("number"))
    seen, elsewhere, unseen = bottles[0], bottles[1], bottles[2]
    # By amount alone to the trader, which then names one bottle; another goes to the shop by its code.
    receive(trader, ship(world.distillery, trader.organisation, lot, "2", when=day(6)), when=day(6))
    hall.ship(elsewhere, to=world.shop)
    hall.ship(seen, to=world.cooperative, by=trader)
    campaign = by_the_trader(trader, quality, lot)
    (row,) = version_of(campaign).lots.all()
    assert (row.ranges, row.part["apart"]) == ([], False)
    told = {unit: standing_of(lot, unit) for unit in (seen, elsewhere, unseen, None)}
    assert [(one.recalled, one.maybe, one.spared) for one in told.values()] == [
        (True, False, False),
        (False, False, True),
        (False, True, False),
        (False, True, False),
    ]
    name = trader.organisation.label
    pages = {unit: client.get(f"/c/{unit.code}").content.decode() for unit in (seen, elsewhere, unseen)}
    assert "记录显示您这一件在其中" in pages[seen]
    assert "已召回" in pages[seen]
    assert "信息正常" in pages[elsewhere]
    assert "没有经过它，不在其中" in pages[elsewhere]
    assert "可能已召回" in pages[unseen]
    assert f"是不是从 {name} 买的或进的" in pages[unseen]
    assert all(name in page for page in pages.values())
    assert "可能已召回" in client.get(f"/c/{lot.public_code}").content.decode()
    status = {unit: client.get(f"/info/recall/c/{unit.code}").json() for unit in (seen, elsewhere, unseen)}
    assert [(one["recallStatus"], one["stopSale"], one["through"]) for one in status.values()] == [
        ("recalled", True, [name]),
        ("none", False, [name]),
        ("partly", True, [name]),
    ]
    assert [stopped(unit.code) for unit in (seen, elsewhere, unseen)] == [[lot], [], [lot]]
    # Announced, the same with the announcement's words; who asks by a code is told whether it is meant.
    draft_notice(by=quality, campaign=campaign, announcement=ANNOUNCEMENT)
    campaign.refresh_from_db()
    announce(by=trader, campaign=campaign, channel="本系统公告页")
    assert "潮" in client.get(f"/c/{unseen.code}").content.decode()
    public = client.get(reverse("recalls:public_recall", args=[campaign.uid])).content.decode()
    assert f"只有经过 {name} 的货在召回之内" in public
    assert "不在生产者" in public
    assert [bool(affected_by(unit.code)) for unit in (seen, elsewhere, unseen)] == [True, False, True]
    (found,) = affected_by(lot.lot_code)
    assert found.through == trader.organisation
    data = client.get(reverse("recalls:recall_json", args=[campaign.uid])).json()
    assert name in str(data)
    notice = campaign.notices.get(organisation=world.cooperative.organisation)
    assert all("只涉及经过" in one.code for one in letter_lots(notice))
    assert recall_notification(notice)["recalledTradeItem"][0]["onlyThroughParty"]["organisationName"] == name
    sign_in(client, world.cooperative)
    assert f"只涉及经过 {name} 的货" in client.get(f"/recall/notices/{notice.uid}/").content.decode()
    client.logout()
    sign_in(client, world.distillery)
    page = client.get(reverse("desk:lot_detail", args=[lot.uid])).content.decode()
    assert "已召回" not in page, "the maker's own stock is not"
    assert f"{name} 正在召回经过它的这批货" in page
    assert "不涉及本单位的库存，可以照常销售" in page
    sheet = client.get(reverse("trace:lot_list") + "?format=csv")
    assert "已召回" not in b"".join(sheet.streaming_content).decode()  # type: ignore[attr-defined]
    client.logout()
    sign_in(client, quality)
    page = client.get(reverse("recalls:campaign", args=[campaign.uid])).content.decode()
    assert "应告知的供货商" in page
    assert world.distillery.organisation.label in page
    asked = client.get(f"/api/v1/campaigns/{campaign.uid}/scope").json()
    assert (asked["through"]["name"], asked["lots"][0]["part"]["kind"], asked["lots"][0]["part"]["told_apart"]) == (
        trader.organisation.name,
        "through",
        False,
    )
    for kind in ("announcement", "stop"):
        assert name in str(make_paper(by=quality, campaign=campaign, kind=kind).data)


def test_the_scope_page_begins_with_what_the_trader_had_and_says_what_a_wider_one_means(
    chain: Chain, client: Client
) -> None:
    world, trader = chain.world, chain.world.distributor
    quality = _quality(trader)
    signal = raise_signal(by=quality, source="self_check", text="示例：仓库进水", lot=chain.pouch_a, received_at=KNEW)
    campaign = assess(
        by=quality,
        organisation=trader.organisation,
        track="food",
        title="示例：仓库进水受潮",
        knew_at=KNEW,
        finding=FINDING,
        signals=[signal],
        standing=Standing("trader", "own_fault"),
    )
    at = f"/recall/campaigns/{campaign.uid}/scope/"
    sign_in(client, quality)
    page = client.get(at).content.decode()
    assert "只按记录跟踪经过" in page
    assert chain.outsider.name not in page
    assert "只按数量发的货，单件码分不开" in page
    asked = f"{at}?lot={chain.pouch_a.uid}"
    assert "生产者的库存和它的其他客户也会被封存" in client.get(asked).content.decode()
    through = {"lot": str(chain.pouch_a.uid), "through": str(trader.organisation.uid)}
    for wrong in ("x", str(world.cooperative.organisation.uid), str(chain.outsider.uid), "\x00"):
        assert client.get(at, through | {"through": wrong}).status_code == 404, "who had none, or is not known"
    assert client.post(at, through).status_code == 302
    assert version_of(campaign).question["through"] == str(trader.organisation.uid)
    client.logout()
    sign_in(client, world.walnuts)
    assert client.get(at).status_code == 404, "the maker is no side of it"
