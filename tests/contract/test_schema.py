"""The schema: its readers' file, the migrations that make it, and the partitions that come and go in it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from accounts.services import accounts
from accounts.services import family as accounts_family
from tests.conftest import connected
from tests.schema import SCHEMA, dump, migrated_schema
from worker.migrations import MigrationError, migrate
from worker.receipts import keep_partitions
from worker.registry import Family
from worker.served import Served
from worker.servers import Servers, create_database, drop_database
from worker.services.platform import family as platform_family
from worker.settings import WorkerSettings

FAMILIES = [platform_family, accounts_family]
NOW = datetime(2031, 2, 27, 23, 59, tzinfo=UTC)
RETENTION = 7
EVERYTHING = "nothing.nothing"


@pytest.fixture
async def empty(servers: Servers, base_settings: WorkerSettings) -> AsyncIterator[WorkerSettings]:
    """The settings of a worker whose database has nothing in it."""
    name = f"rowcall_test_{uuid4().hex[:8]}_empty"
    url = await create_database(servers.postgres_url, name)
    try:
        yield base_settings.model_copy(update={"postgres_url": SecretStr(url), "prefix": name})
    finally:
        await drop_database(servers.postgres_url, name)


@pytest.fixture
async def into(empty: WorkerSettings) -> AsyncIterator[asyncpg.Connection]:
    """A connection to that database."""
    connection = await asyncpg.connect(empty.postgres_url.get_secret_value(), server_settings={"timezone": "UTC"})
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Family:
    """The accounts, from a copy of their SQL that a test may change."""
    copy = shutil.copytree(str(files("accounts") / "sql"), tmp_path / "sql")
    return Family(accounts, sql=copy)


def days(first: int, last: int, now: datetime = NOW) -> set[date]:
    return {now.date() + timedelta(days=n) for n in range(first, last + 1)}


async def partitions(connection: asyncpg.Connection, served: Served) -> set[date]:
    rows = await connection.fetch(served.statements["rowcall.list_partitions"].sql)
    names = {row["name"].removeprefix("receipts_") for row in rows} - {"other_ids"}
    return {date.fromisoformat(name) for name in names}


async def add_receipt(connection: asyncpg.Connection, day: date, at: datetime) -> None:
    await connection.execute(
        "insert into rowcall.receipts (day, id, caller, method, args_hash, deadline, at, outcome)"
        " values ($1, gen_random_uuid(), '', '', '', 'infinity', $2, '')",
        day,
        at,
    )


async def test_the_readers_file_and_the_migrations_make_the_same_schema(
    base_settings: WorkerSettings, empty: WorkerSettings, into: asyncpg.Connection
):
    migrated = await migrated_schema(base_settings)

    await into.execute(SCHEMA.read_text(encoding="utf-8"))

    assert await dump(empty.postgres_url.get_secret_value()) == migrated, "make schema"


async def test_migrating_a_second_time_changes_nothing(empty: WorkerSettings):
    url = empty.postgres_url.get_secret_value()
    first = await migrate(empty, FAMILIES), await dump(url, without=EVERYTHING)

    second = await migrate(empty, FAMILIES), await dump(url, without=EVERYTHING)

    assert second == ([], first[1])


async def test_eight_that_migrate_one_empty_database_at_once_apply_every_migration_once(
    empty: WorkerSettings, into: asyncpg.Connection
):
    applied = await asyncio.gather(*(migrate(empty, FAMILIES) for _ in range(8)))

    rows = await into.fetch("select family || '/' || name as name from rowcall.migrations order by name")
    assert sorted(name for names in applied for name in names) == [row["name"] for row in rows]
    assert {"rowcall/0001_receipts", "platform/0001_platform"} <= {row["name"] for row in rows}


async def test_a_database_with_a_migration_this_program_does_not_know_is_refused(
    settings: WorkerSettings, sql: asyncpg.Connection
):
    await sql.execute("insert into rowcall.migrations values ('platform', 77, '0077_tomorrow', '')")

    with pytest.raises(MigrationError, match="the database has migration 0077 of platform"):
        await migrate(settings, FAMILIES)


async def test_a_family_that_is_switched_off_may_stay_in_the_database(settings: WorkerSettings):
    assert await migrate(settings, FAMILIES[:1]) == []


async def test_a_file_changed_after_it_was_applied_is_refused(settings: WorkerSettings, ledger: Family):
    file = Path(str(ledger.sql / "migrations" / "0001_accounts.sql"))
    file.write_text(file.read_text() + "-- a remark\n")

    with pytest.raises(MigrationError, match="accounts/0001_accounts was changed after it had been applied"):
        await migrate(settings, [ledger])


async def test_migrations_with_a_gap_in_their_numbers_are_refused(settings: WorkerSettings, ledger: Family):
    Path(str(ledger.sql / "migrations" / "0003_later.sql")).write_text("select 1;")

    with pytest.raises(MigrationError, match="accounts must be numbered 0001, 0002, … without a gap"):
        await migrate(settings, [ledger])


async def test_a_migration_that_fails_leaves_nothing_and_the_next_start_goes_on_from_there(
    settings: WorkerSettings, sql: asyncpg.Connection, ledger: Family
):
    file = Path(str(ledger.sql / "migrations" / "0002_more.sql"))
    file.write_text("create table accounts.more (more_id bigint); select 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(settings, [ledger])
    left = await sql.fetchval("select to_regclass('accounts.more')::text")
    file.write_text("create table accounts.more (more_id bigint);")

    applied = await migrate(settings, [ledger])

    assert (left, applied) == (None, ["accounts/0002_more"])


async def test_a_migrated_database_takes_receipts_of_the_whole_retention_and_of_three_days_ahead(
    empty: WorkerSettings, into: asyncpg.Connection, served: Served
):
    now = datetime.now(UTC)

    await migrate(empty, FAMILIES)

    assert await partitions(into, served) >= days(-empty.retention_days, 3, now)


async def test_keeping_partitions_makes_and_drops_exactly_what_the_days_gone_by_ask_for(
    sql: asyncpg.Connection, served: Served
):
    await keep_partitions(sql, served.statements, now=NOW, retention_days=RETENTION)
    before = await partitions(sql, served)

    await keep_partitions(sql, served.statements, now=NOW + timedelta(days=2), retention_days=RETENTION)

    after = await partitions(sql, served)
    assert before == days(-RETENTION - 1, 3)
    assert (after - before, before - after) == (days(4, 5), days(-RETENTION - 1, -RETENTION))


async def test_keeping_partitions_keeps_the_receipts_within_retention(sql: asyncpg.Connection, served: Served):
    await keep_partitions(sql, served.statements, now=NOW, retention_days=RETENTION)
    for day in days(-RETENTION - 1, 0):
        await add_receipt(sql, day, NOW)

    await keep_partitions(sql, served.statements, now=NOW + timedelta(days=2), retention_days=RETENTION)

    rows = await sql.fetch("select day from rowcall.receipts")
    assert {row["day"] for row in rows} == days(-RETENTION + 1, 0)


async def test_receipts_of_other_ids_are_forgotten_by_age(sql: asyncpg.Connection, served: Served):
    oldest = NOW - timedelta(days=RETENTION + 1)
    for at in (oldest - timedelta(seconds=1), oldest, NOW):
        await add_receipt(sql, date(1970, 1, 1), at)

    await keep_partitions(sql, served.statements, now=NOW, retention_days=RETENTION)

    rows = await sql.fetch("select at from rowcall.receipts_other_ids order by at")
    assert [row["at"] for row in rows] == [oldest, NOW]


async def test_a_worker_whose_clock_is_behind_drops_no_day_to_come(sql: asyncpg.Connection, served: Served):
    await keep_partitions(sql, served.statements, now=NOW + timedelta(minutes=1), retention_days=RETENTION)

    await keep_partitions(sql, served.statements, now=NOW, retention_days=RETENTION)

    assert await partitions(sql, served) >= days(4, 4)


async def test_workers_that_keep_partitions_at_once_do_not_disturb_each_other(postgres_url: str, served: Served):
    async with asyncpg.create_pool(postgres_url, min_size=4, server_settings={"timezone": "UTC"}) as pool:

        async def keep(ahead: int) -> None:
            async with pool.acquire() as connection:
                now = NOW + timedelta(days=ahead)
                await keep_partitions(connection, served.statements, now=now, retention_days=RETENTION)

        for ahead in range(3):
            await asyncio.gather(*(keep(ahead) for _ in range(4)))


async def test_readers_of_receipts_and_the_drop_of_a_partition_wait_for_each_other_and_both_succeed(
    postgres_url: str, sql: asyncpg.Connection, served: Served
):
    await keep_partitions(sql, served.statements, now=NOW, retention_days=RETENTION)
    later = NOW + timedelta(days=2)
    async with (
        asyncio.timeout(30),
        asyncio.TaskGroup() as tasks,
        connected(postgres_url) as holder,
        connected(postgres_url) as keeper,
        connected(postgres_url) as reader,
    ):
        async with holder.transaction():
            await holder.execute("select from rowcall.relay for update")  # so the drop waits between its locks
            kept = tasks.create_task(keep_partitions(keeper, served.statements, now=later, retention_days=RETENTION))
            await waiting(sql, 1)
            found = tasks.create_task(reader.fetchval("select count(*) from rowcall.receipts"))
            await waiting(sql, 2)

        await kept
        assert await found == 0


async def waiting(connection: asyncpg.Connection, sessions: int) -> None:
    """Until so many sessions wait for locks."""
    waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    while await connection.fetchval(waits) < sessions:
        await asyncio.sleep(0.01)
