"""The record of what happened: the list by log number, and one event with everything that belongs to it."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Exists, F, OuterRef, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from trace.access import actor_of, audience, entered_for, event_for, events_visible_to, lot_for
from trace.actor import Actor
from trace.errors import Invalid
from trace.event_templates import families, parse_day, template, templates
from trace.event_words import advice, field_rows, item_lines, output_rows
from trace.exports import asked_format, export
from trace.forms.step_choices import Pairs
from trace.lists import EVENTS
from trace.models import Conflict, Event, EventItem, Lot, StoredFile, TestReport
from trace.parts import Row
from trace.personal import reveal
from trace.templatetags.ui import moment_text, url_or_none
from trace.text import clean_text
from trace.views.steps import items_of, next_steps
from trace.whereabouts import PARTS, items_of_part

PAGE = 50
Rows = QuerySet[Event]


@dataclass(frozen=True)
class Line:
    """One event in the list."""

    event: Event
    title: str
    number: int
    lots: str
    more_lots: int
    state: str

    @property
    def url(self) -> str:
        """Its page."""
        return reverse("trace:event_detail", args=[self.event.uid])


@audience("signed_in")
@require_safe
def event_list(request: HttpRequest) -> HttpResponseBase:
    """Events the actor may read, by log number; by step, text, days and state; or as a file."""
    actor = actor_of(request)
    rows, problems = _wanted(request, events_visible_to(actor))
    if asked_format(request):
        return export(request, EVENTS, _numbered(rows))
    page, before, after = _turn(request, rows)
    context = {
        "lines": _lines(page),
        "next_cursor": after,
        "previous_cursor": before,
        "steps": _step_pairs(),
        "asked": {
            key: request.GET.get(key, "")[:60] for key in ("step", "q", "since", "until", "state", "lot", "part")
        },
        "filtered": any(request.GET.get(key) for key in ("step", "q", "since", "until", "state", "lot")),
        "problems": problems,
        "may_enter": not actor.is_regulator and actor.can("operator", "quality"),
        "several": actor.is_regulator or len(entered_for(actor)) > 1,
    }
    return render(request, "trace/events/list.html", context)


def _step_pairs() -> list[tuple[str, Pairs]]:
    """The steps for a select, by family."""
    return [
        (each.label(), [(code, templates()[code].label()) for code in each.templates]) for each in families().values()
    ]


def _wanted(request: HttpRequest, rows: Rows) -> tuple[Rows, list[str]]:
    """The rows asked for; what cannot be understood is said and left out."""
    problems: list[str] = []
    if request.GET.get("lot"):
        rows = _of_lot(request, rows)
    step, state = request.GET.get("step", ""), request.GET.get("state", "")
    if step:
        rows = rows.filter(template=step[:60]) if step in templates() else rows.none()
    wrong = Exists(Event.objects.filter(corrects=OuterRef("pk")))
    if state == "voided":
        rows = rows.filter(wrong)
    elif state == "conflict":
        rows = rows.filter(Exists(Conflict.objects.filter(event=OuterRef("pk"), voided_by=None)))
    elif state == "standing":
        rows = rows.filter(~wrong)
    for key, later in (("since", False), ("until", True)):
        if request.GET.get(key):
            try:
                day = parse_day(request.GET[key])
            except Invalid as error:
                problems.append(error.message)
                continue
            at = timezone.make_aware(datetime.datetime.combine(day, datetime.time.min))
            rows = (
                rows.filter(occurred_at__lt=at + datetime.timedelta(days=1))
                if later
                else rows.filter(occurred_at__gte=at)
            )
    try:
        text = clean_text(request.GET.get("q", ""), 60)
    except Invalid as error:
        return rows, [*problems, error.message]
    if text:
        rows = rows.filter(_about(text))
    return rows, problems


def _of_lot(request: HttpRequest, rows: Rows) -> Rows:
    """Events of one lot the actor may open, by its uid; with ``part`` those that count in that part of its balance."""
    lot = lot_for(actor_of(request), request.GET["lot"][:40])
    items = EventItem.objects.filter(event=OuterRef("pk"), lot=lot)
    part = request.GET.get("part", "")
    if part in PARTS:
        items = items.filter(items_of_part(part))
        rows = rows.filter(corrects=None, corrections=None)
    return rows.filter(Exists(items))


def _about(text: str) -> Q:
    """Events of a lot (by any of its codes), at a place or by an organisation of this name."""
    lots = Lot.objects.filter(
        Q(lot_code__icontains=text) | Q(display_code__icontains=text) | Q(public_code__iexact=text)
    )
    of_lot = EventItem.objects.filter(event=OuterRef("pk"), lot__in=lots)
    return Q(Exists(of_lot)) | Q(place__name__icontains=text) | Q(organisation__name__icontains=text)


def _turn(request: HttpRequest, rows: Rows) -> tuple[Sequence[Event], str, str]:
    """One page by log number: the rows, and the cursors to newer and older ones."""
    numbered = rows.filter(log__isnull=False).annotate(
        number=F("log__number"), wrong=Exists(Event.objects.filter(corrects=OuterRef("pk")))
    )
    items = EventItem.objects.select_related("lot").order_by("number")
    found = numbered.select_related("organisation", "place", "entered_by", "entered_by_organisation").prefetch_related(
        Prefetch("items", items)
    )
    after, before = _number(request, "after"), _number(request, "before")
    if before:
        page = list(found.filter(number__gt=before).order_by("number")[: PAGE + 1])
        newer, page = len(page) > PAGE, page[:PAGE][::-1]
        return page, str(_no(page[0])) if newer else "", str(_no(page[-1])) if page else ""
    if after:
        found = found.filter(number__lt=after)
    page = list(found.order_by("-number")[: PAGE + 1])
    older, page = len(page) > PAGE, page[:PAGE]
    return page, str(_no(page[0])) if after and page else "", str(_no(page[-1])) if older else ""


def _number(request: HttpRequest, key: str) -> int:
    text = request.GET.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def _no(event: Event) -> int:
    number: int = event.number  # type: ignore[attr-defined]
    return number


def _lines(events: Sequence[Event]) -> list[Line]:
    """The rows in words; lots are named once each, three at most."""
    lines = []
    for event in events:
        codes = list(dict.fromkeys(item.lot.code for item in event.items.all() if item.lot is not None))
        state = "voided" if event.wrong else "conflict" if event.flags else ""  # type: ignore[attr-defined]
        found = templates().get(event.template)
        title = found.label() if found is not None else event.template
        lines.append(Line(event, title, _no(event), _("、").join(codes[:3]), max(0, len(codes) - 3), state))
    return lines


def _numbered(rows: Rows) -> Rows:
    """The events for a file, newest first, with their items."""
    events = rows.filter(log__isnull=False).annotate(number=F("log__number"))
    events = events.select_related("organisation", "place", "entered_by")
    items = EventItem.objects.select_related("lot").order_by("number")
    return events.prefetch_related(Prefetch("items", items)).order_by("-number")


# --- One event ------------------------------------------------------------------------------------------------------


@audience("signed_in")
@require_safe
def event_detail(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One event: who, when, where, its fields and lots, files, what is wrong with it and what replaced it."""
    actor = actor_of(request)
    event = event_for(actor, uid)
    own = event.organisation_id in entered_for(actor) or event.entered_by_organisation_id == actor.organisation.pk
    inside = own or actor.is_regulator
    items = [item for item in items_of(event) if inside or item.holder_id in entered_for(actor)]
    found = template(event.template)
    begun = [item.lot for item in items if item.role == EventItem.Role.OUTPUT and item.lot is not None]
    declared = event.corrections.select_related("entered_by").first()
    stands = declared is None and event.corrects_id is None
    context = {
        "event": event,
        "step": found,
        "number": event.log.number,
        "sha256": event.log.sha256,
        "head": _head(event),
        "fields": field_rows(event, public_only=not inside),
        "items": item_lines(items),
        "outputs": [
            (item.lot, output_rows(found, item)) for item in items if item.lot is not None and output_rows(found, item)
        ],
        "advice": advice(event, items),
        "remark": reveal(event.remark) if inside else "",
        "files": list(StoredFile.objects.filter(event=event).order_by("id")) if inside else [],
        "reports": list(TestReport.objects.filter(event=event).select_related("lot", "laboratory")),
        "conflicts": list(event.conflicts.select_related("lot").order_by("id")) if inside else [],
        "declared": declared,
        "why_wrong": _why(declared) or _why(event),
        "corrects": event.corrects,
        "replaces": event.replaces,
        "replacement": event.replacements.order_by("id").first(),
        "own": own and not actor.is_regulator,
        "may_correct": own and stands and actor.can("operator", "quality") and not actor.is_regulator,
        "restate_url": _restate_url(event, actor, own, declared),
        "next": next_steps(event, begun) if own and stands and not actor.is_regulator else [],
        "shipment_url": _shipment_url(event),
    }
    return render(request, "trace/events/detail.html", context)


