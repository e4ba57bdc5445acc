"""Goods coming back and going away: reports beforehand, witnesses, files, oddities, corrected goods, the balance."""

import datetime
import io
from dataclasses import replace
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image

from recalls.access import notice_link
from recalls.actions.answers import answer_stock
from recalls.actions.assessment import assess
from recalls.actions.campaigns import decide, start_campaign
from recalls.actions.disposal import (
    approve_release,
    explain_difference,
    note_oddity,
    propose_release,
    report_disposal,
    send_back,
    send_back_by_link,
)
from recalls.actions.goods import GoodsLine, destroy, receive_return
from recalls.actions.scopes import expand_scope, freeze_scope
from recalls.balance import balances
from recalls.figures import figures, recovered_against
from recalls.guards import unexplained
from recalls.models import Assessment, Campaign, CorrectedRelease, Disposal, ReturnOddity
from recalls.queries import step_words
from recalls.scope import Question
from tests.goods import amount, day, receive, sampled, ship, turn_into
from tests.recalls.story import FINDING, KNEW, Chain, announced, answer, notice_to
from tests.world import make_product, sign_in
from trace.actions.events import When
from trace.actions.files import store_file
from trace.errors import DomainError
from trace.models import Organisation
from trace.units import MICROS


@pytest.fixture
def campaign(chain: Chain) -> Campaign:
    """An announced recall."""
    return announced(chain)


def refusal(run: Any, *args: Any, **kwargs: Any) -> str:
    """The code with which an action refuses."""
    with pytest.raises(DomainError) as refused:
        run(*args, **kwargs)
    return refused.value.code


