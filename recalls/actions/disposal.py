"""Reports before a destruction, goods on their way back, what came back by mistake, corrected goods, differences."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import is_one_person_firm, notice_by_link
from recalls.actions.notices import sides_of
from recalls.errors import DrillStaysInside
from recalls.figures import figures
from recalls.guards import releasable
from recalls.models import (
    BalanceNote,
    Campaign,
    CorrectedRelease,
    Disposal,
    DisposalPlan,
    DisposalPlanLot,
    Notice,
    ReleaseApproval,
    ReturnDispatch,
    ReturnOddity,
    ReturnReceipt,
    ScopeVersion,
)
from recalls.notice_states import Side
from recalls.parts import Extent, require_range, within
from recalls.released import released_of
from recalls.scope import latest_scope
from recalls.transitions import Status
from trace.access import entered_for
from trace.actions.holds import release_from_hold
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed, StaleState
from trace.models import HoldSet, Lot, Organisation, Stock
from trace.text import clean_text
from trace.units import format_amount

LotMicros = tuple[Lot, int]
"""A lot with how much of it, in millionths of its base unit."""


def _lock(campaign: Campaign) -> None:
    """One after another for a campaign, so that two at once do not both pass a check on the same goods."""
    Campaign.objects.select_for_update().get(pk=campaign.pk)


def _require_running(campaign: Campaign, *, closed: bool = False) -> None:
    """Between start and end; with ``closed`` also after a regular end, when what is left is still held."""
    if campaign.is_drill:
        raise DrillStaysInside()
    if closed and campaign.status == Status.CLOSED:
        return
    if not campaign.has_started or not campaign.is_open:
        raise Clash(_("召回启动之后、结束之前才能登记收回和处理。"), code="no_such_step")


def _require_amounts(campaign: Campaign, lines: Sequence[LotMicros]) -> None:
    """Lots of the scope in force, each once, more than nothing."""
    if not lines:
        raise Invalid(_("请指明是哪个批次。"), code="subjects_required")
    version = latest_scope(campaign)
    ids = [lot.pk for lot, _micros in lines]
    inside = set(version.lots.filter(lot__in=ids).values_list("lot", flat=True)) if version else set()
    for lot, micros in lines:
        if lot.pk not in inside:
            raise Invalid(_("批次 %(lot)s 不在召回范围内。") % {"lot": lot.code}, code="not_in_scope", lot=str(lot.uid))
        if micros <= 0:
            raise Invalid(_("数量必须大于 0。"), code="amount_zero")
    if len(set(ids)) != len(ids):
        raise Invalid(_("同一批次填了两次，请合并成一行。"), code="input_twice")


@transaction.atomic
def report_disposal(
    *,
    by: Actor,
    campaign: Campaign,
    lines: Sequence[LotMicros],
    planned_at: datetime.datetime,
    place: str,
    method: str,
    organisation: Organisation | None = None,
    at: datetime.datetime | None = None,
) -> DisposalPlan:
    """Report time and place of a destruction beforehand (销毁预报告, food safety law, article 63): by the initiator,
    or by a holder for itself. The supervising authority sees it on the campaign and may attend.

    Refuses a time that has come (``planned_too_late``), lots outside the scope, strangers (``not_own``).
    """
    now = at or timezone.now()
    by.require("operator", "quality")
    executing = organisation or by.owner
    _require_running(campaign)
    _require_amounts(campaign, lines)
    mine = entered_for(by)
    holds = campaign.notices.filter(organisation=executing).exists() and executing.pk in mine
    if campaign.organisation_id not in mine and not holds:
        raise NotAllowed(_("只有召回单位和持有单位能登记处理。"), code="not_own")
    if method not in Disposal.Method.values:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    where = clean_text(place, 120, required=True)
    if planned_at <= now:
        raise Invalid(_("预报告须在销毁之前，请填写以后的时间。"), code="planned_too_late")
    plan = DisposalPlan.objects.create(
        campaign=campaign,
        organisation=executing,
        planned_at=planned_at,
        place=where,
        method=method,
        reported_at=now,
        by=by.user,
        by_organisation=by.organisation,
    )
    DisposalPlanLot.objects.bulk_create([DisposalPlanLot(plan=plan, lot=lot, micros=n) for lot, n in lines])
    return plan


# --- On the way back ------------------------------------------------------------------------------------------------


@transaction.atomic
def send_back(
    *,
    by: Actor,
    notice: Notice,
    lines: Sequence[LotMicros],
    sent_at: datetime.datetime,
    carrier: str = "",
    parcel: str = "",
    at: datetime.datetime | None = None,
) -> list[ReturnDispatch]:
    """A holder says what it sends back, by account (or the issuer writes it down): moves no stock, and what arrives is
    held against it. Refuses strangers (``not_your_notice``), lots the notice does not ask about (``not_in_scope``).
    """
    if not {Side.RECIPIENT, Side.ISSUER} & set(sides_of(by, notice)):
        raise NotAllowed(_("这份通知不是发给您的。"), code="not_your_notice")
    return _send_back(notice, by, ReturnDispatch.Channel.ACCOUNT, lines, sent_at, carrier, parcel, at)


@transaction.atomic
def send_back_by_link(
    *,
    token: str,
    lines: Sequence[LotMicros],
    sent_at: datetime.datetime,
    carrier: str = "",
    parcel: str = "",
    at: datetime.datetime | None = None,
) -> list[ReturnDispatch]:
    """The same from the letter, without an account."""
    notice = notice_by_link(token)
    by = Actor(organisation=notice.organisation, role="operator", system=True)
    return _send_back(notice, by, ReturnDispatch.Channel.LINK, lines, sent_at, carrier, parcel, at)


def _send_back(
    notice: Notice,
    by: Actor,
    channel: str,
    lines: Sequence[LotMicros],
    sent_at: datetime.datetime,
    carrier: str,
    parcel: str,
    at: datetime.datetime | None,
) -> list[ReturnDispatch]:
    now = at or timezone.now()
    _require_running(notice.campaign)
    if not notice.is_open:
        raise Clash(
            _("这份通知已经“%(status)s”，不用再答复。") % {"status": notice.get_status_display()},
            code="notice_state",
            status_now=notice.status,
        )
    _require_amounts(notice.campaign, lines)
    if sent_at > now + datetime.timedelta(minutes=5):
        raise Invalid(_("寄出时间不能晚于现在。"), code="in_future")
    asked = set(notice.lots.values_list("lot", flat=True))
    for lot, _micros in lines:
        if lot.pk not in asked:
            raise Invalid(_("批次 %(lot)s 不在召回范围内。") % {"lot": lot.code}, code="not_in_scope")
    who, number = clean_text(carrier, 60), clean_text(parcel, 60)
    _lock(notice.campaign)
    same = notice.dispatches.filter(parcel=number, lot__in=[lot.pk for lot, _micros in lines]) if number else None
    known = list(same) if same is not None else []
    told = {one.lot_id for one in known}
    return known + [
        ReturnDispatch.objects.create(
            notice=notice,
            lot=lot,
            micros=micros,
            carrier=who,
            parcel=number,
            channel=channel,
            by=by.user,
            sent_at=sent_at,
            at=now,
        )
        for lot, micros in lines
        if lot.pk not in told
    ]


@transaction.atomic
def note_oddity(
    *,
    by: Actor,
    notice: Notice,
    kind: str,
    count: int,
    handling: str,
    code: str = "",
    words: str = "",
    at: datetime.datetime | None = None,
) -> ReturnOddity:
    """Write down what came back and is no recalled goods: wrong lots, empty bottles, goods of others. Counts in no
    figure. By the initiator while the recall runs.
    """
    by.require("operator", "quality")
    campaign = notice.campaign
    if campaign.organisation_id not in entered_for(by):
        raise NotAllowed(_("收回入库由召回单位登记。"), code="not_own")
    _require_running(campaign)
    if kind not in ReturnOddity.Kind.values or handling not in ReturnOddity.Handling.values:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    if not 0 < count <= 1_000_000:
        raise Invalid(_("数量必须大于 0。"), code="amount_zero")
    return ReturnOddity.objects.create(
        campaign=campaign,
        notice=notice,
        kind=kind,
        count=count,
        handling=handling,
        code=clean_text(code, 100),
        words=clean_text(words, 300),
        by=by.user,
        at=at or timezone.now(),
    )


# --- Corrected goods ------------------------------------------------------------------------------------------------


@transaction.atomic
def propose_release(
    *,
    by: Actor,
    campaign: Campaign,
    lot: Lot,
    micros: int,
    correction: str,
    holder: Organisation | None = None,
    units: tuple[int, int] | None = None,
    at: datetime.datetime | None = None,
) -> CorrectedRelease:
    """Say that so much of a lot carries a right label again (food safety law, article 63; 2015 Measures, article 25:
    label-only, corrected and sold with the correction shown), or that the defect of so many consumer products was
    removed. It moves only after a second person has approved. Closing a recall leaves the rest held, so goods may be
    put right afterwards, too.

    Refuses a recall of food that is about more than the label (``not_label_only``), more than the holder has, less
    what was let go and is still there or waits for approval (``more_than_there``), a range of units that is none or
    stands for other goods or was let go already (``range_wrong``, ``require_range``): their labels will say that they
    are sound.
    """
    by.require("quality", "owner")
    _require_running(campaign, closed=True)
    if campaign.organisation_id not in entered_for(by):
        raise NotAllowed(_("更正后放行由召回单位提出。"), code="not_own")
    if not releasable(campaign):
        raise Clash(_("只有仅因标签、不影响安全的召回才能更正后再销售。"), code="not_label_only")
    _require_amounts(campaign, [(lot, micros)])
    words = clean_text(correction, 300, required=True)
    who = holder or by.owner
    _lock(campaign)
    if units is not None and not 0 < units[0] <= units[1]:
        raise Invalid(_("件号范围不对，请从小到大填写。"), code="range_wrong")
    version = latest_scope(campaign)
    covered = version.lots.filter(lot=lot).first() if version and units is not None else None
    if (
        covered is not None
        and covered.part
        and units is not None
        and not within(Extent((units,)), Extent(covered.exact))
    ):
        raise Invalid(_("这些件号不在召回范围内，不需要放行。"), code="range_wrong")
    if units is not None:
        require_range(lot, who, *units, micros)
        _require_fresh(campaign, lot, *units)
    if micros > _left_to_release(campaign, version, lot, who):
        raise Invalid(_("没有这么多在库，不能放行。"), code="more_than_there")
    now = at or timezone.now()
    release = CorrectedRelease.objects.create(
        campaign=campaign,
        holder=who,
        lot=lot,
        micros=micros,
        unit_from=units[0] if units else None,
        unit_to=units[1] if units else None,
        correction=words,
        by=by.user,
        by_organisation=by.organisation,
        at=now,
    )
    _tell(release, "propose_release", by, now)
    return release


def _require_fresh(campaign: Campaign, lot: Lot, first: int, last: int) -> None:
    """Refuse (``range_wrong``) unit numbers of which some were let go already: one unit frees no goods twice."""
    done = campaign.releases.filter(lot=lot, approval__isnull=False, unit_from__lte=last, unit_to__gte=first).first()
    if done is not None:
        words = {"first": done.unit_from, "last": done.unit_to, "lot": lot.code}
        raise Invalid(_("批次 %(lot)s 的件号 %(first)s—%(last)s 已经放行过，请勿重复。") % words, code="range_wrong")


def _left_to_release(campaign: Campaign, version: ScopeVersion | None, lot: Lot, who: Organisation) -> int:
    """How much of a lot may still be put right with a holder: what is there without what waits for approval. A proposal
    whose goods left since can no longer be approved and keeps nothing.
    """
    left = _to_release(campaign, version, lot, who)
    waiting = campaign.releases.filter(lot=lot, holder=who, approval__isnull=True).order_by("id")
    for micros in waiting.values_list("micros", flat=True):
        if micros <= left:
            left -= micros
    return left


def _to_release(campaign: Campaign, version: ScopeVersion | None, lot: Lot, who: Organisation) -> int:
    """A holder's stock without what was let go and is still there. Of a part no more than it had of it when the version
    was frozen, with what came to it and left it in recalls since, less all that was released there.
    """
    released = released_of(campaign).get(lot.pk)
    still = max(released.there.get(who.pk, 0), 0) if released else 0
    left = sum(Stock.objects.filter(lot=lot, organisation=who).values_list("micros", flat=True)) - still
    if version is None or not version.lots.filter(lot=lot).exclude(part={}).exists():
        return left
    held = version.holdings.filter(lot=lot, organisation=who).first()
    part = held.on_hand_micros + held.unconfirmed_micros if held else 0
    since: dict[str, Any] = {"lot": lot, "event__corrections__isnull": True, "at__gt": version.calculated_at}
    part += sum(ReturnReceipt.objects.filter(received_by_organisation=who, **since).values_list("micros", flat=True))
    part -= sum(ReturnReceipt.objects.filter(organisation=who, **since).values_list("micros", flat=True))
    part -= sum(Disposal.objects.filter(organisation=who, **since).values_list("micros", flat=True))
    return min(left, part - (released.at_first.get(who.pk, 0) if released else 0))


@transaction.atomic
def approve_release(*, by: Actor, release: CorrectedRelease, at: datetime.datetime | None = None) -> ReleaseApproval:
    """The second person lets corrected goods go: an owner of the initiator (or the approver of the competent authority
    or of one above it) who did not propose it. Twice is once. Refuses goods that left the holder since they were
    proposed (``more_than_there``) and units that another release let go since (``range_wrong``).
    """
    from recalls.actions.acts import is_competent

    now = at or timezone.now()
    campaign = release.campaign
    firm = campaign.organisation_id in entered_for(by) and by.can("owner")
    authority = is_competent(by, campaign) and by.can("approver")
    if not (firm or authority):
        raise NotAllowed(_("您的岗位不能办理这次召回，请由质量负责人、负责人或监管部门办理。"), code="role_required")
    if by.user is None:
        raise NotAllowed(_("这一步须由本人登录办理，不能用 API 密钥。"), code="person_required")
    if release.by_id == by.user.pk:
        hint = _("请由主管部门批准。") if is_one_person_firm(campaign.organisation) else ""
        raise NotAllowed(_("提出的人不能自己批准。") + hint, code="second_person")
    _require_running(campaign, closed=True)
    _lock(campaign)
    found = ReleaseApproval.objects.filter(release=release).first()
    if found is not None:
        return found
    if release.micros > _to_release(campaign, latest_scope(campaign), release.lot, release.holder):
        raise Invalid(_("提出之后货已经不在那里了，不能放行。请核对后重新提出。"), code="more_than_there")
    if release.unit_from is not None:
        _require_fresh(campaign, release.lot, release.unit_from, release.unit_to or release.unit_from)
    approval = ReleaseApproval.objects.create(release=release, by=by.user, by_organisation=by.organisation, at=now)
    hold = HoldSet.objects.filter(
        source=campaign.hold_source, kind=HoldSet.Kind.RECALL, active_from__isnull=False, ended_at=None
    ).first()
    if hold is None:
        raise StaleState(_("这项封存已经结束，请刷新页面。"))
    _let_go(release, hold, by, now)
    _tell(release, "release", by, now)
    return approval


def _tell(release: CorrectedRelease, action: str, by: Actor, at: datetime.datetime) -> None:
    """A row in the recall's history: how much of which lot, and how it was put right."""
    from recalls.actions.moves import write_step
    from recalls.guards import Given

    lot = release.lot
    words = f"{lot.code} {format_amount(release.micros, lot.product.base_unit)} · {release.correction}"
    write_step(release.campaign, action, by, at, given=Given(reason=words), data={"release": str(release.uid)})


