"""`manage.py load_workdays FILE SOURCE`: load a year's holiday notice into the working calendar."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recalls.actions.clocks import load_calendar
from recalls.law.calendar import read_workdays


class Command(BaseCommand):
    """Reads a file shaped like ``recalls/data/workdays.csv`` and counts running limits again, keeping old values."""

    help = "Loads working days from a State Council notice (CSV: date,is_workday,holiday) and recounts running limits."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The file, and the notice it comes from."""
        parser.add_argument("file", type=Path)
        parser.add_argument("source", help="the notice's number, for example 国办发明电〔2026〕7号")

    def handle(self, *args: Any, **options: Any) -> None:
        """Load all rows or none."""
        try:
            rows = list(read_workdays(options["file"]))
        except (OSError, KeyError, ValueError) as problem:
            raise CommandError(f"{options['file']}: {problem}") from problem
        if not rows:
            raise CommandError(f"{options['file']} has no rows.")
        moved = load_calendar(rows=rows, source=options["source"])
        self.stdout.write(f"{len(rows)} days loaded, {moved} limits moved")
