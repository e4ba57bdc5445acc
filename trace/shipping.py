"""Questions about goods changing hands: which shipments, in which state, what there is to send, to whom."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.access import entered_for, lots_visible_to, organisations_visible_to, shipments_visible_to
from trace.actor import Actor
from trace.guards import Blocking, blocking
from trace.models import EventItem, Lot, Organisation, Place, Shipment, Stock, Transfer
from trace.packs import sizes_of
from trace.units import decimal_text, format_amount, parse_amount, unit_name, units_for

STATES = ("unconfirmed", "disputed", "confirmed", "voided")
OVERDUE_DAYS = 7
"""A receipt is asked for after this many days without an answer; a house default, not law."""


@dataclass(frozen=True)
class Wanted:
    """What a list of shipments is narrowed by. ``way`` is ``out``, ``in`` or empty (both)."""

    way: str = ""
    state: str = ""
    text: str = ""
    since: datetime.date | None = None
    until: datetime.date | None = None


def _waiting() -> Exists:
    """Whether a shipment has a line that nobody confirmed."""
    return Exists(Transfer.objects.filter(shipment=OuterRef("pk"), received_by=None, voided_by=None))


def _differing() -> Exists:
    """Whether a shipment has a line of which another amount arrived than was sent."""
    rows = Transfer.objects.filter(shipment=OuterRef("pk"), received_micros__isnull=False)
    return Exists(rows.exclude(received_micros=F("sent_micros")))


def find_shipments(actor: Actor, wanted: Wanted) -> QuerySet[Shipment]:
    """Shipments the actor is a side of (or supervises), narrowed, newest first, annotated for ``state_of``."""
    rows = shipments_visible_to(actor)
    if wanted.way and not actor.is_regulator:
        side = "organisation__in" if wanted.way == "out" else "receiver__in"
        rows = rows.filter(**{side: entered_for(actor)})
    if wanted.text:
        of_lot = Transfer.objects.filter(shipment=OuterRef("pk")).filter(
            Q(lot__lot_code__icontains=wanted.text)
            | Q(lot__display_code__icontains=wanted.text)
            | Q(lot__public_code__iexact=wanted.text)
        )
        rows = rows.filter(
            Q(number__icontains=wanted.text)
            | Q(organisation__name__icontains=wanted.text)
            | Q(receiver__name__icontains=wanted.text)
            | Exists(of_lot)
        )
    if wanted.since:
        rows = rows.filter(sent_at__gte=_midnight(wanted.since))
    if wanted.until:
        rows = rows.filter(sent_at__lt=_midnight(wanted.until + datetime.timedelta(days=1)))
    rows = _in_state(rows, wanted.state).annotate(waits=_waiting(), differs=_differing())
    return rows.select_related("organisation", "receiver").order_by("-id")


def _midnight(day: datetime.date) -> datetime.datetime:
    """The first instant of a day here."""
    return timezone.make_aware(datetime.datetime.combine(day, datetime.time.min))


def _in_state(rows: QuerySet[Shipment], state: str) -> QuerySet[Shipment]:
    """Only those in one state; every shipment is in exactly one."""
    if state == "voided":
        return rows.filter(voided_by__isnull=False)
    if state:
        rows = rows.filter(voided_by=None)
    if state == "unconfirmed":
        return rows.filter(_waiting())
    if state == "disputed":
        return rows.filter(~_waiting(), _differing())
    if state == "confirmed":
        return rows.filter(~_waiting(), ~_differing())
    return rows


def state_of(row: Shipment) -> str:
    """One of ``STATES`` for a row of ``find_shipments``."""
    if row.voided_by_id is not None:
        return "voided"
    if row.waits:  # type: ignore[attr-defined]
        return "unconfirmed"
    return "disputed" if row.differs else "confirmed"  # type: ignore[attr-defined]


def waiting_for(actor: Actor) -> QuerySet[Shipment]:
    """Shipments that wait for the actor's receipt, the oldest first."""
    waiting = find_shipments(actor, Wanted(way="in", state="unconfirmed"))
    return waiting.filter(receiver__in=entered_for(actor)).order_by("id")


