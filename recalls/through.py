"""What of some lots passed through one organisation, and where it went from there: the scope of a recall whose cause
lies with a trader (2015 Measures, article 20). Nothing here writes.

A place of goods is a lot in somebody's hands. It begins with the lots named in that organisation's hands and goes on
along hand-overs, returns and steps that made other lots; never to who supplied it, nor to who got goods of the same lot
elsewhere. Times and unit codes tell goods apart where they can; where they cannot, the goods are in.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from django.db.models import Exists, OuterRef

from recalls.models import Campaign, ScopeHolding, ScopeLot, ScopeVersion
from recalls.parts import MOST_RANGES, Ranges, covers
from trace import moments
from trace.among import among
from trace.crossing import JOIN
from trace.event_templates import templates
from trace.models import EventItem, HoldMember, Lot, LotLink, Organisation, Stock, Transfer, Unit
from trace.packs import micros_of, numbers_of, spans
from trace.unit_history import Sighting, UnitHistory, coded_lots, history_of_lot, history_of_unit

ALWAYS = datetime.datetime.min.replace(tzinfo=datetime.UTC)
"""Since when goods were there that were there from the beginning."""


class Passed(StrEnum):
    """Whether one unit passed through the organisation."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Move(NamedTuple):
    """Goods of one lot that went from one to another: by a slip, or taken back. Amounts in millionths, ``arrived`` None
    where nobody confirmed; ``first`` and ``last`` are between when it may have happened.
    """

    event: int
    source: int
    to: int
    sent: int
    arrived: int | None
    first: datetime.datetime
    last: datetime.datetime

    @property
    def most(self) -> int:
        """As much as may have arrived."""
        return self.sent if self.arrived is None else self.arrived


class Use(NamedTuple):
    """Goods of one lot that went into another (``child``) by a step of ``organisation``; ``joins`` where that only says
    that both are the same goods in two books.
    """

    event: int
    organisation: int
    child: int
    micros: int
    last: datetime.datetime
    joins: bool
    stands: bool


@dataclass
class Goods:
    """What records say of one lot: in whose hands it began, how much there was, how it moved, what it was used for, who
    has it, who destroyed how much of it in a recall.
    """

    lot: int
    origin: int
    made: int
    moves: list[Move] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    stock: dict[int, int] = field(default_factory=dict)
    destroyed: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """How a lot's units are told apart: the numbers of those that were with the organisation, whether these are all of
    its goods, and from whom uncoded goods of the lot may have reached it (row numbers).
    """

    ranges: Ranges = ()
    apart: bool = False
    loose: frozenset[int] = frozenset()


@dataclass
class Passage:
    """The goods of one lot that passed through: in whose hands since when, in whose they began, by which moves (places
    in ``goods.moves``), and how units are told apart. ``whole`` says that all of the lot did.
    """

    goods: Goods
    whole: bool
    arrivals: dict[int, datetime.datetime]
    begun: frozenset[int]
    moved: set[int] = field(default_factory=set)
    told: Told = field(default_factory=Told)

    def moves(self) -> Iterator[Move]:
        """Its moves."""
        for at in sorted(self.moved):
            yield self.goods.moves[at]

    def first(self) -> Iterator[Move]:
        """The moves that brought goods to where they began to be covered, from hands in which none were."""
        for at, move in enumerate(self.goods.moves):
            if not self.whole and at not in self.moved and move.to in self.begun:
                yield move

    def got(self, holder: int) -> int:
        """As much of it as may have come to a holder by moves."""
        return sum(move.most for move in self.moves() if move.to == holder)


