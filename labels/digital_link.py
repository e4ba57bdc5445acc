"""GS1 Digital Link URIs (GS1 Digital Link Standard: URI Syntax 1.4), and whatever else a person may scan or
type.

A code on a label is a web address that also names the goods: ``https://{host}/01/{gtin}/10/{lot}`` a lot,
``…/01/{gtin}/21/{serial}`` a unit, and ``/c/{code}`` goods without GTIN (never invent a GTIN). This module
takes such an address apart and puts one together. Refusals are ``Invalid`` with a code beginning ``dl_``.

Declared subset of Application Identifiers (AI): all primary keys but 8013 and 415 with their qualifiers; of
the data attributes those for dates, counts, measures, prices without currency, places and parties, countries,
certificates and company-internal use. Not known here, and refused by ``parse_uri`` unless told to ignore
them: 391n and 393n (currencies), 43nn (transport addresses), 7001, 7002, 7004, 7005, 7008–7011, 702n–703n,
710–717 and 724n–725n (fishery, medicine, persons), 8001, 8002, 8007, 8009 and 8011 upward but for 8017–8020
and 8026. Checked: length, characters, check digit, date, pieces of a total. Not checked: company prefixes,
country codes, and which AIs require or exclude each other. Compressed URIs and the alphabetic names
(``/gtin/``) that the standard withdrew are refused. GTIN-8, -12 and -13 are padded to 14 digits.

Nothing of Django is used but the translation of messages.
"""

import calendar
import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from django.utils.translation import gettext as _

from trace.errors import Invalid
from trace.identifiers import (
    CSET82,
    SERIAL_ALPHABET,
    SERIAL_LENGTH,
    gs1_check_digit,
    normalise_gtin,
    normalise_lot_code,
    normalise_serial,
)
from trace.text import fold_width, printable

MAX_URI = 2000
CODE_PATH = "c"
CANONICAL_STEM = "https://id.gs1.org"
GROUP_SEPARATOR = "\x1d"

Element = tuple[str, str]

