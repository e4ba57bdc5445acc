"""The only doors to trace's objects for an actor, and the audience every route declares.

Who sees what (architecture.md, rule 8): organisations see their own facts; regulators see lots whose producer, holder
or event place lies in their territory; a stranger's object is 404 for everybody else.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import wraps
from typing import Any, Literal, TypeVar

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _

from trace.actor import Actor
from trace.errors import NotAllowed, NotFound, NotSignedIn
from trace.models import (
    ApiKey,
    Certificate,
    Conflict,
    Device,
    Event,
    EventItem,
    FieldEntry,
    HoldSet,
    Invitation,
    Licence,
    Lot,
    LotClaim,
    Membership,
    Organisation,
    Place,
    Product,
    SheetImport,
    Shipment,
    Stock,
    StoredFile,
    TestReport,
    Transfer,
    User,
)
from trace.models.evidence import TestReportQuerySet
from trace.report_questions import serves

Audience = Literal["public", "party", "regulator", "operator", "signed_in"]
View = TypeVar("View", bound=Callable[..., Any])


def audience(who: Audience, *roles: str) -> Callable[[View], View]:
    """Declare and enforce who a view is for; a test walks every route and fails on one without a declaration.

    ``public`` anybody; ``signed_in`` any user; ``party`` a member of a vetted organisation that is no regulator (or,
    with roles, holding one of them); ``regulator`` a member of a regulator; ``operator`` the installation's operators.
    ``party`` and ``regulator`` may be combined by ``audience("signed_in")`` and a door inside.
    """

    def declare(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            admit(request, who, *roles)
            response: HttpResponseBase = view(request, *args, **kwargs)
            return response

        guarded.audience = who  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return declare


def admit(request: HttpRequest, who: Audience, *roles: str) -> None:
    """Let the request pass or raise NotSignedIn (401), NotFound (404, a page not for this kind), NotAllowed (403,
    role).
    """
    if who == "public":
        return
    if not request.user.is_authenticated:
        raise NotSignedIn(_("请先登录。"))
    if who == "signed_in":
        return
    if who == "operator":
        if not request.user.is_staff:
            raise NotFound(_("没有这个页面。"))
        return
    actor = actor_of(request)
    if (who == "party" and actor.is_regulator) or (who == "regulator" and not actor.is_regulator):
        raise NotFound(_("没有这个页面。"))
    if actor.organisation.status != Organisation.Status.ACTIVE:
        raise NotAllowed(_("本单位还没有通过审核，通过后才能办理。"), code="organisation_not_active")
    if roles:
        actor.require(*roles)


def actor_of(request: HttpRequest) -> Actor:
    """The actor of a request; refuses (NotSignedIn, NotAllowed) where there is none."""
    actor: Actor | None = getattr(request, "actor", None)
    if actor is not None:
        return actor
    if not request.user.is_authenticated:
        raise NotSignedIn(_("请先登录。"))
    raise NotAllowed(_("您还没有加入任何单位。请申请入驻，或请本单位负责人邀请您。"), code="no_organisation")


def actor_for_session(request: HttpRequest) -> Actor | None:
    """The actor a signed-in session stands for: the membership chosen (``session['membership']``) or the oldest open
    one.
    """
    if not request.user.is_authenticated:
        return None
    open_ones = Membership.objects.filter(user=request.user, ended_at=None).select_related(
        "organisation", "organisation__division", "user"
    )
    chosen = request.session.get("membership")
    membership = (open_ones.filter(uid=chosen).first() if chosen else None) or open_ones.order_by("id").first()
    if membership is None:
        return None
    actor = Actor(
        organisation=membership.organisation, user=membership.user, role=membership.role, membership=membership
    )
    grower_uid = request.session.get("on_behalf_of")
    grower = growers_entered_for(actor).filter(uid=grower_uid).first() if grower_uid else None
    return replace(actor, on_behalf_of=grower) if grower is not None else actor


def growers_entered_for(actor: Actor) -> QuerySet[Organisation]:
    """Growers an actor may enter for (代录): those of its cooperative, both being vetted, by a worker or the owner."""
    organisation = actor.organisation
    may = organisation.kind == Organisation.Kind.COOPERATIVE and organisation.status == Organisation.Status.ACTIVE
    if not may or not actor.can("operator"):
        return Organisation.objects.none()
    return organisation.growers.filter(status=Organisation.Status.ACTIVE)


def later_actor(user: User | None, organisation: Organisation, owner: Organisation) -> Actor:
    """Who asked for work that the worker does later, with the role they have now.

    Raises NotAllowed (``role_required``) for who has left meanwhile, or may no longer enter for this grower.
    """
    membership = (
        Membership.objects.filter(user=user, organisation=organisation, ended_at=None, user__is_active=True)
        .order_by("id")
        .first()
    )
    if membership is None:
        raise NotAllowed(_("交办的人已不在本单位，没有继续办理。"), code="role_required")
    by = Actor(organisation=organisation, user=user, role=membership.role, membership=membership)
    if owner.pk == organisation.pk:
        return by
    grower = growers_entered_for(by).filter(pk=owner.pk).select_related("division").first()
    if grower is None:
        raise NotAllowed(_("已不能为这位种植户代录，没有继续办理。"), code="role_required")
    return replace(by, on_behalf_of=grower)


def parse_uid(value: str | uuid.UUID) -> uuid.UUID:
    """A UUID from a path; what is none is simply not found."""
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
    except ValueError:
        raise NotFound(_("没有找到，或者您无权查看。")) from None


def _the(queryset: QuerySet[Any], value: str | uuid.UUID) -> Any:
    """The one row with this uid in what the actor may see, or NotFound."""
    row = queryset.filter(uid=parse_uid(value)).first()
    if row is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return row


def entered_for(actor: Actor) -> list[int]:
    """Row numbers of the organisations an actor may write for: its own and, for a cooperative, its growers (代录)."""
    ids = [actor.owner.pk]
    if actor.organisation.kind == Organisation.Kind.COOPERATIVE and actor.on_behalf_of is None:
        ids += list(actor.organisation.growers.values_list("pk", flat=True))
    return ids


def organisations_visible_to(actor: Actor) -> QuerySet[Organisation]:
    """Vetted organisations are public by name; outsiders only for who keeps them; applicants for their regulator."""
    seen = Q(status=Organisation.Status.ACTIVE) | Q(pk=actor.organisation.pk) | Q(kept_by=actor.organisation)
    seen |= Q(kept_by__in=entered_for(actor))
    if actor.is_regulator:
        seen |= Q(division__code__startswith=actor.organisation.territory)
        seen |= Q(kept_by__division__code__startswith=actor.organisation.territory)
    return Organisation.objects.filter(seen)


def organisation_for(actor: Actor, uid: str | uuid.UUID) -> Organisation:
    """One organisation the actor may name."""
    found: Organisation = _the(organisations_visible_to(actor), uid)
    return found


def own_places(actor: Actor) -> QuerySet[Place]:
    """Places the actor may write events at."""
    return Place.objects.filter(organisation__in=entered_for(actor), ended_at=None)


def place_for(actor: Actor, uid: str | uuid.UUID) -> Place:
    """One place of the actor's own."""
    found: Place = _the(own_places(actor), uid)
    return found


