"""Entries as a device in the field sends them: read with suspicion, and turned into the forms that pages use.

A device sends what the person filled into the very form the page shows, so that the same rules read it and the same
words refuse it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.access import entered_for, own_products, shipments_visible_to
from trace.actions.events import When
from trace.actions.files import FILES_PER_EVENT
from trace.actions.transfers import shipment_by_slip
from trace.actor import Actor
from trace.errors import Invalid, NotFound
from trace.event_templates import templates
from trace.forms.shipments import ReceiptForm
from trace.forms.step_choices import offer_for
from trace.forms.steps import StepForm
from trace.models import Lot, Organisation, Shipment, User
from trace.shipping import last_place, lines_of, sent_again
from trace.steps import families_made, plan_for
from trace.text import clean_text

RECEIPT = "receipt"
"""The one entry that is no step's form: the answer to a slip."""
MOST_ENTRIES = 50
MOST_FIELDS = 600
TEXT_MAX = 20_000
LATEST = datetime.timedelta(days=400)
"""An entry older than this is a device whose clock is wrong."""
LOCAL = "-local"
"""After the name of a row of lots: the nonce of the entry on the same device by which the lot began."""

FARM: Mapping[str, tuple[str, ...]] = {
    "walnut_fenzhou": ("walnut.harvest", "walnut.input_use", "walnut.hull", "walnut.wash", "walnut.dry"),
    "millet_fenzhou": ("millet.harvest", "millet.input_use", "millet.sow", "millet.store_paddy"),
}
"""What a grower does in the field, by family; of other families the steps of their flow."""
STORE = ("common.receive", "common.store", "common.ship", "common.count", "common.inspect")
PACKS = ("common.pack", "common.unpack")
_MOVES = ("transform", "create", "receive", "place", "observe", "store", "sample")
MOST_STEPS = 12


def field_steps(actor: Actor) -> list[str]:
    """The steps whose forms an actor takes along, the usual one first."""
    made = families_made(own_products(actor))
    if actor.owner.kind == Organisation.Kind.GROWER:
        farm = [code for each in made for code in FARM.get(each.code, _first(each.flow))]
        return [*dict.fromkeys(farm), "common.ship"]
    own = [code for each in made[:2] for code in _first(each.flow)]
    packs = PACKS if made else ()
    return [*STORE, *packs, *dict.fromkeys(code for code in own if code not in STORE)]


def _first(flow: tuple[str, ...]) -> list[str]:
    """The steps of a flow that are filled in where the goods are: all of them, down to the test before release."""
    fit = [code for code in flow if templates()[code].moves in _MOVES and not code.endswith("register_plot")]
    return fit[:MOST_STEPS]