CSET39: Final = frozenset("#-/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""Characters of a component part identifier, AI (8010)."""
IMPORTER_INDEX: Final = frozenset("-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")

# One line an AI: number, flags, format, and for a primary key its qualifiers in order, alternatives parted by
# "|". Flags: "f" the length is known from the AI, so no separator follows; "a" may stand in the query as a
# data attribute; "-" neither. Format, as in the General Specifications: n digits, x CSET 82, y CSET 39, i
# importer index; "14" exactly and "..20" up to; "?" after a part that may be missing; after ":" what is
# checked.
_TABLE = """
00    fa  n18:check                  key
01    fa  n14:check                  key=22,10,21|235
02    fa  n14:check
03    f   n14:check
10    a   x..20
11    fa  n6:date
12    fa  n6:date
13    fa  n6:date
15    fa  n6:date
16    fa  n6:date
17    fa  n6:date
20    fa  n2
21    -   x..20
22    -   x..20
235   -   x..28
240   a   x..30
241   a   x..30
242   a   n..6
243   a   x..20
250   a   x..30
251   a   x..30
253   a   n13:check x..17?           key
254   -   x..20
255   a   n13:check n..12?           key
30    a   n..8
37    a   n..8
400   a   x..30
401   a   x..30                      key
402   a   n17:check                  key
403   a   x..30
410   fa  n13:check
411   fa  n13:check
412   fa  n13:check
413   fa  n13:check
414   fa  n13:check                  key=254|7040
415   fa  n13:check
416   fa  n13:check
417   fa  n13:check                  key=7040
420   a   x..20
421   a   n3 x..9
422   a   n3
423   a   n3 n3? n3? n3? n3?
424   a   n3
425   a   n3 n3? n3? n3? n3?
426   a   n3
427   a   x..3
7003  a   n6:full-date n2:hour n2:sixty
7006  a   n6:full-date
7007  a   n6:full-date n6:full-date?
7040  -   n1 i3
8003  a   n1:zero n13:check x..16?   key
8004  a   x..30                      key=7040
8005  a   n6
8006  a   n14:check n4:pieces        key=22,10,21
8008  a   n6:full-date n2:hour n2:sixty? n2:sixty?
8010  a   y..30                      key=8011
8011  -   n..12:no-leading-zero
8017  a   n18:check                  key=8019
8018  a   n18:check                  key=8019
8019  -   n..10
8020  -   x..25
8026  a   n14:check n4:pieces
90    a   x..30
"""
# Trade and logistic measures (net weight, length, area, volume …): six digits, the last digit of the AI is
# the decimals.
_MEASURES = (*range(310, 317), *range(320, 338), *range(340, 358), *range(360, 370))
_PART = re.compile(r"(?P<set>[nxyi])(?P<upto>\.\.)?(?P<length>\d+)(?::(?P<check>[a-z-]+))?(?P<optional>\?)?")
_CHARACTERS = {"n": frozenset("0123456789"), "x": CSET82, "y": CSET39, "i": IMPORTER_INDEX}


@dataclass(frozen=True)
class Part:
    """One component of a value: characters, lengths, what is checked, whether it may be missing."""

    characters: frozenset[str]
    least: int
    most: int
    check: str
    optional: bool


@dataclass(frozen=True)
class Rule:
    """What is known of one AI. ``qualifiers`` is None unless it is a primary key; then the alternatives, in
    order.
    """

    ai: str
    parts: tuple[Part, ...]
    fixed: bool
    attribute: bool
    qualifiers: tuple[tuple[str, ...], ...] | None = None

    @property
    def all_qualifiers(self) -> frozenset[str]:
        """The qualifiers of any alternative."""
        return frozenset(ai for path in self.qualifiers or () for ai in path)

    @property
    def most(self) -> int:
        """The greatest length of a value."""
        return sum(part.most for part in self.parts)


def _rule(line: str) -> Rule:
    """One line of the table."""
    ai, flags, *words = line.split()
    qualifiers = None
    if words[-1].startswith("key"):
        alternatives = words.pop().removeprefix("key").removeprefix("=")
        qualifiers = tuple(tuple(path.split(",")) for path in alternatives.split("|") if path)
    return Rule(ai, tuple(_part(word) for word in words), "f" in flags, "a" in flags, qualifiers)


def _part(word: str) -> Part:
    """One component of a format."""
    match = _PART.fullmatch(word)
    if match is None:
        raise ValueError(f"not a component of a format: {word}")
    most = int(match["length"])
    return Part(
        characters=_CHARACTERS[match["set"]],
        least=1 if match["upto"] else most,
        most=most,
        check=match["check"] or "",
        optional=bool(match["optional"]),
    )


def _rules() -> dict[str, Rule]:
    """The table, with its ranges written out."""
    lines = _TABLE.strip().splitlines()
    lines += [f"{stem}{decimals} fa n6" for stem in _MEASURES for decimals in range(6)]
    lines += [f"390{decimals} a n..15" for decimals in range(10)]
    lines += [f"392{decimals} a n..15" for decimals in range(10)]
    lines += [f"394{decimals} a n4" for decimals in range(4)]
    lines += [f"395{decimals} a n6" for decimals in range(6)]
    lines += [f"723{number} a x2 x..28" for number in range(10)]
    lines += [f"{ai} a x..90" for ai in range(91, 100)]
    return {rule.ai: rule for rule in map(_rule, lines)}


RULES: Final = _rules()


# ---------------------------------------------------------------- values


def check_value(ai: str, value: str) -> str:
    """The value of one AI when it keeps the AI's format. A GTIN-8, -12 or -13 for (01) comes back with 14
    digits.

    Refuses: ``dl_unknown_ai``, ``dl_empty_value``, ``dl_bad_value``, ``dl_check_digit`` (details:
    ``expected``), ``dl_bad_date``; each with ``ai`` in its details.
    """
    rule = RULES.get(ai)
    if rule is None:
        raise Invalid(
            _("不认识应用标识符(%(ai)s)。") % {"ai": printable(ai, 8)},
            code="dl_unknown_ai",
            ai=printable(ai, 8),
        )
    if not value:
        raise Invalid(_("(%(ai)s)后面没有内容,请补上。") % {"ai": ai}, code="dl_empty_value", ai=ai)
    if ai == "01" and len(value) in (8, 12, 13):
        value = value.zfill(14)
    rest = value
    for part in rule.parts:
        if not rest and part.optional:
            break
        taken, rest = rest[: part.most], rest[part.most :]
        if len(taken) < part.least or not part.characters.issuperset(taken):
            raise _bad_value(ai, value)
        _CHECKS[part.check](ai, taken)
    if rest:
        raise _bad_value(ai, value)
    return value


def _bad_value(ai: str, value: str) -> Invalid:
    """The error for a value that is too long, too short, or has characters the AI does not allow."""
    return Invalid(
        _("(%(ai)s)的内容“%(value)s”长度或字符不符合 GS1 规定,请核对。") % {"ai": ai, "value": printable(value, 40)},
        code="dl_bad_value",
        ai=ai,
    )


def _check_nothing(ai: str, value: str) -> None:
    """Any value will do."""


def _check_digit(ai: str, value: str) -> None:
    """The last digit is the GS1 check digit of the others."""
    expected = gs1_check_digit(value[:-1])
    if value[-1] != expected:
        raise Invalid(
            _("(%(ai)s)的校验码不对:末位应为 %(expected)s,现在是 %(given)s。请逐位核对。")
            % {"ai": ai, "expected": expected, "given": value[-1]},
            code="dl_check_digit",
            ai=ai,
            expected=expected,
        )


def _check_date(ai: str, value: str) -> None:
    """YYMMDD, where day 00 stands for the whole month."""
    _check_full_date(ai, value if value[4:] != "00" else value[:4] + "01")


def _check_full_date(ai: str, value: str) -> None:
    """YYMMDD. Two digits mean a year from 1950 to 2050 or so, in which every fourth is a leap year."""
    year, month, day = int(value[:2]), int(value[2:4]), int(value[4:])
    if not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(2000 + year, month)[1]:
        raise Invalid(
            _("(%(ai)s)的日期 %(value)s 不存在:应为年月日各两位,例如 261122。") % {"ai": ai, "value": value},
            code="dl_bad_date",
            ai=ai,
        )


def _check_below(limit: int, ai: str, value: str) -> None:
    """A number below the limit (hours, minutes, seconds)."""
    if int(value) >= limit:
        raise _bad_value(ai, value)


def _check_pieces(ai: str, value: str) -> None:
    """Piece number and total, two digits each, from 01 and not above the total."""
    if not 1 <= int(value[:2]) <= int(value[2:]):
        raise _bad_value(ai, value)


def _check_zero(ai: str, value: str) -> None:
    """The filler digit in front of a returnable asset's number."""
    if value != "0":
        raise _bad_value(ai, value)


def _check_no_leading_zero(ai: str, value: str) -> None:
    """A number written without zeros in front; 0 itself is allowed."""
    if len(value) > 1 and value.startswith("0"):
        raise _bad_value(ai, value)


_CHECKS: Final[dict[str, Callable[[str, str], None]]] = {
    "": _check_nothing,
    "check": _check_digit,
    "date": _check_date,
    "full-date": _check_full_date,
    "hour": functools.partial(_check_below, 24),
    "sixty": functools.partial(_check_below, 60),
    "pieces": _check_pieces,
    "zero": _check_zero,
    "no-leading-zero": _check_no_leading_zero,
}


# ---------------------------------------------------------------- percent-encoding

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPED = re.compile("%([0-9A-Fa-f]{2})")


def escape(text: str, *, query: bool = False) -> str:
    """Everything but RFC 3986's unreserved characters as %XX; a space is ``+`` in a query."""
    return "".join(
        char
        if char in _UNRESERVED
        else "+"
        if query and char == " "
        else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "replace"))
        for char in text
    )


