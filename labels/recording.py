"""Writing scans down in batches (``trace.together``): a code that goes viral costs one commit and one update of its
tally for all who wait, instead of one each.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from labels.models import Scan, ScanTally
from trace.together import Together
from trace.turns import turn

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


class Recorder:
    """The queue of one process."""

    def __init__(self) -> None:
        self._together: Together[View, bool] = Together(_counted, MOST, turn=turn)

    def record(self, view: View) -> bool:
        """Write one view down, committed when this returns; whether it was new. Errors of the database pass through."""
        if connection.in_atomic_block:
            # Somebody else's transaction: it must be written by this connection, and commits with it.
            return view.nonce in write([view])
        return self._together.do(view)


def _counted(views: Sequence[View]) -> list[bool]:
    """Write views; of each whether it was new. One that is there twice was new once."""
    new = write(views)
    found = []
    for view in views:
        found.append(view.nonce in new)
        new.discard(view.nonce)
    return found


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
