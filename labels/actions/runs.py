"""Issuing codes and printing them. Both are commands: a lot on hold or under recall gets no labels (architecture.md,
rule 1).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from labels.actions.checks import begin_checks, keep_hashes
from labels.compose import compose
from labels.contents import sample_content
from labels.layouts import DEFAULT_SHEET, Layout
from labels.layouts import layout as layout_of
from labels.models import CodeException, CodeRun, CodeStep
from labels.qr import Material
from trace.access import entered_for, later_actor, supervises
from trace.actions.events import When
from trace.actions.unit_codes import any_taken, commission_units
from trace.actor import Actor
from trace.errors import BrokenGuard, Clash, DomainError, GuardBroken, Invalid, NotAllowed
from trace.guards import blocking
from trace.identifiers import new_serials, normalise_lot_code
from trace.ledger import lock_log_head
from trace.lineage import untrue_words
from trace.models import Event, Lot, Product, Unit
from trace.text import clean_text

MAX_CODES = 1_000_000
"""Of one run."""
FIRST_CODES = 10_000
"""Issued while the person waits."""
MORE_CODES = 50_000
"""Issued by the worker at a time: one transaction, which holds the log of events meanwhile (about a second)."""
MAX_PRINTED = 2_400
"""Labels of one print, a hundred full sheets: more than a printer's tray, and drawn within a request."""
MAX_TRIES = 3
REASON_MAX = 300
KEY_MAX = 100
_CHUNK = 500


def issue_codes(
    *,
    by: Actor,
    lot: Lot,
    count: int,
    key: str,
    kind: str = CodeRun.Kind.UNIT,
    level: str = Unit.Level.ITEM,
    layout: str = DEFAULT_SHEET,
    material: str = Material.SMOOTH,
    with_gtin: bool | None = None,
    checks: bool = False,
    when: When | None = None,
    at: datetime.datetime | None = None,
) -> CodeRun:
    """Issue ``count`` unit codes for a lot (or order labels that carry the lot's own code), once per ``key``.

    Unit codes get numbers that go on where the lot's last run ended, a row each in trace and a commissioning event. Of
    more than 10,000 the rest is issued by the worker, in pieces of one transaction and one event each: wherever it is
    killed, a piece is there whole or not at all, and the next one goes on from ``issued``.
    ``with_gtin`` asks for addresses with the product's GTIN; by default they have it where its claim is confirmed.
    ``checks`` asks for a check code under a layer on each label.
    The public host is frozen into the run. Repeating a key answers with the run it made.

    Refuses: who may not (``role_required``), lots of other issuers (``not_own``, ``lot_external``), void or blocked
    lots (``lot_void``, ``lot_blocked``, not insistable) and lots whose label would say what their ancestors contradict
    (``forbidden_ancestor``, ``gi_foreign``, not insistable), counts outside 1 to 1,000,000 (``bad_count``), a GTIN not
    confirmed (``gtin_not_confirmed``) or whose lot code another lot's labels carry (``gtin_lot_taken``), a key used
    for something else (``run_key_reused``), an unknown layout, level or material, check codes on labels of a lot
    (``checks_need_units``) or on a layout without room for them (``checks_need_room``), and texts or characters that
    no label of this layout can carry (what ``compose`` refuses).
    """
    by.require("operator", "quality")
    now = at or timezone.now()
    _check_wish(key, kind, level, count, material)
    found = layout_of(layout)
    if checks:
        _check_room(kind, found)
    _check_issuer(by, lot)
    earlier = CodeRun.objects.filter(organisation=lot.organisation, key=key)
    if earlier.exists():
        return _same_run(earlier.get(), lot, kind, count)
    require_unblocked(lot)
    gtin = gtin_for(lot, kind, with_gtin)
    sample = sample_content(lot, kind=kind, public_host=settings.PUBLIC_BASE_URL, gtin=gtin, with_check=checks)
    compose(sample, found, Material(material))
    try:
        with transaction.atomic():
            return _issue(by, lot, count, key, kind, level, found, material, gtin, checks, when, now, at)
    except IntegrityError:
        # The same request came in twice at once and the other was first: the unique key undid ours, event and all.
        if not earlier.exists():
            raise
        return _same_run(earlier.get(), lot, kind, count)


