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
from collections.abc import Coroutine, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiormq.exceptions

from rpc_client import wire
from rpc_client.clocks import Clock
from rpc_client.connection import LOOK_TIMEOUT_S, Link, never, open_channel
from rpc_client.deadlines import Consumers, Deadlines
from rpc_client.endings import ELSEWHERE, closed, fail, forbid, is_of_an_earlier_attempt, turn_away, unroutable
from rpc_client.errors import Disconnected, OutcomeUnknown, leave_behind
from rpc_client.flights import Flight, Flights
from rpc_client.losses import Losses
from rpc_client.outbox import Outbox
from rpc_client.parcels import Pending, joined
from rpc_client.properties import encode_properties
from rpc_client.reader import HotChannel, Message
from rpc_client.recent import Recent

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection
    from aiormq.abc import AbstractChannel

    from rpc_client.settings import ClientSettings

SETTLED_S = 2.0
"""A connection this old has seen the workers' queues if there are any: from then on NO_ROUTE is an answer."""

log = logging.getLogger("rowcall.transport")


class Transport:
    """Carries calls to the workers and replies back. Opens with its first call."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._names = wire.Names(settings.prefix)
        self._pending: dict[str, Pending] = {}
        self._recent = Recent()
        self._deadlines = Deadlines(self._pending)
        self._outbox = Outbox(self._publish)
        self._tasks: set[asyncio.Task[None]] = set()
        self._channel: AbstractChannel | None = None
        self._opened = False
        """Whether there is a connection with an exchange to publish to, and a broker that reads from it."""
        self._exchange_seen = False
        self._flights = Flights()
        self._reply_to = ""
        self._caller = settings.caller
        self._clock = Clock()
        self._link = Link(
            settings.amqp_urls, name="rowcall client", heartbeat_s=settings.heartbeat_s, on_up=self._on_up
        )
        self._consumers = Consumers(self._link)
        self._losses = Losses(self._spawn, lambda call: self._publish(f"{call.lane}.{call.method}", [call]))
        self._closed = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop it lives on, from its first call; it can only be closed there."""
        return self._link.loop

    async def request(self, call: Pending) -> wire.Reply:
        """Send a call and wait for its reply. OutcomeUnknown at its deadline, Unroutable when nobody serves it."""
        if self._link.elsewhere:
            raise Disconnected(ELSEWHERE, request_id=call.id, method=call.method)
        self._recent.check(call)
        try:
            return await self._answered(call)
        except asyncio.CancelledError as error:
            leave_behind(error, request_id=call.id, method=call.method)
            raise

    async def _answered(self, call: Pending) -> wire.Reply:
        """Its own reply, or that of the same call which waits already."""
        try:
            while (first := self._pending.get(call.id)) is not None:
                if (reply := await joined(first, call)) is not None:
                    return reply
            return await self._replied(call)
        except TimeoutError:
            raise await self._consumers.gave_up(call, self._names.queue(call.lane)) from None

    async def _replied(self, call: Pending) -> wire.Reply:
        """The reply to a call that nobody else waits for. TimeoutError at its deadline."""
        if self._closed:
            raise closed(call)
        self._link.start()
        call.reply = asyncio.get_running_loop().create_future()
        self._pending[call.id] = call
        if self._opened:
            self._outbox.put(call)
        self._deadlines.watch(call)
        try:
            return await call.reply
        finally:
            del self._pending[call.id]
            self._recent.add(call)

    @property
    def is_open(self) -> bool:
        """Whether it holds a connection, or is making one, that nobody has closed."""
        return self._link.started and not self._closed

    def fileno(self) -> int | None:
        """The file descriptor of the connection; None when there is none."""
        return self._link.socket.fileno()

    async def close(self) -> None:
        """Close the connection; calls still waiting end as OutcomeUnknown. Disconnected on another event loop."""
        if self._link.elsewhere and not self._link.over:
            raise Disconnected(ELSEWHERE)
        self._closed = True
        if self._link.over:
            return
        self._deadlines.stop()
        self._outbox.stop()
        for call in self._pending.values():
            if not call.reply.done():
                message = f"the client was closed while {call.method} waited for its reply"
                call.reply.set_exception(OutcomeUnknown(message, request_id=call.id, method=call.method))
        for task in list(self._tasks):
            task.cancel()
        await self._link.stop()

    async def _on_up(self, connection: AbstractConnection) -> None:
        """Set up a fresh connection: a reply queue of its own, then everything still waiting, again."""
        channel = await open_channel(connection)
        self._link.socket.take_over(channel.number, HotChannel(self._on_message, self._on_confirm))
        self._reply_to = self._names.replies(uuid4())
        await channel.queue_declare(self._reply_to, exclusive=True, auto_delete=True)
        await channel.basic_consume(self._reply_to, never, no_ack=True)
        channel.closing.add_done_callback(partial(self._on_channel_closed, channel))
        self._opened, self._channel, self._flights = False, channel, Flights()
        self._outbox.empty(self._link.socket)
        self._link.socket.on_blocked(partial(self._on_blocked, connection))
        self._spawn(self._open(connection))

    def _on_blocked(self, connection: AbstractConnection, blocked: bool) -> None:  # noqa: FBT001 - the frame's meaning
        """In an alarm nothing is written that the broker would not read; afterwards what still waits goes, again.

        The workers' replies were held up too, and those that an alarm outlasted may be lost.
        """
        if blocked:
            self._opened = False
            self._outbox.empty(self._link.socket)
        else:
            self._spawn(self._open(connection))

    async def _open(self, connection: AbstractConnection) -> None:
        """Send what waits once there is an exchange to send it to: publishing to none would close the channel."""
        while not self._exchange_seen and self._link.connection is connection:
            try:
                async with asyncio.timeout(LOOK_TIMEOUT_S):
                    channel = await open_channel(connection)
                    await channel.exchange_declare(self._names.requests, passive=True)
                    await channel.close()
                self._exchange_seen = True
            except aiormq.exceptions.ChannelNotFoundEntity:
                if self._link.age_s >= SETTLED_S:
                    self._fail_unroutable(self._pending.values())
                await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - a pause, not a secret
            except Exception as error:  # noqa: BLE001 - without an exchange seen, nothing would ever be sent
                log.info("looking for the exchange failed: %r", error)
                await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311
        if self._link.connection is not connection or self._link.socket.blocked or self._opened:
            return
        self._opened = True
        for call in self._pending.values():
            self._outbox.put(call)

    def _on_channel_closed(self, channel: AbstractChannel, closed: asyncio.Future[Any]) -> None:
        if self._channel is not channel:
            return
        self._opened = False
        why = None if closed.cancelled() else closed.exception()
        if isinstance(why, aiormq.exceptions.ChannelNotFoundEntity):
            self._exchange_seen = False
            self._flights.stranded()
        elif isinstance(why, aiormq.exceptions.ChannelAccessRefused):
            forbid(self._flights, str(why))  # the others go again with the next connection
        elif isinstance(why, aiormq.exceptions.ChannelPreconditionFailed):
            turn_away(self._flights, str(why))
        if not self._closed and self._link.up.is_set():
            self._link.drop(f"its channel closed: {why}")

    def _publish(self, routing_key: str, calls: list[Pending]) -> None:
        """Hand a message to the socket. With the next connection, whatever still waits goes again."""
        now = time.monotonic()
        calls = [call for call in calls if call.expires_at > now and not call.reply.done()]
        if not calls or not self._opened or self._channel is None:
            return
        for call in calls:
            call.attempt += 1
        body = b"\n".join([call.line(self._clock.ahead_s) for call in calls])
        number = self._flights.begin(Flight(routing_key, calls, len(body)))
        left_s = max([call.expires_at for call in calls]) - now
        properties = encode_properties(
            content_type="application/json" if len(calls) == 1 else "application/x-ndjson",
            delivery_mode=2 if calls[0].lane == "write" else 1,
            reply_to=None if calls[0].sent else self._reply_to,
            expiration=str(max(int(left_s * 1000), 1)),
            # Fresh for every publish, and by its number a returned message is known again.
            message_id=f"{self._reply_to}/{number}",
            user_id=self._caller,
        )
        try:
            self._link.socket.publish(
                self._channel.number, self._names.requests, routing_key, properties, body, mandatory=True
            )
        except ConnectionError as error:
            log.info("%s goes with the next connection: %r", routing_key, error)

    def _on_confirm(self, number: int, multiple: bool, taken: bool) -> None:  # noqa: FBT001 - the frame's own fields
        """The broker has a message, or refuses it for now: then it goes again, under the same ids."""
        if not taken:
            for flight in self._flights.refused(number, multiple=multiple):
                log.info("the broker refused %s for now; sending it again", flight.routing_key)
                self._again(flight)
            return
        for flight in self._flights.taken(number, multiple=multiple):
            for call in flight.calls if flight.calls[0].sent else []:
                call.confirm()

    def _on_message(self, message: Message) -> None:
        if message.returned:
            self._on_returned(message)
            return
        for line in message.body.split(b"\n"):
            try:
                reply = wire.read_reply(line)
            except ValueError:
                log.exception("a reply that cannot be read was dropped")
                continue
            call = self._pending.get(reply.id or "")
            if call is None or call.reply.done():
                continue
            answer = reply if reply.error is None else self._judge(call, reply)
            if answer is not None:
                call.reply.set_result(answer)

    def _judge(self, call: Pending, reply: wire.Reply) -> wire.Reply | None:
        """What to tell of a call that was answered with an error; None where that is not its end."""
        if self._clock.explains(reply, call):
            log.info("our clock is %.1f s behind the workers'; sending %s again", self._clock.ahead_s, call.method)
            self._outbox.put(call)
            return None
        return None if is_of_an_earlier_attempt(reply, call) else self._losses.judge(call, reply)

    def _on_returned(self, message: Message) -> None:
        """No queue takes it. That is an answer, unless the connection is so young that a queue may still come."""
        flight = self._flights.returned(int(message.properties.get("message_id", "/0").rpartition("/")[2]))
        if flight is not None and self._link.age_s >= SETTLED_S:
            self._fail_unroutable(flight.calls)
        elif flight is not None:
            self._again(flight)

    def _again(self, flight: Flight) -> None:
        """Send in a moment what has not gone again by then, with a new connection or at the end of an alarm."""
        attempts = [(call, call.attempt) for call in flight.calls]

        def send() -> None:
            for call in [call for call, attempt in attempts if call.attempt == attempt and not call.reply.done()]:
                self._outbox.put(call)

        asyncio.get_running_loop().call_later(random.uniform(0.1, 0.5), send)  # noqa: S311

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fail_unroutable(self, calls: Iterable[Pending]) -> None:
        fail(calls, lambda call: unroutable(call, self._names.queue(call.lane)))
