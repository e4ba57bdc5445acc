"""The desk app as Django sees it."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DeskConfig(AppConfig):
    """The workspaces: pages that show more than one of the other apps, and the demonstration."""

    name = "desk"
    label = "desk"
    verbose_name = _("工作台")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hook up the check, and give the worker the jobs of labels, recalls and of the EPCIS door."""
        from desk import checks  # noqa: F401  (importing registers it)
        from labels.actions.checks import run_next_check_forgetting
        from labels.actions.files import run_next_file, run_next_forgetting
        from labels.actions.runs import run_next_issue
        from labels.actions.suspicions import examine_next
        from recalls.actions.packs import run_next_pack
        from trace import work
        from trace.actions.epcis_index import work_index
        from trace.actions.epcis_jobs import run_next_capture, run_next_sweep
        from trace.actions.epcis_subscriptions import tell_next

        jobs = (run_next_issue, run_next_file, run_next_forgetting, run_next_check_forgetting, examine_next)
        for job in (*jobs, run_next_pack, run_next_capture, run_next_sweep, work_index, tell_next):
            if job not in work.JOBS:
                work.JOBS.append(job)
