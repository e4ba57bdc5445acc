"""Taking complaints and claims from people without account; answering them; forgetting who they were."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from recalls.actions.signals import raise_signal
from recalls.models import (
    Campaign,
    CasePhoto,
    CaseStep,
    ConsumerCase,
    PublicMessage,
    ScopeLot,
    ServiceTarget,
    Signal,
)
from recalls.parts import covers
from recalls.plausible import Claimed, flags_of
from recalls.queries import publication_in_force
from recalls.service import target
from recalls.through import Passed, standing_through
from recalls.transitions import PUBLIC, Status
from trace.access import entered_for
from trace.actions.files import picture_bytes
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed, StaleState
from trace.identifiers import new_serials, normalise_serial
from trace.models import Lot, Membership, Organisation, Unit, User
from trace.packs import numbers_of
from trace.personal import forget, seal, seal_bytes
from trace.text import clean_text

WORDS_MAX = 1000
CONTACT_MAX = 100
CODE_MAX = 100
REPLY_MAX = 2000
PIECES_MAX = 100_000
PHOTOS_MAX = 3
CENTS_MAX = 10**12
Step = CaseStep.Step
CaseStatus = ConsumerCase.Status
HANDLERS = ("quality", "owner", "officer", "approver")


@dataclass(frozen=True)
class Photo:
    """One uploaded photograph, before it is looked at."""

    name: str
    content: IO[bytes]
    what: str = CasePhoto.What.GOODS


@dataclass(frozen=True)
class Told:
    """What a consumer says besides the goods. ``consent``: the contact may be kept; ``share``: the maker may see it."""

    words: str = ""
    contact: str = ""
    consent: bool = False
    share: bool = False
    shop: str = ""
    bought_on: datetime.date | None = None
    photos: Sequence[Photo] = ()


@dataclass(frozen=True)
class Named:
    """What a typed or scanned code names; ``lot`` None where we never issued it."""

    code: str
    lot: Lot | None = None
    unit: Unit | None = None


def named(text: str) -> Named:
    """The unit or lot with this code, look-alike letters forgiven. Never refuses: what is no code names nothing."""
    typed = clean_text(text.strip().rstrip("/").rpartition("/")[2], CODE_MAX)
    try:
        code = normalise_serial(typed)
    except Invalid:
        return Named(typed)
    unit = Unit.objects.filter(code=code).select_related("lot__product", "lot__organisation").first()
    if unit is not None:
        return Named(unit.code, unit.lot, unit)
    lot = Lot.objects.filter(public_code=code).select_related("product", "organisation").first()
    return Named(lot.public_code, lot) if lot is not None else Named(code)


def file_complaint(
    *,
    nonce: str,
    what: str,
    kind_words: str,
    goods: Named,
    told: Told,
    fact: str = "",
    harm: bool = False,
    at: datetime.datetime | None = None,
) -> ConsumerCase:
    """Take a complaint; once per ``nonce``, a repeat answers with the first.

    Complaints of one kind about one lot make one signal (线索) while nobody has handled it: a cluster, not a flood.
    Words, contact and photographs are sealed. Refuses a contact without consent (``consent_required``), texts that are
    too long or hold control characters, photographs that are none, more than three (``too_many_photos``).
    """
    earlier = ConsumerCase.objects.filter(nonce=nonce).first()
    if earlier is not None:
        return earlier
    now = at or timezone.now()
    clean = _clean(told)
    pictures = _pictures(told.photos)
    number = _number(now)
    aim = target(ServiceTarget.Key.HARM if harm else ServiceTarget.Key.COMPLAINT)
    firm = goods.lot.organisation if goods.lot is not None else None
    try:
        with transaction.atomic():
            signal = _signal(what, kind_words, goods, number, now)
            case = ConsumerCase.objects.create(
                number=number,
                nonce=nonce,
                kind=ConsumerCase.Kind.COMPLAINT,
                what=what,
                fact=clean_text(fact, 60),
                lot=goods.lot,
                unit=goods.unit,
                code=goods.code[:CODE_MAX],
                organisation=firm,
                owner=firm,
                due_at=now + aim.span,
                due_rule=aim.snapshot(),
                signal=signal,
                shop=clean_text(told.shop, 100),
                bought_on=told.bought_on,
                received_at=now,
                **_sealed(clean, told, firm, now),
            )
            _keep_photos(case, pictures, now)
            _step(case, Step.FILED, None, now)
    except IntegrityError:
        found = ConsumerCase.objects.filter(nonce=nonce).first()
        if found is None:
            raise
        return found
    return case


def file_claim(
    *,
    nonce: str,
    campaign: Campaign,
    code: str,
    remedy: str,
    pieces: int,
    told: Told,
    price_cents: int | None = None,
    harm: bool = False,
    at: datetime.datetime | None = None,
) -> ConsumerCase:
    """Take a claim in an announced recall for the goods with this code; once per ``nonce``.

    What is implausible is flagged and looked at by a person, never refused by rule; a code never issued also becomes a
    signal. Refuses a recall that is not announced or has ended (``recall_not_open``; drills are never announced), a
    missing code (``code_required``), an unknown remedy (``unknown_choice``), pieces out of range (``pieces_range``), a
    claim nobody can answer is taken all the same: the receipt reads the reply.
    """
    earlier = ConsumerCase.objects.filter(nonce=nonce).first()
    if earlier is not None:
        return earlier
    now = at or timezone.now()
    publication = publication_in_force(campaign)
    if campaign.is_drill or publication is None or campaign.status not in PUBLIC or campaign.status == Status.CLOSED:
        raise Clash(_("这次召回没有公告或已经结案，不能在这里申请。可以拨打 12315。"), code="recall_not_open")
    if remedy not in ConsumerCase.Remedy.values:
        raise Invalid(_("请选择您的要求。"), code="unknown_choice")
    if not 1 <= pieces <= PIECES_MAX:
        raise Invalid(_("件数应在 1 到 100000 之间。"), code="pieces_range")
    if price_cents is not None and not 0 <= price_cents <= CENTS_MAX:
        raise Invalid(_("金额不对，请核对。"), code="amount_range")
    goods = named(code)
    if not goods.code:
        raise Invalid(_("请填写标签上的码。"), code="code_required")
    clean = _clean(told)
    pictures = _pictures(told.photos)
    number = _number(now)
    aim = target(ServiceTarget.Key.HARM if harm else ServiceTarget.Key.CLAIM)
    try:
        with transaction.atomic():
            # One claim after another for a campaign: two on one code at once must see each other.
            Campaign.objects.select_for_update().get(pk=campaign.pk)
            covered = _covered(campaign, publication.notice.scope_id, goods)
            flags = flags_of(_facts(goods, pieces, covered, told.bought_on, campaign))
            signal = None
            if goods.lot is None:
                signal = _signal("claim", _zh_never_issued(), goods, number, now)
            elif harm:
                signal = _signal("harm", _zh_harm(), goods, number, now)
            case = ConsumerCase.objects.create(
                number=number,
                nonce=nonce,
                kind=ConsumerCase.Kind.CLAIM,
                what="harm" if harm else "recall",
                lot=goods.lot,
                unit=goods.unit,
                code=goods.code[:CODE_MAX],
                organisation=campaign.organisation,
                owner=campaign.organisation,
                campaign=campaign,
                due_at=now + aim.span,
                due_rule=aim.snapshot(),
                signal=signal,
                remedy=remedy,
                pieces=pieces,
                price_cents=price_cents,
                flags=flags,
                shop=clean_text(told.shop, 100),
                bought_on=told.bought_on,
                received_at=now,
                **_sealed(clean, told, campaign.organisation, now),
            )
            _keep_photos(case, pictures, now)
            _step(case, Step.FILED, None, now)
    except IntegrityError:
        found = ConsumerCase.objects.filter(nonce=nonce).first()
        if found is None:
            raise
        return found
    return case


def _zh_never_issued() -> str:
    with translation.override("zh-hans"):
        return _("召回申请用了本系统没有签发过的码")


def _zh_harm() -> str:
    with translation.override("zh-hans"):
        return _("召回申请中说身体不适或受到伤害")


def _covered(campaign: Campaign, scope_id: int, goods: Named) -> bool:
    """Whether the published scope covers the goods; where it names ranges of unit numbers, whether the unit is in
    one.
    """
    rows = ScopeLot.objects.select_related("scope", "lot").filter(scope=scope_id, lot=goods.lot)
    row = rows.first() if goods.lot is not None else None
    if row is None:
        return False
    if goods.unit is not None and row.through:
        through = standing_through([row.scope.hold_id], row.lot, goods.unit)
        return all(one.passed is not Passed.NO for one in through.values())
    if goods.unit is None or not row.ranges:
        return True
    return covers(row.ranges, numbers_of([goods.unit], row.lot_id) | {goods.unit.number})


def _facts(goods: Named, pieces: int, covered: bool, bought_on: datetime.date | None, campaign: Campaign) -> Claimed:
    """What the rules of plausibility ask about one claim; three queries."""
    same = ConsumerCase.objects.filter(kind=ConsumerCase.Kind.CLAIM).exclude(status=CaseStatus.REFUSED)
    lot_pieces, made = 0, None
    if goods.lot is not None:
        lot_pieces = same.filter(lot=goods.lot).aggregate(n=Sum("pieces"))["n"] or 0
        if goods.lot.product.base_unit == "C62":
            made = max(goods.lot.made_micros // 10**6, 0)
    return Claimed(
        pieces=pieces,
        is_unit=goods.unit is not None,
        issued=goods.lot is not None,
        covered=covered,
        same_code=same.filter(unit=goods.unit).count() if goods.unit is not None else 0,
        lot_pieces=lot_pieces,
        made=made,
        void=goods.unit is not None and goods.unit.state in (Unit.State.VOID, Unit.State.SPOILED),
        bought_on=bought_on,
        made_on=goods.lot.produced_on if goods.lot is not None else None,
        stopped_on=timezone.localdate(campaign.started_at) if campaign.started_at else None,
    )


def _clean(told: Told) -> tuple[str, str]:
    """Words and contact, cleaned; a contact needs consent of its own."""
    words = clean_text(told.words, WORDS_MAX, multiline=True)
    contact = clean_text(told.contact, CONTACT_MAX)
    if contact and not told.consent:
        raise Invalid(
            _("留联系方式需要您同意保存它；不同意的，请清空联系方式，凭回执号也能看到答复。"), code="consent_required"
        )
    return words, contact


def _sealed(clean: tuple[str, str], told: Told, firm: Organisation | None, now: datetime.datetime) -> dict[str, object]:
    """The sealed columns of a case."""
    words, contact = clean
    return {
        "words": seal(words, organisation=firm, purpose="case_words") if words else None,
        "contact": seal(contact, organisation=firm, purpose="case_contact") if contact else None,
        "consented_at": now if contact else None,
        "share_contact": bool(contact and told.share),
    }


def _pictures(photos: Sequence[Photo]) -> list[tuple[str, bytes]]:
    """The photographs made anew, before any transaction is open."""
    if len(photos) > PHOTOS_MAX:
        raise Invalid(_("最多 %(n)d 张照片。") % {"n": PHOTOS_MAX}, code="too_many_photos")
    return [(photo.what, picture_bytes(name=photo.name, content=photo.content)) for photo in photos]


def _keep_photos(case: ConsumerCase, pictures: Sequence[tuple[str, bytes]], now: datetime.datetime) -> None:
    for what, data in pictures:
        CasePhoto.objects.create(
            case=case,
            what=what,
            picture=seal_bytes(data, organisation=case.owner, purpose="case_photo"),
            size=len(data),
            at=now,
        )


def _number(now: datetime.datetime) -> str:
    """A receipt number nobody guesses: the day and sixty random bits."""
    return f"T{timezone.localtime(now):%Y%m%d}-{new_serials(1)[0]}"


def _signal(what: str, words: str, goods: Named, number: str, now: datetime.datetime) -> Signal:
    """The signal a complaint belongs to: an unhandled one of the same kind about the same lot (or code), else a new
    one. Its words name nobody.
    """
    waiting = Signal.objects.filter(
        source=Signal.Source.SCAN_REPORT, status=Signal.Status.NEW, is_drill=False, cases__what=what
    )
    waiting = waiting.filter(lot=goods.lot) if goods.lot is not None else waiting.filter(lot=None, code=goods.code)
    found = waiting.order_by("id").first()
    if found is not None:
        return found
    return raise_signal(
        source=Signal.Source.SCAN_REPORT,
        text=f"{words}（{number}）",
        lot=goods.lot,
        unit=goods.unit,
        code=goods.code,
        at=now,
    )


def _step(
    case: ConsumerCase,
    step: str,
    by: Actor | None,
    at: datetime.datetime,
    *,
    words: str = "",
    public: bool = True,
    data: dict[str, object] | None = None,
) -> CaseStep:
    """One row of the case's history."""
    return CaseStep.objects.create(
        case=case,
        step=step,
        public=public,
        words=seal(words, organisation=case.owner, purpose="case_step") if words else None,
        data=data or {},
        by=by.user if by else None,
        by_organisation=by.organisation if by else None,
        at=at,
    )


