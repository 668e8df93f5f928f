"""Rowcall exactly as shipped: validation, receipts, the quorum write queue, typed results."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from rpc_client import AsyncClient, Client, ClientSettings
from rpc_client.contract.platform import AsyncPlatform
from tests.benchmarks.family.contract import AsyncBench, SyncBench
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
    async with AsyncClient(_settings(place)) as client:
        yield Calls(client)


@contextlib.contextmanager
def connect_sync(place: Place) -> Iterator[SyncBench]:
    with Client(_settings(place)) as client:
        yield SyncBench(client)


def _settings(place: Place) -> ClientSettings:
    return ClientSettings(amqp_url=place.amqp_url, redis_url=place.redis_url, prefix=place.prefix)
