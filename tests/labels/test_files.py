"""Large runs and their files: issued in pieces, made in parts, read back, released, taken over from a dead worker."""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
import time
import zipfile
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from django.test import Client
from django.utils import timezone
from PIL import Image

from labels.actions import files, runs
from labels.actions.files import forget_files, order_file, parts_of, run_next_file
from labels.actions.runs import apply_codes, except_units, issue_codes, run_next_issue, void_run
from labels.compose import LabelContent
from labels.contents import contents
from labels.layouts import layout
from labels.models import CodeRun, LabelFile
from labels.qr import Level, matrix
from labels.queries import labels_beyond, tally_of, tally_of_lot
from labels.reading import first_unread, read_back
from labels.sheets import render_sheet
from labels.zpl import render_zpl
from tests.conftest import CommittedDatabase
from tests.labels.goods import BOTTLED_AT, bottled, held, made
from tests.labels.test_runs import refused
from tests.loaded import Loaded
from tests.world import World, make_product, make_world, sign_in
from trace.actions.events import When
from trace.actions.files import path_of
from trace.actions.holds import end_hold
from trace.actions.packs import pack_units
from trace.actions.rebuild import rebuild
from trace.models import Certificate, Unit


def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces and parts of a size that a test makes in a moment."""
    monkeypatch.setattr(runs, "FIRST_CODES", 10)
    monkeypatch.setattr(runs, "MORE_CODES", 20)
    monkeypatch.setattr(files, "PART_LABELS", dict.fromkeys(LabelFile.Kind, 24))


def bytes_of(file: LabelFile) -> list[bytes]:
    """The finished parts."""
    return [path_of(part.sha256).read_bytes() for part in file.parts.all()]


def read_pdf(data: bytes) -> list[str]:
    """Every code on every page."""
    document = pypdfium2.PdfDocument(data)
    try:
        pages = [page.render(scale=300 / 72, grayscale=True).to_pil().convert("L") for page in document]
    finally:
        document.close()
    return [str(found.text) for page in pages for found in zxingcpp.read_barcodes(page)]


@pytest.mark.django_db
def test_a_large_run_is_issued_in_pieces_without_a_gap_or_a_double(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pieces(monkeypatch)
    lot = bottled(world)
    run = issue_codes(by=world.distillery, lot=lot, count=55, key="a")
    assert (run.status, run.issued, run.first_number) == ("issuing", 10, 1)
    # A run ordered meanwhile gets the numbers behind those that are still to come.
    assert issue_codes(by=world.distillery, lot=lot, count=5, key="b").first_number == 56
    refused("bad_range", order_file, by=world.distillery, run=run, key="f", kind="pdf", first=1, last=11)
    pieces = 0
    while run_next_issue():
        pieces += 1
    run.refresh_from_db()
    assert (pieces, run.status, run.issued) == (3, "issued", 55)
    numbers = Unit.objects.filter(run=run.uid).order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(1, 56))
    assert not rebuild(write=False).differences


@pytest.mark.django_db
def test_a_run_stops_with_the_reason_when_its_lot_is_blocked_and_goes_on_when_told(
    world: World, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    small_pieces(monkeypatch)
    lot = bottled(world)
    run = issue_codes(by=world.distillery, lot=lot, count=30, key="a")
    hold = held(world, lot, "hold", "抽检复核")
    assert run_next_issue()
    assert not run_next_issue()
    run.refresh_from_db()
    assert (run.issued, run.status) == (10, "issuing")
    assert "抽检复核" in run.stopped
    sign_in(client, world.distillery)
    assert "抽检复核" in client.get(f"/labels/{run.uid}/").content.decode()
    assert client.post(f"/labels/{run.uid}/go-on/").status_code == 302
    run.refresh_from_db()
    assert run.stopped
    end_hold(by=world.county, hold=hold, reason="复核合格")
    assert client.post(f"/labels/{run.uid}/go-on/").status_code == 302
    while run_next_issue():
        pass
    run.refresh_from_db()
    assert (run.issued, run.status, run.stopped) == (30, "issued", "")


@pytest.mark.django_db
def test_a_run_made_void_while_it_is_issued_gets_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pieces(monkeypatch)
    run = issue_codes(by=world.distillery, lot=bottled(world), count=30, key="a")
    void_run(by=world.distillery, run=run, reason="示例：下错了单")
    assert not run_next_issue()
    assert Unit.objects.filter(run=run.uid, state="void").count() == 10


@pytest.mark.django_db
def test_a_pdf_comes_in_parts_holds_each_code_once_and_is_released_and_logged(
    world: World, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    small_pieces(monkeypatch)
    run = issue_codes(by=world.distillery, lot=bottled(world), count=10, key="a")
    monkeypatch.setattr(files, "PART_LABELS", dict.fromkeys(LabelFile.Kind, 24))
    while run_next_issue():
        pass
    spoiled = Unit.objects.get(run=run.uid, number=3)
    except_units(by=world.distillery, units=[spoiled], kind="spoiled", reason="撕坏")
    sign_in(client, world.distillery)
    wish = {"key": "f", "kind": "pdf", "first": "1", "last": "10", "start": "20", "offset_x": "1.5"}
    sent = client.post(f"/labels/{run.uid}/files/", wish)
    assert sent.status_code == 302
    assert client.post(f"/labels/{run.uid}/files/", wish).headers["Location"] == sent.headers["Location"]
    for left, stopped in ((files.LEASE, False), (files.LEASE / 2, True)):
        LabelFile.objects.update(status="working", leased_until=timezone.now() + left)
        assert ("制作好像中断了" in client.get(sent.headers["Location"]).content.decode()) == stopped
    LabelFile.objects.update(status="waiting", leased_until=None)
    file = LabelFile.objects.get()
    assert parts_of(file) == [(1, 5), (6, 10)]
    address = sent.headers["Location"]
    assert "progress" in client.get(address).content.decode()
    assert client.post(f"{address}1").status_code == 404
    assert run_next_file()
    assert not run_next_file()
    file.refresh_from_db()
    assert (file.status, file.done) == ("released", 10)
    read = [code for part in bytes_of(file) for code in read_pdf(part)]
    wanted = Unit.objects.filter(run=run.uid, state="issued").values_list("code", flat=True)
    assert sorted(uri.rpartition("/")[2] for uri in read) == sorted(wanted)
    assert run.steps.filter(step="printed", first=1, last=10).count() == 1
    assert "SHA-256" in client.get(address).content.decode()
    got = client.post(f"{address}1")
    assert b"".join(got.streaming_content) == bytes_of(file)[0]  # type: ignore[attr-defined]
    assert run.steps.filter(step="downloaded", first=1, last=5, by=world.distillery.user).count() == 1
    # Another file of the same labels is a reprint, and needs a reason.
    again = client.post(f"/labels/{run.uid}/files/", {**wish, "key": "g"})
    assert again.status_code == 422
    assert "reason" in again.context["file_form"].errors
    for other in (world.shop, world.walnuts):
        sign_in(client, other)
        assert client.get(address).status_code == 404
        assert client.post(f"{address}1").status_code == 404
    assert forget_files(now=timezone.now() + files.LEASE) == 0
    assert forget_files(now=timezone.now() + datetime.timedelta(days=31)) == 2
    sign_in(client, world.distillery)
    assert client.post(f"{address}1").status_code == 404


@pytest.mark.django_db
def test_forgetting_a_file_leaves_the_same_bytes_to_a_younger_one(world: World) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=3, key="a")
    wish: dict[str, Any] = {"by": world.distillery, "run": run, "kind": "packet", "first": 1, "last": 3}
    old, young = (order_file(key=key, **wish) for key in ("1", "2"))
    while run_next_file():
        pass
    month = datetime.timedelta(days=31)
    LabelFile.objects.filter(pk=old.pk).update(created_at=timezone.now() - month)
    assert old.parts.get().sha256 == young.parts.get().sha256
    assert forget_files() == 1
    assert path_of(young.parts.get().sha256).exists()
    assert forget_files(now=timezone.now() + month) == 1
    assert not path_of(young.parts.get().sha256).exists()


def test_zpl_moves_the_label_to_the_left_and_up_by_commands_that_take_it() -> None:
    label = LabelContent(uri="https://trace.example.cn/c/000000000000", title="示例")
    zpl = render_zpl([label], layout("roll-60x40"), offset=(-1.0, -2.0))
    assert "^LH0,0^LS8^LT-16" in zpl


@pytest.mark.django_db
def test_a_file_of_a_lot_blocked_meanwhile_is_neither_made_nor_handed_out(world: World, client: Client) -> None:
    lot = bottled(world)
    run = issue_codes(by=world.distillery, lot=lot, count=3, key="a")
    made, late = (
        order_file(by=world.distillery, run=run, key=key, kind="packet", first=1, last=3) for key in ("1", "2")
    )
    assert run_next_file()
    held(world, lot, "recall", "黄曲霉毒素超标")
    assert run_next_file()
    late.refresh_from_db()
    assert late.status == "failed"
    assert "黄曲霉毒素超标" in late.problem
    sign_in(client, world.distillery)
    assert client.post(f"/labels/{run.uid}/files/{made.uid}/1").status_code == 409


@pytest.mark.django_db
def test_the_packet_lists_codes_and_its_checksums_hold(world: World) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=3, key="a")
    file = order_file(by=world.distillery, run=run, key="f", kind="packet", first=2, last=3)
    assert run_next_file()
    (data,) = bytes_of(file)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    listed = [line.split("  ") for line in inside["SHA256SUMS"].decode().splitlines()]
    sums = {name: digest for digest, name in listed}
    assert sums == {name: hashlib.sha256(inside[name]).hexdigest() for name in ("codes.csv", "label.txt")}
    rows = list(csv.reader(io.StringIO(inside["codes.csv"].decode("utf-8-sig"))))
    codes = dict(Unit.objects.filter(run=run.uid).values_list("number", "code"))
    assert [(row[0], row[1]) for row in rows[1:]] == [(str(number), codes[number]) for number in (2, 3)]
    assert "示例清香白酒" in inside["label.txt"].decode()
    # Handing out codes for a print house is no print of ours.
    assert not run.steps.filter(step="printed").exists()


@pytest.mark.django_db
def test_zpl_stores_the_chinese_once_and_leaves_codes_to_the_printer(world: World) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=3, key="a", layout="roll-40x30")
    file = order_file(by=world.distillery, run=run, key="f", kind="zpl", first=1, last=3)
    assert run_next_file()
    text = bytes_of(file)[0].decode()
    assert text.count("~DGR:SHARED.GRF,") == 1
    assert text.count("^XGR:SHARED.GRF,1,1") == 3
    codes = Unit.objects.filter(run=run.uid).order_by("number").values_list("code", flat=True)
    asked = [line.split("^FDMA,")[1].split("^FS")[0] for line in text.splitlines() if "^BQN,2,4" in line]
    assert [uri.rpartition("/")[2] for uri in asked] == list(codes)
    _head, total, stride, digits = text.split("~DG")[1].splitlines()[0].split(",")
    assert len(digits) == 2 * int(total)
    picture = Image.frombytes("1", (int(stride) * 8, int(total) // int(stride)), bytes.fromhex(digits))
    black = sum(picture.convert("L").histogram()[255:])
    assert 0.01 < black / (picture.width * picture.height) < 0.25
    refused(
        "zpl_needs_roll",
        order_file,
        by=world.distillery,
        run=issue_codes(by=world.distillery, lot=run.lot, count=1, key="b"),
        key="g",
        kind="zpl",
        first=1,
        last=1,
    )


@pytest.mark.django_db
def test_bad_wishes_for_a_file_are_refused_and_nothing_is_ordered(world: World) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=3, key="a")
    good = {"by": world.distillery, "run": run, "key": "f", "kind": "pdf", "first": 1, "last": 3}
    for change, code in (
        ({"kind": "exe"}, "unknown_choice"),
        ({"key": ""}, "run_key_required"),
        ({"first": 0}, "bad_range"),
        ({"last": 10**30}, "bad_range"),
        ({"start": 25}, "bad_start"),
        ({"offset": (0.0, 5.1)}, "bad_offset"),
        ({"offset": (float("inf"), 0.0)}, "bad_offset"),
        ({"by": world.walnuts}, "not_own"),
    ):
        refused(code, order_file, **{**good, **change})
    assert not LabelFile.objects.exists()


@pytest.mark.django_db
def test_the_ledger_adds_up_and_more_labels_than_units_are_shown(world: World, client: Client) -> None:
    lot = bottled(world, amount="2")  # litres; a bottle holds half a litre
    run = issue_codes(by=world.distillery, lot=lot, count=4, key="a")
    assert labels_beyond(lot) is None
    assert labels_beyond(lot, 1) == (5, 4)
    assert apply_codes(by=world.distillery, run=run, first=1, last=2) == 2
    assert apply_codes(by=world.distillery, run=run, first=1, last=2) == 0
    except_units(
        by=world.distillery, units=list(Unit.objects.filter(run=run.uid, number=3)), kind="spoiled", reason="撕坏"
    )
    tally = tally_of(run)
    assert (tally.issued, tally.applied, tally.spoiled, tally.void, tally.open) == (4, 2, 1, 0, 1)
    issue_codes(by=world.distillery, lot=lot, count=3, key="b")
    assert (tally_of_lot(lot).issued, labels_beyond(lot)) == (7, (6, 4))
    assert run.steps.filter(step="applied", by=world.distillery.user).count() == 1
    sign_in(client, world.distillery)
    page = client.get(f"/lots/{lot.uid}/").content.decode()
    assert "签发 7 = 已贴 2 + 损坏 1 + 作废 0 + 未用 4" in page
    assert "标签比商品多" in page
    assert "标签比商品多" in client.get(f"/labels/{run.uid}/").content.decode()


@pytest.mark.django_db
def test_a_label_carries_a_geographical_indication_only_with_its_permit(world: World) -> None:
    product = make_product(world.walnuts.organisation, "GI", "示例汾州核桃", gi_claim="汾州核桃", packs={"袋": "1/2"})
    lot = made(world.walnuts, product, code="GI1")
    run = issue_codes(by=world.walnuts, lot=lot, count=1, key="a")
    unit = Unit.objects.get(run=run.uid)
    assert "地理标志" not in dict(contents(run, [unit])[0].extras)
    today = timezone.localdate()
    permit = Certificate.objects.create(
        organisation=world.walnuts.organisation,
        kind="gi_use",
        number="示例-1",
        granted_by=world.province.organisation,
        valid_from=today,
        valid_until=today,
    )
    assert dict(contents(run, [unit])[0].extras)["地理标志"] == "汾州核桃"
    permit.revoked_at = timezone.now()
    permit.save(update_fields=["revoked_at"])
    assert "地理标志" not in dict(contents(run, [unit])[0].extras)


@pytest.mark.django_db
def test_packing_a_bottle_shows_that_its_label_is_on_it(world: World) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=3, key="a")
    codes = list(Unit.objects.filter(run=run.uid).order_by("number").values_list("code", flat=True))
    pack_units(by=world.distillery, parent="", children=codes[:2], when=When(BOTTLED_AT))
    assert (tally_of(run).applied, tally_of(run).open) == (2, 1)
    assert not rebuild(write=False).differences


@pytest.mark.once
def test_a_code_that_no_decoder_reads_is_found() -> None:
    good = matrix("https://trace.example.cn/c/0123456789AB", Level.M)
    assert read_back(good) == good.data
    broken = type(good)(good.data, good.level, good.version, good.modules ^ (1 << 400) - 1 << 200)
    other = type(good)("https://trace.example.cn/c/0123456789AC", good.level, good.version, good.modules)
    assert first_unread([good, good]) is None
    assert first_unread([good, broken]) == 2
    assert first_unread([other]) == 1


WORKER = """
import sys
import django
django.setup()
from labels.actions import files, runs
from labels.models import LabelFile
runs.MORE_CODES = 40
files.PART_LABELS = dict.fromkeys(LabelFile.Kind, 48)
import datetime
files.LEASE = datetime.timedelta(seconds=1)
print("ready", flush=True)
while runs.run_next_issue() or files.run_next_file():
    pass
