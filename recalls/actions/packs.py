"""The closure pack (结案卷宗): ordered by a person, made by the worker, kept as one file with a hash for each part.

The file is written part by part: no more than one document and a thousand holders are held at a time, however many
there are. Killed at any step, the next worker makes what is missing; documents are whole or not there.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from recalls.actions.papers import as_page, keep_edition, last_editions, make_paper, note_copy, require_maker
from recalls.asked import outdated
from recalls.errors import PaperIncomplete
from recalls.models import (
    Campaign,
    DisposalFile,
    Figures,
    Notice,
    NoticePicture,
    PackOrder,
    Paper,
    PublicationProof,
    StockAnswer,
)
from recalls.paper_lines import subjects_of
from recalls.papers.draft import Draft, amounts_table, effect_fields, effect_of, moment, totals_of
from recalls.papers.printing import as_json, as_pdf
from recalls.papers.source import Source
from recalls.queries import step_words
from recalls.scope import latest_scope
from recalls.sight import Sight
from recalls.transitions import Status
from trace.access import later_actor
from trace.actions.files import keep_file, path_of
from trace.actor import Actor
from trace.errors import Clash, DomainError, NotFound
from trace.models import LogEntry, StoredFile
from trace.units import decimal_text

Kind = Paper.Kind
LEASE = datetime.timedelta(minutes=5)
"""Longer than the making of one part."""
ATTEMPTS = 3
LEDGER_MOST = 5_000
"""Entries of the log an excerpt holds."""
_AT_ONCE = 1_000


class TakenOver(Exception):
    """Another worker has the order now."""


@transaction.atomic
def order_pack(*, by: Actor, campaign: Campaign) -> PackOrder:
    """Order the closure pack (制作结案卷宗); one that is being made is given again: asking twice makes one.

    Refuses who may not make documents (``role_required``) and a campaign that is not closed (``not_closed``).
    """
    require_maker(by, campaign)
    if campaign.status != Status.CLOSED:
        raise Clash(_("结案之后才能制作结案卷宗。"), code="not_closed")
    open_ones = campaign.pack_orders.filter(status__in=[PackOrder.Status.WAITING, PackOrder.Status.WORKING])
    found = open_ones.first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            return PackOrder.objects.create(campaign=campaign, by=by.user, by_organisation=by.organisation)
    except IntegrityError:
        return open_ones.get()


def hand_out_pack(*, by: Actor, paper: Paper, at: datetime.datetime | None = None) -> tuple[Path, PackOrder]:
    """The ZIP file of a pack, the copy written down. Refuses one whose file was never made or is gone (``not_found``).
    The door to the document is the caller's.
    """
    order = paper.packs.filter(status=PackOrder.Status.READY).order_by("-id").first()
    if order is None or not path_of(order.sha256).exists():
        raise NotFound(_("卷宗文件不在了，请重新制作。"))
    note_copy(by=by, paper=paper, form="zip", sha256=order.sha256, at=at)
    return path_of(order.sha256), order


# --- The worker -----------------------------------------------------------------------------------------------------


def run_next_pack() -> bool:
    """Make one pack; False where none waits. Safe to kill at any point and to run several at once."""
    order = _claim()
    if order is None:
        return False
    try:
        with translation.override("zh-hans"):
            _make(order)
    except TakenOver:
        pass
    except DomainError as error:
        _end(order, status=PackOrder.Status.FAILED, problem=error.message[:300])
    return True


def _claim() -> PackOrder | None:
    """Take the oldest order that waits, or whose worker has not been heard of for a while."""
    now = timezone.now()
    free = Q(status=PackOrder.Status.WAITING) | Q(status=PackOrder.Status.WORKING, leased_until__lt=now)
    for order in PackOrder.objects.filter(free).order_by("id")[:5]:
        if order.attempts >= ATTEMPTS:
            PackOrder.objects.filter(free, pk=order.pk).update(
                status=PackOrder.Status.FAILED, problem=_("试了几次都没有做成，请联系系统运维。"), finished_at=now
            )
            continue
        taken = PackOrder.objects.filter(free, pk=order.pk).update(
            status=PackOrder.Status.WORKING,
            lease=uuid.uuid4(),
            leased_until=now + LEASE,
            attempts=F("attempts") + 1,
            done=0,
        )
        if taken:
            return PackOrder.objects.select_related(
                "campaign__organisation__division", "campaign__authority", "by", "by_organisation"
            ).get(pk=order.pk)
    return None


def _mine(order: PackOrder) -> Any:
    return PackOrder.objects.filter(pk=order.pk, lease=order.lease, status=PackOrder.Status.WORKING)


def _step(order: PackOrder, **values: Any) -> None:
    """One part is done: say so and keep the claim. Raises ``TakenOver`` where another worker has it."""
    if not _mine(order).update(leased_until=timezone.now() + LEASE, done=F("done") + 1, **values):
        raise TakenOver


def _end(order: PackOrder, **values: Any) -> None:
    _mine(order).update(lease=None, leased_until=None, finished_at=timezone.now(), **values)


def _make(order: PackOrder) -> None:
    """The documents that are missing, the list, the file."""
    campaign = order.campaign
    by = _orderer(order)
    require_maker(by, campaign)
    gaps: list[list[str]] = []
    kinds = [(kind, subject) for kind in _expected(campaign) for subject, _about in subjects_of(campaign, kind)]
    _step(order, total=len(kinds) + campaign.papers.exclude(kind=Kind.PACK).count() + 5)
    for kind, subject in kinds:
        try:
            make_paper(by=by, campaign=campaign, kind=kind, subject=subject)
        except PaperIncomplete as refusal:
            gaps.append([str(Kind(kind).label), "；".join(refusal.missing)])
        _step(order)
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)
        paper, _new = keep_edition(_contents(campaign, gaps), by, timezone.now(), campaign=campaign, kind=Kind.PACK)
    same = paper.packs.filter(status=PackOrder.Status.READY).order_by("-id").first()
    if same is not None and path_of(same.sha256).exists():
        _end(order, status=PackOrder.Status.READY, paper=paper, sha256=same.sha256, size=same.size, done=F("total"))
        return
    folder = Path(settings.MEDIA_ROOT)
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    written = Path(tempfile.mkstemp(dir=folder, suffix=".pack")[1])
    try:
        write_pack(paper, written, lambda: _step(order))
        size = written.stat().st_size
        sha256 = keep_file(written)
    finally:
        with contextlib.suppress(FileNotFoundError):
            written.unlink()
    _end(order, status=PackOrder.Status.READY, paper=paper, sha256=sha256, size=size, done=F("total"))


def _orderer(order: PackOrder) -> Actor:
    """Who ordered it, with the role they have now; a key's order stands as it was given."""
    firm = order.by_organisation
    if order.by is None:
        return Actor(organisation=firm, user=None, role="officer" if firm.kind == "regulator" else "quality")
    return later_actor(order.by, firm, firm if firm.kind == "regulator" else order.campaign.organisation)


