"""The campaign's one table: complete, reachable, and never the same person twice."""

from collections import Counter

import pytest

from recalls.law import Form, LegalEvent, regimes
from recalls.transitions import (
    GUARDS,
    INITIAL,
    OPEN,
    PUBLIC,
    REGULATOR,
    TERMINAL,
    TRANSITIONS,
    Doer,
    Effect,
    Guard,
    Role,
    Status,
    Transition,
    transition,
    transitions_from,
)
from trace.models import Membership

TWO_PEOPLE = {
    "refuse", "take_back", "decide", "order", "announce", "amend_notice", "narrow_scope", "grant_extension", "cancel",
    "close",
}  # fmt: skip


def reachable(start: Status, *, is_drill: bool) -> set[Status]:
    """Every status one can get to from ``start``."""
    seen, todo = {start}, [start]
    while todo:
        for row in transitions_from(todo.pop(), is_drill=is_drill):
            if row.target not in seen:
                seen.add(row.target)
                todo.append(row.target)
    return seen


def walk(*actions: str, is_drill: bool = False) -> list[Transition]:
    """The rows of these actions one after the other from the beginning; fails where the table has none."""
    status, rows = INITIAL, []
    for action in actions:
        row = transition(status, action, is_drill=is_drill)
        assert row is not None, (status, action)
        rows.append(row)
        status = row.target
    return rows


def test_every_status_can_be_reached() -> None:
    assert reachable(INITIAL, is_drill=False) == set(Status)


def test_a_drill_reaches_its_end_without_ever_being_announced() -> None:
    assert reachable(INITIAL, is_drill=True) == set(Status) - {Status.ANNOUNCED}


@pytest.mark.parametrize("is_drill", [False, True])
def test_only_terminal_statuses_are_dead_ends(is_drill: bool) -> None:
    for status in reachable(INITIAL, is_drill=is_drill):
        onward = {row.target for row in transitions_from(status, is_drill=is_drill)} - {status}
        assert bool(onward) == (status not in TERMINAL), status


@pytest.mark.parametrize("is_drill", [False, True])
def test_every_open_campaign_can_still_be_ended(is_drill: bool) -> None:
    for status in reachable(INITIAL, is_drill=is_drill) & OPEN:
        assert reachable(status, is_drill=is_drill) & TERMINAL, status


@pytest.mark.parametrize("is_drill", [False, True])
def test_an_action_means_one_thing_in_one_status(is_drill: bool) -> None:
    rows = Counter((row.source, row.action) for row in TRANSITIONS if row.is_for(is_drill=is_drill))
    assert [key for key, n in rows.items() if n > 1] == []


def test_the_main_path_runs_from_assessment_to_closing() -> None:
    rows = walk(
        "decide",
        "start",
        "announce",
        "carry_out",
        "finish_collecting",
        "finish_disposal",
        "summarise",
        "close",
    )
    assert rows[-1].target == Status.CLOSED
    assert [event for row in rows for event in row.events] == [
        LegalEvent.DECIDED, LegalEvent.STARTED, LegalEvent.ANNOUNCED, LegalEvent.COLLECTED,
        LegalEvent.DISPOSED, LegalEvent.SUMMARISED, LegalEvent.CLOSED,
    ]  # fmt: skip


def test_the_long_path_files_a_plan_widens_the_scope_and_is_evaluated_twice() -> None:
    rows = walk(
        "order", "start", "file_plan", "return_plan", "file_plan", "announce", "expand_scope", "carry_out",
        "grant_extension", "finish_collecting", "expand_scope", "finish_collecting", "finish_disposal",
        "summarise",
        "evaluate", "strengthen", "finish_collecting", "finish_disposal", "summarise", "evaluate", "close",
    )  # fmt: skip
    assert rows[-1].target == Status.CLOSED


def test_starting_blocks_lots_and_queues_notices_in_one_move() -> None:
    for source in (Status.DECIDED, Status.ORDERED):
        row = transition(source, "start")
        assert row is not None
        assert {Effect.BLOCK_LOTS, Effect.QUEUE_NOTICES} <= set(row.effects)
        assert not row.needs_second_person


def test_the_actions_that_take_two_people_are_exactly_these() -> None:
    # A drill and a real campaign alike.
    assert {row.action for row in TRANSITIONS if row.needs_second_person} == TWO_PEOPLE
    assert {row.action for row in TRANSITIONS if not row.needs_second_person}.isdisjoint(TWO_PEOPLE)


