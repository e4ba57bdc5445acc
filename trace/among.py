"""Rows whose key is one of very many numbers, asked with one parameter.

``field__in`` takes a parameter for each number: Django prepares them one by one, engines limit how many there may be,
and so a scope of 100,000 lots took eighty queries and spent a quarter of its time on parameters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigAutoField, CharField, ForeignKey, Lookup, Model, PositiveIntegerField, Q

from trace.prepared import planned_cursor


@dataclass(frozen=True)
class _Numbers:
    """Row numbers as one value; not iterable, so that Django looks at it once."""

    ids: tuple[int, ...]


@BigAutoField.register_lookup
@ForeignKey.register_lookup
@PositiveIntegerField.register_lookup
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
    """The condition that a key (``pk``, a foreign key, a unit's number) is one of these numbers, however many."""
    return Q(**{f"{field}__among": _Numbers(tuple(ids))})


@dataclass(frozen=True)
class _Texts:
    """Texts as one value."""

    texts: tuple[str, ...]


@CharField.register_lookup
class _AmongTexts(Lookup):
    """``field__among`` of texts: the same."""

    lookup_name = "among"

    def get_prep_lookup(self) -> Any:
        """The texts as they are."""
        return self.rhs

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        """The condition with its parameter."""
        left, parameters = self.process_lhs(compiler, connection)
        if connection.vendor == "postgresql":
            return f"{left} = ANY(%s::text[])", (*parameters, text_array(self.rhs.texts))
        given = json.dumps(self.rhs.texts, ensure_ascii=False)
        return f"{left} IN (SELECT value FROM json_each(%s))", (*parameters, given)  # noqa: S608


def text_array(texts: Sequence[str]) -> str:
    """Texts as PostgreSQL writes an array: the driver takes ten times as long to write one from a list."""
    if not texts:
        return "{}"
    joined = "\0".join(texts)
    if "\\" in joined or '"' in joined:
        joined = joined.replace("\\", "\\\\").replace('"', '\\"')
    return '{"' + joined.replace("\0", '","') + '"}'


def among_texts(field: str, texts: Iterable[str]) -> Q:
    """The condition that a column of texts is one of these, however many. They hold no NUL and no half character."""
    return Q(**{f"{field}__among": _Texts(tuple(texts))})


def texts_condition(column: str, texts: Sequence[str]) -> tuple[str, str]:
    """The same for a query written out: the condition on a column (the caller's own word) and its parameter."""
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%s::text[])", text_array(texts)
    return f"{column} IN (SELECT value FROM json_each(%s))", json.dumps(texts, ensure_ascii=False)  # noqa: S608


def there(*asked: tuple[type[Model], str], texts: Sequence[str]) -> tuple[bool, ...]:
    """Of each table and column (the caller's own word) whether a row has one of these texts in it. By its index,
    without the work of building a query: asked for each event that comes in.
    """
    each, given = [], []
    for model, column in asked:
        wanted, value = texts_condition(f'"{column}"', texts)
        each.append(f'EXISTS (SELECT 1 FROM "{model._meta.db_table}" WHERE {wanted})')  # noqa: S608
        given.append(value)
    with planned_cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(each)}", given)
        return tuple(bool(found) for found in cursor.fetchone())


_LONG, _LOOSE, _STRETCHES = 512, 4, 8
"""How many numbers make a stretch worth a part of the query, how far neighbours may lie apart, how many parts."""


def stretches(ids: Sequence[int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Of sorted numbers the longest stretches (first, last) of close neighbours, and all numbers outside them."""
    found: list[tuple[int, int]] = []
    begin = 0
    for place in range(1, len(ids) + 1):
        if place == len(ids) or ids[place] - ids[place - 1] > _LOOSE:
            if place - begin >= _LONG:
                found.append((begin, place))
            begin = place
    longest = sorted(sorted(found, key=lambda each: each[0] - each[1])[:_STRETCHES])
    rest: list[int] = []
    done = 0
    for begin, end in longest:
        rest += ids[done:begin]
        done = end
    return [(ids[begin], ids[end - 1]) for begin, end in longest], [*rest, *ids[done:]]


def rows_among(
    model: type[Model], key: str, columns: Sequence[str], ids: Iterable[int], *, where: str = "", distinct: bool = False
) -> list[tuple[Any, ...]]:
    """Rows of a table whose ``key`` is one of very many numbers, as (number, *columns) in the order of numbers. One
    query.

    Always by the index: for ``= ANY`` of 100,000 numbers PostgreSQL spends longer on planning than on reading, and then
    reads the whole table, so that the cost grows with the world. Given as the answer of a query of its own the array
    stays closed to the planner, which takes it for ten numbers; one scan of the index then costs a fifth less than a
    join with a look-up per number. It still goes down the index for each number, so long stretches of neighbours (lots
    that were registered together) are read from end to end, and numbers that were not asked for thrown away. Only a
    table of some thousand rows is read whole, with half a second for 100,000 numbers at worst. ``key``, ``columns``
    (names of columns) and ``where`` (on these) are the caller's own words, never anybody's input.
    """
    table, wanted = model._meta.db_table, sorted(ids)
    picked = f"SELECT {'DISTINCT ' if distinct else ''}{', '.join(f'{table}.{name}' for name in (key, *columns))}"
    standing = f" AND {where}" if where else ""
    long: list[tuple[int, int]] = []
    given: list[Any] = []
    if connection.vendor == "postgresql":
        long, rest = stretches(wanted)
        parts = [f"{picked} FROM {table} WHERE {key} BETWEEN %s AND %s{standing}"] * len(long)
        if rest or not long:
            parts.append(f"{picked} FROM {table} WHERE {key} = ANY((SELECT %s::bigint[])::bigint[]){standing}")
        sql = " UNION ALL ".join(parts)
        given = [end for stretch in long for end in stretch]
        if rest or not long:
            given.append(f"{{{','.join(map(str, rest))}}}")
    else:
        sql = f"{picked} FROM json_each(%s) AS want CROSS JOIN {table} WHERE {table}.{key} = want.value{standing}"
        given = [json.dumps(wanted)]
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    if long:
        asked = frozenset(wanted)
        rows = [row for row in rows if row[0] in asked]
    rows.sort(key=itemgetter(0))
    return rows
