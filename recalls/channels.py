"""Where an announcement must stand: derived from where the goods went, one province or several, by the regime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from recalls.law import regime
from recalls.law.regimes import Item, Publication
from recalls.models import Campaign, Notice
from recalls.notice_states import NoticeStatus
from recalls.scope import latest_scope
from trace.errors import Invalid
from trace.models import Division


@dataclass(frozen=True)
class Channel:
    """What the regime asks of one campaign: the provinces the goods went to (code and name), the places there are, and
    the keys of those that must be used.
    """

    rule: Publication
    provinces: tuple[tuple[str, str], ...]

    @property
    def several(self) -> bool:
        """Whether the goods went beyond one province."""
        return len(self.provinces) > 1

    @property
    def needed(self) -> tuple[str, ...]:
        """The keys of the places that must be used."""
        return self.rule.needed_in_several if self.several else self.rule.needed_in_one

    @property
    def sites(self) -> tuple[Item, ...]:
        """All places the regime knows."""
        return self.rule.sites

    def label(self, key: str) -> str:
        """The name of a place."""
        return next((str(site.label) for site in self.sites if site.key == key), key)

    @property
    def words(self) -> str:
        """Who publishes where, and why, in the reader's language."""
        comma = _("、")
        facts = {
            "where": comma.join(label for _code, label in self.provinces) or _("没有发出"),
            "law": self.rule.basis.legal_basis,
            "sites": comma.join(self.label(key) for key in self.needed),
        }
        if self.several:
            words = _("货物到了不止一个省份（%(where)s）：依%(law)s，应在%(sites)s发布。") % facts
        else:
            words = _("货物只在一个省份（%(where)s）：依%(law)s，应在%(sites)s发布。") % facts
        return words if self.rule.basis.verified else words + _("条文未经核实，请以主管部门意见为准。")

    def missing(self, sites: Sequence[str]) -> list[str]:
        """The names of places that must be used and are not among these."""
        return [self.label(key) for key in self.needed if key not in sites]


def channel_for(campaign: Campaign) -> Channel | None:
    """The channel of a campaign by where its goods are or were: the holders of the scope in force, everybody told,
    also by an uploaded list or a partner, and the initiator itself. None where the regime says nothing. Three queries.
    """
    rule = regime(campaign.regime).publication
    if rule is None:
        return None
    version = latest_scope(campaign)
    places = {campaign.organisation.division_id}
    if version is not None:
        places |= set(version.holdings.values_list("organisation__division", flat=True).distinct())
    told = Notice.objects.filter(campaign=campaign).exclude(status=NoticeStatus.WITHDRAWN)
    places |= set(told.values_list("organisation__division", flat=True).distinct())
    codes = sorted({place[:2] for place in places if place})
    names = {one.pk[:2]: one.label for one in Division.objects.filter(pk__in=[f"{code}0000" for code in codes])}
    return Channel(rule, tuple((code, names.get(code, code)) for code in codes))


def named_sites(channel: Channel | None, words: str, sites: Sequence[str] | None) -> tuple[str, ...]:
    """The places meant: those chosen, or those whose name stands in the words."""
    if channel is None:
        return ()
    if sites is not None:
        return tuple(site.key for site in channel.sites if site.key in sites)
    return tuple(site.key for site in channel.sites if site.label.zh in words or (site.label.en or "\0") in words)


def check_channel(campaign: Campaign, words: str, sites: Sequence[str] | None, why: str) -> tuple[str, ...]:
    """The places an announcement stands at; refuses (``channel_wrong``) chosen ones without those the regime asks for,
    where nobody says why, and unknown ones (``unknown_choice``).
    """
    channel = channel_for(campaign)
    if channel is not None and sites is not None:
        if not {site.key for site in channel.sites}.issuperset(sites):
            raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
        missing = channel.missing(sites)
        if missing and not why.strip():
            raise Invalid(
                _("%(why)s还缺：%(missing)s。确实不能用的，请写明原因。")
                % {"why": channel.words, "missing": _("、").join(missing)},
                code="channel_wrong",
                missing=missing,
            )
    return named_sites(channel, words, sites)


def owed(campaign: Campaign) -> list[str]:
    """Places the announcement in force should stand at, by where the goods are now, and that nobody named or proved."""
    channel = channel_for(campaign)
    last = campaign.public_notices.filter(publication__isnull=False).order_by("-number").first()
    if channel is None or last is None:
        return []
    there = {*last.publication.sites, *last.publication.proofs.values_list("site", flat=True)}
    return channel.missing(sorted(there))
