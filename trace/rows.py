"""Many rows of one table made and written fast: what ``bulk_create`` does, without its work per row and column.

``new`` makes an unsaved row as the model's constructor would, ``insert`` writes rows set-wise (COPY on PostgreSQL, one
prepared statement on SQLite). Columns, defaults and their forms are read from the model, so they cannot drift from it;
a test compares both ways for every model written here. For rows that this program made itself: nothing is validated.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import Any, Generic, TypeVar, cast

from django.db import connection, models
from django.db.models import Model
from django.db.models.base import ModelState
from django.db.models.fields import NOT_PROVIDED

from trace.behind import copy_text, few, is_behind
from trace.prepared import planned_cursor

Row = TypeVar("Row", bound=Model)
Convert = Callable[[Any], Any]
PART = 500
BLOCKS = (256, 64, 16, 4, 1)
"""How many rows one statement inserts on SQLite: few sizes, so that the driver finds the statement prepared."""
FEW = 100
"""Rows up to which PostgreSQL is given an array for each column instead of a COPY."""
_DUMP = json.JSONEncoder().encode


@dataclass(frozen=True)
class _Shape:
    """A model's columns: those with a fixed default, those whose default is made, its links by name."""

    plain: dict[str, Any]
    made: tuple[tuple[str, Callable[[], Any]], ...]
    links: dict[str, tuple[str, str]]


@cache
def _shape(model: type[Model]) -> _Shape:
    plain: dict[str, Any] = {}
    made: list[tuple[str, Callable[[], Any]]] = []
    links: dict[str, tuple[str, str]] = {}
    for field in model._meta.concrete_fields:
        if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
            raise TypeError(f"{model.__name__}.{field.name} is filled in by the ORM's own saving.")
        if isinstance(field, models.ForeignKey):
            links[field.name] = (field.attname, field.target_field.attname)
        if field.default is not NOT_PROVIDED and callable(field.default):
            made.append((field.attname, field.default))
        else:
            plain[field.attname] = field.get_default()
    return _Shape(plain, tuple(made), links)


@dataclass(frozen=True)
class _Plan:
    """How a row is made of certain values: the columns besides, which of the values are rows, what is made."""

    rest: dict[str, Any]
    links: tuple[tuple[str, str, str], ...]
    made: tuple[tuple[str, Callable[[], Any]], ...]


@lru_cache(maxsize=1_024)
def _plan(model: type[Model], names: tuple[str, ...]) -> _Plan:
    shape = _shape(model)
    links = tuple((name, *shape.links[name]) for name in names if name in shape.links)
    given = {*names, *(attribute for _name, attribute, _target in links)}
    return _Plan(
        {name: value for name, value in shape.plain.items() if name not in given},
        links,
        tuple((name, make) for name, make in shape.made if name not in given),
    )


def new(model: type[Row], **values: Any) -> Row:
    """An unsaved row, as ``model(**values)``; links are given as rows or (``lot_id``) as numbers."""
    plan = _plan(model, tuple(values))
    row = model.__new__(model)
    attributes = row.__dict__
    state = attributes["_state"] = ModelState()
    attributes.update(plan.rest)
    attributes.update(values)
    if plan.links:
        known: dict[str, Any] = {}
        # As Django keeps it: made when it is first asked for.
        state.fields_cache = known
        for name, attribute, target in plan.links:
            other = known[name] = attributes.pop(name)
            attributes[attribute] = None if other is None else other.__dict__[target]
    for name, make in plan.made:
        attributes[name] = make()
    return row


class Mould(Generic[Row]):
    """Rows that have most of their columns in common with a first one, poured in a fifth of the time of ``new``."""

    def __init__(self, first: Row) -> None:
        self._model = type(first)
        self._columns = {name: value for name, value in first.__dict__.items() if name != "_state"}
        self._known: dict[str, Any] = dict(first._state.__dict__.get("fields_cache", ()))
        self._places = {name: place for place, name in enumerate(names_of(self._model))}
        self._values = [self._columns[name] for name in self._places]

    def pour(self, links: dict[str, Any], columns: dict[str, Any]) -> Row:
        """An unsaved row: what differs of its columns (``lot_id``), and the rows these name (``lot``)."""
        row = self._model.__new__(self._model)
        row.__dict__ = {**self._columns, **columns, "_state": (state := ModelState())}
        # As Django keeps it: made when it is first asked for.
        state.fields_cache = {**self._known, **links}
        return row

    def values(self, **columns: Any) -> list[Any]:
        """The values of such a row, for ``insert``: those of all columns but its number."""
        found = self._values.copy()
        for name, value in columns.items():
            found[self._places[name]] = value
        return found


