"""Rules of the architecture that are dear to change later: identity, vessels, time, names, triggers."""

import datetime
import re

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import override_settings
from django.urls import URLPattern, URLResolver, get_resolver

from tests.goods import amount, day, make_lot, turn_into
from tests.world import OTHER_GTIN, World, make_product
from trace.actions.capture import Draft, NewLot, Use, capture
from trace.actions.events import When, record_event
from trace.append_only import check_triggers, install_triggers, missing_triggers
from trace.errors import GuardBroken
from trace.event_templates import template
from trace.models import Event, Lot, Product
from trace.personal import reveal, seal

INDIA = datetime.timezone(datetime.timedelta(hours=5, minutes=30))


def test_two_issuers_may_use_one_code_and_one_issuer_may_not(world: World) -> None:
    other = make_product(world.walnuts.organisation, "OTHER")
    mine = make_lot(world.walnuts, world.kernels, "1", lot_code="A1")
    assert make_lot(world.walnuts, other, "1", lot_code="A1").pk != mine.pk
    with pytest.raises(IntegrityError), transaction.atomic():
        Lot.objects.create(
            organisation=mine.organisation,
            product=mine.product,
            product_version=mine.product_version,
            lot_code="A1",
            public_code="X",
            origin_event=mine.origin_event,
            begun_at=mine.begun_at,
        )


def test_one_gtin_is_confirmed_for_one_product_only(world: World) -> None:
    make_product(world.walnuts.organisation, "G1", gtin=OTHER_GTIN)
    claimed = make_product(world.distillery.organisation, "G2", gtin=OTHER_GTIN, claim="claimed")
    with pytest.raises(IntegrityError), transaction.atomic():
        Product.objects.filter(pk=claimed.pk).update(gtin_claim="confirmed")


def _top_up(world: World, lot: Lot, when: When, *, insist: bool = False) -> Event:
    """Add goods to an existing lot, as a captured document may say."""
    use = Use(
        lot=lot,
        role="output",
        holder=world.walnuts.organisation,
        amount=amount("5", world.kernels),
        sign=1,
        place=None,
    )
    draft = Draft(
        template=template("common.opening"),
        organisation=world.walnuts.organisation,
        occurred_at=when.at,
        uses=[use],
        data={"basis": "示例"},
    )
    return capture(draft=draft, by=world.walnuts, insist=insist).event


def test_vessel_takes_more_before_its_first_output_and_not_after(world: World) -> None:
    vat = make_lot(world.walnuts, world.kernels, "10")
    _top_up(world, vat, day(1))
    vat.refresh_from_db()
    assert vat.made_micros == 15_000_000
    turn_into(world.walnuts, [(vat, "3")], [(world.kernels, "3")], when=day(2))
    with pytest.raises(GuardBroken) as refused:
        _top_up(world, vat, day(3))
    assert refused.value.code == "lot_closed"
    event = _top_up(world, vat, day(3), insist=True)
    assert [flag["code"] for flag in event.flags] == ["lot_closed"]


def test_instant_is_kept_in_utc_with_the_entered_offset(world: World) -> None:
    local = datetime.datetime(2026, 9, 21, 23, 45, tzinfo=INDIA)
    event = record_event(
        by=world.walnuts,
        code="common.opening",
        when=When(local, tz_offset=330),
        data={"basis": "示例"},
        outputs=[NewLot(product=world.kernels, amount=amount("1", world.kernels))],
    ).event
    event.refresh_from_db()
    assert event.occurred_at == local
    assert event.tz_offset == 330
    assert b'"eventTime":"2026-09-21T18:15:00+00:00"' in bytes(event.log.canonical)


def test_lot_pins_the_version_it_was_made_under(world: World) -> None:
    from trace.actions.registry import VersionInput, edit_product

    lot = make_lot(world.walnuts, world.kernels, "1")
    pinned = lot.product_version
    edit_product(row=world.kernels, version=VersionInput(name="示例核桃仁(新包装)"), by=world.walnuts)
    lot.refresh_from_db()
    assert lot.product_version == pinned
    assert Product.objects.get(pk=world.kernels.pk).current != pinned


def test_no_address_of_ours_shows_a_row_number() -> None:
    def walk(patterns: list[URLPattern | URLResolver], prefix: str = "") -> list[str]:
        found: list[str] = []
        for entry in patterns:
            route = prefix + str(entry.pattern)
            found += walk(entry.url_patterns, route) if isinstance(entry, URLResolver) else [route]
        return found

    routes = walk(get_resolver().url_patterns)
    assert len(routes) > 50
    allowed = {"number", "version", "year"}
    shown = {name for route in routes for name in re.findall(r"<int:(\w+)>", route)}
    assert shown <= allowed, shown


def test_dropped_trigger_is_noticed_by_the_check_and_comes_back_with_migrate(world: World) -> None:
    assert missing_triggers() == []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP TRIGGER trace_event_no_change ON trace_event")
        else:
            cursor.execute("DROP TRIGGER trace_event_no_update")
    (error,) = check_triggers(databases=["default"])
    assert error.id == "trace.E001"
    assert "trace_event" in error.msg
    install_triggers()
    assert check_triggers(databases=["default"]) == []


def test_a_remark_sealed_with_another_key_is_said_to_be_unreadable(world: World) -> None:
    record = seal("示例备注", organisation=world.walnuts.organisation, purpose="event_remark")
    assert reveal(record) == "示例备注"
    with override_settings(PERSONAL_DATA_KEY="another-key-than-the-one-it-was-sealed-with"):
        assert "密钥已经更换" in reveal(record)
