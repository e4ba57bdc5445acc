"""The list of lots: what there is, in which state, how much in hand."""

from __future__ import annotations

from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from trace.access import actor_of, audience, entered_for, parse_uid, products_readable_by
from trace.actor import Actor
from trace.errors import Invalid, NotFound
from trace.inventory import STATES, held, in_state, lots_with_amounts, states_of
from trace.models import Lot
from trace.tables import csv_table
from trace.templatetags.ui import STATES as BADGES
from trace.templatetags.ui import url_or_none
from trace.text import clean_text
from trace.units import decimal_text, unit_name
from trace.views.pages import page_of

CSV_MOST = 10_000
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
def lot_list(request: HttpRequest) -> HttpResponse:
    """Lots the actor may open: by product, state, text, made or held; sorted; ``format=csv`` for a table."""
    actor = actor_of(request)
    rows, problem = _wanted(request, actor)
    sort = request.GET.get("sort", "newest")
    rows = rows.order_by(*SORTS.get(sort, SORTS["newest"]))
    if request.GET.get("format") == "csv":
        return _csv(actor, rows)
    page = page_of(request, rows)
    states = states_of(list(page))
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
        rows = in_state(rows, state)
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


def _csv(actor: Actor, rows: QuerySet[Lot]) -> HttpResponse:
    """The lots as a table, at most 10,000."""
    header = [
        _("批号"),
        _("追溯码"),
        _("产品"),
        _("生产者"),
        _("生产日期"),
        _("保质期至"),
        _("产量"),
        _("在手数量"),
        _("计量单位"),
        _("状态"),
    ]
    found = list(rows[:CSV_MOST])
    states = states_of(found)
    table = [
        [
            lot.code,
            lot.public_code,
            lot.product_version.label,
            lot.organisation.name,
            lot.produced_on.isoformat() if lot.produced_on else "",
            lot.expires_on.isoformat() if lot.expires_on else "",
            decimal_text(lot.made_micros),
            decimal_text(lot.in_hand),  # type: ignore[attr-defined]
            unit_name(lot.product.base_unit),
            str(BADGES[states[lot.pk]].words) if states[lot.pk] else "",
        ]
        for lot in found
    ]
    response = HttpResponse(csv_table(header, table), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="lots.csv"'
    return response
