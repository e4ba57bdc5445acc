"""A label printer for tests: the few commands of ZPL II that our labels use, drawn dot by dot.

It knows nothing of how the labels were made: its QR codes come from ``qrcode`` as a printer's own encoder would make
them. What it does not know is an error.
"""

from __future__ import annotations

import re

import qrcode
from PIL import Image, ImageDraw, ImageFont

from trace import typeface

_LEVELS = {"L": 1, "M": 0, "Q": 3, "H": 2}
_COMMAND = re.compile(r"([\^~])(A0|[A-Z]{2})([^\^~]*)")
_MOST_MAGNIFIED = 10
"""Of ``^BQ``, by the programming guide."""


def printed(zpl: str) -> list[Image.Image]:
    """Every label with something on it, black on white, a pixel a dot."""
    pictures: dict[str, Image.Image] = {}
    found: list[Image.Image] = []
    label = Image.new("1", (1, 1), 1)
    width = height = x = y = shift = down = size = 0
    used, barcode = False, 0
    for _mark, command, text in _COMMAND.findall(zpl.replace("\n", "")):
        values = text.split(",")
        match command:
            case "XA":
                label, used = Image.new("1", (max(width, 1), max(height, 1)), 1), False
            case "PW":
                width = int(text)
                label = label.resize((width, max(height, 1)))
            case "LL":
                height = int(text)
                label = label.resize((max(width, 1), height))
            case "LS":
                shift = int(text)
            case "LT":
                down = int(text)
            case "DG":
                name, total, stride, digits = values
                data = bytes.fromhex(digits)
                assert len(data) == int(total) == int(stride) * (int(total) // int(stride))
                rows = int(total) // int(stride)
                dark = bytes(byte ^ 0xFF for byte in data)
                pictures[name] = Image.frombytes("1", (int(stride) * 8, rows), dark)
            case "FO":
                x, y, barcode, size = int(values[0]) - shift, int(values[1]) + down, 0, 0
            case "XG":
                picture = pictures[values[0]]
                label.paste(0, (x, y), Image.eval(picture.convert("L"), lambda dot: 255 - dot).convert("1"))
                used = True
            case "BQ":
                assert values[:2] == ["N", "2"]
                barcode = int(values[2])
                assert 1 <= barcode <= _MOST_MAGNIFIED
            case "A0":
                size = int(values[1])
            case "FD" if barcode:
                code = qrcode.QRCode(error_correction=_LEVELS[text[0]], box_size=barcode, border=0)
                assert text[1:3] == "A,"
                code.add_data(text[3:])
                code.make(fit=True)
                label.paste(code.make_image().get_image().convert("1"), (x, y))
                used = True
            case "FD":
                font = ImageFont.truetype(str(typeface.FONT_PATH), size)
                ImageDraw.Draw(label).text((x, y), text, fill=0, font=font)
            case "XZ":
                if used:
                    found.append(label)
            case "CI" | "LH" | "FS" | "ID":
                pass
            case _:
                raise AssertionError(f"the printer does not know {command}")
    return found
