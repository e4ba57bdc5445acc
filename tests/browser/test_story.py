"""The whole story in a real browser: from the grower's phone to the shelf, and from a failed sample to the closing.

What each person does is done on the pages, by the words they read; only what was there before them is made by actions.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import openpyxl
import pytest
from playwright.sync_api import Page, expect

from labels.access import unit_of
from labels.actions.runs import issue_codes
from labels.contents import uri_of
from recalls.actions.packs import run_next_pack
from recalls.letters import link_url
from tests.browser.conftest import OpenPage
from tests.browser.people import ago, code_shown, codes_printed, fill, fits, follow, press, signed_in, text, today
from tests.goods import make_lot, receive, released, ship
from tests.recalls.story import announced, make_chain, notice_to
from tests.world import make_organisation, make_place, make_product, make_world
from trace.actions.imports import run_next_import

pytestmark = pytest.mark.browser


def ship_to(page: Page, receiver: str, lot: str, amount: str, unit: str) -> None:
    """Send some of a lot to a party that is found by its name; ends on the shipment's page."""
    page.goto("/shipments/new/")
    fill(page, {"按名称或统一社会信用代码查找": receiver})
    press(page, "查找")
    follow(page, receiver)
    send(page, lot, amount, unit)


def send(page: Page, lot: str, amount: str, unit: str) -> None:
    """Choose the lot and say how much."""
    page.get_by_role("checkbox", name=lot).check()
    press(page, "下一步：填数量")
    fill(page, {"数量": amount, "单位": unit})
    press(page, "登记发货")
    expect(page.locator("h1")).to_contain_text("发货单")


@pytest.mark.once
def test_walnuts_go_from_the_growers_phone_to_the_producers_store(open_page: OpenPage) -> None:
    world = make_world()
    make_product(
        world.grower.organisation, "SHT", "示例湿核桃", family="walnut_fenzhou", track="farm_produce", kind="raw"
    )
    assert world.grower.user is not None
    world.grower.user.set_unusable_password()
    world.grower.user.save()

    # The cooperative hands the grower a card; the grower's phone reads it and is signed in without a password.
    cooperative = signed_in(open_page, world.cooperative)
    cooperative.goto("/growers/")
    press(cooperative, "发新卡 示例种植户甲")
    phone = open_page(code_shown(cooperative.locator(".invite-card svg").first), phone=True)
    fits(phone)
    press(phone, "我是 示例种植户甲，登录")
    fits(phone)

    # The grower harvests.
    follow(phone, "采收登记")
    fits(phone)
    fill(phone, {"采收日期": today(), "产品": "示例青皮核桃", "数量": "800"})
    press(phone, "保存")
    fits(phone)
    assert "已登记“采收”，批号：" in text(phone)

    # The clerk enters the next step on the grower's behalf, and sends the nuts; both names stand on the record.
    clerk = signed_in(open_page, world.clerk)
    clerk.goto("/growers/")
    press(clerk, "代录 示例种植户甲")
    expect(clerk.locator(".behalf")).to_contain_text("代 示例种植户甲 录入")
    clerk.goto("/steps/walnut.hull/")
    clerk.locator("select[name=inputs-0-lot]").select_option(index=1)
    clerk.locator("input[name=inputs-0-amount]").fill("800")
    fill(clerk, {"产品": "示例湿核桃"})
    clerk.locator("input[name=outputs-0-amount]").fill("350")
    clerk.get_by_label("机械").check()
    press(clerk, "保存")
    for name in ("示例种植户甲", "示例文书", "示例坡头核桃专业合作社"):
        assert name in text(clerk)
    wet = clerk.locator("main table").get_by_role("row", name="示例湿核桃").locator(".code").first.inner_text()
    ship_to(clerk, "汾阳示例核桃加工有限公司", wet, "350", "千克")

    # The producer confirms the receipt, on a phone in the yard.
    yard = signed_in(open_page, world.walnuts, phone=True)
    yard.goto("/shipments/inbox/")
    fits(yard)
    follow(yard, "确认收货")
    fits(yard)
    press(yard, "确认收货")
    fits(yard)
    assert "双方已确认" in text(yard)
    yard.goto("/lots/?scope=held")
    fits(yard)
    assert wet in text(yard)


