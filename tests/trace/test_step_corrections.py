"""What was entered wrongly is declared and stated again; what comes with steps: reports, files, packs, conflicts."""

import io
from typing import Any

import pytest
from django.conf import settings
from PIL import Image

from tests.goods import day, make_lot, stock_of, turn_into
from tests.trace.step_pages import WHEN, Stage, errors_of, filled, open_form, post, recorded, shown, signed, url_of
from tests.world import World, make_product
from trace.actions.conflicts import answer_conflict
from trace.actions.corrections import declare_error
from trace.actions.events import When
from trace.actions.files import path_of
from trace.actions.packs import pack_units, unpack_units
from trace.actions.rebuild import rebuild
from trace.errors import DomainError, GuardBroken, Invalid
from trace.models import Conflict, Event, Lot, StoredFile, TestReport, Unit

MILLION = 1_000_000
NOON = When(day(6, hour=12).at)


# --- Corrections ----------------------------------------------------------------------------------------------------


def test_corrected_statement_is_prefilled_and_the_lot_keeps_its_identity(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant)
    (child,) = turn_into(world.walnuts, [(lot, "60")], [(world.kernels, "50")])
    (grandchild,) = turn_into(world.walnuts, [(child, "5")], [(world.kernels, "5")], when=day(2))
    client = signed(world.walnuts)
    wrong = child.origin_event
    page = client.get(f"/events/{wrong.uid}/correct/")
    assert [(one.lot, one.used_in) for one in page.context["consequences"]] == [(child, 1)]
    page = post(client, f"/events/{wrong.uid}/correct/", {"reason": "incorrect_data", "remark": "数量写错"})
    assert page.url == url_of(wrong.template, replaces=wrong.uid)
    form = open_form(client, page.url)
    values = shown(form)
    assert values["inputs-0-amount"] == "60"
    assert values["outputs-0-amount"] == "50"
    assert values["outputs-0-lot_code"] == child.lot_code
    assert values["d_reason"] == "示例"
    event = recorded(
        post(client, page.url, values | {"outputs-0-amount": "55", "place": str(world.plant.uid)}), wrong.template
    )
    child.refresh_from_db()
    assert (child.origin_event, child.voided_by, child.made_micros) == (event, None, 55 * MILLION)
    assert event.replaces == wrong
    assert Lot.objects.filter(voided_by=None).count() == 3
    assert grandchild.links_up.get(voided_by=None).parent == child
    assert stock_of(lot, world.walnuts.organisation) == 40 * MILLION
    assert rebuild(write=False).differences == []


def test_a_lot_is_stated_again_by_one_row_only(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant)
    (child,) = turn_into(world.walnuts, [(lot, "60")], [(world.kernels, "50")])
    declare_error(by=world.walnuts, event=child.origin_event, reason="incorrect_data", when=NOON)
    client, url = signed(world.walnuts), url_of(child.origin_event.template, replaces=child.origin_event.uid)
    values = shown(open_form(client, url)) | {"place": str(world.plant.uid), "outputs-0-amount": "30"}
    second = {name.replace("outputs-0", "outputs-1"): value for name, value in values.items() if "outputs-0" in name}
    wanted = values | second | {"outputs-count": "2", "outputs-1-amount": "20", "outputs-1-lot_code": ""}
    event = recorded(post(client, url, wanted), child.origin_event.template)
    child.refresh_from_db()
    made = [(item.lot == child, item.micros) for item in event.items.filter(role="output").order_by("number")]
    assert made == [(True, 30 * MILLION), (False, 20 * MILLION)]
    assert child.made_micros == stock_of(child, world.walnuts.organisation) == 30 * MILLION


