"""A query that every request asks in the same form, built once in each thread: building one with its joins takes the
ORM many times longer than the database takes to answer it. And cursors whose statements are planned once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.query import get_related_populators

Row = TypeVar("Row", bound=Model)
_MARK = "\x02 the text that is asked for \x03"
NUMBER = -7_000_700_070_007
"""Stands in a query for the number that is asked for beside the text."""


AGAIN = 3
"""How often a connection is asked a statement before PostgreSQL keeps its plan."""


def planned_cursor() -> Any:
    """A cursor whose statements PostgreSQL plans once per connection, for those that every request asks: planning takes
    several times as long as answering. Django's own puts values into the text, so that every statement is a new one.
    """
    if connection.vendor != "postgresql":
        return connection.cursor()
    from psycopg import Cursor

    raw = planned_connection()
    with connection.wrap_database_errors:
        return connection._prepare_cursor(Cursor(raw))  # type: ignore[attr-defined]


def planned_connection() -> Any:
    """The driver's own connection to PostgreSQL, which keeps the plans of what it is asked again and again."""
    connection.ensure_connection()
    raw = connection.connection
    if raw.prepare_threshold is None:
        raw.prepare_threshold = AGAIN
    return raw


def piped() -> AbstractContextManager[Any]:
    """The first statement of a transaction of PostgreSQL goes there together with its beginning, and is waited for
    once.
    """
    if connection.vendor != "postgresql" or not connection.in_atomic_block:
        return nullcontext()
    raw = planned_connection()
    return raw.pipeline() if raw.pgconn.transaction_status == 0 else nullcontext()


@dataclass(frozen=True)
class _Made:
    """A query as SQL, and how its rows become objects."""

    sql: str
    parameters: tuple[Any, ...]
    compiler: Any
    converters: Any
    names: list[str]
    first: int
    end: int
    related: list[Any]


class Prepared(Generic[Row]):
    """The first row that a query of one text finds, with what ``select_related`` reads along.

    ``build`` makes the query from the text. It must not look at the text, which stands for every one asked later, and
    may say ``NUMBER`` for a row number that is asked for beside it.
    """

    def __init__(self, build: Callable[[str], QuerySet[Row]]) -> None:
        self._build = build
        self._local = threading.local()

    def first(self, text: str, number: int = 0) -> Row | None:
        """The row, or None."""
        made: _Made | None = getattr(self._local, connection.vendor, None)
        if made is None:
            made = self._make()
            setattr(self._local, connection.vendor, made)
        with planned_cursor() as cursor:
            cursor.execute(
                made.sql,
                [text if each == _MARK else number if each == NUMBER else each for each in made.parameters],
            )
            values = cursor.fetchone()
        if values is None:
            return None
        if made.converters:
            (values,) = made.compiler.apply_converters([values], made.converters)
        model: type[Row] = made.compiler.query.model
        found = model.from_db(connection.alias, made.names, values[made.first : made.end])
        for each in made.related:
            each.populate(values, found)
        return found

    def _make(self) -> _Made:
        """As ``QuerySet`` does for each query; a test compares the rows."""
        compiler = self._build(_MARK)[:1].query.get_compiler(connection=connection)
        compiler.pre_sql_setup()
        sql, parameters = compiler.as_sql()
        select, info = compiler.select, compiler.klass_info
        first, end = info["select_fields"][0], info["select_fields"][-1] + 1
        return _Made(
            sql,
            tuple(parameters),
            compiler,
            compiler.get_converters([each[0] for each in select]),
            [each[0].target.attname for each in select[first:end]],
            first,
            end,
            get_related_populators(info, select, connection.alias),  # type: ignore[call-arg]  # the stubs are of Django 6
        )
