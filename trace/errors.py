"""The one family of errors that rules and actions raise.

Each error has a stable machine-readable ``code`` (tests and API clients rely on it), an HTTP ``status`` and a
translated message that says what to do. One handler in ``config`` turns them into RFC 9457 problem details for the API
and into pages for people; nothing else catches them by base class.
"""

from collections.abc import Mapping
from typing import Any


class DomainError(Exception):
    """A rule was broken. ``details`` are JSON-ready facts for a client (names of other records, allowed values)."""

    status = 400
    code = "error"

    def __init__(self, message: Any, *, code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self._message = message
        if code is not None:
            self.code = code
        self.details: dict[str, Any] = details

    @property
    def message(self) -> str:
        """The sentence for a person, translated when it is read."""
        return str(self._message)

    def __str__(self) -> str:
        return self.message


class Invalid(DomainError):
    """The input cannot be accepted as it is; the message says what to change. 422."""

    status = 422
    code = "invalid"


class FieldErrors(Invalid):
    """Several fields are wrong at once: ``fields`` maps a field's key to the error of that field."""

    code = "invalid_fields"

    def __init__(self, message: Any, fields: Mapping[str, Invalid]) -> None:
        super().__init__(message)
        self.fields: dict[str, Invalid] = dict(fields)
        self.details = {"fields": {key: {"code": err.code, "detail": err.message} for key, err in self.fields.items()}}


class NotFound(DomainError):
    """There is no such thing, or it is a stranger's: the two are told apart by nobody. 404."""

    status = 404
    code = "not_found"


class NotAllowed(DomainError):
    """The actor is known and sees the thing, but may not do this. 403."""

    status = 403
    code = "not_allowed"


class NotSignedIn(DomainError):
    """Nobody is signed in, or the API key is unknown or revoked. 401."""

    status = 401
    code = "not_signed_in"


class Clash(DomainError):
    """The state of the world forbids it now (stale state, blocked lot, doubled key). 409.

    Called ``Clash`` because ``Conflict`` is a model: a recorded fact that broke a guard.
    """

    status = 409
    code = "conflict"


class StaleState(Clash):
    """Somebody else moved the thing first; read it again."""

    code = "stale_state"


class TooMany(DomainError):
    """A limit of rate or size was reached. 429."""

    status = 429
    code = "too_many"


class GuardBroken(Clash):
    """One or more guards refuse a command. ``broken`` lists them; a report of the same fact would be recorded with
    conflicts.

    ``insistable`` is false where nothing may be recorded (for example issuing codes for a recalled lot).
    """

    code = "guard_broken"

    def __init__(self, message: Any, broken: "list[BrokenGuard]", *, insistable: bool = True) -> None:
        super().__init__(message, guards=[b.as_dict() for b in broken], insistable=insistable)
        self.broken = broken
        self.insistable = insistable
        if len(broken) == 1:
            self.code = broken[0].code


class BrokenGuard:
    """One rule that a fact breaks: its code, the sentence naming the other record, and the lot concerned (uid) if
    any.

    One that ``warns`` refuses nothing: the fact is recorded and flagged. ``details`` name other records by what they
    are:
    ``other_lot``, ``other_event``, ``report``, ``hold`` (uids), ``shipment`` (number). ``product`` (row number) says of
    which of the goods about to be made it is, so that the conflict stands at their lot.
    """

    def __init__(
        self, code: str, message: Any, *, lot: Any = None, product: int = 0, warns: bool = False, **details: Any
    ) -> None:
        self.code = code
        self._message = message
        self.lot = lot
        self.product = product
        self.warns = warns
        self.details = details

    @property
    def message(self) -> str:
        """The sentence for a person."""
        return str(self._message)

    def as_record(self) -> dict[str, Any]:
        """``as_dict`` for the conflict row: with what it takes to say the sentence in another language."""
        said = getattr(self._message, "said", None)
        return {**self.as_dict(), **({"said": said} if said is not None else {})}

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form for API bodies and for the event's flags."""
        return {
            "code": self.code,
            "detail": self.message,
            "lot": str(self.lot.uid) if self.lot is not None else None,
            **({"warns": True} if self.warns else {}),
            **{key: str(value) for key, value in self.details.items()},
        }
