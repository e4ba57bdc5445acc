"""Posting to an address somebody typed: only public addresses, the one that was checked, no redirects, signed.

The host is resolved once, every address it has must be public, and the connection goes to the very address checked, so
that a name which changes between check and connection (DNS rebinding) reaches nothing inside.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from trace.errors import Invalid

TIMEOUT = 10
PORTS = frozenset({443, 8443})


class CannotPost(Exception):
    """The address did not take it (or must not be spoken to); the words say why."""


def check_url(url: str) -> tuple[str, int, str]:
    """Host, port and path of an address we may post to; refuses (``webhook_url``) any that is not plain https to a
    named host on 443 or 8443. ``WEBHOOK_ALLOW_PRIVATE`` (a closed network) also lets http and other ports through.
    """
    wrong = Invalid(_("请填写 https 开头的公网网址，端口 443 或 8443，不带用户名。"), code="webhook_url")
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise wrong from None
    free = settings.WEBHOOK_ALLOW_PRIVATE
    if parts.scheme not in (("https", "http") if free else ("https",)) or not parts.hostname:
        raise wrong
    if parts.username or parts.password or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise wrong
    if not free and port not in PORTS:
        raise wrong
    return parts.hostname, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def public_address(host: str, port: int) -> str:
    """The address to connect to. Raises CannotPost where the name has none or any of its addresses is not public."""
    try:
        found = {str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise CannotPost(f"DNS: {error}") from error
    for address in found:
        ip = ipaddress.ip_address(address.partition("%")[0])
        inner = getattr(ip, "ipv4_mapped", None) or ip
        if not settings.WEBHOOK_ALLOW_PRIVATE and (not inner.is_global or inner.is_multicast):
            raise CannotPost("not a public address")
    return sorted(found)[0]


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA-256 over ``timestamp.body``, hex."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Post once and return the status; redirects are not followed. Raises CannotPost."""
    try:
        host, port, path = check_url(url)
    except Invalid as error:
        raise CannotPost(str(error.message)) from error
    address = public_address(host, port)
    try:
        raw = socket.create_connection((address, port), timeout=TIMEOUT)
        if url.startswith("https"):
            raw = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        connection.sock = raw
        try:
            connection.request("POST", path, body=body, headers=headers)
            answer = connection.getresponse()
            answer.read(2_000)
            return answer.status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CannotPost(f"{type(error).__name__}: {error}"[:200]) from error
