"""EPCIS XML in and out: the published pairs, the round trip, hostile documents."""

import json
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trace.epcis.documents import CONTEXT, documents
from tests.trace.epcis.examples import events_of, folder, json_documents
from tests.trace.epcis.reference_hash import reference_pre_hashes_of_xml
from trace.epcis import xml_in
from trace.epcis.event_hash import pre_hash
from trace.epcis.formats import Vocabulary, compact_word
from trace.epcis.xml import EventStream, XmlInvalid, document_from_xml, document_to_xml, iter_events

pytestmark = pytest.mark.once

HEAD = (
    '<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2" xmlns:e="http://e.cn/" schemaVersion="2.0" {}>'
    "<EPCISBody><EventList>"
)
TAIL = "</EventList></EPCISBody></epcis:EPCISDocument>"
WHEN = "<eventTime>2026-11-28T05:24:33Z</eventTime><eventTimeZoneOffset>+08:00</eventTimeZoneOffset>"


def document(inside: str, root: str = "") -> bytes:
    """A document with these events."""
    return (HEAD.format(root) + inside + TAIL).encode()


def event(inside: str = "", more: str = "") -> bytes:
    """A document with one object event."""
    return document(f"<ObjectEvent>{WHEN}<epcList/><action>ADD</action>{inside}{more}</ObjectEvent>")


def refused(data: bytes) -> XmlInvalid:
    """How a document is refused."""
    with pytest.raises(XmlInvalid) as caught:
        document_from_xml(data)
    assert caught.value.message
    return caught.value


def xml_examples(shared_data: Path) -> Iterator[tuple[str, bytes]]:
    """The example documents in XML."""
    root = folder(shared_data)
    for path in sorted(root.rglob("*.xml")):
        if "Queries" not in str(path):
            yield str(path.relative_to(root)), path.read_bytes()


def hashes(found: dict[str, Any]) -> list[str]:
    """The meaning of the events of a document."""
    return [pre_hash(one, found.get("@context") if one is not found else None) for one in events_of(found)]


# The one example whose elements stand in an order the XML schema does not have, once as document and once as answer.
JUMBLED = {"2.0/EPCIS/XML/Capture/Documents/JumbledFieldsOrder.xml", "2.0/EPCIS/XML/Query/JumbledFieldsOrder.xml"}
# Pairs that differ themselves: a word that the vocabulary lacks is gs1:… in XML and bare in JSON, which is no URI of
# anything; an empty element is left out in JSON.
UNEQUAL = {
    "2.0/EPCIS/XML/Capture/Documents/SensorData_with_combined_events.xml": {7, 10},
    "2.0/EPCIS/XML/Query/SensorData_with_combined_events.xml": {7, 10},
    "2.0/EPCIS/XML/Capture/Documents/TransactionEvent_with_userExtensions.xml": {0},
    "2.0/EPCIS/XML/Query/TransactionEvent_with_userExtensions.xml": {0},
    "2.0/EPCIS/XML/Capture/Events/TransactionEvent.xml": {0},
}
REFUSED = {
    "ObjectEvent_with_unknown_element.xml": ("epcis_xml_element", "ObjectEvent[1]/madeUpField"),
    "ObjectEvent_with_wrong_element_order.xml": ("epcis_xml_order", "ObjectEvent[1]/eventTime"),
    "QueryDocument_with_invalid_eventType.xml": ("epcis_xml_element", "EventList/ObjectEventInvalid"),
    "QueryDocument_with_missing_value.xml": ("epcis_xml_element", "/EPCISQueryDocument/EPCISBody"),
}


