"""One event of EPCIS planned: which lots its things are, what happens to their amounts, the draft of its event.

``trace.actions.epcis_capture`` reads what many events name together and writes them together; here is what one means.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trace.actions.capture import Captured, Draft, NewLot, Use, capture
from trace.actions.epcis_index import is_beside
from trace.actions.epcis_late import Late, Teller, exactly, is_assumed, sum_made, tells_beginning
from trace.actions.epcis_parties import NotExact
from trace.actions.events import stock_place
from trace.batch import current
from trace.epcis.documents import Fault
from trace.epcis.facts import Facts, Thing
from trace.epcis.formats import Epc, EpcInvalid, canonical, parse, serial_gtin
from trace.errors import BrokenGuard
from trace.event_templates import EventTemplate, template, templates
from trace.identifiers import CSET82
from trace.json_text import json_of
from trace.models import EpcisName, Lot, Organisation, Place, Product, Stock, Transfer
from trace.rows import Told
from trace.sentences import gettext as _
from trace.sentences import in_each_language
from trace.units import EnteredAmount, decimal_text, unit_name

if TYPE_CHECKING:
    from trace.actions.epcis_capture import Chunk


Parts = list[tuple[Lot, int]]
"""Lots of one side of a transformation with the millionths that moved."""


class Incoming:
    """One event on its way in: as it came, where it stood, its id and facts.

    ``terms`` are what it is found by, each once; ``text`` is the event as it is kept.
    """

    __slots__ = ("eid", "facts", "pointer", "proof", "raw", "terms", "text")

    def __init__(self, raw: dict[str, Any], pointer: str, eid: str, facts: Facts) -> None:
        self.raw = raw
        self.pointer = pointer
        self.eid = eid
        self.facts = facts
        self.terms = list(dict.fromkeys(facts.terms()))
        self.text = json_of(raw)
        digest = hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()
        self.proof: dict[str, Any] = Told({"epcis_sha256": digest}, f'{{"epcis_sha256":"{digest}"}}')
        """What ties the log to the event as it came."""

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same event: id and declaration time."""
        return self.eid, self.facts.declared_at


