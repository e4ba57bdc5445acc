"""The one function that moves a campaign: by a row of the table, once, with its step, clocks and effects."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import roles_in
from recalls.actions.clocks import record_fact
from recalls.actions.effects import EFFECTS
from recalls.guards import CHECKS, Given, refusal
from recalls.law import LegalEvent
from recalls.models import Campaign, CampaignStep
from recalls.transitions import TERMINAL, Doer, Role, Transition, transition
from trace.actor import Actor
from trace.errors import Clash, NotAllowed, StaleState


def write_step(
    campaign: Campaign,
    action: str,
    by: Actor,
    at: datetime.datetime,
    *,
    old: str | None = None,
    about: str = "",
    given: Given | None = None,
    data: Mapping[str, Any] | None = None,
) -> CampaignStep:
    """One row of the campaign's history."""
    words = given or Given()
    return CampaignStep.objects.create(
        campaign=campaign,
        old=campaign.status if old is None else old,
        new=campaign.status,
        action=action,
        about=about,
        by=by.user,
        by_organisation=by.organisation,
        reason=words.reason.strip()[:1000],
        document=words.document.strip()[:60],
        served_at=words.served_at,
        data=dict(data or {}),
        at=at,
    )


def one_at_a_time(campaign: Campaign) -> None:
    """One after another for a campaign: what is numbered by what is there already gets a number of its own."""
    Campaign.objects.select_for_update().get(pk=campaign.pk)


def turn_page(campaign: Campaign) -> None:
    """What the next step rests on was changed (another draft, another scope): who looked before and decides now gets
    ``stale_state`` and reads it first.
    """
    Campaign.objects.filter(pk=campaign.pk).update(revision=F("revision") + 1)
    campaign.refresh_from_db(fields=["revision"])


def doers(campaign: Campaign, action: str) -> dict[Doer, int | None]:
    """Who did what a second person must not have done, by row number of the user; None where nobody is on record."""
    assessment = campaign.assessments.order_by("-id").first()
    draft = campaign.public_notices.order_by("-number").first()
    proposal = proposal_of(campaign, action)
    summed = campaign.steps.filter(action="summarise").order_by("-id").first()
    evaluated = campaign.steps.filter(action="evaluate").order_by("-id").first()
    return {
        Doer.ASSESSED: assessment.by_id if assessment else None,
        Doer.NOTICE_DRAFTED: draft.by_id if draft else None,
        Doer.PROPOSED: proposal.by_id if proposal else None,
        Doer.SUMMARISED: summed.by_id if summed else None,
        Doer.EVALUATED: evaluated.by_id if evaluated else None,
    }


def proposal_of(campaign: Campaign, action: str) -> CampaignStep | None:
    """The standing proposal to take this action: made in the present stage and not yet carried out. That the first
    answer moves a recall on by itself takes nothing back.
    """
    last = campaign.steps.filter(action="propose", about=action).order_by("-id").first()
    if last is None:
        return None
    moved = campaign.steps.filter(id__gt=last.pk).exclude(old=F("new")).exclude(action="carry_out")
    if moved.exists():
        return None
    done = campaign.steps.filter(
        Q(action=action) | Q(action=f"refuse_{action.removeprefix('grant_')}", about=action), id__gt=last.pk
    ).exists()
    return None if done else last


def require_row(campaign: Campaign, action: str, by: Actor) -> Transition:
    """The row of the table, if this person may take it; refuses ``no_such_step``, ``role_required``,
    ``person_required`` (two people cannot be shown for a key without a person) and ``second_person_required``.
    """
    row = transition(campaign.status, action, is_drill=campaign.is_drill, quiet=campaign.quiet)
    if row is None:
        raise Clash(
            _("召回现在处于“%(status)s”，不能办理这一步。请刷新页面。") % {"status": campaign.get_status_display()},
            code="no_such_step",
            status_now=campaign.status,
        )
    if row.who.isdisjoint(roles_in(by, campaign)):
        raise NotAllowed(_("您的岗位不能办理这一步，请由有权限的同事办理。"), code="role_required")
    if row.other_than:
        if by.user is None:
            raise NotAllowed(_("这一步须由本人登录办理，不能用 API 密钥。"), code="person_required")
        fact = row.second_person_missing(by.user.pk, doers(campaign, action))
        if fact is not None:
            raise NotAllowed(second_person_words(fact), code="second_person_required", fact=fact.value)
    return row


def second_person_words(fact: Doer) -> str:
    """Why another person must do it, in words."""
    return {
        Doer.ASSESSED: _("评估和决定须由两人分别办理：您做了评估，请由另一位负责人决定。"),
        Doer.NOTICE_DRAFTED: _("公告的起草和发布须由两人分别办理，请由另一位负责人发布。"),
        Doer.PROPOSED: _("这一步须先由一人提出，再由另一人批准。"),
        Doer.SUMMARISED: _("总结和结案须由两人分别办理，请由另一人结案。"),
        Doer.EVALUATED: _("评价和结案须由两人分别办理，请由另一人结案。"),
    }[fact]


@transaction.atomic
def move(
    *,
    campaign: Campaign,
    action: str,
    by: Actor,
    given: Given | None = None,
    at: datetime.datetime | None = None,
    data: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Campaign:
    """Take one row of the transition table, or refuse and change nothing.

    Order: the row, the role, the second person, the guards; then compare-and-swap on (status, revision), so that who
    decides on an old page gets ``stale_state``; then one step row, the legal facts with their clocks, and the row's
    effects. ``changes`` are further columns of the campaign set with it.
    """
    now = at or timezone.now()
    words = given or Given()
    row = require_row(campaign, action, by)
    for guard in row.guards:
        if not CHECKS[guard](campaign, words):
            raise refusal(guard)
    if row.target in TERMINAL:
        changes |= {"ended_at": now, "ended_by": by.user}
    old = campaign.status
    moved = Campaign.objects.filter(pk=campaign.pk, status=old, revision=campaign.revision).update(
        status=row.target, revision=F("revision") + 1, **changes
    )
    if not moved:
        raise StaleState(_("有人已先办理了这次召回，请刷新页面后再试。"))
    campaign.refresh_from_db()
    write_step(campaign, action, by, now, old=old, given=words, data=data)
    for event in row.events:
        served = words.served_at if event is LegalEvent.ORDER_SERVED else None
        record_fact(campaign=campaign, event=event, by=by, happened_at=served or now, at=now)
    for effect in row.effects:
        EFFECTS[effect](campaign, by, words, now)
    return campaign


def system_for(by: Actor) -> Actor:
    """The program acting in the course of this actor's step; the person stays on record."""
    return Actor(organisation=by.organisation, user=by.user, role=Role.SYSTEM, system=True)
