"""Which documents a recall has and could have: for the page and the API alike."""

from __future__ import annotations

from dataclasses import dataclass

from recalls.actions.papers import BUILDERS, draft_paper
from recalls.models import Campaign, Paper, RegulatorAct
from recalls.papers.missing import missing_words
from recalls.papers.source import Source

Kind = Paper.Kind


@dataclass(frozen=True)
class Line:
    """One document in the list: its last edition, and what the next one lacks."""

    kind: str
    label: str
    subject: str
    about: str
    last: Paper | None
    editions: int
    missing: list[str]

    @property
    def ready(self) -> bool:
        """Whether it can be made now."""
        return not self.missing


def paper_lines(campaign: Campaign) -> list[Line]:
    """The documents in the order of the law's course; one line for each report beforehand and each order."""
    papers: dict[tuple[str, str], list[Paper]] = {}
    for paper in campaign.papers.exclude(kind__in=[Kind.NOTICE, Kind.PACK]).order_by("id"):
        papers.setdefault((paper.kind, paper.subject), []).append(paper)
    found: list[Line] = []
    source = Source(campaign)
    for kind in BUILDERS:
        if kind == Kind.NOTICE or ((kind == Kind.DRILL) != campaign.is_drill and kind == Kind.DRILL):
            continue
        for subject, about in subjects_of(campaign, kind):
            made = papers.get((kind, subject), [])
            draft = draft_paper(campaign, kind, subject, source)
            found.append(
                Line(
                    kind,
                    str(Kind(kind).label),
                    subject,
                    about,
                    made[-1] if made else None,
                    len(made),
                    missing_words(dict.fromkeys(draft.missing)),
                )
            )
    return found


def subjects_of(campaign: Campaign, kind: str) -> list[tuple[str, str]]:
    """What documents of this kind can be about."""
    rows: list[tuple[str, str]] = []
    if kind == Kind.DISPOSAL_PLAN:
        rows = [(str(one.uid), one.place) for one in campaign.disposal_plans.order_by("id")[:50]]
    if kind == Kind.ORDER:
        kinds = [RegulatorAct.Kind.ORDER_RECALL, RegulatorAct.Kind.STRENGTHEN, RegulatorAct.Kind.RECALL_AGAIN]
        rows = [(str(one.uid), one.number) for one in campaign.acts.filter(kind__in=kinds).order_by("id")[:50]]
    return rows or [("", "")]
