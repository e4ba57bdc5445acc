"""Chinese is the source, English is complete beside it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest

from trace.management.commands.compile_translations import compile_catalogue

ROOT = Path(__file__).resolve().parents[2]
APPS = ["trace", "recalls", "labels", "desk", "config"]
CHINESE = re.compile(r"[\u3400-\u9fff]")
PLACEHOLDER = re.compile(r"%\((\w+)\)[#0\- +]?[\d.]*[a-zA-Z]|%[sd]|\{(\w*)\}")


def catalogue() -> dict[tuple[str | None, str], polib.POEntry]:
    """The English entries by context and Chinese source."""
    path = ROOT / "locale" / "en" / "LC_MESSAGES" / "django.po"
    return {(entry.msgctxt, entry.msgid): entry for entry in polib.pofile(str(path)) if not entry.obsolete}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[polib.POEntry]:
    """Every message that code and templates hold now, as gettext's own tools find them."""
    if shutil.which("xgettext") is None:
        pytest.skip("gettext's tools are not installed (Debian: gettext)")
    copy = tmp_path_factory.mktemp("sources")
    for app in APPS:
        shutil.copytree(ROOT / app, copy / app, ignore=shutil.ignore_patterns("*.mo", "__pycache__", "migrations"))
    (copy / "locale").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "django", "makemessages", "-l", "en", "--keep-pot", "--no-obsolete"],
        cwd=copy,
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [entry for entry in polib.pofile(str(copy / "locale" / "django.pot")) if entry.msgid]


def test_every_chinese_sentence_has_its_english_one(sources: list[polib.POEntry]) -> None:
    english = catalogue()
    missing = []
    for source in sources:
        entry = english.get((source.msgctxt, source.msgid))
        if entry is None or entry.fuzzy or not entry.translated():
            missing.append(source.msgid)
    assert missing == []


def test_translations_keep_the_placeholders() -> None:
    wrong = []
    for entry in catalogue().values():
        translations = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
        wanted = {match.group(0) for match in PLACEHOLDER.finditer(entry.msgid)}
        for translation in translations:
            if translation and {match.group(0) for match in PLACEHOLDER.finditer(translation)} != wanted:
                wrong.append((entry.msgid, translation))
    assert wrong == []


def test_english_holds_no_chinese() -> None:
    allowed = re.compile(r"示例|中文|「[^」]*」|“[^”]*”|\([^)]*\)|([^)]*)")
    wrong = [
        entry.msgstr
        for entry in catalogue().values()
        if CHINESE.search(allowed.sub("", entry.msgstr)) and not entry.msgid.startswith("http")
    ]
    assert wrong == []


def untranslatable(template: str) -> list[str]:
    """Lines of a template with Chinese that gettext does not see."""

    def blank(match: re.Match[str]) -> str:
        return "\n" * match.group(0).count("\n")

    for pattern in (
        r"\{#.*?#\}",
        r"\{% comment.*?endcomment %\}",
        r"\{% blocktrans.*?endblocktrans %\}",
        r"\{% blocktranslate.*?endblocktranslate %\}",
        r"\{% (?:trans|translate) [^%]*%\}",
        r"""_\((?:"[^"]*"|'[^']*')\)""",
    ):
        template = re.sub(pattern, blank, template, flags=re.DOTALL)
    return [f"{n}: {line.strip()}" for n, line in enumerate(template.splitlines(), 1) if CHINESE.search(line)]


def test_templates_hold_no_chinese_that_cannot_be_translated() -> None:
    wrong = {
        str(file.relative_to(ROOT)): lines
        for app in APPS
        for file in sorted((ROOT / app).rglob("templates/**/*"))
        if file.is_file()
        and (lines := [line for line in untranslatable(file.read_text(encoding="utf-8")) if "中文" not in line])
    }
    assert wrong == {}


def test_chinese_outside_of_translation_tags_is_found() -> None:
    assert untranslatable('<p>{% trans "批次" %}</p>\n<p>批次</p>') == ["2: <p>批次</p>"]
    assert untranslatable("{% comment %}批\n次{% endcomment %}{# 批次 #}{% blocktrans %}批次{% endblocktrans %}") == []
    assert untranslatable('{% field form.lot label=_("批次") %}') == []


def test_catalogues_are_compiled_without_the_systems_tools(tmp_path: Path) -> None:
    po = tmp_path / "django.po"
    po.write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "批次"\nmsgstr "lot"\n\n'
        '#, fuzzy\nmsgid "猜"\nmsgstr "guess"\n',
        encoding="utf-8",
    )
    assert compile_catalogue(po) is True
    assert {entry.msgid: entry.msgstr for entry in polib.mofile(str(po.with_suffix(".mo")))} == {"批次": "lot"}
    assert list(tmp_path.glob("*.tmp")) == []
