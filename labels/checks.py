"""Scratch-off check codes: six characters under a layer on the label, made from a seed of the run, stored hashed.

A check code tells apart a label that was looked at from one that was looked at *and scratched*: who copies a code from
a shelf does not know what lies under the layer. It says nothing of what is in the bottle, and no page says so.

The seed is sealed (``trace.personal``) and destroyed when the labels have been printed; from then on only the hashes of
the codes are there, made with the installation's key, against which guesses are compared.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from django.conf import settings
from django.utils.translation import gettext as _

from trace.errors import Invalid
from trace.identifiers import SERIAL_ALPHABET, fold_code

LENGTH = 6
"""Characters: 30 random bits, of which a label takes five guesses a day."""
HASH_BYTES = 16
SEED_BYTES = 32
HIDDEN = "*" * LENGTH
"""Shown wherever a label is only looked at."""
_FORGIVE = str.maketrans("OILU", "011V", "-")


def new_seed() -> bytes:
    """What the check codes of one run are made from."""
    return secrets.token_bytes(SEED_BYTES)


def check_code(seed: bytes, code: str) -> str:
    """The check code of a unit: the first 30 bits of an HMAC-SHA256 of its code by the run's seed."""
    value = int.from_bytes(hmac.digest(seed, code.encode("ascii"), "sha256")[:4], "big") >> 2
    return "".join(SERIAL_ALPHABET[value >> shift & 31] for shift in range(25, -5, -5))


def hashes(codes_and_checks: list[tuple[str, str]]) -> bytes:
    """The keyed hashes of check codes, one after another, 16 bytes each."""
    key = _key()
    return b"".join(_hash(key, code, check) for code, check in codes_and_checks)


def matches(code: str, check: str, stored: bytes) -> bool:
    """Whether a typed check code (as ``typed_check`` gives it) is the one whose hash is stored."""
    return len(stored) == HASH_BYTES and hmac.compare_digest(_hash(_key(), code, check), stored)


def _key() -> bytes:
    """The installation's key for these hashes."""
    secret = getattr(settings, "PERSONAL_DATA_KEY", "") or settings.SECRET_KEY
    return hashlib.sha256(f"check codes:{secret}".encode()).digest()


def _hash(key: bytes, code: str, check: str) -> bytes:
    """One hash, bound to the unit's code."""
    return hmac.digest(key, f"{code}:{check}".encode(), "sha256")[:HASH_BYTES]


def typed_check(value: object) -> str:
    """A check code as typed: look-alikes, spaces, hyphens and case are forgiven. Refuses what none can be
    (``check_characters``); that costs no attempt.
    """
    try:
        text = fold_code(value).translate(_FORGIVE)
    except Invalid:
        text = ""
    if len(text) != LENGTH or any(char not in SERIAL_ALPHABET for char in text):
        raise Invalid(
            _("校验码是涂层下面的 %(n)d 位数字和字母，请对照标签重新输入。") % {"n": LENGTH}, code="check_characters"
        )
    return text


def shown(check: str) -> str:
    """In groups of three, as printed."""
    return f"{check[:3]} {check[3:]}"
