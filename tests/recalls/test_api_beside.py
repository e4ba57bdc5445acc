"""By API: rehearsals, reports before destruction, corrected goods, balance, calls, disputes, goods sent back."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from recalls.models import Campaign, Drill, PhoneCall
from tests.recalls.story import Chain, announced, notice_to
from tests.trace.api_client import Api, assert_problem, body, person


def ok(found: Any, status: int = 201) -> Any:
    """The body of an answer that went well."""
    assert found.status_code == status, found.content.decode()
    return body(found)


def test_an_exercise_from_its_seed_to_its_end(chain: Chain) -> None:
    quality, stranger = person(chain.world.walnuts_quality), person(chain.world.distillery_quality)
    made = ok(quality.post("/drills", {"seed": "07 12 23"}))
    assert made["seed"] == "07 12 23"
    assert len(made["pool_sha256"]) == 64
    uid = made["uid"]
    assert_problem(quality.post("/drills", {}), 409, "drill_running")
    assert {one["direction"] for one in ok(quality.post(f"/drills/{uid}/traces", {}))["traces"]} == {"back", "forward"}
    gap = {"gap": "有客户没有邮箱", "action": "补登记", "responsible": "销售负责人", "due_on": "2026-12-20"}
    assert ok(quality.post(f"/drills/{uid}/gaps", gap))["gaps"] == 1
    assert_problem(stranger.post(f"/drills/{uid}/end", {"summary": "示例"}), 404, "not_found")
    assert ok(quality.post(f"/drills/{uid}/end", {"summary": "时限内查清"}))["finished_at"]
    assert [one["uid"] for one in ok(quality.get("/drills"), 200)] == [uid]
    assert ok(stranger.get("/drills"), 200) == []
    assert_problem(Api().get("/drills"), 401, "not_signed_in")
    assert_problem(quality.post("/drills", {"seed": "\x00"}), 422, "text_nul")
    assert Drill.objects.count() == 1
    assert not Campaign.objects.exists(), "nothing but the exercise itself"


def test_what_stands_beside_the_steps_of_a_recall(chain: Chain) -> None:
    world = chain.world
    campaign = announced(chain)
    quality, owner, holder = person(world.walnuts_quality), person(world.walnuts), person(world.distributor)
    line = {"lot": str(chain.pouch_a.uid), "amount": {"value": "3", "unit": "KGM"}}
    base = f"/campaigns/{campaign.uid}"
    # Destruction is reported before.
    plan = {"planned_at": "2099-01-01T10:00:00+08:00", "place": "示例填埋场", "method": "destroy", "lines": [line]}
    assert ok(quality.post(f"{base}/disposal-plans", plan))["lines"][0]["amount"]["value"] == "3"
    late = {**plan, "planned_at": "2026-01-01T10:00:00+08:00"}
    assert_problem(quality.post(f"{base}/disposal-plans", late), 422, "planned_too_late")
    assert len(ok(quality.get(f"{base}/disposal-plans"), 200)) == 1
    assert_problem(person(world.shop).get(f"{base}/disposal-plans"), 404, "not_found")
    # Aflatoxin is no matter of the label: nothing is put right and sold.
    assert_problem(quality.post(f"{base}/releases", {"correction": "换标签", "lines": [line]}), 409, "not_label_only")
    assert ok(owner.get(f"{base}/releases"), 200) == []
    assert_problem(owner.post(f"{base}/releases/{campaign.uid}/approval", {}), 404, "not_found")
    page = owner.client.get(f"/recall/campaigns/{campaign.uid}/releases/").content.decode()
    assert "只能销毁或作无害化处理" in page
    assert "提出放行" not in page
    # The balance.
    (row,) = ok(quality.get(f"{base}/balance"), 200)
    assert (row["made"], row["unknown"], row["balanced"]) == ("40", "35", True)
    explained = {"lot": str(chain.pouch_a.uid), "explanation": "没有差异"}
    assert_problem(quality.post(f"{base}/balance", explained), 409, "no_difference")
    # Calls, goods on their way, a disputed answer.
    notice = notice_to(campaign, world.distributor.organisation)
    call = {"outcome": "no_answer", "called_at": timezone.now().isoformat(), "words": "示例：无人接听"}
    ok(quality.post(f"{base}/notices/{notice.uid}/calls", call))
    assert PhoneCall.objects.get().outcome == "no_answer"
    assert_problem(holder.post(f"{base}/notices/{notice.uid}/calls", call), 404, "not_found")
    ok(holder.post(f"/notices/{notice.uid}/acknowledgement", {}), 200)
    sent = {"sent_at": timezone.now().isoformat(), "carrier": "示例快运", "parcel": "SF1", "lines": [line]}
    assert ok(holder.post(f"/notices/{notice.uid}/dispatches", sent))[0]["parcel"] == "SF1"
    assert_problem(person(world.shop).post(f"/notices/{notice.uid}/dispatches", sent), 404, "not_found")
    ok(holder.post(f"/notices/{notice.uid}/dispute", {"reason": "不是我们答的"}), 200)
    notice.refresh_from_db()
    assert notice.disputed_at is not None
