"""Kept pages: what they say is what the long way says, and nothing that changes is shown a moment longer."""

from __future__ import annotations

import datetime
import gzip
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from labels import freshness, kept
from labels.actions.links import add_link, end_link
from labels.actions.runs import except_units, issue_codes
from labels.actions.scans import count_scan
from labels.kept import CODE, MOST_PAGES, SHELF, TALLY, WORD, Shelf, in_pieces
from labels.models import Freshness, ProductLink
from labels.nonces import sign
from recalls.actions.announcements import draft_notice
from recalls.actions.campaigns import announce, start_campaign
from tests.conftest import CommittedDatabase
from tests.goods import day, passed, ship
from tests.labels.goods import bottled, held
from tests.recalls.story import ANNOUNCEMENT, decided, make_chain, started
from tests.world import GTIN, World, make_world
from trace.actions.corrections import declare_error
from trace.actions.holds import end_hold
from trace.models import Certificate, Conflict, Lot, Organisation, ProductVersion, Unit

PHONE = {"HTTP_ACCEPT": "text/html,*/*;q=0.8"}


@pytest.fixture
def lot(world: World) -> Lot:
    """A lot with unit codes and labels of its own."""
    lot = bottled(world)
    issue_codes(by=world.distillery, lot=lot, count=3, key="u")
    issue_codes(by=world.distillery, lot=lot, count=1, key="l", kind="lot")
    return lot


def unit(lot: Lot, number: int = 1) -> str:
    """The code of one unit."""
    return Unit.objects.get(lot=lot, number=number).code


def same(page: str) -> str:
    """A page without the signed word, which differs each time, and without the parameter that asks for the long way."""
    return re.sub(r'name="word" value="[^"]+"', "", page).replace("?x=1&amp;", "?")


@pytest.mark.parametrize("language", ["zh-CN", pytest.param("en", marks=pytest.mark.once)])
def test_the_quick_way_says_what_the_long_way_says(client: Client, world: World, lot: Lot, language: str) -> None:
    shop = Client()
    count_scan(word=sign(unit(lot)))
    headers: dict[str, Any] = {**PHONE, "HTTP_ACCEPT_LANGUAGE": language}
    addresses = [f"/c/{unit(lot)}", f"/c/{unit(lot, 2).lower()}", f"/c/{lot.public_code}"]
    addresses += [f"/01/{GTIN}/21/{unit(lot)}", f"/01/{GTIN}/10/L1", f"/01/{GTIN}/10/L1/21/{unit(lot, 3)}"]
    for state in ("ordinary", "held", "recalled"):
        if state != "ordinary":
            held(world, lot, "recall" if state == "recalled" else "hold", "示例原因")
        for address in addresses:
            for _ in range(2):
                quick = client.get(address, **headers)
                assert same(quick.content.decode()) == same(shop.get(address + "?x=1", **headers).content.decode())
                slow = shop.get(address + "?x=1", **headers)
                for name in ("Link", "Cache-Control", "Content-Language", "Access-Control-Allow-Origin",
                             "X-Frame-Options", "Content-Type", "Content-Security-Policy", "Referrer-Policy",
                             "X-Content-Type-Options"):  # fmt: skip
                    assert quick.headers[name] == slow.headers[name], name
                zipped = client.get(address, HTTP_ACCEPT_ENCODING="gzip", **headers)
                assert zipped.headers["Content-Length"] == str(len(zipped.content))
                assert same(gzip.decompress(zipped.content).decode()) == same(quick.content.decode())


def test_all_units_of_a_run_share_a_page_and_each_shows_its_own_code(client: Client, lot: Lot) -> None:
    codes = [unit(lot, number) for number in (1, 2, 3)]
    pages = [client.get(f"/c/{code}").content.decode() for code in codes]
    assert len(SHELF.pages) == 1
    for code, page in zip(codes, pages, strict=True):
        assert f"/scan/report/{code}" in page
        assert f"{code[:4]} {code[4:8]} {code[8:]}" in page
        assert not any(other in page for other in codes if other != code)
        assert CODE not in page
        assert WORD not in page


def test_a_kept_page_costs_one_statement_for_a_unit_and_two_for_a_lot(client: Client, lot: Lot) -> None:
    for address, most in ((f"/c/{unit(lot)}", 1), (f"/01/{GTIN}/21/{unit(lot)}", 1), (f"/c/{lot.public_code}", 2)):
        client.get(address)
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        assert len(queries) == most


def test_a_code_that_is_not_ordinary_takes_the_long_way(client: Client, world: World, lot: Lot) -> None:
    for number in (1, 2, 3):
        client.get(f"/c/{unit(lot, number)}")
    except_units(by=world.distillery, units=[Unit.objects.get(lot=lot, number=1)], kind="void", reason="丢失")
    held(world, lot, "recall", "封口不良", unit_from=2, unit_to=2)
    said = [
        re.findall(r'data-verdict="(\w+)"', client.get(f"/c/{unit(lot, n)}").content.decode())[0] for n in (1, 2, 3)
    ]
    assert said == ["void", "recalled", "ok"]


