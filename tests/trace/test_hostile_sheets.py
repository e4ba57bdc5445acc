"""Hostile spreadsheets (reliability scenario 10): each is refused with a sentence in ten seconds and hurts nobody.

The file is read in a child process; its largest memory and its time are measured here.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.trace.sheets import comma, excel, upload
from tests.world import World
from trace.errors import Invalid
from trace.imports.reading import read_sheet
from trace.models import Event, SheetImport

CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.'
    'sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-'
    'officedocument.spreadsheetml.worksheet+xml"/></Types>'
)
RELS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" '
    'Target="{target}"/></Relationships>'
)
BOOK = (
    '<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
    '<sheets><sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>'
)
SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{dimension}<sheetData>{rows}</sheetData></worksheet>'


def package(sheet: str, *, head: str = "", more: dict[str, bytes] | None = None) -> bytes:
    """An Excel file written by hand, with this worksheet."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        archive.writestr("_rels/.rels", RELS.format(kind="officeDocument", target="xl/workbook.xml"))
        archive.writestr("xl/workbook.xml", BOOK)
        archive.writestr("xl/_rels/workbook.xml.rels", RELS.format(kind="worksheet", target="worksheets/sheet1.xml"))
        archive.writestr("xl/worksheets/sheet1.xml", head + sheet)
        for name, data in (more or {}).items():
            archive.writestr(name, data)
    return out.getvalue()


def cell(reference: str, text: str = "1") -> str:
    """One cell with a number."""
    return f'<c r="{reference}"><v>{text}</v></c>'


def sparse() -> bytes:
    """One cell at the very end of the largest sheet there can be."""
    rows = f'<row r="1">{cell("A1")}</row><row r="1048576">{cell("XFD1048576")}</row>'
    return package(SHEET.format(dimension='<dimension ref="A1:XFD1048576"/>', rows=rows))


@cache
def bomb() -> bytes:
    """500 MB when unpacked, half a megabyte on the way."""
    out = io.BytesIO(package(SHEET.format(dimension="", rows="")))
    with (
        zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("xl/sharedStrings.xml", "w") as part,
    ):
        for _megabyte in range(500):
            part.write(b" " * 2**20)
    return out.getvalue()


def lying_bomb() -> bytes:
    """The same, with sizes in the directory that say it is small."""
    data = bytearray(bomb())
    at = data.rindex(b"PK\x01\x02")
    while data[at + 46 : at + 66] != b"xl/sharedStrings.xml":
        at = data.rindex(b"PK\x01\x02", 0, at)
    data[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    return bytes(data)


def wide() -> bytes:
    """A million columns in one row, without references."""
    return package(SHEET.format(dimension="", rows="<row>" + "<c><v>1</v></c>" * 1_000_000 + "</row>"))


def entities() -> bytes:
    """An entity that names a file of the server."""
    head = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    return package(
        SHEET.format(dimension="", rows='<row r="1"><c r="A1" t="inlineStr"><is><t>&e;</t></is></c></row>'), head=head
    )


def laughs() -> bytes:
    """Entities that multiply."""
    names = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    head = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{names}]>'
    return package(
        SHEET.format(dimension="", rows='<row r="1"><c r="A1" t="inlineStr"><is><t>&l11;</t></is></c></row>'), head=head
    )


def many_members() -> bytes:
    """An archive of thousands of parts."""
    return package(SHEET.format(dimension="", rows=""), more={f"xl/media/{n}.xml": b"<a/>" for n in range(5000)})


def long_sheet() -> bytes:
    """A hundred thousand rows."""
    return package(
        SHEET.format(dimension="", rows="".join(f'<row r="{n}">{cell(f"A{n}")}</row>' for n in range(1, 100_001)))
    )


def torn() -> bytes:
    """An Excel file that ends in the middle."""
    data = excel([["a", "b"]] * 50)
    return data[: len(data) // 2]


def nonsense() -> bytes:
    """A worksheet that is no XML."""
    return package("<worksheet><sheetData><row><c r='!!'><v>\x01")


HOSTILE: list[tuple[Callable[[], bytes], set[str]]] = [
    (sparse, {"too_many_rows"}),
    (bomb, {"sheet_too_large"}),
    (lying_bomb, {"sheet_too_large", "sheet_broken"}),
    (wide, {"sheet_too_large", "too_many_columns"}),
    (entities, {"sheet_entities"}),
    (laughs, {"sheet_entities"}),
    (many_members, {"sheet_too_large"}),
    (long_sheet, {"too_many_rows"}),
    (torn, {"sheet_broken"}),
    (nonsense, {"sheet_broken"}),
    (lambda: comma([["a", "b"]] * 100_000), {"too_many_rows"}),
    (lambda: b"," * 1_000_000, {"sheet_empty", "too_many_columns"}),
    (lambda: b'"' + b"a" * 5_000_000, {"sheet_broken"}),
    (lambda: bytes(range(256)) * 1000, {"sheet_kind", "sheet_encoding", "sheet_broken"}),
    (lambda: b"\xd0\xcf\x11\xe0" + b"x" * 1000, {"sheet_old_excel"}),
    (lambda: b"PK\x03\x04 nothing", {"sheet_broken"}),
    (lambda: b"%PDF-1.7\n%\xff\xfe\xfd\xff", {"sheet_kind", "sheet_encoding", ""}),
]


METER = """
import json, resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([used.ru_maxrss / 1024, used.ru_utime], file)
raise SystemExit(min(abs(code), 99))
"""
"""Runs a command as its only child and writes what it took: MB at most, seconds of the processor."""


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_file_is_refused_within_ten_seconds_and_512_mb(
    number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The largest memory of "all children" would count every process that earlier tests have started.
    used = tmp_path / "used.json"
    run = subprocess.run

    def metered(command: list[str], **options: Any) -> Any:
        return run([sys.executable, "-I", "-c", METER, str(used), *command], **options)

    monkeypatch.setattr("trace.imports.reading.subprocess.run", metered)
    make, expected = HOSTILE[number]
    data = make()
    started = time.monotonic()
    try:
        lines = read_sheet(data)
    except Invalid as error:
        code, message = error.code, error.message
    else:
        code, message = "", "read"
        assert len(lines) <= 2
    took = time.monotonic() - started
    assert code in expected, f"{code}: {message}"
    assert message
    assert took < 10, f"{took:.1f} s"
    if used.exists():
        # A file that is refused before a process starts has used none.
        megabytes, seconds = json.loads(used.read_text())
        assert megabytes < 512, f"{megabytes:.0f} MB"
        assert seconds < 9, f"{seconds:.1f} s"


@pytest.mark.django_db
def test_a_hostile_upload_ends_as_unreadable_with_a_sentence_and_writes_nothing(world: World) -> None:
    for data in (bomb(), entities(), torn()):
        row = upload(world.walnuts, "products", data)
        assert row.status == "unreadable"
        assert row.problem
        assert row.file is None
    assert not Event.objects.exists()
    assert SheetImport.objects.count() == 3


@pytest.mark.django_db
def test_cells_that_would_run_elsewhere_stay_text(world: World) -> None:
    row = upload(
        world.walnuts, "products", comma([["内部编号", "品名"], ["=cmd|' /C calc'!A0", "<script>alert(1)</script>"]])
    )
    assert row.status == "faulty"
    assert {issue["code"] for issue in row.issues} == {"column_missing"}
