"""A form that makes something new carries a key, so that sent twice it makes one thing."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from urllib.parse import urlencode

from django.db import transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.translation import gettext as _

from trace.actions.requests import abandon_request, claim_request, finish_request
from trace.actor import Actor
from trace.errors import Clash, DomainError
from trace.identifiers import uuid7

KEY = "form_key"
"""The hidden field's name."""

_NOT_COMPARED = {"csrfmiddlewaretoken", KEY}


def form_key(request: HttpRequest) -> str:
    """The key to put into the form: the one that came with it, or a fresh one for a form shown first."""
    given = request.POST.get(KEY, "")
    try:
        return str(uuid.UUID(given))
    except ValueError:
        return str(uuid7())


def once(request: HttpRequest, actor: Actor, work: Callable[[], str]) -> HttpResponseRedirect:
    """Do the work of a form once per key and lead to the address it gives; a repeat is led to the same address.

    Effect and answer commit together. A refusal leaves the key free, so that the mended form can be sent. Refuses a
    form that was changed after it had been accepted (``form_already_sent``): the first is kept and a second thing
    needs a form of its own.
    """
    try:
        claim = claim_request(
            organisation=actor.organisation,
            caller=f"form:{actor.user.uid if actor.user else ''}",
            key=form_key(request),
            request_hash=_fingerprint(request, actor),
        )
    except DomainError as error:
        if error.code != "idempotency_key_reused":
            raise
        raise Clash(_("这张表单刚才已经提交成功。要再登记一次，请重新打开表单。"), code="form_already_sent") from error
    if claim.answered:
        return HttpResponseRedirect(claim.record.body)
    done = False
    try:
        with transaction.atomic():
            address = work()
            finish_request(claim=claim, status=302, body=address, content_type="text/uri-list")
        done = True
    finally:
        if not done:
            abandon_request(claim=claim)
    return HttpResponseRedirect(address)


def _fingerprint(request: HttpRequest, actor: Actor) -> str:
    """What is the same form: address, for whom, and every field but the key."""
    fields = sorted(
        (key, value) for key, values in request.POST.lists() if key not in _NOT_COMPARED for value in values
    )
    text = f"{request.get_full_path()} {actor.owner.uid} {urlencode(fields, errors='replace')}"
    return hashlib.sha256(text.encode()).hexdigest()
