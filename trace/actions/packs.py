"""Units put into packs and taken out again: bottles into a carton, cartons onto a pallet."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from trace.access import entered_for
from trace.actions.capture import Captured, Draft, Use, capture
from trace.actions.events import When, attach_files, checked_data
from trace.actor import Actor
from trace.errors import BrokenGuard, GuardBroken, Invalid
from trace.event_templates import EventTemplate, template, templates
from trace.guards import broken_guards
from trace.identifiers import fold_code, normalise_serial, normalise_sscc
from trace.models import Event, EventItem, Place, StoredFile, Unit
from trace.text import printable

MOST = 500
"""Units in one step: a pallet's cartons, a case's bottles."""
_RANK = {Unit.Level.ITEM: 0, Unit.Level.BOX: 1, Unit.Level.CARTON: 2, Unit.Level.PALLET: 3}
_LEVEL = {"common.pack": Unit.Level.CARTON, "common.palletise": Unit.Level.PALLET}


def unit_code(text: str) -> str:
    """A unit's code as typed or scanned: a serial, an SSCC, or the address in a QR code that ends with one.

    Raises Invalid ``code_too_long``, ``serial_length`` … as the identifiers do.
    """
    if "/" in text[:400]:
        text = text[:400].split("?")[0].rstrip("/").rpartition("/")[2]
    code = fold_code(text)
    bare = code.removeprefix("(00)")
    return normalise_sscc(code) if bare.isdigit() and len(bare) >= 17 else normalise_serial(code)


@transaction.atomic
def pack_units(
    *,
    by: Actor,
    parent: str,
    children: Sequence[str],
    when: When,
    code: str = "common.pack",
    place: Place | None = None,
    remark: str = "",
    files: Sequence[StoredFile] = (),
    insist: bool = False,
    replaces: Event | None = None,
    at: datetime.datetime | None = None,
) -> Captured:
    """Put units into a pack: each unit then says in which pack it lies.

    The pack is a unit with a code of its own, or a new one under a valid SSCC. Refuses: nothing to pack
    (``children_required``), codes that are nobody's or others' (``unit_unknown``), spoiled or void codes
    (``unit_void``), a pack put into what is smaller or into itself (``pack_level``). By guards: a unit that lies in
    another pack (``already_packed``), lots on hold; with ``insist`` these are recorded as conflicts.
    """
    by.require("operator", "quality")
    found = template(code)
    inside = _units(by, children)
    if not inside:
        raise Invalid(_("请填写装进去的单件码。"), code="children_required")
    pack = _pack(by, parent, inside, _LEVEL[code])
    _check_levels(pack, inside)
    elsewhere = [unit for unit in inside if unit.parent_id not in (None, pack.pk)]
    broken = [
        BrokenGuard(
            "already_packed",
            _("单件 %(unit)s 已经装在 %(pack)s 里，请先拆箱。") % {"unit": unit.code, "pack": unit.parent.code},
            lot=unit.lot,
        )
        for unit in elsewhere
        if unit.parent is not None
    ]
    captured = _capture(found, by, pack, inside, when, place, remark, broken, insist, replaces, at)
    Unit.objects.filter(pk__in=[unit.pk for unit in inside]).update(parent=pack)
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
    not lie in this pack (``not_in_pack``).
    """
    by.require("operator", "quality")
    pack = _units(by, [parent])[0]
    inside = (
        _units(by, children)
        if children
        else list(pack.children.select_related("lot__product", "parent").order_by("id"))
    )
    if not inside:
        raise Invalid(_("包装 %(pack)s 里没有登记过单件。") % {"pack": pack.code}, code="pack_empty")
    broken = [
        BrokenGuard(
            "not_in_pack",
            _("单件 %(unit)s 登记的不在包装 %(pack)s 里。") % {"unit": unit.code, "pack": pack.code},
            lot=unit.lot,
        )
        for unit in inside
        if unit.parent_id != pack.pk
    ]
    captured = _capture(template("common.unpack"), by, pack, inside, when, place, remark, broken, insist, replaces, at)
    Unit.objects.filter(pk__in=[unit.pk for unit in inside]).update(parent=None)
    attach_files(captured.event, files)
    return captured