def test_the_code_of_a_lot_declared_wrong_is_kept_for_it(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant)
    (child,) = turn_into(world.walnuts, [(lot, "60")], [(world.kernels, "50")])
    declare_error(by=world.walnuts, event=child.origin_event, reason="incorrect_data", when=NOON)
    (other,) = turn_into(world.walnuts, [(lot, "10")], [(world.kernels, "10")])
    assert other.lot_code != child.lot_code
    client, url = signed(world.walnuts), url_of(child.origin_event.template, replaces=child.origin_event.uid)
    values = shown(open_form(client, url)) | {"place": str(world.plant.uid)}
    Lot.objects.filter(pk=other.pk).update(lot_code=child.lot_code)  # given to it by hand meanwhile
    assert errors_of(post(client, url, values)) == {"outputs-0-lot_code": ["lot_code_taken"]}
    Lot.objects.filter(pk=other.pk).update(lot_code="OTHER-1")
    assert recorded(post(client, url, values), child.origin_event.template).items.get(role="output").lot == child


def test_both_statements_are_readable_from_each_other(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant)
    client = signed(world.walnuts)
    page = post(client, f"/events/{lot.origin_event.uid}/correct/", {"reason": "incorrect_data"})
    event = recorded(post(client, page.url, shown(open_form(client, page.url))), "common.opening")
    declared = lot.origin_event.corrections.get()
    old = client.get(f"/events/{lot.origin_event.uid}/")
    assert (old.context["declared"], old.context["replacement"]) == (declared, event)
    assert str(event.uid) in old.content.decode()
    assert client.get(f"/events/{event.uid}/").context["replaces"] == lot.origin_event
    assert client.get(f"/events/{declared.uid}/").context["corrects"] == lot.origin_event
    again = post(client, page.url, shown(open_form(client, page.url)))
    assert errors_of(again) == {"__all__": ["already_replaced"]}


def test_other_goods_in_the_corrected_statement_are_another_lot(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant)
    other = make_product(world.walnuts.organisation, "HTQ", "示例核桃")
    client = signed(world.walnuts)
    url = post(client, f"/events/{lot.origin_event.uid}/correct/", {"reason": "incorrect_data"}).url
    values = shown(open_form(client, url)) | {"outputs-0-product": str(other.uid)}
    event = recorded(post(client, url, values), "common.opening")
    lot.refresh_from_db()
    assert lot.voided_by is not None
    assert Lot.objects.get(origin_event=event).product == other


