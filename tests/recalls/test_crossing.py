"""A recall finds goods across two sets of books: a supplier's lot and the receiver's, joined or claimed."""

from __future__ import annotations

import pytest
from django.core.cache import cache

from recalls.models import ScopeLot
from recalls.scope import Question, preview_scope
from tests.goods import amount, day, make_lot, turn_into
from tests.world import World, make_product
from trace.actions.joins import answer_claim, claim_lot, withdraw_claim
from trace.actions.rebuild import rebuild
from trace.actions.transfers import take_in
from trace.errors import DomainError
from trace.genealogy import walk
from trace.models import Conflict, Lot, LotClaim, Product

Why = ScopeLot.Why


class Two:
    """The distillery takes in walnut kernels by the supplier's code and makes something of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.source = make_lot(world.walnuts, world.kernels, "100")
        (self.lot,) = turn_into(world.walnuts, [(self.source, "80")], [(world.kernels, "80")], when=day(1))
        self.sister = turn_into(world.walnuts, [(self.source, "10")], [(world.kernels, "10")], when=day(1))[0]
        self.material: Product = make_product(world.distillery.organisation, "HTR", "示例外购核桃仁", kind="raw")
        self.external = take_in(
            by=world.distillery,
            supplier=world.walnuts.organisation,
            product=self.material,
            supplier_lot=self.lot.lot_code,
            amount=amount("30", self.material),
            when=day(3),
            data={"inspection_result": "合格"},
        ).lots[0]
        (self.made,) = turn_into(world.distillery, [(self.external, "20")], [(self.material, "20")], when=day(4))

    def claim(self) -> LotClaim:
        return claim_lot(by=self.world.distillery, external=self.external, code=self.lot.lot_code, at=day(5).at)

    def join(self) -> LotClaim:
        return answer_claim(by=self.world.walnuts, claim=self.claim(), confirm=True, at=day(6).at)

    def reasons(self, *named: Lot) -> dict[int, str]:
        return {line.lot.pk: line.why for line in preview_scope(Question.of(named, same_run=False)).lines}


@pytest.fixture(autouse=True)
def no_tries_before() -> None:
    """Codes tried in other tests are forgotten."""
    cache.clear()


@pytest.fixture
def two(world: World) -> Two:
    return Two(world)


def test_a_confirmed_join_is_crossed_by_walks_in_both_directions(two: Two) -> None:
    before = {lot.pk: (lot.begun_at, lot.origin_event_id, lot.lot_code) for lot in Lot.objects.all()}
    assert two.made.pk not in walk([two.source], "forward").level
    two.join()
    assert {two.external.pk, two.made.pk} <= set(walk([two.source], "forward").level)
    assert {two.external.pk, two.lot.pk, two.source.pk} <= set(walk([two.made], "back").level)
    assert two.sister.pk not in walk([two.made], "back").level
    assert {lot.pk: (lot.begun_at, lot.origin_event_id, lot.lot_code) for lot in Lot.objects.all()} == before
    assert not rebuild(write=False).differences


def test_the_scope_of_the_suppliers_lot_reaches_what_the_receiver_made(two: Two) -> None:
    two.join()
    found = two.reasons(two.lot)
    assert found[two.external.pk] == Why.DESCENDS
    assert found[two.made.pk] == Why.DESCENDS


def test_the_scope_of_the_receivers_lot_reaches_the_rest_of_the_suppliers_lot(two: Two) -> None:
    (child,) = turn_into(two.world.walnuts, [(two.lot, "5")], [(two.world.kernels, "5")], when=day(4))
    two.join()
    found = two.reasons(two.external)
    assert found[two.made.pk] == Why.DESCENDS
    assert found[two.lot.pk] == Why.SAME_LOT
    assert found[child.pk] == Why.SAME_LOT
    assert two.sister.pk not in found
    assert two.world.distillery.organisation.pk in preview_scope(Question.of([two.lot])).holder_ids


def test_a_claim_the_supplier_has_not_confirmed_or_denies_is_possible(two: Two) -> None:
    assert two.external.pk not in two.reasons(two.source)
    claim = two.claim()
    assert two.made.pk not in walk([two.source], "forward").level
    found = two.reasons(two.source)
    assert (found[two.external.pk], found[two.made.pk]) == (Why.CLAIMED, Why.CLAIMED)
    answer_claim(by=two.world.walnuts, claim=claim, confirm=False, reason="示例：没有卖过这批", at=day(6).at)
    assert two.reasons(two.lot)[two.made.pk] == Why.CLAIMED
    withdraw_claim(by=two.world.distillery, claim=claim, reason="示例：看错标签", at=day(7).at)
    assert two.external.pk not in two.reasons(two.source)


def test_a_join_is_withdrawn_by_a_correction_from_either_side(two: Two) -> None:
    claim = two.join()
    withdraw_claim(by=two.world.distillery, claim=claim, reason="示例：看错标签", at=day(7).at)
    claim.refresh_from_db()
    assert claim.status == "withdrawn"
    assert two.made.pk not in walk([two.source], "forward").level
    assert two.made.pk in walk([two.source], "forward", with_voided=True).level
    assert not rebuild(write=False).differences
    again = two.join()
    withdraw_claim(by=two.world.walnuts, claim=again, reason="示例：不是这批", at=day(8).at)
    assert [step.new for step in again.steps.all()] == ["open", "confirmed", "withdrawn"]
    assert two.made.pk not in walk([two.source], "forward").level


def test_strangers_neither_answer_nor_withdraw_and_an_answer_is_given_once(two: Two) -> None:
    claim = two.claim()
    for by, code in ((two.world.shop, "not_supplier"), (two.world.distillery, "not_supplier")):
        with pytest.raises(DomainError) as refused:
            answer_claim(by=by, claim=claim, confirm=True)
        assert refused.value.code == code
    with pytest.raises(DomainError) as refused:
        withdraw_claim(by=two.world.walnuts, claim=claim, reason="示例")
    assert refused.value.code == "not_own"
    with pytest.raises(DomainError) as refused:
        answer_claim(by=two.world.walnuts, claim=claim, confirm=False)
    assert refused.value.code == "reason_required"
    answer_claim(by=two.world.walnuts, claim=claim, confirm=True, at=day(6).at)
    with pytest.raises(DomainError) as refused:
        answer_claim(by=two.world.walnuts, claim=claim, confirm=True)
    assert refused.value.code == "stale_state"
    with pytest.raises(DomainError) as refused:
        two.claim()
    assert refused.value.code == "claim_stands"


def test_only_a_whole_code_finds_a_suppliers_lot_and_guessing_is_stopped(two: Two) -> None:
    for code in (two.lot.lot_code[:-1], "%", "", "示例"):
        with pytest.raises(DomainError) as refused:
            claim_lot(by=two.world.distillery, external=two.external, code=code)
        assert refused.value.code == "code_not_known"
    for _ in range(60):
        with pytest.raises(DomainError) as refused:
            claim_lot(by=two.world.distillery, external=two.external, code="不存在")
    assert refused.value.code == "too_many"


def test_what_was_made_of_the_goods_cannot_be_their_source(two: Two) -> None:
    other = make_product(two.world.walnuts.organisation, "HTR2", "示例", kind="raw")
    back = take_in(
        by=two.world.walnuts,
        supplier=two.world.distillery.organisation,
        product=other,
        supplier_lot=two.made.lot_code,
        amount=amount("5", other),
        when=day(5),
        data={"inspection_result": "合格"},
    ).lots[0]
    answer_claim(
        by=two.world.distillery,
        claim=claim_lot(by=two.world.walnuts, external=back, code=two.made.lot_code),
        confirm=True,
    )
    (mixed,) = turn_into(two.world.walnuts, [(back, "5")], [(two.world.kernels, "5")], when=day(6))
    with pytest.raises(DomainError) as refused:
        claim_lot(by=two.world.distillery, external=two.external, code=mixed.lot_code)
    assert refused.value.code == "join_cycle"


def test_more_received_than_made_and_received_before_made_are_flagged(two: Two) -> None:
    late = make_lot(two.world.walnuts, two.world.kernels, "5", when=day(5))
    claim = claim_lot(by=two.world.distillery, external=two.external, code=late.lot_code)
    answer_claim(by=two.world.walnuts, claim=claim, confirm=True)
    assert set(Conflict.objects.values_list("code", flat=True)) == {"before_parent", "joined_more_than_made"}
