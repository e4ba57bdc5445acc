"""Where goods grew or were made, as a step says it: one of our places, a division's code, or typed words."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from trace.models import Division, Place
from trace.sentences import Sentence, in_each_language

_ENDINGS = ("壮族自治区", "回族自治区", "维吾尔自治区", "自治区", "省", "市")
_NOT_HERE = re.compile(r"^(?:路|街|大道|巷)")
"""A street that is named after a province lies anywhere."""


class Region(NamedTuple):
    """A division goods are from: its code and its name with those above it."""

    code: str
    words: str


def regions_of(values: Iterable[Any]) -> dict[str, Region]:
    """The region each of these values of a field ``origin`` names; left out where it names none we know.

    Two queries at most, whatever the number.
    """
    asked = {str(value).strip() for value in values if value not in (None, "")}
    if not asked:
        return {}
    uids = {text: uid for text in asked if (uid := _uid(text)) is not None}
    places = {place.uid: place.division_id for place in Place.objects.filter(uid__in=uids.values())} if uids else {}
    known = {row.code: row for row in Division.objects.all()}
    found: dict[str, Region] = {}
    for text in asked:
        code = places.get(uids[text]) if text in uids else _code_of(text, known)
        if code is not None:
            found[text] = Region(code, _path(code, known))
    return found


def origin_shown(value: Any) -> str:
    """A stored origin as somebody types it: a place's own name, a division's for its code, words as they are."""
    text = str(value)
    uid = _uid(text.strip())
    if uid is not None:
        name = Place.objects.filter(uid=uid).values_list("name", flat=True).first()
        return name if name is not None else text
    region = regions_of([text]).get(text.strip()) if text.strip().isdigit() else None
    return str(region.words) if region is not None else text


def _uid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _code_of(text: str, known: Mapping[str, Division]) -> str | None:
    """The division of a code or of words."""
    if text.isascii() and text.isdigit():
        return text if text in known else text[:9] if text[:9] in known and len(text) == 12 else None
    return _named(text, known)


def _named(text: str, known: Mapping[str, Division]) -> str | None:
    """The division that words begin with, followed as far down as they name one: 山西省汾阳市杏花村镇某村.

    A province may lack its ending (云南). Names that several divisions have (城关镇) count only below the one named.
    """
    rest = unicodedata.normalize("NFKC", text).replace(" ", "").removeprefix("中国").removeprefix("中华人民共和国")
    english = _named_in_english(text, known)
    if english is not None:
        return english
    here: str | None = None
    while rest:
        below = [row for row in known.values() if here is None or _is_below(row, here, known)]
        fits = [(name, row.code) for row in below for name in _names(row) if _begins(rest, name)]
        longest = max((len(name) for name, _code in fits), default=0)
        codes = {code for name, code in fits if len(name) == longest}
        if len(codes) != 1:
            break
        here = codes.pop()
        rest = rest[longest:]
    return here


def _names(row: Division) -> list[str]:
    """How a division is called: a province also without its ending."""
    if row.parent_id is not None:
        return [row.name]
    short = next((row.name.removesuffix(end) for end in _ENDINGS if row.name.endswith(end)), row.name)
    return [row.name, short]


def _begins(text: str, name: str) -> bool:
    return len(name) > 1 and text.startswith(name) and not _NOT_HERE.match(text[len(name) :])


def _is_below(row: Division, code: str, known: Mapping[str, Division]) -> bool:
    """Whether a division lies in another, at any depth."""
    parent = row.parent_id
    while parent is not None:
        if parent == code:
            return True
        parent = known[parent].parent_id if parent in known else None
    return False


def _named_in_english(text: str, known: Mapping[str, Division]) -> str | None:
    """Whole English names, the smallest first: Xinghuacun, Fenyang, Shanxi."""
    parts = [part.strip().casefold() for part in text.split(",") if part.strip()]
    here: str | None = None
    for part in reversed(parts):
        fits = [row.code for row in known.values() if row.name_en and row.name_en.casefold() == part]
        fits = [code for code in fits if here is None or _is_below(known[code], here, known)]
        if len(fits) != 1:
            break
        here = fits[0]
    return here


def _path(code: str, known: Mapping[str, Division]) -> Sentence | str:
    """The name of a division after that of the one above it, in each language."""
    row = known.get(code) or known.get(code[:9]) or known.get(code[:6])
    if row is None:
        return code
    above = known.get(row.parent_id or "")

    def words() -> str:
        here, over = row.label, above.label if above is not None else ""
        if not over:
            return here
        return f"{here}, {over}" if here.isascii() else f"{over}{here}"

    return in_each_language(words)