def test_event_that_did_not_happen_is_not_stated_again(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100")
    client = signed(world.walnuts)
    page = post(client, f"/events/{lot.origin_event.uid}/correct/", {"reason": "did_not_occur"})
    assert page.url == f"/events/{lot.origin_event.uid}/"
    assert client.get(page.url).context["restate_url"] == ""
    again = post(client, f"/events/{lot.origin_event.uid}/correct/", {"reason": "did_not_occur"})
    assert again.status_code == 422
    assert again.context["form"].errors.as_data()["__all__"][0].code == "already_declared"


def test_only_an_own_event_declared_wrong_is_stated_again(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100")
    assert signed(world.walnuts).get(url_of("common.opening", replaces=lot.origin_event.uid)).status_code == 404
    assert signed(world.distillery).get(f"/events/{lot.origin_event.uid}/correct/").status_code == 404
    assert signed(world.county).get(f"/events/{lot.origin_event.uid}/correct/").status_code == 404
    declare_error(by=world.walnuts, event=lot.origin_event, reason="incorrect_data", when=NOON)
    assert signed(world.walnuts).get(url_of("common.rework", replaces=lot.origin_event.uid)).status_code == 404
    assert signed(world.distillery).get(url_of("common.opening", replaces=lot.origin_event.uid)).status_code == 404


@pytest.mark.parametrize("code", ["walnut.test", "common.receive", "common.sell", "baijiu.blend", "walnut.crack"])
def test_every_kind_of_step_is_prefilled_with_what_was_entered(world: World, code: str) -> None:
    stage = Stage(world)
    more: dict[str, str] = {}
    if code == "common.sell":
        stage.sent()
        more = {"subjects-0-lot": f"{stage.lots[0].uid}@{world.plant.uid}"}
    if code == "common.receive":
        more = {"outputs-0-lot_code": "SUP-77"}
    if code == "walnut.test":
        more = {"report_no": "示例-2026-9", "issued_on": "2026-10-01", "lab_cma": ""}
    client = signed(world.walnuts)
    form = open_form(client, url_of(code))
    values = {key: value for key, value in (filled(form) | more).items() if value}
    wrong = recorded(post(client, url_of(code), values), code)
    declare_error(by=world.walnuts, event=wrong, reason="incorrect_data", when=NOON)
    url = url_of(code, replaces=wrong.uid)
    kept, page = shown(open_form(client, url)), client.get(url).content.decode()
    assert [name for name in kept if f'name="{name}"' not in page] == []
    event = recorded(post(client, url, kept), code)
    assert event.replaces == wrong
    assert event.data == wrong.data
    said = [(item.role, item.lot_id, item.micros, item.entered, item.entered_unit) for item in event.items.all()]
    assert said == [
        (each.role, each.lot_id, each.micros, each.entered, each.entered_unit) for each in wrong.items.all()
    ]
    assert rebuild(write=False).differences == []


# --- Reports --------------------------------------------------------------------------------------------------------


def test_report_is_judged_and_not_detected_is_not_zero(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant)
    client = signed(world.walnuts)
    values = {
        "when_on": WHEN,
        "when_at": "09:00",
        "subjects-count": "1",
        "subjects-0-lot": str(lot.uid),
        "subjects-0-amount": "0.5",
        "d_moisture_0": "4.2",
        "d_moisture_1": "=",
        "d_acid_value_0": "1.1",
        "d_acid_value_1": "<",
        "d_peroxide_0": "0.03",
        "d_peroxide_1": "=",
        "d_afb1_0": "0.5",
        "d_afb1_1": "nd",
        "lab_name": "示例检测技术服务有限公司",
        "lab_cma": "231400340123",
        "report_no": "示例-88",
        "issued_on": "2026-10-02",
        "purpose": "出厂检验",
    }
    event = recorded(post(client, url_of("walnut.test"), values), "walnut.test")
    report = TestReport.objects.get(event=event)
    results = {row.parameter: row for row in report.results.all()}
    assert (results["afb1"].operator, results["afb1"].loq, results["afb1"].value) == ("nd", "0.5", "")
    assert (results["acid_value"].operator, results["acid_value"].value) == ("<", "1.1")
    assert "afb1" in event.data
    assert event.data["afb1"] == "未检出(<0.5)"
    assert stock_of(lot, world.walnuts.organisation) == 99_500_000
    page = client.get(f"/reports/{report.uid}/")
    assert "未检出" in page.content.decode()
    assert client.get("/reports/").context["page"].object_list[0] == report
    for change, field, code in (
        ({"lab_cma": "12"}, "lab_cma", "cma_shape"),
        ({"issued_on": "2199-01-01"}, "issued_on", "in_future"),
        ({"issued_on": ""}, "issued_on", "required"),
        ({"report_no": ""}, "report_no", "required"),
        ({"lab_name": ""}, "lab", "laboratory_required"),
        ({"purpose": "随便"}, "purpose", "unknown_choice"),
        ({"d_moisture_0": "湿"}, "d_moisture", "not_a_number"),
        ({"d_moisture_0": ""}, "d_moisture", "required"),
    ):
        page = post(client, url_of("walnut.test"), values | {"report_no": "示例-89"} | change)
        assert errors_of(page) == {field: [code]}, change
    again = post(client, url_of("walnut.test"), values)
    assert errors_of(again) == {"report_no": ["report_exists"]}


def test_sample_is_taken_before_its_report_exists(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant)
    values = {
        "when_on": WHEN,
        "subjects-count": "1",
        "subjects-0-lot": str(lot.uid),
        "subjects-0-amount": "1",
        "lab": str(world.lab.organisation.uid),
        "purpose": "委托检验",
    }
    event = recorded(post(signed(world.walnuts), url_of("common.sample"), values), "common.sample")
    assert event.data["lab"] == str(world.lab.organisation.uid)
    assert not TestReport.objects.exists()
    assert world.lab.organisation.name in signed(world.walnuts).get(f"/events/{event.uid}/").content.decode()


def test_laboratory_reports_on_a_lot_whose_label_it_can_read(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "100", place=world.plant)
    client = signed(world.lab)
    assert client.get("/reports/new/", {"q": lot.lot_code}).status_code == 404
    values = {
        "when_on": WHEN,
        "subjects-count": "1",
        "subjects-0-code": lot.public_code,
        "d_sample_qty": "0.5",
        "d_items-count": "1",
        "d_items-0-parameter": "黄曲霉毒素B1",
        "d_items-0-measured_0": "7.2",
        "d_items-0-measured_1": "=",
        "d_items-0-unit": "ug/kg",
        "d_items-0-limit": "≤5.0",
        "lab": str(world.lab.organisation.uid),
        "report_no": "示例-5",
        "issued_on": "2026-10-02",
        "purpose": "委托检验",
    }
    event = recorded(post(client, url_of("common.sample"), values), "common.sample")
    report = TestReport.objects.get(event=event)
    assert (report.verdict, report.laboratory, report.lot) == ("fail", world.lab.organisation, lot)
    assert event.data["items"][0]["verdict"] == "fail"
    assert stock_of(lot, world.walnuts.organisation) == 100 * MILLION


# --- Files ----------------------------------------------------------------------------------------------------------


def photo(**how: Any) -> io.BytesIO:
    """A photograph with the place and owner in it."""
    image = Image.new("RGB", (60, 40), "green")
    exif = Image.Exif()
    exif[0x010E] = "王示例 13800000000"
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[2] = (37.0, 15.0, 0.0)
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    out.seek(0)
    out.name = how.get("name", "照片.jpg")
    return out


def named(content: bytes, name: str) -> io.BytesIO:
    """Bytes as an upload."""
    out = io.BytesIO(content)
    out.name = name
    return out


@pytest.fixture
def entry(world: World) -> dict[str, Any]:
    """A stock on hand to be recorded."""
    return {
        "when_on": WHEN,
        "when_at": "09:00",
        "place": str(world.plant.uid),
        "outputs-count": "1",
        "outputs-0-product": str(world.kernels.uid),
        "outputs-0-amount": "5",
        "d_basis": "示例台账",
    }


def test_photographs_lose_what_is_beside_their_pixels(world: World, entry: dict[str, Any]) -> None:
    client = signed(world.walnuts)
    pdf = named(b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n%%EOF\n", "单据.pdf")
    event = recorded(post(client, url_of("common.opening"), entry | {"files": [photo(), pdf]}), "common.opening")
    kept = {file.name: file for file in event.files.all()}
    assert set(kept) == {"照片.jpg", "单据.pdf"}
    stored = path_of(kept["照片.jpg"].sha256).read_bytes()
    assert b"13800000000" not in stored
    image = Image.open(io.BytesIO(stored))
    assert (image.format, image.size, dict(image.getexif())) == ("JPEG", (40, 60), {}), "turned upright, nothing else"
    answer = client.get(f"/files/{kept['单据.pdf'].uid}/")
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer.getvalue().startswith(b"%PDF-")
    assert signed(world.distillery).get(f"/files/{kept['照片.jpg'].uid}/").status_code == 404
    seen = signed(world.county).get(f"/files/{kept['照片.jpg'].uid}/")
    assert (seen.status_code, seen["Content-Type"], seen["X-Content-Type-Options"]) == (200, "image/jpeg", "nosniff")
    assert seen.getvalue() == stored


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (b"", "空.jpg", "file_empty"),
        (b"<script>alert(1)</script>", "假.jpg", "file_type"),
        (b"PK\x03\x04", "表.xlsx", "file_type"),
        (b"%PDF-1.4 cut off", "断.pdf", "file_broken"),
        (b"\xff\xd8\xff\xe0" + b"\x00" * 40, "坏.jpg", "file_type"),
    ],
)
def test_what_is_no_photograph_or_pdf_is_refused(
    world: World, entry: dict[str, Any], content: bytes, name: str, code: str
) -> None:
    page = post(signed(world.walnuts), url_of("common.opening"), entry | {"files": [named(content, name)]})
    assert (page.status_code, errors_of(page)) == (422, {"files": [code]})
    assert not Event.objects.exists()
    assert not StoredFile.objects.exists()


def test_too_large_and_too_many_files_are_refused(world: World, entry: dict[str, Any], settings: Any) -> None:
    settings.UPLOAD_MAX_BYTES = 300
    client = signed(world.walnuts)
    page = post(
        client, url_of("common.opening"), entry | {"files": [named(b"%PDF-" + b"x" * 400 + b"%%EOF", "大.pdf")]}
    )
    assert errors_of(page) == {"files": ["file_too_large"]}
    page = post(client, url_of("common.opening"), entry | {"files": [photo() for _ in range(10)]})
    assert errors_of(page) == {"files": ["too_many_files"]}


def test_uploads_stay_when_the_form_comes_back(world: World, entry: dict[str, Any]) -> None:
    client = signed(world.walnuts)
    page = post(client, url_of("common.opening"), entry | {"d_basis": "", "files": [photo()]})
    assert errors_of(page) == {"d_basis": ["required"]}
    (kept,) = page.context["kept"]
    assert f'name="kept" value="{kept.uid}"' in page.content.decode()
    event = recorded(post(client, url_of("common.opening"), entry | {"kept": str(kept.uid)}), "common.opening")
    assert list(event.files.all()) == [kept]


def test_the_same_bytes_are_stored_once(world: World, entry: dict[str, Any]) -> None:
    client = signed(world.walnuts)
    for _ in range(2):
        recorded(post(client, url_of("common.opening"), entry | {"files": [photo()]}), "common.opening")
    first, second = StoredFile.objects.order_by("id")
    assert first.sha256 == second.sha256
    assert path_of(first.sha256).is_relative_to(settings.MEDIA_ROOT)


# --- Packs ----------------------------------------------------------------------------------------------------------


def test_units_go_into_a_carton_and_out_again(world: World) -> None:
    carton, one, two, three = Stage(world).units()
    pack_units(by=world.walnuts, parent=carton.code, children=[one.code, two.code, three.code], when=NOON)
    assert set(carton.children.values_list("code", flat=True)) == {one.code, two.code, three.code}
    unpack_units(by=world.walnuts, parent=carton.code, children=[two.code], when=NOON)
    assert carton.children.count() == 2
    captured = unpack_units(by=world.walnuts, parent=carton.code, when=NOON)
    assert carton.children.count() == 0
    assert captured.event.data["children"] == [one.code, three.code]
    assert rebuild(write=False).differences == []


def test_unit_in_another_carton_is_refused_and_flagged_when_insisted(world: World) -> None:
    first, second, bottle, _more = Stage(world).units()
    Unit.objects.filter(pk=second.pk).update(level=Unit.Level.CARTON)
    pack_units(by=world.walnuts, parent=first.code, children=[bottle.code], when=NOON)
    with pytest.raises(GuardBroken) as refused:
        pack_units(by=world.walnuts, parent=second.code, children=[bottle.code], when=NOON)
    assert refused.value.code == "already_packed"
    captured = pack_units(by=world.walnuts, parent=second.code, children=[bottle.code], when=NOON, insist=True)
    assert [conflict.code for conflict in captured.conflicts] == ["already_packed"]
    bottle.refresh_from_db()
    assert bottle.parent == second
    declare_error(by=world.walnuts, event=captured.event, reason="did_not_occur", when=NOON)
    bottle.refresh_from_db()
    assert bottle.parent == first, "the standing event says where it lies"
    assert rebuild(write=False).differences == []


def test_what_cannot_be_packed_is_refused(world: World) -> None:
    carton, one, two, _three = Stage(world).units()
    Unit.objects.filter(pk=two.pk).update(state=Unit.State.VOID)
    for parent, children, code in (
        (carton.code, [], "children_required"),
        (carton.code, ["222222222222"], "unit_unknown"),
        (carton.code, [two.code], "unit_void"),
        (one.code, [carton.code], "pack_level"),
        (carton.code, [carton.code], "pack_level"),
        ("222222222222", [one.code], "unit_unknown"),
        ("095200000000000012", [one.code], "sscc_check"),
        ("短", [one.code], "serial_length"),
        (carton.code, [one.code] * 2001, "too_many_items"),
    ):
        with pytest.raises(Invalid) as refused:
            pack_units(by=world.walnuts, parent=parent, children=children, when=NOON)
        assert refused.value.code == code
    with pytest.raises(Invalid) as stranger:
        pack_units(by=world.distillery, parent=carton.code, children=[one.code], when=NOON)
    assert stranger.value.code == "unit_unknown"
    with pytest.raises(Invalid) as empty:
        unpack_units(by=world.walnuts, parent=carton.code, when=NOON)
    assert empty.value.code == "pack_empty"
    assert not Event.objects.filter(template="common.pack").exists()


def test_new_pallet_is_known_by_its_sscc(world: World) -> None:
    carton, *_bottles = Stage(world).units()
    pack_units(
        by=world.walnuts, parent="(00)095200000000000011", children=[carton.code], when=NOON, code="common.palletise"
    )
    pallet = Unit.objects.get(code="095200000000000011")
    assert (pallet.level, pallet.organisation) == ("pallet", world.walnuts.organisation)
    assert list(pallet.children.all()) == [carton]


def test_rebuild_puts_misplaced_units_back(world: World) -> None:
    carton, one, *_rest = Stage(world).units()
    pack_units(by=world.walnuts, parent=carton.code, children=[one.code], when=NOON)
    Unit.objects.filter(pk=one.pk).update(parent=None)
    assert len(rebuild(write=True).differences) == 1
    one.refresh_from_db()
    assert one.parent == carton


# --- Conflicts ------------------------------------------------------------------------------------------------------


@pytest.fixture
def conflict(world: World) -> Conflict:
    """A fact recorded against the rules."""
    lot = make_lot(world.walnuts, world.kernels, "10", when=day(3))
    turn_into(world.walnuts, [(lot, "1")], [(world.kernels, "1")], when=day(1), insist=True)
    return Conflict.objects.get()


def test_conflict_is_answered_once_by_who_recorded_it(world: World, conflict: Conflict) -> None:
    client, url = signed(world.walnuts), f"/conflicts/{conflict.uid}/"
    assert client.get("/conflicts/").context["page"].object_list == [conflict]
    for answer, code in (("", "required"), (" ", "required"), ("x" * 501, "text_too_long"), ("a\x00", "text_nul")):
        page = client.post(url, {"answer": answer})
        assert page.status_code == 422
        assert page.context["form"].errors.as_data()["answer"][0].code == code
    assert client.post(url, {"answer": "示例:时间写错,已更正。"}).status_code == 302
    conflict.refresh_from_db()
    assert (conflict.answer, conflict.answered_by) == ("示例:时间写错,已更正。", world.walnuts.user)
    assert client.post(url, {"answer": "再说一次"}).status_code == 422
    assert client.get("/conflicts/?state=answered").context["page"].object_list == [conflict]


def test_regulator_reads_conflicts_of_its_territory_and_answers_none(world: World, conflict: Conflict) -> None:
    url = f"/conflicts/{conflict.uid}/"
    page = signed(world.county).get(url)
    assert (page.status_code, page.context["form"]) == (200, None)
    assert signed(world.other_county).get(url).status_code == 404
    assert signed(world.distillery).get(url).status_code == 404
    with pytest.raises(DomainError) as refused:
        answer_conflict(by=world.county_approver, conflict=conflict, answer="示例")
    assert refused.value.code in ("not_own", "role_required")
