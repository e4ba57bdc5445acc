"""Recalls of part of a lot: by carton, numbers, hours; who has it, what a scan says, what may still move."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from django.test import Client

from labels.recall_state import standing_of
from recalls.actions.assessment import assess
from recalls.actions.campaigns import decide, propose, start_campaign
from recalls.actions.disposal import approve_release, propose_release
from recalls.actions.distribution import Buyer, tell_buyers
from recalls.actions.goods import GoodsLine, destroy, receive_return
from recalls.actions.scopes import expand_scope, freeze_scope, narrow_scope
from recalls.actions.signals import raise_signal
from recalls.comparing import compare
from recalls.figures import figures
from recalls.models import Campaign, Notice, ScopeVersion
from recalls.notice_states import NoticeStatus
from recalls.parts import Part, PartKind, hours_words, resolved
from recalls.scope import Question, latest_scope, preview_scope, question_of
from tests.goods import amount, day, ship
from tests.recalls.story import FINDING
from tests.recalls.test_disposal import label_case
from tests.trace.test_packs import Hall
from tests.world import World, sign_in
from trace.actions.events import Portion
from trace.errors import DomainError, GuardBroken
from trace.guards import blocking
from trace.models import Unit

WHY = "示例：换垫片之前灌装的留样全部合格"
NUMBERS = itertools.count(1)
PROOF = "示例检验报告 2026-88"


@pytest.fixture
def hall(world: World) -> Hall:
    """The distillery's bottling hall."""
    return Hall(world, world.distillery)


class Sold:
    """Twelve bottles in four cartons: two went to the distributor, one of those on to the shop, two are at home."""

    def __init__(self, hall: Hall) -> None:
        self.hall, self.world = hall, hall.world
        self.lot = hall.lot(12)
        self.cartons = hall.cartons(self.lot, each=3)
        self.packed_until = day(8, 23).at
        first, second, *_home = self.cartons
        hall.receive(hall.ship(first, second), first, second)
        self.shipment = hall.ship(second, to=self.world.shop, by=self.world.distributor)

    def campaign(self, *parts: Part, evidence: str = PROOF) -> Campaign:
        """Assessed and scoped, not yet decided."""
        by = self.world.distillery_quality
        campaign = assess(
            by=by,
            organisation=by.organisation,
            track="food",
            title="示例白酒 瓶内有异物",
            knew_at=day(40).at,
            finding=FINDING,
            signals=[raise_signal(by=by, source="self_check", text=f"示例：玻璃屑 {next(NUMBERS)}", lot=self.lot)],
        )
        freeze_scope(by=by, campaign=campaign, question=self.question(*parts), evidence=evidence)
        return campaign

    def question(self, *parts: Part) -> Question:
        """The lot, in part."""
        return Question.of([self.lot], parts=parts)

    def started(self, *parts: Part) -> Campaign:
        """Decided and started."""
        campaign = decide(by=self.world.distillery, campaign=self.campaign(*parts))
        return start_campaign(by=self.world.distillery_quality, campaign=campaign, stop_order=True)

    def cartons_part(self, *cartons: Unit, reason: str = WHY) -> Part:
        """Some cartons."""
        return Part(self.lot.pk, PartKind.PACKS, " ".join(one.code for one in cartons), reason)

    def bottle(self, number: int) -> Unit:
        """One bottle by its number."""
        return Unit.objects.get(lot=self.lot, level="item", number=number)


@pytest.fixture
def sold(hall: Hall) -> Sold:
    """The goods of every test."""
    return Sold(hall)


def version_of(campaign: Campaign) -> ScopeVersion:
    """The version in force."""
    found = latest_scope(campaign)
    assert found is not None
    return found


def refused(code: str, part: Part) -> None:
    """Fail unless the part is refused with this code."""
    with pytest.raises(DomainError) as error:
        resolved(part)
    assert error.value.code == code


