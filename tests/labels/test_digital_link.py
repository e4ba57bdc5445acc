"""Digital Links are taken apart and put together as GS1's own engine does it, and hostile text is only
refused.
"""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labels import digital_link as dl
from labels.digital_link import Kind
from trace.errors import Invalid
from trace.identifiers import CSET82, SERIAL_ALPHABET, gs1_check_digit, new_serials

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
GTIN = "09520123456788"
HOST = "https://trace.example.cn"


def vectors(name: str) -> dict[str, Any]:
    """One of GS1's vector files, read in place."""
    path = SHARED / "gs1" / name
    if not path.is_file():
        pytest.skip(f"GS1's test vectors are not at {path.parent}: set SHARED_DATA")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def refused(code: str, call: Any, *args: Any, **kwargs: Any) -> Invalid:
    """The refusal of a call, with the expected code."""
    with pytest.raises(Invalid) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code, caught.value
    return caught.value


# ---------------------------------------------------------------- GS1's vectors

# What the engine does only when an option says so, and this module never: names in letters, unknown AIs
# written out.
OPTIONS_WE_REFUSE = {"permitConvenienceAlphas", "permitUnknownAIs"}


def test_every_parse_vector_of_gs1_gives_the_same_answer() -> None:
    cases = vectors("syntax_engine_dl_parse.json")["cases"]
    wrong = []
    for case in cases:
        expected = case["element_string"] if case["valid"] else None
        if OPTIONS_WE_REFUSE & {name for name, on in case["options"].items() if on}:
            expected = None
        try:
            found = dl.parse_uri(case["uri"]).element_string("^")
        except Invalid:
            found = None
        if found != expected:
            wrong.append((case["uri"], expected, found))
    assert wrong == []
    assert len(cases) == 59
    assert sum(case["valid"] for case in cases) > 35


def test_every_build_vector_of_gs1_gives_the_same_address() -> None:
    cases = vectors("syntax_engine_dl_generate.json")["cases"]
    wrong = []
    for case in cases:
        expected = case["uri"]
        if "(89)" in case["hri"]:
            expected = None  # given once with the option for unknown AIs, which this module has not
        try:
            elements = dl.parse_element_string(case["hri"])
            found = dl.build(elements, case["stem"] or dl.CANONICAL_STEM).uri
        except Invalid:
            found = None
        if found != expected:
            wrong.append((case["hri"], expected, found))
    assert wrong == []
    assert len(cases) == 22


SAMPLE = {
    "00": "006141411234567890",
    "01": GTIN,
    "10": "L1",
    "21": "S1",
    "22": "V1",
    "235": "T1",
    "253": "9526064000028",
    "254": "X1",
    "255": "9526064000028",
    "401": "12345678",
    "402": "9526064000000000" + gs1_check_digit("9526064000000000"),
    "414": "9520123456788",
    "417": "9520123456788",
    "7040": "1ABC",
    "8003": "09526064000028",
    "8004": "9520614141234567",
    "8006": GTIN + "0102",
    "8010": "0200",
    "8011": "12",
    "8017": "795260646688514634",
    "8018": "123456789012345675",
    "8019": "123",
}
OUTSIDE_THE_SUBSET = {"8013"}


def test_exactly_the_path_sequences_of_gs1_are_accepted() -> None:
    listed = {tuple(sequence) for sequence in vectors("syntax_engine_dl_misc.json")["valid_path_ai_sequences"]}
    listed = {sequence for sequence in listed if not OUTSIDE_THE_SUBSET & set(sequence)}
    qualifiers = {ai for rule in dl.RULES.values() for ai in rule.all_qualifiers}
    keys = [ai for ai, rule in dl.RULES.items() if rule.qualifiers is not None]
    tried = [
        (key, *rest)
        for key in keys
        for length in range(4)
        for rest in itertools.product(sorted(qualifiers), repeat=length)
    ]
    accepted = set()
    for sequence in tried:
        path = "".join(f"/{ai}/{SAMPLE[ai]}" for ai in sequence)
        try:
            link = dl.parse_uri("https://example.com" + path)
        except Invalid:
            continue
        assert link.path == path
        accepted.add(sequence)
    assert accepted == listed


