"""Places, products with their versions, and certificates: what lots are made at, of and under."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.access import supervises
from trace.actions.conflicts import flag_descendants, flag_origins_of, flag_own_lots
from trace.actions.names import index_product
from trace.actions.organisations import require_supervisor
from trace.actor import Actor
from trace.composition import edition_typed, grade_typed, is_title, materials
from trace.edits import log_changes, log_edit
from trace.errors import Clash, Invalid, NotAllowed, NotFound, StaleState
from trace.event_templates import families
from trace.gather import Gather, unique
from trace.identifiers import fold_code, normalise_gln, normalise_gtin, normalise_sc_licence
from trace.ledger import lock_log_head
from trace.lineage import claim_made, prohibition_of
from trace.models import (
    Certificate,
    Division,
    Licence,
    Organisation,
    Place,
    Product,
    ProductVersion,
    Standard,
    Stock,
)
from trace.text import clean_int, clean_text
from trace.units import UNITS, BaseUnit, parse_amount

PLACE_FACTS: Mapping[str, Mapping[str, Promise]] = {
    Place.Kind.PLOT: {
        "area_mu": gettext_lazy("面积（亩）"),
        "crop": gettext_lazy("种植品种"),
        "altitude_m": gettext_lazy("海拔（米）"),
    },
    Place.Kind.VESSEL: {"capacity": gettext_lazy("容量"), "material": gettext_lazy("材质")},
    Place.Kind.STORE: {"temperature": gettext_lazy("贮存温度")},
}
"""Facts a place of this kind may carry, by key with their words. All optional; none names a person."""

PACKS_MAX = 8
SHELF_LIFE_MAX_DAYS = 36_500
Lasting = TypeVar("Lasting", Place, Product)


# --- Places ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlaceInput:
    """A place as entered: ``kind`` one of ``Place.Kind``, ``facts`` by the keys of ``PLACE_FACTS``."""

    name: str
    kind: str
    division: Division
    name_en: str = ""
    address: str = ""
    gln: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@transaction.atomic
def create_place(*, by: Actor, place: PlaceInput, at: datetime.datetime | None = None) -> Place:
    """A new place of the actor's organisation (or of the grower acted for).

    Refuses (``FieldErrors``): no name, a name it has already (``place_name_taken``), a wrong GLN (``gln_…``), an
    unknown kind (``place_kind``).
    """
    row = checked_place(by=by, place=place, at=at)
    with unique("name", _place_name_taken()):
        row.save(force_insert=True)
    log_edit(row=row, organisation=by.owner, field="created", old=None, new={"name": row.name}, by=by.user, at=at)
    return row


def checked_place(*, by: Actor, place: PlaceInput, at: datetime.datetime | None = None) -> Place:
    """The row of a new place, not yet written; refuses as ``create_place``."""
    _require_worker(by)
    return Place(organisation=by.owner, created_at=at or timezone.now(), **_checked_place(place, by.owner))


@transaction.atomic
def create_places(*, rows: Sequence[Place], by: Actor, at: datetime.datetime | None = None) -> list[Place]:
    """Write many places that ``checked_place`` made, all or none. Refuses a name taken since (``place_name_taken``)."""
    _require_worker(by)
    for start in range(0, len(rows), 300):
        names = [row.name for row in rows[start : start + 300]]
        if Place.objects.filter(organisation=by.owner, name__in=names).exists():
            raise _place_name_taken()
    with unique("name", _place_name_taken()):
        made = Place.objects.bulk_create(rows, batch_size=300)
    for row in made:
        log_edit(row=row, organisation=by.owner, field="created", old=None, new={"name": row.name}, by=by.user, at=at)
    return made


@transaction.atomic
def edit_place(*, row: Place, place: PlaceInput, by: Actor, at: datetime.datetime | None = None) -> Place:
    """Change a place; each change is logged. Events that name it keep naming it. Refuses as ``create_place``.

    Another division or kind flags what claims an origin and is from here, where the claim holds no longer.
    """
    _require_own(by, row.organisation_id)
    fields = _checked_place(place, row.organisation, but=row)
    # The head of the log before any row, as events do: who holds it checks these rows at its commit.
    lock_log_head()
    row = Place.objects.select_for_update().get(pk=row.pk)
    was = row.division_id, row.kind
    with unique("name", _place_name_taken()):
        log_changes(
            row=row, organisation=row.organisation, changes=fields, by=by.user, public=frozenset({"name"}), at=at
        )
    if (row.division_id, row.kind) != was:
        flag_origins_of(row, at=at)
    return row


@transaction.atomic
def end_place(*, row: Place, by: Actor, at: datetime.datetime | None = None) -> Place:
    """Take a place out of use. Refuses while goods lie there (``place_has_stock``) and what has ended
    (``stale_state``).
    """
    _require_own(by, row.organisation_id)
    lots = Stock.objects.filter(place=row).exclude(micros=0).count()
    if lots:
        raise Clash(
            _("这里还有 %(lots)d 个批次的库存，请先移走或出库。") % {"lots": lots}, code="place_has_stock", lots=lots
        )
    return _end(row, row.organisation, by, at)


@transaction.atomic
def reopen_place(*, row: Place, by: Actor, at: datetime.datetime | None = None) -> Place:
    """Use a place again that was taken out of use."""
    _require_own(by, row.organisation_id)
    return _reopen(row, row.organisation, by, at)


def _place_name_taken(*, ended: bool = False) -> Invalid:
    words = _("已有同名的停用地点，可在地点列表里重新启用。") if ended else _("已有同名的地点，请换一个名称。")
    return Invalid(words, code="place_name_taken")


def _checked_place(place: PlaceInput, owner: Organisation, *, but: Place | None = None) -> dict[str, Any]:
    check = Gather()
    name = check("name", clean_text, place.name, 80, required=True)
    others = Place.objects.filter(organisation=owner, name=name)
    same = (others.exclude(pk=but.pk) if but else others).first()
    if same is not None:
        check.refuse("name", _place_name_taken(ended=same.ended_at is not None))
    if place.kind not in Place.Kind.values:
        check.refuse("kind", Invalid(_("请从列表中选择地点类型。"), code="place_kind"))
    name_en = check("name_en", clean_text, place.name_en, 120)
    address = check("address", clean_text, place.address, 200)
    gln = check("gln", normalise_gln, place.gln) if place.gln.strip() else ""
    allowed = PLACE_FACTS.get(place.kind, {})
    facts = {key: check(f"facts.{key}", clean_text, value, 60) for key, value in place.facts.items() if key in allowed}
    check.done()
    return {
        "name": name,
        "name_en": name_en,
        "kind": place.kind,
        "division": place.division,
        "address": address,
        "gln": gln,
        "facts": {key: value for key, value in facts.items() if value},
    }


# --- Products -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProductInput:
    """What stays with a product for life: changing any of it would make it another product.

    ``track`` and ``kind`` from ``Product``, ``base_unit`` from ``trace.units.BaseUnit``. ``gtin`` is empty where the
    goods have none. ``material`` says what it is (a key of ``trace.composition.materials``), empty where nobody says.
    """

    code: str
    track: str
    base_unit: str
    kind: str = Product.Kind.FINISHED
    family: str = ""
    gtin: str = ""
    material: str = ""


@dataclass(frozen=True)
class VersionInput:
    """What a product says of itself from now on.

    Either ``standard`` (an edition of the catalogue) or ``standard_text`` (an enterprise standard by its number).
    ``packs`` maps the name of a pack to the base units in one, as exact text: ``{"瓶": "0.5", "箱": "3"}``.
    """

    name: str
    name_en: str = ""
    brand: str = ""
    spec: str = ""
    net_content: str = ""
    ingredients: str = ""
    grade: str = ""
    standard: Standard | None = None
    standard_text: str = ""
    licence_number: str = ""
    pledge: str = ""
    gi_claim: str = ""
    shelf_life_days: int | None = None
    storage: str = ""
    warning: str = ""
    packs: Mapping[str, str] = field(default_factory=dict)


VERSION_TEXTS: Mapping[str, int] = {
    "name": 120,
    "name_en": 160,
    "brand": 80,
    "spec": 80,
    "net_content": 40,
    "ingredients": 300,
    "grade": 20,
    "standard_text": 120,
    "pledge": 500,
    "gi_claim": 60,
    "storage": 120,
    "warning": 120,
}
"""The texts of a version with the most characters each may have."""


@transaction.atomic
def create_product(
    *, by: Actor, product: ProductInput, version: VersionInput, at: datetime.datetime | None = None
) -> Product:
    """A new product of the actor's organisation with its first version.

    A GTIN is claimed and must be confirmed by a regulator of the territory before labels may carry it. Refuses
    (``FieldErrors``): a code used already (``product_code_taken``), GTIN errors (``gtin_…``, ``gtin_taken``), unknown
    track, kind or unit, and what ``edit_product`` refuses.
    """
    row, fields = checked_product(by=by, product=product, version=version, at=at)
    with unique("code", _code_taken(row.code)):
        row.save(force_insert=True)
    _write_version(row, 1, fields, by, at)
    return row


def checked_product(
    *, by: Actor, product: ProductInput, version: VersionInput, at: datetime.datetime | None = None
) -> tuple[Product, dict[str, Any]]:
    """The row of a new product and the fields of its first version, not yet written; refuses as ``create_product``."""
    _require_worker(by)
    owner = by.owner
    check = Gather()
    code = check("code", _checked_code, product.code, owner)
    family = check("family", clean_text, product.family, 40)
    for name, value, allowed in (
        ("track", product.track, Product.Track.values),
        ("kind", product.kind, Product.Kind.values),
        ("base_unit", product.base_unit, [unit.value for unit in BaseUnit]),
        ("material", product.material, ["", *materials()]),
        ("family", family, ["", None, *families()]),
    ):
        if value not in allowed:
            check.refuse(name, Invalid(_("请从列表中选择。"), code=f"{name}_unknown"))
    gtin = check("gtin", _checked_gtin, product.gtin, owner) if product.gtin.strip() else None
    base_unit = product.base_unit if "base_unit" not in check.errors else BaseUnit.KGM
    fields = _gather_version(check, version, owner, base_unit)
    check.done()
    row = Product(
        organisation=owner,
        code=code,
        family=family,
        track=product.track,
        kind=product.kind,
        base_unit=product.base_unit,
        material=product.material,
        gtin=gtin,
        gtin_claim=Product.GtinClaim.CLAIMED if gtin else Product.GtinClaim.NONE,
        created_at=at or timezone.now(),
    )
    return row, fields


@transaction.atomic
def create_products(
    *, rows: Sequence[tuple[Product, dict[str, Any]]], by: Actor, at: datetime.datetime | None = None
) -> list[Product]:
    """Write many products that ``checked_product`` made, all or none.

    Refuses a code or GTIN that somebody has taken since (``product_code_taken``, ``gtin_taken``).
    """
    _require_worker(by)
    for start in range(0, len(rows), 300):
        part = [row for row, _fields in rows[start : start + 300]]
        taken = Product.objects.filter(organisation=by.owner, code__in=[row.code for row in part]).first()
        if taken is not None:
            raise _code_taken(taken.code)
        gtins = [row.gtin for row in part if row.gtin]
        others = Q(gtin_claim=Product.GtinClaim.CONFIRMED) | Q(organisation=by.owner, ended_at=None)
        if gtins and Product.objects.filter(others, gtin__in=gtins).exists():
            raise Invalid(_("本单位另一个产品已用这个条码。每种产品、规格要有自己的条码。"), code="gtin_taken")
    with unique("code", _code_taken("")):
        made = Product.objects.bulk_create([row for row, _fields in rows], batch_size=300)
    now = at or timezone.now()
    versions = ProductVersion.objects.bulk_create(
        [
            ProductVersion(product=row, number=1, by=by.user, at=now, **fields)
            for row, (_unsaved, fields) in zip(made, rows, strict=True)
        ],
        batch_size=300,
    )
    for row, version in zip(made, versions, strict=True):
        row.current = version
    Product.objects.bulk_update(made, ["current"], batch_size=300)
    return made


@transaction.atomic
def edit_product(
    *,
    row: Product,
    version: VersionInput,
    by: Actor,
    seen: int | None = None,
    at: datetime.datetime | None = None,
) -> ProductVersion:
    """A change is a new version; lots made before keep theirs. Without any change the current version is returned.

    A standard that forbids what lots there are were made of flags those lots: it could not be cited at making. So does
    a claim of origin that they do not bear, in the claim, the name or the brand.
    ``seen`` is the number the editor saw: a newer one refuses (``stale_state``). Refuses (``FieldErrors``): no name,
    two standards at once (``standard_twice``), an edition that has ended (``standard_ended``), a production licence
    the organisation has not entered (``licence_unknown``), packs that are no amounts (``packs.…``), shelf lives out
    of range.
    """
    _require_own(by, row.organisation_id)
    lock_log_head()
    row = Product.objects.select_for_update(of=("self",)).select_related("organisation", "current").get(pk=row.pk)
    if row.ended_at is not None:
        raise Clash(_("这个产品已停用，请先重新启用。"), code="product_ended")
    check = Gather()
    fields = _gather_version(check, version, row.organisation, row.base_unit)
    check.done()
    current = row.versions.get(number=row.current.number if row.current else 1)
    if seen is not None and seen != current.number:
        raise StaleState(_("这个产品刚刚被别人更改，请刷新后重新填写。"))
    if all(getattr(current, name) == value for name, value in fields.items()):
        return current
    fields["declared_limits"] = current.declared_limits
    made = _write_version(row, current.number + 1, fields, by, at)
    for asked in (prohibition_of, claim_made):
        if asked(made) not in (None, asked(current)):
            flag_own_lots(row, made, at=at)
            break
    return made


@transaction.atomic
def say_material(*, row: Product, material: str, by: Actor, at: datetime.datetime | None = None) -> Product:
    """Say what a product is, or take it back by an empty answer; the change is public.

    What was made of its lots and follows a standard that forbids this material is flagged at once, whoever made it;
    flags
    there are stay. Refuses what is no material (``material_unknown``). Nothing happens where it is said already.
    """
    _require_own(by, row.organisation_id)
    if material and material not in materials():
        raise Invalid(_("请从列表中选择。"), code="material_unknown")
    old = row.material
    if not Product.objects.filter(pk=row.pk, material=old).exclude(material=material).update(material=material):
        row.refresh_from_db()
        return row
    row.material = material
    log_edit(
        row=row, organisation=row.organisation, field="material", old=old, new=material, by=by.user, public=True, at=at
    )
    if material:
        flag_descendants(row, at=at)
    return row


@transaction.atomic
def end_product(*, row: Product, by: Actor, at: datetime.datetime | None = None) -> Product:
    """Stop making a product: no new lots. Lots there are stay."""
    _require_own(by, row.organisation_id)
    return _end(row, row.organisation, by, at)


@transaction.atomic
def reopen_product(*, row: Product, by: Actor, at: datetime.datetime | None = None) -> Product:
    """Make a product again that was ended."""
    _require_own(by, row.organisation_id)
    return _reopen(row, row.organisation, by, at)


def pack_table(version: ProductVersion) -> dict[str, Fraction]:
    """The packs of a version as exact factors, as ``trace.units`` takes them."""
    return {name: Fraction(factor) for name, factor in version.packs.items()}


def _write_version(
    product: Product, number: int, fields: dict[str, Any], by: Actor, at: datetime.datetime | None
) -> ProductVersion:
    version = ProductVersion.objects.create(
        product=product, number=number, by=by.user, at=at or timezone.now(), **fields
    )
    product.current = version
    product.save(update_fields=["current"])
    index_product(product)
    return version


def _gather_version(check: Gather, version: VersionInput, owner: Organisation, base_unit: str) -> dict[str, Any]:
    """The checked fields of a version; what is wrong goes into ``check``."""
    fields: dict[str, Any] = {
        name: check(
            name, clean_text, getattr(version, name), most, name in ("ingredients", "pledge"), required=name == "name"
        )
        for name, most in VERSION_TEXTS.items()
    }
    if version.standard is not None and fields["standard_text"]:
        check.refuse("standard_text", Invalid(_("执行标准只填一处：从目录选择，或填企业标准。"), code="standard_twice"))
    standard = version.standard
    if standard is None:
        standard, grade = _edition(fields["standard_text"], fields["grade"])
        if standard is not None:
            fields |= {"standard_text": "", "grade": grade}
    today = timezone.localdate()
    if standard is not None and standard.ended_on and standard.ended_on <= today:
        check.refuse("standard", Invalid(_("这个版本的标准已废止，请选现行版本。"), code="standard_ended"))
    fields["standard"] = standard
    fields["licence_number"] = (
        check("licence_number", _checked_licence_number, version.licence_number, owner)
        if version.licence_number.strip()
        else ""
    )
    days = version.shelf_life_days
    fields["shelf_life_days"] = (
        None if days is None else check("shelf_life_days", clean_int, days, 1, SHELF_LIFE_MAX_DAYS)
    )
    fields["packs"] = _gather_packs(check, version.packs, base_unit)
    return fields


def _edition(text: str | None, grade: str | None) -> tuple[Standard | None, str]:
    """The edition of the catalogue that a typed standard is, however its number is written: its limits then apply.

    With the grade, which may stand behind the number as labels have it (``GB/T 10781.2-2022 优级``). None where more
    than title and grade stands there (another standard), or another grade than was chosen: that stays as it was typed.
    """
    chosen = (grade or "").strip()
    typed = edition_typed(text or "")
    if typed is None:
        return None, chosen
    edition, words = typed
    said, rest = grade_typed(words)
    if said and chosen.removesuffix("品") not in ("", said):
        return None, chosen
    for row in Standard.objects.filter(number__contains=edition[1]):
        if edition_typed(row.number) == (edition, "") and is_title(rest, row.title):
            return row, chosen or said
    return None, chosen


def _gather_packs(check: Gather, packs: Mapping[str, str], base_unit: str) -> dict[str, str]:
    """Packs as name → exact fraction of base units in one (``"1/2"``); keys of errors are ``packs.<row>``."""
    if len(packs) > PACKS_MAX:
        check.refuse("packs", Invalid(_("包装最多填 %(max)d 种。") % {"max": PACKS_MAX}, code="packs_too_many"))
        return {}
    table: dict[str, str] = {}
    for number, (name, factor) in enumerate(packs.items()):
        key = f"packs.{number}"
        name = check(key, clean_text, name, 10, required=True)
        if name in UNITS:
            check.refuse(key, Invalid(_("包装请用名称，例如 瓶、箱。"), code="pack_name"))
        amount = check(key, _pack_factor, factor, base_unit)
        if key not in check.errors:
            table[name] = str(Fraction(amount, 1_000_000))
    return table


def _pack_factor(factor: object, base_unit: str) -> int:
    """Millionths of the base unit in one pack; accepts the stored form ``"1/2"`` as well as ``"0.5"``."""
    text = clean_text(factor, 40, required=True)
    over, slash, under = text.partition("/")
    if slash and over.isascii() and under.isascii() and over.isdigit() and under.isdigit() and int(under):
        micros = Fraction(int(over), int(under)) * 1_000_000
        if micros.denominator == 1 and 0 < micros <= 10**15:
            return int(micros)
    return parse_amount(text, base_unit, base_unit).micros


def _checked_code(value: object, owner: Organisation) -> str:
    """An organisation's own code for a product: letters, digits and dashes, 20 at most."""
    code = fold_code(value)
    if not code:
        raise Invalid(_("请填写内部编号。"), code="required")
    code = clean_text(code, 20)
    if Product.objects.filter(organisation=owner, code=code).exists():
        raise _code_taken(code)
    return code


