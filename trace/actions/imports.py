"""Importing sheets: upload, confirm, drop; and the worker's part, which may die at any moment.

Checking writes nothing but the answer. Writing is one transaction with the last step of the import in it, so that an
import is whole or not there, once however often it is tried.
"""

from __future__ import annotations

import datetime
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from trace.access import later_actor
from trace.actor import Actor
from trace.errors import Clash, DomainError, Invalid, NotAllowed, StaleState
from trace.imports.checking import Checked
from trace.imports.columns import Sheet, sheet_for
from trace.imports.reading import Line, read_sheet
from trace.imports.running import Changed, Outcome, try_out, write
from trace.models import Organisation, SheetImport
from trace.text import clean_text

Status = SheetImport.Status
LEASE = datetime.timedelta(minutes=3)
"""Longer than the longest silence of a living worker, which renews its claim with each hundred rows."""
ATTEMPTS = 3
ISSUES_KEPT = 2000
KEPT_DAYS = 30
NAME_MAX = 120
MOVES: Mapping[str, frozenset[str]] = {
    Status.WAITING: frozenset({Status.CHECKING, Status.DROPPED}),
    Status.CHECKING: frozenset({Status.READY, Status.FAULTY, Status.UNREADABLE, Status.FAILED}),
    Status.READY: frozenset({Status.CONFIRMED, Status.DROPPED}),
    Status.FAULTY: frozenset({Status.DROPPED}),
    Status.CONFIRMED: frozenset({Status.WRITING, Status.DROPPED}),
    Status.WRITING: frozenset({Status.DONE, Status.READY, Status.FAULTY, Status.FAILED}),
}
"""From which state to which. What is done stays: single facts are put right by declaring them wrong."""


