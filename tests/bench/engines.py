"""The databases measured: a file per world for SQLite, a database per world in a PostgreSQL server.

The server is DATABASE_URL's, or one of our own made by `.ci/postgresql` with PostgreSQL's default settings but fsync.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Engine:
    """One engine and where its worlds are."""

    name: str
    folder: Path
    server: str = ""

    def url(self, size: int | str) -> str:
        """DATABASE_URL of a world."""
        if not self.server:
            return f"sqlite:///{self.folder / f'sqlite-{size}.sqlite3'}"
        parts = urlsplit(self.server)
        return urlunsplit((parts.scheme, parts.netloc, f"/trace_bench_{size}", parts.query, ""))

    def clear(self, size: int | str) -> None:
        """Remove a world that is of another version or was not finished, and make room for a new one."""
        if not self.server:
            for ending in ("", "-wal", "-shm"):
                (self.folder / f"sqlite-{size}.sqlite3{ending}").unlink(missing_ok=True)
            return
        with psycopg.connect(self.server, autocommit=True) as server:
            server.execute(f"DROP DATABASE IF EXISTS trace_bench_{size}")
            server.execute(f"CREATE DATABASE trace_bench_{size} TEMPLATE template0 ENCODING 'UTF8'")

    def has(self, size: int | str) -> bool:
        """Whether a database of this world exists, finished or not."""
        if not self.server:
            return (self.folder / f"sqlite-{size}.sqlite3").exists()
        with psycopg.connect(self.server, autocommit=True) as server:
            return bool(
                server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [f"trace_bench_{size}"]).fetchone()
            )

    def version(self) -> str:
        """The engine with its version."""
        if not self.server:
            import_module("config")  # puts a newer SQLite in place where one is installed
            return f"SQLite {import_module('sqlite3').sqlite_version}"
        with psycopg.connect(self.server) as server:
            row = server.execute("SHOW server_version").fetchone()
        return f"PostgreSQL {row[0].split()[0] if row else '?'}"


@contextmanager
def postgresql(folder: Path, given: str) -> Iterator[Engine]:
    """The PostgreSQL engine: the server given, or our own, whose cluster stays in the folder from run to run."""
    if given:
        yield Engine("postgresql", folder, given)
        return
    script = str(ROOT / ".ci" / "postgresql")
    cluster = str(folder / "postgresql")
    started = subprocess.run([script, "start", cluster], check=True, capture_output=True, text=True)
    try:
        yield Engine("postgresql", folder, started.stdout.strip())
    finally:
        subprocess.run([script, "pause", cluster], check=False)