def _why(declaration: Event | None) -> str:
    """The reason of an error declaration in words; empty for any other event."""
    reasons = {str(value): str(words) for value, words in Event.ErrorReason.choices}
    return reasons.get(declaration.error_reason, "") if declaration is not None else ""


def _head(event: Event) -> list[Row]:
    """Who, when and where."""
    who = event.entered_by.display_name if event.entered_by is not None else _("系统或未登录的收货人")
    if event.entered_by_organisation_id != event.organisation_id:
        who = _("%(person)s（%(clerk)s 代录）") % {"person": who, "clerk": event.entered_by_organisation.label}
    when = timezone.localtime(event.occurred_at).date() if event.precision == Event.Precision.DAY else event.occurred_at
    rows = [
        Row(_("发生时间"), moment_text(when)),
        Row(_("单位"), event.organisation.label, url=""),
        Row(_("地点"), event.place.label if event.place is not None else ""),
        Row(_("登记人"), who),
        Row(_("登记时间"), moment_text(event.recorded_at)),
    ]
    if event.counterparty is not None:
        rows.insert(2, Row(_("对方单位"), event.counterparty.label))
    return rows


def _restate_url(event: Event, actor: Actor, own: bool, declared: Event | None) -> str:
    """Where an event declared wrong is stated again; empty where there is nothing to state or it has been."""
    if declared is None or not own or actor.is_regulator or not actor.can("operator", "quality"):
        return ""
    if declared.error_reason != Event.ErrorReason.INCORRECT_DATA:
        return ""
    if template(event.template).moves in ("hold", "code") or event.replacements.filter(corrections=None).exists():
        return ""
    return f"{reverse('trace:step_form', args=[event.template])}?replaces={event.uid}"


def _shipment_url(event: Event) -> str:
    """The slip made with a shipping event."""
    shipment = getattr(event, "shipment", None)
    return url_or_none("trace:shipment", shipment.uid) if shipment is not None else ""
