"""The labels app as Django sees it."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class LabelsConfig(AppConfig):
    """What is printed and scanned: code runs, sheets, resolver, scans, the provenance page."""

    name = "labels"
    label = "labels"
    verbose_name = _("标签")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Hook up the triggers that count changes; importing registers the check that looks for them."""
        from labels import freshness

        post_migrate.connect(freshness.install, dispatch_uid="freshness_triggers")