print("done", flush=True)
"""


def test_workers_killed_at_any_point_lose_no_code_and_double_none(
    committed_db: CommittedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "FIRST_CODES", 10)
    world = make_world()
    run = issue_codes(by=world.distillery, lot=bottled(world, amount="1000"), count=400, key="a")

    def worker() -> Loaded:
        process = Loaded("-c", WORKER, env=committed_db.env())
        assert process.stdout.readline() == "ready\n"
        return process

    ordered = False
    for delay in (0.05, 0.12, 0.2, 0.3, 0.45, 0.6):
        process = worker()
        time.sleep(delay)
        process.kill()  # one that has done everything by now has ended
        process.communicate()
        run.refresh_from_db()
        assert Unit.objects.filter(run=run.uid).count() == run.issued
        if run.issued == 400 and not ordered:
            order_file(by=world.distillery, run=run, key="f", kind="pdf", first=1, last=400)
            ordered = True
    # Whoever is left finishes; a claim of the dead runs out after a second.
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        process = worker()
        process.communicate(timeout=60)
        run.refresh_from_db()
        if run.issued == 400 and not ordered:
            order_file(by=world.distillery, run=run, key="f", kind="pdf", first=1, last=400)
            ordered = True
        elif ordered and not LabelFile.objects.exclude(status="released").exists():
            break
        time.sleep(0.3)
    file = LabelFile.objects.get()
    assert (file.status, file.done) == ("released", 400)
    assert [(part.first, part.last) for part in file.parts.all()] == parts_of_48(400)
    numbers = list(Unit.objects.filter(run=run.uid).order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, 401))
    assert CodeRun.objects.get().steps.filter(step="printed").count() == 1
    read = [code.rpartition("/")[2] for part in bytes_of(file) for code in read_pdf(part)]
    assert sorted(read) == sorted(Unit.objects.filter(run=run.uid).values_list("code", flat=True))


def parts_of_48(count: int) -> list[tuple[int, int]]:
    """Parts of two sheets each."""
    return [(first, min(first + 47, count)) for first in range(1, count + 1, 48)]


def test_a_page_that_is_not_drawn_as_it_should_be_is_not_released(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = issue_codes(by=world.distillery, lot=bottled(world), count=30, key="drawn")
    except_units(by=world.distillery, units=list(Unit.objects.filter(number__lte=2)), kind="spoiled", reason="打坏")

    def smudged(labels: Any, *args: Any, **kwargs: Any) -> bytes:
        return render_sheet([labels[0], labels[0], *labels[2:]], *args, **kwargs)

    monkeypatch.setattr(files, "render_sheet", smudged)
    file = order_file(by=world.distillery, run=run, key="f", kind="pdf", first=1, last=24)
    while run_next_file():
        pass
    file.refresh_from_db()
    # Two labels are spoiled and left out: the second one drawn is the fourth of the run.
    assert (file.status, file.parts.count()) == ("failed", 0)
    assert "第 4 枚画在纸上的二维码读不出来" in file.problem
