"""Writing scans down in batches: whoever comes while a commit runs is in the next one (group commit).

A scan is acknowledged only after the transaction that holds it has been committed, so none acknowledged is lost; and a
code that goes viral costs one commit and one update of its tally for all who wait, instead of one each. The waiting
threads need no thread beside them: the first writes for all, then hands over to the first of those who came meanwhile.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, connection, transaction

from labels.models import Scan, ScanTally

MOST = 200
"""Scans of one transaction."""


@dataclass(frozen=True)
class View:
    """One view to be counted; ``nonce`` counts it once."""

    lot: int
    unit: int | None
    nonce: str
    means: str
    place: str
    region: str
    who: str
    at: datetime.datetime


@dataclass(eq=False)
class _Waiting:
    """A view and what became of it."""

    view: View
    woken: threading.Event = field(default_factory=threading.Event)
    done: bool = False
    counted: bool = False
    error: BaseException | None = None


class Recorder:
    """The queue of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: list[_Waiting] = []
        self._busy = False

    def record(self, view: View) -> bool:
        """Write one view down, committed when this returns; whether it was new. Errors of the database pass through."""
        if connection.in_atomic_block:
            # Somebody else's transaction: it must be written by this connection, and commits with it.
            return view.nonce in write([view])
        mine = _Waiting(view)
        with self._lock:
            self._queue.append(mine)
            leads = not self._busy
            self._busy = True
        if not leads:
            mine.woken.wait()
        if not mine.done:
            self._lead()
        if mine.error is not None:
            raise mine.error
        return mine.counted

    def _lead(self) -> None:
        """Write the first of the queue, this thread's own among them, and hand over."""
        with self._lock:
            batch = self._queue[:MOST]
            del self._queue[:MOST]
        try:
            _settle(batch)
        finally:
            with self._lock:
                for one in batch:
                    one.done = True
                    one.woken.set()
                if self._queue:
                    self._queue[0].woken.set()
                else:
                    self._busy = False


def _settle(batch: Sequence[_Waiting]) -> None:
    """Write a batch; if the database refuses it, each alone, so that one bad view fails nobody else."""
    try:
        new = write([one.view for one in batch])
    except DatabaseError as error:
        if len(batch) == 1:
            batch[0].error = error
            return
        for one in batch:
            _settle([one])
        return
    except BaseException as error:
        for one in batch:
            one.error = error
        raise
    for one in batch:
        one.counted = one.view.nonce in new
        new.discard(one.view.nonce)


def write(views: Sequence[View]) -> set[str]:
    """Insert what is new and add it to the tallies, in one transaction; the nonces that were new.

    Both databases decide by the unique nonce what is new, whatever other processes do. Rows go in the order of their
    keys, so that two processes never wait for each other in a circle.
    """
    first: dict[str, View] = {}
    for view in views:
        first.setdefault(view.nonce, view)
    rows = [first[nonce] for nonce in sorted(first)]
    with transaction.atomic():
        new = _insert(rows)
        added: dict[tuple[int, int], list[View]] = {}
        for view in rows:
            if view.nonce in new:
                added.setdefault((view.lot, view.unit or 0), []).append(view)
        for key in sorted(added):
            _add(added[key])
    return new


def _insert(rows: Sequence[View]) -> set[str]:
    """The scan rows; the nonces of those that were inserted."""
    params: list[Any] = []
    for view in rows:
        at = connection.ops.adapt_datetimefield_value(view.at)
        params += [view.lot, view.unit, view.nonce, view.means, view.place, view.region, view.who, at]
    values = ", ".join(["(%s, %s, %s, %s, %s, %s, %s, %s)"] * len(rows))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Scan._meta.db_table} (lot_id, unit_id, nonce, means, place, region, who, at)"  # noqa: S608
            f" VALUES {values} ON CONFLICT (nonce) DO NOTHING RETURNING nonce",
            params,
        )
        return {str(nonce) for (nonce,) in cursor.fetchall()}


def _add(views: Sequence[View]) -> None:
    """So many more for one code."""
    table = ScanTally._meta.db_table
    earliest = min(views, key=lambda view: view.at)
    target = "(unit_id)" if earliest.unit is not None else "(lot_id) WHERE unit_id IS NULL"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (lot_id, unit_id, count, first_at, first_place)"  # noqa: S608
            f" VALUES (%s, %s, %s, %s, %s) ON CONFLICT {target} DO UPDATE SET count = {table}.count + excluded.count",
            [
                earliest.lot,
                earliest.unit,
                len(views),
                connection.ops.adapt_datetimefield_value(earliest.at),
                earliest.place,
            ],
        )


RECORDER = Recorder()
