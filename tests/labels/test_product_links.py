"""Links of producers: what may be set, who may, what is remembered, and that nothing leads anywhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from labels.actions.links import MOST_LINKS, add_link, end_link
from labels.link_types import check_target
from labels.models import ProductLink, ProductLinkStep
from tests.labels.goods import bottled
from tests.world import GTIN, World, make_product, sign_in
from trace.errors import DomainError, Invalid
from trace.models import Lot

pytestmark = pytest.mark.django_db

HOSTILE = [
    "",
    "http://www.example.com/",
    "HTTPS://www.example.com/",
    "https://",
    "https://localhost/",
    "https://intranet/",
    "https://printer.local/",
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://[::1]/",
    "https://user:secret@example.com/",
    "https://example.com\\@evil.example/",
    "https://example.com /",
    "https://exa mple.com/",
    "https://example.com/\r\nSet-Cookie: a=b",
    "https://example.com/酒",
    "https://示例.中国/",
    "https://-a.example.com/",
    "https://a..example.com/",
    "https://example.com:0/",
    "https://example.com:99999/",
    "javascript:alert(1)",
    "data:text/html,x",
    "//evil.example/",
    "https://example.com/\x00",
    "https://example.com/\ud800",
    "https://example.com/" + "a" * 500,
]


@pytest.mark.once
@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_plain_https_address_of_a_public_host_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_target(text)
    assert caught.value.code == "link_target"


@pytest.mark.once
@given(st.text(max_size=60), st.sampled_from(["https://", "https://example.com", "https://example.com/", ""]))
def test_what_is_taken_leads_to_the_host_that_is_shown(text: str, front: str) -> None:
    try:
        address, host = check_target(front + text)
    except Invalid:
        return
    assert address.isascii()
    assert address.split("://")[1].split("/")[0].split("?")[0].split("#")[0].split(":")[0].rstrip(".").lower() == host


@pytest.fixture
def lot(world: World) -> Lot:
    """A lot of the distillery."""
    return bottled(world)


def fields(**more: str) -> dict[str, str]:
    """What the form sends."""
    return {
        "link_type": "instructions",
        "title": "开瓶方法",
        "href": "https://www.example.com/kai",
        "language": "zh",
        "context": "",
        "lot_code": "",
        **more,
    }


def test_the_owner_sets_and_ends_links_on_a_page_and_the_history_stays(world: World, lot: Lot) -> None:
    client = sign_in(Client(), world.distillery)
    page = f"/labels/links/{lot.product.uid}/"
    assert lot.product.current is not None
    assert page in client.get("/labels/links/").content.decode()
    assert client.post(page, fields()).headers["Location"] == page
    assert (
        client.post(page, fields(lot_code="l1", title="这一批的检测", href="https://b.example.org/x")).status_code
        == 302
    )
    twice = client.post(page, fields())
    assert (twice.status_code, "已经设置过" in twice.content.decode()) == (422, True)
    assert ProductLink.objects.count() == 2
    scanned = Client().get(f"/c/{lot.public_code}").content.decode()
    assert 'href="https://www.example.com/kai" rel="noopener noreferrer nofollow"' in scanned
    assert "b.example.org" in scanned
    assert "b.example.org" not in Client().get(f"/01/{GTIN}").content.decode()
    link = ProductLink.objects.get(lot=None)
    end = f"{page}{link.uid}/end/"
    assert client.get(end).status_code == 200
    assert client.post(end, {"reason": ""}).status_code == 422
    assert client.post(end, {"reason": "改版"}).headers["Location"] == page
    assert client.post(end, {"reason": "再来一次"}).status_code == 422
    shown = client.get(page).content.decode()
    assert shown.index("历史") < shown.index("改版")
    assert "www.example.com" not in Client().get(f"/c/{lot.public_code}").content.decode()
    assert list(ProductLinkStep.objects.filter(link=link).values_list("step", flat=True)) == ["added", "ended"]
    assert client.post(page, fields()).status_code == 302


def test_strangers_and_readers_set_nothing(world: World, lot: Lot) -> None:
    page = f"/labels/links/{lot.product.uid}/"
    link = add_link(
        by=world.distillery, product=lot.product, link_type="faqs", title="问答", href="https://www.example.com/"
    )
    assert Client().get(page).status_code == 302
    for actor in (world.walnuts, world.shop):
        stranger = sign_in(Client(), actor)
        for address in (page, f"{page}{link.uid}/end/"):
            assert stranger.get(address).status_code == 404
            assert stranger.post(address, fields(reason="x")).status_code == 404
    regulator = sign_in(Client(), world.county)
    shown = regulator.get(page)
    assert (shown.status_code, '<form method="post" class="form"' in shown.content.decode()) == (200, False)
    assert regulator.post(page, fields()).status_code == 404
    assert regulator.post(f"{page}{link.uid}/end/", {"reason": "x"}).status_code == 404
    other = make_product(world.distillery.organisation, name="另一款")
    own = sign_in(Client(), world.distillery)
    assert own.get(f"/labels/links/{other.uid}/{link.uid}/end/").status_code == 404
    assert ProductLink.objects.filter(ended_at=None).count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"link_type": "recallStatus"},
        {"link_type": "defaultLink"},
        {"link_type": "nonsense"},
        {"title": ""},
        {"title": "a\u202eb"},
        {"title": "x" * 81},
        {"href": "http://www.example.com/"},
        {"href": "https://www.example.com/" + "x" * 1_000_000},
        {"language": "fr"},
        {"context": "C1"},
        {"lot_code": "NEVER"},
        {"lot_code": "\x00"},
    ],
)
def test_what_is_wrong_comes_back_with_the_form(world: World, lot: Lot, wrong: dict[str, str]) -> None:
    answer = sign_in(Client(), world.distillery).post(f"/labels/links/{lot.product.uid}/", fields(**wrong))
    assert answer.status_code == 422
    assert not ProductLink.objects.exists()


def test_the_action_refuses_what_no_form_sends(world: World, lot: Lot) -> None:
    def refused(**wrong: Any) -> str:
        given: dict[str, Any] = {
            "by": world.distillery, "product": lot.product, "link_type": "faqs", "title": "问答",
            "href": "https://www.example.com/",
        }  # fmt: skip
        with pytest.raises(DomainError) as caught:
            add_link(**{**given, **wrong})
        return caught.value.code

    assert refused(by=world.walnuts) == "not_found"
    assert (
        refused(lot=bottled(world, product=make_product(world.distillery.organisation, name="另一款"))) == "not_found"
    )
    assert refused(link_type="epcis") == "link_type"
    assert refused(language="xx") == "link_language"
    for number in range(MOST_LINKS):
        href = f"https://www.example.com/{number}"
        add_link(by=world.distillery, product=lot.product, link_type="faqs", title="问答", href=href)
    assert refused() == "link_too_many"
    link = ProductLink.objects.all()[0]
    end_link(by=world.distillery, link=link, reason="不用了")
    with pytest.raises(DomainError) as caught:
        end_link(by=world.distillery, link=link, reason="不用了")
    assert caught.value.code == "link_ended"
    with pytest.raises(IntegrityError), transaction.atomic():
        ProductLink.objects.filter(pk=link.pk).update(href="http://plain.example/")


def test_nothing_in_an_address_chooses_where_the_resolver_leads(client: Client, world: World, lot: Lot) -> None:
    add_link(by=world.distillery, product=lot.product, link_type="faqs", title="问答", href="https://www.example.com/q")
    for query in ("url=https://evil.example/", "next=//evil.example", "href=https:evil.example"):
        answer = client.get(f"/01/{GTIN}?linkType=faqs&{query}")
        assert answer.headers["Location"].startswith("https://www.example.com/q?")
    assert client.get(f"/01/{GTIN}?linkType=https://evil.example/").status_code == 404
    found = json.loads(client.get(f"/01/{GTIN}?linkType=linkset").content)["linkset"][0]
    assert found["https://ref.gs1.org/voc/faqs"][0]["href"] == "https://www.example.com/q"