# --- The list of contents -------------------------------------------------------------------------------------------


def _expected(campaign: Campaign) -> list[str]:
    """The documents a closed campaign should have, in the order of its course."""
    kinds: list[str] = [Kind.STOP, Kind.PLAN]
    if any(subject for subject, _about in subjects_of(campaign, Kind.ORDER)):
        kinds.insert(0, Kind.ORDER)
    if not campaign.is_drill:
        kinds.append(Kind.ANNOUNCEMENT)
    if campaign.figures.filter(action="report_progress").exists():
        kinds.append(Kind.PROGRESS)
    if campaign.disposal_plans.exists():
        kinds.append(Kind.DISPOSAL_PLAN)
    if campaign.disposals.exists():
        kinds.append(Kind.DISPOSAL)
    kinds.append(Kind.SUMMARY)
    if any(rule.key == "report" for rule in Source(campaign).law.clocks) and not campaign.is_drill:
        kinds.append(Kind.FIVE_DAY)
    if campaign.is_drill:
        kinds.append(Kind.DRILL)
    return kinds


def _contents(campaign: Campaign, gaps: list[list[str]]) -> Draft:
    source = Source(campaign)
    draft = Draft("召回结案卷宗目录", source.number, source.to)
    source.recall_fields(draft)
    kept = Figures.objects.filter(campaign=campaign, action=Status.CLOSED).order_by("-id").first()
    if kept is not None:
        amounts_table(draft, "结案时的数量", totals_of(kept.data), effect_of(kept.data))
        effect_fields(draft, effect_of(kept.data), "结案时的召回效果")
    papers = last_editions(campaign)
    draft.table(
        "文书",
        ["文书", "编号", "版次", "内容 SHA-256"],
        [[one.title, one.number, f"{one.edition}", one.sha256] for one in papers],
    )
    draft.table("未能制作的文书", ["文书", "缺少的内容"], gaps)
    steps = campaign.steps.exclude(action="paper").select_related("by_organisation").order_by("id")
    draft.table(
        "经过",
        ["时间", "步骤", "单位", "文书编号"],
        [[moment(one.at), step_words(one), one.by_organisation.name, one.document] for one in steps],
    )
    entries = _ledger(campaign)
    draft.table(
        "追溯日志摘录",
        ["日志号", "事件时间", "SHA-256"],
        [[str(n), moment(when), sha] for n, when, sha, _bytes in entries],
    )
    files = _files(campaign)
    draft.table(
        "照片和附件",
        ["内容", "时间", "SHA-256"],
        [[what, moment(at), sha if path_of(sha).exists() else f"{sha}（文件不在了）"] for what, at, sha, _end in files],
    )
    draft.refers = {
        "files": [{"name": f"files/{sha}{end}", "sha256": sha} for sha, end in {one[2:]: None for one in files}],
        "papers": [{"uid": str(one.uid), "kind": one.kind, "sha256": one.sha256} for one in papers],
        "ledger": [{"number": n, "sha256": sha} for n, _when, sha, _bytes in entries],
    }
    return draft


