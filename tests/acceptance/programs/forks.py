"""Forks while its own threads call, and calls in the children. Prints what every process got, as JSON."""

from __future__ import annotations

import json
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from accounts import SyncAccounts
from rpc_client import Client
from rpc_client.contract import Method

CHILDREN, THREADS, EACH = 4, 4, 25
HELD = Path("/proc/self/fd")

client = Client(timeout_s=30)
accounts = SyncAccounts(client)


def deposit(_: int) -> int:
    return accounts.deposit("a-1", 1)


def sockets() -> set[str]:
    """The sockets this process holds, by inode."""
    found = set()
    for fd in HELD.iterdir():
        with suppress(OSError):  # that of the folder itself is gone again
            found.add(str(fd.readlink()))
    return {name for name in found if name.startswith("socket:")}


def hold_what_a_fork_must_not_wait_for(until: threading.Event) -> None:
    """As a thread does that is just making a first call (in Python 3.11; later ones hold nothing)."""
    with getattr(vars(Method)["result"], "lock", nullcontext()):
        until.wait()


def child(to_parent: Any, of_parent: str) -> None:
    kept = of_parent in sockets()
    accounts.get_account("a-1")  # the first call of this method in any of the processes
    with ThreadPoolExecutor(THREADS) as pool:
        balances = list(pool.map(deposit, range(EACH)))
    grandchild = multiprocessing.get_context("fork").Process(target=deposit, args=(0,))
    grandchild.start()
    grandchild.join()
    to_parent.send({"balances": balances, "kept": kept, "grandchild": grandchild.exitcode})


def main() -> None:
    before = sockets()
    accounts.open_account("a-1", "me")
    own = client.run(_socket_of)
    assert own in sockets() - before
    forked = threading.Event()
    mine: list[int] = []

    def keep_calling() -> None:
        while not forked.is_set():
            mine.append(deposit(0))

    callers = [threading.Thread(target=keep_calling) for _ in range(THREADS)]
    for caller in callers:
        caller.start()
    forgetful = threading.Thread(target=hold_what_a_fork_must_not_wait_for, args=(forked,))
    forgetful.start()
    pipes = [multiprocessing.Pipe(duplex=False) for _ in range(CHILDREN)]
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child, args=(end, own)) for _, end in pipes]
    for process in children:
        process.start()
    results = [end.recv() for end, _ in pipes]
    forked.set()
    for waiting in [*callers, *children, forgetful]:
        waiting.join()
    mine.append(deposit(0))
    print(json.dumps({"children": results, "parent": mine}))


async def _socket_of(inner: Any) -> str:
    return str((HELD / str(inner.fileno())).readlink())


if __name__ == "__main__":
    main()
