"""Events like the one before them are poured after it: what is written is what planning each of them would write."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any

import pytest
from django.db.models.sql.compiler import SQLCompiler
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.goods import make_lot
from tests.trace.door_client import CONTEXT, door_of
from tests.trace.test_door_property import QUIET, captured, snapshot, undone
from tests.world import GTIN, World
from trace.actions import epcis_capture
from trace.actions.epcis_plan import Incoming
from trace.actions.rebuild import rebuild
from trace.batch import FEW
from trace.epcis.vocabulary import OURS
from trace.ledger import verify
from trace.models import Conflict, Event, EventItem, Lot, Unit

PRODUCTS = (GTIN, "09521141012345", "09529999000019")
PLACES = ("urn:epc:id:sgln:9529999.00001.0", "https://id.gs1.org/414/9529999000026")
PARTY = "urn:epc:id:pgln:9529999.00002"
HEAD = {
    "@context": CONTEXT,
    "type": "EPCISDocument",
    "schemaVersion": "2.0",
    "creationDate": "2026-01-01T00:00:00Z",
}
ISSUED = "7777777ABCDE"
"""A code of a bottle that the distillery issued."""


def _link(gtin: str, serial: str) -> str:
    return f"https://id.gs1.org/01/{gtin}/21/{serial}"


@st.composite
def runs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some events of one kind, one second after the other, with serials of which some were met before."""
    kind = draw(
        st.sampled_from(
            [
                {"type": "ObjectEvent", "action": "OBSERVE", "bizStep": "inspecting"},
                {"type": "ObjectEvent", "action": "OBSERVE"},
                {"type": "ObjectEvent", "action": "ADD", "bizStep": "commissioning", "disposition": "active"},
                {"type": "ObjectEvent", "action": "ADD", "bizStep": "commissioning", "fy:step": "walnut.harvest"},
                {"type": "ObjectEvent", "action": "OBSERVE", "bizStep": "shipping", "to": PARTY},
                {"type": "ObjectEvent", "action": "OBSERVE", "bizStep": "receiving", "from": PARTY},
                {"type": "ObjectEvent", "action": "DELETE", "bizStep": "destroying"},
                {"type": "AggregationEvent", "action": "ADD", "parentID": "urn:epc:id:sscc:9529999.0000000001"},
                {"type": "AssociationEvent", "action": "OBSERVE", "parentID": "urn:epc:id:grai:9529999.00001.1"},
                {"type": "TransactionEvent", "action": "OBSERVE"},
            ]
        )
    )
    product, place = draw(st.sampled_from(PRODUCTS)), draw(st.sampled_from(("", *PLACES)))
    serials = st.sampled_from(["A", "B", "C", "D", "E", "F", "G", "H", ISSUED, "I-1"])
    begun = datetime.datetime(2025, draw(st.sampled_from([8, 10])), 3, tzinfo=datetime.UTC)
    found = []
    for number in range(draw(st.integers(2, 5))):
        told: dict[str, Any] = {
            **{name: value for name, value in kind.items() if name not in ("to", "from")},
            "eventTime": (begun + datetime.timedelta(seconds=number)).isoformat(),
            "eventTimeZoneOffset": "+00:00",
        }
        listed = [_link(product, each) for each in draw(st.lists(serials, min_size=1, max_size=2, unique=True))]
        told["childEPCs" if kind["type"] in ("AggregationEvent", "AssociationEvent") else "epcList"] = listed
        if place:
            told["bizLocation"] = {"id": place}
        if "to" in kind:
            told["destinationList"] = [{"type": "possessing_party", "destination": kind["to"]}]
        if "from" in kind:
            told["sourceList"] = [{"type": "possessing_party", "source": kind["from"]}]
        if kind["type"] == "TransactionEvent":
            told["bizTransactionList"] = [{"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:9529999000019:1"}]
        if kind["type"] == "ObjectEvent" and told["action"] == "ADD" and draw(st.integers(0, 5)) == 0:
            told["ilmd"] = {"cbvmda:lotNumber": "L1"}
        found.append(told)
    return found


def _ledger() -> dict[str, Any]:
    """The snapshot, and what events and items say beside it."""
    codes = dict(Lot.objects.values_list("pk", "lot_code"))
    columns = (
        "template", "event_type", "action", "biz_step", "disposition", "local_step", "mode", "occurred_at", "tz_offset",
        "precision", "organisation", "entered_by_organisation", "place__name", "counterparty__name", "data",
    )  # fmt: skip
    items = EventItem.objects.values_list(
        "event__data", "number", "role", "lot", "holder__name", "place__name", "micros", "entered", "entered_unit",
        "factor", "ilmd",
    )  # fmt: skip
    own = ("publicCode", "issuer", "product", "productVersion")
    return {
        **snapshot(),
        "ledger": sorted(
            repr((*row, [flag["code"] for flag in flags]))
            for *row, flags in Event.objects.values_list(*columns, "flags")
        ),
        "items": sorted(
            repr((*row[:3], codes.get(row[3] or 0), *row[4:-1], {k: v for k, v in row[-1].items() if k not in own}))
            for row in items
        ),
    }


