"""The packet a print house gets: the codes with their addresses as CSV, what the labels say, and a file of
checksums.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Sequence

from django.utils.translation import gettext as _

DATE = (2020, 1, 1, 0, 0, 0)
"""Of every entry: the same codes give the same bytes."""


def packet(
    rows: Iterable[tuple[int | str, ...]], says: Sequence[tuple[str, str]], *, with_checks: bool = False
) -> bytes:
    """A ZIP with ``codes.csv`` (number, code, address, with ``with_checks`` the check code), ``label.txt`` (the texts
    of the labels) and ``SHA256SUMS``, which ``sha256sum --check`` reads.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_("序号"), _("码"), _("网址"), *([_("校验码")] if with_checks else [])])
    writer.writerows(rows)
    files = {
        "codes.csv": ("\ufeff" + out.getvalue()).encode(),
        "label.txt": "".join(f"{name}\t{value}\r\n" for name, value in says).encode(),
    }
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    files["SHA256SUMS"] = sums.encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, DATE), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
