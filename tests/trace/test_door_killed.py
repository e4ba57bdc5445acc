"""Documents survive what ends processes: a kill at any moment, two at once, a folder half done. Real processes."""

from __future__ import annotations

import datetime
import io
import json
import os
import signal
import threading
import traceback
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from tests.conftest import CommittedDatabase
from tests.trace.door_client import document, event
from tests.trace.test_door_queries import serial
from tests.world import make_world
from trace import rows
from trace.actions import epcis_folder, epcis_jobs
from trace.actions.epcis_folder import import_folder
from trace.actions.epcis_jobs import capture_event, path_of, run_at_once, run_next_capture, take_document
from trace.actions.rebuild import rebuild
from trace.door.names import Names
from trace.ledger import verify
from trace.models import CaptureJob, EpcisEvent, EpcisName, EpcisSeen, Event, LogHead

EVENTS, PART = 24, 10
PAST = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def forked(run: Callable[[], object]) -> int:
    """Begin a process that does this and ends."""
    connections.close_all()
    pid = os.fork()
    if pid:
        return pid
    code = 3
    try:
        run()
        code = 0
    except BaseException:  # noqa: BLE001 (a forked process never returns into pytest)
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """How a process ended: 0, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at(call: int, owner: Any, name: str, *, after: bool = False) -> None:
    """Let the n-th call of a function be the last thing this process does."""
    function, calls = getattr(owner, name), iter(range(1, 10**6))

    def run(*arguments: Any, **options: Any) -> Any:
        last = next(calls) == call
        if last and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = function(*arguments, **options)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, run)


def listed(start: int) -> bytes:
    """A document of shipments, packings and observations of goods nobody met."""
    events = [event(action="ADD", bizStep="commissioning", epcList=[serial(start)])]
    for number in range(start + 1, start + EVENTS - 1):
        events.append(event(bizStep="storing", epcList=[serial(number), serial(start)]))
    pack = f"urn:epc:id:sscc:9521141.0{start:09d}"
    events.append(event("AggregationEvent", action="ADD", parentID=pack, childEPCs=[serial(start + 1)]))
    return json.dumps(document(*events)).encode()


def whole() -> None:
    """The ledger and all that is derived from it agree."""
    assert rebuild(write=False).differences == []
    assert list(verify()) == []
    numbers = set(EpcisEvent.objects.values_list("number", flat=True))
    assert numbers == set(EpcisSeen.objects.values_list("number", flat=True))
    assert Event.objects.count() == LogHead.objects.get().last


POINTS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("before the first row", lambda: killed_at(1, rows, "_insert")),
    ("in the middle of a part", lambda: killed_at(6, rows, "_insert")),
    ("after a part", lambda: killed_at(2, epcis_jobs, "_count", after=True)),
    ("between parts", lambda: killed_at(3, epcis_jobs, "_alive")),
    ("when all is written", lambda: killed_at(1, epcis_jobs, "_finish")),
    ("before the commit", lambda: killed_at(1, epcis_jobs, "_finish", after=True)),
)


def test_a_worker_killed_anywhere_leaves_nothing_half_and_the_next_one_finishes(
    committed_db: CommittedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = make_world().distillery
    monkeypatch.setattr(epcis_jobs, "PART", PART)
    monkeypatch.setattr(epcis_jobs, "PART_KEPT", PART)
    monkeypatch.setattr(epcis_jobs, "SHOWN", -1)
    start = 100
    for behaviour in ("rollback", "proceed"):
        for words, kill in POINTS:
            before = EpcisEvent.objects.count()
            job = take_document(by=by, content=io.BytesIO(listed(start)), behaviour=behaviour)

            def work(kill: Callable[[], None] = kill) -> None:
                kill()
                run_next_capture()

            assert ended(forked(work)) == -signal.SIGKILL, (behaviour, words)
            job.refresh_from_db()
            there = EpcisEvent.objects.count() - before
            if words == "before the commit" and behaviour == "proceed":
                assert (job.status, there) == ("done", EVENTS)
            else:
                assert job.status == "running", (behaviour, words)
                assert there == job.captured == job.position, (behaviour, words)
                assert there == 0 or (behaviour == "proceed" and there in (PART, 2 * PART, EVENTS)), (behaviour, words)
                assert not run_next_capture(), "another worker took a job that is claimed"
                CaptureJob.objects.filter(pk=job.pk).update(leased_until=PAST)
                assert run_next_capture()
            job.refresh_from_db()
            assert (job.status, job.captured, job.repeated, job.faulty) == ("done", EVENTS, 0, 0), (behaviour, words)
            assert EpcisEvent.objects.count() - before == EVENTS, (behaviour, words)
            start += 100
    whole()


def test_two_processes_with_the_same_document_write_it_once(committed_db: CommittedDatabase) -> None:
    by = make_world().distillery
    data = listed(100)

    def take(behaviour: str) -> None:
        run_at_once(job=take_document(by=by, content=io.BytesIO(data), behaviour=behaviour))

    for _round in range(2):
        pids = [forked(partial(take, behaviour)) for behaviour in ("rollback", "proceed")]
        assert [ended(pid) for pid in pids] == [0, 0]
    jobs = list(CaptureJob.objects.order_by("id"))
    assert [(job.status, job.captured + job.repeated, job.errors) for job in jobs] == [("done", EVENTS, [])] * 4
    assert sorted(job.captured for job in jobs) == [0, 0, 0, EVENTS]
    assert EpcisEvent.objects.count() == EVENTS
    whole()


def test_a_folder_whose_import_is_killed_goes_on_where_it_stopped(
    committed_db: CommittedDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = make_world().distillery
    monkeypatch.setattr(epcis_jobs, "PART", PART)
    for number in range(3):
        (tmp_path / f"{number}.json").write_bytes(listed(100 * (number + 1)))

    def half() -> None:
        killed_at(4, epcis_jobs, "_count")
        list(import_folder(by=by, folder=tmp_path, behaviour="proceed"))

    assert ended(forked(half)) == -signal.SIGKILL
    assert EVENTS <= EpcisEvent.objects.count() < 2 * EVENTS
    told = []

    def waits(path: Path, until: datetime.datetime) -> None:
        told.append((path.name, until > timezone.now()))
        CaptureJob.objects.update(leased_until=PAST)

    monkeypatch.setattr(epcis_folder, "PAUSE", 0)
    done = list(import_folder(by=by, folder=tmp_path, behaviour="proceed", waits=waits))
    assert told == [("1.json", True)], "what was in hand is waited for, and said"
    assert [(each.before, each.job.success) for each in done] == [(True, True), (False, True), (False, True)]
    assert EpcisEvent.objects.count() == 3 * EVENTS
    assert sum(job.captured for job in CaptureJob.objects.all()) == 3 * EVENTS
    assert not [job for job in CaptureJob.objects.all() if path_of(job).exists()]
    assert all(each.before for each in import_folder(by=by, folder=tmp_path, behaviour="proceed"))
    whole()


def test_files_that_a_dead_process_left_are_removed_and_no_others(db: None) -> None:
    by = make_world().distillery
    done = run_at_once(job=take_document(by=by, content=io.BytesIO(listed(100))))
    waits = take_document(by=by, content=io.BytesIO(listed(200)))
    path_of(done).write_bytes(b"killed between the commit and the removal")
    old, young = (epcis_jobs.folder() / name for name in (str(uuid.uuid4()), "tmpyoung"))
    for stray in (old, young):
        stray.write_bytes(b"killed before there was a job")
    os.utime(old, (0, 0))
    assert epcis_jobs.forget_documents() == 2
    assert [path.exists() for path in (path_of(done), old, young, path_of(waits))] == [False, False, True, True]
    assert run_next_capture()
    assert epcis_jobs.forget_documents() == 1, "worked off meanwhile; nothing is committed in this test"
    young.unlink()


@pytest.mark.postgresql
def test_names_met_by_two_at_once_are_the_same_names(committed_db: CommittedDatabase) -> None:
    owner = make_world().distillery.organisation
    keys = [("epc", str(number)) for number in range(12)]
    begun, found = threading.Event(), {}

    def later() -> None:
        begun.wait(20)
        try:
            with transaction.atomic():
                names = Names(owner)
                names.load(keys)
                found.update({key: row.pk for key, row in names.known.items()})
        finally:
            connection.close()

    thread = threading.Thread(target=later)
    thread.start()
    with transaction.atomic():
        first = Names(owner)
        first.load(keys[::2])
        begun.set()
        thread.join(0.5)
    thread.join(20)
    assert set(found) == set(keys)
    assert {key: row.pk for key, row in first.known.items()} == {key: found[key] for key in keys[::2]}
    assert EpcisName.objects.filter(owner=owner, kind="epc").count() == len(keys)


@pytest.mark.postgresql
def test_a_capture_that_meets_names_somebody_else_just_wrote_takes_those(committed_db: CommittedDatabase) -> None:
    by = make_world().distillery
    keys = [("epc", serial(100)), ("epc", serial(103))]
    held, release = threading.Event(), threading.Event()

    def index() -> None:
        try:
            with transaction.atomic():
                Names(by.owner).load(keys)
                held.set()
                release.wait(20)
        finally:
            connection.close()

    thread = threading.Thread(target=index)
    thread.start()
    held.wait(20)
    threading.Timer(0.5, release.set).start()
    job = run_at_once(job=take_document(by=by, content=io.BytesIO(listed(100))))
    thread.join(20)
    assert (job.status, job.captured, job.errors) == ("done", EVENTS, [])
    assert EpcisName.objects.filter(owner=by.owner, kind="epc", value__in=[value for _kind, value in keys]).count() == 2
    whole()


def test_single_events_that_come_together_are_each_answered_for_themselves(committed_db: CommittedDatabase) -> None:
    by = make_world().distillery
    same = event(bizStep="storing", epcList=[serial(1)])
    refused = event(
        action="ADD", quantityList=[{"epcClass": "https://id.gs1.org/01/09521141012345/10/A", "quantity": 1e-7}]
    )
    sent = [same] * 4 + [refused] * 2 + [event(bizStep="storing", epcList=[serial(number)]) for number in range(2, 9)]
    answers: dict[int, Any] = {}
    start = threading.Barrier(len(sent))

    def send(number: int) -> None:
        try:
            start.wait(20)
            answers[number] = capture_event(by=by, event=sent[number], context=[])[1]
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(sent))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers[number].repeated for number in range(4)) == [False, True, True, True]
    for number in (4, 5):
        assert [(each.pointer, each.code) for each in answers[number].faults] == [("", "amount_not_exact")]
        assert not answers[number].repeated, "nobody kept it, so nobody is told that it is there"
    assert all(not answers[number].repeated and not answers[number].faults for number in range(6, len(sent)))
    assert EpcisEvent.objects.count() == 8
    whole()
