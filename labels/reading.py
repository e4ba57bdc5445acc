"""Reading codes back before paper is printed with them: a code that no phone reads must not leave the house."""

from collections.abc import Iterable

import zxingcpp
from PIL import Image

from labels import qr
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
