"""What every page promises whoever opens it, in a real browser: nothing that keeps people out, nothing too small to
tap, nothing cut off when enlarged, and for the scanned page little to fetch and little to wait.
"""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from labels.actions.runs import issue_codes
from labels.models import CodeRun
from tests.browser.conftest import OpenPage, overflow
from tests.browser.people import signed_in
from tests.conftest import Served
from tests.labels.goods import bottled
from tests.recalls.story import announced, make_chain
from tests.world import make_world
from trace.models import Unit

pytestmark = [pytest.mark.browser, pytest.mark.once]
WECHAT = (
    "Mozilla/5.0 (Linux; Android 14; 23078RKD5C) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0.0.0 "
    "Mobile Safari/537.36 XWEB/1160065 MMWEBSDK/20240301 MicroMessenger/8.0.48.2580 WeChat/arm64 NetType/4G "
    "Language/zh_CN ABI/arm64"
)
SMALL = """() => [...document.querySelectorAll('main a, main button, main input, main select, main summary, header a')]
    .filter(each => {
        const box = each.getBoundingClientRect(), style = getComputedStyle(each);
        if (!box.width || style.visibility === 'hidden' || each.type === 'hidden') return false;
        // A link within a sentence and a box beside its label are excepted (WCAG 2.2, 2.5.8).
        if (style.display === 'inline' || ['radio', 'checkbox'].includes(each.type)) return false;
        return box.height < 43.5 || box.width < 43.5;
    }).map(each => each.outerHTML.slice(0, 120))"""
LARGEST = """() => new Promise(resolve => new PerformanceObserver(list => {
    const all = list.getEntries(); resolve(all[all.length - 1].startTime);
}).observe({type: 'largest-contentful-paint', buffered: true}))"""
SLOW = {"offline": False, "latency": 150, "downloadThroughput": 1_600_000 / 8, "uploadThroughput": 750_000 / 8}
"""The phone on a poor mobile network by which Lighthouse measures."""
FIRST, ALL = 14 * 1024, 60 * 1024
"""Bytes over the wire of the page alone, and of everything before anybody acts."""
PAINTED_MS = 1_500


def barred(page: Page) -> list[str]:
    """What axe finds serious or critical."""
    found = Axe().run(page).response["violations"]
    return [
        f"{page.url}: {each['id']} {[node['html'][:100] for node in each['nodes'][:3]]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def cut_off(page: Page) -> list[str]:
    """At which enlargements one must scroll sideways: a desk at 200 %, and a phone."""
    found = []
    before = page.viewport_size
    for width in (640, 320):
        page.set_viewport_size({"width": width, "height": 740})
        if overflow(page):
            found.append(f"{page.url} at {width}: {overflow(page)} px")
    assert before is not None
    page.set_viewport_size(before)
    return found


def large_letters(page: Page) -> list[str]:
    """Whether letters of twice the size, as people set them in WeChat, make a phone's page scroll sideways."""
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    return [f"{page.url} in large letters: {overflow(page)} px"] if overflow(page) else []


def test_nothing_keeps_people_out_of_the_main_pages(open_page: OpenPage) -> None:
    world = make_world()
    chain = make_chain(world)
    run = issue_codes(by=world.distillery, lot=bottled(world), count=3, key="u", layout="roll-60x40", checks=True)
    campaign = announced(chain)
    unit = Unit.objects.filter(run=run.uid).order_by("number")[0]
    found: list[str] = []
    page = open_page("/", phone=True)
    small: list[str] = []
    for path in (
        f"/c/{unit.code}",
        f"/c/{chain.pouch_a.public_code}",
        "/c/ZZZZZZZZZZZZ",
        "/recalls",
        f"/recalls/{campaign.uid}",
    ):
        for language in ("", "?lang=en"):
            page.goto(path + language)
            found += barred(page) + cut_off(page)
            small += [f"{path}: {each}" for each in page.evaluate(SMALL)]
            if path.startswith("/c/"):
                found += large_letters(page)
    producer = signed_in(open_page, world.distillery, phone=True)
    for path in ("/", f"/labels/{run.uid}/"):
        producer.goto(path)
        found += barred(producer) + cut_off(producer)
        small += [f"{path}: {each}" for each in producer.evaluate(SMALL)]
    assert found == []
    assert small == []


def opened(chromium: Browser, served: Served, **options: Any) -> BrowserContext:
    """A phone of somebody."""
    return chromium.new_context(base_url=served.url, viewport={"width": 390, "height": 844}, locale="zh-CN", **options)


def test_the_scanned_page_opens_in_wechat_without_javascript_and_on_a_poor_network(
    chromium: Browser, served: Served
) -> None:
    world = make_world()
    issue_codes(by=world.distillery, lot=bottled(world), count=1, key="u", layout="roll-60x40", checks=True)
    path = f"/c/{Unit.objects.get(number=1).code}"
    assert CodeRun.objects.get().checks
    for options in ({"user_agent": WECHAT}, {"java_script_enabled": False}):
        context = opened(chromium, served, **options)
        page = context.new_page()
        answer = page.goto(path)
        assert answer is not None
        assert (answer.status, answer.request.redirected_from) == (200, None)
        assert page.locator("h1").inner_text() == "信息正常"
        assert context.cookies() == []
        assert (
            all(each.startswith(served.url) for each in page.evaluate(ADDRESSES)) if "user_agent" in options else True
        )
        context.close()
    context = opened(chromium, served, java_script_enabled=False)
    page = context.new_page()
    page.goto(path)
    page.locator("#count button").click()
    assert "这次查询已登记" in page.locator("#scans").inner_text()
    page.locator("#check-code").fill("000000")
    page.locator("#check button").click()
    assert "校验码不一致" in page.locator("#check").inner_text()
    context.close()
    waits = []
    for _attempt in range(3):
        waits.append(_weighed(chromium, served, path))
        if waits[-1] <= PAINTED_MS:
            break
    assert min(waits) <= PAINTED_MS, waits


ADDRESSES = "() => performance.getEntriesByType('resource').map(each => each.name)"


def _weighed(chromium: Browser, served: Served, path: str) -> float:
    """Open the page anew on a poor network: its bytes are within the budget; when the largest part was painted."""
    context = opened(chromium, served, is_mobile=True, device_scale_factor=2)
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", SLOW)
    weights: list[int] = []
    devtools.on("Network.loadingFinished", lambda event: weights.append(int(event["encodedDataLength"])))
    page.goto(path, wait_until="load")
    painted = float(page.evaluate(LARGEST))
    context.close()
    assert weights[0] <= FIRST, weights
    assert sum(weights) <= ALL, weights
    return painted
