"""The database rules that make acknowledged writes safe, looked at on a live connection."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.db import IntegrityError, connection, connections, transaction

from tests.conftest import CommittedDatabase
from trace import checks
from trace.models import User


def ids(messages: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in messages]


def test_an_old_sqlite_is_warned_about_with_what_to_do() -> None:
    (warning,) = checks.sqlite_version_messages((3, 40, 1))
    assert warning.id == "trace.W001"
    assert "3.40.1" in warning.msg
    assert "pysqlite3" in str(warning.hint)
    assert "DATABASE_URL" in str(warning.hint)


def test_the_first_mended_sqlite_is_accepted() -> None:
    assert checks.sqlite_version_messages((3, 51, 3)) == []
    assert ids(checks.sqlite_version_messages((3, 51, 2))) == ["trace.W001"]


@pytest.mark.sqlite
def test_the_sqlite_in_use_is_the_mended_one_where_a_wheel_exists() -> None:
    pytest.importorskip("pysqlite3", reason="no wheel for this machine")
    assert sqlite3.__name__ == "pysqlite3"
    assert sqlite3.sqlite_version_info >= checks.SQLITE_MINIMUM
    assert ids(list(checks.check_sqlite_version(None))) == []


@pytest.mark.sqlite
def test_a_fresh_connection_obeys_every_rule(committed_db: CommittedDatabase) -> None:
    assert run_checks(databases=["default"]) == []
    with connection.cursor() as cursor:
        answers = {
            name: cursor.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "busy_timeout")
        }
    assert answers == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "busy_timeout": 20000,
    }


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("pragma", "code"),
    [
        ("journal_mode=DELETE", "trace.E002"),
        ("synchronous=NORMAL", "trace.E003"),
        ("recursive_triggers=OFF", "trace.E005"),
        ("foreign_keys=OFF", "trace.E006"),
    ],
)
def test_a_connection_that_breaks_a_rule_is_an_error(committed_db: CommittedDatabase, pragma: str, code: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {pragma}")
    found = [message for message in run_checks(databases=["default"]) if message.id == code]
    assert len(found) == 1
    assert found[0].hint


@pytest.mark.sqlite
def test_deferred_transactions_are_an_error(committed_db: CommittedDatabase, monkeypatch: Any) -> None:
    connection.ensure_connection()
    monkeypatch.setattr(connections["default"], "transaction_mode", "DEFERRED")
    assert ids(run_checks(databases=["default"])) == ["trace.E004"]


@pytest.mark.sqlite
def test_a_transaction_takes_the_write_lock_when_it_begins(committed_db: CommittedDatabase) -> None:
    path = committed_db.url.removeprefix("sqlite:///")
    with transaction.atomic():
        connection.cursor().execute("SELECT 1")
        other = sqlite3.connect(path, timeout=0)
        try:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        finally:
            other.close()


@pytest.mark.postgresql
def test_postgresql_is_new_enough_and_checked(committed_db: CommittedDatabase, monkeypatch: Any) -> None:
    def found() -> list[str | None]:
        return [each for each in ids(run_checks(databases=["default"])) if each == "trace.E007"]

    assert found() == []
    monkeypatch.setattr(checks, "POSTGRESQL_MINIMUM", 99)
    assert found() == ["trace.E007"]


@pytest.mark.postgresql
def test_a_postgresql_that_acknowledges_too_early_is_warned_about(committed_db: CommittedDatabase) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    assert "trace.W008" in ids(run_checks(databases=["default"]))


def test_transactions_belong_to_actions_not_requests() -> None:
    assert connection.settings_dict["ATOMIC_REQUESTS"] is False


# --- The suite's own databases ------------------------------------------------------------------------------


def test_a_committed_write_is_seen_by_a_thread_and_by_a_process(committed_db: CommittedDatabase) -> None:
    User.objects.create(username="committed")
    seen: list[int] = []

    def look() -> None:
        seen.append(User.objects.filter(username="committed").count())
        connections.close_all()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    question = "from trace.models import User; print(User.objects.filter(username='committed').count())"
    asked = committed_db.manage("shell", "-c", question)
    assert asked.returncode == 0, asked.stderr
    assert (seen, asked.stdout.strip().splitlines()[-1]) == ([1], "1")


@pytest.mark.parametrize("turn", [1, 2])
def test_a_committed_database_starts_empty_each_time(committed_db: CommittedDatabase, turn: int) -> None:
    assert not User.objects.filter(username="left over").exists()
    User.objects.create(username="left over")


@pytest.mark.django_db
def test_committed_databases_leave_no_trace_in_the_others() -> None:
    assert not User.objects.filter(username__in=["committed", "left over"]).exists()


@pytest.mark.django_db
def test_unique_constraints_hold_in_the_test_database() -> None:
    User.objects.create(username="twice")
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(username="twice")


def test_the_test_data_lies_outside_the_checkout(settings: Any) -> None:
    assert Path(__file__).resolve().parents[2] not in Path(settings.DATA_DIR).parents
