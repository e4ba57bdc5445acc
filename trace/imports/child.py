"""Reads one strange spreadsheet in a process of its own, with little memory and little time.

Started by ``trace.imports.reading`` as a file (``python -I child.py``): bytes come by standard input, one JSON document
goes out. It imports nothing of the program. Whatever a file does to this process, it is only this process.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
import resource
import sys
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

MEMORY = 400 * 1024**2
CPU_SECONDS = 8
MOST_ROWS = 10_000
MOST_COLUMNS = 120
MOST_MEMBERS = 300
MOST_UNPACKED = 120 * 1024**2
MOST_RATIO = 250
CELL_MAX = 4_000
LAST_ROW = 30_000
_DOCTYPE = re.compile(rb"<\x00?!\x00?(D\x00?O\x00?C\x00?T\x00?Y\x00?P\x00?E|E\x00?N\x00?T\x00?I\x00?T\x00?Y)")
_SEPARATORS = ",;\t，；"
_END = "\n\x01end of the file\x01\n"
"""A line of our own after the last one: where it does not come back as a row, a quotation mark was left open."""


class Refused(Exception):
    """The file cannot be read; ``code`` says why."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details = details


def main() -> None:
    """Read standard input, write the answer: ``{"rows": [[number, [cell, …]], …]}`` or ``{"refused": code}``."""
    for limit, value in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(limit, (value, value))
    data = sys.stdin.buffer.read()
    try:
        answer: dict[str, Any] = {"rows": rows_of(data)}
    except Refused as error:
        answer = {"refused": error.code, **error.details}
    except MemoryError:
        answer = {"refused": "sheet_too_large"}
    sys.stdout.write(json.dumps(answer))


def rows_of(data: bytes) -> list[list[Any]]:
    """The rows that are not blank, each with its number in the sheet."""
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise Refused("sheet_old_excel")
    if data.startswith(b"PK"):
        return kept(workbook_rows(data))
    return kept(csv_rows(data))


def kept(rows: Iterable[tuple[int, list[Any]]]) -> list[list[Any]]:
    """Rows with something in them; refuses more than can be imported at once."""
    found: list[list[Any]] = []
    for number, cells in rows:
        while cells and cells[-1] == "":
            cells.pop()
        if not cells:
            continue
        if len(cells) > MOST_COLUMNS:
            raise Refused("too_many_columns", most=MOST_COLUMNS)
        if len(found) > MOST_ROWS:
            raise Refused("too_many_rows", most=MOST_ROWS)
        found.append([number, cells])
    return found


# --- Excel ----------------------------------------------------------------------------------------------------------


def check_archive(data: bytes) -> None:
    """Refuse archives that unpack to far more than they are, and documents that name outside things."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError):
        raise Refused("sheet_broken") from None
    members = archive.infolist()
    names = {member.filename for member in members}
    if "[Content_Types].xml" not in names or not any(name.startswith("xl/") for name in names):
        raise Refused("sheet_kind")
    if len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > MOST_UNPACKED:
        raise Refused("sheet_too_large")
    for member in members:
        if member.flag_bits & 1:
            raise Refused("sheet_locked")
        if member.file_size > 2**20 and member.file_size > MOST_RATIO * max(1, member.compress_size):
            raise Refused("sheet_too_large")
        if member.filename.endswith((".xml", ".rels")):
            check_head(archive, member)


def check_head(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """No document type, so no entities: neither outside ones nor ones that multiply."""
    try:
        with archive.open(member) as stream:
            head = stream.read(8192)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, OSError, EOFError, ValueError):
        raise Refused("sheet_broken") from None
    except RuntimeError:
        raise Refused("sheet_locked") from None
    if _DOCTYPE.search(head):
        raise Refused("sheet_entities")


def workbook_rows(data: bytes) -> Iterator[tuple[int, list[Any]]]:
    """The first sheet's rows as text, a stream: what lies beyond the last column is only counted."""
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    check_archive(data)
    warnings.simplefilter("ignore")
    # What the library raises for a malformed document differs by where it is malformed.
    broken = (InvalidFileException, ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, EOFError,
              SyntaxError, zipfile.BadZipFile, AssertionError, OverflowError, StopIteration, NotImplementedError,
              RecursionError, ArithmeticError)  # fmt: skip
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=False, keep_links=False)
        sheet = next((each for each in book.worksheets if each.sheet_state == "visible"), None)
        if sheet is None:
            raise Refused("sheet_broken")
        for number, cells in enumerate(sheet.iter_rows(max_col=MOST_COLUMNS + 1), start=1):
            if number > LAST_ROW:
                raise Refused("too_many_rows", most=MOST_ROWS)
            yield number, [cell_text(cell) for cell in cells] if any(cell.value is not None for cell in cells) else []
    except broken:
        raise Refused("sheet_broken") from None