def test_every_published_pair_has_one_meaning(shared_data: Path) -> None:
    pairs = 0
    for name, data in xml_examples(shared_data):
        twin = folder(shared_data) / name.replace("/XML/", "/JSON/").replace(".xml", ".json")
        if "Invalid" in name or not twin.exists():
            continue
        mine = hashes(document_from_xml(data, any_order=name in JUMBLED))
        theirs = hashes(json.loads(twin.read_text(encoding="utf-8")))
        assert len(mine) == len(theirs), name
        different = {number for number, (one, two) in enumerate(zip(mine, theirs, strict=True)) if one != two}
        assert different == UNEQUAL.get(name, set()), name
        pairs += 1
    assert pairs == 49


def test_every_published_document_in_xml_is_read_and_written_back(shared_data: Path) -> None:
    read = 0
    for name, data in xml_examples(shared_data):
        if "Invalid" in name:
            continue
        if name in JUMBLED:
            assert refused(data).code == "epcis_xml_order"
        found = document_from_xml(data, any_order=name in JUMBLED)
        assert found["type"] in ("EPCISDocument", "EPCISQueryDocument") or "eventTime" in found
        assert "xsd:2" not in json.dumps(found)
        again = document_from_xml(document_to_xml(found))
        assert again == found, name
        read += 1
    assert read == 73


def test_invalid_documents_are_refused_with_the_place(shared_data: Path) -> None:
    met = set()
    for name, data in xml_examples(shared_data):
        short = name.rpartition("/")[2]
        if short in REFUSED:
            code, path = REFUSED[short]
            error = refused(data)
            assert (error.code, error.details["path"].endswith(path)) == (code, True), error.details
            assert error.details["line"] > 1
            met.add(short)
        elif "Invalid" in name:
            # Values that no event may have: for whoever judges events, not for who reads XML.
            assert document_from_xml(data)
    assert met == set(REFUSED)


def test_the_reference_hashes_our_xml_alike(shared_data: Path) -> None:
    """A second reader of XML, of other authors, finds in what we write what we meant."""
    same = 0
    for name, found in json_documents(shared_data):
        if "Capture/Documents" not in name or "Combination" in name or "SensorData_with" in name:
            continue
        text = document_to_xml(found).decode()
        theirs = reference_pre_hashes_of_xml(text)
        mine = hashes(document_from_xml(text.encode()))
        same += sum(one in theirs for one in mine)
    assert same >= 25


def test_1_2_comes_in_without_its_wrappers(shared_data: Path) -> None:
    names = folder(shared_data) / "1.2" / "EPCIS" / "XML" / "Capture" / "Documents"
    pharma = document_from_xml((names / "GS1_US_Pharma_Example_2_2_1_1.xml").read_bytes())
    assert pharma["schemaVersion"] == "2.0"
    assert pharma["sender"] == "urn:epc:id:sgln:030001.111111.0"
    assert pharma["receiver"] == "urn:epc:id:sgln:039999.999999.0"
    assert pharma["instanceIdentifier"] == "1100220001"
    header = pharma["epcisHeader"]
    assert header["gs1ushc:dscsaTransactionStatement"]["gs1ushc:affirmTransactionStatement"] == "true"
    classes, locations = header["epcisMasterData"]["vocabularyList"]
    assert classes["type"] == "urn:epcglobal:epcis:vtype:EPCClass"
    assert [len(part["vocabularyElementList"]) for part in (classes, locations)] == [2, 4]
    assert locations["vocabularyElementList"][0]["attributes"][0] == {
        "id": "urn:epcglobal:cbv:mda#name",
        "attribute": "GS1 Pharma",
    }
    commissioned, *_middle, shipped = events_of(pharma)
    assert commissioned["ilmd"] == {"cbvmda:lotNumber": "A123", "cbvmda:itemExpirationDate": "2025-03-27"}
    assert commissioned["bizStep"] == "commissioning"
    assert shipped["destinationList"][0]["type"] == "owning_party"
    assert shipped["gs1ushc:dropShipment"] == "false"
    every = events_of(document_from_xml((names / "All_eventTypes_in_single_document.xml").read_bytes()))
    assert {one["type"] for one in every} >= {"ObjectEvent", "TransformationEvent", "AssociationEvent"}
    declared = events_of(
        document_from_xml((names / "ObjectEvent_with_baseExtension_errorDeclaration.xml").read_bytes())
    )
    assert declared[1]["errorDeclaration"]["reason"] == "incorrect_data"
    assert declared[2]["eventID"].startswith("urn:uuid:")


