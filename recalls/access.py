"""The only doors to the recall's objects for an actor. A stranger's object is 404.

Campaigns are seen by their initiator and by regulators whose territory covers the initiator or a holder. Holders see
their own notices and nothing else of the campaign but what a notice says.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.core import signing
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from recalls.models import Campaign, CheckSample, ConsumerCase, Drill, Notice, Paper, RiskWarning, ScopeHolding, Signal
from recalls.transitions import Role
from trace.access import entered_for, parse_uid
from trace.actor import Actor
from trace.errors import NotAllowed, NotFound
from trace.models import Membership, Organisation

_LINK = signing.Signer(salt="recalls.notice", sep="~")


def _not_found() -> NotFound:
    return NotFound(_("没有找到，或者您无权查看。"))


def _the(queryset: QuerySet[Any], value: str | uuid.UUID) -> Any:
    """The one row with this uid in what the actor may see, or NotFound."""
    row = queryset.filter(uid=parse_uid(value)).first()
    if row is None:
        raise _not_found()
    return row


def campaigns_visible_to(actor: Actor) -> QuerySet[Campaign]:
    """Campaigns of the actor's own; for regulators those whose initiator or a holder lies in their territory."""
    rows = Campaign.objects.select_related("organisation__division", "authority", "opened_by_organisation")
    if actor.is_regulator:
        code = actor.organisation.territory
        held = ScopeHolding.objects.filter(
            scope__campaign=OuterRef("pk"), organisation__division__code__startswith=code
        )
        real = Q(is_drill=False) & Exists(held)
        return rows.filter(Q(organisation__division__code__startswith=code) | Q(authority=actor.organisation) | real)
    return rows.filter(organisation__in=entered_for(actor))


def campaign_for(actor: Actor, uid: str | uuid.UUID) -> Campaign:
    """One campaign the actor may open."""
    found: Campaign = _the(campaigns_visible_to(actor), uid)
    return found


def check_sample_for(campaign: Campaign, number: str) -> CheckSample:
    """One sampled holder of a campaign by round and position (2-14); NotFound for any other."""
    first, _dash, second = number.partition("-")
    if not all(part.isascii() and part.isdigit() and len(part) <= 6 for part in (first, second)):
        raise _not_found()
    rows = CheckSample.objects.select_related("round__campaign__organisation", "notice__organisation__division")
    found = rows.filter(round__campaign=campaign, round__number=int(first), position=int(second)).first()
    if found is None:
        raise _not_found()
    return found


def signals_visible_to(actor: Actor) -> QuerySet[Signal]:
    """Signals about the actor's goods or raised by it; for regulators those of the territory and those about codes
    never issued.
    """
    rows = Signal.objects.select_related(
        "organisation__division", "lot__product_version", "product__current", "words", "contact", "campaign", "report"
    )
    if actor.is_regulator:
        code = actor.organisation.territory
        return rows.filter(
            Q(organisation__division__code__startswith=code)
            | Q(organisation=None)
            | Q(raised_by_organisation=actor.organisation)
        )
    mine = entered_for(actor)
    return rows.filter(Q(organisation__in=mine) | Q(raised_by_organisation__in=mine))


def signal_for(actor: Actor, uid: str | uuid.UUID) -> Signal:
    """One signal the actor may read."""
    found: Signal = _the(signals_visible_to(actor), uid)
    return found


def cases_visible_to(actor: Actor) -> QuerySet[ConsumerCase]:
    """Complaints and claims the actor's organisation owns or that are about its goods; for regulators those of the
    territory and those about codes never issued.
    """
    rows = ConsumerCase.objects.select_related(
        "lot__product_version",
        "lot__product",
        "unit",
        "organisation",
        "owner",
        "person",
        "campaign",
        "words",
        "contact",
    )
    if actor.is_regulator:
        code = actor.organisation.territory
        return rows.filter(
            Q(organisation__division__code__startswith=code)
            | Q(owner__division__code__startswith=code)
            | Q(owner=None)
            | Q(owner=actor.organisation)
        )
    mine = entered_for(actor)
    return rows.filter(Q(owner__in=mine) | Q(organisation__in=mine))


def case_for(actor: Actor, uid: str | uuid.UUID) -> ConsumerCase:
    """One complaint or claim the actor may read."""
    found: ConsumerCase = _the(cases_visible_to(actor), uid)
    return found


