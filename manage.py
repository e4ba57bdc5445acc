#!/usr/bin/env python
"""Django's command line."""

import os
import sys
from pathlib import Path


def main() -> None:
    """Run the command named on the command line."""
    # `trace` is also a module of the standard library; whichever is first on sys.path wins, so ours goes
    # first even when this file is run from elsewhere or with -P / PYTHONSAFEPATH.
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [here, *(entry for entry in sys.path if entry != here)]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a setting is missing: the sentence says it all
        sys.exit(str(error))


if __name__ == "__main__":
    main()
