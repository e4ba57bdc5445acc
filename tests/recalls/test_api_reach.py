"""By API: addresses and their secrets, contacts and bounces, returns with oddities, pictures, files, objections,
limits and how they moved.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import uuid
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from PIL import Image

from recalls.actions.assessment import assess
from recalls.actions.clocks import load_notice
from recalls.models import Campaign, Disposal, OutboxMessage, RegulatorAct, ReturnOddity, Webhook
from tests.recalls.story import ANNOUNCEMENT, FINDING, KNEW, Chain, announced, notice_to, started
from tests.trace.api_client import Api, assert_problem, body, machine, person
from tests.world import World, make_product
from trace.actions.files import store_file
from trace.actor import Actor
from trace.models import IdempotencyRecord
from trace.personal import reveal


def ok(found: Any, status: int = 200) -> Any:
    """The body of an answer that went well."""
    assert found.status_code == status, found.content.decode()
    return body(found)


def photo(by: Actor) -> str:
    """An uploaded picture, by its outside name."""
    data = io.BytesIO()
    Image.new("RGB", (8, 8), "green").save(data, "PNG")
    return str(store_file(by=by, name="包装.png", content=SimpleUploadedFile("包装.png", data.getvalue())).uid)


def test_the_secret_of_an_address_is_shown_once_and_never_kept(world: World) -> None:
    owner, quality, stranger = person(world.walnuts), person(world.walnuts_quality), person(world.distributor)
    key, url = str(uuid.uuid4()), {"url": "https://erp.example.com/recalls"}
    made = ok(owner.post("/webhooks", url, key=key), 201)
    hook = Webhook.objects.get()
    assert made["secret"] == reveal(hook.secret)
    again = owner.post("/webhooks", url, key=key)
    assert again["Idempotent-Replayed"] == "true"
    assert ok(again, 201) == {**made, "secret": None}, "the same request: the same address, no secret"
    assert Webhook.objects.count() == 1
    assert not [row for row in IdempotencyRecord.objects.all() if made["secret"] in f"{row.body}{row.request_hash}"]
    # The receiver's own secret.
    own = "q7Wm2Zr9Kx4Tn8Vb3Hc6Ld1Pf5Jg0YsAe"
    path = f"/webhooks/{made['uid']}/secret"
    changed = ok(owner.post(path, {"secret": own}))
    assert changed["secret"] == own
    assert changed["old_until"]
    hook.refresh_from_db()
    assert reveal(hook.secret) == own
    assert reveal(hook.old_secret) == made["secret"], "the one before signs for another day"
    for weak in ("short", "a" * 40, "密" * 40, "with a space in it and long enough"):
        assert_problem(owner.post(path, {"secret": weak}), 422, "secret_weak")
    assert_problem(owner.post("/webhooks", {"url": "http://10.0.0.1/"}), 422, "webhook_url")
    assert_problem(owner.post("/webhooks", url), 409, "webhook_twice")
    assert_problem(owner.post("/webhooks", {}), 422, "required")
    for api, status, code in ((quality, 403, "role_required"), (Api(), 401, "not_signed_in")):
        assert_problem(api.post("/webhooks", url), status, code)
        assert_problem(api.post(path, {}), status, code)
    assert_problem(machine(world.walnuts.organisation, role="owner").post("/webhooks", url), 403, "person_required")
    assert_problem(stranger.post(path, {}), 404, "not_found")
    ok(owner.post(f"/webhooks/{made['uid']}/end"))
    assert_problem(owner.post(path, {}), 409, "stale_state")


def test_contacts_returns_and_oddities(chain: Chain) -> None:
    world = chain.world
    campaign = announced(chain)
    base = f"/campaigns/{campaign.uid}"
    owner, county, holder = person(world.walnuts), person(world.county), person(world.distributor)
    stranger = person(world.distillery)
    notice = notice_to(campaign, chain.outsider)
    path = f"{base}/notices/{notice.uid}"
    (mail,) = notice.messages.filter(channel="email")
    seen = ok(owner.get(f"{path}/contact"))
    assert {one["channel"]: one["state"] for one in seen["messages"]}["email"] == "queued"
    OutboxMessage.objects.filter(pk=mail.pk).update(sent_at=timezone.now())
    bounce = f"{path}/messages/{mail.uid}/bounce"
    key = str(uuid.uuid4())
    first = ok(owner.post(bounce, {"reason": "550 no such user"}, key=key))
    assert ok(owner.post(bounce, {"reason": "550 no such user"}, key=key)) == first
    states = {one["channel"]: one["state"] for one in first["messages"]}
    assert (states["email"], states["letter"]) == ("bounced", "to_post"), "a letter is made instead"
    assert first["steps"][0]["reason"] == "550 no such user"
    assert ok(owner.post(f"/notices/{notice.uid}/posted"))["status"] == "sent"
    assert {one["state"] for one in ok(county.get(f"{path}/contact"))["messages"]} == {"bounced", "posted"}
    refused = {"action": "refuse", "reason": "门卫拒收"}
    assert ok(owner.post(f"{path}/steps", refused))["status"] == "refused"
    assert_problem(owner.post(f"{path}/steps", refused), 409, "notice_state")
    assert_problem(owner.post(f"{path}/steps", {"action": "escalate"}), 409, "reason_required")
    # A holder the initiator may not know by name has no such page.
    veiled = notice_to(campaign, chain.far_outsider)
    assert_problem(owner.get(f"{base}/notices/{veiled.uid}/contact"), 404, "not_found")
    assert_problem(owner.post(f"{base}/notices/{veiled.uid}/messages/{mail.uid}/bounce"), 404, "not_found")
    assert_problem(owner.post(f"{path}/messages/{uuid.uuid4()}/bounce"), 404, "not_found")
    for closed in (f"{path}/contact", f"{base}/returns", f"{base}/dispatches", f"{base}/disposals", f"{path}/oddities"):
        assert_problem(stranger.get(closed), 404, "not_found")
        assert_problem(Api().get(closed), 401, "not_signed_in")
        assert_problem(holder.get(closed), 404, "not_found")
    # Sent back, arrived with a difference, and what was no recalled goods.
    told = notice_to(campaign, world.distributor.organisation)
    lot = str(chain.pouch_a.uid)
    ok(holder.post(f"/notices/{told.uid}/acknowledgement"))
    now = timezone.now().isoformat()
    sent = {"sent_at": now, "parcel": "SF1", "lines": [{"lot": lot, "amount": {"value": "10"}}]}
    ok(holder.post(f"/notices/{told.uid}/dispatches", sent), 201)
    assert [one["amount"]["value"] for one in ok(holder.get(f"/notices/{told.uid}/dispatches"))] == ["10"]
    assert_problem(stranger.get(f"/notices/{told.uid}/dispatches"), 404, "not_found")
    (under_way,) = ok(owner.get(f"{base}/dispatches"))["items"]
    assert under_way["holder"]["organisation"]["name"] == world.distributor.organisation.name
    came = {
        "organisation": str(world.distributor.organisation.uid),
        "occurred_at": now,
        "lines": [{"lot": lot, "amount": {"value": "9"}}],
    }
    ok(owner.post(f"{base}/returns", came), 201)
    (arrived,) = ok(county.get(f"{base}/returns"))["items"]
    assert (arrived["declared"]["value"], arrived["received"]["value"]) == ("10", "9")
    assert arrived["difference"]["value"] == "-1"
    odd = {"kind": "empty", "count": 3, "handling": "discarded", "words": "空袋"}
    oddities = f"{base}/notices/{told.uid}/oddities"
    key = str(uuid.uuid4())
    assert ok(owner.post(oddities, odd, key=key), 201)[0]["count"] == 3
    ok(owner.post(oddities, odd, key=key), 201)
    assert ReturnOddity.objects.count() == 1
    assert ok(county.get(oddities))[0]["words"] == "空袋"
    assert_problem(owner.post(oddities, {**odd, "count": 0}), 422, "out_of_range")
    assert_problem(owner.post(oddities, {**odd, "kind": "moon"}), 422, "unknown_choice")
    assert_problem(county.post(oddities, odd), 404, "not_found")
    # Destroyed: after its report, by whom, with a picture.
    line = {"lot": lot, "amount": {"value": "9"}}
    plan = {"planned_at": "2099-01-01T10:00:00+08:00", "place": "示例填埋场", "method": "destroy", "lines": [line]}
    reported = ok(owner.post(f"{base}/disposal-plans", plan), 201)["uid"]
    deed = {
        "occurred_at": timezone.now().isoformat(),
        "lines": [line],
        "method": "destroy",
        "place": "示例填埋场",
        "plan": reported,
        "executor": "示例执行人",
        "witness": str(world.county.organisation.uid),
        "files": [photo(world.walnuts)],
    }
    assert_problem(owner.post(f"{base}/disposals", {**deed, "plan": str(uuid.uuid4())}), 404, "not_found")
    assert_problem(owner.post(f"{base}/disposals", {**deed, "files": [str(uuid.uuid4())]}), 404, "not_found")
    assert_problem(owner.post(f"{base}/disposals", {**deed, "witness_name": "示例执行人"}), 422, "witness_same")
    ok(owner.post(f"{base}/disposals", deed), 201)
    assert Disposal.objects.count() == 1
    (done,) = ok(county.get(f"{base}/disposals"))["items"]
    assert (done["plan"], done["executor"], len(done["files"])) == (reported, "示例执行人", 1)


def test_pictures_of_an_announcement(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain)
    base = f"/campaigns/{campaign.uid}"
    quality, owner = person(world.walnuts_quality), person(world.walnuts)
    words = {**ANNOUNCEMENT.__dict__, "begins_on": "2026-10-21", "ends_on": "2026-11-20"}
    shown = [{"file": photo(world.walnuts_quality), "caption": "批号在右下角"}]
    draft = ok(quality.post(f"{base}/announcements", {**words, "pictures": shown}), 201)
    (picture,) = draft["pictures"]
    assert picture["caption"] == "批号在右下角"
    where = picture["url"].partition("/recalls/")[2]
    assert owner.client.get(f"/recalls/{where}").status_code == 404, "a draft is not public"
    foreign = [{"file": photo(world.distributor)}]
    assert_problem(quality.post(f"{base}/announcements", {**words, "pictures": foreign}), 404, "not_found")
    dropped = ok(quality.post(f"{base}/announcements", {**words, "keep": []}), 201)
    assert dropped["pictures"] == []
    again = [{"file": shown[0]["file"], "caption": "批号"}]
    ok(quality.post(f"{base}/announcements", {**words, "pictures": again}), 201)
    ok(owner.post(f"{base}/steps", {"action": "announce", "channel": "本系统"}))
    (public,) = ok(Api().get("/public/recalls"))["items"]
    assert [one["caption"] for one in public["pictures"]] == ["批号"]
    assert ok(Api().get(f"/public/recalls/{campaign.uid}"))["pictures"] == public["pictures"]
    found = owner.client.get(f"/recalls/{public['pictures'][0]['url'].partition('/recalls/')[2]}")
    data = b"".join(found.streaming_content)  # type: ignore[attr-defined]
    assert hashlib.sha256(data).hexdigest() == picture["sha256"]


def tipping(world: World) -> Campaign:
    """A consumer product's recall, being assessed."""
    make_product(world.walnuts.organisation, track="consumer_product")
    finding = FINDING.__class__(**{**FINDING.__dict__, "level": None, "hazard": "tip_over"})
    return assess(
        by=world.walnuts_quality,
        organisation=world.walnuts.organisation,
        track="consumer_product",
        title="示例柜子倾倒",
        knew_at=KNEW,
        finding=finding,
    )


