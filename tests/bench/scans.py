"""The scanned page with many codes in the database, beside an empty view of the same server.

DATABASE_URL=… python -m tests.bench.scans 10000000

A world of codes has 200 lots made by real actions, each with a run, and the rest of the units made by one statement.
`make bench` runs it in a small world and a large one; BENCH_CODES says how large.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.engines import ROOT
from trace.identifiers import SERIAL_ALPHABET

SIZES = (10_000, 10_000_000)
LOTS = 200
ASKED = 4_000
TRIES = 3
SPREAD, SHIFT = 0x5DEECE66D, 0x1234567
"""Both engines count in 64 bits: of ten million places none gets there."""
RUN = {"postgresql": "uuid", "sqlite": "char(32)"}
SERIES = {
    "postgresql": "SELECT generate_series(0::bigint, CAST(%s AS bigint)) AS n",
    # Not every build of SQLite has generate_series.
    "sqlite": "WITH RECURSIVE up(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM up WHERE n < %s) SELECT n FROM up",
}
SLOWER = 1 / 0.6
"""The empty view may give this many times the answers a second of the scanned page."""


def build(codes: int) -> None:
    """Fill an empty database."""
    from django.core.management import call_command
    from django.db import connection

    from labels.actions.runs import issue_codes
    from tests.bench.sinks import finish, unhindered
    from tests.labels.goods import bottled
    from tests.world import make_world
    from trace.models import Unit

    call_command("migrate", verbosity=0)
    world = make_world()
    runs = []
    for number in range(LOTS):
        lot = bottled(world, code=f"B{number:05d}")
        runs.append(issue_codes(by=world.distillery, lot=lot, count=1, key=f"bench {number}"))
    first = Unit.objects.select_related(None).order_by("id")[0]
    with unhindered(), connection.cursor() as cursor:
        kind = RUN[connection.vendor]
        cursor.execute(f"CREATE TABLE bench_lots (place integer, lot bigint, owner bigint, run {kind})")
        for place, run in enumerate(runs):
            name = str(run.uid) if kind == "uuid" else run.uid.hex
            row: list[int | str] = [place, run.lot_id, run.organisation_id, name]
            cursor.execute("INSERT INTO bench_lots VALUES (%s, %s, %s, %s)", row)
        digits = " || ".join(
            f"substr('{SERIAL_ALPHABET}', CAST((n * {SPREAD} + {SHIFT}) >> {shift} & 31 AS integer) + 1, 1)"
            for shift in range(0, 60, 5)
        )
        cursor.execute(
            "INSERT INTO trace_unit (code, organisation_id, lot_id, level, state, run, number, container)"
            f" SELECT {digits}, owner, lot, %s, %s, run, 2 + n / {LOTS}, %s"
            f" FROM ({SERIES[connection.vendor]}) numbers JOIN bench_lots ON place = n %% {LOTS}",
            [first.level, first.state, False, codes - LOTS - 1],
        )
    finish([Unit])
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_codes (codes bigint)")
        cursor.execute("INSERT INTO bench_codes VALUES (%s)", [codes])


def code_at(place: int) -> str:
    """The code of one copied unit: all different; the digits that change most come first, so they lie all over."""
    value = place * SPREAD + SHIFT
    return "".join(SERIAL_ALPHABET[value >> shift & 31] for shift in range(0, 60, 5))


def is_built(codes: int) -> bool:
    """Whether the database at hand holds this world, at today's migrations."""
    from django.core.management import call_command
    from django.db import connection

    if "bench_codes" not in connection.introspection.table_names():
        return False
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT codes FROM bench_codes")
        return bool(cursor.fetchone() == (codes,))


