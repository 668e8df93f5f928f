"""``Here``: which noted calls run in this worker, and for which of them its death would count."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Sequence
from typing import TYPE_CHECKING

from rpc_client.tasks import end
from worker.attempts import key_of, of_one_message

if TYPE_CHECKING:
    from worker.attempts import Attempts
    from worker.calls import Call

LONG_S = 1.75
"""Most that kill have done so before. Less than a run that decides is alone for, and than anybody waits for a lock."""
AGAIN_S = 0.5
"""So long after it could not be said that this worker lives, it is tried again."""


class Here:
    """What is noted and runs in this worker. A copy waits: both would be lost by one death, and count as two."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._begun: list[Call] = []
        self._noted: list[Call] = []
        self._excused: list[Call] = []
        """Noted to have ended, for as long as others decide, though they run."""
        self._deciding: list[Call] = []
        self._long: list[Call] = []
        """Acquitted, for as long as they are noted."""
        self._orphans: list[Call] = []
        """Noted when the broker was lost; it is still to be said that this worker was not."""

    def __contains__(self, call: Call) -> bool:
        return any(key_of(each) == key_of(call) for each in self._begun)

    @contextlib.contextmanager
    def run(self, calls: Sequence[Call]) -> Generator[None]:
        """They are here for as long as this lasts."""
        self._begun += calls
        try:
            yield
        finally:
            self._begun = _without(self._begun, calls)

    @contextlib.contextmanager
    def noted(self, calls: Sequence[Call]) -> Generator[None]:
        """It is noted that they run, for as long as this lasts, or until their end is noted."""
        self._noted += calls
        try:
            yield
        finally:
            self._forget(calls)

    async def end(self, calls: Sequence[Call]) -> None:
        """Note that they have ended; but not if their message is others', and what is noted of it is of their run."""
        noted = [call for call in calls if self._is_noted(call)]
        self._forget(noted)
        await self._attempts.end(noted)

    def _is_noted(self, call: Call) -> bool:
        return any(call is each for each in (*self._noted, *self._excused))

    def _forget(self, calls: Sequence[Call]) -> None:
        self._noted, self._excused = _without(self._noted, calls), _without(self._excused, calls)

    @contextlib.asynccontextmanager
    async def suspected(self, call: Call) -> AsyncGenerator[None]:
        """It is noted that it runs, and it is acquitted if that takes long: others are as likely to kill by then."""
        with self.noted([call]):
            acquitting = asyncio.create_task(self._acquit(call))
            try:
                yield
            finally:
                self._long = _without(self._long, [call])
                await end(acquitting)

    async def _acquit(self, call: Call) -> None:
        await asyncio.sleep(LONG_S)
        if self._is_noted(call):
            self._long.append(call)
            await self._attempts.acquit([call])

    async def live_on(self) -> None:
        """The broker gives their messages to others, as if this worker were lost: it lives, and they go on."""
        self._orphans += self._noted
        self._noted, self._excused = [], []
        while companions := of_one_message(self._orphans):
            self._orphans = _without(self._orphans, companions)
            decides = companions != _without(companions, self._deciding)
            while not await self._attempts.live_on(companions, decides=decides):  # PostgreSQL may be away as well
                if companions[0].left_s <= 0:
                    break
                await asyncio.sleep(AGAIN_S)

    @contextlib.asynccontextmanager
    async def deciding(self, call: Call) -> AsyncGenerator[None]:
        """Two workers were lost with this call, and it runs: should a third be, that is not held against the others.

        They were lost less often, and may be long ones: neither would end before it begins, nor can it wait for them.
        """
        self._deciding.append(call)
        try:
            await self._excuse()
            yield
        finally:
            self._deciding = _without(self._deciding, [call])
            await self._resume()

    async def _excuse(self) -> None:
        while companions := of_one_message(_without(self._noted, self._deciding)):
            self._noted = _without(self._noted, companions)
            self._excused += companions
            await self._attempts.end(companions)

    async def _resume(self) -> None:
        while not self._deciding and (companions := of_one_message(self._excused)):
            self._excused = _without(self._excused, companions)
            self._noted += companions
            await self._attempts.resume(companions)
            if long := [call for call in companions if any(call is each for each in self._long)]:
                await self._attempts.acquit(long)


def _without(calls: Sequence[Call], gone: Sequence[Call]) -> list[Call]:
    return [call for call in calls if not any(call is each for each in gone)]