def _issue(
    by: Actor,
    lot: Lot,
    count: int,
    key: str,
    kind: str,
    level: str,
    found: Layout,
    material: str,
    gtin: str,
    checks: bool,
    when: When | None,
    now: datetime.datetime,
    at: datetime.datetime | None,
) -> CodeRun:
    """The checked wish, written: event, run, units, first step."""
    unit = kind == CodeRun.Kind.UNIT
    run = CodeRun(
        organisation=lot.organisation,
        lot=lot,
        kind=kind,
        level=level if unit else "",
        count=count,
        public_host=settings.PUBLIC_BASE_URL,
        gtin=gtin,
        layout=found.key,
        material=material,
        key=key,
        checks=checks,
        issued_by=by.user,
        at=now,
    )
    if checks:
        begin_checks(run)
    if unit:
        # From here on no other run of this lot can take the same numbers, and no other unit the same code.
        lock_log_head()
        run.first_number = _next_number(lot)
        run.issued = min(count, FIRST_CODES)
        run.event, codes = _commission(run, by, run.issued, run.first_number, when or When(now), at)
        if run.issued < count:
            run.status = CodeRun.Status.ISSUING
    else:
        run.issued = count
    run.save(force_insert=True)
    _step(run, CodeStep.Step.ISSUED, by, now, first=1, last=count)
    if checks:
        keep_hashes(run, codes, run.first_number)
    return run


def _commission(
    run: CodeRun,
    by: Actor,
    count: int,
    first_number: int,
    when: When,
    at: datetime.datetime | None = None,
) -> tuple[Event, list[str]]:
    """So many new codes for the run's lot, from this number on, with their event and units.

    Of codes among which one exists already (once in centuries) all are drawn anew. Whether a unit has one is left to
    the unique index, which is asked anyway; lots, which share the path ``/c/…``, are asked before. Safe while the head
    of the log is held.
    """
    for _attempt in range(MAX_TRIES):
        codes = new_serials(count)
        if any_taken(codes, Lot):
            continue
        try:
            with transaction.atomic():
                event = commission_units(
                    by=by,
                    lot=run.lot,
                    codes=codes,
                    level=run.level,
                    run=run.uid,
                    first_number=first_number,
                    label_template=run.layout,
                    when=when,
                    at=at,
                )
                return event, codes
        except IntegrityError:
            if not any_taken(codes, Unit):
                raise
    raise IntegrityError("no unused codes found")


def run_next_issue() -> bool:
    """Issue the next piece of one run that is being issued; False where there is none.

    A run whose lot was blocked meanwhile, or whose orderer has left, stops with the reason; ``go_on`` lets it go on.
    """
    run = (
        CodeRun.objects.filter(status=CodeRun.Status.ISSUING, stopped="")
        .select_related("lot__organisation", "organisation", "issued_by", "seed")
        .order_by("id")
        .first()
    )
    if run is None:
        return False
    asked = run.steps.select_related("by_organisation").order_by("id")[0]
    try:
        by = later_actor(run.issued_by, asked.by_organisation, run.organisation)
        by.require("operator", "quality")
        require_unblocked(run.lot)
        _issue_more(run, by)
    except DomainError as error:
        CodeRun.objects.filter(pk=run.pk, status=CodeRun.Status.ISSUING).update(stopped=error.message[:300])
    return True


@transaction.atomic
def _issue_more(run: CodeRun, by: Actor) -> None:
    """One piece, counted by a conditional update: of two workers with the same piece one undoes its own."""
    lock_log_head()
    now = timezone.now()
    before, more = run.issued, min(MORE_CODES, run.count - run.issued)
    left = CodeRun.objects.filter(pk=run.pk, issued=before, status=CodeRun.Status.ISSUING)
    whole = before + more == run.count
    if not left.update(issued=before + more, status=CodeRun.Status.ISSUED if whole else CodeRun.Status.ISSUING):
        return
    _event, codes = _commission(run, by, more, run.first_number + before, When(now))
    if run.checks:
        keep_hashes(run, codes, run.first_number + before)


