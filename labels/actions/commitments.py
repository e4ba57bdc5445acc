"""Issuing a 承诺达标合格证 for a lot of farm produce."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labels.commitment import words
from labels.models import Commitment
from trace.access import entered_for
from trace.actor import Actor
from trace.errors import BrokenGuard, Clash, GuardBroken, Invalid, NotFound
from trace.guards import blocking
from trace.models import Division, Lot, LotLink, Organisation, Product, TestReport
from trace.report_questions import reports_serving
from trace.units import EnteredAmount, format_amount


@transaction.atomic
def issue_commitment(
    *,
    by: Actor,
    lot: Lot,
    amount: EnteredAmount,
    bases: Sequence[str],
    pledged: bool,
    at: datetime.datetime | None = None,
) -> Commitment:
    """The producer pledges for a lot of its own farm produce (农产品质量安全法 art. 38–39; order 2025-4).

    Refuses lots of others (404), goods that are no farm produce (``not_farm_produce``), void or held lots
    (``lot_void``, ``lot_blocked``), an amount of nothing or more than the lot has (``amount``, ``more_than_made``), no
    basis (``basis_required``) or an unknown one, a test as basis without a passing report (``report_required``), an
    unticked pledge (``pledge_required``), no contact in the register (``contact_required``).
    """
    by.require("operator", "quality")
    if lot.organisation_id not in entered_for(by):
        raise NotFound(_("没有找到，或者您无权查看。"))
    if lot.product.track != Product.Track.FARM:
        raise Invalid(_("只有食用农产品开具承诺达标合格证。"), code="not_farm_produce")
    if lot.voided_by_id is not None:
        raise Clash(_("批次 %(lot)s 的登记已被声明有误，不能再使用。") % {"lot": lot.code}, code="lot_void")
    _check_free(lot)
    if amount.micros <= 0:
        raise Invalid(_("请填写数量。"), code="amount")
    if amount.micros > lot.made_micros:
        have = format_amount(lot.made_micros, lot.product.base_unit)
        raise Invalid(_("这个批次一共 %(have)s，合格证不能写得更多。") % {"have": have}, code="more_than_made")
    chosen = words().chosen(bases)
    if not chosen or len(chosen) != len(set(bases)):
        raise Invalid(_("请至少勾选一项承诺依据。"), code="basis_required")
    if not pledged:
        raise Invalid(_("请勾选承诺内容。"), code="pledge_required")
    if not contact_of(lot.organisation):
        raise Invalid(_("合格证要写联系方式，请先在单位信息里填写联系电话。"), code="contact_required")
    report = passing_report(lot)
    if report is None and any(each.needs_report for each in chosen):
        raise Invalid(_("勾选检测合格，要先登记合格的检验报告。"), code="report_required")
    now = at or timezone.now()
    Lot.objects.select_for_update().get(pk=lot.pk)
    number = f"{lot.public_code}-{Commitment.objects.filter(lot=lot).count() + 1}"
    return Commitment.objects.create(
        organisation=lot.organisation,
        lot=lot,
        number=number,
        product_name=lot.product_version.name,
        micros=amount.micros,
        unit=lot.product.base_unit,
        origin=origin_of(lot),
        issued_on=timezone.localdate(now),
        bases=[each.key for each in chosen],
        words={
            "law": words().law,
            "pledge": [each.zh for each in words().pledge],
            "bases": [each.zh for each in chosen],
        },
        report=report if any(each.needs_report for each in chosen) else None,
        by=by.user,
        at=now,
    )


def _check_free(lot: Lot) -> None:
    """Nothing is pledged for goods that may not move."""
    held = blocking([lot], holder=lot.organisation).get(lot.pk)
    if held:
        message = _("批次 %(lot)s 处于“%(kind)s”，不能开具合格证。原因：%(reason)s") % {
            "lot": lot.code,
            "kind": held[0].hold.get_kind_display(),
            "reason": held[0].hold.reason,
        }
        raise GuardBroken(message, [BrokenGuard("lot_blocked", message, lot=lot)], insistable=False)


def passing_report(lot: Lot) -> TestReport | None:
    """The nearest passing report on the lot or what it was made of that its laboratory does not deny."""
    for each in reports_serving(lot):
        if each.report.verdict == TestReport.Verdict.PASS and each.report.laboratory_says != "denied":
            return each.report
    return None


def contact_of(organisation: Organisation) -> str:
    """The telephone a certificate names: the organisation's, else its cooperative's. It never stands in the record."""
    own = organisation.recall_contact_phone
    return own or (organisation.cooperative.recall_contact_phone if organisation.cooperative is not None else "")


def origin_of(lot: Lot) -> str:
    """Where the produce is from: divisions down to the lowest known, then the address of the place."""
    place = lot.origin_place
    division: Division | None = place.division if place is not None else lot.organisation.division
    names = []
    while division is not None:
        names.append(division.name)
        division = division.parent
    names = [name for name in names[::-1] if name not in ("中国", "中华人民共和国")]
    return "".join(names)[:200]


def mixed_of(lot: Lot) -> int:
    """Of how many other lots this one was mixed; 0 where it was not (one parent is no mixing)."""
    parents = LotLink.objects.filter(child=lot, voided_by=None).values("parent").distinct().count()
    return parents if parents > 1 else 0
