"""The migrations and the models are one: the suite and a first start make tables from the models and rely on it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from pytest_django import DjangoDbBlocker

from tests.conftest import CommittedDatabase, make_tables
from tests.databases import default_database, sql_outside
from trace.append_only import missing_triggers
from trace.first_tables import make_first_tables


@contextmanager
def empty_database() -> Iterator[None]:
    """A database without any table as `default`."""
    name = f"empty_{uuid.uuid4().hex}"
    if connection.vendor == "postgresql":
        sql_outside(f'CREATE DATABASE "{name}"')
        with default_database(name):
            yield
        sql_outside(f'DROP DATABASE "{name}" WITH (FORCE)')
        return
    path = settings.DATA_DIR / f"{name}.sqlite3"
    with default_database(str(path)):
        yield
    for leftover in settings.DATA_DIR.glob(f"{name}*"):
        leftover.unlink()


def rows(sql: str) -> list[tuple[Any, ...]]:
    """What a query answers."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def schema() -> dict[str, list[tuple[Any, ...]]]:
    """Tables with columns, indexes, constraints and triggers, without the order in which columns were added."""
    if connection.vendor == "postgresql":
        return {
            "columns": rows(
                "SELECT table_name, column_name, data_type, is_nullable, character_maximum_length, identity_generation"
                " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
            ),
            "indexes": rows(
                "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 2"
            ),
            "constraints": rows(
                "SELECT conrelid::regclass::text, contype::text, pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2, 3"
            ),
            "triggers": rows(
                "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger"
                " WHERE NOT tgisinternal ORDER BY 1, 2"
            ),
        }
    tables = [name for (name,) in rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
    return {
        "columns": [
            (table, *column[1:])
            for table in tables
            for column in sorted(rows(f'SELECT * FROM pragma_table_info("{table}")'), key=lambda each: str(each[1]))
        ],
        "keys": [
            (table, *key[2:])
            for table in tables
            for key in sorted(rows(f'SELECT * FROM pragma_foreign_key_list("{table}")'), key=lambda each: str(each[3]))
        ],
        "indexes": rows(
            "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY 2"
        ),
        # CHECK and UNIQUE stand in a table's own text; their order there follows how they came to be.
        "constraints": [
            (table, *sorted(part.strip(" (),") for part in sql.split('CONSTRAINT "')[1:]))
            for table, sql in rows("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        ],
        "triggers": rows("SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY 2"),
    }


def ours(facts: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The facts about our own tables: Django's own apps differ from their migrations in the width of an id."""
    return [fact for fact in facts if str(fact[0]).strip('"').startswith(("trace_", "recalls_", "labels_"))]


def only_itself(state: ProjectState, app: str, model: str, delay: bool = False) -> set[tuple[str, str]]:
    """In place of `_find_reload_model`; by `is_delayed` Django makes all classes anew where a migration runs Python."""
    state.is_delayed = True
    return {(app, model)}


def kept_rows() -> dict[str, int]:
    """How many rows each table begins with."""
    tables = sorted(connection.introspection.table_names())
    return {table: rows(f'SELECT count(*) FROM "{table}"')[0][0] for table in tables}


@pytest.mark.slow
def test_migrations_a_first_start_and_the_models_make_the_same_tables(
    django_test_environment: None, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At each of five hundred operations Django makes the classes of all models around a changed one anew: that is most
    # of the time. Tables follow from the changed one alone, and were they to differ, this test would say so.
    with django_db_blocker.unblock():
        with empty_database(), monkeypatch.context() as quicker:
            quicker.setattr(ProjectState, "_find_reload_model", only_itself)
            call_command("migrate", verbosity=0)
            migrated, its_rows = schema(), kept_rows()
            assert not make_first_tables()
        with empty_database():
            assert make_first_tables()
            call_command("migrate", verbosity=0)
            first, first_rows = schema(), kept_rows()
        with empty_database():
            make_tables()
            made = schema()
    assert first_rows == its_rows
    for part, facts in migrated.items():
        assert facts == first[part], part
        assert ours(facts), part
        assert ours(facts) == ours(made[part]), part


def test_a_first_start_that_is_cut_off_leaves_nothing_behind_that_stops_the_next(
    django_test_environment: None, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = MigrationRecorder.record_applied

    def cut_off(recorder: MigrationRecorder, app: str, name: str) -> None:
        if app == "trace":
            raise KeyboardInterrupt
        really(recorder, app, name)

    with django_db_blocker.unblock(), empty_database():
        with monkeypatch.context() as cut:
            cut.setattr(MigrationRecorder, "record_applied", cut_off)
            with pytest.raises(KeyboardInterrupt):
                make_first_tables()
        assert not [table for table in connection.introspection.table_names() if table.startswith("trace_")]
        assert make_first_tables()
        assert not make_first_tables()


def test_migrate_puts_back_a_trigger_that_its_own_checks_miss(committed_db: CommittedDatabase) -> None:
    table = " ON trace_event" if connection.vendor == "postgresql" else ""
    name = "trace_event_no_change" if table else "trace_event_no_update"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}{table}")
    assert missing_triggers() == [name]
    connection.close()
    done = committed_db.manage("migrate")
    assert done.returncode == 0, done.stderr
    assert missing_triggers() == []


@pytest.mark.django_db
def test_every_migration_is_written() -> None:
    call_command("makemigrations", check=True, dry_run=True, stdout=StringIO())
