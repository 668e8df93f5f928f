"""Migrations when many start at once, when one dies half-way, and when the database is of another version."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, connected
from tests.faults import patient
from tests.faults.given import mortal
from tests.faults.migrating import bring_up
from tests.faults.serving import until
from tests.processes import WorkerProcess, environment
from worker.__main__ import EX_CONFIG
from worker.testing import scratch_database

MIGRATING = "from pg_stat_activity where datname = current_database() and application_name = 'rowcall migrate'"
STUBBORN = """
create table patient.later (key text not null primary key);
do $$ begin
    if exists (select from public.stubborn) then perform pg_sleep(600); end if;
end $$;
"""


async def test_of_eight_who_migrate_an_empty_database_one_may_be_killed_half_way(servers, settings, tmp_path):
    folder = tmp_path / "sql"
    shutil.copytree(Path(patient.__file__).parent / "sql", folder)
    (folder / "migrations" / "0002_later.sql").write_text(STUBBORN)
    async with scratch_database(servers.postgres_url) as url, connected(url) as sql:
        await sql.execute("create table public.stubborn as select 1 as row")
        first = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.migrating", url, str(folder), cwd=ROOT, env=environment(settings)
        )
        async with mortal(first):
            await until(sql, f"exists (select {MIGRATING} and wait_event = 'PgSleep')")
            others = [asyncio.ensure_future(bring_up(url, folder)) for _ in range(7)]
            await until(sql, f"7 = (select count(*) {MIGRATING} and wait_event_type = 'Lock')")
            await sql.execute("delete from public.stubborn")
        applied = await asyncio.gather(*others)

        assert sorted(names for names in applied if names) == [["patient/0002_later"]]
        rows = await sql.fetch("select number from rowcall.migrations where family = 'patient' order by number")
        assert rows == [(1,), (2,)]
        assert await sql.fetchval("select count(*) from patient.later") == 0


@pytest.mark.heavy
async def test_a_worker_older_than_the_schema_takes_no_calls_and_says_what_to_do(settings, sql, tmp_path):
    await sql.execute("insert into rowcall.migrations values ('accounts', 77, '0077_later', 'x')")
    log = tmp_path / "log"
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", stderr=output, env=environment(settings), cwd=tmp_path
        )
    worker = WorkerProcess(process, log)

    async with asyncio.timeout(30):
        assert await worker.process.wait() == EX_CONFIG

    assert "the database has migration 0077 of accounts, this program knows 1: start a newer one" in log.read_text()
    assert '"consuming"' not in log.read_text()
