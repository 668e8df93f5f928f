"""``Turns``: one after the other, but nobody waits for ever. What may take a worker down had better run alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

PATIENCE_S = 0.5
"""Whoever takes longer has others beside him: a slow one shall not let them expire."""


class Turns:
    """Whose turn it is, in order of arrival. Who takes longer than `patience_s` passes it on while he goes on."""

    def __init__(self, patience_s: float | None = None) -> None:
        self._patience_s = PATIENCE_S if patience_s is None else patience_s
        self._turn = asyncio.Lock()
        self._wanted = 0
        self._nobody = asyncio.Event()
        self._nobody.set()

    async def idle(self, left_s: float) -> None:
        """Wait until nobody has or wants a turn, but no longer than half the time that is left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s / 2):
                await self._nobody.wait()

    @contextlib.asynccontextmanager
    async def take(self, left_s: float) -> AsyncGenerator[None]:
        """Wait for one's turn, but no longer than half the time that is left; then go on, whoever runs."""
        self._want(1)
        try:
            async with asyncio.timeout(left_s / 2):
                await self._turn.acquire()
        except BaseException as error:
            self._want(-1)
            if not isinstance(error, TimeoutError):
                raise
            yield
            return
        loop = asyncio.get_running_loop()
        passing_on = loop.call_later(self._patience_s, self._pass_on)
        try:
            yield
        finally:
            if loop.time() < passing_on.when():
                passing_on.cancel()
                self._pass_on()

    def _pass_on(self) -> None:
        self._turn.release()
        self._want(-1)

    def _want(self, more: int) -> None:
        self._wanted += more
        if self._wanted:
            self._nobody.clear()
        else:
            self._nobody.set()
