"""Rehearsing a recall: pick a lot, trace it both ways, test contacts, write down gaps, end. Blocks and tells nobody."""

from __future__ import annotations

import datetime
import hashlib
import smtplib
import time
import uuid

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from recalls.models import ContactTest, Drill, DrillGap, DrillTrace
from recalls.scope import Question, preview_scope, require_whole
from trace.access import entered_for
from trace.actor import Actor
from trace.errors import Clash, NotAllowed, NotFound, StaleState
from trace.genealogy import lots_by_pk, walk
from trace.models import Lot, Organisation, Transfer
from trace.text import clean_text

MOST_CONTACTS = 500
LEASE = datetime.timedelta(seconds=120)
RETRY = datetime.timedelta(minutes=5)
_LINK = signing.Signer(salt="recalls.contact_test", sep="~")


def pool_of(organisation: Organisation) -> list[Lot]:
    """The lots a random pick chooses from: the firm's own that left it, by their outside names."""
    sent = Transfer.objects.filter(sender=organisation, voided_by=None, lot__organisation=organisation)
    return list(Lot.objects.filter(pk__in=sent.values("lot"), voided_by=None).order_by("uid"))


def pick(pool: list[Lot], seed: str) -> tuple[Lot, str]:
    """The lot a seed picks from a pool, and the pool's hash: SHA-256 of seed and pool, as a number, modulo the size."""
    digest = hashlib.sha256("\n".join(str(lot.uid) for lot in pool).encode()).hexdigest()
    number = int(hashlib.sha256(f"{seed}\n{digest}".encode()).hexdigest(), 16)
    return pool[number % len(pool)], digest


@transaction.atomic
def start_drill(*, by: Actor, lot: Lot | None = None, seed: str = "", at: datetime.datetime | None = None) -> Drill:
    """Begin an exercise on a lot of one's own, or on one picked at random; the clock runs from now.

    Refuses others' lots (``not_found``), an empty pool (``no_lot_to_draw``), a second exercise while one runs
    (``drill_running``).
    """
    by.require("quality", "owner")
    if by.is_regulator:
        raise NotAllowed(_("演练由企业自己组织。"), code="role_required")
    Organisation.objects.select_for_update().get(pk=by.owner.pk)  # two at once would each find none running
    if Drill.objects.filter(organisation=by.owner, finished_at=None).exists():
        raise Clash(_("有一次演练还没有结束，请先结束它。"), code="drill_running")
    drawn, digest, size = "", "", 0
    if lot is None:
        pool = pool_of(by.owner)
        if not pool:
            raise Clash(_("还没有发出过的批次，请先指定一个批次。"), code="no_lot_to_draw")
        drawn = clean_text(seed, 60) or uuid.uuid4().hex
        lot, digest = pick(pool, drawn)
        size = len(pool)
    elif lot.organisation_id not in entered_for(by):
        raise NotFound(_("没有找到，或者您无权查看。"))
    return Drill.objects.create(
        organisation=by.owner,
        lot=lot,
        seed=drawn,
        pool=size,
        pool_sha256=digest,
        started_at=at or timezone.now(),
        by=by.user,
    )


def _require_running(by: Actor, drill: Drill) -> None:
    by.require("quality", "owner")
    if drill.organisation_id not in entered_for(by):
        raise NotFound(_("没有找到，或者您无权查看。"))
    if drill.finished_at is not None:
        raise Clash(_("演练已经结束。"), code="drill_over")


