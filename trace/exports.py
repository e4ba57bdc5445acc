"""Every list as a file: CSV or Excel, the same rows as the page with the same filters, in the reader's language.

A list declares its columns once (``Table``). Rows are read and written a thousand at a time, so a hundred thousand cost
time and no memory. No cell is ever a formula: text that a spreadsheet would run gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import datetime
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Any

import xlsxwriter
from django.conf import settings
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.functional import Promise

from trace.tables import plain_cell
from trace.units import decimal_text

CHUNK = 1_000
SHEET_ROWS = 1_000_000
"""Rows of one worksheet (Excel ends at 1,048,576); what is more goes on the next."""
CELL_MAX = 32_000
FORMATS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
Cell = str | int | Decimal | datetime.date | datetime.datetime | Promise | None
Rows = QuerySet[Any, Any] | Iterable[Any]


@dataclass(frozen=True)
class Column:
    """One column: its heading and what stands in it for one row."""

    label: str | Promise
    value: Callable[[Any], Cell]


@dataclass(frozen=True)
class Table:
    """A list as a file: the file's name, its columns, and what one chunk of rows needs before cells can be made.

    ``lines`` turns a chunk of rows into the things the columns look at (the rows themselves where it is left out): one
    row may give several lines, and queries are made per chunk, never per row.
    """

    name: str
    columns: Sequence[Column]
    lines: Callable[[Sequence[Any]], Iterable[Any]] | None = None

    def header(self) -> list[str]:
        """The headings in the current language."""
        return [str(column.label) for column in self.columns]

    def cells(self, rows: Sequence[Any]) -> list[list[Cell]]:
        """The cells of one chunk of rows, in the current language."""
        found = self.lines(rows) if self.lines is not None else rows
        return [[_evaluated(column.value(line)) for column in self.columns] for line in found]


def _evaluated(cell: Cell) -> Cell:
    """Lazy words become words while the language is set."""
    return str(cell) if isinstance(cell, Promise) else cell


def micros(amount: int | None) -> Decimal | None:
    """Millionths as the exact decimal a cell holds."""
    return None if amount is None else Decimal(decimal_text(amount))


def asked_format(request: HttpRequest) -> str:
    """``csv`` or ``xlsx`` where the address asks for a file, else empty: the page."""
    asked = request.GET.get("format", "")
    return asked if asked in FORMATS else ""


def export(request: HttpRequest, table: Table, rows: Rows) -> HttpResponseBase:
    """The rows as the file the address asks for, in the reader's language."""
    language = translation.get_language() or settings.LANGUAGE_CODE
    if asked_format(request) == "xlsx":
        return _xlsx(table, rows, language)
    answer = StreamingHttpResponse(_csv(table, rows, language), content_type=FORMATS["csv"])
    answer["Content-Disposition"] = f'attachment; filename="{table.name}.csv"'
    answer["Cache-Control"] = "private, no-store"
    return answer


def export_rows(
    request: HttpRequest, name: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]
) -> HttpResponseBase:
    """Rows whose cells are ready, as the file the address asks for. They may be a generator: it is asked for a thousand
    at a time, in the reader's language.
    """
    columns = [Column(words, itemgetter(place)) for place, words in enumerate(header)]
    return export(request, Table(name, columns), rows)


def _chunks(table: Table, rows: Rows, language: str) -> Iterator[list[list[Cell]]]:
    """The cells, a thousand rows at a time. The language is set only while a chunk is made: between two chunks the
    server may serve somebody else on this thread.
    """
    source = rows.iterator(chunk_size=CHUNK) if isinstance(rows, QuerySet) else iter(rows)
    while True:
        with translation.override(language):
            chunk: list[Any] = []
            for row in source:
                chunk.append(row)
                if len(chunk) == CHUNK:
                    break
            cells = table.cells(chunk) if chunk else []
        if not chunk:
            return
        yield cells


def _csv(table: Table, rows: Rows, language: str) -> Iterator[bytes]:
    """CSV (RFC 4180) in UTF-8 with byte order mark, by which spreadsheet programs know the encoding."""
    with translation.override(language):
        header = table.header()
    yield b"\xef\xbb\xbf" + _lines([header])
    for cells in _chunks(table, rows, language):
        yield _lines(cells)


def _lines(rows: Iterable[Sequence[Cell]]) -> bytes:
    """Some rows as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([plain_cell(_text(cell)) for cell in row])
    return text.getvalue().encode()


def _text(cell: Cell) -> object:
    """A cell as CSV writes it: days and moments of China in ISO 8601."""
    if isinstance(cell, datetime.datetime):
        return timezone.localtime(cell).strftime("%Y-%m-%d %H:%M")
    return cell.isoformat() if isinstance(cell, datetime.date) else cell


def _xlsx(table: Table, rows: Rows, language: str) -> FileResponse:
    """An Excel workbook, written row by row through a temporary file."""
    # The response closes it; a name is not needed.
    file = tempfile.TemporaryFile()  # noqa: SIM115
    book = xlsxwriter.Workbook(
        file,
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "default_date_format": "yyyy-mm-dd",
        },
    )
    bold, moment = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
    with translation.override(language):
        header = table.header()
    sheet, number = None, SHEET_ROWS
    for cells in _chunks(table, rows, language):
        for row in cells:
            if number >= SHEET_ROWS:
                sheet, number = _sheet(book, header, bold), 0
            number += 1
            _write(sheet, number, row, moment)
    if sheet is None:
        _sheet(book, header, bold)
    book.close()
    file.seek(0)
    answer = FileResponse(file, content_type=FORMATS["xlsx"], as_attachment=True, filename=f"{table.name}.xlsx")
    answer["Cache-Control"] = "private, no-store"
    return answer


def _sheet(book: Any, header: Sequence[str], bold: Any) -> Any:
    """One more worksheet with its heading, which stays in view."""
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, max(len(header) - 1, 0), 16)
    for place, words in enumerate(header):
        sheet.write_string(0, place, plain_cell(words), bold)
    return sheet


def _write(sheet: Any, number: int, row: Sequence[Cell], moment: Any) -> None:
    """One row: numbers as numbers, days as days, everything else as text."""
    for place, cell in enumerate(row):
        if cell is None or cell == "":
            continue
        if isinstance(cell, datetime.datetime):
            sheet.write_datetime(number, place, timezone.localtime(cell).replace(tzinfo=None), moment)
        elif isinstance(cell, datetime.date):
            sheet.write_datetime(number, place, datetime.datetime.combine(cell, datetime.time()))
        elif isinstance(cell, int | Decimal) and -(10**15) < cell < 10**15:
            sheet.write_number(number, place, cell)
        else:
            sheet.write_string(number, place, plain_cell(cell)[:CELL_MAX])