@dataclass
class Passing:
    """The walk: what it met, by lot (row number), and the lots that lead to each from where it began."""

    through: int
    limit: int
    found: dict[int, Passage] = field(default_factory=dict)
    paths: dict[int, tuple[int, ...]] = field(default_factory=dict)
    cut: bool = False
    _goods: dict[int, Goods] = field(default_factory=dict)
    _begun: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    _units: dict[int, UnitHistory | None] = field(default_factory=dict)

    def had(self, lots: Iterable[int]) -> set[int]:
        """Those of these lots that the organisation made, took in, was sent, took back or has."""
        wanted = list(lots)
        self._read(wanted)
        found = set()
        for lot in wanted:
            goods = self._goods.get(lot)
            if goods is not None and (
                goods.origin == self.through
                or goods.stock.get(self.through, 0) > 0
                or any(move.to == self.through for move in goods.moves)
            ):
                found.add(lot)
        return found

    def joined(self, lot: int) -> list[int]:
        """The organisation's own lots that were joined with this lot of its supplier."""
        self._read([lot])
        children = [use.child for use in self._goods[lot].uses if use.joins] if lot in self._goods else []
        self._read(children)
        return [child for child in children if self._goods[child].origin == self.through]

    def spread(self, seeds: Mapping[int, tuple[int, ...]]) -> list[int]:
        """Walk on from these lots (in the hands of whom they began with, or of the organisation) with the path that
        leads to each; answers the lots that were not met before, nearest first.
        """
        fresh: list[int] = []
        front = {lot: path for lot, path in seeds.items() if lot not in self.found}
        ours = self.had(front)
        for lot in front:
            self._begun[lot].add(self.through if lot in ours else self._goods[lot].origin)
        while front:
            if len(self.found) + len(front) > self.limit:
                self.cut = True
                return fresh
            self._read(front)
            self._read_units(lot for lot in front if not self._is_whole(lot))
            beyond: dict[int, tuple[int, ...]] = {}
            for lot, path in front.items():
                if lot not in self.found:
                    fresh.append(lot)
                    self.paths[lot] = path
                passage = self.found[lot] = self._settled(lot)
                for use in self._tainted_uses(passage):
                    beyond.setdefault(use.child, (*self.paths[lot], use.child))
            self._read(beyond)
            front = {}
            for child, path in beyond.items():
                begun, origin = self._begun[child], self._goods[child].origin
                if origin not in begun:
                    begun.add(origin)
                    front[child] = path
        return fresh

    def _is_whole(self, lot: int) -> bool:
        """Whether the lot began with goods that passed through."""
        return self._goods[lot].origin in self._begun[lot]

    def _settled(self, lot: int) -> Passage:
        """In whose hands the lot's goods that passed through have been."""
        goods = self._goods[lot]
        if self._is_whole(lot):
            parties = {goods.origin, *(party for move in goods.moves for party in (move.source, move.to))}
            parties |= {holder for holder, micros in goods.stock.items() if micros > 0}
            everything = set(range(len(goods.moves)))
            return Passage(goods, True, dict.fromkeys(parties, ALWAYS), frozenset(self._begun[lot]), everything)
        units = _Units(goods, self.through, self._units.get(lot))
        begun = frozenset(self._begun[lot])
        passage = Passage(goods, False, dict.fromkeys(begun, ALWAYS), begun, told=units.told)
        clean = units.clean
        changed = True
        while changed:
            changed = False
            for at, move in enumerate(goods.moves):
                if at in passage.moved or at in clean or move.source not in passage.arrivals:
                    continue
                if move.last < passage.arrivals[move.source] and _explained(passage, move.source, move.last, at):
                    continue
                passage.moved.add(at)
                changed = True
                since = passage.arrivals.get(move.to)
                passage.arrivals[move.to] = move.first if since is None else min(since, move.first)
        return passage

    def _tainted_uses(self, passage: Passage) -> Iterator[Use]:
        """The steps that used goods that passed through."""
        arrivals = passage.arrivals
        for use in passage.goods.uses:
            if passage.whole:
                yield use
            elif use.joins:
                if passage.goods.origin in arrivals or self._origin_of(use.child) == self.through:
                    yield use
            elif use.organisation in arrivals and not (
                use.last < arrivals[use.organisation] and _explained(passage, use.organisation, use.last, None)
            ):
                yield use

    def _origin_of(self, lot: int) -> int:
        self._read([lot])
        return self._goods[lot].origin

    def used(self, passage: Passage) -> int:
        """How much of it went into other lots: once for each step."""
        steps = {use.event: use.micros for use in self._tainted_uses(passage) if use.stands and not use.joins}
        return sum(steps.values())

    def amount(self, passage: Passage) -> int:
        """How much of the lot passed through: all that came to the organisation, what it sent out and got back again
        counted once, and no more than there is of the lot.
        """
        goods = passage.goods
        if passage.whole:
            return goods.made
        came = sum(move.most for move in passage.first())
        back: dict[int, int] = defaultdict(int)
        for move in passage.moves():
            if move.to == self.through:
                back[move.source] += move.most
        came += sum(max(micros - passage.got(source), 0) for source, micros in back.items())
        there = max(came, goods.stock.get(self.through, 0))
        return min(there, goods.made) if goods.made else there

    def _read(self, lots: Iterable[int]) -> None:
        """What records say of these lots, asked once; six queries for all that are new."""
        wanted = [lot for lot in lots if lot not in self._goods]
        if not wanted:
            return
        rows = Lot.objects.filter(among("pk", wanted)).values_list("pk", "origin_event__organisation", "made_micros")
        fresh = {pk: Goods(pk, origin, made) for pk, origin, made in rows}
        for lot, move in [*_transfers(fresh), *_returns(fresh)]:
            fresh[lot].moves.append(move)
        for lot, use in _uses(fresh):
            fresh[lot].uses.append(use)
        for lot, holder, micros in Stock.objects.filter(among("lot", fresh)).values_list(
            "lot", "organisation", "micros"
        ):
            fresh[lot].stock[holder] = fresh[lot].stock.get(holder, 0) + micros
        gone = EventItem.objects.filter(
            among("lot", fresh),
            micros__lt=0,
            event__template="common.destroy",
            event__data__has_key="recall_case",
            event__corrections__isnull=True,
        ).order_by()
        for lot, holder, micros in gone.values_list("lot", "holder", "micros"):
            if lot is not None and holder is not None:
                fresh[lot].destroyed[holder] = fresh[lot].destroyed.get(holder, 0) - micros
        for goods in fresh.values():
            goods.moves.sort(key=lambda move: (move.last, move.event))
        self._goods |= fresh

    def _read_units(self, lots: Iterable[int]) -> None:
        """Where the units of these lots have been, where events name units."""
        wanted = [lot for lot in lots if lot not in self._units]
        if wanted:
            coded = coded_lots(wanted)
            self._units |= {lot: history_of_lot(lot) if lot in coded else UnitHistory() for lot in wanted}


