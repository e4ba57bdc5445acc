"""A small supply chain and a campaign on it, brought to any stage through the actions users call.

One lot of kernels becomes two lots of pouches in one run. Pouch A goes to a distributor (confirmed), from there to a
shop (not confirmed) and to a buyer without account; and from the maker to an outsider of its own. Pouch B stays.
"""

from __future__ import annotations

import datetime
import itertools
from dataclasses import dataclass

from recalls.actions.announcements import Announcement, draft_notice
from recalls.actions.answers import LotAnswer, answer_stock
from recalls.actions.assessment import Finding, assess
from recalls.actions.campaigns import (
    announce,
    carry_out,
    close,
    decide,
    finish_collecting,
    finish_disposal,
    start_campaign,
    summarise,
)
from recalls.actions.goods import GoodsLine, destroy, receive_return
from recalls.actions.scopes import freeze_scope
from recalls.actions.signals import raise_signal
from recalls.models import Campaign, Notice
from recalls.scope import Question
from tests.goods import amount, day, make_lot, receive, released, ship, turn_into
from tests.world import World, make_organisation
from trace.models import Lot, Organisation
from trace.units import MICROS

KNEW = day(30).at
_numbers = itertools.count(1)


@dataclass
class Chain:
    """The goods of the story and who has them."""

    world: World
    mother: Lot
    pouch_a: Lot
    pouch_b: Lot
    outsider: Organisation
    far_outsider: Organisation


def make_chain(world: World) -> Chain:
    """The chain described above."""
    by = world.walnuts
    mother = make_lot(by, world.kernels, "100", when=day(0))
    pouch_a, pouch_b = turn_into(by, [(mother, "90")], [(world.kernels, "40"), (world.kernels, "50")], when=day(1))
    for number, lot in enumerate((pouch_a, pouch_b)):
        released(by, world.walnuts_quality, lot, when=day(2, 8 + number))
    outsider = make_organisation(
        "示例外地商行",
        "retailer",
        status="external",
        kept_by=by.organisation,
        recall_contact_email="outsider@example.org",
    )
    far = make_organisation("示例远方小店", "retailer", status="external", kept_by=world.distributor.organisation)
    receive(world.distributor, ship(by, world.distributor.organisation, pouch_a, "30", when=day(3)), when=day(4))
    ship(by, outsider, pouch_a, "5", when=day(3))
    ship(world.distributor, world.shop.organisation, pouch_a, "10", when=day(5))
    ship(world.distributor, far, pouch_a, "4", when=day(5))
    return Chain(world, mother, pouch_a, pouch_b, outsider, far)


FINDING = Finding(
    hazard="toxin",
    severity="serious",
    probability="likely",
    verdict="recall",
    basis="示例检验报告:黄曲霉毒素B1 超过限量",
    level=1,
    population="所有食用者",
)


def assessed(chain: Chain, *, is_drill: bool = False, knew_at: datetime.datetime = KNEW) -> Campaign:
    """A campaign opened by the firm's quality officer from a signal."""
    by = chain.world.walnuts_quality
    signal = raise_signal(
        by=by,
        source="drill" if is_drill else "self_check",
        text=f"示例:复检不合格 {next(_numbers)}",
        lot=chain.pouch_a,
        received_at=knew_at,
        is_drill=is_drill,
    )
    return assess(
        by=by,
        organisation=by.organisation,
        track="food",
        title="示例核桃仁黄曲霉毒素超标",
        knew_at=knew_at,
        finding=FINDING,
        signals=[signal],
        is_drill=is_drill,
    )


def scoped(chain: Chain, *, is_drill: bool = False, same_run: bool = False) -> Campaign:
    """Assessed, with pouch A in the scope."""
    campaign = assessed(chain, is_drill=is_drill)
    freeze_scope(
        by=chain.world.walnuts_quality, campaign=campaign, question=Question.of([chain.pouch_a], same_run=same_run)
    )
    return campaign


def decided(chain: Chain, **how: bool) -> Campaign:
    """Decided by the owner."""
    return decide(by=chain.world.walnuts, campaign=scoped(chain, **how))


def started(chain: Chain, **how: bool) -> Campaign:
    """Started by the quality officer."""
    return start_campaign(by=chain.world.walnuts_quality, campaign=decided(chain, **how), stop_order=True)


ANNOUNCEMENT = Announcement(
    producer="汾阳示例核桃加工有限公司",
    address="汾阳市示例路 1 号",
    legal_representative="示例法人",
    person_in_charge="示例负责人",
    phone="0358-0000000",
    email="recall@example.org",
    reason="黄曲霉毒素B1 超过国家标准限量",
    risk="长期食用可能损害肝脏",
    begins_on=datetime.date(2026, 10, 21),
    ends_on=datetime.date(2026, 11, 20),
    area="山西省",
    duties="立即停止销售",
    what_to_do="立即停止食用,凭实物退货",
    compensation="退还货款",
)


def announced(chain: Chain) -> Campaign:
    """Started and announced: drafted by the quality officer, published by the owner."""
    campaign = started(chain)
    draft_notice(by=chain.world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    return announce(by=chain.world.walnuts, campaign=campaign, channel="本系统公告页")


def notice_to(campaign: Campaign, organisation: Organisation) -> Notice:
    """The newest notice to this organisation."""
    found = campaign.notices.filter(organisation=organisation).select_related("campaign", "organisation").last()
    assert found is not None
    return found


def answer(lot: Lot, on_hand: int, sealed: int = 0, sold: int = 0, unknown: int = 0) -> LotAnswer:
    """A stock answer in whole base units."""
    return LotAnswer(lot, on_hand * MICROS, sealed * MICROS, sold * MICROS, unknown * MICROS)


def summarised(chain: Chain) -> Campaign:
    """Everybody answered or explained, goods back and destroyed, summed up by the quality officer."""
    world = chain.world
    campaign = announced(chain)
    answer_stock(
        by=world.distributor,
        notice=notice_to(campaign, world.distributor.organisation),
        lots=[answer(chain.pouch_a, 16, 16)],
    )
    campaign.refresh_from_db()
    receive_return(
        by=world.walnuts,
        campaign=campaign,
        organisation=world.distributor.organisation,
        lines=[GoodsLine(chain.pouch_a, amount("16", world.kernels))],
        when=day(40),
    )
    destroy(
        by=world.walnuts,
        campaign=campaign,
        lines=[GoodsLine(chain.pouch_a, amount("16", world.kernels))],
        when=day(41),
        method="destroy",
        place="示例无害化处理厂",
        witness=world.county.organisation,
        announced_at=day(39).at,
    )
    campaign.refresh_from_db()
    if campaign.status == "announced":
        campaign = carry_out(by=world.walnuts, campaign=campaign)
    campaign = finish_collecting(by=world.walnuts_quality, campaign=campaign, reason="其余单位已电话核实")
    campaign = finish_disposal(by=world.walnuts_quality, campaign=campaign)
    return summarise(by=world.walnuts_quality, campaign=campaign, summary="示例总结")


def closed(chain: Chain) -> Campaign:
    """Closed by the county's approver."""
    return close(by=chain.world.county_approver, campaign=summarised(chain))
