"""Recalled goods that were put right and let go (更正后放行): how much, and where they are now. Nothing here writes."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db.models import F, Sum

from recalls.models import Campaign, CorrectedRelease
from trace.among import among
from trace.guards import CALLED_IN
from trace.models import EventItem, Transfer


@dataclass
class Released:
    """What was let go of one lot, in millionths: ``at_first`` with whom it was then, ``there`` what of it each still
    has by the records (the buyers of released goods among them).
    """

    since: datetime.datetime
    at_first: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    there: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def micros(self) -> int:
        """All that was let go."""
        return sum(self.at_first.values())


def released_of(campaign: Campaign) -> Mapping[int, Released]:
    """The approved releases of a campaign by lot (row number). One query where there are none, else three: what was let
    go is followed through the transfers since, tier after tier, and what each moved of the lot since is taken off, as
    the guard of held goods counts it.
    """
    found: dict[int, Released] = {}
    rows = CorrectedRelease.objects.filter(campaign=campaign, approval__isnull=False).order_by("approval__at", "id")
    for lot, holder, micros, at in rows.values_list("lot", "holder", "micros", "approval__at"):
        one = found.setdefault(lot, Released(since=at))
        one.at_first[holder] += micros
        one.there[holder] += micros
    if not found:
        return found
    begun = min(one.since for one in found.values())
    later = Transfer.objects.filter(among("lot", found), voided_by=None, shipment__event__recorded_at__gte=begun)
    passed = later.order_by("id").annotate(at=F("shipment__event__recorded_at"))
    for lot, sender, receiver, sent, got, at in passed.values_list(
        "lot", "sender", "receiver", "sent_micros", "received_micros", "at"
    ):
        one = found[lot]
        if sender in one.there and at >= one.since:
            one.there[receiver] += sent if got is None else min(sent, got)
    gone = EventItem.objects.filter(
        among("lot", found), micros__lt=0, event__corrections__isnull=True, event__recorded_at__gte=begun
    ).exclude(CALLED_IN)
    moved = gone.values("lot", "holder", "event__recorded_at").annotate(n=Sum("micros"))
    for lot, holder, at, micros in moved.values_list("lot", "holder", "event__recorded_at", "n"):
        if lot is not None and holder in found[lot].there and at >= found[lot].since:
            found[lot].there[holder] += micros
    return found
