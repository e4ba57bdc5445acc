"""What a conflict says, read again by somebody with another language."""

from __future__ import annotations

import json

import pytest
from django.utils import translation

from trace.models import Conflict
from trace.sentences import gettext as _
from trace.sentences import in_each_language, said_of, say
from trace.units import amount_said

pytestmark = pytest.mark.once


def test_a_sentence_is_said_again_in_the_language_of_its_reader() -> None:
    have, want = amount_said(1_500_000, "KGM"), amount_said(2_000_000, "KGM")
    text = _("批次 %(lot)s 在该处只有 %(have)s，不够 %(want)s。") % {"lot": "A-1", "have": have, "want": want}
    assert text == "批次 A-1 在该处只有 1.5 千克，不够 2 千克。"
    kept = json.loads(json.dumps(said_of(text)))
    with translation.override("en"):
        assert say(kept) == _("批次 %(lot)s 在该处只有 %(have)s，不够 %(want)s。") % {
            "lot": "A-1", "have": "1.5 kg", "want": "2 kg",
        }  # fmt: skip
    assert say(kept) == text


def test_what_was_joined_or_put_behind_stays_in_both_languages() -> None:
    listed = _("、").join(["A", in_each_language(lambda: _("原料"))])
    kept = json.loads(json.dumps(said_of(_("原料") + listed)))
    with translation.override("en"):
        assert say(kept) == str(_("原料")) + str(_("、")).join(["A", str(_("原料"))])
    assert say(kept) == "原料A、原料"


def test_a_percent_sign_in_what_was_put_in_is_only_text() -> None:
    kept = said_of(_("请填写%(name)s。") % {"name": "100 %(x)s %"})
    assert say(kept) == "请填写100 %(x)s %。"


@pytest.mark.parametrize("said", [None, 3, {}, {"msgid": "批次 %(lot)s", "with": {}}, {"in": {}}, {"all": [None]}])
def test_what_is_no_kept_sentence_shows_the_text_that_was_recorded(said: object) -> None:
    row = Conflict(code="not_enough", details={"detail": "原来的话", "said": said})
    assert row.sentence == "原来的话"
    assert Conflict(code="not_enough", details={"detail": "原来的话"}).sentence == "原来的话"
