"""By API: working days, waiting times, warnings, addresses, versions compared, a list of buyers, cases handed on."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from recalls.actions.cases import Told, file_claim
from recalls.actions.hooks import add_webhook
from recalls.actions.scopes import expand_scope
from recalls.models import CalendarLoad, EscalationRule, Notice, RiskWarning, Webhook, WebhookDelivery, WorkCalendarDay
from recalls.scope import Question
from tests.recalls.story import Chain, announced, make_chain, started
from tests.trace.api_client import Api, assert_problem, body, person
from tests.world import World


def ok(found: Any, status: int = 200) -> Any:
    """The body of an answer that went well."""
    assert found.status_code == status, found.content.decode()
    return body(found)


def test_working_days_and_waiting_times(world: World) -> None:
    approver, officer, firm = person(world.county_approver), person(world.county), person(world.walnuts)
    days = {"source": "示例通知1号", "text": "2031-01-01,0\n2031-01-02,1\n2031-01-03,1"}
    before = WorkCalendarDay.objects.count()
    seen = ok(approver.post("/workdays", {**days, "only_check": True}), 201)
    assert (seen["loaded"], seen["new"], seen["weekday_holidays"]) == (False, 3, ["2031-01-01"])
    assert (WorkCalendarDay.objects.count(), CalendarLoad.objects.count()) == (before, 0), "only checked"
    key = str(uuid.uuid4())
    first = ok(approver.post("/workdays", days, key=key), 201)
    assert ok(approver.post("/workdays", days, key=key), 201) == first, "the same key once"
    assert CalendarLoad.objects.count() == 1
    found = ok(officer.get("/workdays"))
    assert (found["loads"][0]["days"], found["known"][-1]["last"]) == (3, "2031-01-03")
    assert_problem(officer.post("/workdays", days), 403, "role_required")
    assert firm.post("/workdays", days).status_code == firm.get("/workdays").status_code == 404
    assert_problem(Api().get("/workdays"), 401, "not_signed_in")
    assert_problem(approver.post("/workdays", {**days, "text": "2031-01-01,0\n2031-01-03,1"}), 422, "bad_calendar")
    # How long the ladder waits.
    assert ok(firm.get("/waiting-times"))[0] == {"level": 1, "resend": 120, "telephone": 240, "regulator": 480}
    times = {"level": 1, "resend": 60, "telephone": 90, "regulator": 120, "reason": "示例：节日"}
    assert ok(approver.post("/waiting-times", times), 201)[0]["regulator"] == 120
    assert_problem(approver.post("/waiting-times", {**times, "telephone": 60}), 422, "times_out_of_order")
    assert_problem(approver.post("/waiting-times", {**times, "level": 9}), 422, "unknown_choice")
    assert_problem(officer.post("/waiting-times", times), 403, "role_required")
    assert_problem(Api().get("/waiting-times"), 401, "not_signed_in")
    assert EscalationRule.objects.count() == 1


def test_risk_warnings_are_published_by_the_province(world: World) -> None:
    county, boss = person(world.county), person(world.county_approver)
    province, other, firm = person(world.province_approver), person(world.other_county), person(world.walnuts)
    names = ("title", "text", "advice", "goods", "area", "basis")
    words = {name: f"示例{name}" for name in names}
    assert_problem(county.post("/warnings", {**words, "basis": ""}), 422, "required")
    key = str(uuid.uuid4())
    uid = ok(county.post("/warnings", words, key=key), 201)["uid"]
    assert ok(county.post("/warnings", words, key=key), 201)["uid"] == uid
    assert RiskWarning.objects.count() == 1
    path = f"/warnings/{uid}"
    for stranger in (other, firm, province):
        assert_problem(stranger.get(path), 404, "not_found")
        assert ok(stranger.get("/warnings"))["items"] == []
    assert_problem(firm.post("/warnings", words), 404, "not_found")
    assert_problem(Api().get(path), 401, "not_signed_in")
    assert_problem(boss.post(f"{path}/steps", {"action": "publish"}), 403, "level_too_low")
    assert ok(county.post(f"{path}/steps", {"action": "submit"}))["status"] == "submitted"
    assert_problem(county.post(f"{path}/steps", {"action": "submit"}), 409, "stale_state")
    assert_problem(province.post(f"{path}/steps", {"action": "burn"}), 422, "unknown_choice")
    assert ok(province.post(f"{path}/steps", {"action": "publish"}))["publisher"]["name"].startswith("山西省")
    assert ok(firm.get(path))["status"] == "published"
    assert_problem(boss.post(f"{path}/steps", {"action": "end", "reason": "已查清"}), 403, "not_own")
    assert_problem(province.post(f"{path}/steps", {"action": "end"}), 422, "reason_required")
    assert ok(province.post(f"{path}/steps", {"action": "end", "reason": "已查清"}))["status"] == "ended"


def test_addresses_told_of_notices(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recalls.posting.check_url", lambda url: None)
    hook, secret = add_webhook(by=world.walnuts, url="https://erp.example.com/recalls")
    owner, quality, stranger = person(world.walnuts), person(world.walnuts_quality), person(world.distributor)
    (shown,) = ok(owner.get("/webhooks"))
    assert shown["url"] == "https://erp.example.com/recalls"
    assert secret not in owner.get("/webhooks").content.decode()
    assert_problem(quality.get("/webhooks"), 403, "role_required")
    assert ok(stranger.get("/webhooks")) == []
    assert_problem(Api().get("/webhooks"), 401, "not_signed_in")
    row = WebhookDelivery.objects.create(webhook=hook, event="notice", body={}, attempts=8, failed_at=hook.created_at)
    assert [one["uid"] for one in ok(owner.get("/webhook-deliveries"))["items"]] == [str(row.uid)]
    assert ok(stranger.get("/webhook-deliveries"))["items"] == []
    assert_problem(stranger.post(f"/webhook-deliveries/{row.uid}/again"), 404, "not_found")
    assert ok(owner.post(f"/webhook-deliveries/{row.uid}/again"))["failed_at"] is None
    assert_problem(stranger.post(f"/webhooks/{hook.uid}/end"), 404, "not_found")
    assert_problem(owner.post("/webhooks/x/end"), 404, "not_found")
    ended = ok(owner.post(f"/webhooks/{hook.uid}/end"))["ended_at"]
    assert ok(owner.post(f"/webhooks/{hook.uid}/end"))["ended_at"] == ended, "twice is once"
    assert not Webhook.objects.filter(ended_at=None).exists()
    row.refresh_from_db()
    assert row.error == "ended"


def test_versions_and_buyers(world: World) -> None:
    chain: Chain = make_chain(world)
    campaign = started(chain)
    base = f"/campaigns/{campaign.uid}"
    owner, county, stranger = person(world.walnuts), person(world.county), person(world.distillery)
    assert_problem(owner.get(f"{base}/scopes/comparison"), 404, "not_found")
    question = Question.of([chain.pouch_a, chain.pouch_b])
    expand_scope(by=world.walnuts_quality, campaign=campaign, question=question, reason="同一批原料")
    found = ok(county.get(f"{base}/scopes/comparison"))
    assert (found["earlier"]["number"], found["later"]["number"], found["counts"]["lots_out"]) == (1, 2, 0)
    assert [one["lot"]["uid"] for one in found["lots_in"]] == [str(chain.pouch_b.uid)]
    assert ok(owner.get(f"{base}/scopes/comparison?a=2&b=1")) == ok(owner.get(f"{base}/scopes/comparison"))
    assert_problem(owner.get(f"{base}/scopes/comparison?a=7"), 404, "not_found")
    assert owner.get(f"{base}/scopes/comparison?a=x").status_code == 422
    assert_problem(stranger.get(f"{base}/scopes/comparison"), 404, "not_found")
    assert_problem(Api().get(f"{base}/scopes/comparison"), 401, "not_signed_in")
    # Buyers who were never registered here.
    before = Notice.objects.count()
    row = {"name": "示例便民商店", "lot": chain.pouch_a.code, "amount": "1", "phone": "13900000001"}
    bad = {**row, "amount": "x", "phone": ""}
    refused = assert_problem(owner.post(f"{base}/distribution", {"rows": [row, bad]}), 422, "invalid_fields")
    assert {one["field"] for one in refused["errors"]} == {"rows.1.amount", "rows.1.phone"}
    assert Notice.objects.count() == before, "nothing is sent until the list is right"
    assert ok(owner.post(f"{base}/distribution", {"rows": [row]}), 201) == {"rows": 1, "notices": 1}
    assert ok(owner.post(f"{base}/distribution", {"rows": [row]}), 201)["notices"] == 0, "told once"
    assert_problem(stranger.post(f"{base}/distribution", {"rows": [row]}), 404, "not_found")
    assert_problem(county.post(f"{base}/distribution", {"rows": [row]}), 404, "not_found")
    assert owner.post(f"{base}/distribution", {"rows": []}).status_code == 422


def test_a_claim_is_assigned_and_handed_over(world: World) -> None:
    chain: Chain = make_chain(world)
    campaign = announced(chain)
    owner, county, stranger = person(world.walnuts), person(world.county), person(world.distillery)
    said = Told(words="示例：家里有两袋", contact="13900000001", consent=True)
    code = chain.pouch_a.public_code
    case = file_claim(campaign=campaign, code=code, remedy="refund", pieces=2, told=said, nonce="n" * 32)
    path = f"/cases/{case.uid}"
    quality, outsider = world.walnuts_quality.user, world.distillery.user
    assert quality is not None
    assert outsider is not None
    ok(owner.post(f"{path}/assignment", {"person": str(quality.uid)}))
    case.refresh_from_db()
    assert case.person == quality
    assert_problem(owner.post(f"{path}/assignment", {"person": str(outsider.uid)}), 422, "not_member")
    assert_problem(owner.post(f"{path}/assignment", {"person": str(uuid.uuid4())}), 404, "not_found")
    assert_problem(stranger.post(f"{path}/assignment", {"person": str(outsider.uid)}), 404, "not_found")
    give = {"to": world.distributor.organisation.uscc, "reason": "示例：由销售方答复"}
    assert_problem(owner.post(f"{path}/handover", give), 403, "regulator_only")
    assert_problem(county.post(f"{path}/handover", {**give, "to": "X"}), 422, "not_found_there")
    assert_problem(stranger.post(f"{path}/handover", give), 404, "not_found")
    assert ok(county.post(f"{path}/handover", give))["owner"]["name"] == world.distributor.organisation.name
    assert ok(person(world.distributor).get(path))["uid"] == str(case.uid)
