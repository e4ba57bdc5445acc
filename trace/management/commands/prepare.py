"""What every start and every upgrade does before the server may answer."""

import hashlib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand

from trace.first_tables import make_first_tables


def static_sources() -> str:
    """Which static files there are to collect, in one hash: their names, sizes and times, and how they are kept."""
    seen = hashlib.sha256(str(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        for name, storage in finder.list([]):
            facts = Path(storage.path(name)).stat()
            seen.update(f"{name}\0{storage.path(name)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return seen.hexdigest()


class Command(BaseCommand):
    """Migrate the database, compile the translations, collect the static files. Safe to repeat, and then quick."""

    help = "Migrate, compile translations and collect static files; done by make run, make serve and make upgrade."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See the help text; one process for what three took."""
        parser.add_argument(
            "--serve", action="store_true", help="then ask for the first operator and make the checks of a deployment"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the three; each does nothing where nothing changed."""
        Path(settings.MEDIA_ROOT).mkdir(mode=0o700, parents=True, exist_ok=True)
        make_first_tables()
        call_command("migrate", interactive=False, verbosity=0)
        call_command("compile_translations", stdout=self.stdout)
        self._collect_static()
        if options["serve"]:
            call_command("setup_operator", stdout=self.stdout)
            # Warnings are shown; an error (among them: this is the demonstration's database) ends the start.
            call_command("check", deploy=True, databases=["default"])

    def _collect_static(self) -> None:
        """Collecting packs every file anew; a note beside them says what they were collected from."""
        note, sources = Path(settings.STATIC_ROOT) / ".collected", static_sources()
        if note.is_file() and note.read_text() == sources:
            return
        note.unlink(missing_ok=True)  # what is cut off here is begun anew at the next start
        call_command("collectstatic", interactive=False, verbosity=0)
        note.write_text(sources)
