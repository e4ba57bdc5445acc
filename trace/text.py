"""Text and whole numbers from strangers, made safe before they reach a database.

SQLite stores NUL, lone surrogates and over-long text that PostgreSQL refuses, and both fail on huge integers.
Forms and the API pass every value through here, so that both databases answer alike and the answer is a
sentence, not a crash.
"""

import re
import unicodedata

from django.utils.translation import gettext as _

from trace.errors import Invalid

# Characters that change the direction of what follows: with them a name on a label can read backwards
# (CVE-2021-42574).
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Invisible characters that cling to the ends of pasted text; inside a word they may carry meaning (ZWJ in
# emoji).
_CLINGING = " \t\r\n\u00a0\u200b\u3000\ufeff"
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0x00A0: 0x20}
# NFC never makes more than three characters of one and rarely fewer than a quarter: a longer raw text cannot
# fit.
_NFC_SLACK = 4
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")


def fold_width(value: str) -> str:
    """Full-width ASCII (０-９, Ａ-Ｚ, ．, ，) and wide spaces to their ordinary forms.

    Everything else unchanged.
    """
    return value.translate(_FULL_WIDTH)


def printable(value: object, max_length: int = 60) -> str:
    """A short form of any value that is safe to repeat in a message or a JSON body.

    No NUL, no surrogates, no control characters; never converts a huge integer.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**18):
        text = repr(value)
    else:
        text = type(value).__name__
    text = text[: max_length + 1]
    safe = "".join(
        c if c.isprintable() and c not in _BIDI and not 0xD800 <= ord(c) <= 0xDFFF else f"\\u{ord(c):04x}" for c in text
    )
    return safe if len(text) <= max_length else safe[:max_length] + "…"


def clean_text(value: object, max_length: int, multiline: bool = False, *, required: bool = False) -> str:
    """A stranger's text in NFC without spaces around it.

    Line breaks become ``\\n`` and are allowed only where ``multiline``; a tab becomes a space (pasted from
    spreadsheets).
    Raises Invalid: ``required`` (blank where ``required``), ``text_not_text``, ``text_nul``,
    ``text_surrogate``,
    ``text_control`` (other control, direction-changing and non-characters), ``text_too_long`` (more than
    ``max_length`` characters after normalisation).
    """
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise Invalid(_("这里应当是文字。"), code="text_not_text")
    if len(value) > max_length * _NFC_SLACK + 100:
        raise _too_long(len(value), max_length)
    if "\x00" in value:
        raise Invalid(_("文字里有看不见的空字符(NUL)，请删去后重新输入。"), code="text_nul")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise Invalid(_("文字里有残缺的字符(半个表情符号)，请删去后重新输入。"), code="text_surrogate")
    text = re.sub("\r\n?|[\u2028\u2029\u0085]", "\n", value).strip(_CLINGING).replace("\t", " ")
    text = unicodedata.normalize("NFC", text)
    if not multiline and "\n" in text:
        raise Invalid(_("这里只能填一行文字，请去掉换行。"), code="text_control")
    for char in text:
        if char != "\n" and (char in _BIDI or unicodedata.category(char) == "Cc" or _is_noncharacter(char)):
            raise Invalid(
                _("文字里有不能显示的控制字符(%(code)s)，请删去后重新输入。") % {"code": f"U+{ord(char):04X}"},
                code="text_control",
                character=f"U+{ord(char):04X}",
            )
    if len(text) > max_length:
        raise _too_long(len(text), max_length)
    if required and not text:
        raise Invalid(_("这一项必须填写。"), code="required")
    return text


def clean_int(value: object, minimum: int, maximum: int) -> int:
    """A whole number between two bounds, both included; full-width digits and surrounding spaces are
    accepted.

    Raises Invalid: ``required`` (blank), ``not_an_integer``, ``out_of_range``. Never converts text of
    unbounded length.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        if value is None:
            raise Invalid(_("这一项必须填写。"), code="required")
        raise Invalid(_("这里应当是整数。"), code="not_an_integer")
    if isinstance(value, str):
        text = fold_width(value[:100]).strip(_CLINGING)
        if not text:
            raise Invalid(_("这一项必须填写。"), code="required")
        if not _INTEGER.fullmatch(text) or len(value) > 100:
            too_big = text.lstrip("+-").isdecimal() and text.isascii()
            if too_big:
                raise _out_of_range(minimum, maximum)
            raise Invalid(_("这里应当是整数，例如 12。"), code="not_an_integer")
        value = int(text)
    if not minimum <= value <= maximum:
        raise _out_of_range(minimum, maximum)
    return value


def _is_noncharacter(char: str) -> bool:
    """U+FFFE, U+FFFF of each plane and U+FDD0–U+FDEF: XML documents cannot carry them."""
    code = ord(char)
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def _too_long(length: int, max_length: int) -> Invalid:
    return Invalid(
        _("文字太长：最多 %(max)d 个字符，现在有 %(length)d 个，请缩短。") % {"max": max_length, "length": length},
        code="text_too_long",
        max_length=max_length,
    )


def _out_of_range(minimum: int, maximum: int) -> Invalid:
    return Invalid(
        _("数字超出范围，应在 %(min)s 到 %(max)s 之间。") % {"min": minimum, "max": maximum},
        code="out_of_range",
        minimum=minimum,
        maximum=maximum,
    )