def _let_go(release: CorrectedRelease, hold: HoldSet, by: Actor, at: datetime.datetime) -> None:
    """Put the release beside a hold."""
    release_from_hold(
        by=Actor(organisation=hold.organisation, user=by.user, role=by.role, system=True),
        hold=hold,
        lot=release.lot,
        holder=release.holder,
        micros=release.micros,
        units=(release.unit_from, release.unit_to or release.unit_from) if release.unit_from else None,
        words=release.correction,
        at=at,
    )


def carry_releases(*, campaign: Campaign, hold: HoldSet, by: Actor) -> None:
    """A new version's hold lets go what was released under the ones before. Part of a move, never called alone."""
    approved = campaign.releases.filter(approval__isnull=False).select_related("lot", "holder", "approval")
    held = set(hold.members.filter(lot__in=approved.values("lot")).values_list("lot", flat=True))
    for release in approved:
        if release.lot_id in held:
            _let_go(release, hold, by, release.approval.at)


# --- Differences ----------------------------------------------------------------------------------------------------


@transaction.atomic
def explain_difference(
    *, by: Actor, campaign: Campaign, lot: Lot, explanation: str, at: datetime.datetime | None = None
) -> BalanceNote:
    """Say why the numbers of one lot do not add up. It stands for the difference as it is now: when the difference
    changes, it must be explained again. Refuses a lot that adds up (``no_difference``).
    """
    by.require("quality", "owner")
    if campaign.organisation_id not in entered_for(by):
        raise NotAllowed(_("差异由召回单位说明。"), code="not_own")
    words = clean_text(explanation, 500, multiline=True, required=True)
    row = next((one for one in figures(campaign).inconsistent if one.lot.pk == lot.pk), None)
    if row is None:
        raise Clash(_("这个批次的数量没有差异。"), code="no_difference")
    return BalanceNote.objects.create(
        campaign=campaign,
        lot=lot,
        micros=row.amounts.excess,
        explanation=words,
        by=by.user,
        by_organisation=by.organisation,
        at=at or timezone.now(),
    )
