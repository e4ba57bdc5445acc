"""One file that holds an installation: the database as of one moment, the uploaded files, and a list with hashes.

A backup is a gzipped tar:

    manifest.json     what is inside: format, engine, migrations, SHA-256 and size of every other member
    database          SQLite: a database file; PostgreSQL: pg_dump's custom format
    files/…           the uploads, named by their SHA-256

It is made and put back while server and worker run. The database is copied first and the files after it: files are
only ever added, and a row is written after its file, so every file that the copied rows name is there.
Settings and keys (.env) are not inside: whoever finds a backup should not find the keys to it too.
"""

import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.utils.translation import gettext as _

from trace.errors import Clash, Invalid, NotFound

FORMAT = 1
CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Member:
    """One file of a backup: SHA-256 as hexadecimal, size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself. `migrations` are `app.name`; `members` maps the name in the tar to its hash."""

    format: int
    made_at: str
    engine: str
    migrations: list[str]
    members: dict[str, Member]

    def as_json(self) -> bytes:
        """The bytes of manifest.json."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Manifest":
        """Read manifest.json; Invalid (`backup_unreadable`) when it is not one of ours."""
        try:
            raw: dict[str, Any] = json.loads(data)
            members = {name: Member(str(m["sha256"]), int(m["size"])) for name, m in raw["members"].items()}
            found = cls(int(raw["format"]), str(raw["made_at"]), str(raw["engine"]), list(raw["migrations"]), members)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Invalid(_("这不是本系统的备份文件。"), code="backup_unreadable") from error
        if found.format != FORMAT:
            raise Invalid(_("备份文件的格式版本不同，本程序不能读取。"), code="backup_format", format=found.format)
        for name in found.members:
            path = PurePosixPath(name)
            if name != "database" and (path.parts[0] != "files" or ".." in path.parts or path.is_absolute()):
                raise Invalid(_("备份文件里有不该有的内容：%(name)s。") % {"name": name}, code="backup_unreadable")
        return found


def fingerprint(path: Path) -> Member:
    """Hash and size of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return Member(digest.hexdigest(), path.stat().st_size)


@contextmanager
def _workplace() -> Iterator[Path]:
    """A folder on the data's own disk, gone afterwards: the system's temporary disk may be small."""
    with tempfile.TemporaryDirectory(prefix="backup-", dir=settings.DATA_DIR) as name:
        yield Path(name)


def _uploads() -> dict[str, Path]:
    """The uploaded files by their name in a backup."""
    root = Path(settings.MEDIA_ROOT)
    return {f"files/{path.relative_to(root).as_posix()}": path for path in sorted(root.rglob("*")) if path.is_file()}


# --- The two engines ----------------------------------------------------------------------------------------


def _run(tool: str, *arguments: str) -> None:
    """Run one of PostgreSQL's own programs on our database; the password goes by the environment, not by `ps`."""
    entry = connection.settings_dict
    environment = {
        **os.environ,
        "PGDATABASE": str(entry["NAME"]),
        **{
            variable: str(entry[key])
            for variable, key in {
                "PGHOST": "HOST",
                "PGPORT": "PORT",
                "PGUSER": "USER",
                "PGPASSWORD": "PASSWORD",
            }.items()
            if entry[key]
        },
        **({"PGSSLMODE": str(mode)} if (mode := entry["OPTIONS"].get("sslmode")) else {}),
    }
    try:
        done = subprocess.run([tool, *arguments], env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError as error:
        raise NotFound(
            _("找不到 %(tool)s：请安装与服务器同版本的 PostgreSQL 客户端程序。") % {"tool": tool}, code="tool_missing"
        ) from error
    if done.returncode:
        raise Clash(
            _("%(tool)s 失败：%(why)s") % {"tool": tool, "why": done.stderr.strip()}, code="database_tool_failed"
        )


def _copy_database(target: Path) -> None:
    """Copy the live database as of one moment, while others write."""
    if connection.vendor == "postgresql":
        _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")
        return
    connection.ensure_connection()
    with closing(sqlite3.connect(target)) as copy:
        connection.connection.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without -wal beside it
    damage = _sqlite_damage(target)
    if damage:
        raise Clash(_("数据库本身已损坏，没有备份：%(why)s") % {"why": damage}, code="database_damaged")


def _sqlite_damage(path: Path) -> str:
    """What SQLite finds wrong in a database file; empty when nothing is."""
    try:
        with closing(sqlite3.connect(path)) as opened:
            (answer,) = opened.execute("PRAGMA integrity_check(1)").fetchone()
            if answer != "ok":
                return str(answer)
            orphan = opened.execute("PRAGMA foreign_key_check").fetchone()
            return f"{orphan[0]} → {orphan[2]}" if orphan else ""
    except sqlite3.DatabaseError as error:
        return str(error)


def _replace_database(source: Path, workplace: Path) -> None:
    """Put a copied database in the place of the live one, in one transaction; open connections see it next."""
    if connection.vendor == "postgresql":
        script = workplace / "restore.sql"
        _run("pg_restore", "--no-owner", "--no-privileges", f"--file={script}", str(source))
        connection.close()
        empty = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        psql = ["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--single-transaction", "--output=/dev/null"]
        _run("psql", *psql, f"--command={empty}", f"--file={script}")
        return
    connection.ensure_connection()
    with closing(sqlite3.connect(source)) as copy:
        copy.backup(connection.connection)


# --- Make ---------------------------------------------------------------------------------------------------


def _applied() -> list[str]:
    """The migrations that the database has, as `app.name`."""
    return sorted(f"{app}.{name}" for app, name in MigrationLoader(connection).applied_migrations)


def make_backup(target: Path) -> Manifest:
    """Write a backup to `target`, which must not exist yet (Clash, `backup_exists`); readable by its owner only.

    It appears under its name when it is complete and on the disk. Raises Clash when the database is damaged or
    PostgreSQL's tools fail.
    """
    if target.exists():
        raise Clash(_("%(file)s 已存在，不会覆盖。") % {"file": target}, code="backup_exists")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".unfinished")
    with _workplace() as workplace:
        database = workplace / "database"
        _copy_database(database)
        contents = {"database": database, **_uploads()}
        members = {name: fingerprint(path) for name, path in contents.items()}
        manifest = Manifest(FORMAT, datetime.now(UTC).isoformat(), connection.vendor, _applied(), members)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as tar:
                head = tarfile.TarInfo("manifest.json")
                head.size, head.mode = len(manifest.as_json()), 0o600
                tar.addfile(head, io.BytesIO(manifest.as_json()))
                for name, path in contents.items():
                    tar.add(path, arcname=name, recursive=False)
            file.flush()
            os.fsync(file.fileno())
    unfinished.rename(target)
    return manifest


