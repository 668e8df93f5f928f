"""``Delivery``: one message as the broker delivered it, and the ways to settle it."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import aiormq.exceptions
import structlog

from rpc_client.connection import loss_as_error
from rpc_client.errors import RemoteError
from rpc_client.frames import Socket
from rpc_client.properties import UNREADABLE
from rpc_client.reader import Message
from worker.calls import Origin
from worker.headers import PREFIX, as_replayed

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel

log = structlog.get_logger("rowcall.delivery")


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


async def reject(channel: AbstractChannel, tag: int) -> None:
    """Nobody can do it: the broker shall dead-letter it where its queue does that, or drop it."""
    with contextlib.suppress(aiormq.exceptions.AMQPError, OSError), loss_as_error():
        await channel.basic_reject(tag, requeue=False, wait=False)
