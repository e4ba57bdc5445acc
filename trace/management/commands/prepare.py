"""What every start and every upgrade does before the server may answer."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from trace.first_tables import make_first_tables


class Command(BaseCommand):
    """Migrate the database, compile the translations, collect the static files. Safe to repeat, and then quick."""

    help = "Migrate, compile translations and collect static files; done by make run, make serve and make upgrade."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the three; each does nothing where nothing changed."""
        Path(settings.MEDIA_ROOT).mkdir(mode=0o700, parents=True, exist_ok=True)
        make_first_tables()
        call_command("migrate", interactive=False, verbosity=0)
        call_command("compile_translations", stdout=self.stdout)
        call_command("collectstatic", interactive=False, verbosity=0)
