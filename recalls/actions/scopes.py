"""Freezing what a campaign covers, making it wider and narrower."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import require_side
from recalls.actions.acts import require_weighing
from recalls.actions.moves import move, proposal_of, require_row, turn_page, write_step
from recalls.guards import Given, refusal
from recalls.law import regime
from recalls.models import Campaign, ScopeHolding, ScopeLot, ScopeVersion
from recalls.parts import Through, no_wider
from recalls.scope import (
    Answer,
    Question,
    ScopeLine,
    coverage_of,
    drift,
    latest_scope,
    lot_ids_of,
    preview_scope,
    question_of,
    require_whole,
    same_question,
)
from recalls.transitions import Guard, Status
from trace.actions.holds import prepare_hold
from trace.actor import Actor
from trace.among import among
from trace.errors import Clash, NotFound
from trace.ledger import lock_log_head
from trace.models import Event, HoldSet, Lot, LotClaimStep, Transfer

_BEFORE_START = (Status.ASSESSING, Status.DECIDED, Status.ORDERED)


@transaction.atomic
def freeze_scope(
    *,
    by: Actor,
    campaign: Campaign,
    question: Question,
    reason: str = "",
    evidence: str = "",
    at: datetime.datetime | None = None,
) -> ScopeVersion:
    """Freeze the answer to a question as the next version, with its hold prepared but not active.

    Before the start only; afterwards ``expand_scope`` and ``narrow_scope`` do it. Refuses a cut answer
    (``scope_cut``), a campaign already started (``no_such_step``), lots the acting side may not name
    (``not_found``), a part of a lot without evidence for it (``guard_scope_evidence``).
    """
    require_side(by, campaign)
    if campaign.status not in _BEFORE_START:
        raise Clash(_("召回已经启动。请用“扩大召回范围”或“缩小召回范围”。"), code="no_such_step")
    check_named(by, campaign, question)
    lock_log_head()
    answer = preview_scope(question)
    if question.parts and not evidence.strip():
        raise refusal(Guard.SCOPE_EVIDENCE)
    version = _freeze(campaign, answer, by, reason, evidence, at or timezone.now())
    write_step(
        campaign,
        "scope",
        by,
        version.calculated_at,
        given=Given(reason=reason),
        data={
            "scope": version.number,
            "lots": version.lot_count,
            "sha256": version.sha256,
            **({"evidence": version.evidence} if version.evidence else {}),
        },
    )
    turn_page(campaign)
    return version


def check_named(by: Actor, campaign: Campaign, question: Question) -> None:
    """A firm names lots of its own or that it had; who it may not see it cannot name (``not_found``)."""
    from trace.access import lots_visible_to

    allowed = set(lots_visible_to(by).filter(pk__in=question.named).values_list("pk", flat=True))
    version = latest_scope(campaign)
    if version is not None:
        allowed |= lot_ids_of(version)
    if not question.named <= allowed:
        raise NotFound(_("没有找到，或者您无权查看。"))


def _freeze(
    campaign: Campaign, answer: Answer, by: Actor, reason: str, evidence: str, now: datetime.datetime
) -> ScopeVersion:
    """Write a version with lots, holdings and the prepared hold. Cost: one statement per thousand rows."""
    require_whole(answer)
    last = latest_scope(campaign)
    hold = prepare_hold(
        by=by,
        kind=HoldSet.Kind.RECALL,
        lots=sorted(answer.lot_ids),
        reason=hold_reason(campaign),
        legal_basis=str(regime(campaign.regime).label),
        source=campaign.hold_source,
        parts={line.lot_id: line.part.ranges for line in answer.lines if line.part and line.part.ranges},
        holders=_holders_held(campaign, answer),
        whole_at=answer.question.through,
        at=now,
    )
    version = ScopeVersion.objects.create(
        campaign=campaign,
        number=last.number + 1 if last else 1,
        question=answer.question.as_json(answer.lots),
        reason=reason.strip()[:500],
        evidence=evidence.strip()[:500],
        sha256=answer.sha256(),
        lot_count=len(answer.lines),
        holder_count=len(answer.holder_ids),
        trace_ms=answer.took_ms,
        hold=hold,
        calculated_at=now,
        by=by.user,
        by_organisation=by.organisation,
    )
    ScopeLot.objects.bulk_create(
        [
            ScopeLot(
                scope=version,
                lot_id=line.lot_id,
                shell=line.shell,
                why=line.why,
                path=[answer.uids[pk] for pk in line.path],
                note=line.note[:200],
                part=_part_kept(line, answer),
                made_micros=line.made,
                used_micros=line.used,
                shipped_micros=line.shipped,
                conflicts=line.conflicts,
            )
            for line in answer.lines
        ],
        batch_size=1000,
    )
    ScopeHolding.objects.bulk_create(
        [
            ScopeHolding(
                scope=version,
                lot_id=one.lot_id,
                organisation_id=one.organisation_id,
                received_micros=one.received,
                shipped_micros=one.shipped,
                on_hand_micros=one.on_hand,
                unconfirmed_micros=one.unconfirmed,
            )
            for one in answer.holdings
        ],
        batch_size=1000,
    )
    return version


def _holders_held(campaign: Campaign, answer: Answer) -> dict[int, dict[int, int | None]]:
    """Of lots of which only what passed through one organisation is covered: in whose hands they are held. Who made the
    lot or supplied it and took some of it back keeps that apart, and may move the rest of its stock; so does the
    initiator with what comes back to it. Whatever the organisation itself has passed through it, so its goods are held
    whatever their numbers: those that reach it after the freezing have others.
    """
    through = {line.lot_id: line.lot for line in answer.lines if isinstance(line.part, Through)}
    found: dict[int, dict[int, int | None]] = {pk: {} for pk in through}
    if not through:
        return found
    trader = answer.question.through
    rows = Transfer.objects.filter(among("lot", through), voided_by=None).order_by()
    sent = set(rows.values_list("lot", "sender", "receiver").distinct())
    for one in answer.holdings:
        if one.lot_id in through and one.organisation_id != trader:
            number, party = one.lot_id, one.organisation_id
            supplies = (number, party, trader) in sent and (number, trader, party) not in sent
            keeps = party == through[number].organisation_id or supplies
            found[number][party] = one.on_hand + one.unconfirmed if keeps else None
        elif one.lot_id in through:
            found[one.lot_id][one.organisation_id] = None
    for pk, sender, _receiver in sent:
        if sender != trader:
            # Only who sent goods can be given them back.
            found[pk].setdefault(sender, 0)
    for pk, lot in through.items():
        for organisation in (lot.organisation_id, campaign.organisation_id):
            if organisation != answer.question.through:
                found[pk].setdefault(organisation, 0)
    return found


def _part_kept(line: ScopeLine, answer: Answer) -> dict[str, Any]:
    """What is kept of a part beside its lot."""
    if line.part is None:
        return {}
    return {**line.part.as_json(answer.uids[line.lot_id]), "rest_micros": line.rest}


def hold_reason(campaign: Campaign) -> str:
    """What a blocked lot says of itself until the announcement says more."""
    return campaign.title[:300]


def refresh_scope(*, by: Actor, campaign: Campaign, at: datetime.datetime) -> ScopeVersion | None:
    """Within the start, under the log's lock: ask again, and freeze a new version if lots or holders have come to be.

    So nobody who got goods between the freezing and the start is left out.
    """
    version = latest_scope(campaign)
    if version is None:
        return None
    if _quiet_since(version):
        return version
    change = drift(version)
    if not change:
        return version
    return _freeze(campaign, change.answer, by, _("启动时重新计算，有新的批次或持有单位。"), "", at)


_MARGIN = datetime.timedelta(minutes=10)


def _quiet_since(version: ScopeVersion) -> bool:
    """Whether nothing was recorded since the version was calculated, so that asking again would say the same: no event,
    and no claim about goods outside, which is none. With ten minutes to spare, since an event may wait for the log with
    its time already taken. Makes the start of a recall of 100,000 lots one row's change where nothing happened; parts
    are asked again in any case, for codes of their numbers may have been printed since.
    """
    if version.question.get("parts"):
        return False
    if LotClaimStep.objects.filter(at__gte=version.calculated_at - _MARGIN).exists():
        return False
    last = Event.objects.order_by("-id").values_list("recorded_at", flat=True).first()
    return last is None or last < version.calculated_at - _MARGIN


@transaction.atomic
def expand_scope(
    *, by: Actor, campaign: Campaign, question: Question | None, reason: str, at: datetime.datetime | None = None
) -> Campaign:
    """A wider scope: block its lots at once and tell who is newly concerned. One person suffices.

    ``question`` None asks the frozen one again (events reported since). Refuses a scope that lost lots
    (``guard_scope_grows``), one that brings nothing new (``scope_unchanged``), a missing reason.
    """
    require_row(campaign, "expand_scope", by)
    lock_log_head()
    now = at or timezone.now()
    before = _require_scope(campaign)
    if question is not None:
        check_named(by, campaign, question)
    asked = question or question_of(before)
    answer = preview_scope(asked)
    if not drift(before, answer):
        raise Clash(_("范围没有变化，不需要新版本。"), code="scope_unchanged")
    version = _freeze(campaign, answer, by, reason, "", now)
    return move(
        campaign=campaign,
        action="expand_scope",
        by=by,
        given=Given(reason=reason, scope=version),
        at=now,
        data={"scope": version.number, "lots": version.lot_count, "sha256": version.sha256},
    )


@transaction.atomic
def narrow_scope(
    *,
    by: Actor,
    campaign: Campaign,
    question: Question,
    reason: str,
    evidence: str,
    at: datetime.datetime | None = None,
) -> Campaign:
    """A narrower scope frees goods: proposed by one, approved by another, with evidence; who was told is told again.

    Refuses a scope with lots the version in force did not have (``scope_not_narrower``), and another question than the
    one proposed, or one proposed before the scope got another version (``not_as_proposed``), and an authority below the
    competent one (``not_competent``).
    """
    require_row(campaign, "narrow_scope", by)
    require_weighing(by, campaign, "narrow_scope")
    check_named(by, campaign, question)
    lock_log_head()
    now = at or timezone.now()
    before = _require_scope(campaign)
    answer = preview_scope(question)
    require_narrower(answer, before)
    proposal = proposal_of(campaign, "narrow_scope")
    asked = proposal.data.get("question") if proposal is not None else None
    if proposal is not None and asked is not None:
        if proposal.data.get("scope") != before.number:
            raise Clash(_("提出之后召回范围又有了新的一版，请重新提出。"), code="not_as_proposed")
        if not same_question(asked, answer.question.as_json(answer.lots)):
            raise Clash(_("这和提出的范围不一样。请按提出的范围批准，或者重新提出。"), code="not_as_proposed")
    version = _freeze(campaign, answer, by, reason, evidence, now)
    return move(
        campaign=campaign,
        action="narrow_scope",
        by=by,
        given=Given(reason=reason, evidence=evidence, scope=version),
        at=now,
        data={"scope": version.number, "lots": version.lot_count, "sha256": version.sha256, "evidence": evidence},
    )


def require_narrower(answer: Answer, before: ScopeVersion) -> None:
    """Refuse (``scope_not_narrower``) an answer that is no less than a version, or covers what that does not."""
    covered = coverage_of(before)
    if not no_wider(answer.coverage, covered) or no_wider(covered, answer.coverage):
        raise Clash(_("新范围须少于现有范围，且不含新的批次。"), code="scope_not_narrower")


def _require_scope(campaign: Campaign) -> ScopeVersion:
    """The version in force, or a refusal."""
    version = latest_scope(campaign)
    if version is None:
        raise Clash(_("请先划定召回范围，至少包含一个批次。"), code="guard_scope")
    return version


def lots_of(version: ScopeVersion) -> list[Lot]:
    """The lots a version covers."""
    return list(Lot.objects.filter(scope_lots__scope=version).select_related("product", "product_version"))
