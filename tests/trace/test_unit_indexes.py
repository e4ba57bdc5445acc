"""Partial indexes of units: small beside a million new codes, and still what the questions are answered from."""

import pytest
from django.db import connection
from django.db.models import QuerySet

from trace.models import Unit

pytestmark = pytest.mark.django_db
ASKED: dict[str, QuerySet[Unit]] = {
    "units_by_parent": Unit.objects.filter(parent__in=[5, 6]),
    "units_by_holder": Unit.objects.filter(holder__in=[5, 6]),
    "units_by_transit": Unit.objects.filter(transit=5),
    "units_by_replaced_by": Unit.objects.filter(replaced_by=5),
    "units_packed": Unit.objects.filter(lot__in=[5, 6], parent__isnull=False),
}
RIVALS = {"units_by_parent": "units_packed", "units_packed": "units_by_parent"}
"""Both hold the packed units alone: of an empty table a planner takes either."""


def plan(rows: QuerySet[Unit]) -> str:
    """How the engine finds the rows, where walking the whole table is out of the question."""
    if connection.vendor == "sqlite":
        return rows.only("code").explain()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    return rows.only("code").explain()


@pytest.mark.parametrize("index", ASKED)
def test_each_question_about_few_units_is_answered_from_its_partial_index(index: str) -> None:
    if index in RIVALS:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX {RIVALS[index]}")
    assert index in plan(ASKED[index].order_by())
