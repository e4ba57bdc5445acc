"""What comes out of the printer is decoded and read back: codes, Chinese text, sizes, nothing over anything else."""

import io
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations

import pypdfium2
import pytest
import zxingcpp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from labels import compose as composing
from labels import digital_link, preview, qr, sheets
from labels.compose import LabelContent, compose
from labels.layouts import Layout, layout, layouts, read_layout
from labels.qr import Material
from labels.sheets import page_count, render_sheet
from trace import typeface
from trace.errors import DomainError, Invalid
from trace.identifiers import display_serial

HOST = "https://trace.example.cn"
GTIN = "09520123456788"
KEYS = list(layouts())
SMALL_KEYS = ["a4-24", "roll-40x30", "a4-21", "roll-60x40", "neck-90x25"]
LONG_PRODUCER = "汾阳市示例核桃产业发展股份有限公司(杏花村镇示例加工二厂)"


def serial(number: int) -> str:
    """A serial that is the same on every run."""
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(alphabet[(number * 7919 >> 5 * i) % 32] for i in range(12))


def content(number: int, *, gtin: str | None = GTIN, watermark: str = "") -> LabelContent:
    """One believable label."""
    code = serial(number)
    return LabelContent(
        uri=digital_link.build_unit_uri(HOST, gtin=gtin, serial=code),
        title="示例汾州核桃仁",
        lines=(
            ("批号", "HT-20261102-03"),
            ("生产日期", "2026年11月02日"),
            ("净含量", "500 g"),
            ("执行标准", "GB/T 22165-2022"),
            ("生产者", "示例果业合作社"),
        ),
        code=display_serial(code),
        host="官方网址:trace.example.cn",
        watermark=watermark,
    )


LOT_LABEL = replace(
    content(1),
    uri=digital_link.build_lot_uri(
        "https://trace.fenyang.example", gtin=GTIN, lot_code="HT-20261102-03-ABCDE", public_code=serial(1)
    ),
    title="示例汾州核桃红枣夹心(原味·家庭分享装)",
    lines=(*content(1).lines[:4], ("生产者", LONG_PRODUCER)),
)


