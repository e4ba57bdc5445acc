"""desk → labels → recalls → trace, config wires them, nothing points back."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]

MAY_IMPORT = {
    "trace": {"trace"},
    "recalls": {"recalls", "trace"},
    "labels": {"labels", "recalls", "trace"},
    "desk": {"desk", "labels", "recalls", "trace"},
    "config": {"config", "desk", "labels", "recalls", "trace"},
}
OURS = {*MAY_IMPORT, "tests"}
# Django's ways of importing by a dotted string.
BY_NAME = {"import_module", "import_string", "include", "__import__"}


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Every module that the source imports, by statement or by a call with a name: line, dotted name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
        elif isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            first = node.args[0]
            if name in BY_NAME and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def wrong_arrows(app: str, source: str) -> list[str]:
    """The imports of one file that point against the arrow, as `line: module`."""
    found = []
    for line, module in imported(source):
        top = module.split(".")[0]
        if top in OURS and top not in MAY_IMPORT[app]:
            found.append(f"{line}: {module}")
    return found


@pytest.mark.parametrize("app", MAY_IMPORT)
def test_nothing_points_back(app: str) -> None:
    files = sorted((ROOT / app).rglob("*.py"))
    assert files
    wrong = {
        str(file.relative_to(ROOT)): arrows
        for file in files
        if (arrows := wrong_arrows(app, file.read_text(encoding="utf-8")))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    "source",
    [
        "import recalls.models",
        "from labels import qr",
        "def late() -> None:\n    from desk.views import home",
        "import_module('recalls.scope')",
        "import tests.world",
    ],
)
def test_an_arrow_back_is_found(source: str) -> None:
    assert len(wrong_arrows("trace", source)) == 1


def test_an_app_may_import_itself_and_what_lies_below() -> None:
    assert wrong_arrows("labels", "import labels.qr, recalls.models, trace\nfrom .models import Run") == []


def test_rules_that_are_pure_import_no_django() -> None:
    pure = ["trace/identifiers.py", "trace/epcis", "recalls/law", "labels/qr.py", "labels/digital_link.py"]
    files = [
        file
        for name in pure
        for file in ([ROOT / name] if name.endswith(".py") else sorted((ROOT / name).rglob("*.py")))
        if file.exists()
    ]
    assert files
    wrong = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in files
        for line, module in imported(file.read_text(encoding="utf-8"))
        if module.split(".")[0] == "django" and not module.startswith("django.utils.translation")
    ]
    assert wrong == []
