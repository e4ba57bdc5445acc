"""The page a consumer sees: verdict first, facts with their source, and nothing a stranger may not know."""

from __future__ import annotations

import datetime
import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labels import recall_state
from labels.actions.runs import except_units, issue_codes, judge_copy
from labels.kept import SHELF
from recalls.actions.announcements import draft_notice
from recalls.actions.campaigns import announce, start_campaign
from recalls.models import Campaign
from recalls.queries import PublicRecall
from tests.goods import amount, day, make_lot, passed, receive, released, ship, turn_into
from tests.labels.goods import bottled, held
from tests.recalls.story import ANNOUNCEMENT, decided, make_chain, started
from tests.world import World, make_product
from trace.actions.capture import NewLot
from trace.actions.corrections import declare_error
from trace.actions.events import Portion, record_event
from trace.actions.evidence import ResultEntry, record_report
from trace.actions.holds import end_hold, release_from_hold
from trace.actions.registry import VersionInput, edit_product
from trace.actions.transfers import take_in
from trace.actor import Actor
from trace.models import Certificate, Conflict, HoldSet, Limit, Lot, Organisation, Product, ProductVersion, Unit

ROOT = Path(__file__).resolve().parents[2]
RECALL = PublicRecall(
    number="召-2026-0001",
    title="示例核桃仁召回",
    url="/recalls/public/x/",
    reason="黄曲霉毒素超标",
    risk="可能损害肝脏",
    what_to_do="立即停止食用，退回购买处",
    phone="0358-1111111",
    announced_at=datetime.datetime(2026, 11, 1, 2, 0, tzinfo=datetime.UTC),
    compensation="全额退款",
)


@pytest.fixture
def lot(world: World) -> Lot:
    """A finished lot of the walnut firm that keeps for good, with two units issued."""
    version = VersionInput(name="示例核桃仁", shelf_life_days=36_500, packs={"袋": "0.2"})
    edit_product(row=world.kernels, version=version, by=world.walnuts)
    world.kernels.refresh_from_db()
    lot = make_lot(
        world.walnuts,
        world.kernels,
        "40",
        lot_code="HTR-1",
        place=world.plant,
        produced_on=day(0).at.date(),
        expires_on=datetime.date(2099, 5, 1),
    )
    issue_codes(by=world.walnuts, lot=lot, count=20, key="u")
    return lot


def unit_of(lot: Lot, number: int = 1) -> Unit:
    """One unit of the lot."""
    return Unit.objects.get(lot=lot, number=number)


def page_of(client: Client, code: str, **headers: Any) -> str:
    """The page of a code."""
    answer = client.get(f"/c/{code}", **headers)
    assert answer.status_code == 200
    return answer.content.decode()


def verdict_on(page: str) -> str:
    """The verdict a page begins with."""
    found = re.search(r'data-verdict="(\w+)"', page)
    assert found is not None
    return found[1]


def words(page: str) -> str:
    """What is to be read on a page, without markup."""
    main = page[page.index("<main") : page.index("</main>")]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))


def void(world: World, lot: Lot) -> None:
    """Make the first unit void."""
    except_units(by=world.walnuts, units=[unit_of(lot)], kind="void", reason="张示例弄丢了")


def copied(world: World, lot: Lot) -> None:
    """Confirm that the first unit was copied."""
    judge_copy(by=world.county, lot=lot, unit=unit_of(lot), copied=True, reason="两地同时出现")


def expired(world: World, lot: Lot) -> None:
    """Let the lot's shelf life be over since yesterday."""
    Lot.objects.filter(pk=lot.pk).update(expires_on=timezone.localdate() - datetime.timedelta(days=1))


def recalled(world: World, lot: Lot) -> None:
    """Recall the lot."""
    held(world, lot, "recall", "黄曲霉毒素超标")


def stopped(world: World, lot: Lot) -> None:
    """Stop the sale of the lot."""
    held(world, lot, "stop_sale", "等待复检")


def declared_wrong(world: World, lot: Lot) -> None:
    """Declare the lot's registration wrong."""
    declare_error(by=world.walnuts, event=lot.origin_event, reason="did_not_occur", when=day(1))


