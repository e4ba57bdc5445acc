"""A recipient tells its own customers: the notice grows a branch, tier after tier, with or without an account."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import notice_by_link
from recalls.actions.notices import note_attempt, sides_of, tell_parties
from recalls.asked import still_asked
from recalls.models import Notice
from recalls.notice_states import Side
from recalls.scope import latest_scope
from trace.actions.organisations import RecallContact, keep_external
from trace.actor import Actor
from trace.errors import Clash, FieldErrors, Invalid, NotAllowed
from trace.models import Organisation
from trace.text import clean_text

DEEPEST = 8
MOST = 500
"""Customers that one recipient may name; a distributor with more is a member and ships through the system."""
AT_ONCE = 100


@dataclass(frozen=True)
class Customer:
    """A customer as its supplier names it. One of phone, e-mail and address must be there."""

    name: str
    phone: str = ""
    email: str = ""
    address: str = ""
    kind: str = Organisation.Kind.RETAILER


def parse_customers(text: str) -> list[Customer]:
    """A small list as people paste it: one customer a line, name first, then telephone, e-mail or address in any order,
    separated by commas or tabs. Refuses nothing: what is missing is said when it is passed on.
    """
    found: list[Customer] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"[,，;；、\t]", line) if cell.strip()]
        if not cells:
            continue
        phone = email = address = ""
        for cell in cells[1:]:
            if "@" in cell and not email:
                email = cell
            elif not phone and re.fullmatch(r"[\d\s()+\-–—]{7,25}", cell):
                phone = cell
            else:
                address = f"{address} {cell}".strip()
        found.append(Customer(cells[0], phone, email, address))
    return found


@transaction.atomic
def pass_on(
    *, by: Actor, notice: Notice, customers: Sequence[Customer], at: datetime.datetime | None = None
) -> list[Notice]:
    """Pass a notice on to one's own customers, by account: each becomes a named party outside the system, kept by the
    recipient, and is told like any other holder. Naming somebody told before of the same lots is harmless.

    Refuses strangers (``not_your_notice``), withdrawn and settled notices (``notice_state``), nobody
    (``customers_required``), more than 500 (``too_many_customers``), a chain of more than eight hands (``too_deep``),
    oneself and the initiator (``own_name``), and lines without a name or any address (each named by its number).
    """
    sides = sides_of(by, notice)
    if Side.RECIPIENT not in sides and Side.ISSUER not in sides:
        raise NotAllowed(_("这份通知不是发给您的。"), code="not_your_notice")
    side = Side.RECIPIENT if Side.RECIPIENT in sides else Side.ISSUER
    return _pass_on(notice, by, side, customers, at or timezone.now(), anonymous=False)


@transaction.atomic
def pass_on_by_link(
    *, token: str, name: str, customers: Sequence[Customer], at: datetime.datetime | None = None
) -> list[Notice]:
    """The same from the letter, without an account; the name given stands in the notice's history.

    What is written down of a customer already is not changed by who holds a letter.
    """
    notice = notice_by_link(token)
    clean_text(name, 60, required=True)
    by = Actor(organisation=notice.organisation, role="operator", system=True)
    return _pass_on(notice, by, Side.RECIPIENT, customers, at or timezone.now(), anonymous=True)


def _pass_on(
    notice: Notice, by: Actor, side: Side, customers: Sequence[Customer], now: datetime.datetime, *, anonymous: bool
) -> list[Notice]:
    """Check, write the parties and their notices, put the messages into the outbox."""
    if not notice.is_open:
        raise Clash(
            _("这份通知已经“%(status)s”，不用再转告。") % {"status": notice.get_status_display()},
            code="notice_state",
            status_now=notice.status,
        )
    if not notice.campaign.is_open:
        raise Clash(_("召回已经结束，不用再转告。"), code="no_such_step")
    if not customers:
        raise Invalid(_("请至少写一个客户。"), code="customers_required")
    if notice.tier >= DEEPEST:
        raise Clash(_("这份通知已经转了 %(most)d 手，请直接联系召回单位。") % {"most": DEEPEST}, code="too_deep")
    if len(customers) > AT_ONCE or notice.children.count() + len(customers) > MOST:
        raise Invalid(
            _("一次最多 %(once)d 个，一共最多 %(most)d 个客户。客户更多的，请把名单交给召回单位。")
            % {"once": AT_ONCE, "most": MOST},
            code="too_many_customers",
        )
    parties = _parties(notice, by, customers, now, anonymous=anonymous)
    lots = list(still_asked(notice.lots.all()).values_list("lot", flat=True))
    carrier = None if anonymous and notice.organisation.is_external else notice.organisation_id
    made, added = tell_parties(
        campaign=notice.campaign,
        version=latest_scope(notice.campaign) or notice.scope,
        wanted={party: dict.fromkeys(lots, 0) for party in parties},
        by=by,
        at=now,
        carrier=carrier or notice.carrier_id,
        parent=notice,
    )
    made = [*made, *added]
    if made:
        words = _("转告下游 %(count)s 家") % {"count": len(made)}
        note_attempt(notice=notice, action="pass_on", side=side, by=by, at=now, reason=words)
    return made


def _parties(
    notice: Notice, by: Actor, customers: Sequence[Customer], now: datetime.datetime, *, anonymous: bool
) -> list[Organisation]:
    """The customers as parties kept by the recipient, each once; every wrong line is named."""
    keeper = Actor(
        organisation=notice.organisation, user=by.user, role="operator", membership=by.membership, system=True
    )
    refused = {notice.organisation.name, notice.campaign.organisation.name}
    found: dict[int, Organisation] = {}
    errors: list[Invalid] = []
    for number, one in enumerate(customers, 1):
        try:
            name = clean_text(one.name, 120, required=True)
            if name in refused:
                raise Invalid(_("这是您自己或召回单位，不用转告。"), code="own_name")
            known = Organisation.objects.filter(
                kept_by=notice.organisation, name=name, status=Organisation.Status.EXTERNAL
            ).first()
            if known is None or not anonymous:
                known = keep_external(
                    by=keeper,
                    name=name,
                    kind=one.kind,
                    division=notice.organisation.division,
                    address=one.address,
                    contact=RecallContact("", one.phone, one.email),
                    at=now,
                )
            found[known.pk] = known
        except FieldErrors as error:
            errors.append(_at_line(number, one, next(iter(error.fields.values()))))
        except Invalid as error:
            errors.append(_at_line(number, one, error))
    if errors:
        raise Invalid(" ".join(str(error.message) for error in errors[:5]), code=errors[0].code)
    return list(found.values())


def _at_line(number: int, customer: Customer, error: Invalid) -> Invalid:
    """A refusal with the line it is about."""
    words = _("第 %(line)s 行“%(name)s”：%(why)s")
    return Invalid(words % {"line": number, "name": customer.name[:40], "why": error.message}, code=error.code)
