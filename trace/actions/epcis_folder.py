"""A folder of EPCIS documents taken in one after the other; begun again it skips what is done."""

from __future__ import annotations

import datetime
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from trace.actions.epcis_jobs import run_at_once, take_document
from trace.actor import Actor
from trace.models import CaptureJob

ENDINGS = {".json": "json", ".jsonld": "json", ".xml": "xml"}
PAUSE = 2.0
"""Seconds between looks at a job that a worker has, or had when it died."""


class FileDone(NamedTuple):
    """One file: which of how many, its job, and whether an earlier run had done it."""

    number: int
    total: int
    path: Path
    job: CaptureJob
    before: bool


def import_folder(
    *,
    by: Actor,
    folder: Path,
    behaviour: str = CaptureJob.Behaviour.ROLLBACK,
    waits: Callable[[Path, datetime.datetime], None] = lambda _path, _until: None,
) -> Iterator[FileDone]:
    """Capture every ``.json``, ``.jsonld`` and ``.xml`` below the folder, in order of their paths.

    A file whose bytes were captured whole before is skipped; one that was interrupted goes on where it stopped. What
    was refused is tried again; ``waits`` is told of one that somebody else has, or had when it died, and until when.
    Refuses what ``take_document`` refuses.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    for number, path in enumerate(files, 1):
        earlier = _earlier(by, path)
        if earlier is not None and not earlier.is_running:
            yield FileDone(number, len(files), path, earlier, True)
            continue
        job = earlier
        if job is None:
            with path.open("rb") as content:
                job = take_document(
                    by=by,
                    content=content,
                    media=ENDINGS[path.suffix.lower()],
                    behaviour=behaviour,
                    name=path.name,
                )
        job = run_at_once(job=job)
        if job.is_running and job.leased_until is not None:
            waits(path, job.leased_until)
        while job.is_running:
            time.sleep(PAUSE)
            job = run_at_once(job=job)
        yield FileDone(number, len(files), path, job, False)


def _earlier(by: Actor, path: Path) -> CaptureJob | None:
    """The job of an earlier run with the same bytes: done with nothing refused, or still to be finished."""
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    rows = CaptureJob.objects.filter(owner=by.owner, sha256=digest.hexdigest()).exclude(status=CaptureJob.Status.FAILED)
    return rows.filter(faulty=0).order_by("-id").first() or rows.filter(finished_at=None).order_by("-id").first()
