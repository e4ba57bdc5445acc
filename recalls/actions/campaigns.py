"""The steps of a campaign by name: each takes one row of the transition table with what that row needs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import require_side
from recalls.actions.acts import check_objection, issue_act, require_competent, require_weighing
from recalls.actions.assessment import check_initiator
from recalls.actions.clocks import extend_clocks, extendable_clocks, meet_recurring
from recalls.actions.moves import move, one_at_a_time, require_row, system_for, write_step
from recalls.actions.scopes import check_named, refresh_scope, require_narrower
from recalls.channels import check_channel
from recalls.effect import kept_figures
from recalls.guards import Given
from recalls.law import Form
from recalls.models import Campaign, CampaignSeries, CampaignStep, Figures, RecallPlan, RegulatorAct
from recalls.scope import Question, latest_scope, preview_scope
from recalls.transitions import Status, transition
from trace.actions.holds import place_hold
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed, StaleState
from trace.ledger import lock_log_head
from trace.models import HoldSet, Lot, StoredFile
from trace.text import clean_text

SERIES = "汾召"
DRILL_SERIES = "演-"


def _next_number(*, is_drill: bool, at: datetime.datetime) -> str:
    """The next number of the year: 汾召[2026]1号, or 演-2026-1 for a drill. Taken under the row's lock."""
    year = timezone.localtime(at).year
    series = DRILL_SERIES if is_drill else SERIES
    CampaignSeries.objects.get_or_create(series=series, year=year)
    CampaignSeries.objects.filter(series=series, year=year).update(last=F("last") + 1)
    last = CampaignSeries.objects.values_list("last", flat=True).get(series=series, year=year)
    return f"{DRILL_SERIES}{year}-{last}" if is_drill else f"{SERIES}[{year}]{last}号"


@dataclass(frozen=True)
class ActWords:
    """What an authority adds to a document number: the law it rests on, what it requires until when, the file."""

    legal_basis: str = ""
    content: str = ""
    due_on: datetime.date | None = None
    file: StoredFile | None = None


def _serve(
    by: Actor,
    campaign: Campaign,
    kind: str,
    document: str,
    served_at: datetime.datetime,
    reason: str,
    words: ActWords | None,
    now: datetime.datetime,
    until: datetime.date | None = None,
) -> None:
    """Write down the act a step rests on; without a number there is none, and the step's guard refuses."""
    if not document.strip():
        return
    said = words or ActWords()
    issue_act(
        by=by,
        campaign=campaign,
        kind=kind,
        number=document,
        served_at=served_at,
        content=said.content or reason or str(RegulatorAct.Kind(kind).label),
        legal_basis=said.legal_basis,
        due_on=said.due_on,
        until=until,
        file=said.file,
        at=now,
    )


@transaction.atomic
def refuse_recall(*, by: Actor, campaign: Campaign, reason: str, at: datetime.datetime | None = None) -> Campaign:
    """Decide that there is no recall (不予召回): another person than who assessed, with the reason. Refuses an
    authority below the competent one (``not_competent``).
    """
    require_row(campaign, "refuse", by)
    require_weighing(by, campaign, "refuse")
    return move(campaign=campaign, action="refuse", by=by, given=Given(reason=reason), at=at)


@transaction.atomic
def decide(*, by: Actor, campaign: Campaign, at: datetime.datetime | None = None) -> Campaign:
    """Decide to recall (决定召回): an owner who did not assess; level and scope must stand. Gives the number."""
    now = at or timezone.now()
    require_row(campaign, "decide", by)
    check_initiator(campaign)
    number = _next_number(is_drill=campaign.is_drill, at=now)
    return move(campaign=campaign, action="decide", by=by, at=now, number=number, decided_at=now, decided_by=by.user)