@transaction.atomic
def upload_sheet(
    *, by: Actor, kind: str, name: str, data: bytes, step: str = "", at: datetime.datetime | None = None
) -> SheetImport:
    """Take a file in, to be read and checked by the worker.

    The same file again while it is being handled gives the import there is. Refuses: what is no sheet of this kind
    (404), an empty file (``sheet_empty``), more than ``UPLOAD_MAX_BYTES`` (``file_too_large``).
    """
    by.require("operator", "quality")
    if by.is_regulator or by.user is None:
        raise NotAllowed(_("监管部门不登记货物。"), code="not_for_regulators")
    sheet_for(kind, step)
    most = settings.UPLOAD_MAX_BYTES
    if not data:
        raise Invalid(_("这个文件是空的。请下载模板，填好后再上传。"), code="sheet_empty")
    if len(data) > most:
        raise Invalid(_("文件太大：最多 %(most)d MB。") % {"most": most // 1024**2}, code="file_too_large")
    digest = hashlib.sha256(data).hexdigest()
    _one_at_a_time(by.owner)
    same = _same(by, kind, step, digest).filter(
        status__in=[Status.WAITING, Status.CHECKING, Status.READY, Status.CONFIRMED, Status.WRITING]
    )
    found = same.order_by("-id").first()
    if found is not None:
        return found
    return SheetImport.objects.create(
        organisation=by.organisation,
        owner=by.owner,
        by=by.user,
        kind=kind,
        step=step,
        language=translation.get_language() or "zh-hans",
        name=_shown_name(name),
        sha256=digest,
        file=data,
        created_at=at or timezone.now(),
    )


def _same(by: Actor, kind: str, step: str, digest: str) -> QuerySet[SheetImport]:
    return SheetImport.objects.filter(owner=by.owner, kind=kind, step=step, sha256=digest)


def _one_at_a_time(owner: Organisation) -> None:
    """Let nobody else upload or confirm sheets of this owner until the transaction ends: two tabs ask at once."""
    Organisation.objects.select_for_update().get(pk=owner.pk)


def twin_of(row: SheetImport) -> SheetImport | None:
    """Another import of the very same file that was written or is going to be."""
    rows = SheetImport.objects.filter(owner=row.owner, kind=row.kind, step=row.step, sha256=row.sha256)
    taken = rows.filter(status__in=[Status.CONFIRMED, Status.WRITING, Status.DONE]).exclude(pk=row.pk)
    return taken.defer("file", "rows").order_by("-id").first()


def _shown_name(name: str) -> str:
    """The file's own name without folders."""
    try:
        return clean_text(name.replace("\\", "/").rpartition("/")[2][-NAME_MAX:], NAME_MAX) or _("文件")
    except Invalid:
        return _("文件")


@transaction.atomic
def confirm_import(
    *,
    row: SheetImport,
    by: Actor,
    insist: Sequence[str] = (),
    again: bool = False,
    at: datetime.datetime | None = None,
) -> SheetImport:
    """Say that the sheet as checked is to be written. Twice is once.

    ``insist`` are the codes of rules the person saw and insists on. Refuses: rules not insisted on
    (``guard_broken``), a file that was imported before unless ``again`` (``already_imported``), what is not waiting
    for it (``stale_state``).
    """
    by.require("operator", "quality")
    _one_at_a_time(row.owner)
    if row.status in (Status.CONFIRMED, Status.WRITING, Status.DONE):
        return row
    broken = {code for issue in row.issues for code in issue["guards"]}
    if row.status == Status.READY and not broken <= set(insist):
        raise Clash(_("有几行与已有记录矛盾。确有其事的请勾选，否则请改正后重新上传。"), code="guard_broken")
    if twin_of(row) is not None and not again:
        raise Clash(_("同一个文件已经导入过。确实要再导入一次的，请勾选。"), code="already_imported")
    now = at or timezone.now()
    _move(row, Status.CONFIRMED, insisted=sorted(broken), confirmed_at=now, lease=None, attempts=0, problem="")
    return row


@transaction.atomic
def drop_import(*, row: SheetImport, by: Actor) -> SheetImport:
    """Give a sheet up before it is written; its rows are forgotten."""
    by.require("operator", "quality")
    _move(row, Status.DROPPED, file=None, rows=[], issues=[], finished_at=timezone.now())
    return row


def _move(row: SheetImport, new: str, *, lease: uuid.UUID | None = None, **fields: Any) -> None:
    """Compare and swap; zero rows is StaleState."""
    if new not in MOVES.get(row.status, frozenset()):
        raise StaleState(_("这次导入刚刚变了，请刷新后再看。"))
    held = Q(lease=row.lease) if row.lease else Q()
    if not SheetImport.objects.filter(held, pk=row.pk, status=row.status).update(status=new, lease=lease, **fields):
        raise StaleState(_("这次导入刚刚变了，请刷新后再看。"))
    row.status, row.lease = new, lease
    for name, value in fields.items():
        setattr(row, name, value)


# --- The worker's part ----------------------------------------------------------------------------------------------


def run_next_import(*, now: datetime.datetime | None = None) -> bool:
    """Take the oldest sheet that waits for the worker as far as it goes; False where none does.

    A claim holds three minutes and is renewed; a worker that died leaves its sheet to the next one, which begins anew.
    After the third death the import is failed and says so.
    """
    row = _claim(now or timezone.now())
    if row is None:
        return False
    with translation.override(row.language):
        if row.attempts > ATTEMPTS:
            message = _("处理时多次中断，没有导入任何内容。请分成几个小文件再试。")
            _move(row, Status.FAILED, problem=message, file=None, finished_at=timezone.now())
        elif row.status == Status.CHECKING:
            _check(row)
        else:
            _write(row)
    return True


def _claim(now: datetime.datetime) -> SheetImport | None:
    """The oldest that waits or whose worker fell silent, claimed for us."""
    free = Q(lease=None) | Q(leased_until__lt=now)
    open_ones = [Status.WAITING, Status.CHECKING, Status.CONFIRMED, Status.WRITING]
    for pk, status in (
        SheetImport.objects.filter(free, status__in=open_ones).order_by("id").values_list("pk", "status")[:5]
    ):
        token = uuid.uuid4()
        begun = {Status.WAITING: Status.CHECKING, Status.CONFIRMED: Status.WRITING}.get(Status(status), status)
        won = SheetImport.objects.filter(free, pk=pk, status=status).update(
            status=begun, lease=token, leased_until=now + LEASE, attempts=F("attempts") + 1
        )
        if won:
            rows = SheetImport.objects.select_related("organisation__division", "owner__division", "by")
            return rows.get(pk=pk)
    return None


def actor_of_import(row: SheetImport) -> Actor:
    """Who uploaded, with the role they have now. NotAllowed (``role_required``) for who has left."""
    return later_actor(row.by, row.organisation, row.owner)


def _lines(row: SheetImport) -> list[Line]:
    return [Line(number, cells) for number, cells in row.rows]


def _check(row: SheetImport) -> None:
    """Read the file and try every row; what is wrong is kept with the import."""
    try:
        by = actor_of_import(row)
        by.require("operator", "quality")
        if row.file is not None:
            lines = read_sheet(bytes(row.file))
            row.rows = [[line.number, line.cells] for line in lines]
            SheetImport.objects.filter(pk=row.pk, lease=row.lease).update(rows=row.rows, file=None, total=len(lines))
        sheet = sheet_for(row.kind, row.step)
    except DomainError as error:
        _move(row, Status.UNREADABLE, problem=error.message, file=None, finished_at=timezone.now())
        return
    checked = _tried(row, sheet, by)
    _settle(row, checked, "")


def _tried(row: SheetImport, sheet: Sheet, by: Actor) -> Checked:
    """All rows tried, with the claim renewed and the progress shown on the way."""

    def told(done: int) -> None:
        until = timezone.now() + LEASE
        SheetImport.objects.filter(pk=row.pk, lease=row.lease).update(checked=done, leased_until=until)

    return try_out(sheet, _lines(row), by, (), told)


def _settle(row: SheetImport, checked: Checked, problem: str) -> None:
    """Ready where all that is wrong can be insisted on, else faulty."""
    hard = any(not issue.guards or not issue.insistable for issue in checked.issues)
    _move(
        row,
        Status.FAULTY if hard else Status.READY,
        issues=[issue.as_dict() for issue in checked.issues[:ISSUES_KEPT]],
        total=checked.total,
        checked=checked.total,
        problem=problem,
        attempts=0,
    )


def _write(row: SheetImport) -> None:
    """Write it whole, or look again and say what has changed since."""
    try:
        by = actor_of_import(row)
        sheet = sheet_for(row.kind, row.step)
    except DomainError as error:
        _move(row, Status.FAILED, problem=error.message, finished_at=timezone.now())
        return

    def finish(outcome: Outcome) -> None:
        _move(
            row,
            Status.DONE,
            made=[list(each) for each in outcome.made],
            conflicts=outcome.conflicts,
            finished_at=timezone.now(),
        )

    status, lease = row.status, row.lease
    try:
        write(sheet, _lines(row), by, row.insisted, finish)
    except Changed as changed:
        row.status, row.lease = status, lease
        if isinstance(changed.error, StaleState):
            return
        message = _("检查以后情况有变，没有写入任何内容：%(why)s") % {"why": changed.error.message}
        _settle(row, _tried(row, sheet, by), message)


def forget_sheets(*, now: datetime.datetime | None = None) -> int:
    """Forget the rows of sheets a month after their upload: what they said is in the records by then, or never."""
    before = (now or timezone.now()) - datetime.timedelta(days=KEPT_DAYS)
    old = SheetImport.objects.filter(created_at__lt=before).exclude(rows=[], file=None)
    return old.update(rows=[], file=None, issues=[])
