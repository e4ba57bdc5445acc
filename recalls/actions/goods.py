"""Goods coming back and goods being destroyed: each a trace event, tied to the campaign."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.actions.campaigns import carry_out_by_itself
from recalls.actions.notices import move_notice
from recalls.asked import over
from recalls.models import (
    Campaign,
    Disposal,
    DisposalFact,
    DisposalFile,
    DisposalPlan,
    Notice,
    NoticeLot,
    ReturnReceipt,
    ScopeHolding,
)
from recalls.notice_states import NoticeStatus, Side, notice_move
from recalls.scope import latest_scope
from trace.access import entered_for
from trace.actions.events import Portion, When, record_event
from trace.actions.transfers import take_back
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed, NotFound
from trace.models import Lot, Organisation, Place, StoredFile
from trace.personal import seal
from trace.text import clean_text
from trace.units import EnteredAmount, decimal_text, parse_amount


@dataclass(frozen=True)
class GoodsLine:
    """How much of one lot; ``declared`` is what the sender said it sends back."""

    lot: Lot
    amount: EnteredAmount
    declared: EnteredAmount | None = None


@transaction.atomic
def receive_return(
    *,
    by: Actor,
    campaign: Campaign,
    organisation: Organisation,
    lines: Sequence[GoodsLine],
    when: When,
    condition: str = ReturnReceipt.Condition.SEALED,
    place: Place | None = None,
    remark: str = "",
    at: datetime.datetime | None = None,
) -> list[ReturnReceipt]:
    """Recalled goods came back from a holder (收回入库): the stock moves to the initiator, where it stays blocked.

    A report: more than the holder had by record is taken and flagged as a conflict. Refuses lots outside the scope
    (``not_in_scope``), organisations that hold none (``not_a_holder``), before the start and after the end
    (``no_such_step``), a drill (``drill_stays_inside``), amounts of zero, empty packs (``empty_is_no_goods``). What the
    holder said it sent (``ReturnDispatch``) stands as declared where the line names nothing else.
    """
    now = at or timezone.now()
    by.require("operator", "quality")
    if campaign.organisation_id not in entered_for(by):
        raise NotAllowed(_("收回入库由召回单位登记。"), code="not_own")
    _require_running(campaign)
    _require_in_scope(campaign, lines)
    if condition not in ReturnReceipt.Condition.values:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    if condition == ReturnReceipt.Condition.EMPTY:
        raise Invalid(_("空瓶空袋里没有货，请登记为“退回异常”。"), code="empty_is_no_goods")
    notices = _notices_of(campaign, organisation, lines)
    data = {"recall_case": str(campaign.uid)}
    portions = [Portion(lot=line.lot, amount=line.amount) for line in lines]
    event = take_back(
        by=by, source=organisation, portions=portions, when=when, place=place, data=data, remark=remark, at=at
    ).event
    promised = {pk: _promised(notice) for pk, notice in notices.items()}
    receipts = [
        ReturnReceipt.objects.create(
            campaign=campaign,
            notice=notices.get(line.lot.pk),
            organisation=organisation,
            received_by_organisation=by.owner,
            lot=line.lot,
            micros=line.amount.micros,
            declared_micros=line.declared.micros if line.declared else promised.get(line.lot.pk, {}).get(line.lot.pk),
            condition=condition,
            event=event,
            by=by.user,
            at=now,
        )
        for line in lines
    ]
    for notice in _each(notices):
        if notice_move(notice.status, "return", Side.ISSUER) is not None:
            move_notice(notice=notice, action="return", side=Side.ISSUER, by=by, at=now)
    carry_out_by_itself(by=by, campaign=campaign, at=now)
    return receipts


def _promised(notice: Notice) -> dict[int, int]:
    """Per lot, what the holder said it sent back and has not arrived yet."""
    left: dict[int, int] = {}
    for lot, micros in notice.dispatches.values_list("lot", "micros"):
        left[lot] = left.get(lot, 0) + micros
    for lot, micros in notice.returns.values_list("lot", "micros"):
        if lot in left:
            left[lot] -= micros
    return {lot: micros for lot, micros in left.items() if micros > 0}


@transaction.atomic
def destroy(
    *,
    by: Actor,
    campaign: Campaign,
    lines: Sequence[GoodsLine],
    when: When,
    method: str,
    place: str,
    witness: Organisation | None = None,
    witness_name: str = "",
    announced_at: datetime.datetime | None = None,
    plan: DisposalPlan | None = None,
    executor: str = "",
    files: Sequence[StoredFile] = (),
    holder: Organisation | None = None,
    remark: str = "",
    at: datetime.datetime | None = None,
) -> list[Disposal]:
    """Destroy recalled goods or make them harmless (处理): by the initiator, or on the spot by (or at) a holder.

    Each lot and place is an event that takes the goods out of stock; more than is there is refused. A witness is
    required, from another organisation than the one that does it (``witness_required``, ``witness_same``).
    ``announced_at`` is when time and place were reported to the county (food safety law, article 63); it cannot be
    after the fact (``announced_late``). ``plan`` is that report where it was filed here: of the same campaign and firm
    (``not_found``) and before the deed. ``executor`` is the person who did it, never the one who witnessed
    (``witness_same``). ``files`` are kept with their hashes, on the event and here.
    """
    now = at or timezone.now()
    by.require("operator", "quality")
    executing = holder or by.owner
    _require_running(campaign)
    _require_in_scope(campaign, lines)
    notices = _notices_of(campaign, executing, lines)
    if campaign.organisation_id not in entered_for(by) and (not notices or executing.pk not in entered_for(by)):
        raise NotAllowed(_("只有召回单位和持有单位能登记处理。"), code="not_own")
    if method not in Disposal.Method.values:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    where = clean_text(place, 120, required=True)
    name = clean_text(witness_name, 60)
    if witness is None and not name:
        raise Invalid(_("请写明见证单位或见证人。"), code="witness_required")
    if witness is not None and witness.pk == executing.pk:
        raise Invalid(_("见证单位不能是处理单位自己。"), code="witness_same")
    doer = clean_text(executor, 60)
    same = {_person(one) for one in (doer, by.user.display_name if by.user and not doer else "") if one}
    if name and _person(name) in same:
        raise Invalid(_("见证人不能是处理人自己。"), code="witness_same")
    if plan is not None:
        if plan.campaign_id != campaign.pk or plan.organisation_id != executing.pk:
            raise NotFound(_("没有找到，或者您无权查看。"))
        announced_at = plan.reported_at
    if announced_at is not None and announced_at > when.at:
        raise Invalid(_("事先报告的时间晚于处理时间，请核对。"), code="announced_late")
    data = {"method": str(Disposal.Method(method).label), "recall_case": str(campaign.uid)}
    if witness is not None:
        data["witness_org"] = str(witness.uid)
    rows: list[Disposal] = []
    for line in (part for whole in lines for part in _by_place(whole, executing)):
        event = record_event(
            files=() if rows else files,
            by=by,
            code="common.destroy",
            when=when,
            data=data,
            subjects=[Portion(lot=line.lot, amount=line.amount, holder=executing)],
            remark=remark,
            at=at,
        ).event
        rows.append(
            Disposal.objects.create(
                campaign=campaign,
                notice=notices.get(line.lot.pk),
                organisation=executing,
                lot=line.lot,
                micros=line.amount.micros,
                method=method,
                place=where,
                announced_at=announced_at,
                witness=witness,
                witness_name=seal(name, organisation=by.owner, purpose="recall_witness") if name else None,
                event=event,
                by=by.user,
                at=now,
            )
        )
    for row in rows:
        DisposalFact.objects.create(
            disposal=row,
            plan=plan,
            executor=seal(doer, organisation=by.owner, purpose="recall_executor") if doer else None,
        )
    DisposalFile.objects.bulk_create(
        [DisposalFile(disposal=row, file=file, sha256=file.sha256) for row in rows for file in files]
    )
    side = Side.RECIPIENT if executing.pk in entered_for(by) else Side.ISSUER
    for notice in _each(notices):
        if notice_move(notice.status, "dispose_on_site", side) is not None:
            move_notice(notice=notice, action="dispose_on_site", side=side, by=by, at=now)
    carry_out_by_itself(by=by, campaign=campaign, at=now)
    return rows


def _person(name: str) -> str:
    """A name as it is compared: without spaces and case."""
    return "".join(name.split()).casefold()


def _by_place(line: GoodsLine, holder: Organisation) -> list[GoodsLine]:
    """The line as what is taken from each place, the fullest first, as an event without a place takes it.

    Goods that came back often lie elsewhere than the rest, and the form asks for one amount. More than there is stays
    one line, and is refused as such.
    """
    stocks = line.lot.stocks.filter(organisation=holder, micros__gt=0)
    there = list(stocks.order_by("-micros", "id").values_list("micros", flat=True))
    if not there or line.amount.micros <= there[0] or line.amount.micros > sum(there):
        return [line]
    unit, left, parts = line.lot.product.base_unit, line.amount.micros, []
    for micros in there:
        taken = min(micros, left)
        left -= taken
        if taken:
            parts.append(GoodsLine(line.lot, parse_amount(decimal_text(taken), unit, unit)))
    return parts


def _require_running(campaign: Campaign) -> None:
    """Goods are collected and destroyed between the start and the end, and never in a drill."""
    from recalls.errors import DrillStaysInside

    if campaign.is_drill:
        raise DrillStaysInside()
    if not campaign.has_started or not campaign.is_open:
        raise Clash(_("召回启动之后、结束之前才能登记收回和处理。"), code="no_such_step")


def _require_in_scope(campaign: Campaign, lines: Sequence[GoodsLine]) -> None:
    """Lots of the scope in force only, each once, more than nothing."""
    if not lines:
        raise Invalid(_("请指明是哪个批次。"), code="subjects_required")
    version = latest_scope(campaign)
    ids = [line.lot.pk for line in lines]
    inside = set(version.lots.filter(lot__in=ids).values_list("lot", flat=True)) if version else set()
    for line in lines:
        if line.lot.pk not in inside:
            raise Invalid(
                _("批次 %(lot)s 不在召回范围内。") % {"lot": line.lot.code}, code="not_in_scope", lot=str(line.lot.uid)
            )
        if line.amount.micros <= 0:
            raise Invalid(_("数量必须大于 0。"), code="amount_zero")
    if len(set(ids)) != len(ids):
        raise Invalid(_("同一批次填了两次，请合并成一行。"), code="input_twice")


def _notices_of(campaign: Campaign, organisation: Organisation, lines: Sequence[GoodsLine]) -> dict[int, Notice]:
    """By lot (row number) the notice to this organisation that asks about it, else the newest that named it, else the
    newest of all. None for the initiator itself; refuses who holds nothing (``not_a_holder``).
    """
    if organisation.pk == campaign.organisation_id:
        return {}
    told = campaign.notices.filter(organisation=organisation)
    newest = told.order_by("-id").first()
    if newest is None:
        version = latest_scope(campaign)
        held = ScopeHolding.objects.filter(scope=version, organisation=organisation).exists() if version else False
        if not held:
            raise Invalid(_("这个单位不在召回通知名单内。请先扩大召回范围。"), code="not_a_holder")
        return {}
    lots = {line.lot.pk for line in lines}
    named = NoticeLot.objects.filter(notice__in=told, lot__in=lots).select_related("notice__campaign")
    asking = Q(~over()) & ~Q(notice__status=NoticeStatus.WITHDRAWN)
    found = dict.fromkeys(lots, newest)
    one_of = {newest.pk: newest}
    for row in [*named.order_by("notice"), *named.filter(asking).order_by("notice")]:
        found[row.lot_id] = one_of.setdefault(row.notice_id, row.notice)
    return found


def _each(notices: Mapping[int, Notice]) -> list[Notice]:
    """The notices, each once."""
    return list({one.pk: one for one in notices.values()}.values())
