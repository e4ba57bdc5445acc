"""What capturing EPCIS is compared with: the same document kept by a plain Django program, and by bare COPY.

Both read the document, have each event checked by the compiled core alone and know no rules, lots, amounts, ledger,
hashes or who may see what. The plain program is what its author would write without us: a model for events, one for
what they name, the indexes that the standard's questions need, ``bulk_create``.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps.registry import Apps
from django.db import connection, models
from django.utils import timezone

from trace.epcis.documents import CORE

BATCH = 1_000
"""Rows of one statement on PostgreSQL; on SQLite Django takes as many as that allows (90 events, 333 names)."""
_apart = Apps()
"""The models are no part of the program: nothing of Django's own finds them."""


class PlainEvent(models.Model):
    """One event, with what it is asked for by in columns."""

    event_id = models.CharField(max_length=500)
    type = models.CharField(max_length=20)
    action = models.CharField(max_length=8, blank=True)
    event_time = models.DateTimeField()
    offset = models.CharField(max_length=6)
    record_time = models.DateTimeField()
    biz_step = models.CharField(max_length=500, blank=True)
    disposition = models.CharField(max_length=500, blank=True)
    read_point = models.CharField(max_length=500, blank=True)
    biz_location = models.CharField(max_length=500, blank=True)
    document = models.JSONField()

    class Meta:
        apps = _apart
        app_label = "bench"
        db_table = "bench_plain_event"
        # Not ``unique=True`` and ``db_index=True``: on PostgreSQL those make a second index of each text.
        constraints = [models.UniqueConstraint(fields=["event_id"], name="bench_one_event")]
        indexes = [
            models.Index(fields=["event_time"], name="bench_event_time"),
            models.Index(fields=["record_time"], name="bench_record_time"),
            models.Index(fields=["biz_step"], name="bench_biz_step"),
            models.Index(fields=["disposition"], name="bench_disposition"),
            models.Index(fields=["read_point"], name="bench_read_point"),
            models.Index(fields=["biz_location"], name="bench_biz_location"),
        ]

    def __str__(self) -> str:
        return self.event_id


class PlainEpc(models.Model):
    """That an event names an EPC."""

    event = models.ForeignKey(PlainEvent, on_delete=models.CASCADE, related_name="epcs")
    epc = models.CharField(max_length=500)

    class Meta:
        apps = _apart
        app_label = "bench"
        db_table = "bench_plain_epc"
        indexes = [models.Index(fields=["epc"], name="bench_epc")]

    def __str__(self) -> str:
        return self.epc


@contextmanager
def plain_tables() -> Iterator[None]:
    """The tables of the plain program, made by Django and removed at the end."""
    made = (PlainEvent, PlainEpc)
    left = connection.introspection.table_names()
    with connection.schema_editor() as editor:
        for model in (each for each in reversed(made) if each._meta.db_table in left):
            editor.delete_model(model)
        for model in made:
            editor.create_model(model)
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            for model in reversed(made):
                editor.delete_model(model)


def plain_django(data: bytes) -> None:
    """Keep a document as a plain Django program does."""
    now = timezone.now()
    events: list[PlainEvent] = []
    epcs: list[PlainEpc] = []
    for told in json.loads(data)["epcisBody"]["eventList"]:
        CORE.validator.validate_python(told)
        event = PlainEvent(
            event_id=told.get("eventID") or f"urn:uuid:{uuid.uuid4()}",
            type=told["type"],
            action=told.get("action", ""),
            event_time=datetime.datetime.fromisoformat(told["eventTime"]),
            offset=told["eventTimeZoneOffset"],
            record_time=now,
            biz_step=told.get("bizStep", ""),
            disposition=told.get("disposition", ""),
            read_point=told.get("readPoint", {}).get("id", ""),
            biz_location=told.get("bizLocation", {}).get("id", ""),
            document=told,
        )
        events.append(event)
        epcs += [PlainEpc(event=event, epc=epc) for epc in told.get("epcList", ())]
    PlainEvent._default_manager.bulk_create(events, batch_size=BATCH)
    PlainEpc._default_manager.bulk_create(epcs, batch_size=BATCH)


def bare_copy(data: bytes) -> None:
    """Keep a document in two tables of its own that answer the same questions (by id, by time, by name), past Django:
    COPY, or one prepared statement. For use inside a transaction that is taken back.
    """
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bare_event (number integer PRIMARY KEY, id text UNIQUE, at text, document text)")
        cursor.execute("CREATE INDEX bare_event_at ON bare_event (at, number)")
        cursor.execute("CREATE TABLE bare_name (kind text, name text, number integer)")
        cursor.execute("CREATE UNIQUE INDEX bare_name_key ON bare_name (kind, name, number)")
        events: list[tuple[Any, ...]] = []
        names: list[tuple[Any, ...]] = []
        for number, event in enumerate(json.loads(data)["epcisBody"]["eventList"]):
            CORE.validator.validate_python(event)
            events.append((number, str(uuid.uuid4()), event["eventTime"], json.dumps(event)))
            names += [("epc", epc, number) for epc in event["epcList"]]
            names.append(("bizStep", event["bizStep"], number))
        for table, rows in (("bare_event", events), ("bare_name", names)):
            if connection.vendor == "postgresql":
                with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            else:
                marks = ", ".join(["%s"] * len(rows[0]))
                cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
