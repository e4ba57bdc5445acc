"""Reference data as rows: divisions, standards and limits, read from ``trace/data`` after each migration.

Rows that a regulator has verified are never overwritten; everything else follows the files. Nothing here is law in
code: each row carries its source and how it is known.
"""

from __future__ import annotations

import csv
import datetime
from pathlib import Path
from typing import Any

import yaml

from trace.models import Division, Limit, Standard

DATA = Path(__file__).parent / "data"


def load_reference(using: str = "default", **kwargs: Any) -> None:
    """Bring divisions, standards and limits up to the files (connected to ``post_migrate``); safe to repeat."""
    _load_divisions(using)
    _load_standards(using)


def _load_divisions(using: str) -> None:
    """States, provinces and cities first, then Fenyang's townships with their part in the GI areas."""
    rows: list[Division] = []
    for name in ("divisions.csv", "places.csv"):
        with (DATA / name).open(encoding="utf-8", newline="") as lines:
            for line in csv.DictReader(lines):
                rows.append(
                    Division(
                        code=line["code"],
                        name=line["name_zh"],
                        name_en=line["name_en"],
                        kind=line["kind"],
                        parent_id=line["parent"] or None,
                        in_gi_walnut=line.get("gi_fenzhou_walnut") or "",
                        in_gi_millet=line.get("gi_fenzhou_millet") or "",
                    )
                )
    Division.objects.using(using).bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=["name", "name_en", "kind", "parent", "in_gi_walnut", "in_gi_millet"],
    )


def _load_standards(using: str) -> None:
    """Standards and their limits; a limit whose value nobody has seen stays empty and judges nothing."""
    document = yaml.safe_load((DATA / "standards.yaml").read_text(encoding="utf-8"))
    kept = set(Standard.objects.using(using).filter(verified_at__isnull=False).values_list("key", flat=True))
    standards = [_standard(entry) for entry in document["standards"] if entry["id"] not in kept]
    Standard.objects.using(using).bulk_create(
        standards,
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["number", "title", "kind", "effective_on", "ended_on", "evidence", "source", "note"],
    )
    verified = set(Limit.objects.using(using).filter(verified_at__isnull=False).values_list("standard_id", "parameter"))
    limits = [
        _limit(entry["id"], parameter)
        for entry in document["standards"]
        for parameter in entry.get("parameters", [])
        if (entry["id"], parameter["id"]) not in verified
    ]
    Limit.objects.using(using).bulk_create(
        limits,
        update_conflicts=True,
        unique_fields=["standard", "parameter"],
        update_fields=["name", "operator", "value", "grades", "unit", "basis", "applies", "method", "evidence"],
    )


def _date(value: Any) -> datetime.date | None:
    """A date of the file, if it is a whole one."""
    return value if isinstance(value, datetime.date) else None


def _standard(entry: dict[str, Any]) -> Standard:
    """One unsaved row of the catalogue."""
    return Standard(
        key=entry["id"],
        number=entry.get("number") or "",
        title=entry["title_zh"] if "title_zh" in entry else entry.get("number") or entry["id"],
        kind=entry.get("kind", ""),
        effective_on=_date(entry.get("effective")),
        evidence=str(entry.get("evidence", "memory")).split(" ")[0].rstrip(":;,")[:20],
        source=str(entry.get("source", "")),
        note=str(entry.get("note", "")),
    )


def _limit(standard: str, entry: dict[str, Any]) -> Limit:
    """One unsaved limit; grades or ranges of a value go to ``grades``, a plain number stays decimal text."""
    value = entry.get("value")
    grades: dict[str, str] = {}
    if isinstance(value, dict):
        grades = {str(grade): str(number) for grade, number in value.items()}
    elif isinstance(value, list):
        grades = {"from": str(value[0]), "to": str(value[1])}
    return Limit(
        standard_id=standard,
        parameter=entry["id"],
        name=entry["zh"],
        operator=str(entry.get("op", "")),
        value="" if value is None or grades else str(value),
        grades=grades,
        unit=entry.get("unit", ""),
        basis=str(entry.get("basis", "")),
        applies=str(entry.get("applies", "")),
        method=str(entry.get("method", "")),
        evidence=str(entry.get("evidence", "memory"))[:200],
    )
