"""asyncpg's pool with the same receipt by hand: the very statement that Rowcall runs, once for every call."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
from uuid_utils.compat import uuid7

from tests.benchmarks.sql import Bench, statements
from tests.benchmarks.systems import Place
from tests.benchmarks.systems.direct import pool_of
from worker.calls import hash_arguments
from worker.served import with_receipt


class Calls:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._statement = with_receipt(Bench.write, statements()["bench.write"])

    async def write(self, user_id: int, amount: int) -> Any:
        arguments = {"user_id": user_id, "amount": amount}
        now = datetime.now(UTC)
        receipt = {
            "_day": now.date(),
            "_id": uuid7(),
            "_caller": "guest",
            "_method": "bench.write",
            "_args_hash": hash_arguments("bench.write", orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)),
            "_deadline": now + timedelta(seconds=10),
            "_n": 0,
        }
        row = await self._pool.fetchrow(self._statement.sql, *self._statement.bind({**arguments, **receipt}))
        return row["outcome"]


@contextlib.asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Calls]:
    async with pool_of(place) as pool:
        yield Calls(pool)