# --- Handling -------------------------------------------------------------------------------------------------------


def may_handle(by: Actor, case: ConsumerCase) -> bool:
    """Whether the actor may answer: the owner's quality officer or owner, or a regulator's people over it."""
    if not by.can(*HANDLERS) and by.role != "owner":
        return False
    if by.is_regulator:
        return case.owner is None or case.owner.division_id.startswith(by.organisation.territory)
    return case.owner_id is not None and case.owner_id in entered_for(by)


def may_read_contact(by: Actor, case: ConsumerCase) -> bool:
    """The contact is for regulators; for the firm only where the consumer agreed to that."""
    return by.is_regulator or (case.share_contact and may_handle(by, case))


def _require(by: Actor, case: ConsumerCase) -> None:
    if not may_handle(by, case):
        raise NotAllowed(_("这一件由承办单位的质量负责人、负责人或监管部门办理。"), code="role_required")


def _move(case: ConsumerCase, allowed: Sequence[str], **changes: object) -> None:
    """Change a case only if it is still in one of these states (``stale_state``)."""
    if not ConsumerCase.objects.filter(pk=case.pk, status__in=allowed).update(**changes):
        raise StaleState(_("这一件已有人办理，请刷新页面。"))
    case.refresh_from_db()


@transaction.atomic
def assign(*, by: Actor, case: ConsumerCase, person: User, at: datetime.datetime | None = None) -> ConsumerCase:
    """Name who of the owner (or, for codes never issued, of the regulator) handles it. Refuses outsiders
    (``not_member``).
    """
    _require(by, case)
    home = case.owner or by.organisation
    if not Membership.objects.filter(organisation=home, user=person, ended_at=None).exists():
        raise Invalid(_("这个人不在承办单位。"), code="not_member")
    _move(case, [CaseStatus.OPEN, CaseStatus.ACCEPTED], person=person, owner=home)
    _step(case, Step.ASSIGNED, by, at or timezone.now(), public=False, data={"person": str(person.uid)})
    return case


