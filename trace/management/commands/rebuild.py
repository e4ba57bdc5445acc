"""``manage.py rebuild``: derive everything again from the events; ``--check`` only compares."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from trace.actions.names import misnamed
from trace.actions.rebuild import rebuild


class Command(BaseCommand):
    """Compare the derived rows with the events, or put them right."""

    help = "Derive lots, stock, links and receipts again from the events. With --check only compare."

    def add_arguments(self, parser: CommandParser) -> None:
        """``--check`` writes nothing."""
        parser.add_argument("--check", action="store_true", help="compare only")
        parser.add_argument("--names", action="store_true", help="only the index of names that the search uses")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what was compared and each difference."""
        if options["names"]:
            self._names(write=not options["check"])
            return
        report = rebuild(write=not options["check"])
        for difference in report.differences[:200]:
            self.stdout.write(difference)
        self.stdout.write(f"{report.events} events, {report.rows} derived rows, {len(report.differences)} differences")
        if report.differences and options["check"]:
            raise CommandError("derived rows differ from the events")

    def _names(self, *, write: bool) -> None:
        """Compare the index of names with products and organisations, or put it right."""
        differences = list(misnamed(write=write))
        for difference in differences[:200]:
            self.stdout.write(difference)
        self.stdout.write(f"{len(differences)} differences")
        if differences and not write:
            raise CommandError("the index of names differs from the names")
