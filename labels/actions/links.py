"""Setting and ending the links a producer gives its goods."""

from __future__ import annotations

import datetime
import re

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labels.link_types import check_target, link_types
from labels.models import ProductLink, ProductLinkStep
from trace.access import entered_for
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotFound
from trace.models import Lot, Product
from trace.text import clean_text

TITLE_MAX = 80
REASON_MAX = 300
MOST_LINKS = 30
_COUNTRY = re.compile(r"[A-Z]{2}")


def add_link(
    *,
    by: Actor,
    product: Product,
    link_type: str,
    title: str,
    href: str,
    lot: Lot | None = None,
    language: str = "",
    context: str = "",
    at: datetime.datetime | None = None,
) -> ProductLink:
    """Set one link of a product of the actor's own, or of one lot of it.

    Refuses products and lots of others (404), types a producer cannot set (``link_type``), a target that is no plain
    https address of a public host (``link_target``), no words (``link_title``), an unknown language
    (``link_language``) or country (``link_context``, two letters of ISO 3166-1), more than 30 open links of a product
    (``link_too_many``), and the same link twice (``link_exists``).
    """
    by.require("operator", "quality")
    if product.organisation_id not in entered_for(by) or (lot is not None and lot.product_id != product.pk):
        raise NotFound(_("没有找到，或者您无权查看。"))
    found = link_types().get(link_type)
    if found is None or found.ours:
        raise Invalid(_("请选择链接类型。"), code="link_type")
    target, host = check_target(href)
    words = clean_text(title, TITLE_MAX)
    if not words:
        raise Invalid(_("请写上链接文字，读者靠它知道会打开什么。"), code="link_title")
    if language not in ProductLink.Language.values:
        raise Invalid(_("请选择语言。"), code="link_language")
    country = context.strip().upper()
    if country and not _COUNTRY.fullmatch(country):
        raise Invalid(_("国家或地区写两位字母代码，例如 CN。"), code="link_context")
    now = at or timezone.now()
    try:
        with transaction.atomic():
            if ProductLink.objects.filter(product=product, ended_at=None).count() >= MOST_LINKS:
                raise Clash(_("一个产品最多 %(most)d 个链接。") % {"most": MOST_LINKS}, code="link_too_many")
            link = ProductLink.objects.create(
                organisation=product.organisation,
                product=product,
                lot=lot,
                link_type=link_type,
                title=words,
                href=target,
                host=host,
                language=language,
                context=country,
                at=now,
            )
            _step(link, ProductLinkStep.Step.ADDED, by, "", now)
    except IntegrityError:
        raise Clash(_("这个链接已经设置过了。"), code="link_exists") from None
    return link


def end_link(*, by: Actor, link: ProductLink, reason: str, at: datetime.datetime | None = None) -> ProductLink:
    """End a link of the actor's own; it stays in the history.

    Refuses links of others (404), no reason (``reason_required``), and a link that has ended (``link_ended``).
    """
    by.require("operator", "quality")
    if link.organisation_id not in entered_for(by):
        raise NotFound(_("没有找到，或者您无权查看。"))
    words = clean_text(reason, REASON_MAX)
    if not words:
        raise Invalid(_("请写明原因。"), code="reason_required")
    now = at or timezone.now()
    with transaction.atomic():
        if not ProductLink.objects.filter(pk=link.pk, ended_at=None).update(ended_at=now):
            raise Clash(_("这个链接已经取消了。"), code="link_ended")
        _step(link, ProductLinkStep.Step.ENDED, by, words, now)
    link.ended_at = now
    return link


def _step(link: ProductLink, step: str, by: Actor, reason: str, now: datetime.datetime) -> None:
    """Write the history row."""
    ProductLinkStep.objects.create(
        link=link, step=step, by=by.user, by_organisation=by.organisation, reason=reason, at=now
    )
