"""Results typed into a test template become judged results."""

import pytest

from trace.actions.evidence import entries_from_data, judge
from trace.event_templates import template, validate_data

pytestmark = pytest.mark.django_db


def judged(code: str, **data: object) -> dict[str, str]:
    found = template(code)
    required = {field.key for field in found.fields if field.required}
    cleaned, _warnings = validate_data(found, data, provided=required)
    return {entry.parameter: str(judge(entry)) for entry in entries_from_data(found, cleaned)}


def test_methanol_is_judged_at_full_strength_and_not_as_measured() -> None:
    assert judged("baijiu.factory_test", abv="53", methanol="0.50") == {
        "abv": "not_judged",
        "methanol": "not_judged",
        "methanol_100": "fail",
    }
    assert judged("baijiu.factory_test", abv="53", methanol="0.30")["methanol_100"] == "pass"
    assert judged("baijiu.factory_test", abv="53", methanol="未检出(<0.025)")["methanol_100"] == "pass"
    assert judged("baijiu.factory_test", abv="53", methanol="未检出(<0.5)")["methanol_100"] == "not_judged"


def test_aflatoxin_above_its_limit_fails_and_the_amount_sampled_is_no_result() -> None:
    assert judged("walnut.test", afb1="7.2", sample_qty="2") == {"afb1": "fail"}
    assert judged("walnut.test", afb1="<0.5", moisture="7.9") == {"moisture": "pass", "afb1": "pass"}
