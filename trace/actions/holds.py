"""Stopping goods: prepare a set of lots, make it active by one row, end it. What recalls build on."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.access import entered_for, supervises
from trace.actions.capture import Draft, Use, capture
from trace.actions.events import When, checked_data
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed, StaleState
from trace.event_templates import template
from trace.models import HoldMember, HoldRelease, HoldSet, HoldStep, Lot, Organisation


@transaction.atomic
def prepare_hold(
    *,
    by: Actor,
    kind: str,
    lots: Iterable[Lot | int],
    reason: str,
    legal_basis: str = "",
    source: str = "",
    parts: Mapping[int, Sequence[tuple[int, int]]] | None = None,
    holders: Mapping[int, Mapping[int, int | None]] | None = None,
    whole_at: int | None = None,
    at: datetime.datetime | None = None,
) -> HoldSet:
    """Write a hold with its members, not yet active. Cost: one insert per thousand members.

    ``parts`` names by lot the ranges of unit numbers of which alone it is held; ``holders`` names by lot (row numbers)
    in whose hands alone, each with how much it must keep at least (None: all it has may not move; 0: only what it takes
    back from now on). ``whole_at`` is the holder all of whose goods of these lots are held, whatever their numbers.
    Other lots are held whole.
    """
    hold = HoldSet.objects.create(
        organisation=by.organisation,
        kind=kind,
        reason=reason,
        legal_basis=legal_basis,
        source=source,
        created_at=at or timezone.now(),
    )
    partial, at_holders = parts or {}, holders or {}
    ids = dict.fromkeys(lot if isinstance(lot, int) else lot.pk for lot in lots)
    add_to_hold(hold=hold, lots=[pk for pk in ids if pk not in partial and pk not in at_holders])
    HoldMember.objects.bulk_create(
        [
            HoldMember(
                hold=hold,
                lot_id=pk,
                holder_id=holder,
                unit_from=first,
                unit_to=last,
                keep_micros=keep if first is None else None,
            )
            for pk in ids
            if pk in partial or pk in at_holders
            for holder, keep in at_holders.get(pk, _ANYBODY).items()
            for first, last in _rows(
                partial.get(pk, ()) if keep != 0 else (),
                len(at_holders.get(pk, ())),
                whole=holder is not None and holder == whole_at,
            )
        ],
        batch_size=1000,
    )
    _step(hold, "prepared", by, reason, at)
    return hold


_ANYBODY: Mapping[int | None, int | None] = {None: None}
MOST_RANGE_ROWS = 5_000
"""Beyond so many rows for one lot (ranges times holders) each holder's goods of it are held whole."""


def _ranges(ranges: Sequence[tuple[int, int]], holders: int) -> Sequence[tuple[int, int] | tuple[None, None]]:
    """The ranges of one holder's goods of a lot; all of them where there would be too many rows."""
    if not ranges or (holders and len(ranges) * holders > MOST_RANGE_ROWS):
        return [(None, None)]
    return ranges


def _rows(
    ranges: Sequence[tuple[int, int]], holders: int, *, whole: bool
) -> Iterable[tuple[int, int] | tuple[None, None]]:
    """The rows of one holder's goods of a lot. Where all of them are held (``whole``) the ranges stand beside it: by
    them the same units are known in other hands.
    """
    rows = _ranges(ranges, holders)
    return dict.fromkeys([(None, None), *rows]) if whole else rows


def add_to_hold(*, hold: HoldSet, lots: Iterable[Lot | int]) -> None:
    """Add whole lots to a hold; lots already in it stay as they are."""
    ids = [lot if isinstance(lot, int) else lot.pk for lot in lots]
    HoldMember.objects.bulk_create(
        [HoldMember(hold=hold, lot_id=pk) for pk in dict.fromkeys(ids)], ignore_conflicts=True
    )


@transaction.atomic
def activate_hold(*, by: Actor, hold: HoldSet, at: datetime.datetime | None = None) -> HoldSet:
    """Block every member at one instant by flipping one row. Refuses a hold already active or ended
    (``stale_state``).
    """
    moved = HoldSet.objects.filter(pk=hold.pk, active_from=None).update(active_from=at or timezone.now())
    if not moved:
        raise StaleState(_("这项封存已经生效或已经结束，请刷新页面。"))
    _step(hold, "activated", by, hold.reason, at)
    hold.refresh_from_db()
    return hold


