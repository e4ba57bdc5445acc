"""Events: record one by its template, read the log, declare one wrong."""

from typing import Annotated, Literal

from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from trace.access import event_for, events_visible_to, product_for
from trace.actions.capture import Captured, NewLot
from trace.actions.corrections import declare_error
from trace.actions.events import record_event
from trace.actor import Actor
from trace.api import examples
from trace.api.auth import acting
from trace.api.errors import inside
from trace.api.given import (
    MOST_LINES,
    Data,
    Happening,
    Portions,
    Remark,
    amount_of,
    files_of,
    own_place,
    party,
    portions_of,
    when,
)
from trace.api.operations import Area
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import AmountIn, Day, In, Moment, Named, Out, Text, Uid
from trace.api.shapes import (
    EVENT_PARTS,
    LOT_PARTS,
    ConflictOut,
    EventOut,
    LotOut,
    events_out,
    lots_out,
)
from trace.models import Conflict, Event, Lot

area = Area("events", gettext_lazy("环节"))


class Recorded(Out):
    """What was written: the event, the lots it began, and the rules it broke (only where you insisted, or for a
    receipt).
    """

    event: EventOut
    lots: list[LotOut]
    conflicts: list[ConflictOut]


def recorded_out(captured: Captured, actor: Actor) -> Recorded:
    """The outcome of a capture, read again with what shapes need."""
    event = Event.objects.select_related(*EVENT_PARTS).get(pk=captured.event.pk)
    lots = Lot.objects.filter(pk__in=[lot.pk for lot in captured.lots]).select_related(*LOT_PARTS)
    order = {lot.pk: number for number, lot in enumerate(captured.lots)}
    conflicts = Conflict.objects.filter(event=event).select_related(
        "event", "organisation", "lot__product", "lot__product_version"
    )
    return Recorded(
        event=events_out([event])[0],
        lots=lots_out(sorted(lots, key=lambda lot: order[lot.pk]), actor),
        conflicts=[ConflictOut.of(row) for row in conflicts.order_by("id")],
    )


class WantedEvents(Feed):
    """Which events."""

    template: Annotated[str, Text(60)] = Field("", description="Only this step.")
    since: Moment | None = Field(None, description="Happened at or after.")
    until: Moment | None = Field(None, description="Happened before.")


@area.read(
    "/events",
    who="signed_in",
    answer=Page[EventOut],
    example=examples.page(examples.EVENT),
    summary=gettext_lazy("列出环节"),
    description=gettext_lazy("按登记的先后（日志编号）翻页。order=oldest 适合持续跟进：编号按提交的先后，不会漏。"),
)
def list_events(request: HttpRequest, wanted: Query[WantedEvents]) -> Page[EventOut]:
    """Events the caller may read, by log number."""
    rows = events_visible_to(acting(request)).select_related(*EVENT_PARTS)
    if wanted.template:
        rows = rows.filter(template=wanted.template)
    if wanted.since:
        rows = rows.filter(occurred_at__gte=wanted.since)
    if wanted.until:
        rows = rows.filter(occurred_at__lt=wanted.until)
    return turn(rows, wanted, events_out, by="log__number")


@area.read(
    "/events/{uid}", who="signed_in", answer=EventOut, example=examples.EVENT, summary=gettext_lazy("查看一个环节")
)
def get_event(request: HttpRequest, uid: Named) -> EventOut:
    """One event."""
    return events_out([event_for(acting(request), uid)])[0]


class NewLotIn(In):
    """A lot that begins. Without `lot_code` one is made from the date and a running number."""

    product: Uid
    amount: AmountIn
    place: Uid | None = None
    lot_code: Annotated[str, Text(20)] = Field("", description="0-9, A-Z and -, at most 20.")
    display_code: Annotated[str, Text(40)] = ""
    produced_on: Day | None = None
    expires_on: Day | None = None
    facts: Data = Field(default_factory=dict, description="The template's fields marked per_output.")