def backup_name(prefix: str = "trace") -> str:
    """A file name with the time in it: trace-20261122T201500Z.tar.gz."""
    return f"{prefix}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}.tar.gz"


# --- Put back -----------------------------------------------------------------------------------------------


def unpack(file: Path, target: Path) -> Manifest:
    """Unpack a backup into an empty folder and verify it; Invalid when anything is missing, changed or unlisted."""
    if not file.is_file():
        raise NotFound(_("没有这个备份文件：%(file)s。") % {"file": file}, code="backup_missing")
    try:
        with tarfile.open(file, "r:gz") as tar:
            head = tar.next()
            opened = tar.extractfile(head) if head is not None and head.name == "manifest.json" else None
            if head is None or opened is None:
                raise Invalid(_("这不是本系统的备份文件。"), code="backup_unreadable")
            manifest = Manifest.from_json(opened.read())
            # Only what the list names is written, as a plain file: links and devices in a tar are an old trick.
            for member in tar:
                if member.offset == head.offset:
                    continue
                content = tar.extractfile(member) if member.isreg() and member.name in manifest.members else None
                if content is None:
                    raise Invalid(
                        _("备份文件里有不该有的内容：%(name)s。") % {"name": member.name}, code="backup_unreadable"
                    )
                path = target / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as out:
                    shutil.copyfileobj(content, out, CHUNK)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Invalid(_("备份文件读不完整：%(why)s") % {"why": error}, code="backup_unreadable") from error
    for name, wanted in manifest.members.items():
        path = target / name
        if not path.is_file() or fingerprint(path) != wanted:
            raise Invalid(_("备份文件已损坏：%(name)s 与清单不符。") % {"name": name}, code="backup_damaged", name=name)
    return manifest


def _fits(manifest: Manifest, database: Path) -> None:
    """Refuse a backup of the other engine, of a newer program, or with a damaged database."""
    if manifest.engine != connection.vendor:
        raise Invalid(
            _("备份来自 %(there)s，现在用的是 %(here)s。请先把 DATABASE_URL 改为同一种数据库。")
            % {"there": manifest.engine, "here": connection.vendor},
            code="backup_engine",
        )
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    newer = [name for name in manifest.migrations if name not in known and not name.startswith("tests.")]
    if newer:
        raise Invalid(
            _("备份由更新版本的程序生成(%(names)s)。请先升级程序再恢复。") % {"names": ", ".join(newer)},
            code="backup_newer",
        )
    if manifest.engine == "sqlite" and (damage := _sqlite_damage(database)):
        raise Invalid(_("备份里的数据库已损坏：%(why)s") % {"why": damage}, code="backup_damaged")


def restore_backup(file: Path, safety_copy: Path) -> Manifest:
    """Verify a backup and put it in the place of what is there now, which is first saved to `safety_copy`.

    Nothing is changed unless the whole backup is verified and the safety copy is complete. An installation without
    any table needs no safety copy. The caller runs the migrations that are newer than the backup.
    """
    with _workplace() as workplace:
        unpacked = workplace / "unpacked"
        unpacked.mkdir()
        manifest = unpack(file, unpacked)
        _fits(manifest, unpacked / "database")
        try:
            if connection.introspection.table_names():
                make_backup(safety_copy)
        except DatabaseError as error:
            raise Clash(
                _("现有数据库打不开，无法先保存它(%(why)s)。请把数据目录移到别处，再恢复。") % {"why": error},
                code="no_safety_copy",
            ) from error
        root = Path(settings.MEDIA_ROOT)
        kept = {name.removeprefix("files/") for name in manifest.members if name.startswith("files/")}
        for name in kept:
            path = root / name
            if not path.exists() or fingerprint(path) != manifest.members[f"files/{name}"]:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.replace(unpacked / "files" / name, path)
        _replace_database(unpacked / "database", workplace)
        for name, path in _uploads().items():
            if name.removeprefix("files/") not in kept:
                path.unlink()  # the safety copy has it
    return manifest
