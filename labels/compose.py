"""Where everything on one label goes: the same marks are then drawn as PDF for the printer and as SVG for the
screen.

Rules of fitting, in this order. Text that is too wide wraps: between Chinese characters or at a space, and
inside a word only when the word alone is too wide. What does not fit the height then shrinks, never below 1.8
mm characters, and its rows move closer. What may be left out (``extras``) then is, the last first, and the layout's
arrangement for much text is tried. What still does not fit is an error that says what to change: no word is ever
cut. A short title leaves its room to the lines, a long one takes some of theirs.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from labels import qr
from labels.layouts import Layout, TextBox
from trace import typeface
from trace.errors import Invalid
from trace.typeface import MIN_SIZE_PT, width_em

MM_PER_POINT = 25.4 / 72
LEADING = 1.22
"""Distance of two base lines, as a share of the type size."""
TIGHT_LEADING = 1.1
"""The same where the smallest type alone does not help."""
SHRINK_FIRST = 0.82
"""Text rather shrinks to so much of its size than take another row."""
BASELINE_EM = 0.88
"""From the top of a row to its base line, as a share of the type size."""
STEP_PT = 0.2
TITLE_GAP_MM = 0.5
GAP_MM = 0.8
ROOMY_PT = 9
"""From this size of the code in words on a label has room for a wider gap beside it."""
NAME_GAP_EM = 0.6
"""Between the name of a line and its value."""
NAMES_AT_MOST = 0.4
"""Names stand in a column of their own while that takes no more of the width; else values follow their names.
"""
BOLD_STROKE_EM = 0.035
TEXT_MAX = 200

# Characters that must not begin a row, and such that must not end one (GB/T 15834 on punctuation).
_NOT_FIRST = frozenset("，。、；：！？）》」』】〕”’…—·％℃,.;:!?)]}%°")
_NOT_LAST = frozenset("（《「『【〔“‘([{￥¥$")


@dataclass(frozen=True)
class LabelContent:
    """What one label says, already in the reader's language.

    ``uri`` goes into the code. ``lines`` are (name, value), all of which must be read: 批号, 生产日期, 净含量 …;
    ``extras`` follow them where there is room.
    ``code`` is what people type when the code is scraped, in groups of four; ``host`` names the official host
    in words. ``check`` is the code under the layer, ``check_name`` what stands before it. ``watermark``
    (演练, 作废) is written across the texts in outline; it never touches the code.
    """

    uri: str
    title: str
    lines: tuple[tuple[str, str], ...] = ()
    code: str = ""
    host: str = ""
    watermark: str = ""
    check: str = ""
    check_name: str = ""
    extras: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Text:
    """A row of text: base line's left end ``x``, ``y`` in millimetres from the label's upper left, size in
    points.

    ``outline`` draws only the edge of the letters.
    """

    x: float
    y: float
    size: float
    text: str
    bold: bool = False
    outline: bool = False

    @property
    def width(self) -> float:
        """Millimetres."""
        return width_em(self.text) * self.size * MM_PER_POINT


@dataclass(frozen=True)
class Code:
    """The QR code: upper left corner of its quiet zone and its full side in millimetres."""

    x: float
    y: float
    side: float
    matrix: qr.QrMatrix
    fit: qr.QrFit

    @property
    def quiet(self) -> float:
        """Width of the quiet zone, in millimetres."""
        return qr.QUIET_ZONE * self.fit.module_mm


@dataclass(frozen=True)
class Composed:
    """One label, ready to draw: watermark first, the code on its white ground, then the texts.

    ``shared`` are the texts that labels of one run have in common, ``own`` the code in words and the check code, around
    which ``panel`` (left, top, width, height in millimetres) is the place of the layer.
    """

    code: Code
    shared: tuple[Text, ...]
    own: tuple[Text, ...] = ()
    watermark: tuple[Text, ...] = ()
    panel: tuple[float, float, float, float] | None = None
    close: bool = False
    """Whether it took the layout's arrangement for much text."""
    left_out: tuple[str, ...] = ()
    """Names of the extras there was no room for."""

    @property
    def texts(self) -> tuple[Text, ...]:
        """All texts but the watermark."""
        return self.shared + self.own


