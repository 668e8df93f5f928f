"""Bugs around the receipt: what makes a write happen once, and its answer true."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from pydantic_core import from_json

import worker.answers
import worker.pipeline
import worker.served
from worker.admission import Admission, Refused
from worker.built_in import Outcomes, Trace
from worker.calls import Call, Outcome, Result
from worker.database import Database, Transaction
from worker.errors import Verdict, judge
from worker.receipts import FENCED
from worker.statements import sql_root

LATE_S, APART_S = 0.5, 0.02
OUTCOME_ALONE = """\
, receipt as (
    select
        (
            select case
                when r.error is not null then substr(r.error::text, 2)
                else '"result":' || coalesce({result}, 'null') || '}}'
            end
            from reply as r
        ) as outcome,
        (select r.events from reply as r) as events
)
select outcome, events::text as events, null::bigint as seq, null::timestamptz as at, :_n::int as n from receipt"""


def without_receipt() -> None:
    """A write leaves no receipt."""
    _leave_receipts_out()

    async def store_receipt(_: Transaction, values: Mapping[str, object]) -> dict[str, object]:
        return {"outcome": values["outcome"], "events": None, "seq": None, "at": None}

    run = worker.answers.DirectWrite.run

    async def run_silently(self: Any, calls: Sequence[Call], database: Database) -> list[Result]:
        results = await run(self, calls, database)
        return [Outcome(result.text) for result in results if isinstance(result, Outcome)]

    Transaction.store_receipt = store_receipt
    worker.answers.DirectWrite.run = run_silently


def _leave_receipts_out() -> None:
    """One-statement writes tell their outcome as ever, and insert nothing."""
    worker.served.SUFFIX = OUTCOME_ALONE


def receipt_apart() -> None:
    """The effect commits, and then its receipt, in a transaction of its own."""
    _leave_receipts_out()
    run = worker.answers.DirectWrite.run
    statements = worker.served.read_statements("rowcall", sql_root() / "rowcall")

    async def run_and_note(self: Any, calls: Sequence[Call], database: Database) -> list[Result]:
        results = await run(self, calls, database)
        await asyncio.sleep(APART_S)
        for call, result in zip(calls, results, strict=True):
            assert isinstance(result, Outcome)
            async with database.transaction(statements, call.expires_at) as tx:
                events = None if result.events is None else from_json(result.events)
                await tx.store_receipt({**call.receipt_values(), "outcome": result.text, "events": events})
        return [Outcome(result.text) for result in results if isinstance(result, Outcome)]

    worker.answers.DirectWrite.run = run_and_note


def reply_early() -> None:
    """A story is answered, and commits a moment later."""
    committing: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def transaction(
        self: Database, statements: Mapping[str, Any], expires_at: float, *, slow: bool = False
    ) -> AsyncIterator[Transaction]:
        stack = contextlib.AsyncExitStack()
        connection = await stack.enter_async_context(self.connection(expires_at - time.time(), slow=slow))
        await stack.enter_async_context(connection.transaction())
        try:
            yield Transaction(connection, statements, expires_at, self._keys, self._settings.prefix)
        except BaseException:
            await stack.__aexit__(*sys.exc_info())
            raise
        task = asyncio.create_task(_commit_late(stack))
        committing.add(task)
        task.add_done_callback(committing.discard)

    Database.transaction = transaction


async def _commit_late(stack: contextlib.AsyncExitStack) -> None:
    await asyncio.sleep(LATE_S)
    await stack.aclose()


def error_keeps_effect() -> None:
    """A business error does not undo what its story did."""

    @contextlib.asynccontextmanager
    async def savepoint(_: Transaction) -> AsyncIterator[None]:
        yield

    Transaction.savepoint = savepoint


def failure_guessed() -> None:
    """A commit whose answer was lost is taken for a failure."""
    settle = worker.pipeline.Pipeline._settle

    async def guess(self: Any, call: Call, error: Exception) -> Result | None:
        if judge(error) is Verdict.TRANSIENT and call.answer.method.lane == "write":
            return error
        return await settle(self, call, error)

    worker.pipeline.Pipeline._settle = guess


def hollow_fence() -> None:
    """A fence is promised, and nothing is written."""

    async def run(self: Outcomes, calls: Sequence[Call], database: Database) -> list[Result]:
        (call,) = calls
        asked = call.arguments["id"].lower()
        _, trace = await self._follow(call, asked, database)
        if call.fences and not trace.is_final:
            trace = Trace("fenced", None, FENCED)
        return [trace.told_of(asked)]

    Outcomes.run = run


def shifted() -> None:
    """In a group each call is answered what its neighbour came to."""
    run = worker.answers.DirectWrite.run

    async def shift(self: Any, calls: Sequence[Call], database: Database) -> list[Result]:
        results = await run(self, calls, database)
        return [*results[1:], results[0]]

    worker.answers.DirectWrite.run = shift


def deadline_ignored() -> None:
    """Every call has an hour, whatever its deadline says."""
    admit = Admission.admit

    def admit_for_long(self: Admission, *of: Any) -> list[Call | Refused]:
        slots = admit(self, *of)
        for slot in slots:
            if isinstance(slot, Call):
                slot.expires_at += 3600
        return slots

    Admission.admit = admit_for_long
