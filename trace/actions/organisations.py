"""How organisations come in and are vetted, what they say of themselves, and the growers of a cooperative."""

from __future__ import annotations

import datetime
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.access import supervises
from trace.actions.names import index_organisation
from trace.actions.people import (
    IssuedInvitation,
    NewLogin,
    add_member,
    create_login,
    issue_invitation,
    issue_sign_in_card,
)
from trace.actor import Actor
from trace.edits import log_changes, log_edit, log_personal
from trace.errors import FieldErrors, Invalid, NotAllowed, NotFound, StaleState
from trace.gather import Gather, unique
from trace.identifiers import normalise_cma, normalise_sc_licence, normalise_uscc
from trace.models import Division, Licence, Membership, Organisation, OrganisationStep, User
from trace.text import clean_text

T = TypeVar("T")
Status = Organisation.Status
Kind = Organisation.Kind
Level = Organisation.Level

APPLICANT_KINDS = tuple(kind for kind in Kind if kind != Kind.REGULATOR)
"""Who may apply. Regulators are set up by the installation's operator."""

MOVES: dict[tuple[str, str], str] = {
    (Status.APPLIED, Status.ACTIVE): "regulator",
    (Status.APPLIED, Status.REFUSED): "regulator",
    (Status.REFUSED, Status.APPLIED): "owner",
    (Status.ACTIVE, Status.SUSPENDED): "regulator",
    (Status.SUSPENDED, Status.ACTIVE): "regulator",
}
"""Every step an organisation's admission can take, and who takes it."""

PUBLIC_FIELDS = frozenset({"name", "name_en", "address", "uscc"})
_PHONE = re.compile(r"\+?[0-9][0-9 ()-]{4,30}(?:转[0-9]{1,6})?")


@dataclass(frozen=True)
class LicenceInput:
    """A licence as entered: ``kind`` one of ``Licence.Kind``."""

    kind: str
    number: str
    issued_by: str = ""
    valid_until: datetime.date | None = None


@dataclass(frozen=True)
class RecallContact:
    """Whom to reach when goods must be stopped."""

    name: str
    phone: str
    email: str = ""


@dataclass(frozen=True)
class Application:
    """What an organisation hands in to be admitted, with the first person's login."""

    name: str
    kind: str
    uscc: str
    division: Division
    login: NewLogin
    name_en: str = ""
    address: str = ""
    licences: Sequence[LicenceInput] = field(default_factory=tuple)
    contact: RecallContact | None = None


@dataclass(frozen=True)
class Profile:
    """What an organisation may change about itself."""

    name: str
    name_en: str = ""
    address: str = ""


# --- Admission ------------------------------------------------------------------------------------------------------


@transaction.atomic
def apply_for_admission(*, application: Application, at: datetime.datetime | None = None) -> Organisation:
    """A stranger's organisation asks to be let in; a regulator of its territory decides.

    Writes the organisation (待审核), its licences and its first owner. Refuses (``FieldErrors``): blank names, a wrong
    USCC (``uscc_…``), one already in use (``uscc_taken``), wrong licence numbers (``sc_…``, ``cma_shape``; keys
    ``licences.0.number`` …), login errors; regulators (``kind_not_here``).
    """
    check = Gather()
    if application.kind not in [str(kind) for kind in APPLICANT_KINDS]:
        check.refuse("kind", Invalid(_("请从列表中选择单位类型。"), code="kind_not_here"))
    name = check("name", clean_text, application.name, 120, required=True)
    name_en = check("name_en", clean_text, application.name_en, 160)
    uscc = check("uscc", normalise_uscc, application.uscc)
    address = check("address", clean_text, application.address, 200)
    for number, licence in enumerate(application.licences):
        gather_as(check, f"licences.{number}", partial(_checked_licence, licence))
    contact = application.contact or RecallContact("", "")
    if application.contact is not None:
        contact = gather_as(check, "contact", partial(checked_contact, contact))
    if uscc and _uscc_taken(uscc):
        check.refuse("uscc", _taken(uscc))
    user = gather_as(check, "login", lambda: create_login(login=application.login))
    check.done()
    with unique("uscc", _taken(uscc)):
        organisation = Organisation.objects.create(
            name=name,
            name_en=name_en,
            kind=application.kind,
            status=Status.APPLIED,
            uscc=uscc,
            division=application.division,
            address=address,
            recall_contact_name=contact.name,
            recall_contact_phone=contact.phone,
            recall_contact_email=contact.email,
            created_at=at or timezone.now(),
        )
    index_organisation(organisation)
    add_member(organisation=organisation, user=user, role=Membership.Role.OWNER, at=at)
    for number, licence in enumerate(application.licences):
        try:
            _write_licence(organisation, _checked_licence(licence), user, at)
        except FieldErrors as error:
            placed = {f"licences.{number}.{key}": taken for key, taken in error.fields.items()}
            raise FieldErrors(error.message, placed) from error
    _step(organisation, "", Status.APPLIED, user, None, "", at)
    return organisation


