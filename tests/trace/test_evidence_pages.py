"""Pages about evidence: the laboratory's word, the catalogue of limits, pledges, the run chart."""

import datetime
import io

import openpyxl
import pytest
from django.test import Client
from django.urls import reverse

from tests.goods import day, make_lot, passed, receive, released, ship, turn_into
from tests.world import World, make_licence, sign_in
from trace.actions.evidence import ResultEntry, answer_report, record_report, release_lot
from trace.actions.limits import (
    EditionInput,
    LimitInput,
    add_edition,
    add_limit,
    date_standard,
    declare_limits,
    state_limit,
)
from trace.actor import Actor
from trace.errors import Clash, FieldErrors, GuardBroken, Invalid, NotAllowed, NotFound, StaleState
from trace.models import Conflict, Limit, LimitVersion, Lot, Standard, TestReport
from trace.report_questions import contradictions_of, contradictory_reports, reports_serving, waiting_for_answer
from trace.tracing import answer

pytestmark = pytest.mark.django_db


def says(report: TestReport) -> str:
    """What the laboratory says now."""
    return str(report.laboratory_says)


def named(world: World, lot: Lot, *, by: Actor | None = None, **said: object) -> TestReport:
    fields = {"laboratory_name": "示例检测技术服务有限公司", "report_number": "示例-9", **said}
    return record_report(
        by=by or world.walnuts,
        lot=lot,
        issued_on=day(2).at.date(),
        results=[ResultEntry("afb1", "黄曲霉毒素B1", "1", unit="ug/kg")],
        when=day(2),
        **fields,  # type: ignore[arg-type]
    )


# --- The laboratory's word ------------------------------------------------------------------------------------------


