"""What tests of the transport's faults begin with: workers and a client at a broker that may be harmed."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from accounts import AsyncAccounts
from rpc_client import AsyncClient, ClientSettings
from tests.own_servers import OwnServer
from tests.processes import StartWorker, WorkerProcess, workers
from worker.settings import WorkerSettings

PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """A broker, its workers, and one client who knows them."""

    settings: WorkerSettings
    start: StartWorker
    worker: WorkerProcess
    client: AsyncClient

    @property
    def accounts(self) -> AsyncAccounts:
        """With time enough for a broker to be away."""
        return AsyncAccounts(self.client.with_options(timeout_s=PATIENCE_S))

    async def another_client(self, stack: contextlib.AsyncExitStack) -> AsyncAccounts:
        """Of somebody else, over a connection of its own."""
        client = await stack.enter_async_context(AsyncClient(self.client.settings, timeout_s=PATIENCE_S))
        return AsyncAccounts(client)


def client_settings(settings: WorkerSettings, url: str | None = None, **changes: object) -> ClientSettings:
    """A client's share of these settings, perhaps by another way to the broker."""
    known = {**settings.model_dump(), **({} if url is None else {"amqp_url": SecretStr(url)}), **changes}
    return ClientSettings.model_validate(known)


@contextlib.asynccontextmanager
async def place(settings: WorkerSettings, folder: Path, url: str, **extra: str) -> AsyncIterator[Place]:
    """A worker, and a client with an account `a-1`, at the broker of this address."""
    there = settings.model_copy(update={"amqp_url": SecretStr(url)})
    async with workers(there, folder) as start, AsyncClient(client_settings(there)) as client:
        found = Place(there, start, await start(**extra), client)
        await found.accounts.open_account("a-1", "me")
        yield found


@contextlib.asynccontextmanager
async def mortal(process: Process) -> AsyncIterator[Process]:
    """A process that is dead when the block is left, whatever happens in it."""
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def until(true: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Wait for this to become true."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.02)


async def until_said(worker: WorkerProcess, words: str, *, times: int = 1) -> None:
    """Wait until a worker's log has this."""
    await until(lambda: worker.log.read_text().count(words) >= times)


async def answered(own: OwnServer, *command: str, wanted: str) -> None:
    """Ask the broker until its answer holds this."""
    async with asyncio.timeout(PATIENCE_S):
        while wanted not in await own.control(*command):
            await asyncio.sleep(0.2)


async def ledger(sql: asyncpg.Connection) -> tuple[int, int]:
    """The balance of all accounts, and how many entries made it: each call of one cent is one of both, or a fault."""
    row = await sql.fetchrow("select (select sum(balance) from accounts.accounts), count(*) from accounts.entries")
    return int(row[0]), int(row[1])
