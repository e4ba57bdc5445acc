"""The outbox: claimed once, sent once to the eye, never lost; also when the worker is killed and the server is down."""

import datetime
import email
import signal
import smtplib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from recalls.actions.notices import mark_posted
from recalls.actions.outbox import LEASE, claim, due_messages, send_due, send_one
from recalls.models import Notice, OutboxMessage
from recalls.notice_states import NoticeStatus
from tests.conftest import ROOT, CommittedDatabase
from tests.loaded import Loaded
from tests.recalls.story import Chain, make_chain, started
from tests.world import make_world
from trace.actor import Actor


@pytest.fixture
def message(chain: Chain) -> OutboxMessage:
    """The one e-mail of a started recall."""
    started(chain)
    return OutboxMessage.objects.get(channel="email")


def now() -> datetime.datetime:
    return timezone.now()


# --- Claiming -------------------------------------------------------------------------------------------------------


def test_a_message_is_claimed_by_one(message: OutboxMessage) -> None:
    assert due_messages(now()) == [message.pk]
    assert claim(message_id=message.pk, now=now()) is not None
    assert claim(message_id=message.pk, now=now()) is None
    assert due_messages(now()) == []


def test_a_lease_that_ran_out_is_taken_over_and_the_first_holder_changes_nothing(message: OutboxMessage) -> None:
    first = claim(message_id=message.pk, now=now())
    later = now() + LEASE + datetime.timedelta(seconds=1)
    second = claim(message_id=message.pk, now=later)
    assert first is not None
    assert second is not None
    assert second.attempts == 2
    send_one(message=second)
    sent_at = OutboxMessage.objects.get(pk=message.pk).sent_at
    send_one(message=first, now=later)
    assert OutboxMessage.objects.get(pk=message.pk).sent_at == sent_at
    assert len({one.extra_headers["Message-ID"] for one in mail.outbox}) == 1


def test_sending_marks_message_and_notice(message: OutboxMessage) -> None:
    assert send_due() == 1
    message.refresh_from_db()
    notice = Notice.objects.get(pk=message.notice_id)
    assert message.sent_at is not None
    assert message.lease is None
    assert (notice.status, notice.sent_at) == (NoticeStatus.SENT, message.sent_at)
    assert send_due() == 0
    assert len(mail.outbox) == 1


# --- Trouble --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem",
    [
        ConnectionRefusedError("down"),
        smtplib.SMTPServerDisconnected("gone"),
        smtplib.SMTPRecipientsRefused({"outsider@example.org": (451, b"later")}),
        TimeoutError("slow"),
    ],
    ids=lambda problem: type(problem).__name__,
)
def test_a_server_in_trouble_is_asked_again_later(
    message: OutboxMessage, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def broken(*args: Any, **kwargs: Any) -> int:
        raise problem

    monkeypatch.setattr("django.core.mail.EmailMessage.send", broken)
    began = now()
    waits = []
    moment = began
    for _attempt in range(8):
        assert send_due(now=moment) == 0
        message.refresh_from_db()
        waits.append(round((message.next_at - moment).total_seconds() / 60))
        assert message.lease is None
        assert message.failed_at is None
        moment = message.next_at
    assert waits == [1, 2, 5, 15, 30, 60, 60, 60]
    monkeypatch.undo()
    assert send_due(now=moment) == 1


def test_an_address_refused_for_good_becomes_a_letter(message: OutboxMessage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **kwargs: Any) -> int:
        raise smtplib.SMTPRecipientsRefused({"outsider@example.org": (550, b"unknown")})

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refused)
    assert send_due() == 0
    message.refresh_from_db()
    notice = Notice.objects.get(pk=message.notice_id)
    assert message.failed_at is not None
    assert notice.status == NoticeStatus.UNREACHABLE
    assert notice.messages.filter(channel="letter", sent_at=None).exists()
    unsent = Notice.objects.filter(pk=notice.pk, sent_at=None)
    assert unsent.exists()
    mark_posted(by=Actor(organisation=notice.campaign.organisation, role="quality"), notice=notice)
    assert not unsent.exists(), "the board counts it as told, and it hears of changes"
    assert due_messages(now() + datetime.timedelta(days=1)) == []


def test_an_answer_given_before_the_mail_went_out_is_kept(message: OutboxMessage) -> None:
    from recalls.access import notice_link
    from recalls.actions.answers import acknowledge_by_link

    notice = Notice.objects.get(pk=message.notice_id)
    acknowledge_by_link(token=notice_link(notice), name="示例甲")
    assert send_due() == 1
    notice.refresh_from_db()
    assert notice.status == NoticeStatus.ACKNOWLEDGED


