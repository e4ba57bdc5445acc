"""On PostgreSQL, what rows of the large tables name is looked up once per statement, not row by row at commit.

A foreign key asks for each row and column on its own, writes a lock into every row that is named and keeps a note until
commit: half of what the server does for a captured event. The triggers here refuse the same: a row that names what is
not there, and taking away what a row names. New rows are asked about together at the end of their statement, so what
they name is written before them or with them.

Looking up locks nothing. Whoever takes a row away, which happens next to never, waits instead until nobody is writing
into the tables that may name it, and then looks: it finds what was committed meanwhile, and who writes later does not
find the row any more. That holds at READ COMMITTED, where every statement sees what is committed; nothing here runs at
another level.

SQLite keeps its foreign keys, which cost it little. Installed in ``post_migrate`` like the append-only triggers, with
a check beside it; columns and what they name are the models'. Codes of units are compared by their bytes, as SQLite
does anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections, models, transaction

from trace.models import (
    EpcisEvent,
    EpcisName,
    EpcisSeen,
    EpcisTerm,
    Event,
    EventItem,
    LogEntry,
    Lot,
    LotLink,
    Stock,
    Unit,
)

MODELS: tuple[type[models.Model], ...] = (
    Event, Lot, Unit, EventItem, Stock, LotLink, LogEntry, EpcisEvent, EpcisName, EpcisTerm, EpcisSeen,
)  # fmt: skip
ALIKE: frozenset[type[models.Model]] = frozenset({Unit})
"""Rows that come by the hundred thousand and all name the same: each value is looked up once. That takes longer for a
few rows.
"""
_MARK = "-- trace.references"
_OLD = ("trace_unit_new", "trace_unit_changed", "trace_unit_keeps_%")
"""Functions of ours from before they had the mark."""


@dataclass(frozen=True)
class Naming:
    """One column that names rows of a table."""

    child: str
    column: str
    optional: bool
    parent: type[models.Model]

    @property
    def table(self) -> str:
        """The table whose rows are named."""
        return self.parent._meta.db_table

    @property
    def key(self) -> str:
        """The column by which they are."""
        return str(self.parent._meta.pk.column)

    def missing(self, value: str) -> str:
        """That a value names nothing. Written like this it is looked up row by row in the index, never by reading the
        other table, as a join could be.
        """
        found = f"(SELECT p.{self.key} FROM {self.table} p WHERE p.{self.key} = {value}) IS NULL"  # noqa: S608 (ours)
        return f"({value} IS NOT NULL AND {found})" if self.optional else f"({found})"

    @property
    def refusal(self) -> str:
        """Say that it names nothing."""
        return _refusal(f"{self.child}.{self.column} is no row of {self.table}")


def _refusal(why: str) -> str:
    return f"RAISE foreign_key_violation USING MESSAGE = '{why}';"


def namings(model: type[models.Model]) -> list[Naming]:
    """What rows of a model name."""
    return [
        Naming(model._meta.db_table, field.column, field.null, field.target_field.model)
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey)
    ]


@dataclass(frozen=True)
class Function:
    """A function and its triggers (by name: when and on what)."""

    name: str
    table: str
    body: str
    triggers: Mapping[str, str]
    settings: str = ""

    @property
    def source(self) -> str:
        """Its text as the database keeps it. It tells the triggers too, so that what they were made from can be
        compared.
        """
        made_from = "".join(f"-- {name}: {when}\n" for name, when in self.triggers.items())
        return f"\n{_MARK} {self.settings}\n{made_from}BEGIN\n{self.body}\nRETURN NULL;\nEND\n"

    def statements(self) -> Iterator[str]:
        """What makes it and its triggers, or puts them right."""
        yield (
            f"CREATE OR REPLACE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql {self.settings} "
            f"AS $body${self.source}$body$"
        )
        for name, when in self.triggers.items():
            yield f"CREATE OR REPLACE TRIGGER {name} {when} EXECUTE FUNCTION {self.name}()"


_BY_INDEX = "SET enable_seqscan = off"
"""A connection keeps the plan it made when the table that is named was small."""


def _new(model: type[models.Model], named: Sequence[Naming]) -> Function:
    """New rows: one query asks about all of them and their columns; only when it finds something, which it was."""
    table = model._meta.db_table

    def found(naming: Naming) -> str:
        if model in ALIKE:
            some = f" WHERE {naming.column} IS NOT NULL" if naming.optional else ""
            values = f"SELECT DISTINCT {naming.column} AS named FROM new_rows{some}"  # noqa: S608
            return f"EXISTS (SELECT FROM ({values}) n WHERE {naming.missing('n.named')})"
        return f"EXISTS (SELECT FROM new_rows n WHERE {naming.missing(f'n.{naming.column}')})"

    if model in ALIKE:
        any_found = "\nOR ".join(map(found, named))
    else:
        wrong = "\nOR ".join(naming.missing(f"n.{naming.column}") for naming in named)
        any_found = f"EXISTS (SELECT FROM new_rows n WHERE {wrong})"
    which = "\n".join(f"IF {found(naming)} THEN {naming.refusal} END IF;" for naming in named)
    name = f"{table}_names_new"
    when = f"AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT"
    return Function(name, table, f"IF {any_found} THEN\n{which}\nEND IF;", {name: when}, _BY_INDEX)


def _changed(model: type[models.Model], named: Sequence[Naming]) -> Function:
    """A row that names something else than before."""
    table = model._meta.db_table
    body = "\n".join(
        f"IF NEW.{naming.column} IS DISTINCT FROM OLD.{naming.column} THEN\n"
        f"IF {naming.missing(f'NEW.{naming.column}')} THEN {naming.refusal} END IF;\nEND IF;"
        for naming in named
    )
    name = f"{table}_names_changed"
    columns = ", ".join(naming.column for naming in named)
    differs = " OR ".join(f"NEW.{naming.column} IS DISTINCT FROM OLD.{naming.column}" for naming in named)
    when = f"AFTER UPDATE OF {columns} ON {table} FOR EACH ROW WHEN ({differs})"
    return Function(name, table, body, {name: when}, _BY_INDEX)


def _named(parent: type[models.Model], named: Sequence[Naming]) -> Function:
    """A row that is taken away, or gets another number, while others name it."""
    table, key = parent._meta.db_table, parent._meta.pk.column
    tables = ", ".join(sorted({naming.child for naming in named}))
    asked = "\n".join(
        f"IF EXISTS (SELECT FROM {naming.child} WHERE {naming.column} = OLD.{key}) THEN "
        f"{_refusal(f'{naming.child}.{naming.column} names this row of {table}')} END IF;"
        for naming in named
    )
    name = f"{table}_is_named"
    return Function(
        name,
        table,
        f"LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE;\n{asked}",
        {
            name: f"AFTER DELETE ON {table} FOR EACH ROW",
            f"{name}_{key}": f"AFTER UPDATE OF {key} ON {table} FOR EACH ROW WHEN (NEW.{key} <> OLD.{key})",
        },
    )


def _wanted(present: Sequence[type[models.Model]]) -> Iterator[Function]:
    """The functions for these models."""
    parents: dict[type[models.Model], list[Naming]] = defaultdict(list)
    for model in present:
        named = namings(model)
        yield _new(model, named)
        if not getattr(model, "append_only", False):
            yield _changed(model, named)
        for naming in named:
            # From an append-only table nothing is taken away.
            if not getattr(naming.parent, "append_only", False):
                parents[naming.parent].append(naming)
    for parent, named in parents.items():
        yield _named(parent, named)


_COLUMNS = """
SELECT c.relname, array_agg(a.attname::text) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY c.relname
"""
_TRIGGERS = """
SELECT c.relname, t.tgname, p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal AND t.tgenabled <> 'D'
"""
_STALE = """
SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prorettype = 'trigger'::regtype
AND (starts_with(prosrc, %s) OR proname LIKE ANY(%s)) AND proname <> ALL(%s) ORDER BY proname
"""
_KEYS = """
SELECT c.relname, f.conname FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid
WHERE f.contype = 'f' AND c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(%s) ORDER BY 1, 2
"""
_COLLATED = """
SELECT l.collname FROM pg_attribute a JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid = 'trace_unit'::regclass AND a.attname = 'code'
"""


@dataclass
class _Lacks:
    """What is not as it should be in a database."""

    functions: list[Function]
    triggers: list[str]
    stale: list[str]
    keys: list[tuple[str, str]]
    code: bool

    def told(self) -> list[str]:
        """By name: triggers that are not there or were made otherwise, functions and foreign keys that should not be
        there, ``code`` where codes are not compared by their bytes.
        """
        return [*self.triggers, *self.stale, *(name for _table, name in self.keys), *(["code"] if self.code else [])]


def _lacks(using: str) -> _Lacks:
    connection = connections[using]
    if connection.vendor != "postgresql":
        return _Lacks([], [], [], [], False)
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS, [[model._meta.db_table for model in MODELS]])
        columns = {table: set(names) for table, names in cursor.fetchall()}
        # In the middle of the migrations not all are there.
        tables = {
            model._meta.db_table: model
            for model in MODELS
            if {naming.column for naming in namings(model)} <= columns.get(model._meta.db_table, set())
        }
        wanted = list(_wanted(list(tables.values())))
        cursor.execute(_TRIGGERS)
        sources = {(table, name): source for table, name, source in cursor.fetchall()}
        wrong = {
            name: function
            for function in wanted
            for name in function.triggers
            if sources.get((function.table, name)) != function.source
        }
        cursor.execute(_STALE, [f"\n{_MARK}", list(_OLD), [function.name for function in wanted]])
        stale = [name for (name,) in cursor.fetchall()]
        cursor.execute(_KEYS, [list(tables)])
        keys = cursor.fetchall()
        code = False
        if Unit._meta.db_table in tables:
            cursor.execute(_COLLATED)
            code = cursor.fetchone() != ("C",)
    functions = {function.name: function for function in wrong.values()}
    return _Lacks(list(functions.values()), list(wrong), stale, keys, code)


def install(using: str = "default", **kwargs: Any) -> None:
    """Put the triggers in place of the foreign keys (connected to ``post_migrate``); does nothing twice."""
    lacks = _lacks(using)
    if not lacks.told():
        return
    connection = connections[using]
    quote = connection.ops.quote_name
    with transaction.atomic(using=using), connection.cursor() as cursor:
        for function in lacks.functions:
            for statement in function.statements():
                cursor.execute(statement)
        for name in lacks.stale:
            cursor.execute(f"DROP FUNCTION {quote(name)}() CASCADE")
        for table, name in lacks.keys:
            cursor.execute(f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(name)}")
        if lacks.code:
            cursor.execute('ALTER TABLE trace_unit ALTER COLUMN code TYPE varchar(20) COLLATE "C"')


def missing_parts(using: str = "default") -> list[str]:
    """What is not as it should be, by name."""
    return _lacks(using).told()


@register(Tags.database)
def check_references(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """System check (tag ``database``): without these triggers a row could name what is not there."""
    messages: list[CheckMessage] = []
    for alias in databases or []:
        try:
            missing = missing_parts(alias)
        except DatabaseError:
            continue  # no database yet: migrate will say so in its own words
        if missing:
            messages.append(
                Error(
                    f"What rows refer to is not checked as it should be on '{alias}': {', '.join(missing)}.",
                    hint="Run 'manage.py migrate'; it installs the triggers again.",
                    id="trace.E010",
                )
            )
    return messages
