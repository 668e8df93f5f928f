"""``end``: cancel tasks until they have ended."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 3.0
"""So long a task may close in order what it has; then it is cut short."""


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel these tasks and wait until each has ended, whatever it ended of.

    Once is not enough: what waits by ``asyncio.wait_for``, as the drivers of Redis and RabbitMQ do, loses the
    cancellation that comes just when it has got what it waited for (Python 3.11), and goes on for ever.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_S)
