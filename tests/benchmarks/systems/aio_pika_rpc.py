"""aio_pika.patterns.RPC, as in aio-pika's documentation, page "Patterns and helpers", section "RPC"."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from aio_pika import connect_robust
from aio_pika.patterns import RPC

from tests.benchmarks.sql import bench, handmade, open_pool
from tests.benchmarks.systems import Place


async def serve(place: Place) -> None:
    pool = await open_pool(place.postgres_url, reset=place.reset)

    async def noop() -> int:
        return await pool.fetchval(bench("noop"))

    async def read_user(*, user_id: int) -> dict[str, Any] | None:
        row = await pool.fetchrow(bench("read_user"), user_id)
        return None if row is None else dict(row)

    async def write(*, user_id: int, amount: int) -> int:
        return await pool.fetchval(bench("write"), amount, user_id)

    async def list_rows(*, group_id: int) -> list[dict[str, Any]]:
        return [dict(row) for row in await pool.fetch(bench("list_rows"), group_id)]

    async def slow() -> int:
        return await pool.fetchval(bench("slow"))

    async def mixed(name: str, **arguments: Any) -> Any:
        return await handmade()[name].run(pool, arguments)

    connection = await connect_robust(place.amqp_url)
    channel = await connection.channel()
    rpc = await RPC.create(channel)
    functions = {f.__name__: f for f in (noop, read_user, write, list_rows, slow)}
    functions |= {name: partial(mixed, name) for name in handmade()}
    for name, function in functions.items():
        await rpc.register(_queue(place, name), function, auto_delete=True)
    print("ready", flush=True)
    try:
        await asyncio.Future()
    finally:
        await connection.close()


class Calls:
    def __init__(self, rpc: RPC, place: Place) -> None:
        self._rpc, self._place = rpc, place

    async def noop(self) -> Any:
        return await self.platform("noop", {})

    async def read_user(self, user_id: int) -> Any:
        return await self.platform("read_user", {"user_id": user_id})

    async def write(self, user_id: int, amount: int) -> Any:
        return await self.platform("write", {"user_id": user_id, "amount": amount})

    async def list_rows(self, group_id: int) -> Any:
        return await self.platform("list_rows", {"group_id": group_id})

    async def slow(self) -> Any:
        return await self.platform("slow", {})

    async def platform(self, method: str, arguments: dict[str, Any]) -> Any:
        return await self._rpc.call(_queue(self._place, method), arguments)


@contextlib.asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Calls]:
    connection = await connect_robust(place.amqp_url)
    async with connection:
        channel = await connection.channel()
        yield Calls(await RPC.create(channel), place)


def _queue(place: Place, name: str) -> str:
    return f"{place.prefix}.aio_pika.{name}"
