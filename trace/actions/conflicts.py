"""Answering a conflict: the producer says in a sentence what happened."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.access import entered_for
from trace.actor import Actor
from trace.errors import NotAllowed, StaleState
from trace.gather import Gather
from trace.models import Conflict
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
