"""Places, products with their versions, the catalogue of standards, and the event templates."""

import datetime
from collections.abc import Mapping
from typing import Annotated, Literal

from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from trace.access import own_places, own_products, place_for, product_for
from trace.actions.events import OWN_ACTION
from trace.actions.registry import (
    PlaceInput,
    ProductInput,
    VersionInput,
    claim_gtin,
    create_place,
    create_product,
    decide_gtin_claim,
    edit_product,
    say_material,
)
from trace.api import examples
from trace.api.auth import acting
from trace.api.given import Reason
from trace.api.operations import Area
from trace.api.organisations import division_of
from trace.api.paging import Page, Paging, turn
from trace.api.schemas import In, Named, Out, Text, Whole
from trace.api.shapes import PlaceOut, ProductOut, VersionOut
from trace.errors import Invalid, NotFound
from trace.event_templates import EventTemplate, TemplateField, template, templates
from trace.models import Limit, Product, Standard

area = Area("registry", gettext_lazy("地点、产品与标准"))


class Search(Paging):
    """Part of a name or code."""

    q: Annotated[str, Text(60)] = Field("", description="Part of the name or code.")


# --- Places ---------------------------------------------------------------------------------------------------------


@area.read(
    "/places",
    who="signed_in",
    answer=Page[PlaceOut],
    example=examples.page(examples.PLACE),
    summary=gettext_lazy("列出地点"),
)
def list_places(request: HttpRequest, wanted: Query[Search]) -> Page[PlaceOut]:
    """The caller's places in use."""
    rows = own_places(acting(request)).select_related("organisation")
    if wanted.q:
        rows = rows.filter(Q(name__icontains=wanted.q) | Q(name_en__icontains=wanted.q))
    return turn(rows, wanted, lambda found: [PlaceOut.of(row) for row in found])


@area.read(
    "/places/{uid}", who="signed_in", answer=PlaceOut, example=examples.PLACE, summary=gettext_lazy("查看一个地点")
)
def get_place(request: HttpRequest, uid: Named) -> PlaceOut:
    """One place of the caller's."""
    return PlaceOut.of(place_for(acting(request), uid))


class PlaceIn(In):
    """A place."""

    name: Annotated[str, Text(60, required=True)]
    kind: Literal["plot", "plant", "store", "vessel", "line", "shop"]
    division: Annotated[str, Text(12, required=True)]
    name_en: Annotated[str, Text(80)] = ""
    address: Annotated[str, Text(200)] = ""
    gln: Annotated[str, Text(20)] = ""
    facts: dict[str, Annotated[str, Text(60)]] = Field(default_factory=dict)


@area.write(
    "/places",
    who="party",
    answer=PlaceOut,
    example=examples.PLACE,
    body_example={"name": "一号酒库", "kind": "store", "division": "141182101"},
    summary=gettext_lazy("登记地点"),
)
def add_place(request: HttpRequest, body: PlaceIn) -> PlaceOut:
    """A new place."""
    given = body.model_dump(exclude={"division"})
    return PlaceOut.of(create_place(by=acting(request), place=PlaceInput(division=division_of(body.division), **given)))


# --- Products -------------------------------------------------------------------------------------------------------


@area.read(
    "/products",
    who="signed_in",
    answer=Page[ProductOut],
    example=examples.page(examples.PRODUCT),
    summary=gettext_lazy("列出产品"),
    description=gettext_lazy("本单位的产品；监管部门见辖区内单位的产品。"),
)
def list_products(request: HttpRequest, wanted: Query[Search]) -> Page[ProductOut]:
    """The caller's products; for regulators those of the territory."""
    actor = acting(request)
    rows = own_products(actor)
    if actor.is_regulator:
        rows = Product.objects.filter(organisation__division__code__startswith=actor.organisation.territory)
    if wanted.q:
        rows = rows.filter(Q(code__icontains=wanted.q) | Q(gtin=wanted.q) | Q(current__name__icontains=wanted.q))
    rows = rows.select_related("organisation", "current")
    return turn(rows, wanted, lambda found: [ProductOut.of(row) for row in found])


