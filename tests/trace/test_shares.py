"""How much of one lot is in another: known mixes by hand, random ones against paths walked one by one."""

from __future__ import annotations

import time
from collections import defaultdict
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from trace.shares import Mix, Share, circles_from, parts, path_sums

F = Fraction
KG = dict.fromkeys(range(2000), "KGM")


def test_a_merge_and_a_split_by_hand() -> None:
    """60 of 100 and 40 of 40 are mixed into 80 and 10; half of the 80 goes on alone."""
    mixes = [Mix({1: 60, 2: 40}, {3: 80, 4: 10}), Mix({3: 40}, {5: 38})]
    found = parts(mixes, {1: 100, 2: 40, 3: 80, 4: 10, 5: 38}, KG)
    carried = path_sums(1, [(part.parent, part.child, part.carried) for part in found])
    assert carried[3] == Share(F(60, 100) * F(80, 90))
    assert carried[5] == Share(F(60, 100) * F(80, 90) * F(40, 80))
    content = path_sums(1, [(part.parent, part.child, part.content) for part in found])
    assert content[3] == content[5] == Share(F(60, 100))


def test_what_went_in_by_two_ways_is_added_up() -> None:
    mixes = [Mix({1: 50}, {2: 50}), Mix({1: 30}, {3: 30}), Mix({2: 50, 3: 15}, {4: 60})]
    found = parts(mixes, {1: 100, 2: 50, 3: 30, 4: 60}, KG)
    assert path_sums(1, [(one.parent, one.child, one.carried) for one in found])[4] == Share(F(50, 100) + F(15, 100))
    assert path_sums(1, [(one.parent, one.child, one.content) for one in found])[4] == Share(F(1))


def test_upward_the_contents_of_all_origins_make_the_whole() -> None:
    mixes = [Mix({1: 30, 2: 70}, {4: 90}), Mix({4: 45, 3: 55}, {5: 100})]
    found = parts(mixes, {1: 30, 2: 70, 3: 60, 4: 90, 5: 100}, KG)
    up = path_sums(5, [(one.child, one.parent, one.content) for one in found])
    assert up[1].value + up[2].value + up[3].value == 1


def test_amounts_that_cannot_be_compared_give_a_lower_bound() -> None:
    """A table of one frame (pieces) and oil (kilograms): what part of it is oil, nobody can say."""
    mixes = [Mix({1: 1, 2: 3}, {3: 1}), Mix({3: 1}, {4: 1})]
    units = {1: "C62", 2: "KGM", 3: "C62", 4: "C62"}
    found = parts(mixes, {1: 1, 2: 10, 3: 1, 4: 1}, units)
    assert path_sums(2, [(one.parent, one.child, one.carried) for one in found])[4] == Share(F(3, 10))
    assert path_sums(2, [(one.parent, one.child, one.content) for one in found])[4] == Share(F(0), whole=False)


def test_rework_in_a_circle_is_summed_over_all_rounds() -> None:
    """Half of 2 goes back into 1, and half of 1 into 2 again: 1 + 1/4 + 1/16 … = 4/3."""
    found = path_sums(1, [(1, 2, F(1, 2)), (2, 1, F(1, 2)), (2, 3, F(1, 2))])
    assert found[1] == Share(F(4, 3))
    assert found[2] == Share(F(2, 3))
    assert found[3] == Share(F(1, 3))


def test_a_circle_that_never_ends_is_not_told() -> None:
    found = path_sums(1, [(1, 2, F(1)), (2, 1, F(1)), (2, 3, F(1))])
    assert not found[3].whole
    assert not found[1].whole


def test_a_ladder_of_blends_is_exact_and_fast() -> None:
    """Two ways at each of 400 rungs are 2⁴⁰⁰ paths."""
    steps = []
    for rung in range(400):
        a, b, c = 3 * rung, 3 * rung + 1, 3 * rung + 2
        steps += [(a, b, F(1, 3)), (a, c, F(2, 3)), (b, a + 3, F(1)), (c, a + 3, F(1))]
    began = time.perf_counter()
    assert path_sums(0, steps)[1200] == Share(F(1))
    assert time.perf_counter() - began < 1


