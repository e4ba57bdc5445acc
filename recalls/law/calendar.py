"""Chinese working days: a table of known days, and Monday to Friday, marked provisional, beyond it.

The State Council announces holidays and make-up working days (调休) a year at a time, usually in November. A
plain Monday-to-Friday count gets about a third of ten-working-day limits wrong, so the days are data; days
nobody has announced yet are guessed, and every answer that rests on a guess says so (暂定).
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

WORKDAYS_CSV = Path(__file__).resolve().parent.parent / "data" / "workdays.csv"

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayRow:
    """One row of the table. ``official`` is true when the row comes from a published holiday notice."""

    on: date
    is_workday: bool
    official: bool = True


@dataclass(frozen=True, slots=True)
class Count:
    """The answer of a count of working days.

    ``last_day`` is the day reached; ``rest_days`` were passed over, ``makeup_days`` are Saturdays and Sundays
    that counted; ``unknown_from`` is the first day passed that no official row covers, None when all were
    covered.
    """

    last_day: date
    rest_days: int = 0
    makeup_days: int = 0
    unknown_from: date | None = None


class WorkCalendar:
    """The days known so far, and the guess beyond them. Immutable: a loaded notice makes a new one."""

    def __init__(self, rows: Iterable[DayRow]) -> None:
        self._rows: Mapping[date, DayRow] = {row.on: row for row in rows}

    def is_workday(self, on: date) -> bool:
        """Whether offices work on that day; Monday to Friday where no row says otherwise."""
        row = self._rows.get(on)
        return row.is_workday if row is not None else on.weekday() < 5

    def is_official(self, on: date) -> bool:
        """Whether a published notice covers the day."""
        row = self._rows.get(on)
        return row is not None and row.official

    def add_workdays(self, start: date, amount: int) -> Count:
        """The ``amount``-th working day after ``start``; the starting day itself is not counted (民法典 art.
        201).

        Refuses a negative amount with ValueError: the law does not count backwards.
        """
        if amount < 0:
            raise ValueError("a number of working days cannot be negative")
        return self._walk(start, amount)

    def next_workday_from(self, on: date) -> Count:
        """``on`` if it is a working day, else the first one after it (民法典 art. 203)."""
        return self._walk(on - ONE_DAY, 1)

    def _walk(self, start: date, amount: int) -> Count:
        """Step forward from the day after ``start`` until ``amount`` working days were met."""
        day, left, rest, makeup = start, amount, 0, 0
        unknown: date | None = None
        while left:
            day += ONE_DAY
            if unknown is None and not self.is_official(day):
                unknown = day
            if self.is_workday(day):
                left -= 1
                makeup += day.weekday() >= 5
            else:
                rest += 1
        return Count(day, rest, makeup, unknown)


def read_workdays(path: Path = WORKDAYS_CSV) -> Iterator[DayRow]:
    """The rows of a calendar file: ``date,is_workday,holiday``; lines that begin with ``#`` are its source
    note.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        lines = (line for line in stream if not line.startswith("#"))
        for row in csv.DictReader(lines):
            yield DayRow(date.fromisoformat(row["date"]), row["is_workday"] == "1")


LONGEST_FILE = 800
"""Rows of one notice: two years and a little."""


def parse_workdays(text: str) -> list[DayRow]:
    """The rows of a calendar file given as text, checked: in order, every day once, none left out.

    Refuses with ValueError, whose text begins with the number of the line, 0 where the file as a whole is wrong.
    """
    lines = [(n, line.strip()) for n, line in enumerate(text.lstrip("\ufeff").splitlines(), 1)]
    lines = [(n, line) for n, line in lines if line and not line.startswith("#")]
    if lines and lines[0][1].startswith("date"):
        del lines[0]
    if not lines or len(lines) > LONGEST_FILE:
        raise ValueError("0")
    rows: list[DayRow] = []
    for number, line in lines:
        cells = [cell.strip() for cell in line.split(",")]
        try:
            on = date.fromisoformat(cells[0])
        except ValueError:
            raise ValueError(str(number)) from None
        if len(cells) < 2 or cells[1] not in ("0", "1") or (rows and on != rows[-1].on + ONE_DAY):
            raise ValueError(str(number))
        rows.append(DayRow(on, cells[1] == "1"))
    return rows


@lru_cache(maxsize=1)
def seed_calendar() -> WorkCalendar:
    """The calendar shipped with the program (2024 to 2026)."""
    return WorkCalendar(read_workdays())
