"""The worker imports, may be killed at any moment, and leaves an import whole or not there."""

from __future__ import annotations

import datetime
import time
from functools import partial

import pytest
from django.db import connection

from tests.conftest import ROOT, CommittedDatabase
from tests.loaded import Loaded
from tests.trace.sheets import steps_file
from tests.world import make_product, make_world
from trace.actions.imports import confirm_import, upload_sheet
from trace.actions.rebuild import rebuild
from trace.ledger import verify
from trace.models import Event, SheetImport
from trace.work import work_off

ROWS = 400


def worker(database: CommittedDatabase, *arguments: str) -> Loaded:
    """A real worker process on this database."""
    return Loaded(str(ROOT / "manage.py"), "worker", *arguments, env=database.env())


def wait_for(row: SheetImport, *states: str) -> None:
    """Until the import is in one of these states, a minute at most."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        row.refresh_from_db()
        if row.status in states:
            return
        time.sleep(0.01)
    raise AssertionError(f"still {row.status}, not {states}: {row.problem} {row.issues[:2]}")


@pytest.mark.slow
def test_a_worker_killed_while_writing_leaves_nothing_half_and_the_next_one_finishes(
    committed_db: CommittedDatabase,
) -> None:
    world = make_world()
    make_product(world.walnuts.organisation, "RAW", "示例原料核桃", kind="raw")
    facts = [
        {
            "when_on": "2026-09-20",
            "place": "加工车间",
            "outputs-*-product": "RAW",
            "outputs-*-amount": "1",
            "outputs-*-lot_code": f"K-{number}",
            "d_basis": "示例",
        }
        for number in range(ROWS)
    ]
    row = upload_sheet(
        by=world.walnuts,
        kind="steps",
        step="common.opening",
        name="示例.xlsx",
        data=steps_file("common.opening", facts),
    )
    first = worker(committed_db)
    try:
        wait_for(row, "ready")
        confirm_import(row=row, by=world.walnuts)
        wait_for(row, "writing", "done")
    finally:
        first.kill()
        first.communicate(timeout=60)
    row.refresh_from_db()
    assert row.status == "writing", "the worker was faster than the kill"
    assert Event.objects.count() == 0
    past = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    SheetImport.objects.filter(pk=row.pk).update(leased_until=past)
    connection.close()
    out, _err = worker(committed_db, "--once").communicate(timeout=120)
    row.refresh_from_db()
    assert (row.status, row.attempts) == ("done", 2), out
    assert Event.objects.count() == len(row.made) == ROWS
    assert rebuild(write=False).differences == []
    assert list(verify()) == []


@pytest.mark.once
def test_a_long_job_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    left, seen = {"long": 3, "short": 1}, []

    def job(name: str) -> bool:
        if not left[name]:
            return False
        left[name] -= 1
        seen.append(name)
        return True

    monkeypatch.setattr("trace.work.JOBS", [partial(job, "long"), partial(job, "short")])
    assert work_off() == 4
    assert seen == ["long", "short", "long", "long"]
