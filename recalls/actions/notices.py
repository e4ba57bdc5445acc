"""Making notices for holders, moving them by their table, and putting messages into the outbox."""

from __future__ import annotations

import datetime
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls import sms
from recalls.access import roles_in, supervises_campaign
from recalls.actions.hooks import announce_to_systems
from recalls.asked import asked_pairs, followed, left
from recalls.errors import DrillStaysInside
from recalls.law import Level
from recalls.models import (
    Campaign,
    EscalationRule,
    Notice,
    NoticeLot,
    NoticeRun,
    NoticeStep,
    OutboxMessage,
    ScopeHolding,
    ScopeLot,
    ScopeVersion,
    StockAnswer,
)
from recalls.notice_states import (
    ESCALATION,
    NOTICE_TERMINAL,
    EscalationStep,
    NoticeStatus,
    Side,
    notice_move,
)
from recalls.parts import within
from recalls.scope import coverage_of, pairs_of
from recalls.sms import mobile_number
from trace.access import entered_for
from trace.actor import Actor
from trace.among import among
from trace.errors import Clash, NotAllowed, StaleState
from trace.models import Membership, Organisation

Channel = OutboxMessage.Channel
Kind = OutboxMessage.Kind


# --- Making them ----------------------------------------------------------------------------------------------------


INLINE = 500
"""Up to so many holders are told in the transaction of the start; more are left to the worker (``NoticeRun``)."""
INLINE_ROWS = 5_000
"""And up to so many lots at holders: few holders of very many lots are as much to write."""
CHUNK = 1000
CHUNK_ROWS = 20_000
RUN_LEASE = datetime.timedelta(minutes=2)


def queue_notices(*, campaign: Campaign, version: ScopeVersion, by: Actor, at: datetime.datetime) -> list[Notice]:
    """One notice to every holder of the version about the lots it was not told of before; messages go to the outbox.

    Part of a campaign's move, never called alone. Where there are many holders the worker makes them, and the campaign
    shows how far it is. In a drill the notices are made and nothing leaves the house.
    """
    holdings = ScopeHolding.objects.filter(scope=version).exclude(organisation=campaign.organisation_id)
    count = holdings.aggregate(rows=Count("pk"), holders=Count("organisation", distinct=True))
    many = count["rows"] > INLINE_ROWS and not campaign.notices.exists()
    wanted = {} if many else _untold(campaign, version)
    if many or len(wanted) > INLINE:
        NoticeRun.objects.create(
            campaign=campaign,
            scope=version,
            by=by.user,
            by_organisation=by.organisation,
            total=count["holders"] if many else len(wanted),
            created_at=at,
        )
        return []
    return _make_notices(campaign, version, wanted, by, at)


Wanted = dict[int, list[ScopeHolding]]


def _untold(campaign: Campaign, version: ScopeVersion) -> Wanted:
    """By holder, the lots of the version that it has (or had) and is not asked about; the initiator needs no notice.

    Of a lot that was out of the scope for a while everybody is asked anew but whose case is closed (``_closed``); so is
    who had answered about less of a lot.
    """
    told = _told(campaign, version)
    wanted: Wanted = defaultdict(list)
    rows = ScopeHolding.objects.filter(scope=version).exclude(organisation=campaign.organisation_id)
    for holding in [*rows.order_by("organisation", "id"), *_unrecorded(campaign, version, told)]:
        if (holding.organisation_id, holding.lot_id) not in told:
            wanted[holding.organisation_id].append(holding)
    return dict(wanted)


def _told(campaign: Campaign, version: ScopeVersion) -> set[tuple[int, int]]:
    """Holder and lot of everything that needs no notice of this version."""
    rows = NoticeLot.objects.filter(notice__campaign=campaign).exclude(notice__status=NoticeStatus.WITHDRAWN).order_by()
    if version.number > 1:
        number = version.number
        rows = rows.filter((~left(number) & ~Q(followed(number))) | Q(notice__scope__number__gte=number))
        if wider := _wider_in(campaign, version):
            # Unanswered notices are told of the change; who has answered about less is asked again.
            rows = rows.exclude(_answered_of(wider, number))
    told = set(rows.values_list("notice__organisation", "lot"))
    return told | _closed(campaign, version) if version.number > 1 else told


