"""What a unit names is there, on both databases, however many units are made at once."""

from collections.abc import Callable
from functools import partial

import pytest
from django.db import IntegrityError, connection, transaction

from tests.labels.goods import bottled
from tests.world import World
from trace.identifiers import new_serials
from trace.models import Event, Lot, Organisation, Unit
from trace.unit_references import check_unit_references, install

pytestmark = pytest.mark.django_db
NOBODY = 2_000_000_000


def units(lot: Lot, **facts: object) -> list[Unit]:
    """Twelve units, of which the last has other facts."""
    made = [
        Unit(code=code, organisation_id=lot.organisation_id, lot=lot, number=number)
        for number, code in enumerate(new_serials(12), 1)
    ]
    for name, value in facts.items():
        setattr(made[-1], name, value)
    return made


@transaction.atomic
def whole(write: Callable[[], object]) -> None:
    """Write, and ask what is asked at commit."""
    write()
    connection.check_constraints()


def refused(write: Callable[[], object]) -> None:
    """The database does not take this."""
    with pytest.raises(IntegrityError):
        whole(write)


@pytest.mark.parametrize(
    "column", ["lot_id", "organisation_id", "holder_id", "parent_id", "replaced_by_id", "transit_id"]
)
def test_of_many_new_units_not_one_may_name_what_is_not_there(world: World, column: str) -> None:
    lot = bottled(world)
    refused(lambda: Unit.objects.bulk_create(units(lot, **{column: NOBODY})))
    Unit.objects.bulk_create(units(lot))
    refused(lambda: Unit.objects.filter(lot=lot, number=3).update(**{column: NOBODY}))


def test_what_units_name_is_not_taken_away(world: World) -> None:
    lot = bottled(world)
    Unit.objects.bulk_create(units(lot))
    pack, inside = Unit.objects.filter(lot=lot).order_by("id")[:2]
    Unit.objects.filter(pk=inside.pk).update(parent=pack, holder=world.shop.organisation, transit=Event.objects.first())
    for rows in (
        Lot.objects.filter(pk=lot.pk),
        Organisation.objects.filter(pk=world.shop.organisation.pk),
        Unit.objects.filter(pk=pack.pk),
    ):
        refused(partial(rows._raw_delete, rows.db))
    assert Unit.objects.filter(lot=lot).count() == 12


@pytest.mark.postgresql
def test_a_missing_trigger_is_reported_and_put_back(db: None) -> None:
    assert check_unit_references(databases=["default"]) == []
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER trace_unit_new ON trace_unit")
    assert "trace_unit_new" in check_unit_references(databases=["default"])[0].msg
    install()
    assert check_unit_references(databases=["default"]) == []