@contextmanager
def opened(pdf: bytes) -> Iterator[pypdfium2.PdfDocument]:
    """The document, closed again."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        yield document
    finally:
        document.close()


def pictures(pdf: bytes, dpi: int) -> list[Image.Image]:
    """The pages as a printer of that resolution sees them."""
    with opened(pdf) as document:
        return [page.render(scale=dpi / 72, grayscale=True).to_pil().convert("L") for page in document]


def codes(pdf: bytes, dpi: int) -> list[str]:
    """Every code on every page, page by page."""
    return [str(found.text) for picture in pictures(pdf, dpi) for found in zxingcpp.read_barcodes(picture)]


def text_of(pdf: bytes) -> str:
    """All text of a document without white space, compatibility forms resolved."""
    with opened(pdf) as document:
        text = "".join(page.get_textpage().get_text_range() for page in document)
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))


# ---------------------------------------------------------------- what is printed is read back


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("material", [Material.SMOOTH, Material.KRAFT])
def test_every_code_of_a_run_is_read_back_from_the_printed_page(key: str, material: Material) -> None:
    labels = [content(i, gtin=GTIN if i % 2 else None) for i in range(2)]
    pdf = render_sheet(labels, layout(key), material=material)
    for dpi in qr.PRINTER_DPI:
        assert sorted(codes(pdf, dpi)) == sorted(label.uri for label in labels), dpi


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("material", list(Material))
def test_lot_labels_are_read_back_on_every_material(key: str, material: Material) -> None:
    label = LOT_LABEL
    if key == "roll-40x30":  # it takes a usual name, by its arrangement for much text, and refuses so long a one
        producer = ("生产者", "汾阳市示例杏花村酒业有限公司")
        label = replace(LOT_LABEL, title="示例汾州核桃", lines=(*content(1).lines[:4], producer))
    assert codes(render_sheet([label], layout(key), material=material), 300) == [label.uri]


def test_a_longer_address_has_no_room_on_the_smallest_label_of_rough_material() -> None:
    label = replace(LOT_LABEL, uri=LOT_LABEL.uri.replace("https://", "https://a-longer-name.of-a-host."))
    with pytest.raises(Invalid) as caught:
        render_sheet([label], layout("roll-40x30"), material=Material.KRAFT)
    assert caught.value.code == "qr_does_not_fit"


@pytest.mark.parametrize("key", KEYS)
def test_a_slightly_blurred_and_stained_label_is_still_read(key: str) -> None:
    picture = pictures(render_sheet([content(5)], layout(key)), 300)[0].filter(ImageFilter.GaussianBlur(1.5))
    box = layout(key).qr
    x, y = layout(key).corner(0)
    left, top = round((x + box.x + box.w * 0.45) / 25.4 * 300), round((y + box.y + box.w * 0.5) / 25.4 * 300)
    side = round(box.w * 0.1 / 25.4 * 300)
    picture.paste(255, (left, top, left + side, top + side))
    assert [str(found.text) for found in zxingcpp.read_barcodes(picture)] == [content(5).uri]


@pytest.mark.parametrize("key", KEYS)
def test_the_chinese_is_really_in_the_document(key: str) -> None:
    found = text_of(render_sheet([content(3)], layout(key)))
    for piece in ("示例汾州核桃仁", "批号", "HT-20261102-03", "2026年11月02日", "净含量", "500g", "GB/T22165-2022"):
        assert piece in found
    for piece in ("生产者", "示例果业合作社", "官方网址:trace.example.cn", display_serial(serial(3))):
        assert piece in found


def test_the_only_typeface_is_ours_and_it_is_embedded() -> None:
    pdf = render_sheet([content(1)], layout("a4-24"))
    fonts = set(re.findall(rb"/BaseFont /([A-Za-z0-9+-]+)", pdf))
    assert fonts == {b"AAAAAA+LabelSansSC-Regular"}
    assert pdf.count(b"/FontFile2") == 1
    assert len(pdf) < 60_000


def test_chinese_characters_have_ink_and_differ() -> None:
    inked = []
    for title in ("汾", "酒", "核", "桃", "䶮"):
        label = LabelContent(uri=f"{HOST}/c/{serial(1)}", title=title)
        picture = pictures(render_sheet([label], layout("roll-100x70")), 203)[0]
        inked.append(picture.crop((picture.width * 42 // 100, 0, picture.width, picture.height)).tobytes())
    assert len(set(inked)) == 5
    assert all(any(value < 64 for value in picture) for picture in inked)


def test_the_same_labels_give_the_same_bytes() -> None:
    labels = [content(i) for i in range(3)]
    assert render_sheet(labels, layout("a4-24")) == render_sheet(list(labels), layout("a4-24"))


# ---------------------------------------------------------------- places and pages


@pytest.mark.parametrize("key", KEYS)
def test_pages_have_the_size_of_the_paper(key: str) -> None:
    with opened(render_sheet([content(1)], layout(key))) as document:
        width, height = document[0].get_size()
    assert (width / 72 * 25.4, height / 72 * 25.4) == pytest.approx(
        layout(key).page, abs=0.01 if layout(key).is_sheet else 0.13
    )


def test_labels_begin_at_the_chosen_place_and_go_on_to_the_next_sheet() -> None:
    a4 = layout("a4-24")
    labels = [content(i) for i in range(5)]
    pdf = render_sheet(labels, a4, start=22)
    pages = pictures(pdf, 203)
    assert len(pages) == page_count(5, a4, start=22) == 2
    for index, label in enumerate(labels):
        page, place = divmod(21 + index, 24)
        x, y = a4.corner(place)
        scale = 203 / 25.4
        one = pages[page].crop(
            (int(x * scale), int(y * scale), int((x + a4.label[0]) * scale), int((y + a4.label[1]) * scale))
        )
        assert [str(found.text) for found in zxingcpp.read_barcodes(one)] == [label.uri]
    assert page_count(24, a4) == 1
    assert page_count(25, a4) == 2
    assert page_count(24, a4, start=2) == 2


def test_crop_marks_stay_off_the_labels() -> None:
    a4 = layout("a4-24")
    plain, marked = (pictures(render_sheet([content(1)], a4, crop_marks=on), 203)[0] for on in (False, True))
    assert plain.tobytes() != marked.tobytes()
    scale = 203 / 25.4
    for place in range(a4.per_page):
        x, y = a4.corner(place)
        box = (
            int(x * scale) + 2,
            int(y * scale) + 2,
            int((x + a4.label[0]) * scale) - 2,
            int((y + a4.label[1]) * scale) - 2,
        )
        assert plain.crop(box).tobytes() == marked.crop(box).tobytes()


@pytest.mark.parametrize("key", KEYS)
def test_modules_are_whole_dots_of_the_printer_with_sharp_edges(key: str) -> None:
    chosen = layout(key)
    composed = compose(content(9), chosen)
    picture = pictures(render_sheet([content(9)], chosen), chosen.dpi)[0]
    scale = chosen.dpi / 25.4
    x, y = chosen.corner(0)
    left, top = round((x + composed.code.x) * scale), round((y + composed.code.y) * scale)
    dots, size = composed.code.fit.module_dots, composed.code.matrix.size
    square = picture.crop(
        (left, top, left + composed.code.fit.full_size * dots, top + composed.code.fit.full_size * dots)
    )
    assert set(square.tobytes()) == {0, 255}
    small = square.resize((composed.code.fit.full_size,) * 2, Image.Resampling.NEAREST)
    if not chosen.is_sheet:
        # A sheet is no whole number of dots high, so that the picture of it is a thousandth longer than the paper.
        assert small.resize(square.size, Image.Resampling.NEAREST).tobytes() == square.tobytes()
    quiet = qr.QUIET_ZONE
    modules = small.crop((quiet, quiet, quiet + size, quiet + size)).tobytes()
    assert modules == bytes(0 if dark else 255 for row in composed.code.matrix.rows for dark in row)
    assert small.crop((0, 0, small.width, quiet)).getextrema() == (255, 255)
    assert small.crop((0, 0, quiet, small.height)).getextrema() == (255, 255)


def test_a_watermark_is_printed_and_never_touches_the_code() -> None:
    for key in KEYS:
        plain, marked = content(4), content(4, watermark="演练")
        assert codes(render_sheet([marked], layout(key)), 203) == [marked.uri]
        assert "演练" in text_of(render_sheet([marked], layout(key)))
        code = compose(marked, layout(key)).code
        x, y = layout(key).corner(0)
        left, top = (x + code.x) * 203 / 25.4, (y + code.y) * 203 / 25.4
        side = code.side * 203 / 25.4
        box = (int(left), int(top), int(left + side), int(top + side))
        one, two = (pictures(render_sheet([label], layout(key)), 203)[0].crop(box) for label in (plain, marked))
        assert one.tobytes() == two.tobytes()


# ---------------------------------------------------------------- fitting


def boxes(label: LabelContent, chosen: Layout, material: Material) -> list[tuple[float, float, float, float]]:
    """Rectangles of the code and of every row of text as set, in millimetres from the label's upper left."""
    composed = compose(label, chosen, material)
    code = composed.code
    found = [(code.x, code.y, code.x + code.side, code.y + code.side)]
    for text in composed.texts:
        em = text.size * composing.MM_PER_POINT
        found.append((text.x, text.y - 0.86 * em, text.x + text.width, text.y + 0.12 * em))
    return found


