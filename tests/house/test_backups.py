"""Backup and restore of an installation: whole, verified, never over what was not saved."""

import hashlib
import io
import json
import sqlite3
import tarfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections

from tests.conftest import CommittedDatabase
from trace import backups
from trace.errors import DomainError
from trace.models import User


@pytest.fixture
def uploads(committed_db: CommittedDatabase, tmp_path: Path, settings: Any) -> Path:
    """An installation of this test's own: its database and its folder of uploads."""
    folder = tmp_path / "files"
    folder.mkdir()
    settings.MEDIA_ROOT = folder
    return folder


def refused(action: Callable[[], object]) -> str:
    """The code of the error that an action raises."""
    with pytest.raises(DomainError) as caught:
        action()
    return caught.value.code


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of a backup with members changed, or left out where `change` answers None."""
    with tarfile.open(source) as old, tarfile.open(target, "w:gz") as new:
        for member in old:
            content = old.extractfile(member)
            assert content is not None
            data = change(member.name, content.read())
            if data is not None:
                member.size = len(data)
                new.addfile(member, io.BytesIO(data))
    return target


def test_a_backup_puts_rows_and_files_back(uploads: Path, tmp_path: Path) -> None:
    User.objects.create(username="before")
    (uploads / "ab").mkdir()
    (uploads / "ab" / "report").write_bytes(b"a test report")
    manifest = backups.make_backup(tmp_path / "one.tar.gz")

    User.objects.create(username="after")
    (uploads / "ab" / "report").write_bytes(b"changed")
    (uploads / "later").write_bytes(b"later")
    backups.restore_backup(tmp_path / "one.tar.gz", tmp_path / "safety.tar.gz")

    assert list(User.objects.values_list("username", flat=True)) == ["before"]
    assert (uploads / "ab" / "report").read_bytes() == b"a test report"
    assert not (uploads / "later").exists()
    assert manifest.members["files/ab/report"].sha256 == hashlib.sha256(b"a test report").hexdigest()


def test_what_a_restore_replaces_can_be_had_back(uploads: Path, tmp_path: Path) -> None:
    backups.make_backup(tmp_path / "empty.tar.gz")
    User.objects.create(username="precious")
    (uploads / "precious").write_bytes(b"precious")
    backups.restore_backup(tmp_path / "empty.tar.gz", tmp_path / "safety.tar.gz")
    assert not User.objects.exists()
    backups.restore_backup(tmp_path / "safety.tar.gz", tmp_path / "safety-2.tar.gz")
    assert User.objects.get().username == "precious"
    assert (uploads / "precious").read_bytes() == b"precious"


def test_a_restored_database_still_refuses_to_forget_events(uploads: Path, tmp_path: Path) -> None:
    def triggers() -> set[str]:
        table = (
            "sqlite_master WHERE type = 'trigger'"
            if connection.vendor == "sqlite"
            else "pg_trigger WHERE NOT tgisinternal"
        )
        name = "name" if connection.vendor == "sqlite" else "tgname"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {name} FROM {table}")
            return {row[0] for row in cursor.fetchall()}

    before = triggers()
    backups.make_backup(tmp_path / "one.tar.gz")
    backups.restore_backup(tmp_path / "one.tar.gz", tmp_path / "safety.tar.gz")
    assert before
    assert triggers() == before


def test_a_backup_while_others_write_is_of_one_moment(uploads: Path, tmp_path: Path) -> None:
    stop, written = threading.Event(), []

    def write() -> None:
        number = 0
        while not stop.is_set():
            User.objects.create(username=f"writer-{number:05}")
            written.append(number)
            number += 1
        connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(written) < 5:
            assert writer.is_alive()
            time.sleep(0.01)
        acknowledged = len(written)
        backups.make_backup(tmp_path / "busy.tar.gz")
    finally:
        stop.set()
        writer.join()
    backups.restore_backup(tmp_path / "busy.tar.gz", tmp_path / "safety.tar.gz")
    names = list(User.objects.order_by("username").values_list("username", flat=True))
    assert len(names) >= acknowledged
    assert names == [f"writer-{number:05}" for number in range(len(names))]


def test_a_running_process_reads_what_was_restored(uploads: Path, tmp_path: Path) -> None:
    User.objects.create(username="old")
    backups.make_backup(tmp_path / "one.tar.gz")
    User.objects.create(username="new")
    counts: list[int] = []
    seen, restored = threading.Event(), threading.Event()

    def serve() -> None:
        counts.append(User.objects.count())
        seen.set()
        restored.wait(timeout=60)
        # PostgreSQL: what the connection had planned may name tables that were replaced; the next request plans anew.
        counts.append(User.objects.count())
        connections.close_all()

    server = threading.Thread(target=serve)
    server.start()
    seen.wait(timeout=60)
    backups.restore_backup(tmp_path / "one.tar.gz", tmp_path / "safety.tar.gz")
    restored.set()
    server.join()
    assert counts == [2, 1]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda name, data: data + b"x" if name == "database" else data, "backup_damaged"),
        (lambda name, data: None if name == "files/report" else data, "backup_damaged"),
        (lambda name, data: b"{}" if name == "manifest.json" else data, "backup_unreadable"),
        (lambda name, data: None if name == "manifest.json" else data, "backup_unreadable"),
        (lambda name, data: data.replace(b'"format": 1', b'"format": 9'), "backup_format"),
        (lambda name, data: data.replace(b"files/report", b"files/../../up"), "backup_unreadable"),
        (lambda name, data: data.replace(b'"trace.0001', b'"trace.9999'), "backup_newer"),
        (
            lambda name, data: data.replace(b'"engine": "', b'"engine": "other') if name == "manifest.json" else data,
            "backup_engine",
        ),
    ],
    ids=["changed", "lacking", "not ours", "no list", "format", "outside", "newer", "engine"],
)
def test_a_backup_that_is_not_right_changes_nothing(
    uploads: Path, tmp_path: Path, change: Callable[[str, bytes], bytes | None], code: str
) -> None:
    (uploads / "report").write_bytes(b"a test report")
    backups.make_backup(tmp_path / "good.tar.gz")
    bad = rewritten(tmp_path / "good.tar.gz", tmp_path / "bad.tar.gz", change)
    User.objects.create(username="kept")
    assert refused(lambda: backups.restore_backup(bad, tmp_path / "safety.tar.gz")) == code
    assert User.objects.get().username == "kept"
    assert (uploads / "report").read_bytes() == b"a test report"
    assert not (tmp_path / "safety.tar.gz").exists()


def test_a_backup_cut_short_is_refused(uploads: Path, tmp_path: Path) -> None:
    backups.make_backup(tmp_path / "good.tar.gz")
    whole = (tmp_path / "good.tar.gz").read_bytes()
    (tmp_path / "short.tar.gz").write_bytes(whole[: len(whole) // 2])
    cut = tmp_path / "short.tar.gz"
    assert refused(lambda: backups.restore_backup(cut, tmp_path / "s")) == "backup_unreadable"
    assert refused(lambda: backups.restore_backup(tmp_path / "none", tmp_path / "s")) == "backup_missing"


def test_a_link_in_a_backup_is_not_followed(uploads: Path, tmp_path: Path) -> None:
    (uploads / "report").write_bytes(b"a test report")
    backups.make_backup(tmp_path / "good.tar.gz")
    with tarfile.open(tmp_path / "good.tar.gz") as old, tarfile.open(tmp_path / "link.tar.gz", "w:gz") as new:
        for member in old:
            if member.name == "files/report":
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
                new.addfile(member)
            else:
                new.addfile(member, old.extractfile(member))
    link = tmp_path / "link.tar.gz"
    assert refused(lambda: backups.restore_backup(link, tmp_path / "s")) == "backup_unreadable"


def test_a_backup_never_overwrites_a_file_and_is_private(uploads: Path, tmp_path: Path) -> None:
    target = tmp_path / "one.tar.gz"
    backups.make_backup(target)
    assert target.stat().st_mode & 0o077 == 0
    assert refused(lambda: backups.make_backup(target)) == "backup_exists"


@pytest.mark.sqlite
def test_a_damaged_database_is_not_saved_as_if_it_were_whole(uploads: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE t (a PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3);")
    data = bytearray(path.read_bytes())
    data[4096 * 2 - 30 :] = b"\xff" * (len(data) - 4096 * 2 + 30)
    path.write_bytes(data)
    assert backups._sqlite_damage(path)


def test_a_backup_holds_no_keys(uploads: Path, tmp_path: Path) -> None:
    backups.make_backup(tmp_path / "one.tar.gz")
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        contents = [file.read() for member in tar if (file := tar.extractfile(member))]
    assert contents
    assert not any(settings.SECRET_KEY.encode() in content for content in contents)


def test_the_commands_work_from_outside(uploads: Path, committed_db: CommittedDatabase, tmp_path: Path) -> None:
    User.objects.create(username="before")
    file = tmp_path / "by-hand.tar.gz"
    environment = {"BACKUP_DIR": str(tmp_path / "backups")}
    saved = committed_db.manage("backup", "--to", str(file), **environment)
    assert saved.returncode == 0, saved.stderr
    with tarfile.open(file) as tar:
        opened = tar.extractfile("manifest.json")
        assert opened is not None
        assert json.loads(opened.read())["engine"] == connection.vendor
    User.objects.create(username="after")
    connection.close()
    restored = committed_db.manage("restore", str(file), **environment)
    assert restored.returncode == 0, restored.stderr
    assert User.objects.get().username == "before"
    assert len(list((tmp_path / "backups").glob("before-restore-*.tar.gz"))) == 1
    again = committed_db.manage("restore", str(tmp_path / "none.tar.gz"), **environment)
    assert again.returncode == 1
