"""Files with the labels of a run: ordered by a person, made in parts by the worker, read back, then released.

A part is drawn, every code in it read by a decoder and one page of it as it is drawn, and kept under its SHA-256 before
its row is written; a worker that is killed leaves whole parts, and the next one goes on with the first that is missing.
The same codes give the same bytes.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from labels import qr
from labels.actions.checks import seed_of
from labels.actions.runs import (
    REASON_MAX,
    record_print,
    require_positions,
    require_reason_again,
    require_unblocked,
)
from labels.contents import contents, lot_content, uri_of
from labels.layouts import Layout
from labels.layouts import layout as layout_of
from labels.models import CodeRun, LabelFile, LabelFilePart
from labels.packet import packet
from labels.qr_runs import matrices
from labels.queries import printable_units
from labels.reading import first_unread, read_drawn
from labels.sheets import OFFSET_MAX_MM, LabelContent, page_count, render_sheet
from labels.zpl import render_zpl
from trace.access import entered_for, later_actor
from trace.actions.files import keep_bytes, path_of
from trace.actor import Actor
from trace.errors import Clash, DomainError, Invalid, NotAllowed
from trace.models import Unit
from trace.text import clean_text

Kind, Status = LabelFile.Kind, LabelFile.Status
LEASE = datetime.timedelta(minutes=5)
"""Longer than the making of one part."""
QUIET = datetime.timedelta(seconds=90)
"""A part takes seconds: a worker that gave no sign for so long seems to have stopped."""
ATTEMPTS = 3
PART_LABELS = {Kind.PDF: 10_000, Kind.ZPL: 10_000, Kind.PACKET: 100_000}
KEPT_DAYS = 30
_READ_AT_ONCE = 5_000


def order_file(
    *,
    by: Actor,
    run: CodeRun,
    key: str,
    kind: str,
    first: int,
    last: int,
    start: int = 1,
    crop_marks: bool = False,
    offset: tuple[float, float] = (0.0, 0.0),
    reason: str = "",
    with_checks: bool = False,
) -> LabelFile:
    """Order a file with the labels ``first`` to ``last`` (positions from 1) of a run, once per ``key``.

    Refuses what printing refuses (``lot_blocked``, ``lot_void``, ``run_void``, ``not_own``, ``bad_range``,
    ``reprint_reason_required``), an unknown kind (``unknown_choice``), a place that is not on the sheet
    (``bad_start``), an offset over 5 mm (``bad_offset``), ZPL for sheets (``zpl_needs_roll``), a key used for something
    else (``run_key_reused``). A packet has check codes in it only ``with_checks``; drawn labels always have them, and
    neither where the run's were destroyed (``checks_forgotten``).
    """
    by.require("operator", "quality")
    if run.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能打印本单位签发的标签。"), code="not_own")
    if kind not in Kind.values:
        raise Invalid(_("请选择文件种类。"), code="unknown_choice")
    if not clean_text(key, 100):
        raise Invalid(_("缺少本次赋码的标识，请刷新页面后重试。"), code="run_key_required")
    run.refresh_from_db(fields=["status", "issued"])
    if run.status == CodeRun.Status.VOID:
        raise Clash(_("这次签发的码已经作废，不能打印。"), code="run_void")
    require_unblocked(run.lot)
    require_positions(run, first, last)
    _check_paper(layout_of(run.layout), kind, start, offset)
    words = clean_text(reason, REASON_MAX, multiline=True)
    revealing = run.checks and (kind != Kind.PACKET or with_checks)
    if revealing or with_checks:
        seed_of(run)
    earlier = LabelFile.objects.filter(organisation=run.organisation, key=key)
    if earlier.exists():
        return _same_file(earlier.get(), run, kind, first, last)
    if kind != Kind.PACKET:
        require_reason_again(run, first, last, words)
    try:
        with transaction.atomic():
            return LabelFile.objects.create(
                run=run,
                organisation=run.organisation,
                key=key,
                kind=kind,
                first=first,
                last=last,
                start=start,
                crop_marks=crop_marks,
                checks=revealing,
                offset_x=round(offset[0] * 100),
                offset_y=round(offset[1] * 100),
                reason=words,
                by=by.user,
                by_organisation=by.organisation,
            )
    except IntegrityError:
        if not earlier.exists():
            raise
        return _same_file(earlier.get(), run, kind, first, last)


def _check_paper(found: Layout, kind: str, start: int, offset: tuple[float, float]) -> None:
    """Refuse now what drawing would refuse later."""
    if kind == Kind.ZPL and found.is_sheet:
        raise Invalid(
            _("ZPL 用于卷装标签的条码打印机；这次签发用的是 A4 版式，请选 PDF 或码包。"), code="zpl_needs_roll"
        )
    if not 1 <= start <= found.per_page:
        raise Invalid(
            _("起始位置应在 1 到 %(most)d 之间。") % {"most": found.per_page}, code="bad_start", most=found.per_page
        )
    if any(abs(move) > OFFSET_MAX_MM for move in offset):
        raise Invalid(
            _("位置校正最多 %(most)d 毫米；偏得更多请先检查纸张和打印机设置。") % {"most": OFFSET_MAX_MM},
            code="bad_offset",
            most=OFFSET_MAX_MM,
        )


def _same_file(file: LabelFile, run: CodeRun, kind: str, first: int, last: int) -> LabelFile:
    """The file an earlier request with this key ordered; refuses a key that meant something else."""
    if (file.run_id, file.kind, file.first, file.last) != (run.pk, kind, first, last):
        raise Clash(_("这个请求标识已经用于另一次赋码，请重新打开页面。"), code="run_key_reused")
    return file


def parts_of(file: LabelFile) -> list[tuple[int, int]]:
    """First and last position of each part. Only the first begins in the middle of a sheet."""
    size = PART_LABELS[Kind(file.kind)]
    per_page = layout_of(file.run.layout).per_page
    size -= size % per_page
    found, begin = [], file.first
    while begin <= file.last:
        room = size - (file.start - 1 if begin == file.first and file.kind == Kind.PDF else 0)
        end = min(file.last, begin + room - 1)
        found.append((begin, end))
        begin = end + 1
    return found


def run_next_file() -> bool:
    """Make the next part of one file; False where none waits. Safe to kill at any point and to run several at once."""
    file = _claim()
    if file is None:
        return False
    try:
        with translation.override("zh-hans"):
            _work_on(file)
    except DomainError as error:
        _fail(file, error.message)
    return True


def taken_up_at(file: LabelFile, now: datetime.datetime) -> datetime.datetime | None:
    """When another worker takes up a file whose worker seems to have stopped; None where it works or none has begun."""
    until = file.leased_until if file.status == Status.WORKING else None
    return until if until is not None and until - LEASE < now - QUIET else None


def _claim() -> LabelFile | None:
    """Take the oldest file that waits, or whose worker has not been heard of for a while."""
    now = timezone.now()
    free = Q(status=Status.WAITING) | Q(status=Status.WORKING, leased_until__lt=now)
    for file in LabelFile.objects.filter(free).order_by("id")[:5]:
        if file.attempts >= ATTEMPTS:
            LabelFile.objects.filter(free, pk=file.pk).update(
                status=Status.FAILED, problem=_("试了几次都没有做成，请联系系统运维。"), finished_at=now
            )
            continue
        lease = uuid.uuid4()
        taken = LabelFile.objects.filter(free, pk=file.pk).update(
            status=Status.WORKING, lease=lease, leased_until=now + LEASE, attempts=F("attempts") + 1
        )
        if taken:
            return LabelFile.objects.select_related(
                "run__seed",
                "run__lot__product_version__standard",
                "run__lot__organisation",
                "organisation",
                "by",
                "by_organisation",
            ).get(pk=file.pk)
    return None


def _work_on(file: LabelFile) -> None:
    """All parts that are missing, then the release."""
    by = later_actor(file.by, file.by_organisation, file.organisation)
    kept = set(file.parts.values_list("number", flat=True))
    for number, (first, last) in enumerate(parts_of(file), start=1):
        require_unblocked(file.run.lot)
        if number not in kept and not _keep_part(file, number, first, last):
            return
    _release(file, by)


def _keep_part(file: LabelFile, number: int, first: int, last: int) -> bool:
    """One part made, read back and kept; False where another worker has taken the file over."""
    data, labels = _made(file, first, last, file.start if number == 1 else 1)
    digest = keep_bytes(data)
    now = timezone.now()
    with transaction.atomic():
        mine = LabelFile.objects.filter(pk=file.pk, lease=file.lease, status=Status.WORKING)
        if not mine.update(leased_until=now + LEASE, attempts=1, done=F("done") + last - first + 1):
            return False
        LabelFilePart.objects.create(
            file=file, number=number, first=first, last=last, labels=labels, sha256=digest, size=len(data)
        )
    return True


def _made(file: LabelFile, first: int, last: int, start: int) -> tuple[bytes, int]:
    """The bytes of one part and how many labels are in it. Refuses a code that a decoder does not read
    (``qr_unread``).
    """
    run, found = file.run, layout_of(file.run.layout)
    material = qr.Material(run.material)
    units: Sequence[Unit] = ()
    if run.kind == CodeRun.Kind.LOT:
        wanted: Sequence[LabelContent] = [lot_content(run)] * (last - first + 1)
        rows: list[tuple[int | str, ...]] = [
            (number, run.lot.public_code, uri_of(run, None)) for number in range(first, last + 1)
        ]
    else:
        units = printable_units(run, first, last)
        wanted = contents(run, units, reveal=file.checks)
        rows = [
            (unit.number, unit.code, label.uri, *([label.check] if file.checks else []))
            for unit, label in zip(units, wanted, strict=True)
        ]
    positions = (
        list(range(first, last + 1)) if run.kind == CodeRun.Kind.LOT else [_position(run, each) for each in units]
    )
    _require_readable(wanted, qr.LEVEL_FOR[material], positions)
    offset = (file.offset_x / 100, file.offset_y / 100)
    if file.kind == Kind.PACKET:
        label = wanted[0] if wanted else lot_content(run)
        says = [(_("品名"), label.title), *label.lines, ("", label.host)]
        return packet(rows, says, with_checks=file.checks), len(wanted)
    if not wanted:
        raise Invalid(_("没有要打印的标签。"), code="no_labels")
    if file.kind == Kind.ZPL:
        return render_zpl(wanted, found, material=material, offset=offset).encode(), len(wanted)
    document = render_sheet(
        wanted,
        found,
        start=start,
        crop_marks=file.crop_marks,
        material=material,
        title=f"{run.lot.product_version.label} {run.lot.code}",
        offset=offset,
    )
    _require_drawn(document, wanted, found, positions, start=start, offset=offset)
    return document, len(wanted)


def _position(run: CodeRun, unit: Unit) -> int:
    """The place of a unit in its run, from 1."""
    return unit.number - run.first_number + 1


def _require_drawn(
    document: bytes,
    wanted: Sequence[LabelContent],
    found: Layout,
    positions: Sequence[int],
    *,
    start: int,
    offset: tuple[float, float],
) -> None:
    """Refuse a document whose middle page, drawn as a printer would, is not read label by label as it should."""
    page = page_count(len(wanted), found, start=start) // 2
    begin = max(page * found.per_page - (start - 1), 0)
    places = range(start - 1 if page == 0 else 0, found.per_page)
    expected = [label.uri for label in wanted[begin : begin + len(places)]]
    read = read_drawn(document, page, found, places[: len(expected)], offset=offset)
    for number, (uri, text) in enumerate(zip(expected, read, strict=True), start=begin):
        if text != uri:
            raise Invalid(
                _("第 %(n)d 枚画在纸上的二维码读不出来，文件没有放行。请联系系统运维。") % {"n": positions[number]},
                code="qr_unread",
            )


def _require_readable(wanted: Sequence[LabelContent], level: qr.Level, positions: Sequence[int]) -> None:
    """Refuse codes that are not read back as the address they stand for; ``positions`` are the labels' in the run."""
    uris = {label.uri: place for label, place in reversed(list(zip(wanted, positions, strict=True)))}
    _require_all(list(reversed(uris)), uris, level)


