"""What the desk's tests begin with: letters as a worker leaves them, in the database already."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
from uuid_utils import uuid7

from rpc_client.arguments import sorted_json
from rpc_client.wire import encode_call
from worker.calls import hash_arguments
from worker.connections import prepare_connection
from worker.desk.store import KeptLetter, keep
from worker.keys import key_ring
from worker.settings import WorkerSettings
from worker.statements import read_statements, sql_root

TRACEBACK = 'Traceback (most recent call last):\n  File "services.py", line 3, in work\n'


def letter(method: str, arguments: dict[str, Any], **given: Any) -> KeptLetter:
    """A write that met a bug a moment ago, unless something else is given."""
    request_id = str(given.pop("request_id", None) or uuid7())
    moment = datetime.now(UTC) - given.pop("age", timedelta())
    encoded = orjson.dumps(arguments)
    error = given.get("error", "ZeroDivisionError: division by zero")
    made = {
        "id": request_id,
        "caller": "guest",
        "args_hash": hash_arguments(method, sorted_json(arguments)),
        "routing_key": f"write.{method}",
        "method": method,
        "reason": "internal",
        "error": error,
        "traceback": TRACEBACK + error,
        "fingerprint": hashlib.sha256(f"{method} {error}".encode()).hexdigest()[:16],
        "attempts": 1,
        "first_at": moment,
        "last_at": moment,
        "worker": "host:1",
        "body": encode_call(request_id, method, encoded, int(moment.timestamp() * 1000) + 10_000, 1),
    }
    return KeptLetter(**{**made, **given})


async def lay(settings: WorkerSettings, *letters: KeptLetter) -> list[int]:
    """Keep these letters; their numbers, in this order."""
    connection = await asyncpg.connect(settings.postgres_url.get_secret_value())
    try:
        await prepare_connection(connection)
        statements = read_statements("rowcall", sql_root() / "rowcall")
        await keep(connection, statements, key_ring(settings), letters)
        rows = await connection.fetch("select number, id, caller from rowcall.dead_letters")
    finally:
        await connection.close()
    numbers = {(row["id"], row["caller"]): row["number"] for row in rows}
    return [numbers[UUID(kept.id), kept.caller] for kept in letters]


def deposit(account: str = "a-1", amount: int = 5, **given: Any) -> KeptLetter:
    """A deposit that met a bug."""
    return letter("accounts.deposit", {"account_id": account, "amount": amount}, **given)


def work(kind: str, **given: Any):
    return letter("fragile.work", {"key": uuid4().hex, "kind": kind}, **given)


class Account:
    """An account of one test's own."""

    def __init__(self, name: str, sql: asyncpg.Connection) -> None:
        self._name = name
        self._sql = sql

    def deposit(self, amount: int = 1, **given: Any):
        return letter("accounts.deposit", {"account_id": self._name, "amount": amount}, **given)

    def withdraw(self, amount: int):
        return letter("accounts.withdraw", {"account_id": self._name, "amount": amount})

    async def balance(self) -> int:
        return await self._sql.fetchval("select balance from accounts.accounts where account_id = $1", self._name)
