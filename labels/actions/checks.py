"""Scratch-off check codes: made when codes are issued, tried by whoever holds the goods, forgotten after printing."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.db.models import BinaryField, F, Q
from django.db.models.functions import Substr
from django.utils import timezone
from django.utils.translation import gettext as _

from labels import checks, nonces
from labels.models import CheckAttempt, CheckHashes, CheckTally, CodeRun, CodeStep
from labels.resolve import by_code
from trace.access import entered_for
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed, NotFound
from trace.models import Unit
from trace.personal import forget, reveal_bytes, seal_bytes

MOST_WRONG = 5
"""Wrong attempts on one label in a day. With 30 bits a guess, a year of them hits one label in 600,000."""
A_DAY = datetime.timedelta(hours=24)
SEED_DAYS = 180
"""After so many days a run's seed is destroyed, whoever forgot to."""
Answer = CheckAttempt.Answer


def begin_checks(run: CodeRun) -> None:
    """Give a run that is being issued its seed."""
    run.seed = seal_bytes(checks.new_seed(), organisation=run.organisation, purpose="check_codes")


def keep_hashes(run: CodeRun, codes: Sequence[str], first_number: int) -> None:
    """Store the hashes of the check codes of these new units."""
    seed = seed_of(run)
    found = checks.hashes([(code, checks.check_code(seed, code)) for code in codes])
    CheckHashes.objects.create(run=run, first_number=first_number, hashes=found)


def seed_of(run: CodeRun) -> bytes:
    """What a run's check codes are made from. Refuses a run without (``no_checks``) and one whose seed was destroyed
    (``checks_forgotten``): its labels cannot be printed again.
    """
    if not run.checks:
        raise Invalid(_("这次签发没有校验码。"), code="no_checks")
    seed = reveal_bytes(run.seed)
    if not seed:
        raise Clash(_("校验码的原文已经销毁，这次签发的标签不能再打印。"), code="checks_forgotten")
    return seed


def try_check(
    *, word: str, typed: str, place: str = "", at: datetime.datetime | None = None
) -> tuple[CheckAttempt, Unit]:
    """Compare what was typed with a unit's check code, once per signed word of its page.

    Right: first, or again with when and where first. Wrong: so many attempts left; after five in a day nothing is
    compared until the day is over, in whichever process they were made. Refuses words that are not ours
    (``page_word_bad``, ``page_word_old``), codes without a check code (``no_checks``), and what no check code can be
    (``check_characters``), which costs no attempt.
    """
    given = nonces.read(word)
    target = by_code(given.code) if given.code else None
    unit = target.unit if target is not None else None
    run = CodeRun.objects.filter(uid=unit.run, checks=True).first() if unit is not None and unit.run else None
    if unit is None or run is None:
        raise NotFound(_("这个码没有校验码。"), code="no_checks")
    text = checks.typed_check(typed)
    earlier = CheckAttempt.objects.filter(nonce=given.nonce)
    if not earlier.exists():
        try:
            with transaction.atomic():
                return _tried(run, unit, given.nonce, text, place, at or timezone.now()), unit
        except IntegrityError:
            if not earlier.exists():
                raise
    return earlier.get(), unit


def _tried(run: CodeRun, unit: Unit, nonce: str, text: str, place: str, now: datetime.datetime) -> CheckAttempt:
    """The attempt, counted before it is compared: of two at once neither sees the other's count."""
    CheckTally.objects.bulk_create([CheckTally(unit=unit, run=run, since=now)], ignore_conflicts=True)
    mine = CheckTally.objects.filter(unit=unit)
    mine.filter(since__lte=now - A_DAY).update(wrong=0, since=now)
    if not mine.filter(wrong__lt=MOST_WRONG).update(wrong=F("wrong") + 1, wrong_ever=F("wrong_ever") + 1):
        return _written(unit, nonce, Answer.LOCKED, place, now)
    if not checks.matches(unit.code, text, _stored(run, unit)):
        left = MOST_WRONG - mine.values_list("wrong", flat=True).get()
        return _written(unit, nonce, Answer.WRONG, place, now, left=left)
    mine.update(wrong=F("wrong") - 1, wrong_ever=F("wrong_ever") - 1, matched=F("matched") + 1)
    if mine.filter(first_at=None).update(first_at=now, first_place=place[:60]):
        return _written(unit, nonce, Answer.FIRST, place, now, times=1)
    tally = mine.get()
    return _written(
        unit,
        nonce,
        Answer.AGAIN,
        place,
        now,
        times=tally.matched,
        before_at=tally.first_at,
        before_place=tally.first_place,
    )


