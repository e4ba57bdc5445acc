"""The field app in a real Chromium: no network, a queue sent once, a contradiction decided, a code on camera."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import qrcode
from PIL import Image
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect

from tests.browser.conftest import PHONE, OpenPage, chromium_path
from tests.browser.people import ago, enter, fill, fits, press, signed_in, text
from tests.conftest import Served
from tests.goods import make_lot, ship
from tests.world import PASSWORD, make_product, make_world
from trace.actions.transfers import slip_token
from trace.actor import Actor
from trace.models import Conflict, Event, EventItem, FieldEntry, Lot, StoredFile

pytestmark = [pytest.mark.browser, pytest.mark.once]


def field(page: Page) -> None:
    """Open the field app and wait until the phone has the forms and keeps the page."""
    page.goto("/field/")
    expect(page.locator(".field-step").first).to_be_visible()
    page.evaluate("navigator.serviceWorker.ready.then(found => found.active && true)")
    page.wait_for_function("caches.keys().then(names => names.length > 0)")
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    fits(page)


def pick(page: Page, name: str, number: int = 1) -> None:
    """Choose the option with this place in a select."""
    page.locator(f"[name='{name}']").select_option(index=number)


def keep(page: Page) -> None:
    """Save what was filled in; the page goes back to the start."""
    fits(page)
    page.get_by_role("button", name="保存到本机").click()
    expect(page.locator("h1")).to_have_text("现场记录")


def states(page: Page) -> list[str]:
    """The states of the queue, the newest entry first."""
    return [str(item.get_attribute("data-state")) for item in page.locator(".field-queue > li[data-state]").all()]


def picture() -> bytes:
    """A photograph."""
    made = io.BytesIO()
    Image.new("RGB", (640, 480), "olive").save(made, "JPEG")
    return made.getvalue()


def test_three_steps_recorded_without_a_network_are_three_events_afterwards(open_page: OpenPage) -> None:
    world = make_world()
    make_product(
        world.grower.organisation, "SHT", "示例湿核桃", family="walnut_fenzhou", track="farm_produce", kind="raw"
    )
    phone = signed_in(open_page, world.grower, phone=True)
    field(phone)
    phone.context.set_offline(True)

    # Harvest, with a photograph; then hulling what is only known to the phone; then handing it over.
    phone.get_by_role("link", name="采收", exact=True).click()
    phone.get_by_role("button", name="保存到本机").click()
    expect(phone.locator(".error").first).to_be_visible()
    fill(phone, {"产品": "示例青皮核桃", "数量": "800"})
    phone.locator("summary", has_text="照片").click()
    phone.set_input_files("input[type=file]", {"name": "果园.jpg", "mimeType": "image/jpeg", "buffer": picture()})
    keep(phone)
    expect(phone.locator("#field-notes")).to_contain_text("联网后自动上传")
    phone.get_by_role("link", name="脱青皮", exact=True).click()
    phone.locator("select[name=inputs-0-local]").select_option(index=1)
    phone.locator("input[name=inputs-0-amount]").fill("800")
    fill(phone, {"产品": "示例湿核桃"})
    phone.locator("input[name=outputs-0-amount]").fill("350")
    phone.get_by_label("机械").check()
    keep(phone)
    phone.get_by_role("link", name="发货", exact=True).click()
    phone.locator("select[name=party]").select_option(label="示例坡头核桃专业合作社")
    phone.locator("select[name=subjects-0-local]").select_option(index=2)
    phone.locator("input[name=subjects-0-amount]").fill("350")
    keep(phone)
    assert states(phone) == ["waiting"] * 3

    # The phone is put away and taken out again, still without a network: page, forms and queue are there.
    phone.reload()
    expect(phone.locator("#field-net")).to_contain_text("没有网络")
    expect(phone.get_by_role("link", name="采收", exact=True)).to_have_count(2)
    assert states(phone) == ["waiting"] * 3
    assert Event.objects.count() == 0

    phone.context.set_offline(False)
    expect(phone.locator("li[data-state=sent]")).to_have_count(3)
    phone.reload()
    expect(phone.locator("#field-net")).to_contain_text("已联网")
    assert states(phone) == ["sent"] * 3
    assert list(Event.objects.order_by("id").values_list("template", flat=True)) == [
        "walnut.harvest",
        "walnut.hull",
        "common.ship",
    ]
    assert Lot.objects.latest("id").links_up.get().parent == Lot.objects.earliest("id")
    assert StoredFile.objects.get().event == Event.objects.earliest("id")
    assert Event.objects.filter(conflicts__isnull=False).count() == 0
    phone.locator("li[data-state=sent] a", has_text="看记录").last.click()
    assert "采收" in text(phone)

    # Signing out takes the forms off the phone; the next person does not see them, with or without a network.
    phone.goto("/")
    phone.locator("details.who summary").click()
    with phone.expect_navigation():
        phone.get_by_role("button", name="退出登录").click()
    phone.context.set_offline(True)
    phone.goto("/field/")
    expect(phone.locator("#field")).to_contain_text("本机还没有表单")
    assert "示例种植户甲" not in phone.locator("body").inner_text()
    phone.context.set_offline(False)


def test_a_contradiction_comes_back_and_is_recorded_or_dropped_as_the_person_decides(open_page: OpenPage) -> None:
    world = make_world()
    lot = make_lot(world.walnuts, world.kernels, "100", when=ago(20), place=world.plant)
    phone = signed_in(open_page, world.walnuts, phone=True)
    field(phone)
    phone.context.set_offline(True)
    for amount in ("90", "80"):
        phone.get_by_role("link", name="盘点", exact=True).first.click()
        pick(phone, "subjects-0-lot")
        phone.locator("input[name=subjects-0-amount]").fill(amount)
        keep(phone)
    phone.context.set_offline(False)
    expect(phone.locator("li[data-state=needs]")).to_have_count(2)
    assert f"批次 {lot.lot_code} 账上有 100 千克，实盘 80 千克，数量不一致。" in text(phone)
    assert Event.objects.filter(template="common.count").count() == 0

    # They stay until the person decides: one happened so, the other was a slip of the finger.
    phone.reload()
    expect(phone.locator("li[data-state=needs]")).to_have_count(2)
    phone.locator("li[data-state=needs] a").last.click()
    expect(phone.locator(".notice")).to_contain_text("实盘 90 千克")
    assert phone.locator("input[name=subjects-0-amount]").input_value() == "90"
    fits(phone)
    phone.get_by_role("button", name="事情确实发生了").click()
    expect(phone.locator("li[data-state=sent]")).to_contain_text("记为矛盾")
    phone.locator("li[data-state=needs] a").click()
    phone.get_by_role("button", name="不要这一条").click()
    phone.get_by_role("button", name="再按一次").click()
    expect(phone.locator("li[data-state=needs]")).to_have_count(0)
    assert Conflict.objects.get().event.items.get().entered == "90"
    assert FieldEntry.objects.count() == 1

    # The head shuts the phone out: it is signed out at once.
    desk = signed_in(open_page, world.walnuts)
    desk.goto("/members/devices/")
    press(desk, "停用")
    phone.get_by_role("link", name="盘点", exact=True).first.click()
    pick(phone, "subjects-0-lot")
    phone.locator("input[name=subjects-0-amount]").fill("100")
    keep(phone)
    expect(phone.locator("#field-notes")).to_contain_text("还没有登录")


def sign_in_elsewhere(page: Page, who: Actor) -> None:
    """Sign somebody in on the same phone while the page knows of no network: the cookie is all that changes."""
    request = page.context.request
    request.post("/sign-out/", headers=token(page))
    assert who.user is not None
    form: dict[str, str | float | bool] = {"username": who.user.username, "password": PASSWORD}
    request.get("/sign-in/")
    answer = request.post("/sign-in/", form=form, headers=token(page), max_redirects=0)
    assert answer.status == 302


def token(page: Page) -> dict[str, str]:
    """What a form of this origin sends along."""
    cookie = next((each for each in page.context.cookies() if each["name"] == "csrftoken"), None)
    base = page.url.split("/field/")[0]
    return {"X-CSRFToken": cookie["value"] if cookie else "", "Referer": base + "/"}


def expect_forms_of(page: Page, who: str) -> None:
    """The phone has one person's forms, at the latest when those that are on their way have come."""
    found: list[str] = []
    for _look in range(100):
        found = page.evaluate("FieldStore.forms().then(rows => rows.map(row => row.who.organisationName))")
        if found == [who]:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"forms of {found}, not of {who}")


