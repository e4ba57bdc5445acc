"""Writes of many requests in one transaction: whoever comes while a commit runs is in the next one (group commit).

A request is answered only after the transaction that holds its write has been committed, so nothing acknowledged is
lost; and what each would ask and wait for by itself is asked and waited for once. The waiting threads need no thread
beside them: the first writes for all, then hands over to the first of those who came meanwhile. It takes along whoever
waits when its turn has come, not when it began to wait for other processes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError

Asked = TypeVar("Asked")
Found = TypeVar("Found")


@dataclass(eq=False)
class _Waiting(Generic[Asked, Found]):
    """What is to be written and what became of it."""

    asked: Asked
    woken: threading.Event = field(default_factory=threading.Event)
    done: bool = False
    found: list[Found] = field(default_factory=list)
    error: BaseException | None = None


class Together(Generic[Asked, Found]):
    """The queue of one process. ``write`` writes some and answers for each, in order; at most ``most`` of them. It
    happens inside of ``turn``, which waits until this process may write; what is written is committed at its end, or
    before. Where several at once fail, each is written alone, so that a bad one fails nobody else; where the database
    fails, all of them are told.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Asked]], Sequence[Found]],
        most: int,
        *,
        turn: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._turn = turn
        self._write = write
        self._most = most
        self._lock = threading.Lock()
        self._queue: list[_Waiting[Asked, Found]] = []
        self._busy = False

    def do(self, asked: Asked) -> Found:
        """Write this, committed when it returns. Errors pass through. Not for use inside a transaction."""
        mine: _Waiting[Asked, Found] = _Waiting(asked)
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
        return mine.found[0]

    def _lead(self) -> None:
        """Write the first of the queue, this thread's own among them, and hand over."""
        batch: list[_Waiting[Asked, Found]] = []
        try:
            self._settle(batch)
        finally:
            with self._lock:
                for one in batch:
                    if not one.found and one.error is None:
                        one.error = RuntimeError("the thread that wrote for this one ended")
                    one.done = True
                    one.woken.set()
                if self._queue:
                    self._queue[0].woken.set()
                else:
                    self._busy = False

    def _take(self, batch: list[_Waiting[Asked, Found]]) -> None:
        """Let the first of the queue into the batch, if they are not yet."""
        if not batch:
            with self._lock:
                batch += self._queue[: self._most]
                del self._queue[: self._most]

    def _settle(self, batch: list[_Waiting[Asked, Found]]) -> None:
        """Write a batch, or (it is empty) the first of the queue as it is when our turn has come."""
        try:
            with self._turn():
                self._take(batch)
                found = self._write([one.asked for one in batch])
        except (OperationalError, InterfaceError) as error:
            # The database is busy or gone, which is nobody's fault: nothing was written, and to ask it again for each
            # would make everybody wait that many times.
            self._take(batch)
            for one in batch:
                one.error = type(error)(*error.args)
            return
        except Exception as error:  # noqa: BLE001  (handed on to whoever waits for it)
            self._take(batch)
            if len(batch) == 1:
                batch[0].error = error
                return
            for one in batch:
                self._settle([one])
            return
        except BaseException as error:
            self._take(batch)
            for one in batch:
                one.error = error
            raise
        for one, each in zip(batch, found, strict=True):
            one.found.append(each)
