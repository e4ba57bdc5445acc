"""What no index answers of an event: quantities, extension fields, and what sensors reported. Pure.

Names of parameters as in GS1's published test case 53 and REST binding: ``EQ_type``, ``GE_value_CEL``,
``EQ_SENSORREPORT_deviceID``, ``EQ_INNER_SENSORMETADATA_ex:field`` and their like. Each holds if any element of the
event satisfies it; two of them need not be satisfied by the same report.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from trace.epcis.documents import moment
from trace.epcis.formats import Vocabulary, canonical, compact_word

Event = Mapping[str, Any]
Look = Callable[[Event], bool]


class Wrong(ValueError):
    """A value that a parameter cannot have: a stable code and a sentence."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_COMPARED: Final = re.compile(r"(EQ|GT|GE|LT|LE)_quantity")
_EXTENSION: Final = re.compile(
    r"(EQ|GT|GE|LT|LE|EXISTS)_(INNER_)?"
    r"(?:(ILMD|SENSORELEMENT|SENSORMETADATA|SENSORREPORT|READPOINT|readPoint|BIZLOCATION|bizLocation|ERROR_DECLARATION)_)?"
    r"(INNER_)?([A-Za-z_][\w.\-]*:[\w.\-]+)",
    re.ASCII,
)
_MEASURED: Final = re.compile(
    r"(EQ|GT|GE|LT|LE)_(value|minValue|maxValue|meanValue|sDev|percValue|percRank)(?:_([A-Z0-9]{2,3}))?", re.ASCII
)
_SENSED: Final = re.compile(r"EQ_(?:(SENSORMETADATA|SENSORREPORT)_)?([A-Za-z]+)", re.ASCII)
_WHEN: Final = re.compile(r"(GE|LT)_(?:(SENSORMETADATA|SENSORREPORT)_)?(time|startTime|endTime)", re.ASCII)
BOTH: Final = ("deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules")
"""What may stand in the metadata or in a report."""
REPORTED: Final = (
    "type", "microorganism", "chemicalSubstance", "stringValue", "booleanValue", "hexBinaryValue", "uriValue",
)  # fmt: skip
MEASURED: Final = ("value", "minValue", "maxValue", "meanValue", "sDev", "percValue", "percRank")
OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "EQ": lambda here, there: math.isclose(here, there, rel_tol=1e-9, abs_tol=1e-12),
    "GT": lambda here, there: here > there,
    "GE": lambda here, there: here >= there,
    "LT": lambda here, there: here < there,
    "LE": lambda here, there: here <= there,
}
PARAMETERS: Final = (
    *(f"{operator}_quantity" for operator in OPERATORS),
    "EQ_{prefix:field}",
    "EXISTS_{prefix:field}",
    "EQ_{area}_{prefix:field}",
    "EXISTS_{area}_{prefix:field}",
    "EXISTS_sensorElement",
    *(f"EQ_{name}" for name in BOTH),
    *(f"EQ_{name}" for name in REPORTED),
    *(f"{operator}_{name}" for name in ("time", "startTime", "endTime") for operator in ("GE", "LT")),
    *(f"EQ_{name}_{{uom}}" for name in MEASURED if name != "percRank"),
    "EQ_percRank",
)
"""How the table of ``docs/epcis.md`` names them."""

# Units of UN/ECE Recommendation 20 that measure the same: so many of the first one, and what is added.
_UNITS: Final[Mapping[str, tuple[str, float, float]]] = {
    "KEL": ("KEL", 1, 0), "CEL": ("KEL", 1, 273.15), "FAH": ("KEL", 5 / 9, 459.67 * 5 / 9),
    "KGM": ("KGM", 1, 0), "GRM": ("KGM", 1e-3, 0), "MGM": ("KGM", 1e-6, 0), "TNE": ("KGM", 1e3, 0),
    "MTR": ("MTR", 1, 0), "CMT": ("MTR", 1e-2, 0), "MMT": ("MTR", 1e-3, 0), "KMT": ("MTR", 1e3, 0),
    "LTR": ("LTR", 1, 0), "MLT": ("LTR", 1e-3, 0), "MTQ": ("LTR", 1e3, 0),
    "SEC": ("SEC", 1, 0), "MIN": ("SEC", 60, 0), "HUR": ("SEC", 3600, 0), "DAY": ("SEC", 86400, 0),
    "PAL": ("PAL", 1, 0), "KPA": ("PAL", 1e3, 0), "BAR": ("PAL", 1e5, 0), "MBR": ("PAL", 1e2, 0),
}  # fmt: skip


def look_of(name: str, values: Sequence[str]) -> Look | None:
    """What a parameter asks of an event; None for a parameter that is none of these. Raises Wrong."""
    if (found := _COMPARED.fullmatch(name)) is not None:
        return _quantities(found[1], decimal(values))
    if (found := _EXTENSION.fullmatch(name)) is not None:
        return _extension(found, values)
    if name in ("EXISTS_sensorElement", "EXISTS_sensorElementList"):
        return lambda event: bool(event.get("sensorElementList"))
    if (found := _WHEN.fullmatch(name)) is not None:
        return _when(found[1], found[2], found[3], values)
    if (found := _MEASURED.fullmatch(name)) is not None and not (found[2] == "percRank" and found[3]):
        return _measured(found[1], found[2], found[3] or "", decimal(values))
    if (found := _SENSED.fullmatch(name)) is not None:
        return _sensed(found[1], found[2], values)
    return None


