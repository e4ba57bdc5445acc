"""Rows written set-wise are what the ORM would have written."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, models, transaction

from tests.world import World
from trace.batch import ORDER
from trace.models import EpcisEvent, EpcisName, EpcisSeen, EpcisTerm, Event, PersonalRecord, Stock
from trace.rows import BLOCKS, FEW, insert, insert_values, new, numbered, update

WRITTEN: tuple[type[models.Model], ...] = (*ORDER, EpcisEvent, EpcisName, EpcisSeen, EpcisTerm, Stock)
AT = datetime.datetime(2026, 10, 1, 23, 30, 0, 120_000, datetime.timezone(datetime.timedelta(hours=8)))
NUMBER = 7_000_001


def _table(model: type[models.Model]) -> list[tuple[Any, ...]]:
    """The rows as the table has them, whatever Django makes of them."""
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT * FROM "{model._meta.db_table}" ORDER BY 1')
        return [tuple(bytes(x) if isinstance(x, memoryview) else x for x in row) for row in cursor.fetchall()]


def some_value(field: models.Field[Any, Any], number: int) -> Any:
    """A value of a field that is like none of its defaults."""
    if field.choices:
        return type(field.choices[0][0])(field.choices[0][0])
    if isinstance(field, models.UUIDField):
        return uuid.UUID(int=number)
    if isinstance(field, models.DateTimeField):
        return AT
    if isinstance(field, models.DateField):
        return AT.date()
    if isinstance(field, models.JSONField):
        return {"名": ["a\n\t\\", 1.5, None, {"n": number}]}
    if isinstance(field, models.BooleanField):
        return True
    if isinstance(field, models.BinaryField):
        return b"\x00\xff\\x"
    if isinstance(field, (models.IntegerField, models.ForeignKey)):
        return number % 10_000
    return f'\\N\t汾{number}"{{,NULL}}'[: field.max_length]


def _rows(model: type[models.Model], make: Any, count: int) -> list[models.Model]:
    """Rows with everything said, and rows with only what must be said."""
    found = []
    for number in range(NUMBER, NUMBER + count):
        full = number % 2
        values: dict[str, Any] = {}
        for field in model._meta.concrete_fields:
            if field.primary_key:
                values[field.attname] = number
            elif full or not (field.null or field.has_default() or field.blank):
                values[field.attname] = some_value(field, number)
            elif isinstance(field, models.UUIDField):
                values[field.attname] = uuid.UUID(int=number)
        found.append(make(**values))
    return found


@contextmanager
def _taken_back(*tables: type[models.Model]) -> Iterator[None]:
    """Rows written inside may name what is not there, and are gone afterwards."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            # Foreign keys wait for a commit that never comes; the triggers in their place do not.
            with connection.cursor() as cursor:
                for model in tables:
                    cursor.execute(f'ALTER TABLE "{model._meta.db_table}" DISABLE TRIGGER USER')
        yield
        transaction.set_rollback(True)


def test_rows_are_the_same_whoever_writes_them(db: None) -> None:
    fixed: dict[str, Any] = {"recorded_at": AT, "at": AT, "created_at": AT, "destroyed_at": None}
    for model in WRITTEN:
        names = {field.name for field in model._meta.concrete_fields}
        told = {name: value for name, value in fixed.items() if name in names}
        if model is PersonalRecord:
            told["key"] = b"\x00'"
        tables = []
        for count in (2, FEW, BLOCKS[0] + BLOCKS[1] + 2):
            ways: list[tuple[Any, Any]] = [(model, model._default_manager.bulk_create), (partial(new, model), insert)]
            for make, write in ways:
                rows = _rows(model, lambda **values: make(**{**values, **told}), count)  # noqa: B023
                with _taken_back(model):
                    write(rows)
                    tables.append(_table(model))
            assert len(tables[-1]) >= count, model
            assert tables[-1] == tables[-2], model


@pytest.mark.parametrize("told", [{}, {"名": [1]}, None])
def test_columns_that_say_the_same_in_all_rows_are_written_as_others(world: World, told: Any) -> None:
    """Beside them one that differs in one row only, and JSON that is equal to Python and not as text."""
    by = world.distillery.organisation

    def made(make: Any) -> list[Any]:
        return [
            make(
                Event,
                id=NUMBER + number,
                uid=uuid.UUID(int=number + 1),
                organisation=by,
                entered_by_organisation=by,
                template="common.reported",
                event_type="ObjectEvent",
                biz_step="\\N",
                action="\t" if number == 40 else "",
                occurred_at=AT,
                recorded_at=AT,
                data={"a": True if number == 41 else 1} if told is None else told,
            )
            for number in range(BLOCKS[0] + BLOCKS[1] + FEW + 1)
        ]

    tables = []
    for rows, write in (
        (made(lambda model, **values: model(**values)), Event._default_manager.bulk_create),
        (made(new), insert),
    ):
        with transaction.atomic():
            write(rows)
            tables.append(_table(Event))
            transaction.set_rollback(True)
    assert tables[0] == tables[1]
    assert len(tables[0]) == BLOCKS[0] + BLOCKS[1] + FEW + 1


def test_an_hour_that_clocks_show_twice_is_two_instants(db: None) -> None:
    at = datetime.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Paris"))
    instants = [at, at.replace(fold=1)]
    with _taken_back(EpcisSeen):
        insert([new(EpcisSeen, owner_id=1, number=number, event_time=each) for number, each in enumerate(instants)])
        kept = list(EpcisSeen.objects.order_by("number").values_list("event_time", flat=True))
    assert [each.hour for each in kept] == [0, 1]


def test_links_are_given_as_rows_or_numbers_and_defaults_are_the_models(db: None) -> None:
    plain, ours = EpcisName(kind="epc", value="a"), new(EpcisName, kind="epc", value="a")
    assert {key: value for key, value in plain.__dict__.items() if key != "_state"} == {
        key: value for key, value in ours.__dict__.items() if key != "_state"
    }
    parent = new(EpcisName, id=5, kind="epc", value="b")
    child = new(EpcisName, parent=parent, kind="epc", value="c")
    assert child.parent_id == 5
    assert child.parent is parent
    assert new(EpcisName, parent=None).parent is None


def test_rows_get_numbers_change_and_keep_the_rules_of_their_table(db: None) -> None:
    with _taken_back(EpcisName, EpcisTerm):
        names = [new(EpcisName, owner_id=1, kind="epc", value=str(number)) for number in range(20)]
        insert(numbered(names))
        assert {row.value: row.pk for row in EpcisName.objects.filter(kind="epc")} == {
            row.value: row.pk for row in names
        }
        names[3].value = "other"
        update([names[3]], "value", "lot_id")
        assert EpcisName.objects.get(pk=names[3].pk).value == "other"
        insert_values(EpcisTerm, ("name_id", "number"), [(names[0].pk, 1), (names[0].pk, 2)])
        assert EpcisTerm.objects.count() == 2
        for again in (names[:1], names):
            with pytest.raises(IntegrityError), transaction.atomic():
                insert(again)
        later = EpcisName.objects.create(owner_id=1, kind="epc", value="later")
        assert later.pk not in {row.pk for row in names}
