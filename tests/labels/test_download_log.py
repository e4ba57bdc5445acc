"""Whatever hands out codes is written down; and what changed on a public page says who, when and what."""

from __future__ import annotations

import datetime
import io
import re

import pytest
import zxingcpp
from django.test import Client
from django.utils import timezone
from PIL import Image

from labels.actions.runs import issue_codes
from labels.actions.suspicions import destroyed_at, examine
from labels.models import CodeRun, Scan
from recalls.models import Disposal
from tests.labels.goods import bottled
from tests.recalls.story import announced, make_chain
from tests.trace.api_client import api_of
from tests.world import World, sign_in
from trace.edits import log_edit
from trace.models import Organisation, Unit


@pytest.fixture
def run(world: World) -> CodeRun:
    """Three codes."""
    return issue_codes(by=world.distillery, lot=bottled(world), count=3, key="log")


def said(run: CodeRun) -> list[tuple[str, int, int]]:
    """What the run's history says was downloaded."""
    return list(run.steps.filter(step="downloaded").values_list("reason", "first", "last"))


def test_a_whole_label_comes_as_a_picture_that_is_read_and_written_down(world: World, run: CodeRun) -> None:
    address = f"/labels/{run.uid}/label.png"
    client = sign_in(Client(), world.distillery)
    answer = client.post(address, {"number": "2"})
    picture = Image.open(io.BytesIO(answer.content))
    (code,) = zxingcpp.read_barcodes(picture)
    assert code.text.endswith(Unit.objects.get(number=2).code)
    assert round(picture.width / 600 * 25.4, 1) == 63.5
    assert said(run) == [("label.png", 2, 2)]
    assert sign_in(Client(), world.walnuts).post(address).status_code == 404
    assert client.post(address, {"number": "\0"}).status_code == 404
    assert Client().post(address).status_code == 302


def test_codes_handed_out_by_the_api_are_written_down(world: World, run: CodeRun) -> None:
    api = api_of(world.distillery)
    for path in ("units", "code.svg?number=2", "code.png?number=3"):
        assert api.get(f"/code-runs/{run.uid}/{path}").status_code == 200
    assert sorted(said(run)) == [("API code.png", 3, 3), ("API code.svg", 2, 2), ("API units", 1, 3)]
    # A regulator sees the codes without being the one who took them.
    assert api_of(world.county).get(f"/code-runs/{run.uid}/units").status_code == 200
    assert len(said(run)) == 3


def test_a_changed_public_field_says_who_when_and_what(client: Client, world: World, run: CodeRun) -> None:
    code = Unit.objects.get(number=1).code
    assert "杏花村示例路 9 号" not in client.get(f"/c/{code}").content.decode()
    firm = world.distillery.organisation
    old = firm.address
    Organisation.objects.filter(pk=firm.pk).update(address="杏花村示例路 9 号")
    for field, was, new, public in (
        ("address", old, "杏花村示例路 9 号", True),
        ("recall_contact_name", "张示例", "李示例", False),
        ("no such field", "a", "b", True),
    ):
        log_edit(row=firm, organisation=firm, field=field, old=was, new=new, by=world.distillery.user, public=public)
    page = client.get(f"/c/{code}").content.decode()
    changes = page[page.index('id="changes"') : page.index('id="scans"')]
    assert re.search(r"地址.*2026|地址.*\d{4}年", changes)
    assert firm.label in changes
    assert "<ins>" in changes
    assert "杏花村示例路 9 号" in changes
    assert "李示例" not in page
    assert "no such field" not in page
    assert world.distillery.user is not None
    assert world.distillery.user.display_name not in changes


def test_scans_after_the_whole_lot_was_destroyed_are_suspicious(world: World) -> None:
    chain = make_chain(world)
    campaign = announced(chain)
    lot = chain.pouch_a
    assert lot.origin_event is not None
    noon = timezone.now() - datetime.timedelta(days=2)

    def destroy(micros: int, at: datetime.datetime) -> None:
        Disposal.objects.create(
            campaign=campaign,
            organisation=lot.organisation,
            lot=lot,
            micros=micros,
            method=Disposal.Method.DESTROY,
            place="示例焚烧场",
            event=lot.origin_event,
            at=at,
        )

    destroy(lot.made_micros // 2, noon)
    assert destroyed_at(lot) is None
    destroy(lot.made_micros - lot.made_micros // 2, noon + datetime.timedelta(hours=1))
    assert destroyed_at(lot) == noon + datetime.timedelta(hours=1)
    for number in range(5):
        Scan.objects.create(lot=lot, nonce=f"n{number}", means="beacon", at=noon + datetime.timedelta(hours=5 + number))
    found = examine(lot_id=lot.pk, unit_id=None)
    assert "after_end" in [row.rule for row in found]
