"""The two spellings of a GS1 identifier in EPCIS, the EPC URN and the Digital Link URI, and the three of a CBV word.

An EPC URN (GS1 EPC Tag Data Standard, section 6) parts the company prefix from the rest by a dot and leaves the check
digit out; a Digital Link URI (GS1 Digital Link Standard: URI Syntax) writes the key as it stands on the label. The way
to a Digital Link is therefore always open; the way back needs the length of the company prefix, which no digit of the
key tells: `to_urn` asks a function for it.

Two URIs name the same thing when `canonical` of both is equal: one host, the finest level only (a serial number makes
the lot superfluous), no consumer product variant, no query (CBV 2.0, section 8.9.2, the rule of the event hash).

Refusals are ``Invalid`` with a code beginning ``epc_``. Nothing of Django is used but the translation of messages.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from django.utils.translation import gettext as _

from trace.errors import Invalid
from trace.identifiers import CSET82
from trace.text import printable

CANONICAL_HOST: Final = "https://id.gs1.org"
MAX_URI = 1_000
PREFIX_LENGTHS: Final = range(6, 13)
"""How many digits a company prefix has in an EPC URN (Tag Data Standard, the partition tables)."""

PrefixLength = Callable[[str], int | None]
"""Gets the digits of a key from the company prefix on (no indicator, no extension digit, no filler zero; the check
digit may follow) and answers how many of them are the company prefix, or None when it does not know."""

CSET39: Final = frozenset("#-/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS: Final = frozenset("0123456789")


class EpcInvalid(Invalid):
    """An identifier that is none: ``code`` says why, ``details["uri"]`` is its printable form."""

    code = "epc_invalid"


@dataclass(frozen=True)
class Scheme:
    """How one kind of GS1 key is written.

    ``lead`` digits stand before the company prefix in the key and (``lead_in_urn``) first in the reference of the URN;
    else they are filler zeros. ``length`` is the key's, with its check digit; 0 is a key of any length without one.
    ``joined`` tails follow the key at once (GRAI, GDTI, GCN), others come as an AI of their own.
    """

    name: str
    ai: str
    length: int
    lead: int = 0
    lead_in_urn: bool = False
    tail_ai: str = ""
    joined: bool = False
    tail_characters: frozenset[str] = CSET82
    tail_most: int = 0
    tail_required: bool = True
    pieces: bool = False
    class_only: bool = False
    key_characters: frozenset[str] = _DIGITS
    key_most: int = 0

    @property
    def urn(self) -> str:
        """What the URN of one thing (or one lot, for lgtin) begins with."""
        return f"urn:epc:class:{self.name}:" if self.class_only else f"urn:epc:id:{self.name}:"


def _gtin(name: str, tail_ai: str, most: int = 20, *, class_only: bool = False) -> Scheme:
    """A scheme on a GTIN, whose indicator digit moves in front of the item reference."""
    return Scheme(name, "01", 14, lead=1, lead_in_urn=True, tail_ai=tail_ai, tail_most=most, class_only=class_only)


SCHEMES: Final[dict[str, Scheme]] = {
    scheme.name: scheme
    for scheme in (
        _gtin("sgtin", "21"),
        _gtin("lgtin", "10", class_only=True),
        _gtin("upui", "235", 28),
        Scheme("itip", "8006", 14, lead=1, lead_in_urn=True, tail_ai="21", tail_most=20, pieces=True),
        Scheme("sscc", "00", 18, lead=1, lead_in_urn=True),
        Scheme("sgln", "414", 13, tail_ai="254", tail_most=20, tail_required=False),
        Scheme("pgln", "417", 13),
        Scheme("grai", "8003", 14, lead=1, joined=True, tail_most=16),
        Scheme("gdti", "253", 13, joined=True, tail_most=17),
        Scheme("sgcn", "255", 13, joined=True, tail_characters=_DIGITS, tail_most=12),
        Scheme("gsrn", "8018", 18),
        Scheme("gsrnp", "8017", 18),
        Scheme("gsin", "402", 17),
        Scheme("giai", "8004", 0, key_characters=CSET82, key_most=30),
        Scheme("ginc", "401", 0, key_characters=CSET82, key_most=30),
        Scheme(
            "cpi", "8010", 0, key_characters=CSET39, key_most=30, tail_ai="8011", tail_characters=_DIGITS, tail_most=12
        ),
    )
}
"""GS1 keys that have both spellings. gid, usdod, adi, bic, imovn are EPCs too, but no GS1 keys: no Digital Link."""
_BY_AI: Final = {scheme.ai: scheme for scheme in reversed(SCHEMES.values())}
_BY_AI["01"] = SCHEMES["sgtin"]
# Names of keys and qualifiers that Digital Link 1.0 allowed in a path and 1.2 withdrew: they are read, never written.
_NAMES: Final = {
    "gtin": "01", "sscc": "00", "itip": "8006", "cpid": "8010", "gln": "414", "party": "417", "gsrnp": "8017",
    "gsrn": "8018", "gcn": "255", "ginc": "401", "gsin": "402", "gdti": "253", "grai": "8003", "giai": "8004",
    "cpv": "22", "lot": "10", "ser": "21",
}  # fmt: skip
_QUALIFIERS: Final = {
    "01": ("22", "10", "21", "235"),
    "8006": ("22", "10", "21"),
    "414": ("254", "7040"),
    "417": ("7040",),
    "8004": ("7040",),
    "8010": ("8011",),
    "8017": ("8019",),
    "8018": ("8019",),
}
# What the URN must write as %XX (Tag Data Standard, section 6.3.1; # and / of a component part: 6.3.11).
_URN_ESCAPES: Final = str.maketrans({char: f"%{ord(char):02X}" for char in '"#%&/<>?'})
# What a Digital Link writes as %XX (URI Syntax, table 7-1, and what RFC 3986 keeps out of a path segment).
_LINK_ESCAPES: Final = str.maketrans({char: f"%{ord(char):02X}" for char in '!#%&()*+,/:"<>?'})
_URN_CHARACTERS: Final = re.compile(r"(?:[!'()*+,\-.0-9:;=A-Z_a-z]|%[0-9A-Fa-f]{2})*")
_LINK: Final = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://([^/?#@\s]+)((?:/[^?#\s]*)?)(?:[?#].*)?", re.DOTALL)
_IDPAT: Final = "urn:epc:idpat:"


class Epc(NamedTuple):
    """A GS1 identifier, taken apart and checked.

    ``key`` is the key with its check digit (for itip with piece and total), ``tail`` what singles out one: the serial,
    lot, extension or "". ``prefix_length`` is known when it was read from a URN.
    """

    scheme: Scheme
    key: str
    tail: str = ""
    prefix_length: int | None = None

    @property
    def instance(self) -> bool:
        """It names one thing; else a class of them (a lot, all of one GTIN): those belong in quantity lists only."""
        if self.scheme.class_only:
            return False
        return bool(self.tail) or not self.scheme.tail_most or not self.scheme.tail_required

    @property
    def gtin(self) -> str:
        """The GTIN-14 it speaks of, or "" for other keys."""
        return self.key if self.scheme.ai == "01" else self.key[:14] if self.scheme.pieces else ""

    @property
    def lot(self) -> str:
        """The lot of an lgtin, or ""."""
        return self.tail if self.scheme.name == "lgtin" else ""

    @property
    def serial(self) -> str:
        """The serial number of an sgtin, or ""."""
        return self.tail if self.scheme.name == "sgtin" else ""

    @property
    def gln(self) -> str:
        """The 13 digits of a place or party, or ""."""
        return self.key if self.scheme.name in ("sgln", "pgln") else ""

    def digital_link(self, host: str = CANONICAL_HOST) -> str:
        """``{host}/{ai}/{key}…``, as short as it can be."""
        text = f"{host}/{self.scheme.ai}/{_escape_link(self.key)}"
        if not self.tail:
            return text
        tail = _escape_link(self.tail)
        return text + tail if self.scheme.joined else f"{text}/{self.scheme.tail_ai}/{tail}"

    def urn(self, prefix_length: PrefixLength | None = None) -> str:
        """The EPC, EPC class or EPC pattern URN.

        The function is asked only when the identifier did not come from a URN. Refuses ``epc_prefix_unknown`` (no
        function, or it does not know), ``epc_prefix_length`` (it answers a length that cannot be).
        """
        scheme = self.scheme
        key = self.key[:14] if scheme.pieces else self.key
        digits = key[scheme.lead :]
        length = self.prefix_length
        if length is None:
            length = prefix_length(digits) if prefix_length else None
        if length is None:
            raise EpcInvalid(
                _("不知道 %(key)s 的厂商识别代码有几位，无法写成 EPC URN。") % {"key": printable(self.key, 40)},
                code="epc_prefix_unknown",
                uri=printable(self.key, 40),
            )
        _require_prefix(digits, length, scheme, self.key)
        body = digits[:-1] if scheme.length else digits
        reference = (key[: scheme.lead] if scheme.lead_in_urn else "") + body[length:].translate(_URN_ESCAPES)
        text = f"{digits[:length]}.{reference}"
        if scheme.pieces:
            text += f".{self.key[14:16]}.{self.key[16:18]}"
        if self.tail:
            return f"{scheme.urn}{text}.{self.tail.translate(_URN_ESCAPES)}"
        if not scheme.tail_most:
            return scheme.urn + text
        return f"{scheme.urn}{text}.0" if not scheme.tail_required else f"{_IDPAT}{scheme.name}:{text}.*"


def _escape_link(text: str) -> str:
    """A key or tail as a segment of a path; both are ASCII."""
    return text if text.isalnum() else text.translate(_LINK_ESCAPES)


def prefix_lengths(prefixes: Iterable[str]) -> PrefixLength:
    """The function `to_urn` wants, from company prefixes that are known: the longest that the digits begin with."""
    known = frozenset(prefixes)

    def length(digits: str) -> int | None:
        return next((size for size in reversed(PREFIX_LENGTHS) if digits[:size] in known), None)

    return length


def check_digit(body: str) -> str:
    """The GS1 check digit of ASCII digits without it (General Specifications, section 7.9), as fast as Python goes."""
    codes = body.encode("ascii")
    # 48 is the code of 0: what it adds, three times for every second digit, is taken away again.
    odd, even = codes[::-2], codes[-2::-2]
    return str((48 * (3 * len(odd) + len(even)) - 3 * sum(odd) - sum(even)) % 10)


# ---------------------------------------------------------------- reading


def parse(uri: str, *, judge: bool = True) -> Epc:
    """Take an EPC URN or a Digital Link URI of a GS1 key apart.

    A Digital Link keeps its finest level only. Without ``judge`` a wrong check digit (or filler of a GRAI) stays as it
    is. Refuses: ``epc_too_long``, ``epc_not_key`` (neither of both, or another
    vocabulary: such a URI may still be a fine identifier), ``epc_shape`` (wrong lengths or characters),
    ``epc_prefix_length``, ``epc_check_digit`` (details: ``expected``).
    """
    if len(uri) > MAX_URI:
        raise EpcInvalid(
            _("标识太长，最多 %(most)d 个字符。") % {"most": MAX_URI}, code="epc_too_long", uri=printable(uri)
        )
    return _sibling(uri, judge) or _parse(uri, judge)


def _sibling(uri: str, judge: bool) -> Epc | None:
    """A serialised GTIN by what is known of its product: documents name thousands of one, which differ in a plain
    serial at the end, and any such serial fits where one does.
    """
    end = uri.rfind("." if uri.startswith("urn:") else "/") + 1
    stem, serial = uri[:end], uri[end:]
    if not stem.endswith("/21/") and not stem.startswith("urn:epc:id:sgtin:"):
        return None
    # A hyphen stands for itself in URN and link, like letters and digits.
    if not (serial.replace("-", "A").isalnum() and serial.isascii() and len(serial) <= 20):
        return None
    known = _of_stem(stem, judge)
    return None if known is None else Epc(known.scheme, known.key, serial, known.prefix_length)


def serial_link(uri: str) -> str:
    """``canonical`` of a Digital Link that ends with a plain serial, without remembering each; empty for all else."""
    end = uri.rfind("/") + 1
    stem = _link_stem(uri[:end])
    return stem + uri[end:] if stem and uri[end:].isalnum() and uri.isascii() and len(uri) - end <= 20 else ""


def serial_gtin(uri: str) -> str:
    """The GTIN of such a Digital Link, if its check digit is right; empty for all else."""
    end = uri.rfind("/") + 1
    gtin = _stem_gtin(uri[:end])
    return gtin if gtin and uri[end:].isalnum() and uri.isascii() and len(uri) - end <= 20 else ""


@lru_cache(maxsize=4_096)
def _link_stem(stem: str) -> str:
    """What stands before serials of a product, in its canonical form; empty where that is no Digital Link."""
    known = _of_stem(stem, False) if stem.startswith("https://") and stem.endswith("/21/") else None
    return "" if known is None or len(stem) > MAX_URI - 20 else f"{CANONICAL_HOST}/01/{known.key}/21/"


@lru_cache(maxsize=4_096)
def _stem_gtin(stem: str) -> str:
    known = _of_stem(stem, True) if _link_stem(stem) else None
    return "" if known is None else known.gtin


@lru_cache(maxsize=4_096)
def _of_stem(stem: str, judge: bool) -> Epc | None:
    """What stands before a serial, with the serial A; None where that is no serialised GTIN."""
    try:
        found = _parse(stem + "A", judge)
    except EpcInvalid:
        return None
    return found if found.scheme.name == "sgtin" and found.tail == "A" else None


def _parse(uri: str, judge: bool) -> Epc:
    if uri.startswith("urn:"):
        return _parse_urn(uri)
    match = _LINK.fullmatch(uri)
    if match is None:
        raise _not_key(uri)
    return _parse_link(uri, match[2], judge)


def _parse_urn(uri: str) -> Epc:
    """A URN. Letters of the scheme are small, as the standard has it; the hexadecimal digits may be either."""
    pieces = uri.split(":", 4)
    scheme = SCHEMES.get(pieces[3]) if len(pieces) == 5 else None
    if scheme is None or pieces[1] != "epc":
        raise _not_key(uri)
    pattern = pieces[2] == "idpat" and scheme.tail_required and bool(scheme.tail_most) and not scheme.class_only
    if not pattern and pieces[2] != ("class" if scheme.class_only else "id"):
        raise _not_key(uri)
    fields = 1 + bool(scheme.tail_most) + 2 * scheme.pieces
    parts = pieces[4].split(".", fields)
    if len(parts) != fields + 1 or not _URN_CHARACTERS.fullmatch(pieces[4]):
        raise _shape(uri)
    prefix, tail = parts[0], ""
    if pattern and parts[-1] != "*":
        raise _shape(uri)
    if scheme.tail_most and not pattern:
        tail = _unescape(parts[-1])
        if not tail:
            raise _shape(uri)
        if not scheme.tail_required and tail == "0":
            tail = ""
    key = _key_of_urn(scheme, prefix, _unescape(parts[1]), uri)
    if scheme.pieces:
        key += _checked_pieces(parts[2] + parts[3], uri)
    _check_tail(scheme, tail, uri)
    return Epc(scheme, key, tail, len(prefix))


def _key_of_urn(scheme: Scheme, prefix: str, reference: str, uri: str) -> str:
    """The key with its check digit: the leading digit in front, the prefix, the rest."""
    if not _ascii_digits(prefix):
        raise _shape(uri)
    if len(prefix) not in PREFIX_LENGTHS:
        raise _prefix_length(len(prefix), uri)
    if not scheme.length:
        if not reference:
            raise _shape(uri)
        return _checked_free(scheme, prefix + reference, uri)
    lead, rest = (reference[:1], reference[1:]) if scheme.lead_in_urn else ("0" * scheme.lead, reference)
    body = lead + prefix + rest
    if len(body) != scheme.length - 1 or not _ascii_digits(body):
        raise _shape(uri)
    return body + check_digit(body)


def _parse_link(uri: str, path: str, judge: bool) -> Epc:
    """A Digital Link: its key is the first pair of segments after which only qualifiers of that key come."""
    segments = path.split("/")[1:]
    if segments and not segments[-1]:
        segments.pop()
    for start in range(len(segments) - 1):
        ai = _NAMES.get(segments[start], segments[start])
        scheme = _BY_AI.get(ai)
        names = [_NAMES.get(name, name) for name in segments[start + 2 :: 2]]
        if scheme is None or (len(segments) - start) % 2 or not set(names) <= set(_QUALIFIERS.get(ai, ())):
            continue
        values = dict(zip(names, segments[start + 3 :: 2], strict=True))
        return _of_link(scheme, _unescape_link(segments[start + 1], uri), values, uri, judge)
    raise _not_key(uri)


def _of_link(scheme: Scheme, key: str, values: dict[str, str], uri: str, judge: bool) -> Epc:
    """The identifier at its finest level: serial before lot before class."""
    if scheme.ai == "01":
        key = key.zfill(14) if len(key) in (8, 12, 13) else key
        scheme = SCHEMES["upui" if "235" in values else "sgtin" if "21" in values or "10" not in values else "lgtin"]
    tail = ""
    if scheme.joined:
        key, tail = key[: scheme.length], key[scheme.length :]
    elif scheme.tail_ai in values:
        tail = _unescape_link(values[scheme.tail_ai], uri)
        if not tail:
            raise _shape(uri)
        if not scheme.tail_required and tail == "0":
            tail = ""
    return _checked(scheme, key, tail, uri, judge)


def _checked(scheme: Scheme, key: str, tail: str, uri: str, judge: bool) -> Epc:
    """The identifier when lengths, characters and (to be judged) check digit are right."""
    if scheme.length:
        body = key[: scheme.length] if scheme.pieces else key
        if (
            len(body) != scheme.length
            or not _ascii_digits(body)
            or (judge and scheme.name == "grai" and body[0] != "0")
        ):
            raise _shape(uri)
        expected = check_digit(body[:-1])
        if judge and body[-1] != expected:
            raise EpcInvalid(
                _("标识 %(uri)s 的校验码不对：应为 %(expected)s。") % {"uri": printable(uri), "expected": expected},
                code="epc_check_digit",
                uri=printable(uri),
                expected=expected,
            )
        if scheme.pieces:
            _checked_pieces(key[scheme.length :], uri)
    else:
        _checked_free(scheme, key, uri)
    _check_tail(scheme, tail, uri)
    return Epc(scheme, key, tail)


def _checked_free(scheme: Scheme, key: str, uri: str) -> str:
    """A key without a length or check digit of its own."""
    if not 0 < len(key) <= scheme.key_most or not scheme.key_characters.issuperset(key):
        raise _shape(uri)
    return key


def _checked_pieces(pieces: str, uri: str) -> str:
    """Piece number and total, two digits each, from 01 and not above the total."""
    if len(pieces) != 4 or not _ascii_digits(pieces) or not 1 <= int(pieces[:2]) <= int(pieces[2:]):
        raise _shape(uri)
    return pieces


def _check_tail(scheme: Scheme, tail: str, uri: str) -> None:
    """Serial, lot or extension: length and characters; the serial of a component part has no zeros in front."""
    if len(tail) > scheme.tail_most or not scheme.tail_characters.issuperset(tail):
        raise _shape(uri)
    if scheme.name == "cpi" and len(tail) > 1 and tail[0] == "0":
        raise _shape(uri)


def _require_prefix(digits: str, length: int, scheme: Scheme, uri: str) -> None:
    """A company prefix of this length fits into the key and is made of digits."""
    room = scheme.length - 1 - scheme.lead if scheme.length else len(digits) - 1
    if length not in PREFIX_LENGTHS or length > room or not _ascii_digits(digits[:length]):
        raise _prefix_length(length, uri)


def _ascii_digits(text: str) -> bool:
    """Digits 0–9 only; "" is none."""
    return text.isascii() and text.isdigit()


def _unescape(text: str) -> str:
    """A part of a URN without its %XX."""
    return unquote_to_bytes(text).decode("latin-1") if "%" in text else text


_ESCAPED: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def _unescape_link(text: str, uri: str) -> str:
    """A segment of a path without its %XX; bytes above 127 become characters no key may have."""
    if _ESCAPED.search(text) or not text.isascii():
        raise _shape(uri)
    return unquote_to_bytes(text).decode("latin-1") if "%" in text else text


def _not_key(uri: str) -> EpcInvalid:
    """The error for what is no GS1 key at all."""
    return EpcInvalid(
        _("%(uri)s 不是 GS1 标识的 EPC URN 或 Digital Link 网址。") % {"uri": printable(uri)},
        code="epc_not_key",
        uri=printable(uri),
    )


def _shape(uri: str) -> EpcInvalid:
    """The error for a key whose parts have wrong lengths or characters."""
    return EpcInvalid(
        _("标识 %(uri)s 的长度或字符不符合 GS1 规定。") % {"uri": printable(uri)},
        code="epc_shape",
        uri=printable(uri),
    )


def _prefix_length(length: int, uri: str) -> EpcInvalid:
    """The error for a company prefix that is too short or too long."""
    return EpcInvalid(
        _("标识 %(uri)s 的厂商识别代码不能是 %(length)d 位：EPC URN 中应为 6 至 12 位。")
        % {"uri": printable(uri), "length": length},
        code="epc_prefix_length",
        uri=printable(uri),
        length=length,
    )


# ---------------------------------------------------------------- translating


def to_digital_link(uri: str, host: str = CANONICAL_HOST) -> str:
    """The Digital Link URI of an EPC URN; of a Digital Link its canonical form under this host.

    Refuses as `parse` does.
    """
    return parse(uri).digital_link(host)


def to_urn(uri: str, prefix_length: PrefixLength) -> str:
    """The EPC URN of a Digital Link URI; of a URN its canonical form. Refuses as `parse` and `Epc.urn` do.

    What has no serial becomes a pattern (``urn:epc:idpat:…*``), a GTIN with lot ``urn:epc:class:lgtin``.
    """
    return parse(uri).urn(prefix_length)


# Only what may be a key is worth a try: most values are none, and a refusal is dear to make.
_MAYBE_KEY: Final = re.compile(r"urn:epc:|[Hh][Tt][Tt][Pp][Ss]?://.*/(?:" + "|".join((*_BY_AI, *_NAMES)) + ")/")


@lru_cache(maxsize=16_384)
def canonical(uri: str) -> str:
    """The one form under which URIs of the same thing are equal: the canonical Digital Link, or the URI itself.

    Never refuses and judges no check digit; what is no GS1 key is compared letter by letter.
    """
    known = _sibling(uri, False) if len(uri) <= MAX_URI else None
    if known is not None:
        return f"{CANONICAL_HOST}/01/{known.key}/21/{known.tail}"
    if not _MAYBE_KEY.match(uri):
        return uri
    try:
        return parse(uri, judge=False).digital_link()
    except EpcInvalid:
        return uri


def split_iri(iri: str) -> tuple[str, str]:
    """Namespace and local name of a term written out as an address: parted after the last ``#``, ``/`` or ``:``.

    Both are "" where there is no local name.
    """
    end = max(iri.rfind("#"), iri.rfind("/"), iri.rfind(":")) + 1
    return (iri[:end], iri[end:]) if 0 < end < len(iri) else ("", "")


# ---------------------------------------------------------------- words of the Core Business Vocabulary


class Vocabulary(Enum):
    """A list of words of CBV 2.0 (and, for sensors, of the GS1 Web Vocabulary): Web URI stem, URN stem, the words."""

    BIZ_STEP = (
        "https://ref.gs1.org/cbv/BizStep-",
        "urn:epcglobal:cbv:bizstep:",
        "accepting arriving assembling collecting commissioning consigning creating_class_instance cycle_counting "
        "decommissioning departing destroying disassembling dispensing encoding entering_exiting holding inspecting "
        "installing killing loading other packing picking receiving removing repackaging repairing replacing reserving "
        "retail_selling sampling sensor_reporting shipping staging_outbound stock_taking stocking storing transporting "
        "unloading unpacking void_shipping",
    )
    DISPOSITION = (
        "https://ref.gs1.org/cbv/Disp-",
        "urn:epcglobal:cbv:disp:",
        "active available completeness_inferred completeness_verified conformant container_closed container_open "
        "damaged destroyed dispensed disposed encoded expired in_progress in_transit inactive mismatch_class "
        "mismatch_instance mismatch_quantity needs_replacement no_pedigree_match non_conformant non_sellable_other "
        "partially_dispensed recalled reserved retail_sold returned sellable_accessible sellable_not_accessible stolen "
        "unavailable unknown",
    )
    BIZ_TRANSACTION = (
        "https://ref.gs1.org/cbv/BTT-",
        "urn:epcglobal:cbv:btt:",
        "bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt",
    )
    SOURCE_DEST = (
        "https://ref.gs1.org/cbv/SDT-",
        "urn:epcglobal:cbv:sdt:",
        "location owning_party possessing_party",
    )
    ERROR_REASON = (
        "https://ref.gs1.org/cbv/ER-",
        "urn:epcglobal:cbv:er:",
        "did_not_occur incorrect_data",
    )
    COMPONENT = (
        "https://ref.gs1.org/cbv/Comp-",
        "",
        "altitude axial_distance azimuth easting elevation_angle height latitude longitude northing polar_angle "
        "spherical_radius x y z",
    )
    MEASUREMENT = (
        "https://gs1.org/voc/",
        "",
        "AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Altitude AmountOfSubstance "
        "AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity Area Capacitance "
        "Conductance Conductivity Count Density Dimensionless DoseEquivalent DoseEquivalentRate DynamicViscosity "
        "ElectricCharge ElectricCurrent ElectricCurrentDensity ElectricFieldStrength Energy Exposure Force Frequency "
        "Illuminance Inductance Irradiance KinematicViscosity Length LinearMomentum Luminance LuminousFlux "
        "LuminousIntensity MagneticFlux MagneticFluxDensity MagneticVectorPotential Mass MassConcentration "
        "MassFlowRate MassPerAreaTime MemoryCapacity MolalityOfSolute MolarEnergy MolarMass MolarVolume Power Pressure "
        "RadiantFlux RadiantIntensity Radioactivity RelativeHumidity Resistance Resistivity SolidAngle SpecificVolume "
        "Speed SurfaceDensity SurfaceTension Temperature Time Torque Voltage Volume VolumeFlowRate VolumeFraction "
        "VolumetricFlux Wavenumber",
    )
    SENSOR_ALERT = (
        "https://gs1.org/voc/",
        "",
        "ALARM_CONDITION ERROR_CONDITION",
    )

    def __init__(self, uri_stem: str, urn_stem: str, words: str) -> None:
        self.uri_stem = uri_stem
        self.urn_stem = urn_stem
        self.words = frozenset(words.split())

    @property
    def stems(self) -> tuple[str, ...]:
        """What may stand before a word: the Web URI, its short form with the known prefixes cbv: and gs1:, the URN."""
        known = [self.uri_stem, _curie_stem(self.uri_stem), self.urn_stem]
        if self in (Vocabulary.MEASUREMENT, Vocabulary.SENSOR_ALERT):
            # Both addresses of the vocabulary are met in documents of GS1's own.
            known.append("https://ref.gs1.org/voc/")
        return tuple(stem for stem in known if stem)


def _curie_stem(uri_stem: str) -> str:
    """cbv:BizStep- for https://ref.gs1.org/cbv/BizStep-."""
    return uri_stem.replace("https://ref.gs1.org/cbv/", "cbv:").replace("https://gs1.org/voc/", "gs1:")


