"""A document on A4: a title, blocks of fields, tables, words and signatures, as PDF. The typeface is embedded.

The blocks are plain data (``read_blocks``/``as_data``), so that a page and a PDF are made from the same thing and a
hash can stand for it. Nothing here knows what a document is about.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import qrcode
from qrcode.constants import ERROR_CORRECT_M
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from trace import typeface

_MM = 72 / 25.4
_WIDTH, _HEIGHT = A4
_LEFT, _RIGHT, _TOP, _BOTTOM = 24 * _MM, 22 * _MM, 22 * _MM, 19 * _MM
_ROOM = _WIDTH - _LEFT - _RIGHT
_TITLE, _HEAD, _BODY, _CELL, _FOOT = 20.0, 12.5, 11.0, 9.5, 7.5
_LEADING = 1.5
_QR = 34 * _MM
_GAP = 6.0
"""Between blocks."""
KINDS = ("fields", "table", "words", "sign", "code", "page")


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a document.

    ``fields``: ``rows`` of (name, value). ``table``: ``head`` and ``rows``. ``words``: one paragraph per row.
    ``sign``: lines at the right. ``code``: one address, drawn as QR with the title below. ``page``: a new page.
    """

    kind: str
    title: str = ""
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    def as_data(self) -> dict[str, Any]:
        """The block as plain data."""
        return {key: list(map(list, value)) if key == "rows" else value for key, value in asdict(self).items()} | {
            "head": list(self.head)
        }

    @property
    def paragraphs(self) -> list[str]:
        """The rows of words."""
        return [row[0] for row in self.rows]


def read_blocks(data: Iterable[dict[str, Any]]) -> list[Block]:
    """The blocks of plain data."""
    return [
        Block(one["kind"], one["title"], tuple(one["head"]), tuple(tuple(row) for row in one["rows"])) for one in data
    ]


@dataclass(frozen=True, slots=True)
class Paper:
    """A document as it is printed. ``over`` stands above the title, ``foot`` at the foot of every page; ``watermark``
    is written across every page.
    """

    title: str
    number: str
    blocks: Sequence[Block]
    foot: str = ""
    over: str = ""
    watermark: str = ""


def texts_of(paper: Paper) -> list[str]:
    """Everything that is written, for ``typeface.require_glyphs``."""
    found = [paper.title, paper.number, paper.foot, paper.over, paper.watermark]
    for block in paper.blocks:
        found += [block.title, *block.head, *(cell for row in block.rows for cell in row)]
    return found


def render(paper: Paper) -> bytes:
    """The PDF; the same bytes for the same paper. Refuses characters the typeface lacks (``glyphs_missing``)."""
    typeface.require_glyphs(*texts_of(paper))
    typeface.font()
    pages = _Pages()
    pages.title(paper)
    for block, after in zip(paper.blocks, [*paper.blocks[1:], None], strict=True):
        pages.keep = _sign_height(after) + _GAP if after is not None and after.kind == "sign" else 0.0
        pages.block(block)
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1, pageCompression=1, initialFontName=typeface.FONT_NAME, lang="zh-CN")
    canvas.setTitle(f"{paper.title} {paper.number}".strip())
    for number, marks in enumerate(pages.pages, 1):
        _watermark(canvas, paper.watermark)
        for mark in marks:
            mark(canvas)
        _foot(canvas, paper, number, len(pages.pages))
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _watermark(canvas: Canvas, words: str) -> None:
    """The word large and pale across the page, below what is written."""
    if not words:
        return
    canvas.saveState()
    canvas.setFillColorRGB(0.96, 0.85, 0.85)
    canvas.setFont(typeface.FONT_NAME, 110)
    for share in (0.22, 0.5, 0.78):
        canvas.saveState()
        canvas.translate(_WIDTH / 2, _HEIGHT * share)
        canvas.rotate(28)
        canvas.drawCentredString(0, -38, words)
        canvas.restoreState()
    canvas.restoreState()


def _foot(canvas: Canvas, paper: Paper, number: int, count: int) -> None:
    canvas.setFillGray(0.35)
    canvas.setFont(typeface.FONT_NAME, _FOOT)
    canvas.drawString(_LEFT, 12 * _MM, paper.foot)
    canvas.drawRightString(_WIDTH - _RIGHT, 12 * _MM, f"第 {number} 页，共 {count} 页")
    canvas.setFillGray(0)


Mark = Callable[[Canvas], None]


