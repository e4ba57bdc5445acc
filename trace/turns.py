"""Whose turn it is to write, among the processes of this machine that share a SQLite file.

SQLite's own wait for the write lock is a sleep of up to a tenth of a second, again and again: of two processes that
write all the time one gets nearly all turns, and the other sleeps while nobody writes. A file beside the database is
locked instead, for which the kernel wakes whoever waits the moment it is free, one after another. It only orders those
who ask for it; what keeps writers apart is SQLite's lock as ever. PostgreSQL's locks are woken in order by themselves.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def turn() -> Iterator[None]:
    """Wait for the turn and keep it until the end: around a transaction that writes at once, never inside one."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or connection.in_atomic_block or not os.path.isfile(name):
        # A database in memory has no file, and one process.
        yield
        return
    handle = os.open(f"{name}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        # Closing lets go of it, and so does the end of a process.
        os.close(handle)
