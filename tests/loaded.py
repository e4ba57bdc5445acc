"""Processes that begin with the program loaded: loading it takes longer than most of what tests start processes for.

The first one asked for starts a process (`multiprocessing`'s fork server) that loads the program and opens no database;
each further one is forked from it, and reads the settings anew from its own environment. From then on it is a process
like any other: it can be killed, and nothing of it is left in the tests' own.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
_context = multiprocessing.get_context("forkserver")


class Loaded:
    """As much of `subprocess.Popen` as tests use: all it says goes to the file `output`; where none is given, to
    `stdout`, and what it says to stderr is had from `communicate`.
    """

    def __init__(self, *arguments: str, env: dict[str, str], output: Path | None = None) -> None:
        reader, writer = _context.Pipe(duplex=False)
        self._errors = tempfile.NamedTemporaryFile("r", encoding="utf-8")  # noqa: SIM115
        told = (str(output), str(output)) if output else (writer, self._errors.name)
        self._process = _context.Process(target=_become, args=(arguments, env, *told))
        with reader, writer, _loading(env):
            self._process.start()
            self.stdout: IO[str] = open(os.devnull if output else os.dup(reader.fileno()), encoding="utf-8")  # noqa: SIM115
        # Of a process that is killed nobody asks what it said: its files are closed with it, without a warning.
        weakref.finalize(self, _close, self.stdout, self._errors)
        if output:
            _close(self.stdout, self._errors)
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """How it ended, once it has."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All it says, to stdout and to stderr, once it has ended."""
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.append(self.stdout.read()), daemon=True)
        reader.start()
        reader.join(timeout)
        if reader.is_alive():
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        self.stdout.close()
        self.wait(timeout)
        with self._errors as errors:
            return said[0], errors.read()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            if self.poll() is None:
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _close(*files: IO[str]) -> None:
    for file in files:
        file.close()


@contextlib.contextmanager
def _loading(env: dict[str, str]) -> Iterator[None]:
    """The environment in which the first start makes the fork server: that of the tests, whose folder it shares."""
    names = ("DJANGO_SETTINGS_MODULE", "PYTHONPATH", "TRACE_TEST_DATA_DIR", "DATABASE_URL")
    before = {name: os.environ.get(name) for name in names}
    _context.set_forkserver_preload(["tests.loaded_program"])
    os.environ.update({name: env[name] for name in names if name in env})
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _become(arguments: tuple[str, ...], env: dict[str, str], output: str | Connection, errors: str) -> None:
    """In the new process: be `manage.py …`, `-m module …` or `-c code`, with this environment and nothing of ours."""
    multiprocessing.set_start_method("fork", force=True)  # as it is in a process of its own
    for number, target in ((1, output if isinstance(output, str) else os.dup(output.fileno())), (2, errors)):
        with open(target, "ab") as out:
            os.dup2(out.fileno(), number)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w", encoding="utf-8", buffering=1) for number in (1, 2))
    os.environ.clear()
    os.environ.update(env)
    os.chdir(ROOT)
    _read_settings_again(env["DJANGO_SETTINGS_MODULE"])
    if arguments[0] == "-c":
        exec(compile(arguments[1], "-c", "exec"), {"__name__": "__main__"})  # noqa: S102
        return
    sys.argv = list(arguments[1:] if arguments[0] == "-m" else arguments)
    if arguments[0] == "-m":
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(arguments[0], run_name="__main__")


def _read_settings_again(name: str) -> None:
    """What was read when the program was loaded is read from the environment of this process."""
    from django.conf import settings
    from django.db import connections

    for each in ("config.settings", "tests.settings"):
        sys.modules.pop(each, None)
    module = importlib.import_module(name)
    for setting in filter(str.isupper, dir(module)):
        setattr(settings, setting, getattr(module, setting))
    for alias in connections:
        with contextlib.suppress(AttributeError):
            del connections[alias]
    connections._settings = None  # type: ignore[attr-defined]
    connections.__dict__.pop("settings", None)
    connections.__dict__.pop("databases", None)
