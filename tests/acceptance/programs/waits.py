"""Makes a call that nobody answers. Prints ``waiting``, and what interrupts it, as JSON."""

from __future__ import annotations

import json
import threading

from accounts import SyncAccounts
from rpc_client import AsyncClient, Client

client = Client(timeout_s=300)


def tell() -> None:
    """In a thread, as the main one waits, and signals are its business."""
    while not client.run(_sent):
        pass
    print("waiting", flush=True)


async def _sent(inner: AsyncClient) -> int:
    return sum(call.attempt for call in inner._transport._pending.values())


threading.Thread(target=tell).start()
try:
    SyncAccounts(client).deposit("a-1", 1)
except KeyboardInterrupt as interrupt:
    print(json.dumps({**vars(interrupt), "notes": interrupt.__notes__}, default=str))
