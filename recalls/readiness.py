"""Whether a firm is ready to recall: contacts tested, last exercise. It follows from dates, so it fades by itself.

House rules, not law (guidance asks for regular drills, buyers' schemes for one a year and four hours): red without an
exercise in a year, yellow after nine months, or where an answer is missing, the limit was missed or a measure is late.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.models import ContactTest, Drill, DrillGap
from trace.models import Organisation

FRESH = datetime.timedelta(days=270)
STALE = datetime.timedelta(days=365)


@dataclass(frozen=True)
class Readiness:
    """The state of one firm: ``good``, ``attention`` or ``danger``, with every reason that is not good."""

    organisation: Organisation
    last_drill: Drill | None
    tested: int
    confirmed: int
    tone: str
    reasons: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The state in a word."""
        return {"good": _("召回准备就绪"), "attention": _("召回准备将过期或有缺口"), "danger": _("召回准备不足")}[
            self.tone
        ]


def readiness(organisations: Iterable[Organisation], *, now: datetime.datetime | None = None) -> list[Readiness]:
    """The state of each; three queries for any number."""
    rows = list(organisations)
    ids = [row.pk for row in rows]
    moment = now or timezone.now()
    drills: dict[int, Drill] = {}
    for drill in Drill.objects.filter(organisation__in=ids, finished_at__isnull=False).order_by("finished_at"):
        drills[drill.organisation_id] = drill
    latest: dict[int, dict[int, ContactTest]] = defaultdict(dict)
    recent = ContactTest.objects.filter(organisation__in=ids, created_at__gte=moment - STALE).order_by("id")
    for test in recent:
        latest[test.organisation_id][test.contact_id] = test
    late: dict[int, int] = defaultdict(int)
    today = timezone.localtime(moment).date()
    for pk in DrillGap.objects.filter(drill__organisation__in=ids, done_at=None, due_on__lt=today).values_list(
        "drill__organisation", flat=True
    ):
        late[pk] += 1
    return [_state(row, drills.get(row.pk), list(latest[row.pk].values()), late[row.pk], moment) for row in rows]


def _state(
    row: Organisation, drill: Drill | None, tests: list[ContactTest], late: int, now: datetime.datetime
) -> Readiness:
    confirmed = sum(test.confirmed_at is not None for test in tests)
    red: list[str] = []
    yellow: list[str] = []
    age = now - drill.finished_at if drill is not None and drill.finished_at else None
    if age is None:
        red.append(_("还没有做过演练"))
    elif age > STALE:
        red.append(_("上次演练已超过一年"))
    elif age > FRESH:
        yellow.append(_("上次演练已超过九个月"))
    if drill is not None and not drill.in_time:
        yellow.append(_("上次演练超过时限"))
    if not tests:
        red.append(_("一年内没有测试过联系方式"))
    elif confirmed < len(tests):
        yellow.append(_("%(count)s 个联系方式没有回应") % {"count": len(tests) - confirmed})
    elif all(now - test.created_at > FRESH for test in tests):
        yellow.append(_("联系方式测试已超过九个月"))
    if late:
        yellow.append(_("%(count)s 项纠正措施逾期") % {"count": late})
    tone = "danger" if red else "attention" if yellow else "good"
    return Readiness(row, drill, len(tests), confirmed, tone, [*red, *yellow])
