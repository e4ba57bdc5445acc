"""What holders say: by account, by the letter, by telephone; once or twice, early or late."""

import datetime
import re

import pytest
from django.db import IntegrityError, transaction

from recalls.access import notice_by_link, notice_link
from recalls.actions.answers import (
    LotAnswer,
    acknowledge,
    acknowledge_by_link,
    answer_stock,
    answer_stock_by_link,
    names_given,
)
from recalls.actions.notices import age_notices, enqueue, mark_posted, note_trouble
from recalls.letters import compose, letter_lots, link_url, qr_svg
from recalls.models import Acknowledgement, Notice, NoticeStep, OutboxMessage, StockAnswer
from recalls.notice_states import EscalationStep, NoticeStatus
from tests.recalls.story import Chain, announced, answer, notice_to, started
from trace.errors import DomainError
from trace.models import PersonalRecord


@pytest.fixture
def told(chain: Chain) -> Notice:
    """The distributor's notice of a started recall."""
    return notice_to(started(chain), chain.world.distributor.organisation)


def test_a_member_acknowledges_and_a_second_time_changes_nothing(chain: Chain, told: Notice) -> None:
    first = acknowledge(by=chain.world.distributor, notice=told)
    told.refresh_from_db()
    when = told.acknowledged_at
    again = acknowledge(by=chain.world.distributor, notice=told)
    told.refresh_from_db()
    assert again == first
    assert (told.status, told.acknowledged_at) == (NoticeStatus.ACKNOWLEDGED, when)
    assert Acknowledgement.objects.count() == 1


def test_a_stranger_cannot_acknowledge(chain: Chain, told: Notice) -> None:
    with pytest.raises(DomainError) as refused:
        acknowledge(by=chain.world.cooperative, notice=told)
    assert refused.value.code == "not_your_notice"


def test_the_issuer_writes_down_a_telephone_answer(chain: Chain, told: Notice) -> None:
    row = acknowledge(by=chain.world.walnuts_quality, notice=told)
    assert row.channel == Acknowledgement.Channel.TELEPHONE


def test_who_knows_the_outsider_answers_for_it(chain: Chain) -> None:
    notice = notice_to(started(chain), chain.far_outsider)
    row = answer_stock(by=chain.world.distributor, notice=notice, lots=[answer(chain.pouch_a, 1, sold=3)])
    assert row.channel == Acknowledgement.Channel.TELEPHONE
    notice.refresh_from_db()
    assert notice.status == NoticeStatus.STOCK_ANSWERED


def test_the_letters_link_needs_no_account_and_shows_who_used_it(chain: Chain) -> None:
    notice = notice_to(started(chain), chain.far_outsider)
    token = notice_link(notice)
    acknowledge_by_link(token=token, name="示例甲")
    acknowledge_by_link(token=token, name="示例甲")
    acknowledge_by_link(token=token, name="示例乙")
    assert [name for name, _at in names_given(notice)] == ["示例甲", "示例乙"]
    notice.refresh_from_db()
    assert notice.status == NoticeStatus.ACKNOWLEDGED


def test_a_name_given_on_a_letter_is_sealed(chain: Chain) -> None:
    token = notice_link(notice_to(started(chain), chain.far_outsider))
    acknowledge_by_link(token=token, name="示例甲")
    record = PersonalRecord.objects.get(purpose="recall_answer")
    assert "示例甲".encode() not in bytes(record.secret)


