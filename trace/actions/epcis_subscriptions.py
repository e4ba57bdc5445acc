"""Named queries and those who are told of new events that answer them.

A call is signed (``GS1-Signature``: HMAC-SHA-256 of the body with the subscriber's secret) and repeated until the
receiver answers 200: at least once, in the order of the log. Addresses inside the installation's own network are
refused unless the operator names them (``EPCIS_CALLBACK_HOSTS``): a subscription must not become a way to look around.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import ipaddress
import json
import re
import socket
import ssl
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.actions.epcis_index import index_log
from trace.actor import Actor
from trace.door import querying
from trace.door.shaping import documents_of, query_document, translated
from trace.errors import Clash, DomainError, Invalid
from trace.ledger import last_number
from trace.models import EpcisQuery, EpcisSubscription, Organisation

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~\-]{0,99}", re.ASCII)
QUERIES_MOST = 200
SUBSCRIPTIONS_MOST = 200
PART = 100
TIMEOUT = 10
LEASE = datetime.timedelta(minutes=2)
PAUSES = (10, 30, 60, 300, 900, 3600)
"""Seconds to wait after the first, second, … failure in a row."""


class QueryInvalid(Invalid):
    """A query that cannot be kept. 400, QueryValidationException."""

    status = 400
    kind = "QueryValidationException"


class ControlsInvalid(Invalid):
    """A subscription that cannot be kept. 400, SubscriptionControlsException."""

    status = 400
    kind = "SubscriptionControlsException"


@transaction.atomic
def make_query(*, by: Actor, body: Mapping[str, Any]) -> EpcisQuery:
    """Give a query a name. Refuses a name that is taken (``name_taken``), no query, a query we could not answer."""
    by.require("operator", "quality", "officer")
    name, query = body.get("name"), body.get("query")
    unknown = set(body) - {"name", "query", "@context"}
    if not isinstance(name, str) or not NAME.fullmatch(name) or unknown:
        raise QueryInvalid(
            _("name 由字母、数字和 . _ ~ - 组成，最多 100 个字符；其他成员只有 query。"), code="name_invalid"
        )
    if not isinstance(query, Mapping):
        raise QueryInvalid(_("query 应当是一个对象。"), code="not_an_object")
    querying.read_query(querying.parameters_of(query))
    if EpcisQuery.objects.filter(owner=by.owner).count() >= QUERIES_MOST:
        raise Clash(_("命名查询太多，请先删除不用的。"), code="too_many_queries")
    row, made = EpcisQuery.objects.get_or_create(owner=by.owner, name=name, defaults={"query": dict(query)})
    if not made:
        raise Clash(_("已经有这个名称的查询。"), code="name_taken")
    return row


@transaction.atomic
def delete_query(*, by: Actor, query: EpcisQuery) -> None:
    """Forget a query and whoever was told of it."""
    by.require("operator", "quality", "officer")
    query.delete()


@transaction.atomic
def subscribe(
    *, by: Actor, query: EpcisQuery, body: Mapping[str, Any], epc_format: str = "Always_GS1_Digital_Link"
) -> EpcisSubscription:
    """Tell ``dest`` of events that answer the query from now on (``initialRecordTime``: from then on).

    Refuses an address that is none or lies inside (``dest_invalid``, ``dest_not_allowed``), no ``signatureToken`` of 16
    characters (``signature_required``), a schedule beside ``stream`` or one we do not understand.
    """
    by.require("operator", "quality", "officer")
    known = {"dest", "signatureToken", "stream", "schedule", "reportIfEmpty", "initialRecordTime", "@context"}
    if set(body) - known:
        raise ControlsInvalid(_("订阅里有不认识的成员。"), code="unknown_field")
    url, secret = check_dest(body.get("dest")), body.get("signatureToken")
    if not isinstance(secret, str) or not re.fullmatch(r"[!-~]{16,200}", secret):
        raise ControlsInvalid(_("signatureToken 应是 16 到 200 个可见的 ASCII 字符。"), code="signature_required")
    stream, schedule = body.get("stream"), body.get("schedule")
    if (schedule is None) == (stream is not True) and schedule is not None:
        raise ControlsInvalid(_("stream 和 schedule 只能选一个。"), code="stream_or_schedule")
    if schedule is None and stream is not True:
        raise ControlsInvalid(_("请写 stream: true，或给出 schedule。"), code="stream_or_schedule")
    if not isinstance(body.get("reportIfEmpty", False), bool):
        raise ControlsInvalid(_("reportIfEmpty 应是 true 或 false。"), code="invalid_value")
    if schedule is not None:
        _next_time(_schedule(schedule), timezone.now())
    if EpcisSubscription.objects.filter(owner=by.owner).count() >= SUBSCRIPTIONS_MOST:
        raise Clash(_("订阅太多，请先删除不用的。"), code="too_many_subscriptions")
    now = timezone.now()
    return EpcisSubscription.objects.create(
        query=query,
        owner=by.owner,
        api_key=by.api_key,
        url=url,
        secret=secret,
        stream=schedule is None,
        schedule=_schedule(schedule) if schedule is not None else {},
        report_if_empty=body.get("reportIfEmpty") is True,
        epc_format=epc_format,
        cursor=_cursor(by, body.get("initialRecordTime")),
        next_at=now if schedule is None else _next_time(_schedule(schedule), now),
    )


def _cursor(by: Actor, start: Any) -> int:
    """The number behind which telling begins."""
    from trace.epcis.documents import moment
    from trace.models import EpcisEvent, EpcisSeen

    if start is None:
        return last_number()
    when = moment(start)
    if when is None:
        raise ControlsInvalid(_("initialRecordTime 不是有效的时间。"), code="moment_invalid")
    # Also of others' events that it may see.
    seen = EpcisSeen.objects.filter(owner__in=querying.owners_for(by)).values("number")
    first = EpcisEvent.objects.filter(number__in=seen, record_time__gte=when).order_by("number").first()
    return first.number - 1 if first is not None else last_number()


@transaction.atomic
def unsubscribe(*, by: Actor, subscription: EpcisSubscription) -> None:
    """Tell no more."""
    by.require("operator", "quality", "officer")
    subscription.delete()


# --- Where to call --------------------------------------------------------------------------------------------------


def check_dest(url: Any) -> str:
    """The address; refuses what is none that we call."""
    if not isinstance(url, str) or len(url) > 500 or not re.fullmatch(r"https?://[!-~]+", url):
        raise ControlsInvalid(_("dest 应是 http(s) 地址。"), code="dest_invalid")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ControlsInvalid(_("dest 应是 http(s) 地址。"), code="dest_invalid") from None
    if not parts.hostname or parts.username or parts.password or port == 0:
        raise ControlsInvalid(_("dest 应是 http(s) 地址。"), code="dest_invalid")
    if parts.scheme != "https" and _netloc(url) not in settings.EPCIS_CALLBACK_HOSTS:
        raise ControlsInvalid(_("dest 必须以 https:// 开头。"), code="dest_not_allowed")
    _allowed_address(url, resolve=False)
    return url


def _netloc(url: str) -> str:
    return urlsplit(url).netloc.lower()


def _allowed_address(url: str, *, resolve: bool) -> str:
    """The address to connect to: of a host the operator named, or a public one. Asked again at each call, and the
    connection goes to the very address that was asked about.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _netloc(url) in settings.EPCIS_CALLBACK_HOSTS:
        return host
    try:
        found = [ipaddress.ip_address(host)]
    except ValueError:
        if not resolve:
            if host == "localhost" or host.endswith((".localhost", ".local", ".internal")) or "." not in host:
                raise ControlsInvalid(_("dest 不能指向内部网络。"), code="dest_not_allowed") from None
            return host
        port = parts.port or (443 if parts.scheme == "https" else 80)
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = [ipaddress.ip_address(answer[4][0]) for answer in answers]
    if not found or not all(address.is_global and not address.is_multicast for address in found):
        raise ControlsInvalid(_("dest 不能指向内部网络。"), code="dest_not_allowed")
    return str(found[0])


