"""Whatever a document holds: what is captured is told equal in meaning, however it came, and nothing is our fault."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trace.door_client import Door, door_of, told
from tests.trace.epcis.documents import documents
from tests.world import World
from trace.actions import epcis_capture, epcis_jobs
from trace.actions.epcis_jobs import capture_event, run_next_capture, take_document
from trace.actor import Actor
from trace.door.querying import SUPPORTED
from trace.epcis.documents import check_event, prefixes_of
from trace.epcis.event_hash import pre_hash
from trace.epcis.vocabulary import PREFIXES
from trace.epcis.xml import EventStream
from trace.errors import DomainError
from trace.models import CaptureJob, Conflict, EpcisContent, EpcisEvent, EpcisName, Lot, LotLink, Stock, Transfer

QUIET = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def undone(run: Callable[[], Any]) -> Any:
    """What a function answers, with all that it wrote taken back."""
    with transaction.atomic():
        found = run()
        transaction.set_rollback(True)
    return found


def captured(by: Actor, document: Any) -> CaptureJob:
    """A document worked off, leaving out what is wrong."""
    job = take_document(by=by, content=io.BytesIO(json.dumps(document).encode()), behaviour="proceed")
    assert run_next_capture()
    job.refresh_from_db()
    assert all(each["code"] != "fault_of_ours" for each in job.errors), job.errors
    return job


@QUIET
@given(document=documents())
def test_what_is_captured_is_told_equal_in_meaning_in_json_and_xml(world: World, document: dict[str, Any]) -> None:
    door = door_of(world.distillery.organisation)

    def run() -> None:
        job = captured(world.distillery, document)
        wrong = {each["pointer"].split("/")[3] for each in job.errors if each["pointer"].count("/") > 2}
        events = document["epcisBody"]["eventList"]
        wanted = Counter(pre_hash(each, document["@context"]) for n, each in enumerate(events) if str(n) not in wrong)
        answer = told(door.get("events", perPage=1000))
        listed = answer["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
        assert {pre_hash(each, answer["@context"]) for each in listed} == set(wanted)
        assert len(listed) == job.captured
        xml = door.client.get("/epcis/events?perPage=1000", headers=door.headers(accept="application/xml"))
        assert xml.status_code == 200
        stream = EventStream(iter([xml.content]))
        again = [pre_hash(each, (stream.head or {}).get("@context", [])) for each in stream]
        assert set(again) == set(wanted)

    undone(run)


def snapshot() -> dict[str, Any]:
    """What the ledger says, without row numbers and moments of recording."""
    names = dict(Lot.objects.values_list("pk", "lot_code"))
    return {
        "lots": sorted(
            (
                row.lot_code, row.display_code, row.product.gtin or "", row.product.organisation.name,
                row.organisation.name, row.made_micros, row.is_external, str(row.produced_on), str(row.expires_on),
                row.voided_by_id is None,
            )
            for row in Lot.objects.select_related("product__organisation", "organisation")
        ),
        "stock": sorted(
            (names[row.lot_id], row.organisation.name, row.place.name if row.place else "", row.micros)
            for row in Stock.objects.select_related("organisation", "place")
            if row.micros
        ),
        "links": sorted((names[row.parent_id], names[row.child_id], row.input_micros) for row in LotLink.objects.all()),
        "transfers": sorted(
            (names[row.lot_id], row.receiver.name, row.sent_micros, repr(row.received_micros))
            for row in Transfer.objects.select_related("receiver")
        ),
        "conflicts": sorted((names.get(row.lot_id or 0, ""), row.code) for row in Conflict.objects.all()),
        "contents": sorted(
            (row.pack.value, names[row.lot_id], row.micros)
            for row in EpcisContent.objects.select_related("pack")
            if row.micros
        ),
        "names": sorted(
            (row.kind, row.value, names.get(row.lot_id or 0, ""), row.parent.value if row.parent else "")
            for row in EpcisName.objects.select_related("parent")
        ),
        "events": sorted(EpcisEvent.objects.values_list("eid", "declared_at", "kind", "action")),
    }  # fmt: skip


@QUIET
@given(document=documents())
def test_a_document_says_the_same_as_its_events_one_by_one(world: World, document: dict[str, Any]) -> None:
    by = world.distillery

    def together() -> dict[str, Any]:
        captured(by, document)
        return snapshot()

    def in_parts() -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(epcis_jobs, "PART", 2)
            patch.setattr(epcis_capture, "CHUNK", 1)
            return together()

    def alone() -> dict[str, Any]:
        context = document["@context"]
        prefixes = prefixes_of(context, "", [], PREFIXES)
        for event in document["epcisBody"]["eventList"]:
            if check_event(event, "", prefixes, timezone.now()):
                continue
            try:
                with transaction.atomic():
                    _found, outcome = capture_event(by=by, event=event, context=context)
                    assert not (outcome.faults and outcome.repeated)
            except DomainError:
                continue
        return snapshot()

    whole = undone(together)
    assert undone(in_parts) == whole
    assert undone(alone) == whole


_text = st.text(max_size=30) | st.sampled_from(
    [
        "",
        "|",
        "%",
        "\x00",
        "2026-10-01T00:00:00Z",
        "1e400",
        "-1",
        "9" * 400,
        "urn:epc:id:sgtin:9521141.001234.1",
        "ObjectEvent",
    ]
)
_names = st.sampled_from(SUPPORTED).map(
    lambda name: name.replace("{prefix:field}", "ex:f").replace("{area}", "SENSORREPORT").replace("{type}", "po")
    .replace("{uom}", "CEL").replace("{field}", "readPoint").replace("{attribute}", "a.b$[0]\"")
)  # fmt: skip
_queries = st.dictionaries(_names | _text, _text, max_size=4)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
_paths = st.sampled_from(
    [
        "", "capture", "capture/{}", "events", "events/{}", "eventTypes", "eventTypes/{}/events", "epcs", "epcs/{}",
        "epcs/{}/events", "bizSteps/{}/events", "bizLocations", "readPoints/{}", "dispositions/{}/events", "queries",
        "queries/{}", "queries/{}/events", "queries/{}/subscriptions", "queries/{}/subscriptions/{}",
        "nextPageToken/{}",
        "{}",
    ]
)  # fmt: skip


@settings(QUIET, max_examples=80)
@given(
    method=st.sampled_from(["GET", "GET", "POST", "DELETE", "OPTIONS", "PUT", "HEAD"]),
    path=_paths,
    part=_text,
    query=_queries,
    body=_json.map(lambda each: json.dumps(each).encode("utf-8", "replace"))
    | st.binary(max_size=60)
    | documents().map(lambda each: json.dumps(each).encode()),
    media=st.sampled_from(["application/json", "application/ld+json", "application/xml", "text/plain", ""]),
    accept=st.sampled_from(["*/*", "application/json", "application/xml", "text/html", "\u00e9"]),
)
def test_no_request_ends_in_a_fault_of_ours(
    world: World, method: str, path: str, part: str, query: dict[str, str], body: bytes, media: str, accept: str
) -> None:
    from urllib.parse import quote, urlencode

    door = _door(world)
    address = "/epcis/" + path.replace("{}", quote(part, safe="", errors="replace"))
    if query:
        address += "?" + urlencode(query, errors="replace")

    def run() -> int:
        answer = door.client.generic(
            method,
            address,
            body if method in ("POST", "PUT") else b"",
            content_type=media,
            headers=door.headers(accept=accept),
        )
        return answer.status_code

    status = undone(run)
    assert status < 500 or status == 501, (status, method, address, body)
    if method == "POST":
        assert not CaptureJob.objects.filter(errors__icontains="fault_of_ours").exists()


_DOORS: dict[int, Door] = {}


def _door(world: World) -> Door:
    """One key for all requests of a test."""
    if id(world) not in _DOORS:
        _DOORS.clear()
        _DOORS[id(world)] = door_of(world.distillery.organisation)
    return _DOORS[id(world)]
