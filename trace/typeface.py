"""The one typeface of everything printed, carried by the project, and what it can write.

A label with a blank where a character should be is the fault that users of other systems report most: so
whoever prints asks ``require_glyphs`` first, and a character that the typeface lacks is an error that names
it. Origin, coverage and licence of the file: ``trace/fonts/README.md``.
"""

import functools
import unicodedata
from pathlib import Path

from django.utils.translation import gettext as _
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from trace.errors import Invalid

FONT_PATH = Path(__file__).resolve().parent / "fonts" / "LabelSansSC-Regular.ttf"
FONT_NAME = "LabelSansSC"
CHARACTER_HEIGHT_EM = 0.92
"""The height of a Chinese character as a share of the type size."""
MIN_SIZE_PT = 5.6
"""Smallest size on any label: characters 1.8 mm high (GB 7718-2011, 3.9, asks that of mandatory text)."""


@functools.cache
def font() -> TTFont:
    """The typeface, read once (about 0.1 s) and registered with the PDF library under ``FONT_NAME``."""
    loaded = TTFont(FONT_NAME, str(FONT_PATH))
    pdfmetrics.registerFont(loaded)
    return loaded


@functools.cache
def _advances() -> dict[int, float]:
    """Advance of each character the typeface has, as a share of the type size."""
    return {code: width / 1000 for code, width in font().face.charWidths.items()}


def tidy(text: str) -> str:
    """Text as it is printed on one line: composed characters, any white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def missing_glyphs(text: str) -> set[str]:
    """The characters of ``text`` that the typeface cannot write; white space aside, which is printed as a
    space.
    """
    known = _advances()
    return {char for char in set(tidy(text)) if ord(char) not in known}


def require_glyphs(*texts: str) -> None:
    """Refuse text that would be printed with a blank: ``glyphs_missing``, the characters in the details."""
    missing = sorted(set().union(*(missing_glyphs(text) for text in texts)))
    if missing:
        shown = _("、").join(f"{_visible(char)}(U+{ord(char):04X})" for char in missing[:10])
        raise Invalid(
            _("这些字符印不出来，请换一种写法：%(characters)s。") % {"characters": shown},
            code="glyphs_missing",
            characters=[f"U+{ord(char):04X}" for char in missing],
        )


def _visible(char: str) -> str:
    """The character itself where it can be shown in a message, else a stand-in."""
    return char if char.isprintable() else "\N{REPLACEMENT CHARACTER}"


def width_em(text: str) -> float:
    """The width of a line of text as a share of the type size; characters the typeface lacks count as
    full-width.
    """
    known = _advances()
    return sum(known.get(ord(char), 1.0) for char in text)
