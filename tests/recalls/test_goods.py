"""Goods back, goods destroyed, and numbers that add up."""

import pytest
from django.db import IntegrityError, transaction

from recalls.actions.answers import answer_stock
from recalls.actions.goods import GoodsLine, destroy, receive_return
from recalls.figures import Amounts, figures, recovered_against
from recalls.models import Campaign, Disposal, ReturnReceipt
from recalls.notice_states import NoticeStatus
from tests.goods import amount, day, receive, sampled, stock_of
from tests.recalls.story import Chain, announced, answer, notice_to, started
from trace.errors import DomainError, GuardBroken
from trace.models import Conflict, Lot, Organisation, Transfer
from trace.units import MICROS


def sums(campaign: Campaign) -> Amounts:
    return figures(campaign).totals["KGM"]


def adds_up(one: Amounts) -> bool:
    """Every gram made is somewhere, known or unknown."""
    return one.made + one.excess == one.used + one.destroyed + one.in_house + one.held + one.sold + one.unknown


def back(chain: Chain, campaign: Campaign, who: Organisation, text: str, lot: Lot | None = None) -> list[ReturnReceipt]:
    lot = lot or chain.pouch_a
    return receive_return(
        by=chain.world.walnuts,
        campaign=campaign,
        organisation=who,
        lines=[GoodsLine(lot, amount(text, lot.product))],
        when=day(40),
    )


def gone(chain: Chain, campaign: Campaign, text: str, **how: object) -> list[Disposal]:
    facts: dict[str, object] = {
        "by": chain.world.walnuts,
        "method": "destroy",
        "place": "示例处理厂",
        "witness": chain.world.county.organisation,
        **how,
    }
    return destroy(
        campaign=campaign,
        lines=[GoodsLine(chain.pouch_a, amount(text, chain.world.kernels))],
        when=day(41),
        **facts,  # type: ignore[arg-type]
    )


def test_what_nobody_has_said_is_unknown(chain: Chain) -> None:
    now = sums(started(chain))
    assert (now.made, now.shipped) == (40 * MICROS, 35 * MICROS)
    assert (now.in_house, now.held, now.unknown) == (5 * MICROS, 0, 35 * MICROS)
    assert adds_up(now)


def test_an_answer_turns_unknown_into_known(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain)
    answer_stock(
        by=world.distributor,
        notice=notice_to(campaign, world.distributor.organisation),
        lots=[answer(chain.pouch_a, 12, 12, 3, 1)],
    )
    now = sums(campaign)
    assert (now.held, now.sold, now.unknown) == (12 * MICROS, 3 * MICROS, 20 * MICROS)
    assert adds_up(now)


def test_goods_back_move_the_stock_and_stay_blocked(chain: Chain) -> None:
    world = chain.world
    campaign = announced(chain)
    notice = notice_to(campaign, world.distributor.organisation)
    answer_stock(by=world.distributor, notice=notice, lots=[answer(chain.pouch_a, 16, 16)])
    (receipt,) = back(chain, campaign, world.distributor.organisation, "10")
    notice.refresh_from_db()
    assert receipt.event.template == "common.return"
    assert stock_of(chain.pouch_a, world.walnuts.organisation) == 15 * MICROS
    assert notice.status == NoticeStatus.RETURNED
    now = sums(campaign)
    assert (now.recovered, now.in_house, now.held) == (10 * MICROS, 15 * MICROS, 6 * MICROS)
    assert adds_up(now)


def test_more_back_than_was_there_is_taken_flagged_and_shown(chain: Chain) -> None:
    campaign = started(chain)
    back(chain, campaign, chain.outsider, "9")
    assert Conflict.objects.filter(code="not_enough", lot=chain.pouch_a).exists()
    now = sums(campaign)
    assert now.excess == 4 * MICROS
    assert adds_up(now)
    assert [one.lot for one in figures(campaign).inconsistent] == [chain.pouch_a]


def test_customers_goods_come_back_through_the_shop_that_sold_them(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain)
    slip = Transfer.objects.get(receiver=world.shop.organisation).shipment
    receive(world.shop, slip, when=day(6))
    answer_stock(
        by=world.shop,
        notice=notice_to(campaign, world.shop.organisation),
        lots=[answer(chain.pouch_a, 4, 4, 6)],
    )
    back(chain, campaign, world.shop.organisation, "7")
    now = sums(campaign)
    assert now.sold == 3 * MICROS
    assert now.excess == 0
    assert adds_up(now)


@pytest.mark.parametrize(
    ("lot", "who", "code"),
    [("pouch_b", "distributor", "not_in_scope"), ("pouch_a", "cooperative", "not_a_holder")],
)
def test_the_wrong_lot_or_the_wrong_sender_is_refused(chain: Chain, lot: str, who: str, code: str) -> None:
    campaign = started(chain)
    with pytest.raises(DomainError) as refused:
        back(chain, campaign, getattr(chain.world, who).organisation, "1", getattr(chain, lot))
    assert refused.value.code == code
    assert not ReturnReceipt.objects.exists()


def test_only_the_initiator_takes_goods_back(chain: Chain) -> None:
    with pytest.raises(DomainError) as refused:
        receive_return(
            by=chain.world.distributor,
            campaign=started(chain),
            organisation=chain.outsider,
            lines=[GoodsLine(chain.pouch_a, amount("1", chain.world.kernels))],
            when=day(40),
        )
    assert refused.value.code == "not_own"


