"""The EPCIS door in XML: 2.0 and 1.2 in, 2.0 out, with the meaning of the same in JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.trace.door_client import CONTEXT, Door, document, door_of, event, problem
from tests.trace.epcis.examples import events_of, folder
from tests.trace.epcis.test_xml import JUMBLED, xml_examples
from tests.world import World
from trace.door.querying import SUPPORTED, token_of
from trace.epcis.event_hash import pre_hash
from trace.epcis.xml import document_from_xml
from trace.models import LogHead

XML = "application/xml"
# A 1.2 example whose certificationInfo is no URI: 2.0 asserts the form, and what could not be told again is not taken.
REFUSED = {*JUMBLED, "1.2/EPCIS/XML/Capture/Documents/ObjectEvent_all_possible_fields.xml"}


@pytest.fixture
def door(world: World) -> Door:
    return door_of(world.distillery.organisation)


def meanings(found: dict[str, Any]) -> list[str]:
    """The meaning of each event of a document, without our record time and the ids we gave."""
    listed = []
    for one in events_of(found):
        kept = {name: value for name, value in one.items() if name not in ("recordTime", "eventID")}
        listed.append(pre_hash(kept, found.get("@context") if one is not found else None))
    return sorted(listed)


@pytest.mark.once
def test_every_published_document_in_xml_is_captured_and_told_again_in_xml(door: Door, shared_data: Path) -> None:
    count = 0
    for name, data in xml_examples(shared_data):
        if "Invalid" in name or name in REFUSED:
            job = door.capture(data, media=XML)
            assert not job["success"], name
            assert job["errors"][0]["instance"].startswith("/"), name
            continue
        before = LogHead.objects.values_list("last", flat=True).first() or 0
        job = door.captured(data, media=XML)
        sent = meanings(document_from_xml(data))
        assert job["eventsCaptured"] + job["eventsRepeated"] == len(sent), name
        answer = door.send(
            "GET",
            f"events?perPage=1000&nextPageToken={token_of([before, 0])}",
            **{"GS1-EPC-Format": "Never_Translates", "accept": XML},
        )
        assert answer["Content-Type"] == XML
        told = meanings(document_from_xml(answer.content))
        assert len(told) == job["eventsCaptured"], name
        assert not job["eventsCaptured"] or set(told) <= set(sent), name
        count += len(told)
    assert count > 60


def test_one_event_in_xml_and_hostile_documents(door: Door, shared_data: Path) -> None:
    file = folder(shared_data) / "2.0/EPCIS/XML/Capture/Events/ObjectEvent.xml"
    answer = door.send("POST", "events", file.read_bytes(), XML)
    assert answer.status_code == 201, answer.content
    told = door.send("GET", answer["Location"].partition("testserver")[2], accept=XML)
    assert b"<ObjectEvent>" in told.content
    problem(door.send("POST", "events", file.read_bytes(), XML), 409, "ResourceAlreadyExistsException")
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2"/>'
    for data in (b"<", b"<a/>", bomb, b"\x00<a/>", b"<a>" * 10_000):
        problem(door.send("POST", "events", data, XML), 400, "ValidationException")
        assert not door.capture(data, media=XML)["success"]
    others: list[Any] = [{"a": 1}, [], "x", {"@context": [CONTEXT], **event(), "type": 7}, document()]
    for other in others:
        problem(door.send("POST", "events", other), 400, "ValidationException")


@pytest.mark.once
def test_whatever_is_sent_or_asked_is_never_our_fault(door: Door) -> None:
    """Events of every kind with one value replaced, and nonsense in every parameter and path: no answer is a 5xx."""
    whole = {
        "@context": [CONTEXT],
        **event(
            "AggregationEvent",
            action="ADD",
            parentID="urn:epc:id:sscc:9521141.0012345678",
            childEPCs=["https://id.gs1.org/01/09521141012345/21/1"],
            childQuantityList=[{"epcClass": "urn:epc:class:lgtin:9521141.001234.L1", "quantity": 1, "uom": "KGM"}],
            bizLocation={"id": "urn:epc:id:sgln:9521141.12345.400"},
            sourceList=[{"type": "possessing_party", "source": "urn:epc:id:pgln:9521141.12345"}],
            errorDeclaration={"declarationTime": "2026-10-01T00:00:00Z"},
            sensorElementList=[{"sensorReport": [{"type": "Temperature", "value": 1, "uom": "CEL"}]}],
        ),
    }
    nonsense: list[Any] = [
        None, -1, 1e308, 10**30, "", "\x00", "\ud800", "x" * 20_000, [], {}, [None], {"id": 1},
        "urn:epc:id:sgtin:1.2.3", "9999-99-99T99:99:99+99:99", "0000-01-01T00:00:00Z",
    ]  # fmt: skip
    for name in whole:
        for value in nonsense:
            for path in ("events", "capture")[: 2 if value in (None, -1, "\ud800") else 1]:
                answer = door.send("POST", path, {**whole, name: value})
                assert answer.status_code < 500, (name, value, answer.content)
            if path == "capture" and "Location" in answer:
                job = door.get(answer["Location"]).json()
                assert "fault_of_ours" not in {each["title"] for each in job["errors"]}, (name, value)
    texts = ["", "\x00", "%00", "nan", "1e999", "-1", "9" * 40, "|", "x" * 3000, "\u202e", "urn:epc:id:sgtin:1.2.3"]
    for name in (*SUPPORTED, "perPage", "EQ_", "_", "EQ_a:b:c", "MATCH_", "EQ_INNER_ex:a"):
        for text in texts[1:5]:
            asked = door.get("events", **{name.replace("{type}", "po").replace("{prefix:field}", "ex:a"): text})
            assert asked.status_code < 500 or asked.status_code == 501, (name, text, asked.content)
    for start in ("events/", "epcs/", "bizSteps/", "queries/", "capture/", "eventTypes/", "nextPageToken/", ""):
        for text in texts:
            assert door.get(start + quote(text, safe="")).status_code < 500, (start, text)
