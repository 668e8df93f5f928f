"""``Suspects``: calls whose message was delivered before. Whoever had it then may have died of one of them.

A read is not run: its caller is told so, and sends it again alone. A write runs by itself, after it was noted in a
transaction of its own that it begins to; the note stays only if the worker dies. So it comes out which call of a
message, and of many messages, takes workers down, and that one is not run any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID, uuid4

import structlog

from rpc_client.contract import Method
from rpc_client.errors import InternalError, Reason, Unavailable
from rpc_client.turns import Turns
from worker.calls import Answer, Call, Outcome, Result
from worker.receipts import LOOKUP_S

if TYPE_CHECKING:
    from worker.database import Database
    from worker.statements import Statement

MAX_ATTEMPTS = 3
"""A call takes at most so many workers down: at its first delivery nothing is noted, and the third note condemns it."""

log = structlog.get_logger("rowcall.suspects")


class Suspects:
    """Runs suspects of one worker process one at a time: nobody is noted for happening to run beside a killer."""

    def __init__(self, database: Database, statements: Mapping[str, Statement]) -> None:
        self._database = database
        self._statements = statements
        self._turns = Turns()

    async def one_by_one(self, calls: Sequence[Call], run: Callable[[Sequence[Call]], Awaitable[None]]) -> None:
        """Run each of these writes by itself; `run` never raises."""
        noted = await self._noted(calls)
        late = []
        for call in calls:
            if call.left_s <= 0:
                late.append(call)
                continue
            counted = Counted(call.answer, self._count)
            call.answer = counted
            async with self._turns.take(known=_key(call) in noted, left_s=call.left_s):
                await run([call])
            if counted.counted and not isinstance(call.result, Outcome):
                await self._forget(call)
        if late:  # none of them runs any more
            await run(late)

    async def _noted(self, calls: Sequence[Call]) -> set[tuple[str, str, bytes]]:
        """Which of them were running when a worker died; none as long as nobody can tell."""
        statement = self._statements["rowcall.find_attempts"]
        values = statement.bind({"ids": [call.id for call in calls]})
        try:
            rows = await self._database.fetch(statement.sql, [values], timeout_s=LOOKUP_S)
        except Exception as error:  # noqa: BLE001 - they only wait less for their turn
            log.info("attempts could not be looked up", error=repr(error))
            return set()
        return {(str(row["id"]), row["caller"], row["args_hash"]) for row in rows}

    async def _count(self, call: Call, run: UUID) -> None:
        """Note that it begins to run. InternalError when it took too many workers down: then it does not."""
        statement = self._statements["rowcall.count_attempt"]
        values = statement.bind({**call.receipt_values(), "run": run})
        (row,) = await self._database.fetch(statement.sql, [values], timeout_s=call.left_s)
        if row["count"] >= MAX_ATTEMPTS:
            log.error("not run any more: its workers died", method=call.method, id=call.shown_id, times=MAX_ATTEMPTS)
            raise InternalError(
                f"{MAX_ATTEMPTS} workers died while they ran {call.method}; it is not run again, whether it ran is not"
                " known, and it is kept for replay under this id",
                {"reason": Reason.POISON},
            )

    async def _forget(self, call: Call) -> None:
        """It came to nothing that lasts, and its worker lives: should it come again, it is not to blame for that."""
        statement = self._statements["rowcall.forget_attempts_of"]
        try:
            await self._database.fetch(statement.sql, [statement.bind(call.receipt_values())], timeout_s=LOOKUP_S)
        except Exception as error:  # noqa: BLE001 - one attempt too many is noted, which condemns nobody
            log.info("an attempt could not be forgotten", error=repr(error))


def not_run_again(call: Call) -> Unavailable:
    """The answer to a suspect that reads: it may be the killer, or one that happened to travel with it."""
    return Unavailable(
        f"{call.method} was not run: the worker that had it was lost, or handed it back; send it again, by itself",
        {"reason": Reason.REDELIVERED, "attempt": call.attempt},
    )


@dataclass(slots=True)
class Counted:
    """The answer to a suspect, once it is noted that it begins to run: once, however often it is tried after that."""

    answer: Answer
    count: Callable[[Call, UUID], Awaitable[None]]
    counted: bool = False
    run_id: UUID = field(default_factory=uuid4)
    together: ClassVar[bool] = False

    @property
    def method(self) -> Method[..., Any]:
        return self.answer.method

    async def run(self, calls: Sequence[Call], database: Database) -> list[Result]:
        if not self.counted:
            await self.count(calls[0], self.run_id)
            self.counted = True
        return await self.answer.run(calls, database)


def _key(call: Call) -> tuple[str, str, bytes]:
    return call.id, call.caller, call.args_hash
