"""Mass balance of one operation: no more comes out than went in, in exact numbers, whatever it was counted in.

斤, kg, t and packs are exact millionths of the base unit already; goods counted in bottles or bags are weighed or
measured by the net content of their product. What adds water says so in its template; where the water is stated, it
counts. Yields are data (``yields`` in the templates): above them is possible and suspicious, so they warn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from trace.among import among
from trace.bounds import DEEPEST, Making, most_of, step_of, steps_of
from trace.contents import BULK, Amount, content_typed
from trace.errors import BrokenGuard
from trace.lot_words import named_to
from trace.models import Lot, Product
from trace.sentences import gettext as _
from trace.sentences import in_each_language
from trace.units import BaseUnit, amount_said

if TYPE_CHECKING:
    from trace.actions.capture import Draft


def inputs_of(draft: Draft) -> list[Amount]:
    """What goes in, packaging left out where anything else goes in: a bottle does not become spirit."""
    taken = [
        Amount(use.lot.product, use.lot.product_version, use.told - use.micros, use.lot)
        for use in draft.uses
        if use.lot is not None and use.role == "input"
    ]
    goods = [each for each in taken if each.product.kind != Product.Kind.PACKAGING]
    return goods or taken


def outputs_of(draft: Draft) -> list[Amount]:
    """What comes out: new lots, and goods added to lots there are. A lot stated again keeps the version, and so the net
    content, it was made under.
    """
    made = [
        Amount(
            new.product,
            new.product.current if new.restates is None else new.restates.product_version,
            new.micros,
            new.restates,
        )
        for new in draft.outputs
    ]
    return made + [
        Amount(use.lot.product, use.lot.product_version, use.told + use.micros, use.lot)
        for use in draft.uses
        if use.lot is not None and use.role == "output"
    ]


def typed_content(draft: Draft) -> tuple[str, Fraction] | None:
    """The net content typed with the step, in its field's unit."""
    return content_typed(draft.template, draft.data)


def balance_guards(draft: Draft) -> Iterator[BrokenGuard]:
    """More out than in (weight or volume does not grow by itself), and a yield above what is usual."""
    if draft.template.moves != "transform":
        return
    inputs, outputs = inputs_of(draft), outputs_of(draft)
    if not inputs or not outputs:
        return
    typed = typed_content(draft)
    unsaid = _unsaid(draft)
    if unsaid and any(each.micros > 0 for each in outputs):
        yield BrokenGuard(
            "more_out_than_in",
            _("投入批次 %(lots)s 没有写数量，或单位换算不了，产出 %(made)s 无法核对。")
            % {"lots": _codes(unsaid), "made": amount_said(outputs[0].micros, outputs[0].product.base_unit)},
            lot=unsaid[0].lot,
            warns=True,
        )
        return
    if not draft.template.gains_water:
        yield from _gain(draft, inputs, outputs, typed)
    else:
        yield from _watered(draft, inputs, outputs)
    yield from _yield(draft, inputs, outputs, typed)
    yield from _later_steps(draft)


def _unsaid(draft: Draft) -> list[Amount]:
    """Goods that went in without anybody saying how much, as partners' events may leave it."""
    return [
        Amount(use.lot.product, use.lot.product_version, 0, use.lot)
        for use in draft.uses
        if use.lot is not None
        and use.role == "input"
        and use.amount is None
        and not use.told
        and use.lot.product.kind != Product.Kind.PACKAGING
    ]


def _gain(
    draft: Draft, inputs: Sequence[Amount], outputs: Sequence[Amount], typed: tuple[str, Fraction] | None
) -> Iterator[BrokenGuard]:
    """By weight, by volume, and by the piece where the same product goes in and comes out."""
    products = {each.product.pk for each in (*inputs, *outputs)}
    if len(products) == 1:
        taken, made = sum(each.micros for each in inputs), sum(each.micros for each in outputs)
        if made > taken:
            yield _more(inputs, made, taken, inputs[0].product.base_unit)
            return
        if inputs[0].product.base_unit in BULK or typed is not None:
            return
    if all(each.product.kind == Product.Kind.PACKAGING for each in inputs) and not all(
        each.product.kind == Product.Kind.PACKAGING for each in outputs
    ):
        yield BrokenGuard(
            "more_out_than_in",
            _("投入的只有包装物（批次 %(lots)s），产出的却是货物。请补上漏记的投入批次。") % {"lots": _codes(inputs)},
            lot=inputs[0].lot,
        )
        return
    taken_of = {each.product.pk for each in inputs}
    if len(taken_of) == 1 and inputs[0].product.base_unit not in BULK:
        # Pieces of one product that come out again among others are no more than went in.
        taken = sum(each.micros for each in inputs)
        made = sum(each.micros for each in outputs if each.product.pk in taken_of)
        if made > taken:
            yield _more(inputs, made, taken, inputs[0].product.base_unit)
            return
    went_in = [each.bulk() for each in inputs]
    came_out = [each.bulk(typed) for each in outputs]
    for unit in BULK:
        taken_bulk = sum((found[1] for found in went_in if found is not None and found[0] == unit), Fraction())
        made_bulk = sum((found[1] for found in came_out if found is not None and found[0] == unit), Fraction())
        if made_bulk <= taken_bulk:
            continue
        rest = [each for each, found in zip(inputs, went_in, strict=True) if found is None or found[0] != unit]
        yield from _against(draft, inputs, rest, unit, made_bulk, taken_bulk)


