"""What a worker lets lie while enough is in hand goes on as soon as there is room, all of it at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from accounts import AsyncAccounts
from rpc_client import AsyncClient
from worker.consumer import Consumer

WAITING = """select count(*) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock'"""


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(postgres_url, min_size=2, max_size=2) as pool:
        yield pool


@contextlib.asynccontextmanager
async def locked(pool: asyncpg.Pool, *account_ids: str) -> AsyncIterator[None]:
    """Nobody else can change these accounts while the block lasts."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select from accounts.accounts where account_id = any($1) for update", account_ids)
        yield


async def test_room_for_two_lets_two_messages_begin(
    consumer: Consumer, client: AsyncClient, sql: asyncpg.Connection, pool: asyncpg.Pool, monkeypatch
):
    monkeypatch.setattr("worker.consumer.MAX_CALLS_IN_HAND", 2)
    accounts = AsyncAccounts(client)
    for account_id in ("a-1", "a-2", "a-3"):
        await accounts.open_account(account_id, "me")
    await accounts.deposit("a-3", 9)

    async with locked(pool, "a-2", "a-3"):
        async with locked(pool, "a-1"):
            calls = [asyncio.ensure_future(accounts.deposit("a-1", amount)) for amount in (1, 2)]
            while await sql.fetchval(WAITING) == 0:
                await asyncio.sleep(0.01)
            calls += map(asyncio.ensure_future, [accounts.deposit("a-2", 4), accounts.withdraw("a-3", 9)])
            while len(consumer._parked) < 2:
                await asyncio.sleep(0.01)
        while await sql.fetchval(WAITING) < 2:
            await asyncio.sleep(0.01)

    assert (await asyncio.gather(*calls))[2:] == [4, 0]
