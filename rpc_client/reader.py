"""``Reader``: looks at every frame that a broker sends, and takes those of messages past the driver."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from rpc_client.properties import decode_header, read_short

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
KINDS = frozenset({METHOD, HEADER, BODY, HEARTBEAT})
MAX_FRAME_BYTES = 1 << 24
"""A hundred times what brokers are set to. Waiting for the end of a larger one would be waiting for ever."""
FRAME_END = 0xCE
CONNECTION, BLOCKED, UNBLOCKED = 10, 60, 61
BASIC = 60
RETURN, DELIVER, ACK, NACK = 50, 60, 80, 120
FRAME = struct.Struct(">BHI")

_METHOD = struct.Struct(">HH")
_TAG = struct.Struct(">QB")
_HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"

log = logging.getLogger("rowcall.reader")


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


class _GarbageError(Exception):
    """These bytes are no frames."""


class Reader(asyncio.StreamReader):
    """Looks at every frame before the driver does."""

    def __init__(self, channels: dict[int, HotChannel]) -> None:
        super().__init__(limit=1 << 20)
        self._channels = channels
        self._rest = b""
        self.saw_hot = False
        self._clock = asyncio.get_running_loop().time
        self.heard_at = self._clock()
        self.alarm = ""
        self.on_blocked: Callable[[bool], None] | None = None

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # what an event loop feeds is bytes
        if self.exception() is not None:
            return
        self.heard_at = self._clock()
        try:
            self._feed(data)
        except (_GarbageError, struct.error, IndexError, ValueError) as error:
            # Where the next frame begins nobody can tell any more: this connection is over, and another is made.
            self.set_exception(ConnectionError(f"what came was no AMQP frame: {error}"))

    def _feed(self, data: bytes) -> None:
        buffer = self._rest + data if self._rest else bytes(data)
        place = cold_from = 0
        while len(buffer) - place >= FRAME.size:
            kind, number, size = FRAME.unpack_from(buffer, place)
            end = place + FRAME.size + size + 1
            if kind not in KINDS or size > MAX_FRAME_BYTES:
                raise _GarbageError(f"kind {kind}, {size} bytes")
            if end > len(buffer):
                break
            if buffer[end - 1] != FRAME_END:
                raise _GarbageError("without the octet that ends one")
            channel = self._channels.get(number)
            if number == 0 and kind == METHOD:
                self._look(buffer, place + FRAME.size)
            if channel is not None and self._took(channel, kind, buffer, place + FRAME.size, end - 1):
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

    def _look(self, buffer: bytes, place: int) -> None:
        """Learn from a frame that is the driver's whether the broker reads what we publish."""
        group, method = _METHOD.unpack_from(buffer, place)
        if group != CONNECTION or method not in {BLOCKED, UNBLOCKED}:
            return
        self.alarm = (read_short(buffer, place + 4)[0] or "an alarm") if method == BLOCKED else ""
        if self.on_blocked is not None:
            self._call(self.on_blocked, method == BLOCKED)

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
