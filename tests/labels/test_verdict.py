"""The verdict of a scanned page: one table of facts."""

from __future__ import annotations

import datetime
import itertools

import pytest

from labels.verdict import Facts, Verdict, verdict

TODAY = datetime.date(2026, 11, 22)
YESTERDAY = TODAY - datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(issued=False, today=TODAY), Verdict.UNKNOWN),
        (Facts(issued=True, today=TODAY), Verdict.OK),
        (Facts(issued=True, today=TODAY, expires_on=YESTERDAY), Verdict.EXPIRED),
        (Facts(issued=True, today=TODAY, expires_on=TODAY), Verdict.OK),
        (Facts(issued=True, today=TODAY, held=True), Verdict.HELD),
        (Facts(issued=True, today=TODAY, copied=True), Verdict.SUSPICIOUS),
        (Facts(issued=True, today=TODAY, void=True), Verdict.VOID),
        (Facts(issued=True, today=TODAY, recalled=True), Verdict.RECALLED),
    ],
)
def test_each_fact_alone_gives_its_verdict(facts: Facts, expected: Verdict) -> None:
    assert verdict(facts) == expected


def test_of_several_facts_the_strongest_wins() -> None:
    order = [Verdict.RECALLED, Verdict.VOID, Verdict.SUSPICIOUS, Verdict.HELD, Verdict.EXPIRED]
    for recalled, void, copied, held, expired in itertools.product([False, True], repeat=5):
        facts = Facts(
            issued=True,
            today=TODAY,
            recalled=recalled,
            void=void,
            copied=copied,
            held=held,
            expires_on=YESTERDAY if expired else None,
        )
        true = [name for name, is_so in zip(order, [recalled, void, copied, held, expired], strict=True) if is_so]
        assert verdict(facts) == (true[0] if true else Verdict.OK)
        assert verdict(Facts(**{**facts.__dict__, "issued": False})) == Verdict.UNKNOWN
