"""System checks of the database and the installation: each says what is wrong and what to do.

The rules for SQLite come from measurements: `synchronous=NORMAL` loses acknowledged commits at a power loss,
deferred transactions that read and then write fail at once, INSERT OR REPLACE slips past append-only triggers
unless `recursive_triggers` is on, and versions before 3.51.3 can lose commits under WAL with several
checkpointing processes. Checks that open a connection are tagged `database`: they run at `migrate` and at
`manage.py check --database default`.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

SQLITE_MINIMUM = (3, 51, 3)
POSTGRESQL_MINIMUM = 15
# PRAGMA synchronous answers with a number; 2 is FULL, 3 is EXTRA.
SYNCHRONOUS_FULL = 2


def sqlite_version_messages(version: tuple[int, ...]) -> list[CheckMessage]:
    """W001 when the SQLite in use is older than the one that mends the WAL-reset fault."""
    if version >= SQLITE_MINIMUM:
        return []
    found, wanted = (".".join(map(str, numbers)) for numbers in (version, SQLITE_MINIMUM))
    return [
        Caution(
            f"SQLite {found} is in use; versions before {wanted} can lose committed writes when several "
            "processes write at the same time, as server and worker do.",
            hint="On x86-64 Linux `pip install -r requirements.txt` brings a newer one (pysqlite3). Else "
            "use a Python with a newer SQLite, or PostgreSQL through DATABASE_URL.",
            id="trace.W001",
        )
    ]


def sqlite_pragma_messages(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    """E002 to E006: what an open SQLite connection is really set to, not what the settings ask for."""
    with connection.cursor() as cursor:

        def pragma(name: str) -> Any:
            return cursor.execute(f"PRAGMA {name}").fetchone()[0]

        journal, synchronous = pragma("journal_mode"), pragma("synchronous")
        recursive, foreign_keys = pragma("recursive_triggers"), pragma("foreign_keys")
    rules = [
        (
            journal in ("wal", "memory"),  # a database in memory (tests) has no file to keep a WAL beside
            f"the journal mode is {journal}, not WAL: readers block writers.",
            "Put PRAGMA journal_mode=WAL into init_command; the database must lie on a local disk, not on a "
            "network share.",
            "trace.E002",
        ),
        (
            synchronous >= SYNCHRONOUS_FULL,
            "synchronous is below FULL: a power loss can take back writes that were acknowledged.",
            "Put PRAGMA synchronous=FULL into init_command.",
            "trace.E003",
        ),
        (
            getattr(connection, "transaction_mode", None) == "IMMEDIATE",
            "transactions do not begin IMMEDIATE: those that read, then write, can fail.",
            'Set "transaction_mode": "IMMEDIATE" in OPTIONS.',
            "trace.E004",
        ),
        (
            recursive == 1,
            "recursive_triggers is off: INSERT OR REPLACE slips past append-only triggers.",
            "Put PRAGMA recursive_triggers=ON into init_command.",
            "trace.E005",
        ),
        (
            foreign_keys == 1,
            "foreign_keys is off: rows may point to rows that do not exist.",
            "Put PRAGMA foreign_keys=ON into init_command.",
            "trace.E006",
        ),
    ]
    return [
        Error(f"Database {connection.alias!r}: {wrong}", hint=hint, id=code)
        for holds, wrong, hint, code in rules
        if not holds
    ]


def postgresql_messages(connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    """E007 for a server too old, W008 for one told to acknowledge writes before they are safe."""
    messages: list[CheckMessage] = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int / 10000")
        version = cursor.fetchone()[0]
        cursor.execute("SELECT name FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit') AND setting = 'off'")
        unsafe = sorted(row[0] for row in cursor.fetchall())
    if version < POSTGRESQL_MINIMUM:
        messages.append(
            Error(
                f"PostgreSQL {version} is too old.",
                hint=f"Use PostgreSQL {POSTGRESQL_MINIMUM} or newer.",
                id="trace.E007",
            )
        )
    if unsafe:
        messages.append(
            Caution(
                f"PostgreSQL runs with {' and '.join(unsafe)} off: acknowledged writes can be lost.",
                hint="Turn it on in postgresql.conf and restart the server.",
                id="trace.W008",
            )
        )
    return messages


@register
def check_sqlite_version(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    """The version rule, at every command, where any database is SQLite."""
    if any(entry["ENGINE"].endswith("sqlite3") for entry in settings.DATABASES.values()):
        # The module under this name is pysqlite3 where that is installed: see config/__init__.py.
        return sqlite_version_messages(sqlite3.sqlite_version_info)
    return []


@register(Tags.database)
def check_databases(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> Iterable[CheckMessage]:
    """The rules of each engine on a live connection."""
    rules = {"sqlite": sqlite_pragma_messages, "postgresql": postgresql_messages}
    return [
        message
        for alias in databases or []
        if (rule := rules.get(connections[alias].vendor))
        for message in rule(connections[alias])
    ]


@register(Tags.security, deploy=True)
def check_installation(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    """What a production start needs besides Django's own deployment checks."""
    messages: list[CheckMessage] = []
    if settings.DEMO:
        messages.append(
            Error(
                "This is the demonstration: everybody knows its log-ins.",
                hint="Unset TRACE_DEMO and start with `make serve` on a database of its own.",
                id="trace.E009",
            )
        )
    if settings.EMAIL_BACKEND.endswith(("filebased.EmailBackend", "console.EmailBackend")):
        messages.append(
            Caution(
                "No mail server is set: recall notices by e-mail would be written to files and reach nobody.",
                hint="Set EMAIL_URL, for example smtps://user:password@mail.example.cn:465.",
                id="trace.W010",
            )
        )
    if not settings.PERSONAL_DATA_KEY:
        messages.append(
            Caution(
                "PERSONAL_DATA_KEY is not set: personal records are sealed under SECRET_KEY and could not be read "
                "after that is changed.",
                hint="Set it once, before the first record, to a random string, and keep a copy off this machine.",
                id="trace.W012",
            )
        )
    if settings.SECURE_SSL_REDIRECT and not settings.NUM_PROXIES:
        messages.append(
            Caution(
                "PUBLIC_BASE_URL is https:// and no proxy is trusted: behind a proxy every request would be "
                "redirected to itself for ever.",
                hint="Set NUM_PROXIES to the number of proxies in front, usually 1.",
                id="trace.W013",
            )
        )
    host = urlsplit(settings.PUBLIC_BASE_URL).hostname or ""
    if host == "localhost" or host.startswith("127."):
        messages.append(
            Caution(
                f"PUBLIC_BASE_URL is {settings.PUBLIC_BASE_URL}: labels printed with it lead nowhere.",
                hint="Set it to the permanent address that consumers' phones reach.",
                id="trace.W011",
            )
        )
    return messages