@transaction.atomic
def order(
    *,
    by: Actor,
    campaign: Campaign,
    document: str,
    served_at: datetime.datetime,
    reason: str = "",
    act: ActWords | None = None,
    at: datetime.datetime | None = None,
) -> Campaign:
    """The authority orders the recall (责令召回): its approver, another than who assessed, by a served document, which
    is written down as a ``RegulatorAct``.
    """
    now = at or timezone.now()
    if served_at > now:
        raise Invalid(_("时间在将来，请核对日期和时间。"), code="in_future")
    require_row(campaign, "order", by)
    check_initiator(campaign)
    check_objection(campaign, reason, now)
    _serve(by, campaign, RegulatorAct.Kind.ORDER_RECALL, document, served_at, reason, act, now)
    number = campaign.number or _next_number(is_drill=campaign.is_drill, at=now)
    changes: dict[str, Any] = {"form": Form.ORDERED.value, "number": number}
    if campaign.decided_at is None:
        changes |= {"decided_at": now, "decided_by": by.user}
    given = Given(document=document, served_at=served_at, reason=reason)
    return move(campaign=campaign, action="order", by=by, given=given, at=now, **changes)


@transaction.atomic
def start_campaign(
    *, by: Actor, campaign: Campaign, stop_order: bool, reason: str = "", at: datetime.datetime | None = None
) -> Campaign:
    """Start (启动召回): in one transaction the lots are blocked by flipping one row, every holder's notice lies in the
    outbox, and the clocks stop and start.

    The log is locked first and the scope asked again, so that goods shipped a second ago are in; events after it meet
    the block. ``stop_order`` confirms that making and selling is stopped. Refuses a second start (``stale_state`` or
    ``no_such_step``).
    """
    require_row(campaign, "start", by)
    if by.user is None:
        raise NotAllowed(_("这一步须由本人登录办理，不能用 API 密钥。"), code="person_required")
    lock_log_head()
    now = at or timezone.now()
    version = refresh_scope(by=by, campaign=campaign, at=now)
    given = Given(stop_order=stop_order, reason=reason, scope=version)
    facts = {"scope": version.number, "lots": version.lot_count} if version else {}
    return move(
        campaign=campaign, action="start", by=by, given=given, at=now, data=facts, started_at=now, started_by=by.user
    )


@transaction.atomic
def file_plan(
    *, by: Actor, campaign: Campaign, items: Mapping[str, str], at: datetime.datetime | None = None
) -> Campaign:
    """File the recall plan (报送召回计划) with every item the regime asks for; a later one is another version."""
    now = at or timezone.now()
    cleaned = {key: clean_text(value, 2000, multiline=True) for key, value in items.items()}
    require_row(campaign, "file_plan", by)
    one_at_a_time(campaign)
    plan = RecallPlan.objects.create(
        campaign=campaign,
        number=campaign.plans.count() + 1,
        items=cleaned,
        by=by.user,
        by_organisation=by.organisation,
        at=now,
    )
    given = Given(plan=cleaned)
    return move(campaign=campaign, action="file_plan", by=by, given=given, at=now, data={"plan": plan.number})


@transaction.atomic
def return_plan(*, by: Actor, campaign: Campaign, reason: str, at: datetime.datetime | None = None) -> Campaign:
    """The authority returns the plan with what must change (退回修改)."""
    return move(campaign=campaign, action="return_plan", by=by, given=Given(reason=reason), at=at)


@transaction.atomic
def announce(
    *,
    by: Actor,
    campaign: Campaign,
    channel: str,
    sites: Sequence[str] | None = None,
    why: str = "",
    at: datetime.datetime | None = None,
) -> Campaign:
    """Publish the drafted announcement (发布召回公告): another person than who drafted it. Impossible for a drill.

    ``sites`` are the places it stands at by their key (``recalls.channels``). Without those the regime asks for by
    where the goods went it is refused (``channel_wrong``) unless ``why`` says why: the public is not kept waiting for
    a web site. Where only words are given (None) the places named in them count; what is missing is shown as owed.
    """
    now = at or timezone.now()
    require_row(campaign, "announce", by)
    named = check_channel(campaign, channel, sites, why)
    return move(
        campaign=campaign,
        action="announce",
        by=by,
        given=Given(channel=channel, sites=named, channel_why=why),
        at=now,
        announced_at=now,
        announced_by=by.user,
    )


