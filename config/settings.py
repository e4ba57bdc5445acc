"""Settings from the environment, secure by default. docs/operations.md has the table of variables.

Three ways to run, told apart by two flags, both off unless set:

* production: neither flag. Refuses to start without SECRET_KEY, ALLOWED_HOSTS and PUBLIC_BASE_URL.
* demonstration: `TRACE_DEMO=1`, set by `make run` only. Plain HTTP, demonstration log-ins.
* development: `DEBUG=1`.
"""

import gc
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _
from environs import Env

BASE_DIR = Path(__file__).resolve().parent.parent

# An answer of a hundred thousand lots is half a million small objects. With Python's default of 700 the collector looks
# for cycles among them again and again, which took a third of the time of large scopes and tables.
gc.set_threshold(50_000, 20, 20)

env = Env()
env.read_env(env.str("ENV_FILE", str(BASE_DIR / ".env")))

DEBUG = env.bool("DEBUG", False)
DEMO = env.bool("TRACE_DEMO", False)
PRODUCTION = not (DEBUG or DEMO)
# The module whose log-ins the sign-in page of the demonstration lists.
DEMO_LOGINS = "desk.demo.cast" if DEMO else ""

# Everything the program writes (database, uploads, collected static files, mail in the demonstration) lies
# here.
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / "data"))).resolve()
DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
BACKUP_DIR = Path(env.str("BACKUP_DIR", str(DATA_DIR / "backups"))).resolve()


def _required(name: str, otherwise: str) -> str:
    """The variable; outside production `otherwise` stands in for it, in production its absence is refused."""
    value = env.str(name, "")
    if value:
        return value
    if PRODUCTION:
        raise ImproperlyConfigured(
            f"{name} is not set. Set it in the environment or in {BASE_DIR / '.env'}; docs/operations.md "
            "explains each setting. To try the program out, use `make run`."
        )
    return otherwise


# --- Who we are --------------------------------------------------------------------------------------------

# A random stand-in ends every session at the next start, which is what an unset key should do outside
# production.
SECRET_KEY = _required("SECRET_KEY", secrets.token_urlsafe(50))
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", [])
# Wraps the keys of personal records. Kept apart, because SECRET_KEY may be changed and this must not be: what was
# sealed under it could never be read again.
PERSONAL_DATA_KEY = env.str("PERSONAL_DATA_KEY", "")

# Frozen into each code run when codes are issued; never ends with a slash.
PUBLIC_BASE_URL = _required("PUBLIC_BASE_URL", "http://127.0.0.1:8000").rstrip("/")
# Hosts (with port where there is one) under which codes were printed earlier; they keep resolving.
OLD_PUBLIC_HOSTS: list[str] = env.list("OLD_PUBLIC_HOSTS", [])

_public = urlsplit(PUBLIC_BASE_URL)
if _public.scheme not in ("http", "https") or not _public.hostname or _public.path or _public.query:
    raise ImproperlyConfigured(f"PUBLIC_BASE_URL must look like https://trace.example.cn, not {PUBLIC_BASE_URL!r}.")
HTTPS = _public.scheme == "https"
ALLOW_PLAIN_HTTP = env.bool("ALLOW_PLAIN_HTTP", False)
if PRODUCTION and not HTTPS and not ALLOW_PLAIN_HTTP:
    raise ImproperlyConfigured(
        "PUBLIC_BASE_URL must begin with https:// in production, else passwords travel in the clear. "
        "On a closed network without certificates set ALLOW_PLAIN_HTTP=1."
    )

_hosts = [part for part in _required("ALLOWED_HOSTS", "127.0.0.1,localhost").split(",") if part.strip()]
ALLOWED_HOSTS = [part.strip() for part in _hosts]
ALLOWED_HOSTS += [host for host in (_public.hostname, *(urlsplit(f"//{h}").hostname for h in OLD_PUBLIC_HOSTS)) if host]

