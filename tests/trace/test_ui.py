"""The frame and the parts of pages: dates and amounts in words, icons, forms that say what is wrong, languages."""

import re
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django import forms
from django.core.files.uploadedfile import SimpleUploadedFile, UploadedFile
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.utils import translation
from django.utils.datastructures import MultiValueDict

import trace
from trace.errors import BrokenGuard, GuardBroken
from trace.language import query_language
from trace.parts import Column, Entry, Number, Row, Share, Table, Task
from trace.templatetags import ui

ROOT = Path(trace.__file__).resolve().parent
NOON = datetime(2026, 11, 22, 4, 5, tzinfo=UTC)  # 12:05 in Shanxi


def page(source: str, path: str = "/", **context: Any) -> str:
    """What a page's template with these lines becomes."""
    request = RequestFactory().get(path)
    return Template("{% load i18n ui %}" + source).render(Context({"request": request, **context}))


def part(name: str, **context: Any) -> str:
    """What a part becomes."""
    return render_to_string(
        f"trace/parts/{name}.html", context, request=RequestFactory().get("/lots/?state=held&page=2")
    )


class WellFormed(HTMLParser):
    """Raises when elements are not closed in order, and collects ids and references to them."""

    VOID = {"meta", "link", "input", "br", "hr", "img", "path", "rect", "circle"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, dict(attrs))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def _note(self, tag: str, attrs: dict[str, str | None]) -> None:
        self.ids += [value for key, value in attrs.items() if key == "id" and value]
        for key in ("for", "aria-describedby", "aria-labelledby"):
            self.references += (attrs.get(key) or "").split()
        if tag == "a" and (attrs.get("href") or "").startswith("#"):
            self.references.append(str(attrs["href"])[1:])
        self.inline += [key for key in attrs if key == "style" or key.startswith("on")]
        if tag == "style" or (tag == "script" and not attrs.get("src")):
            self.inline.append(tag)


def checked(html: str) -> str:
    """The same text, after its elements, ids, references and content security have been checked."""
    parser = WellFormed()
    parser.feed(html)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert set(parser.references) <= set(parser.ids)
    assert parser.inline == []
    return html


# --- Words -------------------------------------------------------------------------------------------------


def test_a_day_is_written_in_the_readers_language() -> None:
    assert page("{{ d|day }}", d=date(2026, 11, 2)) == '<time datetime="2026-11-02">2026年11月2日</time>'
    with translation.override("en"):
        assert ui.day_text(date(2026, 11, 2)) == "2 Nov 2026"


def test_the_day_of_an_instant_is_the_day_in_shanxi() -> None:
    assert ui.day_text(datetime(2026, 11, 22, 17, 0, tzinfo=UTC)) == "2026年11月23日"


def test_an_instant_names_its_zone() -> None:
    assert ui.moment_text(NOON) == "2026年11月22日 12:05（北京时间）"
    assert 'datetime="2026-11-22T12:05:00+08:00"' in ui.moment(NOON)
    with translation.override("en"):
        assert ui.moment_text(NOON).startswith("22 Nov 2026, 12:05 (")


def test_an_instant_can_be_shown_in_the_offset_it_was_entered_with() -> None:
    midnight = NOON.replace(hour=16, minute=0)
    assert ui.limit_text(NOON) == ui.moment_text(NOON)
    assert ui.limit_text(midnight) == "2026年11月22日 24:00（北京时间）"
    assert 'datetime="2026-11-23T00:00:00+08:00">2026年11月22日 24:00' in ui.limit(midnight)
    assert "2026年11月22日 09:35（UTC+05:30）" in ui.moment_at(NOON, 330)
    assert "2026年11月21日 23:35（UTC-04:30）" in ui.moment_at(NOON, -270)


def test_nothing_is_shown_for_a_date_that_is_not_there() -> None:
    assert (ui.day(None), ui.moment(""), ui.ago(None)) == ("", "", "")


def test_ago_is_just_now_below_a_minute() -> None:
    assert "刚刚" in ui.ago(NOON, NOON + timedelta(seconds=59))
    assert "3\xa0小时前" in ui.ago(NOON, NOON + timedelta(hours=3, minutes=20))


def test_amounts_are_exact_and_carry_their_unit() -> None:
    assert ui.amount(1_250_500_000, "KGM") == "1,250.5 千克"
    assert ui.amount(None, "KGM") == ""
    assert ui.quantity(-1_234_000_001) == "-1,234.000001"
    assert ui.quantity(-500_000) == "-0.5"
    with translation.override("en"):
        assert ui.amount(1_250_500_000, "KGM") == "1,250.5 kg"


