"""Calls that wait for their replies, and how they are put together into messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rpc_client import wire


@dataclass(slots=True)
class Pending:
    """A call that somebody waits for."""

    id: str
    method: str
    lane: str
    arguments: bytes
    expires_at: float
    """On the clock of ``time.time``."""
    slow: bool = False
    """It travels alone: a message goes to one worker, and companions would wait for it there."""
    reply: asyncio.Future[wire.Reply] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    attempt: int = 0

    @property
    def left_s(self) -> float:
        """The time left until its deadline."""
        return self.expires_at - time.time()

    def line(self) -> bytes:
        """Itself as it travels."""
        return wire.encode_call(self.id, self.method, self.arguments, int(self.expires_at * 1000), self.attempt)


def parcels(calls: list[Pending]) -> Iterator[list[Pending]]:
    """Calls of one method, put together as far as a message may go: by number, by size, and a slow one alone."""
    parcel: list[Pending] = []
    size = 0
    for call in calls:
        grown = size + len(call.arguments) + wire.LINE_OVERHEAD
        if parcel and (len(parcel) == wire.MAX_CALLS or grown > wire.MAX_PARCEL_BYTES or call.slow):
            yield parcel
            parcel, size = [], 0
        parcel.append(call)
        size += len(call.arguments) + wire.LINE_OVERHEAD
    if parcel:
        yield parcel
