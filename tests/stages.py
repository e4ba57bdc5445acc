"""Stages: what many tests begin from is built once, in a database of its own, and each works there in a transaction.

Building the cast anew takes longer than most tests that want it. A stage is a copy of the empty test database (or of
another stage) in which `build` has run and was committed; `played` lets `default` mean that database, inside a
transaction that is taken back. What `build` answered is handed out as a fresh copy each time, so that no test sees the
objects that another has changed; what it was built from stays the very object it was.

Fixtures of the session or of a module make stages, before anything that a test puts off, replaces or writes.
"""

from __future__ import annotations

import copy
import dataclasses
import io
import pickle
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.utils import translation
from pytest_django import DjangoDbBlocker

from tests.databases import sql_outside, standing_in

T = TypeVar("T")
_changes: dict[str, int] = {}


class Stage(Generic[T]):
    """A database in which `build` has run, and what it answered. `on` is the stage it is built on."""

    def __init__(self, build: Callable[..., T], *, on: Stage[Any] | None = None) -> None:
        assert not connection.in_atomic_block, "a stage is made by a fixture of the session"
        self.name = f"stage_{uuid.uuid4().hex}"
        self.wrapper: BaseDatabaseWrapper = _copied(on.wrapper if on else connections["default"], self.name)
        with standing_in(self.wrapper), translation.override(settings.LANGUAGE_CODE):
            known = [on.thing()] if on else []
            with transaction.atomic():
                made = build(*known)
                connection.run_on_commit.clear()  # as in a test, where nothing is ever committed
        self.pickled = _pickled(made, known)

    @classmethod
    @contextmanager
    def built(
        cls, build: Callable[..., T], blocker: DjangoDbBlocker, *, on: Stage[Any] | None = None
    ) -> Iterator[Stage[T]]:
        """A stage that is there until the end of the block; the block itself may not reach databases."""
        with blocker.unblock():
            stage = cls(build, on=on)
        yield stage
        with blocker.unblock():
            stage.drop()

    def thing(self, *known: Any) -> T:
        """A fresh copy of what was built."""
        thing: T = _unpickled(self.pickled, known)
        return thing

    @contextmanager
    def played(self, *known: Any) -> Iterator[T]:
        """The stage is the default database; what is written on it is taken back. `known` is what it was built from."""
        assert not _written(), "a test's fixtures write only on the last stage it asks for: name that one first"
        with standing_in(self.wrapper):
            atomic = transaction.atomic()
            atomic._from_testcase = True  # type: ignore[attr-defined]
            atomic.__enter__()
            begin()
            try:
                yield self.thing(*known)
                if not connection.needs_rollback and connection.is_usable():
                    connection.check_constraints()
            finally:
                transaction.set_rollback(True)
                atomic.__exit__(None, None, None)

    def drop(self) -> None:
        """Remove the database."""
        with standing_in(self.wrapper):
            _close(self.wrapper)
        if self.wrapper.vendor == "postgresql":
            sql_outside(f'DROP DATABASE "{self.name}" WITH (FORCE)')


def _copied(source: BaseDatabaseWrapper, name: str) -> BaseDatabaseWrapper:
    """A connection to a copy of a database nobody is using."""
    entry = copy.deepcopy(source.settings_dict)
    entry["NAME"] = name if source.vendor == "postgresql" else f"file:{name}?mode=memory&cache=shared"
    wrapper = type(source)(entry, "default")
    if source.vendor == "postgresql":
        _close(source)  # PostgreSQL copies no database that somebody is connected to
        sql_outside(f'CREATE DATABASE "{name}" TEMPLATE "{source.settings_dict["NAME"]}"')
    else:
        source.ensure_connection()
        wrapper.ensure_connection()
        source.connection.backup(wrapper.connection)
    return wrapper


def _close(wrapper: BaseDatabaseWrapper) -> None:
    """Close a connection, that of a database in memory as well, which Django's own `close` keeps."""
    if wrapper.connection is not None:
        wrapper.connection.close()
        wrapper.connection = None


def begin() -> None:
    """A test's transaction begins."""
    if connection.vendor == "sqlite":
        _changes[connection.settings_dict["NAME"]] = connection.connection.total_changes


def _written() -> bool:
    """Whether the transaction that began last has written anything."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
            return bool(cursor.fetchone()[0])
    return bool(_changes[connection.settings_dict["NAME"]] != connection.connection.total_changes)


# --- Copies ---------------------------------------------------------------------------------------------------------


def _parts(things: Any) -> Iterator[Any]:
    """The rows that a thing consists of, and the thing itself, in an order that is always the same."""
    for thing in things:
        if isinstance(thing, Model):
            yield thing
        elif dataclasses.is_dataclass(thing):
            yield thing
            yield from _parts(getattr(thing, field.name) for field in dataclasses.fields(thing))


def _pickled(thing: Any, known: Any) -> bytes:
    """The thing in bytes; parts of what is known stand there by their number."""
    numbers = {id(part): number for number, part in enumerate(_parts(known))}
    out = io.BytesIO()
    pickler = pickle.Pickler(out, pickle.HIGHEST_PROTOCOL)
    pickler.persistent_id = lambda each: numbers.get(id(each))  # type: ignore[method-assign]
    pickler.dump(thing)
    return out.getvalue()


def _unpickled(pickled: bytes, known: Any) -> Any:
    """The thing from its bytes, with the parts of what is known now."""
    unpickler = pickle.Unpickler(io.BytesIO(pickled))  # noqa: S301
    unpickler.persistent_load = list(_parts(known)).__getitem__  # type: ignore[method-assign]
    return unpickler.load()
