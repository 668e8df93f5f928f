"""A client that is a process of its own: ``python -m tests.faults.caller CALLS ACCOUNT`` deposits a cent so often.

With a third word, ``send``, it waits for no outcome.

It prints a JSON object: how often each answer came, how many messages were published for them, and the ids by answer.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict

import orjson

from accounts import Accounts, AsyncAccounts
from rpc_client import AsyncClient, RPCError


async def main(calls: int, account: str, how: str = "call") -> None:
    said = defaultdict(list)
    async with AsyncClient() as client:
        for _ in range(calls):
            try:
                if how == "send":
                    await client.send(Accounts.deposit, account, 1)
                else:
                    await AsyncAccounts(client).deposit(account, 1)
                said["done"].append(None)
            except RPCError as error:
                said[type(error).__name__].append({"id": error.request_id, "message": str(error)})
        said["messages"] = client._transport._flights.published
    sys.stdout.buffer.write(orjson.dumps(said))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
