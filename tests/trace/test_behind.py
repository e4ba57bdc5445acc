"""What is written while its maker goes on is there for whoever asks, and its errors are."""

from __future__ import annotations

import datetime
import io
import json
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from tests.conftest import CommittedDatabase
from tests.trace.door_client import document, door_of, event
from tests.world import World, make_world
from trace.actions import epcis_capture
from trace.actions.epcis_jobs import capture_event, run_next_capture, take_document
from trace.behind import PIECE, UNSENT, behind, check_references, gathered, go_on, run
from trace.ledger import verify
from trace.models import CaptureJob, EpcisEvent, EpcisName, EpcisSeen, EpcisTerm, EventItem, LogEntry, Stock
from trace.rows import FEW, insert, new, numbered

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


# --- Gathered -------------------------------------------------------------------------------------------------------


def _there() -> int:
    """How many rows the database has, asked past Django, so that nothing is sent before the question."""
    found: int = connection.connection.execute("SELECT count(*) FROM trace_epcisseen").fetchone()[0]
    return found


def test_gathered_rows_are_there_for_whoever_asks_and_at_the_end(world: World) -> None:
    with transaction.atomic(), gathered():
        insert([_seen(world, 1), _seen(world, 2)])
        insert([_seen(world, 3)])
        if connection.vendor == "postgresql":
            assert _there() == 0, "nothing is sent before something is asked"
        assert EpcisSeen.objects.count() == 3
        insert([_seen(world, 4)])
        insert([_seen(world, number) for number in range(1_000, 1_000 + FEW + 1)])
        insert([_seen(world, 5)])
    assert EpcisSeen.objects.count() == 5 + FEW + 1


@pytest.mark.postgresql
def test_gathered_statements_go_in_their_order_a_copy_among_them(world: World) -> None:
    with transaction.atomic(), gathered():
        insert([_seen(world, number) for number in range(3)])
        run("UPDATE trace_epcisseen SET number = number + 50")
        insert([_seen(world, number) for number in range(1_000, 1_000 + FEW + 1)])
        assert _there() == 3 + FEW + 1, "a COPY comes after what waits"
        run("UPDATE trace_epcisseen SET number = number + 100000")
        insert([_seen(world, 0)])
    numbers = EpcisSeen.objects.order_by("number").values_list("number", flat=True)
    assert list(numbers[:5]) == [0, 100_050, 100_051, 100_052, 101_000]


def test_an_error_of_gathered_rows_comes_before_the_answer_and_takes_them_back(world: World) -> None:
    def twice(asks: bool) -> None:
        with transaction.atomic(), gathered():
            insert([_seen(world, 1)])
            insert([_seen(world, 1)])
            if asks:
                EpcisSeen.objects.count()
                raise AssertionError("what cannot be written was not told")

    for asks in (False, True):
        if asks or connection.vendor == "postgresql":
            with pytest.raises(IntegrityError, match=r"epcis_?seen"):
                twice(asks)
        assert not EpcisSeen.objects.exists(), "the connection goes on"


def test_what_was_gathered_before_an_error_is_not_sent(world: World) -> None:
    with suppress(ZeroDivisionError), transaction.atomic(), gathered():
        insert([_seen(world, 1)])
        raise ZeroDivisionError
    assert not EpcisSeen.objects.exists()
    with transaction.atomic(), gathered():
        insert([_seen(world, 2)])
    assert list(EpcisSeen.objects.values_list("number", flat=True)) == [2]


@pytest.mark.postgresql
def test_a_text_that_is_too_long_is_refused_and_none_is_cut(world: World) -> None:
    """A cast to the column's own type would cut it without a word."""
    owner = world.distillery.organisation
    row = new(EpcisName, owner=owner, kind="epc" * 50, value="a")
    with pytest.raises(DataError), transaction.atomic():
        insert([row])
    with pytest.raises((DataError, ValueError)), transaction.atomic():
        insert([new(EpcisName, owner=owner, kind="epc", value="a\0b")])
    assert not EpcisName.objects.exists()


@pytest.mark.postgresql
def test_rows_are_gathered_inside_a_transaction_only(committed_db: CommittedDatabase) -> None:
    with pytest.raises(TransactionManagementError), gathered():
        raise AssertionError("gathered outside of a transaction")


@pytest.mark.postgresql
def test_single_events_send_their_rows_together(world: World) -> None:
    """No row of an event is sent by a statement that waits for its own answer."""
    sent: list[str] = []

    def note(execute: Any, sql: str, *asked: Any) -> Any:
        sent.append(sql)
        return execute(sql, *asked)

    by = world.distillery
    with connection.execute_wrapper(note):
        found, outcome = capture_event(by=by, event=event(epcList=[f"{GTIN}/21/1"]), context=[])
    assert (outcome.repeated, outcome.faults) == (False, [])
    assert EpcisEvent.objects.filter(eid=found.eid).exists()
    assert [sql for sql in sent if sql.startswith("INSERT INTO") and "epcisevent" in sql] == []
    assert list(verify()) == []
