"""The first operator of a production installation."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from trace.actions.operators import create_first_operator
from trace.errors import DomainError
from trace.models import User

GOOD = "walnut-orchard-lamp"
pytestmark = pytest.mark.django_db


def create(**changes: str) -> User:
    return create_first_operator(**({"username": "ops", "display_name": "运维", "password": GOOD} | changes))


def test_the_first_operator_can_sign_in_and_owns_no_goods() -> None:
    user = create()
    assert user.check_password(GOOD)
    assert (user.is_staff, user.is_superuser) == (True, False)
    assert not user.memberships.exists()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"password": "short"}, "password_weak"),
        ({"password": "12345678901"}, "password_weak"),
        ({"password": "operator-ops-1", "username": "operator-ops-1"}, "password_weak"),
        ({"username": ""}, "username"),
        ({"username": "a b"}, "username"),
    ],
)
def test_a_weak_password_or_an_impossible_name_is_refused(changes: dict[str, str], code: str) -> None:
    with pytest.raises(DomainError) as caught:
        create(**changes)
    assert caught.value.code == code
    assert not User.objects.exists()


def test_there_is_only_one_first_operator() -> None:
    create()
    with pytest.raises(DomainError) as caught:
        create(username="second")
    assert caught.value.code == "operator_exists"


def test_without_a_terminal_the_environment_is_asked(monkeypatch: Any) -> None:
    monkeypatch.setenv("OPERATOR_USERNAME", "ops")
    monkeypatch.setenv("OPERATOR_PASSWORD", GOOD)
    call_command("setup_operator")
    call_command("setup_operator")
    assert User.objects.get().username == "ops"


def test_without_a_terminal_and_an_environment_the_start_is_refused(monkeypatch: Any) -> None:
    monkeypatch.delenv("OPERATOR_USERNAME", raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(CommandError, match="OPERATOR_USERNAME"):
        call_command("setup_operator")
    assert not User.objects.exists()


def test_at_a_terminal_one_is_asked_until_it_is_right(monkeypatch: Any) -> None:
    monkeypatch.delenv("OPERATOR_USERNAME", raising=False)
    passwords = iter([GOOD, "a slip of the finger", "short", "short", GOOD, GOOD])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: "ops")
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(passwords))
    call_command("setup_operator")
    assert User.objects.get().check_password(GOOD)
    assert next(passwords, None) is None
