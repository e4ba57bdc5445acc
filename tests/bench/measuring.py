"""Stopwatches. What is told is the best of several runs after a first one that is thrown away: the best run is what the
machine's other work disturbs least. Two things that are compared run in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection


@dataclass(frozen=True)
class Times:
    """Seconds of several runs of one thing."""

    runs: tuple[float, ...]

    @property
    def best(self) -> float:
        """What it takes when nothing disturbs."""
        return min(self.runs)


def seconds(function: Callable[[], object], runs: int = 5) -> Times:
    """How long a function takes, warm."""
    (found,) = in_turn(runs, function)
    return found


def in_turn(runs: int, *functions: Callable[[], object]) -> list[Times]:
    """How long each function takes, warm, one after another in each round."""
    for function in functions:
        function()
    taken: list[list[float]] = [[] for _function in functions]
    for _round in range(runs):
        for place, function in enumerate(functions):
            began = time.perf_counter()
            function()
            taken[place].append(time.perf_counter() - began)
    return [Times(tuple(each)) for each in taken]


def queries(function: Callable[[], object]) -> int:
    """How many statements a function sends."""
    count = 0

    def note(execute: Callable[..., Any], *args: Any) -> Any:
        nonlocal count
        count += 1
        return execute(*args)

    with connection.execute_wrapper(note):
        function()
    return count


def plan(sql: str, parameters: list[int]) -> str:
    """What the engine intends to do, in its own words."""
    explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sql}", parameters)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())
