"""What a producer sees of its EPCIS door: documents that partners' systems sent, what was wrong, who is told."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from trace.access import actor_of, audience, entered_for
from trace.errors import NotFound
from trace.exports import asked_format, export
from trace.lists import EPCIS_DOCUMENTS
from trace.models import CaptureJob, EpcisSubscription
from trace.views.pages import page_of

TONES = {"waiting": "info", "running": "info", "done": "good", "failed": "danger"}
SUBSCRIPTIONS_SHOWN = 100


@audience("party")
@require_safe
def epcis_list(request: HttpRequest) -> HttpResponseBase:
    """Documents, newest first, and subscriptions."""
    mine = entered_for(actor_of(request))
    rows = CaptureJob.objects.filter(owner__in=mine).select_related("api_key", "by").order_by("-id")
    if asked_format(request):
        return export(request, EPCIS_DOCUMENTS, rows)
    page = page_of(request, rows.defer("errors"))
    for row in page:
        row.tone = tone_of(row)
    told = EpcisSubscription.objects.filter(owner__in=mine).select_related("query").order_by("id")
    return render(
        request,
        "trace/epcis/list.html",
        {
            "page": page,
            "subscriptions": told[:SUBSCRIPTIONS_SHOWN],
            "address": request.build_absolute_uri(reverse("trace:epcis_root")),
        },
    )


@audience("party")
@require_safe
def epcis_document(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One document: how far it is, what was refused and where."""
    rows = CaptureJob.objects.filter(owner__in=entered_for(actor_of(request))).select_related("api_key", "by")
    row = rows.filter(uid=uid).first()
    if row is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    row.tone = tone_of(row)  # type: ignore[attr-defined]
    return render(request, "trace/epcis/document.html", {"row": row, "more": max(0, row.faulty - len(row.errors))})


def tone_of(row: CaptureJob) -> str:
    """How the badge of a document looks."""
    return "attention" if row.status == CaptureJob.Status.DONE and row.faulty else TONES[row.status]