@contextmanager
def serving(bare: bool = False, *, url: str = "", threads: int = 4, workers: int = 1) -> Iterator[int]:
    """The program as it is served, by so many processes, with this database or the one at hand; yields its port."""
    from tests.conftest import free_port

    port = free_port()
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.bench.serving", "PYTHONPATH": str(ROOT)}
    environment["BENCH_BARE"] = "1" if bare else "0"
    if url:
        environment["DATABASE_URL"] = url
    options = ["--interface", "wsgi", "--no-ws", "--log-level", "warning", "--workers", str(workers)]
    options += ["--blocking-threads", str(threads)]
    command = [sys.executable, "-m", "granian", *options, "--port", str(port), "config.wsgi:application"]
    server = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/empty", timeout=2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=20)


def measure(codes: int) -> Iterator[dict[str, Any]]:
    """The numbers of one world."""
    from django.test import Client
    from django.urls import reverse

    from labels.kept import SHELF
    from labels.models import CodeRun
    from tests.bench.load import at_pace, per_second
    from tests.bench.measuring import queries, seconds
    from trace.models import Unit

    chosen = random.Random(codes)
    places = [chosen.randrange(codes - LOTS) for _ in range(ASKED)]
    paths = [reverse("labels:code", args=[code_at(place)]) for place in places]
    asked = [reverse("labels:code", args=[code_at(chosen.randrange(LOTS) + LOTS * 7)]) for _ in range(LOTS)]
    client = Client()

    def one(path: str) -> None:
        assert client.get(path).status_code == 200

    def anew() -> None:
        SHELF.clear()
        one(paths[0])

    fresh = seconds(anew, 5)
    yield number("scanned page made anew", fresh.best * 1000, "ms", best=fresh.best)
    yield number("scanned page made anew: statements", queries(anew), "queries", 32)
    yield number("scanned page: statements", queries(lambda: one(paths[0])), "queries", 2)
    found = seconds(lambda: Unit.objects.values_list("lot").get(code=code_at(places[1])), 200)
    yield number("a code looked up among all", found.best * 1000, "ms", best=found.best)
    assert CodeRun.objects.count() == LOTS
    with serving() as port:
        per_second(port, [*asked, *(["/empty"] * 200)])
        rates = {"empty": 0.0, "page": 0.0}
        for _ in range(TRIES):
            rates["empty"] = max(rates["empty"], per_second(port, ["/empty"] * ASKED))
            rates["page"] = max(rates["page"], per_second(port, paths))
        waits = at_pace(port, paths[: int(min(ASKED, rates["page"] * 4))], rates["page"] / 2)
    with serving(bare=True) as port:
        per_second(port, ["/empty"] * 500)
        bare = max(per_second(port, ["/empty"] * ASKED) for _ in range(TRIES))
    yield number("scanned page", rates["page"], "answers/s", best=1 / rates["page"])
    yield number("empty view", rates["empty"], "answers/s")
    yield number("empty view / scanned page", rates["empty"] / rates["page"], "×", SLOWER)
    yield number("empty view without middleware", bare, "answers/s")
    yield number("scanned page at half load: half the answers within", waits.percentile(0.5), "ms")
    yield number("scanned page at half load: 99 % within", waits.percentile(0.99), "ms", 50)


def number(
    name: str, value: float, unit: str, target: float | None = None, best: float | None = None
) -> dict[str, Any]:
    """One number as ``tests.bench.cases.Number`` has it."""
    return {"case": "scan", "name": name, "value": value, "unit": unit, "target": target, "best": best}


def main(codes: int) -> None:
    """Build the world if it is not there, measure, print a line of JSON per number."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    if not is_built(codes):
        began = time.monotonic()
        build(codes)
        print(json.dumps({"built_codes": codes, "seconds": round(time.monotonic() - began)}), flush=True)
    for row in measure(codes):
        print(json.dumps(row, ensure_ascii=False), flush=True)


def ready(codes: int) -> bool:
    """Whether the database at hand can be used as it is."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    return is_built(codes)


if __name__ == "__main__":
    if sys.argv[2:] == ["ready"]:
        sys.exit(0 if ready(int(sys.argv[1])) else 1)
    main(int(sys.argv[1]))
