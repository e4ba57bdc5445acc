"""By API: documents and their copies, the closure pack, acts, objections, channels, checks, readiness, tree, cases."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any, get_args

import pytest
from django.utils import timezone

from recalls.access import notice_link
from recalls.actions.acts import BESIDE
from recalls.actions.answers import acknowledge_by_link
from recalls.actions.campaigns import close
from recalls.actions.cases import Told, file_claim
from recalls.actions.packs import run_next_pack
from recalls.actions.papers import BUILDERS
from recalls.api.acts import ActIn
from recalls.api.papers import PaperIn
from recalls.models import CheckResult, PackOrder, Paper, PaperDownload, PublicationProof, RegulatorAct
from tests.recalls.story import Chain, announced, notice_to, summarised
from tests.trace.api_client import Api, assert_problem, body, person


def ok(found: Any, status: int = 200) -> Any:
    """The body of an answer that went well."""
    assert found.status_code == status, found.content.decode()
    return body(found)


def test_documents_and_the_closure_pack(chain: Chain) -> None:
    world = chain.world
    campaign = summarised(chain)
    owner, county, stranger = person(world.walnuts), person(world.county), person(world.distributor)
    base = f"/campaigns/{campaign.uid}"
    lines = {one["kind"]: one for one in ok(owner.get(f"{base}/papers"))}
    assert set(lines) == set(BUILDERS) - {"notice", "drill"}
    assert (lines["stop"]["missing"], lines["stop"]["last"]) == ([], None)
    assert lines["plan"]["missing"], "no plan was filed"
    stop = ok(owner.post(f"{base}/papers", {"kind": "stop"}), 201)
    assert ok(county.post(f"{base}/papers", {"kind": "stop"}), 201)["uid"] == stop["uid"], "nothing changed: once"
    assert_problem(owner.post(f"{base}/papers", {"kind": "plan"}), 422, "paper_incomplete")
    assert_problem(owner.post(f"{base}/papers", {"kind": "pack"}), 422, "unknown_choice")
    assert_problem(owner.post(f"{base}/papers", {"kind": "order", "subject": "x"}), 404, "not_found")
    assert_problem(stranger.get(f"{base}/papers"), 404, "not_found")
    assert_problem(stranger.post(f"{base}/papers", {"kind": "stop"}), 404, "not_found")
    assert_problem(Api().get(f"{base}/papers"), 401, "not_signed_in")
    assert ok(county.get(f"/papers/{stop['uid']}"))["data"]["title"] == "停止生产经营通知"
    assert_problem(stranger.get(f"/papers/{stop['uid']}"), 404, "not_found")
    for form, begin in (("pdf", b"%PDF"), ("html", b"<!doctype html>"), ("json", b"{")):
        copy = owner.get(f"/papers/{stop['uid']}/copy?form={form}")
        assert copy.status_code == 200
        assert copy.content.lower().lstrip().startswith(begin.lower()), form
    assert PaperDownload.objects.count() == 2, "PDF and JSON are written down"
    assert_problem(owner.get(f"/papers/{stop['uid']}/copy?form=zip"), 404, "not_found")
    assert_problem(owner.get(f"/papers/{stop['uid']}/copy?form=exe"), 422, "unknown_choice")
    # The notice to one holder is a document for the issuer and for the holder itself.
    notice = notice_to(campaign, world.distributor.organisation)
    letter = ok(owner.post(f"{base}/papers", {"kind": "notice", "subject": str(notice.uid)}), 201)
    assert ok(stranger.get(f"/papers/{letter['uid']}"))["kind"] == "notice"
    # The pack.
    assert_problem(owner.post(f"{base}/packs", {}), 409, "not_closed")
    close(by=world.county_approver, campaign=campaign)
    assert_problem(stranger.post(f"{base}/packs", {}), 404, "not_found")
    assert ok(owner.post(f"{base}/packs", {}), 201)["status"] == "waiting"
    ok(county.post(f"{base}/packs", {}), 201)
    assert PackOrder.objects.count() == 1
    assert run_next_pack()
    (pack,) = ok(owner.get(f"{base}/packs"))
    assert (pack["status"], pack["done"]) == ("ready", pack["total"])
    copy = owner.get(f"/papers/{pack['paper']}/copy?form=zip")
    data = b"".join(copy.streaming_content)  # type: ignore[attr-defined]
    assert hashlib.sha256(data).hexdigest() == pack["sha256"]
    assert "SHA256SUMS" in zipfile.ZipFile(io.BytesIO(data)).namelist()
    assert_problem(stranger.get(f"/papers/{pack['paper']}/copy?form=zip"), 404, "not_found")


@pytest.mark.once
def test_the_kinds_by_api_are_those_of_the_program() -> None:
    assert set(get_args(ActIn.model_fields["kind"].annotation)) == {kind.value for kind in BESIDE}
    assert set(get_args(PaperIn.model_fields["kind"].annotation)) == set(BUILDERS)


def test_acts_objections_and_channels(chain: Chain) -> None:
    world = chain.world
    campaign = announced(chain)
    base = f"/campaigns/{campaign.uid}"
    owner, officer, approver = person(world.walnuts), person(world.county), person(world.county_approver)
    stranger = person(world.distributor)
    act = {
        "kind": "inspection",
        "number": "汾示例检〔2026〕7号",
        "served_at": timezone.now().isoformat(),
        "content": "现场检查封存情况。",
    }
    made = ok(officer.post(f"{base}/acts", act), 201)
    assert made["legal_basis"].startswith("《食品召回管理办法")
    assert ok(officer.post(f"{base}/acts", act), 201)["uid"] == made["uid"], "the same act once"
    assert RegulatorAct.objects.count() == 1
    assert_problem(officer.post(f"{base}/acts", {**act, "content": "别的"}), 409, "number_used")
    interview = {**act, "kind": "interview", "number": "汾示例约〔2026〕1号"}
    assert_problem(officer.post(f"{base}/acts", interview), 403, "role_required")
    ok(approver.post(f"{base}/acts", interview), 201)
    assert_problem(owner.post(f"{base}/acts", interview), 403, "role_required")
    assert_problem(stranger.get(f"{base}/acts"), 404, "not_found")
    assert [one["kind"] for one in ok(owner.get(f"{base}/acts"))] == ["interview", "inspection"]
    assert_problem(owner.get(f"{base}/acts/{made['uid']}/file"), 404, "not_found")
    far = {**act, "number": "X", "served_at": "2099-01-01T00:00:00+08:00"}
    assert_problem(officer.post(f"{base}/acts", far), 422, "in_future")
    # No notice to recall was served: nothing to object to.
    none: dict[str, Any] = {"due_at": None, "objected_at": None, "objections": [], "pending": False, "finding": None}
    assert ok(owner.get(f"{base}/objections")) == none
    assert_problem(owner.post(f"{base}/objections", {"reason": "复检合格"}), 409, "no_notice")
    assert_problem(officer.post(f"{base}/objections", {"reason": "复检合格"}), 403, "role_required")
    # Where the announcement stands.
    found = ok(owner.get(f"{base}/channels"))
    assert found["provinces"]
    needed = [one["key"] for one in found["sites"] if one["needed"]]
    proof = {"site": needed[0], "url": "https://example.com/1", "seen_at": timezone.now().isoformat()}
    shown = ok(owner.post(f"{base}/channels", proof), 201)
    assert shown["publications"][0]["proofs"][0]["url"] == "https://example.com/1"
    assert_problem(owner.post(f"{base}/channels", {**proof, "url": "javascript:1"}), 422, "url_wrong")
    assert_problem(owner.post(f"{base}/channels", {**proof, "site": "moon"}), 422, "unknown_choice")
    assert_problem(stranger.post(f"{base}/channels", proof), 404, "not_found")
    assert PublicationProof.objects.count() == 1


def test_checks_readiness_tree_and_answers(chain: Chain) -> None:
    world = chain.world
    campaign = announced(chain)
    base = f"/campaigns/{campaign.uid}"
    owner, officer, stranger = person(world.walnuts), person(world.county), person(world.distributor)
    assert_problem(owner.post(f"{base}/checks", {"level": "A"}), 403, "independent_checker_required")
    assert_problem(officer.post(f"{base}/checks", {"level": "B"}), 422, "percent_required")
    assert_problem(stranger.get(f"{base}/checks"), 404, "not_found")
    (drawn,) = ok(officer.post(f"{base}/checks", {"level": "A", "seed": "07 12 23"}), 201)
    assert (drawn["seed"], drawn["size"], len(drawn["samples"])) == ("07 12 23", drawn["population"], drawn["size"])
    name = drawn["samples"][0]["name"]
    result = {"method": "phone", "outcome": "effective", "words": "示例：已封存"}
    assert ok(officer.post(f"{base}/checks/{name}/results", result), 201)["outcome"] == "effective"
    assert_problem(officer.post(f"{base}/checks/9-9/results", result), 404, "not_found")
    assert_problem(officer.post(f"{base}/checks/{name}/results", {**result, "method": "dream"}), 422, "unknown_choice")
    assert CheckResult.objects.count() == 1
    # Readiness: one's own, or the territory's.
    (mine,) = ok(owner.get("/readiness"))
    assert (mine["state"], bool(mine["reasons"])) == ("danger", True)
    assert len(ok(officer.get("/readiness"))) > 1
    assert_problem(Api().get("/readiness"), 401, "not_signed_in")
    quality = person(world.walnuts_quality)
    drill = ok(quality.post("/drills", {}), 201)["uid"]
    assert ok(quality.get(f"/drills/{drill}"))["uid"] == drill
    assert_problem(person(world.distillery_quality).get(f"/drills/{drill}"), 404, "not_found")
    gap = {"gap": "示例差距", "action": "补登记", "responsible": "销售", "due_on": "2099-01-01"}
    ok(quality.post(f"/drills/{drill}/gaps", gap), 201)
    (row,) = ok(quality.get(f"/drills/{drill}/gaps"))
    assert ok(quality.post(f"/drills/{drill}/gaps/{row['uid']}/done", {"words": "已补"}))[0]["done_words"] == "已补"
    assert_problem(quality.post(f"/drills/{drill}/gaps/{row['uid']}/done", {"words": "已补"}), 409, "stale_state")
    assert ok(quality.post(f"/drills/{drill}/contact-tests", {}), 201)["confirmed"] == 0
    ok(quality.post(f"/drills/{drill}/traces", {}), 201)
    assert_problem(quality.post(f"/drills/{drill}/report", {}), 422, "paper_incomplete")
    ok(quality.post(f"/drills/{drill}/end", {"summary": "时限内查清"}), 201)
    report = ok(quality.post(f"/drills/{drill}/report", {}), 201)
    assert report["is_drill"]
    assert Paper.objects.get(uid=report["uid"]).drill is not None
    # The tree, and an answer that was not the recipient's own.
    notice = notice_to(campaign, world.distributor.organisation)
    tree = ok(owner.get(f"{base}/tree"))["items"]
    assert {one["parent"] for one in tree} == {None}
    assert ok(owner.get(f"{base}/tiers"))[0]["notices"] == len(tree)
    acknowledge_by_link(token=notice_link(notice), name="示例路人")
    answers = f"{base}/notices/{notice.uid}/answers"
    (given,) = ok(owner.get(answers))
    assert given["name"] == "示例路人"
    assert_problem(stranger.get(answers), 404, "not_found")
    judged = ok(owner.post(answers, {"answer": given["uid"], "reason": "电话核实不是本人"}))
    assert judged[0]["set_aside_at"]
    assert_problem(owner.post(answers, {"answer": given["uid"], "reason": "再来一次"}), 409, "stale_state")


def test_a_claim_is_answered_by_api(chain: Chain) -> None:
    world = chain.world
    campaign = announced(chain)
    said = Told(words="示例：家里有两袋", contact="13900000001", consent=True)
    code = chain.pouch_a.public_code
    case = file_claim(campaign=campaign, code=code, remedy="refund", pieces=2, told=said, nonce="n" * 32)
    owner, county, stranger = person(world.walnuts), person(world.county), person(world.distillery)
    (row,) = ok(owner.get("/cases?which=open&kind=claim"))["items"]
    assert (row["uid"], row["words"], row["contact"]) == (str(case.uid), "", ""), "words stand with the one case"
    assert ok(stranger.get("/cases"))["items"] == []
    assert ok(owner.get(f"/cases/{case.uid}"))["contact"] == "", "the consumer did not agree to that"
    assert ok(county.get(f"/cases/{case.uid}"))["contact"] == "13900000001"
    steps = f"/cases/{case.uid}/steps"
    assert_problem(stranger.post(steps, {"action": "accept"}), 404, "not_found")
    assert_problem(Api().get("/cases"), 401, "not_signed_in")
    assert_problem(owner.post(steps, {"action": "reply", "words": ""}), 422, "words_required")
    ok(owner.post(steps, {"action": "accept", "words": "请到店退货"}))
    assert_problem(owner.post(steps, {"action": "settle", "payer": "producer"}), 422, "amount_required")
    paid = {"action": "settle", "payer": "producer", "paid_cents": 3980, "words": "已退款"}
    assert ok(owner.post(steps, paid))["status"] == "settled"
    assert owner.post(steps, paid).status_code == 409
