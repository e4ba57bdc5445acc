"""The scope against a naive oracle, and nobody left out."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recalls.actions.scopes import freeze_scope
from recalls.models import ScopeHolding, ScopeLot
from recalls.scope import Question, Why, drift, preview_scope, question_of, sources_of
from tests.goods import day, make_lot, receive, ship, turn_into
from tests.recalls.story import Chain, assessed
from tests.world import World
from trace.errors import DomainError
from trace.models import EventItem, Lot, LotLink, Organisation, Stock, Transfer

# --- The story ------------------------------------------------------------------------------------------------------


def test_every_lot_has_its_reason_and_path(chain: Chain) -> None:
    (child,) = turn_into(chain.world.walnuts, [(chain.pouch_a, "1")], [(chain.world.kernels, "1")], when=day(6))
    answer = preview_scope(Question.of([chain.pouch_a], [chain.mother]))
    found = {line.lot.pk: (line.why, [lot.pk for lot in answer.path(line)]) for line in answer.lines}
    a, b, mother = chain.pouch_a.pk, chain.pouch_b.pk, chain.mother.pk
    assert found == {
        a: (Why.NAMED, [a]),
        child.pk: (Why.DESCENDS, [a, child.pk]),
        mother: (Why.SOURCE, [mother]),
        b: (Why.SAME_RUN, [a, b]),
    }
    assert [line.shell for line in answer.lines] == ["proven", "proven", "possible", "possible"]


def test_amounts_of_a_line_are_those_on_record(chain: Chain) -> None:
    (line,) = preview_scope(Question.of([chain.pouch_a], same_run=False)).lines
    assert (line.made, line.used, line.shipped) == (40_000_000, 0, 35_000_000)
    mother = next(line for line in preview_scope(Question.of([chain.mother])).lines if line.lot.pk == chain.mother.pk)
    assert mother.used == 90_000_000


def test_everybody_who_ever_had_or_was_sent_some_is_a_holder(chain: Chain) -> None:
    world = chain.world
    answer = preview_scope(Question.of([chain.pouch_a], same_run=False))
    holders = {one.organisation_id: one for one in answer.holdings}
    assert set(holders) == {
        world.walnuts.organisation.pk,
        world.distributor.organisation.pk,
        world.shop.organisation.pk,
        chain.outsider.pk,
        chain.far_outsider.pk,
    }
    assert holders[world.shop.organisation.pk].unconfirmed == 10_000_000
    distributor = holders[world.distributor.organisation.pk]
    assert (distributor.received, distributor.shipped, distributor.on_hand) == (30_000_000, 14_000_000, 16_000_000)


def test_who_has_sold_everything_on_is_still_a_holder(chain: Chain) -> None:
    world = chain.world
    ship(world.distributor, world.shop.organisation, chain.pouch_a, "16", when=day(6))
    answer = preview_scope(Question.of([chain.pouch_a], same_run=False))
    assert world.distributor.organisation.pk in answer.holder_ids


def test_a_slip_declared_wrong_makes_no_holder(chain: Chain) -> None:
    from trace.actions.corrections import declare_error

    world = chain.world
    slip = ship(world.walnuts, world.cooperative.organisation, chain.pouch_a, "1", when=day(6))
    declare_error(by=world.walnuts, event=slip.event, reason="did_not_occur", when=day(7))
    answer = preview_scope(Question.of([chain.pouch_a], same_run=False))
    assert world.cooperative.organisation.pk not in answer.holder_ids


def test_a_link_declared_wrong_is_followed_all_the_same(chain: Chain) -> None:
    from trace.actions.corrections import declare_error

    (child,) = turn_into(chain.world.walnuts, [(chain.pouch_a, "1")], [(chain.world.kernels, "1")], when=day(6))
    declare_error(by=chain.world.walnuts, event=child.origin_event, reason="incorrect_data", when=day(7))
    assert child.pk in preview_scope(Question.of([chain.pouch_a])).lot_ids


def test_a_shipment_recorded_against_the_rules_is_a_holder_and_a_conflict(chain: Chain) -> None:
    world = chain.world
    ship(world.walnuts, world.cooperative.organisation, chain.pouch_a, "100", when=day(6), insist=True)
    (line,) = preview_scope(Question.of([chain.pouch_a], same_run=False)).lines
    assert line.conflicts == 1
    answer = preview_scope(Question.of([chain.pouch_a], same_run=False))
    assert world.cooperative.organisation.pk in answer.holder_ids


def test_a_possible_lot_is_left_out_only_with_a_reason(chain: Chain) -> None:
    with pytest.raises(DomainError) as refused:
        preview_scope(Question.of([chain.pouch_a], left_out=[chain.pouch_b]))
    assert refused.value.code == "reason_required"
    kept = preview_scope(Question.of([chain.pouch_a], left_out=[chain.pouch_b], left_out_reason="复检合格"))
    assert kept.lot_ids == {chain.pouch_a.pk}
    with pytest.raises(DomainError) as refused:
        preview_scope(Question.of([chain.mother], left_out=[chain.pouch_b], left_out_reason="复检合格"))
    assert refused.value.code == "proven_left_out"


def test_a_source_must_be_an_ancestor(chain: Chain) -> None:
    with pytest.raises(DomainError) as refused:
        preview_scope(Question.of([chain.mother], [chain.pouch_a]))
    assert refused.value.code == "not_a_source"
    assert [lot for lot, _level in sources_of([chain.pouch_a])] == [chain.mother]


def test_a_preview_writes_nothing(chain: Chain, django_assert_max_num_queries: object) -> None:
    with django_assert_max_num_queries(20) as queries:  # type: ignore[operator]
        preview_scope(Question.of([chain.mother], same_run=True))
    assert not [one["sql"] for one in queries if not one["sql"].lstrip().upper().startswith(("SELECT", "WITH"))]


def test_a_frozen_scope_keeps_the_answer_and_its_hash(chain: Chain) -> None:
    campaign = assessed(chain)
    question = Question.of([chain.pouch_a], [chain.mother])
    version = freeze_scope(by=chain.world.walnuts_quality, campaign=campaign, question=question)
    again = preview_scope(question_of(version))
    assert question_of(version) == question
    assert version.sha256 == again.sha256()
    assert version.lots.count() == version.lot_count == 3
    assert not version.hold.is_active


def test_what_comes_after_the_freezing_is_a_drift(chain: Chain) -> None:
    world = chain.world
    version = freeze_scope(
        by=world.walnuts_quality, campaign=assessed(chain), question=Question.of([chain.pouch_a], same_run=False)
    )
    assert not drift(version)
    ship(world.walnuts, world.cooperative.organisation, chain.pouch_a, "1", when=day(8))
    (child,) = turn_into(world.walnuts, [(chain.pouch_a, "1")], [(world.kernels, "1")], when=day(8))
    change = drift(version)
    assert change.new_lots == {child.pk}
    assert (chain.pouch_a.pk, world.cooperative.organisation.pk) in change.new_pairs


def test_a_confirmed_receipt_makes_no_drift(chain: Chain) -> None:
    world = chain.world
    slip = ship(world.walnuts, world.cooperative.organisation, chain.pouch_a, "1", when=day(6))
    version = freeze_scope(
        by=world.walnuts_quality, campaign=assessed(chain), question=Question.of([chain.pouch_a], same_run=False)
    )
    receive(world.cooperative, slip, when=day(8))
    assert not drift(version)


def test_a_firm_cannot_name_a_strangers_lot(chain: Chain) -> None:
    strange = make_lot(chain.world.distillery, chain.world.baijiu, "10")
    with pytest.raises(DomainError) as refused:
        freeze_scope(by=chain.world.walnuts_quality, campaign=assessed(chain), question=Question.of([strange]))
    assert refused.value.code == "not_found"


def test_an_empty_question_is_refused() -> None:
    with pytest.raises(DomainError) as refused:
        preview_scope(Question(frozenset()))
    assert refused.value.code == "lots_required"


@pytest.mark.parametrize("model", [ScopeLot, ScopeHolding])
def test_the_database_refuses_to_change_a_frozen_scope(chain: Chain, model: type[ScopeLot]) -> None:
    from django.db import DatabaseError

    freeze_scope(by=chain.world.walnuts_quality, campaign=assessed(chain), question=Question.of([chain.pouch_a]))
    with pytest.raises(DatabaseError), transaction.atomic():
        model.objects.all().delete()


# --- Random graphs --------------------------------------------------------------------------------------------------

N = 9
Graph = list[tuple[frozenset[int], frozenset[int]]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Events of random inputs and outputs over a few lots: merges, splits, rework, cycles, lots that go into
    themselves.
    """
    lots = st.integers(0, N - 1)
    some = st.frozensets(lots, min_size=1, max_size=3)
    return draw(st.lists(st.tuples(some, some), max_size=10))


