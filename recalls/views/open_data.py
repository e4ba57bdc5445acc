"""Announced recalls for machines: JSON, JSON Feed, CSV, JSON-LD, and the schema they follow. Never of a drill."""

from __future__ import annotations

import csv
import io
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from recalls import open_data
from recalls.views.public import in_force, narrowed_by, public_campaign
from trace.access import audience
from trace.tables import plain_cell

FEED_ITEMS = 50


def _json(data: Any, content_type: str) -> HttpResponse:
    answer = JsonResponse(
        data, safe=False, json_dumps_params={"ensure_ascii": False}, content_type=f"{content_type}; charset=utf-8"
    )
    return _open(answer)


def _open(answer: HttpResponse) -> HttpResponse:
    """Public data may be read by any page."""
    answer["Access-Control-Allow-Origin"] = "*"
    answer["Cache-Control"] = "public, max-age=0, must-revalidate"
    return answer


@audience("public")
@require_safe
def data_json(request: HttpRequest) -> HttpResponse:
    """All announced recalls, with the filters of the list."""
    found = open_data.records(narrowed_by(request, in_force()))
    return _json(
        {
            "version": open_data.VERSION,
            "schema": settings.PUBLIC_BASE_URL + reverse("recalls:open_schema"),
            "count": len(found),
            "recalls": found,
        },
        "application/json",
    )


@audience("public")
@require_safe
def data_csv(request: HttpRequest) -> HttpResponse:
    """The same, one row per lot; no cell is ever a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(open_data.COLUMNS)
    for row in open_data.lot_rows(open_data.records(narrowed_by(request, in_force()))):
        writer.writerow([plain_cell(cell) for cell in row])
    answer = HttpResponse("\ufeff" + out.getvalue(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="recalls.csv"'
    return _open(answer)


@audience("public")
@require_safe
def feed_json(request: HttpRequest) -> HttpResponse:
    """JSON Feed 1.1; each item carries its whole record as ``_recall``."""
    base = settings.PUBLIC_BASE_URL
    found = open_data.records(in_force(FEED_ITEMS))
    items = [
        {
            "id": f"urn:uuid:{one['id']}",
            "url": one["url"],
            "title": f"{one['number']} {one['title']}",
            "content_text": f"{one['reason']}\n{one['what_to_do']}\n{one['producer']['phone']}",
            "date_published": one["announced_at"],
            "date_modified": one["updated_at"],
            "authors": [{"name": one["producer"]["name"]}],
            "_recall": one,
        }
        for one in found
    ]
    return _json(
        {
            "version": "https://jsonfeed.org/version/1.1",
            "title": _("召回公告"),
            "home_page_url": base + reverse("recalls:public_list"),
            "feed_url": base + reverse("recalls:feed_json"),
            "language": "en" if (get_language() or "").startswith("en") else "zh-CN",
            "items": items,
        },
        "application/feed+json",
    )


@audience("public")
@require_safe
def open_schema(request: HttpRequest) -> HttpResponse:
    """The JSON Schema of a record."""
    return _json(open_data.schema(), "application/schema+json")


@audience("public")
@require_safe
def recall_json(request: HttpRequest, ref: str) -> HttpResponse:
    """One recall's record."""
    return _json(_one(ref), "application/json")


@audience("public")
@require_safe
def recall_ld(request: HttpRequest, ref: str) -> HttpResponse:
    """One recall as JSON-LD."""
    return _json(open_data.json_ld(_one(ref)), "application/ld+json")


def _one(ref: str) -> dict[str, Any]:
    campaign = public_campaign(ref)
    return open_data.records([row for row in in_force() if row.notice.campaign_id == campaign.pk])[0]
