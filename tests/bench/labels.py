"""Labels in bulk: codes issued, QR codes made, a file of 100,000 labels from the order to its release."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

from django.db import connection

from labels import qr, qr_runs
from labels.actions.files import order_file, run_next_file
from labels.actions.runs import issue_codes, run_next_issue
from labels.models import CodeRun
from labels.queries import units_made
from tests.bench.cases import SMALL, Number, _actor, case
from tests.bench.measuring import in_turn
from tests.bench.worlds import Facts, undone
from trace.actor import Actor
from trace.identifiers import new_serials
from trace.models import Lot

HOST = "https://trace.fenyang.example/01/09520000010010/21/"
LABELS = 100_000
CODES = 1_000_000


def _issued(by: Actor, lot: Lot, count: int, key: str) -> tuple[CodeRun, float]:
    """A run with all its codes, and how long that took."""
    begun = time.perf_counter()
    run = issue_codes(by=by, lot=lot, count=count, key=key)
    while run_next_issue():
        pass
    run.refresh_from_db()
    assert run.issued == count
    return run, time.perf_counter() - begun


@case("labels", SMALL)
def labels(facts: Facts) -> Iterator[Number]:
    """Codes, QR codes and a released file."""
    uris = [HOST + serial for serial in new_serials(10_000)]
    fast, plain = in_turn(
        3,
        lambda: qr_runs.matrices(uris),
        lambda: [qr.matrix.__wrapped__(uri) for uri in uris[:60]],
    )
    yield Number("QR codes of a run, each", fast.best / len(uris) * 1e6, "µs")
    yield Number("QR codes of a run / plain qrcode", fast.best / len(uris) / (plain.best / 60), "×", 1 / 50)
    by = _actor(facts.probe_membership)
    lot = Lot.objects.filter(organisation=by.owner, voided_by=None, is_external=False).order_by("id")[0]
    units_made(lot)
    with undone():
        run, took = _issued(by, lot, LABELS, "bench-labels")
        begun = time.perf_counter()
        file = order_file(by=by, run=run, key="bench-file", kind="pdf", first=1, last=LABELS)
        while run_next_file():
            pass
        file.refresh_from_db()
        assert (file.status, file.done) == ("released", LABELS), file.problem
        yield Number("100,000 labels issued, drawn, read back, released", took + time.perf_counter() - begun, "s", 60)
        yield Number("the most memory so far", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB", 300)
    with undone():
        _run, took = _issued(by, lot, CODES // 10, "bench-tenth")
        yield Number("100,000 codes issued", took, "s")
        _run, whole = _issued(by, lot, CODES, "bench-codes")
        yield Number("1,000,000 codes issued", whole, "s", 20)
        if connection.vendor == "postgresql":
            # PostgreSQL puts off what refers to other rows until the commit, which never comes here.
            begun = time.perf_counter()
            connection.check_constraints()
            yield Number("1,100,000 codes: what they refer to, checked at commit", time.perf_counter() - begun, "s")
        yield Number("1,000,000 codes / ten times 100,000", whole / (10 * took), "×", 1.6)