# --- When -----------------------------------------------------------------------------------------------------------

_FIELDS = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "dayOfMonth": (1, 31),
    "month": (1, 12),
    "dayOfWeek": (1, 7),
}


def _schedule(value: Any) -> dict[str, str]:
    """A query schedule of the standard: each field numbers, ranges ``[1-5]`` and lists by comma."""
    if not isinstance(value, Mapping) or not value or set(value) - set(_FIELDS):
        raise ControlsInvalid(_("schedule 的字段不对。"), code="schedule_invalid")
    found = {str(key): str(text) for key, text in value.items() if isinstance(text, str | int)}
    if len(found) != len(value):
        raise ControlsInvalid(_("schedule 的字段不对。"), code="schedule_invalid")
    for name, text in found.items():
        _numbers(name, text)
    return found


def _numbers(name: str, text: str) -> set[int]:
    least, most = _FIELDS[name]
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\[?([0-9]{1,2})(?:-([0-9]{1,2})\])?", part.strip())
        if match is None or len(text) > 100:
            raise ControlsInvalid(_("schedule 的字段不对。"), code="schedule_invalid")
        first, last = int(match[1]), int(match[2] or match[1])
        if not least <= first <= last <= most:
            raise ControlsInvalid(_("schedule 的字段不对。"), code="schedule_invalid")
        found |= set(range(first, last + 1))
    return found


