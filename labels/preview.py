"""One code or one label to look at, to paste into one's own artwork, or to check before printing.

A code alone comes as SVG for a designer and as PNG for a word processor; a label comes as SVG at true size, made from
the same marks as the PDF, so that what is seen is what is printed but for the typeface of the screen.
"""

import io

import pypdfium2

from labels import qr
from labels.compose import BOLD_STROKE_EM, MM_PER_POINT, Composed, LabelContent, Text, compose
from labels.layouts import Layout
from labels.sheets import render_sheet

SCREEN_FONTS = "'PingFang SC','HarmonyOS Sans SC','MiSans','Noto Sans CJK SC','Microsoft YaHei',sans-serif"


LABEL_DPI = 600


def code_svg(
    uri: str, *, material: qr.Material = qr.Material.SMOOTH, side_mm: float | None = None, title: str = ""
) -> str:
    """The code of an address as a complete SVG document with its quiet zone; 0.495 mm a module without ``side_mm``.

    Refuses a side whose modules would be outside 0.396–0.990 mm (``qr_bad_side``), and what ``qr.matrix``
    refuses.
    """
    code = qr.matrix(uri, qr.LEVEL_FOR[qr.Material(material)])
    if side_mm is not None:
        qr.require_side(code, side_mm)
    return qr.svg(code, side_mm=side_mm, title=title)


def code_png(
    uri: str, *, dpi: int = 300, module_dots: int | None = None, material: qr.Material = qr.Material.SMOOTH
) -> bytes:
    """The code of an address as a black-and-white PNG with its quiet zone, a module being whole dots of the printer.

    Refuses what ``qr.matrix`` and ``qr.png`` refuse.
    """
    return qr.png(qr.matrix(uri, qr.LEVEL_FOR[qr.Material(material)]), dpi=dpi, module_dots=module_dots)


def label_png(content: LabelContent, layout: Layout, *, material: qr.Material = qr.Material.SMOOTH) -> bytes:
    """One label at true size as a grey PNG of 600 dpi, drawn from the PDF that would be printed. Refuses what printing
    it would refuse.
    """
    document = pypdfium2.PdfDocument(render_sheet([content], layout, material=material))
    try:
        picture = document[0].render(scale=LABEL_DPI / 72, grayscale=True).to_pil()
    finally:
        document.close()
    left, top = layout.corner(0)
    edges = (left, top, left + layout.label[0], top + layout.label[1])
    label = picture.crop([round(edge * LABEL_DPI / qr.MM_PER_INCH) for edge in edges])
    out = io.BytesIO()
    label.save(out, "PNG", dpi=(LABEL_DPI, LABEL_DPI), optimize=True)
    return out.getvalue()


def label_svg(content: LabelContent, layout: Layout, *, material: qr.Material = qr.Material.SMOOTH) -> str:
    """One label at true size as an SVG element with its edge drawn. Refuses what printing it would refuse.

    The typeface is the screen's, stretched to the width of the printed one. No style attribute and no script, so it may
    stand in a page under a strict content security policy.
    """
    composed = compose(content, layout, material)
    width, height = layout.label
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}mm" height="{height:g}mm" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" font-family="{SCREEN_FONTS}">'
        f"<title>{qr.escape_xml(content.title)}</title>"
        f'<rect x="0.1" y="0.1" width="{width - 0.2:g}" height="{height - 0.2:g}" rx="1.5" fill="#fff" '
        f'stroke="#999" stroke-width="0.2"/>{_marks(composed)}</svg>'
    )


def left_out(content: LabelContent, layout: Layout, *, material: qr.Material = qr.Material.SMOOTH) -> tuple[str, ...]:
    """Names of what a label may say but has no room for. Refuses what printing it would refuse."""
    return compose(content, layout, material).left_out


def _marks(composed: Composed) -> str:
    """The marks of a label in the order of drawing."""
    code = composed.code
    scale = code.fit.module_mm
    square = (
        f'<g transform="translate({code.x:.4f} {code.y:.4f}) scale({scale:.6f})" shape-rendering="crispEdges">'
        f'<path d="{qr.svg_path(code.matrix)}"/></g>'
    )
    panel = ""
    if composed.panel is not None:
        x, y, w, h = composed.panel
        panel = (
            f'<rect x="{x:.3f}" y="{y:.3f}" width="{w:.3f}" height="{h:.3f}" fill="#eee" stroke="#777" '
            f'stroke-width="0.15" stroke-dasharray="0.7 0.5"/>'
        )
    return "".join(map(_text, composed.watermark)) + square + panel + "".join(map(_text, composed.texts))


def _text(text: Text) -> str:
    """One row of text."""
    size = text.size * MM_PER_POINT
    look = ""
    if text.bold:
        look = f' stroke="#000" stroke-width="{size * BOLD_STROKE_EM:.3f}"'
    elif text.outline:
        look = ' fill="none" stroke="#777" stroke-width="0.15"'
    return (
        f'<text x="{text.x:.3f}" y="{text.y:.3f}" font-size="{size:.3f}" textLength="{text.width:.3f}" '
        f'lengthAdjust="spacingAndGlyphs" xml:space="preserve"{look}>{qr.escape_xml(text.text)}</text>'
    )
