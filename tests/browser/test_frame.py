"""The frame of every page in a real browser: policy, widths, languages, signing in, no JavaScript."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, overflow
from trace.models import User

pytestmark = [pytest.mark.browser, pytest.mark.once]
PASSWORD = "walnut-orchard-lamp"


@pytest.mark.parametrize("phone", [True, False], ids=["phone", "desk"])
@pytest.mark.parametrize("path", ["/", "/sign-in/", "/no-such-page/"])
def test_pages_fit_the_window_and_obey_the_policy(open_page: OpenPage, path: str, phone: bool) -> None:
    page = open_page(path, phone=phone)
    expect(page.locator("h1")).to_have_count(1)
    assert overflow(page) == 0


def test_the_api_document_is_readable_in_the_browser(open_page: OpenPage) -> None:
    page = open_page("/api/v1/docs")
    expect(page.get_by_text("/api/v1/", exact=False).first).to_be_visible()


@pytest.mark.parametrize(("language", "word", "lang"), [("zh-CN", "登录", "zh-CN"), ("en-GB", "Sign in", "en")])
def test_the_browsers_language_is_spoken(open_page: OpenPage, language: str, word: str, lang: str) -> None:
    page = open_page("/sign-in/", language=language)
    expect(page.locator("h1")).to_have_text(word)
    assert page.locator("html").get_attribute("lang") == lang


@pytest.mark.parametrize("javascript", [True, False])
def test_a_person_signs_in_and_out(open_page: OpenPage, javascript: bool) -> None:
    User.objects.create_user("gaoliang", password=PASSWORD, display_name="示例高粱")
    page = open_page("/sign-in/", phone=True, javascript=javascript)
    page.locator("input[name=username]").fill("gaoliang")
    page.locator("input[name=password]").fill("wrong")
    page.locator("main button[type=submit]").click()
    expect(page.locator("input[name=password]")).to_be_visible()
    page.locator("input[name=username]").fill("gaoliang")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    expect(page.locator("input[name=password]")).to_have_count(0)
    assert any(cookie.get("name") == "sessionid" for cookie in page.context.cookies())