@transaction.atomic
def hand_over(
    *, by: Actor, case: ConsumerCase, to: Organisation, reason: str, at: datetime.datetime | None = None
) -> ConsumerCase:
    """Give a case to another organisation (the seller who was asked first, the brand owner); the deadline stays.

    Regulators only, or its owner to a regulator over it: a firm cannot push its cases to another.
    """
    _require(by, case)
    words = clean_text(reason, 300, multiline=True)
    if not words:
        raise Invalid(_("请写明理由。"), code="reason_required")
    if not by.is_regulator and to.kind != Organisation.Kind.REGULATOR:
        raise NotAllowed(_("只有监管部门可以把来件转给别的单位。"), code="regulator_only")
    if to.status != Organisation.Status.ACTIVE:
        raise Invalid(_("这个单位没有入驻，不能承办。"), code="not_active")
    _move(case, [CaseStatus.OPEN, CaseStatus.ACCEPTED], owner=to, person=None)
    _step(case, Step.HANDED, by, at or timezone.now(), words=words, data={"to": to.label})
    return case


@transaction.atomic
def reply(*, by: Actor, case: ConsumerCase, words: str, at: datetime.datetime | None = None) -> ConsumerCase:
    """Answer a complaint; read with the receipt, and announced by e-mail where the contact is one. May be added to."""
    _require(by, case)
    now = at or timezone.now()
    said = _said(words)
    if case.kind == ConsumerCase.Kind.COMPLAINT:
        _move(case, [CaseStatus.OPEN, CaseStatus.ANSWERED], status=CaseStatus.ANSWERED, ended_at=now)
    _announce(case, _step(case, Step.REPLIED, by, now, words=said), now)
    return case


