"""Everything a lot's page says, gathered in a fixed number of queries: the lot, its labels, tests, holds and recalls.

What belongs to others passes the same doors as everywhere: own numbers in full, one step up and down, the rest without
names.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Exists, F, OuterRef, Q, Sum
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from labels.access import runs_visible_to
from labels.models import CodeRun, ScanTally
from labels.queries import Tally, labels_beyond, tally_of_lot
from recalls.queries import LotRecall, recalls_of_lot
from recalls.through import Elsewhere, recalled_elsewhere
from trace.access import conflicts_visible_to, entered_for, events_visible_to, lots_visible_to
from trace.actor import Actor
from trace.crossing import Beside, beside_lot
from trace.event_templates import EventTemplate, template, usual_next
from trace.guards import Blocking, blocking
from trace.inventory import states_of
from trace.lineage import Claim, claim_of
from trace.models import (
    Conflict,
    Event,
    EventItem,
    HoldMember,
    Lot,
    LotLink,
    Organisation,
    Place,
    Stock,
    TestReport,
    Transfer,
)
from trace.parts import Entry, Number
from trace.report_questions import reports_serving
from trace.result_words import BADGES, LaboratoryWord, ResultLine, laboratory_word, result_line
from trace.spirits import Age, age_of
from trace.tracing import family_words
from trace.units import decimal_text, format_amount, unit_name

MOST_LINKS = 30
MOST_EVENTS = 60
_ICONS = {
    "create": "leaf",
    "transform": "factory",
    "ship": "truck",
    "receive": "receive",
    "release": "shield",
    "hold": "lock",
    "sample": "flask",
    "test": "flask",
    "destroy": "trash",
    "retail": "shop",
    "return": "back",
    "code": "label",
    "correct": "edit",
}


@dataclass(frozen=True)
class Neighbour:
    """A lot one step up or down: with its name, or only region, family and day; ``micros`` where it may be told."""

    lot: Lot | None
    family: str
    region: str
    day: datetime.date | None
    micros: int | None
    unit: str

    @property
    def family_words(self) -> str:
        """The product family for people."""
        return family_words(self.family)


@dataclass(frozen=True)
class Amounts:
    """Millionths of the base unit on one party's side of the lot. ``gone`` was sampled, sold or destroyed."""

    made: int = 0
    received: int = 0
    used: int = 0
    shipped: int = 0
    gone: int = 0
    in_hand: int = 0
    unconfirmed: int = 0


@dataclass(frozen=True)
class LotPage:
    """One lot as one actor may see it."""

    lot: Lot
    state: str
    holds: Sequence[Blocking]
    amounts: Amounts
    places: Sequence[tuple[Place | None, int]]
    parents: Sequence[Neighbour]
    children: Sequence[Neighbour]
    arrivals: Sequence[Transfer]
    departures: Sequence[Transfer]
    reports: Sequence[ReportCard]
    runs: Sequence[CodeRun]
    tally: Tally | None
    beyond: tuple[int, int] | None
    scans: int
    recalls: Sequence[LotRecall]
    past_holds: Sequence[HoldMember]
    conflicts: Sequence[Conflict]
    age: Age
    claim: Claim | None
    history: Sequence[Entry]
    more_history: bool
    is_mine: bool
    is_held: bool
    next_steps: Sequence[EventTemplate] = field(default_factory=tuple)
    crossing: Beside = field(default_factory=Beside)
    elsewhere: Sequence[Elsewhere] = ()

    @property
    def has_own_report(self) -> bool:
        """Whether the lot itself was tested, not only what went into it."""
        return any(not card.ancestor for card in self.reports)

    @property
    def unit(self) -> str:
        """The unit of the amounts."""
        return self.lot.product.base_unit


