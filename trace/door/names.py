"""The names an organisation's events use, read and made hundreds at a time (``EpcisName``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from trace.models import EpcisName, Organisation
from trace.rows import insert_unless_there, numbered
from trace.rows import new as row

CHUNK = 400
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

    def load(self, keys: Iterable[Key]) -> None:
        """Read these names and make those that are not there."""
        missing: dict[str, dict[str, None]] = defaultdict(dict)
        for key in keys:
            if key not in self.known:
                missing[key[0]][key[1]] = None
        for kind, values in missing.items():
            for part in chunks(list(values)):
                for found in EpcisName.objects.filter(owner=self.owner, kind=kind, value__in=part):
                    self.known[(kind, found.value)] = found
        new = [
            row(EpcisName, owner=self.owner, kind=kind, value=value)
            for kind, values in missing.items()
            for value in values
            if (kind, value) not in self.known
        ]
        if insert_unless_there(numbered(new)):
            self.known |= {(each.kind, each.value): each for each in new}
        else:
            # Whoever indexes the log met some of them meanwhile, without the head of the log.
            self.load((each.kind, each.value) for each in new)

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
