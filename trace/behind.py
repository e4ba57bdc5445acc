"""On PostgreSQL, many rows are written while whoever makes them goes on.

The server takes as long to put rows into tables and indexes as this program takes to make them, and whoever waits for
each statement pays for both. Inside of ``behind`` a COPY is sent and its answer is taken when the next one is sent, one
after another over the same connection and in the same transaction; the planner of the rows calls ``go_on`` between two
of its steps. What is asked of the connection meanwhile waits for all of them first, so it finds the rows, and errors
come there or at the end. Outside, and on SQLite, which works in our own process, all of this is done at once.

Of a few rows (``gathered``) the statements are kept and sent together before the next question, so that their answers
are waited for once: the way there and back takes longer than putting ten rows into a table.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import connection, connections
from django.db.transaction import TransactionManagementError

from trace.prepared import planned_connection, planned_cursor

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from psycopg.copy import Writer

Text = Callable[[], Iterable[bytes]]
"""Gives rows as COPY reads them, piece by piece, when they are sent."""
PIECE = 128 << 10
"""Bytes handed to the driver's library at a time: larger pieces make it much slower."""
UNSENT = 1 << 20
"""Bytes that may wait in this program until the server has read some of them."""


class _Line:
    """Statements on their way to the server, in order; one of them runs there."""

    def __init__(self, wrapper: BaseDatabaseWrapper) -> None:
        self._wrapper = wrapper
        self._pgconn = wrapper.connection.pgconn
        self._waiting: deque[Callable[[], None]] = deque()
        self._running = False
        self._unsent = 0
        self._error: Exception | None = None

    def add(self, send: Callable[[], None]) -> None:
        """Have this sent after what waits."""
        self._waiting.append(send)
        self.go_on()

    def copy(self, statement: str, text: Text) -> None:
        """Send rows; the answer is taken later."""
        writer = _unanswered()(self)
        with self._wrapper.connection.cursor() as cursor, cursor.copy(statement, writer=writer) as copy:
            self._running = True
            for data in text():
                copy.write(data)

    def end_copy(self, exc: BaseException | None) -> None:
        """Nothing follows; with an error the server takes nothing of it."""
        self._pgconn.put_copy_end(str(exc).encode("utf-8", "replace") if exc is not None else None)
        self._pgconn.flush()

    def put(self, piece: bytes) -> None:
        while not self._pgconn.put_copy_data(piece):
            self._wait_until_sent()
        self._unsent = self._unsent + len(piece) if self._pgconn.flush() else 0
        if self._unsent > UNSENT:
            self._wait_until_sent()
            self._unsent = 0

    def send(self, statement: str) -> None:
        """Send statements without values; the answers are taken later."""
        self._pgconn.send_query(statement.encode())
        self._running = True
        self._pgconn.flush()

    def go_on(self) -> None:
        """Send what is next if the server is done with what was sent. Never waits for that, never fails."""
        if self._running and not self._error:
            with self._kept():
                self._pgconn.flush()
                self._pgconn.consume_input()
                if self._pgconn.is_busy():
                    return
                self._answer()
        if self._waiting and not self._running and self._error is None:
            self._next()

    def settle(self) -> None:
        """Wait until all of it is done. What failed fails each time: nobody may take it for an error of his own."""
        while self._running or (self._waiting and self._error is None):
            if self._running:
                self._end_one()
            else:
                self._next()
        if self._error is not None:
            raise self._error

    def first(self, execute: Callable[..., Any], *asked: Any) -> Any:
        """Around each statement of the connection: it comes after what waits."""
        self.settle()
        return execute(*asked)

    def end(self) -> None:
        """Nothing more is sent, and nothing runs any more. Who comes here has an error already, or none is left."""
        self._waiting.clear()
        if self._running:
            self._end_one()

    def _next(self) -> None:
        send = self._waiting.popleft()
        with self._kept():
            send()

    def _end_one(self) -> None:
        """Wait for the answer to what runs, and take it. A connection that broke runs nothing any more."""
        with self._kept():
            self._wait()
            self._answer()
        self._running = False

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """An error here is the line's: the first is kept for ``settle``, as Django's own where the driver's."""
        try:
            with self._wrapper.wrap_database_errors:
                yield
        except Exception as error:  # noqa: BLE001  (raised by ``settle``)
            self._error = self._error or error

    def _wait(self) -> None:
        """Until the answer is there; other threads go on."""
        self._wait_until_sent()
        poll = select.poll()
        poll.register(self._pgconn.socket, select.POLLIN)
        while self._pgconn.is_busy():
            poll.poll()
            self._pgconn.consume_input()

    def _wait_until_sent(self) -> None:
        """Until the server has read what was sent. What it says meanwhile is read: it may wait for that itself."""
        poll = select.poll()
        poll.register(self._pgconn.socket, select.POLLIN | select.POLLOUT)
        while self._pgconn.flush():
            poll.poll()
            self._pgconn.consume_input()

    def _answer(self) -> None:
        """Take what the server says of what was sent."""
        from psycopg import pq
        from psycopg.errors import error_from_result

        self._running = False
        while (result := self._pgconn.get_result()) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                with self._kept():
                    raise error_from_result(result)