@pytest.mark.parametrize("spoil", [lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"), lambda t: "x" + t, lambda t: ""])
def test_a_forged_link_is_not_found(told: Notice, spoil: object) -> None:
    with pytest.raises(DomainError) as refused:
        notice_by_link(spoil(notice_link(told)))  # type: ignore[operator]
    assert refused.value.status == 404


def test_a_drills_link_leads_nowhere(chain: Chain) -> None:
    notice = notice_to(started(chain, is_drill=True), chain.outsider)
    with pytest.raises(DomainError) as refused:
        notice_by_link(notice_link(notice))
    assert refused.value.status == 404


def test_a_count_answers_and_a_later_count_replaces_it(chain: Chain, told: Notice) -> None:
    by = chain.world.distributor
    answer_stock(by=by, notice=told, lots=[answer(chain.pouch_a, 16, 10, 14)])
    answer_stock(by=by, notice=told, lots=[answer(chain.pouch_a, 16, 10, 14)])
    assert StockAnswer.objects.count() == 1
    answer_stock(by=by, notice=told, lots=[answer(chain.pouch_a, 15, 15, 14, 1)])
    assert StockAnswer.objects.count() == 2
    told.refresh_from_db()
    assert told.status == NoticeStatus.ISOLATED
    assert told.answered_at is not None
    assert told.acknowledged_at is not None


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((1, 2, 0, 0), "sealed_too_much"),
        ((-1, 0, 0, 0), "amount_negative"),
        ((10**10, 0, 0, 0), "amount_too_large"),
    ],
)
def test_a_count_that_cannot_be_is_refused(
    chain: Chain, told: Notice, parts: tuple[int, int, int, int], code: str
) -> None:
    with pytest.raises(DomainError) as refused:
        answer_stock(by=chain.world.distributor, notice=told, lots=[answer(chain.pouch_a, *parts)])
    assert refused.value.code == code
    assert not StockAnswer.objects.exists()


def test_every_lot_must_be_answered_and_no_other(chain: Chain, told: Notice) -> None:
    for lots in ([], [answer(chain.pouch_b, 1)], [answer(chain.pouch_a, 1), answer(chain.pouch_b, 1)]):
        with pytest.raises(DomainError) as refused:
            answer_stock(by=chain.world.distributor, notice=told, lots=lots)
        assert refused.value.code == "lots_incomplete"


def test_the_database_refuses_more_sealed_than_there(chain: Chain, told: Notice) -> None:
    row = acknowledge(by=chain.world.distributor, notice=told)
    with pytest.raises(IntegrityError), transaction.atomic():
        StockAnswer.objects.create(
            acknowledgement=row, notice=told, lot=chain.pouch_a, on_hand_micros=1, sealed_micros=2
        )


def test_the_first_answer_moves_an_announced_campaign_on(chain: Chain) -> None:
    campaign = announced(chain)
    token = notice_link(notice_to(campaign, chain.outsider))
    answer_stock_by_link(token=token, name="示例甲", lots=[answer(chain.pouch_a, 5, 5)])
    campaign.refresh_from_db()
    assert campaign.status == "in_progress"
    assert campaign.steps.get(action="carry_out").by is None


def test_a_withdrawn_notice_takes_no_answer(chain: Chain, told: Notice) -> None:
    from recalls.actions.campaigns import cancel, propose

    world = chain.world
    propose(by=world.walnuts_quality, campaign=told.campaign, action="cancel", reason="误报")
    cancel(by=world.walnuts, campaign=told.campaign, reason="误报")
    told.refresh_from_db()
    with pytest.raises(DomainError) as refused:
        acknowledge(by=world.distributor, notice=told)
    assert refused.value.code == "notice_state"
    with pytest.raises(DomainError) as refused:
        acknowledge_by_link(token=notice_link(told), name="示例甲")
    assert refused.value.code == "notice_state"


def test_two_people_moving_one_notice_at_once_is_told(chain: Chain, told: Notice) -> None:
    old = Notice.objects.select_related("campaign").get(pk=told.pk)
    note_trouble(by=chain.world.walnuts, notice=told, action="refuse", reason="拒收")
    with pytest.raises(DomainError) as refused:
        note_trouble(by=chain.world.walnuts, notice=old, action="escalate", reason="无人接听")
    assert refused.value.code == "stale_state"


# --- Letters --------------------------------------------------------------------------------------------------------


