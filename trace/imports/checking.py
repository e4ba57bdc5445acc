"""From the rows of a sheet to what the actions take, and from refusals to the cells they are about.

A step's rows are read by the reader of the step's form (``trace.forms.step_reading``) with a sheet in the form's place,
so that a sheet and a form mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from django.utils.translation import gettext as _

from trace.actions.organisations import APPLICANT_KINDS
from trace.actions.registry import PlaceInput, ProductInput, VersionInput
from trace.actions.steps import NewParty, StepEntry
from trace.actor import Actor
from trace.errors import DomainError, GuardBroken, Invalid
from trace.event_templates import TemplateField
from trace.forms.step_reading import Reader
from trace.imports.columns import EXAMPLE_MARKS, GROUP, INSIST, Column, Sheet
from trace.imports.earlier import leans
from trace.imports.known import Known
from trace.imports.reading import Line
from trace.models import Lot, Organisation, Place, Product
from trace.packs import sizes_of
from trace.steps import Plan
from trace.text import clean_int, clean_text, fold_width
from trace.units import EnteredAmount, parse_amount, split_amount

if TYPE_CHECKING:
    from trace.forms.steps import StepForm

_HEADING = re.compile(r"[\s*＊]+")
_DAY_AND_TIME = re.compile(r"(.+?)[\sT]+([0-9]{1,2}:[0-9]{2})(?::[0-9]{2})?")
_WILD = re.compile(r"-([0-9]+)-")
_REMARK_MAX = 2000
Cells = Container[tuple[int, int]]
"""Cells by row number and position of the column."""
PROBLEM = ("问题（不导入）", "What is wrong (not imported)")
"""Heading of the column in which an error workbook says what is wrong; such a column is not read."""


@dataclass(frozen=True)
class Issue:
    """One thing wrong in one cell: the row's number in the sheet, the column's position (0 = first; -1 = the whole
    row), the code and the sentence. ``guards`` are codes of rules that the fact breaks, empty for wrong input;
    ``insistable`` whether it could be recorded all the same.
    """

    row: int
    column: int
    code: str
    message: str
    guards: tuple[str, ...] = ()
    insistable: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For the database."""
        return {**asdict(self), "guards": list(self.guards)}


@dataclass
class Facts:
    """One thing to write: a product, a place or a step; with the lines it stands in.

    ``half``: a cell could not be read, so the rest is only looked at for what else is wrong.
    """

    lines: list[Line]
    product: tuple[ProductInput, VersionInput] | None = None
    place: PlaceInput | None = None
    entry: StepEntry | None = None
    insist: bool = False
    makes: Sequence[Lot | None] = ()
    half: bool = False


@dataclass
class Checked:
    """What a sheet says: facts that could be read, and what was wrong."""

    facts: list[Facts] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    total: int = 0
    promised: dict[int, int] = field(default_factory=dict)

    @property
    def leaning(self) -> bool:
        """Whether a row needs what a row before it brings about, or writes down a party."""
        return any(facts.entry is not None and leans(facts.entry) for facts in self.facts)


class Heading:
    """Which column of the sheet is which: by its name in either language, in any order."""

    def __init__(self, sheet: Sheet, line: Line) -> None:
        self.sheet = sheet
        self.line = line
        self.positions: dict[str, int] = {}
        self.issues: list[Issue] = []
        names = {_plain(word): column for column in sheet.columns for word in (column.zh, column.en)}
        problems = {_plain(word) for word in PROBLEM}
        for position, cell in enumerate(line.cells):
            text = cell if isinstance(cell, str) else ""
            if not text.strip():
                continue
            found = names.get(_plain(text))
            if _plain(text) in problems:
                continue  # what an error workbook of ours added
            if found is None:
                self._refuse(
                    position,
                    "column_unknown",
                    _("模板里没有“%(name)s”这一列。请删去这一列，或使用下载的模板。") % {"name": text[:40]},
                )
            elif found.key in self.positions:
                self._refuse(
                    position, "column_twice", _("“%(name)s”这一列出现了两次，请删去一列。") % {"name": text[:40]}
                )
            else:
                self.positions[found.key] = position
        missing = [each.label() for each in sheet.columns if each.required and each.key not in self.positions]
        if missing:
            words = _("、").join(missing)
            self._refuse(-1, "column_missing", _("缺少必填的列：%(names)s。请使用下载的模板。") % {"names": words})

    def _refuse(self, position: int, code: str, message: str) -> None:
        self.issues.append(Issue(self.line.number, position, code, message))


