"""Rows whose key is one of very many numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.labels.goods import made
from tests.world import World
from trace import among
from trace.among import among_texts, rows_among, stretches, there
from trace.models import EpcisName, Lot, Stock

numbers = st.lists(st.tuples(st.integers(1, 5_000), st.integers(1, 1_500), st.integers(1, 6)), max_size=12).map(
    lambda runs: sorted({first + step * place for first, count, step in runs for place in range(count)})
)


@pytest.mark.once
@given(numbers)
def test_each_number_is_in_one_stretch_or_outside_all(ids: list[int]) -> None:
    """No number is lost or read twice, few parts are asked for, and little is read for nothing."""
    long, rest = stretches(ids)
    assert len(long) <= 8
    inside = [each for each in ids if any(first <= each <= last for first, last in long)]
    assert sorted([*inside, *rest]) == ids
    assert long == sorted(long)
    assert sum(last - first + 1 for first, last in long) <= 4 * len(inside)


def test_rows_by_stretches_are_the_rows_by_numbers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours read from end to end bring nobody else's rows, and all of one's own once."""
    monkeypatch.setattr(among, "_LONG", 2)
    lots = sorted(made(world.cooperative, world.fresh_walnuts, code=f"W{number}").pk for number in range(8))
    for wanted in (lots[::2], lots[:3] + lots[-2:], lots, [], [max(lots) + 9]):
        held = Stock.objects.filter(lot__in=wanted).order_by("lot").values_list("lot", "organisation", "micros")
        found = rows_among(Stock, "lot_id", ("organisation_id", "micros"), wanted)
        assert sorted(found) == sorted(held)
        assert [row[0] for row in found] == sorted(row[0] for row in found)
        issuers = rows_among(
            Lot, "id", ("organisation_id",), wanted, where="organisation_id IS NOT NULL", distinct=True
        )
        assert dict(issuers) == dict(Lot.objects.filter(pk__in=wanted).values_list("pk", "organisation"))


def test_texts_are_found_whatever_they_hold(world: World) -> None:
    odd = ['"', "\\", '\\"', "{a,b}", "NULL", "", " ", "a,b", "汾\n\t", "'; --", "%s"]
    owner = world.cooperative.organisation
    for value in odd:
        EpcisName.objects.create(owner=owner, kind="epc", value=value)
    mine = EpcisName.objects.filter(owner=owner)
    assert set(mine.filter(among_texts("value", odd)).values_list("value", flat=True)) == set(odd)
    assert [mine.filter(among_texts("value", [each])).count() for each in odd] == [1] * len(odd)
    assert not mine.filter(among_texts("value", [])).exists()
    assert all(there((EpcisName, "value"), texts=[each]) == (True,) for each in odd)
    assert there((EpcisName, "value"), (EpcisName, "kind"), texts=["{", "}", "a", "epc"]) == (False, True)