def admit_organisation(
    *, organisation: Organisation, by: Actor, reason: str = "", at: datetime.datetime | None = None
) -> Organisation:
    """A regulator of the territory admits an applicant; the organisation can act with the next request."""
    return _move(organisation, Status.APPLIED, Status.ACTIVE, by, reason, at)


def refuse_organisation(
    *, organisation: Organisation, by: Actor, reason: str, at: datetime.datetime | None = None
) -> Organisation:
    """A regulator of the territory refuses an applicant and says why (``required``); its USCC is free again."""
    return _move(organisation, Status.APPLIED, Status.REFUSED, by, reason, at, reason_required=True)


@transaction.atomic
def apply_again(
    *,
    organisation: Organisation,
    by: Actor,
    reason: str = "",
    uscc: str = "",
    at: datetime.datetime | None = None,
) -> Organisation:
    """A refused applicant has put right what was missing, perhaps its ``uscc``, and asks again.

    Refuses a wrong USCC or one that is in use by now (``uscc_taken``, under the field ``uscc``).
    """
    check = Gather()
    code = check("uscc", normalise_uscc, uscc or organisation.uscc)
    if code and _uscc_taken(code, but=organisation):
        check.refuse("uscc", _taken(code))
    check.done()
    organisation = _move(organisation, Status.REFUSED, Status.APPLIED, by, reason, at)
    log_changes(
        row=organisation,
        organisation=organisation,
        changes={"uscc": code},
        by=by.user,
        public=PUBLIC_FIELDS,
        at=at,
    )
    index_organisation(organisation)
    return organisation


def suspend_organisation(
    *, organisation: Organisation, by: Actor, reason: str, at: datetime.datetime | None = None
) -> Organisation:
    """A regulator of the territory stops an organisation from acting, with a reason. What it recorded stays."""
    return _move(organisation, Status.ACTIVE, Status.SUSPENDED, by, reason, at, reason_required=True)


def resume_organisation(
    *, organisation: Organisation, by: Actor, reason: str, at: datetime.datetime | None = None
) -> Organisation:
    """A regulator of the territory lets a suspended organisation act again, with a reason."""
    return _move(organisation, Status.SUSPENDED, Status.ACTIVE, by, reason, at, reason_required=True)


@transaction.atomic
def _move(
    organisation: Organisation,
    old: str,
    new: str,
    by: Actor,
    reason: str,
    at: datetime.datetime | None,
    *,
    reason_required: bool = False,
) -> Organisation:
    """One step of ``MOVES`` by compare-and-swap, with its step row and log line."""
    if MOVES[old, new] == "owner":
        if by.organisation.pk != organisation.pk:
            raise NotFound(_("没有找到，或者您无权查看。"))
        by.require(Membership.Role.OWNER)
    else:
        require_supervisor(by, organisation)
    check = Gather()
    reason = check("reason", clean_text, reason, 500, True, required=reason_required)
    check.done()
    if not Organisation.objects.filter(pk=organisation.pk, status=old).update(status=new):
        raise StaleState(_("这个单位的状态刚刚变了，请刷新后再试。"))
    organisation.status = new
    _step(organisation, old, new, by.user, by.organisation, reason, at)
    return organisation


