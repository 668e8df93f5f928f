"""``Consumer``: takes messages, lets the pipeline answer them, and acknowledges those whose replies the broker has."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import aiormq.exceptions
import structlog

from rpc_client.connection import Link, loss_as_error, open_channel
from rpc_client.errors import RemoteError
from rpc_client.frames import Socket
from rpc_client.properties import UNREADABLE
from rpc_client.reader import HotChannel, Message
from rpc_client.wire import Names
from worker import topology
from worker.answered import Answered, refused
from worker.calls import Origin
from worker.crash_points import reached
from worker.dead_letters import DeadLetter
from worker.headers import PREFIX, as_replayed
from worker.intake import Intake
from worker.replies import WORKER, Replies

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection
    from aiormq.abc import AbstractChannel

    from worker.pipeline import Pipeline
    from worker.settings import WorkerSettings

MAX_CALLS_IN_HAND = 1024
MAX_BYTES_IN_HAND = 16 << 20

Attach = Callable[["AbstractConnection", Socket], None]
"""Told of every new connection, once calls are taken over it: what else consumes there."""

log = structlog.get_logger("rowcall.consumer")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as the broker delivered it, and the way to settle it."""

    body: bytes
    routing_key: str
    origin: Origin
    content_type: str | None
    encoding: str | None
    channel: AbstractChannel
    socket: Socket
    tag: int
    headers: bytes
    """As they travel."""
    unreadable: str | None
    """The name of a property that is not UTF-8, as they have to be."""
    refusal: RemoteError | None = None
    """Why nothing of it runs: its headers say what they may not."""

    @classmethod
    def of(cls, message: Message, channel: AbstractChannel, socket: Socket) -> Delivery:
        """A message that came over this channel."""
        known = message.properties.get
        origin = Origin(
            caller=known("user_id", ""),
            reply_to=known("reply_to") or None,
            correlation_id=known("correlation_id") or None,
            message_id=known("message_id") or None,
            redelivered=message.redelivered,
            time_s=int(expiration) / 1000 if (expiration := known("expiration")) else math.inf,
        )
        return cls(
            body=message.body,
            routing_key=message.routing_key,
            origin=origin,
            content_type=known("content_type"),
            encoding=known("content_encoding"),
            channel=channel,
            socket=socket,
            tag=message.tag,
            headers=message.headers,
            unreadable=known(UNREADABLE),
        )

    def replayed(self, operators: frozenset[str]) -> Delivery:
        """Itself, as its headers say."""
        if PREFIX not in self.headers:
            return self
        try:
            return replace(self, origin=as_replayed(self.origin, self.headers, operators))
        except RemoteError as error:
            return replace(self, refusal=error)

    @property
    def calls(self) -> int:
        """How many calls it holds, at most."""
        return self.body.count(b"\n") + 1

    def acknowledge(self) -> None:
        """It is done with and the broker has its replies. Should the connection be gone, it comes again."""
        if not self.channel.is_closed:
            self.socket.acknowledge_soon(self.channel.number, self.tag)

    async def hand_back(self) -> None:
        """Somebody else, or we later, shall do it."""
        try:
            with loss_as_error():
                await self.channel.basic_nack(self.tag, requeue=True, wait=False)
        except (aiormq.exceptions.AMQPError, OSError) as error:
            log.info("handed back by the loss of its connection", error=repr(error))


