"""A worker that records the events and is frozen: another takes over, and its waking harms nothing."""

from __future__ import annotations

import asyncio
import signal

import asyncpg
import pytest

from tests.processes import WorkerProcess
from tests.record import assert_exact, complete, storm
from worker.settings import WorkerSettings


async def relay_of(sql: asyncpg.Connection) -> int | None:
    """The session of the relay that works."""
    return await sql.fetchval(
        "select pid from pg_locks where locktype = 'advisory' and granted"
        " and database = (select oid from pg_database where datname = current_database())"
    )


@pytest.mark.parametrize(
    ("events", "waits"),
    [(1_500, False), pytest.param(60_000, True, marks=[pytest.mark.heavy, pytest.mark.timeout(600)])],
)
async def test_when_the_worker_that_records_is_frozen_another_does_and_its_waking_harms_nothing(
    events: int, waits: bool, start_worker, settings: WorkerSettings, pipeline, sql
):
    first, second = await start_worker(), await start_worker()
    writing = asyncio.create_task(storm(pipeline, events))
    recorder = await recording(first, second)
    recorder.process.send_signal(signal.SIGSTOP)
    try:
        pid = await relay_of(sql)
        if not waits:  # PostgreSQL ends it by itself after 10 s
            await sql.execute("select pg_terminate_backend($1)", pid)
        await writing
        await complete(settings, sql, timeout_s=60)
        assert await assert_exact(settings, sql) >= events
    finally:
        recorder.process.send_signal(signal.SIGCONT)
    await storm(pipeline, 500, seed=50)
    await complete(settings, sql)

    assert await assert_exact(settings, sql) >= events + 500


async def recording(*started: WorkerProcess) -> WorkerProcess:
    """The one that says that it records."""
    while True:
        for worker in started:
            if "this worker records the events" in worker.log.read_text():
                return worker
        await asyncio.sleep(0.02)