def require_apart(label: LabelContent, chosen: Layout, material: Material = Material.SMOOTH) -> None:
    """Nothing beyond the label's edge, nothing over anything else."""
    found = boxes(label, chosen, material)
    for left, top, right, bottom in found:
        assert left >= 0
        assert top >= 0
        assert right <= chosen.label[0] + 0.01
        assert bottom <= chosen.label[1] + 0.01
    for one, other in combinations(found, 2):
        across = min(one[2], other[2]) - max(one[0], other[0])
        down = min(one[3], other[3]) - max(one[1], other[1])
        assert across <= 0.01 or down <= 0.01, (one, other)


words = st.text(alphabet="汾阳市示例核桃产业有限公司,。()(AB-0123 kgmL/", max_size=40)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(KEYS),
    words,
    st.lists(st.tuples(st.sampled_from(["批号", "生产日期", "", "Lot", "净含量和规格"]), words), max_size=7),
    st.booleans(),
)
def test_nothing_is_ever_printed_over_anything_else(
    key: str, title: str, lines: list[tuple[str, str]], with_gtin: bool
) -> None:
    label = replace(content(7, gtin=GTIN if with_gtin else None), title=title, lines=tuple(lines))
    try:
        composed = compose(label, layout(key))
    except Invalid:
        written = len(title) + sum(len(name + value) for name, value in lines)
        assume(len(lines) <= 2 and written <= 24)  # much is too much for the small label, a little never is
        raise
    require_apart(label, layout(key))
    assert all(text.size >= typeface.MIN_SIZE_PT for text in composed.texts)
    printed = "".join(text.text for text in composed.texts)
    every = title + "".join(name + value for name, value in lines) + label.code + label.host
    assert sorted(printed.replace(" ", "")) == sorted(re.sub(r"\s", "", every))


