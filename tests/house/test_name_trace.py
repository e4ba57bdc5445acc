"""`trace` is also a module of the standard library: ours must win, however the program is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import trace

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
OURS = str(ROOT / "trace" / "__init__.py")


def run(*command: str, cwd: Path = ROOT, **env: str) -> str:
    """The last line a Python process prints, in the environment of the tests."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **env}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_pytest_imports_our_trace() -> None:
    assert trace.__file__ == OURS


def test_manage_py_imports_our_trace_from_any_folder(tmp_path: Path) -> None:
    asked = run(str(ROOT / "manage.py"), "shell", "-c", "import trace; print(trace.__file__)", cwd=tmp_path)
    assert asked == OURS


def test_manage_py_imports_our_trace_even_with_a_safe_path(tmp_path: Path) -> None:
    asked = run(
        str(ROOT / "manage.py"),
        *("shell", "-c", "import trace; print(trace.__file__)"),
        cwd=tmp_path,
        PYTHONSAFEPATH="1",
    )
    assert asked == OURS


def test_the_wsgi_application_imports_our_trace_from_the_project_folder() -> None:
    asked = run("-c", "import config.wsgi, trace; print(trace.__file__)")
    assert asked == OURS


def test_mypy_reads_our_trace(tmp_path: Path) -> None:
    probe = tmp_path / "probe.py"
    probe.write_text("import trace\nreveal_type(trace.__file__)\nfrom trace.errors import DomainError\n")
    options = ["-v", "--config-file", os.devnull, "--cache-dir", str(tmp_path), "--follow-imports", "silent"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(probe)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "trace/__init__.py" in done.stderr
    assert "stdlib/trace.pyi" not in done.stderr
    assert done.returncode == 0, done.stdout


def test_the_readme_explains_the_name() -> None:
    assert "'trace' is not a package" in (ROOT / "README.md").read_text(encoding="utf-8")