def test_units_of_readings_have_names_too() -> None:
    assert [ui.unit_name(code) for code in ("CEL", "KGM", "瓶")] == ["℃", "千克", "瓶"]


@pytest.mark.parametrize(("ratio", "words"), [(0.875, "87.5%"), (1, "100%"), (0.0, "0%"), (0.0004, "0%"), (None, "")])
def test_percentages_lose_needless_zeros(ratio: float | None, words: str) -> None:
    assert ui.percent(ratio) == words


def test_missing_facts_say_so_and_zero_is_a_fact() -> None:
    assert "未提供" in ui.given("")
    assert ui.given(0) == 0


def test_codes_are_grouped_for_typing() -> None:
    assert ui.groups("7K3MWQ9XTB2H") == "7K3M WQ9X TB2H"


# --- Icons, badges, verdicts -------------------------------------------------------------------------------


def test_every_state_and_source_has_a_drawing_a_tone_and_words() -> None:
    for look in [*ui.STATES.values(), *ui.SOURCES.values()]:
        assert look.icon in ui.icon_names()
        assert look.tone in ui.TONES
        assert str(look.words)
    assert set(ui.TONES.values()) <= set(ui.icon_names())


def test_every_icon_named_in_a_template_exists() -> None:
    used = set()
    for folder in ("trace", "recalls", "labels", "desk"):
        for file in (ROOT.parent / folder / "templates").rglob("*.html"):
            text = file.read_text(encoding="utf-8")
            used |= set(re.findall(r'{% icon "([^"]+)"', text))
            used |= set(re.findall(r'{% nav_link "[^"]+" _\("[^"]+"\) "([^"]+)"', text))
    assert len(used) > 10
    assert used <= set(ui.icon_names())


def test_a_badge_always_has_words_and_an_icon() -> None:
    html = checked(page('{% badge "recalled" %}'))
    assert "已召回" in html
    assert "<svg" in html
    assert "待核对" in page('{% badge "attention" _("待核对") %}')


def test_an_unknown_state_is_our_mistake_and_not_a_blank_badge() -> None:
    with pytest.raises(KeyError):
        ui.badge("no such state")


def test_the_verdict_is_a_heading_in_words() -> None:
    html = checked(page('{% verdict "recalled" %}<p>{{ why }}</p>{% endverdict %}', why="<b>"))
    assert "<h1>已召回</h1>" in html
    assert "<p>&lt;b&gt;</p>" in html


def test_no_page_ever_calls_goods_genuine() -> None:
    for file in [*(ROOT / "templates").rglob("*.html"), Path(ui.__file__)]:
        assert "正品" not in file.read_text(encoding="utf-8"), file


def test_notices_keep_the_writers_markup_and_escape_values() -> None:
    html = checked(page('{% notice "attention" title %}<p>{{ x }}</p>{% endnotice %}', title="<i>", x="a&b"))
    assert "&lt;i&gt;" in html
    assert "<p>a&amp;b</p>" in html


@pytest.mark.parametrize(
    ("due", "done", "words", "tone"),
    [
        (NOON + timedelta(hours=5, minutes=20), None, "还剩 5 小时 20 分", "attention"),
        (NOON + timedelta(days=1, hours=5, minutes=20), None, "还剩 1 天 5 小时", "good"),
        (NOON - timedelta(minutes=1), None, "已逾期 1 分", "danger"),
        (NOON, None, "已逾期 0 分", "danger"),
        (NOON, NOON, "按时完成", "good"),
        (NOON, NOON + timedelta(hours=2), "完成，迟了 2 小时", "attention"),
        (None, None, "未定期限", "mute"),
    ],
)
def test_a_clock_says_what_is_left(due: datetime | None, done: datetime | None, words: str, tone: str) -> None:
    left = ui.remaining(due, NOON, done)
    assert (left.words, left.tone) == (words, tone)


def test_a_clock_part_needs_only_label_and_due_and_hands_its_words_to_the_browser() -> None:
    html = checked(part("clock", label="启动", due=datetime.now(UTC) + timedelta(hours=1, minutes=1)))
    assert "还剩 1 小时" in html
    assert 'data-left="还剩 %(span)s"' in html
    assert "data-due" not in part("clock", label="启动", due=NOON, done=NOON)


