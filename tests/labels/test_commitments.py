"""承诺达标合格证: issued by who grew the goods, printed, refused where it would be untrue."""

from __future__ import annotations

import pypdfium2
import pytest
from django.test import Client

from labels.actions.commitments import issue_commitment, mixed_of
from labels.models import Commitment
from tests.goods import amount, day, make_lot, passed, turn_into
from tests.world import World, make_product, sign_in
from trace.actions.evidence import answer_report
from trace.actions.holds import place_hold
from trace.errors import DomainError, NotFound
from trace.models import Lot

pytestmark = pytest.mark.django_db


@pytest.fixture
def harvest(world: World) -> Lot:
    return make_lot(world.grower, world.fresh_walnuts, "500", place=world.plot)


def issued(world: World, lot: Lot, *bases: str, text: str = "500") -> Commitment:
    return issue_commitment(
        by=world.grower, lot=lot, amount=amount(text, lot.product), bases=bases or ("control",), pledged=True
    )


def refused(world: World, lot: Lot, *bases: str, text: str = "500") -> str:
    with pytest.raises(DomainError) as error:
        issued(world, lot, *bases, text=text)
    return error.value.code


def test_a_certificate_says_what_the_law_asks_for(world: World, harvest: Lot) -> None:
    row = issued(world, harvest)
    assert (row.product_name, row.micros, row.number) == ("示例青皮核桃", 500_000_000, f"{harvest.public_code}-1")
    assert "杏花村镇" in row.origin
    assert row.words["bases"] == ["质量安全控制符合要求"]
    assert issued(world, harvest).number.endswith("-2")


def test_untrue_certificates_are_refused(world: World, harvest: Lot) -> None:
    assert refused(world, harvest, text="501") == "more_than_made"
    assert refused(world, harvest, "own_test") == "report_required"
    assert refused(world, harvest, "nothing") == "basis_required"
    report = passed(world.grower, harvest)
    assert report.laboratory == world.lab.organisation
    answer_report(by=world.lab, report=report, answer="denied", reason="没有这个编号")
    assert refused(world, harvest, "own_test") == "report_required"
    answer_report(by=world.lab, report=report, answer="confirmed")
    assert issued(world, harvest, "own_test").report == report
    place_hold(by=world.county, lots=[harvest], reason="示例", when=day(3))
    assert refused(world, harvest) == "lot_blocked"


def test_only_farm_produce_of_ones_own_gets_one(world: World, harvest: Lot) -> None:
    kernels = make_lot(world.walnuts, world.kernels)
    with pytest.raises(DomainError) as error:
        issue_commitment(
            by=world.walnuts, lot=kernels, amount=amount("1", kernels.product), bases=["control"], pledged=True
        )
    assert error.value.code == "not_farm_produce"
    with pytest.raises(NotFound):
        issue_commitment(
            by=world.shop, lot=harvest, amount=amount("1", harvest.product), bases=["control"], pledged=True
        )


def test_a_mixture_is_said_to_need_a_new_one(client: Client, world: World, harvest: Lot) -> None:
    other = make_lot(world.grower, world.fresh_walnuts, "100", place=world.plot)
    dried = make_product(world.grower.organisation, name="示例干核桃", track="farm_produce", kind="raw")
    [mixture] = turn_into(world.grower, [(harvest, "100"), (other, "100")], [(dried, "150")])
    assert (mixed_of(mixture), mixed_of(harvest)) == (2, 0)
    sign_in(client, world.grower)
    assert "混合后要重新开具" in client.get(f"/labels/commitments/{mixture.uid}/").content.decode()


def test_a_grower_issues_and_prints_one(client: Client, world: World, harvest: Lot) -> None:
    sign_in(client, world.grower)
    page = f"/labels/commitments/{harvest.uid}/"
    assert page in client.get(f"/lots/{harvest.uid}/").content.decode()
    assert client.get(page).status_code == 200
    assert client.post(page, {"amount": "500", "bases": ["control"]}).status_code == 422
    assert client.post(page, {"amount": "x", "bases": ["control"], "pledged": "on"}).status_code == 422
    made = client.post(page, {"amount": "500", "bases": ["control"], "pledged": "on"})
    assert made.status_code == 302
    shown = client.get(made["Location"]).content.decode()
    assert "承诺达标合格证" in shown
    assert "0358-0000000" in shown
    answer = client.get(made["Location"].rstrip("/") + ".pdf")
    with pypdfium2.PdfDocument(answer.content) as document:
        text = document[0].get_textpage().get_text_range()
    for words in ("承诺达标合格证", "示例青皮核桃", "500 千克", "示例种植户甲", "0358-0000000", "质量安全控制符合要求"):
        assert words in text
    scanned = client.get(f"/c/{harvest.public_code}").content.decode()
    assert "承诺达标合格证" in scanned
    assert "0358-0000000" not in scanned[scanned.index("合格证编号") : scanned.index("承诺依据")]
    sign_in(client, world.shop)
    assert client.get(page).status_code == client.get(made["Location"]).status_code == 404
    sign_in(client, world.county)
    assert client.get(made["Location"]).status_code == 200
    assert client.post(page, {"amount": "1", "bases": ["control"], "pledged": "on"}).status_code == 404
