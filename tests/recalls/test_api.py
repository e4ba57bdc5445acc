"""The recall by API: the whole path, who may what, what a side may not know, twice is once, queries stay few."""

import datetime
from typing import Any

import pytest
from django.utils import timezone

from recalls.models import Campaign, Notice, Signal
from recalls.transitions import TRANSITIONS
from tests.goods import passed
from tests.recalls.story import Chain, announced, decided, notice_to, scoped, started, summarised
from tests.trace.api_client import Api, api_of, assert_problem, body, person, queries
from tests.world import World, make_actor

KNEW = "2026-10-20T08:00:00+08:00"
FINDING = {
    "hazard": "toxin",
    "severity": "serious",
    "probability": "likely",
    "verdict": "recall",
    "basis": "示例检验报告：黄曲霉毒素B1 超过限量",
    "level": 1,
}
ANNOUNCEMENT = {
    "producer": "汾阳示例核桃加工有限公司",
    "address": "汾阳市示例路 1 号",
    "legal_representative": "示例法人",
    "person_in_charge": "示例负责人",
    "phone": "0358-0000000",
    "reason": "黄曲霉毒素B1 超过国家标准限量",
    "risk": "长期食用可能损害肝脏",
    "email": "recall@example.org",
    "begins_on": "2026-10-21",
    "ends_on": "2026-11-20",
    "area": "山西省",
    "duties": "立即停止销售",
    "what_to_do": "立即停止食用，凭实物退货",
    "compensation": "退还货款",
}


def step(api: Api, campaign: Any, action: str, **given: Any) -> Any:
    """Take a step."""
    uid = campaign["uid"] if isinstance(campaign, dict) else campaign.uid
    return api.post(f"/campaigns/{uid}/steps", {"action": action, **given})


def ok(answer: Any, status: int = 200) -> Any:
    """The body of an answer that went well."""
    assert answer.status_code == status, answer.content.decode()
    return body(answer)


