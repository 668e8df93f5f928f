"""FastStream over RabbitMQ, as in its documentation, page "RabbitMQ, RPC over RMQ", blocking request.

One broker object sends one request at a time: its callers queue for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from faststream import FastStream
from faststream.rabbit import RabbitBroker, RabbitQueue
from pydantic import BaseModel

from tests.benchmarks.family.contract import Amount, Item, User
from tests.benchmarks.sql import bench, open_pool
from tests.benchmarks.systems import Place


class UserKey(BaseModel):
    user_id: int


class Booking(BaseModel):
    user_id: int
    amount: Amount


class GroupKey(BaseModel):
    group_id: int


async def serve(place: Place) -> None:
    pool = await open_pool(place.postgres_url, reset=place.reset)
    broker = RabbitBroker(place.amqp_url, logger=None)

    @broker.subscriber(_queue(place, "noop"))
    async def noop() -> int:
        return await pool.fetchval(bench("noop"))

    @broker.subscriber(_queue(place, "read_user"))
    async def read_user(body: UserKey) -> User | None:
        row = await pool.fetchrow(bench("read_user"), body.user_id)
        return None if row is None else User(**row)

    @broker.subscriber(_queue(place, "write"))
    async def write(body: Booking) -> int:
        return await pool.fetchval(bench("write"), body.amount, body.user_id)

    @broker.subscriber(_queue(place, "list_rows"))
    async def list_rows(body: GroupKey) -> list[Item]:
        return [Item(**row) for row in await pool.fetch(bench("list_rows"), body.group_id)]

    @broker.subscriber(_queue(place, "slow"))
    async def slow() -> int:
        return await pool.fetchval(bench("slow"))

    app = FastStream(broker, logger=None)

    @app.after_startup
    async def started() -> None:
        print("ready", flush=True)

    await app.run()


class Calls:
    def __init__(self, broker: RabbitBroker, place: Place) -> None:
        self._broker, self._place = broker, place

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
        reply = await self._broker.request(arguments, _queue(self._place, method), timeout=60)
        return await reply.decode()


@contextlib.asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Calls]:
    async with RabbitBroker(place.amqp_url, logger=None) as broker:
        yield Calls(broker, place)


def _queue(place: Place, name: str) -> RabbitQueue:
    return RabbitQueue(f"{place.prefix}.faststream.{name}", auto_delete=True)