def test_a_long_chain_of_odd_amounts_stays_fast_and_right() -> None:
    steps = [(number, number + 1, F(999_999_937 - number, 1_000_000_007)) for number in range(1500)]
    began = time.perf_counter()
    found = path_sums(0, steps)[1500].value
    assert time.perf_counter() - began < 1
    exact = 1.0
    for _near, _far, share in steps:
        exact *= float(share)
    assert abs(float(found) - exact) < 1e-12


EDGES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.fractions(0, 1, max_denominator=9)), max_size=16)


def by_paths(start: int, after: dict[int, list[tuple[int, F]]]) -> dict[int, F]:
    """The naive oracle: walk every path on its own."""
    sums: dict[int, F] = defaultdict(F)
    paths = [(start, F(1))]
    while paths:
        node, share = paths.pop()
        sums[node] += share
        paths += [(far, share * step) for far, step in after[node]]
    return dict(sums)


@given(EDGES)
def test_without_circles_the_sums_are_those_of_all_paths(edges: list[tuple[int, int, F]]) -> None:
    known = {(a, b): share for a, b, share in edges if a < b}
    after: dict[int, list[tuple[int, F]]] = defaultdict(list)
    for (a, b), share in known.items():
        after[a].append((b, share))
    found = path_sums(0, [(a, b, share) for (a, b), share in known.items()])
    assert {node: share.value for node, share in found.items()} == by_paths(0, after)
    assert all(share.whole for share in found.values())


@given(EDGES)
def test_with_circles_the_sums_are_where_many_rounds_lead(edges: list[tuple[int, int, F]]) -> None:
    """Shares are halved so that every circle fades: 200 rounds then differ from the sum by less than a grain."""
    known = {(a, b): share / 16 for a, b, share in edges if a != b}
    found = path_sums(0, [(a, b, share) for (a, b), share in known.items()])
    x: dict[int, float] = defaultdict(float)
    for _round in range(200):
        fresh: dict[int, float] = defaultdict(float)
        fresh[0] = 1.0
        for (a, b), share in known.items():
            fresh[b] += x[a] * float(share)
        x = fresh
    assert all(share.whole for share in found.values())
    assert all(abs(float(share.value) - x[node]) < 1e-9 for node, share in found.items())


def amounts(first: int) -> st.SearchStrategy[dict[int, int]]:
    """Some of four lots with small amounts."""
    return st.dictionaries(st.integers(first, first + 3), st.integers(1, 9), min_size=1)


@given(st.lists(st.tuples(amounts(0), amounts(4)), min_size=1, max_size=5))
def test_what_is_all_used_up_is_carried_whole(rows: list[tuple[dict[int, int], dict[int, int]]]) -> None:
    """Nothing is lost and nothing is invented: the carried shares of a lot used up wholly make 1, contents too."""
    mixes = [Mix(dict(inputs), dict(outputs)) for inputs, outputs in rows]
    made: dict[int, int] = defaultdict(int)
    for mix in mixes:
        for side in (mix.inputs, mix.outputs):
            for lot, micros in side.items():
                made[lot] += micros
    found = parts(mixes, made, KG)
    for lot in {lot for mix in mixes for lot in mix.inputs}:
        assert sum(one.carried or 0 for one in found if one.parent == lot) == 1
    for lot in {lot for mix in mixes for lot in mix.outputs}:
        assert sum(one.content or 0 for one in found if one.child == lot) == 1


def test_groups_worked_out_before_change_no_sum() -> None:
    steps: list[tuple[int, int, Fraction | None]] = [(1, 2, F(1, 2)), (2, 1, F(1, 2)), (2, 3, F(1, 2)), (1, 3, None)]
    groups = circles_from(1, [(near, far) for near, far, _share in steps])
    assert sorted(map(sorted, groups)) == [[1, 2], [3]]
    assert path_sums(1, steps, groups) == path_sums(1, steps)
