"""The sortable trace table of a recall: everything that happened to the lots it covers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from recalls.access import campaign_for
from recalls.scope import latest_scope
from recalls.views.doors import acting
from trace.access import audience
from trace.views.event_table import table_page


@audience("signed_in")
@require_safe
def campaign_events(request: HttpRequest, uid: str) -> HttpResponseBase:
    """One row per event of the lots in the scope in force, as far as the reader may read them; sortable, or a file."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    scope = latest_scope(campaign)
    shell = request.GET.get("shell", "")
    lots: set[int] = set()
    if scope is not None:
        rows = scope.lots.filter(shell=shell) if shell in ("proven", "possible") else scope.lots.all()
        lots = set(rows.values_list("lot", flat=True))
    more = {
        "campaign": campaign,
        "title": _("追溯明细表：%(recall)s") % {"recall": campaign.label},
        "shell": shell,
        "shells": [("", _("全部批次")), ("proven", _("确定的批次")), ("possible", _("可能的批次"))],
        "cut": False,
    }
    name = f"trace-recall-{campaign.uid.hex[:8]}"
    return table_page(request, actor, lots, name, "recalls/campaign_events.html", more)
