"""What an actor may know of the others in a campaign (architecture.md, rule 8).

Who supervises the campaign sees everything. The initiator sees lots it may open and holders it dealt with itself, that
it wrote down itself, or that answered its notice; of the rest only region, family and date, so that a recall is run
without laying open a distributor's customers. Everybody is told all the same.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import campaign_for, campaign_notice_for, require_side, supervises_campaign
from recalls.models import Campaign, Notice
from recalls.notice_states import REACHED
from trace.access import entered_for, lots_visible_to
from trace.actor import Actor
from trace.among import among
from trace.errors import NotFound
from trace.models import Lot, Organisation, Transfer
from trace.plain import fetched
from trace.tracing import family_words

_CHUNK = 5_000


@dataclass(frozen=True)
class SeenHolder:
    """One holder as an actor may see it; ``organisation`` is None where only its region may be told."""

    organisation: Organisation | None
    region: str
    kind: str

    @property
    def label(self) -> str:
        """Its name, or what it is and where."""
        if self.organisation is not None:
            return self.organisation.label
        return _("下游单位（%(kind)s，%(region)s）") % {"kind": self.kind, "region": self.region}


@dataclass(frozen=True)
class SeenLot:
    """One lot as an actor may see it; ``lot`` is None where only family, region and date may be told."""

    lot: Lot | None
    product: str
    code: str
    region: str
    date: datetime.date | None

    @property
    def label(self) -> str:
        """Product and lot code, or what kind of goods from where."""
        return f"{self.product} {self.code}".strip()


class Sight:
    """What one actor may see of one campaign; asked once, used for every row. Without a campaign, what it may see
    of a scope that is only looked at. Where a page shows some holders of very many, it asks about ``these`` alone (row
    numbers): all others are then unknown.
    """

    def __init__(self, actor: Actor, campaign: Campaign | None, these: Iterable[int] | None = None) -> None:
        self.everything = campaign is not None and supervises_campaign(actor, campaign)
        self._actor = actor
        self._campaign = campaign
        self._these = None if these is None else frozenset(these)
        self._organisations = set() if self.everything else self._known_organisations()

    def _known_organisations(self) -> set[int]:
        actor = self._actor
        if actor.is_regulator:
            rows = Organisation.objects.filter(
                self._asked_of("pk"), division__code__startswith=actor.organisation.territory
            )
            known = set(rows.values_list("pk", flat=True))
            return known if self._campaign is None else known | {self._campaign.organisation_id}
        mine = entered_for(actor)
        known = set(mine)
        dealt = Transfer.objects.filter(
            Q(self._asked_of("receiver"), sender__in=mine) | Q(self._asked_of("sender"), receiver__in=mine)
        )
        for sender, receiver in fetched(dealt.order_by().values_list("sender", "receiver").distinct()):
            known |= {sender, receiver}
        kept = Organisation.objects.filter(self._asked_of("pk"), kept_by__in=mine)
        known |= set(kept.values_list("pk", flat=True))
        if self._campaign is None:
            return known
        answered = self._campaign.notices.filter(self._asked_of("organisation"), status__in=sorted(REACHED))
        return known | {holder for (holder,) in fetched(answered.order_by().values_list("organisation"))}

    def _asked_of(self, field: str) -> Q:
        """That an organisation is one of those asked about."""
        return Q() if self._these is None else among(field, self._these)

    def knows(self, organisation: int) -> bool:
        """Whether the actor may know this organisation by name and amount."""
        return self.everything or organisation in self._organisations

    def holder(self, organisation: Organisation) -> SeenHolder:
        """A holder, by name or veiled."""
        return SeenHolder(
            organisation if self.knows(organisation.pk) else None,
            organisation.division.label,
            str(Organisation.Kind(organisation.kind).label),
        )

    def open_lots(self, lots: Iterable[int]) -> set[int]:
        """Those of these lots the actor may open."""
        ids = list(lots)
        if self.everything:
            return set(ids)
        found: set[int] = set()
        for begin in range(0, len(ids), _CHUNK):
            part: Sequence[int] = ids[begin : begin + _CHUNK]
            found.update(lots_visible_to(self._actor).filter(pk__in=part).values_list("pk", flat=True))
        return found

    @staticmethod
    def lot(lot: Lot, is_open: bool) -> SeenLot:
        """A lot, open or veiled."""
        division = lot.origin_place.division if lot.origin_place else lot.organisation.division
        day = lot.produced_on or timezone.localtime(lot.begun_at).date()
        if is_open:
            return SeenLot(lot, lot.product_version.label, lot.code, division.label, day)
        return SeenLot(
            None, _("他方批次（%(family)s）") % {"family": family_words(lot.product.family)}, "", division.label, day
        )


def through_choices(
    actor: Actor, campaign: Campaign, named: Iterable[int], known: int | None = None
) -> list[Organisation]:
    """Through whose hands a scope may be followed: the firm itself, and who was sent one of the named lots, as far as
    the actor may know it; one that the version in force names already. Three queries.
    """
    got = set(Transfer.objects.filter(among("lot", named), voided_by=None).values_list("receiver", flat=True))
    sight = Sight(actor, campaign)
    mine = {campaign.organisation_id} if campaign.initiator == Campaign.Initiator.TRADER else set()
    wanted = mine | {pk for pk in got if sight.knows(pk)} | ({known} if known is not None else set())
    rows = Organisation.objects.filter(among("pk", wanted)).order_by("name", "pk")
    return sorted(rows, key=lambda row: row.pk not in mine)


def answered_holders(actor: Actor, campaign: Campaign) -> list[Organisation]:
    """Holders whose goods the initiator may say were put right where they lie: those it was told the stock by."""
    notices = campaign.notices.filter(answered_at__isnull=False).select_related("organisation").order_by("id")
    sight = Sight(actor, campaign)
    found = {one.organisation_id: one.organisation for one in notices[:200] if sight.knows(one.organisation_id)}
    return [one for one in found.values() if one.pk != campaign.organisation_id][:50]


def known_notice(actor: Actor, uid: str, notice: str) -> tuple[Campaign, Notice]:
    """A notice of a campaign the actor has a side in, to a holder it may know; NotFound for any other."""
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    found = campaign_notice_for(actor, campaign, notice)
    if not Sight(actor, campaign).knows(found.organisation_id):
        raise NotFound(_("没有找到，或者您无权查看。"))
    return campaign, found
