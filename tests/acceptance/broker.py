"""A bare AMQP peer for tests: sends what our client never would, and looks at what lies in a queue."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue, AbstractRobustChannel

from rpc_client.wire import Names
from worker.settings import WorkerSettings


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

    async def dead_letter(self) -> AbstractIncomingMessage:
        return await take(await self.channel.get_queue(self.names.dead_letters))


async def take(queue: AbstractQueue) -> AbstractIncomingMessage:
    """The next message of a queue, waiting for it at most 10 s."""
    async with asyncio.timeout(10):
        while (message := await queue.get(fail=False, no_ack=True)) is None:
            await asyncio.sleep(0.02)
    return message


@contextlib.asynccontextmanager
async def connected_peer(settings: WorkerSettings) -> AsyncIterator[Peer]:
    connection = await aio_pika.connect(settings.amqp_urls[0])
    async with connection:
        names = Names(settings.prefix)
        channel = await connection.channel()
        replies = await channel.declare_queue(names.replies(uuid4()), exclusive=True)
        yield Peer(channel, replies, names)
