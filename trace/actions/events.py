"""Recording what happened to goods by template: the action behind every form, the API and the demonstration."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from django.utils.translation import gettext as _

from trace.access import entered_for, own_places
from trace.actions.capture import Captured, Draft, NewLot, Use, capture
from trace.actor import Actor
from trace.batch import Batch, current, whole
from trace.day_guards import same_goods
from trace.errors import Invalid, NotAllowed
from trace.event_templates import EventTemplate, TemplateField, split_personal, template, validate_data
from trace.models import Event, Lot, Organisation, Place, Product, Stock, StoredFile, Unit
from trace.units import EnteredAmount, decimal_text, parse_amount

# Templates with rows of their own beside the event; each has its action.
OWN_ACTION = {
    "ship": "ship_lots",
    "receive": "receive_shipment / take_in",
    "correct": "declare_error",
    "hold": "place_hold",
    "release": "release_lot",
    "join": "claim_lot / answer_claim",
    "alias": "bring_in_codes",
    "pack": "pack_units",
    "unpack": "unpack_units",
    "recode": "replace_code",
    "report": "POST /epcis/capture",
}
# Steps that no general form offers: they have pages of their own beside the lot.
OWN_PAGES = frozenset({"join", "alias", "report"})


@dataclass(frozen=True)
class Portion:
    """How much of which known lot; ``place`` where it is taken from (found by stock when left out)."""

    lot: Lot
    amount: EnteredAmount | None = None
    place: Place | None = None
    unit: Unit | None = None
    holder: Organisation | None = None


@dataclass(frozen=True)
class When:
    """When something happened: an aware instant, its entered offset in minutes, and whether only the day is known."""

    at: datetime.datetime
    tz_offset: int = 480
    precision: str = "minute"


@whole
def record_event(
    *,
    by: Actor,
    code: str,
    when: When,
    place: Place | None = None,
    data: Mapping[str, Any] | None = None,
    inputs: Sequence[Portion] = (),
    outputs: Sequence[NewLot] = (),
    subjects: Sequence[Portion] = (),
    counterparty: Organisation | None = None,
    remark: str = "",
    files: Sequence[StoredFile] = (),
    insist: bool = False,
    replaces: Event | None = None,
    at: datetime.datetime | None = None,
) -> Captured:
    """Record one event by its template.

    ``inputs`` are used up, ``outputs`` begin lots, ``subjects`` are looked at (or reduced: sampling, selling,
    destroying). Refuses: an unknown template, fields that fail the template (``FieldErrors``), missing inputs or
    outputs (``inputs_required``, ``outputs_required``, ``subjects_required``), places, products and lots of others
    (``not_own``), and broken guards unless ``insist`` (then a report with conflicts).
    """
    by.require("operator", "quality", "officer", "approver")
    found = template(code)
    if found.moves in OWN_ACTION:
        raise Invalid(
            _("“%(step)s”有专门的办理入口。") % {"step": found.label()},
            code="use_own_action",
            action=OWN_ACTION[found.moves],
        )
    if found.moves == "store" and place is None:
        place = _place_named(found, data or {}, by)
    _check_shape(found, by, inputs, outputs, subjects, place)
    ready = prepare(
        found,
        data or {},
        inputs=inputs,
        outputs=_dated(found, data or {}, inputs, outputs),
        subjects=subjects,
        remark=remark,
    )
    draft = Draft(
        template=found,
        organisation=by.owner,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        place=place,
        uses=[
            *(portion_use(portion, "input", -1, by, place) for portion in inputs),
            *_subject_uses(found, subjects, by, place),
        ],
        outputs=ready.outputs,
        data=ready.data,
        counterparty=counterparty,
        remark=ready.remark,
        files=files,
        replaces=replaces,
    )
    captured = capture(draft=draft, by=by, insist=insist, at=at)
    attach_files(captured.event, files)
    return captured


def _place_named(found: EventTemplate, data: Mapping[str, Any], by: Actor) -> Place | None:
    """The place of one's own that the step's own field names, for who gave no other."""
    named = [data[field.key] for field in found.fields if field.type == "ref:Location" and data.get(field.key)]
    try:
        uids = [uuid.UUID(str(value)) for value in named]
    except ValueError:
        return None
    return own_places(by).filter(uid__in=uids).first()


def _dated(
    found: EventTemplate, data: Mapping[str, Any], inputs: Sequence[Portion], outputs: Sequence[NewLot]
) -> list[NewLot]:
    """New lots with production date, expiry and code taken from the template's fields where only those were filled.

    Goods that a step only divides, joins or packs anew keep the dates they have: of several the earliest. A lot stated
    again keeps for as long as the version it was made under says: that is what its labels say.
    """
    lots: list[NewLot] = []
    for new in outputs:
        values = {**data, **new.facts}
        code = values.get(found.lot_code_field) if len(outputs) == 1 else new.facts.get(found.lot_code_field)
        produced_on = new.produced_on or _day(values.get(found.produced_on_field))
        expires_on = new.expires_on or _day(values.get(found.expires_on_field))
        version = new.product.current if new.restates is None else new.restates.product_version
        older = same_goods(found.code, new.product, [portion.lot for portion in inputs])
        if produced_on is None:
            produced_on = min((lot.produced_on for lot in older if lot.produced_on), default=None)
        if expires_on is None:
            expires_on = min((lot.expires_on for lot in older if lot.expires_on), default=None)
        if expires_on is None and produced_on is not None and version is not None and version.shelf_life_days:
            expires_on = produced_on + datetime.timedelta(days=version.shelf_life_days)
        lots.append(
            replace(new, produced_on=produced_on, expires_on=expires_on, lot_code=new.lot_code or str(code or ""))
        )
    return lots


def _day(value: Any) -> datetime.date | None:
    """A date as typed in a field; what is none is left to the template's check to refuse."""
    if isinstance(value, datetime.date):
        return value
    try:
        return datetime.date.fromisoformat(str(value)) if value else None
    except ValueError:
        return None


