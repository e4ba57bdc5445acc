"""Documents on their way in: taken, worked off by the worker (small ones at once), told about.

A job that is *rollback* is one transaction: all of its events or none. One that *proceeds* writes part by part and
remembers how far it came in the same transactions, so that a worker that dies loses and repeats nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import logging
import os
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import F, Q
from django.utils import timezone, translation
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from trace.actions.epcis_capture import Incoming, Outcome, Writer, incoming, no_collection
from trace.actions.epcis_parties import children_of, master_data
from trace.actor import Actor
from trace.door.names import chunks
from trace.epcis.documents import Fault, check_event, check_head, prefixes_of
from trace.epcis.reading import Document, Unreadable, events_of
from trace.epcis.vocabulary import CONTEXT, EVENT_TYPES, PREFIXES
from trace.epcis.xml import EventStream, XmlInvalid
from trace.errors import DomainError, Invalid, NotAllowed
from trace.identifiers import uuid7
from trace.ledger import lock_log_head
from trace.models import CaptureJob, Membership
from trace.prepared import NUMBER, Prepared
from trace.text import clean_text
from trace.together import Together
from trace.turns import turn

log = logging.getLogger("trace.epcis")
Status = CaptureJob.Status
PAUSE = datetime.timedelta(seconds=10)
"""How long a job rests after the database did not answer."""
LEASE = datetime.timedelta(minutes=3)
ATTEMPTS = 3
ERRORS_KEPT = 200
PART = 500
"""Events written together; the claim is renewed after each."""
SHOWN = 1.0
"""Seconds between two notes of how far a document is read."""
PART_KEPT = 2_000
"""The same of a document whose events are kept in memory anyway."""
KEPT = 4 << 20
"""Bytes of a document up to which its events stay in memory between being checked and being written."""
AT_ONCE = 256 * 1024
"""Bytes up to which a document is worked off while the client waits."""


def folder() -> Path:
    """Where documents lie until they are worked off."""
    return Path(settings.MEDIA_ROOT) / "epcis"


def path_of(job: CaptureJob) -> Path:
    """The document of a job."""
    return folder() / str(job.uid)


class TooLarge(Invalid):
    """A document beyond the announced limit. 413."""

    status = 413
    code = "document_too_large"


def take_document(
    *,
    by: Actor,
    content: IO[bytes],
    media: str = "json",
    behaviour: str = CaptureJob.Behaviour.ROLLBACK,
    name: str = "",
    at: datetime.datetime | None = None,
) -> CaptureJob:
    """Keep a document and queue it. The bytes are on the disk before the job is in the database.

    Refuses more than ``EPCIS_MAX_BYTES`` (``document_too_large``), nothing (``document_empty``), a role that may not
    record.
    """
    _may_capture(by)
    uid = uuid7()
    folder().mkdir(mode=0o750, parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    handle, temporary = tempfile.mkstemp(dir=folder())
    try:
        with os.fdopen(handle, "wb") as out:
            while chunk := content.read(1 << 18):
                size += len(chunk)
                if size > settings.EPCIS_MAX_BYTES:
                    raise TooLarge(_("文件超过上限，请分成几个文件提交。"), most=settings.EPCIS_MAX_BYTES)
                digest.update(chunk)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        if not size:
            raise Invalid(_("文件是空的。"), code="document_empty")
        Path(temporary).replace(folder() / str(uid))
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
    shown = ""
    with contextlib.suppress(Invalid):
        shown = clean_text(name.replace("\\", "/").rpartition("/")[2][-120:], 120)
    return CaptureJob.objects.create(
        uid=uid,
        organisation=by.organisation,
        owner=by.owner,
        api_key=by.api_key,
        by=by.user,
        name=shown,
        media=media,
        sha256=digest.hexdigest(),
        size=size,
        behaviour=behaviour,
        created_at=at or timezone.now(),
    )


def _may_capture(by: Actor) -> None:
    by.require("operator", "quality")
    if by.is_regulator:
        raise NotAllowed(_("监管部门不登记货物。"), code="not_for_regulators")


def run_next_capture(*, now: datetime.datetime | None = None) -> bool:
    """Take the oldest document that waits and work it off; False where none does."""
    job = _claim(now or timezone.now())
    if job is None:
        return False
    _run(job)
    return True


def run_at_once(*, job: CaptureJob) -> CaptureJob:
    """Work a small document off while its sender waits; a worker that was faster is left to it."""
    claimed = _claim(timezone.now(), only=job.pk)
    if claimed is not None:
        with contextlib.suppress(OperationalError, OSError):
            _run(claimed)
    job.refresh_from_db()
    return job


_JOB = Prepared(
    lambda _text: CaptureJob.objects.select_related(
        "organisation__division", "owner__division", "api_key", "by"
    ).filter(pk=NUMBER)
)


def _claim(now: datetime.datetime, only: int | None = None) -> CaptureJob | None:
    """The oldest that waits or whose worker fell silent, claimed for us."""
    free = Q(lease=None) | Q(leased_until__lt=now)
    rows = CaptureJob.objects.filter(free, status__in=[Status.WAITING, Status.RUNNING])
    oldest = rows.order_by("id").values_list("pk", flat=True)
    for pk in oldest[:5] if only is None else [only]:
        token = uuid.uuid4()
        won = CaptureJob.objects.filter(free, pk=pk, status__in=[Status.WAITING, Status.RUNNING]).update(
            status=Status.RUNNING, lease=token, leased_until=now + LEASE, attempts=F("attempts") + 1
        )
        if won:
            return _JOB.first("", pk)
    return None


def actor_of_job(job: CaptureJob) -> Actor:
    """Who sent it, with the rights they have now. NotAllowed for a key revoked or a person gone meanwhile."""
    behalf = job.owner if job.owner_id != job.organisation_id else None
    if job.api_key is not None:
        if job.api_key.revoked_at is not None:
            raise NotAllowed(_("提交所用的 API 密钥已吊销，没有写入。"), code="key_invalid")
        key = job.api_key
        return Actor(
            organisation=job.organisation,
            role=key.role,
            api_key=key,
            on_behalf_of=behalf,
            scopes=frozenset(key.scopes),
        )
    membership = (
        Membership.objects.filter(user=job.by, organisation=job.organisation, ended_at=None, user__is_active=True)
        .order_by("id")
        .first()
    )
    if membership is None:
        raise NotAllowed(_("提交的人已不在本单位，没有写入。"), code="role_required")
    return Actor(
        organisation=job.organisation, user=job.by, role=membership.role, membership=membership, on_behalf_of=behalf
    )


class _Lost(Exception):
    """Another worker took the job over."""


def _run(job: CaptureJob) -> None:
    """Work one claimed document off, unless somebody else took it over."""
    with contextlib.suppress(_Lost):
        _attempt(job)


def _attempt(job: CaptureJob) -> None:
    if job.attempts > ATTEMPTS:
        _finish(job, [Fault("", "interrupted", _("处理时多次中断。"))], failed=True)
        return
    try:
        by = actor_of_job(job)
        _may_capture(by)
        if job.behaviour == CaptureJob.Behaviour.ROLLBACK:
            # Only a document that is kept in memory: of a large one the garbage of reading it adds up.
            with no_collection() if job.size <= KEPT else contextlib.nullcontext():
                _whole(job, by)
        else:
            _part_by_part(job, by)
    except Unreadable as error:
        _finish(job, [Fault(error.pointer, error.code, str(error))], failed=True)
    except FileNotFoundError:
        _finish(job, [Fault("", "document_lost", _("文件已不在，请重新提交。"))], failed=True)
    except DomainError as error:
        _finish(job, [Fault("", error.code, error.message)], failed=True)
    except _Lost:
        raise
    except (OperationalError, OSError):
        # The database or the disk did not answer: nobody's document is wrong. Another attempt is made later.
        _release(job)
        raise
    except Exception:
        # A document we stumble over must neither end the worker nor wait for ever.
        log.exception("capture job %s could not be worked off", job.uid)
        _finish(job, [Fault("", "fault_of_ours", _("处理时出错，已记录；没有写入。"))], failed=True)


def _release(job: CaptureJob) -> None:
    """Let go of a job so that it is taken up again in a moment."""
    with contextlib.suppress(DatabaseError):
        CaptureJob.objects.filter(pk=job.pk, lease=job.lease).update(
            status=Status.WAITING, leased_until=timezone.now() + PAUSE
        )


def _alive(job: CaptureJob, **fields: Any) -> None:
    """Renew the claim and show progress; raises where the claim is gone."""
    until = timezone.now() + LEASE
    if not CaptureJob.objects.filter(pk=job.pk, lease=job.lease).update(leased_until=until, **fields):
        raise _Lost
    for name, value in fields.items():
        setattr(job, name, value)


def _finish(job: CaptureJob, faults: Sequence[Fault], *, failed: bool = False) -> None:
    """The outcome, and the document is let go of."""
    kept = [each._asdict() for each in faults[: ERRORS_KEPT - len(job.errors)]]
    job.errors = [*job.errors, *kept]
    job.faulty += len(faults)
    job.status = Status.FAILED if failed else Status.DONE
    job.finished_at = timezone.now()
    done = CaptureJob.objects.filter(pk=job.pk, lease=job.lease).update(
        status=job.status,
        errors=job.errors,
        faulty=job.faulty,
        finished_at=job.finished_at,
        lease=None,
        leased_until=None,
    )
    if not done:
        raise _Lost
    transaction.on_commit(lambda: path_of(job).unlink(missing_ok=True))


class Reading:
    """A kept document read event by event, each with what is wrong with it."""

    def __init__(self, job: CaptureJob, *, checked: bool = False) -> None:
        self.document = Document()
        self.job = job
        self.checked = checked
        self.now = timezone.now()
        self.head: dict[str, Any] = {}
        self.whole_head: dict[str, Any] = {}
        self.seen = 0

    def __iter__(self) -> Iterator[tuple[str, Any, list[Fault]]]:
        """Pointer, event and faults of each event, in order."""
        with path_of(self.job).open("rb") as file:
            if self.job.media == "xml":
                yield from self._of_xml(file)
                return
            self.head = self.document.head
            prefixes: dict[str, str] | None = None
            for event in events_of(file.read, self.document):
                if prefixes is None:
                    prefixes = self._prefixes()
                pointer = self._pointer()
                self.seen += 1
                yield pointer, event, [] if self.checked else check_event(event, pointer, prefixes, self.now)
            if not self.seen and self.head.get("type") in EVENT_TYPES:
                yield self._alone()

    def _alone(self) -> tuple[str, Any, list[Fault]]:
        """An event that stands where a document should is a document of one."""
        event = {name: value for name, value in self.head.items() if name != "@context"}
        faults: list[Fault] = []
        if "@context" not in self.head:
            faults.append(Fault("/@context", "required", "The event has no @context."))
        context = self.head.get("@context", [CONTEXT])
        prefixes = prefixes_of(context, "/@context", faults, _known())
        self.document.head = self.head = {**self._head_of_one({"@context": context}), "epcisBody": {"event": None}}
        self.seen = 1
        return "", event, [*faults, *check_event(event, "", prefixes, self.now)]

    def _of_xml(self, file: IO[bytes]) -> Iterator[tuple[str, Any, list[Fault]]]:
        """The same from XML, piece by piece. An event that stands alone is a document of one."""
        stream = EventStream(iter(lambda: file.read(1 << 18), b""))
        events = iter(stream)
        path, prefixes = "", _known()
        while True:
            try:
                event = next(events, None)
                if event is None or not path:
                    self.head = {**(stream.head or self._head_of_one(event)), "epcisBody": {"eventList": None}}
            except XmlInvalid as error:
                raise Unreadable(error.code, error.message, str(error.details["path"])) from None
            self.document.head = self.head
            if not path:
                prefixes = prefixes_of(self.head.get("@context", []), "/@context", [], _known())
                query = self.head.get("type") == "EPCISQueryDocument"
                path = "/epcisBody/queryResults/resultsBody/eventList" if query else "/epcisBody/eventList"
            if event is None:
                return
            pointer = f"{path}/{self.seen}"
            self.seen += 1
            yield pointer, event, [] if self.checked else check_event(event, pointer, prefixes, self.now, xml=True)

    def _head_of_one(self, event: dict[str, Any] | None) -> dict[str, Any]:
        """What stands around an event that came alone."""
        context = event["@context"] if event is not None else self.head.get("@context", [])
        return {
            "@context": context,
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": self.job.created_at.isoformat(),
        }

    def _pointer(self) -> str:
        path = self.document.path
        return path if path == "/epcisBody/event" else f"{path}/{self.seen}"

    def _prefixes(self) -> dict[str, str]:
        """Prefixes of the document; what its head says after the events is read ahead."""
        if not self.head.keys() >= _NEEDED:
            with path_of(self.job).open("rb") as file:
                ahead = Document()
                for _event in events_of(file.read, ahead):
                    pass
            self.whole_head = ahead.head
        return prefixes_of(self.context, "/@context", [], _known())

    def head_faults(self) -> list[Fault]:
        """What is wrong around the events. Answers to queries in XML may come without a date of their own."""
        found = check_head({"epcisBody": {}, **(self.whole_head or self.head)} if self.seen else self.head)[1]
        return [each for each in found if self.job.media == "json" or each.pointer != "/creationDate"]

    @property
    def context(self) -> Any:
        """The document's ``@context``."""
        return self.whole_head.get("@context", self.head.get("@context", []))