def test_two_people_on_one_phone_never_record_as_each_other(open_page: OpenPage) -> None:
    world = make_world()
    phone = signed_in(open_page, world.grower, phone=True)
    field(phone)
    phone.context.set_offline(True)
    phone.get_by_role("link", name="采收", exact=True).click()
    fill(phone, {"产品": "示例青皮核桃", "数量": "800"})
    keep(phone)
    phone.get_by_role("link", name="采收", exact=True).first.click()
    fill(phone, {"产品": "示例青皮核桃", "数量": "55"})
    sign_in_elsewhere(phone, world.walnuts)
    phone.context.set_offline(False)

    # The form stays under the person's hands, says that it cannot be saved, and is not.
    expect(phone.locator("#field-notes")).to_contain_text("已经是另一位用户")
    expect_forms_of(phone, world.walnuts.organisation.label)
    phone.get_by_role("button", name="保存到本机").click()
    expect(phone.locator("#field-notes .tone-danger")).to_contain_text("已经是另一位用户")
    expect(phone.locator("[name$=amount]").first).to_have_value("55")
    phone.get_by_role("link", name="返回", exact=True).click()
    expect(phone.locator("#field")).to_contain_text(world.walnuts.organisation.label)
    assert world.grower.organisation.label not in text(phone)
    expect(phone.locator("#field-notes")).to_contain_text("还有 1 条没上传的记录")
    phone.reload()
    expect(phone.locator("#field-notes")).to_contain_text("还有 1 条没上传的记录")
    assert FieldEntry.objects.count() == 0

    # Back to the first person: the entry that waited is theirs.
    sign_in_elsewhere(phone, world.grower)
    phone.reload()
    expect(phone.locator("li[data-state=sent]")).to_have_count(1)
    entry = FieldEntry.objects.get()
    assert (entry.user, EventItem.objects.get(event=entry.event).entered) == (world.grower.user, "800")
    expect_forms_of(phone, world.grower.organisation.label)


