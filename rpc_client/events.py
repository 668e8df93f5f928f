"""Events: what committed, as it is told. ``listen`` hears it live, ``subscribe`` reads the record of it all."""

from __future__ import annotations

import builtins
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal, TypeVar
from uuid import UUID

import redis.asyncio as redis
from pydantic import ValidationError
from pydantic_core import from_json
from redis.asyncio.client import PubSub

from rpc_client.contract import EventData, Record, Timestamp
from rpc_client.record import Entry, Gap, Reader
from rpc_client.settings import ClientSettings
from rpc_client.tasks import heeding

__all__ = ["Event", "Gap", "listen", "subscribe"]

D = TypeVar("D", bound=EventData)
POLL_S, CONFIRM_S = 1.0, 5.0

log = logging.getLogger("rowcall.events")


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
    cursor: str | None = None
    """Its place in the record, for `subscribe(from_=…)`; None when it was heard live."""

    def read(self, shape: builtins.type[D]) -> D:
        """Its data, typed. TypeError when it is an event of another type, ValueError when its data does not fit."""
        if (self.type, self.aggregate) != (shape.__name__, shape.aggregate):
            kind, asked = f"{self.type} of {self.aggregate!r}", f"{shape.__name__} of {shape.aggregate!r}"
            raise TypeError(f"event {self.id} of {self.family} is {kind}, not {asked}")
        return shape.model_validate(self.data)


@asynccontextmanager
async def listen(pattern: str = "*", settings: ClientSettings | None = None) -> AsyncGenerator[AsyncIterator[Event]]:
    """Hear events live, from the moment the block is entered. What is told while nobody listens is not heard here.

    redis.ConnectionError or redis.TimeoutError where Redis is away, at the beginning or meanwhile: then listen anew, or
    `subscribe`, which goes on by itself.

    ``async with listen("platform/credits/user-1") as events: async for event in events: …``

    Args:
        pattern: ``family/aggregate/id``, where ``*`` stands for anything.
        settings: from the environment unless given.
    """
    settings = settings or ClientSettings()
    connection: redis.Redis = redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=POLL_S + 5,
        socket_connect_timeout=POLL_S + 5,
        health_check_interval=10,
    )
    async with connection, connection.pubsub() as pubsub:
        with heeding():
            await pubsub.psubscribe(f"{settings.prefix}/{pattern}")
            # The subscription counts once Redis has confirmed it; without this a fast event could be missed.
            if await pubsub.get_message(timeout=CONFIRM_S) is None:
                raise redis.TimeoutError(f"Redis has not confirmed the subscription in {CONFIRM_S:g} s")
        pubsub.ignore_subscribe_messages = True  # those of later connections
        yield _events(pubsub)


async def _events(pubsub: PubSub) -> AsyncIterator[Event]:
    while True:
        with heeding():
            message = await pubsub.get_message(timeout=POLL_S)
        if message is None:
            continue
        try:
            event = Event.model_validate_json(message["data"] or b"")
        except ValidationError as error:
            log.warning("an event that was announced cannot be read: %s", error)
        else:
            yield event


@asynccontextmanager
async def subscribe(
    pattern: str = "*",
    settings: ClientSettings | None = None,
    *,
    from_: Literal["now", "beginning"] | str = "now",  # noqa: PYI051 - the two words are worth showing
    follow: bool = True,
) -> AsyncGenerator[AsyncIterator[Event | Gap]]:
    """Read the record of events: each committed one, once, those of one aggregate in the order in which they happened.

    ``async with subscribe("accounts/*", from_=cursor) as events: async for event in events: …``

    Redis may go away meanwhile; reading goes on where it was. A `Gap` says where something can have been missed.
    Entering waits while Redis is away: put ``asyncio.timeout`` around it where that is too long. ValueError where
    `from_` is none of these; redis.AuthenticationError where Redis does not let us in.

    Args:
        pattern: ``family/aggregate/id``, where ``*`` stands for anything.
        settings: from the environment unless given.
        from_: what is recorded after the block is entered, all that there is, or what follows an event's ``cursor``.
        follow: wait for more where the record ends, instead of ending there.
    """
    reader = Reader(settings or ClientSettings(), from_)
    async with reader.redis:
        await reader.start()
        async with aclosing(_recorded(reader, pattern, follow=follow)) as events:
            yield events


async def _recorded(reader: Reader, pattern: str, *, follow: bool) -> AsyncGenerator[Event | Gap]:
    wanted = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    async with aclosing(reader.items(follow=follow)) as items:
        async for item in items:
            told = item if isinstance(item, Gap) else _read(item, wanted)
            if told is not None:
                yield told


def _read(entry: Entry, wanted: re.Pattern[str]) -> Event | Gap | None:
    """The event, where it is wanted. One that is not as it should be ends nobody's reading."""
    try:
        fields = from_json(entry.text)
        if not wanted.fullmatch("/".join(str(fields.get(name)) for name in ("family", "aggregate", "aggregate_id"))):
            return None
        return Event.model_validate({**fields, "cursor": entry.cursor})
    except ValueError as error:
        log.warning("an event of the record cannot be read: %s: %s", entry.cursor, error)
        return Gap("unreadable", entry.cursor, None)
