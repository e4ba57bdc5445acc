"""What a product is made of and may not contain: materials, prohibitions by standard, geographical indications.

Pure: read once from ``trace/data/composition.yaml``, with source, evidence word and verified flag beside each rule.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from trace.units import is_english

PATH = Path(__file__).parent / "data" / "composition.yaml"
WATER = "water"
_SPACED = re.compile(r"(?<=[\u4e00-\u9fff])[\s\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff·・._-]+(?=[\u4e00-\u9fff])")
# A word after one of these says that the thing is not there: 不含甜味剂, 未添加食用酒精.
_NEGATED = re.compile(
    r"(不含|不得|不添加|不直接或间接添加|未添加|未检出|零添加|无(?![水色味])|非|没有|禁止)(?:添加|使用)?[^，。；、,;.]{0,6}$"
)


_NEGATED_IN_ENGLISH = re.compile(r"\b(?:no|not|non|without|free of|free from)[ -](?:added |any |artificial |or )*$")


@dataclass(frozen=True)
class Material:
    """One answer to "what is it". ``words`` say the same in a name or an ingredient list."""

    key: str
    zh: str
    en: str
    words: tuple[str, ...]

    def label(self, lang: str | None = None) -> str:
        """The name in a language; ``None`` asks for the current one."""
        return self.en if is_english(lang) else self.zh


@dataclass(frozen=True)
class Prohibition:
    """Materials that may stand nowhere above a product citing one of these standards."""

    key: str
    standards: tuple[str, ...]
    numbers: tuple[str, ...]
    materials: tuple[str, ...]
    source: str
    evidence: str
    verified: bool

    def covers(self, standard: str | None, standard_text: str) -> bool:
        """Whether a product with this catalogue key or typed standard follows it, however the number is written."""
        if standard in self.standards:
            return True
        typed = {number for number, _year in standards_named(standard_text)}
        return any(number in typed for wanted in self.numbers for number, _year in standards_named(wanted))


@dataclass(frozen=True)
class GeographicalIndication:
    """A claim of origin: which words claim it, where its goods must have grown, and which materials it is about.

    ``names`` are the protected ones. A name made of one of ``places``, at most two of ``between`` and one of ``goods``
    reads like them: it is held against the same area, as ``alike``, called unverified, and never refuses anything.
    """

    key: str
    names: tuple[str, ...]
    zh: str
    en: str
    column: str
    families: tuple[str, ...]
    materials: tuple[str, ...]
    unknown: tuple[str, ...]
    area_zh: str
    area_en: str
    unknown_zh: str
    unknown_en: str
    source: str
    evidence: str
    verified: bool
    places: tuple[str, ...] = ()
    between: tuple[str, ...] = ()
    goods: tuple[str, ...] = ()
    alike: bool = False

    def label(self, lang: str | None = None) -> str:
        """The name of the indication; where only a similar name was used, that it was read so is said."""
        name = self.en if is_english(lang) else self.zh
        if not self.alike:
            return name
        return f"{name} (similar name, unverified)" if is_english(lang) else f"{name}（近似名称，未经核对）"

    def area(self, lang: str | None = None) -> str:
        """Where the goods must have grown, in words."""
        return self.area_en if is_english(lang) else self.area_zh

    def gap(self, lang: str | None = None) -> str:
        """What of the area the system does not know, in words; often empty."""
        return self.unknown_en if is_english(lang) else self.unknown_zh


@dataclass(frozen=True)
class _Book:
    materials: Mapping[str, Material]
    prohibitions: tuple[Prohibition, ...]
    indications: tuple[GeographicalIndication, ...]
    alike: tuple[GeographicalIndication, ...]


def materials() -> Mapping[str, Material]:
    """The materials by key, in the order of the file."""
    return _book().materials


def prohibitions() -> Sequence[Prohibition]:
    """The prohibitions there are."""
    return _book().prohibitions


# Letters before, the number, a part behind any sign or behind 第, a year of four digits.
_STANDARD = re.compile(
    r"(?P<body>(?<![A-Z])[A-Z]+)?[^A-Z0-9]{0,3}(?P<kind>[TZ])?[^A-Z0-9]{0,3}(?<!\d)(?P<number>\d{3,6})"
    r"(?:[^A-Z0-9]{1,4}0*(?P<part>[1-9]\d{0,2})(?!\d))?(?:[^A-Z0-9]{1,6}(?P<year>(?:19|20)\d\d)(?!\d))?"
)
_LIKE_DIGITS = str.maketrans("OIL", "011")


def standards_named(text: str) -> list[tuple[str, str]]:
    """The national standards a text names, as number and year (empty where none stands there): ``GB 10781.2``, 2022.

    GB/T10781-2, gbt 10781．2—2022 and ＧＢ／Ｔ１０７８１第2部分 are one number; whether it is recommended (T) tells no
    standards apart. A number without letters is taken for a national one. Others (Q/…, DB14/…) are left out.
    """
    plain = _numbers_only(text)
    return [named for each in _STANDARD.finditer(plain) if (named := _national(plain, each))]


def edition_typed(text: str) -> tuple[tuple[str, str], str] | None:
    """The edition of a national standard that a text begins with, as number and year, and what follows it.

    Only GB or the number itself may stand first: 企业标准 10781.2-2022 and T/10781.2-2022 are others' standards.
    """
    plain = _numbers_only(text)
    match = _STANDARD.match(plain)
    named = _national(plain, match) if match else None
    if match is None or not named or not named[1]:
        return None
    if not (match["body"] or "").startswith("GB") and match.start("number") != 0:
        return None
    return named, plain[match.end() :]


def is_title(words: str, title: str) -> bool:
    """Whether words behind a standard's number say no more than its title or a part of it."""
    return _plain(_numbers_only(words)) in _plain(_numbers_only(title))