def test_a_drill_moves_no_goods(chain: Chain) -> None:
    campaign = started(chain, is_drill=True)
    with pytest.raises(DomainError) as refused:
        back(chain, campaign, chain.outsider, "1")
    assert refused.value.code == "drill_stays_inside"
    with pytest.raises(DomainError) as refused:
        gone(chain, campaign, "1")
    assert refused.value.code == "drill_stays_inside"


def test_destruction_takes_goods_out_and_names_its_witness(chain: Chain) -> None:
    campaign = started(chain)
    (row,) = gone(chain, campaign, "5", announced_at=day(39).at)
    assert row.event.template == "common.destroy"
    assert row.event.data["witness_org"] == str(chain.world.county.organisation.uid)
    assert stock_of(chain.pouch_a, chain.world.walnuts.organisation) == 0
    assert sums(campaign).destroyed == 5 * MICROS


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"witness": None}, "witness_required"),
        ({"announced_at": day(42).at}, "announced_late"),
        ({"method": "burn"}, "unknown_choice"),
        ({"place": " "}, "required"),
    ],
)
def test_a_disposal_lacks_something(chain: Chain, how: dict[str, object], code: str) -> None:
    campaign = started(chain)
    with pytest.raises(DomainError) as refused:
        gone(chain, campaign, "1", **how)
    assert refused.value.code == code
    assert not Disposal.objects.exists()


def test_nobody_witnesses_their_own_destruction(chain: Chain) -> None:
    campaign = started(chain)
    with pytest.raises(DomainError) as refused:
        gone(chain, campaign, "1", witness=chain.world.walnuts.organisation)
    assert refused.value.code == "witness_same"
    (row,) = gone(chain, campaign, "1")
    with pytest.raises(IntegrityError), transaction.atomic():
        Disposal.objects.create(
            campaign=campaign,
            organisation=row.organisation,
            witness=row.organisation,
            lot=row.lot,
            micros=1,
            method="destroy",
            place="示例",
            event=row.event,
        )


def test_more_than_there_is_cannot_be_destroyed(chain: Chain) -> None:
    with pytest.raises(GuardBroken) as refused:
        gone(chain, started(chain), "6")
    assert refused.value.code == "not_enough"


def test_a_holder_destroys_on_the_spot(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain)
    notice = notice_to(campaign, world.distributor.organisation)
    answer_stock(by=world.distributor, notice=notice, lots=[answer(chain.pouch_a, 16, 16)])
    gone(chain, campaign, "16", by=world.distributor)
    notice.refresh_from_db()
    assert notice.status == NoticeStatus.DISPOSED_ON_SITE
    now = sums(campaign)
    assert (now.destroyed, now.held) == (16 * MICROS, 0)
    assert adds_up(now)


def test_a_stranger_cannot_destroy(chain: Chain) -> None:
    campaign = started(chain)
    with pytest.raises(DomainError) as refused:
        gone(chain, campaign, "1", by=chain.world.cooperative)
    assert refused.value.code == "not_a_holder"


def test_what_came_back_and_is_nowhere_is_said(chain: Chain) -> None:

    world = chain.world
    campaign = started(chain)
    back(chain, campaign, world.distributor.organisation, "10")
    assert not any(one.unaccounted for one in recovered_against(campaign))
    sampled(world.walnuts, chain.pouch_a, "8", when=day(42))
    assert [one.unaccounted for one in recovered_against(campaign)] == [3 * MICROS]


def test_a_return_declared_wrong_no_longer_counts(chain: Chain) -> None:
    from trace.actions.corrections import declare_error

    campaign = started(chain)
    (receipt,) = back(chain, campaign, chain.world.distributor.organisation, "10")
    declare_error(by=chain.world.walnuts, event=receipt.event, reason="did_not_occur", when=day(41))
    now = sums(campaign)
    assert now.recovered == 0
    assert adds_up(now)


def test_two_campaigns_on_one_lot_share_its_goods(chain: Chain) -> None:
    world = chain.world
    first, second = started(chain), started(chain)
    answer_stock(
        by=world.distributor,
        notice=notice_to(first, world.distributor.organisation),
        lots=[answer(chain.pouch_a, 16, 16)],
    )
    back(chain, second, world.distributor.organisation, "16")
    gone(chain, second, "16")
    for campaign in (first, second):
        now = sums(campaign)
        assert (now.recovered, now.destroyed, now.held, now.excess) == (16 * MICROS, 16 * MICROS, 0, 0)
        assert adds_up(now)


def test_answers_of_a_drill_stay_in_the_drill(chain: Chain) -> None:
    world = chain.world
    drill, real = started(chain, is_drill=True), started(chain)
    answer_stock(
        by=world.walnuts, notice=notice_to(drill, world.distributor.organisation), lots=[answer(chain.pouch_a, 16, 16)]
    )
    assert sums(drill).held == 16 * MICROS
    assert sums(real).held == 0


def test_goods_that_lie_in_two_places_are_destroyed_in_one_go(chain: Chain) -> None:
    world = chain.world
    campaign = announced(chain)
    receive_return(
        by=world.walnuts,
        campaign=campaign,
        organisation=chain.outsider,
        lines=[GoodsLine(chain.pouch_a, amount("5", world.kernels))],
        when=day(40),
        place=world.plant,
    )
    there = stock_of(chain.pouch_a, world.walnuts.organisation)
    assert chain.pouch_a.stocks.filter(organisation=world.walnuts.organisation, micros__gt=0).count() == 2
    rows = gone(chain, campaign, str(there // MICROS))
    assert sum(row.micros for row in rows) == there
    assert len(rows) == 2
    assert stock_of(chain.pouch_a, world.walnuts.organisation) == 0