# --- Forms -------------------------------------------------------------------------------------------------


class Harvest(forms.Form):
    """A form with every kind of control."""

    name = forms.CharField(label="名称", help_text="与包装一致")
    amount = forms.DecimalField(label="数量", min_value=0)
    count = forms.IntegerField(label="箱数", required=False)
    on = forms.DateField(label="日期")
    at = forms.DateTimeField(label="时间", required=False)
    kind = forms.ChoiceField(label="结论", choices=[("a", "合格"), ("b", "拒收")], widget=forms.RadioSelect)
    papers = forms.MultipleChoiceField(
        label="凭证", choices=[("1", "送货单")], widget=forms.CheckboxSelectMultiple, required=False
    )
    plot = forms.ChoiceField(label="地块", choices=[("1", "一号地")])
    photo = forms.FileField(label="照片", required=False)
    remark = forms.CharField(label="备注", widget=forms.Textarea, required=False)
    agree = forms.BooleanField(label="已核对")
    token = forms.CharField(widget=forms.HiddenInput)


def test_every_kind_of_field_is_tied_to_its_label_hint_and_error() -> None:
    html = checked(page("{% error_summary form %}{% fields form %}", form=Harvest({"name": ""})))
    assert 'aria-describedby="id_name_hint id_name_error"' in html
    # Name, amount, day, plot, agreement, and each choice of the conclusion.
    assert html.count('aria-invalid="true"') == 7
    assert '<input type="hidden" name="token"' in html


def test_the_error_summary_names_each_field_and_leads_to_it() -> None:
    html = page("{% error_summary form %}", form=Harvest({"name": "", "kind": "z"}))
    assert re.search(r'<a href="#id_name">名称：[^<]+</a>', html)
    assert 'href="#id_kind_0"' in html
    assert "data-focus" in html


def test_there_is_no_error_summary_without_errors() -> None:
    assert page("{% error_summary form %}", form=Harvest()).strip() == ""
    assert page("{% error_summary form %}", form=None).strip() == ""