def _against(
    draft: Draft, inputs: Sequence[Amount], rest: Sequence[Amount], unit: str, made: Fraction, taken: Fraction
) -> Iterator[BrokenGuard]:
    """More of a unit than the inputs counted in it: against the most that the ``rest`` of them can be. Beyond that it
    refuses, naming the lots whose amounts were counted; beyond an even share of pieces it warns, and where the most of
    one is not known, naming that one.
    """
    bounds = most_of(rest, unit)
    known = [(each, bound) for each, bound in zip(rest, bounds, strict=True) if bound is not None]
    evenly = taken + sum((bound.most for _each, bound in known), Fraction())
    if len(known) < len(rest):
        pieces = [each for each, bound in zip(rest, bounds, strict=True) if bound is None and each.bulk() is None]
        if made > evenly and pieces:
            yield _more(inputs, _micros(made), _micros(evenly), unit, pieces)
        return
    ceiling = taken + sum((bound.ceiling for _each, bound in known), Fraction())
    if made > ceiling:
        own = {each.lot.pk for each in inputs if each.lot is not None}
        roots = [root for _each, bound in known for root in bound.roots if root.pk not in own]
        yield _more(
            inputs, _micros(made), _micros(ceiling), unit, roots=[*dict.fromkeys(roots)], to=draft.organisation.pk
        )
        return
    unsure = [each for each, bound in known if not bound.sure]
    counted = evenly - sum((bound.most for _each, bound in known if not bound.sure), Fraction())
    if unsure and made > counted:
        yield _more(inputs, _micros(made), _micros(counted), unit, unsure)
    elif made > evenly:
        yield _uneven(made, evenly, unit, [each for each, bound in known if bound.ceiling > bound.most])


def _uneven(made: Fraction, evenly: Fraction, unit: str, shared: Sequence[Amount]) -> BrokenGuard:
    """The warning that pieces hold more than their even share of what they were made of, as they may."""
    return BrokenGuard(
        "more_out_than_in",
        _("产出 %(made)s 多于批次 %(lots)s 按件均摊的 %(taken)s。各件相差较大的不用改；否则请核对数量。")
        % {
            "made": amount_said(_micros(made), unit),
            "taken": amount_said(_micros(evenly), unit),
            "lots": _codes(shared),
        },
        lot=shared[0].lot,
        warns=True,
    )


def _later_steps(draft: Draft) -> Iterator[BrokenGuard]:
    """A beginning stated again, against what was weighed since of the goods that came of it and state no net content.

    Followed through pieces only, ``DEEPEST`` steps at most: goods that can be weighed are checked where they are made.
    A step that had more than it could before is not the correction's fault. Some eight queries and three for each step
    further back, at each level.
    """
    again = {new.restates.pk: new for new in draft.outputs if new.restates is not None}
    if not again or len(again) < len(draft.outputs) or draft.template.gains_water:
        return
    made = Making(draft.template, draft.data)
    made.inputs += [(use.lot.pk, -use.micros) for use in draft.uses if use.lot is not None and use.role == "input"]
    made.outputs += [(pk, new.micros) for pk, new in again.items()]
    instead, waiting, seen = dict.fromkeys(again, made), set(again), set()
    before = dict.fromkeys(again, step_of(draft.replaces.pk)) if draft.replaces is not None else {}
    for _level in range(DEEPEST):
        steps = steps_of(waiting)
        seen |= waiting
        weighed = _weighed(steps.values())
        waiting = {pk for each in weighed for pk in each.vague} - seen
        for unit in BULK:
            asked = [each for each in weighed if each.weight(unit)]
            most, earlier = _ceilings(asked, unit, instead), _ceilings(asked, unit, before)
            for each, now, was in zip(asked, most, earlier, strict=True):
                weight = each.weight(unit)
                if now is not None and weight > now and (was is None or weight <= was):
                    yield _less_than_later(draft, each.later, (weight, now, unit))
        if not waiting:
            return


