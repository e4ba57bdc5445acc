"""Conflicts that come of facts said later, and answering one: the producer says in a sentence what happened."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.utils import timezone

from trace.access import entered_for
from trace.actor import Actor
from trace.errors import NotAllowed, StaleState
from trace.gather import Gather
from trace.ledger import lock_log_head
from trace.lineage import Offender, Target, forbidden, under_prohibition
from trace.models import Conflict, Lot, Product
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