def lot_page(actor: Actor, lot: Lot) -> LotPage:
    """Gather the page of a lot that came through ``lot_for``."""
    side = _side(actor, lot)
    mine = set(entered_for(actor))
    sides = None if actor.is_regulator else mine
    holds = blocking([lot], sides=sides).get(lot.pk, [])
    stocks = list(
        Stock.objects.filter(lot=lot, organisation__in=side)
        .exclude(micros=0)
        .select_related("place")
        .order_by("-micros")
    )
    history, more, last = _history(actor, lot)
    runs = list(runs_visible_to(actor).filter(lot=lot).order_by("-id")[:10])
    return LotPage(
        lot=lot,
        state=states_of([lot], sides)[lot.pk] or "ok",
        holds=holds,
        amounts=_amounts(lot, side, sum(stock.micros for stock in stocks)),
        places=[(stock.place, stock.micros) for stock in stocks],
        parents=_neighbours(actor, lot, up=True),
        children=_neighbours(actor, lot, up=False),
        arrivals=_transfers(actor, lot, "receiver"),
        departures=_transfers(actor, lot, "sender"),
        reports=_reports(actor, lot),
        runs=runs,
        tally=tally_of_lot(lot) if runs else None,
        beyond=labels_beyond(lot) if runs else None,
        scans=ScanTally.objects.filter(lot=lot).aggregate(n=Sum("count"))["n"] or 0,
        recalls=recalls_of_lot(actor, lot),
        past_holds=_ended_holds(lot),
        conflicts=_conflicts(actor, lot),
        age=age_of(lot),
        claim=claim_of(lot),
        history=history,
        more_history=more,
        is_mine=lot.organisation_id in mine or (lot.is_external and lot.origin_event.organisation_id in mine),
        is_held=any(stock.organisation_id in mine and stock.micros > 0 for stock in stocks),
        next_steps=_next_steps(lot, last),
        crossing=beside_lot(actor, lot),
        elsewhere=recalled_elsewhere(lot, sides, {each.hold.pk for each in holds}) if sides is not None else (),
    )


def _conflicts(actor: Actor, lot: Lot) -> list[Conflict]:
    """What contradicts other records: of the lot, and of the event it began with."""
    rows = conflicts_visible_to(actor).filter(Q(lot=lot) | Q(event=lot.origin_event_id), voided_by=None)
    return list(rows.order_by("-id")[:20])


def _side(actor: Actor, lot: Lot) -> list[int]:
    """Whose stock the numbers are about: the actor's; for a regulator that of who registered the lot."""
    return [lot.origin_event.organisation_id] if actor.is_regulator else entered_for(actor)


def _amounts(lot: Lot, side: Sequence[int], in_hand: int) -> Amounts:
    """The lot's numbers on one side, summed from the events that stand. Two queries."""
    items = EventItem.objects.filter(lot=lot, holder__in=side, event__corrects=None)
    items = items.exclude(Exists(Event.objects.filter(corrects=OuterRef("event"))))
    sums: dict[str, int] = {}
    for code, role, micros in items.values_list("event__template", "role").annotate(n=Sum("micros")):
        key = _kind(template(code).moves, role)
        sums[key] = sums.get(key, 0) + micros
    sent = Transfer.objects.filter(lot=lot, sender__in=side, voided_by=None)
    open_ = sent.filter(received_by=None).aggregate(n=Sum("sent_micros"))["n"] or 0
    return Amounts(
        made=sums.get("made", 0),
        received=sums.get("received", 0),
        used=-sums.get("used", 0),
        shipped=-sums.get("shipped", 0),
        gone=-sums.get("gone", 0),
        in_hand=in_hand,
        unconfirmed=open_,
    )


def _kind(moves: str, role: str) -> str:
    """Which number an item counts in."""
    if role == "output":
        return "made"
    if role == "input":
        return "used"
    return {"ship": "shipped", "receive": "received", "return": "received"}.get(moves, "gone")


def numbers(page: LotPage) -> list[Number]:
    """The numbers under the verdict: made or received, used, shipped, in hand, unaccounted for."""
    unit = unit_name(page.unit)
    amounts = page.amounts
    rest = amounts.made + amounts.received - amounts.used - amounts.shipped - amounts.gone - amounts.in_hand
    unknown = amounts.unconfirmed + max(rest, 0) + max(-amounts.in_hand, 0)
    first = Number(_("产出"), _plain(amounts.made), unit)
    if not amounts.made:
        first = Number(_("收到"), _plain(amounts.received), unit)
    return [
        first,
        Number(_("已用"), _plain(amounts.used), unit, note=_("做成别的批次")),
        Number(
            _("已发出"),
            _plain(amounts.shipped),
            unit,
            note=_("另有抽样、零售、销毁 %(n)s") % {"n": format_amount(amounts.gone, page.unit)}
            if amounts.gone
            else "",
        ),
        Number(
            _("现有"),
            _plain(amounts.in_hand),
            unit,
            note=_("含退回 %(n)s") % {"n": format_amount(amounts.received, page.unit)}
            if amounts.made and amounts.received
            else "",
            tone="attention" if amounts.in_hand < 0 else "",
        ),
        Number(
            _("去向未确认"),
            _plain(unknown),
            unit,
            note=_("发出后对方没有确认") if amounts.unconfirmed else "",
            tone="attention" if unknown else "good",
        ),
    ]


def _plain(micros: int) -> str:
    """A number of base units, grouped in thousands."""
    whole, dot, rest = decimal_text(micros).partition(".")
    return f"{int(whole):,}{dot}{rest}"


