"""Taking in hints from anybody, and saying what becomes of them."""

from __future__ import annotations

import datetime
import hashlib

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.models import Signal, SignalStep
from trace.actor import Actor
from trace.errors import Invalid, NotAllowed, StaleState
from trace.identifiers import new_serials
from trace.models import Lot, Organisation, Product, TestReport, Unit
from trace.personal import seal
from trace.text import clean_text

WORDS_MAX = 2000
CONTACT_MAX = 200
_OUTSIDE = frozenset({Signal.Source.COMPLAINT, Signal.Source.SCAN_REPORT})


@transaction.atomic
def raise_signal(
    *,
    source: str,
    text: str,
    by: Actor | None = None,
    lot: Lot | None = None,
    product: Product | None = None,
    unit: Unit | None = None,
    report: TestReport | None = None,
    code: str = "",
    contact: str = "",
    received_at: datetime.datetime | None = None,
    is_drill: bool = False,
    at: datetime.datetime | None = None,
) -> Signal:
    """Write down one hint; returns it with its receipt number.

    ``by`` is None for the public (complaints and reports from a scanned page only: ``source_not_public``). Words and
    contact are sealed. The same words about the same goods by the same person again give the first receipt. Refuses
    empty words (``required``), an unknown source (``unknown_choice``), a time in the future (``in_future``).
    """
    now = at or timezone.now()
    if source not in Signal.Source.values:
        raise Invalid(_("请选择线索来源。"), code="unknown_choice")
    if by is None and source not in _OUTSIDE:
        raise Invalid(_("请选择线索来源。"), code="source_not_public")
    if (source == Signal.Source.DRILL) != is_drill:
        raise Invalid(_("演练线索的来源应为“演练设定”。"), code="drill_source")
    words = clean_text(text, WORDS_MAX, multiline=True, required=True)
    told = clean_text(contact, CONTACT_MAX)
    received = received_at or now
    if received > now:
        raise Invalid(_("时间在将来，请核对日期和时间。"), code="in_future")
    if unit is not None:
        lot = lot or unit.lot
    if report is not None:
        lot = lot or report.lot
    if lot is not None:
        product = lot.product
    key = _dedup_key(source, lot, product, unit, code, words, told, by, received if is_drill else None)
    existing = Signal.objects.filter(dedup_key=key).first()
    if existing is not None:
        return existing
    organisation = _concerned(lot, product, by)
    signal = Signal.objects.create(
        receipt=f"X{timezone.localtime(now):%Y%m%d}-{new_serials(1)[0][:8]}",
        source=source,
        organisation=organisation,
        lot=lot,
        product=product,
        unit=unit,
        report=report,
        code=clean_text(code, 100),
        words=seal(words, organisation=organisation, purpose="recall_signal"),
        contact=seal(told, organisation=organisation, purpose="recall_contact") if told else None,
        raised_by=by.user if by else None,
        raised_by_organisation=by.organisation if by else None,
        received_at=received,
        dedup_key=key,
        is_drill=is_drill,
    )
    _step(signal, "", by, "", now)
    return signal


def _concerned(lot: Lot | None, product: Product | None, by: Actor | None) -> Organisation | None:
    """Whose goods it is about: the lot's maker, the product's firm, else the firm that speaks of itself."""
    if lot is not None:
        return lot.organisation
    if product is not None:
        return product.organisation
    return by.owner if by is not None and not by.is_regulator else None


def _dedup_key(
    source: str,
    lot: Lot | None,
    product: Product | None,
    unit: Unit | None,
    code: str,
    words: str,
    contact: str,
    by: Actor | None,
    drilled_at: datetime.datetime | None,
) -> str:
    """A hash of who says what about which goods; drills repeat on purpose and carry their time."""
    parts = [
        source,
        str(lot.uid) if lot else "",
        str(product.uid) if product else "",
        unit.code if unit else "",
        code,
        " ".join(words.split()),
        contact,
        str(by.user.uid) if by and by.user else str(by.organisation.uid) if by else "",
        drilled_at.isoformat() if drilled_at else "",
    ]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


@transaction.atomic
def signal_of_scans(*, lot: Lot, kind: str, words: str, at: datetime.datetime | None = None) -> Signal:
    """The signal that suspicious scans of one kind on a lot share while nobody has handled it: one for the lot, however
    many of its codes are conspicuous. After it was handled, the next suspicion makes another. Part of the examination
    of scans, which no person asked for.
    """
    now = at or timezone.now()
    code = f"scans:{kind}"[:100]
    waiting = Signal.objects.filter(
        source=Signal.Source.SCAN_REPORT, status=Signal.Status.NEW, lot=lot, code=code, is_drill=False
    )
    found = waiting.order_by("id").first()
    if found is not None:
        return found
    handled = Signal.objects.filter(source=Signal.Source.SCAN_REPORT, lot=lot, code=code).count()
    text = words if not handled else _("%(words)s（第 %(n)d 次）") % {"words": words, "n": handled + 1}
    return raise_signal(source=Signal.Source.SCAN_REPORT, text=text, lot=lot, code=code, at=now)


@transaction.atomic
def dismiss_signal(*, by: Actor, signal: Signal, reason: str, at: datetime.datetime | None = None) -> Signal:
    """Close a signal that needs no assessment, with the reason. Refuses one already handled (``stale_state``).

    A complaint of the public about a firm can be dismissed by the firm or its regulator; both see who did.
    """
    _may_handle(by, signal)
    if not reason.strip():
        raise Invalid(_("请写明理由。"), code="reason_required")
    moved = Signal.objects.filter(pk=signal.pk, status=Signal.Status.NEW).update(status=Signal.Status.DISMISSED)
    if not moved:
        raise StaleState(_("这条线索已有人处理，请刷新页面。"))
    signal.refresh_from_db()
    _step(signal, Signal.Status.NEW, by, reason, at or timezone.now())
    return signal


def _may_handle(by: Actor, signal: Signal, *, raiser: bool = False) -> None:
    """Quality officer or owner of the firm concerned, or a regulator's people; with ``raiser`` also those of the firm
    that raised it (a trader that recalls what another made).
    """
    by.require("quality", "owner", "officer", "approver")
    firms = {signal.organisation_id, signal.raised_by_organisation_id if raiser else None}
    if not by.is_regulator and by.owner.pk not in firms:
        raise NotAllowed(_("这条线索由产品所属单位或监管部门处理。"), code="not_own")


def _step(signal: Signal, old: str, by: Actor | None, reason: str, at: datetime.datetime) -> None:
    """One row of the signal's history."""
    SignalStep.objects.create(
        signal=signal,
        old=old,
        new=signal.status,
        by=by.user if by else None,
        by_organisation=by.organisation if by else None,
        reason=reason.strip()[:500],
        at=at,
    )


def link_signal(*, by: Actor, signal: Signal, campaign_id: int, at: datetime.datetime) -> None:
    """Tie a new signal to the campaign that was opened for it. Part of ``assess``; refuses one already handled."""
    _may_handle(by, signal, raiser=True)
    moved = Signal.objects.filter(pk=signal.pk, status=Signal.Status.NEW).update(
        status=Signal.Status.LINKED, campaign=campaign_id
    )
    if not moved:
        raise StaleState(_("这条线索已有人处理，请刷新页面。"))
    signal.refresh_from_db()
    _step(signal, Signal.Status.NEW, by, "", at)
