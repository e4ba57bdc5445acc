"""Administrative divisions the system knows by name: Fenyang and its fourteen townships
(``data/places.csv``).

A place elsewhere has a division code of the right shape and no name from here. Coordinates are WGS-84 and
only where a source was found; the rest are unknown and no pin is drawn.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from django.utils.translation import gettext as _

from trace.errors import Invalid
from trace.identifiers import normalise_division
from trace.units import is_english


@dataclass(frozen=True)
class Division:
    """One division.

    ``gi_walnut`` and ``gi_millet`` say whether it lies in the protected area: yes, no or partial.
    """

    code: str
    zh: str
    en: str
    kind: str
    parent: str
    latitude: str
    longitude: str
    gi_walnut: str
    gi_millet: str

    def name(self, lang: str | None = None) -> str:
        """The name in a language (current language by default)."""
        return self.en if is_english(lang) else self.zh


@cache
def divisions() -> Mapping[str, Division]:
    """All known divisions by code, the county first."""
    path = Path(__file__).parent / "data" / "places.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            Division(
                code=row["code"],
                zh=row["name_zh"],
                en=row["name_en"],
                kind=row["kind"],
                parent=row["parent"],
                latitude=row["lat"],
                longitude=row["lon"],
                gi_walnut=row["gi_fenzhou_walnut"],
                gi_millet=row["gi_fenzhou_millet"],
            )
            for row in csv.DictReader(file)
        ]
    return MappingProxyType({row.code: row for row in rows})


def require_town(value: object) -> str:
    """The 9-digit code of a township of Fenyang.

    Raises Invalid ``division_shape`` or ``division_unknown``.
    """
    code = normalise_division(value)
    known = divisions().get(code)
    if known is None or len(code) != 9:
        raise Invalid(
            _("汾阳市没有编号为 %(code)s 的乡镇或街道，请从列表中选择。") % {"code": code},
            code="division_unknown",
        )
    return code