@cache
def names_of(model: type[Model]) -> tuple[str, ...]:
    """The columns of a model but its number, by attribute name, in order."""
    key = model._meta.pk
    return tuple(field.attname for field in model._meta.concrete_fields if field is not key)


class Told(dict[str, Any]):
    """A JSON value that knows its text, so that a column and the log need not write it twice. Never changed."""

    __slots__ = ("text",)

    def __init__(self, values: dict[str, Any], text: str) -> None:
        super().__init__(values)
        self.text = text


# --- Writing --------------------------------------------------------------------------------------------------------


def _utc(value: datetime.datetime) -> datetime.datetime:
    return value if value.tzinfo is datetime.UTC else value.astimezone(datetime.UTC)


def _moment(value: Any) -> Any:
    """An instant as SQLite keeps it: naive UTC text."""
    return None if value is None else _utc_text(_utc(value))


@lru_cache(maxsize=4_096)
def _utc_text(value: datetime.datetime) -> str:
    """One event writes its own instants into several rows. In UTC already, since a cache does not look at ``fold``."""
    return str(value.replace(tzinfo=None))


def _day(value: datetime.date | None) -> str | None:
    return None if value is None else value.isoformat()


def _json(value: Any) -> str:
    if type(value) is Told:
        return value.text
    if not value:
        # Most rows have nothing to say here.
        if value == {}:
            return "{}"
        if value == []:
            return "[]"
    return _DUMP(value)


def _hex(value: uuid.UUID | None) -> str | None:
    return None if value is None else value.hex


def _convert(field: models.Field[Any, Any], vendor: str) -> Convert | None:
    """How a value of this field is given to the driver; None where it goes as it is."""
    if isinstance(field, models.ForeignKey):
        return _convert(field.target_field, vendor)
    if isinstance(field, models.JSONField):
        return _json
    if vendor == "postgresql":
        return None
    if isinstance(field, models.DateTimeField):
        return _moment
    if isinstance(field, models.DateField):
        return _day
    if isinstance(field, models.UUIDField):
        return _hex
    if isinstance(
        field, (models.CharField, models.TextField, models.IntegerField, models.BooleanField, models.BinaryField)
    ):
        return None
    raise TypeError(f"{field} is of a kind that is not written here")


# What COPY reads: columns parted by tabs, rows by line ends, \N for nothing, and these signs behind a backslash.
Tell = Callable[[Sequence[Any]], Iterable[str]]
_SIGNS = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NOTHING = "\\N"


def _texts(column: Sequence[Any]) -> Iterable[str]:
    """Texts, looked through together: next to none holds a sign."""
    try:
        whole = "".join(column)
    except TypeError:
        return [_NOTHING if value is None else str(value).translate(_SIGNS) for value in column]
    if "\\" in whole or "\n" in whole or "\t" in whole or "\r" in whole:
        return [value.translate(_SIGNS) for value in column]
    return column


def _numbers_told(column: Sequence[Any]) -> Iterable[str]:
    if None in column:
        return [_NOTHING if value is None else str(value) for value in column]
    return map(str, column)


def _told_by(tell: Callable[[Any], str]) -> Tell:
    """A column whose values are told one by one."""
    return lambda column: [_NOTHING if value is None else tell(value) for value in column]


_TOLD: dict[type[models.Field[Any, Any]], Tell] = {
    models.JSONField: lambda column: _texts([_json(value) for value in column]),
    models.DateTimeField: _told_by(lambda value: _utc_text(_utc(value)) + "+00"),
    models.DateField: _told_by(lambda value: str(value.isoformat())),
    models.UUIDField: _told_by(lambda value: str(value.hex)),
    models.BooleanField: _told_by(lambda value: "t" if value else "f"),
    models.BinaryField: _told_by(lambda value: "\\\\x" + bytes(value).hex()),
    models.IntegerField: _numbers_told,
    models.CharField: _texts,
    models.TextField: _texts,
}


def _tell(field: models.Field[Any, Any]) -> Tell:
    """How a column of this field is told to COPY."""
    if isinstance(field, models.ForeignKey):
        return _tell(field.target_field)
    for kind, tell in _TOLD.items():
        if isinstance(field, kind):
            return tell
    raise TypeError(f"{field} is of a kind that is not written here")