@dataclass(frozen=True)
class Line:
    """One lot on a slip: what was sent as it was entered, what arrived, and what stands against the lot now."""

    transfer: Transfer
    entered: str
    entered_unit: str
    blocks: Sequence[Blocking] = ()

    @property
    def lot(self) -> Lot:
        """The lot sent."""
        return self.transfer.lot

    @property
    def unit(self) -> str:
        """The unit the amounts are kept in."""
        return self.lot.product.base_unit

    @property
    def sent(self) -> str:
        """What was sent, as the sender entered it, and in the base unit where that says more."""
        exact = format_amount(self.transfer.sent_micros, self.unit)
        if not self.entered or self.entered_unit == self.unit:
            return exact
        as_entered = f"{self.entered} {unit_name(self.entered_unit)}"
        if self.entered == decimal_text(self.transfer.sent_micros):
            return as_entered
        return _("%(entered)s（合 %(exact)s）") % {"entered": as_entered, "exact": exact}

    @property
    def differs(self) -> bool:
        """Whether another amount arrived than was sent."""
        return self.transfer.received_micros is not None and bool(self.transfer.difference_micros)


def lines_of(shipments: Sequence[Shipment]) -> dict[int, list[Line]]:
    """The lines of these shipments by shipment, in the order entered. Three queries however many."""
    rows = list(
        Transfer.objects.filter(shipment__in=shipments)
        .select_related("lot__product__current", "lot__product_version", "lot__organisation", "received_by")
        .order_by("id")
    )
    entered: dict[tuple[int, int], list[EventItem]] = {}
    items = EventItem.objects.filter(event__in=[row.event_id for row in shipments], role="subject", micros__lt=0)
    for item in items.order_by("number"):
        entered.setdefault((item.event_id, item.lot_id or 0), []).append(item)
    events = {row.pk: row.event_id for row in shipments}
    blocks = blocking([row.lot_id for row in rows], sides={row.receiver_id for row in rows})
    found: dict[int, list[Line]] = {}
    for row in rows:
        own = entered.get((events[row.shipment_id], row.lot_id), [])
        text, unit = (own[0].entered, own[0].entered_unit) if len(own) == 1 else ("", "")
        standing = [block for block in blocks.get(row.lot_id, []) if block.holder_id in (None, row.receiver_id)]
        found.setdefault(row.shipment_id, []).append(Line(row, text, unit, standing))
    return found


def unanswered(lines: Sequence[Line]) -> list[Line]:
    """The lines of a slip that still wait: a captured event may have answered the others."""
    return [line for line in lines if line.transfer.received_by_id is None]


# --- What can be sent -----------------------------------------------------------------------------------------------


@dataclass
class Holding:
    """A lot in the actor's hands: where how much of it lies, and what stands against sending it."""

    lot: Lot
    places: list[tuple[Place | None, int]] = field(default_factory=list)
    blocks: Sequence[Blocking] = ()

    @property
    def micros(self) -> int:
        """All of it, over all places."""
        return sum(micros for _place, micros in self.places)

    @property
    def obstacle(self) -> str:
        """The state that keeps it in the house: a badge state, or empty."""
        if self.lot.voided_by_id is not None:
            return "voided"
        if self.blocks:
            return "recalled" if any(block.hold.kind == "recall" for block in self.blocks) else "blocked"
        if self.lot.needs_release and self.lot.released_by_id is None:
            return "waiting"
        if self.lot.expires_on is not None and self.lot.expires_on < timezone.localdate():
            return "expired"
        return ""


def in_hand(actor: Actor, text: str = "") -> QuerySet[Lot]:
    """Lots of which the actor has stock, newest first, by lot code or product."""
    mine = entered_for(actor)
    have = Stock.objects.filter(lot=OuterRef("pk"), organisation__in=mine, micros__gt=0)
    rows = Lot.objects.filter(Exists(have), voided_by=None)
    if text:
        rows = rows.filter(
            Q(lot_code__icontains=text)
            | Q(display_code__icontains=text)
            | Q(public_code__iexact=text)
            | Q(product_version__name__icontains=text)
            | Q(product__code__iexact=text)
            | Q(aliases__code__iexact=text, aliases__organisation__in=mine)
        ).distinct()
    return rows.select_related("product__current", "product_version", "organisation", "released_by").order_by("-id")


