"""What every request passes before the apps."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from config.middleware import client_address
from trace.models import User


def seen(forwarded: str | None) -> str:
    """The address that the apps see."""
    found = []

    def view(request: HttpRequest) -> HttpResponse:
        found.append(request.META["REMOTE_ADDR"])
        return HttpResponse()

    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    client_address(view)(RequestFactory().get("/", headers=headers, REMOTE_ADDR="10.0.0.1"))
    return str(found[0])


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.7", "10.0.0.1"),
        (1, None, "10.0.0.1"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "198.51.100.9, 203.0.113.7", "203.0.113.7"),
        (2, "198.51.100.9, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        (2, "203.0.113.7", "203.0.113.7"),
        (1, " , ", "10.0.0.1"),
    ],
)
def test_only_what_our_proxies_wrote_is_believed(
    settings: Any, proxies: int, forwarded: str | None, address: str
) -> None:
    settings.NUM_PROXIES = proxies
    assert seen(forwarded) == address


def sign_in(address: str, password: str, username: str = "gaoliang") -> int:
    """Try to sign in from an address by the sign-in page's own URL; the status of the answer."""
    from django.conf import settings

    fields = {"username": username, "password": password}
    return Client(REMOTE_ADDR=address).post(settings.LOGIN_URL, fields).status_code


@pytest.mark.django_db
def test_wrong_passwords_lock_the_name_at_that_address_only() -> None:
    for username in ("gaoliang", "other"):
        User.objects.create_user(username, password="walnut-orchard-lamp")
    for _ in range(6):
        sign_in("203.0.113.7", "wrong")
    assert sign_in("203.0.113.7", "walnut-orchard-lamp") == 429
    assert sign_in("198.51.100.9", "walnut-orchard-lamp") == 302
    assert sign_in("203.0.113.7", "walnut-orchard-lamp", "other") == 302


@pytest.mark.django_db
def test_every_page_carries_a_strict_content_security_policy() -> None:
    from django.conf import settings

    answer = Client().get(settings.LOGIN_URL)
    policy = {rule.split()[0]: rule.split()[1:] for rule in answer["Content-Security-Policy"].split(";")}
    assert policy["default-src"] == ["'self'"]
    assert policy["script-src"] == ["'self'"]
    assert policy["object-src"] == ["'none'"]
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"
