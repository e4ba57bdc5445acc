"""The notice to one partner: two sides, no dead ends, and an answer is always taken."""

from datetime import timedelta

import pytest

from recalls.law import Level
from recalls.notice_states import (
    ANSWERED,
    ESCALATION,
    NOTICE_INITIAL,
    NOTICE_MOVES,
    NOTICE_TERMINAL,
    EscalationStep,
    NoticeStatus,
    Side,
    notice_move,
)


def onward(status: NoticeStatus) -> set[NoticeStatus]:
    """Where a notice can go from here."""
    return {row.target for row in NOTICE_MOVES if row.source == status} - {status}


def test_every_status_can_be_reached_and_only_the_final_ones_are_dead_ends() -> None:
    seen, todo = {NOTICE_INITIAL}, [NOTICE_INITIAL]
    while todo:
        for target in onward(todo.pop()) - seen:
            seen.add(target)
            todo.append(target)
    assert seen == set(NoticeStatus)
    assert {status for status in NoticeStatus if not onward(status)} == NOTICE_TERMINAL


def test_the_usual_way_goes_from_sending_to_settling() -> None:
    status = NOTICE_INITIAL
    for action, side in (
        ("send", Side.SYSTEM), ("deliver", Side.SYSTEM), ("see", Side.RECIPIENT),
        ("acknowledge", Side.RECIPIENT),
        ("answer_stock", Side.RECIPIENT), ("return", Side.RECIPIENT), ("settle", Side.ISSUER),
    ):  # fmt: skip
        row = notice_move(status, action, side)
        assert row is not None, (status, action)
        status = row.target
    assert status == NoticeStatus.SETTLED


@pytest.mark.parametrize("status", [s for s in NoticeStatus if s not in ANSWERED | NOTICE_TERMINAL])
def test_a_stock_answer_is_taken_whatever_happened_before(status: NoticeStatus) -> None:
    row = notice_move(status, "answer_stock", Side.RECIPIENT)
    assert row is not None
    assert row.target == NoticeStatus.STOCK_ANSWERED


def test_a_partner_cannot_settle_withdraw_or_escalate_its_own_notice() -> None:
    for status in NoticeStatus:
        for action in ("settle", "withdraw", "escalate", "send", "give_up"):
            assert notice_move(status, action, Side.RECIPIENT) is None


def test_the_program_never_answers_for_a_partner() -> None:
    for status in NoticeStatus:
        for action in ("acknowledge", "answer_stock", "return", "refuse", "dispose_on_site", "settle"):
            assert notice_move(status, action, Side.SYSTEM) is None


def test_refusing_and_being_unreachable_can_be_escalated() -> None:
    for status in (NoticeStatus.REFUSED, NoticeStatus.UNREACHABLE):
        row = notice_move(status, "escalate", Side.SYSTEM)
        assert row is not None
        assert row.target == NoticeStatus.ESCALATED


def test_a_settled_notice_does_not_move() -> None:
    assert [row for row in NOTICE_MOVES if row.source in NOTICE_TERMINAL] == []


def test_one_action_means_one_thing_for_one_side_in_one_status() -> None:
    keys = [(row.source, row.action, side) for row in NOTICE_MOVES for side in row.sides]
    assert len(keys) == len(set(keys))


def test_level_one_is_sent_again_after_two_hours_telephoned_after_four_and_reported_after_eight() -> None:
    assert ESCALATION[Level.ONE] == (
        (timedelta(hours=2), EscalationStep.RESEND),
        (timedelta(hours=4), EscalationStep.TELEPHONE),
        (timedelta(hours=8), EscalationStep.REGULATOR),
    )


def test_every_level_has_its_ladder_and_the_graver_is_never_the_slower() -> None:
    assert set(ESCALATION) == set(Level)
    for graver, milder in ((Level.ONE, Level.TWO), (Level.TWO, Level.THREE)):
        for (soon, step), (later, same) in zip(ESCALATION[graver], ESCALATION[milder], strict=True):
            assert step is same
            assert soon < later
