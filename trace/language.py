"""A page in another language by its address, ``?lang=en``: no cookie, and the link can be passed on."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

PARAMETER = "lang"

View = Callable[[HttpRequest], HttpResponse]


def chosen_language(request: HttpRequest) -> str | None:
    """The language the address asks for, if it is ours; ``zh`` and ``zh-CN`` mean simplified Chinese."""
    asked = request.GET.get(PARAMETER, "").lower()
    known = {code.lower(): code for code, _name in settings.LANGUAGES}
    if asked in ("zh", "zh-cn"):
        asked = "zh-hans"
    return known.get(asked)


def query_language(get_response: View) -> View:
    """Middleware, right after LocaleMiddleware: the address wins over cookie and browser."""

    def middleware(request: HttpRequest) -> HttpResponse:
        code = chosen_language(request)
        if code is not None:
            translation.activate(code)
            request.LANGUAGE_CODE = code
        return get_response(request)

    return middleware
