"""Reading codes back before paper is printed with them: a code that no phone reads must not leave the house."""

from collections.abc import Iterable, Sequence

import pypdfium2
import zxingcpp
from PIL import Image

from labels import qr
from labels.layouts import Layout
from labels.qr import QrMatrix

_FORMATS = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
_SCALES = (2, 4)
"""Pixels a module: the first nearly always does, the second is for what the decoder misses at so small a size."""


def read_back(code: QrMatrix) -> str | None:
    """What a decoder other than our encoder reads in a code as it is printed, quiet zone included; None for nothing."""
    width = code.full_size
    plain = Image.frombytes("1", (width, width), b"".join(qr.bit_rows(code, quiet=qr.QUIET_ZONE)), "raw", "1;I")
    for scale in _SCALES:
        picture = plain.resize((width * scale, width * scale), Image.Resampling.NEAREST).convert("L")
        found = zxingcpp.read_barcodes(
            picture,
            formats=_FORMATS,
            is_pure=True,
            try_rotate=False,
            try_downscale=False,
            try_invert=False,
        )
        if found:
            return str(found[0].text)
    return None


def first_unread(codes: Iterable[QrMatrix]) -> int | None:
    """The place (from 1) of the first code that is not read as what it should say; None where all are."""
    for place, code in enumerate(codes, start=1):
        if read_back(code) != code.data:
            return place
    return None


DRAWN_DPI = 300


def read_drawn(
    document: bytes, page: int, layout: Layout, places: Sequence[int], *, offset: tuple[float, float] = (0.0, 0.0)
) -> list[str | None]:
    """What a decoder reads in each of these places (from 0) of one page of a PDF, drawn as a printer of 300 dpi would:
    quiet zone, texts nearby and crop marks are all there. None where it reads no code or more than one.
    """
    pdf = pypdfium2.PdfDocument(document)
    try:
        picture = pdf[page].render(scale=DRAWN_DPI / 72, grayscale=True).to_pil()
    finally:
        pdf.close()
    found: list[str | None] = []
    for place in places:
        x, y = layout.corner(place)
        left, top = x + offset[0], y + offset[1]
        edges = (left, top, left + layout.label[0], top + layout.label[1])
        label = picture.crop([round(edge * DRAWN_DPI / qr.MM_PER_INCH) for edge in edges])
        codes = zxingcpp.read_barcodes(label, formats=_FORMATS)
        found.append(str(codes[0].text) if len(codes) == 1 else None)
    return found