def compose(
    content: LabelContent,
    layout: Layout,
    material: qr.Material = qr.Material.SMOOTH,
    *,
    matrix: qr.QrMatrix | None = None,
) -> Composed:
    """Fit one label's content to a layout. ``matrix`` is the address's code where it has been made already.

    Refuses characters the typeface lacks (``glyphs_missing``), an address too long for the code's place
    (``qr_does_not_fit``), and texts that do not fit by the rules above (``label_text_too_long``,
    ``label_too_many_lines``).
    """
    content = _tidied(content)
    made = matrix or qr.matrix(content.uri, qr.LEVEL_FOR[material])
    try:
        return _composed(content, layout, made)
    except Invalid as error:
        if layout.close is None or error.code not in _NO_ROOM:
            raise
    return replace(_composed(content, layout.close, made), close=True)


_NO_ROOM = ("label_text_too_long", "label_too_many_lines")


def _composed(content: LabelContent, layout: Layout, matrix: qr.QrMatrix) -> Composed:
    """One label in one arrangement, with as many of the extras as there is room for."""
    code = _place_code(matrix, layout)
    free = _free(layout, code)
    layout, named, panel = _with_panel(layout, content.check_name) if content.check else (layout, [], None)
    title, end = _title(content.title, _widened(layout.title, free), grows=not _code_above(layout, code))
    below = layout.lines if layout.foot is None else replace(layout.lines, h=layout.foot.y - layout.lines.y)
    box = _from(max(end, _code_above(layout, code)), _widened(below, free))
    lines, foot = content.lines, []
    if layout.foot is not None and lines:
        name, value = lines[-1]
        lines, foot = lines[:-1], _row(f"{name} {value}".strip(), layout.foot, TIGHT_LEADING)
    extras = content.extras
    while (texts := _lines((*lines, *extras), box, free_of_refusal=bool(extras))) is None:
        extras = extras[:-1]
    shared = [*title, *texts, *foot, *_row(content.host, layout.host), *named]
    mark = _watermark(content.watermark, layout)
    left_out = tuple(name for name, _value in content.extras[len(extras) :])
    return Composed(
        code, tuple(shared), _own(content.code, content.check, layout), tuple(mark), panel, left_out=left_out
    )


def compose_alike(like: Composed, content: LabelContent, layout: Layout, matrix: qr.QrMatrix) -> Composed:
    """A label that differs from one composed before only by its address and code: its texts are taken from there.

    ``matrix`` has the version of the other's, so that the code takes the same room. Refuses what ``compose`` refuses of
    the code in words.
    """
    words, check = typeface.tidy(content.code), typeface.tidy(content.check)
    typeface.require_glyphs(words, check)
    if like.close and layout.close is not None:
        layout = layout.close
    return replace(like, code=replace(like.code, matrix=matrix), own=_own(words, check, layout))


CHECK_NAME_EM = 3.4
"""Width of 校验码 with the gap behind it, beside the panel."""
CHECK_NAME_SIZE = 0.62
"""Size of that name, as a share of the check code's."""


def _panel(box: TextBox) -> tuple[float, float, float, float]:
    """The place of the layer: right of the name."""
    left = CHECK_NAME_EM * max(box.size * CHECK_NAME_SIZE, MIN_SIZE_PT) * MM_PER_POINT
    return box.x + left, box.y, box.w - left, box.h


def _with_panel(layout: Layout, called: str) -> tuple[Layout, list[Text], tuple[float, float, float, float]]:
    """The layout whose lines end before the panel, the panel's name, and the panel. Refuses a layout without a place
    for it (``checks_need_room``).
    """
    box = layout.check
    if box is None:
        raise Invalid(_("这种标签版式上没有校验码的位置，请换大一些的版式。"), code="checks_need_room")
    lines = layout.lines
    if box.x > lines.x + lines.w / 3:
        lines = replace(lines, w=box.x - GAP_MM - lines.x)
    else:
        lines = replace(lines, h=box.y - GAP_MM - lines.y)
    size = max(box.size * CHECK_NAME_SIZE, MIN_SIZE_PT)
    name = Text(box.x, box.y + box.h / 2 + size * MM_PER_POINT * 0.36, size, called)
    return replace(layout, lines=lines), [name], _panel(box)


