"""Legal regimes: which edition of which recall rule applies, and what it says, read from
``recalls/data/regimes.yaml``.

Law changes while campaigns run (the food rule on 2026-12-01), so nothing of it is a constant in code. A row
that the authors have not read in full is shipped unverified, and whatever limit it decides is shown as
provisional.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from recalls.law.terms import Duty, Evidence, Form, LegalEvent, Level, Tier, Track, Unit
from trace.errors import Invalid, NotFound

REGIMES_YAML = Path(__file__).resolve().parent.parent / "data" / "regimes.yaml"

SHANGHAI = ZoneInfo("Asia/Shanghai")
"""The law's days begin and end here."""


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence of the data in both languages; ``str()`` gives the reader's."""

    zh: str = ""
    en: str = ""

    def __str__(self) -> str:
        return self.en if self.en and (get_language() or "").startswith("en") else self.zh

    def __bool__(self) -> bool:
        return bool(self.zh)


@dataclass(frozen=True, slots=True)
class Basis:
    """Where a row comes from: the article, how it is known, and whether anyone has checked it against the
    official text.
    """

    legal_basis: str
    evidence: Evidence
    verified: bool


@dataclass(frozen=True, slots=True)
class ClockRule:
    """One time limit. ``level`` None means every level. ``id`` is unique over all regimes.

    Counting begins at the first of ``start_events`` that happens and ends at ``stop_event``. ``condition``
    says when the limit applies at all, where the law does not leave that to the level; a person decides it.
    """

    regime: str
    key: str
    label: Text
    level: Level | None
    forms: frozenset[Form]
    start_events: tuple[LegalEvent, ...]
    stop_event: LegalEvent
    amount: int
    unit: Unit
    recurring: bool
    extendable: bool
    kind: Duty
    condition: Text
    note: Text
    basis: Basis

    @property
    def id(self) -> str:
        """``CN-FOOD-2015/start/1``; ``*`` where the rule holds for all levels."""
        return f"{self.regime}/{self.key}/{self.level.value if self.level else '*'}"

    @property
    def verified(self) -> bool:
        """Whether the rule was checked against the official text."""
        return self.basis.verified

    def applies_to(self, level: Level | None, form: Form) -> bool:
        """Whether the rule holds for a campaign of this level (None: the law has no levels) and form."""
        return form in self.forms and (self.level is None or self.level == level)

    def snapshot(self) -> dict[str, Any]:
        """The rule as JSON-ready facts, to be kept with a running clock so that later law cannot change the
        past.
        """
        return {
            "id": self.id,
            "regime": self.regime,
            "key": self.key,
            "zh": self.label.zh,
            "en": self.label.en,
            "level": int(self.level) if self.level else None,
            "forms": sorted(form.value for form in self.forms),
            "start_events": [event.value for event in self.start_events],
            "stop_event": self.stop_event.value,
            "amount": self.amount,
            "unit": self.unit.value,
            "recurring": self.recurring,
            "legal_basis": self.basis.legal_basis,
            "evidence": self.basis.evidence.value,
            "verified": self.basis.verified,
        }


@dataclass(frozen=True, slots=True)
class TrackNote:
    """How a regime reaches a track: by its own words, or by analogy, with the reason."""

    by_analogy: bool
    note: Text
    evidence: Evidence
    verified: bool


@dataclass(frozen=True, slots=True)
class Item:
    """One required content of a plan or announcement, or one gap in what is known."""

    key: str
    label: Text


@dataclass(frozen=True, slots=True)
class Article:
    """One article in a few words of our own; not the law's text."""

    number: str
    summary: Text
    evidence: Evidence
    verified: bool


@dataclass(frozen=True, slots=True)
class Retention:
    """How long recall records are kept at least."""

    months: int
    label: Text
    basis: Basis


@dataclass(frozen=True, slots=True)
class Publication:
    """Where an announcement must stand, by whether the goods went to one province or to several.

    ``sites`` are the places there are, ``needed_in_one`` and ``needed_in_several`` the keys of those that must be used.
    """

    one_province: Text
    several_provinces: Text
    basis: Basis
    sites: tuple[Item, ...] = ()
    needed_in_one: tuple[str, ...] = ()
    needed_in_several: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CopyRule:
    """One tier that receives a copy, and why."""

    tier: Tier
    basis: Basis


