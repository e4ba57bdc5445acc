"""Where a lot came from and where it went: one recursive query over the edges, all levels, across organisations.

The walk is by UNION on the lot's row number, so each lot is met once however many paths lead to it, cycles end, and the
order of lots does not matter; the same query fetches the edges, from which levels and paths follow. Cost grows with
the edges reached, not with the world. Never call it per row of a list.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Literal, NamedTuple

from django.db import connection
from django.db.models import Q

from trace.among import among
from trace.models import Lot, LotLink, Organisation, Place, Product, ProductVersion

Link = tuple[int, int, int, int, int]
"""Row numbers of link, parent, child and event, and millionths: an ``Edge``, or a row that can become one."""
Direction = Literal["back", "forward"]
DEFAULT_LIMIT = 20_000
MOST_REACHED = 200_000
"""Lots that a look over everything a firm made, or over all that was made of something, may reach."""


class Edge(NamedTuple):
    """One link: row numbers of the link, of parent, child and event, and millionths of the parent that went in."""

    link: int
    parent: int
    child: int
    event: int
    micros: int


@dataclass(frozen=True)
class Walk:
    """The answer of a walk: start lots, lots reached (start included) with their level, links among them.

    ``level`` counts steps from the nearest start lot. ``links`` are rows as the database gave them: making objects of a
    hundred thousand would take longer than finding them. ``cut`` is true when the limit stopped the walk; it is then
    said.
    """

    direction: Direction
    start: tuple[int, ...]
    level: dict[int, int]
    links: Sequence[Link] = ()
    cut: bool = False

    @cached_property
    def edges(self) -> list[Edge]:
        """The links by name, for answers of a size that somebody reads."""
        return [Edge(*link) for link in self.links]

    @property
    def reached(self) -> list[int]:
        """Row numbers of lots other than the start, nearest first."""
        start = set(self.start)
        return [lot for lot in self.level if lot not in start]

    def _before(self) -> dict[int, int]:
        """The lot one step nearer to the start, for every lot reached; of several that of the first link."""
        found: dict[int, int] = {}
        level, forward = self.level, self.direction == "forward"
        for _link, parent, child, _event, _micros in self.links:
            near, far = (parent, child) if forward else (child, parent)
            if far not in found and level[near] + 1 == level[far]:
                found[far] = near
        return found

    def path_to(self, lot: int) -> list[int]:
        """One shortest chain of row numbers from a start lot to this lot, both included."""
        before = self._before()
        chain = [lot]
        while chain[-1] in before:
            chain.append(before[chain[-1]])
        return chain[::-1]

    def paths(self) -> dict[int, tuple[int, ...]]:
        """``path_to`` for every lot reached, in one pass over the links. Levels are found nearest first."""
        before = self._before()
        found: dict[int, tuple[int, ...]] = {}
        for lot in self.level:
            found[lot] = (*found[before[lot]], lot) if lot in before else (lot,)
        return found


def walk(
    lots: Iterable[Lot | int],
    direction: Direction,
    *,
    limit: int = DEFAULT_LIMIT,
    with_voided: bool = False,
) -> Walk:
    """Every lot reached from these lots, back or forward, all levels. One query.

    ``with_voided`` also follows links that were declared wrong: a scope asks generously, a picture does not.
    """
    start = tuple(dict.fromkeys(lot if isinstance(lot, int) else lot.pk for lot in lots))
    if not start:
        return Walk(direction, (), {})
    links = _links(start, direction, limit, with_voided)
    level = _levels(start, links, direction)
    if len(level) <= limit:
        return Walk(direction, start, level, links)
    level = dict(islice(level.items(), limit))
    inside = [link for link in links if link[1] in level and link[2] in level]
    return Walk(direction, start, level, inside, cut=True)


def _links(start: Sequence[int], direction: Direction, limit: int, with_voided: bool) -> list[Link]:
    """The links of every lot reached, in order of their row numbers, by one recursive query.

    Each link has both ends among the lots reached, so these follow from the links. The query stops at one lot more than
    the limit.
    """
    near, far = ("parent_id", "child_id") if direction == "forward" else ("child_id", "parent_id")
    standing = "" if with_voided else "AND voided_by_id IS NULL"
    # Always by index, lot by lot: a planner that takes a walk for larger than it is reads the whole table instead, and
    # the cost of a small answer grows with the world. CROSS JOIN on SQLite and OFFSET 0 on PostgreSQL say so, and an
    # array made by a query of its own, which PostgreSQL takes for ten lots: one scan of the index for all that was met.
    if connection.vendor == "postgresql":
        links = f"SELECT * FROM trace_lotlink WHERE {near} = reached.lot {standing} OFFSET 0"  # noqa: S608
        step = f"LATERAL ({links}) link"
        met = f"trace_lotlink link WHERE {near} = ANY(ARRAY(TABLE kept)) {standing}"
    else:
        step = f"trace_lotlink link WHERE link.{near} = reached.lot {standing}"
        met = f"kept CROSS JOIN trace_lotlink link WHERE link.{near} = kept.lot {standing}"
    seeds = ", ".join(["(CAST(%s AS bigint))"] * len(start))
    # Only the column names of this module go into the text; values are parameters.
    sql = f"""
        WITH RECURSIVE reached(lot) AS (VALUES {seeds} UNION SELECT link.{far} FROM reached CROSS JOIN {step}),
        kept(lot) AS (SELECT lot FROM reached LIMIT %s)
        SELECT link.id, link.parent_id, link.child_id, link.event_id, link.input_micros FROM {met}
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*start, limit + 1])
        rows: list[Link] = cursor.fetchall()
    # Both engines find the links in orders of their own; which path is told must not depend on that.
    rows.sort()
    return rows


