"""What every test shares: both databases, no network, translations, and what a missing part means.

* `db` (pytest-django): a transaction that is rolled back. Nearly every test.
* `world`: the same on a database in which the cast stands already (tests/stages.py).
* `committed_db`: a database of its own, copied from a template, for tests that need real commits, threads or
  processes. Nothing is flushed: append-only triggers refuse DELETE and TRUNCATE, so `transactional_db` and
  `live_server` cannot work here and are refused.
* `served`: `committed_db` with the real server in front, for browsers and for many clients at once.
"""

import inspect
import itertools
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.utils import translation
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker

from labels.kept import SHELF
from tests.databases import default_database, sql_outside
from tests.loaded import Loaded
from tests.stages import Stage, begin
from tests.world import World, make_world
from trace import throttle
from trace.management.commands.compile_translations import compile_all

ROOT = Path(__file__).resolve().parent.parent
REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"
# Read before pytest-django puts the name of its test database there.
CONFIGURED_DATABASE = settings.DATABASES["default"]["NAME"]

hypothesis_settings.register_profile("house", deadline=None, print_blob=True)
hypothesis_settings.load_profile("house")


# --- The rules of the suite ---------------------------------------------------------------------------------


def _no_network(event: str, args: tuple[Any, ...]) -> None:
    """Refuse a connection that leaves the machine: a test that needs the network is not repeatable."""
    if event == "socket.connect":
        address = args[1]
        if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1", "localhost")):
            raise RuntimeError(f"a test tried to reach {address}")


def pytest_configure(config: pytest.Config) -> None:
    """Compile translations once, in the process that hands out the tests."""
    if not hasattr(config, "workerinput"):
        compile_all([ROOT / "locale"])
    sys.addaudithook(_no_network)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse fixtures that flush; leave out tests about the other database (left out is not skipped); long ones first.

    On PostgreSQL those that ask no database are left out as well: their answer would be the one they gave on SQLite.
    """
    postgresql = connection.vendor == "postgresql"
    elsewhere = ("sqlite", "once") if postgresql else ("postgresql",)
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        marker = item.get_closest_marker("django_db")
        flushes = {"transactional_db", "live_server", "django_db_reset_sequences"} & set(
            getattr(item, "fixturenames", [])
        )
        if flushes or (marker and marker.kwargs.get("transaction")):
            raise pytest.UsageError(f"{item.nodeid}: use committed_db; append-only tables cannot be flushed")
        other = any(map(item.get_closest_marker, elsewhere))
        (left_out if other or (postgresql and not _asks_a_database(item)) else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    items[:] = _long_ones_first(kept, getattr(config, "workerinput", {}).get("workercount", 1))


def _long_ones_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """The tests in an order by which no worker is left with a long one at the end while the others have nothing.

    Each worker is given an even piece of the list, from the front: each piece begins with its share of the files that
    hold a long test. Files stay together, as a browser is started for each.
    """
    long = {item.path for item in items if {"slow", "browser"} & {marker.name for marker in item.iter_markers()}}
    files = [[item for item in items if item.path == path] for path in dict.fromkeys(item.path for item in items)]
    first = [file for file in files if file[0].path in long]
    rest = iter([item for file in files if file[0].path not in long for item in file])
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        here = [item for file in first[worker::workers] for item in file]
        room = (len(items) - len(ordered)) // (workers - worker)
        ordered += here + list(itertools.islice(rest, max(0, room - len(here))))
    return ordered + list(rest)


def _asks_a_database(item: pytest.Item) -> bool:
    """Whether a test may reach a database at all; pytest-django stops those that try without saying so."""
    marked = {"django_db", "postgresql"} & {marker.name for marker in item.iter_markers()}
    opened = {"db", "committed_db", "served"} & set(getattr(item, "fixturenames", []))
    # Every test has this one from pytest-django; who names it means to use it.
    named = "django_db_blocker" in inspect.signature(getattr(item, "function", lambda: None)).parameters
    return bool(marked or opened or named)


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """With REQUIRE_ALL=1 (CI) a skip is a failure: every part must be there."""
    if REQUIRE_ALL and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_ALL=1 and something is missing: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """See `_fail_if_skipped`."""
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """See `_fail_if_skipped`; this one sees whole modules."""
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.fixture(autouse=True)
def _in_chinese() -> None:
    """A request in English leaves its language behind in the thread: the next test would read English refusals."""
    translation.activate(settings.LANGUAGE_CODE)


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    """A test's rows are rolled back and their numbers given again: no page and no count of tries may outlive it."""
    SHELF.clear()
    cache.clear()
    throttle.forget_all()


# --- A database of one's own --------------------------------------------------------------------------------


