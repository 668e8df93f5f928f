"""The four ways a method is answered: one statement or a story, reading or writing.

Each turns a call into an ``Outcome``: the text that follows the id in the reply line. A write's outcome is the one its
receipt holds, so the first reply and every repeat are the same bytes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rpc_client.contract import Method
from rpc_client.errors import NotFoundError, RemoteError, ResultTooLarge
from rpc_client.wire import encode_error, encode_result
from worker.calls import Call, Outcome
from worker.database import Database, Transaction
from worker.errors import as_conflict
from worker.statements import Statement

Story = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class DirectRead:
    """A read that is one statement: PostgreSQL builds the JSON, and its bytes go to the reply untouched."""

    method: Method[..., Any]
    statement: Statement
    required: bool
    max_bytes: int

    async def run(self, call: Call, database: Database) -> Outcome:
        values = self.statement.bind({**call.arguments, "_n": 0})
        (row,) = await database.fetch(self.statement.sql, [values], timeout_s=call.left_s)
        result = row["result"]
        if result is None and self.required:
            raise NotFoundError(f"{self.method.name}: nothing fits {', '.join(self.method.parameters)}")
        return Outcome(encode_result(_bounded(result or "null", self.max_bytes)))


@dataclass(frozen=True, slots=True)
class DirectWrite:
    """A write that is one statement, its receipt included: one round trip, one transaction."""

    method: Method[..., Any]
    statement: Statement

    async def run(self, call: Call, database: Database) -> Outcome:
        values = self.statement.bind({**call.arguments, **call.receipt_values(), "_n": 0})
        (row,) = await database.fetch(self.statement.sql, [values], timeout_s=call.left_s)
        return Outcome(row["outcome"], row["events"], row["seq"], row["at"])


@dataclass(frozen=True, slots=True)
class StoryRead:
    """A read that needs Python."""

    method: Method[..., Any]
    story: Story
    statements: Mapping[str, Statement]
    max_bytes: int

    async def run(self, call: Call, database: Database) -> Outcome:
        async with database.session(self.statements, call.expires_at) as session:
            result = await self.story(session, **call.arguments)
        return Outcome(encode_result(_bounded(_json(self.method, result), self.max_bytes)))


@dataclass(frozen=True, slots=True)
class StoryWrite:
    """A write that needs Python: its effect behind a savepoint, then the receipt, then the commit."""

    method: Method[..., Any]
    story: Story
    statements: Mapping[str, Statement]
    max_bytes: int

    async def run(self, call: Call, database: Database) -> Outcome:
        async with database.transaction(self.statements, call.expires_at) as transaction:
            text = await self._effect(call, transaction)
            return await self._receipt(call, transaction, text)

    async def _effect(self, call: Call, transaction: Transaction) -> str:
        """The outcome of the story; a business error has undone what the story did."""
        try:
            async with transaction.savepoint():
                result = await self.story(transaction, **call.arguments)
                return encode_result(_bounded(_json(self.method, result), self.max_bytes))
        except Exception as error:
            business = business_error(self.method, error)
            if business is None:
                raise
            return encode_error(business)

    async def _receipt(self, call: Call, transaction: Transaction, text: str) -> Outcome:
        row = await transaction.store_receipt(
            {**call.receipt_values(), "outcome": text, "events": transaction.events or None}
        )
        return Outcome(text, row["events"], row["seq"], row["at"])


def business_error(method: Method[..., Any], error: BaseException) -> RemoteError | None:
    """The error as part of the method's outcome, if its contract says it may be one."""
    found = error if isinstance(error, RemoteError) else as_conflict(error)
    return found if found is not None and isinstance(found, method.raises) else None


def _json(method: Method[..., Any], result: object) -> str:
    return method.result.dump_json(method.result.validate_python(result)).decode()


def _bounded(text: str, max_bytes: int) -> str:
    # A character takes at most four bytes, so most texts need no second look.
    if len(text) * 4 > max_bytes and (size := len(text.encode())) > max_bytes:
        message = f"the answer takes {size} bytes; the limit is {max_bytes}: ask for less at once, page by page"
        raise ResultTooLarge(message, {"bytes": size, "limit": max_bytes})
    return text
