"""What is said to who checks a code that was issued elsewhere: whose word it is, since when, and how the lot stands."""

from __future__ import annotations

from dataclasses import dataclass

from labels import provenance
from labels.resolve import Target
from labels.verdict import Verdict
from trace.crossing import old_codes_named
from trace.models import OldCode

MOST = 5


@dataclass(frozen=True)
class Elsewhere:
    """One statement that a code of another issuer names a lot here, with what stands against that lot now."""

    row: OldCode
    verdict: Verdict


def issued_elsewhere(text: str) -> list[Elsewhere]:
    """Who brought this code in, for which lot; the latest first, five at most. Empty where nobody did."""
    return [
        Elsewhere(row, provenance.page_of(Target(row.lot.product, row.lot)).verdict)
        for row in old_codes_named(text)[:MOST]
    ]
