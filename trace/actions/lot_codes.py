"""Codes for the lots one event begins: those asked for are checked free, the others are made from day and number."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.batch import current, once_per_batch
from trace.errors import Clash
from trace.identifiers import normalise_captured_lot_code, normalise_lot_code
from trace.models import Lot, Organisation

if TYPE_CHECKING:
    from trace.actions.capture import NewLot


def lot_codes(outputs: Sequence[NewLot], organisation: Organisation, when: datetime.datetime) -> list[str]:
    """One code per new lot, in order. Refuses a code the issuer has given to this product already (``lot_code_taken``).

    Codes we make are ``20261122-001``; outsiders' codes keep the characters GS1 allows. At most three queries per
    issuer
    and product, however many lots. Safe only while the log head is held.
    """
    if len(outputs) == 1 and outputs[0].lot_code:
        new = outputs[0]
        only = [_normalised(new)]
        _refuse_taken(only, ((new.issuer or organisation).pk, new.product.pk))
        return only
    codes = [""] * len(outputs)
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for position, new in enumerate(outputs):
        groups[((new.issuer or organisation).pk, new.product.pk)].append(position)
    for (issuer, product), positions in groups.items():
        asked = [position for position in positions if outputs[position].lot_code]
        for position in asked:
            codes[position] = _normalised(outputs[position])
        given = [codes[position] for position in asked]
        _refuse_taken(given, (issuer, product))
        made = _next_codes(when, len(positions) - len(asked), set(given), (issuer, product))
        for position in positions:
            codes[position] = codes[position] or made.pop(0)
    return codes


def refuse_given_meanwhile(lot: Lot) -> None:
    """Refuse to bring back a lot declared wrong where another one has got its code since (``lot_code_taken``)."""
    _refuse_taken([lot.lot_code], (lot.organisation_id, lot.product_id))


def _normalised(new: NewLot) -> str:
    normalise = normalise_captured_lot_code if new.is_external or new.captured else normalise_lot_code
    return normalise(new.lot_code)


def _given(pair: tuple[int, int]) -> QuerySet[Lot]:
    """The standing lots of one issuer and product."""
    return _ever(pair).filter(voided_by=None)


def _ever(pair: tuple[int, int]) -> QuerySet[Lot]:
    """All their lots, those declared wrong as well."""
    return Lot.objects.filter(organisation=pair[0], product=pair[1])


def _refuse_taken(codes: Sequence[str], pair: tuple[int, int]) -> None:
    """Refuse a code named twice or already given."""
    if not codes:
        return
    twice = next((code for code in codes if codes.count(code) > 1), None) if len(set(codes)) < len(codes) else None
    taken = twice or _first_taken(codes, pair)
    if taken is not None:
        raise Clash(
            _("批号 %(code)s 已经用在这个产品上，请换一个批号。") % {"code": taken},
            code="lot_code_taken",
            lot_code=taken,
        )


def _first_taken(codes: Sequence[str], pair: tuple[int, int]) -> str | None:
    """One of these codes that the issuer has given to this product; a batch has read those of its file before."""
    batch = current()
    if batch is None:
        return _given(pair).filter(lot_code__in=codes).values_list("lot_code", flat=True).first()
    known = batch.codes[pair]
    unread = [code for code in codes if code not in batch.asked_codes or pair[1] not in batch.products]
    known |= set(_given(pair).filter(lot_code__in=unread).values_list("lot_code", flat=True)) if unread else set()
    return next((code for code in codes if code in known), None)


def _next_codes(when: datetime.datetime, count: int, but: set[str], pair: tuple[int, int]) -> list[str]:
    """So many free codes of that day, going on after the last one made. What was declared wrong keeps its code: it may
    stand on labels, and its beginning may be stated again.
    """
    if not count:
        return []
    day = timezone.localtime(when).strftime("%Y%m%d")
    last = once_per_batch(
        "last_code", pair, lambda: _given(pair).order_by("-id").values_list("lot_code", flat=True).first() or ""
    )
    batch = current()
    known = [] if batch is None else [batch.codes[pair], _codes_of_day(pair, day)]
    number = int(last[9:]) if last.startswith(f"{day}-") and last[9:].isdigit() else 0
    found: list[str] = []
    while len(found) < count:
        candidates = [f"{day}-{number + step:03d}" for step in range(1, count + 20)]
        number += len(candidates)
        taken = [but, *(known or [set(_ever(pair).filter(lot_code__in=candidates).values_list("lot_code", flat=True))])]
        found += [code for code in candidates if not any(code in codes for codes in taken)]
    return found[:count]


def _codes_of_day(pair: tuple[int, int], day: str) -> set[str]:
    """All codes of this issuer and product of one day, read once per batch."""
    rows = _ever(pair).filter(lot_code__startswith=f"{day}-").values_list("lot_code", flat=True)
    return once_per_batch("day_codes", (pair, day), lambda: set(rows))
