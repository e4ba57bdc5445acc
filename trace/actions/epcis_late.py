"""The beginning of goods that a document told of before, told now.

Goods that an event uses, sends or looks at and nobody met begin then and there: an assumption. Events come in any
order, so an earlier one may tell later how they began, how they arrived, or that they were there before. Then the
beginning is stated again where it belongs, and what was assumed is taken off by an event that stands beside
(``is_beside``).
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from dataclasses import dataclass

from django.db.models import Max, Q, QuerySet, Sum

from trace.actions.capture import Draft, NewLot, Use, capture
from trace.actions.epcis_index import is_beside
from trace.actor import Actor
from trace.among import among
from trace.event_templates import template
from trace.models import Conflict, Event, EventItem, Lot, Organisation, Place, Stock
from trace.rows import Told
from trace.units import EnteredAmount, decimal_text

OPENING = "common.opening"
_ASSUMING = frozenset({OPENING, "common.reported", "common.receive"})
_CHUNK = 500


class Late(Exception):
    """An event tells of a time before the goods it names began here: it is written by itself."""


def is_assumed(lot: Lot) -> bool:
    """Whether a lot begins by an event that only met its goods: nobody told how they came to be."""
    return _assumes(lot.origin_event)


def tells_beginning(lot: Lot, when: datetime.datetime) -> bool:
    """Whether a captured event that adds to a lot at this time tells how it began: before it was met, or before what
    was taken for its beginning so far.
    """
    begun = lot.origin_event
    if when == begun.occurred_at:
        return _assumes(begun)
    return when < begun.occurred_at and "epcis_sha256" in begun.data


def _assumes(event: Event) -> bool:
    if event.template not in _ASSUMING or "epcis_sha256" not in event.data:
        return False
    # A transformation told in two events begins its outputs by one of them.
    return is_beside(event) if event.template == OPENING else event.event_type != "TransformationEvent"


def latest_assumed(lots: list[int]) -> dict[tuple[int, int], datetime.datetime]:
    """By lot and holder when goods were last assumed to be there, as far as an event beside says so."""
    found: dict[tuple[int, int], datetime.datetime] = {}
    for start in range(0, len(lots), _CHUNK):
        rows = EventItem.objects.filter(among("lot", lots[start : start + _CHUNK]), role="output")
        rows = rows.filter(event__template=OPENING, event__data__basis="EPCIS").order_by()
        for lot, holder, latest in rows.values_list("lot", "holder").annotate(at=Max("event__occurred_at")):
            if lot is not None:
                found[lot, holder] = latest
    return found


@dataclass(frozen=True)
class _Assumed:
    """Who was taken to have some of a lot, and when; ``arrived``: it came from outside and stays there."""

    holder: Organisation
    at: datetime.datetime
    tz_offset: int
    arrived: bool


@dataclass(frozen=True)
class Teller:
    """Who writes for whom, about which event as it came, when: what every event beside needs."""

    by: Actor
    owner: Organisation
    proof: str
    at: datetime.datetime

    def beside(
        self,
        when: datetime.datetime,
        tz_offset: int,
        uses: list[Use] | None = None,
        outputs: list[NewLot] | None = None,
    ) -> None:
        """Write an event that stands beside what was captured."""
        draft = Draft(
            template=template(OPENING),
            organisation=self.owner,
            occurred_at=when,
            tz_offset=tz_offset,
            uses=uses or [],
            outputs=outputs or [],
            data=Told(
                {"basis": "EPCIS", "epcis_sha256": self.proof}, f'{{"basis":"EPCIS","epcis_sha256":"{self.proof}"}}'
            ),
        )
        capture(draft=draft, by=self.by, insist=True, guarded=False, at=self.at)

    def take_off(self, lot: Lot, holder: Organisation, since: datetime.datetime, place: Place | None) -> None:
        """Take off what a holder was assumed to have of a lot at this time or later: how it came to it is told now, at
        this place, so there it is taken off and what went from where it was assumed is not missing there. Of what
        arrived, at any holder, only that it came to be there is taken back.
        """
        items = EventItem.objects.filter(
            Q(holder=holder) | Q(event__organisation=self.owner),
            lot=lot,
            role__in=("output", "subject"),
            event__occurred_at__gte=since,
            event__corrections=None,
        )
        came: dict[tuple[Event, Organisation], int] = defaultdict(int)
        stayed: dict[tuple[Event, Organisation], int] = defaultdict(int)
        for item in items.select_related("event", "holder").order_by("event_id", "number"):
            if _assumes(item.event):
                (came if item.role == "output" else stayed)[item.event, item.holder] += item.micros
        found: dict[_Assumed, int] = defaultdict(int)
        for (event, at), micros in came.items():
            # What was taken off of an arrival before stays there, too: it belongs to the arrival.
            arrived = event.template == "common.receive" or (micros < 0 and stayed[event, at] == -micros)
            if arrived or at == holder:
                found[_Assumed(at, event.occurred_at, event.tz_offset, arrived)] += micros
        for part, micros in found.items():
            if not micros:
                continue
            # What was taken off before is less than nothing; an entry says how much.
            amount, sign = exactly(lot, abs(micros)), -1 if micros > 0 else 1
            use = Use(lot=lot, role="output", holder=part.holder, place=place, amount=amount, sign=sign)
            stays = [Use(lot=lot, role="subject", holder=part.holder, place=place, amount=amount, sign=-sign)]
            self.beside(part.at, part.tz_offset, [use, *(stays if part.arrived else [])])

    def begin_before(self, lot: Lot, holder: Organisation, when: datetime.datetime, tz_offset: int) -> None:
        """State that the goods of a lot were there at an earlier time already; how much, is said by what says so."""
        began = NewLot(
            product=lot.product,
            amount=exactly(lot, 0),
            lot_code=lot.lot_code,
            produced_on=lot.produced_on,
            expires_on=lot.expires_on,
            restates=lot,
            holder=holder,
        )
        self.beside(when, tz_offset, outputs=[began])
        sum_made(lot)


def exactly(lot: Lot, micros: int) -> EnteredAmount:
    """So many millionths of the lot's base unit."""
    return EnteredAmount(decimal_text(micros), lot.product.base_unit, "1/1", micros)