@pytest.mark.parametrize("key", KEYS)
def test_no_word_is_ever_cut_a_label_too_small_is_refused(key: str) -> None:
    for producer, too_long_for in (
        ("汾阳市示例杏花村酒业有限公司", []),
        (LONG_PRODUCER, ["roll-40x30"]),
        (LONG_PRODUCER * 3, SMALL_KEYS),
    ):
        lines = (("批号", "HT-20261102-03"), *LOT_LABEL.lines[1:4], ("生产者", producer))
        label = replace(LOT_LABEL, title="示例清香型白酒 53%vol", lines=lines)
        if key in too_long_for:
            with pytest.raises(Invalid) as refused:
                compose(label, layout(key))
            assert refused.value.code in ("label_too_many_lines", "label_text_too_long")
            assert "更大的标签" in refused.value.message
            continue
        require_apart(label, layout(key))
        composed = compose(label, layout(key))
        printed = re.sub(r"\s", "", "".join(text.text for text in composed.texts))
        for words in (label.title, *(part for line in lines for part in line), label.code, label.host):
            assert re.sub(r"\s", "", words) in printed
        assert composed.close == (key == "roll-40x30")


def test_what_may_be_left_out_gives_way_before_what_may_not() -> None:
    label = replace(content(1), extras=(("地理标志", "示例汾州核桃"), ("许可证", "SC10114118200123")))
    assert compose(label, layout("roll-100x70")).left_out == ()
    small = compose(label, layout("roll-40x30"))
    assert small.left_out == ("地理标志", "许可证")
    assert small.texts == compose(replace(label, extras=()), layout("roll-40x30")).texts


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("material", list(Material))
@pytest.mark.parametrize("gtin", [GTIN, None])
def test_a_code_of_any_size_stands_clear_of_the_texts(key: str, material: Material, gtin: str | None) -> None:
    require_apart(content(1, gtin=gtin), layout(key), material)


def test_text_wraps_between_chinese_characters_and_between_words() -> None:
    assert composing.wrap("汾阳市示例核桃", 3.0) == ("汾阳市", "示例核", "桃")
    assert composing.wrap("示例酒,清香", 3.0) == ("示例", "酒,清", "香")
    assert composing.wrap("干重(净)一", 3.0) == ("干重", "(净)一")
    assert composing.wrap("net weight 500 mL", 6.0) == ("net weight", "500 mL")
    assert composing.wrap("GB/T 22165-2022", 4.5) == ("GB/T", "22165-", "2022")
    assert composing.wrap("", 3.0) == ("",)


