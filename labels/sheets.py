"""Labels as PDF: sheets of many and rolls of one, ready for the printer.

Every page is drawn to size (print at 100 %, never "fit to page"). The code is a one-bit image, one bit a
module, placed on whole printer dots: printers fatten the edges of filled shapes but not those of image masks.
The typeface is embedded, only the characters used. The same labels give the same bytes.
"""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _
from reportlab.pdfgen.canvas import Canvas

from labels import qr, qr_runs
from labels.compose import BOLD_STROKE_EM, Code, Composed, LabelContent, Text, compose, compose_alike
from labels.layouts import Layout
from trace import typeface
from trace.errors import Invalid

__all__ = ["LabelContent", "page_count", "render_sheet"]

POINTS_PER_MM = 72 / 25.4
MAX_LABELS = 20_000
OFFSET_MAX_MM = 5
CROP_MARK_MM = 3.0
CROP_GAP_MM = 0.8
OUTLINE_GREY = 0.45
HAIR = 0.004
"""Points by which a page and a code are made smaller (0.0014 mm).

What ends on a whole dot ends, in floating point, a little before or behind it, and a renderer that rounds outwards
would take another dot and stretch everything to it.
"""


def page_count(labels: int, layout: Layout, *, start: int = 1) -> int:
    """Pages that so many labels take when the first goes to place ``start`` (from 1) of the first page."""
    return -(-(labels + start - 1) // layout.per_page)


def render_sheet(
    labels: Sequence[LabelContent],
    layout: Layout,
    *,
    start: int = 1,
    crop_marks: bool = False,
    material: qr.Material = qr.Material.SMOOTH,
    title: str = "",
    offset: tuple[float, float] = (0.0, 0.0),
) -> bytes:
    """The labels as a PDF, in order along the rows, beginning at place ``start`` (from 1) of a partly used
    sheet.

    ``offset`` moves everything to the right and down by so many millimetres (at most 5 either way), for a printer that
    prints off its place. ``crop_marks`` are for cutting plain paper; they lie outside the labels. ``title`` is the
    document's title. All labels are fitted before the first is drawn, so a refusal never leaves half a document.

    Refuses what ``compose`` refuses, with the number of the label in the details (``label``, from 1); ``no_labels``;
    ``too_many_labels``; ``bad_start``; ``bad_offset``.
    """
    _check_request(len(labels), layout, start, offset)
    left, top = offset
    composed = compose_all(labels, layout, material)
    typeface.font()
    out = io.BytesIO()
    width, height = paper(layout)
    canvas = Canvas(
        out,
        pagesize=(width * POINTS_PER_MM - HAIR, height * POINTS_PER_MM - HAIR),
        invariant=1,
        pageCompression=1,
        initialFontName=typeface.FONT_NAME,
        lang="zh-CN",
    )
    canvas.setTitle(title)
    canvas.setViewerPreference("PrintScaling", "None")
    shared = _Shared(canvas, layout)
    for first in range(1 - start, len(composed), layout.per_page):
        for place in range(layout.per_page):
            if 0 <= first + place < len(composed):
                x, y = layout.corner(place)
                _Drawer(canvas, layout, (x + left, y + top)).label(composed[first + place], shared)
        if crop_marks:
            _crop_marks(canvas, layout)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def paper(layout: Layout) -> tuple[float, float]:
    """The page in millimetres. A roll's is rounded up to whole dots: a page that ends within one would be stretched."""
    if layout.is_sheet:
        return layout.page
    dot = qr.MM_PER_INCH / layout.dpi
    width, height = (math.ceil(side / dot - 1e-6) * dot for side in layout.page)
    return width, height


def _check_request(count: int, layout: Layout, start: int, offset: tuple[float, float]) -> None:
    """Refuse nothing, too much, a start that is not on the sheet, and an offset that moves labels off their paper."""
    if any(abs(move) > OFFSET_MAX_MM for move in offset):
        raise Invalid(
            _("位置校正最多 %(most)d 毫米；偏得更多请先检查纸张和打印机设置。") % {"most": OFFSET_MAX_MM},
            code="bad_offset",
            most=OFFSET_MAX_MM,
        )
    if not count:
        raise Invalid(_("没有要打印的标签。"), code="no_labels")
    if count > MAX_LABELS:
        raise Invalid(
            _("一份文件最多 %(most)d 枚标签，现在有 %(count)d 枚：请分几次打印。")
            % {"most": MAX_LABELS, "count": count},
            code="too_many_labels",
            most=MAX_LABELS,
        )
    if not 1 <= start <= layout.per_page:
        raise Invalid(
            _("起始位置应在 1 到 %(most)d 之间。") % {"most": layout.per_page}, code="bad_start", most=layout.per_page
        )


def compose_all(
    labels: Sequence[LabelContent], layout: Layout, material: qr.Material, *, split: bool = True
) -> list[Composed]:
    """All labels fitted. Their codes are made together, and texts that labels share are set once: that is what makes
    long runs fast. ``split`` is that of ``qr.matrix``. A refusal says which label it was (``label``, from 1).
    """
    for number, label in enumerate(labels, start=1):
        with _numbered(number):
            qr.check_data(label.uri)
    codes = qr_runs.matrices([label.uri for label in labels], qr.LEVEL_FOR[material], split=split)
    set_before: dict[tuple[object, ...], Composed] = {}
    composed = []
    for number, (label, code) in enumerate(zip(labels, codes, strict=True), start=1):
        with _numbered(number):
            shared = (
                label.title,
                label.lines,
                label.extras,
                label.host,
                label.watermark,
                bool(label.code),
                bool(label.check),
                code.version,
            )
            like = set_before.get(shared)
            if like is None:
                like = set_before[shared] = compose(label, layout, material, matrix=code)
                composed.append(like)
            else:
                composed.append(compose_alike(like, label, layout, code))
    return composed


@contextmanager
def _numbered(number: int) -> Iterator[None]:
    """A refusal inside also says which label it was."""
    try:
        yield
    except Invalid as error:
        error.details["label"] = number
        raise


class _Shared:
    """What labels of one run have in common, drawn once as a form of the document and then only named."""

    def __init__(self, canvas: Any, layout: Layout) -> None:
        self.canvas = canvas
        self.layout = layout
        self.names: dict[tuple[Text, ...], str] = {}

    def draw(self, texts: tuple[Text, ...], corner: tuple[float, float]) -> None:
        """The texts with the label's upper left corner at ``corner``."""
        name = self.names.get(texts)
        if name is None:
            name = self.names[texts] = f"shared{len(self.names)}"
            self.canvas.beginForm(name)
            drawer = _Drawer(self.canvas, self.layout, (0.0, 0.0))
            for text in texts:
                drawer.text(text)
            self.canvas.endForm()
        x, y = (value * POINTS_PER_MM for value in corner)
        self.canvas._code.append(f"q 1 0 0 1 {x:.4f} {-y:.4f} cm")
        self.canvas.doForm(name)
        self.canvas._code.append("Q")


class _Drawer:
    """Draws one label with its upper left corner at ``corner`` (millimetres from the page's upper left)."""

    def __init__(self, canvas: Any, layout: Layout, corner: tuple[float, float]) -> None:
        self.canvas = canvas
        self.layout = layout
        self.left, self.top = corner
        self.height = paper(layout)[1]

    def label(self, composed: Composed, shared: _Shared) -> None:
        """Everything on the label, the code on white ground above the watermark."""
        corner = (self.left, self.top)
        if composed.watermark:
            shared.draw(composed.watermark, corner)
        self.code(composed.code)
        shared.draw(composed.shared, corner)
        if composed.panel is not None:
            self.panel(*composed.panel)
        for text in composed.own:
            self.text(text)

    def panel(self, x: float, y: float, width: float, height: float) -> None:
        """The edge of the place where the layer goes, in a broken line."""
        points = POINTS_PER_MM
        self.canvas.setLineWidth(0.4)
        self.canvas.setDash(2, 1.5)
        self.canvas.rect(
            (self.left + x) * points, self.from_top(self.top + y + height), width * points, height * points, fill=0
        )
        self.canvas.setDash()

    def text(self, text: Text) -> None:
        """One row. Bold is a thin outline of the same colour: the typeface comes in one weight."""
        em = text.size
        line = self.canvas.beginText((self.left + text.x) * POINTS_PER_MM, self.from_top(self.top + text.y))
        line.setFont(typeface.FONT_NAME, em)
        if text.bold:
            self.canvas.setLineWidth(BOLD_STROKE_EM * em)
            line.setTextRenderMode(2)
        elif text.outline:
            self.canvas.setLineWidth(0.4)
            self.canvas.setStrokeGray(OUTLINE_GREY)
            line.setTextRenderMode(1)
        line.textOut(text.text)
        if text.bold or text.outline:
            line.setTextRenderMode(0)
        self.canvas.drawText(line)
        self.canvas.setStrokeGray(0)

    def code(self, code: Code) -> None:
        """The modules as an inline image mask of one bit a module, in black, on a white square with the quiet
        zone.
        """
        x, y = self.on_dots(self.left + code.x), self.on_dots(self.top + code.y)
        points = POINTS_PER_MM
        self.canvas.setFillGray(1)
        self.canvas.rect(
            x * points, self.from_top(y + code.side), code.side * points, code.side * points, stroke=0, fill=1
        )
        self.canvas.setFillGray(0)
        size = code.matrix.size
        side = (code.side - 2 * code.quiet) * points - 2 * HAIR
        left, bottom = (x + code.quiet) * points + HAIR, self.from_top(y + code.side - code.quiet) + HAIR
        bits = b"".join(qr.bit_rows(code.matrix)).hex()
        # The public drawInlineImage takes the picture through RGB: thirty times the bytes, and no mask. The
        # operators of an inline image are PDF 1.0 (ISO 32000-1, 8.9.7); /D [1 0] paints where a bit is 1.
        self.canvas._code.append(
            f"q {side:.4f} 0 0 {side:.4f} {left:.4f} {bottom:.4f} cm "
            f"BI /W {size} /H {size} /IM true /BPC 1 /D [1 0] /F /AHx ID {bits}> EI Q"
        )

    def from_top(self, y: float) -> float:
        """Millimetres from the top of the page as PDF's points from its bottom."""
        return float((self.height - y) * POINTS_PER_MM - HAIR)

    def on_dots(self, position: float) -> float:
        """The nearest whole printer dot, in millimetres."""
        dot = qr.MM_PER_INCH / self.layout.dpi
        return round(position / dot) * dot


def _crop_marks(canvas: Any, layout: Layout) -> None:
    """Short lines in line with the edges of labels, in the margins and in the gaps between columns and rows."""
    canvas.setLineWidth(0.25)
    across = _edges(layout.origin[0], layout.pitch[0], layout.label[0], layout.columns)
    down = _edges(layout.origin[1], layout.pitch[1], layout.label[1], layout.rows)
    points, height = POINTS_PER_MM, paper(layout)[1]
    for start, end in _margins(down, height):
        for x in {edge for pair in across for edge in pair}:
            canvas.line(x * points, (height - start) * points, x * points, (height - end) * points)
    for start, end in _margins(across, layout.page[0]):
        for y in {edge for pair in down for edge in pair}:
            canvas.line(start * points, (height - y) * points, end * points, (height - y) * points)


def _edges(origin: float, pitch: float, size: float, count: int) -> list[tuple[float, float]]:
    """Beginning and end of each label along one direction."""
    return [(origin + i * pitch, origin + i * pitch + size) for i in range(count)]


def _margins(labels: Sequence[tuple[float, float]], length: float) -> list[tuple[float, float]]:
    """The stretches outside the labels where a mark may stand: short of the labels, and no longer than a
    mark.
    """
    found = [(max(labels[0][0] - CROP_GAP_MM - CROP_MARK_MM, 0.0), labels[0][0] - CROP_GAP_MM)]
    found += [(before[1] + CROP_GAP_MM / 2, after[0] - CROP_GAP_MM / 2) for before, after in pairwise(labels)]
    end = labels[-1][1]
    found.append((end + CROP_GAP_MM, min(end + CROP_GAP_MM + CROP_MARK_MM, length)))
    return [(start, stop) for start, stop in found if stop - start > 0.3]
