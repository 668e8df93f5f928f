"""The hot frames of AMQP 0-9-1, read and written by hand: publish, deliver, return, acknowledge, confirm.

The driver owns the connection: it opens it, opens channels, declares, consumes and answers heartbeats. Its frame
reading and marshalling costs several times the rest of a lone call, though, so on channels that ask for it the frames
of messages themselves pass it by. ``Socket`` is the driver's own extension point, a transport factory; whatever is not
hot reaches the driver as if nothing stood between.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiormq.connection import TransportFactory
from yarl import URL

from rpc_client.properties import decode_header, read_short, short_string

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE
CONNECTION, BLOCKED, UNBLOCKED = 10, 60, 61
BASIC = 60
PUBLISH, RETURN, DELIVER, ACK, NACK = 40, 50, 60, 80, 120
BUFFER_BYTES = 1 << 20
"""With more than this waiting for the socket, a publisher waits for it too."""
ALIVE_EVERY_S = 1.0
ACKNOWLEDGE_AFTER_S = 0.002
"""Far less than a message takes to be redelivered, and enough to save most of the writes to the socket."""

_FRAME = struct.Struct(">BHI")
_METHOD = struct.Struct(">HH")
_ACK = struct.Struct(">BHIHHQBB")
_TAG = struct.Struct(">QB")
_HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"

log = logging.getLogger("rowcall.frames")


@dataclass(slots=True)
class Message:
    """A message as it was delivered or returned."""

    routing_key: str
    tag: int = 0
    redelivered: bool = False
    returned: bool = False
    properties: dict[str, str] = field(default_factory=dict)
    headers: bytes = b""
    """As they travel; ``decode_headers`` reads them."""
    size: int = 0
    parts: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)


@dataclass(slots=True)
class HotChannel:
    """What to do with the hot frames of one channel."""

    on_message: Callable[[Message], None]
    on_confirm: Callable[[int, bool, bool], None] | None = None
    """Called with the publish's number, whether all before it are meant too, and whether the broker took it."""
    assembling: Message | None = None


class _Reader(asyncio.StreamReader):
    """Looks at every frame before the driver does."""

    def __init__(self, channels: dict[int, HotChannel]) -> None:
        super().__init__(limit=1 << 20)
        self._channels = channels
        self._rest = b""
        self.saw_hot = False
        self.blocked = False

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # what an event loop feeds is bytes
        buffer = self._rest + data if self._rest else bytes(data)
        place = cold_from = 0
        while len(buffer) - place >= _FRAME.size:
            kind, number, size = _FRAME.unpack_from(buffer, place)
            end = place + _FRAME.size + size + 1
            if end > len(buffer):
                break
            channel = self._channels.get(number)
            if number == 0 and kind == METHOD:
                self._look(*_METHOD.unpack_from(buffer, place + _FRAME.size))
            if channel is not None and self._took(channel, kind, buffer, place + _FRAME.size, end - 1):
                if cold_from < place:
                    super().feed_data(buffer[cold_from:place])
                cold_from = end
            place = end
        if cold_from < place:
            super().feed_data(buffer[cold_from:place])
        self._rest = buffer[place:]

    def feed_eof(self) -> None:
        if self._rest:
            super().feed_data(self._rest)
        super().feed_eof()

    def alive(self) -> None:
        """Tell the driver, which counts on heartbeats only while nothing else comes, that something did."""
        if self.saw_hot:
            self.saw_hot = False
            super().feed_data(_HEARTBEAT_FRAME)

    def _look(self, group: int, method: int) -> None:
        """Learn from a frame that is the driver's whether the broker reads what we publish."""
        if group == CONNECTION and method in {BLOCKED, UNBLOCKED}:
            self.blocked = method == BLOCKED

    def _took(self, channel: HotChannel, kind: int, buffer: bytes, start: int, end: int) -> bool:
        """Whether this frame was a hot one."""
        if kind == METHOD:
            group, method = _METHOD.unpack_from(buffer, start)
            if group != BASIC:
                return False
            if method == DELIVER:
                channel.assembling = _delivered(buffer, start + 4)
            elif method == RETURN:
                channel.assembling = _returned(buffer, start + 4)
            elif method in {ACK, NACK} and channel.on_confirm is not None:
                tag, bits = _TAG.unpack_from(buffer, start + 4)
                self._call(channel.on_confirm, tag, bool(bits & 1), method == ACK)
            else:
                return False
            self.saw_hot = True
            return True
        message = channel.assembling
        if message is None:
            return False
        if kind == HEADER:
            message.size, message.properties, message.headers = decode_header(buffer, start)
        elif kind == BODY:
            message.parts.append(buffer[start:end])
            message.size -= end - start
        if message.size <= 0:
            channel.assembling = None
            self._call(channel.on_message, message)
        return True

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception:
            # Nothing above could do anything about it, and the frames behind are other people's.
            log.exception("a frame was dropped")


class Socket(TransportFactory):
    """One connection to the broker, whose hot frames pass the driver by."""

    def __init__(self) -> None:
        self._channels: dict[int, HotChannel] = {}
        self._reader: _Reader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._acknowledgements: list[bytes] = []
        self.frame_max = 131_072

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, for the driver."""
        loop = asyncio.get_running_loop()
        provider = kwargs.pop("ssl_context_provider", None)
        secure: ssl.SSLContext | None = await provider.get_context() if url.scheme == "amqps" else None
        self._reader = reader = _Reader(self._channels)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        host, port = url.host or "127.0.0.1", url.port or 5672
        transport, _ = await loop.create_connection(lambda: protocol, host, port, ssl=secure, **kwargs)
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self._keep_alive()
        return reader, self._writer

    def _keep_alive(self) -> None:
        if self._reader is not None and not self.closing:
            self._reader.alive()
            self._timer = asyncio.get_running_loop().call_later(ALIVE_EVERY_S, self._keep_alive)

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
        return self._reader is not None and self._reader.blocked

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
            _FRAME.pack(METHOD, channel, 4 + len(head)),
            b"\x00\x3c\x00\x28",
            head,
            b"\xce",
            _FRAME.pack(HEADER, channel, 12 + len(properties)),
            b"\x00\x3c\x00\x00",
            len(body).to_bytes(8),
            properties,
            b"\xce",
        ]
        room = self.frame_max - 8
        for start in range(0, len(body), room):
            part = body[start : start + room]
            frames += [_FRAME.pack(BODY, channel, len(part)), part, b"\xce"]
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


def _delivered(buffer: bytes, place: int) -> Message:
    place += 1 + buffer[place]  # the consumer tag
    tag, bits = _TAG.unpack_from(buffer, place)
    place += _TAG.size
    place += 1 + buffer[place]  # the exchange
    routing_key, _ = read_short(buffer, place)
    return Message(routing_key, tag, redelivered=bool(bits & 1))


def _returned(buffer: bytes, place: int) -> Message:
    place += 2  # the reply code
    place += 1 + buffer[place]  # its text
    place += 1 + buffer[place]  # the exchange
    routing_key, _ = read_short(buffer, place)
    return Message(routing_key, returned=True)