@area.read(
    "/products/{uid}",
    who="signed_in",
    answer=ProductOut,
    example=examples.PRODUCT,
    summary=gettext_lazy("查看一个产品"),
)
def get_product(request: HttpRequest, uid: Named) -> ProductOut:
    """One product."""
    return ProductOut.of(product_for(acting(request), uid))


class VersionIn(In):
    """What a product says of itself from now on."""

    name: Annotated[str, Text(120, required=True)]
    name_en: Annotated[str, Text(160)] = ""
    brand: Annotated[str, Text(80)] = ""
    spec: Annotated[str, Text(80)] = ""
    net_content: Annotated[str, Text(40)] = ""
    ingredients: Annotated[str, Text(300)] = ""
    grade: Annotated[str, Text(20)] = ""
    standard: Annotated[str, Text(60)] = Field("", description="Key of an edition in the catalogue.")
    standard_text: Annotated[str, Text(120)] = Field("", description="An enterprise standard by its number.")
    licence_number: Annotated[str, Text(40)] = ""
    pledge: Annotated[str, Text(500, multiline=True)] = ""
    gi_claim: Annotated[str, Text(60)] = ""
    shelf_life_days: Annotated[int, Whole(1, 36_500)] | None = None
    storage: Annotated[str, Text(120)] = ""
    warning: Annotated[str, Text(120)] = ""
    packs: dict[str, Annotated[str, Text(20)]] = Field(
        default_factory=dict, description="Base units in one pack, by the pack's name.", examples=[{"箱": "3"}]
    )

    def given(self) -> VersionInput:
        """As the action takes it."""
        standard = None
        if self.standard:
            standard = Standard.objects.filter(key=self.standard).first()
            if standard is None:
                raise Invalid(_("标准目录里没有这个版本。"), code="unknown_standard")
        return VersionInput(standard=standard, **self.model_dump(exclude={"standard"}))


class ProductIn(In):
    """A kind of goods. All but `version` stays for life."""

    code: Annotated[str, Text(20, required=True)]
    track: Literal["food", "consumer_product", "farm_produce"]
    base_unit: Literal["KGM", "LTR", "C62", "MTQ", "MTK", "MTR"]
    kind: Literal["raw", "intermediate", "finished", "packaging", "byproduct"] = "finished"
    family: Annotated[str, Text(40)] = ""
    material: Annotated[str, Text(20)] = Field("", description="What it is, e.g. water or walnut.")
    gtin: Annotated[str, Text(20)] = ""
    version: VersionIn


PRODUCT_IN = {
    "code": "BJ-500",
    "track": "food",
    "base_unit": "LTR",
    "family": "baijiu_light_aroma",
    "gtin": "09520000010010",
    "version": {"name": "示例清香白酒", "spec": "53%vol 500 mL", "packs": {"瓶": "0.5", "箱": "3"}},
}


@area.write(
    "/products",
    who="party",
    answer=ProductOut,
    example={**examples.PRODUCT, "gtin_claim": "claimed"},
    body_example=PRODUCT_IN,
    summary=gettext_lazy("登记产品"),
    description=gettext_lazy("条码先是“已声明”，经监管部门确认后才能印在标签上。"),
)
def add_product(request: HttpRequest, body: ProductIn) -> ProductOut:
    """A new product with its first version."""
    product = ProductInput(**body.model_dump(exclude={"version"}))
    return ProductOut.of(create_product(by=acting(request), product=product, version=body.version.given()))


class NewVersionIn(VersionIn):
    """A change of a product; `seen` is the version number you changed from."""

    seen: Annotated[int, Whole(1, 10**6)] | None = None

    def given(self) -> VersionInput:
        """As the action takes it."""
        return VersionIn(**self.model_dump(exclude={"seen"})).given()


@area.write(
    "/products/{uid}/versions",
    who="party",
    answer=VersionOut,
    example={**examples.VERSION, "number": 2},
    body_example={"seen": 1, "name": "示例清香白酒", "spec": "53%vol 500 mL", "packs": {"瓶": "0.5", "箱": "6"}},
    summary=gettext_lazy("更改产品资料"),
    description=gettext_lazy("每次更改是一个新版本；以前的批次仍用原来的版本。"),
)
def add_version(request: HttpRequest, uid: Named, body: NewVersionIn) -> VersionOut:
    """A new version of the caller's product."""
    actor = acting(request)
    row = product_for(actor, uid, write=True)
    return VersionOut.of(edit_product(row=row, version=body.given(), by=actor, seen=body.seen))


