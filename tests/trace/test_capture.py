"""One event and all that follows from it."""

import datetime
import hashlib
import json
from zoneinfo import ZoneInfo

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.goods import amount, day, make_lot, passed, receive, released, ship, stock_of, turn_into
from tests.world import World, behalf
from trace import ledger
from trace.actions.capture import NewLot
from trace.actions.corrections import declare_error
from trace.actions.events import Portion, When, record_event
from trace.actions.evidence import release_lot
from trace.actions.holds import end_hold, place_hold
from trace.actions.rebuild import rebuild
from trace.actions.transfers import receive_by_slip, slip_token, take_back
from trace.batch import FEW, read_lots
from trace.errors import Clash, DomainError, GuardBroken, Invalid, NotAllowed
from trace.models import (
    Conflict,
    Event,
    EventItem,
    LogEntry,
    LogHead,
    Lot,
    LotLink,
    Organisation,
    Place,
    Stock,
    User,
)
from trace.rows import Told

MILLION = 1_000_000


def test_event_writes_lot_stock_item_and_log_entry_together(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "12.5", place=world.plant)
    assert lot.made_micros == 12_500_000
    stock = Stock.objects.get(lot=lot)
    assert (stock.micros, stock.place, stock.organisation) == (12_500_000, world.plant, world.walnuts.organisation)
    entry = LogEntry.objects.get(event=lot.origin_event)
    assert entry.sha256 == hashlib.sha256(bytes(entry.canonical)).hexdigest()
    assert str(lot.uid).encode() in bytes(entry.canonical)


@pytest.mark.once
def test_the_bytes_that_are_hashed_are_sorted_json_of_all_that_is_said() -> None:
    odd = 'a"\\\n\u2028汾\x7f'
    ours, theirs = Organisation(pk=1), Organisation(pk=2)
    place, lot, person = Place(pk=3), Lot(pk=4), User(pk=5)
    at = datetime.datetime(2026, 10, 1, 8, tzinfo=datetime.timezone(datetime.timedelta(hours=8)))
    event = Event(
        organisation=ours,
        entered_by_organisation=theirs,
        entered_by=person,
        template="common.reported",
        event_type="ObjectEvent",
        action="OBSERVE",
        biz_step=odd,
        mode=Event.Mode.REPORT,
        occurred_at=at,
        recorded_at=at,
        place=place,
        data={"名": [odd, 1.5e300, None, True, {}]},
        flags=[{"code": odd}],
    )
    told: dict[str, object] = {"begins": True}
    items = [
        EventItem(number=0, role="subject", lot=lot, holder=ours, place=place, micros=-5, entered="0.1", ilmd={}),
        EventItem(number=1, role="output", holder=theirs, ilmd=Told(told, ledger.text_of(told))),
    ]
    data = ledger.canonical(event, list(map(ledger.item_text, items)))
    said = json.loads(data)
    twice = datetime.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Paris"))
    for event.occurred_at, hour in ((twice, "00:30"), (twice.replace(fold=1), "01:30")):
        assert json.loads(ledger.canonical(event, []))["eventTime"][11:16] == hour, "a clock shows it twice"
    assert json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() == data
    none = ("corrects", "replaces", "remark", "counterparty")
    assert said == {
        "eventID": f"urn:uuid:{event.uid}",
        "type": "ObjectEvent",
        "template": "common.reported",
        "action": "OBSERVE",
        "bizStep": odd,
        "disposition": "",
        "localStep": "",
        "mode": "report",
        "organisation": str(ours.uid),
        "enteredBy": str(theirs.uid),
        "enteredByPerson": str(person.uid),
        "eventTime": "2026-10-01T00:00:00+00:00",
        "eventTimeZoneOffset": 480,
        "precision": "minute",
        "recordTime": "2026-10-01T00:00:00+00:00",
        "place": str(place.uid),
        "data": event.data,
        "flags": [{"code": odd}],
        "errorReason": "",
        **dict.fromkeys(none),
        "items": [
            {
                "n": number,
                "role": item.role,
                "lot": str(lot.uid) if number == 0 else None,
                "unit": None,
                "holder": str((theirs if number else ours).uid),
                "place": None if number else str(place.uid),
                "micros": item.micros,
                "entered": item.entered,
                "enteredUnit": "",
                "factor": "",
                "transfer": None,
                "ilmd": item.ilmd,
            }
            for number, item in enumerate(items)
        ],
    }


