"""Keeping the list of buyers and suppliers outside the system, and saying who of them joined it later."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from functools import partial

from django.db import transaction
from django.utils.translation import gettext as _

from trace.access import entered_for
from trace.actions.organisations import APPLICANT_KINDS, RecallContact, checked_contact, gather_as
from trace.actor import Actor
from trace.edits import log_changes, log_edit, log_personal
from trace.errors import Clash, Invalid, NotAllowed
from trace.gather import Gather, unique
from trace.identifiers import normalise_uscc
from trace.models import Division, Organisation
from trace.text import clean_text


@dataclass(frozen=True)
class OutsiderDetails:
    """What may be changed of an outsider."""

    name: str
    kind: str
    division: Division
    address: str = ""
    contact: RecallContact = field(default_factory=lambda: RecallContact("", ""))
    uscc: str = ""


@transaction.atomic
def edit_outsider(
    *, by: Actor, outsider: Organisation, details: OutsiderDetails, at: datetime.datetime | None = None
) -> Organisation:
    """Change what is written down of an outsider; each change is logged, contacts sealed.

    Refuses (``FieldErrors``) what ``keep_external`` refuses and a name another outsider of the same keeper has
    (``name_taken``); outsiders of others (``not_own``).
    """
    by.require("operator")
    if not outsider.is_external or outsider.kept_by_id not in entered_for(by):
        raise NotAllowed(_("只能更改本单位登记的系统外单位。"), code="not_own")
    check = Gather()
    if details.kind not in [str(kind) for kind in APPLICANT_KINDS]:
        check.refuse("kind", Invalid(_("请从列表中选择单位类型。"), code="kind_not_here"))
    name = check("name", clean_text, details.name, 120, required=True)
    address = check("address", clean_text, details.address, 200)
    uscc = check("uscc", normalise_uscc, details.uscc) if details.uscc.strip() else None
    reach = RecallContact("", "")
    given = details.contact
    if given.name or given.phone or given.email:
        reach = gather_as(check, "contact", partial(checked_contact, given, phone_required=False))
    if not check.errors and not (address or reach.phone or reach.email):
        wrong = Invalid(_("请填地址、电话或邮箱中的一项，召回时才能通知到对方。"), code="contact_required")
        check.refuse("address", wrong)
    taken = Invalid(_("已经登记过同名的系统外单位。"), code="name_taken")
    namesakes = Organisation.objects.filter(kept_by=outsider.kept_by, status=Organisation.Status.EXTERNAL, name=name)
    if not check.errors and namesakes.exclude(pk=outsider.pk).exists():
        check.refuse("name", taken)
    check.done()
    keeper = outsider.kept_by or by.owner
    with unique("name", taken):
        changes = {"name": name, "kind": details.kind, "division": details.division, "address": address, "uscc": uscc}
        log_changes(row=outsider, organisation=keeper, changes=changes, by=by.user, at=at)
    contact = {
        "recall_contact_name": reach.name,
        "recall_contact_phone": reach.phone,
        "recall_contact_email": reach.email,
    }
    changed = {key: value for key, value in contact.items() if getattr(outsider, key) != value}
    for key, value in changed.items():
        log_personal(
            row=outsider, organisation=keeper, field=key, old=getattr(outsider, key), new=value, by=by.user, at=at
        )
        setattr(outsider, key, value)
    if changed:
        outsider.save(update_fields=list(changed))
    return outsider


@transaction.atomic
def link_outsider(*, by: Actor, outsider: Organisation, uscc: str, at: datetime.datetime | None = None) -> Organisation:
    """Say that an outsider is now a registered organisation, named by its whole credit code. Past records stay.

    From then on it is the registered one that is offered for shipping and taking in, and lots taken in from the
    outsider can be joined with its own. Refuses a wrong code, one nobody in the system has (``not_registered``),
    ourselves (``self_link``), an outsider linked before (``linked_already``), outsiders of others (``not_own``).
    """
    by.require("operator")
    if not outsider.is_external or outsider.kept_by_id not in entered_for(by):
        raise NotAllowed(_("只能更改本单位登记的系统外单位。"), code="not_own")
    code = normalise_uscc(uscc)
    found = Organisation.objects.vetted().filter(uscc=code).exclude(kind=Organisation.Kind.REGULATOR).first()
    if found is None:
        raise Invalid(_("系统里没有这个统一社会信用代码的入驻单位。"), code="not_registered")
    if found.pk == outsider.kept_by_id:
        raise Invalid(_("这是本单位自己的代码。"), code="self_link")
    if not Organisation.objects.filter(pk=outsider.pk, registered_as=None).update(registered_as=found):
        raise Clash(_("已经关联过入驻单位，要改请先解除。"), code="linked_already")
    outsider.refresh_from_db()
    log_edit(
        row=outsider,
        organisation=outsider.kept_by or by.owner,
        field="registered_as",
        old=None,
        new=str(found.uid),
        by=by.user,
        at=at,
    )
    return outsider


@transaction.atomic
def unlink_outsider(*, by: Actor, outsider: Organisation, at: datetime.datetime | None = None) -> Organisation:
    """Take a wrong link back. Joins confirmed meanwhile stay until they are withdrawn. Others': ``not_own``."""
    by.require("operator")
    if not outsider.is_external or outsider.kept_by_id not in entered_for(by):
        raise NotAllowed(_("只能更改本单位登记的系统外单位。"), code="not_own")
    if outsider.registered_as is not None:
        old = str(outsider.registered_as.uid)
        outsider.registered_as = None
        outsider.save(update_fields=["registered_as"])
        keeper = outsider.kept_by or by.owner
        log_edit(row=outsider, organisation=keeper, field="registered_as", old=old, new=None, by=by.user, at=at)
    return outsider
