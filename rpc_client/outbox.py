"""``Outbox``: lets the calls of a tick leave together, and no faster than the socket takes them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from rpc_client.parcels import Pending, parcels

if TYPE_CHECKING:
    from rpc_client.frames import Socket

Publish = Callable[[str, list[Pending]], None]


class Outbox:
    """What shall leave over the present connection. A peer that does not read makes it wait, not grow in the socket."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._issued: dict[str, list[Pending]] = {}
        """The calls of this tick, by routing key."""
        self._messages: deque[tuple[str, list[Pending]]] = deque()
        self._socket: Socket | None = None
        self._draining: asyncio.Task[None] | None = None

    def empty(self, socket: Socket) -> None:
        """Forget what waits. From now on things leave over this socket."""
        self.stop()
        self._issued.clear()
        self._messages.clear()
        self._socket = socket

    def put(self, call: Pending) -> None:
        """Let it leave at the end of this tick, with whatever else of its method was issued in it."""
        if not self._issued:
            call.reply.get_loop().call_soon(self._flush)
        self._issued.setdefault(f"{call.lane}.{call.method}", []).append(call)

    def _flush(self) -> None:
        issued, self._issued = self._issued, {}
        while self._messages and all(call.reply.done() for call in self._messages[0][1]):
            self._messages.popleft()  # a peer may not read for longer than anybody waits
        for routing_key, calls in issued.items():
            self._messages.extend([(routing_key, parcel) for parcel in parcels(calls)])
        self._send()

    def _send(self) -> None:
        """Publish what waits, as far as the socket has room; the rest when it has again."""
        socket = self._socket
        while self._messages and socket is not None and not socket.busy:
            self._publish(*self._messages.popleft())
        if self._messages and socket is not None and self._draining is None:
            self._draining = asyncio.create_task(self._send_rest(socket))

    async def _send_rest(self, socket: Socket) -> None:
        while self._messages:
            try:
                await socket.ready()  # until the peer reads, or is found dead by its heartbeat
            except OSError:
                break  # with the next connection, whatever still waits goes again
            self._send()
        self._draining = None

    def stop(self) -> None:
        """Send nothing more."""
        if self._draining is not None:
            self._draining.cancel()
            self._draining = None
