"""asyncpg's pool in the calling program itself, as in its documentation, page "Usage", section "Connection Pools".

Its reset of every returned connection is elided: what is measured is the best a program with a pool of its own can do.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from tests.benchmarks.sql import bench, handmade, open_pool
from tests.benchmarks.systems import Place

POOL = 10


class Calls:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def noop(self) -> Any:
        return await self._pool.fetchval(bench("noop"))

    async def read_user(self, user_id: int) -> Any:
        return await self._pool.fetchrow(bench("read_user"), user_id)

    async def write(self, user_id: int, amount: int) -> Any:
        return await self._pool.fetchval(bench("write"), amount, user_id)

    async def list_rows(self, group_id: int) -> Any:
        return await self._pool.fetch(bench("list_rows"), group_id)

    async def slow(self) -> Any:
        return await self._pool.fetchval(bench("slow"))

    async def platform(self, method: str, arguments: dict[str, Any]) -> Any:
        return await handmade()[method].run(self._pool, arguments)


@contextlib.asynccontextmanager
async def pool_of(place: Place) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(place.postgres_url, size=min(POOL, place.callers), reset=False)
    async with pool:
        yield pool


@contextlib.asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Calls]:
    async with pool_of(place) as pool:
        yield Calls(pool)
