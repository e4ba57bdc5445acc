"""Random people take random steps in random order: whatever happens, the table holds and history tells the truth."""

import itertools
from collections.abc import Callable

from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recalls.actions import campaigns as act
from recalls.actions.announcements import draft_notice
from recalls.guards import CHECKS
from recalls.models import Campaign, CampaignStep, OutboxMessage, Publication
from recalls.transitions import TERMINAL, TRANSITIONS, Guard, Status, transition
from recalls.views.steps import STEPS
from tests.goods import day
from tests.recalls.story import ANNOUNCEMENT, Chain, scoped
from trace.actor import Actor
from trace.errors import DomainError
from trace.guards import blocking

SERVED = {"document": "示例1号", "served_at": day(31).at}
ITEMS = dict.fromkeys(("producer", "food", "reason", "level", "notice", "duties", "disposal", "effect"), "示例")
DO: dict[str, Callable[[Actor, Campaign], object]] = {
    "refuse": lambda by, c: act.refuse_recall(by=by, campaign=c, reason="示例"),
    "decide": lambda by, c: act.decide(by=by, campaign=c),
    "order": lambda by, c: act.order(by=by, campaign=c, **SERVED),  # type: ignore[arg-type]
    "start": lambda by, c: act.start_campaign(by=by, campaign=c, stop_order=True),
    "file_plan": lambda by, c: act.file_plan(by=by, campaign=c, items=ITEMS),
    "return_plan": lambda by, c: act.return_plan(by=by, campaign=c, reason="示例"),
    "draft": lambda by, c: draft_notice(by=by, campaign=c, announcement=ANNOUNCEMENT),
    "announce": lambda by, c: act.announce(by=by, campaign=c, channel="示例"),
    "amend_notice": lambda by, c: act.amend_notice(by=by, campaign=c, channel="示例", reason="示例"),
    "rehearse": lambda by, c: act.rehearse(by=by, campaign=c),
    "carry_out": lambda by, c: act.carry_out(by=by, campaign=c),
    "finish_collecting": lambda by, c: act.finish_collecting(by=by, campaign=c, reason="示例"),
    "finish_disposal": lambda by, c: act.finish_disposal(by=by, campaign=c),
    "summarise": lambda by, c: act.summarise(by=by, campaign=c, summary="示例"),
    "evaluate": lambda by, c: act.evaluate(by=by, campaign=c),
    "strengthen": lambda by, c: act.strengthen(by=by, campaign=c, reason="示例", **SERVED),  # type: ignore[arg-type]
    "close": lambda by, c: act.close(by=by, campaign=c),
    "propose": lambda by, c: act.propose(by=by, campaign=c, action="cancel", reason="示例"),
    "cancel": lambda by, c: act.cancel(by=by, campaign=c, reason="示例"),
}
PEOPLE = ("walnuts", "walnuts_quality", "county", "county_approver", "shop", "other_county_approver")


class Undo(Exception):
    """Thrown to take an example back."""


def test_every_guard_is_asked_and_every_row_has_an_action_or_a_page() -> None:
    assert set(CHECKS) == set(Guard)
    asked = {row.action for row in TRANSITIONS}
    assert asked - set(STEPS) == {"expand_scope", "narrow_scope"}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    is_drill=st.booleans(),
    deeds=st.lists(st.tuples(st.sampled_from(sorted(DO)), st.sampled_from(PEOPLE)), max_size=25),
)
def test_whatever_people_try_the_table_holds(chain: Chain, is_drill: bool, deeds: list[tuple[str, str]]) -> None:
    try:
        with transaction.atomic():
            _try(chain, is_drill, [*_likely(deeds), *deeds])
            raise Undo
    except Undo:
        pass


def _likely(deeds: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A prefix of the usual way, so that late stages are met too; its length follows from the example."""
    usual = [
        ("decide", "walnuts"), ("start", "walnuts"), ("draft", "walnuts_quality"), ("announce", "walnuts"),
        ("rehearse", "walnuts"), ("carry_out", "walnuts"), ("finish_collecting", "walnuts"),
        ("finish_disposal", "walnuts"), ("summarise", "walnuts_quality"), ("evaluate", "county"),
    ]  # fmt: skip
    return usual[: len(deeds) % (len(usual) + 1)]


def _try(chain: Chain, is_drill: bool, deeds: list[tuple[str, str]]) -> None:
    campaign = scoped(chain, is_drill=is_drill)
    for action, who in deeds:
        campaign.refresh_from_db()
        old, steps = campaign.status, campaign.steps.count()
        row = transition(old, action, is_drill=is_drill)
        by: Actor = getattr(chain.world, who)
        try:
            with transaction.atomic():
                DO[action](by, campaign)
        except DomainError:
            campaign.refresh_from_db()
            assert (campaign.status, campaign.steps.count()) == (old, steps), (action, who)
            continue
        campaign.refresh_from_db()
        assert campaign.steps.count() == steps + 1
        assert who not in ("shop", "other_county_approver")
        if action not in ("draft", "propose"):
            assert row is not None
            assert campaign.status == row.target
            _two_people(campaign, action)
        assert old not in TERMINAL
    _truths(chain, campaign)


def _two_people(campaign: Campaign, action: str) -> None:
    """Of what takes two, the second is another person."""
    last = campaign.steps.filter(action=action).latest("id")
    first = {
        "decide": "assess", "refuse": "assess", "order": "assess", "announce": "draft_notice",
        "amend_notice": "draft_notice", "cancel": "propose", "close": "summarise",
    }.get(action)  # fmt: skip
    if first is not None:
        before = campaign.steps.filter(action=first, id__lt=last.pk).latest("id")
        assert before.by_id != last.by_id


def _truths(chain: Chain, campaign: Campaign) -> None:
    """What must be true of any campaign at any time."""
    campaign.refresh_from_db()
    chain_of = list(CampaignStep.objects.filter(campaign=campaign).exclude(new="").order_by("id"))
    assert chain_of[-1].new == campaign.status
    for before, after in itertools.pairwise(chain_of):
        assert after.old == before.new
    blocked = chain.pouch_a.pk in blocking([chain.pouch_a])
    should = campaign.has_started and not campaign.is_drill and campaign.status != Status.CANCELLED
    assert blocked == should
    if campaign.is_drill:
        assert not OutboxMessage.objects.filter(notice__campaign=campaign).exists()
        assert not Publication.objects.filter(notice__campaign=campaign).exists()
    published = Publication.objects.filter(notice__campaign=campaign).exists()
    assert published == (campaign.announced_at is not None)