def _answered_of(lots: set[int], number: int) -> Q:
    """Of lots of notices: whether their holder has said before this version what it has of one of these lots."""
    said = StockAnswer.objects.filter(
        notice=OuterRef("notice"), lot=OuterRef("lot"), acknowledgement__set_aside__isnull=True
    )
    answered = Q(notice__status=NoticeStatus.SETTLED) | Q(Exists(said))
    return among("lot", lots) & Q(notice__scope__number__lt=number) & answered


def _closed(campaign: Campaign, version: ScopeVersion) -> set[tuple[int, int]]:
    """Holder and lot of what was settled, was out of the scope and is in again, where no goods were sent to the holder
    since by the records: nothing is open there. Of who is in no record nobody knows that.
    """
    number = version.number
    rows = NoticeLot.objects.filter(left(number), notice__campaign=campaign, notice__status=NoticeStatus.SETTLED)
    settled = set(rows.order_by().values_list("notice__organisation", "lot"))
    if not settled:
        return set()
    held = ScopeHolding.objects.filter(
        among("organisation", {holder for holder, _lot in settled}), scope__campaign=campaign, scope__number__lte=number
    )
    now: dict[tuple[int, int], int] = {}
    most: dict[tuple[int, int], int] = {}
    for of, holder, lot, received, sent in held.order_by().values_list(
        "scope__number", "organisation", "lot", "received_micros", "unconfirmed_micros"
    ):
        came = now if of == number else most
        came[holder, lot] = max(received + sent, came.get((holder, lot), 0))
    return {one for one in settled if one in now and one in most and now[one] <= most[one]}


def _unrecorded(campaign: Campaign, version: ScopeVersion, told: set[tuple[int, int]]) -> list[ScopeHolding]:
    """What holders in no version's record (told from an uploaded list, or by their supplier) were told of lots that are
    in again, or of which more is in since they had answered. Rows that are not kept.
    """
    number = version.number
    if number == 1:
        return []
    again = left(number)
    if wider := _wider_in(campaign, version):
        again |= _answered_of(wider, number)
    covered = ScopeLot.objects.filter(scope=version, lot=OuterRef("lot"))
    earlier = NoticeLot.objects.filter(
        again, Exists(covered), notice__campaign=campaign, notice__scope__number__lt=number
    ).select_related("notice")
    rows = [row for row in earlier.order_by("id") if (row.notice.organisation_id, row.lot_id) not in told]
    known = ScopeHolding.objects.filter(
        among("organisation", {row.notice.organisation_id for row in rows}), scope__campaign=campaign
    )
    recorded = set(known.order_by().values_list("organisation", "lot").distinct()) if rows else set()
    found: dict[tuple[int, int], ScopeHolding] = {}
    for row in rows:
        pair = (row.notice.organisation_id, row.lot_id)
        if pair not in recorded:
            found[pair] = ScopeHolding(
                scope=version,
                organisation_id=row.notice.organisation_id,
                lot_id=row.lot_id,
                on_hand_micros=row.on_hand_micros,
                unconfirmed_micros=row.unconfirmed_micros,
            )
    return [found[pair] for pair in sorted(found)]


def _wider_in(campaign: Campaign, version: ScopeVersion) -> set[int]:
    """The lots of which the version covers more than the version before did."""
    before = campaign.scopes.filter(number__lt=version.number).order_by("-number").first()
    if before is None:
        return set()
    earlier = coverage_of(before)
    if not any(earlier.values()):
        return set()
    return {pk for pk, part in coverage_of(version).items() if pk in earlier and not within(part, earlier[pk])}