def _explained(passage: Passage, holder: int, until: datetime.datetime, at: int | None) -> bool:
    """Whether all that a holder gave away up to then may have been other goods of the lot: what it made of it and got
    otherwise covers it. ``at`` is the move in question, the last of those at the same time that counts.
    """
    goods = passage.goods
    clean = goods.made if holder == goods.origin else 0
    mine = [use for use in goods.uses if use.organisation == holder and not use.joins and use.last <= until]
    out = sum({use.event: use.micros for use in mine}.values())
    for number, move in enumerate(goods.moves):
        if move.to == holder and number not in passage.moved and move.first <= until:
            clean += move.most
        if move.source == holder and (move.last < until or (move.last == until and (at is None or number <= at))):
            out += move.sent
    return out <= clean


class _Units:
    """What unit codes say of one lot's goods: which moves carried none that passed through, which units did."""

    def __init__(self, goods: Goods, through: int, history: UnitHistory | None) -> None:
        self._goods, self._through, self._history = goods, through, history
        self._by_event = {move.event: move for move in goods.moves}
        complete = self._complete()
        loose = [move for at, move in enumerate(goods.moves) if at not in complete]
        self._loose = _reach(through, [(move.to, move.source) for move in loose])
        self._onward = _reach(through, [(move.source, move.to) for move in goods.moves]) | {through}
        self.clean = {at for at in complete if self._none_passed(goods.moves[at])}
        self.told = self._told()

    def _complete(self) -> set[int]:
        """The moves (by position) whose goods are all named by their units."""
        if self._history is None or not self._history.in_hand:
            return set()
        lot = Lot.objects.select_related("product__current", "product_version").get(pk=self._goods.lot)
        single = Unit.objects.filter(lot=self._goods.lot, level=Unit.Level.ITEM, number__gt=0).exists()
        found = set()
        for at, move in enumerate(self._goods.moves):
            levels = self._history.levels_in(move.event)
            if single:
                # Where single units have codes of their own, a pack tells of those alone that were seen to lie in it.
                levels = {level: count for level, count in levels.items() if level == Unit.Level.ITEM}
            known = micros_of(lot, levels) if levels else None
            if known is not None and known >= move.sent:
                found.add(at)
        return found

    def _none_passed(self, move: Move) -> bool:
        """Whether no unit of a move passed through, as far as codes tell."""
        if self._history is None or self._through in (move.source, move.to):
            return False
        return all(self._of(unit) is Passed.NO for unit in self._history.in_hand[move.event])

    def _of(self, unit: int) -> Passed:
        sightings = self._history.sightings.get(unit, []) if self._history is not None else []
        steps = [step_of(one, self._by_event.get(one.event)) for one in sightings]
        return passed(steps, self._goods.origin, self._through, self._loose, self._onward)

    def _told(self) -> Told:
        loose = frozenset(self._loose)
        if self._history is None or not self._history.in_hand:
            return Told(loose=loose)
        numbers = {
            number
            for unit, number in self._history.numbers.items()
            if number > 0 and self._of(unit) is Passed.YES
        }  # fmt: skip
        ranges = spans(numbers)
        apart = bool(ranges) and not loose and len(ranges) <= MOST_RANGES
        return Told(ranges if apart else (), apart, loose)


