"""Questions about lots that lie in two organisations' books: which lot of a supplier a code names, which joins stand.

Who asks must know the code (architecture.md, rule 8): a whole code is compared, never a part, and nothing is listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q

from trace.access import claims_visible_to, entered_for
from trace.actor import Actor
from trace.among import among
from trace.errors import Invalid
from trace.finding import wanted_text
from trace.identifiers import normalise_serial
from trace.models import EpcisName, Lot, LotClaim, LotLink, OldCode, Organisation, Product, Transfer, Unit
from trace.text import clean_text, fold_width

JOIN = "common.join"
"""The step that joins an external lot with the supplier's own."""
CODE_MAX = 300
MOST_ALIKE = 5
_CHUNK = 5_000


def supplier_in_system(external: Lot) -> Organisation | None:
    """The registered organisation an external lot came from: its issuer itself, or what that outsider joined as."""
    issuer = external.organisation
    found = issuer.registered_as if issuer.is_external else issuer
    return found if found is not None and found.status == Organisation.Status.ACTIVE else None


def supplier_lots(supplier: Organisation, text: str) -> list[Lot]:
    """Standing lots the supplier made that this whole code names (lot code, display code, public code, unit's code);
    five at most. Two queries.
    """
    wanted = wanted_text(text)
    if not wanted:
        return []
    named = Q(lot_code__iexact=wanted) | Q(display_code__iexact=wanted)
    try:
        serial = normalise_serial(wanted)
    except Invalid:
        serial = ""
    if serial:
        named |= Q(public_code=serial) | Q(pk__in=Unit.objects.filter(code=serial).values("lot"))
    rows = Lot.objects.filter(named, organisation=supplier, is_external=False, voided_by=None)
    return list(rows.select_related("product", "product_version").order_by("-id")[:MOST_ALIKE])


def standing_claim(external: Lot) -> LotClaim | None:
    """The claim in force on an external lot: open or confirmed."""
    rows = external.claims.filter(status__in=(LotClaim.Status.OPEN, LotClaim.Status.CONFIRMED))
    return rows.select_related("lot__product_version", "supplier", "event").first()


def joined_to(lots: Iterable[int]) -> dict[int, int]:
    """The supplier's lot that each of these external lots was joined with (withdrawn joins too: a scope asks
    generously). One query per 5,000.
    """
    ids = sorted(lots)
    found: dict[int, int] = {}
    for begin in range(0, len(ids), _CHUNK):
        rows = LotLink.objects.filter(child__in=ids[begin : begin + _CHUNK], event__template=JOIN)
        found.update(rows.order_by("-id").values_list("child", "parent"))
    return found


def claimed_of(lots: Iterable[int]) -> dict[int, int]:
    """External lots that somebody claims to be one of these, without the supplier's confirmation, each with that one.

    Open and denied claims: the receiver has goods it believes to be these. One query per 5,000.
    """
    ids = sorted(lots)
    found: dict[int, int] = {}
    open_ones = (LotClaim.Status.OPEN, LotClaim.Status.DENIED)
    for begin in range(0, len(ids), _CHUNK):
        rows = LotClaim.objects.filter(lot__in=ids[begin : begin + _CHUNK], status__in=open_ones)
        found.update(rows.order_by("-id").values_list("external", "lot"))
    return found


def same_code_elsewhere(lots: Iterable[int]) -> dict[int, int]:
    """Goods of outsiders that partners' systems reported under the GTIN and lot code of one of these lots, each with
    that one.

    Who reports a maker's code, of a lot or of one unit, has or had goods it takes for the maker's; nobody confirmed it.
    A few queries per 5,000.
    """
    ids = sorted(lots)
    found: dict[int, int] = {}
    for begin in range(0, len(ids), _CHUNK):
        rows = Lot.objects.filter(pk__in=ids[begin : begin + _CHUNK], is_external=False, product__gtin__isnull=False)
        names = EpcisName.objects.filter(alike__in=ids[begin : begin + _CHUNK], lot__is_external=True)
        found.update(names.order_by("-id").values_list("lot", "alike"))
        codes = {(gtin, code): pk for pk, gtin, code in rows.values_list("pk", "product__gtin", "lot_code")}
        pairs = sorted(codes)
        for start in range(0, len(pairs), 400):
            part = pairs[start : start + 400]
            alike = Lot.objects.filter(
                is_external=True,
                product__in=Product.objects.filter(
                    gtin__in={gtin for gtin, _code in part}, organisation__kept_by__isnull=False
                ).values("pk"),
                lot_code__in=[code for _gtin, code in part],
            )
            for pk, gtin, code in alike.order_by("id").values_list("pk", "product__gtin", "lot_code"):
                if (gtin, code) in codes:
                    found[pk] = codes[(gtin, code)]
    return found