def _neighbours(actor: Actor, lot: Lot, *, up: bool) -> list[Neighbour]:
    """Lots one step away, veiled where they may not be opened. Two queries."""
    links = LotLink.objects.filter(voided_by=None, **{"child" if up else "parent": lot}).select_related(
        "event__organisation", *(f"{'parent' if up else 'child'}__{path}" for path in _SHOWN)
    )
    rows = list(links.order_by("id")[:MOST_LINKS])
    others = {link.pk: link.parent if up else link.child for link in rows}
    opened = set(
        lots_visible_to(actor).filter(pk__in=[other.pk for other in others.values()]).values_list("pk", flat=True)
    )
    mine = set(entered_for(actor))
    found = []
    for link in rows:
        other = others[link.pk]
        knows = link.organisation_id in mine or (
            actor.is_regulator and link.event.organisation.division_id.startswith(actor.organisation.territory)
        )
        division = other.origin_place.division if other.origin_place else other.organisation.division
        found.append(
            Neighbour(
                lot=other if other.pk in opened else None,
                family=other.product.family,
                region=division.label,
                day=other.produced_on or timezone.localtime(other.begun_at).date(),
                micros=(link.input_micros or None) if knows else None,
                unit=(other if up else lot).product.base_unit,
            )
        )
    return found


_SHOWN = ("organisation__division", "product", "product_version", "origin_place__division")


def _transfers(actor: Actor, lot: Lot, side: str) -> list[Transfer]:
    """Hand-overs of the lot in which the actor (or, for a regulator, somebody of its territory) is on this side."""
    rows = Transfer.objects.filter(lot=lot, voided_by=None)
    if actor.is_regulator:
        if side == "receiver":
            return []
        code = actor.organisation.territory
        rows = rows.filter(Q(sender__division__code__startswith=code) | Q(receiver__division__code__startswith=code))
    else:
        rows = rows.filter(**{f"{side}__in": entered_for(actor)})
    # By what no index orders, so that the lot's own are read and not everybody's from the newest on.
    return list(rows.select_related("shipment", "sender", "receiver").order_by((F("id") + 0).desc())[:MOST_LINKS])


@dataclass(frozen=True)
class ReportCard:
    """A report that serves the lot, in words: on the lot itself, or on what went into it (then ``ancestor`` says what:
    its code where the actor may open it, else family, region and day).
    """

    report: TestReport
    badge: str
    word: LaboratoryWord
    lines: Sequence[ResultLine]
    ancestor: str
    ancestor_url: str
    url: str


MOST_LINES = 8


def _reports(actor: Actor, lot: Lot) -> list[ReportCard]:
    """Standing reports on the lot and on its ancestors (一次检验、结果互认), the lot's own first."""
    served = reports_serving(lot)
    ancestors = {each.ancestor.pk: each.ancestor for each in served if each.ancestor is not None}
    opened = set(lots_visible_to(actor).filter(pk__in=ancestors).values_list("pk", flat=True)) if ancestors else set()
    cards = []
    for each in served:
        mine = each.ancestor is None
        url = reverse("trace:report_detail", args=[each.report.uid])
        known = each.ancestor is not None and each.ancestor.pk in opened
        cards.append(
            ReportCard(
                report=each.report,
                badge=BADGES[each.report.verdict],
                word=laboratory_word(each.report),
                lines=[result_line(row) for row in list(each.report.results.all())[:MOST_LINES]],
                ancestor="" if each.ancestor is None else _ancestor_words(each.ancestor, known=known),
                ancestor_url=reverse("desk:lot_detail", args=[each.ancestor.uid]) if known and each.ancestor else "",
                url=url if mine or known else f"{url}?lot={lot.uid}",
            )
        )
    return cards


def _ancestor_words(lot: Lot, *, known: bool) -> str:
    """Which ancestor was tested, with its name only for who may open it."""
    if known:
        return f"{lot.product_version.label} {lot.code}"
    division = lot.origin_place.division if lot.origin_place else lot.organisation.division
    day = lot.produced_on or timezone.localtime(lot.begun_at).date()
    return _("%(family)s · %(region)s · %(day)s") % {
        "family": family_words(lot.product.family),
        "region": division.label,
        "day": day.isoformat(),
    }


def _ended_holds(lot: Lot) -> list[HoldMember]:
    """Holds that were on the lot and have ended."""
    rows = HoldMember.objects.filter(lot=lot, hold__ended_at__isnull=False).select_related("hold__organisation")
    return list(rows.order_by("-hold_id")[:10])