@transaction.atomic
def take_back(*, by: Actor, campaign: Campaign, reason: str, at: datetime.datetime | None = None) -> Campaign:
    """Carry out a withdrawal without telling the public (2015 Measures, article 11): another than who assessed says
    why none of the goods can have been sold. Refused while a record or an answer says that some were
    (``guard_not_sold``), and an authority below the competent one (``not_competent``).
    """
    require_row(campaign, "take_back", by)
    require_weighing(by, campaign, "take_back")
    return move(campaign=campaign, action="take_back", by=by, given=Given(reason=reason), at=at)


@transaction.atomic
def turn_recall(*, by: Actor, campaign: Campaign, reason: str, at: datetime.datetime | None = None) -> Campaign:
    """Some of what was to be taken back was sold after all: the withdrawal becomes a recall (转为召回), every holder is
    told, and the announcement is due. What was answered and handed back stands. One person suffices, for it protects.
    """
    given = Given(reason=reason)
    return move(campaign=campaign, action="turn_recall", by=by, given=given, at=at, kind=Campaign.Kind.RECALL)


@transaction.atomic
def amend_notice(
    *,
    by: Actor,
    campaign: Campaign,
    channel: str,
    reason: str,
    sites: Sequence[str] | None = None,
    why: str = "",
    at: datetime.datetime | None = None,
) -> Campaign:
    """Publish a correction or supplement: the drafted version follows the published one, which stays readable. The
    places are checked as in ``announce``.
    """
    require_row(campaign, "amend_notice", by)
    named = check_channel(campaign, channel, sites, why)
    given = Given(channel=channel, reason=reason, sites=named, channel_why=why)
    return move(campaign=campaign, action="amend_notice", by=by, given=given, at=at)


@transaction.atomic
def rehearse(*, by: Actor, campaign: Campaign, at: datetime.datetime | None = None) -> Campaign:
    """A drill goes on without being announced."""
    return move(campaign=campaign, action="rehearse", by=by, at=at)


@transaction.atomic
def carry_out(*, by: Actor, campaign: Campaign, at: datetime.datetime | None = None) -> Campaign:
    """Begin carrying out; the first answer or return does it by itself."""
    return move(campaign=campaign, action="carry_out", by=by, at=at)


def carry_out_by_itself(*, by: Actor, campaign: Campaign, at: datetime.datetime) -> None:
    """After an answer or a return: move on if the campaign waits for that, else leave it. A race is somebody else's
    move.
    """
    campaign.refresh_from_db()
    if transition(campaign.status, "carry_out", is_drill=campaign.is_drill, quiet=campaign.quiet) is None:
        return
    try:
        move(campaign=campaign, action="carry_out", by=system_for(by), at=at)
    except StaleState:
        campaign.refresh_from_db()


@transaction.atomic
def propose(
    *,
    by: Actor,
    campaign: Campaign,
    action: str,
    reason: str,
    until: datetime.date | None = None,
    question: Question | None = None,
    at: datetime.datetime | None = None,
) -> CampaignStep:
    """Propose a step that frees goods or ends something (cancel, narrow the scope, extend a limit); another person
    approves it. ``until`` is the last day an extension is asked for, ``question`` what a narrower scope would cover:
    the second person approves this and nothing else.

    Refuses steps that need no proposal in this stage (``no_such_step``), a missing reason (``reason_required``), an
    extension where no limit runs that could be extended (``not_extendable``), a narrower scope that is not said
    (``narrower_required``) or is none (``scope_not_narrower``).
    """
    from recalls.transitions import Doer

    require_side(by, campaign)
    row = transition(campaign.status, action, is_drill=campaign.is_drill, quiet=campaign.quiet)
    if row is None or Doer.PROPOSED not in row.other_than:
        raise Clash(_("召回现在的阶段不能提出这一步。"), code="no_such_step")
    if action == "grant_extension" and not extendable_clocks(campaign).exists():
        raise Clash(_("没有可以延长的时限。"), code="not_extendable")
    if not reason.strip():
        raise Invalid(_("请写明理由。"), code="reason_required")
    if by.user is None:
        raise NotAllowed(_("这一步须由本人登录办理，不能用 API 密钥。"), code="person_required")
    data: dict[str, Any] = {"until": until.isoformat()} if until is not None else {}
    if action == "narrow_scope":
        data |= _narrower(by, campaign, question)
    now = at or timezone.now()
    return write_step(campaign, "propose", by, now, about=action, given=Given(reason=reason), data=data)


