"""``Here``: which noted calls run in this worker, and which of them its death would count for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from itertools import groupby

from worker.attempts import Attempts, key_of
from worker.calls import Call


class Here:
    """What is noted and runs in this worker. A copy waits: both would be lost by one death, and count as two."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._running: list[Call] = []
        self._decided: list[Call] = []
        """Those whose last chance this is."""

    def __contains__(self, call: Call) -> bool:
        return any(key_of(each) == key_of(call) for each in self._running)

    @contextlib.contextmanager
    def run(self, calls: Sequence[Call]) -> Generator[None]:
        """They run for as long as this lasts."""
        self._running += calls
        try:
            yield
        finally:
            self._running = _without(self._running, calls)

    @contextlib.asynccontextmanager
    async def deciding(self, call: Call) -> AsyncGenerator[None]:
        """Two workers were lost with this call, and it runs: should a third be, that is not held against the others.

        They were lost less often, and may be long ones: neither would end before it begins, nor can it wait for them.
        """
        self._decided.append(call)
        beside = _without(self._running, self._decided)
        await self._note(beside, self._attempts.end)
        try:
            yield
        finally:
            self._decided = _without(self._decided, [call])
            await self._note([each for each in beside if _is_in(each, self._running)], self._attempts.resume)

    async def _note(self, calls: Sequence[Call], how: Callable[[Sequence[Call]], Awaitable[None]]) -> None:
        """Note this, message by message."""
        for _, companions in groupby(calls, lambda call: call.message_id):
            await how(list(companions))


def _is_in(call: Call, calls: Sequence[Call]) -> bool:
    return any(each is call for each in calls)


def _without(calls: Sequence[Call], gone: Sequence[Call]) -> list[Call]:
    return [call for call in calls if not _is_in(call, gone)]
