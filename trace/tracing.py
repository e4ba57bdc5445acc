"""The answer of the trace console: where a lot came from or went, as verdict, numbers, rows and receivers.

Everything shown passes ``trace.disclosure``: of other parties' lots only region, product family, verdict and date.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from trace.access import entered_for
from trace.actor import Actor
from trace.among import among
from trace.disclosure import SeenEdge, SeenLot, SeenWalk, seen_walk
from trace.event_templates import families, templates
from trace.exports import Cell, micros
from trace.genealogy import Direction, Walk, walk
from trace.guards import Blocking, blocking
from trace.models import EventItem, HoldSet, Lot, Organisation, TestReport, Transfer
from trace.shares import Mix, Share, circles_from, parts, path_sums
from trace.shells import Beside, possible
from trace.units import format_amount, unit_name

_STATES: dict[str, str] = {TestReport.Verdict.FAIL.value: "failed", TestReport.Verdict.PASS.value: "passed"}
MOST_TRANSFERS = 50
"""Hand-overs told on the page; the file has them all."""


@dataclass(eq=False)
class Step:
    """One row: a lot as the actor may see it, what connects it towards the start, and what stands against it.

    ``why`` is empty for a lot joined by links and says what it shared otherwise. ``carried`` and ``content`` are the
    shares of ``trace.shares`` between it and the lot asked about, None where the actor may not know them.
    """

    seen: SeenLot
    towards: Sequence[SeenEdge] = ()
    holds: Sequence[Blocking] = ()
    why: str = ""
    carried: Share | None = None
    content: Share | None = None

    @cached_property
    def state(self) -> str:
        """A badge state: recalled or blocked, a failed or passed test, or empty."""
        if self.holds:
            return "recalled" if any(block.hold.kind == "recall" for block in self.holds) else "blocked"
        if self.seen.lot is not None and self.seen.lot.voided_by_id is not None:
            return "voided"
        return _STATES.get(self.seen.verdict, "")

    @property
    def name(self) -> str:
        """The lot code, or what stands for it where it may not be told."""
        return self.seen.lot.code if self.seen.lot is not None else _("他方批次 %(n)d") % {"n": self.seen.number}

    @cached_property
    def product(self) -> str:
        """The product, or only its family."""
        if self.seen.lot is not None:
            return self.seen.lot.product_version.label
        return family_words(self.seen.family)

    @cached_property
    def group(self) -> str:
        """A short name for whose lot it is: the organisation's, or for a veiled lot its region's."""
        if self.seen.lot is not None:
            return f"o{self.seen.lot.organisation.uid.hex[-12:]}"
        return f"r{zlib.crc32(self.seen.region.encode()):x}"

    @cached_property
    def holder(self) -> str:
        """The issuer with its place, or only the region."""
        if self.seen.lot is not None:
            return f"{self.seen.lot.organisation.label} · {self.seen.region}"
        return self.seen.region


@dataclass(frozen=True)
class Handed:
    """Who gave the lots to whom, as far as the actor may know: how many hand-overs to how many, how many of them were
    never confirmed, and the first of them.
    """

    total: int = 0
    parties: int = 0
    waiting: int = 0
    rows: Sequence[Transfer] = ()


@dataclass(frozen=True)
class Answer:
    """One question answered. ``steps`` begin with the lot asked about."""

    lot: Lot
    direction: Direction
    steps: list[Step]
    seen: SeenWalk
    handed: Handed = field(default_factory=Handed)

    @cached_property
    def others(self) -> list[Step]:
        """Every lot but the one asked about."""
        return self.steps[1:]

    @cached_property
    def proven(self) -> list[Step]:
        """Every other lot that links join with the one asked about."""
        return [step for step in self.others if not step.why]

    @cached_property
    def possible(self) -> list[Step]:
        """Lots that no link joins but that shared equipment or a container."""
        return [step for step in self.others if step.why]

    @property
    def levels(self) -> int:
        """How many steps the farthest lot is away."""
        return max((step.seen.level for step in self.steps if not step.why), default=0)

    @cached_property
    def ends(self) -> list[Step]:
        """Lots from which nothing leads on: origins when walking back, last products when walking forward."""
        back = self.direction == "back"
        led = {edge.child if back else edge.parent for edge in self.seen.edges}
        return [step for step in self.proven if step.seen.number not in led]

    @cached_property
    def troubled(self) -> list[Step]:
        """Other lots that failed a test, are held or recalled."""
        return [step for step in self.others if step.state in ("failed", "blocked", "recalled")]

    @property
    def veiled(self) -> int:
        """How many lots belong to others and are shown without names."""
        return sum(1 for step in self.steps if step.seen.lot is None)


def family_words(code: str) -> str:
    """A product family for people; families nobody declared are other products."""
    known = families().get(code)
    return known.label() if known is not None and code else _("其他产品")


def answer(actor: Actor, lot: Lot, direction: Direction) -> Answer:
    """Walk from a lot the actor may open and say what it may know. Some thirty queries however many lots (per 20,000).

    Forward the possible shell comes with it: what shared equipment or a container with the lot or one of its ancestors.
    """
    walked = walk([lot], direction)
    why: dict[int, Beside] = {}
    if direction == "forward":
        walked, why = _with_possible(actor, lot, walked)
    seen = seen_walk(actor, walked)
    opened = [one.lot for one in seen.lots if one.lot is not None]
    holds = _holds(actor, walked, seen)
    towards: dict[int, list[SeenEdge]] = {}
    for edge in seen.edges:
        towards.setdefault(edge.parent if direction == "back" else edge.child, []).append(edge)
    carried, content = _shares(actor, lot, walked, seen)
    steps = [
        Step(
            one,
            towards.get(one.number, ()),
            holds.get(one.number, ()),
            why[pk].words if pk in why else "",
            None if pk in why else carried.get(pk),
            None if pk in why else content.get(pk),
        )
        for one, pk in zip(seen.lots, seen.order, strict=True)
    ]
    return Answer(lot, direction, steps, seen, _handed(actor, opened, direction))


def _with_possible(actor: Actor, lot: Lot, walked: Walk) -> tuple[Walk, dict[int, Beside]]:
    """The walk with the possible shell behind it: lots that are neither joined nor ancestors, each with its reason.

    What lay in another's dryer together is that other's to know: only the equipment of one's own counts, for a
    regulator that of its territory.
    """
    shell = possible([lot.pk])
    tells = _sides(actor, {pair.organisation for pair in shell.pairs.values()})
    why = {
        pk: pair
        for pk, pair in shell.pairs.items()
        if pk not in walked.level and pk not in shell.ancestors and pair.organisation in tells
    }
    if not why:
        return walked, {}
    level = {**walked.level, **{pk: max(len(shell.paths[pk]) - 1, 1) for pk in why}}
    links = [link for link in shell.wider.links if link[2] in why and link[1] in level]
    return Walk(walked.direction, walked.start, level, [*walked.links, *links], walked.cut or shell.cut), why


def _sides(actor: Actor, organisations: set[int]) -> set[int]:
    """Those of these organisations whose facts the actor may know."""
    if not actor.is_regulator or not organisations:
        return organisations & set(entered_for(actor))
    rows = Organisation.objects.in_territory(actor.organisation.territory).filter(pk__in=organisations)
    return set(rows.values_list("pk", flat=True))


def _shares(actor: Actor, lot: Lot, walked: Walk, seen: SeenWalk) -> tuple[dict[int, Share], dict[int, Share]]:
    """What part of each lot is in the other, as far as the events are the actor's to know. Two queries.

    Of others' lots an organisation knows only what it got: that is the whole its share is of.
    """
    events = {edge.event for edge in walked.edges if edge.event in seen.known}
    if not events:
        return {}, {}
    mixes: dict[int, Mix] = {}
    unit: dict[int, str] = {}
    for event, pk, role, moved, base in _items(events):
        mix, amount = mixes.setdefault(event, Mix()), abs(moved)
        side = mix.outputs if role == "output" else mix.inputs
        side[pk] = side.get(pk, 0) + amount
        unit[pk] = base
    rows = {pk: one.lot for one, pk in zip(seen.lots, seen.order, strict=True) if one.lot is not None}
    found = parts(mixes.values(), _made(actor, rows), unit)
    back = walked.direction == "back"
    ways = [(one.child, one.parent) if back else (one.parent, one.child) for one in found]
    circles = circles_from(lot.pk, ways)
    return (
        path_sums(lot.pk, [(*way, one.carried) for way, one in zip(ways, found, strict=True)], circles),
        path_sums(lot.pk, [(*way, one.content) for way, one in zip(ways, found, strict=True)], circles),
    )


def _items(events: Iterable[int]) -> Iterator[tuple[int, int, str, int, str]]:
    """What these events used and made: event, lot, role, millionths and base unit."""
    rows = EventItem.objects.filter(among("event", events), role__in=("input", "output"), lot__isnull=False)
    yield from rows.values_list("event", "lot", "role", "micros", "lot__product__base_unit")


def _made(actor: Actor, rows: Mapping[int, Lot]) -> dict[int, int]:
    """All there was of each lot: what was made of it, of others' lots what the actor got."""
    if actor.is_regulator:
        return {pk: lot.made_micros for pk, lot in rows.items()}
    mine = set(entered_for(actor))
    own = {pk for pk, lot in rows.items() if lot.organisation_id in mine}
    got: dict[int, int] = {}
    ids = sorted(rows.keys() - own)
    for begin in range(0, len(ids), 10_000):
        items = EventItem.objects.filter(
            lot__in=ids[begin : begin + 10_000], holder__in=mine, micros__gt=0, event__corrections=None
        ).exclude(event__template__in=[code for code, step in templates().items() if step.moves == "store"])
        # Goods handed on between one's own sides, or that come back from a customer, are the goods there were.
        items = items.exclude(event__counterparty__in=mine)
        back = Q(event__template="common.return")
        for lot, came, returned in items.values_list("lot").annotate(
            came=Sum("micros", filter=~back), returned=Sum("micros", filter=back)
        ):
            got[lot] = came or returned or 0
    return {**got, **{pk: rows[pk].made_micros for pk in own}}


