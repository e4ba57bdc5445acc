"""Writes of many requests in one transaction: who is in it, and whose turn it is."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from tests.conftest import CommittedDatabase
from tests.trace.door_client import event
from tests.trace.test_door_queries import serial
from tests.world import World
from trace.actions.epcis_capture import incoming
from trace.actions.epcis_jobs import _with_head, write_events
from trace.ledger import last_number, lock_log_head, verify
from trace.models import EpcisEvent, LogHead
from trace.together import Together
from trace.turns import turn


def _wait_until(true: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it never came to pass")


def test_who_comes_while_another_process_has_the_turn_is_written_with_the_first() -> None:
    free, written = threading.Event(), []

    @contextmanager
    def held_elsewhere() -> Iterator[None]:
        free.wait(20)
        yield

    def write(asked: Sequence[int]) -> list[int]:
        written.append(sorted(asked))
        return [-each for each in asked]

    together: Together[int, int] = Together(write, 6, turn=held_elsewhere)
    answers: dict[int, int] = {}
    threads = [
        threading.Thread(target=lambda number=number: answers.update({number: together.do(number)}))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    _wait_until(lambda: len(together._queue) == 8)
    free.set()
    for thread in threads:
        thread.join(20)
    assert answers == {number: -number for number in range(8)}
    assert [len(each) for each in written] == [6, 2], "the first took along all who had come, but for the limit"


def test_a_turn_that_fails_is_told_to_all_who_wait_and_asked_for_once() -> None:
    turns = []
    begun, go = threading.Event(), threading.Event()

    def busy() -> AbstractContextManager[None]:
        turns.append(1)
        begun.set()
        go.wait(20)
        raise OperationalError("database is locked")

    together: Together[int, int] = Together(lambda asked: list(asked), 9, turn=busy)
    errors: list[str] = []

    def ask(number: int) -> None:
        try:
            together.do(number)
        except OperationalError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(20)
    _wait_until(lambda: len(together._queue) == 4)
    go.set()
    for thread in threads:
        thread.join(20)
    assert errors == ["database is locked"] * 4
    assert len(turns) == 1
    assert not together._busy


def test_what_fails_when_the_turn_commits_is_written_alone() -> None:
    """A deferred constraint speaks at the commit: then nothing of the first transaction is there."""
    written: list[list[int]] = []
    begun, go = threading.Event(), threading.Event()

    @contextmanager
    def committing() -> Iterator[None]:
        begun.set()
        go.wait(20)
        yield
        if 2 in written[-1]:
            raise IntegrityError("the second refers to nothing")

    def write(asked: Sequence[int]) -> list[int]:
        written.append(sorted(asked))
        return list(asked)

    together: Together[int, int] = Together(write, 9, turn=committing)
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        try:
            answers[number] = str(together.do(number))
        except IntegrityError as error:
            answers[number] = str(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(20)
    _wait_until(lambda: len(together._queue) == 4)
    go.set()
    for thread in threads:
        thread.join(20)
    assert answers == {0: "0", 1: "1", 2: "the second refers to nothing", 3: "3"}
    assert sorted(written) == [[0], [0, 1, 2, 3], [1], [2], [3]]


@pytest.mark.sqlite
def test_the_turn_is_one_process_s_and_ends_with_it(committed_db: CommittedDatabase) -> None:
    told, tell = os.pipe()
    connection.close()
    pid = os.fork()
    if not pid:
        with turn(), transaction.atomic():
            os.write(tell, b"mine")
            time.sleep(60)
        os._exit(0)
    assert os.read(told, 4) == b"mine"
    had: list[bool] = []

    def ask() -> None:
        with turn(), transaction.atomic():
            had.append(True)
        connection.close()

    waiting = threading.Thread(target=ask)
    waiting.start()
    waiting.join(0.3)
    assert not had, "the other process has it"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    waiting.join(20)
    assert had == [True]
    for each in (told, tell):
        os.close(each)


def test_inside_a_transaction_no_turn_is_waited_for(committed_db: CommittedDatabase) -> None:
    """Whoever has the write lock already must not wait for one who waits for that lock."""
    with turn(), transaction.atomic(), turn():
        assert connection.in_atomic_block


def test_who_takes_the_head_of_the_log_is_told_the_last_number_and_keeps_others_out(
    committed_db: CommittedDatabase,
) -> None:
    LogHead.objects.all().delete()
    for number in (0, 7):
        with transaction.atomic():
            assert lock_log_head() == number == last_number()
            LogHead.objects.update(last=7)
    got: list[int] = []

    def ask() -> None:
        with transaction.atomic():
            got.append(lock_log_head())
        connection.close()

    waiting = threading.Thread(target=ask)
    with transaction.atomic():
        assert lock_log_head() == 7
        waiting.start()
        waiting.join(0.3)
        assert not got
        LogHead.objects.update(last=8)
    waiting.join(20)
    assert got == [8]


def test_events_of_several_callers_in_one_group_are_numbered_on(world: World) -> None:
    """Only the first of a group may count on from what was told with the head of the log."""
    asked = []
    for language in ("zh-hans", "en"):
        for number in range(2):
            raw = event(bizStep="storing", epcList=[f"https://id.gs1.org/01/09521141012345/21/{language}{number}"])
            asked.append((world.distillery, incoming(raw, "", []), language))
    wrong = event(
        action="ADD", quantityList=[{"epcClass": "https://id.gs1.org/01/09521141012345/10/A", "quantity": 1e-7}]
    )
    asked.insert(1, (world.distillery, incoming(wrong, "", []), "zh-hans"))
    before = last_number()
    with _with_head():
        told = write_events(asked)
    assert [bool(each.faults) for each in told] == [False, True, False, False, False]
    assert list(verify()) == []
    assert last_number() == before + 4
    assert list(EpcisEvent.objects.order_by("number").values_list("number", flat=True)) == [
        before + place for place in range(1, 5)
    ]


@pytest.mark.postgresql
def test_a_group_of_events_asks_little(world: World) -> None:
    """Each question is a way there and back while everybody else waits; how many events there are adds none."""
    asked: list[list[str]] = []
    for first, count in ((100, 1), (200, 1), (300, 6)):
        sent: list[str] = []

        def note(execute: Any, sql: str, *rest: Any, sent: list[str] = sent) -> Any:
            sent.append(sql)
            return execute(sql, *rest)

        group = [
            (world.distillery, incoming(event(epcList=[serial(number)]), "", []), "zh-hans")
            for number in range(first, first + count)
        ]
        with connection.execute_wrapper(note), _with_head():
            write_events(group)
        asked.append(sent)
    assert len(asked[1]) == len(asked[2]) <= 15, asked[2]
