"""What rows of a sheet take from the rows before them: lots that those make, parties that those write down.

While the sheet is read neither is there: a stand-in with a negative row number takes the lot's place, and the entry is
settled, real things for stand-ins, when its turn comes to be recorded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from trace.actions.capture import NewLot
from trace.actions.events import Portion
from trace.actions.steps import NewParty, Recorded, StepEntry
from trace.errors import Invalid
from trace.models import Lot, Organisation
from trace.text import fold_width


def said(text: str) -> str:
    """How names are compared: without width, case and spaces around."""
    return fold_width(text).strip().casefold()


@dataclass
class Promised:
    """The lots that rows read so far will make, by their code; with the row each comes from."""

    owner: Organisation
    lots: dict[str, list[Lot]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[int, int] = field(default_factory=dict)

    def take(self, entry: StepEntry, row: int, code_field: str) -> list[Lot | None]:
        """Stand-ins for the lots an entry names by a code of its own, by output; None for the rest.

        Refuses the code of a lot of the same product in a row before (``lot_code_twice``).
        """
        found: list[Lot | None] = []
        for new in entry.outputs:
            typed = str(entry.data.get(code_field) or "") if code_field and len(entry.outputs) == 1 else ""
            code = new.lot_code or typed or str(new.facts.get(code_field) or "")
            if not code or new.product.current is None:
                found.append(None)
                continue
            before = next((each for each in self.lots[said(code)] if self._is_same(each, new, code)), None)
            if before is not None:
                raise Invalid(
                    _("批号 %(code)s 已经写在第 %(row)d 行，同一个产品的两批不能同号。")
                    % {"code": code, "row": self.rows[before.pk]},
                    code="lot_code_twice",
                    lot_code=code,
                )
            number = -1 - len(self.rows)
            self.rows[number] = row
            stand_in = Lot(
                pk=number,
                lot_code=code,
                product=new.product,
                product_version=new.product.current,
                organisation=self.owner,
            )
            self.lots[said(code)].append(stand_in)
            found.append(stand_in)
        return found

    @staticmethod
    def _is_same(stand_in: Lot, new: NewLot, code: str) -> bool:
        return stand_in.lot_code == code and stand_in.product_id == new.product.pk


def leans(entry: StepEntry) -> bool:
    """Whether an entry needs what rows before it bring about, or brings about a party itself."""
    portions = (*entry.inputs, *entry.subjects)
    return isinstance(entry.party, NewParty) or any(portion.lot.pk < 0 for portion in portions)


@dataclass
class Carried:
    """What the rows recorded so far brought about."""

    promised: Mapping[int, int]
    lots: dict[int, tuple[Lot, Lot]] = field(default_factory=dict)
    parties: dict[str, Organisation] = field(default_factory=dict)

    def settled(self, entry: StepEntry) -> StepEntry:
        """The entry with real lots and parties. Refuses (``row_before_refused``) what a row before it did not make."""
        if not leans(entry):
            return entry
        changed = {
            "inputs": self._real(entry.inputs),
            "subjects": self._real(entry.subjects),
        }
        names = {str(stand_in.uid): str(lot.uid) for stand_in, lot in self.lots.values()}
        party = entry.party
        if isinstance(party, NewParty):
            party = self.parties.get(said(party.name), party)
        return replace(entry, **changed, party=party, data=_renamed(entry.data, names))  # type: ignore[arg-type]

    def _real(self, portions: Iterable[Portion]) -> list[Portion]:
        found: list[Portion] = []
        for portion in portions:
            number = portion.lot.pk
            if number < 0 and number not in self.lots:
                raise Invalid(
                    _("批次“%(lot)s”由第 %(row)d 行产生，而那一行还有问题，请先改正。")
                    % {"lot": portion.lot.lot_code, "row": self.promised[number]},
                    code="row_before_refused",
                    lot_code=portion.lot.lot_code,
                )
            found.append(replace(portion, lot=self.lots[number][1]) if number < 0 else portion)
        return found

    def learn(self, entry: StepEntry, makes: Sequence[Lot | None], recorded: Recorded) -> None:
        """Keep what a row brought about for the rows after it."""
        for stand_in, lot in zip(makes, recorded.lots, strict=False):
            if stand_in is not None:
                self.lots[stand_in.pk] = (stand_in, lot)
        if isinstance(entry.party, NewParty) and recorded.event.counterparty is not None:
            self.parties.setdefault(said(entry.party.name), recorded.event.counterparty)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The data with the stand-ins' uids replaced, at any depth."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, Mapping):
        return {key: _renamed(each, names) for key, each in value.items()}
    return [_renamed(each, names) for each in value] if isinstance(value, list | tuple) else value
