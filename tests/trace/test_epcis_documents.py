"""EPCIS 2.0 documents in JSON: every valid example passes unchanged, every invalid one is refused with a pointer."""

from __future__ import annotations

import datetime
import io
import json
from pathlib import Path
from typing import Any

import pytest

from trace.epcis.documents import Fault, check_event, check_head, listed_events
from trace.epcis.reading import Document, Unreadable, events_of
from trace.epcis.vocabulary import PREFIXES

pytestmark = pytest.mark.once

NOW = datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC)
JSON = "epcis/openepcis/core/src/main/resources/2.0/EPCIS/JSON"
EVENT: dict[str, Any] = {
    "type": "ObjectEvent",
    "eventTime": "2026-07-22T06:45:00+02:00",
    "eventTimeZoneOffset": "+02:00",
    "action": "OBSERVE",
    "bizStep": "shipping",
    "epcList": ["https://id.gs1.org/01/09521141012345/21/2017"],
}


def checked(data: bytes) -> tuple[list[Any], list[Fault]]:
    """The events of a document and what is wrong with it."""
    document = Document()
    events = list(events_of(io.BytesIO(data).read, document))
    prefixes, faults = check_head(document.head)
    for number, event in enumerate(events):
        faults += check_event(event, f"{document.path}/{number}", prefixes, NOW)
    return events, faults


def test_every_valid_example_passes_and_is_not_changed(shared_data: Path) -> None:
    files = [*(shared_data / JSON / "Capture/Documents").glob("*.json"), *(shared_data / JSON / "Query").glob("*.json")]
    assert len(files) > 40
    for file in files:
        events, faults = checked(file.read_bytes())
        assert faults == [], file.name
        assert events == listed_events(json.loads(file.read_bytes()))[0], file.name


def test_every_invalid_example_is_refused_with_a_pointer(shared_data: Path) -> None:
    files = [
        *(shared_data / JSON / "Capture/Invalid").glob("*.json"),
        *(shared_data / JSON / "Query/Invalid").glob("*.json"),
    ]
    assert len(files) >= 17
    for file in files:
        _events, faults = checked(file.read_bytes())
        assert faults, file.name
        assert all(fault.pointer.startswith("/") for fault in faults), file.name


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"epcList": ["https://id.gs1.org/01/09521141012346/21/2017"]}, "check_digit"),
        ({"epcList": ["urn:epc:class:lgtin:4012345.012345.998877"]}, "class_in_epc_list"),
        ({"epcList": []}, "nothing_named"),
        ({"eventTime": "2026-07-22T06:45:00+08:00"}, "offset_differs"),
        ({"eventTime": "2026-12-22T06:45:00+02:00"}, "in_future"),
        ({"bizStep": "urn:epcglobal:cbv:bizstep:shipping"}, "cbv_urn"),
        ({"quantityList": [{"epcClass": "urn:epc:class:lgtin:1.2.3", "quantity": -1}]}, "number_range"),
        ({"quantityList": [{"epcClass": "urn:epc:class:lgtin:1.2.3", "quantity": 1, "uom": "kilo"}]}, "format"),
        ({"nobody:knows": 1}, "prefix_undeclared"),
        ({"字段": 1}, "key_not_ascii"),
        ({"@context": [{"ex": "https://example.org/"}], "ex:note": "a\x00b"}, "text_character"),
        ({"@context": [{"ex": "https://example.org/"}], "ex:note": {"ex:deep": ["fine", "\ud800"]}}, "text_character"),
        ({"type": "AggregationEvent", "action": "ADD", "epcList": None}, "required"),
    ],
)
def test_what_the_official_schema_lets_pass_is_refused(change: dict[str, Any], code: str) -> None:
    event = {key: value for key, value in {**EVENT, **change}.items() if value is not None}
    assert code in {fault.code for fault in check_event(event, "", PREFIXES, NOW)}


def test_the_event_of_these_tests_is_right() -> None:
    assert check_event(EVENT, "", PREFIXES, NOW) == []


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"type":1,"type":2}', b'{"a":NaN}', b'{"a":"\xff"}', b"{}x", b"[" * 100_000]
)
def test_what_is_no_document_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        list(events_of(io.BytesIO(data).read, Document()))
