"""The CBV event hash: the reference implementation's where it keeps its own rules, the rules' where it does not."""

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trace.epcis.examples import events_of, json_documents
from tests.trace.epcis.reference_hash import raw_reference_pre_hash, reference_pre_hash
from trace.epcis.event_hash import MAX_DEPTH, event_hash, pre_hash, utc_milliseconds
from trace.errors import Invalid

pytestmark = pytest.mark.once

EVENT: dict[str, Any] = {
    "type": "ObjectEvent",
    "eventTime": "2020-03-04T11:00:30.000+01:00",
    "recordTime": "2020-03-04T11:00:30.999+01:00",
    "eventTimeZoneOffset": "+01:00",
    "epcList": [
        "urn:epc:id:sscc:4012345.0000000333",
        "urn:epc:id:sscc:4012345.0000000111",
        "urn:epc:id:sscc:4012345.0000000222",
    ],
    "action": "OBSERVE",
    "bizStep": "departing",
    "readPoint": {"id": "urn:epc:id:sgln:4012345.00011.987"},
    "example:myField1": {"example:mySubField1": "2", "example:mySubField2": "5"},
    "example:myField2": "0",
    "example:myField3": {"example:mySubField3": ["3", "1"]},
}
CONTEXT = [{"example": "https://ns.example.com/epcis/"}]


def test_the_published_example_has_its_published_hash() -> None:
    """Example 1 of the standard's authors, with pre-hash string and hash as they print them."""
    ns = "{https://ns.example.com/epcis/}"
    assert pre_hash(EVENT, CONTEXT) == (
        "eventType=ObjectEventeventTime=2020-03-04T10:00:30.000ZeventTimeZoneOffset=+01:00"
        "epcListepc=https://id.gs1.org/00/040123450000001112epc=https://id.gs1.org/00/040123450000002225"
        "epc=https://id.gs1.org/00/040123450000003338action=OBSERVEbizStep=https://ref.gs1.org/cbv/BizStep-departing"
        f"readPointid=https://id.gs1.org/414/4012345000115/254/987{ns}myField1{ns}mySubField1=2{ns}mySubField2=5"
        f"{ns}myField2=0{ns}myField3{ns}mySubField3=1{ns}mySubField3=3"
    )
    assert event_hash(EVENT, CONTEXT) == (
        "ni:///sha-256;6ae96341e0acc6d7a261364751f60e68278a81cdf51da0abb6b4e617014e39d7?ver=CBV2.0"
    )


# Where the package gives no answer, or one against its rules. Event numbers count from 0.
NO_ANSWER = {
    ("Capture/Documents/Combination_of_different_event.json", 2),  # a source without type
    ("Query/Combination_of_different_event.json", 2),
    ("Capture/Documents/TransactionEvent.json", 0),  # a transaction without type
    ("Capture/Documents/TransformationEvent_all_possible_fields.json", 0),  # an extension redefines a protected term
}
LONG_NUMBERS = {  # 111100001111000011110000 comes out as 111100001111000003641344
    ("Capture/Documents/SensorData_with_combined_events.json", 6),
    ("Query/SensorData_with_combined_events.json", 6),
}


def test_every_published_document_has_the_hash_of_the_reference(shared_data: Path) -> None:
    silent, other, same = set(), set(), 0
    for name, document in json_documents(shared_data):
        for number, event in enumerate(events_of(document)):
            context = document.get("@context") if event is not document else None
            theirs = reference_pre_hash(event, context)
            if theirs is None:
                silent.add((name, number))
            elif theirs != pre_hash(event, context):
                other.add((name, number))
            else:
                same += 1
    assert silent == NO_ANSWER
    assert other == LONG_NUMBERS
    assert same == 95


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026-11-28T13:24:33+08:00", "2026-11-28T05:24:33.000Z"),
        ("2026-11-28T05:24:33.9994Z", "2026-11-28T05:24:33.999Z"),
        ("2026-11-28T05:24:33.9995Z", "2026-11-28T05:24:34.000Z"),
        ("2026-12-31T23:59:59.99951Z", "2027-01-01T00:00:00.000Z"),
        ("2023-01-18T11:04:03.1415Z", "2023-01-18T11:04:03.142Z"),
        ("2023-01-18T11:04:03.1425Z", "2023-01-18T11:04:03.143Z"),
        ("2023-01-18T11:04:03.14249999999999Z", "2023-01-18T11:04:03.142Z"),
        ("2026-11-28T24:00:00Z", "2026-11-29T00:00:00.000Z"),
        ("2026-11-28T24:00:01Z", "2026-11-28T24:00:01Z"),
        ("2026-11-28T05:24:33", "2026-11-28T05:24:33.000Z"),
        ("2026-11-28T05:24:33.5-09:30", "2026-11-28T14:54:33.500Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("9999-12-31T23:59:59.9999Z", "9999-12-31T23:59:59.9999Z"),
        ("2026-02-30T00:00:00Z", "2026-02-30T00:00:00Z"),
        ("2026-11-28T05:24:33+24:00", "2026-11-28T05:24:33+24:00"),
        ("2026-11-28T05:24:33+01:99", "2026-11-28T05:24:33+01:99"),
        ("٢٠٢٦-11-28T05:24:33Z", "٢٠٢٦-11-28T05:24:33Z"),
        ("yesterday", "yesterday"),
        ("", ""),
    ],
)
def test_times_are_utc_with_milliseconds(text: str, canonical: str) -> None:
    assert utc_milliseconds(text) == canonical


