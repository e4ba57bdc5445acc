"""Settings: secure by default, refused while something is missing, and documented as they are."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "config" / "settings.py").read_text(encoding="utf-8")

# What a child process inherits: nothing that the program reads as a setting.
BARE = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def documented_settings() -> dict[str, str]:
    """The block of production settings in the operations guide, with real keys in place of the two placeholders."""
    block = re.search(r"<!-- production settings.*?```ini\n(.*?)```", GUIDE, re.DOTALL)
    assert block is not None
    lines = [line.strip() for line in block.group(1).splitlines() if line.strip()]
    found = dict(line.split("=", 1) for line in lines)
    for name in ("SECRET_KEY", "PERSONAL_DATA_KEY"):
        found[name] = f"{name}-nH3kq7xV0b9sTz2LmYw5RcJd8fGa1uEo6PiQv4XhKt"
    return found


def manage(tmp_path: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with these settings and no others."""
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env={**BARE, "ENV_FILE": os.devnull, "DATA_DIR": str(tmp_path), **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def value(tmp_path: Path, expression: str, **settings: str) -> str:
    """What an expression over `settings` prints; reading them loads nothing else of the program."""
    done = subprocess.run(
        [sys.executable, "-c", f"from django.conf import settings; print({expression})"],
        env={**BARE, "ENV_FILE": os.devnull, "DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings"}
        | settings,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_the_documented_production_settings_pass_the_deployment_checks(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **documented_settings())
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize("missing", ["SECRET_KEY", "PUBLIC_BASE_URL", "ALLOWED_HOSTS"])
def test_production_refuses_to_start_without(tmp_path: Path, missing: str) -> None:
    settings = documented_settings()
    del settings[missing]
    done = manage(tmp_path, "check", **settings)
    assert done.returncode == 1
    assert f"{missing} is not set" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"PUBLIC_BASE_URL": "http://trace.example.cn"}, "ALLOW_PLAIN_HTTP"),
        ({"PUBLIC_BASE_URL": "trace.example.cn"}, "PUBLIC_BASE_URL must look like"),
        ({"PUBLIC_BASE_URL": "https://trace.example.cn/shop"}, "PUBLIC_BASE_URL must look like"),
        ({"DATABASE_URL": "mysql://root@localhost/trace"}, "DATABASE_URL must begin with"),
        ({"EMAIL_URL": "https://mail.example.cn"}, "EMAIL_URL must begin with"),
    ],
)
def test_a_setting_that_cannot_be_right_is_refused_in_a_sentence(
    tmp_path: Path, change: dict[str, str], said: str
) -> None:
    done = manage(tmp_path, "check", **(documented_settings() | change))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "found",
    [
        {
            "trace.W010": {"EMAIL_URL": ""},
            "trace.W011": {"PUBLIC_BASE_URL": "https://127.0.0.1:8000"},
            "trace.W012": {"PERSONAL_DATA_KEY": ""},
            "trace.W013": {"NUM_PROXIES": "0"},
        },
        {"trace.E009": {"TRACE_DEMO": "1"}, "security.W018": {"DEBUG": "1"}},
    ],
)
def test_the_deployment_checks_find(tmp_path: Path, found: dict[str, dict[str, str]]) -> None:
    settings = documented_settings()
    for change in found.values():
        settings |= change
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **settings)
    assert done.returncode == 1
    for code in found:
        assert code in done.stderr


def test_cookies_are_bound_to_the_host_under_https_and_plain_in_the_demonstration(tmp_path: Path) -> None:
    names = "settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, settings.SESSION_COOKIE_SECURE"
    assert value(tmp_path, names, **documented_settings()) == "__Host-sessionid __Host-csrftoken True"
    demo = {"TRACE_DEMO": "1", "PUBLIC_BASE_URL": "http://127.0.0.1:8000"}
    assert value(tmp_path, names, **demo) == "sessionid csrftoken False"


def test_debug_and_the_demonstration_are_off_by_default(tmp_path: Path) -> None:
    assert value(tmp_path, "settings.DEBUG, settings.DEMO", **documented_settings()) == "False False"


def test_old_public_hosts_are_answered(tmp_path: Path) -> None:
    settings = documented_settings() | {"OLD_PUBLIC_HOSTS": "old.example.cn,older.example.cn:8443"}
    hosts = value(tmp_path, "' '.join(settings.ALLOWED_HOSTS)", **settings).split()
    assert {"trace.example.cn", "old.example.cn", "older.example.cn"} <= set(hosts)


def test_database_url_reaches_postgresql_with_its_options(tmp_path: Path) -> None:
    url = "postgresql://tr%40ce:p%2Fw@db.example.cn:6543/goods?sslmode=require"
    entry = "[settings.DATABASES['default'][k] for k in ('NAME', 'USER', 'PASSWORD', 'HOST', 'PORT')]"
    settings = documented_settings() | {"DATABASE_URL": url}
    assert value(tmp_path, entry, **settings) == "['goods', 'tr@ce', 'p/w', 'db.example.cn', '6543']"
    options = value(tmp_path, "settings.DATABASES['default']['OPTIONS']", **settings)
    assert "'sslmode': 'require'" in options
    assert "'pool'" in options


def test_mail_passwords_may_hold_any_character(tmp_path: Path) -> None:
    settings = documented_settings() | {"EMAIL_URL": "smtp://u%40x.cn:a%3Ab%40@mail.example.cn"}
    found = "settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD, settings.EMAIL_PORT, settings.EMAIL_USE_TLS"
    assert value(tmp_path, found, **settings) == "u@x.cn a:b@ 587 True"


def test_every_setting_is_documented_and_nothing_else() -> None:
    read = set(re.findall(r'(?:env\.\w+|_required)\(\s*"([A-Z_]+)"', SETTINGS))
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \|(.*)$", GUIDE, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`([A-Z_]{3,})`", row[0])}
    mentioned = {name for row in rows for name in re.findall(r"`([A-Z_]{3,})`", row[1])}
    for_the_start = {"HOST", "PORT", "WEB_WORKERS", "OPERATOR_USERNAME", "OPERATOR_PASSWORD"}
    assert read <= documented | mentioned
    assert documented <= read | for_the_start


def test_every_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    assert {"run", "serve", "test", "backup", "restore", "upgrade"} <= targets
    named = set(re.findall(r"(?:`|^|&& |bin/)make ([a-z]+)", GUIDE, re.MULTILINE))
    assert {"serve", "backup", "restore", "upgrade"} <= named <= targets
