"""The straight way to the EPCIS door: a program that shows a key needs no session, form token, messages or lock-out,
and sends an event at a time. It is taken before these come into play (``straightly`` is a middleware) and ends at the
same views with the same answers; whatever else asks takes the long way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from csp.utils import build_policy
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, URLResolver
from django.urls.resolvers import RegexPattern
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language_from_request, override

from trace.language import chosen_language

DOOR = "/epcis/"


def straightly(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: the door's answer to a program with a key, else whatever else answers."""

    def middleware(request: HttpRequest) -> HttpResponse:
        answer = _answer(request) if request.path_info.startswith(DOOR) and _is_program(request) else None
        return get_response(request) if answer is None else answer

    return middleware


def _is_program(request: HttpRequest) -> bool:
    """Whether somebody with a key asks, and no browser with a session."""
    # An empty header shows no key: then the session is asked, which only the long way knows.
    return bool(request.META.get("HTTP_AUTHORIZATION")) and settings.SESSION_COOKIE_NAME not in request.COOKIES


def _answer(request: HttpRequest) -> HttpResponse | None:
    """The view's answer with the headers that the middlewares after this one would have set."""
    try:
        request.get_host()
        match = _paths().resolve(request.path_info)
    except (DisallowedHost, Resolver404):
        return None  # the long way says what is wrong
    language = chosen_language(request) or get_language_from_request(request)
    with override(language):
        response: HttpResponse = match.func(request, *match.args, **match.kwargs)
    response.headers.setdefault("Content-Language", language)
    response.headers.setdefault("Content-Length", str(len(response.content)))
    response.headers.setdefault("Content-Security-Policy", _policy())
    response.headers.setdefault("X-Frame-Options", settings.X_FRAME_OPTIONS)
    patch_vary_headers(response, ("Accept-Language", "Cookie"))
    return response


@functools.cache
def _paths() -> URLResolver:
    """The paths of the door alone: among all others a hundred patterns are tried first."""
    from trace.urls import epcis_urls

    return URLResolver(RegexPattern(r"^/"), epcis_urls)


@functools.cache
def _policy() -> str:
    """The site's policy for what a page may load; these answers have nothing inline and need no nonce."""
    return build_policy()