def test_a_drills_message_is_refused_whoever_made_it(chain: Chain) -> None:
    from recalls.letters import compose
    from trace.errors import DomainError

    campaign = started(chain, is_drill=True)
    smuggled = OutboxMessage.objects.create(
        notice=campaign.notices.get(organisation=chain.outsider), channel="email", address="outsider@example.org"
    )
    with pytest.raises(DomainError) as refused:
        compose(smuggled)
    assert refused.value.code == "drill_stays_inside"
    assert mail.outbox == []


@pytest.mark.parametrize(
    "broken",
    [
        {"lease": "0198a000-0000-7000-8000-000000000000"},
        {"sent_at": timezone.now(), "failed_at": timezone.now()},
        {"address": ""},
    ],
    ids=["lease alone", "sent and failed", "no address"],
)
def test_the_database_refuses_a_message_in_two_minds(message: OutboxMessage, broken: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        OutboxMessage.objects.filter(pk=message.pk).update(**broken)


# --- Real processes -------------------------------------------------------------------------------------------------


@dataclass
class Mailbox:
    """A mail server of a few lines on this machine. ``stalled`` makes it take the message and answer only when told."""

    port: int
    received: list[str] = field(default_factory=list)
    took_one: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)

    @property
    def message_ids(self) -> set[str]:
        return {str(email.message_from_string(text)["Message-ID"]) for text in self.received}


def _talk(connected: socket.socket, box: Mailbox) -> None:
    """One conversation of SMTP as far as Django's backend goes."""
    with connected, connected.makefile("rwb") as line:

        def say(text: str) -> None:
            line.write(text.encode() + b"\r\n")
            line.flush()

        try:
            say("220 test")
            while command := line.readline():
                word = command.split()[0].upper() if command.split() else b""
                if word == b"DATA":
                    say("354 go on")
                    body = []
                    while (text := line.readline()) not in (b".\r\n", b""):
                        body.append(text.decode("utf-8", "replace"))
                    box.received.append("".join(body))
                    box.took_one.set()
                    while box.stalled.is_set():
                        time.sleep(0.02)
                    say("250 taken")
                elif word == b"QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 ok")
        except OSError:
            return


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """The server, in threads, until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    box = Mailbox(listener.getsockname()[1])

    def accept() -> None:
        while True:
            try:
                connected, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=_talk, args=(connected, box), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield box
    finally:
        box.stalled.clear()
        listener.shutdown(socket.SHUT_RDWR)  # closing alone would let one more caller in
        listener.close()


def _environment(database: CommittedDatabase, box: Mailbox) -> dict[str, str]:
    return database.env(DJANGO_SETTINGS_MODULE="tests.recalls.mail_settings", TEST_SMTP_PORT=str(box.port))


def _worker(database: CommittedDatabase, box: Mailbox, *arguments: str) -> Loaded:
    return Loaded(str(ROOT / "manage.py"), "worker", *arguments, env=_environment(database, box))


def _start_a_recall() -> None:
    """A committed recall with one e-mail to send."""
    started(make_chain(make_world()))
    connection.close()


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing_and_is_read_once(committed_db: CommittedDatabase) -> None:
    _start_a_recall()
    with mail_server() as box:
        box.stalled.set()
        worker = _worker(committed_db, box, "--lease", "1")
        assert box.took_one.wait(60), "the worker never spoke to the mail server"
        worker.kill()
        worker.communicate(timeout=60)
        box.stalled.clear()
        message = OutboxMessage.objects.get(channel="email")
        assert message.sent_at is None
        connection.close()
        time.sleep(1.2)
        again = _worker(committed_db, box, "--once", "--lease", "1")
        out, error = again.communicate(timeout=60)
        assert again.returncode == 0, out + error
    message = OutboxMessage.objects.get(channel="email")
    assert message.sent_at is not None
    assert message.attempts == 2
    assert len(box.received) == 2
    assert len(box.message_ids) == 1
    assert Notice.objects.get(pk=message.notice_id).status == NoticeStatus.SENT


@pytest.mark.slow
def test_a_worker_asked_to_stop_finishes_the_message_in_hand(committed_db: CommittedDatabase) -> None:
    _start_a_recall()
    with mail_server() as box:
        box.stalled.set()
        worker = _worker(committed_db, box)
        assert box.took_one.wait(60), "the worker never spoke to the mail server"
        worker.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert worker.poll() is None
        box.stalled.clear()
        out, error = worker.communicate(timeout=60)
        assert worker.returncode == 0, out + error
    assert OutboxMessage.objects.get(channel="email").sent_at is not None
    assert len(box.received) == 1


@pytest.mark.slow
def test_two_workers_at_once_send_one_message(committed_db: CommittedDatabase) -> None:
    _start_a_recall()
    with mail_server() as box:
        first = _worker(committed_db, box, "--once")
        second = _worker(committed_db, box, "--once")
        outs = [one.communicate(timeout=60)[0] for one in (first, second)]
        assert [first.returncode, second.returncode] == [0, 0], outs
    assert len(box.received) == 1
    assert OutboxMessage.objects.get(channel="email").attempts == 1
