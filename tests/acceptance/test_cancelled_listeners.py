"""Whoever reads events ends of one cancellation, whenever it comes.

The driver of Redis loses one that comes just when it has sent something (Python 3.11): at one step of these.
"""

from __future__ import annotations

import asyncio

import pytest

from rpc_client.events import listen, subscribe
from worker.settings import WorkerSettings


@pytest.mark.parametrize("read", [listen, subscribe])
async def test_a_reader_of_events_ends_of_one_cancellation_at_any_step(settings: WorkerSettings, read):
    async def first() -> None:
        async with read(settings=settings) as events:
            await anext(events)

    for steps in range(1, 40):
        reading = asyncio.create_task(first())
        for _ in range(steps):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait({reading}, timeout=10)

        assert reading.cancelled(), f"cancelled at step {steps}"
