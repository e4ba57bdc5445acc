"""Labels by API: issue, list, draw, print, spoil, void; and what a code says to anybody."""

import base64
import io
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from PIL import Image

from labels.models import CodeRun, CodeStep
from tests.labels.goods import bottled, held
from tests.trace.api_client import Api, api_of, assert_problem, body, person, queries
from tests.world import World
from trace.models import HoldSet, Lot, Unit


@pytest.fixture
def lot(world: World) -> Lot:
    return bottled(world)


def issue(api: Api, lot: Lot, count: int = 3, **more: Any) -> Any:
    """Ask for codes."""
    return api.post(f"/lots/{lot.uid}/code-runs", {"count": count, **more})


def ok(answer: Any, status: int = 200) -> Any:
    """The body of an answer that went well."""
    assert answer.status_code == status, answer.content.decode()
    return body(answer)


def test_codes_are_issued_once_listed_and_drawn(world: World, lot: Lot) -> None:
    api = api_of(world.distillery)
    first = api.post(f"/lots/{lot.uid}/code-runs", {"count": 3}, key="k1")
    assert api.post(f"/lots/{lot.uid}/code-runs", {"count": 3}, key="k1").content == first.content
    run = ok(first, 201)
    assert Unit.objects.count() == 3
    assert (run["gtin"], run["first_number"], run["status"]) == ("09520000010010", 1, "issued")
    assert ok(api.get(f"/code-runs/{run['uid']}")) == run
    assert ok(api.get("/code-runs", lot=str(lot.uid)))["items"] == [run]
    page = ok(api.get(f"/code-runs/{run['uid']}/units", order="oldest", limit=2))
    rest = ok(api.get(f"/code-runs/{run['uid']}/units", order="oldest", limit=2, cursor=page["next"]))
    units = page["items"] + rest["items"]
    assert [unit["number"] for unit in units] == [1, 2, 3]
    assert rest["next"] is None
    picture = api.get(f"/code-runs/{run['uid']}/code.png", number=2)
    assert picture["Content-Type"] == "image/png"
    seen = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture.content)))
    assert [code.text for code in seen] == [units[1]["uri"]]
    drawing = api.get(f"/code-runs/{run['uid']}/code.svg", number=2)
    assert drawing["Content-Type"] == "image/svg+xml"
    assert drawing.content.startswith(b"<svg")


def test_two_callers_with_the_same_key_get_two_runs(world: World, lot: Lot) -> None:
    for _ in range(2):
        ok(api_of(world.distillery).post(f"/lots/{lot.uid}/code-runs", {"count": 1}, key="k1"), 201)
    assert CodeRun.objects.count() == 2


def test_labels_are_printed_once_and_a_repeat_is_the_same_paper(world: World, lot: Lot) -> None:
    api = api_of(world.distillery)
    run = ok(issue(api, lot, 30), 201)
    path = f"/code-runs/{run['uid']}/prints"
    first = api.post(path, {"first": 1, "last": 24}, key="k1")
    printed = ok(first, 201)
    assert api.post(path, {"first": 1, "last": 24}, key="k1").content == first.content
    assert CodeStep.objects.filter(step="printed").count() == 1
    document = base64.b64decode(printed["document"])
    assert document.startswith(b"%PDF")
    sheet = pypdfium2.PdfDocument(document)
    picture = sheet[0].render(scale=300 / 72).to_pil()
    found = {code.text for code in zxingcpp.read_barcodes(picture)}
    units = ok(api.get(f"/code-runs/{run['uid']}/units", order="oldest", limit=24))["items"]
    assert found == {unit["uri"] for unit in units}
    assert_problem(api.post(path, {"first": 24, "last": 25}), 422, "reprint_reason_required")
    assert ok(api.post(path, {"first": 24, "last": 25, "reason": "标签纸卡住"}), 201)["step"] == "reprinted"
    assert_problem(api.post(path, {"first": 5, "last": 4}), 422, "bad_range")
    assert_problem(api.post(path, {"first": 1, "last": 31}), 422, "bad_range")
    assert ok(api.post(path, {"first": 1, "last": 1, "test": True}), 201)["step"] == "test_printed"
    sheet.close()


def test_a_blocked_lot_gets_no_labels(world: World, lot: Lot) -> None:
    api = api_of(world.distillery)
    run = ok(issue(api, lot), 201)
    held(world, lot, HoldSet.Kind.HOLD)
    assert_problem(issue(api, lot), 409, "lot_blocked")
    found = assert_problem(api.post(f"/code-runs/{run['uid']}/prints", {"first": 1, "last": 1}), 409, "lot_blocked")
    assert found["details"]["insistable"] is False
    for name in ("code.svg", "code.png"):
        assert_problem(api.get(f"/code-runs/{run['uid']}/{name}"), 409, "lot_blocked")
    assert CodeRun.objects.count() == 1


