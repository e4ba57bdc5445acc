"""What a row names is there, on both databases: however many rows come at once, whoever takes what away meanwhile."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, models, transaction

from tests.conftest import CommittedDatabase
from tests.goods import make_lot, ship
from tests.labels.goods import bottled
from tests.trace.test_rows import some_value
from tests.world import World, make_world
from trace.identifiers import new_serials
from trace.models import EpcisName, EpcisTerm, Event, LogEntry, Lot, PersonalRecord, Transfer, Unit
from trace.references import MODELS, Naming, check_references, install, namings
from trace.rows import insert, new, numbered

NOBODY = 2_000_000_000
NUMBERS = itertools.count(7_100_001)
ALL = [(model, naming) for model in MODELS for naming in namings(model)]


def taken_away(naming: Naming) -> bool:
    """Whether a row that it names can be taken away at all."""
    return not getattr(naming.parent, "append_only", False)


KEPT = [(model, naming) for model, naming in ALL if taken_away(naming)]


@contextmanager
def whole() -> Iterator[None]:
    """A transaction; what is asked at commit is asked at the end."""
    with transaction.atomic():
        yield
        connection.check_constraints()


@contextmanager
def refused(why: str) -> Iterator[None]:
    """The database does not take this, and says why; SQLite does not always."""
    with pytest.raises(IntegrityError, match=why if connection.vendor == "postgresql" else "(?i)foreign key"), whole():
        yield


@contextmanager
def taken() -> Iterator[None]:
    """The database takes this; it is gone afterwards."""
    with transaction.atomic():
        yield
        connection.check_constraints()
        transaction.set_rollback(True)


# --- Rows -----------------------------------------------------------------------------------------------------------


def another(model: type[models.Model]) -> models.Model:
    """A row that nobody names, like one that is there."""
    number = next(NUMBERS)
    if model is PersonalRecord:
        return PersonalRecord.objects.create(purpose="示例", key=b"k", secret=b"s")
    row = model._default_manager.order_by("pk")[0]
    rules = [each for each in model._meta.constraints if isinstance(each, models.UniqueConstraint)]
    once = {name for rule in rules for name in rule.fields}
    for field in model._meta.concrete_fields:
        named = isinstance(field, models.ForeignKey)
        if (field.unique or field.name in once) and not field.primary_key and not named and row.__dict__[field.attname]:
            setattr(row, field.attname, some_value(field, number))
    if isinstance(row, Transfer):
        row.lot_id = another(Lot).pk
    row.pk = None
    row.save(force_insert=True)
    return row


def row_of(model: type[models.Model], **facts: Any) -> models.Model:
    """A row that names what is there, and nothing where it need not; by an event or of a lot that has none yet."""
    number = next(NUMBERS)
    values: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        if isinstance(field, models.ForeignKey):
            parent = field.target_field.model
            fresh = field.name == "event" or (field.name == "lot" and model is not Unit)
            if field.null or field.attname in facts:
                values[field.attname] = None
            elif fresh:
                values[field.attname] = (an_event() if parent is Event else another(parent)).pk
            else:
                values[field.attname] = parent._default_manager.order_by("pk")[0].pk
        elif field.primary_key:
            values[field.attname] = number
        elif not field.has_default() and not field.null:
            values[field.attname] = some_value(field, number)
    return new(model, **{**values, **facts})


def an_event() -> Event:
    """One that nothing else belongs to."""
    event = Event.objects.order_by("pk")[0]
    event.pk, event.uid = None, some_value(Event._meta.get_field("uid"), next(NUMBERS))
    event.save(force_insert=True)
    return event


def there(naming: Naming) -> models.Model:
    """A row it may name."""
    if naming.parent is Event:
        return an_event()
    return another(naming.parent) if taken_away(naming) else naming.parent._default_manager.order_by("pk")[0]


def prepare(world: World) -> None:
    """A row of everything that others name."""
    lot = bottled(world)
    Unit.objects.bulk_create(units(lot))
    ship(world.walnuts, world.shop.organisation, make_lot(world.walnuts, world.kernels, "10"), "1", insist=True)
    EpcisName.objects.create(owner=world.shop.organisation, kind="epc", value="示例")


def units(lot: Lot, **facts: object) -> list[Unit]:
    """Twelve units, of which the last has other facts."""
    made = [
        Unit(code=code, organisation_id=lot.organisation_id, lot=lot, number=number)
        for number, code in enumerate(new_serials(12), 1)
    ]
    for name, value in facts.items():
        setattr(made[-1], name, value)
    return made


# --- One at a time --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_row_names_what_is_there(world: World) -> None:
    prepare(world)
    for model, naming in ALL:
        why = f"{naming.child}.{naming.column} is no row of {naming.table}"
        good, bad = row_of(model, **{naming.column: there(naming).pk}), row_of(model, **{naming.column: NOBODY})
        with refused(why):
            insert([bad])
        with refused(why):
            insert([good, bad])
        with taken():
            insert([good])
        if getattr(model, "append_only", False):
            continue
        other = there(naming)
        insert([good])
        rows = model._default_manager.filter(pk=good.pk)
        with refused(why):
            rows.update(**{naming.column: NOBODY})
        with taken():
            rows.update(**{naming.column: other.pk})


@pytest.mark.django_db
def test_what_a_row_names_is_not_taken_away(world: World) -> None:
    prepare(world)
    for model, naming in KEPT:
        parent = another(naming.parent)
        rows = naming.parent._default_manager.filter(pk=parent.pk)
        row = row_of(model, **{naming.column: parent.pk})
        why = f"{naming.child}.{naming.column} names this row of {naming.table}"
        with refused(why):
            insert([row])
            rows._raw_delete(rows.db)
        with refused(why):
            insert([row])
            rows.update(**{naming.key: NOBODY})
        with taken():
            rows._raw_delete(rows.db)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "column", ["lot_id", "organisation_id", "holder_id", "parent_id", "replaced_by_id", "transit_id"]
)
def test_of_many_new_units_not_one_may_name_what_is_not_there(world: World, column: str) -> None:
    lot = bottled(world)
    with refused(f"trace_unit.{column} is no row"):
        Unit.objects.bulk_create(units(lot, **{column: NOBODY}))
    with taken():
        Unit.objects.bulk_create(units(lot))


@pytest.mark.django_db
def test_names_of_one_statement_name_one_another_in_any_order(world: World) -> None:
    names = numbered([new(EpcisName, owner=world.shop.organisation, kind="epc", value=str(each)) for each in range(13)])
    for name, pack in itertools.pairwise(names):
        name.parent_id = pack.pk
    with whole():
        insert(names)
    assert EpcisName.objects.filter(parent__isnull=False).count() == 12


# --- Two at a time --------------------------------------------------------------------------------------------------


class Beside:
    """Somebody else's transaction, over a connection of its own."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.error: Exception | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._waits():
            assert self._thread.is_alive(), f"it did not wait: {self.error}"
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _run(self) -> None:
        try:
            with whole():
                self._work()
        except Exception as error:  # noqa: BLE001  (told by ``ended``)
            self.error = error
        finally:
            connections.close_all()

    def _waits(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
                " WHERE NOT granted AND datname = current_database()"
            )
            return bool(cursor.fetchone()[0])

    def ended(self) -> Exception | None:
        """How it ended, when it has: with what error."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.error


@pytest.mark.postgresql
def test_naming_a_row_and_taking_it_away_at_once(committed_db: CommittedDatabase) -> None:
    prepare(make_world())
    kinds = dict(reversed(KEPT))
    assert set(MODELS) - set(kinds) == {LogEntry}
    for model, naming in kinds.items():
        kept, gone, back = (
            (naming.parent._default_manager.filter(pk=parent.pk), row_of(model, **{naming.column: parent.pk}))
            for parent in (another(naming.parent), another(naming.parent), another(naming.parent))
        )
        with transaction.atomic():
            insert([kept[1]])
            late = Beside(lambda: kept[0]._raw_delete("default"))  # noqa: B023  (it ends in here)
        assert "names this row" in str(late.ended()), model
        assert kept[0].exists()
        with transaction.atomic():
            gone[0]._raw_delete("default")
            late = Beside(lambda: insert([gone[1]]))  # noqa: B023
        assert "is no row" in str(late.ended()), model
        assert not model._default_manager.filter(pk=gone[1].pk).exists()
        with transaction.atomic():
            back[0]._raw_delete("default")
            late = Beside(lambda: insert([back[1]]))  # noqa: B023
            transaction.set_rollback(True)
        assert late.ended() is None, model
        assert model._default_manager.filter(pk=back[1].pk).exists()


# --- How they are there ---------------------------------------------------------------------------------------------


@pytest.mark.postgresql
def test_a_table_that_grew_is_looked_up_by_its_index(world: World) -> None:
    def scans() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'trace_epcisname'")
            return int(cursor.fetchone()[0])

    def some(count: int) -> None:
        values = [f"{count}-{each}" for each in range(count)]
        names = numbered([new(EpcisName, owner=world.shop.organisation, kind="epc", value=value) for value in values])
        insert(names)
        insert([new(EpcisTerm, name=name, number=7) for name in names])

    with connection.cursor() as cursor:
        EpcisName.objects.create(owner=world.shop.organisation, kind="epc", value="示例")
        cursor.execute("ANALYZE trace_epcisname")
    before = scans()
    some(3)
    some(300)
    assert EpcisTerm.objects.count() == 303
    assert scans() == before


@pytest.mark.postgresql
def test_what_is_missing_or_made_otherwise_is_reported_and_put_right(db: None) -> None:
    assert check_references(databases=["default"]) == []
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER trace_unit_names_new ON trace_unit")
        cursor.execute("ALTER TABLE trace_lot DISABLE TRIGGER trace_lot_names_changed")
        cursor.execute(
            "CREATE OR REPLACE FUNCTION trace_stock_names_new() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'"
        )
    (told,) = check_references(databases=["default"])
    assert told.msg.endswith(": trace_lot_names_changed, trace_unit_names_new, trace_stock_names_new.")
    install()
    assert check_references(databases=["default"]) == []


@pytest.mark.postgresql
def test_a_database_from_before_loses_its_keys_and_old_triggers(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION trace_eventitem_names_new() CASCADE")
        cursor.execute(
            "ALTER TABLE trace_eventitem ADD CONSTRAINT an_old_key FOREIGN KEY (lot_id) REFERENCES trace_lot"
            " DEFERRABLE INITIALLY DEFERRED"
        )
        cursor.execute(
            "CREATE FUNCTION trace_unit_keeps_trace_lot() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        )
        cursor.execute(
            "CREATE TRIGGER trace_unit_keeps_trace_lot AFTER DELETE ON trace_lot"
            " FOR EACH ROW EXECUTE FUNCTION trace_unit_keeps_trace_lot()"
        )
    (told,) = check_references(databases=["default"])
    for name in ("trace_eventitem_names_new", "an_old_key", "trace_unit_keeps_trace_lot"):
        assert name in told.msg
    install()
    assert check_references(databases=["default"]) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'trace_unit_keeps%'")
        assert cursor.fetchall() == []


@pytest.mark.postgresql
def test_no_written_table_has_keys_of_its_own(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f'")
        keyed = {table for (table,) in cursor.fetchall()}
    assert keyed.isdisjoint(model._meta.db_table for model in MODELS)
    assert "trace_transfer" in keyed
