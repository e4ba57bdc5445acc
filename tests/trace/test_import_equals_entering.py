"""An import writes the very events, lots, stock, links and conflicts that entering row by row writes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from django.db import transaction

from tests.goods import make_lot, ship, stock_of
from tests.trace.sheets import imported, steps_file, upload
from tests.world import World, make_place, make_product
from trace.actions.imports import confirm_import, run_next_import
from trace.actions.rebuild import rebuild
from trace.actor import Actor
from trace.batch import Batch
from trace.errors import GuardBroken
from trace.imports import running
from trace.imports.checking import check_sheet
from trace.imports.columns import sheet_for
from trace.imports.reading import read_sheet
from trace.imports.running import record_facts
from trace.ledger import verify
from trace.models import Conflict, LogEntry, LogHead, Lot, LotLink, Organisation, Shipment, Stock, Transfer

pytestmark = pytest.mark.django_db
OWN_NAMES = re.compile(r'"(eventID|recordTime|publicCode|transfer|remark)":("[^"]*"|null)')
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def state(after: int) -> dict[str, Any]:
    """Everything written after a log number, with chance names (uuids, random codes, row numbers) taken out."""
    lots = {lot.pk: f"{lot.organisation.name}/{lot.product.code}/{lot.lot_code}" for lot in Lot.objects.all()}
    names = {str(lot.uid): lots[lot.pk] for lot in Lot.objects.all()}

    def named(text: str) -> str:
        return UUID.sub(lambda found: names.get(found[0], found[0]), OWN_NAMES.sub("", text))

    return {
        "head": LogHead.objects.get().last,
        "events": [
            (entry.number, named(bytes(entry.canonical).decode()))
            for entry in LogEntry.objects.filter(number__gt=after).order_by("number")
        ],
        "lots": sorted(
            (
                lots[lot.pk],
                lot.made_micros,
                str(lot.produced_on),
                str(lot.expires_on),
                lot.needs_release,
                lot.is_external,
                str(lot.origin_place),
                lot.begun_at.isoformat(),
                lot.origin_event.log.number,
            )
            for lot in Lot.objects.all()
        ),
        "stock": sorted(
            (lots[row.lot_id], row.organisation_id, row.place_id or 0, row.micros) for row in Stock.objects.all()
        ),
        "links": sorted(
            (lots[row.parent_id], lots[row.child_id], row.input_micros, row.event.log.number)
            for row in LotLink.objects.all()
        ),
        "transfers": sorted(
            (lots[row.lot_id], row.sender_id, row.receiver_id, row.sent_micros, row.shipment.event.log.number)
            for row in Transfer.objects.all()
        ),
        "shipments": sorted((row.receiver_id, row.sent_at.isoformat()) for row in Shipment.objects.all()),
        "conflicts": sorted(
            (
                row.code,
                lots.get(row.lot_id or 0, ""),
                named(json.dumps(row.details, sort_keys=True)),
                row.event.log.number,
            )
            for row in Conflict.objects.all()
        ),
    }


class Undo(Exception):
    """Ends a transaction that only looked."""


def both_ways(by: Actor, code: str, facts: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an import writes and what entering one by one writes, from the same state."""
    file = steps_file(code, facts)
    head = LogHead.objects.filter(id=1).values_list("last", flat=True).first() or 0
    found: list[dict[str, Any]] = []
    for way in (one_by_one, at_once):
        try:
            with transaction.atomic():
                way(by, code, file)
                found.append(state(head))
                assert rebuild(write=False).differences == []
                assert list(verify()) == []
                raise Undo
        except Undo:
            pass
    return found[0], found[1]


def one_by_one(by: Actor, code: str, file: bytes) -> None:
    """Each row by the action of its form, in a transaction of its own."""
    for facts, checked in list(check_sheet(sheet_for("steps", code), read_sheet(file), by)):
        assert facts is not None, checked.issues
        record_facts(facts, by, ())


def at_once(by: Actor, code: str, file: bytes) -> None:
    """All by an import."""
    imported(by, "steps", file, step=code)


@pytest.fixture
def goods(world: World) -> list[Lot]:
    """Three lots of raw material at two places."""
    raw = make_product(world.walnuts.organisation, "RAW", "示例原料核桃", kind="raw", packs={"袋": "25"})
    other = make_place(world.walnuts.organisation, "二号库", "store")
    places = [world.plant, world.plant, other]
    return [
        make_lot(world.walnuts, raw, "1000", place=place, lot_code=f"R-{number}") for number, place in enumerate(places)
    ]


def test_opening_stock(world: World, goods: list[Lot]) -> None:
    facts = [
        {
            "when_on": "2026-09-20",
            "when_at": "08:30" if number % 2 else "",
            "place": "加工车间",
            "outputs-*-product": "RAW",
            "outputs-*-amount": str(10 + number),
            "outputs-*-lot_code": f"O-{number}" if number % 3 else "",
            "d_basis": "示例台账",
            "d_production_date": "2026-09-01",
            "remark": "示例备注" if number == 4 else "",
        }
        for number in range(12)
    ]
    single, whole = both_ways(world.walnuts, "common.opening", facts)
    assert len(whole["events"]) == 12
    assert single == whole


