"""Questions about sensors, extensions and master data."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trace.door_client import CONTEXT, Door, document, door_of, event, lot_class, problem, told
from tests.trace.test_door_queries import EXTERNAL, serial
from tests.world import make_world
from trace.door.looking import MEASURED, OPERATORS, Wrong, look_of
from trace.epcis.formats import canonical
from trace.models import EpcisEvent

WARM: dict[str, Any] = event(
    epcList=[serial(1)],
    readPoint={"id": "urn:epc:id:sgln:9521141.12345.400", "ex:gate": "3"},
    sensorElementList=[
        {
            "ex:box": {"ex:shelf": 7},
            "sensorMetadata": {
                "time": "2026-10-01T08:00:00+08:00",
                "startTime": "2026-10-01T00:00:00Z",
                "endTime": "2026-10-01T01:00:00Z",
                "deviceID": "urn:epc:id:giai:9521141.111",
                "bizRules": "https://example.org/rules/1",
                "ex:maker": "示例",
                "ex:seal": [3, 4],
            },
            "sensorReport": [
                {"type": "Temperature", "value": 26.0, "uom": "CEL", "sDev": 0.5, "percRank": 50, "percValue": 30},
                {"type": "gs1:Mass", "minValue": 900, "maxValue": 1100, "meanValue": 1000, "uom": "GRM", "ex:level": 2},
            ],
        }
    ],
)
GERM: dict[str, Any] = event(
    epcList=[serial(2)],
    sensorElementList=[
        {
            "sensorReport": [
                {
                    "time": "2026-10-02T00:00:00Z",
                    "deviceID": "https://id.gs1.org/8004/9521141222",
                    "rawData": "https://example.org/raw/1",
                    "microorganism": "https://www.ncbi.nlm.nih.gov/taxonomy/1126011",
                    "chemicalSubstance": "https://identifiers.org/inchikey:CZMRCDWAGMRECN",
                    "stringValue": "ok",
                    "booleanValue": True,
                    "hexBinaryValue": "f0aa",
                    "uriValue": "https://id.gs1.org/8004/9521141333",
                }
            ]
        }
    ],
)
PLAIN: dict[str, Any] = event(epcList=[serial(3)])
QUESTIONS: list[tuple[str, str, str]] = [
    ("EXISTS_sensorElement", "", "WG"),
    ("EQ_type", "Temperature", "W"),
    ("EQ_type", "https://gs1.org/voc/Mass", "W"),
    ("EQ_type", "Speed|gs1:Temperature", "W"),
    ("EQ_deviceID", "urn:epc:id:giai:9521141.111", "W"),
    ("EQ_deviceID", "urn:epc:id:giai:9521141.222", "G"),
    ("EQ_SENSORMETADATA_deviceID", "https://id.gs1.org/8004/9521141111", "W"),
    ("EQ_SENSORMETADATA_deviceID", "https://id.gs1.org/8004/9521141222", ""),
    ("EQ_SENSORREPORT_deviceID", "https://id.gs1.org/8004/9521141222", "G"),
    ("EQ_rawData", "https://example.org/raw/1", "G"),
    ("EQ_bizRules", "https://example.org/rules/1", "W"),
    ("EQ_microorganism", "https://www.ncbi.nlm.nih.gov/taxonomy/1126011", "G"),
    ("EQ_chemicalSubstance", "https://identifiers.org/inchikey:CZMRCDWAGMRECN", "G"),
    ("EQ_stringValue", "ok|no", "G"),
    ("EQ_booleanValue", "true", "G"),
    ("EQ_booleanValue", "false", ""),
    ("EQ_hexBinaryValue", "F0AA", "G"),
    ("EQ_uriValue", "urn:epc:id:giai:9521141.333", "G"),
    ("GE_time", "2026-10-01T00:00:00Z", "WG"),
    ("GE_time", "2026-10-01T12:00:00Z", "G"),
    ("LT_time", "2026-10-01T12:00:00Z", "W"),
    ("GE_SENSORREPORT_time", "2026-01-01T00:00:00Z", "G"),
    ("GE_SENSORMETADATA_time", "2026-01-01T00:00:00Z", "W"),
    ("GE_startTime", "2026-10-01T00:00:00Z", "W"),
    ("LT_endTime", "2026-10-01T01:00:00Z", ""),
    ("EQ_value_CEL", "26", "W"),
    ("GT_value_CEL", "26", ""),
    ("GE_value_KEL", "299.15", "W"),
    ("LT_value_KEL", "299.15", ""),
    ("EQ_value_FAH", "78.8", "W"),
    ("GE_value_KGM", "0", ""),
    ("EQ_value", "26", "W"),
    ("GE_minValue_KGM", "0.9", "W"),
    ("LT_maxValue_KGM", "1.1", ""),
    ("LE_maxValue_KGM", "1.1", "W"),
    ("EQ_meanValue_GRM", "1000", "W"),
    ("LE_sDev", "0.5", "W"),
    ("EQ_sDev_CEL", "0.5", "W"),
    ("GE_percRank", "50", "W"),
    ("LT_percValue_CEL", "30", ""),
    ("EQ_SENSORELEMENT_ex:box", "7", ""),
    ("EXISTS_SENSORELEMENT_ex:box", "", "W"),
    ("EQ_SENSORMETADATA_ex:seal", "4", "W"),
    ("GT_SENSORMETADATA_ex:seal", "4", ""),
    ("EQ_INNER_SENSORELEMENT_ex:shelf", "7", "W"),
    ("GT_INNER_SENSORELEMENT_ex:shelf", "7", ""),
    ("EQ_SENSORMETADATA_ex:maker", "示例", "W"),
    ("GE_SENSORREPORT_ex:level", "2", "W"),
    ("EQ_READPOINT_ex:gate", "3", "W"),
    ("EQ_readPoint_ex:gate", "3", "W"),
    ("EXISTS_BIZLOCATION_ex:gate", "", ""),
    ("EXISTS_ERROR_DECLARATION_ex:why", "", ""),
    ("EXISTS_INNER_ex:shelf", "", "W"),
]


@pytest.mark.once
def test_each_condition_on_sensors_and_extensions_finds_its_events() -> None:
    for name, value, wanted in QUESTIONS:
        look = look_of(name, value.split("|"))
        assert look is not None, name
        found = "".join(each for each, of in (("W", WARM), ("G", GERM), ("P", PLAIN)) if look(of))
        assert found == wanted, (name, value)
    for name, value in (("GE_time", "soon"), ("EQ_value_CEL", "warm"), ("EQ_booleanValue", "yes"), ("EQ_value", "inf")):
        with pytest.raises(Wrong):
            look_of(name, [value])
    for name in ("EQ_nonsense", "EQ_SENSORREPORT_microorganism", "EQ_percRank_CEL", "EQ_value_", "XX_value", "GE_type"):
        assert look_of(name, ["1"]) is None, name


@pytest.mark.once
@given(
    here=st.floats(-1e6, 1e6).map(lambda each: round(each, 3)),
    there=st.floats(-1e6, 1e6).map(lambda each: round(each, 3)),
    field=st.sampled_from([each for each in MEASURED if each != "percRank"]),
)
def test_a_comparison_in_another_unit_says_the_same(here: float, there: float, field: str) -> None:
    told = {"sensorElementList": [{"sensorReport": [{field: here, "uom": "CEL"}]}]}
    for operator in OPERATORS:
        if math.isclose(here, there, abs_tol=0.01) or field == "sDev":
            continue
        same = look_of(f"{operator}_{field}_CEL", [str(there)])
        other = look_of(f"{operator}_{field}_KEL", [repr(there + 273.15)])
        assert same is not None
        assert other is not None
        assert same(told) is other(told)


def test_sensors_and_master_data_are_asked_over_http(db: None) -> None:
    world = make_world()
    door = door_of(world.distillery.organisation)
    site, hall, gate = (f"urn:epc:id:sgln:9521141.12345.{number}" for number in (0, 400, 401))
    elsewhere = "urn:epc:id:sgln:9521141.22222.0"
    seller, order_form = "urn:epc:id:pgln:9521141.33333", "https://partner.example.org/po/7"
    listed = [
        WARM,
        GERM,
        event(epcList=[serial(4)], readPoint={"id": gate}, bizLocation={"id": site}),
        event(
            epcList=[serial(5)],
            readPoint={"id": elsewhere},
            sourceList=[{"type": "owning_party", "source": seller}],
            bizTransactionList=[{"type": "po", "bizTransaction": order_form}],
        ),
        event(quantityList=[{"epcClass": lot_class(EXTERNAL, "L1"), "quantity": 1}]),
    ]
    master = {
        "vocabularyList": [
            {
                "type": "urn:epcglobal:epcis:vtype:BusinessLocation",
                "vocabularyElementList": [
                    {
                        "id": site,
                        "attributes": [
                            {"id": "cbvmda:name", "attribute": "示例酒厂"},
                            {"id": "ex:kind", "attribute": "a"},
                        ],
                        "children": [hall],
                    },
                    {"id": hall, "attributes": [{"id": "ex:kind", "attribute": "b"}], "children": [gate]},
                    {"id": gate, "children": [site]},
                ],
            },
            {
                "type": "urn:epcglobal:epcis:vtype:EPCClass",
                "vocabularyElementList": [
                    {"id": lot_class(EXTERNAL, "L1"), "attributes": [{"id": "cbvmda:colour", "attribute": "红"}]}
                ],
            },
        ]
    }
    for what, thing in (("Party", seller), ("BizTransaction", order_form)):
        about = {"id": thing, "attributes": [{"id": "cbvmda:name", "attribute": what}]}
        master["vocabularyList"].append({"type": f"urn:epcglobal:epcis:vtype:{what}", "vocabularyElementList": [about]})
    context = {"@context": [CONTEXT, {"ex": "https://example.org/"}]}
    door.captured(document(*listed, epcisHeader={"epcisMasterData": master}, **context))
    order = {row.eid: place for place, row in enumerate(EpcisEvent.objects.order_by("number"))}
    for query, wanted in (
        ({"GE_value_KEL": "299"}, [0]),
        ({"EQ_type": "gs1:Temperature", "MATCH_epc": serial(2)}, []),
        ({"WD_readPoint": site}, [0, 2]),
        ({"WD_readPoint": gate}, [0, 2]),
        ({"WD_readPoint": canonical(elsewhere)}, [3]),
        ({"EQ_readPoint": site}, []),
        ({"WD_bizLocation": "urn:epc:id:sgln:9521141.99999.0"}, []),
        ({"HASATTR_readPoint": "https://example.org/kind"}, [0]),
        ({"HASATTR_bizLocation": "urn:epcglobal:cbv:mda:name"}, [2]),
        ({"HASATTR_bizLocation": "nothing"}, []),
        ({"EQATTR_readPoint_ex:kind": "a"}, []),
        ({"EQATTR_readPoint_ex:kind": "a|b"}, [0]),
        ({"EQ_ATTR_bizLocation_cbvmda:name": "示例酒厂"}, [2]),
        ({"HASATTR_EPCClass": "cbvmda:colour"}, [4]),
        ({"EQATTR_EPCClass_cbvmda:colour": "红", "EQ_action": "OBSERVE"}, [4]),
        ({"HASATTR_source": "cbvmda:name"}, [3]),
        ({"HASATTR_destination": "cbvmda:name"}, []),
        ({"EQATTR_source_cbvmda:name": "Party"}, [3]),
        ({"EQATTR_bizTransaction_cbvmda:name": "BizTransaction"}, [3]),
    ):
        assert [order[each["eventID"]] for each in door.events(**query)] == wanted, query
    problem(door.get("events", **{"EQATTR_readPoint_\x00": "1"}), 400, "QueryParameterException")
    later = {
        "vocabularyList": [
            {"type": "x", "vocabularyElementList": [{"id": gate, "attributes": [{"id": "k", "attribute": 1}]}]}
        ]
    }
    door.captured(document(event(epcList=[serial(6)]), epcisHeader={"epcisMasterData": later}))
    assert len(door.events(HASATTR_readPoint="k")) == 1
    assert len(door.events(WD_readPoint=site)) == 2
    stranger = door_of(world.walnuts.organisation)
    assert stranger.events(WD_readPoint=site) == []
    assert told(Door(stranger.secret).get("events", HASATTR_readPoint="k"))["epcisBody"]
