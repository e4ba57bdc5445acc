"""`make backup`: save the running installation into one file."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from trace.backups import backup_name, make_backup
from trace.errors import DomainError


class Command(BaseCommand):
    """Write a backup and name it."""

    help = "Save the database and the uploaded files into one file, also while the program is running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See the help texts."""
        parser.add_argument("--to", type=Path, help="The file to write; otherwise one with the time under BACKUP_DIR.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the backup, or say why there is none."""
        target: Path = (options["to"] or Path(settings.BACKUP_DIR) / backup_name()).resolve()
        try:
            manifest = make_backup(target)
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(
            _("备份完成：%(file)s(%(files)d 个文件，%(size).1f MB)")
            % {"file": target, "files": len(manifest.members), "size": target.stat().st_size / 1e6}
        )
