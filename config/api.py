"""The one API, mounted under /api/v1/: which areas it has."""

from django.utils.translation import gettext_lazy as _

from labels.api import routes as labels
from recalls.api import (  # noqa: F401 (they declare their operations)
    acts,
    back,
    beside,
    campaigns,
    cases,
    checks,
    contact,
    gs1,
    notices,
    papers,
    public,
    rules,
    scopes,
    signals,
    tree,
)
from recalls.api.area import area as recall_area
from trace.api import events, evidence, genealogy, organisations, packs, registry, shipments
from trace.api.operations import HouseAPI

api = HouseAPI(
    title=_("汾阳产品追溯与召回 API"),
    version="1",
    urls_namespace="api-v1",
    description=_("登记、查询与召回。说明见 docs/api.md。"),
)
for area in (
    organisations.area,
    registry.area,
    genealogy.area,
    events.area,
    shipments.area,
    packs.packing,
    packs.moving,
    evidence.evidence,
    evidence.holds,
    recall_area,
    labels.area,
):
    api.add_router("", area.router)
