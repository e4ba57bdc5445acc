"""What a move does besides changing the status, in the same transaction (``recalls.transitions.Effect``)."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping

from recalls.actions.disposal import carry_releases
from recalls.actions.notices import queue_changes, queue_end, queue_notices, queue_turned
from recalls.channels import channel_for, named_sites
from recalls.effect import kept_figures
from recalls.errors import DrillStaysInside
from recalls.guards import Given, drafted_notice
from recalls.models import Campaign, Figures, Publication
from recalls.scope import latest_scope
from recalls.transitions import Effect
from trace.actions.holds import activate_hold, end_hold
from trace.actor import Actor
from trace.models import HoldSet

EffectFunction = Callable[[Campaign, Actor, Given, datetime.datetime], None]


def _as_owner_of(hold: HoldSet, by: Actor) -> Actor:
    """The program acting for who set the hold; the person stays on record."""
    return Actor(organisation=hold.organisation, user=by.user, role=by.role, system=True)


def _block_lots(campaign: Campaign, by: Actor, given: Given, at: datetime.datetime) -> None:
    """Activate the hold of the version in force, then end those of earlier versions: no lot is free in between."""
    version = given.scope or latest_scope(campaign)
    if campaign.is_drill or version is None:
        return
    if version.hold.active_from is None:
        hold = activate_hold(by=_as_owner_of(version.hold, by), hold=version.hold, at=at)
        carry_releases(campaign=campaign, hold=hold, by=by)
    _end_holds(campaign, by, at, given.reason or campaign.title, keep=version.hold)


def _unblock_lots(campaign: Campaign, by: Actor, given: Given, at: datetime.datetime) -> None:
    """A narrower scope blocks what stays and frees the rest; a cancelled campaign frees all it blocked."""
    if campaign.is_drill:
        return
    if given.scope is not None:
        _block_lots(campaign, by, given, at)
    else:
        _end_holds(campaign, by, at, given.reason, keep=None)


def _end_holds(campaign: Campaign, by: Actor, at: datetime.datetime, reason: str, *, keep: HoldSet | None) -> None:
    """End the campaign's active holds but one."""
    active = HoldSet.objects.filter(
        source=campaign.hold_source, active_from__isnull=False, ended_at=None
    ).select_related("organisation")
    for hold in active:
        if keep is None or hold.pk != keep.pk:
            end_hold(by=_as_owner_of(hold, by), hold=hold, reason=reason[:300], at=at)


def _queue_notices(campaign: Campaign, by: Actor, given: Given, at: datetime.datetime) -> None:
    version = given.scope or latest_scope(campaign)
    if version is not None:
        queue_notices(campaign=campaign, version=version, by=by, at=at)


def _queue_delta_notices(campaign: Campaign, by: Actor, given: Given, at: datetime.datetime) -> None:
    """Tell who is newly concerned, and tell who no longer is."""
    version = given.scope or latest_scope(campaign)
    if version is not None:
        queue_notices(campaign=campaign, version=version, by=by, at=at)
        queue_changes(campaign=campaign, version=version, by=by, at=at)


def _tell_turned(campaign: Campaign, by: Actor, given: Given, at: datetime.datetime) -> None:
    queue_turned(campaign=campaign, by=by, at=at)


def _queue_end_notices(campaign: Campaign, by: Actor, given: Given, at: datetime.datetime) -> None:
    queue_end(campaign=campaign, by=by, at=at, reason=given.reason)


def _publish(campaign: Campaign, by: Actor, given: Given, at: datetime.datetime) -> None:
    """Put the drafted version before the public. A drill never gets here; the refusal stands here as well."""
    if campaign.is_drill:
        raise DrillStaysInside()
    draft = drafted_notice(campaign)
    if draft is not None and by.user is not None:
        need = channel_for(campaign)
        Publication.objects.create(
            notice=draft,
            channel=given.channel.strip()[:200],
            sites=list(named_sites(need, given.channel, given.sites)),
            needed=list(need.needed) if need else [],
            provinces=[code for code, _label in need.provinces] if need else [],
            why=given.channel_why.strip()[:300],
            by=by.user,
            by_organisation=by.organisation,
            at=at,
        )


def _freeze_figures(campaign: Campaign, by: Actor, given: Given, at: datetime.datetime) -> None:
    """Keep the numbers as they stand at this step."""
    Figures.objects.create(campaign=campaign, action=campaign.status, data=kept_figures(campaign, at), at=at)


EFFECTS: Mapping[Effect, EffectFunction] = {
    Effect.BLOCK_LOTS: _block_lots,
    Effect.UNBLOCK_LOTS: _unblock_lots,
    Effect.QUEUE_NOTICES: _queue_notices,
    Effect.QUEUE_DELTA_NOTICES: _queue_delta_notices,
    Effect.TELL_TURNED: _tell_turned,
    Effect.QUEUE_END_NOTICES: _queue_end_notices,
    Effect.PUBLISH: _publish,
    Effect.FREEZE_FIGURES: _freeze_figures,
}
