"""The words of the 承诺达标合格证, read from ``labels/data/commitment.yaml``: what is pledged and on which basis."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trace.units import is_english

_FILE = Path(__file__).resolve().parent / "data" / "commitment.yaml"


@dataclass(frozen=True)
class Item:
    """One line of a pledge or one basis. ``needs_report``: claims a test, so that a passing report must be there."""

    key: str
    zh: str
    en: str
    needs_report: bool = False

    @property
    def label(self) -> str:
        """The line in the reader's language; the certificate itself is in Chinese."""
        return self.en if is_english(None) else self.zh


@dataclass(frozen=True)
class Words:
    """Everything the file says. ``verified`` is whether the wording was checked against the law's text."""

    law: str
    law_en: str
    verified: bool
    keep_months: int
    pledge: tuple[Item, ...]
    bases: tuple[Item, ...]

    @property
    def law_label(self) -> str:
        """The law in the reader's language."""
        return self.law_en if is_english(None) else self.law

    def chosen(self, keys: Iterable[str]) -> list[Item]:
        """The bases with these keys, in the file's order."""
        wanted = set(keys)
        return [each for each in self.bases if each.key in wanted]


@functools.cache
def words() -> Words:
    """The file, read once."""
    document = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    law = document["law"]
    return Words(
        law=f"{law['number']}《{law['title']}》",
        law_en=law["en"],
        verified=bool(law["verified"]),
        keep_months=int(document["keep_months"]),
        pledge=tuple(_item(each) for each in document["pledge"]["items"]),
        bases=tuple(_item(each) for each in document["bases"]["items"]),
    )


def _item(entry: dict[str, Any]) -> Item:
    return Item(entry["key"], entry["zh"], entry["en"], bool(entry.get("report")))