def left_behind(lots: Iterable[int]) -> dict[int, int]:
    """Lots without a number under which serials of these were met, and moved, before they said their lot number, each
    with that one: where they went meanwhile is written down there. One query.
    """
    moved = Transfer.objects.filter(lot=OuterRef("parent"), voided_by=None)
    used = LotLink.objects.filter(parent=OuterRef("parent"), voided_by=None).exclude(event=OuterRef("event"))
    unnumbered = Q(parent__lot_code__startswith="SN-") | Q(parent__lot_code__startswith="EV-")
    said = LotLink.objects.filter(among("child", lots), event__event_type="ObjectEvent", event__action="ADD")
    rows = said.filter(unnumbered).filter(Q(Exists(moved)) | Q(Exists(used)))
    return dict(rows.order_by("-id").values_list("parent", "child"))


@dataclass(frozen=True)
class Beside:
    """What a lot's page says of other books: claims about the lot, codes issued elsewhere, what the actor may do."""

    claims: Sequence[LotClaim] = ()
    may_join: bool = False
    codes: Sequence[OldCode] = ()
    more_codes: int = 0
    may_bring: bool = False


BADGES = {"open": "unconfirmed", "confirmed": "confirmed", "denied": "disputed", "withdrawn": "cancelled"}
"""A claim's state as badges name it."""
SHOWN_CODES = 5


def beside_lot(actor: Actor, lot: Lot) -> Beside:
    """Claims and old codes of a lot the actor may open. Three queries."""
    mine = entered_for(actor)
    rows = claims_visible_to(actor).filter(Q(external=lot) | Q(lot=lot)).exclude(status=LotClaim.Status.WITHDRAWN)
    claims = list(rows.order_by("-id")[:20])
    for claim in claims:
        claim.badge = BADGES[claim.status]  # type: ignore[attr-defined]
    codes = OldCode.objects.filter(lot=lot, event__corrections__isnull=True).select_related("organisation")
    shown = list(codes.order_by("id")[: SHOWN_CODES + 1])
    works = not actor.is_regulator and actor.can("operator", "quality") and lot.voided_by_id is None
    own = lot.origin_event.organisation_id in mine
    standing = any(claim.external_id == lot.pk and claim.status != LotClaim.Status.DENIED for claim in claims)
    return Beside(
        claims=claims,
        may_join=works and own and lot.is_external and not standing,
        codes=shown[:SHOWN_CODES],
        more_codes=codes.count() - SHOWN_CODES if len(shown) > SHOWN_CODES else 0,
        may_bring=works and own,
    )


# --- Codes issued elsewhere -----------------------------------------------------------------------------------------


def old_code_key(text: str) -> str:
    """The form in which a code issued elsewhere is compared: half-width, without spaces around it.

    Raises Invalid for text that cannot be kept (too long, control characters).
    """
    return clean_text(fold_width(text), CODE_MAX, required=True)


def codes_sha256(keys: Sequence[str]) -> str:
    """The SHA-256 of all codes brought in at once: each on a line, sorted."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()


def old_codes_named(text: str) -> list[OldCode]:
    """Who brought this code in, and for which standing lot; the latest first, twenty at most. For anybody to ask."""
    try:
        key = old_code_key(text)
    except Invalid:
        return []
    rows = OldCode.objects.filter(key=key, event__corrections__isnull=True, lot__voided_by=None)
    return list(
        rows.select_related("organisation", "lot__organisation", "lot__product", "lot__product_version").order_by(
            "-id"
        )[:20]
    )
