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
from collections.abc import Iterator
from pathlib import Path

from django.db import connection
from django.utils import timezone

from tests.bench.cases import SMALL, Number, _actor, case
from tests.bench.engines import ROOT
from tests.bench.measuring import seconds
from tests.bench.worlds import Facts, undone
from trace.door.querying import Query, answer, read_query
from trace.door.shaping import documents_of
from trace.epcis.vocabulary import CONTEXT
from trace.models import EpcisEvent, EpcisName, EpcisSeen, EpcisTerm, LogHead, Organisation
from trace.rows import insert, new, numbered

FEW = 10_000
MANY = int(os.environ.get("BENCH_EVENTS", 5_000_000))
MEGABYTES = int(os.environ.get("BENCH_DOCUMENT", 100))
STEPS, PLACES, EACH = 20, 50, 100
GTIN = "09521141012345"
BEGAN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def _heap(owner: Organisation, count: int) -> int:
    """So many events of one owner, each with a step of 20, a place of 50 and an EPC that a hundred of them name; the
    number of the first. Their ledger rows are left out: a page of the door asks none of them.
    """
    first = (LogHead.objects.values_list("last", flat=True).first() or 0) + 1_000_000
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
    """A page of thirty events, and the page after it, of a caller with 10,000 events and of one with 5,000,000."""
    by = _actor(facts.probe_membership)
    best: dict[str, list[float]] = {}
    for count in (FEW, MANY):
        with undone():
            _heap(by.owner, count)
            for words, parameters in _questions(count).items():
                query = read_query(parameters)

                def page(query: Query = query) -> None:
                    first = answer(query, by, per_page=30)
                    second = answer(query, by, per_page=30, token=first.token) if first.token else first
                    assert len(documents_of(first.rows)) == len(first.rows) > 0
                    documents_of(second.rows)

                best.setdefault(words, []).append(seconds(page, 30).best)
    for words, (few, many) in best.items():
        yield Number(f"EPCIS two pages, {words}, {MANY:,} events", many * 1000, "ms")
        yield Number(f"EPCIS two pages, {words}: {MANY:,} / {FEW:,} events", many / few, "×", 1.6)


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
        while out.tell() < megabytes << 20:
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
