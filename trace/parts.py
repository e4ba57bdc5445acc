"""What the page parts in ``templates/trace/parts`` are given: one small dataclass per part, filled by views.

They carry words and numbers that are ready to be shown; a part only lays them out. Values may be plain text
(escaped by the template) or safe HTML made by a template tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of a summary list: a fact's name and value, who said it, its old value, a link to change it.

    ``source`` is one of the codes of ``SOURCES`` in the tag library; an empty ``value`` is shown as 未提供.
    """

    label: Any
    value: Any = ""
    source: str = ""
    url: str = ""
    action: Any = ""
    old: Any = ""


@dataclass(frozen=True)
class Task:
    """One step of a task list: ``state`` is a badge state (todo, open, done, late …), ``words`` its words."""

    label: Any
    state: str
    url: str = ""
    hint: Any = ""
    words: Any = ""


@dataclass(frozen=True)
class Entry:
    """One entry of a time line.

    ``offset`` is the entered offset in minutes, ``precision`` minute or day; ``old`` is struck through.
    """

    at: datetime | date
    title: Any
    place: Any = ""
    text: Any = ""
    who: Any = ""
    source: str = ""
    url: str = ""
    icon: str = ""
    old: Any = ""
    tone: str = ""
    precision: str = "minute"
    offset: int | None = None


@dataclass(frozen=True)
class Number:
    """One number tile. ``value`` is a ready text or a number (grouped in thousands); ``None`` reads 不明."""

    label: Any
    value: Any
    unit: Any = ""
    note: Any = ""
    tone: str = ""
    url: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a simple table; numeric ones stand to the right."""

    label: Any
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A simple table; each row has one cell per column and the first cell names the row."""

    caption: Any
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]] = field(default_factory=tuple)

    @property
    def lines(self) -> list[list[tuple[Column, Any]]]:
        """The rows with each cell beside its column, as a phone's card shows them."""
        return [list(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Share:
    """One share of a whole (returned, destroyed, unknown …): ``amount`` in one unit, ``text`` for people."""

    label: Any
    amount: int
    tone: str = "good"
    text: Any = ""
