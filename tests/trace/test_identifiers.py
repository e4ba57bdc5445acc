"""Identifiers: the project's own vectors, single-character mistakes, and codes we issue."""

import csv
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trace import divisions
from trace import identifiers as ids
from trace.errors import Invalid

VECTORS = list(csv.DictReader((Path(__file__).parents[1] / "data" / "id_vectors.csv").read_text("utf-8").splitlines()))
CHECKS: dict[str, Callable[[object], str]] = {
    "uscc": ids.normalise_uscc,
    "sc": ids.normalise_sc_licence,
    "gtin13": ids.normalise_gtin,
    "town": divisions.require_town,
    "cma": ids.normalise_cma,
    "organic": ids.normalise_organic,
}


def code_of(check: Callable[[object], str], value: object) -> str:
    with pytest.raises(Invalid) as caught:
        check(value)
    assert caught.value.status == 422
    assert caught.value.message
    return caught.value.code


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: f"{row['kind']}-{row['value']}")
def test_every_vector_is_judged_as_written(row: dict[str, str]) -> None:
    check = CHECKS[row["kind"]]
    if row["valid"] == "True":
        assert check(row["value"]).endswith(row["value"])
    else:
        with pytest.raises(Invalid):
            check(row["value"])


def test_the_vector_file_holds_valid_and_invalid_rows_of_each_checkable_kind() -> None:
    seen = {(row["kind"], row["valid"]) for row in VECTORS}
    assert {("uscc", "False"), ("sc", "False"), ("gtin13", "False"), ("town", "False")} <= seen
    assert len(VECTORS) == 34


# ------------------------------------------------------------------ USCC


@pytest.mark.parametrize(
    "typed", ["91149999demd00016x", " 9114 9999 DEMD 0001 6X\n", "９１１４９９９９ＤＥＭＤ０００１６Ｘ"]
)
def test_uscc_is_folded_to_its_canonical_form(typed: str) -> None:
    assert ids.normalise_uscc(typed) == "91149999DEMD00016X"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("91149999DEMD00016", "uscc_length"),
        ("", "uscc_length"),
        ("91149999DEMD0001OX", "uscc_letters"),
        ("91149999DEMD00S16X", "uscc_letters"),
        ("9114999ADEMD00016X", "uscc_characters"),
        ("91149999DEMD00汾16X", "uscc_characters"),
        ("91149999DEMD000168", "uscc_check"),
        pytest.param("9" * 1_000_000, "code_too_long", id="megabyte"),
        (91149999, "text_not_text"),
    ],
)
def test_each_mistake_in_a_uscc_has_its_own_code(typed: object, code: str) -> None:
    assert code_of(ids.normalise_uscc, typed) == code


def test_a_wrong_check_character_says_which_was_expected() -> None:
    with pytest.raises(Invalid) as caught:
        ids.normalise_uscc("91149999DEMD000168")
    assert caught.value.details["expected"] == "X"
    assert "X" in caught.value.message


def test_uscc_may_begin_with_a_letter_for_agriculture() -> None:
    body = "N2149999DEMD00016"
    with pytest.raises(Invalid) as caught:
        ids.normalise_uscc(body + "0")
    assert caught.value.code == "uscc_check"
    assert ids.normalise_uscc(body + caught.value.details["expected"]).startswith("N2")


@given(st.integers(0, 17), st.sampled_from(ids.USCC_ALPHABET))
def test_any_single_wrong_character_in_a_uscc_is_caught(position: int, char: str) -> None:
    right = "91149999DEMD00016X"
    assume(right[position] != char)
    with pytest.raises(Invalid):
        ids.normalise_uscc(right[:position] + char + right[position + 1 :])


# ------------------------------------------------------------------ SC, CMA, organic, divisions


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("QS149999000199", "sc_prefix"),
        ("11514999900019", "sc_prefix"),
        ("SC", "sc_length"),
        ("SC1151499990001", "sc_length"),
        ("SC1151499990001A", "sc_characters"),
        ("SC33314999900019", "sc_category"),
        ("SC13314999900019", "sc_category"),
        ("SC10014999900019", "sc_category"),
        ("SC11514999900018", "sc_check"),
    ],
)
def test_each_mistake_in_a_licence_number_has_its_own_code(typed: str, code: str) -> None:
    assert code_of(ids.normalise_sc_licence, typed) == code


def test_licence_number_is_folded() -> None:
    assert ids.normalise_sc_licence("ｓｃ115 1499 9900 019") == "SC11514999900019"


