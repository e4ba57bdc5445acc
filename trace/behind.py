"""On PostgreSQL, many rows are written while whoever makes them goes on.

The server takes as long to put rows into tables and indexes as this program takes to make them, and whoever waits for
each statement pays for both. Inside of ``behind`` a COPY is sent and its answer is taken when the next one is sent, one
after another over the same connection and in the same transaction; the planner of the rows calls ``go_on`` between two
of its steps. What is asked of the connection meanwhile waits for all of them first, so it finds the rows, and errors
come there or at the end. Outside, and on SQLite, which works in our own process, all of this is done at once.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from django.db import connection, connections

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Rows = Callable[[], Iterable[Sequence[Any]]]
"""Gives the rows when they are sent."""


class _Line:
    """Statements on their way to the server, in order; one of them runs there."""

    def __init__(self, wrapper: BaseDatabaseWrapper) -> None:
        self._wrapper = wrapper
        self._pgconn = wrapper.connection.pgconn
        self._waiting: deque[Callable[[], None]] = deque()
        self._running = False
        self._error: BaseException | None = None

    def add(self, send: Callable[[], None]) -> None:
        """Have this sent after what waits."""
        self._waiting.append(send)
        self.go_on()

    def copy(self, statement: str, rows: Rows) -> None:
        """Send rows; the answer is taken later."""
        from psycopg.copy import Writer

        pgconn = self._pgconn

        class Unanswered(Writer):
            """Ends the COPY without waiting for what the server says of it."""

            def write(self, data: Any) -> None:
                pgconn.put_copy_data(data)
                pgconn.flush()

            def finish(self, exc: BaseException | None = None) -> None:
                pgconn.put_copy_end(str(exc).encode() if exc is not None else None)
                pgconn.flush()

        with self._wrapper.connection.cursor() as cursor, cursor.copy(statement, writer=Unanswered()) as copy:
            self._running = True
            for row in rows():
                copy.write_row(row)

    def send(self, statement: str) -> None:
        """Send statements without values; the answers are taken later."""
        self._pgconn.send_query(statement.encode())
        self._pgconn.flush()
        self._running = True

    def go_on(self) -> None:
        """Send what is next if the server is done with what was sent. Never waits, never fails."""
        if self._running:
            self._pgconn.flush()
            self._pgconn.consume_input()
            if self._pgconn.is_busy():
                return
            self._answer()
        if self._waiting and self._error is None:
            self._next()

    def settle(self) -> None:
        """Wait until all of it is done. What failed fails each time: nobody may take it for an error of his own."""
        while self._running or (self._waiting and self._error is None):
            if self._running:
                self._wait()
                self._answer()
            else:
                self._next()
        if self._error is not None:
            raise self._error

    def first(self, execute: Callable[..., Any], *asked: Any) -> Any:
        """Around each statement of the connection: it comes after what waits."""
        self.settle()
        return execute(*asked)

    def end(self) -> None:
        """Nothing more is sent, and nothing runs any more."""
        self._waiting.clear()
        if self._running:
            self._wait()
            self._answer()

    def _next(self) -> None:
        send = self._waiting.popleft()
        try:
            with self._wrapper.wrap_database_errors:
                send()
        except BaseException as error:  # noqa: BLE001  (raised by ``settle``)
            self._error = self._error or error

    def _wait(self) -> None:
        """Until the answer is there; other threads go on."""
        poll = select.poll()
        while True:
            unsent = self._pgconn.flush()
            poll.register(self._pgconn.socket, select.POLLIN | (select.POLLOUT if unsent else 0))
            if not unsent and not self._pgconn.is_busy():
                return
            poll.poll()
            self._pgconn.consume_input()

    def _answer(self) -> None:
        """Take what the server says of what was sent."""
        from psycopg import pq
        from psycopg.errors import error_from_result

        self._running = False
        while (result := self._pgconn.get_result()) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR and self._error is None:
                try:
                    with self._wrapper.wrap_database_errors:
                        raise error_from_result(result)
                except Exception as error:  # noqa: BLE001  (raised by ``settle``)
                    self._error = error


_line: ContextVar[_Line | None] = ContextVar("line", default=None)


@contextmanager
def behind() -> Iterator[None]:
    """Rows inserted inside are written while whoever inserts goes on, and are there at the end.

    For use inside a transaction, by whoever makes thousands of rows and asks little in between.
    """
    if connection.vendor != "postgresql" or _line.get() is not None:
        yield
        return
    connection.ensure_connection()
    line = _Line(connections[connection.alias])
    token = _line.set(line)
    try:
        with connection.execute_wrapper(line.first):
            yield
            line.settle()
    finally:
        line.end()
        _line.reset(token)


def go_on() -> None:
    """Send what waits, as far as the server is. Called between two steps of work; costs next to nothing."""
    line = _line.get()
    if line is not None:
        line.go_on()


def copy_rows(statement: str, rows: Rows) -> None:
    """COPY rows into a table of PostgreSQL: now, or behind."""
    line = _line.get()
    if line is not None:
        line.add(lambda: line.copy(statement, rows))
        return
    connection.validate_no_broken_transaction()
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        for row in rows():
            copy.write_row(row)


def run(statement: str) -> None:
    """A statement without values whose answer nobody waits for: now, or behind."""
    line = _line.get()
    if line is not None:
        line.add(lambda: line.send(statement))
        return
    with connection.cursor() as cursor:
        cursor.execute(statement)


def check_references() -> None:
    """What was written refers to rows that are there: PostgreSQL looks now, and not again when it commits. SQLite has
    looked.
    """
    if connection.vendor == "postgresql":
        run("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
