"""The way of a campaign: each step by whom it may be taken, once, and what it does."""

import datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from recalls.actions.announcements import draft_notice, goods_of
from recalls.actions.assessment import assess, reassess
from recalls.actions.campaigns import (
    amend_notice,
    announce,
    cancel,
    close,
    decide,
    file_plan,
    finish_collecting,
    grant_extension,
    order,
    propose,
    refuse_recall,
    rehearse,
    report_progress,
    start_campaign,
    stop_sale,
    summarise,
)
from recalls.actions.scopes import expand_scope, freeze_scope, narrow_scope
from recalls.actions.signals import dismiss_signal, raise_signal
from recalls.law import regime
from recalls.models import (
    Campaign,
    CampaignStep,
    ClockInstance,
    Figures,
    Notice,
    OutboxMessage,
    Publication,
    Signal,
)
from recalls.queries import public_recall_for
from recalls.scope import Question, latest_scope
from recalls.transitions import Status
from tests.goods import day, make_lot, ship, turn_into
from tests.recalls.story import (
    ANNOUNCEMENT,
    FINDING,
    KNEW,
    Chain,
    announced,
    assessed,
    closed,
    decided,
    notice_to,
    scoped,
    started,
    summarised,
)
from tests.world import make_product
from trace.errors import DomainError, GuardBroken, StaleState
from trace.guards import blocking
from trace.models import HoldSet


def code_of(refused: pytest.ExceptionInfo[DomainError]) -> str:
    return refused.value.code


# --- Signals --------------------------------------------------------------------------------------------------------


def test_the_same_words_about_the_same_lot_get_the_first_receipt(chain: Chain) -> None:
    first = raise_signal(source="scan_report", text="有霉味", lot=chain.pouch_a, contact="13800000000")
    again = raise_signal(source="scan_report", text="有霉味 ", lot=chain.pouch_a, contact="13800000000")
    other = raise_signal(source="scan_report", text="有霉味", lot=chain.pouch_b, contact="13800000000")
    assert again == first
    assert other != first
    assert first.receipt.startswith("X")
    assert first.organisation == chain.pouch_a.organisation


def test_words_and_contact_of_a_signal_are_sealed(chain: Chain) -> None:
    signal = raise_signal(source="complaint", text="张三说有霉味", lot=chain.pouch_a, contact="13800000000")
    assert signal.contact is not None
    assert b"13800000000" not in bytes(signal.contact.secret)
    assert "张三".encode() not in bytes(signal.words.secret)


def test_the_public_can_only_complain(chain: Chain) -> None:
    with pytest.raises(DomainError) as refused:
        raise_signal(source="sampling", text="不合格", lot=chain.pouch_a)
    assert code_of(refused) == "source_not_public"


def test_a_dismissed_signal_cannot_be_dismissed_again(chain: Chain) -> None:
    signal = raise_signal(source="complaint", text="包装破了", lot=chain.pouch_a)
    dismiss_signal(by=chain.world.walnuts, signal=signal, reason="运输破损,已换货")
    assert signal.status == Signal.Status.DISMISSED
    with pytest.raises(DomainError) as refused:
        dismiss_signal(by=chain.world.walnuts, signal=signal, reason="再来一次")
    assert code_of(refused) == "stale_state"


def test_a_stranger_cannot_dismiss_a_signal(chain: Chain) -> None:
    signal = raise_signal(source="complaint", text="包装破了", lot=chain.pouch_a)
    with pytest.raises(DomainError) as refused:
        dismiss_signal(by=chain.world.distillery, signal=signal, reason="与我无关")
    assert code_of(refused) == "not_own"


# --- Assessment and decision ----------------------------------------------------------------------------------------


def test_an_assessment_opens_a_campaign_whose_clock_runs_from_knowledge(chain: Chain) -> None:
    campaign = assessed(chain)
    clock = campaign.clocks.get()
    assert campaign.status == Status.ASSESSING
    assert campaign.authority == chain.world.county.organisation
    assert campaign.signals.get().status == Signal.Status.LINKED
    assert clock.rule == "CN-FOOD-2015/start/1"
    assert clock.due_at == KNEW + datetime.timedelta(hours=24)
    assert clock.met_at is None


