"""Hears what commits, live, through Redis, as any program may."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from rpc_client import ClientSettings
from rpc_client.events import Event, listen
from rpc_client.tasks import end

RECENT = 6
SHOWN = ("status", "previous", "cost", "balance", "output_name", "input_name")
"""Fields of events that say something to a person."""


class Ears:
    """What has been heard so far."""

    def __init__(self, last: str) -> None:
        self._last = last
        self.heard = 0
        self.recent: deque[Event] = deque(maxlen=RECENT)
        self.heard_last = asyncio.Event()
        """Set by the event whose aggregate is the last one: before it came all others of the same worker."""

    async def take(self, events: AsyncIterator[Event]) -> None:
        """Listen until cancelled."""
        async for event in events:
            self.heard += 1
            self.recent.append(event)
            if event.aggregate_id == self._last:
                self.heard_last.set()


@contextlib.asynccontextmanager
async def hearing(settings: ClientSettings, last: str) -> AsyncIterator[Ears]:
    """Listen while the block runs, from its first moment."""
    ears = Ears(last)
    async with listen("platform/*", settings) as events:
        task = asyncio.create_task(ears.take(events))
        try:
            yield ears
        finally:
            await end(task)
        if not task.cancelled():
            task.result()


def shown(event: Event) -> str:
    """An event in one short line."""
    fields = " ".join(f"{name}={event.data[name]}" for name in SHOWN if event.data.get(name) is not None)
    return f"{event.time:%H:%M:%S}.{event.time.microsecond // 1000:03d} {event.type} {event.aggregate_id[:8]} {fields}"