def holdings_of(actor: Actor, lots: Sequence[Lot]) -> list[Holding]:
    """These lots with what the actor has of them and where. Two queries however many."""
    mine = entered_for(actor)
    found = {lot.pk: Holding(lot) for lot in lots}
    stocks = Stock.objects.filter(lot__in=lots, organisation__in=mine, micros__gt=0).select_related("place")
    for stock in stocks.order_by("-micros", "id"):
        found[stock.lot_id].places.append((stock.place, stock.micros))
    for lot_id, blocks in blocking(lots, holder=actor.owner).items():
        found[lot_id].blocks = blocks
    return list(found.values())


def lots_named(actor: Actor, uids: Iterable[str]) -> list[Lot]:
    """Lots the actor may open, in the order of these names; names of others' lots are left out."""
    wanted = list(dict.fromkeys(uids))
    rows = lots_visible_to(actor).filter(uid__in=wanted)
    found = {
        str(lot.uid): lot
        for lot in rows.select_related("product__current", "product_version", "organisation", "released_by")
    }
    return [found[uid] for uid in wanted if uid in found]


# --- To whom and from whom ------------------------------------------------------------------------------------------


def partners(actor: Actor, way: str) -> list[Organisation]:
    """The parties the actor last sent to (``out``) or got goods from (``in``), latest first, twelve at most."""
    mine = entered_for(actor)
    if way == "out":
        rows = Shipment.objects.filter(organisation__in=mine).values("receiver")
        last = {row["receiver"]: row["last"] for row in rows.annotate(last=Max("id")).order_by("-last")[:12]}
    else:
        lots = Lot.objects.filter(origin_event__organisation__in=mine, is_external=True).values("organisation")
        last = {row["organisation"]: row["last"] for row in lots.annotate(last=Max("id")).order_by("-last")[:12]}
    found = Organisation.objects.filter(pk__in=last).select_related("division")
    return sorted(found, key=lambda row: -last[row.pk])


def party_candidates(actor: Actor, text: str) -> QuerySet[Organisation]:
    """Vetted organisations and the actor's own outsiders by part of the name or the whole credit code."""
    rows = organisations_visible_to(actor).exclude(kind=Organisation.Kind.REGULATOR).exclude(pk=actor.owner.pk)
    rows = rows.filter(status__in=[Organisation.Status.ACTIVE, Organisation.Status.EXTERNAL])
    rows = rows.filter(Q(kept_by=None) | Q(kept_by__in=entered_for(actor)), registered_as=None)
    if text:
        rows = rows.filter(Q(name__icontains=text) | Q(name_en__icontains=text) | Q(uscc__iexact=text))
    return rows.select_related("division").order_by("name", "id")


def last_place(actor: Actor) -> Place | None:
    """Where the actor last took goods in: the default of the next form."""
    event = (
        Transfer.objects.filter(receiver__in=entered_for(actor), received_by__place__isnull=False)
        .select_related("received_by__place")
        .order_by("-received_at")
        .first()
    )
    return event.received_by.place if event is not None and event.received_by is not None else None


def unit_choices(lot: Lot, preferred: str = "") -> list[str]:
    """Units an amount of the lot may be entered in: the preferred one first, then packs, then the base unit's own."""

    product = lot.product
    packs = sizes_of(lot)
    names = [name for name, _factor in units_for(product.base_unit)]
    ordered = [*([preferred] if preferred in {*names, *packs} else []), *packs, *names]
    return list(dict.fromkeys(ordered))


def sent_again(line: Line) -> tuple[str, str]:
    """The amount and unit a receipt form begins with: as the sender entered it, else in the base unit."""

    if line.entered and line.entered_unit in unit_choices(line.lot):
        same = parse_amount(line.entered, line.entered_unit, line.unit, sizes_of(line.lot))
        if same.micros == line.transfer.sent_micros:
            return line.entered, line.entered_unit
    return decimal_text(line.transfer.sent_micros), line.unit