@settings(QUIET, max_examples=25)
@given(listed=st.lists(runs(), min_size=1, max_size=4))
def test_events_alike_are_written_as_if_each_were_planned(world: World, listed: list[list[dict[str, Any]]]) -> None:
    document = {
        "@context": [CONTEXT, {"fy": OURS}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-01-01T00:00:00Z",
        "epcisBody": {"eventList": [event for run in listed for event in run]},
    }

    def run() -> dict[str, Any]:
        lot = _issued(world)
        job = captured(world.walnuts, document)
        assert not job.errors, job.errors
        assert not list(verify())
        assert rebuild(write=False).differences == []
        assert Unit.objects.get().lot == lot
        return _ledger()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epcis_capture.Chunk, "_beginning_kind", lambda _chunk, _found: None)
        planned = undone(run)
    assert undone(run) == planned


def _issued(world: World) -> Lot:
    lot = make_lot(world.distillery, world.baijiu)
    Unit.objects.create(organisation=lot.organisation, lot=lot, code=ISSUED, level=Unit.Level.ITEM)
    return lot


def test_only_the_first_of_a_kind_is_planned(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    door = door_of(world.walnuts.organisation)
    planned: list[str] = []
    plan = epcis_capture.Chunk._one

    def noted(chunk: epcis_capture.Chunk, found: Incoming) -> Any:
        planned.append(found.eid)
        return plan(chunk, found)

    monkeypatch.setattr(epcis_capture.Chunk, "_one", noted)
    document = {
        **HEAD,
        "epcisBody": {
            "eventList": [
                {
                    "type": "ObjectEvent",
                    "eventTime": f"2026-01-01T00:00:{number:02d}Z",
                    "eventTimeZoneOffset": "+00:00",
                    "action": "OBSERVE",
                    "epcList": [_link(PRODUCTS[1], f"S{number}")],
                }
                for number in range(20)
            ]
        },
    }
    assert door.captured(document)["eventsCaptured"] == 20
    assert len(planned) == 1
    assert Lot.objects.filter(display_code__startswith="S").count() == Event.objects.count() == 20
    assert not Conflict.objects.exists()
    assert not list(verify())


@pytest.mark.parametrize(
    "other",
    [
        {"fy:precision": "day"},
        {"fy:lots": [f"https://id.gs1.org/01/{PRODUCTS[1]}/10/L1"]},
        {"fy:lots": [""]},
        {"epcList": [_link(PRODUCTS[1], "MADE")]},
    ],
)
def test_what_one_event_says_besides_is_not_lost_after_one_alike(world: World, other: dict[str, Any]) -> None:
    def told(number: int, **more: Any) -> dict[str, Any]:
        return {
            "type": "ObjectEvent",
            "eventTime": f"2026-01-02T00:00:{number:02d}Z",
            "eventTimeZoneOffset": "+00:00",
            "action": "OBSERVE",
            "epcList": [_link(PRODUCTS[1], f"S{number}")],
            **more,
        }

    lot = {
        "type": "ObjectEvent",
        "eventTime": "2026-01-01T00:00:00Z",
        "eventTimeZoneOffset": "+00:00",
        "action": "ADD",
        "bizStep": "commissioning",
        "quantityList": [{"epcClass": f"https://id.gs1.org/01/{PRODUCTS[1]}/10/L1", "quantity": 5}],
    }
    made = {"id": "urn:epcglobal:cbv:mda#productionDate", "attribute": "2025-12-24"}
    element = {"id": _link(PRODUCTS[1], "MADE"), "attributes": [made]}
    document = {
        **HEAD,
        "@context": [CONTEXT, {"fy": OURS}],
        "epcisHeader": {
            "epcisMasterData": {
                "vocabularyList": [
                    {"type": "urn:epcglobal:epcis:vtype:EPCInstance", "vocabularyElementList": [element]}
                ]
            }
        },
        "epcisBody": {"eventList": [lot, told(1), told(2), told(3, **other), told(4)]},
    }

    def run() -> dict[str, Any]:
        job = captured(world.walnuts, document)
        assert not job.errors, job.errors
        return _ledger()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epcis_capture.Chunk, "_beginning_kind", lambda _chunk, _found: None)
        planned = undone(run)
    assert undone(run) == planned


def test_events_of_goods_met_before_ask_the_same_however_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of questions that are made and never sent: an empty query set costs as much but for the sending."""
    asked: list[str] = []
    build = SQLCompiler.pre_sql_setup

    def noted(compiler: SQLCompiler, *args: Any, **options: Any) -> Any:
        asked.append(str(compiler.query.model))
        return build(compiler, *args, **options)

    def looked_at(count: int, day: int, step: str) -> None:
        events = [
            {
                "type": "ObjectEvent",
                "eventTime": f"2026-01-{day:02d}T00:00:{number:02d}Z",
                "eventTimeZoneOffset": "+00:00",
                "action": "OBSERVE",
                "bizStep": step,
                "epcList": [_link(PRODUCTS[1], f"S{number}")],
            }
            for number in range(count)
        ]
        job = captured(world.walnuts, {**HEAD, "epcisBody": {"eventList": events}})
        assert job.captured == count

    looked_at(30, 1, "inspecting")
    looked_at(2, 2, "storing")
    monkeypatch.setattr(SQLCompiler, "pre_sql_setup", noted)
    made = []
    for count, day in ((FEW + 2, 3), (30, 4)):
        asked.clear()
        looked_at(count, day, "storing")
        made.append(Counter(asked))
    assert made[0] == made[1]
    assert Lot.objects.filter(display_code__startswith="S").count() == 30