@transaction.atomic
def accept(*, by: Actor, case: ConsumerCase, words: str = "", at: datetime.datetime | None = None) -> ConsumerCase:
    """Accept a claim: it will be returned, exchanged, repaired or paid."""
    _require(by, case)
    _claim_only(case)
    now = at or timezone.now()
    _move(case, [CaseStatus.OPEN], status=CaseStatus.ACCEPTED)
    step = _step(case, Step.ACCEPTED, by, now, words=clean_text(words, REPLY_MAX, multiline=True))
    _announce(case, step, now)
    return case


@transaction.atomic
def settle(
    *,
    by: Actor,
    case: ConsumerCase,
    payer: str,
    payer_name: str = "",
    paid_cents: int | None = None,
    words: str = "",
    at: datetime.datetime | None = None,
) -> ConsumerCase:
    """A claim was carried out: by whom it was paid and how much.

    先行赔付 (paid in advance by whoever was asked first; Food Safety Law 2021, article 148: 首负责任制) names who paid.
    Refuses an unknown payer (``unknown_choice``), 先行赔付 without a name (``payer_required``), a refund without an
    amount (``amount_required``).
    """
    _require(by, case)
    _claim_only(case)
    now = at or timezone.now()
    if payer not in ConsumerCase.Payer.values:
        raise Invalid(_("请选择由谁赔付。"), code="unknown_choice")
    name = clean_text(payer_name, 120)
    if payer != ConsumerCase.Payer.PRODUCER and not name:
        raise Invalid(_("请写明由谁支付。"), code="payer_required")
    if case.remedy in (ConsumerCase.Remedy.REFUND, ConsumerCase.Remedy.RETURN) and paid_cents is None:
        raise Invalid(_("请填写退款金额。"), code="amount_required")
    if paid_cents is not None and not 0 <= paid_cents <= CENTS_MAX:
        raise Invalid(_("金额不对，请核对。"), code="amount_range")
    _move(
        case,
        [CaseStatus.ACCEPTED],
        status=CaseStatus.SETTLED,
        payer=payer,
        payer_name=name or (case.owner.label if case.owner else ""),
        paid_cents=paid_cents,
        ended_at=now,
    )
    step = _step(
        case,
        Step.SETTLED,
        by,
        now,
        words=clean_text(words, REPLY_MAX, multiline=True),
        data={"payer": payer, "paid_cents": paid_cents},
    )
    _announce(case, step, now)
    return case


