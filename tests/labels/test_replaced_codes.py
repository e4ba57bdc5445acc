"""A damaged label replaced: the goods stay in every scope, the old label leads nobody astray."""

from __future__ import annotations

from django.test import Client

from labels.actions.runs import issue_codes
from labels.queries import printable_units
from labels.recall_state import standing_of
from tests.goods import day, make_lot, released
from tests.world import World
from trace.actions.packs import pack_units, replace_code
from trace.actions.rebuild import rebuild
from trace.models import HoldMember, HoldSet, Unit


def test_a_hold_on_numbers_covers_the_goods_under_a_spare_label(world: World) -> None:
    lot = make_lot(world.distillery, world.baijiu, "5", place=world.cellar)
    released(world.distillery, world.distillery_quality, lot)
    issue_codes(by=world.distillery, lot=lot, count=10, key="a")
    damaged = Unit.objects.get(lot=lot, number=3)
    spare, other = Unit.objects.get(lot=lot, number=9), Unit.objects.get(lot=lot, number=10)
    replace_code(by=world.distillery, old=damaged.code, new=spare.code, reason="标签刮破", when=day(5))
    hold = HoldSet.objects.create(
        organisation=world.distillery.organisation, kind="recall", reason="示例", active_from=day(6).at
    )
    HoldMember.objects.create(hold=hold, lot=lot, unit_from=1, unit_to=5)
    assert standing_of(lot, Unit.objects.get(pk=spare.pk)).recalled
    assert standing_of(lot, Unit.objects.get(pk=damaged.pk)).recalled
    assert not standing_of(lot, other).recalled


def test_a_run_prints_no_replaced_code_and_a_rebuild_knows_its_codes(world: World) -> None:
    lot = make_lot(world.distillery, world.baijiu, "5", place=world.cellar)
    released(world.distillery, world.distillery_quality, lot)
    run = issue_codes(by=world.distillery, lot=lot, count=4, key="a")
    damaged = Unit.objects.get(lot=lot, number=2)
    replace_code(by=world.distillery, old=damaged.code, reason="标签刮破", when=day(5))
    assert [unit.number for unit in printable_units(run, 1, 4)] == [1, 3, 4]
    Unit.objects.get(lot=lot, number=4).delete()
    assert len(rebuild(write=True).differences) == 1
    assert Unit.objects.get(lot=lot, number=4).run == run.uid
    assert rebuild(write=False).differences == []


def test_a_packs_own_code_names_no_product_to_the_public(world: World) -> None:
    lot = make_lot(world.distillery, world.baijiu, "5", place=world.cellar)
    released(world.distillery, world.distillery_quality, lot)
    issue_codes(by=world.distillery, lot=lot, count=2, key="a")
    codes = list(Unit.objects.filter(lot=lot).values_list("code", flat=True))
    carton = pack_units(by=world.distillery, parent="", children=codes, when=day(5)).event.data["parent"]
    assert Client().get(f"/c/{carton}").status_code == 404
    assert Client().get(f"/c/{codes[0]}").status_code == 200
