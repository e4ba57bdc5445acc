"""Recorded facts that do not fit other records: read by producer and regulator, answered by who recorded them."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from trace.access import (
    actor_of,
    audience,
    conflict_for,
    conflicts_visible_to,
    entered_for,
    lots_visible_to,
    parse_uid,
)
from trace.actions.conflicts import answer_conflict
from trace.actor import Actor
from trace.conflict_kinds import KINDS, OTHER, grouped_codes, kind_for, kind_of, records_of
from trace.errors import NotFound
from trace.event_templates import templates
from trace.exports import asked_format, export
from trace.forms.evidence import AnswerForm
from trace.forms.fields import attempt
from trace.lists import CONFLICTS
from trace.models import Conflict, Organisation
from trace.templatetags.ui import url_or_none
from trace.views.pages import page_of

STATES = ("open", "answered", "voided")


@audience("signed_in")
@require_safe
def conflict_list(request: HttpRequest) -> HttpResponseBase:
    """Conflicts of the actor's facts (for regulators: of their territory), open ones unless asked otherwise.

    Filtered by kind, organisation and day; ``format=csv`` or ``xlsx`` for all of them as a table.
    """
    actor = actor_of(request)
    state = request.GET.get("state", "open")
    state = state if state in STATES else "open"
    visible = conflicts_visible_to(actor).filter(**_STATE_FILTERS[state])
    organisations = _organisations(actor, visible)
    rows = _wanted(request, visible)
    rows = rows.select_related("event", "organisation", "lot__product_version", "answered_by").order_by("-id")
    if asked_format(request):
        return export(request, replace(CONFLICTS, lines=lambda part: _with_records(actor, part)), rows)
    page = page_of(request, rows)
    others = records_of(actor, page)
    opened = set(lots_visible_to(actor).filter(pk__in=[row.lot_id for row in page]).values_list("pk", flat=True))
    for row in page:
        row.step = _step(row)
        row.kind = kind_of(row.code)
        row.others = others[row.pk]
        row.lot_url = url_or_none("desk:lot_detail", row.lot.uid) if row.lot and row.lot_id in opened else ""
    context = {
        "page": page,
        "state": state,
        "is_regulator": actor.is_regulator,
        "several": actor.is_regulator or len(organisations) > 1,
        "may_answer": _may(actor),
        "kinds": _kinds(visible),
        "organisations": organisations,
        "asked": {key: request.GET.get(key, "")[:60] for key in ("kind", "organisation", "since")},
        "filtered": any(request.GET.get(key) for key in ("kind", "organisation", "since")),
    }
    return render(request, "trace/conflicts/list.html", context)


_STATE_FILTERS: Mapping[str, Mapping[str, Any]] = {
    "open": {"answered_at": None, "voided_by": None},
    "answered": {"answered_at__isnull": False},
    "voided": {"voided_by__isnull": False},
}


def _wanted(request: HttpRequest, rows: QuerySet[Conflict]) -> QuerySet[Conflict]:
    """The rows of the kind, organisation and time asked for; what makes no sense finds nothing."""
    kind = kind_for(request.GET.get("kind", ""))
    if kind is OTHER:
        rows = rows.exclude(code__in=grouped_codes())
    elif kind is not None:
        rows = rows.filter(code__in=kind.codes)
    if request.GET.get("organisation"):
        try:
            rows = rows.filter(organisation__uid=parse_uid(request.GET["organisation"]))
        except NotFound:
            rows = rows.none()
    if request.GET.get("since"):
        try:
            day = datetime.date.fromisoformat(request.GET["since"][:10])
        except ValueError:
            return rows
        if not 1900 <= day.year <= 2199:
            return rows
        rows = rows.filter(at__gte=datetime.datetime.combine(day, datetime.time.min, timezone.get_default_timezone()))
    return rows


def _kinds(rows: QuerySet[Conflict]) -> list[tuple[str, str, int]]:
    """The kinds there are in this state, with how many of each."""
    counted: dict[str, int] = {}
    for code, number in rows.order_by().values_list("code").annotate(n=Count("pk")):
        key = kind_of(code).key
        counted[key] = counted.get(key, 0) + number
    return [(kind.key, str(kind.words), counted[kind.key]) for kind in (*KINDS, OTHER) if kind.key in counted]


def _organisations(actor: Actor, rows: QuerySet[Conflict]) -> list[tuple[str, str]]:
    """Whose facts they are, for the filter: 200 at most."""
    found = Organisation.objects.filter(pk__in=rows.order_by().values("organisation")).order_by("name")[:200]
    return [(str(each.uid), each.label) for each in found]


def _with_records(actor: Actor, rows: Sequence[Conflict]) -> Sequence[Conflict]:
    """Rows of a table with the other records they name, as far as the actor may open them."""
    others = records_of(actor, rows)
    for row in rows:
        row.others = others[row.pk]  # type: ignore[attr-defined]
    return rows


def _may(actor: Actor) -> bool:
    return not actor.is_regulator and actor.can("operator", "quality")


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def conflict_detail(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One conflict; who recorded the fact answers with a sentence."""
    actor = actor_of(request)
    conflict = conflict_for(actor, uid)
    open_here = conflict.answered_at is None and conflict.voided_by_id is None
    form = AnswerForm(request.POST or None)
    if request.method == "POST":
        answered = attempt(
            form, lambda: answer_conflict(by=actor, conflict=conflict, answer=form.cleaned_data["answer"])
        )
        if answered is not None:
            messages.success(request, _("已记下说明，监管部门可以看到。"))
            return redirect("trace:conflict_detail", uid=conflict.uid)
    context = {
        "conflict": conflict,
        "step": _step(conflict),
        "kind": kind_of(conflict.code),
        "others": records_of(actor, [conflict])[conflict.pk],
        "lot_url": _lot_url(actor, conflict),
        "form": form if open_here and _may(actor) and conflict.organisation_id in entered_for(actor) else None,
        "state": "voided" if conflict.voided_by_id else "done" if conflict.answered_at else "conflict",
    }
    return render(request, "trace/conflicts/detail.html", context, status=422 if form.errors else 200)


def _lot_url(actor: Actor, conflict: Conflict) -> str:
    """The page of the lot, where the actor may open it."""
    if conflict.lot is None or not lots_visible_to(actor).filter(pk=conflict.lot.pk).exists():
        return ""
    return url_or_none("desk:lot_detail", conflict.lot.uid) or ""


def _step(conflict: Conflict) -> str:
    found = templates().get(conflict.event.template)
    return found.label() if found is not None else conflict.event.template
