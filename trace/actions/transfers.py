"""Goods changing hands: shipping, receiving with or without an account, taking in from outside, returning."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from django.core import signing
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.access import entered_for
from trace.actions.capture import Captured, Draft, NewLot, Use, capture
from trace.actions.events import Portion, When, portion_use, prepare, stock_place
from trace.actions.old_codes import bring_in_codes, code_or_old, refuse_known_code
from trace.actor import Actor
from trace.batch import keep, whole
from trace.errors import Clash, Invalid, NotAllowed, NotFound
from trace.event_templates import template
from trace.identifiers import new_serials, normalise_captured_lot_code
from trace.ledger import lock_log_head
from trace.models import Event, Lot, LotAlias, OldCode, Organisation, Place, Product, Shipment, Transfer, Unit
from trace.packs import arriving
from trace.units import EnteredAmount

_SLIP = signing.Signer(salt="trace.slip")


@whole
def ship_lots(
    *,
    by: Actor,
    receiver: Organisation,
    portions: Sequence[Portion],
    when: When,
    place: Place | None = None,
    data: Mapping[str, Any] | None = None,
    code: str = "common.ship",
    remark: str = "",
    insist: bool = False,
    replaces: Event | None = None,
    units: Sequence[Unit] = (),
    at: datetime.datetime | None = None,
) -> Shipment:
    """Send portions of lots to one receiver: the goods leave the sender's stock and wait to be confirmed.

    Refuses shipping to oneself (``ship_to_self``), nothing (``subjects_required``), a refused or suspended receiver;
    and by guards: held, recalled, unreleased, expired lots, more than is there. With ``insist`` it is a report with
    conflicts. ``replaces`` names the shipping event declared wrong that this one states again. ``units`` are
    packs and units that go with it; ``pack_shipments.ship_packs`` counts the portions from them.
    """
    by.require("operator", "quality")
    found = template(code)
    if receiver.pk == by.owner.pk:
        raise Invalid(_("收货单位不能是发货单位自己。"), code="ship_to_self")
    if receiver.status in (Organisation.Status.REFUSED, Organisation.Status.SUSPENDED, Organisation.Status.APPLIED):
        raise Invalid(_("收货单位没有通过审核。请改选，或按系统外单位登记。"), code="receiver_not_active")
    if receiver.kept_by_id is not None and receiver.kept_by_id not in entered_for(by):
        raise NotFound(_("没有找到，或者您无权查看。"))
    merged = _merged(portions)
    given = {"consignee": str(receiver.uid), **(data or {})}
    known = {field.key for field in found.fields}
    ready = prepare(
        found, {key: value for key, value in given.items() if key in known}, subjects=portions, remark=remark
    )
    draft = Draft(
        template=found,
        organisation=by.owner,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        place=place,
        uses=[
            *(portion_use(portion, "subject", -1, by, place) for portion in portions),
            *unit_uses(units, by.owner),
        ],
        data=ready.data,
        counterparty=receiver,
        remark=ready.remark,
        replaces=replaces,
    )
    captured = capture(draft=draft, by=by, insist=insist, at=at)
    shipment = Shipment(
        number=_shipment_number(when.at),
        organisation=by.owner,
        receiver=receiver,
        event=captured.event,
        sent_at=when.at,
    )
    keep([shipment])
    keep(
        [
            Transfer(shipment=shipment, lot=lot, sender=by.owner, receiver=receiver, sent_micros=micros)
            for lot, micros in merged
        ]
    )
    return shipment


def _merged(portions: Sequence[Portion]) -> list[tuple[Lot, int]]:
    """Amount per lot (the same lot may come from two places); refuses missing amounts."""
    if not portions:
        raise Invalid(_("请指明发哪个批次。"), code="subjects_required")
    totals: dict[int, tuple[Lot, int]] = {}
    for portion in portions:
        if portion.amount is None:
            raise Invalid(_("请填写批次 %(lot)s 的数量。") % {"lot": portion.lot.code}, code="amount_required")
        lot, so_far = totals.get(portion.lot.pk, (portion.lot, 0))
        totals[portion.lot.pk] = (lot, so_far + portion.amount.micros)
    return list(totals.values())


def _shipment_number(when: datetime.datetime) -> str:
    """A number people can read out: the day and eight characters nobody can guess."""
    return f"S{timezone.localtime(when):%Y%m%d}-{new_serials(1)[0][:8]}"


def slip_token(shipment: Shipment) -> str:
    """What the slip's QR carries: the shipment's name, signed. Who holds the paper may answer for the receiver."""
    return _SLIP.sign(shipment.number)


def shipment_by_slip(token: str) -> Shipment:
    """The shipment of a slip; NotFound for a forged or altered token."""
    try:
        number = _SLIP.unsign(token)
    except signing.BadSignature:
        raise NotFound(_("这张发货单的二维码无效，请向发货单位索取新的。")) from None
    shipment = (
        Shipment.objects.filter(number=number).select_related("organisation", "receiver__division", "event").first()
    )
    if shipment is None:
        raise NotFound(_("这张发货单的二维码无效，请向发货单位索取新的。"))
    return shipment


def receive_by_slip(
    *,
    token: str,
    received: Mapping[Transfer, EnteredAmount],
    when: When,
    remark: str = "",
    at: datetime.datetime | None = None,
) -> Captured:
    """The receiver confirms or reports a difference from the slip, without an account. Once only, like any receipt."""
    shipment = shipment_by_slip(token)
    by = Actor(organisation=shipment.receiver, role="operator", system=True)
    return receive_shipment(by=by, shipment=shipment, received=received, when=when, remark=remark, at=at)


@transaction.atomic
def receive_shipment(
    *,
    by: Actor,
    shipment: Shipment,
    received: Mapping[Transfer, EnteredAmount],
    when: When,
    place: Place | None = None,
    data: Mapping[str, Any] | None = None,
    aliases: Mapping[Transfer, str] | None = None,
    remark: str = "",
    code: str = "common.receive",
    units: Sequence[Unit] | None = None,
    at: datetime.datetime | None = None,
) -> Captured:
    """Say how much of each transfer arrived (zero is an answer). A receipt is a report: differences become conflicts.
    Of a slip that a captured event answered in part, the transfers that still wait are answered.

    Refuses who is not the receiver, transfers of another slip or left out (``transfers_incomplete``), a second answer
    (``already_received``), and a slip that was declared wrong (``shipment_void``). ``aliases`` are the receiver's own
    codes. ``units`` are the packs and units seen to arrive; left out, those of the slip, where anything arrived.
    """
    by.require("operator", "quality")
    if shipment.receiver_id not in entered_for(by):
        raise NotAllowed(_("只有收货单位能确认收货。"), code="not_receiver")
    # Read under the head of the log: on PostgreSQL two answers at once would each find the slip unanswered.
    lock_log_head()
    shipment = Shipment.objects.select_related("organisation", "receiver", "event").get(pk=shipment.pk)
    if shipment.voided_by_id is not None:
        raise Clash(_("这张发货单已被发货单位声明有误。"), code="shipment_void")
    rows = {row.pk: row for row in shipment.transfers.select_related("lot__product", "shipment")}
    open_ones = {pk: row for pk, row in rows.items() if row.received_by_id is None}
    named = {transfer.pk for transfer in received}
    if not named <= set(rows):
        raise Invalid(_("请逐项填写实收数量，没有收到的填 0。"), code="transfers_incomplete")
    if not open_ones or not named <= set(open_ones):
        raise Clash(_("这张发货单已经确认过收货。"), code="already_received")
    if named != set(open_ones):
        raise Invalid(_("请逐项填写实收数量，没有收到的填 0。"), code="transfers_incomplete")
    found = template(code)
    given = {
        "supplier": str(shipment.organisation.uid),
        "supplier_lot": ", ".join(row.lot.lot_code for row in open_ones.values())[:200],
        "arrival_date": timezone.localtime(when.at).date().isoformat(),
        "inspection_result": "合格",
        **(data or {}),
    }
    total = [Portion(lot=transfer.lot, amount=amount) for transfer, amount in received.items()]
    ready = prepare(found, given, subjects=total, remark=remark)
    draft = Draft(
        template=found,
        organisation=shipment.receiver,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        place=place,
        uses=[
            Use(
                lot=open_ones[transfer.pk].lot,
                role="subject",
                holder=shipment.receiver,
                amount=amount,
                sign=1,
                place=place,
                transfer=open_ones[transfer.pk],
            )
            for transfer, amount in received.items()
        ]
        + unit_uses(_arrived(shipment, received) if units is None else units, shipment.receiver, place),
        data=ready.data,
        counterparty=shipment.organisation,
        remark=ready.remark,
    )
    captured = capture(draft=draft, by=by, insist=True, at=at)
    if Transfer.objects.filter(pk__in=open_ones).exclude(received_by=captured.event).exists():
        raise Clash(_("这张发货单已经确认过收货。"), code="already_received")
    for transfer, alias in (aliases or {}).items():
        if alias:
            LotAlias.objects.get_or_create(
                lot=open_ones[transfer.pk].lot,
                organisation=shipment.receiver,
                code=normalise_captured_lot_code(alias),
                defaults={"event": captured.event},
            )
    return captured


def _arrived(shipment: Shipment, received: Mapping[Transfer, EnteredAmount]) -> Sequence[Unit]:
    """The packs and units of a slip that is answered by amounts alone: all, unless nothing arrived."""
    return list(arriving(shipment)) if any(amount.micros for amount in received.values()) else []


def unit_uses(units: Sequence[Unit], holder: Organisation, place: Place | None = None) -> list[Use]:
    """Packs and units that move with the amounts beside them: named, without amount and lot of their own."""
    return [Use(lot=None, role="subject", holder=holder, place=place, unit=unit) for unit in units]


@whole
def take_in(
    *,
    by: Actor,
    supplier: Organisation,
    product: Product,
    supplier_lot: str,
    amount: EnteredAmount,
    when: When,
    place: Place | None = None,
    code: str = "common.receive",
    data: Mapping[str, Any] | None = None,
    produced_on: datetime.date | None = None,
    expires_on: datetime.date | None = None,
    remark: str = "",
    insist: bool = False,
    replaces: Event | None = None,
    restates: Lot | None = None,
    at: datetime.datetime | None = None,
) -> Captured:
    """Take in goods that did not come by a slip of this system: begins a named external lot of the supplier.

    ``product`` is the receiver's own entry for the material. Refuses an empty supplier lot code (every lot has a name;
    Food Safety Law article 50 asks for lot or date) and one already taken in from this supplier (``lot_code_taken``).
    A code with characters that no code has here (批次甲) is kept as it is, as an old code beside a fresh one.
    ``replaces`` and ``restates`` state a receipt again that was declared wrong: the lot keeps its identity.
    """
    by.require("operator", "quality")
    if product.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能登记本单位的产品。"), code="not_own")
    found = template(code)
    lot_code, odd = code_or_old(supplier_lot, normalise_captured_lot_code)
    if odd and restates is None:
        refuse_known_code(supplier, product, odd)
    elif not odd and not lot_code:
        raise Invalid(_("请填写批号。"), code="lot_code_required")
    new = NewLot(
        product=product,
        amount=amount,
        place=place,
        lot_code=lot_code,
        produced_on=produced_on,
        expires_on=expires_on,
        is_external=True,
        issuer=supplier,
        restates=restates,
    )
    given = {
        "supplier": str(supplier.uid),
        "supplier_lot": odd or lot_code,
        "arrival_date": timezone.localtime(when.at).date().isoformat(),
        **(data or {}),
    }
    known = {field.key for field in found.fields}
    given = {key: value for key, value in given.items() if key in known}
    ready = prepare(found, given, outputs=[new], remark=remark)
    draft = Draft(
        template=found,
        organisation=by.owner,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        place=place,
        outputs=ready.outputs,
        data=ready.data,
        counterparty=supplier,
        remark=ready.remark,
        replaces=replaces,
    )
    captured = capture(draft=draft, by=by, insist=insist, at=at)
    if odd and restates is None:
        lot = captured.lots[0]
        bring_in_codes(by=by, lot=lot, codes=[odd], issued_by=supplier.name, when=when, kind=OldCode.Kind.LOT, at=at)
    return captured


@transaction.atomic
def take_back(
    *,
    by: Actor,
    source: Organisation,
    portions: Sequence[Portion],
    when: When,
    place: Place | None = None,
    data: Mapping[str, Any] | None = None,
    remark: str = "",
    replaces: Event | None = None,
    units: Sequence[Unit] = (),
    at: datetime.datetime | None = None,
) -> Captured:
    """Goods came back from a holder: they leave the holder's stock and enter ours. A report: more than was there is
    flagged.

    Recalls call for it, so no hold blocks it.
    """
    by.require("operator", "quality")
    _merged(portions)
    found = template("common.return")
    ready = prepare(found, {"from_org": str(source.uid), **(data or {})}, subjects=portions, remark=remark)
    uses: list[Use] = []
    for portion in portions:
        there = stock_place(portion.lot, source, None)
        uses.append(Use(lot=portion.lot, role="subject", holder=source, amount=portion.amount, sign=-1, place=there))
        uses.append(Use(lot=portion.lot, role="subject", holder=by.owner, amount=portion.amount, sign=1, place=place))
    uses += unit_uses(units, by.owner, place)
    draft = Draft(
        template=found,
        organisation=by.owner,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        place=place,
        uses=uses,
        data=ready.data,
        counterparty=source,
        remark=ready.remark,
        replaces=replaces,
    )
    return capture(draft=draft, by=by, insist=True, at=at)