@dataclass(frozen=True, slots=True)
class AuthorityRule:
    """Which tier supervises a recall of a firm whose licence comes from one of ``licence_tiers``."""

    licence_tiers: frozenset[Tier]
    competent: Tier
    basis: Basis
    copies: tuple[CopyRule, ...]


@dataclass(frozen=True, slots=True)
class Regime:
    """One edition of one recall rule, in force from ``valid_from`` to ``valid_to`` (both days included; None:
    open).
    """

    code: str
    label: Text
    edition: str
    valid_from: date
    valid_to: date | None
    source: str
    evidence: Evidence
    verified: bool
    tracks: Mapping[Track, TrackNote]
    clocks: tuple[ClockRule, ...]
    retention: Retention | None
    publication: Publication | None
    plan_items: tuple[Item, ...]
    announcement_items: tuple[Item, ...]
    authorities: tuple[AuthorityRule, ...]
    articles: tuple[Article, ...]
    gaps: tuple[Item, ...]

    def in_force_on(self, day: date) -> bool:
        """Whether the rule is in force on that day (Asia/Shanghai)."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def rules(self, level: Level | None, form: Form) -> tuple[ClockRule, ...]:
        """The time limits of a campaign of this level and form, in the order of the data."""
        return tuple(rule for rule in self.clocks if rule.applies_to(level, form))

    def has_gap(self, key: str) -> bool:
        """Whether what the rule says of this matter (a clock's key, ``contents``, ``retention``) was not seen
        by anyone.
        """
        return any(gap.key == key for gap in self.gaps)


@dataclass(frozen=True, slots=True)
class RegimeChoice:
    """The regime chosen, and the neighbour that would apply if another date than that of knowledge counted.

    No transition clause was seen, so the choice is an assumption (``assumed``) wherever there is an
    alternative; pages show both.
    """

    regime: Regime
    alternative: Regime | None
    known_on: date
    note: TrackNote

    @property
    def assumed(self) -> bool:
        """Whether another edition could be argued for."""
        return self.alternative is not None


def regime_for(track: Track | str, knew_at: datetime) -> RegimeChoice:
    """The regime for a product of this track when its risk became known at this instant.

    The date of knowledge (知悉日) in Asia/Shanghai decides: 2026-11-30 23:50 falls under the 2015 food rule,
    twenty minutes later under that of 2026. Refuses an instant without zone (ValueError), an unknown track
    (Invalid ``unknown_track``) and a date before any rule we hold (Invalid ``no_regime``).
    """
    wanted = parse_track(track)
    known_on = shanghai_date(knew_at)
    editions = sorted((r for r in regimes() if wanted in r.tracks), key=lambda r: r.valid_from)
    for place, edition in enumerate(editions):
        if edition.in_force_on(known_on):
            neighbours = editions[place + 1 : place + 2] or editions[max(place - 1, 0) : place]
            return RegimeChoice(edition, neighbours[0] if neighbours else None, known_on, edition.tracks[wanted])
    raise Invalid(
        _("知悉日没有可适用的召回规则，请核对知悉时间。"),
        code="no_regime",
        track=wanted.value,
        known_on=known_on.isoformat(),
    )


def parse_track(value: Track | str) -> Track:
    """The track of a stored code; Invalid (``unknown_track``) for anything else."""
    try:
        return Track(value)
    except ValueError:
        raise Invalid(
            _("产品的适用类别不明，请在产品资料中选择食品、消费品或食用农产品。"), code="unknown_track"
        ) from None


def shanghai_date(at: datetime) -> date:
    """The calendar day of an instant where the law counts its days. Refuses an instant without zone
    (ValueError).
    """
    if at.tzinfo is None or at.utcoffset() is None:
        raise ValueError("an instant needs a time zone")
    return at.astimezone(SHANGHAI).date()


def regime(code: str) -> Regime:
    """The regime with this code; NotFound (``unknown_regime``) otherwise."""
    for candidate in regimes():
        if candidate.code == code:
            return candidate
    raise NotFound(_("没有这个适用规则。"), code="unknown_regime")


@lru_cache(maxsize=1)
def regimes() -> tuple[Regime, ...]:
    """All regimes shipped with the program, in the order of the data file."""
    return read_regimes(REGIMES_YAML)


def read_regimes(path: Path) -> tuple[Regime, ...]:
    """Parse a regimes file. A defect of the data (unknown word, a verified row nobody read) is a ValueError
    or KeyError.
    """
    with path.open(encoding="utf-8") as stream:
        return tuple(_regime(row) for row in yaml.safe_load(stream))


def _regime(row: dict[str, Any]) -> Regime:
    evidence, verified = _known(row)
    retention, publication = row.get("retention"), row.get("publication")
    return Regime(
        code=row["code"],
        label=_text(row),
        edition=row["edition"],
        valid_from=row["valid_from"],
        valid_to=row["valid_to"],
        source=row["source"],
        evidence=evidence,
        verified=verified,
        tracks={Track(name): _track(note, evidence, verified) for name, note in row["tracks"].items()},
        clocks=tuple(rule for clock in row["clocks"] for rule in _clocks(row["code"], clock)),
        retention=Retention(retention["months"], _text(retention), _basis(retention)) if retention else None,
        publication=_publication(publication) if publication else None,
        plan_items=_items(row.get("plan_items", [])),
        announcement_items=_items(row.get("announcement_items", [])),
        authorities=tuple(_authority(rule) for rule in row["authorities"]),
        articles=tuple(Article(a["number"], _text(a), *_known(a)) for a in row["articles"]),
        gaps=_items(row["gaps"]),
    )


def _clocks(code: str, row: dict[str, Any]) -> Iterator[ClockRule]:
    """One rule per level where the row has levels, else one for all."""
    amounts = row["levels"] if "levels" in row else {None: row["amount"]}
    for level, amount in amounts.items():
        yield ClockRule(
            regime=code,
            key=row["key"],
            label=_text(row),
            level=Level(level) if level is not None else None,
            forms=frozenset(Form(form) for form in row["forms"]),
            start_events=tuple(LegalEvent(event) for event in row["start_events"]),
            stop_event=LegalEvent(row["stop_event"]),
            amount=int(amount),
            unit=Unit(row["unit"]),
            recurring=bool(row.get("recurring", False)),
            extendable=bool(row.get("extendable", False)),
            kind=Duty(row.get("kind", Duty.DUTY.value)),
            condition=_text(row, "condition_"),
            note=_text(row, "note_"),
            basis=_basis(row),
        )


def _track(row: dict[str, Any], evidence: Evidence, verified: bool) -> TrackNote:
    if not row:
        return TrackNote(False, Text(), evidence, verified)
    return TrackNote(bool(row["by_analogy"]), _text(row), *_known(row))


def _publication(row: dict[str, Any]) -> Publication:
    sites = _items(row["sites"])
    known = {site.key for site in sites}
    needed = tuple(row["one_province"]), tuple(row["several_provinces"])
    if not known.issuperset(needed[0] + needed[1]):
        raise ValueError(f"a needed site is not listed: {row}")
    return Publication(
        _text(row, "one_province_"), _text(row, "several_provinces_"), _basis(row), sites, needed[0], needed[1]
    )


def _authority(row: dict[str, Any]) -> AuthorityRule:
    return AuthorityRule(
        licence_tiers=frozenset(Tier(tier) for tier in row["licence_tiers"]),
        competent=Tier(row["competent"]),
        basis=_basis(row),
        copies=tuple(CopyRule(Tier(copy["tier"]), _basis(copy)) for copy in row["copies"]),
    )


def _items(rows: list[dict[str, Any]]) -> tuple[Item, ...]:
    return tuple(Item(row["key"], _text(row)) for row in rows)


def _text(row: dict[str, Any], prefix: str = "") -> Text:
    return Text(row.get(f"{prefix}zh", ""), row.get(f"{prefix}en", ""))


def _basis(row: dict[str, Any]) -> Basis:
    return Basis(row["legal_basis"], *_known(row))


def _known(row: dict[str, Any]) -> tuple[Evidence, bool]:
    """Evidence and verified flag; nobody can have verified what nobody has read in full."""
    evidence, verified = Evidence(row["evidence"]), row["verified"]
    if not isinstance(verified, bool) or (verified and evidence is not Evidence.SEEN_FULL):
        raise ValueError(f"verified must be a plain true or false, and true only for a text read in full: {row}")
    return evidence, verified