def test_an_objection_from_the_notice_to_its_answer_and_limits_that_move(world: World) -> None:
    campaign = tipping(world)
    base = f"/campaigns/{campaign.uid}"
    quality, owner = person(world.walnuts_quality), person(world.walnuts)
    province, stranger = person(world.province_approver), person(world.distributor)
    served = photo(world.province_approver)
    act = {"kind": "notify_recall", "number": "晋示例召〔2026〕1号", "content": "请召回。", "file": served}
    made = ok(province.post(f"{base}/acts", {**act, "served_at": timezone.now().isoformat()}), 201)
    assert made["file_sha256"]
    copy = owner.get(f"{base}/acts/{made['uid']}/file")
    assert b"".join(copy.streaming_content)  # type: ignore[attr-defined]
    assert copy["Content-Type"] == "image/jpeg"
    assert_problem(stranger.get(f"{base}/acts/{made['uid']}/file"), 404, "not_found")
    assert ok(quality.get(f"{base}/objections"))["pending"] is False
    key = str(uuid.uuid4())
    said = ok(quality.post(f"{base}/objections", {"reason": "示例：附墙件随货"}, key=key), 201)
    assert (said["pending"], said["finding"]) == (True, None)
    assert ok(quality.post(f"{base}/objections", {"reason": "示例：附墙件随货"}, key=key), 201) == said
    assert_problem(quality.post(f"{base}/objections", {"reason": "再说一遍"}), 409, "window_over")
    assert_problem(stranger.post(f"{base}/objections", {"reason": "示例"}), 404, "not_found")
    finding = {
        "kind": "defect_found",
        "number": "晋示例认〔2026〕1号",
        "content": "存在缺陷。",
        "served_at": timezone.now().isoformat(),
    }
    ok(province.post(f"{base}/acts", finding), 201)
    ended = ok(quality.get(f"{base}/objections"))
    assert (ended["pending"], ended["finding"]["kind"]) == (False, "defect_found")
    # The report of the defect.
    report = {"reported_at": timezone.now().isoformat(), "words": "已书面报告省局", "number": "示例受理1"}
    assert_problem(stranger.post(f"{base}/defect-report", report), 404, "not_found")
    assert_problem(province.post(f"{base}/defect-report", report), 404, "not_found")
    assert_problem(quality.post(f"{base}/defect-report", {**report, "words": ""}), 422, "required")
    key = str(uuid.uuid4())
    assert ok(quality.post(f"{base}/defect-report", report, key=key), 201)["document"] == "示例受理1"
    ok(quality.post(f"{base}/defect-report", report, key=key), 201)
    assert_problem(quality.post(f"{base}/defect-report", report), 409, "reported_before")
    limits = {one["rule"].rpartition(".")[2]: one for one in ok(owner.get(f"{base}/limits"))}
    assert any("incident_report" in rule and one["met_at"] for rule, one in limits.items())
    assert all(one["moves"] == [] for one in limits.values())
    (plan,) = [one for rule, one in limits.items() if "plan" in rule]
    # Every day until the plan is due becomes a holiday: it moves, and the old time stays.
    first, last = timezone.localdate(), timezone.localdate() + datetime.timedelta(days=90)
    days = [first + datetime.timedelta(days=n) for n in range((last - first).days)]
    load_notice(by=world.county_approver, text="\n".join(f"{one},0" for one in days), source="示例通知")
    (moved,) = [one for one in ok(owner.get(f"{base}/limits")) if "plan" in one["rule"]]
    assert moved["due_at"] > plan["due_at"]
    assert [one["old_due_at"] for one in moved["moves"]] == [plan["due_at"]]
    assert_problem(stranger.get(f"{base}/limits"), 404, "not_found")
    assert_problem(Api().get(f"{base}/limits"), 401, "not_signed_in")
    assert RegulatorAct.objects.count() == 2


def test_the_times_the_ladder_waits_have_a_history(world: World) -> None:
    boss, firm = person(world.county_approver), person(world.walnuts)
    assert ok(boss.get("/waiting-times/history"))["items"] == []
    times = {"level": 1, "resend": 60, "telephone": 90, "regulator": 120}
    for number, reason in enumerate(("示例：节日", "示例：节后")):
        ok(boss.post("/waiting-times", {**times, "resend": 30 + number, "reason": reason}), 201)
    rows = ok(person(world.county).get("/waiting-times/history"))["items"]
    assert [(one["resend"], one["reason"]) for one in rows] == [(31, "示例：节后"), (30, "示例：节日")]
    assert rows[0]["by_organisation"]["name"] == world.county.organisation.name
    assert_problem(firm.get("/waiting-times/history"), 404, "not_found")
    assert_problem(Api().get("/waiting-times/history"), 401, "not_signed_in")
