"""Getting millions of rows into a database quickly: without indexes and triggers, which come back afterwards.

Both engines take the same values: names as 32 hexadecimal digits, JSON as text, instants as text in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.management.color import no_style
from django.db import connection, models, transaction

from labels import freshness
from trace.append_only import install_triggers
from trace.models import Event, Lot, Organisation, Place, Product, ProductVersion, Shipment, Transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

_BATCH = 20_000
_NAMED = (Organisation, Place, Product, ProductVersion, Event, Lot, Shipment, Transfer)
"""What the rest names, written before it: on PostgreSQL each statement looks (``trace.references``)."""


class Sink:
    """Rows per table, written whenever there are enough."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Sequence[Any]]] = {}
        self._columns: dict[str, tuple[str, ...]] = {}
        self._count = 0

    def add(self, model: type[models.Model], columns: tuple[str, ...], row: Sequence[Any]) -> None:
        """One row; it is in the database after ``flush`` at the latest."""
        table = model._meta.db_table
        if table not in self._rows:
            self._rows[table] = []
            self._columns[table] = columns
        self._rows[table].append(row)
        self._count += 1

    def waiting(self, model: type[models.Model]) -> list[Sequence[Any]]:
        """Rows of this table that are not written yet."""
        return self._rows.get(model._meta.db_table, [])

    def flush_some(self) -> None:
        """Write if many rows wait. Called between whole groups of rows that refer to one another."""
        if self._count >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write all that waits."""
        first = [model._meta.db_table for model in _NAMED]
        with transaction.atomic():
            for table in dict.fromkeys((*first, *self._rows)):
                rows = self._rows.get(table)
                if rows:
                    _write(table, self._columns[table], rows)
                    rows.clear()
        self._count = 0


def _write(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows into one table."""
    names = ", ".join(f'"{each}"' for each in columns)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            places = ", ".join("?" * len(columns))
            raw = connection.connection.cursor()
            raw.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({places})', rows)
            raw.close()
            return
        with cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
            for row in rows:
                copy.write_row(row)


@contextmanager
def unhindered() -> Iterator[None]:
    """Without secondary indexes, foreign keys and append-only triggers; afterwards all of them are back.

    For a database that nobody else uses. On PostgreSQL it needs a superuser.
    """
    dropped = _drop_sqlite() if connection.vendor == "sqlite" else _drop_postgresql()
    yield
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = DEFAULT")
            cursor.execute("SET maintenance_work_mem = '512MB'")
        for statement in dropped:
            cursor.execute(statement)
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA foreign_keys = ON")
    install_triggers()
    freshness.install()


def _drop_sqlite() -> list[str]:
    """Drop indexes that are not part of a table; returns how to make them again."""
    with connection.cursor() as cursor:
        for pragma in (
            "foreign_keys = OFF",
            "synchronous = OFF",
            "journal_mode = OFF",
            "cache_size = -400000",
            "temp_store = MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP TRIGGER "{name}"')
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        found = cursor.fetchall()
        for name, _sql in found:
            cursor.execute(f'DROP INDEX "{name}"')
    return [sql for _name, sql in found]


def _drop_postgresql() -> list[str]:
    """Drop indexes that hold no constraint, and switch triggers and foreign keys off for this session."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            """
            SELECT i.indexname, i.indexdef FROM pg_indexes i
            WHERE i.schemaname = 'public' AND i.tablename ~ '^(trace|recalls|labels)_'
              AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)
            """
        )
        found = cursor.fetchall()
        for name, _definition in found:
            cursor.execute(f'DROP INDEX "{name}"')
    return [definition for _name, definition in found]


def finish(tables: Sequence[type[models.Model]]) -> None:
    """Sequences go on after the rows written, and the planner learns what is there."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), list(tables)):
            cursor.execute(statement)
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
