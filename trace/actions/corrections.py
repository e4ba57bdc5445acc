"""Saying that a recorded event was wrong. The event stays readable; its effects are taken back; nothing is edited."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.db.models import F

from trace import derive
from trace.access import entered_for
from trace.actions.capture import Captured, Draft, Use, capture, facts_of, move_stock
from trace.actions.epcis_index import is_beside
from trace.actions.events import When, checked_data
from trace.actions.failures import settle_wrong
from trace.actions.unit_states import restate_units
from trace.actor import Actor
from trace.divided import parts_of
from trace.errors import BrokenGuard, Clash, Invalid, NotAllowed
from trace.event_templates import template
from trace.ledger import lock_log_head
from trace.models import (
    Conflict,
    Event,
    LogEntry,
    Lot,
    LotClaim,
    LotClaimStep,
    LotLink,
    Shipment,
    Stock,
    TestReport,
    Transfer,
)
from trace.sentences import gettext as _


@transaction.atomic
def declare_error(
    *,
    by: Actor,
    event: Event,
    reason: str,
    when: When,
    remark: str = "",
    at: datetime.datetime | None = None,
) -> Captured:
    """Declare one event wrong (EPCIS errorDeclaration; CBV reasons ``did_not_occur``, ``incorrect_data``).

    Stock moves back, links and lots begun are marked void, receipts and shipments are taken back, all in one
    transaction; what was written right before an event of EPCIS by reason of it goes along, and so does what goods were
    flagged for by a failed report on an ancestor, where no other one is left. Where lots begun here were already used,
    stock falls below zero, goods left by a release taken back or were released by a report taken back,
    the declaration stands and conflicts are flagged. The corrected statement, if any, is recorded afterwards with
    ``replaces``. Refuses others' events (``not_own``), a second declaration (``already_declared``), a declaration about
    a declaration (``not_correctable``), a shipment already confirmed by its receiver (``receipt_stands``: the receipt
    must be declared wrong first).
    """
    by.require("operator", "quality")
    sides = {event.organisation_id}
    if template(event.template).moves == "join" and event.counterparty_id is not None:
        # A join is a statement of two: either may take it back.
        sides.add(event.counterparty_id)
    if not sides & set(entered_for(by)) and event.entered_by_organisation_id != by.organisation.pk:
        raise NotAllowed(_("只能更正本单位登记的环节。"), code="not_own")
    if event.corrects_id is not None:
        raise Invalid(_("更正声明本身不能再更正。"), code="not_correctable")
    if reason not in Event.ErrorReason.values:
        raise Invalid(_("请选择更正原因：没有发生，或数据有误。"), code="unknown_choice")
    lock_log_head()  # what is asked from here on must still be so when it is written
    if event.corrections.exists():
        raise Clash(_("这个环节已经声明过有误。"), code="already_declared")
    if Transfer.objects.filter(shipment__event=event, received_by__isnull=False).exists():
        raise Clash(_("收货单位已经确认收货。请先请对方更正收货记录。"), code="receipt_stands")
    for before in _went_before(event):
        declare_error(by=by, event=before, reason=reason, when=when, remark=remark, at=at)
    items = list(event.items.select_related("lot").order_by("number"))
    draft = Draft(
        template=template("common.correct"),
        organisation=event.organisation,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        place=event.place,
        uses=[
            Use(lot=item.lot, role="subject", holder=event.organisation)
            for item in {item.lot_id: item for item in items if item.lot_id}.values()
        ],
        data=checked_data(template("common.correct"), {"declared_wrong_event": str(event.uid), "reason": reason}),
        corrects=event,
        error_reason=reason,
        remark=remark,
    )
    captured = capture(draft=draft, by=by, guarded=False, at=at)
    change = derive.effects(facts_of(event, items, template(event.template).moves))
    _undo(event, change, captured.event)
    for report in TestReport.objects.filter(event=event):
        settle_wrong(report, captured.event)
    if template(event.template).moves == "join":
        _withdraw_claims(event, by, captured.event)
    restate_units([item.unit_id for item in items if item.unit_id is not None])
    _flag_consequences(event, change, captured.event)
    return captured


def _went_before(event: Event) -> list[Event]:
    """Events in which serials went over into their lots by reason of this captured one (``Plan.name_first``): they
    stand right before it in the log. Without those that were declared wrong by themselves.
    """
    proof = event.data.get("epcis_sha256")
    if proof is None or is_beside(event):
        return []
    found: list[Event] = []
    number = LogEntry.objects.get(event=event).number
    while True:
        number -= 1
        before = (
            Event.objects.filter(log__number=number, template="common.produce")
            .select_related("organisation", "place")
            .first()
        )
        if before is None or not is_beside(before) or before.data["epcis_sha256"] != proof:
            return found
        if not before.corrections.exists():
            found.append(before)


def _undo(event: Event, change: derive.Effects, by: Event) -> None:
    """Take the effects of an event back in the derived rows."""
    move_stock({key: -micros for key, micros in change.stock.items()})
    LotLink.objects.filter(event=event).update(voided_by=by)
    Lot.objects.filter(pk__in=change.begun, origin_event=event).update(voided_by=by)
    for lot, micros in change.made.items():
        Lot.objects.filter(pk=lot).update(made_micros=F("made_micros") - micros)
    for released in Lot.objects.filter(pk__in=change.released, released_by=event):
        released.released_by = (
            Event.objects.filter(
                items__lot=released, items__role="subject", template="common.release", corrections__isnull=True
            )
            .exclude(pk=event.pk)
            .order_by("id")
            .first()
        )
        released.save(update_fields=["released_by"])
    Transfer.objects.filter(received_by=event).update(received_by=None, received_micros=None, received_at=None)
    Shipment.objects.filter(event=event).update(voided_by=by)
    Transfer.objects.filter(shipment__event=event).update(voided_by=by)
    Conflict.objects.filter(event=event).update(voided_by=by)


def _withdraw_claims(event: Event, by: Actor, declaration: Event) -> None:
    """The claim behind a join that was declared wrong is withdrawn, and its history says so."""
    for claim in LotClaim.objects.filter(event=event, status=LotClaim.Status.CONFIRMED):
        LotClaim.objects.filter(pk=claim.pk).update(status=LotClaim.Status.WITHDRAWN)
        LotClaimStep.objects.create(
            claim=claim,
            old=claim.status,
            new=LotClaim.Status.WITHDRAWN,
            by=by.user,
            by_organisation=by.organisation,
            reason=_("对接已声明有误"),
            at=declaration.recorded_at,
        )


def _flag_consequences(event: Event, change: derive.Effects, by: Event) -> None:
    """Conflicts on the declaration: lots made of what is now void, and stock that fell below zero."""
    found: list[Conflict] = []
    children = LotLink.objects.filter(parent__in=change.begun, voided_by__isnull=True).select_related("child", "parent")
    for link in children:
        message = _("批次 %(child)s 用了批次 %(parent)s，而后者的登记已声明有误。")
        found.append(
            Conflict(
                event=by,
                organisation_id=link.child.organisation_id,
                lot=link.child,
                code="descends_from_void",
                details=BrokenGuard(
                    "descends_from_void",
                    message % {"child": link.child.code, "parent": link.parent.code},
                    lot=link.child,
                ).as_record(),
            )
        )
    below = Stock.objects.filter(lot__in={key[0] for key in change.stock}, micros__lt=0).select_related("lot")
    for stock in below:
        message = _("更正之后，批次 %(lot)s 用掉或发出的比登记的多。")
        found.append(
            Conflict(
                event=by,
                organisation_id=stock.organisation_id,
                lot=stock.lot,
                code="below_zero",
                details=BrokenGuard("below_zero", message % {"lot": stock.lot.code}, lot=stock.lot).as_record(),
            )
        )
    found += _lost_releases(event, change, by)
    Conflict.objects.bulk_create(found)


def _lost_releases(event: Event, change: derive.Effects, by: Event) -> list[Conflict]:
    """Lots that left by a release taken back, and releases that rest on a report taken back."""
    found: list[Conflict] = []
    gone = Transfer.objects.filter(lot__in=change.released, lot__released_by=None, voided_by=None)
    told: set[int] = set()
    for transfer in gone.select_related("lot", "shipment").order_by("id"):
        if transfer.lot_id in told:
            continue
        told.add(transfer.lot_id)
        message = _("批次 %(lot)s 的放行已声明有误，但已经由发货单 %(number)s 发出。") % {
            "lot": transfer.lot.code,
            "number": transfer.shipment.number,
        }
        guard = BrokenGuard("shipped_unreleased", message, lot=transfer.lot, shipment=transfer.shipment.number)
        found.append(_conflict(guard, transfer.lot, by))
    for report in TestReport.objects.filter(event=event).select_related("lot"):
        for lot in parts_of(report.lot):
            relied = str(lot.released_by.data.get("test_report")) if lot.released_by else ""
            if relied != str(report.uid):
                continue
            message = _("批次 %(lot)s 是凭报告 %(report)s 放行的，这份报告的登记已声明有误。") % {
                "lot": lot.code,
                "report": report.report_number,
            }
            guard = BrokenGuard("release_lost_report", message, lot=lot, report=report.uid)
            found.append(_conflict(guard, lot, by))
    return found


def _conflict(guard: BrokenGuard, lot: Lot, by: Event) -> Conflict:
    """A conflict on the declaration, for who issued the lot."""
    return Conflict(event=by, organisation_id=lot.organisation_id, lot=lot, code=guard.code, details=guard.as_record())