def test_a_letter_is_posted_once(chain: Chain) -> None:
    notice = notice_to(started(chain), chain.far_outsider)
    for _again in range(2):
        mark_posted(by=chain.world.distributor, notice=notice)
    notice.refresh_from_db()
    assert notice.status == NoticeStatus.SENT
    assert NoticeStep.objects.filter(notice=notice, action="send").count() == 1
    assert OutboxMessage.objects.get(notice=notice, channel="letter").sent_at == notice.sent_at


def test_with_a_letter_goes_all_that_waits_to_be_posted(chain: Chain) -> None:
    notice = notice_to(started(chain), chain.far_outsider)
    by = chain.world.distributor
    mark_posted(by=by, notice=notice)
    enqueue([notice], kind=OutboxMessage.Kind.CHANGE, by=by, at=notice.created_at, round_=2)
    waiting = notice.messages.filter(channel="letter", sent_at=None)
    assert waiting.get().kind == "change"
    for _again in range(2):
        mark_posted(by=by, notice=notice)
    assert not waiting.exists()
    assert NoticeStep.objects.filter(notice=notice, action="post").count() == 1


def test_the_letters_qr_decodes_to_its_link(told: Notice) -> None:
    import zxingcpp
    from PIL import Image

    url = link_url(told)
    svg = qr_svg(url)
    size = int(re.findall(r'viewBox="0 0 (\d+)', svg)[0])
    picture = Image.new("L", (size, size), 255)
    for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", svg):
        picture.putpixel((int(x), int(y)), 0)
    found = zxingcpp.read_barcodes(picture.resize((size * 4, size * 4), Image.Resampling.NEAREST))
    assert [one.text for one in found] == [url]


def test_an_e_mail_says_what_and_where_in_both_languages(chain: Chain) -> None:
    campaign = started(chain)
    message = OutboxMessage.objects.select_related("notice__campaign__organisation", "notice__organisation").get(
        notice__organisation=chain.outsider
    )
    email = compose(message)
    assert email.to == ["outsider@example.org"]
    assert campaign.number is not None
    assert campaign.number in email.subject
    body = str(email.body)
    assert chain.pouch_a.code in body
    assert body.count(link_url(message.notice)) == 2
    assert email.extra_headers["Message-ID"] == compose(message).extra_headers["Message-ID"]


def test_the_letter_names_the_lots(told: Notice, chain: Chain) -> None:
    assert [lot.code for lot in letter_lots(told)] == [chain.pouch_a.code]


# --- Waiting --------------------------------------------------------------------------------------------------------


def test_an_unanswered_notice_goes_further_step_by_step_and_each_step_once(chain: Chain, told: Notice) -> None:
    assert told.sent_at is not None
    seen = []
    for hours in (1, 2, 2, 4, 8, 9):
        age_notices(now=told.sent_at + datetime.timedelta(hours=hours))
        told.refresh_from_db()
        seen.append((told.escalation, told.status))
    assert seen == [
        ("", "sent"),
        (EscalationStep.RESEND, "sent"),
        (EscalationStep.RESEND, "sent"),
        (EscalationStep.TELEPHONE, "sent"),
        (EscalationStep.REGULATOR, "escalated"),
        (EscalationStep.REGULATOR, "escalated"),
    ]
    assert OutboxMessage.objects.filter(notice=told, kind="reminder").count() == 1


def test_an_answered_notice_is_left_alone(chain: Chain, told: Notice) -> None:
    acknowledge(by=chain.world.distributor, notice=told)
    told.refresh_from_db()
    assert told.sent_at is not None
    age_notices(now=told.sent_at + datetime.timedelta(days=3))
    told.refresh_from_db()
    assert (told.escalation, told.status) == ("", "acknowledged")


def test_an_escalated_holder_can_still_answer(chain: Chain, told: Notice) -> None:
    assert told.sent_at is not None
    for hours in (2, 4, 8):
        age_notices(now=told.sent_at + datetime.timedelta(hours=hours))
    told.refresh_from_db()
    answer_stock(by=chain.world.distributor, notice=told, lots=[LotAnswer(chain.pouch_a, 0, 0, 0, 0)])
    told.refresh_from_db()
    assert told.status == NoticeStatus.STOCK_ANSWERED
