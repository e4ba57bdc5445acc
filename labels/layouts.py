"""Layouts of labels: data in millimetres, checked when read.

A layout says how labels lie on a page and where on a label the code and the texts stand. The file is
``labels/data/layouts.yaml``; adding a size is adding an entry there and its name to ``NAMES``.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labels import qr
from trace.errors import NotFound
from trace.typeface import MIN_SIZE_PT

LAYOUTS_PATH = Path(__file__).resolve().parent / "data" / "layouts.yaml"
DEFAULT_SHEET = "a4-24"
DEFAULT_ROLL = "roll-40x30"

NAMES: dict[str, str | Promise] = {
    "a4-24": gettext_lazy("A4 不干胶纸，每张 24 枚（63.5 × 33.9 毫米）"),
    "roll-40x30": gettext_lazy("卷装标签 40 × 30 毫米（热敏或热转印打印机）"),
    "roll-100x70": gettext_lazy("卷装标签 100 × 70 毫米（箱标、批次标）"),
    "a4-21": gettext_lazy("A4 不干胶纸，每张 21 枚（63.5 × 38.1 毫米）"),
    "a4-10": gettext_lazy("A4 不干胶纸，每张 10 枚（99.1 × 57 毫米）"),
    "roll-60x40": gettext_lazy("卷装标签 60 × 40 毫米"),
    "neck-90x25": gettext_lazy("酒瓶颈标 90 × 25 毫米"),
    "carton-150x100": gettext_lazy("纸箱标 150 × 100 毫米"),
    "bag-50x80": gettext_lazy("核桃袋背标 50 × 80 毫米"),
    "plate-85x54": gettext_lazy("家具铭牌 85 × 54 毫米"),
}


@dataclass(frozen=True)
class Box:
    """A rectangle on the label: upper left corner ``x``, ``y``, width ``w``, height ``h``, in millimetres."""

    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True)
class TextBox(Box):
    """A box for text: the largest type size in points, and how many rows it may take at most."""

    size: float
    rows: int = 1


@dataclass(frozen=True)
class Layout:
    """How labels of one size are printed.

    ``origin`` is the upper left corner of the first label on the page and ``pitch`` the step to the next;
    ``dpi`` is the printer's resolution. ``qr`` is the greatest square of the code with its quiet zone. Texts
    to the right of the code begin where the code that is really printed ends, so a short address leaves more
    room for them.
    """

    key: str
    dpi: int
    page: tuple[float, float]
    label: tuple[float, float]
    origin: tuple[float, float]
    pitch: tuple[float, float]
    columns: int
    rows: int
    qr: Box
    title: TextBox
    lines: TextBox
    code: TextBox
    host: TextBox
    check: TextBox | None = None
    """The panel of the check code: it takes its room from the lines, where a label has one."""
    foot: TextBox | None = None
    """A row for the last of the lines (生产者) by itself, in an arrangement for much text."""
    close: "Layout | None" = None
    """The arrangement for much text, tried where the other has no room."""

    @property
    def name(self) -> str:
        """What a person picks it by, with the size."""
        return str(NAMES[self.key])

    @property
    def per_page(self) -> int:
        """Labels on one page."""
        return self.columns * self.rows

    @property
    def is_sheet(self) -> bool:
        """Whether a page holds several labels, so that one may begin in the middle of a used sheet."""
        return self.per_page > 1

    def corner(self, index: int) -> tuple[float, float]:
        """Upper left corner on the page of label ``index`` (from 0, along the rows), in millimetres."""
        row, column = divmod(index, self.columns)
        return self.origin[0] + column * self.pitch[0], self.origin[1] + row * self.pitch[1]


@functools.cache
def layouts() -> dict[str, Layout]:
    """All layouts by key, in the order of the file. A file that breaks a rule is a ValueError that says
    which.
    """
    entries = yaml.safe_load(LAYOUTS_PATH.read_text("utf-8"))
    return {entry["key"]: read_layout(entry) for entry in entries}


def layout(key: str) -> Layout:
    """The layout of a key. Raises NotFound ``layout_unknown`` with the known keys."""
    found = layouts().get(key)
    if found is None:
        raise NotFound(_("没有这种标签版式，请从列表中选择。"), code="layout_unknown", known=list(layouts()))
    return found


def read_layout(entry: dict[str, Any]) -> Layout:
    """One layout from its entry in the file, checked: everything on the page and on the label, nothing over
    the code.
    """
    side = entry["qr"]["side"]
    close = entry.get("close")
    found = Layout(
        key=entry["key"],
        dpi=entry["dpi"],
        page=_pair(entry["page"]),
        label=_pair(entry["label"]),
        origin=_pair(entry["origin"]),
        pitch=_pair(entry["pitch"]),
        columns=entry["columns"],
        rows=entry["rows"],
        qr=Box(entry["qr"]["x"], entry["qr"]["y"], side, side),
        **{name: TextBox(**entry[name]) for name in ("title", "lines", "code", "host")},
        check=TextBox(**entry["check"]) if "check" in entry else None,
        foot=TextBox(**entry["foot"]) if "foot" in entry else None,
        close=read_layout({**entry, **close, "close": None}) if close else None,
    )
    _check(found)
    return found


def _pair(values: list[float]) -> tuple[float, float]:
    """Two numbers."""
    first, second = values
    return float(first), float(second)


def _check(found: Layout) -> None:
    """What a layout must keep; a ValueError names the layout and the part."""
    boxes = {"qr": found.qr, "title": found.title, "lines": found.lines, "code": found.code, "host": found.host}
    if found.foot is not None:
        boxes["foot"] = found.foot
    texts = [found.title, found.lines, found.code, found.host, *([found.foot] if found.foot else [])]
    last_x, last_y = found.corner(found.per_page - 1)
    every = [*boxes.values(), *([found.check] if found.check else [])]
    within = all(
        box.x >= 0 and box.y >= 0 and box.x + box.w <= found.label[0] and box.y + box.h <= found.label[1]
        for box in every
    )
    rules = {
        "name": found.key in NAMES,
        "dpi": found.dpi in qr.PRINTER_DPI,
        "page": last_x + found.label[0] <= found.page[0] + 1e-6 and last_y + found.label[1] <= found.page[1] + 1e-6,
        "pitch": found.pitch[0] >= found.label[0] and found.pitch[1] >= found.label[1],
        "boxes within the label": within,
        "boxes apart": not any(
            _overlap(one, other) for name, one in boxes.items() for second, other in boxes.items() if name < second
        )
        and not any(found.check and name != "lines" and _overlap(found.check, box) for name, box in boxes.items()),
        "size": all(box.size >= MIN_SIZE_PT for box in texts),
    }
    broken = [rule for rule, kept in rules.items() if not kept]
    if broken:
        raise ValueError(f"layout {found.key}: {', '.join(broken)}")


def _overlap(one: Box, other: Box) -> bool:
    """Whether two boxes share any area, to a thousandth of a millimetre."""
    across = min(one.x + one.w, other.x + other.w) - max(one.x, other.x)
    down = min(one.y + one.h, other.y + other.h) - max(one.y, other.y)
    return across > 0.001 and down > 0.001