def test_ten_minutes_around_midnight_choose_the_regime_and_the_limit(chain: Chain) -> None:
    china = datetime.timezone(datetime.timedelta(hours=8))
    late = datetime.datetime(2026, 12, 2, tzinfo=china)
    rules = {}
    for knew in (
        datetime.datetime(2026, 11, 30, 23, 50, tzinfo=china),
        datetime.datetime(2026, 12, 1, 0, 10, tzinfo=china),
    ):
        by = chain.world.walnuts_quality
        campaign = assess(
            by=by,
            organisation=by.organisation,
            track="food",
            title="示例",
            knew_at=knew,
            finding=FINDING.__class__(**{**FINDING.__dict__, "level": 2}),
            at=late,
        )
        clock = campaign.clocks.get(key="start")
        rules[campaign.regime] = (clock.due_at - knew, clock.provisional)
    assert rules == {
        "CN-FOOD-2015": (datetime.timedelta(hours=48), False),
        "CN-FOOD-2026": (datetime.timedelta(hours=36), True),
    }


def test_a_later_assessment_of_another_level_moves_the_clock(chain: Chain) -> None:
    campaign = assessed(chain)
    reassess(
        by=chain.world.walnuts_quality,
        campaign=campaign,
        finding=FINDING.__class__(**{**FINDING.__dict__, "level": 3}),
    )
    running = campaign.clocks.get(superseded_at=None)
    assert running.due_at == KNEW + datetime.timedelta(hours=72)
    assert campaign.clocks.exclude(superseded_at=None).get().rule == "CN-FOOD-2015/start/1"


def test_who_assessed_cannot_decide(chain: Chain) -> None:
    world = chain.world
    campaign = assessed(chain)
    reassess(by=world.walnuts, campaign=campaign, finding=FINDING)
    freeze_scope(by=world.walnuts, campaign=campaign, question=Question.of([chain.pouch_a]))
    with pytest.raises(DomainError) as refused:
        decide(by=world.walnuts, campaign=campaign)
    assert code_of(refused) == "second_person_required"
    campaign.refresh_from_db()
    assert campaign.status == Status.ASSESSING


def test_a_quality_officer_cannot_decide(chain: Chain) -> None:
    with pytest.raises(DomainError) as refused:
        decide(by=chain.world.walnuts_quality, campaign=scoped(chain))
    assert code_of(refused) == "role_required"


def test_another_firms_owner_cannot_decide(chain: Chain) -> None:
    with pytest.raises(DomainError) as refused:
        decide(by=chain.world.distillery, campaign=scoped(chain))
    assert code_of(refused) == "role_required"


def test_nothing_is_decided_without_a_scope(chain: Chain) -> None:
    with pytest.raises(DomainError) as refused:
        decide(by=chain.world.walnuts, campaign=assessed(chain))
    assert code_of(refused) == "guard_scope"


def test_a_decision_gives_the_number_and_its_step(chain: Chain) -> None:
    campaign = decided(chain)
    year = timezone.localtime(campaign.decided_at).year
    step = campaign.steps.get(action="decide")
    assert campaign.number == f"汾召[{year}]1号"
    assert (step.old, step.new, step.by) == ("assessing", "decided", chain.world.walnuts.user)


def test_a_firm_of_one_person_has_the_regulators_approver_as_its_second(chain: Chain) -> None:
    world = chain.world
    lone = world.distillery
    for other in (world.distillery_quality, world.distillery_worker):
        assert other.membership is not None
        other.membership.ended_at = timezone.now()
        other.membership.save(update_fields=["ended_at"])
    lot = make_lot(lone, world.baijiu, "10")
    campaign = assess(
        by=lone, organisation=lone.organisation, track="food", title="示例白酒", knew_at=KNEW, finding=FINDING
    )
    freeze_scope(by=lone, campaign=campaign, question=Question.of([lot]))
    with pytest.raises(DomainError) as refused:
        decide(by=lone, campaign=campaign)
    assert code_of(refused) == "second_person_required"
    assert decide(by=world.county_approver, campaign=campaign).status == Status.DECIDED


def test_a_refused_recall_keeps_its_reason(chain: Chain) -> None:
    campaign = refuse_recall(by=chain.world.walnuts, campaign=assessed(chain), reason="复检合格")
    assert campaign.status == Status.REFUSED
    assert campaign.ended_by == chain.world.walnuts.user
    assert campaign.steps.get(action="refuse").reason == "复检合格"
    assert not campaign.clocks.filter(met_at=None).exists()


