"""Signals: raise one, read them, dismiss one."""

from typing import Annotated, Literal

from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from recalls.access import signal_for, signals_visible_to
from recalls.actions.signals import dismiss_signal, raise_signal
from recalls.api import examples
from recalls.api.area import area
from recalls.api.shapes import SIGNAL_PARTS, SignalOut, signal_out
from recalls.models import Signal
from trace.access import lot_for, report_for
from trace.api.auth import acting
from trace.api.examples import page
from trace.api.given import WrittenReason
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import In, Moment, Named, Text, Uid

INSIDE = ("operator", "quality", "officer", "approver")


class WantedSignals(Feed):
    """Which signals."""

    status: Literal["", "new", "linked", "dismissed"] = ""


@area.read(
    "/signals",
    who="signed_in",
    answer=Page[SignalOut],
    example=page(examples.SIGNAL),
    summary=gettext_lazy("列出线索"),
)
def list_signals(request: HttpRequest, wanted: Query[WantedSignals]) -> Page[SignalOut]:
    """Signals about the caller's goods or raised by it; for regulators those of the territory."""
    rows = signals_visible_to(acting(request)).select_related(*SIGNAL_PARTS)
    if wanted.status:
        rows = rows.filter(status=wanted.status)
    return turn(rows, wanted, lambda found: [signal_out(row) for row in found])


@area.read(
    "/signals/{uid}", who="signed_in", answer=SignalOut, example=examples.SIGNAL, summary=gettext_lazy("查看一条线索")
)
def get_signal(request: HttpRequest, uid: Named) -> SignalOut:
    """One signal."""
    return signal_out(signal_for(acting(request), uid))


class SignalIn(In):
    """A hint that something may be wrong, in one's own words."""

    source: Literal[
        "self_check",
        "sampling",
        "complaint",
        "trader",
        "supplier",
        "regulator",
        "laboratory",
        "incident",
        "abroad",
        "drill",
    ]
    text: Annotated[str, Text(2000, multiline=True, required=True)]
    lot: Uid | None = None
    report: Uid | None = Field(None, description="The test report it rests on.")
    contact: Annotated[str, Text(200)] = ""
    received_at: Moment | None = None


SIGNAL_IN = {"source": "self_check", "text": "留样复检不合格。", "lot": examples.LOT_REF["uid"]}


@area.write(
    "/signals",
    who="signed_in",
    answer=SignalOut,
    example=examples.SIGNAL,
    body_example=SIGNAL_IN,
    roles=INSIDE,
    summary=gettext_lazy("登记线索"),
)
def add_signal(request: HttpRequest, body: SignalIn) -> SignalOut:
    """Raise a signal."""
    actor = acting(request)
    signal = raise_signal(
        by=actor,
        source=body.source,
        text=body.text,
        lot=lot_for(actor, body.lot) if body.lot else None,
        report=report_for(actor, body.report) if body.report else None,
        contact=body.contact,
        received_at=body.received_at,
        is_drill=body.source == "drill",
    )
    return signal_out(Signal.objects.select_related(*SIGNAL_PARTS).get(pk=signal.pk))


class DismissIn(In):
    """Why a signal needs no assessment."""

    reason: WrittenReason


@area.write(
    "/signals/{uid}/dismissal",
    who="signed_in",
    answer=SignalOut,
    example={**examples.SIGNAL, "status": "dismissed"},
    body_example={"reason": "复检合格，原样品混淆。"},
    status=200,
    summary=gettext_lazy("不予处理"),
)
def dismiss(request: HttpRequest, uid: Named, body: DismissIn) -> SignalOut:
    """Dismiss a signal with its reason."""
    actor = acting(request)
    return signal_out(dismiss_signal(by=actor, signal=signal_for(actor, uid), reason=body.reason))
