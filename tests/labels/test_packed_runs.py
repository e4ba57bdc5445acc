"""Cartons and pallets whose codes were issued together with what belongs into them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labels.actions.runs import except_units
from labels.actions.sets import issue_packed
from labels.contents import contents
from labels.layouts import layout
from labels.models import CodeRun
from labels.sheets import render_sheet
from labels.zpl import render_zpl
from recalls.parts import Part, PartKind, resolved
from tests.labels.goods import bottled, held
from tests.world import World, sign_in
from trace.actions.events import When
from trace.actions.packs import pack_units
from trace.errors import DomainError
from trace.models import Event, Lot, PackPlan, Unit

pytestmark = pytest.mark.django_db


def refused(code: str, function: Any, **wish: Any) -> None:
    """The action refuses with this code."""
    with pytest.raises(DomainError) as caught:
        function(**wish)
    assert caught.value.code == code


def issued(world: World, lot: Lot, key: str = "a", count: int = 20, **wish: Any) -> tuple[CodeRun, CodeRun]:
    """Bottles with their cartons of six; both runs."""
    run = issue_packed(by=world.distillery, lot=lot, count=count, key=key, per_carton=6, **wish)
    return run, CodeRun.objects.get(key=f"{key}/carton")


def units(run: CodeRun) -> list[Unit]:
    """The units of a run in order."""
    return list(Unit.objects.filter(run=run.uid).order_by("number"))


def packed(world: World, unit: Unit, **wish: Any) -> Event:
    """A carton packed by its label alone."""
    return pack_units(by=world.distillery, parent=unit.code, children=[], when=When(unit.lot.begun_at), **wish).event


def test_cartons_and_pallets_are_issued_with_the_bottles_once(world: World) -> None:
    lot = bottled(world)
    run, cartons = issued(world, lot, per_pallet=3)
    assert issued(world, lot, per_pallet=3) == (run, cartons)
    pallets = CodeRun.objects.get(key="a/pallet")
    assert [each.count for each in (run, cartons, pallets)] == [20, 4, 2]
    assert [unit.number for unit in units(cartons)] == [21, 22, 23, 24]
    plan = PackPlan.objects.get(run=cartons.uid)
    assert [plan.numbers(unit.number) for unit in units(cartons)] == [(1, 6), (7, 12), (13, 18), (19, 20)]
    assert PackPlan.objects.count() == 2
    above = PackPlan.objects.get(run=pallets.uid)
    assert [above.numbers(unit.number) for unit in units(pallets)] == [(21, 23), (24, 24)]
    wish = {"by": world.distillery, "lot": lot, "count": 20, "key": "b"}
    refused("carton_size_differs", issue_packed, per_carton=12, **wish)
    refused("bad_pack_size", issue_packed, per_carton=1, **wish)
    refused("bad_pack_size", issue_packed, per_carton=6, per_pallet=10**9, **wish)
    refused("not_own", issue_packed, per_carton=6, **{**wish, "by": world.walnuts})
    assert CodeRun.objects.count() == 3


def test_a_carton_label_says_which_numbers_belong_into_it(world: World) -> None:
    _run, cartons = issued(world, bottled(world))
    labels = contents(cartons, units(cartons))
    assert [label.code.partition(" ")[2] for label in labels] == ["#1-6", "#7-12", "#13-18", "#19-20"]
    assert labels[0].lines[0] == ("内装", "最多 6 件，编号在码后")
    assert len({label.lines for label in labels}) == 1
    assert render_sheet(labels, layout(cartons.layout)).startswith(b"%PDF")
    assert "#13-18" in render_zpl(labels, layout(cartons.layout))


def test_a_line_packs_by_the_carton_label_alone(world: World) -> None:
    run, cartons = issued(world, bottled(world), per_pallet=2)
    first, second, *_rest, last = units(cartons)
    bottles = units(run)
    except_units(by=world.distillery, units=[bottles[2]], kind="spoiled", reason="示例：打坏")
    event = packed(world, first, level="pallet", code="common.palletise")
    inside = [unit.code for unit in bottles[:6] if unit != bottles[2]]
    assert (event.template, event.data["children"]) == ("common.pack", inside)
    assert set(Unit.objects.filter(parent=first).values_list("code", "state")) == {(code, "applied") for code in inside}
    refused("pack_packed", packed, world=world, unit=first)
    assert packed(world, last).data["children"] == [unit.code for unit in bottles[18:]]
    pallet = units(CodeRun.objects.get(key="a/pallet"))[0]
    assert packed(world, pallet).data["children"] == [first.code, second.code]
    assert Unit.objects.get(pk=first.pk).parent == pallet
    refused("children_required", pack_units, by=world.distillery, parent="", children=[], when=When(first.lot.begun_at))
    refused(
        "unit_unknown", pack_units, by=world.walnuts, parent=second.code, children=[], when=When(first.lot.begun_at)
    )


def test_a_bottle_that_went_elsewhere_is_not_packed_twice(world: World) -> None:
    run, cartons = issued(world, bottled(world))
    first, second, *_rest = units(cartons)
    stray = units(run)[0]
    pack_units(by=world.distillery, parent=second.code, children=[stray.code], when=When(stray.lot.begun_at))
    refused("already_packed", packed, world=world, unit=first)
    assert not Unit.objects.filter(parent=first).exists()


def test_a_carton_is_held_and_recalled_with_what_belongs_into_it(world: World, client: Client) -> None:
    lot = bottled(world)
    _run, cartons = issued(world, lot, per_pallet=2)
    first, second, third, _last = units(cartons)
    part = resolved(Part(lot.pk, PartKind.PACKS, first.code, "示例"))
    assert part.ranges == ((1, 6), (first.number, first.number))
    pallet = units(CodeRun.objects.get(key="a/pallet"))[0]
    part = resolved(Part(lot.pk, PartKind.PACKS, pallet.code, "示例"))
    assert part.ranges == ((1, 12), (first.number, second.number), (pallet.number, pallet.number))
    packed(world, second)
    held(world, lot, "hold", unit_from=5, unit_to=8)
    pages = [client.get(reverse("labels:code", args=[unit.code])).content.decode() for unit in (first, second, third)]
    verdicts = [re.search(r"data-verdict=.([a-z_]+)", page) for page in pages]
    assert [found and found[1] for found in verdicts] == ["held", "held", "ok"]
    assert "应装 6 件，编号 1–6；还没有装箱登记" in pages[0]
    assert "6 件，按装箱登记" in pages[1]
    for page in pages[:2]:
        top = page.partition('<section class="section" id="product">')[0]
        assert "整箱码" in top
        assert "内装" in top, "what is inside is said before anything else of the product"
        assert "单件码" not in page


def test_the_pages_order_show_and_pack_a_set(world: World, client: Client) -> None:
    lot = bottled(world)
    sign_in(client, world.distillery)
    address = reverse("labels:order", args=[lot.uid])
    wish: dict[str, Any] = {"kind": "unit", "level": "item", "count": 20, "layout": "a4-24", "material": "smooth"}
    page = client.get(address, {**wish, "per_carton": 6, "per_pallet": 2})
    assert "4 枚，每箱 6 件" in page.content.decode()
    assert "产品资料写明一箱 6 件" in page.content.decode()
    wrongs: list[dict[str, Any]] = [{"per_carton": size} for size in (7, 1, "9" * 400, "六", "\x00")]
    wrongs += [{"per_pallet": 2}, {"per_carton": 6, "level": "carton"}, {"per_carton": 6, "kind": "lot"}]
    for wrong in wrongs:
        assert client.post(address, {**wish, "key": "w", **wrong}).status_code == 422
    assert not CodeRun.objects.exists()
    for _twice in range(2):
        client.post(address, {**wish, "key": "k", "per_carton": 6, "per_pallet": 2})
    run, cartons, pallets = CodeRun.objects.order_by("id")
    text = client.get(reverse("labels:run", args=[run.uid])).content.decode()
    assert "4 枚外包装码，每个装 6" in text
    text = client.get(reverse("labels:run", args=[cartons.uid])).content.decode()
    assert "已装 0 / 4" in text
    assert reverse("labels:run", args=[pallets.uid]) in text
    assert "19–20" in client.get(reverse("labels:run_codes", args=[cartons.uid])).content.decode()
    carton = units(cartons)[0]
    assert "应装编号 1–6" in client.get(reverse("trace:pack", args=[carton.code])).content.decode()
    assert "配好 6 件" in client.get(reverse("trace:pack_check"), {"code": carton.code}).json()["words"]
    console = reverse("trace:pack_new")
    form = client.get(console, {"parent": carton.code}).context["form"]
    sent = {"level": "carton", "parent": carton.code, "codes": "", "when": form["when"].value()}
    assert client.post(console, {**sent, "parent": ""}).status_code == 422
    assert client.post(console, sent).status_code == 302
    assert Unit.objects.filter(parent=carton).count() == 6
    assert client.post(console, sent).status_code == 422
    sign_in(client, world.walnuts)
    assert client.get(address).status_code == 404
    assert client.get(reverse("labels:run", args=[cartons.uid])).status_code == 404
