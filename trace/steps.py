"""How a step is asked for: which of a template's fields a form shows and which follow from lots, dates and places.

Pure: a template goes in, a plan comes out. The form draws it, ``trace.actions.steps`` carries it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from trace.event_templates import (
    Column,
    EventTemplate,
    Family,
    TemplateField,
    families,
    template,
    templates,
    usual_next,
)
from trace.models import Product

Party = Literal["", "supplier", "receiver", "source"]
Need = Literal["none", "optional", "required"]

_PARTIES: dict[str, Party] = {"receive": "supplier", "ship": "receiver", "return": "source"}
_WITH_SUBJECTS = frozenset(
    ["observe", "store", "sample", "destroy", "retail", "return", "ship", "place_on_sale", "code", "hold", "release"]
)
_AMOUNT_MOVES: dict[str, Need] = {
    "destroy": "required",
    "return": "required",
    "ship": "required",
    "retail": "optional",
    "store": "optional",
    "sample": "optional",
}
# The dates and times of templates that say when the step itself happened.
_WHEN_KEYS = ("used_on", "sow_date", "installed_on", "issued_on", "arrival_date", "sold_at", "sampled_at", "sealed_at")
# The places of templates where the step itself happened (产地 is where goods came from and is typed).
_PLACE_KEYS = ("plot", "warehouse", "vessel", "line", "kiln", "silo", "room")
_FILLED = {
    "receive": ("supplier", "supplier_lot", "arrival_date"),
    "ship": ("consignee",),
    "return": ("from_org",),
    "hold": ("ordered_by",),
    "release": ("released_by", "test_report"),
    "sample": ("lab", "lab_cma", "report_no", "report_hash", "purpose"),
    "correct": ("declared_wrong_event", "reason", "corrective_event"),
    "pack": ("parent", "children"),
    "unpack": ("parent", "children"),
}
REGISTERS_PLOT = frozenset(["walnut.register_plot", "millet.register_plot"])
"""Steps by which a plot becomes known: they make the place, too."""


@dataclass(frozen=True)
class Plan:
    """What the form of one step asks besides date, place, remark and files.

    ``inputs``, ``outputs`` and ``subjects`` are how many rows of lots it begins with (0: none are asked).
    ``input_labels`` name the first rows of inputs; ``input_columns`` and ``output_columns`` are asked beside a lot
    because the template keeps a list with one row per lot. ``when`` is the template's own date of the step and
    ``place`` its own place: they are asked once, under that name.
    """

    template: EventTemplate
    inputs: int = 0
    outputs: int = 0
    subjects: int = 0
    amount: Need = "none"
    party: Party = ""
    when: TemplateField | None = None
    place: TemplateField | None = None
    fields: tuple[TemplateField, ...] = ()
    output_fields: tuple[TemplateField, ...] = ()
    input_labels: tuple[TemplateField, ...] = ()
    input_columns: tuple[Column, ...] = ()
    output_columns: tuple[Column, ...] = ()

    @property
    def moves(self) -> str:
        """What the step does to amounts."""
        return self.template.moves

    @property
    def registers_plot(self) -> bool:
        """Whether the step makes a new place."""
        return self.template.code in REGISTERS_PLOT

    @property
    def is_test(self) -> bool:
        """Whether the template's own fields are results, so that there is no step without a report."""
        return self.moves == "sample" and self.template.code != "common.sample"

    @property
    def row_fields(self) -> tuple[TemplateField, ...]:
        """Fields asked as a table with rows of their own."""
        return tuple(field for field in self.fields if field.columns)

    @property
    def counts_pieces(self) -> bool:
        """Whether the amount is a number of packs (瓶数, 袋数) and not of the base unit."""
        field = self.template.field(self.template.amount_field) if self.template.amount_field else None
        return field is not None and field.type == "int"

    @property
    def lot_code_required(self) -> bool:
        """Whether the step cannot be recorded without a lot code of the maker's own."""
        field = self.template.field(self.template.lot_code_field) if self.template.lot_code_field else None
        return self.moves == "receive" or (field is not None and field.required)


def without_stock(plan: Plan) -> Plan:
    """The plan for who samples goods in others' hands: the amount is a statement and leaves nobody's stock."""
    own = plan.template.field(plan.template.amount_field) if plan.template.amount_field else None
    return replace(plan, amount="none", fields=(*plan.fields, own) if own is not None else plan.fields)


