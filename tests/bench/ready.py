"""Ends with 0 if the database at hand holds a finished world; brings its tables up to the code at hand."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """A world that knows migrations the code no longer has is not used."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    from tests.bench import worlds
    from trace.references import missing_parts

    if worlds.load() is None:
        return 1
    loader = MigrationLoader(connection)
    if set(loader.applied_migrations) - set(loader.disk_migrations):
        return 1
    missing = set(loader.disk_migrations or ()) - set(loader.applied_migrations or ())
    if missing or missing_parts():
        call_command("migrate", verbosity=0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
