"""Tables for spreadsheets: CSV that opens with its Chinese intact and runs no formula."""

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# The full-width forms count as well: spreadsheets in Chinese take them for the others.


def plain_cell(value: object) -> str:
    """The value as text that no spreadsheet takes for a formula: such text gets an apostrophe in front.

    Numbers stay numbers; None is empty.
    """
    if value is None:
        return ""
    text = str(value)
    if text.startswith(_FORMULA) and not _is_number(text):
        return f"'{text}"
    return text


def _is_number(text: str) -> bool:
    """A plain signed decimal number."""
    return text[1:].replace(".", "", 1).isascii() and text[1:].replace(".", "", 1).isdigit() and text[0] in "+-"


def csv_table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV file (RFC 4180) in UTF-8 with byte order mark, by which spreadsheet programs know the encoding."""
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow([plain_cell(cell) for cell in header])
    for row in rows:
        writer.writerow([plain_cell(cell) for cell in row])
    return b"\xef\xbb\xbf" + lines.getvalue().encode()
