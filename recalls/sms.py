"""Text messages: one interface, chosen by ``SMS_BACKEND``. Nothing here knows recalls.

``off`` (the default) sends none; ``console`` and ``file`` are for trying out; ``http`` posts JSON to a gateway, which
each provider's own small bridge (or its HTTP interface) understands: ``{"to", "text", "id"}`` with a bearer token.
"""

from __future__ import annotations

import json
import logging
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Protocol

from django.conf import settings

logger = logging.getLogger(__name__)
TIMEOUT = 10
_MOBILE = re.compile(r"1[3-9]\d{9}")


class SmsLater(Exception):
    """The gateway cannot take the message now: ask again later."""


class SmsRefused(Exception):
    """The gateway will never take this message: the number does not exist or is blocked."""


class SmsGateway(Protocol):
    """Whoever sends text messages."""

    def send(self, *, number: str, text: str, key: str) -> None:
        """Hand one message over. ``key`` is the same for every attempt, so that the gateway drops a second one.

        Raises SmsLater or SmsRefused; returning means it was taken.
        """


class ConsoleSms:
    """Writes messages into the log."""

    def send(self, *, number: str, text: str, key: str) -> None:
        """Log it; only the last four digits of the number."""
        logger.info("sms to …%s (%s): %s", number[-4:], key, text)


class FileSms:
    """Writes each message into a file of ``SMS_FILE_PATH`` named by its key: a second attempt writes the same file."""

    def send(self, *, number: str, text: str, key: str) -> None:
        """Write it."""
        folder = Path(settings.SMS_FILE_PATH)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{key}.txt").write_text(f"{number}\n{text}\n", encoding="utf-8")


class HttpSms:
    """Posts to ``SMS_GATEWAY_URL`` with ``SMS_GATEWAY_TOKEN``. 2xx is taken, other 4xx than 408 and 429 refused."""

    def send(self, *, number: str, text: str, key: str) -> None:
        """Post it."""
        request = urllib.request.Request(  # noqa: S310  (the operator's own address, checked when settings are read)
            settings.SMS_GATEWAY_URL,
            data=json.dumps({"to": number, "text": text, "id": key}).encode(),
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {settings.SMS_GATEWAY_TOKEN}",
                "Idempotency-Key": key,
            },
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                answer.read(10_000)
        except urllib.error.HTTPError as error:
            if 400 <= error.code < 500 and error.code not in (401, 403, 408, 429):
                raise SmsRefused(f"HTTP {error.code}") from error
            raise SmsLater(f"HTTP {error.code}") from error
        except (OSError, ValueError) as error:
            raise SmsLater(f"{type(error).__name__}: {error}") from error


_GATEWAYS: dict[str, type[SmsGateway]] = {"console": ConsoleSms, "file": FileSms, "http": HttpSms}


def gateway() -> SmsGateway | None:
    """The installation's gateway; None where text messages are off."""
    chosen = _GATEWAYS.get(settings.SMS_BACKEND)
    return chosen() if chosen is not None else None


def mobile_number(phone: str) -> str:
    """The mobile number in a contact's telephone field, digits only; empty where it is none (a fixed line)."""
    digits = re.sub(r"[\s()+\-–—]", "", phone)
    digits = digits.removeprefix("0086").removeprefix("86") if len(digits) > 11 else digits
    return digits if _MOBILE.fullmatch(digits) else ""
