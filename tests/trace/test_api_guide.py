"""docs/api.md says what is so: every address, scope, header and code in it is one of ours."""

import re
from pathlib import Path

from tests.trace.test_api_document import DOCUMENT, OPERATIONS
from trace.actions.requests import IN_FLIGHT, KEPT
from trace.scopes import AREAS

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SOURCES = "\n".join(
    path.read_text(encoding="utf-8") for app in ("trace", "recalls", "labels") for path in (ROOT / app).rglob("*.py")
)


def test_every_address_in_the_guide_is_one_of_ours() -> None:
    known = {re.sub(r"{[^}]*}", "*", path.removeprefix("/api/v1")) for path in DOCUMENT["paths"]}
    known |= {"/docs", "/openapi.json", "/acknowledgement", "/stock"}
    said = {found.split("?")[0].rstrip("/") for found in re.findall(r"`(?:GET |POST )?(/[a-z][^`\s]*)`", GUIDE)}
    said |= {found.split("?")[0] for found in re.findall(r'"\$API(/[^"]*)"', GUIDE)}
    said = {re.sub(r"{[^}]*}|<[^>]*>", "*", found.removeprefix("/api/v1")) for found in said}
    templates = {found for found in said if found.startswith("/event-templates/")}
    assert templates == {"/event-templates/walnut.shell"}
    unknown = {found for found in said - templates if found and found not in known}
    assert unknown == set()
    assert len(said) > 25


def test_the_table_of_scopes_is_whole() -> None:
    rows = set(re.findall(r"^\| `([a-z]+)` \|", GUIDE, re.MULTILINE))
    assert rows == set(AREAS)
    assert {
        operation.said["x-scope"].partition(":")[0] for operation in OPERATIONS if "x-scope" in operation.said
    } == rows


def test_every_code_in_the_guide_is_raised_somewhere() -> None:
    tables = GUIDE[GUIDE.index("## Errors") : GUIDE.index("## Values")] + GUIDE[GUIDE.index("## One thing") :][:1500]
    codes = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", tables)) - {"details_guards", "details_insistable"}
    assert len(codes) > 20
    assert {code for code in codes if f'"{code}"' not in SOURCES} == set()


def test_its_times_are_those_of_the_program() -> None:
    assert (IN_FLIGHT.total_seconds(), KEPT.days) == (120, 30)
    assert "two minutes later" in GUIDE
    assert "thirty days" in GUIDE
