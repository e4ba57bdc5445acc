"""Counting views, once each and exactly; taking reports from people who hold the goods. Nobody needs an account for
either.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from labels import nonces
from labels.models import Scan, ScanReport
from labels.recording import RECORDER, View
from labels.resolve import by_code
from labels.viewers import viewer
from recalls.actions.cases import CONTACT_MAX, WORDS_MAX, Named, Told, file_complaint, named
from trace.errors import Invalid, NotFound
from trace.models import Lot, Unit
from trace.text import clean_text

__all__ = ["CODE_TEXT_MAX", "CONTACT_MAX", "WORDS_MAX", "Counted", "count_scan", "report_mismatch"]

CODE_TEXT_MAX = 100


@dataclass(frozen=True)
class Counted:
    """What became of a signed word: whether this call counted it, and the code it was for."""

    counted: bool
    lot: Lot
    unit: Unit | None


def count_scan(
    *,
    word: str,
    means: str = Scan.Means.BEACON,
    place: str = "",
    region: str = "",
    address: str = "",
    at: datetime.datetime | None = None,
) -> Counted:
    """Count one view of one code's page, once per signed word however often it is sent; committed when this returns.

    ``address`` becomes a hash that tells the viewers of a day apart and is not kept. Refuses words that are not ours or
    too old (``page_word_bad``, ``page_word_old``) and words of pages that showed no code (``not_found``).
    """
    given = nonces.read(word)
    found = by_code(given.code) if given.code else None
    if found is None or found.lot is None:
        raise NotFound(_("没有这个码。"))
    now = at or timezone.now()
    view = View(
        lot=found.lot.pk,
        unit=found.unit.pk if found.unit is not None else None,
        nonce=given.nonce,
        means=str(means),
        place=place,
        region=region,
        who=viewer(address, now) if address else "",
        at=now,
    )
    return Counted(RECORDER.record(view), found.lot, found.unit)


def report_mismatch(
    *,
    word: str,
    what: str,
    told: Told | None = None,
    code_text: str = "",
    fact: str = "",
    at: datetime.datetime | None = None,
) -> ScanReport:
    """Take a report that information and goods do not agree, or that the goods did harm; once per signed word.

    It becomes a case with an owner and a deadline, whose number is the receipt, and belongs to a signal (线索) for the
    maker and its regulator; words, contact and photographs are sealed in the case. A repeat answers with the report it
    made. Refuses an unknown kind (``unknown_choice``), 其他 without words (``words_required``), and what
    ``file_complaint`` refuses.
    """
    given = nonces.read(word)
    said = told or Told()
    if what not in ScanReport.What.values:
        raise Invalid(_("请选择哪里不符。"), code="unknown_choice")
    typed = clean_text(code_text, CODE_TEXT_MAX)
    if what == ScanReport.What.OTHER and not clean_text(said.words, WORDS_MAX, multiline=True):
        raise Invalid(_("请用几句话说明情况。"), code="words_required")
    earlier = ScanReport.objects.filter(nonce=given.nonce)
    if earlier.exists():
        return earlier.get()
    found = by_code(given.code) if given.code else None
    goods = Named(found.code, found.lot, found.unit) if found is not None else named(typed)
    now = at or timezone.now()
    with translation.override("zh-hans"):
        kind = str(ScanReport.What(what).label)
    try:
        with transaction.atomic():
            case = file_complaint(
                nonce=given.nonce,
                what=what,
                kind_words=kind,
                goods=goods,
                told=said,
                fact=fact,
                harm=what == ScanReport.What.HARM,
                at=now,
            )
            if case.signal is None:
                raise ValueError("a complaint without a signal")
            return ScanReport.objects.create(
                nonce=given.nonce,
                lot=goods.lot,
                unit=goods.unit,
                what=what,
                number=case.number,
                signal=case.signal.uid,
                at=now,
            )
    except IntegrityError:
        if not earlier.exists():
            raise
        return earlier.get()
