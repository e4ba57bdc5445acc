"""What the pages of recalls share: who acts, and where a page leads back to."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from trace.access import actor_of
from trace.actor import Actor
from trace.errors import NotAllowed
from trace.models import Organisation


def acting(request: HttpRequest) -> Actor:
    """The actor of a page for firms and regulators alike; refuses organisations not (or no longer) admitted."""
    actor = actor_of(request)
    if actor.organisation.status != Organisation.Status.ACTIVE:
        raise NotAllowed(_("本单位还没有通过审核，通过后才能办理。"), code="organisation_not_active")
    return actor


def page(request: HttpRequest, template: str, context: dict[str, Any], *, bad: bool = False) -> HttpResponse:
    """A page; 422 where a form was refused."""
    return render(request, template, context, status=422 if bad else 200)


def csv_answer(data: bytes, name: str) -> HttpResponse:
    """A table to be saved under this name."""
    return HttpResponse(
        data,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