def go_on(*, by: Actor, run: CodeRun) -> CodeRun:
    """Let a run go on that stopped while it was issued. Refuses what issuing refuses; twice is once."""
    by.require("operator", "quality")
    if run.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能处理本单位签发的码。"), code="not_own")
    require_unblocked(run.lot)
    CodeRun.objects.filter(pk=run.pk, status=CodeRun.Status.ISSUING).update(stopped="", issued_by=by.user)
    run.refresh_from_db()
    return run


def _check_wish(key: str, kind: str, level: str, count: int, material: str) -> None:
    """Refuse what no run can be."""
    if not clean_text(key, KEY_MAX):
        raise Invalid(_("缺少本次赋码的标识，请刷新页面后重试。"), code="run_key_required")
    if kind not in CodeRun.Kind.values or level not in Unit.Level.values or material not in list(Material):
        raise Invalid(_("请从列表中选择标签类型、包装层级和材料。"), code="unknown_choice")
    if not 1 <= count <= MAX_CODES:
        raise Invalid(
            _("数量应在 1 到 %(most)d 之间；更多请分几次签发。") % {"most": MAX_CODES}, code="bad_count", most=MAX_CODES
        )


def _check_room(kind: str, found: Layout) -> None:
    """Refuse check codes where no label has one."""
    if kind != CodeRun.Kind.UNIT:
        raise Invalid(_("只有一物一码的标签才有校验码：批次标签都一样。"), code="checks_need_units")
    if found.check is None:
        raise Invalid(_("这种标签版式上没有校验码的位置，请换大一些的版式。"), code="checks_need_room")


def _check_issuer(by: Actor, lot: Lot) -> None:
    """Only the lot's issuer names its units: who relabels makes a new lot (architecture.md, rule 2)."""
    if lot.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能为本单位生产的批次签发追溯码。换包装或换标签请先登记为新批次。"), code="not_own")
    if lot.is_external:
        raise Invalid(_("这个批次的批号由供货者编制，不能由本单位签发追溯码。"), code="lot_external")


def _same_run(run: CodeRun, lot: Lot, kind: str, count: int) -> CodeRun:
    """The run an earlier request with this key made; refuses a key that meant something else."""
    if (run.lot_id, run.kind, run.count) != (lot.pk, kind, count):
        raise Clash(_("这个请求标识已经用于另一次赋码，请重新打开页面。"), code="run_key_reused")
    return run


def require_unblocked(lot: Lot) -> None:
    """Refuse to label a lot that was declared wrong or that any active hold names, in whole or in part
    (``lot_blocked``), and one whose label would name a standard or an origin that its ancestors contradict
    (``forbidden_ancestor``, ``gi_foreign``).
    """
    if lot.voided_by_id is not None:
        raise _refused("lot_void", _("批次 %(lot)s 的登记已被声明有误，不能签发或打印标签。") % {"lot": lot.code}, lot)
    holds = blocking([lot], holder=lot.organisation).get(lot.pk)
    if holds:
        hold = holds[0].hold
        message = _("批次 %(lot)s 处于“%(kind)s”，不能签发或打印标签。原因：%(reason)s") % {
            "lot": lot.code,
            "kind": hold.get_kind_display(),
            "reason": hold.reason,
        }
        raise _refused("lot_blocked", message, lot)
    broken = untrue_words(lot)
    if broken:
        message = _("不能签发或打印标签，标签上的话与来源矛盾：%(why)s 换标签销售，请登记为另一个产品的新批次。") % {
            "why": " ".join(guard.message for guard in broken)
        }
        raise GuardBroken(message, broken, insistable=False)


def _refused(code: str, message: str, lot: Lot) -> GuardBroken:
    """A refusal nobody can insist on: a label is not a fact to be written down but a thing we would make."""
    return GuardBroken(message, [BrokenGuard(code, message, lot=lot)], insistable=False)


