"""The page and file of the sortable trace table; the one of a recall is in recalls and uses ``table_page``."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from trace.access import actor_of, audience, lot_for
from trace.actor import Actor
from trace.event_table import COLUMNS, events_of_lots, in_order, moment_words, rows, table
from trace.exports import asked_format, export
from trace.genealogy import walk
from trace.templatetags.ui import url_or_none

PAGE = 100
LIMIT = 200_000
WAYS = ("both", "back", "forward", "self")


@audience("signed_in")
@require_safe
def lot_events(request: HttpRequest, uid: uuid.UUID) -> HttpResponseBase:
    """Everything that happened to a lot, what it was made of and what was made of it; sortable, or as a file."""
    actor = actor_of(request)
    lot = lot_for(actor, uid)
    way = request.GET.get("way", "both")
    way = way if way in WAYS else "both"
    lots, cut = {lot.pk}, False
    for direction in ("back", "forward"):
        if way in ("both", direction):
            walked = walk([lot], "back" if direction == "back" else "forward", limit=LIMIT, with_voided=True)
            lots |= set(walked.level)
            cut = cut or walked.cut
    more = {
        "lot": lot,
        "lot_url": url_or_none("desk:lot_detail", lot.uid),
        "way": way,
        "ways": [
            ("both", _("来源和去向")),
            ("back", _("只看来源")),
            ("forward", _("只看去向")),
            ("self", _("只看本批次")),
        ],
        "cut": cut,
        "title": _("追溯明细表：批次 %(lot)s") % {"lot": lot.code},
    }
    return table_page(request, actor, lots, f"trace-{lot.public_code}", "trace/event_table/lot.html", more)


def table_page(
    request: HttpRequest, actor: Actor, lots: set[int], name: str, template: str, more: dict[str, Any]
) -> HttpResponseBase:
    """The table of these lots: a page of it sorted as the address asks, or all of it as a file in that order."""
    sort = request.GET.get("sort", "number")[:20]
    found: Sequence[int] = in_order(events_of_lots(actor, lots), sort)
    if asked_format(request):
        return export(request, table(name), rows(actor, found))
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = {
        **more,
        "page": page,
        "count": len(found),
        "lot_count": len(lots),
        "heads": [_head(key, str(column.label), sort) for key, column in COLUMNS],
        "rows": [[moment_words(cell) for cell in row] for row in rows(actor, list(page.object_list))],
    }
    return render(request, template, context)


def _head(key: str, label: str, sort: str) -> dict[str, str]:
    """One heading: where a click leads, and how it is sorted now."""
    if not key:
        return {"label": label, "sort": "", "now": ""}
    here = sort.removeprefix("-") == key
    turned = sort.startswith("-")
    now = ("descending" if turned else "ascending") if here else ""
    return {"label": label, "sort": key if not here or turned else f"-{key}", "now": now}
