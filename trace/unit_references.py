"""On PostgreSQL, what new units name is looked up once per statement, and codes are compared by their bytes.

PostgreSQL looks a foreign key up row by row at commit: a million new codes are six million look-ups and sixteen
seconds, all for the same lot and issuer. The triggers here refuse the same: a unit that names what is not there, and
taking away what a unit names. A new unit's are asked about at the end of its statement, once per value. SQLite keeps
its foreign keys, which cost it little, and compares bytes anyway. Installed in ``post_migrate`` like the append-only
triggers, with a check beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections, transaction

_PLACES = (
    ("lot_id", "trace_lot"),
    ("organisation_id", "trace_organisation"),
    ("holder_id", "trace_organisation"),
    ("parent_id", "trace_unit"),
    ("replaced_by_id", "trace_unit"),
    ("transit_id", "trace_event"),
)
"""What a unit names: column and table."""


def _function(name: str, body: str) -> str:
    """A trigger function of ours."""
    return (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $body$\n"
        f"DECLARE named bigint;\nBEGIN\n{body}\nRETURN NULL;\nEND\n$body$"
    )


def _look_up(value: str, column: str, table: str) -> str:
    """Refuse a value that is no row of a table; the row is held until the transaction ends, as a foreign key does."""
    return (
        f"PERFORM 1 FROM {table} WHERE id = {value} FOR KEY SHARE;\n"
        "IF NOT FOUND THEN RAISE foreign_key_violation"
        f" USING MESSAGE = 'trace_unit.{column} is no row of {table}'; END IF;"
    )


def _functions() -> Iterator[str]:
    """New units are asked about once per value they name, changed ones per row, and rows they name are not deleted."""
    each = "FOR named IN SELECT DISTINCT {0} FROM new_units WHERE {0} IS NOT NULL LOOP\n{1}\nEND LOOP;"
    yield _function(
        "trace_unit_new", "\n".join(each.format(column, _look_up("named", column, table)) for column, table in _PLACES)
    )
    changed = "IF NEW.{0} IS DISTINCT FROM OLD.{0} AND NEW.{0} IS NOT NULL THEN\n{1}\nEND IF;"
    yield _function(
        "trace_unit_changed",
        "\n".join(changed.format(column, _look_up(f"NEW.{column}", column, table)) for column, table in _PLACES),
    )
    for table in sorted({table for _column, table in _PLACES}):
        columns = [column for column, where in _PLACES if where == table]
        yield _function(
            f"trace_unit_keeps_{table}",
            "\n".join(
                f"IF EXISTS (SELECT 1 FROM trace_unit WHERE {column} = OLD.id)"  # noqa: S608 (our own names)
                " THEN RAISE foreign_key_violation"
                f" USING MESSAGE = 'trace_unit.{column} names this row of {table}'; END IF;"
                for column in columns
            ),
        )


def _triggers() -> dict[str, str]:
    """The triggers by name."""
    differs = " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column, _table in _PLACES)
    found = {
        "trace_unit_new": "AFTER INSERT ON trace_unit REFERENCING NEW TABLE AS new_units FOR EACH STATEMENT"
        " EXECUTE FUNCTION trace_unit_new()",
        "trace_unit_changed": f"AFTER UPDATE OF {', '.join(column for column, _table in _PLACES)} ON trace_unit"
        f" FOR EACH ROW WHEN ({differs}) EXECUTE FUNCTION trace_unit_changed()",
    }
    for table in {table for _column, table in _PLACES}:
        function = f"trace_unit_keeps_{table}"
        found[function] = f"AFTER DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()"
        found[f"{function}_id"] = (
            f"AFTER UPDATE OF id ON {table} FOR EACH ROW WHEN (NEW.id <> OLD.id) EXECUTE FUNCTION {function}()"
        )
    return found


_KEYS = """
SELECT conname FROM pg_constraint WHERE conrelid = 'trace_unit'::regclass AND contype = 'f'
"""
_COLLATED = """
SELECT l.collname FROM pg_attribute a JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid = 'trace_unit'::regclass AND a.attname = 'code'
"""


def install(using: str = "default", **kwargs: Any) -> None:
    """Put the triggers in place of the foreign keys (connected to ``post_migrate``); does nothing twice."""
    connection = connections[using]
    if connection.vendor != "postgresql" or "trace_unit" not in connection.introspection.table_names():
        return
    missing = missing_parts(using)
    if not missing:
        return
    with transaction.atomic(using=using), connection.cursor() as cursor:
        for function in _functions():
            cursor.execute(function)
        wanted = _triggers()
        for name in missing:
            if name in wanted:
                cursor.execute(f"CREATE TRIGGER {name} {wanted[name]}")
        cursor.execute(_KEYS)
        for (name,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE trace_unit DROP CONSTRAINT {connection.ops.quote_name(name)}")
        if "code" in missing:
            cursor.execute('ALTER TABLE trace_unit ALTER COLUMN code TYPE varchar(20) COLLATE "C"')


def missing_parts(using: str = "default") -> list[str]:
    """What is not as it should be: names of triggers, ``code`` where codes are not compared by their bytes."""
    connection = connections[using]
    if connection.vendor != "postgresql" or "trace_unit" not in connection.introspection.table_names():
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'")
        present = {name for (name,) in cursor.fetchall()}
        cursor.execute(_COLLATED)
        collated = cursor.fetchone()
    return [name for name in _triggers() if name not in present] + ([] if collated == ("C",) else ["code"])


@register(Tags.database)
def check_unit_references(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """System check (tag ``database``): without these triggers a unit could name a lot that is not there."""
    messages: list[CheckMessage] = []
    for alias in databases or []:
        try:
            missing = missing_parts(alias)
        except DatabaseError:
            continue  # no database yet: migrate will say so in its own words
        if missing:
            messages.append(
                Error(
                    f"What units refer to is not checked on '{alias}': {', '.join(missing)}.",
                    hint="Run 'manage.py migrate'; it installs the triggers again.",
                    id="trace.E010",
                )
            )
    return messages