def unescape(text: str, *, query: bool = False) -> str:
    """%XX decoded, each byte to the character of that number; a stray ``%`` stays. ``+`` is a space in a
    query.

    Bytes above 127 do not become characters of UTF-8: no AI allows any, so they are refused as what they are.
    """
    if query:
        text = text.replace("+", " ")
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


# ---------------------------------------------------------------- a Digital Link


@dataclass(frozen=True)
class DigitalLink:
    """A checked set of AIs in the order of a Digital Link: one primary key, its qualifiers, data attributes.

    ``stem`` is what stands before the key: scheme, host and a path of the owner's choice, without a slash at
    the end.
    """

    stem: str
    key: Element
    qualifiers: tuple[Element, ...] = ()
    attributes: tuple[Element, ...] = ()

    @property
    def elements(self) -> tuple[Element, ...]:
        """All AIs with their values, key first."""
        return (self.key, *self.qualifiers, *self.attributes)

    @property
    def host(self) -> str:
        """The host name in lower case, with its port if one is given."""
        return self.stem.split("://", 1)[-1].split("/", 1)[0].lower()

    @property
    def path(self) -> str:
        """The part of the address that names the goods, with a slash in front."""
        return "".join(f"/{ai}/{escape(value)}" for ai, value in (self.key, *self.qualifiers))

    @property
    def uri(self) -> str:
        """The address. Equal links give equal text."""
        query = "&".join(f"{ai}={escape(value, query=True)}" for ai, value in self.attributes)
        return f"{self.stem}{self.path}" + (f"?{query}" if query else "")

    def value(self, ai: str) -> str | None:
        """The value of one AI in the path, or None. Attributes are not asked: a key there names something
        else.
        """
        return dict((self.key, *self.qualifiers)).get(ai)

    def element_string(self, separator: str = GROUP_SEPARATOR) -> str:
        """The same AIs as a bar code carries them: FNC1 in front and after each value of unknown length but
        the last.
        """
        text, pending = separator, ""
        for ai, value in self.elements:
            text += pending + ai + value
            pending = "" if RULES[ai].fixed else separator
        return text


