"""Conflicts that come of facts said later, and answering one: the producer says in a sentence what happened."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from trace.access import entered_for
from trace.actor import Actor
from trace.among import among
from trace.composition import GeographicalIndication
from trace.errors import BrokenGuard, NotAllowed, StaleState
from trace.gather import Gather
from trace.genealogy import MOST_REACHED, Walk, made_of, open_ends, walk
from trace.ledger import lock_log_head
from trace.lineage import (
    Offender,
    Target,
    claim_made,
    claiming,
    forbidden,
    offenders,
    prohibition_of,
    unborne,
    under_prohibition,
    unseen_materials,
    weak_origins,
)
from trace.lot_words import named_to
from trace.models import Conflict, Lot, Place, Product, ProductVersion
from trace.sentences import gettext as _
from trace.sentences import in_each_language
from trace.text import clean_text
from trace.unseen import not_all_below

ANSWER_MAX = 500


@transaction.atomic
def answer_conflict(*, by: Actor, conflict: Conflict, answer: str, at: datetime.datetime | None = None) -> Conflict:
    """Say what was behind a conflict. It stays counted in scopes; the regulator reads the answer.

    Refuses who did not record the fact (``not_own``: a regulator reads, the party answers), a blank or over-long answer
    (``FieldErrors`` under ``answer``), and a conflict answered before or undone by a correction (``stale_state``).
    """
    by.require("operator", "quality")
    if conflict.organisation_id not in entered_for(by):
        raise NotAllowed(_("只有登记这件事的单位能说明情况。"), code="not_own")
    check = Gather()
    words = check("answer", clean_text, answer, ANSWER_MAX, True, required=True)
    check.done()
    open_one = Conflict.objects.filter(pk=conflict.pk, answered_at=None, voided_by=None)
    if not open_one.update(answer=words, answered_by=by.user, answered_at=at or timezone.now()):
        raise StaleState(_("这项矛盾已经有说明，或随更正撤销，请刷新页面。"))
    conflict.refresh_from_db()
    return conflict


def flag_descendants(product: Product, *, at: datetime.datetime | None = None) -> list[Conflict]:
    """Flag what was made of a product's lots and may not contain it, after somebody said what it is.

    The conflict lies on the event by which the lot at fault began, once for each lot: what is open already is not
    doubled. Five queries and one insert, whatever was made of it.
    """
    if not product.material:
        return []
    lock_log_head()
    own = list(Lot.objects.filter(product=product, voided_by=None).order_by("pk").values_list("pk", flat=True))
    hit, forward = under_prohibition(own, product.material)
    first = Lot.objects.filter(pk__in=own[:1]).select_related("product").first()
    found = []
    for lot, rule in hit:
        if first is None:
            continue
        mine = lot.organisation_id == product.organisation_id
        where = (
            _("产品“%(product)s”") % {"product": in_each_language(lambda: str(product))}
            if mine
            else _("上游供货者的一个产品")
        )
        target = Target(lot.product, lot.product_version, lot)
        found.append(forbidden(rule, target, Offender(first, product.material).words, where, first))
    if forward.cut and first is not None:
        found.append(not_all_below(forward, first))
    return _flag_later(found, at)


def flag_own_lots(product: Product, version: ProductVersion, *, at: datetime.datetime | None = None) -> list[Conflict]:
    """Flag the lots of a product whose new version follows a standard that forbids something they were made of, or
    claims an origin that they do not bear.

    They keep the version they were made under, so their labels say neither; the goods are sold as this product all the
    same, and who adds the claim afterwards would pass by the guard at making. One conflict for each lot, on the event
    by which it began; what is open already is not doubled. A fixed number of walks, whatever the number of lots.
    """
    rule, claim = prohibition_of(version), claim_made(version)
    if rule is None and claim is None:
        return []
    lock_log_head()
    own = list(Lot.objects.filter(product=product, voided_by=None).select_related("product").order_by("pk"))
    if not own:
        return []
    back = walk(own, "back", limit=MOST_REACHED)
    found: list[BrokenGuard] = []
    if rule is not None and back.cut:
        unseen = made_of(back, open_ends(back))
        found += [unseen_materials(rule, Target(product, version, lot), back) for lot in own if lot.pk in unseen]
    for bad in offenders(back.level, rule.materials) if rule is not None else ():
        name = in_each_language(bad.lot.product.__str__)
        alike = Lot.objects.filter(product_version=bad.lot.product_version_id, voided_by=None)
        reached = walk(list(alike), "forward", limit=MOST_REACHED).level
        mine = bad.lot.organisation_id == product.organisation_id
        where = _("产品“%(product)s”") % {"product": name} if mine else _("上游供货者的一个产品")
        found += [
            forbidden(rule, Target(product, version, lot), bad.words, where, bad.lot)
            for lot in own
            if rule is not None and lot.pk in reached
        ]
    if claim is not None:
        found += _unborne_of(claim, [Target(product, version, lot) for lot in own], back)
    return _flag_later(found, at)


def flag_origins_of(place: Place, *, at: datetime.datetime | None = None) -> list[Conflict]:
    """Flag what claims an origin and goes back to goods from this place, after it was said to lie elsewhere.

    A plot that was said to lie inside while the goods were entered does not stay inside by that. What is open already
    is not doubled.
    """
    lock_log_head()
    said = Q(organisation=place.organisation_id, origin_event__data__origin=str(place.uid))
    grown = Lot.objects.filter(Q(origin_place=place) | said, voided_by=None)
    lots = list(grown.order_by("pk").values_list("pk", flat=True))
    claims, forward = claiming(lots)
    found: list[BrokenGuard] = []
    if forward.cut:
        found.append(not_all_below(forward, Lot.objects.get(pk=lots[0])))
    for rule, targets in claims.items():
        back = walk([target.lot for target in targets if target.lot is not None], "back", limit=MOST_REACHED)
        found += _unborne_of(rule, targets, back)
    return _flag_later(found, at)


def _unborne_of(rule: GeographicalIndication, targets: Sequence[Target], back: Walk) -> list[BrokenGuard]:
    """The targets whose claim what ``back`` reached does not bear."""
    weak = weak_origins(rule, back)
    found = []
    for target in targets:
        origin = weak.get(target.lot.pk) if target.lot is not None else None
        if origin is not None and target.lot is not None:
            where = named_to(target.lot.organisation_id, origin.lot)
            found.append(unborne(rule, target, origin.state, where, origin.words, origin.lot))
    return found


def _flag_later(broken: Sequence[BrokenGuard], at: datetime.datetime | None) -> list[Conflict]:
    """Write the first conflict of each code for each lot, on the event by which the lot began, unless one is there."""
    first = {(guard.lot.pk, guard.code): guard for guard in reversed(broken)}
    lots = {guard.lot.pk: guard.lot for guard in broken}
    there = set(
        Conflict.objects.filter(
            among("lot", list(lots)), code__in={code for _lot, code in first}, voided_by=None
        ).values_list("lot", "code")
    )
    return Conflict.objects.bulk_create(
        [
            Conflict(
                event_id=lots[lot].origin_event_id,
                organisation_id=lots[lot].organisation_id,
                lot=lots[lot],
                code=code,
                details=guard.as_record(),
                at=at or timezone.now(),
            )
            for (lot, code), guard in sorted(first.items())
            if (lot, code) not in there
        ],
        batch_size=500,
    )
