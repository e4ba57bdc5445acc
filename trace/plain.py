"""Very many plain values made at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_inside = 0
_was_on = False


@contextmanager
def uncollected() -> Iterator[None]:
    """Inside, Python's collector rests: it looks through new tuples for circles, of which rows of numbers have none,
    and took a tenth of the time of an answer of 100,000 lots. For seconds, not for minutes; several threads may be
    inside, the last one out wakes it. Counting of references goes on, so nearly all memory is given back at once.
    """
    global _inside, _was_on
    with _lock:
        if _inside == 0:
            _was_on = gc.isenabled()
            gc.disable()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _was_on:
                gc.enable()
