"""Joining an external lot of a receiver's books with its supplier's lot: claimed by one, confirmed by the other.

The past is not rewritten: receipts, events and codes stay as they were; a new event adds the edge that walks cross.
"""

from __future__ import annotations

import datetime
from dataclasses import replace

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from trace.access import entered_for
from trace.actions.capture import Draft, Use, capture
from trace.actions.corrections import declare_error
from trace.actions.events import When, checked_data
from trace.actor import Actor
from trace.crossing import JOIN, supplier_in_system, supplier_lots
from trace.errors import BrokenGuard, Clash, Invalid, NotAllowed, NotFound, StaleState, TooMany
from trace.event_templates import template
from trace.genealogy import is_descendant
from trace.guards import SHANGHAI, blocking
from trace.ledger import lock_log_head
from trace.lineage import lineage_guards
from trace.models import Event, Lot, LotClaim, LotClaimStep
from trace.sentences import gettext as _
from trace.sentences import in_each_language
from trace.text import clean_text, printable
from trace.throttle import may, miss
from trace.units import amount_said

Status = LotClaim.Status
TRIES_A_DAY = 60
"""Codes that name nothing, per organisation and 24 hours: who has the goods has the code; who guesses is stopped.
Counted across all server processes, and a restart forgets nothing (``trace.throttle``)."""
REASON_MAX = 500


def look_up(*, by: Actor, external: Lot, text: str) -> list[Lot]:
    """The supplier's lots that a typed code names, to be shown before claiming.

    Refuses a supplier who is not in the system (``supplier_not_here``), a code that names nothing
    (``code_not_known``), and too many such codes in a day (``too_many``).
    """
    supplier = supplier_in_system(external)
    if supplier is None:
        raise Invalid(_("供货单位还没有入驻。等它入驻后再对接。"), code="supplier_not_here")
    bucket, limit = f"join-misses:{by.owner.pk}", (TRIES_A_DAY, 86_400)
    if not may(bucket, limit):
        raise TooMany(_("今天试过太多对不上的批号，请明天再试，或直接向供货单位核对。"), code="too_many")
    found = supplier_lots(supplier, text)
    if not found:
        miss(bucket, limit)
        raise NotFound(
            _("供货单位的登记中没有批号“%(code)s”。请照对方标签或送货单核对。") % {"code": printable(text, 40)},
            code="code_not_known",
        )
    return found


@transaction.atomic
def claim_lot(
    *, by: Actor, external: Lot, code: str, product_code: str = "", at: datetime.datetime | None = None
) -> LotClaim:
    """Say that an external lot of ours is the supplier's lot with this code. The supplier is asked; nothing changes.

    ``product_code`` (the public code) chooses where a lot code names several. Refuses lots that we did not take in
    ourselves (``not_own``), void ones (``lot_void``), what ``look_up`` refuses, an ambiguous code (``lot_ambiguous``),
    a lot of our own making (``own_lot``), a lot that was made of this one (``join_cycle``), and a second claim while
    one stands (``claim_stands``).
    """
    by.require("operator", "quality")
    lock_log_head()
    if not external.is_external or external.origin_event.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能对接本单位登记的外购批次。"), code="not_own")
    if Lot.objects.filter(pk=external.pk, voided_by__isnull=False).exists():
        raise Clash(_("批次 %(lot)s 的登记已被声明有误，不能再使用。") % {"lot": external.code}, code="lot_void")
    found = look_up(by=by, external=external, text=code)
    if product_code:
        found = [lot for lot in found if lot.public_code == product_code]
    if len(found) != 1:
        raise Invalid(_("这个批号有几个批次，请选其中一个。"), code="lot_ambiguous")
    lot = found[0]
    if lot.organisation_id == external.origin_event.organisation_id:
        raise Invalid(_("这是本单位自己的批次，不用对接。"), code="own_lot")
    if is_descendant(lot.pk, [external.pk]):
        raise Invalid(_("批次 %(lot)s 是用这批货做成的，不可能又是它的来源。") % {"lot": lot.code}, code="join_cycle")
    if external.claims.filter(status__in=(Status.OPEN, Status.CONFIRMED)).exists():
        raise Clash(_("这个批次已经对接过，要改请先撤回。"), code="claim_stands")
    claim = LotClaim.objects.create(
        external=external,
        lot=lot,
        claimant_id=external.origin_event.organisation_id,
        supplier=lot.organisation,
        typed_code=clean_text(printable(code, 60), 60),
        at=at or timezone.now(),
        by=by.user,
    )
    _step(claim, "", Status.OPEN, by, "", at)
    return claim


