"""Keeping what people upload: photographs and PDFs, checked by content, stored once under their SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
import warnings
from pathlib import Path
from typing import IO

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image, ImageOps, UnidentifiedImageError

from trace.actor import Actor
from trace.errors import Invalid
from trace.models import StoredFile
from trace.text import clean_text

NAME_MAX = 120
PIXELS_MAX = 60_000_000
"""A phone's largest photograph has 50 million; more is a bomb or a scan nobody can open."""
EDGE_MAX = 2560
"""Longer edge of a kept photograph: a label on it stays readable, and it loads on a phone."""
FILES_PER_EVENT = 9
_QUALITY = 85
_IMAGES = {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"}
_SUFFIXES = {"image/jpeg": ".jpg", "application/pdf": ".pdf"}


@transaction.atomic
def store_file(*, by: Actor, name: str, content: IO[bytes]) -> StoredFile:
    """Keep one uploaded file for the organisation acted for; it is tied to an event when that is recorded.

    Images are made anew as JPEG, upright, at most 2560 pixels: nothing of the camera, place or owner is left in them.
    PDFs are kept as they are. The same bytes are stored once. Refuses (Invalid): an empty file (``file_empty``), more
    than ``UPLOAD_MAX_BYTES`` (``file_too_large``), pictures beyond 60 million pixels (``image_too_large``), what is
    neither a picture nor a PDF (``file_type``), and broken ones (``file_broken``).
    """
    by.require("operator", "quality", "officer", "approver")
    shown = _shown_name(name)
    data = _read(content, shown)
    if data.startswith(b"%PDF-"):
        kept, media_type = _pdf(data, shown), "application/pdf"
    else:
        kept, media_type = _picture(data, shown), "image/jpeg"
    digest = hashlib.sha256(kept).hexdigest()
    _write(path_of(digest), kept)
    return StoredFile.objects.create(
        organisation=by.owner,
        sha256=digest,
        size=len(kept),
        media_type=media_type,
        name=(shown[: NAME_MAX - 5].rpartition(".")[0] or shown[: NAME_MAX - 5]) + _SUFFIXES[media_type],
    )


def picture_bytes(*, name: str, content: IO[bytes]) -> bytes:
    """A stranger's photograph made anew as JPEG, nothing of the camera, place or owner left in it; not kept here.

    Refuses what ``store_file`` refuses, and PDFs (``file_type``).
    """
    shown = _shown_name(name)
    data = _read(content, shown)
    try:
        return _picture(data, shown)
    except Invalid as error:
        if error.code != "file_type" or _is_heic(data):
            raise
        raise Invalid(
            _("文件“%(name)s”不是照片。请上传 JPG 或 PNG 图片；别的请截屏后上传截图。") % {"name": shown},
            code="file_type",
        ) from None


def _read(content: IO[bytes], shown: str) -> bytes:
    most = settings.UPLOAD_MAX_BYTES
    data = content.read(most + 1)
    if not data:
        raise Invalid(_("文件“%(name)s”是空的。") % {"name": shown}, code="file_empty")
    if len(data) > most:
        raise Invalid(
            _("文件“%(name)s”太大：最多 %(most)d MB。") % {"name": shown, "most": most // 1024**2},
            code="file_too_large",
            most=most,
        )
    return data


def keep_bytes(data: bytes) -> str:
    """Keep bytes this program made itself; answers with their SHA-256, by which ``path_of`` finds them."""
    digest = hashlib.sha256(data).hexdigest()
    _write(path_of(digest), data)
    return digest


def keep_file(written: Path) -> str:
    """Keep a file this program wrote itself beside the others, moved and not copied; answers with its SHA-256. What
    lies there already is the same, and ``written`` is gone either way.
    """
    with written.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        os.fsync(content.fileno())
    path = path_of(digest)
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    written.chmod(settings.FILE_UPLOAD_PERMISSIONS or 0o640)
    written.replace(path)
    return digest


def path_of(digest: str) -> Path:
    """Where the bytes with this SHA-256 lie."""
    return Path(settings.MEDIA_ROOT) / digest[:2] / digest


def _shown_name(name: str) -> str:
    """The file's own name without folders; what is no text is called 文件."""
    try:
        return clean_text(name.replace("\\", "/").rpartition("/")[2][-NAME_MAX:], NAME_MAX) or _("文件")
    except Invalid:
        return _("文件")


def _pdf(data: bytes, name: str) -> bytes:
    """A PDF has its mark at the beginning and its end mark near the end; what was cut off on the way has none."""
    if b"%%EOF" not in data[-2048:]:
        raise Invalid(_("文件“%(name)s”不完整，请重新上传。") % {"name": name}, code="file_broken")
    return data


def _picture(data: bytes, name: str) -> bytes:
    """The picture made anew, without anything that was beside its pixels."""
    broken = Invalid(_("文件“%(name)s”打不开，请重新拍照或另存后上传。") % {"name": name}, code="file_broken")
    try:
        with warnings.catch_warnings():
            # Pillow warns of a bomb between one and two times its limit; ours is asked for below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            if image.format not in _IMAGES:
                raise _not_a_kind(name, data)
            if image.width * image.height > PIXELS_MAX:
                raise Invalid(
                    _("图片“%(name)s”太大，请缩小到 6000 万像素以内。") % {"name": name}, code="image_too_large"
                )
            image.draft("RGB", (EDGE_MAX, EDGE_MAX))
            upright = ImageOps.exif_transpose(image)
            upright.thumbnail((EDGE_MAX, EDGE_MAX))
            return _jpeg(upright)
    except UnidentifiedImageError:
        raise _not_a_kind(name, data) from None
    except Image.DecompressionBombError:
        raise Invalid(
            _("图片“%(name)s”太大，请缩小到 6000 万像素以内。") % {"name": name}, code="image_too_large"
        ) from None
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError):
        # What Pillow raises for data cut off or malformed differs by format.
        raise broken from None


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp"


def _not_a_kind(name: str, data: bytes) -> Invalid:
    if _is_heic(data):
        # HEIC and AVIF, as phones keep them: a photograph all the same, and the person can do something about it.
        return Invalid(
            _("照片“%(name)s”是 HEIC 格式，这里打不开。请截屏后上传截图，或在手机相机设置里选“兼容性最佳”后重拍。")
            % {"name": name},
            code="file_type",
        )
    return Invalid(
        _("文件“%(name)s”不是照片或 PDF。请上传 JPG、PNG 图片或 PDF 文件。") % {"name": name}, code="file_type"
    )


def _jpeg(image: Image.Image) -> bytes:
    """The pixels on white as JPEG."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        flat = Image.new("RGB", layer.size, "white")
        flat.paste(layer, mask=layer.getchannel("A"))
    else:
        flat = image.convert("RGB")
    clean = Image.new("RGB", flat.size)
    clean.paste(flat)
    out = io.BytesIO()
    clean.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Write the bytes under their name, whole or not at all; what is there already is the same."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).chmod(settings.FILE_UPLOAD_PERMISSIONS or 0o640)
        Path(temporary).replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
