"""Posters of announced recalls."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from labels.poster import render_poster
from recalls.queries import publication_in_force
from recalls.views.public import public_campaign
from trace.access import audience


@audience("public")
@require_safe
def poster(request: HttpRequest, ref: str) -> HttpResponse:
    """The A4 poster of an announced recall; drills and drafts have none (404)."""
    campaign = public_campaign(ref)
    publication = publication_in_force(campaign)
    assert publication is not None  # noqa: S101 (a public campaign has one)
    notice = publication.notice
    uri = settings.PUBLIC_BASE_URL + reverse("recalls:public_recall", args=[campaign.uid])
    answer = HttpResponse(render_poster(notice, uri=uri), content_type="application/pdf")
    answer["Content-Disposition"] = 'inline; filename="recall-poster.pdf"'
    return answer
