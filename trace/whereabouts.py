"""Where the amount of a lot is, by record: made or received = used + shipped + in hand + lost + unaccounted for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import F, Q, Sum

from trace.access import entered_for
from trace.actor import Actor
from trace.event_templates import templates
from trace.models import Event, EventItem, Lot, Stock, Transfer

_LOSS = frozenset(["sample", "destroy"])
PARTS = ("made", "received", "used", "shipped", "lost")
"""The parts of a balance that are sums of events, by the name the list of events knows them."""


@dataclass
class Balance:
    """One lot on one side, in millionths of its base unit; what comes in equals what is told of it.

    ``shipped`` is what arrived with others or was sold; what was sent and nobody confirmed, what arrived short, and
    more taken than there was (negative) is ``unaccounted``. ``lost`` was sampled or destroyed.
    """

    unit: str
    made: int = 0
    received: int = 0
    used: int = 0
    shipped: int = 0
    lost: int = 0
    in_hand: int = 0
    unaccounted: int = 0

    @property
    def came(self) -> int:
        """What there was to account for."""
        return self.made + self.received

    @property
    def holds(self) -> bool:
        """Whether the two sides are equal; they are by definition, and a test says so."""
        return self.came == self.used + self.shipped + self.lost + self.in_hand + self.unaccounted


def balances(actor: Actor, lots: Sequence[Lot]) -> dict[int, Balance]:
    """The balance of each lot on the actor's side; for a regulator on that of who registered the lot. Four queries.

    Lots must come through a door: this asks nothing about who may see them.
    """
    sides = _sides(actor, lots)
    holders = set().union(*sides.values()) if sides else set()
    found = {lot.pk: Balance(lot.product.base_unit) for lot in lots}
    for lot, holder, code, role, plus, minus in _sums(list(found), holders):
        if holder in sides[lot]:
            _count(found[lot], role, templates()[code].moves, plus or 0, minus or 0)
    stocks = Stock.objects.filter(lot__in=found, organisation__in=holders).exclude(micros=0)
    for lot, holder, micros in stocks.values_list("lot", "organisation", "micros"):
        if holder in sides[lot]:
            found[lot].in_hand += micros
    sent = Transfer.objects.filter(lot__in=found, sender__in=holders, voided_by=None)
    sent = sent.filter(Q(received_micros__isnull=True) | ~Q(received_micros=F("sent_micros")))
    for lot, sender, was, got in sent.values_list("lot", "sender", "sent_micros", "received_micros"):
        if sender in sides[lot]:
            found[lot].shipped -= was - (got or 0)
            found[lot].unaccounted += was - (got or 0)
    for one in found.values():
        one.unaccounted += min(one.in_hand, 0)
        one.in_hand = max(one.in_hand, 0)
    return found


def _sides(actor: Actor, lots: Sequence[Lot]) -> dict[int, set[int]]:
    """Whose amounts each lot's balance is about."""
    if not actor.is_regulator:
        mine = set(entered_for(actor))
        return {lot.pk: mine for lot in lots}
    rows = Event.objects.filter(pk__in={lot.origin_event_id for lot in lots}).values_list("pk", "organisation")
    owners = dict(rows)
    return {lot.pk: {owners[lot.origin_event_id]} for lot in lots}


def _sums(lots: Sequence[int], holders: set[int]) -> Iterable[tuple[int, int, str, str, int | None, int | None]]:
    """What came and what went by lot, holder, step and role, over the events that stand."""
    items = EventItem.objects.filter(
        lot__in=lots, holder__in=holders, event__corrects=None, event__corrections=None
    ).exclude(micros=0)
    return items.values_list("lot", "holder", "event__template", "role").annotate(
        plus=Sum("micros", filter=Q(micros__gt=0)), minus=Sum("micros", filter=Q(micros__lt=0))
    )


def _count(one: Balance, role: str, moves: str, plus: int, minus: int) -> None:
    """Add sums to the part they belong to."""
    if role == "output":
        one.made += plus + minus
    elif role == "input":
        one.used -= plus + minus
    elif moves != "store":  # goods put elsewhere are the same goods
        one.received += plus
        if moves in _LOSS:
            one.lost -= minus
        else:
            one.shipped -= minus


def items_of_part(part: str) -> Q:
    """The items that count in a part of a balance, for a list of events."""
    lost = [code for code, step in templates().items() if step.moves in _LOSS]
    stays = Q(event__template__in=[code for code, step in templates().items() if step.moves == "store"])
    return {
        "made": Q(role="output"),
        "used": Q(role="input"),
        "received": Q(role="subject", micros__gt=0) & ~stays,
        "lost": Q(role="subject", micros__lt=0, event__template__in=lost),
        "shipped": Q(role="subject", micros__lt=0) & ~Q(event__template__in=lost) & ~stays,
    }[part]