def sum_made(lot: Lot) -> None:
    """What was made of a lot whose beginning was stated again while others are still assumed to have some."""
    rows = EventItem.objects.filter(lot=lot, role="output", event__corrections=None, event__corrects=None)
    Lot.objects.filter(pk=lot.pk).update(made_micros=rows.aggregate(n=Sum("micros"))["n"] or 0)


SHORT = ("not_enough", "below_zero")


def short_lots(lots: list[int], owner: Organisation) -> set[int]:
    """Lots of which this organisation's captured events used more than had been told so far, and nobody said why."""
    found: set[int] = set()
    for start in range(0, len(lots), _CHUNK):
        rows = _shortages().filter(among("lot", lots[start : start + _CHUNK]), organisation=owner)
        found |= {lot for lot in rows.values_list("lot", flat=True) if lot is not None}
    return found


def _shortages() -> QuerySet[Conflict]:
    rows = Conflict.objects.filter(code__in=SHORT, voided_by=None, answered_at=None)
    return rows.filter(event__data__has_key="epcis_sha256")


def settle_shortage(lot: int, event: Event) -> None:
    """What was flagged as too little of a lot is settled where an event that came later tells of enough: at each holder
    over all places, since documents seldom say from which one. Nobody settles what another organisation was flagged
    with: a buyer may have the lot, too.
    """
    held = Stock.objects.filter(lot=lot).order_by().values("organisation").annotate(n=Sum("micros"))
    if not held.filter(n__lt=0).exists():
        _shortages().filter(lot=lot, organisation=event.organisation_id).update(voided_by=event)
