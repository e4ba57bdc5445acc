"""Pages of long lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.paginator import Page, Paginator

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator


class WidePaginator(_Paginator):
    """Pages of a query whose rows bring along rows of many other tables (``select_related``).

    The row numbers of the page are found first and its rows read by them: an engine that joins before it sorts and cuts
    would read every other table for each of ten thousand rows to show fifty.
    """

    def page(self, number: int | str) -> Page[Any]:
        """The page with its rows read, in the order of the query."""
        found = super().page(number)
        rows: Any = found.object_list
        every: Any = self.object_list
        wanted = list(rows.values_list("pk", flat=True))
        # Put in order here: the ORM compares each column of a wide query with those it is ordered by.
        read = {row.pk: row for row in every.order_by().filter(pk__in=wanted)}
        found.object_list = [read[pk] for pk in wanted if pk in read]
        return found
