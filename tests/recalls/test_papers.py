"""Documents of a recall: complete or refused by name, frozen, the same on page and paper, watermarked in drills."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import pypdfium2
import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from recalls.actions import packs
from recalls.actions.campaigns import close, file_plan, order, propose, report_progress
from recalls.actions.disposal import report_disposal
from recalls.actions.drills import finish_drill, start_drill, trace_drill
from recalls.actions.packs import hand_out_pack, order_pack, run_next_pack
from recalls.actions.papers import as_page, draft_paper, make_drill_report, make_paper
from recalls.errors import PaperIncomplete
from recalls.models import Campaign, DisposalFile, PackOrder, Paper, PaperDownload
from recalls.papers.printing import as_pdf, is_whole, words_of
from tests.goods import day
from tests.recalls.story import Chain, announced, notice_to, scoped, started, summarised
from tests.world import sign_in
from trace import paper as sheets
from trace.actions.files import path_of, store_file
from trace.errors import DomainError
from trace.models import Lot
from trace.personal import forget
from trace.units import MICROS

PLAN = {key: f"示例{key}" for key in ("producer", "food", "reason", "level", "notice", "duties", "disposal", "effect")}


def shown(pdf: bytes) -> str:
    """The words of a PDF, page after page, without breaks."""
    pages = pypdfium2.PdfDocument(pdf)
    return "".join(page.get_textpage().get_text_bounded() for page in pages).replace("\r\n", "").replace("\n", "")


def keep(name: str, paper: Paper) -> None:
    """Where a person wants to look at the pages, write them there."""
    where = os.environ.get("PAPERS_OUT")
    if where:
        Path(where, f"{name}.pdf").write_bytes(as_pdf(paper))


def refused(what: object, code: str) -> DomainError:
    assert callable(what)
    with pytest.raises(DomainError) as caught:
        what()
    assert caught.value.code == code
    return caught.value


def with_extension(chain: Chain) -> Campaign:
    """Announced, the plan filed, an extension asked for."""
    campaign = announced(chain)
    campaign = file_plan(by=chain.world.walnuts, campaign=campaign, items=PLAN)
    propose(
        by=chain.world.walnuts,
        campaign=campaign,
        action="grant_extension",
        reason="持有单位分散，路途较远",
        until=day(90).at.date(),
    )
    return campaign


def test_each_document_names_what_it_lacks_and_is_made_once_it_is_there(chain: Chain) -> None:
    world = chain.world
    by = world.walnuts
    campaign = started(chain)
    for kind, word in (
        ("plan", "已报送的召回计划"),
        ("announcement", "起草的召回公告"),
        ("notice", "收件单位"),
        ("progress", "进展报告"),
        ("summary", "召回总结"),
        ("five_day", "处理完成"),
        ("extension", "申请延长到"),
        ("disposal_plan", "登记的销毁预报告"),
        ("disposal", "已登记的销毁"),
        ("order", "已登记的责令召回决定"),
        ("drill", "这不是演练"),
    ):
        error = refused(lambda kind=kind: make_paper(by=by, campaign=campaign, kind=kind), "paper_incomplete")
        assert isinstance(error, PaperIncomplete)
        assert word in "".join(error.missing), kind
        assert word in error.message
    assert not Paper.objects.exists()
    refused(lambda: make_paper(by=by, campaign=campaign, kind="pack"), "unknown_choice")
    refused(lambda: make_paper(by=by, campaign=campaign, kind="love_letter"), "unknown_choice")
    refused(lambda: make_paper(by=world.distributor, campaign=campaign, kind="stop"), "role_required")
    stop = make_paper(by=by, campaign=campaign, kind="stop")
    assert (stop.edition, stop.is_drill) == (1, False)
    assert make_paper(by=world.walnuts_quality, campaign=campaign, kind="stop") == stop, "nothing changed"
    file_plan(by=by, campaign=campaign, items=PLAN)
    first = make_paper(by=by, campaign=campaign, kind="plan")
    assert campaign.steps.filter(action="paper").count() == 2
    assert "示例effect" in shown(as_pdf(first))


def test_the_documents_of_a_whole_campaign_say_the_same_on_page_and_paper(chain: Chain) -> None:
    world = chain.world
    by = world.walnuts
    campaign = with_extension(chain)
    report_disposal(
        by=by,
        campaign=campaign,
        lines=[(Lot.objects.get(pk=chain.pouch_a.pk), 5 * MICROS)],
        planned_at=timezone.now() + datetime.timedelta(days=100),
        place="示例无害化处理厂",
        method="destroy",
    )
    report_progress(by=by, campaign=campaign, text="已通知全部单位，两家已退回。")
    holder = notice_to(campaign, world.distributor.organisation)
    papers = {
        kind: make_paper(by=by, campaign=campaign, kind=kind)
        for kind in ("plan", "announcement", "stop", "progress", "extension", "disposal_plan")
    }
    papers["notice"] = make_paper(by=by, campaign=campaign, kind="notice", subject=str(holder.uid))
    for kind, paper in papers.items():
        keep(kind, paper)
        pdf = as_pdf(paper)
        assert pdf == as_pdf(paper), "the same bytes for the same data"
        assert b"FontFile2" in pdf, "the typeface is embedded"
        words, page = shown(pdf).replace(" ", ""), as_page(paper).decode()
        for block in words_of(paper).blocks:
            for cell in [block.title, *block.head, *(cell for row in block.rows for cell in row)]:
                for line in cell.split("\n"):
                    assert "".join(line.split()) in words, (kind, line)
                    assert line.strip() in page, (kind, line)
        assert is_whole(paper)
        assert "演练" not in words
        assert paper.sha256[:32] in words
    assert "示例法人" not in json.dumps(papers["announcement"].data, ensure_ascii=False), "names stand apart"
    assert "示例法人" in shown(as_pdf(papers["announcement"]))
    assert papers["announcement"].people is not None
    forget(papers["announcement"].people)
    later = Paper.objects.get(pk=papers["announcement"].pk)
    assert "姓名已删除" in shown(as_pdf(later))
    assert "示例法人" not in shown(as_pdf(later))
    assert is_whole(later)
    assert "/recalls/notice/" in shown(as_pdf(papers["notice"])).replace(" ", "")
    assert "/recalls/notice/" not in json.dumps(papers["notice"].data), "a key is not frozen"


def picture(colour: str) -> io.BytesIO:
    """A small photograph."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, "PNG")
    return io.BytesIO(out.getvalue())