@transaction.atomic
def answer_claim(
    *, by: Actor, claim: LotClaim, confirm: bool, reason: str = "", at: datetime.datetime | None = None
) -> LotClaim:
    """The supplier says whether the claimed lot is its own. Confirming writes the join event.

    Denying needs a reason (``reason_required``). Refuses who is not the supplier (``not_supplier``) and a claim that
    is no longer open (``stale_state``). What contradicts (received before it was made, more received than made, a lot
    under recall) is recorded as conflicts: the goods are there.
    """
    by.require("operator", "quality")
    if claim.supplier_id not in entered_for(by):
        raise NotAllowed(_("只有供货单位能回答。"), code="not_supplier")
    words = clean_text(reason, REASON_MAX, True)
    if not confirm and not words:
        raise Invalid(_("请写明为什么不是本单位的这批货。"), code="reason_required")
    lock_log_head()
    now = at or timezone.now()
    open_one = LotClaim.objects.filter(pk=claim.pk, status=Status.OPEN)
    if not confirm:
        if not open_one.update(status=Status.DENIED):
            raise _stale()
        _step(claim, Status.OPEN, Status.DENIED, by, words, at)
        claim.refresh_from_db()
        return claim
    if not open_one.exists():
        raise _stale()
    event = _join(claim, by, now)
    open_one.update(status=Status.CONFIRMED, event=event)
    _step(claim, Status.OPEN, Status.CONFIRMED, by, words, at)
    claim.refresh_from_db()
    return claim


def _stale() -> StaleState:
    return StaleState(_("这条对接已经有人处理过，请刷新页面。"))


def _join(claim: LotClaim, by: Actor, now: datetime.datetime) -> Event:
    """Write the join event with what contradicts it, the origin and the materials that the new ancestors bring too."""
    lot = Lot.objects.select_related("product").get(pk=claim.lot_id)
    external = Lot.objects.select_related("product", "origin_event").get(pk=claim.external_id)
    if lot.voided_by_id is not None or external.voided_by_id is not None:
        void = lot if lot.voided_by_id is not None else external
        raise Clash(_("批次 %(lot)s 的登记已被声明有误，不能再使用。") % {"lot": void.code}, code="lot_void")
    found = template(JOIN)
    broken = [*_too_early(lot, external), *_too_much(lot, external), *_blocked(lot, external)]
    draft = Draft(
        template=found,
        organisation=claim.supplier,
        occurred_at=now,
        uses=[
            Use(lot=lot, role="input", holder=claim.supplier),
            Use(lot=external, role="output", holder=claim.claimant),
        ],
        data=checked_data(found, {"supplier_lot": claim.typed_code}),
        counterparty=claim.claimant,
    )
    broken += lineage_guards(draft)
    draft = replace(draft, found=broken)
    return capture(draft=draft, by=by, insist=bool(broken), guarded=False, at=now).event


def _too_early(lot: Lot, external: Lot) -> list[BrokenGuard]:
    """Received before the day it was made."""
    made, came = lot.begun_at.astimezone(SHANGHAI), external.begun_at.astimezone(SHANGHAI)
    if came.date() >= made.date():
        return []
    message = _("批次 %(lot)s 到 %(made)s 才产生，对方却在 %(came)s 就收到了。") % {
        "lot": lot.code,
        "made": made.date().isoformat(),
        "came": came.date().isoformat(),
    }
    return [BrokenGuard("before_parent", message, lot=external)]


