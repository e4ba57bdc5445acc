"""EPC URN ↔ Digital Link URI, and the spellings of CBV words."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace.epcis import formats
from trace.epcis.formats import SCHEMES, EpcInvalid, Scheme, Vocabulary
from trace.identifiers import CSET82, gs1_check_digit

pytestmark = pytest.mark.once

# From the examples of the EPC Tag Data Standard (section 6.3) and a published document with all keys.
PAIRS = [
    ("urn:epc:id:sgtin:4012345.012345.12", "01/04012345123456/21/12"),
    ("urn:epc:id:sgtin:0614141.112345.400", "01/10614141123459/21/400"),
    ("urn:epc:class:lgtin:4054739.099914.20160711", "01/04054739999148/10/20160711"),
    ("urn:epc:idpat:sgtin:4054739.099914.*", "01/04054739999148"),
    ("urn:epc:id:upui:1234567.089456.51qIgY)%3C%26Jp3*j7'SDB", "01/01234567894560/235/51qIgY%29%3C%26Jp3%2Aj7'SDB"),
    ("urn:epc:id:sscc:0614141.1234567890", "00/106141412345678908"),
    ("urn:epc:id:sgln:0614141.12345.400", "414/0614141123452/254/400"),
    ("urn:epc:id:sgln:0614141.12345.0", "414/0614141123452"),
    ("urn:epc:id:sgln:012345678901..0", "414/0123456789012"),
    ("urn:epc:id:pgln:1234567.89012", "417/1234567890128"),
    ("urn:epc:id:grai:0614141.12345.400", "8003/00614141123452400"),
    ("urn:epc:idpat:grai:4012345.66666.*", "8003/04012345666663"),
    ("urn:epc:id:giai:0614141.12345400", "8004/061414112345400"),
    ("urn:epc:id:gsrn:0614141.1234567890", "8018/061414112345678902"),
    ("urn:epc:id:gsrnp:0614141.1234567890", "8017/061414112345678902"),
    ("urn:epc:id:gdti:0614141.12345.006847", "253/0614141123452006847"),
    ("urn:epc:idpat:gdti:4012345.55555.*", "253/4012345555554"),
    ("urn:epc:id:sgcn:4012345.67890.04711", "255/401234567890104711"),
    ("urn:epc:id:cpi:0614141.123ABC.123456789", "8010/0614141123ABC/8011/123456789"),
    ("urn:epc:id:cpi:0614141.5PQ7%2FZ43.12345", "8010/06141415PQ7%2FZ43/8011/12345"),
    ("urn:epc:idpat:cpi:4012345.ABC.*", "8010/4012345ABC"),
    ("urn:epc:id:itip:4012345.012345.01.02.987", "8006/040123451234560102/21/987"),
    ("urn:epc:idpat:itip:4012345.012345.01.02.*", "8006/040123451234560102"),
    ("urn:epc:id:ginc:0614141.xyz47%2F11", "401/0614141xyz47%2F11"),
    ("urn:epc:id:gsin:0614141.123456789", "402/06141411234567890"),
]


@pytest.mark.parametrize(("urn", "path"), PAIRS)
def test_each_key_has_both_spellings(urn: str, path: str) -> None:
    assert formats.to_digital_link(urn) == f"https://id.gs1.org/{path}"
    length = len(urn.split(":")[4].split(".")[0])
    asked: list[str] = []

    def answer(digits: str) -> int:
        asked.append(digits)
        return length

    assert formats.to_urn(f"https://example.com/some/where/{path}?linkType=all#top", answer) == urn
    assert asked[0].startswith(urn.split(":")[4].split(".")[0])
    assert formats.canonical(urn) == formats.canonical(f"https://example.com/{path}") == f"https://id.gs1.org/{path}"
    assert formats.to_digital_link(urn, host="https://trace.example.cn") == f"https://trace.example.cn/{path}"


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("https://id.gs1.org/01/04012345123457", "epc_check_digit"),
        ("https://id.gs1.org/414/9521141123452", "epc_check_digit"),
        ("https://id.gs1.org/8003/952012200000001004", "epc_shape"),
        ("urn:epc:id:sgtin:4012345.12345.12", "epc_shape"),
        ("urn:epc:id:sgtin:4012345.012345.", "epc_shape"),
        ("urn:epc:id:sgtin:4012345.012345", "epc_shape"),
        ("urn:epc:id:sgtin:4012345.012345.123456789012345678901", "epc_shape"),
        ("urn:epc:id:sgtin:4012345.012345.a/b", "epc_shape"),
        ("urn:epc:id:sgtin:4012345.012345.%00", "epc_shape"),
        ("urn:epc:id:sgtin:4012345.012345.白", "epc_shape"),
        ("urn:epc:id:sgtin:40123.01234567.1", "epc_prefix_length"),
        ("urn:epc:id:sgtin:٤٠١٢٣٤٥.012345.1", "epc_shape"),
        ("urn:epc:id:cpi:0614141.123ABC.0123", "epc_shape"),
        ("urn:epc:id:itip:4012345.012345.03.02.1", "epc_shape"),
        ("urn:epc:idpat:sgtin:4012345.*.*", "epc_shape"),
        ("urn:epc:idpat:sgtin:4012345.012345.1", "epc_shape"),
        ("urn:epc:idpat:sscc:0614141.1234567890", "epc_not_key"),
        ("urn:epc:id:lgtin:4054739.099914.1", "epc_not_key"),
        ("urn:epc:class:sgtin:4054739.099914.1", "epc_not_key"),
        ("urn:epc:id:gid:100.200.300", "epc_not_key"),
        ("urn:uuid:404d95fc-9457-4a51-bd6a-0bba133845a8", "epc_not_key"),
        ("https://example.com/po/123", "epc_not_key"),
        ("https://id.gs1.org/01/04012345123456/99/x", "epc_not_key"),
        ("https://id.gs1.org/01/04012345123456/10/%E9%85%92", "epc_shape"),
        ("https://id.gs1.org/01/04012345123456/10/%zz", "epc_shape"),
        ("https://id.gs1.org/01/04012345123456/10/酒", "epc_shape"),
        ("", "epc_not_key"),
        ("urn:", "epc_not_key"),
        ("urn:epc:id:sgtin:" + "1" * 2000, "epc_too_long"),
    ],
)
def test_what_is_no_key_is_refused_and_compared_as_it_is(uri: str, code: str) -> None:
    with pytest.raises(EpcInvalid) as refused:
        formats.parse(uri)
    assert refused.value.code == code
    assert refused.value.message
    assert formats.canonical(uri) == uri
    # Not judged, one key is still the same on two hosts.
    assert formats.canonical(uri.replace("id.gs1.org", "a.cn")) == uri or code != "epc_check_digit"


def test_only_the_finest_level_of_a_digital_link_counts() -> None:
    sgtin = "https://id.gs1.org/01/04012345123456/21/7"
    assert formats.canonical("https://a.cn/01/04012345123456/22/2A/10/LOT/21/7?17=261122") == sgtin
    assert formats.canonical("https://a.cn/x/gtin/4012345123456/lot/L/ser/7/") == sgtin
    assert formats.canonical("HTTP://a.cn/01/4012345123456/22/2A") == "https://id.gs1.org/01/04012345123456"
    assert formats.canonical("https://id.gs1.org/414/0614141123452/254/0") == "https://id.gs1.org/414/0614141123452"
    assert formats.canonical("urn:epc:id:sgtin:4012345.012345.007") != formats.canonical(
        "urn:epc:id:sgtin:4012345.012345.7"
    )
    assert formats.canonical("urn:epc:id:sgtin:4012345.012345.a%2fb") == formats.canonical(
        "https://id.gs1.org/01/04012345123456/21/a%2Fb"
    )


def test_a_name_knows_what_it_names() -> None:
    lot, unit = formats.parse(PAIRS[2][0]), formats.parse(PAIRS[0][0])
    assert (lot.gtin, lot.lot, lot.serial, lot.instance) == ("04054739999148", "20160711", "", False)
    assert (unit.gtin, unit.lot, unit.serial, unit.instance) == ("04012345123456", "", "12", True)
    place = formats.parse("urn:epc:id:sgln:0614141.12345.0")
    assert (place.gln, place.gtin, place.instance) == ("0614141123452", "", True)
    classes = {urn for urn, _path in PAIRS if not formats.parse(urn).instance}
    assert classes == {urn for urn, _path in PAIRS if "idpat" in urn or ":class:" in urn}


def test_a_urn_needs_the_length_of_the_prefix() -> None:
    link = "https://id.gs1.org/01/04012345123456/21/12"
    known = formats.prefix_lengths(["401234", "4012345", "952000"])
    assert formats.to_urn(link, known) == "urn:epc:id:sgtin:4012345.012345.12"
    assert formats.to_urn("urn:epc:id:sgtin:401234.0512345.12", known) == "urn:epc:id:sgtin:401234.0512345.12"
    for answer, code in ((None, "epc_prefix_unknown"), (5, "epc_prefix_length"), (13, "epc_prefix_length")):
        with pytest.raises(EpcInvalid) as refused:
            formats.to_urn(link, lambda digits, answer=answer: answer)  # type: ignore[misc]
        assert refused.value.code == code


DIGITS = "0123456789"


@st.composite
def urns(draw: st.DrawFn) -> str:
    """A right EPC URN of any scheme."""
    scheme: Scheme = draw(st.sampled_from(list(SCHEMES.values())))
    prefix = draw(st.text(DIGITS, min_size=6, max_size=12))
    escaped = '"#%&/<>?'

    def escape(text: str) -> str:
        return "".join(f"%{ord(char):02X}" if char in escaped else char for char in text)

    if scheme.length:
        size = scheme.length - 1 - len(prefix) - (scheme.lead if not scheme.lead_in_urn else 0)
        reference = draw(st.text(DIGITS, min_size=size, max_size=size))
    else:
        reference = draw(st.text(sorted(scheme.key_characters), min_size=1, max_size=30 - len(prefix)))
    text = f"{prefix}.{escape(reference)}"
    if scheme.pieces:
        total = draw(st.integers(1, 99))
        text += f".{draw(st.integers(1, total)):02d}.{total:02d}"
    if not scheme.tail_most:
        return scheme.urn + text
    if scheme.tail_required and not scheme.class_only and scheme.name != "upui" and draw(st.booleans()):
        return f"urn:epc:idpat:{scheme.name}:{text}.*"
    tail = draw(st.text(sorted(scheme.tail_characters), min_size=1, max_size=scheme.tail_most))
    return f"{scheme.urn}{text}.{escape(str(int(tail)) if scheme.name == 'cpi' else tail)}"


@given(urns())
def test_to_a_digital_link_and_back_nothing_is_lost(urn: str) -> None:
    read = formats.parse(urn)
    link = formats.to_digital_link(urn)
    assert formats.to_urn(link, lambda _digits: read.prefix_length) == urn
    assert formats.to_digital_link(link) == link
    assert re.fullmatch(r"https://id\.gs1\.org(/[A-Za-z0-9\-._~';=%]+)+", link)


@given(st.text(max_size=60) | st.text(sorted(CSET82) + list("/%?#:"), max_size=60).map("https://a.cn/01/".__add__))
def test_no_text_makes_it_fall(text: str) -> None:
    assert isinstance(formats.canonical(text), str)
    assert isinstance(formats.canonical("urn:epc:id:sgtin:" + text), str)


@given(st.text(DIGITS, min_size=1, max_size=17))
def test_the_check_digit_is_the_one_of_the_general_specifications(body: str) -> None:
    assert formats.check_digit(body) == gs1_check_digit(body)


@pytest.mark.parametrize("vocabulary", Vocabulary)
def test_each_word_has_its_spellings(vocabulary: Vocabulary) -> None:
    for word in vocabulary.words:
        spellings = {word, formats.word_uri(vocabulary, word), formats.word_urn(vocabulary, word)}
        spellings |= {stem + word for stem in vocabulary.stems}
        assert {formats.compact_word(vocabulary, spelling) for spelling in spellings} == {word}
        assert {formats.check_word(vocabulary, spelling) for spelling in spellings} == {word}
        assert len({formats.word_uri(vocabulary, spelling) for spelling in spellings}) == 1


def test_own_words_stay_and_nonsense_is_refused() -> None:
    step = Vocabulary.BIZ_STEP
    assert formats.word_uri(step, "urn:epcglobal:cbv:bizstep:shipping") == "https://ref.gs1.org/cbv/BizStep-shipping"
    assert formats.word_urn(step, "cbv:BizStep-shipping") == "urn:epcglobal:cbv:bizstep:shipping"
    same: list[Callable[[Vocabulary, str], str]] = [
        formats.compact_word,
        formats.word_uri,
        formats.word_urn,
        formats.check_word,
    ]
    for own in ("https://example.cn/steps/发酵", "urn:example:step:fermenting"):
        assert {function(step, own) for function in same} == {own}
        assert not formats.is_word(step, own)
    for nonsense in ("", "fermenting", "urn:epcglobal:cbv:bizstep:fermenting", "https://ref.gs1.org/cbv/BizStep-x",
                     "urn:epcglobal:cbv:disp:active", "https://ref.gs1.org/cbv/Disp-active", "a b:c", "https://a b",
                     "x:" + "y" * 2000):  # fmt: skip
        assert formats.compact_word(step, nonsense) == nonsense
        with pytest.raises(EpcInvalid) as refused:
            formats.check_word(step, nonsense)
        assert refused.value.code == "epc_word"


def test_every_key_in_the_examples_goes_both_ways(shared_data: Path) -> None:
    folder = shared_data / "epcis" / "openepcis" / "core"
    found = {
        uri
        for path in folder.rglob("*.*")
        if path.suffix in (".json", ".xml")
        for uri in re.findall(r"urn:epc:(?:id|class|idpat):[^\"<\s]+", path.read_text(encoding="utf-8"))
    }
    assert len(found) > 50
    for urn in found:
        read = formats.parse(urn)
        assert read.urn() == urn
        assert formats.to_urn(read.digital_link(), lambda _digits, size=read.prefix_length: size) == urn  # type: ignore[misc]


@given(
    start=st.sampled_from(
        ["https://id.gs1.org/01/", "https://example.org/a/01/", "http://id.gs1.org/01/", "https://id.gs1.org/gtin/"]
    ),
    key=st.sampled_from(["04012345123456", "04012345123457", "4012345123456", "x", ""]),
    way=st.sampled_from(["/21/", "/10/L1/21/", "/22/V/21/", "/10/", "/235/", "/21/A/21/"]),
    serial=st.text(alphabet="aB9-./%汾²", max_size=22),
)
def test_the_short_way_of_plain_serials_is_the_long_one(start: str, key: str, way: str, serial: str) -> None:
    uri = f"{start}{key}{way}{serial}"
    link, gtin = formats.serial_link(uri), formats.serial_gtin(uri)
    assert link in ("", formats.canonical(uri))
    try:
        found = formats.parse(uri)
    except EpcInvalid:
        assert not gtin
    else:
        assert not gtin or (found.scheme.name, found.gtin, found.serial) == ("sgtin", gtin, serial)
    if (start, key, way) == ("https://id.gs1.org/01/", "04012345123456", "/21/"):
        assert bool(link) == bool(gtin) == (serial.isascii() and serial.isalnum() and len(serial) <= 20)
