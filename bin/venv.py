"""Make .venv and install the pinned requirements into it; a second call finds nothing to do.

    python3 bin/venv.py                       what the program needs
    python3 bin/venv.py requirements-dev.txt  what tests and checks need besides; what follows goes to `pip install`

Runs under the machine's own Python, so it uses the standard library only, and no syntax that keeps an old
Python from reading as far as being told that it is too old.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def fingerprint(requirements: Path) -> str:
    """Changes when the requirements or the interpreter do."""
    parts = [sys.version, str(ROOT), (ROOT / "requirements.txt").read_text(), requirements.read_text()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def make_venv() -> None:
    """Create .venv with pip; Debian keeps the part that brings pip in a package of its own."""
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False)
    if made.returncode:
        sys.exit(
            "Python could not make a virtual environment. On Debian or Ubuntu: `apt install python3-venv`, "
            "then try again."
        )


def main() -> None:
    """Bring .venv up to date with the named requirements file."""
    if sys.version_info < (3, 11):  # noqa: UP036  (that is what is being asked)
        sys.exit(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}. "
            "Name another: make PYTHON=python3.12 run"
        )
    requirements = ROOT / (sys.argv[1] if len(sys.argv) > 1 else "requirements.txt")
    stamp = VENV / f".installed-{requirements.name}"
    wanted = fingerprint(requirements)
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Installing {requirements.name} into .venv; the first time takes a minute or two.", flush=True)
    # Not when only requirements changed: a running server would lose its files.
    if not PYTHON.exists() or subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True).returncode:
        make_venv()
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *sys.argv[2:]]
    done = subprocess.run([*pip, "--requirement", str(requirements)], cwd=ROOT, env=dict(os.environ), check=False)
    if done.returncode:
        sys.exit("The requirements could not be installed; pip's message above says why.")
    stamp.write_text(wanted)


if __name__ == "__main__":
    main()
