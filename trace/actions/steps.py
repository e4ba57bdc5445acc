"""Carrying out a step as a person entered it: the one way from a form's answers to the action behind it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from trace.actions.capture import Captured, NewLot
from trace.actions.corrections import declare_error
from trace.actions.events import Portion, When, attach_files, record_event
from trace.actions.evidence import ResultEntry, entries_from_data, record_report, release_lot
from trace.actions.holds import place_hold
from trace.actions.organisations import RecallContact, keep_external
from trace.actions.packs import pack_units, replace_code, unpack_units
from trace.actions.registry import PlaceInput, create_place
from trace.actions.transfers import ship_lots, take_back, take_in
from trace.actor import Actor
from trace.batch import whole
from trace.errors import Clash, Invalid
from trace.event_templates import EventTemplate, split_personal, template
from trace.ledger import lock_log_head
from trace.models import Division, Event, HoldSet, Lot, Organisation, Place, Shipment, StoredFile, TestReport
from trace.steps import REGISTERS_PLOT


@dataclass(frozen=True)
class NewParty:
    """A supplier or buyer outside the system as entered beside a step."""

    name: str
    kind: str
    division: Division
    address: str = ""
    phone: str = ""


@dataclass(frozen=True)
class ReportEntry:
    """A laboratory's report as entered: ``results`` beside those in the template's own fields."""

    number: str
    issued_on: datetime.date
    laboratory: Organisation | None = None
    laboratory_name: str = ""
    cma_number: str = ""
    purpose: str = "出厂检验"
    results: Sequence[ResultEntry] = ()


@dataclass(frozen=True)
class StepEntry:
    """Everything a form says about one step; what a kind of step does not ask stays empty.

    ``party`` is the supplier, receiver or returning holder. ``new_place`` is a plot registered with the step.
    ``restates`` names the lots (in the order of ``outputs``) that keep their identity in a corrected statement.
    """

    code: str
    when: When
    place: Place | None = None
    new_place: PlaceInput | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[Portion] = ()
    outputs: Sequence[NewLot] = ()
    subjects: Sequence[Portion] = ()
    party: Organisation | NewParty | None = None
    remark: str = ""
    files: Sequence[StoredFile] = ()
    replaces: Event | None = None
    report: ReportEntry | None = None
    hold_kind: str = HoldSet.Kind.HOLD
    release_report: TestReport | None = None
    release_reason: str = ""
    pack: str = ""
    units: Sequence[str] = ()
    wrong: Event | None = None
    wrong_reason: str = ""


@dataclass(frozen=True)
class Recorded:
    """What came of it: the event, the lots begun, how many rules it broke, and the slip or report made with it.

    The sentences of rules that only warn are asked with ``warnings``; they are not among ``conflicts``.
    """

    event: Event
    lots: Sequence[Lot] = ()
    conflicts: int = 0
    shipment: Shipment | None = None
    report: TestReport | None = None

    @property
    def warnings(self) -> list[str]:
        """What the event was flagged with that refuses nothing."""
        return [str(flag["detail"]) for flag in self.event.flags if flag.get("warns")]


def _broken(event: Event) -> int:
    """How many rules an event broke that would have refused it."""
    return sum(1 for flag in event.flags if not flag.get("warns"))


@whole
def record_step(*, entry: StepEntry, by: Actor, insist: bool = False, at: datetime.datetime | None = None) -> Recorded:
    """Record one step and what comes with it (a new supplier, a new plot, its files), or nothing of it.

    Refuses what the action of its kind refuses; a corrected statement of an event that was not declared wrong
    (``not_declared_wrong``), is another kind of step (``another_step``) or was stated again before
    (``already_replaced``); a missing party (``party_required``) or place (``place_required``).
    """
    found = template(entry.code)
    if entry.replaces is not None:
        _check_replaces(entry.replaces, found)
    if entry.new_place is not None:
        entry = replace(entry, place=create_place(by=by, place=entry.new_place, at=at))
    if found.code in REGISTERS_PLOT and entry.place is not None:
        entry = replace(entry, data={**entry.data, "plot": str(entry.place.uid)})
    if isinstance(entry.party, NewParty):
        entry = replace(entry, party=_keep(entry.party, by, at))
    recorded = _HOW.get(found.moves, _plain)(entry, found, by, insist, at)
    attach_files(recorded.event, entry.files)
    return recorded


def _check_replaces(event: Event, found: EventTemplate) -> None:
    """Only an event declared wrong is stated again, once, as the same kind of step."""
    if event.template != found.code:
        raise Invalid(_("重新填写的环节应与原环节相同。"), code="another_step")
    lock_log_head()  # two at once would each find it not stated again
    if not event.corrections.exists():
        raise Clash(_("请先声明原环节有误，再重新填写。"), code="not_declared_wrong")
    if event.replacements.filter(corrections__isnull=True).exists():
        raise Clash(_("这个环节已经重新填写过。"), code="already_replaced")


def _keep(party: NewParty, by: Actor, at: datetime.datetime | None) -> Organisation:
    """The outsider, written down so that a recall can reach them."""
    return keep_external(
        by=by,
        name=party.name,
        kind=party.kind,
        division=party.division,
        address=party.address,
        contact=RecallContact("", party.phone) if party.phone else None,
        at=at,
    )


def _party(entry: StepEntry) -> Organisation:
    """The other side, which the step cannot do without."""
    if not isinstance(entry.party, Organisation):
        raise Invalid(_("请选择或登记对方单位。"), code="party_required")
    return entry.party


def _outcome(captured: Captured) -> Recorded:
    return Recorded(captured.event, captured.lots, _broken(captured.event))


How = Callable[[StepEntry, EventTemplate, Actor, bool, "datetime.datetime | None"], Recorded]


def _plain(entry: StepEntry, found: EventTemplate, by: Actor, insist: bool, at: datetime.datetime | None) -> Recorded:
    """Steps without rows of their own beside the event."""
    return _outcome(
        record_event(
            by=by,
            code=entry.code,
            when=entry.when,
            place=entry.place,
            data=entry.data,
            inputs=entry.inputs,
            outputs=entry.outputs,
            subjects=entry.subjects,
            remark=entry.remark,
            insist=insist,
            replaces=entry.replaces,
            at=at,
        )
    )


def _ship(entry: StepEntry, found: EventTemplate, by: Actor, insist: bool, at: datetime.datetime | None) -> Recorded:
    shipment = ship_lots(
        by=by,
        receiver=_party(entry),
        portions=entry.subjects,
        when=entry.when,
        place=entry.place,
        data=entry.data,
        code=entry.code,
        remark=entry.remark,
        insist=insist,
        replaces=entry.replaces,
        at=at,
    )
    return Recorded(shipment.event, (), _broken(shipment.event), shipment=shipment)


def _receive(entry: StepEntry, found: EventTemplate, by: Actor, insist: bool, at: datetime.datetime | None) -> Recorded:
    """Goods that came without a slip of this system begin a lot named as the supplier names it."""
    if len(entry.outputs) != 1:
        raise Invalid(_("请填写收到的货物，一次一批。"), code="outputs_required")
    new = entry.outputs[0]
    return _outcome(
        take_in(
            by=by,
            supplier=_party(entry),
            product=new.product,
            supplier_lot=new.lot_code,
            amount=new.amount,
            when=entry.when,
            place=entry.place,
            code=entry.code,
            data=entry.data,
            produced_on=new.produced_on,
            expires_on=new.expires_on,
            remark=entry.remark,
            insist=insist,
            replaces=entry.replaces,
            restates=new.restates,
            at=at,
        )
    )


def _return(entry: StepEntry, found: EventTemplate, by: Actor, insist: bool, at: datetime.datetime | None) -> Recorded:
    return _outcome(
        take_back(
            by=by,
            source=_party(entry),
            portions=entry.subjects,
            when=entry.when,
            place=entry.place,
            data=entry.data,
            remark=entry.remark,
            replaces=entry.replaces,
            at=at,
        )
    )


def _sample(entry: StepEntry, found: EventTemplate, by: Actor, insist: bool, at: datetime.datetime | None) -> Recorded:
    """A sample taken, with its report when that is in hand."""
    if entry.report is None:
        return _plain(entry, found, by, insist, at)
    subject = _only_subject(entry)
    kept, personal = split_personal(found, entry.data)
    results = [*entries_from_data(found, kept), *entry.report.results]
    report = record_report(
        by=by,
        lot=subject.lot,
        report_number=entry.report.number,
        issued_on=entry.report.issued_on,
        results=results,
        when=entry.when,
        laboratory=entry.report.laboratory,
        laboratory_name=entry.report.laboratory_name,
        cma_number=entry.report.cma_number,
        purpose=entry.report.purpose,
        code=entry.code,
        data={**kept, **personal},
        sample=subject,
        place=entry.place,
        file=entry.files[0] if entry.files else None,
        remark=entry.remark,
        insist=insist,
        replaces=entry.replaces,
        at=at,
    )
    return Recorded(report.event, (), _broken(report.event), report=report)


def _only_subject(entry: StepEntry) -> Portion:
    if len(entry.subjects) != 1:
        raise Invalid(_("请指明是哪个批次。"), code="subjects_required")
    return entry.subjects[0]


def _hold(entry: StepEntry, found: EventTemplate, by: Actor, insist: bool, at: datetime.datetime | None) -> Recorded:
    """A hold is no ordinary event: it stays active until it is ended, whatever is declared about the event."""
    place_hold(
        by=by,
        lots=[portion.lot for portion in entry.subjects],
        reason=str(entry.data.get("reason", "")),
        legal_basis=str(entry.data.get("legal_basis", "")),
        when=entry.when,
        kind=entry.hold_kind,
        at=at,
    )
    return Recorded(Event.objects.filter(organisation=by.owner, template=found.code).latest("id"))


def _release(entry: StepEntry, found: EventTemplate, by: Actor, insist: bool, at: datetime.datetime | None) -> Recorded:
    return _outcome(
        release_lot(
            by=by,
            lot=_only_subject(entry).lot,
            when=entry.when,
            report=entry.release_report,
            reason=entry.release_reason,
            remark=entry.remark,
            at=at,
        )
    )


def _pack(entry: StepEntry, found: EventTemplate, by: Actor, insist: bool, at: datetime.datetime | None) -> Recorded:
    captured = pack_units(
        by=by,
        parent=entry.pack,
        children=entry.units,
        when=entry.when,
        code=entry.code,
        place=entry.place,
        remark=entry.remark,
        insist=insist,
        replaces=entry.replaces,
        at=at,
    )
    return _outcome(captured)


def _unpack(entry: StepEntry, found: EventTemplate, by: Actor, insist: bool, at: datetime.datetime | None) -> Recorded:
    captured = unpack_units(
        by=by,
        parent=entry.pack,
        children=entry.units,
        when=entry.when,
        place=entry.place,
        remark=entry.remark,
        insist=insist,
        replaces=entry.replaces,
        at=at,
    )
    return _outcome(captured)


def _recode(entry: StepEntry, found: EventTemplate, by: Actor, insist: bool, at: datetime.datetime | None) -> Recorded:
    captured = replace_code(
        by=by,
        old=str(entry.data.get("old_code") or ""),
        new=str(entry.data.get("new_code") or ""),
        reason=str(entry.data.get("reason") or ""),
        when=entry.when,
        remark=entry.remark,
        insist=insist,
        replaces=entry.replaces,
        at=at,
    )
    return _outcome(captured)


def _correct(entry: StepEntry, found: EventTemplate, by: Actor, insist: bool, at: datetime.datetime | None) -> Recorded:
    if entry.wrong is None:
        raise Invalid(_("请选择要更正的环节。"), code="event_required")
    return _outcome(
        declare_error(by=by, event=entry.wrong, reason=entry.wrong_reason, when=entry.when, remark=entry.remark, at=at)
    )


_HOW: Mapping[str, How] = {
    "ship": _ship,
    "receive": _receive,
    "return": _return,
    "sample": _sample,
    "hold": _hold,
    "release": _release,
    "pack": _pack,
    "unpack": _unpack,
    "recode": _recode,
    "correct": _correct,
}