_NEEDED = frozenset(["@context", "type", "schemaVersion", "creationDate"])


def _known() -> dict[str, str]:
    return dict(PREFIXES)


def _whole(job: CaptureJob, by: Actor) -> None:
    """All events or none: first everything is checked, then everything is written in one transaction."""
    faults: list[Fault] = []
    reading = Reading(job)
    kept: list[tuple[str, Any, list[Fault]]] = []
    told = time.monotonic()
    for each in reading:
        wrong = each[2]
        if job.size <= KEPT:
            kept.append(each)
        faults += wrong[: max(0, ERRORS_KEPT - len(faults))] if len(faults) < ERRORS_KEPT else []
        if reading.seen > settings.EPCIS_MAX_EVENTS:
            raise Unreadable("too_many_events", f"At most {settings.EPCIS_MAX_EVENTS} events in one document.")
        if reading.seen % PART == 0 and time.monotonic() > told + SHOWN:
            told = time.monotonic()
            _alive(job, total=reading.seen)
    faults = [*reading.head_faults(), *faults]
    _alive(job, total=reading.seen)
    if faults:
        _finish(job, faults, failed=True)
        return
    try:
        with transaction.atomic():
            writer: Writer | None = None
            for part in _parts(kept, PART_KEPT) if kept else _parts(Reading(job, checked=True), PART):
                writer = writer or _writer(by, reading)
                outcome = writer.write([incoming(event, pointer, reading.context) for pointer, event, _wrong in part])
                if outcome.faults:
                    raise _Undo(outcome.faults)
                _count(job, outcome, len(part))
            _alive(job, captured=job.captured, repeated=job.repeated, conflicts=job.conflicts, position=job.position)
            _finish(job, [])
    except _Undo as undo:
        job.captured = job.repeated = job.conflicts = job.position = 0
        _finish(job, undo.faults, failed=True)