def own_products(actor: Actor) -> QuerySet[Product]:
    """Products the actor may make lots of."""
    return Product.objects.filter(organisation__in=entered_for(actor), ended_at=None).select_related("current")


def product_for(actor: Actor, uid: str | uuid.UUID, *, write: bool = False) -> Product:
    """One product: the actor's own to write; a regulator reads those of its territory."""
    rows = own_products(actor)
    if not write and actor.is_regulator:
        rows = Product.objects.filter(
            organisation__division__code__startswith=actor.organisation.territory
        ).select_related("current")
    found: Product = _the(rows, uid)
    return found


def lots_visible_to(actor: Actor) -> QuerySet[Lot]:
    """Lots an actor may open: its own, those of outsiders it keeps, those it holds, held or was sent, those it tested;
    for regulators by territory.
    """
    if actor.is_regulator:
        code = actor.organisation.territory
        return Lot.objects.filter(
            Q(organisation__division__code__startswith=code)
            | Q(origin_place__division__code__startswith=code)
            | Exists(Stock.objects.filter(lot=OuterRef("pk"), organisation__division__code__startswith=code))
            | Exists(EventItem.objects.filter(lot=OuterRef("pk"), event__place__division__code__startswith=code))
        )
    mine = entered_for(actor)
    return Lot.objects.filter(
        Q(organisation__in=mine)
        | Q(is_external=True, organisation__in=Organisation.objects.filter(kept_by__in=mine).values("pk"))
        | Exists(Stock.objects.filter(lot=OuterRef("pk"), organisation__in=mine))
        | Exists(Transfer.objects.filter(lot=OuterRef("pk"), receiver__in=mine))
        | Exists(TestReport.objects.filter(lot=OuterRef("pk"), laboratory__in=mine))
    )