def test_a_carton_is_recalled_and_the_rest_of_the_lot_is_not(sold: Sold, client: Client) -> None:
    world, (_first, second, third, _fourth) = sold.world, sold.cartons
    campaign = sold.started(sold.cartons_part(second))
    version = version_of(campaign)
    (row,) = version.lots.all()
    assert (row.ranges, row.made_micros, row.part["rest_micros"], row.part["reason"]) == (
        [[4, 6]],
        1_500_000,
        4_500_000,
        WHY,
    )
    assert version.evidence == PROOF
    held = {one.organisation: (one.on_hand_micros, one.unconfirmed_micros) for one in version.holdings.all()}
    assert held == {
        world.distillery.organisation: (0, 0),
        world.distributor.organisation: (0, 0),
        world.shop.organisation: (1_500_000, 0),
    }, "the shop has the carton; the distributor had it and must know; the maker is the maker"
    assert {notice.organisation for notice in campaign.notices.all()} == {
        world.distributor.organisation,
        world.shop.organisation,
    }
    assert (standing_of(sold.lot, sold.bottle(5)).recalled, standing_of(sold.lot, sold.bottle(7)).recalled) == (
        True,
        False,
    )
    assert standing_of(sold.lot, None).partly, "the lot's own code cannot say"
    assert "已召回" in client.get(f"/c/{sold.bottle(5).code}").content.decode()
    sibling = client.get(f"/c/{sold.bottle(7).code}").content.decode()
    assert "您这一件不在其中" in sibling
    assert "已召回" not in sibling
    assert figures(campaign).totals["LTR"].made == 1_500_000
    # What is outside may go by its code; what is inside, or cannot be told apart, may not.
    assert sold.hall.ship(third) is not None
    sold.hall.receive(sold.shipment, second, by=world.shop)
    with pytest.raises(GuardBroken):
        sold.hall.ship(second, to=world.distributor, by=world.shop)
    with pytest.raises(GuardBroken):
        ship(world.distillery, world.distributor.organisation, sold.lot, "0.5", when=day(45))
    portion = Portion(sold.lot, amount("0.5", world.baijiu), world.cellar)
    with pytest.raises(GuardBroken):
        sold.hall.ship(sold.cartons[3], portions=[portion])


def test_returns_and_destruction_are_counted_against_the_part(sold: Sold) -> None:
    world, (first, second, *_rest) = sold.world, sold.cartons
    campaign = sold.started(sold.cartons_part(first, second))
    numbers = figures(campaign).totals["LTR"]
    assert (numbers.made, numbers.unknown, numbers.in_house) == (3_000_000, 3_000_000, 0)
    line = [GoodsLine(sold.lot, amount("1.5", world.baijiu))]
    receive_return(
        by=world.distillery, campaign=campaign, organisation=world.distributor.organisation, lines=line, when=day(46)
    )
    numbers = figures(campaign).totals["LTR"]
    assert (numbers.recovered, numbers.in_house, numbers.unknown) == (1_500_000, 1_500_000, 1_500_000)
    destroy(
        by=world.distillery,
        campaign=campaign,
        lines=line,
        when=day(47),
        method="destroy",
        place="示例处理厂",
        witness=world.county.organisation,
        announced_at=day(46).at,
    )
    numbers = figures(campaign).totals["LTR"]
    assert (numbers.destroyed, numbers.in_house, numbers.unknown, numbers.excess) == (1_500_000, 0, 1_500_000, 0)
    assert numbers.made == numbers.accounted + numbers.unknown + numbers.sold


def test_a_part_may_be_named_by_numbers_codes_and_hours(sold: Sold) -> None:
    lot = sold.lot.pk
    codes = f"2-3，{sold.bottle(9).code}、11"
    assert resolved(Part(lot, PartKind.UNITS, codes, WHY)).ranges == ((2, 3), (9, 9), (11, 11))
    assert resolved(sold.cartons_part(sold.cartons[0], sold.cartons[3])).ranges == ((1, 3), (10, 12))
    # The four cartons were packed on the days 5 to 8.
    hours = hours_words(day(6, 0).at, day(7, 23).at)
    assert resolved(Part(lot, PartKind.HOURS, hours, WHY)).ranges == ((4, 9),)
    more = sold.hall.codes(sold.lot, 2)
    ranges = resolved(Part(lot, PartKind.HOURS, hours, WHY)).ranges
    assert ranges == ((4, 9), (more[0].number, more[1].number)), "nobody knows when they were packed: they are in"
    carton = standing_of(sold.lot, sold.cartons[1])
    assert not carton.recalled
    for code, part in {
        "part_reason_required": Part(lot, PartKind.UNITS, "1", " "),
        "part_empty": Part(lot, PartKind.UNITS, "999", WHY),
        "part_unreadable": Part(lot, PartKind.HOURS, "昨天/今天", WHY),
        "part_is_whole": Part(lot, PartKind.UNITS, "1-99", WHY),
    }.items():
        refused(code, part)
    for hostile in ("9" * 40, "3-1", "0", "\x00", "1-", "-5", "\ud800", "１２"):
        with pytest.raises(DomainError):
            resolved(Part(lot, PartKind.UNITS, hostile, WHY))