def parse_uri(uri: str, *, ignore_unknown: bool = False) -> DigitalLink:
    """Take a Digital Link URI apart and check every AI in it.

    Words in the query that are no AI (``linkType=…``) and the fragment are dropped. With ``ignore_unknown``
    so are AIs in the query that this module does not know, which is right for reading other people's labels.

    Refuses: ``dl_too_long``, ``dl_not_uri`` (scheme, host or characters), ``dl_no_key`` (nothing in it names
    goods), ``dl_bad_order`` (a qualifier that the key does not take, or in the wrong place), ``dl_repeated``,
    ``dl_not_attribute`` (an AI that must not stand in the query), and what ``check_value`` refuses.
    """
    scheme, host, path, query = _split(uri)
    segments = path.split("/")[1:]
    start = _key_position(segments)
    key, *qualifiers = [
        (segments[i], check_value(segments[i], unescape(segments[i + 1]))) for i in range(start, len(segments), 2)
    ]
    _require_order(key[0], [ai for ai, _value in qualifiers])
    attributes = tuple(_attributes(query, ignore_unknown))
    _require_attributes(key[0], [ai for ai, _value in (key, *qualifiers)], [ai for ai, _value in attributes])
    return DigitalLink("/".join([f"{scheme}://{host}", *segments[:start]]), key, tuple(qualifiers), attributes)


_URI = re.compile(r"(?P<scheme>https?|HTTPS?)://(?P<host>[^/?#]+)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#.*)?")
_URI_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9.])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def _split(uri: str) -> tuple[str, str, str, str]:
    """Scheme, host, path and query of a web address; the scheme is all small or all capital letters."""
    if len(uri) > MAX_URI:
        raise Invalid(_("网址太长,最多 %(most)d 个字符。") % {"most": MAX_URI}, code="dl_too_long", most=MAX_URI)
    match = _URI.fullmatch(uri)
    if not match or not _URI_CHARACTERS.fullmatch(uri) or not _HOST.fullmatch(match["host"]):
        raise Invalid(_("这不是一个完整的网址:应以 https:// 开头,且不含空格和汉字。"), code="dl_not_uri")
    return match["scheme"].lower(), match["host"], match["path"] or "", match["query"] or ""


def _key_position(segments: Sequence[str]) -> int:
    """Where the primary key stands among the path's segments: the last one that only pairs of AI and value
    follow.
    """
    for position in range(len(segments) - 2, -1, -2):
        rule = RULES.get(segments[position])
        if rule is None:
            break
        if rule.qualifiers is not None:
            return position
    raise Invalid(_("网址里没有商品条码或其他 GS1 标识,例如 /01/09520123456788。"), code="dl_no_key")


