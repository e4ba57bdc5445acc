"""The facts of a scanned page as rows: who and what, when, by which standard; each with who said it.

Everything here is public by law or by the producer's own label; what is missing is shown as missing.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils.translation import gettext as _

from labels.models import Commitment
from trace.edits import subject_of
from trace.identifiers import display_gtin, display_serial
from trace.models import Certificate, EditLog, Licence, Lot, Organisation, Product, ProductVersion, Unit
from trace.parts import Row
from trace.templatetags.ui import day, day_text
from trace.units import format_amount

SAID = "self_declared"


@dataclass(frozen=True)
class Change:
    """One value that differs today from what this lot was made under (or was first registered with). ``by`` is the
    organisation that changed it: the log has the person, a page names none.
    """

    label: str
    old: str
    new: str
    at: datetime.datetime
    note: str = ""
    by: str = ""


def product_rows(version: ProductVersion, product: Product) -> list[Row]:
    """What the goods are, as on the label."""
    food, durable = product.track == Product.Track.FOOD, product.track == Product.Track.CONSUMER
    rows = [Row(_("品名"), version.label, SAID)]
    if not durable or version.net_content:
        rows.append(Row(_("净含量"), version.net_content, SAID))
    rows.append(Row(_("商标"), version.brand, SAID))
    if food or version.ingredients:
        rows.append(Row(_("材料") if durable else _("配料"), version.ingredients, SAID))
    if version.grade:
        rows.append(Row(_("质量等级"), version.grade, SAID))
    if food or version.storage:
        rows.append(Row(_("贮存条件"), version.storage, SAID))
    if version.warning:
        rows.append(Row(_("警示语"), version.warning, SAID))
    if product.gtin and product.gtin_claim == Product.GtinClaim.CONFIRMED:
        rows.append(Row(_("商品条码"), display_gtin(product.gtin), SAID))
    return rows


def commitment_rows(lot: Lot) -> list[Row]:
    """The newest 承诺达标合格证 of a lot of farm produce, without the telephone; nothing where none was issued. One
    query, and none for other goods.
    """
    row = Commitment.objects.filter(lot=lot).first() if lot.product.track == Product.Track.FARM else None
    if row is None:
        return []
    return [
        Row(_("合格证编号"), row.number, SAID),
        Row(_("开具日期"), day(row.issued_on), SAID),
        Row(_("数量（重量）"), format_amount(row.micros, row.unit), SAID),
        Row(_("产地"), row.origin, SAID),
        Row(_("承诺内容"), "；".join(row.words["pledge"]), SAID),
        Row(_("承诺依据"), "、".join(row.words["bases"]), SAID),
    ]


def code_name(unit: Unit) -> str:
    """What the code on a unit is called: that of a single item, or of the pack it names."""
    return {
        Unit.Level.ITEM: _("单件码"),
        Unit.Level.BOX: _("整盒码"),
        Unit.Level.CARTON: _("整箱码"),
        Unit.Level.PALLET: _("整托盘码"),
    }[Unit.Level(unit.level)]


def lot_rows(lot: Lot, unit: Unit | None, amended: Mapping[str, str], inside: str = "") -> list[Row]:
    """Which lot and unit, what is ``inside`` a pack, and the dates; ``amended`` holds values that were declared wrong,
    by the name of the lot's field.
    """
    rows = [Row(_("序列号") if lot.unnumbered else _("批号"), lot.code, SAID)]
    if unit is not None:
        rows.append(Row(code_name(unit), display_serial(unit.code), "computed"))
    if inside:
        rows.append(Row(_("内装"), inside, SAID))
    rows.append(Row(_("生产日期"), day(lot.produced_on), SAID, old=amended.get("produced_on", "")))
    rows.append(Row(_("保质期至"), day(lot.expires_on), SAID, old=amended.get("expires_on", "")))
    if lot.needs_release:
        rows.append(Row(_("出厂放行"), _release(lot), SAID))
    return rows


def _release(lot: Lot) -> str:
    """When the quality officer let the lot leave, or that nobody has."""
    if lot.released_by is None:
        return _("登记中尚未放行")
    return _("质量负责人已放行，%(day)s") % {"day": day_text(lot.released_by.occurred_at)}


def standard_rows(version: ProductVersion) -> list[Row]:
    """The standard the lot was made to, with its edition."""
    standard = version.standard
    if standard is None:
        return [Row(_("执行标准"), version.standard_text, SAID)]
    name = f"{standard.number}《{standard.title}》" if standard.title != standard.number else standard.number
    edition = standard.number.rpartition("-")[2]
    if edition.isdigit() and len(edition) == 4:
        name = _("%(standard)s，%(year)s 年版") % {"standard": name, "year": edition}
    return [Row(_("执行标准"), name, SAID)]


def producer_rows(
    organisation: Organisation, version: ProductVersion, product: Product, licences: Sequence[Licence], region: str
) -> list[Row]:
    """Who made it and under which licence. No person's name."""
    rows = [Row(_("生产者"), organisation.label, SAID), Row(_("所在地"), organisation.address or region, SAID)]
    if product.track == Product.Track.FOOD or version.licence_number or licences:
        rows.append(Row(_("生产许可证"), _licence(version, licences), SAID))
    return rows


