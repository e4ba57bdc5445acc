"""Which lots of its notices a holder is asked about now: at any time one notice asks one holder about one lot.

A notice asks about a lot as long as every version of the scope since covers it for this holder, and until a later
notice asks the same holder about it. What was out of the scope for a while is over for that notice, for good: the
holder was told so, its goods were free, and what it had said of them says nothing of what is there now. Where the lot
comes back another notice asks. Of a lot of which only part is covered, a holder known by record who has none of
the part is not asked; who was told by its supplier or from an uploaded list is, for no record says what it has.
Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery, Value

from recalls.models import Campaign, Notice, NoticeLot, ScopeHolding, ScopeLot, ScopeVersion
from recalls.notice_states import NoticeStatus

Pair = tuple[int, int]
"""Row numbers of a notice (or a holder) and a lot."""


def left(until: int | None = None) -> Q:
    """Of lots of notices: whether a later version (up to this number, if given) did not cover them for their holder."""
    later = ScopeVersion.objects.filter(
        campaign=OuterRef("notice__campaign"), number__gt=OuterRef("notice__scope__number")
    )
    if until is not None:
        later = later.filter(number__lte=until)
    lot = OuterRef(OuterRef("lot"))
    holder = {"lot": lot, "organisation": OuterRef(OuterRef("notice__organisation"))}
    covered = ScopeLot.objects.filter(scope=OuterRef("pk"), lot=lot)
    here = ScopeHolding.objects.filter(scope=OuterRef("pk"), **holder)
    before = ScopeHolding.objects.filter(
        scope__campaign=OuterRef("campaign"), scope__number__lt=OuterRef("number"), **holder
    )
    without = later.filter(~Exists(covered))
    elsewhere = later.filter(Exists(covered.exclude(part={})), ~Exists(here), Exists(before))
    return Q(Exists(without)) | (Q(notice__parent=None) & Q(Exists(elsewhere)))


def followed(until: int | None = None) -> Exists:
    """Of lots of notices: whether a later notice (of a version up to this number, if given) asks the same holder."""
    others = NoticeLot.objects.filter(
        lot=OuterRef("lot"),
        notice__campaign=OuterRef("notice__campaign"),
        notice__organisation=OuterRef("notice__organisation"),
        notice__gt=OuterRef("notice"),
    ).exclude(notice__status=NoticeStatus.WITHDRAWN)
    return Exists(others if until is None else others.filter(notice__scope__number__lte=until))


def over() -> Q:
    """Of lots of notices: whether their notice asks about them no longer. What was settled stays so where its lot came
    back and nobody asked again.
    """
    newest = ScopeVersion.objects.filter(campaign=OuterRef(OuterRef("notice__campaign"))).order_by("-number")
    covered = ScopeLot.objects.filter(lot=OuterRef("lot"), scope=Subquery(newest.values("pk")[:1]))
    settled = Q(notice__status=NoticeStatus.SETTLED) & Q(Exists(covered))
    return Q(followed()) | (left() & ~settled)


def with_standing(
    rows: QuerySet[NoticeLot], *, of: Notice | None = None, now: ScopeVersion | None = None
) -> QuerySet[NoticeLot]:
    """These lots of notices, each ``still`` asked about or not; of a notice that was taken back, all stand. ``of`` is
    their one notice: where no version came since its own nothing can be over, and putting the question into words takes
    longer than a letter's page may. ``now`` is the version in force, where the caller has it.
    """
    if of is not None and not (_changed_since(of) if now is None else now.pk > of.scope_id):
        return rows.annotate(still=Value(True))
    return rows.annotate(still=Q(notice__status=NoticeStatus.WITHDRAWN) | ~over())


def still_asked(rows: QuerySet[NoticeLot], *, of: Notice | None = None) -> QuerySet[NoticeLot]:
    """Those of these lots of notices that are still asked about; of one that was taken back, all (``of``: the same)."""
    if of is not None and not _changed_since(of):
        return rows
    return rows.filter(Q(notice__status=NoticeStatus.WITHDRAWN) | ~over())


def _changed_since(notice: Notice) -> bool:
    """Whether the scope got another version since this notice's own."""
    return ScopeVersion.objects.filter(campaign=notice.campaign_id, pk__gt=notice.scope_id).order_by().exists()


def asked_elsewhere(notice: Notice, lots: Iterable[int]) -> set[int]:
    """Those of these lots (row numbers) that another notice of the recall asks the same holder about."""
    wanted = set(lots)
    if not wanted:
        return set()
    others = NoticeLot.objects.filter(notice__campaign=notice.campaign_id, notice__organisation=notice.organisation_id)
    standing = others.exclude(notice=notice).exclude(notice__status=NoticeStatus.WITHDRAWN).filter(~over())
    return wanted & set(standing.values_list("lot", flat=True))


def asked_pairs(campaign: Campaign, holders: Iterable[int]) -> set[Pair]:
    """Holder and lot (row numbers) of everything these holders are asked about, or have settled."""
    rows = NoticeLot.objects.filter(notice__campaign=campaign, notice__organisation__in=list(holders))
    standing = rows.exclude(notice__status=NoticeStatus.WITHDRAWN).filter(~over())
    return set(standing.values_list("notice__organisation", "lot"))


def outdated(campaign: Campaign, version: ScopeVersion) -> set[Pair]:
    """Notice and lot of every answer that says nothing of what is there now, since the notice asks no longer. No query
    of the first version.
    """
    if version.number == 1:
        return set()
    return set(NoticeLot.objects.filter(over(), notice__campaign=campaign).values_list("notice", "lot"))
