"""Rowcall exactly as shipped: validation, receipts, the quorum write queue, typed results."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from rpc_client import AsyncClient, ClientSettings
from rpc_client.contract.platform import AsyncPlatform
from tests.benchmarks.family.contract import AsyncBench
from tests.benchmarks.systems import Place


class Calls:
    def __init__(self, client: AsyncClient) -> None:
        bench = AsyncBench(client)
        self.noop, self.read_user, self.write = bench.noop, bench.read_user, bench.write
        self.list_rows, self.slow = bench.list_rows, bench.slow
        self._platform = AsyncPlatform(client)

    async def platform(self, method: str, arguments: dict[str, Any]) -> Any:
        return await getattr(self._platform, method)(**arguments)


@contextlib.asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Calls]:
    settings = ClientSettings(amqp_url=place.amqp_url, redis_url=place.redis_url, prefix=place.prefix)
    async with AsyncClient(settings) as client:
        yield Calls(client)