class MaterialIn(In):
    """What a product is; empty takes it back."""

    material: Annotated[str, Text(20)]


@area.write(
    "/products/{uid}/material",
    who="party",
    answer=ProductOut,
    example={**examples.PRODUCT, "material": "water"},
    body_example={"material": "water"},
    status=200,
    summary=gettext_lazy("注明产品是什么"),
    description=gettext_lazy("更改会公开记录；标准不允许来源里有它的下游批次会立即记为矛盾。"),
)
def set_material(request: HttpRequest, uid: Named, body: MaterialIn) -> ProductOut:
    """Say what the caller's product is."""
    actor = acting(request)
    return ProductOut.of(say_material(row=product_for(actor, uid, write=True), material=body.material, by=actor))


class GtinIn(In):
    """The GTIN a product carries; empty where it has none."""

    gtin: Annotated[str, Text(20)]


@area.write(
    "/products/{uid}/gtin",
    who="party",
    answer=ProductOut,
    example={**examples.PRODUCT, "gtin_claim": "claimed"},
    body_example={"gtin": "09520000010010"},
    status=200,
    summary=gettext_lazy("声明条码"),
)
def set_gtin(request: HttpRequest, uid: Named, body: GtinIn) -> ProductOut:
    """Claim a GTIN for the caller's product."""
    actor = acting(request)
    return ProductOut.of(claim_gtin(row=product_for(actor, uid, write=True), gtin=body.gtin, by=actor))


class GtinDecisionIn(In):
    """A regulator's decision on a GTIN claim; a refusal needs a reason."""

    confirm: bool
    reason: Reason = ""


@area.write(
    "/products/{uid}/gtin-decision",
    who="regulator",
    answer=ProductOut,
    example=examples.PRODUCT,
    body_example={"confirm": True},
    status=200,
    summary=gettext_lazy("确认条码"),
)
def decide_gtin(request: HttpRequest, uid: Named, body: GtinDecisionIn) -> ProductOut:
    """Confirm or refuse the claim of an organisation in the territory."""
    actor = acting(request)
    row = product_for(actor, uid)
    return ProductOut.of(decide_gtin_claim(row=row, confirm=body.confirm, by=actor, reason=body.reason))


# --- Standards and templates ----------------------------------------------------------------------------------------


class LimitOut(Out):
    """One limit. An empty value means that nobody has seen it: it judges nothing."""

    parameter: str
    name: str
    operator: str
    value: str
    grades: dict[str, str]
    unit: str
    basis: str
    applies: str
    method: str
    evidence: str
    verified: bool
    version: int


class StandardOut(Out):
    """One edition of a standard, law or notice with how it is known."""

    key: str
    number: str
    title: str
    kind: str
    effective_on: datetime.date | None
    ended_on: datetime.date | None
    replaced_by: str | None
    source: str
    evidence: str
    verified: bool
    limits: list[LimitOut]


STANDARD = {
    "key": "gb2757_2012",
    "number": "GB 2757-2012",
    "title": "食品安全国家标准 蒸馏酒及其配制酒",
    "kind": "national_food_safety",
    "effective_on": "2013-02-01",
    "ended_on": None,
    "replaced_by": None,
    "source": "http://gbdcdc.cn/lhjy/85.html",
    "evidence": "memory",
    "verified": False,
    "limits": [
        {
            "parameter": "methanol",
            "name": "甲醇",
            "operator": "<=",
            "value": "0.6",
            "grades": {},
            "unit": "g/L",
            "basis": "converted to 100%vol; grain raw material (others 2.0)",
            "applies": "",
            "method": "GB 5009.266",
            "evidence": "seen",
            "verified": False,
            "version": 0,
        }
    ],
}


