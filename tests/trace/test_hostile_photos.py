"""Photographs of strangers: what is none is refused in words, what is one is made anew with nothing but its pixels."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from trace.actions.files import picture_bytes
from trace.errors import Invalid

pytestmark = pytest.mark.once


def saved(kind: str, mode: str = "RGB", size: tuple[int, int] = (400, 300), **more: object) -> bytes:
    """A picture of a kind."""
    out = io.BytesIO()
    Image.new(mode, size).save(out, kind, **more)
    return out.getvalue()


def png(width: int, height: int, *more: tuple[bytes, bytes], rows: int = 1) -> bytes:
    """A PNG of one bit per pixel that says this size, with other chunks, and holds so many rows."""
    size = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", size), *more, (b"IDAT", zlib.compress(bytes((width // 8 + 2) * rows))), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


BOMB = zlib.compress(bytes(60_000_000), 9)
REFUSED = {
    "image_too_large": [png(50_000, 50_000), png(60_000_001, 1)],
    "file_broken": [
        saved("JPEG", size=(2000, 2000))[:3000],
        png(10, 10, (b"zTXt", b"a\0\0" + BOMB), rows=10),
    ],
    "file_type": [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<html><script>alert(1)</script>",
        b"GIF89a/*" + bytes(50) + b"*/=1;alert(1)",
        b"%PDF-1.4 %%EOF",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500),
        saved("ICO"),
    ],
    "file_too_large": [saved("JPEG") + bytes(50_000_000)],
    "file_empty": [b""],
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_is_no_honest_photograph_is_refused(code: str) -> None:
    for data in REFUSED[code]:
        with pytest.raises(Invalid) as refused:
            picture_bytes(name="../../\0照片.jpg", content=io.BytesIO(data))
        assert refused.value.code == code, data[:20]
        assert "PDF" not in refused.value.message  # where a photograph is asked for, none is offered


def test_a_photograph_of_an_iphone_is_not_called_no_photograph() -> None:
    with pytest.raises(Invalid, match="HEIC"):
        picture_bytes(name="IMG_1.heic", content=io.BytesIO(b"\0\0\0\x18ftypheic" + bytes(100)))


def test_nothing_but_the_pixels_is_kept() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "SECRETCAM", 6
    exif.get_ifd(0x8825).update({1: "N", 2: (37.0, 15.0, 42.0), 3: "E", 4: (111.0, 46.0, 0.0)})
    out = io.BytesIO()
    Image.new("RGB", (400, 300)).save(out, "JPEG", exif=exif, comment=b"SECRETNOTE")
    kept = picture_bytes(name="a.png", content=io.BytesIO(out.getvalue() + b"<script>alert(1)</script>"))
    picture = Image.open(io.BytesIO(kept))
    assert picture.size == (300, 400), "upright, as the camera meant it"
    assert not picture.getexif()
    assert not any(word in kept for word in (b"SECRET", b"script", b"Exif"))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", "RGBA"), ("PNG", "P"), ("PNG", "I;16"), ("JPEG", "CMYK"), ("TIFF", "RGB"), ("BMP", "RGB")],
)
def test_odd_but_honest_pictures_become_a_jpeg(kind: str, mode: str) -> None:
    kept = Image.open(io.BytesIO(picture_bytes(name="x", content=io.BytesIO(saved(kind, mode, (1, 1))))))
    assert (kept.format, kept.mode, kept.size) == ("JPEG", "RGB", (1, 1))


def test_of_moving_pictures_the_first_is_kept() -> None:
    frames = [Image.new("RGB", (30, 30), (shade, 0, 0)) for shade in range(50)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])
    kept = Image.open(io.BytesIO(picture_bytes(name="x.gif", content=io.BytesIO(out.getvalue()))))
    assert (kept.format, getattr(kept, "n_frames", 1)) == ("JPEG", 1)
