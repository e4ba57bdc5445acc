"""Effectiveness checks as data: how many of the told holders are asked again by somebody else, level by level.

Chinese rules name methods (check documents, inspect records, telephone call-backs, questionnaires) and ask for
assessors without an interest (Shanxi effectiveness rule, 2025-09-01 to 2030-08-31, seen in excerpt only), but no sample
sizes. The levels A to E and their sizes are the FDA's (21 CFR 7.42(b)(3)), taken as a measure and no duty here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class CheckLevel:
    """One level: the percentage of holders asked (None: chosen case by case between ``least`` and ``most``).

    ``source`` is where the size stands, ``edition`` which text of it, ``verified`` whether the text itself was seen.
    """

    key: str
    label: Any
    percent: int | None
    least: int = 0
    most: int = 100
    source: str = "21 CFR 7.42(b)(3)"
    edition: str = "US FDA"
    verified: bool = True


LEVELS: tuple[CheckLevel, ...] = (
    CheckLevel("A", _("A 级：全部"), 100),
    CheckLevel("B", _("B 级：逐案确定，10% 以上、不到 100%"), None, 11, 99),
    CheckLevel("C", _("C 级：10%"), 10),
    CheckLevel("D", _("D 级：2%"), 2),
    CheckLevel("E", _("E 级：不核查"), 0),
)


def check_level(key: str) -> CheckLevel | None:
    """The level of this letter."""
    return next((one for one in LEVELS if one.key == key), None)


def sample_size(population: int, percent: int) -> int:
    """How many of so many are asked: rounded up, so that some percentage of few is never nobody."""
    return -(-population * percent // 100)


def draw(names: Sequence[str], size: int, seed: str) -> list[str]:
    """The sample a seed draws: the names with the smallest SHA-256 of seed and name. Whoever has the list and the seed
    draws the same.
    """

    def rank(name: str) -> str:
        return hashlib.sha256(f"{seed}\n{name}".encode()).hexdigest()

    return sorted(names, key=lambda name: (rank(name), name))[:size]
