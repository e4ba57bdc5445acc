"""Every way out of the house with its sender killed in the middle, and with the mail server down for ten minutes.

Real processes and real sockets; the clock is moved, not slept.
"""

from __future__ import annotations

import datetime
import http.server
import socket
import threading
from collections import Counter
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from recalls.actions.hooks import add_webhook, deliver_due
from recalls.actions.outbox import send_due
from recalls.actions.subscriptions import send_next, tell_next
from recalls.models import Notice, OutboxMessage, PublicMessage, Subscription, WebhookDelivery
from recalls.notice_states import NoticeStatus
from tests.conftest import CommittedDatabase
from tests.loaded import Loaded
from tests.recalls.story import announced, make_chain
from tests.recalls.test_outbox import mail_server
from tests.world import make_world
from trace.models import Organisation
from trace.personal import seal

MINUTE = datetime.timedelta(minutes=1)
CHILDREN = {
    "sms": "from recalls.actions.outbox import send_due; send_due()",
    "hook": "from recalls.actions.hooks import deliver_due; deliver_due()",
    "public": "from recalls.actions.subscriptions import send_next; send_next()",
}


class Partner(http.server.ThreadingHTTPServer):
    """A gateway for text messages or a partner's system; while ``stalled`` it takes a request and does not answer."""

    daemon_threads = True

    def __init__(self, header: str) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.header = header
        self.taken: list[str] = []
        self.took_one = threading.Event()
        self.go_on = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Taking(http.server.BaseHTTPRequestHandler):
    """Keeps the name under which each message came."""

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Partner)
        self.rfile.read(int(self.headers["Content-Length"]))
        server.taken.append(self.headers[server.header])
        server.took_one.set()
        server.go_on.wait(60)
        try:
            self.send_response(200)
            self.end_headers()
        except OSError:
            return  # Who asked was killed.

    def log_message(self, *args: Any) -> None:
        """Quiet."""


def _subscribed() -> None:
    """Somebody who confirmed that it wants to hear of every recall."""
    address = seal("reader@example.org", organisation=None, purpose="subscription")
    Subscription.objects.create(scope="all", status="active", address=address, address_hash="示例", language="zh-hans")


@pytest.mark.slow
def test_killed_in_the_middle_every_message_is_sent_and_counts_once(
    committed_db: CommittedDatabase, settings: Any
) -> None:
    sms, partner = Partner("Idempotency-Key"), Partner("X-Trace-Delivery")
    settings.SMS_BACKEND, settings.SMS_GATEWAY_TOKEN = "http", "test"
    settings.SMS_GATEWAY_URL = f"http://127.0.0.1:{sms.server_port}/"
    settings.WEBHOOK_ALLOW_PRIVATE = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    chain = make_chain(make_world())
    Organisation.objects.filter(pk=chain.outsider.pk).update(
        recall_contact_email="", recall_contact_phone="13900000000"
    )
    add_webhook(by=chain.world.distributor, url=f"http://127.0.0.1:{partner.server_port}/hook")
    _subscribed()
    announced(chain)
    while tell_next():
        pass
    connection.close()
    with mail_server() as box:
        settings.EMAIL_PORT = box.port
        box.stalled.set()
        environment = committed_db.env(
            DJANGO_SETTINGS_MODULE="tests.recalls.mail_settings",
            TEST_SMTP_PORT=str(box.port),
            TEST_SMS_PORT=str(sms.server_port),
        )
        children = [
            Loaded("-c", f"import django; django.setup(); {text}", env=environment) for text in CHILDREN.values()
        ]
        for took in (sms.took_one, partner.took_one, box.took_one):
            assert took.wait(60), "a sender never spoke"
        for child in children:
            child.kill()
            child.communicate(timeout=60)
        assert not OutboxMessage.objects.filter(channel="sms", sent_at__isnull=False).exists()
        assert not WebhookDelivery.objects.filter(sent_at__isnull=False).exists()
        assert not PublicMessage.objects.filter(sent_at__isnull=False).exists()
        box.stalled.clear()
        sms.go_on.set()
        partner.go_on.set()
        now = timezone.now()
        assert (send_due(now=now), deliver_due(now=now), send_next(now=now)) == (0, 0, False), "the leases still run"
        for later in (5, 6, 60):
            when = now + later * MINUTE
            send_due(now=when)
            deliver_due(now=when)
            while send_next(now=when):
                pass
    assert not OutboxMessage.objects.filter(channel="sms", sent_at=None).exists()
    assert not WebhookDelivery.objects.filter(sent_at=None).exists()
    assert not PublicMessage.objects.filter(sent_at=None).exists()
    # What was taken before the kill came a second time under the same name: whoever got it counts one.
    assert Counter(sms.taken) == {str(OutboxMessage.objects.get(channel="sms").uid): 2}
    assert Counter(partner.taken) == {str(WebhookDelivery.objects.get().uid): 2}
    assert len(box.received) == 2
    assert len(box.message_ids) == 1
    assert Notice.objects.get(organisation=chain.outsider).status == NoticeStatus.SENT
    for server in (sms, partner):
        server.shutdown()
        server.server_close()


@pytest.mark.django_db
def test_mail_down_for_ten_minutes_loses_and_doubles_nothing(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    chain = make_chain(make_world())
    _subscribed()
    announced(chain)
    while tell_next():
        pass
    start = timezone.now()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, so that no other test's server can be there; it does not listen
        settings.EMAIL_PORT = nobody.getsockname()[1]
        for minute in range(10):
            send_due(now=start + minute * MINUTE)
            while send_next(now=start + minute * MINUTE):
                pass
    waiting = OutboxMessage.objects.get(channel="email")
    assert waiting.sent_at is None
    assert waiting.failed_at is None, "a server that is down is no reason to give up"
    assert waiting.attempts == 4, "after 1, 2 and 5 minutes"
    with mail_server() as box:
        settings.EMAIL_PORT = box.port
        for minute in range(10, 61):
            send_due(now=start + minute * MINUTE)
            while send_next(now=start + minute * MINUTE):
                pass
    assert len(box.received) == 2, "the holder's and the subscriber's"
    assert len(box.message_ids) == 2
    assert not PublicMessage.objects.filter(sent_at=None).exists()
    assert Notice.objects.get(organisation=chain.outsider).status == NoticeStatus.SENT