class _Pages:
    """Blocks laid out from the top down; a page is a list of marks, drawn when the number of pages is known."""

    def __init__(self) -> None:
        self.pages: list[list[Mark]] = [[]]
        self.y = _HEIGHT - _TOP
        self.keep = 0.0
        """Room that must stay below the last row of a block: a signature does not stand on a page without its text."""

    def _need(self, height: float) -> bool:
        """A new page where less than this is left; whether it is a new one."""
        if self.y - height >= _BOTTOM or self.y >= _HEIGHT - _TOP:
            return False
        self.pages.append([])
        self.y = _HEIGHT - _TOP
        return True

    def _text(self, x: float, y: float, text: str, size: float, how: str = "left") -> None:
        def mark(canvas: Canvas) -> None:
            canvas.setFont(typeface.FONT_NAME, size)
            draw = {"left": canvas.drawString, "centre": canvas.drawCentredString, "right": canvas.drawRightString}
            draw[how](x, y, text)

        self.pages[-1].append(mark)

    def _box(self, x: float, y: float, width: float, height: float, *, grey: bool = False) -> None:
        def mark(canvas: Canvas) -> None:
            canvas.setLineWidth(0.5)
            canvas.setStrokeGray(0.45)
            if grey:
                canvas.saveState()
                canvas.setFillGray(0.93)
                canvas.rect(x, y, width, height, 0, 1)
                canvas.restoreState()
            canvas.rect(x, y, width, height)

        self.pages[-1].append(mark)

    def title(self, paper: Paper) -> None:
        """What stands above, the title, the number and a rule."""
        if paper.over:
            self._text(_WIDTH - _RIGHT, self.y, paper.over, _BODY, "right")
            self.y -= 20
        for part in broken(paper.title, _ROOM / _TITLE):
            self.y -= _TITLE
            self._text(_WIDTH / 2, self.y, part, _TITLE, "centre")
            self.y -= _TITLE * 0.35
        if paper.number:
            self.y -= _BODY * 1.2
            self._text(_WIDTH / 2, self.y, paper.number, _BODY, "centre")
        self.y -= 10
        at = self.y
        self.pages[-1].append(lambda canvas: canvas.line(_LEFT, at, _WIDTH - _RIGHT, at))
        self.y -= 8

    def block(self, block: Block) -> None:
        """One block with its head."""
        if block.kind == "code":
            self._code(block)
            return
        if block.kind == "page":
            self._need(_HEIGHT)
            return
        if block.title:
            self._need(_HEAD * 2.25 + _GAP + self._opening(block))
            self.y -= _HEAD * 1.7
            self._text(_LEFT, self.y, block.title, _HEAD)
            self.y -= _HEAD * 0.55
        if block.kind == "fields":
            self._rows(block.rows, (_ROOM * 0.26, _ROOM * 0.74), first_grey=True)
        elif block.kind == "table":
            self._rows(block.rows, _widths(block), head=block.head)
        elif block.kind == "sign":
            self._sign(block)
        else:
            for number, row in enumerate(block.rows, 1):
                self._paragraph(row[0], self.keep if number == len(block.rows) else 0)

    def _opening(self, block: Block) -> float:
        """What stands below a heading at least: head and row, row, or line; with the signature where that is all."""
        widths = _widths(block) if block.kind == "table" else (_ROOM * 0.26, _ROOM * 0.74)
        height = _HEAD * 2
        if block.kind in ("table", "fields") and block.rows:
            height = min(_row_height(_cells(block.rows[0], widths)), 12 * _CELL) + _GAP
            if block.kind == "table":
                height += _row_height(_cells(block.head, widths))
        return height + (self.keep if len(block.rows) == 1 else 0)

    def _paragraph(self, text: str, keep: float) -> None:
        parts = [part for line in text.split("\n") for part in broken(line, _ROOM / _BODY)]
        for number, part in enumerate(parts, 1):
            together = 2 if number == 1 and len(parts) > 1 else 1
            self._need(_BODY * _LEADING * together + (keep if number + together > len(parts) else 0))
            self.y -= _BODY * _LEADING
            self._text(_LEFT, self.y, part, _BODY)
        self.y -= _BODY * 0.35

    def _rows(
        self,
        rows: Sequence[Sequence[str]],
        widths: Sequence[float],
        *,
        head: Sequence[str] = (),
        first_grey: bool = False,
    ) -> None:
        """A grid; the head is written again on every page, a row higher than a page goes on over the next."""
        self.y -= 3
        if head and rows:
            first = _row_height(_cells(head, widths)) + min(_row_height(_cells(rows[0], widths)), 12 * _CELL)
            self._need(first + (self.keep if len(rows) == 1 else 0))
            self._row(_cells(head, widths), widths, grey=True)
        for number, row in enumerate(rows, 1):
            cells = _cells(row, widths)
            keep = self.keep if number == len(rows) else 0
            while cells:
                height = _row_height(cells)
                if self._need(min(height, 12 * _CELL) + keep) and head:
                    self._row(_cells(head, widths), widths, grey=True)
                fits = max(int((self.y - _BOTTOM - 7) / (_CELL * _LEADING)), 1)
                self._row([cell[:fits] for cell in cells], widths, first_grey=first_grey)
                cells = [cell[fits:] for cell in cells]
                if not any(cells):
                    break
        self.y -= _GAP

    def _row(
        self, cells: Sequence[Sequence[str]], widths: Sequence[float], *, grey: bool = False, first_grey: bool = False
    ) -> None:
        height = _row_height(cells)
        x = _LEFT
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            self._box(x, self.y - height, width, height, grey=grey or (first_grey and number == 0))
            for line, part in enumerate(cell):
                self._text(x + 4, self.y - 2.5 - _CELL * (1.05 + line * _LEADING), part, _CELL)
            x += width
        self.y -= height

    def _sign(self, block: Block) -> None:
        self._need(_sign_height(block))
        self.y -= 16
        for row in block.rows:
            for part in broken(row[0], _ROOM / _BODY):
                self.y -= _BODY * 1.7
                self._text(_WIDTH - _RIGHT, self.y, part, _BODY, "right")

    def _code(self, block: Block) -> None:
        self._need(_QR + 30 + self.keep)
        self.y -= 8 + _QR
        matrix = qr_matrix(block.rows[0][0])
        left, bottom, module = (_WIDTH - _QR) / 2, self.y, _QR / len(matrix)

        def mark(canvas: Canvas) -> None:
            for y, row in enumerate(matrix):
                for x, dark in enumerate(row):
                    if dark:
                        canvas.rect(left + x * module, bottom + _QR - (y + 1) * module, module, module, 0, 1)

        self.pages[-1].append(mark)
        self.y -= _CELL * 1.6
        self._text(_WIDTH / 2, self.y, block.title, _CELL, "centre")
        for part in broken(block.rows[0][0], _ROOM / _FOOT):
            self.y -= _FOOT * 1.5
            self._text(_WIDTH / 2, self.y, part, _FOOT, "centre")
        self.y -= 6


