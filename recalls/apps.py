"""The recalls app as Django sees it."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class RecallsConfig(AppConfig):
    """What went wrong: signals, campaigns, scope, notices, disposal, law and clocks."""

    name = "recalls"
    label = "recalls"
    verbose_name = _("召回")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Seed the working calendar after each migration."""
        from recalls.reference import load_workdays

        post_migrate.connect(load_workdays, sender=self, dispatch_uid="load_workdays")