def lot_for(actor: Actor, uid: str | uuid.UUID, *, write: bool = False) -> Lot:
    """One lot the actor may open; ``write`` asks for one it issued or holds stock of."""
    rows = lots_visible_to(actor).select_related("organisation", "product", "product_version", "released_by")
    if write:
        mine = entered_for(actor)
        rows = rows.filter(
            Q(organisation__in=mine) | Exists(Stock.objects.filter(lot=OuterRef("pk"), organisation__in=mine))
        )
    found: Lot = _the(rows, uid)
    return found


def events_visible_to(actor: Actor) -> QuerySet[Event]:
    """Events of the actor's own (entered for or by it, or naming it as the other party); for regulators by
    territory.
    """
    if actor.is_regulator:
        code = actor.organisation.territory
        return Event.objects.filter(
            Q(organisation__division__code__startswith=code)
            | Q(place__division__code__startswith=code)
            | Exists(EventItem.objects.filter(event=OuterRef("pk"), lot__in=lots_visible_to(actor)))
        )
    mine = entered_for(actor)
    return Event.objects.filter(
        Q(organisation__in=mine) | Q(entered_by_organisation=actor.organisation) | Q(counterparty__in=mine)
    )


def event_for(actor: Actor, uid: str | uuid.UUID, *, write: bool = False) -> Event:
    """One event the actor may read; ``write`` asks for one it may declare wrong (its own)."""
    rows = events_visible_to(actor).select_related("organisation", "place", "entered_by", "entered_by_organisation")
    if write:
        rows = rows.filter(Q(organisation__in=entered_for(actor)) | Q(entered_by_organisation=actor.organisation))
    found: Event = _the(rows, uid)
    return found


def shipments_visible_to(actor: Actor) -> QuerySet[Shipment]:
    """Shipments sent or received by the actor; for regulators those with a side in their territory."""
    if actor.is_regulator:
        code = actor.organisation.territory
        return Shipment.objects.filter(
            Q(organisation__division__code__startswith=code) | Q(receiver__division__code__startswith=code)
        )
    mine = entered_for(actor)
    return Shipment.objects.filter(Q(organisation__in=mine) | Q(receiver__in=mine))


def shipment_for(actor: Actor, uid: str | uuid.UUID) -> Shipment:
    """One shipment the actor is a side of (or supervises)."""
    found: Shipment = _the(shipments_visible_to(actor).select_related("organisation", "receiver", "event"), uid)
    return found


def conflicts_visible_to(actor: Actor) -> QuerySet[Conflict]:
    """Conflicts of the actor's own facts; for regulators those of their territory."""
    if actor.is_regulator:
        return Conflict.objects.filter(organisation__division__code__startswith=actor.organisation.territory)
    return Conflict.objects.filter(organisation__in=entered_for(actor))


def claims_visible_to(actor: Actor) -> QuerySet[LotClaim]:
    """Claims that two lots are one, of which the actor is a side; for regulators with a side in their territory."""
    rows = LotClaim.objects.select_related(
        "external__product_version", "external__product", "lot__product_version", "lot__product", "claimant", "supplier"
    )
    if actor.is_regulator:
        code = actor.organisation.territory
        return rows.filter(Q(claimant__division__code__startswith=code) | Q(supplier__division__code__startswith=code))
    mine = entered_for(actor)
    return rows.filter(Q(claimant__in=mine) | Q(supplier__in=mine))


def claim_for(actor: Actor, uid: str | uuid.UUID) -> LotClaim:
    """One claim the actor may see; answering it is for the supplier, withdrawing it for the claimant."""
    found: LotClaim = _the(claims_visible_to(actor).select_related("event"), uid)
    return found


def taken_in_lot_for(actor: Actor, uid: str | uuid.UUID) -> Lot:
    """One external lot the actor itself wrote down when it took the goods in."""
    rows = Lot.objects.filter(is_external=True, origin_event__organisation__in=entered_for(actor))
    found: Lot = _the(
        rows.select_related("organisation__registered_as", "product", "product_version", "origin_event"), uid
    )
    return found


def outsiders_of(actor: Actor) -> QuerySet[Organisation]:
    """Buyers and suppliers outside the system that the actor's organisation (or its growers) wrote down."""
    rows = Organisation.objects.filter(status=Organisation.Status.EXTERNAL, kept_by__in=entered_for(actor))
    return rows.select_related("division", "registered_as", "kept_by")


def outsider_for(actor: Actor, uid: str | uuid.UUID) -> Organisation:
    """One outsider the actor keeps."""
    found: Organisation = _the(outsiders_of(actor), uid)
    return found


def holds_visible_to(actor: Actor) -> QuerySet[HoldSet]:
    """Holds set by the actor or on lots it may see."""
    return HoldSet.objects.filter(
        Q(organisation__in=entered_for(actor)) | Q(members__lot__in=lots_visible_to(actor))
    ).distinct()


