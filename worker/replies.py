"""Publishes replies and dead letters, on a connection of its own.

In a memory alarm the broker stops reading from a connection that publishes; acknowledgements must still get through.
"""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from pamqp.commands import Basic

from rpc_client.connection import Link, loss_as_error, open_channel
from rpc_client.properties import encode_properties
from rpc_client.wire import Names

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection
    from aiormq.abc import AbstractChannel

    from worker.calls import Origin
    from worker.dead_letters import DeadLetter
    from worker.settings import WorkerSettings

WAIT_S = 5.0
log = structlog.get_logger("rowcall.replies")
WORKER = f"{socket.gethostname()}:{os.getpid()}"


class Replies:
    """The publishing half of a worker."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._names = Names(settings.prefix)
        self.link = Link(
            settings.amqp_urls,
            name=f"rowcall worker {WORKER} replies",
            heartbeat_s=settings.heartbeat_s,
            on_up=self._on_up,
        )
        self._outbox: dict[str, list[bytes]] = {}
        self._unconfirmed: AbstractChannel | None = None
        self._confirmed: AbstractChannel | None = None

    async def _on_up(self, connection: AbstractConnection) -> None:
        self._unconfirmed = await open_channel(connection, confirms=False)
        self._confirmed = await open_channel(connection)
        for channel in (self._unconfirmed, self._confirmed):
            channel.closing.add_done_callback(self._on_channel_closed)

    def _on_channel_closed(self, _: object) -> None:
        if self.link.up.is_set():
            self.link.drop("a channel closed")

    async def send(self, origin: Origin, lines: list[bytes]) -> None:
        """Give a message's replies to the socket when this tick ends. Not confirmed: a lost reply is asked for again.

        What becomes ready for one reply queue in one tick leaves as one message. Who marked the call with a
        correlation id reads that instead of the lines, and gets a message of its own.
        """
        assert origin.reply_to is not None
        if not self.link.up.is_set() or self.link.socket.busy:
            async with asyncio.timeout(WAIT_S):
                await self.link.up.wait()
                await self.link.socket.ready()
        if origin.correlation_id is not None and len(lines) == 1:
            self._publish(origin.reply_to, lines, origin.correlation_id)
            return
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.setdefault(origin.reply_to, []).extend(lines)

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, {}
        try:
            for reply_to, lines in outbox.items():
                self._publish(reply_to, lines, None)
        except ConnectionError as error:
            log.warning("replies were lost with their connection; they are asked for again", error=repr(error))

    def _publish(self, reply_to: str, lines: list[bytes], correlation_id: str | None) -> None:
        assert self._unconfirmed is not None
        properties = encode_properties(
            content_type="application/json" if len(lines) == 1 else "application/x-ndjson",
            delivery_mode=1,
            correlation_id=correlation_id,
        )
        self.link.socket.publish(self._unconfirmed.number, "", reply_to, properties, b"\n".join(lines))

    async def bury(self, letter: DeadLetter, origin: Origin, routing_key: str) -> None:
        """Put a dead letter into its queue and wait until the broker has it."""
        headers = letter.headers(first_at=datetime.fromtimestamp(origin.received_at, UTC), worker=WORKER)
        with loss_as_error():
            async with asyncio.timeout(WAIT_S):
                await self.link.up.wait()
                assert self._confirmed is not None
                await self._confirmed.basic_publish(
                    letter.body,
                    exchange=self._names.dead,
                    routing_key=routing_key,
                    properties=Basic.Properties(
                        correlation_id=origin.correlation_id,
                        reply_to=origin.reply_to,
                        message_id=uuid4().hex,
                        delivery_mode=2,
                        headers={**headers, "x-rowcall-caller": origin.caller},
                    ),
                    mandatory=True,
                )
