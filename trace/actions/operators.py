"""The people who run the installation itself."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from trace.errors import Clash, Invalid
from trace.models import User


def create_first_operator(*, username: str, display_name: str, password: str) -> User:
    """Create the installation's first operator, who then vets the first regulator and invites the others.

    There is no actor: whoever can run commands on the server is the installation's owner. Refuses when there is an
    operator already (Clash, `operator_exists`), a name that is taken or cannot be one (Invalid, `username`), and a
    password that is too weak (Invalid, `password_weak`).
    """
    user = User(username=username.strip(), display_name=display_name.strip() or username.strip(), is_staff=True)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), code="password_weak") from error
    user.set_password(password)
    with transaction.atomic():
        if User.objects.filter(is_staff=True, is_active=True).exists():
            raise Clash(_("本系统已有运维人员。"), code="operator_exists")
        try:
            user.full_clean()
        except ValidationError as error:
            raise Invalid(" ".join(error.messages), code="username") from error
        user.save(force_insert=True)
    return user