@given(words, st.floats(min_value=1.2, max_value=20))
def test_wrapping_loses_no_character_and_keeps_the_width(text: str, width: float) -> None:
    rows = composing.wrap(text, width)
    assert re.sub(" ", "", "".join(rows)) == re.sub(" ", "", text)
    assert all(typeface.width_em(row) <= width for row in rows)


def test_a_host_or_code_that_does_not_fit_is_refused_not_cut() -> None:
    for label in (replace(content(1), host="官方网址:" + "a" * 60), replace(content(1), code="7" * 60)):
        with pytest.raises(Invalid) as caught:
            render_sheet([content(2), label], layout("roll-40x30"))
        assert caught.value.code == "label_text_too_long"
        assert caught.value.details["label"] == 2


def test_an_address_too_long_for_the_small_label_is_refused_with_the_width_it_needs() -> None:
    label = replace(content(1), uri=HOST + "/c/" + "A" * 100)
    with pytest.raises(Invalid) as caught:
        render_sheet([label], layout("roll-40x30"))
    assert caught.value.code == "qr_does_not_fit"
    assert caught.value.details["needed_mm"] > 22.6
    assert codes(render_sheet([label], layout("roll-100x70")), 203) == [label.uri]


# ---------------------------------------------------------------- refusals before printing


@pytest.mark.parametrize("part", ["title", "code", "host", "watermark", "line name", "line value"])
def test_a_character_we_cannot_print_is_an_error_before_printing(part: str) -> None:
    label = content(1)
    bad = "核桃\U0001f330"
    if part == "line name":
        label = replace(label, lines=((bad, "1"),))
    elif part == "line value":
        label = replace(label, lines=(("批号", bad),))
    else:
        values = {"title": label.title, "code": label.code, "host": label.host, "watermark": "", part: bad}
        label = LabelContent(label.uri, values["title"], (), values["code"], values["host"], values["watermark"])
    with pytest.raises(Invalid) as caught:
        render_sheet([label], layout("a4-24"))
    assert caught.value.code == "glyphs_missing"
    assert caught.value.details["characters"] == ["U+1F330"]


def test_the_typeface_knows_the_characters_of_names_and_labels() -> None:
    assert typeface.missing_glyphs("汾阳杏花村䶮㛃𬭚龑·(净含量)500 mL ≤0.02 mg/kg ℃ % ± × ㎡ ² ① “演练” Ａ é") == set()
    assert typeface.missing_glyphs("\x00\u200b\ud800\U0001f330한") == {"\x00", "\u200b", "\ud800", "\U0001f330", "한"}
    assert typeface.missing_glyphs(" \n\t\u3000") == set()


def test_every_character_of_gbk_has_a_glyph_but_one() -> None:
    every = set()
    for lead in range(0x81, 0xFF):
        for trail in range(0x40, 0xFF):
            every.add(bytes([lead, trail]).decode("gbk", "ignore").strip("\x7f"))
    assert len(every) > 21_000
    assert typeface.missing_glyphs("".join(every)) == {"≒"}


