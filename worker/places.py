"""``Places``: how many may use a connection at a time, whose turn it is, and how many of them slow methods may hold."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

BRIEF_S = 0.1
"""A slow method whose calls hold a connection no longer may use all of them: the next is soon free."""
UNKNOWN_S = 1.0
"""For so long a method is taken to hold one, until it has been seen."""
FADING = 0.9
"""What is left of the longest time at each shorter one."""


class FullError(Exception):
    """No place came free in time; says who has them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Somebody's right to a connection."""

    slow: str | None
    """The method, where it is a slow one."""
    kept_back: bool
    """Whether it is one of those that slow methods may hold."""
    since: float = field(default_factory=time.monotonic)


class Places:
    """Callers queue for a place in order of arrival. Methods that are slow in fact hold at most half of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = asyncio.Semaphore(size)
        self._slow = asyncio.Semaphore(max(size // 2, 1))
        self._moved_at = time.monotonic()
        self._held_s: dict[str, float] = {}
        """For how long calls of slow methods held one, fading."""

    @property
    def stuck_s(self) -> float:
        """For how long all of them have been held, and by the same; 0 while one is free."""
        return time.monotonic() - self._moved_at if self._free.locked() else 0.0

    async def take(self, timeout_s: float, slow: str | None) -> Place:
        """Wait for a place; `slow` names a method that is. FullError when none came free in time."""
        kept_back = slow is not None and self._held_s.get(slow, UNKNOWN_S) > BRIEF_S
        if kept_back:
            await self._wait_for(self._slow, timeout_s)
        try:
            if self._free.locked():
                await self._wait_for(self._free, timeout_s)
            else:
                await self._free.acquire()  # at once: nobody is before us
        except BaseException:
            if kept_back:
                self._slow.release()
            raise
        self._moved_at = time.monotonic()
        return Place(slow, kept_back)

    def give_back(self, place: Place) -> None:
        """Let the next have it."""
        self._moved_at = time.monotonic()
        self._free.release()
        if place.kept_back:
            self._slow.release()
        if place.slow is not None:
            faded_s = self._held_s.get(place.slow, UNKNOWN_S) * FADING
            self._held_s[place.slow] = max(time.monotonic() - place.since, faded_s)

    async def _wait_for(self, places: asyncio.Semaphore, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await places.acquire()
        except TimeoutError:
            busy = f"all {self._size}" if places is self._free else f"those of {self._size} that slow methods may take"
            raise FullError(f"{busy} are busy (ROWCALL_POOL_SIZE)") from None