STATES: dict[str, tuple[Callable[[World, Lot], None], str, str]] = {
    "recalled": (recalled, "recalled", "已召回"),
    "void": (void, "void", "已作废"),
    "declared wrong": (declared_wrong, "void", "已作废"),
    "copied": (copied, "suspicious", "疑似复制"),
    "held": (stopped, "held", "封存调查中"),
    "expired": (expired, "expired", "已过保质期"),
    "ok": (lambda world, lot: None, "ok", "信息正常"),
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_each_state_is_said_first_in_words_and_never_claims_genuineness(
    client: Client, world: World, lot: Lot, name: str, language: str
) -> None:
    do, state, said = STATES[name]
    do(world, lot)
    page = page_of(client, f"{unit_of(lot).code}?lang={language}")
    assert verdict_on(page) == state
    assert "正品" not in page
    assert "enuine" not in page
    body = page[page.index("<main") :]
    assert body.index("data-verdict") < body.index("HTR-1")
    if language == "zh-hans":
        assert re.search(rf"<h1>{said}</h1>", page)
        assert '<html lang="zh-CN">' in page
    else:
        assert '<html lang="en">' in page
    assert 'href="tel:12315"' in page
    assert f'href="/scan/report/{unit_of(lot).code}"' in page
    assert "testserver" in words(page)


def test_a_recall_outranks_everything_and_ends_alone(client: Client, world: World, lot: Lot) -> None:
    void(world, lot)
    copied(world, lot)
    stopped(world, lot)
    expired(world, lot)
    recall = held(world, lot, "recall", "黄曲霉毒素超标")
    expected = ["recalled", "void"]
    assert verdict_on(page_of(client, unit_of(lot).code)) == expected[0]
    end_hold(by=world.county, hold=recall, reason="已处理完毕")
    assert verdict_on(page_of(client, unit_of(lot).code)) == expected[1]
    assert verdict_on(page_of(client, unit_of(lot, 2).code)) == "held"


def test_the_next_request_after_a_block_shows_it(client: Client, world: World, lot: Lot) -> None:
    code = unit_of(lot).code
    assert verdict_on(page_of(client, code)) == "ok"
    hold = held(world, lot, "hold", "示例原因")
    page = page_of(client, code)
    assert (verdict_on(page), "示例原因" in page) == ("held", True)
    end_hold(by=world.county, hold=hold, reason="复检合格")
    assert verdict_on(page_of(client, code)) == "ok"
    assert client.get(f"/c/{code}").headers["Cache-Control"] == "private, no-cache"


def test_a_prepared_hold_shows_nothing_yet(client: Client, world: World, lot: Lot) -> None:
    hold = held(world, lot, "recall")
    HoldSet.objects.filter(pk=hold.pk).update(active_from=None)
    assert verdict_on(page_of(client, unit_of(lot).code)) == "ok"


# --- The recall as the main content ---------------------------------------------------------------------------------


def test_a_published_recall_is_told_in_full(
    client: Client, world: World, lot: Lot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def public(sources: list[str]) -> list[PublicRecall]:
        asked.append(sources)
        return [RECALL]

    monkeypatch.setattr(recall_state, "public_recall_for", public)
    held(world, lot, "recall", "内部说法", source="recalls:campaign:1")
    page = page_of(client, unit_of(lot).code)
    for said in (RECALL.title, RECALL.reason, RECALL.risk, RECALL.what_to_do, RECALL.compensation, RECALL.number):
        assert said in page
    assert f'href="{RECALL.url}"' in page
    assert f'href="tel:{RECALL.phone}"' in page
    assert "2026年11月1日" in words(page)
    assert "HTR-1" in page[page.index("哪些批次") :][:400]
    assert "内部说法" not in page
    assert asked == [["recalls:campaign:1"]]


def test_before_the_announcement_the_hold_itself_is_told(client: Client, world: World, lot: Lot) -> None:
    held(world, lot, "recall", "黄曲霉毒素超标", source="recalls:campaign:01936f00-0000-7000-8000-000000000000")
    page = page_of(client, unit_of(lot).code)
    assert verdict_on(page) == "recalled"
    assert "黄曲霉毒素超标" in page
    assert "0358-0000000" in page
    assert "示例联系人" not in page
    assert "请立即停止" in page


def test_a_recall_of_some_units_names_those_units_only(client: Client, world: World, lot: Lot) -> None:
    held(world, lot, "recall", "封口不良", unit_from=5, unit_to=9)
    assert verdict_on(page_of(client, unit_of(lot, 4).code)) == "ok"
    assert verdict_on(page_of(client, unit_of(lot, 10).code)) == "ok"
    for number in (5, 9):
        page = page_of(client, unit_of(lot, number).code)
        assert verdict_on(page) == "recalled"
        assert f"您扫的是第 {number} 号" in words(page)
        assert "5–9" in page
    whole = page_of(client, lot.public_code)
    assert verdict_on(whole) == "recalled"
    assert "请按在内处理" in whole


def test_a_unit_whose_label_was_put_right_is_not_recalled_and_shows_the_correction(
    client: Client, world: World, lot: Lot
) -> None:
    hold = held(world, lot, "recall", "漏标过敏原")
    system = Actor(organisation=world.county.organisation, role="approver", system=True)
    how: dict[str, Any] = {"by": system, "hold": hold, "lot": lot, "holder": world.distillery.organisation}
    release_from_hold(micros=2_000_000, words="加贴标签<b>", units=(5, 6), **how)
    for number in (5, 6):
        page = page_of(client, unit_of(lot, number).code)
        assert verdict_on(page) == "ok"
        assert "加贴标签&lt;b&gt;" in page
        assert "目前没有召回" not in page
    for code in (unit_of(lot, 4).code, unit_of(lot, 7).code, lot.public_code):
        page = page_of(client, code)
        assert verdict_on(page) == "recalled"
        assert "有一部分已经更正或修好并放行" in page
    # Another hold on the same lot is not let go by this one's release.
    held(world, lot, "stop_sale", "另案")
    assert verdict_on(page_of(client, unit_of(lot, 5).code)) == "held"


def test_a_recall_of_what_one_shop_has_warns_every_holder_of_the_code(client: Client, world: World, lot: Lot) -> None:
    held(world, lot, "recall", "运输受潮", holder=world.shop.organisation)
    page = page_of(client, unit_of(lot).code)
    assert verdict_on(page) == "recalled"
    assert "请按在内处理" in page
    assert world.shop.organisation.name not in page


def test_the_page_of_a_gtin_names_running_recalls(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lot = bottled(world)
    monkeypatch.setattr(recall_state, "public_recall_for", lambda sources: [RECALL] if sources else [])
    assert RECALL.title not in client.get(f"/01/{lot.product.gtin}").content.decode()
    held(world, lot, "recall", source="recalls:campaign:1")
    assert RECALL.title in client.get(f"/01/{lot.product.gtin}").content.decode()


# --- Facts ----------------------------------------------------------------------------------------------------------


def test_facts_come_in_the_order_people_ask(client: Client, lot: Lot) -> None:
    page = page_of(client, unit_of(lot).code)
    order = ["product", "lot", "producer", "tests", "journey", "pledge", "changes", "scans", "sources"]
    places = [page.index(f'<section class="section" id="{key}">') for key in order]
    assert places == sorted(places)


def test_what_is_missing_is_said(client: Client, lot: Lot) -> None:
    text = words(page_of(client, unit_of(lot).code))
    for label in ("净含量", "配料", "执行标准", "检验", "去向（只到城市）", "质量承诺", "有效证书："):
        assert "未提供" in text[text.index(label) : text.index(label) + 60], label


def test_standard_with_edition_licence_and_producer(client: Client, world: World) -> None:
    lot = bottled(world)
    text = words(page_of(client, lot.public_code))
    assert "GB/T 10781.2-2022" in text
    assert "2022 年版" in text
    assert "SC11514999900019" in text
    assert "汾阳示例清香酒坊有限公司" in text
    assert "山西省 吕梁市 汾阳市" in text
    assert "9520000010010" in text


def test_results_stand_beside_their_limits_with_the_laboratory(client: Client, world: World, lot: Lot) -> None:
    Limit.objects.filter(standard="gb2761_2017", parameter="afb1_nut").update(verified_at=timezone.now())
    record_report(
        by=world.lab,
        lot=lot,
        report_number="示例-7",
        issued_on=day(2).at.date(),
        laboratory=world.lab.organisation,
        cma_number="231400340123",
        results=[
            ResultEntry("afb1", "黄曲霉毒素B1", operator="nd", loq="0.5", unit="ug/kg", limit_operator="<=",
                        limit_value="9.0", limit_source="示例标准"),
            ResultEntry("moisture", "水分", "6.1", unit="%", limit_operator="<=", limit_value="5.0",
                        limit_source="示例标准"),
            ResultEntry("so2", "二氧化硫", "0.02", unit="g/kg"),
        ],
        when=day(2),
    )  # fmt: skip
    page = page_of(client, unit_of(lot).code)
    text = words(page)
    assert "示例检测技术服务有限公司" in text
    assert "231400340123" in text
    assert "未检出（定量限 0.5 微克/千克）" in text
    assert re.search(r"限值 ≤ 5.0 微克/千克 · GB 2761-2017 </", page.replace("</p>", " </p>"))
    assert re.search(r"限值 ≤ 5.0 % · 示例标准 · 限值未经核实", text)
    assert "没有限值" in text
    report = page[page.index('<article class="card report') :]
    assert "不合格" in report
    assert "检验机构自己登记" in re.sub(r"<[^>]+>", "", report[: report.index("<ul")])


def test_a_report_copied_in_by_the_producer_is_not_the_laboratorys_word(client: Client, world: World, lot: Lot) -> None:
    passed(world.walnuts, lot)
    page = page_of(client, unit_of(lot).code)
    report = page[page.index('<article class="card report') :]
    head = re.sub(r"<[^>]+>", "", report[: report.index("<ul")])
    assert "示例检测技术服务有限公司" in head
    assert "企业自报" in head


def test_a_report_declared_wrong_is_struck_through(client: Client, world: World, lot: Lot) -> None:
    report = passed(world.walnuts, lot)
    declare_error(by=world.walnuts, event=report.event, reason="incorrect_data", when=day(3))
    page = page_of(client, unit_of(lot).code)
    assert "declared-wrong" in page
    assert "登记者已声明这份报告的登记有误" in page


def test_certificates_drop_off_when_they_lapse(client: Client, world: World, lot: Lot) -> None:
    today = timezone.localdate()
    shared = {"organisation": lot.organisation, "kind": "organic", "granted_by": world.province.organisation}
    one_day = datetime.timedelta(days=1)
    for number, begins, ends, revoked in (
        ("OK-TODAY", today, today, None),
        ("LAPSED", today - 2 * one_day, today - one_day, None),
        ("NOT-YET", today + one_day, today + 2 * one_day, None),
        ("REVOKED", today, today, timezone.now()),
    ):
        Certificate.objects.create(number=number, valid_from=begins, valid_until=ends, revoked_at=revoked, **shared)
    page = page_of(client, unit_of(lot).code)
    assert "OK-TODAY" in page
    assert "山西省示例市场监管局" in page
    for number in ("LAPSED", "NOT-YET", "REVOKED"):
        assert number not in page


def test_a_lot_nobody_released_says_so(client: Client, world: World, lot: Lot) -> None:
    assert "登记中尚未放行" in page_of(client, unit_of(lot).code)
    released(world.walnuts, world.walnuts_quality, lot)
    assert "质量负责人已放行" in page_of(client, unit_of(lot).code)


def test_who_issued_the_code_and_when(client: Client, lot: Lot) -> None:
    text = words(page_of(client, unit_of(lot).code))
    assert re.search(
        r"此码由 汾阳示例核桃加工有限公司 于 \d{4}年\d+月\d+日 \d\d:\d\d（北京时间） 签发给批次 HTR-1", text
    )
    assert "此前 0 次查询" in text
    assert "还没有为它签发过标签" in words(page_of(client, lot.public_code))


def test_changes_of_the_products_data_are_struck_through(client: Client, world: World, lot: Lot) -> None:
    first = world.kernels.versions.latest("number")
    second = ProductVersion.objects.create(
        product=world.kernels, number=3, name=first.name, storage="冷藏", shelf_life_days=240
    )
    Product.objects.filter(pk=world.kernels.pk).update(current=second)
    page = page_of(client, unit_of(lot).code)
    changes = page[page.index('id="changes"') : page.index('id="scans"')]
    assert re.search(r"贮存条件.*<del>.*未提供.*</del>.*<ins>.*冷藏.*</ins>", changes, re.DOTALL)


def test_a_corrected_date_shows_the_old_one_struck_through(client: Client, world: World, lot: Lot) -> None:
    declare_error(by=world.walnuts, event=lot.origin_event, reason="incorrect_data", when=day(1))
    record_event(
        by=world.walnuts,
        code="common.opening",
        when=day(0),
        data={"basis": "示例台账"},
        outputs=[
            NewLot(
                world.kernels,
                amount("40", world.kernels),
                restates=lot,
                produced_on=datetime.date(2026, 9, 18),
                expires_on=datetime.date(2099, 5, 1),
            )
        ],
        replaces=lot.origin_event,
    )
    page = page_of(client, unit_of(lot).code)
    assert verdict_on(page) == "ok"
    facts = page[page.index('id="lot"') : page.index('id="producer"')]
    assert re.search(r"<del>.*2026年9月20日.*</del>.*<ins>.*2026年9月18日.*</ins>", facts, re.DOTALL)
    assert "保质期至" in facts
    assert facts.count("<del>") == 1
    timeline = page[page.index('id="journey"') : page.index('id="pledge"')]
    assert "已更正" in timeline
    assert "<del>" in timeline


def test_open_contradictions_are_told_by_kind_without_amounts(client: Client, world: World, lot: Lot) -> None:
    ship(world.walnuts, world.shop.organisation, lot, "987654", insist=True)
    assert Conflict.objects.filter(lot=lot, code="not_enough").exists()
    page = page_of(client, unit_of(lot).code)
    assert "数量对不上：1 处" in page
    assert "987" not in page
    Conflict.objects.update(answered_at=timezone.now())
    assert "数量对不上" not in page_of(client, unit_of(lot).code)


# --- What strangers may not know ------------------------------------------------------------------------------------


@pytest.fixture
def chain(world: World) -> Lot:
    """From a grower's plot through two steps of the walnut firm to a pouch that goes to Taiyuan."""
    fresh = make_lot(
        world.grower, world.fresh_walnuts, "543.21", lot_code="GROWER-LOT-9", place=world.plot, when=day(-30)
    )
    passed(world.grower, fresh, number="GROWER-REPORT-1", when=day(-29))
    receive(
        world.walnuts, ship(world.grower, world.walnuts.organisation, fresh, "543.21", when=day(-28)), when=day(-27)
    )
    loose = make_product(world.walnuts.organisation, name="示例散核桃仁", kind="intermediate", family="walnut_fenzhou")
    cracked = record_event(
        by=world.walnuts,
        code="common.rework",
        when=day(-20),
        data={"reason": "示例原因", "method": "示例方法"},
        inputs=[Portion(fresh, amount("321.12", fresh.product))],
        outputs=[NewLot(loose, amount("111.11", loose), lot_code="LOOSE-1")],
        remark="李示例 13700000000 亲手做的",
    ).lots[0]
    passed(world.walnuts, cracked, number="OWN-REPORT-1", when=day(-19))
    pouch = record_event(
        by=world.walnuts,
        code="walnut.pack",
        when=day(-10),
        place=world.plant,
        data=pack_data(),
        inputs=[Portion(cracked, amount("99.99", loose))],
        outputs=[
            NewLot(world.kernels, amount("88.88", world.kernels), lot_code="POUCH-1", produced_on=day(-10).at.date())
        ],
    ).lots[0]
    released(world.walnuts, world.walnuts_quality, pouch, when=day(-9))
    ship(world.walnuts, world.distributor.organisation, pouch, "77.77", when=day(-5))
    Product.objects.filter(pk=fresh.product_id).update(family="walnut_fenzhou")
    return pouch


def pack_data() -> dict[str, Any]:
    """What the packing template asks for, with values that would be noticed."""
    from trace.event_templates import template

    given: dict[str, Any] = {"net_content": "200", "allergen": True, "production_date": "2026-09-10"}
    for field in template("walnut.pack").fields:
        if field.required and field.key not in given and not field.computed:
            given[field.key] = {"decimal": "88.88", "int": 444, "date": "2027-05-01", "bool": True}.get(
                field.type, field.choices[0].value if field.choices else "SECRET-FIELD"
            )
    return given


def test_what_others_gave_is_told_by_region_family_verdict_and_date_only(
    client: Client, world: World, chain: Lot
) -> None:
    page = page_of(client, chain.public_code)
    text = words(page)
    group = text[text.index("上游来源") : text.index("去向")]
    assert "汾州核桃 · 原料" in group
    assert "山西省 吕梁市 汾阳市" in group
    assert "检验合格 1 份" in group
    assert "2026年8月21日" in group
    for secret in (
        *(world.grower.organisation.name, world.plot.name, "GROWER-LOT-9", "GROWER-REPORT-1"),
        *("杏花村", "543.21", "321.12", "111.11", "99.99", "88.88", "77.77", "444", "SECRET-FIELD"),
        *("李示例", "13700000000", "示例联系人"),
        *(world.distributor.organisation.name, world.depot.name, world.plant.name),
        *(world.walnuts.user.display_name, world.walnuts_quality.user.display_name),  # type: ignore[union-attr]
    ):
        assert secret not in page, secret


def test_nuts_bought_elsewhere_are_not_told_as_grown_where_they_were_received(client: Client, world: World) -> None:
    raw = make_product(world.walnuts.organisation, name="示例干核桃", kind="raw", family="walnut_fenzhou")
    Organisation.objects.filter(pk=world.distributor.organisation.pk).update(division="140100")

    def bought(code: str, **data: str) -> Lot:
        return take_in(
            by=world.walnuts, supplier=world.distributor.organisation, product=raw, supplier_lot=code,
            amount=amount("5", raw), when=day(1), place=world.plant, data={"inspection_result": "合格", **data},
        ).lots[0]  # fmt: skip

    told, silent = bought("A-1", origin="410000"), bought("A-2")
    (pouch,) = turn_into(world.walnuts, [(told, "5"), (silent, "5")], [(world.kernels, "4")], when=day(2))
    text = words(page_of(client, pouch.public_code))
    group = text[text.index("上游来源") : text.index("去向")]
    assert "河南省" in group, "where the receipt says they grew"
    assert "山西省 太原市" in group, "else their supplier's seat"
    assert "汾阳市" not in group


def test_the_issuers_own_steps_and_reports_are_told(client: Client, chain: Lot) -> None:
    page = page_of(client, chain.public_code)
    timeline = words(page)[words(page).index("来源与经过") :]
    assert "返工" in timeline
    assert "（示例散核桃仁）" in timeline
    assert "净含量：200 克" in timeline
    assert "致敏物质" in timeline
    assert "OWN-REPORT-1" in page
    assert "检验的是上游：示例散核桃仁 批次 LOOSE-1" in page
    assert "2026年9月10日" in timeline


def test_goods_sent_on_are_told_to_the_city(client: Client, chain: Lot) -> None:
    text = words(page_of(client, chain.public_code))
    sent = text[text.index("去向") : text.index("证书与承诺")]
    assert "山西省 太原市" in sent
    assert "2026年9月15日" in sent


def test_other_goods_made_of_the_same_input_are_not_told(client: Client, world: World, chain: Lot) -> None:
    loose = Lot.objects.get(lot_code="LOOSE-1")
    record_event(
        by=world.walnuts,
        code="common.rework",
        when=day(-8),
        data={"reason": "x", "method": "x"},
        inputs=[Portion(loose, amount("1", loose.product))],
        outputs=[NewLot(loose.product, amount("1", loose.product), lot_code="SIBLING")],
    )
    page = page_of(client, chain.public_code)
    assert page.count('<p class="timeline-title">返工') == 1


def test_a_page_costs_the_same_with_one_event_and_with_fifty(client: Client, world: World, lot: Lot) -> None:
    page_of(client, lot.public_code)
    SHELF.clear()
    with CaptureQueriesContext(connection) as few:
        page_of(client, lot.public_code)
    for number in range(50):
        passed(world.walnuts, lot, number=f"R-{number}", when=day(2))
    SHELF.clear()
    with CaptureQueriesContext(connection) as many:
        page = page_of(client, lot.public_code)
    assert "另有 42 份较早的报告未列出" in page
    # Once there is a report at all: its results, its laboratory's answers and its corrections, one query each.
    assert len(many) <= len(few) + 3
    assert len(many) <= 28


# --- Budgets and manners --------------------------------------------------------------------------------------------


def test_the_page_keeps_its_budgets(client: Client, chain: Lot) -> None:
    answer = client.get(f"/c/{chain.public_code}", HTTP_ACCEPT_ENCODING="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    first = len(answer.content)
    assert first <= 14 * 1024
    page = gzip.decompress(answer.content).decode()
    loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(/static/[^"?]+)', page)
    assert len(loaded) >= 3
    files = [next(ROOT.glob(f"*{address}")) for address in loaded]
    assert first + sum(len(gzip.compress(file.read_bytes())) for file in files) <= 60 * 1024


def test_the_page_asks_nothing_of_third_parties_and_runs_nothing_inline(client: Client, chain: Lot) -> None:
    answer = client.get(f"/c/{chain.public_code}")
    page = answer.content.decode()
    assert re.findall(r'(?:src|action)="(?!/)[^"]*"', page) == []
    assert re.findall(r'<link[^>]+href="(?!/)[^"]*"', page) == []
    assert re.findall(r"<script(?![^>]* src=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []
    assert "Set-Cookie" not in answer.headers


def test_the_language_follows_the_browser_or_the_address_without_a_cookie(client: Client, lot: Lot) -> None:
    code = unit_of(lot).code
    assert '<html lang="zh-CN">' in page_of(client, code)
    assert '<html lang="en">' in page_of(client, code, HTTP_ACCEPT_LANGUAGE="en-GB,en;q=0.9")
    assert '<html lang="zh-CN">' in page_of(client, f"{code}?lang=zh-CN", HTTP_ACCEPT_LANGUAGE="en-GB")
    answer = client.get(f"/c/{code}?lang=en")
    assert 'lang="en"' in answer.content.decode()
    assert "Fenyang Example Walnuts" in answer.content.decode()
    assert not answer.cookies
    assert "Accept-Language" in answer.headers["Vary"]


def test_words_of_strangers_are_escaped(client: Client, world: World) -> None:
    nasty = '<script>alert("x")</script>'
    product = make_product(
        world.walnuts.organisation, name=nasty, pledge=nasty, ingredients=nasty, gi_claim=nasty, standard_text=nasty
    )
    lot = make_lot(world.walnuts, product, display_code=nasty)
    held(world, lot, "recall", nasty)
    page = page_of(client, lot.public_code)
    assert nasty not in page
    assert "&lt;script&gt;" in page


# --- With a campaign behind it --------------------------------------------------------------------------------------


def test_the_request_after_a_campaigns_start_shows_the_recall_and_after_its_announcement_all_of_it(
    client: Client, world: World
) -> None:
    chain = make_chain(world)
    code, other = chain.pouch_a.public_code, chain.pouch_b.public_code
    campaign = decided(chain)
    assert verdict_on(page_of(client, code)) == "ok"
    start_campaign(by=world.walnuts_quality, campaign=campaign, stop_order=True)
    page = page_of(client, code)
    assert verdict_on(page) == "recalled"
    assert "还没有发布" in page
    assert verdict_on(page_of(client, other)) == "ok"
    draft_notice(by=world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    announce(by=world.walnuts, campaign=campaign, channel="本系统公告页")
    page = page_of(client, code)
    assert verdict_on(page) == "recalled"
    assert campaign.title in page
    assert ANNOUNCEMENT.risk in page
    assert ANNOUNCEMENT.legal_representative not in page
    assert re.search(r'<a class="button danger" href="/recalls/[^"]+"', page)
    link = re.findall(r'<a class="button danger" href="([^"]+)"', page)[0]
    assert client.get(link).status_code == 200
    over: dict[str, Any] = {"status": "closed", "ended_at": timezone.now(), "ended_by": world.walnuts.user}
    Campaign.objects.filter(pk=campaign.pk).update(**over)
    page = page_of(client, code)
    assert verdict_on(page) == "recalled"
    assert link not in page, "nobody can claim in a recall that is closed"


def test_a_drill_shows_nothing(client: Client, world: World) -> None:
    chain = make_chain(world)
    started(chain, is_drill=True)
    for lot in (chain.pouch_a, chain.pouch_b, chain.mother):
        page = page_of(client, lot.public_code)
        assert verdict_on(page) == "ok"
        assert "演练" not in page