def run_next_notices(*, now: datetime.datetime | None = None) -> bool:
    """Make the next thousand notices of the oldest unfinished run; False where there is none. Run by the worker.

    Which holders still lack a notice is asked anew each time, so a worker killed at any step loses and doubles nothing.
    """
    moment = now or timezone.now()
    free = Q(lease=None) | Q(leased_until__lt=moment)
    earlier = NoticeRun.objects.filter(campaign=OuterRef("campaign"), finished_at=None, pk__lt=OuterRef("pk"))
    waiting = NoticeRun.objects.filter(free, ~Exists(earlier), finished_at=None)
    pk = waiting.order_by("id").values_list("pk", flat=True).first()
    if pk is None:
        return False
    token = uuid.uuid4()
    won = NoticeRun.objects.filter(free, pk=pk, finished_at=None).update(lease=token, leased_until=moment + RUN_LEASE)
    if not won:
        return True
    run = NoticeRun.objects.select_related("campaign__organisation", "scope", "by", "by_organisation").get(pk=pk)
    with transaction.atomic():
        untold = _untold(run.campaign, run.scope) if run.campaign.is_open else {}
        untold = _still_inside(run.campaign, run.scope, untold)
        chunk = _piece(untold)
        by = Actor(organisation=run.by_organisation, user=run.by, system=True)
        _make_notices(run.campaign, run.scope, chunk, by, moment)
        left = len(untold) - len(chunk)
        NoticeRun.objects.filter(pk=pk, lease=token).update(
            done=max(run.total - left, 0),
            lease=None,
            leased_until=None,
            finished_at=None if left else moment,
        )
    return True


def _still_inside(campaign: Campaign, version: ScopeVersion, untold: Wanted) -> Wanted:
    """Those of these holdings that every version since covers for their holder; the others are asked about by the run
    of the version that brought them back.
    """
    for later in campaign.scopes.filter(number__gt=version.number).order_by("number"):
        covered = coverage_of(later)
        held = pairs_of(later) if any(covered.values()) else frozenset()
        untold = {
            pk: kept
            for pk, rows in untold.items()
            if (
                kept := [
                    row
                    for row in rows
                    if row.lot_id in covered and (not covered[row.lot_id] or row.pk is None or (row.lot_id, pk) in held)
                ]
            )
        }
    return untold


def _piece(untold: Wanted) -> Wanted:
    """The next holders: at most a thousand, and no more than 20,000 lots at them (but at least one holder), so that no
    writer waits for long.
    """
    found: Wanted = {}
    rows = 0
    for pk, holdings in untold.items():
        if found and (len(found) == CHUNK or rows + len(holdings) > CHUNK_ROWS):
            break
        found[pk] = holdings
        rows += len(holdings)
    return found


def _make_notices(
    campaign: Campaign, version: ScopeVersion, wanted: Wanted, by: Actor, at: datetime.datetime
) -> list[Notice]:
    """The notices of these holders with their messages; who is in no record is told by whom it was told before. Cost: a
    fixed number of statements and one per thousand rows.
    """
    known = {row.pk: row for row in Organisation.objects.filter(among("pk", wanted))}
    unrecorded = [pk for pk, rows in wanted.items() if all(row.pk is None for row in rows)]
    earlier = campaign.notices.filter(among("organisation", unrecorded)).order_by("id")
    before = {row.organisation_id: row for row in earlier} if unrecorded else {}
    notices = Notice.objects.bulk_create(
        [
            Notice(
                campaign=campaign,
                scope=version,
                organisation=known[pk],
                carrier_id=before[pk].carrier_id if pk in before else _carrier(known[pk]),
                parent_id=before[pk].parent_id if pk in before else None,
                tier=before[pk].tier if pk in before else 1,
                created_at=at,
            )
            for pk in sorted(wanted)
        ],
        batch_size=1000,
    )
    NoticeLot.objects.bulk_create(
        [
            NoticeLot(
                notice=notice,
                lot_id=holding.lot_id,
                on_hand_micros=holding.on_hand_micros,
                unconfirmed_micros=holding.unconfirmed_micros,
            )
            for notice in notices
            for holding in wanted[notice.organisation_id]
        ],
        batch_size=1000,
    )
    if not campaign.is_drill:
        enqueue(notices, kind=Kind.NOTICE, by=by, at=at)
    return notices


_FURTHER = 1000
"""Rounds of a notice from here on tell of further lots, apart from those of the ladder."""


