"""Which lots are still the goods of another one: what was only divided or packed anew since.

One test serves them all (一次检验、结果互认): a report on a lot holds for the parts it was split into, because nothing
was added and nothing was done to them. It does not hold for what was made of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from trace.models import Lot, LotLink, Product

DIVIDING = ("common.split", "common.repack")
"""Steps that change neither goods nor dates. A merger is none: a report on one part says nothing of the other."""
LONGEST = 32
"""So many divisions one after the other are followed."""


def goods_of(lots: Collection[Lot]) -> dict[int, list[Lot]]:
    """For each lot the lots whose goods it is, itself first, then the one it was split from, and so on.

    A step with several lots of goods as input ends the line; packaging does not. So does one that calls the goods
    something else: what is split stays the same product, what is packed anew stays in its family. A query for each
    division, not for each lot.
    """
    lines = {lot.pk: [lot] for lot in lots}
    ends: dict[int, list[int]] = defaultdict(list)
    for lot in lots:
        ends[lot.pk].append(lot.pk)
    for _step in range(LONGEST):
        if not ends:
            break
        links: dict[int, list[LotLink]] = defaultdict(list)
        found = LotLink.objects.filter(child__in=list(ends), voided_by=None).exclude(
            parent__product__kind=Product.Kind.PACKAGING
        )
        shown = ("parent__product", "parent__organisation", "child__product", "event")
        for link in found.select_related(*shown).order_by("id"):
            links[link.child_id].append(link)
        onward: dict[int, list[int]] = defaultdict(list)
        for child, of in ends.items():
            only = links[child][0] if len(links[child]) == 1 else None
            if only is None or only.event.template not in DIVIDING or not _alike(only):
                continue
            for pk in of:
                if only.parent not in lines[pk]:
                    lines[pk].append(only.parent)
                    onward[only.parent_id].append(pk)
        ends = onward
    return lines


def _alike(link: LotLink) -> bool:
    """Whether a division left the goods what they were: nuts do not become date-walnuts by being split."""
    parent, child = link.parent.product, link.child.product
    if link.event.template == "common.split":
        return parent.pk == child.pk
    return parent.pk == child.pk or parent.family == child.family


def parts_of(lot: Lot) -> list[Lot]:
    """This lot and those that were only divided off it, with their release: to whom a report on it says something."""
    parts = {lot.pk: lot}
    ends = [lot.pk]
    for _step in range(LONGEST):
        found = LotLink.objects.filter(parent__in=ends, voided_by=None, event__template__in=DIVIDING)
        lots = Lot.objects.filter(pk__in=found.values("child")).select_related("released_by", "organisation", "product")
        ends = [each.pk for each in lots if each.pk not in parts]
        parts |= {each.pk: each for each in lots if each.pk in ends}
        if not ends:
            break
    lines = goods_of(list(parts.values()))
    return [each for each in parts.values() if any(above.pk == lot.pk for above in lines[each.pk])]