def test_a_laboratory_is_found_by_its_name_or_its_cma_number(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    assert named(world, lot).laboratory == world.lab.organisation
    other = named(world, lot, laboratory_name="另一个示例机构", cma_number="231400340123", report_number="示例-10")
    assert other.laboratory == world.lab.organisation
    outside = named(world, lot, laboratory_name="第三个示例机构", report_number="示例-11")
    assert outside.laboratory is None
    assert [says(row) for row in (other, outside)] == ["unconfirmed", "outside"]


def test_a_laboratory_confirms_and_denies_what_is_issued_in_its_name(world: World) -> None:
    report = named(world, make_lot(world.walnuts, world.kernels))
    assert list(waiting_for_answer(world.lab.organisation)) == [report]
    answer_report(by=world.lab, report=report, answer="denied", reason="没有这个编号")
    assert says(report) == "denied"
    conflict = Conflict.objects.get(code="report_denied")
    assert (conflict.organisation, conflict.answered_at) == (world.walnuts.organisation, None)
    with pytest.raises(Clash) as again:
        answer_report(by=world.lab, report=report, answer="denied", reason="没有这个编号")
    assert again.value.code == "already_answered"
    answer_report(by=world.lab, report=report, answer="confirmed")
    assert says(report) == "confirmed"
    conflict.refresh_from_db()
    assert conflict.answered_at is not None
    assert report.answers.count() == 2
    assert not waiting_for_answer(world.lab.organisation).exists()


def test_only_the_named_laboratory_answers_and_denies_with_a_reason(world: World) -> None:
    report = named(world, make_lot(world.walnuts, world.kernels))
    with pytest.raises(NotFound):
        answer_report(by=world.walnuts, report=report, answer="confirmed")
    with pytest.raises(Invalid) as silent:
        answer_report(by=world.lab, report=report, answer="denied")
    assert silent.value.code == "required"
    own = named(world, make_lot(world.walnuts, world.kernels), by=world.lab, report_number="示例-12")
    assert says(own) == "issued"
    assert own not in waiting_for_answer(world.lab.organisation)


def test_a_denied_report_says_nothing_in_the_trace(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    report = named(world, lot)
    assert [step.state for step in answer(world.walnuts, lot, "back").steps] == ["passed"]
    answer_report(by=world.lab, report=report, answer="denied", reason="没有这个编号")
    assert [step.state for step in answer(world.walnuts, lot, "back").steps] == [""]


def test_the_file_of_reports_says_which_are_denied_as_the_page_does(client: Client, world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    answer_report(by=world.lab, report=named(world, lot), answer="denied", reason="没有这个编号")
    sign_in(client, world.walnuts)
    for address in (reverse("trace:report_list"), f"{reverse('trace:report_list')}?format=csv"):
        page = client.get(address)
        text = b"".join(page.streaming_content) if page.streaming else page.content  # type: ignore[attr-defined]
        assert "检验机构否认" in text.decode()


def test_what_a_report_before_release_did_not_test_is_said(client: Client, world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    report = named(world, lot)
    sign_in(client, world.walnuts_quality)
    words = "没有检验的项目：水分、酸价、过氧化值。"
    form = f"{reverse('trace:step_form', args=['common.release'])}?lot={lot.uid}"
    for page in (reverse("trace:report_detail", args=[report.uid]), form):
        assert words in client.get(page).content.decode()
    moist = [ResultEntry("1", name, "1.0") for name in ("水分", "酸价（以脂肪计）", "过氧化值")]
    record_report(
        by=world.walnuts,
        lot=lot,
        report_number="示例-10",
        issued_on=day(2).at.date(),
        results=moist,
        when=day(2),
        laboratory_name="示例检测技术服务有限公司",
    )
    assert "没有检验的项目" not in client.get(form).content.decode()
    answer_report(by=world.lab, report=report, answer="denied", reason="没有这个编号")
    assert report.report_number + "</a>" not in client.get(form).content.decode()


def test_a_denied_report_releases_nothing(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    report = named(world, lot)
    answer_report(by=world.lab, report=report, answer="denied", reason="结果不符")
    with pytest.raises(GuardBroken):
        release_lot(by=world.walnuts_quality, lot=lot, when=day(3), report=report)
    answer_report(by=world.lab, report=report, answer="confirmed")
    release_lot(by=world.walnuts_quality, lot=lot, when=day(3), report=report)


def test_the_laboratory_answers_on_a_page(client: Client, world: World) -> None:
    report = named(world, make_lot(world.walnuts, world.kernels))
    sign_in(client, world.lab)
    assert "示例-9" in client.get("/reports/named/").content.decode()
    page = f"/reports/{report.uid}/"
    assert "这份报告是本机构出具的吗" in client.get(page).content.decode()
    refused = client.post(f"{page}answer/", {"answer": "denied", "reason": ""})
    assert refused.status_code == 422
    assert client.post(f"{page}answer/", {"answer": "denied", "reason": "没有这个编号"}).status_code == 302
    assert "没有这个编号" in client.get(page).content.decode()
    sign_in(client, world.walnuts)
    assert "检验机构否认" in client.get(page).content.decode()
    assert client.post(f"{page}answer/", {"answer": "confirmed"}).status_code == 404
    assert client.get("/reports/named/").status_code == 404
    sign_in(client, world.county)
    listed = client.get("/reports/contradictions/").content.decode()
    assert "没有这个编号" in listed
    sign_in(client, world.shop)
    assert client.get(page).status_code == 404


def test_contradictions_are_listed_for_the_regulator(world: World) -> None:
    lot, other = make_lot(world.walnuts, world.kernels), make_lot(world.walnuts, world.kernels)
    fine = named(world, lot, cma_number="231400340123", report_number="示例-1")
    strange = named(world, lot, cma_number="231400349999", report_number="示例-2")
    borrowed = named(world, lot, laboratory_name="另一个示例机构", cma_number="231400340123", report_number="示例-3")
    twice = [named(world, each, report_number="示例-4") for each in (lot, other)]
    found = set(contradictory_reports(world.county))
    assert found == {strange, borrowed, *twice}
    assert fine not in found
    assert not contradictory_reports(world.other_county).exists()
    licence = make_licence(world.lab.organisation, "cma", "231400349999")
    assert strange not in contradictory_reports(world.county)
    licence.ended_at = day(3).at
    licence.save()
    assert strange not in contradictory_reports(world.county)
    licence.valid_until = day(1).at.date()
    licence.save()
    assert contradictions_of(contradictory_reports(world.county).get(pk=strange.pk)) == [
        "签发时 CMA 编号 231400349999 已过有效期"
    ]


def test_one_report_serves_what_is_made_of_the_lot(client: Client, world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    report = passed(world.walnuts, lot)
    [pouches] = turn_into(world.walnuts, [(lot, "10")], [(world.kernels, "9")], when=day(3))
    [served] = reports_serving(pouches)
    assert (served.report, served.ancestor, served.level) == (report, lot, 1)
    sign_in(client, world.walnuts)
    page = client.get(f"/lots/{pouches.uid}/").content.decode()
    assert "检验的是上游" in page
    assert lot.code in page
    sign_in(client, world.shop)
    assert client.get(f"/reports/{report.uid}/?lot={pouches.uid}").status_code == 404


def test_a_buyer_reads_the_report_on_what_went_into_its_goods_but_not_the_lot(client: Client, world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels)
    report = passed(world.walnuts, lot)
    [pouches] = turn_into(world.walnuts, [(lot, "10")], [(world.kernels, "9")], when=day(3))
    passed(world.walnuts, pouches, when=day(4), number="示例-2")
    released(world.walnuts, world.walnuts_quality, pouches, when=day(4))
    receive(world.shop, ship(world.walnuts, world.shop.organisation, pouches, "3", when=day(5)), when=day(6))
    sign_in(client, world.shop)
    page = client.get(f"/lots/{pouches.uid}/").content.decode()
    assert f"/reports/{report.uid}/?lot={pouches.uid}" in page
    opened = client.get(f"/reports/{report.uid}/?lot={pouches.uid}")
    assert opened.status_code == 200
    assert "上游批次（不公开编号）" in opened.content.decode()
    assert client.get(f"/reports/{report.uid}/").status_code == 404
    assert client.get(f"/lots/{lot.uid}/").status_code == 404


def test_a_failed_report_leads_to_a_signal(client: Client, world: World) -> None:
    report = passed(world.walnuts, make_lot(world.walnuts, world.kernels), value="9")
    sign_in(client, world.walnuts)
    assert f"/recall/signals/new/?report={report.uid}" in client.get(f"/reports/{report.uid}/").content.decode()


# --- The catalogue --------------------------------------------------------------------------------------------------


def methanol() -> Limit:
    return Limit.objects.get(standard="gb2757_2012", parameter="methanol")


SAID = LimitInput("<=", "0.5", unit="g/L", basis="converted to 100%vol", source="示例文本第 3.4 条", verified=True)


def test_a_regulator_states_a_limit_and_the_old_words_stay(world: World) -> None:
    state_limit(by=world.county, limit=methanol(), said=SAID, seen=0)
    row = methanol()
    assert (row.value, row.version, row.verified_by) == ("0.5", 1, world.county.user)
    old, new = LimitVersion.objects.filter(limit=row).order_by("number")
    assert (old.number, old.value, old.by) == (0, "0.6", None)
    assert (new.number, new.value, new.source, new.by_organisation) == (
        1,
        "0.5",
        "示例文本第 3.4 条",
        world.county.organisation,
    )
    with pytest.raises(StaleState):
        state_limit(by=world.county, limit=row, said=SAID, seen=0)


def test_the_catalogue_file_never_overwrites_a_regulators_words(world: World) -> None:
    from trace.reference import load_reference

    state_limit(by=world.county, limit=methanol(), said=LimitInput("<=", "0.5", unit="g/L", source="示例"))
    load_reference()
    assert (methanol().value, methanol().verified_at) == ("0.5", None)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"source": ""}, "required"),
        ({"value": "many"}, "not_a_number"),
        ({"operator": "between", "value": "5"}, "not_a_number"),
        ({"operator": "between", "value": "5~4"}, "range_order"),
        ({"operator": "=="}, "unknown_choice"),
        ({"value": ""}, "value_required"),
    ],
)
def test_a_limit_is_refused(world: World, said: dict[str, str], code: str) -> None:
    fields = {"operator": "<=", "value": "0.5", "source": "示例", "verified": True, **said}
    with pytest.raises(FieldErrors) as refused:
        state_limit(by=world.county, limit=methanol(), said=LimitInput(**fields))  # type: ignore[arg-type]
    assert code in {error.code for error in refused.value.fields.values()}
    assert methanol().version == 0


def test_only_regulators_change_the_catalogue(world: World) -> None:
    with pytest.raises(NotAllowed):
        state_limit(by=world.distillery, limit=methanol(), said=SAID)


def test_a_limit_for_another_age_judges_older_lots(world: World) -> None:
    standard = Standard.objects.get(pk="gbt10781_2_2022")
    said = LimitInput(">=", "0.60", unit="g/L", applies=">1y", source="示例", verified=True)
    add_limit(by=world.county, standard=standard, parameter="total_acid", said=said)
    with pytest.raises(Clash) as twice:
        add_limit(by=world.county, standard=standard, parameter="total_acid", said=said)
    assert twice.value.code == "limit_exists"
    old = make_lot(world.distillery, world.baijiu, produced_on=datetime.date(2025, 9, 1))
    report = record_report(
        by=world.distillery,
        lot=old,
        report_number="示例-20",
        issued_on=day(2).at.date(),
        results=[ResultEntry("total_acid", "总酸", "0.55", unit="g/L")],
        when=day(2),
        laboratory_name="示例检测技术服务有限公司",
    )
    row = report.results.get()
    assert (row.verdict, row.limit_value, row.limit_applies, row.limit_verified) == ("fail", "0.60", ">1y", True)


def test_a_new_edition_ends_the_old_one_and_judges_nothing_before_it_is_filled_in(world: World) -> None:
    old = Standard.objects.get(pk="gb2757_2012")
    entered = EditionInput("GB 2757-2026", old.title, datetime.date(2026, 9, 1), "示例公告")
    made = add_edition(by=world.county, standard=old, edition=entered)
    old.refresh_from_db()
    assert (old.ended_on, old.replaced_by) == (datetime.date(2026, 9, 1), made)
    assert {limit.parameter: limit.value for limit in made.limits.all()} == {"methanol": "", "cyanide": ""}
    lot = make_lot(world.distillery, world.baijiu, produced_on=datetime.date(2026, 9, 1))
    report = record_report(
        by=world.distillery,
        lot=lot,
        report_number="示例-21",
        issued_on=day(2).at.date(),
        results=[ResultEntry("abv", "酒精度", "42"), ResultEntry("methanol", "甲醇", "0.9", unit="g/L")],
        when=day(2),
        laboratory_name="示例检测技术服务有限公司",
    )
    assert report.results.get(parameter="methanol_100").reason == "limit_unknown"
    with pytest.raises(Clash) as twice:
        add_edition(
            by=world.county, standard=old, edition=EditionInput("GB 2757-2027", "示例", day(500).at.date(), "例")
        )
    assert twice.value.code == "already_replaced"


def test_the_dates_of_an_edition_are_changed_with_a_source(world: World) -> None:
    row = Standard.objects.get(pk="gbt11766")
    day_ = datetime.date(2025, 6, 1)
    date_standard(by=world.county, standard=row, effective_on=None, ended_on=day_, source="示例公告")
    row.refresh_from_db()
    assert (row.ended_on, row.is_verified) == (day_, True)


def test_the_catalogue_is_read_by_all_and_edited_by_regulators(client: Client, world: World) -> None:
    page = "/standards/gb2757_2012/"
    edit = f"{page}limits/{methanol().pk}/"
    assert "未经核对" in client.get(page).content.decode()
    assert client.get("/standards/?q=甲醇").status_code == 200
    assert client.get("/standards/none/").status_code == 404
    sign_in(client, world.distillery)
    assert edit not in client.get(page).content.decode()
    assert client.get(edit).status_code == 404
    sign_in(client, world.county)
    assert edit in client.get(page).content.decode()
    fields = {"operator": "<=", "value": "0.5", "unit": "g/L", "applies": "", "source": "示例第 3.4 条", "seen": "0"}
    assert client.post(edit, {**fields, "value": "x"}).status_code == 422
    assert client.post(edit, {**fields, "verified": "on"}).status_code == 302
    assert "示例第 3.4 条" in client.get(page).content.decode()
    assert "目录原有" in client.get(edit).content.decode()
    assert client.get(f"{page}next/").status_code == client.get(f"{page}dates/").status_code == 200
    assert client.get(f"{page}limits/new/").status_code == 200
    new = {"number": "GB 2757-2027", "title": "示例", "effective_on": "2027-01-01", "source": "示例"}
    assert client.post(f"{page}next/", new).status_code == 302
    assert "GB 2757-2027" in client.get(page).content.decode()


# --- Pledges and the run chart --------------------------------------------------------------------------------------


def test_a_pledge_is_a_new_version_that_later_edits_keep(client: Client, world: World) -> None:
    page = f"/products/{world.baijiu.uid}/limits/"
    sign_in(client, world.distillery)
    assert "甲醇" in client.get(page).content.decode()
    assert client.post(page, {"op_methanol_100": "<=", "value_methanol_100": "x", "seen": "1"}).status_code == 422
    assert client.post(page, {"op_methanol_100": "<=", "value_methanol_100": "0.4", "seen": "1"}).status_code == 302
    world.baijiu.refresh_from_db()
    assert world.baijiu.current is not None
    assert world.baijiu.current.number == 2
    assert world.baijiu.current.declared_limits == {"methanol_100": {"operator": "<=", "value": "0.4"}}
    assert world.baijiu.current.packs == {"瓶": "1/2", "箱": "3"}
    assert "甲醇" in client.get(f"/products/{world.baijiu.uid}/").content.decode()
    with pytest.raises(NotFound):
        declare_limits(by=world.walnuts, row=world.baijiu, limits={})
    sign_in(client, world.county)
    assert client.get(page).status_code == 200
    assert client.post(page, {}).status_code == 404


def test_results_over_lots_are_drawn_with_their_limits(client: Client, world: World) -> None:
    for number, value in enumerate(("1.0", "2.5", "7.2")):
        lot = make_lot(world.walnuts, world.kernels)
        passed(world.walnuts, lot, value=value, number=f"示例-{number}")
    sign_in(client, world.walnuts)
    page = client.get(f"/products/{world.kernels.uid}/stability/").content.decode()
    assert page.count('class="chart-value"') == 2
    assert page.count('class="chart-failed"') == 1
    assert 'class="chart-limit"' in page
    table = client.get(f"/products/{world.kernels.uid}/stability.csv?parameter=afb1").content.decode("utf-8-sig")
    assert [line.split(",")[3] for line in table.splitlines()[1:]] == ["1.0", "2.5", "7.2"]
    excel = client.get(f"/products/{world.kernels.uid}/stability.csv", {"parameter": "afb1", "format": "xlsx"})
    sheet = openpyxl.load_workbook(io.BytesIO(excel.getvalue())).active
    assert [row[3] for row in sheet.iter_rows(min_row=2, values_only=True)] == ["1.0", "2.5", "7.2"]
    assert "format=xlsx" in page
    sign_in(client, world.shop)
    assert client.get(f"/products/{world.kernels.uid}/stability/").status_code == 404


def test_the_chart_costs_the_same_with_1_and_with_30_lots(
    client: Client, world: World, django_assert_max_num_queries: object
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    sign_in(client, world.walnuts)
    counts = []
    for size in (1, 6):
        for number in range(size):
            passed(world.walnuts, make_lot(world.walnuts, world.kernels), number=f"示例-{size}-{number}")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(f"/products/{world.kernels.uid}/stability/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_laboratory_answers_through_the_api_and_limits_are_read_by_all(world: World) -> None:
    from tests.trace.api_client import api_of, body

    report = named(world, make_lot(world.walnuts, world.kernels))
    lab = api_of(world.lab)
    [row] = body(lab.get("/reports?naming_me=true"))["items"]
    assert row["laboratory_says"] == "unconfirmed"
    denied = lab.post(f"/reports/{report.uid}/answer", {"answer": "denied"}, key="k1")
    assert (denied.status_code, body(denied)["code"]) == (422, "required")
    answered = lab.post(f"/reports/{report.uid}/answer", {"answer": "confirmed"}, key="k2")
    assert body(answered)["laboratory_says"] == "confirmed"
    assert lab.post(f"/reports/{report.uid}/answer", {"answer": "confirmed"}, key="k2").content == answered.content
    stranger = api_of(world.shop).post(f"/reports/{report.uid}/answer", {"answer": "confirmed"}, key="k3")
    assert stranger.status_code == 404
    maker = api_of(world.walnuts).post(f"/reports/{report.uid}/answer", {"answer": "confirmed"}, key="k4")
    assert maker.status_code == 404
    standard = body(api_of(world.shop).get("/standards/gb2757_2012"))
    assert {limit["parameter"]: limit["value"] for limit in standard["limits"]} == {"methanol": "0.6", "cyanide": "8.0"}
