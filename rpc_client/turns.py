"""``Turns``: one after the other, but nobody waits for ever. What may take a worker down had better run alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

PATIENCE_S = 0.5
"""Whoever takes longer has others beside him: a slow one shall not let them expire."""


class Turns:
    """Whose turn it is, in order of arrival. It is at most one's who has only just begun."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def take(self, left_s: float) -> AsyncGenerator[None]:
        """Wait for one's turn, but no longer than half the time that is left; then go on, whoever runs."""
        try:
            async with asyncio.timeout(left_s / 2):
                await self._turn.acquire()
        except TimeoutError:
            yield
            return
        loop = asyncio.get_running_loop()
        passing_on = loop.call_later(PATIENCE_S, self._turn.release)
        try:
            yield
        finally:
            if loop.time() < passing_on.when():
                passing_on.cancel()
                self._turn.release()