def test_a_part_needs_evidence_a_lot_of_the_scope_and_is_asked_again_without_shrinking(sold: Sold) -> None:
    part = sold.cartons_part(sold.cartons[1])
    with pytest.raises(DomainError) as error:
        sold.campaign(part, evidence=" ")
    assert error.value.code == "guard_scope_evidence"
    stranger = sold.hall.lot(6)
    with pytest.raises(DomainError) as error:
        preview_scope(sold.question(Part(stranger.pk, PartKind.UNITS, "1", WHY)))
    assert error.value.code == "part_not_in_scope"
    campaign = sold.campaign(part)
    again = question_of(version_of(campaign))
    assert again.parts == (replace(part, ranges=((4, 6),)),)
    assert preview_scope(again).sha256() == version_of(campaign).sha256


def test_narrowing_to_a_part_tells_everybody_and_widening_tells_them_again(sold: Sold) -> None:
    world = sold.world
    campaign = sold.started()
    assert blocking([sold.lot])[sold.lot.pk][0].unit_from is None
    assert campaign.notices.count() == 2
    listed = Buyer("示例名单商店", sold.lot, 10**6, "", "list@example.com", "示例路 9 号")
    (unrecorded,) = tell_buyers(by=world.distillery, campaign=campaign, buyers=[listed])
    third, fourth = sold.cartons[2:]
    part = sold.cartons_part(third, fourth)
    question = sold.question(part)
    propose(
        by=world.distillery_quality, campaign=campaign, action="narrow_scope", reason="示例：两箱", question=question
    )
    campaign = narrow_scope(
        by=world.distillery, campaign=campaign, question=sold.question(part), reason="示例", evidence=PROOF
    )
    states = {one.organisation_id: one.status for one in Notice.objects.filter(campaign=campaign)}
    assert states == {
        world.distributor.organisation.pk: NoticeStatus.WITHDRAWN,
        world.shop.organisation.pk: NoticeStatus.WITHDRAWN,
        unrecorded.organisation_id: unrecorded.status,
    }, "neither has anything of the two cartons that never left; what a listed buyer has no record says"
    assert not standing_of(sold.lot, sold.bottle(5)).recalled
    assert standing_of(sold.lot, third).recalled, "a carton answers to what lies in it"
    first, second = campaign.scopes.order_by("number")
    (change,) = compare(first, second).changed
    assert (change.before, change.after, change.reason) == (None, "7–12", WHY)
    with pytest.raises(DomainError) as error:
        narrow_scope(
            by=world.distillery,
            campaign=campaign,
            question=sold.question(sold.cartons_part(sold.cartons[0])),
            reason="示例",
            evidence=PROOF,
        )
    assert error.value.code in {"scope_not_narrower", "second_person_required"}
    campaign = expand_scope(
        by=world.distillery_quality, campaign=campaign, question=sold.question(), reason="示例：又发现一瓶"
    )
    assert standing_of(sold.lot, sold.bottle(5)).recalled
    told = campaign.notices.exclude(status=NoticeStatus.WITHDRAWN)
    both = {world.distributor.organisation, world.shop.organisation}
    assert {one.organisation for one in told} == both | {unrecorded.organisation}