class Rollback(Exception):
    """Thrown to undo what one example wrote."""


@contextmanager
def undone() -> Iterator[None]:
    """A savepoint that is always rolled back."""
    try:
        with transaction.atomic():
            yield
            raise Rollback
    except Rollback:
        pass


def naive(graph: Graph, named: set[int], sources: set[int], same_run: bool) -> dict[int, str]:
    """The reason of each lot by loops anybody can check."""
    links = {(a, b) for inputs, outputs in graph for a in inputs for b in outputs}

    def down(start: set[int]) -> set[int]:
        found = set(start)
        while True:
            more = {b for a, b in links if a in found} - found
            if not more:
                return found
            found |= more

    siblings = {b for _inputs, outputs in graph if outputs & named for b in outputs} - named if same_run else set()
    proven = down(named)
    shared = down(sources) - proven
    reasons: dict[int, str] = {}
    for lot in range(N):
        if lot in named:
            reasons[lot] = "named"
        elif lot in proven:
            reasons[lot] = "descends"
        elif lot in sources:
            reasons[lot] = "source"
        elif lot in shared:
            reasons[lot] = "same_run" if lot in siblings else "shares_source"
        elif lot in down(siblings):
            reasons[lot] = "same_run"
    return reasons


def ancestors(graph: Graph, named: set[int]) -> set[int]:
    """Everything the named lots were made of, and themselves."""
    found = set(named)
    while True:
        more = {a for inputs, outputs in graph for a in inputs if outputs & found} - found
        if not more:
            return found
        found |= more