def _plain(text: str) -> str:
    return _HEADING.sub("", fold_width(text)).casefold()


def find_heading(sheet: Sheet, lines: Sequence[Line]) -> tuple[Heading, Sequence[Line]]:
    """The heading among the first rows and the rows after it, without the example. Titles above it may stand."""
    best = max(range(min(5, len(lines))), key=lambda number: (len(Heading(sheet, lines[number]).positions), -number))
    heading = Heading(sheet, lines[best])
    rows = [line for line in lines[best + 1 :] if not _is_example(line)]
    return heading, rows


def _is_example(line: Line) -> bool:
    first = next((cell for cell in line.cells if cell != ""), "")
    return isinstance(first, str) and first.startswith(EXAMPLE_MARKS)


class Row:
    """One line by the columns' keys; refuses formulas and error values where they stand."""

    def __init__(self, heading: Heading, line: Line, issues: list[Issue]) -> None:
        self.heading = heading
        self.line = line
        self.issues = issues
        self.failed = False

    def text(self, key: str) -> str:
        """What stands in a column, or nothing."""
        position = self.heading.positions.get(key, -1)
        cell = self.line.cells[position] if 0 <= position < len(self.line.cells) else ""
        return cell if isinstance(cell, str) else ""

    def check_cells(self) -> None:
        """Refuse what is no value: a formula's result is whatever the program that wrote the file thought it was."""
        for key, position in self.heading.positions.items():
            cell = self.line.cells[position] if position < len(self.line.cells) else ""
            if isinstance(cell, str):
                continue
            if "f" in cell:
                message = _("这里是公式。请复制后用“选择性粘贴 → 数值”粘贴成数值。")
                self.refuse(key, Invalid(message, code="cell_formula"))
            else:
                message = _("这里是错误值（%(value)s）。请改成正确的内容。") % {"value": cell.get("e", "")}
                self.refuse(key, Invalid(message, code="cell_error"))
        if len(self.line.cells) > len(self.heading.line.cells):
            extra = [cell for cell in self.line.cells[len(self.heading.line.cells) :] if cell != ""]
            if extra:
                position = len(self.heading.line.cells)
                message = _("这一格在表头以外，没有对应的列。请删去。")
                self.failed = True
                self.issues.append(Issue(self.line.number, position, "cell_outside", message))

    def refuse(self, key: str, error: DomainError) -> None:
        """Note a refusal at a column; one per cell."""
        self.failed = True
        position = self.heading.positions.get(key, -1)
        if any(each.row == self.line.number and each.column == position >= 0 for each in self.issues[-40:]):
            return
        self.issues.append(issue_of(self.line.number, position, error))


def issue_of(row: int, column: int, error: DomainError) -> Issue:
    """A refusal as an issue of a cell."""
    if isinstance(error, GuardBroken):
        codes = tuple(sorted({guard.code for guard in error.broken}))
        return Issue(row, column, error.code, error.message, codes, error.insistable)
    return Issue(row, column, error.code, error.message)


# --- All of a sheet -------------------------------------------------------------------------------------------------


def check_sheet(sheet: Sheet, lines: Sequence[Line], actor: Actor) -> Iterator[tuple[Facts | None, Checked]]:
    """Read a sheet row by row: yields what was read of each fact (None where refused) with all so far.

    Asks the database a fixed number of times, and once per three hundred different names.
    """
    checked = Checked()
    heading, rows = find_heading(sheet, lines)
    checked.issues += heading.issues
    checked.total = len(rows)
    if heading.issues:
        yield None, checked
        return
    if not rows:
        checked.issues.append(Issue(0, -1, "no_rows", _("表里没有要导入的行。请在表头下面填写。")))
        yield None, checked
        return
    known = Known(actor)
    if sheet.plan is None:
        read = _read_product if sheet.kind == "products" else _read_place
        for line in rows:
            row = Row(heading, line, checked.issues)
            row.check_cells()
            found = read(row, known, sheet)
            if found is not None:
                found.half = row.failed
                checked.facts.append(found)
            yield found, checked
        return
    _look_up(known, heading, rows, sheet)
    reader = _StepRows(sheet, sheet.plan, known, heading, checked.issues)
    checked.promised = known.promised.rows
    for group in _groups(heading, rows):
        found = reader.read_group(group)
        if found is not None:
            checked.facts.append(found)
        yield found, checked


