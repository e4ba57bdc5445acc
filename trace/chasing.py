"""Questions about what two parties have not settled: receipts nobody confirmed, amounts that differ, how long."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from trace.access import entered_for
from trace.actor import Actor
from trace.models import DifferenceAnswer, Reminder, Shipment, Transfer
from trace.shipping import OVERDUE_DAYS, Line, Wanted, find_shipments, lines_of

KINDS = ("out", "in", "differences")


def unsettled(rows: QuerySet[Shipment]) -> QuerySet[Shipment]:
    """Of these shipments, those with a difference that the sender has not accepted."""
    accepted = DifferenceAnswer.objects.filter(
        transfer=OuterRef("pk"), receipt=OuterRef("received_by"), answer=DifferenceAnswer.Answer.ACCEPTED
    )
    differing = Transfer.objects.filter(shipment=OuterRef("pk"), received_micros__isnull=False, voided_by=None)
    differing = differing.exclude(received_micros=F("sent_micros")).filter(~Exists(accepted))
    return rows.filter(Exists(differing), voided_by=None)


def chased(actor: Actor, kind: str, *, overdue: bool = False, text: str = "") -> QuerySet[Shipment]:
    """What is open, the oldest first: ``out`` waits for the receiver, ``in`` for us, ``differences`` for both.

    Regulators see what is open in their territory; ``out`` and ``in`` are then the same. ``overdue``: older than a
    week.
    """
    if kind == "differences":
        rows = unsettled(find_shipments(actor, Wanted(text=text)))
    else:
        way = "" if actor.is_regulator else kind
        rows = find_shipments(actor, Wanted(way=way, state="unconfirmed", text=text))
        if not actor.is_regulator:
            side = "organisation__in" if kind == "out" else "receiver__in"
            rows = rows.filter(**{side: entered_for(actor)})
    if overdue:
        rows = rows.filter(sent_at__lt=timezone.now() - datetime.timedelta(days=OVERDUE_DAYS))
    return rows.order_by("id")


def reminded_of(actor: Actor) -> QuerySet[Shipment]:
    """Open shipments of which the other side has reminded us."""
    mine = entered_for(actor)
    asked = Exists(Reminder.objects.filter(shipment=OuterRef("pk"), reminded__in=mine))
    waiting = chased(actor, "in").filter(asked).values("pk")
    differing = chased(actor, "differences").filter(asked).values("pk")
    return Shipment.objects.filter(Q(pk__in=waiting) | Q(pk__in=differing))


@dataclass(frozen=True)
class Chase:
    """One open shipment: what is on it, how many days it waits, who was reminded when, what was answered last."""

    shipment: Shipment
    days: int
    lines: Sequence[Line]
    reminders: Sequence[Reminder] = ()
    answers: Sequence[DifferenceAnswer] = ()

    @property
    def late(self) -> bool:
        """Whether it waits longer than usual."""
        return self.days >= OVERDUE_DAYS

    @property
    def last_reminder(self) -> Reminder | None:
        """The latest reminder."""
        return self.reminders[-1] if self.reminders else None

    @property
    def last_answer(self) -> DifferenceAnswer | None:
        """The latest answer about a difference."""
        return self.answers[-1] if self.answers else None


def chases(shipments: Sequence[Shipment], *, now: datetime.datetime | None = None) -> list[Chase]:
    """These shipments with all a list shows; five queries however many."""
    moment = now or timezone.now()
    lines = lines_of(shipments)
    reminders: dict[int, list[Reminder]] = {}
    for reminder in Reminder.objects.filter(shipment__in=shipments).select_related("organisation").order_by("id"):
        reminders.setdefault(reminder.shipment_id, []).append(reminder)
    answers: dict[int, list[DifferenceAnswer]] = {}
    said = DifferenceAnswer.objects.filter(transfer__shipment__in=shipments, receipt=F("transfer__received_by"))
    for answer in said.select_related("organisation", "transfer").order_by("id"):
        answers.setdefault(answer.transfer.shipment_id, []).append(answer)
    return [
        Chase(
            row,
            max((moment - row.sent_at).days, 0),
            lines.get(row.pk, []),
            reminders.get(row.pk, []),
            answers.get(row.pk, []),
        )
        for row in shipments
    ]


@dataclass(frozen=True)
class OpenLine:
    """One line with a difference: what was said of it, and whether it is settled."""

    line: Line
    answers: Sequence[DifferenceAnswer] = field(default_factory=tuple)

    @property
    def settled(self) -> bool:
        """Whether the sender accepted the receiver's count."""
        return any(answer.answer == DifferenceAnswer.Answer.ACCEPTED for answer in self.answers)


def differences_of(shipment: Shipment) -> list[OpenLine]:
    """The lines of which another amount arrived than was sent, with what was said of each."""
    said: dict[int, list[DifferenceAnswer]] = {}
    rows = DifferenceAnswer.objects.filter(transfer__shipment=shipment, receipt=F("transfer__received_by"))
    for answer in rows.select_related("organisation", "by").order_by("id"):
        said.setdefault(answer.transfer_id, []).append(answer)
    lines = lines_of([shipment]).get(shipment.pk, [])
    return [OpenLine(line, said.get(line.transfer.pk, [])) for line in lines if line.differs]