class Refused(Exception):
    """One event cannot be written; it says where and why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


class Plan:
    """One event while it is planned: uses of known lots, lots that begin."""

    def __init__(self, chunk: Chunk, found: Incoming, performer: Organisation, place: Place | None) -> None:
        self.chunk = chunk
        self.found = found
        self.performer = performer
        self.place = place
        # What a registered organisation has is its own to say: of its goods only the names are taken.
        self.counts = performer.is_external or performer.pk in chunk.parties.mine
        self.lot_number = _lot_number(found.raw["ilmd"]) if "ilmd" in found.raw else ""
        self.uses: list[Use] = []
        self.outputs: list[NewLot] = []
        self.waiting: list[list[EpcisName]] = []
        self.new_by_uri: dict[str, int] = {}
        self.together: dict[tuple[str, int | None], tuple[int, str]] = {}
        self.named_before: set[str] = set()
        self.amounts: dict[str, list[tuple[Lot, int]]] = {}
        self.again: dict[int, int] = {}
        self.added: set[int] = set()
        self.strange: dict[int, str] = {}
        self.uncounted: dict[int, BrokenGuard] = {}

    @property
    def links(self) -> bool:
        """Whether inputs and outputs are both there."""
        ins = any(use.role == "input" for use in self.uses)
        return ins and (bool(self.outputs) or any(use.role == "output" for use in self.uses))

    # --- What things are --------------------------------------------------------------------------------------------

    def _row(self, thing: Thing) -> EpcisName:
        return self.chunk.names.known[("class" if thing.is_class else "epc", thing.uri)]

    def _lots(self, thing: Thing, *, adds: bool = False) -> list[tuple[Lot, EnteredAmount | None]] | None:
        """The known lots behind a thing with their amounts; None where it is goods nobody met, empty where no goods.
        Of goods that begin here later than this event they were there before, unless it ``adds`` to them.
        """
        row = self._row(thing)
        if row.lot_id is not None:
            lot = self.chunk.lots.get(row.lot_id) or row.lot
            if lot is None:
                return []
            self.chunk.lots[lot.pk] = lot
            if not adds:
                lot = self._there_before(lot)
            return [(lot, self._amount(lot.product, thing))]
        kind = _kind(thing)
        if kind == "pack":
            return [
                (lot, EnteredAmount(decimal_text(micros), lot.product.base_unit, "1/1", micros))
                for lot, micros in self.chunk.inside(row).items()
            ]
        return None if kind == "goods" else []

    def _there_before(self, lot: Lot) -> Lot:
        """The same lot; where it was met later than this event and nobody told how it began, it begins now here."""
        facts = self.found.facts
        early = facts.event_time < lot.origin_event.occurred_at and not facts.declared_at
        if not early or not is_assumed(lot) or not self._began_here(lot):
            return lot
        self._teller().begin_before(lot, self.performer, facts.event_time, facts.tz_offset)
        return self.chunk.read_again(lot)

    def _teller(self) -> Teller:
        """What writes beside this event. Raises Late in a batch: lots are stated again outside of one."""
        if not self.chunk.alone:
            raise Late
        return Teller(self.chunk.by, self.chunk.owner, self.found.proof["epcis_sha256"], self.chunk.writer.now)

    def _came_before(self, lot: Lot) -> Lot:
        """The same lot, to which this event adds at the performer: what it was assumed to have there later is part of
        that.
        """
        facts = self.found.facts
        latest = self.chunk.assumed.get((lot.pk, self.performer.pk))
        late = latest is not None and facts.event_time <= latest
        if facts.declared_at or not self.counts or not (late or self._tells_beginning(lot)) or lot.pk in self.again:
            return lot
        self._teller().take_off(lot, self.performer, facts.event_time, self.place)
        return self.chunk.read_again(lot)

    def _tells_beginning(self, lot: Lot) -> bool:
        """Whether this event, which adds to a lot, tells how it began."""
        facts = self.found.facts
        return not facts.declared_at and self._began_here(lot) and tells_beginning(lot, facts.event_time)

    def _stands_again(self, lot: Lot) -> bool:
        """Whether a lot whose captured beginning was declared wrong, and which others name still, begins by this event
        that makes it: unless its code was given to another one since.
        """
        told = "epcis_sha256" in lot.origin_event.data and self._began_here(lot)
        if lot.voided_by_id is None or not told or self.found.facts.declared_at:
            return False
        same = Lot.objects.filter(organisation=lot.organisation_id, product=lot.product_id, lot_code=lot.lot_code)
        return not same.filter(voided_by=None).exists()

    def _began_here(self, lot: Lot) -> bool:
        """Whether a lot began by an event of whom this one is written for. How the lots of others began, which it may
        only see, is theirs to say.
        """
        return lot.origin_event.organisation_id == self.chunk.owner.pk

    def _begin_again(self, uri: str, lot: Lot, amount: EnteredAmount | None) -> None:
        """The lot begins by this event and not where it was met."""
        self._teller()
        if amount is None:
            self._not_counted(lot.product, lot)
        amount = amount if amount is not None and self.counts else exactly(lot, 0)
        at = self.again.get(lot.pk)
        if at is not None:
            known = self.outputs[at]
            self.outputs[at] = replace(known, amount=_sum(known.amount, amount) or known.amount)
            return
        made, until = self._dates(uri)
        self.again[lot.pk] = len(self.outputs)
        self.outputs.append(
            NewLot(
                product=lot.product,
                amount=amount,
                place=self.place,
                lot_code=lot.lot_code,
                produced_on=made or lot.produced_on,
                expires_on=until or lot.expires_on,
                restates=lot,
                holder=self.performer if self.counts else None,
            )
        )
        self.waiting.append([])

    def _dates(self, uri: str, *, begins: bool = True) -> tuple[datetime.date | None, datetime.date | None]:
        """Production and expiry date that the event says of what begins, else the document's header of this lot."""
        made, until = _dates(self.found.raw["ilmd"]) if begins and "ilmd" in self.found.raw else (None, None)
        about = self.chunk.parties.master.get(uri)
        if about:
            before = _dates(about)
            made, until = made or before[0], until or before[1]
        return made, until

    def _amount(self, product: Product, thing: Thing) -> EnteredAmount | None:
        try:
            found = self.chunk.parties.amount(product, thing.quantity, thing.uom)
        except NotExact:
            raise Refused(
                Fault(self.found.pointer, "amount_not_exact", "An amount is too large or too fine for millionths.")
            ) from None
        if found is None and thing.quantity and thing.is_class:
            self.strange[product.pk] = thing.uom or "C62"
        return found

    def _not_counted(self, product: Product, lot: Lot | None = None) -> None:
        """Goods come or go in a unit with no way to the product's own: that is said, since nothing is counted."""
        unit = self.strange.get(product.pk)
        if unit is None or not self.counts:
            return
        self.uncounted[product.pk] = BrokenGuard(
            "unit_not_counted",
            _(
                "%(product)s 按“%(base)s”记数，文件里的单位是 %(unit)s，换算不了，数量没有计入。"
                "请核对产品的计量单位或净含量。"
            )
            % {
                "product": in_each_language(product.__str__),
                "base": in_each_language(lambda: unit_name(product.base_unit)),
                "unit": unit,
            },
            lot=lot,
            product=0 if lot is not None else product.pk,
        )

    def _begin(self, thing: Thing, *, begins: bool = True) -> NewLot:
        """The lot that begins for goods nobody met."""
        uri, gtin, code, display = self._identity(thing)
        product = self.chunk.parties.product(uri, gtin, self.performer, thing.uom)
        amount = self._amount(product, thing)
        if amount is None:
            self._not_counted(product)
            amount = EnteredAmount("0", product.base_unit, "1/1", 0)
        if not self.counts:
            amount = EnteredAmount("0", product.base_unit, "1/1", 0)
        own = product.organisation_id in self.chunk.parties.mine
        batch = current()
        if batch is not None:
            # ``_read_codes`` has read the codes of every product these could be of.
            batch.products.add(product.pk)
        made, until = self._dates(uri, begins=begins)
        return NewLot(
            product=product,
            amount=amount,
            place=self.place,
            lot_code=code,
            display_code=display,
            produced_on=made,
            expires_on=until,
            is_external=not own,
            issuer=product.organisation,
            captured=True,
            holder=self.performer if self.counts else None,
        )

    def _identity(self, thing: Thing) -> tuple[str, str, str, str]:
        """URI, GTIN, lot code and the code people read, of goods that begin here."""
        epc = parsed(thing.uri)
        if epc is not None and epc.lot:
            return thing.uri, epc.gtin, epc.lot, ""
        if epc is not None and epc.gtin:
            code = self.lot_number
            if code:
                return f"https://id.gs1.org/01/{epc.gtin}", epc.gtin, code, ""
            return thing.uri, epc.gtin, f"SN-{digest_of(thing.uri)}", epc.serial[:40]
        about = self.chunk.parties.master.get(thing.uri, {})
        code = about.get("lotNumber", "") or self.lot_number
        if not _is_code(code):
            code = f"ID-{digest_of(thing.uri)}"
        return thing.uri, "", code, ""

    def _lot_name(self, thing: Thing) -> EpcisName | None:
        """The name of the lot that an instance says it is of (``ilmd`` lotNumber)."""
        epc = parsed(thing.uri)
        code = "" if thing.is_class or epc is None or not epc.gtin else self.lot_number
        if not code or epc is None:
            return None
        uri = f"https://id.gs1.org/01/{epc.gtin}/10/{quote(code, safe='')}"
        return self.chunk.lot_row(canonical(uri))

    # --- What happens to them ---------------------------------------------------------------------------------------

    def _use(self, lot: Lot, role: str, sign: int, amount: EnteredAmount | None, **more: Any) -> None:
        """One line of the event; lines of the same lot, role and sign become one."""
        holder = more.pop("holder", self.performer)
        place = self.place
        if sign and amount is None:
            self._not_counted(lot.product, lot)
        sign = sign if self.counts and amount is not None else 0
        if sign < 0:
            place = stock_place(lot, holder, self.place if holder.pk == self.performer.pk else None)
        for number, use in enumerate(self.uses):
            if (
                use.lot is not None
                and (use.lot.pk, use.role, use.sign, use.holder.pk) == (lot.pk, role, sign, holder.pk)
                and use.transfer is more.get("transfer")
            ):
                self.uses[number] = replace(use, amount=_sum(use.amount, amount))
                return
        self.uses.append(Use(lot=lot, role=role, holder=holder, amount=amount, sign=sign, place=place, **more))

    def _new(self, thing: Thing, *, begins: bool = True) -> None:
        """A lot begins with this thing; serials of one new lot add up, and so do serials of one product that are met
        here for the first time and say nothing of a lot: what was made or seen together is one lot.
        """
        row = self._row(thing)
        epc = parsed(thing.uri)
        if epc is not None and epc.serial and not thing.is_class and not self.lot_number:
            self._beside(thing, epc.gtin, row, begins=begins)
            return
        lot_name = self._lot_name(thing)
        if lot_name is not None and lot_name.lot_id is not None:
            lot = self.chunk.lots.get(lot_name.lot_id) or lot_name.lot
            if lot is not None:
                self.chunk.bind(row, lot)
                self._add(lot_name.value, lot, self._amount(lot.product, thing), "output" if begins else "subject")
                return
        new = self._begin(thing, begins=begins)
        shared = lot_name.value if lot_name is not None else thing.uri
        at = self.new_by_uri.get(shared)
        if at is not None:
            known = self.outputs[at]
            self.outputs[at] = replace(known, amount=_sum(known.amount, new.amount) or new.amount)
            self.waiting[at].append(row)
            return
        self.new_by_uri[shared] = len(self.outputs)
        self.outputs.append(new)
        self.waiting.append([row] if lot_name is None else [row, lot_name])

    def _beside(self, thing: Thing, gtin: str, row: EpcisName, *, begins: bool) -> None:
        """A serial without a lot number: it joins the others of this event, but for those that were issued for another
        lot (``alike``), since a recall of that one must not take these along.
        """
        key = (gtin, row.__dict__["alike_id"])
        known = self.together.get(key)
        if known is not None:
            self.waiting[known[0]].append(row)
            return
        begun = self._begin(thing, begins=begins)
        self.together[key] = (len(self.outputs), thing.uri)
        self.outputs.append(begun)
        self.waiting.append([row])

    def _close(self) -> None:
        """Give lots of several serials their name and amount."""
        for at, first in self.together.values():
            rows = self.waiting[at]
            if len(rows) > 1:
                rows = self.waiting[at] = list({row.value: row for row in rows}.values())
            if len(rows) > 1:
                begun = self.outputs[at]
                self.outputs[at] = replace(
                    begun,
                    amount=_times(begun.amount, len(rows)),
                    lot_code=code_of(self.found.eid, first),
                    display_code=f"{begun.display_code[:30]} +{len(rows) - 1}",
                )
        self.together.clear()

    def _met_serial(self, thing: Thing, *, begins: bool) -> bool:
        """Whether this is a serial nobody met that says nothing of a lot, and so joins the others of this event: what
        most things of large documents are. Then it is planned.
        """
        if thing.is_class or self.lot_number:
            return False
        row = self.chunk.names.known["epc", thing.uri]
        if row.__dict__["lot_id"] is not None:
            return False
        gtin = serial_gtin(thing.uri)
        if not gtin:
            epc = parsed(thing.uri)
            if epc is None or not epc.serial:
                return False
            gtin = epc.gtin
        self._beside(thing, gtin, row, begins=begins)
        return True

    def observe(self, thing: Thing) -> None:
        """Only named. Goods nobody met begin here: they were there."""
        if self.found.facts.lots.get(thing.uri) == "":
            return  # a pack: what lies in it is told by other events
        if self._met_serial(thing, begins=False):
            return
        known = self._lots(thing)
        if known is None:
            self._new(thing, begins=False)
            return
        for lot, amount in known:
            self._remember(thing, lot, amount)
            self._use(lot, "subject", 0, amount)

    def is_known(self, thing: Thing) -> bool:
        """Whether there are lots behind it already."""
        return bool(self._lots(thing))

    def name(self, lot: Lot, micros: int) -> None:
        """A lot named with so much of it."""
        self._use(lot, "subject", 0, EnteredAmount(decimal_text(micros), lot.product.base_unit, "1/1", micros))

    def make(self, thing: Thing) -> None:
        """Comes to be: a lot begins, or more of one that there is."""
        if self._met_serial(thing, begins=True):
            return
        known = self._lots(thing, adds=True)
        if known is None:
            self._new(thing)
            return
        for lot, amount in known:
            if self._is_named_now(thing, lot):
                self._named_later(thing, self._there_before(lot), amount)
                continue
            if amount is None and self.found.facts.kind == "ObjectEvent":
                # Codes given out for goods that are there: no more of them came to be.
                self._use(self._there_before(lot), "subject", 0, None)
                continue
            if thing.uri in self.named_before:
                # What went over into its lot just before (``name_first``) is counted there.
                self._use(lot, "output", 0, amount)
                continue
            self._add(thing.uri, lot, amount, "output")

    def _add(self, uri: str, lot: Lot, amount: EnteredAmount | None, role: str) -> None:
        """More of a known lot; or its beginning, where that was only assumed."""
        if lot.pk in self.chunk.short:
            self.added.add(lot.pk)
        lot = self._came_before(lot)
        if lot.pk in self.again or self._tells_beginning(lot) or (role == "output" and self._stands_again(lot)):
            self._begin_again(uri, lot, amount)
            return
        self._use(lot, role, 1, amount)

    def _is_named_now(self, thing: Thing, lot: Lot) -> bool:
        """Whether a serial of a lot without a number says its number here."""
        return bool(self.lot_number) and not thing.is_class and lot.unnumbered

    def name_first(self, things: Sequence[Thing]) -> None:
        """Serials of several products say their lot numbers in one event: each product's go over into their lot by an
        event of their own before, since one event would make the unnamed lots of one product ancestors of the other's.
        """
        if not self.lot_number or len({_product_of(thing) for thing in things}) < 2:
            return
        later: dict[str, list[Thing]] = {}
        for thing in things:
            if any(self._is_named_now(thing, lot) for lot, _amount in self._lots(thing, adds=True) or ()):
                later.setdefault(_product_of(thing), []).append(thing)
        for same in later.values():
            before = Plan(self.chunk, self.found, self.performer, self.place)
            for thing in same:
                before.make(thing)
            before.capture("common.produce", data={"basis": "EPCIS", **self.found.proof})
            self.named_before |= {thing.uri for thing in same}

    def _named_later(self, thing: Thing, lot: Lot, amount: EnteredAmount | None) -> None:
        """A serial that was met before without a lot number says now of which lot it is: it goes over into that one,
        so that a recall of either lot finds it.
        """
        row = self._row(thing)
        row.lot_id = None
        self._new(thing)
        self._use(lot, "input", -1, amount)

    def use_up(self, thing: Thing) -> None:
        """Goes in."""
        for lot, amount in self._lots(thing) or ():
            self._use(lot, "input", -1, amount)

    def take(self, thing: Thing) -> None:
        """Leaves: sent, sold, destroyed. What nobody met was there before (``begin_unknown``)."""
        for lot, amount in self._lots(thing) or ():
            self._use(lot, "subject", -1, amount)

    def arrive(self, thing: Thing, source: Organisation | None) -> None:
        """Comes in: by a slip that waits, from what the source has of it, or from nowhere we know."""
        if self._met_serial(thing, begins=False):
            return
        known = self._lots(thing, adds=True)
        if known is None:
            self._new(thing, begins=False)
            return
        for lot, amount in known:
            transfer = self._slip(lot, amount)
            if transfer is not None:
                self._use(self._came_before(lot), "subject", 1, amount or _nothing(lot), transfer=transfer)
                continue
            if source is not None and source.is_external and amount is not None and self._has(lot, source):
                self._use(lot, "subject", -1, amount, holder=source)
                self._use(self._came_before(lot), "subject", 1, amount)
                continue
            self._add(thing.uri, lot, amount, "subject")

    def _has(self, lot: Lot, holder: Organisation) -> bool:
        return any(micros > 0 for micros in _stock(lot.pk, holder))

    def _slip(self, lot: Lot, amount: EnteredAmount | None) -> Transfer | None:
        """The hand-over of this lot to the performer that nobody answered: of several the oldest of just this amount,
        else the oldest. A registered organisation answers for
        itself: what somebody else reports of it answers nothing.
        """
        if not self.counts:
            return None
        batch = current()
        answered = {use.transfer.pk for use in self.uses if use.transfer is not None}
        to = self.performer.pk
        found = waiting_slips(lot.pk, to) if batch is None else batch.open_transfers(lot.pk, to)
        waiting = [transfer for transfer in found if transfer.pk not in answered]
        same = (each for each in waiting if amount is not None and each.sent_micros == amount.micros)
        return next(same, waiting[0] if waiting else None)

    def begin_unknown(self, things: Sequence[Thing]) -> None:
        """Goods that go in and were never met: what the system knows of them begins now, their past is unknown. Of an
        outsider's goods that began so before, there was more than was met then; and so of ours where an installation
        like this one tells, whose guards saw them.
        """
        unknown = [thing for thing in things if self._row(thing).lot_id is None and _kind(thing) == "goods"]
        told = self.performer.is_external or (self.counts and bool(self.found.facts.step))
        more = self._unmet(things) if told else []
        if not unknown and not more:
            return
        before = Plan(self.chunk, self.found, self.performer, self.place)
        for thing in unknown:
            before._new(thing, begins=False)
        for lot, micros in more:
            amount = EnteredAmount(decimal_text(micros), lot.product.base_unit, "1/1", micros)
            before._use(lot, "output", 1, amount)
        if not (before.outputs or before.uses):
            return
        before._close()
        if not told:
            # Of our own stock we know: what was never entered is not there, and the guard will say so.
            before.outputs = [
                replace(new, amount=EnteredAmount("0", new.product.base_unit, "1/1", 0)) for new in before.outputs
            ]
        # That there was more than was met offends against nothing.
        begun = before.capture("common.opening", data={"basis": "EPCIS", **self.found.proof}, guarded=not more)
        for pk in [*(lot.pk for lot in begun.lots), *(lot.pk for lot, _micros in more)]:
            self.chunk.assumed[pk, self.performer.pk] = self.found.facts.event_time

    def _unmet(self, things: Sequence[Thing]) -> list[tuple[Lot, int]]:
        """Lots of unknown past of which the performer gives more than it is known to have, with how much more. What was
        met of another organisation's lot is its to say.
        """
        wanted: dict[int, int] = {}
        for thing in things:
            for lot, amount in self._lots(thing) or ():
                if amount is not None and lot.origin_event.template == "common.opening" and self._began_here(lot):
                    wanted[lot.pk] = wanted.get(lot.pk, 0) + amount.micros
        found = []
        for pk, micros in wanted.items():
            if is_beside(self.chunk.lots[pk].origin_event):
                missing = micros - sum(_stock(pk, self.performer))
                if missing > 0:
                    found.append((self.chunk.lots[pk], missing))
        return found

    def join(self, parts: tuple[Parts, Parts]) -> None:
        """Inputs and outputs told by other events of the same transformation: linked, no amount moved twice. What those
        moved counts in the balance: of the whole transformation nothing else can be weighed.
        """
        ins, outs = parts
        here = {use.lot.pk for use in self.uses if use.lot is not None}
        if self.outputs or any(use.role == "output" for use in self.uses):
            for lot, micros in ins:
                if lot.pk not in here:
                    self.uses.append(Use(lot=lot, role="input", holder=self.performer, told=micros))
        if any(use.role == "input" for use in self.uses):
            for lot, micros in outs:
                if lot.pk not in here:
                    self.uses.append(Use(lot=lot, role="output", holder=self.performer, told=micros))

    # --- The event itself -------------------------------------------------------------------------------------------

    def _remember(self, thing: Thing, lot: Lot, amount: EnteredAmount | None) -> None:
        self.amounts.setdefault(thing.uri, []).append((lot, amount.micros if amount is not None else 0))

    def amounts_of(self, thing: Thing) -> list[tuple[Lot, int]]:
        """The lots behind a class just captured, with their amounts."""
        if thing.uri in self.amounts:
            return self.amounts[thing.uri]
        return [(lot, amount.micros if amount else 0) for lot, amount in self._lots(thing) or ()]

    def sent(self) -> list[tuple[Lot, int]]:
        """What left, one sum per lot."""
        totals: dict[int, tuple[Lot, int]] = {}
        for use in self.uses:
            if use.lot is not None and use.sign < 0:
                lot, micros = totals.get(use.lot.pk, (use.lot, 0))
                totals[lot.pk] = (lot, micros - use.micros)
        return [(lot, micros) for lot, micros in totals.values() if micros > 0]

    def capture(
        self,
        code: str,
        *,
        counterparty: Organisation | None = None,
        data: Mapping[str, Any] | None = None,
        guarded: bool = True,
    ) -> Captured:
        """Write the event; the lots it began are what its names stand for from now on. With ``data`` it is one that
        stands beside what was captured (``is_beside``).
        """
        facts = self.found.facts
        self._close()
        beside = data is not None
        draft = Draft(
            template=template(code) if beside else _told_as(code, facts.kind, facts.action, facts.biz_step, facts.step),
            organisation=self.chunk.owner,
            occurred_at=facts.event_time,
            tz_offset=facts.tz_offset,
            precision="day" if facts.by_day else "minute",
            place=self.place,
            uses=self.uses,
            outputs=self.outputs,
            data=data or self.found.proof,
            counterparty=counterparty,
            disposition=None if beside else facts.disposition[:40] if ":" not in facts.disposition else "",
            found=[] if facts.declared_at else list(self.uncounted.values()),
        )
        captured = capture(
            draft=draft,
            by=self.chunk.by,
            insist=True,
            guarded=guarded and not facts.declared_at,  # that something was wrong offends against nothing
            at=self.chunk.writer.now,
        )
        for lot, rows in zip(captured.lots, self.waiting, strict=True):
            self.chunk.bind_all(rows, lot)
        for pk, at in self.again.items():
            sum_made(captured.lots[at])
            self.chunk.read_again(self.chunk.lots[pk])
        self.chunk.settled |= dict.fromkeys([*self.added, *self.again], captured.event)
        return captured


