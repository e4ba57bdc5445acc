"""Labels as ZPL II, the language of label printers: what all labels share is stored in the printer once as a picture,
the QR code and the code in words are made by its firmware.

The picture carries the Chinese, so that no font need be in the printer. ``^BQ`` makes a QR code of model 2 with modules
of whole dots; ``^FD`` begins with the error correction and ``A`` for input of any kind. Room is kept for the code of
one segment of bytes: what the printer's own encoder makes may be a version smaller, never a larger one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from labels import qr
from labels.compose import BOLD_STROKE_EM, Composed, Text
from labels.layouts import Layout
from labels.sheets import LabelContent, compose_all
from trace import typeface

PICTURE = "R:SHARED.GRF"
MOST_MAGNIFIED = 10
"""Dots a module of ``^BQ`` may have (ZPL II Programming Guide, ^BQ, parameter c); a printer ignores a larger number."""
_OWN_FONT_EM = 0.72
"""Height of the printer's own capitals as a share of the type size."""


def render_zpl(
    labels: Sequence[LabelContent],
    layout: Layout,
    *,
    material: qr.Material = qr.Material.SMOOTH,
    offset: tuple[float, float] = (0.0, 0.0),
) -> str:
    """The labels of one lot as ZPL, one format each, for rolls of ``layout``'s size and resolution.

    All labels must share their texts, as those of a run do (ValueError). Refuses what ``compose_all`` refuses.
    """
    composed = compose_all(labels, layout, material, split=False)
    if len({label.shared for label in composed}) != 1:
        raise ValueError("labels of one ZPL file share their texts")
    first = composed[0]
    width, height = (dots(side, layout.dpi) for side in layout.label)
    # The label's home takes no negative numbers; these two do: a shift to the left, a move down.
    shift, down = -dots(offset[0], layout.dpi), dots(offset[1], layout.dpi)
    setting = f"^PW{width}^LL{height}^LH0,0^LS{shift}^LT{down}"
    parts = ["^XA^CI28", setting, "^XZ", _stored(first, width, height, layout.dpi)]
    parts += [_one(label, layout, setting) for label in composed]
    parts.append(f"^XA^ID{PICTURE}^FS^XZ")
    return "\n".join(parts) + "\n"


def dots(millimetres: float, dpi: int) -> int:
    """Whole printer dots, the nearest."""
    return round(millimetres * dpi / qr.MM_PER_INCH)


def shared_picture(first: Composed, width: int, height: int, dpi: int) -> Image.Image:
    """The texts that the labels share, black on white, a pixel a dot."""
    picture = Image.new("1", (width, height), 1)
    pen = ImageDraw.Draw(picture)
    for text in (*first.watermark, *first.shared):
        _draw(pen, text, dpi)
    if first.panel is not None:
        x, y, w, h = (dots(side, dpi) for side in first.panel)
        pen.rectangle((x, y, x + w, y + h), outline=0)
    return picture


def _draw(pen: ImageDraw.ImageDraw, text: Text, dpi: int) -> None:
    """One row of text on its base line, stretched to nothing: the typeface is the one it was measured with."""
    size = text.size * dpi / 72
    font = ImageFont.truetype(str(typeface.FONT_PATH), max(round(size), 1))
    stroke = 1 if text.bold and size * BOLD_STROKE_EM >= 0.5 else 0
    place = (dots(text.x, dpi), dots(text.y, dpi))
    pen.text(place, text.text, fill=0, font=font, anchor="ls", stroke_width=stroke)


def _stored(first: Composed, width: int, height: int, dpi: int) -> str:
    """The command that stores the shared picture: bytes in all, bytes a row, then hexadecimal digits, 1 for black."""
    stride = math.ceil(width / 8)
    picture = shared_picture(first, width, height, dpi)
    data = bytes(byte ^ 0xFF for byte in picture.tobytes())
    # The padding bits at the end of a row must stay white.
    spare = stride * 8 - width
    if spare:
        keep = 0xFF << spare & 0xFF
        data = b"".join(
            data[at : at + stride - 1] + bytes([data[at + stride - 1] & keep]) for at in range(0, len(data), stride)
        )
    return f"~DG{PICTURE},{len(data)},{stride},{data.hex().upper()}"


def _one(label: Composed, layout: Layout, setting: str) -> str:
    """One label: the stored picture, the code, the code in words."""
    code, dpi = label.code, layout.dpi
    module = min(code.fit.module_dots, MOST_MAGNIFIED)
    # What is drawn smaller than there is room for stays in the middle of it.
    spare = code.matrix.size * (code.fit.module_dots - module) // 2
    x, y = dots(code.x + code.quiet, dpi) + spare, dots(code.y + code.quiet, dpi) + spare
    words = "".join(
        f"^FO{dots(text.x, dpi)},{dots(text.y - text.size * 0.35 * _OWN_FONT_EM, dpi)}"
        f"^A0N,{dots(text.size * 25.4 / 72, dpi)}^FD{text.text}^FS"
        for text in label.own
    )
    return (
        f"^XA{setting}^FO0,0^XG{PICTURE},1,1^FS"
        f"^FO{x},{y}^BQN,2,{module}^FD{code.matrix.level}A,{_escaped(code.matrix.data)}^FS{words}^XZ"
    )


def _escaped(text: str) -> str:
    """A caret and a tilde begin commands; an address has neither (RFC 3986 keeps the tilde, our builder does not)."""
    return text.replace("^", "%5E").replace("~", "%7E")