def build(graph: Graph, lots: list[Lot], order: list[int]) -> None:
    """The graph as rows: events with outputs and links, written in this order."""
    template_event = lots[0].origin_event
    for index in order:
        inputs, outputs = graph[index]
        event = type(template_event).objects.create(
            organisation=template_event.organisation,
            entered_by_organisation=template_event.organisation,
            template="common.rework",
            event_type="TransformationEvent",
            biz_step="transforming",
            occurred_at=template_event.occurred_at,
        )
        EventItem.objects.bulk_create(
            [
                EventItem(event=event, number=n, role="output", lot=lots[lot], holder=template_event.organisation)
                for n, lot in enumerate(sorted(outputs))
            ]
        )
        LotLink.objects.bulk_create(
            [
                LotLink(parent=lots[a], child=lots[b], event=event, organisation=template_event.organisation)
                for a in sorted(inputs)
                for b in sorted(outputs)
            ]
        )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    graph=graphs(),
    named=st.frozensets(st.integers(0, N - 1), min_size=1, max_size=3),
    suspected=st.frozensets(st.integers(0, N - 1), max_size=2),
    same_run=st.booleans(),
    data=st.data(),
)
def test_the_scope_equals_the_naive_one_in_any_order(
    shelf: list[Lot],
    graph: Graph,
    named: frozenset[int],
    suspected: frozenset[int],
    same_run: bool,
    data: st.DataObject,
) -> None:
    sources = set(suspected) & ancestors(graph, set(named))
    order = data.draw(st.permutations(range(len(graph))))
    places = data.draw(st.permutations(range(N)))
    lots = [shelf[place] for place in places]
    number = {lot.pk: index for index, lot in enumerate(lots)}
    with undone():
        build(graph, lots, list(order))
        answer = preview_scope(Question.of([lots[i] for i in named], [lots[i] for i in sources], same_run=same_run))
    assert {number[line.lot.pk]: line.why.value for line in answer.lines} == naive(graph, set(named), sources, same_run)
    links = {(a, b) for inputs, outputs in graph for a in inputs for b in outputs}
    for line in answer.lines:
        path = [number[pk] for pk in line.path]
        assert path[-1] == number[line.lot.pk]
        steps = list(itertools.pairwise(path))
        if line.why is Why.SAME_RUN:
            steps = steps[1:]
        assert all(step in links for step in steps)


