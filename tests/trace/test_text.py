"""Text and whole numbers from strangers."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trace.errors import Invalid
from trace.text import clean_int, clean_text, fold_width, printable


def code_of(value: object, max_length: int = 10, *, multiline: bool = False, required: bool = False) -> str:
    with pytest.raises(Invalid) as caught:
        clean_text(value, max_length, multiline, required=required)
    assert caught.value.message.isprintable()
    return caught.value.code


def test_text_is_stripped_and_brought_to_one_normal_form() -> None:
    assert clean_text("\u3000 cafe\u0301\ufeff ", 10) == "café"
    assert clean_text("a\tb", 10) == "a b"
    assert clean_text(None, 10) == ""


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("a\x00b", "text_nul"),
        ("a\ud800b", "text_surrogate"),
        ("\udfff", "text_surrogate"),
        ("a\x1bb", "text_control"),
        ("a\x7fb", "text_control"),
        ("a\u202eb", "text_control"),
        ("a\u2067b", "text_control"),
        ("a\ufffeb", "text_control"),
        ("a\nb", "text_control"),
        ("a\u2028b", "text_control"),
        ("x" * 11, "text_too_long"),
        pytest.param("x" * 1_000_000, "text_too_long", id="megabyte"),
        ("\u0344" * 9, "text_too_long"),
        (7, "text_not_text"),
        (["a"], "text_not_text"),
    ],
)
def test_bad_text_has_a_code_of_its_own(value: object, code: str) -> None:
    assert code_of(value) == code


def test_blank_text_is_refused_only_where_it_is_required() -> None:
    assert clean_text(" \u200b ", 10) == ""
    assert code_of(" \u3000", required=True) == "required"


def test_line_breaks_become_one_kind_where_they_are_allowed() -> None:
    assert clean_text("a\r\nb\rc\u2028d", 10, multiline=True) == "a\nb\nc\nd"


def test_emoji_with_joiners_and_rare_han_characters_are_kept() -> None:
    assert clean_text("👩\u200d🌾𠮷", 10) == "👩\u200d🌾𠮷"


@example("\x85")
@given(st.text(max_size=60))
def test_whatever_is_accepted_is_stable_and_safe(value: str) -> None:
    try:
        cleaned = clean_text(value, 30, multiline=True)
    except Invalid as error:
        refused = error.code
    else:
        refused = ""
        assert clean_text(cleaned, 30, multiline=True) == cleaned
        assert len(cleaned) <= 30
        assert unicodedata.is_normalized("NFC", cleaned)
        assert "\x00" not in cleaned
        cleaned.encode()
    assert refused in {"", "text_nul", "text_control", "text_too_long"}


@pytest.mark.parametrize(("value", "number"), [("１２", 12), (" 7 ", 7), (0, 0), ("+5", 5), ("007", 7)])
def test_whole_numbers_are_read_in_any_width(value: object, number: int) -> None:
    assert clean_int(value, 0, 100) == number


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "required"),
        ("", "required"),
        (True, "not_an_integer"),
        (1.5, "not_an_integer"),
        ("1.5", "not_an_integer"),
        ("1e3", "not_an_integer"),
        ("٣", "not_an_integer"),
        pytest.param("x" * 1_000_000, "not_an_integer", id="megabyte"),
        pytest.param("9" * 1_000_000, "out_of_range", id="megabyte-of-nines"),
        (10**400, "out_of_range"),
        (-1, "out_of_range"),
        (101, "out_of_range"),
    ],
)
def test_what_is_no_whole_number_in_range_is_refused(value: object, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        clean_int(value, 0, 100)
    assert caught.value.code == code


def test_full_width_characters_fold_to_ascii_and_han_stays() -> None:
    assert fold_width("ＳＣ１２．５ 汾阳") == "SC12.5 汾阳"


def test_a_repeated_value_is_harmless_in_a_message() -> None:
    assert printable("a\x00b\u202e" + "x" * 100, 10) == "a\\u0000b\\u…"
    printable("\ud800", 10).encode()
    assert printable(["a"]) == "list"
    assert printable(10**5000) == "int"