def require_supervisor(by: Actor, organisation: Organisation) -> None:
    """Refuse (404) who is no regulator of this territory, and (403) regulators' viewers. Regulators are not vetted."""
    if not supervises(by, organisation) or organisation.kind == Kind.REGULATOR:
        raise NotFound(_("没有找到，或者您无权查看。"))
    by.require(Membership.Role.OFFICER, Membership.Role.APPROVER)


def _step(
    organisation: Organisation,
    old: str,
    new: str,
    user: User | None,
    by: Organisation | None,
    reason: str,
    at: datetime.datetime | None,
) -> None:
    OrganisationStep.objects.create(
        organisation=organisation,
        old=old,
        new=new,
        by=user,
        by_organisation=by,
        reason=reason,
        at=at or timezone.now(),
    )
    log_edit(row=organisation, organisation=organisation, field="status", old=old or None, new=str(new), by=user, at=at)


def _uscc_taken(uscc: str, *, but: Organisation | None = None) -> bool:
    """Whether an applicant or member has this code; outsiders' and refused ones do not count (as in the constraint)."""
    rows = Organisation.objects.filter(uscc=uscc).exclude(status__in=[Status.EXTERNAL, Status.REFUSED])
    return (rows.exclude(pk=but.pk) if but else rows).exists()


def _taken(uscc: str) -> Invalid:
    return Invalid(
        _("统一社会信用代码 %(uscc)s 已经申请或入驻。请找本单位同事发邀请；如果不是本单位登记的，请联系当地监管部门。")
        % {"uscc": uscc},
        code="uscc_taken",
    )


def gather_as(check: Gather, prefix: str, run: Callable[[], T]) -> T:
    """Run a check that gathers errors of its own and keep them under a prefix; as with ``Gather``, ``done`` comes
    next.
    """
    try:
        return run()
    except FieldErrors as error:
        for key, wrong in error.fields.items():
            check.refuse(f"{prefix}.{key}", wrong)
        return cast(T, None)


# --- Regulators (set up by the installation's operator) -------------------------------------------------------------


@dataclass(frozen=True)
class NewRegulator:
    """A regulator with its two first invitations: one for who approves, one for who works the cases."""

    organisation: Organisation
    approver: IssuedInvitation
    officer: IssuedInvitation


def territory_of(division: Division) -> str:
    """The prefix that the codes of everything inside a division share: the code without trailing pairs of zeros."""
    code = division.code
    while len(code) > 2 and code.endswith("00"):
        code = code[:-2]
    return code


def level_of(division: Division) -> str:
    """The level of a regulator for this division: by the length of the prefix. Empty below the county."""
    return {2: Level.PROVINCE, 4: Level.PREFECTURE, 6: Level.COUNTY}.get(len(territory_of(division)), Level.NONE)


@transaction.atomic
def create_regulator(
    *,
    by: User,
    name: str,
    division: Division,
    name_en: str = "",
    uscc: str = "",
    address: str = "",
    approver_name: str = "",
    officer_name: str = "",
    at: datetime.datetime | None = None,
) -> NewRegulator:
    """Set up a regulator for a county, prefecture or province, with invitations for its first two people.

    Level and territory follow from the division. Only an operator of the installation (NotAllowed,
    ``operator_required``). Refuses (``FieldErrors``): a township (``division_too_small``), a wrong or used USCC.
    """
    if not by.is_staff:
        raise NotAllowed(_("只有系统运维人员可以登记监管部门。"), code="operator_required")
    check = Gather()
    name = check("name", clean_text, name, 120, required=True)
    name_en = check("name_en", clean_text, name_en, 160)
    code = check("uscc", normalise_uscc, uscc) if uscc.strip() else None
    if code and _uscc_taken(code):
        check.refuse("uscc", _taken(code))
    address = check("address", clean_text, address, 200)
    level = level_of(division)
    if not level:
        check.refuse(
            "division", Invalid(_("监管部门的辖区须是县、市或省，不能是乡镇街道。"), code="division_too_small")
        )
    check("approver_name", clean_text, approver_name, 60)
    check("officer_name", clean_text, officer_name, 60)
    check.done()
    with unique("uscc", _taken(code or "")):
        organisation = Organisation.objects.create(
            name=name,
            name_en=name_en,
            kind=Kind.REGULATOR,
            status=Status.ACTIVE,
            uscc=code,
            division=division,
            address=address,
            level=level,
            territory=territory_of(division),
            created_at=at or timezone.now(),
        )
    index_organisation(organisation)
    _step(organisation, "", Status.ACTIVE, by, None, "", at)
    approver, officer = (
        issue_invitation(organisation=organisation, role=role, created_by=by, display_name=who, at=at)
        for role, who in ((Membership.Role.APPROVER, approver_name), (Membership.Role.OFFICER, officer_name))
    )
    return NewRegulator(organisation, approver, officer)


