"""Compile locale/*/LC_MESSAGES/*.po without the system's msgfmt, which a fresh machine does not have."""

import os
from pathlib import Path
from typing import Any

import polib
from django.conf import settings
from django.core.management.base import BaseCommand


def compile_catalogue(po: Path) -> bool:
    """Write the .mo beside one .po unless it is newer already; True when it was written.

    Fuzzy entries are guesses and stay out. The file appears whole or not at all, since servers and tests that
    start together may compile at the same time.
    """
    mo = po.with_suffix(".mo")
    if mo.exists() and mo.stat().st_mtime_ns > po.stat().st_mtime_ns:
        return False
    unfinished = mo.with_suffix(f".{os.getpid()}.tmp")
    polib.pofile(str(po), encoding="utf-8").save_as_mofile(str(unfinished))
    unfinished.replace(mo)
    return True


def compile_all(folders: list[Path]) -> list[Path]:
    """Compile every catalogue under the given locale folders; the .po files that were compiled."""
    found = (po for folder in folders for po in sorted(Path(folder).glob("*/LC_MESSAGES/*.po")))
    return [po for po in found if compile_catalogue(po)]


class Command(BaseCommand):
    """`manage.py compile_translations`: a stand-in for compilemessages that needs no gettext tools."""

    help = "Compile the translations under locale/ without the system's msgfmt."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Compile what changed and name it."""
        for po in compile_all(settings.LOCALE_PATHS):
            self.stdout.write(f"compiled {po.relative_to(settings.BASE_DIR)}")