def _narrower(by: Actor, campaign: Campaign, question: Question | None) -> dict[str, Any]:
    """What is kept of a proposal to narrow the scope: the question, how many lots it leaves, and which version in force
    it was compared with.
    """
    before = latest_scope(campaign)
    if question is None or before is None:
        raise Invalid(_("请先在召回范围页算出要缩小到的范围，再提出。"), code="narrower_required")
    check_named(by, campaign, question)
    answer = preview_scope(question)
    require_narrower(answer, before)
    asked = answer.question.as_json(answer.lots)
    return {"question": asked, "lots": len(answer.lines), "scope": before.number}


@transaction.atomic
def grant_extension(
    *,
    by: Actor,
    campaign: Campaign,
    until: datetime.date,
    document: str,
    served_at: datetime.datetime,
    reason: str,
    act: ActWords | None = None,
    at: datetime.datetime | None = None,
) -> Campaign:
    """The authority agrees to a later end (2015 Measures, article 18): the old limit stays on record. Refuses an
    authority below the competent one (``not_competent``).
    """
    now = at or timezone.now()
    require_row(campaign, "grant_extension", by)
    require_competent(by, campaign)
    _serve(by, campaign, RegulatorAct.Kind.EXTENSION_GRANTED, document, served_at, reason, act, now, until=until)
    given = Given(document=document, served_at=served_at, reason=reason)
    moved = move(
        campaign=campaign, action="grant_extension", by=by, given=given, at=now, data={"until": until.isoformat()}
    )
    extend_clocks(by=by, campaign=moved, until=until, document=document, reason=reason, at=now)
    return moved


@transaction.atomic
def report_progress(*, by: Actor, campaign: Campaign, text: str, at: datetime.datetime | None = None) -> Figures:
    """A periodic report with the numbers as they stand; meets the running limit of each recurring clock.

    Refuses before the start and after the end (``no_such_step``).
    """
    now = at or timezone.now()
    require_side(by, campaign)
    if not campaign.has_started or not campaign.is_open:
        raise Clash(_("召回启动之后、结束之前才有进展报告。"), code="no_such_step")
    words = clean_text(text, 1000, multiline=True, required=True)
    kept = Figures.objects.create(campaign=campaign, action="report_progress", data=kept_figures(campaign, now), at=now)
    write_step(campaign, "report_progress", by, now, given=Given(reason=words), data={"figures": str(kept.uid)})
    meet_recurring(campaign=campaign, at=now)
    return kept


@transaction.atomic
def finish_collecting(
    *, by: Actor, campaign: Campaign, reason: str = "", at: datetime.datetime | None = None
) -> Campaign:
    """Collecting is over: every notice is answered, or a reason says why it goes on without."""
    return move(campaign=campaign, action="finish_collecting", by=by, given=Given(reason=reason), at=at)


@transaction.atomic
def finish_disposal(
    *, by: Actor, campaign: Campaign, reason: str = "", at: datetime.datetime | None = None
) -> Campaign:
    """Everything that came back is destroyed or lies blocked; a difference needs its reason."""
    return move(campaign=campaign, action="finish_disposal", by=by, given=Given(reason=reason), at=at)