# --- Growers and outsiders ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NewGrower:
    """A grower with the card by which they sign in for the first time."""

    organisation: Organisation
    membership: Membership
    card: IssuedInvitation


@transaction.atomic
def register_grower(
    *,
    by: Actor,
    name: str,
    division: Division,
    address: str = "",
    phone: str = "",
    uscc: str = "",
    at: datetime.datetime | None = None,
) -> NewGrower:
    """A cooperative registers one of its growers, who is active at once under the cooperative's responsibility.

    The grower needs neither e-mail nor password: the card signs in. Refuses others than a cooperative's clerk or
    owner (``cooperative_required``), names the cooperative has already (``grower_name_taken``), a wrong or used USCC.
    """
    cooperative = by.organisation
    if cooperative.kind != Kind.COOPERATIVE or cooperative.status != Status.ACTIVE or by.on_behalf_of is not None:
        raise NotAllowed(_("只有已入驻的合作社可以登记种植户。"), code="cooperative_required")
    by.require(Membership.Role.OWNER, Membership.Role.OPERATOR)
    check = Gather()
    name = check("name", clean_text, name, 60, required=True)
    if name and cooperative.growers.filter(name=name).exists():
        check.refuse(
            "name",
            Invalid(_("本社已有叫“%(name)s”的种植户，请加村名或排行区分。") % {"name": name}, code="grower_name_taken"),
        )
    code = check("uscc", normalise_uscc, uscc) if uscc.strip() else None
    if code and _uscc_taken(code):
        check.refuse("uscc", _taken(code))
    address = check("address", clean_text, address, 200)
    phone = check("phone", checked_phone, phone) if phone.strip() else ""
    check.done()
    with unique("uscc", _taken(code or "")):
        grower = Organisation.objects.create(
            name=name,
            kind=Kind.GROWER,
            status=Status.ACTIVE,
            uscc=code,
            division=division,
            address=address,
            recall_contact_name=name,
            recall_contact_phone=phone or cooperative.recall_contact_phone,
            cooperative=cooperative,
            created_at=at or timezone.now(),
        )
    index_organisation(grower)
    _step(grower, "", Status.ACTIVE, by.user, cooperative, "", at)
    user = User.objects.create_user(f"grower-{secrets.token_hex(5)}", display_name=name)  # no usable password
    membership = add_member(organisation=grower, user=user, role=Membership.Role.OWNER, at=at)
    card = issue_sign_in_card(by=by, grower=grower, at=at)
    return NewGrower(grower, membership, card)


