"""What a product is made of and may not contain: materials, prohibitions by standard, geographical indications.

Pure: read once from ``trace/data/composition.yaml``, with source, evidence word and verified flag beside each rule.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from trace.text import fold_width
from trace.units import is_english

PATH = Path(__file__).parent / "data" / "composition.yaml"
WATER = "water"
_SPACED = re.compile(r"(?<=[\u4e00-\u9fff])[\s\u200b-\u200d\u2060\ufeff·・._-]+(?=[\u4e00-\u9fff])")
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
        """Whether a product with this catalogue key or typed standard follows it; spaces and width do not matter."""
        if standard in self.standards:
            return True
        typed = re.sub(r"\s", "", fold_width(standard_text)).upper()
        return any(re.search(re.escape(number) + r"(?!\d)", typed) for number in self.numbers)


@dataclass(frozen=True)
class GeographicalIndication:
    """A claim of origin: which words claim it, where its goods must have grown, and which materials it is about."""

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

    def label(self, lang: str | None = None) -> str:
        """The name of the indication."""
        return self.en if is_english(lang) else self.zh

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


def materials() -> Mapping[str, Material]:
    """The materials by key, in the order of the file."""
    return _book().materials


def prohibitions() -> Sequence[Prohibition]:
    """The prohibitions there are."""
    return _book().prohibitions


def prohibition_for(standard: str | None, standard_text: str) -> Prohibition | None:
    """The prohibition a product is under by its standard (catalogue key or typed text), if any."""
    return next((rule for rule in prohibitions() if rule.covers(standard, standard_text)), None)


def indication_for(*texts: str) -> GeographicalIndication | None:
    """The geographical indication that a claim, a name or a brand names, if the system knows it.

    Whoever names goods after it claims it, however it is spaced or spelled: 汾州 核桃, Fenzhou Walnut; walnut wood (木)
    is something else.
    """
    plain = [_plain(text) for text in texts if text]
    for rule in _book().indications:
        names = [_plain(name) for name in (*rule.names, rule.en.removesuffix("s"))]
        if any(re.search(f"{re.escape(name)}(?!木|wood)", text) for text in plain for name in names):
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
    book = _Book(
        materials=MappingProxyType({row.key: row for row in rows}),
        prohibitions=tuple(Prohibition(**_tuples(row)) for row in raw["prohibitions"]),
        indications=tuple(GeographicalIndication(**_tuples(row)) for row in raw["gi"]),
    )
    named = {key for rule in book.prohibitions for key in rule.materials}
    named |= {key for rule in book.indications for key in rule.materials}
    if named - set(book.materials):
        raise ValueError(f"no material {sorted(named - set(book.materials))}")
    return book


def _tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
