"""How a worker ends: asked twice, out of time, with a bug in its core; and how it outlives a halt, and no files."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import NAMED, connected
from tests.faults.given import PATIENCE_S, Place, ledger, mortal, place, until, until_said
from tests.faults.patient import STANDS, AsyncPatient
from tests.processes import WorkerProcess, environment
from tests.proxy import proxied

PROGRAMS = Path(__file__).parent / "programs"
WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@pytest.fixture
async def there(settings, tmp_path) -> AsyncIterator[Place]:
    async with place(settings, tmp_path, settings.amqp_urls[0]) as there:
        yield there


@contextlib.asynccontextmanager
async def locked_accounts(url: str) -> AsyncIterator[None]:
    """Nobody else can change any account while the block lasts."""
    async with connected(url) as connection, connection.transaction():
        await connection.execute("select from accounts.accounts for update")
        yield


async def running(sql: asyncpg.Connection) -> None:
    """Wait until a write has reached the lock."""
    async with asyncio.timeout(30):
        while await sql.fetchval(WAITING) == 0:
            await asyncio.sleep(0.02)


async def ended(worker: WorkerProcess) -> int:
    return await asyncio.wait_for(worker.process.wait(), 30)


@pytest.mark.parametrize("how", ["asked twice", pytest.param("out of time", marks=pytest.mark.heavy)])
async def test_what_runs_on_is_cut_short_and_runs_elsewhere_once(there: Place, postgres_url, sql, how):
    doomed = await there.start(ROWCALL_DRAIN_S="300" if how == "asked twice" else "0.2")
    await there.worker.stop()
    async with locked_accounts(postgres_url):
        call = asyncio.ensure_future(there.accounts.deposit("a-1", 1))
        await running(sql)

        doomed.process.terminate()
        asked = time.monotonic()
        if how == "asked twice":
            await until_said(doomed, "finishing what runs")
            doomed.process.terminate()
        code = await ended(doomed)

        print(f"ended {time.monotonic() - asked:.1f} s after SIGTERM, {how}")  # noqa: T201 - a figure
        assert code == 1
        assert "cut short" in doomed.log.read_text()
    # PostgreSQL may even go on with what it was told, until its lock time-out: the receipt tells in either case.
    await there.start()

    assert await call == 1
    assert await ledger(sql) == (1, 1)


@pytest.mark.heavy
async def test_with_no_file_left_to_open_a_worker_waits_and_serves_again_when_there_is(there: Place, sql):
    async with proxied(there.settings.amqp_urls[0]) as (proxy, url):
        worker = await there.start(ROWCALL_AMQP_URL=url)
        await there.worker.stop()
        pid = worker.process.pid
        _, hard = usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
        proxy.cut()
        await until_said(worker, "Too many open files")
        call = asyncio.ensure_future(there.accounts.deposit("a-1", 1))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)

        assert await call == 1
        assert worker.process.returncode is None


async def started(settings, folder: Path, program: str) -> WorkerProcess:
    log = folder / "broken.log"
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAMS / program), stderr=output, env=environment(settings), cwd=folder
        )
    return WorkerProcess(process, log)


async def test_a_worker_whose_core_breaks_ends_rather_than_only_seem_to_live(there: Place, tmp_path):
    broken = await started(there.settings, tmp_path, "broken_mover.py")

    async with mortal(broken.process):
        code = await ended(broken)

    assert code == 70
    log = broken.log.read_text()
    assert "a part of this worker ended" in log
    assert "RuntimeError: broken by a test" in log


@pytest.mark.heavy
async def test_a_message_on_which_a_worker_stumbles_goes_to_the_dead_letters_and_the_worker_lives(
    there: Place, tmp_path, sql
):
    await there.worker.stop()
    broken = await started(there.settings, tmp_path, "broken_consumer.py")
    try:
        await broken.consuming()
        stumbling = await there.client.send(type(there.accounts).deposit, "a-1", 666)

        assert await there.accounts.deposit("a-1", 1) == 1
        async with asyncio.timeout(30):
            while (letter := await sql.fetchrow("select * from rowcall.dead_letters")) is None:
                await asyncio.sleep(0.02)
        assert (letter["id"], letter["reason"]) == (stumbling, "internal")
        assert "could not be taken" in broken.log.read_text()
    finally:
        await broken.stop()


@pytest.mark.heavy
@pytest.mark.timeout(180)
async def test_a_worker_that_stands_still_is_replaced_and_does_no_harm_when_it_wakes(there: Place, sql):
    await there.start()
    calls = [asyncio.ensure_future(there.accounts.deposit("a-1", 1)) for _ in range(500)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    there.worker.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        more = [asyncio.ensure_future(there.accounts.deposit("a-1", 1)) for _ in range(500)]
        await asyncio.gather(*calls, *more)
        print(f"all answered {time.monotonic() - began:.1f} s after a worker stood still")  # noqa: T201 - a figure
        await asyncio.sleep(max(25 - (time.monotonic() - began), 0))
    finally:
        there.worker.process.send_signal(signal.SIGCONT)
    await until(lambda: there.worker.log.read_text().count('"consuming"') > 1)

    assert await ledger(sql) == (1000, 1000)
    assert there.worker.process.returncode is None


@pytest.mark.heavy
@pytest.mark.timeout(120)
async def test_a_worker_whose_loop_a_method_blocks_is_replaced_and_serves_again_when_it_goes_on(
    settings, tmp_path, sql
):
    gate = tmp_path / "gate"
    wider = settings.model_copy(update={"families": [*NAMED, "tests.faults.patient:family"]})
    blocking = {"GATE": str(gate), "ROWCALL_HEARTBEAT_S": "1"}
    async with place(wider, tmp_path, settings.amqp_urls[0], **blocking) as there:
        try:
            hogging = asyncio.ensure_future(AsyncPatient(there.client.with_options(timeout_s=PATIENCE_S)).hog("once"))
            await until_said(there.worker, STANDS)
            calls = [asyncio.ensure_future(there.accounts.deposit("a-1", 1)) for _ in range(500)]
            other = await there.start()

            assert await hogging == 1
            await asyncio.gather(*calls)
            assert there.worker.log.read_text().count('"consuming"') == 1
        finally:
            gate.touch()
        await until_said(there.worker, '"consuming"', times=2)
        await other.stop()

        assert await there.accounts.deposit("a-1", 1) == 501
        assert await there.worker.stop() == 0  # nothing of what it woke up with runs any more
        assert await ledger(sql) == (501, 501)
        assert await sql.fetchval("select times from patient.notes") == 1
