"""``manage.py demo``: the demonstration data, or a world of any size for measurements."""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from desk.demo.build import build_demo
from desk.demo.cast import LOGINS, PASSWORD
from desk.demo.verdicts import VERDICT_WORDS, example_links
from trace.models import Organisation


class Command(BaseCommand):
    """Build the demonstration through the same actions that users call; never into a database that holds anything."""

    help = "Fill an empty database with the demonstration (all names 示例). Same seed and day, same data."
    # The worker's start makes the system checks; here they would take longer than everything on a filled database.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """``--if-empty`` leaves a filled database alone; ``--lots`` adds a generated world; ``--today`` fixes it.

        ``--prepare`` saves the start of a second process.
        """
        parser.add_argument("--prepare", action="store_true", help="first do what the command prepare does")
        parser.add_argument("--if-empty", action="store_true", help="do nothing when the database holds data")
        parser.add_argument("--logins", action="store_true", help="print the log-ins afterwards")
        parser.add_argument("--lots", type=int, default=0, help="add generated supply chains with this many lots")
        parser.add_argument("--seed", type=int, default=20261122)
        parser.add_argument("--today", type=datetime.date.fromisoformat, default=None)

    def handle(self, *args: Any, **options: Any) -> None:
        """Build, and say what was built; refused outside the demonstration, since everybody knows its log-ins."""
        if not (settings.DEMO or settings.DEBUG):
            raise CommandError("Everybody knows the demonstration's log-ins. `make run` builds it, nothing else.")
        if options["prepare"]:
            call_command("prepare", stdout=self.stdout)
        if not Organisation.objects.exists():
            self._build(options)
        elif not options["if_empty"]:
            raise CommandError("The database is not empty. The demonstration only fills an empty one.")
        if options["logins"]:
            for username, who in LOGINS:
                self.stdout.write(f"  {username:20} {PASSWORD}   {who}")
            for verdict, address in example_links():
                self.stdout.write(f"  {address}   {VERDICT_WORDS[verdict]}")

    def _build(self, options: dict[str, Any]) -> None:
        # Its last story happens at half past ten: before eleven the demonstration's day is yesterday.
        today = options["today"] or (timezone.localtime() - datetime.timedelta(hours=11)).date()
        summary = build_demo(today=today, seed=options["seed"], lots=options["lots"])
        self.stdout.write(summary)
