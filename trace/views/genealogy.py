"""The trace console: one box for any code, two questions (来源, 去向), the answer in full as far as one may know it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from trace.access import actor_of, audience, lot_for
from trace.actor import Actor
from trace.finding import TEXT_MAX, Found, find_lots, wanted_text
from trace.genealogy import Direction
from trace.models import Lot
from trace.parts import Number
from trace.picture import Node, Picture, draw
from trace.tables import csv_table
from trace.templatetags.ui import STATES, url_or_none
from trace.tracing import Answer, Step, answer, edge_words, table

ROWS = 100
LINKS = 6
"""Connections told in one row; the file has them all."""


@audience("signed_in")
@require_safe
def console(request: HttpRequest) -> HttpResponse:
    """Ask where a lot came from or went. The whole question stands in the address: ``lot`` or ``q``, and ``way``."""
    actor = actor_of(request)
    question = request.GET.get("q", "")[:TEXT_MAX]
    way = _way(request)
    lot, found = _asked(request, actor, question)
    context: dict[str, Any] = {
        "question": lot.code if lot is not None and not question else wanted_text(question),
        "way": way,
        "lot": lot,
        "found": found,
    }
    if lot is not None:
        context |= _answered(request, actor, lot, way)
    return render(request, "trace/genealogy/console.html", context)


def _way(request: HttpRequest) -> Direction:
    """The question asked: where from, unless where to."""
    return "forward" if request.GET.get("way") == "forward" else "back"


def _asked(request: HttpRequest, actor: Actor, question: str) -> tuple[Lot | None, Found | None]:
    """The lot the address names, or what the typed code may mean."""
    if request.GET.get("lot"):
        return lot_for(actor, request.GET["lot"][:40]), None
    if not question.strip():
        return None, None
    found = find_lots(actor, question)
    if found.exact and len(found.lots) == 1:
        return found.lots[0], found
    return None, found


def _answered(request: HttpRequest, actor: Actor, lot: Lot, way: Direction) -> dict[str, Any]:
    """Everything the page says about one lot."""
    found = answer(actor, lot, way)
    names = {step.seen.number: step.name for step in found.steps}
    page = Paginator(found.others, ROWS).get_page(request.GET.get("page"))
    rows = [
        (step, lot_page(step), [edge_words(edge, names, way) for edge in step.towards[:LINKS]], step.towards[LINKS:])
        for step in page
    ]
    start = found.steps[0]
    return {
        "answer": found,
        "start": start,
        "start_url": lot_page(start),
        "rows": rows,
        "page": page,
        "numbers": numbers(found),
        "picture": picture(found) if found.others else None,
        "query": urlencode({"lot": lot.uid, "way": way}),
        "other_query": urlencode({"lot": lot.uid, "way": "back" if way == "forward" else "forward"}),
    }


def lot_page(step: Step) -> str:
    """Where a lot's own page is, for lots that may be opened."""
    return url_or_none("desk:lot_detail", step.seen.lot.uid) if step.seen.lot is not None else ""


def numbers(found: Answer) -> list[Number]:
    """The four numbers under the verdict."""
    troubled = Number(
        _("其中有问题"),
        len(found.troubled),
        note=_("不合格、封存或召回"),
        tone="danger" if found.troubled else "",
    )
    if found.direction == "back":
        return [
            Number(_("上游批次"), len(found.others), note=_("去重后，全部层级")),
            Number(_("层级"), found.levels),
            Number(_("源头批次"), len(found.ends), note=_("再往上没有登记")),
            troubled,
        ]
    waiting = sum(1 for row in found.transfers if row.received_by_id is None)
    return [
        Number(_("下游批次"), len(found.others), note=_("去重后，全部层级")),
        Number(_("收货单位"), len({row.receiver_id for row in found.transfers}), note=_("本单位可见的")),
        Number(_("收货未确认"), waiting, tone="attention" if waiting else ""),
        troubled,
    ]


def picture(found: Answer) -> Picture:
    """The drawing: time runs from left to right in both questions."""
    back = found.direction == "back"
    nodes = [
        Node(
            key=step.seen.number,
            layer=-step.seen.level if back else step.seen.level,
            lines=[step.name, step.product, _under(step)],
            title=_title(step),
            tone=STATES[step.state].tone if step.state else "mute",
            url=f"{reverse('trace:console')}?{urlencode({'lot': step.seen.lot.uid, 'way': found.direction})}"
            if step.seen.lot is not None and step.seen.level
            else "",
            start=step.seen.level == 0,
        )
        for step in found.steps
    ]
    names = {step.seen.number: step.name for step in found.steps}
    edges = [(edge.parent, edge.child, edge_words(edge, names, "back")) for edge in found.seen.edges]
    label = _("来源图：左边是源头") if back else _("去向图：右边是最后的产品")
    return draw(nodes, edges, label=label)


def _under(step: Step) -> str:
    """The third line of a box: the state's words, else the date."""
    words = str(STATES[step.state].words) if step.state else ""
    day = step.seen.date.isoformat() if step.seen.date else ""
    return " · ".join(part for part in (words, day) if part)


def _title(step: Step) -> str:
    """What a screen reader says of a box."""
    return _("，").join(part for part in (step.name, step.product, step.holder, _under(step)) if part)


@audience("signed_in")
@require_safe
def console_csv(request: HttpRequest) -> HttpResponse:
    """The whole answer as a table, however many lots."""
    actor = actor_of(request)
    lot = lot_for(actor, request.GET.get("lot", "")[:40])
    way = _way(request)
    header, rows = table(answer(actor, lot, way))
    response = HttpResponse(csv_table(header, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="trace-{way}-{lot.public_code}.csv"'
    return response
