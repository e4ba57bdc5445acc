"""Counting views, once each and exactly; taking reports from people who hold the goods. Nobody needs an account for
either.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from labels import nonces
from labels.models import Scan, ScanReport, ScanTally
from labels.resolve import Target, by_code
from recalls.actions.signals import raise_signal
from recalls.models import Signal
from trace.errors import Invalid, NotFound
from trace.models import Lot, Unit
from trace.text import clean_text

WORDS_MAX = 1000
CONTACT_MAX = 100
CODE_TEXT_MAX = 100


@dataclass(frozen=True)
class Counted:
    """What became of a signed word: whether this call counted it, and the code it was for."""

    counted: bool
    lot: Lot
    unit: Unit | None


def count_scan(
    *, word: str, means: str = Scan.Means.BEACON, place: str = "", at: datetime.datetime | None = None
) -> Counted:
    """Count one view of one code's page, once per signed word however often it is sent.

    Refuses words that are not ours or too old (``page_word_bad``, ``page_word_old``) and words of pages that showed
    no code (``not_found``).
    """
    given = nonces.read(word)
    found = by_code(given.code) if given.code else None
    if found is None or found.lot is None:
        raise NotFound(_("没有这个码。"))
    now = at or timezone.now()
    try:
        with transaction.atomic():
            Scan.objects.create(lot=found.lot, unit=found.unit, nonce=given.nonce, means=means, place=place, at=now)
            _tally(found.lot, found.unit, place, now)
    except IntegrityError:
        if not Scan.objects.filter(nonce=given.nonce).exists():
            raise
        return Counted(False, found.lot, found.unit)
    return Counted(True, found.lot, found.unit)


def _tally(lot: Lot, unit: Unit | None, place: str, now: datetime.datetime) -> None:
    """Add one to the code's tally, in the transaction of the scan row."""
    tally, _new = ScanTally.objects.get_or_create(
        lot=lot, unit=unit, defaults={"count": 0, "first_at": now, "first_place": place}
    )
    ScanTally.objects.filter(pk=tally.pk).update(count=F("count") + 1)


def report_mismatch(
    *,
    word: str,
    what: str,
    words: str = "",
    contact: str = "",
    code_text: str = "",
    at: datetime.datetime | None = None,
) -> ScanReport:
    """Take a report that information and goods do not agree, or that the goods did harm; once per signed word.

    It becomes a signal (线索) for the maker and its regulator at once, where words and contact are sealed. A repeat
    answers with the report it made. Refuses an unknown kind (``unknown_choice``), texts that are too long or hold
    control characters, 其他 without words (``words_required``).
    """
    given = nonces.read(word)
    if what not in ScanReport.What.values:
        raise Invalid(_("请选择哪里不符。"), code="unknown_choice")
    told = clean_text(words, WORDS_MAX, multiline=True)
    reachable = clean_text(contact, CONTACT_MAX)
    typed = clean_text(code_text, CODE_TEXT_MAX)
    if what == ScanReport.What.OTHER and not told:
        raise Invalid(_("请用几句话说明情况。"), code="words_required")
    earlier = ScanReport.objects.filter(nonce=given.nonce)
    if earlier.exists():
        return earlier.get()
    found = by_code(given.code) if given.code else None
    try:
        with transaction.atomic():
            return _write_report(found, given.nonce, what, told, reachable, typed, at or timezone.now())
    except IntegrityError:
        if not earlier.exists():
            raise
        return earlier.get()


def _write_report(
    found: Target | None, nonce: str, what: str, told: str, reachable: str, typed: str, now: datetime.datetime
) -> ScanReport:
    """The signal and the report's own row."""
    lot, unit = (found.lot, found.unit) if found is not None else (None, None)
    with translation.override("zh-hans"):
        kind = str(ScanReport.What(what).label)
    signal = raise_signal(
        source=Signal.Source.SCAN_REPORT,
        text=f"{kind}：{told}" if told else kind,
        lot=lot,
        unit=unit,
        code=found.code if found is not None else typed,
        contact=reachable,
        at=now,
    )
    return ScanReport.objects.create(
        nonce=nonce, lot=lot, unit=unit, what=what, number=signal.receipt, signal=signal.uid, at=now
    )