def tell_parties(
    *,
    campaign: Campaign,
    version: ScopeVersion,
    wanted: Mapping[Organisation, Mapping[int, int]],
    by: Actor,
    at: datetime.datetime,
    carrier: int | None,
    parent: Notice | None = None,
) -> tuple[list[Notice], list[Notice]]:
    """Tell parties of lots (row numbers, with what they should have) that they are not asked about yet: the notices
    made, and those of this version that ask about more now. Part of an action.

    Refuses (``notice_state``) a further lot for a party whose notice in this version is over: nobody is left out in
    silence.
    """
    pks = [party.pk for party in wanted]
    told = asked_pairs(campaign, pks)
    here = {row.organisation_id: row for row in campaign.notices.filter(among("organisation", pks), scope=version)}
    made: list[Notice] = []
    added: list[Notice] = []
    for party, lots in wanted.items():
        fresh = {lot: micros for lot, micros in lots.items() if (party.pk, lot) not in told}
        if not fresh:
            continue
        notice = here.get(party.pk)
        if notice is not None and not notice.is_open:
            raise Clash(
                _("“%(name)s”的通知已经“%(status)s”，请先与对方核实，再扩大范围重新通知。")
                % {"name": party.label, "status": notice.get_status_display()},
                code="notice_state",
            )
        if notice is not None:
            added.append(notice)
        else:
            notice = Notice.objects.create(
                campaign=campaign,
                scope=version,
                organisation=party,
                carrier_id=carrier,
                parent=parent,
                tier=parent.tier + 1 if parent else 1,
                created_at=at,
            )
            made.append(notice)
        NoticeLot.objects.bulk_create(
            [NoticeLot(notice=notice, lot_id=lot, unconfirmed_micros=micros) for lot, micros in fresh.items()],
            batch_size=1000,
        )
    if made and not campaign.is_drill:
        enqueue(made, kind=Kind.NOTICE, by=by, at=at)
    if added and not campaign.is_drill:
        # A further lot for who has a notice already is told as well: the notice again, in a round of its own.
        last = OutboxMessage.objects.filter(among("notice", [one.pk for one in added])).aggregate(at=Max("round"))["at"]
        enqueue(added, kind=Kind.NOTICE, by=by, at=at, round_=max(last or 0, _FURTHER) + 1)
    return made, added


def _carrier(holder: Organisation) -> int | None:
    """The member that knows an outsider and can hand its letter on."""
    return holder.kept_by_id if holder.is_external else None


def queue_changes(*, campaign: Campaign, version: ScopeVersion, by: Actor, at: datetime.datetime) -> list[Notice]:
    """After a scope changed: tell everybody some of whose lots are out, or in with another part than before, and take
    back notices with no lot left. Part of a campaign's move, after ``queue_notices``: of a lot that is in again, or of
    which more is in than somebody had answered about, that holder has another notice and is told nothing on this one.
    """
    covered = coverage_of(version)
    before = campaign.scopes.filter(number__lt=version.number).order_by("-number").first()
    earlier = coverage_of(before) if before is not None else covered
    changed = {pk for pk, ranges in covered.items() if pk in earlier and earlier[pk] != ranges}
    number = version.number
    rows = (
        NoticeLot.objects.filter(notice__campaign=campaign)
        .exclude(notice__status__in=sorted(NOTICE_TERMINAL))
        .annotate(out=left(), was_out=left(number - 1), again=followed())
    )
    gone: set[int] = set()
    asks: set[int] = set()
    concerned: set[int] = set()
    for pk, lot, out, was_out, again in rows.order_by().values_list("notice", "lot", "out", "was_out", "again"):
        if again or was_out:
            continue
        (gone if out else asks).add(pk)
        if out or lot in changed:
            concerned.add(pk)
    notices = campaign.notices.filter(among("pk", concerned)).select_related("organisation", "campaign").order_by("id")
    told = list(notices)
    for notice in told:
        if notice.pk in gone - asks:
            move_notice(notice=notice, action="withdraw", side=Side.SYSTEM, by=by, at=at)
    if not campaign.is_drill:
        enqueue(told, kind=Kind.CHANGE, by=by, at=at, round_=version.number)
    return told


def queue_turned(*, campaign: Campaign, by: Actor, at: datetime.datetime) -> None:
    """Tell everybody who was told of a withdrawal that it is a recall now: the announcement is to be put up, and what
    went to consumers counts. Once: a campaign turns once.
    """
    notices = campaign.notices.exclude(status=NoticeStatus.WITHDRAWN).exclude(sent_at=None)
    if not campaign.is_drill:
        told = list(notices.select_related("organisation", "campaign"))
        enqueue(told, kind=Kind.TURNED, by=by, at=at)