def attach_files(event: Event, files: Sequence[StoredFile]) -> None:
    """Tie files stored before to the event they are evidence for."""
    if not files:
        return
    StoredFile.objects.filter(pk__in=[file.pk for file in files], event=None).update(event=event)


def _subject_uses(found: EventTemplate, subjects: Sequence[Portion], by: Actor, place: Place | None) -> list[Use]:
    """The uses of lots that are looked at, reduced, or put elsewhere."""
    if found.moves != "store" or place is None:
        return [portion_use(portion, "subject", _subject_sign(found), by, place) for portion in subjects]
    return [use for portion in subjects for use in _put(portion, by, place)]


def _put(portion: Portion, by: Actor, place: Place) -> list[Use]:
    """Goods that come to lie at one of the holder's places: out of where they lay, most of it first, into this one.

    Without an amount all there is of the lot goes there. What lies there already stays: then the step only says so.
    More than there is elsewhere is taken from where most lies, for a guard to refuse.
    """
    holder, unit = portion.holder or by.owner, portion.lot.product.base_unit
    lying = {there.pk if there else None: (there, micros) for there, micros in lying_at(portion.lot, holder)}
    here = lying.pop(place.pk, (place, 0))[1]
    if portion.place is not None:
        lying = {portion.place.pk: lying.get(portion.place.pk, (portion.place, 0))}
    total = sum(micros for _there, micros in lying.values())
    wanted = portion.amount.micros if portion.amount is not None else total
    named = Use(lot=portion.lot, role="subject", holder=holder, amount=portion.amount, place=place, unit=portion.unit)
    if not wanted or (not lying and wanted <= here):
        return [named]
    left, uses = wanted, []
    for there, micros in lying.values() or [(None, 0)]:
        take = left if len(lying) <= 1 else min(left, micros)
        if not take:
            continue
        left -= take
        amount = portion.amount
        if amount is None or take != amount.micros:
            amount = parse_amount(decimal_text(take), unit, unit)
        uses += [replace(named, amount=amount, sign=-1, place=there), replace(named, amount=amount, sign=1)]
    if left and uses:
        more = parse_amount(decimal_text(left + (uses[0].amount.micros if uses[0].amount else 0)), unit, unit)
        uses[:2] = [replace(uses[0], amount=more), replace(uses[1], amount=more)]
    return uses


def lying_at(lot: Lot, holder: Organisation) -> list[tuple[Place | None, int]]:
    """Where a holder has how much of a lot, most first."""
    batch = current()
    if batch is not None:
        batch.load_stock([lot.pk], [holder.pk])
        there = [(place, micros) for place, micros in batch.places_of(lot.pk, holder.pk) if micros > 0]
        return [(batch.place(place), micros) for place, micros in sorted(there, key=lambda each: -each[1])]
    rows = Stock.objects.filter(lot=lot, organisation=holder, micros__gt=0).select_related("place")
    return [(row.place, row.micros) for row in rows.order_by("-micros", "id")]