def _require_order(key: str, qualifiers: Sequence[str]) -> None:
    """The qualifiers are some of one of the key's sequences, each at most once and in its order."""
    for allowed in RULES[key].qualifiers or ():
        if list(qualifiers) == [ai for ai in allowed if ai in qualifiers]:
            return
    if not qualifiers:
        return
    allowed_text = "|".join(",".join(path) for path in RULES[key].qualifiers or ())
    raise Invalid(
        _("(%(key)s)后面的(%(given)s)不能这样排列:允许的顺序是 %(allowed)s。")
        % {"key": key, "given": ")(".join(qualifiers), "allowed": allowed_text or "—"},
        code="dl_bad_order",
        key=key,
        allowed=allowed_text,
    )


def _attributes(query: str, ignore_unknown: bool) -> Iterable[Element]:
    """The AIs in a query, checked. A name of digits only is an AI; any other belongs to somebody else."""
    for piece in query.split("&"):
        name, equals, raw = piece.partition("=")
        ai = unescape(name, query=True)
        if not equals or not (ai.isascii() and ai.isdigit()) or (ignore_unknown and ai not in RULES):
            continue
        yield ai, check_value(ai, unescape(raw, query=True))


def check_query(path: Sequence[str], query: str) -> None:
    """The AIs in the query of an address whose path holds these AIs, the key first, by the rules of ``parse_uri``;
    those this module does not know are left alone, as is every word that is no AI.

    Refuses ``dl_too_long``, ``dl_repeated``, ``dl_not_attribute`` and what ``check_value`` refuses.
    """
    if len(query) > MAX_URI:
        raise Invalid(_("网址太长,最多 %(most)d 个字符。") % {"most": MAX_URI}, code="dl_too_long", most=MAX_URI)
    _require_attributes(path[0], path, [ai for ai, _value in _attributes(query, ignore_unknown=True)])


def _require_attributes(key: str, path: Sequence[str], attributes: Sequence[str]) -> None:
    """No AI twice, none in the query that belongs to the key's path, none that may not be an attribute."""
    seen = set(path)
    for ai in attributes:
        if ai in seen:
            raise _repeated(ai)
        seen.add(ai)
        if not RULES[ai].attribute or ai in RULES[key].all_qualifiers:
            raise Invalid(
                _("(%(ai)s)不能放在网址的问号后面,应接在(%(key)s)的路径里或去掉。") % {"ai": ai, "key": key},
                code="dl_not_attribute",
                ai=ai,
                key=key,
            )


def _repeated(ai: str) -> Invalid:
    """The error for an AI that is given twice."""
    return Invalid(_("(%(ai)s)出现了两次,只能有一个。") % {"ai": ai}, code="dl_repeated", ai=ai)


def build(elements: Iterable[Element], stem: str = CANONICAL_STEM) -> DigitalLink:
    """Put AIs in any order together: the first primary key leads, its qualifiers follow in order, the rest is
    query.

    Attributes of known length come first, as the standard recommends. The same AI with the same value counts
    once. Refuses what ``parse_uri`` refuses, ``dl_no_key`` when no AI is a primary key.
    """
    given: dict[str, str] = {}
    for ai, raw in elements:
        value = check_value(ai, raw)
        if given.setdefault(ai, value) != value:
            raise _repeated(ai)
    key = next((ai for ai in given if RULES[ai].qualifiers is not None), None)
    if key is None:
        raise Invalid(_("这些标识里没有可以作主键的,例如商品条码(01)。"), code="dl_no_key")
    present = [ai for ai in given if ai in RULES[key].all_qualifiers]
    for sequence in RULES[key].qualifiers or ():
        if set(present) <= set(sequence):
            present = [ai for ai in sequence if ai in present]
    _require_order(key, present)
    others = [ai for ai in given if ai != key and ai not in present]
    others.sort(key=lambda ai: not RULES[ai].fixed)
    _require_attributes(key, [key, *present], others)
    return DigitalLink(
        clean_stem(stem),
        (key, given[key]),
        tuple((ai, given[ai]) for ai in present),
        tuple((ai, given[ai]) for ai in others),
    )


def clean_stem(stem: str) -> str:
    """Scheme, host and path before the key, without a slash at the end. Refuses ``dl_not_uri``: no web
    address, a query.
    """
    scheme, host, path, query = _split(stem)
    if query or "?" in stem or "#" in stem:
        raise Invalid(_("公开网址不能带问号或井号。"), code="dl_not_uri")
    return f"{scheme}://{host}{path}".rstrip("/")


# ---------------------------------------------------------------- element strings

