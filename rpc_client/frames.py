"""The hot frames of AMQP 0-9-1, read and written by hand: publish, deliver, return, acknowledge, confirm.

The driver owns the connection: it opens it, opens channels, declares, consumes and answers heartbeats. Its frame
reading and marshalling costs several times the rest of a lone call, though, so on channels that ask for it the frames
of messages themselves pass it by. ``Socket`` is the driver's own extension point, a transport factory; whatever is not
hot reaches the driver as if nothing stood between.
"""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import struct
from collections.abc import Callable
from typing import Any

from aiormq.connection import TransportFactory
from yarl import URL

from rpc_client.properties import short_string
from rpc_client.reader import ACK, BASIC, BODY, FRAME, FRAME_END, HEADER, METHOD, HotChannel, Reader

BUFFER_BYTES = 1 << 20
"""With more than this waiting for the socket, a publisher waits for it too."""
ALIVE_EVERY_S = 1.0
SILENT_HEARTBEATS = 3
"""A peer that says nothing for so many is gone. It says something twice in each."""
ACKNOWLEDGE_AFTER_S = 0.002
"""Far less than a message takes to be redelivered, and enough to save most of the writes to the socket."""

_ACK = struct.Struct(">BHIHHQBB")

log = logging.getLogger("rowcall.frames")


class Socket(TransportFactory):
    """One connection to the broker, whose hot frames pass the driver by."""

    def __init__(self) -> None:
        self._channels: dict[int, HotChannel] = {}
        self._reader: Reader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._acknowledgements: list[bytes] = []
        self._looked_at, self._silence_s = 0.0, math.inf
        self.frame_max = 131_072

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, for the driver."""
        loop = asyncio.get_running_loop()
        provider = kwargs.pop("ssl_context_provider", None)
        secure: ssl.SSLContext | None = await provider.get_context() if url.scheme == "amqps" else None
        self._reader = reader = Reader(self._channels)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        host, port = url.host or "127.0.0.1", url.port or 5672
        transport, _ = await loop.create_connection(lambda: protocol, host, port, ssl=secure, **kwargs)
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self._looked_at = loop.time()
        self._silence_s = SILENT_HEARTBEATS * int(url.query.get("heartbeat", "60"))
        self._keep_alive()
        return reader, self._writer

    def _keep_alive(self) -> None:
        if self._reader is None or self.closing:
            return
        loop = asyncio.get_running_loop()
        late_s, self._looked_at = loop.time() - self._looked_at, loop.time()
        self._reader.alive()
        if self._looked_at - self._reader.heard_at > self._silence_s and late_s < 2 * ALIVE_EVERY_S:
            # Were this loop itself late, what the peer said meanwhile could lie there unread.
            log.warning("the peer has been silent for %d s; its connection is given up", self._silence_s)
            self.abort()
        self._timer = loop.call_later(ALIVE_EVERY_S, self._keep_alive)

    @property
    def closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._writer is None or self._writer.transport.is_closing()

    def fileno(self) -> int | None:
        """The file descriptor of the connection; None when there is none."""
        own = None if self.closing or self._writer is None else self._writer.get_extra_info("socket")
        return None if own is None else int(own.fileno())

    @property
    def blocked(self) -> bool:
        """Whether the broker, in an alarm, reads nothing that is published here."""
        return self.alarm != ""

    @property
    def alarm(self) -> str:
        """Why it is blocked, in the broker's words; empty while it is not."""
        return "" if self._reader is None else self._reader.alarm

    def on_blocked(self, told: Callable[[bool], None]) -> None:
        """Tell from now on when an alarm of the broker's begins to block this connection, and when it ends."""
        if self._reader is not None:
            self._reader.on_blocked = told

    def abort(self) -> None:
        """End the connection without a word: its peer does not listen any more."""
        if self._writer is not None:
            self._writer.transport.abort()

    def take_over(self, channel: int, hot: HotChannel) -> None:
        """From now on the hot frames of this channel go there."""
        self._channels[channel] = hot

    def give_back(self, channel: int) -> None:
        """This channel is closed: its number may become another's."""
        self._channels.pop(channel, None)

    @property
    def busy(self) -> bool:
        """Whether more waits for the socket than is good."""
        return self._writer is not None and self._writer.transport.get_write_buffer_size() > BUFFER_BYTES

    async def ready(self) -> None:
        """Wait while it is busy."""
        if self.busy:
            await self._checked().drain()

    def publish(
        self, channel: int, exchange: str, routing_key: str, properties: bytes, body: bytes, *, mandatory: bool = False
    ) -> None:
        """Hand a message to the socket. ConnectionError when there is none any more."""
        head = b"\x00\x00" + short_string(exchange) + short_string(routing_key) + (b"\x01" if mandatory else b"\x00")
        frames = [
            FRAME.pack(METHOD, channel, 4 + len(head)),
            b"\x00\x3c\x00\x28",
            head,
            b"\xce",
            FRAME.pack(HEADER, channel, 12 + len(properties)),
            b"\x00\x3c\x00\x00",
            len(body).to_bytes(8),
            properties,
            b"\xce",
        ]
        room = self.frame_max - 8
        for start in range(0, len(body), room):
            part = body[start : start + room]
            frames += [FRAME.pack(BODY, channel, len(part)), part, b"\xce"]
        self._checked().write(b"".join(frames))

    def acknowledge_soon(self, channel: int, tag: int) -> None:
        """Tell the broker that a message is done with, in a moment and with others: nobody waits for it.

        What was published in this tick is on its way by then. If the connection is lost first, the message comes again.
        """
        if not self._acknowledgements:
            asyncio.get_running_loop().call_later(ACKNOWLEDGE_AFTER_S, self.acknowledge_now)
        self._acknowledgements.append(_ACK.pack(METHOD, channel, 13, BASIC, ACK, tag, 0, FRAME_END))

    def acknowledge_now(self) -> None:
        """Tell it of those that wait to be told."""
        frames, self._acknowledgements = self._acknowledgements, []
        if self._writer is not None and not self.closing:
            self._writer.write(b"".join(frames))

    def _checked(self) -> asyncio.StreamWriter:
        if self._writer is None or self.closing:
            raise ConnectionError("the connection is closed")
        return self._writer
