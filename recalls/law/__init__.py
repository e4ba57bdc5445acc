"""Recall law as data and pure rules: regimes and their clocks, working days, competent authorities.

Nothing here touches the database or the request; callers pass in facts, instants and the calendar.
"""

from recalls.law.authority import Authority, CopyTo, competent_authority
from recalls.law.calendar import DayRow, WorkCalendar, parse_workdays, read_workdays, seed_calendar
from recalls.law.clocks import Due, due, rules_started_by, rules_stopped_by
from recalls.law.regimes import ClockRule, Regime, RegimeChoice, regime, regime_for, regimes
from recalls.law.terms import Duty, Evidence, Form, LegalEvent, Level, Tier, Track, Unit

__all__ = [
    "Authority",
    "ClockRule",
    "CopyTo",
    "DayRow",
    "Due",
    "Duty",
    "Evidence",
    "Form",
    "LegalEvent",
    "Level",
    "Regime",
    "RegimeChoice",
    "Tier",
    "Track",
    "Unit",
    "WorkCalendar",
    "competent_authority",
    "due",
    "parse_workdays",
    "read_workdays",
    "regime",
    "regime_for",
    "regimes",
    "rules_started_by",
    "rules_stopped_by",
    "seed_calendar",
]
