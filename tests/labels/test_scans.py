"""Counting views once and exactly; reports from people who hold the goods."""

from __future__ import annotations

import datetime
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core import signing
from django.db import connections
from django.test import Client

from labels import nonces, places
from labels.actions.runs import issue_codes
from labels.actions.scans import count_scan, report_mismatch
from labels.models import Scan, ScanReport, ScanTally
from recalls.actions.cases import Told
from recalls.models import ConsumerCase, Signal
from tests.conftest import CommittedDatabase
from tests.labels.goods import bottled
from tests.world import World, make_world
from trace.errors import DomainError
from trace.models import PersonalRecord, Unit
from trace.personal import reveal


@pytest.fixture
def unit(world: World) -> Unit:
    """One issued unit."""
    issue_codes(by=world.distillery, lot=bottled(world), count=2, key="u")
    return Unit.objects.get(number=1)


def word_on(page: str) -> str:
    """The signed word that a page carries."""
    found = re.search(r'name="word" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def seen(client: Client, code: str, **headers: Any) -> str:
    """The page of a code."""
    return client.get(f"/c/{code}", **headers).content.decode()


def tally(page: str) -> int:
    """How many earlier views a page tells of."""
    found = re.search(r"此前 (\d+) 次查询", page)
    assert found is not None
    return int(found[1])


def test_a_page_shows_the_count_before_this_view(client: Client, unit: Unit) -> None:
    for expected in range(3):
        page = seen(client, unit.code)
        assert tally(page) == expected
        assert client.post("/scan/count", {"word": word_on(page), "means": "beacon"}).status_code == 204
    assert Scan.objects.count() == 3


def test_looking_alone_is_not_counted(client: Client, unit: Unit) -> None:
    for agent in ("facebookexternalhit/1.1", "MicroMessenger link preview", "Googlebot/2.1"):
        seen(client, unit.code, HTTP_USER_AGENT=agent)
    client.head(f"/c/{unit.code}")
    assert Scan.objects.count() == 0
    assert tally(seen(client, unit.code)) == 0


def test_one_view_counts_once_however_often_it_is_sent(client: Client, unit: Unit) -> None:
    word = word_on(seen(client, unit.code))
    answers = [client.post("/scan/count", {"word": word, "means": means}) for means in ("beacon", "beacon", "button")]
    assert [answer.status_code for answer in answers] == [204, 204, 302]
    assert (Scan.objects.count(), ScanTally.objects.get().count) == (1, 1)


def test_without_javascript_a_button_counts_and_leads_back(client: Client, unit: Unit) -> None:
    page = seen(client, unit.code)
    assert "登记这次查询" in page
    answer = client.post("/scan/count", {"word": word_on(page), "means": "button"}, follow=True)
    assert answer.redirect_chain == [(f"/c/{unit.code}?counted=1#scans", 302)]
    assert "这次查询已登记" in answer.content.decode()
    assert Scan.objects.get().means == "button"


def test_counting_needs_no_cookie_and_sets_none(unit: Unit) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/scan/count", {"word": word_on(seen(client, unit.code)), "means": "beacon"})
    assert answer.status_code == 204
    assert not client.cookies


@pytest.mark.parametrize("word", ["", "x", "a.b:c:d", "\x00", "x" * 100_000, "22.ABC:1t:sig"])
def test_words_that_are_not_ours_count_nothing(client: Client, unit: Unit, word: str) -> None:
    answer = client.post("/scan/count", {"word": word, "means": "beacon"})
    assert answer.status_code == 422
    assert Scan.objects.count() == 0


def test_a_word_signed_for_something_else_counts_nothing(client: Client, unit: Unit) -> None:
    other = signing.TimestampSigner(salt="something.else").sign(f"nonce.{unit.code}")
    assert client.post("/scan/count", {"word": other}).status_code == 422


def test_a_word_is_for_its_code_only(client: Client, unit: Unit) -> None:
    word = word_on(seen(client, unit.code))
    assert client.post("/scan/count", {"word": word.replace(unit.code, "ZZZZZZZZZZZZ")}).status_code == 422


def test_an_old_word_counts_nothing(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    word = nonces.sign(unit.code)
    monkeypatch.setattr(nonces, "MAX_AGE", datetime.timedelta(seconds=-1))
    with pytest.raises(DomainError) as caught:
        count_scan(word=word)
    assert caught.value.code == "page_word_old"


def test_a_lot_and_its_units_are_counted_apart(client: Client, unit: Unit) -> None:
    count_scan(word=nonces.sign(unit.code))
    count_scan(word=nonces.sign(unit.lot.public_code))
    count_scan(word=nonces.sign(unit.lot.public_code))
    assert tally(seen(client, unit.code)) == 1
    assert tally(seen(client, unit.lot.public_code)) == 2
    assert tally(seen(client, Unit.objects.get(number=2).code)) == 0


def test_the_tally_agrees_with_the_rows(unit: Unit) -> None:
    for _ in range(5):
        count_scan(word=nonces.sign(unit.code))
    row = ScanTally.objects.get()
    scans = Scan.objects.order_by("id")
    assert (row.count, row.first_at) == (scans.count(), scans[0].at)


def test_nothing_about_the_visitor_is_kept(client: Client, unit: Unit) -> None:
    headers: dict[str, Any] = {"REMOTE_ADDR": "198.51.100.77", "HTTP_USER_AGENT": "PlantedAgent/9"}
    page = seen(client, unit.code, **headers)
    client.post("/scan/count", {"word": word_on(page), "means": "beacon"}, **headers)
    kept = " ".join(str(value) for value in Scan.objects.values()[0].values())
    assert "198.51" not in kept
    assert "Planted" not in kept


# --- Places ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """An installed table of places."""
    path = tmp_path / "places.csv"
    path.write_text("198.51.100.0/24,山西省 太原市\n\n2001:db8:5::/48,北京市\n", encoding="utf-8")
    settings.SCAN_PLACES_FILE = str(path)
    yield path
    places._table.cache_clear()


def test_without_a_table_the_place_is_unknown(client: Client, unit: Unit) -> None:
    client.post("/scan/count", {"word": word_on(seen(client, unit.code)), "means": "beacon"})
    assert Scan.objects.get().place == ""
    assert "地点未知" in seen(client, unit.code)


def test_an_installed_table_names_the_city(client: Client, unit: Unit, table: Path) -> None:
    headers: dict[str, Any] = {"REMOTE_ADDR": "198.51.100.77"}
    client.post("/scan/count", {"word": word_on(seen(client, unit.code)), "means": "beacon"}, **headers)
    assert "山西省 太原市" in seen(client, unit.code)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("198.51.100.0", "山西省 太原市"),
        ("198.51.100.255", "山西省 太原市"),
        ("198.51.101.0", ""),
        ("198.51.99.255", ""),
        ("2001:db8:5:1::1", "北京市"),
        ("2001:db8:6::1", ""),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_places_by_address(table: Path, address: str, place: str) -> None:
    assert places.place_of(address) == place


def test_a_broken_table_says_where(tmp_path: Path, settings: Any) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("198.51.100.0/24,太原\nonly one column\n", encoding="utf-8")
    settings.SCAN_PLACES_FILE = str(path)
    with pytest.raises(ValueError, match="line 2"):
        places.place_of("198.51.100.1")


# --- Many at once ---------------------------------------------------------------------------------------------------


def test_a_code_gone_viral_is_counted_exactly(committed_db: CommittedDatabase) -> None:
    world = make_world()
    issue_codes(by=world.distillery, lot=bottled(world), count=1, key="u")
    code = Unit.objects.get().code
    words = [nonces.sign(code) for _ in range(40)]
    failures: list[BaseException] = []

    def send(mine: list[str]) -> None:
        try:
            for word in mine:
                count_scan(word=word)
                count_scan(word=word)
        except BaseException as error:  # noqa: BLE001 (told to the test below)
            failures.append(error)
        finally:
            connections.close_all()

    # Each word is sent twice by each of two threads: four times in all.
    threads = [threading.Thread(target=send, args=(words[start::4],)) for start in range(4) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Scan.objects.count() == 40
    assert ScanTally.objects.get().count == 40


# --- Reports --------------------------------------------------------------------------------------------------------


def form_of(client: Client, code: str) -> str:
    """The signed word of a report form."""
    return word_on(client.get(f"/scan/report/{code}").content.decode())


def send_report(client: Client, code: str, **fields: str) -> Any:
    """Send a report as the form does."""
    given = {
        "word": form_of(client, code),
        "what": "dates",
        "words": "页面写 9 月，袋上写 8 月",
        "contact": "",
        **fields,
    }
    return client.post(f"/scan/report/{code}", given)


def test_a_report_becomes_a_case_with_a_receipt_and_belongs_to_a_signal(client: Client, unit: Unit) -> None:
    answer = send_report(client, unit.code, contact="13800000000", consent="on", fact="生产日期")
    report, signal, case = ScanReport.objects.get(), Signal.objects.get(), ConsumerCase.objects.get()
    assert (report.unit, report.lot, report.what) == (unit, unit.lot, "dates")
    assert (report.number, report.signal) == (case.number, signal.uid)
    assert report.number in answer.content.decode()
    assert (signal.source, signal.organisation, signal.unit) == ("scan_report", unit.organisation, unit)
    assert reveal(signal.words).startswith("生产日期或批号不一样")
    assert (case.owner, case.fact, case.signal) == (unit.organisation, "生产日期", signal)
    assert (reveal(case.words), reveal(case.contact)) == ("页面写 9 月，袋上写 8 月", "13800000000")
    assert case.due_at == case.received_at + datetime.timedelta(days=7)


def test_a_contact_needs_consent_of_its_own(client: Client, unit: Unit) -> None:
    answer = send_report(client, unit.code, contact="13800000000")
    assert answer.status_code == 422
    assert "需要您同意" in answer.content.decode()
    assert not ConsumerCase.objects.exists()


def test_complaints_of_one_kind_about_one_lot_make_one_signal_until_it_is_handled(client: Client, unit: Unit) -> None:
    for kind in ("dates", "dates", "quality"):
        send_report(client, unit.code, what=kind)
    assert (ConsumerCase.objects.count(), Signal.objects.count()) == (3, 2)
    Signal.objects.update(status="dismissed")
    send_report(client, unit.code)
    assert Signal.objects.count() == 3


def test_words_and_contact_lie_sealed(client: Client, unit: Unit) -> None:
    send_report(client, unit.code, words="张示例 13800000000", contact="13900000000", consent="on")
    for record in PersonalRecord.objects.all():
        assert b"13800000000" not in bytes(record.secret)
    rows = [*ScanReport.objects.values(), *Signal.objects.values(), *ConsumerCase.objects.values()]
    assert "13800000000" not in str(rows)


def test_sending_the_form_twice_makes_one_report(client: Client, unit: Unit) -> None:
    word = form_of(client, unit.code)
    fields = {"word": word, "what": "harm", "words": "", "contact": ""}
    first, second = (client.post(f"/scan/report/{unit.code}", fields) for _ in range(2))
    assert (ScanReport.objects.count(), Signal.objects.count()) == (1, 1)
    number = ScanReport.objects.get().number
    assert number in first.content.decode()
    assert number in second.content.decode()


def test_hostile_words_are_refused_in_words_of_ours(client: Client, unit: Unit) -> None:
    answer = send_report(client, unit.code, words="a\0b", code_text="x" * 1_000_000)
    assert answer.status_code == 422
    assert "请删去后重新输入" in answer.content.decode()
    assert "空字符串" not in answer.content.decode()
    assert ScanReport.objects.count() == 0


def test_a_code_we_never_issued_can_be_reported(client: Client, world: World) -> None:
    answer = client.get("/scan/report")
    fields = {"word": word_on(answer.content.decode()), "what": "copied", "code_text": "FAKE-0001", "words": ""}
    assert client.post("/scan/report", fields).status_code == 200
    assert (ScanReport.objects.get().lot, Signal.objects.get().code) == (None, "FAKE-0001")


def test_the_form_needs_no_cookie(unit: Unit) -> None:
    client = Client(enforce_csrf_checks=True)
    assert send_report(client, unit.code).status_code == 200
    assert not client.cookies


@pytest.mark.parametrize(
    "fields",
    [
        {"what": ""},
        {"what": "nonsense"},
        {"what": "other", "words": ""},
        {"words": "x" * 1001},
        {"words": "a\u202eb"},
        {"contact": "x" * 101},
        {"word": "forged"},
        {"word": ""},
    ],
)
def test_what_is_wrong_comes_back_with_the_form(client: Client, unit: Unit, fields: dict[str, str]) -> None:
    answer = send_report(client, unit.code, **fields)
    assert answer.status_code == 422
    assert "<form" in answer.content.decode()
    assert not ScanReport.objects.exists()
    assert not Signal.objects.exists()


def test_nul_in_a_report_is_refused(unit: Unit) -> None:
    with pytest.raises(DomainError) as caught:
        report_mismatch(word=nonces.sign(unit.code), what="dates", told=Told(words="a\x00b"))
    assert caught.value.code == "text_nul"


def test_reports_from_one_address_are_limited(client: Client, unit: Unit) -> None:
    from labels.limits import REPORTS

    for _ in range(REPORTS[0]):
        assert send_report(client, unit.code).status_code == 200
    assert send_report(client, unit.code).status_code == 429
    assert ScanReport.objects.count() == REPORTS[0]


def test_the_signing_key_is_the_installations(unit: Unit, settings: Any) -> None:
    word = nonces.sign(unit.code)
    settings.SECRET_KEY = django_settings.SECRET_KEY + "-changed"
    with pytest.raises(DomainError):
        nonces.read(word)
