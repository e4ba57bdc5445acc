"""Checking several values at once, so that a person hears of every mistake in one answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar, cast

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from trace.errors import FieldErrors, Invalid

P = ParamSpec("P")
T = TypeVar("T")


class Gather:
    """Runs the checks of an action's fields and keeps what they refuse until ``done`` raises it all together.

    The value of a refused field is meaningless (None) and must not be used before ``done``.
    """

    def __init__(self) -> None:
        self.errors: dict[str, Invalid] = {}

    def __call__(self, field: str, check: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The checked value of a field; the first refusal of a field is kept."""
        try:
            return check(*args, **kwargs)
        except Invalid as error:
            self.refuse(field, error)
            return cast(T, None)

    def refuse(self, field: str, error: Invalid) -> None:
        """Note that a field is wrong."""
        self.errors.setdefault(field, error)

    def done(self) -> None:
        """Raise ``FieldErrors`` when any field was refused."""
        if self.errors:
            raise FieldErrors(_("有内容需要更正，请逐项查看。"), self.errors)


@contextmanager
def unique(field: str, taken: Invalid) -> Iterator[None]:
    """A write that a unique constraint may refuse: asked before, but another request may have been faster."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if "unique" not in str(error).lower():
            raise
        raise FieldErrors(taken.message, {field: taken}) from error