def _look_up(known: Known, heading: Heading, rows: Sequence[Line], sheet: Sheet) -> None:
    """Find the lots and parties of the whole sheet at once."""
    issues: list[Issue] = []
    cells = [Row(heading, line, issues) for line in rows]
    lots = {row.text(key) for row in cells for key in ("inputs-*-lot", "subjects-*-lot")} - {""}
    references = [column.key for column in sheet.columns if column.key.startswith("d_")]
    parties = {row.text("party") for row in cells} - {""}
    plan = cast("Plan", sheet.plan)
    for each in plan.fields:
        if f"d_{each.key}" in references and each.type == "ref:Organisation":
            parties |= {row.text(f"d_{each.key}") for row in cells} - {""}
        if f"d_{each.key}" in references and each.type == "ref:Lot":
            lots |= {row.text(f"d_{each.key}") for row in cells} - {""}
    words = {word.partition(" · ")[0] for word in lots} | lots
    known.read_lots([word for word in words if len(word) <= 60 and "\x00" not in word])
    known.read_parties([word for word in parties if len(word) <= 160 and "\x00" not in word])


def _groups(heading: Heading, rows: Sequence[Line]) -> Iterator[list[Line]]:
    """Rows of one event: those with the same number in the column for it, wherever they stand."""
    issues: list[Issue] = []
    groups: dict[str, list[Line]] = {}
    for line in rows:
        name = fold_width(Row(heading, line, issues).text(GROUP)).strip()
        groups.setdefault(f"g{name}" if name else f"r{line.number}", []).append(line)
    yield from groups.values()


# --- Products and places --------------------------------------------------------------------------------------------


def _words(row: Row, sheet: Sheet) -> dict[str, str]:
    """The texts of a line with chosen words as their values; a required cell may not be blank."""
    values: dict[str, str] = {}
    for column in sheet.columns:
        text = row.text(column.key)
        values[column.key] = column.value(text) if column.words else text
        if column.required and not text.strip():
            row.refuse(column.key, Invalid(_("这一项必须填写。"), code="required"))
    return values


def _read_product(row: Row, known: Known, sheet: Sheet) -> Facts | None:
    values = _words(row, sheet)
    standard = known.standard(values["standard"]) if values["standard"].strip() else None
    days: int | None = None
    if values["shelf_life_days"].strip():
        try:
            days = clean_int(re.sub(r"天|days?", "", values["shelf_life_days"]), 1, 36_500)
        except Invalid as error:
            row.refuse("shelf_life_days", error)
    packs = _packs(row, values["packs"])
    texts = ("name", "name_en", "brand", "spec", "net_content", "ingredients", "grade", "pledge", "gi_claim",
             "storage", "warning", "licence_number")  # fmt: skip
    version = VersionInput(
        **{name: values[name] for name in texts},
        standard=standard,
        standard_text="" if standard is not None else values["standard"],
        shelf_life_days=days,
        packs=packs,
    )
    product = ProductInput(
        **{name: values[name] for name in ("code", "track", "base_unit", "kind", "family", "material", "gtin")}
    )
    return Facts([row.line], product=(product, version))


def _packs(row: Row, text: str) -> dict[str, str]:
    """``瓶=0.5；箱=3`` as a table."""
    packs: dict[str, str] = {}
    for part in re.split(r"[;；\n]+", fold_width(text)):
        name, sign, size = part.strip().partition("=")
        if not part.strip():
            continue
        if not sign or not name.strip() or not size.strip() or name.strip() in packs:
            message = _("包装请写成 名称=每件合多少计量单位，多个用分号隔开，例如 瓶=0.5；箱=3。")
            row.refuse("packs", Invalid(message, code="packs_form"))
            return {}
        packs[name.strip()] = size.strip()
    return packs


def _read_place(row: Row, known: Known, sheet: Sheet) -> Facts | None:
    values = _words(row, sheet)
    division = None
    if values["division"].strip():
        try:
            division = known.division(values["division"])
        except Invalid as error:
            row.refuse("division", error)
    if division is None:
        return None
    facts = {key.removeprefix("facts."): text for key, text in values.items() if key.startswith("facts.") and text}
    texts = {name: values[name] for name in ("name", "kind", "name_en", "address", "gln")}
    return Facts([row.line], place=PlaceInput(division=division, facts=facts, **texts))


# --- Steps ----------------------------------------------------------------------------------------------------------