_STEMS: Final = {vocabulary: vocabulary.stems for vocabulary in Vocabulary}


def compact_word(vocabulary: Vocabulary, value: str) -> str:
    """``shipping`` for each of its spellings; what is no word of the vocabulary comes back as it is."""
    if value in vocabulary.words:
        return value
    for stem in _STEMS[vocabulary]:
        if value.startswith(stem) and value[len(stem) :] in vocabulary.words:
            return value[len(stem) :]
    return value


def word_uri(vocabulary: Vocabulary, value: str) -> str:
    """``https://ref.gs1.org/cbv/BizStep-shipping`` for each spelling of shipping; another value comes back as it is."""
    word = compact_word(vocabulary, value)
    return vocabulary.uri_stem + word if word in vocabulary.words else value


def word_urn(vocabulary: Vocabulary, value: str) -> str:
    """``urn:epcglobal:cbv:bizstep:shipping`` for each spelling of shipping.

    Sensors' words have no URN in CBV 1.2: their Web URI. Another value comes back as it is.
    """
    word = compact_word(vocabulary, value)
    if word not in vocabulary.words:
        return value
    return (vocabulary.urn_stem or vocabulary.uri_stem) + word


def is_word(vocabulary: Vocabulary, value: str) -> bool:
    """The value is a word of the standard, in any spelling."""
    return compact_word(vocabulary, value) in vocabulary.words


_USER_WORD: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.\-]*):[^\s\"<>\\^`{|}]+")


def check_word(vocabulary: Vocabulary, value: str) -> str:
    """The compact word of the standard, or the absolute URI of somebody's own word.

    Refuses ``epc_word``: a bare word that the standard does not have, a word under the standard's own stems that is not
    in its list (CBV 2.0, section 7: users do not add to them), no URI.
    """
    word = compact_word(vocabulary, value)
    if word in vocabulary.words:
        return word
    stems = (*_STEMS[vocabulary], "https://ref.gs1.org/cbv/", "urn:epcglobal:cbv:")
    if len(value) > MAX_URI or not _USER_WORD.fullmatch(value) or value.startswith(stems):
        raise EpcInvalid(
            _("“%(value)s”不是 CBV 2.0 的词，也不是自有词汇的完整网址。") % {"value": printable(value)},
            code="epc_word",
            value=printable(value),
        )
    return value