@cache
def plan_for(code: str) -> Plan:
    """The plan of a template. Raises NotFound for an unknown one."""
    found = template(code)
    moves = found.moves
    when, place = _when(found), _place(found)
    filled = _filled(found) | {field.key for field in (when, place) if field is not None}
    inputs, outputs = _rows(found)
    return Plan(
        template=found,
        inputs=inputs,
        outputs=outputs,
        subjects=_subject_rows(found),
        amount=_amount_need(found),
        party=_PARTIES.get(moves, ""),
        when=when,
        place=place,
        fields=tuple(field for field in found.event_fields if field.key not in filled and not field.computed),
        output_fields=tuple(field for field in found.output_fields if field.key not in filled and not field.computed),
        input_labels=tuple(field for key in found.input_amount_fields if (field := found.field(key)) is not None),
        input_columns=_columns(found, found.input_list_field),
        output_columns=_columns(found, found.output_list_field),
    )


def _filled(found: EventTemplate) -> set[str]:
    """Fields that follow from the lots' rows and the parties."""
    named = (found.amount_field, found.input_list_field, found.output_list_field, found.lot_code_field)
    return {key for key in (*named, *found.input_amount_fields) if key} | set(_FILLED.get(found.moves, ()))


def _when(found: EventTemplate) -> TemplateField | None:
    """The template's own date of the step, if it must be given."""
    keys = (found.produced_on_field, *_WHEN_KEYS)
    fields = (found.field(key) for key in keys if key)
    return next((field for field in fields if field is not None and field.required and not field.per_output), None)


def _place(found: EventTemplate) -> TemplateField | None:
    """The template's own place of the step."""
    fields = (found.field(key) for key in _PLACE_KEYS)
    return next((field for field in fields if field is not None and field.type == "ref:Location"), None)


def _columns(found: EventTemplate, key: str) -> tuple[Column, ...]:
    """What a list with one row per lot asks beside the lot and its amount."""
    field = found.field(key) if key else None
    return tuple(column for column in field.columns if column.key not in ("lot", "litres")) if field else ()


def _rows(found: EventTemplate) -> tuple[int, int]:
    """How many rows of inputs and outputs a blank form shows."""
    if found.moves == "receive":
        return 0, 1
    if found.moves not in ("transform", "create"):
        return 0, 0
    before, _colon, after = found.cardinality.split(" ")[0].partition(":")
    several = bool(found.output_fields or found.output_list_field or (before, after) == ("1", "n"))
    if found.moves == "create":
        return 0, 1
    joins = bool(found.input_list_field) or found.code == "common.merge"
    return max(2 if joins else 1, len(found.input_amount_fields)), 2 if several else 1


def _subject_rows(found: EventTemplate) -> int:
    if found.moves not in _WITH_SUBJECTS:
        return 0
    return 2 if found.moves in ("ship", "hold", "destroy", "return") else 1


def _amount_need(found: EventTemplate) -> Need:
    """Whether the amount beside a subject is asked."""
    field = found.field(found.amount_field) if found.amount_field else None
    if found.moves == "sample" and field is not None and field.required:
        return "required"
    if found.moves == "observe" and field is not None:
        return "required" if field.required else "optional"
    return _AMOUNT_MOVES.get(found.moves, "none")


# --- Which steps ----------------------------------------------------------------------------------------------------


@cache
def steps_before(code: str) -> frozenset[str]:
    """Codes of the steps after which this one usually follows: their lots are offered first."""
    return frozenset(
        each.code for each in templates().values() if code in {step.code for step in usual_next(each.code)}
    )


def family_of(product: Product) -> Family | None:
    """The family a product belongs to by its own word (the code or the beginning of one), or None."""
    word = product.family.strip()
    if not word:
        return None
    named = families().get(word)
    return named or next((each for code, each in families().items() if code.startswith(word)), None)


def families_made(products: Iterable[Product]) -> list[Family]:
    """The families these products belong to, the one with most of them first."""
    counts: dict[str, int] = {}
    for product in products:
        found = family_of(product)
        if found is not None:
            counts[found.code] = counts.get(found.code, 0) + 1
    return [families()[code] for code in sorted(counts, key=lambda code: -counts[code])]