class _Names(dict[str, Any]):
    """The controls of the form a sheet stands for: ``inputs-7-lot`` is there when ``inputs-*-lot`` is."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(_wild(str(name)))

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(_wild(name))


def _wild(name: str) -> str:
    return _WILD.sub("-*-", name, count=1)


class _SheetForm:
    """The rows of one event in the place of the step's form: answers by the form's names, refusals to cells."""

    kept: Sequence[str] = ()

    def __init__(self, sheet: Sheet, plan: Plan, actor: Actor, heading: Heading, rows: list[Row]) -> None:
        self.plan = plan
        self.offer = SimpleNamespace(actor=actor, lots=[], places=[], products=[])
        self.start = SimpleNamespace(replaces=None, lots=[])
        self.fields = _Names(
            {
                each.key: SimpleNamespace(required=each.required)
                for each in sheet.columns
                if each.key in heading.positions
            }
        )
        self.rows = rows
        self.cleaned_data: dict[str, str] = {}
        for column in sheet.columns:
            if "*" in column.key:
                for number, row in enumerate(rows):
                    text = row.text(column.key)
                    self.cleaned_data[column.key.replace("*", str(number))] = _meant(column, text)
            else:
                # What is about the whole event stands in its first line, or in any of them.
                texts = [row.text(column.key) for row in rows]
                self.cleaned_data[column.key] = _meant(column, next((text for text in texts if text.strip()), ""))

    def rows_of(self, key: str) -> int:
        """How many rows a group of lots has."""
        return len(self.rows) if any(name.startswith(f"{key}-*") for name in self.fields) else 0

    def refuse(self, name: str, error: DomainError) -> None:
        """Put a refusal at its cell."""
        number = _WILD.search(name)
        row = self.rows[int(number[1])] if number is not None and int(number[1]) < len(self.rows) else self.rows[0]
        key = _wild(name)
        row.refuse(key.removesuffix("-code") + "-lot" if key.endswith("-*-code") else key, error)


def _meant(column: Column, text: str) -> str:
    return column.value(text) if column.words and text else text


class _RowReader(Reader):
    """The form's reader, with names looked up before and for the whole sheet."""

    def __init__(self, form: _SheetForm, known: Known) -> None:
        super().__init__(cast("StepForm", form))
        self.known = known

    def place(self) -> Place | None:
        """The place by its name."""
        if not self.typed("place"):
            if self.known.places_list and "place" in self.form.fields and self.form.fields["place"].required:
                self.refuse("place", Invalid(_("请填写地点。"), code="place_required"))
            return None
        return self.read("place", self.known.place, self.raw("place"))

    def _lot(self, name: str) -> tuple[Lot, Place | None, Any]:
        if not self.typed(f"{name}-lot"):
            raise Invalid(_("请填写批号。"), code="required")
        return self.known.lot(self.raw(f"{name}-lot")), None, None

    def _product(self, name: str) -> Product:
        if not self.typed(f"{name}-product"):
            raise Invalid(_("请填写产品。"), code="required")
        return self.known.product(self.raw(f"{name}-product"))

    def amount(self, name: str, product: Product, lot: Lot | None = None) -> EnteredAmount | None:
        """The amount, with its unit in the same cell (500斤) or in the column beside it."""
        packs = sizes_of(lot) if lot is not None else product.current.packs if product.current else {}

        def parsed() -> EnteredAmount:
            text, written = split_amount(self.raw(f"{name}-amount"))
            unit = self.raw(f"{name}-unit").strip()
            if written and unit and written != unit:
                message = _("数量里写了“%(one)s”，单位一列是“%(other)s”，请只留一个。")
                raise Invalid(message % {"one": written[:10], "other": unit[:10]}, code="unit_twice")
            return parse_amount(text, written or unit or product.base_unit, product.base_unit, packs)

        try:
            return parsed()
        except Invalid as error:
            own = error.code == "unit_unknown" and self.typed(f"{name}-unit")
            self.refuse(f"{name}-{'unit' if own else 'amount'}", error)
            return None

    def party(self) -> Organisation | NewParty | None:
        """The other side by its name; one that nobody knows is written down where the row says what it is and where."""
        if not self.plan.party:
            return None
        if not self.typed("party"):
            self.refuse("party", Invalid(_("请填写对方单位。"), code="party_required"))
            return None
        try:
            return self.known.party(self.raw("party"))
        except Invalid as error:
            if error.code == "party_unknown" and self.typed("party_kind") and self.typed("party_division"):
                return self._new_party()
            self.refuse("party", error)
            return None

    def _new_party(self) -> NewParty | None:
        """Somebody outside the system as the row describes them. Refuses where nobody could reach them."""
        name = self.read("party", lambda: clean_text(self.raw("party"), 120, required=True))
        division = self.read("party_division", self.known.division, self.raw("party_division"))
        address = self.read("party_address", lambda: clean_text(self.raw("party_address"), 200))
        phone = self.read("party_phone", lambda: clean_text(self.raw("party_phone"), 40))
        kind = self.raw("party_kind")
        if kind not in [str(each) for each in APPLICANT_KINDS]:
            self.refuse("party_kind", Invalid(_("请从列表中选择单位类型。"), code="kind_not_here"))
            return None
        if name is None or division is None or address is None or phone is None:
            return None
        if not address and not phone:
            message = _("请填地址、电话或邮箱中的一项，召回时才能通知到对方。")
            self.refuse("party_address", Invalid(message, code="contact_required"))
            return None
        return NewParty(name=name, kind=kind, division=division, address=address, phone=phone)

    def _value(self, each: TemplateField, name: str) -> Any:
        if not self.typed(name):
            return None
        text = self.raw(name)
        if each.type == "ref:Location" and each.key != "origin":
            place = self.read(name, self.known.place, text)
            return str(place.uid) if place is not None else None
        if each.type == "list[ref:Location]":
            return [str(place.uid) for place in self.read(name, self._places_named, text) or []]
        return super()._value(each, name)

    def _places_named(self, text: str) -> list[Place]:
        return [self.known.place(part) for part in re.split(r"[\n,，、;；]+", text) if part.strip()]

    def _known_party(self, text: str) -> str | None:
        try:
            return str(self.known.party(text).uid)
        except Invalid:
            return None

    def _known_lot(self, text: str) -> str:
        try:
            return str(self.known.lot(text).uid)
        except DomainError:
            return text

    def _has_shelf_life(self) -> bool:
        try:
            product = self.known.product(self.raw("outputs-0-product"))
        except Invalid:
            return False
        return bool(product.current and product.current.shelf_life_days)