def _licence(version: ProductVersion, licences: Sequence[Licence]) -> str:
    """The licence number the lot was made under (else the producer's), and whether it has run out."""
    wanted = version.licence_number
    match = next((row for row in licences if row.number == wanted), None)
    if not wanted:
        match = next((row for row in licences if row.kind == Licence.Kind.SC), None)
    number = wanted or (match.number if match is not None else "")
    if match is not None and match.valid_until is not None:
        return _("%(number)s（有效期至 %(day)s）") % {"number": number, "day": day_text(match.valid_until)}
    return number


def certificate_rows(certificates: Sequence[Certificate]) -> list[Row]:
    """Certificates that stand today, with who granted them."""
    return [
        Row(
            certificate.get_kind_display(),
            _("%(number)s，%(by)s 核发，有效期至 %(day)s")
            % {
                "number": certificate.number,
                "by": certificate.granted_by.label,
                "day": day_text(certificate.valid_until),
            },
            "regulator" if certificate.granted_by.kind == Organisation.Kind.REGULATOR else "",
        )
        for certificate in certificates
    ]


PUBLIC_VERSION_FIELDS = (
    "name",
    "brand",
    "spec",
    "net_content",
    "ingredients",
    "grade",
    "standard_text",
    "licence_number",
    "gi_claim",
    "storage",
    "warning",
    "pledge",
)


def version_changes(pinned: ProductVersion, later: Sequence[ProductVersion]) -> list[Change]:
    """What the producer changed in the product's public data after the version this lot was made under, change by
    change.
    """
    found: list[Change] = []
    before = pinned
    for version in later:
        for name in PUBLIC_VERSION_FIELDS:
            old, new = getattr(before, name), getattr(version, name)
            if old != new:
                found.append(_change(name, str(old), str(new), version))
        if before.standard_id != version.standard_id:
            old_number = before.standard.number if before.standard else ""
            new_number = version.standard.number if version.standard else ""
            found.append(_change("standard", old_number, new_number, version))
        before = version
    return found


def _change(name: str, old: str, new: str, version: ProductVersion) -> Change:
    """One changed field of the product."""
    label = (
        str(getattr(ProductVersion._meta.get_field(name), "verbose_name", name))
        if name != "standard"
        else _("执行标准")
    )
    note = _("产品资料变更，适用于之后生产的批次")
    return Change(label, old, new, version.at, note, version.product.organisation.label)


def public_edits(lot: Lot) -> list[Change]:
    """What changed of the public data of the issuer (name, address …) and of the product (GTIN …) since the lot was
    begun, newest first (notice no. 5 of 2025 on digital labels, article 3: content, time, author). One query.
    """
    named: dict[str, models.Model] = {subject_of(row): row for row in (lot.organisation, lot.product)}
    rows = EditLog.objects.filter(subject__in=list(named), public=True, at__gt=lot.begun_at)
    found = []
    for row in rows.select_related("organisation").order_by("-id")[:MOST_EDITS]:
        if any(isinstance(value, (dict, list)) for value in (row.old, row.new)):
            continue
        try:
            label = str(getattr(named[row.subject]._meta.get_field(row.field), "verbose_name", row.field))
        except FieldDoesNotExist:
            continue
        old, new = ("" if value is None else str(value) for value in (row.old, row.new))
        found.append(Change(label, old, new, row.at, by=row.organisation.label))
    return found


MOST_EDITS = 20
