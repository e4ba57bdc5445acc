"""Questions to the EPCIS door: the standard's parameters, pages that miss nothing, problem details, whose events."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.trace.door_client import CONTEXT, PREFIX, Door, document, door_of, event, lot_class, problem, told
from tests.world import World
from trace.models import EpcisEvent

EXTERNAL = "09521141012345"


def serial(number: int) -> str:
    """One piece of somebody's goods."""
    return f"{PREFIX}/01/{EXTERNAL}/21/{number}"


@pytest.fixture
def door(world: World) -> Door:
    """A caller with nine events of its own."""
    door = door_of(world.distillery.organisation)
    pallet = "urn:epc:id:sscc:9521141.0012345678"
    furnace: dict[str, Any] = {"ex:furnace": 12}
    place = {"id": "urn:epc:id:sgln:9521141.12345.400"}
    door.captured(
        document(
            event(
                action="ADD",
                bizStep="commissioning",
                disposition="active",
                epcList=[serial(n) for n in (1, 2, 3)],
                ilmd={"ex:kind": "示例"},
                **furnace,
            ),
            event("AggregationEvent", action="ADD", parentID=pallet, childEPCs=[serial(1), serial(2)]),
            event(bizStep="inspecting", epcList=["urn:epc:id:sgtin:9521141.001234.1"], readPoint=place),
            event(
                bizStep="https://ref.gs1.org/cbv/BizStep-storing",
                disposition="in_progress",
                bizLocation=place,
                quantityList=[{"epcClass": lot_class(EXTERNAL, "L1"), "quantity": 7.5, "uom": "KGM"}],
                persistentDisposition={"set": ["completeness_verified"]},
            ),
            event(
                "TransformationEvent",
                inputEPCList=[serial(3)],
                outputQuantityList=[{"epcClass": lot_class(EXTERNAL, "L2"), "quantity": 5}],
                transformationID="urn:epc:id:gdti:9521141.00001.7",
            ),
            event(
                "TransactionEvent",
                action="ADD",
                epcList=[serial(1)],
                bizTransactionList=[{"type": "po", "bizTransaction": "urn:epc:id:gdti:9521141.00002.1"}],
            ),
            event("AssociationEvent", action="ADD", parentID="urn:epc:id:giai:9521141.7", childEPCs=[serial(2)]),
            event(bizStep="shipping", epcList=[serial(2)]),
            event(bizStep="https://example.org/steps/fermenting", epcList=[serial(9)]),
            **{
                "@context": [
                    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
                    {"ex": "https://example.org/"},
                ]
            },
        )
    )
    return door


