"""The recall as an A4 poster for shops: what, which lots, what to do, telephone, QR. The typeface is embedded."""

from __future__ import annotations

import io
from collections.abc import Sequence

from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from labels import qr
from recalls.models import PublicNotice
from trace import typeface
from trace.moments import DAY, words

_MM = 72 / 25.4
_WIDTH, _HEIGHT = A4
_MARGIN = 16 * _MM
_QR = 46 * _MM
HEAD, QR_LINE = "产品召回", "扫码查看公告、核对批号、申请退货"


def poster_lines(notice: PublicNotice) -> list[tuple[str, float]]:
    """The words of the poster with their sizes in points: Chinese whoever prints it, as the announcement has them."""
    campaign = notice.campaign
    lines = [(campaign.title, 24.0), (f"召回编号 {campaign.number or ''}", 13.0)]
    for goods in notice.goods:
        lines.append((f"{goods['name']} {goods.get('spec') or ''}".strip(), 18.0))
        for lot in goods["lots"]:
            day = f"　生产日期 {lot['produced_on']}" if lot["produced_on"] else ""
            lines.append((f"批号 {lot['code']}{day}", 16.0))
    lines += [
        ("为什么召回：" + notice.reason, 14.0),
        ("有什么危险：" + notice.risk, 14.0),
        ("请您：" + notice.what_to_do, 18.0),
        ("退货和赔偿：" + notice.compensation, 14.0),
        (f"电话 {notice.phone}", 20.0),
        (f"{notice.producer}　{words(campaign.announced_at, DAY)}" if campaign.announced_at else notice.producer, 12.0),
    ]
    return lines


def render_poster(notice: PublicNotice, *, uri: str) -> bytes:
    """The poster. Refuses characters the typeface lacks (``glyphs_missing``): never a blank."""
    lines = poster_lines(notice)
    typeface.require_glyphs(HEAD, QR_LINE, *(text for text, _size in lines))
    typeface.font()
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1, pageCompression=1, initialFontName=typeface.FONT_NAME, lang="zh-CN")
    canvas.setTitle(f"{HEAD} {notice.campaign.number or ''}")
    y = _head(canvas, uri)
    for text, size in lines:
        for part in _broken(text, (_WIDTH - 2 * _MARGIN) / size):
            if y - size * 1.4 < _MARGIN:
                canvas.showPage()
                y = _HEIGHT - _MARGIN
            y -= size * 1.4
            canvas.setFont(typeface.FONT_NAME, size)
            canvas.drawString(_MARGIN, y, part)
        y -= 6
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def _head(canvas: Canvas, uri: str) -> float:
    """The bar with the word, the QR below it; where the text begins."""
    canvas.setFillColorRGB(0.65, 0.07, 0.07)
    canvas.rect(0, _HEIGHT - 44 * _MM, _WIDTH, 44 * _MM, 0, 1)
    canvas.setFillGray(1)
    canvas.setFont(typeface.FONT_NAME, 64)
    canvas.drawCentredString(_WIDTH / 2, _HEIGHT - 32 * _MM, HEAD)
    canvas.setFillGray(0)
    matrix = qr.matrix(uri, qr.Level.M)
    module = _QR / matrix.size
    left, bottom = (_WIDTH - _QR) / 2, _HEIGHT - 52 * _MM - _QR
    for number, row in enumerate(matrix.rows):
        for column, dark in enumerate(row):
            if dark:
                canvas.rect(left + column * module, bottom + _QR - (number + 1) * module, module, module, 0, 1)
    canvas.setFont(typeface.FONT_NAME, 12)
    canvas.drawCentredString(_WIDTH / 2, bottom - 6 * _MM, QR_LINE)
    return float(bottom - 12 * _MM)


def _broken(text: str, room: float) -> Sequence[str]:
    """Text in lines of at most ``room`` em; Chinese may break anywhere."""
    lines: list[str] = []
    for paragraph in typeface.tidy(text).split("\n"):
        lines.append("")
        for char in paragraph:
            if lines[-1] and typeface.width_em(lines[-1] + char) > room:
                lines.append("")
            lines[-1] += char
    return lines