# --- What arrives ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """One entry of a batch, read. ``seen`` are the codes of guards that the person insists on."""

    nonce: uuid.UUID
    step: str
    on_behalf_of: uuid.UUID | None
    fields: QueryDict
    files: tuple[str, ...]
    seen: frozenset[str]
    entered_at: datetime.datetime
    tz_offset: int

    @property
    def fingerprint(self) -> str:
        """What is the same entry: step, for whom, every field. Insisting and photographs sent again do not count."""
        pairs = sorted((key, value) for key, values in self.fields.lists() for value in values)
        text = json.dumps([self.step, str(self.on_behalf_of or ""), pairs], ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()

    @property
    def content(self) -> dict[str, Any]:
        """The entry as it is kept for review."""
        return {
            "step": self.step,
            "fields": [[key, value] for key, values in self.fields.lists() for value in values],
            "files": list(self.files),
        }


def read_batch(body: bytes) -> tuple[uuid.UUID, list[Any]]:
    """The device and the raw entries of a request's body. Refuses what is no such JSON (``batch_malformed``)."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        raise _malformed() from None
    if not isinstance(raw, dict) or not isinstance(raw.get("entries"), list):
        raise _malformed()
    if not 1 <= len(raw["entries"]) <= MOST_ENTRIES:
        raise Invalid(_("一次最多上传 %(most)d 条。") % {"most": MOST_ENTRIES}, code="too_many_entries")
    return _uid(raw.get("device")), raw["entries"]


def nonce_of(raw: object) -> uuid.UUID:
    """The nonce of a raw entry, without which it cannot even be answered."""
    return _uid(raw.get("nonce") if isinstance(raw, dict) else None)


def read_sent(raw: Mapping[str, Any], *, now: datetime.datetime) -> Sent:
    """One raw entry, read. Raises Invalid ``entry_malformed``, ``step_unknown``, ``entered_at_odd``."""
    step = raw.get("step")
    if not isinstance(step, str) or (step != RECEIPT and step not in templates()):
        raise Invalid(_("没有这个环节。"), code="step_unknown")
    fields = QueryDict(mutable=True)
    pairs = raw.get("fields")
    if not isinstance(pairs, list) or len(pairs) > MOST_FIELDS:
        raise _malformed_entry()
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
            raise _malformed_entry()
        if len(pair[0]) > 100 or len(pair[1]) > TEXT_MAX:
            raise _malformed_entry()
        # Lone surrogates are refused here as forms refuse them: they cannot be kept.
        fields.appendlist(*(part.encode("utf-8", "replace").decode() for part in pair))
    files = _texts(raw.get("files", []), FILES_PER_EVENT)
    behalf = raw.get("on_behalf_of")
    return Sent(
        nonce=nonce_of(raw),
        step=step,
        on_behalf_of=_uid(behalf) if behalf is not None else None,
        fields=fields,
        files=tuple(str(_uid(each)) for each in files),
        seen=frozenset(_texts(raw.get("seen", []), 40)),
        entered_at=(entered := _moment(raw.get("entered_at"), now)),
        tz_offset=int((entered.utcoffset() or datetime.timedelta()).total_seconds() // 60),
    )


def _texts(raw: object, most: int) -> list[str]:
    """A short list of short texts."""
    if not isinstance(raw, list) or len(raw) > most:
        raise _malformed_entry()
    if not all(isinstance(each, str) and len(each) <= 60 for each in raw):
        raise _malformed_entry()
    return raw


def _moment(raw: object, now: datetime.datetime) -> datetime.datetime:
    """When the person pressed save, with the offset of the device's clock."""
    try:
        found = datetime.datetime.fromisoformat(raw[:40] if isinstance(raw, str) else "")
    except ValueError:
        raise _malformed_entry() from None
    offset = found.utcoffset()
    if offset is None or abs(offset) > datetime.timedelta(hours=18) or not 2000 < found.year < 2100:
        raise _malformed_entry()
    if not now - LATEST < found < now + datetime.timedelta(days=2):
        raise Invalid(_("手机的时间不对，请校准后重新登记。"), code="entered_at_odd")
    return found


def _uid(raw: object) -> uuid.UUID:
    try:
        return uuid.UUID(raw if isinstance(raw, str) else "")
    except ValueError:
        raise _malformed_entry() from None


def _malformed() -> Invalid:
    return Invalid(_("上传的内容无法识别，请更新页面后再试。"), code="batch_malformed")


def _malformed_entry() -> Invalid:
    return Invalid(_("这条记录的内容无法识别，请更新页面后重新登记。"), code="entry_malformed")


# --- Lots that began on the same device -----------------------------------------------------------------------------


class WaitsForEntry(Invalid):
    """The entry uses a lot of an entry that is not recorded yet."""

    code = "waits_for_entry"


def with_local_lots(fields: QueryDict, user: User) -> QueryDict:
    """The fields with lots that began in entries of the same person, by nonce, put in as scanned codes.

    Raises ``WaitsForEntry`` where such an entry is not recorded yet.
    """
    wanted = {name: value for name, value in fields.items() if name.endswith(LOCAL) and value}
    found = fields.copy()
    for name, value in wanted.items():
        row = name.removesuffix(LOCAL)
        found[f"{row}-code"] = _begun_by(str(value), user).public_code
        found[f"{row}-lot"] = ""
    return found


def _begun_by(named: str, user: User) -> Lot:
    """The lot that began in the entry with this nonce: of several the first, with ``.1`` behind it the second."""
    nonce, dot, number = named.partition(".")
    if dot and not (number.isascii() and number.isdigit() and len(number) <= 2):
        raise _malformed_entry()
    lots = Lot.objects.filter(origin_event__field_entries__user=user, origin_event__field_entries__nonce=_uid(nonce))
    begun = list(lots.order_by("id"))
    if not begun:
        raise WaitsForEntry(_("要先等产生这个批次的那一条记录好。"))
    if int(number or 0) >= len(begun):
        raise _malformed_entry()
    return begun[int(number or 0)]


# --- Forms ----------------------------------------------------------------------------------------------------------


def blank_form(actor: Actor, code: str) -> StepForm:
    """The form of a step to take along."""
    return StepForm(offer_for(actor, plan_for(code)))


def filled_form(actor: Actor, sent: Sent, user: User) -> StepForm:
    """The form of a step as the device filled it in."""
    return StepForm(offer_for(actor, plan_for(sent.step)), with_local_lots(sent.fields, user), kept=list(sent.files))


def receipt_form(actor: Actor, row: Shipment, fields: QueryDict | None = None) -> ReceiptForm:
    """The answer to one slip, blank or as the device filled it in; ``all`` means each line as it was sent."""
    lines = lines_of([row]).get(row.pk, [])
    if fields is not None and fields.get("all"):
        fields = fields.copy()
        for line in lines:
            fields[f"amount_{line.transfer.pk}"], fields[f"unit_{line.transfer.pk}"] = sent_again(line)
        fields.setdefault("inspection_result", "合格")
    return ReceiptForm(fields, actor=actor, lines=lines, place=last_place(actor))


def slip_for(actor: Actor, text: str) -> Shipment:
    """The shipment a slip names, by the address in its QR or its number, when it is sent to the actor's organisation.

    Anything else is NotFound: the paper is signed, but receiving is for who it was sent to.
    """
    word = clean_text(text, 400, required=True).rstrip("/").rpartition("/s/")[2]
    row: Shipment | None
    if ":" in word:
        row = shipment_by_slip(word)
    else:
        row = shipments_visible_to(actor).filter(number=word.upper()).select_related("organisation", "receiver").first()
    if row is None or row.receiver_id not in entered_for(actor):
        raise NotFound(_("没有找到这张发货单，或者它不是发给本单位的。"))
    return row


def receipt_moment(form: ReceiptForm, sent: Sent) -> When:
    """When the goods arrived: the minute of the entry where it was made that day, else the day."""
    if form.cleaned_data["arrived_on"] == timezone.localdate(sent.entered_at):
        return When(sent.entered_at, sent.tz_offset)
    return form.moment()


def step_name(step: str) -> str:
    """What an entry is called."""
    return _("收货（扫发货单）") if step == RECEIPT else templates()[step].label()
