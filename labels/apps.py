"""The labels app as Django sees it."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LabelsConfig(AppConfig):
    """What is printed and scanned: code runs, sheets, resolver, scans, the provenance page."""

    name = "labels"
    label = "labels"
    verbose_name = _("标签")
    default_auto_field = "django.db.models.BigAutoField"