@dataclass(frozen=True)
class _Weighed:
    """A step that used goods up: those goods, what was measured of what came out, and what could not be."""

    goods: Sequence[Amount]
    later: Lot
    measured: Sequence[tuple[str, Fraction]]
    vague: Sequence[int]

    def weight(self, unit: str) -> Fraction:
        """How much came out in a unit."""
        return sum((much for found, much in self.measured if found == unit), Fraction())


def _weighed(steps: Iterable[Making]) -> list[_Weighed]:
    """Those of some steps that make goods of goods, without water. One query."""
    named = {lot for step in steps for lot, _micros in (*step.inputs, *step.outputs)}
    rows = Lot.objects.filter(among("pk", named)).select_related(
        "product", "product_version", "origin_event", "organisation__division__parent"
    )
    known = {lot.pk: lot for lot in rows}
    found = []
    for step in steps:
        if step.step is None or step.step.moves != "transform" or step.step.gains_water or not step.outputs:
            continue
        inputs, outputs = ([_amount(known[pk], micros) for pk, micros in side] for side in (step.inputs, step.outputs))
        typed = content_typed(step.step, step.data)
        told = [(pk, each.bulk(typed)) for (pk, _micros), each in zip(step.outputs, outputs, strict=True)]
        found.append(
            _Weighed(
                [each for each in inputs if each.product.kind != Product.Kind.PACKAGING] or inputs,
                known[step.outputs[0][0]],
                [measured for _pk, measured in told if measured is not None],
                [pk for pk, measured in told if measured is None],
            )
        )
    return found


def _ceilings(steps: Sequence[_Weighed], unit: str, instead: Mapping[int, Making]) -> list[Fraction | None]:
    """The most the goods of each step can be; None where that cannot be told or none of it hangs on ``instead``."""
    if not steps or not instead:
        return [None] * len(steps)
    bounds = iter(most_of([each for step in steps for each in step.goods], unit, instead))
    found: list[Fraction | None] = []
    for step in steps:
        its = [(each, next(bounds)) for each in step.goods]
        # What is counted as it is hangs on nothing that is stated again.
        hangs = any(bound is not None and bound.roots != (each.lot,) for each, bound in its)
        known = [bound.ceiling for _each, bound in its if bound is not None]
        found.append(sum(known, Fraction()) if hangs and len(known) == len(its) else None)
    return found


def _amount(lot: Lot, micros: int) -> Amount:
    return Amount(lot.product, lot.product_version, micros, lot)


def _less_than_later(draft: Draft, later: Lot, found: tuple[Fraction, Fraction, str]) -> BrokenGuard:
    """The broken guard of a beginning stated again with less than was weighed of it since: which lot that made. How
    much a stranger made is not said.
    """
    weight, most, unit = found
    words = {"later": named_to(draft.organisation.pk, later, below=True)}
    if draft.organisation.pk in (later.organisation_id, later.origin_event.organisation_id):
        sentence = _("这样更正后，%(later)s 产出的 %(made)s 多于它的投入最多能有的 %(taken)s。请核对数量。")
        words |= {"made": amount_said(_micros(weight), unit), "taken": amount_said(_micros(most), unit)}
    else:
        sentence = _("这样更正后，%(later)s 的产出会多于它的投入最多能有的数量。请核对数量。")
    return BrokenGuard(
        "more_out_than_in",
        sentence % words,
        lot=next(new.restates for new in draft.outputs if new.restates is not None),
        other_lot=later.uid,
    )