# --- Small rules ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4_096)
def _told_as(code: str, kind: str, action: str, step: str, ours: str) -> EventTemplate:
    """A template with the words of the event that came. Of a step of ours that does the same to amounts it knows what
    its guards ask: whether it adds water, the most it yields, the solar term it waits for.
    """
    known = step if len(step) <= 40 and ":" not in step else ""
    local = "" if known or not step else step.rpartition("/")[2].rpartition(":")[2][-40:]
    plain, told = template(code), templates().get(ours)
    alike = told is not None and told.moves == plain.moves
    return replace(
        plain,
        zh=told.zh if told is not None and alike else plain.zh,
        en=told.en if told is not None and alike else plain.en,
        event_type=kind,
        action=action,
        biz_step=known,
        local_step=told.local_step if told is not None else local,
        gains_water=told is not None and told.gains_water,
        yields=told.yields if told is not None and alike else None,
        solar_term=told.solar_term if told is not None and alike else "",
        run=None,
    )


@lru_cache(maxsize=4_096)
def is_sample(step: str) -> bool:
    """Whether a step of ours takes a sample."""
    told = templates().get(step)
    return told is not None and told.moves == "sample"


def _sum(one: EnteredAmount | None, other: EnteredAmount | None) -> EnteredAmount | None:
    """Two entries of one lot as one; in base units where they were entered in different ones."""
    if one is None or other is None:
        return one or other
    total = one.micros + other.micros
    if one.unit == other.unit and one.factor == other.factor:
        from decimal import Decimal

        return EnteredAmount(format(Decimal(one.text) + Decimal(other.text), "f"), one.unit, one.factor, total)
    return EnteredAmount(decimal_text(total), "", "1/1", total)