def test_a_decision_on_an_old_page_is_stale(chain: Chain) -> None:
    campaign = scoped(chain)
    old = Campaign.objects.get(pk=campaign.pk)
    decide(by=chain.world.walnuts, campaign=campaign)
    with pytest.raises(DomainError) as refused:
        refuse_recall(by=chain.world.walnuts, campaign=old, reason="不召回")
    assert code_of(refused) == "stale_state"
    assert Campaign.objects.get(pk=campaign.pk).status == Status.DECIDED


def test_a_step_twice_is_refused(chain: Chain) -> None:
    campaign = decided(chain)
    with pytest.raises(DomainError) as refused:
        decide(by=chain.world.walnuts, campaign=campaign)
    assert code_of(refused) == "no_such_step"


def test_a_key_without_a_person_cannot_stand_for_two_people(chain: Chain) -> None:
    from trace.actor import Actor

    key = Actor(organisation=chain.world.walnuts.organisation, role="owner")
    with pytest.raises(DomainError) as refused:
        decide(by=key, campaign=scoped(chain))
    assert code_of(refused) == "person_required"


# --- The regulator --------------------------------------------------------------------------------------------------


def test_a_regulator_orders_and_starts_a_recall_of_a_silent_firm(chain: Chain) -> None:
    world = chain.world
    campaign = assess(
        by=world.county,
        organisation=world.walnuts.organisation,
        track="food",
        title="示例核桃仁抽检不合格",
        knew_at=KNEW,
        finding=FINDING,
    )
    freeze_scope(by=world.county, campaign=campaign, question=Question.of([chain.pouch_a]))
    with pytest.raises(DomainError) as refused:
        order(by=world.county, campaign=campaign, document="示例〔2026〕1号", served_at=day(31).at)
    assert code_of(refused) == "role_required"
    campaign = order(by=world.county_approver, campaign=campaign, document="示例〔2026〕1号", served_at=day(31).at)
    assert (campaign.status, campaign.form) == (Status.ORDERED, "ordered")
    campaign = start_campaign(by=world.county, campaign=campaign, stop_order=True)
    assert campaign.status == Status.STARTED
    assert blocking([chain.pouch_a])[chain.pouch_a.pk][0].hold.kind == HoldSet.Kind.RECALL


def test_a_regulator_of_another_county_can_do_nothing(chain: Chain) -> None:
    world = chain.world
    with pytest.raises(DomainError) as refused:
        assess(
            by=world.other_county,
            organisation=world.walnuts.organisation,
            track="food",
            title="示例",
            knew_at=KNEW,
            finding=FINDING,
        )
    assert code_of(refused) == "not_own"
    with pytest.raises(DomainError) as refused:
        close(by=world.other_county_approver, campaign=summarised(chain))
    assert code_of(refused) == "role_required"


def test_an_order_needs_a_served_document(chain: Chain) -> None:
    with pytest.raises(DomainError) as refused:
        order(by=chain.world.county_approver, campaign=scoped(chain), document=" ", served_at=day(31).at)
    assert code_of(refused) == "guard_served_document"


# --- The start ------------------------------------------------------------------------------------------------------


def test_the_start_blocks_tells_and_stops_the_clock_at_once(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain)
    told = set(campaign.notices.values_list("organisation__name", flat=True))
    assert told == {
        world.distributor.organisation.name,
        world.shop.organisation.name,
        chain.outsider.name,
        chain.far_outsider.name,
    }
    holds = blocking([chain.pouch_a, chain.pouch_b])
    assert [block.hold.source for block in holds[chain.pouch_a.pk]] == [f"recalls:campaign:{campaign.uid}"]
    assert chain.pouch_b.pk not in holds
    assert campaign.clocks.get(key="start").met_at == campaign.started_at


def test_a_started_recall_refuses_shipping(chain: Chain) -> None:
    started(chain)
    with pytest.raises(GuardBroken) as refused:
        ship(chain.world.distributor, chain.world.shop.organisation, chain.pouch_a, "1", when=day(50))
    assert refused.value.code == "lot_blocked"


