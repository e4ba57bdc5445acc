"""What requests pass before the apps: the client's true address, the answer to a locked-out sign-in."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

View = Callable[[HttpRequest], HttpResponse]


def client_address(get_response: View) -> View:
    """Put the client's address into REMOTE_ADDR, so that lock-out, limits and scans agree on who it is.

    With NUM_PROXIES = n, the n-th address from the right of X-Forwarded-For was written by our own outermost
    proxy; anything left of it was sent by the client and is not believed. With 0 the header is ignored.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        proxies: int = settings.NUM_PROXIES
        forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
        if proxies and forwarded:
            request.META["REMOTE_ADDR"] = forwarded[-min(proxies, len(forwarded))]
        return get_response(request)

    return middleware


def locked_out(
    request: HttpRequest, original_response: HttpResponse | None, credentials: dict[str, Any] | None
) -> HttpResponse:
    """429 in the user's language; the arguments are those django-axes passes."""
    return HttpResponse(
        _("登录失败次数过多,已暂停 15 分钟。请稍后再试,或请本单位管理员重设密码。"),
        status=429,
        content_type="text/plain; charset=utf-8",
        headers={"Retry-After": "900"},
    )
