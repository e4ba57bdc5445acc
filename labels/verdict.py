"""The one word a scanned page begins with. Pure: facts in, verdict out.

Order of precedence from the page rules: 查无此码, 已召回, 可能已召回, 已作废, 疑似复制, 封存调查中, 已过保质期,
信息正常. A recall outranks a void label: whoever holds the goods must hear of the danger first. 可能已召回 stands
right below: goods of the lot are recalled that passed through one trader, and the code cannot say whether these did.
The word 信息正常 says that nothing is known against the goods; it never says that they are genuine.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The eight verdicts, strongest first."""

    UNKNOWN = "unknown_code"
    RECALLED = "recalled"
    MAYBE_RECALLED = "maybe_recalled"
    VOID = "void"
    SUSPICIOUS = "suspicious"
    HELD = "held"
    EXPIRED = "expired"
    OK = "ok"


@dataclass(frozen=True)
class Facts:
    """What is known of one code at one moment.

    ``recalled`` and ``held`` say whether an active recall, or an active hold or stop of sale, covers this
    code; ``maybe_recalled`` that a recall may cover it and nothing tells. ``copied`` is true only when a person has
    confirmed it. ``today`` is the day in Asia/Shanghai; goods may be used to the end of ``expires_on``.
    """

    issued: bool
    today: datetime.date
    recalled: bool = False
    maybe_recalled: bool = False
    void: bool = False
    copied: bool = False
    held: bool = False
    expires_on: datetime.date | None = None


def verdict(facts: Facts) -> Verdict:
    """The strongest verdict the facts support."""
    if not facts.issued:
        return Verdict.UNKNOWN
    if facts.recalled:
        return Verdict.RECALLED
    if facts.maybe_recalled:
        return Verdict.MAYBE_RECALLED
    if facts.void:
        return Verdict.VOID
    if facts.copied:
        return Verdict.SUSPICIOUS
    if facts.held:
        return Verdict.HELD
    if facts.expires_on is not None and facts.today > facts.expires_on:
        return Verdict.EXPIRED
    return Verdict.OK
