"""Food-safety risk warnings: anybody of a regulator may draft one, only a province (or the State) publishes it."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.models import RiskWarning
from trace.actor import Actor
from trace.errors import Invalid, NotAllowed, StaleState
from trace.models import Organisation
from trace.text import clean_text

LEVELS = frozenset({"nation", "province"})
"""Food Safety Law 2021, article 118: the State Council's department, and for a region the province's."""
_LENGTHS = {"title": 120, "text": 2000, "advice": 1000, "goods": 300, "area": 200, "basis": 500}
Status = RiskWarning.Status


def may_publish(organisation: Organisation) -> bool:
    """Whether this authority may publish a risk warning at all."""
    return organisation.kind == Organisation.Kind.REGULATOR and organisation.level in LEVELS


def _regulator(by: Actor) -> None:
    if not by.is_regulator:
        raise NotAllowed(_("风险警示由监管部门起草和发布。"), code="regulator_only")
    by.require("officer", "approver")


@transaction.atomic
def draft_warning(*, by: Actor, at: datetime.datetime | None = None, **fields: str) -> RiskWarning:
    """Draft a warning. Below the province it can only be submitted. Refuses empty items (``required``)."""
    _regulator(by)
    clean: dict[str, Any] = {
        name: clean_text(fields.get(name, ""), length, multiline=length > 200, required=True)
        for name, length in _LENGTHS.items()
    }
    if by.user is None:
        raise NotAllowed(_("需要具体的人办理。"), code="person_required")
    return RiskWarning.objects.create(
        organisation=by.organisation, drafted_by=by.user, drafted_at=at or timezone.now(), **clean
    )


@transaction.atomic
def submit_warning(*, by: Actor, warning: RiskWarning) -> RiskWarning:
    """Report a draft to the province, which decides."""
    _regulator(by)
    if warning.organisation_id != by.organisation.pk:
        raise NotAllowed(_("只能上报本单位的草稿。"), code="not_own")
    _move(warning, [Status.DRAFT], status=Status.SUBMITTED)
    return warning


@transaction.atomic
def publish_warning(*, by: Actor, warning: RiskWarning, at: datetime.datetime | None = None) -> RiskWarning:
    """Publish: an approver of a provincial (or national) authority whose territory covers the drafter, not the person
    who drafted it.

    Refuses a lower level (``level_too_low``), the drafter (``same_person``), other territories (``not_own``).
    """
    _regulator(by)
    if not may_publish(by.organisation):
        raise NotAllowed(
            _("食品安全风险警示只能由国家或省级部门统一发布（《食品安全法》第一百一十八条）。请上报省级部门。"),
            code="level_too_low",
        )
    by.require("approver")
    if not warning.organisation.division_id.startswith(by.organisation.territory):
        raise NotAllowed(_("不在本单位辖区。"), code="not_own")
    if by.user is None or by.user.pk == warning.drafted_by_id:
        raise NotAllowed(_("发布人不能是起草人。"), code="same_person")
    _move(
        warning,
        [Status.DRAFT, Status.SUBMITTED],
        status=Status.PUBLISHED,
        publisher=by.organisation,
        publisher_level=by.organisation.level,
        published_by=by.user,
        published_at=at or timezone.now(),
    )
    return warning


@transaction.atomic
def end_warning(*, by: Actor, warning: RiskWarning, reason: str, at: datetime.datetime | None = None) -> RiskWarning:
    """Lift a published warning; it stays readable, marked as lifted. The publisher's approver only."""
    _regulator(by)
    by.require("approver")
    if warning.publisher_id != by.organisation.pk:
        raise NotAllowed(_("由发布的部门解除。"), code="not_own")
    words = clean_text(reason, 300, multiline=True)
    if not words:
        raise Invalid(_("请写明理由。"), code="reason_required")
    _move(warning, [Status.PUBLISHED], status=Status.ENDED, ended_at=at or timezone.now(), end_reason=words)
    return warning


def _move(warning: RiskWarning, allowed: list[str], **changes: Any) -> None:
    if not RiskWarning.objects.filter(pk=warning.pk, status__in=allowed).update(**changes):
        raise StaleState(_("这条警示已有人办理，请刷新页面。"))
    warning.refresh_from_db()
