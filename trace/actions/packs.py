"""Units put into packs and taken out again, damaged codes replaced: bottles, boxes, cartons, pallets.

Each action takes the head of the log first, so that of two people packing the same bottle the second sees what the
first did. Where units are is written by ``capture`` from the event (``trace.actions.unit_states``).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from trace.access import entered_for
from trace.actions.capture import Captured, Draft, Use, capture
from trace.actions.events import When, attach_files, checked_data
from trace.actor import Actor
from trace.among import among
from trace.edits import log_edit
from trace.errors import Clash, Invalid, NotAllowed
from trace.event_templates import EventTemplate, template
from trace.identifiers import GS1_PREFIX_LENGTHS, new_serials, normalise_gs1_prefix, sscc_of
from trace.ledger import lock_log_head
from trace.models import Event, Lot, Organisation, PackSeries, Place, Stock, StoredFile, Unit
from trace.packs import RANK, WITH, contents, plan_of, planned_units, unit_code
from trace.text import clean_text, printable

MOST = 2_000
"""Units named in one step: the cartons of a large pallet, what one scanner session reads."""
REASON_MAX = 200
_LEVEL = {"common.pack": Unit.Level.CARTON, "common.palletise": Unit.Level.PALLET}


@transaction.atomic
def pack_units(
    *,
    by: Actor,
    parent: str,
    children: Sequence[str],
    when: When,
    code: str = "common.pack",
    level: str = "",
    place: Place | None = None,
    remark: str = "",
    files: Sequence[StoredFile] = (),
    insist: bool = False,
    replaces: Event | None = None,
    at: datetime.datetime | None = None,
) -> Captured:
    """Put units into a pack: each unit then says in which pack it lies, goes where the pack goes, and has its label on.

    The pack is a unit with a code of its own, a new one under a valid SSCC nobody uses yet, or, with ``parent`` empty,
    a new one under the next SSCC of the organisation's GS1 prefix (an own code where it has none). ``level`` says what
    a new pack is (box, carton, pallet; by default what the template packs into). Without ``children`` a pack whose
    label was issued together with what belongs into it takes that, but for spoiled, void and replaced codes.

    Refuses: nothing to pack (``children_required``), a label whose units are still being issued
    (``run_still_issuing``) or that was packed before (``pack_packed``), codes that are nobody's or others'
    (``unit_unknown``), spoiled or void codes (``unit_void``), replaced ones (``unit_replaced``), a pack put into what
    is not larger, so never into itself (``pack_level``), an SSCC under another organisation's prefix
    (``sscc_of_another``). By guards: a unit in another pack (``already_packed``), on its way or in others' hands
    (``unit_in_transit``, ``not_in_custody``), lots without stock (``not_in_stock``), more in packs than there is
    (``packed_more_than_stock``), a carton labelled for another lot (``pack_of_another_lot``), lots on hold; with
    ``insist`` these are recorded as conflicts.
    """
    by.require("operator", "quality")
    lock_log_head()
    inside = named_units(by, children)
    if not inside:
        inside = _as_planned(by, parent)
        # The label says what it is, whatever was chosen on the page.
        level = named_units(by, [parent])[0].level
        code = "common.palletise" if level == Unit.Level.PALLET else "common.pack"
    found = template(code)
    pack = _pack(by, parent, inside, level or _LEVEL[code])
    _check_levels(pack, inside)
    captured = _capture(found, by, pack, inside, when, place, remark, insist, replaces, at)
    # Whoever scans a code on goods into a pack shows that its label was put on.
    seen = among("pk", [pack.pk, *(unit.pk for unit in inside)])
    Unit.objects.filter(seen, state=Unit.State.ISSUED).update(state=Unit.State.APPLIED)
    attach_files(captured.event, files)
    return captured


@transaction.atomic
def unpack_units(
    *,
    by: Actor,
    parent: str,
    when: When,
    children: Sequence[str] = (),
    place: Place | None = None,
    remark: str = "",
    files: Sequence[StoredFile] = (),
    insist: bool = False,
    replaces: Event | None = None,
    at: datetime.datetime | None = None,
) -> Captured:
    """Take units out of a pack: those named, or all that lie in it.

    Refuses an unknown pack (``unit_unknown``) and one with nothing in it (``pack_empty``). By guard: a unit that does
    not lie in this pack (``not_in_pack``), a pack on its way or in others' hands.
    """
    by.require("operator", "quality")
    lock_log_head()
    pack = named_units(by, [parent])[0]
    inside = named_units(by, children) if children else list(pack.children.select_related(*WITH).order_by("id"))
    if not inside:
        raise Invalid(_("包装 %(pack)s 里没有登记过单件。") % {"pack": pack.code}, code="pack_empty")
    captured = _capture(template("common.unpack"), by, pack, inside, when, place, remark, insist, replaces, at)
    attach_files(captured.event, files)
    return captured


@transaction.atomic
def replace_code(
    *,
    by: Actor,
    old: str,
    reason: str,
    when: When,
    new: str = "",
    remark: str = "",
    insist: bool = False,
    replaces: Event | None = None,
    at: datetime.datetime | None = None,
) -> Captured:
    """Put a new code on a unit or pack whose code is damaged: the goods stay where they are.

    The new code takes the old one's place in its pack, and what lies in it; the old one stays known and names the new
    one. ``new`` is a spare label of the same lot and level, or for a pack an SSCC nobody uses; left empty, a code is
    made, which keeps the old one's number, so that a hold on a range of numbers covers it too.

    Refuses: others' labels, since only the issuer names units of its lot (``not_own``), a code void or replaced before
    (``unit_void``, ``unit_replaced``), a missing reason (``reason_required``), a new code that is in use or of other
    goods (``code_in_use``). By guards: as for packing.
    """
    by.require("operator", "quality")
    lock_log_head()
    words = clean_text(reason, REASON_MAX)
    if not words:
        raise Invalid(_("请填写原因。"), code="reason_required")
    damaged = named_units(by, [old], spoiled=True)[0]
    if damaged.organisation_id not in entered_for(by):
        raise NotAllowed(_("这个码是别的单位签发的，只有签发单位能换码。"), code="not_own")
    fresh = _spare(by, damaged, new) if new.strip() else _new_code(by, damaged)
    found = template("common.recode")
    draft = Draft(
        template=found,
        organisation=by.owner,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        uses=[Use(lot=_own_lot(unit), role="subject", holder=by.owner, unit=unit) for unit in (damaged, fresh)],
        data=checked_data(found, {"old_code": damaged.code, "new_code": fresh.code, "reason": words}),
        remark=remark,
        replaces=replaces,
    )
    return capture(draft=draft, by=by, insist=insist, at=at)


# --- From codes to units --------------------------------------------------------------------------------------------


def named_units(by: Actor, codes: Sequence[str], *, spoiled: bool = False) -> list[Unit]:
    """The units of these codes in their order, each once; refuses what is not there or is not the actor's to move.

    ``spoiled`` takes those whose label was marked spoiled too (to replace it).
    """
    if len(codes) > MOST:
        raise Invalid(_("最多 %(most)d 项，请分几次登记。") % {"most": MOST}, code="too_many_items")
    wanted = list(dict.fromkeys(unit_code(code) for code in codes))
    mine = entered_for(by)
    in_stock = Stock.objects.filter(lot=OuterRef("lot"), organisation__in=mine)
    rows = Unit.objects.filter(Q(organisation__in=mine) | Q(holder__in=mine) | Exists(in_stock))
    found: dict[str, Unit] = {}
    for begin in range(0, len(wanted), 500):
        part = rows.filter(code__in=wanted[begin : begin + 500]).select_related(*WITH, "replaced_by")
        found |= {unit.code: unit for unit in part}
    return refuse_unusable(wanted, found, spoiled=spoiled)


def refuse_unusable(wanted: Sequence[str], found: dict[str, Unit], *, spoiled: bool = False) -> list[Unit]:
    """The units found for these codes, in order; refuses codes not found, void, or replaced."""
    missing = [code for code in wanted if code not in found]
    if missing:
        raise Invalid(
            _("没有找到这些码，或不是本单位的：%(codes)s。") % {"codes": _listed(missing)},
            code="unit_unknown",
            codes=list(missing),
        )
    for code in wanted:
        successor = found[code].replaced_by
        if successor is not None:
            raise Invalid(
                _("码 %(old)s 已经换成 %(new)s，请扫新码。") % {"old": code, "new": successor.code},
                code="unit_replaced",
                codes=[code],
            )
    unusable = (Unit.State.VOID,) if spoiled else (Unit.State.SPOILED, Unit.State.VOID)
    void = [code for code in wanted if found[code].state in unusable]
    if void:
        raise Invalid(_("这些码已损坏或作废：%(codes)s。") % {"codes": _listed(void)}, code="unit_void", codes=void)
    return [found[code] for code in wanted]


def _listed(codes: Sequence[str]) -> str:
    """The first few codes for a sentence."""
    return _("、").join(printable(code, 20) for code in codes[:5]) + ("…" if len(codes) > 5 else "")


def _pack(by: Actor, text: str, inside: Sequence[Unit], level: str) -> Unit:
    """The pack: one there is, or a new one."""
    if level not in (Unit.Level.BOX, Unit.Level.CARTON, Unit.Level.PALLET):
        raise Invalid(_("请选择装成盒、箱还是托盘。"), code="unknown_choice")
    code = unit_code(text) if text.strip() else new_pack_code(by.owner)
    if (len(code) == 18 or not text.strip()) and not Unit.objects.filter(code=code).exists():
        _refuse_others_sscc(by, code)
        return Unit.objects.create(
            code=code, organisation=by.owner, lot=inside[0].lot, level=level, state=Unit.State.APPLIED
        )
    return named_units(by, [code])[0]


def _as_planned(by: Actor, parent: str) -> list[Unit]:
    """What belongs into a pack by its label alone; refuses a pack without such a plan."""
    pack = named_units(by, [parent])[0] if parent.strip() else None
    plan = plan_of(pack) if pack is not None else None
    if pack is None or plan is None:
        raise Invalid(_("请填写装进去的单件码。"), code="children_required")
    if pack.container:
        raise Clash(_("包装 %(pack)s 已经装过，请扫要装进去的码。") % {"pack": pack.code}, code="pack_packed")
    first, last = plan.numbers(pack.number)
    rows = list(planned_units(pack, plan).select_related(*WITH, "replaced_by"))
    if len(rows) != last - first + 1:
        raise Clash(_("这次签发还没有完成，请稍后再装。"), code="run_still_issuing")
    unusable = (Unit.State.SPOILED, Unit.State.VOID)
    usable = [unit for unit in rows if unit.state not in unusable and unit.replaced_by is None]
    if not usable:
        raise Invalid(_("请填写装进去的单件码。"), code="children_required")
    return usable


def _refuse_others_sscc(by: Actor, code: str) -> None:
    """An SSCC names the organisation whose GS1 prefix it carries."""
    prefixes = [code[1 : 1 + length] for length in GS1_PREFIX_LENGTHS] if len(code) == 18 else []
    if Organisation.objects.filter(gs1_prefix__in=prefixes).exclude(pk__in=entered_for(by)).exists():
        raise Invalid(
            _("物流单元代码 %(code)s 属于别的单位的 GS1 厂商识别代码，不能用作本单位的包装码。") % {"code": code},
            code="sscc_of_another",
        )


def _check_levels(pack: Unit, inside: Sequence[Unit]) -> None:
    """A pack holds what is smaller than itself; so no pack can come to lie in itself."""
    wrong = [unit for unit in inside if RANK[Unit.Level(unit.level)] >= RANK[Unit.Level(pack.level)]]
    if wrong:
        raise Invalid(
            _("%(unit)s（%(small)s）不能装进 %(pack)s（%(large)s）：包装须大一级，请核对箱码。")
            % {
                "unit": wrong[0].code,
                "small": wrong[0].get_level_display(),
                "pack": pack.code,
                "large": pack.get_level_display(),
            },
            code="pack_level",
        )


# --- New codes ------------------------------------------------------------------------------------------------------


def new_pack_code(organisation: Organisation) -> str:
    """A code nobody has: the next SSCC under the organisation's GS1 prefix, else an own code of 12 characters.

    Needs the log head held.
    """
    if not organisation.gs1_prefix:
        while True:
            code = new_serials(1)[0]
            if not Unit.objects.filter(code=code).exists() and not Lot.objects.filter(public_code=code).exists():
                return code
    series, _made = PackSeries.objects.get_or_create(organisation=organisation, prefix=organisation.gs1_prefix)
    while True:
        code = sscc_of(series.prefix, series.next_number)
        series.next_number += 1
        if not Unit.objects.filter(code=code).exists():
            PackSeries.objects.filter(pk=series.pk).update(next_number=series.next_number)
            return code


@transaction.atomic
def reserve_pack_codes(*, by: Actor, count: int) -> list[str]:
    """Give out SSCC numbers to be printed before packing; none of them is given again. They become packs when packed.

    Refuses an organisation without GS1 prefix (``gs1_prefix_required``) and counts outside 1 to 100 (``bad_count``).
    """
    by.require("operator", "quality")
    if not by.owner.gs1_prefix:
        raise Invalid(_("请先填写 GS1 厂商识别代码；没有的单位装箱时由系统编码。"), code="gs1_prefix_required")
    if not 1 <= count <= 100:
        raise Invalid(_("数量应在 1 到 %(most)d 之间。") % {"most": 100}, code="bad_count")
    lock_log_head()
    return [new_pack_code(by.owner) for _number in range(count)]


@transaction.atomic
def set_gs1_prefix(*, by: Actor, prefix: str) -> Organisation:
    """Write down the organisation's GS1 company prefix, under which its SSCC are numbered; empty takes it back.

    Who: the owner or quality officer. Refuses what is no prefix (``gs1_prefix_shape``) and one another organisation
    has (``gs1_prefix_taken``).
    """
    by.require("owner", "quality")
    organisation = Organisation.objects.select_for_update().get(pk=by.owner.pk)
    wanted = normalise_gs1_prefix(prefix) if prefix.strip() else ""
    if wanted and Organisation.objects.filter(gs1_prefix=wanted).exclude(pk=organisation.pk).exists():
        raise Clash(_("这个 GS1 厂商识别代码已登记在别的单位名下，请核对。"), code="gs1_prefix_taken")
    if wanted != organisation.gs1_prefix:
        log_edit(
            row=organisation,
            organisation=organisation,
            field="gs1_prefix",
            old=organisation.gs1_prefix,
            new=wanted,
            by=by.user,
        )
        organisation.gs1_prefix = wanted
        organisation.save(update_fields=["gs1_prefix"])
    return organisation


def _new_code(by: Actor, damaged: Unit) -> Unit:
    """A fresh code for the same goods: of the same kind and with the same number."""
    code = new_pack_code(by.owner) if len(damaged.code) == 18 else new_pack_code(Organisation())
    return Unit.objects.create(
        code=code,
        organisation_id=damaged.organisation_id,
        lot=damaged.lot,
        level=damaged.level,
        state=Unit.State.APPLIED,
        number=damaged.number,
    )


def _spare(by: Actor, damaged: Unit, text: str) -> Unit:
    """A label that is on no goods yet: of the same lot and level, or for a pack a new SSCC."""
    code = unit_code(text)
    if len(code) == 18 and damaged.container and not Unit.objects.filter(code=code).exists():
        _refuse_others_sscc(by, code)
        return Unit.objects.create(
            code=code,
            organisation_id=damaged.organisation_id,
            lot=damaged.lot,
            level=damaged.level,
            state=Unit.State.APPLIED,
            number=damaged.number,
        )
    spare = named_units(by, [code])[0]
    used = spare.parent_id or spare.holder_id or spare.transit_id or spare.container or spare.items.exists()
    if spare.pk == damaged.pk or used:
        raise Clash(
            _("码 %(code)s 已经用在别的货物上，请换一个没用过的码。") % {"code": spare.code}, code="code_in_use"
        )
    if (spare.lot_id, spare.level) != (damaged.lot_id, damaged.level):
        raise Clash(
            _("码 %(code)s 不是同一批次、同一层级的备用码。") % {"code": spare.code}, code="code_of_other_goods"
        )
    return spare


# --- The event ------------------------------------------------------------------------------------------------------


def _own_lot(unit: Unit) -> Lot | None:
    """The lot a unit is of; None for a pack that only holds others and has no label of a lot."""
    return None if unit.run is None and unit.level != Unit.Level.ITEM and unit.number == 0 else unit.lot


def _lots_inside(units: Iterable[Unit]) -> list[Lot]:
    """The lots of what lies in these units."""
    ids = {share.lot for shares in contents([unit.pk for unit in units]).values() for share in shares}
    return list(Lot.objects.filter(pk__in=ids).select_related("product").order_by("id"))


def _capture(
    found: EventTemplate,
    by: Actor,
    pack: Unit,
    inside: Sequence[Unit],
    when: When,
    place: Place | None,
    remark: str,
    insist: bool,
    replaces: Event | None,
    at: datetime.datetime | None,
) -> Captured:
    """Write the event: the pack is its first item, then what goes in or out, then lots only found deeper inside, so
    that guards and readers of a lot see a pallet that is made of cartons (EPCIS AggregationEvent).
    """
    units = (pack, *inside)
    uses = [Use(lot=_own_lot(unit), role="subject", holder=by.owner, place=place, unit=unit) for unit in units]
    named = {use.lot.pk for use in uses if use.lot is not None}
    uses += [
        Use(lot=lot, role="subject", holder=by.owner, place=place)
        for lot in _lots_inside(inside)
        if lot.pk not in named
    ]
    draft = Draft(
        template=found,
        organisation=by.owner,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        place=place,
        uses=uses,
        data={"parent": pack.code, "children": [unit.code for unit in inside]},
        remark=remark,
        replaces=replaces,
    )
    return capture(draft=draft, by=by, insist=insist, at=at)
