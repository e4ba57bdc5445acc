"""Collecting a document: its blocks, the names of people apart, and every required content that is not there."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from recalls.effect import Effect, GoodsRates, duration, percent
from recalls.figures import Amounts
from trace.paper import Block
from trace.units import format_amount, unit_name

PERSON = "\ue000{}\ue001"
"""How data names a person whose name stands sealed beside it."""
_CHINA = datetime.timezone(datetime.timedelta(hours=8))
NOTHING = "—"


def moment(at: datetime.datetime | None) -> str:
    """2026年11月28日 19:05, Beijing time."""
    if at is None:
        return ""
    here = at.astimezone(_CHINA)
    return f"{here.year}年{here.month}月{here.day}日 {here:%H:%M}"


def limit(at: datetime.datetime | None) -> str:
    """The end of a limit: midnight is 24:00 of the day before (民法典 article 203)."""
    if at is None:
        return ""
    here = at.astimezone(_CHINA)
    if here.hour or here.minute:
        return moment(at)
    return f"{day(here.date() - datetime.timedelta(days=1))} 24:00"


def day(on: datetime.date | datetime.datetime | None) -> str:
    """2026年11月28日, Beijing time."""
    if on is None:
        return ""
    here = on.astimezone(_CHINA) if isinstance(on, datetime.datetime) else on
    return f"{here.year}年{here.month}月{here.day}日"


@dataclass
class Draft:
    """A document while it is collected. ``missing`` names required contents that are empty, in the words of its rule;
    with any of them there is no document.
    """

    title: str
    number: str = ""
    to: str = ""
    blocks: list[Block] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    people: dict[str, str] = field(default_factory=dict)
    refers: dict[str, Any] = field(default_factory=dict)

    def need(self, label: str, value: str) -> str:
        """The value; empty is written down as missing."""
        if not value.strip():
            self.missing.append(label)
        return value

    def person(self, key: str, label: str, name: str, *, required: bool = True) -> str:
        """A name, kept apart; where it stands in the data."""
        if not name.strip():
            if required:
                self.missing.append(label)
            return NOTHING
        self.people[key] = name
        return PERSON.format(key)

    def fields(self, title: str, rows: Iterable[tuple[str, str, bool]]) -> None:
        """Names and values; ``True`` marks what is required."""
        kept = []
        for label, value, required in rows:
            if required:
                self.need(label, value)
            kept.append((label, value or NOTHING))
        self.blocks.append(Block("fields", title, rows=tuple(kept)))

    def table(self, title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Rows under a head; none where there are no rows."""
        kept = tuple(tuple(cell or NOTHING for cell in row) for row in rows)
        if kept:
            self.blocks.append(Block("table", title, tuple(head), kept))

    def words(self, title: str, *paragraphs: str) -> None:
        """Paragraphs, empty ones left out."""
        kept = tuple((text,) for text in paragraphs if text.strip())
        if kept:
            self.blocks.append(Block("words", title, rows=kept))

    def sign(self, *lines: str) -> None:
        """The end at the right."""
        self.blocks.append(Block("sign", rows=tuple((line,) for line in lines if line)))

    def as_data(self) -> dict[str, Any]:
        """The frozen form."""
        return {
            "schema": 1,
            "title": self.title,
            "number": self.number,
            "to": self.to,
            "blocks": [block.as_data() for block in self.blocks],
            "refers": self.refers,
        }


AMOUNTS = (
    ("made", "生产"),
    ("used", "用于其他批次"),
    ("shipped", "发出"),
    ("recovered", "累计收回"),
    ("destroyed", "销毁处理"),
    ("released", "更正后放行"),
    ("on_hand", "封存在库"),
    ("sold", "已售出未收回"),
    ("samples", "抽样"),
    ("loss", "损耗"),
    ("unknown", "去向不明"),
)


def totals_of(data: dict[str, Any]) -> dict[str, Amounts]:
    """The sums per base unit of frozen figures."""
    return {unit: Amounts(**sums) for unit, sums in data["totals"].items()}


def effect_of(data: dict[str, Any]) -> Effect | None:
    """The figures of effect frozen with a report; None with reports made before they were kept."""
    kept = data.get("effect")
    return Effect.from_json(kept) if kept else None


def _rates(one: GoodsRates, unit: str) -> list[tuple[str, str]]:
    """What the board shows of goods of one base unit, by the same names."""
    unknown = f"{percent(one.unknown) or NOTHING}（{format_amount(one.unknown_micros, unit, 'zh-hans')}）"
    return [
        ("召回率（收回／应召回）", percent(one.recall_of_planned) or NOTHING),
        ("召回率（收回／已销售）", percent(one.recall_of_sold) or NOTHING),
        ("退回率（GB/T 40993）", percent(one.returned) or NOTHING),
        ("其中：从经营者收回", format_amount(one.recovered_micros, unit, "zh-hans")),
        ("其中：已为消费者办理", format_amount(one.remedied_micros, unit, "zh-hans")),
        ("已查明率", percent(one.accounted) or NOTHING),
        ("去向不明占比", unknown if one.unknown_micros else percent(one.unknown) or NOTHING),
    ]


def amounts_table(draft: Draft, title: str, totals: dict[str, Amounts], found: Effect | None) -> None:
    """What became of the goods, a column a base unit, with the rates of the board: recalled in both forms (磐石 forms,
    tables 3 and 4), returned, accounted, and what nobody knows apart.
    """
    units = list(totals)
    rows = [
        [label, *(format_amount(getattr(totals[unit], key), unit, "zh-hans") for unit in units)]
        for key, label in AMOUNTS
        if key not in ("released", "samples", "loss") or any(getattr(sums, key) for sums in totals.values())
    ]
    if found is not None and units and all(unit in found.goods for unit in units):
        columns = [_rates(found.goods[unit], unit) for unit in units]
        rows += [[cells[0][0], *(value for _label, value in cells)] for cells in zip(*columns, strict=True)]
    draft.table(title, ["项目", *(unit_name(unit) for unit in units)], rows)


def effect_fields(draft: Draft, found: Effect | None, title: str = "召回效果") -> None:
    """How well the recall works: answers, times, limits, checks, as the board shows them."""
    if found is None:
        return
    checks = found.checks
    rows = [
        ("确认率", f"{percent(found.acknowledged_rate) or NOTHING}（{found.acknowledged}/{found.holders}）"),
        ("库存反馈率", f"{percent(found.answered_rate) or NOTHING}（{found.answered}/{found.holders}）"),
        ("追溯用时", duration(found.trace_seconds) or ""),
        ("知悉到封存", duration(found.block_seconds) or ""),
        ("知悉到启动", duration(found.start_seconds) or ""),
        ("启动到首个通知", duration(found.first_notice_seconds) or ""),
        ("确认用时（中位数）", duration(found.median_acknowledge_seconds) or ""),
        ("超过时限", f"{found.breaches} 项（共 {found.clocks} 项时限）"),
        (
            "有效性核查",
            f"抽取 {checks.sampled} 家，已查 {checks.checked} 家，有效 {percent(checks.passed) or NOTHING}"
            if checks.sampled
            else "E 级：不核查"
            if checks.rounds
            else "未进行",
        ),
    ]
    draft.fields(title, [(label, value, False) for label, value in rows])
