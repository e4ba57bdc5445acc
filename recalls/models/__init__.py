"""The tables of the app; each module holds one subject."""

from recalls.models.acts import RegulatorAct
from recalls.models.campaigns import (
    HOLD_SOURCE,
    Assessment,
    Campaign,
    CampaignSeries,
    CampaignStep,
    RecallPlan,
)
from recalls.models.checks import CheckResult, CheckRound, CheckSample
from recalls.models.clocks import CalendarLoad, ClockChange, ClockInstance, LegalFact, WorkCalendarDay
from recalls.models.consumers import (
    CasePhoto,
    CaseStep,
    ConsumerCase,
    Fanout,
    PublicMessage,
    RiskWarning,
    ServiceTarget,
    Subscription,
)
from recalls.models.disposal import (
    BalanceNote,
    CorrectedRelease,
    DisposalFact,
    DisposalFile,
    DisposalPlan,
    DisposalPlanLot,
    ReleaseApproval,
    ReturnDispatch,
    ReturnOddity,
)
from recalls.models.drills import ContactTest, Drill, DrillGap, DrillTrace
from recalls.models.goods import Disposal, Figures, ReturnReceipt
from recalls.models.hooks import Webhook, WebhookDelivery
from recalls.models.ladder import EscalationRule, NoticeRun, PhoneCall, SetAside
from recalls.models.notices import Acknowledgement, Notice, NoticeLot, NoticeStep, OutboxMessage, StockAnswer
from recalls.models.papers import PackOrder, Paper, PaperDownload
from recalls.models.publication import NoticePicture, Publication, PublicationProof, PublicNotice
from recalls.models.scopes import ScopeHolding, ScopeLot, ScopeVersion
from recalls.models.signals import Signal, SignalStep

__all__ = [
    "HOLD_SOURCE",
    "Acknowledgement",
    "Assessment",
    "BalanceNote",
    "CalendarLoad",
    "Campaign",
    "CampaignSeries",
    "CampaignStep",
    "CasePhoto",
    "CaseStep",
    "CheckResult",
    "CheckRound",
    "CheckSample",
    "ClockChange",
    "ClockInstance",
    "ConsumerCase",
    "ContactTest",
    "CorrectedRelease",
    "Disposal",
    "DisposalFact",
    "DisposalFile",
    "DisposalPlan",
    "DisposalPlanLot",
    "Drill",
    "DrillGap",
    "DrillTrace",
    "EscalationRule",
    "Fanout",
    "Figures",
    "LegalFact",
    "Notice",
    "NoticeLot",
    "NoticePicture",
    "NoticeRun",
    "NoticeStep",
    "OutboxMessage",
    "PackOrder",
    "Paper",
    "PaperDownload",
    "PhoneCall",
    "PublicMessage",
    "PublicNotice",
    "Publication",
    "PublicationProof",
    "RecallPlan",
    "RegulatorAct",
    "ReleaseApproval",
    "ReturnDispatch",
    "ReturnOddity",
    "ReturnReceipt",
    "RiskWarning",
    "ScopeHolding",
    "ScopeLot",
    "ScopeVersion",
    "ServiceTarget",
    "SetAside",
    "Signal",
    "SignalStep",
    "StockAnswer",
    "Subscription",
    "Webhook",
    "WebhookDelivery",
    "WorkCalendarDay",
]
