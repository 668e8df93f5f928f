"""``Transport``: publishes calls and wakes their callers when the reply comes. One connection, many callers.

Calls of one method that are issued in the same tick of the event loop leave as one message; a lone call leaves alone,
in its own tick, and waits for nobody. Publisher confirms are on but nobody waits for them: the reply is the
confirmation. What a caller still waits for when the connection comes back is sent again under its own id, which the
worker's receipts make harmless.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import aiormq.exceptions
from pamqp.commands import Basic

from rpc_client import wire
from rpc_client.connection import Link, loss_as_error, open_channel
from rpc_client.errors import Disconnected, IdempotencyKeyReused, OutcomeUnknown, Unroutable

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection
    from aiormq.abc import AbstractChannel, DeliveredMessage

    from rpc_client.settings import ClientSettings

SETTLED_S = 2.0
"""A connection this old has seen the workers' queues if there are any: from then on NO_ROUTE is an answer."""
LOOK_TIMEOUT_S = 1.0

log = logging.getLogger("rowcall.transport")


@dataclass(slots=True)
class Pending:
    """A call that somebody waits for."""

    id: str
    method: str
    lane: str
    arguments: bytes
    expires_at: float
    """On the clock of ``time.time``."""
    slow: bool = False
    """It travels alone: a message goes to one worker, and companions would wait for it there."""
    reply: asyncio.Future[dict[str, Any]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    attempt: int = 0

    @property
    def left_s(self) -> float:
        """The time left until its deadline."""
        return self.expires_at - time.time()

    @property
    def waits(self) -> bool:
        """Whether sending it (again) can still help."""
        return not self.reply.done() and self.left_s > 0

    def line(self) -> bytes:
        """Itself as it travels."""
        return wire.encode_call(self.id, self.method, self.arguments, int(self.expires_at * 1000), self.attempt)


class Transport:
    """Carries calls to the workers and replies back. Opens with its first call."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._names = wire.Names(settings.prefix)
        self._pending: dict[str, Pending] = {}
        self._outbox: dict[str, list[Pending]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._channel: AbstractChannel | None = None
        self._exchange_seen = False
        self._reply_to = ""
        self._caller = caller_of(settings)
        self._link = Link(
            settings.amqp_urls, name="rowcall client", heartbeat_s=settings.heartbeat_s, on_up=self._on_up
        )
        self._closed = False

    async def request(self, call: Pending) -> dict[str, Any]:
        """Send a call and wait for its reply. OutcomeUnknown at its deadline, Unroutable when nobody serves it."""
        if self._closed:
            raise Disconnected("this client is closed", request_id=call.id, method=call.method)
        if (first := self._pending.get(call.id)) is not None:
            return await self._join(first, call)
        self._link.start()
        self._pending[call.id] = call
        if self._link.up.is_set():
            self._enqueue(call)
        deadline = call.reply.get_loop().call_later(max(call.left_s, 0), _expire, call.reply)
        try:
            return await call.reply
        except TimeoutError:
            raise await self._gave_up(call) from None
        finally:
            deadline.cancel()
            del self._pending[call.id]

    async def close(self) -> None:
        """Close the connection; calls still waiting end as OutcomeUnknown."""
        self._closed = True
        for call in self._pending.values():
            if not call.reply.done():
                message = f"the client was closed while {call.method} waited for its reply"
                call.reply.set_exception(OutcomeUnknown(message, request_id=call.id, method=call.method))
        for task in list(self._sending):
            task.cancel()
        await self._link.stop()

    async def _join(self, first: Pending, call: Pending) -> dict[str, Any]:
        """Wait with the same call that is on its way already, under the same id."""
        if (first.method, first.arguments) != (call.method, call.arguments):
            message = f"request id {call.id} belongs to a call of {first.method} that still waits for its reply"
            raise IdempotencyKeyReused(message, request_id=call.id, method=call.method)
        try:
            async with asyncio.timeout(max(call.left_s, 0)):
                return await asyncio.shield(first.reply)
        except TimeoutError:
            raise await self._gave_up(call) from None

    async def _on_up(self, connection: AbstractConnection) -> None:
        """Set up a fresh connection: a reply queue of its own, then everything still waiting, again."""
        channel = await open_channel(connection)
        self._reply_to = self._names.replies(uuid4())
        await channel.queue_declare(self._reply_to, exclusive=True, auto_delete=True)
        await channel.basic_consume(self._reply_to, self._on_reply, no_ack=True)
        channel.closing.add_done_callback(lambda _: self._on_channel_closed(channel))
        self._channel = channel
        self._outbox.clear()
        for call in self._pending.values():
            self._enqueue(call)

    def _on_channel_closed(self, channel: AbstractChannel) -> None:
        if not self._closed and self._channel is channel and self._link.up.is_set():
            self._link.drop("its channel closed")

    def _enqueue(self, call: Pending) -> None:
        """Let it leave at the end of this tick, with whatever else of its method was issued in it."""
        if not self._outbox:
            call.reply.get_loop().call_soon(self._flush)
        self._outbox.setdefault(f"{call.lane}.{call.method}", []).append(call)

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, {}
        for routing_key, calls in outbox.items():
            for parcel in _parcels(calls):
                task = asyncio.create_task(self._publish_until_taken(routing_key, parcel))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    async def _publish_until_taken(self, routing_key: str, calls: list[Pending]) -> None:
        """Publish; again after a nack, or while a young connection finds no queue. A lost connection sends it anew."""
        for call in calls:
            call.attempt += 1
        while calls := [call for call in calls if call.waits]:
            try:
                return await self._publish(routing_key, calls)
            except (aiormq.exceptions.PublishError, aiormq.exceptions.ChannelNotFoundEntity):
                if self._link.age_s >= SETTLED_S:
                    return self._fail_unroutable(calls)
            except aiormq.exceptions.DeliveryError:
                log.info("the broker refused %s for now; sending it again", routing_key)
            except (aiormq.exceptions.AMQPError, OSError) as error:  # TimeoutError is one
                log.info("%s was not confirmed, it goes again with the next connection: %r", routing_key, error)
                return None
            await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - a pause, not a secret
        return None

    async def _publish(self, routing_key: str, calls: list[Pending]) -> None:
        channel, connection = self._channel, self._link.connection
        if channel is None or connection is None:
            return
        if not self._exchange_seen:
            await self._look_for_exchange(connection)
        left_s = max(call.left_s for call in calls)
        properties = Basic.Properties(
            content_type="application/json" if len(calls) == 1 else "application/x-ndjson",
            delivery_mode=2 if calls[0].lane == "write" else 1,
            reply_to=self._reply_to,
            expiration=str(max(int(left_s * 1000), 1)),
            # Fresh for every publish: the driver mixes up the confirms of two messages that share it.
            message_id=uuid4().hex,
            user_id=self._caller,
        )
        with loss_as_error():
            await channel.basic_publish(
                b"\n".join([call.line() for call in calls]),
                exchange=self._names.requests,
                routing_key=routing_key,
                properties=properties,
                mandatory=True,
                timeout=left_s,
            )

    async def _look_for_exchange(self, connection: AbstractConnection) -> None:
        """Publishing to an exchange that is not there would close the channel, so look, on a channel of its own."""
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            channel = await open_channel(connection)
            await channel.exchange_declare(self._names.requests, passive=True)
            await channel.close()
        self._exchange_seen = True

    def _fail_unroutable(self, calls: list[Pending]) -> None:
        for call in calls:
            queue = self._names.queue(call.lane)
            message = f"{call.method}: no queue {queue} takes it; start a worker under this prefix: rowcall worker"
            if not call.reply.done():
                call.reply.set_exception(Unroutable(message, request_id=call.id, method=call.method))

    async def _on_reply(self, message: DeliveredMessage) -> None:
        for line in message.body.split(b"\n"):
            try:
                reply = wire.decode_reply(line)
            except ValueError:
                log.exception("a reply that cannot be read was dropped")
                continue
            call = self._pending.get(reply.get("id") or "")
            if call is not None and not call.reply.done():
                call.reply.set_result(reply)

    async def _gave_up(self, call: Pending) -> OutcomeUnknown:
        """What to say at the deadline: what was waited for, and who could have answered."""
        message = f"no reply to {call.method} in time: {await self._who_could_answer(call.lane)}"
        return OutcomeUnknown(message, request_id=call.id, method=call.method)

    async def _who_could_answer(self, lane: str) -> str:
        connection, queue = self._link.connection, self._names.queue(lane)
        if connection is None or not self._link.up.is_set():
            return f"not connected to RabbitMQ ({self._link.last_error or 'still connecting'})"
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                # A channel of its own: a failed look would close the one that carries calls.
                channel = await open_channel(connection)
                try:
                    count = (await channel.queue_declare(queue, passive=True)).consumer_count
                finally:
                    await channel.close()
        except (aiormq.exceptions.AMQPError, OSError) as error:
            return f"queue {queue} could not be looked at: {error!r}"
        hint = "; start one: rowcall worker" if count == 0 else ""
        return f"{count} workers consume {queue}{hint}"


def _expire(reply: asyncio.Future[dict[str, Any]]) -> None:
    if not reply.done():
        reply.set_exception(TimeoutError())


def _parcels(calls: list[Pending]) -> Iterator[list[Pending]]:
    """Calls of one method, put together as far as a message may go: by number, by size, and a slow one alone."""
    parcel: list[Pending] = []
    size = 0
    for call in calls:
        grown = size + len(call.arguments) + wire.LINE_OVERHEAD
        if parcel and (len(parcel) == wire.MAX_CALLS or grown > wire.MAX_PARCEL_BYTES or call.slow):
            yield parcel
            parcel, size = [], 0
        parcel.append(call)
        size += len(call.arguments) + wire.LINE_OVERHEAD
    if parcel:
        yield parcel


def caller_of(settings: ClientSettings) -> str:
    """Who we are to the broker, which checks it in every message: the user of the broker's address."""
    return unquote(urlsplit(settings.amqp_urls[0]).username or "guest")