class _StepRows:
    """Reads the rows of each event of one sheet."""

    def __init__(self, sheet: Sheet, plan: Plan, known: Known, heading: Heading, issues: list[Issue]) -> None:
        self.sheet, self.plan, self.known, self.heading, self.issues = sheet, plan, known, heading, issues

    def read_group(self, lines: list[Line]) -> Facts | None:
        """The step that these lines say, or None with what is wrong noted."""
        rows = [Row(self.heading, line, self.issues) for line in lines]
        for row in rows:
            row.check_cells()
        if any(row.failed for row in rows):
            return None
        form = _SheetForm(self.sheet, self.plan, self.known.actor, self.heading, rows)
        _split_time(form.cleaned_data)
        self._refuse_differing(rows)
        reader = _RowReader(form, self.known)
        entry = _entry(reader)
        if entry is None or any(row.failed for row in rows):
            return None
        try:
            makes = self.known.promised.take(entry, lines[0].number, self.plan.template.lot_code_field)
        except Invalid as twice:
            self.issues += issues_of_refusal(self.sheet, self.heading, Facts(lines), twice)
            return None
        return Facts(lines, entry=entry, insist=form.cleaned_data.get(INSIST, "") == "1", makes=makes)

    def _refuse_differing(self, rows: list[Row]) -> None:
        """Lines of one event may not say different things about it."""
        if len(rows) == 1:
            return
        for column in self.sheet.columns:
            if "*" in column.key or column.key in (GROUP, INSIST):
                continue
            said = [(row, row.text(column.key)) for row in rows if row.text(column.key).strip()]
            for row, text in said[1:]:
                if text != said[0][1]:
                    message = _("同一次的几行里，“%(column)s”写得不一样。请写成一样，或改“同一次”的序号。")
                    row.refuse(column.key, Invalid(message % {"column": column.label()}, code="group_differs"))


def _split_time(values: dict[str, str]) -> None:
    """A cell with day and time fills both."""
    found = _DAY_AND_TIME.fullmatch(fold_width(values.get("when_on", "")[:60]).strip())
    if found is not None:
        values["when_on"] = found[1]
        values["when_at"] = values.get("when_at", "").strip() or found[2]
    clock = re.fullmatch(r"([0-9]{1,2}:[0-9]{2}):[0-9]{2}", values.get("when_at", "").strip())
    if clock is not None:
        values["when_at"] = clock[1]
    for key, text in values.items():
        if key.endswith(("_on", "-expires_on")) or key.startswith("d_"):
            values[key] = re.sub(r" 00:00(:00)?$", "", text)