def _next_time(schedule: Mapping[str, str], after: datetime.datetime) -> datetime.datetime:
    """The next moment a schedule names, in the installation's zone. A field left out means every, but seconds, minutes
    and hours finer than what is given mean the first: ``minute: 0`` is once an hour.
    """
    allowed = {name: _numbers(name, text) for name, text in schedule.items()}
    for name in ("second", "minute", "hour"):
        if name in allowed:
            break
        allowed[name] = {0}
    at = timezone.localtime(after).replace(microsecond=0) + datetime.timedelta(seconds=1)
    limit = at + datetime.timedelta(days=366 * 5)
    while at < limit:
        if at.month not in allowed.get("month", {at.month}):
            at = (at.replace(day=1, hour=0, minute=0, second=0) + datetime.timedelta(days=32)).replace(day=1)
        elif at.day not in allowed.get("dayOfMonth", {at.day}) or at.isoweekday() not in allowed.get(
            "dayOfWeek", {at.isoweekday()}
        ):
            at = at.replace(hour=0, minute=0, second=0) + datetime.timedelta(days=1)
        elif at.hour not in allowed.get("hour", {at.hour}):
            at = at.replace(minute=0, second=0) + datetime.timedelta(hours=1)
        elif at.minute not in allowed.get("minute", {at.minute}):
            at = at.replace(second=0) + datetime.timedelta(minutes=1)
        elif at.second not in allowed.get("second", {at.second}):
            at += datetime.timedelta(seconds=1)
        else:
            return at
    raise ControlsInvalid(_("schedule 没有下一次时间。"), code="schedule_invalid")


# --- Telling --------------------------------------------------------------------------------------------------------


def tell_next(*, now: datetime.datetime | None = None) -> bool:
    """Tell one subscriber what is new, if one is due; False where none is.

    A claim keeps other workers away; the cursor moves only after a 2xx answer, so a worker that dies in between tells
    the same again.
    """
    moment = now or timezone.now()
    free = Q(lease=None) | Q(leased_until__lt=moment)
    due = EpcisSubscription.objects.filter(free, next_at__lte=moment)
    last = last_number()
    for row in due.select_related("query", "owner__division", "api_key").order_by("next_at", "id")[:50]:
        if row.stream and row.cursor >= last:
            continue
        token = uuid.uuid4()
        if EpcisSubscription.objects.filter(free, pk=row.pk).update(lease=token, leased_until=moment + LEASE):
            row.lease = token
            _tell(row, moment)
            return True
    return False


def _tell(row: EpcisSubscription, now: datetime.datetime) -> None:
    if row.api_key is not None and row.api_key.revoked_at is not None:
        _settle(row, next_at=now + datetime.timedelta(days=1), last_status="the key was revoked")
        return
    index_log()
    upto = last_number()
    actor = Actor(organisation=row.owner, role="operator", system=True)
    try:
        query = querying.read_query(querying.parameters_of(row.query.query))
        page = querying.answer(query, actor, per_page=PART, after=row.cursor, upto=upto)
        cursor = page.rows[-1].number if page.token and page.rows else upto
        if page.rows or (row.report_if_empty and not row.stream):
            prefixes = list(Organisation.objects.exclude(gs1_prefix="").values_list("gs1_prefix", flat=True))
            events = [translated(event, row.epc_format, prefixes) for event in documents_of(page.rows)]
            document = query_document(events, query=row.query.name, subscription=str(row.uid), now=now)
            _call(row, json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))
    except (OSError, http.client.HTTPException, DomainError, querying.QueryFault, ValueError) as error:
        pause = PAUSES[min(row.failures, len(PAUSES) - 1)]
        _settle(
            row,
            failures=F("failures") + 1,
            last_status=f"{type(error).__name__}: {error}"[:200],
            next_at=now + datetime.timedelta(seconds=pause),
        )
        return
    more = bool(page.token)
    _settle(
        row,
        cursor=cursor,
        failures=0,
        last_status="200",
        last_told_at=now if page.rows else row.last_told_at,
        next_at=now if row.stream or more else _next_time(row.schedule, now),
    )


def _settle(row: EpcisSubscription, **fields: Any) -> None:
    EpcisSubscription.objects.filter(pk=row.pk, lease=row.lease).update(lease=None, leased_until=None, **fields)


def signature(secret: str, body: bytes) -> str:
    """What the receiver compares: the HMAC-SHA-256 of the body, in hexadecimal."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Refused(OSError):
    """The receiver did not answer 2xx."""


def _call(row: EpcisSubscription, body: bytes) -> None:
    """POST the body to the subscriber; raises unless it answers 2xx. Redirects are not followed."""
    parts = urlsplit(row.url)
    address = _allowed_address(row.url, resolve=True)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    raw = socket.create_connection((address, port), timeout=TIMEOUT)
    try:
        if parts.scheme == "https":
            raw = ssl.create_default_context().wrap_socket(raw, server_hostname=parts.hostname)
        connection = http.client.HTTPConnection(parts.hostname or "", port, timeout=TIMEOUT)
        connection.sock = raw
        path = parts.path or "/"
        connection.request(
            "POST",
            f"{path}?{parts.query}" if parts.query else path,
            body=body,
            headers={
                "Content-Type": "application/ld+json",
                "GS1-Signature": signature(row.secret, body),
                "GS1-EPCIS-Version": "2.0.0",
                "GS1-CBV-Version": "2.0.0",
                "GS1-EPC-Format": row.epc_format,
            },
        )
        answer = connection.getresponse()
        answer.read(1024)
        if not 200 <= answer.status < 300:
            raise Refused(f"answered {answer.status}")
    finally:
        raw.close()