# --- What changes is shown at once ------------------------------------------------------------------------------------


def renamed(world: World, lot: Lot) -> str:
    """The producer is renamed."""
    Organisation.objects.filter(pk=lot.organisation_id).update(name="改名后的示例酒坊")
    return "改名后的示例酒坊"


def certified(world: World, lot: Lot) -> str:
    """A certificate is granted."""
    today = timezone.localdate()
    Certificate.objects.create(
        organisation=lot.organisation, kind="organic", granted_by=world.province.organisation, number="CERT-77",
        valid_from=today, valid_until=today,
    )  # fmt: skip
    return "CERT-77"


def reported(world: World, lot: Lot) -> str:
    """A test is recorded."""
    passed(world.distillery, lot, number="REPORT-77", when=day(1))
    return "REPORT-77"


def linked(world: World, lot: Lot) -> str:
    """A link is set."""
    add_link(by=world.distillery, product=lot.product, link_type="faqs", title="问答七十七", href="https://a.example/")
    return "问答七十七"


def sent(world: World, lot: Lot) -> str:
    """Goods are sent on."""
    ship(world.distillery, world.distributor.organisation, lot, "1", when=day(1), insist=True)
    return "太原市"


def contradicted(world: World, lot: Lot) -> str:
    """Facts contradict each other."""
    ship(world.distillery, world.shop.organisation, lot, "987654", insist=True)
    return "数量对不上"


def versioned(world: World, lot: Lot) -> str:
    """The product's data changes."""
    first = lot.product_version
    ProductVersion.objects.create(product=lot.product, number=first.number + 1, name=first.name, storage="贮存七十七")
    return "贮存七十七"


def corrected(world: World, lot: Lot) -> str:
    """The lot's beginning is declared wrong."""
    declare_error(by=world.distillery, event=lot.origin_event, reason="did_not_occur", when=day(1))
    return "已作废"


def scanned(world: World, lot: Lot) -> str:
    """A view is counted."""
    count_scan(word=sign(unit(lot)))
    return "此前 1 次查询"