@given(st.integers(0, 13), st.sampled_from("0123456789"))
def test_any_single_wrong_digit_in_a_licence_number_is_caught(position: int, digit: str) -> None:
    right = "11514999900019"
    assume(right[position] != digit)
    with pytest.raises(Invalid):
        ids.normalise_sc_licence("SC" + right[:position] + digit + right[position + 1 :])


@pytest.mark.parametrize(
    ("check", "value", "code"),
    [
        (ids.normalise_cma, "23140034012", "cma_shape"),
        (ids.normalise_cma, "23140034012٣", "cma_shape"),
        (ids.normalise_organic, "1232412345678901", "organic_shape"),
        (ids.normalise_division, "14118", "division_shape"),
        (ids.normalise_division, "991182", "division_shape"),
        (divisions.require_town, "141181101", "division_unknown"),
        (divisions.require_town, "141182", "division_unknown"),
    ],
)
def test_numbers_of_fixed_shape_are_refused_when_out_of_shape(
    check: Callable[[object], str], value: str, code: str
) -> None:
    assert code_of(check, value) == code


def test_all_fourteen_towns_are_known_with_both_names() -> None:
    towns = [d for d in divisions.divisions().values() if d.parent == "141182"]
    assert len(towns) == 14
    assert all(d.zh and d.en for d in towns)


# ------------------------------------------------------------------ GS1 keys


@pytest.mark.parametrize(
    ("typed", "gtin14"),
    [
        ("9520000010010", "09520000010010"),
        ("96385074", "00000096385074"),
        ("036000291452", "00036000291452"),
        ("19520000010017", "19520000010017"),
        ("９５２-0000 010010", "09520000010010"),
    ],
)
def test_all_four_lengths_of_gtin_become_fourteen_digits(typed: str, gtin14: str) -> None:
    assert ids.normalise_gtin(typed) == gtin14


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("9520000010011", "gtin_check"),
        ("952000001001", "gtin_check"),
        ("95200000100", "gtin_length"),
        ("", "gtin_length"),
        ("952000001001A", "gtin_characters"),
        ("٩520000010010", "gtin_characters"),
        ("0000000000000", "gtin_zero"),
    ],
)
def test_each_mistake_in_a_gtin_has_its_own_code(typed: str, code: str) -> None:
    assert code_of(ids.normalise_gtin, typed) == code


@given(st.sampled_from([7, 11, 12, 13]).flatmap(lambda n: st.text("0123456789", min_size=n, max_size=n)))
def test_a_gtin_with_its_computed_check_digit_is_accepted_and_all_others_are_not(body: str) -> None:
    assume(body.strip("0"))
    right = ids.gs1_check_digit(body)
    assert ids.normalise_gtin(body + right) == (body + right).zfill(14)
    for wrong in set("0123456789") - {right}:
        assert code_of(ids.normalise_gtin, body + wrong) == "gtin_check"


def test_gln_and_sscc_are_checked() -> None:
    assert ids.normalise_gln("9520000010010") == "9520000010010"
    assert code_of(ids.normalise_gln, "9520000010011") == "gln_check"
    assert code_of(ids.normalise_gln, "952000001001") == "gln_shape"
    sscc = "39520000000000001"
    sscc += ids.gs1_check_digit(sscc)
    assert ids.normalise_sscc(f"(00) {sscc}") == sscc
    assert ids.normalise_sscc("00" + sscc) == sscc
    assert code_of(ids.normalise_sscc, sscc[:-1] + str((int(sscc[-1]) + 1) % 10)) == "sscc_check"
    assert code_of(ids.normalise_sscc, sscc[:-1]) == "sscc_shape"


def test_a_gtin_is_shown_as_people_know_it() -> None:
    assert ids.display_gtin("09520000010010") == "9520000010010"
    assert ids.display_gtin("19520000010017") == "19520000010017"


# ------------------------------------------------------------------ lot codes


def test_lot_codes_we_issue_are_folded_and_limited() -> None:
    assert ids.normalise_lot_code(" wn－2025 0917－a ") == "WN-20250917-A"
    assert code_of(ids.normalise_lot_code, "汾州-1") == "lot_code_characters"
    assert code_of(ids.normalise_lot_code, "A/1") == "lot_code_characters"
    assert code_of(ids.normalise_lot_code, " ") == "lot_code_required"
    assert code_of(ids.normalise_lot_code, "A" * 21) == "lot_code_length"


