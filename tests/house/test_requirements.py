"""What the program imports is pinned, what is pinned is imported, and each line says why."""

import ast
import functools
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

from tests.house.test_import_arrow import OURS, imported

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ["config", "trace", "recalls", "labels", "desk", "manage.py"]
# Pinned for what they do, not for an import of ours.
NOT_IMPORTED = {
    "fonttools",  # for bin/subset_font.py, when the label typeface is made anew
    "whitenoise",  # named in settings
    "granian",  # started as a program
    "django-axes",
    "psycopg",  # imported by Django
    "tzdata",  # imported by zoneinfo
    "pytest-xdist",
    "pytest-randomly",
    "mypy",
    "django-stubs",
    "types-PyYAML",
    "ruff",
}


def pinned(name: str) -> dict[str, str]:
    """Distribution and reason of each line of a requirements file."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith(("#", "-r"))]
    found = {}
    for line in lines:
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)(\[[a-z,]+\])?==[0-9][0-9a-z.]*(; [^#]+)?  # (.+)", line)
        assert match, f"not `name==version  # reason`: {line}"
        found[match.group(1)] = match.group(4)
    return found


def lines_for_types(source: str) -> set[int]:
    """Lines under `if TYPE_CHECKING:`, which no running program imports."""
    return {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


@functools.cache
def used(*folders: str) -> dict[str, str]:
    """Distributions that our files import, each with one file that does."""
    by_module = importlib.metadata.packages_distributions()
    found = {}
    for folder in folders:
        place = ROOT / folder
        for file in [place] if place.is_file() else sorted(place.rglob("*.py")):
            source = file.read_text(encoding="utf-8")
            only_types = lines_for_types(source)
            for line, module in imported(source):
                top = module.split(".")[0]
                if line not in only_types and top and top not in OURS and top not in sys.stdlib_module_names:
                    top = {"pydantic_core": "pydantic"}.get(top, top)  # pydantic pins its own half exactly
                    for distribution in by_module.get(top, [top])[:1]:
                        found[distribution] = str(file.relative_to(ROOT))
    return found


def canonical(names: dict[str, str] | set[str]) -> set[str]:
    """Names as indexes compare them."""
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def test_what_the_program_imports_is_pinned_in_requirements() -> None:
    found = used(*PROGRAM)
    assert canonical(found) - canonical(pinned("requirements.txt")) == set(), found


def test_what_the_tests_import_is_pinned() -> None:
    found = used("tests")
    both = canonical(pinned("requirements.txt")) | canonical(pinned("requirements-dev.txt"))
    assert canonical(found) - both == set(), found


def test_nothing_is_pinned_that_nobody_uses() -> None:
    program = canonical(pinned("requirements.txt")) - canonical(used(*PROGRAM)) - canonical(NOT_IMPORTED)
    tests = canonical(pinned("requirements-dev.txt")) - canonical(used("tests")) - canonical(NOT_IMPORTED)
    assert (program, tests) == (set(), set())