def test_spoiled_and_void_codes_stay_so(world: World, lot: Lot) -> None:
    api = api_of(world.distillery)
    run = ok(issue(api, lot), 201)
    path = f"/code-runs/{run['uid']}/exceptions"
    spoiled = {"first": 2, "last": 2, "kind": "spoiled", "reason": "标签纸卡住"}
    made = ok(api.post(path, spoiled), 201)
    units = ok(api.get(f"/code-runs/{run['uid']}/units", order="oldest"))["items"]
    assert made[0]["code"] == units[1]["code"]
    assert [unit["state"] for unit in units] == ["issued", "spoiled", "issued"]
    assert_problem(api.post(path, spoiled), 409, "code_already_void")
    assert_problem(api.post(path, {**spoiled, "first": 3, "last": 9}), 422, "bad_range")
    assert_problem(api.post(path, {**spoiled, "reason": " "}), 422, "required")
    assert ok(api.post(f"/code-runs/{run['uid']}/void", {"reason": "整卷印错"}))["status"] == "void"
    assert_problem(api.post(f"/code-runs/{run['uid']}/prints", {"first": 1, "last": 1}), 409, "run_void")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"count": 0}, "out_of_range"),
        ({"count": 1_000_001}, "out_of_range"),
        ({"count": 10**40}, "out_of_range"),
        ({"count": 1, "kind": "sticker"}, "unknown_choice"),
        ({"count": 1, "material": "gold"}, "unknown_choice"),
        ({"count": 1, "occurred_at": "2126-01-01T00:00:00Z"}, "in_future"),
    ],
)
def test_a_bad_order_is_refused(world: World, lot: Lot, sent: dict[str, Any], code: str) -> None:
    found = body(api_of(world.distillery).post(f"/lots/{lot.uid}/code-runs", sent))
    assert (found["status"], found["code"]) == (422, code)
    assert not CodeRun.objects.exists()


def test_an_unknown_layout_is_refused(world: World, lot: Lot) -> None:
    answer = issue(api_of(world.distillery), lot, 1, layout="no-such")
    assert answer.status_code in (404, 422)
    assert not CodeRun.objects.exists()


def test_anothers_run_is_404(world: World, lot: Lot) -> None:
    run = ok(issue(api_of(world.distillery), lot), 201)
    other = api_of(world.walnuts)
    path = f"/code-runs/{run['uid']}"
    for tail in ("", "/units", "/code.svg", "/code.png"):
        assert_problem(other.get(path + tail), 404, "not_found")
    for tail, sent in {
        "/prints": {"first": 1, "last": 1},
        "/void": {"reason": "x"},
        "/exceptions": {"first": 1, "last": 1, "kind": "void", "reason": "x"},
    }.items():
        assert_problem(other.post(path + tail, sent), 404, "not_found")
    assert_problem(issue(other, lot), 404, "not_found")
    assert ok(other.get("/code-runs"))["items"] == []
    county = api_of(world.county)
    assert ok(county.get(path)) == run
    assert_problem(county.get(f"{path}/code.png"), 404, "not_found")


def test_a_viewer_issues_nothing(world: World, lot: Lot) -> None:
    assert_problem(issue(api_of(world.distillery, role="viewer"), lot), 403, "role_required")


def test_anybody_asks_what_a_code_says_and_is_told_of_the_hold_at_once(world: World, lot: Lot) -> None:
    api = person(world.distillery)
    run = ok(issue(api, lot), 201)
    unit = ok(api.get(f"/code-runs/{run['uid']}/units", order="oldest"))["items"][0]
    for asked in (unit["uri"], unit["code"], unit["code"].lower(), lot.public_code):
        found = ok(Api().get("/public/codes", q=asked))
        assert found["verdict"] == "ok"
        assert found["lot_code"] == lot.code
    held(world, lot, HoldSet.Kind.HOLD)
    assert ok(Api().get("/public/codes", q=unit["uri"]))["verdict"] == "held"
    assert_problem(Api().get("/public/codes", q="7K3M9PXW2QRT"), 404, "unknown_code")
    assert_problem(Api().get("/public/codes", q=""), 422, "required")
    assert_problem(Api().get("/public/codes", q="a\x00"), 422, "text_nul")


def test_who_guesses_codes_is_told_to_wait_and_known_codes_still_answer(world: World, lot: Lot) -> None:
    codes = [body(Api().get("/public/codes", q=f"0000000000{number:02d}"))["code"] for number in range(35)]
    assert codes[0] == "unknown_code"
    assert codes[-1] == "too_many"
    assert ok(Api().get("/public/codes", q=lot.public_code))["verdict"] == "ok"


def test_runs_are_listed_with_a_fixed_number_of_queries(world: World, lot: Lot) -> None:
    api = api_of(world.distillery)
    run = ok(issue(api, lot, 60), 201)
    one = queries(api, "/code-runs")
    few = queries(api, f"/code-runs/{run['uid']}/units", limit=1)
    assert queries(api, f"/code-runs/{run['uid']}/units", limit=200) == few
    for _ in range(12):
        ok(issue(api, lot, 1), 201)
    assert queries(api, "/code-runs") == one
    assert len(ok(api.get("/code-runs"))["items"]) == 13
