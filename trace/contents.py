"""How much mass or volume an amount of goods is: by its unit, or by the net content its label states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from trace.event_templates import EventTemplate
from trace.models import Lot, Product, ProductVersion
from trace.text import fold_width
from trace.units import UNITS, BaseUnit

BULK = (BaseUnit.KGM.value, BaseUnit.LTR.value, BaseUnit.MTQ.value)
"""Units in which amounts of different goods can be added up."""
_CONTENT = re.compile(
    r"(?:(?P<before>\d{1,4})\s*[x*×]\s*)?(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>kg|g|mg|t|ml|l|千克|公斤|克|毫克|吨|斤|毫升|升)"
    r"(?![a-z])(?:\s*[x*×]\s*(?P<after>\d{1,4}))?",
    re.IGNORECASE,
)


def content_of(text: str) -> tuple[str, Fraction] | None:
    """The net content a label states, as base unit and exact amount: ``500 mL`` is half a litre, ``6×500ml`` three.

    None where it states none, or more than one that differ.
    """
    found: set[tuple[str, Fraction]] = set()
    for match in _CONTENT.finditer(fold_width(text)):
        unit = _unit(match["unit"])
        if unit is None:
            continue
        base, factor = unit
        pieces = int(match["before"] or match["after"] or 1)
        found.add((base, Fraction(match["number"]) * factor * pieces))
    return found.pop() if len(found) == 1 else None


def _unit(text: str) -> tuple[str, Fraction] | None:
    """A unit of mass or volume by any of its names."""
    wanted = text.lower()
    for unit in UNITS.values():
        names = (unit.code, unit.zh, unit.en, *unit.aliases)
        if unit.base.value in BULK and wanted in (name.lower() for name in names):
            return unit.base.value, unit.factor
    return None


@dataclass(frozen=True)
class Amount:
    """How much of which product, on one side of an operation; ``lot`` where it is a known one."""

    product: Product
    version: ProductVersion | None
    micros: int
    lot: Lot | None = None

    def bulk(self, typed: tuple[str, Fraction] | None = None) -> tuple[str, Fraction] | None:
        """The amount in a unit that adds up, in base units of it; None where the net content is not known.

        ``typed`` is the net content typed with the step, used where the product states none.
        """
        if self.product.base_unit in BULK:
            return self.product.base_unit, Fraction(self.micros, 1_000_000)
        if self.product.base_unit != BaseUnit.C62.value:
            return None
        content = content_of(self.version.net_content) if self.version is not None else None
        if content is None and self.version is not None:
            content = content_of(self.version.spec)
        content = content or typed
        return None if content is None else (content[0], content[1] * Fraction(self.micros, 1_000_000))


def content_typed(step: EventTemplate, data: Mapping[str, Any]) -> tuple[str, Fraction] | None:
    """The net content typed with a step, in its field's unit."""
    field, value = step.field("net_content"), data.get("net_content")
    if field is None or value in (None, "") or field.unit not in UNITS:
        return None
    unit = UNITS[field.unit]
    return unit.base.value, Fraction(str(value)) * unit.factor
