"""``Suspects``: calls whose message was delivered before. Whoever had it then may have died of one of them.

A read is not run: its caller is told so, and sends it again alone. A write, and a read that was sent again, runs by
itself, after it was noted in a transaction of its own that it begins to; the note stays only if the worker dies. So it
comes out which call of a message, and of many messages, takes workers down, and that one is not run any more.

What a client sends again on a new connection may be such a call too, in a message that nobody has seen before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from rpc_client.contract import Method
from rpc_client.errors import InternalError, Reason, Unavailable
from rpc_client.turns import PATIENCE_S, Turns
from worker.attempts import MAX_ATTEMPTS, Attempts, Key, key_of
from worker.calls import Answer, Call, Outcome, Result
from worker.errors import CopyRunsError
from worker.here import Here
from worker.quiet import Quiet
from worker.receipts import LOOKUP_S

if TYPE_CHECKING:
    from worker.database import Database
    from worker.statements import Statement

Run = Callable[[Sequence[Call]], Awaitable[None]]
"""Runs calls, and never raises."""

Company = AbstractAsyncContextManager[Callable[[], None] | None]
"""How it runs: beside others, or alone; then it is told when it begins."""

SLOW_PATIENCE_S = 5.0
"""So long at most a slow suspect has no other slow one beside it: all of them would take as long as all together."""

AGAIN_S = 0.1
"""So long after the loss of a read could not be noted, it is tried again."""

LIVES_S = 1.0
"""Before a call is condemned, a worker that lost no more than its connection to the broker has so long to say so."""

BEGINS = "a suspect begins to run"
DECIDES = "the loss of a worker from now on condemns a suspect"

log = structlog.get_logger("rowcall.suspects")


class Suspects:
    """Begins with suspects of one worker process one at a time: hardly any is noted for running beside a killer."""

    def __init__(self, database: Database, statements: Mapping[str, Statement], quiet: Quiet) -> None:
        self._attempts = Attempts(database, statements)
        self._turns, self._slow_turns = Turns(), Turns(SLOW_PATIENCE_S)
        self._quiet = quiet
        self._here = Here(self._attempts)

    async def live_on(self) -> None:
        """The broker took this worker for lost; what it runs is no loss."""
        await self._here.live_on()

    async def not_run(self, reads: Sequence[Call]) -> None:
        """Answer reads that came again."""
        noted = await self._note(reads)
        for call in reads:
            call.result = _not_run_again(call, noted=noted)

    async def _note(self, reads: Sequence[Call]) -> bool:
        """Note their loss, and wait for that: of a message that is noted nowhere, the next would fear that it runs."""
        loop = asyncio.get_running_loop()
        until = loop.time() + min(call.left_s for call in reads) / 2
        while True:
            try:
                await self._attempts.lost(reads, timeout_s=LOOKUP_S)
            except Exception as error:  # noqa: BLE001 - in the end their client alone counts
                log.info("a loss could not be noted", error=repr(error))
            else:
                return True
            if loop.time() + AGAIN_S >= until:
                return False
            await asyncio.sleep(AGAIN_S)

    async def asked_again(self, reads: Sequence[Call], run: Run, run_together: Run) -> None:
        """Run reads that their client sent anew: those that workers were lost with by themselves, each noted."""
        counts = await self._attempts.known(reads)
        lost = [call for call in reads if counts.get(key_of(call))]
        others = [call for call in reads if not counts.get(key_of(call))]
        await asyncio.gather(self._one_by_one(lost, run, counts), run_together(others))

    async def sent_again(self, writes: Sequence[Call], run: Run) -> None:
        """Run what its client sent anew: together, each noted, but by itself what was lost, or has a copy running."""
        # Not noted while somebody wants to be alone: who waits for that is excused, and knows too little afterwards.
        async with asyncio.TaskGroup() as trying, self._quiet.beside():
            begun = await self._begin(writes)
            losses = {key: lost for key, (lost, _) in begun.items()}
            together = [call for call in writes if begun.get(key_of(call)) == (0, 0)]
            alone = [call for call in writes if begun.get(key_of(call)) != (0, 0)]
            with self._here.run(together), self._here.noted(together):
                if begun:
                    await self._attempts.end(alone)  # until its turn has come
                trying.create_task(self._one_by_one(alone, run, losses))
                for call in together:
                    log.info(BEGINS, method=call.method, id=call.shown_id, losses=0, copies=0)
                try:
                    await run(together)
                finally:
                    await self._here.end([call for call in together if not isinstance(call.result, Outcome)])

    async def _begin(self, writes: Sequence[Call]) -> dict[Key, tuple[int, int]]:
        try:
            return await self._attempts.begin(writes, timeout_s=LOOKUP_S)
        except Exception as error:  # noqa: BLE001 - each meets it again by itself, and is tried again
            log.info("attempts could not be noted; each call runs by itself", error=repr(error))
            return {}

    async def one_by_one(self, writes: Sequence[Call], run: Run) -> None:
        """Run each of these writes, which came again, by itself."""
        if not writes:
            return
        try:
            losses = await self._attempts.lost(writes, timeout_s=LOOKUP_S)
        except Exception as error:  # noqa: BLE001 - each tries it again before it runs
            log.info("a loss could not be noted", error=repr(error))
            await self._one_by_one(writes, run, dict.fromkeys(map(key_of, writes)))
        else:
            await self._one_by_one(writes, run, losses)

    async def _one_by_one(self, writes: Sequence[Call], run: Run, losses: Mapping[Key, int | None]) -> None:
        """Begin with each when the one before has been tried; what has to be tried again does not keep the others."""
        async with asyncio.TaskGroup() as trying:
            for call in writes:
                lost = losses.get(key_of(call), 0)
                call.answer = counted = self._counted(call.answer, lost)
                trying.create_task(_finished(run([call]), counted.tried))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(max(call.left_s, 0), PATIENCE_S)):
                        await counted.tried.wait()

    def _counted(self, answer: Answer, losses: int | None) -> Counted:
        return Counted(answer, self._attempts, self._turns, self._slow_turns, self._quiet, self._here, losses)


async def _finished(run: Awaitable[None], tried: asyncio.Event) -> None:
    await run
    tried.set()  # it may not have come to be tried


@dataclass(slots=True)
class Counted:
    """The answer to a suspect: each time it is tried, it is noted first that it begins to run."""

    answer: Answer
    attempts: Attempts
    turns: Turns
    slow_turns: Turns
    """Slow ones begin one after the other, too, when all the others have."""
    quiet: Quiet
    here: Here
    losses: int | None
    """How many workers were lost with it; None where it is still to be noted that one was."""
    alone_left: int = 3
    """How often it may still run with nobody beside: the first time it may meet a lock, or a lost connection."""
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    together: ClassVar[bool] = False

    @property
    def method(self) -> Method[..., Any]:
        return self.answer.method

    async def run(self, calls: Sequence[Call], database: Database) -> list[Result]:
        """InternalError when it took too many workers down: then it does not run."""
        (call,) = calls
        try:
            until = asyncio.get_running_loop().time() + call.left_s / 2
            if self.method.slow:  # all others first: it would keep them waiting, or one of them take it along
                await self.turns.idle(until)
            async with (self.slow_turns if self.method.slow else self.turns).take(until):
                return await self._run_in_turn(call, database)
        finally:
            self.tried.set()

    async def _run_in_turn(self, call: Call, database: Database) -> list[Result]:
        if self.losses is None:
            self.losses = (await self.attempts.lost([call], timeout_s=call.left_s))[key_of(call)]
        if call in self.here:
            raise CopyRunsError("a copy of it is running in this very worker")
        decides = self.losses == MAX_ATTEMPTS - 1
        alone = decides and self.alone_left > 0
        if alone:
            self.alone_left -= 1
        company: Company = self.quiet.alone() if alone else self.quiet.beside()
        deciding = self.here.deciding(call) if decides else contextlib.nullcontext()
        with self.here.run([call]):
            async with company as begin_alone, deciding:
                return await self._run_noted(call, database, begin_alone, decides=decides)

    async def _run_noted(
        self, call: Call, database: Database, begin_alone: Callable[[], None] | None, *, decides: bool
    ) -> list[Result]:
        if decides:  # said before it is noted, so that whoever looks for the reason finds it in a lost worker's log
            log.warning(DECIDES, method=call.method, id=call.shown_id)
        losses, copies = await self._begin(call, decides=decides)
        if losses >= MAX_ATTEMPTS:
            await asyncio.sleep(min(LIVES_S, call.left_s / 2))
            losses, copies = await self._begin(call, decides=decides)
        if losses >= MAX_ATTEMPTS:
            raise _condemned(call)
        if begin_alone is not None:
            begin_alone()
        async with self.here.suspected(call):
            try:
                self._give_way(losses, copies, alone=begin_alone is not None)
                log.info(BEGINS, method=call.method, id=call.shown_id, losses=losses, copies=copies)
                results = await self.answer.run([call], database)
            except BaseException:
                # Whatever is in its way is no worker's death: while it waits to be tried again, it is not to blame for
                # one. Nor is it when its worker is asked to end, and has no more patience.
                await self.here.end([call])
                raise
            if self.method.lane == "read":  # no receipt tells a copy of it that it has run
                await self.here.end([call])
            return results

    async def _begin(self, call: Call, *, decides: bool) -> tuple[int, int]:
        begun = await self.attempts.begin([call], timeout_s=call.left_s, decides=decides)
        return begun[key_of(call)]

    def _give_way(self, losses: int, copies: int, *, alone: bool) -> None:
        """CopyRunsError if it may not run now, or not beside others."""
        if losses + copies >= MAX_ATTEMPTS:
            if alone:  # it did not run: to look whether it may, it needs no quiet
                self.alone_left, self.losses = self.alone_left + 1, 0
            raise CopyRunsError("a copy of it is running: it may be done by that, or be what a worker just dies of")
        if losses + copies == MAX_ATTEMPTS - 1 and self.alone_left and not alone:
            self.losses = losses + copies
            raise CopyRunsError("workers were lost with copies of it, or may just be: next time it runs alone")


def _condemned(call: Call) -> InternalError:
    log.error("not run any more: its workers died", method=call.method, id=call.shown_id, times=MAX_ATTEMPTS)
    message = f"{MAX_ATTEMPTS} workers were lost while they had {call.method}; it is not run again"
    if call.answer.method.lane == "write":
        message += ", whether it ran is not known, and it is kept for replay"
    return InternalError(message, {"reason": Reason.POISON})


def _not_run_again(call: Call, *, noted: bool) -> Unavailable:
    """The answer to a suspect that reads: it may be the killer, or one that happened to travel with it."""
    return Unavailable(
        f"{call.method} was not run: the worker that had it was lost, or handed it back; send it again, by itself",
        {"reason": Reason.REDELIVERED, "noted": noted},
    )
