"""Versions of a scope beside each other, and the uploaded list of buyers."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from recalls.access import campaign_for, require_side
from recalls.actions.distribution import CellError, check_list, tell_buyers
from recalls.comparing import compare, what_would_shrink
from recalls.models import ScopeLot
from recalls.sight import Sight
from recalls.views.doors import acting, page
from trace.access import audience
from trace.errors import DomainError, Invalid, NotFound
from trace.imports.reading import read_sheet


def _number(text: str) -> int:
    """A version's number from the address bar; what is none is not found."""
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return int(text)


@audience("signed_in")
@require_safe
def campaign_versions(request: HttpRequest, uid: str) -> HttpResponse:
    """Two versions beside each other (by default the last two), how long each took, what would make it smaller."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    versions = list(campaign.scopes.select_related("by", "by_organisation").order_by("number"))
    by_number = {one.number: one for one in versions}
    difference = None
    if len(versions) > 1:
        first = _number(request.GET.get("a", str(versions[-2].number)))
        second = _number(request.GET.get("b", str(versions[-1].number)))
        if first not in by_number or second not in by_number:
            raise NotFound(_("没有找到，或者您无权查看。"))
        difference = compare(by_number[min(first, second)], by_number[max(first, second)])
    sight = Sight(actor, campaign)
    shown: dict[str, Any] = {}
    if difference is not None:
        changed = difference.changed[:500]
        lots = [*difference.lots_in, *difference.lots_out, *(one.lot for one in changed)]
        opened = sight.open_lots([lot.pk for lot in lots])
        shown = {
            "changed": [(one, sight.lot(one.lot, one.lot.pk in opened)) for one in changed],
            "lots_in": [sight.lot(lot, lot.pk in opened) for lot in difference.lots_in[:500]],
            "lots_out": [sight.lot(lot, lot.pk in opened) for lot in difference.lots_out[:500]],
            "holders_in": [sight.holder(row) for row in difference.holders_in[:500]],
            "holders_out": [sight.holder(row) for row in difference.holders_out[:500]],
        }
    last = versions[-1] if versions else None
    reasons = list(last.lots.filter(shell=ScopeLot.Shell.POSSIBLE).values_list("why", flat=True)) if last else []
    return page(
        request,
        "recalls/campaign_versions.html",
        {
            "campaign": campaign,
            "versions": versions,
            "difference": difference,
            "shrinking": what_would_shrink(reasons),
            **shown,
        },
    )


@audience("party", "quality", "owner")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_distribution(request: HttpRequest, uid: str) -> HttpResponse:
    """Upload a list of buyers; every wrong cell is named, and nothing is sent until the whole list is right."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    errors: list[CellError] = []
    problem = ""
    if request.method == "POST":
        upload = request.FILES.get("file")
        try:
            if upload is None:
                raise Invalid(_("请选择文件。"), code="required")
            if (upload.size or 0) > settings.UPLOAD_MAX_BYTES:
                most = settings.UPLOAD_MAX_BYTES // 1024**2
                raise Invalid(_("文件太大：最多 %(most)d MB。") % {"most": most}, code="file_too_large")
            buyers, errors = check_list(campaign, read_sheet(upload.read()))
            if not errors:
                made = tell_buyers(by=actor, campaign=campaign, buyers=buyers)
                words = _("名单有 %(rows)s 行，新通知 %(made)s 个单位。") % {"rows": len(buyers), "made": len(made)}
                messages.success(request, words)
                return redirect("recalls:campaign_notices", campaign.uid)
        except DomainError as error:
            if error.status not in (409, 422):
                raise
            problem = str(error.message)
    return page(
        request,
        "recalls/campaign_distribution.html",
        {"campaign": campaign, "errors": errors[:200], "more": max(len(errors) - 200, 0), "problem": problem},
        bad=bool(errors or problem),
    )
