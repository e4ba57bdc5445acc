"""The public's own pages: claim in a recall, receipt and reply, 告诉我召回. No account, no cookie, no script needed.

A word signed for each form stands in for the CSRF cookie (``recalls.tokens``). A GET changes nothing: mail programs
that open links ahead of their reader neither confirm nor end anything.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from recalls.access import case_by_number
from recalls.actions.cases import Named, file_claim, forget_case, named
from recalls.actions.subscriptions import Scope, confirm, end, subscribe, what_words
from recalls.consumer_forms import ClaimForm, ReceiptForm, SubscribeForm
from recalls.models import CaseStep, ConsumerCase, RiskWarning, Subscription
from recalls.queries import claim_words, publication_in_force
from recalls.service import Key, targets
from recalls.tokens import form_word, read_form_word, read_subscription_token
from recalls.transitions import Status
from recalls.views.doors import page
from recalls.views.public import public_campaign
from trace.access import audience, parse_uid
from trace.errors import NotFound, TooMany
from trace.forms.fields import attempt
from trace.parts import Entry, Row
from trace.personal import reveal
from trace.throttle import spend

FILED = (10, 600)
"""Claims and subscriptions one address may send: so many in so many seconds."""
ASKED = (20, 60)
"""Receipt numbers that do not exist one address may try."""


def _may(request: HttpRequest, bucket: str, limit: tuple[int, int]) -> None:
    """Refuse (429) an address that wrote or tried too often."""
    if not spend(bucket, request.META.get("REMOTE_ADDR", ""), limit):
        raise TooMany(_("提交太频繁，请过一会儿再试。"), code="too_many")


def _private(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "private, no-store"
    return answer


# --- Claims ---------------------------------------------------------------------------------------------------------


@audience("public")
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def claim(request: HttpRequest, ref: str) -> HttpResponse:
    """Claim what a recall offers for the goods in hand: 退货, 换货, 修理, 退款."""
    campaign = public_campaign(ref)
    publication = publication_in_force(campaign)
    assert publication is not None  # noqa: S101 (a public campaign has one)
    purpose = f"claim {campaign.uid}"
    goods = named(request.GET.get("code", "")[:200]) if request.GET.get("code") else Named("")
    initial = {"word": form_word(purpose), "code": goods.code}
    form = ClaimForm(request.POST or None, request.FILES or None, initial=initial, track=campaign.track)
    if request.method == "POST":
        _may(request, "claim", FILED)
        case = attempt(
            form,
            lambda: file_claim(
                nonce=read_form_word(form.cleaned_data["word"], purpose),
                campaign=campaign,
                code=form.cleaned_data["code"],
                remedy=form.cleaned_data["remedy"],
                pieces=form.cleaned_data["pieces"],
                price_cents=form.cleaned_data["price"],
                harm=form.cleaned_data["harm"],
                told=form.told(),
            ),
            {"consent_required": "contact", "code_required": "code", "pieces_range": "pieces", "file_type": "photo"},
        )
        if case is not None:
            return redirect(f"{reverse('recalls:receipt', args=[case.number])}?new=1{_lang(request)}")
    context = {
        "campaign": campaign,
        "notice": publication.notice,
        "form": form,
        "ended": campaign.status == Status.CLOSED,
        "claim_words": claim_words(campaign),
        "aim": targets()[Key.CLAIM.value],
    }
    return _private(page(request, "recalls/claim.html", context, bad=form.is_bound))


def _lang(request: HttpRequest) -> str:
    """The language asked for, kept over a redirect."""
    return "&lang=en" if (get_language() or "").startswith("en") and "lang" in request.GET else ""


# --- Receipts -------------------------------------------------------------------------------------------------------


@audience("public")
@require_safe
def receipts(request: HttpRequest) -> HttpResponseBase:
    """Type a receipt number, read the reply."""
    form = ReceiptForm(request.GET if "number" in request.GET else None)
    if form.is_bound and form.is_valid():
        number = "".join(form.cleaned_data["number"].split()).upper()
        if number.isascii() and number.replace("-", "").isalnum():
            return redirect("recalls:receipt", number)
        form.add_error("number", _("没有这个回执号，请核对后再填。"))
    return page(request, "recalls/receipts.html", {"form": form}, bad=form.is_bound)


@audience("public")
@require_safe
def receipt(request: HttpRequest, number: str) -> HttpResponse:
    """One complaint or claim as who holds its receipt sees it: what was said, until when an answer is due, the
    answer.
    """
    case = _case(request, number)
    return _private(
        page(
            request,
            "recalls/receipt.html",
            {
                "case": case,
                "rows": _receipt_rows(case),
                "entries": public_entries(case),
                "word": form_word(f"forget {case.number}"),
                "is_new": request.GET.get("new") == "1",
                "photos": 0 if case.forgotten_at else case.photos.count(),
            },
        )
    )


def _case(request: HttpRequest, number: str) -> ConsumerCase:
    """The case of a receipt; who tries many numbers that do not exist has to wait."""
    try:
        return case_by_number(number)
    except NotFound:
        _may(request, "receipt", ASKED)
        raise


def _receipt_rows(case: ConsumerCase) -> list[Row]:
    """What the consumer said, as long as it is kept."""
    goods = f"{case.lot.product_version.label} {case.lot.code}" if case.lot is not None else _("本系统没有签发过的码")
    rows = [
        Row(_("类型"), case.get_kind_display()),
        Row(_("产品"), goods),
        Row(_("标签上的码"), case.code_words),
        Row(_("承办"), case.owner.label if case.owner else _("监管部门")),
        Row(_("办理目标"), case.due_at),
    ]
    if case.kind == ConsumerCase.Kind.CLAIM:
        rows += [Row(_("您的要求"), case.get_remedy_display()), Row(_("件数"), case.pieces)]
    if case.fact:
        rows.append(Row(_("页面上的哪一项"), case.fact))
    if case.paid_cents is not None:
        rows.append(Row(_("已付（元）"), f"{case.paid_cents / 100:.2f}"))
    if case.payer:
        rows.append(Row(_("赔付方"), f"{case.get_payer_display()} · {case.payer_name}"))
    if case.forgotten_at is None:
        rows += [Row(_("您说的情况"), reveal(case.words)), Row(_("您的联系方式"), reveal(case.contact))]
    return rows


def public_entries(case: ConsumerCase) -> list[Entry]:
    """The steps the consumer may read, with the words of the replies."""
    steps = case.steps.filter(public=True).select_related("words", "by_organisation")
    return [
        Entry(
            at=step.at,
            title=step.get_step_display(),
            text=reveal(step.words) or (_("（内容已删除）") if step.words_id else _handed(step)),
            who=step.by_organisation.label if step.by_organisation else _("您"),
            tone="good" if step.step in ("replied", "settled") else "",
        )
        for step in steps
    ]


def _handed(step: CaseStep) -> str:
    return _("转给 %(to)s") % {"to": step.data["to"]} if step.data.get("to") else ""


@audience("public")
@csrf_exempt
@require_POST
def receipt_forget(request: HttpRequest, number: str) -> HttpResponseBase:
    """One tap: contact, words and photographs of this case are destroyed now."""
    case = _case(request, number)
    read_form_word(request.POST.get("word", ""), f"forget {case.number}")
    forget_case(case=case, asked=True)
    return redirect("recalls:receipt", case.number)


# --- Subscriptions --------------------------------------------------------------------------------------------------


@audience("public")
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def tell_me(request: HttpRequest) -> HttpResponse:
    """告诉我召回: by the goods of a code (lot, product, firm), or of all recalls."""
    goods = named(request.GET.get("code", "")[:200]) if request.GET.get("code") else Named("")
    scopes = _scopes(goods)
    purpose = f"subscribe {goods.lot.pk if goods.lot else ''}"
    form = SubscribeForm(
        request.POST or None,
        scopes=scopes,
        initial={"word": form_word(purpose), "scope": scopes[0][0]},
    )
    if request.method == "POST":
        _may(request, "subscribe", FILED)
        data = form
        row = attempt(
            form,
            lambda: subscribe(
                nonce=read_form_word(data.cleaned_data["word"], purpose),
                channel=data.cleaned_data["channel"],
                address=data.cleaned_data["address"],
                scope=data.cleaned_data["scope"],
                consent=data.cleaned_data["consent"],
                lot=goods.lot,
                product=goods.lot.product if goods.lot else None,
                firm=goods.lot.organisation if goods.lot else None,
                language=get_language() or "zh-hans",
            ),
            {"address_bad": "address", "consent_required": "consent", "unknown_choice": "scope"},
        )
        if row is not None:
            # The same page whoever it was: it does not tell whether an address is known here.
            return _private(page(request, "recalls/tell_me_sent.html", {"goods": goods}))
    return _private(page(request, "recalls/tell_me.html", {"form": form, "goods": goods}, bad=form.is_bound))


def _scopes(goods: Named) -> list[tuple[str, str]]:
    """What can be chosen for these goods."""
    if goods.lot is None:
        return [(Scope.ALL.value, str(Scope.ALL.label))]
    lot = goods.lot
    return [
        (Scope.PRODUCT.value, _("这个产品的召回：%(name)s") % {"name": lot.product_version.label}),
        (Scope.LOT.value, _("只要这个批次的：%(code)s") % {"code": lot.code}),
        (Scope.FIRM.value, _("这个生产者的所有产品：%(name)s") % {"name": lot.organisation.label}),
        (Scope.ALL.value, str(Scope.ALL.label)),
    ]


def _subscription(token: str) -> Subscription:
    """The subscription of a link out of our own message."""
    rows = Subscription.objects.select_related("address", "lot__product_version", "product__current", "firm")
    found = rows.filter(uid=read_subscription_token(token)).first()
    if found is None:
        raise NotFound(_("这个链接无效，请从我们发给您的消息里打开。"))
    return found


@audience("public")
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def subscription(request: HttpRequest, token: str) -> HttpResponse:
    """Where the links of a message lead: confirm by a button, end by another."""
    row = _subscription(token)
    if request.method == "POST":
        row = confirm(subscription=row)
    return _private(page(request, "recalls/subscription.html", {"row": row, "what": what_words(row), "token": token}))


@audience("public")
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def subscription_end(request: HttpRequest, token: str) -> HttpResponseBase:
    """End a subscription: by the button, or by one click of a mail program (RFC 8058). GET leads to the button."""
    row = _subscription(token)
    if request.method == "POST":
        row = end(subscription=row)
        return _private(
            page(request, "recalls/subscription.html", {"row": row, "what": what_words(row), "token": token})
        )
    return redirect("recalls:subscription", token)


# --- Warnings -------------------------------------------------------------------------------------------------------


@audience("public")
@require_safe
def warnings(request: HttpRequest) -> HttpResponse:
    """Published risk warnings, newest first."""
    rows = RiskWarning.objects.filter(published_at__isnull=False).select_related("publisher")
    return page(request, "recalls/warnings.html", {"rows": list(rows.order_by("-published_at")[:100])})


@audience("public")
@require_safe
def warning(request: HttpRequest, uid: str) -> HttpResponse:
    """One published risk warning."""
    rows: Any = RiskWarning.objects.filter(published_at__isnull=False).select_related("publisher")
    found = rows.filter(uid=parse_uid(uid)).first()
    if found is None:
        raise NotFound(_("没有这条风险警示。"))
    return page(request, "recalls/warning.html", {"warning": found})