def attempt_of(unit: Unit, nonce: str) -> CheckAttempt | None:
    """The attempt on a unit by the nonce of its page, for a day."""
    return CheckAttempt.objects.filter(unit=unit, nonce=nonce[:32], at__gt=timezone.now() - A_DAY).first()


def _stored(run: CodeRun, unit: Unit) -> bytes:
    """The hash of a unit's check code, cut out by the database: a piece of a run has a megabyte of them."""
    piece = CheckHashes.objects.filter(run=run, first_number__lte=unit.number).order_by("-first_number")
    first = piece.values_list("first_number", flat=True).first()
    if first is None:
        return b""
    begin = (unit.number - first) * checks.HASH_BYTES + 1
    cut = Substr("hashes", begin, checks.HASH_BYTES, output_field=BinaryField())
    return bytes(piece.filter(first_number=first).values_list(cut, flat=True).get())


def _written(
    unit: Unit,
    nonce: str,
    answer: str,
    place: str,
    now: datetime.datetime,
    *,
    left: int = 0,
    times: int = 0,
    before_at: datetime.datetime | None = None,
    before_place: str = "",
) -> CheckAttempt:
    """One attempt with its answer."""
    return CheckAttempt.objects.create(
        unit=unit,
        nonce=nonce,
        answer=answer,
        place=place[:60],
        left=left,
        times=times,
        before_at=before_at,
        before_place=before_place,
        at=now,
    )


@transaction.atomic
def forget_checks(*, by: Actor, run: CodeRun, at: datetime.datetime | None = None) -> CodeRun:
    """Destroy a run's seed: its check codes can still be tried, but never be printed or handed out again.

    Who: the issuer. Refuses runs without check codes (``no_checks``), other issuers' (``not_own``), a run that is still
    being issued (``run_issuing``); twice is once.
    """
    by.require("operator", "quality")
    if run.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能处理本单位签发的码。"), code="not_own")
    if not run.checks or run.seed is None:
        raise Invalid(_("这次签发没有校验码。"), code="no_checks")
    if CodeRun.objects.filter(pk=run.pk, status=CodeRun.Status.ISSUING).exists():
        raise Clash(_("还在签发，签发完并打印后才能销毁校验码原文。"), code="run_issuing")
    now = at or timezone.now()
    if run.seed.key is not None:
        forget(run.seed, at=now)
        CodeStep.objects.create(
            run=run,
            step=CodeStep.Step.CHECKS_FORGOTTEN,
            by=by.user,
            by_organisation=by.organisation,
            at=now,
        )
    run.seed.refresh_from_db()
    return run


def run_next_check_forgetting(*, now: datetime.datetime | None = None) -> bool:
    """Destroy the seed of one run that is half a year old; False where there is none."""
    moment = now or timezone.now()
    old = Q(at__lt=moment - datetime.timedelta(days=SEED_DAYS), seed__key__isnull=False)
    run = CodeRun.objects.filter(old).exclude(status=CodeRun.Status.ISSUING).select_related("seed", "organisation")
    found = run.order_by("id").first()
    if found is None or found.seed is None:
        return False
    with transaction.atomic():
        forget(found.seed, at=moment)
        CodeStep.objects.create(
            run=found,
            step=CodeStep.Step.CHECKS_FORGOTTEN,
            by_organisation=found.organisation,
            reason=_("满 %(n)d 天，自动销毁") % {"n": SEED_DAYS},
            at=moment,
        )
    return True