def _too_much(lot: Lot, external: Lot) -> list[BrokenGuard]:
    """All that receivers joined to the lot is more than was ever made of it."""
    if external.product.base_unit != lot.product.base_unit:
        return []
    others = LotClaim.objects.filter(
        lot=lot, status=Status.CONFIRMED, external__product__base_unit=lot.product.base_unit
    )
    total = external.made_micros + int(others.aggregate(n=Sum("external__made_micros"))["n"] or 0)
    if total <= lot.made_micros:
        return []
    unit = lot.product.base_unit
    message = _("各单位对接到批次 %(lot)s 的货共 %(got)s，多于它的产量 %(made)s。") % {
        "lot": lot.code,
        "got": amount_said(total, unit),
        "made": amount_said(lot.made_micros, unit),
    }
    return [BrokenGuard("joined_more_than_made", message, lot=lot)]


def _blocked(lot: Lot, external: Lot) -> list[BrokenGuard]:
    """The supplier's lot is held or recalled: the goods outside are then not blocked until the scope is widened."""
    holds = blocking([lot], sides=(lot.organisation_id, external.origin_event.organisation_id)).get(lot.pk, [])
    if not holds:
        return []
    message = _("对接的供货批次 %(lot)s 处于“%(kind)s”，本批次要一并处理。") % {
        "lot": lot.code,
        "kind": in_each_language(holds[0].hold.get_kind_display),
    }
    return [BrokenGuard("joined_blocked", message, lot=external)]


@transaction.atomic
def withdraw_claim(
    *, by: Actor, claim: LotClaim, reason: str, did_not_occur: bool = False, at: datetime.datetime | None = None
) -> LotClaim:
    """Take a claim back. Where it was confirmed, the join event is declared wrong and its edge made void.

    Both sides may undo a confirmed join; only the claimant an open or denied one. Refuses others (``not_own``), a
    blank reason (``reason_required``), a claim withdrawn before (``stale_state``).
    """
    by.require("operator", "quality")
    mine = entered_for(by)
    words = clean_text(reason, REASON_MAX, True)
    if not words:
        raise Invalid(_("请写明为什么撤回。"), code="reason_required")
    claim = LotClaim.objects.select_related("event").get(pk=claim.pk)
    sides = {claim.claimant_id} | ({claim.supplier_id} if claim.status == Status.CONFIRMED else set())
    if not sides & set(mine):
        raise NotAllowed(_("只有对接的双方能撤回。"), code="not_own")
    if claim.status == Status.CONFIRMED and claim.event is not None:
        now = at or timezone.now()
        why = Event.ErrorReason.DID_NOT_OCCUR if did_not_occur else Event.ErrorReason.INCORRECT_DATA
        declare_error(by=by, event=claim.event, reason=why, when=When(now), remark=words, at=at)
    elif not LotClaim.objects.filter(pk=claim.pk, status__in=(Status.OPEN, Status.DENIED)).update(
        status=Status.WITHDRAWN
    ):
        raise _stale()
    else:
        _step(claim, claim.status, Status.WITHDRAWN, by, words, at)
    claim.refresh_from_db()
    return claim


def _step(claim: LotClaim, old: str, new: str, by: Actor, reason: str, at: datetime.datetime | None) -> LotClaimStep:
    """One line of the claim's history."""
    return LotClaimStep.objects.create(
        claim=claim,
        old=old,
        new=new,
        by=by.user,
        by_organisation=by.organisation,
        reason=reason,
        at=at or timezone.now(),
    )


def may_answer(actor: Actor, claim: LotClaim) -> bool:
    """Whether this person may confirm or deny the claim now."""
    return claim.status == Status.OPEN and claim.supplier_id in entered_for(actor) and actor.can("operator", "quality")


def may_withdraw(actor: Actor, claim: LotClaim) -> bool:
    """Whether this person may take the claim back now."""
    sides = {claim.claimant_id} | ({claim.supplier_id} if claim.status == Status.CONFIRMED else set())
    return (
        claim.status != Status.WITHDRAWN
        and not actor.is_regulator
        and bool(sides & set(entered_for(actor)))
        and actor.can("operator", "quality")
    )
