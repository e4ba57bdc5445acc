"""Reference data as rows: divisions, standards and limits, read from ``trace/data`` after each migration.

Rows that a regulator has verified or written are never overwritten; everything else follows the files. Nothing here is
law in code: each row carries its source and how it is known.
"""

from __future__ import annotations

import csv
import datetime
import re
from pathlib import Path
from typing import Any

import yaml
from django.db.models import Q

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
    after = _replacements(document["standards"])
    # An edition before the one that points to it: the rows go in by one statement, the keys must be there.
    entries = sorted(document["standards"], key=lambda entry: entry["id"] in after)
    standards = [_standard(entry, after.get(entry["id"])) for entry in entries if entry["id"] not in kept]
    Standard.objects.using(using).bulk_create(
        standards,
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=[
            "number",
            "title",
            "kind",
            "effective_on",
            "ended_on",
            "replaced_by",
            "evidence",
            "source",
            "note",
        ],
    )
    said = Limit.objects.using(using).filter(Q(verified_at__isnull=False) | Q(version__gt=0))
    verified = set(said.values_list("standard_id", "parameter"))
    limits = [
        _limit(entry["id"], parameter)
        for entry in document["standards"]
        for parameter in entry.get("parameters", [])
        if (entry["id"], parameter["id"]) not in verified
    ]
    Limit.objects.using(using).bulk_create(
        limits,
        update_conflicts=True,
        unique_fields=["standard", "parameter", "applies"],
        update_fields=["name", "operator", "value", "grades", "unit", "basis", "method", "evidence"],
    )


def _replacements(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The edition after each, by the words ``superseded_by`` (a key) and ``replaces`` (numbers) of the file."""
    by_key = {entry["id"]: entry for entry in entries}
    by_number = {str(entry.get("number") or ""): entry["id"] for entry in entries}
    after = {entry["id"]: by_key[entry["superseded_by"]] for entry in entries if entry.get("superseded_by") in by_key}
    for entry in entries:
        for number in str(entry.get("replaces", "")).split(","):
            if number.strip() and number.strip() in by_number:
                after[by_number[number.strip()]] = entry
    return after


def _ended(entry: dict[str, Any], after: dict[str, Any] | None) -> datetime.date | None:
    """The first day an edition is no longer in force: said by its status, else the day the next one begins."""
    found = re.search(r"(?:until_|superseded_)(\d{4}-\d{2}-\d{2})", str(entry.get("status", "")))
    if found is not None:
        return datetime.date.fromisoformat(found[1])
    return _date(after.get("effective")) if after is not None else None


def _date(value: Any) -> datetime.date | None:
    """A date of the file, if it is a whole one."""
    return value if isinstance(value, datetime.date) else None


def _standard(entry: dict[str, Any], after: dict[str, Any] | None) -> Standard:
    """One unsaved row of the catalogue."""
    return Standard(
        key=entry["id"],
        number=entry.get("number") or "",
        title=entry["title_zh"] if "title_zh" in entry else entry.get("number") or entry["id"],
        kind=entry.get("kind", ""),
        effective_on=_date(entry.get("effective")),
        ended_on=_ended(entry, after),
        replaced_by_id=after["id"] if after is not None else None,
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