def _code_taken(code: str) -> Invalid:
    return Invalid(_("本单位已有编号为 %(code)s 的产品。") % {"code": code}, code="product_code_taken")


def _checked_licence_number(value: object, owner: Organisation) -> str:
    """A production licence that the organisation has entered among its licences."""
    number = normalise_sc_licence(value)
    if not Licence.objects.filter(organisation=owner, kind=Licence.Kind.SC, number=number, ended_at=None).exists():
        raise Invalid(
            _("本单位没有登记编号为 %(number)s 的生产许可证，请先在“证照”里登记。") % {"number": number},
            code="licence_unknown",
        )
    return number


# --- GTIN claims ----------------------------------------------------------------------------------------------------


@transaction.atomic
def claim_gtin(*, row: Product, gtin: str, by: Actor, at: datetime.datetime | None = None) -> Product:
    """Say which GTIN a product carries, or by an empty one that it has none.

    Refuses a GTIN that is confirmed already (``gtin_confirmed``: another GTIN is another product, GS1 GTIN management
    standard), check digit errors, in-house numbers (``gtin_restricted``) and one confirmed for others
    (``gtin_taken``).
    """
    _require_own(by, row.organisation_id)
    if row.gtin_claim == Product.GtinClaim.CONFIRMED:
        raise Clash(_("条码已确认，不能更改。换条码就是新产品，请另行登记。"), code="gtin_confirmed")
    check = Gather()
    number = check("gtin", _checked_gtin, gtin, row.organisation, but=row) if gtin.strip() else None
    check.done()
    claim = Product.GtinClaim.CLAIMED if number else Product.GtinClaim.NONE
    old = row.gtin
    moved = Product.objects.filter(pk=row.pk, gtin_claim=row.gtin_claim, gtin=old).update(gtin=number, gtin_claim=claim)
    if not moved:
        raise StaleState(_("这个产品刚刚被别人更改，请刷新后再试。"))
    row.gtin, row.gtin_claim = number, claim
    log_edit(row=row, organisation=row.organisation, field="gtin", old=old, new=number, by=by.user, public=True, at=at)
    return row