@area.read("/standards", who="public", answer=list[StandardOut], example=[STANDARD], summary=gettext_lazy("标准目录"))
def list_standards(request: HttpRequest) -> list[StandardOut]:
    """The whole catalogue (some dozens of editions): two queries."""
    limits: dict[str, list[Limit]] = {}
    for limit in Limit.objects.order_by("id"):
        limits.setdefault(limit.standard_id, []).append(limit)
    return [_standard_out(row, limits) for row in Standard.objects.order_by("key")]


@area.read("/standards/{key}", who="public", answer=StandardOut, example=STANDARD, summary=gettext_lazy("查看一个标准"))
def get_standard(request: HttpRequest, key: Annotated[str, Text(60)]) -> StandardOut:
    """One edition."""
    row = Standard.objects.filter(key=key).first()
    if row is None:
        raise NotFound(_("标准目录里没有这个版本。"))
    return _standard_out(row, {row.key: list(row.limits.order_by("id"))})


def _standard_out(row: Standard, limits: Mapping[str, list[Limit]]) -> StandardOut:
    """One edition with its limits."""
    return StandardOut(
        key=row.key,
        number=row.number,
        title=row.title,
        kind=row.kind,
        effective_on=row.effective_on,
        ended_on=row.ended_on,
        replaced_by=row.replaced_by_id,
        source=row.source,
        evidence=row.evidence,
        verified=row.is_verified,
        limits=[
            LimitOut(
                parameter=limit.parameter,
                name=limit.name,
                operator=limit.operator,
                value=limit.value,
                grades=limit.grades,
                unit=limit.unit,
                basis=limit.basis,
                applies=limit.applies,
                method=limit.method,
                evidence=limit.evidence,
                verified=limit.verified_at is not None,
                version=limit.version,
            )
            for limit in limits.get(row.key, [])
        ],
    )


class FieldOut(Out):
    """One field of a template: what goes into `data`. Computed fields are never sent."""

    key: str
    name: str
    type: str
    unit: str
    required: bool
    public: bool
    computed: bool
    per_output: bool
    choices: list[str]
    usual_from: str | None
    usual_to: str | None


class TemplateOut(Out):
    """One kind of step. `own_action` names the operation to use where the step is not recorded by `POST /events`."""

    code: str
    name: str
    family: str
    event_type: str
    biz_step: str
    action: str
    moves: str
    own_action: str | None
    fields: list[FieldOut]


@area.read(
    "/event-templates",
    who="public",
    answer=list[TemplateOut],
    example=[examples.TEMPLATE],
    summary=gettext_lazy("列出环节模板"),
    description=gettext_lazy("每个环节要填哪些内容。名称随 Accept-Language 给出中文或英文。"),
)
def list_event_templates(request: HttpRequest, family: Annotated[str, Text(40)] = "") -> list[TemplateOut]:
    """All steps, or those of one family and the shared ones."""
    return [_template_out(found) for found in templates().values() if not family or found.family in (family, "common")]


@area.read(
    "/event-templates/{code}",
    who="public",
    answer=TemplateOut,
    example=examples.TEMPLATE,
    summary=gettext_lazy("查看一个环节模板"),
)
def get_event_template(request: HttpRequest, code: Annotated[str, Text(60)]) -> TemplateOut:
    """One step."""
    return _template_out(template(code))


def _template_out(found: EventTemplate) -> TemplateOut:
    """One step as data."""
    return TemplateOut(
        code=found.code,
        name=found.label(),
        family=found.family,
        event_type=found.event_type,
        biz_step=found.biz_step,
        action=found.action,
        moves=found.moves,
        own_action=OWN_ACTION.get(found.moves),
        fields=[_field_out(field) for field in found.fields],
    )


def _field_out(field: TemplateField) -> FieldOut:
    """One field as data."""
    low, high = field.advisory_range or (None, None)
    return FieldOut(
        key=field.key,
        name=field.label(),
        type=field.type,
        unit=field.unit,
        required=field.required,
        public=field.public,
        computed=field.computed,
        per_output=field.per_output,
        choices=[choice.value for choice in field.choices],
        usual_from=str(low) if low is not None else None,
        usual_to=str(high) if high is not None else None,
    )