def gtin_for(lot: Lot, kind: str, with_gtin: bool | None) -> str:
    """The GTIN to freeze into the run's addresses, or "" for addresses under our own host."""
    product = lot.product
    confirmed = product.gtin_claim == Product.GtinClaim.CONFIRMED
    if with_gtin is False or (with_gtin is None and not confirmed):
        return ""
    if not confirmed or not product.gtin:
        raise Invalid(
            _("产品“%(product)s”的商品条码还没有确认，不能印带商品条码的追溯码。请先确认条码，或选用不带条码的追溯码。")
            % {"product": lot.product_version.label},
            code="gtin_not_confirmed",
        )
    if kind == CodeRun.Kind.LOT:
        normalise_lot_code(lot.lot_code)
        taken = CodeRun.objects.filter(gtin=product.gtin, kind=kind, lot__lot_code=lot.lot_code, lot__voided_by=None)
        if taken.exclude(lot=lot).exists():
            raise Clash(_("这个商品条码和批号已经印在另一个批次的标签上，请换一个批号。"), code="gtin_lot_taken")
    return product.gtin


def _next_number(lot: Lot) -> int:
    """The number of the lot's next unit. Safe while the head of the log is held."""
    last = Unit.objects.filter(lot=lot).aggregate(last=Max("number"))["last"] or 0
    # A run that is still being issued has all its numbers already.
    ends = CodeRun.objects.filter(lot=lot, status=CodeRun.Status.ISSUING).aggregate(
        last=Max(F("first_number") + F("count") - 1)
    )
    return max(last, ends["last"] or 0) + 1


def _step(
    run: CodeRun,
    step: str,
    by: Actor,
    at: datetime.datetime,
    *,
    first: int = 0,
    last: int = 0,
    reason: str = "",
) -> CodeStep:
    """One row of the run's history."""
    return CodeStep.objects.create(
        run=run, step=step, first=first, last=last, by=by.user, by_organisation=by.organisation, reason=reason, at=at
    )


def require_range(run: CodeRun, first: int, last: int) -> None:
    """Refuse positions outside what was issued of a run (``bad_range``) and more labels than one print may hold
    (``too_many_labels``).
    """
    require_positions(run, first, last)
    if last - first >= MAX_PRINTED:
        raise Invalid(
            _("一次最多打印 %(most)d 枚。更多请用“整批文件”，做好后再打印。") % {"most": MAX_PRINTED},
            code="too_many_labels",
            most=MAX_PRINTED,
        )


def require_positions(run: CodeRun, first: int, last: int) -> None:
    """Refuse positions outside what was issued of a run (``bad_range``)."""
    if not 1 <= first <= last <= run.issued:
        raise Invalid(
            _("打印范围应在第 1 到第 %(most)d 枚之间，且起始不大于结束。") % {"most": run.issued},
            code="bad_range",
            most=run.issued,
        )


@transaction.atomic
def record_print(
    *,
    by: Actor,
    run: CodeRun,
    first: int,
    last: int,
    reason: str = "",
    test: bool = False,
    at: datetime.datetime | None = None,
) -> CodeStep:
    """Write down that labels ``first`` to ``last`` of a run (positions from 1) are printed now; call it before
    handing out paper.

    A test print is one label on plain paper. Printing a label a second time is a reprint and needs a reason: two
    papers with one code are how copies begin. Refuses blocked and void lots (``lot_blocked``, ``lot_void``), a
    void run (``run_void``), a range outside the run (``bad_range``), more than 2,400 at once
    (``too_many_labels``), a reprint without reason (``reprint_reason_required``).
    """
    by.require("operator", "quality")
    if run.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能打印本单位签发的标签。"), code="not_own")
    run.refresh_from_db(fields=["status"])
    if run.status == CodeRun.Status.VOID:
        raise Clash(_("这次签发的码已经作废，不能打印。"), code="run_void")
    require_unblocked(run.lot)
    require_positions(run, first, last)
    now = at or timezone.now()
    if test:
        return _step(run, CodeStep.Step.TEST_PRINTED, by, now, first=first, last=last)
    reason = clean_text(reason, REASON_MAX, multiline=True)
    again = require_reason_again(run, first, last, reason)
    CodeRun.objects.filter(pk=run.pk, status=CodeRun.Status.ISSUED).update(status=CodeRun.Status.PRINTED)
    step = CodeStep.Step.REPRINTED if again else CodeStep.Step.PRINTED
    return _step(run, step, by, now, first=first, last=last, reason=reason if again else "")


