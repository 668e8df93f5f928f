"""The four ways a method is answered: one statement or a story, reading or writing. And the way it is not.

Each turns a call into an ``Outcome``: the text that follows the id in the reply line. A write's outcome is the one its
receipt holds, so the first reply and every repeat are the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rpc_client.contract import Method, write_result
from rpc_client.errors import (
    ANYWHERE,
    DeadlineExceeded,
    NotFoundError,
    RemoteError,
    ResultTooLarge,
    Unavailable,
)
from rpc_client.wire import encode_error, encode_result
from worker.calls import Call, Outcome, Result
from worker.crash_points import departing, reached
from worker.database import Database, Row, Transaction
from worker.errors import as_conflict
from worker.keys import no_key
from worker.statements import Statement

Story = Callable[..., Awaitable[Any]]
GROUP_S = 1.0


@dataclass(frozen=True, slots=True)
class DirectRead:
    """A read that is one statement: PostgreSQL builds the JSON, and its bytes go to the reply untouched."""

    method: Method[..., Any]
    statement: Statement
    required: bool
    max_bytes: int

    @property
    def together(self) -> bool:
        return not self.method.slow

    async def run(self, calls: Sequence[Call], database: Database) -> list[Result]:
        bind = self.statement.bind
        rows = [bind({**call.arguments, "_n": n}) for n, call in enumerate(calls)]
        fetched = await database.fetch(
            self.statement.sql, departing(rows), timeout_s=time_for(calls), slow=_slow(self.method)
        )
        return [self._result(row["result"]) for row in in_order(fetched, len(calls))]

    def _result(self, result: str | None) -> Result:
        if result is None and self.required:
            return NotFoundError(f"{self.method.name}: nothing fits {', '.join(self.method.parameters)}")
        try:
            return Outcome(encode_result(_bounded(self.method, result or "null", self.max_bytes)))
        except ResultTooLarge as error:
            return error


@dataclass(frozen=True, slots=True)
class DirectWrite:
    """A write that is one statement, its receipt included: one round trip, one transaction."""

    method: Method[..., Any]
    statement: Statement

    @property
    def together(self) -> bool:
        return self.method.locks is not None and not self.method.slow

    async def run(self, calls: Sequence[Call], database: Database) -> list[Result]:
        bind = self.statement.bind
        rows = [bind({**call.arguments, **call.receipt_values(), "_n": n}) for n, call in enumerate(calls)]
        fetched = await database.fetch(
            self.statement.sql, departing(rows), timeout_s=time_for(calls), slow=_slow(self.method)
        )
        return [Outcome(row["outcome"], row["events"], row["seq"], row["at"]) for row in in_order(fetched, len(calls))]


@dataclass(frozen=True, slots=True)
class StoryRead:
    """A read that needs Python."""

    method: Method[..., Any]
    story: Story
    statements: Mapping[str, Statement]
    max_bytes: int
    together: ClassVar[bool] = False

    async def run(self, calls: Sequence[Call], database: Database) -> list[Result]:
        (call,) = calls
        async with database.session(self.statements, call.expires_at, slow=_slow(self.method)) as session:
            try:
                result = await self.story(session, **call.arguments)
            except RemoteError as error:
                check_declared(self.method, error)
                raise
        return [Outcome(encode_result(_bounded(self.method, write_result(self.method, result), self.max_bytes)))]


@dataclass(frozen=True, slots=True)
class StoryWrite:
    """A write that needs Python: its effect behind a savepoint, then the receipt, then the commit."""

    method: Method[..., Any]
    story: Story
    statements: Mapping[str, Statement]
    max_bytes: int
    together: ClassVar[bool] = False

    async def run(self, calls: Sequence[Call], database: Database) -> list[Result]:
        (call,) = calls
        async with database.transaction(self.statements, call.expires_at, slow=_slow(self.method)) as transaction:
            text = await self._effect(call, transaction)
            reached("K4")
            outcome = await self._receipt(call, transaction, text)
            reached("K5")
            return [outcome]

    async def _effect(self, call: Call, transaction: Transaction) -> str:
        """The outcome of the story; a business error has undone what the story did."""
        try:
            async with transaction.savepoint():
                result = await self.story(transaction, **call.arguments)
                _check_declared(self.method, transaction.events)
                return encode_result(_bounded(self.method, write_result(self.method, result), self.max_bytes))
        except Exception as error:
            business = business_error(self.method, error)
            if business is not None:
                return encode_error(business)
            check_declared(self.method, error)
            raise

    async def _receipt(self, call: Call, transaction: Transaction, text: str) -> Outcome:
        row = await transaction.store_receipt(
            {**call.receipt_values(), "outcome": text, "events": transaction.events or None}
        )
        return Outcome(text, row["events"], row["seq"], row["at"])


@dataclass(frozen=True, slots=True)
class Unkeyed:
    """A method with secrets, where there is no key: none of its calls runs, for a dead letter could not be sealed."""

    method: Method[..., Any]
    together: ClassVar[bool] = False

    async def run(self, calls: Sequence[Call], database: Database) -> list[Result]:  # noqa: ARG002 - an answer's
        raise no_key(self.method.name)


def _slow(method: Method[..., Any]) -> str | None:
    """Its name, where it may not take all connections from the others."""
    return method.name if method.slow else None


def check_declared(method: Method[..., Any], error: Exception) -> None:
    """RuntimeError, a bug, when this is an answer that the contract does not declare."""
    declared = not isinstance(error, RemoteError) or isinstance(error, (*method.raises, *ANYWHERE))
    if not declared:
        code = type(error).__name__
        raise RuntimeError(f"{method.name} raised {code}, which its contract does not declare: {error}") from error


def _check_declared(method: Method[..., Any], events: Sequence[Mapping[str, Any]]) -> None:
    for word in {event["type"] for event in events} - method.events.keys():
        raise RuntimeError(f"{method.name} emitted {word}, which its contract does not declare")


def time_for(calls: Sequence[Call]) -> float:
    """The time a run may take: what its most pressed call has left; a group at most a second, then each goes alone."""
    least = min([call.expires_at for call in calls]) - time.time()
    return least if len(calls) == 1 else min(least, GROUP_S)


def in_order(rows: Sequence[Row], expected: int) -> Sequence[Row]:
    """The rows, if there is exactly one for every call in its place. The driver marks no boundaries between them."""
    if len(rows) != expected or any(row["n"] != n for n, row in enumerate(rows)):
        raise RuntimeError(f"{expected} calls gave {len(rows)} rows, or not in their order")
    return rows


def business_error(method: Method[..., Any], error: BaseException) -> RemoteError | None:
    """The error as part of the method's outcome, if its contract says it may be one."""
    found = error if isinstance(error, RemoteError) else as_conflict(error)
    return found if found is not None and isinstance(found, method.raises) else None


def _bounded(method: Method[..., Any], text: str, max_bytes: int) -> str:
    # A character takes at most four bytes, so most texts need no second look.
    if len(text) * 4 > max_bytes and (size := len(text.encode())) > max_bytes:
        raise ResultTooLarge(
            f"{method.name}: the answer takes {size} bytes; the limit is {max_bytes}"
            f" (ROWCALL_{method.lane.upper()}_REPLY_BYTES): ask for less at once, page by page",
            {"bytes": size, "limit": max_bytes},
        )
    return text


def expired(call: Call) -> RemoteError:
    """What is to be said of a call whose time is up."""
    if call.fences:  # a fence that was written unheard stands, and forbids whatever it was asked of
        return Unavailable(f"whether {call.arguments['id']} is fenced could not be learnt in time; ask again")
    told = "this replay of it is not known to have run" if call.replayed else "it did not and will not"
    return DeadlineExceeded(f"{call.method} expired before it could run; {told}")
