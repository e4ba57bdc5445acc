"""`make bench`: both databases, three worlds, one table.

    python -m tests.bench                    everything
    python -m tests.bench ladder console     these cases alone; nothing is kept
    python -m tests.bench --engine sqlite    one database alone

BENCH_DATA is the folder in which the worlds are kept from run to run (among the temporary files by
default); BENCH_LOTS leaves out worlds larger than this. Ends with 1 if a number misses its target.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.engines import ROOT, Engine, postgresql
from tests.bench.report import Line, compared, keep, table

SIZES = (10_000, 100_000, 1_000_000)
FEW_CODES, CODES = 10_000, 10_000_000
"""Worlds in which the scanned page is measured."""


@contextmanager
def engines(folder: Path, wanted: str) -> Iterator[list[Engine]]:
    """The engines asked for."""
    lite = Engine("sqlite", folder)
    if wanted == "sqlite":
        yield [lite]
        return
    given = os.environ.get("DATABASE_URL", "")
    with postgresql(folder, given if given.startswith("postgres") else "") as post:
        yield [post] if wanted == "postgresql" else [lite, post]


def inside(engine: Engine, size: int, cases: list[str]) -> list[dict[str, Any]]:
    """Run the cases of one world in a process of its own; its numbers as they come."""
    environment = {**os.environ, "DATABASE_URL": engine.url(size), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.bench.inside", str(size), *cases]
    found: list[dict[str, Any]] = []
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for text in child.stdout:
            row = json.loads(text)
            if "built" in row:
                say(f"  built {row['lots']} lots, {row['links']} links, {row['events']} events in {row['built']} s")
            else:
                found.append(row)
                say(f"  {row['name']}: {row['value']:.4g} {row['unit']}")
    if child.returncode:
        raise SystemExit(f"The world of {size} lots on {engine.name} could not be measured.")
    return found


def scans(engine: Engine, codes: int) -> list[dict[str, Any]]:
    """The numbers of the scanned page in a world of so many codes, built first where it is not there."""
    name = f"codes_{codes}"
    environment = {**os.environ, "DATABASE_URL": engine.url(name), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.bench.scans", str(codes)]
    if not engine.has(name) or subprocess.run([*command, "ready"], env=environment, cwd=ROOT).returncode:
        engine.clear(name)
    done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"The world of {codes} codes on {engine.name} could not be measured.")
    found = [json.loads(text) for text in done.stdout.splitlines()]
    for row in found:
        if "name" in row:
            say(f"  {row['name']}: {row['value']:.4g} {row['unit']}")
    return [row for row in found if "name" in row]


def fresh(engine: Engine, size: int) -> None:
    """See that a finished world of this version, migrated to the code at hand, or an empty database is there."""
    if engine.has(size):
        environment = {**os.environ, "DATABASE_URL": engine.url(size), "PYTHONPATH": str(ROOT)}
        if subprocess.run([sys.executable, "-m", "tests.bench.ready"], env=environment, cwd=ROOT).returncode == 0:
            return
    engine.clear(size)


def say(text: str) -> None:
    """One line for who waits."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print the table, keep it if everything was measured."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], default="")
    options = parser.parse_args()
    most = int(os.environ.get("BENCH_LOTS", SIZES[-1]))
    folder = Path(os.environ.get("BENCH_DATA") or Path(tempfile.gettempdir()) / "trace-bench").resolve()
    if folder.is_relative_to(ROOT):
        parser.error("BENCH_DATA must lie outside the project.")
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[Line] = []
    began = time.monotonic()
    versions: list[str] = []
    with engines(folder, options.engine) as chosen:
        for engine in chosen:
            versions.append(engine.version())
            rows: dict[int, list[dict[str, Any]]] = {}
            for size in (each for each in SIZES if each <= most and options.cases != ["scan"]):
                say(f"{engine.version()}, a world of {size} lots ({time.monotonic() - began:.0f} s)")
                fresh(engine, size)
                rows[size] = inside(engine, size, options.cases)
            lines += compared(engine.name, rows)
            if not options.cases or "scan" in options.cases:
                most_codes = int(os.environ.get("BENCH_CODES", CODES if most >= SIZES[-1] else 10 * most))
                lines += compared(engine.name, {codes: scans(engine, codes) for codes in (FEW_CODES, most_codes)})
    print(table(lines))
    whole = not options.cases and not options.engine and most >= SIZES[-1]
    if whole:
        keep(lines, versions, round(time.monotonic() - began))
    missed = [line for line in lines if line.holds is False]
    say(f"{len(missed)} of {len(lines)} miss their target; {time.monotonic() - began:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
