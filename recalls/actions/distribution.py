"""A list of buyers uploaded by the initiator: buyers of goods whose shipping was never recorded are told as well."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import require_side
from recalls.actions.moves import write_step
from recalls.actions.notices import tell_parties
from recalls.models import Campaign, Notice
from recalls.scope import latest_scope
from trace.access import entered_for
from trace.actions.organisations import RecallContact, keep_external
from trace.actor import Actor
from trace.errors import Clash, FieldErrors, Invalid, NotAllowed
from trace.imports.reading import Line
from trace.models import Lot, Organisation
from trace.units import parse_amount

COLUMNS = ("name", "lot", "amount", "phone", "email", "address")
HEADERS: dict[str, tuple[str, ...]] = {
    "name": ("名称", "单位名称", "客户", "name"),
    "lot": ("批号", "批次", "lot"),
    "amount": ("数量", "amount", "quantity"),
    "phone": ("电话", "手机", "phone"),
    "email": ("邮箱", "电子邮箱", "email"),
    "address": ("地址", "address"),
}


@dataclass(frozen=True)
class CellError:
    """What is wrong in one cell: the row's number in the sheet, the column's header, why."""

    line: int
    column: str
    why: str


@dataclass(frozen=True)
class Buyer:
    """One row of the list, checked: who has how much of which lot."""

    name: str
    lot: Lot
    micros: int
    phone: str
    email: str
    address: str


def check_list(campaign: Campaign, lines: Sequence[Line]) -> tuple[list[Buyer], list[CellError]]:
    """Read the rows of a sheet; every wrong cell is named. The first row has the headers; the amount is in the lot's
    base unit, and the lot must be in the scope in force, named by its code, or by its trace code where products share
    one.
    """
    if not lines:
        return [], [CellError(1, "", _("这个文件是空的。请下载模板，填好后再上传。"))]
    places: dict[str, int] = {}
    for at, cell in enumerate(lines[0].cells):
        text = cell.strip().lower() if isinstance(cell, str) else ""
        for key, names in HEADERS.items():
            if text in names:
                places.setdefault(key, at)
    missing = [HEADERS[key][0] for key in ("name", "lot", "amount") if key not in places]
    if missing:
        words = _("第一行缺少列：%(names)s") % {"names": "、".join(missing)}
        return [], [CellError(lines[0].number, "", words)]
    version = latest_scope(campaign)
    rows = Lot.objects.filter(scope_lots__scope=version).select_related("product", "product_version")
    called: dict[str, dict[int, Lot]] = {}
    for row in rows if version else ():
        for code in (row.code, row.lot_code, row.public_code):
            called.setdefault(code, {})[row.pk] = row
    buyers: list[Buyer] = []
    errors: list[CellError] = []
    for line in lines[1:]:
        cells = {key: _text(line.cells, at) for key, at in places.items()}
        bad = [CellError(line.number, HEADERS[key][0], _("这里应当是文字。")) for key in places if cells[key] is None]
        values = {key: value or "" for key, value in cells.items()}
        found = list(called.get(values["lot"], {}).values())
        lot = found[0] if len(found) == 1 else None
        if not values["name"]:
            bad.append(CellError(line.number, HEADERS["name"][0], _("这一项必须填写。")))
        if len(found) > 1:
            words = _("召回范围内不止一个批次叫这个批号，请改填追溯码（批次页上有）。")
            bad.append(CellError(line.number, HEADERS["lot"][0], words))
        elif lot is None:
            bad.append(CellError(line.number, HEADERS["lot"][0], _("这个批号不在召回范围内。")))
        if not any(values.get(key) for key in ("phone", "email", "address")):
            bad.append(CellError(line.number, HEADERS["phone"][0], _("电话、邮箱、地址至少填一项。")))
        micros = 0
        if lot is not None:
            unit = lot.product.base_unit
            try:
                micros = parse_amount(values["amount"], unit, unit).micros
            except Invalid as error:
                bad.append(CellError(line.number, HEADERS["amount"][0], str(error.message)))
        errors += bad
        if not bad and lot is not None:
            reach = (values.get("phone", ""), values.get("email", ""), values.get("address", ""))
            buyers.append(Buyer(values["name"], lot, micros, *reach))
    return buyers, errors


def _text(cells: Sequence[Any], at: int) -> str | None:
    """A cell's text; None for a formula or an error."""
    cell = cells[at] if at < len(cells) else ""
    return cell.strip() if isinstance(cell, str) else None


@transaction.atomic
def tell_buyers(
    *, by: Actor, campaign: Campaign, buyers: Sequence[Buyer], at: datetime.datetime | None = None
) -> list[Notice]:
    """Tell everybody on a checked list: each becomes a party kept by the initiator with a notice of its own. Whoever
    is asked about a lot is not told of it again.

    Only while the recall runs (``no_such_step``); by the initiator (``not_own``). A further lot for a party whose
    notice in this version is over is refused (``notice_state``), never left out in silence.
    """
    now = at or timezone.now()
    require_side(by, campaign)
    if campaign.organisation_id not in entered_for(by):
        raise NotAllowed(_("分销名单由召回单位上传。"), code="not_own")
    version = latest_scope(campaign)
    if not campaign.has_started or not campaign.is_open or version is None:
        raise Clash(_("召回启动之后、结束之前才能上传分销名单。"), code="no_such_step")
    wanted: dict[int, dict[int, int]] = {}
    parties: dict[int, Organisation] = {}
    for number, one in enumerate(buyers, 1):
        try:
            party = keep_external(
                by=Actor(organisation=campaign.organisation, user=by.user, role="operator", system=True),
                name=one.name,
                kind=Organisation.Kind.RETAILER,
                division=campaign.organisation.division,
                address=one.address,
                contact=RecallContact("", one.phone, one.email),
                at=now,
            )
        except FieldErrors as error:
            first = next(iter(error.fields.values()))
            words = _("第 %(line)s 行“%(name)s”：%(why)s")
            why = words % {"line": number, "name": one.name[:40], "why": first.message}
            raise Invalid(why, code=first.code) from error
        parties[party.pk] = party
        lots = wanted.setdefault(party.pk, {})
        lots[one.lot.pk] = lots.get(one.lot.pk, 0) + one.micros
    made, added = tell_parties(
        campaign=campaign,
        version=version,
        wanted={parties[pk]: lots for pk, lots in wanted.items()},
        by=by,
        at=now,
        carrier=campaign.organisation_id,
    )
    write_step(campaign, "distribution", by, now, data={"rows": len(buyers), "notices": len(made)})
    return [*made, *added]