@transaction.atomic
def place_hold(
    *,
    by: Actor,
    lots: Sequence[Lot],
    reason: str,
    when: When | None = None,
    kind: str = HoldSet.Kind.HOLD,
    legal_basis: str = "",
    source: str = "",
    at: datetime.datetime | None = None,
) -> HoldSet:
    """Hold lots at once (one authorised person suffices) and record it as an event on their time line.

    Who: a quality officer or owner for lots the organisation issued or holds; a regulator's officer for lots of its
    territory. Refuses an empty list (``subjects_required``), a missing reason (``reason_required``), strangers' lots.
    """
    by.require("quality", "owner", "officer", "approver")
    if not lots:
        raise Invalid(_("请指明是哪个批次。"), code="subjects_required")
    if not reason.strip():
        raise Invalid(_("请填写原因。"), code="reason_required")
    mine = set(entered_for(by))
    for lot in lots:
        held = lot.stocks.filter(organisation__in=mine).exists()
        if not (lot.organisation_id in mine or held or supervises(by, lot.organisation) or by.is_regulator):
            raise NotAllowed(_("只能封存本单位生产或持有的批次。"), code="not_own")
    hold = prepare_hold(by=by, kind=kind, lots=lots, reason=reason, legal_basis=legal_basis, source=source, at=at)
    moment = when or When(at or timezone.now())
    found = template("common.hold")
    draft = Draft(
        template=found,
        organisation=by.owner,
        occurred_at=moment.at,
        precision=moment.precision,
        tz_offset=moment.tz_offset,
        uses=[Use(lot=lot, role="subject", holder=by.owner) for lot in lots],
        data=checked_data(
            found, {"reason": reason, "ordered_by": str(by.organisation.uid), "legal_basis": legal_basis}
        ),
    )
    capture(draft=draft, by=by, insist=True, at=at)
    return activate_hold(by=by, hold=hold, at=at)


@transaction.atomic
def end_hold(*, by: Actor, hold: HoldSet, reason: str, at: datetime.datetime | None = None) -> HoldSet:
    """Lift one hold; others on the same lots stay. Only who set it (or a regulator over it) may; a reason is required.

    A hold with a ``source`` belongs to a campaign and is ended by it, not here (``hold_of_campaign``).
    """
    by.require("quality", "owner", "officer", "approver")
    if not reason.strip():
        raise Invalid(_("请填写解除原因。"), code="reason_required")
    if hold.organisation_id != by.organisation.pk and not supervises(by, hold.organisation):
        raise NotAllowed(_("只有作出封存决定的单位能解除。"), code="not_own")
    if hold.source and not by.system:
        raise Clash(_("这项封存属于一次召回，随召回一起结束。"), code="hold_of_campaign")
    moved = HoldSet.objects.filter(pk=hold.pk, active_from__isnull=False, ended_at=None).update(
        ended_at=at or timezone.now()
    )
    if not moved:
        raise StaleState(_("这项封存已经结束，请刷新页面。"))
    _step(hold, "ended", by, reason, at)
    hold.refresh_from_db()
    return hold


def _step(hold: HoldSet, step: str, by: Actor, reason: str, at: datetime.datetime | None) -> None:
    """One row of the hold's history."""
    HoldStep.objects.create(
        hold=hold,
        step=step,
        by=by.user,
        by_organisation=by.organisation,
        reason=reason,
        at=at or timezone.now(),
    )


@transaction.atomic
def release_from_hold(
    *,
    by: Actor,
    hold: HoldSet,
    lot: Lot,
    holder: Organisation,
    micros: int,
    words: str,
    units: tuple[int, int] | None = None,
    at: datetime.datetime | None = None,
) -> HoldRelease:
    """Let one holder move so much of a held lot although the hold stays: goods that were put right. What stands behind
    the hold decides who may say so (``by.system``). Refuses a hold that is not active or does not hold the lot
    (``stale_state``).
    """
    if not by.system:
        raise NotAllowed(_("只有作出封存决定的单位能解除。"), code="not_own")
    if not hold.is_active or not hold.members.filter(lot=lot).exists():
        raise StaleState(_("这项封存已经结束，请刷新页面。"))
    return HoldRelease.objects.create(
        hold=hold,
        lot=lot,
        holder=holder,
        micros=micros,
        unit_from=units[0] if units else None,
        unit_to=units[1] if units else None,
        words=words,
        by=by.user,
        by_organisation=by.organisation,
        at=at or timezone.now(),
    )