QUESTIONS: list[tuple[dict[str, str], list[int]]] = [
    ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ({"EQ_bizStep": "inspecting|shipping"}, [3, 8]),
    ({"EQ_bizStep": "https://ref.gs1.org/cbv/BizStep-storing"}, [4]),
    ({"EQ_bizStep": "urn:epcglobal:cbv:bizstep:storing"}, [4]),
    ({"EQ_bizStep": "https://example.org/steps/fermenting"}, [9]),
    ({"EQ_disposition": "active"}, [1]),
    ({"EQ_persistentDisposition_set": "completeness_verified"}, [4]),
    ({"MATCH_epc": serial(1)}, [1, 2, 3, 6]),
    ({"MATCH_epc": "urn:epc:id:sgtin:9521141.001234.1"}, [1, 2, 3, 6]),
    ({"MATCH_parentID": f"{PREFIX}/00/095211410123456780"}, []),
    ({"MATCH_parentID": "urn:epc:id:sscc:9521141.0012345678"}, [2]),
    ({"MATCH_inputEPC": serial(3)}, [5]),
    ({"MATCH_anyEPC": serial(3)}, [1, 5]),
    ({"MATCH_epcClass": lot_class(EXTERNAL, "L1")}, [4]),
    ({"MATCH_outputEPCClass": "urn:epc:class:lgtin:9521141.001234.L2"}, [5]),
    ({"MATCH_anyEPCClass": f"{lot_class(EXTERNAL, 'L1')}|{lot_class(EXTERNAL, 'L2')}"}, [4, 5]),
    ({"EQ_readPoint": f"{PREFIX}/414/9521141123454/254/400"}, [3]),
    ({"EQ_bizLocation": "urn:epc:id:sgln:9521141.12345.400"}, [4]),
    ({"EQ_bizTransaction_po": "urn:epc:id:gdti:9521141.00002.1"}, [6]),
    ({"EQ_transformationID": "urn:epc:id:gdti:9521141.00001.7"}, [5]),
    ({"eventType": "AggregationEvent|AssociationEvent"}, [2, 7]),
    ({"EQ_action": "ADD", "MATCH_epc": serial(2)}, [1, 2, 7]),
    ({"EQ_quantity": "7.5"}, [4]),
    ({"GE_quantity": "5", "LT_quantity": "7.5"}, [5]),
    ({"EQ_ex:furnace": "12"}, [1]),
    ({"GT_ex:furnace": "11"}, [1]),
    ({"EXISTS_ex:furnace": ""}, [1]),
    ({"EQ_ILMD_ex:kind": "示例"}, [1]),
    ({"EXISTS_errorDeclaration": "true"}, []),
    ({"eventCountLimit": "2"}, [1, 2]),
    ({"maxEventCount": "9"}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ({"orderBy": "eventTime", "orderDirection": "DESC", "eventCountLimit": "2"}, [9, 8]),
    ({"orderBy": "recordTime", "orderDirection": "DESC", "perPage": "3"}, [9, 8, 7]),
    ({"orderBy": "eventTime", "orderDirection": "ASC", "EQ_bizStep": "inspecting|shipping"}, [3, 8]),
]


def test_parameters_of_the_standard_are_answered(door: Door) -> None:
    rows = {row.eid: place for place, row in enumerate(EpcisEvent.objects.order_by("number"), 1)}
    for query, wanted in QUESTIONS:
        assert [rows[each["eventID"]] for each in door.events(**query)] == wanted, query


def test_what_cannot_be_asked_is_refused_as_a_problem(door: Door, world: World) -> None:
    for query, kind, status in (
        ({"EQ_nonsense": "1"}, "QueryParameterException", 400),
        ({"EQ_quantity": "nan"}, "QueryParameterException", 400),
        ({"EQ_quantity": "1e999"}, "QueryParameterException", 400),
        ({"GE_eventTime": "yesterday"}, "QueryParameterException", 400),
        ({"eventType": "OtherEvent"}, "QueryParameterException", 400),
        ({"perPage": "0"}, "QueryParameterException", 400),
        ({"perPage": "-1"}, "QueryParameterException", 400),
        ({"nextPageToken": "forged"}, "QueryParameterException", 400),
        ({"eventCountLimit": "1", "maxEventCount": "1"}, "QueryParameterException", 400),
        ({"MATCH_epc": "a\x00b"}, "QueryParameterException", 400),
        ({"HASATTR_PartyID": "urn:x"}, "ImplementationException", 501),
        ({"maxEventCount": "8"}, "QueryTooLargeException", 413),
        ({"MATCH_epc": "x" * 9000}, "URITooLongException", 414),
    ):
        problem(door.get("events", **query), status, kind)
    problem(Door().get("events"), 401, "SecurityException")
    problem(Door("wrong").get("events"), 401, "SecurityException")
    only_read = door_of(world.distillery.organisation, scopes=["events:read"])
    problem(only_read.send("POST", "capture", {}), 403, "SecurityException")
    problem(door.send("POST", "capture", b"x", "text/plain"), 415, "UnsupportedMediaTypeException")
    problem(door.client.get("/epcis/events", headers=door.headers(accept="image/png")), 406, "NotAcceptableException")
    problem(
        door.client.get("/epcis/events", headers=door.headers(**{"GS1-EPC-Format": "x"})), 406, "NotAcceptableException"
    )
    problem(door.get("nowhere"), 404, "NoSuchResourceException")
    problem(door.get("events/urn:uuid:nobody"), 404, "NoSuchResourceException")
    problem(door.get("bizSteps/packing/events"), 404, "NoSuchResourceException")
    problem(door.get("bizSteps/shipping/events", EQ_bizStep="shipping"), 400, "QueryParameterException")
    problem(door.send("DELETE", "events"), 405, "ImplementationException")


def test_pages_miss_nothing_while_events_arrive(door: Door) -> None:
    for first in ({"perPage": "4"}, {"perPage": "4", "GE_eventTime": "2026-01-01T00:00:00Z"}):
        wanted = [row.eid for row in EpcisEvent.objects.order_by("number")]
        seen: list[str] = []
        address, query = "events", dict(first)
        while True:
            answer = door.get(address, **query)
            listed = told(answer)["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
            seen += [each["eventID"] for each in listed]
            if "Link" not in answer:
                break
            assert answer["Link"].endswith('>; rel="next"')
            address, query = answer["Link"][1:].partition(">")[0], {}
            if len(seen) == 4:
                early = event(bizStep="holding", epcList=[serial(77)])
                early["eventTime"] = "2026-02-01T00:00:00.000+00:00"
                door.captured(document(early))
        assert len(seen) == len(set(seen))
        assert set(wanted) <= set(seen)


def test_a_page_asks_the_same_whatever_its_size(door: Door) -> None:
    counts = []
    door.get("events")
    for size in ("2", "8"):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            door.get("events", perPage=size)
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_collections_tell_what_events_name(door: Door) -> None:
    assert set(told(door.get("eventTypes"))["member"]) >= {"ObjectEvent", "AssociationEvent"}
    assert "shipping" in told(door.get("bizSteps"))["member"]
    assert told(door.get("dispositions"))["member"] == ["active", "in_progress"]
    first = told(door.get("epcs", perPage="2"))
    assert len(first["member"]) == 2
    assert told(door.get("bizSteps/shipping"))["member"] == ["events"]
    assert len(door.events("bizSteps/shipping/events")) == 1
    assert len(door.events("eventTypes/AggregationEvent/events")) == 1
    assert len(door.events(f"epcs/{serial(1)}/events")) == 4
    assert len(door.events("epcs/urn:epc:id:sgtin:9521141.001234.1/events", EQ_action="ADD")) == 3
    assert len(door.events(f"readPoints/{PREFIX}%2F414%2F9521141123454%2F254%2F400/events")) == 1


def test_identifiers_are_told_in_the_format_that_is_asked_for(door: Door, world: World) -> None:
    def epcs(wanted: str) -> list[str]:
        answer = door.send("GET", "events?EQ_bizStep=inspecting", **({"GS1-EPC-Format": wanted} if wanted else {}))
        found: list[str] = told(answer)["epcisBody"]["queryResults"]["resultsBody"]["eventList"][0]["epcList"]
        return found

    assert epcs("") == epcs("Always_GS1_Digital_Link") == [serial(1)]
    assert epcs("Never_Translates") == epcs("No_Preference") == ["urn:epc:id:sgtin:9521141.001234.1"]
    organisation = world.distillery.organisation
    organisation.gs1_prefix = "9521141"
    organisation.save(update_fields=["gs1_prefix"])
    assert epcs("Always_EPC_URN") == ["urn:epc:id:sgtin:9521141.001234.1"]


def test_strangers_see_nothing_of_it(door: Door, world: World) -> None:
    theirs = door_of(world.walnuts.organisation)
    (eid,) = [each["eventID"] for each in door.events(EQ_bizStep="shipping")]
    assert theirs.events() == []
    assert theirs.events(EQ_eventID=eid) == []
    assert theirs.events(MATCH_epc=serial(1)) == []
    assert told(theirs.get("epcs"))["member"] == []
    problem(theirs.get(f"events/{eid}"), 404, "NoSuchResourceException")
    problem(theirs.get("bizSteps/shipping/events"), 404, "NoSuchResourceException")
    assert theirs.captured(document(event(bizStep="shipping", epcList=[serial(2)])))["eventsCaptured"] == 1
    assert len(theirs.events()) == 1


def test_options_and_the_standards_headers_are_everywhere(door: Door) -> None:
    for path, allow in (
        ("", "GET, HEAD, OPTIONS"),
        ("capture", "GET, POST, HEAD, OPTIONS"),
        ("events", "GET, POST, HEAD, OPTIONS"),
        ("events/x", "GET, HEAD, OPTIONS"),
        ("bizSteps", "GET, HEAD, OPTIONS"),
        ("bizSteps/shipping/events", "GET, HEAD, OPTIONS"),
        ("queries", "GET, POST, HEAD, OPTIONS"),
        ("queries/x", "GET, DELETE, HEAD, OPTIONS"),
        ("queries/x/subscriptions", "GET, POST, HEAD, OPTIONS"),
    ):
        answer: Any = Door().send("OPTIONS", path)
        assert (answer.status_code, answer["Allow"]) == (204, allow), path
        assert answer["GS1-EPCIS-Version"] == "2.0.0"
        assert answer["GS1-Extensions"] == "fy=urn:x-fenyang:"
        assert int(answer["GS1-EPCIS-Capture-Limit"]) > 1000
    assert door.send("HEAD", "events").status_code == 200
    assert told(door.get(""))["links"]["events"].endswith("/epcis/events")


@pytest.mark.sqlite
def test_the_common_filters_walk_one_index_each(door: Door) -> None:
    """PostgreSQL reads tables of nine rows from end to end, so it is not asked here."""
    door.events()
    for query in (
        {"EQ_bizStep": "inspecting"},
        {"MATCH_epc": serial(1)},
        {"GE_eventTime": "2026-01-01T00:00:00Z"},
        {"EQ_bizLocation": "urn:epc:id:sgln:9521141.12345.400"},
        {"EQ_bizStep": "storing", "EQ_bizLocation": "urn:epc:id:sgln:9521141.12345.400"},
    ):
        with CaptureQueriesContext(connection) as asked:
            assert door.events(**query)
        plans = []
        for each in asked.captured_queries:
            if each["sql"].startswith("SELECT") and "trace_epcis" in each["sql"] and "epcishead" not in each["sql"]:
                with connection.cursor() as cursor:
                    cursor.execute(f"EXPLAIN QUERY PLAN {each['sql']}")
                    plans += [str(row[-1]) for row in cursor.fetchall()]
        assert any("trace_epcis" in plan for plan in plans)
        assert not [plan for plan in plans if "SCAN" in plan or "TEMP B-TREE" in plan], (query, plans)


def test_the_answer_is_in_the_type_that_is_asked_for_most(door: Door) -> None:
    for accept, media in (
        ("application/xml;q=0.1, application/json;q=0.9", "application/json"),
        ("application/json;q=0, application/xml", "application/xml"),
        ("text/xml, */*;q=0.1", "application/xml"),
        ("text/html, */*;q=0.1", "application/ld+json"),
        ("application/json, application/xml", "application/json"),
        ("*/*", "application/ld+json"),
    ):
        answer: Any = door.send("GET", "events", Accept=accept)
        assert (answer.status_code, answer["Content-Type"]) == (200, media), accept
    for accept in ("text/html", "*/*;q=0", "application/json;q=0"):
        problem(door.send("GET", "events", Accept=accept), 406, "NotAcceptableException")


def test_what_is_asked_for_in_another_version_is_refused(door: Door) -> None:
    for name, fine, wrong in (
        ("GS1-EPCIS-Version", ("2.0", "2.0.0"), ("1.2", "3.0", "x")),
        ("GS1-EPCIS-Min", ("1.0", "2.0"), ("2.1", "3")),
        ("GS1-EPCIS-Max", ("2.0", "3.0"), ("1.2",)),
        ("GS1-CBV-Version", ("2.0",), ("1.2",)),
    ):
        for version in fine:
            assert door.send("GET", "events", **{name: version}).status_code == 200, (name, version)
        for version in wrong:
            found = door.send("GET", "events", **{name: version})
            assert problem(found, 406, "NotAcceptableException")["code"] == "version"
    old = {"GS1-EPCIS-Version": "1.2"}
    assert door.send("POST", "capture", document(event(epcList=[serial(77)])), **old).status_code == 202


def test_a_boolean_of_an_extension_is_found_as_it_is_written(door: Door) -> None:
    context = {"@context": [CONTEXT, {"ex": "https://example.org/"}]}
    for number, value in enumerate((True, False, 5)):
        said: dict[str, Any] = {"ex:said": value}
        door.captured(document(event(epcList=[serial(80 + number)], **said), **context))
    assert [each["ex:said"] for each in door.events(**{"EQ_ex:said": "true"})] == [True]
    assert [each["ex:said"] for each in door.events(**{"EQ_ex:said": "false|5"})] == [False, 5]


def test_a_packed_body_is_refused_at_once(door: Door) -> None:
    body = gzip.compress(json.dumps(document(event(epcList=[serial(78)]))).encode())
    for path in ("capture", "events"):
        answer = door.send("POST", path, body, **{"Content-Encoding": "gzip"})
        assert problem(answer, 415, "UnsupportedMediaTypeException")["code"] == "content_encoding"
        assert answer["Accept-Encoding"] == "identity"


def test_a_body_in_chunks_is_read_though_nobody_told_its_length(door: Door) -> None:
    """What WSGI servers make of ``Transfer-Encoding: chunked``: an input that ends, and no length."""
    body = json.dumps(document(event(epcList=[serial(79)]))).encode()
    told_by_server: dict[str, Any] = {"CONTENT_LENGTH": "", "CONTENT_TYPE": "application/json"}
    headers = door.headers(**{"Transfer-Encoding": "chunked"})
    for path, status in (("capture", 202), ("events", 400)):
        told_by_server["wsgi.input"] = io.BytesIO(body)
        answer = door.client.generic("POST", f"/epcis/{path}", b"", headers=headers, **told_by_server)
        assert answer.status_code == status, answer.content
        assert b"document_empty" not in answer.content
    assert len(door.events(MATCH_epc=serial(79))) == 1