def test_errors_of_the_whole_form_and_of_formsets_are_in_the_summary() -> None:
    form = Harvest({})
    form.add_error(None, "两批不能相同")
    assert "<li>两批不能相同</li>" in page("{% error_summary form %}", form=form)
    rows = forms.formset_factory(Harvest, extra=0)({"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "0"})
    rows.is_valid()
    rows.forms[0].empty_permitted = False
    rows.forms[0].full_clean()
    assert 'href="#id_form-0-name"' in page("{% error_summary rows %}", rows=rows)


def test_numbers_are_text_with_a_number_keyboard_and_dates_use_the_native_picker() -> None:
    html = page("{% fields form %}", form=Harvest(initial={"on": date(2026, 11, 22), "at": NOON}))
    assert re.search(r'<input type="text" name="amount"[^>]*inputmode="decimal"', html)
    assert re.search(r'<input type="text" name="count"[^>]*inputmode="numeric"', html)
    assert re.search(r'<input type="date" name="on" value="2026-11-22"', html)
    assert re.search(r'<input type="datetime-local" name="at" value="2026-11-22T12:05"', html)
    assert "min=" not in html


def test_what_a_person_typed_wrongly_is_still_there() -> None:
    html = page("{% field form.amount unit='KGM' %}", form=Harvest({"amount": "一百"}))
    assert 'value="一百"' in html
    assert '<span class="unit">千克</span>' in html


def test_what_is_not_required_says_so() -> None:
    assert "（选填）" in page("{% field form.remark %}", form=Harvest())
    assert "（选填）" not in page("{% field form.name %}", form=Harvest())
    assert "（选填）" not in page("{% field form.remark optional=False %}", form=Harvest())


class WithPhoto(forms.Form):
    words = forms.CharField()
    photo = forms.FileField(required=False)


def test_a_file_that_went_with_a_refused_form_is_asked_for_again() -> None:
    photo: MultiValueDict[str, UploadedFile[Any]] = MultiValueDict({"photo": [SimpleUploadedFile("a.jpg", b"a")]})
    asked = "请重新选择这个文件"
    assert asked in page("{% field form.photo %}", form=WithPhoto({"words": ""}, photo))
    assert asked not in page("{% field form.photo %}", form=WithPhoto({"words": ""}, MultiValueDict()))
    assert asked not in page("{% field form.photo %}", form=WithPhoto({"words": "好"}, photo))


def test_rendering_a_field_leaves_the_form_as_it_was() -> None:
    form = Harvest()
    page("{% fields form %}", form=form)
    assert form.fields["amount"].widget.input_type == "number"
    assert form.fields["amount"].widget.attrs["min"] == 0


def test_a_broken_guard_gives_its_reason_and_the_choice_to_insist() -> None:
    guards = [BrokenGuard("early", "发货早于放行"), BrokenGuard("more_out", "发出多于在库")]
    html = checked(part("insist", error=GuardBroken("x", guards)))
    assert "发货早于放行" in html
    assert 'name="insist"' in html
    assert 'name="insist"' not in part("insist", error=GuardBroken("x", guards, insistable=False))
    assert part("insist").strip() == ""


# --- Parts -------------------------------------------------------------------------------------------------


def test_a_summary_shows_sources_amendments_and_gaps() -> None:
    rows = [Row("净含量", "500 克", old="520 克"), Row("标准"), Row("水分", "4%", source="laboratory", url="/x")]
    html = checked(part("summary", rows=rows))
    assert "520 克</del>" in html
    assert "未提供" in html
    assert "检验机构" in html
    assert '<a href="/x">更改<span class="visually-hidden"> 水分</span></a>' in html


def test_a_time_line_keeps_order_and_says_who_said_it() -> None:
    entries = [
        Entry(NOON, "采收", place="示例沟", who="示例合作社", source="self_declared", precision="day"),
        Entry(NOON, "检验", offset=330, source="laboratory", icon="flask"),
    ]
    html = checked(part("timeline", entries=entries))
    assert html.index("采收") < html.index("检验")
    assert "企业自报" in html
    assert "UTC+05:30" in html
    assert html.count("12:05") == 0


def test_tiles_group_thousands_and_admit_what_is_unknown() -> None:
    html = checked(part("numbers", numbers=[Number("发出", 12500, "瓶"), Number("在消费者手中", None)]))
    assert "12,500 <span" in html
    assert "不明" in html


def test_a_table_names_each_cell_for_phones() -> None:
    table = Table("批次", [Column("批号"), Column("数量", numeric=True)], [["A<1", "5"]])
    html = checked(part("table", table=table))
    assert '<th scope="row" data-label="批号">A&lt;1</th>' in html
    assert '<td data-label="数量" class="num">5</td>' in html


def test_a_table_row_with_a_cell_too_few_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="shorter"):
        _ = Table("", [Column("a"), Column("b")], [["1"]]).lines


def test_a_task_without_address_is_not_a_link() -> None:
    html = checked(part("tasks", tasks=[Task("评估", "done", "/a"), Task("公告", "todo")]))
    assert html.count("<a ") == 1
    assert "未开始" in html


def test_shares_are_drawn_to_scale_and_told_in_words() -> None:
    html = checked(part("shares", shares=[Share("退回", 75, text="75 箱"), Share("不明", 25, "mute"), Share("无", 0)]))
    assert re.search(r'class="fill-good" x="0.00" y="0" width="448.00"', html)
    assert 'x="450.00"' in html
    assert "75 箱" in html


def test_shares_of_nothing_are_an_empty_bar() -> None:
    assert "fill-good" not in ui.share_bar([Share("退回", 0)])


def test_paging_keeps_the_filters() -> None:
    html = checked(part("pager", page=Paginator(range(95), 20).page(2)))
    assert "?state=held&amp;page=3" in html
    assert "第 2 / 5 页" in html
    cursor = part("pager", next_cursor="abc")
    assert "after=abc" in cursor
    assert part("pager").strip() == ""


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("empty", {"title": "没有批次", "text": "先登记", "url": "/x", "action": "登记"}),
        ("confirmation", {"title": "已启动", "reference": "召-1"}),
        ("search", {"action": "/find", "hint": "任意编码"}),
        ("help", {"title": "什么是批次", "text": "同一次生产"}),
        ("source", {"code": "sensor"}),
        ("public_foot", {"mismatch_url": "/m", "host": "trace.example.cn"}),
        ("ribbon", {"kind": "drill"}),
    ],
)
def test_small_parts_are_well_formed(name: str, context: dict[str, Any]) -> None:
    assert checked(part(name, **context)).strip()


# --- The frame, languages, errors --------------------------------------------------------------------------


def frame(actor: Any = None, path: str = "/lots/?state=held") -> str:
    request = RequestFactory().get(path)
    request.actor = actor  # type: ignore[attr-defined]
    return render_to_string("trace/error.html", {"user": None}, request=request)