def queue_end(*, campaign: Campaign, by: Actor, at: datetime.datetime, reason: str = "") -> None:
    """Tell everybody who was told that it is over. Notices of a cancelled campaign are taken back."""
    notices = list(campaign.notices.select_related("organisation", "campaign"))
    if campaign.status == "cancelled":
        for notice in notices:
            if notice.is_open:
                move_notice(notice=notice, action="withdraw", side=Side.SYSTEM, by=by, at=at, reason=reason)
    if not campaign.is_drill:
        enqueue([notice for notice in notices if notice.sent_at], kind=Kind.END, by=by, at=at)


def enqueue(
    notices: Sequence[Notice], *, kind: str, by: Actor, at: datetime.datetime, round_: int = 1
) -> list[OutboxMessage]:
    """Write the messages of these notices into the outbox, in the transaction of what they tell of.

    To a member's inbox at once; by e-mail where there is an address; a letter to post where there is neither. Refuses
    drills (``drill_stays_inside``): nothing of a drill leaves the house.
    """
    if any(notice.campaign.is_drill for notice in notices):
        raise DrillStaysInside()
    addresses = _addresses([notice.organisation for notice in notices])
    inside = _with_members([notice.organisation_id for notice in notices])
    texting = sms.gateway() is not None
    messages: list[OutboxMessage] = []
    for notice in notices:
        address = addresses.get(notice.organisation_id, "")
        member = notice.organisation_id in inside
        facts: dict[str, Any] = {"notice": notice, "kind": kind, "round": round_, "created_at": at, "next_at": at}
        if member:
            messages.append(OutboxMessage(channel=Channel.IN_APP, sent_at=at, **facts))
        if address:
            messages.append(OutboxMessage(channel=Channel.EMAIL, address=address, **facts))
        mobile = mobile_number(notice.organisation.recall_contact_phone) if texting else ""
        if mobile:
            messages.append(OutboxMessage(channel=Channel.SMS, address=mobile, **facts))
        if not member and not address and not mobile and kind in (Kind.NOTICE, Kind.CHANGE, Kind.TURNED):
            messages.append(OutboxMessage(channel=Channel.LETTER, **facts))
    OutboxMessage.objects.bulk_create(messages, batch_size=1000, ignore_conflicts=True)
    announce_to_systems(notices, event=str(kind), at=at)
    if kind == Kind.NOTICE:
        _sent_inside([one for one in notices if one.organisation_id in inside], by, at)
    return messages


def _sent_inside(notices: Sequence[Notice], by: Actor, at: datetime.datetime) -> None:
    """Notices that lie in a member's inbox are sent; all of them by one update and one insert per thousand."""
    fresh = {one.pk: one for one in notices if one.status == NoticeStatus.CREATED}
    Notice.objects.filter(among("pk", fresh), status=NoticeStatus.CREATED).update(status=NoticeStatus.SENT, sent_at=at)
    for one in fresh.values():
        one.status, one.sent_at = NoticeStatus.SENT, at
    NoticeStep.objects.bulk_create(
        [
            NoticeStep(
                notice=one,
                old=NoticeStatus.CREATED,
                new=NoticeStatus.SENT,
                action="send",
                side=Side.SYSTEM.value,
                by=by.user,
                by_organisation=by.organisation,
                at=at,
            )
            for one in fresh.values()
        ],
        batch_size=1000,
    )


def _addresses(organisations: Iterable[Organisation]) -> dict[int, str]:
    """The recall contact's e-mail of each organisation, else that of its owner."""
    rows = list(organisations)
    found = {row.pk: row.recall_contact_email for row in rows if row.recall_contact_email}
    missing = [row.pk for row in rows if row.pk not in found]
    members = Membership.objects.filter(organisation__in=missing, ended_at=None, user__is_active=True).exclude(
        user__email=""
    )
    for organisation, role, email in members.order_by("-id").values_list("organisation", "role", "user__email"):
        if role == Membership.Role.OWNER or organisation not in found:
            found[organisation] = email
    return found