def test_nothing_is_stored_when_one_part_fails(world: World) -> None:
    make_lot(world.walnuts, world.kernels, "1", lot_code="A1")
    before = Event.objects.count()
    with pytest.raises(Clash) as refused:
        make_lot(world.walnuts, world.kernels, "1", lot_code="A1")
    assert refused.value.code == "lot_code_taken"
    assert Event.objects.count() == before
    assert LogHead.objects.get().last == LogEntry.objects.count()


def test_log_numbers_follow_without_gaps(world: World) -> None:
    for number in range(3):
        make_lot(world.walnuts, world.kernels, str(number + 1))
    assert list(LogEntry.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3]
    assert list(ledger.verify()) == []


def test_transformation_links_every_input_with_every_output(world: World) -> None:
    one, two = make_lot(world.walnuts, world.kernels, "10"), make_lot(world.walnuts, world.kernels, "5")
    children = turn_into(world.walnuts, [(one, "10"), (two, "2")], [(world.kernels, "8"), (world.kernels, "4")])
    edges = set(LotLink.objects.values_list("parent", "child", "input_micros"))
    assert edges == {(p.pk, c.pk, m) for p, m in ((one, 10 * MILLION), (two, 2 * MILLION)) for c in children}
    assert stock_of(one, world.walnuts.organisation) == 0
    assert stock_of(two, world.walnuts.organisation) == 3 * MILLION


def test_future_time_is_refused(world: World) -> None:
    with pytest.raises(Invalid) as refused:
        make_lot(world.walnuts, world.kernels, when=When(timezone.now() + datetime.timedelta(days=1)))
    assert refused.value.code == "in_future"


def test_child_before_parent_is_sent_back_and_recorded_as_conflict_when_insisted(world: World) -> None:
    parent = make_lot(world.walnuts, world.kernels, "10", when=day(5))
    with pytest.raises(GuardBroken) as refused:
        turn_into(world.walnuts, [(parent, "1")], [(world.kernels, "1")], when=day(4))
    assert refused.value.code == "before_parent"
    assert parent.code in refused.value.message
    turn_into(world.walnuts, [(parent, "1")], [(world.kernels, "1")], when=day(4), insist=True)
    assert Conflict.objects.get().code == "before_parent"
    assert Event.objects.latest("id").mode == "report"


def test_day_precision_compares_intervals(world: World) -> None:
    parent = make_lot(world.walnuts, world.kernels, "10", when=day(5, hour=15))
    morning = When(day(5, hour=0).at, precision="day")
    assert turn_into(world.walnuts, [(parent, "1")], [(world.kernels, "1")], when=morning)


def test_more_used_than_there_is_refused(world: World) -> None:
    parent = make_lot(world.walnuts, world.kernels, "10")
    with pytest.raises(GuardBroken) as refused:
        turn_into(world.walnuts, [(parent, "10.000001")], [(world.kernels, "1")])
    assert refused.value.code == "not_enough"
    assert stock_of(parent, world.walnuts.organisation) == 10 * MILLION


def test_more_out_than_in_is_refused(world: World) -> None:
    parent = make_lot(world.walnuts, world.kernels, "10")
    with pytest.raises(GuardBroken) as refused:
        turn_into(world.walnuts, [(parent, "10")], [(world.kernels, "10.5")])
    assert refused.value.code == "more_out_than_in"