@pytest.fixture
def shelf(world: World) -> list[Lot]:
    """Lots that have nothing to do with each other yet."""
    return [make_lot(world.walnuts, world.kernels, "1") for _ in range(N)]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hands=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8))
def test_no_holder_is_left_out_however_goods_wander(world: World, hands: list[tuple[int, int]]) -> None:
    actors = [world.walnuts, world.distributor, world.shop, world.cooperative, world.carrier]
    with undone():
        lot = make_lot(world.walnuts, world.kernels, "100")
        touched: set[Organisation] = {world.walnuts.organisation}
        for step, (giver, taker) in enumerate(hands):
            if giver == taker:
                continue
            slip = ship(actors[giver], actors[taker].organisation, lot, "1", when=day(1 + step), insist=True)
            touched |= {actors[giver].organisation, actors[taker].organisation}
            if step % 2:
                receive(actors[taker], slip, when=day(1 + step, 9))
        answer = preview_scope(Question.of([lot]))
        assert answer.holder_ids == {organisation.pk for organisation in touched}


def amounts_one_by_one(lots: list[Lot]) -> tuple[dict[int, tuple[int, int, int]], dict[tuple[int, int], list[int]]]:
    """What each lot's line and each holder's must say, row by row."""
    lines: dict[int, tuple[int, int, int]] = {}
    holders: dict[tuple[int, int], list[int]] = {}
    for lot in lots:
        into = {(link.event_id, link.input_micros) for link in LotLink.objects.filter(parent=lot, voided_by=None)}
        slips = list(Transfer.objects.filter(lot=lot, voided_by=None))
        gone = sum(slip.sent_micros for slip in slips if slip.sender_id == lot.organisation_id)
        lines[lot.pk] = (lot.made_micros, sum(micros for _event, micros in into), gone)
        holders[lot.pk, lot.organisation_id] = [0, 0, 0, 0]
        for stock in Stock.objects.filter(lot=lot):
            holders.setdefault((lot.pk, stock.organisation_id), [0, 0, 0, 0])[2] += stock.micros
        for slip in slips:
            holders.setdefault((lot.pk, slip.sender_id), [0, 0, 0, 0])[1] += slip.sent_micros
            got = holders.setdefault((lot.pk, slip.receiver_id), [0, 0, 0, 0])
            if slip.received_micros is None:
                got[3] += slip.sent_micros
            else:
                got[0] += slip.received_micros
    return lines, holders


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=12),
    limit=st.sampled_from([200_000, 3]),
)
def test_the_amounts_equal_those_counted_row_by_row(
    world: World, steps: list[tuple[int, int, int, bool]], limit: int
) -> None:
    actors = [world.walnuts, world.distributor, world.shop, world.cooperative]
    with undone():
        lots = [make_lot(world.walnuts, world.kernels, "100")]
        for number, (which, giver, taker, told) in enumerate(steps):
            lot, at = lots[which % len(lots)], day(1 + number)
            if giver == taker:
                made = make_lot(world.walnuts, world.kernels, "1")
                event = lot.origin_event if told else made.origin_event
                LotLink.objects.create(
                    parent=lot,
                    child=made,
                    event=event,
                    organisation=lot.organisation,
                    input_micros=1 + number,
                    voided_by=event if number % 4 == 3 else None,
                )
                lots.append(made)
                continue
            slip = ship(actors[giver], actors[taker].organisation, lot, "1", when=at, insist=True)
            if told:
                receive(actors[taker], slip, when=day(1 + number, 9))
        answer = preview_scope(Question.of(lots[:1], same_run=False), limit=limit)
        asked = [lot for lot in lots if lot.pk in answer.lot_ids]
        lines, holders = amounts_one_by_one(asked)
        assert answer.cut == (len(lots) > limit)
        assert {line.lot_id: (line.made, line.used, line.shipped) for line in answer.lines} == lines
        assert {(one.lot_id, one.organisation_id): list(one[2:]) for one in answer.holdings} == holders
        assert [tuple(one[:2]) for one in answer.holdings] == sorted(holders)
