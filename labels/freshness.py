"""Triggers that count every change to what a scanned page shows, so that kept pages are thrown away exactly then.

What a page is made of falls into three groups (a test looks at every table a page reads): rows that only events write,
which the number of the log tells of (``FOLLOWED``); rows of ``COUNTED`` below, which change without an event; and what
is read on each request anyway (``ASKED``): the code itself, holds and recalls in force, exceptions, the tally.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections

COUNTED: dict[str, tuple[str, ...]] = {
    "labels_coderun": ("INSERT",),
    "labels_commitment": ("INSERT",),
    "labels_productlink": ("INSERT", "UPDATE"),
    "recalls_campaign": ("UPDATE",),
    "recalls_publication": ("INSERT",),
    "recalls_publicnotice": ("INSERT",),
    "trace_certificate": ("INSERT", "UPDATE"),
    "trace_conflict": ("INSERT", "UPDATE"),
    "trace_division": ("UPDATE",),
    "trace_editlog": ("INSERT",),
    "trace_holdset": ("UPDATE",),
    "trace_licence": ("INSERT", "UPDATE"),
    "trace_limit": ("UPDATE",),
    "trace_lotclaim": ("INSERT", "UPDATE"),
    "trace_organisation": ("UPDATE",),
    "trace_place": ("UPDATE",),
    "trace_product": ("UPDATE",),
    "trace_productversion": ("INSERT",),
    "trace_reportanswer": ("INSERT",),
    "trace_standard": ("UPDATE",),
}
"""Table and the operations that change a page; a new organisation or product is on no page until an event names it."""
FOLLOWED = frozenset(
    {
        *("trace_event", "trace_eventitem", "trace_lot", "trace_lotlink", "trace_shipment", "trace_transfer"),
        *("trace_testreport", "trace_testresult"),
        *("recalls_scopeversion", "recalls_scopelot", "recalls_scopeholding"),
    }
)
"""Written by events, or (scope versions) read only along with what is counted."""
ASKED = frozenset(
    {
        *("trace_unit", "trace_packplan", "trace_lot", "trace_product", "trace_loghead"),
        *("trace_holdmember", "trace_holdrelease", "trace_holdset"),
        *("labels_scantally", "labels_codeexception", "labels_freshness"),
    }
)

_FUNCTION = """
CREATE OR REPLACE FUNCTION labels_count_change() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE slot bigint;
BEGIN
    SELECT id INTO slot FROM labels_freshness ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF slot IS NULL THEN
        INSERT INTO labels_freshness (n) VALUES (1);
    ELSE
        UPDATE labels_freshness SET n = n + 1 WHERE id = slot;
    END IF;
    RETURN NULL;
END
$body$
"""


def _wanted(vendor: str, tables: set[str]) -> Iterator[tuple[str, str, str]]:
    """Name, table and CREATE statement of each trigger."""
    for table, operations in COUNTED.items():
        if table not in tables:
            continue
        for operation in operations:
            name = f"{table}_counts_{operation.lower()}"
            if vendor == "postgresql":
                body = "FOR EACH STATEMENT EXECUTE FUNCTION labels_count_change()"
            else:
                body = "BEGIN UPDATE labels_freshness SET n = n + 1 WHERE id = 1; END"
            yield name, table, f'CREATE TRIGGER {name} AFTER {operation} ON "{table}" {body}'


def _present(alias: str) -> dict[str, str]:
    """Our triggers by name, with the text they were made from on SQLite."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT tgname, '' FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'")
        else:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        return {name: text for name, text in cursor.fetchall() if "_counts_" in name}


def install(using: str = "default", **kwargs: Any) -> None:
    """Create what is missing for the tables that exist (connected to ``post_migrate``: a column change on SQLite
    rebuilds the table and drops its triggers without a word).
    """
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    if "labels_freshness" not in tables:
        return
    present = _present(using)
    postgresql = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        if postgresql:
            cursor.execute(_FUNCTION)
        cursor.execute("INSERT INTO labels_freshness (n) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM labels_freshness)")
        for name, table, statement in _wanted(connection.vendor, tables):
            if name in present and (postgresql or present[name] == statement):
                continue
            if name in present:
                cursor.execute(f'DROP TRIGGER {name} ON "{table}"' if postgresql else f"DROP TRIGGER {name}")
            cursor.execute(statement)


def missing(using: str = "default") -> list[str]:
    """Names of triggers that should be there and are not, for tables that exist."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    if "labels_freshness" not in tables:
        return []
    present = _present(using)
    return [name for name, _table, _statement in _wanted(connection.vendor, tables) if name not in present]


@register(Tags.database)
def check_freshness(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """System check (tag ``database``): a missing trigger would keep an old page."""
    messages: list[CheckMessage] = []
    for alias in databases or []:
        try:
            lost = missing(alias)
        except DatabaseError:
            continue  # no database yet: migrate will say so in its own words
        if lost:
            messages.append(
                Error(
                    f"Triggers that count changes are missing on '{alias}': {', '.join(lost)}.",
                    hint="Run 'manage.py migrate'; it installs them again.",
                    id="labels.E001",
                )
            )
    return messages