def test_who_settled_its_answer_about_a_part_is_asked_again_when_more_is_recalled(sold: Sold) -> None:
    campaign = sold.started(sold.cartons_part(sold.cartons[0]))
    (notice,) = campaign.notices.all()
    Notice.objects.filter(pk=notice.pk).update(status=NoticeStatus.SETTLED)
    expand_scope(by=sold.world.distillery_quality, campaign=campaign, question=sold.question(), reason="示例：又一瓶")
    again = campaign.notices.filter(organisation=notice.organisation).exclude(pk=notice.pk).get()
    assert again.is_open
    assert campaign.notices.count() == 3, "and the shop that has the second carton"


def test_the_page_narrows_to_a_part_by_steps_and_shows_why_the_rest_is_free(sold: Sold, client: Client) -> None:
    campaign = sold.campaign()
    page = f"/recall/campaigns/{campaign.uid}/scope/"
    sign_in(client, sold.world.distillery_quality)
    assert "只召回一部分" in client.get(page).content.decode()
    asked = {"of": str(sold.lot.uid), "lot": str(sold.lot.uid), "kind": "units", "codes": "4-6", "reason": WHY}
    assert client.post(page + "part/", {**asked, "codes": ""}).status_code == 422
    assert client.post(page + "part/", {**asked, "codes": "999"}).status_code == 422
    there = client.post(page + "part/", asked)
    assert there.status_code == 302
    shown = client.get(there["Location"]).content.decode()
    assert "只涉及编号 4–6" in shown
    assert WHY in shown
    query = dict(pair.split("=", 1) for pair in there["Location"].partition("?")[2].split("&"))
    assert set(query) >= {"part", "part_kind", "part_words", "part_reason"}
    kept = {
        "lot": str(sold.lot.uid),
        "part": str(sold.lot.uid),
        "part_kind": "units",
        "part_words": "4-6",
        "part_reason": WHY,
    }
    assert client.post(page, kept).status_code == 422, "no evidence"
    assert client.post(page, {**kept, "evidence": PROOF}).status_code == 302
    assert version_of(campaign).lots.get().ranges == [[4, 6]]
    client.logout()
    sign_in(client, sold.world.walnuts_quality)
    assert client.post(page + "part/", asked).status_code == 404
    assert client.get(page + f"part/?of={sold.lot.uid}").status_code == 404
    client.logout()
    sign_in(client, sold.world.distillery_quality)
    assert client.get(page + "?" + "&".join(["part=" + str(sold.lot.uid)])).status_code in (200, 404)
    assert client.get(page + "part/?of=%00").status_code == 404


def test_only_numbers_that_stand_for_the_goods_put_right_are_let_go(sold: Sold, client: Client) -> None:
    world, campaign = sold.world, sold.started()
    label_case(campaign)
    how = {"by": world.distillery_quality, "campaign": campaign, "lot": sold.lot, "correction": "示例：加贴更正标签"}

    def tried(first: int, last: int, litres: str) -> str:
        try:
            propose_release(**how, micros=amount(litres, world.baijiu).micros, units=(first, last))  # type: ignore[arg-type]
        except DomainError as error:
            return f"{error.code}: {error.message}"
        return ""

    # Cartons 3 and 4 (bottles 7 to 12, half a litre each) are at home; 1 to 3 are with the distributor.
    assert tried(13, 14, "1").startswith("range_wrong: 批次")
    assert world.distillery.owner.label in tried(3, 8, "3")
    assert tried(7, 12, "1") == "range_wrong: 件号 7—12 的单件一共是 3 升，与填写的数量不符。"
    assert tried(7, 8, "1") == ""
    assert tried(7, 8, "1") == "", "proposed twice while nothing was approved yet"
    first, second = campaign.releases.order_by("id")
    approve_release(by=world.distillery, release=first)
    assert tried(8, 9, "1").startswith("range_wrong: 批次")
    with pytest.raises(DomainError, match="已经放行过"):
        approve_release(by=world.distillery, release=second)
    sign_in(client, world.distillery_quality)
    at = f"/recall/campaigns/{campaign.uid}/releases/"
    page = client.post(
        at,
        {"amount_0": "1", "unit_0": "LTR", "correction": "示例：加贴标签", "unit_from": "9", "unit_to": "12"},
    )
    assert page.status_code == 422
    assert "件号 9—12 的单件一共是 2 升" in page.content.decode()
    assert campaign.releases.count() == 2
