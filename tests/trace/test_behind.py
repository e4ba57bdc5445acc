"""What is written while its maker goes on is there for whoever asks, and its errors are."""

from __future__ import annotations

import datetime
import io
import json
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from tests.conftest import CommittedDatabase
from tests.trace.door_client import document, door_of, event
from tests.world import World, make_world
from trace.actions import epcis_capture
from trace.actions.epcis_jobs import run_next_capture, take_document
from trace.behind import PIECE, UNSENT, behind, check_references, go_on
from trace.ledger import verify
from trace.models import CaptureJob, EpcisEvent, EpcisName, EpcisSeen, EpcisTerm, EventItem, LogEntry, Stock
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


def test_rows_read_one_by_one_do_not_meet_what_is_written_behind(world: World) -> None:
    with transaction.atomic(), behind():
        insert(numbered([_seen(world, number) for number in range(6)]))
        found = []
        for row in EpcisSeen.objects.order_by("number").iterator(chunk_size=2):
            found.append(row.number)
            insert([_seen(world, row.number + 100)])
            go_on()
    assert found == list(range(6))
    assert EpcisSeen.objects.count() == 12


def test_a_savepoint_inside_takes_back_what_was_written_behind(world: World) -> None:
    with transaction.atomic(), behind():
        insert([_seen(world, 1)])
        with suppress(ZeroDivisionError), transaction.atomic():
            insert([_seen(world, 2)])
            raise ZeroDivisionError
        insert([_seen(world, 3)])
    assert list(EpcisSeen.objects.order_by("number").values_list("number", flat=True)) == [1, 3]


def test_rows_that_cannot_be_told_stop_what_is_written_behind(world: World) -> None:
    names = [new(EpcisName, owner=world.distillery.organisation, kind="epc", value=value) for value in ("a", "\ud800")]

    def write() -> None:
        with transaction.atomic(), behind():
            insert(numbered(names))
            insert([_seen(world, 1)])

    with pytest.raises(UnicodeEncodeError):
        write()
    assert not EpcisName.objects.filter(value="a").exists()
    assert not EpcisSeen.objects.exists()


@pytest.mark.postgresql
def test_more_than_the_wire_holds_is_written_behind(world: World) -> None:
    owner = world.distillery.organisation
    long = "x" * 490
    count = 2 * (UNSENT + PIECE) // len(long)
    with transaction.atomic(), behind():
        insert(numbered([new(EpcisName, owner=owner, kind="epc", value=f"{long}{each}") for each in range(count)]))
        assert EpcisName.objects.filter(kind="epc").count() == count


@pytest.mark.postgresql
def test_a_server_that_talks_while_it_is_written_to_is_heard(world: World) -> None:
    owner = world.distillery.organisation
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION talk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE NOTICE '%', repeat('y', 5000); RETURN NEW; END $$"
        )
        cursor.execute("CREATE TRIGGER talk BEFORE INSERT ON trace_epcisname FOR EACH ROW EXECUTE FUNCTION talk()")
        with behind():
            insert(numbered([new(EpcisName, owner=owner, kind="epc", value=f"{'x' * 490}{n}") for n in range(9_000)]))
        assert EpcisName.objects.filter(kind="epc").count() == 9_000
        transaction.set_rollback(True)


@pytest.mark.postgresql
def test_nothing_is_written_behind_outside_of_a_transaction(committed_db: CommittedDatabase) -> None:
    with pytest.raises(TransactionManagementError), behind():
        pass


def _end_our_connection() -> None:
    """What an administrator, or a server that is stopped, does to whoever is connected."""
    own = connection.connection.info
    with psycopg.connect(own.dsn, password=own.password, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [own.backend_pid])


@pytest.mark.postgresql
def test_a_connection_that_ends_is_told_to_whoever_waits_and_to_nobody_else(committed_db: CommittedDatabase) -> None:
    world = make_world()

    def broken() -> None:
        with transaction.atomic(), behind():
            insert(numbered([_seen(world, number) for number in range(1_000)]))
            _end_our_connection()
            for number in range(1_000, 1_003):
                insert([_seen(world, number)])
                go_on()

    with pytest.raises(OperationalError):
        broken()
    assert not EpcisSeen.objects.exists()


@pytest.mark.postgresql
def test_a_document_whose_connection_ends_is_taken_up_again(
    committed_db: CommittedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = make_world().distillery
    told = document(*[event(epcList=[f"{GTIN}/21/{number}"]) for number in range(30)])
    monkeypatch.setattr(epcis_capture, "BLOCK", 10)
    monkeypatch.setattr(epcis_capture, "LOOK", 1)
    job = take_document(by=by, content=io.BytesIO(json.dumps(told).encode()))
    calls = iter(range(100))

    def ended() -> None:
        if next(calls) == 15:
            _end_our_connection()
        go_on()

    monkeypatch.setattr(epcis_capture, "go_on", ended)
    with pytest.raises(OperationalError):
        run_next_capture()
    job.refresh_from_db()
    assert job.status == CaptureJob.Status.WAITING
    assert not EpcisEvent.objects.exists()
    run_next_capture(now=timezone.now() + datetime.timedelta(minutes=5))
    job.refresh_from_db()
    assert (job.status, job.captured) == (CaptureJob.Status.DONE, 30)
    assert list(verify()) == []
