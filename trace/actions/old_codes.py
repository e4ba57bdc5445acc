"""Stock and codes from before the system was there: brought in as such, never passed off as our own."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.access import entered_for
from trace.actions.capture import Captured, Draft, NewLot, Use, capture
from trace.actions.events import When, checked_data, record_event
from trace.actor import Actor
from trace.batch import current, keep, whole
from trace.crossing import codes_sha256, old_code_key
from trace.errors import Clash, FieldErrors, Invalid, NotAllowed
from trace.event_templates import template
from trace.identifiers import normalise_lot_code, normalise_serial
from trace.models import Lot, OldCode, Organisation, Place, Product, Unit
from trace.text import clean_text, printable
from trace.units import EnteredAmount

MOST_CODES = 5_000
"""Codes brought in at once; more come in several goes."""
_CHUNK = 500


@dataclass(frozen=True)
class Opening:
    """Stock on hand when records began: what, how much, and what was known of it. ``old_lot_code`` is the lot code it
    had before: it stays the lot's code, or (with characters we cannot print) is kept beside a fresh one.
    """

    product: Product
    amount: EnteredAmount
    basis: str
    old_lot_code: str = ""
    produced_on: datetime.date | None = None
    expires_on: datetime.date | None = None
    place: Place | None = None
    issued_by: str = ""
    old_codes: Sequence[str] = ()


@transaction.atomic
def open_stock(
    *, by: Actor, opening: Opening, when: When, insist: bool = False, at: datetime.datetime | None = None
) -> Captured:
    """Enter stock that was there before the records began, with its old lot code and the codes on its old labels.

    Begins a lot by the step ``common.opening`` (its past is said to be unknown); codes follow by ``bring_in_codes``.
    Refuses what these refuse: a lot code already used on the product (``lot_code_taken``), no basis, codes of ours
    (``code_is_ours``), guards unless ``insist``. All or nothing.
    """
    code, odd = code_or_old(opening.old_lot_code, normalise_lot_code)
    captured = record_event(
        by=by,
        code="common.opening",
        when=when,
        place=opening.place,
        data={"basis": opening.basis},
        outputs=[
            NewLot(
                product=opening.product,
                amount=opening.amount,
                place=opening.place,
                lot_code=code,
                produced_on=opening.produced_on,
                expires_on=opening.expires_on,
            )
        ],
        insist=insist,
        at=at,
    )
    lot = captured.lots[0]
    if odd:
        issuer = opening.issued_by or by.owner.name
        bring_in_codes(by=by, lot=lot, codes=[odd], issued_by=issuer, when=when, kind=OldCode.Kind.LOT, at=at)
    if opening.old_codes:
        bring_in_codes(by=by, lot=lot, codes=opening.old_codes, issued_by=opening.issued_by, when=when, at=at)
    return captured


def code_or_old(text: str, normalise: Callable[[object], str]) -> tuple[str, str]:
    """The lot code as the lot's own, or (where it has characters no code of ours has) as one to keep beside a fresh
    one.
    """
    if not text.strip():
        return "", ""
    try:
        return normalise(text), ""
    except Invalid:
        return "", text.strip()


@whole
def bring_in_codes(
    *,
    by: Actor,
    lot: Lot,
    codes: Sequence[str],
    issued_by: str,
    when: When,
    kind: str = OldCode.Kind.LABEL,
    at: datetime.datetime | None = None,
) -> list[OldCode]:
    """Say that codes issued elsewhere (old labels' codes or addresses) name this lot. They are kept as they are.

    Whoever asks for one is told who brought it in and when, and that we did not issue it. Repeats within one go and
    codes this lot already has are left out. Refuses (``FieldErrors`` under ``codes``) text that is no code, more than
    5,000 (``too_many_items``), a code of ours (``code_is_ours``); nobody named as issuer (``issued_by``); lots of
    others (``not_own``), void ones (``lot_void``); nothing new (``nothing_new``).
    """
    by.require("operator", "quality")
    if lot.organisation_id not in entered_for(by) and lot.origin_event.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能给本单位登记的批次带入旧码。"), code="not_own")
    if lot.voided_by_id is not None:
        raise Clash(_("批次 %(lot)s 的登记已被声明有误，不能再使用。") % {"lot": lot.code}, code="lot_void")
    issuer = _issuer(issued_by)
    keys = _keys(codes)
    have = _taken(lot, list(keys))
    fresh = {key: text for key, text in keys.items() if key not in have}
    if not fresh:
        raise Invalid(_("这些码这个批次都已经有了。"), code="nothing_new")
    found = template("common.old_codes")
    data: Mapping[str, Any] = {"issued_by": issuer, "count": len(fresh), "sha256": codes_sha256(list(fresh))}
    draft = Draft(
        template=found,
        organisation=by.owner,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        uses=[Use(lot=lot, role="subject", holder=by.owner)],
        data=checked_data(found, data),
    )
    event = capture(draft=draft, by=by, guarded=False, at=at).event
    rows = [
        OldCode(
            lot=lot,
            organisation=by.owner,
            kind=kind,
            text=text,
            key=key,
            issued_by=issuer,
            event=event,
            at=at or timezone.now(),
        )
        for key, text in fresh.items()
    ]
    return list(keep(rows))


def refuse_known_code(supplier: Organisation, product: Product, text: str) -> None:
    """Refuse (``lot_code_taken``) a supplier's lot code, kept as an old code, that a standing lot of it has already."""
    key = old_code_key(text)
    batch = current()
    known = OldCode.objects.filter(
        key=key,
        kind=OldCode.Kind.LOT,
        lot__organisation=supplier,
        lot__product=product,
        lot__voided_by=None,
        event__corrections__isnull=True,
    )
    named = ("old_lot_code", (supplier.pk, product.pk, key))
    if (batch is not None and named in batch.memo) or known.exists():
        raise Clash(
            _("批号 %(code)s 已经用在这个产品上，请换一个批号。") % {"code": printable(text)},
            code="lot_code_taken",
            lot_code=text,
        )
    if batch is not None:
        batch.memo[named] = True


def _issuer(issued_by: str) -> str:
    try:
        return clean_text(issued_by, 120, required=True)
    except Invalid as error:
        raise FieldErrors(error.message, {"issued_by": error}) from error


def _keys(codes: Sequence[str]) -> dict[str, str]:
    """Each code once by its key, in the order given; every wrong one is named."""
    found: dict[str, str] = {}
    wrong: list[str] = []
    for number, text in enumerate(codes, 1):
        if not text.strip():
            continue
        try:
            found.setdefault(old_code_key(text), text.strip())
        except Invalid as error:
            wrong.append(_("第 %(n)d 行：%(why)s") % {"n": number, "why": error.message})
    if len(found) > MOST_CODES:
        wrong.append(_("一次最多带入 %(n)d 个码，请分几次。") % {"n": MOST_CODES})
    if not found and not wrong:
        wrong.append(_("请至少填一个码。"))
    ours = _ours(found) if not wrong else set()
    wrong += [
        _("“%(code)s”是本系统签发的码，不能当旧码带入。") % {"code": printable(code)} for code in sorted(ours)[:5]
    ]
    if wrong:
        refusal = Invalid(" ".join(wrong[:10]), code="code_is_ours" if ours else "codes_wrong")
        raise FieldErrors(refusal.message, {"codes": refusal})
    return found


def _ours(keys: Mapping[str, str]) -> set[str]:
    """Those that we issued ourselves."""
    serials: dict[str, str] = {}
    for key in keys:
        try:
            serials[normalise_serial(key)] = key
        except Invalid:
            continue
    found: set[str] = set()
    names = sorted(serials)
    for begin in range(0, len(names), _CHUNK):
        part = names[begin : begin + _CHUNK]
        found |= set(Unit.objects.filter(code__in=part).values_list("code", flat=True))
        found |= set(Lot.objects.filter(Q(public_code__in=part)).values_list("public_code", flat=True))
    return {serials[code] for code in found}


def _taken(lot: Lot, keys: Sequence[str]) -> set[str]:
    """Those this lot has already, by a statement that stands."""
    found: set[str] = set()
    for begin in range(0, len(keys), _CHUNK):
        rows = OldCode.objects.filter(lot=lot, key__in=keys[begin : begin + _CHUNK], event__corrections__isnull=True)
        found |= set(rows.values_list("key", flat=True))
    return found
