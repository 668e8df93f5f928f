"""A worker in this process on a PostgreSQL that the test may hurt, callers that keep at it, and what must hold."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import asyncpg
from pydantic import SecretStr

from accounts import AsyncAccounts
from accounts.services import family as accounts_family
from tests.faults.patient import family as patient_family
from worker.database import Database
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker

FAMILIES = [accounts_family, patient_family]
WAIT_S = 30
POOL = 4
LOCK = 78
"""Of no meaning to PostgreSQL; the statements and the gate of tests wait for it."""
BACKENDS = "from pg_stat_activity where datname = current_database() and application_name = 'rowcall worker'"


@contextlib.asynccontextmanager
async def serving(url: str, settings: WorkerSettings, **limits: object) -> AsyncIterator[LocalWorker]:
    """A worker on this database, with one account."""
    chosen = settings.model_copy(update={"postgres_url": SecretStr(url), **limits})
    async with local_worker(url, FAMILIES, settings=chosen) as worker:
        await AsyncAccounts(worker.client).open_account("a-1", "me")
        yield worker


class Callers:
    """Some who deposit a cent, again and again, until they are told to stop."""

    def __init__(self, worker: LocalWorker, *, callers: int = 8, timeout_s: float = 30) -> None:
        self._accounts = AsyncAccounts(worker.client.with_options(timeout_s=timeout_s))
        self._callers = callers
        self._stop = asyncio.Event()
        self._done = asyncio.Condition()
        self.good = 0
        self.failed: list[Exception] = []

    async def _call(self) -> None:
        while not self._stop.is_set():
            try:
                await self._accounts.deposit("a-1", 1)
                self.good += 1
            except Exception as error:  # noqa: BLE001 - counted, and told
                self.failed.append(error)
            async with self._done:
                self._done.notify_all()

    async def more(self, calls: int) -> None:
        """Wait until so many more have been answered well."""
        wanted = self.good + calls
        async with asyncio.timeout(WAIT_S), self._done:
            await self._done.wait_for(lambda: self.good >= wanted or self.failed)

    async def say_first_good(self, since: str) -> None:
        """Print how long it takes until the next one is answered well."""
        started = time.monotonic()
        await self.more(1)
        print(f"first good call {time.monotonic() - started:.2f} s after {since}")  # noqa: T201 - a figure to read

    @contextlib.asynccontextmanager
    async def calling(self) -> AsyncIterator[Callers]:
        """They call while the block runs; in the end they get their last answers."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._callers):
                tasks.create_task(self._call())
            try:
                yield self
            finally:
                self._stop.set()


async def every_place_is_free(database: Database, size: int) -> None:
    """As many as there are places hold a connection that works, all at the same time."""
    together = asyncio.Barrier(size)

    async def hold() -> None:
        async with database.connection(10) as connection:
            assert await connection.fetchval("select 1", timeout=10) == 1
            await together.wait()

    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(*(hold() for _ in range(size)))


async def deposited(sql: asyncpg.Connection) -> tuple[int, int]:
    """The balance, and how many deposits made it: each of a cent, each with its receipt."""
    balance = await sql.fetchval("select balance from accounts.accounts where account_id = 'a-1'")
    entries = await sql.fetchval("select count(*) from accounts.entries")
    receipts = await sql.fetchval(
        "select count(*) from rowcall.receipts where method = 'accounts.deposit' and outcome like '\"result\"%'"
    )
    assert entries == receipts
    return balance, entries


@contextlib.asynccontextmanager
async def locked(sql: asyncpg.Connection) -> AsyncIterator[None]:
    """While the block runs nobody passes a gate that waits for this lock."""
    await sql.execute(f"select pg_advisory_lock({LOCK})")
    try:
        yield
    finally:
        await sql.execute(f"select pg_advisory_unlock({LOCK})")


async def until(sql: asyncpg.Connection, condition: str, *values: object) -> None:
    """Wait until this is true of the database."""
    async with asyncio.timeout(WAIT_S):
        while not await sql.fetchval(f"select {condition}", *values):
            await asyncio.sleep(0.02)
