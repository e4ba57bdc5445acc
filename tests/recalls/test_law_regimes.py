"""Which law applies, what it says, and that nothing unread is passed off as checked."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from recalls.law import Evidence, Form, LegalEvent, Level, Track, Unit, regime, regime_for, regimes
from recalls.law.regimes import REGIMES_YAML, read_regimes
from trace.errors import Invalid, NotFound
from trace.models import Product

SHANGHAI = ZoneInfo("Asia/Shanghai")


def amounts(code: str, key: str, form: Form = Form.VOLUNTARY) -> dict[int, int]:
    """Level → amount of one kind of limit."""
    return {
        int(rule.level): rule.amount
        for rule in regime(code).clocks
        if rule.key == key and rule.level and form in rule.forms
    }


def test_ten_minutes_before_december_is_2015_law_and_ten_minutes_after_is_2026_law() -> None:
    before = regime_for(Track.FOOD, datetime(2026, 11, 30, 23, 50, tzinfo=SHANGHAI))
    after = regime_for(Track.FOOD, datetime(2026, 12, 1, 0, 10, tzinfo=SHANGHAI))
    assert (before.regime.code, before.known_on) == ("CN-FOOD-2015", date(2026, 11, 30))
    assert (after.regime.code, after.known_on) == ("CN-FOOD-2026", date(2026, 12, 1))
    assert amounts("CN-FOOD-2015", "start")[2] == 48
    assert amounts("CN-FOOD-2026", "start")[2] == 36


def test_the_date_of_knowledge_is_taken_in_shanghai_whatever_zone_the_instant_came_in() -> None:
    choice = regime_for("food", datetime(2026, 11, 30, 16, 10, tzinfo=UTC))
    assert choice.regime.code == "CN-FOOD-2026"


def test_the_choice_between_two_editions_shows_the_other_and_says_it_is_an_assumption() -> None:
    before = regime_for(Track.FOOD, datetime(2026, 11, 22, tzinfo=UTC))
    after = regime_for(Track.FOOD, datetime(2027, 3, 1, tzinfo=UTC))
    assert before.alternative is regime("CN-FOOD-2026")
    assert after.alternative is regime("CN-FOOD-2015")
    assert before.assumed
    assert after.assumed


def test_furniture_falls_under_the_consumer_rule_and_has_no_alternative() -> None:
    choice = regime_for(Track.CONSUMER_PRODUCT, datetime(2026, 11, 22, tzinfo=UTC))
    assert (choice.regime.code, choice.alternative, choice.assumed) == ("CN-CONSUMER-2020", None, False)


def test_farm_produce_is_under_the_food_rule_by_analogy_and_says_so() -> None:
    choice = regime_for(Track.FARM_PRODUCE, datetime(2026, 11, 22, tzinfo=UTC))
    later = regime_for(Track.FARM_PRODUCE, datetime(2026, 12, 2, tzinfo=UTC))
    assert choice.regime.code == "CN-FOOD-2015"
    assert choice.note.by_analogy
    assert choice.note.verified
    assert (later.regime.code, later.note.verified) == ("CN-FOOD-2026", False)
    assert not regime_for(Track.FOOD, datetime(2026, 11, 22, tzinfo=UTC)).note.by_analogy


def test_a_date_before_any_rule_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        regime_for(Track.FOOD, datetime(2014, 1, 1, tzinfo=UTC))
    assert caught.value.code == "no_regime"


def test_an_unknown_track_and_an_unknown_regime_are_refused() -> None:
    with pytest.raises(Invalid) as caught:
        regime_for("car", datetime(2026, 1, 1, tzinfo=UTC))
    assert caught.value.code == "unknown_track"
    with pytest.raises(NotFound) as missing:
        regime("CN-CAR-2020")
    assert missing.value.code == "unknown_regime"


def test_an_instant_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        regime_for(Track.FOOD, datetime(2026, 1, 1))  # noqa: DTZ001


def test_tracks_are_those_of_the_product() -> None:
    assert {track.value for track in Track} == set(Product.Track.values)


def test_food_limits_of_2015_are_those_of_articles_13_18_and_32() -> None:
    assert amounts("CN-FOOD-2015", "start") == {1: 24, 2: 48, 3: 72}
    assert amounts("CN-FOOD-2015", "complete") == {1: 10, 2: 20, 3: 30}
    report = next(rule for rule in regime("CN-FOOD-2015").clocks if rule.key == "report")
    assert (report.amount, report.unit, report.level) == (5, Unit.WORKDAY, None)
    assert all(rule.verified for rule in regime("CN-FOOD-2015").clocks)


def test_food_limits_of_2026_are_provisional_and_no_completion_limit_is_made_up() -> None:
    law = regime("CN-FOOD-2026")
    assert amounts("CN-FOOD-2026", "start") == {1: 24, 2: 36, 3: 48}
    assert not any(rule.verified for rule in law.clocks)
    assert all(rule.key != "complete" for rule in law.clocks)
    assert law.has_gap("complete")
    assert not regime("CN-FOOD-2015").has_gap("complete")


def test_ordered_and_voluntary_recalls_report_differently_under_the_draft_of_2026() -> None:
    law = regime("CN-FOOD-2026")
    voluntary = {rule.key for rule in law.rules(Level.TWO, Form.VOLUNTARY)}
    ordered = {rule.key: rule for rule in law.rules(Level.TWO, Form.ORDERED)}
    assert voluntary == {"start", "report"}
    assert set(ordered) == {"start", "progress"}
    assert (ordered["progress"].amount, ordered["progress"].recurring) == (5, True)


def test_consumer_plan_clock_begins_with_the_decision_the_notice_or_the_order() -> None:
    plan = next(rule for rule in regime("CN-CONSUMER-2020").clocks if rule.key == "plan")
    assert plan.start_events == (LegalEvent.DECIDED, LegalEvent.NOTICE_SERVED, LegalEvent.ORDER_SERVED)
    assert (plan.amount, plan.unit) == (10, Unit.WORKDAY)


def test_records_are_kept_two_years_for_food_and_five_for_consumer_products() -> None:
    food, consumer = regime("CN-FOOD-2015").retention, regime("CN-CONSUMER-2020").retention
    assert food is not None
    assert consumer is not None
    assert (food.months, food.basis.verified) == (24, True)
    assert (consumer.months, consumer.basis.verified) == (60, False)
    assert regime("CN-FOOD-2026").retention is None


def test_plan_has_eight_items_and_announcement_four_groups() -> None:
    law = regime("CN-FOOD-2015")
    assert len({item.key for item in law.plan_items}) == 8
    assert len({item.key for item in law.announcement_items}) == 4


def test_every_rule_has_its_own_id_an_article_and_both_languages() -> None:
    rules = [rule for law in regimes() for rule in law.clocks]
    assert len({rule.id for rule in rules}) == len(rules) == 20
    for rule in rules:
        assert rule.basis.legal_basis
        assert rule.label.zh
        assert rule.label.en
        assert bool(rule.note.zh) == bool(rule.note.en)
        assert bool(rule.condition.zh) == bool(rule.condition.en)
        assert rule.amount > 0


def test_a_label_is_given_in_the_readers_language() -> None:
    with translation.override("en"):
        assert str(regime("CN-FOOD-2015").clocks[0].label) == "Start the recall and report its plan"
    with translation.override("zh-hans"):
        assert str(regime("CN-FOOD-2015").clocks[0].label) == "启动召回并报告召回计划"


def test_a_snapshot_keeps_what_a_running_clock_needs_from_the_rule() -> None:
    rule = regime("CN-FOOD-2015").clocks[1]
    assert rule.id == "CN-FOOD-2015/start/2"
    snapshot = rule.snapshot()
    assert (snapshot["level"], snapshot["amount"], snapshot["unit"], snapshot["verified"]) == (
        2, 48, "hour", True,
    )  # fmt: skip
    assert snapshot["legal_basis"] == "食品召回管理办法（2015）第十三条"


@pytest.mark.parametrize("evidence", [e for e in Evidence if e is not Evidence.SEEN_FULL])
def test_data_that_nobody_read_in_full_cannot_be_marked_verified(tmp_path: Path, evidence: Evidence) -> None:
    text = REGIMES_YAML.read_text(encoding="utf-8")
    lie = tmp_path / "regimes.yaml"
    lie.write_text(
        text.replace("evidence: seen_full\n  verified: true", f"evidence: {evidence}\n  verified: true", 1),
        encoding="utf-8",
    )
    with pytest.raises(ValueError, match="read in full"):
        read_regimes(lie)