def _entry(reader: _RowReader) -> StepEntry | None:
    """The step as the action takes it; as ``read_entry`` does for a form."""
    plan = reader.plan
    when, place = reader.when(), reader.place()
    inputs = reader.portions("inputs") if plan.inputs else []
    subjects = reader.portions("subjects") if plan.subjects else []
    outputs = reader.outputs() if plan.outputs else []
    data = reader.data(when, place, inputs, outputs)
    party = reader.party()
    remark = reader.read("remark", lambda: clean_text(reader.raw("remark"), _REMARK_MAX, True))
    if reader.failed or when is None or data is None:
        return None
    return StepEntry(
        code=plan.template.code,
        when=when,
        place=place,
        data=data,
        inputs=[portion for _name, portion in inputs],
        outputs=[made for _name, made in outputs],
        subjects=[portion for _name, portion in subjects],
        party=party,
        remark=remark or "",
    )


# --- Refusals of the action -----------------------------------------------------------------------------------------

_CELLS: Mapping[str, Sequence[str]] = {
    "in_future": ("when_on",),
    "before_parent": ("when_on",),
    "before_release": ("when_on",),
    "lot_code_taken": ("outputs-*-lot_code",),
    "lot_code_twice": ("outputs-*-lot_code",),
    "lot_code_length": ("outputs-*-lot_code",),
    "lot_code_characters": ("outputs-*-lot_code",),
    "place_required": ("place",),
    "party_required": ("party",),
    "ship_to_self": ("party",),
    "receiver_not_active": ("party",),
    "not_enough": ("inputs-*-amount", "subjects-*-amount"),
    "more_out_than_in": ("outputs-*-amount",),
}


def issues_beside(
    sheet: Sheet, heading: Heading, facts: Facts, error: DomainError, known: set[tuple[int, int]]
) -> list[Issue]:
    """What is wrong in the cells of a half-read row beside what was found in reading them (``known``: row, column)."""
    found = issues_of_refusal(sheet, heading, facts, error)
    return [issue for issue in found if issue.column >= 0 and (issue.row, issue.column) not in known]


def issues_of_refusal(sheet: Sheet, heading: Heading, facts: Facts, error: DomainError) -> list[Issue]:
    """What an action refused, at the cells it is about: the rule's own column, the line of the lot it names."""
    if isinstance(error, GuardBroken):
        found = []
        for guard in error.broken:
            alone = GuardBroken(guard.message, [guard], insistable=error.insistable)
            row = _line_of_lot(heading, facts, getattr(guard.lot, "lot_code", "")) or facts.lines[0]
            found.append(issue_of(row.number, _cell(heading, guard.code), alone))
        return found
    fields = getattr(error, "fields", {})
    if fields:
        return [
            issue_of(facts.lines[0].number, _field_cell(heading, key), _with_choices(sheet, key, wrong))
            for key, wrong in fields.items()
        ]
    row = _line_of_lot(heading, facts, str(error.details.get("lot_code", ""))) or facts.lines[0]
    return [issue_of(row.number, _cell(heading, error.code), error)]


def _with_choices(sheet: Sheet, key: str, wrong: DomainError) -> DomainError:
    """A refused choice with the words there are: whoever fills in a sheet of one's own has no list before them."""
    column = sheet.column(key)
    if column is None or not column.words or not wrong.code.endswith("_unknown"):
        return wrong
    return Invalid(_("请填其中之一：%(words)s。") % {"words": _("、").join(column.offered())}, code=wrong.code)


def _cell(heading: Heading, code: str) -> int:
    keys = _CELLS.get(code, ("inputs-*-lot", "subjects-*-lot", "outputs-*-product"))
    return next((heading.positions[key] for key in keys if key in heading.positions), -1)


def _field_cell(heading: Heading, key: str) -> int:
    named = {"standard_text": "standard", "shelf_life": "shelf_life_days"}
    keys = [key, named.get(key, ""), f"d_{key}", f"outputs-*-f_{key}", "packs" if key.startswith("packs") else ""]
    return next((heading.positions[each] for each in keys if each in heading.positions), -1)


def _line_of_lot(heading: Heading, facts: Facts, code: str) -> Line | None:
    """The line that names a lot."""
    if not code:
        return None
    issues: list[Issue] = []
    for line in facts.lines:
        row = Row(heading, line, issues)
        if any(
            code.casefold() in row.text(key).casefold()
            for key in ("inputs-*-lot", "subjects-*-lot", "outputs-*-lot_code")
        ):
            return line
    return None