def _levels(start: Sequence[int], links: Sequence[Link], direction: Direction) -> dict[int, int]:
    """Steps from the nearest start lot, nearest first."""
    next_lots: defaultdict[int, list[int]] = defaultdict(list)
    if direction == "forward":
        for _link, parent, child, _event, _micros in links:
            next_lots[parent].append(child)
    else:
        for _link, parent, child, _event, _micros in links:
            next_lots[child].append(parent)
    level = dict.fromkeys(start, 0)
    front = list(start)
    steps = 0
    while front:
        steps += 1
        beyond: list[int] = []
        for lot in front:
            for other in next_lots.get(lot, ()):
                if other not in level:
                    level[other] = steps
                    beyond.append(other)
        front = beyond
    return level


def open_ends(back: Walk) -> set[int]:
    """The lots of a walk back that was cut whose parents it did not reach all: nobody knows what is above them."""
    if not back.cut:
        return set()
    rows = LotLink.objects.filter(among("child", back.level), voided_by=None).order_by()
    return {child for parent, child in rows.values_list("parent", "child") if parent not in back.level}


def made_of(walked: Walk, lots: Iterable[int]) -> set[int]:
    """The lots of a walk that lie at or below some of its lots, by the links it has."""
    children: dict[int, list[int]] = defaultdict(list)
    for _link, parent, child, _event, _micros in walked.links:
        children[parent].append(child)
    found = set(lots)
    waiting = list(found)
    while waiting:
        fresh = [child for child in children[waiting.pop()] if child not in found]
        found.update(fresh)
        waiting += fresh
    return found


def is_descendant(lot: int, of: Sequence[int]) -> bool | None:
    """Whether a lot was made of one of these (or is one); None where neither way could be walked to its end."""
    down = walk(of, "forward")
    if lot in down.level or not down.cut:
        return lot in down.level
    up = walk([lot], "back")
    if up.level.keys() & set(of):
        return True
    return None if up.cut else False


def lots_by_pk(ids: Iterable[int]) -> dict[int, Lot]:
    """Lots with what lists show of them, keyed by row number; five queries however many.

    Products, versions, organisations and places are few beside lots and come by queries of their own: joined to each
    row they took most of the time.
    """
    lots = {lot.pk: lot for lot in Lot.objects.filter(among("pk", sorted(ids)))}
    rows = lots.values()
    products = Product.objects.filter(among("pk", {lot.product_id for lot in rows})).in_bulk()
    versions = ProductVersion.objects.filter(among("pk", {lot.product_version_id for lot in rows})).in_bulk()
    parties = Organisation.objects.filter(among("pk", {lot.organisation_id for lot in rows}))
    issuers = parties.select_related("division").in_bulk()
    origins = Place.objects.filter(among("pk", {lot.origin_place_id for lot in rows if lot.origin_place_id}))
    places = origins.select_related("division").in_bulk()
    for lot in rows:
        # What a prefetch does, without its look at every object of every relation.
        lot._state.fields_cache |= {
            "product": products[lot.product_id],
            "product_version": versions[lot.product_version_id],
            "organisation": issuers[lot.organisation_id],
            "origin_place": places[lot.origin_place_id] if lot.origin_place_id else None,
        }
    return lots


_AT_ONCE = 2_000


class LotsOnDemand(Mapping[int, Lot]):
    """Lots by row number, read when somebody looks at them: a page shows a hundred of an answer's hundred thousand.

    Who goes through all of them causes five queries per 2,000. ``read`` brings those that will be looked at together.
    """

    def __init__(self, ids: Iterable[int]) -> None:
        self._ids = sorted(set(ids))
        self._lots: dict[int, Lot] = {}

    def __getitem__(self, pk: int) -> Lot:
        if pk not in self._lots:
            place = bisect_left(self._ids, pk)
            if place == len(self._ids) or self._ids[place] != pk:
                raise KeyError(pk)
            begin = place - place % _AT_ONCE
            self.read(self._ids[begin : begin + _AT_ONCE])
        return self._lots[pk]

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def read(self, ids: Iterable[int]) -> None:
        """Read these lots together, where they have not been."""
        self._lots |= lots_by_pk(set(ids) - self._lots.keys())


def has_descendants(lot: Lot) -> bool:
    """Whether anything standing was made of this lot."""
    return LotLink.objects.filter(Q(parent=lot), voided_by__isnull=True).exists()
