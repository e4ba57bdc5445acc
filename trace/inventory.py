"""Lots on hand: what a form offers, what a list shows, in which state each is."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, Case, Exists, OuterRef, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from trace.access import entered_for, lots_visible_to
from trace.actor import Actor
from trace.guards import blocking
from trace.models import HoldMember, HoldSet, Lot, Organisation, Place, Stock, TestReport, Transfer

MOST_OFFERED = 100
"""Lots in one select box; what is older is typed or scanned."""
LOT_PARTS = ("organisation", "product__current", "product_version", "released_by", "origin_event")
STATES = ("recalled", "blocked", "waiting", "released", "expired", "in_stock", "voided")


@dataclass(frozen=True)
class OnHand:
    """A lot a form offers, with its state: how much of it lies where (``micros`` 0 where it is only known)."""

    lot: Lot
    place: Place | None = None
    micros: int = 0
    state: str = ""
    usual: bool = False

    @property
    def value(self) -> str:
        """What the form sends for it: the lot's uid, with the place's where it lies at one."""
        return f"{self.lot.uid}@{self.place.uid}" if self.place is not None else str(self.lot.uid)


def states_of(lots: Sequence[Lot], sides: Collection[int] | None = None) -> dict[int, str]:
    """The state of each lot as a badge names it, the gravest first. One query. With ``sides`` (row numbers) a hold on
    what only others have does not count.
    """
    blocks = blocking(lots, sides=sides)
    today = timezone.localdate()
    return {lot.pk: _state(lot, {each.hold.kind for each in blocks.get(lot.pk, [])}, today) for lot in lots}


def _state(lot: Lot, kinds: Collection[str], today: datetime.date) -> str:
    """One lot's state."""
    if lot.voided_by_id is not None:
        return "voided"
    if HoldSet.Kind.RECALL in kinds:
        return "recalled"
    if kinds:
        return "blocked"
    if lot.expires_on is not None and lot.expires_on < today:
        return "expired"
    if lot.needs_release:
        return "released" if lot.released_by_id is not None else "waiting"
    return ""


def in_state(rows: QuerySet[Lot], state: str, sides: Collection[int] | None = None) -> QuerySet[Lot]:
    """Only lots in one of ``STATES`` (``in_stock``: the holder is asked by ``lots_with_amounts``), for ``sides``."""
    active = HoldMember.objects.filter(lot=OuterRef("pk"), hold__active_from__isnull=False, hold__ended_at__isnull=True)
    if sides is not None:
        active = active.filter(Q(holder__isnull=True) | (Q(holder__in=list(sides)) & ~Q(keep_micros=0)))
    if state == "voided":
        return rows.filter(voided_by__isnull=False)
    rows = rows.filter(voided_by=None)
    if state == "recalled":
        return rows.filter(Exists(active.filter(hold__kind=HoldSet.Kind.RECALL)))
    if state == "blocked":
        return rows.filter(Exists(active), ~Exists(active.filter(hold__kind=HoldSet.Kind.RECALL)))
    if state == "waiting":
        return rows.filter(needs_release=True, released_by=None)
    if state == "released":
        return rows.filter(released_by__isnull=False)
    if state == "expired":
        return rows.filter(expires_on__lt=timezone.localdate())
    return rows


def held(rows: QuerySet[Lot]) -> QuerySet[Lot]:
    """Of ``lots_with_amounts``, those of which something is in hand."""
    more: Any = {"in_hand__gt": 0}
    return rows.filter(**more)


def lots_with_amounts(actor: Actor) -> QuerySet[Lot]:
    """Lots the actor may open, with ``in_hand``: millionths in its own hands (for regulators: in anybody's)."""
    stocks = Stock.objects.filter(lot=OuterRef("pk")).order_by().values("lot")
    if not actor.is_regulator:
        stocks = stocks.filter(organisation__in=entered_for(actor))
    amounts = stocks.annotate(total=Sum("micros")).values("total")
    return (
        lots_visible_to(actor)
        .select_related(*LOT_PARTS, "organisation__division")
        .annotate(in_hand=Coalesce(amounts, Value(0)))
    )


def on_hand(owner: Organisation, *, before: Collection[str] = (), places: bool = True) -> list[OnHand]:
    """What the owner has, one entry per place, newest first; lots of the steps ``before`` lead. Two queries."""
    rows = (
        Stock.objects.filter(organisation=owner, micros__gt=0, lot__voided_by=None)
        .annotate(
            usual=Case(
                When(lot__origin_event__template__in=list(before), then=Value(True)),
                default=Value(False),
                output_field=BooleanField(),
            )
        )
        .select_related(*(f"lot__{part}" for part in LOT_PARTS), "place")
        .order_by("-usual", "-lot_id", "id")[:MOST_OFFERED]
    )
    found = list(rows)
    states = states_of([row.lot for row in found], [owner.pk])
    return [OnHand(row.lot, row.place if places else None, row.micros, states[row.lot_id], row.usual) for row in found]


def own_lots(owner: Organisation, condition: Q | None = None) -> list[OnHand]:
    """Lots the owner issued or has, newest first: what may be tested, released, held, coded. Two queries."""
    stocked = Exists(Stock.objects.filter(lot=OuterRef("pk"), organisation=owner, micros__gt=0))
    rows = Lot.objects.filter(Q(organisation=owner) | stocked, voided_by=None).select_related(*LOT_PARTS)
    if condition is not None:
        rows = rows.filter(condition)
    return _known(rows.order_by("-id")[:MOST_OFFERED], [owner.pk])


def sent_lots(owner: Organisation) -> list[OnHand]:
    """Lots the owner sent to others: what may come back. Two queries."""
    sent = Exists(Transfer.objects.filter(lot=OuterRef("pk"), sender=owner, voided_by=None))
    lots = Lot.objects.filter(sent).select_related(*LOT_PARTS).order_by("-id")[:MOST_OFFERED]
    return _known(lots, [owner.pk])


def tested_lots(laboratory: Organisation) -> list[OnHand]:
    """Lots a laboratory tested before. Two queries."""
    tested = Exists(TestReport.objects.filter(lot=OuterRef("pk"), laboratory=laboratory))
    return _known(Lot.objects.filter(tested).select_related(*LOT_PARTS).order_by("-id")[:MOST_OFFERED])


def _known(rows: Iterable[Lot], sides: Collection[int] | None = None) -> list[OnHand]:
    lots = list(rows)
    states = states_of(lots, sides)
    return [OnHand(lot, state=states[lot.pk]) for lot in lots]