def normal(value: Any) -> Any:
    """A list of one is the thing itself and a list in a list is none, as in JSON-LD; words are compact."""
    if isinstance(value, dict):
        return {key: normal(_word(key, item, value)) for key, item in value.items()}
    if isinstance(value, list):
        items = [part for item in value for part in (item if isinstance(item, list) else [item])]
        if any(isinstance(item, list) for item in items):
            return normal(items)
        return normal(items[0]) if len(items) == 1 else [normal(item) for item in items]
    return value


def _word(key: str, value: Any, inside: dict[str, Any]) -> Any:
    vocabulary = {
        "bizStep": Vocabulary.BIZ_STEP,
        "disposition": Vocabulary.DISPOSITION,
        "set": Vocabulary.DISPOSITION,
        "unset": Vocabulary.DISPOSITION,
        "reason": Vocabulary.ERROR_REASON,
        "exception": Vocabulary.SENSOR_ALERT,
        "component": Vocabulary.COMPONENT,
        "type": Vocabulary.BIZ_TRANSACTION
        if "bizTransaction" in inside
        else Vocabulary.SOURCE_DEST
        if "source" in inside or "destination" in inside
        else Vocabulary.MEASUREMENT,
    }.get(key)
    if vocabulary is None:
        return value
    if isinstance(value, list):
        return [compact_word(vocabulary, item) for item in value]
    return compact_word(vocabulary, value) if isinstance(value, str) else value


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_to_xml_and_back_nothing_is_lost(found: dict[str, Any]) -> None:
    data = document_to_xml(found)
    again = document_from_xml(data)
    # As attributes, which is how sensors have them, extensions are text; none of those drawn there are anything else.
    assert normal({**again, "@context": None}) == normal({**found, "@context": None})
    assert hashes(again) == hashes(found)
    assert document_from_xml(document_to_xml(again)) == again
    assert [pre_hash(one) for one in iter_events([data])] == hashes(found)


def test_published_documents_in_json_come_back_equal(shared_data: Path) -> None:
    for name, found in json_documents(shared_data):
        again = document_from_xml(document_to_xml(found))
        assert hashes(again) == hashes(found), name
        for key in ("creationDate", "sender", "receiver", "instanceIdentifier", "epcisHeader"):
            assert again.get(key) == found.get(key), name


def test_prefixes_mean_what_they_meant_where_they_stood() -> None:
    data = document(
        f'<ObjectEvent xmlns:a="http://a.cn/1">{WHEN}<epcList/><action>ADD</action><a:x>1</a:x><e:y>2</e:y>'
        f'<x xmlns="http://plain.cn/">3</x></ObjectEvent>'
        f'<ObjectEvent xmlns:a="http://a.cn/2">{WHEN}<epcList/><action>ADD</action><a:x>4</a:x>'
        f'<b:z xmlns:b="http://a.cn/1"><b:z xmlns:b="http://a.cn/3">5</b:z></b:z>'
        '<m:lotNumber xmlns:m="urn:epcglobal:cbv:mda:">L</m:lotNumber><gs1:w xmlns:gs1="http://not.gs1/">6</gs1:w>'
        "</ObjectEvent>"
    )
    first, second = events_of(document_from_xml(data))
    assert first["@context"] == [{"a": "http://a.cn/1", "ns1": "http://plain.cn/"}]
    assert (first["a:x"], first["e:y"], first["ns1:x"]) == ("1", "2", "3")
    assert second["a:x"] == "4"
    spaces = second["@context"][0]
    assert spaces["a"] == "http://a.cn/2"
    assert {spaces[key.split(":")[0]]: value for key, value in second.items() if key.startswith(("b", "gs1"))
            and ":" in key} == {"http://a.cn/1": {next(p for p in spaces if spaces[p] == "http://a.cn/3") + ":z": "5"},
                                "http://not.gs1/": "6"}  # fmt: skip
    assert second["cbvmda:lotNumber"] == "L"
    assert len(hashes(document_from_xml(data))) == len(set(hashes(document_from_xml(data)))) == 2