@pytest.mark.once
def test_a_packed_lot_is_tested_released_labelled_shipped_and_scanned(open_page: OpenPage) -> None:
    world = make_world()
    nuts = make_product(world.walnuts.organisation, "GHT", "示例干核桃", family="walnut_fenzhou", kind="raw")
    dry = make_lot(world.walnuts, nuts, "500", when=ago(20), place=world.plant)

    # Packed by a form: 180 kg into 900 bags of 200 g.
    producer = signed_in(open_page, world.walnuts)
    producer.goto(f"/steps/walnut.pack/?lot={dry.uid}")
    producer.locator("input[name=inputs-0-amount]").fill("180")
    producer.locator("select[name=outputs-0-product]").select_option(label="示例核桃仁")
    fill(producer, {"生产日期": today(), "净含量": "200"})
    producer.locator("input[name=outputs-0-amount]").fill("900")
    producer.locator("select[name=outputs-0-unit]").select_option("袋")
    producer.locator("input[name=d_allergen][value=true]").check()
    producer.locator("summary", has_text="自己编批号").click()
    producer.locator("input[name=outputs-0-lot_code]").fill("HTR-260101-A")
    press(producer, "保存")
    assert "HTR-260101-A" in text(producer)
    address = producer.locator("main table").get_by_role("link", name="HTR-260101-A").get_attribute("href")
    assert address is not None

    # Before its release a lot is not sent: the form says why.
    producer.goto(address)
    assert "放行" in text(producer)

    # The report, then the quality officer's release.
    quality = signed_in(open_page, world.walnuts_quality)
    quality.goto(address)
    follow(quality, "录入检验报告")
    follow(quality, "检验", exact=True)
    fill(quality, {"水分": "3.2", "酸价": "0.8", "过氧化值": "0.05", "黄曲霉毒素B1": "1.1"})
    fill(quality, {"检验机构": "示例检测技术服务有限公司", "报告编号": "示例-2026-001", "签发日期": today()})
    press(quality, "保存")
    quality.goto(address)
    assert "检验报告已有" in text(quality)
    follow(quality, "放行")
    press(quality, "保存")
    quality.goto(address)
    assert "质量负责人" in text(quality)

    # Unit codes on an A4 sheet; the PDF that the printer gets is read back.
    producer.goto(address)
    follow(producer, "打印标签")
    producer.locator("input[name=count]").fill("24")
    press(producer, "预览")
    press(producer, "签发 24 枚")
    with producer.context.expect_page() as opened:
        producer.get_by_role("button", name="打印（PDF）").click()
    opened.value.close()
    form = producer.locator("form", has=producer.get_by_role("button", name="打印（PDF）"))
    token = form.locator("input[name=csrfmiddlewaretoken]").get_attribute("value")
    where = form.get_attribute("action")
    assert token is not None
    assert where is not None
    printed = producer.request.post(
        where,
        form={"csrfmiddlewaretoken": token, "first": "1", "last": "24", "reason": "示例：重打"},
        headers={"Referer": producer.url},
    )
    assert printed.headers["content-type"] == "application/pdf"
    labels = codes_printed(printed.body())
    assert len(labels) == len(set(labels)) == 24

    # To a shop with an account, and to a buyer outside the system.
    ship_to(producer, "示例便民商店", "HTR-260101-A", "100", "袋")
    producer.goto("/shipments/new/")
    producer.locator("summary", has_text="登记系统外单位").click()
    fill(producer, {"名称": "示例外地小卖部", "类型": "零售", "地址": "示例路 8 号", "电话": "0358-1111111"})
    press(producer, "保存并继续")
    send(producer, "HTR-260101-A", "40", "袋")
    follow(producer, "打印发货单")
    slip = code_shown(producer.locator(".slip-qr svg"))

    # The buyer answers from the paper, without account and without JavaScript.
    buyer = open_page(slip, phone=True, javascript=False)
    fits(buyer)
    assert "收到这批货了吗？" in text(buyer)
    buyer.locator("summary", has_text="数量不符").click()
    fill(buyer, {"实收数量": "38"})
    press(buyer, "按实收数量登记")
    fits(buyer)
    assert "已登记收货，有差异" in text(buyer)
    producer.goto("/shipments/")
    assert "数量有差异" in text(producer)

    # The shop confirms with its account.
    shop = signed_in(open_page, world.shop, phone=True)
    shop.goto("/shipments/inbox/")
    follow(shop, "确认收货")
    press(shop, "确认收货")
    assert "双方已确认" in text(shop)

    # A consumer scans the label of a bag.
    consumer = open_page(labels[0], phone=True)
    fits(consumer)
    assert "信息正常" in text(consumer)
    for words in ("示例核桃仁", "HTR-260101-A", "汾阳示例核桃加工有限公司", "黄曲霉毒素B1", "12315"):
        assert words in consumer.locator("body").inner_text()
    assert "正品" not in consumer.content()


