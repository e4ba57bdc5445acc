"""What stands against a code now: active holds that cover it, and the public side of the recalls behind them.

What blocks comes from trace (``HoldSet``); what a consumer must know of a recall comes from recalls, asked by the
hold's source. A drill never reaches this page: it makes no hold in trace, and recalls never names one as public.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import QuerySet

from recalls.queries import PublicRecall, public_recall_for
from recalls.through import Passed, standing_through
from recalls.through import Standing as Through
from trace.guards import Blocking, blocking
from trace.models import HoldMember, HoldRelease, HoldSet, Lot, Organisation, Product, Unit
from trace.packs import numbers_of


@dataclass(frozen=True)
class Standing:
    """What stands against a code. ``partly`` says that only some of the lot is meant and this code cannot be told
    apart. ``spared`` says that other units of the same lot are recalled and this one
    is not among them, ``siblings`` are the published recalls of those.
    ``maybe_by`` are recalls of what passed through one trader of which this code cannot say whether its goods did,
    ``maybe`` the published ones among them and ``through`` the traders; ``spared_through`` those through whose hands
    recalled goods of the lot went and these, by records, did not.
    ``corrected`` says in words what was put right on this unit, which may be sold again; ``others_corrected``
    the same of goods of the lot that cannot be told apart by this code.
    """

    recalls: Sequence[PublicRecall] = ()
    recalled_by: Sequence[HoldSet] = ()
    held_by: Sequence[HoldSet] = ()
    ranges: Sequence[tuple[int, int]] = field(default_factory=tuple)
    partly: bool = False
    corrected: Sequence[str] = ()
    siblings: Sequence[PublicRecall] = ()
    spared: bool = False
    others_corrected: Sequence[str] = ()
    maybe_by: Sequence[HoldSet] = ()
    maybe_recalls: Sequence[PublicRecall] = ()
    through: Sequence[Organisation] = ()
    spared_through: Sequence[Organisation] = ()

    @property
    def maybe(self) -> bool:
        """Whether a recall may cover the code and nothing tells."""
        return bool(self.maybe_by)

    @property
    def recalled(self) -> bool:
        """Whether an active recall covers the code."""
        return bool(self.recalled_by)

    @property
    def held(self) -> bool:
        """Whether an active hold or stop of sale covers the code."""
        return bool(self.held_by)

    @property
    def since(self) -> datetime.datetime | None:
        """Since when the strongest of them is active."""
        holds = self.recalled_by or self.maybe_by or self.held_by
        return min((hold.active_from for hold in holds if hold.active_from), default=None)


def covers(block: Blocking, numbers: set[int] | None) -> bool:
    """Whether a hold on (part of) the lot covers a code that answers to these numbers (None: the lot's own code).

    A range of unit numbers covers the units in it and the packs they lie in, and the lot's own code, which cannot say
    which unit it is on. A hold on what one holder has covers every code, where recalls does not say more of it
    (``standing_through``): the safe answer is to warn.
    """
    if numbers is None or block.unit_from is None:
        return True
    last = block.unit_to or block.unit_from
    return any(block.unit_from <= number <= last for number in numbers)


def _own_numbers(unit: Unit) -> list[int]:
    """The unit's number, and those of the codes it took the place of: a new label on the goods changes no scope."""
    found = [unit.number]
    codes = [unit.pk]
    while codes:
        rows = list(Unit.objects.filter(replaced_by__in=codes).values_list("pk", "number"))
        found += [number for _pk, number in rows]
        codes = [pk for pk, _number in rows]
    return found


def standing_of(lot: Lot, unit: Unit | None) -> Standing:
    """What stands against one code now. One query for holds, one more where something is held, some where only part of
    the lot is, and recalls' own where a recall stands behind it. A unit among those put right and released is no longer
    held by that hold.
    """
    every = blocking([lot]).get(lot.pk, [])
    at_holders = {block.hold.pk for block in every if block.holder_id is not None}
    passed = standing_through(at_holders, lot, unit) if at_holders else {}
    told = {hold: one.passed for hold, one in passed.items()}
    numbers = None
    if unit is not None and any(block.unit_from is not None and block.hold.pk not in told for block in every):
        numbers = numbers_of([unit], lot.pk) | {unit.number}
    blocks = [
        block
        for block in every
        if told.get(block.hold.pk) is Passed.YES or (block.hold.pk not in told and covers(block, numbers))
    ]
    maybe = [block for block in every if told.get(block.hold.pk) is Passed.UNKNOWN]
    inside = {block.hold.pk for block in (*blocks, *maybe)}
    spared = [block for block in every if block.hold.pk not in inside]
    releases = list(HoldRelease.objects.filter(hold__in=inside, lot=lot)) if inside else []
    own = _own_numbers(unit) if unit is not None and releases else []
    mine = [row for row in releases if _among(row, own)]
    let_go = {row.hold_id for row in mine}
    blocks = [block for block in blocks if block.hold.pk not in let_go]
    maybe = [block for block in maybe if block.hold.pk not in let_go]
    recalling = _holds(blocks, recall=True)
    holding = _holds(blocks, recall=False)
    strongest = [block for block in blocks if (block.hold.kind == HoldSet.Kind.RECALL) == bool(recalling)]
    ranges = [(block.unit_from, block.unit_to or block.unit_from) for block in strongest if block.unit_from is not None]
    sure = [block for block in strongest if block.hold.pk in told]
    whole = bool(sure) or any(block.unit_from is None and block.holder_id is None for block in strongest)
    maybe_by = _holds(maybe, recall=True)
    return Standing(
        recalls=_public([*recalling, *holding]),
        recalled_by=recalling,
        held_by=holding,
        ranges=sorted(set(ranges)),
        partly=bool(strongest) and not whole and not (unit is not None and bool(ranges)),
        corrected=list(dict.fromkeys(row.words for row in mine)),
        siblings=_public(_holds(spared, recall=True)),
        spared=any(block.hold.kind == HoldSet.Kind.RECALL for block in spared),
        others_corrected=list(dict.fromkeys(row.words for row in releases if row not in mine)),
        maybe_by=maybe_by,
        maybe_recalls=_public(maybe_by),
        through=_traders(passed, {block.hold.pk for block in (*blocks, *maybe)}),
        spared_through=_traders(passed, {block.hold.pk for block in spared}),
    )


def _traders(passed: Mapping[int, Through], holds: Collection[int]) -> list[Organisation]:
    """The traders of these holds, each once."""
    return list(dict.fromkeys(one.organisation for hold, one in passed.items() if hold in holds))


def _among(release: HoldRelease, numbers: Sequence[int]) -> bool:
    """Whether a release names this unit by its number; one by amount alone cannot say which units it means."""
    if release.unit_from is None:
        return False
    last = release.unit_to or release.unit_from
    return any(release.unit_from <= number <= last for number in numbers)


def _holds(blocks: Iterable[Blocking], *, recall: bool) -> list[HoldSet]:
    """The different holds of these blocks that are (or are not) recalls, oldest first."""
    found = {block.hold.pk: block.hold for block in blocks if (block.hold.kind == HoldSet.Kind.RECALL) == recall}
    return [found[pk] for pk in sorted(found)]


def _public(holds: Sequence[HoldSet]) -> list[PublicRecall]:
    """The published recalls behind these holds."""
    sources = [hold.source for hold in holds if hold.source]
    return public_recall_for(sources) if sources else []


MOST_LOTS = 500


def _recalled_members(product: Product) -> QuerySet[HoldMember]:
    """What active recalls hold of a product."""
    return HoldMember.objects.filter(
        lot__product=product,
        hold__kind=HoldSet.Kind.RECALL,
        hold__active_from__isnull=False,
        hold__ended_at=None,
    )


def recalls_of_product(product: Product) -> list[PublicRecall]:
    """Published recalls that are active on any lot of a product, for the page of a bare GTIN."""
    members = _recalled_members(product).exclude(hold__source="")
    sources = sorted(set(members.values_list("hold__source", flat=True)))
    return public_recall_for(sources) if sources else []


def recalled_lots_of(product: Product) -> list[str]:
    """Lot codes of a product that an active recall holds, whole or in part, at most 500, in order."""
    codes = _recalled_members(product).values_list("lot__lot_code", flat=True)
    return list(codes.order_by("lot__lot_code").distinct()[:MOST_LOTS])
