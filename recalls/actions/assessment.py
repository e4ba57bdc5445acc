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
from recalls.law import LegalEvent, Tier, competent_authority, regime_for
from recalls.models import Assessment, Campaign, Signal
from recalls.transitions import FIRM, REGULATOR, Status
from trace.access import entered_for
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed
from trace.models import Division, Licence, Organisation, Product, Stock, Transfer
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


@dataclass(frozen=True)
class Standing:
    """As what the firm recalls, and where a trader does, why (2015 Measures, articles 20 to 22)."""

    initiator: str = Campaign.Initiator.PRODUCER
    ground: str = ""
    words: str = ""

    def checked(self) -> dict[str, str]:
        """The columns of a campaign. Refuses a trader without ground (``ground_required``), one whose producer is gone
        or unknown without words on how that is known (``ground_words_required``), a ground where none is asked
        (``unknown_choice``).
        """
        if self.initiator not in Campaign.Initiator.values:
            raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
        if self.initiator != Campaign.Initiator.TRADER:
            if self.ground:
                raise Invalid(_("只有经营者召回才需要写明原因。"), code="unknown_choice")
            return {"initiator": self.initiator, "ground": "", "ground_words": ""}
        if self.ground not in Campaign.Ground.values:
            raise Invalid(_("经营者召回别人生产的产品，请选择原因。"), code="ground_required")
        words = clean_text(self.words, 300)
        if self.ground != Campaign.Ground.OWN_FAULT and not words:
            raise Invalid(_("请写明怎样确认生产者已不在或无法确定。"), code="ground_words_required")
        return {"initiator": self.initiator, "ground": self.ground, "ground_words": words}


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
    standing: Standing | None = None,
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
        **(standing or Standing()).checked(),
    )
    _write(campaign, by, finding, now)
    record_fact(campaign=campaign, event=LegalEvent.KNEW, by=by, happened_at=knew_at, at=now)
    for signal in signals:
        if signal.is_drill != is_drill:
            raise Clash(_("演练和真实召回不能混在一起。"), code="drill_stays_inside")
        link_signal(by=by, signal=signal, campaign_id=campaign.pk, at=now)
    return campaign


@transaction.atomic
def reassess(
    *,
    by: Actor,
    campaign: Campaign,
    finding: Finding,
    standing: Standing | None = None,
    at: datetime.datetime | None = None,
) -> Assessment:
    """Add another assessment; the level follows it and the clocks of another level take over. ``standing`` says anew as
    what the firm recalls. Refuses once decided (``no_such_step``).
    """
    changes = standing.checked() if standing is not None else {}
    require_side(by, campaign)
    if not roles_in(by, campaign) & (FIRM | REGULATOR):
        raise NotAllowed(_("您的岗位不能做风险评估。"), code="role_required")
    _check(finding, campaign.track)
    moved = Campaign.objects.filter(pk=campaign.pk, status=Status.ASSESSING, revision=campaign.revision).update(
        level=finding.level, kind=_kind(finding), revision=campaign.revision + 1, **changes
    )
    if not moved:
        raise Clash(_("已经作出决定，不能再改评估。"), code="no_such_step")
    campaign.refresh_from_db()
    assessment = _write(campaign, by, finding, at or timezone.now())
    sync_clocks(campaign)
    return assessment


def _kind(finding: Finding) -> str:
    kinds = {
        Assessment.Verdict.WITHDRAW.value: Campaign.Kind.WITHDRAWAL,
        Assessment.Verdict.CORRECT.value: Campaign.Kind.LABEL,
    }
    return kinds.get(finding.verdict, Campaign.Kind.RECALL)


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
    label_only = finding.hazard == Assessment.Hazard.LABELLING and finding.severity == Assessment.Severity.NONE
    if finding.verdict == Assessment.Verdict.CORRECT and not (label_only and finding.level in (None, 3)):
        raise Invalid(
            _("只有仅因标签、不影响安全的，才能只更正标签：危害类别选“标签标识”，严重程度选“不造成健康损害”。"),
            code="not_label_only",
        )
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
    """The level of the authority that issued the firm's licence: of a regulator here by that name, else by the county,
    prefecture or province of the firm that its name tells (licences are often issued by an approvals bureau that is
    none of the regulators here). A licence to produce food counts before any other, whoever issued that; of several
    alike the one entered first. None where no name says.
    """
    licences = list(organisation.licences.filter(ended_at=None).exclude(issued_by="").order_by("id"))
    licences.sort(key=lambda one: one.kind != Licence.Kind.SC)
    issuers = [one.issued_by for one in licences]
    regulators = Organisation.objects.filter(kind=Organisation.Kind.REGULATOR, name__in=issuers).exclude(level="")
    levels = dict(regulators.order_by("-id").values_list("name", "level"))
    code = organisation.division_id
    above = {code[:6]: Tier.COUNTY, f"{code[:4]}00": Tier.PREFECTURE, f"{code[:2]}0000": Tier.PROVINCE}
    names = dict(Division.objects.filter(pk__in=above).values_list("pk", "name")) if issuers else {}
    for issuer in issuers:
        told = levels.get(issuer) or next(
            (tier.value for place, tier in above.items() if place in names and names[place] in issuer), ""
        )
        if told:
            return told
    return ""


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


def check_initiator(campaign: Campaign) -> None:
    """Refuse (``initiator_wrong``) a decision by who has no standing: a producer that made none of the lots named, a
    brand owner that owns none of their products, a trader that never had one of them, or that calls a producer gone who
    works here.
    """
    version = campaign.scopes.order_by("-number").first()
    if version is None:
        return
    rows = version.lots.filter(why="named").values_list("lot", "lot__organisation", "lot__product__organisation")
    named = {lot for lot, _maker, _owner in rows}
    firm = campaign.organisation_id
    if not named:
        return
    if campaign.initiator == Campaign.Initiator.PRODUCER:
        if firm not in {maker for _lot, maker, _owner in rows}:
            raise Clash(
                _("点名的批次都不是召回单位生产的。请补充评估，写明以委托方还是经营者的身份召回。"),
                code="initiator_wrong",
            )
    elif campaign.initiator == Campaign.Initiator.BRAND_OWNER:
        if firm not in {owner for _lot, _maker, owner in rows}:
            raise Clash(_("点名的批次没有一个是召回单位名下的产品。"), code="initiator_wrong")
    else:
        had = (
            Stock.objects.filter(lot__in=named, organisation=firm).exists()
            or Transfer.objects.filter(lot__in=named, receiver=firm, voided_by=None).exists()
        )
        if not had:
            raise Clash(_("召回单位没有持有过点名的批次。"), code="initiator_wrong")
        makers = Organisation.objects.filter(pk__in={maker for _lot, maker, _owner in rows})
        if (
            campaign.ground == Campaign.Ground.PRODUCER_GONE
            and makers.filter(status=Organisation.Status.ACTIVE).exists()
        ):
            raise Clash(
                _("生产者在本系统中仍在经营，应由生产者召回；请先联系生产者或主管部门。"), code="initiator_wrong"
            )
