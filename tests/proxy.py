"""A TCP proxy between a program and a server: counts round trips, cuts connections, and stands still."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

PORTS = {"postgresql": 5432, "amqp": 5672, "redis": 6379}


class Proxy:
    """What passes through one port."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: set[asyncio.StreamWriter] = set()
        self._to_refuse: float = 0
        self._unheard: bytes | None = None
        self._fatal: tuple[bytes, bool] | None = None
        self.cuts = 0
        """How many connections ended of what was said on them."""
        self._answers_left = float("inf")
        self._bytes_left = float("inf")
        self._clients: set[asyncio.StreamWriter] = set()
        self._heard, self._answered = asyncio.Event(), asyncio.Event()
        self.release()
        self.bytes_per_s = float("inf")
        """How fast the server's answers come."""
        self.delay_s: Callable[[], float] = lambda: 0
        """How long what is said takes, each time anew: on a network that loses packets some takes longer."""
        self.round_trips = 0
        """How often the client spoke after the server had."""
        self.sent = bytearray()
        self.received = bytearray()

    @property
    def open(self) -> bool:
        """Whether anybody is connected."""
        return bool(self._open)

    def cut(self) -> None:
        """Reset every connection, as a failing network does."""
        for writer in self._open:
            writer.transport.abort()

    def refuse(self, connections: float = float("inf")) -> None:
        """Reset every connection, and as many of those to come."""
        self._to_refuse = connections
        self.cut()

    def hold(self, *, requests: bool = True, answers: bool = True) -> None:
        """Let nothing through, that way or both, and no new connection either; what is said meanwhile comes later."""
        if requests:
            self._heard.clear()
        if answers:
            self._answered.clear()

    def release(self) -> None:
        """Let everything through again."""
        self._heard.set()
        self._answered.set()

    def swallow(self, mark: bytes) -> None:
        """On a connection on which the client says this, let nothing that it says through from there on."""
        self._unheard = mark

    def lose_answer(self, *, after: int = 0) -> None:
        """Once the server has spoken so often, reset the connection in place of passing on what it says next."""
        self._answers_left = after

    @property
    def loses_an_answer(self) -> bool:
        """Whether one is still to be lost."""
        return self._answers_left != float("inf")

    def cut_after(self, sent: int) -> None:
        """Once the client has said so many bytes more, reset its connection, in the middle of whatever it says."""
        self._bytes_left = sent

    def say(self, data: bytes) -> None:
        """Tell every client this, as if the server had."""
        for client in self._clients:
            client.write(data)

    def _passes(self, data: bytes, *, client: bool) -> int | None:
        """How much of this passes before its connection is reset; None: all of it, and it is not."""
        if client and self._fatal is not None and self._fatal[0] in data:
            (_, heard), self._fatal = self._fatal, None
            self.cuts += 1
            if not heard:
                return 0
            self._answers_left = 0
        if client:
            self._bytes_left -= len(data)
            if self._bytes_left >= 0:
                return None
            passes, self._bytes_left = max(int(self._bytes_left) + len(data), 0), float("inf")
            return passes
        self._answers_left -= 1
        if self._answers_left >= 0:
            return None
        self._answers_left = float("inf")
        return 0

    async def _takes_its_time(self, data: bytes, *, client: bool) -> None:
        """Wait for as long as this takes on its way."""
        await (self._heard if client else self._answered).wait()
        if (delay_s := self.delay_s()) > 0:
            await asyncio.sleep(delay_s)
        if not client:
            await asyncio.sleep(len(data) / self.bytes_per_s)

    def cut_at(self, mark: bytes, *, heard: bool) -> None:
        """Reset the connection on which the client says this next: before the server hears it, or once it answers."""
        self._fatal = mark, heard

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._to_refuse > 0:
            self._to_refuse -= 1
            writer.transport.abort()
            return
        await self._heard.wait()
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
        except OSError:  # the server is away, as its client shall see
            writer.transport.abort()
            return
        ends, client_spoke_last = {writer, upstream_writer}, False
        self._open |= ends
        self._clients.add(writer)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, client: bool) -> None:
            nonlocal client_spoke_last
            muted = False
            with contextlib.suppress(ConnectionError):
                while data := await source.read(1 << 16):
                    if client and not client_spoke_last:
                        self.round_trips += 1
                    client_spoke_last = client
                    if (passes := self._passes(data, client=client)) is not None:
                        sink.write(data[:passes])
                        await sink.drain()
                        _reset(ends)
                        break
                    (self.sent if client else self.received).extend(data)
                    muted = muted or (client and self._unheard is not None and self._unheard in data)
                    if muted:
                        continue
                    await self._takes_its_time(data, client=client)
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, upstream_writer, client=True), pump(upstream_reader, writer, client=False))
        self._open -= ends
        self._clients.discard(writer)


def _reset(ends: set[asyncio.StreamWriter]) -> None:
    for end in ends:
        end.transport.abort()


@contextlib.asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy in front of this server, and the address that leads through it."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or PORTS[parts.scheme])
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    user, at, _ = parts.netloc.rpartition("@")
    try:
        yield proxy, parts._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()
    finally:
        server.close()
        proxy.release()
        proxy.cut()