def _own(code: str, check: str, layout: Layout) -> tuple[Text, ...]:
    """What is this label's alone: the code in words, and the check code in the middle of its panel."""
    found = _row(code, layout.code)
    if check and layout.check is not None:
        x, y, w, h = _panel(layout.check)
        size = layout.check.size
        while size > MIN_SIZE_PT and width_em(check) * size * MM_PER_POINT > w - 2 * GAP_MM:
            size = round(size - STEP_PT, 2)
        em = size * MM_PER_POINT
        found.append(Text(x + (w - width_em(check) * em) / 2, y + h / 2 + em * 0.36, size, check))
    return tuple(found)


def _tidied(content: LabelContent) -> LabelContent:
    """The content on single lines, all of it printable."""
    tidy = typeface.tidy
    lines, extras = (
        tuple((tidy(name), tidy(value)) for name, value in some) for some in (content.lines, content.extras)
    )
    found = LabelContent(
        content.uri,
        tidy(content.title),
        lines,
        tidy(content.code),
        tidy(content.host),
        tidy(content.watermark),
        tidy(content.check),
        tidy(content.check_name),
        extras,
    )
    every = [
        found.title,
        found.code,
        found.host,
        found.watermark,
        found.check,
        found.check_name,
        *(part for line in (*lines, *extras) for part in line),
    ]
    if any(len(text) > TEXT_MAX for text in every):
        raise Invalid(
            _("标签上的一项文字最多 %(most)d 个字，请缩短。") % {"most": TEXT_MAX},
            code="label_text_too_long",
            most=TEXT_MAX,
        )
    typeface.require_glyphs(*every)
    return found


def _place_code(matrix: qr.QrMatrix, layout: Layout) -> Code:
    """The code in the upper left of its place, as large as it may be."""
    box = layout.qr
    fit = qr.fit_matrix(matrix, box.w, layout.dpi)
    return Code(box.x, box.y, fit.side_mm, matrix, fit)


def _free(layout: Layout, code: Code) -> float:
    """How far the texts beside the code may move to the left: what it leaves of its place, short of what is
    below it. Where the type is large that is most of a letter, so that the code in words is not read on into them; the
    smallest labels need the room for the words themselves.
    """
    gap = 0.75 * layout.code.size * MM_PER_POINT if layout.code.size >= ROOMY_PT else GAP_MM
    return max(0.0, min(layout.qr.w - code.side, layout.lines.x - layout.code.x - layout.code.w - gap))


def _code_above(layout: Layout, code: Code) -> float:
    """Where a code between title and lines ends, in millimetres from the label's top; 0 where it stands beside them."""
    place, lines = layout.qr, layout.lines
    beside = lines.x >= place.x + place.w or lines.x + lines.w <= place.x or lines.y < place.y + place.h
    return 0.0 if beside else code.y + code.side


def _widened(box: TextBox, free: float) -> TextBox:
    """The box with its left edge moved to the left."""
    return replace(box, x=box.x - free, w=box.w + free)


# ---------------------------------------------------------------- wrapping


def _pieces(text: str) -> Iterator[str]:
    """Text in pieces between which a row may end: words with the space after them, and single Chinese
    characters.
    """
    piece = ""
    for i, char in enumerate(text):
        joins = bool(piece) and (
            (char.isascii() and piece[-1].isascii() and (piece[-1] != " " or _is_unit(text, i)))
            or char == " "
            or char in _NOT_FIRST
            or piece[-1] in _NOT_LAST
        )
        if piece and not joins:
            yield piece
            piece = ""
        piece += char
    if piece:
        yield piece


def _is_unit(text: str, i: int) -> bool:
    """Whether a unit of measure begins at ``i``, behind a number and a space: "500 mL" is one word."""
    return i >= 2 and text[i - 2].isdigit() and text[i].isascii() and text[i].isalpha()


