"""The whole story in a real browser: from the grower's phone to the shelf, and from a failed sample to the closing.

What each person does is done on the pages, by the words they read; only what was there before them is made by actions.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.people import ago, code_shown, codes_printed, fill, fits, follow, press, signed_in, text, today
from tests.goods import make_lot
from tests.world import make_product, make_world

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


def test_walnuts_go_from_the_growers_phone_to_the_producers_store(open_page: OpenPage) -> None:
    world = make_world()
    make_product(world.grower.organisation, "SHT", "示例湿核桃", family="walnut_fenzhou", track="farm_produce", kind="raw")
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
    follow(phone, "采收")
    fits(phone)
    follow(phone, "采收")
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
    assert token is not None and where is not None
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
