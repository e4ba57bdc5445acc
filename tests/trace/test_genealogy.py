"""The walk against a naive oracle: merges, splits, cycles; the order of lots must not matter."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.goods import day, make_lot, turn_into
from tests.world import World
from trace.genealogy import Direction, walk
from trace.models import Event, Lot, LotLink

GRAPHS = st.integers(2, 12).flatmap(
    lambda n: st.tuples(st.just(n), st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=3 * n))
)


def naive(start: list[int], edges: set[tuple[int, int]], direction: str) -> set[int]:
    """Reachable by asking every edge again until nothing new comes."""
    found = set(start)
    while True:
        more = {b for a, b in edges if a in found} if direction == "forward" else {a for a, b in edges if b in found}
        if more <= found:
            return found
        found |= more


def build(world: World, size: int, edges: set[tuple[int, int]]) -> tuple[list[Lot], Event]:
    """Lots with exactly these links, also those no form would make (cycles, a lot made of itself)."""
    first = make_lot(world.walnuts, world.kernels, "1")
    event = first.origin_event
    lots = [first]
    for number in range(1, size):
        lots.append(
            Lot.objects.create(
                organisation=first.organisation,
                product=first.product,
                product_version=first.product_version,
                lot_code=f"G{first.pk}-{number}",
                public_code=f"G{first.pk}-{number}",
                origin_event=event,
                begun_at=first.begun_at,
            )
        )
    LotLink.objects.bulk_create(
        [
            LotLink(parent=lots[a], child=lots[b], event=event, organisation=first.organisation, input_micros=1)
            for a, b in edges
        ]
    )
    return lots, event


@pytest.mark.parametrize("direction", ["forward", "back"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=GRAPHS, data=st.data())
def test_walk_reaches_exactly_what_the_oracle_reaches(
    world: World, direction: Direction, graph: tuple[int, set[tuple[int, int]]], data: Any
) -> None:
    size, edges = graph
    lots, _event = build(world, size, edges)
    chosen = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3, unique=True))
    real = {(lots[a].pk, lots[b].pk) for a, b in edges}
    start = [lots[i].pk for i in chosen]
    found = walk(start, direction)
    assert set(found.level) == naive(start, real, direction)
    assert set(walk(start[::-1], direction).level) == set(found.level)
    assert {(edge.parent, edge.child) for edge in found.edges} == {
        (a, b) for a, b in real if a in found.level and b in found.level
    }
    for lot, chain in found.paths().items():
        assert chain[0] in start
        assert chain[-1] == lot
        assert len(chain) == found.level[lot] + 1
        pairs = itertools.pairwise(chain)
        assert all(((a, b) if direction == "forward" else (b, a)) in real for a, b in pairs)


def test_ladder_of_blends_costs_one_query(world: World) -> None:
    """Sixteen blends of two make 65,536 paths; each lot is met once."""
    left, right = make_lot(world.walnuts, world.kernels, "1000"), make_lot(world.walnuts, world.kernels, "1000")
    first = left
    for step in range(16):
        half = str(900 - 20 * step)
        left, right = turn_into(
            world.walnuts,
            [(left, half), (right, half)],
            [(world.kernels, half), (world.kernels, half)],
            when=day(step + 1),
        )
    with CaptureQueriesContext(connection) as queries:
        found = walk([first], "forward")
    assert len(queries) == 1
    assert len(found.reached) == 32


def test_voided_links_are_not_walked_unless_asked_for(world: World) -> None:
    from trace.actions.corrections import declare_error

    parent = make_lot(world.walnuts, world.kernels, "10")
    (child,) = turn_into(world.walnuts, [(parent, "6")], [(world.kernels, "5")])
    declare_error(by=world.walnuts, event=child.origin_event, reason="did_not_occur", when=day(2))
    assert walk([parent], "forward").reached == []
    assert walk([parent], "forward", with_voided=True).reached == [child.pk]


def test_limit_is_said(world: World) -> None:
    parent = make_lot(world.walnuts, world.kernels, "10")
    turn_into(world.walnuts, [(parent, "6")], [(world.kernels, "1")] * 5)
    found = walk([parent], "forward", limit=3)
    assert found.cut
    assert len(found.level) == 3
    assert not walk([parent], "forward").cut
