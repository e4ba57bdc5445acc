"""What an actor may know of other parties' lots in a genealogy (architecture.md, rule 8).

Of lots it may open it sees everything it would see there. Of all others only region, product family, verdict and
date: no names, codes, amounts, recipes or customers.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from django.utils import timezone

from trace.access import entered_for, lots_visible_to
from trace.actor import Actor
from trace.among import among
from trace.genealogy import Walk, lots_by_pk
from trace.models import Event, Lot, TestReport


class SeenLot(NamedTuple):
    """One lot of a walk as an actor may see it. ``lot`` is None where it is another's: then only the rest may be
    shown.

    ``verdict`` sums up the reports that count: ``fail`` if any failed, ``pass`` if any passed, else empty. ``number``
    counts the lots of the walk from 1, nearest first, and stands for the lot where its name may not be told.
    """

    number: int
    level: int
    lot: Lot | None
    region: str
    family: str
    verdict: str
    date: datetime.date | None


class SeenEdge(NamedTuple):
    """One step between two lots (by ``SeenLot.number``). ``micros`` of the parent only where the actor may know
    amounts.
    """

    parent: int
    child: int
    micros: int | None
    unit: str


@dataclass(frozen=True)
class SeenWalk:
    """A walk as an actor may see it; ``cut`` says that it was too large and stops somewhere.

    ``order`` are the row numbers behind ``SeenLot.number`` and ``known`` those of the events whose amounts may be told:
    for computing, never for showing.
    """

    lots: list[SeenLot]
    edges: list[SeenEdge]
    cut: bool
    order: list[int] = field(default_factory=list)
    known: frozenset[int] = frozenset()


def seen_walk(actor: Actor, walk: Walk) -> SeenWalk:
    """A walk with what the actor may not know left out. A fixed number of queries."""
    rows = lots_by_pk(walk.level)
    order = [pk for pk in sorted(walk.level, key=lambda pk: (walk.level[pk], pk)) if pk in rows]
    open_ones = _open(actor, order)
    verdicts = _verdicts(order)
    regions: dict[tuple[int, int | None], str] = {}
    numbers = {pk: number for number, pk in enumerate(order, start=1)}
    lots = [
        _seen(rows[pk], numbers[pk], walk.level[pk], pk in open_ones, verdicts.get(pk, ""), regions) for pk in order
    ]
    known = _known_events(actor, {edge.event for edge in walk.edges})
    units = {pk: lot.product.base_unit for pk, lot in rows.items()}
    edges = [
        SeenEdge(
            numbers[edge.parent],
            numbers[edge.child],
            # A join carries no amount of its own: the goods on both sides are the same.
            edge.micros if edge.event in known and edge.micros else None,
            units[edge.parent],
        )
        for edge in walk.edges
        if edge.parent in numbers and edge.child in numbers
    ]
    return SeenWalk(lots, edges, walk.cut, order, frozenset(known))


def _seen(
    lot: Lot, number: int, level: int, is_open: bool, verdict: str, regions: dict[tuple[int, int | None], str]
) -> SeenLot:
    """One lot, opened or veiled. ``regions`` keeps the divisions' names by issuer and place: they are few."""
    # Goods from outside are not from where they were received.
    place = None if lot.is_external else lot.origin_place
    where = (lot.organisation_id, place.pk if place is not None else None)
    if where not in regions:
        regions[where] = (place or lot.organisation).division.label
    return SeenLot(
        number=number,
        level=level,
        lot=lot if is_open else None,
        region=regions[where],
        family=lot.product.family,
        verdict=verdict,
        date=lot.produced_on or timezone.localtime(lot.begun_at).date(),
    )


def _open(actor: Actor, lots: Iterable[int]) -> set[int]:
    """Those of these lots the actor may open."""
    return set(lots_visible_to(actor).filter(among("pk", lots)).values_list("pk", flat=True))


def _verdicts(lots: Iterable[int]) -> dict[int, str]:
    """The summed-up verdict per lot that has standing reports which their laboratory does not deny."""
    found: dict[int, str] = {}
    rows = TestReport.objects.counted().filter(among("lot", lots))
    for lot, verdict in rows.values_list("lot", "verdict").order_by("id"):
        if verdict == TestReport.Verdict.FAIL or (verdict == TestReport.Verdict.PASS and not found.get(lot)):
            found[lot] = verdict
    return found


def _known_events(actor: Actor, events: Iterable[int]) -> set[int]:
    """Those of these events whose amounts the actor may know: its own, or for a regulator those of its territory."""
    rows = Event.objects.filter(among("pk", events))
    if actor.is_regulator:
        rows = rows.filter(organisation__division__code__startswith=actor.organisation.territory)
    else:
        rows = rows.filter(organisation__in=entered_for(actor))
    return set(rows.values_list("pk", flat=True))
