"""What the labels of a run say. Always in Chinese, whatever the person who prints reads: the law asks for it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from urllib.parse import urlsplit

from django.utils import timezone, translation
from django.utils.translation import gettext as _

from labels import checks
from labels.actions.checks import seed_of
from labels.compose import LabelContent
from labels.digital_link import build_lot_uri, build_unit_uri
from labels.evidence import valid_certificates
from labels.models import CodeRun
from labels.packing import level_inside, plan_of_run, span
from trace.identifiers import SERIAL_LENGTH, display_serial
from trace.models import Certificate, Lot, PackPlan, Unit
from trace.templatetags.ui import day_text

SAMPLE_CODE = "0" * SERIAL_LENGTH
"""Stands in for a code in previews of what is not issued yet; it resolves to nothing."""


def uri_of(run: CodeRun, unit: Unit | None) -> str:
    """The address that the run's labels carry for a unit (or for the lot), under the host frozen when it was issued."""
    gtin = run.gtin or None
    if unit is not None:
        return build_unit_uri(run.public_host, gtin=gtin, serial=unit.code)
    return build_lot_uri(run.public_host, gtin=gtin, lot_code=run.lot.lot_code, public_code=run.lot.public_code)


def contents(run: CodeRun, units: Iterable[Unit], *, reveal: bool = False) -> list[LabelContent]:
    """One label for each unit, in order. Only for paper are check codes shown (``reveal``); else stars stand for them.
    Refuses to where a run's seed is gone (``checks_forgotten``).
    """
    seed = seed_of(run) if run.checks and reveal else b""
    plan = plan_of_run(run)
    with translation.override("zh-hans"):
        lines = _lines(run.lot) if plan is None else (_inside(plan), *_lines(run.lot))
        extras = _extras(run.lot)
        title, host = _title(run.lot), _host(run.public_host)
        return [
            LabelContent(
                uri_of(run, unit),
                title,
                lines,
                code=display_serial(unit.code) + (f" #{span(plan, unit.number)}" if plan is not None else ""),
                host=host,
                check=_check(run, unit, seed),
                check_name=_("校验码"),
                extras=extras,
            )
            for unit in units
        ]


def _inside(plan: PackPlan) -> tuple[str, str]:
    """What is in each pack of a run: the same words on all labels; the numbers follow the code."""
    even = (plan.inside_last - plan.inside_first + 1) % plan.each == 0
    words = _("%(n)d %(level)s，编号在码后") if even else _("最多 %(n)d %(level)s，编号在码后")
    return _("内装"), words % {"n": plan.each, "level": level_inside(plan)}


def _check(run: CodeRun, unit: Unit, seed: bytes) -> str:
    """What stands under the layer; nothing where the run has none."""
    if not run.checks:
        return ""
    return checks.shown(checks.check_code(seed, unit.code) if seed else checks.HIDDEN)


def lot_content(run: CodeRun) -> LabelContent:
    """The label of a lot-label run: all are the same."""
    with translation.override("zh-hans"):
        return LabelContent(
            uri_of(run, None),
            _title(run.lot),
            _lines(run.lot),
            code=display_serial(run.lot.public_code),
            host=_host(run.public_host),
            extras=_extras(run.lot),
        )


def sample_content(lot: Lot, *, kind: str, public_host: str, gtin: str, with_check: bool = False) -> LabelContent:
    """One label before anything is issued, marked 样张 and with a code that resolves to nothing."""
    with translation.override("zh-hans"):
        if kind == CodeRun.Kind.LOT:
            uri = build_lot_uri(public_host, gtin=gtin or None, lot_code=lot.lot_code, public_code=SAMPLE_CODE)
        else:
            uri = build_unit_uri(public_host, gtin=gtin or None, serial=SAMPLE_CODE)
        return LabelContent(
            uri,
            _title(lot),
            _lines(lot),
            code=display_serial(SAMPLE_CODE),
            host=_host(public_host),
            watermark=_("样张"),
            check=checks.shown(checks.HIDDEN) if with_check else "",
            check_name=_("校验码"),
            extras=_extras(lot),
        )


def _title(lot: Lot) -> str:
    """The product's name."""
    return lot.product_version.label


def _lines(lot: Lot) -> tuple[tuple[str, str], ...]:
    """What a label must say beside its code; what is not given is left out, not invented. The producer stands last."""
    version = lot.product_version
    standard = version.standard.number if version.standard is not None else version.standard_text
    rows = [
        (_("批号"), lot.code),
        (_("生产日期"), day_text(lot.produced_on)),
        (_("保质期至"), day_text(lot.expires_on)),
        (_("净含量"), version.net_content),
        (_("执行标准"), standard),
        (_("生产者"), lot.organisation.name),
    ]
    return tuple((name, value) for name, value in rows if value)


def _extras(lot: Lot) -> tuple[tuple[str, str], ...]:
    """What it says besides where there is room: the geographical indication, by its permit alone, and the licence,
    which the pack's own label carries anyway.
    """
    version = lot.product_version
    permit = gi_permit(lot, timezone.localdate())
    rows = [
        (_("地理标志"), version.gi_claim if permit else ""),
        (_("许可证"), version.licence_number),
    ]
    return tuple((name, value) for name, value in rows if value)


def gi_permit(lot: Lot, today: datetime.date) -> Certificate | None:
    """The permit to use a geographical indication that stands today; without one no label carries the mark, whatever
    the product claims. One query.
    """
    standing = valid_certificates(lot.organisation, lot.product, today)
    return next((each for each in standing if each.kind == Certificate.Kind.GI_USE), None)


def _host(public_host: str) -> str:
    """The official host in words, so that people can compare it with what their browser shows."""
    return _("核对网址 %(host)s") % {"host": urlsplit(public_host).netloc}
