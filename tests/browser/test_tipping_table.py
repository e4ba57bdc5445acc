"""A table that tips over, in real browsers: notice, objection and finding, the plan returned and filed again, a parent
told by mail, the shop's table repaired and released, closed by the province.
"""

from __future__ import annotations

import re

import pytest
from django.core import mail
from playwright.sync_api import Page

from recalls.actions.subscriptions import send_next, tell_next
from recalls.models import Campaign
from tests.browser.conftest import OpenPage
from tests.browser.people import ago, fill, fits, follow, press, signed_in, text, today
from tests.goods import make_lot, receive, released, ship
from tests.world import make_product, make_world

pytestmark = [pytest.mark.browser, pytest.mark.once]


def links() -> list[str]:
    """The addresses in the last message to the parent."""
    while tell_next() or send_next():
        pass
    return re.findall(r"https?://\S+", str(mail.outbox[-1].body))


def path_of(address: str) -> str:
    """An address without its host: the test's server listens elsewhere."""
    return re.sub(r"https?://[^/]+", "", address)


def step(page: Page, campaign: str, name: str, **fields: str) -> None:
    """Take one step from the campaign's page."""
    page.goto(campaign)
    follow(page, name)
    fill(page, fields)
    press(page, name)


def test_a_table_that_tips_is_recalled_repaired_and_closed_by_the_province(open_page: OpenPage) -> None:
    world = make_world()
    table = make_product(world.walnuts.organisation, "CZ", "示例核桃木餐桌", track="consumer_product", base_unit="C62")
    lot = make_lot(world.walnuts, table, "2", when=ago(20), place=world.plant)
    released(world.walnuts, world.walnuts_quality, lot, when=ago(18))
    receive(world.shop, ship(world.walnuts, world.shop.organisation, lot, "1", when=ago(16)), when=ago(15))

    # A parent asks to be told; it counts once the mail's link was followed.
    parent = open_page("/tell-me", phone=True)
    parent.locator("input[name=address]").fill("parent@example.org")
    parent.locator("input[name=consent]").check()
    press(parent, "提交")
    fits(parent)
    parent.goto(path_of(links()[0]))
    press(parent, "确认")
    assert "已生效" in text(parent)

    # The province assesses a laboratory's finding and gives notice; the firm's home says so and it objects.
    officer, approver = signed_in(open_page, world.province), signed_in(open_page, world.province_approver)
    officer.goto("/recall/signals/new/")
    fill(officer, {"来源": "检验机构", "批号或追溯码": lot.public_code, "发现了什么": "示例：倾翻试验不合格"})
    press(officer, "登记")
    follow(officer, "开始评估")
    fill(officer, {"召回名称": "示例核桃木餐桌受力倾倒", "危害类别": "倾倒", "依据": "示例检验报告"})
    for words in ("可能造成严重伤害或死亡", "很可能发生", "应当召回"):
        officer.get_by_label(words, exact=True).check()
    press(officer, "保存评估")
    campaign = officer.url
    approver.goto(f"{campaign}acts/")
    fill(approver, {"行为": "通知召回", "文书编号": "晋示例召〔2026〕1号", "要求的内容": "请召回，有异议的书面提出"})
    press(approver, "登记")
    quality, owner = signed_in(open_page, world.walnuts_quality, phone=True), signed_in(open_page, world.walnuts)
    assert "主管部门等您办理" in text(quality)
    quality.goto(campaign)
    follow(quality, "查看通知，提出异议")
    fits(quality)
    quality.locator("#defect").get_by_label("报告内容").fill("示例：已书面报告省局")
    press(quality, "登记已报告")
    fill(quality, {"理由": "示例：附墙件随货"})
    press(quality, "提出异议")
    assert "等待缺陷认定" in text(quality)
    approver.goto("/")
    assert "异议或延期申请等您答复" in text(approver)
    approver.goto(campaign)
    follow(approver, "登记缺陷认定")
    fill(approver, {"行为": "缺陷认定：存在缺陷", "文书编号": "晋示例认〔2026〕1号", "要求的内容": "存在缺陷"})
    press(approver, "登记")
    assert "结论" in text(approver)

    # Scope, decision, start; the plan begins with what is known, comes back for changes and is filed again.
    quality.goto(f"{campaign}scope/")
    press(quality, "保存这一版")
    step(owner, campaign, "决定召回")
    quality.goto(f"{campaign}do/start/")
    quality.get_by_label("已决定停止生产、销售和使用范围内的产品").check()
    press(quality, "启动召回")
    follow(quality, "报送召回计划")
    fits(quality)
    assert lot.code in quality.locator("textarea").first.input_value(), "goods, defect and what to do at once"
    fill(quality, {"其他需要报告的内容": "无"})
    press(quality, "报送召回计划")
    officer.goto(campaign)
    follow(officer, "退回修改计划")
    assert lot.code in text(officer), "who returns a plan reads it"
    fill(officer, {"理由": "示例：未写附墙件何时寄出"})
    press(officer, "退回修改计划")
    quality.goto(campaign)
    assert "示例：未写附墙件何时寄出" in text(quality)
    follow(quality, "修改召回计划")
    fill(quality, {"其他需要报告的内容": "三日内寄出附墙件"})
    press(quality, "报送召回计划")
    assert "主管部门退回了召回计划" not in text(quality)

    # Announced: the parent is told, reads it and unsubscribes.
    quality.goto(f"{campaign}announcement/")
    assert "食用" not in quality.get_by_label("消费者怎么办").input_value()
    fill(
        quality,
        {"住所": "示例路 1 号", "法定代表人": "示例法人", "具体负责人": "示例负责人", "联系电话": "0358-0000000"},
    )
    fill(quality, {"区域范围": "山西省", "召回开始日期": today()})
    press(quality, "保存这一版")
    step(owner, campaign, "发布召回公告")
    announcement, ending = links()[:2]
    parent.goto(path_of(announcement))
    fits(parent)
    assert "示例核桃木餐桌" in text(parent)
    parent.goto(path_of(ending))
    press(parent, "取消并删除我的地址")
    assert "parent@example.org" not in parent.content()

    # The shop sends its table back; it is repaired, proposed by one and let go by another.
    shop = signed_in(open_page, world.shop, phone=True)
    shop.goto("/recall/notices/")
    follow(shop, "示例核桃木餐桌")
    press(shop, "确认收到，立即停售")
    fill(shop, {"现有": "1", "其中已封存": "1"})
    press(shop, "提交库存")
    follow(shop, "寄回货物")
    fill(shop, {"数量": "1"})
    press(shop, "登记寄回")
    quality.goto(f"{campaign}notices/")
    follow(quality, "示例便民商店")
    follow(quality, "登记收回")
    fill(quality, {"数量": "1"})
    press(quality, "登记收回")
    quality.goto(f"{campaign}releases/")
    fill(quality, {"数量": "1", "怎样消除了缺陷": "示例：已加装防倾装置并复测合格"})
    press(quality, "提出放行")
    fits(quality)
    owner.goto(f"{campaign}releases/")
    press(owner, "批准放行")
    assert "已放行" in text(owner)

    # Collected, summed up, weighed and closed by the province.
    for name in ("收回完成", "处理完成"):
        quality.goto(campaign)
        follow(quality, name)
        press(quality, name)
    step(quality, campaign, "报送召回总结", 召回总结="示例：全部加装")
    step(officer, campaign, "开始评价")
    step(approver, campaign, "结案")
    assert "召回已结案" in text(approver)
    found = Campaign.objects.get()
    assert found.authority == world.province.organisation
    assert all(clock.met_at is not None for clock in found.clocks.filter(key__in=["incident_report", "plan"]))
