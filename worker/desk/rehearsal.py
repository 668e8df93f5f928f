"""A rehearsal: a letter runs through a worker's own pipeline, and whatever it does is rolled back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from rpc_client import wire
from worker.answered import Answered
from worker.calls import Call, Outcome
from worker.connections import Connection
from worker.database import Database
from worker.desk.planning import Sendable, replayed
from worker.desk.records import Step
from worker.pipeline import Pipeline
from worker.served import Served
from worker.settings import WorkerSettings

TOLD = 200
"""So many characters of an answer are told."""


class RolledBack(Database):
    """Connections on which nothing lasts: all that is done until one is given back is rolled back.

    What a commit would find is found: deferred constraints are checked first. Sequences move all the same.
    """

    @contextlib.asynccontextmanager
    async def connection(self, timeout_s: float, *, slow: str | None = None) -> AsyncIterator[Connection]:
        """One connection, in order of arrival. Unavailable when none came free in time."""
        async with super().connection(timeout_s, slow=slow) as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
                await connection.execute("set constraints all immediate")
            finally:
                if not connection.is_closed():
                    await transaction.rollback()


class Rehearsal:
    """Says what would happen; changes nothing and tells nobody."""

    def __init__(self, served: Served, database: RolledBack, settings: WorkerSettings) -> None:
        self._settings = settings
        self._clock = database.clock
        self._pipeline = Pipeline(served, database, self, settings)

    def announce(self, call: Call, outcome: Outcome) -> None:
        """Nobody is told of what did not happen."""

    async def run(self, step: Step, sendable: Sendable, timeout_s: float) -> Step:
        """What a replay of this letter would come to."""
        kept = sendable.kept
        origin = replayed(kept.letter.caller, sendable.run_id, timeout_s, self._clock)
        answered = await self._pipeline.answer(sendable.line, origin, kept.routing_key)
        (line,) = answered.replies
        outcome, told = spoken(wire.read_reply(line))
        failed = outcome != "done" and outcome not in sendable.method.errors
        return replace(step, outcome=outcome, told=_cause(answered) or told, failed=failed)


def spoken(reply: wire.Reply) -> tuple[str, str]:
    """A reply in a word, and in short. A result may hold anything, so only an error is told."""
    if reply.error is None:
        return "done", ""
    return reply.error["error"], str(reply.error.get("message", ""))[:TOLD]


def _cause(answered: Answered) -> str:
    """What went wrong and where, of a call that would be a dead letter again."""
    if not answered.dead:
        return ""
    letter = answered.dead[0]
    places = [line.strip() for line in letter.traceback.splitlines() if line.lstrip().startswith("File ")]
    return f"{letter.error[:TOLD]} ({places[-1]})" if places else letter.error[:TOLD]
