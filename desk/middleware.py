"""What every page shows of the work that waits."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from recalls.queries import unread_notices

View = Callable[[HttpRequest], HttpResponse]


def unread(get_response: View) -> View:
    """Let pages know how many recall notices wait for the reader; the database is asked only by pages that show it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        actor = getattr(request, "actor", None)
        if actor is not None and not actor.is_regulator:
            request.unread = SimpleLazyObject(lambda: unread_notices(actor))  # type: ignore[attr-defined]
        return get_response(request)

    return middleware
