"""`make serve` and `make run` as they are typed: started, stopped, and refused in plain words."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from desk.demo.cast import LOGINS
from tests.conftest import CommittedDatabase, free_port
from trace.models import Lot, User

ROOT = Path(__file__).resolve().parents[2]
START = str(ROOT / "bin" / "start.py")
BARE = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def production(database: CommittedDatabase, folder: Path, port: int, **more: str) -> dict[str, str]:
    """Settings of a production installation on loopback."""
    return {
        **BARE,
        "ENV_FILE": os.devnull,
        "SECRET_KEY": "only-for-tests-nH3kq7xV0b9sTz2LmYw5RcJd8fGa1uEo6PiQv4XhKt",
        "PUBLIC_BASE_URL": f"http://127.0.0.1:{port}",
        "ALLOWED_HOSTS": "127.0.0.1",
        "ALLOW_PLAIN_HTTP": "1",
        "DATABASE_URL": database.url,
        "DATA_DIR": str(folder),
        "PORT": str(port),
        **more,
    }


@contextmanager
def started(mode: str, environment: dict[str, str]) -> Iterator[tuple["subprocess.Popen[str]", list[str]]]:
    """bin/start.py running, with the lines it has printed; it is killed with its children if a test leaves it."""
    process = subprocess.Popen(
        [sys.executable, START, mode],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield process, lines
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
        reader.join(timeout=10)
        assert process.stdout is not None
        process.stdout.close()


def wait_for(text: str, process: "subprocess.Popen[str]", lines: list[str], seconds: int = 90) -> None:
    """Return when a line with the text was printed; fail with all lines when the process ends first."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if any(text in line for line in lines):
            return
        assert process.poll() is None, "\n".join(lines)
        time.sleep(0.05)
    raise AssertionError("\n".join(lines))


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(number) for number in listed.stdout.split()]


def alive(pid: int) -> bool:
    """Whether a process still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


OPERATOR = {"OPERATOR_USERNAME": "ops", "OPERATOR_PASSWORD": "walnut-orchard-lamp"}


def ends(ending: signal.Signals, process: "subprocess.Popen[str]", port: int) -> None:
    """The server stops by a signal with everything it started, and its port is free again."""
    running = children(process.pid)
    assert len(running) == 2
    process.send_signal(ending)
    assert process.wait(timeout=30) == 0
    assert not any(alive(pid) for pid in running)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


@pytest.mark.slow
def test_production_needs_an_operator_then_starts_answers_mends_its_worker_and_stops_with_all_it_started(
    committed_db: CommittedDatabase, tmp_path: Path
) -> None:
    port = free_port()
    assert "OPERATOR_USERNAME" in refused("production", production(committed_db, tmp_path, port))
    assert not User.objects.exists()
    with started("production", production(committed_db, tmp_path, port, **OPERATOR)) as (process, lines):
        wait_for("Stop with Ctrl-C", process, lines)
        assert any(f"http://127.0.0.1:{port}/" in line for line in lines)
        assert User.objects.get(is_staff=True).username == "ops"
        assert User.objects.count() == 1  # no log-ins but the one that was asked for
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/openapi.json", timeout=10) as answer:
            assert json.load(answer)["openapi"]
        (worker,) = [
            pid for pid in children(process.pid) if "worker" in Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        ]
        os.kill(worker, signal.SIGKILL)
        wait_for("The worker ended", process, lines)
        deadline = time.monotonic() + 30
        while len(children(process.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(children(process.pid)) == 2
        assert worker not in children(process.pid)
        ends(signal.SIGTERM, process, port)


def refused(mode: str, environment: dict[str, str]) -> str:
    """What a start that is refused says."""
    done = subprocess.run(
        [sys.executable, START, mode],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_production_without_settings_is_refused_in_a_sentence(tmp_path: Path) -> None:
    bare = {**BARE, "ENV_FILE": os.devnull, "DATA_DIR": str(tmp_path), "PORT": str(free_port())}
    assert "SECRET_KEY is not set" in refused("production", bare)


def test_production_with_debug_is_refused(committed_db: CommittedDatabase, tmp_path: Path) -> None:
    environment = production(committed_db, tmp_path, free_port(), DEBUG="1")
    assert "DEBUG is on" in refused("production", environment)


@pytest.mark.parametrize("mode", ["demo", "production"])
@pytest.mark.parametrize("port", ["0", "eight", "70000", "-1", "８０００"])
def test_a_port_that_is_none_is_refused(mode: str, port: str) -> None:
    assert "PORT must be a number" in refused(mode, {**BARE, "PORT": port})


@pytest.mark.parametrize("mode", ["demo", "production"])
def test_a_taken_port_is_named_before_anything_starts(mode: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"PORT={port + 1}" in refused(mode, {**BARE, "PORT": str(port)})


@pytest.mark.slow
@pytest.mark.once
def test_the_demonstration_starts_twice_keeps_its_data_and_can_be_saved(
    committed_db: CommittedDatabase, tmp_path: Path
) -> None:
    port = free_port()
    here = {**BARE, "DATABASE_URL": committed_db.url, "DATA_DIR": str(tmp_path / "demo"), "PORT": str(port)}
    with started("demo", here) as (process, lines):
        wait_for("Stop with Ctrl-C", process, lines, seconds=240)
        printed = "\n".join(lines)
        assert f"http://127.0.0.1:{port}/" in printed
        for username, _ in LOGINS:
            assert f"  {username} " in printed
        saved = subprocess.run(
            [sys.executable, str(ROOT / "bin" / "upkeep.py"), "backup", str(tmp_path / "one.tar.gz")],
            env={**here, "ENV_FILE": os.devnull},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert saved.returncode == 0, saved.stderr
        assert (tmp_path / "one.tar.gz").stat().st_size > 10_000
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert (tmp_path / "demo" / "secret_key").stat().st_mode & 0o077 == 0
    lots = Lot.objects.count()
    assert lots > 0
    with started("demo", here) as (process, lines):
        wait_for("Stop with Ctrl-C", process, lines)
    assert Lot.objects.count() == lots

    # What everybody can sign in to is refused as production, whatever the settings say.
    assert "desk.E014" in refused("production", production(committed_db, tmp_path, port, **OPERATOR))
    # Every row that was derived from events is derived from them again.
    rebuilt = committed_db.manage("rebuild", "--check")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