def test_a_recall_goes_from_signal_to_closing(chain: Chain) -> None:
    world = chain.world
    quality, owner = person(world.walnuts_quality), person(world.walnuts)
    report = passed(world.walnuts, chain.pouch_a, value="7.5", number="示例-9")
    sent = {"source": "self_check", "text": "留样复检不合格。", "report": str(report.uid), "received_at": KNEW}
    signal = ok(quality.post("/signals", sent), 201)
    assert signal["lot"]["uid"] == str(chain.pouch_a.uid)
    assert ok(quality.get(f"/signals/{signal['uid']}")) == signal

    opened = {"track": "food", "title": "示例核桃仁", "knew_at": KNEW, "finding": FINDING, "signals": [signal["uid"]]}
    campaign = ok(quality.post("/campaigns", opened), 201)
    assert (campaign["status"], campaign["scope"], campaign["level"]) == ("assessing", None, 1)
    assert campaign["limits"]
    uid = campaign["uid"]
    assert ok(quality.get("/signals", status="linked"))["items"][0]["campaign"] == uid
    assert_problem(step(owner, campaign, "decide"), 409, "guard_scope")

    preview = ok(quality.get(f"/campaigns/{uid}/scope", lots=[str(chain.mother.uid)]))
    assert preview["frozen"] is None
    assert {line["why"] for line in preview["lots"]} == {"named", "descends"}
    assert len(preview["lots"]) == 3
    narrow = ok(quality.get(f"/campaigns/{uid}/scope", lots=[str(chain.pouch_a.uid)], same_run="false"))
    assert [line["lot"]["lot"]["uid"] for line in narrow["lots"]] == [str(chain.pouch_a.uid)]
    asked = {"lots": [str(chain.pouch_a.uid)], "same_run": False}
    frozen = ok(quality.post(f"/campaigns/{uid}/scopes", asked), 201)["scope"]
    assert (frozen["sha256"], frozen["active"]) == (narrow["sha256"], False)

    assert_problem(step(quality, campaign, "decide"), 403, "role_required")
    assert ok(step(owner, campaign, "decide"))["number"].startswith("汾召[")
    begun = ok(step(quality, campaign, "start", stop_order=True))
    assert begun["status"] == "started"
    assert begun["scope"]["active"] is True
    assert ok(owner.get(f"/lots/{chain.pouch_a.uid}"))["blocked"][0]["kind"] == "recall"

    ok(quality.post(f"/campaigns/{uid}/announcements", ANNOUNCEMENT), 201)
    assert ok(Api().get("/public/recalls"))["items"] == []
    assert_problem(step(quality, campaign, "announce", channel="公告页"), 403, "role_required")
    ok(step(owner, campaign, "announce", channel="本系统公告页"))
    public = ok(Api().get("/public/recalls"))["items"]
    assert [row["uid"] for row in public] == [uid]
    assert ok(Api().get(f"/public/recalls/{uid}")) == public[0]
    assert public[0]["goods"][0]["lots"][0]["code"] == chain.pouch_a.code

    distributor = api_of(world.distributor)
    received = {row["holder"]["label"]: row for row in ok(distributor.get("/notices"))["items"]}
    assert set(received) == {world.distributor.organisation.name, chain.far_outsider.name}
    notice = received[world.distributor.organisation.name]
    assert notice["campaign"] == uid
    ok(distributor.post(f"/notices/{notice['uid']}/acknowledgement", {"will_act": True}))
    line = {"lot": str(chain.pouch_a.uid), "on_hand": {"value": "16"}, "sealed": {"value": "16"}}
    zero = {"sold": {"value": "0"}, "unknown": {"value": "0"}}
    answered = ok(distributor.post(f"/notices/{notice['uid']}/stock", {"lots": [{**line, **zero}]}))
    assert (answered["status"], answered["answers"][0]["on_hand"]) == ("isolated", "16")

    back = {
        "organisation": str(world.distributor.organisation.uid),
        "occurred_at": "2026-10-30T08:00:00+08:00",
        "lines": [{"lot": str(chain.pouch_a.uid), "amount": {"value": "16"}}],
    }
    assert ok(owner.post(f"/campaigns/{uid}/returns", back), 201)[0]["amount"]["value"] == "16"
    destroyed = {
        "occurred_at": "2026-10-31T08:00:00+08:00",
        "lines": back["lines"],
        "method": "destroy",
        "place": "示例无害化处理厂",
        "witness": str(world.county.organisation.uid),
        "announced_at": "2026-10-29T08:00:00+08:00",
    }
    ok(owner.post(f"/campaigns/{uid}/disposals", destroyed), 201)
    numbers = ok(owner.get(f"/campaigns/{uid}/figures"))
    assert numbers["totals"]["KGM"]["recovered"] == "16"
    assert numbers["totals"]["KGM"]["destroyed"] == "16"
    ok(owner.post(f"/campaigns/{uid}/reports", {"text": "已收回 16 千克，全部销毁。"}), 201)

    assert_problem(step(quality, campaign, "finish_collecting"), 409, "guard_notices_answered")
    ok(step(quality, campaign, "finish_collecting", reason="其余单位已电话核实"))
    ok(step(quality, campaign, "finish_disposal"))
    ok(step(quality, campaign, "summarise", summary="示例总结"))
    assert_problem(step(owner, campaign, "close"), 403, "role_required")
    closed = ok(step(person(world.county_approver), campaign, "close"))
    assert closed["status"] == "closed"
    assert closed["actions"] == []
    actions = [row["action"] for row in ok(owner.get(f"/campaigns/{uid}/steps", order="oldest", limit=200))["items"]]
    for action in ("assess", "scope", "decide", "start", "announce", "summarise", "close"):
        assert action in actions


def test_every_row_of_the_table_has_an_operation() -> None:
    from recalls.api.campaigns import STEPS

    by_scope = {"expand_scope", "narrow_scope"}
    assert {row.action for row in TRANSITIONS} == set(STEPS) | by_scope


def test_what_is_others_is_404(chain: Chain) -> None:
    world = chain.world
    campaign = announced(chain)
    stranger, regulator_elsewhere = api_of(world.distillery), api_of(world.other_county)
    notice = notice_to(campaign, world.distributor.organisation)
    signal = Signal.objects.get()
    for api in (stranger, regulator_elsewhere):
        for path in ("", "/steps", "/scope", "/notices", "/figures"):
            assert_problem(api.get(f"/campaigns/{campaign.uid}{path}"), 404, "not_found")
        assert_problem(api.get(f"/notices/{notice.uid}"), 404, "not_found")
        assert_problem(api.get(f"/signals/{signal.uid}"), 404, "not_found")
        assert ok(api.get("/campaigns"))["items"] == []
        assert ok(api.get("/notices"))["items"] == []
    assert_problem(step(person(world.distillery), campaign, "cancel", reason="x"), 404, "not_found")
    assert_problem(stranger.post(f"/notices/{notice.uid}/acknowledgement", {}), 404, "not_found")
    holder = api_of(world.distributor)
    assert_problem(holder.get(f"/campaigns/{campaign.uid}"), 404, "not_found")
    assert_problem(holder.get(f"/notices/{notice_to(campaign, world.shop.organisation).uid}"), 404, "not_found")


