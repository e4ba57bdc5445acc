"""Pages of the recalls app: the public's under ``/recalls``, the workspaces' under ``/recall``."""

from django.urls import path

from recalls.views import campaigns, cases, consumers, events, goods, ladder, notices, public, scopes, signals, steps

app_name = "recalls"

urlpatterns = [
    # The public.
    path("recalls", public.public_list, name="public_list"),
    path("recalls/feed.atom", public.public_feed, name="public_feed"),
    path("recalls/notice/<str:token>", notices.letter, name="letter"),
    path("recalls/notice/<str:token>/stock", notices.letter_answer, name="letter_answer"),
    path("recalls/notice/<str:token>/customers", ladder.letter_pass_on, name="letter_pass_on"),
    path("recalls/notice/<str:token>/not-ours", ladder.letter_dispute, name="letter_dispute"),
    path("recalls/affected", ladder.affected, name="affected"),
    path("recalls/receipts", ladder.receipts, name="receipts"),
    path("recalls/<str:ref>", public.public_recall, name="public_recall"),
    path("recalls/<str:ref>/claim", consumers.claim, name="claim"),
    path("receipts", consumers.receipts, name="case_receipts"),
    path("receipts/<str:number>", consumers.receipt, name="receipt"),
    path("receipts/<str:number>/forget", consumers.receipt_forget, name="receipt_forget"),
    path("tell-me", consumers.tell_me, name="tell_me"),
    path("tell-me/<str:token>", consumers.subscription, name="subscription"),
    path("tell-me/<str:token>/end", consumers.subscription_end, name="subscription_end"),
    path("warnings", consumers.warnings, name="warnings"),
    path("warnings/<str:uid>", consumers.warning, name="warning"),
    # Complaints, claims, aims, risk warnings.
    path("recall/cases/", cases.case_list, name="case_list"),
    path("recall/cases/<str:uid>/", cases.case, name="case"),
    path("recall/cases/<str:uid>/do/<str:action>/", cases.case_do, name="case_do"),
    path("recall/cases/<str:uid>/photos/<str:number>/", cases.case_photo, name="case_photo"),
    path("recall/targets/", cases.target_list, name="target_list"),
    path("recall/warnings/", cases.warning_list, name="warning_list"),
    path("recall/warnings/new/", cases.warning_new, name="warning_new"),
    path("recall/warnings/<str:uid>/", cases.warning_detail, name="warning_detail"),
    # Signals.
    path("recall/signals/", signals.signal_list, name="signal_list"),
    path("recall/signals/new/", signals.signal_new, name="signal_new"),
    path("recall/signals/<str:uid>/", signals.signal, name="signal"),
    path("recall/signals/<str:uid>/assess/", signals.signal_assess, name="signal_assess"),
    # Campaigns.
    path("recall/campaigns/", campaigns.campaign_list, name="campaign_list"),
    path("recall/campaigns/<str:uid>/", campaigns.campaign, name="campaign"),
    path("recall/campaigns/<str:uid>/assessment/", campaigns.campaign_assess, name="campaign_assess"),
    path("recall/campaigns/<str:uid>/stop-sale/", campaigns.campaign_stop, name="campaign_stop"),
    path("recall/campaigns/<str:uid>/plan/", campaigns.campaign_plan, name="campaign_plan"),
    path("recall/campaigns/<str:uid>/figures/", campaigns.campaign_figures, name="campaign_figures"),
    path("recall/campaigns/<str:uid>/figures.csv", campaigns.campaign_figures_csv, name="campaign_figures_csv"),
    path("recall/campaigns/<str:uid>/scope/", scopes.campaign_scope, name="campaign_scope"),
    path("recall/campaigns/<str:uid>/scope.csv", scopes.campaign_scope_csv, name="campaign_scope_csv"),
    path("recall/campaigns/<str:uid>/events/", events.campaign_events, name="campaign_events"),
    path("recall/campaigns/<str:uid>/announcement/", public.campaign_notice_draft, name="campaign_notice"),
    path("recall/campaigns/<str:uid>/disposal/", goods.campaign_disposal, name="campaign_disposal"),
    path("recall/campaigns/<str:uid>/notices/", notices.campaign_notice_list, name="campaign_notices"),
    path("recall/campaigns/<str:uid>/notices/<str:notice>/", notices.campaign_notice_page, name="campaign_notice_page"),
    path(
        "recall/campaigns/<str:uid>/notices/<str:notice>/answer/",
        notices.campaign_notice_answer,
        name="campaign_notice_answer",
    ),
    path("recall/campaigns/<str:uid>/notices/<str:notice>/return/", goods.campaign_return, name="campaign_return"),
    path("recall/campaigns/<str:uid>/notices/<str:notice>/answers/", ladder.campaign_answers, name="campaign_answers"),
    path("recall/campaigns/<str:uid>/notices/<str:notice>/call/", ladder.campaign_call, name="campaign_call"),
    path(
        "recall/campaigns/<str:uid>/notices/<str:notice>/messages/<str:message>/bounced/",
        ladder.message_bounced,
        name="message_bounced",
    ),
    path("recall/campaigns/<str:uid>/tree/", ladder.campaign_tree, name="campaign_tree"),
    path("recall/campaigns/<str:uid>/calls/", ladder.campaign_calls, name="campaign_calls"),
    path("recall/waiting-times/", ladder.waiting, name="waiting"),
    path("recall/campaigns/<str:uid>/do/<str:action>/", steps.campaign_step, name="campaign_step"),
    path("recall/campaigns/<str:uid>/done/<str:action>/", steps.campaign_done, name="campaign_done"),
    path("recall/campaigns/<str:uid>/propose/<str:action>/", steps.campaign_propose, name="campaign_propose"),
    # Holders.
    path("recall/notices/", notices.notice_list, name="notice_list"),
    path("recall/notices/<str:uid>/", notices.notice, name="notice"),
    path("recall/notices/<str:uid>/acknowledge/", notices.notice_acknowledge, name="notice_acknowledge"),
    path("recall/notices/<str:uid>/stock/", notices.notice_answer, name="notice_answer"),
    path("recall/notices/<str:uid>/customers/", ladder.notice_pass_on, name="notice_pass_on"),
    path("recall/notices/<str:uid>/not-ours/", ladder.notice_dispute, name="notice_dispute"),
    path("recall/notices/<str:uid>/disposal/", goods.notice_disposal, name="notice_disposal"),
    path("recall/notices/<str:uid>/letter/", notices.letter_print, name="letter_print"),
    path("recall/notices/<str:uid>/posted/", notices.letter_posted, name="letter_posted"),
]
