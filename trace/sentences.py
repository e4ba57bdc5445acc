"""Sentences that are kept and read again later, by somebody else and perhaps in another language.

In a module that says ``from trace.sentences import gettext as _`` a sentence is text as everywhere, and remembers how
it was made: its msgid, and what was put in. A conflict keeps that beside the text and is shown in its reader's
language. What is no sentence but differs by language too (an amount's unit, a product's name) is taken in each at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.conf import settings
from django.utils import translation

Said = str | dict[str, Any]
"""JSON: text as it is; ``{"msgid", "with"}``; ``{"all": [...]}`` one after another; ``{"join", "all"}``; or
``{"in": {language: text}}``.
"""


class Sentence(str):
    """Text in the language of now, with what it takes to say it again."""

    said: Said

    @classmethod
    def of(cls, text: str, said: Said) -> Sentence:
        """The text with how it was made."""
        found = cls(text)
        found.said = said
        return found

    def __mod__(self, given: Any) -> Sentence:
        if not isinstance(given, Mapping) or not isinstance(self.said, dict) or "msgid" not in self.said:
            return Sentence.of(str.__mod__(self, given), str.__mod__(self, given))
        kept = {key: said_of(value) for key, value in given.items()}
        return Sentence.of(str.__mod__(self, given), {**self.said, "with": kept})

    def __add__(self, other: str) -> Sentence:
        return Sentence.of(str.__add__(self, other), {"all": [self.said, said_of(other)]})

    def join(self, parts: Iterable[str]) -> Sentence:
        """The parts with this between them."""
        listed = list(parts)
        return Sentence.of(str.join(self, listed), {"join": self.said, "all": [said_of(part) for part in listed]})


def gettext(msgid: str) -> Sentence:
    """A message in the language of now, which can be said again in another."""
    return Sentence.of(translation.gettext(msgid), {"msgid": msgid})


def in_each_language(words: Callable[[], str]) -> Sentence:
    """Words that differ by language, taken in every language there is; nothing where there are none."""
    found: dict[str, str] = {}
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            found[code] = str(words())
    text = str(words())
    return Sentence.of(text, {"in": found} if len(set(found.values())) > 1 else text)


def said_of(value: Any) -> Said:
    """How a value is said again: text as it is, unless it is a sentence."""
    return value.said if isinstance(value, Sentence) else str(value)


def say(said: Any) -> str:
    """What was kept, in the language of now. Raises ValueError where it is nothing that ``Sentence`` keeps."""
    if isinstance(said, str):
        return said
    if not isinstance(said, dict):
        raise ValueError("no sentence")
    if "in" in said:
        words: dict[str, str] = said["in"]
        return words.get(translation.get_language() or "") or words[settings.LANGUAGE_CODE]
    if "msgid" in said:
        text = translation.gettext(said["msgid"])
        given = {key: say(value) for key, value in said.get("with", {}).items()}
        try:
            return text % given if "with" in said else text
        except (KeyError, TypeError) as error:
            raise ValueError("another sentence") from error
    return (say(said["join"]) if "join" in said else "").join(say(part) for part in said["all"])