def _subject_sign(found: EventTemplate) -> int:
    """Whether the amount beside a subject leaves the holder's stock."""
    return -1 if found.moves in ("sample", "destroy", "retail") else 0


def _check_shape(
    found: EventTemplate,
    by: Actor,
    inputs: Sequence[Portion],
    outputs: Sequence[NewLot],
    subjects: Sequence[Portion],
    place: Place | None,
) -> None:
    """Refuse what the template cannot mean, and other people's things."""
    if found.moves == "transform" and not inputs:
        raise Invalid(_("请至少填一个投入批次。"), code="inputs_required")
    if found.moves in ("transform", "create") and not outputs:
        raise Invalid(_("请至少填一个产出批次。"), code="outputs_required")
    if found.moves in ("observe", "store", "sample", "destroy", "retail") and not subjects:
        raise Invalid(_("请指明是哪个批次。"), code="subjects_required")
    if found.moves == "transform" and subjects:
        raise Invalid(_("加工环节只填投入和产出。"), code="subjects_not_here")
    if found.moves not in ("transform",) and inputs:
        raise Invalid(_("“%(step)s”没有投入批次。") % {"step": found.label()}, code="inputs_not_here")
    if found.moves not in ("transform", "create") and outputs:
        raise Invalid(_("“%(step)s”不产生新批次。") % {"step": found.label()}, code="outputs_not_here")
    if found.moves == "place" and place is None:
        raise Invalid(_("请选择地块。"), code="place_required")
    mine = entered_for(by)
    for new in outputs:
        if new.product.organisation_id not in mine:
            raise NotAllowed(_("只能登记本单位的产品。"), code="not_own")
    if place is not None and place.organisation_id not in mine and not by.is_regulator:
        raise NotAllowed(_("只能选择本单位的地点。"), code="not_own")
    seen: set[tuple[int, int | None]] = set()
    for portion in inputs:
        key = (portion.lot.pk, portion.place.pk if portion.place else None)
        if key in seen:
            raise Invalid(_("批次 %(lot)s 填了两次，请合并成一行。") % {"lot": portion.lot.code}, code="input_twice")
        seen.add(key)
        if portion.amount is None:
            raise Invalid(_("请填写批次 %(lot)s 的用量。") % {"lot": portion.lot.code}, code="amount_required")


def portion_use(portion: Portion, role: str, sign: int, by: Actor, place: Place | None) -> Use:
    """The use of a portion: whose stock it concerns and at which place it lies."""
    holder = portion.holder or by.owner
    where = portion.place or (stock_place(portion.lot, holder, place) if sign else place)
    amount = portion.amount
    return Use(
        lot=portion.lot,
        role=role,
        holder=holder,
        amount=amount,
        sign=sign if amount is not None else 0,
        place=where,
        unit=portion.unit,
    )


def stock_place(lot: Lot, holder: Organisation, preferred: Place | None) -> Place | None:
    """Where the holder has this lot: the preferred place if some is there, else where most of it is."""
    batch = current()
    if batch is not None:
        return _place_in_batch(batch, lot, holder, preferred)
    rows = list(
        Stock.objects.filter(lot=lot, organisation=holder, micros__gt=0)
        .select_related("place")
        .order_by("-micros", "id")
    )
    for row in rows:
        if preferred is not None and row.place_id == preferred.pk:
            return row.place
    return rows[0].place if rows else preferred


def _place_in_batch(batch: Batch, lot: Lot, holder: Organisation, preferred: Place | None) -> Place | None:
    """``stock_place`` by what the batch knows; of equal amounts the row that is older comes first there, too."""
    batch.load_stock([lot.pk], [holder.pk])
    there = [(place, micros) for place, micros in batch.places_of(lot.pk, holder.pk) if micros > 0]
    if preferred is not None and any(place == preferred.pk for place, _micros in there):
        return preferred
    best = max(there, key=lambda each: each[1], default=None)
    return batch.place(best[0]) if best is not None else preferred


@dataclass(frozen=True)
class Prepared:
    """Checked data of an event: its own fields, the new lots with theirs, and the words that belong into the remark."""

    data: dict[str, Any]
    outputs: list[NewLot]
    remark: str


