"""The first start: tables of an empty database come from the models, not from replaying how they came to be.

At each operation of a migration Django makes the classes of all models around a changed one anew; on an empty database
that is a minute for tables nobody has a row in. The migrations remain what brings a database with rows up to date, and
tests/house/test_migrations.py keeps both ways giving the same tables and rows.
"""

from __future__ import annotations

from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import connections
from django.db.migrations.executor import MigrationExecutor


def make_first_tables(using: str = "default") -> bool:
    """Make our tables in a database that has none of them, and note our migrations as applied; whether it did so.

    The tables and the notes are one transaction: a start that is killed leaves none of them. To be followed by
    ``migrate``, whose ``post_migrate`` installs triggers and reference data.
    """
    connection = connections[using]
    ours = [config for config in apps.get_app_configs() if Path(config.path).parent == Path(settings.BASE_DIR)]
    labels = {config.label for config in ours}
    models = [model for config in ours for model in config.get_models() if model._meta.managed]
    executor = MigrationExecutor(connection)
    tables = set(connection.introspection.table_names())
    if any(app in labels for app, _ in executor.loader.applied_migrations or ()) or any(
        model._meta.db_table in tables for model in models
    ):
        return False
    # What our tables point to comes first, the way its authors wrote it.
    executor.migrate([leaf for leaf in executor.loader.graph.leaf_nodes() if leaf[0] not in labels])
    with connection.schema_editor() as editor:
        for model in models:
            editor.create_model(model)
        for app, name in executor.loader.disk_migrations:
            if app in labels:
                executor.recorder.record_applied(app, name)
    return True
