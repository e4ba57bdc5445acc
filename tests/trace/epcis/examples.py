"""The published example documents: https://github.com/openepcis/openepcis-test-resources (Apache-2.0)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def folder(shared_data: Path) -> Path:
    """Where the examples lie."""
    return shared_data / "epcis" / "openepcis" / "core" / "src" / "main" / "resources"


def json_documents(shared_data: Path, *, invalid: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every example in JSON that has events: its path below 2.0/EPCIS/JSON and the document."""
    root = folder(shared_data) / "2.0" / "EPCIS" / "JSON"
    for path in sorted(root.rglob("*.json")):
        name = str(path.relative_to(root))
        if "Queries" in name or ("Invalid" in name) != invalid:
            continue
        yield name, json.loads(path.read_text(encoding="utf-8"))


def events_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a document, a query's answer, or an event that stands alone."""
    body = document.get("epcisBody")
    if body is None:
        return [document]
    body = body.get("queryResults", {}).get("resultsBody", body)
    return list(body["eventList"]) if "eventList" in body else [body["event"]]