def _times(amount: EnteredAmount, count: int) -> EnteredAmount:
    """So many of the same."""
    if not amount.micros:
        return amount
    return EnteredAmount(str(int(amount.text) * count), amount.unit, amount.factor, amount.micros * count)


def code_of(eid: str, first: str) -> str:
    """The code of a lot that an event began by several serials, the first of which is named."""
    return f"EV-{digest_of(f'{eid} {first}')}"


def _stock(lot: int, holder: Organisation) -> list[int]:
    """What a holder has of a lot, place by place, with what an open batch moved."""
    batch = current()
    if batch is None:
        return list(Stock.objects.filter(lot=lot, organisation=holder).values_list("micros", flat=True))
    batch.load_stock([lot], [holder.pk])
    return [micros for _place, micros in batch.places_of(lot, holder.pk)]


def waiting_slips(lot: int, receiver: int) -> list[Transfer]:
    """What is on its way of a lot to a receiver, the oldest first."""
    rows = Transfer.objects.filter(lot=lot, receiver=receiver, received_by=None, voided_by=None)
    return list(rows.select_related("shipment__event", "lot__product").order_by("id"))


def _nothing(lot: Lot) -> EnteredAmount:
    return EnteredAmount("0", lot.product.base_unit, "1/1", 0)


@lru_cache(maxsize=16_384)
def parsed(uri: str) -> Epc | None:
    try:
        return parse(uri)
    except EpcInvalid:
        return None


