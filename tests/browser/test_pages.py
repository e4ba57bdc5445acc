"""Every role opens its main pages: nothing sticks out at phone or desk width, nothing is logged.

What the browser's console, a thrown script or a 5xx says fails the test by the fixture `open_page`.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import DESK, PHONE, OpenPage, overflow
from tests.browser.people import signed_in
from tests.recalls.story import announced, make_chain
from tests.world import make_world

pytestmark = [pytest.mark.browser, pytest.mark.once]
PARTY = [
    "/",
    "/lots/",
    "/steps/",
    "/events/",
    "/shipments/",
    "/labels/",
    "/trace/",
    "/reports/",
    "/holds/",
    "/recall/notices/",
    "/recall/campaigns/",
    "/recall/signals/",
    "/products/",
    "/places/",
    "/organisation/",
    "/members/",
]
REGULATOR = [
    "/",
    "/recall/signals/",
    "/recall/campaigns/",
    "/lots/",
    "/reports/",
    "/holds/",
    "/conflicts/",
    "/applications/",
    "/organisations/",
    "/gtin-claims/",
    "/organisation/",
]
ROLES = {
    "walnuts": PARTY,
    "walnuts_quality": ["/", "/recall/campaigns/"],
    "clerk": ["/", "/growers/", "/lots/"],
    "grower": ["/", "/lots/", "/steps/"],
    "distributor": ["/", "/lots/", "/shipments/"],
    "shop": ["/", "/shipments/inbox/", "/recall/notices/"],
    "lab": ["/", "/reports/"],
    "county": REGULATOR,
    "county_approver": ["/", "/recall/campaigns/"],
}
OPENED_BY_THE_FIRST_LINK = ("/lots/", "/shipments/", "/labels/", "/recall/campaigns/", "/recall/notices/", "/reports/")
PUBLIC = ["/", "/recalls", "/scan", "/scan/report", "/help/", "/apply/", "/sign-in/"]


def too_wide(page: Page, address: str) -> list[str]:
    """Open an address and say at which widths one would have to scroll sideways."""
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == 200, f"{address}: {answer.status}"
    found = []
    for size in (DESK, PHONE):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        if overflow(page):
            found.append(f"{address} at {size['width']}: {overflow(page)} px")
    return found


def test_every_roles_main_pages_fit_phone_and_desk(open_page: OpenPage) -> None:
    world = make_world()
    announced(make_chain(world))
    found: list[str] = []
    public = open_page("/", phone=True)
    for address in PUBLIC:
        found += too_wide(public, address)
    for role, addresses in ROLES.items():
        page = signed_in(open_page, getattr(world, role), phone=True)
        for address in addresses:
            found += [f"{role}: {words}" for words in too_wide(page, address)]
            first = page.locator("main table tbody tr").first.locator("a").first
            if address in OPENED_BY_THE_FIRST_LINK and first.count():
                inner = first.get_attribute("href")
                assert inner is not None
                found += [f"{role}: {words}" for words in too_wide(page, inner)]
    assert found == []