@pytest.mark.parametrize(
    ("labels", "start", "code"),
    [
        ([], 1, "no_labels"),
        ([content(1)] * 20_001, 1, "too_many_labels"),
        ([content(1)], 0, "bad_start"),
        ([content(1)], 25, "bad_start"),
        ([replace(content(1), title="核" * 201)], 1, "label_text_too_long"),
        ([replace(content(1), lines=(("批号", "1"),) * 40)], 1, "label_too_many_lines"),
        ([replace(content(1), uri="")], 1, "qr_empty"),
        ([replace(content(1), uri="https://例子")], 1, "qr_not_ascii"),
    ],
)
def test_what_cannot_be_printed_is_refused(labels: list[LabelContent], start: int, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        render_sheet(labels, layout("a4-24"), start=start)
    assert caught.value.code == code
    assert "%(" not in caught.value.message


# ---------------------------------------------------------------- layouts


def test_layouts_are_found_by_key_and_have_names() -> None:
    assert set(SMALL_KEYS) < set(KEYS)
    assert all(chosen.name and chosen.key == key for key, chosen in layouts().items())
    assert (layout("a4-24").per_page, layout("roll-40x30").per_page) == (24, 1)
    assert layout("a4-24").is_sheet
    assert not layout("roll-40x30").is_sheet
    with pytest.raises(DomainError) as caught:
        layout("a5")
    assert (caught.value.code, caught.value.status) == ("layout_unknown", 404)


ENTRY = {
    "key": "roll-40x30",
    "dpi": 203,
    "page": [40, 30],
    "label": [40, 30],
    "origin": [0, 0],
    "pitch": [40, 30],
    "columns": 1,
    "rows": 1,
    "qr": {"x": 0, "y": 0, "side": 22},
    "title": {"x": 23, "y": 1, "w": 16, "h": 5, "size": 8},
    "lines": {"x": 23, "y": 7, "w": 16, "h": 15, "size": 6},
    "code": {"x": 1, "y": 23, "w": 38, "h": 3, "size": 7},
    "host": {"x": 1, "y": 26, "w": 38, "h": 3, "size": 6},
}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"key": "unknown"}, "name"),
        ({"dpi": 96}, "dpi"),
        ({"columns": 2}, "page"),
        ({"label": [41, 30]}, "page"),
        ({"pitch": [30, 30]}, "pitch"),
        ({"host": {"x": 1, "y": 28, "w": 38, "h": 3, "size": 6}}, "boxes within the label"),
        ({"title": {"x": 21, "y": 1, "w": 16, "h": 5, "size": 8}}, "boxes apart"),
        ({"code": {"x": 1, "y": 23, "w": 38, "h": 3, "size": 5}}, "size"),
    ],
)
def test_a_layout_that_breaks_a_rule_is_refused(change: dict[str, object], rule: str) -> None:
    read_layout(ENTRY)
    with pytest.raises(ValueError, match=rule):
        read_layout(ENTRY | change)


# ---------------------------------------------------------------- previews


@pytest.mark.parametrize("key", KEYS)
def test_a_label_on_the_screen_says_what_the_printed_one_says(key: str) -> None:
    label = content(6, watermark="演练")
    root = ET.fromstring(preview.label_svg(label, layout(key)))  # noqa: S314, our own text
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    composed = compose(label, layout(key))
    assert texts == [text.text for text in (*composed.watermark, *composed.texts)]
    assert root.get("width") == f"{layout(key).label[0]:g}mm"
    assert "style" not in preview.label_svg(label, layout(key))


def test_hostile_text_cannot_break_out_of_a_preview() -> None:
    label = replace(content(6), title="</text><script>\"&'", lines=(("批号", "<b>&amp;"),))
    root = ET.fromstring(preview.label_svg(label, layout("roll-100x70")))  # noqa: S314, our own text
    assert {element.tag.split("}")[1] for element in root.iter()} == {"svg", "title", "rect", "g", "path", "text"}


def test_a_single_code_comes_as_png_and_svg() -> None:
    uri = content(1).uri
    png = preview.code_png(uri, dpi=600, material=Material.KRAFT)
    found = zxingcpp.read_barcodes(Image.open(io.BytesIO(png)).convert("L"))
    assert [str(code.text) for code in found] == [uri]
    assert found[0].ec_level == "Q"
    assert 'width="25.000mm"' in preview.code_svg(uri, side_mm=25)
    assert f'width="{41 * 0.495:.3f}mm"' in preview.code_svg(uri)
    for side in (16.0, 41.0):
        with pytest.raises(Invalid) as caught:
            preview.code_svg(uri, side_mm=side)
        assert caught.value.code == "qr_bad_side"


def test_a_run_of_equal_labels_makes_its_code_once() -> None:
    qr.matrix.cache_clear()
    render_sheet([content(1)] * 100, layout("a4-24"))
    assert qr.matrix.cache_info().misses == 1
    assert sheets.MAX_LABELS >= 10_000