def _kind(thing: Thing) -> str:
    """Goods, a pack, or something that is no goods (an asset, a document, a class without lot)."""
    epc = parsed(thing.uri)
    if epc is None:
        if thing.uri.startswith(("urn:epc:", "https://id.gs1.org/")):
            return "none"
        return "goods"
    if epc.scheme.name == "sscc":
        return "pack"
    if thing.is_class:
        return "goods" if epc.lot else "none"
    return "goods" if epc.gtin else "none"


def _product_of(thing: Thing) -> str:
    """The GTIN of goods; the identifier itself where it has none."""
    epc = parsed(thing.uri)
    return (epc.gtin if epc is not None else "") or thing.uri


def side_of(pairs: Sequence[tuple[str, str]]) -> str:
    """The party of a source or destination list: who possesses, else who owns."""
    found = dict(reversed(pairs))
    return found.get("possessing_party", "") or found.get("owning_party", "")


def _lot_number(ilmd: Any) -> str:
    """The lot code in master data of instances."""
    if not isinstance(ilmd, Mapping):
        return ""
    for key, value in ilmd.items():
        if key.rpartition(":")[2] in ("lotNumber", "hasBatchLotNumber") and isinstance(value, str) and _is_code(value):
            return value
    return ""


def _is_code(code: str) -> bool:
    return 0 < len(code) <= 20 and all(character in CSET82 for character in code)


def _dates(ilmd: Any) -> tuple[datetime.date | None, datetime.date | None]:
    """Production and expiry date in master data of instances."""
    made: datetime.date | None = None
    until: datetime.date | None = None
    for key, value in ilmd.items() if isinstance(ilmd, Mapping) else ():
        name = key.rpartition(":")[2]
        if name in ("productionDate", "itemProductionDate", "manufacturingDate"):
            made = made or _day(value)
        elif name in ("itemExpirationDate", "expirationDate", "bestBeforeDate", "sellByDate"):
            until = until or _day(value)
    return made, until


def _day(value: Any) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


@lru_cache(maxsize=16_384)
def digest_of(uri: str) -> str:
    """Twelve letters and digits that stand for a URI."""
    number = int.from_bytes(hashlib.sha256(uri.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(letters[number >> shift & 31] for shift in range(0, 60, 5))
