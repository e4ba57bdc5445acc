"""The whole chain of a lot as one EPCISQueryDocument, which another installation can capture again."""

from __future__ import annotations

import datetime
from typing import Any

from django.utils.translation import gettext as _

from trace.access import events_visible_to, lots_visible_to
from trace.actions.epcis_index import index_log
from trace.actor import Actor
from trace.among import among
from trace.door.shaping import Shaper, documents_of, header_of, query_document
from trace.errors import Invalid
from trace.genealogy import walk
from trace.models import EpcisEvent, EventItem, Lot

EVENTS_MOST = 5_000


def chain_document(actor: Actor, lot: Lot, *, now: datetime.datetime) -> dict[str, Any]:
    """Every event the actor may see of this lot, of what it came from and of what became of it, in log order.

    Lots, places and parties are named in the header. What the actor may not see is left out, so the chain of another's
    goods ends where they changed hands. Refuses more than 5,000 events (``too_many_events``).
    """
    index_log()
    reached = {*walk([lot], "back").level, *walk([lot], "forward").level}
    lots = list(
        lots_visible_to(actor)
        .filter(among("pk", reached))
        .select_related("product", "product_version", "organisation")
        .order_by("pk")
    )
    items = EventItem.objects.filter(among("lot", [each.pk for each in lots])).values("event")
    events = events_visible_to(actor).filter(pk__in=items)
    kept = EpcisEvent.objects.filter(event__in=events).select_related("owner")
    rows = list(kept.order_by("number")[: EVENTS_MOST + 1])
    if len(rows) > EVENTS_MOST:
        raise Invalid(_("这个批次的环节太多，请分批次导出。"), code="too_many_events", most=EVENTS_MOST)
    shaper = Shaper()
    found = documents_of(rows, shaper, senders=True)
    beyond = {each.pk for each in shaper.found.lots.values()} - {each.pk for each in lots}
    named = lots_visible_to(actor).filter(among("pk", beyond))
    shaper.name([*lots, *named.select_related("product", "product_version", "organisation").order_by("pk")])
    return query_document(found, header=header_of(shaper.found), now=now)
