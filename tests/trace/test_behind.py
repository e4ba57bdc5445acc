"""What is written while its maker goes on is there for whoever asks, and its errors are."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from tests.trace.door_client import document, door_of, event
from tests.world import World
from trace.actions import epcis_capture
from trace.behind import behind, check_references, go_on
from trace.ledger import verify
from trace.models import EpcisName, EpcisSeen, EpcisTerm, EventItem, LogEntry, Stock
from trace.rows import insert, new, numbered

GTIN = "https://id.gs1.org/01/09521141012345"


def _seen(world: World, number: int) -> EpcisSeen:
    return new(EpcisSeen, owner=world.distillery.organisation, number=number, event_time=timezone.now())


def test_whoever_asks_finds_what_was_written_behind(world: World) -> None:
    with transaction.atomic(), behind():
        for number in range(5):
            insert(numbered([_seen(world, number), _seen(world, number + 100)]))
            go_on()
        check_references()
        assert EpcisSeen.objects.count() == 10
        insert([_seen(world, 7)])
    assert EpcisSeen.objects.count() == 11


def test_an_error_of_what_was_written_behind_is_told_each_time(world: World) -> None:
    def twice() -> None:
        with transaction.atomic(), behind():
            insert(numbered([_seen(world, 1)]))
            insert(numbered([_seen(world, 1)]))
            for _time in range(2):
                with pytest.raises(IntegrityError):
                    EpcisSeen.objects.count()

    with pytest.raises(IntegrityError, match=r"epcis_?seen"):
        twice()
    assert not EpcisSeen.objects.exists()


def test_a_reference_to_nothing_is_found_behind(world: World) -> None:
    def astray() -> None:
        with transaction.atomic(), behind():
            insert([new(EpcisTerm, name_id=10**9, number=1)])
            check_references()
            if connection.vendor == "sqlite":
                connection.check_constraints()  # what its commit would do

    with pytest.raises(IntegrityError, match="trace_epcisterm"):
        astray()


def _state() -> list[Any]:
    """What a document left, without what is made by chance."""
    names = EpcisName.objects.order_by("kind", "value")
    return [
        list(names.values_list("kind", "value", "lot__lot_code", "parent__value", "party__name")),
        sorted(EpcisTerm.objects.values_list("name__kind", "name__value", "number")),
        sorted(EventItem.objects.values_list("event__log__number", "number", "role", "lot__lot_code", "micros")),
        sorted(Stock.objects.values_list("lot__lot_code", "micros")),
        LogEntry.objects.count(),
    ]


def test_a_document_in_many_blocks_leaves_what_one_block_leaves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    door = door_of(world.distillery.organisation)
    pack = "https://id.gs1.org/00/095211410000000014"
    serials = [f"{GTIN}/21/{number}" for number in range(6)]
    sent = document(
        event(action="ADD", bizStep="commissioning", epcList=serials[:3]),
        event(action="OBSERVE", epcList=serials[3:]),
        event("AggregationEvent", action="ADD", parentID=pack, childEPCs=serials[:2]),
        event(action="OBSERVE", epcList=[pack, serials[4]]),
        event(action="DELETE", bizStep="destroying", epcList=[serials[5]]),
        event(action="OBSERVE", bizStep="inspecting", epcList=[f"{GTIN}/21/new"]),
    )
    left = []
    for size in (1, 500):
        monkeypatch.setattr(epcis_capture, "BLOCK", size)
        with transaction.atomic():
            assert door.captured(sent)["eventsCaptured"] == 6
            assert list(verify()) == []
            left.append(_state())
            transaction.set_rollback(True)
    assert left[0] == left[1]
