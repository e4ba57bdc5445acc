"""Names cut so that any part of a Chinese name, and the beginning of any word, is found by an index. Pure.

A term is what a name says from one place on: from every Chinese character, and from the beginning of every word in
other scripts. Whoever looks for a part of a name then asks for terms that begin with it, which an ordered index answers
at once. Terms are bytes (UTF-8), whose order is the same on every database.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LETTERS = 12
"""Letters of a term at most; a longer question is compared with the whole name afterwards."""
MOST_BYTES = 48
"""Bytes of a term at most: four for each letter."""

_APART = re.compile(r"[^\w]+")


def folded(text: str) -> str:
    """The name without regard to case, width, spaces and punctuation."""
    return _APART.sub("", unicodedata.normalize("NFKC", text).casefold()).replace("_", "")


def terms(texts: Iterable[str]) -> set[bytes]:
    """The terms of some names."""
    found: set[bytes] = set()
    for text in texts:
        words = _APART.sub(" ", unicodedata.normalize("NFKC", text).casefold()).split()
        whole = "".join(words)
        place = 0
        for word in words:
            for at in range(len(word)):
                if at == 0 or _is_wide(word[at]) or _is_wide(word[at - 1]):
                    found.add(whole[place + at : place + at + LETTERS].encode())
            place += len(word)
    return found - {b""}


def _is_wide(char: str) -> bool:
    """Whether a letter is a word of its own (Chinese, Japanese, Korean)."""
    return unicodedata.east_asian_width(char) in "WF"


def span(text: str) -> tuple[bytes, bytes] | None:
    """From where to where (not included) the terms lie that begin with this text; None where it says nothing."""
    key = folded(text)[:LETTERS].encode()
    return (key, key + b"\xff") if key else None