class EventIn(Happening):
    """One event by its template. With `insist` it is a report: what breaks a rule is recorded as a conflict."""

    template: Annotated[str, Text(60, required=True)]
    place: Uid | None = None
    counterparty: Uid | None = None
    inputs: Portions = Field(default_factory=list)
    outputs: list[NewLotIn] = Field(default_factory=list, max_length=MOST_LINES)
    subjects: Portions = Field(default_factory=list)
    data: Data = Field(default_factory=dict)
    files: list[Uid] = Field(default_factory=list, max_length=9, description="Uploaded before by `POST /files`.")
    remark: Remark = ""
    insist: bool = False
    replaces: Uid | None = Field(None, description="The event declared wrong that this one states again.")


EVENT_IN = {
    "template": "common.produce",
    "occurred_at": "2026-11-01T08:30:00+08:00",
    "place": examples.PLACE["uid"],
    "outputs": [
        {
            "product": examples.PRODUCT["uid"],
            "amount": {"value": "1250.5", "unit": "LTR"},
            "produced_on": "2026-11-01",
        }
    ],
    "data": {},
}


@area.write(
    "/events",
    who="signed_in",
    answer=Recorded,
    example=examples.RECORDED,
    body_example=EVENT_IN,
    summary=gettext_lazy("登记环节"),
    description=gettext_lazy(
        "违反规则（时间先后、数量不够、已封存、未放行等）时以 409 退回并说明是哪条记录；"
        "确实发生了的，带 insist=true 再发（用新的幂等键），会按报告记录并标出矛盾。"
    ),
)
def record(request: HttpRequest, body: EventIn) -> Recorded:
    """Record one event."""
    actor = acting(request)
    outputs = [_new_lot(request, actor, line) for line in body.outputs]
    with inside("data"):
        captured = record_event(
            by=actor,
            code=body.template,
            when=body.when(),
            place=own_place(request, body.place),
            data=body.data,
            inputs=portions_of(actor, body.inputs),
            outputs=outputs,
            subjects=portions_of(actor, body.subjects),
            counterparty=party(request, body.counterparty),
            remark=body.remark,
            files=files_of(actor, body.files),
            insist=body.insist,
            replaces=event_for(actor, body.replaces, write=True) if body.replaces else None,
        )
    return recorded_out(captured, actor)


def _new_lot(request: HttpRequest, actor: Actor, line: NewLotIn) -> NewLot:
    """A lot to begin, of the caller's own product."""
    product = product_for(actor, line.product, write=True)
    return NewLot(
        product=product,
        amount=amount_of(line.amount, product),
        place=own_place(request, line.place),
        lot_code=line.lot_code,
        display_code=line.display_code,
        produced_on=line.produced_on,
        expires_on=line.expires_on,
        facts=line.facts,
    )


class CorrectionIn(In):
    """Why an event is wrong (CBV error reasons). State it again afterwards with `replaces` if it happened
    differently.
    """

    reason: Literal["did_not_occur", "incorrect_data"]
    occurred_at: Moment | None = Field(None, description="When the mistake was found; now when left out.")
    remark: Remark = ""


@area.write(
    "/events/{uid}/correction",
    who="signed_in",
    answer=Recorded,
    example={**examples.RECORDED, "event": {**examples.EVENT, "corrects": examples.EVENT["uid"]}},
    body_example={"reason": "incorrect_data", "remark": "数量写错"},
    summary=gettext_lazy("声明环节有误"),
    description=gettext_lazy("原来的环节仍然可以查看；它造成的库存、谱系和收货一并撤回。"),
)
def correct_event(request: HttpRequest, uid: Named, body: CorrectionIn) -> Recorded:
    """Declare an event of the caller's wrong."""
    actor = acting(request)
    captured = declare_error(
        by=actor,
        event=event_for(actor, uid, write=True),
        reason=body.reason,
        when=when(body.occurred_at),
        remark=body.remark,
    )
    return recorded_out(captured, actor)
