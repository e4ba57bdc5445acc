"""Labels as they are after a while: blurred, and with a part of the code gone; read by two decoders of other makers."""

from __future__ import annotations

import math
import random

import deqr
import pytest
import zxingcpp
from PIL import Image, ImageDraw, ImageFilter

from labels import qr
from labels.qr import Level, QrMatrix
from trace.identifiers import SERIAL_ALPHABET

pytestmark = pytest.mark.once
HOST = "https://trace.fenyang.example.cn/01/09520000010010/21/"
DAMAGE = 0.07
"""Share of the code's area that is gone."""
FINDER = 8
"""Modules of a corner pattern with its separator: who lost one of the three lost the code for most decoders."""
ALIGNMENT = 9 - 4
"""The same of the small pattern near the fourth corner: it begins so far from the edge."""
SIZES = [(dpi, dots) for dpi in (203, 300) for dots in range(qr.least_dots(dpi), qr.most_dots(dpi) + 1)]
BY = {
    "zxing": lambda picture: [each.text for each in zxingcpp.read_barcodes(picture)],
    "zbar": lambda picture: [
        "".join(entry.data for entry in each.data_entries) for each in deqr.QRdecDecoder().decode(picture)
    ],
}


def printed(code: QrMatrix, dots: int, dpi: int) -> Image.Image:
    """A code as printed with so many dots a module, photographed at 300 dpi with the camera a little out of focus."""
    plain = Image.frombytes(
        "1", (code.full_size, code.full_size), b"".join(qr.bit_rows(code, quiet=qr.QUIET_ZONE)), "raw", "1;I"
    ).convert("L")
    side = code.full_size * round(dots * 300 / dpi)
    return plain.resize((side, side), Image.Resampling.NEAREST).filter(
        ImageFilter.GaussianBlur(side / code.full_size / 4)
    )


def worn(picture: Image.Image, code: QrMatrix, chance: random.Random) -> Image.Image:
    """The same with 7 % of the code's area rubbed white or stained black in one place or two, the corner patterns left
    alone.
    """
    picture = picture.copy()
    pen = ImageDraw.Draw(picture)
    module = picture.width / code.full_size
    spots = chance.choice([1, 2])
    across = 2 * math.sqrt(DAMAGE * code.size**2 / spots / math.pi)
    for _spot in range(spots):
        while True:
            x, y = (chance.uniform(0, code.size - across) for _ in range(2))
            low = [place < FINDER for place in (x, y)]
            high = [place + across > code.size - FINDER for place in (x, y)]
            corner = (low[0] and (low[1] or high[1])) or (high[0] and low[1])
            if not corner and max(x, y) + across < code.size - ALIGNMENT:
                break
        left, top = (x + qr.QUIET_ZONE) * module, (y + qr.QUIET_ZONE) * module
        pen.ellipse((left, top, left + across * module, top + across * module), fill=chance.choice([0, 255]))
    return picture.filter(ImageFilter.GaussianBlur(module / 5))


@pytest.mark.parametrize("decoder", BY)
def test_labels_of_every_permitted_size_are_read_blurred_and_at_level_q_damaged(decoder: str) -> None:
    chance = random.Random(23)
    read = asked = 0
    for number in range(6 * len(SIZES)):
        serial = "".join(chance.choices(SERIAL_ALPHABET, k=12))
        dpi, dots = SIZES[number % len(SIZES)]
        uri = HOST + serial
        plain = qr.matrix(uri, Level.M)
        tough = qr.matrix(uri, Level.Q)
        for picture in (printed(plain, dots, dpi), worn(printed(tough, dots, dpi), tough, chance)):
            asked += 1
            read += uri in BY[decoder](picture)
    assert asked >= 100
    assert read / asked >= 0.99, f"{read} of {asked}"
