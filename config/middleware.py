"""What every request passes before the apps: the client's true address."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

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
