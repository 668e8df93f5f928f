"""asyncpg's pool with the same grouping by hand: what waits at the same moment runs as one ``fetchmany``."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from tests.benchmarks.sql import bench
from tests.benchmarks.systems import Place
from tests.benchmarks.systems.direct import pool_of

MAX_CALLS = 64
AT_ONCE = 2


class Group:
    """The calls of one statement that wait, and how many groups of it run."""

    def __init__(self, pool: asyncpg.Pool, statement: str, *, rows_each: int = 1, key: int | None = None) -> None:
        self._pool, self._sql, self._rows_each, self._key = pool, bench(statement), rows_each, key
        self._waiting: deque[tuple[tuple[int, ...], asyncio.Future[Any]]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._due = False

    async def call(self, *arguments: int) -> Any:
        loop = asyncio.get_running_loop()
        result = loop.create_future()
        self._waiting.append((arguments, result))
        if not self._due:
            self._due = True
            loop.call_soon(self._start)
        return await result

    def _start(self) -> None:
        self._due = False
        while self._waiting and len(self._running) < AT_ONCE:
            calls = [self._waiting.popleft() for _ in range(min(MAX_CALLS, len(self._waiting)))]
            task = asyncio.create_task(self._run(calls))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start()

    async def _run(self, calls: list[tuple[tuple[int, ...], asyncio.Future[Any]]]) -> None:
        if self._key is not None:  # writes lock their rows in one order
            calls.sort(key=lambda call: call[0][self._key])
        each = self._rows_each
        try:
            async with self._pool.acquire() as connection:
                rows = await connection.fetchmany(self._sql, [arguments for arguments, _ in calls])
            assert len(rows) == each * len(calls), "a call gave another number of rows than the data have"
        except Exception as error:  # noqa: BLE001 - every caller is to hear of it
            for _, result in calls:
                result.set_exception(error)
            return
        for n, (_, result) in enumerate(calls):
            result.set_result(rows[n] if each == 1 else rows[n * each : (n + 1) * each])


class Calls:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self.noop = Group(pool, "noop").call
        self.read_user = Group(pool, "read_user").call
        self.list_rows = Group(pool, "list_rows", rows_each=50).call
        self._write = Group(pool, "write", key=1)

    async def write(self, user_id: int, amount: int) -> Any:
        return await self._write.call(amount, user_id)


@contextlib.asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Calls]:
    async with pool_of(place) as pool:
        yield Calls(pool)