class _Undo(Exception):
    """Something was refused in the middle: nothing is written."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("undone")
        self.faults = faults


def _writer(by: Actor, reading: Reading) -> Writer:
    head = reading.whole_head or reading.head
    return Writer(by, master=master_data(head), children=children_of(head), context=reading.context)


def _count(job: CaptureJob, outcome: Outcome, size: int) -> None:
    job.captured += len(outcome.numbers)
    job.repeated += outcome.repeated
    job.conflicts += outcome.conflicts
    job.position += size


def _part_by_part(job: CaptureJob, by: Actor) -> None:
    """Write what is right, note what is wrong; each part with how far it came in one transaction."""
    reading = Reading(job)
    writer: Writer | None = None
    ahead = job.position
    handled = 0
    head_checked = False
    for part in _parts(reading, PART):
        if not head_checked:
            head_checked = True
            early = reading.head_faults()
            if early:
                _finish(job, early, failed=True)
                return
        if handled + len(part) <= ahead:
            handled += len(part)
            continue
        rest = part[max(0, ahead - handled) :]
        handled += len(part)
        writer = writer or _writer(by, reading)
        faults = [fault for _pointer, _event, wrong in rest for fault in wrong]
        good = [incoming(event, pointer, reading.context) for pointer, event, wrong in rest if not wrong]
        before = (job.captured, job.repeated, job.conflicts, job.position, job.faulty, job.errors)
        try:
            with transaction.atomic():
                outcome = writer.write(good)
                _count(job, outcome, len(rest))
                faults += outcome.faults
                job.errors = [
                    *job.errors,
                    *(each._asdict() for each in faults[: max(0, ERRORS_KEPT - len(job.errors))]),
                ]
                job.faulty += len({each.pointer.split("/eventList/")[-1].split("/")[0] for each in faults})
                _alive(
                    job,
                    captured=job.captured,
                    repeated=job.repeated,
                    conflicts=job.conflicts,
                    position=job.position,
                    faulty=job.faulty,
                    errors=job.errors,
                    total=reading.seen,
                )
        except BaseException:
            job.captured, job.repeated, job.conflicts, job.position, job.faulty, job.errors = before
            raise
        if reading.seen > settings.EPCIS_MAX_EVENTS:
            raise Unreadable("too_many_events", f"At most {settings.EPCIS_MAX_EVENTS} events in one document.")
    wrong_head = reading.head_faults() if not reading.seen else []
    _finish(job, wrong_head, failed=bool(wrong_head) or (job.captured + job.repeated == 0 and job.faulty > 0))


def _parts(reading: Iterable[tuple[str, Any, list[Fault]]], size: int) -> Iterator[list[tuple[str, Any, list[Fault]]]]:
    """The events of a document in parts."""
    part: list[tuple[str, Any, list[Fault]]] = []
    for each in reading:
        part.append(each)
        if len(part) >= size:
            yield part
            part = []
    if part:
        yield part


# --- Files that were left -------------------------------------------------------------------------------------------

STRAY = datetime.timedelta(hours=1)
"""How old a file must be that no job knows: a younger one may be on its way in."""
_next_sweep = 0.0


def forget_documents(*, now: datetime.datetime | None = None) -> int:
    """Remove files of documents that are worked off and of uploads that never became a job; how many. Files go when
    their job ends; these stayed because a process died in between.
    """
    moment = now or timezone.now()
    if not folder().is_dir():
        return 0
    files = {path.name: path for path in folder().iterdir() if path.is_file()}
    jobs: dict[str, str] = {}
    for part in chunks([uid for name in files if (uid := _uid(name)) is not None], 500):
        jobs |= {
            str(uid): status for uid, status in CaptureJob.objects.filter(uid__in=part).values_list("uid", "status")
        }
    removed = 0
    for name, path in files.items():
        with contextlib.suppress(FileNotFoundError):
            age = moment.timestamp() - path.stat().st_mtime
            if jobs.get(name) in (Status.DONE, Status.FAILED) or (name not in jobs and age > STRAY.total_seconds()):
                path.unlink()
                removed += 1
    return removed


def run_next_sweep() -> bool:
    """The worker's share: once an hour."""
    global _next_sweep
    if time.monotonic() < _next_sweep:
        return False
    _next_sweep = time.monotonic() + STRAY.total_seconds()
    forget_documents()
    return False