def test_a_side_hears_of_strangers_by_region_only(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain)
    shop, far = world.shop.organisation, chain.far_outsider
    answer = api_of(world.walnuts_quality).get(f"/campaigns/{campaign.uid}/notices", limit=200)
    assert shop.name not in answer.content.decode()
    assert far.name not in answer.content.decode()
    seen = {row["holder"]["label"]: row for row in ok(answer)["items"]}
    assert world.distributor.organisation.name in seen
    assert chain.outsider.name in seen
    veiled = [row for row in seen.values() if row["holder"]["organisation"] is None]
    assert veiled
    assert all(lot["on_hand"] is None for row in veiled for lot in row["lots"])
    preview = api_of(world.walnuts_quality).get(f"/campaigns/{campaign.uid}/scope")
    assert shop.name not in preview.content.decode()
    whole = api_of(world.county).get(f"/campaigns/{campaign.uid}/notices", limit=200).content.decode()
    assert shop.name in whole
    assert far.name in whole


def test_a_drill_never_leaves_the_house(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain, is_drill=True)
    assert [row["uid"] for row in ok(api_of(world.walnuts).get("/campaigns", which="drills"))["items"]] == [
        str(campaign.uid)
    ]
    assert ok(api_of(world.walnuts).get("/campaigns", which="open"))["items"] == []
    assert ok(api_of(world.distributor).get("/notices"))["items"] == []
    assert_problem(Api().get(f"/public/recalls/{campaign.uid}"), 404, "not_found")
    assert_problem(
        person(world.walnuts_quality).post(f"/campaigns/{campaign.uid}/announcements", ANNOUNCEMENT),
        409,
        "drill_stays_inside",
    )


def test_starting_needs_a_person_and_happens_once(chain: Chain) -> None:
    world = chain.world
    campaign = decided(chain)
    machine_answer = step(api_of(world.walnuts_quality), campaign, "start", stop_order=True)
    assert_problem(machine_answer, 403, "person_required")
    assert not Notice.objects.exists()
    quality = person(world.walnuts_quality)
    sent = {"action": "start", "stop_order": True}
    first = quality.post(f"/campaigns/{campaign.uid}/steps", sent, key="k1")
    again = quality.post(f"/campaigns/{campaign.uid}/steps", sent, key="k1")
    assert ok(first)["status"] == "started"
    assert again.content == first.content
    told = Notice.objects.count()
    assert told > 0
    answer = quality.post(f"/campaigns/{campaign.uid}/steps", sent)
    assert answer.status_code == 409
    assert Notice.objects.count() == told


def test_who_decides_on_an_old_page_is_told(chain: Chain) -> None:
    campaign = scoped(chain)
    owner = person(chain.world.walnuts)
    assert_problem(step(owner, campaign, "decide", revision=campaign.revision + 7), 409, "stale_state")
    ok(step(owner, campaign, "decide", revision=campaign.revision))


def test_cancelling_takes_two(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain)
    owner = person(world.walnuts)
    path = f"/campaigns/{campaign.uid}/proposals"
    assert_problem(owner.post(path, {"action": "close", "reason": "x"}), 422, "unknown_choice")
    proposed = ok(person(world.walnuts_quality).post(path, {"action": "cancel", "reason": "原样品混淆"}), 201)
    assert (proposed["action"], proposed["about"]) == ("propose", "cancel")
    assert ok(step(owner, campaign, "cancel", reason="复检合格"))["status"] == "cancelled"
    assert ok(owner.get(f"/lots/{chain.pouch_a.uid}"))["blocked"] == []


def test_the_scope_grows_after_the_start(chain: Chain) -> None:
    campaign = started(chain)
    quality = person(chain.world.walnuts_quality)
    path = f"/campaigns/{campaign.uid}/scopes"
    both = {"lots": [str(chain.pouch_a.uid), str(chain.pouch_b.uid)], "same_run": False}
    assert_problem(quality.post(path, both), 409, "no_such_step")
    assert_problem(quality.post(path, {**both, "change": "expand"}), 422, "guard_reason")
    grown = ok(quality.post(path, {**both, "change": "expand", "reason": "同一次加工"}), 201)
    assert (grown["scope"]["number"], grown["scope"]["lots"]) == (2, 2)
    assert ok(quality.get(f"/lots/{chain.pouch_b.uid}"))["blocked"]


