"""Every POST carries an ``Idempotency-Key``: sent twice, it happens once and the first answer is given again.

The claim on the key is committed first, so that a repeat sees it. The effect and the answer then commit in one
transaction: after a crash either both are there or neither, and a claim left alone is taken over after ``IN_FLIGHT``.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from trace.actions.requests import Claim, abandon_request, claim_request, finish_request
from trace.actor import Actor
from trace.api.auth import BEHALF_HEADER
from trace.api.errors import problem_of
from trace.errors import DomainError, Invalid

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,100}")


class KeyMissing(Invalid):
    """A POST without a usable key. 400."""

    status = 400
    code = "idempotency_key_required"


def once(
    request: HttpRequest, actor: Actor, work: Callable[[], HttpResponse], *, shown_once: Sequence[str] = ()
) -> HttpResponse:
    """Do the work of a POST once per key and caller, or replay its answer.

    A rule's refusal (4xx) rolls the effect back and is kept and replayed like any answer; after changing something
    send a new key. What is no answer (429, 5xx, a lost connection) is not kept. Fields named in ``shown_once`` (a
    secret) are in the first answer alone: what is kept and replayed has null there.
    """
    claim = claim_request(
        organisation=actor.organisation, caller=_caller(actor), key=_key(request), request_hash=_hash(request)
    )
    if claim.answered:
        return _replayed(claim)
    done = False
    try:
        response = _work(claim, work, shown_once)
        done = True
    finally:
        if not done:
            abandon_request(claim=claim)
    return response


def _work(claim: Claim, work: Callable[[], HttpResponse], shown_once: Sequence[str]) -> HttpResponse:
    """Effect and answer in one transaction; a refusal undoes the effect by the inner savepoint and keeps the answer."""
    with transaction.atomic():
        try:
            with transaction.atomic():
                response = work()
        except DomainError as error:
            if error.status == 429:
                raise
            response = problem_of(error)
        finish_request(
            claim=claim,
            status=response.status_code,
            body=_without(response.content.decode(), shown_once if response.status_code < 300 else ()),
            content_type=response["Content-Type"],
        )
    return response


def _without(body: str, fields: Sequence[str]) -> str:
    """The body as it may be kept."""
    if not fields:
        return body
    return json.dumps({**json.loads(body), **dict.fromkeys(fields)}, ensure_ascii=False, separators=(",", ":"))


def _replayed(claim: Claim) -> HttpResponse:
    """The first answer again, marked."""
    record = claim.record
    return HttpResponse(
        record.body,
        status=record.status,
        content_type=record.content_type,
        headers={"Idempotent-Replayed": "true"},
    )


def _key(request: HttpRequest) -> str:
    """The client's key: 1 to 100 visible ASCII characters, quoted or not."""
    key = request.headers.get(HEADER, "")
    if not _KEY.fullmatch(key):
        raise KeyMissing(
            _("每个 POST 请求都要有 Idempotency-Key 头：1 到 100 个可见的 ASCII 字符，每件事一个新的键（例如 UUID）。")
        )
    return key


def _caller(actor: Actor) -> str:
    """Whose keys these are: two clerks may use the same text."""
    if actor.api_key is not None:
        return f"key:{actor.api_key.uid}"
    return f"user:{actor.user.uid}" if actor.user is not None else "system"


def _hash(request: HttpRequest) -> str:
    """What is the same request: method, address, question, who it is entered for, and body, byte for byte."""
    head = f"{request.method} {request.get_full_path()} {request.headers.get(BEHALF_HEADER, '')}\n".encode()
    return hashlib.sha256(head + request.body).hexdigest()