def actor(kind: str = "producer") -> Any:
    organisation = SimpleNamespace(name="示例核桃有限公司", kind=kind)
    return SimpleNamespace(
        name="王示例",
        organisation=organisation,
        owner=organisation,
        on_behalf_of=None,
        is_regulator=kind == "regulator",
    )


def test_the_frame_is_well_formed_for_everyone() -> None:
    for who in (None, actor(), actor("regulator")):
        html = checked(frame(who))
        assert '<html lang="zh-CN">' in html
        assert '<meta name="robots" content="noindex">' in html


def test_the_visitor_gets_the_other_language_by_a_link_that_keeps_the_page() -> None:
    assert 'href="/lots/?state=held&amp;lang=en"' in frame()


def test_who_is_signed_in_changes_language_by_a_form() -> None:
    html = frame(actor())
    assert 'name="language" value="en"' in html
    assert 'name="next" value="/lots/?state=held"' in html


def test_the_ribbon_shows_only_in_the_demonstration(settings: Any) -> None:
    assert "演示数据" not in frame()
    settings.DEMO = True
    assert "演示数据" in frame()


def test_who_enters_on_behalf_of_a_grower_sees_both_names() -> None:
    clerk = actor()
    clerk.on_behalf_of = SimpleNamespace(name="示例农户")
    html = frame(clerk)
    assert "示例核桃有限公司" in html
    assert "示例农户" in html


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "429", "500"])
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_error_pages_render_without_request_or_context(name: str, language: str) -> None:
    with translation.override(language):
        html = checked(render_to_string(f"{name}.html"))
    assert f'<html lang="{"en" if language == "en" else "zh-CN"}">' in html
    assert "<h1>" in html


def test_an_error_page_shows_the_message_and_the_code() -> None:
    html = checked(render_to_string("trace/error.html", {"error": GuardBroken("批次已封存", [])}))
    assert "批次已封存" in html
    assert "guard_broken" in html


@pytest.mark.parametrize(
    ("asked", "got"),
    [("en", "en"), ("EN", "en"), ("zh-CN", "zh-hans"), ("zh", "zh-hans"), ("xx", "de"), ("", "de"), ("e\x00", "de")],
)
def test_the_address_chooses_the_language(asked: str, got: str) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(translation.get_language() or "")

    with translation.override("de"):
        assert query_language(view)(RequestFactory().get("/", {"lang": asked})).content.decode() == got


def test_a_navigation_item_is_marked_where_one_is_and_absent_where_it_leads_nowhere() -> None:
    assert 'aria-current="page"' in page('{% nav_link "set_language" "x" "language" %}', path="/i18n/setlang/")
    assert 'aria-current="page"' not in page('{% nav_link "set_language" "x" %}', path="/lots/")
    assert page('{% nav_link "no:such" "x" %}') == ""
    assert page('{% url_or_none "trace:set_language" %}') == "/i18n/setlang/"


def test_page_url_changes_and_removes_parameters() -> None:
    assert page("{% page_url page=3 state=None %}", path="/?state=held&q=核桃") == "?q=%E6%A0%B8%E6%A1%83&amp;page=3"


# --- Colours -----------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb (WCAG 2.2)."""
    digits = colour.lstrip("#")
    digits = "".join(c * 2 for c in digits) if len(digits) == 3 else digits
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_has_enough_contrast_on_every_ground_it_stands_on() -> None:
    css = (ROOT / "static" / "trace" / "site.css").read_text(encoding="utf-8")
    colour = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", css))
    for text in ("ink", "soft", "link", "green", "wine", "amber", "slate", "teal"):
        for ground in ("paper", "card"):
            assert contrast(colour[text], colour[ground]) >= 4.5, (text, ground)
    for tone in ("green", "wine", "amber", "slate", "teal"):
        assert contrast(colour[tone], colour[f"{tone}-wash"]) >= 4.5, tone
    for dark in ("green", "green-deep", "wine", "wine-deep", "slate"):
        assert contrast("#fff", colour[dark]) >= 4.5, dark
    assert contrast(colour["soft"], colour["grey-wash"]) >= 4.5
    assert contrast(colour["edge"], colour["card"]) >= 3
    assert contrast(colour["edge"], colour["paper"]) >= 3


def test_the_style_sheet_stays_small() -> None:
    assert (ROOT / "static" / "trace" / "site.css").stat().st_size < 30_000