def test_the_outbox_has_the_right_channel_for_each_holder(chain: Chain) -> None:
    campaign = started(chain)
    channels = {
        name: set(
            OutboxMessage.objects.filter(notice__campaign=campaign, notice__organisation__name=name).values_list(
                "channel", flat=True
            )
        )
        for name in campaign.notices.values_list("organisation__name", flat=True)
    }
    assert channels == {
        chain.world.distributor.organisation.name: {"in_app"},
        chain.world.shop.organisation.name: {"in_app"},
        chain.outsider.name: {"email"},
        chain.far_outsider.name: {"letter"},
    }
    assert notice_to(campaign, chain.far_outsider).carrier == chain.world.distributor.organisation


def test_goods_shipped_between_freezing_and_starting_are_covered(chain: Chain) -> None:
    world = chain.world
    campaign = decided(chain)
    ship(world.walnuts, world.cooperative.organisation, chain.pouch_a, "2", when=day(31))
    (late,) = turn_into(world.walnuts, [(chain.pouch_a, "1")], [(world.kernels, "1")], when=day(31))
    campaign = start_campaign(by=world.walnuts_quality, campaign=campaign, stop_order=True)
    version = latest_scope(campaign)
    assert version is not None
    assert version.number == 2
    assert late.pk in blocking([late])
    assert campaign.notices.filter(organisation=world.cooperative.organisation).exists()


def test_a_start_without_the_stop_order_changes_nothing(chain: Chain) -> None:
    campaign = decided(chain)
    with pytest.raises(DomainError) as refused:
        start_campaign(by=chain.world.walnuts, campaign=campaign, stop_order=False)
    assert code_of(refused) == "guard_stop_order"
    assert not Notice.objects.exists()
    assert blocking([chain.pouch_a]) == {}


def test_starting_twice_makes_one_set_of_notices(chain: Chain) -> None:
    campaign = decided(chain)
    old = Campaign.objects.get(pk=campaign.pk)
    start_campaign(by=chain.world.walnuts, campaign=campaign, stop_order=True)
    with pytest.raises(DomainError) as refused:
        start_campaign(by=chain.world.walnuts, campaign=old, stop_order=True)
    assert code_of(refused) == "stale_state"
    assert Notice.objects.count() == 4


def test_sale_is_stopped_at_once_by_one_person(chain: Chain) -> None:
    hold = stop_sale(by=chain.world.walnuts_quality, lots=[chain.pouch_a], reason="复检中", campaign=assessed(chain))
    assert hold.kind == HoldSet.Kind.STOP_SALE
    assert hold.source == ""
    assert CampaignStep.objects.filter(action="stop_sale").count() == 1
    assert chain.pouch_a.pk in blocking([chain.pouch_a])


# --- The public -----------------------------------------------------------------------------------------------------


def test_nothing_is_public_before_the_announcement(chain: Chain) -> None:
    campaign = started(chain)
    assert public_recall_for([campaign.hold_source]) == []


def test_the_next_request_after_the_announcement_shows_it(chain: Chain) -> None:
    campaign = announced(chain)
    (recall,) = public_recall_for([campaign.hold_source, "elsewhere:1", "recalls:campaign:nonsense"])
    assert recall.number == campaign.number
    assert recall.phone == ANNOUNCEMENT.phone
    assert recall.what_to_do == ANNOUNCEMENT.what_to_do
    assert recall.url == f"/recalls/{campaign.uid}"


def test_who_drafted_the_announcement_cannot_publish_it(chain: Chain) -> None:
    campaign = started(chain)
    draft_notice(by=chain.world.walnuts, campaign=campaign, announcement=ANNOUNCEMENT)
    with pytest.raises(DomainError) as refused:
        announce(by=chain.world.walnuts, campaign=campaign, channel="本系统公告页")
    assert code_of(refused) == "second_person_required"
    assert not Publication.objects.exists()