# --- The program -------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "ninja",
    "trace",
    "recalls",
    "labels",
    "desk",
]

MIDDLEWARE = [
    "config.middleware.client_address",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "labels.views.kept_pages.quickly",  # scanned pages need none of what follows; see there
    "trace.views.straight.straightly",  # nor does a program with a key that calls the EPCIS door
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "trace.language.query_language",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "trace.middleware.ActorMiddleware",
    "desk.middleware.unread",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # must stay last: it turns a lock-out into the answer
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "trace.context.site",
            ],
        },
    },
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Databases ---------------------------------------------------------------------------------------------


def _sqlite(path: str | Path) -> dict[str, Any]:
    """Django's entry for a SQLite file by the rules that trace/checks.py compares a live connection with.

    IMMEDIATE takes the write lock at BEGIN: a transaction that reads and then writes otherwise fails at once
    with "database is locked", whatever the timeout. FULL: with NORMAL a power loss takes back acknowledged
    commits. recursive_triggers: without it INSERT OR REPLACE deletes a row without waking its append-only
    trigger. cache_size: of the two megabytes that SQLite keeps by itself, pages that one large document or sheet
    changes are written out in the middle and read again; eight are made only where they are used.
    """
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        # Opening the file and its pragmas take longer than most answers; each thread keeps its connection.
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; "
                "PRAGMA busy_timeout=20000; PRAGMA recursive_triggers=ON; PRAGMA cache_size=-8000;"
            ),
        },
    }


def _postgresql(url: str, pool: bool) -> dict[str, Any]:
    """Django's entry for postgresql://user:password@host:port/name?option=value; options go to libpq."""
    parts = urlsplit(url)
    options: dict[str, Any] = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    # Compiling a query takes longer than any of ours: it starts by estimated cost, and of recursive queries the planner
    # expects too much.
    options.setdefault("options", "-c jit=off")
    if pool:
        options["pool"] = {"min_size": 1, "max_size": env.int("DATABASE_POOL_SIZE", 10), "timeout": 10}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or "") or options.pop("host", ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
    }


def _database(url: str) -> dict[str, Any]:
    """Django's entry for DATABASE_URL: empty, sqlite:///path or postgresql://…"""
    scheme = urlsplit(url).scheme
    if not url:
        return _sqlite(DATA_DIR / "db.sqlite3")
    if scheme == "sqlite":
        return _sqlite(unquote(urlsplit(url).path.removeprefix("/")))
    if scheme in ("postgres", "postgresql"):
        return _postgresql(url, pool=env.bool("DATABASE_POOL", True))
    raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:/// or postgresql://")


DATABASES = {"default": _database(env.str("DATABASE_URL", ""))}
# Errors that django-ninja turns into answers would not roll a request's transaction back: actions own theirs.
ATOMIC_REQUESTS = False

# --- People and sessions -----------------------------------------------------------------------------------

AUTH_USER_MODEL = "trace.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# Those of the demonstration are printed at its start: many rounds would keep nobody out.
if DEMO:
    PASSWORD_HASHERS = ["desk.demo.passwords.QuickHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

# By name and address together: by address alone one wrong typist locks out a whole office, by name alone a
# stranger locks out anybody whose name is known.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 6
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ADMIN = False
AXES_LOCKOUT_TEMPLATE = "429.html"

# `__Host-` ties a cookie to this host over HTTPS; browsers refuse the prefix over plain HTTP.
SESSION_COOKIE_NAME = "__Host-sessionid" if HTTPS else "sessionid"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = [PUBLIC_BASE_URL]
LANGUAGE_COOKIE_SECURE = HTTPS
LANGUAGE_COOKIE_SAMESITE = "Lax"

# --- HTTP --------------------------------------------------------------------------------------------------

SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", 31_536_000) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS and env.bool("HSTS_SUBDOMAINS", True)
SECURE_HSTS_PRELOAD = HTTPS and env.bool("HSTS_PRELOAD", True)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# How many proxies of ours stand in front and add to X-Forwarded-For; 0 believes no such header.
NUM_PROXIES = env.int("NUM_PROXIES", 0)
if NUM_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# config.middleware.client_address has already put the client's address into REMOTE_ADDR.
NINJA_NUM_PROXIES = 0

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}

