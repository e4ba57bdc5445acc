"""Pages by cursor: the key of the last row, signed. Never by offset: rows come in between, and page 1,000 costs as
much as 1.
"""

from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, TypeVar

from django.core import signing
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from pydantic import Field

from trace.api.schemas import In, Out, Text, Whole
from trace.errors import Invalid

MOST = 200
Row = TypeVar("Row", bound=Model)
Item = TypeVar("Item")


class Paging(In):
    """Where to go on and how much to give."""

    cursor: Annotated[str, Text(300)] = Field("", description="`next` of the page before; leave out to begin.")
    limit: Annotated[int, Whole(1, MOST)] = Field(50, description="Rows in one page.")


class Feed(Paging):
    """Paging with a direction: `oldest` first to follow what is recorded, `newest` first to look back."""

    order: Literal["newest", "oldest"] = "newest"


class Page(Out, Generic[Item]):
    """One page. `next` is the cursor of the next page, null on the last; the `Link` header carries it as an address.

    `position` is the cursor behind this page's last row, also on the last page: keep it to ask for what comes later.
    """

    items: list[Item]
    next: str | None = None
    position: str | None = None


def turn(
    rows: QuerySet[Row],
    paging: Paging,
    shape: Callable[[list[Row]], list[Item]],
    *,
    by: str = "pk",
    newest_first: bool = True,
) -> Page[Item]:
    """One page of rows by keyset on ``by`` (a unique, growing column, perhaps across a relation).

    ``shape`` gets the whole page at once, so that what it needs besides costs a fixed number of queries. Refuses a
    cursor of another list or one that was altered (``cursor_invalid``).
    """
    if isinstance(paging, Feed):
        newest_first = paging.order == "newest"
    salt = f"trace.page.{rows.model._meta.label_lower}.{by}.{newest_first}"
    if paging.cursor:
        rows = rows.filter(**{f"{by}__{'lt' if newest_first else 'gt'}": _position(paging.cursor, salt)})
    found = list(rows.order_by(f"-{by}" if newest_first else by)[: paging.limit + 1])
    here = found[: paging.limit]
    position = signing.Signer(salt=salt).sign_object([_value(here[-1], by)]) if here else paging.cursor or None
    return Page[Item](items=shape(here), next=position if len(found) > paging.limit else None, position=position)


def _value(row: Model, by: str) -> Any:
    """The row's key, across relations."""
    value: Any = row
    for step in by.split("__"):
        value = getattr(value, step)
    return value


def _position(cursor: str, salt: str) -> Any:
    """The key in a cursor."""
    try:
        (value,) = signing.Signer(salt=salt).unsign_object(cursor)
    except (signing.BadSignature, ValueError, UnicodeError):
        raise Invalid(_("翻页标记无效，请从第一页开始。"), code="cursor_invalid") from None
    return value


def next_link(request: HttpRequest, cursor: str) -> str:
    """The value of the Link header (RFC 8288) for the next page: the same question with the new cursor."""
    question = request.GET.copy()
    question["cursor"] = cursor
    return f'<{request.build_absolute_uri(request.path)}?{question.urlencode()}>; rel="next"'
