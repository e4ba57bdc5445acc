"""``manage.py import_epcis FOLDER --as USERNAME``: take a folder of EPCIS documents in."""

import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from trace.actions.epcis_folder import import_folder
from trace.actor import Actor
from trace.errors import DomainError
from trace.models import CaptureJob, Membership


class Command(BaseCommand):
    """Capture every document below a folder; begun again it goes on where it stopped."""

    help = "Capture every .json, .jsonld and .xml below a folder as EPCIS; run it again to resume."

    def add_arguments(self, parser: CommandParser) -> None:
        """The folder, who captures, what an event that is refused means for the rest of its document."""
        parser.add_argument("folder", type=Path)
        parser.add_argument("--as", dest="username", required=True, help="who captures, for their organisation")
        parser.add_argument("--proceed", action="store_true", help="leave out what is wrong instead of the document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line per file; an error at the end where some were not taken whole."""
        if not options["folder"].is_dir():
            raise CommandError("there is no such folder")
        membership = (
            Membership.objects.filter(user__username=options["username"], ended_at=None, user__is_active=True)
            .select_related("user", "organisation__division")
            .order_by("id")
            .first()
        )
        if membership is None:
            raise CommandError("nobody of this name works for an organisation")
        by = Actor(
            organisation=membership.organisation, user=membership.user, role=membership.role, membership=membership
        )
        behaviour = CaptureJob.Behaviour.PROCEED if options["proceed"] else CaptureJob.Behaviour.ROLLBACK
        wrong = 0
        try:
            for done in import_folder(by=by, folder=options["folder"], behaviour=behaviour, waits=self.waits):
                job = done.job
                said = "done before" if done.before else "captured" if job.success else "NOT TAKEN WHOLE"
                self.stdout.write(
                    f"{done.number}/{done.total} {done.path.name}: {said}; {job.captured} events, "
                    f"{job.repeated} known, {job.faulty} refused, {job.conflicts} conflicts"
                )
                for error in job.errors[:5] if not done.before else ():
                    self.stdout.write(f"    {error['pointer']}: {error['detail']}")
                wrong += not job.success
        except DomainError as error:
            raise CommandError(error.message) from None
        if wrong:
            raise CommandError(f"{wrong} documents were not taken whole")

    def waits(self, path: Path, until: datetime.datetime) -> None:
        """Say why nothing happens."""
        when = timezone.localtime(until)
        self.stdout.write(f"{path.name}: somebody is at it, or was interrupted; it goes on here after {when:%H:%M:%S}")
