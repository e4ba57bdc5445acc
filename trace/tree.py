"""A large genealogy folded for a drawing: levels, within a level groups (organisations), any of them opened by name.

Pure: it knows keys, levels and groups. A drawing of 2,000 boxes tells nobody anything; one of a few dozen, each saying
how many lots it stands for and each opened by a link, can be read, and walked through with the keyboard.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

PLAIN = 60
"""Up to so many lots each has a box of its own."""
GROUPS_IN_LEVEL = 10
"""A level of more groups is one box until it is opened."""
LOTS_IN_GROUP = 40
"""Lots an opened group shows; the others stand in one box that leads to the table."""
GROUPS_OPENED = 30
"""Groups an opened level shows; the others stand in one box."""


class Leaf(NamedTuple):
    """One lot: its number, its level, the short name of its group (unique within the level)."""

    key: int
    level: int
    group: str


@dataclass(frozen=True)
class Fold:
    """One box of the folded tree: the lots in it. ``name`` opens it (empty for what cannot be opened); ``lots`` one
    lot is that lot itself.
    """

    key: int
    level: int
    lots: tuple[int, ...]
    name: str = ""
    group: str = ""
    groups: int = 1
    rest: bool = False


@dataclass(frozen=True)
class Folded:
    """The boxes, nearest level first, and the connections among them with how many each stands for. ``opened`` are the
    names that were opened, to be closed again.
    """

    boxes: list[Fold]
    edges: dict[tuple[int, int], int]
    opened: list[str] = field(default_factory=list)


def fold(leaves: Sequence[Leaf], edges: Iterable[tuple[int, int]], opened: Set[str]) -> Folded:
    """The boxes of a tree. ``opened`` are names as ``Fold.name`` gives them: ``level`` or ``level.group``.

    Linear in lots and edges. Every lot is in exactly one box.
    """
    boxes: list[Fold] = []
    if len(leaves) <= PLAIN:
        boxes = [Fold(leaf.key, leaf.level, (leaf.key,)) for leaf in leaves]
        return Folded(boxes, _joined(boxes, edges))
    levels: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for leaf in leaves:
        levels[leaf.level][leaf.group].append(leaf.key)
    used: list[str] = []
    for level in sorted(levels):
        groups = levels[level]
        wide = len(groups) > GROUPS_IN_LEVEL
        if wide and str(level) not in opened:
            lots = tuple(key for group in groups.values() for key in group)
            boxes.append(Fold(lots[0], level, lots, str(level), groups=len(groups)))
            continue
        if wide:
            used.append(str(level))
        boxes += _groups(level, groups, opened, used)
    return Folded(boxes, _joined(boxes, edges), used)


def _groups(level: int, groups: dict[str, list[int]], opened: Set[str], used: list[str]) -> Iterable[Fold]:
    """The boxes of one level that is not folded: the largest groups first, the smallest together."""
    order = sorted(groups, key=lambda group: (-len(groups[group]), group))
    shown = set(order[:GROUPS_OPENED]) | {group for group in order if f"{level}.{group}" in opened}
    rest: list[int] = []
    for group in order:
        lots, name = groups[group], f"{level}.{group}"
        if group not in shown:
            rest += lots
        elif len(lots) == 1:
            yield Fold(lots[0], level, (lots[0],), group=group)
        elif name in opened:
            used.append(name)
            yield from (Fold(lot, level, (lot,), group=group) for lot in lots[:LOTS_IN_GROUP])
            if lots[LOTS_IN_GROUP:]:
                more = tuple(lots[LOTS_IN_GROUP:])
                yield Fold(more[0], level, more, group=group, rest=True)
        else:
            yield Fold(lots[0], level, tuple(lots), name, group)
    if rest:
        yield Fold(rest[0], level, tuple(rest), groups=len(order) - len(shown), rest=True)


def _joined(boxes: Sequence[Fold], edges: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """How many connections run between two boxes; those within one are left out."""
    home = {lot: box.key for box in boxes for lot in box.lots}
    found: dict[tuple[int, int], int] = defaultdict(int)
    for a, b in edges:
        if a in home and b in home and home[a] != home[b]:
            found[home[a], home[b]] += 1
    return dict(found)