def require_reason_again(run: CodeRun, first: int, last: int, reason: str) -> bool:
    """Whether any of these labels was printed before; then a reason is needed (``reprint_reason_required``)."""
    again = run.steps.filter(
        step__in=[CodeStep.Step.PRINTED, CodeStep.Step.REPRINTED], first__lte=last, last__gte=first
    ).exists()
    if again and not reason:
        raise Invalid(
            _("其中有标签已经打印过。补打请写明原因（例如：标签纸卡住、第 3 张污损）。"), code="reprint_reason_required"
        )
    return again


@transaction.atomic
def record_download(*, by: Actor, run: CodeRun, first: int, last: int, what: str) -> CodeStep:
    """Write down that code data of a run were handed out as a file; ``what`` names it. Refuses blocked lots."""
    by.require("operator", "quality")
    if run.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能下载本单位签发的码。"), code="not_own")
    require_unblocked(run.lot)
    return _step(run, CodeStep.Step.DOWNLOADED, by, timezone.now(), first=first, last=last, reason=what[:REASON_MAX])


@transaction.atomic
def note_download(*, by: Actor, run: CodeRun, first: int, last: int, what: str) -> CodeStep:
    """Write down that somebody of the issuer who may only look was given codes of a run (``run_for`` let it)."""
    return _step(run, CodeStep.Step.DOWNLOADED, by, timezone.now(), first=first, last=last, reason=what[:REASON_MAX])


@transaction.atomic
def apply_codes(
    *, by: Actor, run: CodeRun, first: int, last: int, reason: str = "", at: datetime.datetime | None = None
) -> int:
    """Say that the labels at these positions were put on goods; how many that was now. Twice is once.

    Spoiled and void codes stay what they are. Refuses labels of a lot (``run_of_lot``), other issuers' runs
    (``not_own``), positions outside the run (``bad_range``).
    """
    by.require("operator", "quality")
    if run.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能处理本单位签发的码。"), code="not_own")
    if run.kind == CodeRun.Kind.LOT:
        raise Invalid(_("批次标签上都是批次自己的码，不逐枚登记。"), code="run_of_lot")
    require_positions(run, first, last)
    begin = run.first_number + first - 1
    rows = Unit.objects.filter(run=run.uid, number__gte=begin, number__lte=run.first_number + last - 1)
    moved = rows.filter(state=Unit.State.ISSUED).update(state=Unit.State.APPLIED)
    if moved:
        words = clean_text(reason, REASON_MAX)
        _step(run, CodeStep.Step.APPLIED, by, at or timezone.now(), first=first, last=last, reason=words)
    return moved


@transaction.atomic
def except_units(
    *, by: Actor, units: Sequence[Unit], kind: str, reason: str, at: datetime.datetime | None = None
) -> list[CodeException]:
    """Mark units' codes spoiled (the label was ruined) or void (the code must not be in use); nothing brings them
    back.

    Who: the issuer. Refuses no units (``units_required``), a missing reason (``reason_required``), other issuers'
    units (``not_own``), codes that are spoiled or void already (``code_already_void``).
    """
    by.require("operator", "quality")
    states = {CodeException.Kind.SPOILED: Unit.State.SPOILED, CodeException.Kind.VOID: Unit.State.VOID}
    if kind not in states:
        raise Invalid(_("请选择“损坏”或“作废”。"), code="unknown_choice")
    words = _reason(reason)
    if not units:
        raise Invalid(_("请指明是哪些码。"), code="units_required")
    mine = set(entered_for(by))
    if any(unit.organisation_id not in mine for unit in units):
        raise NotAllowed(_("只能处理本单位签发的码。"), code="not_own")
    ids = [unit.pk for unit in units]
    moved = 0
    for begin in range(0, len(ids), _CHUNK):
        usable = Unit.objects.filter(pk__in=ids[begin : begin + _CHUNK]).exclude(
            Q(state=Unit.State.SPOILED) | Q(state=Unit.State.VOID)
        )
        moved += usable.update(state=states[CodeException.Kind(kind)])
    if moved != len(set(ids)):
        raise Clash(_("其中有码已经登记为损坏或作废，请刷新页面后核对。"), code="code_already_void")
    runs = dict(CodeRun.objects.filter(uid__in={unit.run for unit in units if unit.run}).values_list("uid", "pk"))
    now = at or timezone.now()
    return CodeException.objects.bulk_create(
        [
            CodeException(
                organisation_id=unit.organisation_id,
                lot_id=unit.lot_id,
                unit=unit,
                run_id=runs.get(unit.run) if unit.run else None,
                kind=kind,
                reason=words,
                by=by.user,
                by_organisation=by.organisation,
                at=now,
            )
            for unit in units
        ],
        batch_size=_CHUNK,
    )