# Or an array for each column, so that one statement that is planned already inserts any number of rows.
def _array(tell: Callable[[Any], str]) -> Callable[[Sequence[Any]], str]:
    """A column whose values need no quotation marks."""
    return lambda column: f"{{{','.join(['NULL' if value is None else tell(value) for value in column])}}}"


def _quoted(value: Any) -> str:
    text = str(value)
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


_ARRAYS: dict[type[models.Field[Any, Any]], tuple[str, Callable[[Sequence[Any]], str]]] = {
    models.JSONField: ("jsonb", _array(lambda value: _quoted(_json(value)))),
    models.DateTimeField: ("timestamptz", _array(lambda value: f'"{_utc_text(value.astimezone(datetime.UTC))}+00"')),
    models.DateField: ("date", _array(str)),
    models.UUIDField: ("uuid", _array(lambda value: str(value.hex))),
    models.BooleanField: ("boolean", _array(lambda value: "t" if value else "f")),
    models.BinaryField: ("bytea", _array(lambda value: f'"\\\\x{bytes(value).hex()}"')),
    models.IntegerField: ("bigint", _array(str)),
    # Not of the column's length, to which a cast would cut without a word.
    models.CharField: ("text", _array(_quoted)),
    models.TextField: ("text", _array(_quoted)),
}


def _array_of(field: models.Field[Any, Any]) -> tuple[str, Callable[[Sequence[Any]], str]]:
    """The type of a column of this field, and how its values are told as an array."""
    if isinstance(field, models.ForeignKey):
        return _array_of(field.target_field)
    for kind, found in _ARRAYS.items():
        if isinstance(field, kind):
            return found
    raise TypeError(f"{field} is of a kind that is not written here")