@dataclass(frozen=True)
class CommittedDatabase:
    """A copied database: its DATABASE_URL, and the environment for a child process that uses it."""

    url: str

    def env(self, **more: str) -> dict[str, str]:
        """The environment for `subprocess`: this database, test settings, our folder first on the path."""
        return {
            **os.environ,
            "DATABASE_URL": self.url,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": str(ROOT),
            "TRACE_TEST_DATA_DIR": str(settings.DATA_DIR),
            **more,
        }

    def manage(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `manage.py …` on this database in a process of its own and wait for it."""
        process = Loaded(str(ROOT / "manage.py"), *arguments, env=self.env(**more))
        out, error = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.wait(), out, error)


def _postgresql_url(name: str) -> str:
    """The DATABASE_URL of a database beside the test database."""
    entry = connection.settings_dict
    login = quote(entry["USER"], safe="")
    if entry["PASSWORD"]:
        login += ":" + quote(entry["PASSWORD"], safe="")
    host, port = entry["HOST"], f":{entry['PORT']}" if entry["PORT"] else ""
    if host.startswith("/"):
        return f"postgresql://{login}@{port}/{name}?host={quote(host, safe='')}"
    return f"postgresql://{login}@{host}{port}/{name}"


def make_tables() -> None:
    """Make the tables of an empty database from the models, as TEST's MIGRATE=False does for the test database."""
    none: dict[str, None] = {app.label: None for app in apps.get_app_configs()}
    with override_settings(MIGRATION_MODULES=none):
        call_command("migrate", run_syncdb=True, verbosity=0)


def _copy_of_the_test_database(name: str) -> None:
    """Copy pytest-django's test database, which is migrated and, between tests, empty."""
    if connection.vendor == "postgresql":
        connection.close()  # PostgreSQL copies no database that somebody is connected to
        sql_outside(f'CREATE DATABASE "{name}" TEMPLATE "{connection.settings_dict["NAME"]}"')
        return
    connection.ensure_connection()
    with closing(sqlite3.connect(name)) as target:
        connection.connection.backup(target)
        target.execute("PRAGMA journal_mode=WAL")


@pytest.fixture(scope="session")
def committed_template(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The migrated, empty database that `committed_db` copies: a path, or a PostgreSQL name."""
    postgresql = connection.vendor == "postgresql"
    name = f"template_{uuid.uuid4().hex}"
    if not postgresql:
        name = str(settings.DATA_DIR / f"{name}.sqlite3")
    with django_db_blocker.unblock():
        # pytest-django makes its test database only when some test of the run asks for `db`.
        if connection.settings_dict["NAME"] != CONFIGURED_DATABASE:
            _copy_of_the_test_database(name)
        else:
            if postgresql:
                sql_outside(f'CREATE DATABASE "{name}"')
            with default_database(name):
                make_tables()
        with default_database(name):
            call_command("migrate", fake=True, verbosity=0)
        yield name
        if postgresql:
            sql_outside(f'DROP DATABASE "{name}" WITH (FORCE)')
        else:
            Path(name).unlink()


@pytest.fixture
def committed_db(
    request: pytest.FixtureRequest, committed_template: str, django_db_blocker: DjangoDbBlocker
) -> Iterator[CommittedDatabase]:
    """A database of this test's own in which commits are real. Not together with `db`."""
    if "db" in request.fixturenames or request.node.get_closest_marker("django_db"):
        raise pytest.UsageError("committed_db stands instead of db: drop the django_db mark")
    with django_db_blocker.unblock(), copied_database(committed_template) as database:
        yield database


@contextmanager
def copied_database(template: str) -> Iterator[CommittedDatabase]:
    """A copy of the template that is the default database inside; dropped afterwards."""
    name = f"committed_{uuid.uuid4().hex}"
    if connection.vendor == "postgresql":
        connection.close()
        sql_outside(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        with default_database(name):
            yield CommittedDatabase(_postgresql_url(name))
        sql_outside(f'DROP DATABASE "{name}" WITH (FORCE)')
        return
    path = settings.DATA_DIR / f"{name}.sqlite3"
    shutil.copyfile(template, path)
    with default_database(str(path)):
        yield CommittedDatabase(f"sqlite:///{path}")
    for leftover in settings.DATA_DIR.glob(f"{name}.sqlite3*"):
        leftover.unlink()


# --- The real server ----------------------------------------------------------------------------------------


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_answering(url: str, server: Loaded, log: Path) -> None:
    """Return when the server answers at all; fail with its log when it ends or takes two minutes (busy machines do)."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=20).close()  # noqa: S310
        except urllib.error.HTTPError as answer:
            answer.close()
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the server did not start:\n{log.read_text()}")


@dataclass(frozen=True)
class Served:
    """A running server: its address, its database, and the file its log goes to."""

    url: str
    database: CommittedDatabase
    log: Path


@pytest.fixture
def served(committed_db: CommittedDatabase, tmp_path: Path, settings: Any) -> Iterator[Served]:
    """The program served by granian on a database of this test's own; PUBLIC_BASE_URL is its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings.PUBLIC_BASE_URL = url
    log = tmp_path / "server.log"
    server = Loaded(
        *("-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)),
        *("--no-ws", "--blocking-threads", "4", "config.wsgi:application"),
        env=committed_db.env(TRACE_TEST_PUBLIC_BASE_URL=url),
        output=log,
    )
    try:
        _wait_until_answering(url, server, log)
        yield Served(url, committed_db, log)
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of reference data beside the checkout (or at SHARED_DATA); skips where it is absent."""
    folder = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}")
    return folder


# --- The cast -------------------------------------------------------------------------------------------------


@pytest.fixture
def db(db: None) -> None:
    """pytest-django's, which is told apart from a stage on which something was written."""
    begin()


@pytest.fixture(scope="session")
def world_stage(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Stage[World]]:
    """The database with the cast of tests/world.py, built once."""
    with Stage.built(make_world, django_db_blocker) as stage:
        yield stage


@pytest.fixture
def world(world_stage: Stage[World], db: None) -> Iterator[World]:
    """The cast of tests/world.py in this test's database."""
    with world_stage.played() as world:
        yield world