@functools.lru_cache(maxsize=4096)
def wrap(text: str, width: float) -> tuple[str, ...]:
    """Rows of at most ``width`` (as a share of the type size), no character lost. Empty text is one empty
    row.
    """
    rows, row = [], ""
    for piece in _pieces(text):
        if row and width_em((row + piece).rstrip()) > width:
            rows.append(row.rstrip())
            row = ""
        row += piece
        while width_em(row.rstrip()) > width and len(row) > 1:
            cut = _prefix(row, width)
            rows.append(row[:cut])
            row = row[cut:]
    return (*rows, row.rstrip())


def _prefix(text: str, width: float) -> int:
    """How many characters of a word too long for a row go on it.

    Up to a hyphen in the row's second half, else all that fit.
    """
    cut = 1
    while cut < len(text) and width_em(text[: cut + 1]) <= width:
        cut += 1
    return text.rfind("-", cut // 2, cut) + 1 or cut


def _sizes(largest: float) -> Iterator[float]:
    """Type sizes to try, from the largest down to the smallest allowed."""
    size = largest
    while size > MIN_SIZE_PT:
        yield size
        size = round(size - STEP_PT, 2)
    yield MIN_SIZE_PT


# ---------------------------------------------------------------- title, lines, single rows


def _capacity(box: TextBox, size: float, leading: float = LEADING) -> int:
    """Rows of a type size that fit a box."""
    return min(int(box.h / (size * MM_PER_POINT * leading) + 1e-6), box.rows)


def _best_size(box: TextBox, rows_at: Callable[[float], int]) -> float:
    """The largest type size at which the rows fit the box, or a little smaller where that saves a row; at
    worst the least.
    """
    largest = next((size for size in _sizes(box.size) if rows_at(size) <= _capacity(box, size)), MIN_SIZE_PT)
    fewest = rows_at(max(largest * SHRINK_FIRST, MIN_SIZE_PT))
    return next(size for size in _sizes(largest) if rows_at(size) <= fewest)


def _title(title: str, box: TextBox, *, grows: bool) -> tuple[list[Text], float]:
    """The title in bold, as large as fits its box, and where it ends (millimetres from the top of the label).

    One that is too long for it at the smallest size goes on into the room of the lines below where it ``grows``, else
    is refused (``label_text_too_long``).
    """
    if not title:
        return [], box.y
    size = _best_size(box, lambda size: len(_title_rows(title, size, box)))
    rows = _title_rows(title, size, box)
    if len(rows) > _capacity(box, size) and not grows:
        raise _too_long(title)
    em = size * MM_PER_POINT
    texts = [_placed(row, i, size, box, box.y, bold=True) for i, row in enumerate(rows)]
    return texts, box.y + len(rows) * LEADING * em


def _title_rows(title: str, size: float, box: TextBox) -> tuple[str, ...]:
    """The title wrapped at a type size; bold takes a little more width."""
    return wrap(title, box.w / (size * MM_PER_POINT) - BOLD_STROKE_EM)


def _from(top: float, box: TextBox) -> TextBox:
    """The box from a little below ``top``: enlarged under a short title, made smaller under a long one."""
    y = min(top + TITLE_GAP_MM, box.y) if top <= box.y else top + TITLE_GAP_MM
    return replace(box, y=y, h=box.y + box.h - y)


def _row(text: str, box: TextBox, leading: float = LEADING) -> list[Text]:
    """One row that shrinks but is never cut or wrapped: a cut code or host name is a wrong one."""
    if not text:
        return []
    for size in _sizes(box.size):
        em = size * MM_PER_POINT
        if width_em(text) * em <= box.w and em * leading <= box.h + 1e-6:
            return [_placed(text, 0, size, box, box.y)]
    raise _too_long(text)


def _too_long(text: str) -> Invalid:
    """The error for a text that fits at no size."""
    return Invalid(
        _("“%(text)s”在这种标签上放不下：请缩短或换更大的标签。") % {"text": text[:60]},
        code="label_text_too_long",
    )


def _placed(text: str, row: int, size: float, box: TextBox, top: float, *, bold: bool = False) -> Text:
    """Row number ``row`` of a box whose first row is at ``top``."""
    em = size * MM_PER_POINT
    return Text(box.x, top + (row * LEADING + BASELINE_EM) * em, size, text, bold)


def _lines(lines: Sequence[tuple[str, str]], box: TextBox, *, free_of_refusal: bool) -> list[Text] | None:
    """Names and values in the largest type in which all of them fit, at the smallest with rows closer together.

    What does not fit is None with ``free_of_refusal``, else refused (``label_too_many_lines``).
    """
    size = _best_size(box, lambda size: sum(map(len, _blocks(lines, box.w / (size * MM_PER_POINT)))))
    blocks = _blocks(lines, box.w / (size * MM_PER_POINT))
    rows = sum(map(len, blocks))
    if rows <= _capacity(box, size):
        return _set_lines(blocks, size, LEADING, box)
    capacity = _capacity(box, MIN_SIZE_PT, TIGHT_LEADING)
    if rows <= capacity:
        return _set_lines(blocks, MIN_SIZE_PT, TIGHT_LEADING, box)
    if free_of_refusal:
        return None
    longest = max(range(len(lines)), key=lambda i: len(blocks[i]))
    name, value = lines[longest]
    raise Invalid(
        _(
            "这种标签放不下必须写全的文字：缩到最小（字高 1.8 毫米）也要 %(rows)d 行，只放得下 %(most)d 行。"
            "请换更大的标签，或缩短“%(text)s”。"
        )
        % {"rows": rows, "most": max(capacity, 0), "text": f"{name} {value}".strip()[:60]},
        code="label_too_many_lines",
        most=capacity,
    )


@dataclass(frozen=True)
class _Run:
    """A piece of a row: its distance from the left of the box and its text; widths as a share of the type
    size.
    """

    x: float
    text: str
    is_name: bool = False


_Block = list[list[_Run]]
"""One line of the label: its rows, each of one or two runs."""


def _blocks(lines: Sequence[tuple[str, str]], width: float) -> list[_Block]:
    """Each line wrapped to the width: values in a column where the names are narrow, else after their names."""
    column = max((width_em(name) for name, _value in lines), default=0.0)
    column += NAME_GAP_EM if column else 0.0
    if column <= width * NAMES_AT_MOST:
        return [_in_columns(name, value, column, width) for name, value in lines]
    return [_run_on(name, value, width) for name, value in lines]


def _in_columns(name: str, value: str, column: float, width: float) -> _Block:
    """The value beside its name, its further rows below its first."""
    rows = [[_Run(column, row)] for row in wrap(value, width - column)]
    if name:
        rows[0].insert(0, _Run(0.0, name))
    return rows


def _run_on(name: str, value: str, width: float) -> _Block:
    """The value behind its name and on from the left; on a row of its own when it fits one and not beside the
    name.
    """
    if not name:
        return [[_Run(0.0, row)] for row in wrap(value, width)]
    start = width_em(name) + NAME_GAP_EM
    if start + width_em(value) <= width:
        return [[_Run(0.0, name), _Run(start, value)]]
    whole = wrap(value, width)
    beside = wrap(value, max(width - start, 1.0))
    if len(whole) == 1 or start + 2 > width:
        return [[_Run(0.0, name, is_name=True)], *([_Run(0.0, row)] for row in whole)]
    rest = value[len(beside[0]) :].lstrip()
    return [[_Run(0.0, name), _Run(start, beside[0])], *([_Run(0.0, row)] for row in wrap(rest, width))]


def _set_lines(blocks: list[_Block], size: float, leading: float, box: TextBox) -> list[Text]:
    """The rows of all blocks from the top of the box downwards."""
    em = size * MM_PER_POINT
    rows = [row for block in blocks for row in block]
    return [
        Text(box.x + run.x * em, box.y + (i * leading + BASELINE_EM) * em, size, run.text)
        for i, row in enumerate(rows)
        for run in row
        if run.text
    ]


def _watermark(text: str, layout: Layout) -> list[Text]:
    """A word in outline across the texts beside the code, as large as fits. Outline: a thermal printer has no
    grey.
    """
    if not text:
        return []
    area = layout.lines
    size = min(area.w / width_em(text) * 0.9, area.h * 0.62) / MM_PER_POINT
    em = size * MM_PER_POINT
    x = area.x + (area.w - width_em(text) * em) / 2
    return [Text(x, area.y + area.h / 2 + em * 0.36, size, text, outline=True)]