def _watered(draft: Draft, inputs: Sequence[Amount], outputs: Sequence[Amount]) -> Iterator[BrokenGuard]:
    """Litres that came out of litres and the water stated (``water_l``): spirit and water shrink when mixed.

    Both may be measured as roughly as the alcohol (``gain`` of the template). Where no water is stated nothing is said,
    and a lot of water among the inputs counts as what it is.
    """
    stated, rule = draft.data.get("water_l"), draft.template.alcohol
    if stated in (None, "") or rule is None:
        return
    litres = BaseUnit.LTR.value
    if any(each.product.base_unit != litres for each in (*inputs, *outputs)):
        return
    taken, made = sum(each.micros for each in inputs), sum(each.micros for each in outputs)
    water = _micros(Fraction(str(stated)))
    if made * 100 > (taken + water) * (100 + Fraction(rule.gain)):
        yield BrokenGuard(
            "more_out_than_in",
            _("产出 %(made)s 多于投入 %(taken)s（批次 %(lots)s）加上登记的加浆水 %(water)s。请核对数量。")
            % {
                "made": amount_said(made, litres),
                "taken": amount_said(taken, litres),
                "lots": _codes(inputs),
                "water": amount_said(water, litres),
            },
            lot=inputs[0].lot,
        )


def _more(
    inputs: Sequence[Amount],
    made: int,
    taken: int,
    unit: str,
    unknown: Sequence[Amount] = (),
    *,
    roots: Sequence[Lot] = (),
    to: int = 0,
) -> BrokenGuard:
    """The broken guard; where an input cannot be weighed against the output it only warns, naming that input. With
    ``roots`` the most was counted from these lots, said to the organisation ``to``.
    """
    amounts = {"made": amount_said(made, unit), "taken": amount_said(taken, unit), "lots": _codes(inputs)}
    if unknown:
        return BrokenGuard(
            "more_out_than_in",
            _("产出 %(made)s 多于可以换算的投入 %(taken)s；批次 %(unknown)s 换算不了，请在产品资料里填净含量。")
            % {**amounts, "unknown": _codes(unknown)},
            lot=unknown[0].lot,
            warns=True,
        )
    if roots:
        return BrokenGuard(
            "more_out_than_in",
            _(
                "产出 %(made)s 多于投入（批次 %(lots)s）最多能有的 %(taken)s：往前查到%(roots)s。"
                "请核对数量，或补上漏记的投入批次。"
            )
            % {**amounts, "roots": _("、").join([named_to(to, root) for root in roots[:3]])},
            lot=inputs[0].lot,
            other_lot=roots[0].uid,
        )
    return BrokenGuard(
        "more_out_than_in",
        _("产出 %(made)s 多于投入 %(taken)s（批次 %(lots)s）。请核对数量，或补上漏记的投入批次。") % amounts,
        lot=inputs[0].lot,
    )


def _codes(amounts: Sequence[Amount]) -> str:
    """The lots' codes, three at most."""
    codes = [each.lot.code for each in amounts if each.lot is not None]
    return _("、").join([*codes[:3], *(["…"] if len(codes) > 3 else [])])


def _micros(amount: Fraction) -> int:
    """Base units in millionths, for showing."""
    return round(amount * 1_000_000)


def _yield(
    draft: Draft,
    inputs: Sequence[Amount],
    outputs: Sequence[Amount],
    typed: tuple[str, Fraction] | None,
) -> Iterator[BrokenGuard]:
    """The main products against the inputs, in percent, where the template knows the most there can be."""
    rule = draft.template.yields
    if rule is None:
        return
    went_in = [found for each in inputs if (found := each.bulk()) is not None]
    main = [each for each in outputs if each.product.kind != Product.Kind.BYPRODUCT]
    came_out = [found for each in main if (found := each.bulk(typed)) is not None]
    units = {unit for unit, _amount in (*went_in, *came_out)}
    taken, made = sum(amount for _unit, amount in went_in), sum(amount for _unit, amount in came_out)
    if len(units) != 1 or not taken:
        return
    percent = Fraction(made) / Fraction(taken) * 100
    if percent > Fraction(rule.most):
        yield BrokenGuard(
            "yield_too_high",
            _(
                "“%(step)s”出了 %(percent)s %%，一般不超过 %(most)s %%（投入批次 %(lots)s）。请核对数量和是否漏记投入；"
                "这个上限的依据：%(evidence)s。"
            )
            % {
                "step": in_each_language(draft.template.label),
                "percent": f"{Decimal(percent.numerator) / Decimal(percent.denominator):.1f}",
                "most": rule.most,
                "lots": _codes(inputs),
                "evidence": evidence_words(rule.evidence, rule.verified),
            },
            lot=inputs[0].lot,
            warns=True,
        )


def evidence_words(evidence: str, verified: bool) -> str:
    """How well a rule's number is known, in words."""
    if verified:
        return _("监管部门已核对原文")
    return {
        "seen": _("见公开原文，未经监管部门核对"),
        "seen_weak": _("见转载，未经监管部门核对"),
    }.get(evidence, _("凭经验，未经核对"))
