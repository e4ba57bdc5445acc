"""A planted phone number and address, searched for in database, logs, exports and a backup after 31 days."""

from __future__ import annotations

import datetime
import tarfile
from pathlib import Path

from django.test import Client
from django.utils import timezone

from recalls.actions.cases import Told, file_complaint, forget_old_cases, named, reply
from recalls.models import ConsumerCase
from tests.conftest import CommittedDatabase
from tests.recalls.story import make_chain
from tests.world import make_world, sign_in
from trace.models import PersonalRecord
from trace.personal import reveal

PHONE, STREET = "13987650123", "示例街七十七号"
NEEDLES = (PHONE.encode(), STREET.encode())


def holds(data: bytes) -> bool:
    """Whether one of the planted words stands in these bytes."""
    return any(needle in data for needle in NEEDLES)


def test_a_planted_contact_is_nowhere_but_sealed_and_gone_after_31_days(
    committed_db: CommittedDatabase, tmp_path: Path
) -> None:
    world = make_world()
    chain = make_chain(world)
    now = timezone.now()
    told = Told(words=f"住{STREET}", contact=PHONE, consent=True, share=True)
    goods = named(chain.pouch_a.public_code)
    case = file_complaint(nonce="p", what="dates", kind_words="日期", goods=goods, told=told, at=now)
    reply(by=world.walnuts_quality, case=case, words="已说明（示例）", at=now)
    assert case.contact is not None
    assert reveal(case.contact) == PHONE
    worker = committed_db.manage("worker", "--once", LOG_LEVEL="DEBUG")
    assert worker.returncode == 0, worker.stderr
    assert not holds((worker.stdout + worker.stderr).encode())
    maker = sign_in(Client(), world.walnuts_quality)
    for path in ("/recall/cases/?state=all&format=csv", "/recall/signals/?status=all&format=csv", "/recalls/data.json"):
        answer = maker.get(path)
        body = b"".join(answer) if answer.streaming else answer.content
        assert not holds(body), path
    assert forget_old_cases(now=now + datetime.timedelta(days=31)) == 1
    assert not PersonalRecord.objects.filter(purpose__startswith="case_").exclude(key=None).exists()
    case = ConsumerCase.objects.get()
    assert reveal(case.contact) == reveal(case.words) == ""
    made = committed_db.manage("backup", BACKUP_DIR=str(tmp_path))
    assert made.returncode == 0, made.stderr
    (archive,) = tmp_path.glob("*")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            file = tar.extractfile(member)
            assert file is None or not holds(file.read()), member.name
