"""Examining scans in the background, and what people make of what was found."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Min, Sum
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from labels.actions.runs import judge_copy
from labels.models import (
    CodeException,
    Scan,
    ScanMark,
    ScanRule,
    ScanSuspicion,
    ScanTally,
    ScanThreshold,
)
from labels.suspicion import DEFAULTS, CodeFacts, Seen, Threshold, findings
from labels.viewers import destroy_old_keys
from recalls.actions.signals import signal_of_scans
from recalls.models import Disposal
from trace.access import entered_for, supervises
from trace.actor import Actor
from trace.errors import Invalid, NotAllowed, StaleState
from trace.models import Lot, Organisation, Transfer, Unit
from trace.personal import keyed_hash
from trace.text import clean_text
from trace.throttle import network_of, spend

CHUNK = 500
RECENT = 2_000
"""Scans of one code that are looked at, the latest."""
AGAIN = 300
"""Codes of a firm that are examined again when it changes a threshold."""
Status = ScanSuspicion.Status


def thresholds(organisation: Organisation | int | None) -> dict[str, Threshold]:
    """The thresholds in force for an organisation's codes: its own, else the installation's, else the defaults."""
    pk = organisation.pk if isinstance(organisation, Organisation) else organisation
    found = dict(DEFAULTS)
    rows = ScanThreshold.objects.order_by("id")
    for row in rows.filter(organisation=None):
        found[row.rule] = Threshold(row.value, row.hours)
    for row in rows.filter(organisation=pk) if pk is not None else ():
        found[row.rule] = Threshold(row.value, row.hours)
    return found


def examine_next() -> bool:
    """Look at the codes of the next scans; whether there were any. Run by the worker, safe to kill and to repeat."""
    mark, _new = ScanMark.objects.get_or_create(name="scans")
    rows = list(Scan.objects.filter(pk__gt=mark.after).order_by("pk").values_list("pk", "lot", "unit")[:CHUNK])
    alarms = _spooled()
    if not rows:
        destroy_old_keys()
        return alarms
    for lot, unit in sorted({(lot, unit or 0) for _pk, lot, unit in rows}):
        examine(lot_id=lot, unit_id=unit or None)
    ScanMark.objects.filter(pk=mark.pk, after=mark.after).update(after=rows[-1][0])
    return True


@transaction.atomic
def examine(*, lot_id: int, unit_id: int | None, at: datetime.datetime | None = None) -> list[ScanSuspicion]:
    """Hold the scans of one code against the rules; open suspicions are written or brought up to date, new ones become
    a signal of the lot (one for all codes of the lot that show the same).

    A code a person has looked into speaks again only for scans after that.
    """
    lot = Lot.objects.select_related("product").get(pk=lot_id)
    unit = Unit.objects.filter(pk=unit_id).first() if unit_id else None
    since = (
        ScanSuspicion.objects.filter(lot=lot, unit=unit)
        .exclude(status=Status.OPEN)
        .order_by("-decided_at")
        .values_list("decided_at", flat=True)
        .first()
    )
    scans = Scan.objects.filter(lot=lot, unit=unit)
    if since is not None:
        scans = scans.filter(at__gt=since)
    seen = [Seen(*row) for row in scans.order_by("-pk").values_list("at", "place", "region", "who")[:RECENT]]
    tally = ScanTally.objects.filter(lot=lot, unit=unit).values_list("count", flat=True).first() or 0
    found = findings(seen, _facts(lot, unit, tally if since is None else len(seen)), thresholds(lot.organisation_id))
    now = at or timezone.now()
    rows = []
    for one in found:
        row, fresh = ScanSuspicion.objects.update_or_create(
            lot=lot,
            unit=unit,
            rule=one.rule,
            status=Status.OPEN,
            defaults={"organisation_id": lot.organisation_id, "facts": one.facts, "last_at": seen[0].at},
            create_defaults={
                "organisation_id": lot.organisation_id,
                "facts": one.facts,
                "first_at": now,
                "last_at": seen[0].at,
            },
        )
        rows.append(row)
        if fresh:
            signal_of_scans(lot=lot, kind=one.rule, words=_signal_words(one.rule), at=now)
    return rows


def _signal_words(rule: str) -> str:
    """What the inbox of signals says of a suspicion; it names no code and nobody."""
    with translation.override("zh-hans"):
        return _("扫码分析发现异常：%(rule)s。请在“可疑扫码”里逐个核实。") % {"rule": ScanRule(rule).label}


def _facts(lot: Lot, unit: Unit | None, total: int) -> CodeFacts:
    """What is known of a code besides its scans; four queries."""
    # Where anybody sent goods of the lot: a distributor's customer is no diversion.
    moved = Transfer.objects.filter(lot=lot, voided_by=None)
    regions = set(moved.values_list("receiver__division_id", flat=True).distinct())
    sent = moved.filter(sender=lot.organisation_id)
    if regions:
        regions.add(lot.organisation.division_id)
    ended = destroyed_at(lot)
    if unit is not None:
        kinds = [CodeException.Kind.VOID, CodeException.Kind.SPOILED]
        marked = CodeException.objects.filter(unit=unit, kind__in=kinds).aggregate(at=Min("at"))["at"]
        ended = min((at for at in (ended, marked) if at is not None), default=None)
    return CodeFacts(
        is_unit=unit is not None,
        pieces=lot.made_micros // 10**6 if lot.product.base_unit == "C62" else None,
        sent_at=sent.aggregate(at=Min("shipment__sent_at"))["at"],
        ended_at=ended,
        sold_to=frozenset(code for code in regions if code),
        total=total,
    )


def destroyed_at(lot: Lot) -> datetime.datetime | None:
    """When the last of a lot was destroyed; None while some of it may still be about: which units of it were destroyed
    nobody writes down. One query.
    """
    rows = Disposal.objects.filter(lot=lot, event__corrections=None, method=Disposal.Method.DESTROY)
    gone = rows.aggregate(micros=Sum("micros"), at=Max("at"))
    return gone["at"] if gone["micros"] is not None and gone["micros"] >= lot.made_micros > 0 else None


# --- Codes tried in series ------------------------------------------------------------------------------------------


def spool_path() -> Path:
    """Where refused series are noted: a look at a page must not write to the database."""
    return Path(settings.DATA_DIR) / "unknown-codes.jsonl"


def note_series(address: str, at: datetime.datetime | None = None) -> None:
    """Note that somebody was stopped who looked up too many codes we never issued; at most once a minute. Keeps a hash
    of network and day, no address.
    """
    if not spend("series", address, (1, 60)):
        return
    at = at or timezone.now()
    who = keyed_hash(f"{network_of(address)} {timezone.localdate(at)}", "series")[:16]
    line = json.dumps({"who": who, "at": at.isoformat()}) + "\n"
    with spool_path().open("a", encoding="ascii") as file:
        file.write(line)


def _spooled() -> bool:
    """Turn what was noted into suspicions; whether there was any."""
    path = spool_path()
    taken = path.with_suffix(".taken")
    if not taken.exists():
        try:
            path.rename(taken)
        except FileNotFoundError:
            return False
    counted: dict[tuple[str, str], list[datetime.datetime]] = {}
    for line in taken.read_text(encoding="ascii", errors="replace").splitlines()[:100_000]:
        try:
            entry = json.loads(line)
            at = datetime.datetime.fromisoformat(entry["at"])
        except (ValueError, KeyError, TypeError):
            continue
        counted.setdefault((str(entry.get("who", ""))[:16], timezone.localdate(at).isoformat()), []).append(at)
    with transaction.atomic():
        for (who, day), times in counted.items():
            row = ScanSuspicion.objects.filter(rule=ScanRule.SERIES, lot=None, facts__who=who, facts__day=day).first()
            if row is None:
                ScanSuspicion.objects.create(
                    rule=ScanRule.SERIES,
                    facts={"who": who, "day": day, "count": len(times)},
                    first_at=min(times),
                    last_at=max(times),
                )
            else:
                row.facts["count"] += len(times)
                row.last_at = max(times)
                row.save(update_fields=["facts", "last_at"])
    taken.unlink()
    return True


# --- People ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def decide(
    *, by: Actor, suspicion: ScanSuspicion, copied: bool, reason: str, at: datetime.datetime | None = None
) -> ScanSuspicion:
    """A person confirms that the code is suspected to be copied (the scanned page says so), or finds it harmless.

    All open suspicions of the code are decided together. Refuses a missing reason (``reason_required``), confirming for
    codes never issued (``no_code``), one already decided (``stale_state``), other people's codes (``not_own``).
    """
    by.require("quality", "owner", "officer", "approver")
    now = at or timezone.now()
    words = clean_text(reason, 300, multiline=True)
    if not words:
        raise Invalid(_("请填写理由。"), code="reason_required")
    if suspicion.lot is None:
        if not by.is_regulator:
            raise NotAllowed(_("由监管部门处理。"), code="not_own")
        if copied:
            raise Invalid(_("没有签发过的码没有可标记的商品。"), code="no_code")
        rows = ScanSuspicion.objects.filter(pk=suspicion.pk, status=Status.OPEN)
    else:
        if suspicion.lot.organisation_id not in entered_for(by) and not supervises(by, suspicion.lot.organisation):
            raise NotAllowed(_("只能处理本单位或本辖区的码。"), code="not_own")
        rows = ScanSuspicion.objects.filter(lot=suspicion.lot, unit=suspicion.unit, status=Status.OPEN)
    moved = rows.update(
        status=Status.CONFIRMED if copied else Status.DISMISSED,
        decided_by=by.user,
        decided_by_organisation=by.organisation,
        decided_at=now,
        reason=words,
    )
    if not moved:
        raise StaleState(_("已有人处理，请刷新页面。"))
    if copied and suspicion.lot is not None:
        kinds = [CodeException.Kind.COPIED, CodeException.Kind.CLEARED]
        last = CodeException.objects.filter(lot=suspicion.lot, unit=suspicion.unit, kind__in=kinds).order_by("-id")
        before = last.first()
        if before is None or before.kind != CodeException.Kind.COPIED:
            judge_copy(by=by, lot=suspicion.lot, unit=suspicion.unit, copied=True, reason=words, at=now)
    suspicion.refresh_from_db()
    return suspicion


@transaction.atomic
def set_threshold(
    *, by: Actor, rule: str, value: int, hours: int, reason: str, at: datetime.datetime | None = None
) -> ScanThreshold:
    """Set when a rule speaks: a firm for its own codes (its busiest are examined again at once), a regulator's approver
    for the installation (the worker examines all scans again).
    """
    by.require("quality", "owner", "approver")
    if rule not in ScanRule.values:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    if not 0 <= value <= 1_000_000 or not 1 <= hours <= 8760:
        raise Invalid(_("数值或小时超出范围。"), code="out_of_range")
    words = clean_text(reason, 300, multiline=True)
    if not words:
        raise Invalid(_("请填写理由。"), code="reason_required")
    row = ScanThreshold.objects.create(
        organisation=None if by.is_regulator else by.owner,
        rule=rule,
        value=value,
        hours=hours,
        reason=words,
        by=by.user,
        by_organisation=by.organisation,
        at=at or timezone.now(),
    )
    if by.is_regulator:
        ScanMark.objects.filter(name="scans").update(after=0)
    else:
        busiest = ScanTally.objects.filter(lot__organisation=by.owner).order_by("-count", "id")
        for lot_id, unit_id in list(busiest.values_list("lot", "unit")[:AGAIN]):
            examine(lot_id=lot_id, unit_id=unit_id)
    return row