def _holds(actor: Actor, walked: Walk, seen: SeenWalk) -> dict[int, list[Blocking]]:
    """What stands against the lots, by their number. Of others' lots only recalls are told: these are for everybody to
    know, what is only being looked into is not.
    """
    order = sorted(walked.level, key=lambda pk: (walked.level[pk], pk))
    by_pk = blocking(order, sides=None if actor.is_regulator else entered_for(actor))
    found: dict[int, list[Blocking]] = {}
    for one, pk in zip(seen.lots, order, strict=True):
        told = [hold for hold in by_pk.get(pk, []) if one.lot is not None or hold.hold.kind == HoldSet.Kind.RECALL]
        if told:
            found[one.number] = told
    return found


def handed_over(actor: Actor, lots: Sequence[int], direction: Direction) -> QuerySet[Transfer]:
    """Who gave these lots to whom, as far as the actor is a side of it (or supervises one side), oldest first."""
    rows = Transfer.objects.filter(among("lot", lots), voided_by=None)
    if actor.is_regulator:
        code = actor.organisation.territory
        rows = rows.filter(Q(sender__division__code__startswith=code) | Q(receiver__division__code__startswith=code))
    else:
        mine = entered_for(actor)
        rows = rows.filter(sender__in=mine) if direction == "forward" else rows.filter(receiver__in=mine)
    return rows.order_by("id")


