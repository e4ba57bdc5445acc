"""All stories in order, in one transaction: the demonstration is there whole or not at all."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.utils import translation

from desk.demo.baijiu import build_baijiu
from desk.demo.bulk import build_bulk
from desk.demo.cast import build_cast
from desk.demo.exchange import build_exchange
from desk.demo.others import build_furniture, build_millet
from desk.demo.people import build_people
from desk.demo.stage import CHINA, Stage
from desk.demo.trouble import (
    build_closed_recall,
    build_drill,
    build_furniture_recall,
    build_labels,
    build_open_recall,
    build_traders_recall,
)
from desk.demo.verdicts import build_verdicts
from desk.demo.walnuts import build_walnuts
from trace.identifiers import repeatable
from trace.models import Event, Lot, Organisation


def build_demo(*, today: datetime.date, seed: int, lots: int = 0) -> str:
    """Build the demonstration as of ``today`` and return one line of numbers. The database must be empty.

    ``lots`` adds that many generated lots, in transactions of their own, for measurements.
    """
    start = datetime.datetime.combine(today, datetime.time(0), CHINA) - datetime.timedelta(days=770)
    with repeatable(seed, start), translation.override("zh-hans"), transaction.atomic():
        stage = Stage(today)
        build_cast(stage)
        build_walnuts(stage)
        build_baijiu(stage)
        build_millet(stage)
        build_furniture(stage)
        build_labels(stage)
        build_closed_recall(stage)
        build_open_recall(stage)
        build_drill(stage)
        build_people(stage)
        build_furniture_recall(stage)
        build_traders_recall(stage)
        build_exchange(stage)
        build_verdicts(stage)
    if lots:
        with translation.override("zh-hans"):
            build_bulk(stage, lots)
    return f"{Organisation.objects.count()} organisations, {Lot.objects.count()} lots, {Event.objects.count()} events"
