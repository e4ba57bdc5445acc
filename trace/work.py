"""What a worker does beside sending messages: jobs that people started and need not wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from django.db import close_old_connections

from trace.actions.imports import run_next_import

JOBS: list[Callable[[], bool]] = [run_next_import]
"""Each does the next piece of its work and says whether there was any. Apps further up add theirs when they start."""


def work_off() -> int:
    """Do all that waits, a piece of each in turn, so that a long import holds up nothing else; how many there were."""
    done = 0
    while found := sum([job() for job in JOBS]):
        done += found
    return done


def keep_working(stop: threading.Event, pause: float = 1.0) -> None:
    """Work until told to stop. A fault ends the whole worker, which is then started again, rather than only this."""
    try:
        while not stop.is_set():
            close_old_connections()
            work_off()
            stop.wait(pause)
    finally:
        close_old_connections()
        stop.set()
