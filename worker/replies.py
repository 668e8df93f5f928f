"""Publishes replies and dead letters, on a connection of its own.

In a memory alarm the broker stops reading from a connection that publishes; acknowledgements must still get through.
Two connections have no order between them, though: when this process dies with both, the broker may have taken an
acknowledgement and lose the reply that was written before it. So a request is acknowledged once its reply is confirmed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog
from aiormq.exceptions import PublishError
from pamqp.commands import Basic

from rpc_client.connection import Link, loss_as_error, open_channel
from rpc_client.properties import encode_properties, shortened
from rpc_client.reader import HotChannel
from rpc_client.wire import Names
from worker import topology
from worker.calls import mark_of
from worker.crash_points import reached
from worker.keys import QUEUE

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection
    from aiormq.abc import AbstractChannel

    from worker.calls import Origin
    from worker.dead_letters import DeadLetter
    from worker.discretion import Discretion
    from worker.settings import WorkerSettings

MOST_BYTES = 4 << 20
"""A message of several replies is no larger: brokers refuse what is over 16 MiB, and with it close the channel."""
WAIT_S = 5.0
"""Also how long a confirm is waited for in an alarm, where none comes: acknowledging without it makes room."""
UNCONFIRMED_S = 30.0
"""A confirm that takes longer, without an alarm, does not come: then the request is handed back."""
SWEEP_S = 1.0
PROBE_S = 1.0

log = structlog.get_logger("rowcall.replies")


@dataclass(slots=True)
class Parcel:
    """The replies of one message, and who waits until the broker has it."""

    reply_to: str
    correlation_id: str | None
    lines: list[bytes] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    size: int = 0
    published_at: float = 0.0

    def settle(self, error: ConnectionError | None = None) -> None:
        """Let those that wait go on."""
        for waiter in self.waiting:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)


def parts(lines: list[bytes]) -> list[list[bytes]]:
    """Reply lines, as many together as may travel in one message."""
    found: list[list[bytes]] = []
    size = 0
    for line in lines:
        if not found or size + len(line) > MOST_BYTES:
            found.append([])
            size = 0
        found[-1].append(line)
        size += len(line)
    return found


def worker_name() -> str:
    """By which operators know this process: in the broker's list of connections, and in what dead letters say of it."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Replies:
    """The publishing half of a worker."""

    def __init__(self, settings: WorkerSettings, discretion: Discretion) -> None:
        self._settings = settings
        self._names = Names(settings.prefix)
        self._caller = settings.caller
        self._most = settings.message_bytes
        self._discretion = discretion
        self.link = Link(
            settings.amqp_urls,
            name=f"rowcall worker {worker_name()} replies",
            heartbeat_s=settings.heartbeat_s,
            on_up=self._on_up,
        )
        self._outbox: dict[str, Parcel] = {}
        self._flying: dict[int, Parcel] = {}
        """What the broker has not confirmed yet, by the number of its publish on this channel; the oldest first."""
        self._published = 0
        self._hot: AbstractChannel | None = None
        self._dead: AbstractChannel | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    async def _on_up(self, connection: AbstractConnection) -> None:
        self._hot = await open_channel(connection)
        self._dead = await open_channel(connection)
        self._lose_what_flies()
        self._published = 0
        await self._probe(connection)
        self.link.socket.take_over(self._hot.number, HotChannel(lambda _: None, self._on_confirm))
        for channel in (self._hot, self._dead):
            channel.closing.add_done_callback(partial(self._on_channel_closed, channel))

    async def _probe(self, connection: AbstractConnection) -> None:
        """Find out, before any work is taken, whether replies may be published at all: to a queue that there is not."""
        channel = await open_channel(connection)
        try:
            async with asyncio.timeout(PROBE_S):
                await channel.basic_publish(b"", routing_key=self._names.replies(uuid4()))
        except TimeoutError:
            return  # an alarm: what has been worked off meanwhile makes room
        await channel.close()

    def _on_channel_closed(self, channel: AbstractChannel, closed: asyncio.Future[Any]) -> None:
        """What was not confirmed may be lost: its requests shall be delivered again."""
        if channel not in {self._hot, self._dead}:
            return
        self._lose_what_flies()
        if self.link.up.is_set():
            why = None if closed.cancelled() else closed.exception()
            self.link.drop(f"a channel closed: {why}")

    def _lose_what_flies(self) -> None:
        flying, self._flying = self._flying, {}
        for parcel in flying.values():
            parcel.settle(ConnectionError("the connection was lost before the broker had the reply"))

    async def send(self, origin: Origin, lines: list[bytes]) -> None:
        """Publish a message's replies when this tick ends, and wait until the broker has them.

        What becomes ready for one reply queue in one tick leaves as one message. Who marked the call with a
        correlation id reads that instead of the lines, and gets a message of its own. Raises ConnectionError when
        the replies may be lost.
        """
        assert origin.reply_to is not None
        if not self.link.up.is_set() or self.link.socket.busy:
            try:
                async with asyncio.timeout(WAIT_S):
                    await self.link.up.wait()
                    await self.link.socket.ready()
            except TimeoutError:
                if self.link.socket.blocked:
                    return  # as where none is confirmed: acknowledging makes room, and callers ask again afterwards
                raise
        if origin.correlation_id is not None and len(lines) == 1:
            taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._publish(Parcel(origin.reply_to, origin.correlation_id, lines, [taken]))
            await taken
        elif sum(map(len, lines)) <= MOST_BYTES:
            await self._put(origin.reply_to, lines)
        else:
            await asyncio.gather(*[self._put(origin.reply_to, part) for part in parts(lines)])

    def _put(self, reply_to: str, lines: list[bytes]) -> asyncio.Future[None]:
        """Let them leave with whatever else is ready in this tick, as far as a message may go; done when confirmed."""
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        size = sum(map(len, lines))
        parcel = self._outbox.get(reply_to)
        if parcel is not None and parcel.size + size > MOST_BYTES:
            self._publish(self._outbox.pop(reply_to))
            parcel = None
        if parcel is None:
            if not self._outbox:
                asyncio.get_running_loop().call_soon(self._flush)
            parcel = self._outbox[reply_to] = Parcel(reply_to, None)
        parcel.lines += lines
        parcel.size += size
        parcel.waiting.append(taken)
        return taken

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, {}
        for parcel in outbox.values():
            self._publish(parcel)

    def _publish(self, parcel: Parcel) -> None:
        assert self._hot is not None
        properties = encode_properties(
            content_type="application/json" if len(parcel.lines) == 1 else "application/x-ndjson",
            delivery_mode=1,
            correlation_id=parcel.correlation_id,
        )
        try:
            self.link.socket.publish(self._hot.number, "", parcel.reply_to, properties, b"\n".join(parcel.lines))
        except ConnectionError as error:
            parcel.settle(error)
            return
        reached("K8", sending=True)
        self._published += 1
        parcel.published_at = time.monotonic()
        self._flying[self._published] = parcel
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _on_confirm(self, number: int, multiple: bool, taken: bool) -> None:  # noqa: FBT001 - the frame's own fields
        numbers = [n for n in self._flying if n <= number] if multiple else [number]
        for flown in numbers:
            parcel = self._flying.pop(flown, None)
            if parcel is not None:
                parcel.settle(None if taken else ConnectionError("the broker refused a reply"))

    def _sweep(self) -> None:
        """In an alarm, wait no longer for old confirms. Else they come, or something is wrong with the broker."""
        self._sweeping = None
        blocked = self.link.socket.blocked
        old = time.monotonic() - (WAIT_S if blocked else UNCONFIRMED_S)
        error = None if blocked else ConnectionError(f"the broker has not confirmed a reply in {UNCONFIRMED_S:g} s")
        for number in [n for n, parcel in self._flying.items() if parcel.published_at < old]:
            self._flying.pop(number).settle(error)
        if self._flying:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    async def bury(self, letter: DeadLetter, origin: Origin, routing_key: str) -> bool:
        """Put a dead letter into its queue, sealed, and wait until the broker has it.

        False, and nothing is done, where it may not be kept for want of a key.
        """
        if not self._discretion.may_keep(letter.body, routing_key):
            log.warning("a dead letter is left to the broker: there is no key to seal it with", reason=letter.reason)
            return False
        letter = letter.within(self._most)
        headers = letter.headers(first_at=datetime.fromtimestamp(origin.received_at, UTC), worker=worker_name())
        sealed = self._discretion.keys.seal(letter.body, place=QUEUE)
        properties = Basic.Properties(
            correlation_id=origin.correlation_id,
            reply_to=origin.reply_to,
            delivery_mode=2,
            user_id=self._caller,
            headers={
                "x-rowcall-id": mark_of(letter.body, origin),
                **headers,
                "x-rowcall-caller": origin.caller,
                "x-rowcall-sealed": 1,
            },
        )
        with loss_as_error():
            async with asyncio.timeout(WAIT_S):
                await self.link.up.wait()
                try:
                    await self._publish_dead(sealed, routing_key, properties)
                except PublishError:
                    log.warning("no queue takes dead letters; it is declared and bound anew")
                    assert self.link.connection is not None
                    await topology.declare(self.link.connection, self._settings)
                    await self._publish_dead(sealed, routing_key, properties)
        return True

    async def _publish_dead(self, sealed: bytes, routing_key: str, properties: Basic.Properties) -> None:
        assert self._dead is not None
        properties.message_id = uuid4().hex
        await self._dead.basic_publish(
            sealed, exchange=self._names.dead, routing_key=shortened(routing_key), properties=properties, mandatory=True
        )
