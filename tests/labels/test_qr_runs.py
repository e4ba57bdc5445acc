"""The fast way to many codes gives exactly the codes of the slow way."""

import pytest
import qrcode.util
from hypothesis import given, settings
from hypothesis import strategies as st

from labels import qr, qr_runs
from labels.qr import Level
from trace.errors import Invalid
from trace.identifiers import new_serials


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize(
    "prefix",
    [
        "https://trace.example.cn/c/",
        "https://trace.fenyang.example/01/09520123456788/21/",
        "http://127.0.0.1:8000/" + "p/" * 40,
    ],
)
def test_codes_of_a_run_equal_those_made_one_by_one(prefix: str, level: Level) -> None:
    data = [prefix + serial for serial in new_serials(30)]
    assert qr_runs.matrices(data, level) == [qr.matrix(text, level) for text in data]


@settings(max_examples=10, deadline=None)
@given(
    level=st.sampled_from(list(Level)),
    prefix=st.text(alphabet="ab/:.0A", max_size=40),
    tail=st.lists(st.text(alphabet="09AKZ$%*+-./:ax", min_size=12, max_size=12), min_size=2, max_size=2, unique=True),
)
def test_segments_begin_anywhere_and_the_codes_are_the_same(level: Level, prefix: str, tail: list[str]) -> None:
    for text in (prefix + each for each in tail):
        family = qr_runs._Family.learn(text[:-12], level, qr.tail_start(text))
        assert family.matrices([text]) == [qr.matrix(text, level)]
        assert qr.matrix(text, level).version <= qr.matrix(text, level, split=False).version


@pytest.mark.parametrize("version", [2, 9, 10, 12])
@pytest.mark.parametrize("split", [True, False])
def test_codes_of_every_size_equal_those_made_one_by_one(version: int, split: bool) -> None:
    length = qr._room(4 * version + 17 + 2 * qr.QUIET_ZONE, Level.M)
    data = ["a" * (length - 12) + serial for serial in new_serials(26)]
    codes = qr_runs.matrices(data, split=split)
    assert codes == [qr.matrix(text, split=split) for text in data]
    assert {code.version for code in codes} <= {version, version - 1}


def test_the_address_of_a_bottle_is_a_version_smaller_than_bytes_alone() -> None:
    text = "https://trace.fenyang.example/01/09520123456788/21/" + new_serials(1)[0]
    assert qr.matrix(text, Level.Q).version < qr.matrix(text, Level.Q, split=False).version


def test_the_run_is_really_learnt_and_not_made_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    data = ["https://trace.example.cn/c/" + serial for serial in new_serials(200)]

    def slow(text: str, level: Level, *, split: bool) -> qr.QrMatrix:
        raise AssertionError(f"made one by one: {text}")

    monkeypatch.setattr(qr, "matrix", slow)
    assert [code.data for code in qr_runs.matrices(data)] == data


def test_mixed_repeated_and_short_addresses_keep_their_order() -> None:
    first = ["https://a.example/c/" + serial for serial in new_serials(30)]
    second = ["https://b.example/p/c/" + serial for serial in new_serials(26)]
    data = [*first, "https://a.example", "A", *second, first[3], "https://a.example/01/09520123456788/10/L1"]
    assert qr_runs.matrices(data) == [qr.matrix(text) for text in data]
    assert qr_runs.matrices([]) == []


@settings(max_examples=15, deadline=None)
@given(st.integers(min_value=0, max_value=60), st.data())
def test_any_tail_of_uri_characters_gives_the_same_code(length: int, data: st.DataObject) -> None:
    characters = st.text(alphabet=[chr(code) for code in range(0x21, 0x7F)], min_size=12, max_size=12)
    text = "x" * length + data.draw(characters)
    family = qr_runs._Family.learn("x" * length, Level.M, qr.tail_start(text))
    assert family.matrices([text]) == [qr.matrix(text, Level.M)]


@given(st.integers(min_value=21, max_value=33), st.binary(min_size=140, max_size=140), st.sampled_from([0, 1, 2]))
def test_penalties_are_those_of_the_library(size: int, noise: bytes, kind: int) -> None:
    total = size * size
    modules = int.from_bytes(noise, "big") % (1 << total)
    if kind == 1:
        modules ^= ((1 << total) - 1) // 3
    elif kind == 2:
        modules |= int("1011101" * total, 2) >> (7 * total - total)
    digits = f"{modules:0{total}b}"
    rows = [[digit == "1" for digit in digits[start : start + size]] for start in range(0, total, size)]
    assert qr_runs.penalty(modules, size) == qrcode.util.lost_point(rows)


@pytest.mark.parametrize(("bad", "code"), [("", "qr_empty"), ("核桃", "qr_not_ascii"), ("x" * 301, "qr_too_long")])
def test_a_run_with_one_bad_address_is_refused(bad: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        qr_runs.matrices(["https://a.example", bad])
    assert caught.value.code == code
