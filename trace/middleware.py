"""What every page request passes: who acts, and how a broken rule is answered to a person."""

from collections.abc import Callable
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from trace.access import actor_for_session
from trace.errors import DomainError, NotSignedIn

GetResponse = Callable[[HttpRequest], HttpResponse]


class ActorMiddleware:
    """Sets ``request.actor`` and turns DomainErrors of page views into pages with the right status.

    The API has its own handlers; these errors never reach this middleware from there.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """One request: the actor is looked up only for sessions, not for API keys (the API sets its own)."""
        if not request.path.startswith("/api/"):
            request.actor = actor_for_session(request)  # type: ignore[attr-defined]
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A page for a DomainError; None (Django's own handling) for everything else."""
        if not isinstance(exception, DomainError) or request.path.startswith("/api/"):
            return None
        if isinstance(exception, NotSignedIn):
            return HttpResponseRedirect(f"{reverse('trace:sign_in')}?{urlencode({'next': request.get_full_path()})}")
        context = {"error": exception, "status": exception.status}
        return render(request, "trace/error.html", context, status=exception.status)