def step_of(sighting: Sighting, move: Move | None) -> tuple[int, int]:
    """From whose hands into whose a sighting tells that a unit went."""
    return (move.source, move.to) if move is not None else (sighting.holder, sighting.holder)


def passed(
    steps: Sequence[tuple[int, int]], origin: int, through: int, loose: Iterable[int], onward: Iterable[int]
) -> Passed:
    """Whether a unit passed through, by the steps it was seen at (from whom, to whom) in their order.

    Between two of them, before the first and after the last it may have moved without its code: through the
    organisation only where uncoded goods went from there to it (``loose``) and, if it was seen again, from it to there
    (``onward``).
    """
    if any(through in step for step in steps):
        return Passed.YES
    sources, reached = frozenset(loose), frozenset(onward)
    here = origin
    for source, to in steps:
        if here in sources and source in reached:
            return Passed.UNKNOWN
        here = to
    return Passed.UNKNOWN if here in sources else Passed.NO


def _reach(start: int, edges: Iterable[tuple[int, int]]) -> set[int]:
    """Everything that edges lead to from a start, without it."""
    onward: dict[int, set[int]] = defaultdict(set)
    for source, to in edges:
        onward[source].add(to)
    found, front = set(), [start]
    while front:
        for other in onward.get(front.pop(), ()):
            if other not in found:
                found.add(other)
                front.append(other)
    return found - {start}


# --- What records say -----------------------------------------------------------------------------------------------

_WHEN = ("occurred_at", "precision", "tz_offset")


def _transfers(lots: Iterable[int]) -> Iterator[tuple[int, Move]]:
    """The slips' lines of these lots that were not declared wrong."""
    when = [f"shipment__event__{key}" for key in _WHEN]
    rows = Transfer.objects.filter(among("lot", lots), voided_by=None).order_by("id")
    for lot, event, source, to, sent, arrived, at, precision, offset in rows.values_list(
        "lot", "shipment__event", "sender", "receiver", "sent_micros", "received_micros", *when
    ):
        span = moments.span(at, precision, offset)
        yield lot, Move(event, source, to, sent, arrived, span.first, span.last)


def _returns(lots: Iterable[int]) -> Iterator[tuple[int, Move]]:
    """What was taken back from a holder: it makes no slip."""
    when = [f"event__{key}" for key in _WHEN]
    rows = EventItem.objects.filter(
        among("lot", lots),
        micros__gt=0,
        event__template__in=_taking_back(),
        event__corrections__isnull=True,
        event__corrects=None,
        event__counterparty__isnull=False,
    )
    for lot, event, source, to, micros, at, precision, offset in rows.order_by("id").values_list(
        "lot", "event", "event__counterparty", "holder", "micros", *when
    ):
        if lot is not None and source is not None:
            span = moments.span(at, precision, offset)
            yield lot, Move(event, source, to, micros, micros, span.first, span.last)


@cache
def _taking_back() -> list[str]:
    """The steps that take goods back."""
    return [code for code, step in templates().items() if step.moves == "return"]


def _uses(lots: Iterable[int]) -> Iterator[tuple[int, Use]]:
    """The steps that made other lots of these; those declared wrong as well, for a scope asks generously."""
    when = [f"event__{key}" for key in _WHEN]
    rows = LotLink.objects.filter(among("parent", lots)).order_by("id")
    for lot, event, whose, child, micros, code, voided, at, precision, offset in rows.values_list(
        "parent", "event", "event__organisation", "child", "input_micros", "event__template", "voided_by", *when
    ):
        last = moments.span(at, precision, offset).last
        yield lot, Use(event, whose, child, micros, last, code == JOIN, voided is None)


def through_of(version: ScopeVersion) -> Organisation | None:
    """Through whose hands a frozen scope was followed; None where it was not. One query."""
    uid = version.question.get("through", "")
    return Organisation.objects.filter(uid=uid).first() if uid else None


def suppliers_of(version: ScopeVersion, trader: Organisation) -> list[Organisation]:
    """Who sent the trader goods of the lots of which only what passed through its hands is covered. Two queries."""
    lots = version.lots.exclude(part={}).values("lot")
    sent = Transfer.objects.filter(lot__in=lots, receiver=trader, voided_by=None).values("sender")
    makers = Lot.objects.filter(pk__in=lots).values("organisation")
    downstream = version.holdings.exclude(organisation__in=makers).values("organisation")
    rows = Organisation.objects.filter(pk__in=sent).exclude(pk__in=downstream).exclude(pk=trader.pk)
    return list(rows.select_related("division").order_by("name", "pk"))