def case_by_number(number: str) -> ConsumerCase:
    """The case of a receipt; NotFound for any other word. Who holds the receipt reads the reply."""
    rows = ConsumerCase.objects.select_related("lot__product_version", "unit", "owner", "campaign", "words", "contact")
    found = rows.filter(number=number).first() if number.isascii() and number.isprintable() else None
    if found is None:
        raise NotFound(_("没有这个回执号，请核对后再填。"))
    return found


def warnings_visible_to(actor: Actor) -> QuerySet[RiskWarning]:
    """Risk warnings of the regulator's own, those of authorities below it, and all published ones."""
    rows = RiskWarning.objects.select_related("organisation", "drafted_by", "publisher", "published_by")
    if not actor.is_regulator:
        return rows.filter(published_at__isnull=False)
    return rows.filter(
        Q(organisation=actor.organisation)
        | Q(published_at__isnull=False)
        | Q(organisation__division__code__startswith=actor.organisation.territory, status=RiskWarning.Status.SUBMITTED)
    )


def warning_for(actor: Actor, uid: str | uuid.UUID) -> RiskWarning:
    """One risk warning the actor may read."""
    found: RiskWarning = _the(warnings_visible_to(actor), uid)
    return found


def _notices() -> QuerySet[Notice]:
    return Notice.objects.select_related(
        "campaign__organisation", "campaign__authority", "organisation__division", "carrier", "scope"
    )


def notices_received_by(actor: Actor) -> QuerySet[Notice]:
    """Notices the actor answers: its own, and those of outsiders it knows and hands on. Never of a drill."""
    mine = entered_for(actor)
    return _notices().filter(Q(organisation__in=mine) | Q(carrier__in=mine)).exclude(campaign__in=_drills())


def _drills() -> QuerySet[Campaign]:
    """All drills, to be left out: joined instead, an engine looks the campaign up for each notice of a large recall."""
    return Campaign.objects.filter(is_drill=True).order_by()


def received_notice_for(actor: Actor, uid: str | uuid.UUID) -> Notice:
    """One notice the actor answers."""
    found: Notice = _the(notices_received_by(actor), uid)
    return found


def campaign_notices(actor: Actor, campaign: Campaign) -> QuerySet[Notice]:
    """The notices of a campaign for who runs or supervises it (the campaign comes through ``campaign_for``); a
    regulator of another territory sees those of its own holders.
    """
    rows = _notices().filter(campaign=campaign)
    if actor.is_regulator and not supervises_campaign(actor, campaign):
        return rows.filter(organisation__division__code__startswith=actor.organisation.territory)
    return rows


def campaign_notice_for(actor: Actor, campaign: Campaign, uid: str | uuid.UUID) -> Notice:
    """One notice of a campaign, for the issuing side or a supervising regulator."""
    found: Notice = _the(campaign_notices(actor, campaign), uid)
    return found


def letter_for(actor: Actor, uid: str | uuid.UUID) -> Notice:
    """One notice whose letter the actor may have to do with: of its campaigns, or to an outsider it knows. Never of a
    drill.
    """
    rows = _notices().filter(campaign__is_drill=False)
    rows = rows.filter(Q(campaign__in=campaigns_visible_to(actor)) | Q(carrier__in=entered_for(actor)))
    found: Notice = _the(rows, uid)
    return found


def notice_link(notice: Notice) -> str:
    """What the letter's QR and the e-mail's link carry: the notice's name (and, where links were made worthless, which
    one this is), signed. Who holds the letter may answer this notice and do nothing else.
    """
    round_ = f".{notice.link_round}" if notice.link_round > 1 else ""
    return _LINK.sign(f"{notice.uid.hex}{round_}")


def notice_by_link(token: str) -> Notice:
    """The notice of a signed link; NotFound for a forged or altered one, one that was replaced, and for drills, which
    never leave the house.
    """
    try:
        name, _dot, round_ = _LINK.unsign(token).partition(".")
        uid, wanted = uuid.UUID(name), int(round_ or "1")
    except (signing.BadSignature, ValueError):
        raise NotFound(_("这个链接无效。请核对信函上的网址，或与发出通知的单位联系。")) from None
    # One row, without the columns of tables that a letter does not show, and without an order: asked at every opening.
    shown = ("campaign__organisation", "campaign__authority", "organisation")
    rows = Notice.objects.filter(campaign__is_drill=False).select_related(*shown).order_by()
    found = next(iter(rows.filter(uid=uid)), None)
    if found is None or found.link_round != wanted:
        raise NotFound(_("这个链接无效。请核对信函上的网址，或与发出通知的单位联系。"))
    return found