OPENED = {"track": "food", "title": "示例", "knew_at": KNEW, "finding": FINDING}
HINT = {"source": "self_check", "text": "示例"}
BAD: list[tuple[str, dict[str, Any], int, str]] = [
    ("/signals", {**HINT, "source": "gossip"}, 422, "unknown_choice"),
    ("/signals", {**HINT, "text": " "}, 422, "required"),
    ("/signals", {**HINT, "text": "x" * 2001}, 422, "text_too_long"),
    ("/signals", {**HINT, "received_at": "2126-01-01T00:00:00Z"}, 422, "in_future"),
    ("/campaigns", {**OPENED, "finding": {**FINDING, "level": 4}}, 422, "out_of_range"),
    ("/campaigns", {**OPENED, "finding": {**FINDING, "level": None}}, 422, "level_required"),
    ("/campaigns", {**OPENED, "knew_at": "2126-01-01T00:00:00Z"}, 422, "in_future"),
    ("/campaigns", {**OPENED, "title": "x" * 121}, 422, "text_too_long"),
    ("/campaigns", {**OPENED, "track": "spirits"}, 422, "unknown_choice"),
]


@pytest.mark.parametrize(("path", "sent", "status", "code"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_refused_and_nothing_is_stored(
    world: World, path: str, sent: dict[str, Any], status: int, code: str
) -> None:
    assert_problem(person(world.walnuts_quality).post(path, sent), status, code)
    assert not Signal.objects.exists()
    assert not Campaign.objects.exists()


def test_who_passes_a_letter_on_destroys_none_of_its_own_goods_by_it(chain: Chain) -> None:
    campaign = announced(chain)
    deed = {
        "occurred_at": timezone.now().isoformat(),
        "lines": [{"lot": str(chain.pouch_a.uid), "amount": {"value": "1"}}],
        "method": "destroy",
        "place": "示例填埋场",
        "witness_name": "示例见证人",
        "executor": "示例执行人",
    }
    api, mine = person(chain.world.distributor), chain.world.distributor.organisation
    told = notice_to(campaign, chain.far_outsider)
    assert_problem(api.post(f"/notices/{told.uid}/disposals", deed), 403, "not_own")
    ok(api.post(f"/notices/{notice_to(campaign, mine).uid}/disposals", deed), 201)


def test_bad_answers_are_refused(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain)
    api = api_of(world.distributor)
    path = f"/notices/{notice_to(campaign, world.distributor.organisation).uid}/stock"
    zero = {"value": "0"}
    said = {"lot": str(chain.pouch_a.uid), "on_hand": zero, "sealed": zero, "sold": zero, "unknown": zero}
    assert_problem(api.post(path, {"lots": []}), 422, "too_few_items")
    assert_problem(api.post(path, {"lots": [{**said, "lot": str(chain.pouch_b.uid)}]}), 404, "not_found")
    assert_problem(api.post(path, {"lots": [{**said, "sealed": {"value": "1"}}]}), 422, "sealed_too_much")
    assert_problem(api.post(path, {"lots": [{**said, "on_hand": {"value": "-1"}}]}), 422, "amount_negative")
    assert_problem(api.post(path, {"lots": [said, said]}), 422, "lots_incomplete")
    assert ok(api.post(path, {"lots": [said]}))["status"] == "stock_answered"


def test_goods_outside_the_scope_are_not_found_and_before_the_start_refused(chain: Chain) -> None:
    world = chain.world
    campaign = scoped(chain)
    owner = person(world.walnuts)
    sent = {
        "organisation": str(world.distributor.organisation.uid),
        "occurred_at": "2026-10-30T08:00:00+08:00",
        "lines": [{"lot": str(chain.pouch_a.uid), "amount": {"value": "1"}}],
    }
    path = f"/campaigns/{campaign.uid}/returns"
    assert_problem(owner.post(path, sent), 409, "no_such_step")
    other = {**sent, "lines": [{"lot": str(chain.pouch_b.uid), "amount": {"value": "1"}}]}
    assert_problem(owner.post(path, other), 404, "not_found")


def test_a_signal_is_dismissed_with_a_reason_once(world: World) -> None:
    api = person(world.walnuts_quality)
    signal = ok(api.post("/signals", {"source": "self_check", "text": "示例"}), 201)
    path = f"/signals/{signal['uid']}/dismissal"
    assert_problem(api.post(path, {"reason": ""}), 422, "required")
    worker = person(make_actor(world.walnuts.organisation, "operator"))
    assert_problem(worker.post(path, {"reason": "x"}), 403, "role_required")
    assert ok(api.post(path, {"reason": "复检合格"}))["status"] == "dismissed"
    assert_problem(api.post(path, {"reason": "复检合格"}), 409, "stale_state")


def test_sale_is_stopped_by_one_person_while_assessing(chain: Chain) -> None:
    campaign = scoped(chain)
    api = person(chain.world.walnuts_quality)
    sent = {"lots": [str(chain.pouch_a.uid)], "reason": "评估期间停止销售"}
    assert ok(api.post(f"/campaigns/{campaign.uid}/stop-sale", sent), 201)["kind"] == "stop_sale"
    assert ok(api.get(f"/lots/{chain.pouch_a.uid}"))["blocked"][0]["kind"] == "stop_sale"


def test_another_assessment_changes_the_level_before_the_decision(chain: Chain) -> None:
    campaign = scoped(chain)
    api = person(chain.world.walnuts_quality)
    path = f"/campaigns/{campaign.uid}/assessments"
    assert ok(api.post(path, {**FINDING, "level": 2}), 201)["level"] == 2
    ok(step(person(chain.world.walnuts), campaign, "decide"))
    assert_problem(api.post(path, {**FINDING, "level": 3}), 409, "no_such_step")


def test_a_trader_recalls_by_the_api_what_another_made(chain: Chain) -> None:
    api = person(make_actor(chain.world.distributor.organisation, "quality"))
    body = {"track": "food", "title": "示例核桃仁 受潮", "knew_at": KNEW, "finding": FINDING}
    assert_problem(api.post("/campaigns", {**body, "standing": {"initiator": "trader"}}), 422, "ground_required")
    made = ok(api.post("/campaigns", {**body, "standing": {"initiator": "trader", "ground": "own_fault"}}), 201)
    path, lots = f"/campaigns/{made['uid']}", [str(chain.pouch_a.uid)]
    ok(api.post(f"{path}/scopes", {"lots": lots}), 201)
    assert_problem(api.get(f"{path}/scope?left_out={lots[0]}"), 422, "lots_required")
    for changed in ("same_run=false", "same_gear=true"):
        assert_problem(api.get(f"{path}/scope?{changed}"), 422, "lots_required")
    other = {**FINDING, "standing": {"initiator": "brand_owner"}}
    ok(api.post(f"{path}/assessments", other), 201)
    assert_problem(step(person(chain.world.distributor), Campaign.objects.get(), "decide"), 409, "initiator_wrong")
    again = {**FINDING, "standing": {"initiator": "trader", "ground": "own_fault"}}
    ok(api.post(f"{path}/assessments", again), 201)
    assert ok(step(person(chain.world.distributor), Campaign.objects.get(), "decide"))["status"] == "decided"


def test_the_authority_needs_its_document(chain: Chain) -> None:
    campaign = scoped(chain)
    approver = person(chain.world.county_approver)
    assert_problem(step(approver, campaign, "order"), 422, "guard_served_document")
    served = {"document": "汾市监责召〔2026〕1号", "served_at": timezone.now().isoformat()}
    assert ok(step(approver, campaign, "order", **served))["form"] == "ordered"


def test_lists_ask_a_fixed_number_of_queries(chain: Chain) -> None:
    world = chain.world
    campaign = summarised(chain)
    few = queries(api_of(world.county), "/campaigns")
    notices = f"/campaigns/{campaign.uid}/notices"
    one = queries(api_of(world.county), notices, limit=1)
    assert queries(api_of(world.county), notices, limit=200) == one
    for _ in range(5):
        opened = {"track": "food", "title": "另一次", "knew_at": KNEW, "finding": FINDING}
        ok(person(world.walnuts_quality).post("/campaigns", opened), 201)
    assert queries(api_of(world.county), "/campaigns") == few
    assert len(ok(api_of(world.county).get("/campaigns"))["items"]) == 6
    assert few <= 14
    assert datetime.date.fromisoformat(ok(Api().get("/public/recalls"))["items"][0]["begins_on"])
