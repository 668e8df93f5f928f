"""A deployment, a killed worker, a broker and a database started again: under 200 calls a second, no call fails."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr
from uuid_utils.compat import uuid7

from accounts import AsyncAccounts
from rpc_client import AsyncClient, ClientSettings, RPCError
from tests.conftest import FAMILIES, connected
from tests.own_servers import OwnServer
from tests.processes import StartWorker, WorkerProcess, workers
from worker.migrations import migrate
from worker.settings import WorkerSettings
from worker.testing import scratch_database

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(240)]

A_SECOND = 200
CALLS = 5000
CREW = 4
DEADLINE_S = 30.0
ACCOUNTS = 50
MOMENT_S = 3.0
"""The fault comes so long after the first call, and another such time is left for the last ones."""


@dataclass
class Load:
    """What was asked, what was answered, and how long the slowest took."""

    failed: list[RPCError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """The ids of deposits that were answered."""
    slowest_s: float = 0.0

    async def call(self, client: AsyncClient, number: int, dice: random.Random) -> None:
        """A read or a deposit of one cent, by turns."""
        began, account = time.monotonic(), f"a-{dice.randrange(ACCOUNTS)}"
        request_id = str(uuid7())
        bound = AsyncAccounts(client.with_options(request_id=request_id))
        try:
            if number % 2:
                await bound.get_account(account)
            else:
                await bound.deposit(account, 1, request_id)
                self.notes.append(request_id)
        except RPCError as error:
            self.failed.append(error)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)


async def load(settings: WorkerSettings, calls: int = CALLS) -> Load:
    """So many calls a second, whether those before are answered or not."""
    done, dice = Load(), random.Random(settings.prefix)
    own = ClientSettings.model_validate(settings.model_dump()).model_copy(update={"timeout_s": DEADLINE_S})
    async with AsyncClient(own) as client:
        began, running = time.monotonic(), set()
        for number in range(calls):
            await asyncio.sleep(max(0.0, began + number / A_SECOND - time.monotonic()))
            running.add(asyncio.create_task(done.call(client, number, dice)))
        await asyncio.gather(*running)
    return done


@contextlib.asynccontextmanager
async def crew(settings: WorkerSettings, folder: Path) -> AsyncIterator[tuple[StartWorker, list[WorkerProcess]]]:
    """Workers that serve, and accounts for them to keep."""
    async with workers(settings, folder) as start, connected(settings.direct_url) as sql:
        serving = list(await asyncio.gather(*(start() for _ in range(CREW))))
        await sql.execute(
            "insert into accounts.accounts (account_id, owner) select 'a-' || n, 'me' from generate_series(0, $1) as n",
            ACCOUNTS,
        )
        yield start, serving


async def check(settings: WorkerSettings, done: Load) -> None:
    """No call failed, and each deposit stands in the ledger once."""
    print(f"slowest call {done.slowest_s:.2f} s, {len(done.failed)} failed")  # noqa: T201 - for whoever looks
    assert done.failed == []
    async with connected(settings.direct_url) as sql:
        entries = Counter(row["note"] for row in await sql.fetch("select note from accounts.entries"))
        assert entries == Counter(done.notes)
        assert await sql.fetchval("select sum(balance) from accounts.accounts") == len(done.notes)


@pytest.fixture
async def apart(
    settings: WorkerSettings, own_rabbitmq: OwnServer, own_postgresql: OwnServer
) -> AsyncIterator[WorkerSettings]:
    """A broker and a database that may go away; in the end they run."""
    async with scratch_database(own_postgresql.url) as url:
        update = {"postgres_url": SecretStr(url), "amqp_url": SecretStr(own_rabbitmq.url)}
        apart = settings.model_copy(update=update)
        await migrate(apart, FAMILIES)
        try:
            yield apart
        finally:
            await asyncio.gather(own_rabbitmq.start(), own_postgresql.start())


async def during(settings: WorkerSettings, fault: Callable[[], Awaitable[object]], calls: int = CALLS) -> Load:
    """The load, and after a moment of it the fault."""

    async def strike() -> None:
        await asyncio.sleep(MOMENT_S)
        await fault()

    done, _ = await asyncio.gather(load(settings, calls), strike())
    return done


async def test_a_rolling_restart_of_four_workers_fails_no_call(settings, tmp_path):
    async with crew(settings, tmp_path) as (start, serving):

        async def deploy() -> None:
            for old in list(serving):
                await start()
                assert await old.stop() == 0

        done = await during(settings, deploy)
        await check(settings, done)


async def test_killing_workers_fails_no_call(settings, tmp_path):
    async with crew(settings, tmp_path) as (start, serving):

        async def kill() -> None:
            for victim in serving[:3]:
                victim.process.send_signal(signal.SIGKILL)
                await start()
                await asyncio.sleep(MOMENT_S)

        done = await during(settings, kill)
        await check(settings, done)


@pytest.mark.parametrize("ending", ["stopped", "killed"])
async def test_a_broker_that_starts_again_fails_no_call(apart, own_rabbitmq, tmp_path, ending):
    async def restart() -> None:
        await (own_rabbitmq.kill() if ending == "killed" else own_rabbitmq.stop())
        await own_rabbitmq.start()

    async with crew(apart, tmp_path):
        done = await during(apart, restart)
        await check(apart, done)


@pytest.mark.parametrize("ending", ["stopped", "killed"])
async def test_a_database_that_starts_again_fails_no_call(apart, own_postgresql, tmp_path, ending):
    async def restart() -> None:
        await (own_postgresql.kill() if ending == "killed" else own_postgresql.stop())
        await asyncio.sleep(MOMENT_S)
        await own_postgresql.start()

    async with crew(apart, tmp_path):
        done = await during(apart, restart)
        await check(apart, done)
