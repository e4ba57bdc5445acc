"""Questions about cartons and pallets whose codes were issued together with what belongs into them."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from labels.models import CodeRun
from trace.models import Lot, PackPlan, Unit
from trace.packs import contents, pack_of_level, plan_of


def carton_size(lot: Lot) -> int | None:
    """How many single items the product's entry says are in a carton; None where it does not say, or no whole
    number.
    """
    item, carton = pack_of_level(lot, Unit.Level.ITEM), pack_of_level(lot, Unit.Level.CARTON)
    if item is None or carton is None or item[0] == carton[0]:
        return None
    size = carton[1] / item[1]
    return int(size) if size.denominator == 1 and size > 1 else None


@dataclass(frozen=True)
class Packing:
    """How one run lies in another: ``packs`` are the cartons of ``inside`` (or the pallets of these cartons),
    ``packed`` so many of them by now.
    """

    plan: PackPlan
    inside: CodeRun
    packs: CodeRun
    packed: int

    @property
    def level(self) -> str:
        """What a pack is."""
        return str(Unit.Level(self.packs.level).label)

    @property
    def of(self) -> str:
        """What lies in it."""
        return str(Unit.Level(self.inside.level).label)


def packings_of(run: CodeRun) -> list[Packing]:
    """What lies in this run's packs, and the packs this run lies in. At most five queries."""
    plans = list(PackPlan.objects.filter(inside=run.uid)) + list(PackPlan.objects.filter(run=run.uid))
    runs = CodeRun.objects.in_bulk({uid for plan in plans for uid in (plan.run, plan.inside)}, field_name="uid")
    return [
        Packing(
            plan,
            runs[plan.inside],
            runs[plan.run],
            Unit.objects.filter(run=plan.run, container=True).count(),
        )
        for plan in plans
        if plan.run in runs and plan.inside in runs
    ]


def plan_of_run(run: CodeRun) -> PackPlan | None:
    """What a run of packs was issued for. One query, none for a run of items."""
    if run.level in ("", Unit.Level.ITEM):
        return None
    return PackPlan.objects.filter(run=run.uid).first()


def level_inside(plan: PackPlan) -> str:
    """What lies directly in the packs of a plan, in words: 件, 箱. One query."""
    level = CodeRun.objects.filter(uid=plan.inside).values_list("level", flat=True).first()
    return str(Unit.Level(level or Unit.Level.ITEM).label)


def span(plan: PackPlan, number: int) -> str:
    """The numbers that belong into the pack of a number, as printed: ``1-12``."""
    first, last = plan.numbers(number)
    return f"{first}-{last}"


def inside_words(unit: Unit) -> str:
    """What is in a pack, for whoever scans its label; "" for a single item and a label issued alone and not packed.

    What was packed counts before what was planned. At most six queries, none for a single item.
    """
    if unit.level == Unit.Level.ITEM:
        return ""
    plan = plan_of(unit)
    if unit.container:
        shares = contents([unit.pk]).get(unit.pk, [])
        own = sum(share.count for share in shares if share.lot == unit.lot_id)
        others = sum(share.count for share in shares if share.lot != unit.lot_id)
        if own + others == 0:
            return _("已拆空")
        said = _("%(n)d 件，按装箱登记") % {"n": own + others}
        return said + (_("（其中 %(n)d 件属于其他批次）") % {"n": others} if others else "")
    if plan is None:
        return ""
    first, last = plan.numbers(unit.number)
    return _("应装 %(n)d %(level)s，编号 %(first)d–%(last)d；还没有装箱登记") % {
        "n": last - first + 1,
        "level": level_inside(plan),
        "first": first,
        "last": last,
    }