def test_an_announcement_must_be_about_the_scope_in_force(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain)
    draft_notice(by=world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    campaign = expand_scope(
        by=world.walnuts_quality,
        campaign=campaign,
        question=Question.of([chain.pouch_a, chain.pouch_b]),
        reason="同批原料",
    )
    with pytest.raises(DomainError) as refused:
        announce(by=world.walnuts, campaign=campaign, channel="本系统公告页")
    assert code_of(refused) == "guard_notice_complete"


def test_an_announcement_of_food_says_until_when_and_where_to_write(chain: Chain) -> None:
    campaign = started(chain)
    for left_out, code in (({"ends_on": None}, "end_required"), ({"email": " "}, "email_required")):
        words = ANNOUNCEMENT.__class__(**{**ANNOUNCEMENT.__dict__, **left_out})
        with pytest.raises(DomainError) as refused:
            draft_notice(by=chain.world.walnuts_quality, campaign=campaign, announcement=words)
        assert refused.value.code == code


def test_a_correction_follows_and_the_first_version_stays(chain: Chain) -> None:
    world = chain.world
    campaign = announced(chain)
    words = ANNOUNCEMENT.__class__(**{**ANNOUNCEMENT.__dict__, "phone": "0358-1111111"})
    draft_notice(by=world.walnuts_quality, campaign=campaign, announcement=words, kind="correction")
    amend_notice(by=world.walnuts, campaign=campaign, channel="本系统公告页", reason="电话有误")
    assert public_recall_for([campaign.hold_source])[0].phone == "0358-1111111"
    assert Publication.objects.count() == 2


def test_the_announcement_names_finished_lots_with_dates_and_starts_the_next_clock(chain: Chain) -> None:
    campaign = announced(chain)
    goods = Publication.objects.get().notice.goods
    assert [lot["code"] for one in goods for lot in one["lots"]] == [chain.pouch_a.code]
    assert campaign.clocks.get(key="complete").provisional in (True, False)
    assert ClockInstance.objects.filter(campaign=campaign, key="complete", met_at=None).exists()


def test_the_announcement_names_loose_goods_that_reached_a_shop(chain: Chain) -> None:
    world = chain.world
    loose = make_product(
        world.walnuts.organisation, "SAN", "示例散装核桃仁", family="walnut_fenzhou", kind="intermediate"
    )
    sold, kept = (make_lot(world.walnuts, loose, "20", when=day(2, hour)) for hour in (8, 9))
    ship(world.walnuts, world.shop.organisation, sold, "5", when=day(6))
    campaign = assessed(chain)
    freeze_scope(
        by=world.walnuts_quality, campaign=campaign, question=Question.of([chain.pouch_a, sold, kept], same_run=False)
    )
    scope = latest_scope(campaign)
    assert scope is not None
    assert {lot["code"] for one in goods_of(scope) for lot in one["lots"]} == {chain.pouch_a.code, sold.code}


# --- Scope, plan, extension -----------------------------------------------------------------------------------------


def test_a_wider_scope_tells_only_who_is_newly_concerned(chain: Chain) -> None:
    world = chain.world
    ship(world.walnuts, world.cooperative.organisation, chain.pouch_b, "3", when=day(6))
    campaign = started(chain)
    before = Notice.objects.count()
    expand_scope(
        by=world.walnuts_quality,
        campaign=campaign,
        question=Question.of([chain.pouch_a, chain.pouch_b]),
        reason="同一批原料",
    )
    new = Notice.objects.order_by("id")[before:]
    assert [notice.organisation for notice in new] == [world.cooperative.organisation]
    assert chain.pouch_b.pk in blocking([chain.pouch_b])
    assert HoldSet.objects.filter(source=campaign.hold_source, ended_at=None, active_from__isnull=False).count() == 1


def test_a_wider_scope_must_be_wider(chain: Chain) -> None:
    campaign = started(chain)
    with pytest.raises(DomainError) as refused:
        expand_scope(by=chain.world.walnuts, campaign=campaign, question=None, reason="再算一次")
    assert code_of(refused) == "scope_unchanged"
    with pytest.raises(DomainError) as refused:
        expand_scope(
            by=chain.world.walnuts,
            campaign=campaign,
            question=Question.of([chain.pouch_b], same_run=False),
            reason="换",
        )
    assert code_of(refused) == "guard_scope_grows"
    assert campaign.scopes.count() == 1


def test_who_publishes_has_read_the_draft_that_is_published(chain: Chain) -> None:
    campaign = started(chain)
    draft_notice(by=chain.world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    read = Campaign.objects.get(pk=campaign.pk)
    draft_notice(by=chain.world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    with pytest.raises(StaleState):
        announce(by=chain.world.walnuts, campaign=read, channel="本系统公告页")
    read.refresh_from_db()
    assert announce(by=chain.world.walnuts, campaign=read, channel="本系统公告页").status == "announced"


def test_a_narrower_scope_takes_two_and_frees_goods(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain, same_run=True)
    narrower = Question.of([chain.pouch_a], same_run=False)
    with pytest.raises(DomainError) as refused:
        narrow_scope(by=world.walnuts, campaign=campaign, question=narrower, reason="B 检验合格", evidence="报告 2")
    assert code_of(refused) == "second_person_required"
    quality = world.walnuts_quality
    proposal: dict[str, Any] = {"by": quality, "campaign": campaign, "action": "narrow_scope", "reason": "B 检验合格"}
    other = Question.of([chain.pouch_b], same_run=False)
    for question, code in (
        (None, "narrower_required"),
        (Question.of([chain.pouch_a, chain.pouch_b]), "scope_not_narrower"),
    ):
        with pytest.raises(DomainError) as refused:
            propose(**proposal, question=question)
        assert code_of(refused) == code
    propose(**proposal, question=other)
    with pytest.raises(DomainError) as refused:
        narrow_scope(by=world.walnuts, campaign=campaign, question=narrower, reason="B 检验合格", evidence="报告 2")
    assert code_of(refused) == "not_as_proposed", "the second person approves what the first proposed, nothing else"
    propose(**proposal, question=narrower)
    narrow_scope(by=world.walnuts, campaign=campaign, question=narrower, reason="B 检验合格", evidence="报告 2")
    assert blocking([chain.pouch_b]) == {}
    assert chain.pouch_a.pk in blocking([chain.pouch_a])


def test_a_plan_lacks_an_item(chain: Chain) -> None:
    campaign = started(chain)
    items = {item.key: "示例" for item in regime(campaign.regime).plan_items}
    with pytest.raises(DomainError) as refused:
        file_plan(by=chain.world.walnuts, campaign=campaign, items={**items, "effect": " "})
    assert code_of(refused) == "guard_plan_complete"
    assert campaign.plans.count() == 0
    assert file_plan(by=chain.world.walnuts, campaign=campaign, items=items).status == Status.PLAN_FILED


def test_an_extension_is_granted_by_the_authority_and_keeps_the_old_limit(chain: Chain) -> None:
    world = chain.world
    campaign = announced(chain)
    clock = campaign.clocks.get(key="complete")
    propose(by=world.walnuts, campaign=campaign, action="grant_extension", reason="涉及单位多")
    until = timezone.localtime(clock.due_at).date() + datetime.timedelta(days=30)
    grant_extension(
        by=world.county_approver,
        campaign=campaign,
        until=until,
        document="示例延〔2026〕1号",
        served_at=timezone.now(),
        reason="情况复杂",
    )
    moved = campaign.clocks.get(key="complete")
    assert moved.due_at > clock.due_at
    assert moved.changes.get().old_due_at == clock.due_at


def test_a_progress_report_freezes_the_numbers(chain: Chain) -> None:
    campaign = started(chain)
    report_progress(by=chain.world.walnuts, campaign=campaign, text="已通知全部单位")
    kept = Figures.objects.get(action="report_progress")
    assert kept.data["totals"]["KGM"]["made"] == 40_000_000


# --- Cancel and close -----------------------------------------------------------------------------------------------


def test_cancelling_takes_two_frees_the_goods_and_takes_notices_back(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain)
    with pytest.raises(DomainError) as refused:
        cancel(by=world.walnuts, campaign=campaign, reason="误报")
    assert code_of(refused) == "second_person_required"
    propose(by=world.walnuts_quality, campaign=campaign, action="cancel", reason="误报")
    campaign = cancel(by=world.walnuts, campaign=campaign, reason="误报")
    assert campaign.status == Status.CANCELLED
    assert blocking([chain.pouch_a]) == {}
    assert set(campaign.notices.values_list("status", flat=True)) == {"withdrawn"}


def test_after_the_announcement_nothing_can_be_cancelled(chain: Chain) -> None:
    campaign = announced(chain)
    with pytest.raises(DomainError) as refused:
        propose(by=chain.world.walnuts, campaign=campaign, action="cancel", reason="误报")
    assert code_of(refused) == "no_such_step"


def test_collecting_does_not_end_while_holders_are_silent(chain: Chain) -> None:
    from recalls.actions.campaigns import carry_out

    campaign = carry_out(by=chain.world.walnuts, campaign=announced(chain))
    with pytest.raises(DomainError) as refused:
        finish_collecting(by=chain.world.walnuts, campaign=campaign)
    assert code_of(refused) == "guard_notices_answered"


def test_closing_takes_another_person_than_summing_up(chain: Chain) -> None:
    world = chain.world
    campaign = summarised(chain)
    with pytest.raises(DomainError) as refused:
        close(by=world.walnuts, campaign=campaign)
    assert code_of(refused) == "role_required"
    assert close(by=world.county_approver, campaign=campaign).status == Status.CLOSED


def test_closing_freezes_the_numbers_and_lots_stay_blocked(chain: Chain) -> None:
    campaign = closed(chain)
    kept = Figures.objects.get(campaign=campaign, action="closed")
    sums = kept.data["totals"]["KGM"]
    assert sums["made"] == 40_000_000
    assert sums["recovered"] == sums["destroyed"] == 16_000_000
    assert sums["unknown"] == 19_000_000
    assert (
        sums["made"]
        == sums["used"] + sums["destroyed"] + sums["in_house"] + sums["held"] + sums["sold"] + sums["unknown"]
    )
    assert chain.pouch_a.pk in blocking([chain.pouch_a])
    assert not campaign.clocks.filter(met_at=None, superseded_at=None).exists()


def test_a_closed_campaign_stays_closed(chain: Chain) -> None:
    campaign = closed(chain)
    with pytest.raises(DomainError) as refused:
        summarise(by=chain.world.walnuts, campaign=campaign, summary="再来")
    assert code_of(refused) == "no_such_step"


def test_a_sale_after_the_start_is_a_red_line_until_answered(chain: Chain) -> None:
    world = chain.world
    campaign = summarised(chain)
    ship(world.walnuts, world.cooperative.organisation, chain.pouch_a, "1", when=day(50), insist=True)
    with pytest.raises(DomainError) as refused:
        close(by=world.county_approver, campaign=campaign)
    assert code_of(refused) == "guard_red_lines"


# --- Drills ---------------------------------------------------------------------------------------------------------


def test_a_drill_blocks_nothing_tells_nobody_and_publishes_nothing(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain, is_drill=True)
    assert campaign.number is not None
    assert campaign.number.startswith("演-")
    assert campaign.notices.count() == 4
    assert not OutboxMessage.objects.exists()
    assert blocking([chain.pouch_a]) == {}
    with pytest.raises(DomainError) as refused:
        draft_notice(by=world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    assert code_of(refused) == "drill_stays_inside"
    with pytest.raises(DomainError) as refused:
        announce(by=world.walnuts, campaign=campaign, channel="本系统公告页")
    assert code_of(refused) == "no_such_step"
    assert public_recall_for([campaign.hold_source]) == []
    assert rehearse(by=world.walnuts, campaign=campaign).status == Status.IN_PROGRESS


def test_the_database_refuses_an_announced_drill(chain: Chain) -> None:
    campaign = started(chain, is_drill=True)
    assert chain.world.walnuts.user is not None
    with pytest.raises(IntegrityError), transaction.atomic():
        Campaign.objects.filter(pk=campaign.pk).update(
            announced_at=timezone.now(), announced_by=chain.world.walnuts.user.pk
        )


# --- The database ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        {"started_at": timezone.now(), "started_by": None},
        {"status": "closed"},
        {"status": "started", "decided_at": None, "decided_by": None},
        {"number": "演-2026-7"},
    ],
    ids=lambda broken: "+".join(broken),
)
def test_the_database_refuses_facts_without_their_pair(chain: Chain, broken: dict[str, object]) -> None:
    campaign = decided(chain)
    with pytest.raises(IntegrityError), transaction.atomic():
        Campaign.objects.filter(pk=campaign.pk).update(**broken)


@pytest.mark.parametrize("statement", ["UPDATE {t} SET action = 'x'", "DELETE FROM {t}"])
def test_the_database_refuses_to_change_a_step(chain: Chain, statement: str) -> None:
    from django.db import DatabaseError, connection

    decided(chain)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(t="recalls_campaignstep"))
