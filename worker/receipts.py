"""Receipts: one row that is idempotency key, stored reply and outbox, written in the effect's own transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from uuid import UUID

import orjson
import structlog

from rpc_client.errors import Conflict, IdempotencyKeyReused, Reason
from rpc_client.wire import encode_error
from worker.calls import OTHER_IDS_DAY, Call, Outcome
from worker.connections import Connection
from worker.database import Database, Row
from worker.statements import Statement

LOOKUP_S = 2.0
"""A look-up after the deadline still gets this long: what became of the call is worth knowing."""
DAYS_AHEAD = 3

# Put in the place of a one-statement write's `select * from reply;`. Reading `reply` makes it the last to run, so the
# sequence number is drawn and the deadline judged after every row lock of the effect. A `reply` without a row leaves
# `outcome` null, one with two rows is an error: both roll everything back. The transaction gets its xid before the
# sequence number, which lets a reader tell when all numbers below a bound are decided.
SUFFIX = """\
, receipt as (
    insert into rowcall.receipts (day, id, caller, method, args_hash, deadline, outcome, events, seq)
    select
        :_day::date, :_id::uuid, :_caller::text, :_method::text, :_args_hash::bytea, :_deadline::timestamptz,
        (
            select case
                when r.error is not null then substr(r.error::text, 2)
                else '"result":' || coalesce({result}, 'null') || '}}'
            end
            from reply as r
        ),
        (select r.events from reply as r),
        case
            when (select r.events from reply as r) is not null and pg_current_xact_id() is not null
                then nextval('rowcall.event_seq')
        end
    returning outcome, events::text as events, seq, at
)
select outcome, events, seq, at, :_n::int as n from receipt"""

FENCED = encode_error(Conflict("this request id was fenced: it did not run and never will", {"reason": Reason.FENCED}))
FENCE = FENCED.partition("it did not run")[0]
"""How the outcome of every id that may never run begins: of one that was fenced, and of one that another replaced."""

log = structlog.get_logger("rowcall.receipts")


def replaced_by(other: UUID) -> str:
    """The outcome of an id that may never run, because its call goes on under another."""
    details = {"reason": Reason.REPLACED, "by": str(other)}
    return encode_error(Conflict("this request id was fenced: its call goes on under another", details))


def heir_of(outcome: str) -> str | None:
    """The id that took the place of the one with this outcome."""
    if outcome == FENCED or not outcome.startswith(FENCE):
        return None
    return str(orjson.loads(f"{{{outcome}")["details"]["by"])


@dataclass(frozen=True, slots=True)
class Stored:
    """What stands under a request id."""

    caller: str
    method: str
    args_hash: bytes
    outcome: Outcome

    def answer_to(self, call: Call) -> Outcome | IdempotencyKeyReused:
        """The stored outcome, byte for byte; or that the id is another call's. A fence binds everybody."""
        if self.outcome.text.startswith(FENCE):
            return self.outcome
        if self.caller != call.caller:
            return IdempotencyKeyReused("this request id is taken")
        if (self.method, self.args_hash) != (call.answer.method.name, call.args_hash):
            what = "other arguments" if self.method == call.answer.method.name else f"a call of {self.method}"
            return IdempotencyKeyReused(f"this request id belongs to {what}; a new call needs a new id")
        return self.outcome