@pytest.mark.once
def test_a_failed_sample_becomes_a_recall_that_every_page_shows_until_it_is_closed(open_page: OpenPage) -> None:
    world = make_world()
    lot = make_lot(world.walnuts, world.kernels, "200", when=ago(20), place=world.plant)
    released(world.walnuts, world.walnuts_quality, lot, when=ago(15))
    run = issue_codes(by=world.walnuts, lot=lot, count=24, key="示例", when=ago(14))
    outsider = make_organisation(
        "示例外地商行", "retailer", status="external", kept_by=world.walnuts.organisation, address="示例路 9 号"
    )
    shipped = ship(world.walnuts, world.shop.organisation, lot, "30", when=ago(12))
    receive(world.shop, shipped, when=ago(11), place=world.counter)
    ship(world.walnuts, outsider, lot, "10", when=ago(12))

    # A consumer scans a bag: nothing is wrong yet. The page stays open, without JavaScript.
    consumer = open_page(uri_of(run, unit_of(run, 1)), phone=True, javascript=False)
    fits(consumer)
    assert "信息正常" in text(consumer)

    # The county's sample fails, and the county raises a signal.
    county = signed_in(open_page, world.county)
    county.goto(f"/reports/new/?q={lot.lot_code}")
    follow(county, "检验", exact=True)
    fill(county, {"水分": "3.0", "酸价": "0.9", "过氧化值": "0.06", "黄曲霉毒素B1": "12.5"})
    fill(county, {"检验机构": "示例检测技术服务有限公司", "报告编号": "示例-抽-7", "签发日期": today()})
    press(county, "保存")
    follow(county, "示例-抽-7")
    assert "不合格" in text(county)
    report = county.url.rstrip("/").rpartition("/")[2]
    county.goto(f"/recall/signals/new/?report={report}")
    assert "12.5" in county.get_by_label("发现了什么").input_value()
    press(county, "登记")
    assert "回执号" in text(county)

    # The producer's quality officer assesses it: a campaign begins, but nothing is decided.
    quality = signed_in(open_page, world.walnuts_quality)
    quality.goto("/recall/signals/")
    quality.locator("main table a").first.click()
    follow(quality, "开始评估")
    fill(quality, {"召回名称": "示例核桃仁黄曲霉毒素B1超标", "危害类别": "真菌毒素"})
    for words in ("可能造成严重伤害或死亡", "很可能发生", "应当召回"):
        quality.get_by_label(words, exact=True).check()
    fill(quality, {"建议召回级别": "一级", "依据": "示例-抽-7：12.5 微克每千克，限量 5.0"})
    press(quality, "评估")
    campaign = quality.url
    assert "评估中" in text(quality)

    # The preview of the scope names every lot and holder with the reason, and writes nothing.
    follow(quality, "召回范围")
    assert "1 个批次（确定 1，可能 0），3 个单位" in text(quality)
    for words in (lot.lot_code, "示例便民商店", "示例外地商行"):
        assert words in text(quality)
    press(quality, "保存这一版")

    # Another person decides; then the quality officer starts.
    assert quality.get_by_role("link", name="决定召回").count() == 0
    owner = signed_in(open_page, world.walnuts)
    owner.goto(campaign)
    follow(owner, "决定召回")
    press(owner, "决定召回")
    quality.goto(campaign)
    follow(quality, "启动召回")
    assert "2 个单位" in text(quality)
    assert "信息正常" in reloaded(consumer)
    quality.get_by_label("已决定停止生产、销售和使用范围内的产品").check()
    press(quality, "启动召回")
    assert "召回已启动" in text(quality)

    # The very next request of the scanned page says so.
    assert "已召回" in reloaded(consumer)
    assert "信息正常" not in text(consumer)
    fits(consumer)

    # Labels of the lot are refused from now on.
    owner.goto(f"/labels/new/lot/{lot.uid}/")
    assert "这个批次现在不能签发标签" in text(owner)

    # The announcement: drafted by one, published by another; the public reads it.
    quality.goto(campaign)
    follow(quality, "起草")
    fill(
        quality,
        {
            "住所": "汾阳市示例路 1 号",
            "法定代表人": "示例法人",
            "电子邮箱": "recall@example.org",
            "具体负责人": "示例负责人",
            "联系电话": "0358-0000000",
            "可能的危害": "长期食用可能损害肝脏",
            "区域范围": "山西省",
        },
    )
    press(quality, "保存这一版")
    assert quality.get_by_role("link", name="发布召回公告").count() == 0
    owner.goto(campaign)
    follow(owner, "发布召回公告")
    press(owner, "发布召回公告")
    assert "公告已发布" in text(owner)
    public = open_page("/recalls", phone=True, javascript=False)
    fits(public)
    follow(public, "示例核桃仁黄曲霉毒素B1超标")
    fits(public)
    for words in ("正在召回", lot.lot_code, "汾阳示例核桃加工有限公司", "长期食用可能损害肝脏", "0358-0000000"):
        assert words in text(public)
    feed = public.request.get("/recalls/feed.atom")
    assert feed.headers["content-type"].startswith("application/atom+xml")
    assert "示例核桃仁黄曲霉毒素B1超标" in feed.text()
    assert "长期食用可能损害肝脏" in reloaded(consumer)

    # The shop acknowledges and counts, with its account.
    shop = signed_in(open_page, world.shop, phone=True)
    shop.goto("/recall/notices/")
    fits(shop)
    follow(shop, "示例核桃仁黄曲霉毒素B1超标")
    fits(shop)
    press(shop, "确认收到，立即停售")
    fill(shop, {"单位": "千克", "现有": "25", "其中已封存": "25", "已售出": "5", "说不清去向": "0"})
    press(shop, "提交库存")
    assert "库存已反馈" in text(shop)
    fits(shop)

    # The buyer without account answers by the letter's QR.
    quality.goto(campaign)
    follow(quality, "逐个查看通知")
    follow(quality, "示例外地商行")
    of_outsider = quality.url
    follow(quality, "打印信函")
    letter = code_shown(quality.locator(".letter-qr svg"))
    holder = open_page(letter, phone=True, javascript=False)
    fits(holder)
    fill(holder, {"您的姓名": "示例店主"})
    press(holder, "确认收到，立即停售")
    fill(holder, {"单位": "千克", "现有": "6", "其中已封存": "6", "已售出": "3", "说不清去向": "1"})
    fill(holder, {"您的姓名": "示例店主"})
    fits(holder)
    press(holder, "提交库存")
    assert "库存已反馈" in text(holder)
    quality.goto(campaign)
    assert "共 2 份通知：已送出" in text(quality)
    assert "已确认 2，已反馈库存 2" in text(quality)

    # What is left comes back and is destroyed before the county's eyes.
    quality.goto(of_outsider)
    take_back(quality, "6")
    quality.goto(campaign)
    follow(quality, "逐个查看通知")
    follow(quality, "示例便民商店")
    take_back(quality, "25")
    quality.goto(campaign)
    follow(quality, "销毁")
    fill(quality, {"数量": "191", "单位": "千克"})
    quality.get_by_label("销毁", exact=True).check()
    fill(quality, {"处理地点": "示例无害化处理厂", "见证单位": "汾阳市示例市场监管局", "见证人": "示例见证人"})
    quality.get_by_label("事先报告的时间").fill(ago(0, 1).at.strftime("%Y-%m-%dT%H:%M"))
    press(quality, "登记处理")
    assert "处理已登记" in text(quality)

    # Collected, disposed of, summed up; the county's approver closes with the numbers.
    for step in ("收回完成", "处理完成"):
        quality.goto(campaign)
        follow(quality, step)
        press(quality, step)
    follow(quality, "报送召回总结")
    fill(quality, {"召回总结": "示例：收回 31 千克，连同库存一并销毁。"})
    press(quality, "报送召回总结")
    approver = signed_in(open_page, world.county_approver)
    approver.goto(campaign)
    follow(approver, "结案")
    press(approver, "结案")
    assert "召回已结案" in text(approver)
    approver.goto(campaign)
    numbers = tiles(approver)
    assert numbers == {
        "生产": "200 千克",
        "发出": "40 千克",
        "收回": "31 千克",
        "销毁处理": "191 千克",
        "封存在库": "0 千克",
        "已售出未收回": "8 千克",
        "去向不明": "1 千克",
    }
    public.reload()
    assert "召回已结案" in text(public)
    assert "已召回" in reloaded(consumer)