@transaction.atomic
def keep_external(
    *,
    by: Actor,
    name: str,
    kind: str,
    division: Division,
    address: str = "",
    contact: RecallContact | None = None,
    uscc: str = "",
    at: datetime.datetime | None = None,
) -> Organisation:
    """Write down a buyer or supplier who does not use the system, so that a recall can reach them.

    Repeating it with the same name gives the same party, its details brought up to date. Refuses (``FieldErrors``):
    no name; neither an address nor a contact (``contact_required``): nobody could be told; a wrong USCC.
    """
    by.require(Membership.Role.OPERATOR)
    check = Gather()
    if kind not in [str(allowed) for allowed in APPLICANT_KINDS]:
        check.refuse("kind", Invalid(_("请从列表中选择单位类型。"), code="kind_not_here"))
    name = check("name", clean_text, name, 120, required=True)
    address = check("address", clean_text, address, 200)
    code = check("uscc", normalise_uscc, uscc) if uscc.strip() else None
    reach = RecallContact("", "")
    if contact is not None and (contact.name or contact.phone or contact.email):
        reach = gather_as(check, "contact", partial(checked_contact, contact, phone_required=False))
    if not check.errors and not (address or reach.phone or reach.email):
        check.refuse(
            "address", Invalid(_("请填地址、电话或邮箱中的一项，召回时才能通知到对方。"), code="contact_required")
        )
    check.done()
    details = {
        "kind": kind,
        "uscc": code,
        "division": division,
        "address": address,
        "recall_contact_name": reach.name,
        "recall_contact_phone": reach.phone,
        "recall_contact_email": reach.email,
    }
    kept, _created = Organisation.objects.update_or_create(
        kept_by=by.owner,
        name=name,
        status=Status.EXTERNAL,
        defaults=details,
        create_defaults={**details, "created_at": at or timezone.now()},
    )
    index_organisation(kept)
    return kept


# --- What an organisation says of itself ----------------------------------------------------------------------------


@transaction.atomic
def edit_profile(
    *, organisation: Organisation, profile: Profile, by: Actor, at: datetime.datetime | None = None
) -> Organisation:
    """The owner changes name, English name or address; each change is logged and a former name kept."""
    require_head_of(by, organisation)
    check = Gather()
    name = check("name", clean_text, profile.name, 120, required=True)
    name_en = check("name_en", clean_text, profile.name_en, 160)
    address = check("address", clean_text, profile.address, 200)
    check.done()
    organisation = Organisation.objects.select_for_update().get(pk=organisation.pk)
    if name != organisation.name and organisation.name not in organisation.former_names:
        organisation.former_names = [*organisation.former_names, organisation.name]
        organisation.save(update_fields=["former_names"])
    log_changes(
        row=organisation,
        organisation=organisation,
        changes={"name": name, "name_en": name_en, "address": address},
        by=by.user,
        public=PUBLIC_FIELDS,
        at=at,
    )
    index_organisation(organisation)
    return organisation


@transaction.atomic
def set_recall_contact(
    *, organisation: Organisation, contact: RecallContact, by: Actor, at: datetime.datetime | None = None
) -> Organisation:
    """Name the person to reach in a recall. The log keeps old and new words sealed, since they are personal data."""
    require_head_of(by, organisation)
    contact = checked_contact(contact)
    organisation = Organisation.objects.select_for_update().get(pk=organisation.pk)
    changes = {
        "recall_contact_name": contact.name,
        "recall_contact_phone": contact.phone,
        "recall_contact_email": contact.email,
    }
    changed = [name for name, new in changes.items() if getattr(organisation, name) != new]
    for name in changed:
        log_personal(
            row=organisation,
            organisation=organisation,
            field=name,
            old=getattr(organisation, name),
            new=changes[name],
            by=by.user,
            at=at,
        )
        setattr(organisation, name, changes[name])
    if changed:
        organisation.save(update_fields=changed)
    return organisation


def require_head_of(by: Actor, organisation: Organisation) -> None:
    """Refuse who does not answer for this organisation: its owner or approver, or the clerk acting for this grower."""
    if by.owner.pk != organisation.pk:
        raise NotFound(_("没有找到，或者您无权查看。"))
    if by.on_behalf_of is not None:
        by.require(Membership.Role.OWNER, Membership.Role.OPERATOR)
    else:
        by.require(Membership.Role.OWNER, Membership.Role.APPROVER)


def checked_phone(value: object) -> str:
    """A telephone number as people write it: digits, spaces, brackets, dashes, + in front, 转 and an extension.

    Raises Invalid ``phone_shape``.
    """
    phone = clean_text(value, 40)
    if not _PHONE.fullmatch(phone):
        raise Invalid(_("请填电话号码，例如 0358-7220000 或 13800000000。"), code="phone_shape")
    return phone


