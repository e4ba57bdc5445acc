"""``manage.py migrate``, as Django has it."""

from typing import Any

from django.conf import settings
from django.core.management.commands import migrate

MENDED = ("trace.E001", "trace.E010", "labels.E001")
"""Checks that miss triggers; every migration installs them at its end."""


class Command(migrate.Command):
    """Does not refuse for what it is about to put right: those checks tell to run it."""

    def check(self, *args: Any, **kwargs: Any) -> None:
        """The checks before it, but those."""
        silenced = settings.SILENCED_SYSTEM_CHECKS
        settings.SILENCED_SYSTEM_CHECKS = [*silenced, *MENDED]
        try:
            super().check(*args, **kwargs)
        finally:
            settings.SILENCED_SYSTEM_CHECKS = silenced