@pytest.mark.once
def test_a_recall_goes_on_from_hand_to_hand_and_is_strengthened_once_before_it_is_closed(open_page: OpenPage) -> None:
    chain = make_chain(make_world())
    world = chain.world
    campaign = announced(chain)
    page = f"/recall/campaigns/{campaign.uid}/"

    # The shop without account opens the link of its mail and tells its own customer, which is told in turn.
    letter = link_url(notice_to(campaign, chain.outsider))
    holder = open_page(letter, phone=True, javascript=False)
    fill(holder, {"您的姓名": "示例店主"})
    press(holder, "确认收到，立即停售")
    holder.goto(f"{letter}/customers")
    assert holder.get_by_label("您的姓名").input_value() == "示例店主", "nobody types it twice"
    fill(holder, {"您的客户": "示例小吃摊，13900000001，stall@example.org"})
    press(holder, "通知这些客户")
    fits(holder)
    assert "示例小吃摊" in text(holder)
    stall = open_page(link_url(campaign.notices.get(tier=2)), phone=True, javascript=False)
    assert "没有记录" in text(stall), "what it has is not said to be nought"
    fits(stall)
    fill(stall, {"您的姓名": "示例摊主"})
    press(stall, "确认收到，立即停售")

    # A consumer claims from the announcement and gets a receipt.
    consumer = open_page(f"/recalls/{campaign.uid}/claim?code={chain.pouch_a.public_code}", phone=True)
    consumer.get_by_label("退款", exact=True).check()
    press(consumer, "提交申请")
    fits(consumer)
    assert "回执号" in text(consumer)

    # The distributor sends back; who takes it in sees what was sent.
    trader = signed_in(open_page, world.distributor)
    trader.goto(f"/recall/notices/{notice_to(campaign, world.distributor.organisation).uid}/")
    press(trader, "确认收到，立即停售")
    fill(trader, {"单位": "千克", "现有": "16", "其中已封存": "16"})
    press(trader, "提交库存")
    follow(trader, "寄回货物")
    fill(trader, {"数量": "16", "单位": "千克", "运单号": "SF0001"})
    press(trader, "登记寄回")
    quality = signed_in(open_page, world.walnuts_quality)
    quality.goto(page)
    follow(quality, "逐个查看通知")
    follow(quality, "示例商贸")
    follow(quality, "登记收回")
    assert "SF0001" in text(quality)
    fill(quality, {"数量": "16", "单位": "千克", "存放地点": "加工车间"})
    press(quality, "登记收回")

    # Collected and summed up; the county looks at the figures and orders to strengthen; closed the second time.
    county, approver = signed_in(open_page, world.county), signed_in(open_page, world.county_approver)
    for time in range(2):
        for step in ("收回完成", "处理完成"):
            quality.goto(page)
            if step == "收回完成":
                follow(quality, step)
                assert "仍有通知未反馈" in text(quality) or time == 1
                fill(quality, {"说明": "其余单位已电话核实"})
            else:
                follow(quality, step)
            press(quality, step)
        follow(quality, "报送召回总结")
        fill(quality, {"召回总结": "示例总结", "差异说明": "其余已电话核实"})
        press(quality, "报送召回总结")
        assert "等监管审批办理" in text(quality), "who goes on from here is said"
        county.goto(page)
        follow(county, "开始评价")
        assert "库存反馈率" in text(county)
        press(county, "开始评价")
        approver.goto(page)
        if time == 0:
            follow(approver, "责令加强召回")
            fill(approver, {"文书编号": "示例强〔2026〕1号", "要求的内容": "再催", "理由": "尚有门店没有答复"})
            press(approver, "责令加强召回")
            assert "实施中" in text(approver)
    follow(approver, "结案")
    press(approver, "结案")

    # The closure pack is made by the worker and taken away.
    quality.goto(f"{page}papers/")
    press(quality, "制作结案卷宗")
    assert run_next_pack()
    expect(quality.get_by_role("link", name="ZIP")).to_be_visible(timeout=20_000)  # it looks again by itself
    with quality.expect_download() as download:
        quality.get_by_role("link", name="ZIP").click()
    names = zipfile.ZipFile(download.value.path()).namelist()
    assert {"SHA256SUMS", "holders.jsonl"} <= set(names)
    assert any("order" in name for name in names), "the order to strengthen is in it"