@transaction.atomic
def void_run(*, by: Actor, run: CodeRun, reason: str, at: datetime.datetime | None = None) -> CodeRun:
    """Make every code of a unit run void that is not so yet (a lost roll, a wrong order). It cannot be taken back.

    Refuses labels of a lot (``run_of_lot``: the lot's own code stays what it is), a run void already (``run_void``),
    other issuers' runs, a missing reason.
    """
    by.require("operator", "quality")
    if run.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能作废本单位签发的码。"), code="not_own")
    words = _reason(reason)
    if run.kind == CodeRun.Kind.LOT:
        raise Invalid(_("批次标签上是批次自己的码，不能作废。多余的标签请销毁。"), code="run_of_lot")
    # With the head of the log held no worker is in the middle of issuing more of it.
    lock_log_head()
    if not CodeRun.objects.filter(pk=run.pk).exclude(status=CodeRun.Status.VOID).update(status=CodeRun.Status.VOID):
        raise Clash(_("这次签发的码已经作废。"), code="run_void")
    units = list(Unit.objects.filter(run=run.uid).exclude(state__in=[Unit.State.SPOILED, Unit.State.VOID]))
    if units:
        except_units(by=by, units=units, kind=CodeException.Kind.VOID, reason=words, at=at)
    _step(run, CodeStep.Step.VOID, by, at or timezone.now(), first=1, last=run.count, reason=words)
    run.refresh_from_db()
    return run


@transaction.atomic
def judge_copy(
    *,
    by: Actor,
    lot: Lot,
    unit: Unit | None = None,
    copied: bool,
    reason: str,
    at: datetime.datetime | None = None,
) -> CodeException:
    """A person confirms that a code is suspected to be copied (疑似复制), or clears it of that; the scanned page says
    so.

    No rule ever says it by itself. Who: the issuer's quality officer, or an officer of a regulator over the issuer.
    Refuses a missing reason, other people's codes (``not_own``), and a step that changes nothing (``no_change``).
    """
    by.require("quality", "owner", "officer", "approver")
    if lot.organisation_id not in entered_for(by) and not supervises(by, lot.organisation):
        raise NotAllowed(_("只能处理本单位或本辖区的码。"), code="not_own")
    words = _reason(reason)
    kinds = [CodeException.Kind.COPIED, CodeException.Kind.CLEARED]
    last = CodeException.objects.filter(lot=lot, unit=unit, kind__in=kinds).order_by("-id").first()
    if copied == (last is not None and last.kind == CodeException.Kind.COPIED):
        raise Clash(_("这个码的状态没有变化，请刷新页面。"), code="no_change")
    return CodeException.objects.create(
        organisation_id=lot.organisation_id,
        lot=lot,
        unit=unit,
        kind=CodeException.Kind.COPIED if copied else CodeException.Kind.CLEARED,
        reason=words,
        by=by.user,
        by_organisation=by.organisation,
        at=at or timezone.now(),
    )


def _reason(text: str) -> str:
    """The reason as written, required and not too long."""
    words = clean_text(text, REASON_MAX, multiline=True)
    if not words:
        raise Invalid(_("请填写原因。"), code="reason_required")
    return words
