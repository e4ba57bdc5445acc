"""``manage.py rebuild``: derive everything again from the events; ``--check`` only compares."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from trace.actions.rebuild import rebuild


class Command(BaseCommand):
    """Compare the derived rows with the events, or put them right."""

    help = "Derive lots, stock, links and receipts again from the events. With --check only compare."

    def add_arguments(self, parser: CommandParser) -> None:
        """``--check`` writes nothing."""
        parser.add_argument("--check", action="store_true", help="compare only")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what was compared and each difference."""
        report = rebuild(write=not options["check"])
        for difference in report.differences[:200]:
            self.stdout.write(difference)
        self.stdout.write(f"{report.events} events, {report.rows} derived rows, {len(report.differences)} differences")
        if report.differences and options["check"]:
            raise CommandError("derived rows differ from the events")
