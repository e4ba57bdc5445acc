"""The front door: the public portal for strangers, a home of their own for everybody else."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from desk.homes import home_of, operator_home, portal
from labels.resolve import by_text
from trace.access import audience
from trace.actor import Actor
from trace.models import Organisation


@audience("public")
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """``/``: who is not signed in sees the portal, members their home, others what they can do next."""
    if not request.user.is_authenticated:
        return _portal(request)
    actor: Actor | None = getattr(request, "actor", None)
    if actor is not None and actor.organisation.status == Organisation.Status.ACTIVE:
        found = home_of(actor)
        context = {"home": found, "may_enter": actor.can("operator", "quality", "officer", "approver")}
        return render(request, f"desk/home_{found.kind}.html", context)
    if request.user.is_staff:
        return render(request, "desk/home_operator.html", {"home": operator_home()})
    return render(request, "desk/home_waiting.html", {"applicant": actor.organisation if actor is not None else None})


def _portal(request: HttpRequest) -> HttpResponse:
    """What this is, a box for a code, the recalls announced last, how to join."""
    return render(request, "desk/portal.html", {"portal": portal(), "demo": settings.DEMO})


@audience("public")
@require_safe
def guide(request: HttpRequest) -> HttpResponse:
    """How to use it, for each kind of person."""
    return render(request, "desk/help.html", {})


def known_to_the_public(text: str) -> bool:
    """Whether a typed code names something whose scanned page anybody may read."""
    return by_text(text) is not None
