"""Wiring: settings, root URLs, WSGI/ASGI, the one NinjaAPI. Nothing of the domain.

The swap below must happen before Django's SQLite backend is imported, and this package is imported before
any setting is read, whoever starts (manage.py, the server, pytest, mypy's plugin): hence here.

Why a swap: the SQLite that ships with Debian 12 (3.40.1) can lose committed transactions under WAL when
several processes checkpoint; 3.51.3 mends it. `pysqlite3` carries its own newer SQLite. Django has no setting
for the driver, it imports the module named `sqlite3`. Where the package has no wheel (other machines than
x86-64 Linux) the interpreter's own module stays, and the check `trace.W001` says what to do.
"""

import sys

try:
    import pysqlite3
except ImportError:  # no wheel for this machine: requirements.txt has an environment marker
    pass
else:
    sys.modules["sqlite3"] = pysqlite3
    sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2
