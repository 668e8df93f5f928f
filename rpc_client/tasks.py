"""Cancellation that is not lost: ``end`` cancels tasks until they have ended, ``heeding`` hears what a driver did not.

``asyncio.wait_for``, by which the drivers of Redis and RabbitMQ send, loses the cancellation that comes just when it
has got what it waited for (Python 3.11).
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

AGAIN_S = 3.0
"""So long a task may close in order what it has; then it is cut short."""


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel these tasks, again where that was lost, and wait until each has ended, whatever it ended of."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_S)


@contextmanager
def heeding() -> Generator[None]:
    """Around awaits of a driver: a cancellation that came meanwhile ends the block, also where the driver lost it."""
    task = asyncio.current_task()
    assert task is not None, "there are awaits in this block"
    before = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError
