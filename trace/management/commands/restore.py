"""`make restore FILE=…`: put a backup back."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from trace.backups import backup_name, restore_backup
from trace.errors import DomainError


class Command(BaseCommand):
    """Verify a backup, save what is there, put the backup in its place, bring it up to the program's version."""

    help = "Put a backup in the place of what is there now; that is saved first."
    # A check of the database would fail on the very database that is to be replaced.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See the help texts."""
        parser.add_argument("file", type=Path, help="The backup to put back.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Restore, or say why nothing was changed."""
        safety_copy = Path(settings.BACKUP_DIR).resolve() / backup_name("before-restore")
        try:
            manifest = restore_backup(options["file"].resolve(), safety_copy)
        except DomainError as error:
            raise CommandError(_("没有改动任何数据。%(why)s") % {"why": error.message}) from error
        call_command("migrate", interactive=False, verbosity=0)
        self.stdout.write(_("已恢复 %(time)s 的备份。") % {"time": manifest.made_at})
        if safety_copy.exists():
            self.stdout.write(_("恢复前的数据保存在 %(file)s。") % {"file": safety_copy})
        self.stdout.write(_("请重新启动服务器和后台进程。"))
