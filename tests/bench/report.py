"""The table of numbers, and the two files that keep it: benchmarks.json and docs/benchmarks.md."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.engines import ROOT

RATIO = 1.6
"""How much more the same question may cost in a world a hundred times larger: trees are deeper, caches hold less."""
BEGIN, END = "<!-- numbers: begin -->", "<!-- numbers: end -->"


@dataclass(frozen=True)
class Line:
    """One row of the table; ``holds`` is None where nothing was promised."""

    engine: str
    name: str
    value: float
    unit: str
    target: float | None
    holds: bool | None


def compared(engine: str, rows: Mapping[int, Sequence[Mapping[str, Any]]]) -> list[Line]:
    """The numbers of one engine: each from the largest world it was measured in, then how it grew from the smallest."""
    by_name: dict[str, dict[int, Mapping[str, Any]]] = {}
    for size, found in rows.items():
        for row in found:
            by_name.setdefault(row["name"], {})[size] = row
    lines: list[Line] = []
    growth: list[Line] = []
    for name, sizes in by_name.items():
        small, large = min(sizes), max(sizes)
        row = sizes[large]
        lines.append(_line(engine, name, row["value"], row["unit"], row["target"]))
        if large > small and row["best"] is not None:
            ratio = row["best"] / sizes[small]["best"]
            growth.append(_line(engine, f"{name}: world of {large:,} / {small:,}", ratio, "×", RATIO))
    return lines + growth


def _line(engine: str, name: str, value: float, unit: str, target: float | None) -> Line:
    """A line, judged."""
    return Line(engine, name, round(value, 4), unit, target, None if target is None else value <= target)


def table(lines: Sequence[Line]) -> str:
    """The numbers as a Markdown table, engines side by side."""
    engines = list(dict.fromkeys(line.engine for line in lines))
    names = list(dict.fromkeys(line.name for line in lines))
    at = {(line.name, line.engine): line for line in lines}
    head = ["what", *engines, "unit", "target", "holds"]
    body = [" | ".join(head), " | ".join("---" for _each in head)]
    for name in names:
        found = [at[name, engine] for engine in engines if (name, engine) in at]
        verdicts = [line.holds for line in found if line.holds is not None]
        body.append(
            " | ".join(
                [
                    name,
                    *(f"{at[name, engine].value:.3g}" if (name, engine) in at else "" for engine in engines),
                    found[0].unit,
                    "" if found[0].target is None else f"≤ {found[0].target:g}",
                    "" if not verdicts else ("yes" if all(verdicts) else "**no**"),
                ]
            )
        )
    return "\n".join(f"| {row} |" for row in body)


def keep(lines: Sequence[Line], versions: Sequence[str], took: int) -> None:
    """Write benchmarks.json, and the table into docs/benchmarks.md between its marks."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    machine = f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    when = datetime.datetime.now(datetime.UTC).date().isoformat()
    document = {
        "commit": commit,
        "on": when,
        "machine": machine,
        "databases": list(versions),
        "seconds": took,
        "numbers": [asdict(line) for line in lines],
    }
    (ROOT / "benchmarks.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    page = ROOT / "docs" / "benchmarks.md"
    text = page.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    said = f"Measured {when} at commit {commit[:12]} on {machine}; {', '.join(versions)}; {took} s in all."
    page.write_text(f"{before}\n{said}\n\n{table(lines)}\n{after}")


def _processor() -> str:
    """What the processor calls itself."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