def picture() -> bytes:
    """A small photograph."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "PNG")
    return out.getvalue()


def test_a_destruction_is_reported_before_and_kept_with_its_files(chain: Chain, campaign: Campaign) -> None:
    by = chain.world.walnuts
    now = timezone.now()
    lines = [(chain.pouch_a, 2 * MICROS)]
    how: dict[str, Any] = {"campaign": campaign, "lines": lines, "place": "示例填埋场", "method": "destroy"}
    assert refusal(report_disposal, by=by, planned_at=now, **how) == "planned_too_late"
    soon = now + datetime.timedelta(hours=2)
    assert refusal(report_disposal, by=chain.world.distillery, planned_at=soon, **how) == "not_own"
    assert refusal(report_disposal, by=by, planned_at=soon, **(how | {"lines": []})) == "subjects_required"
    wrong = how | {"lines": [(chain.pouch_b, MICROS)]}
    assert refusal(report_disposal, by=by, planned_at=soon, **wrong) == "not_in_scope"
    plan = report_disposal(by=by, planned_at=soon, **how)
    file = store_file(by=by, name="过磅单.png", content=io.BytesIO(picture()))
    deed: dict[str, Any] = {
        "by": by,
        "campaign": campaign,
        "lines": [GoodsLine(chain.pouch_a, amount("2", chain.world.kernels))],
        "method": "destroy",
        "place": "示例填埋场",
        "plan": plan,
    }
    # What was done before it was reported is no report beforehand.
    early = When(now - datetime.timedelta(hours=1))
    assert refusal(destroy, when=early, witness=chain.world.county.organisation, **deed) == "announced_late"
    late = When(timezone.now() + datetime.timedelta(seconds=1))
    assert refusal(destroy, when=late, **deed) == "witness_required"
    assert refusal(destroy, when=late, witness_name="示例 张三", executor="示例张三", **deed) == "witness_same"
    assert by.user is not None
    assert refusal(destroy, when=late, witness_name=by.user.display_name, **deed) == "witness_same"
    others = deed | {"plan": None, "by": chain.world.distributor, "holder": chain.world.distributor.organisation}
    assert refusal(destroy, when=late, witness_name="示例王五", **(others | {"plan": plan})) == "not_found"
    (row,) = destroy(when=When(timezone.now()), witness_name="示例王五", executor="示例张三", files=[file], **deed)
    assert row.announced_at == plan.reported_at
    assert row.fact.plan == plan
    assert row.files.get().sha256 == file.sha256
    file.refresh_from_db()
    assert file.event == row.event


def test_what_was_sent_back_is_held_against_what_arrived(chain: Chain, campaign: Campaign) -> None:
    told = notice_to(campaign, chain.outsider)
    token = notice_link(told)
    now = timezone.now()
    lines = [(chain.pouch_a, 5 * MICROS)]
    (sent,) = send_back_by_link(token=token, lines=lines, sent_at=now, carrier="示例物流", parcel="SF1")
    assert send_back_by_link(token=token, lines=lines, sent_at=now, parcel="SF1") == [sent]
    late = now + datetime.timedelta(days=1)
    assert refusal(send_back_by_link, token=token, lines=lines, sent_at=late) == "in_future"
    outside = [(chain.pouch_b, MICROS)]
    assert refusal(send_back_by_link, token=token, lines=outside, sent_at=now) == "not_in_scope"
    assert refusal(send_back, by=chain.world.lab, notice=told, lines=lines, sent_at=now) == "not_your_notice"
    how: dict[str, Any] = {"by": chain.world.walnuts, "campaign": campaign, "organisation": chain.outsider}
    line = GoodsLine(chain.pouch_a, amount("4", chain.world.kernels))
    assert refusal(receive_return, lines=[line], when=day(40), condition="empty", **how) == "empty_is_no_goods"
    (got,) = receive_return(lines=[line], when=day(40), **how)
    assert (got.declared_micros, got.micros) == (5 * MICROS, 4 * MICROS)
    (rest,) = receive_return(lines=[GoodsLine(chain.pouch_a, amount("1", chain.world.kernels))], when=day(40), **how)
    assert rest.declared_micros == MICROS


def test_wrong_lots_and_empty_bottles_count_in_no_figure(chain: Chain, campaign: Campaign) -> None:
    told = notice_to(campaign, chain.outsider)
    before = figures(campaign).as_json()
    how: dict[str, Any] = {"notice": told, "count": 6, "handling": "apart"}
    assert refusal(note_oddity, by=chain.world.distributor, kind="empty", **how) == "not_own"
    assert refusal(note_oddity, by=chain.world.walnuts, kind="odd", **how) == "unknown_choice"
    assert refusal(note_oddity, by=chain.world.walnuts, kind="empty", **(how | {"count": 0})) == "amount_zero"
    note_oddity(by=chain.world.walnuts, kind="empty", **how)
    note_oddity(by=chain.world.walnuts, kind="wrong_lot", code=chain.pouch_b.code, **how)
    assert ReturnOddity.objects.count() == 2
    assert figures(campaign).as_json() == before


def test_the_balance_of_every_lot_closes_and_an_unexplained_difference_bars_closing(
    chain: Chain, campaign: Campaign
) -> None:
    notes: dict[int, str] = {}
    (row,) = balances(figures(campaign), notes)
    assert row.balanced
    assert row.accounted == row.amounts.made == 40 * MICROS
    told = notice_to(campaign, chain.world.distributor.organisation)
    answer_stock(by=chain.world.distributor, notice=told, lots=[answer(chain.pouch_a, 90, 90)])
    (row,) = balances(figures(campaign), notes)
    assert not row.balanced
    assert [one.lot for one in unexplained(campaign)] == [chain.pouch_a]
    how: dict[str, Any] = {"campaign": campaign, "lot": chain.pouch_a}
    assert refusal(explain_difference, by=chain.world.walnuts, explanation=" ", **how) == "required"
    assert refusal(explain_difference, by=chain.world.county_approver, explanation="x", **how) == "role_required"
    explain_difference(by=chain.world.walnuts, explanation="对方把别的批次一起数了", **how)
    assert unexplained(campaign) == []
    told.refresh_from_db()
    answer_stock(by=chain.world.distributor, notice=told, lots=[answer(chain.pouch_a, 95, 95)])
    assert len(unexplained(campaign)) == 1
    other = how | {"lot": chain.pouch_b}
    assert refusal(explain_difference, by=chain.world.walnuts, explanation="x", **other) == "no_difference"


def test_only_what_was_corrected_may_be_sold_again_and_only_in_a_label_case(
    chain: Chain, campaign: Campaign, client: Client
) -> None:
    world = chain.world
    how: dict[str, Any] = {"campaign": campaign, "lot": chain.pouch_a, "correction": "加贴过敏原标签"}
    assert refusal(propose_release, by=world.walnuts_quality, micros=MICROS, **how) == "not_label_only"
    label_case(campaign)
    assert refusal(propose_release, by=world.walnuts_quality, micros=6 * MICROS, **how) == "more_than_there"
    assert refusal(propose_release, by=world.walnuts_quality, micros=MICROS, units=(5, 2), **how) == "range_wrong"
    release = propose_release(by=world.walnuts_quality, micros=2 * MICROS, **how)

    def sell(text: str) -> None:
        sent = ship(world.walnuts, world.distributor.organisation, chain.pouch_a, text, when=day(41))
        receive(world.distributor, sent, when=day(41))

    assert refusal(sell, "1") == "lot_blocked"
    assert refusal(approve_release, by=world.walnuts_quality, release=release) == "role_required"
    approve_release(by=world.walnuts, release=release)
    approve_release(by=world.walnuts, release=release)
    numbers = figures(campaign).totals["KGM"]
    assert (numbers.released, numbers.in_house, numbers.excess) == (2 * MICROS, 3 * MICROS, 0)
    assert refusal(sell, "3") == "lot_blocked"
    sell("1")
    # What was put right is neither held nor lost, whoever has it now, and is told apart from goods still looked for.
    assert replace(figures(campaign).totals["KGM"], shipped=numbers.shipped) == numbers
    assert [row.balanced for row in balances(figures(campaign))].count(False) == 0
    assert refusal(sell, "2") == "lot_blocked"
    # Labels are put right where the goods lie, too: at a holder that said what it has, and at no other.
    told = notice_to(campaign, world.distributor.organisation)
    sign_in(client, world.walnuts_quality)
    at = f"/recall/campaigns/{campaign.uid}/releases/?holder={world.distributor.organisation.uid}"
    assert client.get(at).status_code == 404
    answer_stock(by=world.distributor, notice=told, lots=[answer(chain.pouch_a, 4, 4)])
    client.post(at, {"amount_0": "4", "unit_0": "KGM", "correction": "加贴过敏原标签"})
    assert campaign.releases.filter(holder=world.distributor.organisation, micros=4 * MICROS).count() == 1
    campaign.refresh_from_db()
    # A wider scope brings a new hold: what was released stays released, and no more.
    expand_scope(
        by=world.walnuts_quality,
        campaign=campaign,
        question=Question.of([chain.pouch_a, chain.pouch_b], same_run=False),
        reason="同一次加工",
    )
    assert refusal(sell, "2") == "lot_blocked"
    sell("1")
    assert refusal(sell, "1") == "lot_blocked"

    # Who bought goods that were put right sells them on, what it had before stays blocked; so does who bought from it.
    def sell_on(seller: Any, buyer: Any, text: str, on: int = 42) -> None:
        receive(buyer, ship(seller, buyer.organisation, chain.pouch_a, text, when=day(on)), when=day(on))

    assert refusal(sell_on, world.distributor, world.shop, "3") == "lot_blocked"
    sell_on(world.distributor, world.shop, "2")
    assert refusal(sell_on, world.distributor, world.shop, "1") == "lot_blocked"
    sell_on(world.shop, world.distributor, "1", 43)
    # Closing leaves the rest held: it may still be put right, by two people as before.
    now = timezone.now()
    Campaign.objects.filter(pk=campaign.pk).update(status="closed", ended_at=now, ended_by=world.walnuts.user)
    campaign.refresh_from_db()
    late = propose_release(by=world.walnuts_quality, micros=MICROS, **how | {"campaign": campaign})
    approve_release(by=world.walnuts, release=late)
    assert refusal(sell, "2") == "lot_blocked"
    sell("1")


def label_case(campaign: Campaign) -> Campaign:
    """The campaign with its newest assessment about the label alone."""
    last = campaign.assessments.get()
    Assessment.objects.create(
        campaign=campaign,
        hazard="labelling",
        severity="none",
        probability="remote",
        verdict="recall",
        basis="示例",
        level=3,
        by=last.by,
        by_organisation=last.by_organisation,
    )
    return campaign


def put_right(chain: Chain, campaign: Campaign, micros: int, holder: Organisation | None = None) -> None:
    """So much of the pouches proposed and approved."""
    how: dict[str, Any] = {"campaign": campaign, "lot": chain.pouch_a, "correction": "加贴过敏原标签"}
    release = propose_release(by=chain.world.walnuts_quality, micros=micros, holder=holder, **how)
    approve_release(by=chain.world.walnuts, release=release)


def test_who_gives_back_the_rest_sells_what_was_put_right(chain: Chain, campaign: Campaign) -> None:
    world, lot = chain.world, chain.pouch_a
    holder = world.distributor.organisation
    answer_stock(by=world.distributor, notice=notice_to(campaign, holder), lots=[answer(lot, 16, 16)])
    put_right(chain, label_case(campaign), 5 * MICROS, holder)
    lines = [GoodsLine(lot, amount("11", world.kernels))]
    receive_return(by=world.walnuts, campaign=campaign, organisation=holder, lines=lines, when=day(40))
    numbers = figures(campaign).totals["KGM"]
    assert (numbers.released, numbers.held, numbers.in_house) == (5 * MICROS, 0, 16 * MICROS)
    # What was put right elsewhere does not stand for what came back: the whole of that is still there.
    assert [(one.released, one.unaccounted) for one in recovered_against(campaign)] == [(0, 0)]
    sold = ship(world.distributor, world.shop.organisation, lot, "5", when=day(41))
    assert sold.transfers.get().sent_micros == 5 * MICROS
    assert [row.balanced for row in balances(figures(campaign))] == [True]


def test_a_county_lets_nothing_go_in_a_recall_of_the_province(chain: Chain, campaign: Campaign) -> None:
    world = chain.world
    label_case(campaign)
    Campaign.objects.filter(pk=campaign.pk).update(authority=world.province.organisation)
    how = {"campaign": campaign, "lot": chain.pouch_a, "micros": MICROS, "correction": "加贴过敏原标签"}
    release = propose_release(by=world.walnuts_quality, **how)  # type: ignore[arg-type]
    release = CorrectedRelease.objects.get(pk=release.pk)
    assert refusal(approve_release, by=world.county_approver, release=release) == "role_required"
    assert approve_release(by=world.province_approver, release=release).by == world.province_approver.user


def test_a_release_elsewhere_hides_nothing_that_came_back_and_is_gone(chain: Chain, campaign: Campaign) -> None:
    world, lot = chain.world, chain.pouch_a
    holder = world.distributor.organisation
    answer_stock(by=world.distributor, notice=notice_to(campaign, holder), lots=[answer(lot, 16, 16)])
    put_right(chain, label_case(campaign), 6 * MICROS, holder)
    lines = [GoodsLine(lot, amount("10", world.kernels))]
    receive_return(by=world.walnuts, campaign=campaign, organisation=holder, lines=lines, when=day(40))
    sampled(world.walnuts, lot, "8", when=day(42))
    assert [one.unaccounted for one in recovered_against(campaign)] == [3 * MICROS]


def test_what_a_holder_made_of_recalled_goods_stays_veiled_where_releases_are_proposed(
    chain: Chain, client: Client
) -> None:
    world = chain.world
    holder = world.distributor.organisation
    product = make_product(holder, name="示例分装核桃仁")
    (bag,) = turn_into(world.distributor, [(chain.pouch_a, "5")], [(product, "5")], when=day(6))
    campaign = label_case(announced(chain))
    assert bag.pk in {one.lot.pk for one in figures(campaign).lots}
    told = [answer(chain.pouch_a, 11, 11), answer(bag, 5, 5)]
    answer_stock(by=world.distributor, notice=notice_to(campaign, holder), lots=told)
    sign_in(client, world.walnuts_quality)
    at = f"/recall/campaigns/{campaign.uid}/releases/?holder={holder.uid}"
    page = client.get(at).content.decode()
    assert chain.pouch_a.code in page
    assert bag.code not in page
    assert client.post(at, {"amount_1": "5", "unit_1": "KGM", "correction": "示例"}).status_code == 422
    assert not campaign.releases.exists()


def test_what_was_released_and_sold_is_not_taken_off_twice(chain: Chain, campaign: Campaign) -> None:
    world, lot = chain.world, chain.pouch_a
    how: dict[str, Any] = {
        "campaign": label_case(campaign),
        "lot": lot,
        "correction": "示例",
        "by": world.walnuts_quality,
    }
    put_right(chain, campaign, 2 * MICROS)
    assert refusal(propose_release, micros=4 * MICROS, **how) == "more_than_there"
    ship(world.walnuts, world.distributor.organisation, lot, "2", when=day(41))
    assert refusal(propose_release, micros=4 * MICROS, **how) == "more_than_there"
    propose_release(micros=2 * MICROS, **how)
    assert refusal(propose_release, micros=2 * MICROS, **how) == "more_than_there", "two wait for approval"
    propose_release(micros=MICROS, **how)


def test_goods_that_left_since_they_were_proposed_are_not_let_go(chain: Chain, campaign: Campaign) -> None:
    world, lot, trader = chain.world, chain.pouch_a, chain.world.distributor.organisation
    how: dict[str, Any] = {"campaign": label_case(campaign), "lot": lot, "correction": "示例", "holder": trader}
    release = propose_release(by=world.walnuts_quality, micros=16 * MICROS, **how)
    line = [GoodsLine(lot, amount("10", world.kernels))]
    receive_return(by=world.walnuts, campaign=campaign, organisation=trader, lines=line, when=day(40))
    assert refusal(approve_release, by=world.walnuts, release=release) == "more_than_there"
    assert not campaign.releases.filter(approval__isnull=False).exists()
    again = propose_release(by=world.walnuts_quality, micros=6 * MICROS, **how)
    assert approve_release(by=world.walnuts, release=again) == approve_release(by=world.walnuts, release=again)
    told = campaign.steps.filter(action__contains="release").order_by("id")
    assert [step_words(one) for one in told] == ["提出放行", "提出放行", "批准放行"]


def test_what_came_back_of_a_part_may_be_put_right(chain: Chain) -> None:
    world, lot = chain.world, chain.pouch_a
    quality, trader = world.walnuts_quality, world.distributor.organisation
    campaign = assess(
        by=quality,
        organisation=quality.organisation,
        track="food",
        title="示例：经销商贴错标签",
        knew_at=KNEW,
        finding=replace(FINDING, hazard="labelling", severity="none", probability="remote", level=3),
    )
    freeze_scope(by=quality, campaign=campaign, question=Question.of([lot], through=trader))
    campaign = start_campaign(by=quality, campaign=decide(by=world.walnuts, campaign=campaign), stop_order=True)
    how: dict[str, Any] = {"campaign": campaign, "lot": lot, "correction": "示例"}
    assert refusal(propose_release, by=quality, micros=MICROS, **how) == "more_than_there", (
        "the maker's own is not held"
    )
    lines = [GoodsLine(lot, amount("16", world.kernels))]
    receive_return(by=world.walnuts, campaign=campaign, organisation=trader, lines=lines, when=day(40))
    assert refusal(propose_release, by=quality, micros=17 * MICROS, **how) == "more_than_there"
    propose_release(by=quality, micros=16 * MICROS, **how)
    assert refusal(propose_release, by=quality, micros=MICROS, **how) == "more_than_there"
    gone = how | {"holder": trader}
    assert refusal(propose_release, by=quality, micros=MICROS, **gone) == "more_than_there"


def test_the_pages_of_goods_work_for_both_sides(chain: Chain, campaign: Campaign, client: Client) -> None:
    world = chain.world
    told = notice_to(campaign, chain.outsider)
    base = f"/recall/campaigns/{campaign.uid}"
    sign_in(client, world.walnuts)
    for path in ("disposal-plans/", "releases/", "balance/", "disposal/", f"notices/{told.uid}/oddities/"):
        assert client.get(f"{base}/{path}").status_code == 200, path
    later = timezone.localtime(timezone.now() + datetime.timedelta(hours=3)).strftime("%Y-%m-%d %H:%M")
    plan = {"amount_0": "2", "unit_0": "KGM", "method": "destroy", "where": "示例填埋场", "planned_at": later}
    assert client.post(f"{base}/disposal-plans/", plan | {"planned_at": "2020-01-01 10:00"}).status_code == 422
    assert client.post(f"{base}/disposal-plans/", plan).status_code == 302
    assert f"{later} 示例填埋场" in client.get(f"{base}/disposal/").content.decode(), "the plan by the clock of Shanxi"
    assert campaign.disposal_plans.count() == 1
    row = report_disposal(
        by=world.walnuts,
        campaign=campaign,
        lines=[(chain.pouch_a, 2 * MICROS)],
        planned_at=timezone.now() + datetime.timedelta(hours=1),
        place="示例填埋场",
        method="destroy",
        at=timezone.now() - datetime.timedelta(minutes=5),
    )
    deed = {
        "amount_0": "2",
        "unit_0": "KGM",
        "method": "destroy",
        "where": "示例填埋场",
        "when": timezone.localtime().strftime("%Y-%m-%d %H:%M:%S"),
        "plan": str(row.uid),
        "witness": str(world.county.organisation.uid),
        "files": SimpleUploadedFile("a.png", picture()),
    }
    assert client.post(f"{base}/disposal/", deed).status_code == 302
    done = Disposal.objects.get(campaign=campaign)
    assert done.fact.plan == row
    assert done.files.count() == 1
    odd = {"kind": "empty", "count": "3", "handling": "discarded"}
    assert client.post(f"{base}/notices/{told.uid}/oddities/", odd).status_code == 302
    sign_in(client, world.county)
    assert "示例填埋场" in client.get(f"{base}/disposal-plans/").content.decode()
    assert client.get(f"{base}/balance/").status_code == 200
    sign_in(client, world.distillery)
    assert client.get(f"{base}/balance/").status_code == 404
    client.logout()
    url = f"/recalls/notice/{notice_link(told)}/back"
    assert client.get(url).status_code == 200
    back = {"amount_0": "5", "unit_0": "KGM", "sent_at": "2026-11-20 10:00", "parcel": "SF9"}
    assert client.post(url, back).status_code == 302
    assert client.post(url, back | {"amount_0": "x"}).status_code == 422
    assert "SF9" in client.get(url).content.decode()
    assert client.get(url.replace("/back", "x/back")).status_code == 404
    for hostile in ("\x00", "9" * 5000, "-1", "1e9"):
        assert client.post(url, back | {"amount_0": hostile}).status_code == 422
    assert told.dispatches.count() == 1
