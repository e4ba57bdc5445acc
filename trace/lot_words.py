"""A lot in a sentence for one organisation: its own by their code, a stranger's only by what it is and where."""

from __future__ import annotations

from trace.models import Division, Lot
from trace.sentences import gettext as _
from trace.sentences import in_each_language


def path_of(division: Division) -> str:
    """The name of a division after that of the one above it."""
    above = division.parent.label if division.parent is not None else ""
    if not above:
        return division.label
    return f"{division.label}, {above}" if division.label.isascii() else f"{above}{division.label}"


def named_to(organisation: int, lot: Lot, *, below: bool = False) -> str:
    """An ancestor, or what lies ``below``, to an organisation: its own by code, a stranger's only as what and where."""
    mine = organisation in (lot.organisation_id, lot.origin_event.organisation_id)
    return by_code(lot) if mine else by_region(lot, below=below)


def by_code(lot: Lot) -> str:
    label = in_each_language(lambda: lot.product_version.label)
    return _("批次 %(lot)s（%(product)s）") % {"lot": lot.code, "product": label}


def by_region(lot: Lot, *, below: bool = False) -> str:
    region = in_each_language(lambda: path_of(lot.organisation.division))
    if below:
        return _("下游一个批次（%(region)s）") % {"region": region}
    return _("上游一个批次（%(region)s）") % {"region": region}
