"""``Consumer``: takes messages, lets the pipeline answer them, and acknowledges those whose replies the broker has."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from rpc_client.connection import Link, open_channel
from rpc_client.frames import Socket
from rpc_client.reader import HotChannel, Message
from rpc_client.wire import Names
from worker import topology
from worker.answered import Answered, refused
from worker.crash_points import reached
from worker.dead_letters import DeadLetter
from worker.delivery import Delivery, reject
from worker.intake import Intake
from worker.pipeline import ROLLBACK_S
from worker.replies import Replies, worker_name

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection
    from aiormq.abc import AbstractChannel

    from worker.pipeline import Pipeline
    from worker.settings import WorkerSettings

AGAIN_S = 1.0
"""At most so long later a message that could not be settled goes back: at once it would come again and again."""
MAX_CALLS_IN_HAND = 1024
MAX_BYTES_IN_HAND = 16 << 20

Attach = Callable[["AbstractConnection", Socket], None]
"""Told of every new connection, once calls are taken over it: what else consumes there."""

log = structlog.get_logger("rowcall.consumer")


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
            name=f"rowcall worker {worker_name()} requests",
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
        serves = self._channel is channel
        if serves or self._stopping:
            self._in_background(self._pipeline.live_on())
        if serves and self.link.up.is_set():
            self.link.drop("its channel closed")

    async def _on_cancelled(self, _: object) -> None:
        self.link.drop("the broker cancelled a consumer")

    def _on_message(self, message: Message, channel: AbstractChannel, socket: Socket) -> None:
        try:
            delivery = Delivery.of(message, channel, socket)
            self._take(delivery.replayed(self._settings.operator_names) if message.headers else delivery)
        except Exception:
            # Left alone it would lie unsettled in our hands for as long as the connection lasts.
            log.exception("a bug: a message could not be taken; a write goes to the dead letters")
            self._in_background(reject(channel, message.tag))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

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
        """Answer a message and settle it: dead letters confirmed, then the replies, then the acknowledgement.

        Where a letter may not be kept, the broker keeps the message: it is rejected instead.
        """
        if self._stopping or delivery.channel.is_closed:
            return await delivery.hand_back()
        reached("K0")
        kept = True
        try:
            async with contextlib.aclosing(self._answer(delivery)) as answers:
                async for answered in answers:
                    reached("K7")
                    for letter in answered.dead:
                        kept &= await self._replies.bury(letter, delivery.origin, delivery.routing_key)
                    if answered.replies:
                        await self._replies.send(delivery.origin, answered.replies)
        except Exception as error:  # noqa: BLE001 - unsettled, it is delivered again, and its receipt answers for it
            log.warning("a message could not be settled; it goes back to the queue", error=repr(error))
            if not (self._stopping or delivery.channel.is_closed):
                await asyncio.sleep(random.uniform(0.2, 1) * AGAIN_S)  # noqa: S311 - a pause, not a secret
                await self._replies.link.up.wait()  # or it would come again and again, and nobody be answered
            return await delivery.hand_back()
        reached("K9")
        return delivery.acknowledge() if kept else await reject(delivery.channel, delivery.tag)

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

    async def drain(self, hurry: asyncio.Event) -> bool:
        """Take nothing new, finish what runs, hand back the rest. False when that was cut short: time was up, or hurry.

        What is cut short is not settled, so it comes again, and its receipt tells whether it has committed.
        """
        self._stopping = True
        self._channel = None
        await self.intake.stop()
        while self._parked:
            await self._parked.popleft().hand_back()
        late = await self._finish(hurry) if self._running else set()
        for task in late:
            task.cancel()
        if late:
            log.warning("what still runs is cut short; it goes back to its queue", messages=len(late))
            await asyncio.wait(late, timeout=ROLLBACK_S)
        self.link.socket.acknowledge_now()
        return not late

    async def _finish(self, hurry: asyncio.Event) -> set[asyncio.Task[None]]:
        """Wait for what runs; what runs still when there is no time any more."""
        log.info("finishing what runs", messages=len(self._running), at_most_s=self._settings.drain_s)
        running = set(self._running)
        ways = [asyncio.ensure_future(asyncio.wait(running)), asyncio.ensure_future(hurry.wait())]
        await asyncio.wait(ways, timeout=self._settings.drain_s, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        return {task for task in running if not task.done()}


def _unanswerable(delivery: Delivery, why: str) -> Answered:
    return Answered([], [DeadLetter(delivery.body, "malformed", why)])
