"""Backup, restore and upgrade of the installation in this checkout, also while it is running.

bin/upkeep.py backup [FILE]
bin/upkeep.py restore FILE
bin/upkeep.py upgrade
"""

import subprocess
import sys

from installation import ROOT, existing_environment, must_manage


def upgrade() -> None:
    """Save, install, migrate; the running processes keep the old code until they are restarted."""
    environment = existing_environment()
    must_manage(environment, "backup")
    subprocess.run([sys.executable, str(ROOT / "bin" / "venv.py")], cwd=ROOT, check=True)
    must_manage(environment, "prepare")
    print(
        "\nUpgraded. Server and worker still run the old code. Restart them now: `systemctl restart trace` where "
        "they run as a service, else Ctrl-C and start again."
    )


def main() -> None:
    """See the top of the file."""
    match sys.argv[1:]:
        case ["backup"]:
            must_manage(existing_environment(), "backup")
        case ["backup", file]:
            must_manage(existing_environment(), "backup", "--to", file)
        case ["restore", file]:
            must_manage(existing_environment(), "restore", file)
        case ["upgrade"]:
            upgrade()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