@dataclass(frozen=True)
class Elsewhere:
    """A recall of what passed through a trader, for somebody whose own goods of the lot are not meant."""

    trader: Organisation
    campaign: Campaign
    announced: bool


def recalled_elsewhere(lot: Lot, sides: Collection[int], mine: Collection[int]) -> list[Elsewhere]:
    """The running recalls of a lot in a trader's hands that concern none of these organisations' own goods (``mine``
    are the holds that do, by row numbers): told to its suppliers, and to everybody once it is announced. Two queries,
    and two for each.
    """
    active = HoldMember.objects.filter(lot=lot, hold__active_from__isnull=False, hold__ended_at=None)
    holds = active.filter(holder__isnull=False).exclude(hold__in=list(mine)).values("hold")
    found: list[Elsewhere] = []
    for version in ScopeVersion.objects.filter(hold__in=holds).select_related("campaign").order_by("id"):
        trader = through_of(version)
        if trader is None:
            continue
        announced = version.campaign.announced_at is not None
        supplied = Transfer.objects.filter(lot=lot, receiver=trader, sender__in=list(sides), voided_by=None)
        if announced or supplied.exists():
            found.append(Elsewhere(trader, version.campaign, announced))
    return found


# --- One unit, for who scans it -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """What a hold means for one code: through whose hands the goods meant passed, and whether these did."""

    organisation: Organisation
    passed: Passed


def standing_through(holds: Iterable[int], lot: Lot, unit: Unit | None) -> dict[int, Standing]:
    """For the holds (row numbers) that stand for what passed through one organisation: whether this code's goods did.
    A lot's own code cannot say. Two queries, and some six where unit codes do not tell all and a unit is asked about.
    """
    rows = ScopeLot.objects.filter(scope__hold__in=list(holds), lot=lot).exclude(part={})
    kept = {hold: row for row in rows.select_related("scope") if row.through and (hold := row.scope.hold_id)}
    if not kept:
        return {}
    uids = {uid for row in kept.values() for uid in (row.through, *row.part.get("loose", []))}
    known = {str(one.uid): one for one in Organisation.objects.filter(uid__in=uids)}
    found: dict[int, Standing] = {}
    steps: list[tuple[int, int]] | None = None
    for hold, row in kept.items():
        if unit is None:
            told = Passed.UNKNOWN
        elif row.part.get("apart") and covers(row.ranges, numbers_of([unit], lot.pk) | {unit.number}):
            told = Passed.YES
        else:
            steps = _steps_of(unit) if steps is None else steps
            loose = [known[uid].pk for uid in row.part.get("loose", []) if uid in known]
            loose += _sent_without_codes(lot, known[row.through], row.scope.calculated_at)
            onward = ScopeHolding.objects.filter(scope=row.scope_id, lot=lot).values_list("organisation", flat=True)
            origin = lot.origin_event.organisation_id
            told = passed(steps, origin, known[row.through].pk, loose, onward)
        found[hold] = Standing(known[row.through], told)
    return found


def _sent_without_codes(lot: Lot, trader: Organisation, since: datetime.datetime) -> list[int]:
    """Who sent the trader goods of a lot after its scope was frozen and named no code: any of theirs may be among them.
    One query.
    """
    named = EventItem.objects.filter(event=OuterRef("shipment__event"), lot=OuterRef("lot"), unit__isnull=False)
    later = Transfer.objects.filter(
        ~Exists(named), lot=lot, receiver=trader, voided_by=None, shipment__event__recorded_at__gte=since
    )
    return list(later.order_by().values_list("sender", flat=True).distinct())


def _steps_of(unit: Unit) -> list[tuple[int, int]]:
    """From whose hands into whose a unit was seen to go, in order. A pack answers for what lies in it now."""
    sightings = history_of_unit(unit)
    events = [one.event for one in sightings]
    shipped = Transfer.objects.filter(shipment__event__in=events).values_list("shipment__event", "sender", "receiver")
    ways = {event: (source, to) for event, source, to in shipped}
    back = EventItem.objects.filter(
        event__in=events, event__template__in=_taking_back(), event__counterparty__isnull=False, micros__gt=0
    )
    ways |= {
        event: (source, to)
        for event, source, to in back.values_list("event", "event__counterparty", "holder")
        if source is not None
    }
    return [ways.get(one.event, (one.holder, one.holder)) for one in sightings]
