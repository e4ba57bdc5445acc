"""The verdicts of the scanned page as one table: what is true of a code, and what its page says first.

Rules and precedence are the design's: never issued, recalled, void, suspect, held, past its date, nothing known.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from labels.actions.runs import apply_codes, except_units, issue_codes, judge_copy
from labels.kept import SHELF
from labels.models import CodeRun
from tests.labels.goods import bottled, held
from tests.world import GTIN, OTHER_GTIN, World
from trace.models import Lot, Unit

Happens = Callable[[World, Lot], object]
SERIAL = 3
"""The number of the unit that is scanned."""


def unit_of(lot: Lot) -> Unit:
    """The unit that is scanned."""
    return Unit.objects.get(lot=lot, number=SERIAL)


def past_its_date(world: World, lot: Lot) -> None:
    """The shelf life ended yesterday."""
    Lot.objects.filter(pk=lot.pk).update(expires_on=timezone.localdate() - datetime.timedelta(days=1))


HAPPENS: dict[str, Happens] = {
    "recalled": lambda world, lot: held(world, lot, "recall", "黄曲霉毒素超标"),
    "void": lambda world, lot: except_units(by=world.distillery, units=[unit_of(lot)], kind="void", reason="遗失"),
    "suspicious": lambda world, lot: judge_copy(
        by=world.county, lot=lot, unit=unit_of(lot), copied=True, reason="两地同时出现"
    ),
    "held": lambda world, lot: held(world, lot, "stop_sale", "等待复检"),
    "expired": past_its_date,
}
"""By the verdict each gives alone, strongest first."""
ONE: dict[str, tuple[Happens, str]] = {
    "issued and nothing else": (lambda world, lot: None, "ok"),
    "put on the goods": (
        lambda world, lot: apply_codes(
            by=world.distillery, run=CodeRun.objects.get(lot=lot), first=1, last=SERIAL, reason=""
        ),
        "ok",
    ),
    "the label was spoiled": (
        lambda world, lot: except_units(by=world.distillery, units=[unit_of(lot)], kind="spoiled", reason="打坏"),
        "void",
    ),
    "recalled: its serial range": (
        lambda world, lot: held(world, lot, "recall", unit_from=SERIAL, unit_to=SERIAL + 1),
        "recalled",
    ),
    "recalled: only siblings of its lot": (
        lambda world, lot: held(world, lot, "recall", unit_from=SERIAL + 1, unit_to=SERIAL + 2),
        "ok",
    ),
    "recalled: only another lot of the product": (
        lambda world, lot: held(world, bottled(world, code="L2"), "recall"),
        "ok",
    ),
    "held: only siblings of its lot": (
        lambda world, lot: held(world, lot, "hold", unit_from=1, unit_to=SERIAL - 1),
        "ok",
    ),
    "recalled: what one shop has": (
        lambda world, lot: held(world, lot, "recall", holder=world.shop.organisation),
        "recalled",
    ),
    "suspect, then cleared": (
        lambda world, lot: [
            judge_copy(by=world.county, lot=lot, unit=unit_of(lot), copied=copied, reason="核查")
            for copied in (True, False)
        ],
        "ok",
    ),
    "last day of its shelf life": (
        lambda world, lot: Lot.objects.filter(pk=lot.pk).update(expires_on=timezone.localdate()),
        "ok",
    ),
}


@pytest.fixture
def lot(world: World) -> Lot:
    """A lot with five units under codes."""
    found = bottled(world, expires_on=datetime.date(2099, 5, 1))
    issue_codes(by=world.distillery, lot=found, count=5, key="u")
    return found


@contextmanager
def taken_back() -> Iterator[None]:
    """Whatever happens inside did not happen afterwards, in kept pages either."""
    SHELF.clear()
    point = transaction.savepoint()
    yield
    transaction.savepoint_rollback(point)
    SHELF.clear()


def verdict_on(client: Client, path: str) -> str:
    """The verdict a page begins with."""
    answer = client.get(path)
    found = re.search(r'data-verdict="(\w+)"', answer.content.decode())
    assert found is not None, path
    assert (answer.status_code == 404) == (found[1] == "unknown_code")
    return found[1]


def test_of_two_things_that_are_true_at_once_the_stronger_is_said(client: Client, world: World, lot: Lot) -> None:
    """All subsets are the table's of ``test_verdict``; here each pair goes through the database to the page."""
    code = unit_of(lot).code
    for strong, weak in itertools.combinations(HAPPENS, 2):
        with taken_back():
            HAPPENS[weak](world, lot)
            HAPPENS[strong](world, lot)
            assert verdict_on(client, f"/c/{code}") == strong, weak
    # Each on top of the last: a page kept from before would show.
    for name in reversed(HAPPENS):
        HAPPENS[name](world, lot)
        assert verdict_on(client, f"/c/{code}") == name


def test_each_state_alone_gives_its_verdict_by_code_and_by_gtin(client: Client, world: World, lot: Lot) -> None:
    code = unit_of(lot).code
    for name, (happens, expected) in ONE.items():
        with taken_back():
            happens(world, lot)
            for path in (f"/c/{code}", f"/01/{GTIN}/21/{code}"):
                assert verdict_on(client, path) == expected, name


def test_codes_never_issued_are_unknown_whatever_else_is_true(client: Client, world: World, lot: Lot) -> None:
    code = unit_of(lot).code
    held(world, lot, "recall", "黄曲霉毒素超标")
    for path in (
        "/c/ZZZZZZZZZZZZ",
        f"/01/{GTIN}/21/ZZZZZZZZZZZZ",
        f"/01/{GTIN}/10/NEVER",
        f"/01/{GTIN}/10/NEVER/21/{code}",
        f"/01/{OTHER_GTIN}/21/{code}",
    ):
        assert verdict_on(client, path) == "unknown_code", path
    # The lot is ours and the serial is not: the lot's recall is told all the same.
    page = client.get(f"/01/{GTIN}/10/{lot.lot_code}/21/ZZZZZZZZZZZZ").content.decode()
    assert "查无此码" in page
    assert "黄曲霉毒素超标" in page or "已召回" in page
