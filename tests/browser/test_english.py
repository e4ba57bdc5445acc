"""The same pages in English at phone width: the consumer's without JavaScript, the workers' with it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from labels.access import unit_of
from labels.actions.runs import issue_codes
from labels.contents import uri_of
from tests.browser.conftest import OpenPage
from tests.browser.people import fits, signed_in
from tests.recalls.story import announced, make_chain
from tests.world import make_world
from trace.actions.transfers import slip_token
from trace.models import Shipment

pytestmark = [pytest.mark.browser, pytest.mark.once]


def in_english(page: Page) -> None:
    """The page says that it is English, and fits a phone."""
    assert page.locator("html").get_attribute("lang") == "en"
    expect(page.locator("h1").first).to_be_attached()
    fits(page)


def test_the_publics_pages_are_english_and_need_no_javascript(open_page: OpenPage) -> None:
    world = make_world()
    chain = make_chain(world)
    codes = [
        uri_of(run, unit_of(run, 1))
        for run in (
            issue_codes(by=world.walnuts, lot=lot, count=24, key=f"example-{lot.pk}")
            for lot in (chain.pouch_a, chain.pouch_b)
        )
    ]
    slip = Shipment.objects.filter(receiver=chain.far_outsider).get()
    campaign = announced(chain)
    addresses = [
        *codes,
        f"/s/{slip_token(slip)}",
        "/",
        "/recalls",
        f"/recalls/{campaign.uid}",
        "/scan",
        "/scan/report",
        "/help/",
        "/sign-in/",
        "/apply/",
    ]
    page = open_page("/", phone=True, language="en", javascript=False)
    for address in addresses:
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        in_english(page)
    page.goto(codes[0])
    expect(page.locator("main")).to_contain_text("Recalled")


def test_the_workspaces_are_english(open_page: OpenPage) -> None:
    world = make_world()
    chain = make_chain(world)
    campaign = announced(chain)
    pages = {
        world.walnuts: [
            "/",
            "/lots/",
            f"/lots/{chain.pouch_a.uid}/",
            "/steps/",
            "/steps/walnut.pack/",
            "/steps/walnut.test/",
            "/shipments/",
            "/labels/",
            f"/trace/?lot={chain.mother.uid}",
            f"/recall/campaigns/{campaign.uid}/",
            f"/recall/campaigns/{campaign.uid}/scope/",
        ],
        world.county: ["/", "/recall/signals/", f"/recall/campaigns/{campaign.uid}/", "/reports/new/"],
    }
    for who, addresses in pages.items():
        page = signed_in(open_page, who, phone=True, language="en")
        for address in addresses:
            answer = page.goto(address)
            assert answer is not None
            assert answer.status == 200, address
            in_english(page)
