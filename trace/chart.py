"""A run chart as SVG: one value per lot in the order of production, with the limits beside it.

Pure: it knows points and lines. Nothing is told by colour alone: what failed is a square with a cross, what was not
detected an open triangle at its limit of quantification; the table beside it says everything the drawing does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 46
_TICKS = 5


@dataclass(frozen=True)
class Point:
    """One lot's value. ``below``: not detected, somewhere under ``value``. ``upper`` and ``lower`` are its limits."""

    label: str
    title: str
    value: float
    below: bool = False
    failed: bool = False
    upper: float | None = None
    lower: float | None = None


def draw(points: Sequence[Point], *, label: str, unit: str) -> SafeString:
    """The drawing of at least one point, oldest to the left."""
    low, high = _range(points)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def x_of(number: int) -> float:
        step = (WIDTH - LEFT - RIGHT) / max(len(points), 1)
        return round(LEFT + step * (number + 0.5), 1)

    def y_of(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1)

    grid = format_html_join(
        "\n",
        '<line class="chart-grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="chart-tick" x="{}" y="{}">{}</text>',
        ((LEFT, WIDTH - RIGHT, y_of(tick), y_of(tick), LEFT - 8, y_of(tick) + 4, f"{tick:g}") for tick in ticks),
    )
    lines = format_html_join("\n", '<path class="chart-limit" d="{}"/>', ((d,) for d in _limits(points, x_of, y_of)))
    spots = [(x_of(number), y_of(point.value)) for number, point in enumerate(points)]
    run = format_html('<polyline class="chart-run" points="{}"/>', " ".join(f"{x},{y}" for x, y in spots))
    marks = format_html_join("\n", "{}", ((_mark(point, x, y),) for point, (x, y) in zip(points, spots, strict=True)))
    every = max(1, math.ceil(len(points) / 8))
    names = format_html_join(
        "\n",
        '<text class="chart-name" x="{}" y="{}">{}</text>',
        ((x_of(n), HEIGHT - BOTTOM + 20, point.label) for n, point in enumerate(points) if n % every == 0),
    )
    return format_html(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<text class="chart-unit" x="4" y="12">{}</text>'
        "{}{}{}{}{}</svg>",
        WIDTH,
        HEIGHT,
        label,
        unit,
        grid,
        lines,
        run,
        marks,
        names,
    )


def _range(points: Sequence[Point]) -> tuple[float, float]:
    """From the lowest to the highest value or limit, with room; never empty."""
    values = [point.value for point in points]
    values += [limit for point in points for limit in (point.upper, point.lower) if limit is not None]
    values += [0.0 for point in points if point.below]
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return (max(0.0, low - room) if low >= 0 else low - room), high + room


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers across the range."""
    raw = (high - low) / _TICKS
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.floor(low / step)
    count = math.ceil(high / step) - first
    return [round((first + number) * step, 10) for number in range(count + 1)]


def _limits(points: Sequence[Point], x_of: Callable[[int], float], y_of: Callable[[float], float]) -> list[str]:
    """The limit lines: a level stretch over each lot that was judged by it, broken where there is none."""
    half = (WIDTH - LEFT - RIGHT) / max(len(points), 1) / 2
    paths = []
    for side in ("upper", "lower"):
        parts, joined = [], False
        for number, point in enumerate(points):
            limit = getattr(point, side)
            if limit is None:
                joined = False
                continue
            x, y = x_of(number), y_of(limit)
            parts.append(f"{'L' if joined else 'M'}{x - half:.1f},{y} L{x + half:.1f},{y}")
            joined = True
        if parts:
            paths.append(" ".join(parts))
    return paths


def _mark(point: Point, x: float, y: float) -> SafeString:
    """One point with its words for pointers and readers."""
    if point.failed:
        shape = format_html(
            '<rect class="chart-failed" x="{0}" y="{1}" width="12" height="12"/>'
            '<path class="chart-cross" d="M{2},{3} l6,6 m0,-6 l-6,6"/>',
            round(x - 6, 1),
            round(y - 6, 1),
            round(x - 3, 1),
            round(y - 3, 1),
        )
    elif point.below:
        shape = format_html('<path class="chart-below" d="M{},{} l5,-9 h-10 z"/>', x, round(y + 5, 1))
    else:
        shape = format_html('<circle class="chart-value" cx="{}" cy="{}" r="4.5"/>', x, y)
    return format_html("<g>{}<title>{}</title></g>", shape, point.title)
