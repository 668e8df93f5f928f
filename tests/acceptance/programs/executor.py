"""An executor process: runs as many executions as its order says, a few at once, and prints a line for each that ends.

The order is a JSON object on standard input: kind (sync or async), user_id, graph_id, starts, executions, at_once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from rpc_client import DatabaseManagerAsyncClient, DatabaseManagerClient
from tests.acceptance.walker import Walk

DEADLINE_S = 60


class Counted:
    """Either client, its methods awaited and counted."""

    def __init__(self, client: DatabaseManagerAsyncClient | DatabaseManagerClient) -> None:
        self._client = client.with_options(timeout_s=DEADLINE_S)
        self.calls = 0

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        method = getattr(self._client, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if isinstance(self._client, DatabaseManagerAsyncClient):
                return await method(*args, **kwargs)
            return await asyncio.to_thread(method, *args, **kwargs)

        return call


async def fulfil(order: dict[str, Any], db: Counted) -> None:
    places = asyncio.Semaphore(order["at_once"])

    async def execute() -> None:
        async with places:
            made = await db.create_graph_execution(order["graph_id"], 1, order["starts"], order["user_id"])
            await Walk(db, order["user_id"], made.id).run()
            print(made.id, flush=True)

    async with asyncio.TaskGroup() as group:
        for _ in range(order["executions"]):
            group.create_task(execute())


async def main() -> None:
    order = json.loads(sys.stdin.readline())
    client = DatabaseManagerAsyncClient() if order["kind"] == "async" else DatabaseManagerClient()
    db = Counted(client)
    await fulfil(order, db)
    print(json.dumps({"calls": db.calls}), flush=True)
    await (client.close() if isinstance(client, DatabaseManagerAsyncClient) else asyncio.to_thread(client.close))


asyncio.run(main())
