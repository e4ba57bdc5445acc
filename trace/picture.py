"""A genealogy drawn in layers as SVG: sources to the left, products to the right, however the question was asked.

Pure: it knows boxes and lines, not lots. Nothing is told by colour alone: a box carries its words, a mark its sign. The
table beside it says everything the drawing does; the drawing is another view of the rows.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

MOST_NODES = 60
BOX_WIDTH, BOX_HEIGHT = 156, 66
GAP_X, GAP_Y = 38, 14
MARGIN = 8
FITS = 1650
"""A drawing up to this width is scaled to its page; a wider one scrolls, for its words would get too small."""
_ROOM = (18, 20, 21)
"""Letters of a line that fit a box: the first is set large, the last small."""
_SIGNS = {"danger": "!", "hold": "‖", "good": "✓", "attention": "?"}


@dataclass(frozen=True)
class Node:
    """One box: at most three lines of words, a tone with its sign, where it leads. ``layer`` counts from the left.

    A ``dashed`` box stands for what is only possible, a ``stacked`` one for many.
    """

    key: int
    layer: int
    lines: Sequence[str]
    title: str
    tone: str = "mute"
    url: str = ""
    start: bool = False
    dashed: bool = False
    stacked: bool = False


@dataclass(frozen=True)
class Picture:
    """The drawing, and how many of the nodes are in it."""

    svg: SafeString
    shown: int
    total: int

    @property
    def cut(self) -> bool:
        """Whether some are left out."""
        return self.shown < self.total


def draw(
    nodes: Sequence[Node], edges: Sequence[tuple[int, int, str]], *, label: str, most: int = MOST_NODES
) -> Picture:
    """Draw the first ``most`` nodes (nearest first, as given) and the edges ``(from, to, words)`` among them."""
    kept = list(nodes[:most])
    inside = {node.key for node in kept}
    lines = [(a, b, words) for a, b, words in edges if a in inside and b in inside and a != b]
    spots = _spots(_layers(kept, lines), lines)
    width = max((x for x, _y in spots.values()), default=0) + BOX_WIDTH + MARGIN
    height = max((y for _x, y in spots.values()), default=0) + BOX_HEIGHT + MARGIN
    drawn = format_html(
        '<svg class="tree{fits}" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="group" aria-label="{label}">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" class="tree-tip"/></marker></defs>{edges}{nodes}</svg>',
        w=width,
        h=height,
        fits=" tree-fits" if width <= FITS else "",
        label=label,
        edges=format_html_join("", "{}", ((_edge(spots[a], spots[b], words),) for a, b, words in lines)),
        nodes=format_html_join("", "{}", ((_box(node, *spots[node.key]),) for node in kept)),
    )
    return Picture(drawn, len(kept), len(nodes))


def _layers(nodes: Sequence[Node], edges: Sequence[tuple[int, int, str]]) -> dict[int, int]:
    """The column of each box: the one given, moved away from the start until every line runs to the right.

    Where lines run in a circle that has no end; then the columns stay as given.
    """
    given = {node.key: node.layer for node in nodes}
    moved = dict(given)
    back = min(given.values(), default=0) < 0
    for _turn in range(len(nodes)):
        still = True
        for a, b, _words in edges:
            if moved[a] >= moved[b]:
                still = False
                if back:
                    moved[a] = moved[b] - 1
                else:
                    moved[b] = moved[a] + 1
        if still:
            return moved
    return given


def _spots(layers_of: dict[int, int], edges: Sequence[tuple[int, int, str]]) -> dict[int, tuple[int, int]]:
    """Where each box stands: columns by layer, rows so that few lines cross (barycentres, four sweeps)."""
    columns: dict[int, list[int]] = defaultdict(list)
    for key, layer in layers_of.items():
        columns[layer].append(key)
    layers = sorted(columns)
    near: dict[int, list[int]] = defaultdict(list)
    for a, b, _words in edges:
        near[a].append(b)
        near[b].append(a)
    for sweep in range(4):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            rank = {key: row / max(len(keys), 1) for keys in columns.values() for row, key in enumerate(keys)}
            order = {
                key: _mean([rank[other] for other in near[key] if other in rank], rank[key]) for key in columns[layer]
            }
            columns[layer].sort(key=lambda key: (order[key], key))
    tallest = max((len(keys) for keys in columns.values()), default=0)
    spots: dict[int, tuple[int, int]] = {}
    for column, layer in enumerate(layers):
        keys = columns[layer]
        top = MARGIN + (tallest - len(keys)) * (BOX_HEIGHT + GAP_Y) // 2
        for row, key in enumerate(keys):
            spots[key] = (MARGIN + column * (BOX_WIDTH + GAP_X), top + row * (BOX_HEIGHT + GAP_Y))
    return spots


def _mean(values: Sequence[float], otherwise: float) -> float:
    """The mean, or what stands for it where there is nothing."""
    return sum(values) / len(values) if values else otherwise


def _edge(start: tuple[int, int], end: tuple[int, int], words: str) -> SafeString:
    """A curve from the right side of one box to the left side of another, or around within one column."""
    x1, y1 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT // 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT // 2
    bend = max((x2 - x1) // 2, 30)
    path = f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
    title = format_html("<title>{}</title>", words) if words else ""
    return format_html('<path class="tree-line" d="{}" marker-end="url(#tip)">{}</path>', path, title)


def _box(node: Node, x: int, y: int) -> SafeString:
    """One box with its words; a link where it leads somewhere, so that the keyboard reaches it."""
    sign = _SIGNS.get(node.tone, "")
    mark = (
        format_html(
            '<text class="tree-sign" x="{}" y="{}" text-anchor="end" aria-hidden="true">{}</text>',
            x + BOX_WIDTH - 9, y + 20, sign,
        )
        if sign
        else ""
    )  # fmt: skip
    body = format_html(
        '<g class="tree-box tone-{tone}{start}"><title>{title}</title>'
        '<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="5"/><path d="M{x} {y2}v{h2}" class="tree-edge"/>'
        "{lines}{mark}</g>",
        tone=node.tone,
        start="".join(
            f" {name}"
            for name, holds in (
                ("tree-start", node.start),
                ("tree-dashed", node.dashed),
                ("tree-stacked", node.stacked),
            )
            if holds
        ),
        title=node.title,
        x=x,
        y=y,
        y2=y + 4,
        h2=BOX_HEIGHT - 8,
        w=BOX_WIDTH,
        h=BOX_HEIGHT,
        mark=mark,
        lines=format_html_join(
            "",
            '<text class="tree-line-{}" x="{}" y="{}">{}</text>',
            (
                (row, x + 11, y + 20 + 19 * row, shorten(line, _ROOM[row] - (4 if row == 0 and sign else 0)))
                for row, line in enumerate(node.lines[:3])
            ),
        ),
    )
    if not node.url:
        return body
    return format_html('<a href="{}" aria-label="{}">{}</a>', node.url, node.title, body)


def shorten(text: str, room: int) -> str:
    """The text cut to ``room`` letters, a Chinese character counting for nearly two."""
    used = 0.0
    for place, char in enumerate(text):
        used += 1.75 if unicodedata.east_asian_width(char) in "WF" else 1
        if used > room:
            return text[: max(place - 1, 1)] + "…"
    return text
