"""``Turns``: one after the other, but nobody waits for ever. What may take a worker down had better run alone.

Moments are those of the event loop's clock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

PATIENCE_S = 0.5
"""Whoever takes longer has others beside him: a slow one shall not let them expire."""


class Turns:
    """Whose turn it is, in order of arrival. Who takes longer than `patience_s` passes it on while he goes on.

    He does so sooner, if not before ``PATIENCE_S``, where those that wait would else give up, all at once.
    """

    def __init__(self, patience_s: float | None = None) -> None:
        self._patience_s = PATIENCE_S if patience_s is None else patience_s
        self._turn = asyncio.Lock()
        self._waiting: list[float] = []
        """When each of those that wait gives up."""
        self._holder: object | None = None
        self._began_at = 0.0
        self._passing_on: asyncio.TimerHandle | None = None
        self._nobody = asyncio.Event()
        self._nobody.set()

    async def idle(self, until: float) -> None:
        """Wait until nobody has or wants a turn, but no longer than until then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._nobody.wait()

    @contextlib.asynccontextmanager
    async def take(self, until: float) -> AsyncGenerator[None]:
        """Wait for one's turn, but no longer than until then; then go on, whoever runs."""
        mine = object()
        self._waiting.append(until)
        self._look()
        try:
            async with asyncio.timeout_at(until):
                await self._turn.acquire()
            self._holder, self._began_at = mine, asyncio.get_running_loop().time()
        except TimeoutError:
            pass
        finally:
            self._waiting.remove(until)
            self._look()
        try:
            yield
        finally:
            self._pass_on(mine)

    def _pass_on(self, holder: object) -> None:
        if self._holder is holder:
            self._holder = None
            self._turn.release()
            self._look()

    def _look(self) -> None:
        """Let whoever has the turn pass it on in time for those that wait."""
        if self._passing_on is not None:
            self._passing_on.cancel()
            self._passing_on = None
        if self._holder is not None:
            due = self._began_at + self._patience()
            self._passing_on = asyncio.get_running_loop().call_at(due, self._pass_on, self._holder)
        if self._holder is None and not self._waiting:
            self._nobody.set()
        else:
            self._nobody.clear()

    def _patience(self) -> float:
        if not self._waiting:
            return self._patience_s
        fair = (min(self._waiting) - self._began_at) / (len(self._waiting) + 1)
        return min(self._patience_s, max(PATIENCE_S, fair))