@transaction.atomic
def decide_gtin_claim(
    *, row: Product, confirm: bool, by: Actor, reason: str = "", at: datetime.datetime | None = None
) -> Product:
    """A regulator of the territory confirms that a GTIN is the organisation's, or refuses with a reason
    (``required``).

    Of two products with one GTIN only one can be confirmed (``gtin_taken``). Refuses claims not open
    (``stale_state``).
    """
    require_supervisor(by, row.organisation)
    check = Gather()
    reason = check("reason", clean_text, reason, 500, True, required=not confirm)
    check.done()
    new = Product.GtinClaim.CONFIRMED if confirm else Product.GtinClaim.REFUSED
    try:
        with transaction.atomic():
            moved = Product.objects.filter(pk=row.pk, gtin=row.gtin, gtin_claim=Product.GtinClaim.CLAIMED).update(
                gtin_claim=new
            )
    except IntegrityError as error:
        raise Clash(_("这个条码已确认给另一个产品。"), code="gtin_taken") from error
    if not moved:
        raise StaleState(_("这项条码声明刚刚变了，请刷新后再试。"))
    row.gtin_claim = new
    log_edit(
        row=row,
        organisation=row.organisation,
        field="gtin_claim",
        old=str(Product.GtinClaim.CLAIMED),
        new={"claim": str(new), "reason": reason},
        by=by.user,
        at=at,
    )
    return row


