"""Which database `default` means, for a while, and what is done beside it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper


def sql_outside(statement: str) -> None:
    """Run one statement on the maintenance database: no connection may be open to the one it names."""
    with connection._nodb_cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def standing_in(wrapper: BaseDatabaseWrapper) -> Iterator[None]:
    """Let `default` mean this connection, and in threads started meanwhile another one to the same database."""
    old_connection, old_entry = connections["default"], connections.settings["default"]
    connections.settings["default"] = wrapper.settings_dict
    connections["default"] = wrapper
    try:
        yield
    finally:
        connections.settings["default"] = old_entry
        connections["default"] = old_connection


@contextmanager
def default_database(name: str) -> Iterator[None]:
    """Let `default` mean the named database, and close the connection to it afterwards."""
    entry = copy.deepcopy(connections.settings["default"])
    entry["NAME"] = name
    wrapper = type(connections["default"])(entry, "default")
    with standing_in(wrapper):
        try:
            yield
        finally:
            wrapper.close()