def test_shipping_before_release_is_refused_then_flagged_when_it_happened(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    with pytest.raises(GuardBroken) as refused:
        ship(world.walnuts, world.shop.organisation, lot, "1")
    assert refused.value.code == "not_released"
    shipment = ship(world.walnuts, world.shop.organisation, lot, "1", insist=True)
    assert shipment.event.conflicts.get().code == "not_released"


def test_release_needs_the_quality_officer_and_a_passing_report(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    with pytest.raises(NotAllowed) as refused:
        release_lot(by=world.walnuts, lot=lot, when=day(2))
    assert refused.value.code == "role_required"
    with pytest.raises(GuardBroken) as missing:
        release_lot(by=world.walnuts_quality, lot=lot, when=day(2))
    assert missing.value.code == "no_passing_report"
    passed(world.walnuts, lot)
    release_lot(by=world.walnuts_quality, lot=lot, when=day(2, hour=9))
    lot.refresh_from_db()
    assert lot.released_by is not None
    with pytest.raises(Clash) as again:
        release_lot(by=world.walnuts_quality, lot=lot, when=day(2, hour=10))
    assert again.value.code == "already_released"


def test_failed_report_blocks_release_and_an_override_is_a_conflict(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    assert passed(world.walnuts, lot, value="7.2").verdict == "fail"
    with pytest.raises(GuardBroken):
        release_lot(by=world.walnuts_quality, lot=lot, when=day(2))
    captured = release_lot(by=world.walnuts_quality, lot=lot, when=day(2), reason="复检合格,示例")
    assert [conflict.code for conflict in captured.conflicts] == ["no_passing_report"]


def test_held_lot_cannot_be_used_or_shipped_and_a_report_of_it_is_a_conflict(world: World) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10"))
    hold = place_hold(by=world.walnuts_quality, lots=[lot], reason="示例:待查", when=day(3))
    for attempt in (
        lambda: turn_into(world.walnuts, [(lot, "1")], [(world.kernels, "1")], when=day(4)),
        lambda: ship(world.walnuts, world.shop.organisation, lot, "1", when=day(4)),
    ):
        with pytest.raises(GuardBroken) as refused:
            attempt()
        assert refused.value.code == "lot_blocked"
        assert "示例:待查" in refused.value.message
    shipment = ship(world.walnuts, world.shop.organisation, lot, "1", when=day(4), insist=True)
    assert "lot_blocked" in [conflict.code for conflict in shipment.event.conflicts.all()]
    end_hold(by=world.walnuts_quality, hold=hold, reason="示例:查清")
    assert ship(world.walnuts, world.shop.organisation, lot, "1", when=day(5))


def test_one_hold_ended_does_not_lift_another(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    first = place_hold(by=world.walnuts_quality, lots=[lot], reason="一", when=day(1))
    place_hold(by=world.county, lots=[lot], reason="二", when=day(1))
    end_hold(by=world.walnuts_quality, hold=first, reason="查清")
    with pytest.raises(GuardBroken):
        turn_into(world.walnuts, [(lot, "1")], [(world.kernels, "1")], when=day(2))


def test_goods_go_from_maker_to_shop_and_both_stocks_say_so(world: World) -> None:
    made = make_lot(world.walnuts, world.kernels, "10", place=world.plant)
    lot = released(world.walnuts, world.walnuts_quality, made)
    shipment = ship(world.walnuts, world.shop.organisation, lot, "4")
    assert stock_of(lot, world.walnuts.organisation) == 6 * MILLION
    assert stock_of(lot, world.shop.organisation) == 0
    captured = receive(world.shop, shipment, place=world.counter)
    assert captured.conflicts == []
    assert stock_of(lot, world.shop.organisation) == 4 * MILLION
    transfer = shipment.transfers.get()
    assert (transfer.received_micros, transfer.received_by) == (4 * MILLION, captured.event)
    with pytest.raises(Clash) as again:
        receive(world.shop, shipment)
    assert again.value.code == "already_received"


def test_difference_at_receipt_is_a_conflict_with_both_numbers(world: World) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10"))
    shipment = ship(world.walnuts, world.shop.organisation, lot, "4")
    captured = receive(world.shop, shipment, "3.5")
    assert [conflict.code for conflict in captured.conflicts] == ["received_differs"]
    assert shipment.transfers.get().difference_micros == -500_000


def test_slip_lets_a_buyer_without_account_answer_once(world: World) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10"))
    shipment = ship(world.walnuts, world.shop.organisation, lot, "4")
    transfer = shipment.transfers.get()
    token = slip_token(shipment)
    with pytest.raises(DomainError) as forged:
        receive_by_slip(token=token[:-1] + ("A" if token[-1] != "A" else "B"), received={}, when=day(4))
    assert forged.value.status == 404
    receive_by_slip(token=token, received={transfer: amount("4", world.kernels)}, when=day(4))
    assert stock_of(lot, world.shop.organisation) == 4 * MILLION
    with pytest.raises(Clash):
        receive_by_slip(token=token, received={transfer: amount("4", world.kernels)}, when=day(4))


def test_returned_goods_leave_the_holder_even_while_recalled(world: World) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10"))
    receive(world.shop, ship(world.walnuts, world.shop.organisation, lot, "4"))
    place_hold(by=world.county, lots=[lot], reason="示例", kind="recall", when=day(5))
    take_back(
        by=world.walnuts,
        source=world.shop.organisation,
        portions=[Portion(lot, amount("3", world.kernels))],
        when=day(6),
        place=world.plant,
    )
    assert stock_of(lot, world.shop.organisation) == 1 * MILLION
    assert stock_of(lot, world.walnuts.organisation) == 9 * MILLION


def test_error_declaration_takes_effects_back_and_both_events_stay(world: World) -> None:
    parent = make_lot(world.walnuts, world.kernels, "10")
    (child,) = turn_into(world.walnuts, [(parent, "6")], [(world.kernels, "5")])
    declare_error(by=world.walnuts, event=child.origin_event, reason="incorrect_data", when=day(2))
    child.refresh_from_db()
    assert child.voided_by is not None
    assert stock_of(parent, world.walnuts.organisation) == 10 * MILLION
    assert stock_of(child, world.walnuts.organisation) == 0
    assert LotLink.objects.get().voided_by is not None
    assert Event.objects.filter(pk=child.origin_event_id).exists()
    with pytest.raises(Clash) as again:
        declare_error(by=world.walnuts, event=child.origin_event, reason="incorrect_data", when=day(2))
    assert again.value.code == "already_declared"


def test_restated_event_gives_the_lot_its_beginning_and_descendants_back(world: World) -> None:
    wrong = make_lot(world.walnuts, world.kernels, "10")
    turn_into(world.walnuts, [(wrong, "6")], [(world.kernels, "5")])
    declared = declare_error(by=world.walnuts, event=wrong.origin_event, reason="incorrect_data", when=day(2))
    assert "descends_from_void" in set(declared.event.conflicts.values_list("code", flat=True))
    captured = record_event(
        by=world.walnuts,
        code="common.opening",
        when=day(0),
        data={"basis": "示例台账"},
        outputs=[NewLot(product=world.kernels, amount=amount("12", world.kernels), restates=wrong)],
        replaces=wrong.origin_event,
    )
    lot = Lot.objects.get(pk=wrong.pk)
    assert (lot.voided_by, lot.origin_event, lot.made_micros) == (None, captured.event, 12 * MILLION)
    assert stock_of(lot, world.walnuts.organisation) == 6 * MILLION
    assert rebuild(write=False).differences == []


def test_confirmed_shipment_cannot_be_declared_wrong_before_its_receipt(world: World) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10"))
    shipment = ship(world.walnuts, world.shop.organisation, lot, "4")
    receipt = receive(world.shop, shipment)
    with pytest.raises(Clash) as refused:
        declare_error(by=world.walnuts, event=shipment.event, reason="did_not_occur", when=day(5))
    assert refused.value.code == "receipt_stands"
    declare_error(by=world.shop, event=receipt.event, reason="did_not_occur", when=day(5))
    declare_error(by=world.walnuts, event=shipment.event, reason="did_not_occur", when=day(5))
    assert stock_of(lot, world.walnuts.organisation) == 10 * MILLION
    assert stock_of(lot, world.shop.organisation) == 0
    assert rebuild(write=False).differences == []


def test_strangers_event_cannot_be_declared_wrong(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    with pytest.raises(NotAllowed):
        declare_error(by=world.distillery, event=lot.origin_event, reason="did_not_occur", when=day(2))


def test_clerk_enters_for_a_grower_and_both_names_are_kept(world: World) -> None:
    lot = make_lot(behalf(world.clerk, world.grower.organisation), world.fresh_walnuts, "50", place=world.plot)
    event = lot.origin_event
    assert event.organisation == world.grower.organisation
    assert event.entered_by_organisation == world.cooperative.organisation
    assert event.entered_by == world.clerk.user


def test_remark_is_sealed_and_not_in_the_log(world: World) -> None:
    captured = record_event(
        by=world.walnuts,
        code="common.opening",
        when=day(0),
        data={"basis": "示例台账"},
        outputs=[NewLot(product=world.kernels, amount=amount("1", world.kernels))],
        remark="王示例 13800000000",
    )
    assert captured.event.remark is not None
    assert "13800000000" not in bytes(captured.event.log.canonical).decode()
    assert b"13800000000" not in bytes(captured.event.remark.secret)


@pytest.mark.parametrize("model", [Event, EventItem, LogEntry])
@pytest.mark.parametrize("statement", ["UPDATE {t} SET {c} = {c}", "DELETE FROM {t}"])
def test_database_refuses_to_change_or_delete(world: World, model: type[Model], statement: str) -> None:
    make_lot(world.walnuts, world.kernels, "1")
    sql = statement.format(t=model._meta.db_table, c=model._meta.pk.column)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def test_database_refuses_to_replace_or_truncate(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "1")
    entry = LogEntry.objects.get(event=lot.origin_event)
    values: list[int | bytes | str] = []
    if connection.vendor == "postgresql":
        sql = "TRUNCATE trace_logentry"
    else:
        sql = "INSERT OR REPLACE INTO trace_logentry (number, event_id, canonical, sha256) VALUES (%s, %s, %s, %s)"
        values = [entry.number, entry.event_id, b"{}", "0"]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # the test's own transaction still has foreign keys to check
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute(sql, values)


def test_rebuild_agrees_and_finds_what_was_touched(world: World) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10"))
    receive(world.shop, ship(world.walnuts, world.shop.organisation, lot, "4"), "3")
    (child,) = turn_into(world.walnuts, [(lot, "2")], [(world.kernels, "2")], when=day(5))
    assert rebuild(write=False).differences == []
    Stock.objects.filter(lot=child).update(micros=99)
    LotLink.objects.all().delete()
    Lot.objects.filter(pk=child.pk).update(made_micros=1)
    assert len(rebuild(write=False).differences) == 3
    rebuild(write=True)
    assert rebuild(write=False).differences == []
    assert stock_of(child, world.walnuts.organisation) == 2 * MILLION


def test_many_lots_are_read_with_what_guards_ask_of_them(world: World) -> None:
    lots = [make_lot(world.walnuts, world.kernels, "1") for _number in range(FEW)]
    lots += [make_lot(world.distillery, world.baijiu, "1")]
    for numbers in ([lot.pk for lot in lots[-2:]], [lot.pk for lot in lots]):
        found = read_lots(numbers)
        assert sorted(found) == sorted(numbers)
        with CaptureQueriesContext(connection) as asked:
            for lot in found.values():
                assert lot.product_version.product_id == lot.product.pk == lot.product_id
                assert lot.product_version.standard is None or lot.product_version.standard.number
                assert lot.origin_event.pk == lot.origin_event_id
                assert lot.released_by is None
        assert not asked.captured_queries
    assert read_lots([]) == {}
