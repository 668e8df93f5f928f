"""``Places``: how many may use a connection at a time, and whose turn it is."""

from __future__ import annotations

import asyncio


class FullError(Exception):
    """No place came free in time; says who has them."""


class Places:
    """Callers queue for a place in order of arrival. Slow ones hold at most half: the others always have some."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = asyncio.Semaphore(size)
        self._slow = asyncio.Semaphore(max(size // 2, 1))

    async def take(self, timeout_s: float, *, slow: bool) -> None:
        """Wait for a place. FullError when none came free in time."""
        if slow:
            await self._wait_for(self._slow, timeout_s)
        try:
            if self._free.locked():
                await self._wait_for(self._free, timeout_s)
            else:
                await self._free.acquire()  # at once: nobody is before us
        except BaseException:
            if slow:
                self._slow.release()
            raise

    def give_back(self, *, slow: bool) -> None:
        """Let the next have the place."""
        self._free.release()
        if slow:
            self._slow.release()

    async def _wait_for(self, places: asyncio.Semaphore, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await places.acquire()
        except TimeoutError:
            busy = f"all {self._size}" if places is self._free else f"those of {self._size} that slow methods may take"
            raise FullError(f"{busy} are busy (ROWCALL_POOL_SIZE)") from None
