"""The conformance statements of the GS1 resolver standard, one test each; docs/resolver.md names them in order."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import jsonschema_rs
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from config import settings as settings_module
from labels.actions.links import add_link
from labels.actions.runs import issue_codes
from labels.link_types import VOCABULARY, link_type_name, link_types
from labels.linkset import wanted_languages, wants_linkset, with_query
from tests.labels.goods import bottled, held
from tests.world import GTIN, OTHER_GTIN, World
from trace.models import Lot, Unit

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def lot(world: World) -> Lot:
    """A labelled lot, with links its producer set."""
    lot = bottled(world)
    issue_codes(by=world.distillery, lot=lot, count=2, key="u")
    for kind, title, href, language, context in (
        ("instructions", "开瓶方法", "https://www.example.com/kai?a=1#top", "zh", ""),
        ("instructions", "How to open", "https://www.example.com/open", "en", ""),
        ("certificationInfo", "有机证书", "https://cert.example.org/1", "", ""),
        ("hasRetailers", "国内门店", "https://shop.example.com/cn", "", "CN"),
        ("hasRetailers", "香港门店", "https://shop.example.com/hk", "", "HK"),
    ):
        add_link(
            by=world.distillery,
            product=lot.product,
            link_type=kind,
            title=title,
            href=href,
            language=language,
            context=context,
        )
    return lot


def unit_of(lot: Lot) -> str:
    """The code of the lot's first unit."""
    return Unit.objects.get(lot=lot, number=1).code


def addresses(lot: Lot) -> list[str]:
    """One address of each level and form."""
    return [f"/01/{GTIN}", f"/01/{GTIN}/10/L1", f"/01/{GTIN}/21/{unit_of(lot)}", f"/c/{lot.public_code}"]


