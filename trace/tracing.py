"""The answer of the trace console: where a lot came from or went, as verdict, numbers, rows and receivers.

Everything shown passes ``trace.disclosure``: of other parties' lots only region, product family, verdict and date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Q
from django.utils.translation import gettext as _

from trace.access import entered_for
from trace.actor import Actor
from trace.disclosure import SeenEdge, SeenLot, SeenWalk, seen_walk
from trace.event_templates import families
from trace.genealogy import Direction, Walk, walk
from trace.guards import Blocking, blocking
from trace.models import HoldSet, Lot, TestReport, Transfer
from trace.units import decimal_text, format_amount, unit_name

MOST_TRANSFERS = 2000


@dataclass(frozen=True)
class Step:
    """One row: a lot as the actor may see it, what connects it towards the start, and what stands against it."""

    seen: SeenLot
    towards: Sequence[SeenEdge] = ()
    holds: Sequence[Blocking] = ()

    @property
    def state(self) -> str:
        """A badge state: recalled or blocked, a failed or passed test, or empty."""
        if self.holds:
            return "recalled" if any(block.hold.kind == "recall" for block in self.holds) else "blocked"
        if self.seen.lot is not None and self.seen.lot.voided_by_id is not None:
            return "voided"
        return {TestReport.Verdict.FAIL.value: "failed", TestReport.Verdict.PASS.value: "passed"}.get(
            self.seen.verdict, ""
        )

    @property
    def name(self) -> str:
        """The lot code, or what stands for it where it may not be told."""
        return self.seen.lot.code if self.seen.lot is not None else _("他方批次 %(n)d") % {"n": self.seen.number}

    @property
    def product(self) -> str:
        """The product, or only its family."""
        if self.seen.lot is not None:
            return self.seen.lot.product_version.label
        return family_words(self.seen.family)

    @property
    def holder(self) -> str:
        """The issuer with its place, or only the region."""
        if self.seen.lot is not None:
            return f"{self.seen.lot.organisation.label} · {self.seen.region}"
        return self.seen.region


@dataclass(frozen=True)
class Answer:
    """One question answered. ``steps`` begin with the lot asked about; ``transfers`` are those the actor may know."""

    lot: Lot
    direction: Direction
    steps: list[Step]
    seen: SeenWalk
    transfers: list[Transfer] = field(default_factory=list)

    @property
    def others(self) -> list[Step]:
        """Every lot but the one asked about."""
        return self.steps[1:]

    @property
    def levels(self) -> int:
        """How many steps the farthest lot is away."""
        return max((step.seen.level for step in self.steps), default=0)

    @property
    def ends(self) -> list[Step]:
        """Lots from which nothing leads on: origins when walking back, last products when walking forward."""
        back = self.direction == "back"
        led = {edge.child if back else edge.parent for edge in self.seen.edges}
        return [step for step in self.others if step.seen.number not in led]

    @property
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
    """Walk from a lot the actor may open and say what it may know. Nine queries however many lots (per 20,000)."""
    walked = walk([lot], direction)
    seen = seen_walk(actor, walked)
    opened = [one.lot for one in seen.lots if one.lot is not None]
    holds = _holds(walked, seen)
    towards: dict[int, list[SeenEdge]] = {}
    for edge in seen.edges:
        towards.setdefault(edge.parent if direction == "back" else edge.child, []).append(edge)
    steps = [Step(one, towards.get(one.number, ()), holds.get(one.number, ())) for one in seen.lots]
    return Answer(lot, direction, steps, seen, _transfers(actor, opened, direction))


def _holds(walked: Walk, seen: SeenWalk) -> dict[int, list[Blocking]]:
    """What stands against the lots, by their number. Of others' lots only recalls are told: these are for everybody to
    know, what is only being looked into is not.
    """
    order = sorted(walked.level, key=lambda pk: (walked.level[pk], pk))
    by_pk = blocking(order)
    found: dict[int, list[Blocking]] = {}
    for one, pk in zip(seen.lots, order, strict=True):
        told = [hold for hold in by_pk.get(pk, []) if one.lot is not None or hold.hold.kind == HoldSet.Kind.RECALL]
        if told:
            found[one.number] = told
    return found


def _transfers(actor: Actor, lots: Sequence[Lot], direction: Direction) -> list[Transfer]:
    """Who gave these lots to whom, as far as the actor is a side of it (or supervises one side)."""
    rows = Transfer.objects.filter(lot__in=[lot.pk for lot in lots], voided_by=None)
    if actor.is_regulator:
        code = actor.organisation.territory
        rows = rows.filter(Q(sender__division__code__startswith=code) | Q(receiver__division__code__startswith=code))
    else:
        mine = entered_for(actor)
        rows = rows.filter(sender__in=mine) if direction == "forward" else rows.filter(receiver__in=mine)
    rows = rows.select_related("lot__product", "lot__product_version", "sender", "receiver__division", "shipment")
    return list(rows.order_by("id")[:MOST_TRANSFERS])


def edge_words(edge: SeenEdge, names: dict[int, str], direction: Direction) -> str:
    """One connection in words: how much of what went into what."""
    other = names[edge.child if direction == "back" else edge.parent]
    if edge.micros is None:
        return _("用于 %(lot)s") % {"lot": other} if direction == "back" else _("来自 %(lot)s") % {"lot": other}
    amount = format_amount(edge.micros, edge.unit)
    if direction == "back":
        return _("%(amount)s 用于 %(lot)s") % {"amount": amount, "lot": other}
    return _("用了 %(lot)s 的 %(amount)s") % {"amount": amount, "lot": other}


def table(found: Answer) -> tuple[list[str], list[list[object]]]:
    """The answer as header and rows for a file: one row per lot and connection towards the start."""
    header = [
        _("编号"), _("层级"), _("批号"), _("品名或品类"), _("单位"), _("地区"), _("检验结论"), _("状态"), _("日期"),
        _("连到编号"), _("数量"), _("计量单位"),
    ]  # fmt: skip
    verdicts = dict(TestReport.Verdict.choices)
    kinds = {"recalled": _("已召回"), "blocked": _("已封存"), "voided": _("已更正")}
    rows: list[list[object]] = []
    for step in found.steps:
        seen = step.seen
        facts: list[object] = [
            seen.number,
            seen.level,
            seen.lot.code if seen.lot is not None else "",
            step.product,
            seen.lot.organisation.label if seen.lot is not None else "",
            seen.region,
            verdicts.get(TestReport.Verdict(seen.verdict), "") if seen.verdict else "",
            kinds.get(step.state, ""),
            seen.date.isoformat() if seen.date else "",
        ]
        links: list[list[object]] = [
            [
                edge.child if found.direction == "back" else edge.parent,
                "" if edge.micros is None else decimal_text(edge.micros),
                "" if edge.micros is None else unit_name(edge.unit),
            ]
            for edge in step.towards
        ]
        rows += [[*facts, *link] for link in links or [["", "", ""]]]
    return header, rows