_SYMBOLOGY = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_BRACKETED = re.compile(r"\((\d{2,4})\)")


def parse_element_string(text: str, *, ignore_unknown: bool = False) -> tuple[Element, ...]:
    """The AIs of a GS1 element string, as printed ``(01)…(10)…`` or as a scanner sends it, with group
    separators.

    A symbology identifier in front (``]C1``, ``]Q3``, ``]d2``) is dropped. In the printed form a bracket that
    belongs to a value and looks like an AI is written ``\\(``. With ``ignore_unknown`` printed AIs that this
    module does not know are left out; as sent they cannot be, for their length is unknown. Refuses what
    ``check_value`` refuses, and ``dl_not_elements``.
    """
    if len(text) > MAX_URI:
        raise Invalid(_("内容太长,最多 %(most)d 个字符。") % {"most": MAX_URI}, code="dl_too_long", most=MAX_URI)
    match = _SYMBOLOGY.match(text)
    if match:
        text = text[match.end() :]
    found = _bracketed(text) if text.startswith("(") else _separated(text.lstrip(GROUP_SEPARATOR))
    return tuple((ai, check_value(ai, value)) for ai, value in found if not ignore_unknown or ai in RULES)


def _not_elements() -> Invalid:
    """The error for text that is no element string."""
    return Invalid(_("这不是 GS1 条码内容:应像 (01)09520123456788(10)ABC 这样书写。"), code="dl_not_elements")


def _bracketed(text: str) -> list[Element]:
    """``(01)…(10)…``."""
    marks = [mark for mark in _BRACKETED.finditer(text) if text[mark.start() - 1] != "\\" or mark.start() == 0]
    if not marks or marks[0].start() != 0:
        raise _not_elements()
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [(mark[1], text[mark.end() : end].replace("\\(", "(")) for mark, end in zip(marks, ends, strict=True)]


def _separated(text: str) -> list[Element]:
    """``01…10…`` with a group separator after each value of unknown length but the last."""
    found = []
    while text:
        ai = next((text[:length] for length in (2, 3, 4) if text[:length] in RULES), None)
        if ai is None:
            raise _not_elements()
        rule, text = RULES[ai], text[len(ai) :]
        if rule.fixed:
            value, text = text[: rule.most], text[rule.most :].removeprefix(GROUP_SEPARATOR)
        else:
            value, _separator, text = text.partition(GROUP_SEPARATOR)
        found.append((ai, value))
    if not found:
        raise _not_elements()
    return found


# ---------------------------------------------------------------- the codes of this system


def build_lot_uri(base_url: str, *, gtin: str | None, lot_code: str, public_code: str) -> str:
    """The address on a lot's label: ``/01/{gtin}/10/{lot_code}`` with a GTIN, else ``/c/{public_code}``.

    Refuses wrong check digits, lot codes we would not issue, and a base address that is none
    (``dl_not_uri``).
    """
    if not gtin:
        return build_code_uri(base_url, public_code)
    return build([("01", normalise_gtin(gtin)), ("10", normalise_lot_code(lot_code))], base_url).uri


def build_unit_uri(base_url: str, *, gtin: str | None, serial: str) -> str:
    """The address on a unit's label: ``/01/{gtin}/21/{serial}`` with a GTIN, else ``/c/{serial}``."""
    if not gtin:
        return build_code_uri(base_url, serial)
    return build([("01", normalise_gtin(gtin)), ("21", normalise_serial(serial))], base_url).uri


def build_code_uri(base_url: str, code: str) -> str:
    """``/c/{code}`` under the permanent host, for goods without GTIN. The code is one of ``new_serials``."""
    return f"{clean_stem(base_url)}/{CODE_PATH}/{normalise_serial(code)}"


class Kind(StrEnum):
    """What a scanned or typed text names."""

    GTIN_LOT = "gtin_lot"
    GTIN_SERIAL = "gtin_serial"
    GTIN = "gtin"
    CODE = "code"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Scanned:
    """What somebody scanned or typed, sorted out; nothing is looked up.

    ``gtin`` has 14 digits. ``lot`` and ``serial`` are exactly as captured, also beside one another (then the
    kind is GTIN_SERIAL). ``code`` is a canonical code of ours. ``host`` is the host of a full address, else
    "". ``text`` is what was given, trimmed: a lot code or a name to search for where the kind is UNKNOWN.
    ``problem`` is then the code of the error that kept it from being understood, or "".
    """

    kind: Kind
    text: str
    gtin: str = ""
    lot: str = ""
    serial: str = ""
    code: str = ""
    host: str = ""
    problem: str = ""