def test_percent_encoding_is_that_of_gs1() -> None:
    for case in vectors("syntax_engine_dl_misc.json")["percent_encoding"]:
        call = dl.escape if case["op"] == "escape" else dl.unescape
        assert call(case["in"]) == case["path"], case
        assert call(case["in"], query=True) == case["query"], case


def test_every_ai_of_the_subset_has_the_facts_of_gs1s_dictionary() -> None:
    path = SHARED / "gs1" / "gs1-syntax-dictionary.txt"
    if not path.is_file():
        pytest.skip("GS1's syntax dictionary is not there: set SHARED_DATA")
    listed = {}
    for line in path.read_text("utf-8").splitlines():
        if not line[:1].isdigit():
            continue
        words = line.split("#")[0].split()
        first, _dash, last = words.pop(0).partition("-")
        flags = words.pop(0) if not words[0][0].isalnum() else ""
        formats = [word for word in words if word[0] in "NXYZ[" and "=" not in word]
        keys = [word for word in words if word.startswith("dlpkey")]
        for number in range(int(first), int(last or first) + 1):
            listed[str(number).zfill(len(first))] = (flags, formats, keys)
    for ai, rule in dl.RULES.items():
        flags, formats, keys = listed[ai]
        assert rule.fixed == ("*" in flags), ai
        assert rule.attribute == ("?" in flags), ai
        lengths = [int(word.strip("[").split(",")[0].rstrip("]")[1:].strip(".")) for word in formats]
        assert rule.most == sum(lengths), ai
        if ai != "415":
            assert (rule.qualifiers is not None) == bool(keys), ai
    missing = [ai for ai, (_flags, _formats, keys) in listed.items() if keys and dl.RULES.get(ai, None) is None]
    assert missing == sorted(OUTSIDE_THE_SUBSET)


# ---------------------------------------------------------------- our own vectors


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        (f"{HOST}/01/09520123456789", "dl_check_digit"),
        (f"{HOST}/01/9520123456789", "dl_check_digit"),
        (f"{HOST}/01/095201234567", "dl_check_digit"),
        (f"{HOST}/01/0952012345678", "dl_check_digit"),
        (f"{HOST}/01/095201234567881", "dl_bad_value"),
        (f"{HOST}/01/0952012345678A", "dl_bad_value"),
        (f"{HOST}/01/٠٩٥٢٠١٢٣٤٥٦٧٨٨", "dl_not_uri"),
        (f"{HOST}/01/{GTIN}/10/{'A' * 21}", "dl_bad_value"),
        (f"{HOST}/01/{GTIN}/10/%E6%89%B9", "dl_bad_value"),
        (f"{HOST}/01/{GTIN}/10/a%20b", "dl_bad_value"),
        (f"{HOST}/01/{GTIN}/21/S1/10/L1", "dl_bad_order"),
        (f"{HOST}/01/{GTIN}/10/L1/10/L1", "dl_bad_order"),
        (f"{HOST}/01/{GTIN}/11/261122", "dl_bad_order"),
        (f"{HOST}/01/{GTIN}/", "dl_no_key"),
        (f"{HOST}/01", "dl_no_key"),
        (f"{HOST}/c/ABCDEFGHJKMN", "dl_no_key"),
        (f"{HOST}/10/L1/01/{GTIN}x/1", "dl_no_key"),
        (f"{HOST}/01/{GTIN}?17=270231", "dl_bad_date"),
        (f"{HOST}/01/{GTIN}?17=271301", "dl_bad_date"),
        (f"{HOST}/01/{GTIN}?7006=261100", "dl_bad_date"),
        (f"{HOST}/01/{GTIN}?17=270200&17=270200", "dl_repeated"),
        (f"{HOST}/01/{GTIN}?21=S1", "dl_not_attribute"),
        (f"{HOST}/01/{GTIN}?7040=1ABC", "dl_not_attribute"),
        (f"{HOST}/01/{GTIN}?8013=1987654Ad4X4bL5ttr2310c2K", "dl_unknown_ai"),
        (f"{HOST}/8006/{GTIN}0201", "dl_bad_value"),
        (f"{HOST}/8003/19526064000028", "dl_bad_value"),
        (f"{HOST}/8010/0200/8011/012", "dl_bad_value"),
        (f"{HOST}/01/{GTIN}?8008=26112224", "dl_bad_value"),
        (f"ftp://example.com/01/{GTIN}", "dl_not_uri"),
        (f"https://user@example.com/01/{GTIN}", "dl_not_uri"),
        (f"https:///01/{GTIN}", "dl_not_uri"),
        (f"{HOST}/01/{GTIN}\n", "dl_not_uri"),
        (f"{HOST}/01/{GTIN}\x00", "dl_not_uri"),
        (f"{HOST}/01/\ud800", "dl_not_uri"),
        (f"{HOST}/01/" + "9" * 5000, "dl_too_long"),
    ],
)
def test_wrong_addresses_are_refused_with_their_reason(uri: str, code: str) -> None:
    assert "%(" not in refused(code, dl.parse_uri, uri).message


