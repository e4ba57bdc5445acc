"""The list of conflicts for producer and regulator: complete, filtered, exported, each with both records."""

from __future__ import annotations

import ast
import csv
import html
import io
from pathlib import Path

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from tests.goods import day, make_lot, receive, released, ship, turn_into
from tests.world import World, make_product, sign_in
from trace.actions.evidence import release_lot
from trace.conflict_kinds import grouped_codes
from trace.models import Conflict

ROOT = Path(__file__).parents[2]


def _overridden(world: World) -> Conflict:
    """A lot released without a report, with a reason."""
    lot = make_lot(world.walnuts, world.kernels, "10")
    captured = release_lot(by=world.walnuts_quality, lot=lot, when=day(2), reason="报告在途，先行放行（示例）")
    return captured.event.conflicts.get()


def _early(world: World) -> Conflict:
    """A lot made before its input."""
    parent = make_lot(world.walnuts, world.kernels, "10", when=day(5))
    (child,) = turn_into(world.walnuts, [(parent, "1")], [(world.kernels, "1")], when=day(4), insist=True)
    return child.origin_event.conflicts.get()


def _rows(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))


def test_every_guard_of_the_source_is_in_a_group() -> None:
    found: set[str] = set()
    for path in [*ROOT.glob("trace/**/*.py"), *ROOT.glob("recalls/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id == "BrokenGuard" and node.args and isinstance(node.args[0], ast.Constant):
                found.add(str(node.args[0].value))
            if node.func.id == "Conflict":
                found |= {
                    str(each.value.value)
                    for each in node.keywords
                    if each.arg == "code" and isinstance(each.value, ast.Constant)
                }
    assert len(found) > 30
    assert found <= grouped_codes(), f"in no group: {sorted(found - grouped_codes())}"


def test_override_is_in_the_list_of_the_regulator_of_the_territory_and_of_no_other(
    world: World, client: Client
) -> None:
    conflict = _overridden(world)
    sign_in(client, world.county)
    page = client.get("/conflicts/", {"kind": "release"}).content.decode()
    assert str(conflict.uid) in page
    assert "报告在途，先行放行（示例）" in page
    sign_in(client, world.other_county)
    assert str(conflict.uid) not in client.get("/conflicts/").content.decode()
    assert client.get(f"/conflicts/{conflict.uid}/").status_code == 404


def test_list_is_filtered_by_kind_and_by_organisation(world: World, client: Client) -> None:
    release, early = _overridden(world), _early(world)
    jar = make_product(world.distillery.organisation, base_unit="LTR", kind="intermediate")
    lot = make_lot(world.distillery, jar, "5")
    (made,) = turn_into(world.distillery, [(lot, "5")], [(jar, "6")], insist=True)
    third = made.origin_event.conflicts.get()
    sign_in(client, world.county)

    def shown(**asked: str) -> set[Conflict]:
        page = client.get("/conflicts/", asked).content.decode()
        return {each for each in (release, early, third) if str(each.uid) in page}

    assert shown() == {release, early, third}
    assert shown(kind="time") == {early}
    assert shown(kind="other") == set()
    assert shown(kind="nonsense") == {release, early, third}
    assert shown(organisation=str(world.distillery.organisation.uid)) == {third}
    assert shown(organisation="nonsense") == set()
    assert shown(since="2100-01-01") == set()
    for strange in ("yesterday", "0001-01-01", "9999-12-31"):
        assert shown(since=strange) == {release, early, third}


def test_a_contradiction_is_read_in_the_language_of_its_reader(world: World, client: Client) -> None:
    with translation.override("en"):
        early = _early(world)
    assert "时间不对" not in early.details["detail"]
    sign_in(client, world.walnuts)
    url = f"/conflicts/{early.uid}/"
    assert "时间不对" in client.get(url).content.decode()
    english = client.get(url, {"lang": "en"}).content.decode()
    assert early.details["detail"] in html.unescape(english)
    assert "时间不对" not in english


def test_conflict_links_to_both_records(world: World, client: Client) -> None:
    early = _early(world)
    parent = early.lot
    assert parent is not None
    sign_in(client, world.walnuts)
    for address in ("/conflicts/", f"/conflicts/{early.uid}/"):
        page = client.get(address).content.decode()
        assert f"/lots/{parent.uid}/" in page
        assert f"/events/{early.event.uid}/" in page
        assert f"/events/{parent.origin_event.uid}/" in page


def test_other_record_of_a_stranger_is_not_linked(world: World, client: Client) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10"))
    shipment = ship(world.walnuts, world.shop.organisation, lot, "4")
    conflict = receive(world.shop, shipment, "3").conflicts[0]
    hidden = make_lot(world.distillery, world.baijiu, "1")
    Conflict.objects.filter(pk=conflict.pk).update(details={**conflict.details, "other_lot": str(hidden.uid)})
    sign_in(client, world.shop)
    page = client.get(f"/conflicts/{conflict.uid}/").content.decode()
    assert str(hidden.uid) not in page
    assert shipment.number in page


def test_export_has_every_row_asked_for_and_no_formula(world: World, client: Client) -> None:
    _overridden(world)
    early = _early(world)
    Conflict.objects.filter(pk=early.pk).update(details={**early.details, "detail": "=1+1", "said": "=1+1"})
    sign_in(client, world.walnuts)
    response = client.get("/conflicts/", {"format": "csv"})
    rows = _rows(b"".join(response.streaming_content))  # type: ignore[attr-defined]
    assert {row["代码"] for row in rows} == {"no_passing_report", "before_parent"}
    (formula,) = [row for row in rows if row["代码"] == "before_parent"]
    assert formula["矛盾"] == "'=1+1"
    assert formula["另一记录"]
    only = client.get("/conflicts/", {"format": "csv", "kind": "time"})
    assert len(_rows(b"".join(only.streaming_content))) == 1  # type: ignore[attr-defined]


def test_list_costs_the_same_for_one_and_for_many(world: World, client: Client) -> None:
    sign_in(client, world.county)
    early = _early(world)

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert client.get("/conflicts/").status_code == 200
        return len(seen)

    queries()
    one = queries()
    for _number in range(12):
        early.pk = None
        early.uid = type(early)._meta.get_field("uid").get_default()
        early.save(force_insert=True)
    assert queries() == one