def _with(**more: Any) -> dict[str, Any]:
    return {**EVENT, **more}


def test_where_the_reference_breaks_its_rules_the_rules_hold() -> None:
    def ours(**more: Any) -> str:
        return pre_hash(_with(**more), CONTEXT)

    def theirs(**more: Any) -> str | None:
        return reference_pre_hash(_with(**more), CONTEXT)

    late = "2026-11-28T05:24:33.9996Z"
    assert theirs(eventTime=late) is None
    assert "eventTime=2026-11-28T05:24:34.000Z" in ours(eventTime=late)

    key = "example:lot"
    assert theirs(**{key: "007"}) == theirs(**{key: "7"})
    assert ours(**{key: "007"}) != ours(**{key: "7"})
    for first, second in (("1e3", "1000"), ("1_0", "10"), ("+7", "7"), ("12345678901234567", "12345678901234568")):
        assert theirs(**{key: first}) == theirs(**{key: second}), "no fault any more"
        assert ours(**{key: first}) != ours(**{key: second})
    assert theirs(**{key: "inf"}) is None
    assert ours(**{key: "inf"}).endswith("lot=inf" + ours()[ours().index("{https://ns.example.com/epcis/}myField1") :])

    untyped = [{"bizTransaction": "urn:epc:id:gdti:0614141.00001.1618034"}]
    assert theirs(bizTransactionList=untyped) is None
    assert "bizTransactionListbizTransaction=https://id.gs1.org/253/06141410000121618034" in ours(
        bizTransactionList=untyped
    )
    turned = [{"bizTransaction": "http://a.cn/po/1", "type": "po"}]
    straight = [{"type": "po", "bizTransaction": "http://a.cn/po/1"}]
    assert theirs(bizTransactionList=turned) != theirs(bizTransactionList=straight)
    assert ours(bizTransactionList=turned) == ours(bizTransactionList=straight) == theirs(bizTransactionList=straight)
    # The same word as somebody's own value is no word of the vocabulary.
    assert "Note=https://ref.gs1.org/cbv/BizStep-departing" in str(theirs(**{"example:Note": "departing"}))
    assert "Note=departing" in ours(**{"example:Note": "departing"})


