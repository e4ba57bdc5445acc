"""Excel files for people: the template with lists to choose from, and the uploaded sheet with what is wrong marked."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import xlsxwriter
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.imports.checking import PROBLEM
from trace.imports.columns import Column, Sheet
from trace.imports.known import Known
from trace.tables import csv_table
from trace.text import printable
from trace.units import is_english

ROWS_CHECKED = 10_000
WIDEST = 34
COMMENTS_MOST = 2000


def template_book(sheet: Sheet, known: Known) -> bytes:
    """An Excel file to fill in: headings, one example row, drop-down lists from what the organisation has, and a page
    that explains every column.
    """
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    looks = _looks(book)
    page = book.add_worksheet(_("填写"))
    lists = _Lists(book.add_worksheet(_("说明")), book.add_worksheet(_("选项")), book, looks)
    lists.explain(sheet)
    for position, column in enumerate(sheet.columns):
        page.write_string(0, position, heading_of(column), looks["required" if column.required else "heading"])
        text = example_of(column, known, first=position == 0)
        page.write_string(1, position, text, looks["example"])
        page.set_column(position, position, min(WIDEST, max(12, 2 * len(heading_of(column)) + 2)), looks["text"])
        if str(column.hint):
            page.write_comment(0, position, str(column.hint), {"author": "", "x_scale": 1.6})
        words = column.offered() or (known.offers(column.offers) if column.offers else [])
        if words:
            page.data_validation(2, position, ROWS_CHECKED, position, lists.offer(column, words))
    page.freeze_panes(1, 0)
    page.set_row(0, 30)
    lists.page.hide()
    book.close()
    return out.getvalue()


def template_csv(sheet: Sheet, known: Known) -> bytes:
    """The headings and the example as CSV with the mark by which Excel knows UTF-8."""
    example = [example_of(column, known, first=not number) for number, column in enumerate(sheet.columns)]
    return csv_table([heading_of(column) for column in sheet.columns], [example])


def heading_of(column: Column) -> str:
    """The heading as the template shows it: required ones with a star."""
    return column.label() + (" *" if column.required else "")


def example_of(column: Column, known: Known, *, first: bool = False) -> str:
    """What the example row shows in a column; the first cell says that it is an example."""
    text = column.example
    if text == "today":
        text = timezone.localdate().isoformat()
    elif text == "first":
        text = next(iter(known.offers(column.offers or "places")), "")
    elif column.words and text:
        text = next((shown for word, shown in zip(column.words, column.offered(), strict=True) if word[0] == text), "")
    elif not text and column.offers and column.required:
        text = next(iter(known.offers(column.offers)), "")
    return _("示例：%(text)s") % {"text": text} if first else text


def _looks(book: Any) -> dict[str, Any]:
    """The formats of our sheets."""
    return {
        "text": book.add_format({"num_format": "@"}),
        "heading": book.add_format({"bold": True, "bg_color": "#E8EFE6", "text_wrap": True, "valign": "vcenter"}),
        "required": book.add_format(
            {"bold": True, "bg_color": "#2F5D3A", "font_color": "#FFFFFF", "text_wrap": True, "valign": "vcenter"}
        ),
        "example": book.add_format({"italic": True, "font_color": "#6B6B6B", "num_format": "@"}),
        "wrong": book.add_format({"bg_color": "#F9D9D6", "font_color": "#7A1F1A", "num_format": "@"}),
        "title": book.add_format({"bold": True, "font_size": 14}),
        "wrap": book.add_format({"text_wrap": True, "valign": "top"}),
    }


class _Lists:
    """The pages beside the one to fill in: explanations, and the words of the drop-down lists."""

    def __init__(self, help_page: Any, page: Any, book: Any, looks: Mapping[str, Any]) -> None:
        self.help_page, self.page, self.book, self.looks = help_page, page, book, looks
        self.used: dict[tuple[str, ...], str] = {}

    def offer(self, column: Column, words: Sequence[str]) -> dict[str, Any]:
        """A drop-down list; words that are not in it may be typed where the list is only a help."""
        key = tuple(words)
        if key not in self.used:
            position = len(self.used)
            self.page.write_string(0, position, column.label(), self.looks["heading"])
            for number, word in enumerate(words, start=1):
                self.page.write_string(number, position, word)
            name = xlsxwriter.utility.xl_col_to_name(position)
            self.used[key] = f"='{_('选项')}'!${name}$2:${name}${len(words) + 1}"
        return {
            "validate": "list",
            "source": self.used[key],
            "error_type": "stop" if column.words else "information",
            "error_title": _("请从列表中选择"),
            "error_message": _("请从列表中选择。"),
            "show_error": bool(column.words),
        }

    def explain(self, sheet: Sheet) -> None:
        """What to do, and each column in a line."""
        page = self.help_page
        page.set_column(0, 0, 26, self.looks["wrap"])
        page.set_column(1, 1, 8, self.looks["wrap"])
        page.set_column(2, 2, 80, self.looks["wrap"])
        page.write_string(0, 0, _("导入：%(what)s") % {"what": sheet.label()}, self.looks["title"])
        lines = [
            _("在“填写”页里每行填一条。深绿色表头（带 *）必填。示例行不会导入，可以保留。"),
            _("日期可写 2026-11-22、2026/11/22 或 2026年11月22日。数量可以连单位写，例如 500斤。"),
            _("请填写数值，不要用公式。填好后保存，在网页上上传；上传后先检查，确认后才写入，全部写入或全部不写入。"),
        ]
        for number, line in enumerate(lines, start=1):
            page.merge_range(number, 0, number, 2, line, self.looks["wrap"])
            page.set_row(number, 32)
        for position, word in enumerate([_("列"), _("必填"), _("说明")]):
            page.write_string(5, position, word, self.looks["heading"])
        for number, column in enumerate(sheet.columns, start=6):
            words = _("、").join(column.offered()[:12])
            notes = [str(column.hint), _("可填：%(words)s") % {"words": words} if words else ""]
            page.write_string(number, 0, column.label())
            page.write_string(number, 1, _("是") if column.required else "")
            page.write_string(number, 2, " ".join(note for note in notes if note))


def error_book(
    rows: Iterable[tuple[int, Sequence[Any]]], issues: Sequence[Mapping[str, Any]], *, heading_row: int = 1
) -> bytes:
    """The uploaded sheet again, row for row, wrong cells marked and commented, and a last column that says it in words.

    Made anew from what was read: nothing of the uploaded file itself goes back. It can be mended and uploaded as it is.
    """
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    looks = _looks(book)
    page = book.add_worksheet(_("填写"))
    by_cell: dict[int, dict[int, list[str]]] = {}
    for issue in issues:
        by_cell.setdefault(issue["row"], {}).setdefault(issue["column"], []).append(issue["message"])
    numbered = [(number, list(cells)) for number, cells in rows]
    reached = max((position for cells in by_cell.values() for position in cells), default=0)
    widest = max([len(cells) for _number, cells in numbered] + [reached + 1])
    old = _old_words(numbered, heading_row)
    comments = 0
    for number, cells in numbered:
        wrong = by_cell.get(number, {})
        for position in range(widest):
            text = _shown(cells[position]) if position < len(cells) and position != old else ""
            words = wrong.get(position)
            if text or words:
                page.write_string(number - 1, position, text, looks["wrong" if words else "text"])
            if words and comments < COMMENTS_MOST:
                page.write_comment(number - 1, position, "\n".join(words)[:2000], {"author": "", "x_scale": 2})
                comments += 1
        if number == heading_row:
            page.write_string(number - 1, widest, PROBLEM[1] if is_english(None) else PROBLEM[0], looks["heading"])
        elif wrong:
            page.write_string(number - 1, widest, "\n".join(word for each in wrong.values() for word in each)[:4000])
        if wrong and number == heading_row:
            page.write_comment(number - 1, widest, "\n".join(word for each in wrong.values() for word in each)[:2000])
    page.set_column(0, widest - 1, 16)
    page.set_column(widest, widest, 70)
    page.freeze_panes(heading_row, 0)
    book.close()
    return out.getvalue()


def _old_words(rows: Sequence[tuple[int, list[Any]]], heading_row: int) -> int:
    """Where an error workbook that was mended says what was wrong before; -1 where nothing does."""
    heading = next((each for number, each in rows if number == heading_row), [])
    return next((at for at, cell in enumerate(heading) if cell in PROBLEM), -1)


def _shown(cell: Any) -> str:
    """A cell as text; what was a formula is shown as one and runs nowhere."""
    if isinstance(cell, str):
        return cell
    return printable(str(cell.get("f") or cell.get("e") or ""), 200)
