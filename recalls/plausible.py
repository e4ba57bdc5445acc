"""What makes a claim worth a second look. Pure: facts in, codes out. A flag refuses nothing: a person looks."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.utils.translation import gettext as _

MANY_OF_A_LOT = 20
"""Pieces from one household beyond which a person should ask."""


@dataclass(frozen=True)
class Claimed:
    """Facts about one claim: what it says, and what was claimed before on the same code and lot.

    ``made`` is how many pieces of the lot were made (None where the lot is not counted in pieces). ``is_unit``: the
    code is of one piece. ``issued`` False: we never issued the code. ``covered`` False: the recall does not cover it.
    ``bought_on`` is the day the claimant says, ``made_on`` that of the lot, ``stopped_on`` that of the recall's start.
    """

    pieces: int
    is_unit: bool
    issued: bool
    covered: bool
    same_code: int = 0
    lot_pieces: int = 0
    made: int | None = None
    void: bool = False
    bought_on: datetime.date | None = None
    made_on: datetime.date | None = None
    stopped_on: datetime.date | None = None


def flags_of(facts: Claimed) -> list[str]:
    """The codes of what is implausible, in a fixed order; empty for an ordinary claim."""
    found: list[str] = []
    if not facts.issued:
        found.append("never_issued")
    elif not facts.covered:
        found.append("not_covered")
    if facts.is_unit and facts.pieces > 1:
        found.append("more_than_one")
    if not facts.is_unit and facts.pieces > MANY_OF_A_LOT:
        found.append("many_pieces")
    if facts.is_unit and facts.same_code:
        found.append("claimed_before")
    if facts.made is not None and facts.lot_pieces + facts.pieces > facts.made:
        found.append("more_than_made")
    if facts.void:
        found.append("void_code")
    if facts.bought_on is not None and facts.made_on is not None and facts.bought_on < facts.made_on:
        found.append("before_made")
    if facts.bought_on is not None and facts.stopped_on is not None and facts.bought_on > facts.stopped_on:
        found.append("after_stop")
    return found


def flag_words(code: str) -> str:
    """A flag in words."""
    return {
        "never_issued": _("这个码本系统没有签发过，已另登记为线索"),
        "not_covered": _("这个码不在公告的召回范围内"),
        "more_than_one": _("单件码只对应一件，申请了多件"),
        "many_pieces": _("件数很多"),
        "claimed_before": _("同一个单件码已有申请"),
        "more_than_made": _("这个批次申请的件数合计超过生产件数"),
        "void_code": _("这个码已作废"),
        "before_made": _("写的购买日期早于生产日期"),
        "after_stop": _("写的购买日期在召回启动之后：请查这批货是不是还在卖"),
    }.get(code, code)