def checked_email(value: object) -> str:
    """An e-mail address, or empty. Raises Invalid ``email_shape``."""
    email = clean_text(value, 254)
    if email:
        try:
            validate_email(email)
        except ValidationError as error:
            raise Invalid(_("邮箱地址不完整，例如 name@example.cn。"), code="email_shape") from error
    return email


def checked_contact(contact: RecallContact, *, phone_required: bool = True) -> RecallContact:
    check = Gather()
    name = check("name", clean_text, contact.name, 60, required=phone_required)
    phone = check("phone", checked_phone, contact.phone) if phone_required or contact.phone.strip() else ""
    email = check("email", checked_email, contact.email)
    check.done()
    return RecallContact(name, phone, email)


# --- Licences -------------------------------------------------------------------------------------------------------


@transaction.atomic
def add_licence(
    *, organisation: Organisation, licence: LicenceInput, by: Actor, at: datetime.datetime | None = None
) -> Licence:
    """Enter a licence; one that was ended comes back to life under the same number.

    Refuses (``FieldErrors``): a wrong number (``sc_…``, ``cma_shape``), a date that has passed (``licence_lapsed``),
    a production licence number that another organisation has (``licence_taken``).
    """
    require_head_of(by, organisation)
    return _write_licence(organisation, _checked_licence(licence, at=at), by.user, at)


@transaction.atomic
def end_licence(*, licence: Licence, by: Actor, at: datetime.datetime | None = None) -> Licence:
    """Say that a licence is no longer held. Refuses one that has ended (``stale_state``)."""
    require_head_of(by, licence.organisation)
    now = at or timezone.now()
    if not Licence.objects.filter(pk=licence.pk, ended_at=None).update(ended_at=now):
        raise StaleState(_("这份证照已经注销。"))
    log_edit(
        row=licence,
        organisation=licence.organisation,
        field="ended_at",
        old=None,
        new=now.isoformat(),
        by=by.user,
        public=True,
        at=at,
    )
    licence.ended_at = now
    return licence


def _checked_licence(licence: LicenceInput, *, at: datetime.datetime | None = None) -> LicenceInput:
    check = Gather()
    number = licence.number
    if licence.kind == Licence.Kind.SC:
        number = check("number", normalise_sc_licence, licence.number)
    elif licence.kind == Licence.Kind.CMA:
        number = check("number", normalise_cma, licence.number)
    elif licence.kind == Licence.Kind.OTHER:
        number = check("number", clean_text, licence.number, 40, required=True)
    else:
        check.refuse("kind", Invalid(_("请从列表中选择证照类型。"), code="licence_kind"))
    issued_by = check("issued_by", clean_text, licence.issued_by, 120)
    today = timezone.localdate(at or timezone.now())
    if licence.valid_until is not None and licence.valid_until < today:
        check.refuse("valid_until", Invalid(_("有效期已过，请填现行证照的有效期。"), code="licence_lapsed"))
    check.done()
    return LicenceInput(licence.kind, number, issued_by, licence.valid_until)


def _write_licence(
    organisation: Organisation, licence: LicenceInput, user: User | None, at: datetime.datetime | None
) -> Licence:
    if licence.kind != Licence.Kind.OTHER:
        elsewhere = Licence.objects.filter(kind=licence.kind, number=licence.number, ended_at=None)
        elsewhere = elsewhere.exclude(organisation=organisation).exclude(organisation__status=Status.REFUSED)
        if elsewhere.exists():
            taken = Invalid(_("这个证照编号已由另一家单位登记，请核对编号。"), code="licence_taken")
            raise FieldErrors(taken.message, {"number": taken})
    row, _created = Licence.objects.update_or_create(
        organisation=organisation,
        kind=licence.kind,
        number=licence.number,
        defaults={"issued_by": licence.issued_by, "valid_until": licence.valid_until, "ended_at": None},
    )
    log_edit(
        row=row,
        organisation=organisation,
        field="licence",
        old=None,
        new={
            "kind": str(licence.kind),
            "number": licence.number,
            "valid_until": licence.valid_until.isoformat() if licence.valid_until else None,
        },
        by=user,
        public=True,
        at=at,
    )
    return row