@transaction.atomic
def trace_drill(*, by: Actor, drill: Drill) -> list[DrillTrace]:
    """Ask the genealogy both ways and keep what it said with the time it took: sources and suppliers upwards; lots,
    holders and amounts downwards. May be repeated; every answer stays.
    """
    _require_running(by, drill)
    began = time.monotonic()
    back = walk([drill.lot], "back", with_voided=True)
    sources = lots_by_pk(back.reached)
    suppliers = {lot.organisation.label for lot in sources.values() if lot.organisation_id != drill.organisation_id}
    up = {
        "lots": len(sources),
        "suppliers": sorted(suppliers)[:200],
        "deepest": max(back.level.values(), default=0),
        "external": sum(lot.is_external for lot in sources.values()),
    }
    first = DrillTrace.objects.create(drill=drill, direction=DrillTrace.Direction.BACK, took_ms=_since(began), data=up)
    began = time.monotonic()
    answer = preview_scope(Question.of([drill.lot]))
    require_whole(answer)
    there = {"made": 0, "on_hand": 0, "shipped": 0, "unconfirmed": 0}
    for line in answer.lines:
        if line.lot.pk == drill.lot_id:
            there["made"], there["shipped"] = line.made, line.shipped
    for one in answer.holdings:
        if one.lot_id == drill.lot_id:
            # Who gave back goods of a slip it never confirmed had got so much of them; nobody has less than nothing.
            arrived = min(max(-one.on_hand, 0), one.unconfirmed)
            there["on_hand"] += one.on_hand + arrived
            there["unconfirmed"] += one.unconfirmed - arrived
    down = {
        "lots": len(answer.lines),
        "holders": len(answer.holder_ids),
        "unconfirmed_holders": len({one.organisation_id for one in answer.holdings if one.unconfirmed}),
        "unreachable": _unreachable([answer.organisations[pk] for pk in answer.holder_ids]),
        "sha256": answer.sha256(),
        "unit": drill.lot.product.base_unit,
        **there,
    }
    second = DrillTrace.objects.create(
        drill=drill, direction=DrillTrace.Direction.FORWARD, took_ms=_since(began), data=down
    )
    return [first, second]


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _unreachable(holders: list[Organisation]) -> int:
    """Outsiders without telephone, e-mail or address."""
    return sum(
        row.is_external and not (row.recall_contact_phone or row.recall_contact_email or row.address) for row in holders
    )


@transaction.atomic
def add_gap(*, by: Actor, drill: Drill, gap: str, action: str, responsible: str, due_on: datetime.date) -> DrillGap:
    """Write down a gap and what is done about it. After the end too: reports are read later."""
    by.require("quality", "owner")
    if drill.organisation_id not in entered_for(by):
        raise NotFound(_("没有找到，或者您无权查看。"))
    return DrillGap.objects.create(
        drill=drill,
        gap=clean_text(gap, 300, required=True),
        action=clean_text(action, 300, required=True),
        responsible=clean_text(responsible, 60, required=True),
        due_on=due_on,
        by=by.user,
    )


@transaction.atomic
def finish_gap(*, by: Actor, gap: DrillGap, words: str, at: datetime.datetime | None = None) -> DrillGap:
    """The measure was taken. Twice is refused (``stale_state``)."""
    by.require("quality", "owner")
    if gap.drill.organisation_id not in entered_for(by):
        raise NotFound(_("没有找到，或者您无权查看。"))
    said = clean_text(words, 300, required=True)
    if not DrillGap.objects.filter(pk=gap.pk, done_at=None).update(done_at=at or timezone.now(), done_words=said):
        raise StaleState(_("这项措施已经完成，请刷新页面。"))
    gap.refresh_from_db()
    return gap


@transaction.atomic
def finish_drill(*, by: Actor, drill: Drill, summary: str, at: datetime.datetime | None = None) -> Drill:
    """End the exercise: the clock stops. Refuses one that was not traced both ways (``not_traced``), and twice."""
    _require_running(by, drill)
    words = clean_text(summary, 2000, multiline=True, required=True)
    if set(drill.traces.values_list("direction", flat=True)) != set(DrillTrace.Direction.values):
        raise Clash(_("请先完成向上、向下两个方向的追溯。"), code="not_traced")
    moved = Drill.objects.filter(pk=drill.pk, finished_at=None).update(
        finished_at=at or timezone.now(), finished_by=by.user, summary=words
    )
    if not moved:
        raise StaleState(_("演练已经结束。"))
    drill.refresh_from_db()
    return drill


# --- Contacts -------------------------------------------------------------------------------------------------------