def _with_members(organisations: Iterable[int]) -> set[int]:
    """Organisations somebody signs in for."""
    rows = Membership.objects.filter(organisation__in=set(organisations), ended_at=None, user__is_active=True)
    return set(rows.values_list("organisation", flat=True))


# --- Moving them ----------------------------------------------------------------------------------------------------


def sides_of(actor: Actor, notice: Notice) -> list[Side]:
    """On which sides of a notice the actor stands, the recipient's first; empty for a stranger.

    Who knows an outsider (its carrier) writes down answers for it like the issuer does.
    """
    if actor.system:
        return [Side.SYSTEM]
    mine = entered_for(actor)
    sides: list[Side] = []
    if notice.organisation_id in mine:
        sides.append(Side.RECIPIENT)
    issuing = roles_in(actor, notice.campaign)
    operator = notice.campaign.organisation_id in mine and actor.can("operator", "quality")
    if issuing or operator or notice.carrier_id in mine:
        sides.append(Side.ISSUER)
    if supervises_campaign(actor, notice.campaign):
        sides.append(Side.REGULATOR)
    return sides


def side_for(actor: Actor, notice: Notice, action: str) -> Side:
    """The side by which the actor may take this step; refuses ``notice_state`` (not now) and ``not_your_notice``."""
    sides = sides_of(actor, notice)
    if not sides:
        raise NotAllowed(_("这份通知不是发给您的。"), code="not_your_notice")
    for side in sides:
        if notice_move(notice.status, action, side) is not None:
            return side
    raise Clash(
        _("通知现在处于“%(status)s”，不能办理这一步。") % {"status": notice.get_status_display()},
        code="notice_state",
        status_now=notice.status,
    )


@transaction.atomic
def move_notice(
    *,
    notice: Notice,
    action: str,
    side: Side,
    by: Actor | None,
    at: datetime.datetime | None = None,
    reason: str = "",
    **changes: Any,
) -> Notice:
    """Take one row of the notice table by compare-and-swap and write its step. Refuses ``notice_state`` and
    ``stale_state``.
    """
    row = notice_move(notice.status, action, side)
    if row is None:
        raise Clash(
            _("通知现在处于“%(status)s”，不能办理这一步。") % {"status": notice.get_status_display()},
            code="notice_state",
            status_now=notice.status,
        )
    old = notice.status
    moved = Notice.objects.filter(pk=notice.pk, status=old).update(status=row.target, **changes)
    if not moved:
        raise StaleState(_("这份通知刚刚有了变化，请刷新页面。"))
    notice.status = row.target
    for name, value in changes.items():
        setattr(notice, name, value)
    note_attempt(notice=notice, action=action, side=side, by=by, at=at, reason=reason, old=old)
    return notice


def note_attempt(
    *,
    notice: Notice,
    action: str,
    side: Side,
    by: Actor | None,
    at: datetime.datetime | None = None,
    reason: str = "",
    old: str | None = None,
) -> NoticeStep:
    """One row of the notice's history; an attempt that changes no status has old and new alike."""
    return NoticeStep.objects.create(
        notice=notice,
        old=notice.status if old is None else old,
        new=notice.status,
        action=action,
        side=side.value,
        by=by.user if by else None,
        by_organisation=by.organisation if by else None,
        reason=reason[:500],
        at=at or timezone.now(),
    )


@transaction.atomic
def mark_posted(*, by: Actor, notice: Notice, at: datetime.datetime | None = None) -> Notice:
    """The letter was posted or handed over: by the issuer, or by who knows the outsider. With it goes all that waits to
    be posted to this recipient (a reminder, a change of the scope), for a letter says how things are when it is
    printed. Twice is harmless.
    """
    now = at or timezone.now()
    if Side.ISSUER not in sides_of(by, notice):
        raise NotAllowed(_("这份通知不是由您发出的。"), code="not_your_notice")
    if notice.campaign.is_drill:
        raise DrillStaysInside()
    OutboxMessage.objects.get_or_create(
        notice=notice, channel=Channel.LETTER, kind=Kind.NOTICE, round=1, defaults={"created_at": now, "next_at": now}
    )
    waiting = OutboxMessage.objects.filter(notice=notice, channel=Channel.LETTER, sent_at=None, failed_at=None)
    if waiting.update(sent_at=now):
        if notice.status == NoticeStatus.CREATED:
            move_notice(notice=notice, action="send", side=Side.ISSUER, by=by, at=now, sent_at=now)
        else:
            # Whose address did not exist was sent nothing before: the letter is the first it gets.
            if Notice.objects.filter(pk=notice.pk, sent_at=None).update(sent_at=now):
                notice.sent_at = now
            note_attempt(notice=notice, action="post", side=Side.ISSUER, by=by, at=now)
    return notice