def decimal(values: Sequence[str]) -> float:
    """A finite number."""
    text = values[0] if len(values) == 1 else ""
    if not _DECIMAL.fullmatch(text) or not math.isfinite(float(text)):
        raise Wrong("not_a_number", "A number.")
    return float(text)


def _quantities(operator: str, value: float) -> Look:
    """Some quantity in the event compares so."""
    holds = OPERATORS[operator]

    def look(event: Event) -> bool:
        return any(
            holds(float(element["quantity"]), value)
            for name in ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")
            for element in event.get(name, ())
            if "quantity" in element
        )

    return look


# --- Extensions -----------------------------------------------------------------------------------------------------


def _area(event: Event, name: str | None) -> Iterator[Any]:
    """Where in the event an extension field is looked for."""
    if not name:
        yield event
    elif name == "ILMD":
        yield event.get("ilmd", {})
    elif name == "SENSORELEMENT":
        yield from event.get("sensorElementList", ())
    elif name == "SENSORMETADATA":
        yield from _parts(event, "SENSORMETADATA")
    elif name == "SENSORREPORT":
        yield from _parts(event, "SENSORREPORT")
    elif name == "ERROR_DECLARATION":
        yield event.get("errorDeclaration", {})
    else:
        yield event.get("readPoint" if name.lower() == "readpoint" else "bizLocation", {})


def _extension(found: re.Match[str], values: Sequence[str]) -> Look:
    """An extension field (of the event or of a part of it, or deeper) is there, equals, or compares."""
    operator, deep, area, key = found[1], bool(found[2] or found[4]), found[3], found[5]
    wanted = set(values)
    number = None if operator in ("EQ", "EXISTS") else decimal(values)

    def look(event: Event) -> bool:
        there = [value for start in _area(event, area) for value in _values(start, key, deep)]
        if operator == "EXISTS":
            return bool(there)
        if number is None:
            return any(_text(value) in wanted for value in there)
        return any(_compares(operator, value, number) for value in there)

    return look


def _text(value: Any) -> str:
    """A value as it is written in JSON and in a query."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _compares(operator: str, value: Any, number: float) -> bool:
    try:
        return OPERATORS[operator](float(value), number)
    except (TypeError, ValueError, OverflowError):
        return False


def _values(start: Any, key: str, deep: bool) -> Iterable[Any]:
    if isinstance(start, Mapping):
        if key in start:
            # A field that is there several times is a list in JSON.
            yield from start[key] if isinstance(start[key], list) and start[key] else [start[key]]
        if deep:
            for value in start.values():
                yield from _values(value, key, True)
    elif deep and isinstance(start, list):
        for value in start:
            yield from _values(value, key, True)


# --- Sensors --------------------------------------------------------------------------------------------------------


def _parts(event: Event, where: str | None) -> Iterator[Mapping[str, Any]]:
    """The metadata and reports of an event's sensors, or only one of both."""
    for element in event.get("sensorElementList", ()):
        if where != "SENSORREPORT":
            yield element.get("sensorMetadata", {})
        if where != "SENSORMETADATA":
            yield from element["sensorReport"]


def _when(operator: str, where: str | None, name: str, values: Sequence[str]) -> Look:
    bound = moment(values[0]) if len(values) == 1 else None
    if bound is None:
        raise Wrong("moment_invalid", "Not a date-time with its offset.")

    def look(event: Event) -> bool:
        for part in _parts(event, where):
            there = moment(part[name]) if name in part else None
            if there is not None and (there >= bound if operator == "GE" else there < bound):
                return True
        return False

    return look


def _sensed(where: str | None, name: str, values: Sequence[str]) -> Look | None:
    """A word or identifier in the metadata or in a report is one of these."""
    if name not in BOTH and (name not in REPORTED or where is not None):
        return None
    if name == "booleanValue" and not {value.lower() for value in values} <= {"true", "false"}:
        raise Wrong("not_a_boolean", "true or false.")
    wanted = {_said(name, value) for value in values}

    def look(event: Event) -> bool:
        return any(name in part and _said(name, part[name]) in wanted for part in _parts(event, where))

    return look


def _said(name: str, value: Any) -> str:
    """A value in the one form under which it is compared."""
    if name == "type":
        return compact_word(Vocabulary.MEASUREMENT, str(value))
    if name == "booleanValue":
        return str(value).lower()
    if name == "hexBinaryValue":
        return str(value).upper()
    return str(value) if name == "stringValue" else canonical(str(value))


def _measured(operator: str, name: str, uom: str, value: float) -> Look:
    """A reported number compares so; in another unit of the same kind it is converted, without unit any will do."""
    holds = OPERATORS[operator]
    wanted = _in_base(value, uom) if uom else None

    def look(event: Event) -> bool:
        for report in _parts(event, "SENSORREPORT"):
            if name not in report:
                continue
            here, unit = float(report[name]), report.get("uom", "")
            if not uom or unit == uom:
                if holds(here, value):
                    return True
            elif name != "sDev" and wanted is not None:
                there = _in_base(here, unit)
                if there is not None and there[0] == wanted[0] and holds(there[1], wanted[1]):
                    return True
        return False

    return look


def _in_base(value: float, uom: str) -> tuple[str, float] | None:
    unit = _UNITS.get(uom)
    return None if unit is None else (unit[0], value * unit[1] + unit[2])
