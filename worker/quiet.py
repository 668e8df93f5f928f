"""``Quiet``: lets a call run with nobody beside it, for a moment, so that a death then is nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

QUIET_S = 0.5
"""So long it is waited until what runs has ended."""
ALONE_S = 2.0
"""So long nothing else begins from then on. A dead worker's locks are free by then, and no wait for one is longer."""


class Quiet:
    """Counts what runs, and holds new calls back while one wants to be alone."""

    def __init__(self) -> None:
        self._running = 0
        self._alone: asyncio.TimerHandle | None = None
        """Ends what the last that wanted to be alone has of it."""
        self._nobody, self._over = asyncio.Event(), asyncio.Event()
        self._nobody.set()
        self._over.set()

    def beside(self) -> Beside:
        """Run beside others, unless somebody wants to be alone just now: then wait first."""
        return Beside(self)

    async def allowed(self) -> None:
        """Wait while somebody wants to be alone."""
        while not self._over.is_set():
            await self._over.wait()

    def begin(self) -> None:
        """One more runs."""
        self._running += 1
        self._nobody.clear()

    def end(self) -> None:
        """One has run."""
        self._running -= 1
        if not self._running:
            self._nobody.set()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncGenerator[Callable[[], None]]:
        """Run with nobody beside, one after the other, as far as that can be had without keeping the rest for long.

        What it gives is called when the run has begun: it lasts from then on.
        """
        await self.allowed()
        loop = asyncio.get_running_loop()
        mine = self._alone = loop.call_later(QUIET_S + ALONE_S, self._over.set)
        self._over.clear()

        def begun() -> None:
            nonlocal mine
            if self._alone is mine and not self._over.is_set():
                mine.cancel()
                mine = self._alone = loop.call_later(ALONE_S, self._over.set)

        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(QUIET_S):
                    await self._nobody.wait()
            self.begin()
            try:
                yield begun
            finally:
                self.end()
        finally:
            mine.cancel()
            if self._alone is mine:
                self._over.set()


class Beside:
    """Runs beside others. It is no generator, for every message comes by here."""

    __slots__ = ("_quiet",)

    def __init__(self, quiet: Quiet) -> None:
        self._quiet = quiet

    async def __aenter__(self) -> None:
        await self._quiet.allowed()
        self._quiet.begin()

    async def __aexit__(self, *_: object) -> None:
        self._quiet.end()
