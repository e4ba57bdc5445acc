"""What tests of imports share: real files built on the spot, and an upload carried to its end."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import xlsxwriter

from trace.actions.imports import confirm_import, run_next_import, upload_sheet
from trace.actor import Actor
from trace.imports.columns import Sheet, sheet_for
from trace.models import SheetImport


def excel(rows: Sequence[Sequence[Any]]) -> bytes:
    """An Excel file with these rows; dates as Excel dates, texts as texts."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "default_date_format": "yyyy-mm-dd"})
    page = book.add_worksheet()
    for number, row in enumerate(rows):
        for position, cell in enumerate(row):
            if cell != "":
                page.write(number, position, cell)
    book.close()
    return out.getvalue()


def comma(rows: Sequence[Sequence[Any]], *, encoding: str = "utf-8", separator: str = ",") -> bytes:
    """The same as CSV."""
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows(rows)
    return out.getvalue().encode(encoding)


def table(sheet: Sheet, facts: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Rows of a sheet from values by column key, under the template's own headings."""
    keys = [column.key for column in sheet.columns]
    unknown = {key for fact in facts for key in fact} - set(keys)
    assert not unknown, f"no such columns: {unknown}; there are {keys}"
    return [[column.label() for column in sheet.columns], *([fact.get(key, "") for key in keys] for fact in facts)]


def steps_file(code: str, facts: Sequence[Mapping[str, Any]]) -> bytes:
    """An Excel file of one kind of step."""
    return excel(table(sheet_for("steps", code), facts))


def upload(by: Actor, kind: str, data: bytes, *, step: str = "", name: str = "示例.xlsx") -> SheetImport:
    """Upload a file and let the worker check it."""
    row = upload_sheet(by=by, kind=kind, step=step, name=name, data=data)
    run_next_import()
    row.refresh_from_db()
    return row


def imported(by: Actor, kind: str, data: bytes, *, step: str = "", insist: Sequence[str] = ()) -> SheetImport:
    """Upload, check, confirm, write; fails with what was wrong."""
    row = upload(by, kind, data, step=step)
    assert row.status == "ready", (row.status, row.problem, row.issues[:5])
    confirm_import(row=row, by=by, insist=insist)
    assert run_next_import()
    row.refresh_from_db()
    assert row.status == "done", (row.status, row.problem, row.issues[:5])
    return row


def codes(row: SheetImport) -> list[str]:
    """The codes of what is wrong, in order."""
    return [issue["code"] for issue in row.issues]
