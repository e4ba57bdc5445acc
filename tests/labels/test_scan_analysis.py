"""Scans in batches, counted exactly; limits across processes; suspicion with its reason and a person's word."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as installed
from django.db import connection
from django.test import Client
from django.utils import timezone

from labels import nonces, places
from labels.actions.runs import issue_codes
from labels.actions.scans import count_scan
from labels.actions.suspicions import decide, examine, examine_next, note_series, set_threshold, thresholds
from labels.models import CodeException, Scan, ScanKey, ScanMark, ScanSuspicion, ScanTally, ScanThreshold
from labels.recording import View, write
from labels.suspicion import DEFAULTS, CodeFacts, Seen, Threshold, findings, near, why
from labels.viewers import destroy_old_keys, viewer
from tests.conftest import ROOT, CommittedDatabase
from tests.labels.goods import bottled
from tests.loaded import Loaded
from tests.world import World, make_world, sign_in
from trace import throttle
from trace.errors import DomainError
from trace.models import Unit

NOON = datetime.datetime(2026, 11, 1, 12, 0, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def unit(world: World) -> Unit:
    """One issued unit."""
    issue_codes(by=world.distillery, lot=bottled(world), count=2, key="u")
    return Unit.objects.get(number=1)


# --- Recording ------------------------------------------------------------------------------------------------------


def test_a_batch_counts_each_new_view_once(unit: Unit) -> None:
    def view(nonce: str, of: Unit | None = unit) -> View:
        return View(unit.lot_id, of.pk if of else None, nonce, "beacon", "", "", "", timezone.now())

    assert write([view("a"), view("b"), view("a"), view("c", None)]) == {"a", "b", "c"}
    assert write([view("b"), view("d"), view("e", None)]) == {"d", "e"}
    assert {row.unit_id: row.count for row in ScanTally.objects.all()} == {unit.pk: 3, None: 2}
    assert Scan.objects.count() == 5


_CHILD = """
import os, threading, django
django.setup()
from django.db import connections
from labels.actions.scans import count_scan
words = os.environ["WORDS"].split()
acknowledged = []
def run(mine):
    for word in mine:
        acknowledged.append(count_scan(word=word).counted)
    connections.close_all()
