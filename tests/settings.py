"""Settings of the test suite: production, with a key, a data directory that goes away and faster passwords.

The environment of the developer's shell and its .env must not change a test's answer, so what matters is set
here before config.settings reads it. Only DATABASE_URL comes from outside: the suite runs on both databases.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# A child process of a test shares its parent's directory and must not remove it.
_outside = "TRACE_TEST_DATA_DIR"
if _outside not in os.environ:
    _data = tempfile.mkdtemp(prefix="trace-tests-")
    atexit.register(shutil.rmtree, _data, ignore_errors=True)
else:
    _data = os.environ[_outside]

os.environ.update(
    ENV_FILE=os.devnull,
    DEBUG="0",
    TRACE_DEMO=os.environ.get("TRACE_TEST_DEMO", "0"),
    ALLOW_PLAIN_HTTP="1",
    SECRET_KEY="only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEF",
    ALLOWED_HOSTS="testserver,127.0.0.1,localhost",
    PUBLIC_BASE_URL=os.environ.get("TRACE_TEST_PUBLIC_BASE_URL", "http://testserver"),
    OLD_PUBLIC_HOSTS="",
    NUM_PROXIES="0",
    EMAIL_URL="",
    DATA_DIR=_data,
    # A pool keeps connections open to a template database, and PostgreSQL copies none that is in use.
    DATABASE_POOL="0",
    LOG_LEVEL="WARNING",
)

from config.settings import *  # noqa: E402, F403
from config.settings import DATA_DIR, DATABASES, STATIC_ROOT, STORAGES  # noqa: E402

(DATA_DIR / "files").mkdir(exist_ok=True)
Path(STATIC_ROOT).mkdir(exist_ok=True)

# Tables straight from the models: replaying the migrations takes many times as long in every worker. That both give
# the same tables is a test of its own (tests/house/test_migrations.py).
DATABASES["default"]["TEST"] = {"MIGRATE": False}

STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# The real server of the browser tests hands out the files where they lie; nothing is collected.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