def _checked_gtin(value: object, owner: Organisation, *, but: Product | None = None) -> str:
    """A GTIN-14 that nobody else has confirmed and no other product of the owner carries."""
    gtin = normalise_gtin(value)
    # GS1 General Specifications, figure 1.4.2-1: prefixes 02, 04 and 20–29 are numbers of use inside one company.
    if gtin[1:3] in ("02", "04") or gtin[1] == "2":
        raise Invalid(
            _("这是店内码（以 02、04 或 2 开头），只在一家企业内部有效，不能用作商品条码。没有条码请留空。"),
            code="gtin_restricted",
        )
    others = Product.objects.filter(gtin=gtin)
    others = others.exclude(pk=but.pk) if but else others
    if others.filter(gtin_claim=Product.GtinClaim.CONFIRMED).exists():
        raise Invalid(
            _("这个条码已确认给另一个产品。请核对号码；如果确是本单位的，请联系当地监管部门。"), code="gtin_taken"
        )
    if others.filter(organisation=owner, ended_at=None).exists():
        raise Invalid(_("本单位另一个产品已用这个条码。每种产品、规格要有自己的条码。"), code="gtin_taken")
    return gtin


# --- Certificates ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CertificateInput:
    """A certificate as entered: ``kind`` one of ``Certificate.Kind``; ``product`` where it is for one product only."""

    kind: str
    number: str
    valid_from: datetime.date
    valid_until: datetime.date
    product: Product | None = None


