"""From address to page: every form of code, no redirect, nothing written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labels.actions.runs import issue_codes
from labels.models import CodeRun
from tests.labels.goods import bottled, made
from tests.world import GTIN, OTHER_GTIN, World, make_product
from trace.identifiers import display_serial
from trace.models import Lot, Product, Unit

pytestmark = pytest.mark.django_db


@pytest.fixture
def lot(world: World) -> Lot:
    """A lot with labels of both kinds."""
    lot = bottled(world)
    issue_codes(by=world.distillery, lot=lot, count=2, key="u")
    issue_codes(by=world.distillery, lot=lot, count=2, key="l", kind="lot")
    return lot


def unit_of(lot: Lot) -> Unit:
    """The lot's first unit."""
    return Unit.objects.get(lot=lot, number=1)


def addresses(lot: Lot) -> list[str]:
    """Every address by which this lot or its first unit may be asked for."""
    unit = unit_of(lot).code
    return [
        f"/01/{GTIN}/10/L1",
        f"/01/{GTIN}/10/L1/",
        f"/01/{GTIN[1:]}/10/L1",
        f"/01/{GTIN}/21/{unit}",
        f"/01/{GTIN}/21/{unit.lower()}",
        f"/01/{GTIN}/10/L1/21/{unit}",
        f"/01/{GTIN}/22/V1/10/L1/21/{unit}",
        f"/c/{unit}",
        f"/c/{unit}/",
        f"/c/{display_serial(unit).lower()}",
        f"/c/{lot.public_code}",
        f"/01/{GTIN}",
    ]


def test_every_form_of_address_answers_at_once_with_200(client: Client, lot: Lot) -> None:
    for address in addresses(lot):
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert "示例清香白酒" in answer.content.decode()
        assert 'rel="canonical"' in answer.headers["Link"]
        assert "Set-Cookie" not in answer.headers
        assert not answer.cookies


def test_head_answers_as_get_does(client: Client, lot: Lot) -> None:
    for address in [*addresses(lot), "/c/ZZZZZZZZZZZZ", "/01/123", "/scan"]:
        got, head = client.get(address), client.head(address)
        assert head.status_code == got.status_code
        assert head.content == b""
        kept = {name: value for name, value in got.headers.items() if name != "Content-Length"}
        assert {name: value for name, value in head.headers.items() if name != "Content-Length"} == kept, address


def test_reading_writes_nothing(client: Client, lot: Lot) -> None:
    paths = [*addresses(lot), "/c/ZZZZZZZZZZZZ", "/scan?q=x", f"/scan/report/{lot.public_code}"]
    with CaptureQueriesContext(connection) as queries:
        for address in paths:
            client.get(address)
    # The driver keeps no text of a statement that PostgreSQL had planned before; such are the look-ups of a code alone.
    said = [query["sql"] for query in queries if query["sql"] is not None]
    assert len(said) > len(paths)
    written = [sql for sql in said if sql.split()[0].upper() in ("INSERT", "UPDATE", "DELETE", "REPLACE")]
    assert written == []