def _require_all(uris: Sequence[str], places: Mapping[str, int], level: qr.Level) -> None:
    """The same of addresses that each have a place."""
    for begin in range(0, len(uris), _READ_AT_ONCE):
        unread = first_unread(matrices(uris[begin : begin + _READ_AT_ONCE], level))
        if unread is not None:
            raise Invalid(
                _("第 %(n)d 枚的二维码读不出来，文件没有放行。请联系系统运维。")
                % {"n": places[uris[begin + unread - 1]]},
                code="qr_unread",
            )


@transaction.atomic
def _release(file: LabelFile, by: Actor) -> None:
    """All parts are there and read: the file may be handed out, and the print is written down."""
    mine = LabelFile.objects.filter(pk=file.pk, lease=file.lease, status=Status.WORKING)
    if not mine.update(status=Status.RELEASED, lease=None, leased_until=None, finished_at=timezone.now()):
        return
    if file.kind != Kind.PACKET:
        reason = file.reason or _("文件制作期间已另行打印")
        record_print(by=by, run=file.run, first=file.first, last=file.last, reason=reason)


def _fail(file: LabelFile, problem: str) -> None:
    """Say why, and leave it."""
    LabelFile.objects.filter(pk=file.pk, lease=file.lease, status=Status.WORKING).update(
        status=Status.FAILED, problem=problem[:300], lease=None, leased_until=None, finished_at=timezone.now()
    )


def forget_files(*, now: datetime.datetime | None = None) -> int:
    """Remove the bytes of files a month after they were made: whoever needs them again orders them again.

    The same labels give the same bytes, so a younger file may stand on the same ones: those stay.
    """
    before = (now or timezone.now()) - datetime.timedelta(days=KEPT_DAYS)
    removed = 0
    old = LabelFilePart.objects.filter(file__created_at__lt=before).exclude(size=0)
    for part in old:
        if not LabelFilePart.objects.filter(sha256=part.sha256, file__created_at__gte=before).exclude(size=0).exists():
            path_of(part.sha256).unlink(missing_ok=True)
        removed += LabelFilePart.objects.filter(pk=part.pk).update(size=0)
    return removed


def run_next_forgetting() -> bool:
    """Forget what is old; False where nothing is."""
    return forget_files() > 0
