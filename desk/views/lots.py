"""The page of one lot, and the way to it from any code."""

from __future__ import annotations

import uuid
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from desk.lot_page import LotPage, lot_page, numbers
from desk.views.homes import known_to_the_public
from trace.access import actor_of, audience, lot_for
from trace.actor import Actor
from trace.finding import TEXT_MAX, find_lots, wanted_text
from trace.models import Unit


@audience("signed_in")
@require_safe
def lot_detail(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One lot: verdict, numbers, where from, where to, tests, labels, holds and recalls, time line, what to do next."""
    actor = actor_of(request)
    page = lot_page(actor, lot_for(actor, uid))
    context = {
        "page": page,
        "lot": page.lot,
        "numbers": numbers(page),
        "buttons": _buttons(actor, page),
        "query": urlencode({"lot": page.lot.uid}),
    }
    return render(request, "desk/lot.html", context)


def _buttons(actor: Actor, page: LotPage) -> dict[str, bool]:
    """Which next steps make sense for this actor and this lot now; the pages themselves decide what is allowed."""
    blocked = page.state in ("recalled", "blocked", "voided")
    works = not actor.is_regulator and actor.can("operator", "quality")
    return {
        "release": page.state == "waiting" and page.is_mine and actor.can("quality"),
        "step": works and page.is_held and not blocked,
        "ship": works and page.is_held and not blocked and page.state != "waiting",
        "labels": works and page.is_mine and not blocked and not page.lot.is_external,
        "report": (works or actor.is_regulator) and page.state != "voided",
        "hold": (actor.is_regulator or (page.is_mine and actor.can("quality", "owner"))) and not blocked,
        "signal": (works or actor.is_regulator) and page.state != "voided",
        "destroy": works and page.is_held and page.state in ("recalled", "blocked"),
    }


@audience("public")
@require_safe
def go(request: HttpRequest) -> HttpResponse:
    """From a typed or scanned code to its page: the lot's page for who may open it, else the code's public page."""
    text = request.GET.get("q", "")[:TEXT_MAX]
    if not request.user.is_authenticated:
        return HttpResponseRedirect(f"{reverse('labels:search')}?{urlencode({'q': text}, errors='replace')}")
    if not text.strip():
        return render(request, "desk/go.html", {"question": "", "found": None})
    actor = actor_of(request)
    found = find_lots(actor, text)
    if found.unit is not None and (found.unit.level != Unit.Level.ITEM or found.unit.replaced_by_id is not None):
        return redirect("trace:pack", code=found.unit.code)
    if found.exact and len(found.lots) == 1:
        return redirect("desk:lot_detail", uid=found.lots[0].uid)
    public = f"{reverse('labels:search')}?{urlencode({'q': text}, errors='replace')}"
    context = {
        "question": wanted_text(text),
        "found": found,
        "public": public if not found.lots and known_to_the_public(text) else "",
    }
    return render(request, "desk/go.html", context)