class Consumer:
    """The consuming half of a worker: this connection only consumes and acknowledges."""

    def __init__(self, settings: WorkerSettings, pipeline: Pipeline, replies: Replies, attach: Attach) -> None:
        self._settings = settings
        self._names = Names(settings.prefix)
        self._pipeline = pipeline
        self._replies = replies
        self._attach = attach
        self._running: set[asyncio.Task[None]] = set()
        self._parked: deque[Delivery] = deque()
        self._calls_in_hand = self._bytes_in_hand = 0
        self._channel: AbstractChannel | None = None
        self._stopping = False
        self.link = Link(
            settings.amqp_urls,
            name=f"rowcall worker {WORKER} requests",
            heartbeat_s=settings.heartbeat_s,
            on_up=self._on_up,
        )
        self.intake = Intake(self._names, self.link.drop)

    async def _on_up(self, connection: AbstractConnection) -> None:
        """Set up a fresh connection. Taking work waits until there is a way to answer it."""
        await topology.declare(connection, self._settings)
        await self._replies.link.up.wait()
        channel = await open_channel(connection, confirms=False)
        channel.closing.add_done_callback(lambda _: self._on_channel_closed(channel))
        channel.on_consumer_cancel_callbacks.add(self._on_cancelled)
        socket = self.link.socket
        socket.take_over(channel.number, HotChannel(lambda message: self._on_message(message, channel, socket)))
        await channel.basic_qos(prefetch_count=self._settings.prefetch)
        self._channel = channel
        await self.intake.use(channel)
        self._attach(connection, socket)

    def _on_channel_closed(self, channel: AbstractChannel) -> None:
        if self._channel is channel and self.link.up.is_set():
            self.link.drop("its channel closed")

    async def _on_cancelled(self, _: object) -> None:
        self.link.drop("the broker cancelled a consumer")

    def _on_message(self, message: Message, channel: AbstractChannel, socket: Socket) -> None:
        delivery = Delivery.of(message, channel, socket)
        self._take(delivery.replayed(self._settings.operator_names) if message.headers else delivery)

    def _take(self, delivery: Delivery) -> None:
        """Begin with a message, or let it lie while enough is in hand."""
        if self._has_room:
            self._begin(delivery)
        else:
            self._parked.append(delivery)

    @property
    def _has_room(self) -> bool:
        return self._calls_in_hand < MAX_CALLS_IN_HAND and self._bytes_in_hand < MAX_BYTES_IN_HAND

    def _begin(self, delivery: Delivery) -> None:
        """Begin with a message. A task of ours carries it: the driver would cancel its own when a channel closes."""
        self._calls_in_hand += delivery.calls
        self._bytes_in_hand += len(delivery.body)
        task = asyncio.create_task(self._handle(delivery))
        self._running.add(task)
        task.add_done_callback(lambda done: self._finished(done, delivery))

    def _finished(self, task: asyncio.Task[None], delivery: Delivery) -> None:
        self._running.discard(task)
        self._calls_in_hand -= delivery.calls
        self._bytes_in_hand -= len(delivery.body)
        while self._parked and self._has_room:
            self._begin(self._parked.popleft())

    async def _handle(self, delivery: Delivery) -> None:
        """Answer a message and settle it: dead letters confirmed, then the replies, then the acknowledgement."""
        if self._stopping:
            return await delivery.hand_back()
        reached("K0")
        try:
            async with contextlib.aclosing(self._answer(delivery)) as answers:
                async for answered in answers:
                    reached("K7")
                    for letter in answered.dead:
                        await self._replies.bury(letter, delivery.origin, delivery.routing_key)
                    if answered.replies:
                        await self._replies.send(delivery.origin, answered.replies)
        except Exception as error:  # noqa: BLE001 - unsettled, it is delivered again, and its receipt answers for it
            log.warning("a message could not be settled; it goes back to the queue", error=repr(error))
            return await delivery.hand_back()
        reached("K9")
        return delivery.acknowledge()

    async def _answer(self, delivery: Delivery) -> AsyncGenerator[Answered, None]:
        """What to reply and what to bury. A message nobody may be told of is not run, or, if unreadable, buried."""
        reply_to = delivery.origin.reply_to
        if delivery.unreadable is not None:
            log.warning("not run: a property of it is no text", property=delivery.unreadable)
            yield _unanswerable(delivery, f"its {delivery.unreadable} is not UTF-8; nothing was run")
            return
        if reply_to is not None and not self._names.accepts_replies(reply_to):
            log.warning("not run: its reply address is no reply queue", caller=delivery.origin.caller)
            yield _unanswerable(delivery, "reply_to is not a reply queue; nothing was run")
            return
        if reply_to is None and delivery.routing_key.startswith("read."):
            log.info("dropped: a read that nobody waits for")
            return
        if delivery.refusal is not None:
            yield refused(delivery.body, delivery.origin, delivery.refusal)
            return
        answering = self._pipeline.answers(
            delivery.body,
            delivery.origin,
            delivery.routing_key,
            content_type=delivery.content_type,
            encoding=delivery.encoding,
        )
        async with contextlib.aclosing(answering) as answers:
            async for answered in answers:
                if reply_to is None:
                    answered.replies.clear()
                yield answered

    async def drain(self) -> None:
        """Take nothing new, finish what runs, hand back the rest."""
        self._stopping = True
        self._channel = None
        await self.intake.stop()
        while self._parked:
            await self._parked.popleft().hand_back()
        if self._running:
            log.info("finishing what runs", messages=len(self._running), at_most_s=self._settings.drain_s)
            _, late = await asyncio.wait(self._running, timeout=self._settings.drain_s)
            for task in late:
                task.cancel()
        self.link.socket.acknowledge_now()


def _unanswerable(delivery: Delivery, why: str) -> Answered:
    return Answered([], [DeadLetter(delivery.body, "malformed", why)])
