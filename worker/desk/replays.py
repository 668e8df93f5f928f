"""A replay of many: at a rate, a few first, and stopped when it does more harm than good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rpc_client.errors import Reason
from worker.desk.courier import Courier, Unheard
from worker.desk.planning import Planned, Planner, Sendable
from worker.desk.records import DeskError, Report, Step
from worker.desk.rehearsal import spoken
from worker.desk.shelf import Shelf

if TYPE_CHECKING:
    from rpc_client.wire import Reply

AT_ONCE = 32
"""Letters that are on their way at the same time."""
CHUNK = 200
"""Letters that are read at once: their bodies may be large."""
JUDGED_FROM = 10
"""So many answers are heard before their failures are judged as a share."""

Progress = Callable[[int, int], None]
"""Told how many letters are done with, and how many there are."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a replay goes about it."""

    rate: float | None = None
    """Calls a second, at most."""
    canary: int = 0
    """So many go first; should one fail, it ends there."""
    stop_on_failures: float | None = None
    """End when more than this share of the answers, between 0 and 1, are failures; judged from the tenth on."""
    timeout_s: float = 30.0
    """The time each has, at most 300."""
    max_replays: int = 5


class Replays:
    """One replay of many letters. A killed one loses and doubles nothing: the next takes up what was on its way."""

    def __init__(self, shelf: Shelf, planner: Planner, courier: Courier, pace: Pace) -> None:
        self._shelf = shelf
        self._planner = planner
        self._courier = courier
        self._pace = pace
        self._room = asyncio.Semaphore(AT_ONCE)
        self._flying: set[asyncio.Task[None]] = set()
        self._next_at = 0.0
        self._sent = self._heard = self._failed = 0
        self._stopped: str | None = None
        self._steps: dict[int, Step] = {}

    async def run(self, numbers: Sequence[int], progress: Progress) -> Report:
        """Replay these letters, oldest first."""
        try:
            async for planned in self.planned(numbers):
                if planned.sendable is None:
                    await self._note(planned)
                elif await self._may_go_on():
                    self._launch(planned.step, planned.sendable, lambda: progress(len(self._steps), len(numbers)))
                if self._stopped is not None:
                    break
                progress(len(self._steps), len(numbers))
            await self._landed()
        finally:
            for task in self._flying:
                task.cancel()
        steps = [self._steps[number] for number in sorted(self._steps)]
        return Report(steps, self._stopped, len(numbers) - len(steps))

    async def _note(self, planned: Planned) -> None:
        """Nothing is sent. What ran for a replayer that never heard of it is settled now."""
        if planned.settled is not None:
            state = "fenced" if planned.step.action == "fenced" else "resolved"
            await self._shelf.settle(planned.step.number, state=state, outcome=planned.settled)
        self._steps[planned.step.number] = planned.step

    async def planned(self, numbers: Sequence[int]) -> AsyncIterator[Planned]:
        """Each of these letters, judged shortly before its turn."""
        for start in range(0, len(numbers), CHUNK):
            for planned in await self._planner.plan(numbers[start : start + CHUNK]):
                yield planned

    async def _may_go_on(self) -> bool:
        """Wait until the next may be sent; False when none may be any more."""
        pace = self._pace
        if 0 < pace.canary == self._sent:
            await self._landed()
            if self._failed:
                self._stop(f"{self._failed} of the first {self._sent} failed")
        await self._room.acquire()
        if pace.rate is not None:
            await asyncio.sleep(self._next_at - time.monotonic())
            self._next_at = max(self._next_at, time.monotonic()) + 1 / pace.rate
        if self._courier.lost:
            self._stop("the connection to RabbitMQ was lost; replay them again")
        share = pace.stop_on_failures
        if share is not None and self._heard >= JUDGED_FROM and self._failed > share * self._heard:
            self._stop(f"{self._failed} of {self._heard} failed, more than {share:.0%}")
        if self._stopped is not None:
            self._room.release()
        return self._stopped is None

    def _stop(self, why: str) -> None:
        """Send no other. The first reason is the one that is told."""
        self._stopped = self._stopped or why

    def _launch(self, step: Step, sendable: Sendable, told: Callable[[], None]) -> None:
        self._sent += 1
        task = asyncio.create_task(self._one(step, sendable))
        self._flying.add(task)
        task.add_done_callback(self._flying.discard)
        task.add_done_callback(lambda _: told())

    async def _landed(self) -> None:
        """Wait until none is on its way."""
        if self._flying:
            await asyncio.gather(*self._flying)

    async def _one(self, step: Step, sendable: Sendable) -> None:
        try:
            done = await self._replayed(step, sendable)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and no other is sent
            told = str(error) if isinstance(error, DeskError) else f"{type(error).__name__}: {error}"
            self._stop(told)
            done = replace(step, outcome="unheard", told=told, failed=True)
        finally:
            self._room.release()
        self._steps[step.number] = done
        if done.outcome is not None:
            self._heard += 1
            self._failed += done.failed

    async def _replayed(self, step: Step, sendable: Sendable) -> Step:
        kept = sendable.kept
        run_id = await self._shelf.claim(
            kept, fresh_id=sendable.fresh_id, fence=sendable.fence, max_replays=self._pace.max_replays
        )
        if run_id is None:
            (again,) = await self._planner.plan([step.number])
            return replace(again.step, why=again.step.why or "settled meanwhile")
        try:
            reply = await self._courier.ask(kept, sendable.line, run_id, sendable.method.lane, self._pace.timeout_s)
        except Unheard as error:
            return replace(step, outcome="unheard", told=str(error), failed=True)
        return await self._settled(step, reply)

    async def _settled(self, step: Step, reply: Reply) -> Step:
        outcome, told = spoken(reply)
        answered = "resolved" if outcome == "done" else "open"
        state = await self._shelf.settle(step.number, state=answered, outcome=outcome)
        if reply.error is not None and reply.error.get("details", {}).get("reason") == Reason.OPERATOR:
            raise DeskError(told)
        return replace(step, outcome=outcome, told=told, failed=state == "open")
