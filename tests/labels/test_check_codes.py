"""Scratch-off check codes: printed under a layer, stored hashed, tried a few times a day, never called proof."""

from __future__ import annotations

import datetime
import io
import re
import threading
import zipfile
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from labels import checks, nonces
from labels.actions.checks import MOST_WRONG, forget_checks, run_next_check_forgetting, try_check
from labels.actions.files import order_file, run_next_file
from labels.actions.runs import MORE_CODES, issue_codes, run_next_issue
from labels.contents import contents
from labels.models import CheckAttempt, CheckHashes, CheckTally, CodeRun, LabelFile
from tests.conftest import CommittedDatabase
from tests.labels.goods import bottled, held
from tests.world import World, make_world, sign_in
from trace.actions.files import path_of
from trace.errors import DomainError
from trace.models import HoldSet, Unit

ROOM = "roll-60x40"


def issued(world: World, count: int = 3, key: str = "checks") -> CodeRun:
    """A run with check codes."""
    lot = bottled(world, code=f"L-{key}")
    return issue_codes(by=world.distillery, lot=lot, count=count, key=key, layout=ROOM, checks=True)


def truth(run: CodeRun, unit: Unit) -> str:
    """What stands under the layer of a unit, as printed."""
    return contents(run, [unit], reveal=True)[0].check


def wrong_for(run: CodeRun, unit: Unit, number: int = 0) -> str:
    """A check code that is not the unit's."""
    return next(text for text in (f"00000{number}", f"11111{number}") if text != truth(run, unit).replace(" ", ""))


