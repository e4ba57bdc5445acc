"""A system check that only the top of the house can make: is this the demonstration's database?"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from desk.demo.cast import LOGINS, PASSWORD
from trace.models import User


@register(Tags.database, deploy=True)
def check_for_known_log_ins(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> Iterable[CheckMessage]:
    """E014 when somebody can sign in with a password that the demonstration's sign-in page shows to everybody."""
    if not databases or settings.DEMO:
        return []
    names = [username for username, _ in LOGINS]
    try:
        users = list(User.objects.filter(username__in=names, is_active=True))
    except DatabaseError:  # not migrated yet: nobody can sign in
        return []
    # Not the user's own check_password, which would write the password anew in more rounds.
    known = [user.username for user in users if check_password(PASSWORD, user.password)]
    if not known:
        return []
    return [
        Error(
            f"Everybody knows the password of {', '.join(known)}: this database holds the demonstration.",
            hint="Start production on a database of its own: another DATABASE_URL or DATA_DIR.",
            id="desk.E014",
        )
    ]