def _sign_height(block: Block) -> float:
    """The room a signature takes."""
    return _BODY * 2 * len(block.rows) + 20


def qr_matrix(text: str) -> list[list[bool]]:
    """The modules of a QR code, level M, with its quiet zone."""
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_M, border=4)
    code.add_data(text)
    code.make(fit=True)
    return [[bool(dark) for dark in row] for row in code.get_matrix()]


def _cells(row: Sequence[str], widths: Sequence[float]) -> list[list[str]]:
    """The lines of each cell."""
    return [
        [part for line in cell.split("\n") for part in broken(line, (width - 8) / _CELL)]
        for cell, width in zip(row, widths, strict=True)
    ]


def _row_height(cells: Sequence[Sequence[str]]) -> float:
    """How high a row of these lines is."""
    return _CELL * _LEADING * max([1, *map(len, cells)]) + 7


def _widths(block: Block) -> list[float]:
    """Widths of a table's columns: what holds its longest word together, and of the rest each its share by what it
    would like to have.
    """
    columns = list(zip(block.head, *block.rows, strict=True))
    least, wish = [], []
    for column in columns:
        tokens = [word for cell in column for word in _TOKEN.findall(typeface.tidy(cell))]
        words = [typeface.width_em(word) for word in tokens if not _DIGEST.fullmatch(word)]
        halves = [typeface.width_em(word) / 2 + 1.4 for word in tokens if _DIGEST.fullmatch(word)]
        least.append(max([min(max([2.4, typeface.width_em(column[0]), *words]) + 1.2, 14.0), *halves]))
        whole = max(typeface.width_em(line) for cell in column for line in cell.split("\n")) + 1.2
        wish.append(max(least[-1], min(whole, 18.0)))
    room = _ROOM / _CELL
    spare = room - sum(least)
    if spare < 0:
        return [_ROOM * one / sum(least) for one in least]
    more = [want - need for want, need in zip(wish, least, strict=True)]
    total = sum(more)
    shares = [one / total for one in more] if total else [1 / len(least)] * len(least)
    return [(need + spare * part) * _CELL for need, part in zip(least, shares, strict=True)]


_TOKEN = re.compile(
    r"[0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日|[0-9][0-9.,]* [\u4e00-\u9fff]{1,2}(?![\u4e00-\u9fff])"
    r"|[A-Za-z0-9][A-Za-z0-9.,:/_%+@-]*|.",
    re.S,
)
"""What holds together: a date, a number with its unit, a word; else each character stands alone."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
"""A SHA-256. It is read out and compared in equal parts, so it breaks into lines of equal length."""
_NEVER_FIRST = frozenset("，。、；：？！）》】〕”’%.,;:!?)]}")
"""Closing marks hang at the end of a line rather than begin the next (GB/T 15834-2011, 5.1)."""


def broken(text: str, room: float) -> list[str]:
    """One paragraph in lines of at most ``room`` em: Chinese breaks anywhere, words and numbers hold together."""
    lines = [""]
    for token in _TOKEN.findall(typeface.tidy(text)):
        if typeface.width_em(lines[-1] + token) <= room or (token in _NEVER_FIRST and lines[-1]):
            lines[-1] += token
            continue
        if typeface.width_em(token) <= room:
            lines.append(token.lstrip())
            continue
        if _DIGEST.fullmatch(token):
            size = max((one for one in (32, 16, 8) if typeface.width_em(token[:one]) <= room), default=4)
            parts = [token[at : at + size] for at in range(0, len(token), size)]
            lines = [*lines, *parts] if lines[-1] else [*lines[:-1], *parts]
            continue
        for char in token:
            if lines[-1] and typeface.width_em(lines[-1] + char) > room:
                lines.append("")
            lines[-1] += char
    return lines