@transaction.atomic
def note_trouble(*, by: Actor, notice: Notice, action: str, reason: str, at: datetime.datetime | None = None) -> Notice:
    """The issuer writes down that a notice was refused (``refuse``), that nobody can be reached (``give_up``), hands it
    up (``escalate``) or settles it (``settle``). Each needs a word why but settling.
    """
    if action != "settle" and not reason.strip():
        raise Clash(_("请写明理由。"), code="reason_required")
    side = side_for(by, notice, action)
    changes: dict[str, Any] = {}
    if action == "escalate":
        changes = {"escalation": EscalationStep.REGULATOR, "escalated_at": at or timezone.now()}
    return move_notice(notice=notice, action=action, side=side, by=by, at=at, reason=reason, **changes)


# --- Waiting too long -----------------------------------------------------------------------------------------------

_UNANSWERED = (NoticeStatus.SENT, NoticeStatus.DELIVERED, NoticeStatus.SEEN)


def waiting_times(level: Level) -> tuple[tuple[datetime.timedelta, EscalationStep], ...]:
    """After which time each step comes at this level: the latest row of the installation, else the house's default."""
    row = EscalationRule.objects.filter(level=level.value).order_by("-id").first()
    if row is None:
        return ESCALATION[level]
    minutes = (row.resend_minutes, row.telephone_minutes, row.regulator_minutes)
    return tuple((datetime.timedelta(minutes=each), step) for each, step in zip(minutes, EscalationStep, strict=True))


_ORDER = list(EscalationStep)


@transaction.atomic
def age_notice(*, notice: Notice, now: datetime.datetime) -> EscalationStep | None:
    """Take an unanswered notice one step further if its time has come: send again, list for the telephone, hand to the
    regulator. Repeats and two workers at once do it once.
    """
    campaign = notice.campaign
    if campaign.is_drill or not campaign.is_open or notice.sent_at is None or notice.status not in _UNANSWERED:
        return None
    steps = waiting_times(campaign.legal_level or Level.TWO)
    done = _ORDER.index(EscalationStep(notice.escalation)) + 1 if notice.escalation else 0
    for waited, step in steps[done : done + 1]:
        if now - notice.sent_at < waited:
            return None
        won = Notice.objects.filter(pk=notice.pk, escalation=notice.escalation, status=notice.status).update(
            escalation=step, escalated_at=now
        )
        if not won:
            return None
        notice.escalation, notice.escalated_at = step, now
        by = Actor(organisation=campaign.organisation, system=True)
        if step is EscalationStep.REGULATOR:
            move_notice(notice=notice, action="escalate", side=Side.SYSTEM, by=by, at=now)
            return step
        note_attempt(notice=notice, action=step.value, side=Side.SYSTEM, by=by, at=now)
        if step is EscalationStep.RESEND:
            enqueue([notice], kind=Kind.REMINDER, by=by, at=now)
        return step
    return None


def age_notices(*, now: datetime.datetime | None = None, limit: int = 500) -> int:
    """Age every unanswered notice of a running campaign; returns how many went a step further. Run by the worker."""
    moment = now or timezone.now()
    first = min(waiting_times(level)[0][0] for level in ESCALATION)
    waiting = (
        Notice.objects.filter(
            status__in=_UNANSWERED,
            sent_at__lte=moment - first,
            campaign__is_drill=False,
            campaign__ended_at=None,
        )
        .exclude(escalation=EscalationStep.REGULATOR)
        .select_related("campaign__organisation", "organisation")
        .order_by("sent_at")
    )
    return sum(age_notice(notice=notice, now=moment) is not None for notice in waiting[:limit])
