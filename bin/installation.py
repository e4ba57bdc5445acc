"""Which installation a command of bin/ is about, and how to run the program's own commands in it.

A checkout can hold a production installation (settings in .env or the environment, data in data/) and, apart
from it, the demonstration (everything in data/demo). They never share a database: everybody knows the
demonstration's log-ins.
"""

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO_DIR = ROOT / "data" / "demo"


def base_environment() -> dict[str, str]:
    """The caller's environment, with our folder first on the path: `trace` is a standard-library name too."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
    }


def is_production() -> bool:
    """Whether production settings are there: a key in the environment or an .env file."""
    return bool(os.environ.get("SECRET_KEY")) or Path(os.environ.get("ENV_FILE", ROOT / ".env")).is_file()


def demo_secret_key(folder: Path) -> str:
    """The demonstration's key, made at its first start and readable by its owner only."""
    path = folder / "secret_key"
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
    return path.read_text().strip()


def own_address() -> str:
    """The address other machines of the network reach this one by; loopback when there is no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address; UDP connect sends nothing
            address: str = probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"
    return address


def in_url(host: str) -> str:
    """The host as it stands in a URL: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def demo_environment(host: str, port: int, folder: Path = DEMO_DIR) -> dict[str, str]:
    """Settings of the demonstration. It does not read .env, which may name the production database."""
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104  (asked for by HOST=)
    public = own_address() if everywhere else host
    names = ["127.0.0.1", "localhost", "[::1]", in_url(public), in_url(host), socket.gethostname()]
    environment = base_environment()
    environment.setdefault("PUBLIC_BASE_URL", f"http://{in_url(public)}:{port}")
    environment.setdefault("ALLOWED_HOSTS", ",".join(dict.fromkeys(names)))
    environment.update(
        ENV_FILE=os.devnull,
        TRACE_DEMO="1",
        DEBUG="0",
        DATA_DIR=str(folder),
        SECRET_KEY=demo_secret_key(folder),
    )
    return environment


def existing_environment() -> dict[str, str]:
    """For backup, restore and upgrade: production where it is set up, else the demonstration."""
    if is_production():
        return base_environment()
    folder = Path(os.environ.get("DATA_DIR", DEMO_DIR)).resolve()
    if not folder.exists():
        sys.exit("Nothing is installed here yet: see `make run` and docs/operations.md.")
    print(f"(the demonstration in {folder}; no production settings were found)", flush=True)
    return demo_environment("127.0.0.1", 8000, folder)


def manage(environment: dict[str, str], *arguments: str) -> int:
    """Run one of the program's commands to its end; its exit status."""
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def must_manage(environment: dict[str, str], *arguments: str) -> None:
    """Run one of the program's commands; end with its exit status when it fails."""
    status = manage(environment, *arguments)
    if status:
        sys.exit(status)