@dataclass(frozen=True)
class _Writing:
    """How rows of a model become rows of its table."""

    columns: str
    count: int
    values: Callable[[dict[str, Any]], Sequence[Any]]
    convert: tuple[tuple[int, Convert], ...]
    tell: tuple[Tell, ...]
    arrays: tuple[Callable[[Sequence[Any]], str], ...]
    marks: str

    def tuples(self, rows: Iterable[Model]) -> list[Sequence[Any]]:
        """The values of each row in the order of the columns, as they are now."""
        return [self.values(row.__dict__) for row in rows]

    def converted(self, listed: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Values as the driver wants them."""
        if not self.convert:
            yield from listed
            return
        # A few hundred at a time, column by column: a third faster than value by value.
        for columns in _by_columns(listed):
            for place, convert in self.convert:
                columns[place] = map(convert, columns[place])
            yield from zip(*columns, strict=True)

    def told(self, listed: Iterable[Sequence[Any]]) -> Iterator[bytes]:
        """Values as PostgreSQL's COPY reads them, some hundred rows at a time: the driver takes five times as long to
        write them value by value.
        """
        for columns in _by_columns(listed):
            pieces: list[Iterable[str]] = []
            fixed: list[str] = []
            for tell, column in zip(self.tell, columns, strict=True):
                texts = list(tell(column))
                if texts.count(texts[0]) == len(texts):
                    # Most columns say the same in all rows: what stands side by side is told once.
                    fixed.append(texts[0])
                    continue
                if fixed:
                    pieces.append(repeat("\t".join(fixed), len(texts)))
                    fixed = []
                pieces.append(texts)
            if fixed:
                pieces.append(repeat("\t".join(fixed), len(columns[0])))
            yield ("\n".join(map("\t".join, zip(*pieces, strict=True))) + "\n").encode()

    def statement(self, place: str, rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
        """A statement that puts these rows into SQLite, with its values. A column that says the same in all rows is
        given once: half of the work of a row is to hand its values over.
        """
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for number, convert in self.convert:
            columns[number] = [convert(value) for value in columns[number]]
        if len(rows) < FEW:
            marks = _block(self.count, len(rows))
            return f"INSERT INTO {place} VALUES {marks}", list(chain(*zip(*columns, strict=True)))  # noqa: S608
        same = [number for number, column in enumerate(columns) if column.count(column[0]) == len(rows)]
        if len(same) == self.count:
            same.pop()
        given = [columns[number][0] for number in same]
        varying = [column for number, column in enumerate(columns) if number not in same]
        given += chain.from_iterable(zip(*varying, strict=True))
        return _selecting(place, self.count, tuple(same), len(rows)), given


@lru_cache(maxsize=1_024)
def _selecting(place: str, count: int, same: tuple[int, ...], size: int) -> str:
    """A statement that inserts so many rows of which these columns are given once."""
    varying = iter(range(1, count + 1))
    chosen = ", ".join("?" if number in same else f"column{next(varying)}" for number in range(count))
    return f"INSERT INTO {place} SELECT {chosen} FROM (VALUES {_block(count - len(same), size)})"  # noqa: S608 (our own names)


def _by_columns(listed: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
    rows = iter(listed)
    while part := list(islice(rows, PART)):
        yield list(zip(*part, strict=True))


@cache
def _block(count: int, size: int) -> str:
    return ", ".join([f"({', '.join('?' * count)})"] * size)


@cache
def _writing(model: type[Model], vendor: str, names: tuple[str, ...]) -> _Writing:
    fields = [field for field in model._meta.concrete_fields if field.attname in names]
    fields.sort(key=lambda field: names.index(field.attname))
    arrays = [_array_of(field) for field in fields] if vendor == "postgresql" else []
    return _Writing(
        ", ".join(f'"{field.column}"' for field in fields),
        len(fields),
        cast("Callable[[dict[str, Any]], Sequence[Any]]", itemgetter(*names)),
        tuple((place, found) for place, field in enumerate(fields) if (found := _convert(field, vendor)) is not None),
        tuple(_tell(field) for field in fields) if vendor == "postgresql" else (),
        tuple(tell for _type, tell in arrays),
        ", ".join(f"%s::{kind}[]" for kind, _tell_array in arrays),
    )


def insert(rows: Sequence[Model]) -> None:
    """Insert rows of one model. A row without a number gets one from the database and is not told it."""
    if not rows:
        return
    model = type(rows[0])
    key = model._meta.pk.attname
    names = tuple(field.attname for field in model._meta.concrete_fields)
    rest = tuple(name for name in names if name != key)
    alias = connection.alias
    vendor = connection.vendor
    known = [row for row in rows if row.__dict__[key] is not None]
    if known:
        _insert(model, names, _writing(model, vendor, names).tuples(known))
    if len(known) < len(rows):
        nameless = [row for row in rows if row.__dict__[key] is None]
        _insert(model, rest, _writing(model, vendor, rest).tuples(nameless))
    for row in known:
        row._state.adding = False
        row._state.db = alias


def insert_values(model: type[Model], names: tuple[str, ...], values: Sequence[Sequence[Any]]) -> None:
    """Insert rows that never were objects: the values of these columns (at least two, by attribute name) in order."""
    if values:
        _insert(model, names, values)


def insert_unless_there(rows: Sequence[Model]) -> bool:
    """Insert numbered rows, but none that another transaction wrote meanwhile; whether all were written. It waits for
    that transaction. SQLite has one writer, so there it is ``insert``.
    """
    if not rows or connection.vendor != "postgresql":
        insert(rows)
        return True
    model = type(rows[0])
    names = tuple(field.attname for field in model._meta.concrete_fields)
    writing = _writing(model, "postgresql", names)
    table = model._meta.db_table
    stage = f"stage_{table}"
    with connection.cursor() as cursor:
        cursor.execute(
            f'CREATE TEMP TABLE IF NOT EXISTS "{stage}" ON COMMIT DELETE ROWS '  # noqa: S608
            f'AS SELECT {writing.columns} FROM "{table}" LIMIT 0'
        )
        with connection.wrap_database_errors, cursor.copy(f'COPY "{stage}" FROM STDIN') as copy:
            for told in writing.told(writing.tuples(rows)):
                copy.write(told)
        cursor.execute(
            f'INSERT INTO "{table}" ({writing.columns}) SELECT {writing.columns} FROM "{stage}" '  # noqa: S608
            "ORDER BY 1 ON CONFLICT DO NOTHING"
        )
        written: int = cursor.rowcount
        cursor.execute(f'DELETE FROM "{stage}"')  # noqa: S608
    return written == len(rows)


def _insert(model: type[Model], names: tuple[str, ...], values: Sequence[Sequence[Any]]) -> None:
    """Insert values now, or behind whoever goes on."""
    writing = _writing(model, connection.vendor, names)
    place = f'"{model._meta.db_table}" ({writing.columns})'
    if connection.vendor == "postgresql":
        if len(values) > FEW or is_behind():
            copy_text(f"COPY {place} FROM STDIN", partial(writing.told, values))
        else:
            _insert_few(place, writing, values)
        return
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    # One statement for many rows: what SQLite keeps to take a statement back, and the trigger of an append-only
    # table, cost once for all of them. A statement of one row each takes two to eight times as long.
    at = 0
    # The driver's own cursor: Django's translates thousands of marks of each statement anew.
    with connection.wrap_database_errors, closing(connection.connection.cursor()) as cursor:
        for size in BLOCKS:
            while len(values) - at >= size:
                cursor.execute(*writing.statement(place, values[at : at + size]))
                at += size


def _insert_few(place: str, writing: _Writing, values: Sequence[Sequence[Any]]) -> None:
    """Insert a few rows by a statement that PostgreSQL knows already, in the order of the rows: half the work of a COPY
    and one answer to wait for instead of two, or none.
    """
    columns = zip(*values, strict=True)
    given = [tell(column) for tell, column in zip(writing.arrays, columns, strict=True)]
    few(f"INSERT INTO {place} SELECT * FROM unnest({writing.marks})", given)  # noqa: S608 (our own names)


def update(rows: Sequence[Model], *names: str) -> None:
    """Write these columns (by attribute name, ``lot_id``) of rows that are there. One prepared statement."""
    if not rows:
        return
    model = type(rows[0])
    key = model._meta.pk
    writing = _writing(model, connection.vendor, (*names, key.attname))
    changed: Any = writing.converted(writing.tuples(rows))
    wanted = ", ".join(f'"{model._meta.get_field(name).column}" = %s' for name in names)  # type: ignore[union-attr]
    with connection.cursor() as cursor:
        cursor.executemany(
            f'UPDATE "{model._meta.db_table}" SET {wanted} WHERE "{key.column}" = %s',  # noqa: S608 (as above)
            changed,
        )


_TAKE = (
    "SELECT %s::int AS place, min(n), max(n), "
    "CASE WHEN max(n) - min(n) + 1 = count(n) THEN NULL ELSE array_agg(n ORDER BY n) END "
    "FROM (SELECT nextval(%s::regclass) AS n FROM generate_series(1, %s)) AS taken"
)


@cache
def _sequence(table: str) -> str:
    """What gives a table's row numbers on PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
        found: str = cursor.fetchone()[0]
    return found


def _taken(models: Sequence[type[Model]], part: int) -> list[Sequence[int]]:
    """So many free numbers of each model, taken from PostgreSQL's sequences in one statement."""
    # The sequence is looked up once, and numbers that follow one another need not be sent one by one.
    given = [value for place, model in enumerate(models) for value in (place, _sequence(model._meta.db_table), part)]
    with planned_cursor() as cursor:
        cursor.execute(" UNION ALL ".join([_TAKE] * len(models)) + " ORDER BY place", given)
        rows = cursor.fetchall()
    return [range(first, last + 1) if parted is None else parted for _place, first, last, parted in rows]


def numbers(model: type[Model], *, part: int = PART, leave: int = 0) -> Iterator[int]:
    """Free row numbers in order. On SQLite whoever asks holds the write lock and may ``leave`` some free; PostgreSQL's
    sequence gives each number once.
    """
    if connection.vendor == "postgresql":
        while True:
            yield from _taken([model], part)[0]
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT MAX("{model._meta.pk.column}") FROM "{model._meta.db_table}"')  # noqa: S608
        last = (cursor.fetchone()[0] or 0) + leave
    while True:
        last += 1
        yield last


def numbers_of(models: Sequence[type[Model]], *, part: int = PART, leave: int = 0) -> dict[type[Model], Iterator[int]]:
    """``numbers`` of several models that are used together; on PostgreSQL the first of all are taken at once."""
    later = {model: numbers(model, part=part, leave=leave) for model in models}
    if connection.vendor != "postgresql":
        return later
    return {model: chain(first, later[model]) for model, first in zip(models, _taken(models, part), strict=True)}


def numbered(rows: Sequence[Row]) -> Sequence[Row]:
    """Give rows their numbers before they are written; what ``numbers`` says of locks holds."""
    if rows:
        free = islice(numbers(type(rows[0]), part=len(rows)), len(rows))
        for row, number in zip(rows, free, strict=True):
            row.pk = number
    return rows
