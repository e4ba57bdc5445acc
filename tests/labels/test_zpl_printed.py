"""Labels in ZPL, printed by a printer of our own and read by a decoder."""

from __future__ import annotations

import dataclasses
import re

import pytest
import zxingcpp

from labels.compose import LabelContent
from labels.layouts import layout, layouts
from labels.zpl import render_zpl
from tests.labels.zpl_printer import printed
from trace.identifiers import display_serial, new_serials

ROLLS = [key for key, found in layouts().items() if not found.is_sheet]
LINES = (
    ("批号", "20261002-1"),
    ("生产日期", "2026年10月2日"),
    ("净含量", "500 mL"),
    ("生产者", "汾阳示例清香酒坊有限公司"),
)


def labels(count: int = 2) -> list[LabelContent]:
    """Bottles of one lot."""
    return [
        LabelContent(
            f"https://trace.fenyang.example/01/09520000010010/21/{serial}",
            "示例清香白酒",
            LINES,
            code=display_serial(serial),
            host="核对网址 trace.fenyang.example",
        )
        for serial in new_serials(count)
    ]


def read(zpl: str) -> list[list[str]]:
    """What a decoder reads on each printed label."""
    formats = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    return [
        [code.text for code in zxingcpp.read_barcodes(label.convert("L"), formats=formats)] for label in printed(zpl)
    ]


@pytest.mark.once
@pytest.mark.parametrize("dpi", [203, 300, 600])
@pytest.mark.parametrize("key", ROLLS)
def test_every_roll_is_read_as_printed(key: str, dpi: int) -> None:
    wanted = labels()
    zpl = render_zpl(wanted, dataclasses.replace(layout(key), dpi=dpi))
    assert read(zpl) == [[label.uri] for label in wanted]


@pytest.mark.once
def test_the_printer_shows_what_is_wrong_with_a_label() -> None:
    wanted = labels()
    zpl = render_zpl(wanted, layout("roll-60x40"))
    assert read(zpl.replace("/21/", "/22/")) != [[label.uri] for label in wanted]
    assert read(re.sub(r"\^FO\d+,\d+\^BQ", "^FO400,250^BQ", zpl)) != [[label.uri] for label in wanted]
    with pytest.raises(AssertionError):
        printed(zpl.replace("^BQN,2,", "^BQN,2,9"))
    with pytest.raises(AssertionError):
        printed(zpl.replace("^BQN", "^BCN"))