@cache
def _unanswered() -> Callable[[_Line], Writer]:
    """Made once: to make a class takes longer than to send some rows. The driver may not be there on SQLite."""
    from psycopg.copy import Writer as Base

    class Unanswered(Base):
        """Ends the COPY without waiting for what the server says of it."""

        def __init__(self, line: _Line) -> None:
            self._line = line

        def write(self, data: Any) -> None:
            for start in range(0, len(data), PIECE):
                self._line.put(data[start : start + PIECE])

        def finish(self, exc: BaseException | None = None) -> None:
            self._line.end_copy(exc)

    return Unanswered


_line: ContextVar[_Line | None] = ContextVar("line", default=None)


@contextmanager
def behind() -> Iterator[None]:
    """Rows inserted inside are written while whoever inserts goes on, and are there at the end.

    For use inside a transaction, by whoever makes thousands of rows and asks little in between. Rows of a server-side
    cursor opened before must not be read inside; ``iterator()`` inside reads all at once.
    """
    if connection.vendor != "postgresql" or _line.get() is not None:
        yield
        return
    if not connection.in_atomic_block:
        raise TransactionManagementError("Rows are written behind inside a transaction only.")
    connection.ensure_connection()
    wrapper = connections[connection.alias]
    line = _Line(wrapper)
    token = _line.set(line)
    # What is read from a server-side cursor would not wait for what runs: only the statement that opens it does.
    wrapper.chunked_cursor = wrapper.cursor  # type: ignore[method-assign]
    try:
        with connection.execute_wrapper(line.first):
            yield
            line.settle()
    finally:
        del wrapper.chunked_cursor
        _line.reset(token)
        line.end()


def is_behind() -> bool:
    """Whether rows inserted here are written behind."""
    return _line.get() is not None


class _Gathered:
    """Statements that wait for the next question."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Sequence[Any]]] = []

    def add(self, statement: str, given: Sequence[Any]) -> None:
        """Have this sent after what waits."""
        self._waiting.append((statement, given))

    def first(self, execute: Callable[..., Any], *asked: Any) -> Any:
        """Around each statement of the connection: it comes after what waits."""
        self.send()
        return execute(*asked)

    def send(self) -> None:
        """Send all that waits, and then look what the server says of it."""
        if not self._waiting:
            return
        from psycopg import Cursor

        waiting, self._waiting = self._waiting, []
        raw = planned_connection()
        with connection.wrap_database_errors, raw.pipeline(), Cursor(raw) as cursor:
            for statement, given in waiting:
                cursor.execute(statement, given)


_gathered: ContextVar[_Gathered | None] = ContextVar("gathered", default=None)


@contextmanager
def gathered() -> Iterator[None]:
    """Rows inserted inside are there before anything else is asked, and at the end; not before. For use inside a
    transaction; the same about server-side cursors as in ``behind``.
    """
    if connection.vendor != "postgresql" or _gathered.get() is not None or is_behind():
        yield
        return
    if not connection.in_atomic_block:
        raise TransactionManagementError("Rows are gathered inside a transaction only.")
    held = _Gathered()
    token = _gathered.set(held)
    try:
        with connection.execute_wrapper(held.first):
            yield
        held.send()
    finally:
        _gathered.reset(token)


def few(statement: str, given: Sequence[Any]) -> None:
    """Give PostgreSQL a statement that it plans once for each connection and whose answer nobody needs: now, or with
    others.
    """
    connection.validate_no_broken_transaction()
    held = _gathered.get()
    if held is not None:
        held.add(statement, given)
        return
    with planned_cursor() as cursor:
        cursor.execute(statement, given)


def go_on() -> None:
    """Send what waits, as far as the server is. Called between two steps of work; costs next to nothing."""
    line = _line.get()
    if line is not None:
        line.go_on()


def copy_text(statement: str, text: Text) -> None:
    """COPY rows into a table of PostgreSQL: now, or behind."""
    connection.validate_no_broken_transaction()
    line = _line.get()
    if line is not None:
        line.add(lambda: line.copy(statement, text))
        return
    held = _gathered.get()
    if held is not None:
        # A COPY passes the wrappers of statements by.
        held.send()
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        for data in text():
            copy.write(data)


def run(statement: str) -> None:
    """A statement without values whose answer nobody waits for: now, or behind."""
    line = _line.get()
    if line is not None:
        line.add(lambda: line.send(statement))
        return
    held = _gathered.get()
    if held is not None:
        held.add(statement, ())
        return
    with connection.cursor() as cursor:
        cursor.execute(statement)


def check_references() -> None:
    """What was written refers to rows that are there: PostgreSQL looks now, and not again when it commits. SQLite has
    looked.
    """
    if connection.vendor == "postgresql":
        run("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
