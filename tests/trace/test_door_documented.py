"""docs/epcis.md says what the door does; and the command that takes a folder in."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import Resolver404, resolve

from tests.conftest import ROOT
from tests.goods import make_lot
from tests.trace.door_client import Door, document, door_of, event, told
from tests.trace.test_door_queries import serial
from tests.world import World, sign_in
from trace.door.querying import COLLECTIONS, SUPPORTED
from trace.models import EpcisEvent
from trace.urls import epcis_urls

PAGE = (ROOT / "docs/epcis.md").read_text("utf-8")


@pytest.mark.once
def test_the_page_lists_every_endpoint_with_its_methods() -> None:
    rows = re.findall(r"^\| `(/epcis/\S*)` \| ([A-Z, ]+) \|", PAGE, re.MULTILINE)
    told: set[str] = set()
    for path, methods in rows:
        address = path.replace("{collection}", "bizSteps")
        found = resolve(re.sub(r"\{\w+\}", "x", address))
        told.add(str(found.url_name))
        answer: Any = Door().send("OPTIONS", re.sub(r"\{\w+\}", "x", address))
        assert set(answer["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == set(methods.split(", ")), path
    assert told | {"epcis_nothing"} == {str(each.name) for each in epcis_urls}
    assert all(f"`{name}`" in PAGE for name in COLLECTIONS)
    with pytest.raises(Resolver404):
        resolve("/epcis-nowhere/")


def test_the_extension_of_our_answers_is_announced_as_they_declare_it(world: World) -> None:
    make_lot(world.distillery, world.baijiu)
    answer: Any = door_of(world.distillery.organisation).get("events")
    (declared,) = (part for part in told(answer)["@context"] if isinstance(part, dict))
    assert answer["GS1-Extensions"] == ", ".join(f"{prefix}={meaning}" for prefix, meaning in declared.items())
    assert f"`{answer['GS1-Extensions']}`" in PAGE


@pytest.mark.once
def test_the_page_lists_exactly_the_parameters_that_are_answered() -> None:
    listed = re.findall(r"^\| `([^`/]+)` \| [^|]*\|$", PAGE.partition("## Query parameters")[2], re.MULTILINE)
    assert listed == list(SUPPORTED)


def test_a_folder_is_taken_in_and_resumed(world: World, tmp_path: Path) -> None:
    user = world.distillery.user
    assert user is not None
    (tmp_path / "deeper").mkdir()
    for number in (1, 2):
        one = document(event(bizStep="storing", epcList=[serial(number)]))
        (tmp_path / "deeper" / f"{number}.jsonld").write_text(json.dumps(one))
    (tmp_path / "readme.txt").write_text("no document")

    def run(*more: str) -> str:
        out = io.StringIO()
        call_command("import_epcis", str(tmp_path), "--as", user.username, *more, stdout=out)
        return out.getvalue()

    assert run().splitlines()[1] == "2/2 2.jsonld: captured; 1 events, 0 known, 0 refused, 0 conflicts"
    (tmp_path / "3.json").write_text(json.dumps(document(event(epcList=[serial(3)]), event(epcList=["nonsense"]))))
    with pytest.raises(CommandError, match="1 documents"):
        run()
    assert EpcisEvent.objects.count() == 2
    with pytest.raises(CommandError, match="1 documents"):
        run("--proceed")
    assert EpcisEvent.objects.count() == 3
    (tmp_path / "3.json").unlink()
    assert [line.partition(": ")[2][:11] for line in run().splitlines()] == ["done before"] * 2
    with pytest.raises(CommandError):
        call_command("import_epcis", str(tmp_path), "--as", "nobody")
    with pytest.raises(CommandError):
        call_command("import_epcis", str(tmp_path / "none"), "--as", user.username)
    assert len(door_of(world.distillery.organisation).events()) == 3


def test_a_producer_sees_its_documents_their_errors_and_subscriptions(world: World, client: Any) -> None:
    door = door_of(world.distillery.organisation)
    door.captured(document(event(epcList=[serial(1)])))
    wrong = door.capture(document(event(epcList=[serial(2)]), event(epcList=["<script>"])), proceed=True)
    door.send("POST", "queries", {"name": "all", "query": {}})
    hook = {"dest": "https://partner.example.org/hook", "signatureToken": "-".join(["signed", "with", "this"])}
    assert door.send("POST", "queries/all/subscriptions", {**hook, "stream": True}).status_code == 201
    page = sign_in(client, world.distillery).get("/exchange/").content.decode()
    assert f"/exchange/{wrong['captureID']}/" in page
    assert "https://partner.example.org/hook" in page
    assert hook["signatureToken"] not in page
    one = client.get(f"/exchange/{wrong['captureID']}/").content.decode()
    assert "/epcisBody/eventList/1" in one
    assert "<script>alert" not in one
    assert client.get("/exchange/?format=csv").status_code == 200
    sign_in(client, world.walnuts)
    assert client.get(f"/exchange/{wrong['captureID']}/").status_code == 404
    assert wrong["captureID"] not in client.get("/exchange/").content.decode()
    sign_in(client, world.county)
    assert client.get("/exchange/").status_code in (403, 404)
