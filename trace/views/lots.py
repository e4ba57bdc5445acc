"""The list of lots: what there is, in which state, how much in hand."""

from __future__ import annotations

from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from trace.access import actor_of, audience, entered_for, parse_uid, products_readable_by
from trace.actor import Actor
from trace.errors import Invalid, NotFound
from trace.exports import asked_format, export
from trace.inventory import STATES, held, in_state, lots_with_amounts, states_of
from trace.lists import lots_table
from trace.models import Lot
from trace.templatetags.ui import STATES as BADGES
from trace.templatetags.ui import url_or_none
from trace.text import clean_text
from trace.views.pages import page_of

SORTS = {
    "newest": ("-id",),
    "oldest": ("id",),
    "code": ("lot_code", "-id"),
    "expires": (F("expires_on").asc(nulls_last=True), "-id"),
    "in_hand": ("-in_hand", "-id"),
}
SCOPES = ("all", "made", "held")


@audience("signed_in")
@require_safe
def lot_list(request: HttpRequest) -> HttpResponseBase:
    """Lots the actor may open: by product, state, text, made or held; sorted; ``format=csv`` or ``xlsx`` for a file."""
    actor = actor_of(request)
    rows, problem = _wanted(request, actor)
    sort = request.GET.get("sort", "newest")
    rows = rows.order_by(*SORTS.get(sort, SORTS["newest"]))
    if asked_format(request):
        return export(request, lots_table(None if actor.is_regulator else entered_for(actor)), rows)
    page = page_of(request, rows)
    states = states_of(list(page), None if actor.is_regulator else entered_for(actor))
    for lot in page:
        lot.state = states[lot.pk]
        lot.url = url_or_none("desk:lot_detail", lot.uid)
    context = {
        "page": page,
        "products": [] if actor.is_regulator else _products(actor),
        "states": [(state, BADGES[state].words) for state in STATES if state in BADGES],
        "asked": {key: request.GET.get(key, "")[:60] for key in ("product", "state", "q", "scope", "sort")},
        "filtered": any(request.GET.get(key) for key in ("product", "state", "q", "scope")),
        "problem": problem,
        "may_enter": not actor.is_regulator and actor.can("operator", "quality"),
        "is_regulator": actor.is_regulator,
        "several": actor.is_regulator or len(entered_for(actor)) > 1,
    }
    return render(request, "trace/lots/list.html", context)


def _products(actor: Actor) -> list[tuple[str, str]]:
    rows = products_readable_by(actor).order_by("code")[:200]
    return [(str(row.uid), str(row)) for row in rows]


def _wanted(request: HttpRequest, actor: Actor) -> tuple[QuerySet[Lot], str]:
    """The lots asked for, and what could not be understood."""
    rows = lots_with_amounts(actor)
    mine, scope, state = entered_for(actor), request.GET.get("scope", ""), request.GET.get("state", "")
    if scope == "made" and not actor.is_regulator:
        rows = rows.filter(organisation__in=mine)
    elif scope == "held":
        rows = held(rows)
    if state in STATES:
        rows = in_state(rows, state, None if actor.is_regulator else mine)
    elif not state:
        rows = rows.filter(voided_by=None)
    if request.GET.get("product"):
        try:
            rows = rows.filter(product__uid=parse_uid(request.GET["product"]))
        except NotFound:
            rows = rows.none()
    try:
        text = clean_text(request.GET.get("q", ""), 60)
    except Invalid as error:
        return rows, error.message
    if text:
        rows = rows.filter(
            Q(lot_code__icontains=text)
            | Q(display_code__icontains=text)
            | Q(public_code__iexact=text.replace("-", "").replace(" ", ""))
            | Q(product_version__name__icontains=text)
            | Q(organisation__name__icontains=text)
            | Q(aliases__code__iexact=text, aliases__organisation__in=mine)
        ).distinct()
    return rows, ""