def _files(campaign: Campaign) -> list[tuple[str, datetime.datetime, str, str]]:
    """The photographs and certificates of destructions, the pictures of announcements that were published, and what
    shows where these stood: of what, when, hash, and how the file's name ends.
    """
    disposed = DisposalFile.objects.filter(
        disposal__campaign=campaign, disposal__event__corrections__isnull=True
    ).select_related("file", "disposal__lot")
    shown = NoticePicture.objects.filter(notice__campaign=campaign, notice__publication__isnull=False)
    proofs = PublicationProof.objects.filter(publication__notice__campaign=campaign, file__isnull=False)
    rows: list[tuple[str, datetime.datetime, StoredFile]] = []
    rows += [(f"销毁（处理）：{one.disposal.lot.code}", one.disposal.at, one.file) for one in disposed.order_by("id")]
    for picture in shown.select_related("file").order_by("id"):
        rows.append((f"公告图片：{picture.caption}".rstrip("："), picture.file.created_at, picture.file))
    for proof in proofs.select_related("file").order_by("id"):
        if proof.file is not None:
            rows.append((f"发布凭证：{proof.site}", proof.seen_at, proof.file))
    ends = {"image/jpeg": ".jpg", "application/pdf": ".pdf"}
    return [(what, at, file.sha256, ends.get(file.media_type, "")) for what, at, file in rows]


def _ledger(campaign: Campaign) -> list[tuple[int, datetime.datetime, str, bytes]]:
    """The entries of the log in which recalled goods came back or were destroyed: number, time, hash, bytes."""
    events = {*campaign.returns.values_list("event", flat=True), *campaign.disposals.values_list("event", flat=True)}
    rows = LogEntry.objects.filter(event__in=sorted(events)).order_by("number")
    return [
        (number, when, sha, bytes(canonical))
        for number, when, sha, canonical in rows.values_list("number", "event__occurred_at", "sha256", "canonical")[
            :LEDGER_MOST
        ]
    ]


# --- The file -------------------------------------------------------------------------------------------------------


