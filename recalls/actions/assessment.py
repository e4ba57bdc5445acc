"""Assessing a risk: opens the campaign, seals when it was known, and lets the clocks run."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import require_side, roles_in
from recalls.actions.clocks import record_fact, sync_clocks
from recalls.actions.moves import write_step
from recalls.actions.signals import link_signal
from recalls.law import LegalEvent, competent_authority, regime_for
from recalls.models import Assessment, Campaign, Signal
from recalls.transitions import FIRM, REGULATOR, Status
from trace.access import entered_for
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed
from trace.models import Organisation, Product
from trace.text import clean_text


@dataclass(frozen=True)
class Finding:
    """What an assessment says. ``level`` is 1 to 3 for food and farm produce, None for consumer products."""

    hazard: str
    severity: str
    probability: str
    verdict: str
    basis: str
    level: int | None = None
    population: str = ""
    experts: str = ""


@transaction.atomic
def assess(
    *,
    by: Actor,
    organisation: Organisation,
    track: str,
    title: str,
    knew_at: datetime.datetime,
    finding: Finding,
    signals: Sequence[Signal] = (),
    is_drill: bool = False,
    at: datetime.datetime | None = None,
) -> Campaign:
    """Open a campaign with its first assessment.

    Who: the quality officer or owner of the firm that would recall, or a regulator whose territory covers it. The time
    of knowledge is set here once; it chooses the legal regime (2026-11-30 23:50 and ten past midnight are two) and
    starts the clocks. Refuses a time in the future (``in_future``), a food finding that says recall without a level
    (``level_required``), others' firms (``not_own``), signals already handled.
    """
    now = at or timezone.now()
    by.require("quality", "owner", "officer", "approver")
    if by.is_regulator:
        if is_drill or not organisation.division_id.startswith(by.organisation.territory):
            raise NotAllowed(_("只能评估本辖区单位的产品。"), code="not_own")
    elif organisation.pk not in entered_for(by):
        raise NotAllowed(_("只能评估本单位的产品。"), code="not_own")
    if knew_at > now:
        raise Invalid(_("知悉时间在将来，请核对。"), code="in_future")
    _check(finding, track)
    choice = regime_for(track, knew_at)
    tier = licence_tier_of(organisation)
    campaign = Campaign.objects.create(
        title=clean_text(title, 120, required=True),
        is_drill=is_drill,
        kind=_kind(finding),
        track=track,
        regime=choice.regime.code,
        level=finding.level,
        organisation=organisation,
        opened_by_organisation=by.organisation,
        licence_tier=tier,
        authority=authority_of(organisation, choice.regime.code, tier),
        created_at=now,
        knew_at=knew_at,
    )
    _write(campaign, by, finding, now)
    record_fact(campaign=campaign, event=LegalEvent.KNEW, by=by, happened_at=knew_at, at=now)
    for signal in signals:
        if signal.is_drill != is_drill:
            raise Clash(_("演练和真实召回不能混在一起。"), code="drill_stays_inside")
        link_signal(by=by, signal=signal, campaign_id=campaign.pk, at=now)
    return campaign


@transaction.atomic
def reassess(*, by: Actor, campaign: Campaign, finding: Finding, at: datetime.datetime | None = None) -> Assessment:
    """Add another assessment; the level follows it and the clocks of another level take over. Refuses once decided
    (``no_such_step``).
    """
    require_side(by, campaign)
    if not roles_in(by, campaign) & (FIRM | REGULATOR):
        raise NotAllowed(_("您的岗位不能做风险评估。"), code="role_required")
    _check(finding, campaign.track)
    moved = Campaign.objects.filter(pk=campaign.pk, status=Status.ASSESSING, revision=campaign.revision).update(
        level=finding.level, kind=_kind(finding), revision=campaign.revision + 1
    )
    if not moved:
        raise Clash(_("已经作出决定，不能再改评估。"), code="no_such_step")
    campaign.refresh_from_db()
    assessment = _write(campaign, by, finding, at or timezone.now())
    sync_clocks(campaign)
    return assessment


def _kind(finding: Finding) -> str:
    withdraw = finding.verdict == Assessment.Verdict.WITHDRAW
    return Campaign.Kind.WITHDRAWAL if withdraw else Campaign.Kind.RECALL


def _check(finding: Finding, track: str) -> None:
    """The words must be there and the choices known."""
    for value, choices in (
        (finding.hazard, Assessment.Hazard.values),
        (finding.severity, Assessment.Severity.values),
        (finding.probability, Assessment.Probability.values),
        (finding.verdict, Assessment.Verdict.values),
    ):
        if value not in choices:
            raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    if not finding.basis.strip():
        raise Invalid(_("请写明评估依据。"), code="basis_required")
    if track == Product.Track.CONSUMER:
        if finding.level is not None:
            raise Invalid(_("消费品召回不分级。"), code="level_not_here")
    elif finding.level is None and finding.verdict != Assessment.Verdict.NO_RECALL:
        raise Invalid(_("请选择召回级别。"), code="level_required")
    elif finding.level not in (None, 1, 2, 3):
        raise Invalid(_("请选择召回级别。"), code="unknown_choice")


def _write(campaign: Campaign, by: Actor, finding: Finding, now: datetime.datetime) -> Assessment:
    """The assessment row and the step that tells of it."""
    row = Assessment.objects.create(
        campaign=campaign,
        hazard=finding.hazard,
        severity=finding.severity,
        probability=finding.probability,
        population=clean_text(finding.population, 200),
        verdict=finding.verdict,
        level=finding.level,
        basis=clean_text(finding.basis, 1000, multiline=True, required=True),
        experts=clean_text(finding.experts, 500, multiline=True),
        by=by.user,
        by_organisation=by.organisation,
        at=now,
    )
    write_step(campaign, "assess", by, now, data={"assessment": str(row.uid), "verdict": row.verdict})
    return row


def licence_tier_of(organisation: Organisation) -> str:
    """The level of the authority that issued the firm's licence, where that authority is known here; else none."""
    issuers = organisation.licences.filter(ended_at=None).exclude(issued_by="").values_list("issued_by", flat=True)
    level = (
        Organisation.objects.filter(kind=Organisation.Kind.REGULATOR, name__in=list(issuers))
        .exclude(level="")
        .values_list("level", flat=True)
        .first()
    )
    return level or ""


def authority_of(organisation: Organisation, regime_code: str, tier: str) -> Organisation | None:
    """The competent authority among the regulators here; where it has not joined, the nearest that covers the firm."""
    from recalls.law import regime

    regulators = Organisation.objects.filter(
        kind=Organisation.Kind.REGULATOR, status=Organisation.Status.ACTIVE
    ).exclude(territory="")
    covering = [row for row in regulators if organisation.division_id.startswith(row.territory)]
    covering.sort(key=lambda row: (-len(row.territory), row.pk))
    division = organisation.division_id
    if len(division) >= 6 and division[4:6] != "00":
        wanted = competent_authority(regime(regime_code), tier, division).territory
        for row in covering:
            if row.territory == wanted:
                return row
    return covering[0] if covering else None