def _next_steps(lot: Lot, last: Event | None) -> list[EventTemplate]:
    """What usually comes after the lot's last step, by its product family; steps with buttons of their own left out."""
    if last is None:
        return []
    found = usual_next(last.template, lot.product.family or None)
    own = {"ship", "receive", "release", "correct", "hold", "code", "return"}
    return [step for step in found if step.moves not in own][:4]


# --- The time line --------------------------------------------------------------------------------------------------


def _history(actor: Actor, lot: Lot) -> tuple[list[Entry], bool, Event | None]:
    """What happened to the lot, newest first, with who wrote it down; corrections strike what they correct."""
    rows = (
        events_visible_to(actor)
        # From the lot's items to their events: an EXISTS makes the planner walk all events of the organisation.
        .filter(pk__in=EventItem.objects.filter(lot=lot).values("event"))
        # By what no index orders: else the planner walks all events of the world, newest first, for those of this lot.
        .order_by(Coalesce("occurred_at", "recorded_at").desc(), "-id")
    )
    order = list(rows.values_list("pk", flat=True)[: MOST_EVENTS + 1])
    parties = ("organisation", "entered_by_organisation", "entered_by", "place__division", "counterparty")
    found = Event.objects.select_related(*parties).in_bulk(order)
    events = [found[pk] for pk in order]
    here = events[:MOST_EVENTS]
    wrong = set(Event.objects.filter(corrects__in=here).values_list("corrects", flat=True))
    items: dict[int, list[EventItem]] = {}
    for item in EventItem.objects.filter(event__in=here, lot=lot).order_by("number"):
        items.setdefault(item.event_id, []).append(item)
    mine = set(entered_for(actor))
    entries = [
        _entry(
            event,
            items.get(event.pk, []),
            lot,
            wrong=event.pk in wrong,
            with_place=actor.is_regulator or event.organisation_id in mine,
        )
        for event in here
    ]
    standing = [event for event in here if event.pk not in wrong and event.corrects_id is None]
    return entries, len(events) > MOST_EVENTS, standing[0] if standing else None


def _entry(event: Event, items: Sequence[EventItem], lot: Lot, *, wrong: bool, with_place: bool) -> Entry:
    """One event in the time line; where others keep their goods is theirs to tell."""
    step = template(event.template)
    words = [_item_words(item, lot) for item in items if item.micros]
    if event.counterparty is not None and step.moves in ("ship", "receive", "return"):
        words.append(event.counterparty.label)
    text = " · ".join(words)
    title = step.label()
    return Entry(
        at=event.occurred_at,
        title=_("%(step)s（已声明有误）") % {"step": title} if wrong else title,
        place=event.place.label if event.place and with_place else "",
        text="" if wrong else text,
        old=text if wrong else "",
        who=who(event),
        url=reverse("trace:event_detail", args=[event.uid]),
        icon="void" if wrong else _ICONS.get(step.moves, "dot"),
        tone="mute" if wrong else ("attention" if event.flags else ""),
        precision=event.precision,
        offset=event.tz_offset,
    )


def _item_words(item: EventItem, lot: Lot) -> str:
    """How much came or went, as it was entered where that says more."""
    sign = "+" if item.micros > 0 else "−"
    amount = format_amount(abs(item.micros), lot.product.base_unit)
    if item.entered and item.entered_unit and item.entered_unit != lot.product.base_unit:
        return f"{sign} {item.entered} {unit_name(item.entered_unit)} ({amount})"
    return f"{sign} {amount}"


def who(event: Event) -> str:
    """Who wrote it down; both names where it was entered for somebody else (代录)."""
    person = event.entered_by.display_name if event.entered_by is not None else ""
    own = " · ".join(part for part in (event.organisation.label, person) if part)
    if event.entered_by_organisation_id == event.organisation_id:
        return own
    entered = " ".join(part for part in (event.entered_by_organisation.label, person) if part)
    return _("%(organisation)s（由 %(clerk)s 代录）") % {"organisation": event.organisation.label, "clerk": entered}


# --- For homes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LotRow:
    """A lot in a short list: its verdict and how much the owner has."""

    lot: Lot
    state: str
    micros: int


def lot_rows(lots: Sequence[Lot], owner: Organisation | Sequence[int]) -> list[LotRow]:
    """Rows for these lots; two queries however many."""
    owners = [owner.pk] if isinstance(owner, Organisation) else list(owner)
    states = states_of(lots, owners)
    stocks: Mapping[int, int] = dict(
        Stock.objects.filter(lot__in=lots, organisation__in=owners)
        .values("lot")
        .annotate(n=Sum("micros"))
        .values_list("lot", "n")
    )
    return [LotRow(lot, states[lot.pk] or "ok", stocks.get(lot.pk, 0)) for lot in lots]
