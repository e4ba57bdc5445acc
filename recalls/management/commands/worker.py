"""`manage.py worker`: sends the outbox and reminders, ages unanswered notices, imports sheets, forgets old answers.

Sheets are handled in a thread of their own: a message never waits for an import.
"""

import datetime
import signal
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand
from django.db import close_old_connections
from django.utils import timezone

from recalls.actions.cases import forget_old_cases
from recalls.actions.drills import send_contact_tests
from recalls.actions.hooks import deliver_due
from recalls.actions.notices import age_notices, run_next_notices
from recalls.actions.outbox import LEASE, claim, due_messages, send_one
from recalls.actions.subscriptions import forget_unconfirmed, send_next, tell_next
from trace.actions.chasing import send_reminders
from trace.actions.imports import forget_sheets
from trace.actions.requests import forget_requests
from trace.work import keep_working, work_off

TIDY_EVERY = datetime.timedelta(hours=1)


class Command(BaseCommand):
    """Loops until SIGTERM or Ctrl-C; finishes the message in hand first. Safe to run several at once and to kill."""

    help = "Sends recall messages from the outbox and escalates unanswered notices."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--once` for one round; the pause between rounds; how long a claimed message is ours."""
        parser.add_argument("--once", action="store_true", help="one round, then end")
        parser.add_argument("--interval", type=float, default=5.0, help="seconds between rounds")
        parser.add_argument("--lease", type=float, default=LEASE.total_seconds(), help="seconds a claim holds")

    def handle(self, *args: Any, **options: Any) -> None:
        """The loop. The pause is an event, so that a signal ends it at once."""
        self.stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._asked_to_stop)
        lease = datetime.timedelta(seconds=options["lease"])
        tidied_at: datetime.datetime | None = None
        if options["once"]:
            work_off()
        else:
            threading.Thread(target=keep_working, args=[self.stop], daemon=True).start()
        while True:
            close_old_connections()
            sent = self._round(lease)
            if tidied_at is None or timezone.now() - tidied_at >= TIDY_EVERY:
                forget_requests()
                forget_sheets()
                forget_old_cases()
                forget_unconfirmed()
                tidied_at = timezone.now()
            if options["once"]:
                self.stdout.write(f"{sent} sent")
                return
            if self.stop.wait(0 if sent else options["interval"]):
                return

    def _round(self, lease: datetime.timedelta) -> int:
        """Notices still to be made, every message due now, then notices that waited too long and reminders."""
        while not self.stop.is_set() and run_next_notices():
            pass
        sent = 0
        for pk in due_messages(timezone.now()):
            if self.stop.is_set():
                return sent
            message = claim(message_id=pk, now=timezone.now(), lease=lease)
            if message is not None:
                sent += send_one(message=message)
        send_contact_tests()
        deliver_due()
        age_notices()
        while not self.stop.is_set() and tell_next():
            pass
        while not self.stop.is_set() and send_next(lease=lease):
            sent += 1
        return sent + send_reminders()

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop.set()
