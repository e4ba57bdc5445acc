"""Conflicts that come of facts said later, and answering one: the producer says in a sentence what happened."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.utils import timezone

from trace.access import entered_for
from trace.actor import Actor
from trace.errors import BrokenGuard, NotAllowed, StaleState
from trace.gather import Gather
from trace.genealogy import walk
from trace.ledger import lock_log_head
from trace.lineage import Offender, Target, forbidden, offenders, prohibition_of, under_prohibition
from trace.models import Conflict, Lot, Product, ProductVersion
from trace.sentences import gettext as _
from trace.sentences import in_each_language
from trace.text import clean_text

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
    hit = under_prohibition(own, product.material)
    flagged = set(
        Conflict.objects.filter(
            lot__in=[lot.pk for lot, _rule in hit], code="forbidden_ancestor", voided_by=None
        ).values_list("lot", flat=True)
    )
    first = Lot.objects.filter(pk__in=own[:1]).select_related("product").first()
    found = []
    for lot, rule in hit:
        if lot.pk in flagged or first is None:
            continue
        mine = lot.organisation_id == product.organisation_id
        where = (
            _("产品“%(product)s”") % {"product": in_each_language(lambda: str(product))}
            if mine
            else _("上游供货者的一个产品")
        )
        target = Target(lot.product, lot.product_version, lot)
        broken = forbidden(rule, target, Offender(first, product.material).words, where, first)
        found.append(
            Conflict(
                event_id=lot.origin_event_id,
                organisation_id=lot.organisation_id,
                lot=lot,
                code=broken.code,
                details=broken.as_record(),
                at=at or timezone.now(),
            )
        )
    return Conflict.objects.bulk_create(found)


def flag_own_lots(product: Product, version: ProductVersion, *, at: datetime.datetime | None = None) -> list[Conflict]:
    """Flag the lots of a product whose new version follows a standard that forbids something they were made of.

    They keep the version they were made under, so their labels do not name the standard; the goods are sold as this
    product all the same, and who adds the standard afterwards would pass by the guard at making. One conflict for each
    lot, on the event by which it began; what is open already is not doubled. Two walks, whatever the number of lots.
    """
    rule = prohibition_of(version)
    if rule is None:
        return []
    lock_log_head()
    own = list(Lot.objects.filter(product=product, voided_by=None).order_by("pk"))
    if not own:
        return []
    found: dict[int, BrokenGuard] = {}
    for bad in offenders(walk(own, "back").level, rule.materials):
        name = in_each_language(bad.lot.product.__str__)
        alike = Lot.objects.filter(product_version=bad.lot.product_version_id, voided_by=None)
        reached = walk(list(alike), "forward").level
        for lot in own:
            if lot.pk in reached and lot.pk not in found:
                mine = bad.lot.organisation_id == product.organisation_id
                where = _("产品“%(product)s”") % {"product": name} if mine else _("上游供货者的一个产品")
                found[lot.pk] = forbidden(rule, Target(product, version, lot), bad.words, where, bad.lot)
    flagged = set(
        Conflict.objects.filter(lot__in=list(found), code="forbidden_ancestor", voided_by=None).values_list(
            "lot", flat=True
        )
    )
    return Conflict.objects.bulk_create(
        Conflict(
            event_id=lot.origin_event_id,
            organisation_id=lot.organisation_id,
            lot=lot,
            code=found[lot.pk].code,
            details=found[lot.pk].as_record(),
            at=at or timezone.now(),
        )
        for lot in own
        if lot.pk in found and lot.pk not in flagged
    )
