"""The recalls app as Django sees it."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RecallsConfig(AppConfig):
    """What went wrong: signals, campaigns, scope, notices, disposal, law and clocks."""

    name = "recalls"
    label = "recalls"
    verbose_name = _("召回")
    default_auto_field = "django.db.models.BigAutoField"