def test_captured_lot_codes_keep_case_and_all_82_characters() -> None:
    assert len(ids.CSET82) == 82
    assert ids.normalise_captured_lot_code(" aB/1%&<>? ") == "aB/1%&<>?"
    for start in range(0, 82, 20):
        chunk = "".join(sorted(ids.CSET82))[start : start + 20]
        assert ids.normalise_captured_lot_code(chunk) == chunk
    for wrong in "A B", "批1", "a\x00b", "a~b", "a\ud800":
        assert code_of(ids.normalise_captured_lot_code, wrong) == "lot_code_characters"
    assert code_of(ids.normalise_captured_lot_code, "x" * 1_000_000) == "lot_code_length"
    assert code_of(ids.normalise_captured_lot_code, None) == "text_not_text"


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-", min_size=1, max_size=20))
def test_every_code_we_may_issue_is_also_one_we_may_capture(code: str) -> None:
    assert ids.normalise_lot_code(code) == code
    assert ids.normalise_captured_lot_code(code) == code


# ------------------------------------------------------------------ serials


def test_serials_are_different_well_formed_and_use_the_whole_alphabet_evenly() -> None:
    serials = ids.new_serials(20_000)
    assert len(set(serials)) == 20_000
    letters = "".join(serials)
    assert set(letters) == set(ids.SERIAL_ALPHABET)
    assert all(len(serial) == 12 for serial in serials)
    share = [letters.count(char) / len(letters) * 32 for char in ids.SERIAL_ALPHABET]
    assert 0.9 < min(share) < max(share) < 1.1
    assert ids.new_serials(0) == []
    with pytest.raises(ValueError, match="negative"):
        ids.new_serials(-1)


def test_making_serials_is_fast_enough_for_a_large_run() -> None:
    start = time.perf_counter()
    ids.new_serials(100_000)
    assert time.perf_counter() - start < 3


@given(st.text(ids.SERIAL_ALPHABET, min_size=12, max_size=12), st.booleans())
def test_a_serial_survives_display_and_careless_typing(serial: str, lower: bool) -> None:
    shown = ids.display_serial(serial)
    assert [len(group) for group in shown.split("-")] == [4, 4, 4]
    careless = shown.replace("1", "I").replace("0", "O").replace("V", "u").replace("-", " – ")
    assert ids.normalise_serial(careless.lower() if lower else careless) == serial


def test_l_is_read_as_one() -> None:
    assert ids.normalise_serial("llll iiii oooo") == "111111110000"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("ABC", "serial_length"),
        ("ABCDEFGHJKM!", "serial_characters"),
        ("汾" * 12, "serial_characters"),
        ("", "serial_length"),
    ],
)
def test_what_is_no_serial_is_refused(typed: str, code: str) -> None:
    assert code_of(ids.normalise_serial, typed) == code


# ------------------------------------------------------------------ UUIDv7


def test_uuid7_rises_within_the_process_and_carries_the_time() -> None:
    before = time.time_ns() // 1_000_000
    values = [ids.uuid7() for _ in range(5_000)]
    after = time.time_ns() // 1_000_000
    assert values == sorted(values)
    assert len(set(values)) == 5_000
    assert before <= values[0].int >> 80 <= after
    assert {value.version for value in values} == {7}
    assert {value.variant for value in values} == {uuid.RFC_4122}


def test_many_uuid7s_rise_between_those_made_singly_and_are_like_any_other() -> None:
    first, values, last = ids.uuid7(), ids.uuid7s(5_000), ids.uuid7()
    assert [first, *values, last] == sorted({first, *values, last})
    for value in values[:50]:
        plain = uuid.UUID(int=value.int)
        assert (value, hash(value), str(value), repr(value)) == (plain, hash(plain), str(plain), repr(plain))
        assert (value.version, value.variant, value.is_safe) == (7, uuid.RFC_4122, plain.is_safe)
    assert ids.uuid7s(0) == []


def test_uuid7_does_not_fall_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ids.uuid7()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000_000)
    assert ids.uuid7() > first


def test_uuid7_of_a_past_instant_carries_that_instant_in_order_of_calls() -> None:
    at = datetime(2025, 9, 17, 8, 30, tzinfo=UTC)
    values = [ids.uuid7(at) for _ in range(100)]
    assert values == sorted(values)
    assert len(set(values)) == 100
    assert {value.int >> 80 for value in values} == {int(at.timestamp() * 1000)}
    assert ids.uuid7() > values[-1]