@transaction.atomic
def ask_contacts(*, by: Actor, drill: Drill | None = None, at: datetime.datetime | None = None) -> list[ContactTest]:
    """Ask everybody we shipped to whether they would be reached: one mail each with the word 演练 in every line that
    matters. Who has no e-mail is written down as not reachable by mail. At most once a day each.
    """
    now = at or timezone.now()
    by.require("quality", "owner")
    if drill is not None:
        _require_running(by, drill)
    mine = entered_for(by)
    receivers = Transfer.objects.filter(sender__in=mine, voided_by=None).values("receiver")
    recent = ContactTest.objects.filter(organisation=by.owner, created_at__gt=now - datetime.timedelta(days=1))
    rows = Organisation.objects.filter(pk__in=receivers).exclude(pk__in=mine)
    rows = rows.exclude(pk__in=recent.values("contact")).order_by("pk")[:MOST_CONTACTS]
    return ContactTest.objects.bulk_create(
        [
            ContactTest(
                organisation=by.owner,
                contact=row,
                drill=drill,
                address=row.recall_contact_email,
                created_at=now,
                next_at=now,
                failed_at=None if row.recall_contact_email else now,
                by=by.user,
            )
            for row in rows
        ]
    )


def contact_link(test: ContactTest) -> str:
    """The full address of the page on which a contact says that it was reached."""
    return settings.PUBLIC_BASE_URL + reverse("recalls:contact_test", args=[_LINK.sign(test.uid.hex)])


def contact_test_by_link(token: str) -> ContactTest:
    """The test of a signed link; NotFound for any other."""
    try:
        uid = uuid.UUID(_LINK.unsign(token))
    except (signing.BadSignature, ValueError):
        raise NotFound(_("这个链接无效。请核对信函上的网址，或与发出通知的单位联系。")) from None
    found = ContactTest.objects.select_related("organisation", "contact").filter(uid=uid).first()
    if found is None:
        raise NotFound(_("这个链接无效。请核对信函上的网址，或与发出通知的单位联系。"))
    return found


@transaction.atomic
def confirm_contact(*, token: str, at: datetime.datetime | None = None) -> ContactTest:
    """The contact says that it was reached. Twice is once."""
    test = contact_test_by_link(token)
    ContactTest.objects.filter(pk=test.pk, confirmed_at=None).update(confirmed_at=at or timezone.now())
    test.refresh_from_db()
    return test


def send_contact_tests(*, now: datetime.datetime | None = None) -> int:
    """Send the tests whose time has come, each under a lease; how many the mail server took. Run by the worker."""
    moment = now or timezone.now()
    free = Q(lease=None) | Q(leased_until__lt=moment)
    due = ContactTest.objects.filter(free, sent_at=None, failed_at=None, next_at__lte=moment)
    sent = 0
    for pk in list(due.order_by("next_at", "id").values_list("pk", flat=True)[:50]):
        token = uuid.uuid4()
        won = ContactTest.objects.filter(free, pk=pk, sent_at=None, failed_at=None).update(
            lease=token, leased_until=moment + LEASE, attempts=F("attempts") + 1
        )
        if won:
            sent += _send(ContactTest.objects.select_related("organisation", "contact").get(pk=pk), token, moment)
    return sent


def _send(test: ContactTest, lease: uuid.UUID, now: datetime.datetime) -> bool:
    mine = ContactTest.objects.filter(pk=test.pk, lease=lease)
    with translation.override("zh-hans"):
        words = _(
            "【演练】%(to)s:\n\n这是演练，不是召回，您手里的货没有问题，不用停售。\n\n"
            "%(from)s 在测试召回时能不能联系到您。请打开下面的链接，点一下“收到”:\n%(link)s\n\n【演练】"
        ) % {"to": test.contact.name, "from": test.organisation.name, "link": contact_link(test)}
        subject = _("【演练】召回联系方式测试：%(from)s") % {"from": test.organisation.name}
    email = EmailMessage(
        subject=subject,
        body=words,
        to=[test.address],
        headers={"Message-ID": f"<{test.uid}@contact-test>", "Auto-Submitted": "auto-generated"},
        connection=get_connection(),
    )
    try:
        email.send()
    except smtplib.SMTPRecipientsRefused as refusal:
        if all(500 <= code < 600 for code, _words in refusal.recipients.values()):
            mine.update(failed_at=now, lease=None, leased_until=None)
            return False
        mine.update(next_at=now + RETRY, lease=None, leased_until=None)
        return False
    except (smtplib.SMTPException, OSError):
        mine.update(next_at=now + RETRY, lease=None, leased_until=None)
        return False
    mine.update(sent_at=now, lease=None, leased_until=None)
    return True