@transaction.atomic
def refuse(*, by: Actor, case: ConsumerCase, words: str, at: datetime.datetime | None = None) -> ConsumerCase:
    """A claim is not supported; the reason is read with the receipt."""
    _require(by, case)
    _claim_only(case)
    now = at or timezone.now()
    said = _said(words)
    _move(case, [CaseStatus.OPEN, CaseStatus.ACCEPTED], status=CaseStatus.REFUSED, ended_at=now)
    _announce(case, _step(case, Step.REFUSED, by, now, words=said), now)
    return case


def _claim_only(case: ConsumerCase) -> None:
    if case.kind != ConsumerCase.Kind.CLAIM:
        raise Clash(_("只有召回申请可以这样办理。"), code="no_such_step")


def _said(words: str) -> str:
    said = clean_text(words, REPLY_MAX, multiline=True)
    if not said:
        raise Invalid(_("请写明答复的内容。"), code="words_required")
    return said


def _announce(case: ConsumerCase, step: CaseStep, now: datetime.datetime) -> None:
    """A message that there is an answer, where a contact was left and can still be read; its words are on the page."""
    if case.contact is not None and case.contact.key is not None:
        PublicMessage.objects.create(kind=PublicMessage.Kind.REPLY, step=step, created_at=now, next_at=now)