def prepare(
    found: EventTemplate,
    data: Mapping[str, Any],
    *,
    inputs: Sequence[Portion] = (),
    outputs: Sequence[NewLot] = (),
    subjects: Sequence[Portion] = (),
    remark: str = "",
) -> Prepared:
    """Check data by the template (``FieldErrors``), filling what the lots already say (weight, production date, lot
    code).

    Fields of one output lot may stand in that lot's ``facts`` or, for all lots alike, in ``data``. Fields that may
    name a
    person move into the remark, which is sealed.
    """
    kept, personal = split_personal(found, data)
    amounts = [new.amount for new in outputs] or [portion.amount for portion in subjects if portion.amount]
    known = _input_amounts(found, inputs) | _amount(found, amounts)
    if outputs:
        known |= _lot_fields(found, outputs[0])
    per_output = {field.key for field in found.output_fields}
    shared = {key: value for key, value in kept.items() if key in per_output}
    event_data = {key: value for key, value in kept.items() if key not in per_output}
    checked = checked_data(found, _offer(found.event_fields, event_data, known), part="event")
    lots = [_with_facts(found, new, shared) for new in outputs]
    words = [remark, *(f"{_label(found, key)}: {value}" for key, value in personal.items() if value)]
    return Prepared(checked, lots, "\n".join(word for word in words if word))


def _label(found: EventTemplate, key: str) -> str:
    """The Chinese label of a field."""
    field = found.field(key)
    return field.zh if field else key


def _offer(fields: Sequence[TemplateField], data: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The data with what is known put where nothing was typed."""
    filled = dict(data)
    for field in fields:
        if filled.get(field.key) in (None, "") and known.get(field.key) not in (None, "") and not field.computed:
            filled[field.key] = known[field.key]
    return filled


def _amount(found: EventTemplate, amounts: Sequence[EnteredAmount]) -> dict[str, Any]:
    """The field that repeats the amount, in base units as the field is: 2,000 斤 are 1000 where it says 千克.

    As typed where one lot was entered in the base unit, so that 8.50 keeps its zero.
    """
    if not found.amount_field or not amounts:
        return {}
    as_typed = len(amounts) == 1 and amounts[0].factor == "1/1"
    total = amounts[0].text if as_typed else decimal_text(sum(amount.micros for amount in amounts))
    return {found.amount_field: total}


def _input_amounts(found: EventTemplate, inputs: Sequence[Portion]) -> dict[str, Any]:
    """Fields that repeat the inputs' amounts, in the order of the inputs; the last field takes the rest together."""
    fields = found.input_amount_fields
    if not fields:
        return {}
    shares: list[int] = [0] * len(fields)
    for number, portion in enumerate(inputs):
        shares[min(number, len(fields) - 1)] += portion.amount.micros if portion.amount else 0
    return {key: decimal_text(micros) for key, micros in zip(fields, shares, strict=True) if micros}


def _lot_fields(found: EventTemplate, new: NewLot) -> dict[str, Any]:
    """Fields that repeat a lot's own dates and code."""
    return {
        found.produced_on_field: new.produced_on.isoformat() if new.produced_on else None,
        found.expires_on_field: new.expires_on.isoformat() if new.expires_on else None,
        found.lot_code_field: new.lot_code,
    }


def _with_facts(found: EventTemplate, new: NewLot, shared: Mapping[str, Any]) -> NewLot:
    """The new lot with its own fields checked; dates typed only in the fields become the lot's. Of a by-product
    (shells, rejects) nothing is required: no class of kernel is one of shells.
    """
    if not found.output_fields:
        return replace(new, facts={})
    facts = {**shared, **new.facts}
    known = _amount(found, [new.amount]) | _lot_fields(found, new)
    spared = {each.key for each in found.output_fields} if new.product.kind == Product.Kind.BYPRODUCT else set()
    checked = checked_data(found, _offer(found.output_fields, facts, known), part="output", provided=spared)
    return replace(new, facts=checked)


def checked_data(
    found: EventTemplate,
    data: Mapping[str, Any],
    *,
    part: Literal["all", "event", "output"] = "all",
    provided: Collection[str] = (),
) -> dict[str, Any]:
    """The template's own check, ``provided`` as there; advisory warnings go with the data so that readers see them."""
    cleaned, warnings = validate_data(found, data, part=part, provided=provided)
    answer: dict[str, Any] = dict(cleaned)
    if warnings:
        answer["advisory"] = [warning.message for warning in warnings]
    return answer
