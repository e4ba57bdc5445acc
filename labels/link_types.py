"""Link types of the GS1 Web Vocabulary and where a producer's own link may lead. Pure: no database.

A target is a plain ``https://`` address of a public host name. The resolver leads only to targets that stand in the
register, so an address on a label cannot be made to lead anywhere else.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from trace.errors import Invalid

VOCABULARY = "https://ref.gs1.org/voc/"
_PREFIXES = (VOCABULARY, "http://ref.gs1.org/voc/", "https://gs1.org/voc/", "http://gs1.org/voc/", "gs1:")
_FILE = Path(__file__).resolve().parent / "data" / "link_types.yaml"
TARGET_MAX = 500
_TARGET = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:[/?#][A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*)?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LOCAL = (".local", ".localhost", ".internal", ".lan", ".home", ".test", ".invalid", ".onion")


@dataclass(frozen=True)
class LinkType:
    """One link type: its name in the vocabulary and its words. ``ours`` are answered here and not set by producers."""

    name: str
    zh: str
    en: str
    ours: bool

    @property
    def label(self) -> str:
        """Its words in the reader's language."""
        return self.en if (get_language() or "").startswith("en") else self.zh

    @property
    def uri(self) -> str:
        """Its full name."""
        return VOCABULARY + self.name


@functools.cache
def link_types() -> dict[str, LinkType]:
    """The types this system knows, by name, in the order they are offered."""
    data = yaml.safe_load(_FILE.read_text("utf-8"))
    ours = set(data["ours"])
    return {name: LinkType(name, words["zh"], words["en"], name in ours) for name, words in data["types"].items()}


def producer_types() -> list[LinkType]:
    """Those a producer may set."""
    return [each for each in link_types().values() if not each.ours]


def link_type_name(text: str) -> str:
    """The bare name of a link type given as ``gs1:pip``, in full or bare; anything else comes back as it is."""
    given = text.strip()
    for prefix in _PREFIXES:
        if given.startswith(prefix):
            return given[len(prefix) :]
    return given


def check_target(text: str) -> tuple[str, str]:
    """The address a link leads to and its host in small letters.

    Refuses (``link_target``) what is no plain https address of a public host: other schemes, user names, numbers
    instead of names, local names, spaces, Chinese (written percent-encoded or as xn--), more than 500 characters.
    """
    given = text.strip()
    parts = urlsplit(given) if _TARGET.fullmatch(given) and len(given) <= TARGET_MAX else None
    host = (parts.hostname or "").rstrip(".") if parts is not None else ""
    if parts is None or not _is_public_name(host) or not _has_good_port(given):
        raise Invalid(
            _("请填写以 https:// 开头的完整网址：用公开的域名，不带用户名，汉字要编码，最多 %(most)d 个字符。")
            % {"most": TARGET_MAX},
            code="link_target",
        )
    return given, host


def _is_public_name(host: str) -> bool:
    """Whether a host is a name with at least two parts that could be found by anybody."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
    else:
        return False
    named = len(labels) >= 2 and len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    return named and not labels[-1].isdigit() and not f".{host}".endswith(_LOCAL)


def _has_good_port(address: str) -> bool:
    """Whether the port, if one is given, exists."""
    try:
        port = urlsplit(address).port
    except ValueError:
        return False
    return port is None or port > 0
