"""A real Chromium (the system's own; none is downloaded) in front of the real server.

`open_page` opens a page at phone width (360 × 740) or desk width (1280 × 900) in a context of its own, so that each
has its own cookies. A page that breaks our Content-Security-Policy, throws, or gets a 5xx fails its test.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, expect, sync_playwright

from tests.conftest import Served

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}

OpenPage = Callable[..., Page]

# A busy machine draws slowly; what never comes fails all the same.
expect.set_options(timeout=30_000)


def chromium_path() -> str:
    """Where the system's Chromium is. Skips where it is not installed."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("Chromium is not installed (Debian: chromium)")
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser, for one file of tests. Skips where Chromium is not installed."""
    path = chromium_path()
    # Playwright's synchronous interface keeps an event loop running in this thread, and Django then refuses the
    # database to it. The tests use both, one after the other, and never from a coroutine.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with sync_playwright() as playwright:
            # Chromium's sandbox does not run as root, as which CI machines usually work; only our own pages are opened.
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            yield browser
            browser.close()
    finally:
        if before is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
        else:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture
def open_page(chromium: Browser, served: Served) -> Iterator[OpenPage]:
    """Open a page: `open_page("/sign-in/", phone=True, language="en", javascript=False)`."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def said(message: ConsoleMessage) -> None:
        # A refused form is answered with 4xx, and Chromium notes each such answer as an error of its own.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def answered(response: Response) -> None:
        if response.status >= 500:
            complaints.append(f"{response.status} {response.url}")

    def open_(path: str = "/", *, phone: bool = False, language: str = "zh-CN", javascript: bool = True) -> Page:
        options: dict[str, Any] = {"viewport": PHONE if phone else DESK, "locale": language}
        context = chromium.new_context(base_url=served.url, java_script_enabled=javascript, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(45_000)
        page.on("console", said)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", answered)
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == [], served.log.read_text()[-4000:]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window; 0 when nobody must scroll sideways."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return max(0, width)