threads = [threading.Thread(target=run, args=(words[n::16],)) for n in range(16)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(acknowledged), sum(acknowledged))
"""


def test_sixty_four_at_once_in_four_processes_are_counted_exactly(committed_db: CommittedDatabase) -> None:
    world = make_world()
    issue_codes(by=world.distillery, lot=bottled(world), count=1, key="u")
    code = Unit.objects.get().code
    words = [nonces.sign(code) for _ in range(240)]
    connection.close()
    # Each word goes to two processes: sent twice, counted once.
    children = [
        Loaded("-c", _CHILD, env=committed_db.env(WORDS=" ".join(words[number % 2 :: 2]))) for number in range(4)
    ]
    answers = []
    for child in children:
        said, error = child.communicate(timeout=120)
        assert child.returncode == 0, error
        answers.append([int(part) for part in said.split()])
    assert sum(sent for sent, _counted in answers) == 480
    assert sum(counted for _sent, counted in answers) == 240
    assert (Scan.objects.count(), ScanTally.objects.get().count) == (240, 240)


def test_viewers_are_told_apart_within_a_day_and_forgotten(db: None) -> None:
    one, again, other = (viewer(address, NOON) for address in ("198.51.100.7", "198.51.100.7", "198.51.100.8"))
    assert one == again != other
    assert viewer("2001:db8::1", NOON) == viewer("2001:db8::ffff", NOON)
    assert viewer("198.51.100.7", NOON + 24 * HOUR) != one
    assert destroy_old_keys(NOON + 96 * HOUR) == 2
    assert not ScanKey.objects.exclude(key=None).exists()
    assert viewer("198.51.100.7", NOON) != one


# --- Limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.once
def test_the_window_slides_and_an_ipv6_client_owns_a_64() -> None:
    taken = sum(throttle.spend("t", f"2001:db8::{n:x}", (30, 60), now=1200.0 + n / 10) for n in range(300))
    assert taken == 30
    # At the seam of two windows nobody gets twice the limit.
    assert sum(throttle.spend("t", "2001:db8::1", (30, 60), now=1261.0) for _ in range(30)) <= 3
    assert throttle.spend("t", "2001:db8:0:1::1", (30, 60), now=1261.0)
    assert throttle.spend("t", "not an address", (1, 60), now=1261.0)
    assert not throttle.spend("t", "", (1, 60), now=1261.0)


@pytest.mark.once
def test_many_processes_share_one_limit() -> None:
    code = (
        "import django; django.setup(); from trace import throttle;"
        "[throttle.miss('join-misses:1', (50, 3600), now=7200.0) for _ in range(40)];"
        "print(sum(throttle.spend('w', '198.51.100.9', (50, 3600), now=7200.0) for _ in range(40)))"
    )
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": str(ROOT),
        "TRACE_TEST_DATA_DIR": str(installed.DATA_DIR),
    }
    assert throttle.may("join-misses:1", (50, 3600), now=7200.0)
    children = [Loaded("-c", code, env=env) for _ in range(2)]
    assert sum(int(child.communicate(timeout=60)[0]) for child in children) == 50
    # They have ended, as at a restart: what they counted stays.
    assert not throttle.may("join-misses:1", (50, 3600), now=7200.0)
    assert throttle.may("join-misses:2", (50, 3600), now=7200.0)


def test_forwarded_for_lists_do_not_get_round_the_limit(client: Client, db: None, settings: Any) -> None:
    for proxies, expected in ((0, 30), (1, 30)):
        throttle.forget_all()
        settings.NUM_PROXIES = proxies
        answers = [
            client.get(
                f"/c/ZZZZZZZZ{n:04d}",
                HTTP_X_FORWARDED_FOR=f"203.0.113.{n % 250}, 198.51.100.3",
                REMOTE_ADDR="127.0.0.1",
            ).status_code
            for n in range(40)
        ]
        assert answers.count(404) == expected, proxies
        assert answers.count(429) == 10


def test_codes_tried_in_series_become_a_hint_for_the_regulator(client: Client, world: World) -> None:
    for n in range(33):
        client.get(f"/c/ZZZZZZZZ{n:04d}", REMOTE_ADDR="198.51.100.77")
    assert not ScanSuspicion.objects.exists(), "a look at a page writes nothing into the database"
    note_series("198.51.100.78")
    while examine_next():
        pass
    rows = ScanSuspicion.objects.filter(rule="series")
    assert rows.count() == 2
    assert "198.51" not in str(list(rows.values()))
    page = sign_in(Client(), world.county).get("/labels/scans/").content.decode()
    assert "连续试探" in page
    assert "连续试探" not in sign_in(Client(), world.distillery).get("/labels/scans/").content.decode()


# --- Rules ----------------------------------------------------------------------------------------------------------


@pytest.mark.once
def test_each_rule_speaks_and_says_why() -> None:
    far = [
        Seen(NOON + n * HOUR, place, region)
        for n, (place, region) in enumerate((("太原", "1401"), ("北京", "11"), ("上海", "31")))
    ]
    sold = frozenset({"140105", "110101"})
    facts = CodeFacts(True, 100, sent_at=NOON + HOUR, ended_at=NOON + HOUR, sold_to=sold)
    found = {one.rule: one for one in findings([*far, Seen(NOON + 3 * HOUR, "上海", "31")], facts, DEFAULTS)}
    assert set(found) == {"places", "before_sale", "after_end", "elsewhere"}
    assert found["places"].facts["places"] == ["上海", "北京", "太原"]
    assert found["elsewhere"].facts == {"count": 2, "places": ["上海"], "sold_to": ["110101", "140105"]}
    for one in found.values():
        assert len(why(one.rule, one.facts)) > 10
    crowd = [Seen(NOON, who=f"{n}") for n in range(20)]
    assert [one.rule for one in findings(crowd, CodeFacts(True), DEFAULTS)] == ["people"]
    assert findings(crowd[:19], CodeFacts(True), DEFAULTS) == []
    slow = [Seen(NOON + n * 13 * HOUR, place) for n, place in enumerate("甲乙丙丁")]
    assert findings(slow, CodeFacts(True), DEFAULTS) == []
    assert [one.rule for one in findings([Seen(NOON)], CodeFacts(False, 10, total=31), DEFAULTS)] == ["volume"]
    off = {**DEFAULTS, "places": Threshold(0)}
    assert findings(far, CodeFacts(True), off) == []


@pytest.mark.once
def test_regions_are_compared_as_finely_as_the_table_knows() -> None:
    sold = frozenset({"140105"})
    assert near("14", sold)
    assert near("1401", sold)
    assert near("140000", sold)
    assert not near("1402", sold)
    assert not near("11", sold)


@pytest.fixture
def table(tmp_path: Path, settings: Any) -> Iterator[None]:
    """A table with division codes."""
    path = tmp_path / "places.csv"
    path.write_text(
        "198.51.100.0/25,山西省太原市,1401\n198.51.100.128/25,北京市,11\n203.0.113.0/24,上海市,31\n", "utf-8"
    )
    settings.SCAN_PLACES_FILE = str(path)
    places._table.cache_clear()
    yield
    places._table.cache_clear()


def scan_page(client: Client, code: str, address: str) -> None:
    """A view of a page, counted as its beacon does."""
    answer = client.post("/scan/count", {"word": nonces.sign(code), "means": "beacon"}, REMOTE_ADDR=address)
    assert answer.status_code == 204


def test_a_copied_label_is_found_explained_and_confirmed_by_a_person(
    client: Client, unit: Unit, world: World, table: None
) -> None:
    for address in ("198.51.100.1", "198.51.100.200", "203.0.113.5"):
        scan_page(client, unit.code, address)
    while examine_next():
        pass
    row = ScanSuspicion.objects.get()
    assert (row.rule, row.unit, row.organisation) == ("places", unit, unit.organisation)
    assert "疑似复制" not in client.get(f"/c/{unit.code}").content.decode()
    maker = sign_in(Client(), world.distillery_quality)
    assert "山西省太原市" in maker.get("/labels/scans/").content.decode()
    url = f"/labels/scans/{row.uid}/"
    assert sign_in(Client(), world.walnuts).get(url).status_code == 404
    assert Client().get(url).status_code == 302
    assert maker.post(url, {"do": "confirm", "reason": ""}).status_code == 422
    assert maker.post(url, {"do": "confirm", "reason": "实物两件，码相同"}).status_code == 302
    assert maker.post(url, {"do": "confirm", "reason": "再来"}).status_code in (409, 422)
    assert CodeException.objects.get().kind == "copied"
    assert "疑似复制" in client.get(f"/c/{unit.code}").content.decode()
    assert "上海市" in sign_in(Client(), world.county).get("/labels/scans/regions/").content.decode()
    for page in ("/labels/scans/?state=all", "/labels/scans/thresholds/", "/labels/scans/regions/"):
        assert maker.get(page + ("&" if "?" in page else "?") + "lang=en").status_code == 200


def test_a_code_found_harmless_speaks_again_only_for_later_scans(unit: Unit, world: World) -> None:
    set_threshold(by=world.distillery_quality, rule="people", value=2, hours=24, reason="示例")
    for n in range(3):
        count_scan(word=nonces.sign(unit.code), address=f"198.51.100.{n}")
    (row,) = examine(lot_id=unit.lot_id, unit_id=unit.pk)
    decide(by=world.distillery_quality, suspicion=row, copied=False, reason="门店盘点")
    assert examine(lot_id=unit.lot_id, unit_id=unit.pk) == []
    with pytest.raises(DomainError) as caught:
        decide(by=world.distillery_quality, suspicion=row, copied=True, reason="x")
    assert caught.value.code == "stale_state"
    for n in range(2):
        count_scan(word=nonces.sign(unit.code), address=f"203.0.113.{n}")
    assert len(examine(lot_id=unit.lot_id, unit_id=unit.pk)) == 1


def test_thresholds_are_an_organisations_own_with_history(unit: Unit, world: World) -> None:
    set_threshold(by=world.county_approver, rule="people", value=5, hours=12, reason="全县")
    set_threshold(by=world.distillery, rule="people", value=9, hours=12, reason="本厂")
    assert thresholds(world.distillery.organisation)["people"] == Threshold(9, 12)
    assert thresholds(world.walnuts.organisation)["people"] == Threshold(5, 12)
    assert ScanThreshold.objects.count() == 2
    assert not ScanMark.objects.exclude(after=0).exists()
    with pytest.raises(DomainError):
        set_threshold(by=world.distillery, rule="people", value=9, hours=10**9, reason="x")
    client = sign_in(Client(), world.distillery)
    bad = {"rule": "people", "value": "9" * 40, "hours": "1", "reason": "x"}
    assert client.post("/labels/scans/thresholds/", bad).status_code == 422
