"""The names an organisation's events use, read and made hundreds at a time (``EpcisName``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from django.db import connection

from trace.among import texts_condition
from trace.models import EpcisName, Organisation
from trace.prepared import planned_cursor
from trace.rows import Mould, insert, insert_unless_there, numbers
from trace.rows import new as row

CHUNK = 400
READ = 5_000
"""Names read by one query."""
FEW = 100
"""Names up to which those of all kinds are read together."""
_COLUMNS = ("id", "owner_id", "kind", "value", "lot_id", "alike_id", "parent_id", "party_id", "place_id")
T = TypeVar("T")
Key = tuple[str, str]


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Parts of a list."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


class Names:
    """What is known of one organisation's names while its events are captured; the head of the log is held.

    Kept small by ``forget``: a document of a hundred megabytes names millions of things.
    """

    def __init__(self, owner: Organisation) -> None:
        self.owner = owner
        self.known: dict[Key, EpcisName] = {}
        self.held: dict[Key, EpcisName] = {}
        self._free: Iterator[int] = iter(())
        self._blank = Mould(row(EpcisName, owner_id=owner.pk))

    def load(self, keys: Iterable[Key], *, hold: bool = False) -> None:
        """Read these names and make those that are not there.

        With ``hold`` new ones are numbered but not written yet: what they stand for is told by then, and ``write``
        writes all of it at once.
        """
        known = self.known
        missing: dict[str, dict[str, None]] = defaultdict(dict)
        for key in keys:
            if key not in known:
                missing[key[0]][key[1]] = None
        if sum(map(len, missing.values())) <= FEW:
            # Of one event, or a few: one look for all kinds.
            if missing:
                for found in self._read(list(missing), [value for values in missing.values() for value in values]):
                    known[(found.kind, found.value)] = found
        else:
            for kind, values in missing.items():
                for part in chunks(list(values), READ):
                    for found in self._read([kind], part):
                        known[(kind, found.value)] = found
        new = [
            self._blank.pour({}, {"kind": kind, "value": value})
            for kind, values in missing.items()
            for value in values
            if (kind, value) not in known
        ]
        if not self.held:
            self._free = numbers(EpcisName, part=max(1, len(new)))
        for each, number in zip(new, self._free, strict=False):
            each.id = number
        if hold:
            self.held |= {(each.kind, each.value): each for each in new}
        elif not insert_unless_there(new):
            # Whoever indexes the log met some of them meanwhile, without the head of the log.
            self.load((each.kind, each.value) for each in new)
            return
        known |= {(each.kind, each.value): each for each in new}

    def _read(self, kinds: Sequence[str], values: Sequence[str]) -> Iterator[EpcisName]:
        """Names of these kinds that are there, past building a query by the ORM: asked for each event that comes in."""
        wanted, given = texts_condition("value", values)
        marks = ", ".join(["%s"] * len(kinds))
        with planned_cursor() if len(values) <= FEW else connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM trace_epcisname "  # noqa: S608 (our own names)
                f"WHERE owner_id = %s AND kind IN ({marks}) AND {wanted}",
                [self.owner.pk, *kinds, given],
            )
            found = cursor.fetchall()
        for values_of_row in found:
            yield row(EpcisName, **dict(zip(_COLUMNS, values_of_row, strict=True)))

    def write(self, keys: Iterable[Key] | None = None) -> list[EpcisName]:
        """Write what was held back, or of it these keys; answers with it. IntegrityError (``one_epcis_name``) where
        whoever indexes the log met one of them meanwhile: the caller's savepoint ends, and ``clear`` begins anew.
        """
        held = self.held
        written = [held.pop(key) for key in dict.fromkeys(list(held) if keys is None else keys) if key in held]
        insert(written)
        return written

    def clear(self) -> None:
        """Forget everything: what was written of it was taken back."""
        self.known.clear()
        self.held.clear()

    def find(self, kind: str, value: str) -> EpcisName | None:
        """A name if it is there; never made."""
        found = self.known.get((kind, value))
        if found is None:
            found = EpcisName.objects.filter(owner=self.owner, kind=kind, value=value).first()
            if found is not None:
                self.known[(kind, value)] = found
        return found

    def forget(self, most: int = 20_000) -> None:
        """Let go of what was read when it is too much."""
        if len(self.known) > most:
            self.known.clear()
