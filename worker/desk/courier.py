"""``Courier``: sends letters to the workers and brings their answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Self
from uuid import UUID, uuid4

import aio_pika
import aiormq.exceptions
from pamqp.commands import Basic

from rpc_client import wire
from rpc_client.clocks import Clock
from rpc_client.connection import CLOSE_TIMEOUT_S, CONNECT_TIMEOUT_S, loss_as_error, open_channel
from worker.desk.records import DeskError
from worker.desk.shelf import Kept
from worker.headers import CALLER, DEADLINE, ID

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection
    from aiormq.abc import AbstractChannel, DeliveredMessage

    from worker.settings import WorkerSettings

LEAST_GRACE_S, MOST_GRACE_S = 1.0, 5.0
"""After the deadline an answer is waited for as long again, within these: a worker that finds it passed says so."""


class Unheard(Exception):
    """No answer came; the call may have run, or may still."""


class Courier:
    """One connection with a reply queue of its own. When it is lost, so is the run that uses it: begin it again."""

    def __init__(self, settings: WorkerSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._names = wire.Names(settings.prefix)
        self._reply_to = self._names.replies(uuid4())
        self._waiting: dict[str, asyncio.Future[wire.Reply | None]] = {}
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self.lost = False
        """Whether nothing can be sent or heard any more."""

    async def __aenter__(self) -> Self:
        self._connection = await _connected(self._settings.amqp_urls)
        try:
            await self._find_exchange(self._connection)
            await self._listen(self._connection)
        except BaseException:
            await _close(self._connection)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            await _close(self._connection)

    async def _find_exchange(self, connection: AbstractConnection) -> None:
        """DeskError when there is nothing to send to: publishing there would close the channel, with no word why."""
        try:
            async with _timeout():
                await (await open_channel(connection)).exchange_declare(self._names.requests, passive=True)
        except aiormq.exceptions.ChannelNotFoundEntity:
            raise DeskError("no worker has ever served under this prefix; start one: rowcall worker") from None

    async def _listen(self, connection: AbstractConnection) -> None:
        async with _timeout():
            self._channel = await open_channel(connection)
            self._channel.closing.add_done_callback(lambda _: self._lose())
            await self._channel.queue_declare(self._reply_to, exclusive=True, auto_delete=True)
            await self._channel.basic_consume(self._reply_to, self._on_reply, no_ack=True)

    async def waiting_letters(self) -> int:
        """How many messages wait in the queue of dead letters; 0 where there is none."""
        assert self._connection is not None
        with contextlib.suppress(aiormq.exceptions.ChannelNotFoundEntity):
            async with _timeout():
                channel = await open_channel(self._connection)
                declared = await channel.queue_declare(self._names.dead_letters, passive=True)
            return declared.message_count or 0
        return 0

    async def ask(self, kept: Kept, line: bytes, run_id: UUID, lane: str, timeout_s: float) -> wire.Reply:
        """Send a letter's line and wait for the answer. Unheard without one; DeskError when no queue takes it."""
        mark = uuid4().hex
        answer: asyncio.Future[wire.Reply | None]
        answer = self._waiting[mark] = asyncio.get_running_loop().create_future()
        properties = self._properties(kept, run_id, timeout_s)
        properties.correlation_id, properties.delivery_mode = mark, 2 if lane == "write" else 1
        try:
            async with asyncio.timeout(timeout_s + min(max(timeout_s, LEAST_GRACE_S), MOST_GRACE_S)):
                await self._publish(line, kept.routing_key, properties)
                reply = await answer
        except (TimeoutError, ConnectionError, aiormq.exceptions.AMQPError) as error:
            self.lost = self.lost or isinstance(error, ConnectionError)
            raise Unheard(str(error) or f"no answer in {timeout_s:g} s") from error
        finally:
            del self._waiting[mark]
        if reply is None:
            raise Unheard("the connection to RabbitMQ was lost")
        return reply

    def _properties(self, kept: Kept, run_id: UUID, timeout_s: float) -> Basic.Properties:
        deadline_ms = int((self._clock.now() + timeout_s) * 1000)
        return Basic.Properties(
            content_type="application/json",
            reply_to=self._reply_to,
            message_id=uuid4().hex,
            user_id=self._settings.caller,
            headers={DEADLINE: deadline_ms, ID: str(run_id), CALLER: kept.letter.caller},
        )

    async def _publish(self, line: bytes, routing_key: str, properties: Basic.Properties) -> None:
        assert self._channel is not None
        try:
            with loss_as_error():
                await self._channel.basic_publish(
                    line, exchange=self._names.requests, routing_key=routing_key, properties=properties, mandatory=True
                )
        except aiormq.exceptions.PublishError as error:
            queue = self._names.queue(routing_key.partition(".")[0])
            raise DeskError(f"no queue {queue} takes it; start a worker under this prefix: rowcall worker") from error

    async def _on_reply(self, message: DeliveredMessage) -> None:
        answer = self._waiting.get(message.header.properties.correlation_id or "")
        if answer is not None and not answer.done():
            answer.set_result(wire.read_reply(message.body))

    def _lose(self) -> None:
        self.lost = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result(None)


async def _connected(urls: Sequence[str]) -> AbstractConnection:
    """A connection to the first of these addresses that gives one."""
    for last, url in enumerate(urls, 1):
        try:
            async with _timeout():
                return await aio_pika.connect(url)
        except (OSError, aiormq.exceptions.AMQPError):
            if last == len(urls):
                raise
    raise AssertionError("there is at least one address")


@contextlib.asynccontextmanager
async def _timeout() -> AsyncGenerator[None]:
    """The time the broker has to answer; then it is ConnectionError."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            yield
    except TimeoutError as error:
        raise ConnectionError(f"RabbitMQ has not answered within {CONNECT_TIMEOUT_S:g} s") from error


async def _close(connection: AbstractConnection) -> None:
    """What the broker does not say farewell to in time ends with the program, or by its heartbeat."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await connection.close()
