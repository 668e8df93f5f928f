"""Migrations: numbered SQL files, forward only, each in a transaction of its own, applied under one advisory lock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

import structlog

from worker.connections import Connection, direct_connection
from worker.receipts import keep_partitions
from worker.statements import read_statements, sql_root

if TYPE_CHECKING:
    from worker.registry import Family
    from worker.settings import WorkerSettings

CORE = "rowcall"
LOCK_WAIT_S = 60
STATEMENT_S = 600.0
_FILE = re.compile(r"(\d{4})_(\w+)\.sql")

log = structlog.get_logger("rowcall.migrations")


class MigrationError(Exception):
    """The schema and what this program knows of it do not agree."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    family: str
    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """What tells whether an applied file was changed afterwards."""
        return hashlib.sha256(self.text.encode()).hexdigest()


async def migrate(settings: WorkerSettings, families: Sequence[Family]) -> list[str]:
    """Bring the database to what this program knows, and make the coming days' partitions.

    Safe when many start at once: one migrates, the others wait and find it done. MigrationError when the database is
    newer, or a file was changed after it had been applied. Returns the names of what was applied.
    """
    # Leaving ends the session, and with it the lock.
    async with direct_connection(
        settings, "rowcall migrate", statement_s=STATEMENT_S, lock_timeout=f"{LOCK_WAIT_S}s"
    ) as connection:
        # One for the whole database, whatever the prefix: the schema is everybody's.
        await connection.execute("select pg_advisory_lock(hashtextextended('rowcall:migrations', 0))")
        await connection.execute("set lock_timeout = '2s'")
        applied = [
            name for family, folder in _folders(families) for name in await _bring_up(connection, family, folder)
        ]
        statements = read_statements(CORE, sql_root() / CORE)
        await keep_partitions(connection, statements, now=datetime.now(UTC), retention_days=settings.retention_days)
    return applied


def _folders(families: Sequence[Family]) -> list[tuple[str, Traversable]]:
    return [(CORE, sql_root() / "migrations"), *((family.name, family.sql / "migrations") for family in families)]


async def _bring_up(connection: Connection, family: str, folder: Traversable) -> list[str]:
    known = read_migrations(family, folder)
    await connection.execute(
        "create schema if not exists rowcall;"
        "create table if not exists rowcall.migrations ("
        "  family text not null, number integer not null, name text not null, checksum text not null,"
        "  applied_at timestamptz not null default clock_timestamp(), primary key (family, number))"
    )
    rows = await connection.fetch("select number, checksum from rowcall.migrations where family = $1", family)
    applied = {row["number"]: row["checksum"] for row in rows}
    if newer := applied.keys() - {migration.number for migration in known}:
        have = f"the database has migration {max(newer):04} of {family}"
        raise MigrationError(f"{have}, this program knows {len(known)}: start a newer one")
    names = []
    for migration in known:
        if migration.number not in applied:
            await _apply(connection, migration)
            names.append(f"{family}/{migration.name}")
        elif applied[migration.number] != migration.checksum:
            raise MigrationError(f"{family}/{migration.name} was changed after it had been applied; write a new one")
    return names


async def _apply(connection: Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.text)
        await connection.execute(
            "insert into rowcall.migrations (family, number, name, checksum) values ($1, $2, $3, $4)",
            migration.family,
            migration.number,
            migration.name,
            migration.checksum,
        )
    log.info("migrated", family=migration.family, migration=migration.name)


def read_migrations(family: str, folder: Traversable) -> list[Migration]:
    """A family's files in order. MigrationError unless they are numbered 0001, 0002, … without a gap."""
    if not folder.is_dir():
        return []
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    found = [
        Migration(family, int(match[1]), file.name.removesuffix(".sql"), file.read_text("utf-8"))
        for file in files
        if (match := _FILE.fullmatch(file.name))
    ]
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"migrations of {family} must be numbered 0001, 0002, … without a gap")
    return found
