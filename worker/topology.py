"""The exchanges and queues of one prefix. Workers declare them, by queue arguments; clients only use them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aio_pika
import aiormq.exceptions

from rpc_client.connection import SetupRefusedError, open_channel
from rpc_client.wire import Names

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection
    from aiormq.abc import AbstractChannel

    from worker.settings import WorkerSettings

MAX_MESSAGES = 100_000
MAX_BYTES = 1 << 30
DELIVERY_LIMIT = 20
NO_LIMIT = 1_000_000_000
"""A dead letter is never given up for having been delivered often: RabbitMQ 4 would drop it at the 21st time."""
DAY_MS = 86_400_000
DELETE_S = 30.0
LANES = ("read", "write")


def queue_arguments(settings: WorkerSettings) -> dict[str, dict[str, Any]]:
    """Queue name -> its arguments.

    The write queue loses nothing: it is replicated where there are several nodes, refuses what it cannot hold, and
    keeps an expired or undeliverable call until the dead-letter queue has confirmed it.
    """
    names = Names(settings.prefix)
    bounded = {"x-max-length": MAX_MESSAGES, "x-max-length-bytes": MAX_BYTES, "x-overflow": "reject-publish"}
    return {
        names.dead_letters: {
            "x-queue-type": "quorum",
            "x-message-ttl": settings.dead_letter_days * DAY_MS,
            "x-delivery-limit": NO_LIMIT,
        },
        names.queue("read"): {"x-queue-type": settings.read_queue, **bounded},
        names.queue("write"): {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": names.dead,
            "x-dead-letter-strategy": "at-least-once",
            **bounded,
        },
    }


async def declare(connection: AbstractConnection, settings: WorkerSettings) -> None:
    """Declare everything; the dead-letter queue before what leads to it. SetupRefusedError when it exists otherwise."""
    names = Names(settings.prefix)
    channel = await open_channel(connection)
    try:
        await channel.exchange_declare(names.dead, exchange_type="topic", durable=True)
        await channel.exchange_declare(names.requests, exchange_type="topic", durable=True)
        for queue, arguments in queue_arguments(settings).items():
            await _declare_queue(channel, queue, arguments)
        await channel.queue_bind(names.dead_letters, names.dead, "#")
        for lane in LANES:
            await channel.queue_bind(names.queue(lane), names.requests, f"{lane}.#")
    finally:
        if not channel.is_closed:
            await channel.close()


async def _declare_queue(channel: AbstractChannel, queue: str, arguments: dict[str, Any]) -> None:
    try:
        await channel.queue_declare(queue, durable=True, arguments=arguments)
    except aiormq.exceptions.ChannelPreconditionFailed as error:
        raise SetupRefusedError(
            f"queue {queue} exists with other arguments ({error}). To move: let the workers empty it, delete it, and"
            " start a worker, which declares it anew; or choose another ROWCALL_PREFIX"
        ) from error


async def delete(settings: WorkerSettings) -> None:
    """Delete this prefix's queues and exchanges, each by its name, with all that is in them. For demos and tests."""
    names = Names(settings.prefix)
    async with asyncio.timeout(DELETE_S):
        connection = await aio_pika.connect(settings.amqp_urls[0])
        async with connection:
            channel = await open_channel(connection)
            for queue in queue_arguments(settings):
                await channel.queue_delete(queue)
            for exchange in (names.requests, names.dead):
                await channel.exchange_delete(exchange)
