"""The database itself refuses to change or delete an append-only row.

A model says so with ``append_only = True``. Triggers are installed in ``post_migrate``, because a column change on
SQLite rebuilds the table and drops its triggers without a word, and a system check compares what is there with what
must be. On SQLite a BEFORE INSERT trigger refuses an id that exists, since INSERT OR REPLACE would otherwise slip past
(the delete trigger fires for it only while ``recursive_triggers`` is on); on PostgreSQL TRUNCATE has a trigger of its
own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections, models

_FUNCTION = """
CREATE OR REPLACE FUNCTION trace_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'append-only: % on % is refused', TG_OP, TG_TABLE_NAME;
END
$body$
"""


def append_only_models() -> list[type[models.Model]]:
    """Every model that declares ``append_only``, of every app, in a fixed order."""
    found = [model for model in apps.get_models() if getattr(model, "append_only", False)]
    return sorted(found, key=lambda model: model._meta.db_table)


def _wanted(vendor: str, model: type[models.Model]) -> Iterator[tuple[str, str]]:
    """Name and CREATE statement of each trigger of one table."""
    table = model._meta.db_table
    key = model._meta.pk.column
    if vendor == "postgresql":
        yield (
            f"{table}_no_change",
            f'CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON "{table}" '
            "FOR EACH ROW EXECUTE FUNCTION trace_refuse_change()",
        )
        yield (
            f"{table}_no_truncate",
            f'CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON "{table}" '
            "FOR EACH STATEMENT EXECUTE FUNCTION trace_refuse_change()",
        )
        return
    for operation in ("UPDATE", "DELETE"):
        yield (
            f"{table}_no_{operation.lower()}",
            f'CREATE TRIGGER {table}_no_{operation.lower()} BEFORE {operation} ON "{table}" '
            f"BEGIN SELECT RAISE(ABORT, 'append-only: {operation} on {table} is refused'); END",
        )
    there = f'EXISTS (SELECT 1 FROM "{table}" WHERE "{key}" = NEW."{key}")'  # noqa: S608 (our own names)
    refuse = f"BEGIN SELECT RAISE(ABORT, 'append-only: REPLACE on {table} is refused'); END"
    yield f"{table}_no_replace", f'CREATE TRIGGER {table}_no_replace BEFORE INSERT ON "{table}" WHEN {there} {refuse}'


def _present(alias: str) -> dict[str, str]:
    """Trigger names with the text they were made from (SQLite) or their definition (PostgreSQL)."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
            )
        else:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        return dict(cursor.fetchall())


def install_triggers(using: str = "default", **kwargs: Any) -> None:
    """Create every missing or altered trigger for the tables that exist (connected to ``post_migrate``)."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    present = _present(using)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_FUNCTION)
        for model in append_only_models():
            if model._meta.db_table not in tables:
                continue
            for name, statement in _wanted(connection.vendor, model):
                if name in present and (connection.vendor == "postgresql" or present[name] == statement):
                    continue
                if name in present:
                    cursor.execute(f"DROP TRIGGER {name}")
                cursor.execute(statement)


def missing_triggers(using: str = "default") -> list[str]:
    """Names of triggers that should be there and are not (or were altered), for tables that exist."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    present = _present(using)
    missing = []
    for model in append_only_models():
        if model._meta.db_table not in tables:
            continue
        for name, statement in _wanted(connection.vendor, model):
            if name not in present or (connection.vendor != "postgresql" and present[name] != statement):
                missing.append(name)
    return missing


@register(Tags.database)
def check_triggers(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """System check (tag ``database``): says which append-only trigger is missing and what to do."""
    messages: list[CheckMessage] = []
    for alias in databases or []:
        try:
            missing = missing_triggers(alias)
        except DatabaseError:
            continue  # no database yet: migrate will say so in its own words
        if missing:
            messages.append(
                Error(
                    f"Append-only triggers are missing on '{alias}': {', '.join(missing)}.",
                    hint="Run 'manage.py migrate'; it installs them again.",
                    id="trace.E001",
                )
            )
    return messages
