"""What the public reads of recalls: announced ones only; drills and drafts never get here."""

from django.db.models import Max
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Query

from recalls.api import examples
from recalls.api.area import area
from recalls.api.shapes import PublicRecallOut
from recalls.models import Publication
from recalls.queries import published
from trace.access import parse_uid
from trace.api.examples import page
from trace.api.paging import Page, Paging, turn
from trace.api.schemas import Named
from trace.errors import NotFound


@area.read(
    "/public/recalls",
    who="public",
    answer=Page[PublicRecallOut],
    example=page(examples.PUBLIC),
    summary=gettext_lazy("已公告的召回"),
    description=gettext_lazy("每次召回给出现行的公告。无需密钥。"),
)
def list_public_recalls(request: HttpRequest, paging: Query[Paging]) -> Page[PublicRecallOut]:
    """Announced recalls, newest publication first."""
    latest = published().order_by().values("notice__campaign").annotate(last=Max("pk")).values("last")
    rows = Publication.objects.filter(pk__in=latest).select_related("notice__campaign")
    rows = rows.prefetch_related("notice__pictures__notice__campaign")
    return turn(rows, paging, lambda found: [PublicRecallOut.of(row) for row in found])


@area.read(
    "/public/recalls/{uid}",
    who="public",
    answer=PublicRecallOut,
    example=examples.PUBLIC,
    summary=gettext_lazy("一次召回的公告"),
)
def get_public_recall(request: HttpRequest, uid: Named) -> PublicRecallOut:
    """One announced recall."""
    row = published().filter(notice__campaign__uid=parse_uid(uid)).first()
    if row is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return PublicRecallOut.of(row)