def test_the_host_does_not_matter(client: Client, lot: Lot, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["testserver", "old.example.cn"]
    settings.PUBLIC_BASE_URL = "https://new.example.cn"
    answer = client.get(f"/01/{GTIN}/10/L1", HTTP_HOST="old.example.cn")
    assert answer.status_code == 200
    assert f'<https://new.example.cn/01/{GTIN}/10/L1>; rel="canonical"' in answer.headers["Link"]


@pytest.mark.parametrize(
    "address",
    [
        "/c/ZZZZZZZZZZZZ",
        f"/01/{GTIN}/10/NEVER",
        f"/01/{GTIN}/21/ZZZZZZZZZZZZ",
        f"/01/{GTIN}/21/foreign-serial",
        f"/01/{OTHER_GTIN}",
        f"/01/{OTHER_GTIN}/10/L1",
        "/c/short",
        "/c/TOOLONGTOBEACODE",
        "/c/UUUU-0000-%2A%2A%2A%2A",
    ],
)
def test_what_was_never_issued_is_404_and_says_what_to_do(client: Client, lot: Lot, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    page = answer.content.decode()
    assert "查无此码" in page
    assert "现在怎么办" in page
    assert "12315" in page
    assert "Set-Cookie" not in answer.headers


def test_a_serial_on_the_wrong_lot_or_gtin_is_unknown(client: Client, world: World, lot: Lot) -> None:
    other = bottled(world, code="L2")
    make_product(world.distillery.organisation, gtin=OTHER_GTIN)
    code = unit_of(lot).code
    assert client.get(f"/01/{GTIN}/10/{other.lot_code}/21/{code}").status_code == 404
    assert client.get(f"/01/{OTHER_GTIN}/21/{code}").status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        "/01/abcdefghijklmn",
        "/01/09520000010011",
        "/01/123",
        "/01/00000000000000",
        f"/01/{GTIN}/10/%00",
        f"/01/{GTIN}/10/{'9' * 21}",
        f"/01/{GTIN}/10/中文",
        f"/01/{GTIN}/99/x",
        "/01/%00",
        "/01/９５２００００",
        "/01//10/L1",
        f"/01/{'1' * 3000}",
    ],
)
def test_addresses_that_cannot_be_are_400_in_words(client: Client, lot: Lot, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 400, answer.status_code
    assert "查无此码" in answer.content.decode()


@pytest.mark.parametrize("code", ["%00", "%ED%A0%80", "a" * 3000, "%3Cscript%3E", "😀😀😀😀😀😀😀😀😀😀😀😀"])
def test_strange_codes_are_404_and_repeated_harmlessly(client: Client, world: World, code: str) -> None:
    answer = client.get(f"/c/{code}")
    assert answer.status_code == 404
    assert "<script>" not in answer.content.decode().replace('<script src="', "")


def test_a_lot_code_with_a_slash_is_found(client: Client, world: World) -> None:
    lot = made(world.walnuts, make_product(world.walnuts.organisation, gtin=OTHER_GTIN), code="A/B", is_external=True)
    assert lot.lot_code == "A/B"
    assert client.get(f"/01/{OTHER_GTIN}/10/A%2FB").status_code == 200


def test_a_gtin_that_is_only_claimed_names_nothing(client: Client, world: World) -> None:
    bottled(world, product=make_product(world.distillery.organisation, gtin=OTHER_GTIN, claim="claimed"))
    assert client.get(f"/01/{OTHER_GTIN}/10/L1").status_code == 404
    assert client.get(f"/01/{OTHER_GTIN}").status_code == 404


def test_paper_printed_while_the_claim_stood_keeps_resolving(client: Client, lot: Lot) -> None:
    Product.objects.filter(pk=lot.product_id).update(gtin_claim="refused")
    assert CodeRun.objects.filter(gtin=GTIN).count() == 2
    assert client.get(f"/01/{GTIN}/10/L1").status_code == 200
    assert client.get(f"/01/{GTIN}/21/{unit_of(lot).code}").status_code == 200
    assert client.get(f"/01/{GTIN}").status_code == 404


def test_of_two_registrations_of_a_lot_code_the_standing_one_answers(client: Client, world: World, lot: Lot) -> None:
    Lot.objects.filter(pk=lot.pk).update(voided_by=lot.origin_event)
    again = bottled(world, display_code="改正后")
    assert (again.lot_code, again.product_id) == (lot.lot_code, lot.product_id)
    assert "改正后" in client.get(f"/01/{GTIN}/10/L1").content.decode()


def test_the_linkset_is_json(client: Client, lot: Lot) -> None:
    for answer in (
        client.get(f"/01/{GTIN}/10/L1?linkType=linkset"),
        client.get(f"/01/{GTIN}/10/L1", HTTP_ACCEPT="application/linkset+json"),
    ):
        assert answer.headers["Content-Type"] == "application/linkset+json"
        entry = json.loads(answer.content)["linkset"][0]
        assert entry["anchor"] == f"http://testserver/01/{GTIN}/10/L1"
        assert entry["https://ref.gs1.org/voc/traceability"][0]["href"] == entry["anchor"]


# --- Typing a code --------------------------------------------------------------------------------------------------


def search(client: Client, text: str, **more: str) -> Any:
    """What typing this answers."""
    return client.get("/scan", {"q": text, **more})


def test_a_typed_code_leads_to_its_page_look_alikes_forgiven(client: Client, lot: Lot) -> None:
    code = unit_of(lot).code
    wanted = reverse("labels:code", args=[code])
    typed = code.replace("0", "o").replace("1", "l").lower()
    for text in (
        code,
        display_serial(code),
        typed,
        f" {typed} ",
        f"http://old.example.cn/c/{code}",
        f"/01/{GTIN}/21/{code}",
    ):
        answer = search(client, text)
        assert (answer.status_code, answer.headers["Location"]) == (302, wanted), text


def test_a_typed_lot_code_leads_to_its_lot_or_to_a_choice(client: Client, world: World, lot: Lot) -> None:
    assert search(client, "l1").headers["Location"] == reverse("labels:code", args=[lot.public_code])
    twin = bottled(world, product=make_product(world.distillery.organisation, name="示例另一款酒"))
    issue_codes(by=world.distillery, lot=twin, count=1, key="t", kind="lot")
    page = search(client, "L1")
    assert page.status_code == 200
    for each in (lot, twin):
        assert reverse("labels:code", args=[each.public_code]) in page.content.decode()


def test_a_lot_without_labels_is_not_found_by_its_lot_code(client: Client, world: World) -> None:
    bottled(world, code="SECRET-1")
    assert search(client, "SECRET-1").status_code == 404


def test_the_lot_code_asked_for_on_a_product_page_is_of_that_product(client: Client, lot: Lot) -> None:
    assert search(client, "L1", gtin=GTIN).headers["Location"] == reverse("labels:code", args=[lot.public_code])
    assert search(client, "NEVER", gtin=GTIN).status_code == 404
    assert search(client, "L1", gtin="nonsense").status_code == 302


@pytest.mark.parametrize("text", ["\x00", "查", "x" * 5000, "<b>", "0" * 12, "%", "10%OFF"])
def test_nonsense_typed_is_404_in_words(client: Client, world: World, text: str) -> None:
    answer = search(client, text)
    assert answer.status_code == 404
    assert "查无此码" in answer.content.decode()


def test_an_empty_search_is_a_form(client: Client, world: World) -> None:
    answer = client.get("/scan")
    assert answer.status_code == 200
    assert 'name="q"' in answer.content.decode()


def test_the_language_asked_for_is_kept(client: Client, lot: Lot) -> None:
    assert search(client, lot.public_code, lang="en").headers["Location"].endswith("?lang=en")


# --- Limits ---------------------------------------------------------------------------------------------------------


def test_guessing_codes_is_slowed_but_codes_that_exist_still_answer(client: Client, lot: Lot) -> None:
    from labels.limits import UNKNOWN_CODES

    for _ in range(UNKNOWN_CODES[0]):
        assert client.get("/c/ZZZZZZZZZZZZ").status_code == 404
    refused = client.get("/c/ZZZZZZZZZZZZ")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "60"
    assert client.get(f"/c/{lot.public_code}").status_code == 200
    assert client.get("/c/ZZZZZZZZZZZZ", REMOTE_ADDR="198.51.100.9").status_code == 404


def test_an_ipv6_client_cannot_hop_within_its_network(client: Client, world: World) -> None:
    from labels.limits import UNKNOWN_CODES

    for number in range(UNKNOWN_CODES[0]):
        client.get("/c/ZZZZZZZZZZZZ", REMOTE_ADDR=f"2001:db8:1:1::{number:x}")
    assert client.get("/c/ZZZZZZZZZZZZ", REMOTE_ADDR="2001:db8:1:1:ffff::1").status_code == 429
    assert client.get("/c/ZZZZZZZZZZZZ", REMOTE_ADDR="2001:db8:1:2::1").status_code == 404