def parse_scanned(text: str) -> Scanned:
    """Understand a full address, a path, an element string, a GTIN, or a code typed from a label. Never
    raises.

    A typed code may have lost its hyphens and capitals, and may have I or L for 1 and O for 0. Twelve digits
    with a right GS1 check digit are taken for a GTIN, with ``code`` filled as well: one code in ten million
    looks so. A typed lot code of twelve characters looks like a code: who finds no such code searches for
    ``text``.
    """
    given = fold_width(text[:MAX_URI]).strip(" \t\r\n\u200b\ufeff")
    try:
        return replace(_understand(given), text=given)
    except Invalid as error:
        return Scanned(Kind.UNKNOWN, given, host=_host(given), problem=error.code)


_ADDRESS = re.compile(r"https?://(?P<host>[^/?#]*)", re.IGNORECASE)
_BARE_ADDRESS = re.compile(r"[A-Za-z0-9.-]+\.[A-Za-z]{2,}(?::[0-9]+)?/")
_PATH = re.compile(r"/(?:c|[0-9]{2,4})/", re.IGNORECASE)


def _understand(text: str) -> Scanned:
    """``parse_scanned`` where a refusal is still an error."""
    if _ADDRESS.match(text):
        return _from_address(text)
    if _BARE_ADDRESS.match(text):
        return _from_address(f"https://{text}")
    if _PATH.match(text):
        return _from_address(f"https://path.invalid{text}")
    if text.startswith(("(", "]", GROUP_SEPARATOR)) or re.match(r"01\d{14}(?:10|21)", text):
        return _from_link(build(parse_element_string(text, ignore_unknown=True)), text, host="")
    if text.isascii() and text.isdigit() and len(text) in (8, 13, 14):
        return Scanned(Kind.GTIN, text, gtin=normalise_gtin(text))
    if text.isascii() and text.isdigit() and len(text) == 12 and gs1_check_digit(text[:-1]) == text[-1]:
        return Scanned(Kind.GTIN, text, gtin=normalise_gtin(text), code=text)
    return Scanned(Kind.CODE, text, code=normalise_serial(text))


def _from_address(address: str) -> Scanned:
    """A web address of ours (``/c/…``) or a Digital Link of anybody's."""
    scheme, rest = address.split("://", 1)
    address = f"{scheme.lower()}://{rest}"
    _scheme, _netloc, path, _query = _split(address)
    host = _host(address)
    segments = [segment for segment in path.split("/") if segment]
    if len(segments) >= 2 and segments[-2].lower() == CODE_PATH:
        return Scanned(Kind.CODE, address, code=normalise_serial(unescape(segments[-1])), host=host)
    if path.endswith("/"):
        address = address.replace(path, path.rstrip("/"), 1)
    return _from_link(parse_uri(address, ignore_unknown=True), address, host=host)


def _host(address: str) -> str:
    """The host of a full address in lower case; "" for anything else and for the stand-in of a bare path."""
    match = _ADDRESS.match(address)
    host = match["host"].lower() if match and _HOST.fullmatch(match["host"]) else ""
    return "" if host == "path.invalid" else host


def _from_link(link: DigitalLink, text: str, *, host: str) -> Scanned:
    """The goods named by a Digital Link whose key is a GTIN; any other key is nothing this system labels."""
    gtin, lot, serial = link.value("01") or "", link.value("10") or "", link.value("21") or ""
    if not gtin:
        return Scanned(Kind.UNKNOWN, text, host=host, problem="dl_no_key")
    kind = Kind.GTIN_SERIAL if serial else Kind.GTIN_LOT if lot else Kind.GTIN
    return Scanned(kind, text, gtin=gtin, lot=lot, serial=serial, host=host)


def is_code(text: str) -> bool:
    """Whether the text is a code of ours in its canonical form: 12 characters of the serial alphabet."""
    return len(text) == SERIAL_LENGTH and all(char in SERIAL_ALPHABET for char in text)