def _handed(actor: Actor, lots: Sequence[Lot], direction: Direction) -> Handed:
    """The hand-overs in numbers and the first of them; two queries (per 20,000 lots)."""
    ids = [lot.pk for lot in lots]
    rows = handed_over(actor, ids, direction)
    far = "receiver" if direction == "forward" else "sender"
    sums = rows.order_by().aggregate(
        total=Count("pk"), parties=Count(far, distinct=True), waiting=Count("pk", filter=Q(received_by=None))
    )
    if not sums["total"]:
        return Handed()
    shown = rows.select_related("lot__product", "lot__product_version", "sender", "receiver", "shipment")
    return Handed(sums["total"], sums["parties"], sums["waiting"], list(shown[:MOST_TRANSFERS]))


def edge_words(edge: SeenEdge, names: dict[int, str], direction: Direction) -> str:
    """One connection in words: how much of what went into what."""
    other = names[edge.child if direction == "back" else edge.parent]
    if edge.micros is None:
        return _("用于 %(lot)s") % {"lot": other} if direction == "back" else _("来自 %(lot)s") % {"lot": other}
    amount = format_amount(edge.micros, edge.unit)
    if direction == "back":
        return _("%(amount)s 用于 %(lot)s") % {"amount": amount, "lot": other}
    return _("用了 %(lot)s 的 %(amount)s") % {"amount": amount, "lot": other}


def percent_text(share: Share | None) -> str:
    """A share in per cent to two digits after the point, with ≥ where paths are unknown; empty where nobody may know.

    What is not nothing is never shown as 0.
    """
    if share is None:
        return ""
    hundredths = round(share.value * 10_000)
    if share.value and not hundredths:
        return "< 0.01%"
    text = f"{Fraction(hundredths, 100).__float__():.2f}".rstrip("0").rstrip(".")
    return f"{'' if share.whole else '≥ '}{text}%"


def table(found: Answer, steps: Sequence[Step] | None = None) -> tuple[list[str], Iterator[list[Cell]]]:
    """The answer (or some of its steps) as header and rows for a file: one row per lot and connection to the start."""
    header = [
        _("编号"), _("把握"), _("理由"), _("层级"), _("批号"), _("品名或品类"), _("单位"), _("地区"), _("检验结论"),
        _("状态"), _("日期"), _("上游进入下游的份额"), _("上游占下游投入的份额"), _("连到编号"), _("数量"),
        _("计量单位"),
    ]  # fmt: skip
    return header, _rows(found, found.steps if steps is None else steps)


def _rows(found: Answer, steps: Sequence[Step]) -> Iterator[list[Cell]]:
    """The rows of the file."""
    verdicts = dict(TestReport.Verdict.choices)
    kinds = {"recalled": _("已召回"), "blocked": _("已封存"), "voided": _("已更正")}
    for step in steps:
        seen = step.seen
        facts: list[Cell] = [
            seen.number,
            _("可能") if step.why else _("确定"),
            step.why,
            "" if step.why else seen.level,
            seen.lot.code if seen.lot is not None else "",
            step.product,
            seen.lot.organisation.label if seen.lot is not None else "",
            seen.region,
            verdicts.get(TestReport.Verdict(seen.verdict), "") if seen.verdict else "",
            kinds.get(step.state, ""),
            seen.date,
            percent_text(step.carried),
            percent_text(step.content),
        ]
        links: list[list[Cell]] = [
            [
                edge.child if found.direction == "back" else edge.parent,
                micros(edge.micros),
                "" if edge.micros is None else unit_name(edge.unit),
            ]
            for edge in step.towards
        ]
        yield from ([*facts, *link] for link in links or [["", "", ""]])
