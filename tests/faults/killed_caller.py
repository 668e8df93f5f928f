"""A client that is to be killed while it waits: ``python -m tests.faults.killed_caller ID ACCOUNT`` deposits once."""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID

from accounts import AsyncAccounts
from rpc_client import AsyncClient


async def main(request_id: str, account: str) -> None:
    async with AsyncClient() as client:
        await AsyncAccounts(client.with_options(request_id=UUID(request_id))).deposit(account, 5)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