def test_a_form_whose_person_was_signed_out_is_kept_for_them(open_page: OpenPage) -> None:
    world = make_world()
    phone = signed_in(open_page, world.grower, phone=True)
    field(phone)
    phone.get_by_role("link", name="采收", exact=True).click()
    fill(phone, {"产品": "示例青皮核桃", "数量": "800"})
    phone.context.set_offline(True)
    phone.context.request.post("/sign-out/", headers=token(phone))
    phone.context.set_offline(False)
    expect(phone.locator("#field-notes")).to_contain_text("还没有登录")
    keep(phone)
    expect(phone.locator("#field-notes")).to_contain_text("还有 1 条没上传的记录")
    sign_in_elsewhere(phone, world.grower)
    phone.reload()
    expect(phone.locator("li[data-state=sent]")).to_have_count(1)
    assert FieldEntry.objects.get().user == world.grower.user


def test_while_forms_are_on_their_way_nothing_is_called_missing(open_page: OpenPage) -> None:
    world = make_world()
    phone = signed_in(open_page, world.grower, phone=True)
    waiting: list[Route] = []
    phone.route("**/field/data.json", lambda route: waiting.append(route))
    phone.goto("/field/")
    expect(phone.locator("#field [aria-busy=true]")).to_have_text("正在取表单…")
    assert "本机还没有表单" not in text(phone)
    phone.wait_for_timeout(200)
    for route in waiting:
        route.continue_()
    phone.unroute("**/field/data.json")
    expect(phone.get_by_role("link", name="采收", exact=True)).to_be_visible()
    expect(phone.locator("[aria-busy]")).to_have_count(0)

    # Who records nothing is told so, and not to come back with a network.
    viewer = signed_in(open_page, world.county, phone=True)
    viewer.goto("/field/")
    expect(viewer.locator("#field")).to_contain_text("这个账号不登记环节")


# --- The camera -----------------------------------------------------------------------------------------------------


def film(path: Path, shown: str) -> None:
    """A QR code before the camera, as the uncompressed film that Chromium takes for one."""
    width, height = 640, 480
    code = qrcode.QRCode(border=4, box_size=7)
    code.add_data(shown)
    code.make(fit=True)
    drawn = code.make_image().get_image().convert("L")
    frame = Image.new("L", (width, height), 180)
    frame.paste(drawn, ((width - drawn.width) // 2, (height - drawn.height) // 2))
    colourless = bytes([128]) * (width * height // 2)
    head = f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode()
    path.write_bytes(head + (b"FRAME\n" + frame.tobytes() + colourless) * 2)


def test_the_slip_before_the_camera_is_received_without_a_network(
    chromium: Browser, served: Served, tmp_path: Path
) -> None:
    world = make_world()
    lot = make_lot(world.walnuts, world.kernels, "100", when=ago(20), place=world.plant)
    sent = ship(world.walnuts, world.distributor.organisation, lot, "40", when=ago(2), insist=True)
    film(tmp_path / "slip.y4m", f"{served.url}/s/{slip_token(sent)}")
    flags = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    flags.append(f"--use-file-for-fake-video-capture={tmp_path / 'slip.y4m'}")
    # A camera is chosen when the browser starts: this one has its own.
    browser = chromium.browser_type.launch(executable_path=chromium_path(), args=flags)
    try:
        viewport: ViewportSize = {"width": PHONE["width"], "height": PHONE["height"]}
        context = browser.new_context(base_url=served.url, viewport=viewport, locale="zh-CN", permissions=["camera"])
        page = context.new_page()
        page.goto("/sign-in/")
        enter(page, world.distributor)
        field(page)
        context.set_offline(True)
        page.get_by_role("link", name="收货（扫发货单）").click()
        page.get_by_role("button", name="扫码").click()
        expect(page.locator("main")).to_contain_text(sent.number)
        expect(page.locator("dialog")).to_have_count(0)
        assert page.locator("input[name^=amount_]").input_value() == "40"
        page.locator("input[name^=amount_]").fill("38")
        keep(page)
        assert sent.transfers.get().received_by is None
        context.set_offline(False)
        expect(page.locator("li[data-state=sent]")).to_contain_text("记为矛盾")
        assert sent.transfers.get().received_micros == 38_000_000
    finally:
        browser.close()