GRADES: Mapping[str, tuple[str, ...]] = {
    "特级": ("special",),
    "优级": ("superior",),
    "一级": ("first", "g1"),
    "二级": ("second", "g2"),
    "三级": ("third", "g3"),
}
"""What labels call a grade, and what the catalogue of limits does."""
_GRADE = re.compile(f"[^0-9A-Z一-鿿]*({'|'.join(GRADES)})品?[^0-9A-Z一-鿿]*$")


def grade_typed(words: str) -> tuple[str, str]:
    """The grade that words behind a standard's number end with (优级, （一级品）), empty where none; and the rest."""
    found = _GRADE.search(words)
    return (found[1], words[: found.start()]) if found else ("", words)


def _numbers_only(text: str) -> str:
    """A text in capitals of one width without spaces, with ordinary digits, and those written as letters O, I, L.

    A space before a year is a sign like any other: 10781.2 2022.
    """
    plain = re.sub(r"(?<!\s)\s+(?=(?:19|20)\d\d(?!\d))", "-", unicodedata.normalize("NFKC", text).upper())
    plain = "".join(plain.split())
    plain = "".join(str(unicodedata.digit(sign, sign)) for sign in plain)
    plain = re.sub(r"(?<![\dOIL])(?=[OIL]*\d)[\dOIL]{4,}", lambda found: found[0].translate(_LIKE_DIGITS), plain)
    return re.sub(r"(?:GB){2,}", "GB", plain.replace("国家标准", "GB").replace("国标", "GB"))


def _national(plain: str, found: re.Match[str]) -> tuple[str, str] | None:
    """Number and year of what the pattern found; None where letters or a region (DB14/T) say it is no national one.

    What says GB itself is one whatever stands before it (Q/FJ 0001 GB/T 10781.2); a bare number is what the one before
    it is.
    """
    head = (found["body"] or "") + (found["kind"] or "")
    if head not in ("", "T", "GB", "GBT", "GBZ"):
        return None
    before = re.search(r"([A-Z]+)\d+[^A-Z0-9]?$", plain[max(0, found.start() - 40) : found.start()])
    if before and not head.startswith("GB") and before[1] not in ("T", "GB", "GBT"):
        return None
    return f"GB {found['number']}" + (f".{found['part']}" if found["part"] else ""), found["year"] or ""