def may_certify(by: Actor, organisation: Organisation) -> bool:
    """Whether the actor grants certificates to this organisation: its supervising regulator, or an association."""
    if by.organisation.status != Organisation.Status.ACTIVE or by.organisation.pk == organisation.pk:
        return False
    return by.organisation.kind == Organisation.Kind.ASSOCIATION or supervises(by, organisation)


@transaction.atomic
def grant_certificate(
    *,
    organisation: Organisation,
    certificate: CertificateInput,
    by: Actor,
    at: datetime.datetime | None = None,
) -> Certificate:
    """An authority enters a certificate it granted; nobody certifies themselves.

    Refuses who is no authority for it (404), ends before it begins (``certificate_dates``), products of others
    (``not_own``), the same number twice (``certificate_number_taken``).
    """
    _require_authority(by, organisation)
    check = Gather()
    if certificate.kind not in Certificate.Kind.values:
        check.refuse("kind", Invalid(_("请从列表中选择证书类型。"), code="certificate_kind"))
    number = check("number", clean_text, certificate.number, 60, required=True)
    if certificate.valid_until < certificate.valid_from:
        check.refuse("valid_until", Invalid(_("有效期止早于有效期起，请核对。"), code="certificate_dates"))
    if certificate.product is not None and certificate.product.organisation_id != organisation.pk:
        check.refuse("product", Invalid(_("这不是该单位的产品。"), code="not_own"))
    same = Certificate.objects.filter(kind=certificate.kind, number=number, revoked_at=None)
    if number and same.exists():
        check.refuse("number", Invalid(_("这个证书编号已经登记。"), code="certificate_number_taken"))
    check.done()
    row = Certificate.objects.create(
        organisation=organisation,
        product=certificate.product,
        kind=certificate.kind,
        number=number,
        granted_by=by.organisation,
        valid_from=certificate.valid_from,
        valid_until=certificate.valid_until,
        at=at or timezone.now(),
    )
    log_edit(
        row=row,
        organisation=organisation,
        field="granted",
        old=None,
        new={"kind": certificate.kind, "number": number},
        by=by.user,
        public=True,
        at=at,
    )
    return row


