"""QR codes are what a reader reads, in every form, and are printed by the rules."""

import io
import xml.etree.ElementTree as ET

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from labels import qr
from labels.qr import Level, Material
from trace.errors import Invalid

URI = "https://trace.example.cn/01/09520123456788/21/0123456789AB"


def read(png: bytes) -> str:
    """The text of the only code in a picture."""
    results = zxingcpp.read_barcodes(Image.open(io.BytesIO(png)).convert("L"))
    assert len(results) == 1
    return str(results[0].text)


@pytest.mark.parametrize("level", list(Level))
def test_matrix_is_square_and_has_the_size_of_its_version(level: Level) -> None:
    code = qr.matrix(URI, level)
    assert code.size == 17 + 4 * code.version
    assert {len(row) for row in code.rows} == {code.size}
    assert code.full_size == code.size + 8


def test_a_stronger_level_needs_no_smaller_code() -> None:
    sizes = [qr.matrix(URI, level).size for level in (Level.L, Level.M, Level.Q, Level.H)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@pytest.mark.parametrize("dpi", qr.PRINTER_DPI)
def test_png_is_read_back_at_every_printer_resolution(dpi: int) -> None:
    png = qr.png(qr.matrix(URI), dpi=dpi)
    assert read(png) == URI
    image = Image.open(io.BytesIO(png))
    assert image.mode == "1"
    assert round(image.info["dpi"][0]) == dpi
    assert image.width == qr.matrix(URI).full_size * qr.best_dots(dpi)


def test_png_has_a_quiet_zone_of_four_modules_and_no_more() -> None:
    image = Image.open(io.BytesIO(qr.png(qr.matrix(URI), dpi=203, module_dots=5))).convert("L")
    assert Image.eval(image, lambda value: 255 - value).getbbox() == (
        20,
        20,
        image.width - 20,
        image.height - 20,
    )


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=[chr(c) for c in range(0x21, 0x7F)], min_size=1, max_size=120), st.sampled_from(Level))
def test_any_uri_characters_are_read_back(data: str, level: Level) -> None:
    code = qr.matrix(data, level)
    assert code.data == data
    assert read(qr.png(code, dpi=203)) == data


def test_svg_holds_the_same_modules_as_the_matrix() -> None:
    code = qr.matrix(URI)
    root = ET.fromstring(qr.svg(code, side_mm=20, title='a<b>"&\x00'))  # noqa: S314, our own text
    assert root.get("width") == "20.000mm"
    assert root.get("viewBox") == f"0 0 {code.full_size} {code.full_size}"
    assert root[0].text == 'a<b>"&�'
    path = root[2].get("d")
    assert path is not None
    dark = set()
    for piece in path.strip("M").split("M"):
        x, rest = piece.split(" ")
        y, length = rest.split("h")[0], rest.split("h")[1].split("v")[0]
        dark |= {(int(x) + i - 4, int(y) - 4) for i in range(int(length))}
    assert dark == {(x, y) for y, row in enumerate(code.rows) for x, on in enumerate(row) if on}


def test_bit_rows_hold_the_same_modules_as_the_matrix() -> None:
    code = qr.matrix(URI)
    for quiet in (0, 4):
        rows = qr.bit_rows(code, quiet=quiet)
        assert len(rows) == code.size + 2 * quiet
        for y, row in enumerate(code.rows):
            bits = "".join(f"{byte:08b}" for byte in rows[y + quiet])
            assert bits[quiet : quiet + code.size] == "".join("01"[on] for on in row)
            assert "1" not in bits[:quiet] + bits[quiet + code.size :]


@pytest.mark.parametrize(("dpi", "least", "best", "most"), [(203, 4, 4, 7), (300, 5, 6, 11), (600, 10, 12, 23)])
def test_modules_are_whole_dots_within_the_rules(dpi: int, least: int, best: int, most: int) -> None:
    assert (qr.least_dots(dpi), qr.best_dots(dpi), qr.most_dots(dpi)) == (least, best, most)
    assert qr.module_mm(least, dpi) >= qr.MIN_MODULE_MM > qr.module_mm(least - 1, dpi)
    assert qr.module_mm(most, dpi) <= qr.MAX_MODULE_MM < qr.module_mm(most + 1, dpi)


@pytest.mark.parametrize("material", list(Material))
def test_the_material_decides_the_level(material: Material) -> None:
    assert qr.fit(URI, 40, 300, material).level == (Level.M if material is Material.SMOOTH else Level.Q)


def test_fit_takes_the_largest_module_that_the_width_allows() -> None:
    found = qr.fit(URI, 24, 203)
    assert (found.version, found.full_size) == (4, 41)
    assert found.module_dots == 4
    assert found.side_mm == pytest.approx(41 * 4 * 25.4 / 203)
    assert found.side_mm <= 24
    assert qr.fit(URI, 500, 300).module_dots == 11
    assert qr.fit(URI, found.side_mm, 203) == found


def test_a_code_too_wide_for_its_place_says_what_to_change() -> None:
    with pytest.raises(Invalid) as caught:
        qr.fit(URI, 18, 203)
    assert caught.value.code == "qr_does_not_fit"
    assert caught.value.details["needed_mm"] == 20.6
    room = caught.value.details["room"]
    assert qr.fit(URI[:room], 18, 203).side_mm <= 18
    with pytest.raises(Invalid):
        qr.fit(URI[: room + 1], 18, 203)
    assert qr.fit(URI, 20.6, 203).module_dots == 4


def test_a_width_that_holds_no_code_at_all_says_so() -> None:
    with pytest.raises(Invalid) as caught:
        qr.fit("A", 3, 203)
    assert caught.value.details["room"] == 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", "qr_empty"),
        ("批次", "qr_not_ascii"),
        ("a b", "qr_not_ascii"),
        ("a\x00", "qr_not_ascii"),
        ("\ud800", "qr_not_ascii"),
        ("x" * 301, "qr_too_long"),
        ("x" * 1_000_000, "qr_too_long"),
    ],
)
def test_unprintable_content_is_refused(data: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        qr.matrix(data)
    assert caught.value.code == code


def test_unknown_resolutions_and_modules_are_refused() -> None:
    for call, code in (
        (lambda: qr.png(qr.matrix(URI), dpi=72), "qr_bad_dpi"),
        (lambda: qr.png(qr.matrix(URI), dpi=203, module_dots=3), "qr_bad_module"),
        (lambda: qr.fit(URI, 20, 0), "qr_bad_dpi"),
    ):
        with pytest.raises(Invalid) as caught:
            call()
        assert caught.value.code == code
