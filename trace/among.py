"""Rows whose key is one of very many numbers, asked with one parameter.

``field__in`` takes a parameter for each number: Django prepares them one by one, engines limit how many there may be,
and so a scope of 100,000 lots took eighty queries and spent a quarter of its time on parameters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigAutoField, ForeignKey, Lookup, Q


@dataclass(frozen=True)
class _Numbers:
    """Row numbers as one value; not iterable, so that Django looks at it once."""

    ids: tuple[int, ...]


@BigAutoField.register_lookup
@ForeignKey.register_lookup
class _Among(Lookup):
    """``field__among``: an array on PostgreSQL, a JSON array on SQLite; both look each number up in the index."""

    lookup_name = "among"

    def get_prep_lookup(self) -> Any:
        """The numbers as they are."""
        return self.rhs

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        """The condition with its parameter."""
        left, parameters = self.process_lhs(compiler, connection)
        ids = self.rhs.ids
        if connection.vendor == "postgresql":
            # As text: the driver turns each number of a list into text by itself, which takes longer than the query.
            return f"{left} = ANY(%s::bigint[])", (*parameters, f"{{{','.join(map(str, ids))}}}")
        return f"{left} IN (SELECT value FROM json_each(%s))", (*parameters, json.dumps(ids))  # noqa: S608


def among(field: str, ids: Iterable[int]) -> Q:
    """The condition that a key (``pk`` or a foreign key) is one of these row numbers, however many."""
    return Q(**{f"{field}__among": _Numbers(tuple(ids))})