def reloaded(page: Page) -> str:
    """What the page says when it is asked for again."""
    page.reload()
    return text(page)


def take_back(page: Page, amount: str) -> None:
    """From a notice's page, write down what came back in kilograms."""
    follow(page, "登记收回")
    fill(page, {"数量": amount, "单位": "千克", "存放地点": "加工车间"})
    press(page, "登记收回")
    assert "收回已入库" in text(page)


def tiles(page: Page) -> dict[str, str]:
    """The numbers of a campaign's page by their labels."""
    labels = page.locator(".numbers .number-label").all_inner_texts()
    return dict(zip(labels, page.locator(".numbers .number-value").all_inner_texts(), strict=True))


@pytest.mark.once
def test_spirit_goes_from_the_mash_to_the_bottle_on_a_clerks_phone(open_page: OpenPage) -> None:
    world = make_world()
    owner = world.distillery.organisation
    mash, *_liquids = (
        make_product(owner, code, name, base_unit=unit, kind="intermediate", family="baijiu_light_aroma")
        for code, name, unit in (
            ("PEI", "示例酒醅", "KGM"),
            ("YJ", "示例原酒", "LTR"),
            ("JJ", "示例基酒", "LTR"),
            ("GT", "示例勾调酒", "LTR"),
        )
    )
    make_product(
        owner, "P500", "示例瓶装酒", base_unit="C62", family="baijiu_light_aroma", net_content="500 mL",
        packs={"箱": "6"}, standard="gbt10781_2_2022",
    )  # fmt: skip
    make_place(owner, "一号陶坛", "vessel")
    make_place(owner, "一号灌装线", "line")
    make_lot(world.distillery, mash, "1000", when=ago(40))
    phone = signed_in(open_page, world.distillery_worker, phone=True)

    def step(code: str, amount: str, product: str, made: str, **more: str) -> None:
        """One step of one lot into another, as a thumb fills it in: the newest lot, what comes out, what is asked."""
        phone.goto(f"/steps/{code}/")
        fits(phone)
        place = phone.locator("select[name=place]")
        if place.count() and not place.input_value():
            place.select_option(index=1)
        phone.locator("select[name=inputs-0-lot]").select_option(index=1)
        phone.locator("input[name=inputs-0-amount]").fill(amount)
        select = phone.locator("select[name=outputs-0-product]")
        select.select_option(label=select.locator("option", has_text=product).first.inner_text())
        phone.locator("input[name=outputs-0-amount]").fill(made)
        for name, value in more.items():
            found = phone.locator(f"[name='{name.replace('__', '-')}']").first
            if found.get_attribute("type") == "radio":
                phone.locator(f"[name='{name.replace('__', '-')}'][value='{value}']").check()
            elif found.evaluate("each => each.tagName") == "SELECT":
                found.select_option(index=1)
            else:
                found.fill(value)

    step(
        "baijiu.distil_2",
        "1000",
        "示例原酒",
        "100",
        d_ferment_days="28",
        outputs__0__f_abv="65",
        outputs__0__f_grade="优级",
    )
    press(phone, "保存")
    step("baijiu.vat", "100", "示例基酒", "100", d_abv="65")
    press(phone, "保存")
    # Fifty litres of 65 %vol do not become eighty of 53: the page says how much too much, and by which lot.
    step("baijiu.blend", "50", "示例勾调酒", "80", inputs__0__x_abv="65", d_output_abv="53")
    with phone.expect_navigation():
        phone.locator("main").get_by_role("button", name="保存").first.click()
    fits(phone)
    assert "纯酒精对不上" in text(phone)
    phone.locator("input[name=outputs-0-amount]").fill("61")
    press(phone, "保存")
    assert "已登记“勾调”" in text(phone)
    step("baijiu.bottle", "61", "示例瓶装酒", "20", d_label_abv="53", d_net_content="500", outputs__0__lot_code="B-1")
    phone.locator("select[name=outputs-0-unit]").select_option(label="箱")
    press(phone, "保存")
    fits(phone)
    assert "B-1" in text(phone)
    follow(phone, "B-1")
    fits(phone)
    assert "120" in text(phone), "twenty cartons of six"