def test_nobody_approves_what_they_prepared() -> None:
    for row in TRANSITIONS:
        for fact in row.other_than:
            doers: dict[Doer, object | None] = dict.fromkeys(Doer, "quality officer")
            assert row.second_person_missing("owner", doers) is None
            doers[fact] = "owner"
            assert row.second_person_missing("owner", doers) is fact


def test_a_step_that_nobody_is_recorded_to_have_prepared_cannot_be_approved() -> None:
    for row in TRANSITIONS:
        if row.needs_second_person:
            assert row.second_person_missing("owner", {}) is row.other_than[0]


def test_an_operator_or_viewer_may_do_nothing() -> None:
    for status in Status:
        assert transitions_from(status, roles=["operator", "viewer"]) == ()


def test_roles_are_those_of_members_and_the_program() -> None:
    assert {role.value for role in Role} - {"system"} <= set(Membership.Role.values)


def test_a_quality_officer_can_start_but_not_decide_publish_or_close() -> None:
    own = {row.action for status in Status for row in transitions_from(status, roles=["quality"])}
    assert "start" in own
    assert own.isdisjoint({"decide", "announce", "close", "cancel", "order", "grant_extension"})


def test_only_the_regulator_orders_extends_strengthens_and_closes_a_real_campaign() -> None:
    for row in TRANSITIONS:
        if row.action in {"order", "grant_extension", "strengthen", "evaluate", "return_plan"} or (
            row.action == "close" and row.is_for(is_drill=False)
        ):
            assert row.who <= REGULATOR, row


def test_the_regulator_does_not_file_the_firms_papers() -> None:
    for row in TRANSITIONS:
        if row.action in {"decide", "file_plan", "finish_collecting", "finish_disposal", "summarise"}:
            assert row.who.isdisjoint(REGULATOR), row


def test_a_drill_can_be_neither_published_nor_announced() -> None:
    for status in Status:
        for row in transitions_from(status, is_drill=True):
            assert Effect.PUBLISH not in row.effects
            assert LegalEvent.ANNOUNCED not in row.events


def test_nothing_is_cancelled_after_the_public_was_told() -> None:
    assert all(transition(status, "cancel") is None for status in PUBLIC)
    assert {row.source for row in TRANSITIONS if row.action == "cancel"} == {
        Status.DECIDED, Status.ORDERED, Status.STARTED, Status.PLAN_FILED,
    }  # fmt: skip


def test_a_real_campaign_is_public_only_by_way_of_the_announcement() -> None:
    for row in TRANSITIONS:
        if row.is_for(is_drill=False) and row.target in PUBLIC and row.source not in PUBLIC:
            assert row.action == "announce"


def test_scope_can_grow_in_every_open_status_after_the_start() -> None:
    after_start = OPEN - {Status.ASSESSING, Status.DECIDED, Status.ORDERED}
    assert {row.source for row in TRANSITIONS if row.action == "expand_scope"} == after_start


def test_cancelling_refusing_and_changing_the_scope_need_a_reason() -> None:
    for row in TRANSITIONS:
        if row.action in {"refuse", "cancel", "expand_scope", "narrow_scope", "return_plan", "strengthen"}:
            assert row.needs_reason, row


def test_blocks_put_on_at_the_start_are_taken_off_when_a_campaign_is_cancelled_after_it() -> None:
    for source in (Status.STARTED, Status.PLAN_FILED):
        row = transition(source, "cancel")
        assert row is not None
        assert Effect.UNBLOCK_LOTS in row.effects


def test_closing_a_real_campaign_leaves_recalled_goods_blocked() -> None:
    for row in TRANSITIONS:
        if row.target == Status.CLOSED:
            assert Effect.UNBLOCK_LOTS not in row.effects


def test_every_guard_is_used_and_says_what_to_do() -> None:
    assert {guard for row in TRANSITIONS for guard in row.guards} == set(Guard) == set(GUARDS)


def test_every_clock_of_every_law_can_be_started_and_stopped() -> None:
    # Facts that are recorded on the campaign without a change of stage.
    recorded = {
        LegalEvent.KNEW, LegalEvent.INCIDENT_REPORTED, LegalEvent.NOTICE_SERVED, LegalEvent.OBJECTED,
    }  # fmt: skip
    happens = recorded | {event for row in TRANSITIONS for event in row.events}
    assert happens == set(LegalEvent)
    for law in regimes():
        for rule in law.clocks:
            assert set(rule.start_events) & happens, rule.id
            assert rule.stop_event in happens, rule.id


def test_forms_have_two_codes() -> None:
    assert [code for code, _label in Form.choices()] == ["voluntary", "ordered"]