@transaction.atomic
def revoke_certificate(*, row: Certificate, by: Actor, reason: str, at: datetime.datetime | None = None) -> Certificate:
    """Who granted a certificate takes it back with a reason (``required``); pages drop it with the next request."""
    if row.granted_by_id != by.organisation.pk:
        raise NotFound(_("没有找到，或者您无权查看。"))
    _require_authority(by, row.organisation)
    check = Gather()
    reason = check("reason", clean_text, reason, 500, True, required=True)
    check.done()
    now = at or timezone.now()
    if not Certificate.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=now):
        raise StaleState(_("这份证书已经撤销。"))
    log_edit(
        row=row,
        organisation=row.organisation,
        field="revoked_at",
        old=None,
        new={"at": now.isoformat(), "reason": reason},
        by=by.user,
        public=True,
        at=at,
    )
    row.revoked_at = now
    return row


def _require_authority(by: Actor, organisation: Organisation) -> None:
    if not may_certify(by, organisation):
        raise NotFound(_("没有找到，或者您无权查看。"))
    by.require("officer", "approver", "operator")


# --- Who may, and what places and products share --------------------------------------------------------------------


def _require_worker(by: Actor) -> None:
    """Registry data is entered by members who work with goods; a regulator has none."""
    if by.is_regulator:
        raise NotAllowed(_("监管部门不登记地点和产品。"), code="not_for_regulators")
    by.require("operator", "quality")


def _require_own(by: Actor, organisation_id: int) -> None:
    """404 for what is neither the actor's nor the grower's acted for."""
    if by.owner.pk != organisation_id:
        raise NotFound(_("没有找到，或者您无权查看。"))
    _require_worker(by)


def _end(row: Lasting, owner: Organisation, by: Actor, at: datetime.datetime | None) -> Lasting:
    now = at or timezone.now()
    if not type(row)._default_manager.filter(pk=row.pk, ended_at=None).update(ended_at=now):
        raise StaleState(_("已经停用。"))
    log_edit(row=row, organisation=owner, field="ended_at", old=None, new=now.isoformat(), by=by.user, at=at)
    row.ended_at = now
    return row


def _reopen(row: Lasting, owner: Organisation, by: Actor, at: datetime.datetime | None) -> Lasting:
    old = row.ended_at
    if old is None or not type(row)._default_manager.filter(pk=row.pk, ended_at=old).update(ended_at=None):
        raise StaleState(_("已经在用。"))
    log_edit(row=row, organisation=owner, field="ended_at", old=old.isoformat(), new=None, by=by.user, at=at)
    row.ended_at = None
    return row
