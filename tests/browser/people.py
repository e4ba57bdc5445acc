"""People at their browsers: signing in, filling in forms by the words they read, and reading codes off paper."""

from __future__ import annotations

import datetime
import io

import pypdfium2
import zxingcpp
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, overflow
from tests.world import PASSWORD
from trace.actions.events import When
from trace.actor import Actor

HERE = datetime.timezone(datetime.timedelta(hours=8))


def signed_in(open_page: OpenPage, who: Actor, *, phone: bool = False, language: str = "zh-CN") -> Page:
    """A browser in which this person signed in by the form, at the person's home."""
    return enter(open_page("/sign-in/", phone=phone, language=language), who)


def enter(page: Page, who: Actor) -> Page:
    """Sign in on the sign-in page."""
    assert who.user is not None
    page.locator("input[name=username]").fill(who.user.username)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    expect(page.locator("input[name=password]")).to_have_count(0)
    return page


def text(page: Page) -> str:
    """What the page says."""
    return page.locator("main").inner_text()


def press(page: Page, name: str, *, within: Locator | None = None) -> None:
    """Press the button with this name. Where the form comes back refused, fail with what the page says."""
    address = page.url
    with page.expect_navigation():
        (within or page.locator("main")).get_by_role("button", name=name).first.click()
    summary = page.locator(".error-summary")
    assert summary.count() == 0, f"{address} → {page.url}: {summary.first.inner_text()}"


def follow(page: Page, name: str, *, exact: bool = False) -> None:
    """Follow the first link of the main part with this name."""
    with page.expect_navigation():
        page.locator("main").get_by_role("link", name=name, exact=exact).first.click()


def fill(page: Page, fields: dict[str, str]) -> None:
    """Fill in fields by the words beside them: text boxes, selects (by a part of the words) and radio buttons."""
    for label, value in fields.items():
        found = page.locator("main").get_by_label(label, exact=True)
        if not found.count():
            found = page.locator("main").get_by_label(label)
        control = found.first
        if not control.is_visible():
            open_the_fold_of(control)
        kind = control.evaluate("element => element.tagName")
        if kind == "SELECT":
            choose(control, value)
        elif kind == "FIELDSET":
            control.get_by_label(value).check()
        else:
            control.fill(value)


def choose(control: Locator, words: str) -> None:
    """Pick the option of a select that contains these words."""
    option = control.locator("option", has_text=words).first
    chosen = option.get_attribute("value")
    assert chosen, f"no option “{words}”: {control.inner_text()}"
    control.select_option(chosen)


def open_the_fold_of(control: Locator) -> None:
    """Open the folded part that a control lies in."""
    control.locator("xpath=ancestor::details[1]/summary").click()


def fits(page: Page) -> None:
    """Nobody must scroll sideways."""
    assert overflow(page) == 0, page.url


def ago(days: int, hours: int = 0) -> When:
    """The moment so long ago, to the minute."""
    now = datetime.datetime.now(HERE).replace(second=0, microsecond=0)
    return When(now - datetime.timedelta(days=days, hours=hours))


def today() -> str:
    """This day in Shanxi as forms take it."""
    return datetime.datetime.now(HERE).date().isoformat()


def code_of(picture: Image.Image) -> str:
    """The text of the one QR code that a picture shows."""
    found = zxingcpp.read_barcodes(picture)
    assert len(found) == 1, [each.text for each in found]
    return str(found[0].text)


def code_shown(element: Locator) -> str:
    """The text of the QR code that an element of the page shows, as a phone held before the screen reads it."""
    return code_of(Image.open(io.BytesIO(element.screenshot())))


def codes_printed(pdf: bytes) -> list[str]:
    """The texts of all QR codes of a PDF, as printed at 300 dpi."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        codes = []
        for page in document:
            picture = page.render(scale=300 / 72).to_pil()
            codes += [each.text for each in zxingcpp.read_barcodes(picture)]
        return codes
    finally:
        document.close()