# --- Forgetting -----------------------------------------------------------------------------------------------------


@transaction.atomic
def forget_case(*, case: ConsumerCase, asked: bool, at: datetime.datetime | None = None) -> ConsumerCase:
    """Destroy contact, words, photographs and the words of replies for good; kind, goods, result and counts stay.

    ``asked``: the consumer asked with the receipt (one tap, at any time). Else the retention time is over. Harmless
    twice.
    """
    now = at or timezone.now()
    if not ConsumerCase.objects.filter(pk=case.pk, forgotten_at=None).update(forgotten_at=now, shop="", code=""):
        return case
    case.refresh_from_db()
    records = [case.words, case.contact]
    records += [photo.picture for photo in case.photos.select_related("picture")]
    records += [step.words for step in case.steps.select_related("words")]
    for record in records:
        if record is not None:
            forget(record, at=now)
    PublicMessage.objects.filter(step__case=case, sent_at=None, failed_at=None).update(
        failed_at=now, error="forgotten", lease=None, leased_until=None
    )
    _step(case, Step.FORGOTTEN, None, now, data={"asked": asked})
    return case


def forget_old_cases(*, now: datetime.datetime | None = None) -> int:
    """The retention job: forget the people behind cases that ended long enough ago. Safe to repeat and to kill."""
    moment = now or timezone.now()
    until = moment - target(ServiceTarget.Key.KEEP_CONTACT).span
    done = 0
    while True:
        rows = list(
            ConsumerCase.objects.filter(ended_at__lt=until, forgotten_at=None)
            .select_related("words", "contact", "owner")
            .order_by("id")[:200]
        )
        if not rows:
            return done
        for case in rows:
            forget_case(case=case, asked=False, at=moment)
            done += 1


@transaction.atomic
def set_target(*, by: Actor, key: str, hours: int, reason: str, at: datetime.datetime | None = None) -> ServiceTarget:
    """Set how long something may take from now on; deadlines already given stay. A regulator's approver only."""
    by.require("approver")
    if not by.is_regulator:
        raise NotAllowed(_("办理时限由监管部门的审批人设定。"), code="regulator_only")
    if key not in ServiceTarget.Key.values:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    if not 1 <= hours <= 87_600:
        raise Invalid(_("时限应在 1 小时到 10 年之间。"), code="hours_range")
    words = clean_text(reason, 300, multiline=True)
    if not words:
        raise Invalid(_("请写明理由。"), code="reason_required")
    return ServiceTarget.objects.create(
        key=key, hours=hours, reason=words, by=by.user, by_organisation=by.organisation, at=at or timezone.now()
    )
