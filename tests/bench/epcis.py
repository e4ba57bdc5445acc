"""The EPCIS door among many events, and with a large document.

BENCH_EVENTS is how many events the larger heap has (5,000,000), BENCH_DOCUMENT how many megabytes the larger document
(100).
"""

from __future__ import annotations

import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from django.db import connection
from django.utils import timezone

from tests.bench.cases import SMALL, Number, _actor, _epcis_document, case
from tests.bench.engines import ROOT
from tests.bench.load import Line
from tests.bench.measuring import in_turn
from tests.bench.scans import serving
from tests.bench.worlds import Facts, undone
from trace.actor import Actor
from trace.door.querying import answer, read_query
from trace.door.shaping import documents_of
from trace.epcis.vocabulary import CONTEXT
from trace.models import EpcisEvent, EpcisName, EpcisSeen, EpcisTerm, LogHead, Membership, Organisation
from trace.rows import insert, new, numbered

FEW = 10_000
MANY = int(os.environ.get("BENCH_EVENTS", 5_000_000))
MEGABYTES = int(os.environ.get("BENCH_DOCUMENT", 100))
STEPS, PLACES, EACH = 20, 50, 100
GTIN = "09521141012345"
BEGAN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def _heap(owner: Organisation, count: int, first: int = 0) -> int:
    """So many events of one owner, each with a step of 20, a place of 50 and an EPC that a hundred of them name; the
    number of the first. Their ledger rows are left out: a page of the door asks none of them.
    """
    first = first or (LogHead.objects.values_list("last", flat=True).first() or 0) + 1_000_000
    names = [
        new(EpcisName, owner=owner, kind=kind, value=value)
        for kind, values in (
            ("bizStep", [f"https://example.org/step/{number}" for number in range(STEPS)]),
            ("bizLocation", [f"https://example.org/place/{number}" for number in range(PLACES)]),
            ("epc", [f"https://id.gs1.org/01/{GTIN}/21/{number}" for number in range(count // EACH)]),
        )
        for value in values
    ]
    insert(numbered(names))
    step, place, epc = names[0].pk, names[STEPS].pk, names[STEPS + PLACES].pk
    epcs = len(names) - STEPS - PLACES
    lite = connection.vendor == "sqlite"
    series = (
        f"WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < {count - 1})"
        if lite
        else f"WITH s(n) AS (SELECT generate_series(0, {count - 1}))"
    )
    moment = (
        "strftime('%Y-%m-%d %H:%M:%S', 1577836800 + n * 30, 'unixepoch')"
        if lite
        else "timestamptz '2020-01-01 00:00:00+00' + n * interval '30 seconds'"
    )
    told = json.dumps({"type": "ObjectEvent", "action": "OBSERVE", "eventTimeZoneOffset": "+00:00", "epcList": ["x"]})
    with connection.cursor() as cursor:
        if not lite:
            # What is taken back is never checked, and millions of checks need not wait for it in memory.
            cursor.execute("SET LOCAL session_replication_role = replica")
        for model, columns, values in (
            (
                EpcisEvent,
                "number, event_id, owner_id, eid, declared_at, kind, action, event_time, record_time, document",
                f"{first} + n, {first} + n, {owner.pk}, 'urn:bench:' || n, '', 'ObjectEvent', 'OBSERVE', {moment}, "
                f"{moment}, '{told}'",
            ),
            (EpcisSeen, "owner_id, number, event_time", f"{owner.pk}, {first} + n, {moment}"),
            (EpcisTerm, "name_id, number", f"{step} + n % {STEPS}, {first} + n"),
            (EpcisTerm, "name_id, number", f"{place} + n % {PLACES}, {first} + n"),
            (EpcisTerm, "name_id, number", f"{epc} + n % {epcs}, {first} + n"),
        ):
            cursor.execute(f"{series} INSERT INTO {model._meta.db_table} ({columns}) SELECT {values} FROM s")
        tables = ", ".join(model._meta.db_table for model in (EpcisEvent, EpcisSeen, EpcisTerm, EpcisName))
        cursor.execute("ANALYZE" if lite else f"ANALYZE {tables}")
    return first


def _questions(count: int) -> dict[str, dict[str, list[str]]]:
    middle = (BEGAN + datetime.timedelta(seconds=30 * (count // 2))).isoformat()
    return {
        "EQ_bizStep": {"EQ_bizStep": ["https://example.org/step/7"]},
        "MATCH_epc": {"MATCH_epc": [f"https://id.gs1.org/01/{GTIN}/21/7"]},
        "GE_eventTime": {"GE_eventTime": [middle]},
        "EQ_bizLocation": {"EQ_bizLocation": ["https://example.org/place/7"]},
        "EQ_bizStep and EQ_bizLocation": {
            "EQ_bizStep": ["https://example.org/step/7"],
            "EQ_bizLocation": ["https://example.org/place/7"],
        },
    }


@case("epcis-page", SMALL)
def pages(facts: Facts) -> Iterator[Number]:
    """A page of thirty events, and the page after it, of a caller with 10,000 events and of one with 5,000,000, asked
    in turn.
    """
    large = _actor(facts.probe_membership)
    other = Membership.objects.exclude(organisation=large.owner).select_related("organisation").order_by("id")[0]
    small = Actor(organisation=other.organisation, role="operator")
    with undone():
        first = _heap(small.owner, FEW)
        _heap(large.owner, MANY, first + FEW)
        for words in _questions(FEW):

            def page(by: Actor, count: int, words: str = words) -> None:
                query = read_query(_questions(count)[words])
                first = answer(query, by, per_page=30)
                second = answer(query, by, per_page=30, token=first.token) if first.token else first
                assert len(documents_of(first.rows)) == len(first.rows) == 30
                documents_of(second.rows)

            few, many = in_turn(30, partial(page, small, FEW), partial(page, large, MANY))
            yield Number(f"EPCIS two pages, {words}, {MANY:,} events", many.best * 1000, "ms")
            yield Number(f"EPCIS two pages, {words}: {MANY:,} / {FEW:,} events", many.best / few.best, "×", 1.6)


# --- Single events ----------------------------------------------------------------------------------------------------

WARM, SINGLES, LINES = 160, 1_600, 16
"""Events sent before the clock runs, events counted, connections."""
WORKERS, THREADS = 2, 8
"""What `bin/start.py production` serves with."""


@contextmanager
def _copied() -> Iterator[str]:
    """A copy of the world, which single events may change; its address."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    name = f"{connection.settings_dict['NAME']}_singles"
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            Path(name).unlink(missing_ok=True)
            cursor.execute("VACUUM INTO %s", [name])
        try:
            yield f"sqlite:///{name}"
        finally:
            for ending in ("", "-wal", "-shm", "-turn"):
                Path(name + ending).unlink(missing_ok=True)
        return
    source = connection.settings_dict["NAME"]
    connection.close()
    server = urlunsplit((parts.scheme, parts.netloc, "/postgres", parts.query, ""))
    with psycopg.connect(server, autocommit=True) as control:
        control.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        control.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
        try:
            yield urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, ""))
        finally:
            control.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@case("epcis-single", SMALL)
def singles(facts: Facts) -> Iterator[Number]:
    """Single events of goods nobody met, over 16 connections that stay open to a server as production has it; each is
    on the disk before it is answered. Who sends costs next to nothing: the requests are made before.
    """
    told = [
        json.dumps({"@context": [CONTEXT], **event}).encode()
        for event in json.loads(_epcis_document(WARM + SINGLES, 1))["epcisBody"]["eventList"]
    ]
    with _copied() as url:
        code = (
            "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
            "import django; django.setup()\n"
            "from tests.bench.cases import _actor; from tests.trace.api_client import make_key\n"
            f"print(make_key(_actor({facts.probe_membership!r}).organisation)[1])"
        )
        environment = {**os.environ, "DATABASE_URL": url}
        made = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True, env=environment
        )
        head = (
            "POST /epcis/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {made.stdout.split()[-1]}\r\nContent-Length: "
        ).encode()
        requests = [b"%b%d\r\n\r\n%b" % (head, len(each), each) for each in told]
        answered: list[int] = []

        def send(lines: Sequence[Line], some: Sequence[bytes]) -> float:
            def one(number: int) -> None:
                for request in some[number :: len(lines)]:
                    lines[number].send_whole(request)
                    answered.append(lines[number].receive(b" 201 "))

            threads = [threading.Thread(target=one, args=(number,)) for number in range(len(lines))]
            began = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return time.perf_counter() - began

        with serving(url=url, threads=THREADS, workers=WORKERS) as port:
            lines = [Line(port) for _line in range(LINES)]
            send(lines, requests[:WARM])
            taken = send(lines, requests[WARM:])
            for line in lines:
                line.close()
    assert len(answered) == WARM + SINGLES
    yield Number("EPCIS single events over HTTP", SINGLES / taken, "1/s")


# --- Memory -----------------------------------------------------------------------------------------------------------


def _large(path: Path, megabytes: int) -> int:
    """A document of so many megabytes: events of ten kilobytes with readings of sensors; how many."""
    report = {"type": "Temperature", "value": 21.5, "uom": "CEL", "deviceID": "urn:epc:id:giai:9521141.111"}
    event = {
        "type": "ObjectEvent",
        "eventTimeZoneOffset": "+08:00",
        "action": "OBSERVE",
        "bizStep": "sensor_reporting",
        "epcList": [f"https://id.gs1.org/01/{GTIN}/21/M1"],
        "sensorElementList": [{"sensorReport": [report] * 100}],
    }
    count = 0
    head = {"@context": [CONTEXT], "type": "EPCISDocument", "schemaVersion": "2.0"}
    with path.open("w") as out:
        out.write(json.dumps({**head, "creationDate": "2026-10-02T00:00:00Z"})[:-1] + ', "epcisBody": {"eventList": [')
        # Never larger than said: a hundred is the limit of the door.
        while out.tell() + (64 << 10) < megabytes << 20:
            when = BEGAN + datetime.timedelta(seconds=count)
            out.write((", " if count else "") + json.dumps({"eventTime": when.isoformat(), **event}))
            count += 1
        out.write("]}}")
    return count


def capture_alone(membership: str, path: str) -> None:
    """Capture a document in this process, take it back, and say how much memory the process ever needed (kB)."""
    from trace.actions.epcis_jobs import run_at_once, take_document

    by = _actor(membership)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with undone(), Path(path).open("rb") as content:
        job = run_at_once(job=take_document(by=by, content=content))
        assert job.success, job.errors
        captured = job.captured
    print(json.dumps([captured, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))


@case("epcis-memory", SMALL)
def memory(facts: Facts) -> Iterator[Number]:
    """The most memory of a process that captures a document of a quarter of the size, and of the whole size."""
    most = []
    with tempfile.TemporaryDirectory() as folder:
        for megabytes in (MEGABYTES // 4, MEGABYTES):
            path = Path(folder) / f"{megabytes}.json"
            count = _large(path, megabytes)
            code = (
                "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
                "import django; django.setup()\n"
                f"from tests.bench.epcis import capture_alone; capture_alone({facts.probe_membership!r}, {str(path)!r})"
            )
            began = timezone.now()
            done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
            captured, _before, peak = json.loads(done.stdout.splitlines()[-1])
            assert captured == count
            most.append(peak / 1024)
            taken = (timezone.now() - began).total_seconds()
            yield Number(f"EPCIS document of {megabytes} MB: {count:,} events", taken, "s")
    yield Number(f"EPCIS document of {MEGABYTES} MB: the most memory of the process", most[1], "MB", 300)
    yield Number(f"EPCIS documents: memory for {MEGABYTES} MB / {MEGABYTES // 4} MB", most[1] / most[0], "×", 1.25)