def test_processing_with_several_inputs_outputs_and_places(world: World, goods: list[Lot]) -> None:
    facts = []
    for number in range(9):
        facts.append(
            {
                "when_on": "2026-09-25",
                "place": ["加工车间", "二号库"][number % 2],
                "inputs-*-lot": f"R-{number % 3}",
                "inputs-*-amount": ["20", "2袋", "30斤"][number % 3],
                "outputs-*-product": "HTR-200",
                "outputs-*-amount": "10",
                "group": f"{number // 2}" if number < 6 else "",
            }
        )
    facts[1]["when_on"] = ""
    facts[1]["place"] = ""
    facts[3]["place"] = facts[2]["place"]
    facts[5]["place"] = facts[4]["place"]
    single, whole = both_ways(world.walnuts, "common.process", facts)
    assert len(whole["events"]) == 6
    assert whole["links"]
    assert single == whole


def test_shipments_of_several_lines_from_lots_shipped_again_and_again(world: World, goods: list[Lot]) -> None:
    facts = [
        {
            "when_on": "2026-09-26",
            "party": ["示例商贸有限公司", "示例便民商店"][number % 2],
            "subjects-*-lot": f"R-{number % 3}",
            "subjects-*-amount": "7.5",
            "d_waybill": f"示例{number}",
        }
        for number in range(20)
    ]
    single, whole = both_ways(world.walnuts, "common.ship", facts)
    assert len(whole["transfers"]) == 20
    assert single == whole


def test_goods_taken_in_from_suppliers(world: World, goods: list[Lot]) -> None:
    facts = [
        {
            "when_on": "2026-09-21",
            "place": "二号库",
            "party": ["示例坡头核桃专业合作社", "示例商贸有限公司"][number % 2],
            "outputs-*-product": "RAW",
            "outputs-*-amount": "3 袋",
            "outputs-*-lot_code": f"GY-{number}",
            "d_inspection_result": "合格",
        }
        for number in range(8)
    ]
    single, whole = both_ways(world.walnuts, "common.receive", facts)
    assert len(whole["events"]) == 8
    assert single == whole


def test_what_breaks_a_rule_and_is_insisted_on_is_flagged_alike(world: World, goods: list[Lot]) -> None:
    """The lot of 1,000 is overdrawn by the third row; the fourth lies before the lot began."""
    rows = [("2026-09-25", "500"), ("2026-09-25", "499"), ("2026-09-25", "2"), ("2026-09-19", "1")]
    facts = [
        {
            "when_on": day,
            "inputs-*-lot": "R-0",
            "inputs-*-amount": text,
            "outputs-*-product": "RAW",
            "outputs-*-amount": "1",
            "place": "加工车间",
            "insist": "是" if number > 1 else "",
        }
        for number, (day, text) in enumerate(rows)
    ]
    single, whole = both_ways(world.walnuts, "common.process", facts)
    assert [code for code, *_rest in whole["conflicts"]] == ["before_parent", "not_enough", "not_enough"]
    assert single == whole


def test_what_breaks_a_rule_and_is_not_insisted_on_is_refused_alike(world: World, goods: list[Lot]) -> None:
    facts = [
        {
            "when_on": "2026-09-25",
            "inputs-*-lot": "R-0",
            "inputs-*-amount": "600",
            "outputs-*-product": "RAW",
            "outputs-*-amount": "600",
            "place": "加工车间",
        }
        for _number in range(2)
    ]
    file = steps_file("common.process", facts)
    with pytest.raises(GuardBroken) as refused, transaction.atomic():
        one_by_one(world.walnuts, "common.process", file)
    row = upload(world.walnuts, "steps", file, step="common.process")
    assert row.status == "ready"
    assert [(issue["row"], issue["code"]) for issue in row.issues] == [(3, refused.value.code)]
    assert row.issues[0]["message"] == refused.value.message


def test_a_fact_entered_while_an_import_is_judged_is_judged_with(
    world: World, goods: list[Lot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody ships the lot between the judging without the head and the writing with it: the import judges again."""
    line = {"when_on": "2026-09-26", "party": "示例便民商店", "subjects-*-lot": "R-0", "subjects-*-amount": "600"}
    row = upload(world.walnuts, "steps", steps_file("common.ship", [line]), step="common.ship")
    confirm_import(row=row, by=world.walnuts)
    still_holds = Batch.still_holds
    asked: list[bool] = []

    def meanwhile(self: Batch, number: int, owner: Organisation) -> bool:
        asked.append(still_holds(self, number, owner))
        return asked[-1]

    def judged(*args: Any) -> Any:
        outcome = running_judged(*args)
        if not asked:
            ship(world.walnuts, world.shop.organisation, goods[0], "500")
        return outcome

    running_judged = running._judged
    monkeypatch.setattr(Batch, "still_holds", meanwhile)
    monkeypatch.setattr(running, "_judged", judged)
    run_next_import()
    row.refresh_from_db()
    assert asked == [False]
    assert (row.status, [issue["code"] for issue in row.issues]) == ("ready", ["not_enough"])
    assert stock_of(goods[0], world.walnuts.organisation) == 500_000_000


def test_what_others_do_meanwhile_with_their_own_lots_does_not_disturb(
    world: World, goods: list[Lot], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {
        "when_on": "2026-09-26",
        "party": "示例便民商店",
        "subjects-*-lot": "R-0",
        "subjects-*-amount": "600",
        "remark": "示例",
    }
    row = upload(world.walnuts, "steps", steps_file("common.ship", [line] * 1), step="common.ship")
    confirm_import(row=row, by=world.walnuts)
    running_judged = running._judged
    times: list[int] = []

    def judged(*args: Any) -> Any:
        outcome = running_judged(*args)
        make_lot(world.distillery, world.baijiu, "10")
        times.append(1)
        return outcome

    monkeypatch.setattr(running, "_judged", judged)
    run_next_import()
    row.refresh_from_db()
    assert (row.status, len(times)) == ("done", 1)
    assert rebuild(write=False).differences == []
    assert list(verify()) == []
