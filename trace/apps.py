"""The trace app as Django sees it."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class TraceConfig(AppConfig):
    """What happened: organisations, products, lots, events, genealogy, evidence."""

    name = "trace"
    label = "trace"
    verbose_name = _("追溯")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hook up the triggers that keep append-only rows; importing registers the checks that look for them."""
        from trace import append_only, checks, references  # noqa: F401  (importing registers the checks)
        from trace.reference import load_reference

        post_migrate.connect(append_only.install_triggers, dispatch_uid="append_only_triggers")
        post_migrate.connect(references.install, dispatch_uid="references")
        post_migrate.connect(load_reference, sender=self, dispatch_uid="load_reference")
