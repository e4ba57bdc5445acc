"""Codes of items issued together with those of the cartons and pallets they go into."""

from __future__ import annotations

import datetime
import math

from django.db import transaction
from django.utils.translation import gettext as _

from labels.actions.runs import issue_codes
from labels.layouts import DEFAULT_SHEET
from labels.models import CodeRun
from labels.packing import carton_size
from labels.qr import Material
from trace.actions.events import When
from trace.actions.packs import MOST
from trace.actor import Actor
from trace.errors import Invalid
from trace.models import Lot, PackPlan, Unit

CARTON_LAYOUT = "carton-150x100"


@transaction.atomic
def issue_packed(
    *,
    by: Actor,
    lot: Lot,
    count: int,
    key: str,
    per_carton: int,
    per_pallet: int = 0,
    layout: str = DEFAULT_SHEET,
    carton_layout: str = CARTON_LAYOUT,
    material: str = Material.SMOOTH,
    checks: bool = False,
    when: When | None = None,
    at: datetime.datetime | None = None,
) -> CodeRun:
    """Issue ``count`` codes of single items and those of their cartons (and, with ``per_pallet``, pallets), all or
    none; the run of the items. Each pack's label then knows which numbers belong into it (``PackPlan``), and packing it
    needs no other scan. The last pack holds what is left.

    Refuses what issuing refuses, fewer than 2 or more than 2,000 in a pack (``bad_pack_size``), and a carton of another
    size than the product's entry says (``carton_size_differs``): a carton that is sent unpacked counts as that.
    """
    for size in (per_carton, *([per_pallet] if per_pallet else [])):
        if not 2 <= size <= MOST:
            raise Invalid(_("每箱件数和每托箱数应在 2 到 %(most)d 之间。") % {"most": MOST}, code="bad_pack_size")
    said = carton_size(lot)
    if said is not None and said != per_carton:
        raise Invalid(
            _("产品资料写明一箱 %(said)s 件，这里填的是 %(given)d 件。请改成一致，或先改产品资料的“包装规格”。")
            % {"said": said, "given": per_carton},
            code="carton_size_differs",
        )
    items = issue_codes(
        by=by, lot=lot, count=count, key=key, layout=layout, material=material, checks=checks, when=when, at=at
    )
    inside = items
    for level, each in ((Unit.Level.CARTON, per_carton), (Unit.Level.PALLET, per_pallet)):
        if not each:
            continue
        packs = issue_codes(
            by=by,
            lot=lot,
            count=math.ceil(inside.count / each),
            key=f"{key[:80]}/{level}",
            level=level,
            layout=carton_layout,
            when=when,
            at=at,
        )
        PackPlan.objects.get_or_create(
            run=packs.uid,
            defaults={
                "lot": lot,
                "first_number": packs.first_number,
                "inside": inside.uid,
                "inside_first": inside.first_number,
                "inside_last": inside.last_number,
                "each": each,
            },
        )
        inside = packs
    return items
