"""Ends without closing its clients, in the way its argument names."""

from __future__ import annotations

import atexit
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from accounts import SyncAccounts
from rpc_client import AsyncClient, Client, OutcomeUnknown

client = Client(timeout_s=30)
accounts = SyncAccounts(client)


def while_daemon_threads_wait() -> None:
    """For calls that nobody answers."""
    for _ in range(8):
        threading.Thread(target=_wait, daemon=True).start()
    while client.run(_sent) < 8:
        pass


async def _sent(inner: AsyncClient) -> int:
    return sum(call.attempt for call in inner._transport._pending.values())


def _wait() -> None:
    with suppress(OutcomeUnknown):
        accounts.deposit("a-1", 1)


def while_a_pool_still_calls() -> None:
    pool = ThreadPoolExecutor(4)
    for _ in range(40):
        pool.submit(accounts.deposit, "a-1", 1)


def with_a_last_call() -> None:
    atexit.register(accounts.deposit, "a-1", 1)
    accounts.deposit("a-1", 1)


globals()[sys.argv[1]]()
