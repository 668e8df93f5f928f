"""Makes three deposits at once, and tells under which ids once they have left."""

from __future__ import annotations

import asyncio
import sys
from uuid import uuid4

from accounts import AsyncAccounts
from rpc_client import AsyncClient


async def main() -> None:
    async with AsyncClient(timeout_s=60) as client:
        ids = [uuid4() for _ in range(3)]
        calls = [
            asyncio.ensure_future(AsyncAccounts(client.with_options(request_id=request_id)).deposit("a-1", 1))
            for request_id in ids
        ]
        transport = client._transport
        while not transport._flights.published or list(transport._flights):
            await asyncio.sleep(0.01)
        for request_id in ids:
            sys.stdout.write(f"{request_id}\n")
        sys.stdout.flush()
        await asyncio.gather(*calls)


asyncio.run(main())