def test_a_thousand_namespaces_are_too_many_however_they_come() -> None:
    plain = "".join(f'<x xmlns="http://{number}/"/>' for number in range(300))
    assert refused(event(plain)).code == "epcis_xml_too_many"
    assert refused(document(f"<ObjectEvent>{WHEN}<epcList/><action>ADD</action></ObjectEvent>").replace(
        b"</EPCISBody>", b"</EPCISBody>" + plain.encode())).code == "epcis_xml_too_many"  # fmt: skip


def test_a_prefix_of_the_document_keeps_its_meaning_beside_new_ones() -> None:
    """The document's ns1 is used; a namespace without prefix gets another name."""
    inside = '<ns1:a>1</ns1:a><b xmlns="http://plain.cn/">2</b><e:c xmlns:ns1="http://third.cn/"><ns1:d>3</ns1:d></e:c>'
    one_event = f"<ObjectEvent>{WHEN}<epcList/><action>ADD</action>{inside}</ObjectEvent>"
    data = document(one_event, 'xmlns:ns1="http://first.cn/"')
    found = document_from_xml(data)
    (one,) = events_of(found)
    spaces = {**found["@context"][1], **one["@context"][0]}
    expanded = {spaces[key.split(":")[0]]: value for key, value in one.items() if ":" in key}
    inner = expanded.pop("http://e.cn/")
    assert expanded == {"http://first.cn/": "1", "http://plain.cn/": "2"}
    assert [spaces[key.split(":")[0]] for key in inner] == ["http://third.cn/"]


def test_reserved_prefixes_are_written_under_another_name() -> None:
    """Found by fuzzing: a prefix that a document of ours needs for something else."""
    for prefix in ("xsi", "epcisq", "sbdh", "epcis", "酒", "é"):
        data = event(f'<{prefix}:a xmlns:{prefix}="http://mine.cn/">1</{prefix}:a><e:等级>特级</e:等级>')
        found = document_from_xml(data)
        again = document_from_xml(document_to_xml(found))
        assert hashes(again) == hashes(found)
        assert "{http://mine.cn/}a=1" in hashes(found)[0]