CHANGES: list[Callable[[World, Lot], str]] = [
    renamed, certified, reported, linked, sent, contradicted, versioned, corrected, scanned,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_on_the_next_view(
    client: Client, world: World, lot: Lot, change: Callable[[World, Lot], str]
) -> None:
    address = f"/c/{unit(lot)}"
    before = client.get(address).content.decode()
    assert len(SHELF.pages) == 1
    said = change(world, lot)
    assert said not in before
    assert said in client.get(address).content.decode()


def test_what_ends_is_gone_on_the_next_view(client: Client, world: World, lot: Lot) -> None:
    address = f"/c/{unit(lot)}"
    linked(world, lot)
    contradicted(world, lot)
    assert "问答七十七" in client.get(address).content.decode()
    end_link(by=world.distillery, link=ProductLink.objects.get(), reason="不用了")
    Conflict.objects.update(answered_at=timezone.now())
    page = client.get(address).content.decode()
    assert "问答七十七" not in page
    assert "数量对不上" not in page


def test_a_recall_shows_on_the_first_view_after_each_decision_and_a_drill_never(client: Client, world: World) -> None:
    chain = make_chain(world)
    address = f"/c/{chain.pouch_a.public_code}"

    def verdict() -> str:
        return str(re.findall(r'data-verdict="(\w+)"', client.get(address).content.decode())[0])

    assert [verdict(), verdict()] == ["ok", "ok"]
    started(chain, is_drill=True)
    assert verdict() == "ok"
    campaign = decided(chain)
    assert verdict() == "ok"
    start_campaign(by=world.walnuts_quality, campaign=campaign, stop_order=True)
    assert [verdict(), verdict()] == ["recalled", "recalled"]
    assert ANNOUNCEMENT.risk not in client.get(address).content.decode()
    draft_notice(by=world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    announce(by=world.walnuts, campaign=campaign, channel="本系统公告页")
    assert ANNOUNCEMENT.risk in client.get(address).content.decode()
    assert len(SHELF.pages) >= 1


def test_a_hold_that_comes_and_goes_is_followed(client: Client, world: World, lot: Lot) -> None:
    address = f"/01/{GTIN}/10/L1"
    seen = []
    hold = None
    for _ in range(2):
        seen.append("封存调查中" in client.get(address).content.decode())
        hold = held(world, lot, "hold", "示例原因")
        seen.append("封存调查中" in client.get(address).content.decode())
        end_hold(by=world.county, hold=hold, reason="复检合格")
    assert seen == [False, True, False, True]


def test_the_page_of_the_day_is_made_each_day(client: Client, lot: Lot, monkeypatch: pytest.MonkeyPatch) -> None:
    Lot.objects.filter(pk=lot.pk).update(expires_on=timezone.localdate())
    address = f"/c/{unit(lot)}"
    assert "已过保质期" not in client.get(address).content.decode()
    tomorrow = timezone.localdate() + datetime.timedelta(days=1)
    monkeypatch.setattr(timezone, "localdate", lambda *_args: tomorrow)
    assert "已过保质期" in client.get(address).content.decode()


def test_every_table_a_page_is_made_of_is_followed_counted_or_asked(client: Client, world: World) -> None:
    chain = make_chain(world)
    lot = chain.pouch_a
    passed(world.walnuts, lot, number="R-1", when=day(2))
    certified(world, lot)
    linked(world, bottled(world))
    issue_codes(by=world.walnuts, lot=lot, count=1, key="u")
    campaign = decided(chain)
    start_campaign(by=world.walnuts_quality, campaign=campaign, stop_order=True)
    draft_notice(by=world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    announce(by=world.walnuts, campaign=campaign, channel="本系统公告页")
    with CaptureQueriesContext(connection) as queries:
        for address in (f"/c/{lot.public_code}", f"/c/{unit(lot)}", f"/c/{chain.mother.public_code}"):
            assert client.get(address).status_code == 200
    read = {table for query in queries for table in re.findall(r'(?:FROM|JOIN) "?(\w+)"?', query["sql"])}
    read = {table for table in read if table.startswith(("trace_", "labels_", "recalls_", "desk_"))}
    known = set(freshness.COUNTED) | freshness.FOLLOWED | freshness.ASKED
    assert "trace_certificate" in read
    assert read <= known, f"labels/freshness.py must say how {read - known} is told of changes"


# --- The counter ------------------------------------------------------------------------------------------------------


def test_the_triggers_are_there_and_come_back(db: None) -> None:
    assert freshness.missing() == []
    with connection.cursor() as cursor:
        table = ' ON "trace_certificate"' if connection.vendor == "postgresql" else ""
        cursor.execute(f"DROP TRIGGER trace_certificate_counts_insert{table}")
    assert freshness.missing() == ["trace_certificate_counts_insert"]
    assert [message.id for message in freshness.check_freshness(databases=["default"])] == ["labels.E001"]
    freshness.install()
    assert freshness.missing() == []
    call_command("check", "--database", "default")


def test_writers_that_count_do_not_wait_for_each_other(committed_db: CommittedDatabase) -> None:
    if connection.vendor != "postgresql":
        assert Freshness.objects.count() == 1  # one writer at a time: nobody can wait for a slot
        return
    world = make_world()
    names = [world.distillery.organisation.pk, world.walnuts.organisation.pk]
    before = sum(Freshness.objects.values_list("n", flat=True))
    both = threading.Barrier(2, timeout=20)
    failures: list[BaseException] = []

    def write(own: int) -> None:
        try:
            with transaction.atomic():
                Organisation.objects.filter(pk=own).update(address="示例地址 1")
                both.wait()
                Organisation.objects.filter(pk=own).update(address="示例地址 2")
                both.wait()
        except BaseException as error:  # noqa: BLE001 (told to the test below)
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(Freshness.objects.values_list("n", flat=True)) == before + 4
    assert Freshness.objects.count() >= 2


# --- Pieces and shelf -------------------------------------------------------------------------------------------------


@pytest.mark.once
@given(st.lists(st.sampled_from([CODE, WORD, TALLY, "甲", "x" * 40, "<p>"]), max_size=30), st.binary(max_size=70_000))
def test_a_page_put_together_is_the_page_with_its_holes_filled(parts: list[str], tally: bytes) -> None:
    values = dict.fromkeys(kept._HOLES.values(), b"") | {"code": b"ABC", "word": "字".encode(), "tally": tally}
    page = in_pieces("".join(parts), link="", lots=[], fresh=0)
    said = b"".join({CODE: b"ABC", WORD: "字".encode(), TALLY: tally}.get(part, part.encode()) for part in parts)
    assert page.plain(values) == said
    assert gzip.decompress(page.compressed(values)) == said


@pytest.mark.once
def test_the_shelf_is_bounded_and_follows_the_log(db: None) -> None:
    shelf = Shelf()
    page = in_pieces("x", link="", lots=[7], fresh=3)
    shelf.put(("early",), page, log=5)
    assert shelf.pages == {}  # nobody has seen the log at 5 yet
    assert shelf.find(("a",), log=5, fresh=3) is None
    shelf.put(("a",), page, log=5)
    assert shelf.find(("a",), log=5, fresh=3) is page
    assert shelf.find(("a",), log=5, fresh=4) is None
    shelf.put(("late",), page, log=4)
    assert list(shelf.pages) == [("a",)]
    assert shelf.find(("a",), log=4, fresh=3) is page  # asked a moment ago; what is kept is newer
    assert shelf.seen == 5
    assert shelf.find(("a",), log=5 + kept.MOST_EVENTS + 1, fresh=3) is None
    seen = shelf.seen
    for number in range(MOST_PAGES + 5):
        shelf.put((number,), page, log=seen)
    assert len(shelf.pages) == MOST_PAGES
    assert shelf.find((MOST_PAGES,), log=1, fresh=3) is None  # another log: a backup was put back
    assert shelf.seen == 1