def test_a_gtin_of_any_length_comes_back_with_fourteen_digits() -> None:
    for short in ("96385074", "416000336108", "9520123456788", GTIN):
        link = dl.parse_uri(f"{HOST}/01/{short}")
        assert link.value("01") == short.zfill(14)
        assert link.uri == f"{HOST}/01/{short.zfill(14)}"


def test_an_address_keeps_its_stem_and_drops_what_names_no_goods() -> None:
    link = dl.parse_uri(f"HTTPS://Trace.Example.CN:8443/shop/a/01/{GTIN}/10/L1?linkType=all&17=270200#top")
    assert link.stem == "https://Trace.Example.CN:8443/shop/a"
    assert link.host == "trace.example.cn:8443"
    assert link.attributes == (("17", "270200"),)
    assert link.uri == f"https://Trace.Example.CN:8443/shop/a/01/{GTIN}/10/L1?17=270200"


def test_attributes_of_other_peoples_labels_can_be_ignored() -> None:
    uri = f"{HOST}/01/{GTIN}?8200=x&89=y&7010=1&15=270200"
    assert dl.parse_uri(uri, ignore_unknown=True).attributes == (("15", "270200"),)
    refused("dl_unknown_ai", dl.parse_uri, uri)
    printed = f"(01){GTIN}(8200)http://a.example(10)L1"
    assert dl.parse_scanned(printed).lot == "L1"
    refused("dl_unknown_ai", dl.parse_element_string, printed)


def test_a_wrong_check_digit_tells_the_right_one() -> None:
    error = refused("dl_check_digit", dl.parse_uri, f"{HOST}/01/09520123456780")
    assert error.details == {"ai": "01", "expected": "8"}


@pytest.mark.parametrize("stem", ["", "trace.example.cn", "https://", "https://a?b", "https://a/#x", "https://a b"])
def test_a_base_address_that_is_none_is_refused(stem: str) -> None:
    refused("dl_not_uri", dl.build, [("01", GTIN)], stem)
    refused("dl_not_uri", dl.build_code_uri, stem, "0123456789AB")


def test_lot_and_unit_labels_have_the_promised_addresses() -> None:
    code = "7K3M0QX9ZB2T"
    assert dl.build_lot_uri(HOST, gtin=GTIN, lot_code="HT-2611", public_code=code) == f"{HOST}/01/{GTIN}/10/HT-2611"
    assert dl.build_lot_uri(HOST + "/", gtin=None, lot_code="HT-2611", public_code=code) == f"{HOST}/c/{code}"
    assert dl.build_unit_uri(HOST, gtin="9520123456788", serial=code) == f"{HOST}/01/{GTIN}/21/{code}"
    assert dl.build_unit_uri(HOST, gtin="", serial=code) == f"{HOST}/c/{code}"
    assert dl.build_code_uri("http://127.0.0.1:8000", "7k3m-0qx9-zb2t") == f"http://127.0.0.1:8000/c/{code}"


def test_we_never_build_an_address_from_wrong_parts() -> None:
    code = "7K3M0QX9ZB2T"
    refused("gtin_check", dl.build_lot_uri, HOST, gtin="09520123456789", lot_code="L1", public_code=code)
    refused("lot_code_characters", dl.build_lot_uri, HOST, gtin=GTIN, lot_code="L/1", public_code=code)
    refused("lot_code_required", dl.build_lot_uri, HOST, gtin=GTIN, lot_code="", public_code=code)
    refused("serial_length", dl.build_unit_uri, HOST, gtin=GTIN, serial="123")
    refused("serial_characters", dl.build_unit_uri, HOST, gtin=None, serial="7K3M0QX9ZB2%")