def test_elements_of_ones_own_keep_what_they_hold() -> None:
    inside = (
        '<e:a> 7 </e:a><e:b xml:space="preserve"> 7 </e:b><e:c xsi:type="xsd:integer">7</e:c>'
        '<e:d xsi:type="xsd:boolean">true</e:d><e:f xsi:type="xsd:double">x</e:f><e:g xsi:nil="true"/><e:h/>'
        '<e:i unit="KGM">3.5</e:i><e:j>text<e:k>child</e:k></e:j><e:l>1</e:l><e:l>2</e:l>'
    )
    one = events_of(document_from_xml(event(inside).replace(b"<Obj", b'<Obj', 1).replace(
        b"<epcis:EPCISDocument", b'<epcis:EPCISDocument xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    )))[0]  # fmt: skip
    assert {key: value for key, value in one.items() if key.startswith("e:")} == {
        "e:a": "7",
        "e:b": " 7 ",
        "e:c": 7,
        "e:d": True,
        "e:f": "x",
        "e:g": None,
        "e:h": "",
        "e:i": {"e:unit": "KGM", "#text": "3.5"},
        "e:j": {"e:k": "child", "#text": "text"},
        "e:l": ["1", "2"],
    }


BOMB = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "epcis_xml_syntax"),
        (b"{}", "epcis_xml_syntax"),
        (b"\x00\x00", "epcis_xml_syntax"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "epcis_xml_syntax"),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', "epcis_xml_syntax"),
        (event()[:-10], "epcis_xml_syntax"),
        (event() + b"<more/>", "epcis_xml_syntax"),
        (event("&undefined;"), "epcis_xml_syntax"),
        (event("<e:a b='1' b='2'/>"), "epcis_xml_syntax"),
        (event("<nowhere:a/>"), "epcis_xml_syntax"),
        (BOMB + event("<e:a>&b;</e:a>"), "epcis_xml_doctype"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + event(), "epcis_xml_doctype"),
        (b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd">' + event(), "epcis_xml_doctype"),
        (b"<html/>", "epcis_xml_root"),
        (b'<EPCISDocument xmlns="http://other/" schemaVersion="2.0"/>', "epcis_xml_root"),
        (b"<EPCISDocument/>", "epcis_xml_version"),
        (b'<EPCISDocument schemaVersion="3.0"/>', "epcis_xml_version"),
        (b'<EPCISDocument schemaVersion="2.0"/>', "epcis_xml_element"),
        (b'<EPCISDocument schemaVersion="2.0"><EPCISBody/></EPCISDocument>', "epcis_xml_element"),
        (b'<EPCISQueryDocument schemaVersion="2.0"><EPCISBody><Poll/></EPCISBody></EPCISQueryDocument>',
         "epcis_xml_element"),
        (document("<VacuumEvent/>"), "epcis_xml_element"),
        (document("<e:ObjectEvent/>"), "epcis_xml_element"),
        (document("<extension><ObjectEvent/></extension>"), "epcis_xml_element"),
        (event("<parentID>x</parentID>"), "epcis_xml_element"),
        (event("<bizStep>x<b/></bizStep>"), "epcis_xml_element"),
        (event("<bizStep a='1'>x</bizStep>"), "epcis_xml_attribute"),
        (event('<x:a xmlns:x="http://www.w3.org/2001/XMLSchema-instance"/>'), "epcis_xml_element"),
        (event("<action>ADD</action>"), "epcis_xml_twice"),
        (event("<readPoint><id>1</id><id>2</id></readPoint>"), "epcis_xml_twice"),
        (event("stray"), "epcis_xml_value"),
        (event("<quantityList><quantityElement><quantity>many</quantity></quantityElement></quantityList>"),
         "epcis_xml_value"),
        (event("<quantityList><quantityElement><quantity>INF</quantity></quantityElement></quantityList>"),
         "epcis_xml_value"),
        (event("<quantityList><quantityElement><quantity>1e999</quantity></quantityElement></quantityList>"),
         "epcis_xml_value"),
        (event("<sensorElementList><sensorElement><sensorReport value='warm'/></sensorElement></sensorElementList>"),
         "epcis_xml_value"),
        (event("<sensorElementList><sensorElement><sensorReport booleanValue='ja'/></sensorElement>"
               "</sensorElementList>"), "epcis_xml_value"),
        (event("<e:a>" * 70 + "</e:a>" * 70), "epcis_xml_too_deep"),
        (document("", " ".join(f'xmlns:p{number}="http://{number}/"' for number in range(300))), "epcis_xml_too_many"),
    ],
)  # fmt: skip
def test_hostile_documents_are_refused_by_name(data: bytes, code: str) -> None:
    error = refused(data)
    assert error.code == code
    assert error.details["path"].startswith("/")
    with pytest.raises(XmlInvalid):
        list(iter_events([data]))


def test_times_without_seconds_get_them() -> None:
    (one,) = events_of(document_from_xml(event().replace(b"05:24:33Z", b"05:24Z")))
    assert one["eventTime"] == "2026-11-28T05:24:00Z"
    (one,) = events_of(document_from_xml(event().replace(b"05:24:33Z", b"05h24Z")))
    assert one["eventTime"] == "2026-11-28T05h24Z"


def test_a_fault_names_its_place() -> None:
    bad = "<quantityList><quantityElement/><quantityElement><quantity>x</quantity></quantityElement></quantityList>"
    error = refused(document(f"<ObjectEvent>{WHEN}</ObjectEvent>\n<ObjectEvent>{WHEN}\n{bad}</ObjectEvent>"))
    assert error.details == {
        "path": "/EPCISDocument/EPCISBody/EventList/ObjectEvent[2]/quantityList/quantityElement[2]/quantity",
        "line": 3,
    }


def test_size_and_number_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_in, "MAX_BYTES", 100_000)
    assert refused(event("<e:a>" + "x" * 100_000 + "</e:a>")).code == "epcis_xml_too_large"
    with pytest.raises(XmlInvalid, match="100000"):
        list(iter_events([event("<e:a>" + "x" * 100_000 + "</e:a>")]))
    monkeypatch.setattr(xml_in, "MAX_AT_ONCE", 50)
    assert refused(event("<e:a/>" * 60)).code == "epcis_xml_too_many"
    header = b"<EPCISHeader>" + b"<e:a/>" * 60 + b"</EPCISHeader><EPCISBody>"
    assert refused(document("").replace(b"<EPCISBody>", header)).code == "epcis_xml_too_many"
    monkeypatch.setattr(xml_in, "MAX_ELEMENTS", 100)
    assert refused(document(f"<ObjectEvent>{WHEN}</ObjectEvent>" * 40)).code == "epcis_xml_too_many"
    monkeypatch.undo()
    monkeypatch.setattr(xml_in, "_MAX_TOKEN", 1 << 19)
    assert refused(event("<!--" + "x" * (1 << 20) + "-->")).code == "epcis_xml_too_large"


