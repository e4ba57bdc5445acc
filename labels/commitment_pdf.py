"""The 承诺达标合格证 as one page of PDF (A5), the typeface embedded, boxes drawn, the lot's code as QR."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from reportlab.lib.pagesizes import A5, landscape
from reportlab.pdfgen.canvas import Canvas

from labels import qr
from labels.commitment import words
from labels.models import Commitment
from trace import typeface
from trace.units import format_amount

_MM = 72 / 25.4
_WIDTH, _HEIGHT = landscape(A5)
_MARGIN = 12 * _MM
_BODY, _SMALL, _TITLE = 11.0, 8.0, 22.0


TITLE = "承诺达标合格证"
PLEDGE_LINE = "我承诺对生产销售的食用农产品："
BASIS_LINE = "承诺依据："
CODE_LINE = "扫码查看追溯信息"
"""The words of the paper: Chinese whoever prints it, as the law has them."""


def paper_fields(row: Commitment, contact: str) -> list[tuple[str, str]]:
    """The fields of the certificate as it is printed, name and value."""
    fields = [
        ("农产品名称", row.product_name),
        ("数量（重量）", format_amount(row.micros, row.unit, "zh-hans")),
        ("产地", row.origin),
        ("生产者（承诺主体）", row.organisation.name),
        ("联系方式", contact),
        ("开具日期", f"{row.issued_on.year}年{row.issued_on.month}月{row.issued_on.day}日"),
        ("批号", row.lot.code),
        ("合格证编号", row.number),
    ]
    if row.report is not None:
        fields.append(("检测证明", f"{row.report.laboratory_name} {row.report.report_number}"))
    return fields


def render_commitment(row: Commitment, *, contact: str, uri: str) -> bytes:
    """The certificate. Refuses characters the typeface lacks (``glyphs_missing``): never a blank."""
    fields = paper_fields(row, contact)
    typeface.require_glyphs(*(text for pair in fields for text in pair), *row.words["pledge"])
    typeface.font()
    out = io.BytesIO()
    canvas = Canvas(
        out,
        pagesize=(_WIDTH, _HEIGHT),
        invariant=1,
        pageCompression=1,
        initialFontName=typeface.FONT_NAME,
        lang="zh-CN",
    )
    canvas.setTitle(f"{TITLE} {row.number}")
    canvas.setLineWidth(1.2)
    canvas.rect(_MARGIN / 2, _MARGIN / 2, _WIDTH - _MARGIN, _HEIGHT - _MARGIN)
    canvas.setFont(typeface.FONT_NAME, _TITLE)
    canvas.drawCentredString(_WIDTH / 2, _HEIGHT - _MARGIN - _TITLE, TITLE)
    page = _Column(canvas, _HEIGHT - _MARGIN - _TITLE - 9 * _MM)
    page.line(PLEDGE_LINE, _BODY)
    for text in row.words["pledge"]:
        page.box(text, ticked=True)
    page.line(BASIS_LINE, _BODY)
    for item in words().bases:
        page.box(item.zh, ticked=item.key in row.bases)
    page.gap(2 * _MM)
    for name, value in fields:
        page.line(f"{name}：{value}", _BODY)
    _code(canvas, uri)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


class _Column:
    """Lines from the top of the page down, broken where they would run into the code or the border."""

    def __init__(self, canvas: Any, top: float) -> None:
        self.canvas = canvas
        self.y = top

    def gap(self, height: float) -> None:
        """Leave room."""
        self.y -= height

    def line(self, text: str, size: float, indent: float = 0.0) -> None:
        """One paragraph."""
        room = _WIDTH - 2 * _MARGIN - indent - (34 * _MM if self.y < 52 * _MM else 0)
        for part in _broken(text, room / size):
            self.canvas.setFont(typeface.FONT_NAME, size)
            self.canvas.drawString(_MARGIN + indent, self.y, part)
            self.y -= size * 1.42

    def box(self, text: str, *, ticked: bool) -> None:
        """A paragraph with a box, ticked or not; drawn, as no typeface can be trusted with it."""
        side = _BODY * 0.8
        left, bottom = _MARGIN + 4 * _MM, self.y - 0.8
        self.canvas.setLineWidth(0.8)
        self.canvas.rect(left, bottom, side, side)
        if ticked:
            self.canvas.setLineWidth(1.4)
            tick = self.canvas.beginPath()
            tick.moveTo(left + side * 0.18, bottom + side * 0.5)
            tick.lineTo(left + side * 0.42, bottom + side * 0.2)
            tick.lineTo(left + side * 0.85, bottom + side * 0.85)
            self.canvas.drawPath(tick)
        self.line(text, _BODY, indent=4 * _MM + side + 2 * _MM)


def _broken(text: str, room: float) -> Sequence[str]:
    """Text in lines of at most ``room`` em; Chinese may break anywhere."""
    lines = [""]
    for char in typeface.tidy(text):
        if lines[-1] and typeface.width_em(lines[-1] + char) > room:
            lines.append("")
        lines[-1] += char
    return lines


def _code(canvas: Any, uri: str) -> None:
    """The lot's own code in the lower right corner, with what it leads to."""
    matrix = qr.matrix(uri, qr.Level.M)
    side, size = 28 * _MM, matrix.size
    left, bottom = _WIDTH - _MARGIN - side, _MARGIN + 4 * _MM
    module = side / size
    canvas.setFillGray(0)
    for number, row in enumerate(matrix.rows):
        for column, dark in enumerate(row):
            if dark:
                canvas.rect(left + column * module, bottom + side - (number + 1) * module, module, module, 0, 1)
    canvas.setFont(typeface.FONT_NAME, _SMALL)
    canvas.drawCentredString(left + side / 2, bottom - _SMALL * 1.3, CODE_LINE)