def test_element_strings_are_read_as_printed_and_as_scanned() -> None:
    expected = (("01", GTIN), ("17", "270200"), ("10", "AB(10)"), ("21", "S1"))
    assert dl.parse_element_string(f"(01){GTIN}(17)270200(10)AB\\(10)(21)S1") == expected
    for prefix in ("", "]C1", "]d2", "]Q3\x1d", "\x1d"):
        assert dl.parse_element_string(f"{prefix}01{GTIN}1727020010AB(10)\x1d21S1") == expected
    refused("dl_not_elements", dl.parse_element_string, "")
    refused("dl_not_elements", dl.parse_element_string, "(x)1")
    refused("dl_not_elements", dl.parse_element_string, "889")
    refused("dl_empty_value", dl.parse_element_string, f"(01){GTIN}(10)")
    refused("dl_unknown_ai", dl.parse_element_string, "(89)1")
    refused("dl_too_long", dl.parse_element_string, "(10)" + "A" * 3000)


# ---------------------------------------------------------------- whatever a person scans or types


@pytest.mark.parametrize(
    ("text", "kind", "facts"),
    [
        (f"{HOST}/01/{GTIN}/10/L1", Kind.GTIN_LOT, {"gtin": GTIN, "lot": "L1", "host": "trace.example.cn"}),
        (
            f"{HOST}/01/{GTIN}/10/a%2Fb",
            Kind.GTIN_LOT,
            {"gtin": GTIN, "lot": "a/b", "host": "trace.example.cn"},
        ),
        (f" /01/{GTIN}/21/s1\n", Kind.GTIN_SERIAL, {"gtin": GTIN, "serial": "s1"}),
        (f"/01/{GTIN}/10/L1/21/S1", Kind.GTIN_SERIAL, {"gtin": GTIN, "lot": "L1", "serial": "S1"}),
        (f"{HOST}/01/{GTIN}/?8200=x", Kind.GTIN, {"gtin": GTIN, "host": "trace.example.cn"}),
        (f"Http://A.example/p/01/{GTIN}", Kind.GTIN, {"gtin": GTIN, "host": "a.example"}),
        (
            f"trace.example.cn/01/{GTIN}/10/L1",
            Kind.GTIN_LOT,
            {"gtin": GTIN, "lot": "L1", "host": "trace.example.cn"},
        ),
        (f"{HOST}/c/7K3M0QX9ZB2T", Kind.CODE, {"code": "7K3M0QX9ZB2T", "host": "trace.example.cn"}),
        (
            "HTTPS://TRACE.EXAMPLE.CN/C/7K3M0QX9ZB2T",
            Kind.CODE,
            {"code": "7K3M0QX9ZB2T", "host": "trace.example.cn"},
        ),
        (
            f"{HOST}/c/7k3m-0qx9-zb2t/?from=wx",
            Kind.CODE,
            {"code": "7K3M0QX9ZB2T", "host": "trace.example.cn"},
        ),
        ("/c/7k3m0qx9zb2t", Kind.CODE, {"code": "7K3M0QX9ZB2T"}),
        ("7k3m-Oqx9-zb2t", Kind.CODE, {"code": "7K3M0QX9ZB2T"}),
        ("７K3M 0QX9 ZB2T", Kind.CODE, {"code": "7K3M0QX9ZB2T"}),
        (f"(01){GTIN}(10)L1", Kind.GTIN_LOT, {"gtin": GTIN, "lot": "L1"}),
        (f"(01){GTIN}(17)270200(10)L1(21)S1", Kind.GTIN_SERIAL, {"gtin": GTIN, "lot": "L1", "serial": "S1"}),
        (f"]d201{GTIN}10L1\x1d21S1", Kind.GTIN_SERIAL, {"gtin": GTIN, "lot": "L1", "serial": "S1"}),
        (f"01{GTIN}10L1", Kind.GTIN_LOT, {"gtin": GTIN, "lot": "L1"}),
        ("9520123456788", Kind.GTIN, {"gtin": GTIN}),
        (GTIN, Kind.GTIN, {"gtin": GTIN}),
        ("96385074", Kind.GTIN, {"gtin": "00000096385074"}),
        ("416000336108", Kind.GTIN, {"gtin": "00416000336108", "code": "416000336108"}),
        ("416000336107", Kind.CODE, {"code": "416000336107"}),
        ("9520123456789", Kind.UNKNOWN, {"problem": "gtin_check"}),
        (
            f"{HOST}/01/09520123456789",
            Kind.UNKNOWN,
            {"problem": "dl_check_digit", "host": "trace.example.cn"},
        ),
        (f"{HOST}/about", Kind.UNKNOWN, {"problem": "dl_no_key", "host": "trace.example.cn"}),
        (f"{HOST}/c/123", Kind.UNKNOWN, {"problem": "serial_length", "host": "trace.example.cn"}),
        ("/00/006141411234567890", Kind.UNKNOWN, {"problem": "dl_no_key"}),
        ("HT-2611-核桃", Kind.UNKNOWN, {"problem": "serial_length"}),
        ("", Kind.UNKNOWN, {"problem": "serial_length"}),
        ("https://", Kind.UNKNOWN, {"problem": "dl_not_uri"}),
        ("\x00\ud800", Kind.UNKNOWN, {"problem": "serial_length"}),
    ],
)
def test_anything_scanned_or_typed_is_sorted_out(text: str, kind: Kind, facts: dict[str, str]) -> None:
    found = dl.parse_scanned(text)
    names = ("gtin", "lot", "serial", "code", "host", "problem")
    assert found.kind == kind
    assert {name: getattr(found, name) for name in names if getattr(found, name)} == facts
    assert "path.invalid" not in found.text


