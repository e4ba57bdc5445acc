"""Where a lot came from and where it went: one recursive query over the edges, all levels, across organisations.

The walk is by UNION on the lot's row number, so each lot is met once however many paths lead to it, cycles end, and the
order of lots does not matter. Paths and amounts come in a second pass over the edges reached. Cost grows with the edges
reached, not with the world. Never call it per row of a list.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from django.db import connection
from django.db.models import Q

from trace.models import Lot, LotLink

Direction = Literal["back", "forward"]
DEFAULT_LIMIT = 20_000
_CHUNK = 20_000


@dataclass(frozen=True)
class Edge:
    """One standing link: row numbers of parent, child and event, and millionths of the parent that went in."""

    parent: int
    child: int
    event: int
    micros: int


@dataclass(frozen=True)
class Walk:
    """The answer of a walk: start lots, lots reached (start included) with their level, edges among them.

    ``level`` counts steps from the nearest start lot. ``cut`` is true when the limit stopped the walk; it is then said.
    """

    direction: Direction
    start: tuple[int, ...]
    level: dict[int, int]
    edges: list[Edge] = field(default_factory=list)
    cut: bool = False

    @property
    def reached(self) -> list[int]:
        """Row numbers of lots other than the start, nearest first."""
        start = set(self.start)
        return [lot for lot in self.level if lot not in start]

    def path_to(self, lot: int) -> list[int]:
        """One shortest chain of row numbers from a start lot to this lot, both included."""
        step: dict[int, int] = {}
        for edge in self.edges:
            near, far = (edge.parent, edge.child) if self.direction == "forward" else (edge.child, edge.parent)
            if near in self.level and self.level[near] + 1 == self.level.get(far) and far not in step:
                step[far] = near
        chain = [lot]
        while chain[-1] in step:
            chain.append(step[chain[-1]])
        return chain[::-1]

    def paths(self) -> dict[int, list[int]]:
        """``path_to`` for every lot reached, in one pass over the edges."""
        before: dict[int, int] = {}
        for edge in self.edges:
            near, far = (edge.parent, edge.child) if self.direction == "forward" else (edge.child, edge.parent)
            if self.level[near] + 1 == self.level[far]:
                before.setdefault(far, near)
        found: dict[int, list[int]] = {}
        for lot in sorted(self.level, key=lambda key: self.level[key]):
            found[lot] = [*found[before[lot]], lot] if lot in before else [lot]
        return found


def walk(
    lots: Iterable[Lot | int],
    direction: Direction,
    *,
    limit: int = DEFAULT_LIMIT,
    with_voided: bool = False,
) -> Walk:
    """Every lot reached from these lots, back or forward, all levels. Two queries, plus one per 20,000 lots for edges.

    ``with_voided`` also follows links that were declared wrong: a scope asks generously, a picture does not.
    """
    start = tuple(dict.fromkeys(lot if isinstance(lot, int) else lot.pk for lot in lots))
    if not start:
        return Walk(direction, (), {})
    reached, cut = _reach(start, direction, limit, with_voided)
    edges = _edges(reached, with_voided)
    level = _levels(start, edges, direction)
    return Walk(direction, start, level, edges, cut)


def _reach(start: Sequence[int], direction: Direction, limit: int, with_voided: bool) -> tuple[list[int], bool]:
    """Row numbers reached, start included, by one recursive query; and whether the limit cut it."""
    near, far = ("parent_id", "child_id") if direction == "forward" else ("child_id", "parent_id")
    standing = "" if with_voided else "AND link.voided_by_id IS NULL"
    seeds = ", ".join(["(CAST(%s AS bigint))"] * len(start))
    # Only the column names of this module go into the text; values are parameters.
    sql = f"""
        WITH RECURSIVE reached(lot) AS (
            VALUES {seeds}
            UNION
            SELECT link.{far} FROM trace_lotlink link JOIN reached ON link.{near} = reached.lot
            WHERE true {standing}
        )
        SELECT lot FROM reached LIMIT %s
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*start, limit + 1])
        rows = [row[0] for row in cursor.fetchall()]
    return rows[:limit], len(rows) > limit


def _edges(lots: Sequence[int], with_voided: bool) -> list[Edge]:
    """Links with both ends among these lots."""
    inside = set(lots)
    found: list[Edge] = []
    for begin in range(0, len(lots), _CHUNK):
        rows = LotLink.objects.filter(parent__in=lots[begin : begin + _CHUNK])
        if not with_voided:
            rows = rows.filter(voided_by__isnull=True)
        for parent, child, event, micros in rows.order_by("id").values_list("parent", "child", "event", "input_micros"):
            if child in inside:
                found.append(Edge(parent, child, event, micros))
    return found


def _levels(start: Sequence[int], edges: Sequence[Edge], direction: Direction) -> dict[int, int]:
    """Steps from the nearest start lot, nearest first."""
    next_lots: dict[int, list[int]] = defaultdict(list)
    for edge in edges:
        if direction == "forward":
            next_lots[edge.parent].append(edge.child)
        else:
            next_lots[edge.child].append(edge.parent)
    level = dict.fromkeys(start, 0)
    queue = deque(start)
    while queue:
        lot = queue.popleft()
        for other in next_lots[lot]:
            if other not in level:
                level[other] = level[lot] + 1
                queue.append(other)
    return level


def lots_by_pk(ids: Iterable[int]) -> dict[int, Lot]:
    """Lots with what lists show of them, keyed by row number; one query per 20,000."""
    wanted = list(ids)
    found: dict[int, Lot] = {}
    for begin in range(0, len(wanted), _CHUNK):
        rows = Lot.objects.filter(pk__in=wanted[begin : begin + _CHUNK]).select_related(
            "organisation__division", "product", "product_version", "origin_event", "origin_place__division"
        )
        found.update({lot.pk: lot for lot in rows})
    return found


def has_descendants(lot: Lot) -> bool:
    """Whether anything standing was made of this lot."""
    return LotLink.objects.filter(Q(parent=lot), voided_by__isnull=True).exists()
