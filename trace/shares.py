"""How much of one lot is in another, along all paths through merges and splits. Pure: it knows numbers, not lots.

Method. A lot counts as evenly mixed. A step's inputs are spread over its outputs in proportion to the outputs' amounts,
so that its loss falls on all of them alike. Two shares follow for a parent and a child of one step:

- *carried*: what part of all that was ever made of the parent went into the child;
- *content*: what part of all that went into the child came from the parent.

Along a path the shares multiply, over several paths they add up; where goods run in a circle (rework) the sum over all
rounds is solved as linear equations. Inputs (or outputs) of one step that are not counted in the same unit cannot be
compared: such a step tells nothing, and what lies behind it is then a lower bound (``whole`` is false). Fractions are
exact until a denominator passes 512 bits; from there on 2⁻²⁵⁶ is the error of each step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple, TypeVar

MOST_IN_CIRCLE = 60
"""Lots in one circle whose equations are solved; beyond it the share is not told."""

_BITS = 512
_GRAIN = 1 << 256
_NOTHING = Fraction(0)
K = TypeVar("K", bound=Hashable)


class Share(NamedTuple):
    """A share of 1, and whether all paths to it are known; where they are not, it is at least this much."""

    value: Fraction
    whole: bool = True


@dataclass
class Mix:
    """What one step used and made: millionths by lot."""

    inputs: dict[int, int] = field(default_factory=dict)
    outputs: dict[int, int] = field(default_factory=dict)


class Part(NamedTuple):
    """The two shares of one parent in one child over all their steps; None where amounts cannot be compared."""

    parent: int
    child: int
    carried: Fraction | None
    content: Fraction | None


def parts(mixes: Iterable[Mix], made: Mapping[int, int], unit: Mapping[int, str]) -> list[Part]:
    """The shares of every parent and child of these steps.

    ``made`` is all that was ever made of a lot, ``unit`` what it is counted in. Lots that are not in ``made`` are
    taken as unknown.
    """
    carried: dict[tuple[int, int], Fraction | None] = {}
    content: dict[tuple[int, int], Fraction | None] = {}
    for mix in mixes:
        used, gained = _total(mix.inputs, unit), _total(mix.outputs, unit)
        # Most steps make many lots of a few sizes: each fraction is worked out once.
        known: dict[tuple[int, int, int, int], Fraction | None] = {}
        for parent, taken in mix.inputs.items():
            for child, given in mix.outputs.items():
                key = (parent, child)
                _add(carried, key, _product(known, taken, made.get(parent, 0), given, gained))
                _add(content, key, _product(known, given, made.get(child, 0), taken, used))
    return [Part(parent, child, carried[parent, child], content[parent, child]) for parent, child in carried]


def _total(amounts: Mapping[int, int], unit: Mapping[int, str]) -> int:
    """The sum, or 0 where units differ or are not known."""
    units = {unit.get(lot, "") for lot in amounts}
    return sum(amounts.values()) if len(units) == 1 and "" not in units else 0


def _product(
    known: dict[tuple[int, int, int, int], Fraction | None], a: int, of_a: int, b: int, of_b: int
) -> Fraction | None:
    """a/of_a × b/of_b, or None where a whole is missing. ``known`` keeps what was worked out before."""
    key = (a, of_a, b, of_b)
    if key not in known:
        known[key] = Fraction(a * b, of_a * of_b) if of_a > 0 and of_b > 0 else None
    return known[key]


def _add(sums: dict[tuple[int, int], Fraction | None], key: tuple[int, int], value: Fraction | None) -> None:
    """Add to a sum; unknown stays unknown."""
    if key not in sums:
        sums[key] = value
        return
    before = sums[key]
    sums[key] = None if before is None or value is None else before + value


def circles_from(start: K, steps: Iterable[tuple[K, K]]) -> list[list[K]]:
    """What ``path_sums`` needs of steps (from, to), for asking it several times about the same steps: the groups that
    lead in circles (most of one lot), the farthest from ``start`` first.
    """
    after: dict[K, list[K]] = defaultdict(list)
    for near, far in steps:
        after[near].append(far)
    return _circles(start, after)


def path_sums(
    start: K, steps: Iterable[tuple[K, K, Fraction | None]], circles: Sequence[Sequence[K]] | None = None
) -> dict[K, Share]:
    """For everything reached from ``start``: the sum over all paths of the product of the steps' shares.

    ``steps`` are (from, to, share), each pair once; ``circles`` their groups where the caller has them. The start
    counts 1 (and more where a circle leads back to it). Linear in the steps, besides circles.
    """
    after: dict[K, list[tuple[K, Fraction | None]]] = defaultdict(list)
    for near, far, share in steps:
        after[near].append((far, share))
    value: dict[K, Fraction] = {}
    unsure: set[K] = set()
    value[start] = Fraction(1)
    found: dict[K, Share] = {}
    if circles is None:
        circles = _circles(start, {near: [far for far, _share in steps] for near, steps in after.items()})
    for group in reversed(circles):
        _settle(group, after, value, unsure)
        inside = set(group)
        for node in group:
            own, is_unsure = value.setdefault(node, _NOTHING), node in unsure
            found[node] = Share(own, not is_unsure)
            # Lots of one step have the same share each, one object of it: it is multiplied once.
            products: dict[int, Fraction] = {}
            for far, share in after.get(node, ()):
                if far in inside:
                    continue
                if share is None or is_unsure:
                    unsure.add(far)
                if share:
                    product = products.get(id(share))
                    if product is None:
                        product = products[id(share)] = own * share
                    before = value.get(far)
                    value[far] = _trim(product + before if before else product)
    return found


def _trim(value: Fraction) -> Fraction:
    """The fraction, rounded where its denominator has grown beyond use."""
    if value.denominator.bit_length() <= _BITS:
        return value
    return Fraction(round(value * _GRAIN), _GRAIN)


def _settle(
    group: Sequence[K], after: Mapping[K, list[tuple[K, Fraction | None]]], value: dict[K, Fraction], unsure: set[K]
) -> None:
    """Sum up all rounds of a circle: x = b + Wx. Nothing to do for a lot that leads not back to itself."""
    if len(group) == 1 and all(far != group[0] for far, _share in after.get(group[0], ())):
        return
    place = {node: row for row, node in enumerate(group)}
    inner = [(near, far, share) for near in group for far, share in after.get(near, ()) if far in place]
    if not inner:
        return
    if any(share is None for _near, _far, share in inner) or not unsure.isdisjoint(group):
        unsure.update(group)
    solved = None
    if len(group) <= MOST_IN_CIRCLE:
        size = len(group)
        rows = [[Fraction(int(a == b)) for b in range(size)] + [value.get(group[a], _NOTHING)] for a in range(size)]
        for near, far, share in inner:
            rows[place[far]][place[near]] -= share or 0
        solved = _solve(rows)
    if solved is None or any(one < 0 for one in solved):
        unsure.update(group)
        return
    for node, one in zip(group, solved, strict=True):
        value[node] = _trim(one)


def _solve(rows: list[list[Fraction]]) -> list[Fraction] | None:
    """Gauss and Jordan on an augmented matrix; None where there is no single answer."""
    size = len(rows)
    for column in range(size):
        pivot = next((row for row in range(column, size) if rows[row][column]), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column][column]
        rows[column] = [cell / head for cell in rows[column]]
        for row in range(size):
            factor = rows[row][column]
            if row != column and factor:
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[column], strict=True)]
    return [row[size] for row in rows]


def _circles(start: K, after: Mapping[K, Sequence[K]]) -> list[list[K]]:
    """The strongly connected groups reached from the start, those farthest first (Tarjan, without recursion)."""
    index: dict[K, int] = {start: 0}
    low: dict[K, int] = {start: 0}
    stack, on_stack = [start], {start}
    work = [(start, iter(after.get(start, ())))]
    groups: list[list[K]] = []
    while work:
        node, rest = work[-1]
        # No lot is None, whatever they are named by.
        far = next(rest, None)
        if far is not None:
            if far not in index:
                index[far] = low[far] = len(index)
                stack.append(far)
                on_stack.add(far)
                work.append((far, iter(after.get(far, ()))))
            elif far in on_stack:
                low[node] = min(low[node], index[far])
            continue
        work.pop()
        if work:
            low[work[-1][0]] = min(low[work[-1][0]], low[node])
        if low[node] == index[node]:
            at = stack.index(node) if stack[-1] != node else len(stack) - 1
            groups.append(stack[at:])
            on_stack.difference_update(stack[at:])
            del stack[at:]
    return groups