def linkset(client: Client, address: str, **headers: Any) -> list[dict[str, Any]]:
    """The linkset of an address."""
    answer = client.get(f"{address}?linkType=linkset", **headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/linkset+json"
    found: list[dict[str, Any]] = json.loads(answer.content)["linkset"]
    return found


def test_the_page_names_every_statement_with_a_test_that_exists(shared_data: Path) -> None:
    statements = (shared_data / "gs1/resolver-testsuite/Conformance1_2.txt").read_text("utf-8").splitlines()
    rows = re.findall(
        r"^\| (\d+) \|.*\| `(test_\w+)` \|$", (ROOT / "docs/resolver.md").read_text("utf-8"), re.MULTILINE
    )
    assert [int(number) for number, _name in rows] == list(range(1, sum(bool(line.strip()) for line in statements) + 1))
    here = sys.modules[__name__]
    assert [name for _number, name in rows if not callable(getattr(here, name, None))] == []


def test_get_head_and_options_are_answered(client: Client, lot: Lot) -> None:
    for address in [*addresses(lot), "/.well-known/gs1resolver", f"/info/recall/01/{GTIN}"]:
        assert client.get(address).status_code == 200, address
        head, options = client.head(address), client.options(address)
        assert (head.status_code, head.content) == (200, b"")
        assert (options.status_code, options.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")
        for refused in (client.post, client.put, client.delete):
            answer = refused(address)
            assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS"), address


def test_production_speaks_https() -> None:
    source = Path(settings_module.__file__).read_text("utf-8")
    assert "if PRODUCTION and not HTTPS and not ALLOW_PLAIN_HTTP:" in source
    assert ImproperlyConfigured.__name__ in source
    assert "SECURE_SSL_REDIRECT = HTTPS" in source


def test_scripts_of_other_sites_may_read(client: Client, lot: Lot) -> None:
    for address in [*addresses(lot), "/01/1", "/c/ZZZZZZZZZZZZ", "/.well-known/gs1resolver"]:
        for answer in (client.get(address, HTTP_ORIGIN="https://other.example"), client.options(address)):
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in answer.headers
            assert "Link" in answer.headers["Access-Control-Expose-Headers"]


def test_compressed_addresses_are_declined_openly(client: Client, lot: Lot) -> None:
    answer = client.get("/AQnYUc1gmiERBhjl7VPQb2s")
    assert answer.status_code == 400
    assert "不支持压缩" in answer.content.decode()
    assert "owl:sameAs" not in answer.headers.get("Link", "")
    assert json.loads(client.get("/.well-known/gs1resolver").content)["compressionSupported"] is False


@pytest.mark.parametrize(
    "address",
    [
        "/01/09520000010011",
        "/01/123",
        f"/01/{GTIN}/10/",
        f"/01/{GTIN}/21/A/10/B",
        f"/01/{GTIN}/10/{'9' * 21}",
        f"/01/{GTIN}/235/T1/10/L1",
        f"/01/{GTIN}/10/L1/235/T1",
        f"/01/{GTIN}?17=271301",
        f"/01/{GTIN}?21=A",
        f"/01/{GTIN}/10/L1?10=L1",
        f"/01/{GTIN}?15=270101&15=270102",
        "/414/9520123456788/21/X",
        "/8003/19526064000028",
        "/414/%00",
        "/01/%ZZ",
        f"/01/{GTIN}/10/a%0Ab",
        "/8004/A%0AB",
    ],
)
def test_bad_syntax_is_400(client: Client, lot: Lot, address: str) -> None:
    assert client.get(address).status_code == 400


def test_a_lot_named_with_a_percent_sign_is_found(client: Client, lot: Lot) -> None:
    Lot.objects.filter(pk=lot.pk).update(lot_code="50%ZZ")
    assert client.get(f"/01/{GTIN}/10/50%25ZZ").status_code == 200
    # Rightly encoded, but no lot of ours: 404, and so is what looks the same when the server has unescaped it.
    for address in (f"/01/{GTIN}/10/50%2541", f"/01/{GTIN}/10/50%25FF", f"/01/{GTIN}/10/L1%", "/8004/A%25ZZ"):
        assert client.get(address).status_code == 404, address


@pytest.mark.parametrize("address", [f"/01/{GTIN}/10/L1%FF", f"/01/{GTIN}/21/%ED%A0%80", "/8004/A%C0%80"])
def test_a_path_that_is_no_utf8_is_400(client: Client, lot: Lot, address: str) -> None:
    raw: dict[str, Any] = {"trace.path": unquote_to_bytes(address).decode("latin-1")}
    assert client.get(address, **raw).status_code == 400


def test_errors_are_never_200(client: Client, lot: Lot) -> None:
    for address in (
        *("/c/ZZZZZZZZZZZZ", "/c/short", "/01/1", f"/01/{OTHER_GTIN}", f"/01/{GTIN}/10/NEVER"),
        *(f"/01/{GTIN}/21/NEVER", f"/01/{GTIN}/235/T1", "/8004/95201234", "/414/9520123456788"),
        *(f"/info/recall/01/{GTIN}/10/NEVER", "/info/nothing/c/1", f"/info/epcis/01/{GTIN}", "/info/recall/x"),
        f"/01/{GTIN}?linkType=gs1:review",
    ):
        for accept in ("text/html", "application/json"):
            answer = client.get(address, HTTP_ACCEPT=accept)
            if answer.headers["Content-Type"] == "application/linkset+json":
                # Walk-up: the links of the level that is ours, under that level's own address.
                assert json.loads(answer.content)["linkset"][0]["anchor"] == f"http://testserver/01/{GTIN}"
            else:
                assert answer.status_code in (400, 404), address


def test_the_linkset_holds_every_level_and_fits_the_schema(client: Client, lot: Lot, shared_data: Path) -> None:
    schema = json.loads((shared_data / "gs1/linkset/gs1-linkset-schema.json").read_text("utf-8"))
    fits = jsonschema_rs.validator_for(schema)
    bad = json.loads((shared_data / "gs1/linkset/invalid-gs1-example.json").read_text("utf-8"))
    assert not fits.is_valid(bad)
    for address in [*addresses(lot), f"/01/{GTIN}/10/L1/21/{unit_of(lot)}"]:
        for answer in (
            client.get(f"{address}?linkType=linkset"),
            client.get(f"{address}?linkType=all"),
            client.get(address, HTTP_ACCEPT="application/linkset+json"),
            client.get(address, HTTP_ACCEPT="application/json"),
        ):
            assert answer.headers["Content-Type"] == "application/linkset+json"
            fits.validate(json.loads(answer.content))
    anchors = [entry["anchor"] for entry in linkset(client, f"/01/{GTIN}/10/L1/21/{unit_of(lot)}")]
    base = "http://testserver/01/"
    assert anchors == [f"{base}{GTIN}/21/{unit_of(lot)}", f"{base}{GTIN}/10/L1", f"{base}{GTIN}"]


def test_the_link_header_leads_to_the_linkset(client: Client, lot: Lot) -> None:
    for address in addresses(lot):
        for query in ("", "?linkType=gs1:recallStatus"):
            header = client.get(address + query).headers["Link"]
            assert header.isascii()
            (where,) = re.findall(
                r'<http://testserver([^>]+)>; rel="linkset"; type="application/linkset\+json"', header
            )
            assert client.get(where).headers["Content-Type"] == "application/linkset+json"


def test_there_is_one_default_link(client: Client, lot: Lot) -> None:
    for address in addresses(lot):
        for entry in linkset(client, address):
            assert [each["href"] for each in entry[VOCABULARY + "defaultLink"]] == [entry["anchor"]]
            assert client.get(entry["anchor"].removeprefix("http://testserver")).status_code == 200


def test_every_link_has_target_type_and_title(client: Client, lot: Lot) -> None:
    found = 0
    for address in addresses(lot):
        for entry in linkset(client, address):
            for name, links in entry.items():
                if name in ("anchor", "itemDescription"):
                    continue
                assert name.removeprefix(VOCABULARY) in link_types()
                for link in links:
                    found += 1
                    assert link["title"]
                    if link["href"].startswith("http://testserver"):
                        answer = client.get(link["href"].removeprefix("http://testserver"))
                        assert answer.status_code == 200
                        assert answer.headers["Content-Type"].partition(";")[0] == link["type"]
    assert found > 20


def test_the_default_page_comes_without_a_redirect(client: Client, lot: Lot) -> None:
    for address in addresses(lot):
        for query in ("", "?linkType=gs1:defaultLink", "?linkType=defaultLink"):
            answer = client.get(address + query)
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].startswith("text/html")
            assert f'rel="{VOCABULARY}defaultLink"' in answer.headers["Link"]


def where(client: Client, query: str, address: str = f"/01/{GTIN}/10/L1", **headers: Any) -> tuple[int, str]:
    """Status and target of asking for a link type."""
    answer = client.get(f"{address}?{query}", **headers)
    return answer.status_code, answer.headers.get("Location", "").partition("?")[0]


def test_a_link_type_leads_to_its_target(client: Client, lot: Lot) -> None:
    for spelled in ("gs1:pip", "pip", "https://ref.gs1.org/voc/pip", "https://gs1.org/voc/pip"):
        assert where(client, f"linkType={spelled}") == (307, f"http://testserver/info/product/01/{GTIN}")
    kai, opened = "https://www.example.com/kai", "https://www.example.com/open"
    asked = "linkType=gs1:instructions"
    assert where(client, asked, HTTP_ACCEPT_LANGUAGE="zh-CN,zh;q=0.9,en;q=0.5") == (307, kai)
    assert where(client, asked, HTTP_ACCEPT_LANGUAGE="en-GB,zh;q=0.5") == (307, opened)
    assert where(client, f"{asked}&lang=en", HTTP_ACCEPT_LANGUAGE="zh") == (307, opened)
    assert where(client, asked, HTTP_ACCEPT_LANGUAGE="fr")[0] == 300
    assert where(client, asked, address=f"/01/{GTIN}/21/{unit_of(lot)}", HTTP_ACCEPT_LANGUAGE="en") == (307, opened)
    shops = "linkType=gs1:hasRetailers"
    assert where(client, f"{shops}&context=hk") == (307, "https://shop.example.com/hk")
    several = client.get(f"/01/{GTIN}?{shops}")
    assert several.status_code == 300
    assert "https://shop.example.com/cn" in several.content.decode()
    machine = client.get(f"/01/{GTIN}?{shops}", HTTP_ACCEPT="application/json")
    assert machine.status_code == 300
    assert len(json.loads(machine.content)["linkset"][0][VOCABULARY + "hasRetailers"]) == 2
    absent = client.get(f"/01/{GTIN}?linkType=gs1:review", HTTP_ACCEPT="application/json")
    assert (absent.status_code, json.loads(absent.content)["code"]) == (404, "link_type_absent")
    assert client.get(f"/01/{GTIN}?linkType=%00%3Cb%3E").status_code == 404


def test_every_own_link_is_reached_by_its_type_in_one_redirect_at_most(client: Client, lot: Lot) -> None:
    """Also the one whose target is the address itself, which would else redirect to itself for ever."""
    seen = set()
    for address in addresses(lot):
        for level in linkset(client, address):
            for name, links in level.items():
                if not name.startswith(VOCABULARY) or "testserver" not in str(links):
                    continue
                asked = f"{address}?linkType=gs1:{name.removeprefix(VOCABULARY)}"
                answer = client.get(asked)
                target = answer.headers.get("Location", "")
                if answer.status_code == 300 or target.startswith("https://"):
                    continue
                if answer.status_code == 307:
                    answer = client.get(target.removeprefix("http://testserver"))
                assert answer.status_code == 200, asked
                seen.add(name.removeprefix(VOCABULARY))
    assert {"defaultLink", "pip", "traceability", "recallStatus", "epcis"} <= seen
    assert Client(enforce_csrf_checks=True).post(addresses(lot)[0]).status_code == 405


def test_the_query_string_is_passed_on(client: Client, lot: Lot) -> None:
    answer = client.get(f"/01/{GTIN}?linkType=gs1:instructions&lang=zh&x=%E9%85%92&y=1&y=2")
    target = "https://www.example.com/kai?a=1&linkType=gs1:instructions&lang=zh&x=%E9%85%92&y=1&y=2#top"
    assert (answer.status_code, answer.headers["Location"]) == (307, target)
    assert with_query("https://a.example/", "") == "https://a.example/"
    nasty = client.get(f"/01/{GTIN}?linkType=gs1:certificationInfo&z=%0d%0aSet-Cookie:a=b")
    assert "\n" not in str(nasty.headers.get("Location", ""))
    assert not nasty.cookies


def test_the_resolver_describes_itself(client: Client, world: World) -> None:
    answer = client.get("/.well-known/gs1resolver")
    found = json.loads(answer.content)
    assert answer.headers["Content-Type"] == "application/json"
    assert found["resolverRoot"] == "http://testserver"
    assert found["supportedPrimaryKeys"] == ["01"]
    assert found["supportedLinkType"] == [{"namespace": VOCABULARY, "prefix": "gs1:"}]


def test_the_vocabulary_is_gs1s(shared_data: Path) -> None:
    listed = json.loads((shared_data / "gs1/gs1_link_types.json").read_text("utf-8"))["link_types"]
    stable = {each["id"].removeprefix("gs1:") for each in listed if each["status"] == "stable"}
    assert set(link_types()) <= stable
    assert link_type_name("https://ref.gs1.org/voc/pip") == link_type_name("gs1:pip") == "pip"


def test_nothing_is_redirected_by_prefix(client: Client, lot: Lot) -> None:
    assert "handledBy" not in json.dumps(linkset(client, f"/01/{GTIN}"))
    assert client.get(f"/01/{OTHER_GTIN}").status_code == 404


def test_a_slash_at_the_end_does_not_matter(client: Client, lot: Lot) -> None:
    for address in addresses(lot):
        assert client.get(address + "/").status_code == 200
        assert client.get(f"{address}/?linkType=linkset").status_code == 200


# --- Walk-up, documents, headers -------------------------------------------------------------------------------------


def test_an_unknown_serial_or_lot_walks_up_and_the_page_says_so(client: Client, world: World, lot: Lot) -> None:
    for address in (f"/01/{GTIN}/10/NEVER", f"/01/{GTIN}/21/NEVER", f"/01/{GTIN}/235/T1"):
        answer = client.get(address)
        page = answer.content.decode()
        assert answer.status_code == 404
        assert "查无此码" in page
        assert "商品条码是登记过的" in page
        assert "示例清香白酒" in page
        assert f"<http://testserver/01/{GTIN}>" in answer.headers["Link"]
        assert where(client, "linkType=gs1:pip", address=address) == (307, f"http://testserver/info/product/01/{GTIN}")
    address = f"/01/{GTIN}/10/L1/21/NEVER"
    assert "这个批次签发过这个单件码" in client.get(address).content.decode()
    held(world, lot, "recall", "示例原因")
    page = client.get(address).content.decode()
    assert page.index("查无此码") < page.index("它所写的批次") < page.index("已召回")


def test_the_recall_status_is_told_per_gtin_lot_and_serial(client: Client, world: World, lot: Lot) -> None:
    unit = unit_of(lot)
    second = Unit.objects.get(lot=lot, number=2).code

    def status(path: str) -> dict[str, Any]:
        answer = client.get(f"/info/recall{path}")
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "private, no-cache"
        found: dict[str, Any] = json.loads(answer.content)
        return found

    paths = [f"/01/{GTIN}", f"/01/{GTIN}/10/L1", f"/01/{GTIN}/21/{unit}", f"/c/{lot.public_code}"]
    assert [status(path)["recallStatus"] for path in paths] == ["none"] * 4
    held(world, lot, "recall", "封口不良", unit_from=2, unit_to=2)
    assert status(f"/01/{GTIN}")["recalledLots"] == ["L1"]
    assert [status(path)["recallStatus"] for path in paths] == ["partly", "partly", "none", "partly"]
    found = status(f"/01/{GTIN}/21/{second}")
    assert (found["recallStatus"], found["unitRanges"], found["stopSale"]) == ("recalled", [[2, 2]], True)
    assert (found["gtin"], found["serial"], found["verdict"]) == (GTIN, second, "recalled")
    missing = client.get(f"/info/recall/01/{GTIN}/21/NEVER")
    assert (missing.status_code, json.loads(missing.content)["code"]) == (404, "code_unknown")


def test_the_public_events_are_epcis_without_amounts_and_parties(client: Client, world: World, lot: Lot) -> None:
    answer = client.get(f"/info/epcis/01/{GTIN}/10/L1")
    found = json.loads(answer.content)
    assert found["schemaVersion"] == "2.0"
    events = found["epcisBody"]["eventList"]
    assert events
    assert f"http://testserver/01/{GTIN}/10/L1" in json.dumps(events)
    told = set().union(*events)
    assert told <= {
        *("type", "eventID", "eventTime", "eventTimeZoneOffset", "recordTime", "bizStep", "action", "disposition"),
        *("readPoint", "quantityList", "childQuantityList", "outputQuantityList", "inputQuantityList"),
        "errorDeclaration",
    }
    assert '"quantity"' not in answer.content.decode()


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("text/html,*/*;q=0.8", False),
        ("application/linkset+json", True),
        ("application/linkset+json;q=0.5, text/html", False),
        ("application/json, text/plain;q=0.5", True),
        ("*/*", False),
        ("", False),
        ("application/linkset+json;q=x", False),
        (",;,=;q", False),
    ],
)
def test_the_media_type_preferred_decides(header: str, wanted: bool) -> None:
    assert wants_linkset(header) is wanted


def test_languages_come_in_the_order_of_their_weight() -> None:
    assert wanted_languages("fr;q=0.2, en-US;q=0.9, zh-CN, *;q=0.1, xx;q=0") == ["zh", "en", "fr"]
    assert wanted_languages("en", "zh-hans") == ["zh", "en"]
    assert wanted_languages(",,;q=") == []
