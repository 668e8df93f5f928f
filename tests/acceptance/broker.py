"""A bare AMQP peer for tests: sends what our client never would, and looks at what lies in a queue."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aio_pika
import asyncpg
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue, AbstractRobustChannel

from rpc_client.wire import Names
from worker.keys import KeyRing
from worker.settings import WorkerSettings

TAKE = """
delete from rowcall.dead_letters where number = (select min(number) from rowcall.dead_letters) returning *
"""


class Peer:
    """One channel, one reply queue."""

    def __init__(self, channel: AbstractRobustChannel, replies: AbstractQueue, names: Names) -> None:
        self.channel = channel
        self.replies = replies
        self.names = names

    async def send(self, body: bytes, routing_key: str, **properties) -> None:
        exchange = await self.channel.get_exchange(self.names.requests)
        defaults = {"reply_to": self.replies.name, "correlation_id": uuid4().hex}
        await exchange.publish(aio_pika.Message(body, **{**defaults, **properties}), routing_key, timeout=5)

    async def reply(self) -> AbstractIncomingMessage:
        return await take(self.replies)


async def take(queue: AbstractQueue) -> AbstractIncomingMessage:
    """The next message of a queue, waiting for it at most 10 s."""
    async with asyncio.timeout(10):
        while (message := await queue.get(fail=False, no_ack=True)) is None:
            await asyncio.sleep(0.02)
    return message


async def dead_letter(sql: asyncpg.Connection, keys: KeyRing | None = None) -> dict[str, Any]:
    """The next dead letter that a worker keeps, waiting for it at most 10 s; taken out of the table, and opened."""
    ring = KeyRing([]) if keys is None else keys
    async with asyncio.timeout(10):
        while (row := await sql.fetchrow(TAKE)) is None:
            await asyncio.sleep(0.02)
    letter = dict(row)
    letter["body"] = ring.unseal(letter["body"], place=f"letter/{letter['id']}")
    letter["traceback"] = ring.unseal(letter["traceback"], place=f"traceback/{letter['id']}").decode()
    return letter


@contextlib.asynccontextmanager
async def connected_peer(settings: WorkerSettings) -> AsyncIterator[Peer]:
    connection = await aio_pika.connect(settings.amqp_urls[0])
    async with connection:
        names = Names(settings.prefix)
        channel = await connection.channel()
        replies = await channel.declare_queue(names.replies(uuid4()), exclusive=True)
        yield Peer(channel, replies, names)