@transaction.atomic
def summarise(
    *, by: Actor, campaign: Campaign, summary: str, explanation: str = "", at: datetime.datetime | None = None
) -> Campaign:
    """File the summary (召回总结); the numbers are frozen with it. ``explanation`` answers for what does not add up."""
    words = clean_text(summary, 4000, multiline=True)
    why = clean_text(explanation, 2000, multiline=True)
    return move(
        campaign=campaign,
        action="summarise",
        by=by,
        given=Given(summary=words, explanation=why),
        at=at,
        summary=words,
        explanation=why or campaign.explanation,
    )


@transaction.atomic
def evaluate(*, by: Actor, campaign: Campaign, at: datetime.datetime | None = None) -> Campaign:
    """The authority begins to evaluate the summary. Refuses one below the competent (``not_competent``)."""
    require_row(campaign, "evaluate", by)
    require_weighing(by, campaign, "evaluate")
    return move(campaign=campaign, action="evaluate", by=by, at=at)


@transaction.atomic
def strengthen(
    *,
    by: Actor,
    campaign: Campaign,
    reason: str,
    document: str,
    served_at: datetime.datetime,
    again: bool = False,
    act: ActWords | None = None,
    at: datetime.datetime | None = None,
) -> Campaign:
    """The authority finds it wanting and orders stronger measures, or to recall ``again``: back to carrying out.
    Refuses one below the competent (``not_competent``).
    """
    require_row(campaign, "strengthen", by)
    require_weighing(by, campaign, "strengthen")
    kind = RegulatorAct.Kind.RECALL_AGAIN if again else RegulatorAct.Kind.STRENGTHEN
    _serve(by, campaign, kind, document, served_at, reason, act, at or timezone.now())
    given = Given(reason=reason, document=document, served_at=served_at)
    return move(campaign=campaign, action="strengthen", by=by, given=given, at=at)


@transaction.atomic
def close(*, by: Actor, campaign: Campaign, reason: str = "", at: datetime.datetime | None = None) -> Campaign:
    """Close (结案): the authority's approver (for a drill the owner), another than who summed up. Blocked while answers
    and records contradict each other and nobody explained, or a red line is crossed, and for an authority below the
    competent one (``not_competent``). Lots stay blocked.
    """
    require_row(campaign, "close", by)
    require_weighing(by, campaign, "close")
    return move(campaign=campaign, action="close", by=by, given=Given(reason=reason), at=at)


@transaction.atomic
def cancel(*, by: Actor, campaign: Campaign, reason: str, at: datetime.datetime | None = None) -> Campaign:
    """Cancel (撤销) before the public was told: proposed by one, approved by another. Frees the lots, tells who was
    told. Refuses an authority below the competent one (``not_competent``).
    """
    require_row(campaign, "cancel", by)
    require_weighing(by, campaign, "cancel")
    return move(campaign=campaign, action="cancel", by=by, given=Given(reason=reason), at=at)


@transaction.atomic
def stop_sale(
    *,
    by: Actor,
    lots: Sequence[Lot],
    reason: str,
    campaign: Campaign | None = None,
    at: datetime.datetime | None = None,
) -> HoldSet:
    """Stop the sale of lots at once (停止销售): one authorised person suffices, for it protects.

    The hold is the organisation's own and is lifted like any hold. The rules of ``place_hold`` apply; a campaign it
    belongs to gets a step. Refuses in a drill (``drill_stays_inside``).
    """
    from recalls.errors import DrillStaysInside

    if campaign is not None and campaign.is_drill:
        raise DrillStaysInside()
    hold = place_hold(by=by, lots=lots, reason=reason, kind=HoldSet.Kind.STOP_SALE, at=at)
    if campaign is not None:
        require_side(by, campaign)
        write_step(
            campaign,
            "stop_sale",
            by,
            at or timezone.now(),
            given=Given(reason=reason),
            data={"lots": [str(lot.uid) for lot in lots], "hold": str(hold.uid)},
        )
    return hold


STOPPABLE = (Status.ASSESSING, Status.DECIDED, Status.ORDERED)
"""Stages in which stopping sale at once makes sense: afterwards the campaign's own hold does it."""