class Receipts:
    """Looks receipts up and writes those that no statement carries itself."""

    def __init__(self, database: Database, statements: Mapping[str, Statement]) -> None:
        self._database = database
        self._statements = statements

    async def find(self, calls: Sequence[Call]) -> dict[tuple[date, str], Stored]:
        """What stands under these calls' ids, in one round trip."""
        statement = self._statements["rowcall.find_receipts"]
        days, ids = [call.day for call in calls], [call.id for call in calls]
        rows = await self._database.fetch(
            statement.sql, [statement.bind({"days": days, "ids": ids})], timeout_s=LOOKUP_S
        )
        return {(r["day"], str(r["id"])): _stored(r) for r in rows}

    async def find_one(self, call: Call) -> Stored | None:
        """What stands under this call's id."""
        return (await self.find([call])).get((call.day, call.id))

    async def fence(self, call: Call) -> Stored:
        """Forbid this call to run, unless it has. What stands under its id afterwards."""
        await self.forbid(call.receipt_values())
        stored = await self.find_one(call)
        assert stored is not None, "a fence was written, so something stands under the id"
        return stored

    async def forbid(
        self, receipt: Mapping[str, object], *, letters: Literal["own", "all"] = "own", timeout_s: float = LOOKUP_S
    ) -> None:
        """Write a fence with these values of a receipt, unless something stands in its place.

        With it end the dead letters of its id that could still be replayed: its caller's own, or all.
        """
        statement = self._statements["rowcall.fence_receipt"]
        values = {**receipt, "outcome": FENCED, "letters": letters}
        await self._database.fetch(statement.sql, [statement.bind(values)], timeout_s=timeout_s)

    async def store(self, call: Call, outcome: str) -> Outcome:
        """Write the receipt of an error that rolled its effect back."""
        statement = self._statements["rowcall.store_receipt"]
        values = {**call.receipt_values(), "outcome": outcome, "events": None}
        await self._database.fetch(statement.sql, [statement.bind(values)], timeout_s=call.left_s)
        return Outcome(outcome)


def _stored(row: Row) -> Stored:
    outcome = Outcome(row["outcome"], row["events"], row["seq"], row["at"])
    return Stored(row["caller"], row["method"], row["args_hash"], outcome)


async def keep_partitions(
    connection: Connection, statements: Mapping[str, Statement], *, now: datetime, retention_days: int
) -> None:
    """Make the coming days' partitions, drop those past retention, and forget other ids, and attempts, by age.

    What holds events that the record of events does not have yet is kept until it has. Many may do it at once: one
    does, the others find it done. A clock that is behind drops nothing.
    """
    today, oldest = now.astimezone(UTC).date(), now.astimezone(UTC) - timedelta(days=retention_days + 1)
    days = (today - oldest.date()).days + DAYS_AHEAD + 1
    wanted = {_partition(day): day for day in (oldest.date() + timedelta(days=n) for n in range(days))}
    # Before any receipt goes: afterwards nobody could tell that these calls ran.
    await connection.execute(statements["rowcall.settle_all_dead_letters"].sql, FENCE)
    async with connection.transaction():
        await connection.execute(statements["rowcall.lock_alone"].sql, "rowcall:partitions")
        existing = {row["name"] for row in await connection.fetch(statements["rowcall.list_partitions"].sql)}
        for name in wanted.keys() - existing:
            await _attach(connection, name, wanted[name])
        for name in sorted(existing - {"receipts_other_ids"}):
            if name < _partition(oldest.date()):
                await _drop(connection, statements, name)
    await connection.execute(statements["rowcall.delete_other_ids"].sql, oldest)
    await connection.execute(statements["rowcall.delete_attempts"].sql, oldest)


async def _drop(connection: Connection, statements: Mapping[str, Statement], name: str) -> None:
    """Drop a partition, unless the record of events still needs it. What it held cannot be recorded anew after that."""
    # In the order in which readers and writers of receipts lock them, or each could wait for the other.
    await connection.execute("lock table only rowcall.receipts in access exclusive mode")
    await connection.execute(f"lock table rowcall.{name} in access exclusive mode")  # nothing comes in any more
    newest = await connection.fetchval(f"select max(seq) from rowcall.{name} where events is not null") or 0
    if not await connection.fetchval(statements["rowcall.forget_up_to"].sql, newest):
        log.warning("receipts past their retention are kept: their events are not recorded yet", partition=name)
        return
    log.info("receipts past their retention are dropped", partition=name)
    await connection.execute(f"drop table rowcall.{name}")


def _partition(day: date) -> str:
    return f"receipts_{day:%Y%m%d}"


async def _attach(connection: Connection, name: str, day: date) -> None:
    """Make the table first and attach it then: that never blocks the writes going on. DDL takes no parameters."""
    assert day > OTHER_IDS_DAY
    await connection.execute(f"create table rowcall.{name} (like rowcall.receipts including all)")
    await connection.execute(
        f"alter table rowcall.receipts attach partition rowcall.{name}"
        f" for values from ('{day}') to ('{day + timedelta(days=1)}')"
    )
