"""The frame of every page in a real browser: policy, widths, languages, signing in, no JavaScript."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, overflow
from trace.models import User

pytestmark = [pytest.mark.browser, pytest.mark.once]
PASSWORD = "walnut-orchard-lamp"


def test_pages_fit_the_window_and_obey_the_policy(open_page: OpenPage) -> None:
    for phone in (True, False):
        for path in ("/", "/sign-in/", "/no-such-page/"):
            page = open_page(path, phone=phone)
            expect(page.locator("h1")).to_have_count(1)
            assert overflow(page) == 0, (path, phone)
    page = open_page("/api/v1/docs")
    expect(page.get_by_text("/api/v1/", exact=False).first).to_be_visible()
    for language, word, lang in (("zh-CN", "登录", "zh-CN"), ("en-GB", "Sign in", "en")):
        page = open_page("/sign-in/", language=language)
        expect(page.locator("h1")).to_have_text(word)
        assert page.locator("html").get_attribute("lang") == lang


def test_a_person_signs_in_with_and_without_javascript(open_page: OpenPage) -> None:
    User.objects.create_user("gaoliang", password=PASSWORD, display_name="示例高粱")
    for javascript in (True, False):
        signs_in(open_page("/sign-in/", phone=True, javascript=javascript))


def signs_in(page: Page) -> None:
    """A wrong password leads back to the form, the right one into a session."""
    page.locator("input[name=username]").fill("gaoliang")
    page.locator("input[name=password]").fill("wrong")
    page.locator("main button[type=submit]").click()
    expect(page.locator("input[name=password]")).to_be_visible()
    page.locator("input[name=username]").fill("gaoliang")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    expect(page.locator("input[name=password]")).to_have_count(0)
    assert any(cookie.get("name") == "sessionid" for cookie in page.context.cookies())