def write_pack(paper: Paper, where: Path, step: Callable[[], None]) -> None:
    """The pack as ZIP: the list, each document as PDF, page and data, the photographs and certificates, the steps, the
    holders with their answers, the log's bytes, and SHA256SUMS over all of them. ``step`` is called after each part.
    """
    campaign = paper.campaign
    if campaign is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    uids = [str(paper.uid), *(one["uid"] for one in paper.data["refers"]["papers"])]
    sums: dict[str, str] = {}
    with zipfile.ZipFile(where, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, parts: Iterable[bytes]) -> None:
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            digest = hashlib.sha256()
            with archive.open(entry, "w", force_zip64=True) as out:
                for part in parts:
                    digest.update(part)
                    out.write(part)
            sums[name] = digest.hexdigest()

        for number, uid in enumerate(uids):
            one = Paper.objects.select_related("people", "by_organisation").get(uid=uid)
            name = f"{number:02d}-{one.kind}-{one.edition}"
            add(f"{name}.pdf", [as_pdf(one)])
            add(f"{name}.html", [as_page(one)])
            add(f"{name}.json", [as_json(one)])
            step()
        for kept in paper.data["refers"].get("files", []):
            if path_of(kept["sha256"]).exists():
                add(kept["name"], _read(path_of(kept["sha256"])))
        step()
        add("steps.json", [_steps(campaign, paper.at)])
        add("holders.jsonl", _holders(campaign))
        step()
        listed = {one["number"] for one in paper.data["refers"]["ledger"]}
        add("ledger.jsonl", (raw + b"\n" for number, _when, _sha, raw in _ledger(campaign) if number in listed))
        step()
        lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(sums.items()))
        add("SHA256SUMS", [lines.encode()])


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as content:
        while part := content.read(1 << 16):
            yield part


def _holders(campaign: Campaign) -> Iterator[bytes]:
    """A line for each notice: to whom, as the initiator may know it, how far it came, the answer that counts."""
    sight = Sight(Actor(organisation=campaign.organisation, user=None, role="quality"), campaign)
    rows = Notice.objects.filter(campaign=campaign).select_related("organisation__division").order_by("id")
    version = latest_scope(campaign)
    gone_by = outdated(campaign, version) if version is not None else set()
    last = 0
    while chunk := list(rows.filter(pk__gt=last)[:_AT_ONCE]):
        last = chunk[-1].pk
        answers: dict[int, dict[str, dict[str, str]]] = {}
        for said in (
            StockAnswer.objects.filter(notice__in=chunk, acknowledgement__set_aside__isnull=True)
            .select_related("lot")
            .order_by("id")
        ):
            if (said.notice_id, said.lot_id) in gone_by:
                continue
            answers.setdefault(said.notice_id, {})[str(said.lot.uid)] = {
                "on_hand": decimal_text(said.on_hand_micros),
                "sealed": decimal_text(said.sealed_micros),
                "sold": decimal_text(said.sold_micros),
                "unknown": decimal_text(said.unknown_micros),
            }
        for one in chunk:
            line = {
                "notice": str(one.uid),
                "tier": one.tier,
                "holder": sight.holder(one.organisation).label,
                "region": one.organisation.division_id,
                "status": one.status,
                "sent_at": _iso(one.sent_at),
                "acknowledged_at": _iso(one.acknowledged_at),
                "answered_at": _iso(one.answered_at),
                "answers": answers.get(one.pk, {}),
            }
            yield json.dumps(line, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def _iso(at: datetime.datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


def _steps(campaign: Campaign, until: datetime.datetime) -> bytes:
    """The campaign's own history up to the making of the pack, by organisation, no people."""
    rows: list[dict[str, Any]] = [
        {
            "at": one.at.isoformat(),
            "action": one.action,
            "about": one.about,
            "old": one.old,
            "new": one.new,
            "organisation": one.by_organisation.name,
            "reason": one.reason,
            "document": one.document,
            "data": one.data,
        }
        for one in campaign.steps.filter(at__lte=until).select_related("by_organisation").order_by("id")
    ]
    facts = [
        {"event": one.event, "happened_at": one.happened_at.isoformat(), "recorded_at": one.recorded_at.isoformat()}
        for one in campaign.facts.filter(recorded_at__lte=until).order_by("id")
    ]
    return json.dumps({"steps": rows, "facts": facts}, ensure_ascii=False, indent=1, sort_keys=True).encode()
