"""``Turns``: one after the other, but nobody waits for ever. What may take a worker down had better run alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

PATIENCE_S = 1.0
"""For so long one waits for those before it: a slow one shall not let the others expire."""


class Turns:
    """Whose turn it is, in order of arrival."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def take(self, *, known: bool, left_s: float) -> AsyncGenerator[None]:
        """Wait for one's turn, then for half the time left if one is `known` to have been there at a loss; then go on.

        Whoever was there a second time is the culprit, or went past somebody the first time.
        """
        patience_s = max(PATIENCE_S, left_s / 2) if known else PATIENCE_S
        try:
            async with asyncio.timeout(patience_s):
                await self._lock.acquire()
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            self._lock.release()