@pytest.mark.once
def test_a_new_firm_registers_is_admitted_and_brings_its_products_and_stock_by_excel(
    open_page: OpenPage, tmp_path: Path
) -> None:
    world = make_world()
    firm = open_page("/apply/", phone=True)
    fits(firm)
    fill(
        firm,
        {"单位名称": "示例新核桃厂", "单位类型": "生产企业", "统一社会信用代码": "91149999MA0TYKD9A0",
         "所在地": "杏花村镇", "召回联系人": "示例甲", "召回电话": "0358-7220001", "您的姓名": "示例厂长",
         "用户名": "newfirm"},
    )  # fmt: skip
    for box in firm.locator("input[type=password]").all():
        box.fill("walnut-week-2026")
    press(firm, "提交申请")
    assert "等待审核" in text(firm)

    county = signed_in(open_page, world.county)
    county.goto("/applications/")
    follow(county, "示例新核桃厂")
    press(county, "通过", within=county.locator("form"))

    # At the desk the firm fills in the template; a faulty row writes nothing and is told at its cell.
    desk = open_page("/sign-in/")
    desk.locator("input[name=username]").fill("newfirm")
    desk.locator("input[name=password]").fill("walnut-week-2026")
    with desk.expect_navigation():
        desk.locator("main button[type=submit]").click()
    rows = [
        {"内部编号": "GHT", "品名": "示例干核桃", "类型": "原料"},
        {"内部编号": "HTR-200", "品名": "示例核桃仁", "类型": "成品", "包装": "袋=0.2", "保质期（天）": "两百"},
    ]
    common = {"适用类别": "食品", "计量单位": "千克", "品类": "汾州核桃"}
    bring_in(desk, "/imports/new/products/", [common | row for row in rows], tmp_path)
    assert "第 4 行 · 保质期（天）" in text(desk)
    rows[1]["保质期（天）"] = "240"
    bring_in(desk, "/imports/new/products/", [common | row for row in rows], tmp_path)
    confirm(desk)
    bring_in(desk, "/imports/new/places/", [{"名称": "一号库", "地点类型": "库房", "所在地": "杏花村镇"}], tmp_path)
    confirm(desk)
    bring_in(
        desk,
        "/imports/new/steps/?step=common.opening",
        [{"日期": today(), "地点": "一号库", "产品": "GHT", "数量": "500斤", "依据(台账、盘点表)": "示例盘点表"}],
        tmp_path,
    )
    confirm(desk)
    desk.goto("/lots/?scope=held")
    assert "250 千克" in text(desk)


def bring_in(page: Page, address: str, rows: list[dict[str, str]], folder: Path) -> None:
    """Download the template of an import, write rows under its headings, upload it and let it be checked."""
    page.goto(address)
    with page.expect_download() as download:
        page.locator("main a", has_text="Excel 模板").click()
    file = folder / "示例.xlsx"
    download.value.save_as(file)
    book = openpyxl.load_workbook(file)
    sheet = book.worksheets[0]
    heads = [str(cell.value).removesuffix(" *") for cell in sheet[1]]
    for number, row in enumerate(rows, start=3):
        for name, value in row.items():
            sheet.cell(number, heads.index(name) + 1).value = value
    book.save(file)
    page.locator("main input[type=file]").set_input_files(file)
    press(page, "上传")
    run_next_import()
    read_again(page)


def read_again(page: Page) -> None:
    """Wait until the page of an import has looked again by itself and found that no work is under way."""
    expect(page.locator("script[src*='imports.js']")).to_have_count(0, timeout=20_000)


def confirm(page: Page) -> None:
    """Confirm an import that was checked and let it be written."""
    press(page, "确认导入")
    run_next_import()
    read_again(page)
    assert "已全部导入" in text(page)