def test_events_of_a_long_document_come_one_by_one() -> None:
    one = f"<ObjectEvent>{WHEN}<epcList>{'<epc>urn:epc:id:sgtin:9521234.012345.1</epc>' * 20}</epcList></ObjectEvent>"

    def chunks() -> Iterator[bytes]:
        yield HEAD.format("").encode()
        for _number in range(200):
            yield (one * 20).encode()
        yield TAIL.encode()

    stream = EventStream(chunks())
    assert stream.head == {}
    assert "@context" not in next(iter(stream))
    assert stream.head == {
        "@context": [CONTEXT, {"e": "http://e.cn/"}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
    }
    tracemalloc.start()
    try:
        count = sum(1 for found in iter_events(chunks()) if found["@context"][1] == {"e": "http://e.cn/"})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 4000
    assert peak < 3_000_000


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: event(text)))
def test_no_bytes_make_it_fall(data: bytes) -> None:
    with suppress(XmlInvalid):
        document_from_xml(data)


@pytest.mark.parametrize(
    ("more", "code", "path"),
    [
        ({"undeclared:a": 1}, "epcis_xml_prefix", "/epcisBody/eventList/0/undeclared:a"),
        ({"bare": 1}, "epcis_xml_name", "/epcisBody/eventList/0/bare"),
        ({"ext:a b": 1}, "epcis_xml_name", "/epcisBody/eventList/0/ext:a b"),
        ({"ext:1": 1}, "epcis_xml_name", "/epcisBody/eventList/0/ext:1"),
        ({"ext:a/b~": 1}, "epcis_xml_name", "/epcisBody/eventList/0/ext:a~1b~0"),
        ({"ext:a": {"x><y": 1}}, "epcis_xml_name", "/epcisBody/eventList/0/ext:a/x><y"),
        ({"ext:a": ["ok", "\x00"]}, "epcis_xml_character", "/epcisBody/eventList/0/ext:a/1"),
        ({"ext:a": "\ud800"}, "epcis_xml_character", "/epcisBody/eventList/0/ext:a"),
        ({"ext:a": float("nan")}, "epcis_xml_value", "/epcisBody/eventList/0/ext:a"),
        ({"action": None}, "epcis_xml_value", "/epcisBody/eventList/0/action"),
        ({"action": ["ADD", "ADD"]}, "epcis_xml_value", "/epcisBody/eventList/0/action"),
        ({"readPoint": "x"}, "epcis_xml_value", "/epcisBody/eventList/0/readPoint"),
        ({"type": "VacuumEvent"}, "epcis_xml_root", "/epcisBody/eventList/0/type"),
        ({"sourceList": [{"source": "x", "weight": 1}]}, "epcis_xml_name", "/epcisBody/eventList/0/sourceList/0"),
    ],
)
def test_what_xml_cannot_say_is_refused_with_a_pointer(more: dict[str, Any], code: str, path: str) -> None:
    one = {"type": "ObjectEvent", "eventTime": "2026-11-28T05:24:33Z", **more}
    with pytest.raises(XmlInvalid) as caught:
        document_to_xml(
            {"@context": {"ext": "http://e.cn/"}, "type": "EPCISDocument", "epcisBody": {"eventList": [one]}}
        )
    assert (caught.value.code, caught.value.details["path"]) == (code, path)