def _units(by: Actor, codes: Sequence[str]) -> list[Unit]:
    """The units of these codes in their order, each once; refuses what is not there or is not the actor's to move."""
    if len(codes) > MOST:
        raise Invalid(_("最多 %(most)d 项，请分几次登记。") % {"most": MOST}, code="too_many_items")
    wanted = list(dict.fromkeys(unit_code(code) for code in codes))
    mine = entered_for(by)
    rows = Unit.objects.filter(code__in=wanted).filter(Q(organisation__in=mine) | Q(lot__stocks__organisation__in=mine))
    found = {unit.code: unit for unit in rows.select_related("lot__product", "parent").distinct()}
    missing = [code for code in wanted if code not in found]
    if missing:
        raise _unknown(missing)
    void = [code for code in wanted if found[code].state in (Unit.State.SPOILED, Unit.State.VOID)]
    if void:
        raise Invalid(_("这些码已损坏或作废：%(codes)s。") % {"codes": _listed(void)}, code="unit_void", codes=void)
    return [found[code] for code in wanted]


def _unknown(codes: Sequence[str]) -> Invalid:
    return Invalid(
        _("没有找到这些码，或不是本单位的：%(codes)s。") % {"codes": _listed(codes)},
        code="unit_unknown",
        codes=list(codes),
    )


def _listed(codes: Sequence[str]) -> str:
    """The first few codes for a sentence."""
    return _("、").join(printable(code, 20) for code in codes[:5]) + ("…" if len(codes) > 5 else "")


def _pack(by: Actor, text: str, inside: Sequence[Unit], level: str) -> Unit:
    """The pack: one there is, or a new one under an SSCC that nobody uses yet."""
    code = unit_code(text)
    if not Unit.objects.filter(code=code).exists() and len(code) == 18:
        return Unit.objects.create(
            code=code, organisation=by.owner, lot=inside[0].lot, level=level, state=Unit.State.APPLIED
        )
    return _units(by, [code])[0]


def _check_levels(pack: Unit, inside: Sequence[Unit]) -> None:
    """A pack holds what is smaller than itself; so no pack can come to lie in itself."""
    wrong = [unit for unit in inside if _RANK[Unit.Level(unit.level)] >= _RANK[Unit.Level(pack.level)]]
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


def _capture(
    found: EventTemplate,
    by: Actor,
    pack: Unit,
    inside: Sequence[Unit],
    when: When,
    place: Place | None,
    remark: str,
    broken: list[BrokenGuard],
    insist: bool,
    replaces: Event | None,
    at: datetime.datetime | None,
) -> Captured:
    """Write the event: the pack is its first item, what goes in or out the others (EPCIS AggregationEvent)."""
    draft = Draft(
        template=found,
        organisation=by.owner,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        place=place,
        uses=[Use(lot=unit.lot, role="subject", holder=by.owner, place=place, unit=unit) for unit in (pack, *inside)],
        data=checked_data(found, {"parent": pack.code, "children": [unit.code for unit in inside]}),
        remark=remark,
        found=broken,
        replaces=replaces,
    )
    if broken and not insist:
        everything = [*broken, *broken_guards(draft)]
        raise GuardBroken(" ".join(guard.message for guard in everything), everything)
    return capture(draft=draft, by=by, insist=insist, at=at)


# --- Derived again --------------------------------------------------------------------------------------------------


def standing_parents(units: Iterable[int] | None = None) -> dict[int, int | None]:
    """In which pack each unit lies by the events that stand (not declared wrong), by row numbers; ``None`` where it was
    taken out. All units that were ever packed, or only these.
    """
    codes = [each.code for each in templates().values() if each.moves in ("pack", "unpack")]
    rows = EventItem.objects.filter(
        event__template__in=codes, event__corrections__isnull=True, event__log__isnull=False, unit__isnull=False
    )
    if units is not None:
        touched = rows.filter(unit__in=list(units)).values("event")
        rows = EventItem.objects.filter(event__in=touched, unit__isnull=False)
    events: dict[int, list[int]] = defaultdict(list)
    kinds: dict[int, str] = {}
    for event, kind, unit in rows.order_by("event__log__number", "number").values_list(
        "event", "event__template", "unit"
    ):
        events[event].append(unit)
        kinds[event] = kind
    parents: dict[int, int | None] = {}
    for event, (pack, *inside) in events.items():
        parent = pack if template(kinds[event]).moves == "pack" else None
        parents.update(dict.fromkeys(inside, parent))
    return parents


def restore_parents(units: Sequence[int]) -> None:
    """Put units back where the standing events say they lie, after a step was declared wrong."""
    parents = standing_parents(units)
    for unit in units:
        Unit.objects.filter(pk=unit).update(parent=parents.get(unit))


def misplaced(rows: Mapping[int, int | None], parents: Mapping[int, int | None]) -> dict[int, int | None]:
    """Units whose row says something else than the events: row number to what it must say."""
    everyone = {*rows, *parents}
    return {unit: parents.get(unit) for unit in everyone if rows.get(unit) != parents.get(unit)}