def killed(*_args: object) -> bytes:
    raise KeyboardInterrupt


def test_a_closed_campaign_has_a_pack_whose_hashes_hold(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = summarised(chain)
    for kind in ("summary", "five_day", "disposal"):
        keep(kind, make_paper(by=chain.world.walnuts, campaign=campaign, kind=kind))
    refused(lambda: order_pack(by=chain.world.walnuts, campaign=campaign), "not_closed")
    photograph, gone = (
        store_file(by=chain.world.walnuts, name="示例.png", content=picture(shade)) for shade in ("navy", "olive")
    )
    for file in (photograph, gone):
        DisposalFile.objects.create(disposal=campaign.disposals.get(), file=file, sha256=file.sha256)
    campaign = close(by=chain.world.county_approver, campaign=campaign)
    path_of(gone.sha256).unlink()
    refused(lambda: order_pack(by=chain.world.distributor, campaign=campaign), "role_required")
    order = order_pack(by=chain.world.county, campaign=campaign)
    assert order_pack(by=chain.world.walnuts, campaign=campaign) == order, "one at a time"
    # A worker is killed in the middle: when its claim has run out, the next goes on with what is missing.
    with monkeypatch.context() as broken:
        broken.setattr(packs, "as_pdf", killed)
        with pytest.raises(KeyboardInterrupt):
            run_next_pack()
    assert not run_next_pack(), "the claim still runs"
    made = Paper.objects.count()
    PackOrder.objects.update(leased_until=day(30).at)
    assert run_next_pack()
    assert not run_next_pack()
    assert Paper.objects.count() == made, "no document twice"
    order.refresh_from_db()
    assert (order.status, order.done, order.attempts) == ("ready", order.total, 2)
    pack = order.paper
    assert pack is not None
    keep("pack", pack)
    assert not list(Path(settings.MEDIA_ROOT).glob("*.pack")), "nothing half made is left"
    path, same = hand_out_pack(by=chain.world.walnuts, paper=pack)
    assert same == order
    data = path.read_bytes()
    assert PaperDownload.objects.get().sha256 == hashlib.sha256(data).hexdigest() == order.sha256
    order_pack(by=chain.world.county, campaign=campaign)
    assert run_next_pack()
    again = PackOrder.objects.latest("id")
    assert (again.paper, again.sha256) == (pack, order.sha256), "nothing changed"
    archive = zipfile.ZipFile(io.BytesIO(data))
    sums: dict[str, str] = {}
    for line in archive.read("SHA256SUMS").decode().splitlines():
        sha256, _space, name = line.partition("  ")
        sums[name] = sha256
    assert set(sums) == set(archive.namelist()) - {"SHA256SUMS"}
    assert archive.read(f"files/{photograph.sha256}.jpg") == path_of(photograph.sha256).read_bytes()
    assert not any(gone.sha256 in name for name in archive.namelist())
    listed = next(block for block in pack.data["blocks"] if block["title"] == "照片和附件")
    assert [row[2] for row in listed["rows"]] == [photograph.sha256, f"{gone.sha256}（文件不在了）"]
    for name, expected in sums.items():
        assert hashlib.sha256(archive.read(name)).hexdigest() == expected
    kinds = {name.split("-")[1] for name in archive.namelist() if "-" in name}
    assert {"pack", "stop", "announcement", "disposal", "summary", "five_day"} <= kinds
    gaps = next(block for block in pack.data["blocks"] if block["title"] == "未能制作的文书")
    assert gaps["rows"][0] == ["召回计划", "；".join(draft_paper(campaign, "plan").missing)]
    leaves = archive.read("ledger.jsonl").decode().splitlines()
    assert [hashlib.sha256(leaf.encode()).hexdigest() for leaf in leaves] == [
        one["sha256"] for one in pack.data["refers"]["ledger"]
    ]
    assert len(leaves) == 2, "what came back and what was destroyed"
    holders = [json.loads(line) for line in archive.read("holders.jsonl").decode().splitlines()]
    assert len(holders) == campaign.notices.count()
    assert any(one["answers"] for one in holders)
    frozen = next(block for block in pack.data["blocks"] if block["title"] == "结案时的数量")
    assert {"召回率（收回／应召回）", "退回率（GB/T 40993）", "已查明率", "去向不明占比"} <= {
        row[0] for row in frozen["rows"]
    }


def test_an_order_is_served_as_an_act_and_as_a_document(chain: Chain) -> None:
    world = chain.world
    campaign = scoped(chain)
    campaign = order(
        by=world.county_approver,
        campaign=campaign,
        document="汾示例责召〔2026〕1号",
        served_at=day(31).at,
        reason="逾期未主动召回",
    )
    paper = make_paper(by=world.county, campaign=campaign, kind="order")
    keep("order", paper)
    words = shown(as_pdf(paper)).replace(" ", "")
    assert "责令召回通知书" in words
    assert "汾示例责召〔2026〕1号" in words
    assert "第六十三条" in words
    assert paper.subject == str(campaign.acts.get().uid)


def test_every_document_of_a_drill_is_watermarked_and_none_has_a_link(chain: Chain) -> None:
    by = chain.world.walnuts
    campaign = started(chain, is_drill=True)
    refused(lambda: make_paper(by=by, campaign=campaign, kind="announcement"), "paper_incomplete")
    file_plan(by=by, campaign=campaign, items=PLAN)
    report_progress(by=by, campaign=campaign, text="演练进展")
    campaign.refresh_from_db()
    holder = notice_to(campaign, chain.world.distributor.organisation)
    papers = [make_paper(by=by, campaign=campaign, kind=kind) for kind in ("plan", "stop", "progress", "drill")]
    papers.append(make_paper(by=by, campaign=campaign, kind="notice", subject=str(holder.uid)))
    exercise = start_drill(by=by, lot=chain.pouch_a)
    refused(lambda: make_drill_report(by=by, drill=exercise), "paper_incomplete")
    trace_drill(by=by, drill=exercise)
    exercise = finish_drill(by=by, drill=exercise, summary="时限内完成")
    papers.append(make_drill_report(by=by, drill=exercise))
    assert make_drill_report(by=by, drill=exercise) == papers[-1]
    for paper in papers:
        keep(f"drill-{paper.kind}-{paper.pk}", paper)
        assert paper.is_drill
        pages = pypdfium2.PdfDocument(as_pdf(paper))
        for page in pages:
            assert page.get_textpage().get_text_bounded().count("演练") >= 3, "every page"
        assert "paper-mark" in as_page(paper).decode()
        assert "/recalls/notice/" not in shown(as_pdf(paper)) + as_page(paper).decode()


def test_pages_of_documents_open_to_those_who_may(chain: Chain, client: Client) -> None:
    world = chain.world
    campaign = started(chain)
    at = reverse("recalls:campaign_papers", args=[campaign.uid])
    assert client.get(at).status_code in (302, 401)
    sign_in(client, world.distributor)
    assert client.get(at).status_code == 404
    sign_in(client, world.walnuts)
    body = client.get(at).content.decode()
    assert "停止生产经营通知" in body
    assert "缺少：" in body
    assert at in client.get(reverse("recalls:campaign", args=[campaign.uid])).content.decode()
    assert client.post(at, {"kind": "plan"}).status_code == 422
    assert client.post(at, {"kind": "\x00"}).status_code == 422
    assert client.post(at, {"kind": "order", "subject": "x"}).status_code == 404
    assert client.post(at, {"kind": "stop"}).status_code == 302
    assert client.post(at, {"kind": "stop"}).status_code == 302
    stop = Paper.objects.get()
    page = client.get(reverse("recalls:paper", args=[stop.uid]))
    assert page.status_code == 200
    assert stop.sha256 in page.content.decode()
    for form, kind in (("pdf", "application/pdf"), ("json", "application/json")):
        answer = client.get(reverse("recalls:paper_file", args=[stop.uid, form]))
        assert answer.status_code == 200
        assert answer["Content-Type"] == kind
    assert client.get(reverse("recalls:paper_file", args=[stop.uid, "zip"])).status_code == 404
    assert PaperDownload.objects.count() == 2
    assert "下载记录" in client.get(reverse("recalls:paper", args=[stop.uid])).content.decode()
    holder = notice_to(campaign, world.distributor.organisation)
    assert client.post(reverse("recalls:notice_paper", args=[holder.uid])).status_code == 302
    letter = Paper.objects.get(kind="notice")
    assert "回执" in client.get(reverse("recalls:paper", args=[letter.uid])).content.decode()
    sign_in(client, world.distributor)
    assert client.get(reverse("recalls:paper", args=[letter.uid])).status_code == 200, "its own notice"
    assert client.get(reverse("recalls:paper", args=[stop.uid])).status_code == 404
    assert client.get(reverse("recalls:paper_file", args=[stop.uid, "pdf"])).status_code == 404
    sign_in(client, world.shop)
    assert client.get(reverse("recalls:paper", args=[letter.uid])).status_code == 404
    sign_in(client, world.county)
    assert client.get(reverse("recalls:paper", args=[stop.uid])).status_code == 200
    refused(lambda: draft_paper(campaign, "nothing"), "unknown_choice")


@pytest.mark.once
def test_a_hash_breaks_into_equal_parts_and_dates_and_amounts_hold_together() -> None:
    digest = hashlib.sha256(b"sample").hexdigest()
    assert sheets.broken(digest, 20) == [digest[:32], digest[32:]]
    assert sheets.broken(f"示例：{digest}", 38) == ["示例：", digest]
    assert sheets.broken("共 1,674 个", 4.5) == ["共 ", "1,674 个"]
    assert sheets.broken("2026年11月29日 09:38", 8) == ["2026年11月29日 ", "09:38"]


@pytest.mark.once
def test_no_signature_and_no_heading_stands_alone_on_a_page() -> None:
    rows = tuple((f"项目{number}", "示例内容") for number in range(60))
    for count in range(1, 60):
        blocks = [
            sheets.Block("fields", "示例概况", rows=rows[:count]),
            sheets.Block("table", "示例表格", ("甲", "乙"), rows[: 1 + count % 2]),
            sheets.Block("sign", rows=(("汾阳示例单位",), ("（盖章）",), ("日期：____年__月__日",))),
        ]
        pages = pypdfium2.PdfDocument(sheets.render(sheets.Paper("示例文书", "示例-1", blocks)))
        words = [page.get_textpage().get_text_bounded() for page in pages]
        signed = next(text for text in words if "（盖章）" in text)
        assert "示例内容" in signed, count
        headed = next(text for text in words if "示例表格" in text)
        assert "项目0" in headed.partition("示例表格")[2], count
        assert sum(text.count("甲") for text in words) == sum("甲" in text and "示例内容" in text for text in words), (
            count
        )
