"""Groups: calls of one method that wait at the same moment run together, as one round trip and one transaction.

Nothing waits for a companion: a call runs at once unless as many groups of its method as may are running; what
arrives meanwhile is the next group. A group that fails is halved until the culprit is alone, and a method that keeps
failing runs its calls alone for a while.
"""

from __future__ import annotations

import asyncio
import math
import operator
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from rpc_client.errors import Unavailable
from rpc_client.wire import MAX_CALLS, MAX_PARCEL_BYTES
from worker.calls import Outcome
from worker.crash_points import reached
from worker.errors import Verdict, is_schema_change, judge

if TYPE_CHECKING:
    from worker.calls import Answer, Call
    from worker.database import Database

AT_ONCE = 2
"""Groups of one method that run at the same time: while one commits, the next is executed."""
LEFT_S = 0.5
"""A call with less time left runs alone, so that nobody's delay becomes its own."""
ALONE_S = 5.0
"""For so long a method whose groups keep failing runs its calls alone."""
TOLERATED = 0.01
"""The share of calls whose failure is tolerated before that."""
MEMORY = 1000
"""How many calls are looked back on."""
PORTION_BYTES = MAX_PARCEL_BYTES
"""Calls whose answers are larger in all run in portions: the first are read while the next are being made."""

log = structlog.get_logger("rowcall.groups")


class Groups:
    """Runs calls, together where that may be. What became of a call is in its ``result`` afterwards."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queues: dict[str, MethodQueue] = {}

    def portions(self, calls: Sequence[Call]) -> list[Sequence[Call]]:
        """Calls of one method, as they had better be run and answered: nearly always all of them together."""
        if not calls:
            return []
        reached("K1")
        parts = math.ceil(len(calls) / self._queue(calls[0].answer).most)
        each = math.ceil(len(calls) / parts)
        return [calls[n : n + each] for n in range(0, len(calls), each)]

    def _queue(self, answer: Answer) -> MethodQueue:
        queue = self._queues.get(answer.method.name)
        if queue is None:
            queue = self._queues[answer.method.name] = MethodQueue(answer, self._database)
        return queue

    async def run(self, calls: Sequence[Call]) -> None:
        """Run calls of one method."""
        reached("K2")
        answer = calls[0].answer
        if not answer.together:
            return await run_alone(calls, self._database)
        queue, soon = self._queue(answer), time.time() + LEFT_S
        if queue.fails_often or any(call.expires_at < soon for call in calls):
            return await run_alone(calls, self._database)
        return await queue.run(calls)


class MethodQueue:
    """The calls of one method that wait, and the groups of it that run."""

    def __init__(self, answer: Answer, database: Database) -> None:
        self._answer = answer
        self._database = database
        self._waiting: deque[tuple[Sequence[Call], asyncio.Future[None]]] = deque()
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen = self._failed = 0
        self._alone_until = 0.0
        self._bytes = 0.0
        """What an answer takes, on a moving average."""

    @property
    def most(self) -> int:
        """How many calls make a group."""
        return max(1, min(MAX_CALLS, int(PORTION_BYTES / (self._bytes or 1))))

    @property
    def fails_often(self) -> bool:
        """Whether its calls had better run alone for now."""
        return time.monotonic() < self._alone_until

    async def run(self, calls: Sequence[Call]) -> None:
        """Run these calls as part of the next group."""
        if not self._waiting and self._running < AT_ONCE:
            self._running += 1
            try:
                return await self._run_distinct(list(calls))
            finally:
                self._running -= 1
                self._start()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((calls, done))
        return await done

    def _start(self) -> None:
        """Make a group of what waits, and run it."""
        while self._waiting and self._running < AT_ONCE:
            members = [self._waiting.popleft()]
            size = len(members[0][0])
            while self._waiting and size + len(self._waiting[0][0]) <= self.most:
                members.append(self._waiting.popleft())
                size += len(members[-1][0])
            self._running += 1
            task = asyncio.create_task(self._run(members))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, members: list[tuple[Sequence[Call], asyncio.Future[None]]]) -> None:
        try:
            await self._run_distinct([call for calls, _ in members for call in calls])
        finally:
            for _, done in members:
                if not done.done():
                    done.set_result(None)
            self._running -= 1
            self._start()

    async def _run_distinct(self, calls: list[Call]) -> None:
        """Run each id once, in the order of the rows it locks; a second call of an id runs after the first."""
        first = {call.id: call for call in reversed(calls)}
        group = list(first.values())
        if self._answer.method.locks is not None:
            group.sort(key=operator.attrgetter("order"))
        await self._run_together(group)
        self._remember(group)
        if len(group) < len(calls):
            await run_alone([call for call in calls if first[call.id] is not call], self._database)

    async def _run_together(self, calls: Sequence[Call]) -> None:
        try:
            results = await self._answer.run(calls, self._database)
        except Exception as error:  # noqa: BLE001 - every member gets its own answer, and a bug shows there again
            failure = _from_its_run(error)
        else:
            for call, result in zip(calls, results, strict=True):
                call.result = result
            return
        # Not while it is being handled: what a member fails with would carry it along, and it may quote another's row.
        await self._divide(calls, failure)

    async def _divide(self, calls: Sequence[Call], error: Exception) -> None:
        """Find whose fault it was. What is no member's fault is tried again by each alone, as its own time allows."""
        if len(calls) == 1 or isinstance(error, Unavailable) or is_schema_change(error):
            self._failed += len(calls) == 1
            for call in calls:
                call.result = error
        elif judge(error) in {Verdict.TRANSIENT, Verdict.TIMEOUT}:
            for call in calls:  # the group may have committed, and nobody heard of it
                call.maybe_repeat = call.answer.method.lane == "write"
            await run_alone(calls, self._database)
        else:
            half = len(calls) // 2
            await self._run_together(calls[:half])
            await self._run_together(calls[half:])

    def _remember(self, calls: Sequence[Call]) -> None:
        """Learn what answers take; and count failures, so that a method of many is not halved all day long."""
        size = sum([len(call.result.text) for call in calls if isinstance(call.result, Outcome)])
        self._bytes += (size / len(calls) - self._bytes) / 8
        self._seen += len(calls)
        if self._failed > max(2, self._seen * TOLERATED):
            log.info("too many groups fail; calls run alone for a while", method=self._answer.method.name)
            self._alone_until = time.monotonic() + ALONE_S
        if self._seen > MEMORY or self.fails_often:
            self._seen = self._failed = 0


async def run_alone(calls: Sequence[Call], database: Database) -> None:
    """Run each call by itself, all at the same time."""
    await asyncio.gather(*(_run_one(call, database) for call in calls))


async def _run_one(call: Call, database: Database) -> None:
    try:
        (call.result,) = await call.answer.run([call], database)
    except Exception as error:  # noqa: BLE001 - judged by whoever asked
        call.result = _from_its_run(error)


def _from_its_run(error: Exception) -> Exception:
    """The error, its traceback without us: whether a call ran alone or in a group is no part of what went wrong."""
    assert error.__traceback__ is not None, "it was raised"
    return error.with_traceback(error.__traceback__.tb_next)