def test_an_answer_does_not_fail_for_what_one_event_holds() -> None:
    one = {
        "type": "ObjectEvent",
        "eventTime": "2026-11-28T05:24:33Z",
        "ext:a": "x\x00\ud800y",
        "ext:1 b": 2,
        "none:c": {"@id": "urn:x", "@type": "ext:T", "ext:d": {"@set": ["1", "2"]}, "ext:e": {"@value": 7}, "": 8},
        "sensorElementList": [{"sensorReport": [{"type": "Mass", "ext:2": "z", "ext:x y": "w", "<": 1}]}],
    }
    document = {"@context": {"ext": "http://e.cn/"}, "type": "EPCISDocument", "epcisBody": {"eventList": [one]}}
    with pytest.raises(XmlInvalid):
        document_to_xml(document)
    (back,) = events_of(document_from_xml(document_to_xml(document, forgiving=True)))
    assert back["ext:a"] == "x\ufffd\ufffdy"
    assert back["ext:_1_x0020_b"] == 2
    assert back["@context"] == [{"own": "none:"}]
    assert back["own:c"] == {"id": "urn:x", "type": "ext:T", "ext:d": ["1", "2"], "ext:e": 7, "_": 8}
    assert back["sensorElementList"][0]["sensorReport"][0]["ext:_2"] == "z"


def test_a_key_that_is_written_out_is_a_namespace_and_a_name() -> None:
    one = {
        "type": "ObjectEvent",
        "eventTime": "2026-11-28T05:24:33Z",
        "https://example.cn/words#grade": {"urn:example:a": "1"},
        "sensorElementList": [{"sensorReport": [{"type": "Mass", "https://example.cn/words#by": "x"}]}],
    }
    (back,) = events_of(
        document_from_xml(document_to_xml({"type": "EPCISDocument", "epcisBody": {"eventList": [one]}}))
    )
    assert pre_hash(back) == pre_hash(one)
    assert "{https://example.cn/words#}grade{urn:example:}a=1" in pre_hash(one)


def test_nesting_without_end_is_refused_in_writing_too() -> None:
    deep: Any = "x"
    for _number in range(20_000):
        deep = {"ext:a": deep}
    one = {"type": "ObjectEvent", "ext:a": deep}
    with pytest.raises(XmlInvalid) as caught:
        document_to_xml(
            {"@context": {"ext": "http://e.cn/"}, "type": "EPCISDocument", "epcisBody": {"eventList": [one]}}
        )
    assert caught.value.code == "epcis_xml_too_deep"
