"""What is said where a walk was cut: that not everything was looked at, so that nobody reads silence as a finding."""

from __future__ import annotations

from trace.errors import BrokenGuard
from trace.genealogy import Walk
from trace.models import Lot
from trace.sentences import gettext as _

CODE = "walk_cut"


def not_all_above(back: Walk, name: str, rest: str, *, lot: Lot | None, product: int = 0) -> BrokenGuard:
    """A warning that only the nearest ancestors of some goods (``name``) were looked at, and what is open about the
    ``rest``.
    """
    message = _("%(goods)s 的来源批次太多，只查了最近的 %(n)s 个：%(rest)s。")
    said = message % {"goods": name, "n": len(back.level) - len(back.start), "rest": rest}
    return BrokenGuard(CODE, said, lot=lot, product=product, warns=True)


def not_all_below(forward: Walk, lot: Lot) -> BrokenGuard:
    """A warning that only some of what was made of a lot and its like was looked at."""
    message = _("用批次 %(lot)s 等做成的批次太多，只核对了最近的 %(n)s 个，其余的没有核对。")
    said = message % {"lot": lot.code, "n": len(forward.level) - len(forward.start)}
    return BrokenGuard(CODE, said, lot=lot, warns=True)