def cell_text(cell: Any) -> Any:
    """A cell as text; ``{"f": …}`` a formula, ``{"e": …}`` an error, which nobody may take for a value."""
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "f" or (not isinstance(value, str | int | float | bool | datetime.date | datetime.time
                                                | datetime.timedelta)):  # fmt: skip
        return {"f": str(getattr(value, "text", value))[:200]}
    if cell.data_type == "e":
        return {"e": str(value)[:20]}
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, datetime.datetime):
        midnight = (value.hour, value.minute, value.second) == (0, 0, 0)
        return value.strftime("%Y-%m-%d") if midnight else value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        return value.strftime("%H:%M")
    if isinstance(value, float | int):
        return number_text(value)
    return plain(str(value))


def number_text(value: float) -> str:
    """A number without the digits a binary fraction adds and without an exponent.

    A file keeps 0.1 + 0.2 as 0.30000000000000004; spreadsheets show fifteen digits, and that is what was meant.
    """
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    exact = Decimal(format(value, ".15g") if isinstance(value, float) else str(value))
    if abs(exact) >= 10**20 or (exact and abs(exact) < Decimal("1e-12")):
        return str(value)
    text = format(exact, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain(text: str) -> str:
    """A text of bearable length that can stand in JSON and in a database."""
    text = text if len(text) <= CELL_MAX else text[:CELL_MAX] + "…"
    return text.replace("_x000D_", "").replace("\r\n", "\n").strip(" \t\r\n\u3000\u00a0\ufeff")


# --- CSV ------------------------------------------------------------------------------------------------------------


def csv_rows(data: bytes) -> Iterator[tuple[int, list[Any]]]:
    """The rows of a text file, whatever its encoding and separator are."""
    text = decoded(data)
    if "\x00" in text:
        raise Refused("sheet_kind")
    separator = separator_of(text)
    csv.field_size_limit(200_000)
    taken: list[str] = []
    lines = io.StringIO(text + _END, newline="")
    try:
        for number, cells in enumerate(csv.reader(noting(lines, taken), delimiter=separator), start=1):
            if cells == [_END.strip()]:
                return
            if len(taken) > 1:
                check_quotes(cells, "".join(taken), separator, number)
            taken.clear()
            yield number, [plain(cell) for cell in cells]
    except csv.Error:
        raise Refused("sheet_broken") from None


def separator_of(text: str) -> str:
    """The sign that stands in most of the first lines, of several the one as often in each of them.

    A title above the headings and remarks may have signs of their own: 天气好，下午采，共三车.
    """
    head = [line for line in text[:20_000].splitlines()[:50] if line.strip()][:5]

    def fits(sign: str) -> tuple[int, int, int]:
        found = [line.count(sign) for line in head if sign in line]
        return len(found), max(map(found.count, found), default=0), max(found, default=0)

    return max(_SEPARATORS, key=fits)


def noting(lines: Iterable[str], taken: list[str]) -> Iterator[str]:
    """Lines, each noted when it is taken."""
    for line in lines:
        taken.append(line)
        yield line


def check_quotes(cells: list[str], raw: str, separator: str, number: int) -> None:
    """Refuse a row in which a cell swallowed the rows after it, since a quotation mark before it was never closed: then
    the next one is no end of a cell, or a whole row stands in the cell. A remark of several lines may have commas.
    """
    try:
        next(csv.reader(io.StringIO(raw, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        raise Refused("sheet_quotes", row=number) from None
    whole = max(2, len(cells) - 1)
    for cell in cells:
        if cell.endswith(_END) or any(line.count(separator) >= whole for line in cell.splitlines()[1:]):
            raise Refused("sheet_quotes", row=number)


def decoded(data: bytes) -> str:
    """UTF-8 with or without its mark, UTF-16 with its mark or recognised by its zeros, else GB 18030 (GBK)."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        order = ["utf-16"]
    elif data[:2000].count(0) > len(data[:2000]) // 5:
        order = ["utf-16-le" if data[1:2000:2].count(0) > data[0:2000:2].count(0) else "utf-16-be"]
    else:
        order = ["utf-8-sig", "gb18030"]
    for encoding in order:
        try:
            return data.decode(encoding)
        except UnicodeError:
            continue
    raise Refused("sheet_encoding")


if __name__ == "__main__":
    main()