def test_the_machine_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference reads a time without zone in the machine's zone; ours is UTC in every zone."""
    event = {
        "type": "ObjectEvent",
        "eventTime": "2026-11-28T05:24:33",
        "eventTimeZoneOffset": "+08:00",
        "action": "ADD",
    }
    ours, theirs = set(), set()
    try:
        for zone in ("UTC", "Asia/Shanghai"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            ours.add(pre_hash(event))
            theirs.add(raw_reference_pre_hash(event))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert len(theirs) == 2
    assert ours == {"eventType=ObjectEventeventTime=2026-11-28T05:24:33.000ZeventTimeZoneOffset=+08:00action=ADD"}


def test_one_event_in_other_clothes_has_one_hash() -> None:
    dressed = {
        **dict(reversed(EVENT.items())),
        "@context": {"mine": "https://ns.example.com/epcis/"},
        "eventID": "urn:uuid:404d95fc-9457-4a51-bd6a-0bba133845a8",
        "errorDeclaration": {"declarationTime": "2026-01-01T00:00:00Z", "reason": "incorrect_data"},
        "recordTime": "2026-01-01T00:00:00Z",
        "rdfs:comment": "a remark",
        "eventTime": "2020-03-04T10:00:30Z",
        "bizStep": "urn:epcglobal:cbv:bizstep:departing",
        "epcList": [
            "https://a.cn/00/040123450000001112",
            " https://id.gs1.org/00/040123450000003338?x=1",
            "urn:epc:id:sscc:4012345.0000000222",
        ],
        "mine:myField3": {"mine:mySubField3": ["1", 3]},
    }
    for key in ("example:myField1", "example:myField2"):
        dressed["mine" + key[7:]] = json.loads(json.dumps(dressed.pop(key)).replace("example:", "mine:"))
    del dressed["example:myField3"]
    assert pre_hash(dressed) == pre_hash(EVENT, CONTEXT)
    for bizstep in ("https://ref.gs1.org/cbv/BizStep-departing", "cbv:BizStep-departing"):
        assert pre_hash({**dressed, "bizStep": bizstep}) == pre_hash(EVENT, CONTEXT)
    assert pre_hash({**dressed, "bizStep": "arriving"}) != pre_hash(EVENT, CONTEXT)


def test_numbers_have_one_form() -> None:
    def quantity(value: Any) -> str:
        event = {"type": "ObjectEvent", "quantityList": [{"epcClass": "urn:x:1", "quantity": value, "uom": "KGM"}]}
        return pre_hash(event).split("quantity=")[1].split("uom")[0]

    for value in (1, 1.0, "1", "1.0", "+1", "01", "1e0", " 1 "):
        assert quantity(value) == "1"
    assert quantity("0.3434000") == quantity(0.3434) == "0.3434"
    assert quantity(-0.0) == quantity("-0") == "0"
    assert quantity(10**30) == "1" + "0" * 30
    assert quantity(10**6000) == "1" + "0" * 6000
    assert quantity("0.10000000000000000001") == "0.10000000000000000001"
    for nonsense in ("1e999999999", "nan", "inf", "1_0", "1" * 500, "x"):
        assert quantity(nonsense) == nonsense
    assert quantity(float("nan")) == "nan"
    assert quantity(True) == "true"


def test_what_is_nested_too_deep_is_refused_at_once() -> None:
    def nested(depth: int, *, array: bool) -> Any:
        value: Any = "x"
        for _ in range(depth):
            value = [value] if array else {"example:a": value}
        return value

    for array in (False, True):
        assert pre_hash(_with(**{"example:deep": nested(MAX_DEPTH - 2, array=array)}), CONTEXT)
        with pytest.raises(Invalid) as refused:
            pre_hash(_with(**{"example:deep": nested(20_000, array=array)}), CONTEXT)
        assert refused.value.code == "event_too_deep"
    assert pre_hash(_with(epcList=nested(20_000, array=True)), CONTEXT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
KEYS = st.sampled_from(
    ["eventTime", "epcList", "quantityList", "bizTransactionList", "sensorElementList", "readPoint", "type", "@context"]
)


@given(st.dictionaries(KEYS | st.text(max_size=10), JSON, max_size=6), JSON)
def test_no_event_makes_it_fall(event: dict[str, Any], context: object) -> None:
    before = copy.deepcopy(event)
    assert event_hash(event, context).startswith("ni:///sha-256;")
    assert repr(event) == repr(before)


TEXTS = st.sampled_from(
    [
        "", " ", "OBSERVE", "shipping", "007", "7.0", "gs1:x", "cbv:BizStep-shipping", "unknown:x", "recycling ",
        "https://ref.gs1.org/cbv/BizStep-shipping", "urn:epc:id:sgln:4012345.00011.987",
        "https://id.gs1.org/01/04012345000016/21/A", "2020-03-04T11:00:30+01:00", "2020-03-04T24:00:00Z",
    ]
)  # fmt: skip
MEMBERS = st.sampled_from(
    [
        "eventTimeZoneOffset", "certificationInfo", "parentID", "action", "transformationID", "bizStep", "disposition",
        "readPoint", "bizLocation", "persistentDisposition", "ilmd", "inputEPCList", "childEPCs", "quantityList",
        "sourceList", "eventID", "recordTime", "errorDeclaration", "comment", "#text", "gs1:best", "ext:own",
        "https://ns.example.com/epcis/own", "urn:ns.example.com:own", "name",
    ]
)  # fmt: skip
VALUES = TEXTS | st.dictionaries(st.sampled_from(["id", "", "type", "#text", "set", "gs1:id"]), TEXTS, max_size=2)


@given(st.dictionaries(MEMBERS, VALUES, max_size=6), TEXTS, st.lists(TEXTS, max_size=3), st.randoms())
def test_an_event_of_texts_has_the_hash_of_the_long_way(
    members: dict[str, Any], time: str, epcs: list[str], source: Any
) -> None:
    listed = [*members.items(), ("type", "ObjectEvent"), ("eventTime", time), ("epcList", epcs)]
    source.shuffle(listed)
    event = dict(listed)
    # A context that declares something is never taken for plain.
    assert pre_hash(event) == pre_hash(event, [{"never": "https://ns.example.com/never/"}])