def drills_visible_to(actor: Actor) -> QuerySet[Drill]:
    """Exercises of the actor's own; for regulators those of their territory."""
    rows = Drill.objects.select_related("organisation__division", "lot__product", "lot__product_version", "by")
    if actor.is_regulator:
        return rows.filter(organisation__division__code__startswith=actor.organisation.territory)
    return rows.filter(organisation__in=entered_for(actor))


def drill_for(actor: Actor, uid: str | uuid.UUID) -> Drill:
    """One exercise the actor may read."""
    found: Drill = _the(drills_visible_to(actor), uid)
    return found


def reads_papers(actor: Actor, campaign: Campaign) -> bool:
    """Whether the actor reads the documents of a campaign: its initiator, or who supervises it."""
    return campaign.organisation_id in entered_for(actor) or supervises_campaign(actor, campaign)


def paper_for(actor: Actor, uid: str | uuid.UUID) -> Paper:
    """One document: of a campaign the actor runs or supervises, of an exercise it may open, or the notice to itself or
    to an outsider it knows. A notice to a holder the initiator must not know by name is no document of the initiator's.
    """
    rows = Paper.objects.select_related(
        "campaign__organisation__division", "campaign__authority", "drill", "people", "by", "by_organisation"
    )
    found: Paper = _the(rows, uid)
    if found.campaign is None:
        if found.drill is not None and drills_visible_to(actor).filter(pk=found.drill.pk).exists():
            return found
        raise _not_found()
    if found.kind == Paper.Kind.NOTICE:
        if notices_received_by(actor).filter(uid=found.subject).exists():
            return found
        if not _may_know_holder(actor, found.campaign, found.subject):
            raise _not_found()
    if not reads_papers(actor, found.campaign):
        raise _not_found()
    return found


def _may_know_holder(actor: Actor, campaign: Campaign, notice: str) -> bool:
    from recalls.sight import Sight

    holder = campaign.notices.filter(uid=notice).values_list("organisation", flat=True).first()
    return holder is not None and reads_papers(actor, campaign) and Sight(actor, campaign).knows(holder)


# --- Roles ----------------------------------------------------------------------------------------------------------


def supervises_campaign(actor: Actor, campaign: Campaign) -> bool:
    """Whether this regulator supervises the campaign: it is its authority, or its territory covers the initiator."""
    if not actor.is_regulator:
        return False
    return campaign.authority_id == actor.organisation.pk or campaign.organisation.division_id.startswith(
        actor.organisation.territory
    )


def is_one_person_firm(organisation: Organisation) -> bool:
    """Whether nobody but one owner could decide and check there (one person in the roles that count)."""
    people = Membership.objects.filter(
        organisation=organisation, ended_at=None, role__in=[Membership.Role.OWNER, Membership.Role.QUALITY]
    )
    return people.values("user").distinct().count() < 2


def roles_in(actor: Actor, campaign: Campaign) -> frozenset[Role]:
    """The roles of the transition table that an actor has in a campaign; empty for who only looks.

    A firm of one person names its second beforehand: it is the supervising authority, whose approver may then act
    where an owner must (architecture.md, recalls).
    """
    if actor.system:
        return frozenset({Role.SYSTEM})
    if actor.organisation.status != Organisation.Status.ACTIVE:
        return frozenset()
    if actor.is_regulator:
        if not supervises_campaign(actor, campaign) or actor.role not in (Role.OFFICER, Role.APPROVER):
            return frozenset()
        mine = {Role(actor.role)}
        if actor.role == Role.APPROVER:
            mine.add(Role.OFFICER)
            if is_one_person_firm(campaign.organisation):
                mine.add(Role.OWNER)
        return frozenset(mine)
    if campaign.organisation_id in entered_for(actor) and actor.role in (Role.QUALITY, Role.OWNER):
        return frozenset({Role(actor.role)})
    return frozenset()


def require_side(actor: Actor, campaign: Campaign) -> None:
    """Refuse (``role_required``) who may not prepare anything in this campaign."""
    if not roles_in(actor, campaign):
        raise NotAllowed(_("您的岗位不能办理这次召回，请由质量负责人、负责人或监管部门办理。"), code="role_required")
