"""How other traceability systems walk a genealogy, for comparison: what their source does, on our tables."""

from __future__ import annotations

from collections import deque

from trace.models import LotLink


def walk_per_node(lot: int) -> set[int]:
    """One query per lot with a set of those met: what most ORMs' recursive properties come to."""
    met = {lot}
    queue = deque([lot])
    while queue:
        for child in LotLink.objects.filter(parent=queue.popleft(), voided_by=None).values_list("child", flat=True):
            if child not in met:
                met.add(child)
                queue.append(child)
    return met


def walk_per_path(lot: int, above: frozenset[int] = frozenset()) -> int:
    """One query per path: the set of lots met is kept per path, so blends double the work at each step."""
    found = 1
    for child in LotLink.objects.filter(parent=lot, voided_by=None).values_list("child", flat=True):
        if child not in above:
            found += walk_per_path(child, above | {lot})
    return found