def tried(client: Client, unit: Unit, typed: str) -> str:
    """The page after typing a check code on a unit's page."""
    page = client.get(f"/c/{unit.code}").content.decode()
    word = re.search(r'name="word" value="([^"]+)"', page)
    assert word is not None
    answer = client.post("/scan/check", {"word": word[1], "check": typed}, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_right_first_again_and_wrong_are_each_said_as_they_are(client: Client, world: World) -> None:
    run = issued(world)
    one, other, _third = Unit.objects.order_by("number")
    check = truth(run, one)
    page = client.get(f"/c/{one.code}").content.decode()
    assert 'action="/scan/check"' in page
    assert check not in page
    assert check.replace(" ", "") not in page
    assert "今天还可以试 4 次" in tried(client, one, wrong_for(run, one))
    assert "这不是一个校验码" in tried(client, one, "12")
    assert "这不是一个校验码" in tried(client, one, "A\0" * 3)
    assert "这不是一个校验码" in tried(client, one, "A" * 100_000)
    first = tried(client, one, check.lower().replace(" ", "-"))
    assert "这是第一次核对" in first
    assert "信息正常" in first
    again = tried(client, one, check)
    assert "以前已经核对过" in again
    assert "连这次共 2 次" in again
    assert "地点未知" in again
    assert "今天还可以试 4 次" in tried(client, other, check if check != truth(run, other) else "000000")
    assert "正品" not in first + again
    tally = CheckTally.objects.get(unit=one)
    assert (tally.matched, tally.wrong, tally.wrong_ever) == (2, 1, 1)
    english = client.get(f"/c/{one.code}?lang=en").content.decode()
    assert "scratch" in english.lower()
    assert "?lang=en" in english
    held(world, run.lot, HoldSet.Kind.RECALL)
    recalled = tried(client, one, check)
    assert recalled.index("已召回") < recalled.index("以前已经核对过")


def test_one_form_sent_twice_is_one_attempt(world: World) -> None:
    run = issued(world)
    unit = Unit.objects.get(number=1)
    word = nonces.sign(unit.code)
    answers = [try_check(word=word, typed=truth(run, unit))[0] for _ in range(2)]
    assert answers[0].pk == answers[1].pk
    assert answers[1].answer == "first"
    assert CheckTally.objects.get().matched == 1


def test_attempts_are_limited_for_each_label_and_come_back_after_a_day(world: World) -> None:
    run = issued(world)
    unit, other = Unit.objects.order_by("number")[:2]
    now = timezone.now()

    def attempt(what: Unit, typed: str, at: datetime.datetime) -> CheckAttempt:
        return try_check(word=nonces.sign(what.code), typed=typed, at=at)[0]

    left = [attempt(unit, wrong_for(run, unit), now).left for _ in range(MOST_WRONG)]
    assert left == [4, 3, 2, 1, 0]
    assert attempt(unit, truth(run, unit), now).answer == "locked"
    assert attempt(other, truth(run, other), now).answer == "first"
    assert attempt(unit, truth(run, unit), now + datetime.timedelta(hours=24)).answer == "first"


def test_only_hashes_are_stored_and_a_piece_issued_later_has_its_own(world: World) -> None:
    run = issued(world, count=10_050)
    while run_next_issue():
        pass
    pieces = CheckHashes.objects.order_by("first_number")
    assert MORE_CODES >= 50
    assert [len(piece.hashes) for piece in pieces] == [160_000, 800]
    last = Unit.objects.get(number=10_050)
    run.refresh_from_db()
    assert try_check(word=nonces.sign(last.code), typed=truth(run, last))[0].answer == "first"
    stored = b"".join(bytes(piece.hashes) for piece in pieces)
    assert truth(run, last).replace(" ", "").encode() not in stored


def test_check_codes_are_refused_where_no_label_has_room_or_all_are_alike(world: World) -> None:
    lot = bottled(world)
    wishes: list[tuple[dict[str, Any], str]] = [
        ({"layout": "roll-40x30"}, "checks_need_room"),
        ({"layout": ROOM, "kind": CodeRun.Kind.LOT}, "checks_need_units"),
    ]
    for more, code in wishes:
        with pytest.raises(DomainError) as refused:
            issue_codes(by=world.distillery, lot=lot, count=1, key=code, checks=True, **more)
        assert refused.value.code == code
    plain = issue_codes(by=world.distillery, lot=lot, count=1, key="plain", layout=ROOM)
    with pytest.raises(DomainError) as refused:
        order_file(by=world.distillery, run=plain, key="f", kind="packet", first=1, last=1, with_checks=True)
    assert refused.value.code == "no_checks"
    with pytest.raises(DomainError) as refused:
        try_check(word=nonces.sign(Unit.objects.get(run=plain.uid).code), typed="000000")
    assert refused.value.code == "no_checks"


def packet_of(file: LabelFile) -> str:
    """The table of codes in a released packet."""
    while run_next_file():
        pass
    part = file.parts.get()
    with zipfile.ZipFile(io.BytesIO(path_of(part.sha256).read_bytes())) as archive:
        return archive.read("codes.csv").decode("utf-8-sig")


def test_a_packet_has_check_codes_only_by_choice_and_its_download_is_written_down(world: World) -> None:
    run = issued(world)
    unit = Unit.objects.get(number=1)
    order: dict[str, Any] = {"by": world.distillery, "run": run, "kind": "packet", "first": 1, "last": 3}
    assert truth(run, unit) not in packet_of(order_file(key="a", **order))
    file = order_file(key="b", with_checks=True, **order)
    assert truth(run, unit) in packet_of(file)
    client = sign_in(Client(), world.distillery)
    answer: Any = client.post(f"/labels/{run.uid}/files/{file.uid}/1")
    assert b"".join(answer.streaming_content)[:2] == b"PK"
    assert "含校验码" in run.steps.get(step="downloaded").reason
    for path in (f"/labels/{run.uid}/", f"/labels/{run.uid}/label.svg"):
        page = client.get(path).content.decode()
        assert "*** ***" in page, path
        assert truth(run, unit) not in page, path


def test_after_the_seed_is_destroyed_codes_are_still_checked_but_never_printed(world: World) -> None:
    run = issued(world)
    unit = Unit.objects.get(number=1)
    check = truth(run, unit)
    assert sign_in(Client(), world.walnuts).post(f"/labels/{run.uid}/destroy-checks/").status_code == 404
    client = sign_in(Client(), world.distillery)
    assert client.post(f"/labels/{run.uid}/destroy-checks/").status_code == 302
    forget_checks(by=world.distillery, run=CodeRun.objects.get(pk=run.pk))
    assert run.steps.filter(step="no_checks").count() == 1
    run = CodeRun.objects.select_related("seed").get(pk=run.pk)
    with pytest.raises(DomainError) as refused:
        truth(run, unit)
    assert refused.value.code == "checks_forgotten"
    assert client.post(f"/labels/{run.uid}/print/", {"first": 1, "last": 1}).status_code == 409
    assert "已销毁" in client.get(f"/labels/{run.uid}/").content.decode()
    assert try_check(word=nonces.sign(unit.code), typed=check)[0].answer == "first"


def test_a_forgotten_seed_is_destroyed_by_itself_after_half_a_year(world: World) -> None:
    issued(world)
    assert not run_next_check_forgetting()
    later = timezone.now() + datetime.timedelta(days=181)
    assert run_next_check_forgetting(now=later)
    assert not run_next_check_forgetting(now=later)


def test_guesses_at_once_are_counted_and_one_alone_is_first(committed_db: CommittedDatabase) -> None:
    run = issued(make_world())
    unit, other = Unit.objects.order_by("number")[:2]
    jobs = [(unit, wrong_for(run, unit))] * 8 + [(other, truth(run, other))] * 4
    answers: list[tuple[int, str]] = []

    def attempt(what: Unit, typed: str) -> None:
        try:
            answers.append((what.pk, try_check(word=nonces.sign(what.code), typed=typed)[0].answer))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=attempt, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    of = {pk: sorted(answer for each, answer in answers if each == pk) for pk in (unit.pk, other.pk)}
    assert of[unit.pk] == ["locked"] * 3 + ["wrong"] * MOST_WRONG
    assert of[other.pk] == ["again"] * 3 + ["first"]


def test_check_codes_are_spread_over_the_whole_alphabet() -> None:
    seed = checks.new_seed()
    found = {checks.check_code(seed, f"{number:012d}") for number in range(2_000)}
    assert len(found) > 1_990
    assert len(set("".join(found))) == 32