def hold_for(actor: Actor, uid: str | uuid.UUID) -> HoldSet:
    """One hold the actor may see."""
    found: HoldSet = _the(holds_visible_to(actor), uid)
    return found


def supervises(actor: Actor, organisation: Organisation) -> bool:
    """Whether a regulator's territory covers this organisation."""
    return actor.is_regulator and organisation.division_id.startswith(actor.organisation.territory)


# --- Organisations, people, registry: what their pages and API open -------------------------------------------------


def grower_for(actor: Actor, uid: str | uuid.UUID) -> Organisation:
    """One grower of the actor's cooperative."""
    rows = actor.organisation.growers.all() if actor.organisation.kind == "cooperative" else Organisation.objects.none()
    found: Organisation = _the(rows.select_related("division"), uid)
    return found


def organisations_supervised_by(actor: Actor) -> QuerySet[Organisation]:
    """Organisations of a regulator's territory in any state, outsiders and regulators left out."""
    if not actor.is_regulator:
        return Organisation.objects.none()
    rows = Organisation.objects.in_territory(actor.organisation.territory).select_related("division", "cooperative")
    return rows.exclude(kind=Organisation.Kind.REGULATOR).exclude(status=Organisation.Status.EXTERNAL)


def supervised_for(actor: Actor, uid: str | uuid.UUID) -> Organisation:
    """One organisation of the regulator's territory."""
    found: Organisation = _the(organisations_supervised_by(actor), uid)
    return found


def members_of(actor: Actor) -> QuerySet[Membership]:
    """The open memberships of the actor's organisation."""
    return Membership.objects.filter(organisation=actor.organisation, ended_at=None).select_related(
        "user", "organisation"
    )


def member_for(actor: Actor, uid: str | uuid.UUID) -> Membership:
    """One member of the actor's organisation."""
    found: Membership = _the(members_of(actor), uid)
    return found


def invitation_for(actor: Actor, uid: str | uuid.UUID) -> Invitation:
    """One invitation of the actor's organisation."""
    found: Invitation = _the(Invitation.objects.filter(organisation=actor.organisation), uid)
    return found


def keys_of(actor: Actor) -> QuerySet[ApiKey]:
    """The API keys of the actor's organisation, revoked ones too."""
    return ApiKey.objects.filter(organisation=actor.organisation).select_related("created_by")


def key_for(actor: Actor, uid: str | uuid.UUID) -> ApiKey:
    """One API key of the actor's organisation."""
    found: ApiKey = _the(keys_of(actor), uid)
    return found


def licence_for(actor: Actor, uid: str | uuid.UUID) -> Licence:
    """One licence of the organisation acted for."""
    found: Licence = _the(Licence.objects.filter(organisation=actor.owner).select_related("organisation"), uid)
    return found


def places_readable_by(actor: Actor) -> QuerySet[Place]:
    """Places of the actor's own, ended ones too; for regulators those in their territory."""
    rows = Place.objects.select_related("organisation", "division")
    if actor.is_regulator:
        code = actor.organisation.territory
        return rows.filter(Q(division__code__startswith=code) | Q(organisation__division__code__startswith=code))
    return rows.filter(organisation__in=entered_for(actor))


def place_readable_for(actor: Actor, uid: str | uuid.UUID) -> Place:
    """One place the actor may read; what may be changed is for the action."""
    found: Place = _the(places_readable_by(actor), uid)
    return found


def products_readable_by(actor: Actor) -> QuerySet[Product]:
    """Products of the actor's own, ended ones too; for regulators those of organisations in their territory."""
    rows = Product.objects.select_related("organisation", "organisation__division", "current", "current__standard")
    if actor.is_regulator:
        return rows.filter(organisation__division__code__startswith=actor.organisation.territory)
    return rows.filter(organisation__in=entered_for(actor))


def product_readable_for(actor: Actor, uid: str | uuid.UUID) -> Product:
    """One product the actor may read; what may be changed is for the action."""
    found: Product = _the(products_readable_by(actor), uid)
    return found


def certificates_visible_to(actor: Actor) -> QuerySet[Certificate]:
    """Certificates the actor's organisation holds or granted; for regulators those of their territory."""
    seen = Q(organisation__in=entered_for(actor)) | Q(granted_by=actor.organisation)
    if actor.is_regulator:
        seen |= Q(organisation__division__code__startswith=actor.organisation.territory)
    return Certificate.objects.filter(seen).select_related("organisation", "product__current", "granted_by")