# A body in memory (JSON, form fields); files are streamed to disk and limited by UPLOAD_MAX_BYTES in the
# actions.
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
DATA_UPLOAD_MAX_NUMBER_FILES = 20
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_PERMISSIONS = 0o640
UPLOAD_MAX_BYTES = env.int("UPLOAD_MAX_BYTES", 10 * 1024 * 1024)
# What partners' systems may send in one EPCIS document; both are announced in headers of the door.
EPCIS_MAX_BYTES = env.int("EPCIS_MAX_BYTES", 100 * 1024 * 1024)
EPCIS_MAX_EVENTS = env.int("EPCIS_MAX_EVENTS", 1_000_000)
# Hosts (with port where there is one) inside one's own network that subscriptions may call.
EPCIS_CALLBACK_HOSTS: list[str] = env.list("EPCIS_CALLBACK_HOSTS", [])
# A table of coarse places by network for scans (labels/places.py); without one the place is unknown.
SCAN_PLACES_FILE = env.str("SCAN_PLACES_FILE", str(BASE_DIR / "desk" / "demo" / "places.csv") if DEMO else "")

# --- Language and time -------------------------------------------------------------------------------------

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("中文")), ("en", _("英文"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
TIME_ZONE = "Asia/Shanghai"
USE_TZ = True

# --- Files -------------------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
# Uploads are never served by URL: pages hand them out through `access`, so there is no MEDIA_URL to leak
# them.
MEDIA_ROOT = DATA_DIR / "files"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# --- E-mail ------------------------------------------------------------------------------------------------


def _email(url: str) -> dict[str, Any]:
    """Settings for EMAIL_URL: smtp://user:password@host:587 (STARTTLS), smtps://…, or empty (files)."""
    if not url:
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "EMAIL_FILE_PATH": str(DATA_DIR / "mail"),
        }
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps"):
        raise ImproperlyConfigured("EMAIL_URL must begin with smtp:// or smtps://")
    implicit_tls = parts.scheme == "smtps"
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname or "",
        "EMAIL_PORT": parts.port or (465 if implicit_tls else 587),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": implicit_tls,
        "EMAIL_USE_TLS": not implicit_tls and parse_qs(parts.query).get("tls", ["1"])[-1] != "0",
        "EMAIL_TIMEOUT": 20,
    }


globals().update(_email(env.str("EMAIL_URL", "")))
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", f"noreply@{_public.hostname}")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# --- Text messages and receipts ----------------------------------------------------------------------------

SMS_BACKEND = env.str("SMS_BACKEND", "file" if DEMO else "off")
SMS_FILE_PATH = str(DATA_DIR / "sms")
SMS_GATEWAY_URL = env.str("SMS_GATEWAY_URL", "")
SMS_GATEWAY_TOKEN = env.str("SMS_GATEWAY_TOKEN", "")
if SMS_BACKEND not in ("off", "console", "file", "http"):
    raise ImproperlyConfigured("SMS_BACKEND must be off, console, file or http")
if SMS_BACKEND == "http" and not SMS_GATEWAY_URL.startswith(("https://", "http://127.0.0.1")):
    raise ImproperlyConfigured("SMS_GATEWAY_URL must begin with https://")
# Partners' systems are told over public https only; a closed network may allow private addresses.
WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", False)
# Signs what a mail server or SMS gateway reports back (delivered, returned); empty: nothing is taken.
RECEIPTS_SECRET = env.str("RECEIPTS_SECRET", "")

# --- Logging -----------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", "INFO"), "propagate": False},
        "axes": {"level": "WARNING"},
    },
}
