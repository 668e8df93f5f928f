"""Events: what committed, as it is told. ``listen`` hears it live."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import redis.asyncio as redis
from redis.asyncio.client import PubSub

from rpc_client.contract import EventData, Record, Timestamp
from rpc_client.settings import ClientSettings

D = TypeVar("D", bound=EventData)
POLL_S = 1.0


class Event(Record):
    """Something that happened and is committed."""

    id: str
    """``<request id>/<n>``, the same whenever and however often it is told."""
    type: str
    family: str
    aggregate: str
    """The kind of thing it happened to, and which one: events of one aggregate are ordered by ``seq``."""
    aggregate_id: str
    seq: int
    time: Timestamp
    request_id: UUID
    data: dict[str, Any]

    def read(self, shape: builtins.type[D]) -> D:
        """Its data, typed. TypeError when it is an event of another type, ValueError when its data does not fit."""
        if (self.type, self.aggregate) != (shape.__name__, shape.aggregate):
            kind, asked = f"{self.type} of {self.aggregate!r}", f"{shape.__name__} of {shape.aggregate!r}"
            raise TypeError(f"event {self.id} of {self.family} is {kind}, not {asked}")
        return shape.model_validate(self.data)


@asynccontextmanager
async def listen(pattern: str = "*", settings: ClientSettings | None = None) -> AsyncGenerator[AsyncIterator[Event]]:
    """Hear events live, from the moment the block is entered. What is told while nobody listens is not heard here.

    ``async with listen("platform/credits/user-1") as events: async for event in events: …``

    Args:
        pattern: ``family/aggregate/id``, where ``*`` stands for anything.
        settings: from the environment unless given.
    """
    settings = settings or ClientSettings()
    connection: redis.Redis = redis.from_url(
        settings.redis_url.get_secret_value(), socket_timeout=POLL_S + 5, health_check_interval=10
    )
    async with connection, connection.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.psubscribe(f"{settings.prefix}/{pattern}")
        # The subscription counts once Redis has confirmed it; without this a fast event could be missed.
        await pubsub.get_message(timeout=5)
        yield _events(pubsub)


async def _events(pubsub: PubSub) -> AsyncIterator[Event]:
    while True:
        message = await pubsub.get_message(timeout=POLL_S)
        if message is not None:
            yield Event.model_validate_json(message["data"] or b"")