def certificate_for(actor: Actor, uid: str | uuid.UUID) -> Certificate:
    """One certificate the actor may see."""
    found: Certificate = _the(certificates_visible_to(actor), uid)
    return found


def reports_visible_to(actor: Actor) -> TestReportQuerySet:
    """Test reports of lots the actor may open, and those it recorded or issued itself."""
    mine = entered_for(actor)
    return TestReport.objects.filter(
        Q(lot__in=lots_visible_to(actor)) | Q(organisation__in=mine) | Q(laboratory__in=mine)
    )


_REPORT_PARTS = ("lot__product", "lot__product_version", "organisation", "laboratory", "event")


def report_for(actor: Actor, uid: str | uuid.UUID) -> TestReport:
    """One test report the actor may read."""
    found: TestReport = _the(reports_visible_to(actor).select_related(*_REPORT_PARTS), uid)
    return found


def report_through(actor: Actor, uid: str | uuid.UUID, lot: Lot) -> TestReport:
    """One test report on a lot that went into ``lot``, which came through ``lot_for`` (一次检验、结果互认).

    The report is read downstream; the tested lot itself stays closed to who may not open it.
    """
    found: TestReport = _the(TestReport.objects.select_related(*_REPORT_PARTS), uid)
    if not serves(found, [lot]):
        raise NotFound(_("没有找到，或者您无权查看。"))
    return found


def conflict_for(actor: Actor, uid: str | uuid.UUID) -> Conflict:
    """One conflict the actor may read; answering it is for who recorded the fact."""
    rows = conflicts_visible_to(actor).select_related("event", "organisation", "lot__product", "answered_by")
    found: Conflict = _the(rows, uid)
    return found


def files_visible_to(actor: Actor) -> QuerySet[StoredFile]:
    """Files the actor's organisation keeps, those of test reports it may read; for regulators those of their
    territory.
    """
    reports = TestReport.objects.filter(file=OuterRef("pk"), pk__in=reports_visible_to(actor))
    seen = Q(organisation__in=entered_for(actor)) | Q(Exists(reports))
    if actor.is_regulator:
        seen |= Q(organisation__division__code__startswith=actor.organisation.territory)
    return StoredFile.objects.filter(seen)


def file_for(actor: Actor, uid: str | uuid.UUID) -> StoredFile:
    """One file the actor may open."""
    found: StoredFile = _the(files_visible_to(actor), uid)
    return found


def loose_files_of(actor: Actor, uids: Iterable[str]) -> list[StoredFile]:
    """Files just uploaded by the actor's organisation that no event has yet, in this order; others are left out."""
    wanted = [parse_uid(uid) for uid in uids]
    rows = StoredFile.objects.filter(organisation=actor.owner, event=None, uid__in=wanted)
    found = {row.uid: row for row in rows}
    return [found[uid] for uid in wanted if uid in found]


# --- Devices in the field -------------------------------------------------------------------------------------------


def device_of(user: User, uid: str | uuid.UUID) -> Device:
    """The device a person sends entries from: their own, whether revoked or not."""
    rows = Device.objects.filter(user=user).select_related("organisation__division", "user")
    found: Device = _the(rows, uid)
    return found


def devices_of(actor: Actor) -> QuerySet[Device]:
    """The devices of the actor's organisation."""
    return Device.objects.filter(organisation=actor.organisation).select_related("user", "organisation")


def device_for(actor: Actor, uid: str | uuid.UUID) -> Device:
    """One device of the actor's organisation."""
    found: Device = _the(devices_of(actor), uid)
    return found


def kept_entries_of(actor: Actor) -> QuerySet[FieldEntry]:
    """Entries kept for review in the actor's organisation, decided ones too."""
    rows = FieldEntry.objects.filter(organisation=actor.organisation).exclude(code="")
    return rows.select_related("user", "device", "on_behalf_of", "kept", "event", "decided_by", "organisation")


def kept_entry_for(actor: Actor, uid: str | uuid.UUID) -> FieldEntry:
    """One entry kept for review in the actor's organisation."""
    found: FieldEntry = _the(kept_entries_of(actor), uid)
    return found


def imports_visible_to(actor: Actor) -> QuerySet[SheetImport]:
    """Sheets uploaded for the organisation acted for; regulators import none."""
    rows = SheetImport.objects.filter(organisation=actor.organisation, owner=actor.owner)
    return rows.select_related("by", "owner", "organisation")


def import_for(actor: Actor, uid: str | uuid.UUID) -> SheetImport:
    """One uploaded sheet of the actor's organisation."""
    found: SheetImport = _the(imports_visible_to(actor), uid)
    return found
