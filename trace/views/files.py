"""Handing out uploaded files, only through access."""

from __future__ import annotations

import uuid
from urllib.parse import quote

from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from trace.access import actor_of, audience, file_for
from trace.actions.files import path_of
from trace.errors import NotFound


@audience("signed_in")
@require_safe
def file_detail(request: HttpRequest, uid: uuid.UUID) -> HttpResponseBase:
    """One file: pictures are shown, PDFs are downloaded (a PDF may carry scripts of a stranger)."""
    stored = file_for(actor_of(request), uid)
    path = path_of(stored.sha256)
    if not path.exists():
        raise NotFound(_("文件不在了，请联系运维人员从备份恢复。"), code="file_missing")
    response = FileResponse(path.open("rb"), content_type=stored.media_type)
    how = "inline" if stored.media_type == "image/jpeg" else "attachment"
    response["Content-Disposition"] = f"{how}; filename*=UTF-8''{quote(stored.name)}"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, max-age=86400, immutable"
    return response
