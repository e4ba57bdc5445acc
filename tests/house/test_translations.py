"""Chinese is the source, English is complete beside it."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import polib
import pytest
from django import forms
from django.contrib.auth.password_validation import NumericPasswordValidator
from django.core.exceptions import ValidationError
from django.template import Context, Template
from django.test import Client
from django.utils import translation

from tests.world import World, sign_in
from trace.management.commands.compile_translations import compile_catalogue
from trace.models import Organisation, Place, ProductVersion, User

pytestmark = pytest.mark.once

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
        english = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
        wanted = {match.group(0) for match in PLACEHOLDER.finditer(entry.msgid)}
        for text in english:
            if text and {match.group(0) for match in PLACEHOLDER.finditer(text)} != wanted:
                wrong.append((entry.msgid, text))
    assert wrong == []


def english_texts() -> list[str]:
    """Every English sentence of the catalogue, plural forms apart."""
    return [
        text
        for entry in catalogue().values()
        for text in (entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr])
    ]


def test_english_holds_no_chinese() -> None:
    allowed = re.compile("示例|中文")
    chinese = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")
    assert [text for text in english_texts() if chinese.search(allowed.sub("", text))] == []


def test_english_keeps_the_terms_of_the_house() -> None:
    barred = re.compile(r"\bbatch|authentic|genuine|counterfeit-proof|tamper-proof", re.IGNORECASE)
    assert [text for text in english_texts() if barred.search(text)] == []


def test_plural_sentences_have_both_forms() -> None:
    plurals = [entry for entry in catalogue().values() if entry.msgid_plural]
    assert plurals
    assert [entry.msgid for entry in plurals if not all(entry.msgstr_plural.get(form) for form in (0, 1))] == []


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


def test_our_own_catalogue_compiles_whole(tmp_path: Path) -> None:
    copy = tmp_path / "django.po"
    shutil.copyfile(ROOT / "locale" / "en" / "LC_MESSAGES" / "django.po", copy)
    assert compile_catalogue(copy) is True
    compiled = {(entry.msgctxt, entry.msgid) for entry in polib.mofile(str(copy.with_suffix(".mo")))}
    assert compiled == set(catalogue())


def test_compiled_english_is_what_pages_show() -> None:
    lots = Template(
        "{% load i18n %}{% blocktrans count n=n %}{{ n }} 个批次{% plural %}{{ n }} 个批次{% endblocktrans %}"
    )
    with translation.override("en"):
        assert [lots.render(Context({"n": n})) for n in (1, 2)] == ["1 lot", "2 lots"]
    with translation.override("zh-hans"):
        assert [lots.render(Context({"n": n})) for n in (1, 2)] == ["1 个批次", "2 个批次"]


@pytest.mark.parametrize(
    ("language", "number", "password"),
    [
        ("zh-hans", "输入整数。", "密码只包含数字。"),
        ("en", "Enter a whole number.", "This password is entirely numeric."),
    ],
)
def test_sentences_of_django_itself_are_in_the_readers_language(language: str, number: str, password: str) -> None:
    with translation.override(language):
        with pytest.raises(ValidationError) as refused:
            forms.IntegerField().clean("x")
        assert refused.value.messages == [number]
        with pytest.raises(ValidationError) as refused:
            NumericPasswordValidator().validate("1234567890")
        assert refused.value.messages == [password]


# --- Pages read in English ------------------------------------------------------------------------------------------


class Words(HTMLParser):
    """What a page says: text and the attributes that are read out; data that people chose among is left out."""

    READ = ("aria-label", "title", "placeholder", "alt", "data-label", "value")

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self.silent or tag in ("option", "script", "style") or (given.get("lang") or "").startswith("zh"):
            if tag not in ("input", "br", "hr", "img", "path", "rect", "circle", "meta", "link"):
                self.silent.append(tag)
            return
        if tag == "input" and given.get("type") not in ("submit", "button"):
            given.pop("value", None)
        self.said += [value for name in self.READ if (value := given.get(name))]

    def handle_endtag(self, tag: str) -> None:
        if self.silent and self.silent[-1] == tag:
            self.silent.pop()

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.said.append(data)


def chinese_in(page: str, names: tuple[str, ...]) -> list[str]:
    """What a page says in Chinese beside the names of the cast."""
    words = Words()
    words.feed(page)
    words.close()
    left = []
    for said in words.said:
        for name in names:
            said = said.replace(name, "")
        if CHINESE.search(said):
            left.append(said.strip())
    return left


def test_chinese_left_in_a_page_is_found() -> None:
    page = '<nav aria-label="主导航"><a lang="zh-CN">中文</a></nav><p>示例酒坊 <b>批次</b></p><option>标准</option>'
    assert chinese_in(page, ("示例酒坊",)) == ["主导航", "批次"]


PAGES: dict[str, list[str]] = {
    "": ["/", "/help/", "/sign-in/", "/apply/", "/scan", "/scan/report", "/recalls", "/no-such-page/"],
    "distillery": [
        "/",
        "/lots/",
        "/steps/",
        "/steps/common.store/",
        "/products/",
        "/products/new/",
        "/places/",
        "/places/new/?kind=store",
        "/shipments/",
        "/labels/",
        "/labels/new/",
        "/organisation/",
        "/members/",
        "/keys/",
        "/recall/signals/new/",
    ],
    "distillery_quality": ["/", "/reports/", "/holds/", "/conflicts/", "/events/", "/trace/", "/account/"],
    "clerk": ["/", "/growers/", "/growers/new/"],
    "shop": ["/", "/shipments/inbox/", "/shipments/intake/", "/recall/notices/"],
    "lab": ["/", "/reports/", "/reports/new/"],
    "county": [
        "/",
        "/recall/campaigns/",
        "/recall/signals/",
        "/applications/",
        "/organisations/",
        "/gtin-claims/",
        "/certificates/",
    ],
    "consumer": ["/", "/account/"],
    "operator": ["/", "/operator/", "/operator/regulators/new/"],
}


def cast_names(world: World) -> tuple[str, ...]:
    """The names of the cast, longest first: what an English page may say in Chinese."""
    named = [
        *Organisation.objects.values_list("name", flat=True),
        *Organisation.objects.values_list("recall_contact_name", flat=True),
        *User.objects.values_list("display_name", flat=True),
        *Place.objects.values_list("name", flat=True),
        *ProductVersion.objects.values_list("name", flat=True),
        *(pack for packs in ProductVersion.objects.values_list("packs", flat=True) for pack in packs),
    ]
    return tuple(sorted({name for name in named if name}, key=len, reverse=True))


@pytest.mark.parametrize("who", PAGES)
def test_pages_read_in_english_say_nothing_in_chinese(client: Client, world: World, who: str) -> None:
    if who:
        sign_in(client, getattr(world, who))
    names = cast_names(world)
    left = {}
    for path in PAGES[who]:
        answer = client.get(path, headers={"accept-language": "en"})
        assert answer.status_code == (404 if path == "/no-such-page/" else 200), path
        if found := chinese_in(answer.content.decode(), names):
            left[path] = found
    assert left == {}


@pytest.mark.parametrize("path", ["/sign-in/", "/apply/", "/scan/report"])
def test_refusals_read_in_english_say_nothing_in_chinese(client: Client, world: World, path: str) -> None:
    answer = client.post(path, {"csrfmiddlewaretoken": "as a browser sends"}, headers={"accept-language": "en"})
    assert answer.status_code == 422
    assert "Correct the following" in answer.content.decode()
    assert chinese_in(answer.content.decode(), cast_names(world)) == []