def prohibition_for(standard: str | None, standard_text: str) -> Prohibition | None:
    """The prohibition a product is under by its standard (catalogue key or typed text), if any."""
    return next((rule for rule in prohibitions() if rule.covers(standard, standard_text)), None)


_SOMETHING_ELSE = "(?!木|wood|椒|辣)"


def indication_for(*texts: str) -> GeographicalIndication | None:
    """The geographical indication that a claim, a name or a brand names, if the system knows it.

    Whoever names goods after it claims it, however it is spaced or spelled: 汾州 核桃, Fenzhou Walnut; wood (木)
    and chilli (小米椒, 小米辣) are something else. 汾阳核桃 or 汾州绵核桃 are not the protected name but read like it:
    they come back as ``alike``, unless the words go on to a firm (公司, 合作社) or a package; 临汾 is another place.
    """
    plain = [_plain(text) for text in texts if text]
    for rule in _book().indications:
        names = [_plain(name) for name in (*rule.names, rule.en.removesuffix("s"))]
        if any(re.search(f"{re.escape(name)}{_SOMETHING_ELSE}", text) for text in plain for name in names):
            return rule
    for rule in _book().alike:
        place, between, goods = ("|".join(map(re.escape, words)) for words in (rule.places, rule.between, rule.goods))
        pattern = f"(?<!临)(?:{place})(?:{between}){{0,2}}(?:{goods}){_SOMETHING_ELSE}(?!手机|.*(?:公司|合作社|包装))"
        if any(re.search(pattern, text) for text in plain):
            return rule
    return None


def _plain(text: str) -> str:
    """Letters and digits only, of one width and case."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", text).casefold() if sign.isalnum())


def materials_named(chosen: str, *texts: str) -> set[str]:
    """What a product is: the material chosen in its entry, and every material its name and ingredients speak of.

    Both count, so that choosing 水 for something named 食用酒精 hides nothing.
    """
    found = {chosen} if chosen else set()
    for material in materials().values():
        if any(_says(text, word) for text in texts for word in material.words):
            found.add(material.key)
    return found


def is_water(chosen: str, *texts: str) -> bool:
    """Whether a product is water and nothing else."""
    return materials_named(chosen, *texts) == {WATER}


def _says(text: str, word: str) -> bool:
    """Whether the word stands in the text without a no before it; spaced Chinese (食用 酒精) is read as it is said, and
    neither case nor the number of spaces matters. 酒精度 is a strength and no 酒精.
    """
    text = " ".join(_SPACED.sub("", unicodedata.normalize("NFKC", text)).casefold().split())
    return any(
        not _NEGATED.search(text[: found.start()]) and not _NEGATED_IN_ENGLISH.search(text[: found.start()])
        for found in re.finditer(f"{re.escape(word)}(?!度|计|浓度|含量|体积|[ -]free)", text)
    )


@cache
def _book() -> _Book:
    """The file, read and checked once per process."""
    raw: dict[str, Any] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    rows = [Material(**_tuples(row)) for row in raw["materials"]]
    indications = tuple(GeographicalIndication(**_tuples(row)) for row in raw["gi"])
    book = _Book(
        materials=MappingProxyType({row.key: row for row in rows}),
        prohibitions=tuple(Prohibition(**_tuples(row)) for row in raw["prohibitions"]),
        indications=indications,
        alike=tuple(replace(rule, alike=True) for rule in indications if rule.places),
    )
    named = {key for rule in book.prohibitions for key in rule.materials}
    named |= {key for rule in book.indications for key in rule.materials}
    if named - set(book.materials):
        raise ValueError(f"no material {sorted(named - set(book.materials))}")
    return book


def _tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
