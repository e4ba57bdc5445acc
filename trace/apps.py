"""The trace app as Django sees it."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TraceConfig(AppConfig):
    """What happened: organisations, products, lots, events, genealogy, evidence."""

    name = "trace"
    label = "trace"
    verbose_name = _("追溯")
    default_auto_field = "django.db.models.BigAutoField"