def _uid(name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(name)
    except ValueError:
        return None


# --- Single events --------------------------------------------------------------------------------------------------

TOGETHER = 100
"""Single events of one transaction."""


class Alone(NamedTuple):
    """What became of one event that came alone: whether it was there already, what was wrong with it."""

    repeated: bool
    faults: Sequence[Fault]


def capture_event(*, by: Actor, event: dict[str, Any], context: Any) -> tuple[Incoming, Alone]:
    """Write one event that passed its check (``POST /epcis/events``), with those that others send at the same time.
    Twice is once: ``repeated`` says so. It is committed when this returns.
    """
    _may_capture(by)
    found = incoming(event, "", context)
    if connection.in_atomic_block:
        # Somebody else's transaction: it must be written by this connection, and commits with it.
        with _with_head():
            return found, write_events([(by, found, get_language() or settings.LANGUAGE_CODE)])[0]
    return found, _together.do((by, found, get_language() or settings.LANGUAGE_CODE))


_Caller = tuple[int, int, int | None, int | None, str, str]
"""The how manieth time the event comes, organisation, key, user, role, language."""


@contextmanager
def _with_head() -> Iterator[None]:
    """A transaction that holds the head of the log."""
    with turn(), transaction.atomic():
        token = _last.set(lock_log_head())
        try:
            yield
        finally:
            _last.reset(token)


_last: ContextVar[int | None] = ContextVar("last", default=None)
"""The number of the last entry of the log when its head was taken."""


def write_events(asked: Sequence[tuple[Actor, Incoming, str]]) -> list[Alone]:
    """Write events of several callers; of each what became of it, in order, in the language asked for. Needs a
    transaction that holds the head of the log.
    """
    outcomes: dict[_Caller, Outcome] = {}
    last = _last.get()
    callers: list[_Caller] = []
    times: Counter[tuple[int, tuple[str, str]]] = Counter()
    for number, (by, found, language) in enumerate(asked):
        found.pointer = f"{number}#"
        # An event that comes again in the same moment has a writer of its own: it is there if the first was written,
        # and only then.
        times[by.owner.pk, found.key] += 1
        again = times[by.owner.pk, found.key]
        key, user = by.api_key.pk if by.api_key else None, by.user.pk if by.user else None
        callers.append((again, by.owner.pk, key, user, by.role, language))
    for caller in sorted(set(callers), key=callers.index):
        same = [(by, each) for who, (by, each, _language) in zip(callers, asked, strict=True) if who == caller]
        with translation.override(caller[-1]):
            outcomes[caller] = Writer(same[0][0], held=True, last=last).write([each for _by, each in same])
            last = None
    answers: list[Alone] = []
    for caller, (_by, found, _language) in zip(callers, asked, strict=True):
        outcome, own = outcomes[caller], found.pointer
        wrong = [
            each._replace(pointer=each.pointer[len(own) :]) for each in outcome.faults if each.pointer.startswith(own)
        ]
        if id(found) in outcome.refused and not wrong:
            raise RuntimeError("an event was refused without a word")
        answers.append(Alone(id(found) in outcome.there, wrong))
        found.pointer = ""
    return answers


_together: Together[tuple[Actor, Incoming, str], Alone] = Together(write_events, TOGETHER, turn=_with_head)