values = st.text(alphabet=sorted(CSET82), min_size=1, max_size=20)
gtins = st.integers(min_value=1, max_value=10**13 - 1).map(lambda n: f"{n:013d}" + gs1_check_digit(f"{n:013d}"))
hosts = st.sampled_from([HOST, "http://127.0.0.1:8000", "https://[2001:db8::1]", "https://a.example/x/y"])


@given(gtins, st.none() | values, st.none() | values, st.none() | values, st.none() | values, hosts)
def test_what_is_built_is_what_is_read_back(
    gtin: str, variant: str | None, lot: str | None, serial: str | None, internal: str | None, host: str
) -> None:
    elements = [
        ("21", serial),
        ("99", internal),
        ("10", lot),
        ("22", variant),
        ("01", gtin),
        ("17", "281200"),
    ]
    link = dl.build([(ai, value) for ai, value in elements if value is not None], host)
    assert dl.parse_uri(link.uri) == link
    assert dl.build(dl.parse_element_string(link.element_string()), host) == link
    assert link.uri.isascii()
    assert link.uri.startswith(f"{host}/01/{gtin}")
    scanned = dl.parse_scanned(link.uri)
    assert (scanned.gtin, scanned.lot, scanned.serial) == (gtin, lot or "", serial or "")


@given(st.text(alphabet=SERIAL_ALPHABET, min_size=12, max_size=12), hosts)
def test_codes_are_read_back_from_their_address(code: str, host: str) -> None:
    assert dl.parse_scanned(dl.build_code_uri(host, code)).code == code
    assert dl.is_code(code)
    assert not dl.is_code(code.lower() + "i")


def test_every_fresh_serial_can_be_labelled_and_typed() -> None:
    for serial in new_serials(500):
        assert dl.is_code(serial)
        assert dl.parse_scanned(dl.build_unit_uri(HOST, gtin=GTIN, serial=serial)).serial == serial
        typed = f"{serial[:4]}-{serial[4:8]}-{serial[8:]}".lower()
        assert dl.parse_scanned(typed).code == serial


@settings(max_examples=300)
@given(st.text(max_size=80) | st.text(alphabet="/0128?&=%(c)]\x1dhtps:.A", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert dl.parse_scanned(text).kind in Kind
    assert dl.parse_scanned("https://a.example/01/" + text).kind in Kind
    assert dl.parse_scanned("(01)" + text).kind in Kind


def test_a_megabyte_of_text_is_sorted_out_at_once() -> None:
    for piece in ("9", "(10)", "/01/", "%41", "10\x1d"):
        assert dl.parse_scanned(piece * (1_000_000 // len(piece))).kind == Kind.UNKNOWN
