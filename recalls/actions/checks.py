"""Effectiveness checks: draw a sample, write down what was found, by people who neither ran nor told the recall."""

from __future__ import annotations

import datetime
import hashlib
import uuid

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import require_side, supervises_campaign
from recalls.actions.moves import one_at_a_time, write_step
from recalls.guards import Given
from recalls.law.checking import check_level, draw, sample_size
from recalls.models import (
    Campaign,
    CheckResult,
    CheckRound,
    CheckSample,
    Disposal,
    NoticeStep,
    PhoneCall,
    ReturnReceipt,
)
from recalls.notice_states import NoticeStatus
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed
from trace.models import User
from trace.personal import seal
from trace.text import clean_text

_SUPERVISING = frozenset(
    {
        "order",
        "act",
        "return_plan",
        "grant_extension",
        "refuse_extension",
        "evaluate",
        "strengthen",
        "close",
        "propose",
        "check",
        "paper",
    }
)
"""Steps of a regulator that supervise and carry nothing out."""


def concerned(campaign: Campaign) -> set[int]:
    """Users (row numbers) who carried the recall out or told holders: they cannot check it. Five queries."""
    steps = campaign.steps.exclude(by=None).exclude(action="check")
    found = set(steps.exclude(by_organisation__kind="regulator").values_list("by", flat=True))
    carried = steps.filter(by_organisation__kind="regulator").exclude(action__in=_SUPERVISING)
    found |= set(carried.values_list("by", flat=True))
    found |= set(PhoneCall.objects.filter(notice__campaign=campaign).values_list("by", flat=True))
    told = NoticeStep.objects.filter(notice__campaign=campaign).exclude(side="system")
    found |= set(told.values_list("by", flat=True).distinct())
    found |= set(ReturnReceipt.objects.filter(campaign=campaign).values_list("by", flat=True))
    found |= set(Disposal.objects.filter(campaign=campaign).values_list("by", flat=True))
    return {pk for pk in found if pk is not None}


def _checker(by: Actor, campaign: Campaign) -> User:
    """The person, if independent: signed in, of the initiator or the authority, and neither executor nor notifier."""
    require_side(by, campaign)
    if not (supervises_campaign(by, campaign) or by.can("operator", "quality", "owner")):
        raise NotAllowed(_("您的岗位不能办理这一步，请由有权限的同事办理。"), code="role_required")
    if by.user is None:
        raise NotAllowed(_("这一步须由本人登录办理，不能用 API 密钥。"), code="person_required")
    if not campaign.has_started:
        raise Clash(_("召回启动之后才有有效性核查。"), code="no_such_step")
    if by.user.pk in concerned(campaign):
        raise NotAllowed(
            _("您办理过这次召回或通知过持有单位，核查须由没有参与的人来做。"), code="independent_checker_required"
        )
    return by.user


@transaction.atomic
def draw_check(
    *,
    by: Actor,
    campaign: Campaign,
    level: str,
    percent: int | None = None,
    seed: str = "",
    at: datetime.datetime | None = None,
) -> CheckRound:
    """Draw a sample of the holders whose notices stand, by the level's size and a seed that is kept. Level E draws
    nobody: that nobody is asked is written down like any other round.

    Refuses whoever carried the recall out or told its holders (``independent_checker_required``), a campaign not
    started (``no_such_step``), no such level (``level_unknown``), nobody told yet (``nothing_to_check``), level B
    without a percentage of its own (``percent_required``).
    """
    user = _checker(by, campaign)
    rule = check_level(level)
    if rule is None:
        raise Invalid(_("没有这个核查级别。"), code="level_unknown")
    share = rule.percent if rule.percent is not None else percent
    if share is None or (rule.percent is None and not rule.least <= share <= rule.most):
        raise Invalid(
            _("B 级的比例须逐案确定，在 %(least)d 到 %(most)d 之间。") % {"least": rule.least, "most": rule.most},
            code="percent_required",
        )
    standing = campaign.notices.exclude(status=NoticeStatus.WITHDRAWN).order_by("id")
    # A holder with several notices is one that can be asked: by the newest of them.
    notices = {str(one.uid): one for one in {row.organisation_id: row for row in standing}.values()}
    names = sorted(notices)
    size = sample_size(len(names), share)
    if not names:
        raise Clash(_("没有要核查的单位。"), code="nothing_to_check")
    one_at_a_time(campaign)
    drawn = (clean_text(seed, 60) or uuid.uuid4().hex) if size else ""
    now = at or timezone.now()
    found = CheckRound.objects.create(
        campaign=campaign,
        number=campaign.check_rounds.count() + 1,
        level=rule.key,
        percent=share,
        population=len(names),
        size=size,
        seed=drawn,
        pool_sha256=hashlib.sha256("\n".join(names).encode()).hexdigest(),
        rule={"source": rule.source, "edition": rule.edition, "verified": rule.verified},
        by=user,
        by_organisation=by.organisation,
        at=now,
    )
    CheckSample.objects.bulk_create(
        [
            CheckSample(round=found, notice=notices[name], position=position)
            for position, name in enumerate(draw(names, size, drawn), start=1)
        ],
        batch_size=1000,
    )
    write_step(
        campaign,
        "check",
        by,
        now,
        given=Given(
            reason=_("%(level)s 级核查，抽取 %(size)d/%(all)d") % {"level": level, "size": size, "all": len(names)}
            if size
            else _("%(level)s 级：不核查，共 %(all)d 个单位") % {"level": level, "all": len(names)}
        ),
        data={"round": found.number, "seed": drawn},
    )
    return found


@transaction.atomic
def record_check(
    *,
    by: Actor,
    sample: CheckSample,
    method: str,
    outcome: str,
    words: str = "",
    checked_at: datetime.datetime | None = None,
    at: datetime.datetime | None = None,
) -> CheckResult:
    """Write down what was found at one sampled holder. A later word follows an earlier one.

    Refuses as ``draw_check`` does, the holder's own people (``independent_checker_required``), a time in the future.
    """
    campaign = sample.round.campaign
    user = _checker(by, campaign)
    if sample.notice.organisation_id == by.organisation.pk:
        raise NotAllowed(_("不能核查本单位，须由没有参与的人来做。"), code="independent_checker_required")
    now = at or timezone.now()
    when = checked_at or now
    if when > now:
        raise Invalid(_("时间在将来，请核对日期和时间。"), code="in_future")
    if method not in CheckResult.Method.values or outcome not in CheckResult.Outcome.values:
        raise Invalid(_("请选择核查方法和结果。"), code="not_a_choice")
    text = clean_text(words, 500, multiline=True)
    return CheckResult.objects.create(
        sample=sample,
        method=method,
        outcome=outcome,
        words=seal(text, organisation=campaign.organisation, purpose="check_words") if text else None,
        checked_at=when,
        by=user,
        by_organisation=by.organisation,
        at=now,
    )
